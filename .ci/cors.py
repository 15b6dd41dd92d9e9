"""Call the service from pages of other origins in a real Chromium, as CORS_ORIGIN allows.

The page is on another port, which makes it another origin: as 127.0.0.1 of the same site as the
service, as localhost of another one. With its origin in CORS_ORIGIN it reads and changes all that
the service has. With other origins there, or with none, each of those calls fails for the page,
and nothing is stored, not even by a form, which a browser sends without asking first. The page at
/docs may write in all cases.
"""
import contextlib
import json
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests
from browser import start_browser
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from service import ACCOUNT, service

FILM = {'name': 'Dune', 'year': 2021, 'month': 'October'}
SHOWN = {'Name': 'Dune', 'Year': 2021, 'Month': 'October'}
FETCH = """const [url, {form, ...options}, done] = arguments
fetch(url, form ? {...options, body: new URLSearchParams(form)} : options).then(
    async answer => done({type: answer.type, status: answer.status, text: await answer.text(),
                          headers: Object.fromEntries(answer.headers)}),
    problem => done({error: problem.name}))"""
FORM = """const form = document.createElement('form')
Object.assign(form, {method: 'post', action: arguments[0]})
for (const [name, value] of Object.entries(arguments[1]))
    form.append(Object.assign(document.createElement('input'), {name, value}))
document.body.append(form)
form.submit()"""


class Page(BaseHTTPRequestHandler):
    """Answers each GET with a page that does nothing by itself."""

    def do_GET(self):
        """Send the page."""
        self.send_response(200)
        self.send_header('Content-Type', 'text/html')
        self.end_headers()
        self.wfile.write(b'<!DOCTYPE html><link rel=icon href=data:,><title>A page</title>')

    def log_message(self, *_):
        """Log nothing."""


@contextlib.contextmanager
def serve_page():
    """Serve the page on a free port, and yield the number of the port."""
    with ThreadingHTTPServer(('127.0.0.1', 0), Page) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def fetch(method, path, headers=(), **options):
    """Let the open page send a request; return what its script gets: an answer, or an error."""
    if 'json' in options:
        options['body'] = json.dumps(options.pop('json'))
        headers = {**dict(headers), 'Content-Type': 'application/json'}
    options |= {'method': method, 'headers': dict(headers)}
    return browser.execute_async_script(FETCH, url + path, options)


def read(status, method, path, headers=(), **options):
    """Let the page send a request; return the headers and the JSON of an answer it may read."""
    sent.append((method, path, dict(headers), options))
    answer = fetch(method, path, headers, **options)
    assert answer.get('status') == status, f'{method} {path}: {answer}, not {status}'
    return answer['headers'], json.loads(answer['text'] or 'null')


def submit_form():
    """Let the page send a form, which opens the answer in its place; return the answer's JSON."""
    browser.execute_script(FORM, url + '/films', FILM)
    WebDriverWait(browser, 20).until(lambda _: browser.current_url == url + '/films')
    return json.loads(browser.find_element(By.TAG_NAME, 'pre').get_attribute('textContent'))


def stored():
    """Return all that the service has stored and shows, asked without a browser."""
    return [requests.get(url + path, headers=mine, timeout=10).json()
            for path in ['/films', '/api/list', '/users', '/courses']]


