# /// script
# requires-python = ">=3.10"
# dependencies = ["bottle==0.13.4", "pyjwt==2.15.1", "waitress==3.0.2", "webtest==3.0.7",
#                 "swagger-ui-bundle-v2==5.31.0"]
# ///
"""Tests of api.py, a class for each of its rooms.

    python test_api.py                     all of them
    python test_api.py Films Users         some classes
    python test_api.py Films.test_delete   one test

TEST_DATABASE_URL in the environment names a database to run them over. All its tables are deleted!
"""
import base64
import contextlib
import hashlib
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
import threading
import time
import unittest
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock
from urllib.parse import quote, unquote

SETTINGS = ['HOST', 'PORT', 'SECRET_KEY', 'API_USERNAME', 'API_PASSWORD', 'RATE_LIMIT',
            'TRUSTED_PROXY', 'MAX_ITEMS', 'CORS_ORIGIN', 'DATABASE_URL', 'SCRIPT_TIMEOUT', 'DEBUG']
for setting in SETTINGS:
    os.environ.pop(setting, None)  # the tests are of the defaults
if 'TEST_DATABASE_URL' in os.environ:  # and of this database, whose tables are lost
    os.environ['DATABASE_URL'] = os.environ['TEST_DATABASE_URL']
    import sqlalchemy
    engine, tables = sqlalchemy.create_engine(os.environ['DATABASE_URL']), sqlalchemy.MetaData()
    tables.reflect(engine)
    tables.drop_all(engine)
    engine.dispose()

import jwt
import webtest

import api

HERE = Path(__file__).parent
SCRYPT = api.SCRYPT
START = {name: dict(value) for name, value in vars(api).items()
         if isinstance(value, api.Collection)}


def of_kind(kind):
    """Return a public key line with a key of this kind, and of 32 zeros."""
    key = len(kind).to_bytes(4, 'big') + kind.encode() + b'\0\0\0\x20' + bytes(32)
    return f'{kind} {base64.b64encode(key).decode()}'


ED25519 = of_kind('ssh-ed25519')


class Case(unittest.TestCase):
    """A test with a client and with the data that a freshly started service has."""

    def setUp(self):
        for name, items in START.items():
            renew(getattr(api, name), items)
        api.counts.clear()
        # Tests fail to sign in more often than is allowed, and can't wait for each hash.
        quick = mock.patch.multiple(api, RATE_LIMIT=0, SCRYPT={'n': 2, 'r': 1, 'p': 1})
        quick.start()
        self.addCleanup(quick.stop)
        self.app = client()
        self.bearer = bearer(api.DEMO)

    def refused(self, answer, *words, error='message'):
        """Check that an answer is a JSON error that has these words in it."""
        self.assertEqual(answer.content_type, 'application/json')
        for word in words:
            self.assertIn(word, answer.json[error])


def basic(username, password):
    """Return the header of HTTP Basic for this account."""
    if isinstance(username, str):
        username, password = username.encode(), password.encode()
    return {'Authorization': 'Basic ' + base64.b64encode(username + b':' + password).decode()}


def renew(collection, items):
    """Give a collection the items that it starts with, and no others."""
    name = next(name for name, value in vars(api).items() if value is collection)
    if api.DATABASE_URL:
        collection.rows.drop(api.engine)
    else:
        dict.clear(collection)
    collection.__init__(name, items, collection.missing)


def bearer(account):
    """Return the header with a token for this account."""
    return {'Authorization': f'Bearer {api.make_token(account)}'}


