# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "bottle==0.13.4",
#     "pyjwt==2.15.1",
#     "swagger-ui-bundle-v2==5.31.0",
#     "waitress==3.0.2",
# ]
# ///
# The lines above are for uv.
# Copyright (c) 2026 the One-File API authors, MIT License (opensource.org/license/mit)
"""One-File API: the REST APIs of five tutorials in one file, made to be copied.

"python api.py" serves on http://127.0.0.1:5000 until Ctrl-C; /docs shows all routes.

It uses Bottle, which looks like a small Flask. @app.get(PATH) makes a route, and a dict
that it returns is sent as JSON. HTTPResponse(film, 201, Location='/films/3') has a
body, a status and a header. HTTPError(404, 'There is no such film') is an error: what
docstrings call "raise 404".

Films, Hello, Weekend API, Records, Users, Courses and Docs are sections: copy this
file, delete the sections that you do not want, and the rest runs. Weekend API needs
script.ps1 beside it, and Docs swagger.yaml.
"""
import base64
import hashlib
import ipaddress
import json
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

import bottle
import jwt
import waitress
from bottle import HTTPError, HTTPResponse, request, response
from swagger_ui_bundle import swagger_ui_path

# --- Settings -------------------------------------------------------------------------


def setting(name, default=''):
    """Return a setting of the environment, or its default if unset or empty."""
    text = os.environ.get(name) or default
    # It is not printable if it has a line end, or bytes that are not UTF-8.
    if not text.isprintable() or text != text.strip():
        sys.exit(f'{name} must be text in UTF-8, without blanks at its ends')
    return text


def number_setting(name, default, least, most, kind=int):
    """Return a setting that is a number from least to most."""
    with suppress(ValueError):
        value = kind(setting(name, str(default)))
        if least <= value <= most:
            return value
    sys.exit(f'{name} must be a number from {least} to {most}, as in {name}={default}')


# Only this machine reaches 127.0.0.1. To let others in, take 0.0.0.0, set API_PASSWORD,
# and put a proxy with TLS in front.
HOST = setting('HOST', '127.0.0.1')
# 0 is a free port.
PORT = number_setting('PORT', 5000, 0, 65535)
# Signs tokens. If it is not set, they end with a restart.
SECRET_KEY = setting('SECRET_KEY', secrets.token_hex())
# The demo account.
API_USERNAME = setting('API_USERNAME', 'admin')
API_PASSWORD = setting('API_PASSWORD', 'atCh_5K}?g')
# Failed sign-ins a minute for a name at an address; 0 is no limit.
RATE_LIMIT = number_setting('RATE_LIMIT', 10, 0, 1000)
# The proxy whose X-Forwarded headers count, or * for any.
TRUSTED_PROXY = setting('TRUSTED_PROXY')
# Items that a collection may hold.
MAX_ITEMS = number_setting('MAX_ITEMS', 10_000, 1, 1_000_000_000)
# Other sites whose pages may call this, with blanks between.
CORS_ORIGIN = setting('CORS_ORIGIN').split()
# Keeps the data, as in sqlite:///api.db.
DATABASE_URL = setting('DATABASE_URL')
# Seconds that script.ps1 may take.
SCRIPT_TIMEOUT = number_setting('SCRIPT_TIMEOUT', 30, 0.1, 86_400, float)

if len(SECRET_KEY.encode()) < 32:
    sys.exit('SECRET_KEY must have 32 bytes or more')
if TRUSTED_PROXY not in ('', '*'):
    try:
        TRUSTED_PROXY = str(ipaddress.ip_address(TRUSTED_PROXY))
    except ValueError:
        sys.exit('TRUSTED_PROXY must be an address as in 127.0.0.1, or * for any')

# --- Errors ---------------------------------------------------------------------------

JSON = 'application/json'


class Api(bottle.Bottle):
    """Bottle, with errors in JSON."""

    def default_error_handler(self, error):
        """Return the body of an error as JSON; its text is the message."""
        if error.exception:
            # After a fault, Bottle has dropped the headers that hooks have set.
            self.trigger_hook('after_request')
        # A dict is JSON by now.
        if error.content_type == JSON:
            return error.body
        return json_answer({'message': error.body})


app = Api()


def json_answer(value):
    """Return a value as JSON; for a dict, Bottle does it."""
    response.content_type = JSON
    return json.dumps(value)


@app.error(405)
def answer_wrong_method(error):
    """Name the methods of a path in Allow; for OPTIONS, that is the answer."""
    methods = error.headers['Allow'].replace('GET', 'GET,HEAD')
    response.set_header('Allow', f'{methods},OPTIONS')
    if request.method == 'OPTIONS':
        response.status = 204
        return ''
    return app.default_error_handler(error)


@app.hook('before_request')
def refuse_bad_path():
    """Raise 400 for a path that is not UTF-8."""
    # Bottle leaves bad bytes out, and would answer /films/%FF1 with film 1.
    raw_path = request['bottle.raw_path']
    if request['PATH_INFO'].encode() != raw_path.encode('latin-1'):
        raise HTTPError(400, 'The path must be UTF-8')


@app.hook('after_request')
def forbid_sniffing():
    """Let no browser guess that an answer is a page or a script."""
    response.set_header('X-Content-Type-Options', 'nosniff')


# --- Requests -------------------------------------------------------------------------

FORM = 'application/x-www-form-urlencoded'
MAX_BODY = 100 * 1024  # bytes


def get_header(name, default=''):
    """Return a header of the request; Bottle's own fails if it is not UTF-8."""
    variable = 'HTTP_' + name.upper().replace('-', '_')
    return request.get(variable, default)


def sent_type():
    """Return the media type of the body, without a charset."""
    return request.content_type.partition(';')[0].strip()


