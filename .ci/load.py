"""Load the service as nobody should, and print how quickly it still answers others.

Machines differ, so most times are printed only. What is checked: that each client gets
an answer that it may get, that nobody waits for seconds, and how much memory is taken.
"""
import collections
import resource
import socket
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from service import (
    ACCOUNT,
    COLLECTIONS,
    Client,
    check,
    connect,
    finish,
    percentile,
    service,
    stand_in,
)

FILM = {'name': 'Dune', 'year': 2021, 'month': 'October'}
# A right answer that takes longer is one that had to wait for somebody else.
LONGEST = 2000  # milliseconds


class Call(NamedTuple):
    """A request that is sent again and again."""

    method: str
    path: str
    headers: dict | None = None
    json: object = None

    def send(self, client):
        """Send it; return the answer."""
        headers = self.headers
        return client.send(self.method, self.path, headers=headers, json=self.json)


GET_FILM = Call('GET', '/films/1')


# --- Clients --------------------------------------------------------------------------

def flood(url, at_once, calls):
    """Send calls, so many at the same time; return the statuses, counted."""
    def send(call):
        return call.send(Client(url)).status_code

    with ThreadPoolExecutor(at_once) as pool:
        return collections.Counter(pool.map(send, calls))


def probe_during_flood(url, calls, at_once, flooding):
    """Send calls in turn while another process floods; return the flood's statuses."""
    with ProcessPoolExecutor(1) as other:
        flooded = other.submit(flood, url, at_once, flooding)
        probe(url, calls, flooded.running)
        return flooded.result()


def probe(url, calls, is_going_on):
    """Send calls in turn as long as is_going_on(); print and check their times."""
    client = Client(url)
    # A connection for each, as one that is open already can't be kept out.
    client.session.headers['Connection'] = 'close'
    times = collections.defaultdict(list)
    refused = collections.Counter()
    while is_going_on():
        for call in calls:
            start = time.perf_counter()
            answer = call.send(client)
            took = (time.perf_counter() - start) * 1000
            times[f'{call.method} {call.path}'].append(took)
            if answer.status_code >= 400:
                refused[answer.status_code] += 1
        time.sleep(0.005)
    for name, measured in times.items():
        print(
            f'    {name}: {len(measured)} answers, '
            f'median {percentile(measured, 50):.1f} ms, '
            f'99th percentile {percentile(measured, 99):.1f} ms, '
            f'longest {max(measured):.1f} ms'
        )
        check(f'{name} answers within {LONGEST} ms', max(measured) < LONGEST)
    check('refused meanwhile', dict(refused), {})


def memory(process, word):
    """Return what a process holds (VmRSS), or held at most (VmHWM), in MiB."""
    for line in Path(f'/proc/{process.pid}/status').read_text().splitlines():
        if line.startswith(word):
            return int(line.split()[1]) / 1024
    raise ValueError(word)


# --- Sign-ins -------------------------------------------------------------------------

def wrong_sign_ins():
    """Guess more passwords at once than may wait; what that takes is bounded."""
    print('300 wrong sign-ins at once')
    with service(RATE_LIMIT='0') as process:
        account = {'username': 'nobody', 'password': 'wrong'}
        wrong = [Call('POST', '/token', json=account)] * 300
        statuses = probe_during_flood(process.url, [GET_FILM], 300, wrong)
        held = memory(process, 'VmRSS')
        print(f'    {dict(statuses)}, then the process holds {held:.0f} MiB')
        check('answers to wrong sign-ins', set(statuses), {401, 503})
        check('at least 100 may wait', statuses[401] >= 100)
        check('wrong sign-ins leave less than 60 MiB', held < 60)


def team():
    """Import 300 users, and let 30 of them sign in at the same second."""
    print('300 users are added by 8 clients')
    with service() as process:
        headers = Client(process.url).sign_in()
        users = []
        accounts = []
        for number in range(300):
            password = {'password': f'password{number}'}
            users.append({**make_user(number), **password})
            accounts.append({'username': f'user{number}', **password})
        imports = [Call('POST', '/users', headers, user) for user in users]
        sign_ins = [Call('POST', '/token', json=account) for account in accounts[:30]]
        statuses = probe_during_flood(process.url, [GET_FILM], 8, imports)
        check('users that were added', statuses, {201: 300})
        print('30 users sign in at the same second')
        start = time.monotonic()
        statuses = probe_during_flood(process.url, [GET_FILM], 30, sign_ins)
        took = time.monotonic() - start
        print(f'    all have a token after {took:.1f} seconds')
        check('users that signed in', statuses, {200: 30})
        # Two idle cores take less than 10.
        check('they all signed in within 30 seconds', took < 30)


# --- Scripts --------------------------------------------------------------------------

def slow_scripts():
    """Run scripts; they do not hold up other requests."""
    print('20 calls of /run-script at once, 5 seconds each, with a stand-in')
    with stand_in('sleep 5') as path, service(PATH=path) as process:
        client = Client(process.url)
        headers = client.sign_in()
        key = client.make_key('tony')
        others = [
            GET_FILM,
            Call('GET', '/films'),
            Call('GET', '/'),
            Call('PUT', '/films/1', json=FILM),
            Call('GET', '/users', headers),
            Call('GET', '/courses', headers),
            Call('POST', '/token', json=ACCOUNT),
            Call('GET', '/api/list'),
            Call('GET', '/health'),
            Call('PATCH', '/api/modify/1', key, {'value2': 1}),
            Call('POST', '/data', json=[1, 2]),
            Call('GET', '/docs/'),
        ]
        scripts = [Call('POST', '/run-script', headers)] * 20
        statuses = probe_during_flood(process.url, others, 20, scripts)
        check('scripts', statuses, {200: 2, 503: 18})


