"""Cut every piece out of api.py and try it: each section, and each pair of sections.

Each with all the rooms that can be kept, such as the database, and with none. Each must
import no package that it does not list, pass ruff, start, answer the Dockerfile's
HEALTHCHECK, refuse what pages of other sites send, and print no address that is 404. A
section alone must pass its class of test_api.py too. And README.md's table must have
the rows that "python .ci/cut.py --table" prints.
"""
import ast
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cut
import requests
from service import PROJECT, Client, check, finish, service

FILES = ['test_api.py', 'swagger.yaml', 'script.ps1']
HEADING = '## Take a piece home'


class Kind(NamedTuple):
    """Which piece it is."""

    sections: list
    kept: list  # rooms

    def __str__(self):
        return ' + '.join([*self.sections, *map(cut.option_of, self.kept)])


def all_kinds():
    """Return all that is to be cut, the slow ones first."""
    choices = [[section] for section in cut.SECTIONS]
    choices += [list(pair) for pair in itertools.combinations(cut.SECTIONS, 2)]
    kinds = []
    for sections in choices:
        kinds += [Kind(sections, list(cut.KEEP)), Kind(sections, [])]
    return kinds


def try_piece(kind):
    """Cut a piece and check it."""
    text, packages = cut.cut(kind.sections, kind.kept)
    check(f'{kind}: imports', missing_packages(text, packages), set())
    check(f'{kind}: names api.py', re.findall(r'\bapi\.py|\.ci/', text), [])
    with tempfile.TemporaryDirectory() as folder:
        for name in FILES:
            shutil.copy(PROJECT / name, folder)
        Path(folder, 'api.py').write_text(text)
        url = f'sqlite:///{folder}/piece.db' if cut.DATABASE in kind.kept else ''
        lint = [sys.executable, '-m', 'ruff', 'check', '--isolated', '-q', 'api.py']
        check(f'{kind}: ruff', run(lint, folder), '')
        try_start(kind, folder, url)
        if len(kind.sections) == 1:
            try_tests(kind, folder, url)


def missing_packages(text, packages):
    """Return the modules that a piece imports from packages which it does not list."""
    modules = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            modules.add(node.module.partition('.')[0])
        elif isinstance(node, ast.Import):
            modules.update(alias.name.partition('.')[0] for alias in node.names)
    names = {cut.name_of(package) for package in packages}
    listed = {cut.MODULES.get(name, name) for name in names}
    return modules - listed - sys.stdlib_module_names


def run(words, folder, **kwargs):
    """Run a program; return what it printed, or '' if its exit code is 0."""
    done = subprocess.run(
        words,
        cwd=folder,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **kwargs,
    )
    return done.stdout or 'nothing printed' if done.returncode else ''


def try_start(kind, folder, url):
    """Start a piece and call it; print what it has printed if it does not answer."""
    with service(folder, DATABASE_URL=url) as process:
        try:
            call(kind, process, folder)
        except requests.RequestException as problem:
            printed = process.log.read_text()
            check(f'{kind}: {problem}, exit code {process.poll()}', printed, '')


def call(kind, process, folder):
    """Call a piece as Docker and those who read its first lines do."""
    client = Client(process.url)
    health = {'HOST': '127.0.0.1', 'PORT': process.url.rpartition(':')[2]}
    check(f'{kind}: HEALTHCHECK', run(health_check(), folder, env=health), '')
    printed = process.log.read_text()
    for path in re.findall(re.escape(process.url) + r'(/[\w/.-]+)', printed):
        found = client.send('GET', path).status_code
        check(f'{kind}: {path} of the start', found == 404, False)
    root = client.send('GET', '/', headers={'Accept': 'text/html'})
    check(f'{kind}: /', root.status_code != 404, 'Hello' in kind.sections)
    if root.is_redirect:
        path = '/' + root.headers['Location'].removeprefix('/')
        found = client.send('GET', path).status_code
        check(f'{kind}: / sends to {path}', found == 404, False)
    check(f'{kind}: an unknown path', client.send('GET', '/x').status_code, 404)
    for name, value in [('Host', 'evil.example'), ('Origin', 'http://evil.example')]:
        found = client.send('POST', '/health', headers={name: value}).status_code
        check(f'{kind}: a foreign {name}', found, 403)


def health_check():
    """Return the words of the Dockerfile's HEALTHCHECK."""
    text = (PROJECT / 'Dockerfile').read_text()
    found = re.search(r'HEALTHCHECK .*\\\n +CMD (.+)', text)
    words = json.loads(found[1])
    return [sys.executable, *words[1:]]


def try_tests(kind, folder, url):
    """Run the tests of a section on its piece."""
    environment = {'TEST_DATABASE_URL': url} if url else {}
    name = kind.sections[0].replace(' ', '')
    done = subprocess.run(
        [sys.executable, 'test_api.py', name],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    is_good = done.returncode == 0 and not done.stdout.startswith('0 ')
    if not is_good:
        print(done.stdout[-2000:], done.stderr[-4000:], flush=True)
    check(f'{kind}: its tests', is_good)


def try_table():
    """Compare README.md's table with the pieces."""
    _, _, part = (PROJECT / 'README.md').read_text().partition(HEADING + '\n')
    part = re.split(r'(?m)^## ', part)[0]
    rows = re.findall(r'(?m)^\| (?:' + '|'.join(cut.SECTIONS) + r') \|.*$', part)
    check('the table of README.md', rows, cut.table_rows())


def main():
    """Try everything, two at a time."""
    try_table()
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(try_piece, all_kinds()))
    finish(f'{len(all_kinds())} pieces')


if __name__ == '__main__':
    main()
