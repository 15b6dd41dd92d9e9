"""Add README.md's gadgets to a copy of the project, as it says, and run their tests."""
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from service import PROJECT, check, finish

FILES = ['api.py', 'test_api.py', 'swagger.yaml', 'script.ps1', 'README.md']
FILES += ['requirements.txt', 'Dockerfile']
HEADING = '### Your own resource\n'
TESTS = [sys.executable, 'test_api.py', 'Gadgets', 'Contract']


def read_blocks():
    """Return the four texts to paste: the section, its paths, its schema, its tests."""
    _, _, part = (PROJECT / 'README.md').read_text().partition(HEADING)
    return re.findall(r'(?ms)^```(?:python|yaml)\n(.*?)^```', part)[:4]


def insert(path, pattern, text):
    """Put a text before the line of a file that matches a pattern."""
    content = path.read_text()
    check(f'lines of {path.name} for the paste', len(re.findall(pattern, content)), 1)
    path.write_text(re.sub(pattern, lambda found: text + found[0], content))


def run_tests(folder):
    """Run the tests of a folder; return their exit code and all that they print."""
    done = subprocess.run(
        TESTS,
        cwd=folder,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def main():
    """Paste, try, and see that the tests name what swagger.yaml lacks."""
    section, paths, schema, tests = read_blocks()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in FILES:
            shutil.copy(PROJECT / file, folder)
        swagger = folder / 'swagger.yaml'
        insert(folder / 'api.py', r'(?m)^# --- Docs -+$', section)
        insert(folder / 'test_api.py', r'(?m)^class Docs\(', tests)
        code, printed = run_tests(folder)
        check('tests without the paths in swagger.yaml', code, 1)
        check('they name GET /gadgets', 'GET /gadgets' in printed)
        insert(swagger, r'(?m)^  # --- Docs -+$', paths)
        code, printed = run_tests(folder)
        check('tests without the schema', code, 1)
        check('they name the schema', '#/components/schemas/Gadget' in printed)
        swagger.write_text(swagger.read_text() + schema)
        code, printed = run_tests(folder)
        check(f'tests of the gadgets: {printed}', code, 0)
    finish('The gadgets of README.md')


if __name__ == '__main__':
    main()
