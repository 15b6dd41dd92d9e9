# /// script
# requires-python = ">=3.10"
# dependencies = ["bottle==0.13.4", "pyjwt==2.15.1", "waitress==3.0.2",
#                 "swagger-ui-bundle-v2==5.31.0"]
# ///
"""One-File API: the REST APIs of five tutorials in one file, made to be copied.

"python api.py" serves on http://127.0.0.1:5000. The environment may set:

    HOST            address to listen on (127.0.0.1, which only this machine reaches)
    PORT            port to listen on (5000); 0 takes a free one
    SECRET_KEY      signs the tokens, 32 bytes or more (random: tokens end with the process)
    API_USERNAME, API_PASSWORD    of the demo account (admin, atCh_5K}?g)
    RATE_LIMIT      failed sign-ins that an address has a minute, and new API keys (10; 0: no limit)
    TRUSTED_PROXY   address of the proxy whose X-Forwarded-For is believed, or * for any (-: none)
    MAX_ITEMS       items that a collection may hold (10000)
    CORS_ORIGIN     origins whose pages may call this, as in https://a.example http://b:8 (none)
    DATABASE_URL    keeps the data, as in sqlite:///api.db (in memory: a restart forgets it)
    SCRIPT_TIMEOUT  seconds that script.ps1 may take (30)
    DEBUG           1 starts the service anew when this file is saved (off)

Set API_PASSWORD before other machines may reach the service, as everybody can read the demo
password here; and put TLS in front of it, or passwords and tokens travel in clear.
"""
import hashlib
import json
import logging
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser, RawTextHelpFormatter
from collections import deque
from collections.abc import MutableMapping
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache, partial
from itertools import count, islice
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

import bottle
import jwt
import waitress
from bottle import HTTPResponse, request, response
from swagger_ui_bundle import swagger_ui_path

# --- Settings ---------------------------------------------------------------------------------
if __name__ == '__main__':  # before all else, as --help is wanted when a setting is wrong
    ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter).parse_args()
def setting(name, default, valid=str.encode, must='be UTF-8 text, not empty', kind=str):
    """Return a setting from the environment or its default; end the program where it is wrong."""
    with suppress(ValueError):
        value = kind(os.environ.get(name, default))
        if valid(value):
            return value
    sys.exit(f'{name} must {must}.')  # without the value, which may be a secret
DEMO_PASSWORD = 'atCh_5K}?g'
HOST = setting('HOST', '127.0.0.1')
PORT = setting('PORT', 5000, lambda port: 0 <= port <= 65535, 'be a number up to 65535', int)
SECRET_KEY = setting('SECRET_KEY', secrets.token_hex(),
                     lambda key: len(key.encode()) >= 32, 'have at least 32 bytes')
API_USERNAME = setting('API_USERNAME', 'admin')
API_PASSWORD = setting('API_PASSWORD', DEMO_PASSWORD)
RATE_LIMIT = setting('RATE_LIMIT', 10, range(1001).__contains__, 'be a number up to 1000', int)
TRUSTED_PROXY = setting('TRUSTED_PROXY', '-', re.compile(r'[-*.:\da-f]+').fullmatch, 'be an IP')
MAX_ITEMS = setting('MAX_ITEMS', 10_000, lambda number: number > 0, 'be a number from 1 on', int)
SCRIPT_TIMEOUT = setting('SCRIPT_TIMEOUT', 30, lambda n: 0 < n <= 86400, 'be up to 86400', float)
CORS_ORIGIN = setting('CORS_ORIGIN', '', re.compile(r'(https?://[a-z\d.:[\]-]+( |$))*').fullmatch,
                      'be origins as a browser sends them, with spaces between').split()
CORS = {'Access-Control-Allow-Headers': 'Authorization, Content-Type, api-key',
        'Access-Control-Allow-Methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
        'Access-Control-Expose-Headers': 'Link, Location, Retry-After, X-Total-Count',
        'Access-Control-Max-Age': '600'}  # seconds for which a browser need not ask again
DATABASE_URL = os.environ.get('DATABASE_URL')
DEBUG = os.environ.get('DEBUG') == '1' and os.stat(__file__).st_mtime  # of the text that runs
DEMO = {'cn': API_USERNAME, 'memberOfs': ['cn=Admins'],  # salt: its tokens end with its password
        'salt': hashlib.sha256((SECRET_KEY + API_PASSWORD).encode()).hexdigest()}
JSON, FORM = 'application/json', 'application/x-www-form-urlencoded'
bottle.BaseResponse.default_content_type = JSON  # instead of text/html
log = logging.getLogger('api')
BASIC, BEARER = 'Basic realm="One-File API", charset="UTF-8"', 'Bearer realm="One-File API"'
SCRYPT = {'n': 2 ** 14, 'r': 8, 'p': 5}  # the least that OWASP advises: 16 MiB and about 0.2 s
LIFETIME = 30 * 60  # seconds that a token is good for
MAX_BODY, MAX_SIZE = 100 * 1024, 4 * 1024 ** 2  # bytes: of a body, of a collection in memory
if DATABASE_URL:
    try:
        import sqlalchemy as sql
        # For PostgreSQL, so that nobody waits for ever; SQLite gives up after 5 seconds by itself.
        limits = {'connect_timeout': 5, 'tcp_user_timeout': 10_000, 'client_encoding': 'utf8',
                  'options': '-c lock_timeout=5s -c idle_in_transaction_session_timeout=10s'}
        engine = sql.create_engine(
            DATABASE_URL, pool_pre_ping=not DATABASE_URL.startswith('sqlite'),  # a file stays there
            connect_args=limits if re.match(r'postgresql(\+psycopg2?)?:', DATABASE_URL) else {})
        own = threading.local()  # own.connection: of the transaction that the thread is in
        if re.search('@.*@|//$|:memory:|mode=memory|^[^:]*a(sync|io)', DATABASE_URL):
            raise ValueError  # half a password in the host's place; a database for each thread
    except ImportError as problem:
        sys.exit(f'DATABASE_URL needs pip install sqlalchemy "psycopg[binary]" ({problem})')
    except (sql.exc.ArgumentError, ValueError):
        sys.exit('DATABASE_URL is like sqlite:///api.db or postgresql+psycopg://USER:PW@HOST/DB')

