# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "bottle==0.13.4",
#     "pyjwt==2.15.1",
#     "pyyaml==6.0.4",
#     "swagger-ui-bundle-v2==5.31.0",
#     "waitress==3.0.2",
#     "webtest==3.0.7",
# ]
# ///
"""Tests of api.py, a class for each of its rooms.

    python test_api.py                     all of them
    python test_api.py Films Users         some classes
    python test_api.py Films.test_delete   one test

TEST_DATABASE_URL in the environment names a database to run them over. All of its
tables are deleted!
"""
import base64
import contextlib
import hashlib
import hmac
import http.client
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import unittest
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock
from urllib.parse import quote, unquote, urlencode, urlsplit

SETTINGS = [
    'HOST',
    'PORT',
    'SECRET_KEY',
    'API_USERNAME',
    'API_PASSWORD',
    'RATE_LIMIT',
    'TRUSTED_PROXY',
    'MAX_ITEMS',
    'CORS_ORIGIN',
    'DATABASE_URL',
    'SCRIPT_TIMEOUT',
]


def drop_tables(url):
    """Delete all tables of a database."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(url)
    tables = sqlalchemy.MetaData()
    tables.reflect(engine)
    tables.drop_all(engine)
    engine.dispose()


# The tests are of the defaults, but for the database.
for setting in SETTINGS:
    os.environ.pop(setting, None)
database = os.environ.pop('TEST_DATABASE_URL', '')
if database:
    os.environ['DATABASE_URL'] = database
    drop_tables(database)

import webtest

import api

try:
    import jwt
except ImportError:
    jwt = None  # a piece of api.py without tokens does without it

# api.py may be a piece, with some of its sections only. What a class needs of the
# others it names with needs(); this page takes a piece as it is.
HERE = Path(api.__file__).resolve().parent
START = {one.name: dict(one) for one in getattr(api, 'all_collections', [])}
HAS_TOKENS = jwt is not None and hasattr(api, 'DEMO')
HAS_DATABASE = bool(getattr(api, 'DATABASE_URL', ''))
JSON = {'Content-Type': 'application/json'}
FORM = {'Content-Type': 'application/x-www-form-urlencoded'}
DUNE = {'name': 'Dune', 'year': 2021, 'month': 'October'}  # a film to send
# Tests fail to sign in more often than is allowed, and can't wait for each hash.
QUICK = {'RATE_LIMIT': 0, 'SCRYPT': {'n': 2, 'r': 1, 'p': 1}}


def needs(*names):
    """Return a decorator that skips a test, or a class, if api.py lacks such a name."""
    lacking = [name for name in names if not hasattr(api, name)]
    return unittest.skipIf(lacking, f'api.py has no {", ".join(lacking)}')


def reset(collection):
    """Give a collection the items, and the next number, that it starts with."""
    start = START[collection.name]
    with collection.storage.writing() as items:
        items.last_number = len(start)
        items.clear()
        items.update(start)


class Case(unittest.TestCase):
    """A test with a client and with the data that a freshly started service has."""

    maxDiff = None

    def setUp(self):
        for collection in getattr(api, 'all_collections', []):
            reset(collection)
        if hasattr(api, 'attempts'):
            api.attempts.clear()
        quick = {name: value for name, value in QUICK.items() if hasattr(api, name)}
        if quick:
            self.patch(**quick)
        self.app = client()
        self.bearer = bearer(api.DEMO) if HAS_TOKENS else {}

    def patch(self, **values):
        """Give names of api.py other values until the test ends."""
        patcher = mock.patch.multiple(api, **values)
        patcher.start()
        self.addCleanup(patcher.stop)

    def refused(self, answer, *words, error='message'):
        """Check that an answer is a JSON error that has these words in it."""
        self.assertEqual(answer.content_type, 'application/json')
        for word in words:
            self.assertIn(word, answer.json[error])


def client(address='192.0.2.1'):
    """Return a client at this address, for a thread of its own."""
    return webtest.TestApp(api.app, {'REMOTE_ADDR': address})


def basic(username, password):
    """Return the header of HTTP Basic for a name and a password, as text or bytes."""
    if isinstance(username, str):
        username = username.encode()
        password = password.encode()
    account = base64.b64encode(username + b':' + password).decode()
    return {'Authorization': f'Basic {account}'}


def bearer(account, **claims):
    """Return the header with a token for an account; claims replace those it has.

    It is made without api.py; a claim that is None is left out.
    """
    now = int(time.time())
    claims = {
        'sub': account['cn'],
        'iat': now,
        'exp': now + 60,
        'password_version': account.get('password_version'),
        **claims,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    return token_header(jwt.encode(claims, api.SECRET_KEY, 'HS256'))


def token_header(token):
    """Return the header that carries a token."""
    return {'Authorization': f'Bearer {token}'}


def at_once(work, arguments):
    """Call work with each argument, from 12 threads that take turns very often.

    Return what the calls returned, in the order of the arguments.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(12) as pool:
            return list(pool.map(work, arguments))
    finally:
        sys.setswitchinterval(interval)


@contextlib.contextmanager
def slow_lookups():
    """Let a moment pass between what "key in items" finds and what is made of it."""
    with contextlib.ExitStack() as stack:
        for kind in [api.Collection, api.Rows if HAS_DATABASE else api.Memory]:
            stack.enter_context(
                mock.patch.object(kind, '__contains__', slow(kind.__contains__))
            )
        yield


def slow(contains):
    """Return a method like this one that takes a moment longer."""

    def wait(items, key):
        found = contains(items, key)
        time.sleep(0.0005)
        return found

    return wait


def public_key(kind, *fields):
    """Return a line of a .pub file: a key of this kind with these fields, in bytes."""
    key = b''
    for field in [kind.encode(), *fields]:
        key += len(field).to_bytes(4, 'big') + field
    return f'{kind} {base64.b64encode(key).decode()}'


def of_kind(kind):
    """Return a public key of this kind, with 32 zeros for a key."""
    return public_key(kind, bytes(32))


ED25519 = of_kind('ssh-ed25519')


