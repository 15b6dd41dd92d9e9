"""Run schemathesis against a freshly started service, with all its checks.

Twice: with a token and an API key, so that the routes behind them are reached; and with the
demo account for the route that wants HTTP Basic. A shell script named pwsh stands in for
PowerShell.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import requests
from service import ACCOUNT, PROJECT, service


def run(url, *arguments):
    """Run schemathesis; return its exit code."""
    return subprocess.call([
        'schemathesis', '--config-file', PROJECT / '.ci/schemathesis.toml', 'run',
        PROJECT / 'swagger.yaml', '--url', url, '--checks', 'all', '--phases', 'coverage,fuzzing',
        '--max-examples', '50', '--seed', '1', '--continue-on-failure', *arguments])


with tempfile.TemporaryDirectory() as folder:
    pwsh = Path(folder, 'pwsh')
    pwsh.write_text('#!/bin/sh\necho a report of the stand-in\n')
    pwsh.chmod(0o755)
    os.chdir(folder)  # schemathesis leaves files where it runs
    with service(PATH=f'{folder}:{os.environ["PATH"]}', RATE_LIMIT='0') as process:
        url = process.url
        token = requests.post(f'{url}/token', json=ACCOUNT, timeout=10).json()['access_token']
        key = requests.post(f'{url}/api/generate_key/contract', timeout=10).json()['api_key']
        failed = run(url, '-H', f'Authorization: Bearer {token}', '-H', f'api-key: {key}',
                     '--exclude-path', '/hello_world')
        failed |= run(url, '-a', '{username}:{password}'.format(**ACCOUNT),
                      '--include-path', '/hello_world')
sys.exit(failed)
