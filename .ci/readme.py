"""Do what the README says: its commands, its 80 lines, its resource, other servers.

In a block that is fenced as console, each line behind "$ " is a command for bash, and
the lines up to the next one are what it prints. In one that is fenced as powershell,
what the lines before it print stands behind "# ". In both, ... stands for anything.
"""
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from service import PROJECT, Client, check, finish, free_port, server, service

README = (PROJECT / 'README.md').read_text()
ADDRESS = '127.0.0.1:5000'  # where the README's service is
END = '\x1e'  # stands behind what a command printed; none prints it by itself
SECTIONS = ['Films', 'Hello', 'Weekend API', 'Records', 'Users', 'Courses', 'Docs']
FILES = ['api.py', 'test_api.py', 'swagger.yaml', 'script.ps1', 'README.md']
FILES += ['requirements.txt', 'Dockerfile']


def blocks(kind):
    """Return the texts of the blocks that are fenced as of this kind."""
    return re.findall(rf'(?ms)^```{kind}\n(.*?)^```$', README)


# --- Commands -------------------------------------------------------------------------


def run_script(words, script):
    """Run a shell with a script, in an empty folder; return what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'script.ps1')
        path.write_text(script)
        done = subprocess.run(
            [*words, path],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env={**os.environ, 'NO_COLOR': '1'},
        )
    check(f'what {words[0]} wrote to stderr', done.stderr, '')
    return done.stdout


def compare(steps, printed):
    """Check what each command printed; one that shows nothing may print anything."""
    outputs = printed.split(END)[:-1]
    check('commands that ran', len(outputs), len(steps))
    for (command, expected), output in zip(steps, outputs, strict=False):
        pattern = re.escape(expected.strip()).replace(re.escape('...'), '.*')
        is_right = re.fullmatch(pattern, output.strip(), re.DOTALL) is not None
        check(f'{command}prints\n{output}\nand', is_right or not expected)


def type_console():
    """Type the console blocks into a bash, beside a service."""
    steps = []
    script = ''
    for block in blocks('console'):
        steps += re.findall(r'(?m)^\$ (.*\n)((?:(?!\$ ).*\n)*)', block)
    for command, _ in steps:
        script += f"{command}printf '{END}'\n"
    with service() as process:
        address = process.url.removeprefix('http://')
        compare(steps, run_script(['bash'], script.replace(ADDRESS, address)))


def type_powershell():
    """Run the powershell blocks in one session, which the first error ends."""
    steps = []
    script = "$ErrorActionPreference = 'Stop'\n"
    for block in blocks('powershell'):
        for command, comments in re.findall(r'((?:(?!# ).*\n)+)((?:# .*\n)*)', block):
            steps.append((command, re.sub('(?m)^# ', '', comments)))
    for command, _ in steps:
        # As at a prompt: what a command puts out is formatted by itself.
        text = command.replace("'", "''")
        script += f". ([scriptblock]::Create('{text}')) | Out-String -Width 120\n"
        script += f'[Console]::Write("`u{{{ord(END):x}}}")\n'
    with service() as process:
        address = process.url.removeprefix('http://')
        words = ['pwsh', '-NoProfile', '-NonInteractive', '-File']
        compare(steps, run_script(words, script.replace(ADDRESS, address)))


def start_as_shown():
    """Start a fresh copy of the project with the README's lines; end it by Ctrl-C."""
    first = blocks('sh')[0].splitlines()[0]
    check('the line that runs it', first.endswith('.venv/bin/python api.py'))
    check('the line with uv', '`uv run api.py`' in README)
    for line in [first, 'uv run api.py']:
        port = free_port()
        words = ['bash', '-c', re.sub(r'(\.venv/bin/python|uv) ', r'exec \1 ', line)]
        with tempfile.TemporaryDirectory() as folder:
            for file in FILES:
                shutil.copy(PROJECT / file, folder)
            with server(words, port, folder, PORT=str(port)) as process:
                answer = Client(process.url).send('GET', '/')
                check(line, answer.json(), {'hello': 'world'})
                process.send_signal(signal.SIGINT)
                check(f'{line}: exit code', process.wait(10), 0)
            if line != first:
                words = ['uv', 'run', '-q', 'test_api.py', 'Hello']
                check(words, subprocess.call(words, cwd=folder), 0)


# --- Python ---------------------------------------------------------------------------


def use_idea(idea):
    """Run the 80 lines, and call each route, with a token and without."""
    check('lines of the idea', idea.count('\n') <= 80)
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(PROJECT / 'script.ps1', folder)
        Path(folder, 'idea.py').write_text(idea.replace('port=5000', f'port={port}'))
        with server([sys.executable, 'idea.py'], port, folder) as process:
            client = Client(process.url)
            password = re.search('admin with (.*)', process.log.read_text())[1]
            account = {'username': 'admin', 'password': password}
            wrong = {'username': 'admin', 'password': 'é'}
            course = {'code': 'CSE101', 'name': 'Python'}
            answer = client.send('POST', '/token', data=account)
            token = f'Bearer {answer.json()["access_token"]}'
            headers = {'Authorization': token}
            for path, status, sent in [
                ('POST /token', 401, {'data': wrong}),
                ('POST /token', 401, {}),
                ('GET /courses', 401, {}),
                ('GET /courses', 401, {'headers': {'Authorization': token[:-1]}}),
                ('POST /courses', 401, {'json': course}),
                ('POST /run-script', 401, {}),
                ('GET /nowhere', 404, {}),
                ('POST /courses', 400, {'headers': headers, 'data': '['}),
                ('POST /courses', 400, {'headers': headers, 'json': [1]}),
                ('POST /courses', 400, {'headers': headers, 'json': {'code': 1}}),
                ('POST /courses', 201, {'headers': headers, 'json': course}),
                ('POST /courses', 409, {'headers': headers, 'json': course}),
                ('GET /courses', 200, {'headers': headers}),
                ('POST /run-script', 200, {'headers': headers}),
            ]:
                answer = client.send(*path.split(), **sent)
                check(f'idea: {path} {sent}: {answer.text}', answer.status_code, status)
                check(f'idea: {path} is JSON', answer.json() is not None)
            found = client.send('GET', '/courses', headers=headers).json()
            check('idea: the courses', found, {'CSE101': course})