# --- Foundation -------------------------------------------------------------------------------
app = bottle.Bottle()
stopping = threading.Event()  # set once the process is to end, or to reload
def fail(code, message, headers=None, key='message', **more):
    """Return an error to raise: an HTTP status code and a JSON body of message and more."""
    return HTTPResponse(json.dumps({**more, key: message}), code, headers)
class Slots(threading.BoundedSemaphore):
    """So many may go on at once; one more gets 503 from "with"."""
    def __enter__(self):
        if not self.acquire(blocking=False):
            raise fail(503, 'This is busy just now; please try again', {'Retry-After': '1'})
def answer_error(error):
    """Return the body of an error that Bottle itself raised."""
    if error.status_code == 405:  # Bottle's Allow lacks HEAD and OPTIONS
        response.set_header('Allow', error.headers['Allow'].replace('GET', 'GET,HEAD') + ',OPTIONS')
        response.status = 204 if request.method == 'OPTIONS' else 405
    if error.status_code == 500 and CORS_ORIGIN:  # which comes after the hooks
        allow_origin()
    return json.dumps({'message': error.body})
app.default_error_handler = answer_error
@app.hook('before_request')
def refuse_bad_request():
    """Raise 400 for a path that is not UTF-8, and 403 for a change that a foreign page sends."""
    if request['PATH_INFO'].encode().decode('latin-1') != request['bottle.raw_path']:
        raise fail(400, 'The path must be UTF-8')  # or Bottle finds film 1 under /films/%FF1
    # A browser sends a form without asking first, even to a service on its user's own machine.
    site, origin = request.get('HTTP_SEC_FETCH_SITE'), request.get('HTTP_ORIGIN')
    if request.method not in ('GET', 'HEAD', 'OPTIONS') and origin not in CORS_ORIGIN and not (
            site in ('same-origin', 'none') if site else  # which only https and localhost get
            not origin or origin.partition('//')[2] == request.get('HTTP_HOST')):
        raise fail(403, 'Only pages of this service, and of CORS_ORIGIN, may change anything')
def allow_origin():
    """Let the pages of CORS_ORIGIN read the answer (Fetch standard, CORS protocol)."""
    response.add_header('Vary', 'Origin')  # or a cache gives a page what another one got
    if request.get('HTTP_ORIGIN') in CORS_ORIGIN:
        response.headers.update(CORS, **{'Access-Control-Allow-Origin': request['HTTP_ORIGIN']})
if CORS_ORIGIN:
    app.add_hook('after_request', allow_origin)
