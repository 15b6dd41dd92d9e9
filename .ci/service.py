"""Start the service for the other scripts of this folder, as a user starts it."""
import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
ACCOUNT = {'username': 'admin', 'password': 'atCh_5K}?g'}


@contextlib.contextmanager
def service(folder=PROJECT, log=subprocess.DEVNULL, **environment):
    """Run api.py of this folder on a free port; yield its process, which knows its url."""
    process = subprocess.Popen(
        [sys.executable, 'api.py'], cwd=folder, env={**os.environ, 'PORT': '0', **environment},
        stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        process.url = re.search(r'http://\S+', process.stdout.readline())[0]
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