def read_text(*types):
    """Return the body, which must be of one of these types; raise 400, 413 or 415."""
    if sent_type() not in types:
        raise HTTPError(415, f'Content-Type must be {" or ".join(types)}')
    if get_header('Content-Encoding', 'identity').lower() != 'identity':
        raise HTTPError(415, 'The body must be sent without a Content-Encoding')
    # gunicorn has decoded a chunked body, and Bottle would decode it again.
    if request.get('wsgi.input_terminated'):
        stream = request['wsgi.input']
    else:
        stream = request.body
    body = stream.read(MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise HTTPError(413, f'The body must not be longer than {MAX_BODY} bytes')
    if len(body) < request.content_length:
        raise HTTPError(400, 'The body is shorter than its Content-Length')
    try:
        # Windows' tools put a byte order mark before a text; utf-8-sig leaves it out.
        return body.decode('utf-8-sig')
    except UnicodeDecodeError:
        raise HTTPError(400, 'The body must be UTF-8')


def parse_json(text):
    """Return the value of a JSON text (RFC 8259); raise 400."""
    try:
        value = json.loads(text)
        # Refuse what could not be sent back: NaN, 1e999, half a character.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as problem:
        raise HTTPError(400, f'The body is not valid JSON: {problem}')
    return value


def read_fields(*types):
    """Return the fields of the body, which is JSON or a form; raise 400, 413 or 415."""
    text = read_text(*types).strip()
    if sent_type() == JSON:
        fields = parse_json(text)
        if not isinstance(fields, dict):
            raise HTTPError(400, 'The body must be a JSON object')
        return fields
    if text.startswith(('{', '[')):
        raise HTTPError(400, f'This looks like JSON: its Content-Type must be {JSON}')
    try:
        return dict(parse_qsl(text, keep_blank_values=True, errors='strict'))
    except ValueError:
        raise HTTPError(400, 'The form must be UTF-8')


# --- Fields ---------------------------------------------------------------------------


class Rule(NamedTuple):
    """What a field may hold: values of some types, whose text matches a pattern."""

    wording: str
    pattern: str = '.*'
    types: tuple = (str,)

    def allows(self, value):
        """Tell whether a value keeps the rule; a list, with each of up to 100 texts."""
        # Not isinstance(), for which True is a number.
        if type(value) not in self.types:
            return False
        if value is None:
            return True
        texts = value if isinstance(value, list) else [str(value)]
        if len(texts) > 100:
            return False
        return all(
            isinstance(text, str) and re.fullmatch(self.pattern, text, re.DOTALL)
            for text in texts
        )


def text_of(least, most):
    """Return the rule for a text of least to most characters."""
    pattern = '.{' + f'{least},{most}' + '}'
    return Rule(f'text of {least} to {most} characters', pattern)


NAME = Rule('1 to 64 of letters, digits, ., - and _', '[A-Za-z0-9._-]{1,64}')


def check(fields, rules, required=(), ignored=(), make_error=HTTPError):
    """Return the fields that have a rule; raise 400 that names a wrong one."""
    for name in fields:
        if name not in rules and name not in ignored:
            known = ', '.join(rules)
            raise make_error(400, f'{name} is not known here; known are {known}')
    kept = {}
    for name, rule in rules.items():
        if name in fields or name in required:
            kept[name] = fields.get(name)
            if not rule.allows(kept[name]):
                raise make_error(400, f'{name} must be {rule.wording}')
    return kept


# --- Collections ----------------------------------------------------------------------

all_collections = []
FULL = f'There is no room for more than {MAX_ITEMS} items'


class Collection:
    """Items by key, the oldest first, which several threads may use at once.

    An item is what JSON can hold. Never change it in place: use change().
    """

    def __init__(self, name, items=(), missing='{} is not there', make_error=HTTPError):
        self.name = name
        self.items = dict(items)
        self.number = len(items)
        self.missing = missing
        self.make_error = make_error
        self.lock = threading.Lock()
        all_collections.append(self)

    def get(self, key):
        """Return an item, or None."""
        return self.items.get(key)

    def find(self, key):
        """Return an item; raise 404."""
        item = self.get(key)
        if item is None:
            raise self.make_error(404, self.missing.format(key))
        return item

    def page(self, start=0, stop=sys.maxsize):
        """Return a dict of the items from start to stop."""
        with self.lock:
            return dict(islice(self.items.items(), start, stop))

    def count(self):
        """Return the number of items."""
        return len(self.items)

    def add(self, key, item):
        """Add an item if no other has this key; return whether it did; raise 507."""
        with self.lock:
            if key in self.items:
                return False
            if len(self.items) >= MAX_ITEMS:
                raise HTTPError(507, FULL)
            self.items[key] = item
            return True

    def next_number(self):
        """Return a number that was never given before."""
        with self.lock:
            self.number += 1
            return self.number

    def change(self, key, fields):
        """Replace fields of an item; return the new item; raise 404."""
        with self.lock:
            item = self.find(key) | fields
            self.items[key] = item
            return item

    def remove(self, key):
        """Remove an item; raise 404."""
        with self.lock:
            self.find(key)
            del self.items[key]


# --- Films ----------------------------------------------------------------------------

START_FILMS = {
    '1': {'Name': 'Avengers: Infinity War', 'Year': 2018, 'Month': 'March'},
    '2': {'Name': 'Ant Man and the Wasp', 'Year': 2018, 'Month': 'August'},
}
FILM_ID = Rule('1 to 64 of letters, digits, - and _', '[A-Za-z0-9_-]{1,64}')
# In JSON, 2018.0 is a whole number too.
YEARS = r'(18[7-9]\d|19\d\d|20\d\d|2100)(\.0)?'
MONTHS = (
    'January|February|March|April|May|June|'
    'July|August|September|October|November|December'
)
FILM = {
    'name': text_of(1, 200),
    'year': Rule('a whole number from 1870 to 2100', YEARS, (int, float)),
    'month': Rule("an English month's name", MONTHS),
}

films = Collection('films', START_FILMS, "Film {} doesn't exist")


def read_film():
    """Return the film in the body; raise 400, 413 or 415."""
    # The tutorial takes "name" and gives "Name". Here each may be sent.
    film = {}
    for name, value in read_fields(JSON, FORM).items():
        film[name.lower()] = value
    year = film.get('year', '')
    # A form has nothing but text.
    if sent_type() == FORM and re.fullmatch('[0-9]{4}', year):
        film['year'] = int(year)
    check(film, FILM, required=FILM)
    return {
        'Name': film['name'],
        'Year': int(film['year']),
        'Month': film['month'],
    }


@app.get('/films')
def list_films():
    """Return the films by their ids."""
    return list_page(films, ['Name', 'Year', 'Month'])  # see Lists


@app.post('/films')
def create_film():
    """Add a film under the next number."""
    film = read_film()
    film_id = films.next_number()
    while not films.add(str(film_id), film):  # PUT may have used this number
        film_id = films.next_number()
    return HTTPResponse(film, 201, Location=f'/films/{film_id}')


@app.get('/films/<film_id>')
def get_film(film_id):
    """Return a film; raise 404."""
    return films.find(film_id)


@app.put('/films/<film_id>')
def put_film(film_id):
    """Add a film under this id (201), or replace it (200)."""
    check({'id': film_id}, {'id': FILM_ID})
    film = read_film()
    if films.add(film_id, film):
        return HTTPResponse(film, 201)
    return films.change(film_id, film)


@app.delete('/films/<film_id>')
def delete_film(film_id):
    """Delete a film; raise 404."""
    films.remove(film_id)
    return HTTPResponse(status=204)


# --- Sign-in --------------------------------------------------------------------------

REALM = 'realm="One-File API"'
TOKEN_SECONDS = 30 * 60
SIGN_IN = {
    'username': text_of(1, 1000),
    'password': text_of(1, 1000),
}
# OAuth clients send these as well.
OAUTH_FIELDS = ['grant_type', 'scope', 'client_id', 'client_secret']


def hash_secret(secret):
    """Return a fast hash of a secret, which nobody can guess as it is random."""
    return hashlib.sha256(secret.encode()).hexdigest()


# A token holds the salt of its account's password, so a new password ends it.
DEMO = {
    'cn': API_USERNAME,
    'memberOfs': ['cn=Admins'],
    'password': API_PASSWORD,
    'salt': hash_secret(SECRET_KEY + API_PASSWORD),
}
# Collections of more accounts, where the password is a hash.
account_tables = []
# Two threads make all hashes, as each of them then keeps 16 MiB.
hash_threads = ThreadPoolExecutor(2)


def find_account(name):
    """Return the account with this name, or {} if there is none or it is locked."""
    if name == API_USERNAME:
        return DEMO
    for table in account_tables:
        account = table.get(name)
        if account and not account['accountLocked']:
            return account
    return {}


def hash_password(password, salt):
    """Return the scrypt hash (RFC 7914) of a password, in hex, after 0.2 s."""
    with lent_thread():  # see Server
        # The least work that OWASP advises.
        hashing = hash_threads.submit(
            hashlib.scrypt, password.encode(), salt=salt.encode(), n=2**13, r=8, p=10
        )
        return hashing.result().hex()


def sign_in(name, password):
    """Return the account with this name and password, or None; raise 429."""
    limit_sign_ins(name)  # see Limits
    account = find_account(name)
    right = account.get('password', '')
    if account is not DEMO:
        # Also if there is no such account, as a quicker answer would tell that.
        password = hash_password(password, account.get('salt', ''))
        limit_sign_ins(name)  # others may have failed meanwhile
    # Unlike ==, this takes as long whichever letter is wrong.
    if secrets.compare_digest(password.encode(), right.encode()):
        return account
    limit_sign_ins(name, has_failed=True)
    return None


def read_sign_in(make_error=HTTPError):
    """Return the account whose name and password were sent; raise 401 or 429."""
    sent = read_fields(JSON, FORM)
    given = check(
        sent, SIGN_IN, required=SIGN_IN, ignored=OAUTH_FIELDS, make_error=make_error
    )
    account = sign_in(given['username'], given['password'])
    if account is None:
        message = 'username or password is not correct'
        raise make_error(401, message, WWW_Authenticate=f'Bearer {REALM}')
    return account


def make_token(account):
    """Return a token for an account: a signed JWT (RFC 7519)."""
    now = int(time.time())
    claims = {
        'sub': account['cn'],
        'iat': now,
        'exp': now + TOKEN_SECONDS,
        'salt': account['salt'],
    }
    return jwt.encode(claims, SECRET_KEY, algorithm='HS256')


@lru_cache(1000)
def check_signature(token):
    """Return the claims of a token that we signed; raise jwt.InvalidTokenError."""
    options = {'require': ['exp', 'sub', 'salt'], 'verify_iat': False}
    # A token names its algorithm, but must not choose one.
    return jwt.decode(token, SECRET_KEY, algorithms=['HS256'], options=options)


def find_owner(token):
    """Return the account whose token this is, or {} if it is not valid."""
    try:
        claims = check_signature(token)
    except (jwt.InvalidTokenError, RecursionError):
        return {}
    # The claims may come from the cache, and not be true any more.
    if int(claims['exp']) <= time.time():
        return {}
    account = find_account(claims['sub'])
    return account if claims['salt'] == account.get('salt') else {}


def bearer():
    """Return the name of the user whose bearer token (RFC 6750) was sent; raise 401."""
    challenge = f'Bearer {REALM}'
    message = 'Please sign in, and send the token as Authorization: Bearer TOKEN'
    scheme, _, token = get_header('Authorization').partition(' ')
    if scheme.lower() == 'bearer':
        account = find_owner(token.strip())
        if account:
            return account['cn']
        challenge += ', error="invalid_token"'
        message = 'The token is not valid, or not any more: please sign in again'
    raise HTTPError(401, message, WWW_Authenticate=challenge)


def admin():
    """Return the name of an administrator who sent a token; raise 401 or 403."""
    name = bearer()
    for group in find_account(name).get('memberOfs', []):
        # As in cn=Admins,ou=groups,dc=example,dc=com.
        if group.split(',')[0] == 'cn=Admins':
            return name
    raise HTTPError(403, 'Only administrators may do this')


def check_caller(route):
    """Return a route that first checks who calls, by its auth=...

    This is a plugin: Bottle puts it around each route, as a decorator.
    """

    def checked(**kwargs):
        find_caller = request.route.config.get('auth')
        if find_caller:
            request['REMOTE_USER'] = find_caller()
        return route(**kwargs)

    return checked


app.install(check_caller)

# --- Hello ----------------------------------------------------------------------------


def basic():
    """Return the name of who signs in by HTTP Basic (RFC 7617); raise 401 or 429."""
    given = bottle.parse_auth(get_header('Authorization'))
    account = sign_in(*given) if given else None
    if account is None:
        message = 'Please sign in with user name and password'
        challenge = f'Basic {REALM}, charset="UTF-8"'
        raise HTTPError(401, message, WWW_Authenticate=challenge)
    return account['cn']


@app.get('/')
def get_root():
    """Greet a program; send a browser on to the docs page, if there is one."""
    has_docs = any(route.rule == '/docs' for route in app.routes)
    if has_docs and 'text/html' in get_header('Accept'):
        # No slash in front, so that it works under /myapp/ too.
        return HTTPResponse(status=302, Location='docs')
    return {'hello': 'world'}


@app.get('/hello_world', auth=basic)
def get_hello_world():
    """Greet who has signed in."""
    return {'Hello': 'World'}


# --- Weekend API ----------------------------------------------------------------------

SCRIPT = Path(__file__).with_name('script.ps1')


@app.get('/data')
def get_data():
    """Point to the other method."""
    return {'message': 'Hey please use the POST method for this endpoint'}


@app.post('/data')
def post_data():
    """Return the JSON value that was sent."""
    return json_answer(parse_json(read_text(JSON)))


@app.post('/token')
def post_token():
    """Return a token, as OAuth 2 does (RFC 6749, 5.1)."""
    try:
        account = read_sign_in()
    except HTTPError as problem:
        error = 'invalid_grant' if problem.status_code == 401 else 'invalid_request'
        problem.body = {'message': problem.body, 'error': error}
        raise
    answer = {
        'access_token': make_token(account),
        'token_type': 'Bearer',
        'expires_in': TOKEN_SECONDS,
    }
    return HTTPResponse(answer, cache_control='no-store')


@app.post('/run-script', auth=admin)
def post_run_script():
    """Run script.ps1 and return what it wrote; raise 500, 503 or 504."""
    return run_script(SCRIPT)  # see Scripts


# --- Records --------------------------------------------------------------------------


def record_error(status, message):
    """Return an error in the form of the tutorial."""
    return HTTPError(status, {'status': 'failed', 'message': message})


def success(message, **fields):
    """Return an answer in the form of the tutorial."""
    return {**fields, 'status': 'success', 'message': message}


def new_record(
    number,
    username,
    timestamp=None,
    value1=None,
    value2=None,
    value3=None,
):
    """Return a new record of this user."""
    now = time.time_ns() // 1_000_000  # milliseconds since 1970, UTC
    return {
        'id': number,
        'timestamp': timestamp,
        'value1': value1,
        'value2': value2,
        'value3': value3,
        'creationdate': now,
        'lastmodificationdate': now,
        'lastmodifiedby': username,
    }


START_RECORDS = {
    '1': new_record(
        1, 'ironman', 2392822832.21, 'Boston Terrier', 9938212273.32, True
    ),
    '2': new_record(
        2,
        'thor',
        8929109,
        'The only thing permanent in life is impermanence!',
        88239244423.21,
        False,
    ),
    '3': new_record(
        3, 'blackwidow', 6789998212.0, 'What a great day!', 221220231.01, True
    ),
    '4': new_record(
        4, 'loki', 67182, 'Where are the mere mortals?', 88239244423.21, False
    ),
    '5': new_record(
        5,
        'captain_america',
        828283281.21,
        "No, I don't think I will..",
        781230.21,
        True,
    ),
}
NULL = type(None)
NUMBER = Rule('null or a number of up to 100 digits', '.{1,100}', (NULL, int, float))
RECORD = {
    'timestamp': NUMBER,
    'value1': Rule('null or text of up to 1000 characters', '.{0,1000}', (NULL, str)),
    'value2': NUMBER,
    'value3': Rule('null, true or false', types=(NULL, bool)),
}
# Shown as well, but never set by a client.
READ_ONLY = ['id', 'creationdate', 'lastmodificationdate', 'lastmodifiedby']

records = Collection(
    'records',
    START_RECORDS,
    'The record does not exist! Please try a different record number!',
    record_error,
)
api_keys = Collection('api_keys')  # hashes of keys by their owners' names


def api_key():
    """Return the owner of the key in the header api-key; raise 401 or 429."""
    sent = get_header('api-key')
    if sent:
        owner = sent.rpartition('.')[0]  # a key is NAME.RANDOM
        stored = api_keys.get(owner) or ''
        if secrets.compare_digest(hash_secret(sent), stored):
            return owner
        limit_sign_ins('(API key)', has_failed=True)
    raise record_error(
        401,
        'You are not authenticated! Please add an authentication key to the header and '
        'try again!',
    )


def read_record():
    """Return the fields of the record in the body; raise 400, 413 or 415."""
    sent = read_fields(JSON)
    fields = check(sent, RECORD, ignored=READ_ONLY, make_error=record_error)
    if all(value is None for value in fields.values()):
        message = 'Please populate atleast one field into the record and try again!'
        raise record_error(400, message)
    return fields


@app.route('/api/generate_key/<username>', ['GET', 'POST'])
def make_key(username):
    """Make an API key for a new name, which only this answer shows; raise 409."""
    # The tutorial takes GET too, which any page can make a browser send.
    refuse_foreign_page()
    check({'username': username}, {'username': NAME}, make_error=record_error)
    if request.method == 'HEAD':  # nobody would see the key
        return HTTPResponse(status=201)
    limit_attempts('new API keys', RATE_LIMIT)  # see Limits
    key = f'{username}.{secrets.token_urlsafe(16)}'
    if not api_keys.add(username, hash_secret(key)):
        message = 'The username you are trying to register has been already used!'
        raise record_error(409, message)
    answer = success(
        'Congrats! Your API Key has been created!',
        api_key=key,
        username=username,
        created_on=time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime()),
    )
    return HTTPResponse(answer, 201, cache_control='no-store')


