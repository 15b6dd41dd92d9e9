"""Build the Dockerfile and see its containers work, where no registry can be reached.

A Debian with the same version of Python stands in for the base image, podman for
Docker, and an archive of this machine's PowerShell for the one at GitHub.
"""
import contextlib
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from service import PROJECT, Client, check, finish, free_port, running, server

README = (PROJECT / 'README.md').read_text()
LINE = re.search('(?m)^docker (run .+) one-file-api$', README)[1]
PACKAGES = re.search('PACKAGES: (.+)', README)[1]
BASE = re.search(r'FROM (\S+) AS small', (PROJECT / 'Dockerfile').read_text())[1]
FILES = {'api.py', 'requirements.txt', 'script.ps1', 'swagger.yaml'}
MACHINE = {'x86_64': 'X64', 'aarch64': 'ARM64'}[platform.machine()]
BUILD = 'buildah build --isolation=chroot --pull=never --format=docker --network=host'
NAME = 'one-file-api-of-ci'
# Unlike Docker, podman would add a /tmp by itself.
READ_ONLY = ['--read-only', '--read-only-tmpfs=false', '--cap-drop=ALL']
# For podman and buildah, which keep all that they have in one folder.
SETTINGS = {
    'CONTAINERS_STORAGE_CONF': """\
storage.driver = "vfs"
storage.graphroot = "{0}/storage"
storage.runroot = "{0}/run"
""",
    'CONTAINERS_CONF': """\
containers.default_ulimits = ["nofile=1024:4096", "nproc=1024:1024"]
engine.cgroup_manager = "cgroupfs"
engine.runtime = "runc"
""",
}


def run(*words, code=0):
    """Run a program that ends with this exit code; return what it printed."""
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == code, f'{words}: {done.stdout}{done.stderr}'
    return done.stdout.strip()


# --- Images ---------------------------------------------------------------------------


def make_base():
    """Make the stand-in for the base image of Debian's packages."""
    options = [
        '--variant=minbase',
        '--aptopt=Acquire::Check-Valid-Until "false"',
        '--include=python3,python3-pip,python-is-python3,ca-certificates',
        '--customize-hook=rm "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
    ]
    run('mmdebstrap', *options, 'forky', 'base.tar')  # it has the same Python
    run('podman', 'import', 'base.tar', f'docker.io/library/{BASE}')


def build(*options, code=0):
    """Build the Dockerfile with these options; return what was printed."""
    certificates = '--volume=/etc/ssl/certs:/etc/ssl/certs:ro'
    return run(*BUILD.split(), certificates, *options, str(PROJECT), code=code)


def build_with_powershell(program):
    """Build the image that has PowerShell in it, and see a wrong archive refused."""
    archive = Path(f'powershell-{MACHINE.lower()}.tar.gz')
    folder = Path(program).resolve().parent
    run('tar', '-C', folder, '-I', 'gzip -1', '-cf', archive, '.')
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    port = free_port()
    words = [sys.executable, '-m', 'http.server', str(port)]
    with server(words, port, Path.cwd()) as process:
        address = f'--build-arg=POWERSHELL_URL={process.url}/powershell'
        printed = build('--target=powershell', address, code=1)
        check('an archive with a wrong SHA-256 is refused', 'FAILED' in printed)
        right = f'--build-arg=POWERSHELL_SHA256_{MACHINE}={digest}'
        build('--tag=one-file-api', address, right)


# --- Containers -----------------------------------------------------------------------


@contextlib.contextmanager
def container(*options, image='one-file-api'):
    """Start a container with the README's line; yield its process, and a client."""
    port = free_port()
    line = LINE.replace('127.0.0.1:5000:', f'127.0.0.1:{port}:')
    words = ['podman', *line.split(), f'--name={NAME}', *options, image]
    with server(words, port) as process:
        yield process, Client(process.url)


def inside(*words):
    """Return what a command prints in the container."""
    return run('podman', 'exec', NAME, *words)


def see_the_inside():
    """Start the image as the README says, and see what is in it, and how it stops."""
    with container() as (process, client):
        check('/health', client.send('GET', '/health').json(), {'status': 'ok'})
        check('/docs/', client.send('GET', '/docs/').status_code, 200)
        users = run('podman', 'top', NAME, 'user').split()
        check('users of the processes', set(users), {'USER', '10001'})
        check('files', set(inside('ls', '-A', '/app').split()), FILES)
        refusal = inside('sh', '-c', 'touch /app/x 2>&1 || true')
        check('/app can not be written to', 'Permission denied' in refusal)
        check('packages for tests', 'webtest' in inside('pip', 'list').lower(), False)
        version = inside('python', '-c', 'import sys; print(*sys.version_info[:2])')
        check('base', f'python:{version.replace(" ", ".")}-slim', BASE)
        # Docker gives a new volume the owner of the folder in whose place it comes.
        check('owner of /data', inside('stat', '--format=%u', '/data'), '10001')
        # The process that a shell leaves behind has to be collected by process 1.
        states = inside('sh', '-c', '(sleep 0.1 &); sleep 1; cat /proc/[0-9]*/stat')
        check('processes that nobody collects', ') Z ' in states, False)
        run('podman', 'healthcheck', 'run', NAME)
        run('timeout', '2', 'podman', 'stop', NAME)
        check('exit code of a container that is stopped', process.wait(20), 0)


def run_scripts():
    """Run script.ps1: its report comes, or that it has no folder to write to."""
    for options, status, part in [
        ([], 200, 'PowerShell: 7.'),
        (READ_ONLY, 500, 'no folder to write to'),
        ([*READ_ONLY, '--tmpfs=/tmp'], 200, 'PowerShell: 7.'),
    ]:
        with container(*options) as (_, client):
            answer = client.send('POST', '/run-script', headers=client.sign_in())
            check(f'/run-script {options}: {answer.text}', answer.status_code, status)
            check(f'{part} in {answer.text}', part in answer.text)


def keep_data(folder):
    """See that a volume of root is refused, and that one of the user keeps a film."""
    database = '--env=DATABASE_URL=sqlite:////data/api.db'
    options = [*READ_ONLY, f'--volume={folder}:/data', database]
    with running(['podman', 'run', '--init', '--rm', *options, 'database']) as process:
        check('exit code with a volume of root', process.wait(60), 1)
        printed = re.sub('(?m)^time=.*\n', '', process.log.read_text())  # podman's own
        is_clear = re.fullmatch('DATABASE_URL .*/data.*\n', printed) is not None
        check(f'one line that names the folder: {printed}', is_clear)
    os.chown(folder, 10001, 10001)
    film = {'Name': 'Dune', 'Year': 2021, 'Month': 'October'}
    with container(*options, image='database') as (_, client):
        check('the new film', client.send('PUT', '/films/kept', json=film).json(), film)
    with container(*options, image='database') as (_, client):
        check('the film kept', client.send('GET', '/films/kept').json(), film)


def main():
    """Build the images, and see their containers work."""
    powershell = shutil.which('pwsh')
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, text in SETTINGS.items():
            Path(name).write_text(text.format(folder))
            os.environ[name] = f'{folder}/{name}'
        make_base()
        build('--target=small', '--tag=database', f'--build-arg=PACKAGES={PACKAGES}')
        if powershell:
            build_with_powershell(powershell)
            run_scripts()
        else:
            build('--target=small', '--tag=one-file-api')
            print('SKIPPED: there is no PowerShell here, so the image is without it')
        see_the_inside()
        keep_data(tempfile.mkdtemp(dir=folder))
    finish('The container')


if __name__ == '__main__':
    main()