def read_body(*types, any_value=False):
    """Return the dict, or any JSON value, in a body of these types; raise 400, 413 or 415."""
    sent = request.content_type.partition(';')[0].strip()
    if sent not in types:
        raise fail(415, f'Content-Type must be {" or ".join(types)}')
    body = request.body.read(MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise fail(413, f'The body must not be longer than {MAX_BODY} bytes')
    try:
        if sent == FORM:
            return dict(parse_qsl(body.decode(), keep_blank_values=True, errors='strict'))
        value = json.loads(body.decode())
        # What can't be written again is refused: NaN, 1e999, half a surrogate pair, too deep.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as problem:
        raise fail(400, f'The body is not valid {sent}: {problem}') from None
    if any_value or isinstance(value, dict):
        return value
    raise fail(400, 'The body must be a JSON object')
def check(data, rules, required=(), refuse=fail):
    """Return the fields of data that have a rule; raise 400 that names a bad or missing one."""
    # A rule: types (by type(), as isinstance() takes True for an int), a test, and what it must be.
    for field, (types, valid, wording) in rules.items():
        value = data.get(field)
        if (field in data or field in required) and not (type(value) in types and valid(value)):
            raise refuse(400, f'{field} must be {wording}')
    return {field: data[field] for field in rules if field in data}
def text(least, most):
    """Return the rule for a text with so many characters."""
    return [str], lambda value: least <= len(value) <= most, f'text of {least} to {most} characters'
def identifier(most, marks='._-'):
    """Return the rule for a text that may be part of a path, unlike "." and ".."."""
    pattern = re.compile(rf'(?!\.\.?$)[A-Za-z0-9{marks}]{{1,{most}}}')
    return [str], pattern.fullmatch, f'1 to {most} of letters, digits and {" ".join(marks)}'
NUMBER = [int, float], lambda value: True, 'a number'
BOOLEAN = [bool], lambda value: True, 'true or false'
PAGE = {'limit': ([int], range(1, 1001).__contains__, 'from 1 to 1000'),
        'offset': ([int], range(10 ** 9).__contains__, 'from 0 to 999999999')}
def read_query(fields):
    """Return the query's checked values and, for links, its text but for PAGE's; raise 400."""
    try:
        sent = request.query.decode()
    except UnicodeError:
        raise fail(400, 'The query must be UTF-8') from None
    names = [*fields, *(f'-{field}' for field in fields)]
    rules = {**PAGE, 'q': text(1, 200), **fields, 'sort': (  # each known, and none twice
        [str], lambda sort: len({*sort.split(',')} & {*names}) == sort.count(',') + 1,
        f'some of {",".join(names)}')}
    values = dict(sent)
    for name, value in sent.items():
        if name not in rules or len(sent.getall(name)) > 1:
            raise fail(400, f'{name} is unknown here, or there twice; known are {", ".join(rules)}')
        with suppress(ValueError, RecursionError):  # what is no JSON stays text: check() refuses it
            values[name] = value if str in rules[name][0] else json.loads(value)
    return check(values, rules), ''.join(
        f'&{urlencode([one], safe=",")}' for one in sent.items() if one[0] not in PAGE)
def search(pairs, /, q='', sort='', **wanted):
    """Return those pairs of key and item that have q in a text, and these values, sorted."""
    def each(value):
        return value if isinstance(value, list) else [value]
    for field, value in wanted.items():
        pairs = [(key, item) for key, item in pairs if value in each(item.get(field))]
    if q:
        pairs = [(key, item) for key, item in pairs if any(
            isinstance(word, str) and q.casefold() in word.casefold()
            for value in item.values() for word in each(value))]
    for name in filter(None, reversed(sort.split(','))):
        field, down = name.lstrip('-'), name[0] == '-'  # None is the least
        pairs.sort(key=lambda one: (one[1].get(field) is not None, one[1].get(field)), reverse=down)
    return pairs
def listing(collection, fields, shown=dict):
    """Return by key the items that the query asks for, as shown; fields has their fields' rules."""
    query, link_query = read_query(fields) if request.query_string else ({}, '')
    limit, start = query.pop('limit', 100), query.pop('offset', 0)
    if query:  # what is left looks for items, for which all have to be read
        found = search([(key, shown(item)) for key, item in collection.page(0, None)], **query)
        page, total = found[start:start + limit], len(found)
    else:
        page = [(key, shown(item)) for key, item in collection.page(start, start + limit)]
        total = start + len(page) if 0 < len(page) < limit else len(collection)
    last = max(total - 1, 0) // limit * limit
    pages = [('first', 0, True), ('prev', min(max(start - limit, 0), last), start > 0),
             ('next', start + limit, start + limit < total), ('last', last, True)]
    response.set_header('X-Total-Count', total)
    response.set_header('Link', ', '.join(
        f'<{request.path}?limit={limit}{link_query}&offset={offset}>; rel="{name}"'
        for name, offset, exists in pages if exists))
    return dict(page)

class Memory(dict):
    """Items by key, with a bound. They are replaced, never changed, so reading needs no lock."""
    def __init__(self, name, items, missing):  # missing makes the error for an unknown key
        super().__init__(items)
        self.name, self.start, self.missing = name, len(items), missing
        self.size = sum(len(json.dumps(item)) for item in items.values())
        self.lock = threading.RLock()  # to be held where what is written depends on what was read
    def __missing__(self, key):
        raise self.missing(key)
    def __setitem__(self, key, item):
        with self.lock:
            size = self.size + len(json.dumps(item)) - (key in self and len(json.dumps(self[key])))
            if size > MAX_SIZE or key not in self and len(self) >= MAX_ITEMS:
                raise fail(507, 'There is no room for more')
            super().__setitem__(key, item)
            self.size = size
    def __delitem__(self, key):
        with self.lock:
            self.size -= len(json.dumps(self[key]))
            super().__delitem__(key)
    def page(self, start, stop):
        """Return the pairs of key and item from start to stop, as they are at one moment."""
        with self.lock:
            return list(islice(self.items(), start, stop))

class Table(MutableMapping):
    """The same, but for MAX_SIZE, in a table of DATABASE_URL that other processes may use too."""
    def __init__(self, name, items, missing):
        self.name, self.start, self.missing = name, len(items), missing
        self.rows = sql.Table(
            name, sql.MetaData(), sql.Column('number', sql.Integer, primary_key=True),  # for order
            sql.Column('key', sql.String(64), unique=True), sql.Column('item', sql.JSON))
        self.key, self.item = self.rows.c.key, self.rows.c.item
        self.find = sql.select(self.item).where(self.key == sql.bindparam('wanted'))
        # This changes nothing, but locks the row with the key '', which all that write do first.
        self.hold = self.rows.update().where(self.key == '').values(item=self.item)
        rows = [{'key': key, 'item': item} for key, item in {'': 'lock', **items}.items()]
        with suppress(HTTPResponse), transaction() as connection:  # or another process makes it
            if engine.dialect.name == 'sqlite':  # then readers don't wait for writers
                connection.exec_driver_sql('PRAGMA journal_mode=WAL')
            self.rows.create(connection, checkfirst=True)
            if not connection.execute(self.hold).rowcount:
                connection.execute(self.rows.insert(), rows)
        try:
            with self.lock:
                pass  # which fails where the table is not ours, or can't be written
        except HTTPResponse as refusal:
            sys.exit(f'DATABASE_URL fails: {refusal.__cause__.args[0]}'.partition('\n')[0])
    @property
    def lock(self):
        """Return a transaction that keeps out whoever else wants to write to this table."""
        return transaction(self.hold)
    def get(self, key, default=None):
        """Return an item, or default where there is none."""
        wanted = key if key.isascii() and key.isprintable() and key else ' '  # no key is like ' '
        with transaction() as connection:
            return connection.execute(self.find, {'wanted': wanted}).scalar() or default
    def __getitem__(self, key):
        if (item := self.get(key)) is None:
            raise self.missing(key)
        return item
    def __contains__(self, key):
        return self.get(key) is not None
    def __setitem__(self, key, item):
        with self.lock as connection:
            change = self.rows.update().where(self.key == key).values(item=item)
            if not connection.execute(change).rowcount:
                if len(self) >= MAX_ITEMS:
                    raise fail(507, 'There is no room for more')
                connection.execute(self.rows.insert().values(key=key, item=item))
    def __delitem__(self, key):
        with self.lock as connection:
            self[key]  # raises missing
            connection.execute(self.rows.delete().where(self.key == key))
    def __iter__(self):
        return (key for key, item in self.page(0, None))
    def __len__(self):
        with transaction() as connection:
            return connection.execute(sql.select(sql.func.count(self.key))).scalar() - 1
    def page(self, start, stop):
        """Return the pairs of key and item from start to stop, as they are at one moment."""
        rows = sql.select(self.key, self.item).where(self.key != '').order_by(self.rows.c.number)
        with transaction() as connection:
            return connection.execute(rows.slice(start, stop)).all()
@contextmanager
def transaction(hold=None):
    """Yield the connection of a transaction, or of the one that the thread is in; raise 503."""
    around = getattr(own, 'connection', None)  # of the outer "with", which a nested one joins
    try:
        with nullcontext(around) if around else engine.begin() as own.connection:
            if hold is not None and not own.connection.execute(hold).rowcount:
                raise sql.exc.NoResultFound('The row of the table that writers lock is gone')
            yield own.connection
    except sql.exc.SQLAlchemyError as problem:
        log.info('Database: %a', problem.args[0])
        raise fail(503, 'The database is away; please try later', {'Retry-After': '5'}) from problem
    finally:
        own.connection = around
def new_key(collection):
    """Return the next number that was no key yet, as text; hold the lock until it is used."""
    first = numbers.get(collection.name, collection.start) + 1
    numbers[collection.name] = next(n for n in count(first) if str(n) not in collection)
    return str(numbers[collection.name])
Collection = Table if DATABASE_URL else Memory
ACCOUNT = {'username': text(1, 1000), 'password': text(1, 1000)}
accounts = [{API_USERNAME: DEMO}]  # who can sign in, by name; a section with users appends them
numbers = Collection('numbers', {}, KeyError)  # the last that new_key gave, by collection
api_keys = Collection('api_keys', {}, KeyError)  # hashes, so that no one can use what is stored
hash_slots, hash_lock = Slots(2), threading.Lock()  # one hashes, and one may wait for it
counts, counts_lock = deque(maxlen=10_000), threading.Lock()  # of what RATE_LIMIT is for
def find_account(username):
    """Return the account of this name, the first there is; an empty one if none, or locked."""
    found = next(filter(None, (table.get(username) for table in accounts)), {})
    return {} if found.get('accountLocked') else found
def hash_password(password, salt=''):
    """Return the salt and the scrypt hash (RFC 7914) of a password as fields; raise 503."""
    salt = salt or secrets.token_hex(16)
    with hash_slots, hash_lock:
        hashed = hashlib.scrypt(password.encode(), salt=salt.encode(), **SCRYPT)
    return {'salt': salt, 'password': hashed.hex()}
def right_password(account, password):
    """Tell whether this is the account's password; to find that it is not takes equally long."""
    if account is DEMO:  # whose password is no hash; bytes, as é makes compare_digest raise
        right = secrets.compare_digest(password.encode(), API_PASSWORD.encode())
        if not right:
            with suppress(HTTPResponse):  # 503; but a wrong guess is to be counted even then
                hash_password(password)
        return right
    hashed = hash_password(password, account.get('salt'))['password']
    return secrets.compare_digest(hashed, account.get('password', ''))
def limit(what, add=True):
    """Raise 429 if the caller's address did this RATE_LIMIT times in a minute; else count it."""
    now, address = time.monotonic(), request['REMOTE_ADDR'][:45]  # as long as an IPv6 address
    with counts_lock:
        while counts and counts[0][0] <= now - 60:
            counts.popleft()
        times = [then for then, *rest in counts if rest == [what, address]]
        if len(times) >= RATE_LIMIT > 0:
            raise fail(429, f'Too many {what}', {'Retry-After': f'{times[0] + 61 - now:.0f}'})
        if add:
            counts.append((now, what, address))
def refused(username, refusal):
    """Log and count a failed sign-in; return refusal, or raise 429 if there were too many."""
    log.info('Refused to sign in %.80a from %s', username, request['REMOTE_ADDR'])
    limit('failed sign-ins')  # again, as others may have failed in the meantime
    return refusal
def sign_in(username, password, refusal):
    """Return the account whose name and password these are; raise refusal, 429 or 503."""
    limit('failed sign-ins', add=False)
    account = find_account(username)
    if not right_password(account, password):
        raise refused(username, refusal)
    return account
def read_sign_in(refuse=fail):
    """Return the account whose user name and password are in the body; raise as sign_in does."""
    given = check(read_body(JSON, FORM), ACCOUNT, required=ACCOUNT, refuse=refuse)
    return sign_in(**given, refusal=refuse(401, 'username or password is not correct',
                                           {'WWW-Authenticate': BEARER}))
def make_token(account):
    """Return a token for this account, good for LIFETIME: a signed JWT (RFC 7519)."""
    now = int(time.time())
    claims = {'sub': account['cn'], 'salt': account.get('salt'), 'iat': now, 'exp': now + LIFETIME}
    return jwt.encode(claims, SECRET_KEY, algorithm='HS256')
@lru_cache(1000)  # as a signature takes longer to check than all else that a request needs
def read_token(token):
    """Return the claims of a token that we signed; raise jwt.InvalidTokenError."""
    # The algorithm is ours to choose, not the token's; and without exp it would never end.
    return jwt.decode(token, SECRET_KEY, ['HS256'], options={'require': ['exp', 'sub']})

class AuthPlugin:
    """Bottle plugin: auth='basic', 'bearer', 'admin' or 'key' in a route says who may call it."""
    name, api = 'auth', 2
    def apply(self, callback, route):
        """Return a route's function behind its guard; both it and the log find REMOTE_USER."""
        if 'auth' not in route.config:
            return callback
        caller = getattr(self, route.config['auth'])  # misspelt, this word fails; auth= would open
        def guarded(*args, **kwargs):
            request['REMOTE_USER'] = caller()
            return callback(*args, **kwargs)
        return guarded
    def basic(self):
        """Return the name of who signs in by HTTP Basic (RFC 7617); raise 401, 429 or 503."""
        error = fail(401, 'Please sign in with user name and password', {'WWW-Authenticate': BASIC})
        given = bottle.parse_auth(request.get('HTTP_AUTHORIZATION', ''))  # request.auth trusts more
        if not given:
            raise error
        return sign_in(*given, refusal=error)['cn']
    def bearer(self):
        """Return the name of whose bearer token (RFC 6750) was sent; raise 401."""
        scheme, _, token = request.get('HTTP_AUTHORIZATION', '').partition(' ')
        token = token if scheme.lower() == 'bearer' else ''
        with suppress(jwt.InvalidTokenError, RecursionError):
            claims = read_token(token)
            account = find_account(claims['sub'])
            # The salt is new with each password, and ends the tokens of an older one.
            if (account and claims.get('salt', DEMO['salt']) == account.get('salt')
                    and int(claims['exp']) > time.time()):  # read_token kept them, perhaps
                return claims['sub']
        error = ', error="invalid_token"' if token else ''
        raise fail(401, 'A valid bearer token is needed', {'WWW-Authenticate': BEARER + error})
    def admin(self):
        """Return the name of an administrator who sent a bearer token; raise 401 or 403."""
        username = self.bearer()
        groups = find_account(username).get('memberOfs', [])
        if not any(group.partition(',')[0] == 'cn=Admins' for group in groups):
            raise fail(403, 'Only administrators may do this')
        return username
    def key(self):
        """Return the owner of the API key in the header api-key; raise 401 or 429."""
        api_key = request.get('HTTP_API_KEY', '')
        owner = api_key.rpartition('.')[0]
        refusal = fail(401, 'You are not authenticated! Please add an authentication key to the '
                            'header and try again!', status='failed')
        if not api_key:
            raise refusal
        hashed, stored = hashlib.sha256(api_key.encode()).hexdigest(), api_keys.get(owner, '')
        limit('failed sign-ins', add=False)
        if not secrets.compare_digest(hashed, stored):
            raise refused(owner if stored else '?', refusal)
        return owner
app.install(auth := AuthPlugin())

# --- Weekend API ------------------------------------------------------------------------------
SCRIPT = ['powershell' if os.name == 'nt' else 'pwsh', '-NoProfile', '-NonInteractive',
          '-ExecutionPolicy', 'Bypass', '-File', str(Path(__file__).with_name('script.ps1'))]
SECRETS = ['SECRET_KEY', 'API_USERNAME', 'API_PASSWORD', 'DATABASE_URL']  # not for the script
MAX_OUTPUT, script_slots = 1024 * 1024, Slots(2)  # bytes of stdout, and as many of stderr
@app.get('/data')
def get_data():
    """Point to the other method."""
    return {'message': 'Hey please use the POST method for this endpoint'}
@app.post('/data')
def post_data():
    """Return the JSON value that was sent."""
    return json.dumps(read_body(JSON, any_value=True))
@app.post('/token')
def post_token():
    """Return an access token for a user name and password, as OAuth 2 does (RFC 6749, 5.1)."""
    token = make_token(read_sign_in())
    return HTTPResponse({'access_token': token, 'token_type': 'Bearer', 'expires_in': LIFETIME},
                        cache_control='no-store')
@app.post('/run-script', auth='admin')
def post_run_script():
    """Run script.ps1 and return what it wrote."""
    with script_slots:
        exit_code, output, error = run_script()
    if exit_code:
        raise fail(500, f'The script ended with exit code {exit_code}',
                   output=output, error=error, exit_code=exit_code)
    return {'output': output, 'error': error}
def run_script():
    """Run script.ps1 and return its exit code, stdout and stderr; raise 503 or 504."""
    environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
    # Files, as a script halts at a full pipe, and any child it leaves behind keeps a pipe open.
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        try:
            process = subprocess.Popen(SCRIPT, stdin=subprocess.DEVNULL, stdout=stdout,
                                       stderr=stderr, env=environment, start_new_session=True)
        except OSError:
            raise fail(503, 'PowerShell is not installed; see https://aka.ms/powershell') from None
        deadline = time.monotonic() + SCRIPT_TIMEOUT
        log.info('Script %d started by %a', process.pid, request['REMOTE_USER'])
        try:
            while process.poll() is None and time.monotonic() < deadline and not stopping.wait(.02):
                for output in stdout, stderr:
                    if os.fstat(output.fileno()).st_size > MAX_OUTPUT:
                        output.truncate(MAX_OUTPUT + 1)  # or it would fill the disk in the end
            exit_code = process.poll()
        finally:
            kill_group(process)
        log.info('Script %d ended with exit code %s', process.pid, exit_code)
        if exit_code is None:
            raise (fail(503, 'The script was ended, as the service stops') if stopping.is_set()
                   else fail(504, f'The script was ended after {SCRIPT_TIMEOUT:g} seconds'))
        return exit_code, read_output(stdout), read_output(stderr)
def kill_group(process):
    """Kill a process and all that it started."""
    if os.name == 'nt':
        subprocess.call(['taskkill', '/F', '/T', '/PID', str(process.pid)])
    else:
        with suppress(ProcessLookupError, PermissionError, ChildProcessError):  # none is left
            os.killpg(process.pid, signal.SIGKILL)  # the group that start_new_session made
            while os.waitpid(-process.pid, 0):  # its orphans too, if this is process 1
                pass
    process.wait()
def read_output(output):
    """Return what the script wrote to this file, as text made from MAX_OUTPUT bytes at most."""
    output.seek(0)
    written = output.read(MAX_OUTPUT + 1)
    cut = f'\n[cut after {MAX_OUTPUT} bytes]' if len(written) > MAX_OUTPUT else ''
    return written[:MAX_OUTPUT].decode(errors='replace') + cut

# --- Films ------------------------------------------------------------------------------------
films = Collection('films', {
    '1': {'Name': 'Avengers: Infinity War', 'Year': 2018, 'Month': 'March'},
    '2': {'Name': 'Ant Man and the Wasp', 'Year': 2018, 'Month': 'August'},
}, missing=lambda film_id: fail(404, f"Film {film_id} doesn't exist"))
MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September',
          'October', 'November', 'December']
