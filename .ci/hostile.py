"""Send hostile requests, as raw bytes, to a freshly started service.

After each: the status is one of those that are right, an error is JSON without a traceback or a
path of the machine, nothing was stored, and the service still answers.
"""
import base64
import contextlib
import json
import re
import socket
import sys
from urllib.parse import urlsplit

import requests
from service import ACCOUNT, service

JSON, FORM = 'Content-Type: application/json', 'Content-Type: application/x-www-form-urlencoded'
LEAK = re.compile(rb'(?i)Traceback|File "|\.py", line|<html|<h1|/tmp/|/home/|/usr/|/root/')
FILM = '{"name": "Dune", "year": 2021, "month": "October"}'
sent, failures = 0, 0


def exchange(data):
    """Send bytes; return all that comes back until the service or the time-out ends it."""
    with socket.create_connection(address, timeout=10) as connection:
        received = b''
        with contextlib.suppress(OSError):  # it may answer, and close, before it has read all
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while part := connection.recv(65536):
                received += part
    return received


def request(line, *headers, body=b''):
    """Return the bytes of a request; a text becomes UTF-8, and Content-Length is added."""
    body = body if isinstance(body, bytes) else body.encode()
    headers = ['Host: x', 'Connection: close', *headers, f'Content-Length: {len(body)}']
    return '\r\n'.join([f'{line} HTTP/1.1', *headers, '', '']).encode('latin-1') + body


def attack(what, data, *statuses):
    """Send bytes and check the answer, which has one of these statuses."""
    global sent, failures
    sent += 1
    received = exchange(data)
    head, _, body = received.partition(b'\r\n\r\n')
    status = int(head.split(b' ')[1]) if head.startswith(b'HTTP/') else 0
    wrong = []
    if status not in statuses:
        wrong.append(f'status {status}, not {statuses}')
    if LEAK.search(received):
        wrong.append('it shows the inside of the service')
    if status >= 400 and b'Content-Type: application/json' not in head:
        wrong.append('the error is not JSON')
    elif status >= 400 and not data.startswith(b'HEAD') and not isinstance(json.loads(body), dict):
        wrong.append('the error is not an object')
    if status == 401 and b'Www-Authenticate' not in head and b'"failed"' not in body:
        wrong.append('401 without WWW-Authenticate')
    if stored() != before:
        wrong.append('something was stored')
    if wrong:
        failures += 1
        print(f'{what}: {"; ".join(wrong)}\n  {data[:200]!r}\n  {received[:300]!r}')


def stored():
    """Return all that the service has stored and shows."""
    return [requests.get(url + path, headers=bearer, timeout=10).json()
            for path in ['/films', '/api/list', '/users', '/courses']]


def broken_bodies():
    """Bodies that are no JSON, no form, too long or of another type, to each route with one."""
    deep = [b'[' * n + b']' * n for n in (2000, 20_000, 50_000)]
    bodies = [b'', b'{', b'nul', b'{"name": NaN}', b'[Infinity]', b'1e999', b'"\xff"',
              b'\xef\xbb\xbf{}', b'{\x00}', b'"\\ud800"', b'{"\\udc00": 1}',
              '{"a": 1}'.encode('utf-16'), b'[1,]', b"{'a': 1}", b'1' * 5000,
              b'{"a":' * 20_000 + b'1' + b'}' * 20_000, *deep]
    routes = [('POST /data', ()), ('POST /token', ()), ('POST /login', ()), ('POST /films', ()),
              ('PUT /films/1', ()), ('POST /api/create', (key,)), ('PATCH /api/modify/1', (key,)),
              ('POST /users', (token,)), ('PUT /users/bob', (token,)),
              ('PATCH /users/bob', (token,)), ('POST /courses', (token,)),
              ('PUT /courses/CSE115', (token,)), ('PATCH /courses/CSE115', (token,))]
    for line, headers in routes:
        for body in bodies:
            if body not in deep[:1]:  # which some versions of Python can parse, and send back
                attack(f'{line} broken', request(line, JSON, *headers, body=body), 400, 413)
        for body in [b'null', b'[]', b'"text"', b'3.5', b'true', b'[{}]']:
            if line != 'POST /data':
                attack(f'{line} no object', request(line, JSON, *headers, body=body), 400)
        for kind in ['text/plain', 'multipart/form-data; boundary=x', 'application/xml', ',', '']:
            typed = request(line, f'Content-Type: {kind}', *headers, body=b'{}')
            attack(f'{line} {kind}', typed, 415)
        attack(f'{line} long', request(line, JSON, *headers, body=b'"%s"' % (b'a' * 102_400)), 413)
    for body in [b'name=%FF&year=2021&month=May', b'name=\xff', b'name', b'%', b'=&=&=',
                 b'&' * 50_000, b'a=' * 50_000, b'name=x&year=%B2%B2&month=May',
                 b'name=x&year=2021.5&month=May']:
        attack('POST /films form', request('POST /films', FORM, body=body), 400)


