"""Call the service from pages of other origins in a real Chromium.

The page is on another port, which makes it another origin: as 127.0.0.1 of the same
site as the service, as localhost of another one. With its origin in CORS_ORIGIN it
reads and changes all that the service has. With other origins there, or none, its calls
fail and nothing is stored, not even by a form or an image, which a browser sends
without asking first. The page at /docs may write in all cases.
"""
import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from browser import FILM, SHOWN_FILM, chromium
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from service import ACCOUNT, Client, check, finish, service

FETCH = """
    const [url, {form, ...options}, done] = arguments
    if (form)
        options.body = new URLSearchParams(form)
    fetch(url, options).then(
        async answer => done({
            type: answer.type,
            status: answer.status,
            text: await answer.text(),
            headers: Object.fromEntries(answer.headers),
        }),
        problem => done({error: problem.name}))"""
SUBMIT_FORM = """
    const form = document.createElement('form')
    Object.assign(form, {method: 'post', action: arguments[0]})
    for (const [name, value] of Object.entries(arguments[1]))
        form.append(Object.assign(document.createElement('input'), {name, value}))
    document.body.append(form)
    form.submit()"""
IMAGE = """
    const [url, done] = arguments
    const image = new Image()
    image.onload = image.onerror = () => done()
    image.src = url"""


EMPTY_PAGE = b'<!DOCTYPE html><link rel=icon href=data:,><title>A page</title>'


class EmptyPage(BaseHTTPRequestHandler):
    """Answers each GET with a page that does nothing by itself."""

    def do_GET(self):
        """Send the page."""
        self.send_response(200)
        self.send_header('Content-Type', 'text/html')
        self.end_headers()
        self.wfile.write(EMPTY_PAGE)

    def log_message(self, *_):
        """Log nothing."""


@contextlib.contextmanager
def serve_empty_page():
    """Serve the page on a free port, and yield the number of the port."""
    with ThreadingHTTPServer(('127.0.0.1', 0), EmptyPage) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


class ForeignPage:
    """A page of another origin that is open in a browser, and the service it calls."""

    def __init__(self, browser, url):
        self.browser = browser
        self.url = url
        self.client = Client(url)
        self.headers = self.client.sign_in() | self.client.make_key('me')
        self.before = self.stored()

    def stored(self):
        """Return all that the service has stored, asked without a browser."""
        return self.client.stored(self.headers)

    def fetch(self, line, **options):
        """Let the page send a request; return what its script gets: answer or error.

        The options are those of fetch(), and json or form for a body.
        """
        method, path = line.split()
        headers = dict(options.pop('headers', {}))
        if 'json' in options:
            options['body'] = json.dumps(options.pop('json'))
            headers['Content-Type'] = 'application/json'
        options |= {'method': method, 'headers': headers}
        return self.browser.execute_async_script(FETCH, self.url + path, options)

    def read(self, line, status, **options):
        """Let the page send a request that it may read; return its headers and JSON."""
        answer = self.fetch(line, **options)
        check(f'{line} from a listed page', answer.get('status'), status)
        return answer['headers'], json.loads(answer['text'] or 'null')

    def submit_form(self):
        """Let the page send a form, which opens the answer; return its JSON."""
        address = f'{self.url}/films'
        self.browser.execute_script(SUBMIT_FORM, address, FILM)
        waiting = WebDriverWait(self.browser, 20)
        waiting.until(lambda browser: browser.current_url == address)
        shown = self.browser.find_element(By.TAG_NAME, 'pre')
        return json.loads(shown.get_attribute('textContent'))


# --- A page of CORS_ORIGIN ------------------------------------------------------------

def use_all(page):
    """Read, sign in, add, change and delete from a listed page, and read errors."""
    headers, films = page.read('GET /films?limit=1', 200)
    check('the page of films', films, {'1': page.before['/films']['1']})
    check('X-Total-Count', headers.get('x-total-count'), '2')
    check('Link', 'rel="next"' in headers.get('link', ''))
    token = page.read('POST /token', 200, json=ACCOUNT)[1]['access_token']
    bearer = {'Authorization': f'Bearer {token}'}
    courses = page.read('GET /courses', 200, headers=bearer)[1]
    check('the courses', courses, page.before['/courses'])

    headers, film = page.read('POST /films', 201, json=FILM)
    place = headers['location']
    check('the new film', film, SHOWN_FILM)
    check('the film', page.read(f'GET {place}', 200)[1], SHOWN_FILM)
    page.read(f'PUT {place}', 200, json={**FILM, 'year': 2024})
    page.read(f'DELETE {place}', 204)
    page.read('PUT /films/1', 200, json=FILM)
    page.read('DELETE /films/2', 204)

    key = page.read('POST /api/generate_key/page', 201)[1]['api_key']
    header = {'api-key': key}
    change = {'value1': 'changed'}
    answer = page.read('PATCH /api/modify/1', 200, headers=header, json=change)[1]
    check('who changed it', answer['record_info']['lastmodifiedby'], 'page')
    page.read('DELETE /api/generate_key/page', 200, headers=header)

    for line, status in {
        'GET /films/nowhere': 404,
        'GET /users': 401,
        'PUT /data': 405,
        'GET /films?x=1': 400,
    }.items():
        check(f'the message of {line}', 'message' in page.read(line, status)[1])

    place = page.read('POST /films', 201, form=FILM)[0]['location']
    answer = page.fetch('POST /films', form=FILM, mode='no-cors')
    check('a form that a script sends', answer['type'], 'opaque')
    check('a form that is submitted', page.submit_form(), SHOWN_FILM)
    number = int(place.rpartition('/')[2])
    films = {str(n): SHOWN_FILM for n in [1, number, number + 1, number + 2]}
    check('the films that are stored', page.stored()['/films'], films)