FILM = {
    'name': text(1, 200),
    'year': ([int, float], lambda n: n in range(1870, 2101), 'a whole number from 1870 to 2100'),
    'month': ([str], lambda month: month in MONTHS, "an English month's name")}
SHOWN_FILM = {field.title(): rule for field, rule in FILM.items()}
def read_film():
    """Return the film in the body; its keys may be in any case, so what GET gives can be PUT."""
    data = {key.lower(): value for key, value in read_body(JSON, FORM).items()}
    if request.content_type.startswith(FORM) and re.fullmatch('[0-9]{4}', data.get('year', '')):
        data['year'] = int(data['year'])  # a form has nothing but text
    film = check(data, FILM, required=FILM)
    return {'Name': film['name'], 'Year': int(film['year']), 'Month': film['month']}
@app.get('/')
def get_root():
    """Greet a program; send a browser on to the docs."""
    if 'text/html' in request.get('HTTP_ACCEPT', ''):
        return HTTPResponse(status=302, Location='/docs')
    return HTTPResponse({'hello': 'world'}, vary='Accept')
@app.get('/hello_world', auth='basic')
def get_hello_world():
    """Greet who has signed in."""
    return {'Hello': 'World'}
@app.get(['/films', '/films/<film_id>'])
def get_film(film_id=None):
    """Return a film, or by id the films that the query asks for."""
    return films[film_id] if film_id else listing(films, SHOWN_FILM)
