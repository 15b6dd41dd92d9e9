# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "bottle==0.13.4",
#     "pyjwt==2.15.1",
#     "swagger-ui-bundle-v2==5.31.0",
#     "waitress==3.0.2",
# ]
# ///
# uv reads the lines above; pip reads requirements.txt.
# MIT License (https://opensource.org/license/mit)
# Copyright (c) 2026 the One-File API authors
"""One-File API: the REST APIs of five tutorials in one file, made to be copied.

"python api.py" serves on http://127.0.0.1:5000 until Ctrl-C.

It uses Bottle, which looks like a small Flask: @app.get(PATH) makes a route, and a dict
that it returns is sent as JSON. HTTPResponse(film, 201, Location='/films/3') has a
body, a status and a header; a route may return it, or raise it as an error. What Flask
calls @app.before_request is @app.hook('before_request') here.

New here? Look at Films or Courses first: they show what the rooms above them are for.
To copy Films, run "python .ci/cut.py Films > films.py" in the project's folder: it
writes a file with this room and what it needs. Or keep this file, and delete those of
the rooms Hello to Docs that you do not need, with the rooms that are for them alone.
CORS, SQL with Database, Access log, Proxy and Connections can go as well.

These are the rooms of this file, each behind a line that begins with "# ---":

    Settings      what the environment may set                        read first
    Start-up      lists that other rooms fill, and Server uses        skip at first
    Errors        errors in JSON, and the app that sends them         read first
    Requests      what a client sent                                  read first
    Fields        what a field may hold                               read first
    Collections   items by key, safe to use from several threads      read first
    Sign-in       accounts, and who may call a route                  read first
    Tokens        signed names that expire                            read first
    Hello         a greeting, and one behind HTTP Basic               copy
    Weekend API   an echo, a token, and a PowerShell script to run    copy
    Films         a collection that everybody may change              copy
    Records       a collection behind API keys                        copy
    Users         a directory of users with passwords and SSH keys    copy
    Courses       a collection behind tokens                          copy
    Docs          Swagger UI for swagger.yaml                         copy
    Queries       for Lists: what a client asks of one                skip at first
    Lists         pages, sorting and searching                        skip at first
    Limits        for Sign-in and Records: too many attempts          skip at first
    Slow work     for Scripts, Passwords, Database: work that waits   skip at first
    Scripts       for Weekend API: runs PowerShell                    skip at first
    Passwords     for Users: hashes of their passwords                skip at first
    SSH keys      for Users: what a public key must look like         skip at first
    Files         for Docs: sends a file, or 304 for an old one       skip at first
    Browsers      keeps pages of other sites from changing things     skip at first
    CORS          lets pages of other sites in                        skip at first
    SQL           for Database: transactions and errors               skip at first
    Database      keeps the collections there, in place of dicts      skip at first
    Access log    a line for each request                             skip at first
    Proxy         a server in front of this one                       skip at first
    Connections   clients that are slow, silent or many               skip at first
    Server        health, the start and the stop                      skip at first

Put a room of your own above the room SQL: with DATABASE_URL, a collection below it
would have no table.

"Raise 404" in a docstring means: raise an ApiError, which the client gets as an answer
with this status. "The tutorial" is the one that the room answers.

The environment may set:

    HOST            address to listen on (127.0.0.1, which only this machine reaches)
    PORT            port to listen on (5000); 0 takes a free one
    SECRET_KEY      signs the tokens, 32 bytes or more (random: a restart ends them)
    API_USERNAME    name of the demo account (admin)
    API_PASSWORD    password of the demo account (atCh_5K}?g)
    RATE_LIMIT      failed sign-ins a minute per name and address (10; 0 is no limit)
    TRUSTED_PROXY   address of the proxy whose X-Forwarded headers count (none)
    MAX_ITEMS       items that a collection may hold (10000)
    CORS_ORIGIN     origins whose pages may call this, with spaces between (none)
    DATABASE_URL    keeps the data, as in sqlite:///api.db (none: a restart loses it)
    SCRIPT_TIMEOUT  seconds that script.ps1 may take (30)

The demo password is public: set API_PASSWORD before other machines can reach the
service.

There is no TLS here: passwords and tokens would cross the network unencrypted. Put a
proxy that has TLS in front, and set TRUSTED_PROXY.

Another WSGI server can serve "api:app", as in "gunicorn api:app". If it has several
processes, set SECRET_KEY and DATABASE_URL, so that they share one key and one database.
"""
import atexit
import base64
import errno
import hashlib
import hmac
import ipaddress
import json
import logging
import math
import os
import re
import secrets
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections import UserDict, deque
from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import lru_cache, wraps
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlencode

if __name__ == '__main__':
    # Before the packages are imported, so that --help works without them.
    ArgumentParser(
        description=__doc__, formatter_class=RawDescriptionHelpFormatter
    ).parse_args()

try:
    import bottle
    import jwt
    import waitress
    from bottle import HTTPResponse, request, response
    from swagger_ui_bundle import swagger_ui_path
    from waitress.channel import HTTPChannel
    from waitress.task import WSGITask
except ImportError as problem:
    sys.exit(f'{problem}: please run "pip install -r requirements.txt" first')

# --- Settings -------------------------------------------------------------------------


def setting(name, default=''):
    """Return a setting of the environment, or its default if it is unset or empty."""
    value = os.environ.get(name) or default
    try:
        # On Linux a variable can hold any bytes. If they are not UTF-8, this fails.
        value.encode()
    except UnicodeEncodeError:
        sys.exit(f'{name} must be UTF-8 text')
    return value


def number_setting(name, default, least, most, kind=int):
    """Return a setting that is a number; end the program if it is out of bounds."""
    text = setting(name, str(default))
    # kind() raises ValueError for what is no number.
    with suppress(ValueError):
        value = kind(text)
        if least <= value <= most:
            return value
    wanted = f'a number from {least} to {most}, as in {name}={default}'
    sys.exit(f'{name} must be {wanted}, and not {text!r}')


DEMO_PASSWORD = 'atCh_5K}?g'

HOST = setting('HOST', '127.0.0.1')
PORT = number_setting('PORT', 5000, 0, 65535)
SECRET_KEY = setting('SECRET_KEY', secrets.token_hex())
API_USERNAME = setting('API_USERNAME', 'admin')
API_PASSWORD = setting('API_PASSWORD', DEMO_PASSWORD)
RATE_LIMIT = number_setting('RATE_LIMIT', 10, 0, 1000)
TRUSTED_PROXY = setting('TRUSTED_PROXY')
MAX_ITEMS = number_setting('MAX_ITEMS', 10_000, 1, 1_000_000_000)
CORS_ORIGIN = setting('CORS_ORIGIN').split()
DATABASE_URL = setting('DATABASE_URL')
SCRIPT_TIMEOUT = number_setting('SCRIPT_TIMEOUT', 30, 0.1, 86_400, float)

# --- Start-up -------------------------------------------------------------------------

# Other rooms add to these, and main(), in the last room, uses them. So it stays the
# same when you add or delete a room. In short it is:
#
#     server = waitress.create_server(app, **server_options)
#     for prepare in on_start:
#         prepare(server)
#     print(start_lines)
#     server.run()
#
# gunicorn and other servers do not call main(): of all this, they use health_checks.

# Functions that raise 503 if something that the service needs can't be reached.
health_checks = []

# Lines to print at the start; {url} becomes the address of the service.
start_lines = ['Listening on {url} (Ctrl-C ends it)']

# Options of waitress, the server. One thread answers requests: Python runs only one
# thread at a time, and to switch between several takes time. While a request waits, for
# a script or a lock, there is one thread more.
server_options = {'threads': 1}

# Functions that get waitress's server before it serves.
on_start = []

# Functions that get the application and return it wrapped in another, which can time
# each request, for example (WSGI middleware, PEP 3333).
middleware = []

log = logging.getLogger('api')
stopping = threading.Event()  # set once the program is to end

# --- Errors ---------------------------------------------------------------------------

JSON = 'application/json'


def json_answer(value):
    """Return a value as JSON. A route that returns a dict does not need this."""
    response.content_type = JSON
    return json.dumps(value)


class ApiError(HTTPResponse):
    """An error to raise: its status code, and JSON with a message and more fields.

    A room whose errors look different overrides fields().
    """

    def __init__(self, code, message, headers=None, **more):
        self.message = message
        body = {**self.fields(), **more}
        # HTTPResponse makes a header of each keyword: here Content-Type.
        super().__init__(json.dumps(body), code, headers, content_type=JSON)

    def fields(self):
        """Return the fields that say what is wrong."""
        return {'message': self.message}


class Api(bottle.Bottle):
    """Bottle, with its own errors, such as 404 for an unknown path, as JSON."""

    def default_error_handler(self, error):
        """Return the body of one of Bottle's own errors."""
        return json_answer({'message': error.body})


app = Api()


@app.error(405)
def answer_wrong_method(error):
    """Return the body of a 405, for a path that has other methods; set Allow."""
    methods = error.headers['Allow'].split(',')
    if 'GET' in methods:
        methods.append('HEAD')  # which Bottle answers as it does GET
    response.set_header('Allow', ','.join([*methods, 'OPTIONS']))
    if request.method == 'OPTIONS':
        # A browser asks so before a page of another origin may call (CORS preflight).
        # No route has OPTIONS, so that question arrives here.
        response.status = 204
        return ''
    return app.default_error_handler(error)


@app.error(500)
def answer_crash(error):
    """Return the body of a 500; its traceback is in the console."""
    # Only after a crash, Bottle drops the headers that after_request hooks have set.
    app.trigger_hook('after_request')
    return app.default_error_handler(error)


def from_wsgi(text):
    """Return a text of a request, decoded as UTF-8; raise UnicodeDecodeError.

    WSGI servers decode all text as latin-1 (PEP 3333), so "é" arrives as "Ã©". This
    makes bytes of it again, and decodes them.
    """
    return text.encode('latin-1').decode()


@app.hook('before_request')
def refuse_bad_path():
    """Raise 400 for a path that is not UTF-8."""
    # Bottle would drop the wrong byte of /films/%FF1, and answer with film 1. raw_path
    # still has it. request[NAME] is from the WSGI environ, in which the server
    # describes the request.
    try:
        from_wsgi(request['bottle.raw_path'])
    except UnicodeDecodeError:
        # "from None": the first error need not be shown.
        raise ApiError(400, 'The path must be UTF-8') from None


@app.hook('after_request')
def forbid_sniffing():
    """Let no browser guess that an answer is a page or a script."""
    response.set_header('X-Content-Type-Options', 'nosniff')


# --- Requests -------------------------------------------------------------------------

FORM = 'application/x-www-form-urlencoded'
MAX_BODY = 100 * 1024  # bytes
MAX_DEPTH = 100  # how deep lists and objects may be nested


def get_header(name, default=''):
    """Return a header of the request, decoded as latin-1; default if there is none."""
    # Not Bottle's get_header(), which raises an error if it is not UTF-8. In the WSGI
    # environ, the header User-Agent is HTTP_USER_AGENT.
    return request.environ.get('HTTP_' + name.upper().replace('-', '_'), default)


def sent_type():
    """Return the media type of the body, without a charset."""
    # Bottle has already put it into small letters.
    return request.content_type.partition(';')[0].strip()


def read_text(*types):
    """Return the body, which must be of one of these types; raise 400, 413 or 415."""
    if sent_type() not in types:
        raise ApiError(415, f'Content-Type must be {" or ".join(types)}')
    # "identity" means that nothing is compressed.
    if get_header('Content-Encoding', 'identity').lower() != 'identity':
        raise ApiError(415, 'The body must be sent without a Content-Encoding')
    body = request.body.read(MAX_BODY + 1)  # one byte more, to see that it is too long
    if len(body) > MAX_BODY:
        raise ApiError(413, f'The body must not be longer than {MAX_BODY} bytes')
    try:
        # Windows' tools put a byte order mark before a text; utf-8-sig leaves it out.
        return body.decode('utf-8-sig')
    except UnicodeDecodeError as problem:
        raise ApiError(400, f'The body is not valid UTF-8: {problem.reason}') from None


def parse_json(text):
    """Return the value of a JSON text (RFC 8259); raise 400."""
    try:
        value = json.loads(text)  # RecursionError if it is nested too deeply for Python
        if is_deeper(value, MAX_DEPTH):
            raise ValueError(f'nested deeper than {MAX_DEPTH}')
        # Refuse what could not be sent back: dumps() raises ValueError for NaN and
        # 1e999, and encode() for "\ud800", half of a character.
        again = json.dumps(value, ensure_ascii=False, allow_nan=False)
        again.encode()
    except (ValueError, RecursionError) as problem:
        raise ApiError(400, f'The body is not valid JSON: {problem}') from None
    return value


def is_deeper(value, levels):
    """Tell whether lists and objects are nested in each other deeper than so many."""
    if isinstance(value, dict):
        parts = value.values()
    elif isinstance(value, list):
        parts = value
    else:
        return False
    if levels == 0:
        return True
    return any(is_deeper(part, levels - 1) for part in parts)


