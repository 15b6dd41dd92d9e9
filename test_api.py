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

    python test_api.py                     all of them; -v names each
    python test_api.py Films Users         some classes
    python test_api.py Films.test_delete   one test

What tests a section is skipped if that section was deleted from api.py.
TEST_DATABASE_URL in the environment names a database to run them over. All of its
tables are deleted!
"""
import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from unittest import mock
from urllib.parse import quote, urlencode, urlsplit

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

    engine = sqlalchemy.create_engine(url.replace('postgresql:', 'postgresql+psycopg:'))
    tables = sqlalchemy.MetaData()
    tables.reflect(engine)
    tables.drop_all(engine)
    engine.dispose()


# The tests are of the defaults, but for the database.
for setting in SETTINGS:
    os.environ.pop(setting, None)
database = os.environ.pop('TEST_DATABASE_URL', '')
if database:
    drop_tables(database)
    os.environ['DATABASE_URL'] = database

import jwt
import webtest

import api

HERE = Path(__file__).resolve().parent
START = {one.name: (dict(one.items), one.number) for one in api.all_collections}
RULES = {route.rule for route in api.app.routes}
JSON = {'Content-Type': 'application/json'}
FORM = {'Content-Type': 'application/x-www-form-urlencoded'}
ACCOUNT = {'username': 'admin', 'password': 'atCh_5K}?g'}
DUNE = {'name': 'Dune', 'year': 2021, 'month': 'October'}
BOM = b'\xef\xbb\xbf'


# --- What the tests share -------------------------------------------------------------


class Route(NamedTuple):
    """A route that takes fields: who may call it, a body, and where its errors are."""

    method: str
    path: str
    body: dict
    caller: str = ''
    error: str = 'message'
    takes_form: bool = False


ROUTES = [
    Route('POST', '/token', ACCOUNT, takes_form=True),
    Route('POST', '/login', ACCOUNT, error='error', takes_form=True),
    Route('POST', '/films', DUNE, takes_form=True),
    Route('PUT', '/films/1', DUNE, takes_form=True),
    Route('POST', '/api/create', {'value1': 'x'}, 'key'),
    Route('PATCH', '/api/modify/1', {'value1': 'x'}, 'key'),
    Route('POST', '/users', {'cn': 'eve', 'sn': 'x'}, 'bearer'),
    Route('PUT', '/users/bob', {'sn': 'x'}, 'bearer'),
    Route('PATCH', '/users/bob', {'sn': 'x'}, 'bearer'),
    Route(
        'POST',
        '/courses',
        {'code': 'C1', 'name': 'x', 'instructor': 'y'},
        'bearer',
        'error',
    ),
    Route(
        'PUT', '/courses/CSE115', {'name': 'x', 'instructor': 'y'}, 'bearer', 'error'
    ),
    Route('PATCH', '/courses/CSE115', {'name': 'x'}, 'bearer', 'error'),
]
LISTS = {'/films': 'Name', '/api/list': 'value1', '/users': 'sn', '/courses': 'name'}


def has(path):
    """Tell whether api.py has a route for this path."""
    return any(re.fullmatch(re.sub('<.*?>', '[^/]+', rule), path) for rule in RULES)


def needs(*paths):
    """Return a decorator that skips what needs a route that was deleted."""
    lacking = [path for path in paths if not has(path)]
    return unittest.skipIf(lacking, f'api.py has no {", ".join(lacking)}')


needs_shell = unittest.skipIf(os.name == 'nt', 'Windows has no shell and no signals')
needs_powershell = unittest.skipUnless(
    shutil.which(api.POWERSHELL), 'PowerShell is not installed'
)


def reset():
    """Give each collection the items, and the number, that it starts with."""
    for collection in api.all_collections:
        items, number = START[collection.name]
        for key in collection.page():
            collection.remove(key)
        for key, item in items.items():
            collection.add(key, item)
        collection.number = number
        if database:
            api.run(
                'UPDATE counters SET number = :number WHERE name = :name '
                'RETURNING number',
                name=collection.name,
                number=number,
            )


def quick_scrypt(password, *, salt, **_):
    """Return a hash, as hashlib.scrypt() does, that takes no time."""
    return hashlib.sha256(salt + password).digest()


def client(address='192.0.2.1'):
    """Return a client at this address, for a thread of its own."""
    return webtest.TestApp(api.app, {'REMOTE_ADDR': address})


def token_header(token):
    """Return the header that carries a token."""
    return {'Authorization': f'Bearer {token}'}


def basic(name, password):
    """Return the header of HTTP Basic for a name and a password."""
    account = base64.b64encode(f'{name}:{password}'.encode()).decode()
    return {'Authorization': f'Basic {account}'}


class Case(unittest.TestCase):
    """A test with a client, and with the data that a freshly started service has."""

    maxDiff = None

    def setUp(self):
        reset()
        api.attempts.clear()
        self.patch(RATE_LIMIT=0)
        quick = mock.patch.object(hashlib, 'scrypt', quick_scrypt)
        quick.start()
        self.addCleanup(quick.stop)
        self.app = client()
        self.bearer = token_header(api.make_token(api.DEMO))

    def patch(self, **values):
        """Give names of api.py other values until the test ends."""
        patcher = mock.patch.multiple(api, **values)
        patcher.start()
        self.addCleanup(patcher.stop)

    def make_key(self, name='sumit'):
        """Return the header with a new API key."""
        answer = self.app.post(f'/api/generate_key/{name}', status=201)
        return {'api-key': answer.json['api_key']}

    def add_user(self, **fields):
        """Add a user with these fields; return the answer."""
        user = {'sn': 'x', **fields}
        return self.app.post_json('/users', user, headers=self.bearer, status=201)

    def change(self, cn, headers=None, status=200, **fields):
        """Change fields of a user; return the answer."""
        headers = headers or self.bearer
        path = f'/users/{cn}'
        return self.app.patch_json(path, fields, headers=headers, status=status)

    def callers(self):
        """Return the headers of each kind of caller."""
        key = self.make_key() if has('/api/generate_key/x') else {}
        return {'': {}, 'bearer': self.bearer, 'key': key}

    def send(self, route, body, headers, status):
        """Send a body, as bytes or as JSON, to a route; return the answer."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        return self.app.request(
            route.path,
            method=route.method,
            body=body,
            headers={**JSON, **headers},
            status=status,
        )

    def routes(self):
        """Yield each route that is there, in a subTest, with the caller's headers.

        Afterwards nothing may be stored.
        """
        callers = self.callers()
        before = stored()
        for route in ROUTES:
            if has(route.path):
                with self.subTest(method=route.method, path=route.path):
                    yield route, callers[route.caller]
                    self.assertEqual(stored(), before)

    def refused(self, answer, *words, error='message'):
        """Check that an answer is a JSON error that has these words in it."""
        self.assertEqual(answer.content_type, 'application/json')
        for word in words:
            self.assertIn(word, answer.json[error])


def stored():
    """Return all that the collections hold."""
    return {one.name: one.page() for one in api.all_collections}


def at_once(work, arguments):
    """Return what work returns for each argument, from 12 threads at once."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(12) as pool:
            return list(pool.map(work, arguments))
    finally:
        sys.setswitchinterval(interval)


# --- The real service -----------------------------------------------------------------


class Answer(NamedTuple):
    """What the real service answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        """The body as JSON."""
        return json.loads(self.body)


