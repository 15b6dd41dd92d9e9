"""Hold the service to its word with SQLite, and Debian's PostgreSQL and PgBouncer."""
import contextlib
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import requests
from service import Client, check, finish, free_port, running, service, wait_for

PROGRAMS = max(Path('/usr/lib/postgresql').glob('*/bin'))
# Its programs refuse to run as root.
USER = ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups']
PGBOUNCER = """
[databases]
* = host=127.0.0.1 port={PostgreSQL} user=tester password=s3cret/pw
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {PgBouncer}
unix_socket_dir =
auth_type = any
pool_mode = transaction
server_login_retry = 1
query_wait_timeout = 2
"""
# The classes of test_api.py that use the database.
TESTS = ['Collections', 'SignIn', 'Films', 'Records', 'Users', 'Courses', 'Lists']
FILM = {'name': 'Dune', 'year': 2021, 'month': 'October'}
READS = ['GET /films/1', 'GET /films']
WRITES = ['POST /films', 'PUT /films/1', 'PUT /films/new', 'DELETE /films/2']
OTHERS = ['GET /health', 'GET /authkeys?username=bob', 'POST /api/generate_key/x']
ROW = "BEGIN; SELECT 1 FROM films WHERE key = '1' FOR UPDATE"
# What somebody else locks, what waits for that, and what does not.
LOCKS = [
    ('SQLite', 'BEGIN IMMEDIATE', WRITES, READS),
    ('SQLite', 'BEGIN EXCLUSIVE', WRITES + READS, []),
    ('PostgreSQL', 'BEGIN; LOCK TABLE films', WRITES + READS, OTHERS[1:]),
    ('PostgreSQL', ROW, ['PUT /films/1'], [*READS, 'POST /films', 'DELETE /films/2']),
]


class Databases:
    """Databases of SQLite, of a PostgreSQL of our own, and of PgBouncer before it."""

    def __init__(self, folder):
        """Make the files of PostgreSQL and PgBouncer in this folder."""
        self.folder = folder
        self.names = (f'database{number}' for number in itertools.count())
        self.ports = {'PostgreSQL': free_port(), 'PgBouncer': free_port()}
        Path(folder, 'pgbouncer.ini').write_text(PGBOUNCER.format(**self.ports))
        Path(folder, 'password').write_text('s3cret/pw')
        self.user = USER if os.getuid() == 0 else []
        Path(folder).chmod(0o777)
        options = ['-A', 'scram-sha-256', '-U', 'tester', '--pwfile=password']
        words = [*self.user, PROGRAMS / 'initdb', '--no-sync', '-D', 'data', *options]
        subprocess.run(words, cwd=folder, stdout=subprocess.DEVNULL, check=True)

    @contextlib.contextmanager
    def run(self, kind):
        """Run PostgreSQL or PgBouncer; at the end, do not wait for its clients."""
        port = str(self.ports[kind])
        words = ['/usr/sbin/pgbouncer', 'pgbouncer.ini']
        if kind == 'PostgreSQL':
            words = [PROGRAMS / 'postgres', '-D', 'data', '-F', '-k', '.', '-p', port]
        ready = [PROGRAMS / 'pg_isready', '-q', '-h', '127.0.0.1', '-p', port]
        with running([*self.user, *words], self.folder) as process:
            wait_for(lambda: subprocess.call(ready) == 0, process)
            try:
                yield process
            finally:
                process.send_signal(signal.SIGINT)

    def url(self, name='postgres', account='tester:s3cret%2Fpw', kind='PostgreSQL'):
        """Return the DATABASE_URL of a database of PostgreSQL."""
        return f'postgresql://{account}@127.0.0.1:{self.ports[kind]}/{name}'

    def fresh(self, kind):
        """Return the DATABASE_URL of a new database."""
        name = next(self.names)
        if kind == 'SQLite':
            return f'sqlite:///{self.folder}/{name}.db'
        execute(self.url(), f'CREATE DATABASE {name}')
        return self.url(name, kind=kind)


def connect(url):
    """Return a connection of our own to a database, without transactions."""
    if url.startswith('sqlite'):
        file = url.removeprefix('sqlite:///')
        return contextlib.closing(sqlite3.connect(file, isolation_level=None))
    return psycopg.connect(url, autocommit=True)


def execute(url, statement):
    """Execute a statement in a database."""
    with connect(url) as connection:
        connection.execute(statement)


def ask(url, words, body=FILM, headers=None):
    """Return the answer to a request such as "PUT /films/1", with a film or a body."""
    return Client(url).send(*words.split(), json=body, headers=headers)


def status(*arguments):
    """Return the status of the answer to a request."""
    return ask(*arguments).status_code