def run_tests(folder, *classes):
    """Run the tests of a folder; return their exit code and all that they print."""
    done = subprocess.run(
        [sys.executable, 'test_api.py', *classes],
        cwd=folder,
        # Without PowerShell, which would take minutes.
        env={**os.environ, 'PATH': '/usr/bin:/bin'},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def insert(path, pattern, text):
    """Put a text before the one line of a file that matches a pattern."""
    content = path.read_text()
    check(f'places in {path.name} for the paste', len(re.findall(pattern, content)), 1)
    path.write_text(re.sub(pattern, lambda found: text + found[0], content))


def paste_resource(section, tests):
    """Add the README's resource to a copy of the project, and run its tests."""
    paths, schema = blocks('yaml')[:2]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in FILES:
            shutil.copy(PROJECT / file, folder)
        swagger = folder / 'swagger.yaml'
        insert(folder / 'api.py', r'(?m)^# --- Docs -+$', section)
        insert(folder / 'test_api.py', r'(?m)^# --- Docs -+$', tests)
        code, printed = run_tests(folder, 'Gadgets', 'Contract')
        is_named = "('GET', '/gadgets')" in printed
        check('they name what swagger.yaml lacks', (is_named, code), (True, 1))
        insert(swagger, r'(?m)^  # --- Docs -+$', paths)
        code, printed = run_tests(folder, 'Gadgets', 'Contract')
        is_named = 'schemas/Gadget' in printed
        check('they name the schema', (is_named, code), (True, 1))
        swagger.write_text(swagger.read_text() + schema)
        code, printed = run_tests(folder, 'Gadgets', 'Contract', 'SignIn')
        check(f'tests of the resource: {printed}', code, 0)


def delete_sections(names):
    """Delete sections of a copy of api.py, and run the tests of what is left."""
    rooms = re.split(r'(?m)^(?=# --- (.+) -+$)', (PROJECT / 'api.py').read_text())
    text = rooms[0]
    for name, room in zip(rooms[1::2], rooms[2::2], strict=True):
        if name not in names:
            text += room
    left = set(rooms[1::2]) - set(names)
    check(f'sections to delete: {names}', len(left) + len(names), len(rooms) // 2)
    with tempfile.TemporaryDirectory() as folder:
        for file in FILES:
            shutil.copy(PROJECT / file, folder)
        Path(folder, 'api.py').write_text(text)
        classes = ['Requests', 'Collections', 'SignIn', 'Limits', 'Lists', 'Browsers']
        classes += [name.replace(' ', '') for name in SECTIONS if name in left]
        code, printed = run_tests(folder, *classes)
        check(f'tests without {names}: {printed}', code, 0)
        with service(folder) as process:
            answer = Client(process.url).send('GET', '/health')
            check(f'/health without {names}', answer.status_code, 200)


# --- Other servers --------------------------------------------------------------------


def use_server(line):
    """Start another WSGI server with this line, and send bodies whole and in chunks."""
    port = free_port()
    words = shlex.split(line.replace('5000', str(port)))[1:]
    film = b'{"name": "Dune", "year": 2021, "month": "October"}'
    parts = [film[:9], film[9:]]
    json = {'Content-Type': 'application/json'}
    with server(words, port, SECRET_KEY='k' * 32) as process:
        token = Client(process.url).sign_in()
        for path, status, sent in [
            ('PUT /films/3', 201, {'data': film, 'headers': json}),
            ('PUT /films/4', 201, {'data': iter(parts), 'headers': json}),
            ('PUT /films/5', 413, {'data': iter([b'x' * 200_000]), 'headers': json}),
            ('POST /data', 400, {'data': iter([b'[']), 'headers': json}),
            ('GET /films/%FF1', 400, {}),
            ('GET /courses', 200, {'headers': token}),
            ('GET /courses', 401, {}),
            ('GET /docs/', 200, {}),
        ]:
            # After the 413, a server closes the connection.
            answer = Client(process.url).send(*path.split(), **sent)
            check(f'{line}: {path}', answer.status_code, status)


def main():
    """Do all that the README says."""
    idea, section, tests = blocks('python')
    start_as_shown()
    type_console()
    if shutil.which('pwsh'):
        type_powershell()
    else:
        print('There is no PowerShell: its lines were left out')
    use_idea(idea)
    paste_resource(section, tests)
    for name in SECTIONS:
        delete_sections([name])
        delete_sections([other for other in SECTIONS if other != name])
    delete_sections(['Database'])
    lines = re.findall(r'(?m)^ *(\S+ (?:granian|gunicorn) .*5000.* api:app)$', README)
    check('lines for other servers', len(lines), 2)
    for line in lines:
        use_server(line)
    finish('The README')


if __name__ == '__main__':
    main()