def parse_form(text):
    """Return the fields of a form; raise 400."""
    if text.lstrip().startswith(('{', '[')):
        raise ApiError(400, f'This looks like JSON: its Content-Type must be {JSON}')
    try:
        # If the form was sent from a file, a line break is at its end.
        fields = parse_qsl(text.rstrip('\r\n'), keep_blank_values=True, errors='strict')
    except ValueError as problem:
        raise ApiError(400, f'The body is not a valid form: {problem}') from None
    return dict(fields)


def read_fields(*types):
    """Return the fields of the body, which is JSON or a form; raise 400, 413 or 415."""
    text = read_text(*types)
    if sent_type() == FORM:
        return parse_form(text)
    fields = parse_json(text)
    if not isinstance(fields, dict):
        raise ApiError(400, 'The body must be a JSON object')
    return fields


# --- Fields ---------------------------------------------------------------------------


class Rule(NamedTuple):
    """What a field may hold.

    rule.allows(value) tells whether a value is allowed; the wording is for the error
    that says what the field must be.
    """

    allows: Callable
    wording: str


def check(fields, rules, required=(), ignored=(), make_error=ApiError):
    """Return the fields if they keep the rules; raise 400 that names the first bad one.

    rules is a dict of rules by field, such as {'name': text_of(1, 200)}.
    ignored are fields that may be sent, but are dropped.
    make_error is the class of the error, for a room that has its own.
    """
    for name in fields:
        if name not in rules and name not in ignored:
            known = ', '.join(rules)
            raise make_error(400, f'{name} is not a field here; known are {known}')
    for name, rule in rules.items():
        if name in required and name not in fields:
            raise make_error(400, f'{name} is missing: it must be {rule.wording}')
        if name in fields and not rule.allows(fields[name]):
            raise make_error(400, f'{name} must be {rule.wording}')
    return {name: fields[name] for name in rules if name in fields}


# Each of these functions returns a rule; its inner function "allows" sees the value. So
# text_of(1, 200).allows('x') is True.


def text_of(least, most):
    """Return the rule for a text of least to most characters."""

    def allows(value):
        return isinstance(value, str) and least <= len(value) <= most

    return Rule(allows, f'text of {least} to {most} characters')


def matching(pattern, wording):
    """Return the rule for a text that matches a regular expression as a whole."""

    def allows(value):
        return isinstance(value, str) and re.fullmatch(pattern, value) is not None

    return Rule(allows, wording)


def identifier(most, marks='._-'):
    """Return the rule for an id in a path."""
    characters = set(string.ascii_letters + string.digits + marks)

    def allows(value):
        # A client would take these two out of the path, as they are folders in it.
        if not isinstance(value, str) or value in ('.', '..'):
            return False
        is_fitting = all(one in characters for one in value)
        return 1 <= len(value) <= most and is_fitting

    return Rule(allows, f'1 to {most} of letters, digits and {" ".join(marks)}')


def is_number(value):
    """Tell whether a value is a number, which True and False are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_boolean(value):
    """Tell whether a value is true or false."""
    return isinstance(value, bool)


def whole_number(least, most):
    """Return the rule for a whole number from least to most. In JSON, 2018.0 is one."""

    def allows(value):
        return is_number(value) and least <= value <= most and value == int(value)

    return Rule(allows, f'a whole number from {least} to {most}')


def list_of(rule, most):
    """Return the rule for a list of up to most values that another rule allows."""

    def allows(value):
        if not isinstance(value, list) or len(value) > most:
            return False
        return all(rule.allows(one) for one in value)

    return Rule(allows, f'a list of up to {most}, each {rule.wording}')


def or_null(rule):
    """Return the rule for null and what another rule allows."""

    def allows(value):
        return value is None or rule.allows(value)

    return Rule(allows, f'{rule.wording}, or null')


NUMBER = Rule(is_number, 'a number')
BOOLEAN = Rule(is_boolean, 'true or false')


# --- Collections ----------------------------------------------------------------------


class Memory(UserDict):
    """Where a collection keeps its items: a dict, with a lock for those who write.

    A table in a database can take its place. Both have:

        storage[key]                     an item; KeyError if there is none
        len(storage)                     the number of items
        storage.page(start, stop)        pairs of key and item, the oldest first
        with storage.writing() as items  a dict that nobody else changes meanwhile
        items.next_number()              a number that was never given before
    """

    def __init__(self, items):
        super().__init__(items)
        # An RLock, because a thread that holds it may take it again: page() does.
        self.lock = threading.RLock()
        self.last_number = len(items)  # the first items have the numbers from 1

    @contextmanager
    def writing(self):
        """Lock out other threads that write, and give this dict."""
        with self.lock:
            # The lines inside "with memory.writing() as items:" run at yield. Then the
            # lock is released.
            yield self

    def next_number(self):
        """Return the next number."""
        self.last_number += 1
        return self.last_number

    def page(self, start, stop):
        """Return the pairs of key and item from start to stop, the oldest first."""
        with self.lock:
            # data is the dict in a UserDict; islice() is [start:stop] for its items.
            return list(islice(self.data.items(), start, stop))


# With a database, each of them gets a table.
all_collections = []


class Collection(MutableMapping):
    """Items by key, at most MAX_ITEMS of them, which several threads may use at once.

    Use it like a dict: MutableMapping makes get(), update(), "in" and == of the methods
    here. A method that reads and then writes holds the lock for both. An item is what
    JSON can hold. Do not change an item that you have read; store a changed copy.
    """

    def __init__(self, name, items=()):
        self.name = name
        self.storage = Memory(items)  # or a Table, if there is a database
        all_collections.append(self)

    def __getitem__(self, key):
        return self.storage[key]

    def __setitem__(self, key, item):
        self.put(key, item)

    def __delitem__(self, key):
        with self.storage.writing() as items:
            del items[key]

    def __iter__(self):
        return iter([key for key, item in self.page()])

    def __len__(self):
        return len(self.storage)

    def page(self, start=0, stop=None):
        """Return the pairs of key and item from start to stop, the oldest first."""
        return self.storage.page(start, stop)

    def items(self):
        """Return the items of a copy, so that other threads may go on writing."""
        return dict(self.page()).items()

    def values(self):
        """Return the values of a copy, so that other threads may go on writing."""
        return dict(self.page()).values()

    def put(self, key, item):
        """Store an item in place of any with this key; return whether it is new."""
        with self.storage.writing() as items:
            is_new = key not in items
            if is_new:
                refuse_if_full(items)
            items[key] = item
        return is_new

    def add(self, key, item):
        """Store an item if no other has this key; return whether it was stored."""
        with self.storage.writing() as items:
            is_free = key not in items
            if is_free:
                refuse_if_full(items)
                items[key] = item
        return is_free

    def add_numbered(self, item):
        """Store an item under the next number, as text, and return that key."""
        with self.storage.writing() as items:
            refuse_if_full(items)
            key = str(items.next_number())
            while key in items:  # put() may have used this number
                key = str(items.next_number())
            items[key] = item
        return key

    def change(self, key, fields):
        """Replace fields of an item; return the new item, or None if there is none."""
        with self.storage.writing() as items:
            item = items.get(key)
            if item is not None:
                item = {**item, **fields}
                items[key] = item
        return item

    def pop(self, key, *default):
        """Remove an item and return it.

        If there is none, return default, or raise KeyError if no default was given.
        """
        # default is a tuple: of the one that was given, or empty.
        with self.storage.writing() as items:
            return items.pop(key, *default)

    # MutableMapping has these as well, but without the lock. The rooms here do not use
    # them, but yours may.

    def popitem(self):
        """Remove the oldest item; return its key and item; raise KeyError if empty."""
        with self.storage.writing() as items:
            if not items:
                raise KeyError(f'{self.name} has no items')
            key = next(iter(items))
            return key, items.pop(key)

    def setdefault(self, key, default=None):
        """Return the item of this key; store default first if there is none."""
        with self.storage.writing() as items:
            if key not in items:
                refuse_if_full(items)
                items[key] = default
            return items[key]

    def clear(self):
        """Remove all items."""
        with self.storage.writing() as items:
            items.clear()


def refuse_if_full(items):
    """Raise 507 if there is no room for one more item."""
    if len(items) >= MAX_ITEMS:
        raise ApiError(507, f'There is no room for more than {MAX_ITEMS} items')


# --- Sign-in --------------------------------------------------------------------------

REALM = 'realm="One-File API"'

if len(SECRET_KEY.encode()) < 32:
    sys.exit(
        'SECRET_KEY must have at least 32 bytes; this makes one: '
        'python -c "import secrets; print(secrets.token_hex())"'
    )

# This changes with API_PASSWORD. Each token holds a copy, so that old ones end with the
# old password. It is a hash with a key (HMAC), as anybody can read a token.
demo_version = hmac.new(SECRET_KEY.encode(), API_PASSWORD.encode(), 'sha256')
# An account. The names are those of LDAP and of the users' tutorial: cn is the name to
# sign in with, memberOfs are the groups.
DEMO = {
    'cn': API_USERNAME,
    'memberOfs': ['cn=Admins'],
    'password_version': demo_version.hexdigest(),
}
SIGN_IN = {'username': text_of(1, 1000), 'password': text_of(1, 1000)}
# OAuth clients send these as well; they are not looked at.
OAUTH_FIELDS = ['grant_type', 'scope', 'client_id', 'client_secret']

# Dicts of accounts by name, to which other rooms may add.
account_tables = [{API_USERNAME: DEMO}]
# Functions that get an account and a password, and return True if it is the right one.
# Other rooms may add theirs. They are not asked about DEMO.
password_checks = []


def warn_of_demo_password(server):
    """Add a line to the start if other machines can use the public demo password."""
    # only_this_machine() is in the room Browsers.
    if API_PASSWORD == DEMO_PASSWORD and not only_this_machine():
        start_lines.append(
            'WARNING: other machines may reach this; set API_PASSWORD to a secret one.'
        )


on_start.append(warn_of_demo_password)


class AuthPlugin:
    """Bottle plugin: auth=FUNCTION in a route says who may call it.

    It is like a decorator that Bottle puts around each route. For
    @app.get('/courses', auth=bearer) it calls bearer() before list_courses(). bearer()
    returns the caller's name, which the route and the log then find in
    request['REMOTE_USER'], or raises 401.
    """

    name = 'auth'
    api = 2  # the version of Bottle's interface for plugins

    def apply(self, callback, route):
        """Return the function to call for a route, whose own function is callback.

        Bottle calls this once for each route, and guarded() for each request.
        """
        refuse_unknown_options(route)
        if 'auth' not in route.config:
            return callback
        find_caller = route.config['auth']

        @wraps(callback)  # keeps the name and the docstring of the function
        def guarded(*args, **kwargs):
            request['REMOTE_USER'] = find_caller()
            return callback(*args, **kwargs)

        return guarded


def refuse_unknown_options(route):
    """Raise TypeError for a slip such as auht=admin, which would leave a route open."""
    # route.config also has all that is in app.config: Bottle's own options.
    known = ['auth', *app.config]
    for option in route.config:
        if option not in known:
            raise TypeError(f'{route.rule}: there is no option {option}')


app.install(AuthPlugin())


def bearer():
    """Return the name of the user whose bearer token (RFC 6750) was sent; raise 401."""
    scheme, _, token = get_header('Authorization').partition(' ')
    token = token.strip()
    if scheme.lower() != 'bearer' or not token:
        raise ApiError(
            401,
            'Please sign in, and send the token as Authorization: Bearer TOKEN',
            {'WWW-Authenticate': f'Bearer {REALM}'},
        )
    name = read_token(token)
    if name is None:
        raise ApiError(
            401,
            'The token is not valid, or not any more: please sign in again',
            {'WWW-Authenticate': f'Bearer {REALM}, error="invalid_token"'},
        )
    return name


def admin():
    """Return the name of an administrator who sent a token; raise 401 or 403."""
    name = bearer()
    for group in find_account(name).get('memberOfs', []):
        # A group may be written in full: cn=Admins,ou=groups,dc=example,dc=com.
        if group.split(',')[0] == 'cn=Admins':
            return name
    raise ApiError(403, 'Only administrators may do this')


def find_account(name):
    """Return the account with this name, or {} if there is none or it is locked."""
    for table in account_tables:
        account = table.get(name)
        if account is not None:
            return {} if account.get('accountLocked') else account
    return {}  # an account that can do nothing


def sign_in(name, password):
    """Return the account with this name and password, or None; raise 429 or 503."""
    refuse_too_many_sign_ins(name)  # room Limits
    account = find_account(name)
    if not is_right_password(account, password):
        count_failed_sign_in(name)  # room Limits
        return None
    # To check a password takes time, and other guesses may have used up the limit
    # meanwhile. Then even a right one is refused.
    refuse_too_many_sign_ins(name)
    return account


def is_right_password(account, password):
    """Tell whether this is the account's password; raise 503."""
    if account is DEMO:
        # compare_digest() takes the same time whatever the password, so nobody can
        # find it letter by letter. It wants bytes, as a text may have letters like é.
        return secrets.compare_digest(password.encode(), API_PASSWORD.encode())
    # Ask also if there is no account ({}): a quicker answer would tell who has one.
    return any(is_right(account, password) for is_right in password_checks)