def check_preflights(browser):
    """Check what the browser asked first: each answer is 204, and asked for once."""
    asked = []
    for entry in browser.get_log('performance'):
        event = json.loads(entry['message'])['message']
        if event['method'] != 'Network.responseReceived':
            continue
        if event['params']['type'] != 'Preflight':
            continue
        answer = event['params']['response']
        asked.append(answer['url'])
        check(f'preflight of {answer["url"]}', answer['status'], 204)
        check('its Max-Age', 'Access-Control-Max-Age' in answer['headers'])
    check('there were preflights', len(asked) > 1)
    check('preflights that were sent twice', len(asked) - len(set(asked)), 0)


# --- Any other page -------------------------------------------------------------------

def find_all_closed(page):
    """Send from a page that is not listed what the other one sent, and more."""
    bearer = {'Authorization': page.headers['Authorization']}
    key = {'api-key': page.headers['api-key']}
    for line, options in {
        'GET /films?limit=1': {},
        'GET /films/1': {},
        'GET /nowhere': {},
        'GET /users': {'headers': bearer},
        'GET /courses': {'headers': bearer},
        'POST /token': {'json': ACCOUNT},
        'POST /login': {'form': ACCOUNT},
        'POST /run-script': {'headers': bearer},
        'POST /films': {'json': FILM},
        'PUT /films/1': {'json': FILM},
        'DELETE /films/2': {},
        'GET /api/generate_key/page': {},
        'POST /api/generate_key/page': {},
        'DELETE /api/generate_key/me': {'headers': key},
        'PATCH /api/modify/1': {'headers': key, 'json': {'value1': 'changed'}},
        'DELETE /users/bob': {'headers': bearer},
    }.items():
        answer = page.fetch(line, **options)
        check(f'{line} from a page that is not listed', answer, {'error': 'TypeError'})
        check(f'what is stored after {line}', page.stored(), page.before)

    answer = page.fetch('POST /films', form=FILM, mode='no-cors')
    found = (answer['type'], answer['text'])
    check('a form that a script sends', found, ('opaque', ''))
    image = f'{page.url}/api/generate_key/page'
    page.browser.execute_async_script(IMAGE, image)
    answer = page.submit_form()
    check('the refusal of a form', 'CORS_ORIGIN' in answer['message'])
    check('what is stored after forms', page.stored(), page.before)
    answer = page.client.send('POST', '/api/generate_key/page')
    check('the key that no page could make', answer.status_code, 201)
    answer = page.client.send('DELETE', '/api/generate_key/me', headers=key)
    check('the key that no page could remove', answer.status_code, 200)


def write_from_docs(page):
    """Add a film from the service's own page."""
    page.browser.get(f'{page.url}/docs/')
    answer = page.fetch('POST /films', json=FILM)
    check('a film that /docs adds', (answer['type'], answer['status']), ('basic', 201))


def main():
    """Open the page as 127.0.0.1 and as localhost, listed and not."""
    with serve_empty_page() as port, chromium() as browser:
        for host in ['127.0.0.1', 'localhost']:
            origin = f'http://{host}:{port}'
            similar = f'{origin}0 https://{host}:{port} http://a.example'
            for listed in [f'https://a.example {origin}', similar, '']:
                print(f'A page of {origin}, CORS_ORIGIN={listed!r}')
                with service(CORS_ORIGIN=listed) as process:
                    page = ForeignPage(browser, process.url)
                    # What is logged from now on is of this page.
                    browser.get_log('performance')
                    browser.get(origin)
                    if origin in listed.split():
                        use_all(page)
                        check_preflights(browser)
                    else:
                        find_all_closed(page)
                    write_from_docs(page)
    finish('Pages of other origins')


if __name__ == '__main__':
    main()
