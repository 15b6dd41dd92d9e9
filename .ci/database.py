"""Hold the service to its word with databases: the tests, the faults, and two processes at once.

A real PostgreSQL (Debian's package) runs on a free port and in a temporary folder, and is ended
by its own process id. Each check prints a line; the exit code is 1 where one is wrong.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from service import ACCOUNT, PROJECT, service

SECTIONS = [
    'Foundation',
    'Auth',
    'Accounts',
    'Limits',
    'WeekendAPI',
    'Films',
    'Records',
    'Users',
    'Courses',
    'Listings',
    'Browsers',
    'Docs',
]
FILM = {'name': 'Dune', 'year': 2021, 'month': 'October'}
KEY = 'k' * 32
failures = 0


def check(right, text):
    """Print a line, and count it where it is not right."""
    global failures
    failures += not right
    print(('ok    ' if right else 'WRONG ') + text, flush=True)


class Postgres:
    """A PostgreSQL server of our own."""

    def __init__(self, folder):
        """Make its files in this folder."""
        self.programs = max(
            Path('/usr/lib/postgresql').glob('*/bin'), key=lambda path: float(path.parent.name)
        )
        self.folder = Path(folder, 'postgres')
        self.folder.mkdir()
        os.chmod(folder, 0o755)
        if os.getuid() == 0:  # which PostgreSQL does not run as
            shutil.chown(self.folder, 'postgres')
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            self.port = free.getsockname()[1]
        Path(folder, 'password').write_text('s3cret/pw')
        Path(folder, 'password').chmod(0o644)
        subprocess.run(
            [
                *self.user(),
                self.programs / 'initdb',
                '-D',
                self.folder,
                '-A',
                'scram-sha-256',
                '-U',
                'tester',
                f'--pwfile={folder}/password',
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        self.url = f'postgresql+psycopg://tester:s3cret%2Fpw@127.0.0.1:{self.port}/postgres'
        self.process = None

    def user(self):
        """Return the words that run a program as another user than root."""
        return ['runuser', '-u', 'postgres', '--'] if os.getuid() == 0 else []

    def start(self):
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(
            [
                *self.user(),
                self.programs / 'postgres',
                '-D',
                self.folder,
                '-p',
                str(self.port),
                '-k',
                self.folder,
                '-c',
                'listen_addresses=127.0.0.1',
                '-c',
                'max_connections=60',
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ready = [self.programs / 'pg_isready', '-q', '-h', '127.0.0.1', '-p', str(self.port)]
        while subprocess.run(ready, check=False).returncode:
            assert self.process.poll() is None, 'PostgreSQL does not start'
            time.sleep(0.1)

    def stop(self):
        """End it, at once for its clients."""
        pid = int(Path(self.folder, 'postmaster.pid').read_text().split()[0])
        os.kill(pid, signal.SIGINT)
        self.process.wait(30)

    def query(self, text, database='postgres'):
        """Return what psql prints for this."""
        return subprocess.check_output(
            [
                self.programs / 'psql',
                '-h',
                '127.0.0.1',
                '-p',
                str(self.port),
                '-U',
                'tester',
                '-d',
                database,
                '-Atqc',
                text,
            ],
            env={**os.environ, 'PGPASSWORD': 's3cret/pw'},
            text=True,
        ).strip()

    def psql(self, database, **kwargs):
        """Return a running psql."""
        return subprocess.Popen(
            [self.programs / 'psql', '-h', '127.0.0.1', '-p', str(self.port), '-U', 'tester',
             '-d', database, '-q'], env={**os.environ, 'PGPASSWORD': 's3cret/pw'}, text=True,
            stdout=subprocess.DEVNULL, **kwargs)

    def fresh(self, name):
        """Return the url of a new, empty database."""
        self.query(f'CREATE DATABASE {name}')
        return self.url.replace('/postgres', f'/{name}')


def call(url, method, path, body=None, headers=(), timeout=60):
    """Return status, headers and body (as JSON where it is some) of a request."""
    connection = http.client.HTTPConnection(url.split('//')[1], timeout=timeout)
    with contextlib.closing(connection):
        connection.request(
            method,
            path,
            None if body is None else json.dumps(body),
            {'Content-Type': 'application/json', **dict(headers)},
        )
        answer = connection.getresponse()
        text = answer.read()
        with contextlib.suppress(ValueError):
            text = json.loads(text)
        return answer.status, answer.headers, text


def sign_in(url, account=None):
    """Return the header with a token."""
    token = call(url, 'POST', '/token', account or ACCOUNT)[2]['access_token']
    return {'Authorization': f'Bearer {token}'}


def run_tests(url, name):
    """Run the tests of the sections over this database."""
    ended = subprocess.run(
        [sys.executable, 'test_api.py', *SECTIONS],
        cwd=PROJECT,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, 'TEST_DATABASE_URL': url},
    )
    if ended.returncode:
        print(ended.stderr)
    check(ended.returncode == 0, f'test_api.py over {name}: {ended.stdout.strip()}')


def killed_while_writing(url, name):
    """Show that what was answered with 2xx is there after kill -9."""
    acknowledged = []
    with service(DATABASE_URL=url) as process:

        def write(number):
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, headers, _ = call(
                    process.url, 'POST', '/films', {**FILM, 'name': f'n{number}'}
                )
                acknowledged.append((status, headers['Location'], f'n{number}'))

        with ThreadPoolExecutor(8) as pool:
            for number in range(1000):
                pool.submit(write, number)
            while len(acknowledged) < 400:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
    with service(DATABASE_URL=url) as process:
        films = call(process.url, 'GET', '/films?limit=1000')[2]
        lost = [
            place
            for status, place, name in acknowledged
            if status != 201 or films.get(place.split('/')[-1], {}).get('Name') != name
        ]
        ids = {place for _, place, _ in acknowledged}
        check(
            not lost and len(ids) == len(acknowledged) and len(films) - 2 - len(acknowledged) <= 8,
            f'{name}: killed after {len(acknowledged)} of 1,000 writes were acknowledged; '
            f'{len(lost)} of them are lost, {len(films) - 2} films are there',
        )
        status, headers, _ = call(process.url, 'POST', '/films', FILM)
        check(
            status == 201 and headers['Location'] not in ids, f'{name}: the next film gets a new id'
        )


def database_away(postgres):
    """Show that the service says so, and recovers by itself."""
    with service(DATABASE_URL=postgres.fresh('away')) as process:
        headers = sign_in(process.url)
        postgres.stop()
        for method, path, body in [
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
        ]:
            status, sent, answer = call(process.url, method, path, body, headers)
            check(
                status == 503 and 'database' in answer['message'] and 'Retry-After' in sent,
                f'database away: {method} {path}: {status} {answer}',
            )
        check(
            call(process.url, 'GET', '/')[0] == 200, 'database away: what needs none, still answers'
        )
        postgres.start()
        check(call(process.url, 'GET', '/health')[0] == 200, 'database back: /health is 200 again')
        film = call(process.url, 'GET', '/films/1')[2]
        check(film['Year'] == 2018, 'database back: nothing was changed meanwhile')
        check(call(process.url, 'PUT', '/films/1', FILM)[0] == 200, 'database back: writes go on')


def locked_and_odd(postgres):
    """Show that nobody waits for ever, and what odd databases lead to."""
    url = postgres.fresh('locked')
    with service(DATABASE_URL=url) as process:
        psql = postgres.psql('locked', stdin=subprocess.PIPE)
        psql.stdin.write("BEGIN; SELECT * FROM films WHERE key = '' FOR UPDATE;\n")
        psql.stdin.flush()
        time.sleep(1)
        start = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            statuses = {answer[0] for answer in pool.map(
                lambda _: call(process.url, 'POST', '/films', FILM), range(8))}
        took = time.monotonic() - start
        check(statuses == {503} and took < 30,
              f'locked by another: 8 writes got {statuses} in {took:.0f} seconds')
        psql.stdin.close()
        psql.wait(10)
        status = call(process.url, 'POST', '/films', FILM)[0]
        check(status == 201, f'the lock is gone: {status}')
        postgres.query("DELETE FROM films WHERE key = ''", 'locked')
        for method, path in [('POST', '/films'), ('PUT', '/films/9')]:
            status = call(process.url, method, path, FILM)[0]
            check(status == 503, f'the row that writers lock is gone: {method} {path}: {status}')
    postgres.query("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' "
                   'TEMPLATE template0')
    postgres.query("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' "
                   'TEMPLATE template0')
    for name in ['latin', 'ascii']:
        with service(DATABASE_URL=postgres.url.replace('/postgres', f'/{name}')) as process:
            film = {**FILM, 'name': '日😀\0'}
            statuses = [call(process.url, *one)[0] for one in [
                ('GET', '/films/%E6%97%A5'), ('GET', '/films/%00'), ('POST', '/films', film),
                ('POST', '/token', {'username': '日😀', 'password': 'x'})]]
            got = call(process.url, 'GET', '/films/3')[2]['Name']
            check(statuses == [404, 404, 201, 401] and got == film['name'],
                  f'a database in {name}: {statuses}')


def start_ups(postgres, folder):
    """Show that what can't work ends with one clear line, without the password."""
    damaged, foreign, read_only = (
        Path(folder, 'damaged.db'),
        Path(folder, 'foreign.db'),
        f'{folder}/ro.db',
    )
    damaged.write_bytes(b'this is no database' * 1000)
    with contextlib.closing(sqlite3.connect(foreign)) as connection:
        connection.execute('CREATE TABLE films (title TEXT)')
    with service(DATABASE_URL=f'sqlite:///{read_only}') as process:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    left = sorted(path.name for path in Path(folder).glob('ro.db*'))
    check(left == ['ro.db'], f'after a stop SQLite has all in one file: {left}')
    holed = bytearray(Path(read_only).read_bytes())
    holed[20_000:23_000] = bytes(3000)
    Path(folder, 'holed.db').write_bytes(holed)
    subprocess.run([sys.executable, '-m', 'venv', f'{folder}/bare'], check=True)
    subprocess.run(
        [f'{folder}/bare/bin/pip', 'install', '-q', '-r', PROJECT / 'requirements.txt'], check=True
    )
    host = f'127.0.0.1:{postgres.port}'
    for what, url, words in [
        ('damaged file', f'sqlite:///{damaged}', 'not a database'),
        ('file with a hole', f'sqlite:///{folder}/holed.db', 'malformed'),
        ('foreign file', f'sqlite:///{foreign}', 'no such column'),
        ('read-only file', f'sqlite:///file:{read_only}?mode=ro&uri=true', 'readonly'),
        ('missing folder', f'sqlite:///{folder}/none/api.db', 'unable to open'),
        ('wrong password', f'postgresql+psycopg://tester:wr0ng@{host}/postgres', 'authentication'),
        ('no such user', f'postgresql+psycopg://n0body:wr0ng@{host}/postgres', 'authentication'),
        ('no such database', f'{postgres.url}x', 'does not exist'),
        ('nobody there', 'postgresql+psycopg://tester:wr0ng@127.0.0.1:1/postgres', 'refused'),
        ('an @ in the password', f'postgresql+psycopg://tester:x@wr0ng@{host}/postgres', ''),
        ('a port that is none', 'postgresql+psycopg://tester:wr0ng@localhost:port/x', 'like'),
        ('a driver that is none', 'postgresql+nothing://tester:wr0ng@localhost/x', ''),
        ('no url', 'wr0ng', 'like'),
        ('memory', 'sqlite://', 'like'),
        ('memory', 'sqlite:///file::memory:?uri=true', 'like'),
        ('an asynchronous driver', 'postgresql+psycopg_async://tester:wr0ng@localhost/x', 'like'),
        ('no packages', 'sqlite:///x.db', 'pip install sqlalchemy'),
    ]:
        python = f'{folder}/bare/bin/python' if what == 'no packages' else sys.executable
        ended = subprocess.run(
            [python, PROJECT / 'api.py'],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, 'PORT': '0', 'DATABASE_URL': url},
        )
        check(
            ended.returncode == 1
            and ended.stdout == ''
            and ended.stderr.count('\n') == 1
            and words in ended.stderr
            and 'wr0ng' not in ended.stderr,
            f'{what}: {ended.stdout}{ended.stderr.strip()}',
        )
    ended = subprocess.run(
        [f'{folder}/bare/bin/python', PROJECT / 'test_api.py', 'Films'],
        check=False,
        capture_output=True,
        text=True,
        cwd=PROJECT,
    )
    check(ended.returncode == 0, f'without the packages and DATABASE_URL: {ended.stdout.strip()}')


