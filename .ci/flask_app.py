"""Run README.md's Flask app, and compare with api.py what it copies from there."""
import re
import sys
import tempfile
from pathlib import Path

import cut
from service import ACCOUNT, PROJECT, Client, check, finish, free_port, server, stand_in

MARK = '# flask_app.py\n'
ENVIRONMENT = {'SECRET_KEY': 'of the tests, and at least 32 bytes long'}
SCRIPT = 'echo "output of $*"; echo "secret: $SECRET_KEY." >&2'


def read_block():
    """Return the text of the app in README.md; end the program if there is none."""
    text = (PROJECT / 'README.md').read_text()
    blocks = re.findall(r'(?ms)^```python\n(.*?)^```', text)
    for block in blocks:
        if block.startswith(MARK):
            return block
    sys.exit(f'README.md has no python block that begins with {MARK}')


def compare(block):
    """Check that the copied statements are those of api.py."""
    found = re.search(r'(?s)# From here on: .*?\n(.*)# Up to here: ', block)
    text = (PROJECT / 'api.py').read_text()
    parts, _ = cut.read_parts(text)
    originals = {name: part for part in parts for name in part.defined}
    copied, _ = cut.read_parts(found[1])
    for part in copied:
        name = next(iter(part.defined))
        original = originals[name]
        expected = '\n'.join([*original.comments, *original.lines])
        # The one name that differs.
        expected = expected.replace('request.get_header(', 'request.headers.get(')
        copy = '\n'.join([*part.comments, *part.lines])
        check(f'{name} of README.md', copy, expected)
    check('copied', len(copied) > 10)


def try_app(block):
    """Start the app, and call each of its routes."""
    port = free_port()
    words = [sys.executable, '-m', 'flask', '--app', 'flask_app', 'run', f'-p{port}']
    with tempfile.TemporaryDirectory() as folder, stand_in(SCRIPT) as path:
        Path(folder, 'flask_app.py').write_text(block)
        Path(folder, 'script.ps1').write_text('')
        environment = {**ENVIRONMENT, 'PYTHONPATH': folder, 'PATH': path}
        with server(words, port, **environment) as process:
            call(Client(process.url))


def call(client):
    """Check what the app answers."""
    refused = client.send('POST', '/run-script')
    check('no token', refused.status_code, 401)
    check('its header', refused.headers['WWW-Authenticate'].split()[0], 'Bearer')
    check('its message', 'sign in' in refused.json()['message'])
    forged = {'Authorization': 'Bearer x.y.z'}
    refused = client.send('POST', '/run-script', headers=forged)
    check('a forged token', refused.status_code, 401)
    check('its error', 'invalid_token' in refused.headers['WWW-Authenticate'])
    wrong = {**ACCOUNT, 'password': 'wrong'}
    refused = client.send('POST', '/token', data=wrong)
    check('a wrong password', refused.status_code, 401)
    token = client.send('POST', '/token', data=ACCOUNT).json()['access_token']
    headers = {'Authorization': f'Bearer {token}'}
    answer = client.send('POST', '/run-script', headers=headers)
    check('the script', answer.status_code, 200)
    check('its output', 'script.ps1' in answer.json()['output'])
    check('its error', answer.json()['error'], 'secret: .\n')


def main():
    """Compare and try."""
    block = read_block()
    compare(block)
    try_app(block)
    finish('The Flask app of README.md')


if __name__ == '__main__':
    main()