@contextlib.contextmanager
def service(folder=HERE, before='', **environment):
    """Start the api.py of a folder as a user does, on a free port; yield its process.

    It has two more attributes: url, and lines, which are those that it prints first.
    before is a command of the shell that comes first.
    """
    words = [sys.executable, 'api.py']
    if before:
        words = ['sh', '-c', f'{before}; exec "$0" "$1"', *words]
    process = subprocess.Popen(
        words,
        cwd=folder,
        env={**os.environ, 'PORT': '0', **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        process.lines = [process.stdout.readline() for _ in api.start_lines]
        found = re.search('http://[^ ]+', process.lines[0])
        if not found:
            raise AssertionError(f'api.py did not start: {process.lines}')
        process.url = found[0]
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def log_of(process):
    """End a service; return the lines that it printed after those of the start."""
    # It writes its log a few times a second.
    time.sleep(1)
    process.kill()
    return process.stdout.read().splitlines()


def fetch(url, data=None, headers=(), timeout=10, method=None):
    """Send a request, with data as JSON; return the status and the answer's JSON."""
    status, _, body = fetch_all(url, data, headers, timeout, method)
    return status, json.loads(body) if body else None


def fetch_all(url, data=None, headers=(), timeout=10, method=None):
    """Send a request, with data as JSON; return status, headers and body."""
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(
        url, body, {**JSON, **dict(headers)}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def raw(url, sent, half=False):
    """Send bytes to the service and return all that it sends back.

    Afterwards the client says that nothing more will come, unless it is only half.
    """
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), 10) as connection:
        connection.sendall(sent)
        if not half:
            connection.shutdown(socket.SHUT_WR)
        received = b''
        # A service that answers early may close the connection before it read all.
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                received += part
        return received


# --- Requests -------------------------------------------------------------------------


def paths():
    """Return every path of the service, with x where it has a part to fill in."""
    return {re.sub('<.*?>', 'x', route.rule) for route in api.app.routes}


def methods_of(path):
    """Return the methods that Allow must name for one of these paths."""
    methods = {'OPTIONS'}
    for route in api.app.routes:
        if re.sub('<.*?>', 'x', route.rule) == path:
            methods.add(route.method)
    if 'GET' in methods:
        methods.add('HEAD')
    return methods


def allowed(answer):
    """Return the methods that the header Allow of an answer names."""
    return set(answer.headers['Allow'].split(','))


@needs('films', 'records', 'users', 'courses', 'post_token', 'post_data')
class Requests(Case):
    """What every section does with a request, and how errors look."""

    def post(self, path, body, headers, status):
        """Send a body as it is; return the answer, which must have this status."""
        return self.app.post(path, body, {**self.bearer, **headers}, status=status)

    def api_key(self):
        """Return the header with a new API key."""
        answer = self.app.post('/api/generate_key/sumit', status=201)
        return {'api-key': answer.json['api_key']}

    # Paths and methods

    def test_unknown_path_is_404(self):
        for path in ['/nowhere', '/films/', '/Films', '//films', '/films/1/x']:
            with self.subTest(path=path):
                self.refused(self.app.get(path, status=404), path)

    def test_wrong_method_is_405_with_allow(self):
        for method, path, methods in [
            ('PATCH', '/films/1', {'GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'}),
            ('GET', '/token', {'POST', 'OPTIONS'}),
            ('HEAD', '/token', {'POST', 'OPTIONS'}),
            ('TRACE', '/health', {'GET', 'HEAD', 'OPTIONS'}),
        ]:
            with self.subTest(method=method, path=path):
                answer = self.app.request(path, method=method, status=405)
                self.assertEqual(allowed(answer), methods)
                if method != 'HEAD':
                    self.refused(answer, 'Method not allowed')

    def test_options_is_204_with_allow_on_every_path(self):
        for path in paths():
            with self.subTest(path=path):
                answer = self.app.options(path, status=204)
                self.assertEqual(allowed(answer), methods_of(path))
                self.assertEqual(answer.body, b'')

    def test_head_is_get_without_body(self):
        for path in ['/', '/films', '/films/1', '/api/list', '/health', '/data']:
            with self.subTest(path=path):
                answer = self.app.get(path)
                head = self.app.head(path)
                self.assertEqual(head.body, b'')
                self.assertEqual(dict(head.headers), dict(answer.headers))

    def test_head_of_what_is_not_there_is_404_without_body(self):
        self.assertEqual(self.app.head('/films/x', status=404).body, b'')

    def test_path_that_is_not_utf8_is_400(self):
        for path in ['/films/%FF1', '/films/1%C0', '/%ED%A0%80', '/films%FF']:
            with self.subTest(path=path):
                self.refused(self.app.get(path, status=400), 'UTF-8')

    def test_path_with_a_line_break_finds_nothing(self):
        for path in [
            '/films/1%0A',
            '/films%0A',
            '/films/%0A1',
            '/api/read/1%0A',
            '/films/1%00',
        ]:
            with self.subTest(path=path):
                self.app.get(path, status=404)

    # Bodies

    def test_broken_json_is_400(self):
        for body in [
            b'',
            b'{',
            b'{"a":}',
            b"{'a': 1}",
            b'nul',
            b'"a',
            b'"\x01"',
            b'[1] 2',
            b'1' * 5000,
        ]:
            with self.subTest(body=body[:20]):
                self.refused(self.post('/data', body, JSON, 400), 'not valid JSON')

    def test_numbers_that_json_lacks_are_400(self):
        for body in [
            b'NaN',
            b'[Infinity]',
            b'-Infinity',
            b'1e999',
            b'-1e999',
            b'{"a": NaN}',
        ]:
            with self.subTest(body=body):
                self.refused(self.post('/data', body, JSON, 400), 'not valid JSON')

    def test_text_that_is_not_utf8_is_400(self):
        for body in [b'"\xff"', b'\xff\xfe1\x000\x00', b'"\xed\xa0\x80"', b'"\xc3']:
            with self.subTest(body=body):
                self.refused(self.post('/data', body, JSON, 400), 'not valid UTF-8')

    def test_lone_surrogates_are_400(self):
        for body in [b'"\\ud800"', b'{"\\udfff": 1}', b'["\\ude00\\ud83d"]']:
            with self.subTest(body=body):
                self.refused(self.post('/data', body, JSON, 400), 'not valid JSON')
        answer = self.post('/data', b'"\\ud83d\\ude00"', JSON, 200)
        self.assertEqual(answer.json, '\U0001f600')

    def test_nesting_up_to_100_comes_back(self):
        for body in [
            b'[' * 100 + b']' * 100,
            b'[' * 99 + b'1' + b']' * 99,
            b'{"a":' * 100 + b'null' + b'}' * 100,
            b'[{"a":' * 50 + b'"x"' + b'}]' * 50,
            b'[' + b'[' * 99 + b']' * 99 + b',[]]',
        ]:
            with self.subTest(body=body):
                answer = self.post('/data', body, JSON, 200)
                self.assertEqual(answer.body.replace(b' ', b''), body)

    def test_deeper_nesting_is_400(self):
        for body in [
            b'[' * 101 + b']' * 101,
            b'{"a":' * 101 + b'null' + b'}' * 101,
            b'[{"a":' * 50 + b'[]' + b'}]' * 50,
            b'[[],' + b'[' * 100 + b']' * 100 + b',1]',
            b'[' * 1000 + b']' * 1000,
            b'[' * 40_000 + b']' * 40_000,
            b'{"a":' * 15_000 + b'1' + b'}' * 15_000,
        ]:
            with self.subTest(body=body[:8], length=len(body)):
                self.refused(self.post('/data', body, JSON, 400), 'not valid JSON')

    def test_broken_nesting_is_400(self):
        for body in [b'[' * 100_000, b'{"a":' * 20_000]:
            with self.subTest(body=body[:8]):
                self.refused(self.post('/data', body, JSON, 400), 'not valid JSON')

    def test_byte_order_mark_before_json_is_passed_over(self):
        mark = b'\xef\xbb\xbf'
        film = b'{"name": "Dune", "year": 2021, "month": "October"}'
        answer = self.post('/data', mark + b'{"a": 1}', JSON, 200)
        self.assertEqual(answer.json, {'a': 1})
        self.post('/films', mark + film, JSON, 201)
        for body in [mark + mark + b'1', b'[' + mark + b'1]', mark]:
            with self.subTest(body=body):
                self.refused(self.post('/data', body, JSON, 400), 'not valid JSON')

    def test_other_content_types_are_415(self):
        for sent in [
            'text/plain',
            'application/xml',
            'multipart/form-data; boundary=x',
            'json',
            'application/jsonx',
            'application/json, text/plain',
            'text/json',
            '',
        ]:
            for path in ['/data', '/token', '/films', '/users', '/courses']:
                with self.subTest(sent=sent, path=path):
                    answer = self.post(path, b'{}', {'Content-Type': sent}, 415)
                    self.refused(answer, 'application/json')

    def test_form_is_415_where_json_is_wanted(self):
        key = self.api_key()
        for path in ['/data', '/users', '/courses', '/api/create']:
            with self.subTest(path=path):
                answer = self.post(path, b'code=x', {**FORM, **key}, 415)
                self.refused(answer, 'application/json')

    def test_content_type_may_have_a_charset_and_capitals(self):
        for sent in [
            'application/json; charset=utf-8',
            'APPLICATION/JSON',
            'application/json;',
            ' application/json ',
        ]:
            with self.subTest(sent=sent):
                answer = self.post('/data', b'{}', {'Content-Type': sent}, 200)
                self.assertEqual(answer.json, {})

    def test_content_encoding_is_415(self):
        key = self.api_key()
        for coding in ['gzip', 'br', 'deflate', 'GZIP', 'x', 'identity, gzip']:
            for path in ['/data', '/token', '/films', '/api/create', '/courses']:
                with self.subTest(coding=coding, path=path):
                    headers = {**JSON, **key, 'Content-Encoding': coding}
                    answer = self.post(path, b'{}', headers, 415)
                    self.refused(answer, 'Content-Encoding')

    def test_content_encoding_may_be_identity(self):
        for coding in ['identity', 'Identity']:
            with self.subTest(coding=coding):
                headers = {**JSON, 'Content-Encoding': coding}
                self.post('/data', b'1', headers, 200)

    def test_body_over_100_KiB_is_413(self):
        longest = b'"%s"' % (b'a' * (100 * 1024 - 2))
        self.post('/data', longest, JSON, 200)
        self.refused(self.post('/data', longest + b' ', JSON, 413), '102400')
        self.refused(self.post('/films', b'name=' + longest, FORM, 413), '102400')

    def test_object_is_needed(self):
        key = self.api_key()
        paths = ['/token', '/login', '/films', '/users', '/courses', '/api/create']
        for value in [None, [], 'text', 3.5, True, [{}]]:
            for path in paths:
                with self.subTest(value=value, path=path):
                    body = json.dumps(value).encode()
                    answer = self.post(path, body, {**JSON, **key}, 400)
                    self.refused(answer, 'object')

    def test_unknown_fields_are_400_with_the_known_ones(self):
        key = self.api_key()
        film = {'name': 'x', 'year': 2000, 'month': 'May'}
        account = {'username': 'x', 'password': 'x'}
        course = {'code': 'x', 'name': 'x', 'instructor': 'x'}
        user = {'cn': 'x', 'sn': 'x'}
        for method, path, body, known, error in [
            ('POST', '/films', film, 'name, year, month', 'message'),
            ('PUT', '/films/1', film, 'name, year, month', 'message'),
            ('POST', '/token', account, 'username, password', 'message'),
            ('POST', '/login', account, 'username, password', 'error'),
            ('POST', '/api/create', {'value1': 'x'}, 'value1, value2', 'message'),
            ('PATCH', '/api/modify/1', {'value1': 'x'}, 'value1, value2', 'message'),
            ('POST', '/users', user, 'accountLocked, password', 'message'),
            ('PUT', '/users/bob', {'sn': 'x'}, 'accountLocked, password', 'message'),
            ('PATCH', '/users/bob', {'sn': 'x'}, 'accountLocked, password', 'message'),
            ('POST', '/courses', course, 'code, name, instructor', 'error'),
            ('PUT', '/courses/CSE115', course, 'name, instructor', 'error'),
            ('PATCH', '/courses/CSE115', {'name': 'x'}, 'name, instructor', 'error'),
        ]:
            for field in ['accountlocked', 'pasword', 'é', '']:
                with self.subTest(method=method, path=path, field=field):
                    answer = self.app.request(
                        path,
                        method=method,
                        body=json.dumps({**body, field: True}).encode(),
                        headers={**JSON, **key, **self.bearer},
                        status=400,
                    )
                    self.refused(answer, field, known, error=error)
        for name in ['films', 'records', 'users', 'courses']:
            self.assertEqual(getattr(api, name), START[name])

    def test_unknown_fields_of_a_form_are_400_with_the_known_ones(self):
        film = b'name=x&year=2000&month=May&title=x'
        self.refused(self.post('/films', film, FORM, 400), 'title', 'name, year, month')
        account = b'username=x&password=x&user=x'
        self.refused(self.post('/token', account, FORM, 400), 'user', 'password')
        self.assertEqual(api.films, START['films'])

    def test_broken_forms_are_400(self):
        for body in [b'name=%FF', b'name=\xff', b'%FF=1', b'name=%ED%A0%80']:
            with self.subTest(body=body):
                self.post('/films', body, FORM, 400)
        self.assertEqual(api.films, START['films'])

    def test_form_may_end_with_a_line_break(self):
        for end in [b'\n', b'\r\n']:
            with self.subTest(end=end):
                body = b'name=Dune&year=2021&month=October' + end
                answer = self.post('/films', body, FORM, 201)
                self.assertEqual(answer.json['Month'], 'October')

    def test_json_sent_as_a_form_is_told_so(self):
        film = b'{"name": "Dune", "year": 2021, "month": "October"}'
        account = b'{"username": "admin", "password": "x"}'
        for path, body, error in [
            ('/films', film, 'message'),
            ('/films', b' \r\n' + film, 'message'),
            ('/films', b'[1]', 'message'),
            ('/films', b'\xef\xbb\xbf' + film, 'message'),
            ('/token', account, 'message'),
            ('/login', account, 'message'),
        ]:
            with self.subTest(path=path, body=body):
                answer = self.post(path, body, FORM, 400)
                self.refused(answer, 'JSON', 'application/json', error=error)
        self.assertEqual(api.films, START['films'])

    # Headers

    def test_headers_that_are_not_utf8_are_no_fault(self):
        for name in [
            'Authorization',
            'api-key',
            'Accept',
            'Content-Encoding',
            'Content-Type',
            'Host',
            'If-Match',
            'If-None-Match',
            'Origin',
            'Sec-Fetch-Site',
        ]:
            for value in ['\xff', 'é', 'Basic \xe9', 'Bearer \xe9']:
                for method, path in [
                    ('GET', '/'),
                    ('GET', '/swagger.yaml'),
                    ('POST', '/films'),
                    ('POST', '/courses'),
                    ('POST', '/api/create'),
                    ('GET', '/hello_world'),
                ]:
                    with self.subTest(header=name, value=value, path=path):
                        answer = self.app.request(
                            path, method=method, headers={name: value}, status='*'
                        )
                        self.assertLess(answer.status_int, 500)

    # Answers

    def test_faults_are_500_without_a_traceback(self):
        fault = ZeroDivisionError('secret')
        with mock.patch.object(api.films, 'page', side_effect=fault):
            answer = self.app.get('/films', status=500, expect_errors=True)
        self.assertEqual(answer.json, {'message': 'Internal Server Error'})
        self.assertEqual(answer.content_type, 'application/json')

    def test_every_answer_forbids_sniffing(self):
        account = {'username': 'x', 'password': 'x'}
        film = {'name': 'x', 'year': 2000, 'month': 'May'}
        etag = self.app.get('/swagger.yaml').headers['ETag']
        fault = mock.patch.object(api.courses, 'page', side_effect=ZeroDivisionError)
        for method, path, status, body, headers in [
            ('GET', '/films', 200, None, {}),
            ('HEAD', '/films', 200, None, {}),
            ('GET', '/users', 200, None, self.bearer),
            ('GET', '/authkeys?username=bob', 200, None, {}),
            ('GET', '/docs/index.html', 200, None, {}),
            ('GET', '/swagger.yaml', 200, None, {}),
            ('POST', '/films', 201, film, {}),
            ('OPTIONS', '/films', 204, None, {}),
            ('DELETE', '/films/2', 204, None, {}),
            ('GET', '/', 302, None, {'Accept': 'text/html'}),
            ('GET', '/swagger.yaml', 304, None, {'If-None-Match': etag}),
            ('GET', '/docs', 308, None, {}),
            ('POST', '/films', 400, {}, {}),
            ('GET', '/films/%FF', 400, None, {}),
            ('GET', '/users', 401, None, {}),
            ('POST', '/token', 401, account, {}),
            ('DELETE', '/films/1', 403, None, {'Origin': 'https://evil.example'}),
            ('GET', '/nowhere', 404, None, {}),
            ('GET', '/films/x', 404, None, {}),
            ('POST', '/health', 405, None, {}),
            ('GET', '/swagger.yaml', 412, None, {'If-Match': '"x"'}),
            ('POST', '/data', 413, 'x' * 200_000, {}),
            ('POST', '/films', 415, None, {'Content-Type': 'text/plain'}),
            ('GET', '/courses', 500, None, self.bearer),
        ]:
            with self.subTest(method=method, path=path, status=status), fault:
                answer = self.app.request(
                    path,
                    method=method,
                    body=b'' if body is None else json.dumps(body).encode(),
                    headers={**JSON, **headers},
                    status=status,
                    expect_errors=status == 500,
                )
                sniff = answer.headers.getall('X-Content-Type-Options')
                self.assertEqual(sniff, ['nosniff'])

    def test_answers_without_a_body_do_not_claim_to_be_json(self):
        course = {'code': 'X', 'name': 'x', 'instructor': 'x'}
        etag = self.app.get('/swagger.yaml').headers['ETag']
        for method, path, status, body, headers in [
            ('OPTIONS', '/films', 204, None, {}),
            ('OPTIONS', '/nowhere', 404, None, {}),
            ('DELETE', '/films/1', 204, None, {}),
            ('POST', '/courses', 201, course, self.bearer),
            ('PUT', '/courses/X', 204, course, self.bearer),
            ('PATCH', '/courses/X', 204, {'name': 'y'}, self.bearer),
            ('DELETE', '/courses/X', 204, None, self.bearer),
            ('HEAD', '/api/generate_key/x', 201, None, {}),
            ('GET', '/', 302, None, {'Accept': 'text/html'}),
            ('GET', '/docs', 308, None, {}),
            ('GET', '/swagger.yaml', 304, None, {'If-None-Match': etag}),
        ]:
            with self.subTest(method=method, path=path):
                answer = self.app.request(
                    path,
                    method=method,
                    body=b'' if body is None else json.dumps(body).encode(),
                    headers={**JSON, **headers},
                    status=status,
                )
                kind = answer.headers.get('Content-Type', '')
                self.assertEqual('json' in kind, bool(answer.body))


# --- Collections ----------------------------------------------------------------------


@needs('Collection', 'films', 'records', 'users')
class Collections(Case):
    """What a collection promises, over dicts as over a database."""

    def setUp(self):
        super().setUp()
        # Collections add themselves to this list, which is the service's.
        self.patch(all_collections=[])
        self.things = self.make({'1': {'a': 1}, 'b': {'a': 2}})

    def make(self, items):
        """Return a collection with these items, kept where the service keeps its."""
        collection = api.Collection('things', items)
        if HAS_DATABASE:
            api.open_database()
            self.addCleanup(self.forget, collection.storage)
        return collection

    def forget(self, table):
        """Delete a table and its row in the table of locks."""
        with api.engine.begin() as connection:
            connection.exec_driver_sql(f'DROP TABLE {table.name}')
            row = f"DELETE FROM locks WHERE name = '{table.name}'"
            connection.exec_driver_sql(row)

    def full(self, number):
        """Let there be no room for more than so many items."""
        self.patch(MAX_ITEMS=number)

    def no_room(self):
        """Return the context in which storing must raise 507."""
        return self.assertRaisesRegex(api.ApiError, '507')

    # Reading

    def test_items_are_found_by_key(self):
        self.assertEqual(self.things['1'], {'a': 1})
        self.assertEqual(self.things.get('b'), {'a': 2})
        self.assertIn('b', self.things)
        self.assertEqual(len(self.things), 2)

    def test_unknown_keys_are_as_in_a_dict(self):
        for key in ['', '2', 'B', 'b ', 'é', 'a\0', '%', "'"]:
            with self.subTest(key=key):
                self.assertNotIn(key, self.things)
                self.assertIsNone(self.things.get(key))
                self.assertEqual(self.things.get(key, 3), 3)
                self.assertEqual(self.things.pop(key, 3), 3)
                self.assertIsNone(self.things.pop(key, None))
                with self.assertRaises(KeyError):
                    self.things[key]
                with self.assertRaises(KeyError):
                    del self.things[key]
                with self.assertRaises(KeyError):
                    self.things.pop(key)
        self.assertEqual(len(self.things), 2)

    def test_the_order_is_that_in_which_items_came(self):
        self.things['0'] = {}
        self.things['1'] = {'replaced': True}
        self.assertEqual(list(self.things), ['1', 'b', '0'])
        self.assertEqual(list(self.things.keys()), ['1', 'b', '0'])
        self.assertEqual(list(self.things.values()), [{'replaced': True}, {'a': 2}, {}])
        items = [('1', {'replaced': True}), ('b', {'a': 2}), ('0', {})]
        self.assertEqual(list(self.things.items()), items)
        del self.things['1']
        self.things['1'] = {}
        self.assertEqual(list(self.things), ['b', '0', '1'])

    def test_page_is_a_part_in_that_order(self):
        for number in range(5):
            self.things[f'x{number}'] = number
        self.assertEqual(self.things.page(2, 4), [('x0', 0), ('x1', 1)])
        self.assertEqual(self.things.page(5, 100), [('x3', 3), ('x4', 4)])
        self.assertEqual(self.things.page(7, 9), [])
        self.assertEqual(self.things.page(6), [('x4', 4)])
        self.assertEqual(len(self.things.page()), 7)

    def test_collection_equals_a_dict(self):
        self.assertEqual(self.things, {'b': {'a': 2}, '1': {'a': 1}})
        self.assertNotEqual(self.things, {'1': {'a': 1}})

    def test_empty_values_are_present(self):
        for value in [None, {}, False, 0, '', []]:
            with self.subTest(value=value):
                self.assertTrue(self.things.put('x', value))
                self.assertFalse(self.things.put('x', value))
                self.assertFalse(self.things.add('x', {'a': 3}))
                self.assertIn('x', self.things)
                self.assertEqual(self.things['x'], value)
                self.assertEqual(self.things.get('x', 3), value)
                self.assertEqual(self.things.setdefault('x', 3), value)
                self.assertEqual(self.things.page(2), [('x', value)])
                self.assertEqual(len(self.things), 3)
                self.assertEqual(self.things.pop('x', 3), value)
                self.assertNotIn('x', self.things)

    # Writing

    def test_put_tells_whether_the_item_is_new(self):
        self.assertTrue(self.things.put('c', {'a': 3}))
        self.assertFalse(self.things.put('c', {'a': 4}))
        self.assertEqual(self.things['c'], {'a': 4})

    def test_add_stores_where_the_key_is_free(self):
        self.assertTrue(self.things.add('c', {'a': 3}))
        self.assertFalse(self.things.add('c', {'a': 4}))
        self.assertEqual(self.things['c'], {'a': 3})

    def test_numbers_skip_keys_in_use(self):
        self.things.update({'4': {}, '5': {}})
        keys = [self.things.add_numbered({'n': number}) for number in range(3)]
        self.assertEqual(keys, ['3', '6', '7'])
        self.assertEqual(self.things['7'], {'n': 2})

    def test_no_number_is_given_twice(self):
        first = self.things.add_numbered({})
        del self.things[first]
        second = self.things.add_numbered({})
        self.things.clear()
        third = self.things.add_numbered({})
        self.assertEqual([first, second, third], ['3', '4', '5'])

    def test_change_replaces_fields(self):
        self.assertEqual(self.things.change('1', {'b': 2}), {'a': 1, 'b': 2})
        self.assertEqual(self.things.change('1', {'a': None}), {'a': None, 'b': 2})
        self.assertEqual(self.things['1'], {'a': None, 'b': 2})
        self.assertEqual(len(self.things), 2)

    def test_change_of_nothing_stores_nothing(self):
        self.assertIsNone(self.things.change('x', {'a': 3}))
        self.assertNotIn('x', self.things)

    def test_change_of_an_empty_item_finds_it(self):
        self.things['x'] = {}
        self.assertEqual(self.things.change('x', {}), {})
        self.assertEqual(self.things.change('x', {'a': 3}), {'a': 3})

    def test_an_item_that_was_read_stays_as_it_is(self):
        item = self.things['1']
        self.things.change('1', {'a': 2})
        self.things.put('1', {'a': 3})
        self.assertEqual(item, {'a': 1})

    def test_pop_removes_and_returns(self):
        self.assertEqual(self.things.pop('1'), {'a': 1})
        self.assertEqual(self.things.pop('b', None), {'a': 2})
        self.assertEqual(list(self.things), [])

    def test_popitem_removes_the_oldest(self):
        self.assertEqual(self.things.popitem(), ('1', {'a': 1}))
        self.assertEqual(self.things.popitem(), ('b', {'a': 2}))
        with self.assertRaises(KeyError):
            self.things.popitem()

    def test_setdefault_stores_what_is_not_there(self):
        self.assertEqual(self.things.setdefault('1', {'a': 9}), {'a': 1})
        self.assertEqual(self.things.setdefault('x', {'a': 9}), {'a': 9})
        self.assertEqual(self.things['x'], {'a': 9})

    def test_update_stores_all(self):
        self.things.update({'1': {'a': 3}, 'x': {}}, y={'a': 4})
        expected = {'1': {'a': 3}, 'b': {'a': 2}, 'x': {}, 'y': {'a': 4}}
        self.assertEqual(self.things, expected)

    def test_clear_removes_all(self):
        self.things.clear()
        self.assertEqual(len(self.things), 0)
        self.assertEqual(list(self.things), [])
        self.things['1'] = {'a': 5}
        self.assertEqual(self.things, {'1': {'a': 5}})

    def test_the_count_is_that_of_the_items(self):
        for name, write, count in [
            ('put', lambda: self.things.put('c', {}), 3),
            ('put again', lambda: self.things.put('c', {}), 3),
            ('add', lambda: self.things.add('d', {}), 4),
            ('add again', lambda: self.things.add('d', {}), 4),
            ('update', lambda: self.things.update(c={}, e={}), 5),
            ('setdefault', lambda: self.things.setdefault('f', {}), 6),
            ('add_numbered', lambda: self.things.add_numbered({}), 7),
            ('change', lambda: self.things.change('c', {'a': 1}), 7),
            ('del', lambda: self.things.__delitem__('c'), 6),
            ('pop', lambda: self.things.pop('d'), 5),
            ('pop again', lambda: self.things.pop('d', None), 5),
            ('popitem', self.things.popitem, 4),
            ('clear', self.things.clear, 0),
        ]:
            with self.subTest(write=name):
                write()
                self.assertEqual(len(self.things), count)
                self.assertEqual(len(list(self.things)), count)

    # The bound

    def test_nothing_is_stored_past_the_bound(self):
        self.full(2)
        for name, write in [
            ('put', lambda: self.things.put('c', {})),
            ('[]', lambda: self.things.__setitem__('c', {})),
            ('add', lambda: self.things.add('c', {})),
            ('add_numbered', lambda: self.things.add_numbered({})),
            ('setdefault', lambda: self.things.setdefault('c', {})),
            ('update', lambda: self.things.update(c={}, d={})),
        ]:
            with self.subTest(write=name), self.no_room():
                write()
        self.assertEqual(self.things, {'1': {'a': 1}, 'b': {'a': 2}})

    def test_update_stores_no_more_than_there_is_room_for(self):
        self.full(3)
        with self.no_room():
            self.things.update({f'x{number}': {} for number in range(10)})
        self.assertLessEqual(len(self.things), 3)

    def test_what_is_there_can_be_replaced_at_the_bound(self):
        self.full(2)
        self.assertFalse(self.things.put('1', {'a': 3}))
        self.assertFalse(self.things.add('1', {'a': 4}))
        self.assertEqual(self.things.setdefault('1', {'a': 5}), {'a': 3})
        self.assertEqual(self.things.change('1', {'a': 6}), {'a': 6})
        self.things.update({'1': {'a': 7}})
        self.assertEqual(self.things, {'1': {'a': 7}, 'b': {'a': 2}})

    def test_what_is_removed_makes_room(self):
        self.full(2)
        for name, remove in [
            ('del', lambda: self.things.__delitem__('1')),
            ('pop', lambda: self.things.pop('b')),
            ('popitem', self.things.popitem),
            ('clear', self.things.clear),
        ]:
            with self.subTest(remove=name):
                remove()
                self.assertTrue(self.things.add(name, {}))

    # Threads

    def test_threads_add_a_key_once(self):
        with slow_lookups():
            added = at_once(lambda n: self.things.add(f'x{n // 4}', n), range(60))
        self.assertEqual(added.count(True), 15)
        self.assertEqual(len(self.things), 17)

    def test_threads_put_a_new_key_once(self):
        with slow_lookups():
            new = at_once(lambda n: self.things.put(f'x{n // 4}', n), range(60))
        self.assertEqual(new.count(True), 15)
        self.assertEqual(len(self.things), 17)

    def test_threads_set_one_default(self):
        with slow_lookups():
            found = at_once(lambda n: self.things.setdefault('x', n), range(40))
        self.assertEqual(set(found), {self.things['x']})

    def test_threads_get_no_number_twice(self):
        with slow_lookups():
            keys = at_once(lambda n: self.things.add_numbered({'n': n}), range(60))
        self.assertEqual(sorted(map(int, keys)), list(range(3, 63)))

    def test_threads_lose_no_change(self):
        with slow_lookups():
            at_once(lambda n: self.things.change('1', {f'f{n}': n}), range(60))
        expected = {f'f{number}': number for number in range(60)}
        self.assertEqual(self.things['1'], {'a': 1, **expected})

    def test_threads_pop_an_item_once(self):
        self.things.update({f'x{number}': number for number in range(15)})
        with slow_lookups():
            found = at_once(lambda n: self.things.pop(f'x{n // 4}', None), range(60))
        self.assertEqual(sorted(one for one in found if one is not None), [*range(15)])
        self.assertEqual(len(self.things), 2)

    def test_threads_pop_each_item_once(self):
        self.things.update({f'x{number}': number for number in range(38)})
        found = at_once(lambda n: self.things.popitem()[0], range(40))
        self.assertEqual(len(set(found)), 40)
        self.assertEqual(len(self.things), 0)

    def test_threads_do_not_pass_the_bound(self):
        self.full(10)

        def store(number):
            try:
                self.things.put(f'x{number}', {})
            except api.ApiError as problem:
                return problem.status_code
            return 201

        with slow_lookups():
            statuses = at_once(store, range(60))
        self.assertEqual(statuses.count(201), 8)
        self.assertEqual(statuses.count(507), 52)
        self.assertEqual(len(self.things), 10)

    def test_items_can_be_read_while_others_are_removed(self):
        for name, values in [
            ('items', self.things.items()),
            ('values', self.things.values()),
            ('page', self.things.page()),
        ]:
            with self.subTest(read=name):
                self.things.update({'1': {'a': 1}, 'b': {'a': 2}})
                reading = iter(values)
                next(reading)
                self.things.pop('b')
                self.assertLessEqual(len(list(reading)), 1)


# --- Sign-in --------------------------------------------------------------------------


@needs('DEMO', 'basic', 'bearer', 'api_key', 'users', 'courses', 'post_token')
class SignIn(Case):
    """Passwords, tokens and keys: who gets in, and until when.

    Beside the demo account there is carol, a user with a password.
    """

    advised = getattr(api, 'SCRYPT', None)

    def setUp(self):
        super().setUp()
        self.demo = {'username': api.API_USERNAME, 'password': api.API_PASSWORD}
        self.carol = {'username': 'carol', 'password': 'pässword'}
        self.add_user(cn='carol', password='pässword')

    def add_user(self, **fields):
        """Add a user, as an administrator; return the answer."""
        user = {'sn': 'x', **fields}
        return self.app.post_json('/users', user, headers=self.bearer, status=201)

    def change(self, cn, headers=None, status=200, **fields):
        """Change a user, as an administrator or as who sends headers."""
        return self.app.patch_json(
            f'/users/{cn}', fields, headers=headers or self.bearer, status=status
        )

    def token(self, **account):
        """Return the header with a token that /token gives carol, or this account."""
        answer = self.app.post_json('/token', {**self.carol, **account})
        return token_header(answer.json['access_token'])

    def is_out(self, headers):
        """Check that a token is not good any more."""
        answer = self.app.get('/courses', headers=headers, status=401)
        self.refused(answer, 'sign in again')

    # HTTP Basic

    def test_basic(self):
        for account in [self.demo, self.carol]:
            with self.subTest(account=account):
                self.app.get('/hello_world', headers=basic(*account.values()))

    def test_basic_refusals(self):
        name = api.API_USERNAME
        password = api.API_PASSWORD
        for headers in [
            {},
            basic(name, ''),
            basic('', password),
            basic(name, password + ' '),
            basic(name.upper(), password),
            basic('nobody', 'null'),
            basic('é', 'ü'),
            basic(name, 'pässword'),
            basic(b'\xff\xfe', b'\xff'),
            basic('', ''),
            {'Authorization': 'Basic'},
            {'Authorization': 'Basic '},
            {'Authorization': 'Basic !!!'},
            {'Authorization': 'Basic YWRtaW4='},
            {'Authorization': 'Basic \xff\xfe'},
            {'Authorization': '\xff\xfe'},
            {'Authorization': f'Digest {name}:{password}'},
            self.bearer,
        ]:
            with self.subTest(headers=headers):
                answer = self.app.get('/hello_world', headers=headers, status=401)
                self.refused(answer, 'sign in')
                challenge = answer.headers['WWW-Authenticate']
                self.assertRegex(challenge, '^Basic realm=".+"')

    def test_account_of_the_front_server_is_not_trusted(self):
        for path in ['/hello_world', '/users', '/courses']:
            with self.subTest(path=path):
                front = {'REMOTE_USER': api.API_USERNAME}
                self.app.get(path, extra_environ=front, status=401)

    # Bearer tokens

    def test_bearer(self):
        self.app.get('/users', headers=self.bearer)
        self.app.get('/users', headers=self.token(**self.demo))
        self.app.get('/courses', headers=self.token())

    def test_scheme_may_be_in_any_case_and_have_more_spaces(self):
        token = self.bearer['Authorization'].split()[1]
        for header in [
            f'bearer {token}',
            f'BEARER {token}',
            f'Bearer  {token}',
            f'Bearer    {token} ',
        ]:
            with self.subTest(header=header):
                self.app.get('/users', headers={'Authorization': header})

    def test_no_token_is_401(self):
        token = self.bearer['Authorization'].split()[1]
        for header in [
            '',
            'Bearer',
            'Bearer ',
            'Bearer  ',
            token,
            f'Token {token}',
            f'JWT {token}',
            f'Bearer\t{token}',
            f'Basic {token}',
            '\xff',
            'Bearer' * 100,
        ]:
            with self.subTest(header=header):
                headers = {'Authorization': header}
                answer = self.app.get('/users', headers=headers, status=401)
                self.refused(answer, 'token')
                challenge = answer.headers['WWW-Authenticate']
                self.assertEqual(challenge, 'Bearer realm="One-File API"')
                self.assertNotIn('again', answer.json['message'])

    def test_token_in_the_query_is_401(self):
        token = self.bearer['Authorization'].split()[1]
        for name in ['token', 'access_token']:
            with self.subTest(name=name):
                self.app.get(f'/courses?{name}={token}', status=401)

    def refused_token(self, headers):
        """Check that a token gets 401, as one that is not valid any more."""
        answer = self.app.get('/users', headers=headers, status=401)
        self.refused(answer, 'token', 'sign in again')
        self.assertIn('error="invalid_token"', answer.headers['WWW-Authenticate'])

    def test_tokens_of_another_key_or_algorithm_are_401(self):
        now = int(time.time())
        claims = {'sub': api.API_USERNAME, 'iat': now, 'exp': now + 60}
        for key, algorithm in [
            ('another key, which has 64 bytes or more' * 2, 'HS256'),
            ('0' * 64, 'HS256'),
            (api.SECRET_KEY, 'HS512'),
            (api.SECRET_KEY, 'HS384'),
        ]:
            with self.subTest(key=key[:10], algorithm=algorithm):
                self.refused_token(token_header(jwt.encode(claims, key, algorithm)))

    def test_tokens_with_other_claims_are_401(self):
        now = int(time.time())
        for claims in [
            {'exp': now - 1},
            {'exp': None},
            {'sub': None},
            {'sub': 'nobody'},
            {'sub': ''},
            {'sub': 'alice'},
            {'nbf': now + 60},
            {'aud': 'other'},
        ]:
            with self.subTest(claims=claims):
                self.refused_token(bearer(api.DEMO, **claims))

    def test_claims_of_a_wrong_type_are_401(self):
        now = int(time.time())
        for claims in [
            {'exp': 'tomorrow'},
            {'exp': [1]},
            {'exp': {}},
            {'exp': float('inf')},
            {'exp': float('nan')},
            {'exp': True},
            {'exp': str(now - 1)},
            {'nbf': {}},
            {'sub': 1},
            {'sub': []},
            {'sub': {'cn': 'x'}},
            {'sub': True},
            {'password_version': []},
            {'password_version': {}},
            {'password_version': 1},
            {'password_version': True},
        ]:
            with self.subTest(claims=claims):
                # By hand, as jwt.encode() refuses to make some of these.
                sent = {'sub': api.API_USERNAME, 'exp': now + 60, **claims}
                parts = [part('{"alg": "HS256", "typ": "JWT"}'), part(json.dumps(sent))]
                self.refused_token(token_header(signed(parts)))

    def test_broken_tokens_are_401(self):
        header, claims, signature = self.bearer['Authorization'].split()[1].split('.')
        for token in [
            'x',
            '..',
            '...',
            f'{header}.{claims}.',
            f'{header}.{claims}',
            f'{header}..{signature}',
            f'.{claims}.{signature}',
            f'{header}.{claims}.{signature}x',
            signature * 100,
            f'{part("[]")}.{claims}.{signature}',
            f'{part("null")}.{claims}.{signature}',
            f'{part("{")}.{claims}.{signature}',
            f'{part("[" * 5000)}.{claims}.{signature}',
            f'{part("{}")}.{claims}.{signature}',
            signed([header, part('[]')]),
            signed([header, part('null')]),
            signed([header, part('[' * 5000)]),
            'é.ü.ö',
            '\xff.\xfe.\xfd',
            'a b c',
            'null',
        ]:
            with self.subTest(token=token[:60]):
                self.refused_token(token_header(token))

    def test_the_algorithm_is_not_the_token_s_to_choose(self):
        _, claims, signature = self.bearer['Authorization'].split()[1].split('.')
        for algorithm in [
            'none',
            'None',
            'NONE',
            'nOnE',
            '',
            None,
            1,
            [],
            ['HS256'],
            {},
            'RS256',
            'ES256',
            'hs256',
            'HS256 ',
        ]:
            header = part(json.dumps({'alg': algorithm, 'typ': 'JWT'}))
            for end in ['', signature]:
                with self.subTest(algorithm=algorithm, end=end):
                    self.refused_token(token_header(f'{header}.{claims}.{end}'))

    def test_token_ends_when_its_time_is_over(self):
        headers = self.token()
        self.app.get('/courses', headers=headers)
        clock = mock.Mock(wraps=time)
        clock.time.return_value = time.time() + 30 * 60 + 1
        with mock.patch.object(api, 'time', clock):
            self.is_out(headers)
        self.app.get('/courses', headers=headers)

    def test_clock_of_another_machine_may_be_ahead(self):
        now = int(time.time())
        for seconds in [1, 5, 60]:
            with self.subTest(seconds=seconds):
                headers = bearer(api.DEMO, iat=now + seconds, exp=now + 1800)
                self.app.get('/users', headers=headers)

    def test_token_without_iat_is_taken(self):
        self.app.get('/users', headers=bearer(api.DEMO, iat=None))

    def test_token_of_the_demo_account_may_lack_the_password_version(self):
        self.app.get('/users', headers=bearer(api.DEMO, password_version=None))

    def test_tokens_with_another_password_version_are_401(self):
        bob = api.users['bob']
        for account in [api.DEMO, api.users['carol'], bob]:
            for version in ['', 'x', api.users['carol']['password_version'] + ' ']:
                with self.subTest(account=account['cn'], version=version):
                    self.is_out(bearer(account, password_version=version))

    def test_token_of_a_user_needs_the_password_version(self):
        for account in [api.users['carol'], api.users['bob']]:
            with self.subTest(account=account['cn']):
                self.is_out(bearer(account, password_version=None))
        self.is_out(bearer(api.users['carol'], **version_of(api.DEMO)))

    def test_password_version_that_is_null_is_none(self):
        for name in ['nobody', 'bob', 'carol']:
            with self.subTest(name=name):
                claims = {'sub': name, 'exp': 2**33, 'password_version': None}
                token = jwt.encode(claims, api.SECRET_KEY, 'HS256')
                self.is_out(token_header(token))

    def test_token_of_a_user_is_taken(self):
        self.app.get('/courses', headers=bearer(api.users['carol']))

    # Name and password in the body

    def test_token_and_login_take_json_and_forms(self):
        for account in [self.demo, self.carol]:
            for post in [self.app.post_json, self.app.post]:
                with self.subTest(account=account, post=post.__name__):
                    token = post('/token', account).json['access_token']
                    self.app.get('/courses', headers=token_header(token))
                    token = post('/login', account).text
                    self.app.get('/courses', headers=token_header(token))

    def test_answers_with_a_secret_are_not_stored(self):
        for answer in [
            self.app.post_json('/token', self.carol),
            self.app.post_json('/login', self.carol),
            self.app.post('/api/generate_key/a'),
            self.app.get('/api/generate_key/b'),
        ]:
            with self.subTest(path=answer.request.path):
                self.assertEqual(answer.headers['Cache-Control'], 'no-store')

    def test_wrong_names_and_passwords_are_401(self):
        for wrong in [
            {'password': 'x'},
            {'username': 'x'},
            {'username': 'é'},
            {'username': 'a\0'},
            {'password': 'pässword'},
            {'password': api.API_PASSWORD + '\0'},
            {'username': api.API_USERNAME.upper()},
        ]:
            for path, error in [('/token', 'message'), ('/login', 'error')]:
                with self.subTest(path=path, wrong=wrong):
                    account = {**self.demo, **wrong}
                    answer = self.app.post_json(path, account, status=401)
                    message = 'username or password is not correct'
                    self.assertEqual(answer.json[error], message)
                    self.assertIn('Bearer', answer.headers['WWW-Authenticate'])

    def test_names_and_passwords_that_are_no_text_are_400(self):
        for field in ['username', 'password']:
            for value in [None, True, 0, 1.5, [], ['admin'], {}, '', 'x' * 1001]:
                for path, error in [('/token', 'message'), ('/login', 'error')]:
                    with self.subTest(path=path, field=field, value=value):
                        account = {**self.demo, field: value}
                        answer = self.app.post_json(path, account, status=400)
                        self.refused(answer, field, error=error)

    def test_missing_names_and_passwords_are_400(self):
        for field in ['username', 'password']:
            for path, error in [('/token', 'message'), ('/login', 'error')]:
                with self.subTest(path=path, field=field):
                    account = {**self.demo}
                    del account[field]
                    answer = self.app.post_json(path, account, status=400)
                    self.refused(answer, field, error=error)
        for headers in [JSON, FORM]:
            for path in ['/token', '/login']:
                with self.subTest(path=path, headers=headers):
                    self.app.post(path, '', headers, status=400)

    def test_errors_of_token_are_those_of_oauth(self):
        for body, headers, status, error in [
            (b'username=x&password=x', FORM, 401, 'invalid_grant'),
            (b'{"username": "x", "password": "x"}', JSON, 401, 'invalid_grant'),
            (b'username=x', FORM, 400, 'invalid_request'),
            (b'username="\\&password=x&"=x', FORM, 400, 'invalid_request'),
            ('é=1'.encode(), FORM, 400, 'invalid_request'),
            (b'{', JSON, 400, 'invalid_request'),
            (b'{', FORM, 400, 'invalid_request'),
            (b'', {'Content-Type': 'text/plain'}, 415, 'invalid_request'),
            (b'x' * 200_000, FORM, 413, 'invalid_request'),
        ]:
            with self.subTest(body=body[:40]):
                answer = self.app.post('/token', body, headers, status=status)
                fields = {'message', 'error', 'error_description'}
                self.assertEqual(set(answer.json), fields)
                self.assertEqual(answer.json['error'], error)
                # RFC 6749, 5.2 has these characters only.
                description = answer.json['error_description']
                self.assertRegex(description, r'^[\x20-\x21\x23-\x5b\x5d-\x7e]+$')

    def test_fields_of_oauth_are_passed_over(self):
        oauth = {
            'grant_type': 'password',
            'scope': '',
            'client_id': 'x',
            'client_secret': 'x',
        }
        self.app.post('/token', {**self.carol, **oauth})

    def test_user_without_a_password_can_not_sign_in(self):
        for password in ['', 'alice', 'None', 'null']:
            with self.subTest(password=password):
                headers = basic('alice', password)
                self.app.get('/hello_world', headers=headers, status=401)
                account = {'username': 'alice', 'password': password or ' '}
                self.app.post('/token', account, status=401)

    def test_passwords_are_compared_exactly(self):
        for wrong in ['password', 'pässwort', 'pässword ', 'PÄSSWORD', 'x' * 1000]:
            with self.subTest(password=wrong):
                for path in ['/token', '/login']:
                    account = {**self.carol, 'password': wrong}
                    self.app.post_json(path, account, status=401)
                headers = basic('carol', wrong)
                self.app.get('/hello_world', headers=headers, status=401)

    # Passwords

    def test_password_is_kept_as_a_salted_hash(self):
        self.add_user(cn='dave', password='pässword')
        carol = api.users['carol']
        dave = api.users['dave']
        self.assertNotEqual(carol['password_hash'], dave['password_hash'])
        for user in [carol, dave]:
            with self.subTest(user=user['cn']):
                salt = user['password_salt']
                self.assertEqual(len(salt), 32)
                hashed = hashlib.scrypt(
                    'pässword'.encode(), salt=salt.encode(), **api.SCRYPT
                )
                self.assertEqual(user['password_hash'], hashed.hex())
                self.assertNotIn('pässword', user.values())

    def test_password_is_never_shown(self):
        stored = api.users['carol']
        secret_parts = [value for name, value in stored.items() if 'password' in name]
        self.assertEqual(len(secret_parts), 3)
        put = {'password': 'passw0rd'}
        for name, answer in [
            ('POST', self.add_user(cn='eve', password='password')),
            ('PATCH', self.change('eve', password='p@ssword')),
            ('PUT', self.app.put_json('/users/eve', put, headers=self.bearer)),
            ('GET', self.app.get('/users/eve', headers=self.bearer)),
            ('GET himself', self.app.get('/users/carol', headers=self.token())),
            ('GET all', self.app.get('/users', headers=self.bearer)),
        ]:
            with self.subTest(answer=name):
                for word in ['salt', 'pass', 'p@ss', 'hash', *secret_parts]:
                    self.assertNotIn(word, answer.text)

    def test_hash_takes_the_time_that_is_advised(self):
        work = self.advised['n'] * self.advised['r'] * self.advised['p']
        self.assertGreaterEqual(work, 2**14 * 8 * 5)

    def test_bad_passwords_are_400(self):
        before = dict(api.users)
        for password in [
            '',
            '1234567',
            'x' * 129,
            None,
            12345678,
            True,
            [],
            ['password'],
            {},
        ]:
            user = {'cn': 'x', 'sn': 'x', 'password': password}
            for method, path in [
                ('POST', '/users'),
                ('PUT', '/users/bob'),
                ('PATCH', '/users/bob'),
            ]:
                with self.subTest(password=password, method=method):
                    answer = self.app.request(
                        path,
                        method=method,
                        body=json.dumps(user).encode(),
                        headers={**JSON, **self.bearer},
                        status=400,
                    )
                    self.refused(answer, 'password', '8 to 128')
        self.assertEqual(api.users, before)

    def test_limits_of_passwords_are_taken(self):
        for password in ['12345678', 'é' * 128]:
            with self.subTest(password=password):
                self.change('bob', password=password)
                self.token(username='bob', password=password)

    def test_each_refusal_of_a_user_hashes_once(self):
        self.add_user(cn='locked', password='password', accountLocked=True)
        for username in ['carol', 'nobody', 'alice', 'locked', '', 'é\0']:
            with self.subTest(username=username):
                with mock.patch('hashlib.scrypt', wraps=hashlib.scrypt) as scrypt:
                    headers = basic(username, 'wrong')
                    self.app.get('/hello_world', headers=headers, status=401)
                self.assertEqual(len(scrypt.mock_calls), 1)

    # What an account may do, and until when

    def test_every_protected_route_refuses_strangers(self):
        for route in api.app.routes:
            if 'auth' in route.config:
                with self.subTest(method=route.method, path=route.rule):
                    path = re.sub('<.*?>', '1', route.rule)
                    answer = self.app.request(path, method=route.method, status=401)
                    is_key = route.config['auth'] is api.api_key
                    self.assertEqual('WWW-Authenticate' in answer.headers, not is_key)

    def test_auth_that_is_no_function_does_not_open_a_route(self):
        for auth in ['bearer', None, True, '']:
            with self.subTest(auth=auth):
                route = mock.Mock(config={'auth': auth})
                with self.assertRaises(TypeError):
                    api.AuthPlugin().apply(lambda: 'in', route)()

    def test_routes_for_administrators(self):
        routes = set()
        for route in api.app.routes:
            if route.config.get('auth') is api.admin:
                routes.add((route.method, route.rule))
        expected = {
            ('POST', '/run-script'),
            ('GET', '/users'),
            ('POST', '/users'),
            ('PUT', '/users/<cn>'),
            ('DELETE', '/users/<cn>'),
        }
        self.assertEqual(routes, expected)

    def test_users_get_403_where_administrators_may(self):
        before = dict(api.users)
        headers = self.token()
        for method, path in [
            ('POST', '/run-script'),
            ('GET', '/users'),
            ('POST', '/users'),
            ('PUT', '/users/%s'),
            ('PATCH', '/users/%s'),
            ('DELETE', '/users/%s'),
        ]:
            for cn in ['carol', 'bob', 'nobody']:
                with self.subTest(method=method, path=path, cn=cn):
                    answer = self.app.request(
                        path.replace('%s', cn),
                        method=method,
                        body=b'{"cn": "x", "sn": "x"}',
                        headers={**JSON, **headers},
                        status=403,
                    )
                    self.refused(answer, 'administrators')
        self.assertEqual(api.users, before)

    def test_user_sees_himself(self):
        headers = self.token()
        answer = self.app.get('/users/carol', headers=headers)
        self.assertEqual(answer.json['cn'], 'carol')
        for cn in ['bob', 'nobody', 'CAROL', 'admin']:
            with self.subTest(cn=cn):
                answer = self.app.get(f'/users/{cn}', headers=headers, status=403)
                self.refused(answer, 'administrators')

    def test_user_changes_courses(self):
        headers = self.token()
        course = {'code': 'X', 'name': 'x', 'instructor': 'x'}
        self.app.post_json('/courses', course, headers=headers, status=201)
        self.app.delete('/courses/X', headers=headers, status=204)

    def test_user_changes_his_own_password(self):
        headers = self.token()
        self.change('carol', headers, password='another one')
        self.is_out(headers)
        self.app.post_json('/token', self.carol, status=401)
        self.token(password='another one')

    def test_user_changes_nothing_else_of_himself(self):
        before = dict(api.users)
        headers = self.token()
        for fields in [
            {'sn': 'y'},
            {'password': 'another one', 'sn': 'y'},
            {'password': 'another one', 'memberOfs': ['cn=Admins']},
            {'memberOfs': ['cn=Admins']},
            {'password': 'another one', 'uid': 'carol'},
            {},
        ]:
            with self.subTest(fields=fields):
                self.change('carol', headers, 403, **fields)
        new = {'password': 'another one'}
        self.app.put_json('/users/carol', new, headers=headers, status=403)
        self.assertEqual(api.users, before)

    def test_user_changes_no_other_s_password(self):
        before = dict(api.users)
        for cn in ['bob', 'alice', 'CAROL', 'nobody', api.API_USERNAME]:
            with self.subTest(cn=cn):
                self.change(cn, self.token(), 403, password='another one')
        self.assertEqual(api.users, before)

    def test_bad_own_password_is_400_and_changes_nothing(self):
        headers = self.token()
        for password in ['short', '', None, 'x' * 129, 12345678]:
            with self.subTest(password=password):
                answer = self.change('carol', headers, 400, password=password)
                self.refused(answer, 'password', '8 to 128')
        self.app.get('/courses', headers=headers)

    def test_administrators_are_in_the_group_admins(self):
        headers = self.token()
        for groups, status in [
            (['cn=Admins,ou=groups,dc=dbsentry,dc=com'], 200),
            (['cn=x,dc=y', 'cn=Admins'], 200),
            ([], 403),
            (['Admins'], 403),
            (['ou=Admins,dc=x'], 403),
            (['cn=AdminsX,dc=x'], 403),
            (['cn=users,cn=Admins'], 403),
            (['xcn=Admins,dc=x'], 403),
            (['cn=Adm', 'ins'], 403),
            (['cn=Admins\\,x,dc=y'], 403),
            ([''], 403),
        ]:
            with self.subTest(groups=groups):
                self.change('carol', memberOfs=groups)
                self.app.get('/users', headers=headers, status=status)

    def test_locked_user_is_out_at_once(self):
        headers = self.token()
        self.change('carol', accountLocked=True)
        self.is_out(headers)
        self.app.get('/users/carol', headers=headers, status=401)
        self.change('carol', headers, 401, password='another one')
        self.app.post_json('/token', self.carol, status=401)
        self.app.post_json('/login', self.carol, status=401)
        password = basic(*self.carol.values())
        self.app.get('/hello_world', headers=password, status=401)
        self.change('carol', accountLocked=False)
        self.app.get('/courses', headers=headers)
        self.token()

    def test_deleted_user_is_out_at_once(self):
        headers = self.token()
        self.app.delete('/users/carol', headers=self.bearer)
        self.is_out(headers)
        self.app.post_json('/token', self.carol, status=401)

    def test_another_user_of_the_same_name_is_not_the_deleted_one(self):
        headers = self.token()
        for password in [{}, {'password': 'pässword'}]:
            with self.subTest(password=password):
                self.app.delete('/users/carol', headers=self.bearer)
                self.add_user(cn='carol', **password)
                self.is_out(headers)

    def test_demoted_user_is_no_administrator_at_once(self):
        self.change('carol', memberOfs=['cn=Admins'])
        headers = self.token()
        self.app.get('/users', headers=headers)
        self.change('carol', headers, memberOfs=[])
        self.app.get('/users', headers=headers, status=403)
        self.app.get('/courses', headers=headers)

    def test_changed_password_ends_older_tokens(self):
        for password in ['password', 'password', 'pässword']:
            with self.subTest(password=password):
                headers = self.token()
                self.change('carol', password=password)
                self.is_out(headers)
                self.carol['password'] = password

    def test_other_changes_leave_tokens_good(self):
        headers = self.token()
        self.change('carol', sn='New')
        self.app.get('/courses', headers=headers)

    def test_who_is_demoted_during_a_hash_changes_nothing_more(self):
        self.change('carol', memberOfs=['cn=Admins'])
        headers = self.token()
        hash_password = api.hash_password

        def demote_and_hash(*args):
            api.users.change('carol', {'memberOfs': []})
            return hash_password(*args)

        new = {'cn': 'eve', 'sn': 'x', 'password': 'password'}
        new['memberOfs'] = ['cn=Admins']
        for method, path in [
            ('PATCH', '/users/carol'),
            ('PUT', '/users/carol'),
            ('POST', '/users'),
        ]:
            with self.subTest(method=method):
                api.users.change('carol', {'memberOfs': ['cn=Admins']})
                with mock.patch.object(api, 'hash_password', demote_and_hash):
                    self.app.request(
                        path,
                        method=method,
                        body=json.dumps(new).encode(),
                        headers={**JSON, **headers},
                        status=403,
                    )
                self.assertEqual(api.users['carol']['memberOfs'], [])
                self.assertNotIn('eve', api.users)
                self.token()

    def test_who_is_locked_while_his_new_password_is_hashed_changes_nothing(self):
        headers = self.token()
        before = api.users['carol']
        hash_password = api.hash_password

        def lock_and_hash(*args):
            api.users.change('carol', {'accountLocked': True})
            return hash_password(*args)

        with mock.patch.object(api, 'hash_password', lock_and_hash):
            self.change('carol', headers, 401, password='another one')
        self.assertEqual(api.users['carol'], {**before, 'accountLocked': True})

    def test_password_that_changes_during_a_sign_in(self):
        is_right_password = api.is_right_password

        def change_and_check(*args):
            self.change('carol', password='another one')
            return is_right_password(*args)

        with mock.patch.object(api, 'is_right_password', change_and_check):
            # It was right a moment ago.
            headers = self.token()
        self.is_out(headers)

    def test_user_of_the_demo_account_s_name_is_409(self):
        user = {'cn': api.API_USERNAME, 'sn': 'x', 'password': 'password'}
        answer = self.app.post_json('/users', user, headers=self.bearer, status=409)
        self.refused(answer, api.API_USERNAME)
        self.assertNotIn(api.API_USERNAME, api.users)

    def test_user_of_the_demo_account_s_name_gets_nothing_by_it(self):
        # There was another demo account when he was added.
        carol = api.users['carol']
        user = {**carol, 'cn': api.API_USERNAME, 'accountLocked': True}
        api.users[api.API_USERNAME] = user
        account = {**self.carol, 'username': api.API_USERNAME}
        self.app.post('/token', account, status=401)
        self.is_out(bearer(user))
        self.app.get('/hello_world', headers=basic(*self.demo.values()))
        self.app.get('/users', headers=self.bearer)

    # API keys

    def test_key_refusals(self):
        key = self.app.post('/api/generate_key/sumit').json['api_key']
        for headers in [
            {},
            {'api-key': ''},
            {'api-key': 'x'},
            {'api-key': key + 'x'},
            {'api-key': key[:-1]},
            {'api-key': key.swapcase()},
            {'api-key': '\xff'},
            {'api-key': api.api_keys['sumit']},
            {'api-key': key.replace('sumit', 'x')},
            {'api-key': key.split('.')[1]},
            {'api-key': '.'},
            {'api-key': 'sumit.'},
            {'api-key': f'{key}, {key}'},
            {'api-key': 'sumit'},
            {'Authorization': f'Bearer {key}'},
            self.bearer,
        ]:
            with self.subTest(headers=headers):
                record = {'value1': 'x'}
                answer = self.app.post_json(
                    '/api/create', record, headers=headers, status=401
                )
                expected = {
                    'status': 'failed',
                    'message': 'You are not authenticated! Please add an '
                    'authentication key to the header and try again!',
                }
                self.assertEqual(answer.json, expected)
                self.assertNotIn('WWW-Authenticate', answer.headers)
        self.assertEqual(len(api.records), 5)


def part(text):
    """Return a text as a part of a token (RFC 7515): base64 without = at the end."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')


def signed(parts):
    """Return a token of these two parts, with the signature that we would give it."""
    text = '.'.join(parts)
    mac = hmac.new(api.SECRET_KEY.encode(), text.encode(), 'sha256')
    signature = base64.urlsafe_b64encode(mac.digest()).decode().rstrip('=')
    return f'{text}.{signature}'


def version_of(account):
    """Return the claim that ends the tokens of an account with its password."""
    return {'password_version': account['password_version']}


# --- Limits ---------------------------------------------------------------------------


@needs('RATE_LIMIT', 'basic', 'api_key', 'users', 'courses', 'post_token')
class Limits(Case):
    """How often one may fail, how much there is room for, and what has to wait."""

    def setUp(self):
        super().setUp()
        key = self.app.post('/api/generate_key/sumit').json['api_key']
        self.key = {'api-key': key}
        self.carol = {'username': 'carol', 'password': 'pässword'}
        user = {'cn': 'carol', 'sn': 'x', 'password': 'pässword'}
        self.app.post_json('/users', user, headers=self.bearer, status=201)
        self.patch(RATE_LIMIT=10)
        api.attempts.clear()

    def sign_in(self, way='/token', name=None, password='x', address='192.0.2.1'):
        """Sign in, as the demo account unless there is a name; return the answer."""
        app = client(address)
        name = name or api.API_USERNAME
        if way == 'basic':
            headers = basic(name, password)
            return app.get('/hello_world', headers=headers, expect_errors=True)
        account = {'username': name, 'password': password}
        return app.post_json(way, account, expect_errors=True)

    def succeed(self, **where):
        """Sign in with the right password; return the status."""
        return self.sign_in(password=api.API_PASSWORD, **where).status_int

    def use_key(self, key, address='192.0.2.1'):
        """Add a record with an API key; return the answer."""
        return client(address).post_json(
            '/api/create', {'value1': 'x'}, headers={'api-key': key}, expect_errors=True
        )

    def too_many(self, answer):
        """Check that an answer is a 429 that says when to try again."""
        self.assertEqual(answer.status_int, 429)
        seconds = int(answer.headers['Retry-After'])
        self.assertIn(seconds, range(1, 62))
        self.refused(answer, 'Too many', f'in {seconds} seconds')

    # Failed sign-ins

    def test_failed_sign_ins_of_a_name_are_429_past_the_limit(self):
        ways = ['/token', '/login', 'basic'] * 4
        for way in ways[:10]:
            with self.subTest(way=way):
                self.assertEqual(self.sign_in(way).status_int, 401)
        for way in ways[:3]:
            for password in ['wrong', api.API_PASSWORD]:
                with self.subTest(way=way, password=password):
                    self.too_many(self.sign_in(way, password=password))

    def test_429_of_token_is_that_of_oauth(self):
        for _ in range(10):
            self.sign_in()
        answer = self.sign_in()
        self.assertEqual(answer.json['error'], 'temporarily_unavailable')
        self.assertEqual(answer.json['error_description'], answer.json['message'])

    def test_sign_ins_that_succeed_count_for_nothing(self):
        for number in range(9):
            with self.subTest(number=number):
                self.assertEqual(self.sign_in().status_int, 401)
                for way in ['/token', '/login', 'basic']:
                    self.assertEqual(self.succeed(way=way), 200)
        self.assertEqual(self.sign_in().status_int, 401)
        self.too_many(self.sign_in())

    def test_other_names_and_addresses_may_still_sign_in(self):
        for _ in range(11):
            self.sign_in()
        self.assertEqual(self.succeed(), 429)
        self.assertEqual(self.succeed(address='192.0.2.2'), 200)
        self.assertEqual(self.sign_in(**self.carol_in()).status_int, 200)
        self.assertEqual(self.sign_in(name='bob').status_int, 401)

    def carol_in(self):
        """Return the arguments of sign_in() with which carol gets in."""
        return {'name': 'carol', 'password': self.carol['password']}

    def test_names_at_an_address_may_fail_ten_times_as_often(self):
        for number in range(100):
            with self.subTest(number=number):
                answer = self.sign_in(name=f'name{number // 9}')
                self.assertEqual(answer.status_int, 401)
        for name in ['name0', 'name99', api.API_USERNAME, 'carol']:
            with self.subTest(name=name):
                self.too_many(self.sign_in(name=name))
        self.assertEqual(self.succeed(), 429)
        self.assertEqual(self.sign_in(**self.carol_in()).status_int, 429)
        self.assertEqual(self.succeed(address='192.0.2.2'), 200)

    def test_a_school_behind_one_address_is_not_locked_out(self):
        for number in range(10):
            self.sign_in(name=f'student{number}')
        self.assertEqual(self.sign_in(**self.carol_in()).status_int, 200)
        self.assertEqual(self.sign_in(name='student1').status_int, 401)

    def test_valid_tokens_and_keys_are_never_refused(self):
        for number in range(110):
            self.sign_in(name=f'name{number}')
        for _ in range(11):
            self.use_key('sumit.wrong')
        self.too_many(self.sign_in(name='x'))
        self.app.get('/users', headers=self.bearer, status=200)
        self.assertEqual(self.use_key(self.key['api-key']).status_int, 201)

    def test_keys_that_are_wrong_are_429_past_the_limit(self):
        for number in range(10):
            with self.subTest(number=number):
                answer = self.use_key(f'name{number}.wrong')
                self.assertEqual(answer.status_int, 401)
        for key in ['name0.wrong', 'x', 'sumit.x']:
            with self.subTest(key=key):
                self.too_many(self.use_key(key))
        self.assertEqual(self.use_key('x', '192.0.2.2').status_int, 401)
        self.assertEqual(len(api.records), 5)

    def test_limit_ends_after_a_minute(self):
        now = time.monotonic()
        clock = mock.Mock(wraps=time)
        self.patch(time=clock)
        for second in range(10):
            clock.monotonic.return_value = now + 2 * second
            self.assertEqual(self.sign_in().status_int, 401)
        clock.monotonic.return_value = now + 30
        answer = self.sign_in()
        self.too_many(answer)
        end = now + 30 + int(answer.headers['Retry-After'])
        clock.monotonic.return_value = end - 1.5
        self.assertEqual(self.sign_in().status_int, 429)
        clock.monotonic.return_value = end
        self.assertEqual(self.sign_in().status_int, 401)
        # One of ten was over.
        self.assertEqual(self.sign_in().status_int, 429)

    def test_limit_of_0_is_none(self):
        self.patch(RATE_LIMIT=0)
        for number in range(120):
            with self.subTest(number=number):
                self.assertEqual(self.sign_in().status_int, 401)
                self.assertEqual(self.use_key('x').status_int, 401)

    def test_nothing_sent_is_no_failure(self):
        for _ in range(101):
            self.app.get('/hello_world', status=401)
            broken = {'Authorization': 'Basic !'}
            self.app.get('/hello_world', headers=broken, status=401)
            self.app.post_json('/api/create', {}, status=401)
            self.app.post_json('/token', {'username': 'x'}, status=400)
            wrong = {'Authorization': 'Bearer x'}
            self.app.get('/users', headers=wrong, status=401)
        self.assertEqual(self.sign_in().status_int, 401)

    def test_guesses_at_once_are_told_no_more_than_the_limit(self):
        for name, guess in [
            ('the demo account', lambda _: self.sign_in('basic')),
            ('a user', lambda _: self.sign_in(name='carol')),
            ('nobody', lambda _: self.sign_in('/login', name='nobody')),
            ('a key', lambda _: self.use_key('sumit.wrong')),
        ]:
            with self.subTest(guess=name):
                api.attempts.clear()
                statuses = [answer.status_int for answer in at_once(guess, range(60))]
                self.assertEqual(statuses.count(401), 10)
                self.assertEqual(statuses.count(429), 50)

    def test_sprayed_guesses_at_once_are_told_no_more_than_ten_times_the_limit(self):
        statuses = at_once(
            lambda number: self.sign_in(name=f'x{number}').status_int, range(120)
        )
        self.assertEqual(statuses.count(401), 100)
        self.assertEqual(statuses.count(429), 20)

    def test_right_guess_among_many_at_once_is_not_told_past_the_limit(self):
        tried = threading.Event()
        scrypt = api.scrypt

        def late(password, salt):
            if password == self.carol['password']:
                tried.wait(10)
            return scrypt(password, salt)

        with mock.patch.object(api, 'scrypt', late), ThreadPoolExecutor(1) as pool:
            right = pool.submit(self.sign_in, **self.carol_in())
            statuses = [self.sign_in(name='carol').status_int for _ in range(10)]
            tried.set()
            self.assertEqual(statuses, [401] * 10)
            self.too_many(right.result())

    def test_guesses_at_the_demo_account_count_while_others_hash(self):
        with self.full_queue():
            statuses = [self.sign_in().status_int for _ in range(12)]
            self.assertEqual(statuses, [401] * 10 + [429] * 2)
            self.assertEqual(self.succeed(), 429)

    def test_new_keys_are_429_past_the_limit(self):
        for number in range(10):
            self.app.head(f'/api/generate_key/name{number}')
            self.app.post(f'/api/generate_key/name{number}', status=201)
        for method in ['GET', 'POST']:
            with self.subTest(method=method):
                path = '/api/generate_key/name10'
                self.too_many(self.app.request(path, method=method, status=429))
        # Sign-ins are counted by themselves.
        self.assertEqual(self.sign_in().status_int, 401)
        client('192.0.2.2').post('/api/generate_key/name10', status=201)
        self.assertEqual(len(api.api_keys), 12)

    def test_addresses_fill_no_memory(self):
        for number in range(10_000):
            address = f'2001:db8::{number:x}'
            event = api.Attempt(time.monotonic(), 'failed sign-ins', address, 'x')
            api.attempts.append(event)
        for number in range(20):
            with self.subTest(number=number):
                answer = self.sign_in(address=f'192.0.2.{number}')
                self.assertEqual(answer.status_int, 401)
        self.assertEqual(len(api.attempts), 10_000)

    # The queue of passwords

    @contextlib.contextmanager
    def full_queue(self):
        """Let as many passwords wait to be hashed as may, in this context."""
        with contextlib.ExitStack() as stack:
            for _ in range(100):
                stack.enter_context(api.hash_slots)
            yield

    def test_sign_in_that_finds_the_queue_full_is_503(self):
        before = dict(api.users)
        new = {'password': 'password'}
        with self.full_queue():
            # More than RATE_LIMIT, as these are no failures.
            for _ in range(11):
                for answer in [
                    self.app.post_json('/token', self.carol, status=503),
                    self.app.post_json('/login', self.carol, status=503),
                    self.sign_in('basic', 'x'),
                    self.app.patch_json(
                        '/users/bob', new, headers=self.bearer, status=503
                    ),
                ]:
                    self.assertEqual(answer.status_int, 503)
                    self.refused(answer, 'try later')
                    self.assertIn(int(answer.headers['Retry-After']), range(1, 61))
        self.assertEqual(api.users, before)
        self.app.post_json('/token', self.carol)

    def test_everything_else_works_while_the_queue_is_full(self):
        with self.full_queue():
            self.assertEqual(self.succeed(), 200)
            self.app.get('/users', headers=self.bearer)
            self.app.patch_json('/users/bob', {'sn': 'y'}, headers=self.bearer)
            self.assertEqual(self.use_key(self.key['api-key']).status_int, 201)

    def test_a_hundred_wait_and_the_next_is_503(self):
        open_queue = threading.Event()
        scrypt = api.scrypt

        def wait(password, salt):
            open_queue.wait(30)
            return scrypt(password, salt)

        def enter(_):
            app = client()
            return app.post_json('/token', self.carol, expect_errors=True)

        with mock.patch.object(api, 'scrypt', wait), ThreadPoolExecutor(110) as pool:
            waiting = [pool.submit(enter, number) for number in range(110)]
            # Until those are refused that will be, and a moment more.
            for _ in range(100):
                if len([one for one in waiting if one.done()]) >= 10:
                    break
                time.sleep(0.1)
            time.sleep(0.1)
            refused = [one.result() for one in waiting if one.done()]
            open_queue.set()
            statuses = [one.result().status_int for one in waiting]
        self.assertEqual([answer.status_int for answer in refused], [503] * 10)
        for answer in refused:
            self.assertIn('Retry-After', answer.headers)
        self.assertEqual(statuses.count(200), 100)

    def test_the_service_answers_while_many_sign_in(self):
        # More than it has threads, and each hash takes its time there.
        with service() as process, ThreadPoolExecutor(8) as pool:
            headers = self.admin_of(process)
            user = {'cn': 'dave', 'sn': 'x', 'password': 'pässword'}
            added = fetch(f'{process.url}/users', user, headers)
            self.assertEqual(added[0], 201)
            account = {'username': 'dave', 'password': 'pässword'}
            sign_ins = [
                pool.submit(fetch, f'{process.url}/token', account, timeout=60)
                for _ in range(8)
            ]
            # A moment later all of them have arrived.
            time.sleep(0.1)
            self.assertEqual(fetch(f'{process.url}/health')[0], 200)
            done = [one for one in sign_ins if one.done()]
            statuses = [one.result()[0] for one in sign_ins]
        self.assertEqual(statuses, [200] * 8)
        # Otherwise it would have waited until nearly all were.
        self.assertLess(len(done), 5)

    def admin_of(self, process):
        """Return the header with a token of the demo account of a service."""
        account = {'username': api.API_USERNAME, 'password': api.API_PASSWORD}
        answer = fetch(f'{process.url}/token', account)[1]
        return token_header(answer['access_token'])

    # Room

    def test_full_collections_are_507(self):
        record = {'value1': 'x'}
        user = {'cn': 'x', 'sn': 'x'}
        course = {'code': 'x', 'name': 'x', 'instructor': 'x'}
        names = ['films', 'records', 'users', 'courses', 'api_keys']
        before = [dict(getattr(api, name)) for name in names]
        self.patch(MAX_ITEMS=1)
        for method, path, body, headers in [
            ('POST', '/films', DUNE, {}),
            ('PUT', '/films/new', DUNE, {}),
            ('POST', '/api/create', record, self.key),
            ('POST', '/users', user, self.bearer),
            ('POST', '/courses', course, self.bearer),
            ('POST', '/api/generate_key/thor', None, {}),
            ('GET', '/api/generate_key/thor', None, {}),
        ]:
            with self.subTest(method=method, path=path):
                answer = self.app.request(
                    path,
                    method=method,
                    body=b'' if body is None else json.dumps(body).encode(),
                    headers={**JSON, **headers},
                    status=507,
                )
                self.refused(answer, 'room')
        self.assertEqual([dict(getattr(api, name)) for name in names], before)

    def test_full_collections_can_be_changed(self):
        self.patch(MAX_ITEMS=2)
        self.app.put_json('/films/1', DUNE, status=200)
        self.app.delete('/films/1')
        self.app.put_json('/films/new', DUNE, status=201)
        self.app.post_json('/films', DUNE, status=507)


# --- Lists ----------------------------------------------------------------------------

LISTS = {
    '/films': 'Name Year Month',
    '/api/list': 'id timestamp value1 value2 value3 creationdate lastmodifiedby',
    '/users': 'cn sn uid givenName displayName mail memberOfs accountLocked dn',
    '/courses': 'code name instructor',
}


@needs('films', 'records', 'users', 'courses')
class Lists(Case):
    """The query of /films, /api/list, /users and /courses."""

    def setUp(self):
        super().setUp()
        for name, year in [
            ('Zodiac', 2007),
            ('alien', 1979),
            ('Alien', 1979),
            ('Éloge', 2001),
        ]:
            api.films.add_numbered({'Name': name, 'Year': year, 'Month': 'May'})

    def films(self, query, total):
        """Return the ids of a list of films, which is a page of so many."""
        answer = self.app.get(f'/films?{query}')
        self.assertEqual(answer.headers['X-Total-Count'], str(total))
        return ' '.join(answer.json)

    def records(self, query):
        """Return the ids of a list of records."""
        return [record['id'] for record in self.app.get(f'/api/list?{query}').json]

    def users(self, query):
        """Return the names of a list of users."""
        answer = self.app.get(f'/users?{query}', headers=self.bearer)
        return [user['cn'] for user in answer.json]

    def courses(self, query):
        """Return the codes of a list of courses."""
        answer = self.app.get(f'/courses?{query}', headers=self.bearer)
        return [course['code'] for course in answer.json['courses']]

    def links(self, query):
        """Return the pages that Link names for a list of films, by their relation."""
        link = self.app.get(f'/films{query}').headers['Link']
        one = r'<[^<>"\s]+>; rel="\w+"'
        self.assertRegex(link, f'^{one}(, {one})*$')
        return {name: page for page, name in re.findall(r'<(.*?)>; rel="(\w+)"', link)}

    # Pages

    def test_without_a_query_the_list_is_the_whole(self):
        self.assertEqual(self.films('', 6), '1 2 3 4 5 6')
        link = self.app.get('/films').headers['Link']
        expected = (
            '</films?limit=100&offset=0>; rel="first", '
            '</films?limit=100&offset=0>; rel="last"'
        )
        self.assertEqual(link, expected)

    def test_every_list_has_a_total_and_links(self):
        for path, total in [
            ('/films', '6'),
            ('/api/list', '5'),
            ('/users', '2'),
            ('/courses', '2'),
        ]:
            for call in [self.app.get, self.app.head]:
                with self.subTest(path=path, call=call.__name__):
                    answer = call(path, headers=self.bearer)
                    self.assertEqual(answer.headers['X-Total-Count'], total)
                    self.assertIn(f'<{path}?limit=100', answer.headers['Link'])

    def test_a_page_has_100_items_if_no_limit_is_given(self):
        api.films.update({f'x{number}': START['films']['1'] for number in range(100)})
        self.assertEqual(len(self.films('', 106).split()), 100)
        self.assertEqual(self.films('offset=100', 106), 'x94 x95 x96 x97 x98 x99')
        self.assertEqual(len(self.films('limit=1000', 106).split()), 106)

    def test_limit_and_offset(self):
        for query, page in [
            ('limit=2', '1 2'),
            ('limit=2&offset=4', '5 6'),
            ('offset=5', '6'),
            ('limit=1&offset=2', '3'),
            ('offset=6', ''),
            ('offset=999999999', ''),
            ('limit=1000', '1 2 3 4 5 6'),
            ('limit=4&offset=3', '4 5 6'),
        ]:
            with self.subTest(query=query):
                self.assertEqual(self.films(query, 6), page)
                in_order = self.films(f'{query}&sort=Name', 6)
                self.assertEqual(len(in_order.split()), len(page.split()))

    def test_links_lead_over_all_pages(self):
        for query in [
            '?limit=2',
            '?limit=4&sort=-Year,Name',
            '?limit=2&sort=-Year&sort=Name',
            '?limit=1&q=e',
            '?limit=5&offset=0',
            '?limit=1&Name=%C3%89loge',
            '?limit=3&Month=May&q=l',
        ]:
            with self.subTest(query=query):
                whole = re.sub(r'limit=\d+', 'limit=1000', query)
                every = list(self.app.get(f'/films{whole}').json)
                pages = self.links(query)
                self.assertEqual(self.follow(pages['first'], 'next'), every)
                back = self.follow(pages['last'], 'prev')
                self.assertEqual(sorted(back), sorted(every))

    def follow(self, page, relation):
        """Return the ids of the films of a page and of all that are linked from it."""
        found = []
        while page:
            found += list(self.app.get(page).json)
            page = self.links(page.removeprefix('/films')).get(relation)
        return found

    def test_the_last_link_is_where_the_next_ones_end(self):
        for query in ['?limit=2', '?limit=4', '?limit=6', '?limit=5&sort=Name']:
            with self.subTest(query=query):
                page = self.links(query)['first']
                while page:
                    end = page
                    page = self.links(page.removeprefix('/films')).get('next')
                self.assertEqual(end, self.links(query)['last'])

    def test_links_of_odd_pages(self):
        for query, offsets in [
            ('?limit=4&offset=1', {'first': 0, 'prev': 0, 'next': 5, 'last': 4}),
            ('?limit=4&offset=5', {'first': 0, 'prev': 1, 'last': 4}),
            ('?limit=4&offset=70', {'first': 0, 'prev': 4, 'last': 4}),
            ('?limit=4&q=nowhere', {'first': 0, 'last': 0}),
        ]:
            with self.subTest(query=query):
                found = {}
                for name, page in self.links(query).items():
                    self.assertIn('limit=4', page)
                    self.assertEqual('q=nowhere' in page, 'nowhere' in query)
                    found[name] = int(re.search(r'offset=(\d+)', page)[1])
                self.assertEqual(found, offsets)

    # Order

    def test_sort(self):
        for sort, order in [
            ('Name', '5 2 1 3 4 6'),
            ('-Name', '6 4 3 1 2 5'),
            ('Year', '4 5 6 3 1 2'),
            ('-Year', '1 2 3 6 4 5'),
            ('Year,Name', '5 4 6 3 2 1'),
            ('-Year,Name', '2 1 3 6 5 4'),
            ('Year,-Name', '4 5 6 3 1 2'),
            ('Month,-Year,Name', '2 1 3 6 5 4'),
        ]:
            with self.subTest(sort=sort):
                self.assertEqual(self.films(f'sort={sort}', 6), order)
                page = self.films(f'sort={sort}&limit=2&offset=1', 6)
                self.assertEqual(page, ' '.join(order.split()[1:3]))

    def test_sort_may_be_there_more_than_once(self):
        for query, order in [
            ('sort=-Year&sort=Name', '2 1 3 6 5 4'),
            ('sort=Year&sort=-Name', '4 5 6 3 1 2'),
            ('sort=Month&sort=-Year&sort=Name', '2 1 3 6 5 4'),
            ('sort=Month,-Year&limit=100&sort=Name', '2 1 3 6 5 4'),
        ]:
            with self.subTest(query=query):
                self.assertEqual(self.films(query, 6), order)

    def test_sort_where_a_field_is_null(self):
        api.records.change('2', {'value1': None, 'value2': None, 'value3': None})
        for field in ['value1', 'value2', 'value3']:
            for sort, place in [(field, 0), (f'-{field}', 4)]:
                with self.subTest(sort=sort):
                    self.assertEqual(self.records(f'sort={sort}')[place], 2)

    def test_sort_where_a_field_is_missing(self):
        api.users['zoe'] = {'cn': 'zoe', 'sn': 'x'}
        self.assertEqual(self.users('sort=mail'), ['zoe', 'alice', 'bob'])
        self.assertEqual(self.users('sort=-mail'), ['bob', 'alice', 'zoe'])

    def test_sort_by_a_list_of_texts(self):
        self.assertEqual(self.users('sort=memberOfs'), ['alice', 'bob'])
        self.assertEqual(self.users('sort=-memberOfs'), ['bob', 'alice'])

    # What is looked for

    def test_q_looks_into_every_text(self):
        for query, found in [
            ('ALIEN', '4 5'),
            ('%C3%A9loge', '6'),
            ('%C3%89LOGE', '6'),
            ('may', '3 4 5 6'),
            ('2007', ''),
            ('e', '1 2 4 5 6'),
            ('infinity+war', '1'),
            ('%25', ''),
            ('_', ''),
            ('%5C', ''),
            ('.', ''),
            ('*', ''),
            ('None', ''),
            ('%00', ''),
            ("'", ''),
            ('May%0A', ''),
            ('%F0%9F%98%80', ''),
            ('%EF%BF%BD', ''),
        ]:
            with self.subTest(q=query):
                total = len(found.split())
                self.assertEqual(self.films(f'q={query}', total), found)

    def test_q_looks_into_lists_of_texts(self):
        self.assertEqual(self.users('q=GETAFIX'), ['bob'])
        self.assertEqual(self.users('q=ou=groups'), ['alice', 'bob'])

    def test_hashes_are_not_searched(self):
        self.app.patch_json(
            '/users/bob', {'password': 'correct horse'}, headers=self.bearer
        )
        bob = api.users['bob']
        for name in ['password_hash', 'password_salt', 'password_version']:
            with self.subTest(field=name):
                self.assertEqual(self.users(f'q={bob[name]}'), [])
                self.app.get(f'/users?{name}=x', headers=self.bearer, status=400)
                self.app.get(f'/users?sort={name}', headers=self.bearer, status=400)

    def test_values_of_fields(self):
        for query, found in [
            ('Year=1979', '4 5'),
            ('Year=2018&Month=March', '1'),
            ('Name=alien', '4'),
            ('Year=2018.0', '1 2'),
            ('Name=Alie', ''),
            ('Year=2000', ''),
            ('Name=Ant+Man+and+the+Wasp', '2'),
            ('Name=%C3%89loge', '6'),
            ('Month=May&q=Z&sort=-Year', '3'),
        ]:
            with self.subTest(query=query):
                self.assertEqual(self.films(query, len(found.split())), found)

    def test_values_of_numbers_and_booleans(self):
        for query, found in [
            ('value3=false', [2, 4]),
            ('value3=true&sort=-id', [5, 3, 1]),
            ('value2=88239244423.21', [2, 4]),
            ('id=3', [3]),
            ('timestamp=6789998212', [3]),
            ('lastmodifiedby=loki', [4]),
        ]:
            with self.subTest(query=query):
                self.assertEqual(self.records(query), found)

    def test_true_and_false_may_be_in_any_case(self):
        for text in ['true', 'True', 'TRUE']:
            with self.subTest(text=text):
                self.assertEqual(self.records(f'value3={text}'), [1, 3, 5])
        for text in ['false', 'False', 'FALSE']:
            with self.subTest(text=text):
                self.assertEqual(self.records(f'value3={text}'), [2, 4])
                self.assertEqual(self.users(f'accountLocked={text}'), ['alice', 'bob'])

    def test_values_of_users(self):
        api.users.change('bob', {'sshPublicKeys': [ED25519]})
        group = quote('cn=Admins,ou=groups,dc=dbsentry,dc=com', safe='')
        name = quote('cn=bob,ou=people,dc=dbsentry,dc=com', safe='')
        for query, found in [
            ('sn=Parker', ['alice', 'bob']),
            (f'memberOfs={group}', ['alice']),
            (f'dn={name}', ['bob']),
            ('accountLocked=false', ['alice', 'bob']),
            ('accountLocked=true', []),
            (f'sshPublicKeys={quote(ED25519, safe="")}', ['bob']),
        ]:
            with self.subTest(query=query):
                self.assertEqual(self.users(query), found)

    def test_values_of_courses(self):
        self.assertEqual(self.courses('instructor=Andrew+Ng&sort=name'), ['CSE465'])
        self.assertEqual(self.courses('sort=code'), ['CSE115', 'CSE465'])

    # Refusals

    def test_a_value_that_no_item_can_have_is_400(self):
        for path, query in [
            ('/films', 'Year=soon'),
            ('/films', 'Year='),
            ('/films', 'Year=1800'),
            ('/films', 'Year=true'),
            ('/films', 'Year=2018.5'),
            ('/films', 'Month=may'),
            ('/films', 'Year=' + '%5B' * 9000),
            ('/films', 'Year=' + '1' * 5000),
            ('/api/list', 'value3=1'),
            ('/api/list', 'value3=yes'),
            ('/api/list', 'value3=true%20'),
            ('/api/list', 'id=x'),
            ('/api/list', 'value2=false'),
            ('/api/list', 'value2=%221%22'),
            ('/users', 'accountLocked=yes'),
            ('/users', 'mail=bob'),
            ('/users', 'cn=a%20b'),
            ('/courses', 'code=a%2Fb'),
            ('/courses', 'name='),
        ]:
            with self.subTest(path=path, query=query[:40]):
                answer = self.app.get(
                    f'{path}?{query}', headers=self.bearer, status=400
                )
                self.refused(answer, query.partition('=')[0])

    def test_unknown_parameters_are_400_and_the_known_ones_are_listed(self):
        for path, fields in LISTS.items():
            for query in [
                'x=1',
                'year=2018',
                'Limit=1',
                'limit=1&x',
                'password=x',
                'password_salt=x',
                'q+=x',
                'limit%00=1',
                '_limit=1',
                'sort%5B%5D=cn',
                '%C3%A9=1',
                'limit;q=1',
                '=1',
            ]:
                with self.subTest(path=path, query=query):
                    sent = query.split('&')[-1].partition('=')[0]
                    name = unquote(sent.replace('+', ' '))
                    answer = self.app.get(
                        f'{path}?{query}', headers=self.bearer, status=400
                    )
                    known = ['limit', 'offset', 'sort', 'q', *fields.split()]
                    self.refused(answer, f'{name} is not known', *known)
                    self.assertNotIn('password,', answer.json['message'])

    def test_parameters_that_are_there_twice_are_400(self):
        for query, name in [
            ('limit=1&limit=1', 'limit'),
            ('q=a&q=b', 'q'),
            ('Year=2018&Year=2018', 'Year'),
            ('sort=Name&q=a&sort=Year&q=b', 'q'),
            ('offset=0&limit=1&%6Fffset=0', 'offset'),
        ]:
            with self.subTest(query=query):
                answer = self.app.get(f'/films?{query}', status=400)
                self.refused(answer, f'{name} ', 'twice')
                known = ['limit', 'offset', 'sort', 'q', 'Name', 'Year', 'Month']
                self.refused(answer, *known)

    def test_bad_limits_are_400(self):
        for value in [
            '0',
            '-1',
            '1001',
            '',
            'x',
            '1.0',
            '1.5',
            '1e2',
            '01',
            '%2B1',
            '1_0',
            'true',
            'null',
            '%EF%BC%91',
            '9' * 5000,
            '%5B1%5D',
            'NaN',
            '%5B' * 9000,
        ]:
            with self.subTest(limit=value[:40]):
                self.refused(self.app.get(f'/films?limit={value}', status=400), 'limit')

    def test_bad_offsets_are_400(self):
        for value in [
            '-1',
            '',
            'x',
            '1.0',
            '1.5',
            '00',
            '1000000000',
            '9' * 30,
            '9' * 5000,
            'Infinity',
        ]:
            with self.subTest(offset=value[:40]):
                answer = self.app.get(f'/films?offset={value}', status=400)
                self.refused(answer, 'offset')

    def test_bad_orders_are_400(self):
        for value in [
            '',
            'name',
            'x',
            '-',
            '--Year',
            'Year,',
            ',Year',
            'Year+',
            '+Year',
            'Year;Name',
            'password',
            'Year,x',
            'Name%00',
            'Year,Year',
            'Year&sort=Year',
            'Year&sort=',
            'Year&sort=x',
            'Name,' * 5000 + 'Name',
        ]:
            with self.subTest(sort=value[:40]):
                self.refused(self.app.get(f'/films?sort={value}', status=400), 'sort')

    def test_bad_texts_to_look_for_are_400(self):
        for value in ['', 'x' * 201]:
            with self.subTest(q=value):
                self.refused(self.app.get(f'/films?q={value}', status=400), 'q')

    def test_a_query_that_is_not_utf8_is_400(self):
        for query in ['q=%FF', '%FF=1', 'Name=%ED%A0%80', 'q=%C3', 'sort=%80']:
            with self.subTest(query=query):
                self.refused(self.app.get(f'/films?{query}', status=400), 'UTF-8')

    def test_a_query_may_be_sent_without_percent_signs(self):
        for query, status in [
            ('q=\xe9', 400),
            ('\xff=1', 400),
            ('q=\xc3\xa9loge', 200),
        ]:
            with self.subTest(query=query):
                sent = webtest.TestRequest.blank('/films')
                sent.environ['QUERY_STRING'] = query
                answer = self.app.do_request(sent, status)
        self.assertEqual(list(answer.json), ['6'])
        self.assertIn('q=%C3%A9loge', answer.headers['Link'])

    # What is read

    def test_only_the_page_is_read(self):
        with mock.patch.object(api.films, 'page', wraps=api.films.page) as page:
            self.films('', 6)
            self.films('limit=2&offset=3', 6)
            self.assertEqual(page.mock_calls, [mock.call(0, 100), mock.call(3, 5)])

    def test_the_total_is_that_of_the_page_where_others_write(self):
        film = START['films']['1']
        read = api.films.page

        def read_before_others_write(*args):
            found = read(*args)
            api.films.add_numbered(film)
            return found

        for query in ['', 'limit=50', 'sort=Name', 'q=e', 'limit=50&offset=3']:
            with self.subTest(query=query):
                change = read_before_others_write
                with mock.patch.object(api.films, 'page', change):
                    answer = self.app.get(f'/films?{query}')
                offset = 3 if 'offset' in query else 0
                total = offset + len(answer.json)
                self.assertEqual(answer.headers['X-Total-Count'], str(total))

    def test_threads_see_whole_pages(self):
        def work(number):
            app = client()
            app.put_json(f'/films/n{number}', DUNE)
            page = app.get('/films?limit=5&offset=1').json
            in_order = app.get('/films?sort=Year&limit=2').json
            app.delete(f'/films/n{number}')
            return len(page), list(in_order)

        found = at_once(work, range(60))
        self.assertEqual(found, [(5, ['4', '5'])] * 60)
        self.assertEqual(self.films('', 6), '1 2 3 4 5 6')


# --- Browsers -------------------------------------------------------------------------

# What browsers send for pages of other origins.
FOREIGN = [
    {'Sec-Fetch-Site': 'cross-site', 'Origin': 'https://evil.example'},
    {'Sec-Fetch-Site': 'same-site', 'Origin': 'http://127.0.0.1:8000'},
    {'Sec-Fetch-Site': 'cross-site', 'Origin': 'null'},
    {'Sec-Fetch-Site': 'cross-site'},
    {'Sec-Fetch-Site': 'x'},
    {'Origin': 'https://evil.example'},
    {'Origin': 'null'},
    {'Origin': 'http://localhost:81'},
    {'Origin': 'http://localhost:80.evil.example'},
    {'Origin': 'http://localhost:80@evil.example'},
    {'Origin': 'http://['},
    {'Origin': 'http://[::1'},
    {'Origin': 'é'},
    {'Origin': '\xff'},
    {'Sec-Fetch-Site': 'cross-site', 'Origin': 'http://localhost:80'},
]
# What pages of this service, and of an origin that it names, send.
OWN = [
    {},
    {'Sec-Fetch-Site': 'same-origin', 'Origin': 'http://localhost'},
    {'Sec-Fetch-Site': 'none'},
    {'Origin': 'http://localhost:80'},
    {'Sec-Fetch-Site': 'same-origin', 'Origin': 'https://behind.a.proxy'},
    {'Origin': 'https://a.example'},
    {'Sec-Fetch-Site': 'cross-site', 'Origin': 'https://a.example'},
]


@needs('CORS_ORIGIN', 'films', 'users', 'courses', 'post_key', 'post_token')
class Browsers(Case):
    """CORS_ORIGIN, what pages may do, and by which name the service may be called."""

    def setUp(self):
        super().setUp()
        self.patch(page_origins=['https://a.example', 'http://b:80'])

    def test_prefix_of_a_trusted_proxy_stands_before_paths(self):
        prefix = {'X-Forwarded-Prefix': '/myapp'}
        self.patch(TRUSTED_PROXY='127.0.0.1')
        for path, status in [('/health', 200), ('/nowhere', 404), ('/', 200)]:
            with self.subTest(path=path):
                self.app.get(path, headers=prefix, status=status)
        answer = self.app.get('/films?limit=1', headers=prefix)
        link = answer.headers['Link']
        self.assertIn('</myapp/films?limit=1&offset=1>; rel="next"', link)
        answer = self.app.post_json('/films', DUNE, headers=prefix)
        self.assertEqual(answer.headers['Location'], '/myapp/films/3')

    def test_prefix_that_is_no_path_or_not_trusted_is_not_taken(self):
        for trusted, prefix in [
            ('', '/myapp'),
            ('127.0.0.1', 'myapp'),
            ('127.0.0.1', '//evil.example'),
            ('127.0.0.1', '/a>; rel="next"'),
        ]:
            with self.subTest(trusted=trusted, prefix=prefix):
                self.patch(TRUSTED_PROXY=trusted)
                headers = {'X-Forwarded-Prefix': prefix}
                link = self.app.get('/films', headers=headers).headers['Link']
                self.assertTrue(link.startswith('</films?'), link)

    def cors(self, answer):
        """Return the names of the headers of CORS that an answer has."""
        return [name for name in answer.headers if 'Access-Control' in name]

    # Reading

    def test_named_origins_may_read_every_answer(self):
        fault = mock.patch.object(api.courses, 'page', side_effect=ZeroDivisionError)
        for method, path, status in [
            ('GET', '/films', 200),
            ('HEAD', '/films', 200),
            ('GET', '/films/x', 404),
            ('GET', '/nowhere', 404),
            ('POST', '/health', 405),
            ('GET', '/users', 401),
            ('POST', '/films', 415),
            ('GET', '/films/%FF', 400),
            ('GET', '/docs', 308),
            ('DELETE', '/films/1', 204),
            ('GET', '/docs/index.html', 200),
            ('OPTIONS', '/films', 204),
            ('GET', '/courses', 500),
        ]:
            for origin in ['https://a.example', 'http://b:80']:
                with self.subTest(method=method, path=path, origin=origin), fault:
                    reset(api.films)
                    headers = self.bearer if path == '/courses' else {}
                    answer = self.app.request(
                        path,
                        method=method,
                        headers={'Origin': origin, **headers},
                        status=status,
                        expect_errors=status == 500,
                    )
                    found = answer.headers
                    self.assertEqual(found['Access-Control-Allow-Origin'], origin)
                    self.assertEqual(found.getall('Vary'), ['Origin'])
                    self.assertEqual(
                        found['Access-Control-Expose-Headers'],
                        'Link, Location, Retry-After, X-Total-Count',
                    )
                    self.assertNotIn('Access-Control-Allow-Credentials', found)

    def test_other_origins_may_not(self):
        for origin in [
            'https://b.example',
            'https://a.example.evil.example',
            'null',
            '*',
            '',
            'http://b',
            'http://a.example',
            'https://a.example:443',
            'https://A.example',
            'é',
            '\xff',
            'https://a.example http://b:80',
            'https://a.exampl',
        ]:
            for method, path in [
                ('GET', '/films'),
                ('GET', '/nowhere'),
                ('OPTIONS', '/films/1'),
            ]:
                with self.subTest(origin=origin, method=method, path=path):
                    headers = {'Origin': origin, 'Access-Control-Request-Method': 'PUT'}
                    answer = self.app.request(
                        path, method=method, headers=headers, status='*'
                    )
                    self.assertLess(answer.status_int, 500)
                    self.assertEqual(answer.headers['Vary'], 'Origin')
                    self.assertEqual(self.cors(answer), [])

    def test_answers_vary_by_origin_where_one_is_named(self):
        self.assertEqual(self.app.get('/films').headers['Vary'], 'Origin')
        self.patch(page_origins=[])
        answer = self.app.get('/films', headers={'Origin': 'https://a.example'})
        self.assertNotIn('Vary', answer.headers)
        self.assertEqual(self.cors(answer), [])

    def test_preflights_are_204(self):
        for path in [
            '/films/1',
            '/users',
            '/users/x',
            '/courses/x',
            '/api/modify/1',
            '/token',
        ]:
            with self.subTest(path=path):
                headers = {
                    'Origin': 'https://a.example',
                    'Access-Control-Request-Method': 'PATCH',
                    'Access-Control-Request-Headers': 'api-key,authorization',
                }
                answer = self.app.options(path, headers=headers, status=204)
                found = answer.headers
                self.assertEqual(answer.body, b'')
                self.assertGreater(int(found['Access-Control-Max-Age']), 0)
                self.assertEqual(
                    found['Access-Control-Allow-Headers'].lower().split(', '),
                    ['authorization', 'content-type', 'api-key'],
                )
                self.assertLessEqual(
                    {'PUT', 'PATCH', 'DELETE', 'POST', 'GET', 'HEAD'},
                    set(found['Access-Control-Allow-Methods'].split(', ')),
                )
                self.assertIn('OPTIONS', found['Allow'])

    def test_root_varies_by_both(self):
        answer = self.app.get('/')
        self.assertEqual(answer.headers.getall('Vary'), ['Accept', 'Origin'])
        answer = self.app.get('/', headers={'Accept': 'text/html'}, status=302)
        self.assertEqual(answer.headers.getall('Vary'), ['Accept', 'Origin'])

    # Changing

    def test_pages_of_other_origins_change_nothing(self):
        for headers in FOREIGN:
            for method, path in [
                ('POST', '/films'),
                ('PUT', '/films/1'),
                ('DELETE', '/films/1'),
                ('PATCH', '/users/bob'),
                ('POST', '/api/generate_key/eve'),
                ('POST', '/token'),
                ('POST', '/nowhere'),
            ]:
                with self.subTest(headers=headers, method=method, path=path):
                    answer = self.app.request(
                        path,
                        method=method,
                        body=json.dumps(DUNE).encode(),
                        headers={**JSON, **self.bearer, **headers},
                        status=403,
                    )
                    self.refused(answer, 'CORS_ORIGIN', 'pages')
                    self.assertEqual(self.cors(answer), [])
        self.assertEqual(api.films, START['films'])

    def test_pages_of_other_origins_make_no_key_by_get(self):
        for headers in FOREIGN:
            with self.subTest(headers=headers):
                path = '/api/generate_key/eve'
                answer = self.app.get(path, headers=headers, status=403)
                self.refused(answer, 'CORS_ORIGIN')
        self.assertEqual(len(api.api_keys), 0)

    def test_pages_of_other_origins_may_ask_for_what_is_open(self):
        for headers in FOREIGN:
            with self.subTest(headers=headers):
                self.app.get('/films', headers=headers)

    def test_own_pages_and_named_origins_may_change(self):
        for number, headers in enumerate(OWN):
            with self.subTest(headers=headers):
                self.app.post('/films', DUNE, headers=headers, status=201)
                path = f'/api/generate_key/name{number}'
                self.app.get(path, headers=headers, status=201)

    # The name that the service is called by

    def get(self, process, host, method='GET', version=1):
        """Call /films of a service by the name of a host; return status and body."""
        line = f'{method} /films HTTP/1.{version}\r\n'
        if host is not None:
            line += f'Host: {host}\r\n'
        answer = raw(process.url, f'{line}Connection: close\r\n\r\n'.encode('latin-1'))
        head, _, body = answer.partition(b'\r\n\r\n')
        return int(head.split()[1]), body

    def test_host_that_is_another_machine_is_403(self):
        with service() as process:
            for host in [
                'evil.example',
                'evil.example:5000',
                'localhost.evil.example',
                '127.0.0.1.evil.example',
                'evil.example:localhost',
                'localhost@evil.example',
                '127.0.0.2',
                '[::2]:5000',
                '::1',
                'localhost:x',
                '\xff',
                'null',
            ]:
                for method in ['GET', 'POST', 'OPTIONS']:
                    with self.subTest(host=host, method=method):
                        status, body = self.get(process, host, method)
                        self.assertEqual(status, 403)
                        message = json.loads(body)['message']
                        self.assertIn('Host must be localhost', message)
                        for name in ['HOST', 'TRUSTED_PROXY']:
                            self.assertIn(name, message)

    def test_host_may_be_each_name_of_this_machine(self):
        with service() as process:
            port = urlsplit(process.url).port
            for host in [
                'localhost',
                'LocalHost',
                '127.0.0.1',
                '[::1]',
                f'localhost:{port}',
                f'127.0.0.1:{port}',
                f'[::1]:{port}',
                'localhost:1',
            ]:
                with self.subTest(host=host):
                    self.assertEqual(self.get(process, host)[0], 200)
            # HTTP/1.0 needs no Host.
            self.assertEqual(self.get(process, None, version=0)[0], 200)

    def test_host_may_be_any_where_others_may_call(self):
        for environment in [
            {'HOST': '0.0.0.0', 'API_PASSWORD': 'another'},
            {'TRUSTED_PROXY': '127.0.0.2'},
        ]:
            with self.subTest(environment), service(**environment) as process:
                self.assertEqual(self.get(process, 'api.example')[0], 200)

    # Behind a proxy

    def post_film(self, process, headers):
        """Send a film as a page in a browser does; return the status."""
        return fetch(f'{process.url}/films', DUNE, headers)[0]

    def test_own_page_behind_the_trusted_proxy(self):
        page = {'Origin': 'https://api.example'}
        forwarded = {**page, 'X-Forwarded-Host': 'api.example'}
        with service(TRUSTED_PROXY='127.0.0.1') as process:
            for headers, status in [
                (page, 403),
                (forwarded, 201),
                ({**forwarded, 'X-Forwarded-Proto': 'https'}, 201),
                ({**forwarded, 'Origin': 'https://evil.example'}, 403),
                ({**page, 'X-Forwarded-Host': 'evil.example, api.example'}, 201),
                ({**page, 'X-Forwarded-Host': 'api.example, evil.example'}, 403),
                ({**page, 'Host': 'api.example'}, 201),
            ]:
                with self.subTest(headers=headers):
                    self.assertEqual(self.post_film(process, headers), status)

    def test_port_of_the_origin_behind_the_trusted_proxy(self):
        headers = {
            'Origin': 'https://api.example:8443',
            'X-Forwarded-Host': 'api.example:8443',
            'X-Forwarded-Proto': 'https',
        }
        with service(TRUSTED_PROXY='127.0.0.1') as process:
            self.assertEqual(self.post_film(process, headers), 201)
            headers['Origin'] = 'https://api.example:9443'
            self.assertEqual(self.post_film(process, headers), 403)

    def test_forwarded_host_of_others_is_not_believed(self):
        headers = {
            'Origin': 'https://evil.example',
            'X-Forwarded-Host': 'evil.example',
        }
        for environment in [{}, {'TRUSTED_PROXY': '127.0.0.2'}]:
            with self.subTest(environment), service(**environment) as process:
                self.assertEqual(self.post_film(process, headers), 403)

    def test_address_behind_the_trusted_proxy_may_have_a_port(self):
        wrong = {'username': api.API_USERNAME, 'password': 'x'}
        forms = {
            '192.0.2.7': ['192.0.2.7:4711', '192.0.2.7:4712', '192.0.2.7'],
            '192.0.2.8': ['203.0.113.1:1, 192.0.2.8:2', '192.0.2.8'],
            '2001:db8::7': ['[2001:db8::7]:4711', '2001:db8::7', '[2001:db8::7]'],
        }
        with service(TRUSTED_PROXY='127.0.0.1', RATE_LIMIT='1') as process:
            for address, sent in forms.items():
                statuses = []
                for form in sent:
                    headers = {'X-Forwarded-For': form}
                    answer = fetch(f'{process.url}/token', wrong, headers)
                    statuses.append(answer[0])
                with self.subTest(address=address):
                    self.assertEqual(statuses, [401] + [429] * (len(sent) - 1))
            log = '\n'.join(log_of(process))
        for address, sent in forms.items():
            with self.subTest(address=address):
                self.assertIn(f'from {address}\n', log)
                self.assertEqual(log.count(f'\n{address} - - ['), len(sent))

    def test_address_that_is_none_makes_no_other_field_in_the_log(self):
        addresses = ['x"y', 'unknown', '_hidden', '1.2.3.4 - - x', '[', 'a\tb', '\xff']
        with service(TRUSTED_PROXY='127.0.0.1') as process:
            for address in addresses:
                with self.subTest(address=address):
                    headers = {'X-Forwarded-For': address}
                    status = fetch(f'{process.url}/films', headers=headers)[0]
                    self.assertEqual(status, 200)
            lines = [line for line in log_of(process) if '/films' in line]
        self.assertEqual(len(lines), len(addresses))
        for line in lines:
            with self.subTest(line=line):
                self.assertRegex(line, r'^[!#-Z^-~]+ - - \[[^]]+\] "GET /films HTTP')


POWERSHELL = shutil.which('powershell' if os.name == 'nt' else 'pwsh')
needs_powershell = unittest.skipUnless(POWERSHELL, 'PowerShell is not installed')
needs_shell = unittest.skipIf(os.name == 'nt', 'Windows runs no shell scripts')
needs_signals = unittest.skipIf(os.name == 'nt', 'Windows has no such signals')
DEMO_ACCOUNT = {'username': 'admin', 'password': 'atCh_5K}?g'}


def is_empty(answer):
    """Tell whether an answer has no body, and does not claim to be JSON."""
    return not answer.body and answer.content_type != 'application/json'


# --- Hello ----------------------------------------------------------------------------


class Hello(Case):
    """/ and /hello_world."""

    def test_root_greets(self):
        self.assertEqual(self.app.get('/').json, {'hello': 'world'})

    @needs('get_docs')
    def test_root_sends_a_browser_to_the_docs(self):
        browser = {'Accept': 'text/html,*/*;q=0.8'}
        answer = self.app.get('/', headers=browser, status=302)
        # Without a slash before it, so that it is right under a prefix too.
        self.assertEqual(answer.headers['Location'], 'docs')
        self.assertTrue(is_empty(answer))

    @needs('get_docs')
    def test_root_varies_by_accept(self):
        for accept in ['text/html', 'application/json']:
            with self.subTest(accept=accept):
                answer = self.app.get('/', headers={'Accept': accept})
                self.assertEqual(answer.headers['Vary'], 'Accept')

    def test_hello_world_greets_who_signed_in(self):
        account = basic(api.API_USERNAME, api.API_PASSWORD)
        answer = self.app.get('/hello_world', headers=account)
        self.assertEqual(answer.json, {'Hello': 'World'})

    def test_hello_world_asks_strangers_to_sign_in(self):
        for headers in [{}, basic(api.API_USERNAME, 'wrong'), self.bearer]:
            with self.subTest(headers=headers):
                answer = self.app.get('/hello_world', headers=headers, status=401)
                self.refused(answer, 'sign in')
                self.assertIn('Basic realm="', answer.headers['WWW-Authenticate'])


# --- Weekend API ----------------------------------------------------------------------


class WeekendAPI(Case):
    """/data, /token and /run-script."""

    def post_script(self, status=200):
        """Call /run-script; return the answer."""
        return self.app.post('/run-script', headers=self.bearer, status=status)

    def run_script(self, text, status=200, encoding='utf-8-sig'):
        """Call /run-script with this text as script.ps1; return the answer."""
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder, 'script.ps1')
            script.write_text(text, encoding=encoding)
            with mock.patch.object(api, 'SCRIPT', script):
                return self.post_script(status)

    def run_stand_in(self, text, status=200):
        """Call /run-script where this shell script stands in for PowerShell."""
        with stand_in(text):
            return self.post_script(status)

    def assert_ended(self, pids):
        """Check that these processes end within a few seconds."""
        deadline = time.monotonic() + 5
        for pid in pids:
            while is_alive(int(pid)):
                self.assertLess(time.monotonic(), deadline, f'{pid} lives on')
                time.sleep(0.05)

    def assert_readable(self, answer):
        """Check that there are no escape codes in what the script wrote."""
        self.assertNotIn('\x1b', answer.json['output'])
        self.assertNotIn('\x1b', answer.json['error'])

    def test_data_points_to_post(self):
        message = 'Hey please use the POST method for this endpoint'
        self.assertEqual(self.app.get('/data').json, {'message': message})

    def test_data_returns_any_json(self):
        simple = [None, [], {}, '', 'text', 'é😀', 3.5, 0, -1, True, False, 10**40]
        for value in [*simple, {'a': [{'b': None}]}]:
            with self.subTest(value=value):
                answer = self.app.post_json('/data', value)
                self.assertEqual(answer.json, value)
                self.assertIs(type(answer.json), type(value))

    def test_token_is_given_for_json_and_for_a_form(self):
        account = {'username': api.API_USERNAME, 'password': api.API_PASSWORD}
        for post in [self.app.post_json, self.app.post]:
            with self.subTest(post=post.__name__):
                answer = post('/token', account)
                self.assertEqual(answer.headers['Cache-Control'], 'no-store')
                token = answer.json['access_token']
                self.assertEqual(
                    answer.json,
                    {'access_token': token, 'token_type': 'Bearer', 'expires_in': 1800},
                )
                claims = jwt.decode(token, api.SECRET_KEY, ['HS256'])
                self.assertEqual(claims['sub'], api.API_USERNAME)
                self.assertEqual(claims['exp'] - claims['iat'], 1800)

    def test_token_opens_the_routes_behind_it(self):
        account = {'username': api.API_USERNAME, 'password': api.API_PASSWORD}
        token = self.app.post_json('/token', account).json['access_token']
        with mock.patch.object(api, 'run_script') as run:
            run.return_value = api.ScriptResult(0, 'out', '')
            self.app.post('/run-script', headers=token_header(token), status=200)

    def test_token_takes_the_fields_of_oauth_clients(self):
        account = {'username': api.API_USERNAME, 'password': api.API_PASSWORD}
        oauth = {'grant_type': 'password', 'scope': '', 'client_id': 'x'}
        self.app.post('/token', {**account, **oauth, 'client_secret': ''}, status=200)

    def test_token_refuses_as_oauth_does(self):
        account = json.dumps({'username': api.API_USERNAME, 'password': 'wrong'})
        for body, headers, status, error in [
            (account, JSON, 401, 'invalid_grant'),
            ('{"username": "x"}', JSON, 400, 'invalid_request'),
            ('{"username": "x", "password": null}', JSON, 400, 'invalid_request'),
            ('{"username": "x", "pasword": "x"}', JSON, 400, 'invalid_request'),
            ('[]', JSON, 400, 'invalid_request'),
            ('"é"]', JSON, 400, 'invalid_request'),
            ('{}', FORM, 400, 'invalid_request'),
            ('x', {'Content-Type': 'text/"é"'}, 415, 'invalid_request'),
            ('"%s"' % ('x' * 102_400), JSON, 413, 'invalid_request'),
        ]:
            with self.subTest(body=body[:50], headers=headers):
                body = body.encode()
                answer = self.app.post('/token', body, headers, status=status)
                self.assertEqual(answer.json['error'], error)
                # RFC 6749, 5.2 allows these characters.
                self.assertRegex(answer.json['error_description'], r'^[ !#-\[\]-~]+$')
                self.assertTrue(answer.json['message'])

    def test_token_past_the_limit_is_refused_as_oauth_does(self):
        self.patch(RATE_LIMIT=1)
        wrong = {'username': api.API_USERNAME, 'password': 'wrong'}
        self.app.post_json('/token', wrong, status=401)
        answer = self.app.post_json('/token', wrong, status=429)
        self.assertEqual(answer.json['error'], 'temporarily_unavailable')
        self.assertEqual(answer.json['error_description'], answer.json['message'])
        self.assertIn('Retry-After', answer.headers)

    def test_wrong_password_keeps_the_header_of_the_401(self):
        wrong = {'username': api.API_USERNAME, 'password': 'wrong'}
        answer = self.app.post_json('/token', wrong, status=401)
        self.assertIn('Bearer', answer.headers['WWW-Authenticate'])

    def test_script_needs_the_token_of_an_administrator(self):
        with no_start() as start:
            answer = self.app.post('/run-script', status=401)
        self.assertIn('Bearer', answer.headers['WWW-Authenticate'])
        start.assert_not_called()

    # What PowerShell can't be made to do: a shell script stands in for it.

    def test_powershell_that_is_missing_is_503(self):
        # Another name, as Windows looks into its own folders whatever PATH says.
        self.patch(POWERSHELL='no-such-powershell')
        answer = self.post_script(status=503)
        self.refused(answer, 'PowerShell is not installed', 'https://')

    @needs_shell
    def test_powershell_that_can_not_be_run_is_500_with_the_reason(self):
        for text, mode, reason in [
            ('#!/bin/sh\n', 0o644, 'Permission denied'),
            ('', 0o755, 'Exec format error'),
            ('#!/no/such/interpreter\n', 0o755, 'No such file'),
        ]:
            with self.subTest(reason=reason):
                with tempfile.TemporaryDirectory() as folder:
                    pwsh = Path(folder, 'pwsh')
                    pwsh.write_text(text)
                    pwsh.chmod(mode)
                    with mock.patch.dict(os.environ, PATH=folder):
                        answer = self.post_script(status=500)
                self.refused(answer, 'PowerShell', reason)
                self.assertNotIn('not installed', answer.json['message'])
                self.assertNotIn(folder, answer.json['message'])

    @needs_shell
    def test_powershell_gets_the_file_and_no_input(self):
        answer = self.run_stand_in('for word; do echo "$word"; done; cat')
        words = answer.json['output'].splitlines()
        self.assertEqual(words[-2:], ['-File', str(HERE / 'script.ps1')])
        self.assertIn('-NoProfile', words)
        self.assertIn('-NonInteractive', words)

    @needs_shell
    def test_script_is_asked_for_no_colours(self):
        answer = self.run_stand_in('env')
        self.assertIn('NO_COLOR=1', answer.json['output'].splitlines())

    @needs_shell
    def test_script_that_ignores_signals_is_ended_with_all_that_it_started(self):
        self.patch(SCRIPT_TIMEOUT=0.5)
        start = time.monotonic()
        answer = self.run_stand_in(
            'trap "" TERM HUP INT; sleep 60 & echo $!; (trap "" TERM; sleep 60) & '
            'echo $!; echo $$; wait',
            status=504,
        )
        self.assertLess(time.monotonic() - start, 10)
        self.refused(answer, '0.5 seconds')
        pids = answer.json['output'].split()
        self.assertEqual(len(pids), 3)
        self.assert_ended(pids)

    @needs_shell
    def test_script_that_takes_too_long_shows_what_it_wrote_until_then(self):
        self.patch(SCRIPT_TIMEOUT=0.5)
        answer = self.run_stand_in('echo before; echo oops >&2; sleep 60', status=504)
        message = answer.json['message']
        written = {'message': message, 'output': 'before\n', 'error': 'oops\n'}
        self.assertEqual(answer.json, written)

    @needs_shell
    def test_child_that_left_the_group_and_holds_the_pipe_holds_nothing_up(self):
        child = 'import os, time; os.setsid(); print(os.getpid()); time.sleep(60)'
        start = time.monotonic()
        answer = self.run_stand_in(
            f'"{sys.executable}" -u -c "{child}" & '
            'while ! kill -0 $!; do :; done; sleep 1; echo end'
        )
        took = time.monotonic() - start
        pid, end = answer.json['output'].split()
        os.kill(int(pid), signal.SIGKILL)
        self.assertEqual(end, 'end')
        self.assertLess(took, 10)

    @needs_shell
    def test_script_that_was_killed_is_500(self):
        answer = self.run_stand_in('kill -9 $$', status=500)
        self.assertEqual(answer.json['exit_code'], -9)

    @needs_shell
    def test_memory_does_not_grow_with_the_output(self):
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.run_stand_in('head -c 50000000 /dev/zero; head -c 50000000 /dev/zero >&2')
        peak = tracemalloc.get_traced_memory()[1]
        # Each zero of the two MiB is six characters of JSON, of which there are copies.
        self.assertLess(peak, 90_000_000)

    @needs_shell
    def test_disk_is_not_filled_by_the_output(self):
        answer = self.run_stand_in(
            'head -c 30000000 /dev/zero; du -sk "$TMPDIR" | cut -f 1 >&2'
        )
        self.assertLess(int(answer.json['error']), 4000)

    # What happens before PowerShell is started.

    def test_script_that_is_no_file_that_can_be_read_is_500(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder, 'folder') / 'script.ps1').mkdir(parents=True)
            Path(folder, 'file').touch()
            unreadable = Path(folder, 'unreadable', 'script.ps1')
            unreadable.parent.mkdir()
            unreadable.touch(mode=0o000)
            names = ['missing', 'folder', 'file']
            # For Windows a mode means little, and root may read everything.
            if os.name != 'nt' and os.geteuid() != 0:
                names.append('unreadable')
            for name in names:
                with self.subTest(name=name):
                    self.patch(SCRIPT=Path(folder, name, 'script.ps1'))
                    with stand_in('exit 64'), no_start() as start:
                        answer = self.post_script(status=500)
                    self.refused(answer, 'script.ps1')
                    self.assertNotIn(folder, answer.json['message'])
                    self.assertEqual(list(answer.json), ['message'])
                    start.assert_not_called()

    @unittest.skipUnless(hasattr(os, 'mkfifo'), 'Windows has no such files')
    def test_script_that_is_a_pipe_does_not_hold_the_request_up(self):
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder, 'script.ps1')
            os.mkfifo(script)
            self.patch(SCRIPT=script)
            with ThreadPoolExecutor() as pool:
                answer = pool.submit(self.run_stand_in, 'exit 64', 500)
                with contextlib.suppress(AssertionError):
                    wait_for(answer.done, 5)
                was_done = answer.done()
                # Whoever waits for something to read is let go.
                with contextlib.suppress(OSError):
                    os.close(os.open(script, os.O_WRONLY | os.O_NONBLOCK))
        self.assertTrue(was_done)
        self.refused(answer.result(), 'script.ps1')

    def test_no_folder_to_write_to_is_500(self):
        missing = FileNotFoundError(2, "No usable temporary directory in ['/tmp']")
        full = OSError(28, 'No space left on device')
        for name, problem in [('gettempdir', missing), ('mkdtemp', full)]:
            with self.subTest(problem=problem), stand_in('exit 64'):
                with mock.patch.object(tempfile, name, side_effect=problem):
                    answer = self.post_script(status=500)
                self.assertRegex(answer.json['message'], '(?i)folder')
                self.assertEqual(list(answer.json), ['message'])

    # What the real PowerShell does.

    @needs_powershell
    def test_the_project_s_own_script(self):
        answer = self.post_script()
        for word in ['Host:', 'System:', 'PowerShell:', 'Time (UTC):', 'Uptime:']:
            self.assertIn(word, answer.json['output'])
        self.assertEqual(answer.json['error'], '')

    @needs_powershell
    def test_script_output(self):
        answer = self.run_script('"out"; "more"; [Console]::Error.WriteLine("oops")')
        self.assertEqual(answer.json['output'].splitlines(), ['out', 'more'])
        self.assertEqual(answer.json['error'].splitlines(), ['oops'])
        self.assertEqual(set(answer.json), {'output', 'error'})

    @needs_powershell
    def test_script_does_not_see_the_secrets(self):
        names = ['SECRET_KEY', 'API_USERNAME', 'API_PASSWORD', 'DATABASE_URL']
        with mock.patch.dict(os.environ, dict.fromkeys(names, 'my secret')):
            answer = self.run_script('Get-ChildItem Env: | ConvertTo-Json -Depth 1')
        self.assertIn('PATH', answer.json['output'].upper())
        self.assertNotIn('my secret', answer.json['output'])
        for name in names:
            self.assertNotIn(f'"{name}"', answer.json['output'])

    @needs_powershell
    def test_exit_code_that_is_not_0_is_500(self):
        for code in [1, 2, 3, 127, 128, 254, 255]:
            with self.subTest(code=code):
                text = f'"out"; [Console]::Error.WriteLine("oops"); exit {code}'
                answer = self.run_script(text, status=500)
                self.refused(answer, f'exit code {code}')
                self.assertEqual(answer.json['exit_code'], code)
                self.assertEqual(answer.json['output'].strip(), 'out')
                self.assertEqual(answer.json['error'].strip(), 'oops')

    @needs_powershell
    def test_exit_code_0_is_200(self):
        self.assertEqual(self.run_script('"out"; exit 0').json['output'].strip(), 'out')

    @needs_powershell
    def test_script_that_throws_is_500_and_readable(self):
        answer = self.run_script('"before"\nthrow "boom"\n"after"', status=500)
        self.assert_readable(answer)
        self.assertIn('boom', answer.json['error'])
        self.assertEqual(answer.json['output'].strip(), 'before')
        self.assertEqual(answer.json['exit_code'], 1)

    @needs_powershell
    def test_script_that_is_no_powershell_is_500(self):
        answer = self.run_script('if (', status=500)
        self.assert_readable(answer)
        self.assertIn('script.ps1', answer.json['error'])

    @needs_powershell
    def test_error_that_does_not_end_the_script_is_200_and_readable(self):
        answer = self.run_script('Write-Error "oops"; "after"')
        self.assert_readable(answer)
        self.assertIn('oops', answer.json['error'])
        self.assertEqual(answer.json['output'].strip(), 'after')

    @needs_powershell
    def test_tables_and_warnings_are_readable(self):
        answer = self.run_script(
            'Get-ChildItem $PSScriptRoot\n'
            '[PSCustomObject]@{Name = "disk"; Size = 3} | Format-Table\n'
            'Write-Warning "nearly full"\n'
        )
        self.assert_readable(answer)
        for word in ['script.ps1', 'Name', 'disk', 'nearly full']:
            self.assertIn(word, answer.json['output'])

    @needs_powershell
    def test_utf8_comes_back_as_it_was_written(self):
        # Windows PowerShell 5.1 takes a script without the mark for something else.
        encodings = ['utf-8-sig'] if os.name == 'nt' else ['utf-8', 'utf-8-sig']
        # It also needs to be told what to write, as the project's script.ps1 does.
        text = (
            '[Console]::OutputEncoding = New-Object Text.UTF8Encoding $false\n'
            '"é😀 ﬁ"\n[Console]::Error.WriteLine("Zürich")\n'
        )
        for encoding in encodings:
            with self.subTest(encoding=encoding):
                answer = self.run_script(text, encoding=encoding)
                self.assertEqual(answer.json['output'].strip(), 'é😀 ﬁ')
                self.assertEqual(answer.json['error'].strip(), 'Zürich')

    @needs_powershell
    def test_output_that_is_not_utf8_is_marked(self):
        answer = self.run_script(
            '$out = [Console]::OpenStandardOutput()\n'
            '$out.Write([byte[]](97, 255, 98), 0, 3)\n'
        )
        self.assertEqual(answer.json['output'], 'a\ufffdb')

    @needs_powershell
    def test_output_is_cut_at_1_mib_a_stream(self):
        answer = self.run_script(
            '[Console]::Out.Write("a" * 5000000)\n'
            '[Console]::Error.Write("b" * 1048576)\n'
        )
        output = answer.json['output']
        self.assertEqual(output[: 2**20], 'a' * 2**20)
        self.assertEqual(output[2**20 :], '\n[cut after 1048576 bytes]')
        self.assertEqual(answer.json['error'], 'b' * 2**20)

    @needs_powershell
    def test_script_that_asks_a_question_does_not_wait(self):
        for question in ['Read-Host "name"', '[Console]::In.ReadLine()']:
            with self.subTest(question=question):
                start = time.monotonic()
                with mock.patch.object(api, 'SCRIPT_TIMEOUT', 60):
                    answer = self.run_script(f'{question}; "after"', status='*')
                self.assertLess(time.monotonic() - start, 30)
                self.assertIn(answer.status_int, [200, 500])

    @needs_powershell
    def test_temporary_folder_is_the_script_s_own_and_gone_afterwards(self):
        text = (
            '$folder = [IO.Path]::GetTempPath(); $folder\n'
            'New-Item (Join-Path $folder deep/er) -ItemType Directory | Out-Null\n'
            'Set-Content (Join-Path $folder deep/er/left) text\n'
            '@(Get-ChildItem $folder -Recurse -Filter left).Count\n'
        )
        answers = [self.run_script(text), self.run_script(f'{text}\nexit 3', 500)]
        folders = set()
        for answer in answers:
            folder, count = answer.json['output'].split('\n')[:2]
            self.assertEqual(count.strip(), '1')
            self.assertFalse(Path(folder.strip()).exists(), folder)
            folders.add(folder)
        self.assertEqual(len(folders), 2)
        self.assertNotIn(tempfile.gettempdir(), folders)

    @needs_powershell
    def test_powershell_that_takes_too_long_leaves_nothing(self):
        self.patch(SCRIPT_TIMEOUT=10)
        before = set(os.listdir(tempfile.gettempdir()))
        text = '"before"; [IO.Path]::GetTempPath(); Start-Sleep 60; "after"'
        answer = self.run_script(text, status=504)
        self.refused(answer, '10 seconds')
        self.assertEqual(set(answer.json), {'message', 'output', 'error'})
        first, folder = answer.json['output'].splitlines()
        self.assertEqual(first, 'before')
        self.assertFalse(Path(folder).exists())
        left = set(os.listdir(tempfile.gettempdir())) - before
        self.assertFalse(
            [name for name in left if re.match('clr-|dotnet-|CoreFxPipe', name)]
        )

    @needs_powershell
    def test_what_powershell_started_is_dead_after_the_time_out(self):
        self.patch(SCRIPT_TIMEOUT=15)
        sleep = 'ping "-n 60 127.0.0.1"' if os.name == 'nt' else 'sleep 60'
        answer = self.run_script(
            f'(Start-Process {sleep} -PassThru).Id\n'
            '$job = Start-Job { $PID; Start-Sleep 60 }\n'
            'while (-not ($id = Receive-Job $job)) { Start-Sleep -Milliseconds 50 }\n'
            '$id\n$PID\nStart-Sleep 60\n',
            status=504,
        )
        pids = answer.json['output'].split()
        self.assertEqual(len(pids), 3)
        self.assert_ended(pids)

    @needs_powershell
    @unittest.skipIf(os.name == 'nt', 'Windows forgets what an ended process started')
    def test_what_powershell_started_is_dead_when_it_ends(self):
        answer = self.run_script('(Start-Process sleep 60 -PassThru).Id')
        self.assert_ended(answer.json['output'].split())

    @needs_powershell
    def test_third_script_at_once_is_503(self):
        app = client()

        def call(_):
            headers = self.bearer
            return client().post('/run-script', headers=headers, expect_errors=True)

        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder, 'script.ps1')
            script.write_text('Start-Sleep 2')
            self.patch(SCRIPT=script)
            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(call, range(8)))
            statuses = sorted(answer.status_int for answer in answers)
            self.assertEqual(statuses, [200] * 2 + [503] * 6)
            for answer in answers:
                is_refused = answer.status_int == 503
                self.assertEqual('Retry-After' in answer.headers, is_refused)
            # And the places are free again.
            script.write_text('')
            app.post('/run-script', headers=self.bearer, status=200)

    # What only the running service shows.

    def test_start_prints_how_to_get_a_token(self):
        with service(SECRET_KEY='k' * 32) as process:
            line = next(one for one in process.lines if one.startswith('A token: '))
            # As a shell reads it, as there may be no curl.
            words = shlex.split(line.split(': ', 1)[1])
            self.assertEqual(words[0], 'curl')
            self.assertEqual(words[2::2], ['--data-urlencode'] * 2)
            form = urlencode(dict(word.split('=', 1) for word in words[3::2]))
            with urllib.request.urlopen(words[1], form.encode(), 10) as answer:
                token = json.load(answer)['access_token']
        self.assertEqual(jwt.decode(token, 'k' * 32, ['HS256'])['sub'], 'admin')

    def test_start_shows_no_password_that_is_a_secret(self):
        with service(API_PASSWORD='my password') as process:
            self.assertNotIn('my password', ''.join(process.lines))

    @needs_powershell
    def test_other_routes_are_quick_while_scripts_run(self):
        with running_script('"x" > "$PSScriptRoot/$PID"; Start-Sleep 60') as running:
            process, header, folder, pool = running
            for _ in range(2):
                pool.submit(fetch, f'{process.url}/run-script', {}, header, 60)
            wait_for(lambda: len(list(folder.glob('[0-9]*'))) == 2)
            for _ in range(20):
                start = time.monotonic()
                self.assertEqual(fetch(f'{process.url}/data')[0], 200)
                self.assertLess(time.monotonic() - start, 1)
            status = fetch(f'{process.url}/run-script', {}, header)[0]
            self.assertEqual(status, 503)

    @needs('log_requests')
    @needs_powershell
    def test_log_tells_what_scripts_did(self):
        with running_script('exit 3') as (process, header, _, _):
            fetch(f'{process.url}/run-script', {}, header)
            text = '\n'.join(read_log(process, 'POST /run-script'))
        number = re.search(r'(?m)^Script (\d+) started', text)[1]
        self.assertRegex(text, rf'(?m)^Script {number} ended with exit code 3$')
        self.assertNotIn(header['Authorization'].split()[1], text)

    @needs('log_requests')
    @needs_powershell
    def test_log_tells_why_a_script_was_ended(self):
        running = running_script('Start-Sleep 60', SCRIPT_TIMEOUT='1')
        with running as (process, header, _, _):
            status, _ = fetch(f'{process.url}/run-script', {}, header)
            text = '\n'.join(read_log(process, 'POST /run-script'))
        self.assertEqual(status, 504)
        self.assertRegex(text, r'(?m)^Script \d+ .* 1 seconds?\b')
        self.assertNotIn('None', text)

    @needs_signals
    @needs_powershell
    def test_stop_kills_a_running_script(self):
        for name in ['SIGTERM', 'SIGINT', 'SIGHUP']:
            text = 'Set-Content "$PSScriptRoot/pid" $PID; Start-Sleep 60'
            with self.subTest(name=name), running_script(text) as running:
                process, header, folder, pool = running
                url = f'{process.url}/run-script'
                answer = pool.submit(fetch, url, {}, header, 30)
                pid = folder / 'pid'
                wait_for(lambda pid=pid: pid.exists() and pid.read_text().strip())
                start = time.monotonic()
                process.send_signal(getattr(signal, name))
                self.assertEqual(process.wait(10), 0)
                self.assertLess(time.monotonic() - start, 2)
                status, body = answer.result()
                self.assertEqual(status, 503)
                self.assertNotIn('30 seconds', body['message'])
                self.assert_ended([pid.read_text()])

    @needs_signals
    @needs_powershell
    def test_server_that_ends_by_itself_kills_a_running_script(self):
        text = 'Set-Content "$PSScriptRoot/pid" $PID\n'
        text += 'Set-Content "$PSScriptRoot/begun" 1; Start-Sleep 60'
        old = 'while serving.is_alive() and not stopping.is_set():'
        new = "while not SCRIPT.with_name('begun').exists():"
        with running_script(text, old, new) as (process, header, folder, pool):
            pool.submit(fetch, f'{process.url}/run-script', {}, header, 30)
            self.assertEqual(process.wait(30), 1)
            self.assert_ended([(folder / 'pid').read_text()])


def no_start():
    """Let nothing be started; give what tells whether that was tried."""
    # Not a process that is a mock: to kill one would be to kill anything.
    refusal = AssertionError('a process was started')
    return mock.patch.object(subprocess, 'Popen', side_effect=refusal)


@contextlib.contextmanager
def stand_in(script):
    """Put a shell script named pwsh first on PATH; Windows' PowerShell stays first."""
    if os.name == 'nt':
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        pwsh = Path(folder, 'pwsh')
        pwsh.write_text(f'#!/bin/sh\n{script}\n')
        pwsh.chmod(0o755)
        with mock.patch.dict(os.environ, PATH=f'{folder}:{os.environ["PATH"]}'):
            yield


@contextlib.contextmanager
def running_script(text, old='', new='', **environment):
    """Start a copy of the service with this text as script.ps1.

    It has a new text for an old one of api.py. Yield its process, the header of an
    administrator, its folder and some threads.
    """
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(4))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        copy_service(folder, old, new)
        Path(folder, 'script.ps1').write_text(text)
        process = stack.enter_context(service(folder, **environment))
        token = fetch(f'{process.url}/token', DEMO_ACCOUNT)[1]['access_token']
        yield process, token_header(token), Path(folder), pool


