"""Measure the service beside its peers, in turn, round by round: bench.py [ROUNDS SECONDS]

Each round starts every server anew, as its users start it and with its access log in a file, and
loads it with wrk. Medians are printed, and the ratio of the service to each peer; then what 10,000
films cost, and 400 connections. Times depend on the machine; only the ratios of one run mean
anything. No figure fails a run.
"""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jwt

HERE = Path(__file__).resolve().parent
KEY = 'k' * 32
PEERS = ['falcon==4.4.0', 'flask==3.1.3', 'gunicorn==27.0.1', 'fastapi==0.165.0',
         'uvicorn==0.54.0', 'granian==2.8.7']
TOKEN = jwt.encode({'sub': 'admin', 'exp': int(time.time()) + 6 * 3600}, KEY, 'HS256')
SERVERS = {
    'api.py': ['{python}', HERE.parent / 'api.py'],
    'bare function, same waitress': ['{python}', HERE / 'peers.py', 'bare', '{port}'],
    'Falcon, same waitress': ['{python}', HERE / 'peers.py', 'falcon', '{port}'],
    'FastAPI, uvicorn': ['{python}', '-m', 'uvicorn', '--factory', 'peers:fastapi_app', '--port',
                         '{port}'],
    'Flask, gunicorn, 4 workers': ['{python}', '-m', 'gunicorn', '-w', '4', '-b',
                                   '127.0.0.1:{port}', '--access-logfile', '-',
                                   'peers:flask_app()'],
    'Flask, development server': ['{python}', '-m', 'flask', '--app', 'peers:flask_app', 'run',
                                  '--port', '{port}'],
    'api.py, granian': ['{python}', '-m', 'granian', '--interface', 'wsgi', '--port', '{port}',
                        'api:app'],
    'api.py, granian, 2 workers': ['{python}', '-m', 'granian', '--interface', 'wsgi', '--port',
                                   '{port}', '--workers', '2', 'api:app'],
    'api.py, gunicorn': ['{python}', '-m', 'gunicorn', '-b', '127.0.0.1:{port}', 'api:app'],
    'api.py, gunicorn, 2 workers': ['{python}', '-m', 'gunicorn', '-b', '127.0.0.1:{port}', '-w',
                                    '2', 'api:app'],
    'json-server': ['{node}/json-server', '--port', '{port}', '{folder}/db.json'],
}
CASES = {'GET /films/1': ('/films/1', []), 'GET /films': ('/films', []),
         'GET /courses': ('/courses', ['-H', f'Authorization: Bearer {TOKEN}']),
         'PUT /courses/CODE': ('/courses/CSE115', ['-s', 'put.lua'])}
ONLY = {'bare function, same waitress': ['GET /films/1'],
        'json-server': ['GET /films/1', 'GET /films'],
        **{name: ['GET /films/1'] for name in SERVERS if name.startswith('api.py, ')}}
SCRIPTS = {name: f'''wrk.method = "PUT"
wrk.body = '{body}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {TOKEN}"
''' for name, body in [('put.lua', '{"name": "Networks", "instructor": "Ada"}'),
                      ('film.lua', '{"name": "Dune", "year": 2021, "month": "October"}')]}


def processes(pid):
    """Return this process and all that it started."""
    children = Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
    return [pid, *(one for child in children for one in processes(int(child)))]


def peak(pid):
    """Return the most memory that the process and its children held, in MiB."""
    held = [re.search(r'VmHWM:\s+(\d+)', Path(f'/proc/{one}/status').read_text())
            for one in processes(pid)]
    return sum(int(found[1]) for found in held if found) / 1024


def answers(port):
    """Tell whether the server answers already."""
    try:
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=5)
        connection.request('GET', '/films/1')
        return connection.getresponse().status == 200
    except OSError:
        return False


@contextlib.contextmanager
def server(name, words):
    """Start a server as its users do; yield its process, port and the seconds that it took."""
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    words = [str(word).format(port=port, **words) for word in SERVERS[name]]
    with tempfile.NamedTemporaryFile('w', suffix='.log') as log:
        start = time.monotonic()
        process = subprocess.Popen(
            words, stdout=log, stderr=log, cwd=HERE, start_new_session=True, env={
                **os.environ, 'PORT': str(port), 'SECRET_KEY': KEY, 'NODE_ENV': 'production',
                'PYTHONPATH': str(HERE.parent)})
        try:
            while not answers(port):
                assert process.poll() is None and time.monotonic() < start + 30, (
                    Path(log.name).read_text())
                time.sleep(0.005)
            yield process, port, time.monotonic() - start
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # the workers too, and what a launcher started
            process.wait(20)