def at_once(function, *arguments, threads=8):
    """Return what a function returns, as map() does, but called in several threads."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, *arguments))


def check_each(what, url, asked, works=True, most=3):
    """Check that requests work, or are told to come again later, within seconds."""
    for words in asked:
        answer = ask(url, words)
        seconds = answer.elapsed.total_seconds()
        is_refused = answer.status_code == 503 and 'Retry-After' in answer.headers
        found = (answer.ok, is_refused, seconds < most)
        check(f'{words} {what}, {seconds} s', found, (works, not works, True))


def run_python(url, *words):
    """Return the exit code and the output of a program over this database."""
    urls = {'DATABASE_URL': url, 'TEST_DATABASE_URL': url}
    with running([sys.executable, *words], PORT='0', **urls) as process:
        return process.wait(60), process.log.read_text()


def check_tests(url):
    """Run test_api.py over a database."""
    code, output = run_python(url, 'test_api.py', *TESTS)
    check(f'tests over {url}: {output}', (code, ', 0 failed' in output), (0, True))


def check_starts(databases):
    """Show that a start with a database that can't be used says why, in one line."""
    foreign = [databases.fresh(kind) for kind in ['SQLite', 'PostgreSQL']]
    for url in foreign:
        execute(url, 'CREATE TABLE users (login TEXT)')
    without = 'import runpy, sys; sys.modules[%r] = None; runpy.run_path("api.py")'
    for url, words, *program in [
        ('mysql://tester:wr0ng@localhost/x', 'as in sqlite:///api.db or postgresql://'),
        ('sqlite:////none/api.db', '/none/api.db'),
        # A folder in which not even root can make a file.
        ('sqlite:////proc/api.db', '/proc/api.db'),
        (foreign[0], 'column'),
        (foreign[1], 'column'),
        (databases.url(account='tester:wr0ng'), 'authentication failed'),
        ('postgresql://tester:wr0ng@127.0.0.1:1/x', 'refused'),
        ('postgresql://tes/ter:wr0ng@127.0.0.1:1/x', 'must be as in'),
        ('postgresql://tester:wr0ng@a..b/x', 'a..b'),
        ('postgresql://tester:wr0ng@localhost/x?plugin=x', 'must be as in'),
        ('sqlite:////tmp/%00.db', 'null'),
        ('sqlite:///x.db', 'pip install sqlalchemy', '-c', without % 'sqlalchemy'),
        (databases.url(), 'psycopg[binary]', '-c', without % 'psycopg'),
    ]:
        code, output = run_python(url, *(program or ['api.py']))
        is_secret = 'wr0ng' in output or 's3cret' in output
        found = (code, output.count('\n'), words in output, is_secret)
        check(f'a start with {url}: {output}', found, (1, 1, True, False))


