"""What the scripts of this folder share: servers, one client, and the count of checks.

    python .ci/service.py COMMAND...

starts the service, runs the command with URL, TOKEN, KEY, USERNAME and PASSWORD in its
environment, and ends with its exit code.
"""
import collections
import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import requests

PROJECT = Path(__file__).resolve().parent.parent
ACCOUNT = {'username': 'admin', 'password': 'atCh_5K}?g'}
COLLECTIONS = ['/films', '/api/list', '/users', '/courses']

counted = collections.Counter()


# --- Checks ---------------------------------------------------------------------------

def check(what, found, expected=True):
    """Count a check, and print it where found is not what was expected."""
    if found == expected:
        counted['passed'] += 1
    else:
        counted['failed'] += 1
        print(f'WRONG {what}: {found!r} instead of {expected!r}', flush=True)


def finish(what):
    """Print how many checks passed; end with exit code 1 unless all of them did."""
    passed = counted['passed']
    failed = counted['failed']
    print(f'{what}: {passed} checks passed, {failed} failed')
    sys.exit(failed > 0 or passed == 0)


def percentile(numbers, percent):
    """Return the number that so many percent of the numbers do not exceed."""
    ranked = sorted(numbers)
    return ranked[min(len(ranked) * percent // 100, len(ranked) - 1)]


# --- Servers --------------------------------------------------------------------------

def free_port():
    """Return the number of a port of 127.0.0.1 that is free."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def running(words, folder=PROJECT, stderr=None, **environment):
    """Run a program; yield its process, whose output is in the file log; end it.

    It is a file, as a pipe that nobody reads would fill up and halt the program.
    """
    with tempfile.NamedTemporaryFile(suffix='.log') as log:
        process = subprocess.Popen(words, cwd=folder, stdout=log, stderr=stderr,
                                   env={**os.environ, **environment})
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


@contextlib.contextmanager
def service(folder=PROJECT, **environment):
    """Run api.py of this folder on a free port; yield its process, with url and log."""
    environment = {'PORT': '0', **environment}
    with running([sys.executable, 'api.py'], folder, **environment) as process:
        while not (found := re.search(r'(http://\S+)\s', process.log.read_text())):
            assert process.poll() is None, 'api.py does not start'
            time.sleep(0.02)
        process.url = found[1]
        yield process


@contextlib.contextmanager
def server(words, port, **environment):
    """Run a server that is told to listen on this port; yield its process.

    It answers by then, and has url and log as the process of service() has.
    """
    with running(words, stderr=subprocess.STDOUT, **environment) as process:
        process.url = f'http://127.0.0.1:{port}'
        wait_until_it_answers(process)
        yield process


def wait_until_it_answers(process):
    """Wait for an HTTP answer at the url of a process; fail after 30 seconds."""
    deadline = time.monotonic() + 30
    while True:
        try:
            requests.get(process.url, timeout=5, allow_redirects=False)
            return
        except requests.ConnectionError:
            words = process.args
            assert process.poll() is None, f'{words}: {process.log.read_text()}'
            assert time.monotonic() < deadline, f'{words} does not answer'
            time.sleep(0.05)


@contextlib.contextmanager
def stand_in(script):
    """Yield a PATH on which a shell script with this text comes first, as pwsh."""
    with tempfile.TemporaryDirectory() as folder:
        pwsh = Path(folder, 'pwsh')
        pwsh.write_text(f'#!/bin/sh\n{script}\n')
        pwsh.chmod(0o755)
        yield f'{folder}:{os.environ["PATH"]}'


# --- Clients --------------------------------------------------------------------------

class Client:
    """Sends requests to the service at a url, over connections that it keeps open."""

    def __init__(self, url):
        self.url = url
        self.session = requests.Session()
        # The proxies and passwords of this machine's user are not asked for.
        self.session.trust_env = False

    def send(self, method, path, **kwargs):
        """Return the answer to a request, be it a redirect or an error."""
        return self.session.request(method, self.url + path, timeout=120,
                                    allow_redirects=False, **kwargs)

    def sign_in(self, account=ACCOUNT):
        """Return the header with a token of this account."""
        answer = self.send('POST', '/token', json=account).json()
        return {'Authorization': f'Bearer {answer["access_token"]}'}

    def make_key(self, name):
        """Return the header with a new API key of this name."""
        answer = self.send('POST', f'/api/generate_key/{name}').json()
        return {'api-key': answer['api_key']}

    def stored(self, headers):
        """Return all that the service shows to an administrator with these headers."""
        return {path: self.send('GET', path, headers=headers).json()
                for path in COLLECTIONS}


def connect(url, timeout=10):
    """Return a socket that is connected with the service at this url."""
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout)


def exchange(url, data):
    """Send bytes; return all that comes back until either side ends it."""
    received = b''
    with connect(url) as connection:
        # The service may answer, and close, before it has read all.
        with contextlib.suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while part := connection.recv(65536):
                received += part
    return received


def main():
    """Run the command of the command line beside a service; return its exit code."""
    with (stand_in('echo a report of the stand-in') as path,
          service(PATH=path, RATE_LIMIT='0') as process):
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
