"""Send the requests that the tutorials print, in their order, to a fresh service.

Each answer is what the tutorial prints for it, but for what the README's table says is
different here.
"""
import shutil
from unittest.mock import ANY

from service import ACCOUNT, Client, check, finish, service

AVENGERS = {'Name': 'Avengers: Infinity War', 'Year': 2018, 'Month': 'March'}
ANT_MAN = {'Name': 'Ant Man and the Wasp', 'Year': 2018, 'Month': 'August'}
FORGOT = 'Oops! You forgot to add a {0} after! Please specify a {0} and try again!'
DATES = {'creationdate': ANY, 'lastmodificationdate': ANY}
ALICE = {
    'accountLocked': False,
    'cn': 'alice',
    'displayName': 'Alice Parker',
    'dn': 'cn=alice,ou=people,dc=dbsentry,dc=com',
    'givenName': 'Alice',
    'mail': 'alice@dbsentry.com',
    'memberOfs': ['cn=Admins,ou=groups,dc=dbsentry,dc=com'],
    'sn': 'Parker',
    'uid': 'Alice',
}
BOB = {
    'accountLocked': False,
    'cn': 'bob',
    'displayName': 'Bob Parker',
    'dn': 'cn=bob,ou=people,dc=dbsentry,dc=com',
    'givenName': 'Bob',
    'mail': 'bob@dbsentry.com',
    'memberOfs': ['cn=getafix,ou=groups,dc=dbsentry,dc=com'],
    'sn': 'Parker',
    'sshPublicKeys': [],
    'uid': 'bob',
}
NEURAL = {
    'name': 'Introduction to neural network',
    'code': 'CSE465',
    'instructor': 'Andrew Ng',
}
PROGRAMMING = {
    'name': 'Introduction to programming language',
    'code': 'CSE115',
    'instructor': 'John stuart',
}


def record(number, owner, timestamp, value1, value2, value3):
    """Return a record as the service shows it."""
    return {
        'id': number,
        'timestamp': timestamp,
        'value1': value1,
        'value2': value2,
        'value3': value3,
        'lastmodifiedby': owner,
        **DATES,
    }


RECORDS = [
    record(1, 'ironman', 2392822832.21, 'Boston Terrier', 9938212273.32, True),
    record(
        2,
        'thor',
        8929109,
        'The only thing permanent in life is impermanence!',
        88239244423.21,
        False,
    ),
    record(3, 'blackwidow', 6789998212.0, 'What a great day!', 221220231.01, True),
    record(4, 'loki', 67182, 'Where are the mere mortals?', 88239244423.21, False),
    record(
        5,
        'captain_america',
        828283281.21,
        "No, I don't think I will..",
        781230.21,
        True,
    ),
]


def send(line, status, body, location=None, **sent):
    """Send a request; check the status, body and Location of the answer.

    Return the body: as JSON where the answer says so, and else as text.
    """
    method, path = line.split()
    answer = client.send(method, path, **sent)
    found = answer.text
    if answer.text and answer.headers['Content-Type'] == 'application/json':
        found = answer.json()
    check(f'{line}: status', answer.status_code, status)
    check(f'{line}: body', found, body)
    check(f'{line}: Location', answer.headers.get('Location'), location)
    return found


def weekend():
    """Building a simple Python API in 2 Hours: /data, /token, /run-script."""
    hey = {'message': 'Hey please use the POST method for this endpoint'}
    send('GET /data', 200, hey)
    send('POST /data', 200, {'key': 'value'}, json={'key': 'value'})
    answer = {'access_token': ANY, 'token_type': 'Bearer', 'expires_in': 1800}
    token = send('POST /token', 200, answer, json=ACCOUNT)['access_token']
    bearer = {'Authorization': f'Bearer {token}'}
    if shutil.which('pwsh'):
        ran = {'output': ANY, 'error': ''}
        report = send('POST /run-script', 200, ran, headers=bearer)['output']
        check('the report of script.ps1', 'PowerShell:' in report)
    else:
        send('POST /run-script', 503, {'message': ANY}, headers=bearer)


def films():
    """The notebook on creating and accessing an API, its cells one after the other."""
    send('GET /', 200, {'hello': 'world'})
    send('GET /films', 200, {'1': AVENGERS, '2': ANT_MAN})
    send('GET /films/1', 200, AVENGERS)
    send('GET /films/3', 404, {'message': "Film 3 doesn't exist"})
    send('DELETE /films/1', 204, '')
    send('GET /films', 200, {'2': ANT_MAN})
    form = {'name': 'Avengers: Infinity War', 'year': 2018, 'month': 'March'}
    send('PUT /films/1', 201, AVENGERS, data=form)
    send('GET /films', 200, {'1': AVENGERS, '2': ANT_MAN})
    send('GET /hello_world', 401, {'message': ANY})
    account = ('admin', 'atCh_5K}?g')
    send('GET /hello_world', 200, {'Hello': 'World'}, auth=account)


