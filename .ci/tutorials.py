"""Send each request that the tutorials print to a freshly started service, in their order.

The answers must be contract.md's. Every status, body and header that is looked at counts as a
check; the last line is their number.
"""
import sys

import requests
from service import ACCOUNT, service

ALICE = {
    'accountLocked': False, 'cn': 'alice', 'displayName': 'Alice Parker',
    'dn': 'cn=alice,ou=people,dc=dbsentry,dc=com', 'givenName': 'Alice',
    'mail': 'alice@dbsentry.com', 'memberOfs': ['cn=Admins,ou=groups,dc=dbsentry,dc=com'],
    'sn': 'Parker', 'uid': 'Alice'}
BOB = {
    'accountLocked': False, 'cn': 'bob', 'displayName': 'Bob Parker',
    'dn': 'cn=bob,ou=people,dc=dbsentry,dc=com', 'givenName': 'Bob', 'mail': 'bob@dbsentry.com',
    'memberOfs': ['cn=getafix,ou=groups,dc=dbsentry,dc=com'], 'sn': 'Parker', 'sshPublicKeys': [],
    'uid': 'bob'}
AVENGERS = {'Name': 'Avengers: Infinity War', 'Year': 2018, 'Month': 'March'}
ANT_MAN = {'Name': 'Ant Man and the Wasp', 'Year': 2018, 'Month': 'August'}
NEURAL = {'name': 'Introduction to neural network', 'code': 'CSE465', 'instructor': 'Andrew Ng'}
PROGRAMMING = {'name': 'Introduction to programming language', 'code': 'CSE115',
               'instructor': 'John stuart'}
FORGOT = 'Oops! You forgot to add a {0} after! Please specify a {0} and try again!'
passed, failed = 0, 0


def check(what, found, expected):
    """Count a check, and print it where it fails."""
    global passed, failed
    if found == expected:
        passed += 1
    else:
        failed += 1
        print(f'{what}: {found!r} instead of {expected!r}')


def send(method, path, status, body=..., location=None, **kwargs):
    """Send a request; check status, body and Location of the answer, and return it."""
    answer = requests.request(method, url + path, timeout=10, allow_redirects=False, **kwargs)
    what = f'{method} {path}'
    check(f'{what}: status', answer.status_code, status)
    if body is None:
        check(f'{what}: body', answer.content, b'')
    elif body is not ...:
        check(f'{what}: body', answer.json(), body)
    if body is not None:
        check(f'{what}: type', answer.headers['Content-Type'], 'application/json')
    if location:
        check(f'{what}: Location', answer.headers['Location'], location)
    return answer


def weekend():
    """Building a simple Python API in 2 Hours: /data, /token, /run-script."""
    send('GET', '/data', 200, {'message': 'Hey please use the POST method for this endpoint'})
    send('POST', '/data', 200, {'key': 'value'}, json={'key': 'value'})
    answer = send('POST', '/token', 200, json=ACCOUNT)
    check('/token: keys', sorted(answer.json()), ['access_token', 'expires_in', 'token_type'])
    send('POST', '/token', 401, {'message': 'username or password is not correct'},
         json={**ACCOUNT, 'password': 'wrong'})
    send('POST', '/run-script', 401)
    # 503 where PowerShell is not installed; test_api.py has a stand-in for it
    answer = requests.post(url + '/run-script', timeout=60, headers=bearer(answer.json()))
    check('/run-script', answer.status_code in (200, 503), True)


