"""Run README.md's Flask app, and compare with api.py what it copies from there.

    python .ci/flask_app.py --update

copies it into README.md again.
"""
import ast
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import cut
from service import ACCOUNT, PROJECT, Client, check, finish, free_port, server, stand_in

README = PROJECT / 'README.md'
# The app, in three parts; the second is the copy.
APP = (
    r'(?ms)^```python\n(# flask_app\.py\n.*?^# From here on: [^\n]*\n\n)'
    r'(.*?)(\n\n\n# Up to here: .*?)^```'
)
# What is copied; with it comes what these need and the app itself does not define.
WANTED = ['bearer', 'make_token', 'SCRIPT', 'run_script']
ENVIRONMENT = {'SECRET_KEY': 'of the tests, and at least 32 bytes long'}
SCRIPT = 'echo "output of $*"; echo "secret: $SECRET_KEY." >&2'


def copy(own_part):
    """Return the wanted functions of api.py, with what they need, as text."""
    own = set()
    for node in ast.parse(own_part).body:
        own |= cut.find_names(node)[0]
    parts, _ = cut.read_parts((PROJECT / 'api.py').read_text())
    copied = []
    wanted = set(WANTED)
    while found := [one for one in parts if is_wanted(one, wanted, copied)]:
        copied += found
        for part in found:
            wanted |= part.used - own
    text = ''
    is_behind_function = False
    for part in sorted(copied, key=parts.index):
        is_function = isinstance(part.node, (ast.FunctionDef, ast.ClassDef))
        if text:
            text += '\n' * (3 if is_function or is_behind_function else 1)
        text += '\n'.join([*part.comments, *part.lines])
        is_behind_function = is_function
    return text


def is_wanted(part, wanted, copied):
    """Tell whether a statement that is not copied yet defines something wanted."""
    if part in copied or cut.is_import(part.node):
        return False
    return bool(part.defined & wanted)


def try_app(block):
    """Start the app, and call each of its routes."""
    port = free_port()
    words = [sys.executable, '-m', 'flask', '--app', 'flask_app', 'run', f'-p{port}']
    with tempfile.TemporaryDirectory() as folder, stand_in(SCRIPT) as path:
        app = Path(folder, 'flask_app.py')
        app.write_text(block)
        lint = [sys.executable, '-m', 'ruff', 'check', '--isolated', '-q', str(app)]
        check('ruff', subprocess.run(lint, check=False).returncode, 0)
        Path(folder, 'script.ps1').write_text('')
        environment = {**ENVIRONMENT, 'PYTHONPATH': folder, 'PATH': path}
        with server(words, port, **environment) as process:
            call(Client(process.url), Path(folder, 'script.ps1'))


def call(client, script):
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
    script.unlink()
    answer = client.send('POST', '/run-script', headers=headers)
    check('no script', (answer.status_code, list(answer.json())), (500, ['message']))


def main():
    """Compare and try, or copy anew."""
    text = README.read_text()
    found = re.search(APP, text)
    if not found:
        sys.exit('README.md has no python block that begins with "# flask_app.py"')
    first, copied, last = found.groups()
    fresh = copy(first)
    if '--update' in sys.argv:
        README.write_text(text[: found.start(2)] + fresh + text[found.end(2) :])
        return
    check('the copy (--update makes it anew)', copied, fresh)
    try_app(first + copied + last)
    finish('The Flask app of README.md')


if __name__ == '__main__':
    main()
