"""Measure the service beside its peers, round by round: bench.py [ROUNDS SECONDS].

Each peer is installed and started as its own documentation says, with its access log on
and in a file. Peers on waitress write none, as waitress has none, and neither does
api.py on Granian and gunicorn with the README's lines. In a round all are started; then
each case is measured at one after the other, in an order that changes.

One token is what a client sends, and api.py remembers 1,000 tokens that it has checked.
So there is also a case with 5,000 in turn, each of which everybody has to check.

The tables have the median of the rounds' ratios, and the least and the greatest. Rates
depend on the machine, so only ratios of one run mean anything. No figure fails a run.
"""
import contextlib
import http.client
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import jwt
from service import PROJECT, Client, free_port, running

HERE = Path(__file__).resolve().parent
KEY = 'k' * 32
CONNECTIONS = 16
PACKAGES = [
    'falcon==4.4.0',
    'flask==3.1.3',
    'gunicorn==27.0.1',
    'fastapi==0.165.0',
    'uvicorn[standard]==0.54.0',
    'uvloop==0.23.0',
    'httptools==0.9.0',
    'sqlalchemy==2.1.9',
    'granian==2.8.7',
]
NODE_PACKAGE = 'json-server@0.17.4'

FILM = 'GET /films/1'
FILMS = 'GET /films'
COURSES = 'GET /courses, token'
TOKENS = 'the same, 5,000 tokens'
CHANGE = 'PUT /courses/CODE'
START = 'start'
MEMORY = 'memory'
COLUMNS = [FILM, FILMS, COURSES, TOKENS, CHANGE, START, MEMORY]
PATHS = {
    FILM: '/films/1',
    FILMS: '/films',
    COURSES: '/courses',
    TOKENS: '/courses',
    CHANGE: '/courses/CSE115',
}


class Server(NamedTuple):
    """How a server is started, and what of it is measured; started() fills in {...}."""

    line: str
    columns: list = COLUMNS
    database: str = ''


SQLITE = 'sqlite:///{new_folder}/api.db'
API = 'api.py'
API_SQLITE = 'api.py on SQLite'
API_GRANIAN = 'api.py on Granian'
FASTAPI = 'FastAPI on uvicorn'
FASTAPI_SQLITE = 'FastAPI with SQLAlchemy on SQLite'
SERVERS = {
    API: Server(f'python {PROJECT}/api.py'),
    # These two import api.py, so that their start and memory are not their own.
    'a bare WSGI function on the same waitress': Server(
        f'python {HERE}/peers.py bare', [FILM]
    ),
    'Falcon on the same waitress': Server(
        f'python {HERE}/peers.py falcon', [FILM, FILMS, COURSES, TOKENS, CHANGE]
    ),
    'Falcon on gunicorn': Server(
        'gunicorn -b {place} --access-logfile - peers:falcon_app()'
    ),
    FASTAPI: Server('uvicorn --port {port} --factory peers:fastapi_app'),
    'Flask on gunicorn, 4 workers': Server(
        'gunicorn -w 4 -b {place} --access-logfile - peers:flask_app()'
    ),
    'Flask on waitress': Server(
        'waitress-serve --listen {place} --call peers:flask_app'
    ),
    "Flask's development server": Server(
        'flask --app peers:flask_app run --port {port}'
    ),
    'json-server': Server(
        'json-server --port {port} {folder}/db.json',
        [FILM, FILMS, START, MEMORY],
    ),
    API_SQLITE: Server(
        f'python {PROJECT}/api.py', database=SQLITE
    ),
    FASTAPI_SQLITE: Server(
        'uvicorn --port {port} --factory peers:fastapi_sql_app', database=SQLITE
    ),
    API_GRANIAN: Server('granian --port {port} --interface wsgi api:app', [FILM]),
    'api.py on Granian, access log on': Server(
        'granian --port {port} --interface wsgi --access-log api:app', [FILM]
    ),
    'api.py on Granian, 2 workers': Server(
        'granian --port {port} --interface wsgi --workers 2 api:app', [FILM]
    ),
    'api.py on gunicorn': Server('gunicorn -b {place} api:app', [FILM]),
    'api.py on gunicorn, 2 workers': Server('gunicorn -w 2 -b {place} api:app', [FILM]),
}
# What wrk sends, in its own language.
PUT_SCRIPT = '''wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
local body = '%s'
local number = 0
request = function()
    number = number + 1
    return wrk.format("PUT", nil, nil, string.format(body, number))
end
'''
TOKENS_SCRIPT = '''local tokens = {%s}
local number = 0
request = function()
    number = number %% #tokens + 1
    wrk.headers["Authorization"] = "Bearer " .. tokens[number]
    return wrk.format("GET")
end
'''