@app.delete('/api/generate_key/<username>', auth=api_key)
def delete_key(username):
    """Remove an API key; only the key itself may do that; raise 403."""
    if username != request['REMOTE_USER']:
        raise record_error(403, 'Only the key of a username itself may remove it!')
    api_keys.remove(username)
    return success('Your API Key has been removed!')


@app.get('/api/list')
def list_records():
    """Return the records."""
    page = list_page(records, [*RECORD, *READ_ONLY])
    return json_answer(list(page.values()))


@app.post('/api/create', auth=api_key)
def create_record():
    """Add a record under the next number."""
    fields = read_record()
    number = records.next_number()
    record = new_record(number, request['REMOTE_USER'], **fields)
    records.add(str(number), record)
    message = 'Your entry has successfully been added to the database!'
    return HTTPResponse(success(message, record_info=record), 201)


@app.get('/api/read/<record_id>')
def get_record(record_id):
    """Return a record; raise 404."""
    return success('Record found!', record_info=records.find(record_id))


@app.patch('/api/modify/<record_id>', auth=api_key)
def modify_record(record_id):
    """Change the fields of a record that are given; raise 404."""
    changes = {
        **read_record(),
        'lastmodificationdate': time.time_ns() // 1_000_000,
        'lastmodifiedby': request['REMOTE_USER'],
    }
    record = records.change(record_id, changes)
    return success('Your record has successfully been modified!', record_info=record)