def use_all():
    """Read, sign in, add, change and delete from the page, and read errors."""
    headers, films = read(200, 'GET', '/films?limit=1')
    assert films == {'1': before[0]['1']} and headers['x-total-count'] == '2', (headers, films)
    assert 'rel="next"' in headers['link'], headers
    token = read(200, 'POST', '/token', json=ACCOUNT)[1]['access_token']
    _, courses = read(200, 'GET', '/courses', {'Authorization': f'Bearer {token}'})
    assert courses == before[3], courses
    headers, film = read(201, 'POST', '/films', json=FILM)
    place = headers['location']
    assert film == SHOWN == read(200, 'GET', place)[1], film
    assert read(200, 'PUT', place, json={**FILM, 'year': 2024})[1]['Year'] == 2024
    read(204, 'DELETE', place)
    read(404, 'GET', place)
    read(200, 'PUT', '/films/1', json=FILM)
    read(204, 'DELETE', '/films/2')
    key = read(201, 'POST', '/api/generate_key/page')[1]['api_key']
    _, changed = read(200, 'PATCH', '/api/modify/1', {'api-key': key}, json={'value1': 'changed'})
    assert changed['record_info']['lastmodifiedby'] == 'page', changed
    for status, method, path in [(404, 'GET', '/films/nowhere'), (401, 'GET', '/users'),
                                 (405, 'PUT', '/data'), (400, 'GET', '/films?x=1')]:
        assert read(status, method, path)[1]['message']
    added = read(201, 'POST', '/films', form=FILM)[0]['location']
    answer = fetch('POST', '/films', form=FILM, mode='no-cors')
    assert answer['type'] == 'opaque', answer
    assert submit_form() == SHOWN
    films = stored()[0]
    number = int(added.rpartition('/')[2])
    assert films == {'1': SHOWN, **{str(n): SHOWN for n in range(number, number + 3)}}, films
    print(f'  {len(sent)} calls were answered to the page, and 2 forms stored a film each')


def check_preflights():
    """Check what the browser asked first: each answer is 204, and good for more than one call."""
    events = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
    preflights = [event['params']['response'] for event in events
                  if event['method'] == 'Network.responseReceived'
                  and event['params']['type'] == 'Preflight']
    asked = [answer['url'] for answer in preflights]
    wrong = [answer for answer in preflights
             if answer['status'] != 204 or 'Access-Control-Max-Age' not in answer['headers']]
    assert not wrong and len(asked) == len({*asked}) > 1, (wrong, asked)
    print(f'  {len(asked)} preflights, each answered 204, none sent twice')


def find_all_closed():
    """Send what the page of a listed origin sent; nothing is answered to this one, or stored."""
    for method, path, headers, options in sent:
        answer = fetch(method, path, {name: mine[name] for name in headers}, **options)
        assert answer == {'error': 'TypeError'}, f'{method} {path}: {answer}'
        assert stored() == before, f'{method} {path} changed what the service has'
    answer = fetch('POST', '/films', form=FILM, mode='no-cors')
    assert answer['type'] == 'opaque' and not answer['text'], answer
    assert stored() == before, f'A form that a script sent was stored: {stored()[0]}'
    answer = submit_form()
    assert stored() == before, f'A form was stored: {stored()[0]}'
    assert 'CORS_ORIGIN' in answer['message'], answer
    answer = requests.post(f'{url}/api/generate_key/page', timeout=10)
    assert answer.status_code == 201, f'The page made a key: {answer.text}'
    print(f'  {len(sent)} calls failed for the page, 2 forms did nothing, all is as it was')


def write_from_docs():
    """Add a film from the service's own page."""
    browser.get(url + '/docs/')
    answer = fetch('POST', '/films', json=FILM)
    assert answer.get('status') == 201 and answer['type'] == 'basic', answer
    assert stored()[0][answer['headers']['location'].rpartition('/')[2]] == SHOWN
    print('  /docs added a film')


with serve_page() as port, tempfile.TemporaryDirectory() as profile:
    browser = start_browser(profile)
    try:
        for origin in f'http://127.0.0.1:{port}', f'http://localhost:{port}':
            sent = []  # by the listed page, which comes first
            for what, environment in {
                    'listed': {'CORS_ORIGIN': f'https://a.example {origin}'},
                    'not listed': {'CORS_ORIGIN': f'{origin}0 https{origin[4:]} http://a.example'},
                    'no CORS_ORIGIN': {}}.items():
                print(f'A page of {origin}, {what}:')
                with service(**environment) as process:
                    url = process.url
                    made = requests.post(f'{url}/api/generate_key/me', timeout=10).json()
                    answer = requests.post(f'{url}/token', json=ACCOUNT, timeout=10).json()
                    mine = {'Authorization': f'Bearer {answer["access_token"]}',
                            'api-key': made['api_key']}
                    before = stored()
                    browser.get_log('performance')  # empties it
                    browser.get(origin)
                    if what == 'listed':
                        use_all()
                        check_preflights()
                    else:
                        find_all_closed()
                    write_from_docs()
    finally:
        browser.quit()
print('Pages of other origins may do what CORS_ORIGIN says, and no more')
