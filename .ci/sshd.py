"""Log in at a real sshd, which asks the service for the keys, as the README shows it.

It needs Debian's openssh-server and openssh-client, and root: it adds an account to
this machine for the login, and removes it at the end.
"""
import contextlib
import os
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from service import PROJECT, Client, check, finish, free_port, running, service

LOGIN = 'one-file-api'  # the account's name
# The kinds that ssh-keygen makes without a security key.
KINDS = {
    'ed25519': ['-t', 'ed25519'],
    'rsa': ['-t', 'rsa'],
    'ecdsa': ['-t', 'ecdsa'],
    'ecdsa-384': ['-t', 'ecdsa', '-b', '384'],
    'ecdsa-521': ['-t', 'ecdsa', '-b', '521'],
}


def run(*words):
    """Run a command to its end; fail with what it wrote unless its exit code is 0."""
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f'{words}: {ended.stderr}'


@contextlib.contextmanager
def login_account(home):
    """Add an account to this machine that can log in with a key only; remove it."""
    # With "*" for a password there is none; sshd refuses the "!" that is the default.
    run('useradd', '--no-create-home', '--home-dir', home, '--shell', '/bin/sh',
        '--password', '*', LOGIN)
    try:
        yield
    finally:
        run('userdel', LOGIN)


def lines_of_readme(url):
    """Return the lines for sshd's configuration in the README, for a service there."""
    text = (PROJECT / 'README.md').read_text()
    lines = re.findall(r'(?m)^ *(AuthorizedKeysCommand(?:User)? .+)$', text)
    assert len(lines) == 2, lines
    return [line.replace('http://127.0.0.1:5000', url) for line in lines]


@contextlib.contextmanager
def sshd(folder, url):
    """Run an sshd that asks the service at this url for keys; yield its port."""
    port = free_port()
    run('ssh-keygen', '-q', '-N', '', '-t', 'ed25519', '-f', f'{folder}/host')
    config = [
        'ListenAddress 127.0.0.1',
        f'Port {port}',
        f'HostKey {folder}/host',
        'PidFile none',
        'AuthorizedKeysFile none',
        'PasswordAuthentication no',
        'KbdInteractiveAuthentication no',
        'UsePAM no',
        *lines_of_readme(url),
    ]
    Path(folder, 'sshd_config').write_text('\n'.join(config) + '\n')
    # The folder to which sshd confines its part that speaks with strangers.
    Path('/run/sshd').mkdir(mode=0o755, exist_ok=True)
    words = ['/usr/sbin/sshd', '-D', '-e', '-f', f'{folder}/sshd_config']
    with running(words, stderr=subprocess.STDOUT) as process:
        wait_for_port(port, process)
        yield port


def wait_for_port(port, process):
    """Wait until a process listens on a port; fail after 10 seconds."""
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(('127.0.0.1', port)).close()
            return
        assert process.poll() is None, process.log.read_text()
        assert time.monotonic() < deadline, process.log.read_text()
        time.sleep(0.05)


def log_in(port, key):
    """Return what a command prints that runs after a login with this key, or ''."""
    options = ['BatchMode=yes', 'IdentitiesOnly=yes', 'StrictHostKeyChecking=no',
               'UserKnownHostsFile=/dev/null']
    words = ['ssh', '-F', '/dev/null', '-i', key, '-p', str(port)]
    for option in options:
        words += ['-o', option]
    words += [f'{LOGIN}@127.0.0.1', 'whoami']
    ended = subprocess.run(words, capture_output=True, text=True, timeout=30,
                           check=False)
    return ended.stdout.strip()


def make_keys(folder):
    """Make a key of each kind; return the paths of the private keys."""
    paths = {}
    for kind, options in KINDS.items():
        path = f'{folder}/{kind}'
        run('ssh-keygen', '-q', '-N', '', '-f', path, *options)
        paths[kind] = path
    return paths


class User:
    """The service's user who logs in, as an administrator changes him."""

    def __init__(self, url):
        self.client = Client(url)
        self.headers = self.client.sign_in()

    def send(self, method, path=f'/users/{LOGIN}', **fields):
        """Return the status code of a request that an administrator makes."""
        answer = self.client.send(method, path, headers=self.headers, json=fields)
        return answer.status_code

    def create(self):
        """Add the user, who has no keys."""
        check('add a user', self.send('POST', '/users', cn=LOGIN, sn='Login'), 201)

    def set_keys(self, *lines):
        """Let the user have these keys and no others."""
        status = self.send('PATCH', sshPublicKeys=lines)
        check(f'set the keys {lines}', status, 200)

    def set_locked(self, locked):
        """Lock the user or unlock him."""
        status = self.send('PATCH', accountLocked=locked)
        check(f'set accountLocked to {locked}', status, 200)

    def delete(self):
        """Delete the user."""
        check('delete the user', self.send('DELETE'), 200)


def read_public(key):
    """Return the text of the .pub file that belongs to a private key."""
    return Path(f'{key}.pub').read_text()


def check_each_kind(user, port, keys):
    """Log in with a key of each kind, before it is the user's and afterwards."""
    for kind, key in keys.items():
        check(f'{kind}: a login before', log_in(port, key), '')
        user.set_keys(read_public(key))
        check(f'{kind}: a login', log_in(port, key), LOGIN)
    user.set_keys(*map(read_public, keys.values()))
    for kind, key in keys.items():
        check(f'{kind}: a login with one of many', log_in(port, key), LOGIN)


def check_endings(user, port, key):
    """Log in with a key whose line ends in different ways."""
    kind, text, _ = read_public(key).split(maxsplit=2)
    for ending in ['', '\r\n', " somebody's laptop in Köln\n"]:
        user.set_keys(f'{kind} {text}{ending}')
        check(f'a login with {ending!r}', log_in(port, key), LOGIN)


def check_locked(user, port, key):
    """See that a user who is locked or deleted can't log in."""
    user.set_keys(read_public(key))
    user.set_locked(True)
    check('a login of a locked user', log_in(port, key), '')
    user.set_locked(False)
    check('a login of an unlocked user', log_in(port, key), LOGIN)
    user.delete()
    check('a login of a deleted user', log_in(port, key), '')


def main():
    """Run the service and sshd, and log in."""
    with tempfile.TemporaryDirectory() as folder, service() as process:
        # sshd and the account must get at their files in it.
        os.chmod(folder, 0o755)
        with login_account(folder), sshd(folder, process.url) as port:
            user = User(process.url)
            user.create()
            keys = make_keys(folder)
            check_each_kind(user, port, keys)
            check_endings(user, port, keys['ed25519'])
            check_locked(user, port, keys['ed25519'])
    finish('Logins at sshd with the keys of /authkeys')


if __name__ == '__main__':
    main()