@app.delete('/api/remove/<record_id>', auth=api_key)
def remove_record(record_id):
    """Delete a record; raise 404."""
    records.remove(record_id)
    return success('Your record has been removed!')


@app.route(['/api/generate_key', '/api/generate_key/'], ['GET', 'POST', 'DELETE'])
def missing_name():
    """Say that the path has no name."""
    raise record_error(
        400,
        'Oops! You forgot to add a username after! Please specify a username and try '
        'again!',
    )


@app.get(['/api/read', '/api/read/'])
@app.patch(['/api/modify', '/api/modify/'])
@app.delete(['/api/remove', '/api/remove/'])
def missing_number():
    """Say that the path has no id."""
    raise record_error(
        400,
        'Oops! You forgot to add a number after! Please specify a number and try '
        'again!',
    )


# --- Users ----------------------------------------------------------------------------

# The names are LDAP's: cn is the name to sign in with, sn the surname, dn the path.
START_USERS = {
    'alice': {
        'cn': 'alice',
        'sn': 'Parker',
        'uid': 'Alice',
        'givenName': 'Alice',
        'displayName': 'Alice Parker',
        'mail': 'alice@dbsentry.com',
        'accountLocked': False,
        'memberOfs': ['cn=Admins,ou=groups,dc=dbsentry,dc=com'],
        'dn': 'cn=alice,ou=people,dc=dbsentry,dc=com',
    },
    'bob': {
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
    },
}
MAIL = r'([^@\s]+@[^@\s.]+(\.[^@\s.]+)+)?'
USER = {
    'cn': NAME,
    'sn': text_of(1, 200),
    'uid': text_of(1, 200),
    'givenName': text_of(0, 200),
    'displayName': text_of(0, 200),
    'mail': Rule('a mail address, or empty', MAIL),
    'memberOfs': Rule('a list of up to 100 groups', '.{0,200}', (list,)),
    'sshPublicKeys': Rule('a list of up to 100 keys', '.{1,4000}', (list,)),
    'accountLocked': Rule('true or false', types=(bool,)),
}
PASSWORD = {'password': text_of(8, 128)}
# How the keys that sshd takes begin: the type, and base64 that repeats it. Options such
# as command="..." before it would run on the host.
KEY_STARTS = (
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI',
    'ssh-rsa AAAAB3NzaC1yc2EAAAA',
    'ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAI',
    'ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAI',
    'ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAI',
    'sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAI',
    'sk-ecdsa-sha2-nistp256@openssh.com AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3Bl',
)

users = Collection('users', START_USERS, "User {} doesn't exist")
account_tables.append(users)  # those who have a password can sign in


def is_key(line):
    """Tell whether a line is a whole SSH public key (RFC 4253, 6.6)."""
    if not line.startswith(KEY_STARTS) or not line.isprintable():
        return False
    try:
        key = base64.b64decode(line.split(' ')[1], validate=True)
    except ValueError:
        return False
    # A key has parts, each with its length, in four bytes, before it.
    end = 0
    while end < len(key):
        end += 4 + int.from_bytes(key[end : end + 4], 'big')
    return end == len(key)


def show_user(user):
    """Return a user as it is shown, without the password."""
    return {name: user[name] for name in [*USER, 'dn'] if name in user}


def read_user(sent, required=()):
    """Return fields of a user as they are stored; raise 400."""
    user = check(sent, USER | PASSWORD, required, ignored=['dn'])
    if 'sshPublicKeys' in user:
        # Line ends and byte order marks are left out.
        keys = [line.strip('\ufeff \r\n') for line in user['sshPublicKeys']]
        if not all(map(is_key, keys)):
            raise HTTPError(400, 'sshPublicKeys must be whole lines of .pub files')
        user['sshPublicKeys'] = keys
    if 'password' in user:
        user['salt'] = secrets.token_hex(16)
        user['password'] = hash_password(user['password'], user['salt'])
    return user


@app.get('/users', auth=admin)
def list_users():
    """Return the users."""
    page = list_page(users, [*USER, 'dn'])
    return json_answer([show_user(user) for user in page.values()])


@app.post('/users', auth=admin)
def create_user():
    """Add a user; raise 409."""
    sent = read_user(read_fields(JSON), required=['cn', 'sn'])
    cn = sent['cn']
    user = {
        'uid': cn,
        'memberOfs': [],
        'sshPublicKeys': [],
        'accountLocked': False,
        **sent,
        'dn': f'cn={cn},ou=people,dc=dbsentry,dc=com',
    }
    if cn == API_USERNAME or not users.add(cn, user):
        raise HTTPError(409, f'User {cn} exists already')
    return HTTPResponse(show_user(user), 201, Location=f'/users/{cn}')


