"""Build the Dockerfile and see the container work, where no image registry can be reached."""
import hashlib
import http.server
import json
import os
import platform
import re
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
from pathlib import Path

import requests
from service import ACCOUNT, PROJECT

BASE = 'docker.io/library/python:3.14-slim'
KIND = {'x86_64': 'x64', 'aarch64': 'arm64'}[platform.machine()]
LOCKED_DOWN = ['--read-only', '--tmpfs', '/tmp', '--cap-drop', 'ALL', '--security-opt',
               'no-new-privileges', '--ulimit', 'nofile=1024:4096', '--ulimit', 'nproc=1024:1024']


def run(*command, **kwargs):
    """Run a command to its end and return what it printed; show all of it where it fails."""
    ended = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, **kwargs)
    assert not ended.returncode, ended.stdout
    return ended.stdout.strip()


def podman(*arguments):
    """Run podman on a storage of our own."""
    return run('podman', '--cgroup-manager', 'cgroupfs', *STORAGE, *arguments)


def build(tag, *arguments):
    """Build the Dockerfile."""
    certificates = '/etc/ssl/certs/ca-certificates.crt'
    run('buildah', *STORAGE, 'build', '--isolation', 'chroot', '--pull=never', '--format', 'docker',
        '--network', 'host', '--volume', f'{certificates}:{certificates}:ro', '--tag', tag,
        *arguments, PROJECT)


def make_base():
    """Import a stand-in for the base image, made from Debian's packages."""
    run('mmdebstrap', '--quiet', '--variant=minbase',
        '--include=python3,python3-pip,python-is-python3,ca-certificates',
        '--customize-hook=rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED', 'trixie',
        'base.tar')
    podman('import', 'base.tar', BASE)
    os.remove('base.tar')


def make_archive():
    """Make a stand-in for PowerShell's archive, a shell script; return its SHA-256."""
    Path('pwsh').write_text('#!/bin/sh\necho a report of the stand-in\n')
    with tarfile.open(f'powershell-{KIND}.tar.gz', 'w:gz') as archive:
        archive.add('pwsh')
    return hashlib.sha256(Path(f'powershell-{KIND}.tar.gz').read_bytes()).hexdigest()


def build_all(digest):
    """Build both images from the stand-ins, and see a wrong SHA-256 refused."""
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0),
                                             http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f'POWERSHELL_URL=http://127.0.0.1:{server.server_port}/powershell'
    name = f'POWERSHELL_SHA256_{KIND.upper()}'
    build('small', '--target', 'small')
    packages = re.search(r"PACKAGES: '(.+)'", (PROJECT / 'README.md').read_text())[1]
    build('database', '--target', 'small', '--build-arg', f'PACKAGES={packages}')
    build('full', '--build-arg', url, '--build-arg', f'{name}={digest}')
    try:
        build('wrong', '--build-arg', url, '--build-arg', f'{name}={"0" * 64}')
    except AssertionError as problem:
        assert 'FAILED' in str(problem), problem
    else:
        raise AssertionError('a wrong SHA-256 was accepted')
    server.shutdown()


def see_it_work(image, script_status, *arguments):
    """Run an image, locked down, and check what it answers and how it ends."""
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    podman('run', '--detach', '--name', image, '--runtime', 'runc', *LOCKED_DOWN, '--network',
           'host', '--env', 'HOST=127.0.0.1', '--env', f'PORT={port}', *arguments,
           f'localhost/{image}')
    url, deadline = f'http://127.0.0.1:{port}', time.monotonic() + 30
    while True:
        try:
            assert requests.get(f'{url}/health', timeout=5).json() == {'status': 'ok'}
            break
        except requests.ConnectionError:
            assert time.monotonic() < deadline, podman('logs', image)
            time.sleep(0.1)
    token = requests.post(f'{url}/token', json=ACCOUNT, timeout=5).json()['access_token']
    answer = requests.post(f'{url}/run-script', timeout=30,
                           headers={'Authorization': f'Bearer {token}'})
    assert answer.status_code == script_status, answer.text
    assert podman('exec', image, 'id', '-u') == '10001'
    files = podman('exec', image, 'ls', '/app').split()
    assert files == ['api.py', 'requirements.txt', 'script.ps1', 'swagger.yaml'], files
    assert 'webtest' not in podman('exec', image, 'pip', 'list').lower()
    for path in ['/app/x', '/x', '/usr/x']:
        refused = podman('exec', image, 'sh', '-c', f'touch {path} 2>&1 || true')
        assert 'Read-only' in refused, refused
    podman('healthcheck', 'run', image)
    assert '"POST /token HTTP/1.1" 200' in podman('logs', image)
    start = time.monotonic()
    podman('stop', '--time', '10', image)
    took = time.monotonic() - start
    code = podman('inspect', image, '--format', '{{.State.ExitCode}}').splitlines()[-1]
    assert code == '0' and took < 2, (code, took)
    print(f'{image}: answers, is locked down, and ends within {took:.2f} seconds with exit code 0')


def print_sizes():
    """Print the sizes; the service's own layers, code and packages, stay under 20 MB."""
    small, full, database, base = (
        int(json.loads(podman('inspect', image))[0]['Size'])
        for image in ['localhost/small', 'localhost/full', 'localhost/database', BASE])
    assert small - base < 20_000_000, small - base
    print(f'Layers of the service: {(small - base) / 1e6:.1f} MB; the stand-in of the base '
          f'{base / 1e6:.0f} MB, of PowerShell {(full - small) / 1e6:.1f} MB; what a database '
          f'needs {(database - small) / 1e6:.1f} MB')


print('Stand-ins: a Debian with Python for the base image, a shell script for PowerShell')
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    STORAGE = ['--root', f'{folder}/storage', '--runroot', f'{folder}/run',
               '--storage-driver', 'vfs']
    make_base()
    build_all(make_archive())
    see_it_work('full', 200)
    see_it_work('small', 503)
    see_it_work('database', 503, '--env', 'DATABASE_URL=sqlite:////tmp/api.db')
    print_sizes()
    os.chdir(PROJECT)
    podman('rm', '--all')
