"""What the programs of this folder share: servers, a client, and the count of checks.

    python .ci/service.py COMMAND...

starts the service, runs the command with URL, TOKEN, KEY, USERNAME and PASSWORD in its
environment, and ends with its exit code.
"""
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests

PROJECT = Path(__file__).resolve().parent.parent
ACCOUNT = {'username': 'admin', 'password': 'atCh_5K}?g'}

results = []

# Under nohup they are ignored, and the service would ignore them too.
for number in [signal.SIGINT, signal.SIGTERM]:
    signal.signal(number, signal.SIG_DFL)


def check(what, found, expected=True):
    """Count a check, and print it if found is not what was expected."""
    results.append(found == expected)
    if found != expected:
        print(f'WRONG {what}: {found!r} instead of {expected!r}', flush=True)


def finish(what):
    """Print how many checks passed; end with exit code 1 unless all of them did."""
    print(f'{what}: {results.count(True)} checks passed, {results.count(False)} failed')
    sys.exit(not results or not all(results))


def free_port():
    """Return the number of a port of 127.0.0.1 that is free."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def running(words, folder=PROJECT, **environment):
    """Run a program; yield its process, whose output is in the file log; end it."""
    with tempfile.NamedTemporaryFile(suffix='.log') as log:
        process = subprocess.Popen(
            words,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )
        process.log = Path(log.name)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(what, process, seconds=120):
    """Wait until a function returns something true, and return it.

    Fails if the process has ended, or if the time is over.
    """
    deadline = time.monotonic() + seconds
    while not (found := what()):
        log = process.log.read_text()
        assert process.poll() is None, f'{process.args} ended: {log}'
        assert time.monotonic() < deadline, f'{process.args} is not ready: {log}'
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def service(folder=PROJECT, **environment):
    """Run api.py of this folder on a free port; yield its process, with url and log."""
    environment = {'PORT': '0', **environment}
    with running([sys.executable, 'api.py'], folder, **environment) as process:
        found = wait_for(
            lambda: re.search(r'(http://\S+)\s', process.log.read_text()), process
        )
        process.url = found[1]
        yield process


@contextlib.contextmanager
def server(words, port, folder=PROJECT, **environment):
    """Run a server that is told to listen on this port; yield its process with url."""

    def answers():
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(process.url, timeout=5, allow_redirects=False)

    with running(words, folder, **environment) as process:
        process.url = f'http://127.0.0.1:{port}'
        wait_for(lambda: answers() is not None, process)
        yield process


@contextlib.contextmanager
def stand_in(script):
    """Yield a PATH on which a shell script with this text comes first, as pwsh."""
    with tempfile.TemporaryDirectory() as folder:
        pwsh = Path(folder, 'pwsh')
        pwsh.write_text(f'#!/bin/sh\n{script}\n')
        pwsh.chmod(0o755)
        yield f'{folder}:{os.environ["PATH"]}'


class Client:
    """Sends requests to the service at a url, over connections that it keeps open."""

    def __init__(self, url):
        self.url = url
        self.session = requests.Session()
        # The proxies and passwords of this machine's user are not asked for.
        self.session.trust_env = False

    def send(self, method, path, **kwargs):
        """Return the answer to a request, be it a redirect or an error."""
        url = self.url + path
        return self.session.request(
            method, url, timeout=60, allow_redirects=False, **kwargs
        )

    def sign_in(self, account=ACCOUNT):
        """Return the header with a token of this account."""
        answer = self.send('POST', '/token', json=account).json()
        return {'Authorization': f'Bearer {answer["access_token"]}'}

    def make_key(self, name):
        """Return the header with a new API key of this name."""
        answer = self.send('POST', f'/api/generate_key/{name}').json()
        return {'api-key': answer['api_key']}


def main():
    """Run the command of the command line beside a service; return its exit code."""
    with (
        stand_in('echo a report of the stand-in') as path,
        service(PATH=path, RATE_LIMIT='0') as process,
    ):
        client = Client(process.url)
        environment = {
            **os.environ,
            'URL': process.url,
            'TOKEN': client.sign_in()['Authorization'].removeprefix('Bearer '),
            'KEY': client.make_key('ci')['api-key'],
            'USERNAME': ACCOUNT['username'],
            'PASSWORD': ACCOUNT['password'],
        }
        return subprocess.call(sys.argv[1:], env=environment)


if __name__ == '__main__':
    sys.exit(main())