def wait_for(happened, seconds=20):
    """Wait until happened() is true; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise AssertionError(f'did not happen in {seconds} seconds')
        time.sleep(0.02)


def read_log(process, last):
    """Return the lines of the log up to the one that has this text."""
    guard = threading.Timer(20, process.kill)
    guard.start()
    lines = []
    try:
        for line in process.stdout:
            lines.append(line.rstrip('\n'))
            if last in line:
                return lines
    finally:
        guard.cancel()
    raise AssertionError(f'no {last} in the log, which has {lines}')


def is_alive(pid):
    """Tell whether a process runs; one that is dead and not collected does not."""
    if os.name == 'nt':
        command = ['tasklist', '/FI', f'PID eq {pid}', '/NH']
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        return str(pid) in found.stdout.split()
    try:
        os.kill(pid, 0)
        # Linux has this file.
        state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path('/proc/self').exists()
    return state != 'Z'


# --- Films ----------------------------------------------------------------------------


class Films(Case):
    """/films."""

    def setUp(self):
        super().setUp()
        self.film = {'name': 'Dune', 'year': 2021, 'month': 'October'}
        self.shown = {'Name': 'Dune', 'Year': 2021, 'Month': 'October'}

    def test_list_has_the_films_of_the_tutorial(self):
        first = {'Name': 'Avengers: Infinity War', 'Year': 2018, 'Month': 'March'}
        second = {'Name': 'Ant Man and the Wasp', 'Year': 2018, 'Month': 'August'}
        self.assertEqual(self.app.get('/films').json, {'1': first, '2': second})

    def test_list_keeps_the_order_in_which_films_came(self):
        for film_id in ['z', 'a', '10', 'm', '1']:
            self.app.put_json(f'/films/{film_id}', self.film)
        films = self.app.get('/films').json
        self.assertEqual(list(films), ['1', '2', 'z', 'a', '10', 'm'])

    def test_list_may_be_empty(self):
        api.films.clear()
        self.assertEqual(self.app.get('/films').json, {})

    def test_post_takes_the_next_number(self):
        for number in ['3', '4']:
            with self.subTest(number=number):
                answer = self.app.post_json('/films', self.film, status=201)
                self.assertEqual(answer.headers['Location'], f'/films/{number}')
                self.assertEqual(answer.json, self.shown)
                self.assertEqual(self.app.get(f'/films/{number}').json, self.shown)

    def test_post_gives_no_number_twice(self):
        self.app.delete('/films/2')
        self.app.put_json('/films/3', self.film, status=201)
        answer = self.app.post_json('/films', self.film)
        self.assertEqual(answer.headers['Location'], '/films/4')
        self.app.delete('/films/4')
        answer = self.app.post_json('/films', self.film)
        self.assertEqual(answer.headers['Location'], '/films/5')

    def test_get_shows_a_film(self):
        film = {'Name': 'Avengers: Infinity War', 'Year': 2018, 'Month': 'March'}
        self.assertEqual(self.app.get('/films/1').json, film)

    def test_get_of_what_is_not_there_is_404(self):
        for film_id in ['3', '01', '１', '1.0', '-1', 'a' * 5000]:
            with self.subTest(film_id=film_id[:20]):
                answer = self.app.get(f'/films/{quote(film_id)}', status=404)
                message = f"Film {film_id} doesn't exist"
                self.assertEqual(answer.json, {'message': message})

    def test_put_adds_a_film(self):
        for film_id in ['7', 'dune', 'a_b-C', 'x' * 64]:
            with self.subTest(film_id=film_id):
                path = f'/films/{film_id}'
                answer = self.app.put_json(path, self.film, status=201)
                self.assertEqual(answer.json, self.shown)
                self.assertEqual(self.app.get(path).json, self.shown)

    def test_put_replaces_a_film(self):
        answer = self.app.put_json('/films/1', self.film, status=200)
        self.assertEqual(answer.json, self.shown)
        films = {**START['films'], '1': self.shown}
        self.assertEqual(self.app.get('/films').json, films)

    def test_forms_are_taken(self):
        for call, path in [(self.app.put, '/films/9'), (self.app.post, '/films')]:
            with self.subTest(path=path):
                answer = call(path, self.film, status=201)
                self.assertEqual(answer.json, self.shown)

    def test_form_with_the_line_end_of_windows_is_taken(self):
        body = b'name=Dune&year=2021&month=October\r\n'
        answer = self.app.post('/films', body, FORM, status=201)
        self.assertEqual(answer.json, self.shown)

    def test_what_get_shows_can_be_put(self):
        film = self.app.get('/films/1').json
        film['Year'] = 2019
        self.app.put_json('/films/1', film, status=200)
        self.assertEqual(self.app.get('/films/1').json, film)

    def test_names_of_fields_are_taken_in_any_case(self):
        film = {'NAME': 'Dune', 'yEaR': 2021, 'Month': 'October'}
        answer = self.app.put_json('/films/3', film)
        self.assertEqual(answer.json, self.shown)

    def test_unknown_fields_are_400(self):
        for name in ['yaer', 'id', 'Rating', '']:
            film = {**self.film, name: 2021}
            for call, path in [
                (self.app.post_json, '/films'),
                (self.app.put_json, '/films/1'),
                (self.app.post, '/films'),
            ]:
                with self.subTest(name=name, call=call.__name__):
                    answer = call(path, film, status=400)
                    self.refused(answer, name, 'name, year, month')
        self.assertEqual(api.films, START['films'])

    def test_bad_ids_are_400(self):
        ids = ['x' * 65, 'a.b', 'a%20b', '%C3%A9', '1%0A', '%20', '..%00']
        for film_id in ids:
            with self.subTest(film_id=film_id):
                path = f'/films/{film_id}'
                answer = self.app.put_json(path, self.film, status=400)
                self.refused(answer, 'id')
        self.assertEqual(api.films, START['films'])

    def test_bad_fields_are_400(self):
        names = ['', 'x' * 201, None, 1, True, [], {}, ['Dune']]
        years = [1869, 2101, '2021', '2021.0', 2021.5, None, True, [], -1, 10**30]
        months = ['', 'october', 'Oct', 'Smarch', 'October ', 'October\n', None, 10]
        for field, values in {
            'name': names,
            'year': years,
            'month': [*months, True, [], {}],
        }.items():
            for value in values:
                film = {**self.film, field: value}
                with self.subTest(field=field, value=value):
                    answer = self.app.post_json('/films', film, status=400)
                    self.refused(answer, field)
                    answer = self.app.put_json('/films/1', film, status=400)
                    self.refused(answer, field)
        self.assertEqual(api.films, START['films'])

    def test_missing_fields_are_400(self):
        for field in self.film:
            film = {k: v for k, v in self.film.items() if k != field}
            with self.subTest(field=field):
                answer = self.app.post_json('/films', film, status=400)
                self.refused(answer, field)
        self.assertEqual(api.films, START['films'])

    def test_bad_years_in_a_form_are_400(self):
        years = ['', '1869', '2101', '２０２１', '2_021', ' 2021', '+2021', '0x7e5']
        for year in [*years, '²²²²', '2e3', 'x', '2021.5']:
            with self.subTest(year=year):
                film = {**self.film, 'year': year}
                answer = self.app.post('/films', film, status=400)
                self.refused(answer, 'year')
        self.assertEqual(api.films, START['films'])

    def test_limits_of_fields_are_taken(self):
        for name, year in [('x', 1870), ('é' * 200, 2100), ('x', 2021.0)]:
            with self.subTest(name=name, year=year):
                film = {'name': name, 'year': year, 'month': 'May'}
                answer = self.app.post_json('/films', film, status=201)
                self.assertEqual(answer.json['Name'], name)
                self.assertIs(type(answer.json['Year']), int)

    def test_delete_removes_a_film(self):
        answer = self.app.delete('/films/1', status=204)
        self.assertTrue(is_empty(answer))
        self.assertEqual(list(self.app.get('/films').json), ['2'])

    def test_delete_of_what_is_not_there_is_404(self):
        answer = self.app.delete('/films/3', status=404)
        self.assertEqual(answer.json, {'message': "Film 3 doesn't exist"})

    def test_threads_get_no_number_twice(self):
        def post(_):
            return client().post_json('/films', self.film).headers['Location']

        with slow_lookups():
            places = at_once(post, range(300))
        self.assertEqual(len(set(places)), 300)
        self.assertEqual(len(api.films), 302)

    def test_threads_put_a_new_film_once(self):
        def put(path):
            return client().put_json(path, self.film).status_int

        for number in range(20):
            with slow_lookups():
                statuses = at_once(put, [f'/films/new{number}'] * 12)
            self.assertEqual(sorted(statuses), [200] * 11 + [201])

    def test_threads_delete_a_film_once(self):
        def delete(path):
            return client().delete(path, expect_errors=True).status_int

        for number in range(20):
            api.films[f'old{number}'] = self.shown
            statuses = at_once(delete, [f'/films/old{number}'] * 12)
            self.assertEqual(sorted(statuses), [204] + [404] * 11)

    def test_list_works_while_threads_write(self):
        def work(number):
            app = client()
            app.put_json(f'/films/{number}', self.film)
            app.get('/films', status=200)
            app.delete(f'/films/{number}')

        at_once(work, range(200, 500))
        self.assertEqual(api.films, START['films'])


# --- Records --------------------------------------------------------------------------


class Records(Case):
    """/api/..."""

    def setUp(self):
        super().setUp()
        self.key = self.make_key('sumit')

    def make_key(self, name):
        """Return the header with a new key of this name."""
        answer = self.app.post(f'/api/generate_key/{name}', status=201)
        return {'api-key': answer.json['api_key']}

    def create(self, fields, status=201):
        """Call /api/create; return the answer."""
        path = '/api/create'
        return self.app.post_json(path, fields, headers=self.key, status=status)

    def modify(self, record_id, fields, status=200):
        """Call /api/modify; return the answer."""
        path = f'/api/modify/{record_id}'
        return self.app.patch_json(path, fields, headers=self.key, status=status)

    def read(self, record_id):
        """Return a record as it is shown."""
        return self.app.get(f'/api/read/{record_id}').json['record_info']

    def failed(self, answer, *words):
        """Check that an answer is an error of this section with these words in it."""
        self.refused(answer, *words)
        self.assertEqual(list(answer.json), ['status', 'message'])
        self.assertEqual(answer.json['status'], 'failed')

    def test_generate_key_shows_a_key(self):
        names = [('POST', 'tony'), ('GET', 'steve.rogers-1_x'), ('POST', 'x' * 64)]
        for method, name in names:
            with self.subTest(method=method, name=name):
                path = f'/api/generate_key/{name}'
                answer = self.app.request(path, method=method, status=201)
                self.assertEqual(answer.headers['Cache-Control'], 'no-store')
                made = answer.json
                day = r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$'
                self.assertRegex(made.pop('created_on'), day)
                self.assertRegex(made.pop('api_key'), rf'^{name}\.[\w-]{{22}}$')
                message = 'Congrats! Your API Key has been created!'
                expected = {'username': name, 'status': 'success', 'message': message}
                self.assertEqual(made, expected)

    def test_generate_key_for_a_taken_name_is_409(self):
        message = 'The username you are trying to register has been already used!'
        for method in ['POST', 'GET']:
            with self.subTest(method=method):
                path = '/api/generate_key/sumit'
                answer = self.app.request(path, method=method, status=409)
                self.assertEqual(answer.json, {'status': 'failed', 'message': message})

    def test_generate_key_for_a_bad_name_is_400(self):
        names = ['x' * 65, 'a b', '%C3%A9', 'a%0A', '..', '.', 'a%00', '<b>', "a'b"]
        for name in names:
            with self.subTest(name=name):
                answer = self.app.post(f'/api/generate_key/{name}', status=400)
                self.failed(answer, 'username')

    def test_keys_are_kept_as_hashes(self):
        self.assertEqual(list(api.api_keys), ['sumit'])
        secret = self.key['api-key'].split('.')[1]
        self.assertNotIn(secret, str(dict(api.api_keys)))

    def test_head_makes_no_key(self):
        answer = self.app.head('/api/generate_key/thor')
        self.assertTrue(is_empty(answer))
        self.app.post('/api/generate_key/thor', status=201)

    def test_key_removes_itself(self):
        path = '/api/generate_key/sumit'
        answer = self.app.delete(path, headers=self.key, status=200)
        self.assertEqual(sorted(answer.json), ['message', 'status'])
        self.assertEqual(answer.json['status'], 'success')
        self.failed(self.create({'value1': 'x'}, status=401), 'not authenticated')
        self.app.delete(path, headers=self.key, status=401)

    def test_name_of_a_removed_key_is_free_again(self):
        old = self.key
        self.app.delete('/api/generate_key/sumit', headers=old)
        self.key = self.make_key('sumit')
        self.create({'value1': 'x'})
        self.key = old
        self.create({'value1': 'x'}, status=401)

    def test_key_of_another_is_not_removed(self):
        self.make_key('tony')
        for name in ['tony', 'nobody', 'Sumit', '%C3%A9']:
            with self.subTest(name=name):
                path = f'/api/generate_key/{name}'
                answer = self.app.delete(path, headers=self.key, status=403)
                self.failed(answer)
        self.assertEqual(set(api.api_keys), {'sumit', 'tony'})

    def test_key_is_not_removed_without_a_key(self):
        for headers in [{}, {'api-key': 'sumit.x'}, {'api-key': 'sumit'}]:
            with self.subTest(headers=headers):
                path = '/api/generate_key/sumit'
                self.failed(self.app.delete(path, headers=headers, status=401))
        self.assertEqual(set(api.api_keys), {'sumit'})

    def test_list_shows_the_records_by_id(self):
        records = self.app.get('/api/list').json
        self.assertEqual([record['id'] for record in records], [1, 2, 3, 4, 5])
        names = ['id', 'timestamp', 'value1', 'value2', 'value3', 'creationdate']
        names += ['lastmodificationdate', 'lastmodifiedby']
        self.assertEqual(list(records[0]), names)

    def test_create_adds_a_record(self):
        fields = {
            'timestamp': 6789998212,
            'value1': 'Hello',
            'value2': 2021.01,
            'value3': True,
        }
        answer = self.create(fields)
        message = 'Your entry has successfully been added to the database!'
        self.assertEqual(answer.json['message'], message)
        self.assertEqual(answer.json['status'], 'success')
        record = answer.json['record_info']
        now = time.time() * 1000
        self.assertEqual(record['creationdate'], record['lastmodificationdate'])
        self.assertTrue(now - 5000 < record['creationdate'] <= now)
        self.assertEqual({**record, **fields}, record)
        self.assertEqual((record['id'], record['lastmodifiedby']), (6, 'sumit'))
        self.assertEqual(self.read(6), record)

    def test_create_with_one_field_leaves_the_others_null(self):
        none = dict.fromkeys(['timestamp', 'value1', 'value2', 'value3'])
        fields = [('timestamp', 0), ('value1', ''), ('value2', -1.5), ('value3', False)]
        for field, value in fields:
            with self.subTest(field=field):
                record = self.create({field: value}).json['record_info']
                self.assertEqual({**record, **none, field: value}, record)

    def test_nothing_to_store_is_400(self):
        message = 'Please populate atleast one field into the record and try again!'
        nulls = {'timestamp': None, 'value1': None, 'value2': None, 'value3': None}
        for fields in [{}, {'id': 9}, {'lastmodifiedby': 'x'}, nulls, {'value1': None}]:
            with self.subTest(fields=fields):
                for answer in [self.create(fields, 400), self.modify(5, fields, 400)]:
                    self.failed(answer)
                    self.assertEqual(answer.json['message'], message)
        self.assertEqual(api.records, START['records'])

    def test_unknown_fields_are_400(self):
        for name in ['value4', 'Value1', 'api_key', 'creationDate', 'status']:
            fields = {'value1': 'x', name: 'y'}
            with self.subTest(name=name):
                for answer in [self.create(fields, 400), self.modify(5, fields, 400)]:
                    self.failed(answer, name, 'timestamp, value1, value2, value3')
        self.assertEqual(api.records, START['records'])

    def test_what_get_shows_can_be_sent_back(self):
        record = self.read(5)
        changed = self.modify(5, {**record, 'value2': None, 'timestamp': 7}).json
        self.assertEqual(
            {**changed['record_info'], 'lastmodificationdate': 0},
            {
                **record,
                'value2': None,
                'timestamp': 7,
                'lastmodifiedby': 'sumit',
                'lastmodificationdate': 0,
            },
        )
        created = self.create(record).json['record_info']
        self.assertEqual((created['id'], created['lastmodifiedby']), (6, 'sumit'))
        self.assertGreaterEqual(created['creationdate'], record['creationdate'])

    def test_null_empties_a_field(self):
        for field in ['timestamp', 'value1', 'value2', 'value3']:
            with self.subTest(field=field):
                other = {'value1': 'x'} if field != 'value1' else {'value2': 1}
                answer = self.modify(5, {field: None, **other})
                self.assertIsNone(answer.json['record_info'][field])
                self.assertIsNone(self.read(5)[field])

    def test_bad_fields_are_400(self):
        for field, values in {
            'timestamp': ['1', True, [], {}],
            'value1': ['x' * 1001, 1, True, [], {}],
            'value2': ['', False, [1]],
            'value3': [0, 1, 'true', []],
        }.items():
            for value in values:
                fields = {'value1': 'x', field: value}
                with self.subTest(field=field, value=value):
                    self.failed(self.create(fields, 400), field)
                    self.failed(self.modify(5, fields, 400), field)
        self.assertEqual(api.records, START['records'])

    def test_forms_are_415(self):
        fields = {'value1': 'x'}
        self.app.post('/api/create', fields, headers=self.key, status=415)

    def test_read_shows_a_record(self):
        answer = self.app.get('/api/read/5').json
        self.assertEqual(answer['message'], 'Record found!')
        self.assertEqual(answer['status'], 'success')
        self.assertEqual(answer['record_info'], {'id': 5, **START['records']['5']})

    def test_modify_changes_what_is_given(self):
        before = self.read(5)
        answer = self.modify(5, {'value1': 'Yes'})
        message = 'Your record has successfully been modified!'
        self.assertEqual(answer.json['message'], message)
        self.assertEqual(answer.json['status'], 'success')
        record = answer.json['record_info']
        date = record['lastmodificationdate']
        self.assertGreaterEqual(date, before['lastmodificationdate'])
        changes = {'value1': 'Yes', 'lastmodifiedby': 'sumit'}
        self.assertEqual(record, {**before, **changes, 'lastmodificationdate': date})
        self.assertEqual(self.read(5), record)

    def test_remove_removes_a_record(self):
        answer = self.app.delete('/api/remove/5', headers=self.key)
        message = 'Your record has been removed!'
        self.assertEqual(answer.json, {'message': message, 'status': 'success'})
        self.app.get('/api/read/5', status=404)

    def test_ids_are_never_used_twice(self):
        self.app.delete('/api/remove/5', headers=self.key)
        self.assertEqual(self.create({'value1': 'x'}).json['record_info']['id'], 6)
        self.app.delete('/api/remove/6', headers=self.key)
        self.assertEqual(self.create({'value1': 'x'}).json['record_info']['id'], 7)

    def test_unknown_ids_are_404(self):
        message = 'The record does not exist! Please try a different record number!'
        for record_id in ['6', '0', '-1', '05', '5.0', 'x', '%D9%A5', '9' * 5000]:
            with self.subTest(record_id=record_id[:20]):
                path = f'/api/remove/{record_id}'
                for answer in [
                    self.app.get(f'/api/read/{record_id}', status=404),
                    self.modify(record_id, {'value1': 'x'}, 404),
                    self.app.delete(path, headers=self.key, status=404),
                ]:
                    expected = {'status': 'failed', 'message': message}
                    self.assertEqual(answer.json, expected)

    def test_path_without_name_or_id_is_400(self):
        for method, path, what in [
            ('GET', '/api/generate_key', 'username'),
            ('POST', '/api/generate_key', 'username'),
            ('DELETE', '/api/generate_key', 'username'),
            ('GET', '/api/read', 'number'),
            ('PATCH', '/api/modify', 'number'),
            ('DELETE', '/api/remove', 'number'),
        ]:
            for end in ['', '/']:
                with self.subTest(method=method, path=path + end):
                    answer = self.app.request(path + end, method=method, status=400)
                    message = (
                        f'Oops! You forgot to add a {what} after! Please specify a '
                        f'{what} and try again!'
                    )
                    expected = {'status': 'failed', 'message': message}
                    self.assertEqual(answer.json, expected)

    def test_threads_register_a_name_once(self):
        def register(path):
            return client().post(path, expect_errors=True).status_int

        for number in range(20):
            with slow_lookups():
                statuses = at_once(register, [f'/api/generate_key/name{number}'] * 12)
            self.assertEqual(sorted(statuses), [201] + [409] * 11)

    def test_threads_get_no_id_twice(self):
        def create(_):
            fields = {'value1': 'x'}
            answer = client().post_json('/api/create', fields, headers=self.key)
            return answer.json['record_info']['id']

        with slow_lookups():
            ids = at_once(create, range(300))
        self.assertEqual(sorted(ids), list(range(6, 306)))

    def test_threads_lose_no_change(self):
        def modify(fields):
            client().patch_json('/api/modify/5', fields, headers=self.key)

        changes = {'timestamp': 1, 'value1': 'x', 'value2': 2, 'value3': False}
        for _ in range(20):
            api.records['5'] = START['records']['5']
            at_once(modify, [{name: value} for name, value in changes.items()] * 3)
            record = api.records['5']
            self.assertEqual({**record, **changes}, record)


# --- Users ----------------------------------------------------------------------------


class Users(Case):
    """/users and /authkeys."""

    def setUp(self):
        super().setUp()
        self.app.authorization = ('Bearer', self.bearer['Authorization'].split()[1])

    def shown(self, user):
        """Return a user as he is shown."""
        return {**user, 'dn': f'cn={user["cn"]},ou=people,dc=dbsentry,dc=com'}

    def sign_in(self, cn, **fields):
        """Add a user, unless there is one; return the header with his token."""
        if cn not in api.users:
            user = {'cn': cn, 'sn': 'x', 'password': 'old password', **fields}
            self.app.post_json('/users', user, status=201)
        return bearer(api.users[cn])

    def keys_of_every_type(self):
        """Return lines as ssh-keygen writes them, by type and bits."""
        exponent = b'\1\0\1'
        application = b'ssh:'
        point = b'\4' + bytes(range(64))
        sk_ecdsa = 'sk-ecdsa-sha2-nistp256@openssh.com'
        sk_ed25519 = 'sk-ssh-ed25519@openssh.com'
        keys = {
            'ed25519': ED25519,
            'ed25519-sk': public_key(sk_ed25519, bytes(32), application),
            'ecdsa-sk': public_key(sk_ecdsa, b'nistp256', point, application),
            'ecdsa-sk for work': public_key(sk_ecdsa, b'nistp256', point, b'ssh:work'),
        }
        for bits in [1024, 2048, 3072, 4096, 16384]:
            keys[f'rsa {bits}'] = public_key('ssh-rsa', exponent, modulus(bits))
        for bits in [256, 384, 521]:
            point = b'\4' + bytes((bits + 7) // 8 * 2)
            kind = f'ecdsa-sha2-nistp{bits}'
            keys[f'ecdsa {bits}'] = public_key(kind, f'nistp{bits}'.encode(), point)
        return keys

    def test_list_shows_the_users(self):
        users = [self.shown(user) for user in START['users'].values()]
        self.assertEqual(self.app.get('/users').json, users)
        self.assertEqual([user['cn'] for user in users], ['alice', 'bob'])

    def test_get_shows_a_user(self):
        alice = self.app.get('/users/alice').json
        self.assertEqual(alice, self.shown(START['users']['alice']))

    def test_unknown_users_are_404(self):
        for cn in ['carol', 'Alice', 'alice%0A', '*', '(cn=*)', '%C3%A9']:
            with self.subTest(cn=cn):
                path = f'/users/{cn}'
                for answer in [
                    self.app.get(path, status=404),
                    self.app.put_json(path, {'sn': 'x'}, status=404),
                    self.app.patch_json(path, {'sn': 'x'}, status=404),
                    self.app.delete(path, status=404),
                ]:
                    self.refused(answer, "doesn't exist")

    def test_post_adds_a_user(self):
        carol = {'cn': 'carol', 'sn': 'Danvers'}
        answer = self.app.post_json('/users', carol, status=201)
        self.assertEqual(answer.headers['Location'], '/users/carol')
        defaults = {
            'uid': 'carol',
            'memberOfs': [],
            'sshPublicKeys': [],
            'accountLocked': False,
        }
        self.assertEqual(answer.json, self.shown({**carol, **defaults}))
        self.assertEqual(self.app.get('/users/carol').json, answer.json)

    def test_post_takes_all_fields(self):
        user = {
            'cn': 'c.d-e_f',
            'sn': 'D',
            'uid': 'cd',
            'givenName': 'C',
            'displayName': 'C D',
            'mail': 'c.d+x@mail.example.com',
            'memberOfs': ['cn=a,dc=b'],
            'sshPublicKeys': [ED25519, f'{ED25519} c@host'],
            'accountLocked': True,
        }
        answer = self.app.post_json('/users', user, status=201)
        self.assertEqual(answer.json, self.shown(user))

    def test_post_twice_is_409(self):
        bob = {'cn': 'bob', 'sn': 'X'}
        self.refused(self.app.post_json('/users', bob, status=409), 'bob')
        self.assertEqual(api.users, START['users'])

    def test_post_of_the_demo_account_s_name_is_409(self):
        user = {'cn': api.API_USERNAME, 'sn': 'X', 'password': 'my password'}
        answer = self.app.post_json('/users', user, status=409)
        self.refused(answer, api.API_USERNAME)
        self.assertEqual(api.users, START['users'])

    def test_dn_is_not_taken_from_the_caller(self):
        evil = 'cn=admin,dc=evil'
        answer = self.app.post_json('/users', {'cn': 'x', 'sn': 'y', 'dn': evil})
        self.assertEqual(answer.json['dn'], 'cn=x,ou=people,dc=dbsentry,dc=com')
        self.app.put_json('/users/x', {'dn': evil})
        self.assertNotIn(evil, str(dict(api.users)))

    def test_put_and_patch_change_what_is_given(self):
        bob = START['users']['bob']
        changes = {'sn': 'New', 'accountLocked': True}
        for call in [self.app.put_json, self.app.patch_json]:
            with self.subTest(call=call.__name__):
                answer = call('/users/bob', changes, status=200)
                self.assertEqual(answer.json, self.shown({**bob, **changes}))
                self.assertEqual(call('/users/bob', {}).json, answer.json)
                self.assertEqual(self.app.get('/users/bob').json, answer.json)

    def test_what_get_shows_can_be_put(self):
        for cn in ['alice', 'bob']:
            with self.subTest(cn=cn):
                user = self.app.get(f'/users/{cn}').json
                user['sn'] = 'Changed'
                self.app.put_json(f'/users/{cn}', user, status=200)
                self.assertEqual(self.app.get(f'/users/{cn}').json, user)

    def test_cn_stays(self):
        answer = self.app.put_json('/users/bob', {'cn': 'eve'})
        self.assertEqual(answer.json['cn'], 'bob')
        self.assertEqual(set(api.users), {'alice', 'bob'})

    def test_null_empties_what_may_be_empty(self):
        for field, empty in {
            'givenName': None,
            'displayName': None,
            'mail': None,
            'memberOfs': [],
            'sshPublicKeys': [],
        }.items():
            with self.subTest(field=field):
                answer = self.app.patch_json('/users/alice', {field: None}, status=200)
                self.assertEqual(answer.json.get(field), empty)
                alice = self.app.get('/users/alice').json
                self.assertEqual(alice.get(field), empty)
                # And what is shown then can be sent back.
                self.app.put_json('/users/alice', alice, status=200)
                user = {'cn': f'new-{field}', 'sn': 'x', field: None}
                answer = self.app.post_json('/users', user, status=201)
                self.assertEqual(answer.json.get(field), empty)

    def test_null_is_400_where_something_is_needed(self):
        for field in ['cn', 'sn', 'uid', 'accountLocked', 'password']:
            with self.subTest(field=field):
                user = {'cn': 'carol', 'sn': 'x', field: None}
                answer = self.app.post_json('/users', user, status=400)
                self.refused(answer, field)
        self.assertEqual(api.users, START['users'])

    def test_unknown_fields_are_400(self):
        names = ['accountlocked', 'pasword', 'id', 'password_hash', 'password_version']
        for name in names:
            user = {'cn': 'carol', 'sn': 'x', name: True}
            for call, path in [
                (self.app.post_json, '/users'),
                (self.app.put_json, '/users/bob'),
                (self.app.patch_json, '/users/bob'),
            ]:
                with self.subTest(name=name, call=call.__name__):
                    answer = call(path, user, status=400)
                    self.refused(answer, name, 'accountLocked', 'password')
        self.assertEqual(api.users, START['users'])

    def test_bad_fields_are_400(self):
        names = ['', 'x' * 65, 'a b', 'é', 'a,dc=x', 'a*', '.', '..', 'a\n']
        mails = ['', 'x', 'x@', '@x.com', 'a@b', 'a b@c.com', 'a@b@c.com', 'a@b..com']
        mails += ['a@b.com\n', 'a@b.com\nBcc: x@y.zz', 1, 'a@' + 'b.' * 40_000]
        groups = ['Admins', [1], [None], [[]], {'cn': 'x'}, ['x'] * 101, ['x' * 201]]
        for field, values in {
            'cn': [*names, 1, [], True],
            'sn': ['', 'x' * 201, 1, []],
            'uid': ['', 5],
            'givenName': [1, 'x' * 201],
            'displayName': [[], False],
            'mail': mails,
            'memberOfs': groups,
            'accountLocked': ['true', 0, 1, []],
            'sshPublicKeys': [ED25519, [ED25519] * 101, [1], [None], [[ED25519]], ['']],
            'password': ['', 'x' * 7, 'x' * 129, 12345678, []],
        }.items():
            for value in values:
                with self.subTest(field=field, value=str(value)[:100]):
                    user = {'cn': 'carol', 'sn': 'Danvers', field: value}
                    answer = self.app.post_json('/users', user, status=400)
                    self.refused(answer, field)
                    user = {field: value}
                    answer = self.app.put_json('/users/bob', user, status=400)
                    self.refused(answer, field)
        self.assertEqual(api.users, START['users'])

    def test_missing_fields_are_400(self):
        for given, missing in [('cn', 'sn'), ('sn', 'cn')]:
            with self.subTest(missing=missing):
                answer = self.app.post_json('/users', {given: 'x'}, status=400)
                self.refused(answer, missing)

    def test_keys_of_every_type_are_taken(self):
        for name, key in self.keys_of_every_type().items():
            with self.subTest(name=name):
                change = {'sshPublicKeys': [key]}
                answer = self.app.put_json('/users/bob', change, status=200)
                self.assertEqual(answer.json['sshPublicKeys'], [key])

    def test_100_keys_are_taken(self):
        key = self.keys_of_every_type()['rsa 2048']
        change = {'sshPublicKeys': [f'{key} {number}' for number in range(100)]}
        self.app.put_json('/users/bob', change, status=200)

    def test_keys_are_taken_with_line_ends_and_comments(self):
        comments = ['', ' ', ' me@host', ' Jörg Müller 😀', ' C:\\Users\\x', ' a  b']
        for comment in comments:
            for end in ['', '\n', '\r\n']:
                with self.subTest(comment=comment, end=end):
                    line = f'{ED25519}{comment}'
                    change = {'sshPublicKeys': [line + end, ED25519 + end]}
                    answer = self.app.put_json('/users/bob', change, status=200)
                    keys = [line.strip(), ED25519]
                    self.assertEqual(answer.json['sshPublicKeys'], keys)
                    text = self.app.get('/authkeys?username=bob').body.decode()
                    self.assertEqual(text, ''.join(f'{key}\n' for key in keys))

    def test_key_from_a_file_with_a_byte_order_mark_is_taken(self):
        change = {'sshPublicKeys': [f'\ufeff{ED25519} me\r\n']}
        self.app.put_json('/users/bob', change, status=200)
        text = self.app.get('/authkeys?username=bob').body.decode()
        self.assertEqual(text, f'{ED25519} me\n')

    def test_bad_keys_are_400(self):
        kinds = self.keys_of_every_type()
        quoted = public_key('command="x', bytes(32))
        for name, key in {
            'a type alone': 'ssh-ed25519',
            'text': 'x',
            'no base64': 'ssh-ed25519 x',
            'no ASCII': 'ssh-ed25519 é',
            'no type': ' AAAAAAAA',
            'cut': ED25519[:-3],
            'cut at a boundary': ED25519[:-8],
            'cut rsa': kinds['rsa 2048'][:-8],
            'cut sk': kinds['ed25519-sk'][:-8],
            'longer': f'{ED25519}AAAA',
            'a tab': ED25519.replace(' ', '\t'),
            'two lines': f'{ED25519}\n{ED25519}',
            'two lines with CR LF': f'{ED25519}\r\n{ED25519}',
            'two lines with CR': f'{ED25519}\r{ED25519}',
            'a zero': f'{ED25519} \0',
            'options': f'command="rm" {ED25519}',
            'an option': f'restrict {ED25519}',
            'options as a type': f'{quoted}" {ED25519}',
            'unknown type': of_kind('foo'),
            'a comment': f'# {ED25519}',
            'a comment as a type': of_kind('#'),
            'ssh-dss': public_key('ssh-dss', *[bytes(129)] * 4),
            'a certificate': of_kind('ssh-ed25519-cert-v01@openssh.com'),
            'another type before it': ED25519.replace('ssh-ed25519', 'ssh-rsa'),
            'another type in it': ED25519.replace(
                'ssh-ed25519', 'sk-ssh-ed25519@openssh.com'
            ),
            'more fields': public_key('ssh-ed25519', bytes(32), b''),
            'rsa of 512 bits': public_key('ssh-rsa', b'\1\0\1', modulus(512)),
            'rsa without a modulus': public_key('ssh-rsa', b'\1\0\1'),
            'a private key': '-----BEGIN OPENSSH PRIVATE KEY-----',
        }.items():
            with self.subTest(name=name):
                change = {'sshPublicKeys': [ED25519, key]}
                answer = self.app.put_json('/users/bob', change, status=400)
                self.refused(answer, 'sshPublicKeys', '2')
        self.assertEqual(api.users, START['users'])

    def test_keys_that_ssh_keygen_does_not_make_are_400(self):
        point = b'\4' + bytes(64)
        nistp = 'ecdsa-sha2-nistp'
        for name, key in {
            'another curve in it': public_key(nistp + '256', b'nistp384', point),
            'a short point': public_key(nistp + '384', b'nistp384', point),
            'a short ed25519': public_key('ssh-ed25519', bytes(31)),
            'rsa of 1016 bits': public_key('ssh-rsa', b'\1\0\1', modulus(1016)),
        }.items():
            with self.subTest(name=name):
                change = {'sshPublicKeys': [key]}
                answer = self.app.put_json('/users/bob', change, status=400)
                self.refused(answer, 'sshPublicKeys')

    def test_refusal_of_a_key_says_why(self):
        for key, why in [
            (f'command="rm" {ED25519}', 'options'),
            (f'{ED25519}\n{ED25519}', 'one line'),
            (of_kind('ssh-ed25519-cert-v01@openssh.com'), 'type'),
            (of_kind('ssh-rsa'), 'ssh-rsa'),
            (public_key('ssh-rsa', b'\1\0\1', modulus(512)), '1024'),
        ]:
            with self.subTest(why=why):
                change = {'sshPublicKeys': [key]}
                answer = self.app.put_json('/users/bob', change, status=400)
                self.refused(answer, 'key 1', why)

    def test_delete_removes_a_user(self):
        self.assertEqual(self.app.delete('/users/bob').json, 'Deleted User: bob')
        self.app.get('/users/bob', status=404)

    def test_user_may_see_himself_and_nobody_else(self):
        carol = self.sign_in('carol')
        app = client()
        shown = app.get('/users/carol', headers=carol, status=200).json
        self.assertEqual(shown['cn'], 'carol')
        self.assertNotIn('password', str(shown))
        for path in ['/users', '/users/bob', '/users/nobody']:
            with self.subTest(path=path):
                app.get(path, headers=carol, status=403)

    def test_user_may_change_his_password(self):
        carol = self.sign_in('carol')
        app = client()
        change = {'password': 'new password'}
        answer = app.patch_json('/users/carol', change, headers=carol, status=200)
        self.assertEqual(answer.json, self.app.get('/users/carol').json)
        self.assertNotIn('password', str(answer.json))
        user = api.users['carol']
        new_hash = api.hash_password('new password', user['password_salt'])
        self.assertEqual(user['password_hash'], new_hash)

    def test_new_password_ends_the_token(self):
        carol = self.sign_in('carol')
        app = client()
        change = {'password': 'new password'}
        app.patch_json('/users/carol', change, headers=carol, status=200)
        app.get('/users/carol', headers=carol, status=401)
        app.get('/users/carol', headers=bearer(api.users['carol']), status=200)

    def test_user_may_change_nothing_but_his_password(self):
        carol = self.sign_in('carol')
        app = client()
        password = {'password': 'new password'}
        for call, cn, fields in [
            (app.patch_json, 'carol', {'sn': 'y'}),
            (app.patch_json, 'carol', {**password, 'sn': 'y'}),
            (app.patch_json, 'carol', {**password, 'memberOfs': ['cn=Admins']}),
            (app.patch_json, 'carol', {**password, 'accountLocked': False}),
            (app.patch_json, 'carol', {}),
            (app.patch_json, 'bob', password),
            (app.patch_json, 'nobody', password),
            (app.put_json, 'carol', password),
        ]:
            with self.subTest(call=call.__name__, cn=cn, fields=fields):
                answer = call(f'/users/{cn}', fields, headers=carol, status=403)
                self.refused(answer)
        self.assertEqual(app.get('/users/carol', headers=carol).json['sn'], 'x')

    def test_bad_password_of_one_s_own_is_400(self):
        carol = self.sign_in('carol')
        for password in ['short', None, 12345678, 'x' * 129]:
            with self.subTest(password=password):
                change = {'password': password}
                path = '/users/carol'
                answer = client().patch_json(path, change, headers=carol, status=400)
                self.refused(answer, 'password')

    def test_locked_user_may_change_nothing(self):
        carol = self.sign_in('carol')
        self.app.patch_json('/users/carol', {'accountLocked': True})
        change = {'password': 'new password'}
        client().patch_json('/users/carol', change, headers=carol, status=401)

    def test_authkeys_is_open_and_plain(self):
        keys = [ED25519, f'{ED25519} é@host']
        self.app.put_json('/users/bob', {'sshPublicKeys': keys})
        answer = client().get('/authkeys?username=bob')
        content_type = answer.headers['Content-Type']
        self.assertEqual(content_type.lower(), 'text/plain; charset=utf-8')
        self.assertEqual(answer.body.decode(), f'{ED25519}\n{ED25519} é@host\n')

    def test_authkeys_without_keys_is_empty(self):
        for name in ['alice', 'bob', 'nobody', '', '%FF', '*', 'bob%0A']:
            with self.subTest(name=name):
                answer = client().get(f'/authkeys?username={name}', status=200)
                self.assertTrue(is_empty(answer))

    def test_authkeys_without_a_username_is_400(self):
        self.refused(client().get('/authkeys', status=400), 'username')

    def test_authkeys_of_a_locked_user_is_empty(self):
        change = {'sshPublicKeys': [ED25519], 'accountLocked': True}
        self.app.put_json('/users/bob', change)
        self.assertEqual(client().get('/authkeys?username=bob').body, b'')

    def test_threads_add_a_user_once(self):
        def add(user):
            app = client()
            headers = self.bearer
            answer = app.post_json('/users', user, headers=headers, expect_errors=True)
            return answer.status_int

        for number in range(20):
            with slow_lookups():
                statuses = at_once(add, [{'cn': f'user{number}', 'sn': 'x'}] * 12)
            self.assertEqual(sorted(statuses), [201] + [409] * 11)

    def test_threads_lose_no_change(self):
        def change(fields):
            client().patch_json('/users/bob', fields, headers=self.bearer)

        names = ['sn', 'uid', 'givenName', 'displayName'] * 3
        for number in range(20):
            at_once(change, [{name: f'new{number}'} for name in names])
            values = {api.users['bob'][name] for name in names}
            self.assertEqual(values, {f'new{number}'})

    def test_change_does_not_bring_back_who_was_deleted(self):
        def change_or_delete(number):
            app = client()
            path = '/users/eve'
            if number == 6:
                app.delete(path, headers=self.bearer)
                return
            change = {'sn': 'x'}
            app.patch_json(path, change, headers=self.bearer, expect_errors=True)

        for _ in range(20):
            api.users['eve'] = {**START['users']['bob'], 'cn': 'eve'}
            with slow_lookups():
                at_once(change_or_delete, range(12))
            self.assertNotIn('eve', api.users)


def modulus(bits):
    """Return a number of so many bits as an SSH key has it (RFC 4251, 5)."""
    number = b'\xff' * (bits // 8)
    # Or it would be negative.
    return b'\0' + number


# --- Courses --------------------------------------------------------------------------


class Courses(Case):
    """/courses and /login."""

    def setUp(self):
        super().setUp()
        self.course = {'code': 'CSE101', 'name': 'Python', 'instructor': 'Guido'}
        self.app.authorization = ('Bearer', self.bearer['Authorization'].split()[1])

    def failed(self, answer, *words):
        """Check that an answer is an error of this section with these words in it."""
        self.refused(answer, *words, error='error')
        self.assertEqual(list(answer.json), ['error'])

    def test_list_shows_the_courses(self):
        courses = list(START['courses'].values())
        self.assertEqual(self.app.get('/courses').json, {'courses': courses})
        self.assertEqual([one['code'] for one in courses], ['CSE465', 'CSE115'])

    def test_get_shows_a_course(self):
        course = {
            'code': 'CSE115',
            'name': 'Introduction to programming language',
            'instructor': 'John stuart',
        }
        self.assertEqual(self.app.get('/courses/CSE115').json, course)

    def test_unknown_courses_are_404(self):
        missing = {'error': 'Course code is not found in the courses'}
        change = {'name': 'x', 'instructor': 'y'}
        for code in ['CSE101', 'cse115', 'CSE115%0A', '%C3%A9']:
            with self.subTest(code=code):
                path = f'/courses/{code}'
                for answer in [
                    self.app.get(path, status=404),
                    self.app.put_json(path, change, status=404),
                    self.app.patch_json(path, change, status=404),
                    self.app.delete(path, status=404),
                ]:
                    self.assertEqual(answer.json, missing)
        self.assertEqual(api.courses, START['courses'])

    def test_post_adds_a_course_and_answers_nothing(self):
        answer = self.app.post_json('/courses', self.course, status=201)
        self.assertEqual(answer.headers['Location'], '/courses/CSE101')
        self.assertTrue(is_empty(answer))
        self.assertEqual(self.app.get('/courses/CSE101').json, self.course)

    def test_post_without_a_code_is_400(self):
        for code in [{}, {'code': ''}, {'code': None}]:
            with self.subTest(code=code):
                course = {'name': 'x', 'instructor': 'y', **code}
                answer = self.app.post_json('/courses', course, status=400)
                error = 'course code must be provided'
                self.assertEqual(answer.json, {'error': error})

    def test_post_twice_is_409(self):
        course = {**self.course, 'code': 'CSE115'}
        self.failed(self.app.post_json('/courses', course, status=409), 'in use')
        self.assertEqual(api.courses, START['courses'])

    def test_bad_fields_are_400(self):
        codes = ['x' * 33, 'a b', 'é', 'a/b', '.', '..', 'CSE\n', 115, True, ['x']]
        for field, values in {
            'code': codes,
            'name': ['', 'x' * 121, None, 1, []],
            'instructor': ['', 'x' * 121, None, {}, False],
        }.items():
            for value in values:
                course = {**self.course, field: value}
                with self.subTest(field=field, value=value):
                    answer = self.app.post_json('/courses', course, status=400)
                    self.failed(answer, field)
                    if field == 'code':
                        continue
                    path = '/courses/CSE115'
                    answer = self.app.put_json(path, course, status=400)
                    self.failed(answer, field)
                    answer = self.app.patch_json(path, {field: value}, status=400)
                    self.failed(answer, field)
        self.assertEqual(api.courses, START['courses'])

    def test_missing_fields_are_400(self):
        for field in ['name', 'instructor']:
            course = {k: v for k, v in self.course.items() if k != field}
            with self.subTest(field=field):
                answer = self.app.post_json('/courses', course, status=400)
                self.failed(answer, field)

    def test_unknown_fields_are_400(self):
        for name in ['Name', 'teacher', 'id']:
            course = {**self.course, name: 'x'}
            for call, path in [
                (self.app.post_json, '/courses'),
                (self.app.put_json, '/courses/CSE115'),
                (self.app.patch_json, '/courses/CSE115'),
            ]:
                with self.subTest(name=name, call=call.__name__):
                    answer = call(path, course, status=400)
                    self.failed(answer, name, 'name, instructor')
        self.assertEqual(api.courses, START['courses'])

    def test_put_changes_a_course(self):
        change = {'name': 'n', 'instructor': 'i'}
        answer = self.app.put_json('/courses/CSE115', change, status=204)
        self.assertEqual(answer.headers['Location'], '/courses/CSE115')
        self.assertTrue(is_empty(answer))
        course = self.app.get('/courses/CSE115').json
        self.assertEqual(course, {'code': 'CSE115', **change})

    def test_put_wants_both(self):
        error = "Course name and instructor's name must be provided"
        for change in [{}, {'name': 'x'}, {'instructor': 'x'}, {'code': 'x'}]:
            with self.subTest(change=change):
                answer = self.app.put_json('/courses/CSE115', change, status=400)
                self.assertEqual(answer.json, {'error': error})

    def test_what_get_shows_can_be_put(self):
        for call in [self.app.put_json, self.app.patch_json]:
            with self.subTest(call=call.__name__):
                course = self.app.get('/courses/CSE115').json
                course['name'] = call.__name__
                call('/courses/CSE115', course, status=204)
                self.assertEqual(self.app.get('/courses/CSE115').json, course)

    def test_patch_changes_what_is_given(self):
        path = '/courses/CSE115'
        answer = self.app.patch_json(path, {'name': 'n'}, status=204)
        self.assertTrue(is_empty(answer))
        self.assertEqual(answer.headers['Location'], path)
        self.app.patch_json(path, {'instructor': 'i'}, status=204)
        both = {'name': 'n', 'instructor': 'i'}
        self.app.patch_json('/courses/CSE465', both, status=204)
        courses = {code: {'code': code, **both} for code in ['CSE115', 'CSE465']}
        self.assertEqual(api.courses, courses)

    def test_patch_wants_one(self):
        error = "Course name or instructor's name must be provided"
        for change in [{}, {'code': 'x'}]:
            with self.subTest(change=change):
                answer = self.app.patch_json('/courses/CSE115', change, status=400)
                self.assertEqual(answer.json, {'error': error})

    def test_code_stays(self):
        change = {'name': 'n', 'instructor': 'i', 'code': 'X'}
        self.app.put_json('/courses/CSE115', change)
        self.assertEqual(set(api.courses), {'CSE115', 'CSE465'})
        self.assertEqual(api.courses['CSE115']['code'], 'CSE115')

    def test_delete_leads_to_the_list(self):
        answer = self.app.delete('/courses/CSE115', status=204)
        self.assertTrue(is_empty(answer))
        self.assertEqual(answer.headers['Location'], '/courses')
        self.app.get('/courses/CSE115', status=404)
        courses = self.app.get(answer.headers['Location'], status=200).json['courses']
        self.assertEqual([course['code'] for course in courses], ['CSE465'])

    def test_login_answers_the_bare_token(self):
        account = {'username': api.API_USERNAME, 'password': api.API_PASSWORD}
        app = client()
        for post in [app.post_json, app.post]:
            with self.subTest(post=post.__name__):
                answer = post('/login', account, status=200)
                content_type = answer.headers['Content-Type'].lower()
                self.assertEqual(content_type, 'text/plain; charset=utf-8')
                self.assertEqual(answer.headers['Cache-Control'], 'no-store')
                app.get('/courses', headers=token_header(answer.text), status=200)

    def test_login_with_a_wrong_password_is_401(self):
        wrong = {'username': api.API_USERNAME, 'password': 'x'}
        answer = client().post_json('/login', wrong, status=401)
        self.assertEqual(answer.json, {'error': 'username or password is not correct'})
        self.assertIn('WWW-Authenticate', answer.headers)

    def test_login_names_the_field_that_is_wrong(self):
        for account, field in [
            ({'username': 'x'}, 'password'),
            ({'username': 1, 'password': 'x'}, 'username'),
            ({'username': 'x', 'password': 'x', 'pasword': 'x'}, 'pasword'),
        ]:
            with self.subTest(account=account):
                answer = client().post_json('/login', account, status=400)
                self.failed(answer, field)

    def test_threads_add_a_course_once(self):
        def add(course):
            app = client()
            headers = self.bearer
            answer = app.post_json(
                '/courses', course, headers=headers, expect_errors=True
            )
            return answer.status_int

        for number in range(20):
            with slow_lookups():
                statuses = at_once(add, [{**self.course, 'code': f'C{number}'}] * 12)
            self.assertEqual(sorted(statuses), [201] + [409] * 11)

    def test_threads_lose_no_change(self):
        def change(fields):
            client().patch_json('/courses/CSE115', fields, headers=self.bearer)

        for number in range(20):
            new = f'new{number}'
            at_once(change, [{'name': new}, {'instructor': new}] * 6)
            course = {'code': 'CSE115', 'name': new, 'instructor': new}
            self.assertEqual(api.courses['CSE115'], course)


# --- Docs -----------------------------------------------------------------------------


class Docs(Case):
    """/docs and /swagger.yaml."""

    def get_file(self, status, **headers):
        """Ask for a file with these headers; return the answer."""
        headers = {name.replace('_', '-'): text for name, text in headers.items()}
        path = '/docs/swagger-initializer.js'
        return self.app.get(path, headers=headers, status=status)

    def test_docs_lead_to_the_page(self):
        answer = self.app.get('/docs', status=308)
        self.assertEqual(answer.headers['Location'], 'docs/')
        self.assertTrue(is_empty(answer))

    def test_page_has_all_that_it_names(self):
        answer = self.app.get('/docs/')
        self.assertEqual(answer.content_type, 'text/html')
        names = re.findall('(?:src|href)="(.+?)"', answer.text)
        self.assertGreater(len(names), 3)
        for name in names:
            with self.subTest(name=name):
                self.assertNotRegex(name, '^(/|https?:)')
                found = self.app.get('/docs/' + name.removeprefix('./'))
                self.assertGreater(len(found.body), 100)
                kind = {'.css': 'text/css', '.js': 'text/javascript'}
                expected = kind.get(Path(name).suffix, 'image/png')
                self.assertEqual(found.content_type, expected)

    def test_page_may_load_and_call_nothing_of_others(self):
        policy = self.app.get('/docs/').headers['Content-Security-Policy']
        self.assertIn("default-src 'self'; img-src 'self' data:", policy)

    def test_page_is_set_up_for_this_service(self):
        text = self.app.get('/docs/swagger-initializer.js').text
        for word in ['"../swagger.yaml"', 'deepLinking', 'tryItOutEnabled']:
            with self.subTest(word=word):
                self.assertIn(word, text)
        self.assertNotIn('petstore', text)
        # So after a restart it does not go on showing that one is signed in.
        self.assertNotIn('persistAuthorization', text)

    def test_docs_serve_their_own_folder_only(self):
        names = ['..%2F..%2F__init__.py', '../__init__.py', '%2Fetc%2Fpasswd', '..']
        names += ['..%5C..%5C__init__.py', '%2e%2e%2f__init__.py', 'a%00', 'x', '.']
        for name in names:
            with self.subTest(name=name):
                answer = self.app.get(f'/docs/{name}', status=404)
                self.refused(answer)
                self.assertNotIn('site-packages', answer.text)

    def test_swagger_is_served_as_it_is(self):
        answer = self.app.get('/swagger.yaml')
        self.assertEqual(answer.content_type, 'application/yaml')
        self.assertEqual(answer.body, (HERE / 'swagger.yaml').read_bytes())

    def test_etag_is_quoted(self):
        for path in ['/swagger.yaml', '/docs/', '/docs/swagger-initializer.js']:
            with self.subTest(path=path):
                self.assertRegex(self.app.get(path).headers['ETag'], '^"[!#-~]+"$')

    def test_files_are_asked_for_again_each_time(self):
        for path in ['/swagger.yaml', '/docs/', '/docs/swagger-ui.css']:
            with self.subTest(path=path):
                answer = self.app.get(path)
                self.assertEqual(answer.headers['Cache-Control'], 'no-cache')

    def test_file_that_the_client_has_is_304(self):
        etag = self.get_file(200).headers['ETag']
        for sent in [
            etag,
            f'W/{etag}',
            f'"other", {etag}',
            f'"other",W/{etag} , "x"',
            f'"a, b", {etag}',
            '*',
        ]:
            with self.subTest(sent=sent):
                answer = self.get_file(304, If_None_Match=sent)
                self.assertTrue(is_empty(answer))
                self.assertEqual(answer.headers['ETag'], etag)
                self.assertNotIn('Content-Type', answer.headers)

    def test_file_that_is_another_one_is_sent(self):
        etag = self.get_file(200).headers['ETag']
        for sent in ['"other"', etag.strip('"'), etag[:-2] + '"', 'W/"x"', '']:
            with self.subTest(sent=sent):
                answer = self.get_file(200, If_None_Match=sent)
                self.assertGreater(len(answer.body), 100)

    def test_head_of_a_file_that_the_client_has_is_304(self):
        etag = self.get_file(200).headers['ETag']
        headers = {'If-None-Match': etag}
        self.app.head('/docs/swagger-initializer.js', headers=headers, status=304)

    def test_file_is_sent_if_it_is_the_one_that_is_wanted(self):
        etag = self.get_file(200).headers['ETag']
        for sent in [etag, f'"other", {etag}', '*']:
            with self.subTest(sent=sent):
                self.get_file(200, If_Match=sent)

    def test_file_is_412_if_another_one_is_wanted(self):
        etag = self.get_file(200).headers['ETag']
        # If-Match takes no weak ones (RFC 9110, 13.1.1).
        for sent in ['"other"', '"a", "b"', f'W/{etag}']:
            with self.subTest(sent=sent):
                self.refused(self.get_file(412, If_Match=sent))

    def test_if_match_comes_before_if_none_match(self):
        # RFC 9110, 13.2.2
        etag = self.get_file(200).headers['ETag']
        self.get_file(412, If_Match='"other"', If_None_Match=etag)
        self.get_file(304, If_Match=etag, If_None_Match=etag)

    def test_new_description_is_seen_after_an_upgrade(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(HERE / 'swagger.yaml', folder)
            self.patch(__file__=str(Path(folder, 'api.py')))
            etag = self.app.get('/swagger.yaml').headers['ETag']
            Path(folder, 'swagger.yaml').write_text('openapi: 3.1.0\n')
            headers = {'If-None-Match': etag}
            answer = self.app.get('/swagger.yaml', headers=headers, status=200)
            self.assertEqual(answer.text, 'openapi: 3.1.0\n')
            self.assertNotEqual(answer.headers['ETag'], etag)


# --- The texts that describe the service ----------------------------------------------


class Contract(unittest.TestCase):
    """swagger.yaml, README.md and requirements.txt, held against api.py."""

    def load(self):
        """Return the contents of swagger.yaml; fail if it is not YAML."""
        # Here, as no other test needs this package.
        import yaml

        try:
            return yaml.safe_load((HERE / 'swagger.yaml').read_text(encoding='utf-8'))
        except yaml.YAMLError as problem:
            raise AssertionError(f'swagger.yaml is not YAML: {problem}') from None

    def operations(self):
        """Return what swagger.yaml has, by method and path."""
        methods = ['get', 'put', 'post', 'patch', 'delete']
        return {
            (method.upper(), path): operation
            for path, item in self.load()['paths'].items()
            for method, operation in item.items()
            if method in methods
        }

    def routes(self):
        """Return the method and the path of each route, as swagger.yaml writes them."""
        routes = set()
        for route in api.app.routes:
            path = re.sub('<(.*?)(:.*?)?>', r'{\1}', route.rule)
            # The files of the page have a path each, which is not described.
            if path != '/docs/{name}':
                routes.add((route.method, path.rstrip('/') or '/'))
        return routes

    def references(self, part, place=''):
        """Return the pairs of place and target of each $ref in a part of the file."""
        if isinstance(part, dict):
            found = []
            if isinstance(part.get('$ref'), str):
                found.append((place, part['$ref']))
            for name, value in part.items():
                found += self.references(value, f'{place}/{name}')
            return found
        if isinstance(part, list):
            return [
                pair
                for number, value in enumerate(part)
                for pair in self.references(value, f'{place}/{number}')
            ]
        return []

    def test_swagger_is_yaml_with_an_api_in_it(self):
        self.assertEqual(self.load()['openapi'], '3.1.0')

    def test_swagger_has_every_route(self):
        self.assertGreater(len(self.routes()), 35)
        described = self.operations()
        for method, path in sorted(self.routes()):
            with self.subTest(method=method, path=path):
                if (method, path) not in described:
                    self.fail(f'swagger.yaml has no {method} {path}')

    def test_swagger_has_no_other_route(self):
        routes = self.routes()
        for method, path in sorted(self.operations()):
            with self.subTest(method=method, path=path):
                if (method, path) not in routes:
                    self.fail(f'api.py has no {method} {path}, which swagger.yaml has')

    def test_swagger_refers_to_what_it_has(self):
        swagger = self.load()
        references = self.references(swagger)
        self.assertGreater(len(references), 100)
        for place, reference in references:
            with self.subTest(place=place):
                root, *names = reference.split('/')
                target = swagger if root == '#' else {}
                for name in names:
                    name = name.replace('~1', '/').replace('~0', '~')
                    target = target.get(name) if isinstance(target, dict) else None
                if not target:
                    self.fail(f'swagger.yaml has no {reference}, named in {place}')

    def test_swagger_gives_each_operation_a_name_that_clients_can_use(self):
        names = []
        for (method, path), operation in self.operations().items():
            with self.subTest(method=method, path=path):
                # NSwag takes what stands before "_" for the name of a class.
                self.assertRegex(operation['operationId'], '^[a-z]+([A-Z][a-z]*)*$')
                names.append(operation['operationId'])
        self.assertEqual(len(names), len(set(names)))

    def test_swagger_describes_each_parameter_of_a_path(self):
        swagger = self.load()
        for path, item in swagger['paths'].items():
            wanted = set(re.findall('{(.*?)}', path))
            for method, operation in item.items():
                if method == 'parameters':
                    continue
                named = set()
                parameters = operation.get('parameters', [])
                for parameter in [*item.get('parameters', []), *parameters]:
                    name = parameter.get('$ref', '').rpartition('/')[2]
                    parameter = swagger['components']['parameters'].get(name, parameter)
                    if parameter['in'] == 'path':
                        named.add(parameter['name'])
                with self.subTest(method=method, path=path):
                    self.assertEqual(named, wanted)

    def test_manual_and_readme_have_every_setting(self):
        source = (HERE / 'api.py').read_text(encoding='utf-8')
        names = re.findall(r"setting\('(\w+)'", source)
        self.assertEqual(set(names), set(SETTINGS))
        readme = (HERE / 'README.md').read_text(encoding='utf-8')
        for name in SETTINGS:
            with self.subTest(name=name):
                self.assertRegex(api.__doc__, rf'(?m)^    {name} ')
                self.assertIn(f'`{name}`', readme)

    def test_packages_are_the_same_everywhere(self):
        package = re.compile(r'[\w-]+==[\d.]+')
        text = (HERE / 'requirements.txt').read_text(encoding='utf-8')
        pinned = set(package.findall(text))
        for_tests = set(package.findall('\n'.join(re.findall('.*test_api.*', text))))
        self.assertTrue(for_tests)
        for name, packages in [
            ('api.py', pinned - for_tests),
            ('test_api.py', pinned),
        ]:
            with self.subTest(name=name):
                head = (HERE / name).read_text(encoding='utf-8').split('# ///\n')[0]
                self.assertEqual(set(package.findall(head)), packages)


# --- Server ---------------------------------------------------------------------------


class Server(Case):
    """Health, settings, the log, the start and the stop of the real service."""

    def run_api(self, *arguments, python=(), **environment):
        """Run api.py until it ends; return what became of it."""
        return subprocess.run(
            [sys.executable, *python, 'api.py', *arguments],
            cwd=HERE,
            env={**os.environ, 'PORT': '0', **environment},
            check=False,
            capture_output=True,
            encoding='utf-8',
            timeout=20,
        )

    def failed_start(self, **environment):
        """Start the service with a bad setting; return the line that it ends with."""
        ended = self.run_api(**environment)
        self.assertEqual((ended.returncode, ended.stdout), (1, ''), ended)
        self.assertEqual(ended.stderr.count('\n'), 1, ended.stderr)
        return ended.stderr

    def start_text(self, process):
        """Return all that the service prints before the first line of its log."""
        address = urlsplit(process.url)
        host = '127.0.0.1' if address.hostname == '0.0.0.0' else address.hostname
        host = f'[{host}]' if ':' in host else host
        fetch(f'http://{host}:{address.port}/health')
        lines = read_log(process, 'GET /health')
        return ''.join(process.lines) + '\n'.join(lines[:-1])

    def stop(self, process, name='SIGTERM'):
        """Send a signal; return how long the service took to end with exit code 0."""
        start = time.monotonic()
        process.send_signal(getattr(signal, name))
        self.assertEqual(process.wait(10), 0)
        return time.monotonic() - start

    # Health

    def test_health_is_ok(self):
        self.assertEqual(self.app.get('/health').json, {'status': 'ok'})

    def test_health_is_503_if_a_check_fails(self):
        away = mock.Mock(side_effect=api.ApiError(503, 'The database is away'))
        self.patch(health_checks=[mock.Mock(), away])
        self.refused(self.app.get('/health', status=503), 'away')

    # Settings and the start

    def test_start_prints_where_it_is(self):
        with service() as process:
            status = fetch(f'{process.url}/health')
            self.assertEqual(status, (200, {'status': 'ok'}))
            self.assertRegex(process.url, r'^http://127\.0\.0\.1:\d+$')
            self.assertIn(f'{process.url}/docs', ''.join(process.lines))

    def test_settings_come_from_the_environment(self):
        settings = {
            'API_USERNAME': 'jörg',
            'API_PASSWORD': 'pässword',
            'SECRET_KEY': 'k' * 32,
            'HOST': 'localhost',
        }
        with service(**settings) as process:
            account = {'username': 'jörg', 'password': 'pässword'}
            status, answer = fetch(f'{process.url}/token', account)
            self.assertEqual(status, 200)
            claims = jwt.decode(answer['access_token'], 'k' * 32, ['HS256'])
            self.assertEqual(claims['sub'], 'jörg')
            self.assertEqual(fetch(f'{process.url}/token', DEMO_ACCOUNT)[0], 401)

    def test_empty_setting_is_as_if_it_were_not_set(self):
        names = [name for name in SETTINGS if name != 'SECRET_KEY']
        show = f'import api; print(*[repr(getattr(api, name)) for name in {names}])'
        printed = []
        for environment in [{}, dict.fromkeys(SETTINGS, '')]:
            environment = {**os.environ, 'DATABASE_URL': '', **environment}
            command = [sys.executable, '-c', show]
            printed.append(subprocess.check_output(command, cwd=HERE, env=environment))
        self.assertEqual(printed[0], printed[1])
        self.assertIn(b'5000', printed[0])

    def test_bad_settings_end_it_with_one_line(self):
        numbers = ['abc', '-1', '1.5.0', '٣ ٣']
        origins = ['*', 'null', 'a.example', 'https://a.example/', 'HTTPS://A.example']
        origins += ['https://a.example,https://b.example', 'https://é.example']
        for name, values in {
            'PORT': [*numbers, '65536', '5000.5'],
            'SCRIPT_TIMEOUT': [*numbers, '0', 'nan', 'inf', '30s'],
            'RATE_LIMIT': [*numbers, '1001', '1.5'],
            'MAX_ITEMS': [*numbers, '0'],
            'CORS_ORIGIN': [*origins, 'https://ok.example https://a.example/x'],
            'TRUSTED_PROXY': ['caddy', '10.0.0.0/8', 'None', '10.0.0.1:80', '1.2.3'],
            'HOST': ['no such host', 'x86_64-conda-linux-gnu', '192.0.2.1'],
        }.items():
            for value in values:
                with self.subTest(name=name, value=value):
                    line = self.failed_start(**{name: value})
                    self.assertIn(name, line)
                    self.assertIn(value.split()[-1], line)
                    self.assertIn('as in ', line)

    def test_short_secret_key_ends_it_and_is_not_shown(self):
        for value in ['x', 'x' * 31]:
            with self.subTest(value=value):
                line = self.failed_start(SECRET_KEY=value)
                self.assertIn('SECRET_KEY must have at least 32 bytes', line)
                self.assertIn('python -c', line)
                self.assertNotIn('xxx', line)

    def test_bad_database_ends_it_and_its_password_is_not_shown(self):
        if not importlib.util.find_spec('sqlalchemy'):
            self.skipTest('sqlalchemy is not installed')
        for url in [
            'mysql://user:my-password@host/name',
            'user:my-password',
            'sqlite://',
            'sqlite:///:memory:',
            'sqlite:////no/such/folder/api.db',
            'postgresql://user:my-password@127.0.0.1:1/name',
        ]:
            with self.subTest(url=url):
                line = self.failed_start(DATABASE_URL=url)
                self.assertIn('DATABASE_URL', line)
                self.assertNotIn('my-password', line)

    @unittest.skipIf(os.name == 'nt', 'on Windows all settings are Unicode')
    def test_setting_that_is_not_utf8_ends_it(self):
        for name in ['API_USERNAME', 'API_PASSWORD', 'SECRET_KEY', 'HOST']:
            with self.subTest(name=name):
                self.assertIn(name, self.failed_start(**{name: '\udcff' * 32}))

    @unittest.skipIf(os.name == 'nt', 'on Windows two programs may use one port')
    def test_taken_port_ends_it_with_a_line_that_proposes_another(self):
        with service() as process:
            port = urlsplit(process.url).port
            line = self.failed_start(PORT=str(port))
        self.assertIn(f'PORT={port + 1}', line)
        self.assertNotIn('HOST', line)

    def test_it_listens_on_other_addresses(self):
        for host, url in [
            ('localhost', r'http://localhost:\d+'),
            ('0.0.0.0', r'http://127\.0\.0\.1:\d+'),
            ('::1', r'http://\[::1\]:\d+'),
            ('::', r'http://\[::1\]:\d+'),
        ]:
            if ':' in host and not has_ipv6():
                continue
            with self.subTest(host=host), service(HOST=host) as process:
                self.assertRegex(process.url, f'^{url}$')
                self.assertEqual(fetch(f'{process.url}/health')[0], 200)

    def test_it_warns_where_others_can_reach_the_demo_password(self):
        for environment, is_warned in [
            ({}, False),
            ({'HOST': 'localhost'}, False),
            ({'HOST': '0.0.0.0'}, True),
            ({'TRUSTED_PROXY': '127.0.0.1'}, True),
            ({'HOST': '0.0.0.0', 'API_PASSWORD': 'another'}, False),
        ]:
            with self.subTest(environment=environment):
                with service(**environment) as process:
                    text = self.start_text(process)
                self.assertEqual('WARNING' in text, is_warned)
                self.assertEqual('set API_PASSWORD' in text, is_warned)

    def test_help_lists_every_setting(self):
        ended = self.run_api('--help')
        self.assertEqual(ended.returncode, 0)
        for name in SETTINGS:
            with self.subTest(name=name):
                self.assertIn(name, ended.stdout)

    def test_help_works_where_a_setting_is_wrong(self):
        self.assertEqual(self.run_api('--help', PORT='abc').returncode, 0)

    def test_help_works_without_the_packages(self):
        ended = self.run_api('--help', python=['-E', '-S'])
        self.assertEqual((ended.returncode, ended.stderr), (0, ''))
        self.assertIn('DATABASE_URL', ended.stdout)

    def test_it_says_how_to_install_the_packages(self):
        ended = self.run_api(python=['-E', '-S'])
        self.assertEqual((ended.returncode, ended.stdout), (1, ''))
        self.assertEqual(ended.stderr.count('\n'), 1, ended.stderr)
        self.assertIn('pip install -r requirements.txt', ended.stderr)

    def test_unknown_arguments_are_refused(self):
        ended = self.run_api('--port', '80')
        self.assertEqual(ended.returncode, 2)
        self.assertIn('--port', ended.stderr)

    def test_tokens_of_the_demo_account_end_with_its_name_and_password(self):
        key = {'SECRET_KEY': 'k' * 32}
        with service(API_USERNAME='alice', **key) as process:
            account = {**DEMO_ACCOUNT, 'username': 'alice'}
            token = fetch(f'{process.url}/token', account)[1]['access_token']
            header = token_header(token)
            self.assertEqual(fetch(f'{process.url}/users', headers=header)[0], 200)
        for changed, status in [
            ({'API_USERNAME': 'alice'}, 200),
            ({}, 401),
            ({'API_USERNAME': 'alice', 'API_PASSWORD': 'another'}, 401),
        ]:
            with self.subTest(changed=changed), service(**key, **changed) as process:
                answer = fetch(f'{process.url}/courses', headers=header)
                self.assertEqual(answer[0], status)

    # Pages and proxies

    def test_pages_may_read_nothing_unless_their_origin_is_named(self):
        page = {'Origin': 'https://a.example'}
        for origins, is_allowed in [
            ('', False),
            ('https://a.example', True),
            ('http://[::1]:8 https://a.example', True),
            ('https://b.example', False),
        ]:
            with self.subTest(origins=origins):
                with service(CORS_ORIGIN=origins) as process:
                    _, headers, _ = fetch_all(f'{process.url}/films/1', headers=page)
                allowed = 'https://a.example' if is_allowed else None
                self.assertEqual(headers['Access-Control-Allow-Origin'], allowed)
                self.assertEqual(headers['Vary'], 'Origin' if origins else None)

    def test_hosts_that_are_not_this_machine_are_403(self):
        with service() as process:
            for host, status in [
                ('localhost', 200),
                ('LOCALHOST:5000', 200),
                ('127.0.0.1:1', 200),
                ('[::1]:5000', 200),
                ('evil.example', 403),
                ('localhost.evil.example', 403),
                ('127.0.0.1.evil.example:5000', 403),
                ('192.0.2.1', 403),
            ]:
                with self.subTest(host=host):
                    url = f'{process.url}/health'
                    answer = fetch(url, headers={'Host': host})
                    self.assertEqual(answer[0], status)

    def test_every_host_is_taken_where_others_may_call(self):
        for environment in [{'HOST': '0.0.0.0'}, {'TRUSTED_PROXY': '127.0.0.1'}]:
            with self.subTest(environment=environment):
                with service(**environment) as process:
                    url = f'{process.url}/health'
                    answer = fetch(url, headers={'Host': 'api.example'})
                self.assertEqual(answer[0], 200)

    def test_address_is_the_client_s_if_the_proxy_is_trusted(self):
        wrong = {'username': 'x', 'password': 'x'}
        for proxy, counted in [
            ('', '127.0.0.1'),
            ('127.0.0.2', '127.0.0.1'),
            ('127.0.0.1', '192.0.2.7'),
            ('*', '192.0.2.7'),
        ]:
            settings = {'TRUSTED_PROXY': proxy, 'RATE_LIMIT': '1'}
            with self.subTest(proxy=proxy), service(**settings) as process:
                url = f'{process.url}/token'
                sent = {
                    'X-Forwarded-For': '203.0.113.1, 192.0.2.7',
                    'Forwarded': 'for=1.2.3.4',
                }
                self.assertEqual(fetch(url, wrong, sent)[0], 401)
                *_, refusal, line = read_log(process, 'POST /token')
                self.assertIn(f'from {counted}', refusal)
                self.assertTrue(line.startswith(f'{counted} - - ['), line)
                self.assertEqual(fetch(url, wrong, sent)[0], 429)
                sent = {'X-Forwarded-For': '203.0.113.1, 192.0.2.8'}
                status = 429 if counted == '127.0.0.1' else 401
                self.assertEqual(fetch(url, wrong, sent)[0], status)

    def test_address_is_taken_without_its_port(self):
        for sent, shown in [
            ('192.0.2.7:5555', '192.0.2.7'),
            ('[2001:db8::7]:5555', '2001:db8::7'),
            ('2001:db8::7', '2001:db8::7'),
        ]:
            with self.subTest(sent=sent):
                with service(TRUSTED_PROXY='127.0.0.1') as process:
                    headers = {'X-Forwarded-For': sent}
                    fetch(f'{process.url}/health', headers=headers)
                    line = read_log(process, 'GET /health')[-1]
                self.assertTrue(line.startswith(f'{shown} - - ['), line)

    def test_address_that_is_none_adds_no_field_to_the_log(self):
        with service(TRUSTED_PROXY='127.0.0.1') as process:
            headers = {'X-Forwarded-For': '"192.0.2.7 - x [y] é"'}
            fetch(f'{process.url}/health', headers=headers)
            line = read_log(process, 'GET /health')[-1]
        self.assertRegex(line, r'^[!-~]+ - - \[\d\d/')

    # The log

    def test_log_is_in_common_log_format_and_has_no_secret(self):
        with service() as process:
            url = process.url
            token = fetch(f'{url}/token', DEMO_ACCOUNT)[1]['access_token']
            key = fetch(f'{url}/api/generate_key/tony')[1]['api_key']
            header = {**token_header(token), 'Referer': token}
            fetch(f'{url}/courses/CSE115?token={token}', headers=header)
            fetch(f'{url}/api/create', {'value1': 'x'}, {'api-key': key})
            account = basic(*DEMO_ACCOUNT.values())
            fetch(f'{url}/hello_world', headers=account)
            fetch(f'{url}/health')
            lines = read_log(process, 'GET /health')
        found = [re.fullmatch(LOG_LINE, line).groups() for line in lines]
        self.assertEqual(
            found,
            [
                ('-', 'POST /token', '200'),
                ('-', 'GET /api/generate_key/tony', '201'),
                ('admin', 'GET /courses/CSE115', '200'),
                ('tony', 'POST /api/create', '201'),
                ('admin', 'GET /hello_world', '200'),
                ('-', 'GET /health', '200'),
            ],
        )
        for secret in [token, key, *account.values(), DEMO_ACCOUNT['password']]:
            self.assertNotIn(secret, '\n'.join(lines))

    def test_nothing_that_a_client_sends_forges_a_line_or_a_field(self):
        forged = b'127.0.0.1 - admin [x] "GET / HTTP/1.1" 200 - 1.0ms'
        with service() as process:
            for sent in [
                b'GET /a%0A%0D%22%20' + forged.replace(b' ', b'%20') + b' HTTP/1.1',
                b'GET /"%20200%20- HTTP/1.1',
                b'GET /\xc3\xa9%E2%80%A8%C2%85\x1b[31m HTTP/1.1',
                b'GET /\xff%FF HTTP/1.1',
                b'GE"T /%00 HTTP/1.1',
                b'GET //host/path?query="secret" HTTP/1.1',
                b'GET http://host"/path HTTP/1.1',
            ]:
                with self.subTest(sent=sent):
                    raw(process.url, sent + b'\r\nHost: localhost\r\n\r\n')
                    # Waitress answers by itself what is no HTTP, without a line.
                    fetch(f'{process.url}/data')
                    lines = read_log(process, 'GET /data')
                    self.assertLessEqual(len(lines), 2)
                    for line in lines:
                        self.assertRegex(line, f'^{LOG_LINE}$')
                        self.assertNotIn('secret', line)

    def test_log_tells_who_was_refused(self):
        with service() as process:
            wrong = {'username': 'a\n"é', 'password': 'my password'}
            fetch(f'{process.url}/token', wrong)
            account = basic('x' * 1000, 'my password')
            fetch(f'{process.url}/hello_world', headers=account)
            key = {'api-key': 'sumit.my-key'}
            fetch(f'{process.url}/api/create', {'value1': 'x'}, key)
            log = read_log(process, 'POST /api/create')
        lines = [line for line in log if not re.fullmatch(LOG_LINE, line)]
        self.assertEqual(len(lines), 3)
        self.assertEqual(lines[0], r"""Refused to sign in 'a\n"\xe9' from 127.0.0.1""")
        self.assertRegex(lines[1], "^Refused to sign in 'x{80}' from 127.0.0.1$")
        self.assertRegex(lines[2], '^Refused to sign in .* from 127.0.0.1$')
        for secret in ['my password', 'my-key', 'sumit']:
            self.assertNotIn(secret, '\n'.join(log))

    def test_log_has_the_traceback_of_a_fault(self):
        with changed_service("{'status': 'ok'}", '1 / 0') as process:
            status, answer = fetch(f'{process.url}/health')
            lines = read_log(process, 'GET /health')
        self.assertEqual((status, answer), (500, {'message': 'Internal Server Error'}))
        self.assertIn('Traceback (most recent call last):', lines)
        self.assertIn('ZeroDivisionError: division by zero', lines)
        self.assertIn('"GET /health HTTP/1.1" 500', lines[-1])

    # HTTP

    def test_answers_without_a_body_leave_the_connection_open(self):
        options = b'OPTIONS /films HTTP/1.%d\r\n%s\r\n'
        get = b'GET /health HTTP/1.1\r\nConnection: close\r\n\r\n'
        with service() as process:
            for first, answers in [
                (options % (1, b''), 2),
                (options % (0, b''), 1),
                (options % (1, b'Connection: Keep-Alive\r\n'), 2),
                (options % (1, b'Connection: Close\r\n'), 1),
            ]:
                with self.subTest(first=first):
                    received = raw(process.url, first + get)
                    self.assertEqual(received.count(b'HTTP/1.'), answers)
                    head = received.split(b'\r\n\r\n')[0]
                    self.assertIn(b' 204 ', head)
                    self.assertNotIn(b'Content-Length', head)
                    self.assertNotIn(b'application/json', head)

    def test_deleted_film_leaves_the_connection_open(self):
        with service() as process:
            address = urlsplit(process.url).netloc
            connection = http.client.HTTPConnection(address, timeout=10)
            for path, status in [('/films/1', 204), ('/films/2', 204)]:
                connection.request('DELETE', path)
                answer = connection.getresponse()
                self.assertEqual((answer.status, answer.read()), (status, b''))
                self.assertFalse(answer.will_close)
            connection.close()

    def test_requests_that_are_sent_ahead_are_answered_in_turn(self):
        with service() as process:
            sent = b''
            for path in [b'/data', b'/films/1', b'/health']:
                end = b'Connection: close\r\n' if path == b'/health' else b''
                sent += b'GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n' % (path, end)
            received = raw(process.url, sent)
        self.assertEqual(received.count(b'HTTP/1.1 200'), 3)
        places = [received.index(word) for word in [b'Hey', b'Avengers', b'"ok"']]
        self.assertEqual(places, sorted(places))

    def test_chunked_bodies_are_taken(self):
        with service() as process:
            address = urlsplit(process.url).netloc
            headers = {**JSON, 'Transfer-Encoding': 'chunked'}
            for body, status in [
                (b'{"a": 1}', 200),
                (b'"%s"' % (b'a' * 200_000), 413),
            ]:
                with self.subTest(status=status):
                    connection = http.client.HTTPConnection(address, timeout=10)
                    connection.request(
                        'POST', '/data', iter([body]), headers, encode_chunked=True
                    )
                    self.assertEqual(connection.getresponse().status, status)
                    connection.close()

    def test_what_waitress_refuses_harms_nothing(self):
        post = b'POST /data HTTP/1.1\r\n%s\r\n\r\n'
        with service() as process:
            for sent, status in [
                (b'nonsense\r\n\r\n', 400),
                (b'GET /films HTTP/1.1\r\nno colon\r\n\r\n', 400),
                (b'get /films HTTP/1.1\r\n\r\n', 400),
                (b'GET /films HTTP/1.1\r\nX: %s\r\n\r\n' % (b'a' * 33_000), 431),
                (post % b'Content-Length: x', 400),
                (post % b'Content-Length: 9999999', 413),
                (post % b'Transfer-Encoding: gzip', 501),
                (post % b'Transfer-Encoding: chunked' + b'xx\r\n', 400),
            ]:
                with self.subTest(sent=sent[:60]):
                    answer = raw(process.url, sent)
                    self.assertIn(b' %d ' % status, answer.split(b'\r\n')[0])
                    self.assertNotIn(b'Traceback', answer)
                    self.assertNotIn(b'api.py', answer)
            # Waitress closes the connection, or answers 400.
            answer = raw(process.url, b'GET http://[ HTTP/1.1\r\n\r\n')
            self.assertNotIn(b'Traceback', answer)
            self.assertEqual(fetch(f'{process.url}/health')[0], 200)

    def test_clients_that_send_ahead_and_never_read_hold_nobody_up(self):
        get = b'GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n'
        with service() as process, contextlib.ExitStack() as stack:
            address = urlsplit(process.url)
            for _ in range(api.server_options['threads'] + 1):
                one = stack.enter_context(socket.socket())
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                one.connect((address.hostname, address.port))
                one.sendall(get * 40)
            time.sleep(1)
            self.assertEqual(fetch(f'{process.url}/health')[0], 200)

    def test_400_clients_that_send_nothing_or_half_hold_nobody_up(self):
        allow_files(1000)
        half = b'POST /films HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{'
        with service() as process, contextlib.ExitStack() as stack:
            address = urlsplit(process.url)
            for number in range(400):
                one = socket.create_connection((address.hostname, address.port), 10)
                stack.enter_context(one)
                if number % 2:
                    one.sendall(half)
            start = time.monotonic()
            for _ in range(5):
                self.assertEqual(fetch(f'{process.url}/films')[0], 200)
            self.assertLess(time.monotonic() - start, 5)

    @needs_signals
    @needs('raise_file_limit', 'get_swagger')
    def test_many_clients_leave_files_for_those_who_came_before(self):
        with service(before='ulimit -n 90') as process, contextlib.ExitStack() as stack:
            address = urlsplit(process.url)
            first = http.client.HTTPConnection(address.hostname, address.port, 10)
            stack.enter_context(contextlib.closing(first))
            first.request('GET', '/health')
            self.assertEqual(first.getresponse().read(), b'{"status": "ok"}')
            for _ in range(100):
                one = socket.create_connection((address.hostname, address.port), 10)
                stack.enter_context(one)
                time.sleep(0.01)
            # To answer this, it has to open a file.
            first.request('GET', '/swagger.yaml')
            self.assertEqual(first.getresponse().status, 200)

    # The stop

    @needs('refuse_late_collections')
    def test_collection_without_a_table_ends_the_start(self):
        self.patch(all_collections=[])
        late = api.Collection('late')
        with self.assertRaisesRegex(SystemExit, 'late has no table'):
            api.refuse_late_collections(None)
        late.storage = object.__new__(api.Table)
        api.refuse_late_collections(None)

    @needs('slow_work')
    def test_slot_is_free_again_if_no_thread_can_start(self):
        slots = threading.BoundedSemaphore(1)
        with mock.patch.object(api, 'change_threads', side_effect=RuntimeError):
            for _ in range(2):
                with self.assertRaises(RuntimeError), api.slow_work(slots, 'things'):
                    pass
        with (
            api.slow_work(slots, 'things'),
            self.assertRaises(api.ApiError),
            api.slow_work(slots, 'things'),
        ):
            pass

    @needs_signals
    def test_stop_when_idle_takes_less_than_a_second(self):
        half = b'POST /films HTTP/1.1\r\nContent-Length: 9\r\n\r\n'
        for name in ['SIGINT', 'SIGTERM', 'SIGHUP']:
            with self.subTest(name=name), service() as process:
                address = urlsplit(process.url)
                place = (address.hostname, address.port)
                with socket.create_connection(place) as idle:
                    idle.sendall(half)
                    self.assertLess(self.stop(process, name), 1)
                self.assertEqual(process.stdout.read(), '')

    @needs_signals
    def test_stop_finishes_what_has_arrived(self):
        answer = "return {'status': 'ok'}"
        slow_answer = f'time.sleep(0.3)\n    {answer}'
        with contextlib.ExitStack() as stack:
            process = stack.enter_context(changed_service(answer, slow_answer))
            pool = stack.enter_context(ThreadPoolExecutor(12))
            url = f'{process.url}/health'
            answers = [pool.submit(fetch, url) for _ in range(12)]
            # More than there are threads are waiting then.
            time.sleep(0.4)
            self.stop(process)
            for answer in answers:
                self.assertEqual(answer.result(), (200, {'status': 'ok'}))

    @needs_signals
    def test_stop_writes_the_rest_of_the_log(self):
        with service() as process:
            fetch(f'{process.url}/health')
            self.stop(process)
            self.assertIn('GET /health', process.stdout.read())

    @needs('log_requests')
    def test_stop_writes_the_lines_of_the_last_moment(self):
        finish = '    finish(server)\n'
        last = "    log_lines.append('last')\n"
        with changed_service(finish, finish + last) as process:
            self.stop(process)
            self.assertIn('last', process.stdout.read())

    @needs_signals
    def test_stop_sends_a_long_answer_to_its_end(self):
        long = "{'status': 'a' * 6_000_000}"
        with changed_service("{'status': 'ok'}", long) as process:
            address = urlsplit(process.url).netloc
            connection = http.client.HTTPConnection(address, timeout=10)
            connection.request('GET', '/health')
            answer = connection.getresponse()
            process.send_signal(signal.SIGTERM)
            # The six million bytes are not all in the socket's buffers by then.
            time.sleep(1)
            self.assertEqual(len(json.loads(answer.read())['status']), 6_000_000)
            self.assertEqual(process.wait(10), 0)
            connection.close()

    @needs_signals
    def test_stop_does_not_wait_for_ever_for_a_client_that_does_not_read(self):
        long = "{'status': 'a' * 60_000_000}"
        with changed_service("{'status': 'ok'}", long) as process:
            address = urlsplit(process.url)
            with socket.create_connection((address.hostname, address.port)) as one:
                one.sendall(b'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n')
                one.recv(1)
                self.assertLess(self.stop(process), 9)

    @needs_signals
    def test_stopping_service_takes_no_new_clients(self):
        answer = "return {'status': 'ok'}"
        slow_answer = f'time.sleep(2)\n    {answer}'
        with contextlib.ExitStack() as stack:
            process = stack.enter_context(changed_service(answer, slow_answer))
            pool = stack.enter_context(ThreadPoolExecutor())
            slow_one = pool.submit(fetch, f'{process.url}/health')
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            time.sleep(1)
            with self.assertRaises(OSError):
                fetch(f'{process.url}/data', timeout=0.5)
            self.assertEqual(slow_one.result()[0], 200)


# A line of the log, with the caller's name, the request and the status in groups.
LOG_LINE = (
    r'127\.0\.0\.1 - (\S+) \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] '
    r'"(\S+ \S+) HTTP/1\.[01]" (\d{3}) (?:\d+|-) \d+\.\dms'
)


@contextlib.contextmanager
def changed_service(old, new):
    """Start a copy of the service with another text in it; yield its process."""
    with tempfile.TemporaryDirectory() as folder:
        copy_service(folder, old, new)
        with service(folder) as process:
            yield process


def copy_service(folder, old, new):
    """Copy api.py into a folder, with a new text for an old one."""
    text = (HERE / 'api.py').read_text(encoding='utf-8')
    if old not in text:
        raise AssertionError(f'api.py has no {old}')
    Path(folder, 'api.py').write_text(text.replace(old, new), encoding='utf-8')


def has_ipv6():
    """Tell whether this machine has the address ::1."""
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(('::1', 0))
    except OSError:
        return False
    return True


def allow_files(number):
    """Let this process open so many files; on macOS it is 256 otherwise."""
    try:
        import resource
    except ImportError:
        # Windows has no such limit.
        return
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if least < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, most))


def main():
    """Run the tests that the command line names, or all; print how many passed."""
    loader = unittest.defaultTestLoader
    module = sys.modules['__main__']
    if sys.argv[1:]:
        tests = loader.loadTestsFromNames(sys.argv[1:], module)
    else:
        tests = loader.loadTestsFromModule(module)
    total = tests.countTestCases()
    result = unittest.TextTestRunner().run(tests)
    problems = [test for test, _ in result.failures + result.errors]
    # What fails within subTest() counts as its test.
    failed = {getattr(test, 'test_case', test).id() for test in problems}
    skipped = {test.id() for test, _ in result.skipped}
    passed = total - len(failed | skipped)
    print(f'{passed} passed, {len(failed)} failed')
    sys.exit(len(failed) > 0)


if __name__ == '__main__':
    main()
