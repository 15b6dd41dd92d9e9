"""Hold the service to its word with SQLite, PostgreSQL and PgBouncer.

Debian's postgresql and pgbouncer run on free ports and in a temporary folder. The times
and ratios are printed; of the times only what a client waits for is judged.
"""
import collections
import contextlib
import http.client
import json
import os
import pwd
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import requests
from service import PROJECT, Client, check, finish, free_port, percentile, service

FILM = {'name': 'Dune', 'year': 2021, 'month': 'October'}
USER = 'tester'
PASSWORD = 's3cret/pw'
ROWS = 1_000_000


# --- PostgreSQL and PgBouncer ---------------------------------------------------------

def start(words):
    """Start a server's program, which must not be root; return its process."""
    user = 'postgres' if os.getuid() == 0 else None
    return subprocess.Popen(words, user=user, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


class Postgres:
    """A PostgreSQL server of our own."""

    def __init__(self, folder):
        """Make its files in this folder, and start it."""
        versions = Path('/usr/lib/postgresql').glob('*/bin')
        self.programs = max(versions, key=lambda path: float(path.parent.name))
        self.folder = folder
        self.port = free_port()
        password = Path(folder, 'password')
        password.write_text(PASSWORD)
        initdb = [self.programs / 'initdb', '--no-sync', '-A', 'scram-sha-256',
                  '-U', USER, f'--pwfile={password}', '-D', f'{folder}/data']
        assert start(initdb).wait(120) == 0, 'initdb fails'
        self.start()

    def start(self):
        """Start it, and wait until it answers."""
        words = [self.programs / 'postgres', '-D', f'{self.folder}/data',
                 '-p', str(self.port), '-k', self.folder,
                 '-c', 'listen_addresses=127.0.0.1']
        self.process = start(words)
        self.wait_until_ready(self.process, self.port)

    def wait_until_ready(self, process, port):
        """Wait until the process answers at this port."""
        ready = [self.programs / 'pg_isready', '-q', '-h', '127.0.0.1', '-p', str(port)]
        while subprocess.call(ready):
            assert process.poll() is None, f'{process.args[0]} does not start'
            time.sleep(0.05)

    def stop(self):
        """End it, at once for its clients."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)

    def url(self, database, port=None):
        """Return the DATABASE_URL of a database, directly or through another port."""
        account = f'{USER}:{PASSWORD.replace("/", "%2F")}'
        return f'postgresql://{account}@127.0.0.1:{port or self.port}/{database}'

    def fresh(self, name, options=''):
        """Return the url of a new, empty database."""
        self.query('postgres', f'CREATE DATABASE {name} {options}')
        return self.url(name)

    def query(self, database, text):
        """Return what psql prints for this."""
        words = [self.programs / 'psql', '-Atqc', text, self.url(database)]
        return subprocess.check_output(words, text=True).strip()

    @contextlib.contextmanager
    def transaction(self, database, text):
        """Keep a transaction open that began with this statement, then roll it back."""
        words = [self.programs / 'psql', '-Atq', self.url(database)]
        psql = subprocess.Popen(words, text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)
        psql.stdin.write(f"BEGIN; {text};\n\\echo done\n")
        psql.stdin.flush()
        while psql.stdout.readline() != 'done\n':
            assert psql.poll() is None, f'psql ends: {text}'
        try:
            yield
        finally:
            psql.communicate('ROLLBACK;\n', 10)


@contextlib.contextmanager
def pgbouncer(postgres, folder):
    """Run PgBouncer before PostgreSQL, in transaction mode; yield its port."""
    port = free_port()
    accounts = Path(folder, 'accounts')
    accounts.write_text(f'"{USER}" "{PASSWORD}"\n')
    settings = Path(folder, 'pgbouncer.ini')
    settings.write_text(f"""
[databases]
* = host=127.0.0.1 port={postgres.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {accounts}
pool_mode = transaction
default_pool_size = 5
server_login_retry = 1
query_wait_timeout = 2
""")
    process = start(['/usr/sbin/pgbouncer', settings])
    try:
        postgres.wait_until_ready(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(10)


# --- What the checks share ------------------------------------------------------------

def send(url, method, path, **kwargs):
    """Return the answer to a request over a connection of its own."""
    client = Client(url)
    with client.session:
        return client.send(method, path, **kwargs)


def statuses(url, asked, headers=None):
    """Return the status of each of these requests, which are method, path and body."""
    client = Client(url)
    found = []
    for method, path, body in asked:
        found.append(client.send(method, path, json=body, headers=headers).status_code)
    return found


def at_once(function, arguments, threads=8):
    """Return what a function returns for each argument, called from several threads."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, arguments))


# --- The tests ------------------------------------------------------------------------

def run_tests(url, name):
    """Run test_api.py over this database."""
    ended = subprocess.run(
        [sys.executable, 'test_api.py'], cwd=PROJECT, capture_output=True, text=True,
        env={**os.environ, 'TEST_DATABASE_URL': url}, check=False,
    )
    print(f'test_api.py over {name}: {ended.stdout.strip()}', flush=True)
    if ended.returncode:
        print(ended.stderr)
    check(f'exit code of the tests over {name}', ended.returncode, 0)


# --- Starts that fail -----------------------------------------------------------------

def check_refused(what, url, words, **environment):
    """Check that api.py ends with one line, which has these words and no password."""
    ended = subprocess.run(
        [sys.executable, 'api.py'], cwd=PROJECT, capture_output=True, text=True,
        env={**os.environ, 'PORT': '0', 'DATABASE_URL': url, **environment},
        timeout=30, check=False,
    )
    line = ended.stderr
    is_right = line.count('\n') == 1 and words in line and 'wr0ng' not in line
    found = (ended.returncode, ended.stdout, line if not is_right else 'one line')
    check(f'a start with {what}', found, (1, '', 'one line'))


def check_urls(postgres):
    """Show that another URL than that of a file or a PostgreSQL is refused."""
    host = f'127.0.0.1:{postgres.port}'
    for url in [
        'wr0ng',
        'mysql://tester:wr0ng@localhost/x',
        'mysql+pymysql://tester:wr0ng@localhost/x',
        'sqlite://',
        'sqlite:///:memory:',
        'sqlite:///file::memory:?uri=true',
        'sqlite:///file:x?mode=memory&uri=true',
        'sqlite+aiosqlite:///wr0ng.db',
        'postgresql+asyncpg://tester:wr0ng@localhost/x',
        'postgresql+psycopg_async://tester:wr0ng@localhost/x',
        'postgresql+nothing://tester:wr0ng@localhost/x',
        'postgresql://tester:wr0ng@localhost:port/x',
        f'postgresql://tester:x@wr0ng@{host}/postgres',
    ]:
        check_refused(url, url, 'as in sqlite:///api.db or postgresql://')


def check_postgres_starts(postgres):
    """Show what is said of a PostgreSQL that can't be used."""
    host = f'127.0.0.1:{postgres.port}'
    right = postgres.url('postgres')
    for what, url, words in [
        ('a wrong password', f'postgresql://{USER}:wr0ng@{host}/x', 'authentication'),
        ('no such user', f'postgresql://nobody:wr0ng@{host}/x', 'authentication'),
        ('no such database', f'{right}x', 'does not exist'),
        ('nobody there', 'postgresql://tester:wr0ng@127.0.0.1:1/x', 'refused'),
    ]:
        check_refused(what, url, words)
    foreign = postgres.fresh('strange')
    postgres.query('strange', 'CREATE TABLE films (title TEXT)')
    check_refused("another program's table", foreign, 'column')
    read_only = postgres.fresh('fixed')
    option = 'default_transaction_read_only = on'
    postgres.query('fixed', f'ALTER DATABASE fixed SET {option}')
    check_refused('a read-only database', read_only, 'read-only')


def check_old_tables(postgres):
    """Show that tables which are there are used, by who may not make any or may.

    A role sees its own schema before the public one, where the tables are.
    """
    with service(DATABASE_URL=postgres.fresh('owned')) as process:
        check('a film', statuses(process.url, [('POST', '/films', FILM)]), [201])
    postgres.query('owned', """
        CREATE ROLE worker LOGIN PASSWORD 'worker';
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO worker;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO worker;
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    """)
    url = f'postgresql://worker:worker@127.0.0.1:{postgres.port}/owned'
    asked = [('GET', '/films/3', None), ('PUT', '/films/x', FILM)]
    with service(DATABASE_URL=url) as process:
        check('no right to create', statuses(process.url, asked), [200, 201])
    postgres.query('owned', 'CREATE SCHEMA worker AUTHORIZATION worker')
    with service(DATABASE_URL=url) as process:
        check('a schema of its own', statuses(process.url, asked), [200, 200])


def check_sqlite_starts(folder):
    """Show what is said of a file that can't be used."""
    damaged = Path(folder, 'damaged.db')
    damaged.write_bytes(b'this is no database' * 1000)
    foreign = Path(folder, 'foreign.db')
    with contextlib.closing(sqlite3.connect(foreign)) as connection:
        connection.execute('CREATE TABLE films (title TEXT)')
    ours = Path(folder, 'ours.db')
    with service(DATABASE_URL=f'sqlite:///{ours}') as process:
        statuses(process.url, [('POST', '/films', FILM)])
    left = sorted(path.name for path in Path(folder).glob('ours.db*'))
    check('the files of SQLite after a stop', left, ['ours.db'])
    for what, path, words in [
        ('a damaged file', damaged, 'not a database'),
        ("another program's table", foreign, 'column'),
        ('a read-only file', f'file:{ours}?mode=ro&uri=true', 'readonly'),
        ('a missing folder', f'{folder}/none/api.db', 'unable to open'),
    ]:
        check_refused(what, f'sqlite:///{path}', words)


def check_packages(folder):
    """Show that the packages of a database are needed for it alone."""
    for package, url in [('sqlalchemy', 'sqlite:///x.db'),
                         ('psycopg', 'postgresql://tester:wr0ng@localhost/x')]:
        without = Path(folder, f'without {package}')
        without.mkdir()
        module = Path(without, f'{package}.py')
        module.write_text(f'raise ImportError("No module named {package}")\n')
        path = str(without)
        check_refused(f'no {package}', url, 'pip install sqlalchemy', PYTHONPATH=path)
        with service(PYTHONPATH=path) as process:
            check(f'dicts without {package}',
                  statuses(process.url, [('GET', '/films/1', None)]), [200])


# --- Odd texts and damage -------------------------------------------------------------

def check_odd_texts(url, name):
    """Show that any text can be asked for, and stored in a film."""
    title = '日😀\0'
    with service(DATABASE_URL=url) as process:
        client = Client(process.url)
        for path in ['/films/%E6%97%A5', '/films/%00', '/films/%F0%9F%98%80']:
            check(f'{name}: GET {path}', client.send('GET', path).status_code, 404)
        account = {'username': title, 'password': 'x'}
        answer = client.send('POST', '/token', json=account)
        check(f'{name}: a token for {title!r}', answer.status_code, 401)
        answer = client.send('POST', '/films', json={**FILM, 'name': title})
        stored = client.send('GET', answer.headers['Location']).json()
        check(f'{name}: the film {title!r}', stored['Name'], title)


def check_mistake(postgres, folder):
    """Show that a mistake in the SQL is 500, and not called the database's fault."""
    file = Path(folder, 'mistake.db')
    urls = [postgres.fresh('mistake'), f'sqlite:///{file}']
    for url in urls:
        with service(DATABASE_URL=url) as process:
            if url.startswith('sqlite'):
                with contextlib.closing(sqlite3.connect(file)) as connection:
                    connection.execute('ALTER TABLE films RENAME COLUMN item TO other')
            else:
                postgres.query('mistake', 'ALTER TABLE films RENAME item TO other')
            asked = [('GET', '/films/1', None), ('GET', '/films', None),
                     ('PUT', '/films/1', FILM), ('GET', '/health', None)]
            check(f'a wrong name in the SQL: {url.split(":")[0]}',
                  statuses(process.url, asked), [500, 500, 500, 200])


# --- Nothing is lost ------------------------------------------------------------------

def check_killed(url, name):
    """Show that what was answered with 201 is there after kill -9."""
    stored = {}
    with service(DATABASE_URL=url) as process:

        def write(number):
            title = f'film {number}'
            with contextlib.suppress(requests.ConnectionError):
                film = {**FILM, 'name': title}
                answer = send(process.url, 'POST', '/films', json=film)
                stored[answer.headers['Location'].removeprefix('/films/')] = title

        with ThreadPoolExecutor(8) as pool:
            for number in range(1000):
                pool.submit(write, number)
            while len(stored) < 300:
                time.sleep(0.005)
            process.kill()
    with service(DATABASE_URL=url) as process:
        answer = send(process.url, 'GET', '/films?limit=1000')
        films = answer.json()
        lost = [key for key in stored if films.get(key, {}).get('Name') != stored[key]]
        check(f'{name}: lost by kill -9', lost, [])
        unknown = len(films) - 2 - len(stored)
        check(f'{name}: stored without an answer to more than 8', unknown > 8, False)
        total = int(answer.headers['X-Total-Count'])
        check(f'{name}: X-Total-Count', total, len(films))
        answer = send(process.url, 'POST', '/films', json=FILM)
        key = answer.headers['Location'].removeprefix('/films/')
        check(f'{name}: an id is used twice', key in films, False)
    print(f'{name}: kill -9 after {len(stored)} of 1,000 writes, {len(lost)} lost')


# --- Two processes --------------------------------------------------------------------

def check_two_processes(url, name):
    """Show that two processes on one database are as good as one."""
    both = {'DATABASE_URL': url, 'SECRET_KEY': 'k' * 32, 'RATE_LIMIT': '0'}
    with contextlib.ExitStack() as stack:
        # At the same moment, so both find no tables.
        started = at_once(lambda _: stack.enter_context(service(**both)), range(2))
        urls = [process.url for process in started]
        check_same_data(urls, name)
        check_same_accounts(urls, name)
        check_no_double(urls, name)
        check_no_lost_update(urls, name)
        check_busy(urls, name)


def check_same_data(urls, name):
    """Show that the start data is there once, and each write is seen at once."""
    one, two = [Client(url) for url in urls]
    for client in [one, two]:
        films = client.send('GET', '/films').json()
        check(f'{name}: the films at the start', list(films), ['1', '2'])
    for year in range(1900, 1950):
        one.send('PUT', '/films/1', json={**FILM, 'year': year})
        seen = two.send('GET', '/films/1').json()['Year']
        check(f'{name}: what the other process wrote', seen, year)
        one, two = two, one


def check_same_accounts(urls, name):
    """Show that tokens, locks and API keys count in both processes."""
    one, two = [Client(url) for url in urls]
    admin = one.sign_in()
    status = two.send('GET', '/users', headers=admin).status_code
    check(f"{name}: the other's token", status, 200)
    carol = {'cn': 'carol', 'sn': 'D', 'password': 'p@ssword'}
    one.send('POST', '/users', json=carol, headers=admin)
    token = two.sign_in({'username': 'carol', 'password': 'p@ssword'})
    asked = [('GET', '/courses', None)]
    found = [statuses(url, asked, token) for url in urls]
    check(f'{name}: courses for carol', found, [[200], [200]])
    two.send('PATCH', '/users/carol', json={'accountLocked': True}, headers=admin)
    found = [statuses(url, asked, token) for url in urls]
    check(f'{name}: courses for carol, who is locked', found, [[401], [401]])
    key = one.make_key('tony')
    status = two.send('POST', '/api/create', json={'value1': 'x'}, headers=key)
    check(f"{name}: the other's API key", status.status_code, 201)


def check_no_double(urls, name):
    """Show that no id is given twice, and of eight who add a course one succeeds."""
    def add_film(number):
        return send(urls[number % 2], 'POST', '/films', json=FILM).headers['Location']

    places = at_once(add_film, range(200))
    check(f'{name}: different ids of 200 films', len(set(places)), 200)
    admin = Client(urls[0]).sign_in()
    for number in range(20):
        course = {'code': f'C{number}', 'name': 'x', 'instructor': 'y'}

        def add_course(client, course=course):
            return send(urls[client % 2], 'POST', '/courses', json=course,
                        headers=admin).status_code

        found = sorted(at_once(add_course, range(8)))
        check(f'{name}: a course, added by 8', found, [201] + 7 * [409])


def check_no_lost_update(urls, name):
    """Show that of changes to different fields at the same moment none is lost."""
    admin = Client(urls[0]).sign_in()
    fields = ['sn', 'uid', 'givenName', 'displayName']
    for number in range(20):
        value = f'new {number}'

        def change(client, value=value):
            return send(urls[client // 4], 'PATCH', '/users/bob', headers=admin,
                        json={fields[client % 4]: value}).status_code

        check(f'{name}: changes of bob', at_once(change, range(8)), 8 * [200])
        bob = send(urls[0], 'GET', '/users/bob', headers=admin).json()
        found = [bob[field] for field in fields]
        check(f'{name}: bob after 8 changes', found, 4 * [value])


def check_busy(urls, name):
    """Show that nobody gets 503 only because both processes write all the time."""
    admin = Client(urls[0]).sign_in()
    course = {'name': 'x', 'instructor': 'y'}

    def write(number):
        asked = 20 * [('POST', '/films', FILM), ('PUT', '/courses/CSE115', course)]
        return collections.Counter(statuses(urls[number % 2], asked, admin))

    start = time.monotonic()
    found = sum(at_once(write, range(16), threads=16), collections.Counter())
    seconds = time.monotonic() - start
    check(f'{name}: writes of 16 clients', dict(found), {201: 320, 204: 320})
    print(f'{name}, two processes: {640 / seconds:.0f} writes a second', flush=True)


# --- A database that goes away --------------------------------------------------------

ASKED = [
    ('GET', '/films/1', None),
    ('GET', '/films', None),
    ('POST', '/films', FILM),
    ('PUT', '/films/1', FILM),
    ('DELETE', '/films/1', None),
    ('GET', '/users', None),
    ('GET', '/courses/CSE115', None),
    ('POST', '/api/generate_key/x', None),
    ('GET', '/authkeys?username=bob', None),
    ('GET', '/health', None),
]


def check_away(postgres):
    """Show that the service says so, quickly, and recovers by itself."""
    with service(DATABASE_URL=postgres.fresh('away')) as process:
        client = Client(process.url)
        headers = client.sign_in()
        postgres.stop()
        for method, path, body in ASKED:
            answer = client.send(method, path, json=body, headers=headers)
            what = f'{method} {path} while the database is away'
            check(what, answer.status_code, 503)
            check(f'{what}: Retry-After', 'Retry-After' in answer.headers)
            check(f'{what}: message', 'database' in answer.json()['message'])
            check(f'{what}: seconds', answer.elapsed.total_seconds() < 1)
        status = client.send('GET', '/').status_code
        check('GET / while the database is away', status, 200)
        postgres.start()
        asked = [('GET', '/health', None), ('GET', '/films/1', None),
                 ('PUT', '/films/1', FILM)]
        found = statuses(process.url, asked)
        check('once the database is back', found, [200, 200, 200])
        postgres.stop()
        postgres.start()
        found = statuses(process.url, [('PUT', '/films/1', FILM)])
        check('the first request after a restart', found, [200])


# --- PgBouncer ------------------------------------------------------------------------

def check_pgbouncer(postgres, folder):
    """Show that the service works behind PgBouncer, and gets over a restart there."""
    postgres.fresh('bounced')
    with (pgbouncer(postgres, folder) as port,
          service(DATABASE_URL=postgres.url('bounced', port)) as process):

        def write_and_read(number):
            asked = [('POST', '/films', FILM), ('PUT', f'/films/f{number}', FILM),
                     ('GET', f'/films/f{number}', None), ('GET', '/films', None)]
            return statuses(process.url, asked)

        for found in at_once(write_and_read, range(60), threads=16):
            check('PgBouncer: POST, PUT, GET, GET', found, [201, 201, 200, 200])
        postgres.stop()
        status = send(process.url, 'GET', '/health').status_code
        check('PgBouncer without PostgreSQL: /health', status, 503)
        postgres.start()
        back = time.monotonic()
        while send(process.url, 'GET', '/health').status_code != 200:
            assert time.monotonic() < back + 20, 'it stays away behind PgBouncer'
            time.sleep(0.1)
        print(f'PgBouncer: back {time.monotonic() - back:.1f} s after PostgreSQL')
        found = at_once(lambda number: write_and_read(f'x{number}'), range(16))
        check('PgBouncer, after a restart', found, 16 * [[201, 201, 200, 200]])


# --- Locks ----------------------------------------------------------------------------

class Asked(NamedTuple):
    """A request that a client sends again and again while a table is locked."""

    name: str
    method: str
    path: str
    body: bytes = b''


def ask(url, asked, seconds):
    """Send a request again and again; return pairs of its status and its seconds.

    Without the pauses, and with requests in place of http.client, 33 clients would need
    the processors for themselves.
    """
    found = []
    client = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    headers = {'Content-Type': 'application/json'} if asked.body else {}
    end = time.monotonic() + seconds
    with contextlib.closing(client):
        while (start := time.monotonic()) < end:
            client.request(asked.method, asked.path, asked.body, headers)
            answer = client.getresponse()
            answer.read()
            found.append((answer.status, time.monotonic() - start))
            time.sleep(0.02)
    return found


def check_lock(url, held, what, reads):
    """Show whom a lock on films stops while 30 clients ask for them.

    reads is the status of reading films. A change of films may take 3 seconds, and all
    else 200 milliseconds: half of it is judged, as the clients load the machine too.
    """
    film = json.dumps(FILM).encode()
    jobs = [Asked('health', 'GET', '/health'), Asked('others', 'GET', '/api/list'),
            Asked('others', 'GET', '/api/read/1')]
    jobs += 8 * [Asked('writes', 'POST', '/films', film)]
    jobs += 7 * [Asked('writes', 'PUT', '/films/1', film)]
    jobs += 8 * [Asked('reads', 'GET', '/films/1')]
    jobs += 7 * [Asked('reads', 'GET', '/films')]
    with held:
        answers = at_once(lambda job: ask(url, job, 5), jobs, threads=len(jobs))
    times = collections.defaultdict(list)
    for job, found in zip(jobs, answers):
        for status, seconds in found:
            times[job.name, status].append(seconds * 1000)
    expected = {('health', 200), ('others', 200), ('reads', reads), ('writes', 503)}
    check(f'{what}: who got which status', set(times), expected)
    shown = []
    for (name, status), found in sorted(times.items()):
        half = percentile(found, 50)
        slow = percentile(found, 95)
        shown.append(f'{name} {status} {half:.0f} / {slow:.0f}')
        if name == 'writes':
            check(f'{what}: {slow:.0f} ms for {name}', slow < 3000)
        else:
            check(f'{what}: {half:.0f} ms for {name}', half < 200)
    print(f'{what}, ms of half / of 95 %: {", ".join(shown)}', flush=True)
    found = statuses(url, [('POST', '/films', FILM), ('GET', '/films', None)])
    check(f'{what}: afterwards', found, [201, 200])


@contextlib.contextmanager
def sqlite_transaction(file):
    """Keep a transaction open that writes, then roll it back."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute('BEGIN IMMEDIATE')
        yield


def check_locks(postgres, folder):
    """Show that a lock on one table stops nobody else."""
    with service(DATABASE_URL=postgres.fresh('locked')) as process:
        for what, text, reads in [
            ('ACCESS EXCLUSIVE', 'LOCK TABLE films', 503),
            ('EXCLUSIVE', 'LOCK TABLE films IN EXCLUSIVE MODE', 200),
            ('FOR UPDATE', "SELECT 1 FROM locks WHERE name = 'films' FOR UPDATE", 200),
        ]:
            check_lock(process.url, postgres.transaction('locked', text), what, reads)
    file = Path(folder, 'locked.db')
    with service(DATABASE_URL=f'sqlite:///{file}') as process:
        check_lock(process.url, sqlite_transaction(file), 'a write of SQLite', 200)


# --- Speed ----------------------------------------------------------------------------

def rate(url, path, script=None):
    """Return how many answers a second 16 connections get."""
    words = ['wrk', '-t1', '-c16', '-d1s']
    if script:
        words += ['-s', script]
    text = subprocess.check_output([*words, url + path], text=True)
    assert 'Non-2xx' not in text, text
    return float(re.search(r'Requests/sec:\s+([\d.]+)', text)[1])


def compare(what, one, two, script=None, rounds=7):
    """Print the ratio of two rates, each of a url and a path, measured in turns."""
    ratios = []
    for _ in range(rounds):
        ratios.append(rate(*one, script) / rate(*two, script))
    ratios.sort()
    middle = ratios[rounds // 2]
    print(f'{what}: {middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})', flush=True)


def fill(file):
    """Put a million films into the table."""
    text = json.dumps({'Name': 'x', 'Year': 2000, 'Month': 'May'})
    rows = ((f'row{number}', text) for number in range(ROWS))
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.executemany('INSERT INTO films (key, item) VALUES (?, ?)', rows)
        connection.commit()


def measure(folder):
    """Print what SQLite costs, and whether the number of rows matters."""
    script = Path(folder, 'put.lua')
    script.write_text(f"""
wrk.method = 'PUT'
wrk.headers['Content-Type'] = 'application/json'
wrk.body = '{json.dumps(FILM)}'
""")
    large = {'DATABASE_URL': f'sqlite:///{folder}/large.db', 'MAX_ITEMS': '2000000'}
    with service(**large):
        pass
    fill(f'{folder}/large.db')
    small = {'DATABASE_URL': f'sqlite:///{folder}/small.db'}
    with service() as dicts, service(**small) as few, service(**large) as many:
        answer = send(many.url, 'GET', '/films?limit=1')
        check('X-Total-Count of rows that were put in by hand',
              answer.headers['X-Total-Count'], str(ROWS + 2))
        film = '/films/1'
        late = '/films/row777777'
        page = '/films?limit=2'
        compare('GET a film, SQLite to dicts', (few.url, film), (dicts.url, film))
        print('A million rows to two:')
        compare('GET a film', (many.url, late), (few.url, film))
        compare('GET a page', (many.url, page), (few.url, page))
        compare('PUT a film', (many.url, late), (few.url, film), script)


def main():
    """Run all checks; end with exit code 1 unless all of them passed."""
    with (tempfile.TemporaryDirectory() as folder,
          tempfile.TemporaryDirectory() as servers):
        if os.getuid() == 0:
            os.chown(servers, pwd.getpwnam('postgres').pw_uid, -1)
        postgres = Postgres(servers)
        try:
            run_tests(f'sqlite:///{folder}/tests.db', 'SQLite')
            run_tests(postgres.fresh('tests'), 'PostgreSQL')
            check_urls(postgres)
            check_postgres_starts(postgres)
            check_old_tables(postgres)
            check_sqlite_starts(folder)
            check_packages(folder)
            latin = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            check_odd_texts(postgres.fresh('latin', latin), 'LATIN1')
            check_odd_texts(f'sqlite:///{folder}/odd.db', 'SQLite')
            check_mistake(postgres, folder)
            check_killed(f'sqlite:///{folder}/killed.db', 'SQLite')
            check_killed(postgres.fresh('killed'), 'PostgreSQL')
            check_two_processes(f'sqlite:///{folder}/two.db', 'SQLite')
            check_two_processes(postgres.fresh('two'), 'PostgreSQL')
            check_away(postgres)
            check_pgbouncer(postgres, servers)
            check_locks(postgres, folder)
            measure(folder)
        finally:
            postgres.stop()
    finish('Databases')


if __name__ == '__main__':
    main()