def two_processes(url, name):
    """Show that two instances on one database are as good as one."""
    with contextlib.ExitStack() as stack:
        with ThreadPoolExecutor(2) as pool:  # both make the tables, at the same moment
            one, two = pool.map(
                lambda _: (
                    stack.enter_context(
                        service(DATABASE_URL=url, SECRET_KEY=KEY, RATE_LIMIT='0')
                    ).url
                ),
                range(2),
            )
        check(
            len(call(two, 'GET', '/films')[2]) == 2,
            f'{name}, two processes: the start data is there once',
        )
        headers = sign_in(one)
        check(
            call(two, 'GET', '/users', headers=headers)[0] == 200,
            f'{name}: tokens of one are good at the other',
        )
        carol = {'username': 'carol', 'password': 'p@ssword'}
        call(one, 'POST', '/users', {'cn': 'carol', 'sn': 'D', 'password': 'p@ssword'}, headers)
        carols = sign_in(two, carol)
        before = [call(url, 'GET', '/courses', headers=carols)[0] for url in (one, two)]
        call(two, 'PATCH', '/users/carol', {'accountLocked': True}, headers)
        after = [call(url, 'GET', '/courses', headers=carols)[0] for url in (one, two)]
        check(
            (before, after) == ([200] * 2, [401] * 2),
            f'{name}: who is locked at one, is locked at both',
        )
        key = call(one, 'POST', '/api/generate_key/tony')[2]['api_key']
        status = call(two, 'POST', '/api/create', {'value1': 'x'}, {'api-key': key})[0]
        check(status == 201, f'{name}: keys of one are good at the other')
        wrong = 0
        for number in range(100):
            call((one, two)[number % 2], 'PUT', '/films/1', {**FILM, 'year': 1900 + number})
            wrong += call((two, one)[number % 2], 'GET', '/films/1')[2]['Year'] != 1900 + number
        check(not wrong, f'{name}: what one writes, the other reads at once ({100 - wrong} of 100)')
        with ThreadPoolExecutor(8) as pool:
            places = [
                answer[1]['Location']
                for answer in pool.map(
                    lambda n: call((one, two)[n % 2], 'POST', '/films', FILM), range(200)
                )
            ]
            check(
                len(set(places)) == 200,
                f'{name}: {len(set(places))} ids for 200 films by 8 clients',
            )
            twice = 0
            for number in range(30):
                course = {'code': f'C{number}', 'name': 'x', 'instructor': 'y'}
                got = pool.map(
                    lambda n, course=course: call(
                        (one, two)[n % 2], 'POST', '/courses', course, headers
                    )[0],
                    range(8),
                )
                twice += sorted(got) != [201] + [409] * 7
            check(not twice, f'{name}: 30 courses, each added by 8 clients, are added once')
            lost = 0
            fields = ['sn', 'uid', 'givenName', 'displayName']
            for number in range(30):
                list(
                    pool.map(
                        lambda n, number=number: call(
                            (one, two)[n // 4],
                            'PATCH',
                            '/users/bob',
                            {fields[n % 4]: f'new{number}'},
                            headers,
                        ),
                        range(8),
                    )
                )
                bob = call(one, 'GET', '/users/bob', headers=headers)[2]
                lost += any(bob[field] != f'new{number}' for field in fields)
            check(
                not lost,
                f'{name}: 240 changes of four fields by 8 clients, {lost} times one was lost',
            )


def rate(url, path, seconds=3):
    """Return how many answers a second wrk gets from 16 connections."""
    text = subprocess.check_output(['wrk', '-t1', '-c16', f'-d{seconds}s', url + path], text=True)
    assert 'Non-2xx' not in text, text
    return float(re.search(r'Requests/sec:\s+([\d.]+)', text)[1])


def cost(folder):
    """Print what SQLite costs, as ratios in one run, and whether the number of rows matters."""
    film = json.dumps({'Name': 'x', 'Year': 2000, 'Month': 'May'})
    few, many = f'{folder}/few.db', f'{folder}/many.db'
    with (
        service() as dicts,
        service(DATABASE_URL=f'sqlite:///{few}') as small,
        service(DATABASE_URL=f'sqlite:///{many}') as large,
    ):
        with contextlib.closing(sqlite3.connect(many)) as connection:
            connection.executemany(
                'INSERT INTO films (key, item) VALUES (?, ?)',
                ((f'row{number}', film) for number in range(1_000_000)),
            )
            connection.commit()
        rounds = [
            [rate(one.url, path) for one, path in [
                (dicts, '/films/1'), (small, '/films/1'), (large, '/films/row777777')]]
            for _ in range(5)
        ]
    for words, top, bottom in [('SQLite to dicts', 1, 0), ('a million rows to two', 2, 1)]:
        ratios = sorted(one[top] / one[bottom] for one in rounds)
        print(f'      GET of one film, {words}, 5 rounds: {ratios[2]:.2f} '
              f'({ratios[0]:.2f} to {ratios[-1]:.2f})')


if __name__ == '__main__':
    threading.excepthook = lambda args: None
    with tempfile.TemporaryDirectory() as folder:
        postgres = Postgres(folder)
        postgres.start()
        try:
            run_tests(f'sqlite:///{folder}/tests.db', 'SQLite')
            run_tests(postgres.fresh('tests'), 'PostgreSQL')
            start_ups(postgres, folder)
            killed_while_writing(f'sqlite:///{folder}/killed.db', 'SQLite')
            killed_while_writing(postgres.fresh('killed'), 'PostgreSQL')
            two_processes(f'sqlite:///{folder}/two.db', 'SQLite')
            two_processes(postgres.fresh('two'), 'PostgreSQL')
            locked_and_odd(postgres)
            database_away(postgres)
            cost(folder)
        finally:
            postgres.stop()
    sys.exit(failures > 0)