def odd_paths():
    """Paths that should find nothing, with each method."""
    for path in ['/films/%FF1', '/films/1%0A', '/films/1%00', '/films/%2e%2e', '/films/1/', '/film',
                 '/films/' + 'x' * 65, '/films/1%2F', '/films/%EF%BC%91', '/films/a%20b',
                 '/users/%FFbob', '/users/*', '/users/(cn=*)', '/api/read/-1', '/api/read/%D9%A5',
                 '/api/read/1e0', '/%', '/api/read/1%0A', '/courses/cse115', '/courses/CSE115%20',
                 '/docs/..%2f..%2fapi.py', '/docs/%2e%2e/api.py', '/swagger.yaml/', '/api.py',
                 '/.git/config', '/' + 'x' * 9000, 'http://[', 'http://x:y/%FF', '*']:
        for method in ['GET', 'PUT', 'DELETE', 'HEAD']:
            attack('odd path', request(f'{method} {path}', JSON, token, key, body=FILM),
                   400, 403, 404, 405)


def broken_requests():
    """What waitress has to refuse, or to survive."""
    for data in [b'\x00' * 100 + b'\r\n\r\n', b'GET\r\n\r\n', b'GET /films\r\n\r\n',
                 b'GET  /films HTTP/1.1\r\n\r\n', b'get /films HTTP/1.1\r\n\r\n',
                 b'G\x00T /films HTTP/1.1\r\n\r\n', b'GET /films HTTP/1.1\r\nno colon\r\n\r\n',
                 b'GET /films HTTP/1.1\r\nA: b\rc\r\n\r\n',
                 b'GET /films HTTP/1.1\r\nA : b\r\n\r\n',
                 b'GET /films HTTP/1.1\r\nA: \x00\r\n\r\n',
                 b'POST /films HTTP/1.1\r\nContent-Length: -1\r\n\r\n',
                 b'POST /films HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\nx',
                 b'POST /films HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
                 b'POST /films HTTP/1.1\r\nContent-Length: %s\r\n\r\n' % (b'9' * 5000),
                 b'POST /films HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n',
                 b'POST /films HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
                 b'POST /films HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n',
                 b'POST /films HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n']:
        attack('broken request', data, 200, 400, 404, 405, 413, 415)
    attack('long header', request('GET /films', 'X: ' + 'a' * 300_000), 431)
    attack('long body', request('POST /data', JSON, body=b'a' * 3_000_000), 413)
    for method in ['TRACE', 'CONNECT', 'PROPFIND', 'PATCH', 'XXX']:
        attack(method, request(f'{method} /films'), 405)


def forged_sign_ins():
    """Headers that look like a sign-in."""
    head, claims, signature = token.split()[-1].split('.')

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip('=')

    for algorithm in ['none', 'None', 'NONE', '', None, 1, [], ['HS256'], {}, 'RS256', 'HS512',
                      'HS256 ']:
        for end in ['', signature]:
            forged = f'{part({"alg": algorithm, "typ": "JWT"})}.{claims}.{end}'
            attack('algorithm', request('GET /users', f'Authorization: Bearer {forged}'), 401)
    ours = part({'sub': 'admin', 'exp': 9999999999})
    for forged in ['', 'x', '..', '....', f'{head}.{claims}', f'{head}.{claims}.', 'null', 'a b',
                   f'.{claims}.{signature}', f'{head}.{ours}.{signature}', f'{signature}' * 500,
                   f'{part([])}.{claims}.{signature}', '\xff\xfe.\xfd.\xfc']:
        attack('token', request('GET /users', f'Authorization: Bearer {forged}'), 401)
    right = token.split()[-1]
    for header in ['', right, f'Token {right}', f'JWT {right}', f'Basic {right}',
                   f'Bearer\t{right}', 'Bearer', 'Basic', 'Basic !', 'Basic \xff',
                   'Basic YWRtaW4=', 'Basic Og==', 'Basic //8=',
                   'Basic ' + base64.b64encode('admin:pässword'.encode()).decode(),
                   'Basic ' + base64.b64encode(b'admin:').decode()]:
        for path in ['/users', '/courses', '/hello_world', '/users/alice']:
            attack('header', request(f'GET {path}', f'Authorization: {header}'), 401)
        attack('header', request('POST /run-script', f'Authorization: {header}'), 401)
    attack('in the URL', request(f'GET /courses?token={right}'), 401)
    for header in ['', 'x', '\xff', right, f'{key.split()[-1]}x', f'{key.split()[-1]}, x', 'null']:
        body = '{"value1": "x"}'
        attack('key', request('POST /api/create', JSON, f'api-key: {header}', body=body), 401)
    for password in ['null', '0', 'true', '[]', '{}', '"x"', '""', '"\\u0000"', '"pässword"']:
        for path in ['/token', '/login']:
            for name in ['"admin"', '"nobody"', 'null']:
                body = f'{{"username": {name}, "password": {password}}}'
                attack('sign-in', request(f'POST {path}', JSON, body=body), 400, 401)


with service(RATE_LIMIT='0') as process:
    url = process.url
    address = (urlsplit(url).hostname, urlsplit(url).port)
    token = 'Authorization: Bearer ' + requests.post(url + '/login', json=ACCOUNT, timeout=10).text
    key = 'api-key: ' + requests.post(f'{url}/api/generate_key/eve', timeout=10).json()['api_key']
    bearer = {'Authorization': token.partition(': ')[2]}
    before = stored()
    for family in [broken_bodies, odd_paths, broken_requests, forged_sign_ins]:
        family()
print(f'Hostile requests: {sent - failures} answered well, {failures} not')
sys.exit(failures > 0)