def read_sign_in(make_error=ApiError):
    """Return the account whose name and password the body has; raise 401, 429 ..."""
    given = check(
        read_fields(JSON, FORM),
        SIGN_IN,
        required=['username', 'password'],
        ignored=OAUTH_FIELDS,
        make_error=make_error,
    )
    account = sign_in(given['username'], given['password'])
    if account is None:
        raise make_error(
            401,
            'username or password is not correct',
            {'WWW-Authenticate': f'Bearer {REALM}'},
        )
    return account


# --- Tokens ---------------------------------------------------------------------------

TOKEN_SECONDS = 30 * 60


def make_token(account):
    """Return a token for an account: a signed JWT (RFC 7519), for TOKEN_SECONDS."""
    now = int(time.time())
    claims = {
        'sub': account['cn'],  # whose it is
        'iat': now,  # when it was issued
        'exp': now + TOKEN_SECONDS,  # when it expires
        'password_version': account['password_version'],  # with a new one, it ends
    }
    return jwt.encode(claims, SECRET_KEY, algorithm='HS256')


# The cache holds the claims of the last 1,000 tokens, as to check them is the slowest
# part of a request. read_token() checks each time what may have changed since.
@lru_cache(1000)
def check_signature(token):
    """Return the claims of a token that we signed; raise jwt.InvalidTokenError."""
    # A token names its algorithm, but it must not choose one: only HS256 is taken.
    # Without exp it would never expire. iat is not checked, because the clock of
    # another machine that made it may be a little ahead of ours.
    options = {'require': ['exp', 'sub'], 'verify_iat': False}
    return jwt.decode(token, SECRET_KEY, algorithms=['HS256'], options=options)


def read_token(token):
    """Return the name of the user whose token this is, or None if it is not valid."""
    try:
        claims = check_signature(token)
    except (jwt.InvalidTokenError, RecursionError):  # the latter if nested too deeply
        return None
    # It may have expired since it came into the cache.
    if int(claims['exp']) <= time.time():
        return None
    name = claims['sub']
    account = find_account(name)
    version = claims.get('password_version')
    if version is None:
        # Another program that has our SECRET_KEY made it. It is good for the demo
        # account alone.
        return name if account is DEMO else None
    if version != account.get('password_version'):
        # The password has changed, or the account is gone or locked ({}).
        return None
    return name


# --- Hello ----------------------------------------------------------------------------


def basic():
    """Return the name of who signs in by HTTP Basic (RFC 7617); raise 401, 429 ..."""
    # Not request.auth: without the header, that takes REMOTE_USER of the server.
    given = bottle.parse_auth(get_header('Authorization'))
    account = None
    if given:
        name, password = given
        account = sign_in(name, password)
    if account is None:
        raise ApiError(
            401,
            'Please sign in with user name and password',
            {'WWW-Authenticate': f'Basic {REALM}, charset="UTF-8"'},
        )
    return account['cn']


@app.get('/')
def get_root():
    """Greet a program; send a browser on to the docs page, if the file has one."""
    has_docs = any(route.rule == '/docs' for route in app.routes)
    if has_docs and 'text/html' in get_header('Accept'):
        # No slash in front, so that it works under a path such as /myapp/ too.
        return HTTPResponse(status=302, Location='docs', vary='Accept')
    return HTTPResponse({'hello': 'world'}, vary='Accept')


@app.get('/hello_world', auth=basic)
def get_hello_world():
    """Greet who has signed in."""
    return {'Hello': 'World'}


# --- Weekend API ----------------------------------------------------------------------

SCRIPT = Path(__file__).with_name('script.ps1')

# A command for the start. It shows the demo password, but never one that you have set:
# your shell puts that in place of $API_PASSWORD. Only print_start() knows the {url}.
shown_password = API_PASSWORD if API_PASSWORD == DEMO_PASSWORD else '$API_PASSWORD'
start_lines.append(
    'A token: curl {url}/token '
    f'--data-urlencode "username={API_USERNAME}" '
    f'--data-urlencode "password={shown_password}"'
)


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
    """Return a token for a name and a password, as OAuth 2 does (RFC 6749, 5.1)."""
    try:
        account = read_sign_in()
    except ApiError as problem:
        # This may be an error of any room, such as 415 or 429.
        add_oauth_fields(problem)
        raise
    answer = {
        'access_token': make_token(account),
        'token_type': 'Bearer',
        'expires_in': TOKEN_SECONDS,
    }
    return HTTPResponse(answer, cache_control='no-store')


def add_oauth_fields(problem):
    """Add to an error the fields that OAuth clients read (RFC 6749, 5.2)."""
    names = {
        401: 'invalid_grant',  # the RFC has 400; here each failed sign-in is 401
        429: 'temporarily_unavailable',
        503: 'temporarily_unavailable',
    }
    fields = {
        'message': problem.message,
        'error': names.get(problem.status_code, 'invalid_request'),
        'error_description': oauth_text(problem.message),
    }
    problem.body = json.dumps(fields)  # the error is the answer that Bottle sends


def oauth_text(text):
    """Return a text in which each character that the RFC forbids is an apostrophe.

    It forbids quotation marks, backslashes, and letters such as é.
    """
    characters = []
    for one in text:
        is_allowed = one.isascii() and one.isprintable() and one not in '"\\'
        characters.append(one if is_allowed else "'")
    return ''.join(characters)


@app.post('/run-script', auth=admin)
def post_run_script():
    """Run script.ps1 and return what it wrote; raise 500, 503 or 504."""
    # Two may run at once; a third gets 503 (rooms Slow work and Scripts).
    with slow_work(script_slots, 'scripts'):
        result = run_script(SCRIPT, SCRIPT_TIMEOUT)
    written = {'output': result.output, 'error': result.error}
    if result.exit_code is None:
        if stopping.is_set():
            raise ApiError(503, 'The script was ended, as the service stops', **written)
        message = f'The script was ended after {SCRIPT_TIMEOUT:g} seconds'
        raise ApiError(504, message, **written)
    if result.exit_code != 0:
        message = f'The script ended with exit code {result.exit_code}'
        raise ApiError(500, message, **written, exit_code=result.exit_code)
    return written


# --- Films ----------------------------------------------------------------------------

# Anybody may change films, but no page of another site: a hook in the room Browsers
# refuses those.

START_FILMS = {
    '1': {'Name': 'Avengers: Infinity War', 'Year': 2018, 'Month': 'March'},
    '2': {'Name': 'Ant Man and the Wasp', 'Year': 2018, 'Month': 'August'},
}
FILM_ID = identifier(64, marks='_-')
MONTHS = (
    'January|February|March|April|May|June|'
    'July|August|September|October|November|December'
)
# One oddity: as in the tutorial, this takes "name" and gives "Name". FILM has the
# fields that are taken, and FILM_QUERY those that are given, which /films?Name=Dune
# asks for. If yours are the same, FILM is enough.
FILM = {
    'name': text_of(1, 200),
    'year': whole_number(1870, 2100),
    'month': matching(MONTHS, "an English month's name"),
}
FILM_QUERY = {'Name': FILM['name'], 'Year': FILM['year'], 'Month': FILM['month']}

films = Collection('films', START_FILMS)


def no_film(film_id):
    """Return the error for an id that no film has."""
    return ApiError(404, f"Film {film_id} doesn't exist")


def read_film():
    """Return the film in the body; raise 400, 413 or 415."""
    sent = {}
    for name, value in read_fields(JSON, FORM).items():
        # Name is taken like name, so that what GET shows can be sent back.
        if name.lower() in FILM:
            name = name.lower()
        sent[name] = value
    # A form has nothing but text.
    if sent_type() == FORM and re.fullmatch('[0-9]{4}', sent.get('year', '')):
        sent['year'] = int(sent['year'])
    film = check(sent, FILM, required=['name', 'year', 'month'])
    year = int(film['year'])  # it may be 2018.0
    return {'Name': film['name'], 'Year': year, 'Month': film['month']}


@app.get('/films')
def list_films():
    """Return the films by their ids."""
    # list_page(), of the room Lists, reads the query and returns pairs of id and film.
    return dict(list_page(films, FILM_QUERY))


@app.post('/films')
def create_film():
    """Add a film under the next number."""
    film = read_film()
    film_id = films.add_numbered(film)
    # Bottle makes JSON of a dict, and a header of Location=...
    return HTTPResponse(film, 201, Location=f'/films/{film_id}')


@app.get('/films/<film_id>')
def get_film(film_id):
    """Return a film; raise 404."""
    film = films.get(film_id)
    if film is None:
        raise no_film(film_id)
    return film


@app.put('/films/<film_id>')
def put_film(film_id):
    """Add a film under this id (201), or replace the one there (200)."""
    if not FILM_ID.allows(film_id):
        raise ApiError(400, f'The id of a film must be {FILM_ID.wording}')
    film = read_film()
    is_new = films.put(film_id, film)
    return HTTPResponse(film, 201 if is_new else 200)


@app.delete('/films/<film_id>')
def delete_film(film_id):
    """Delete a film; raise 404."""
    if films.pop(film_id, None) is None:
        raise no_film(film_id)
    return HTTPResponse(status=204)


# --- Records --------------------------------------------------------------------------


class RecordError(ApiError):
    """An error that this room itself raises: its JSON has a status too.

    Errors of other rooms, as for a body that is not JSON, stay as they are.
    """

    def fields(self):
        """Return the fields that say what is wrong."""
        return {'status': 'failed', 'message': self.message}


def new_record(username, timestamp=None, value1=None, value2=None, value3=None):
    """Return a new record of this user; its dates are now, in milliseconds."""
    now = milliseconds()
    return {
        'timestamp': timestamp,
        'value1': value1,
        'value2': value2,
        'value3': value3,
        'creationdate': now,
        'lastmodificationdate': now,
        'lastmodifiedby': username,
    }