def rate(port, path, connections, seconds, *arguments):
    """Return how many answers a second wrk gets."""
    wrote = subprocess.check_output(
        ['wrk', '-t1', f'-c{connections}', f'-d{seconds}s', *arguments,
         f'http://127.0.0.1:{port}{path}'], text=True)
    assert 'Non-2xx' not in wrote, (path, wrote)
    return float(re.search(r'Requests/sec:\s+([\d.]+)', wrote)[1])


def measure(name, words, seconds, figures):
    """Start a server, load it with each case, end it; add what was measured to figures."""
    with server(name, words) as (process, port, took):
        figures.setdefault((name, 'start', 's'), []).append(took)
        for case in ONLY.get(name, CASES):
            path, arguments = CASES[case]
            for connections in 1, 16, 64:
                figures.setdefault((name, case, connections), []).append(
                    rate(port, path, connections, seconds, *arguments))
        figures.setdefault((name, 'memory', 'MiB'), []).append(peak(process.pid))


def growth(words, rounds, seconds):
    """Print what 10,000 films cost beside 10, and 400 connections beside 64, as ratios."""
    with server('api.py', words) as (_, few, _), server('api.py', words) as (_, many, _):
        for port, films in (few, 10), (many, 10_000):
            connection = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
            for number in range(3, films + 1):
                connection.request('PUT', f'/films/{number}', headers={
                    'Content-Type': 'application/json'}, body=json.dumps(
                        {'name': f'Film {number}', 'year': 2000, 'month': 'May'}))
                assert connection.getresponse().read()
            connection.close()
        ratios = {}
        for _ in range(rounds):
            for case, path, arguments in [
                    ('GET /films/1', '/films/1', []), ('GET /films', '/films?limit=10', []),
                    ('PUT /films/1', '/films/1', ['-s', 'film.lua'])]:
                small, large = (rate(port, path, 16, seconds, *arguments) for port in (few, many))
                ratios.setdefault(f'{case}, 10,000 films to 10', []).append(large / small)
            low, high = (rate(few, '/films/1', number, seconds) for number in (64, 400))
            ratios.setdefault('GET /films/1, 400 connections to 64', []).append(high / low)
    for case, every in ratios.items():
        print(f'{case}: {statistics.median(every):.2f} ({min(every):.2f} to {max(every):.2f})')


def report(figures):
    """Print the medians, and in brackets the ratio of api.py to each peer."""
    for case, connections in dict.fromkeys(key[1:] for key in figures):
        print(f'{case}, {connections}' + (' connections' if connections in (1, 16, 64) else ''))
        ours = statistics.median(figures['api.py', case, connections])
        for name in SERVERS:
            if (name, case, connections) in figures:
                median = statistics.median(figures[name, case, connections])
                print(f'    {median:9.{0 if median > 100 else 2}f}  {name} ({ours / median:.2f})')


def main():
    """Install the peers, and measure."""
    rounds, seconds = [int(word) for word in sys.argv[1:]] or [5, 3]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        python = f'{folder}/venv/bin/python'
        subprocess.run([sys.executable, '-m', 'venv', 'venv'], check=True)
        subprocess.run([python, '-m', 'pip', 'install', '-q', '-r',
                        HERE.parent / 'requirements.txt', *PEERS], check=True)
        subprocess.run(['npm', 'install', '--silent', '--no-audit', '--no-fund', '--prefix', folder,
                        'json-server@0.17.4'], check=True)
        Path('db.json').write_text(json.dumps({'films': [
            {'id': 1, 'Name': 'Avengers: Infinity War', 'Year': 2018, 'Month': 'March'},
            {'id': 2, 'Name': 'Ant Man and the Wasp', 'Year': 2018, 'Month': 'August'}]}))
        for name, text in SCRIPTS.items():
            Path(name).write_text(text)
        words = {'python': python, 'node': f'{folder}/node_modules/.bin', 'folder': folder}
        figures = {}
        for _ in range(rounds):
            for name in SERVERS:
                measure(name, words, seconds, figures)
        report(figures)
        growth(words, rounds, seconds)


if __name__ == '__main__':
    main()