@contextlib.contextmanager
def service(folder=HERE, command=(), **environment):
    """Run the api.py of a folder on a free port; yield its process.

    Its url and log, a file, are attributes of it. A command comes before Python.
    """
    with tempfile.NamedTemporaryFile(suffix='.log', delete=False) as log:
        process = subprocess.Popen(
            [*command, sys.executable, 'api.py'],
            cwd=folder,
            env={**os.environ, 'PORT': '0', **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    process.log = Path(log.name)
    try:
        log = process.log
        wait_for(lambda: 'http' in log.read_text() or process.poll() is not None)
        process.url = re.search(r'http://\S+', process.log.read_text())[0]
        yield process
    finally:
        process.kill()
        process.wait()
        process.log.unlink()


def wait_for(happened, seconds=20):
    """Return what happened() returns, once it is true; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        if time.monotonic() > deadline:
            raise AssertionError('it did not happen')
        time.sleep(0.02)
    return found


def connect(process):
    """Return a socket that is connected with the service."""
    address = urlsplit(process.url)
    return socket.create_connection((address.hostname, address.port), 10)


def fetch(process, method, path, body=None, headers=None, timeout=60):
    """Send a request, with a body as JSON; return the Answer."""
    if body is not None:
        body = json.dumps(body)
    address = urlsplit(process.url).netloc
    connection = http.client.HTTPConnection(address, timeout=timeout)
    with contextlib.closing(connection):
        connection.request(method, path, body, {**JSON, **(headers or {})})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


def raw(process, sent):
    """Send bytes to the service; return all that it sends back."""
    received = b''
    with connect(process) as connection:
        connection.sendall(sent)
        # A service that answers early may close the connection before it read all.
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
    return received


def sign_in(process, account=None):
    """Return the header with a token of an account of the real service."""
    answer = fetch(process, 'POST', '/login', account or ACCOUNT)
    return token_header(answer.body.decode())


def log_of(process, last='GET /health'):
    """Return the lines of the log, once it has this request."""
    fetch(process, *last.split())
    return wait_for(lambda: last in process.log.read_text() and
                    process.log.read_text().splitlines())


# --- Requests and errors --------------------------------------------------------------


class Requests(Case):
    """What every route does with a request, and how errors look."""

    def test_unknown_path_is_404(self):
        for path in ['/nowhere', '/films/', '/Films', '/films/1/x', '/films/1%0A']:
            with self.subTest(path=path):
                self.refused(self.app.get(path, status=404))

    def test_path_that_is_not_utf8_is_400(self):
        for path in ['/films/%FF1', '/films/1%C0', '/%ED%A0%80', '/films%FF']:
            with self.subTest(path=path):
                self.refused(self.app.get(path, status=400), 'UTF-8')

    def test_options_is_204_and_a_wrong_method_405_with_allow(self):
        for rule in RULES:
            methods = {one.method for one in api.app.routes if one.rule == rule}
            methods |= {'OPTIONS', *(['HEAD'] if 'GET' in methods else [])}
            path = re.sub('<.*?>', 'x', rule)
            with self.subTest(path=path):
                answer = self.app.options(path, status=204)
                self.assertEqual(set(answer.headers['Allow'].split(',')), methods)
                self.assertEqual(answer.body, b'')
                answer = self.app.request(path, method='TRACE', status=405)
                self.assertEqual(set(answer.headers['Allow'].split(',')), methods)
                self.refused(answer)

    def test_head_is_get_without_a_body(self):
        for path in ['/', '/films', '/films/1', '/api/list', '/health', '/data']:
            if has(path):
                with self.subTest(path=path):
                    answer = self.app.get(path)
                    head = self.app.head(path)
                    self.assertEqual(head.body, b'')
                    self.assertEqual(dict(head.headers), dict(answer.headers))

    def test_bodies_that_are_none_are_400(self):
        for route, headers in self.routes():
            for body in [
                b'',
                b'{',
                b"{'a': 1}",
                b'{"a": NaN}',
                b'{"a": -Infinity}',
                b'{"a": 1e999}',
                b'{"a": "\xff"}',
                b'{"a": "\\ud800"}',
                b'{"a": %s}' % (b'1' * 5000),
                b'{"a":' * 15_000 + b'1' + b'}' * 15_000,
                b'[' * 100_000,
                b'\xff\xfe{\x00}\x00',
                BOM + BOM + b'{}',
                b'null',
                b'[{}]',
                b'"text"',
                b'3.5',
            ]:
                with self.subTest(body=body[:20]):
                    self.refused(self.send(route, body, headers, 400))

    def test_other_types_and_codings_are_415(self):
        for route, headers in self.routes():
            for kind in ['text/plain', 'multipart/form-data', 'text/json', '']:
                with self.subTest(kind=kind):
                    kind = {'Content-Type': kind}
                    answer = self.send(route, route.body, headers | kind, 415)
                    self.refused(answer, 'application/json')
            for coding in ['gzip', 'BR', 'identity, gzip']:
                with self.subTest(coding=coding):
                    coding = {'Content-Encoding': coding}
                    answer = self.send(route, route.body, headers | coding, 415)
                    self.refused(answer, 'Content-Encoding')

    def test_bodies_over_100_kib_are_413(self):
        for route, headers in self.routes():
            self.refused(self.send(route, b' ' * 102_401, headers, 413), '102400')

    def test_unknown_fields_are_400_with_the_known_ones(self):
        for route, headers in self.routes():
            for field in ['pasword', 'é', '']:
                with self.subTest(field=field):
                    body = {**route.body, field: True}
                    answer = self.send(route, body, headers, 400)
                    self.refused(answer, field, *route.body, error=route.error)

    def test_json_sent_as_a_form_is_told_so(self):
        for route, headers in self.routes():
            status = 400 if route.takes_form else 415
            body = b' \r\n' + json.dumps(route.body).encode()
            answer = self.send(route, body, headers | FORM, status)
            self.refused(answer, 'application/json')

    def test_broken_forms_are_400(self):
        for route, headers in self.routes():
            if route.takes_form:
                for body in [b'name=%FF', b'name=\xff', b'%FF=1', b'a=%ED%A0%80', b'&']:
                    with self.subTest(body=body):
                        self.send(route, body, headers | FORM, 400)

    @needs('/data')
    def test_odd_ways_to_send_json_are_taken(self):
        for headers, body in [
            ({'Content-Type': 'APPLICATION/JSON; charset=utf-8'}, b'{"a": 1}'),
            ({'Content-Encoding': 'Identity'}, b'{"a": 1}'),
            ({}, BOM + b' {"a": 1}\r\n'),
        ]:
            with self.subTest(headers=headers):
                answer = self.app.post('/data', body, {**JSON, **headers})
                self.assertEqual(answer.json, {'a': 1})

    @needs('/data')
    def test_a_body_that_the_server_took_out_of_chunks_is_taken(self):
        request = webtest.TestRequest.blank('/data', method='POST')
        request.body = b'{"a": 1}'
        request.environ['CONTENT_TYPE'] = 'application/json'
        del request.environ['CONTENT_LENGTH']
        request.environ['HTTP_TRANSFER_ENCODING'] = 'chunked'
        request.environ['wsgi.input_terminated'] = True
        self.assertEqual(self.app.do_request(request, 200).json, {'a': 1})

    def test_headers_that_are_not_utf8_are_no_fault(self):
        for name in [
            'Authorization',
            'api-key',
            'Accept',
            'Content-Type',
            'If-None-Match',
            'Origin',
            'Sec-Fetch-Site',
        ]:
            for value in ['\xff', 'Basic \xe9', 'Bearer \xe9']:
                for method, path in [
                    ('GET', '/'),
                    ('GET', '/swagger.yaml'),
                    ('GET', '/hello_world'),
                    ('POST', '/films'),
                    ('POST', '/courses'),
                    ('POST', '/api/create'),
                ]:
                    with self.subTest(header=name, value=value, path=path):
                        answer = self.app.request(
                            path, method=method, headers={name: value}, status='*'
                        )
                        self.assertLess(answer.status_int, 500)

    def test_faults_are_500_without_a_traceback(self):
        fault = mock.patch.object(api, 'all_collections', 1)
        with fault, contextlib.redirect_stderr(None):
            answer = self.app.get('/health', status=500, expect_errors=True)
        self.assertEqual(answer.json, {'message': 'Internal Server Error'})
        self.assertEqual(answer.headers['X-Content-Type-Options'], 'nosniff')

    def test_every_answer_forbids_sniffing_and_claims_no_json_without_a_body(self):
        for method, path, status, body, headers in [
            ('GET', '/health', 200, '', {}),
            ('GET', '/nowhere', 404, '', {}),
            ('GET', '/%FF', 400, '', {}),
            ('POST', '/health', 405, '', {}),
            ('OPTIONS', '/health', 204, '', {}),
            ('OPTIONS', '/nowhere', 404, '', {}),
            ('GET', '/docs', 308, '', {}),
            ('GET', '/docs/index.html', 200, '', {}),
            ('GET', '/authkeys?username=bob', 200, '', {}),
            ('GET', '/users', 401, '', {}),
            ('GET', '/api/read/99', 404, '', {}),
            ('POST', '/data', 413, '"' * 200_000, {}),
            ('DELETE', '/films/1', 403, '', {'Origin': 'https://evil.example'}),
            ('DELETE', '/films/1', 204, '', {}),
            ('PATCH', '/courses/CSE115', 204, '{"name": "y"}', self.bearer),
            ('DELETE', '/courses/CSE115', 204, '', self.bearer),
        ]:
            if has(path.partition('?')[0]) or status in (400, 404):
                with self.subTest(method=method, path=path, status=status):
                    headers = {**JSON, **headers}
                    answer = self.app.request(
                        path,
                        method=method,
                        body=body.encode(),
                        headers=headers,
                        status=status,
                    )
                    sniff = answer.headers.getall('X-Content-Type-Options')
                    self.assertEqual(sniff, ['nosniff'])
                    kind = answer.headers.get('Content-Type', '')
                    if status in (204, 302, 308):
                        self.assertNotIn('json', kind)
                    if status >= 400:
                        self.assertIsInstance(answer.json, dict)


# --- Collections ----------------------------------------------------------------------


class Collections(Case):
    """What a collection promises, over dicts as over a database."""

    def setUp(self):
        super().setUp()
        self.patch(all_collections=[])
        self.things = api.Collection('things', {'1': {'a': 1}, 'b': {'a': 2}})
        if database:
            api.open_database()
            self.addCleanup(drop_things)

    def test_items_are_found_by_key(self):
        self.assertEqual(self.things.find('1'), {'a': 1})
        for key in ['', '2', 'B', 'b ', 'é', 'a\0', '%', "'", '日😀']:
            with self.subTest(key=key):
                self.assertIsNone(self.things.get(key))
                for method in [self.things.find, self.things.remove]:
                    with self.assertRaisesRegex(api.HTTPError, '404'):
                        method(key)
                with self.assertRaisesRegex(api.HTTPError, '404'):
                    self.things.change(key, {'a': 3})

    def test_the_order_is_that_in_which_items_came(self):
        self.assertTrue(self.things.add('0', {}))
        self.things.change('1', {'a': 3})
        self.assertEqual(list(self.things.page()), ['1', 'b', '0'])
        self.things.remove('1')
        self.things.add('1', {})
        self.assertEqual(list(self.things.page()), ['b', '0', '1'])
        self.assertEqual(self.things.page(1, 2), {'0': {}})
        self.assertEqual(self.things.page(3, 9), {})
        self.assertEqual(self.things.count(), 3)

    def test_add_stores_only_where_the_key_is_free(self):
        for key in ['c', 'é %/\0😀']:
            self.assertTrue(self.things.add(key, {'a': 'é\0😀'}))
            self.assertFalse(self.things.add(key, {'a': 4}))
            self.assertEqual(self.things.get(key), {'a': 'é\0😀'})
            self.assertEqual(self.things.change(key, {'a': 5}), {'a': 5})
            self.assertEqual(self.things.page()[key], {'a': 5})

    def test_change_replaces_fields(self):
        before = self.things.get('1')
        self.assertEqual(self.things.change('1', {'b': None}), {'a': 1, 'b': None})
        self.assertEqual(self.things.get('1'), {'a': 1, 'b': None})
        self.assertEqual(before, {'a': 1})

    def test_no_number_is_given_twice(self):
        self.assertEqual([self.things.next_number() for _ in range(3)], [3, 4, 5])

    def test_nothing_is_stored_past_the_bound(self):
        self.patch(MAX_ITEMS=2)
        with self.assertRaisesRegex(api.HTTPError, '507'):
            self.things.add('c', {})
        self.assertFalse(self.things.add('1', {}))
        self.things.change('1', {'a': 3})
        self.things.remove('b')
        self.assertTrue(self.things.add('c', {}))

    def test_threads_add_a_key_once_and_lose_no_change(self):
        added = at_once(lambda n: self.things.add(f'x{n // 4}', {}), range(40))
        self.assertEqual(added.count(True), 10)
        at_once(lambda n: self.things.change('1', {f'f{n}': n}), range(40))
        self.assertEqual(len(self.things.get('1')), 41)
        numbers = at_once(lambda n: self.things.next_number(), range(40))
        self.assertEqual(len(set(numbers)), 40)

    def test_threads_remove_an_item_once(self):
        def remove(key):
            try:
                return self.things.remove(key)
            except api.HTTPError as problem:
                return problem.status_code

        self.assertEqual(at_once(remove, ['1'] * 20).count(404), 19)


def drop_things():
    """Delete the table of the collection that these tests use."""
    with api.engine.begin() as connection:
        connection.exec_driver_sql('DROP TABLE things')
        connection.exec_driver_sql("DELETE FROM counters WHERE name = 'things'")


# --- Sign-in --------------------------------------------------------------------------


@needs('/users', '/courses', '/token', '/hello_world')
class SignIn(Case):
    """Passwords and tokens: who gets in, and until when. carol is a user."""

    def setUp(self):
        super().setUp()
        self.carol = {'username': 'carol', 'password': 'pässword'}
        self.add_user(cn='carol', password='pässword')

    def token(self, **account):
        """Return the header with a token of carol."""
        answer = self.app.post_json('/token', {**self.carol, **account})
        return token_header(answer.json['access_token'])

    def is_out(self, headers):
        """Check that a token gets 401, and that one has to sign in again."""
        answer = self.app.get('/courses', headers=headers, status=401)
        self.refused(answer, 'sign in again')
        self.assertIn('error="invalid_token"', answer.headers['WWW-Authenticate'])

    def test_who_may_call_what(self):
        expected = {
            'basic': ['GET /hello_world'],
            'admin': [
                'POST /run-script',
                'GET /users',
                'POST /users',
                'DELETE /users/<cn>',
            ],
            'api_key': [
                'POST /api/create',
                'PATCH /api/modify/<record_id>',
                'DELETE /api/remove/<record_id>',
                'DELETE /api/generate_key/<username>',
            ],
            'bearer': [
                'GET /users/<cn>',
                'PUT /users/<cn>',
                'PATCH /users/<cn>',
                'GET /courses',
                'POST /courses',
                'GET /courses/<code>',
                'PUT /courses/<code>',
                'PATCH /courses/<code>',
                'DELETE /courses/<code>',
            ],
        }
        found = {}
        for route in api.app.routes:
            # A slip such as auht=admin would leave a route open.
            self.assertLessEqual(set(route.config) - set(api.app.config), {'auth'})
            if 'auth' in route.config:
                name = route.config['auth'].__name__
                found.setdefault(name, []).append(f'{route.method} {route.rule}')
        for name, lines in expected.items():
            lines = {line for line in lines if line.split()[1] in RULES}
            self.assertLessEqual(lines, set(found.get(name, [])), name)

    def test_strangers_get_401(self):
        for route in api.app.routes:
            if 'auth' in route.config:
                with self.subTest(method=route.method, path=route.rule):
                    path = re.sub('<.*?>', '1', route.rule)
                    answer = self.app.request(path, method=route.method, status=401)
                    is_key = route.config['auth'].__name__ == 'api_key'
                    self.assertEqual('WWW-Authenticate' in answer.headers, not is_key)

    def test_headers_without_a_token_are_401(self):
        for value in [None, '', 'bearer', 'Basic x', 'Token x']:
            with self.subTest(value=value):
                headers = {} if value is None else {'Authorization': value}
                answer = self.app.get('/courses', headers=headers, status=401)
                self.assertIn('Bearer realm=', answer.headers['WWW-Authenticate'])
        token = self.bearer['Authorization'].split()[1]
        self.app.get(f'/courses?token={token}', status=401)

    def test_tokens_are_hs256_with_sub_iat_and_exp(self):
        token = self.app.post('/login', self.carol).text
        claims = jwt.decode(token, api.SECRET_KEY, ['HS256'])
        self.assertEqual(claims['sub'], 'carol')
        self.assertEqual(claims['exp'] - claims['iat'], 1800)

    def test_tokens_with_other_claims_are_401(self):
        now = int(time.time())
        salt = api.users.get('carol')['salt']
        right = {'sub': 'carol', 'iat': now, 'exp': now + 60, 'salt': salt}
        self.app.get('/courses', headers=signed(right))
        for claims in [
            {'exp': now - 1},
            {'exp': None},
            {'exp': 'tomorrow'},
            {'exp': []},
            {'exp': float('inf')},
            {'sub': None},
            {'sub': ''},
            {'sub': 'nobody'},
            {'sub': 'alice'},
            {'sub': 'bob'},
            {'sub': 'admin'},
            {'sub': 1},
            {'sub': {'cn': 'x'}},
            {'nbf': now + 60},
            {'aud': 'other'},
            {'salt': None},
            {'salt': ''},
            {'salt': []},
            {'salt': 'x'},
            {'salt': api.DEMO['salt']},
        ]:
            with self.subTest(claims=claims):
                self.is_out(signed({**right, **claims}))
        for name in right:
            if name != 'iat':
                with self.subTest(missing=name):
                    self.is_out(signed({**right, name: None}, leave_out=name))
        self.app.get('/courses', headers=signed(right | {'iat': now + 60}))

    def test_broken_tokens_are_401(self):
        token = self.bearer['Authorization'].split()[1]
        header, claims, signature = token.split('.')
        tokens = ['x', '..', f'{header}.{claims}', f'{token}x', 'é.ü.ö', '\xff', 'a b']
        tokens += [f'{part("[" * 5000)}.{claims}.{signature}', f'.{claims}.{signature}']
        for algorithm in ['none', 'None', '', None, ['HS256'], 'RS256', 'hs256']:
            text = json.dumps({'alg': algorithm, 'typ': 'JWT'})
            tokens += [f'{part(text)}.{claims}.', f'{part(text)}.{claims}.{signature}']
        decoded = jwt.decode(token, api.SECRET_KEY, ['HS256'])
        tokens.append(jwt.encode(decoded, 'another key' * 9, 'HS256'))
        tokens.append(jwt.encode(decoded, api.SECRET_KEY * 2, 'HS512'))
        for token in tokens:
            with self.subTest(token=token[:60]):
                self.is_out(token_header(token))

    def test_token_ends_when_its_time_is_over(self):
        headers = self.token()
        self.app.get('/courses', headers=headers)
        clock = mock.Mock(wraps=time)
        clock.time.return_value = time.time() + 30 * 60 + 1
        with mock.patch.object(api, 'time', clock):
            self.is_out(headers)

    def test_locked_user_is_out_at_once(self):
        headers = self.token()
        self.change('carol', accountLocked=True)
        self.is_out(headers)
        self.app.post_json('/token', self.carol, status=401)
        password = basic(*self.carol.values())
        self.app.get('/hello_world', headers=password, status=401)
        self.change('carol', accountLocked=False)
        self.app.get('/courses', headers=headers)

    def test_deleted_user_is_out_at_once_and_stays_out(self):
        headers = self.token()
        self.app.delete('/users/carol', headers=self.bearer)
        self.is_out(headers)
        for password in [{}, {'password': 'pässword'}]:
            self.add_user(cn='carol', **password)
            self.is_out(headers)
            self.app.delete('/users/carol', headers=self.bearer)

    def test_changed_password_ends_older_tokens(self):
        headers = self.token()
        self.change('carol', headers, password='pässword')
        self.is_out(headers)
        self.app.get('/courses', headers=self.token())

    def test_administrators_are_in_the_group_admins(self):
        headers = self.token()
        for groups, status in [
            (['cn=Admins,ou=groups,dc=dbsentry,dc=com'], 200),
            (['cn=x,dc=y', 'cn=Admins'], 200),
            ([], 403),
            (['Admins'], 403),
            (['cn=AdminsX,dc=x'], 403),
            (['cn=users,cn=Admins'], 403),
            (['cn=Admins\\,x,dc=y'], 403),
        ]:
            with self.subTest(groups=groups):
                self.change('carol', memberOfs=groups)
                self.app.get('/users', headers=headers, status=status)

    def test_name_and_password_may_be_json_or_a_form(self):
        for account in [ACCOUNT, self.carol]:
            for post in [self.app.post_json, self.app.post]:
                with self.subTest(account=account, post=post.__name__):
                    answer = post('/token', account)
                    self.assertEqual(answer.headers['Cache-Control'], 'no-store')
                    token = answer.json['access_token']
                    self.app.get('/courses', headers=token_header(token))
            self.app.get('/hello_world', headers=basic(*account.values()))

    def test_wrong_names_and_passwords_are_401(self):
        for wrong in [
            {'password': 'x'},
            {'password': 'pässword '},
            {'username': 'x'},
            {'username': 'é\0'},
            {'username': 'CAROL'},
            {'username': 'alice'},
        ]:
            for path, error in [('/token', 'message'), ('/login', 'error')]:
                with self.subTest(path=path, wrong=wrong):
                    account = {**self.carol, **wrong}
                    answer = self.app.post_json(path, account, status=401)
                    message = 'username or password is not correct'
                    self.assertEqual(answer.json[error], message)
                    self.assertIn('Bearer', answer.headers['WWW-Authenticate'])

    def test_names_and_passwords_that_are_no_text_are_400(self):
        for field in ACCOUNT:
            for value in [None, True, 0, [], {}, '', 'x' * 1001]:
                with self.subTest(field=field, value=value):
                    account = {**ACCOUNT, field: value}
                    answer = self.app.post_json('/token', account, status=400)
                    self.refused(answer, field)

    def test_password_is_kept_as_a_salted_hash_and_never_shown(self):
        self.add_user(cn='dave', password='pässword')
        carol = api.users.get('carol')
        self.assertNotEqual(carol['password'], api.users.get('dave')['password'])
        for path in ['/users', '/users/carol', '/users?q=carol']:
            text = self.app.get(path, headers=self.bearer).text
            for secret in ['password', carol['password'], carol['salt']]:
                with self.subTest(path=path):
                    self.assertNotIn(secret, text)
        found = self.app.get(f'/users?q={carol["salt"]}', headers=self.bearer)
        self.assertEqual(found.json, [])

    def test_hash_takes_the_work_that_is_advised(self):
        with mock.patch.object(hashlib, 'scrypt', wraps=quick_scrypt) as scrypt:
            self.app.post('/token', self.carol)
        work = scrypt.call_args.kwargs
        self.assertGreaterEqual(work['n'] * work['r'] * work['p'], 2**14 * 8 * 5)

    def test_each_refusal_of_a_user_hashes_once(self):
        for name in ['carol', 'nobody', 'alice', '', 'é\0']:
            with self.subTest(name=name):
                with mock.patch.object(hashlib, 'scrypt', wraps=quick_scrypt) as scrypt:
                    headers = basic(name, 'wrong')
                    self.app.get('/hello_world', headers=headers, status=401)
                self.assertEqual(scrypt.call_count, 1)

    def test_user_of_the_demo_account_s_name_gets_nothing_by_it(self):
        # There was another demo account when he was added.
        api.users.add('admin', {**api.users.get('carol'), 'cn': 'admin'})
        account = {**self.carol, 'username': 'admin'}
        self.app.post('/token', account, status=401)
        self.app.get('/users', headers=self.bearer)


def part(text):
    """Return a text as a part of a token (RFC 7515): base64 without = at the end."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')


def signed(claims, leave_out=''):
    """Return the header of a token with these claims, signed as we would sign it."""
    claims = {name: value for name, value in claims.items() if name != leave_out}
    text = f'{part(json.dumps({"alg": "HS256"}))}.{part(json.dumps(claims))}'
    mac = hmac.new(api.SECRET_KEY.encode(), text.encode(), 'sha256').digest()
    return token_header(f'{text}.{base64.urlsafe_b64encode(mac).decode().rstrip("=")}')


# --- Limits ---------------------------------------------------------------------------


@needs('/token', '/login', '/hello_world')
class Limits(Case):
    """How often one may fail, and how much there is room for."""

    def setUp(self):
        super().setUp()
        self.key = self.make_key('falcon') if has('/api/create') else {}
        self.patch(RATE_LIMIT=10)
        api.attempts.clear()

    def sign_in(self, way='/token', name='admin', password='x', address='192.0.2.1'):
        """Sign in; return the answer."""
        app = client(address)
        if way == 'basic':
            headers = basic(name, password)
            return app.get('/hello_world', headers=headers, expect_errors=True)
        account = {'username': name, 'password': password}
        return app.post_json(way, account, expect_errors=True)

    def too_many(self, answer):
        """Check that an answer is a 429 that says when to try again."""
        self.assertEqual(answer.status_int, 429)
        seconds = answer.headers['Retry-After']
        self.assertIn(int(seconds), range(1, 62))
        self.refused(answer, f'in {seconds} seconds')

    def test_failed_sign_ins_of_a_name_are_429_past_the_limit(self):
        for way in (['/token', '/login', 'basic'] * 4)[:10]:
            self.assertEqual(self.sign_in(way).status_int, 401)
        for way in ['/token', '/login', 'basic']:
            for password in ['wrong', ACCOUNT['password']]:
                with self.subTest(way=way, password=password):
                    self.too_many(self.sign_in(way, password=password))
        right = self.sign_in(password=ACCOUNT['password'], address='192.0.2.2')
        self.assertEqual(right.status_int, 200)
        self.assertEqual(self.sign_in(name='bob').status_int, 401)

    @needs('/users')
    def test_right_guess_is_not_told_once_others_have_failed(self):
        self.add_user(cn='carol', password='correct horse')
        hash_password = api.hash_password

        def fail_meanwhile(password, salt):
            for _ in range(10):
                api.limit_sign_ins('carol', has_failed=True)
            return hash_password(password, salt)

        self.patch(hash_password=fail_meanwhile)
        self.too_many(self.sign_in(name='carol', password='correct horse'))

    def test_names_at_an_address_may_fail_ten_times_as_often(self):
        for number in range(100):
            answer = self.sign_in(name=f'name{number // 9}')
            self.assertEqual(answer.status_int, 401)
        self.too_many(self.sign_in(name='another'))
        self.too_many(self.sign_in(password=ACCOUNT['password']))

    def test_sign_ins_that_succeed_count_for_nothing(self):
        for _ in range(20):
            self.assertEqual(self.sign_in(password=ACCOUNT['password']).status_int, 200)

    @needs('/api/create', '/users')
    def test_valid_tokens_and_keys_are_never_refused(self):
        for number in range(110):
            self.sign_in(name=f'name{number}')
        for status in [429, 201]:
            key = self.key if status == 201 else {'api-key': 'sumit.wrong'}
            fields = {'value1': 'x'}
            self.app.post_json('/api/create', fields, headers=key, status=status)
        self.app.get('/users', headers=self.bearer)

    @needs('/api/create')
    def test_wrong_keys_are_429_past_the_limit(self):
        for status in [401] * 10 + [429]:
            headers = {'api-key': 'sumit.wrong'}
            fields = {'value1': 'x'}
            self.app.post_json('/api/create', fields, headers=headers, status=status)

    @needs('/api/create')
    def test_new_keys_are_429_past_the_limit(self):
        for number in range(10):
            self.make_key(f'name{number}')
        self.too_many(self.app.post('/api/generate_key/x', status=429))
        client('192.0.2.2').post('/api/generate_key/x', status=201)

    def test_limit_ends_after_a_minute(self):
        now = time.monotonic()
        clock = mock.Mock(wraps=time)
        self.patch(time=clock)
        for second in range(10):
            clock.monotonic.return_value = now + 2 * second
            self.sign_in()
        clock.monotonic.return_value = now + 30
        end = now + 30 + int(self.sign_in().headers['Retry-After'])
        for moment, status in [(end - 1.5, 429), (end, 401), (end, 429)]:
            clock.monotonic.return_value = moment
            self.assertEqual(self.sign_in().status_int, status)

    def test_limit_of_0_is_none(self):
        self.patch(RATE_LIMIT=0)
        for _ in range(15):
            self.assertEqual(self.sign_in().status_int, 401)

    def test_addresses_fill_no_memory(self):
        for number in range(10_100):
            api.attempts.append((time.monotonic(), number))
        self.assertEqual(len(api.attempts), 10_000)

    def test_full_collections_are_507_and_can_be_changed(self):
        for route, headers in self.routes():
            self.patch(MAX_ITEMS=1)
            if route.method == 'POST' and route.path not in ('/token', '/login'):
                self.refused(self.send(route, route.body, headers, 507), 'room')
        if has('/films'):
            self.app.put_json('/films/1', DUNE, status=200)


# --- Hello ----------------------------------------------------------------------------


@needs('/hello_world')
class Hello(Case):
    """/ and /hello_world."""

    def test_root_greets(self):
        self.assertEqual(self.app.get('/').json, {'hello': 'world'})

    @needs('/docs')
    def test_root_sends_a_browser_to_the_docs(self):
        browser = {'Accept': 'text/html,*/*;q=0.8'}
        answer = self.app.get('/', headers=browser, status=302)
        # Without a slash before it, so that it is right under a prefix too.
        self.assertEqual(answer.headers['Location'], 'docs')

    def test_hello_world_greets_who_signed_in(self):
        answer = self.app.get('/hello_world', headers=basic(*ACCOUNT.values()))
        self.assertEqual(answer.json, {'Hello': 'World'})

    def test_hello_world_asks_strangers_to_sign_in(self):
        for headers in [
            {},
            basic('admin', 'wrong'),
            self.bearer,
            {'Authorization': 'Basic !'},
            {'Authorization': 'Basic'},
        ]:
            with self.subTest(headers=headers):
                answer = self.app.get('/hello_world', headers=headers, status=401)
                self.refused(answer, 'sign in')
                self.assertIn('Basic realm="', answer.headers['WWW-Authenticate'])


# --- Weekend API ----------------------------------------------------------------------


@needs('/run-script')
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
        with stand_in(text) as path, mock.patch.dict(os.environ, PATH=path):
            return self.post_script(status)

    def test_data_points_to_post(self):
        message = 'Hey please use the POST method for this endpoint'
        self.assertEqual(self.app.get('/data').json, {'message': message})

    def test_data_returns_any_json(self):
        nested = json.loads('[' * 100 + ']' * 100)
        for value in [None, [], '', 'é😀', 3.5, 0, True, 10**40, {'a': [None]}, nested]:
            with self.subTest(value=value):
                answer = self.app.post_json('/data', value)
                self.assertEqual(answer.json, value)
                self.assertIs(type(answer.json), type(value))

    def test_token_is_that_of_oauth(self):
        oauth = dict.fromkeys(['grant_type', 'scope', 'client_id', 'client_secret'], '')
        answer = self.app.post('/token', {**ACCOUNT, **oauth}).json
        self.assertTrue(answer.pop('access_token'))
        self.assertEqual(answer, {'token_type': 'Bearer', 'expires_in': 1800})

    def test_errors_of_token_are_those_of_oauth(self):
        for body, headers, status, error in [
            (b'username=x&password=x', FORM, 401, 'invalid_grant'),
            (b'username=x', FORM, 400, 'invalid_request'),
            (b'{', JSON, 400, 'invalid_request'),
            (b'{', FORM, 400, 'invalid_request'),
            (b'', {'Content-Type': 'text/plain'}, 415, 'invalid_request'),
            (b'x' * 200_000, FORM, 413, 'invalid_request'),
        ]:
            with self.subTest(body=body[:40]):
                answer = self.app.post('/token', body, headers, status=status)
                self.assertEqual(set(answer.json), {'message', 'error'})
                self.assertEqual(answer.json['error'], error)
        self.patch(RATE_LIMIT=1)
        for status in [401, 429]:
            answer = self.app.post('/token', ACCOUNT | {'password': 'x'}, status=status)
        self.assertEqual(set(answer.json), {'message', 'error'})

    # A shell script stands in for PowerShell.

    def test_powershell_that_is_missing_is_503(self):
        self.patch(POWERSHELL='no-such-powershell')
        self.refused(self.post_script(503), 'PowerShell is not installed', 'https://')

    @needs_shell
    def test_powershell_that_can_not_be_run_is_500_with_the_reason(self):
        for text, mode, reason in [
            ('#!/bin/sh\n', 0o644, 'Permission denied'),
            ('', 0o755, 'Exec format error'),
            ('#!/no/such/interpreter\n', 0o755, 'No such file'),
        ]:
            with self.subTest(reason=reason), tempfile.TemporaryDirectory() as folder:
                pwsh = Path(folder, 'pwsh')
                pwsh.write_text(text)
                pwsh.chmod(mode)
                with mock.patch.dict(os.environ, PATH=folder):
                    answer = self.post_script(500)
                self.refused(answer, 'PowerShell', reason)
                self.assertNotIn(folder, answer.text)

    @needs_shell
    def test_script_that_is_no_file_that_can_be_read_is_500(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, 'folder', 'script.ps1').mkdir(parents=True)
            os.mkfifo(Path(folder, 'script.ps1'))
            for name in ['', 'folder', 'missing']:
                self.patch(SCRIPT=Path(folder, name, 'script.ps1'))
                with self.subTest(name=name):
                    answer = self.run_stand_in('exit 64', 500)
                    self.assertEqual(list(answer.json), ['message'])
                    self.refused(answer, 'script.ps1')
                    self.assertNotIn(folder, answer.text)

    @needs_shell
    def test_no_folder_to_write_to_is_500(self):
        missing = FileNotFoundError(2, "No usable temporary directory in ['/tmp']")
        with (
            stand_in('exit 64') as path,
            mock.patch.dict(os.environ, PATH=path),
            mock.patch.object(tempfile, 'mkdtemp', side_effect=missing),
        ):
            answer = self.post_script(500)
        self.refused(answer, 'folder')
        self.assertNotIn('/tmp', answer.text)

    @needs_shell
    def test_powershell_gets_the_file_and_neither_input_nor_secrets(self):
        names = ['SECRET_KEY', 'API_USERNAME', 'API_PASSWORD', 'DATABASE_URL']
        with mock.patch.dict(os.environ, dict.fromkeys(names, 'my secret')):
            answer = self.run_stand_in('echo "$@"; cat; env')
        output = answer.json['output']
        self.assertTrue(output.splitlines()[0].endswith(f'-File {api.SCRIPT}'))
        self.assertIn('\nNO_COLOR=1\n', output)
        self.assertNotIn('my secret', output)

    @needs_shell
    def test_script_that_takes_too_long_is_ended_with_all_that_it_started(self):
        self.patch(SCRIPT_TIMEOUT=0.5)
        answer = self.run_stand_in(
            'trap "" TERM HUP INT; sleep 60 & echo $!; (trap "" TERM; sleep 60) & '
            'echo $!; echo $$; echo oops >&2; wait',
            504,
        )
        self.assertEqual(set(answer.json), {'message', 'output', 'error'})
        self.assertEqual(answer.json['error'], 'oops\n')
        self.refused(answer, '0.5 seconds')
        for pid in answer.json['output'].split():
            wait_for(lambda pid=pid: not is_alive(pid))

    @needs_shell
    def test_what_a_script_leaves_running_is_dead(self):
        answer = self.run_stand_in('sleep 60 & echo $!')
        wait_for(lambda: not is_alive(answer.json['output'].strip()))

    @needs_shell
    def test_script_may_empty_its_folder_and_be_killed(self):
        answer = self.run_stand_in('rm -rf "$TMPDIR"/*; echo out; kill -9 $$', 500)
        self.assertEqual(answer.json['output'], 'out\n')
        self.assertEqual(answer.json['exit_code'], -9)

    @needs_shell
    def test_output_is_cut_at_1_mib_a_stream(self):
        script = 'head -c 1048577 /dev/zero; head -c 1048576 /dev/zero >&2'
        answer = self.run_stand_in(script)
        self.assertEqual(answer.json['output'][:1048576], '\0' * 1048576)
        self.assertEqual(answer.json['output'][1048576:], '\n[cut after 1048576 bytes]')
        self.assertEqual(answer.json['error'], '\0' * 1048576)

    @needs_shell
    def test_script_that_writes_64_mib_is_ended(self):
        for command in ['cat /dev/zero', 'head -c 70000000 /dev/zero >&2']:
            with self.subTest(command=command):
                answer = self.run_stand_in(command, 500)
                self.assertEqual(set(answer.json), {'message', 'output', 'error'})
                self.refused(answer, 'more than 67108864 bytes')

    @needs_shell
    def test_third_script_at_once_is_503(self):
        def call(_):
            return client().post('/run-script', headers=self.bearer, expect_errors=True)

        with stand_in('sleep 1') as path, mock.patch.dict(os.environ, PATH=path):
            answers = at_once(call, range(6))
        statuses = sorted(answer.status_int for answer in answers)
        self.assertEqual(statuses, [200] * 2 + [503] * 4)
        refused = [one for one in answers if one.status_int == 503]
        self.assertTrue(all('Retry-After' in one.headers for one in refused))
        self.run_stand_in('exit 0')

    # The real PowerShell

    @needs_powershell
    def test_the_project_s_own_script(self):
        answer = self.post_script()
        for word in ['Host:', 'System:', 'PowerShell:', 'Time (UTC):', 'Uptime:']:
            self.assertIn(word, answer.json['output'])
        self.assertEqual(answer.json['error'], '')

    @needs_powershell
    def test_output_error_and_exit_code_of_powershell(self):
        for text, status, output, error, exit_code in [
            ('"out"; [Console]::Error.WriteLine("oops")', 200, 'out', 'oops', None),
            ('"out"; Write-Error "oops"', 200, 'out', 'oops', None),
            ('"out"; exit 0', 200, 'out', '', None),
            ('"out"; [Console]::Error.Write("oops"); exit 3', 500, 'out', 'oops', 3),
            ('"out"; throw "oops"', 500, 'out', 'oops', 1),
            ('if (', 500, '', 'script.ps1', None),
            ('"é😀 ﬁ"', 200, 'é😀 ﬁ', '', None),
            ('"x" * 70 | Format-Table; Write-Warning "w"', 200, 'w', '', None),
        ]:
            with self.subTest(text=text):
                # As the project's script.ps1 does, for Windows PowerShell 5.1.
                text = '[Console]::OutputEncoding = [Text.UTF8Encoding]::new()\n' + text
                answer = self.run_script(text, status)
                self.assertIn(output, answer.json['output'])
                self.assertIn(error, answer.json['error'])
                self.assertNotIn('\x1b', answer.text)
                if exit_code:
                    self.assertEqual(answer.json['exit_code'], exit_code)
        if os.name != 'nt':
            self.assertIn('é', self.run_script('"é"', encoding='utf-8').json['output'])

    @needs_powershell
    def test_question_of_powershell_does_not_wait(self):
        start = time.monotonic()
        self.run_script('Read-Host "name"; "after"', status='*')
        self.assertLess(time.monotonic() - start, 25)

    @needs_powershell
    def test_powershell_that_takes_too_long_leaves_nothing(self):
        self.patch(SCRIPT_TIMEOUT=15)
        before = set(os.listdir(tempfile.gettempdir()))
        sleep = 'ping "-n 60 127.0.0.1"' if os.name == 'nt' else 'sleep 60'
        answer = self.run_script(
            '[IO.Path]::GetTempPath()\n'
            f'(Start-Process {sleep} -PassThru).Id\n'
            '$job = Start-Job { $PID; Start-Sleep 60 }\n'
            'while (-not ($id = Receive-Job $job)) { Start-Sleep -Milliseconds 50 }\n'
            '$id\n$PID\nStart-Sleep 60\n',
            504,
        )
        folder, *pids = answer.json['output'].split()
        self.assertEqual(len(pids), 3)
        for pid in pids:
            wait_for(lambda pid=pid: not is_alive(pid))
        self.assertFalse(Path(folder).exists())
        left = set(os.listdir(tempfile.gettempdir())) - before
        ours = [name for name in left if re.match('clr-|dotnet-|CoreFx', name)]
        self.assertEqual(ours, [])


@contextlib.contextmanager
def stand_in(script):
    """Yield a PATH on which a shell script with this text comes first, as pwsh."""
    with tempfile.TemporaryDirectory() as folder:
        pwsh = Path(folder, 'pwsh')
        pwsh.write_text(f'#!/bin/sh\n{script}\n')
        pwsh.chmod(0o755)
        yield f'{folder}{os.pathsep}{os.environ["PATH"]}'


def is_alive(pid):
    """Tell whether a process lives; a zombie does not."""
    if os.name == 'nt':
        tasks = subprocess.check_output(['tasklist', '/FI', f'PID eq {pid}'], text=True)
        return pid in tasks.split()
    if sys.platform == 'linux':
        try:
            state = Path('/proc', pid, 'stat').read_text().rpartition(') ')[2]
        except OSError:
            state = ''
    else:
        words = ['ps', '-o', 'stat=', '-p', pid]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        state = done.stdout
    return state.strip()[:1] not in ('', 'Z')


# --- Films ----------------------------------------------------------------------------


@needs('/films')
class Films(Case):
    """/films"""

    def test_films_are_those_of_the_tutorial(self):
        avengers = {'Name': 'Avengers: Infinity War', 'Year': 2018, 'Month': 'March'}
        ant_man = {'Name': 'Ant Man and the Wasp', 'Year': 2018, 'Month': 'August'}
        self.assertEqual(self.app.get('/films').json, {'1': avengers, '2': ant_man})
        self.assertEqual(self.app.get('/films/1').json, avengers)

    def test_post_takes_the_next_number_that_is_free(self):
        self.app.put_json('/films/4', DUNE)
        for number in [3, 5]:
            answer = self.app.post_json('/films', DUNE, status=201)
            self.assertEqual(answer.headers['Location'], f'/films/{number}')
        shown = {'Name': 'Dune', 'Year': 2021, 'Month': 'October'}
        self.assertEqual(answer.json, shown)
        self.assertEqual(self.app.get('/films/5').json, shown)
        self.app.delete('/films/5', status=204)
        answer = self.app.post_json('/films', DUNE)
        self.assertEqual(answer.headers['Location'], '/films/6')

    def test_put_adds_or_replaces(self):
        for status in [201, 200]:
            answer = self.app.put_json('/films/dune_1-A', DUNE, status=status)
            self.assertEqual(answer.json['Year'], 2021)
        shown = self.app.get('/films/1').json
        self.assertEqual(self.app.put_json('/films/1', shown, status=200).json, shown)

    def test_forms_are_taken(self):
        for body in [urlencode(DUNE), urlencode(DUNE) + '\r\n']:
            answer = self.app.post('/films', body, FORM, status=201)
            self.assertEqual(answer.json['Year'], 2021)

    def test_bad_ids_are_400(self):
        for film_id in ['x' * 65, 'a.b', 'a%20b', '%C3%A9', 'a%0A', '..']:
            with self.subTest(film_id=film_id):
                path = f'/films/{film_id}'
                self.refused(self.app.put_json(path, DUNE, status=400), 'id')

    def test_bad_fields_are_400(self):
        before = stored()
        for field, values in {
            'name': ['', 'x' * 201, None, 5, [], {}, True],
            'year': [1869, 2101, 2000.5, '2000', None, True, [2000], 10**400, -1, 0],
            'month': ['', 'may', 'Mai', 'May ', 'May\n', None, 5, ['May']],
        }.items():
            for value in values:
                with self.subTest(field=field, value=value):
                    film = {**DUNE, field: value}
                    answer = self.app.post_json('/films', film, status=400)
                    self.refused(answer, field)
            film = {name: value for name, value in DUNE.items() if name != field}
            self.refused(self.app.put_json('/films/1', film, status=400), field)
        years = ['', 'soon', '2021.5', '２０２１', '²²²²', '+2021', ' 2021', '2_021']
        for year in years:
            with self.subTest(year=year):
                form = urlencode({**DUNE, 'year': year})
                self.refused(self.app.post('/films', form, FORM, status=400), 'year')
        self.assertEqual(stored(), before)

    def test_limits_of_fields_are_taken(self):
        for field, values in {
            'name': ['x', 'x' * 200, '日😀\0\n'],
            'year': [1870, 2100, 2018.0],
            'month': ['January', 'December'],
        }.items():
            for value in values:
                with self.subTest(field=field, value=value):
                    answer = self.app.post_json('/films', {**DUNE, field: value})
                    self.assertEqual(answer.json[field.title()], value)
                    self.assertNotIn('.0', answer.text)

    def test_unknown_films_are_404(self):
        for method in ['GET', 'DELETE']:
            for film_id in ['3', 'x', '%E6%97%A5', '%00', '%F0%9F%98%80']:
                with self.subTest(method=method, film_id=film_id):
                    path = f'/films/{film_id}'
                    answer = self.app.request(path, method=method, status=404)
                    self.refused(answer, "doesn't exist")
        self.assertEqual(answer.json, {'message': "Film 😀 doesn't exist"})

    def test_threads_get_no_number_twice_and_delete_once(self):
        def add(_):
            return client().post_json('/films', DUNE).headers['Location']

        self.assertEqual(len(set(at_once(add, range(40)))), 40)
        statuses = at_once(lambda _: client().delete('/films/1', status='*'), range(20))
        self.assertEqual([one.status_int for one in statuses].count(204), 1)


# --- Records --------------------------------------------------------------------------


@needs('/api/list')
class Records(Case):
    """/api"""

    def setUp(self):
        super().setUp()
        self.key = self.make_key()

    def create(self, status=201, **fields):
        """Add a record; return the answer."""
        path = '/api/create'
        return self.app.post_json(path, fields, headers=self.key, status=status)

    def failed(self, answer, *words):
        """Check that an answer is an error in the tutorial's form."""
        self.assertEqual(set(answer.json), {'status', 'message'})
        self.assertEqual(answer.json['status'], 'failed')
        self.refused(answer, *words)

    def test_list_has_the_records_of_the_tutorial(self):
        found = self.app.get('/api/list').json
        self.assertEqual([record['id'] for record in found], [1, 2, 3, 4, 5])
        dates = {'creationdate', 'lastmodificationdate'}
        loki = {name: value for name, value in found[3].items() if name not in dates}
        expected = {
            'id': 4,
            'timestamp': 67182,
            'value1': 'Where are the mere mortals?',
            'value2': 88239244423.21,
            'value3': False,
            'lastmodifiedby': 'loki',
        }
        self.assertEqual(loki, expected)

    def test_key_is_made_by_post_and_by_get_once(self):
        for method, name in [('POST', 'a.b-c_D'), ('GET', 'x' * 64)]:
            path = f'/api/generate_key/{name}'
            self.app.head(path, status=201)
            answer = self.app.request(path, method=method, status=201)
            self.assertEqual(answer.headers['Cache-Control'], 'no-store')
            key = answer.json.pop('api_key')
            self.assertRegex(answer.json['created_on'], r'^[\d-]{10} [\d:]{8} UTC$')
            self.assertEqual(answer.json['username'], name)
            self.assertEqual(answer.json['status'], 'success')
            self.assertNotIn(key, str(stored()))
            taken = self.app.request(path, method=method, status=409)
            self.failed(taken, 'already used')

    def test_bad_names_for_a_key_are_400(self):
        for name in ['x' * 65, 'a%20b', '%C3%A9', 'a%0A']:
            with self.subTest(name=name):
                answer = self.app.post(f'/api/generate_key/{name}', status=400)
                self.failed(answer, 'username')

    def test_wrong_keys_are_401(self):
        key = self.key['api-key']
        for wrong in [
            '',
            'x',
            f'{key}x',
            key[:-1],
            key.swapcase(),
            'sumit.',
            '.',
            '\xff',
            api.api_keys.get('sumit'),
        ]:
            with self.subTest(key=wrong):
                self.key = {'api-key': wrong}
                answer = self.create(401, value1='x')
                self.failed(answer, 'You are not authenticated!')

    def test_key_removes_itself_and_no_other(self):
        other = self.make_key('falcon')
        path = '/api/generate_key/sumit'
        self.failed(self.app.delete(path, headers=other, status=403))
        self.assertEqual(
            self.app.delete(path, headers=self.key).json['status'], 'success'
        )
        self.create(401, value1='x')
        self.make_key()

    def test_create_adds_a_record(self):
        answer = self.create(value1='Hello', value2=2021.01)
        record = answer.json['record_info']
        self.assertLess(abs(record['creationdate'] / 1000 - time.time()), 60)
        self.assertEqual(record['id'], 6)
        self.assertEqual(record['value1'], 'Hello')
        self.assertIsNone(record['value3'])
        self.assertEqual(record['lastmodifiedby'], 'sumit')
        found = self.app.get('/api/read/6').json
        self.assertEqual(found['message'], 'Record found!')
        self.assertEqual(found['record_info'], record)
        self.app.delete('/api/remove/6', headers=self.key)
        self.assertEqual(self.create(value1='x').json['record_info']['id'], 7)

    def test_modify_changes_what_is_given(self):
        before = self.app.get('/api/read/5').json['record_info']
        path = '/api/modify/5'
        fields = {'value2': 1, 'value1': None}
        answer = self.app.patch_json(path, fields, headers=self.key)
        record = answer.json['record_info']
        date = record['lastmodificationdate']
        changes = {'value1': None, 'value2': 1, 'lastmodifiedby': 'sumit'}
        expected = before | changes | {'lastmodificationdate': date}
        self.assertEqual(record, expected)
        self.app.patch_json(path, record, headers=self.key)

    def test_nothing_to_store_is_400(self):
        for fields in [{}, {'value1': None, 'value3': None}, {'id': 6}]:
            with self.subTest(fields=fields):
                self.failed(self.create(400, **fields), 'Please populate atleast one')

    def test_bad_fields_are_400(self):
        before = stored()
        for field, values in {
            'timestamp': ['1', True, [], {}, 10**100],
            'value1': ['x' * 1001, 1, True, []],
            'value2': ['1', False, {}],
            'value3': [0, 1, 'true', []],
        }.items():
            for value in values:
                with self.subTest(field=field, value=value):
                    self.failed(self.create(400, **{field: value}), field)
        self.assertEqual(stored(), before)
        self.create(value1='😀' * 1000, timestamp=1e300, value2=-(10**98))

    def test_unknown_ids_are_404(self):
        for record_id in ['6', '0', '01', 'x', '1.0', '%00']:
            for method, path in [
                ('GET', '/api/read/'),
                ('PATCH', '/api/modify/'),
                ('DELETE', '/api/remove/'),
            ]:
                with self.subTest(method=method, record_id=record_id):
                    answer = self.app.request(
                        f'{path}{record_id}',
                        method=method,
                        body=b'{"value1": "x"}',
                        headers={**JSON, **self.key},
                        status=404,
                    )
                    self.failed(answer, 'The record does not exist!')

    def test_paths_without_a_name_or_an_id_are_400(self):
        for method, path, word in [
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
                    self.failed(answer, 'Oops!', f'specify a {word}')

    def test_threads_register_a_name_once(self):
        def register(_):
            return client().post('/api/generate_key/x', status='*').status_int

        self.assertEqual(at_once(register, range(20)).count(201), 1)


# --- Users ----------------------------------------------------------------------------

ED25519 = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI' + 'A' * 43


def public_key(kind, *parts):
    """Return a line of a .pub file: a key of this type with these parts, in bytes."""
    key = b''
    for one in [kind.encode(), *parts]:
        key += len(one).to_bytes(4, 'big') + one
    return f'{kind} {base64.b64encode(key).decode()}'


RSA = public_key('ssh-rsa', b'\1\0\1', b'\0' + b'\xff' * 256)
KEYS = [
    ED25519,
    RSA,
    public_key('ecdsa-sha2-nistp256', b'nistp256', bytes(65)),
    public_key('ecdsa-sha2-nistp384', b'nistp384', bytes(97)),
    public_key('ecdsa-sha2-nistp521', b'nistp521', bytes(133)),
    public_key('sk-ssh-ed25519@openssh.com', bytes(32), b'ssh:'),
    public_key('sk-ecdsa-sha2-nistp256@openssh.com', b'nistp256', bytes(65), b'ssh:'),
]


@needs('/users')
class Users(Case):
    """/users and /authkeys"""

    def test_users_are_those_of_the_tutorial(self):
        found = self.app.get('/users', headers=self.bearer).json
        self.assertEqual([user['cn'] for user in found], ['alice', 'bob'])
        bob = self.app.get('/users/bob', headers=self.bearer).json
        expected = {
            'cn': 'bob',
            'sn': 'Parker',
            'uid': 'bob',
            'givenName': 'Bob',
            'displayName': 'Bob Parker',
            'mail': 'bob@dbsentry.com',
            'accountLocked': False,
            'memberOfs': ['cn=getafix,ou=groups,dc=dbsentry,dc=com'],
            'sshPublicKeys': [],
            'dn': 'cn=bob,ou=people,dc=dbsentry,dc=com',
        }
        self.assertEqual(bob, expected)

    def test_post_adds_a_user(self):
        answer = self.add_user(cn='a.B-c_1', dn='cn=evil')
        self.assertEqual(answer.headers['Location'], '/users/a.B-c_1')
        expected = {
            'cn': 'a.B-c_1',
            'sn': 'x',
            'uid': 'a.B-c_1',
            'memberOfs': [],
            'sshPublicKeys': [],
            'accountLocked': False,
            'dn': 'cn=a.B-c_1,ou=people,dc=dbsentry,dc=com',
        }
        self.assertEqual(answer.json, expected)
        self.assertEqual(
            self.app.get('/users/a.B-c_1', headers=self.bearer).json, expected
        )

    def test_taken_names_are_409(self):
        for cn in ['bob', 'admin']:
            with self.subTest(cn=cn):
                user = {'cn': cn, 'sn': 'x'}
                answer = self.app.post_json(
                    '/users', user, headers=self.bearer, status=409
                )
                self.refused(answer, cn)

    def test_put_and_patch_change_what_is_given(self):
        before = self.app.get('/users/bob', headers=self.bearer).json
        for put in [self.app.put_json, self.app.patch_json]:
            answer = put('/users/bob', {'sn': 'é', 'mail': ''}, headers=self.bearer)
            self.assertEqual(answer.json, before | {'sn': 'é', 'mail': ''})
            answer = put(
                '/users/bob', {**before, 'cn': 'eve', 'dn': 'x'}, headers=self.bearer
            )
            self.assertEqual(answer.json, before)

    def test_bad_fields_are_400(self):
        before = stored()
        for field, values in {
            'cn': ['', 'x' * 65, 'a b', 'é', 'a,b', 'a/b', 'a\n', None, 1, []],
            'sn': ['', 'x' * 201, None, 1],
            'uid': ['', None],
            'givenName': ['x' * 201, None, 5],
            'mail': ['x', '@x.y', 'a@b', 'a b@c.d', 'a@b@c.d', None, 'a@c.d\n'],
            'memberOfs': ['x', ['x' * 201], [None], ['x'] * 101, None, {}],
            'accountLocked': [None, 0, 'false'],
            'password': ['', '1234567', 'x' * 129, None, 12345678],
        }.items():
            for value in values:
                with self.subTest(field=field, value=value):
                    user = {'cn': 'eve', 'sn': 'x', field: value}
                    answer = self.app.post_json(
                        '/users', user, headers=self.bearer, status=400
                    )
                    self.refused(answer, field)
        for missing in ['cn', 'sn']:
            user = {'cn': 'eve', 'sn': 'x'}
            del user[missing]
            answer = self.app.post_json('/users', user, headers=self.bearer, status=400)
            self.refused(answer, missing)
        self.assertEqual(stored(), before)

    def test_keys_of_every_type_are_taken(self):
        for end in ['', '\n', '\r\n', ' alice@laptop', ' Zoë command="x"\n']:
            with self.subTest(end=end):
                lines = [f'{key}{end}' for key in KEYS]
                lines[0] = f'\ufeff{lines[0]}'
                self.change('bob', sshPublicKeys=lines)
                answer = self.app.get('/authkeys?username=bob')
                expected = ''.join(f'{key}{end.rstrip()}\n' for key in KEYS)
                self.assertEqual(answer.text, expected)
                kind = answer.headers['Content-Type']
                self.assertEqual(kind, 'text/plain; charset=utf-8')
        self.change('bob', sshPublicKeys=[ED25519] * 100)

    def test_bad_keys_are_400(self):
        before = stored()
        kind, key = RSA.split()
        lines = ['', kind, key, f'command="x" {RSA}', f'restrict {ED25519}', ' x', kind]
        lines += [f'{ED25519}\n{RSA}', f'{ED25519} a\nb', f'{ED25519} \x00']
        lines += [f'{kind}  {key}']
        lines += [f'{kind} {key}!', f'{kind} é{key}', RSA.upper(), f'ssh-dss {key}']
        lines += [f'{kind} {ED25519.split()[1]}', f'ssh-ed25519 {key}']
        lines += [f'{ED25519}AAAA']
        lines += [f'{kind}\t{key}', f'{kind} {key}AAAA', f'# {ED25519}']
        # Cut short, wherever it is.
        lines += [one[:end] for one in KEYS for end in range(40, len(one), 7)]
        for line in lines:
            with self.subTest(line=line):
                self.refused(self.change('bob', None, 400, sshPublicKeys=[RSA, line]),
                             'sshPublicKeys')
        for value in ['x', None, [None], [1], [ED25519] * 101, [[ED25519]]]:
            with self.subTest(value=value):
                self.refused(self.change('bob', None, 400, sshPublicKeys=value),
                             'sshPublicKeys')
        self.assertEqual(stored(), before)

    def test_unknown_users_are_404(self):
        for method in ['GET', 'PUT', 'PATCH', 'DELETE']:
            with self.subTest(method=method):
                answer = self.app.request(
                    '/users/%E6%97%A5',
                    method=method,
                    body=b'{"sn": "x"}',
                    headers={**JSON, **self.bearer},
                    status=404,
                )
                self.refused(answer, '日')

    def test_delete_removes_a_user(self):
        answer = self.app.delete('/users/bob', headers=self.bearer)
        self.assertEqual(answer.json, 'Deleted User: bob')
        self.app.get('/users/bob', headers=self.bearer, status=404)

    def test_user_sees_himself_and_changes_his_password_and_nothing_else(self):
        self.add_user(cn='carol', password='pässword')
        carol = token_header(api.make_token(api.users.get('carol')))
        answer = self.app.get('/users/carol', headers=carol)
        self.assertEqual(answer.json['cn'], 'carol')
        before = stored()
        for method, path, fields in [
            ('GET', '/users', {}),
            ('POST', '/users', {'cn': 'eve', 'sn': 'x'}),
            ('GET', '/users/bob', {}),
            ('GET', '/users/nobody', {}),
            ('DELETE', '/users/carol', {}),
            ('PUT', '/users/carol', {'password': 'another one'}),
            ('PATCH', '/users/bob', {'password': 'another one'}),
            ('PATCH', '/users/carol', {}),
            ('PATCH', '/users/carol', {'sn': 'y'}),
            ('PATCH', '/users/carol', {'password': 'another one', 'sn': 'y'}),
            ('PATCH', '/users/carol', {'memberOfs': ['cn=Admins']}),
        ]:
            with self.subTest(method=method, path=path, fields=fields):
                answer = self.app.request(
                    path,
                    method=method,
                    body=json.dumps(fields).encode(),
                    headers={**JSON, **carol},
                    status=403,
                )
                self.refused(answer, 'administrators')
        self.assertEqual(stored(), before)
        self.change('carol', carol, 400, password='short')
        self.change('carol', carol, password='another one')

    def test_authkeys_are_empty_without_keys(self):
        for query in ['?username=bob', '?username=nobody', '?username=%00', '']:
            with self.subTest(query=query):
                self.assertEqual(self.app.get(f'/authkeys{query}').body, b'')
        self.change('bob', sshPublicKeys=[ED25519], accountLocked=True)
        self.assertEqual(self.app.get('/authkeys?username=bob').body, b'')

    def test_threads_add_a_user_once_and_lose_no_change(self):
        def add(_):
            user = {'cn': 'eve', 'sn': 'x'}
            return client().post_json('/users', user, headers=self.bearer, status='*')

        added = [answer.status_int for answer in at_once(add, range(20))]
        self.assertEqual(added.count(201), 1)
        fields = ['sn', 'uid', 'givenName', 'displayName']

        def change(number):
            change = {fields[number % 4]: f'new {number // 4}'}
            client().patch_json('/users/bob', change, headers=self.bearer)

        for number in range(10):
            at_once(change, range(4 * number, 4 * number + 4))
            bob = self.app.get('/users/bob', headers=self.bearer).json
            self.assertEqual({bob[field] for field in fields}, {f'new {number}'})


# --- Courses --------------------------------------------------------------------------


@needs('/courses')
class Courses(Case):
    """/courses and /login"""

    def send_course(self, method, path, status, **fields):
        """Send fields of a course; return the answer."""
        return self.app.request(
            path,
            method=method,
            body=json.dumps(fields).encode(),
            headers={**JSON, **self.bearer},
            status=status,
        )

    def test_courses_are_those_of_the_tutorial(self):
        found = self.app.get('/courses', headers=self.bearer).json['courses']
        self.assertEqual([course['code'] for course in found], ['CSE465', 'CSE115'])
        expected = {
            'code': 'CSE115',
            'name': 'Introduction to programming language',
            'instructor': 'John stuart',
        }
        self.assertEqual(found[1], expected)
        self.assertEqual(
            self.app.get('/courses/CSE115', headers=self.bearer).json, expected
        )

    def test_post_adds_a_course_once_and_answers_nothing(self):
        course = {'code': 'a.B-c_1', 'name': 'x', 'instructor': 'é' * 120}
        answer = self.send_course('POST', '/courses', 201, **course)
        self.assertEqual(answer.body, b'')
        self.assertEqual(answer.headers['Location'], '/courses/a.B-c_1')
        self.refused(self.send_course('POST', '/courses', 409, **course), error='error')

    def test_the_tutorial_s_messages(self):
        course = '/courses/CSE115'
        both = "Course name and instructor's name must be provided"
        one = "Course name or instructor's name must be provided"
        for method, path, fields, message in [
            ('POST', '/courses', {'name': 'x'}, 'course code must be provided'),
            ('POST', '/courses', {'code': ''}, 'course code must be provided'),
            ('PUT', course, {}, both),
            ('PUT', course, {'name': 'x'}, both),
            ('PUT', course, {'instructor': 'x', 'code': 'CSE115'}, both),
            ('PATCH', course, {}, one),
            ('PATCH', course, {'code': 'CSE115'}, one),
        ]:
            with self.subTest(method=method, fields=fields):
                answer = self.send_course(method, path, 400, **fields)
                self.assertEqual(answer.json, {'error': message})

    def test_bad_fields_are_400(self):
        before = stored()
        right = {'code': 'C1', 'name': 'x', 'instructor': 'y'}
        for field, values in {
            'code': ['x' * 33, 'a b', 'é', 'a/b', 1, []],
            'name': ['', 'x' * 121, None, 1, []],
            'instructor': ['', 'x' * 121, None, True],
        }.items():
            for value in values:
                with self.subTest(field=field, value=value):
                    course = {**right, field: value}
                    answer = self.send_course('POST', '/courses', 400, **course)
                    self.refused(answer, field, error='error')
                    answer = self.send_course('PUT', '/courses/CSE115', 400, **course)
                    self.refused(answer, field, error='error')
        self.assertEqual(stored(), before)

    def test_put_and_patch_change_a_course_but_not_its_code(self):
        path = '/courses/CSE115'
        for method, fields in [
            ('PUT', {'code': 'X', 'name': 'a', 'instructor': 'b'}),
            ('PATCH', {'name': 'c'}),
            ('PATCH', {'code': 'X', 'name': 'd', 'instructor': 'e'}),
        ]:
            answer = self.send_course(method, path, 204, **fields)
            self.assertEqual(answer.headers['Location'], path)
            found = self.app.get(path, headers=self.bearer).json
            self.assertEqual(found, {**found, **fields, 'code': 'CSE115'})

    def test_unknown_courses_are_404(self):
        message = {'error': 'Course code is not found in the courses'}
        for method in ['GET', 'PUT', 'PATCH', 'DELETE']:
            with self.subTest(method=method):
                fields = {'name': 'x', 'instructor': 'y'}
                answer = self.send_course(method, '/courses/cse115', 404, **fields)
                self.assertEqual(answer.json, message)

    def test_delete_leads_to_the_list(self):
        answer = self.app.delete('/courses/CSE115', headers=self.bearer, status=204)
        self.assertEqual(answer.headers['Location'], '/courses')

    def test_login_answers_the_bare_token(self):
        answer = self.app.post('/login', ACCOUNT)
        self.assertEqual(answer.headers['Content-Type'], 'text/plain; charset=utf-8')
        self.app.get('/courses', headers=token_header(answer.text))
        answer = self.app.post_json('/login', {}, status=400)
        self.refused(answer, 'username', error='error')


# --- Docs -----------------------------------------------------------------------------


@needs('/docs')
class Docs(Case):
    """The page at /docs, and /swagger.yaml."""

    def test_docs_lead_to_the_page_with_all_that_it_names(self):
        answer = self.app.get('/docs', status=308)
        self.assertEqual(answer.headers['Location'], 'docs/')
        page = self.app.get('/docs/')
        self.assertIn("frame-ancestors 'none'", page.headers['Content-Security-Policy'])
        names = re.findall('(?:src|href)="./(.*?)"', page.text) + ['index.css']
        self.assertGreater(len(names), 5)
        for name in names:
            kind = {'css': 'text/css', 'js': 'text/javascript', 'png': 'image/png'}
            answer = self.app.get(f'/docs/{name}')
            self.assertEqual(answer.content_type, kind[name.rpartition('.')[2]])
        initializer = self.app.get('/docs/swagger-initializer.js').text
        self.assertIn('url: "../swagger.yaml"', initializer)

    def test_docs_serve_their_own_folder_only(self):
        for name in ['..', '%2e%2e', '..%2f..%2fapi.py', 'x', 'index.html%00', '.']:
            with self.subTest(name=name):
                self.refused(self.app.get(f'/docs/{name}', status=404))

    def test_swagger_is_served_as_it_is(self):
        answer = self.app.get('/swagger.yaml')
        self.assertEqual(answer.content_type, 'application/yaml')
        self.assertEqual(answer.body, (HERE / 'swagger.yaml').read_bytes())

    def test_file_that_the_client_has_is_304(self):
        for path in ['/swagger.yaml', '/docs/', '/docs/swagger-initializer.js']:
            etag = self.app.get(path).headers['ETag']
            self.assertRegex(etag, '^"[^"]+"$')
            for tags, status in [
                (etag, 304),
                (f'W/{etag}', 304),
                (f'"x",{etag}', 304),
                ('"x"', 200),
                (etag.strip('"'), 200),
                ('', 200),
            ]:
                with self.subTest(path=path, tags=tags):
                    headers = {'If-None-Match': tags}
                    answer = self.app.get(path, headers=headers, status=status)
                    self.assertEqual(answer.headers['ETag'], etag)
                    self.assertEqual(bool(answer.body), status == 200)


# --- Lists ----------------------------------------------------------------------------


class Lists(Case):
    """The query of /films, /api/list, /users and /courses."""

    def setUp(self):
        super().setUp()
        if has('/films'):
            for name, year in [('Zodiac', 2007), ('alien', 1979), ('Alien', 1979)]:
                film = {'name': name, 'year': year, 'month': 'May'}
                self.app.post_json('/films', film)

    def found(self, path, query, status=200):
        """Return the ids, names or codes of what a list shows for a query."""
        answer = self.app.get(f'{path}?{query}', headers=self.bearer, status=status)
        found = answer.json
        if path == '/courses':
            found = found['courses']
        if path == '/films':
            return ' '.join(found)
        key = {'/api/list': 'id', '/users': 'cn', '/courses': 'code'}[path]
        return ' '.join(str(item[key]) for item in found)

    def links(self, query):
        """Return the queries of the pages that Link names for a list of films."""
        link = self.app.get(f'/films{query}').headers['Link']
        one = r'</films\?([^<>"\s]+)>; rel="(\w+)"'
        self.assertRegex(link, f'^{one}(, {one})*$')
        return {name: f'?{page}' for page, name in re.findall(one, link)}

    def lists(self):
        """Yield each list that is there, and one of its fields, in a subTest."""
        for path, field in LISTS.items():
            if has(path):
                with self.subTest(path=path):
                    yield path, field

    def test_every_list_has_a_total_and_links(self):
        for path, _ in self.lists():
            answer = self.app.head(path, headers=self.bearer)
            total = len(self.found(path, '').split())
            self.assertEqual(answer.headers['X-Total-Count'], str(total))
            self.assertIn('rel="last"', answer.headers['Link'])

    @needs('/films')
    def test_limit_and_offset(self):
        for query, page in [
            ('', '1 2 3 4 5'),
            ('limit=2', '1 2'),
            ('limit=2&offset=4', '5'),
            ('limit=200&offset=3', '4 5'),
            ('offset=999999999', ''),
        ]:
            with self.subTest(query=query):
                self.assertEqual(self.found('/films', query), page)
                answer = self.app.get(f'/films?{query}')
                self.assertEqual(answer.headers['X-Total-Count'], '5')
                in_order = self.found('/films', f'{query}&sort=Year').split()
                self.assertEqual(len(in_order), len(page.split()))

    @needs('/films')
    def test_a_page_has_100_items_if_no_limit_is_given(self):
        for number in range(100):
            api.films.add(f'x{number}', {'Name': 'x', 'Year': 2000, 'Month': 'May'})
        self.assertEqual(len(self.found('/films', '').split()), 100)
        self.assertEqual(self.found('/films', 'offset=100'), 'x95 x96 x97 x98 x99')

    @needs('/films')
    def test_links_lead_over_all_pages(self):
        for query in ['?limit=2', '?limit=2&sort=-Year,Name', '?limit=1&q=a&Month=May']:
            with self.subTest(query=query):
                pages = []
                page = self.links(query)['first']
                while page:
                    pages += self.found('/films', page[1:]).split()
                    end = page
                    page = self.links(page).get('next')
                whole = query.replace('limit=', 'limit=10')
                self.assertEqual(' '.join(pages), self.found('/films', whole[1:]))
                self.assertEqual(end, self.links(query)['last'])
                while page := self.links(end).get('prev'):
                    end = page
                self.assertEqual(end, self.links(query)['first'])

    @needs('/films')
    def test_sort(self):
        for sort, order in [
            ('Name', '5 2 1 3 4'),
            ('-Name', '4 3 1 2 5'),
            ('Year', '4 5 3 1 2'),
            ('-Year', '1 2 3 4 5'),
            ('Year,Name', '5 4 3 2 1'),
            ('-Year&sort=Name', '2 1 3 5 4'),
            ('Month,-Year&limit=3&sort=Name', '2 1 3'),
        ]:
            with self.subTest(sort=sort):
                self.assertEqual(self.found('/films', f'sort={sort}'), order)

    @needs('/api/list', '/users')
    def test_null_comes_first(self):
        api.records.change('2', {'value1': None, 'value2': None})
        for sort, first in [('value1', '2'), ('value2', '2'), ('-value3', '1')]:
            with self.subTest(sort=sort):
                found = self.found('/api/list', f'sort={sort}')
                self.assertEqual(found.split()[0], first)
        self.add_user(cn='zoe')
        self.assertEqual(self.found('/users', 'sort=mail'), 'zoe alice bob')
        self.assertEqual(self.found('/users', 'sort=-memberOfs'), 'bob alice zoe')

    @needs('/films', '/api/list', '/users', '/courses')
    def test_what_is_looked_for(self):
        group = quote('cn=Admins,ou=groups,dc=dbsentry,dc=com', safe='')
        for path, query, found in [
            ('/films', 'q=ALIEN', '4 5'),
            ('/films', 'q=%20War', '1'),
            ('/films', 'q=2007', ''),
            ('/films', 'q=%25', ''),
            ('/films', 'q=None', ''),
            ('/films', 'q=%00', ''),
            ('/films', 'q=may&Year=2007', '3'),
            ('/films', 'Year=1979&Name=alien', '4'),
            ('/films', 'Name=Alie', ''),
            ('/films', 'Year=soon', ''),
            ('/films', 'Year=', ''),
            ('/films', 'Year=2018', '1 2'),
            ('/films', 'Year=' + '%5B' * 3000, ''),
            ('/api/list', 'value3=false', '2 4'),
            ('/api/list', 'value3=True&sort=-id', '5 3 1'),
            ('/api/list', 'value3=TRUE', '1 3 5'),
            ('/api/list', 'value3=1', ''),
            ('/api/list', 'value2=88239244423.21', '2 4'),
            ('/api/list', 'timestamp=None', ''),
            ('/api/list', 'id=3', '3'),
            ('/api/list', 'q=ironman', '1'),
            ('/users', f'memberOfs={group}', 'alice'),
            ('/users', 'q=GETAFIX', 'bob'),
            ('/users', 'accountLocked=FALSE', 'alice bob'),
            ('/users', 'dn=cn%3Dbob%2Cou%3Dpeople%2Cdc%3Ddbsentry%2Cdc%3Dcom', 'bob'),
            ('/users', 'sn=Parker&sort=-cn', 'bob alice'),
            ('/courses', 'instructor=Andrew+Ng', 'CSE465'),
        ]:
            with self.subTest(path=path, query=query[:40]):
                self.assertEqual(self.found(path, query), found)

    def test_bad_queries_are_400_and_name_what_is_wrong(self):
        for path, field in self.lists():
            for query, name in [
                ('x=1', 'x is not known'),
                ('limit=1&password=x', 'password is not known'),
                ('q+=x', 'q  is not known'),
                ('=1', 'is not known'),
                ('sort%5B%5D=x', 'sort[] is not known'),
                ('limit=1&limit=1', 'limit is there twice'),
                (f'{field}=x&{field}=x', f'{field} is there twice'),
                *[(f'limit={value}', 'limit') for value in ['0', '201', '-1', '']],
                *[(f'limit={value}', 'limit') for value in ['01', '%2B1', '9' * 5000]],
                *[(f'offset={value}', 'offset') for value in ['-1', '', '1.0']],
                ('q=', 'q must'),
                (f'q={"x" * 201}', 'q must'),
                ('q=%FF', 'UTF-8'),
                ('%FF=1', 'UTF-8'),
                *[(f'sort={value}', 'sort') for value in ['', 'x', '-', f'--{field}']],
                *[(f'sort={value}', 'sort') for value in [f'{field},', f'%2B{field}']],
                (f'sort={field}&sort=x', 'sort'),
                (f'sort={",".join([field] * 11)}', 'sort'),
                ('sort=salt', 'sort'),
            ]:
                with self.subTest(query=query[:40]):
                    answer = self.app.get(
                        f'{path}?{query}', headers=self.bearer, status=400
                    )
                    self.refused(answer, name)
                    if 'not known' in name:
                        self.refused(answer, 'limit, offset, q', field)

    @needs('/films')
    def test_only_the_page_is_read(self):
        with mock.patch.object(api.films, 'page', wraps=api.films.page) as page:
            self.found('/films', 'limit=2&offset=3')
        page.assert_called_once_with(3, 5)


# --- Browsers -------------------------------------------------------------------------

# What browsers send for pages of other origins, of ours, and of one in CORS_ORIGIN.
FOREIGN = [
    {'Sec-Fetch-Site': 'cross-site', 'Origin': 'https://evil.example'},
    {'Sec-Fetch-Site': 'same-site', 'Origin': 'http://127.0.0.1:8000'},
    {'Sec-Fetch-Site': 'cross-site'},
    {'Origin': 'https://evil.example'},
    {'Origin': 'null'},
    {'Origin': 'http://localhost:81'},
    {'Origin': 'http://localhost:80.evil.example'},
    {'Origin': 'http://localhost:80@evil.example'},
    {'Origin': 'https://a.example.evil'},
    {'Origin': 'https://A.example'},
    {'Origin': '\xff'},
]
OWN = [
    {},
    {'Sec-Fetch-Site': 'same-origin', 'Origin': 'http://localhost'},
    {'Sec-Fetch-Site': 'none'},
    {'Origin': 'http://localhost:80'},
    {'Origin': 'https://a.example'},
    {'Sec-Fetch-Site': 'cross-site', 'Origin': 'capacitor://localhost'},
]


class Browsers(Case):
    """Pages of other origins, CORS, and a proxy with a path."""

    def setUp(self):
        super().setUp()
        self.patch(CORS_ORIGIN=['https://a.example', 'capacitor://localhost'])
        for hook in [api.allow_origin, api.add_prefix]:
            api.app.add_hook('after_request', hook)
            self.addCleanup(api.app.remove_hook, 'after_request', hook)

    def test_pages_of_other_origins_change_nothing(self):
        for route, headers in self.routes():
            for page in FOREIGN:
                with self.subTest(page=page):
                    answer = self.send(route, route.body, headers | page, 403)
                    self.refused(answer, 'CORS_ORIGIN')
                    self.assertNotIn('Access-Control-Allow-Origin', answer.headers)

    @needs('/api/list')
    def test_pages_of_other_origins_make_no_key_by_get(self):
        for page in FOREIGN:
            with self.subTest(page=page):
                self.app.get('/api/generate_key/eve', headers=page, status=403)
                self.app.get('/api/list', headers=page)

    @needs('/films')
    def test_own_pages_and_named_origins_may_change(self):
        for page in OWN:
            with self.subTest(page=page):
                self.app.post('/films', DUNE, headers=page, status=201)

    def test_named_origins_may_read_every_answer(self):
        fault = mock.patch.object(api, 'all_collections', 1)
        for method, path, status in [
            ('GET', '/nowhere', 404),
            ('OPTIONS', '/health', 204),
            ('POST', '/health', 405),
            ('GET', '/%FF', 400),
            ('GET', '/health', 500),
        ]:
            for origin in ['https://a.example', 'capacitor://localhost']:
                with self.subTest(method=method, path=path, origin=origin):
                    with fault, contextlib.redirect_stderr(None):
                        answer = self.app.request(
                            path,
                            method=method,
                            headers={'Origin': origin},
                            status=status,
                            expect_errors=True,
                        )
                    found = answer.headers
                    self.assertEqual(found['Access-Control-Allow-Origin'], origin)
                    self.assertEqual(found.getall('Vary'), ['Origin'])
                    self.assertNotIn('Access-Control-Allow-Credentials', found)
                    for method in ['PUT', 'PATCH', 'DELETE', 'POST', 'HEAD']:
                        self.assertIn(method, found['Access-Control-Allow-Methods'])
                    self.assertIn('api-key', found['Access-Control-Allow-Headers'])
        for page in FOREIGN:
            answer = self.app.get('/health', headers=page)
            self.assertEqual(answer.headers['Vary'], 'Origin')
            self.assertFalse([one for one in answer.headers if 'Access-Control' in one])

    @needs('/films')
    def test_prefix_stands_before_paths(self):
        for prefix, path in [
            ('/myapp', '/myapp/films'),
            ('/a/b-c/', '/a/b-c/films'),
            ('myapp', '/films'),
            ('//evil.example', '/films'),
            ('/a>; rel="next"', '/films'),
        ]:
            with self.subTest(prefix=prefix):
                headers = {'X-Forwarded-Prefix': prefix}
                answer = self.app.post_json('/films', DUNE, headers=headers)
                self.assertTrue(answer.headers['Location'].startswith(f'{path}/'))
                link = self.app.get('/films?limit=1', headers=headers).headers['Link']
                self.assertEqual(link.count(f'<{path}?'), 3)


# --- Server ---------------------------------------------------------------------------

# A line of the log, with the caller's name, the request and the status in groups.
LOG_LINE = (
    r'[\d.:a-f]+ - (\S+) \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] '
    r'"(\S+ \S+) HTTP/1\.[01]" (\d{3}) (?:\d+|-) \d+\.\dms'
)


class Server(Case):
    """Settings, the log, the start and the stop of the real service."""

    def failed_start(self, **environment):
        """Start the service with a bad setting; return the line that it ends with."""
        ended = subprocess.run(
            [sys.executable, 'api.py'],
            cwd=HERE,
            env={**os.environ, 'PORT': '0', **environment},
            check=False,
            capture_output=True,
            encoding='utf-8',
            timeout=30,
        )
        self.assertEqual((ended.returncode, ended.stdout), (1, ''), ended)
        self.assertEqual(ended.stderr.count('\n'), 1, ended.stderr)
        return ended.stderr

    def stop(self, process, *signals):
        """Send signals; return how long the service took to end with exit code 0."""
        start = time.monotonic()
        for number in signals or [signal.SIGTERM]:
            process.send_signal(number)
        self.assertEqual(process.wait(20), 0, process.log.read_text())
        return time.monotonic() - start

    # Settings

    def test_settings_come_from_the_environment(self):
        settings = {'API_USERNAME': 'jörg', 'API_PASSWORD': 'pässword'}
        with service(**settings, HOST='localhost', SECRET_KEY='') as process:
            self.assertEqual(fetch(process, 'GET', '/health').json, {'status': 'ok'})
            if has('/login'):
                account = {'username': 'jörg', 'password': 'pässword'}
                self.assertEqual(fetch(process, 'POST', '/login', account).status, 200)
                self.assertEqual(fetch(process, 'POST', '/login', ACCOUNT).status, 401)

    def test_bad_settings_end_the_start_with_one_line(self):
        numbers = ['abc', '-1', '1.5.0', '٣ ٣', 'nan', '1\n', ' 1', '1 ']
        for name, values in {
            'PORT': [*numbers, '65536', '5000.5'],
            'SCRIPT_TIMEOUT': [*numbers, '0', 'inf', '30s'],
            'RATE_LIMIT': [*numbers, '1001'],
            'MAX_ITEMS': [*numbers, '0'],
            'CORS_ORIGIN': ['*', 'null', 'a.example', 'https://a.example/', 'https://'],
            'TRUSTED_PROXY': ['caddy', '10.0.0.0/8', '10.0.0.1:80', '1.2.3', '::1\n'],
            'HOST': ['no such host', '192.0.2.1', '127.0.0.1\r'],
            'SECRET_KEY': ['x' * 31, '\udcff' * 32, 'x' * 32 + '\n'],
            'API_USERNAME': ['\udcff', ' admin', 'admin\n'],
            'API_PASSWORD': ['\udcff', 'secret ', 'sec\nret'],
            'DATABASE_URL': ['sqlite:///x.db\n', ' sqlite:///x.db'],
        }.items():
            for value in values:
                with self.subTest(name=name, value=value):
                    line = self.failed_start(**{name: value})
                    self.assertIn(name, line)
                    self.assertNotIn('sec', line)
                    self.assertNotIn('xxx', line)

    @unittest.skipIf(os.name == 'nt', 'on Windows two programs may use one port')
    def test_taken_port_ends_the_start(self):
        with service() as process:
            port = str(urlsplit(process.url).port)
            self.assertIn(f'PORT={port} ', self.failed_start(PORT=port))

    @needs('/login', '/courses')
    def test_tokens_of_the_demo_account_end_with_its_password_and_time(self):
        key = {'SECRET_KEY': 'k' * 32}
        with service(**key) as process:
            headers = sign_in(process)
        for environment, status in [({}, 200), ({'API_PASSWORD': 'another'}, 401)]:
            with self.subTest(environment), service(**key, **environment) as process:
                answer = fetch(process, 'GET', '/courses', headers=headers)
                self.assertEqual(answer.status, status)

    # Which host, which page, which client

    def test_host_that_is_another_machine_is_403(self):
        def get(host, version=1):
            lines = [f'GET /health HTTP/1.{version}', 'Connection: close', '', '']
            lines[1:1] = [] if host is None else [f'Host: {host}']
            answer = raw(process, '\r\n'.join(lines).encode('latin-1'))
            return int(answer.split()[1])

        with service() as process:
            hosts = ['evil.example', 'localhost.evil.example', 'x@localhost', '\xff']
            hosts += ['127.0.0.2', '::1', '[::1].evil', 'localhost:x', 'null', '']
            for host in hosts:
                with self.subTest(host=host):
                    self.assertEqual(get(host), 403)
            for host in ['localhost', 'LocalHost:1', '127.0.0.1:80', '[::1]:5000']:
                with self.subTest(host=host):
                    self.assertEqual(get(host), 200)
            self.assertEqual(get(None, version=0), 200)
        for environment in [{'HOST': '0.0.0.0'}, {'TRUSTED_PROXY': '127.0.0.2'}]:
            with self.subTest(environment), service(**environment) as process:
                self.assertEqual(get('api.example'), 200)

    @needs('/films')
    def test_own_page_behind_the_trusted_proxy(self):
        page = {'Origin': 'https://api.example'}
        forwarded = {**page, 'X-Forwarded-Host': 'api.example'}
        for proxy, headers, status in [
            ('127.0.0.1', page, 403),
            ('127.0.0.1', forwarded, 201),
            ('127.0.0.1', {**forwarded, 'X-Forwarded-Proto': 'https,http'}, 201),
            ('*', {**page, 'X-Forwarded-Host': 'evil.example, api.example'}, 201),
            ('127.0.0.1', {**page, 'X-Forwarded-Host': 'api.example, evil'}, 403),
            ('127.0.0.2', forwarded, 403),
        ]:
            with self.subTest(headers=headers), service(TRUSTED_PROXY=proxy) as process:
                answer = fetch(process, 'POST', '/films', DUNE, headers)
                self.assertEqual(answer.status, status)

    @needs('/login')
    def test_address_behind_the_trusted_proxy_may_have_a_port(self):
        wrong = {**ACCOUNT, 'password': 'x'}
        forms = {
            '192.0.2.7': ['192.0.2.7:4711', '192.0.2.7'],
            '192.0.2.8': ['203.0.113.1:1, 192.0.2.8:2', '192.0.2.8'],
            '2001:db8::7': ['[2001:db8::7]:4711', '2001:db8::7', '[2001:db8::7]'],
        }
        with service(TRUSTED_PROXY='127.0.0.1', RATE_LIMIT='1') as process:
            for address, sent in forms.items():
                for number, form in enumerate(sent):
                    with self.subTest(form=form):
                        headers = {'X-Forwarded-For': form}
                        answer = fetch(process, 'POST', '/login', wrong, headers)
                        self.assertEqual(answer.status, 429 if number else 401)
            log = '\n'.join(log_of(process))
        for address, sent in forms.items():
            self.assertEqual(log.count(f'\n{address} - - ['), len(sent))

    # The log

    def test_log_is_in_common_log_format_and_has_no_secret(self):
        with service() as process:
            lines = []
            if has('/login'):
                headers = sign_in(process)
                fetch(process, 'GET', '/courses?q=secret', headers=headers)
                fetch(process, 'POST', '/login', {**ACCOUNT, 'password': 'secret'})
                lines = ['- POST /login 200', 'admin GET /courses 200']
                lines += ['- POST /login 401']
            found = [re.fullmatch(LOG_LINE, line) for line in log_of(process)[1:]]
            text = process.log.read_text()
        shown = [' '.join(one.groups()) for one in found]
        self.assertEqual(shown, [*lines, '- GET /health 200'])
        for secret in ['secret', 'atCh', 'eyJ']:
            self.assertNotIn(secret, text)

    def test_nothing_that_a_client_sends_forges_a_line_or_a_field(self):
        breaks = ['\n', '\r', '\r\n', '\x85', '\u2028', '" 200 ', '\x1b[2K', ' ']
        number = 0
        with service(TRUSTED_PROXY='127.0.0.1', RATE_LIMIT='0') as process:
            for one in breaks:
                quoted = quote(one)
                fetch(process, 'GET', f'/x{quoted}forged')
                name = f'{one}forged'
                fetch(process, 'GET', '/hello_world', headers=basic(name, 'x'))
                fetch(process, 'POST', '/login', {'username': f'{one}forged'})
                number += 3
                if one.isprintable() and one.isascii() or one == '\x1b[2K':
                    address = {'X-Forwarded-For': f'1.2.3.4{one}forged'}
                    fetch(process, 'GET', '/x', headers=address)
                    number += 1
                raw(process, f'GET{one}/x HTTP/1.0\r\n\r\n'.encode())
            lines = log_of(process)
        for line in lines[1:]:
            with self.subTest(line=line):
                pattern = r'^\S+ - \S+ \[\S+ \S+\] "\S+ \S+ HTTP/1\.\d" \d'
                self.assertRegex(line, pattern)
                self.assertNotRegex(line, '[^!-~ ]')
        self.assertGreaterEqual(len(lines), number + 2)

    def test_lines_of_many_threads_do_not_mix(self):
        with service() as process:
            def ask(number):
                for _ in range(20):
                    fetch(process, 'GET', f'/x{number}')

            at_once(ask, range(12))
            lines = log_of(process)
        self.assertEqual(len(lines), 242)
        for line in lines[1:]:
            self.assertRegex(line, f'^{LOG_LINE}$')

    # HTTP

    @needs('/data')
    def test_chunked_bodies_are_taken(self):
        with service() as process:
            for body, status in [(b'{"a": 1}', 200), (b'"%s"' % (b'a' * 200_000), 413)]:
                with self.subTest(status=status):
                    chunk = b'%x\r\n%s\r\n0\r\n\r\n' % (len(body), body)
                    head = b'POST /data HTTP/1.1\r\nHost: localhost\r\n'
                    head += b'Connection: close\r\n'
                    head += b'Content-Type: application/json\r\n'
                    head += b'Transfer-Encoding: chunked\r\n\r\n'
                    answer = raw(process, head + chunk)
                    self.assertIn(b' %d ' % status, answer.split(b'\r\n')[0])

    def test_what_waitress_refuses_harms_nothing(self):
        post = b'POST /data HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n'
        with service() as process:
            for sent, status in [
                (b'nonsense\r\n\r\n', b'400'),
                (b'\0' * 100 + b'\r\n\r\n', b'400'),
                (b'GET /x HTTP/1.1\r\nno colon\r\n\r\n', b'400'),
                (b'GET /x HTTP/1.1\r\nX: %s\r\n\r\n' % (b'a' * 33_000), b'431'),
                (post % b'Content-Length: -1', b'400'),
                (post % b'Content-Length: 9999999', b'413'),
                (post % b'Transfer-Encoding: gzip', b'501'),
                (post % b'Transfer-Encoding: chunked' + b'xx\r\n', b'400'),
                (b'GET http://[ HTTP/1.1\r\n\r\n', b''),
            ]:
                with self.subTest(sent=sent[:60]):
                    answer = raw(process, sent)
                    self.assertIn(status, answer.split(b'\r\n')[0])
                    self.assertNotIn(b'Traceback', answer)
            self.assertEqual(fetch(process, 'GET', '/health').status, 200)

    @needs('/api/list')
    def test_clients_that_send_ahead_and_never_read_hold_nobody_up(self):
        get = b'GET /api/list?limit=200 HTTP/1.1\r\n\r\n'
        with service() as process, contextlib.ExitStack() as stack:
            answer = fetch(process, 'POST', '/api/generate_key/x')
            key = {'api-key': answer.json['api_key']}
            record = {'value1': '😀' * 1000, 'value2': 10**99, 'timestamp': 10**99}
            for _ in range(200):
                fetch(process, 'POST', '/api/create', record, key)
            for _ in range(3):
                one = stack.enter_context(connect(process))
                one.sendall(get * 100)
            time.sleep(2)
            start = time.monotonic()
            for _ in range(5):
                self.assertEqual(fetch(process, 'GET', '/health').status, 200)
            self.assertLess(time.monotonic() - start, 2)

    def test_400_clients_that_send_nothing_or_half_hold_nobody_up(self):
        half = b'POST /films HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{'
        with service() as process, contextlib.ExitStack() as stack:
            for number in range(400):
                one = stack.enter_context(connect(process))
                if number % 2:
                    one.sendall(half)
            start = time.monotonic()
            self.assertEqual(fetch(process, 'GET', '/health').status, 200)
            self.assertLess(time.monotonic() - start, 5)

    @needs('/users', '/login')
    def test_30_sign_ins_of_the_same_second_are_answered_and_hold_nobody_up(self):
        with service() as process, ThreadPoolExecutor(30) as pool:
            user = {'cn': 'dave', 'sn': 'x', 'password': 'pässword'}
            answer = fetch(process, 'POST', '/users', user, sign_in(process))
            self.assertEqual(answer.status, 201)
            account = {'username': 'dave', 'password': 'pässword'}
            sign_ins = [
                pool.submit(fetch, process, 'POST', '/login', account)
                for _ in range(30)
            ]
            time.sleep(0.1)
            self.assertEqual(fetch(process, 'GET', '/health').status, 200)
            done = sum(one.done() for one in sign_ins)
            statuses = {one.result().status for one in sign_ins}
        self.assertEqual(statuses, {200})
        self.assertLess(done, 15)

    @needs('/run-script', '/login')
    @needs_shell
    def test_other_routes_are_quick_while_scripts_run(self):
        with stand_in('sleep 3') as path, service(PATH=path) as process:
            headers = sign_in(process)
            with ThreadPoolExecutor(2) as pool:
                scripts = [
                    pool.submit(fetch, process, 'POST', '/run-script', None, headers)
                    for _ in range(2)
                ]
                time.sleep(0.5)
                start = time.monotonic()
                self.assertEqual(fetch(process, 'GET', '/health').status, 200)
                answer = fetch(process, 'POST', '/run-script', None, headers)
                self.assertEqual(answer.status, 503)
                self.assertLess(time.monotonic() - start, 1)
                self.assertEqual({one.result().status for one in scripts}, {200})

    def test_a_thread_that_can_not_start_takes_none_away(self):
        dispatcher = mock.Mock()
        dispatcher.set_thread_count.side_effect = RuntimeError
        fake = mock.Mock(task_dispatcher=dispatcher)
        with mock.patch.multiple(api, server=fake, thread_count=1):
            with self.assertRaises(RuntimeError), api.lent_thread():
                pass
            self.assertEqual(dispatcher.set_thread_count.mock_calls, [mock.call(2)])

    # The stop

    @needs_shell
    def test_stop_when_idle_takes_less_than_a_second(self):
        for number in [signal.SIGINT, signal.SIGTERM]:
            with (
                self.subTest(number=number),
                service() as process,
                connect(process) as idle,
            ):
                idle.sendall(b'POST /films HTTP/1.1\r\nContent-Length: 9\r\n\r\n')
                self.assertLess(self.stop(process, number), 1)

    @needs_shell
    def test_several_signals_end_the_service(self):
        for pause in [0, 0, 0, 0.001, 0.01, 0.01, 0.03, 0.1]:
            with self.subTest(pause=pause), service() as process:
                for number in [signal.SIGTERM, signal.SIGINT] * 10:
                    process.send_signal(number)
                    time.sleep(pause)
                self.stop(process)

    @needs_shell
    def test_signal_that_is_ignored_at_the_start_stays_ignored(self):
        for name in ['HUP', 'INT', 'TERM']:
            command = ['sh', '-c', f'trap "" {name}; exec "$@"', 'sh']
            with self.subTest(name=name), service(command=command) as process:
                process.send_signal(getattr(signal, f'SIG{name}'))
                time.sleep(0.3)
                self.assertEqual(fetch(process, 'GET', '/health').status, 200)

    @needs_shell
    @needs('/login')
    def test_stop_answers_what_has_arrived_and_logs_it(self):
        with service() as process, ThreadPoolExecutor(6) as pool:
            wrong = {'username': 'nobody', 'password': 'x'}
            answers = [
                pool.submit(fetch, process, 'POST', '/login', wrong) for _ in range(6)
            ]
            time.sleep(0.2)
            self.stop(process)
            self.assertEqual({one.result().status for one in answers}, {401})
            self.assertEqual(process.log.read_text().count('POST /login'), 6)

    @needs_shell
    @needs('/docs')
    def test_stop_sends_a_long_answer_to_its_end(self):
        with service() as process, connect(process) as connection:
            path = '/docs/swagger-ui-bundle.js'
            connection.sendall(f'GET {path} HTTP/1.0\r\n\r\n'.encode())
            received = len(connection.recv(1))
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            while part := connection.recv(65536):
                received += len(part)
            self.assertEqual(process.wait(10), 0)
        self.assertGreater(received, 1_000_000)

    @needs_shell
    @needs('/run-script', '/login')
    def test_stop_kills_a_running_script(self):
        with tempfile.TemporaryDirectory() as folder:
            script = f'echo $$ > {folder}/pid; exec sleep 60'
            with (
                stand_in(script) as path,
                service(PATH=path) as process,
                ThreadPoolExecutor(1) as pool,
            ):
                headers = sign_in(process)
                path = '/run-script'
                answer = pool.submit(fetch, process, 'POST', path, None, headers)
                pid = wait_for(lambda: read_if_there(Path(folder, 'pid')))
                self.assertLess(self.stop(process), 2)
                self.assertEqual(answer.result().status, 503)
                wait_for(lambda: not is_alive(pid))


def read_if_there(path):
    """Return the text of a file, or an empty one if there is none."""
    return path.read_text().strip() if path.exists() else ''


# --- The description ------------------------------------------------------------------


@unittest.skipUnless((HERE / 'swagger.yaml').exists(), 'There is no swagger.yaml')
@unittest.skipUnless((HERE / 'README.md').exists(), 'There is no README.md')
class Contract(unittest.TestCase):
    """swagger.yaml, the README and the packages say the same as api.py."""

    def load(self):
        """Return the contents of swagger.yaml."""
        import yaml

        return yaml.safe_load((HERE / 'swagger.yaml').read_text(encoding='utf-8'))

    def operations(self):
        """Return what swagger.yaml has, by method and path."""
        methods = ['get', 'put', 'post', 'patch', 'delete']
        return {
            (method.upper(), path): operation
            for path, item in self.load()['paths'].items()
            for method, operation in item.items()
            if method in methods
        }

    def test_swagger_has_every_route(self):
        routes = set()
        for route in api.app.routes:
            path = re.sub('<(.*?)>', r'{\1}', route.rule)
            # The files of the page have a path each, which is not described.
            if path != '/docs/{name}':
                routes.add((route.method, path.rstrip('/') or '/'))
        described = set(self.operations())
        self.assertEqual(routes - described, set(), 'swagger.yaml lacks these')
        # Those of sections that were deleted may stay.
        if len(RULES) > 25:
            self.assertEqual(described - routes, set(), 'api.py lacks these')

    def test_swagger_refers_to_what_it_has(self):
        swagger = self.load()
        references = re.findall(r"'(#/.*?)'", (HERE / 'swagger.yaml').read_text())
        self.assertGreater(len(references), 50)
        for reference in set(references):
            with self.subTest(reference=reference):
                target = swagger
                for name in reference.split('/')[1:]:
                    target = target.get(name, {})
                self.assertTrue(target, f'swagger.yaml has no {reference}')

    def test_swagger_gives_each_operation_a_name_that_clients_can_use(self):
        names = [one['operationId'] for one in self.operations().values()]
        self.assertEqual(len(names), len(set(names)))
        for name in names:
            # NSwag takes what stands before "_" for the name of a class.
            self.assertRegex(name, '^[a-z]+([A-Z][a-z]*)*$')

    def test_readme_has_every_setting(self):
        source = (HERE / 'api.py').read_text(encoding='utf-8')
        self.assertEqual(set(re.findall(r"setting\('(\w+)'", source)), set(SETTINGS))
        readme = (HERE / 'README.md').read_text(encoding='utf-8')
        for name in SETTINGS:
            self.assertIn(f'`{name}`', readme)

    def test_packages_are_the_same_everywhere(self):
        package = re.compile(r'[\w-]+==[\d.]+')
        text = (HERE / 'requirements.txt').read_text(encoding='utf-8')
        pinned = set(package.findall(text))
        for_tests = set(package.findall('\n'.join(re.findall('.*test_api.*', text))))
        for name, packages in [('api', pinned - for_tests), ('test_api', pinned)]:
            head = (HERE / f'{name}.py').read_text(encoding='utf-8').split('# ///\n')[0]
            self.assertEqual(set(package.findall(head)), packages)


def main():
    """Run the tests that the command line names, or all; print how many passed."""
    # Under nohup they are ignored, and the service would ignore them too.
    for number in [signal.SIGINT, signal.SIGTERM]:
        signal.signal(number, signal.SIG_DFL)
    result = unittest.main(exit=False, warnings='ignore').result
    failed = {
        getattr(test, 'test_case', test).id()
        for test, _ in result.failures + result.errors
    }
    passed = result.testsRun - len(failed) - len(result.skipped)
    print(f'{passed} passed, {len(failed)} failed')
    sys.exit(bool(failed))


if __name__ == '__main__':
    main()