# --- Servers --------------------------------------------------------------------------


def install(folder):
    """Install the peers in this folder."""
    pip = [f'{folder}/venv/bin/pip', 'install', '-q']
    npm = ['npm', 'install', '--silent', '--no-audit', '--no-fund']
    requirements = ['-r', PROJECT / 'requirements.txt']
    subprocess.run([sys.executable, '-m', 'venv', f'{folder}/venv'], check=True)
    subprocess.run([*pip, *requirements, *PACKAGES], check=True)
    subprocess.run([*npm, '--prefix', folder, NODE_PACKAGE], check=True)


@contextlib.contextmanager
def started(name, folder):
    """Start a server; yield its process, with port and the seconds that it took."""
    server = SERVERS[name]
    port = free_port()
    places = {
        'port': port,
        'place': f'127.0.0.1:{port}',
        'folder': folder,
        'new_folder': tempfile.mkdtemp(dir=folder),
    }
    words = server.line.format(**places).split()
    environment = {
        'PATH': f'{folder}/venv/bin:{folder}/node_modules/.bin:{os.environ["PATH"]}',
        'PYTHONPATH': f'{PROJECT}:{HERE}',
        'PORT': str(port),
        'SECRET_KEY': KEY,
        'DATABASE_URL': server.database.format(**places),
        'NODE_ENV': 'production',
    }
    begin = time.monotonic()
    with running(words, HERE, subprocess.STDOUT, **environment) as process:
        process.port = port
        while not answers(port):
            assert process.poll() is None, f'{name}: {process.log.read_text()}'
            assert time.monotonic() < begin + 30, f'{name} does not answer'
            time.sleep(0.005)
        process.took = time.monotonic() - begin
        yield process


def answers(port):
    """Tell whether a server answers already."""
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request('GET', '/films/1')
            return connection.getresponse().status == 200
        except OSError:
            return False


def all_processes(pid):
    """Return the number of this process, and of all that it started."""
    found = [pid]
    for child in Path(f'/proc/{pid}/task/{pid}/children').read_text().split():
        found += all_processes(int(child))
    return found


def memory(pid):
    """Return the MiB that a process and its children hold.

    Each has memory of its own; what they mapped from files they share.
    """
    own = 0
    shared = 0
    for each in all_processes(pid):
        status = Path(f'/proc/{each}/status').read_text()
        own += int(re.search(r'RssAnon:\s+(\d+)', status)[1])
        shared = max(shared, int(re.search(r'RssFile:\s+(\d+)', status)[1]))
    return (own + shared) / 1024


# --- Load -----------------------------------------------------------------------------


def make_tokens(number):
    """Return so many tokens that differ, good for a day and longer."""
    tomorrow = int(time.time()) + 24 * 3600
    tokens = []
    for end in range(tomorrow, tomorrow + number):
        tokens.append(jwt.encode({'sub': 'admin', 'exp': end}, KEY, 'HS256'))
    return tokens


def write_put(path, body):
    """Write wrk's script for a PUT; return the arguments to use it.

    %d in the body is another number each time, as SQLAlchemy stores nothing where
    nothing has changed.
    """
    token = make_tokens(1)[0]
    Path(path).write_text(PUT_SCRIPT % (token, json.dumps(body)))
    return ['-s', path]


def case_arguments(folder):
    """Return wrk's arguments for each case."""
    tokens = make_tokens(5000)
    quoted = ', '.join(f'"{token}"' for token in tokens)
    many = Path(folder, 'tokens.lua')
    many.write_text(TOKENS_SCRIPT % quoted)
    course = {'name': 'Networks %d', 'instructor': 'Ada'}
    return {
        FILM: [],
        FILMS: [],
        COURSES: ['-H', f'Authorization: Bearer {tokens[0]}'],
        TOKENS: ['-s', many],
        CHANGE: write_put(f'{folder}/course.lua', course),
    }


def rate(port, path, seconds, arguments, connections=CONNECTIONS):
    """Return how many answers a second wrk gets."""
    words = ['wrk', '-t1', f'-c{connections}', f'-d{seconds}s', *arguments]
    words.append(f'http://127.0.0.1:{port}{path}')
    printed = subprocess.check_output(words, text=True)
    assert 'Non-2xx' not in printed, f'{path}: {printed}'
    return float(re.search(r'Requests/sec:\s+([\d.]+)', printed)[1])


