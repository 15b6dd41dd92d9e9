"""Log in at a real sshd, which asks the service for the keys by the README's lines.

It needs Debian's openssh-server, and root: it adds an account to this machine for the
login, and removes it at the end.
"""
import contextlib
import re
import subprocess
import tempfile
from pathlib import Path

from service import (
    PROJECT,
    Client,
    check,
    finish,
    free_port,
    running,
    service,
    wait_for,
)

LOGIN = 'one-file-api'  # the account's name
CONFIG = """
AuthorizedKeysFile none
HostKey {folder}/host
KbdInteractiveAuthentication no
ListenAddress 127.0.0.1:{port}
PasswordAuthentication no
PidFile none
UsePAM no
"""
SSH = """
ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=no
-o UserKnownHostsFile=/dev/null
"""


def run(*words):
    """Run a command; return what it prints; fail unless its exit code is 0."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@contextlib.contextmanager
def login_account(home):
    """Add an account to this machine that can log in with a key only; remove it."""
    # sshd refuses an account whose password is "!", the default.
    run('useradd', '--home-dir', home, '--shell', '/bin/sh', '--password', '*', LOGIN)
    try:
        yield
    finally:
        run('userdel', LOGIN)


@contextlib.contextmanager
def sshd(folder, url):
    """Run an sshd that asks the service at this url for keys; yield its port."""
    port = free_port()
    make_key(f'{folder}/host', 'ssh-ed25519')
    config = Path(folder, 'sshd_config')
    text = (PROJECT / 'README.md').read_text()
    lines = '\n'.join(re.findall('AuthorizedKeysCommand.*', text))
    lines = lines.replace('http://127.0.0.1:5000', url)
    config.write_text(CONFIG.format(folder=folder, port=port) + lines)
    # The folder to which it confines its part that speaks with strangers.
    Path('/run/sshd').mkdir(mode=0o755, exist_ok=True)
    with running(['/usr/sbin/sshd', '-D', '-e', '-f', str(config)]) as process:
        wait_for(lambda: 'listening' in process.log.read_text(), process)
        yield port


def make_key(path, kind):
    """Make a key of this kind; return the text of its .pub file."""
    run('ssh-keygen', '-q', '-N', '', '-t', kind, '-f', path)
    return Path(f'{path}.pub').read_text()


def log_in(port, key):
    """Return the name that whoami prints after a login with this key, or ''."""
    words = [*SSH.split(), '-i', key, '-p', str(port), f'{LOGIN}@127.0.0.1', 'whoami']
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    return ended.stdout.strip()


def check_logins(url, port, folder):
    """Log in with keys of each kind, as the service allows it and as it does not."""
    client = Client(url)
    admin = client.sign_in()
    path = f'/users/{LOGIN}'

    def ask(status, method, path=path, **fields):
        """Check the status of a request that an administrator makes."""
        answer = client.send(method, path, headers=admin, json=fields)
        check(f'{method} {path} with {fields}', answer.status_code, status)

    ask(201, 'POST', '/users', cn=LOGIN, sn='Login')
    for kind in run('ssh', '-Q', 'key-plain').split():
        # The first are on a security key, and sshd takes no DSA any more.
        if not kind.startswith(('sk-', 'ssh-dss')):
            key = f'{folder}/{kind}'
            public = make_key(key, kind)
            ask(200, 'PATCH', sshPublicKeys=[public])
            check(f'{kind}: a login', log_in(port, key), LOGIN)
    other = make_key(f'{folder}/other', 'ssh-ed25519')
    for line in [f'command="id" {other}', f'{public}command="id" {other}']:
        ask(400, 'PATCH', sshPublicKeys=[line])
    check('a login with a refused key', log_in(port, f'{folder}/other'), '')
    for locked, name in [(True, ''), (False, LOGIN)]:
        ask(200, 'PATCH', accountLocked=locked)
        check(f'a login while locked is {locked}', log_in(port, key), name)
    ask(200, 'DELETE')
    check('a login of a deleted user', log_in(port, key), '')


def main():
    """Run the service and sshd, and log in."""
    with tempfile.TemporaryDirectory() as folder, service() as process:
        # sshd and the account must get at their files in it.
        Path(folder).chmod(0o755)
        with login_account(folder), sshd(folder, process.url) as port:
            check_logins(process.url, port, folder)
    finish('Logins at sshd with the keys of /authkeys')


if __name__ == '__main__':
    main()