@app.get('/users/<cn>', auth=bearer)
def get_user(cn):
    """Return a user: oneself, or for administrators anyone; raise 403 or 404."""
    if cn != request['REMOTE_USER']:
        admin()
    return show_user(users.find(cn))


@app.route('/users/<cn>', ['PUT', 'PATCH'], auth=bearer)
def change_user(cn):
    """Change those fields of a user that are sent; raise 403 or 404.

    By PATCH, a user may change his own password.
    """
    sent = read_fields(JSON)
    is_own = cn == request['REMOTE_USER'] and list(sent) == ['password']
    if request.method == 'PUT' or not is_own:
        admin()
    changes = read_user(sent) | {'cn': cn}
    return show_user(users.change(cn, changes))


@app.delete('/users/<cn>', auth=admin)
def delete_user(cn):
    """Delete a user; raise 404."""
    users.remove(cn)
    return json_answer(f'Deleted User: {cn}')


@app.get('/authkeys')
def get_authkeys():
    """Return a user's SSH public keys to anybody, as sshd asks for them."""
    keys = find_account(request.query.username).get('sshPublicKeys', [])
    text = ''.join(f'{key}\n' for key in keys)
    return HTTPResponse(text, content_type='text/plain; charset=utf-8')


# --- Courses --------------------------------------------------------------------------


def course_error(status, message, **headers):
    """Return an error in the form of the tutorial."""
    return HTTPError(status, {'error': message}, **headers)


START_COURSES = {
    'CSE465': {
        'code': 'CSE465',
        'name': 'Introduction to neural network',
        'instructor': 'Andrew Ng',
    },
    'CSE115': {
        'code': 'CSE115',
        'name': 'Introduction to programming language',
        'instructor': 'John stuart',
    },
}
COURSE = {
    'code': Rule('1 to 32 of letters, digits, ., - and _', '[A-Za-z0-9._-]{1,32}'),
    'name': text_of(1, 120),
    'instructor': text_of(1, 120),
}

courses = Collection(
    'courses', START_COURSES, 'Course code is not found in the courses', course_error
)


@app.post('/login')
def post_login():
    """Return the bare token for a user name and a password."""
    token = make_token(read_sign_in(course_error))
    return HTTPResponse(
        token, content_type='text/plain; charset=utf-8', cache_control='no-store'
    )


@app.get('/courses', auth=bearer)
def list_courses():
    """Return the courses."""
    page = list_page(courses, COURSE)
    return {'courses': list(page.values())}


@app.post('/courses', auth=bearer)
def create_course():
    """Add a course; raise 400 or 409."""
    sent = read_fields(JSON)
    # The tutorial has a message of its own for this.
    if not sent.get('code'):
        raise course_error(400, 'course code must be provided')
    course = check(sent, COURSE, required=COURSE, make_error=course_error)
    if not courses.add(course['code'], course):
        raise course_error(409, 'This course code is in use')
    return HTTPResponse(status=201, Location=f'/courses/{course["code"]}')


@app.get('/courses/<code>', auth=bearer)
def get_course(code):
    """Return a course; raise 404."""
    return courses.find(code)


@app.put('/courses/<code>', auth=bearer)
def put_course(code):
    """Change the name and the instructor of a course; raise 400 or 404."""
    sent = read_fields(JSON)
    if 'name' not in sent or 'instructor' not in sent:
        raise course_error(400, "Course name and instructor's name must be provided")
    return change_course(code, sent)


@app.patch('/courses/<code>', auth=bearer)
def patch_course(code):
    """Change the name or the instructor of a course, or both; raise 400 or 404."""
    sent = read_fields(JSON)
    if 'name' not in sent and 'instructor' not in sent:
        raise course_error(400, "Course name or instructor's name must be provided")
    return change_course(code, sent)


def change_course(code, sent):
    """Change fields of a course, but not its code; raise 400 or 404."""
    changes = check(sent, COURSE, make_error=course_error)
    changes['code'] = code
    courses.change(code, changes)
    return HTTPResponse(status=204, Location=f'/courses/{code}')


@app.delete('/courses/<code>', auth=bearer)
def delete_course(code):
    """Delete a course; raise 404."""
    courses.remove(code)
    return HTTPResponse(status=204, Location='/courses')


# --- Docs -----------------------------------------------------------------------------

# The address begins with "..", so that it works under /myapp/docs/ too.
INITIALIZER = """\
window.onload = () => {
    window.ui = SwaggerUIBundle({
        url: "../swagger.yaml",
        dom_id: "#swagger-ui",
        deepLinking: true,
        tryItOutEnabled: true,
        validatorUrl: null,
    });
};
"""
FILE_TYPES = {
    '.css': 'text/css; charset=utf-8',
    '.html': 'text/html; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8',
    '.png': 'image/png',
    '.yaml': 'application/yaml',
}


def send_file(name, content):
    """Return a file, or 304 if the client has it already (RFC 9110, 13)."""
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    headers = {
        'ETag': etag,
        'Cache-Control': 'no-cache',  # ask each time for a new one
        # No page of another site may show it in a frame.
        'Content-Security-Policy': "frame-ancestors 'none'",
    }
    if etag in get_header('If-None-Match'):
        return HTTPResponse(status=304, headers=headers)
    headers['Content-Type'] = FILE_TYPES.get(Path(name).suffix, 'text/plain')
    return HTTPResponse(content, headers=headers)


@app.get('/docs')
def redirect_to_docs():
    """Redirect to /docs/, where the page finds its files."""
    return HTTPResponse(status=308, Location='docs/')


@app.get(['/docs/', '/docs/<name>'])
def get_docs(name='index.html'):
    """Return a file of Swagger UI, a page that can call each route."""
    if name == 'swagger-initializer.js':
        return send_file(name, INITIALIZER.encode())
    # A name such as ".." is not in there.
    if name not in os.listdir(swagger_ui_path):
        raise HTTPError(404, f'There is no file {name} here')
    return send_file(name, Path(swagger_ui_path, name).read_bytes())


@app.get('/swagger.yaml')
def get_swagger():
    """Return the description of the service in OpenAPI 3.1."""
    path = Path(__file__).with_name('swagger.yaml')
    return send_file(path.name, path.read_bytes())


# --- Lists ----------------------------------------------------------------------------

# Who came to learn may stop here. The rest is for real use: queries of lists, limits
# against guessing, PowerShell, pages of other sites, a database (if you delete it, the
# data is in dicts) and the server.

PARAMETERS = {
    'limit': Rule('a whole number from 1 to 200', '[1-9][0-9]?|1[0-9][0-9]|200'),
    'offset': Rule('a whole number from 0 to 999999999', '0|[1-9][0-9]{0,8}'),
    'q': text_of(1, 200),
}


def list_page(collection, fields):
    """Return a dict of the items that the query asks for, by these fields; raise 400.

    Link (RFC 8288) says where the other pages are.
    """
    query = read_query(fields)
    limit = int(query.pop('limit', 100))
    offset = int(query.pop('offset', 0))
    if query:
        items = find_items(collection.page(), fields, query)
        total = len(items)
        items = dict(islice(items.items(), offset, offset + limit))
    else:
        items = collection.page(offset, offset + limit)
        total = collection.count()
    response.set_header('X-Total-Count', total)
    response.set_header('Link', make_links(query, limit, offset, total))
    return items


