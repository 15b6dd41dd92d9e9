"""Start the service with the README's lines for other WSGI servers, and use it.

Only a free port of 127.0.0.1 is added to them.
"""
import os
import re
import shlex
import socket
import subprocess
import time

import requests
from service import ACCOUNT, PROJECT

PORT = {'granian': '--port {}', 'gunicorn': '--bind 127.0.0.1:{}'}
readme = (PROJECT / 'README.md').read_text()
lines = re.findall(r'(?m)^    (?:\S+=\S+ )*((granian|gunicorn) .*api:app)$', readme)
assert {name for _, name in lines} == set(PORT), lines
for line, name in lines:
    with socket.create_server(('127.0.0.1', 0)) as free:
        port = free.getsockname()[1]
    url = f'http://127.0.0.1:{port}'
    process = subprocess.Popen(
        shlex.split(f'{line} {PORT[name].format(port)}'), cwd=PROJECT,
        env={**os.environ, 'SECRET_KEY': 'k' * 32, 'DATABASE_URL': ''},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                requests.get(f'{url}/health', timeout=5)
                break
            except requests.ConnectionError:
                assert process.poll() is None, f'{line} does not start'
                time.sleep(0.1)
        token = requests.post(f'{url}/token', json=ACCOUNT, timeout=5).json()['access_token']
        headers = {'Authorization': f'Bearer {token}'}
        answers = [
            requests.get(f'{url}/films/1', timeout=5), requests.head(f'{url}/films', timeout=5),
            requests.get(f'{url}/courses?limit=1', headers=headers, timeout=5),
            requests.put(f'{url}/courses/CSE115', headers=headers, timeout=5,
                         json={'name': 'Networks', 'instructor': 'Ada'}),
            requests.options(f'{url}/films', timeout=5), requests.get(f'{url}/users', timeout=5),
            requests.get(f'{url}/films/%FF1', timeout=5), requests.get(f'{url}/docs/', timeout=5)]
        got = [answer.status_code for answer in answers]
        assert got == [200, 200, 200, 204, 204, 401, 400, 200], (line, got)
        assert answers[1].headers['X-Total-Count'] == '2', answers[1].headers
        print(f'{line}: answers as it should')
    finally:
        process.terminate()
        process.wait(20)
