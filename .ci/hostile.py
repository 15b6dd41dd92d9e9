"""Send hostile requests, as raw bytes, to a freshly started service.

After each: the status is one of those that are right, an error is JSON without a traceback or a
path of the machine, no header is a request's making, no page but one of CORS_ORIGIN may read the
answer, nothing was stored, and the service still answers.
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
INJECTED = re.compile(rb'(?i)[\r\n]\s*injected')  # by a request that has "Injected" in it
FILM = '{"name": "Dune", "year": 2021, "month": "October"}'
ORIGIN = 'https://a.example'
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
    if INJECTED.search(received):
        wrong.append('the request made a header')
    if b'Access-Control-Allow-Origin' in head and f'\r\nOrigin: {ORIGIN}\r\n'.encode() not in data:
        wrong.append('a page of another origin may read it')
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


def odd_queries():
    """Queries of each listing that it should refuse, or find nothing for; and odd origins."""
    bad = ['x=1', 'x', '=', '=1', 'limit=1&limit=1', 'q=a&q=b', 'sort=x', 'sort=password', 'salt=x',
           'sort=salt', 'password=x', 'limit=', 'limit=0', 'limit=-1', 'limit=1001', 'limit=1e2',
           'limit=x', 'limit=%00', 'limit=true', 'limit=null', 'limit=[1]', 'limit=NaN', 'q=',
           'offset=-1', 'offset=1.5', 'offset=1000000000', 'offset=Infinity', 'q=%FF', '%FF=1',
           'q=\xff', '\xff', 'q=\xc3\xa9', 'q=%ED%A0%80', 'q=%C3', 'q=' + 'x' * 201, 'Limit=1',
           'limit=' + '9' * 5000, 'offset=' + '[' * 9000, 'limit=' + '%5B' * 9000, 'sort=,',
           'sort=' + 'id,' * 5000 + 'id', '&'.join(f'x{number}=1' for number in range(3000)),
           '&'.join(['limit=1'] * 3000), 'limit=1;offset=1', 'limit%00=1',
           '%0D%0ASet-Cookie:%20a=b']
    for path, field in [('/films', 'Year'), ('/api/list', 'id'), ('/users', 'cn'),
                        ('/courses', 'code')]:
        for query in [*bad, f'{field}=%0D%0A', f'{field}=1&{field}=1']:
            for method in ['GET', 'HEAD']:
                attack('query', request(f'{method} {path}?{query}', token), 400)
        for query in ['', '&&&', 'q=%0D%0ASet-Cookie:%20a=b', 'q=%00', 'q=%25&limit=1000',
                      'q=%3E%3B%20rel=%22next%22,%20%3C/x%3E', 'q=' + '%F0%9F%98%80' * 200,
                      'q=%E2%80%A8', f'sort={field},-{field}',
                      f'sort=-{field}&limit=1&offset=999999999']:
            data = request(f'GET {path}?{query}', token)
            attack('query', data, 200)
            head = exchange(data).partition(b'\r\n\r\n')[0]
            link = re.findall(rb'\r\nLink: (.*)\r', head)
            if len(link) != 1 or b'Set-Cookie' in head.replace(link[0], b'') or not re.fullmatch(
                    rb'<[!-;=?-~]+>; rel="\w+"(, <[!-;=?-~]+>; rel="\w+")*', link[0]):
                attack(f'the Link of {query[:40]}', data, 0)  # which no answer has
        attack('long query', request(f'GET {path}?q={"x" * 40_000}', token), 431)
        for value in ['\xff', '\xc3\xa9', '', 'null', '*', 'a' * 9000, 'http://a, http://b']:
            for header in ['Origin', 'Sec-Fetch-Site', 'Access-Control-Request-Method', 'Accept']:
                for method in ['GET', 'OPTIONS']:
                    attack('header', request(f'{method} {path}', token, f'{header}: {value}'),
                           200, 204)


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


def odd_values():
    """Names and values in the queries of the listings: no UTF-8, no number, too long, too many."""
    long, breaks = 'a' * 30_000, ['%0D%0A', '%0A', '%0D', '%0D%0A%20', '%C4%8D%C4%8A', '%C2%85',
                                  '%E5%98%8D%E5%98%8A', '%E2%80%A8', '%250D%250A', '%3E,%0D%0A']
    refused = [
        # Unknown, there twice, or empty.
        '__class__=x', 'limit[]=1', '%00', '&=&', '?', '?limit=1', 'limit%3D1', '+limit=1',
        'limit=1&%6cimit=1', 'limit=1&offset=1&limit=', 'limit', 'q', 'sort', 'sort=', 'limit==1',
        # No UTF-8; not even where the bytes on both sides of a mark would be.
        '%FF', '%FF=%FF', '%C3=%A9', 'q=%C3&%A9=1', 'q=%C3+%A9', 'q=%C0%AF', 'q=%F4%90%80%80',
        'limit=%FF', 'sort=%FF', '\xff=q', 'limit=\xb2', f'q={"%FF" * 9000}',
        # No numbers, or none that are allowed.
        *(f'{name}={value}' for name in ['limit', 'offset'] for value in [
            '-' + '9' * 5000, '1' + '0' * 30_000, '0.' + '1' * 5000, '1.0', '1e999', '01', '0x1',
            '1_0', '%2B1', '%D9%A1', '%EF%BC%91', '"1"', '{}', '[' * 9000 + ']' * 9000, '1%00',
            '%5B' * 9000 + '%5D' * 1000, '{"a":' * 5000, '\\ud800', '%22%5Cud800%22', long]),
        # Too long, too many, or sorted by what is not shown.
        f'q={long}', f'q={"%00" * 9000}', f'q={"%5B" * 9000}', f'{long}=1', f'sort={long}',
        'sort=-salt', 'sort=' + 'password,' * 3000, 'sort=' + ',' * 30_000, 'sort=--q', 'sort=%00',
        'sort=__class__', 'x=1&' * 8000, 'q&' * 16_000, '&'.join(f'{n}=' for n in range(5000)),
        # What would be a header.
        *(f'{line}Injected:%201{end}' for line in breaks for end in ['', '=1']),
        *(f'{name}=1{line}Injected:1' for line in breaks for name in ['limit', 'sort', 'offset'])]
    found = ['&' * 30_000, f'limit=1{"&" * 30_000}', 'limit=1000&offset=999999999', 'q=%', 'q=%zz',
             'q=%u0041', 'q=\'"<script>', 'q==', 'q=a=b', 'q=.*', 'q=+', f'q={"[" * 200}',
             f'q={"%5B" * 200}', 'q=%EF%BF%BD', *(f'limit=1&q={line}Injected:1' for line in breaks)]
    for path, text, other in [('/films', 'Name', 'Year'), ('/api/list', 'value1', 'id'),
                              ('/users', 'sn', 'accountLocked'), ('/courses', 'name', 'limit')]:
        bad = [*refused, f'{text}={long}', f'{text}=%FF', f'{text}=a&{text}=a', f'sort={text},',
               f'sort={text},password', f'sort={text},-salt', f'sort=--{text}', f'sort={text}%00',
               f'sort={text}&sort=-{text}', f'sort={",".join([text, f"-{text}"] * 1500)}',
               *(f'{other}={value}' for value in ['9' * 5000, '[' * 9000, '%5B' * 9000, '{}', '[1]',
                                                  'null', '%00', '', *breaks])]
        good = [*found, *(f'{text}={value}' for value in [
            '9' * 30, 'NaN', '1e999', '%00', '"', "'--", '*', *(f'{x}Injected:1' for x in breaks)])]
        for statuses, queries in ([400], bad), ([200], good), ([431], ['x=1&' * 9000]), (
                [200, 400], ['q=\x00', 'q=a\tb=c&', 'q=a b', 'q=a\rInjected: 1', 'q=#a']):
            for query in queries:
                attack(f'{path}?', request(f'GET {path}?{query}', token), *statuses)


def foreign_pages():
    """Requests of pages whose origins are not CORS_ORIGIN's, or only look like it."""
    for origin in ['\xff', '\xc3\xa9', '\x00', '', 'null', '*', f'{ORIGIN}\xff', f'{ORIGIN}\x00',
                   f'{ORIGIN}/', f'{ORIGIN}.evil', f'{ORIGIN}, {ORIGIN}', ORIGIN.upper(),
                   ORIGIN[:-1], f'x\r\nOrigin: {ORIGIN}, x', f'x\tInjected: {"a" * 9000}']:
        for site in ['cross-site', 'same-site', '\xff', 'cross-site\xff', '']:
            headers = [token, key, f'Origin: {origin}', f'Sec-Fetch-Site: {site}']
            for line, status in [('GET /films?limit=1', 200), ('GET /users?limit=x', 400),
                                 ('GET /%FF', 400), ('HEAD /nowhere', 404)]:
                wanted = request(line, *headers)
                attack('page', wanted, 400 if '\x00' in origin else status)
            if site in ('cross-site', 'same-site'):
                for line, kind, body in [('POST /films', FORM, 'name=x&year=2021&month=May'),
                                         ('POST /films', JSON, FILM), ('PUT /films/1', JSON, FILM),
                                         ('DELETE /films/1', JSON, ''), ('PUT /data', JSON, ''),
                                         ('PATCH /api/modify/1', JSON, '{"value1": "x"}'),
                                         ('DELETE /users/bob', JSON, ''), ('POST /', JSON, '{}')]:
                    changing = request(line, kind, *headers, body=body)
                    attack('page', changing, 400 if '\x00' in origin else 403)


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


with service(RATE_LIMIT='0', CORS_ORIGIN=ORIGIN) as process:
    url = process.url
    address = (urlsplit(url).hostname, urlsplit(url).port)
    token = 'Authorization: Bearer ' + requests.post(url + '/login', json=ACCOUNT, timeout=10).text
    key = 'api-key: ' + requests.post(f'{url}/api/generate_key/eve', timeout=10).json()['api_key']
    bearer = {'Authorization': token.partition(': ')[2]}
    before = stored()
    for family in [broken_bodies, odd_paths, odd_queries, odd_values, foreign_pages,
                   broken_requests, forged_sign_ins]:
        family()
print(f'Hostile requests: {sent - failures} answered well, {failures} not')
sys.exit(failures > 0)