def records():
    """Project Phoenix: a key, then what is done with records."""
    key = {
        'api_key': ANY,
        'created_on': ANY,
        'message': 'Congrats! Your API Key has been created!',
        'status': 'success',
        'username': 'sumit',
    }
    taken = 'The username you are trying to register has been already used!'
    sumit = {'api-key': send('GET /api/generate_key/sumit', 201, key)['api_key']}
    falcon = client.make_key('falcon')
    refused('GET /api/generate_key/', 400, FORGOT.format('username'))
    refused('GET /api/generate_key/sumit', 409, taken)

    line = 'POST /api/create'
    fields = record(6, 'sumit', 6789998212, 'Hello', 2021.01, True)
    sent = {name: fields[name] for name in ['timestamp', 'value1', 'value2', 'value3']}
    created = {
        'message': 'Your entry has successfully been added to the database!',
        'record_info': fields,
        'status': 'success',
    }
    stranger = (
        'You are not authenticated! '
        'Please add an authentication key to the header and try again!'
    )
    nothing = 'Please populate atleast one field into the record and try again!'
    refused(line, 401, stranger, json=sent)
    send(line, 201, created, headers=sumit, json=sent)
    refused(line, 400, nothing, headers=sumit, json={})

    found = {'message': 'Record found!', 'record_info': RECORDS[4], 'status': 'success'}
    send('GET /api/list', 200, [*RECORDS, fields])
    send('GET /api/read/5', 200, found)
    refused('GET /api/read/', 400, FORGOT.format('number'))

    change = {'value1': "Yes I think I won't....", 'value2': 1920.02, 'value3': False}
    modified = {
        'message': 'Your record has successfully been modified!',
        'record_info': {**RECORDS[4], **change, 'lastmodifiedby': 'falcon'},
        'status': 'success',
    }
    unknown = 'The record does not exist! Please try a different record number!'
    send('PATCH /api/modify/5', 200, modified, headers=falcon, json=change)
    refused('PATCH /api/modify/99', 404, unknown, headers=falcon, json=change)
    refused('PATCH /api/modify/', 400, FORGOT.format('number'))

    removed = {'message': 'Your record has been removed!', 'status': 'success'}
    send('DELETE /api/remove/5', 200, removed, headers=sumit)
    refused('DELETE /api/remove/', 400, FORGOT.format('number'))


def refused(line, status, message, **sent):
    """Send a request that is refused with this message, in the form of the records."""
    send(line, status, {'status': 'failed', 'message': message}, **sent)


def users():
    """The REST API for users of a directory."""
    bearer = client.sign_in()
    carol = {**BOB, 'cn': 'carol', 'dn': 'cn=carol,ou=people,dc=dbsentry,dc=com'}
    send('GET /users', 200, [ALICE, BOB], headers=bearer)
    send('GET /users/alice', 200, ALICE, headers=bearer)
    send('POST /users', 201, carol, '/users/carol', headers=bearer, json=carol)
    change = {'mail': 'b@dbsentry.com'}
    send('PUT /users/bob', 200, {**BOB, **change}, headers=bearer, json=change)
    send('DELETE /users/bob', 200, 'Deleted User: bob', headers=bearer)
    send('GET /authkeys?username=alice', 200, '')


def courses():
    """Flask with Docker and JWT: the login, then the courses."""
    token = send('POST /login', 200, ANY, json=ACCOUNT)
    bearer = {'Authorization': f'Bearer {token}'}
    faisal = {'username': 'faisal', 'password': 'faisal'}
    wrong = {'error': 'username or password is not correct'}
    send('POST /login', 401, wrong, json=faisal)
    send(f'GET /courses?token={token}', 401, {'message': ANY})
    send('GET /courses', 200, {'courses': [NEURAL, PROGRAMMING]}, headers=bearer)
    send('GET /courses/CSE115', 200, PROGRAMMING, headers=bearer)

    course = {'code': 'CSE101', 'name': 'Python', 'instructor': 'Andrew ng'}
    without_code = {'error': 'course code must be provided'}
    send('POST /courses', 201, '', '/courses/CSE101', headers=bearer, json=course)
    course['code'] = ''
    send('POST /courses', 400, without_code, headers=bearer, json=course)

    line = 'PUT /courses/CSE115'
    place = '/courses/CSE115'
    change = {'name': 'Python', 'instructor': 'Alvice preisly'}
    without_both = {'error': "Course name and instructor's name must be provided"}
    send(line, 204, '', place, headers=bearer, json=change)
    send(line, 400, without_both, headers=bearer, json={'name': 'Python'})

    line = 'PATCH /courses/CSE115'
    change = {'instructor': 'John stuart'}
    without_one = {'error': "Course name or instructor's name must be provided"}
    send(line, 204, '', place, headers=bearer, json=change)
    send(line, 400, without_one, headers=bearer, json={})

    line = 'DELETE /courses/CSE115'
    unknown = {'error': 'Course code is not found in the courses'}
    send(line, 204, '', '/courses', headers=bearer)
    send(line, 404, unknown, headers=bearer)


if __name__ == '__main__':
    with service() as process:
        client = Client(process.url)
        for tutorial in [weekend, films, records, users, courses]:
            tutorial()
    finish("The tutorials' requests")
