"""Build the Dockerfile and see the containers work, where no registry can be reached.

A Debian with the same version of Python stands in for the base image. PowerShell is the
one of this machine: an archive of its folder is served in place of the one at GitHub.
"""
import contextlib
import hashlib
import http.server
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
from pathlib import Path

from service import PROJECT, Client, check, finish, free_port, server

FROM = re.search(r'FROM (\S+) AS small', (PROJECT / 'Dockerfile').read_text())[1]
BASE = f'docker.io/library/{FROM}'
SUITE = 'forky'  # the Debian that has the same version of Python
MACHINE = {'x86_64': 'x64', 'aarch64': 'arm64'}[platform.machine()]
DIGEST = f'POWERSHELL_SHA256_{MACHINE.upper()}'
FILES = {'api.py', 'requirements.txt', 'script.ps1', 'swagger.yaml'}
SHOW_VERSION = 'import sys; print("python:%d.%d" % sys.version_info[:2])'
LOCKED_DOWN = [
    '--read-only',
    # Docker adds no /tmp by itself, as podman would.
    '--read-only-tmpfs=false',
    '--cap-drop=ALL',
    '--security-opt=no-new-privileges',
    '--ulimit=nofile=1024:4096',
    '--ulimit=nproc=1024:1024',
]


def run(*words):
    """Run a program to its end; return what it printed, or fail and show that."""
    ended = subprocess.run(
        words, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout.strip()


# --- Images ---------------------------------------------------------------------------

def make_base():
    """Import the stand-in for the base image, made from Debian's packages."""
    run(
        'mmdebstrap',
        '--quiet',
        '--variant=minbase',
        '--aptopt=Acquire::Check-Valid-Until "false"',
        '--include=python3,python3-pip,python-is-python3,ca-certificates',
        '--customize-hook=rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
        SUITE,
        'base.tar',
    )
    run(*PODMAN, 'import', 'base.tar', BASE)
    os.remove('base.tar')


def build(tag, *arguments):
    """Build the Dockerfile."""
    certificates = '/etc/ssl/certs/ca-certificates.crt'
    run(
        'buildah',
        *STORAGE,
        'build',
        '--isolation=chroot',
        '--pull=never',
        '--format=docker',
        '--network=host',
        f'--volume={certificates}:{certificates}:ro',
        f'--tag={tag}',
        *arguments,
        str(PROJECT),
    )


def find_powershell():
    """Return the folder with this machine's PowerShell, or None if it has none."""
    shared = PROJECT.parent / 'shared/powershell.sh'
    if shared.exists():
        return run(shared)
    program = shutil.which('pwsh')
    return program and os.path.dirname(os.path.realpath(program))


def build_with_powershell(folder):
    """Build the image that has PowerShell, and see a wrong archive refused."""
    archive = f'powershell-{MACHINE}.tar.gz'
    with tarfile.open(archive, 'w:gz', compresslevel=1) as file:
        file.add(folder, arcname='.')
    digest = hashlib.sha256(Path(archive).read_bytes()).hexdigest()
    with served_folder() as url:
        address = f'--build-arg=POWERSHELL_URL={url}/powershell'
        build('full', address, f'--build-arg={DIGEST}={digest}')
        try:
            build('wrong', address, f'--build-arg={DIGEST}={"0" * 64}')
            refusal = ''
        except AssertionError as problem:
            refusal = str(problem)
        check('an archive with a wrong SHA-256 is refused', 'FAILED' in refusal)


class SilentHandler(http.server.SimpleHTTPRequestHandler):
    """Answers with the files of the current folder."""

    def log_message(self, *_):
        """Log nothing."""


@contextlib.contextmanager
def served_folder():
    """Serve the current folder by HTTP; yield its url."""
    address = ('127.0.0.1', 0)
    with http.server.ThreadingHTTPServer(address, SilentHandler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        try:
            yield f'http://127.0.0.1:{listening.server_port}'
        finally:
            listening.shutdown()


# --- Containers -----------------------------------------------------------------------

@contextlib.contextmanager
def container(image, *options):
    """Run an image as it is locked down; yield its process, with url and log."""
    port = free_port()
    words = [
        *PODMAN,
        'run',
        f'--name={image}',
        '--replace',
        '--runtime=runc',
        '--network=host',
        '--env=HOST=127.0.0.1',
        f'--env=PORT={port}',
        *LOCKED_DOWN,
        *options,
        f'localhost/{image}',
    ]
    with server(words, port) as process:
        yield process


def inside(image, *words):
    """Return what a command prints in the container of an image."""
    return run(*PODMAN, 'exec', image, *words)


def see_it_work(image, *options):
    """Run an image, and check what is in it, what it may do, and how it ends."""
    with container(image, '--tmpfs=/tmp', *options) as process:
        client = Client(process.url)
        health = client.send('GET', '/health').json()
        check(f'{image}: /health', health, {'status': 'ok'})
        check_script(image, client)
        version = inside(image, 'python', '-c', SHOW_VERSION)
        check(f'{image}: version of Python', f'{version}-slim', FROM)
        check(f'{image}: user', inside(image, 'id', '-u'), '10001')
        check(f'{image}: files', set(inside(image, 'ls', '/app').split()), FILES)
        packages = inside(image, 'pip', 'list').lower()
        check(f'{image}: packages', 'webtest' in packages, False)
        for path in ['/app/x', '/x', '/usr/x']:
            refusal = inside(image, 'sh', '-c', f'touch {path} 2>&1 || true')
            check(f'{image}: writing {path}', 'Read-only' in refusal)
        run(*PODMAN, 'healthcheck', 'run', image)
        start = time.monotonic()
        process.terminate()
        check(f'{image}: exit code', process.wait(20), 0)
        took = time.monotonic() - start
        check(f'{image}: ends within 2 seconds ({took:.1f})', took < 2)
        logged = '"POST /token HTTP/1.1" 200' in process.log.read_text()
        check(f'{image}: the log has the sign-in', logged)
    print(f'{image}: answers, is locked down, and ended within {took:.2f} seconds')


def check_script(image, client):
    """Run the script: its report comes back, or that there is no PowerShell."""
    answer = client.send('POST', '/run-script', headers=client.sign_in())
    found = answer.json()
    if image != 'full':
        check(f'{image}: /run-script', answer.status_code, 503)
        check(f'{image}: its message', 'PowerShell' in found['message'])
        return
    check(f'{image}: /run-script', (answer.status_code, found.get('error')), (200, ''))
    report = found.get('output', '')
    print(report)
    check(f'{image}: the report', 'PowerShell: 7.' in report)
    # .NET puts its own files there, and takes none away when it is killed.
    left = inside(image, 'find', '/tmp', '-name', '*-debug-pipe-*', '-o', '-type', 's')
    check(f'{image}: files that a script leaves behind', left, '')


def see_what_is_missing():
    """Run the image with PowerShell and nothing to write to: the answer says so."""
    with container('full') as process:
        client = Client(process.url)
        answer = client.send('POST', '/run-script', headers=client.sign_in())
        message = answer.json().get('message', '')
        print(f'/run-script without /tmp: {answer.status_code} {message}')
        check('/run-script without /tmp', answer.status_code, 500)
        check('it says what is missing', 'write' in message)


def print_sizes(images):
    """Print what each image adds; the service's own layers stay under 20 MB."""
    sizes = {}
    for image in [BASE, *images]:
        found = json.loads(run(*PODMAN, 'image', 'inspect', image))
        sizes[image] = int(found[0]['Size']) / 1e6
    own = sizes['small'] - sizes[BASE]
    check("the service's layers are under 20 MB", own < 20)
    print(f'small: {own:.1f} MB on a stand-in of {sizes[BASE]:.0f} MB')
    for image in images[1:]:
        print(f'{image}: {sizes[image] - sizes["small"]:.1f} MB more than small')


def main():
    """Build the images, and see each of them work."""
    images = ['small', 'database']
    readme = (PROJECT / 'README.md').read_text()
    packages = re.search(r"PACKAGES: '(.+)'", readme)[1]
    make_base()
    build('small', '--target=small')
    build('database', '--target=small', f'--build-arg=PACKAGES={packages}')
    powershell = find_powershell()
    if powershell:
        images.append('full')
        build_with_powershell(powershell)
        see_it_work('full')
        see_what_is_missing()
    see_it_work('small')
    see_it_work('database', '--env=DATABASE_URL=sqlite:////tmp/api.db')
    print_sizes(images)
    run(*PODMAN, 'rm', '--all', '--force')
    if not powershell:
        print('SKIPPED: this machine has no PowerShell, so no image was built with it')
    finish('The container')


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        STORAGE = [
            f'--root={scratch}/storage',
            f'--runroot={scratch}/run',
            '--storage-driver=vfs',
        ]
        PODMAN = ['podman', '--cgroup-manager=cgroupfs', *STORAGE]
        main()
