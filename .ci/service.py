"""Start the service for the other scripts of this folder, as a user starts it."""
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
ACCOUNT = {'username': 'admin', 'password': 'atCh_5K}?g'}


@contextlib.contextmanager
def service(folder=PROJECT, **environment):
    """Run api.py of this folder on a free port; yield its process, which knows its url."""
    # A file and not a pipe, which would fill up with the log and halt the service.
    with tempfile.NamedTemporaryFile('r') as log:
        process = subprocess.Popen([sys.executable, 'api.py'], cwd=folder, stdout=log.fileno(),
                                   env={**os.environ, 'PORT': '0', **environment})
        try:
            while not (line := log.readline()).endswith('\n'):
                assert process.poll() is None, 'api.py does not start'
                log.seek(0)
                time.sleep(0.02)
            process.url = re.search(r'http://\S+', line)[0]
            yield process
        finally:
            process.kill()
            process.wait()