# --- Connections ----------------------------------------------------------------------

def idle_clients():
    """Send nothing, or half a request; that keeps nobody out."""
    print('400 connections: idle, with half a head, with half a body')
    with service() as process:
        head = (
            b'POST /data HTTP/1.1\r\nHost: localhost\r\n'
            b'Content-Type: application/json\r\nContent-Length: 90000'
        )
        halves = [b'', head, head + b'\r\n\r\n"' + b'a' * 50_000]
        connections = [connect(process.url) for _ in range(400)]
        for number, connection in enumerate(connections):
            connection.sendall(halves[number % 3])
        probe(process.url, [GET_FILM], seconds(5))
        still_open = connections
        waiting = seconds(45)
        while still_open and waiting():
            still_open = [one for one in still_open if not is_closed(one)]
            time.sleep(0.5)
        print(f'    the service closed {400 - len(still_open)} of them by itself')
        check('silent connections that stay open', len(still_open), 0)


def seconds(number):
    """Return a function that tells whether so many seconds are not over yet."""
    deadline = time.monotonic() + number

    def is_going_on():
        return time.monotonic() < deadline

    return is_going_on


def is_closed(connection):
    """Tell whether the other side has closed the connection."""
    connection.setblocking(False)
    try:
        return connection.recv(65536) == b''
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def unread_answers():
    """Send many requests and read no answer; that holds nobody up."""
    print('10 clients send 1,000 requests each, and read no answer')
    with service() as process:
        before = memory(process, 'VmRSS')
        request = b'GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n'
        with ThreadPoolExecutor(10) as pool:
            clients = list(pool.map(send_ahead, [process.url] * 10, [request] * 10))
        probe(process.url, [GET_FILM, Call('POST', '/data', json=[1])], seconds(10))
        held = memory(process, 'VmHWM')
        print(f'    the process held {before:.0f} MiB before, {held:.0f} MiB at most')
        check('unread answers take less than 100 MiB', held < 100)
        for client in clients:
            client.close()


def send_ahead(url, request):
    """Send a request a thousand times, as far as the service takes them in."""
    connection = connect(url, timeout=3)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    try:
        connection.sendall(request * 1000)
    except OSError:
        # The service reads no further, or has closed the connection.
        pass
    return connection


def many_clients():
    """Connect 1,100 clients before each sends a request; all are answered."""
    print('1,100 connections at once, a request on each')
    request = b'GET /films/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
    with service() as process:
        connections = [connect(process.url, timeout=30) for _ in range(1100)]
        for connection in connections:
            connection.sendall(request)
        answered = 0
        for connection in connections:
            with connection, connection.makefile('rb') as file:
                answered += file.read().startswith(b'HTTP/1.1 200 OK\r\n')
        check('clients that were answered', answered, 1100)


# --- Memory ---------------------------------------------------------------------------

def full_collections():
    """Fill each collection until it is full; the memory of the process is bounded."""
    print('Every collection is filled')
    record = {'value1': 'x' * 20, 'value2': 10_000, 'value3': True}
    with service(RATE_LIMIT='0') as process:
        client = Client(process.url)
        headers = client.sign_in()
        key = client.make_key('tony')
        numbers = range(20_000)
        for calls in [
            (Call('POST', '/films', json=FILM) for _ in numbers),
            (Call('POST', '/api/create', key, record) for _ in numbers),
            (Call('POST', '/users', headers, make_user(n)) for n in numbers),
            (Call('POST', '/courses', headers, make_course(n)) for n in numbers),
            (Call('POST', f'/api/generate_key/k{n}') for n in numbers),
        ]:
            fill(client, calls)
        held = memory(process, 'VmRSS')
        print(f'    the process holds {held:.0f} MiB')
        check('full collections take less than 100 MiB', held < 100)
        for path in COLLECTIONS:
            # The one reads a page, the other every item.
            for query in ['limit=1000', 'limit=1000&q=x']:
                answer = client.send('GET', f'{path}?{query}', headers=headers)
                check(f'{path}?{query}', answer.status_code, 200)
        print(f'    with each listed: {memory(process, "VmHWM"):.0f} MiB at most')


def make_user(number):
    """Return a user with this number."""
    return {
        'cn': f'user{number}',
        'sn': 'Parker',
        'mail': f'user{number}@dbsentry.com',
        'memberOfs': ['cn=users,ou=groups,dc=dbsentry,dc=com'],
    }


def make_course(number):
    """Return a course with this number."""
    return {'code': f'C{number}', 'name': 'x' * 30, 'instructor': 'y' * 40}


def fill(client, calls):
    """Send calls until one finds no room, which is answered with 507."""
    taken = 0
    for call in calls:
        status = call.send(client).status_code
        if status != 201:
            break
        taken += 1
    print(f'    {call.path}: {taken} items were taken')
    check(f'{call.path} is full', status, 507)


if __name__ == '__main__':
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    threading.stack_size(256 * 1024)
    wrong_sign_ins()
    team()
    slow_scripts()
    idle_clients()
    unread_answers()
    many_clients()
    full_collections()
    finish('Load')