def films():
    """The notebook on creating and accessing an API, its cells one after the other."""
    send('GET', '/', 200, {'hello': 'world'})
    send('GET', '/films', 200, {'1': AVENGERS, '2': ANT_MAN})
    send('GET', '/films/1', 200, AVENGERS)
    send('GET', '/films/3', 404, {'message': "Film 3 doesn't exist"})
    send('DELETE', '/films/1', 204, None)
    send('GET', '/films', 200, {'2': ANT_MAN})
    form = {'name': 'Avengers: Infinity War', 'year': 2018, 'month': 'March'}
    send('PUT', '/films/1', 201, AVENGERS, data=form)
    send('PUT', '/films/1', 200, AVENGERS, json=form)
    send('GET', '/films', 200, {'1': AVENGERS, '2': ANT_MAN})
    send('POST', '/films', 201, AVENGERS, '/films/3', data=form)
    send('DELETE', '/films/4', 404, {'message': "Film 4 doesn't exist"})
    send('GET', '/hello_world', 401)
    send('GET', '/hello_world', 200, {'Hello': 'World'}, auth=('admin', 'atCh_5K}?g'))


def records():
    """Project Phoenix: keys and records, the steps of its readme."""
    created = send('GET', '/api/generate_key/sumit', 201).json()
    check('key', {**created, 'api_key': '', 'created_on': ''}, {
        'api_key': '', 'created_on': '', 'message': 'Congrats! Your API Key has been created!',
        'status': 'success', 'username': 'sumit'})
    check('length of a key', len(created['api_key']), len('sumit.' + '1S-37823MlH3stph2uTYvA'))
    falcon = {'api-key': send('POST', '/api/generate_key/falcon', 201).json()['api_key']}
    for path in ['/api/generate_key', '/api/generate_key/']:
        send('GET', path, 400, {'status': 'failed', 'message': FORGOT.format('username')})
    send('GET', '/api/generate_key/sumit', 409, {'status': 'failed', 'message':
         'The username you are trying to register has been already used!'})
    key = {'api-key': created['api_key']}
    send('POST', '/api/create', 401, {
        'status': 'failed', 'message': 'You are not authenticated! Please add an authentication '
        'key to the header and try again!'}, json={'value1': 'Hello'})
    listed = send('GET', '/api/list', 200).json()
    check('list', [(one['id'], one['lastmodifiedby'], one['timestamp'], one['value1'],
                    one['value2'], one['value3']) for one in listed], [
        (1, 'ironman', 2392822832.21, 'Boston Terrier', 9938212273.32, True),
        (2, 'thor', 8929109, 'The only thing permanent in life is impermanence!', 88239244423.21,
         False),
        (3, 'blackwidow', 6789998212.0, 'What a great day!', 221220231.01, True),
        (4, 'loki', 67182, 'Where are the mere mortals?', 88239244423.21, False),
        (5, 'captain_america', 828283281.21, "No, I don't think I will..", 781230.21, True)])
    fields = {'timestamp': 6789998212, 'value1': 'Hello', 'value2': 2021.01, 'value3': True}
    created = send('POST', '/api/create', 201, headers=key, json=fields).json()
    check('create', (created['message'], created['status']),
          ('Your entry has successfully been added to the database!', 'success'))
    check('created', {**created['record_info'], **fields, 'id': 6, 'lastmodifiedby': 'sumit'},
          created['record_info'])
    send('POST', '/api/create', 400, {'status': 'failed', 'message':
         'Please populate atleast one field into the record and try again!'}, headers=key, json={})
    send('GET', '/api/read/5', 200, {'message': 'Record found!', 'record_info': listed[4],
                                     'status': 'success'})
    changes = {'value1': "Yes I think I won't....", 'value2': 1920.02, 'value3': False}
    modified = send('PATCH', '/api/modify/5', 200, headers=falcon, json=changes).json()
    check('modify', modified['message'], 'Your record has successfully been modified!')
    check('modified', {**modified['record_info'], **changes, 'lastmodifiedby': 'falcon'},
          modified['record_info'])
    send('PATCH', '/api/modify/99', 404, {'status': 'failed', 'message':
         'The record does not exist! Please try a different record number!'}, headers=falcon,
         json=changes)
    send('DELETE', '/api/remove/5', 200, {'message': 'Your record has been removed!',
                                          'status': 'success'}, headers=key)
    for method, path in [('GET', 'read'), ('PATCH', 'modify'), ('DELETE', 'remove')]:
        send(method, f'/api/{path}/', 400, {'status': 'failed', 'message': FORGOT.format('number')})