def at_once(work, arguments):
    """Call work with each argument, from 12 threads that take turns as often as can be."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(12) as pool:
            return list(pool.map(work, arguments))
    finally:
        sys.setswitchinterval(interval)


@contextlib.contextmanager
def slow_lookups():
    """Let a moment pass between what "key in collection" finds and what is made of it."""
    contains = api.Collection.__contains__

    def slow(collection, key):
        found = contains(collection, key)
        time.sleep(0.0005)
        return found

    with mock.patch.object(api.Collection, '__contains__', slow):
        yield


def client(address='192.0.2.1'):
    """Return a client at this address, for a thread of its own."""
    return webtest.TestApp(api.app, {'REMOTE_ADDR': address})


# --- Foundation -------------------------------------------------------------------------------

class Foundation(Case):
    """What every section stands on."""

    def test_unknown_path_is_404(self):
        self.refused(self.app.get('/nowhere', status=404), '/nowhere')
        self.app.get('/films/', status=404)

    def test_wrong_method_is_405_with_allow(self):
        answer = self.app.patch_json('/films/1', {}, status=405)
        self.refused(answer, 'Method not allowed')
        self.assertEqual(set(answer.headers['Allow'].split(',')),
                         {'GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'})
        self.assertEqual(set(self.app.get('/token', status=405).headers['Allow'].split(',')),
                         {'POST', 'OPTIONS'})

    def test_options_is_204_with_allow_on_every_path(self):
        for path in {re.sub('<.*?>', 'x', route.rule) for route in api.app.routes}:
            answer = self.app.options(path, status=204)
            methods = {route.method for route in api.app.routes
                       if re.sub('<.*?>', 'x', route.rule) == path}
            methods |= {'OPTIONS'} | ({'HEAD'} if 'GET' in methods else set())
            self.assertEqual(set(answer.headers['Allow'].split(',')), methods, path)
            self.assertEqual(answer.body, b'')

    def test_head_is_get_without_body(self):
        for path in ['/', '/films', '/films/1', '/api/list', '/health', '/data', '/swagger.yaml']:
            length = self.app.get(path).headers['Content-Length']
            answer = self.app.head(path)
            self.assertEqual((answer.body, answer.headers['Content-Length']), (b'', length), path)

    def test_path_that_is_not_utf8_is_400(self):
        for path in ['/films/%FF1', '/films/1%C0', '/%ED%A0%80', '/films%FF']:
            self.refused(self.app.get(path, status=400), 'UTF-8')

    def test_path_with_a_line_break_finds_nothing(self):
        for path in ['/films/1%0A', '/films%0A', '/films/%0A1', '/api/read/1%0A', '/films/1%00']:
            self.app.get(path, status=404)

    def test_broken_bodies_are_400(self):
        nested = b'[' * 100_000
        for body in [b'', b'{', b'{"a":}', b"{'a': 1}", b'nul', b'NaN', b'[Infinity]', b'-Infinity',
                     b'1e999', b'{"a": NaN}', b'"\xff"', b'\xff\xfe1\x000\x00', b'"\\ud800"',
                     b'{"\\udfff": 1}', b'\xef\xbb\xbf{}', b'[1] 2', b'"\x01"', b'"a', nested,
                     b'{"a":' * 20_000, nested[:40_000] + b']' * 40_000, b'1' * 5000]:
            answer = self.app.post('/data', body, {'Content-Type': 'application/json'}, status=400)
            self.refused(answer, 'not valid')

    def test_nesting_that_is_accepted_comes_back(self):
        for depth in range(100, 1200, 25):  # the limit is Python's, so it is found by trying
            body = b'[' * depth + b']' * depth
            answer = self.app.post('/data', body, {'Content-Type': 'application/json'},
                                   expect_errors=True)
            self.assertIn(answer.status_int, [200, 400])
            if answer.status_int == 200:
                self.assertEqual(answer.body.replace(b' ', b''), body)

    def test_other_content_types_are_415(self):
        for sent in ['text/plain', 'application/xml', 'multipart/form-data; boundary=x', 'json',
                     'application/jsonx', 'application/json, text/plain', 'text/json']:
            for path in ['/data', '/token', '/films']:
                answer = self.app.post(path, b'{}', {'Content-Type': sent}, status=415)
                self.refused(answer, 'application/json')
        self.app.post('/data', b'{}', {'Content-Type': 'application/x-www-form-urlencoded'},
                      status=415)

    def test_content_type_may_have_a_charset_and_capitals(self):
        for sent in ['application/json; charset=utf-8', 'APPLICATION/JSON', 'application/json;']:
            self.assertEqual(self.app.post('/data', b'{}', {'Content-Type': sent}).json, {})

    def test_body_over_100_KiB_is_413(self):
        longest = b'"%s"' % (b'a' * (100 * 1024 - 2))
        self.app.post('/data', longest, {'Content-Type': 'application/json'})
        answer = self.app.post('/data', longest + b' ', {'Content-Type': 'application/json'},
                               status=413)
        self.refused(answer, '102400')

    def test_object_is_needed(self):
        for value in [None, [], 'text', 3.5, True, [{}]]:
            for path in ['/token', '/login', '/films']:
                self.refused(self.app.post_json(path, value, status=400), 'object')

    def test_broken_forms_are_400(self):
        for body in [b'name=%FF', b'name=\xff', b'%FF=1', b'name=%ED%A0%80']:
            self.app.post('/films', body, {'Content-Type': 'application/x-www-form-urlencoded'},
                          status=400)
        self.assertEqual(len(api.films), 2)

    def test_faults_are_500_without_a_traceback(self):
        with mock.patch.object(api.films, 'page', side_effect=ZeroDivisionError('secret')):
            answer = self.app.get('/films', status=500, expect_errors=True)
        self.assertEqual(answer.json, {'message': 'Internal Server Error'})

    def test_new_keys_skip_those_in_use(self):
        collection = api.Memory('x', {'a': 1}, missing=KeyError)
        collection['3'] = collection['4'] = 'taken'
        self.assertEqual([api.new_key(collection) for _ in range(3)], ['2', '5', '6'])

    def test_auth_that_is_misspelt_does_not_open_a_route(self):
        with self.assertRaises(AttributeError):
            api.AuthPlugin().apply(lambda: 'in', mock.Mock(config={'auth': 'baerer'}))


class Auth(Case):
    """Who gets in, and who does not."""

    def token(self, key=None, algorithm='HS256', **claims):
        """Return a header with a token like ours, but for these claims; None leaves one out."""
        now = int(time.time())
        claims = {'sub': api.API_USERNAME, 'iat': now, 'exp': now + 60, **claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        token = jwt.encode(claims, key or api.SECRET_KEY, algorithm)
        return {'Authorization': f'Bearer {token}'}

    def test_basic(self):
        self.app.get('/hello_world', headers=basic(api.API_USERNAME, api.API_PASSWORD))

    def test_basic_refusals(self):
        name, password = api.API_USERNAME, api.API_PASSWORD
        for headers in [{}, basic(name, ''), basic('', password), basic(name, password + ' '),
                        basic(name.upper(), password), basic('nobody', 'null'), basic('é', 'ü'),
                        basic(name, 'pässword'), basic(b'\xff\xfe', b'\xff'), basic('', ''),
                        {'Authorization': 'Basic'}, {'Authorization': 'Basic '},
                        {'Authorization': 'Basic !!!'}, {'Authorization': 'Basic YWRtaW4='},
                        {'Authorization': 'Basic \xff\xfe'}, {'Authorization': '\xff\xfe'},
                        {'Authorization': f'Digest {name}:{password}'}, self.bearer]:
            answer = self.app.get('/hello_world', headers=headers, status=401)
            self.refused(answer, 'sign in')
            self.assertRegex(answer.headers['WWW-Authenticate'], '^Basic realm=".+"')

    def test_account_of_the_front_server_is_not_trusted(self):
        self.app.get('/hello_world', extra_environ={'REMOTE_USER': 'admin'}, status=401)
        self.app.get('/users', extra_environ={'REMOTE_USER': 'admin'}, status=401)

    def test_bearer(self):
        self.app.get('/users', headers=self.bearer)
        self.app.get('/users', headers=self.token())
        token = self.bearer['Authorization'].replace('Bearer', 'bearer')
        self.app.get('/users', headers={'Authorization': token})

    def test_no_token_is_401(self):
        token = self.bearer['Authorization'].split()[1]
        for header in ['', 'Bearer', 'Bearer ', token, f'Token {token}', f'JWT {token}',
                       f'Bearer\t{token}', f'Basic {token}', '\xff', 'Bearer' * 100]:
            answer = self.app.get('/users', headers={'Authorization': header}, status=401)
            self.refused(answer, 'token')
            self.assertEqual(answer.headers['WWW-Authenticate'], 'Bearer realm="One-File API"')
        self.app.get(f'/users?token={token}', status=401)

    def test_forged_tokens_are_401(self):
        header, claims, signature = self.bearer['Authorization'].split()[1].split('.')

        def part(text):
            return base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')

        now = int(time.time())
        tokens = [
            self.token(key='another key, which has 64 bytes or more' * 2), self.token(key='0' * 64),
            self.token(algorithm='HS512'), self.token(algorithm='HS384'),
            self.token(exp=now - 1), self.token(exp=None), self.token(sub=None),
            self.token(sub='nobody'), self.token(sub=''), self.token(nbf=now + 60),
            self.token(iat=now + 60), self.token(aud='other'),
            *({'Authorization': f'Bearer {token}'} for token in [
                'x', '..', '...', f'{header}.{claims}.', f'{header}.{claims}',
                f'{header}..{signature}',
                f'.{claims}.{signature}', f'{header}.{claims}.{signature}x', f'{signature}' * 100,
                f'{part("[]")}.{claims}.{signature}', f'{part("null")}.{claims}.{signature}',
                f'{part("{")}.{claims}.{signature}', f'{part("[" * 5000)}.{claims}.{signature}',
                f'{part("{}")}.{claims}.{signature}', 'é.ü.ö', '\xff.\xfe.\xfd', 'a b c', 'null',
                *(f'{part(json.dumps({"alg": algorithm, "typ": "JWT"}))}.{claims}.{end}'
                  for algorithm in ['none', 'None', 'NONE', 'nOnE', '', None, 1, [], ['HS256'], {},
                                    'RS256', 'ES256', 'hs256', 'HS256 ']
                  for end in ['', signature])])]
        for headers in tokens:
            answer = self.app.get('/users', headers=headers, status=401)
            self.refused(answer, 'token')
            self.assertIn('error="invalid_token"', answer.headers['WWW-Authenticate'], headers)

    def test_claims_of_a_wrong_type_are_401(self):
        for claims in [{'exp': 'tomorrow'}, {'exp': [1]}, {'exp': float('1e400')}, {'exp': True},
                       {'iat': 'now'}, {'nbf': {}}]:
            self.app.get('/users', headers=self.token(**claims), status=401)

    def test_sign_in_refusals(self):
        right = {'username': api.API_USERNAME, 'password': api.API_PASSWORD}
        for path, error in [('/token', 'message'), ('/login', 'error')]:
            for wrong in [{'password': 'x'}, {'username': 'x'}, {'username': 'é'},
                          {'password': 'pässword'}, {'password': api.API_PASSWORD + '\0'},
                          {'username': api.API_USERNAME.upper()}]:
                answer = self.app.post_json(path, {**right, **wrong}, status=401)
                self.assertEqual(answer.json, {error: 'username or password is not correct'})
                self.assertIn('Bearer', answer.headers['WWW-Authenticate'])
            for field in ['username', 'password']:
                for value in [None, True, 0, 1.5, [], {}, '', [api.API_USERNAME]]:
                    answer = self.app.post_json(path, {**right, field: value}, status=400)
                    self.refused(answer, field, error=error)
                lacking = {name: value for name, value in right.items() if name != field}
                self.refused(self.app.post_json(path, lacking, status=400), field, error=error)
            self.app.post_json(path, {'username': 'nobody', 'password': None}, status=400)
            self.app.post(path, '', {'Content-Type': 'application/json'}, status=400)
            self.app.post(path, '', {'Content-Type': 'application/x-www-form-urlencoded'},
                          status=400)

    def test_key_refusals(self):
        key = self.app.post('/api/generate_key/sumit').json['api_key']
        for headers in [{}, {'api-key': ''}, {'api-key': 'x'}, {'api-key': key + 'x'},
                        {'api-key': key[:-1]}, {'api-key': key.swapcase()}, {'api-key': '\xff'},
                        {'api-key': api.api_keys['sumit']}, {'api-key': key.replace('sumit', 'x')},
                        {'api-key': key.split('.')[1]}, {'api-key': '.'}, {'api-key': 'sumit.'},
                        {'api-key': f'{key}, {key}'},
                        {'Authorization': f'Bearer {key}'}, {'api-key': 'sumit'}, self.bearer]:
            answer = self.app.post_json('/api/create', {'value1': 'x'}, headers=headers, status=401)
            self.assertEqual(answer.json, {
                'status': 'failed', 'message': 'You are not authenticated! Please add an '
                'authentication key to the header and try again!'})
            self.assertNotIn('WWW-Authenticate', answer.headers)
        self.assertEqual(len(api.records), 5)

    def test_every_protected_route_refuses_strangers(self):
        for route in api.app.routes:
            if 'auth' in route.config:
                self.app.request(re.sub('<.*?>', '1', route.rule), method=route.method, status=401)


class Accounts(Case):
    """Users with a password, beside the demo account: what they may do, and until when."""

    def setUp(self):
        super().setUp()
        self.carol = {'username': 'carol', 'password': 'pässword'}
        self.change('/users', {'cn': 'carol', 'sn': 'Danvers', 'password': 'pässword'}, 'POST')

    def change(self, path, fields, method='PATCH', headers=None, status=None):
        """Send fields as the demo account, which may do all, or as who sends these headers."""
        return self.app.request(path, method=method, headers=headers or self.bearer, status=status,
                                body=json.dumps(fields).encode(), content_type='application/json')

    def token(self, **account):
        """Return a header with a token that /token gives this account."""
        token = self.app.post_json('/token', {**self.carol, **account}).json['access_token']
        return {'Authorization': f'Bearer {token}'}

    def test_user_signs_in_wherever_the_demo_account_does(self):
        self.app.get('/courses', headers=self.token())
        token = self.app.post('/login', self.carol).text
        self.app.get('/courses', headers={'Authorization': f'Bearer {token}'})
        self.app.get('/hello_world', headers=basic(*self.carol.values()))
        for wrong in ['password', 'pässwort', 'pässword ', 'PÄSSWORD', 'x' * 1000]:
            for path in ['/token', '/login']:
                self.app.post_json(path, {**self.carol, 'password': wrong}, status=401)
            self.app.get('/hello_world', headers=basic('carol', wrong), status=401)

    def test_user_without_a_password_cannot_sign_in(self):
        for password in ['', 'alice', 'None', 'null']:
            self.app.get('/hello_world', headers=basic('alice', password), status=401)
            self.app.post('/token', {'username': 'alice', 'password': password or ' '}, status=401)

    def test_password_is_kept_as_a_salted_hash_and_never_shown(self):
        self.change('/users', {'cn': 'dave', 'sn': 'x', 'password': 'pässword'}, 'POST')
        stored = [api.users[cn] for cn in ['carol', 'dave']]
        self.assertNotEqual(*[user['password'] for user in stored])
        for user in stored:
            key = hashlib.scrypt('pässword'.encode(), salt=user['salt'].encode(), **api.SCRYPT)
            self.assertEqual(user['password'], key.hex())
            self.assertEqual(len(user['salt']), 32)
        eve = {'cn': 'eve', 'sn': 'x', 'password': 'password'}
        for answer in [self.change('/users', eve, 'POST'),
                       self.change('/users/eve', {'password': 'p@ssword'}),
                       self.change('/users/eve', {'password': 'passw0rd'}, 'PUT'),
                       self.app.get('/users/eve', headers=self.bearer),
                       self.app.get('/users/carol', headers=self.token()),
                       self.app.get('/users', headers=self.bearer)]:
            for word in ['salt', 'pass', 'p@ss', stored[0]['salt'], stored[0]['password']]:
                self.assertNotIn(word, answer.text)

    def test_hash_takes_the_time_that_is_advised(self):
        self.assertGreaterEqual(SCRYPT['n'] * SCRYPT['r'] * SCRYPT['p'], 2 ** 14 * 8 * 5)

    def test_bad_passwords_are_400(self):
        before = dict(api.users)
        for password in ['', '1234567', 'x' * 129, None, 12345678, True, [], ['password'], {}]:
            user = {'cn': 'x', 'sn': 'x', 'password': password}
            for method in ['POST', 'PUT', 'PATCH']:
                path = '/users' if method == 'POST' else '/users/bob'
                answer = self.change(path, user, method, status=400)
                self.refused(answer, 'password', '8 to 128')
        self.assertEqual(api.users, before)
        for password in ['12345678', 'é' * 128]:
            self.change('/users/bob', {'password': password})
            self.token(username='bob', password=password)

    def test_each_refusal_hashes_once(self):
        for username in ['carol', 'nobody', 'alice', api.API_USERNAME, '', 'é\0']:
            with mock.patch('hashlib.scrypt', wraps=hashlib.scrypt) as scrypt:
                self.app.get('/hello_world', headers=basic(username, 'wrong'), status=401)
            self.assertEqual(len(scrypt.mock_calls), 1, username)
            self.assertEqual(len(scrypt.mock_calls[0].kwargs['salt']), 32, username)

    def test_too_many_hashes_at_once_are_503(self):
        before = dict(api.users)
        with mock.patch.object(api, 'RATE_LIMIT', 1), \
                api.hash_slots, api.hash_slots:
            for _ in range(3):  # more than RATE_LIMIT, as these are no failures
                for answer in [
                        self.app.post_json('/token', self.carol, status=503),
                        self.app.get('/hello_world', headers=basic('x', 'y'), status=503),
                        self.app.patch_json('/users/bob', {'password': 'password'},
                                            headers=self.bearer, status=503)]:
                    self.refused(answer, 'again')
                    self.assertEqual(answer.headers['Retry-After'], '1')
            self.app.get('/hello_world', headers=basic(api.API_USERNAME, api.API_PASSWORD))
        self.assertEqual(api.users, before)
        self.token()

    def test_who_is_demoted_during_a_hash_changes_nothing_more(self):
        self.change('/users/carol', {'memberOfs': ['cn=Admins']})
        headers, hashing = self.token(), api.hash_password

        def slow(password):
            api.users['carol'] = {**api.users['carol'], 'memberOfs': []}
            return hashing(password)

        for path, method in [('/users/carol', 'PATCH'), ('/users', 'POST')]:
            new = {'cn': 'eve', 'sn': 'x', 'memberOfs': ['cn=Admins'], 'password': 'password'}
            with mock.patch.object(api, 'hash_password', slow):
                self.change(path, new, method, headers=headers, status=403)
            self.assertEqual(api.users['carol']['memberOfs'], [])
            self.assertNotIn('eve', api.users)
            self.token()

    def test_routes_for_administrators(self):
        routes = [route for route in api.app.routes if route.config.get('auth') == 'admin']
        self.assertEqual({(route.method, route.rule) for route in routes}, {
            ('POST', '/run-script'), ('GET', '/users'), ('POST', '/users'), ('PUT', '/users/<cn>'),
            ('PATCH', '/users/<cn>'), ('DELETE', '/users/<cn>')})
        before, headers = dict(api.users), self.token()
        for route in routes:
            for cn in ['carol', 'bob', 'nobody']:
                answer = self.app.request(route.rule.replace('<cn>', cn), method=route.method,
                                          headers=headers, status=403)
                self.refused(answer, 'administrators')
        self.assertEqual(api.users, before)
        self.app.post('/run-script', status=401)

    def test_user_sees_himself_and_the_courses(self):
        headers = self.token()
        self.assertEqual(self.app.get('/users/carol', headers=headers).json['sn'], 'Danvers')
        for cn in ['bob', 'nobody', 'CAROL', 'admin']:
            self.refused(self.app.get(f'/users/{cn}', headers=headers, status=403), 'admin')
        course = {'code': 'X', 'name': 'x', 'instructor': 'x'}
        self.app.post_json('/courses', course, headers=headers, status=201)
        self.app.delete('/courses/X', headers=headers, status=204)

    def test_administrators_are_in_the_group_admins(self):
        headers = self.token()
        for groups, status in {
                ('cn=Admins,ou=groups,dc=dbsentry,dc=com',): 200, ('cn=x,dc=y', 'cn=Admins'): 200,
                (): 403, ('Admins',): 403, ('ou=Admins,dc=x',): 403, ('cn=AdminsX,dc=x',): 403,
                ('cn=users,cn=Admins',): 403, ('xcn=Admins,dc=x',): 403, ('cn=Adm', 'ins'): 403,
                ('cn=Admins\\,x,dc=y',): 403, ('',): 403}.items():
            self.change('/users/carol', {'memberOfs': groups})
            self.app.get('/users', headers=headers, status=status)

    def test_locked_user_is_out_at_once(self):
        headers = self.token()
        self.change('/users/carol', {'accountLocked': True})
        self.app.get('/courses', headers=headers, status=401)
        self.app.get('/users/carol', headers=headers, status=401)
        self.app.post_json('/token', self.carol, status=401)
        self.app.post_json('/login', self.carol, status=401)
        self.app.get('/hello_world', headers=basic(*self.carol.values()), status=401)
        self.change('/users/carol', {'accountLocked': False})
        self.app.get('/courses', headers=headers)
        self.token()

    def test_deleted_user_is_out_at_once(self):
        headers = self.token()
        self.app.delete('/users/carol', headers=self.bearer)
        self.app.get('/courses', headers=headers, status=401)
        self.app.post_json('/token', self.carol, status=401)
        for password in [{}, {'password': 'pässword'}]:  # another carol, without one and with one
            self.change('/users', {'cn': 'carol', 'sn': 'New', **password}, 'POST')
            self.app.get('/courses', headers=headers, status=401)
            self.app.delete('/users/carol', headers=self.bearer)

    def test_demoted_user_is_no_administrator_at_once(self):
        self.change('/users/carol', {'memberOfs': ['cn=Admins']})
        headers = self.token()
        self.app.get('/users', headers=headers)
        self.change('/users/carol', {'memberOfs': []}, headers=headers)
        self.app.get('/users', headers=headers, status=403)
        self.app.get('/courses', headers=headers)

    def test_changed_password_ends_older_tokens(self):
        for password in ['password', 'password', 'pässword']:
            headers = self.token()
            self.change('/users/carol', {'password': password})
            self.app.get('/courses', headers=headers, status=401)
            self.carol['password'] = password
        headers = self.token()
        self.change('/users/carol', {'sn': 'New'})
        self.app.get('/courses', headers=headers)

    def test_password_that_changes_during_a_sign_in(self):
        right = api.right_password

        def slow(account, password):
            api.users['carol'] = {**api.users['carol'], **api.hash_password('password')}
            return right(account, password)

        with mock.patch.object(api, 'right_password', slow):
            headers = self.token()  # with the password of a moment ago
        self.app.get('/courses', headers=headers, status=401)

    def test_user_of_the_demo_account_s_name_gets_nothing_by_it(self):
        self.change('/users', {'cn': api.API_USERNAME, 'sn': 'x', 'password': 'password'}, 'POST')
        self.app.post('/token', {'username': api.API_USERNAME, 'password': 'password'}, status=401)
        self.app.get('/hello_world', headers=basic(api.API_USERNAME, api.API_PASSWORD))
        self.change(f'/users/{api.API_USERNAME}', {'accountLocked': True})
        self.app.get('/users', headers=self.bearer)

    def test_tokens_without_or_with_another_salt_are_401(self):
        now = int(time.time())
        for salt in [{}, {'salt': None}, {'salt': ''}, {'salt': 'x'}, {'salt': []}, {'salt': {}}]:
            claims = {'sub': 'carol', 'iat': now, 'exp': now + 60, **salt}
            token = jwt.encode(claims, api.SECRET_KEY, 'HS256')
            self.app.get('/courses', headers={'Authorization': f'Bearer {token}'}, status=401)


class Limits(Case):
    """How often one may fail, and how much there is room for."""

    def setUp(self):
        super().setUp()
        self.key = {'api-key': self.app.post('/api/generate_key/sumit').json['api_key']}
        ten = mock.patch.object(api, 'RATE_LIMIT', 10)
        ten.start()
        self.addCleanup(ten.stop)
        api.counts.clear()

    def sign_in(self, way, password='wrong', address='192.0.2.1'):
        """Sign in at this address in one of four ways; return the answer."""
        app, account = client(address), {'username': api.API_USERNAME, 'password': password}
        if way == 'key':
            key = self.key if password == api.API_PASSWORD else {'api-key': password}
            return app.post_json('/api/create', {'value1': 'x'}, headers=key, expect_errors=True)
        if way == 'basic':
            return app.get('/hello_world', headers=basic(*account.values()), expect_errors=True)
        return app.post_json(way, account, expect_errors=True)

    def test_failed_sign_ins_are_429_past_the_limit(self):
        ways = ['/token', '/login', 'basic', 'key']
        for way in (ways * 3)[:9]:
            self.assertEqual(self.sign_in(way).status_int, 401)
        for way in ways * 3:  # what is right, is right until then, and counts for nothing
            self.assertLess(self.sign_in(way, api.API_PASSWORD).status_int, 300)
        self.assertEqual(self.sign_in('/login').status_int, 401)
        for way in ways:
            for password in ['wrong', api.API_PASSWORD]:
                answer = self.sign_in(way, password)
                self.assertEqual(answer.status_int, 429)
                self.refused(answer, 'Too many')
                self.assertIn(int(answer.headers['Retry-After']), range(1, 62))
                self.assertLess(self.sign_in(way, api.API_PASSWORD, '192.0.2.2').status_int, 300)
        self.assertEqual(len(api.records), 5 + 3 + 2)
        self.app.get('/users', headers=self.bearer)  # who is signed in, stays so

    def test_limit_ends_after_a_minute(self):
        now = time.monotonic()
        with mock.patch('time.monotonic') as clock:
            for second in range(10):
                clock.return_value = now + 2 * second
                self.assertEqual(self.sign_in('/token').status_int, 401)
            clock.return_value = now + 30
            wait = int(self.sign_in('/token').headers['Retry-After'])
            clock.return_value = now + 30 + wait - 1.5
            self.assertEqual(self.sign_in('/token').status_int, 429)
            clock.return_value = now + 30 + wait
            self.assertEqual(self.sign_in('/token').status_int, 401)
            self.assertEqual(self.sign_in('/token').status_int, 429)  # one of ten was over

    def test_guesses_count_while_others_hash(self):
        with api.hash_slots, api.hash_slots:
            statuses = [self.sign_in('/token').status_int for _ in range(12)]
            self.assertEqual(statuses, [401] * 10 + [429] * 2)
            self.assertEqual(self.sign_in('/token', api.API_PASSWORD).status_int, 429)

    def test_limit_of_0_is_none(self):
        with mock.patch.object(api, 'RATE_LIMIT', 0):
            for _ in range(30):
                self.assertEqual(self.sign_in('key').status_int, 401)

    def test_nothing_sent_is_no_failure(self):
        for _ in range(15):
            self.app.get('/hello_world', status=401)
            self.app.get('/hello_world', headers={'Authorization': 'Basic !'}, status=401)
            self.app.post_json('/api/create', {}, status=401)
            self.app.post_json('/token', {'username': 'x'}, status=400)
            self.app.get('/users', headers={'Authorization': 'Bearer x'}, status=401)
        self.assertEqual(self.sign_in('/token').status_int, 401)

    def test_threads_fail_no_more_often(self):
        for way in ['key', 'basic']:
            api.counts.clear()
            statuses = at_once(lambda _, way=way: self.sign_in(way).status_int, range(100))
            self.assertEqual(statuses.count(401), 10)
            self.assertEqual(set(statuses) - {401, 429, 503}, set())

    def test_new_keys_are_429_past_the_limit(self):
        for number in range(10):
            self.app.get('/api/generate_key/sumit', status=409)
            self.app.head(f'/api/generate_key/name{number}')
            self.app.post(f'/api/generate_key/name{number}', status=201)
        self.refused(self.app.post('/api/generate_key/name10', status=429), 'Too many')
        self.assertEqual(self.sign_in('/token').status_int, 401)  # these are counted by themselves
        client('192.0.2.2').post('/api/generate_key/name10', status=201)
        self.assertEqual(len(api.api_keys), 12)

    def test_addresses_fill_no_memory(self):
        now = time.monotonic()
        api.counts.extend((now, 'failed sign-ins', f'2001:db8::{number:x}')
                          for number in range(20_000))
        for number in range(100):
            self.assertEqual(self.sign_in('key', address=f'192.0.2.{number}').status_int, 401)
        self.assertEqual(len(api.counts), 10_000)
        with mock.patch('time.monotonic', lambda: now + 3600):
            self.sign_in('/token')
        self.assertEqual(len(api.counts), 1)  # what is over is forgotten

    def test_full_collections_are_507(self):
        film = {'name': 'Dune', 'year': 2021, 'month': 'October'}
        calls = [('/films', film, {}), ('/films/new', film, {}),
                 ('/api/create', {'value1': 'x'}, self.key),
                 ('/users', {'cn': 'x', 'sn': 'x'}, self.bearer),
                 ('/courses', {'code': 'x', 'name': 'x', 'instructor': 'x'}, self.bearer),
                 ('/api/generate_key/thor', None, {})]
        collections = [api.films, api.records, api.users, api.courses, api.api_keys]
        before = [dict(collection) for collection in collections]
        for limit in [{'MAX_ITEMS': 1}, {'MAX_SIZE': 10}][:1 if api.DATABASE_URL else 2]:
            with mock.patch.multiple(api, **limit):
                for path, body, headers in calls:
                    call = self.app.put_json if path == '/films/new' else self.app.post_json
                    self.refused(call(path, body, headers=headers, status=507), 'room')
        self.assertEqual([dict(collection) for collection in collections], before)
        with mock.patch.object(api, 'MAX_ITEMS', 2):
            self.app.put_json('/films/1', film, status=200)  # no more than there was
            self.app.delete('/films/1')
            self.app.put_json('/films/new', film, status=201)
            self.app.post_json('/films', film, status=507)

    def test_room_is_that_of_the_items_there_are(self):
        films = api.Memory('films', START['films'], KeyError)
        for _ in range(3):
            for number in range(20):
                films[str(number)] = {'Name': 'x' * 10 * number}
                films[str(number)] = {'Name': 'x' * 20 * number}
            self.assertEqual(films.size, sum(len(json.dumps(item)) for item in films.values()))
            for number in range(20):
                del films[str(number)]
        self.assertEqual((len(films), films.size), (0, 0))


class Listings(Case):
    """The query of /films, /api/list, /users and /courses."""

    def setUp(self):
        super().setUp()
        for number, (name, year) in enumerate(
                [('Zodiac', 2007), ('alien', 1979), ('Alien', 1979), ('Éloge', 2001)], 3):
            film = {'name': name, 'year': year, 'month': 'May'}
            self.app.put_json(f'/films/{number}', film, status=201)

    def films(self, query, total, headers=None):
        """Return the ids that a listing of films has, which of so many are one page."""
        answer = self.app.get(f'/films?{query}', headers=headers)
        self.assertEqual(answer.headers['X-Total-Count'], str(total), query)
        return ' '.join(answer.json)

    def links(self, query):
        """Return the pages that the Link of a listing of films names, by their relation."""
        link = self.app.get(f'/films{query}').headers['Link']
        self.assertRegex(link, r'^<[^<>"\s]+>; rel="\w+"(, <[^<>"\s]+>; rel="\w+")*$')
        return {name: page for page, name in re.findall(r'<(.*?)>; rel="(\w+)"', link)}

    def test_without_a_query_all_is_as_it_was(self):
        self.assertEqual(self.films('', 6), '1 2 3 4 5 6')
        self.assertEqual(self.app.get('/films').headers['Link'], '</films?limit=100&offset=0>; '
                         'rel="first", </films?limit=100&offset=0>; rel="last"')
        for path, total in [('/api/list', '5'), ('/users', '2'), ('/courses', '2')]:
            answer = self.app.get(path, headers=self.bearer)
            self.assertEqual(answer.headers['X-Total-Count'], total)
            self.assertIn('Link', self.app.head(path, headers=self.bearer).headers)

    def test_a_page_has_100_items_if_no_limit_is_given(self):
        for number in range(100):
            api.films[f'x{number}'] = START['films']['1']
        self.assertEqual(len(self.films('', 106).split()), 100)
        self.assertEqual(self.films('offset=100', 106), 'x94 x95 x96 x97 x98 x99')
        self.assertEqual(len(self.films('limit=1000', 106).split()), 106)

    def test_limit_and_offset(self):
        for query, page in [('limit=2', '1 2'), ('limit=2&offset=4', '5 6'), ('offset=5', '6'),
                            ('limit=1&offset=2', '3'), ('offset=6', ''), ('offset=999999999', ''),
                            ('limit=1000', '1 2 3 4 5 6'), ('limit=4&offset=3', '4 5 6')]:
            self.assertEqual(self.films(query, 6), page, query)
            self.assertEqual(self.films(f'{query}&sort=Name', 6).count(' '), page.count(' '))

    def test_links_lead_over_all_pages(self):
        for query in ['?limit=2', '?limit=4&sort=-Year,Name', '?limit=1&q=e', '?limit=5&offset=0',
                      '?limit=1&Name=%C3%89loge', '?limit=3&Month=May&q=l']:
            every = list(self.app.get('/films' + re.sub(r'limit=\d+', 'limit=1000', query)).json)
            forward, page = [], self.links(query)['first']
            while page:
                last, found = page, list(self.app.get(page).json)
                forward += found
                page = self.links(page.removeprefix('/films')).get('next')
            self.assertEqual(last, self.links(query)['last'], query)
            self.assertEqual(forward, every)
            back, page = [], last
            while page:
                back = list(self.app.get(page).json) + back
                page = self.links(page.removeprefix('/films')).get('prev')
            self.assertEqual(back, forward)

    def test_links_of_odd_pages(self):
        def pages(**offsets):
            return {name: f'/films?limit=4&offset={offset}' for name, offset in offsets.items()}
        self.assertEqual(self.links('?limit=4&offset=1'), pages(first=0, prev=0, next=5, last=4))
        self.assertEqual(self.links('?limit=4&offset=5'), pages(first=0, prev=1, last=4))
        self.assertEqual(self.links('?limit=4&offset=70'), pages(first=0, prev=4, last=4))
        self.assertEqual(self.links('?limit=4&q=nowhere'), {
            name: '/films?limit=4&q=nowhere&offset=0' for name in ['first', 'last']})

    def test_sort(self):
        for query, order in [('Name', '5 2 1 3 4 6'), ('-Name', '6 4 3 1 2 5'),
                             ('Year', '4 5 6 3 1 2'), ('-Year', '1 2 3 6 4 5'),
                             ('Year,Name', '5 4 6 3 2 1'), ('-Year,Name', '2 1 3 6 5 4'),
                             ('Year,-Name', '4 5 6 3 1 2'), ('Month,-Year,Name', '2 1 3 6 5 4'),
                             ('Year,-Year', '4 5 6 3 1 2')]:
            self.assertEqual(self.films(f'sort={query}', 6), order, query)
            self.assertEqual(self.films(f'sort={query}&limit=2&offset=1', 6),
                             ' '.join(order.split()[1:3]))

    def test_sort_where_a_field_is_null_or_missing(self):
        api.records['2'] = {**api.records['2'], 'value2': None, 'value1': None, 'value3': None}
        for field in ['value1', 'value2', 'value3']:
            for sort, place in [(field, 0), (f'-{field}', 4)]:
                records = self.app.get(f'/api/list?sort={sort}').json
                self.assertEqual(records[place]['id'], 2, sort)
        api.users['zoe'] = {'cn': 'zoe', 'sn': 'x'}
        users = self.app.get('/users?sort=mail', headers=self.bearer).json
        self.assertEqual([user['cn'] for user in users], ['zoe', 'alice', 'bob'])

    def test_q_looks_into_every_text(self):
        for query, found in [('ALIEN', '4 5'), ('%C3%A9loge', '6'), ('%C3%89LOGE', '6'),
                             ('may', '3 4 5 6'), ('2007', ''), ('e', '1 2 4 5 6'),
                             ('infinity+war', '1'), ('%25', ''), ('_', ''), ('%5C', ''),
                             ('.', ''), ('*', ''), ('None', ''), ('%00', ''),
                             ("'", ''), ('May%0A', ''), ('%F0%9F%98%80', ''), ('%EF%BF%BD', '')]:
            self.assertEqual(self.films(f'q={query}', len(found.split())), found, query)
        users = self.app.get('/users?q=GETAFIX', headers=self.bearer).json  # in a list of texts
        self.assertEqual([user['cn'] for user in users], ['bob'])

    def test_values_of_fields(self):
        for query, found in [('Year=1979', '4 5'), ('Year=2018&Month=March', '1'),
                             ('Name=alien', '4'),
                             ('Year=2018.0', '1 2'), ('Name=Alie', ''), ('Year=2000', ''),
                             ('Name=Ant+Man+and+the+Wasp', '2'), ('Name=%C3%89loge', '6'),
                             ('Month=May&q=Z&sort=-Year', '3')]:
            self.assertEqual(self.films(query, len(found.split())), found, query)

        def ids(query):
            return [record['id'] for record in self.app.get(f'/api/list?{query}').json]
        self.assertEqual(ids('value3=false'), [2, 4])
        self.assertEqual(ids('value3=true&sort=-id'), [5, 3, 1])
        self.assertEqual(ids('value2=88239244423.21'), [2, 4])
        self.assertEqual(ids('id=3'), [3])
        self.assertEqual(ids('timestamp=6789998212'), [3])
        self.assertEqual(ids('lastmodifiedby=loki'), [4])

        def names(query):
            return [user['cn'] for user in
                    self.app.get(f'/users?{query}', headers=self.bearer).json]
        self.assertEqual(names('sn=Parker'), ['alice', 'bob'])
        self.assertEqual(names('memberOfs=cn%3DAdmins%2Cou%3Dgroups%2Cdc%3Ddbsentry%2Cdc%3Dcom'),
                         ['alice'])
        self.assertEqual(names('dn=cn%3Dbob%2Cou%3Dpeople%2Cdc%3Ddbsentry%2Cdc%3Dcom'), ['bob'])
        self.assertEqual(names('accountLocked=false'), ['alice', 'bob'])
        api.users['bob'] = {**api.users['bob'], 'sshPublicKeys': [ED25519]}
        self.assertEqual(names(f'sshPublicKeys={quote(ED25519, safe="")}'), ['bob'])
        courses = self.app.get('/courses?instructor=Andrew+Ng&sort=name', headers=self.bearer).json
        self.assertEqual([course['code'] for course in courses['courses']], ['CSE465'])

    def test_a_value_that_no_item_can_have_is_400(self):
        for path, query in [
                ('/films', 'Year=soon'), ('/films', 'Year='), ('/films', 'Year=1800'),
                ('/films', 'Year=true'), ('/films', 'Year=2018.5'), ('/films', 'Month=may'),
                ('/films', 'Year=' + '%5B' * 9000), ('/films', 'Year=' + '1' * 5000),
                ('/api/list', 'value3=1'), ('/api/list', 'value3=True'), ('/api/list', 'id=x'),
                ('/api/list', 'value2=false'), ('/api/list', 'value2=%221%22'),
                ('/users', 'accountLocked=yes'), ('/users', 'mail=bob'), ('/users', 'cn=a%20b'),
                ('/courses', 'code=a%2Fb'), ('/courses', 'name=')]:
            answer = self.app.get(f'{path}?{query}', headers=self.bearer, status=400)
            self.refused(answer, query.partition('=')[0])

    def test_unknown_parameters_are_400_and_the_known_ones_are_listed(self):
        for path, fields in [
                ('/films', 'Name Year Month'), ('/courses', 'code name instructor'),
                ('/api/list', 'id timestamp value1 value2 value3 creationdate lastmodifiedby'),
                ('/users', 'cn sn uid givenName displayName mail memberOfs accountLocked dn')]:
            for query in ['x=1', 'year=2018', 'Limit=1', 'limit=1&x', 'password=x', 'salt=x',
                          'q+=x', 'limit%00=1', '_limit=1', 'sort%5B%5D=cn', '%C3%A9=1',
                          'limit;q=1', '=1']:
                name = unquote(query.split('&')[-1].partition('=')[0].replace('+', ' '))
                answer = self.app.get(f'{path}?{query}', headers=self.bearer, status=400)
                known = ['limit', 'offset', 'sort', 'q', *fields.split()]
                self.refused(answer, f'{name} is unknown', *known)
                self.assertNotIn('password,', answer.json['message'])

    def test_parameters_that_are_there_twice_are_400(self):
        for query in ['limit=1&limit=1', 'q=a&q=b', 'Year=2018&Year=2018',
                      'sort=Name&q=a&sort=Year', 'offset=0&limit=1&%6Fffset=0']:
            answer = self.app.get(f'/films?{query}', status=400)
            self.refused(answer, 'twice', 'limit, offset, q, Name, Year, Month, sort')

    def test_bad_limits_offsets_and_orders_are_400(self):
        for name, values in {
                'limit': ['0', '-1', '1001', '', 'x', '1.0', '1e2', '01', '%2B1', '1_0', 'true',
                          'null', '%EF%BC%91', '9' * 5000, '%5B1%5D', 'NaN', '%5B' * 9000],
                'offset': ['-1', '', 'x', '1.5', '1000000000', '9' * 30, '9' * 5000, 'Infinity'],
                'sort': ['', 'name', 'x', '-', '--Year', 'Year,', ',Year', 'Year+', '+Year',
                         'Year;Name', 'password', 'Year,x', 'Name%00', 'Year,Year',
                         'Name,' * 5000 + 'Name'],
                'q': ['', 'x' * 201]}.items():
            for value in values:
                self.refused(self.app.get(f'/films?{name}={value}', status=400), name)
        self.refused(self.app.get('/users?sort=salt', headers=self.bearer, status=400), 'sort')

    def test_a_query_that_is_not_utf8_is_400(self):
        for query in ['q=%FF', '%FF=1', 'Name=%ED%A0%80', 'q=%C3', 'sort=%80']:
            self.refused(self.app.get(f'/films?{query}', status=400), 'UTF-8')
        for query, status in [('q=\xe9', 400), ('\xff=1', 400), ('q=\xc3\xa9loge', 200)]:
            request = webtest.TestRequest.blank('/films')  # as bytes that are not percent-encoded
            request.environ['QUERY_STRING'] = query
            answer = self.app.do_request(request, status)
        self.assertEqual(list(answer.json), ['6'])
        self.assertIn('q=%C3%A9loge', answer.headers['Link'])

    def test_hashes_are_not_searched(self):
        self.app.patch_json('/users/bob', {'password': 'correct horse'}, headers=self.bearer)
        for secret in [api.users['bob']['password'], api.users['bob']['salt']]:
            self.assertEqual(self.app.get(f'/users?q={secret}', headers=self.bearer).json, [])

    def test_only_the_page_is_read(self):
        with mock.patch.object(api.films, 'page', wraps=api.films.page) as page:
            self.films('', 6)
            self.films('limit=2&offset=3', 6)
            self.assertEqual(page.mock_calls, [mock.call(0, 100), mock.call(3, 5)])

    def test_threads_see_whole_pages(self):
        def work(number):
            film = {'name': 'Dune', 'year': 2021, 'month': 'October'}
            app = client()
            app.put_json(f'/films/n{number}', film)
            self.assertEqual(len(app.get('/films?limit=5&offset=1').json), 5)
            self.assertEqual(list(app.get('/films?sort=Year&limit=2').json), ['4', '5'])
            app.delete(f'/films/n{number}')
        at_once(work, range(200))
        self.assertEqual(self.films('', 6), '1 2 3 4 5 6')


class Browsers(Case):
    """CORS_ORIGIN, and what pages may do."""

    def setUp(self):
        super().setUp()
        for patch in [mock.patch.object(api, 'CORS_ORIGIN', ['https://a.example', 'http://b:80'])]:
            patch.start()
            self.addCleanup(patch.stop)
        api.app.add_hook('after_request', api.allow_origin)
        self.addCleanup(api.app.remove_hook, 'after_request', api.allow_origin)

    def test_named_origins_may_read_every_answer(self):
        with mock.patch.object(api.courses, 'page', side_effect=ZeroDivisionError):
            for origin in ['https://a.example', 'http://b:80']:
                for method, path, status in [
                        ('GET', '/films', 200), ('HEAD', '/films', 200), ('GET', '/films/x', 404),
                        ('GET', '/nowhere', 404), ('POST', '/health', 405), ('GET', '/users', 401),
                        ('POST', '/films', 415), ('GET', '/films/%FF', 400), ('GET', '/docs', 308),
                        ('DELETE', '/films/1', 204), ('GET', '/docs/index.html', 200),
                        ('OPTIONS', '/films', 204), ('GET', '/courses', 500)]:
                    api.films['1'] = START['films']['1']
                    headers = self.bearer if path == '/courses' else {}
                    answer = self.app.request(path, method=method, status=status,
                                              headers={'Origin': origin, **headers},
                                              expect_errors=status == 500)
                    self.assertEqual(answer.headers['Access-Control-Allow-Origin'], origin, path)
                    self.assertEqual(answer.headers.getall('Vary'), ['Origin'], path)
                    self.assertEqual(answer.headers['Access-Control-Expose-Headers'],
                                     'Link, Location, Retry-After, X-Total-Count')
                    self.assertNotIn('Access-Control-Allow-Credentials', answer.headers)

    def test_other_origins_may_not(self):
        for origin in ['https://b.example', 'https://a.example.evil.example', 'null', '*', '',
                       'http://b', 'http://a.example', 'https://a.example:443', 'https://A.example',
                       'é', '\xff',
                       'https://a.example http://b:80', 'https://a.exampl']:
            for method, path in [('GET', '/films'), ('GET', '/nowhere'), ('OPTIONS', '/films/1')]:
                answer = self.app.request(path, method=method, expect_errors=True, headers={
                    'Origin': origin, 'Access-Control-Request-Method': 'PUT'})
                self.assertEqual(answer.headers['Vary'], 'Origin')
                self.assertEqual([name for name in answer.headers if 'Access-Control' in name], [])
        self.assertEqual(self.app.get('/films').headers['Vary'], 'Origin')  # no Origin at all

    def test_preflights_are_204(self):
        for path in ['/films/1', '/users', '/users/x', '/courses/x', '/api/modify/1', '/token']:
            answer = self.app.options(path, status=204, headers={
                'Origin': 'https://a.example', 'Access-Control-Request-Method': 'PATCH',
                'Access-Control-Request-Headers': 'api-key,authorization,content-type'})
            self.assertEqual(answer.body, b'')
            self.assertGreater(int(answer.headers['Access-Control-Max-Age']), 0)
            self.assertEqual(answer.headers['Access-Control-Allow-Headers'].lower().split(', '),
                             ['authorization', 'content-type', 'api-key'])
            for method in ['PUT', 'PATCH', 'DELETE', 'POST', 'GET', 'HEAD']:
                self.assertIn(method, answer.headers['Access-Control-Allow-Methods'].split(', '))
            self.assertIn('OPTIONS', answer.headers['Allow'])

    def test_root_varies_by_both(self):
        self.assertEqual(self.app.get('/').headers.getall('Vary'), ['Accept', 'Origin'])

    def test_pages_of_other_origins_change_nothing(self):
        film = {'name': 'Dune', 'year': 2021, 'month': 'October'}
        for headers in [{'Sec-Fetch-Site': 'cross-site', 'Origin': 'https://evil.example'},
                        {'Sec-Fetch-Site': 'same-site', 'Origin': 'http://127.0.0.1:8000'},
                        {'Sec-Fetch-Site': 'cross-site', 'Origin': 'null'},
                        {'Sec-Fetch-Site': 'cross-site'}, {'Origin': 'https://evil.example'},
                        {'Origin': 'null'}, {'Origin': 'http://localhost:81'}, {'Origin': 'é'},
                        {'Sec-Fetch-Site': 'cross-site', 'Origin': 'http://localhost:80'}]:
            for method, path in [('POST', '/films'), ('PUT', '/films/1'), ('DELETE', '/films/1'),
                                 ('POST', '/api/generate_key/eve'), ('POST', '/token')]:
                answer = self.app.request(path, method=method, headers=headers, status=403)
                self.refused(answer, 'CORS_ORIGIN')
            self.refused(self.app.post('/films', film, headers=headers, status=403), 'pages')
            self.app.get('/films', headers=headers)
        self.assertEqual(api.films, START['films'])
        for headers in [{'Sec-Fetch-Site': 'same-origin', 'Origin': 'http://localhost'}, {},
                        {'Sec-Fetch-Site': 'none'}, {'Origin': 'http://localhost:80'},
                        {'Sec-Fetch-Site': 'same-origin', 'Origin': 'https://behind.a.proxy'},
                        {'Origin': 'https://a.example'},
                        {'Sec-Fetch-Site': 'cross-site', 'Origin': 'https://a.example'}]:
            self.app.post('/films', film, headers=headers, status=201)


# --- Weekend API ------------------------------------------------------------------------------

class WeekendAPI(Case):
    """/data, /token and /run-script, the last with an executable of ours that is named pwsh."""

    def run_script(self, pwsh, **kwargs):
        """Call /run-script where pwsh, the text of a shell script, stands in for PowerShell."""
        with fake_pwsh(pwsh):
            return webtest.TestApp(api.app).post('/run-script', headers=self.bearer, **kwargs)

    def test_data_points_to_post(self):
        self.assertEqual(self.app.get('/data').json,
                         {'message': 'Hey please use the POST method for this endpoint'})

    def test_data_returns_any_json(self):
        for value in [None, [], {}, '', 'text', 'é😀', 3.5, 0, -1, True, False, 10 ** 40,
                      {'a': [{'b': None}]}]:
            self.assertEqual(self.app.post_json('/data', value).json, value)

    def test_token_for_json_and_form(self):
        account = {'username': api.API_USERNAME, 'password': api.API_PASSWORD}
        for post in [self.app.post_json, self.app.post]:
            answer = post('/token', account)
            self.assertEqual(answer.headers['Cache-Control'], 'no-store')
            self.assertEqual({**answer.json, 'access_token': ''},
                             {'access_token': '', 'token_type': 'Bearer', 'expires_in': 1800})
            claims = jwt.decode(answer.json['access_token'], api.SECRET_KEY, ['HS256'])
            self.assertEqual(claims['sub'], api.API_USERNAME)
            self.assertEqual(claims['exp'] - claims['iat'], 1800)
            self.run_script('', status=200)

    def test_script_needs_a_token(self):
        self.app.post('/run-script', status=401)

    def test_script_output(self):
        answer = self.run_script('echo out; echo é; echo oops >&2')
        self.assertEqual(answer.json, {'output': 'out\né\n', 'error': 'oops\n'})

    def test_script_gets_its_file_and_no_input(self):
        answer = self.run_script('for word; do echo "$word"; done; cat')
        self.assertEqual(answer.json['output'].split('\n')[-2], str(HERE / 'script.ps1'))
        self.assertIn('-NonInteractive', answer.json['output'])

    def test_script_does_not_see_the_secrets(self):
        with mock.patch.dict(os.environ, SECRET_KEY='s' * 32, API_USERNAME='u', API_PASSWORD='p',
                             DATABASE_URL='sqlite:///x.db'):
            output = self.run_script('env').json['output']
        self.assertIn('PATH=', output)
        for name in ['SECRET_KEY', 'API_USERNAME', 'API_PASSWORD', 'DATABASE_URL']:
            self.assertNotIn(f'\n{name}=', f'\n{output}')

    def test_script_that_fails_is_500(self):
        answer = self.run_script('echo out; echo oops >&2; exit 3', status=500)
        self.assertEqual(answer.json, {'message': 'The script ended with exit code 3',
                                       'output': 'out\n', 'error': 'oops\n', 'exit_code': 3})
        self.assertEqual(self.run_script('kill -9 $$', status=500).json['exit_code'], -9)

    def test_script_without_powershell_is_503(self):
        with tempfile.TemporaryDirectory() as folder:
            for powershell in [lambda: None, Path(folder, 'pwsh').touch,
                               lambda: Path(folder, 'pwsh').chmod(0o755)]:
                powershell()  # is missing, can't be executed, is nothing that can be executed
                with mock.patch.dict(os.environ, PATH=folder):
                    answer = self.app.post('/run-script', headers=self.bearer, status=503)
                self.refused(answer, 'PowerShell is not installed', 'https://')

    def test_script_that_takes_too_long_is_504_and_dead_with_all_it_started(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(api, 'SCRIPT_TIMEOUT', 0.5):
            pids = Path(folder, 'pids')
            start = time.monotonic()
            answer = self.run_script(
                f'sleep 60 & echo $! >> {pids}; (trap "" TERM; sleep 60) & echo $! >> {pids}; '
                f'echo $$ >> {pids}; wait', status=504)
            self.assertLess(time.monotonic() - start, 10)
            self.refused(answer, '0.5 seconds')
            self.assertEqual(len(pids.read_text().split()), 3)
            self.assert_ended(pids.read_text().split())

    def test_script_that_ends_takes_its_children_with_it(self):
        answer = self.run_script('sleep 60 & echo $!')
        self.assert_ended(answer.json['output'].split())

    def assert_ended(self, pids):
        """Check that these processes are gone, or are dead and wait to be collected."""
        for pid in pids:
            for _ in range(100):
                with contextlib.suppress(FileNotFoundError):
                    if Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z':
                        time.sleep(0.05)
                        continue
                break
            else:
                self.fail(f'process {pid} lives on')

    def test_script_output_is_cut_at_1_MiB_a_stream(self):
        answer = self.run_script('head -c 5000000 /dev/zero | tr "\\0" a; '
                                 'head -c 1048576 /dev/zero | tr "\\0" b >&2')
        self.assertEqual(answer.json['output'].count('a', 0, 2 ** 20), 2 ** 20)
        self.assertTrue(answer.json['output'].endswith('[cut after 1048576 bytes]'))
        self.assertEqual(answer.json['error'], 'b' * 2 ** 20)

    def test_long_output_does_not_stay_on_the_disk(self):
        answer = self.run_script('for turn in 1 2 3; do head -c 3000000 /dev/zero; sleep 0.5; '
                                 'size=$(stat -L -c %s /proc/$$/fd/1); echo $size >&2; done')
        self.assertEqual(answer.json['error'].split(), [str(2 ** 20 + 1)] * 3)

    def test_script_output_that_is_not_utf8(self):
        self.assertEqual(self.run_script(r'printf "a\377b"').json['output'], 'a\ufffdb')

    def test_scripts_at_once(self):
        with fake_pwsh('sleep 1'):
            def call(_):
                return client().post('/run-script', headers=self.bearer, expect_errors=True)
            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(call, range(8)))
        self.assertEqual(sorted(answer.status_int for answer in answers),
                         [200] * 2 + [503] * 6)
        for answer in answers:
            self.assertEqual('Retry-After' in answer.headers, answer.status_int == 503)
        self.run_script('', status=200)  # and the places are free again

    @unittest.skipUnless(shutil.which('pwsh'), 'PowerShell is not installed')
    def test_real_script(self):
        output = self.app.post('/run-script', headers=self.bearer).json['output']
        for word in ['Host:', 'System:', 'PowerShell:', 'Time (UTC):', 'Uptime:']:
            self.assertIn(word, output)


@contextlib.contextmanager
def fake_pwsh(script):
    """Put a shell script named pwsh first on PATH."""
    with tempfile.TemporaryDirectory() as folder:
        pwsh = Path(folder, 'pwsh')
        pwsh.write_text(f'#!/bin/sh\n{script}\n')
        pwsh.chmod(0o755)
        with mock.patch.dict(os.environ, PATH=f'{folder}:{os.environ["PATH"]}'):
            yield


# --- Films ------------------------------------------------------------------------------------

class Films(Case):
    """/, /hello_world and /films."""

    def setUp(self):
        super().setUp()
        self.film = {'name': 'Dune', 'year': 2021, 'month': 'October'}
        self.shown = {'Name': 'Dune', 'Year': 2021, 'Month': 'October'}

    def test_root_greets(self):
        self.assertEqual(self.app.get('/').json, {'hello': 'world'})

    def test_root_sends_a_browser_to_the_docs(self):
        answer = self.app.get('/', headers={'Accept': 'text/html,*/*;q=0.8'}, status=302)
        self.assertEqual(answer.headers['Location'], '/docs')

    def test_hello_world_greets_who_signed_in(self):
        answer = self.app.get('/hello_world', headers=basic(api.API_USERNAME, api.API_PASSWORD))
        self.assertEqual(answer.json, {'Hello': 'World'})
        self.app.get('/hello_world', status=401)

    def test_list(self):
        self.assertEqual(self.app.get('/films').json, START['films'])

    def test_list_keeps_the_order_in_which_films_came(self):
        for film_id in ['z', 'a', '10', 'm', '1']:
            self.app.put_json(f'/films/{film_id}', self.film)
        self.assertEqual(list(self.app.get('/films').json), ['1', '2', 'z', 'a', '10', 'm'])

    def test_list_may_be_empty(self):
        api.films.clear()
        self.assertEqual(self.app.get('/films').json, {})

    def test_post_takes_the_next_number(self):
        for number in ['3', '4']:
            answer = self.app.post_json('/films', self.film, status=201)
            self.assertEqual(answer.headers['Location'], f'/films/{number}')
            self.assertEqual(answer.json, self.shown)
            self.assertEqual(self.app.get(f'/films/{number}').json, self.shown)

    def test_post_gives_no_number_twice(self):
        self.app.delete('/films/2')
        self.app.put_json('/films/3', self.film, status=201)
        self.assertEqual(self.app.post_json('/films', self.film).headers['Location'], '/films/4')
        self.app.delete('/films/4')
        self.assertEqual(self.app.post_json('/films', self.film).headers['Location'], '/films/5')

    def test_get(self):
        self.assertEqual(self.app.get('/films/1').json,
                         {'Name': 'Avengers: Infinity War', 'Year': 2018, 'Month': 'March'})

    def test_get_what_is_not_there(self):
        for film_id in ['3', '01', '１', '1.0', '-1', 'a' * 5000]:
            answer = self.app.get(f'/films/{quote(film_id)}', status=404)
            self.assertEqual(answer.json, {'message': f"Film {film_id} doesn't exist"})

    def test_put_adds_a_film(self):
        for film_id in ['7', 'dune', 'a_b-C', 'x' * 64]:
            self.assertEqual(self.app.put_json(f'/films/{film_id}', self.film, status=201).json,
                             self.shown)
            self.assertEqual(self.app.get(f'/films/{film_id}').json, self.shown)

    def test_put_replaces_a_film(self):
        self.app.put_json('/films/1', self.film, status=200)
        self.assertEqual(self.app.get('/films').json, {**START['films'], '1': self.shown})

    def test_put_takes_a_form(self):
        self.assertEqual(self.app.put('/films/9', self.film, status=201).json, self.shown)
        self.assertEqual(self.app.post('/films', self.film, status=201).json, self.shown)

    def test_put_takes_what_get_gives(self):
        self.app.put_json('/films/2', self.app.get('/films/1').json, status=200)
        self.assertEqual(self.app.get('/films/2').json, self.app.get('/films/1').json)
        self.app.put_json('/films/3', {'NAME': 'Dune', 'yEaR': 2021, 'Month': 'October'})

    def test_bad_ids_are_400(self):
        for film_id in ['x' * 65, 'a.b', 'a%20b', '%C3%A9', '1%0A', '%20', '..%00']:
            self.refused(self.app.put_json(f'/films/{film_id}', self.film, status=400), 'id')
        self.assertEqual(api.films, START['films'])

    def test_bad_fields_are_400(self):
        for field, values in {
                'name': ['', 'x' * 201, None, 1, True, [], {}, ['Dune']],
                'year': [1869, 2101, '2021', '2021.0', 2021.5, None, True, [], -1, 10 ** 30],
                'month': ['', 'october', 'Oct', 'Smarch', 'October ', 'October\n', None, 10, True,
                          [], {}]}.items():
            for value in values:
                for call in [lambda film: self.app.post_json('/films', film, status=400),
                             lambda film: self.app.put_json('/films/1', film, status=400)]:
                    self.refused(call({**self.film, field: value}), field)
            film = {name: value for name, value in self.film.items() if name != field}
            self.refused(self.app.post_json('/films', film, status=400), field)
        self.assertEqual(api.films, START['films'])

    def test_bad_years_in_a_form_are_400(self):
        for year in ['', '1869', '2101', '２０２１', '2_021', ' 2021', '+2021', '2021.0', '0x7e5',
                     '²²²²', '02021', '2e3', 'x']:
            self.refused(self.app.post('/films', {**self.film, 'year': year}, status=400), 'year')
        self.assertEqual(api.films, START['films'])

    def test_limits_of_fields_are_taken(self):
        for name, year in [('x', 1870), ('é' * 200, 2100), ('x', 2021.0)]:
            film = {'name': name, 'year': year, 'month': 'May'}
            answer = self.app.post_json('/films', film, status=201)
            self.assertIs(type(answer.json['Year']), int)

    def test_delete(self):
        answer = self.app.delete('/films/1', status=204)
        self.assertEqual(answer.body, b'')
        self.assertEqual(self.app.delete('/films/1', status=404).json,
                         {'message': "Film 1 doesn't exist"})
        self.assertEqual(list(self.app.get('/films').json), ['2'])

    def test_threads_get_no_number_twice(self):
        with slow_lookups():
            places = at_once(lambda _: client().post_json('/films', self.film).headers['Location'],
                             range(300))
        self.assertEqual(len(set(places)), 300)
        self.assertEqual(len(api.films), 302)

    def test_threads_put_a_new_film_once(self):
        for number in range(20):
            with slow_lookups():
                statuses = at_once(lambda _, n=number: client().put_json(
                    f'/films/new{n}', self.film).status_int, range(12))
            self.assertEqual(sorted(statuses), [200] * 11 + [201])

    def test_threads_delete_a_film_once(self):
        for number in range(20):
            api.films[f'old{number}'] = self.shown
            statuses = at_once(lambda _, n=number: client().delete(
                f'/films/old{n}', expect_errors=True).status_int, range(12))
            self.assertEqual(sorted(statuses), [204] + [404] * 11)

    def test_list_while_threads_write(self):
        def work(number):
            app = client()
            app.put_json(f'/films/{number}', self.film)
            app.get('/films', status=200)
            app.delete(f'/films/{number}')
        at_once(work, range(200, 500))
        self.assertEqual(api.films, START['films'])


# --- Records ----------------------------------------------------------------------------------

class Records(Case):
    """/api/..."""

    def setUp(self):
        super().setUp()
        self.key = {'api-key': self.app.post('/api/generate_key/sumit').json['api_key']}

    def test_generate_key(self):
        for method, name in [('POST', 'tony'), ('GET', 'steve.rogers-1_x'), ('POST', 'x' * 64)]:
            answer = self.app.request(f'/api/generate_key/{name}', method=method, status=201)
            self.assertEqual(answer.headers['Cache-Control'], 'no-store')
            self.assertRegex(answer.json['created_on'], r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$')
            self.assertRegex(answer.json['api_key'], fr'^{name}\.[\w-]{{22}}$')
            self.assertEqual({**answer.json, 'api_key': '', 'created_on': ''}, {
                'api_key': '', 'created_on': '', 'username': name, 'status': 'success',
                'message': 'Congrats! Your API Key has been created!'})

    def test_generate_key_for_a_taken_name_is_409(self):
        for method in ['POST', 'GET']:
            answer = self.app.request('/api/generate_key/sumit', method=method, status=409)
            self.assertEqual(answer.json, {
                'status': 'failed',
                'message': 'The username you are trying to register has been already used!'})

    def test_generate_key_for_a_bad_name_is_400(self):
        for name in ['x' * 65, 'a b', '%C3%A9', 'a%0A', '..', '.', 'a%00', '<b>', "a'b"]:
            answer = self.app.post(f'/api/generate_key/{name}', status=400)
            self.refused(answer, 'username')
            self.assertEqual(answer.json['status'], 'failed')

    def test_keys_are_kept_as_hashes(self):
        self.assertNotIn(self.key['api-key'], str(dict(api.api_keys)))

    def test_head_makes_no_key(self):
        self.app.head('/api/generate_key/thor')
        self.app.post('/api/generate_key/thor', status=201)

    def test_list(self):
        records = self.app.get('/api/list').json
        self.assertEqual([record['id'] for record in records], [1, 2, 3, 4, 5])
        self.assertEqual(list(records[0]), [
            'id', 'timestamp', 'value1', 'value2', 'value3', 'creationdate',
            'lastmodificationdate', 'lastmodifiedby'])

    def test_create(self):
        fields = {'timestamp': 6789998212, 'value1': 'Hello', 'value2': 2021.01, 'value3': True}
        answer = self.app.post_json('/api/create', fields, headers=self.key, status=201)
        self.assertEqual(answer.json['message'],
                         'Your entry has successfully been added to the database!')
        self.assertEqual(answer.json['status'], 'success')
        record = answer.json['record_info']
        now = time.time() * 1000
        self.assertEqual(record['creationdate'], record['lastmodificationdate'])
        self.assertTrue(now - 5000 < record['creationdate'] <= now)
        self.assertEqual({**record, **fields, 'id': 6, 'lastmodifiedby': 'sumit'}, record)
        self.assertEqual(self.app.get('/api/read/6').json['record_info'], record)

    def test_create_with_one_field(self):
        for field, value in [('timestamp', 0), ('value1', ''), ('value2', -1.5), ('value3', False)]:
            record = self.app.post_json('/api/create', {field: value}, headers=self.key,
                                        status=201).json['record_info']
            none = dict.fromkeys(['timestamp', 'value1', 'value2', 'value3'])
            self.assertEqual({**record, **none, field: value}, record)

    def test_create_and_modify_without_a_field_are_400(self):
        for fields in [{}, {'id': 9}, {'lastmodifiedby': 'x'}, {'value4': 1}]:
            for answer in [
                    self.app.post_json('/api/create', fields, headers=self.key, status=400),
                    self.app.patch_json('/api/modify/5', fields, headers=self.key, status=400)]:
                self.assertEqual(answer.json, {
                    'status': 'failed',
                    'message': 'Please populate atleast one field into the record and try again!'})
        self.assertEqual(api.records, START['records'])

    def test_bad_fields_are_400(self):
        for field, values in {'timestamp': ['1', True, None, [], {}],
                              'value3': [0, 1, 'true', None],
                              'value1': ['x' * 1001, 1, None, True, [], {}],
                              'value2': ['', False, None, [1]]}.items():
            for value in values:
                for answer in [
                        self.app.post_json('/api/create', {'value1': 'x', field: value},
                                           headers=self.key, status=400),
                        self.app.patch_json('/api/modify/5', {'value1': 'x', field: value},
                                            headers=self.key, status=400)]:
                    self.refused(answer, field)
                    self.assertEqual(answer.json['status'], 'failed')
        self.assertEqual(api.records, START['records'])

    def test_form_is_415(self):
        self.app.post('/api/create', {'value1': 'x'}, headers=self.key, status=415)

    def test_read(self):
        answer = self.app.get('/api/read/5').json
        self.assertEqual((answer['message'], answer['status']), ('Record found!', 'success'))
        self.assertEqual(answer['record_info'], START['records']['5'])

    def test_modify(self):
        before = START['records']['5']
        answer = self.app.patch_json('/api/modify/5', {'value1': 'Yes'}, headers=self.key)
        self.assertEqual(answer.json['message'], 'Your record has successfully been modified!')
        record = answer.json['record_info']
        self.assertGreaterEqual(record['lastmodificationdate'], before['lastmodificationdate'])
        self.assertEqual(record, {**before, 'value1': 'Yes', 'lastmodifiedby': 'sumit',
                                  'lastmodificationdate': record['lastmodificationdate']})

    def test_remove(self):
        self.assertEqual(self.app.delete('/api/remove/5', headers=self.key).json, {
            'message': 'Your record has been removed!', 'status': 'success'})
        self.app.get('/api/read/5', status=404)
        answer = self.app.post_json('/api/create', {'value1': 'x'}, headers=self.key)
        self.assertEqual(answer.json['record_info']['id'], 6)  # ids are never used twice

    def test_unknown_ids_are_404(self):
        for record_id in ['6', '0', '-1', '05', '5.0', 'x', '%D9%A5', '9' * 5000]:
            for answer in [
                    self.app.get(f'/api/read/{record_id}', status=404),
                    self.app.patch_json(f'/api/modify/{record_id}', {'value1': 'x'},
                                        headers=self.key, status=404),
                    self.app.delete(f'/api/remove/{record_id}', headers=self.key, status=404)]:
                self.assertEqual(answer.json, {
                    'status': 'failed', 'message':
                    'The record does not exist! Please try a different record number!'})

    def test_without_name_or_id(self):
        for method, path, what in [
                ('GET', '/api/generate_key', 'username'), ('POST', '/api/generate_key', 'username'),
                ('GET', '/api/read', 'number'), ('PATCH', '/api/modify', 'number'),
                ('DELETE', '/api/remove', 'number')]:
            for end in ['', '/']:
                answer = self.app.request(path + end, method=method, status=400)
                self.assertEqual(answer.json, {
                    'status': 'failed', 'message': f'Oops! You forgot to add a {what} after! '
                    f'Please specify a {what} and try again!'})

    def test_threads_register_a_name_once(self):
        for number in range(20):
            with slow_lookups():
                statuses = at_once(lambda _, n=number: client().post(
                    f'/api/generate_key/name{n}', expect_errors=True).status_int, range(12))
            self.assertEqual(sorted(statuses), [201] + [409] * 11)

    def test_threads_get_no_id_twice(self):
        with slow_lookups():
            ids = at_once(lambda _: client().post_json(
                '/api/create', {'value1': 'x'}, headers=self.key).json['record_info']['id'],
                range(300))
        self.assertEqual(sorted(ids), list(range(6, 306)))

    def test_threads_lose_no_change(self):
        fields = [{'timestamp': 1}, {'value1': 'x'}, {'value2': 2}, {'value3': False}] * 3
        for _ in range(20):
            api.records['5'] = START['records']['5']
            at_once(lambda field: client().patch_json('/api/modify/5', field, headers=self.key),
                    fields)
            record = api.records['5']
            self.assertEqual((record['timestamp'], record['value1'], record['value2'],
                              record['value3']), (1, 'x', 2, False))


# --- Users ------------------------------------------------------------------------------------

class Users(Case):
    """/users and /authkeys."""

    def setUp(self):
        super().setUp()
        self.app.authorization = ('Bearer', api.make_token(api.DEMO))

    def test_list(self):
        self.assertEqual(self.app.get('/users').json,
                         [api.shown(user) for user in START['users'].values()])

    def test_get(self):
        answer = self.app.get('/users/alice').json
        self.assertEqual(answer.pop('dn'), 'cn=alice,ou=people,dc=dbsentry,dc=com')
        self.assertEqual(answer, START['users']['alice'])

    def test_unknown_users_are_404(self):
        for cn in ['carol', 'Alice', 'alice%0A', '*', '(cn=*)', '%C3%A9']:
            self.refused(self.app.get(f'/users/{cn}', status=404), "doesn't exist")
        self.app.put_json('/users/carol', {'sn': 'x'}, status=404)
        self.app.patch_json('/users/carol', {'sn': 'x'}, status=404)
        self.app.delete('/users/carol', status=404)

    def test_post(self):
        answer = self.app.post_json('/users', {'cn': 'carol', 'sn': 'Danvers'}, status=201)
        self.assertEqual(answer.headers['Location'], '/users/carol')
        self.assertEqual(answer.json, {
            'cn': 'carol', 'sn': 'Danvers', 'uid': 'carol', 'memberOfs': [], 'sshPublicKeys': [],
            'accountLocked': False, 'dn': 'cn=carol,ou=people,dc=dbsentry,dc=com'})
        self.assertEqual(self.app.get('/users/carol').json, answer.json)

    def test_post_with_all_fields(self):
        user = {'cn': 'c.d-e_f', 'sn': 'D', 'uid': 'cd', 'givenName': 'C', 'displayName': 'C D',
                'mail': 'c.d+x@mail.example.com', 'memberOfs': ['cn=a,dc=b'],
                'sshPublicKeys': [ED25519, f'{ED25519} c@host'], 'accountLocked': True}
        self.assertEqual(self.app.post_json('/users', user, status=201).json,
                         {**user, 'dn': 'cn=c.d-e_f,ou=people,dc=dbsentry,dc=com'})

    def test_post_twice_is_409(self):
        self.refused(self.app.post_json('/users', {'cn': 'bob', 'sn': 'X'}, status=409), 'bob')
        self.assertEqual(api.users, START['users'])

    def test_dn_is_not_taken_from_the_caller(self):
        evil = 'cn=admin,dc=evil'
        answer = self.app.post_json('/users', {'cn': 'x', 'sn': 'y', 'dn': evil})
        self.assertEqual(answer.json['dn'], 'cn=x,ou=people,dc=dbsentry,dc=com')
        self.app.put_json('/users/x', {'dn': evil})
        self.assertNotIn(evil, str(dict(api.users)))

    def test_put_and_patch_change_what_is_given(self):
        for change in [self.app.put_json, self.app.patch_json]:
            answer = change('/users/bob', {'sn': 'New', 'accountLocked': True}, status=200)
            bob = api.shown(START['users']['bob'])
            self.assertEqual(answer.json, {**bob, 'sn': 'New', 'accountLocked': True})
            self.assertEqual(change('/users/bob', {}).json, answer.json)

    def test_cn_stays(self):
        self.assertEqual(self.app.put_json('/users/bob', {'cn': 'eve'}).json['cn'], 'bob')
        self.assertEqual(set(api.users), {'alice', 'bob'})

    def test_bad_fields_are_400(self):
        user = {'cn': 'carol', 'sn': 'Danvers'}
        bad = {
            'cn': ['', 'x' * 65, 'a b', 'é', 'a,dc=x', 'a*', '.', '..', 'a\n', None, 1, [], True],
            'sn': ['', 'x' * 201, None, 1, []],
            'uid': ['', None, 5], 'givenName': [None, 1, 'x' * 201], 'displayName': [[], False],
            'mail': ['', 'x', 'x@', '@x.com', 'a@b', 'a b@c.com', 'a@b@c.com', 'a@b..com',
                     'a@b.com\n', 'a@b.com\nBcc: x@y.zz', None, 1, 'a@' + 'b.' * 40_000],
            'memberOfs': ['Admins', None, [1], [None], [[]], {'cn': 'x'}, ['x'] * 101, ['x' * 201]],
            'accountLocked': ['true', 0, 1, None, []],
            'sshPublicKeys': [ED25519, None, [ED25519] * 101, [1], [''], ['ssh-ed25519'],
                              ['ssh-ed25519 x'], [ED25519[:-3]], [ED25519[:-8]], [f'{ED25519}AAAA'],
                              [ED25519.replace('ssh-ed25519', 'ssh-rsa')],
                              [f'command="rm" {ED25519}'], [f'{ED25519}\n{ED25519}'],
                              [f'{ED25519} a\r\n'], [f'{ED25519} \u2028'],
                              [ED25519.replace(' ', '\t')], [ED25519, 'x'],
                              ['ssh-ed25519 é'], [' AAAAAAAA'], [of_kind('foo')], [of_kind('#')],
                              [f'{of_kind(chr(34) + "x")}" {ED25519}'],
                              [f'{of_kind("command=" + chr(34) + "x")} " {ED25519}']]}
        for field, values in bad.items():
            for value in values:
                answer = self.app.post_json('/users', {**user, field: value}, status=400)
                self.refused(answer, field)
                if field != 'cn':
                    self.refused(self.app.put_json('/users/bob', {field: value}, status=400), field)
        for field in user:
            self.refused(self.app.post_json('/users', {field: 'x'}, status=400),
                         'cn' if field == 'sn' else 'sn')
        self.assertEqual(api.users, START['users'])

    def test_delete(self):
        self.assertEqual(self.app.delete('/users/bob').json, 'Deleted User: bob')
        self.app.get('/users/bob', status=404)

    def test_authkeys_is_open_and_plain(self):
        self.app.put_json('/users/bob', {'sshPublicKeys': [ED25519, f'{ED25519} é@host']})
        self.app.authorization = None
        answer = self.app.get('/authkeys?username=bob')
        self.assertEqual(answer.content_type, 'text/plain')
        self.assertEqual(answer.body.decode(), f'{ED25519}\n{ED25519} é@host\n')

    def test_authkeys_without_keys_is_empty(self):
        for name in ['alice', 'bob', 'nobody', '', '%FF', '*', 'bob%0A']:
            self.assertEqual(self.app.get(f'/authkeys?username={name}', status=200).body, b'')
        self.refused(self.app.get('/authkeys', status=400), 'username')

    def test_authkeys_of_a_locked_user_is_empty(self):
        self.app.put_json('/users/bob', {'sshPublicKeys': [ED25519], 'accountLocked': True})
        self.assertEqual(self.app.get('/authkeys?username=bob').body, b'')

    def test_threads_add_a_user_once(self):
        for number in range(20):
            with slow_lookups():
                statuses = at_once(lambda _, n=number: client().post_json(
                    '/users', {'cn': f'user{n}', 'sn': 'x'}, headers=self.bearer,
                    expect_errors=True).status_int, range(12))
            self.assertEqual(sorted(statuses), [201] + [409] * 11)

    def test_threads_lose_no_change(self):
        fields = ['sn', 'uid', 'givenName', 'displayName'] * 3
        for number in range(20):
            at_once(lambda field, n=number: client().patch_json(
                '/users/bob', {field: f'new{n}'}, headers=self.bearer), fields)
            self.assertEqual({api.users['bob'][field] for field in fields}, {f'new{number}'})

    def test_change_does_not_bring_back_who_was_deleted(self):
        for number in range(20):
            api.users['eve'] = {**START['users']['bob'], 'cn': 'eve'}
            at_once(lambda n: (client().delete if n == 6 else client().patch_json)(
                '/users/eve', *([] if n == 6 else [{'sn': 'x'}]), headers=self.bearer,
                expect_errors=True), range(12))
            self.assertNotIn('eve', api.users)


# --- Courses ----------------------------------------------------------------------------------

class Courses(Case):
    """/courses and /login."""

    def setUp(self):
        super().setUp()
        self.course = {'code': 'CSE101', 'name': 'Python', 'instructor': 'Guido'}
        self.app.authorization = ('Bearer', api.make_token(api.DEMO))

    def test_list(self):
        self.assertEqual(self.app.get('/courses').json,
                         {'courses': list(START['courses'].values())})

    def test_get(self):
        self.assertEqual(self.app.get('/courses/CSE115').json, {
            'code': 'CSE115', 'name': 'Introduction to programming language',
            'instructor': 'John stuart'})

    def test_unknown_courses_are_404(self):
        missing = {'error': 'Course code is not found in the courses'}
        change = {'name': 'x', 'instructor': 'y'}
        for code in ['CSE101', 'cse115', 'CSE115%0A', '%C3%A9']:
            self.assertEqual(self.app.get(f'/courses/{code}', status=404).json, missing)
            for call in [self.app.put_json, self.app.patch_json]:
                self.assertEqual(call(f'/courses/{code}', change, status=404).json, missing)
            self.assertEqual(self.app.delete(f'/courses/{code}', status=404).json, missing)
        self.assertEqual(api.courses, START['courses'])

    def test_post(self):
        answer = self.app.post_json('/courses', self.course, status=201)
        self.assertEqual((answer.body, answer.headers['Location']), (b'', '/courses/CSE101'))
        self.assertEqual(self.app.get('/courses/CSE101').json, self.course)

    def test_post_without_code_is_400(self):
        for code in [{}, {'code': ''}, {'code': None}]:
            answer = self.app.post_json('/courses', {'name': 'x', 'instructor': 'y', **code},
                                        status=400)
            self.assertEqual(answer.json, {'error': 'course code must be provided'})

    def test_post_twice_is_409(self):
        self.refused(self.app.post_json('/courses', {**self.course, 'code': 'CSE115'}, status=409),
                     'in use', error='error')
        self.assertEqual(api.courses, START['courses'])

    def test_bad_fields_are_400(self):
        for field, values in {
                'code': ['x' * 33, 'a b', 'é', 'a/b', '.', '..', 'CSE\n', 115, True, ['x']],
                'name': ['', 'x' * 121, None, 1, []],
                'instructor': ['', 'x' * 121, None, {}, False]}.items():
            for value in values:
                course = {**self.course, field: value}
                self.refused(self.app.post_json('/courses', course, status=400), field,
                             error='error')
                if field != 'code':
                    self.refused(self.app.put_json('/courses/CSE115', course, status=400), field,
                                 error='error')
                    self.refused(self.app.patch_json('/courses/CSE115', {field: value}, status=400),
                                 field, error='error')
        for field in ['name', 'instructor']:
            course = {name: value for name, value in self.course.items() if name != field}
            self.refused(self.app.post_json('/courses', course, status=400), field, error='error')
        self.assertEqual(api.courses, START['courses'])

    def test_put(self):
        answer = self.app.put_json('/courses/CSE115', {'name': 'n', 'instructor': 'i'}, status=204)
        self.assertEqual((answer.body, answer.headers['Location']), (b'', '/courses/CSE115'))
        self.assertEqual(self.app.get('/courses/CSE115').json,
                         {'code': 'CSE115', 'name': 'n', 'instructor': 'i'})

    def test_put_wants_both(self):
        for change in [{}, {'name': 'x'}, {'instructor': 'x'}, {'code': 'x'}]:
            answer = self.app.put_json('/courses/CSE115', change, status=400)
            self.assertEqual(answer.json, {
                'error': "Course name and instructor's name must be provided"})

    def test_patch(self):
        self.app.patch_json('/courses/CSE115', {'name': 'n'}, status=204)
        answer = self.app.patch_json('/courses/CSE115', {'instructor': 'i'}, status=204)
        self.assertEqual(answer.headers['Location'], '/courses/CSE115')
        self.app.patch_json('/courses/CSE465', {'name': 'n', 'instructor': 'i'}, status=204)
        self.assertEqual(api.courses, {
            'CSE115': {'code': 'CSE115', 'name': 'n', 'instructor': 'i'},
            'CSE465': {'code': 'CSE465', 'name': 'n', 'instructor': 'i'}})

    def test_patch_wants_one(self):
        for change in [{}, {'code': 'x'}]:
            answer = self.app.patch_json('/courses/CSE115', change, status=400)
            self.assertEqual(answer.json, {
                'error': "Course name or instructor's name must be provided"})

    def test_code_stays(self):
        self.app.put_json('/courses/CSE115', {'name': 'n', 'instructor': 'i', 'code': 'X'})
        self.assertEqual(set(api.courses), {'CSE115', 'CSE465'})
        self.assertEqual(api.courses['CSE115']['code'], 'CSE115')

    def test_delete(self):
        answer = self.app.delete('/courses/CSE115', status=204)
        self.assertEqual((answer.body, answer.headers['Location']), (b'', '/courses/'))
        self.app.delete('/courses/CSE115', status=404)

    def test_login(self):
        self.app.authorization = None
        account = {'username': api.API_USERNAME, 'password': api.API_PASSWORD}
        for post in [self.app.post_json, self.app.post]:
            answer = post('/login', account, status=200)
            self.assertEqual(answer.content_type, 'text/plain')
            self.assertEqual(answer.headers['Cache-Control'], 'no-store')
            self.app.get('/courses', headers={'Authorization': f'Bearer {answer.text}'})
        answer = self.app.post_json('/login', {**account, 'password': 'x'}, status=401)
        self.assertEqual(answer.json, {'error': 'username or password is not correct'})

    def test_threads_add_a_course_once(self):
        for number in range(20):
            with slow_lookups():
                statuses = at_once(lambda _, n=number: client().post_json(
                    '/courses', {**self.course, 'code': f'C{n}'}, headers=self.bearer,
                    expect_errors=True).status_int, range(12))
            self.assertEqual(sorted(statuses), [201] + [409] * 11)

    def test_threads_lose_no_change(self):
        for number in range(20):
            at_once(lambda field, n=number: client().patch_json(
                '/courses/CSE115', {field: f'new{n}'}, headers=self.bearer),
                ['name', 'instructor'] * 6)
            self.assertEqual(api.courses['CSE115'], {
                'code': 'CSE115', 'name': f'new{number}', 'instructor': f'new{number}'})


# --- Docs -------------------------------------------------------------------------------------

class Docs(Case):
    """/swagger.yaml and /health."""

    def test_health(self):
        self.assertEqual(self.app.get('/health').json, {'status': 'ok'})

    def test_docs_end_at_the_page(self):
        self.assertEqual(self.app.get('/docs', status=308).headers['Location'], '/docs/')
        answer = self.app.get('/docs/')
        self.assertEqual(answer.content_type, 'text/html')
        self.assertEqual(answer.headers['Content-Security-Policy'],
                         "default-src 'self'; img-src 'self' data:")
        for name in re.findall('(?:src|href)="(.+?)"', answer.text):
            found = self.app.get('/docs/' + name.removeprefix('./'))
            self.assertGreater(len(found.body), 100)

    def test_set_up_of_the_page(self):
        text = self.app.get('/docs/swagger-initializer.js').text
        for word in ['/swagger.yaml', 'deepLinking', 'persistAuthorization', 'tryItOutEnabled']:
            self.assertIn(word, text)
        self.assertNotIn('petstore', text)

    def test_docs_are_cached(self):
        answer = self.app.get('/docs/swagger-ui.css')
        self.assertIn('max-age', answer.headers['Cache-Control'])
        self.app.get('/docs/swagger-ui.css', status=304,
                     headers={'If-Modified-Since': answer.headers['Last-Modified']})

    def test_docs_serve_their_own_folder_only(self):
        for name in ['..%2F..%2F__init__.py', '../__init__.py', '%2Fetc%2Fpasswd', '..', 'x.html',
                     '..%5C..%5C__init__.py', '%2e%2e%2f__init__.py', 'a%00']:
            self.assertIn(self.app.get(f'/docs/{name}', expect_errors=True).status_int, [403, 404])

    def test_swagger_is_served_as_it_is(self):
        answer = self.app.get('/swagger.yaml')
        self.assertEqual(answer.content_type, 'application/yaml')
        self.assertEqual(answer.body, (HERE / 'swagger.yaml').read_bytes())


class Contract(unittest.TestCase):
    """The texts that describe the service, held against it."""

    def test_swagger_has_every_route_and_no_other(self):
        described, path = set(), None
        for line in (HERE / 'swagger.yaml').read_text().split('\ncomponents:')[0].splitlines():
            if match := re.fullmatch(r'  (/\S*):', line):
                path = match[1]
            elif match := re.fullmatch(r'    (get|put|post|patch|delete):', line):
                described.add((match[1].upper(), path))
        routes = {(route.method, re.sub('<(.*?)(:.*?)?>', r'{\1}', route.rule).rstrip('/') or '/')
                  for route in api.app.routes if route.rule != '/docs/<name>'}  # files of the page
        self.assertGreater(len(routes), 35)
        self.assertEqual(described, routes)

    def test_manual_and_readme_have_every_setting(self):
        names = set(re.findall(r"(?:setting\(|os\.environ\.get\()'(\w+)'",
                               (HERE / 'api.py').read_text()))
        self.assertEqual(names, set(SETTINGS))
        readme = (HERE / 'README.md').read_text()
        for name in names:
            self.assertIn(name, api.__doc__)
            self.assertTrue(f'`{name}`' in readme, name)

    def test_packages_are_the_same_everywhere(self):
        pinned = set(re.findall(r'[\w-]+==[\d.]+', (HERE / 'requirements.txt').read_text()))
        self.assertEqual(len(pinned), 5)
        for name, packages in [('api.py', {p for p in pinned if not p.startswith('webtest')}),
                               ('test_api.py', pinned)]:
            header = (HERE / name).read_text().split('# ///\n')[0]
            self.assertEqual(set(re.findall(r'[\w-]+==[\d.]+', header)), packages, name)


# --- Main -------------------------------------------------------------------------------------

@contextlib.contextmanager
def service(folder=HERE, **environment):
    """Start api.py as a user does, on a free port; yield its process, url and first lines."""
    process = subprocess.Popen(
        [sys.executable, 'api.py'], cwd=folder, env={**os.environ, 'PORT': '0', **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        lines = [process.stdout.readline() for _ in range(3)]
        process.url = re.search('http://[^ ]+', lines[0])[0]
        process.lines = lines
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def fetch(url, data=None, headers=(), timeout=10):
    """Send a request as JSON and return status and the answer's JSON."""
    request = urllib.request.Request(
        url, None if data is None else json.dumps(data).encode(),
        {'Content-Type': 'application/json', **dict(headers)})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def raw(url, sent, half=False):
    """Send bytes to the service and return all that it sends back."""
    host, port = re.fullmatch(r'http://(.+):(\d+)', url).groups()
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(sent)
        if not half:
            connection.shutdown(socket.SHUT_WR)
        received = b''
        with contextlib.suppress(ConnectionResetError):  # after an answer that came early
            while part := connection.recv(65536):
                received += part
        return received