def read_query(fields):
    """Return the parameters of the query; raise 400 that names what is wrong."""
    if not request.query_string:
        return {}
    try:
        lists = request.query.decode().dict
    except UnicodeDecodeError:
        raise HTTPError(400, 'The query must be UTF-8')
    sent = {}
    for name, values in lists.items():
        if len(values) > 1 and name != 'sort':
            raise HTTPError(400, f'{name} is there twice')
        sent[name] = ','.join(values)
    rules = PARAMETERS | dict.fromkeys(fields, Rule('text'))
    one = f'-?({"|".join(fields)})'
    wording = f'up to ten of {", ".join(fields)}, with commas between, - for downwards'
    rules['sort'] = Rule(wording, f'{one}(,{one}){{0,9}}')
    return check(sent, rules)


def find_items(items, fields, query):
    """Return the items that a query finds, in its order."""
    found = {}
    for key, item in items.items():
        if all(fits(item, fields, name, text) for name, text in query.items()):
            found[key] = item
    if 'sort' in query:
        # From the last field to the first, as sorting keeps ties in order.
        for name in reversed(query['sort'].split(',')):
            found = sort_items(found, name)
    return found


def fits(item, fields, name, text):
    """Tell whether an item has what a parameter of the query asks for."""
    if name == 'sort':
        return True
    if name == 'q':
        return any(has_text(item.get(field), text.casefold()) for field in fields)
    value = item.get(name)
    if isinstance(value, list):
        return text in value
    if isinstance(value, bool):
        text = text.capitalize()  # true and TRUE are True
    return value is not None and str(value) == text


def has_text(value, text):
    """Tell whether a text, in small letters, is in a value or in one of a list."""
    if isinstance(value, list):
        return any(has_text(part, text) for part in value)
    return isinstance(value, str) and text in value.casefold()


def sort_items(items, name):
    """Return the items in the order of a field; "-" before it is downwards."""

    def value_of(key):
        return items[key].get(name.removeprefix('-'))

    # Null can not be compared, and comes first.
    missing = [key for key in items if value_of(key) is None]
    present = [key for key in items if value_of(key) is not None]
    present.sort(key=value_of, reverse=name.startswith('-'))
    return {key: items[key] for key in missing + present}


def make_links(query, limit, offset, total):
    """Return the value of Link: the first, last, previous and next page."""
    last = max(total - 1, 0) // limit * limit
    offsets = {'first': 0, 'last': last}
    if offset > 0:
        offsets['prev'] = max(min(offset - limit, last), 0)
    if offset + limit < total:
        offsets['next'] = offset + limit
    parameters = urlencode({'limit': limit, **query})
    links = []
    for name, start in offsets.items():
        links.append(f'<{request.path}?{parameters}&offset={start}>; rel="{name}"')
    return ', '.join(links)


# --- Limits ---------------------------------------------------------------------------

# Pairs of a time and what was tried.
attempts = deque(maxlen=10_000)
attempts_lock = threading.Lock()


def limit_attempts(kind, limit, name='', is_one=True):
    """Raise 429 after too many tries of an address in a minute; count one if is_one."""
    what = (kind, request['REMOTE_ADDR'], name)
    now = time.monotonic()
    with attempts_lock:
        times = [then for then, one in attempts if one == what and now - then < 60]
        if limit and len(times) >= limit:
            seconds = int(times[-limit] + 61 - now)
            message = f'Too many {kind}: please try again in {seconds} seconds'
            raise HTTPError(429, message, Retry_After=seconds)
        if is_one:
            attempts.append((now, what))


def limit_sign_ins(name, has_failed=False):
    """Raise 429 if too many sign-ins failed; count one if has_failed."""
    # For all names together it is higher, as a school may have one address.
    limit_attempts('failed sign-ins', 10 * RATE_LIMIT, is_one=has_failed)
    limit_attempts('failed sign-ins', RATE_LIMIT, name[:100], has_failed)


# --- Scripts --------------------------------------------------------------------------

MAX_OUTPUT = 1024 * 1024  # bytes of each stream that are shown
MAX_WRITTEN = 64 * MAX_OUTPUT  # bytes of a stream that end the script
POWERSHELL = 'powershell' if os.name == 'nt' else 'pwsh'
# The script does not get these, as it could show them. Add your own.
SECRETS = ['SECRET_KEY', 'API_USERNAME', 'API_PASSWORD', 'DATABASE_URL', 'PGPASSWORD']

script_slots = threading.BoundedSemaphore(2)


def run_script(script):
    """Run a PowerShell script; return its output and error; raise 500, 503 or 504."""
    if not script.is_file() or not os.access(script, os.R_OK):
        raise HTTPError(500, f'{script.name} is no file that can be read')
    if not shutil.which(POWERSHELL, os.F_OK):
        raise HTTPError(503, 'PowerShell is not installed: https://aka.ms/powershell')
    if not script_slots.acquire(blocking=False):
        raise HTTPError(503, 'Two scripts are running', Retry_After=5)
    try:
        with (
            lent_thread(),
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            tempfile.TemporaryFile() as output,
            tempfile.TemporaryFile() as error,
        ):
            return run_in_folder(script, folder, output, error)
    except OSError as problem:
        reason = os.strerror(problem.errno)
        message = f'PowerShell can not be run, or has no folder to write to: {reason}'
        raise HTTPError(500, message)
    finally:
        script_slots.release()


def run_in_folder(script, folder, output, error):
    """Run a script with a folder of its own for temporary files."""
    environment = os.environ | {'TMPDIR': folder, 'TEMP': folder, 'TMP': folder}
    environment['NO_COLOR'] = '1'  # or there are codes for colours in what it writes
    for name in SECRETS:
        environment.pop(name, None)
    options = ['-NoProfile', '-NonInteractive', '-ExecutionPolicy', 'Bypass']
    process = subprocess.Popen(
        [POWERSHELL, *options, '-File', script],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=error,
        env=environment,
        start_new_session=True,  # a group of its own, which kill_group() can end
    )
    try:
        status, answer = wait_for_script(process, output, error)
    finally:
        kill_group(process)
    answer['output'] = read_output(output)
    answer['error'] = read_output(error)
    return HTTPResponse(answer, status)


def wait_for_script(process, output, error):
    """Wait for a script to end; return a status and the start of the answer."""
    deadline = time.monotonic() + SCRIPT_TIMEOUT
    exit_code = None
    while exit_code is None:
        time.sleep(0.02)
        exit_code = process.poll()
        if max(size_of(output), size_of(error)) > MAX_WRITTEN:
            return 500, {'message': f'The script wrote more than {MAX_WRITTEN} bytes'}
        if signals:  # see Server
            return 503, {'message': 'The script was ended, as the service stops'}
        if time.monotonic() > deadline:
            message = f'The script was ended after {SCRIPT_TIMEOUT:g} seconds'
            return 504, {'message': message}
    if exit_code == 0:
        return 200, {}
    message = f'The script ended with exit code {exit_code}'
    return 500, {'message': message, 'exit_code': exit_code}