def users():
    """The REST API for users of a directory."""
    token = bearer(requests.post(url + '/token', json=ACCOUNT, timeout=10).json())
    send('GET', '/users', 401)
    send('GET', '/users', 200, [ALICE, BOB], headers=token)
    send('GET', '/users/alice', 200, ALICE, headers=token)
    send('GET', '/users/nobody', 404, headers=token)
    send('POST', '/users', 201, {**BOB, 'cn': 'carol', 'dn': BOB['dn'].replace('bob', 'carol')},
         '/users/carol', headers=token, json={**BOB, 'cn': 'carol'})
    send('POST', '/users', 409, headers=token, json=BOB)
    send('PUT', '/users/bob', 200, {**BOB, 'mail': 'b@dbsentry.com'}, headers=token,
         json={'mail': 'b@dbsentry.com'})
    send('PUT', '/users/nobody', 404, headers=token, json={'sn': 'x'})
    send('DELETE', '/users/bob', 200, 'Deleted User: bob', headers=token)
    send('DELETE', '/users/bob', 404, headers=token)
    answer = requests.get(url + '/authkeys', {'username': 'alice'}, timeout=10)
    check('/authkeys', (answer.status_code, answer.text), (200, ''))


def courses():
    """Flask with Docker and JWT: the courses, then the login."""
    missing = {'error': 'Course code is not found in the courses'}
    answer = requests.post(url + '/login', json=ACCOUNT, timeout=10)
    check('/login', (answer.status_code, answer.headers['Content-Type'].split(';')[0]),
          (200, 'text/plain'))
    token = {'Authorization': f'Bearer {answer.text}'}
    send('POST', '/login', 401, {'error': 'username or password is not correct'},
         json={'username': 'faisal', 'password': 'faisal'})
    send('GET', f'/courses?token={answer.text}', 401)
    send('GET', '/courses', 200, {'courses': [NEURAL, PROGRAMMING]}, headers=token)
    send('GET', '/courses/CSE115', 200, PROGRAMMING, headers=token)
    send('GET', '/courses/CSE999', 404, missing, headers=token)
    course = {'code': 'CSE101', 'name': 'Introduction toneural network', 'instructor': 'Andrew ng'}
    send('POST', '/courses', 201, None, '/courses/CSE101', headers=token, json=course)
    send('POST', '/courses', 409, headers=token, json=course)
    send('POST', '/courses', 400, {'error': 'course code must be provided'}, headers=token,
         json={**course, 'code': ''})
    send('PUT', '/courses/CSE115', 204, None, '/courses/CSE115', headers=token,
         json={'name': 'Python', 'instructor': 'Alvice preisly'})
    send('PUT', '/courses/CSE115', 400, {
        'error': "Course name and instructor's name must be provided"}, headers=token,
        json={'name': 'Python'})
    send('PATCH', '/courses/CSE115', 204, None, '/courses/CSE115', headers=token,
         json={'instructor': 'Alvice preisly'})
    send('PATCH', '/courses/CSE115', 400, {
        'error': "Course name or instructor's name must be provided"}, headers=token, json={})
    send('GET', '/courses/CSE115', 200, {'code': 'CSE115', 'name': 'Python',
                                         'instructor': 'Alvice preisly'}, headers=token)
    send('DELETE', '/courses/CSE115', 204, None, '/courses/', headers=token)
    send('DELETE', '/courses/CSE115', 404, missing, headers=token)


def bearer(answer):
    """Return the header for the token in an answer of /token."""
    return {'Authorization': f'Bearer {answer["access_token"]}'}


with service() as process:
    url = process.url
    for tutorial in [weekend, films, records, users, courses]:
        tutorial()
print(f'The tutorials\' requests: {passed} checks passed, {failed} failed')
sys.exit(failed > 0)
