"""Hold api.py to the copy-paste law: each section runs and passes its tests without the others.

For each section in turn, cut all the other sections' text out of api.py, start what is left,
and run that section's class of test_api.py against it.
"""
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from service import PROJECT, service

SECTIONS = ['Weekend API', 'Films', 'Records', 'Users', 'Courses', 'Docs']
ROOMS = re.split(r'(?m)^(?=# --- )', (PROJECT / 'api.py').read_text())


def keep(section):
    """Return api.py's text with this section alone."""
    names = [re.match(r'# --- (.+?) -+\n', room) for room in ROOMS]
    return ''.join(room for name, room in zip(names, ROOMS)
                   if not name or name[1] not in SECTIONS or name[1] == section)


def answers(url):
    """Tell whether a service answers at this address, be it with 404."""
    try:
        urllib.request.urlopen(url, timeout=5)
    except urllib.error.HTTPError as error:
        return error.code == 404
    return True


failures = 0
for section in SECTIONS:
    with tempfile.TemporaryDirectory() as folder:
        for name in ['test_api.py', 'swagger.yaml', 'script.ps1', 'README.md', 'requirements.txt']:
            shutil.copy(PROJECT / name, folder)
        Path(folder, 'api.py').write_text(keep(section))
        with service(folder) as process:
            started = answers(process.url)
        tests = subprocess.run([sys.executable, 'test_api.py', section.replace(' ', '')],
                               cwd=folder, check=False, capture_output=True, text=True)
        passed = tests.stdout.strip()
        if not started or tests.returncode or passed.startswith('0 '):
            failures += 1
            print(tests.stderr)
        print(f'{section} alone: {"starts" if started else "does not start"}, {passed}')
sys.exit(failures > 0)