def measure_round(folder, seconds):
    """Return what was measured, by server and column."""
    cases = case_arguments(folder)
    measured = {name: {} for name in SERVERS}
    with contextlib.ExitStack() as stack:
        processes = {}
        for name in SERVERS:
            processes[name] = stack.enter_context(started(name, folder))
            measured[name][START] = processes[name].took
        for case, arguments in cases.items():
            for name in random.sample(list(SERVERS), len(SERVERS)):
                if case in SERVERS[name].columns:
                    port = processes[name].port
                    found = rate(port, PATHS[case], seconds, arguments)
                    measured[name][case] = found
        for name, process in processes.items():
            measured[name][MEMORY] = memory(process.pid)
    return measured


def measure(folder, rounds, seconds):
    """Return what was measured, a dict for each round."""
    films = {
        'films': [
            {'id': 1, 'Name': 'Avengers: Infinity War', 'Year': 2018, 'Month': 'March'},
            {'id': 2, 'Name': 'Ant Man and the Wasp', 'Year': 2018, 'Month': 'August'},
        ]
    }
    Path(folder, 'db.json').write_text(json.dumps(films))
    return [measure_round(folder, seconds) for _ in range(rounds)]


def measure_growth(folder, rounds, seconds):
    """Print what 10,000 films cost beside 10, and 400 connections beside 64."""
    film = {'name': 'Dune %d', 'year': 2021, 'month': 'October'}
    put = write_put(f'{folder}/film.lua', film)
    cases = [
        (FILM, '/films/1', []),
        ('GET /films?limit=10', '/films?limit=10', []),
        ('PUT /films/1', '/films/1', put),
    ]
    ratios = {}
    with started(API, folder) as few, started(API, folder) as many:
        fill(few.port, 10)
        fill(many.port, 10_000)
        for _ in range(rounds):
            for case, path, arguments in cases:
                small = rate(few.port, path, seconds, arguments)
                large = rate(many.port, path, seconds, arguments)
                ratios.setdefault(f'{case}, 10,000 films', []).append(large / small)
            low = rate(few.port, '/films/1', seconds, [], 64)
            high = rate(few.port, '/films/1', seconds, [], 400)
            ratios.setdefault(f'{FILM}, 400 connections', []).append(high / low)
    for case, found in ratios.items():
        print(f'{case}: {describe(found)}')


def fill(port, number):
    """Store films until there are so many."""
    client = Client(f'http://127.0.0.1:{port}')
    for key in range(3, number + 1):
        film = {'name': f'Film {key}', 'year': 2000, 'month': 'May'}
        answer = client.send('PUT', f'/films/{key}', json=film)
        assert answer.ok, answer.text


# --- Results --------------------------------------------------------------------------


def describe(numbers):
    """Return the median, and the least and the greatest in brackets."""
    median = statistics.median(numbers)
    return f'{median:.2f} ({min(numbers):.2f}-{max(numbers):.2f})'


def print_figures(measured):
    """Print the medians: answers a second, seconds and MiB."""
    for name in measured[0]:
        print(name)
        for column in COLUMNS:
            found = [one[name][column] for one in measured if column in one[name]]
            if found:
                print(f'    {statistics.median(found):10.2f}  {column}')


def print_table(measured, ours, others):
    """Print the ratios of one server to others, as a table for the README."""
    print(f'\n| {ours} to | ' + ' | '.join(COLUMNS) + ' |')
    print('|---' * (len(COLUMNS) + 1) + '|')
    for other in others:
        cells = [other]
        for column in COLUMNS:
            ratios = []
            for one in measured:
                if column in SERVERS[ours].columns and column in SERVERS[other].columns:
                    ratios.append(one[ours][column] / one[other][column])
            cells.append(describe(ratios) if ratios else '')
        print('| ' + ' | '.join(cells) + ' |')


def report(measured):
    """Print all that was measured."""
    print_figures(measured)
    peers = [name for name in SERVERS if not name.startswith('api.py')]
    print_table(measured, API, [name for name in peers if name != FASTAPI_SQLITE])
    print_table(measured, API_SQLITE, [FASTAPI_SQLITE, API])
    for name in SERVERS:
        if name.startswith('api.py on') and name != API_SQLITE:
            print_table(measured, name, [API, FASTAPI])


def main():
    """Install the peers, and measure."""
    rounds, seconds = [int(word) for word in sys.argv[1:]] or [5, 3]
    with tempfile.TemporaryDirectory() as folder:
        install(folder)
        report(measure(folder, rounds, seconds))
        measure_growth(folder, rounds, seconds)


if __name__ == '__main__':
    main()