def kill_group(process):
    """Kill a process and all that it started."""
    if os.name == 'nt':
        command = f'taskkill /F /T /PID {process.pid}'
        subprocess.run(command, capture_output=True, check=False)
    else:
        # Raised by Linux, and by macOS, if the group has ended.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def size_of(file):
    """Return the size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def read_output(file):
    """Return the first MAX_OUTPUT bytes of an open file, as text."""
    file.seek(0)
    text = file.read(MAX_OUTPUT).decode(errors='replace')
    if size_of(file) > MAX_OUTPUT:
        text += f'\n[cut after {MAX_OUTPUT} bytes]'
    return text


# --- Browsers -------------------------------------------------------------------------

# Any page on the web can make a browser send a form here, even to 127.0.0.1.

ORIGIN = r'[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[a-f0-9:.]+\])(:[0-9]+)?'
CORS = {
    'Access-Control-Allow-Headers': 'Authorization, Content-Type, api-key',
    'Access-Control-Allow-Methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
    'Access-Control-Expose-Headers': 'Link, Location, Retry-After, X-Total-Count',
    'Access-Control-Max-Age': '600',  # seconds until a browser asks again
}


def refuse_foreign_page():
    """Raise 403 for a page that is neither ours nor of CORS_ORIGIN.

    Browsers send Sec-Fetch-Site only over HTTPS and to localhost.
    """
    origin = get_header('Origin')
    site = get_header('Sec-Fetch-Site')
    if site:
        is_ours = site in ('same-origin', 'none')
    else:
        is_ours = not origin or origin.partition('//')[2] == get_header('Host')
    if not is_ours and origin not in CORS_ORIGIN:
        raise HTTPError(403, 'Only our pages, and those of CORS_ORIGIN, may do this')


@app.hook('before_request')
def refuse_foreign_change():
    """Raise 403 if a foreign page wants to change something."""
    if request.method not in ('GET', 'HEAD', 'OPTIONS'):
        refuse_foreign_page()


def refuse_foreign_host():
    """Raise 403 if the request is for a host that is not this machine.

    If a site's name points to 127.0.0.1 (DNS rebinding), this service is a part of that
    site for a browser.
    """
    host = get_header('Host', 'localhost')
    name = re.sub(':[0-9]*$', '', host).lower()
    if name not in ('localhost', '127.0.0.1', '[::1]', HOST.lower()):
        raise HTTPError(
            403,
            'Host must be a name of this machine. To be reached by others, set HOST '
            '(other machines) or TRUSTED_PROXY (a proxy in front)',
        )


def allow_origin():
    """Let the pages of CORS_ORIGIN read the answer (Fetch standard, CORS protocol)."""
    response.add_header('Vary', 'Origin')
    origin = get_header('Origin')
    if origin in CORS_ORIGIN:
        response.set_header('Access-Control-Allow-Origin', origin)
        response.headers.update(CORS)


def add_prefix():
    """Put back the path prefix that a proxy has removed, in Location and Link.

    With X-Forwarded-Prefix: /myapp, "/films/3" becomes "/myapp/films/3".
    """
    prefix = get_header('X-Forwarded-Prefix').rstrip('/')
    if not re.fullmatch('(/[A-Za-z0-9_.~-]+)+', prefix):
        return
    for name in ['Location', 'Link']:
        value = response.get_header(name)
        if value:
            # A path begins at the start of Location, and after each "<" of Link.
            response.set_header(name, re.sub('(^|<)/', rf'\1{prefix}/', value))


if not all(re.fullmatch(ORIGIN, origin) for origin in CORS_ORIGIN):
    sys.exit('CORS_ORIGIN must be as in https://app.example.com, without a slash')
if CORS_ORIGIN:
    app.add_hook('after_request', allow_origin)
if TRUSTED_PROXY:
    app.add_hook('after_request', add_prefix)

# --- Database -------------------------------------------------------------------------

try:
    import sqlalchemy as sql
except ImportError:
    sql = None

URLS = r'sqlite:///[^:?][^?]*|postgresql://([^@/?]+@)?[^@]+'
IS_SQLITE = DATABASE_URL.startswith('sqlite')
# START_LOCK makes processes that start together take turns.
if IS_SQLITE:
    START_LOCK = 'BEGIN IMMEDIATE'
    CONNECTIONS = 1  # more would wait for each other
    OPTIONS = {'timeout': 1}  # seconds to wait for another program's lock
else:
    START_LOCK = "SET LOCAL lock_timeout = '5s'; SELECT pg_advisory_xact_lock(5000)"
    CONNECTIONS = 4
    OPTIONS = {
        'connect_timeout': 2,  # seconds
        'tcp_user_timeout': 800,  # milliseconds
        'prepare_threshold': None,  # no prepared statements, which PgBouncer may lose
    }


def make_engine():
    """Return SQLAlchemy's engine for DATABASE_URL; end the program if it is wrong."""
    try:
        if sql is None:
            raise ImportError
        if not re.fullmatch(URLS, DATABASE_URL):
            raise ValueError
        return sql.create_engine(
            DATABASE_URL.replace('postgresql:', 'postgresql+psycopg:', 1),
            connect_args=OPTIONS,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=1,  # seconds to wait for one of them
            pool_pre_ping=True,  # replaces a connection that broke
            hide_parameters=True,  # so that no error shows an item
        )
    except ImportError:
        sys.exit(
            'DATABASE_URL needs packages: pip install sqlalchemy "psycopg[binary]", or '
            'uv run --with sqlalchemy --with "psycopg[binary]" api.py'
        )
    except (ValueError, sql.exc.ArgumentError):
        sys.exit(
            'DATABASE_URL must be as in sqlite:///api.db or '
            'postgresql://USER:PASSWORD@HOST/NAME (with %40 for @ and %2F for / in it)'
        )


def run(statement, **values):
    """Run an SQL statement with these values; return its rows; raise 503."""
    try:
        with engine.begin() as connection:
            if not IS_SQLITE:
                connection.exec_driver_sql("SET LOCAL lock_timeout = '500ms'")
            return connection.execute(sql.text(statement), values).all()
    except (sql.exc.OperationalError, sql.exc.InternalError, sql.exc.TimeoutError):
        raise HTTPError(503, 'The database is away or locked', Retry_After=1)


class Table(Collection):
    """A collection in a table of the database."""

    def read(self, key):
        """Return an item as it is stored, or None."""
        # Quoted, as PostgreSQL can not hold each character.
        key = quote(key)
        rows = run(f'SELECT item FROM "{self.name}" WHERE key = :key', key=key)
        return rows[0].item if rows else None

    def get(self, key):
        """As in Collection."""
        text = self.read(key)
        return text and json.loads(text)

    def page(self, start=0, stop=sys.maxsize):
        """As in Collection."""
        rows = run(
            f'SELECT key, item FROM "{self.name}" ORDER BY number, key '
            'LIMIT :length OFFSET :start',
            length=stop - start,
            start=start,
        )
        return {unquote(row.key): json.loads(row.item) for row in rows}

    def count(self):
        """As in Collection."""
        return run(f'SELECT count(*) FROM "{self.name}"')[0][0]

    def add(self, key, item):
        """As in Collection."""
        rows = run(
            f'INSERT INTO "{self.name}" (number, key, item) '
            f'SELECT (SELECT coalesce(max(number), 0) + 1 FROM "{self.name}"), '
            f':key, :item WHERE (SELECT count(*) FROM "{self.name}") < {MAX_ITEMS} '
            'ON CONFLICT (key) DO NOTHING RETURNING key',
            key=quote(key),
            item=json.dumps(item),
        )
        if not rows and self.read(key) is None:
            if self.count() >= MAX_ITEMS:
                raise HTTPError(507, FULL)
            return self.add(key, item)  # somebody else has just removed one
        return bool(rows)

    def next_number(self):
        """As in Collection."""
        rows = run(
            'UPDATE counters SET number = number + 1 WHERE name = :name '
            'RETURNING number',
            name=self.name,
        )
        return rows[0].number

    def change(self, key, fields):
        """As in Collection."""
        old = self.read(key)
        if old is None:
            return self.find(key)  # raises 404
        item = json.loads(old) | fields
        rows = run(
            f'UPDATE "{self.name}" SET item = :new WHERE key = :key AND item = :old '
            'RETURNING key',
            key=quote(key),
            old=old,
            new=json.dumps(item),
        )
        # If somebody else has changed it meanwhile, begin again.
        return item if rows else self.change(key, fields)

    def remove(self, key):
        """As in Collection."""
        statement = f'DELETE FROM "{self.name}" WHERE key = :key RETURNING key'
        if not run(statement, key=quote(key)):
            self.find(key)  # raises 404