def milliseconds():
    """Return the time in milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


START_RECORDS = {
    '1': new_record(
        'ironman',
        timestamp=2392822832.21,
        value1='Boston Terrier',
        value2=9938212273.32,
        value3=True,
    ),
    '2': new_record(
        'thor',
        timestamp=8929109,
        value1='The only thing permanent in life is impermanence!',
        value2=88239244423.21,
        value3=False,
    ),
    '3': new_record(
        'blackwidow',
        timestamp=6789998212.0,
        value1='What a great day!',
        value2=221220231.01,
        value3=True,
    ),
    '4': new_record(
        'loki',
        timestamp=67182,
        value1='Where are the mere mortals?',
        value2=88239244423.21,
        value3=False,
    ),
    '5': new_record(
        'captain_america',
        timestamp=828283281.21,
        value1="No, I don't think I will..",
        value2=781230.21,
        value3=True,
    ),
}
RECORD = {
    'timestamp': or_null(NUMBER),
    'value1': or_null(text_of(0, 1000)),
    'value2': or_null(NUMBER),
    'value3': or_null(BOOLEAN),
}
LARGEST = 2**63 - 1  # the largest number of 64 bits with a sign
# Fields that are shown as well, and that no client can set. Their rules are for
# queries: /api/list?id=2.
READ_ONLY = {
    'id': whole_number(1, LARGEST),
    'creationdate': whole_number(0, LARGEST),
    'lastmodificationdate': whole_number(0, LARGEST),
    'lastmodifiedby': text_of(1, 64),
}
KEY_NAME = identifier(64)

records = Collection('records', START_RECORDS)
api_keys = Collection('api_keys')  # hashes of keys by their owners' names


def api_key():
    """Return the owner of the API key in the header api-key; raise 401 or 429."""
    sent = get_header('api-key')
    if sent:
        owner = sent.rpartition('.')[0]  # a key is NAME.RANDOM, and NAME may have dots
        stored = api_keys.get(owner, '')
        # Not ==, which stops at the first wrong letter: its time would tell how many
        # are right.
        if secrets.compare_digest(hash_key(sent), stored):
            return owner
        # The room Limits logs this name. Not owner: if a key was pasted wrongly, that
        # may be a part of it.
        count_failed_sign_in('(API key)')
    raise RecordError(
        401,
        'You are not authenticated! Please add an authentication key to the header and '
        'try again!',
    )


def hash_key(key):
    """Return the hash of an API key, in hex.

    A fast one is enough, as keys are random: nobody can try them all.
    """
    return hashlib.sha256(key.encode()).hexdigest()


def no_record():
    """Return the error for an id that no record has."""
    message = 'The record does not exist! Please try a different record number!'
    return RecordError(404, message)


def show_record(record_id, record):
    """Return a record as it is shown, with its id."""
    return {'id': int(record_id), **record}


def read_record():
    """Return the fields of a record in the body, one or more; raise 400, 413 or 415."""
    fields = check(
        read_fields(JSON), RECORD, ignored=list(READ_ONLY), make_error=RecordError
    )
    # all() is true if there are no fields, too.
    if all(value is None for value in fields.values()):
        message = 'Please populate atleast one field into the record and try again!'
        raise RecordError(400, message)
    return fields


@app.post('/api/generate_key/<username>')
def post_key(username):
    """Make an API key for a new name. Only this answer ever shows it."""
    if not KEY_NAME.allows(username):
        raise RecordError(400, f'username must be {KEY_NAME.wording}')
    count_new_key()  # room Limits
    # With the name in front, api_key() finds the owner at once.
    key = f'{username}.{secrets.token_urlsafe(16)}'
    if not api_keys.add(username, hash_key(key)):
        message = 'The username you are trying to register has been already used!'
        raise RecordError(409, message)
    answer = {
        'api_key': key,
        'username': username,
        'status': 'success',
        'created_on': time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime()),
        'message': 'Congrats! Your API Key has been created!',
    }
    return HTTPResponse(answer, 201, cache_control='no-store')


@app.get('/api/generate_key/<username>')
def get_key(username):
    """Make an API key by GET too, as the tutorial does; do not copy this."""
    # Any web page can make a browser send a GET, as with the address of an image.
    refuse_foreign_page()  # room Browsers
    if request.method == 'HEAD':
        # The answer has no body, so nobody would see the key.
        return HTTPResponse(status=201)
    return post_key(username)


@app.delete('/api/generate_key/<username>', auth=api_key)
def delete_key(username):
    """Remove an API key; only the key itself may do that; raise 403."""
    if username != request['REMOTE_USER']:
        raise RecordError(403, 'Only the key of a username itself may remove it!')
    api_keys.pop(username, None)
    return {'message': 'Your API Key has been removed!', 'status': 'success'}


@app.get('/api/list')
def list_records():
    """Return the records."""
    pairs = list_page(records, {**RECORD, **READ_ONLY}, show_record)
    return json_answer([record for _, record in pairs])


@app.post('/api/create', auth=api_key)
def create_record():
    """Add a record under the next number."""
    # The fields become arguments, as in new_record(username, value1='Hello').
    record = new_record(request['REMOTE_USER'], **read_record())
    record_id = records.add_numbered(record)
    answer = {
        'message': 'Your entry has successfully been added to the database!',
        'record_info': show_record(record_id, record),
        'status': 'success',
    }
    return HTTPResponse(answer, 201)


@app.get('/api/read/<record_id>')
def get_record(record_id):
    """Return a record; raise 404."""
    record = records.get(record_id)
    if record is None:
        raise no_record()
    return {
        'message': 'Record found!',
        'record_info': show_record(record_id, record),
        'status': 'success',
    }


@app.patch('/api/modify/<record_id>', auth=api_key)
def modify_record(record_id):
    """Change the fields of a record that are given; raise 404."""
    changes = {
        **read_record(),
        'lastmodificationdate': milliseconds(),
        'lastmodifiedby': request['REMOTE_USER'],
    }
    record = records.change(record_id, changes)
    if record is None:
        raise no_record()
    return {
        'message': 'Your record has successfully been modified!',
        'record_info': show_record(record_id, record),
        'status': 'success',
    }


@app.delete('/api/remove/<record_id>', auth=api_key)
def remove_record(record_id):
    """Delete a record; raise 404."""
    if records.pop(record_id, None) is None:
        raise no_record()
    return {'message': 'Your record has been removed!', 'status': 'success'}


@app.route(['/api/generate_key', '/api/generate_key/'], ['GET', 'POST', 'DELETE'])
def missing_name():
    """Say that the path has no name."""
    raise RecordError(
        400,
        'Oops! You forgot to add a username after! Please specify a username and try '
        'again!',
    )


@app.get(['/api/read', '/api/read/'])
@app.patch(['/api/modify', '/api/modify/'])
@app.delete(['/api/remove', '/api/remove/'])
def missing_number():
    """Say that the path has no id."""
    raise RecordError(
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
    },
}
# Letters, digits and marks but @ ("!" to "?" and "A" to "~" in ASCII), @, a domain.
MAIL = r'[!-?A-~]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+'
USER = {
    'cn': identifier(64),
    'sn': text_of(1, 200),
    'uid': text_of(1, 200),
    'givenName': or_null(text_of(0, 200)),
    'displayName': or_null(text_of(0, 200)),
    'mail': or_null(matching(MAIL, 'a mail address')),
    'memberOfs': or_null(list_of(text_of(0, 200), 100)),
    'sshPublicKeys': or_null(list_of(text_of(1, 4000), 100)),
    'accountLocked': BOOLEAN,
    'password': text_of(8, 128),
}
LIST_FIELDS = ['memberOfs', 'sshPublicKeys']
PASSWORD_FIELDS = ['password_hash', 'password_salt', 'password_version']
# What a query may ask for. In a list it finds one value: /users?memberOfs=staff.
USER_QUERY = {
    'cn': USER['cn'],
    'sn': USER['sn'],
    'uid': USER['uid'],
    'givenName': USER['givenName'],
    'displayName': USER['displayName'],
    'mail': USER['mail'],
    'memberOfs': text_of(1, 200),
    'sshPublicKeys': text_of(1, 4000),
    'accountLocked': USER['accountLocked'],
    'dn': text_of(1, 200),
}

users = Collection('users', START_USERS)
account_tables.append(users)  # users who have a password can sign in


def no_user(cn):
    """Return the error for a name that no user has."""
    return ApiError(404, f"User {cn} doesn't exist")


def show_user(cn, user):
    """Return a user as it is shown: without passwords and nulls, and with its dn."""
    shown = {}
    for name, value in user.items():
        if name not in PASSWORD_FIELDS and value is not None:
            shown[name] = value
    return {**shown, 'dn': f'cn={cn},ou=people,dc=dbsentry,dc=com'}


def read_user(fields, required=()):
    """Return what is to be stored of a user's fields; raise 400 or 503."""
    user = check(fields, USER, required, ignored=['dn'])
    for name in LIST_FIELDS:
        if name in user and user[name] is None:
            user[name] = []
    if 'sshPublicKeys' in user:
        user['sshPublicKeys'] = clean_keys(user['sshPublicKeys'])  # room SSH keys
    if 'password' in user:
        password = user.pop('password')
        salt = secrets.token_hex(16)
        user['password_hash'] = hash_password(password, salt)  # room Passwords
        user['password_salt'] = salt
        user['password_version'] = secrets.token_hex(8)
    return user


@app.get('/users', auth=admin)
def list_users():
    """Return the users."""
    pairs = list_page(users, USER_QUERY, show_user)
    return json_answer([user for _, user in pairs])


@app.post('/users', auth=admin)
def create_user():
    """Add a user; raise 409."""
    given = read_user(read_fields(JSON), required=['cn', 'sn'])
    # A password may wait ten seconds until it is hashed. So ask again: this raises 403
    # if the caller is no administrator any more.
    admin()
    cn = given['cn']
    defaults = {'uid': cn, 'memberOfs': [], 'sshPublicKeys': [], 'accountLocked': False}
    user = {**defaults, **given}
    # The name of the demo account, which is no user, is taken too.
    if cn == API_USERNAME or not users.add(cn, user):
        raise ApiError(409, f'User {cn} exists already')
    return HTTPResponse(show_user(cn, user), 201, Location=f'/users/{cn}')


@app.get('/users/<cn>', auth=bearer)
def get_user(cn):
    """Return a user: oneself, or for administrators anyone; raise 403 or 404."""
    if cn != request['REMOTE_USER']:
        admin()
    user = users.get(cn)
    if user is None:
        raise no_user(cn)
    return show_user(cn, user)


@app.put('/users/<cn>', auth=admin)
def put_user(cn):
    """Change those fields of a user that are sent, as in the tutorial; raise 404."""
    return change_user(cn)


@app.patch('/users/<cn>', auth=bearer)
def patch_user(cn):
    """Change fields, as PUT does, for administrators; raise 403 or 404.

    Others may change their own password, and nothing else.
    """
    return change_user(cn)


def check_rights(cn, fields):
    """Raise 401 or 403 if the caller may not change these fields of a user."""
    caller = bearer()
    if cn == caller and list(fields) == ['password']:
        return
    admin()


def change_user(cn):
    """Change the fields of a user; return the user; raise 400, 401, 403 or 404."""
    fields = read_fields(JSON)
    check_rights(cn, fields)
    # The name stays, even if another one was sent.
    changes = {**read_user(fields), 'cn': cn}
    check_rights(cn, fields)  # again, as in create_user()
    user = users.change(cn, changes)
    if user is None:
        raise no_user(cn)
    return show_user(cn, user)


@app.delete('/users/<cn>', auth=admin)
def delete_user(cn):
    """Delete a user; raise 404."""
    if users.pop(cn, None) is None:
        raise no_user(cn)
    return json_answer(f'Deleted User: {cn}')


@app.get('/authkeys')
def get_authkeys():
    """Return a user's SSH public keys to anybody, as sshd asks for them."""
    if 'username' not in request.query:
        raise ApiError(400, 'username is missing in the query: /authkeys?username=CN')
    # getunicode() reads UTF-8, where get() of Bottle reads latin-1.
    user = users.get(request.query.getunicode('username', ''))
    keys = []
    if user is not None and not user['accountLocked']:
        keys = user.get('sshPublicKeys', [])
    text = ''.join(f'{key}\n' for key in keys)
    return HTTPResponse(text, content_type='text/plain; charset=utf-8')


# --- Courses --------------------------------------------------------------------------


class CourseError(ApiError):
    """An error that this room itself raises: it has "error" and no "message"."""

    def fields(self):
        """Return the fields that say what is wrong."""
        return {'error': self.message}


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
    'code': identifier(32),
    'name': text_of(1, 120),
    'instructor': text_of(1, 120),
}

courses = Collection('courses', START_COURSES)


def no_course():
    """Return the error for a code that no course has."""
    return CourseError(404, 'Course code is not found in the courses')


@app.post('/login')
def post_login():
    """Return the bare token for a user name and a password."""
    token = make_token(read_sign_in(CourseError))
    return HTTPResponse(
        token, content_type='text/plain; charset=utf-8', cache_control='no-store'
    )


@app.get('/courses', auth=bearer)
def list_courses():
    """Return the courses."""
    return {'courses': [course for _, course in list_page(courses, COURSE)]}


@app.post('/courses', auth=bearer)
def create_course():
    """Add a course; raise 400 or 409."""
    sent = read_fields(JSON)
    # The tutorial has a message of its own for this.
    if sent.get('code') in (None, ''):
        raise CourseError(400, 'course code must be provided')
    required = ['code', 'name', 'instructor']
    course = check(sent, COURSE, required, make_error=CourseError)
    if not courses.add(course['code'], course):
        raise CourseError(409, 'This course code is in use')
    return HTTPResponse(status=201, Location=f'/courses/{course["code"]}')


@app.get('/courses/<code>', auth=bearer)
def get_course(code):
    """Return a course; raise 404."""
    course = courses.get(code)
    if course is None:
        raise no_course()
    return course


@app.put('/courses/<code>', auth=bearer)
def put_course(code):
    """Change the name and the instructor of a course; raise 400 or 404."""
    sent = read_fields(JSON)
    if 'name' not in sent or 'instructor' not in sent:
        message = "Course name and instructor's name must be provided"
        raise CourseError(400, message)
    return change_course(code, sent)


@app.patch('/courses/<code>', auth=bearer)
def patch_course(code):
    """Change the name or the instructor of a course, or both; raise 400 or 404."""
    sent = read_fields(JSON)
    if 'name' not in sent and 'instructor' not in sent:
        message = "Course name or instructor's name must be provided"
        raise CourseError(400, message)
    return change_course(code, sent)


def change_course(code, sent):
    """Change these fields of a course; raise 400 or 404."""
    # The code stays, even if another one was sent.
    changes = {**check(sent, COURSE, make_error=CourseError), 'code': code}
    if courses.change(code, changes) is None:
        raise no_course()
    return HTTPResponse(status=204, Location=f'/courses/{code}')


@app.delete('/courses/<code>', auth=bearer)
def delete_course(code):
    """Delete a course; raise 404."""
    if courses.pop(code, None) is None:
        raise no_course()
    return HTTPResponse(status=204, Location='/courses')


# --- Docs -----------------------------------------------------------------------------