class Main(Case):
    """Start-up, log and stop of the real service."""

    def failed_start(self, **environment):
        """Start the service with bad settings; return the one line that it ends with."""
        ended = subprocess.run(
            [sys.executable, HERE / 'api.py'], env={**os.environ, 'PORT': '0', **environment},
            check=False, capture_output=True, text=True, timeout=20)
        self.assertEqual((ended.returncode, ended.stdout), (1, ''), ended)
        self.assertEqual(ended.stderr.count('\n'), 1, ended.stderr)
        return ended.stderr

    def test_start_prints_where_it_is_and_how_to_sign_in(self):
        with service() as process:
            self.assertEqual(fetch(process.url + '/health'), (200, {'status': 'ok'}))
            self.assertIn(f'{process.url}/docs', process.lines[1])
            curl = process.lines[2].split(': ', 1)[1]
            answer = subprocess.check_output(f'{curl.strip()} -s', shell=True)
            token = json.loads(answer)['access_token']
            status, users = fetch(process.url + '/users',
                                  headers={'Authorization': f'Bearer {token}'})
            self.assertEqual((status, len(users)), (200, 2))

    def test_settings_from_the_environment(self):
        with service(API_USERNAME='jörg', API_PASSWORD='pässword', SECRET_KEY='k' * 32,
                     HOST='localhost') as process:
            self.assertNotIn('pässword', ''.join(process.lines))
            status, answer = fetch(process.url + '/token',
                                   {'username': 'jörg', 'password': 'pässword'})
            self.assertEqual(status, 200)
            claims = jwt.decode(answer['access_token'], 'k' * 32, ['HS256'])
            self.assertEqual(claims['sub'], 'jörg')
            self.assertEqual(fetch(process.url + '/token', {
                'username': 'admin', 'password': api.DEMO_PASSWORD})[0], 401)

    def test_warning_where_others_can_reach_the_demo_password(self):
        for environment, warned in [({'HOST': '0.0.0.0'}, True), ({}, False),
                                    ({'HOST': '0.0.0.0', 'API_PASSWORD': 'another'}, False)]:
            with service(**environment) as process:
                port = process.url.rsplit(':', 1)[1]
                fetch(f'http://127.0.0.1:{port}/health')
                self.assertEqual('WARNING' in process.stdout.readline(), warned)

    def test_pages_may_read_nothing_unless_their_origin_is_named(self):
        for environment, allowed in [({}, None), ({'CORS_ORIGIN': ''}, None),
                                     ({'CORS_ORIGIN': 'https://a.example'}, 'https://a.example'),
                                     ({'CORS_ORIGIN': 'http://[::1]:8 https://a.example'},
                                      'https://a.example')]:
            with service(**environment) as process:
                request = urllib.request.Request(f'{process.url}/films/1', headers={
                    'Origin': 'https://a.example'})
                with urllib.request.urlopen(request, timeout=10) as answer:
                    self.assertEqual(answer.headers['Access-Control-Allow-Origin'], allowed)
                    self.assertEqual(answer.headers['Vary'], allowed and 'Origin')

    def test_help_lists_every_setting(self):
        manual = subprocess.check_output([sys.executable, HERE / 'api.py', '--help'], text=True)
        for name in SETTINGS:
            self.assertIn(name, manual)
        wrong = {**os.environ, 'PORT': 'abc'}  # help is wanted just then
        self.assertEqual(manual, subprocess.check_output(
            [sys.executable, HERE / 'api.py', '--help'], env=wrong, text=True))

    def test_bad_settings_end_it_with_one_line(self):
        for name, values in {
                'PORT': ['abc', '', '-1', '65536', '5000.5'], 'SECRET_KEY': ['', 'x' * 31],
                'API_USERNAME': [''], 'API_PASSWORD': [''], 'HOST': ['', 'no such host'],
                'SCRIPT_TIMEOUT': ['', 'abc', '0', '-1', 'nan', 'inf'],
                'RATE_LIMIT': ['', 'abc', '-1', '1001', '1.5'], 'MAX_ITEMS': ['', 'abc', '0', '-1'],
                'CORS_ORIGIN': ['*', 'null', 'a.example', 'https://a.example/', 'HTTPS://A.example',
                                'https://a.example,https://b.example', 'https://é.example'],
                'TRUSTED_PROXY': ['', 'caddy', '10.0.0.0/8', 'None']}.items():
            for value in values:
                line = self.failed_start(**{name: value})
                self.assertIn('listen' if name == 'HOST' and value else name, line)
                self.assertNotIn('x' * 31, line)

    def test_taken_port_ends_it_with_one_line(self):
        with service() as process:
            port = process.url.rsplit(':', 1)[1]
            self.assertIn(port, self.failed_start(PORT=port))

    def test_debug_reloads_and_hides_tracebacks(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(shutil.copy(HERE / 'api.py', folder))
            with service(folder, DEBUG='1') as process:
                self.assertEqual(fetch(process.url + '/'), (200, {'hello': 'world'}))
                port = process.url.rsplit(':', 1)[1]
            with service(folder, DEBUG='1', PORT=port) as process:
                text = copy.read_text()
                copy.write_text(text.replace("{'hello': 'world'}", "{'hello': 'again', 'x': 1 / y}")
                                .replace("@app.get('/')", "y = 1\n\n@app.get('/')"))
                for _ in range(100):
                    with contextlib.suppress(OSError):
                        if fetch(process.url + '/')[1].get('hello') == 'again':
                            break
                    time.sleep(0.1)
                self.assertEqual(fetch(process.url + '/'), (200, {'hello': 'again', 'x': 1.0}))
                copy.write_text(copy.read_text().replace('y = 1\n', 'y = 0\n'))
                for _ in range(100):
                    with contextlib.suppress(OSError):
                        if fetch(process.url + '/')[0] == 500:
                            break
                    time.sleep(0.1)
                self.assertEqual(fetch(process.url + '/'),
                                 (500, {'message': 'Internal Server Error'}))
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(5), 0)

    def test_log_has_a_line_a_request_and_no_secret(self):
        with service() as process:
            account = {'username': 'admin', 'password': api.DEMO_PASSWORD}
            token = fetch(process.url + '/token', account)[1]['access_token']
            key = fetch(process.url + '/api/generate_key/tony')[1]['api_key']
            fetch(f'{process.url}/courses/CSE115?token={token}',
                  headers={'Authorization': f'Bearer {token}', 'Referer': token})
            fetch(process.url + '/api/create', {'value1': 'x'}, {'api-key': key})
            fetch(process.url + '/films/a%0A127.0.0.1%20-%20%22%C3%A9')
            raw(process.url, b'nonsense\r\n\r\n')
            process.send_signal(signal.SIGTERM)
            lines = process.stdout.read().splitlines()
        pattern = (r'127\.0\.0\.1 - (\S+) \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] '
                   r'"(\w+ \S+) HTTP/1\.1" (\d{3}) (\d+|-) \d+\.\dms')
        found = [re.fullmatch(pattern, line).groups()[:3] for line in lines[:5]]
        self.assertEqual(found, [
            ('-', 'POST /token', '200'), ('-', 'GET /api/generate_key/tony', '201'),
            ('admin', 'GET /courses/CSE115', '200'), ('tony', 'POST /api/create', '201'),
            ('-', 'GET /films/a%0A127.0.0.1%20-%20%22%C3%A9', '404')])
        self.assertRegex(lines[5], r'^- - - \[.+\] "-" 400 - 0\.0ms$')
        for secret in [token, key, api.DEMO_PASSWORD]:
            self.assertNotIn(secret, '\n'.join(lines))

    def test_log_tells_who_was_refused_and_what_scripts_did(self):
        with fake_pwsh('exit 3'), service() as process:
            fetch(process.url + '/token', {'username': 'a\n"é', 'password': 'my password'})
            fetch(process.url + '/hello_world', headers=basic('x' * 1000, 'my password'))
            fetch(process.url + '/api/create', {}, {'api-key': 'sumit.my-key'})
            fetch(process.url + '/run-script', {}, bearer(api.DEMO))
            account = {'username': 'admin', 'password': api.DEMO_PASSWORD}
            token = fetch(process.url + '/token', account)[1]['access_token']
            fetch(process.url + '/run-script', {}, {'Authorization': f'Bearer {token}'})
            process.send_signal(signal.SIGTERM)
            text = process.stdout.read()
        lines = [line for line in text.splitlines() if not line.startswith('127.0.0.1 ')]
        self.assertEqual(lines[0], r"""Refused to sign in 'a\n"\xe9' from 127.0.0.1""")
        self.assertRegex(lines[1], "^Refused to sign in 'x{79} from 127.0.0.1$")
        self.assertEqual(lines[2], "Refused to sign in '?' from 127.0.0.1")
        number = re.fullmatch(r"Script (\d+) started by 'admin'", lines[3])[1]
        self.assertEqual(lines[4:], [f'Script {number} ended with exit code 3'])
        for secret in ['my password', 'my-key', token]:
            self.assertNotIn(secret, text)

    def test_log_has_the_traceback_of_a_fault(self):
        with tempfile.TemporaryDirectory() as folder:
            text = (HERE / 'api.py').read_text()
            Path(folder, 'api.py').write_text(text.replace("{'hello': 'world'}", '1 / 0'))
            with service(folder) as process:
                self.assertEqual(fetch(process.url + '/'),
                                 (500, {'message': 'Internal Server Error'}))
                process.send_signal(signal.SIGTERM)
                log = process.stdout.read()
        self.assertIn('Traceback (most recent call last)', log)
        self.assertIn('ZeroDivisionError', log)
        self.assertIn('"GET / HTTP/1.1" 500', log)

    def test_tokens_of_the_demo_account_end_with_its_name_and_password(self):
        key = {'SECRET_KEY': 'k' * 32}
        with service(API_USERNAME='alice', **key) as process:
            account = {'username': 'alice', 'password': api.DEMO_PASSWORD}
            token = fetch(process.url + '/token', account)[1]['access_token']
            self.assertEqual(fetch(f'{process.url}/users', headers=self.header(token))[0], 200)
        for changed, status in [({'API_USERNAME': 'alice'}, 200), ({}, 401),
                                ({'API_USERNAME': 'alice', 'API_PASSWORD': 'another'}, 401)]:
            with service(**key, **changed) as process:
                self.assertEqual(fetch(f'{process.url}/courses', headers=self.header(token))[0],
                                 status, changed)

    def header(self, token):
        """Return the header that carries this token."""
        return {'Authorization': f'Bearer {token}'}

    def test_clients_that_send_ahead_and_never_read_hold_nobody_up(self):
        with service() as process, contextlib.ExitStack() as stack:
            host, port = process.url.split('//')[1].split(':')
            for _ in range(api.WAITRESS['threads'] + 1):
                one = stack.enter_context(socket.socket())
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                one.connect((host, int(port)))
                one.sendall(b'GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n' * 40)
            time.sleep(1)
            self.assertEqual(fetch(process.url + '/health')[0], 200)

    def test_address_is_the_client_s_if_the_proxy_is_trusted(self):
        wrong = {'username': 'x', 'password': 'x'}
        for proxy, counted in [('-', '127.0.0.1'), ('127.0.0.2', '127.0.0.1'),
                               ('127.0.0.1', '192.0.2.7'), ('*', '192.0.2.7')]:
            with service(TRUSTED_PROXY=proxy, RATE_LIMIT='1') as process:
                sent = {'X-Forwarded-For': '203.0.113.1, 192.0.2.7', 'Forwarded': 'for=1.2.3.4'}
                self.assertEqual(fetch(process.url + '/token', wrong, sent)[0], 401)
                self.assertIn(f'from {counted}', process.stdout.readline())
                self.assertIn(f'{counted} - - [', process.stdout.readline())
                self.assertEqual(fetch(process.url + '/token', wrong, sent)[0], 429)
                sent = {'X-Forwarded-For': '203.0.113.1, 192.0.2.8'}
                self.assertEqual(fetch(process.url + '/token', wrong, sent)[0],
                                 429 if counted == '127.0.0.1' else 401)

    def test_what_waitress_refuses_is_json_too(self):
        with service() as process:
            long = b'GET /films HTTP/1.1\r\nX: ' + b'a' * 300_000 + b'\r\n\r\n'
            for sent, status in [
                    (b'nonsense\r\n\r\n', 400), (b'GET /films HTTP/1.1\r\nno colon\r\n\r\n', 400),
                    (b'get /films HTTP/1.1\r\n\r\n', 400), (long, 431),
                    (b'GET http://[ HTTP/1.1\r\n\r\n', 400),
                    (b'POST /data HTTP/1.1\r\nContent-Length: x\r\n\r\n', 400),
                    (b'POST /data HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n', 413),
                    (b'POST /data HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n', 400),
                    (b'POST /data HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n', 400)]:
                answer = raw(process.url, sent)
                head, body = answer.split(b'\r\n\r\n', 1)
                self.assertIn(b' %d ' % status, head.split(b'\r\n')[0])
                self.assertIn(b'Content-Type: application/json', head)
                self.assertIn('message', json.loads(body))
            self.assertEqual(fetch(process.url + '/health')[0], 200)

    def test_answers_without_a_body_leave_the_connection_open(self):
        with service() as process:
            options = b'OPTIONS /films HTTP/1.%d\r\n%s\r\n'
            get = b'GET /health HTTP/1.1\r\nConnection: close\r\n\r\n'
            for first, answers in [(options % (1, b''), 2), (options % (0, b''), 1),
                                   (options % (1, b'Connection: Keep-Alive\r\n'), 2),
                                   (options % (1, b'Connection: Close\r\n'), 1)]:
                received = raw(process.url, first + get)
                self.assertEqual(received.count(b'HTTP/1.'), answers, first)
                self.assertNotIn(b'Content-Length', received.split(b'\r\n\r\n')[0])

    def test_chunked_bodies(self):
        with service() as process:
            host = process.url.split('//')[1]
            for body, status in [(b'{"a": 1}', 200), (b'"%s"' % (b'a' * 200_000), 413)]:
                connection = http.client.HTTPConnection(host, timeout=10)
                connection.request('POST', '/data', iter([body]), encode_chunked=True, headers={
                    'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked'})
                self.assertEqual(connection.getresponse().status, status)
                connection.close()

    def stop(self, process, number=signal.SIGTERM):
        """Send the signal; return how long the service took to end with exit code 0."""
        start = time.monotonic()
        process.send_signal(number)
        self.assertEqual(process.wait(10), 0)
        return time.monotonic() - start

    def test_stop_when_idle_takes_less_than_a_second(self):
        for number in [signal.SIGINT, signal.SIGTERM]:
            with service() as process, socket.create_connection(
                    process.url.split('//')[1].split(':')) as idle:
                idle.sendall(b'POST /films HTTP/1.1\r\nContent-Length: 9\r\n\r\n')  # half of one
                self.assertLess(self.stop(process, number), 1)

    def test_stop_finishes_what_has_arrived(self):
        with tempfile.TemporaryDirectory() as folder:
            text = (HERE / 'api.py').read_text()
            browser = "    if 'text/html' in"
            slow = text.replace(browser, f'    time.sleep(0.3)\n{browser}')
            self.assertNotEqual(slow, text)
            Path(folder, 'api.py').write_text(slow)
            with service(folder) as process, ThreadPoolExecutor(12) as pool:
                answers = [pool.submit(fetch, process.url + '/') for _ in range(12)]
                time.sleep(0.4)  # more than there are threads are waiting now
                self.stop(process)
                self.assertEqual([answer.result() for answer in answers],
                                 [(200, {'hello': 'world'})] * 12)

    def test_stop_kills_a_running_script(self):
        with tempfile.TemporaryDirectory() as folder, \
                fake_pwsh(f'echo $$ > {folder}/pid; sleep 60'), service() as process:
            account = {'username': 'admin', 'password': api.DEMO_PASSWORD}
            token = fetch(process.url + '/token', account)[1]['access_token']
            with ThreadPoolExecutor() as pool:
                answer = pool.submit(fetch, process.url + '/run-script', {},
                                     {'Authorization': f'Bearer {token}'})
                while not (Path(folder, 'pid').exists() and Path(folder, 'pid').read_text()):
                    time.sleep(0.01)
                self.assertLess(self.stop(process), 2)
                status, body = answer.result()
            self.assertEqual((status, list(body)), (503, ['message']))
            WeekendAPI.assert_ended(self, [Path(folder, 'pid').read_text().strip()])

    def test_stop_sends_a_long_answer_to_its_end(self):
        with fake_pwsh('head -c 1048576 /dev/zero | tr "\\0" "\\1"'), service() as process:
            account = {'username': 'admin', 'password': api.DEMO_PASSWORD}
            token = fetch(process.url + '/token', account)[1]['access_token']
            connection = http.client.HTTPConnection(process.url.split('//')[1], timeout=10)
            connection.request('POST', '/run-script', headers={'Authorization': f'Bearer {token}'})
            answer = connection.getresponse()
            stopper = threading.Timer(0.2, process.send_signal, [signal.SIGTERM])
            stopper.start()
            time.sleep(0.5)  # the six million bytes are not all in the socket's buffers by now
            self.assertEqual(len(json.loads(answer.read())['output']), 2 ** 20)
            self.assertEqual(process.wait(10), 0)


def main():
    """Run the tests that are named on the command line, or all; print how many passed."""
    module, loader = sys.modules['__main__'], unittest.defaultTestLoader
    tests = (loader.loadTestsFromNames(sys.argv[1:], module) if sys.argv[1:]
             else loader.loadTestsFromModule(module))
    total = tests.countTestCases()
    result = unittest.TextTestRunner().run(tests)
    failed = len({test.id() for test, _ in result.failures + result.errors})
    passed = total - failed - len(result.skipped)
    print(f'{passed} passed, {failed} failed')
    sys.exit(failed > 0)


if __name__ == '__main__':
    main()