def make_table(connection, collection):
    """Make the table of a collection, with its first items, if it is not there."""
    name = collection.name
    connection.exec_driver_sql(
        f'CREATE TABLE IF NOT EXISTS "{name}" '
        '(number BIGINT, key TEXT PRIMARY KEY, item TEXT NOT NULL)'
    )
    # Fails if another program has made it.
    connection.exec_driver_sql(f'SELECT number, key, item FROM "{name}" LIMIT 0')
    counter = connection.execute(
        sql.text(
            'INSERT INTO counters (name, number) VALUES (:name, :number) '
            'ON CONFLICT (name) DO NOTHING'
        ),
        {'name': name, 'number': collection.number},
    )
    if counter.rowcount == 0:  # it was there
        return
    insert = f'INSERT INTO "{name}" (number, key, item) VALUES (:number, :key, :item)'
    for number, key in enumerate(collection.items):
        item = json.dumps(collection.items[key])
        values = {'number': number, 'key': quote(key), 'item': item}
        connection.execute(sql.text(insert), values)


def open_database():
    """Make a Table of each collection; end the program if that can not be."""
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(START_LOCK)
            connection.exec_driver_sql(
                'CREATE TABLE IF NOT EXISTS counters '
                '(name TEXT PRIMARY KEY, number BIGINT NOT NULL)'
            )
            for collection in all_collections:
                make_table(connection, collection)
    except (ValueError, sql.exc.SQLAlchemyError) as problem:
        reason = str(getattr(problem, 'orig', problem)).partition('\n')[0]
        # Its query may have a password.
        url = engine.url.set(query={})
        sys.exit(f'DATABASE_URL can not be used: {reason} ({url})')
    for collection in all_collections:
        # From now on it has the methods of Table.
        collection.__class__ = Table
    # Another server may fork now, and processes must not share a connection.
    engine.dispose()


engine = None
if DATABASE_URL:
    engine = make_engine()
    open_database()

# --- Server ---------------------------------------------------------------------------

# Python runs one thread at a time; with a database, most of them wait.
thread_count = 8 if DATABASE_URL else 1
threads_lock = threading.Lock()
server = None  # waitress's, from main() on
signals = []  # those that asked the program to end
log_lines = deque()  # those that main() has still to print


def add_threads(number):
    """Give the server so many threads more."""
    global thread_count
    with threads_lock:
        thread_count += number
        if server:
            server.task_dispatcher.set_thread_count(thread_count)


@contextmanager
def lent_thread():
    """Lend the server one more thread while this one waits."""
    # Before "try": if no thread can start, none may be taken away.
    add_threads(1)
    try:
        yield
    finally:
        add_threads(-1)


@app.get('/health')
def get_health():
    """Tell Docker or a load balancer that the service answers; raise 503."""
    if all_collections:
        all_collections[0].get('')  # raises 503 if the database is away
    return {'status': 'ok'}


def answer_and_log(environ, start_response):
    """Answer a request (WSGI, PEP 3333), and log it in Common Log Format."""
    start = time.perf_counter()
    # Quoted, as blanks could forge a field; without the query, which may be secret.
    method = quote(environ['REQUEST_METHOD'])
    path = quote(environ['PATH_INFO'], encoding='latin-1')
    # A proxy may write it as [::1]:4711.
    address = environ['REMOTE_ADDR'].lstrip('[').partition(']')[0]
    address = quote(address, safe=':%')
    environ['REMOTE_ADDR'] = address
    body = app(environ, start_response)
    user = quote(environ.get('REMOTE_USER', '-'))
    moment = time.strftime('%d/%b/%Y:%H:%M:%S %z')
    length = response.get_header('Content-Length', '-')
    took = (time.perf_counter() - start) * 1000
    log_lines.append(
        f'{address} - {user} [{moment}] "{method} {path} {environ["SERVER_PROTOCOL"]}" '
        f'{response.status_code} {length} {took:.1f}ms\n'
    )
    return body


def print_log():
    """Print the lines that wait, which takes less time than each by itself."""
    text = ''
    while log_lines:
        text += log_lines.popleft()
    with suppress(OSError):  # a full disk must not end the service
        print(text, end='', flush=True)


def note_signal(number, frame):
    """Note that the program is to end."""
    signals.append(number)


def main():
    """Serve until SIGINT or SIGTERM comes, and then until all answers are sent."""
    global server
    for number in [signal.SIGINT, signal.SIGTERM]:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup's
            signal.signal(number, note_signal)
    # It would log paths as they were sent, which could forge lines.
    logging.getLogger('waitress').setLevel(logging.CRITICAL)
    forwarded = ['x-forwarded-for', 'x-forwarded-host'] if TRUSTED_PROXY else []
    family = socket.AF_INET6 if ':' in HOST else socket.AF_INET
    try:
        listening = socket.create_server((HOST, PORT), family=family)
    except (OSError, UnicodeError) as problem:
        sys.exit(f'HOST={HOST} and PORT={PORT} can not be used: {problem}')
    server = waitress.create_server(
        answer_and_log,
        sockets=[listening],
        threads=thread_count,
        connection_limit=500,
        asyncore_use_poll=True,
        channel_timeout=30,  # seconds until a silent client is sent away
        cleanup_interval=5,
        max_request_header_size=32 * 1024,
        max_request_body_size=1024 * 1024,
        clear_untrusted_proxy_headers=bool(TRUSTED_PROXY),
        trusted_proxy=TRUSTED_PROXY,
        trusted_proxy_headers=forwarded,
        send_bytes=65536,  # so that head and body are sent together
        # Limit how many requests a client that never reads can queue, and make room for
        # their answers, so that no thread waits.
        recv_bytes=512,
        outbuf_high_watermark=64 * 1024 * 1024,
    )
    address = ipaddress.ip_address(server.effective_host)
    if address.is_loopback and not TRUSTED_PROXY:
        app.add_hook('before_request', refuse_foreign_host)
    host = f'[{HOST}]' if ':' in HOST else HOST
    url = f'http://{host}:{server.effective_port}'
    log_lines.append(f'Listening on {url} (Ctrl-C ends it)\n')
    # In a thread, as Python handles signals in this one.
    threading.Thread(target=server.run, daemon=True).start()
    while not signals:
        print_log()
        time.sleep(0.1)
    for number in [signal.SIGINT, signal.SIGTERM]:
        signal.signal(number, signal.SIG_IGN)  # one was enough
    server.accepting = False
    for _ in range(100):
        # It is readable once the client has all its answers.
        channels = list(server.active_channels.values())
        if all(channel.readable() for channel in channels):
            break
        time.sleep(0.05)
    hash_threads.shutdown(wait=False, cancel_futures=True)
    server.task_dispatcher.shutdown(timeout=1)
    print_log()


if __name__ == '__main__':
    main()