# JavaScript, which Swagger UI reads first: its settings, and two functions. The address
# begins with "..", so that the page works under a path such as /myapp/docs/ too.
INITIALIZER = """\
window.onload = () => {
    window.ui = SwaggerUIBundle({
        url: "../swagger.yaml",
        dom_id: "#swagger-ui",
        deepLinking: true,
        tryItOutEnabled: true,
        validatorUrl: null,
        responseInterceptor: (answer) => {
            // 401: the token is not valid any more, as after a restart. Sign out in the
            // page too. The names are those of securitySchemes in swagger.yaml.
            if (answer.status === 401) {
                window.ui.authActions.logout(["bearer", "basic", "key"]);
            }
            return answer;
        },
    });
};

// A click on Authorize opens a dialog. Put the cursor into its field for the user name.
document.addEventListener("click", (event) => {
    if (event.target.closest(".authorize, .authorization__btn")) {
        setTimeout(() => document.querySelector("#oauth_username")?.focus());
    }
});
"""

start_lines.insert(1, 'Docs: {url}/docs')  # as the second line


@app.get('/docs')
def redirect_to_docs():
    """Redirect to /docs/, so that the addresses of the page's files are right."""
    return HTTPResponse(status=308, Location='docs/')


@app.get(['/docs/', '/docs/<name>'])
def get_docs(name='index.html'):
    """Return a file of Swagger UI, a page from which each route can be called."""
    if name == 'swagger-initializer.js':
        return send_file(INITIALIZER.encode(), name)
    # A name that leads out of the folder, such as "..", is not in this list.
    if name not in os.listdir(swagger_ui_path):
        raise ApiError(404, f'There is no file {name} here')
    return send_file(Path(swagger_ui_path, name).read_bytes(), name)


@app.get('/swagger.yaml')
def get_swagger():
    """Return the description of the service in OpenAPI 3.1."""
    content = Path(__file__).with_name('swagger.yaml').read_bytes()
    return send_file(content, 'swagger.yaml')


# --- Queries --------------------------------------------------------------------------

# Numbers in a query: 12, and 1.5 or 1e3. Very long ones would be slow to read.
WHOLE_NUMBER = r'-?(0|[1-9][0-9]{0,19})'
DECIMAL_NUMBER = r'-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?'
PARAMETERS = ['limit', 'offset', 'sort', 'q']  # beside the names of fields
LIMIT = matching('[1-9][0-9]{0,2}|1000', 'a whole number from 1 to 1000')
OFFSET = matching('0|[1-9][0-9]{0,8}', 'a whole number from 0 to 999999999')


class Query(NamedTuple):
    """What a client asks of a list.

    /films?Year=2018&sort=-Name&limit=10 is Query(limit=10, offset=0, sort=['-Name'],
    text='', wanted={'Year': 2018}, for_links={'Year': '2018', 'sort': '-Name'}).
    """

    limit: int
    offset: int
    sort: list
    text: str
    wanted: dict
    for_links: dict  # the query without limit and offset, for links to other pages


def read_query(rules):
    """Return the Query that was sent; raise 400 that names what is wrong."""
    sent = split_query([*PARAMETERS, *rules])
    limit = 100
    offset = 0
    sort = []
    text = ''
    wanted = {}
    for_links = {}
    if 'limit' in sent:
        limit = int(read_parameter('limit', sent['limit'], LIMIT))
    if 'offset' in sent:
        offset = int(read_parameter('offset', sent['offset'], OFFSET))
    if 'sort' in sent:
        sort = read_sort(sent['sort'], rules)
    if 'q' in sent:
        text = read_parameter('q', sent['q'], text_of(1, 200))
    for name, value in sent.items():
        if name not in PARAMETERS:
            wanted[name] = read_parameter(name, value, rules[name])
        if name not in ('limit', 'offset'):
            for_links[name] = value
    return Query(limit, offset, sort, text, wanted, for_links)


def split_query(known):
    """Return the values in the query by their names, which must be known; raise 400."""
    try:
        query = from_wsgi(request.query_string)
        # A list of values for each name.
        lists = parse_qs(query, keep_blank_values=True, errors='strict')
    except ValueError:
        raise ApiError(400, 'The query must be UTF-8') from None
    names = ', '.join(known)
    sent = {}
    for name, values in lists.items():
        if name not in known:
            raise ApiError(400, f'{name} is not known here; known are {names}')
        if len(values) > 1 and name != 'sort':
            raise ApiError(400, f'{name} is there twice; known are {names}, each once')
        # ?sort=Year&sort=Name is the same as ?sort=Year,Name.
        sent[name] = ','.join(values)
    return sent


def read_parameter(name, text, rule):
    """Return a parameter as a value of the type that its rule allows; raise 400."""
    # Year=2018 may be the text '2018', or the number 2018 or 2018.0: the rule decides.
    values = [text]
    if re.fullmatch(WHOLE_NUMBER, text):
        values.append(int(text))
    if re.fullmatch(DECIMAL_NUMBER, text):
        values.append(float(text))
    if text.lower() in ('true', 'false'):
        values.append(text.lower() == 'true')
    for value in values:
        if rule.allows(value):
            return value
    raise ApiError(400, f'{name} must be {rule.wording}')


def read_sort(text, rules):
    """Return the fields to sort by, with - for downwards; raise 400."""
    sort = text.split(',')
    fields = [name.removeprefix('-') for name in sort]
    for field in fields:
        if field not in rules:
            known = ', '.join(rules)
            raise ApiError(400, f'sort must be some of {known}, each with - or without')
        if fields.count(field) > 1:
            raise ApiError(400, f'sort must not have {field} twice')
    return sort


# --- Lists ----------------------------------------------------------------------------


def list_page(collection, rules, show=None):
    """Return the pairs of key and item that the query asks for; raise 400.

    rules are those of the fields. show(key, item) returns an item as the client sees
    it; without it, items are shown as they are stored.
    Sets X-Total-Count, and Link (RFC 8288), which says where the other pages are. The
    route must return a dict or a text: an HTTPResponse would replace these headers.
    """
    query = read_query(rules)
    stop = query.offset + query.limit
    if query.sort or query.text or query.wanted:
        # All items have to be looked at.
        pairs = shown_pairs(collection.page(), show)
        found = sort_pairs(find_pairs(pairs, query), query.sort)
        total = len(found)
        page = found[query.offset : stop]
    else:
        page = shown_pairs(collection.page(query.offset, stop), show)
        total = len(collection)
        if 0 < len(page) < query.limit:
            # The list ends with this page. len() may count items that another thread
            # has added since page(), which no page would show.
            total = query.offset + len(page)
    response.set_header('X-Total-Count', str(total))
    response.set_header('Link', make_links(query, total))
    return page


def shown_pairs(pairs, show):
    """Return pairs of key and item with the items as they are shown."""
    if show is None:
        return pairs
    return [(key, show(key, item)) for key, item in pairs]


def find_pairs(pairs, query):
    """Return those pairs whose item has the wanted values, and the text somewhere."""
    found = []
    for key, item in pairs:
        if has_values(item, query.wanted) and has_text(item, query.text):
            found.append((key, item))
    return found


def has_values(item, wanted):
    """Tell whether an item has these values, each alone or in a list."""
    for field, value in wanted.items():
        held = item.get(field)
        if isinstance(held, list):
            if value not in held:
                return False
        elif held != value:
            return False
    return True


def has_text(item, text):
    """Tell whether a text is in one of an item's values, in large or small letters."""
    if not text:
        return True
    text = text.casefold()
    for value in item.values():
        parts = value if isinstance(value, list) else [value]
        for part in parts:
            if isinstance(part, str) and text in part.casefold():
                return True
    return False


def sort_pairs(pairs, sort):
    """Return the pairs in this order; a missing value is less than any other."""
    # For sort=Year,Name this sorts by Name first, and then by Year. That leaves films
    # of the same Year in the order that they have, which is by Name.
    for name in reversed(sort):
        field = name.removeprefix('-')
        pairs = sort_by_field(pairs, field, is_downwards=name.startswith('-'))
    return pairs


def sort_by_field(pairs, field, is_downwards):
    """Return the pairs of key and item in the order of one field of the items."""
    missing = []
    present = []
    for key, item in pairs:
        if item.get(field) is None:
            missing.append((key, item))
        else:
            present.append((key, item))

    def field_of(pair):
        _, item = pair
        return item[field]

    present.sort(key=field_of, reverse=is_downwards)
    if is_downwards:
        return present + missing
    return missing + present


def make_links(query, total):
    """Return the value of Link: the first, previous, next and last page of a list.

    Of 25 items, with limit 10 and offset 10: first and prev are 0, next and last 20.
    """
    pages = max(math.ceil(total / query.limit), 1)
    last = (pages - 1) * query.limit
    offsets = {'first': 0}
    if query.offset > 0:
        previous = max(query.offset - query.limit, 0)
        # If the offset is beyond the end, the last page is the previous one.
        offsets['prev'] = min(previous, last)
    if query.offset + query.limit < total:
        offsets['next'] = query.offset + query.limit
    offsets['last'] = last
    start = f'{request.path}?limit={query.limit}'
    if query.for_links:
        start += '&' + urlencode(query.for_links, safe=',')
    links = []
    for name, offset in offsets.items():
        links.append(f'<{start}&offset={offset}>; rel="{name}"')
    return ', '.join(links)


# --- Limits ---------------------------------------------------------------------------


class Attempt(NamedTuple):
    """A failed sign-in or a new API key: when, in seconds, and from which address."""

    time: float
    kind: str
    address: str
    name: str


# The newest are at the end. If it is full, the oldest is dropped.
attempts = deque(maxlen=10_000)
# An RLock, because a thread that holds it may take it again.
attempts_lock = threading.RLock()


def refuse_too_many_sign_ins(name):
    """Raise 429 if too many sign-ins from this address failed within a minute.

    The limit is RATE_LIMIT for a name at an address, and ten times that for an address
    whatever the names, as a whole school may share one.
    """
    with attempts_lock:
        refuse_above(RATE_LIMIT, 'failed sign-ins', name)
        refuse_above(10 * RATE_LIMIT, 'failed sign-ins')


def count_failed_sign_in(name):
    """Log a failed sign-in and count it, or raise 429 if there are too many."""
    # %a writes what is not ASCII, and line breaks, as \xe9 or \n.
    log.info('Refused to sign in %a from %s', name[:80], request['REMOTE_ADDR'])
    with attempts_lock:
        refuse_too_many_sign_ins(name)  # again: others may have failed meanwhile
        count_attempt('failed sign-ins', name)


def count_new_key():
    """Count a new API key; raise 429 after RATE_LIMIT of them from an address."""
    with attempts_lock:
        refuse_above(RATE_LIMIT, 'new API keys')
        count_attempt('new API keys', '')


def refuse_above(limit, kind, name=None):
    """Raise 429 if the caller's address had so many attempts of a kind in a minute.

    With a name, only the attempts of this name count. 0 is no limit.
    """
    if limit == 0:
        return
    now = time.monotonic()
    address = request['REMOTE_ADDR']
    times = []
    for attempt in attempts:
        if attempt.kind != kind or attempt.address != address:
            continue
        if name is not None and attempt.name != name:
            continue
        if attempt.time > now - 60:
            times.append(attempt.time)
    if len(times) < limit:
        return
    # times[-10] is the tenth newest. Once it is a minute old, only nine are left.
    oldest = times[-limit]
    seconds = math.ceil(oldest + 60 - now)
    message = f'Too many {kind}: please try again in {seconds} seconds'
    raise ApiError(429, message, {'Retry-After': str(seconds)})


def count_attempt(kind, name):
    """Remember an attempt of the caller's address."""
    attempts.append(Attempt(time.monotonic(), kind, request['REMOTE_ADDR'], name))


# --- Slow work ------------------------------------------------------------------------

# Waitress answers requests in one thread. A request that waits, for a script, a hash or
# a lock of the database, would hold up all others. So it adds a thread to the server
# for that time. Other servers, such as gunicorn, have their own threads.

servers = []  # empty, or waitress's server once it has started
threads_lock = threading.Lock()


def remember_server(server):
    """Keep waitress's server, for change_threads()."""
    servers.append(server)


on_start.append(remember_server)


def change_threads(change):
    """Change the number of the server's threads by 1 or -1."""
    with threads_lock:
        server_options['threads'] += change
        for server in servers:
            # Waitress starts threads, or lets some end after their request.
            server.task_dispatcher.set_thread_count(server_options['threads'])


@contextmanager
def slow_work(slots, what):
    """Take one of some slots while slow work runs; raise 503 if none is free.

    slots is a semaphore, which counts those that are free. Write "with
    slow_work(script_slots, 'scripts'):" around the work.
    """
    if not slots.acquire(blocking=False):
        message = f'Too many {what} at once: please try later'
        raise ApiError(503, message, {'Retry-After': '5'})
    try:
        change_threads(1)
        # Not in the next "try": if no thread could be started, none may be taken away.
        try:
            yield  # here the work runs
        finally:
            change_threads(-1)
    finally:
        slots.release()


# --- Scripts --------------------------------------------------------------------------

MAX_OUTPUT = 1024 * 1024  # bytes of what the script writes to stdout, and to stderr
POWERSHELL = 'powershell' if os.name == 'nt' else 'pwsh'
# Settings that the script does not get, as it could show them. Add your own secrets.
SECRETS = ['SECRET_KEY', 'API_USERNAME', 'API_PASSWORD', 'DATABASE_URL', 'PGPASSWORD']