@app.post('/films')
def post_film():
    """Add a film under the next number."""
    film = read_film()
    with films.lock:
        film_id = new_key(films)
        films[film_id] = film
    return HTTPResponse(film, 201, Location=f'/films/{film_id}')
@app.put('/films/<film_id>')
def put_film(film_id):
    """Add a film under this id (201) or replace the one there (200)."""
    check({'id': film_id}, {'id': identifier(64, marks='_-')})
    film = read_film()
    with films.lock:
        response.status = 200 if film_id in films else 201
        films[film_id] = film
    return film
@app.delete('/films/<film_id>')
def delete_film(film_id):
    """Delete a film."""
    del films[film_id]
    return HTTPResponse(status=204)

# --- Records ----------------------------------------------------------------------------------
RECORD = {'timestamp': NUMBER, 'value1': text(0, 1000), 'value2': NUMBER, 'value3': BOOLEAN}
SHOWN_RECORD = {'id': NUMBER, **RECORD, 'creationdate': NUMBER, 'lastmodificationdate': NUMBER,
                'lastmodifiedby': text(1, 64)}
failed = partial(fail, status='failed')  # the shape of this section's errors
def new_record(record_id, username, timestamp=None, value1=None, value2=None, value3=None):
    """Return a record that this user makes now; its dates are milliseconds since 1970, UTC."""
    now = time.time_ns() // 1_000_000
    return {'id': int(record_id), 'timestamp': timestamp, 'value1': value1, 'value2': value2,
            'value3': value3, 'creationdate': now, 'lastmodificationdate': now,
            'lastmodifiedby': username}
