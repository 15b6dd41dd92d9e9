"""Load the service as nobody should, and print how quickly it still answers others.

The times are printed and not judged, as machines differ. What is judged: that each client gets
an answer that it may get, and that the memory of a full service stays under 100 MiB.
"""
import collections
import http.client
import json
import os
import resource
import socket
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Process, Queue
from pathlib import Path

from service import ACCOUNT, service

JSON = {'Content-Type': 'application/json'}
failures = 0


def judge(right, text):
    """Print a line, and count it where it is not right."""
    global failures
    failures += not right
    print(('' if right else 'WRONG ') + text, flush=True)


def call(host, method, path, body=None, headers=JSON, timeout=60):
    """Return status and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection(host, timeout=timeout)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def sign_in(host):
    """Return the header of the demo account."""
    token = json.loads(call(host, 'POST', '/token', ACCOUNT)[1])['access_token']
    return {**JSON, 'Authorization': f'Bearer {token}'}


def flood(host, at_once, calls, statuses):
    """Send calls, at_once of them at the same time; put how often each status came."""
    with ThreadPoolExecutor(at_once) as pool:
        answers = pool.map(lambda one: call(host, *one)[0], calls)
        statuses.put(collections.Counter(answers))


def probe(host, requests, during):
    """Print the times of these requests, sent in turn as long as during() says; judge statuses."""
    times, wrong = collections.defaultdict(list), collections.Counter()
    while during():
        for method, path, body, headers in requests:
            start = time.perf_counter()
            status = call(host, method, path, body, headers)[0]
            times[f'{method} {path}'].append((time.perf_counter() - start) * 1000)
            wrong[status] += status >= 400
        time.sleep(0.005)
    for name, measured in times.items():
        measured.sort()
        print(f'    {name}: {len(measured)} answers, median {measured[len(measured) // 2]:.1f} ms, '
              f'99th percentile {measured[int(len(measured) * 0.99)]:.1f} ms, '
              f'longest {measured[-1]:.1f} ms')
    judge(not +wrong, f'    refused meanwhile: {dict(+wrong)}')


def wrong_sign_ins():
    """Show that hashing does not hold up other requests."""
    print('60 wrong sign-ins at once, again and again for 10 seconds')
    with service(RATE_LIMIT='0') as process:
        host = process.url.split('//')[1]
        statuses = Queue()
        call_once = ('POST', '/token', {'username': 'nobody', 'password': 'wrong'})
        stop = time.monotonic() + 10
        calls = Process(target=flood_until, args=(host, 60, call_once, stop, statuses))
        calls.start()
        probe(host, [('GET', '/films/1', None, {})], calls.is_alive)
        got = statuses.get()
        judge(set(got) == {401, 503}, f'    sign-ins: {dict(got)}')


def flood_until(host, at_once, one, stop, statuses):
    """Send this call from at_once threads until it is time to stop; put the statuses."""
    def again(_):
        got = collections.Counter()
        while time.monotonic() < stop:
            got[call(host, *one)[0]] += 1
        return got
    with ThreadPoolExecutor(at_once) as pool:
        statuses.put(sum(pool.map(again, range(at_once)), collections.Counter()))


def slow_scripts():
    """Show that scripts do not hold up other requests."""
    print('20 calls of /run-script at once, 5 seconds each, with a stand-in for PowerShell')
    with tempfile.TemporaryDirectory() as folder:
        pwsh = Path(folder, 'pwsh')
        pwsh.write_text('#!/bin/sh\nsleep 5\n')
        pwsh.chmod(0o755)
        with service(PATH=f'{folder}:{os.environ["PATH"]}') as process:
            host = process.url.split('//')[1]
            headers, statuses = sign_in(host), Queue()
            scripts = [('POST', '/run-script', None, headers)] * 20
            calls = Process(target=flood, args=(host, 20, scripts, statuses))
            calls.start()
            key = json.loads(call(host, 'POST', '/api/generate_key/tony')[1])['api_key']
            film = {'name': 'Dune', 'year': 2021, 'month': 'October'}
            probe(host, [
                ('GET', '/films/1', None, {}), ('GET', '/films', None, {}), ('GET', '/', None, {}),
                ('PUT', '/films/1', film, JSON), ('GET', '/users', None, headers),
                ('GET', '/courses', None, headers), ('POST', '/token', ACCOUNT, JSON),
                ('GET', '/api/list', None, {}), ('GET', '/health', None, {}),
                ('PATCH', '/api/modify/1', {'value2': 1}, {**JSON, 'api-key': key}),
                ('POST', '/data', [1, 2], JSON), ('GET', '/docs/', None, {})], calls.is_alive)
            got = statuses.get()
            judge(got == {200: 2, 503: 18}, f'    scripts: {dict(got)}')


def idle_clients():
    """Show that who sends nothing, or half a request, keeps nobody out."""
    print('400 connections: idle, with half a head, with half a body')
    with service() as process:
        host = process.url.split('//')[1]
        head = b'POST /data HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 90000'
        halves = [b'', head, head + b'\r\n\r\n"' + b'a' * 50_000]
        connections = [connect(host) for _ in range(400)]
        for number, connection in enumerate(connections):
            connection.sendall(halves[number % 3])
        stop = time.monotonic() + 5
        probe(host, [('GET', '/films/1', None, {})], lambda: time.monotonic() < stop)
        stop = time.monotonic() + 45
        open_yet = connections
        while open_yet and time.monotonic() < stop:
            open_yet = [one for one in open_yet if not closed(one)]
            time.sleep(0.5)
        judge(not open_yet, f'    the service has closed {400 - len(open_yet)} of them by itself')


def connect(host):
    """Return a connection."""
    return socket.create_connection(host.split(':'), timeout=30)


def closed(connection):
    """Tell whether the other side has closed the connection."""
    connection.setblocking(False)
    try:
        return connection.recv(65536) == b''
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def many_clients():
    """Show that 1,100 clients at once are all answered."""
    print('1,100 connections at once, a request on each')
    with service() as process:
        host = process.url.split('//')[1]
        connections = [connect(host) for _ in range(1100)]
        for connection in connections:
            connection.sendall(b'GET /films/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
        answers = sum(json.loads(connection.makefile('rb').read().partition(b'\r\n\r\n')[2])
                      ['Year'] == 2018 for connection in connections)
        for connection in connections:
            connection.close()
        judge(answers == 1100, f'    {answers} answers')


def memory(process, word):
    """Return what the process holds (VmRSS) or held at most (VmHWM), in MiB."""
    lines = Path(f'/proc/{process.pid}/status').read_text().split('\n')
    return next(int(line.split()[1]) for line in lines if line.startswith(word)) / 1024


def full_collections(kind, long):
    """Fill each collection until it is full, and show the memory that the process takes."""
    print(f'Every collection filled with {kind} items')
    with service(RATE_LIMIT='0') as process:
        host = process.url.split('//')[1]
        headers = sign_in(host)
        key = json.loads(call(host, 'POST', '/api/generate_key/tony')[1])['api_key']
        groups = ['ab'] * 100 if long else ['cn=users,ou=groups,dc=dbsentry,dc=com']
        makers = {
            '/films': ('/films', lambda n: {'name': 'x' * (200 if long else 20), 'year': 2021,
                                            'month': 'October'}, JSON),
            '/api/list': ('/api/create', lambda n: {'value1': '\U0001f600' * (1000 if long else 20),
                                                    'value2': 10 ** (4000 if long else 4)},
                          {**JSON, 'api-key': key}),
            '/users': ('/users', lambda n: {'cn': f'user{n}', 'sn': 'Parker', 'memberOfs': groups,
                                            'mail': f'user{n}@dbsentry.com'}, headers),
            '/courses': ('/courses', lambda n: {'code': f'C{n}', 'instructor': 'y' * 40,
                                                'name': 'x' * (120 if long else 30)}, headers)}
        counts = {}
        for name, (path, item, sent) in makers.items():
            counts[name] = fill(host, path, item, sent)
        counts['keys'] = fill(host, '/api/generate_key/k{}', lambda n: None, {})
        print(f'    {counts} items were taken, then 507')
        held = memory(process, 'VmRSS')
        judge(held < 100, f'    the process holds {held:.0f} MiB')
        for name, (_, _, sent) in makers.items():
            for query in ['limit=1000', 'limit=1000&q=x']:  # the one reads a page, the other all
                status = call(host, 'GET', f'{name}?{query}', None, sent)[0]
                judge(status == 200, f'    {name}?{query}: {status}')
        call(host, 'POST', '/token', {'username': 'nobody', 'password': 'x'})
        held = memory(process, 'VmHWM')
        print(f'    with each listed, and a password hashed: {held:.0f} MiB at most')


def fill(host, path, item, headers):
    """Post items until there is no room; return how many there was room for."""
    connection = http.client.HTTPConnection(host, timeout=60)
    for number in range(20_000):
        body = item(number)
        connection.request('POST', path.format(number), None if body is None else json.dumps(body),
                           headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 201:
            judge(answer.status == 507, f'    {path} is full: {answer.status}')
            return number
    return number


if __name__ == '__main__':
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    threading.stack_size(256 * 1024)
    wrong_sign_ins()
    slow_scripts()
    idle_clients()
    many_clients()
    full_collections('usual', long=False)
    full_collections('the longest', long=True)
    sys.exit(failures > 0)