script_slots = threading.BoundedSemaphore(2)


class ScriptResult(NamedTuple):
    """What a script wrote; its exit code is None if it had to be ended."""

    exit_code: int | None
    output: str
    error: str


def run_script(script, seconds):
    """Run a PowerShell script for so many seconds at most; return a ScriptResult.

    Raise 500 if it can't be started, or 503 if PowerShell is not installed.
    """
    if not script.is_file():
        raise ApiError(500, f'There is no file {script.name}')
    if not os.access(script, os.R_OK):
        raise ApiError(500, f'{script.name} can not be read')
    try:
        # For files that PowerShell would leave behind when it is killed.
        temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    except OSError:
        message = 'There is no folder to write to, such as /tmp, or it is full'
        raise ApiError(500, message) from None
    with temporary as folder:
        return run_in_folder(script, folder, seconds)


def run_in_folder(script, folder, seconds):
    """Run a script, with a folder for its temporary files; return a ScriptResult."""
    process = start_script(script, folder)
    log.info('Script %d started', process.pid)
    try:
        output = OutputReader(process.stdout)
        error = OutputReader(process.stderr)
        exit_code = wait_for_script(process, seconds)
    finally:
        kill_group(process)  # and with it what the script has left running
    # Only now, as what the script has left running does not write any more.
    return ScriptResult(exit_code, output.text(), error.text())