def check_edited(url):
    """Show that rows edited by hand can be changed, and that no error shows an item."""
    hidden = 'nobody may see this'
    course = {'name': hidden, 'instructor': 'x'}
    edit = "UPDATE courses SET item = '{}' WHERE key = 'CSE115'"
    with service(DATABASE_URL=url) as process:
        admin = Client(process.url).sign_in()
        for statement, hundreds in [
            (edit.format('{"code":"CSE115",  "name": "Ä",\n"instructor": "y"}'), 2),
            (edit.format(hidden), 5),
            ('ALTER TABLE courses RENAME COLUMN item TO other', 5),
        ]:
            execute(url, statement)
            answer = ask(process.url, 'PUT /courses/CSE115', course, admin)
            found = (answer.status_code // 100, hidden in answer.text)
            check(f'a change after {statement}', found, (hundreds, False))
        log = process.log.read_text()
        check(f'secrets in {log}', (hidden in log, 's3cret' in log), (False, False))


def check_kept(url):
    """Show that kill -9 loses nothing that was answered, and that no id comes twice."""
    steps = [('PUT', 2000), ('PUT', 2001), ('DELETE', None)]
    statuses = set()
    years = {}

    def write(writer):
        """Add, change and delete films until the service is gone."""
        with contextlib.suppress(requests.ConnectionError):
            for number in itertools.count():
                path = f'/films/{writer}-{number % 50}'
                method, year = steps[number % 3]
                years.pop(path, None)
                answer = ask(process.url, f'{method} {path}', {**FILM, 'year': year})
                statuses.add(answer.status_code)
                if answer.status_code < 500:
                    years[path] = year

    with service(DATABASE_URL=url) as process, ThreadPoolExecutor(8) as pool:
        newest = ask(process.url, 'POST /films').headers['Location']
        ask(process.url, f'DELETE {newest}')
        writers = pool.map(write, range(8))
        time.sleep(2)
        process.kill()
        list(writers)
    check(f'8 writers in {url}', statuses - {200, 201, 204, 404}, set())
    with service(DATABASE_URL=url) as process:
        films = {path: ask(process.url, f'GET {path}').json() for path in years}
        lost = [path for path in years if films[path].get('Year') != years[path]]
        check(f'{len(years)} films in {url}', (lost, len(years) > 20), ([], True))
        path = ask(process.url, 'POST /films').headers['Location']
        check(f'{path} is new in {url}', path != newest)
    with service(DATABASE_URL=url, MAX_ITEMS='1') as process:
        asked = ['POST /films', 'PUT /films/new', 'PUT /films/1']
        found = [status(process.url, words) for words in asked]
        check(f'more than MAX_ITEMS in {url}', found, [507, 507, 200])


def check_two_processes(url):
    """Show that two processes that start at the same moment are as good as one."""
    with contextlib.ExitStack() as stack:
        both = [service(DATABASE_URL=url), service(DATABASE_URL=url)]
        processes = at_once(stack.enter_context, both)
        urls = itertools.cycle([process.url for process in processes])
        films = [answer.json() for answer in at_once(ask, urls, 4 * ['GET /films'])]
        check(f'films at the start of {url}', list(map(list, films)), 4 * [['1', '2']])
        answers = at_once(ask, urls, 80 * ['POST /films'])
        places = {answer.headers.get('Location') for answer in answers}
        check(f'ids of 80 films of {url}', len(places - {None}), 80)
        key = Client(next(urls)).make_key('both')
        for number in range(20):
            found = at_once(status, urls, 8 * [f'PUT /films/same-{number}'])
            check(f'a film that 8 put into {url}', sorted(found), 7 * [200] + [201])
            changes = {'timestamp': number, 'value1': f'{number}', 'value2': number}
            bodies = 2 * [{name: changes[name]} for name in changes]
            asked = 6 * ['PATCH /api/modify/1']
            found = at_once(status, urls, asked, bodies, 6 * [key])
            check(f'6 changes of a record of {url}', found, 6 * [200])
            record = ask(next(urls), 'GET /api/read/1').json()['record_info']
            check(f'a record of {url}', record, record | changes)


def check_locked(url, statement, stopped, free):
    """Show who waits for somebody else's lock, how long, and what comes afterwards."""
    with service(DATABASE_URL=url) as process:
        what = f'after {statement} in {url}'
        with connect(url) as connection:
            connection.execute(statement)
            check_each(what, process.url, free)
            check_each(what, process.url, stopped, works=False)
            with ThreadPoolExecutor(8) as pool:
                checked = pool.map(
                    lambda words: check_each(what, process.url, [words], works=False),
                    (8 * stopped)[:8],
                )
                time.sleep(0.2)
                check_each(what, process.url, ['GET /data'], most=1)
                list(checked)
        check_each(f'once {statement} is over', process.url, stopped)


def check_away(databases, kind):
    """Show that the service says when PostgreSQL is away, and recovers by itself."""
    asked = READS + WRITES + OTHERS
    clients = "pg_stat_activity WHERE datname LIKE 'database%'"
    with databases.run('PgBouncer'), contextlib.ExitStack() as stack:
        with databases.run('PostgreSQL'):
            process = service(DATABASE_URL=databases.fresh(kind))
            url = stack.enter_context(process).url
            reads = [40 * [url], 40 * ['GET /films/1']]
            check('before pg_terminate_backend', at_once(status, *reads), 40 * [200])
            execute(databases.url(), f'SELECT pg_terminate_backend(pid) FROM {clients}')
            time.sleep(0.2)
            check('after pg_terminate_backend', at_once(status, *reads), 40 * [200])
        check_each('without PostgreSQL', url, ['GET /data'], most=1)
        check_each('without PostgreSQL', url, asked, works=False)
        with databases.run('PostgreSQL') as server:
            wait_for(lambda: ask(url, 'GET /health').ok, server)
            check_each('with PostgreSQL again', url, asked)


def check_connection_limit(databases):
    """Show that five connections are enough for 200 readers."""
    execute(databases.url(), "CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 5")
    execute(databases.url(), 'CREATE DATABASE few OWNER few')
    with service(DATABASE_URL=databases.url('few', 'few:few')) as process:
        found = at_once(status, 200 * [process.url], 200 * ['GET /films'], threads=200)
        check('200 reads over five connections', found, 200 * [200])


def main():
    """Run all checks; end with exit code 1 unless all of them passed."""
    with tempfile.TemporaryDirectory() as folder:
        databases = Databases(folder)
        with databases.run('PostgreSQL'), databases.run('PgBouncer'):
            check_starts(databases)
            check_connection_limit(databases)
            for kind in ['SQLite', 'PostgreSQL', 'PgBouncer']:
                check_tests(databases.fresh(kind))
                check_edited(databases.fresh(kind))
                check_kept(databases.fresh(kind))
                check_two_processes(databases.fresh(kind))
            for kind, *lock in LOCKS:
                check_locked(databases.fresh(kind), *lock)
        for kind in ['PostgreSQL', 'PgBouncer']:
            check_away(databases, kind)
    finish('Databases')


if __name__ == '__main__':
    main()