records = Collection('records', {str(n): new_record(n, *start) for n, start in enumerate([
    ('ironman', 2392822832.21, 'Boston Terrier', 9938212273.32, True),
    ('thor', 8929109, 'The only thing permanent in life is impermanence!', 88239244423.21, False),
    ('blackwidow', 6789998212.0, 'What a great day!', 221220231.01, True),
    ('loki', 67182, 'Where are the mere mortals?', 88239244423.21, False),
    ('captain_america', 828283281.21, "No, I don't think I will..", 781230.21, True),
], 1)}, missing=lambda record_id: failed(
    404, 'The record does not exist! Please try a different record number!'))
def read_record_fields():
    """Return the fields of a record in the body, at least one."""
    fields = check(read_body(JSON), RECORD, refuse=failed)
    if not fields:
        raise failed(400, 'Please populate atleast one field into the record and try again!')
    return fields
@app.route('/api/generate_key/<username>', ['GET', 'POST'])
def generate_key(username):
    """Make an API key for a new user name. Only this answer ever shows it."""
    check({'username': username}, {'username': identifier(64)}, refuse=failed)
    api_key = f'{username}.{secrets.token_urlsafe(16)}'
    with api_keys.lock:
        if username in api_keys:
            raise failed(409, 'The username you are trying to register has been already used!')
        if request.method != 'HEAD':  # which would not show the key that it makes
            limit('new API keys')
            api_keys[username] = hashlib.sha256(api_key.encode()).hexdigest()
    return HTTPResponse({'api_key': api_key, 'username': username, 'status': 'success',
                         'created_on': time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime()),
                         'message': 'Congrats! Your API Key has been created!'},
                        201, cache_control='no-store')
@app.get('/api/list')
def list_records():
    """Return the records in the order of their ids."""
    return json.dumps([*listing(records, SHOWN_RECORD).values()])
@app.post('/api/create', auth='key')
def create_record():
    """Add a record under the next number."""
    fields = read_record_fields()
    with records.lock:
        record_id = new_key(records)
        records[record_id] = record = new_record(record_id, request['REMOTE_USER'], **fields)
    return HTTPResponse({'message': 'Your entry has successfully been added to the database!',
                         'record_info': record, 'status': 'success'}, 201)
@app.get('/api/read/<record_id>')
def read_record(record_id):
    """Return a record."""
    return {'message': 'Record found!', 'record_info': records[record_id], 'status': 'success'}