def start_script(script, folder):
    """Start a PowerShell script, with a folder for its temporary files.

    Return its process; raise 500, or 503 if PowerShell is not installed.
    """
    environment = {k: v for k, v in os.environ.items() if k not in SECRETS}
    # Without NO_COLOR there are codes for colours in what it writes.
    environment.update(NO_COLOR='1', TMPDIR=folder, TEMP=folder, TMP=folder)
    options = ['-NoProfile', '-NonInteractive', '-ExecutionPolicy', 'Bypass']
    try:
        return subprocess.Popen(
            [POWERSHELL, *options, '-File', str(script)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # a group of its own, which kill_group() can end
        )
    except OSError as problem:
        is_missing = isinstance(problem, FileNotFoundError)
        # If pwsh is a script, it may be the program in its first line that is missing.
        if is_missing and shutil.which(POWERSHELL) is None:
            message = 'PowerShell is not installed; see https://aka.ms/powershell'
            raise ApiError(503, message) from None
        message = f'PowerShell can not be run: {problem.strerror}'
        raise ApiError(500, message) from None


class OutputReader(threading.Thread):
    """A thread that reads a pipe to its end, and keeps the first MAX_OUTPUT bytes.

    Popen.communicate() would keep all that the script writes in memory.
    """

    def __init__(self, pipe):
        super().__init__(daemon=True)
        self.pipe = pipe
        self.kept = bytearray()
        self.start()  # calls run() in the new thread

    def run(self):
        """Read until the script, and all that it started, have closed the pipe."""
        with self.pipe:
            while True:
                part = self.pipe.read1(65536)  # bytes; fewer if no more are there yet
                if not part:
                    return
                # One byte more than is shown, to see that there was more. What comes
                # later is read and dropped.
                left = MAX_OUTPUT + 1 - len(self.kept)
                self.kept += part[:left]

    def text(self):
        """Return what was kept, as text."""
        # Wait for run() to end. A program that has left the script's group (setsid) was
        # not killed, and may hold the pipe open.
        self.join(timeout=1)  # seconds
        written = bytes(self.kept)
        text = written[:MAX_OUTPUT].decode(errors='replace')
        if len(written) > MAX_OUTPUT:
            text += f'\n[cut after {MAX_OUTPUT} bytes]'
        return text


def wait_for_script(process, seconds):
    """Return a script's exit code, or None if it takes longer or the service stops."""
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        if stopping.wait(0.02):  # seconds, or until the service stops
            log.info('Script %d was killed, as the service stops', process.pid)
            return None
        if time.monotonic() > deadline:
            log.info('Script %d was killed after %g seconds', process.pid, seconds)
            return None
    log.info('Script %d ended with exit code %d', process.pid, process.returncode)
    return process.returncode


def kill_group(process):
    """Kill a process and all that it started."""
    if os.name == 'nt':
        command = ['taskkill', '/F', '/T', '/PID', str(process.pid)]
        subprocess.run(command, capture_output=True, check=False)
        process.wait()
        return
    # start_new_session has made a group of it and all that it started. If the group has
    # just ended, Linux raises the first of these errors, and macOS the second.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    collect_zombies(process.pid)


def collect_zombies(group):
    """Collect the processes of a group that has been killed, if they are our children.

    In a container we may be process 1. Then they have become our children, and stay in
    the list of processes, as zombies, until waitpid() has collected them.
    """
    with suppress(ChildProcessError):  # raised once none is left
        while True:
            os.waitpid(-group, 0)  # with a minus sign, the number is a group's


# --- Passwords ------------------------------------------------------------------------

SCRYPT = {'n': 2**13, 'r': 8, 'p': 10}  # 8 MiB; the least that OWASP advises

# At most two passwords are hashed at a time, as each takes 8 MiB. The others wait. At
# most 100 are here, so the last one waits 50 times 0.2 seconds; the next gets 503.
hash_threads = ThreadPoolExecutor(2, 'hash')
hash_slots = threading.BoundedSemaphore(100)


def hash_password(password, salt):
    """Return the hash of a password, in hex; raise 503 if too many are waiting."""
    with slow_work(hash_slots, 'passwords'):
        hashing = hash_threads.submit(scrypt, password, salt)
        return hashing.result()  # waits until it is done


def scrypt(password, salt):
    """Return the scrypt hash (RFC 7914) of a password, in hex, after about 0.2 s."""
    if stopping.is_set():
        # The service stops, so do not hash what still waits in the queue. This error
        # comes out of hashing.result().
        raise ApiError(503, 'The service is stopping', {'Retry-After': '5'})
    return hashlib.scrypt(password.encode(), salt=salt.encode(), **SCRYPT).hex()


def has_password(account, password):
    """Tell whether this is the password of an account; raise 503.

    It takes as long for {}, so the time does not tell whether there is an account.
    """
    salt = account.get('password_salt', '')
    password_hash = account.get('password_hash', '')
    return secrets.compare_digest(hash_password(password, salt), password_hash)


password_checks.append(has_password)

# --- SSH keys -------------------------------------------------------------------------

# An SSH public key is a line such as "ssh-ed25519 AAAAC3Nz... alice@laptop": the type,
# the key in base64, and a comment. The key is a row of parts (RFC 4253, 6.6). The first
# part is the type once more. The others are listed here, for each type:
#
#     32            any 32 bytes
#     None          any number of bytes
#     'nistp256'    this very text
#
# Before each part stand four bytes with its length, so a key begins with
# 00 00 00 0b "ssh-ed25519" 00 00 00 20 and goes on with 32 bytes.
KEY_TYPES = {
    'ssh-ed25519': [32],
    'ssh-rsa': [None, None],
    'ecdsa-sha2-nistp256': ['nistp256', 65],
    'ecdsa-sha2-nistp384': ['nistp384', 97],
    'ecdsa-sha2-nistp521': ['nistp521', 133],
    'sk-ssh-ed25519@openssh.com': [32, None],
    'sk-ecdsa-sha2-nistp256@openssh.com': ['nistp256', 65, None],
}


def clean_keys(lines):
    """Return SSH public keys without their line ends; raise 400 naming a bad one."""
    keys = []
    for number, line in enumerate(lines, 1):
        # A file that Windows' tools wrote begins with a byte order mark, \ufeff.
        key = line.strip('\ufeff \r\n')
        problem = find_key_problem(key)
        if problem:
            raise ApiError(400, f'sshPublicKeys: key {number} {problem}')
        keys.append(key)
    return keys


def find_key_problem(line):
    """Return what is wrong with a line of a .pub file, or None if nothing is."""
    if re.search(r'[\x00-\x1f\x7f]', line):
        return 'must be one line'
    key_type, _, rest = line.partition(' ')
    if key_type not in KEY_TYPES:
        # Options can stand before the type: command="..." would run on the host.
        return f'must begin with its type, without options: {", ".join(KEY_TYPES)}'
    try:
        key = base64.b64decode(rest.split(' ')[0], validate=True)
        parts = split_key(key)
    except ValueError:
        return 'is not whole: please copy all of the .pub file'
    if not are_parts_of(parts, [key_type, *KEY_TYPES[key_type]]):
        return f'is not of the type that stands before it, {key_type}'
    if key_type == 'ssh-rsa':
        modulus = int.from_bytes(parts[2], 'big')  # after the type and the exponent
        if modulus.bit_length() < 1024:
            return 'must have 1024 bits or more'
    return None


def are_parts_of(parts, expected):
    """Tell whether the parts of a key are what KEY_TYPES says."""
    if len(parts) != len(expected):
        return False
    for part, wanted in zip(parts, expected):
        if isinstance(wanted, str) and part != wanted.encode():
            return False
        if isinstance(wanted, int) and len(part) != wanted:
            return False
        # If wanted is None, any part will do.
    return True


def split_key(key):
    """Return the parts of an SSH key; raise ValueError if one is cut short."""
    parts = []
    while key:
        length = int.from_bytes(key[:4], 'big')
        end = 4 + length
        if end > len(key):
            raise ValueError('a part is cut short')
        parts.append(key[4:end])
        key = key[end:]
    return parts


# --- Files ----------------------------------------------------------------------------

# A page loads from this service only, and pictures also from within it (data:). No page
# may show it in a frame.
PAGE_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"
FILE_TYPES = {
    '.css': 'text/css; charset=utf-8',
    '.html': 'text/html; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8',
    '.png': 'image/png',
    '.yaml': 'application/yaml',
}


def send_file(content, name):
    """Return a file, or 304 if the client has it already (RFC 9110, 13); raise 412."""
    digest = hashlib.sha256(content).hexdigest()
    etag = f'"{digest[:32]}"'
    headers = {
        'ETag': etag,
        # Browsers keep it and ask each time whether there is a new one.
        'Cache-Control': 'no-cache',
        'Content-Security-Policy': PAGE_POLICY,
    }
    # If-Match names the versions of the file that the client can use.
    wanted = read_etags('If-Match')
    if wanted and etag not in wanted and '*' not in wanted:
        raise ApiError(412, 'The file is another one by now')
    # If-None-Match names those that it has. A proxy that compresses files puts W/, for
    # weak, before a tag.
    known = [tag.removeprefix('W/') for tag in read_etags('If-None-Match')]
    if etag in known or '*' in known:
        return HTTPResponse(status=304, headers=headers)
    headers['Content-Type'] = FILE_TYPES.get(Path(name).suffix, 'text/plain')
    return HTTPResponse(content, headers=headers)


def read_etags(header):
    """Return the entity tags in a header."""
    tags = get_header(header).split(',')
    return [tag.strip() for tag in tags if tag.strip()]


# --- Browsers -------------------------------------------------------------------------

SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS']
# Origins of other sites, such as https://app.example.com, whose pages may call the
# service.
page_origins = []
# The names of this machine that the header Host may have.
OWN_HOSTS = ['localhost', '127.0.0.1', '[::1]', HOST]


def only_this_machine():
    """Tell whether no other machine can reach the service."""
    # Not to be called before the start, as a room below sets this.
    if 'trusted_proxy' in server_options:
        return False
    return re.fullmatch(r'localhost|::1|127\.[0-9.]+', HOST) is not None


def guard_host(server):
    """Have each Host checked from now on, if no other machine can reach the service."""
    # This is not called under gunicorn, where HOST says nothing about who can.
    if only_this_machine():
        app.add_hook('before_request', refuse_foreign_host)


on_start.append(guard_host)


def refuse_foreign_host():
    """Raise 403 if the request is for a host that is not this machine.

    An attacker can let the name of his site point to 127.0.0.1 (DNS rebinding). The
    browser then takes this service for a part of his site.
    """
    host = get_header('Host', 'localhost')
    name = re.sub(r':[0-9]*$', '', host).lower()  # without the port
    if name not in OWN_HOSTS:
        raise ApiError(
            403,
            'Host must be localhost or another name of this machine. To be reached by '
            'others, set HOST (other machines) or TRUSTED_PROXY (a proxy in front)',
        )


@app.hook('before_request')
def refuse_foreign_change():
    """Raise 403 if a page of another origin wants to change something."""
    if request.method not in SAFE_METHODS:
        refuse_foreign_page()


def refuse_foreign_page():
    """Raise 403 if the request is from a page that is neither ours nor allowed.

    Any page on the web can make a browser send a form here, even to 127.0.0.1.
    """
    if is_foreign_page():
        message = 'Only pages of this service, and of CORS_ORIGIN, may change anything'
        raise ApiError(403, message)


def is_foreign_page():
    """Tell whether the request is from a page that is neither ours nor allowed.

    Browsers say where it is from in these headers, which a page can't change:

        Sec-Fetch-Site: same-origin       our page
        Sec-Fetch-Site: none              no page: the user typed in the address
        Sec-Fetch-Site: cross-site ...    another page
        Origin: http://NAME:PORT          our page, if the same is in Host

    They send Sec-Fetch-Site over HTTPS, and over HTTP only to 127.0.0.1 and localhost.
    Without it, Origin decides.
    """
    origin = get_header('Origin')
    if origin in page_origins:
        return False
    site = get_header('Sec-Fetch-Site')
    if site:
        return site not in ('same-origin', 'none')
    if origin:
        name = origin.partition('//')[2]
        return name != get_header('Host')
    return False  # neither header: no page sent it


# --- CORS -----------------------------------------------------------------------------

# A name or an IPv4 address, or an IPv6 address in brackets; perhaps a port.
ORIGIN = r'https?://([a-z0-9.-]+|\[[a-f0-9:.]+\])(:[0-9]+)?'
CORS = {
    'Access-Control-Allow-Headers': 'Authorization, Content-Type, api-key',
    'Access-Control-Allow-Methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
    'Access-Control-Expose-Headers': 'Link, Location, Retry-After, X-Total-Count',
    'Access-Control-Max-Age': '600',  # seconds for which a browser need not ask again
}

for origin in CORS_ORIGIN:
    if not re.fullmatch(ORIGIN, origin):
        sys.exit(
            'CORS_ORIGIN must be origins as in https://app.example.com, with spaces '
            f'between and without a slash at the end, and not {origin!r}'
        )

page_origins += CORS_ORIGIN


@app.hook('after_request')
def allow_origin():
    """Let the pages of page_origins read the answer (Fetch standard, CORS protocol).

    What their browsers ask first, with OPTIONS, is answered in the room Errors.
    """
    if not page_origins:
        return
    # Without this, a cache may give one page the answer for another.
    response.add_header('Vary', 'Origin')
    origin = get_header('Origin')
    if origin in page_origins:
        response.set_header('Access-Control-Allow-Origin', origin)
        for name, value in CORS.items():
            response.set_header(name, value)


# --- SQL ------------------------------------------------------------------------------

# Only the next room, Database, uses this one. Without a DATABASE_URL no function of the
# two is called, and SQLAlchemy need not be installed.

if DATABASE_URL:
    try:
        import sqlalchemy as sql

        if DATABASE_URL.startswith('postgresql'):
            import psycopg as driver
        else:
            import sqlite3 as driver
    except ImportError as problem:
        sys.exit(f'{problem}: please run: pip install sqlalchemy "psycopg[binary]"')

# How many milliseconds to wait for a lock. Writers wait for each other. Readers meet a
# lock only during ALTER TABLE and the like: 2 are enough, and 0 would mean for ever.
WRITE_PATIENCE = 1000
READ_PATIENCE = 2
SQLITE_ERROR = 1  # SQLite's code for wrong SQL

POSTGRESQL_OPTIONS = {
    'connect_timeout': 3,  # seconds
    'tcp_user_timeout': 10_000,  # milliseconds without an answer from its machine
    'client_encoding': 'utf8',
    'prepare_threshold': None,  # no prepared statements, which PgBouncer may lose
}
ENGINE_OPTIONS = {
    'pool_size': 20,  # connections, and no more
    'max_overflow': 0,
    'pool_timeout': 1,  # seconds to wait for one
    'hide_parameters': True,  # so that no error shows an item
}
WRONG_URL = (
    'DATABASE_URL must be a file or a PostgreSQL, as in sqlite:///api.db or '
    'postgresql://USER:PASSWORD@HOST/NAME (with %40 for an @ in the password)'
)


def make_engine(url):
    """Return SQLAlchemy's engine for a URL; end the program if it can't be used."""
    try:
        url = sql.make_url(url)
    except (sql.exc.ArgumentError, ValueError):
        sys.exit(WRONG_URL)
    if '@' in (url.host or ''):
        # It is a part of the password, in which an @ must be %40.
        sys.exit(WRONG_URL)
    if url.drivername == 'sqlite' and is_file(url):
        options = {'timeout': WRITE_PATIENCE / 1000}  # seconds
        return sql.create_engine(url, connect_args=options, **ENGINE_OPTIONS)
    if url.drivername in ('postgresql', 'postgresql+psycopg'):
        return sql.create_engine(
            url.set(drivername='postgresql+psycopg'),
            connect_args=POSTGRESQL_OPTIONS,
            pool_pre_ping=True,  # so that a connection which broke is replaced
            **ENGINE_OPTIONS,
        )
    sys.exit(WRONG_URL)


def is_file(url):
    """Tell whether SQLite keeps the data of a URL in a file, and not in memory."""
    if url.query.get('mode') == 'memory':
        return False
    return bool(url.database) and ':memory:' not in url.database


if DATABASE_URL:
    engine = make_engine(DATABASE_URL)
    IS_SQLITE = engine.dialect.name == 'sqlite'


@contextmanager
def transaction(patience):
    """Give a connection whose changes are stored at the end, all of them or none.

    If a lock is not free within patience, in milliseconds, PostgreSQL gives up with an
    error. SQLite waits as long as make_engine() has told it.
    """
    with engine.begin() as connection:
        if not IS_SQLITE:
            # LOCAL: for this transaction only, as PgBouncer may give the connection to
            # another client next. The second timeout is for a process that hangs: then
            # PostgreSQL ends the transaction, and others can go on.
            connection.exec_driver_sql(
                f"SET LOCAL lock_timeout = '{patience}ms'; "
                "SET LOCAL idle_in_transaction_session_timeout = '10s'"
            )
        yield connection


@contextmanager
def write_transaction():
    """Give a connection to write with; in SQLite, nobody else can write meanwhile."""
    with transaction(WRITE_PATIENCE) as connection:
        if IS_SQLITE:
            # Python's sqlite3 sends no BEGIN before the first write, and we read before
            # that. So send our own.
            connection.exec_driver_sql('BEGIN IMMEDIATE')
        yield connection


def run_sql(connection, statement, **values):
    """Run an SQL statement, with a value for each :name in it; return the result."""
    return connection.execute(sql.text(statement), values)


@contextmanager
def database_errors():
    """Turn errors that mean "the database is away or locked" into 503."""
    try:
        yield  # an error inside "with database_errors():" comes out here
    except (sql.exc.SQLAlchemyError, driver.Error) as problem:
        # Most errors of SQLAlchemy have one of the driver in them, as orig.
        error = getattr(problem, 'orig', problem)
        if not is_away(error):
            raise
        log.warning('Database: %a', first_line(error))  # %a: in ASCII
        message = 'The database is away or locked: please try later'
        raise ApiError(503, message, {'Retry-After': '1'}) from None


def is_away(error):
    """Tell whether an error means that the database can't be used now.

    Other errors are faults of this file, such as wrong SQL.
    """
    if getattr(error, 'sqlite_errorcode', None) == SQLITE_ERROR:
        return False  # this is wrong SQL, though SQLite calls it an OperationalError
    # Every driver has the last three (PEP 249).
    away = (
        sql.exc.TimeoutError,  # all connections are in use
        driver.OperationalError,  # it is away, locked or full
        driver.InterfaceError,  # the connection broke
        driver.InternalError,  # it is damaged
    )
    return isinstance(error, away)


def first_line(problem):
    """Return the first line of the text of an error."""
    return str(problem).partition('\n')[0]


def ping_database():
    """Raise 503 if the database can't be reached."""
    with database_errors(), transaction(READ_PATIENCE) as connection:
        connection.exec_driver_sql('SELECT 1')


# --- Database -------------------------------------------------------------------------

# The table "locks" has a row for each collection, which a writer locks. What Films
# does with films.put('dune', film) becomes, in PostgreSQL and without the time-outs:
#
#     BEGIN
#     SELECT size, last_number FROM locks WHERE name = 'films' FOR UPDATE
#     SELECT item FROM "films" WHERE key = 'dune'
#     UPDATE "films" SET item = '{"Name": ...}' WHERE key = 'dune'
#     -- The next two only if there was no such row:
#     INSERT INTO "films" (key, item) VALUES ('dune', '{"Name": ...}')
#     UPDATE locks SET size = 3, last_number = 2 WHERE name = 'films'
#     COMMIT
#
# All other processes that write to films wait at FOR UPDATE until COMMIT. SQLite has no
# FOR UPDATE; there BEGIN IMMEDIATE locks all tables.
#
# The threads of this process wait for each other before BEGIN, so that those who wait
# use no connections.

# Seconds to wait for other threads. The wait of WRITE_PATIENCE comes after it.
TURN_PATIENCE = 1.8

sqlite_lock = threading.Lock()  # for all tables, as SQLite lets one write at a time


class Table:
    """Where a collection keeps its items if there is a database; in place of Memory.

    Items are stored as JSON, and keys as in a URL, where "/" is "%2F". Both are ASCII,
    so databases of every encoding take them. The name stands in the SQL as it is: it is
    that of a collection in this file, and never from a client.
    """

    def __init__(self, name):
        self.name = name
        self.slots = threading.BoundedSemaphore(100)
        self.lock = sqlite_lock if IS_SQLITE else threading.Lock()

    def __getitem__(self, key):
        if IS_SQLITE:
            return self.read_sqlite(key)
        with database_errors(), transaction(READ_PATIENCE) as connection:
            return self.read(connection, key)

    def __len__(self):
        statement = 'SELECT size FROM locks WHERE name = :name'
        with database_errors(), transaction(READ_PATIENCE) as connection:
            return run_sql(connection, statement, name=self.name).scalar_one()

    def page(self, start, stop):
        """Return the pairs of key and item from start to stop, the oldest first."""
        statement = (
            f'SELECT key, item FROM "{self.name}" ORDER BY number '
            'LIMIT :length OFFSET :start'
        )
        length = 2**62 if stop is None else stop - start  # more rows than there can be
        with database_errors(), transaction(READ_PATIENCE) as connection:
            rows = run_sql(connection, statement, length=length, start=start).all()
        return [(unquote(key), json.loads(item)) for key, item in rows]

    @contextmanager
    def writing(self):
        """Give the Rows, which nobody else can change meanwhile; raise 503."""
        with slow_work(self.slots, f'changes of {self.name}'):
            # Wait for the other threads of this process.
            if not self.lock.acquire(timeout=TURN_PATIENCE):
                message = f'Changing {self.name} takes long: please try later'
                raise ApiError(503, message, {'Retry-After': '1'})
            try:
                with database_errors(), write_transaction() as connection:
                    # Wait for other processes. At yield, Collection uses the rows.
                    rows = Rows(self, connection)
                    yield rows
                    rows.store_counts()
            finally:
                self.lock.release()

    def read(self, connection, key):
        """Return an item; raise KeyError."""
        statement = f'SELECT item FROM "{self.name}" WHERE key = :key'
        row = run_sql(connection, statement, key=quote(key, safe='')).first()
        if row is None:
            raise KeyError(key)
        return json.loads(row.item)

    def read_sqlite(self, key):
        """Return an item; raise KeyError or 503.

        Without SQLAlchemy's layers this is five times as fast.
        """
        statement = f'SELECT item FROM "{self.name}" WHERE key = ?'
        with database_errors(), closing(engine.raw_connection()) as connection:
            row = connection.execute(statement, [quote(key, safe='')]).fetchone()
        if row is None:
            raise KeyError(key)
        return json.loads(row[0])


class Rows(MutableMapping):
    """The items of a table, locked against other writers until the transaction ends.

    The row of "locks" has how many items there are, because counting a million takes
    long, and the last number that add_numbered() gave.
    """

    def __init__(self, table, connection):
        self.table = table
        self.connection = connection
        statement = 'SELECT size, last_number FROM locks WHERE name = :name'
        if not IS_SQLITE:
            statement += ' FOR UPDATE'
        self.stored = self.run(statement, name=table.name).one()
        self.size, self.last_number = self.stored

    def run(self, statement, **values):
        """Run an SQL statement, as run_sql() does."""
        return run_sql(self.connection, statement, **values)

    def __getitem__(self, key):
        return self.table.read(self.connection, key)

    def __setitem__(self, key, item):
        values = {'key': quote(key, safe=''), 'item': json.dumps(item)}
        name = self.table.name
        update = f'UPDATE "{name}" SET item = :item WHERE key = :key'
        if self.run(update, **values).rowcount == 0:  # there is no such row yet
            self.run(f'INSERT INTO "{name}" (key, item) VALUES (:key, :item)', **values)
            self.size += 1

    def __delitem__(self, key):
        delete = f'DELETE FROM "{self.table.name}" WHERE key = :key'
        if self.run(delete, key=quote(key, safe='')).rowcount == 0:
            raise KeyError(key)
        self.size -= 1

    def __iter__(self):
        keys = self.run(f'SELECT key FROM "{self.table.name}" ORDER BY number')
        return iter([unquote(key) for key in keys.scalars()])

    def __len__(self):
        return self.size

    def clear(self):
        """Remove all items at once."""
        self.run(f'DELETE FROM "{self.table.name}"')
        self.size = 0

    def next_number(self):
        """Return the next number."""
        self.last_number += 1
        return self.last_number

    def store_counts(self):
        """Store the number of items and the last number, if they have changed."""
        if self.stored == (self.size, self.last_number):
            return
        self.run(
            'UPDATE locks SET size = :size, last_number = :last WHERE name = :name',
            size=self.size,
            last=self.last_number,
            name=self.table.name,
        )


def open_database():
    """Give each collection a table; end the program if the database can't be used."""
    try:
        if IS_SQLITE:
            with engine.connect() as connection:
                # From now on those who read do not wait for those who write.
                connection.exec_driver_sql('PRAGMA journal_mode = WAL')
        with write_transaction() as connection:
            make_locks(connection)
            for collection in all_collections:
                table = Table(collection.name)
                fill_table(connection, table, collection.storage)
                collection.storage = table
    except sql.exc.SQLAlchemyError as problem:
        # The driver's error says it better, if there is one.
        reason = first_line(getattr(problem, 'orig', problem))
        sys.exit(f'DATABASE_URL can not be used: {reason}')
    # Close all connections: gunicorn may fork now, and processes must not share one.
    engine.dispose()


def refuse_late_collections(server):
    """End the program if a collection stands below this room, as it has no table."""
    for collection in all_collections:
        if not isinstance(collection.storage, Table):
            sys.exit(f'{collection.name} has no table: put it above the room SQL')


def make_locks(connection):
    """Make "locks"; until the transaction ends, no other process makes tables."""
    if not IS_SQLITE:
        # A lock that ends with the transaction. It has a number instead of a name, the
        # same in all processes.
        connection.exec_driver_sql('SELECT pg_advisory_xact_lock(5000)')
    create_table(
        connection,
        'locks',
        'name VARCHAR(64) PRIMARY KEY, size BIGINT NOT NULL, '
        'last_number BIGINT NOT NULL',
    )


def create_table(connection, name, columns):
    """Make a table if there is none."""
    # Not CREATE TABLE IF NOT EXISTS: in PostgreSQL that fails without the right to make
    # tables, even if the table is there.
    if not sql.inspect(connection).has_table(name):
        connection.exec_driver_sql(f'CREATE TABLE "{name}" ({columns})')


def fill_table(connection, table, items):
    """Make the table of a collection, if there is none, and its row in "locks".

    With a new row, a table that is empty gets the first items.
    """
    number = 'INTEGER PRIMARY KEY' if IS_SQLITE else 'BIGSERIAL PRIMARY KEY'
    columns = f'number {number}, key TEXT NOT NULL UNIQUE, item TEXT NOT NULL'
    create_table(connection, table.name, columns)
    # Its row in "locks". The first items have the numbers from 1 to last_number.
    insert = (
        'INSERT INTO locks (name, size, last_number) VALUES (:name, 0, :last) '
        'ON CONFLICT DO NOTHING'
    )
    added = run_sql(connection, insert, name=table.name, last=len(items))
    is_new_row = added.rowcount == 1
    # The number of items, which is counted, as somebody may have changed the table.
    rows = Rows(table, connection)
    rows.size = rows.run(f'SELECT count(*) FROM "{table.name}"').scalar_one()
    # The first items.
    if is_new_row and rows.size == 0:
        rows.update(items)
    rows.store_counts()


if DATABASE_URL:
    open_database()
    if not IS_SQLITE:
        server_options['threads'] = 8  # as some wait for an answer of PostgreSQL
    health_checks.append(ping_database)
    on_start.append(refuse_late_collections)
    # When the last connection closes, SQLite moves its WAL file into the database.
    atexit.register(engine.dispose)

# --- Access log -----------------------------------------------------------------------

# A print() for each request would hold up the thread that answers. So the lines wait
# here, until a thread of the log writes them.
log_lines = deque(maxlen=100_000)


def log_requests(wsgi_app):
    """Return a WSGI application that calls this one, and logs each request.

    A line is in the Common Log Format, and at its end is the duration in milliseconds.
    """

    def answer_and_log(environ, start_response):
        start = time.perf_counter()
        # All is quoted: with a line break or a blank, a client could fake lines of the
        # log. The path is logged without the query, which may hold a secret.
        method = quote(environ['REQUEST_METHOD'])
        path = quote(environ['PATH_INFO'], encoding='latin-1')
        body = wsgi_app(environ, start_response)
        # Each thread has its own response in Bottle: now it is the answer just made.
        length = response.get_header('Content-Length', '-')
        address = quote(environ['REMOTE_ADDR'], safe=':%') or '-'
        user = quote(environ.get('REMOTE_USER', '-'))
        moment = time.strftime('%d/%b/%Y:%H:%M:%S %z')
        took = (time.perf_counter() - start) * 1000
        log_lines.append(
            f'{address} - {user} [{moment}] '
            f'"{method} {path} {environ["SERVER_PROTOCOL"]}" '
            f'{response.status_code} {length} {took:.1f}ms'
        )
        return body

    return answer_and_log


def write_lines():
    """Write all lines that wait, in one print()."""
    lines = []
    while log_lines:
        lines.append(log_lines.popleft())
    if lines:
        with suppress(OSError):  # a full disk must not end the service
            print('\n'.join(lines), flush=True)


def write_log():
    """Write the lines that have come, a few times a second, until the program ends."""
    main_thread = threading.main_thread()
    while main_thread.is_alive():
        main_thread.join(0.2)  # seconds, or until it has ended
        write_lines()
    write_lines()


def start_log(server):
    """Begin to write the log, in a thread of its own."""
    # Not a daemon: Python waits for it at the end, so that the last lines are written.
    threading.Thread(target=write_log).start()


middleware.append(log_requests)
on_start.append(start_log)

# --- Proxy ----------------------------------------------------------------------------

if TRUSTED_PROXY not in ('', '*'):
    try:
        ipaddress.ip_address(TRUSTED_PROXY)
    except ValueError:
        sys.exit(
            'TRUSTED_PROXY must be an address as in 127.0.0.1, or * for any, and not '
            f'{TRUSTED_PROXY!r}'
        )

if TRUSTED_PROXY:
    server_options['trusted_proxy'] = TRUSTED_PROXY
    server_options['trusted_proxy_headers'] = [
        'x-forwarded-for',
        'x-forwarded-host',
        'x-forwarded-proto',
    ]


@app.hook('before_request')
def clean_address():
    """Shorten "[::1]:4711", as some proxies write a client's address, to "::1"."""
    if TRUSTED_PROXY:
        address = request['REMOTE_ADDR'].lstrip('[').partition(']')[0]
        # Quoted, as a blank in it would forge a line of the log.
        request['REMOTE_ADDR'] = quote(address, safe=':%')


@app.hook('after_request')
def add_prefix():
    """Put back the path prefix that a proxy has removed, in Location and Link.

    With X-Forwarded-Prefix: /myapp, "/films/3" becomes "/myapp/films/3".
    """
    if not TRUSTED_PROXY:
        return
    prefix = get_header('X-Forwarded-Prefix').rstrip('/')
    if not re.fullmatch('(/[A-Za-z0-9_.~-]+)+', prefix):
        return
    location = response.get_header('Location', '')
    if location.startswith('/'):
        response.set_header('Location', prefix + location)
    links = response.get_header('Link')
    if links:
        # Link is a list of <PATH>; rel="NAME".
        response.set_header('Link', links.replace('</', f'<{prefix}/'))


# --- Connections ----------------------------------------------------------------------


class Task(WSGITask):
    """Answers a request as waitress does, but keeps the connection open without a body.

    PUT /courses/CSE115 is answered with 204, which has no body. Waitress would close
    the connection after it, and the client would need a new one for its next request.
    You may delete this class and Channel: then such requests take half as long again.
    """

    def set_close_on_finish(self):
        """Waitress calls this when it wants to close the connection after an answer."""
        may_stay_open = self.version == '1.1' and not self.request.connection_close
        if self.has_body or not may_stay_open:
            super().set_close_on_finish()


class Channel(HTTPChannel):
    """A connection to a client, for which waitress makes a Task for each request."""

    task_class = Task


def set_up_connections(server):
    """Let waitress use Channel; drop clients that take no bytes for 30 seconds."""
    server.channel_class = Channel
    if hasattr(socket, 'TCP_USER_TIMEOUT'):  # on Linux
        timeout = 30_000  # milliseconds
        server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout)


on_start.append(set_up_connections)


def raise_file_limit():
    """Let the process open 4,096 files, or as many as it may; return the number."""
    try:
        import resource
    except ImportError:  # on Windows, where select() can watch 512 connections
        return 3 * 500
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if most == resource.RLIM_INFINITY else min(most, 4096)
    if files != resource.RLIM_INFINITY and files < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    return wanted


server_options.update(
    # A connection may have three files open: itself, and two temporary files, for a
    # long body and for a long answer.
    connection_limit=raise_file_limit() // 3,
    asyncore_use_poll=True,  # not on Windows; select() can watch only 1,024 files
    channel_timeout=30,  # seconds until a silent client is sent away
    cleanup_interval=5,  # seconds from one look for silent clients to the next
    max_request_header_size=32 * 1024,
    max_request_body_size=1024 * 1024,  # above MAX_BODY, for which we answer in JSON
    inbuf_overflow=16 * 1024,  # bytes of a body that are kept in memory
    send_bytes=65536,  # so that head and body of an answer are sent together
    # If a client sends requests and never reads the answers, the one thread waits for
    # it once more than 64 MiB of answers have gathered.
    outbuf_high_watermark=64 * 1024 * 1024,
    # They do not: waitress reads 1,024 bytes of requests, some 20 of them, and no more
    # before it has sent the answers.
    recv_bytes=1024,
)

# --- Server ---------------------------------------------------------------------------


@app.get('/health')
def get_health():
    """Tell Docker or a load balancer that the service answers; raise 503."""
    for check_health in health_checks:
        check_health()
    return {'status': 'ok'}


def main():
    """Serve until the program is asked to stop."""
    logging.basicConfig(stream=sys.stdout, format='%(message)s', level=logging.INFO)
    # Silence waitress: its lines have paths as they were sent, so a client could forge
    # lines with a line break.
    logging.getLogger('waitress').setLevel(logging.CRITICAL)
    wsgi_app = app
    for wrap in middleware:
        wsgi_app = wrap(wsgi_app)
    server = waitress.create_server(wsgi_app, sockets=[listen()], **server_options)
    for prepare in on_start:
        prepare(server)
    for name in ['SIGINT', 'SIGTERM', 'SIGHUP']:
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), stop)
    print_start(server.effective_port)
    # Python handles signals in the main thread. So the server runs in another one, and
    # this one waits for a signal, and then until the server has sent its answers.
    serving = threading.Thread(target=server.run, daemon=True)
    serving.start()
    while serving.is_alive() and not stopping.is_set():
        serving.join(0.2)  # seconds
    was_asked = stopping.is_set()
    # If the server has ended by itself, this ends a script that runs.
    stopping.set()
    finish(server)
    if not was_asked:
        sys.exit('The server has ended by itself')


def stop(number, frame):
    """Let main() end; signals call this."""
    stopping.set()


def listen():
    """Return a socket that listens on HOST and PORT; end the program if it can't."""
    family = socket.AF_INET6 if ':' in HOST else socket.AF_INET
    try:
        return socket.create_server((HOST, PORT), family=family)
    except (OSError, UnicodeError) as problem:
        text = f'Cannot listen on {HOST}, port {PORT}: {problem}.'
        if getattr(problem, 'errno', None) == errno.EADDRINUSE:
            other = PORT + 1 if PORT < 65535 else 5000
            text += f' Another program listens there; try PORT={other}.'
            if sys.platform == 'darwin' and PORT == 5000:
                text += ' On macOS it is AirPlay: see the System Settings.'
        elif 'HOST' in os.environ:
            text += ' HOST must be an address of this machine, as in HOST=127.0.0.1; '
            text += 'some tools, such as conda, set it to something else.'
        sys.exit(text)


def print_start(port):
    """Print where the service is, and the lines that the rooms have for the start."""
    # 0.0.0.0 and :: mean every address of this machine.
    host = {'0.0.0.0': '127.0.0.1', '::': '::1'}.get(HOST, HOST)
    if ':' in host:
        host = f'[{host}]'
    for line in start_lines:
        log.info(line.replace('{url}', f'http://{host}:{port}'))


def finish(server):
    """Take no more connections; wait up to 5 seconds until all answers are sent."""
    # Not server.close(), which would cut off those that are being sent. Waitress does
    # not tell when all are sent, so look at its channels, which are its connections.
    server.accepting = False
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        # As a list at once, because the server's thread changes the dict.
        channels = list(server.active_channels.values())
        # They have requests to answer, or bytes of answers to send.
        if not any(one.requests or one.total_outbufs_len for one in channels):
            return
        time.sleep(0.05)


if __name__ == '__main__':
    main()