@app.patch('/api/modify/<record_id>', auth='key')
def modify_record(record_id):
    """Change the fields of a record that are given."""
    changes = {**read_record_fields(), 'lastmodifiedby': request['REMOTE_USER'],
               'lastmodificationdate': time.time_ns() // 1_000_000}
    with records.lock:
        records[record_id] = record = {**records[record_id], **changes}
    return {'message': 'Your record has successfully been modified!', 'record_info': record,
            'status': 'success'}
@app.delete('/api/remove/<record_id>', auth='key')
def remove_record(record_id):
    """Delete a record."""
    del records[record_id]
    return {'message': 'Your record has been removed!', 'status': 'success'}
@app.route(['/api/generate_key', '/api/generate_key/'], ['GET', 'POST'])
@app.get(['/api/read', '/api/read/'])
@app.patch(['/api/modify', '/api/modify/'])
@app.delete(['/api/remove', '/api/remove/'])
def missing_name_or_id():
    """Say what the path lacks."""
    it = 'username' if 'generate_key' in request.path else 'number'
    raise failed(400, f'Oops! You forgot to add a {it} after! Please specify a {it} and try again!')

# --- Users ------------------------------------------------------------------------------------
users = Collection('users', {
    'alice': {'cn': 'alice', 'sn': 'Parker', 'uid': 'Alice', 'givenName': 'Alice',
              'displayName': 'Alice Parker', 'mail': 'alice@dbsentry.com', 'accountLocked': False,
              'memberOfs': ['cn=Admins,ou=groups,dc=dbsentry,dc=com']},
    'bob': {'cn': 'bob', 'sn': 'Parker', 'uid': 'bob', 'givenName': 'Bob',
            'displayName': 'Bob Parker', 'mail': 'bob@dbsentry.com', 'accountLocked': False,
            'memberOfs': ['cn=getafix,ou=groups,dc=dbsentry,dc=com'], 'sshPublicKeys': []},
}, missing=lambda cn: fail(404, f"User {cn} doesn't exist"))
accounts.append(users)  # those with a password can sign in
# A key begins with its type, in base64, so that no option like command="..." gets by.
PUBLIC_KEY = re.compile(
    r'(ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-Za-z0-9+/]{43}|(ssh-rsa AAAAB3NzaC1yc2EA'
    r'|ecdsa-sha2-nistp(256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYA|384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQA'
    r'|521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEA)'
    r'|sk-ssh-ed25519@openssh\.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t'
    r'|sk-ecdsa-sha2-nistp256@openssh\.com AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20A)'
    r'([A-Za-z0-9+/]{4}){15,700}([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)( .*)?')
USER = {
    'cn': identifier(64), 'password': text(8, 128), 'sn': text(1, 200), 'uid': text(1, 200),
    'givenName': text(0, 200), 'displayName': text(0, 200), 'accountLocked': BOOLEAN,
    'mail': ([str], re.compile(r'[!-?A-~]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+').fullmatch,
             'a mail address'),
    'memberOfs': ([list], lambda names: len(names) <= 100 and all(
        type(name) is str and len(name) <= 200 for name in names), 'a list of up to 100 names'),
    'sshPublicKeys': ([list], lambda keys: len(keys) <= 100 and all(
        type(key) is str and key.isprintable() and PUBLIC_KEY.fullmatch(key) for key in keys),
        'a list of up to 100 OpenSSH keys')}
SHOWN_USER = {field: text(0, 1000) if rule[0] == [list] else rule  # one of the list is looked for
              for field, rule in USER.items() if field != 'password'} | {'dn': text(1, 200)}
def read_user(required=()):
    """Return the fields of a user in the body, the password as its hash."""
    user = check(read_body(JSON), USER, required)
    if 'password' in user:
        user |= hash_password(user['password'])
        auth.admin()  # who is perhaps none any more, as hashing takes time
    return user
def shown(user):
    """Return what may be seen of a user: no password, but his dn, which is made from cn."""
    seen = {field: value for field, value in user.items() if field not in ['password', 'salt']}
    return {**seen, 'dn': f'cn={user["cn"]},ou=people,dc=dbsentry,dc=com'}
@app.get('/users', auth='admin')
def get_users():
    """Return the users that the query asks for."""
    return json.dumps([*listing(users, SHOWN_USER, shown).values()])
@app.get('/users/<cn>', auth='bearer')
def get_user(cn):
    """Return a user: to administrators anyone, to others themselves."""
    if cn != request['REMOTE_USER']:
        auth.admin()  # raises 403
    return shown(users[cn])
@app.post('/users', auth='admin')
def post_user():
    """Add a user."""
    given = read_user(required=['cn', 'sn'])
    cn = given['cn']
    user = {'uid': cn, 'memberOfs': [], 'sshPublicKeys': [], 'accountLocked': False, **given}
    with users.lock:
        if cn in users:
            raise fail(409, f'User {cn} exists already')
        users[cn] = user
    return HTTPResponse(shown(user), 201, Location=f'/users/{cn}')
@app.route('/users/<cn>', ['PUT', 'PATCH'], auth='admin')
def put_user(cn):
    """Change the fields of a user that are given; cn stays."""
    changes = {**read_user(), 'cn': cn}
    with users.lock:
        users[cn] = user = {**users[cn], **changes}
    return shown(user)
@app.delete('/users/<cn>', auth='admin')
def delete_user(cn):
    """Delete a user."""
    del users[cn]
    return json.dumps(f'Deleted User: {cn}')
@app.get('/authkeys')
def get_authkeys():
    """Return a user's SSH public keys, a line each, for AuthorizedKeysCommand of sshd."""
    if 'username' not in request.query:
        raise fail(400, 'username must be in the query')
    user = users.get(request.query['username'], {'accountLocked': True})
    keys = [] if user['accountLocked'] else user.get('sshPublicKeys', [])
    return HTTPResponse(''.join(f'{key}\n' for key in keys), content_type='text/plain')

# --- Courses ----------------------------------------------------------------------------------
course_error = partial(fail, key='error')  # the shape of this section's errors
courses = Collection('courses', {
    'CSE465': {'code': 'CSE465', 'name': 'Introduction to neural network',
               'instructor': 'Andrew Ng'},
    'CSE115': {'code': 'CSE115', 'name': 'Introduction to programming language',
               'instructor': 'John stuart'},
}, missing=lambda code: course_error(404, 'Course code is not found in the courses'))
COURSE = {'code': identifier(32), 'name': text(1, 120), 'instructor': text(1, 120)}
@app.get(['/courses', '/courses/<code>'], auth='bearer')
def get_course(code=None):
    """Return a course, or the courses that the query asks for."""
    return courses[code] if code else {'courses': [*listing(courses, COURSE).values()]}
@app.post('/courses', auth='bearer')
def post_course():
    """Add a course."""
    data = read_body(JSON)
    if data.get('code') in (None, ''):
        raise course_error(400, 'course code must be provided')
    course = check(data, COURSE, required=COURSE, refuse=course_error)
    with courses.lock:
        if course['code'] in courses:
            raise course_error(409, 'This course code is in use')
        courses[course['code']] = course
    return HTTPResponse(status=201, Location=f'/courses/{course["code"]}')
@app.route('/courses/<code>', ['PUT', 'PATCH'], auth='bearer')
def put_course(code):
    """Change the name and the instructor of a course (PUT), or one of them (PATCH)."""
    data = read_body(JSON)
    enough, word = (all, 'and') if request.method == 'PUT' else (any, 'or')
    if not enough(field in data for field in ['name', 'instructor']):
        raise course_error(400, f"Course name {word} instructor's name must be provided")
    changes = {**check(data, COURSE, refuse=course_error), 'code': code}
    with courses.lock:
        courses[code] = {**courses[code], **changes}
    return HTTPResponse(status=204, Location=f'/courses/{code}')
@app.delete('/courses/<code>', auth='bearer')
def delete_course(code):
    """Delete a course."""
    del courses[code]
    return HTTPResponse(status=204, Location='/courses/')
@app.post('/login')
def post_login():
    """Return nothing but a token for a user name and password."""
    token = make_token(read_sign_in(course_error))
    return HTTPResponse(token, content_type='text/plain', cache_control='no-store')

# --- Docs -------------------------------------------------------------------------------------
INITIALIZER = """window.onload = () => SwaggerUIBundle({
    url: "/swagger.yaml", dom_id: "#swagger-ui", deepLinking: true, persistAuthorization: true,
    tryItOutEnabled: true, validatorUrl: null})"""  # the validator is on another host
@app.get(['/docs', '/docs/', '/docs/<name>'])
def get_docs(name='index.html'):
    """Return a file of Swagger UI, a page from which each route can be called."""
    if request.path == '/docs':  # the page looks for its files in the folder of its address
        return HTTPResponse(status=308, Location='/docs/')
    if name == 'swagger-initializer.js':
        return HTTPResponse(INITIALIZER, content_type='text/javascript')
    return bottle.static_file(name, swagger_ui_path, headers={
        'Cache-Control': 'max-age=3600',
        'Content-Security-Policy': "default-src 'self'; img-src 'self' data:"})
@app.get('/swagger.yaml')
def get_swagger():
    """Return the description of the service in OpenAPI 3.1."""
    return bottle.static_file('swagger.yaml', Path(__file__).parent, mimetype='application/yaml')
@app.get('/health')
def get_health():
    """Tell Docker or a load balancer that the service answers."""
    api_keys.get('any')  # raises 503 if the database is away
    return {'status': 'ok'}

# --- Main -------------------------------------------------------------------------------------
lines, CLOCK = deque(), '%d/%b/%Y:%H:%M:%S %z'  # of the access log, which serve() writes
def answer_and_log(environ, start_response):
    """Answer as app does, and log a line for the request in Common Log Format."""
    start = time.monotonic()
    sent = environ['waitress.client_disconnected'].__self__.requests  # this one and those behind
    if len(sent) > 3:  # who sends ahead, but never reads, would hold a thread for ever
        sent[0].headers['CONNECTION'] = 'close'
    body = app(environ, start_response)
    # Quoted, as a line break would forge a line; without the query, which may hold a token.
    method = quote(environ['REQUEST_METHOD'])
    path = quote(environ['bottle.raw_path'], encoding='latin-1')
    lines.append(
        f'{environ["REMOTE_ADDR"]} - {environ.get("REMOTE_USER", "-")} [{time.strftime(CLOCK)}] '
        f'"{method} {path} {environ["SERVER_PROTOCOL"]}" {response.status_code} '
        f'{response.get_header("Content-Length", "-")} {(time.monotonic() - start) * 1e3:.1f}ms')
    return body
def refuse_in_json(error, ident=None):
    """Return the answer, as JSON, to what waitress refuses; its 501 is the client's fault: 400."""
    status = '400 Bad Request' if error.code == 501 else f'{error.code} {error.reason}'
    lines.append(f'- - - [{time.strftime(CLOCK)}] "-" {status[:3]} - 0.0ms')
    return status, [('Content-Type', JSON)], json.dumps({'message': error.body}).encode()
waitress.utilities.Error.to_response = refuse_in_json
waitress.parser.ParsingError = ValueError  # which GET http://[ raises, and waitress would miss
waitress_close = waitress.task.Task.set_close_on_finish  # which it calls after 204 and 304 too
waitress.task.Task.set_close_on_finish = lambda task: (task.has_body or task.version == '1.0' or
    task.request.headers.get('CONNECTION', '').lower() == 'close') and waitress_close(task)
def print_banner(port):
    """Print where the service and its docs are, and how to get a token."""
    url = f'http://{f"[{HOST}]" if ":" in HOST else HOST}:{port}'
    log.info('Listening on %s (Ctrl-C ends it)\nDocs: %s/docs\nA token: curl %s/token '
             '--data-urlencode "username=%s" --data-urlencode "password=%s"', url, url, url,
             API_USERNAME, DEMO_PASSWORD if API_PASSWORD == DEMO_PASSWORD else '$API_PASSWORD')
    if API_PASSWORD == DEMO_PASSWORD and HOST not in ['127.0.0.1', '::1', 'localhost']:
        log.warning('WARNING: other machines may reach this; set API_PASSWORD to a secret one.')
def serve(sockets):
    """Answer (by poll: select crashes above 1,024 files) until asked to stop, and then finish."""
    deadline = written = 0
    while not deadline or (time.monotonic() < deadline and (lines or any(
            getattr(client, 'requests', 0) or getattr(client, 'total_outbufs_len', 0)
            for client in sockets.values()))):  # not logged, not answered, or not yet sent
        waitress.wasyncore.loop(timeout=0.2, use_poll=True, map=sockets, count=1)
        if lines and time.monotonic() > written + 0.2:  # one by one they would take longest of all
            log.info('\n'.join(lines.popleft() for _ in range(len(lines))))
            written = time.monotonic()
        if DEBUG and os.path.exists(__file__) and os.stat(__file__).st_mtime != DEBUG:
            os.execv(sys.executable, sys.orig_argv)
        if stopping.is_set() and not deadline:
            deadline = time.monotonic() + 5
            for one in sockets.values():
                one.accepting = False  # ends listening; on a client it means nothing
WAITRESS = {
    'threads': 5,  # two may run scripts and two hash passwords, while one answers all else
    'send_bytes': 65536,  # or head and body go one by one; waitress is pinned, as it is deprecated
    'connection_limit': 400,  # more where main() may; of 100, idle clients would soon hold all
    'channel_timeout': 30,  # seconds after which who sends nothing makes room
    'cleanup_interval': 5,  # seconds from one look for such clients to the next
    'max_request_header_size': 32 * 1024,  # or a few clients with 256 KiB each fill the memory
    'max_request_body_size': 2 ** 20,  # beyond MAX_BODY, so that read_body can say 413
    'inbuf_overflow': 16 * 1024,  # what is longer waits in a file, as many may send at once
    'trusted_proxy': TRUSTED_PROXY, 'trusted_proxy_headers': 'x-forwarded-for'}
def main():
    """Listen and serve, until asked to stop."""
    logging.basicConfig(stream=sys.stdout, format='%(message)s', level=logging.INFO)
    logging.getLogger('waitress').setLevel(logging.ERROR)  # its lines have paths unquoted
    with suppress(ImportError):  # on Windows
        import resource
        files = min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        WAITRESS['connection_limit'] = files // 3  # each may need one for its body, and its answer
    sockets = {}  # by file number: what waitress listens to, and its clients
    try:
        waitress.create_server(answer_and_log, map=sockets, host=HOST, port=PORT, **WAITRESS)
    except (OSError, ValueError) as problem:
        sys.exit(f'Cannot listen on {HOST}, port {PORT}: {problem}')
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, lambda *_: stopping.set())
    print_banner(next(one.effective_port for one in sockets.values() if one.accepting))
    serve(sockets)
    if DATABASE_URL:
        engine.dispose()  # SQLite then puts all into its one file

if __name__ == '__main__':
    main()
