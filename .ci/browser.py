"""Use the service in a real Chromium: the page at /docs, and pages of other origins.

    python .ci/browser.py [SCREENSHOT.png]

The file gets the README's picture. A message in the browser's console is a fault too.
"""
import json
import re
import shutil
import sqlite3
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

import yaml
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from service import (
    ACCOUNT,
    PROJECT,
    Client,
    check,
    finish,
    free_port,
    server,
    service,
    stand_in,
)

# Chromium takes this name for this machine, and finds no other one. As it does not
# trust it as it does 127.0.0.1, it sends no Sec-Fetch-Site there.
NAME = 'app.example'
HOSTS = f'MAP {NAME} 127.0.0.1, EXCLUDE 127.0.0.1, EXCLUDE localhost, MAP * ~NOTFOUND'
FILM = {'name': 'Dune', 'year': 2021, 'month': 'October'}


def start_chromium():
    """Return a Chromium without a window, which ends with a with statement."""
    options = webdriver.ChromeOptions()
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    for argument in ['headless=new', 'no-sandbox', f'host-resolver-rules={HOSTS}']:
        options.add_argument(f'--{argument}')
    driver = webdriver.ChromeService('/usr/bin/chromedriver')
    browser = webdriver.Chrome(options, driver)
    browser.set_window_size(1200, 1300)
    browser.implicitly_wait(20)  # seconds that it looks for an element
    return browser


# --- The page at /docs ----------------------------------------------------------------


def find(place, css):
    """Return the first element that matches, in the page or in a part of it."""
    return place.find_element(By.CSS_SELECTOR, css)


def fill(field, text):
    """Replace the text of a field, as the keyboard does."""
    field.send_keys(Keys.CONTROL, 'a', Keys.NULL, text)


def sign_in(browser, scheme, *values):
    """Fill in the form of a scheme; its fields behind these values stay empty."""
    find(browser, '.btn.authorize').click()
    path = f'//*[@class="auth-container"][.//h4[contains(., "{scheme}")]]'
    form = browser.find_element(By.XPATH, path)
    for field, value in zip(form.find_elements(By.TAG_NAME, 'input'), values):
        fill(field, value)
    find(form, '.authorize').click()
    find(form, '[aria-label="Remove authorization"]')
    find(browser, '.btn-done').click()


def execute(browser, line, status, part=None, body=None, **parameters):
    """Call an operation, and check the live answer's status and a part of its JSON."""
    method, path = line.split()
    block = find(browser, f'.opblock-{method.lower()}:has([data-path="{path}"])')
    find(block, '.opblock-summary-control').click()
    for name, value in parameters.items():
        fill(find(block, f'tr[data-param-name="{name}"] input'), value)
    if body:
        fill(find(block, '.body-param__text'), json.dumps(body))
    find(block, '.btn.execute').click()
    row = find(block, '.live-responses-table .response')
    check(f'the status of {line}', find(row, '.response-col_status').text, str(status))
    if part:
        text = find(row, '.highlight-code code').get_attribute('textContent')
        answer = json.loads(text)
        check(f'the answer of {line}', answer, {**answer, **part})


def use_the_page(browser, screenshot):
    """Open / as a browser does, sign in by each scheme, and call each kind of route."""
    with stand_in('echo a report') as path, service(PATH=path) as process:
        browser.get(process.url)
        check_operations(browser)
        sign_in(browser, 'bearer', *ACCOUNT.values())
        sign_in(browser, 'basic', *ACCOUNT.values())
        sign_in(browser, 'key', Client(process.url).make_key('me')['api-key'])
        execute(browser, 'GET /hello_world', 200, {'Hello': 'World'})
        execute(browser, 'POST /run-script', 200, {'output': 'a report\n'})
        film = {'Name': 'Dune', 'Year': 2021, 'Month': 'October'}
        execute(browser, 'PUT /films/{film_id}', 201, film, FILM, film_id='dune')
        execute(browser, 'GET /films/{film_id}', 200, film, film_id='dune')
        if screenshot:
            browser.save_screenshot(screenshot)
        execute(browser, 'DELETE /api/remove/{record_id}', 200, record_id='1')
        execute(browser, 'GET /users/{cn}', 200, {'sn': 'Parker'}, cn='alice')
        course = {'code': 'CS1', 'name': 'Python', 'instructor': 'Guido'}
        execute(browser, 'POST /courses', 201, body=course)
        execute(browser, 'GET /courses/{code}', 200, course, code='CS1')
        execute(browser, 'PATCH /courses/{code}', 204, body={'name': 'C'}, code='CS1')


def check_operations(browser):
    """Check that the page shows all operations of swagger.yaml, and no other."""
    find(browser, '.opblock')
    shown = []
    for block in browser.find_elements(By.CSS_SELECTOR, '.opblock-summary-control'):
        # The page puts invisible characters into long paths, to break them there.
        shown.append(block.text.replace('\u200b', '').split()[:2])
    expected = []
    description = yaml.safe_load((PROJECT / 'swagger.yaml').read_text())
    for path, operations in description['paths'].items():
        methods = [name for name in operations if name != 'parameters']
        expected += [[method.upper(), path] for method in methods]
    check('the operations', sorted(shown), sorted(expected))


def upgrade(browser):
    """Restart the service with a new swagger.yaml, which the page shows at once."""
    description = (PROJECT / 'swagger.yaml').read_text()
    port = str(free_port())
    with TemporaryDirectory() as folder:
        shutil.copy(PROJECT / 'api.py', folder)
        for title in ['The old service', 'The new service']:
            text = re.sub('(?m)^  title: .*', f'  title: {title}', description)
            Path(folder, 'swagger.yaml').write_text(text)
            with service(folder, PORT=port) as process:
                browser.get(f'{process.url}/docs')
                shown = find(browser, '.info .title').text
                check('the title', shown.partition('\n')[0], title)


def under_a_path(browser):
    """Use the page under /myapp/ behind nginx, with the README's lines for that."""
    readme = (PROJECT / 'README.md').read_text()
    location = re.search(r'(?ms)^location /myapp/ \{$.*?^\}$', readme)[0]
    port = free_port()
    with service(TRUSTED_PROXY='127.0.0.1') as process, TemporaryDirectory() as folder:
        path = Path(folder, 'nginx.conf')
        path.write_text(f"""
            daemon off;
            pid {folder}/pid;
            events {{}}
            http {{
                access_log off;
                server {{
                    listen 127.0.0.1:{port};
                    {location.replace('http://127.0.0.1:5000', process.url)}
                }}
            }}""")
        with server(['/usr/sbin/nginx', '-e', 'stderr', '-c', str(path)], port):
            browser.get(f'http://{NAME}:{port}/myapp/')
            sign_in(browser, 'bearer', *ACCOUNT.values())
            execute(browser, 'GET /users/{cn}', 200, {'cn': 'bob'}, cn='bob')
            execute(browser, 'DELETE /courses/{code}', 204, code='CSE465')


# --- Pages of other origins -----------------------------------------------------------

FORM = ''.join(f'<input name="{name}" value="{FILM[name]}">' for name in FILM)
ASK = """
    const [way, method, url, headers, fields, done] = arguments
    const seen = event => done([event.type, []])
    if (way === 'image')
        Object.assign(new Image(), {onload: seen, onerror: seen, src: url})
    else if (way === 'form') {
        document.body.innerHTML = `<iframe name="answer"></iframe>
            <form method="${method}" action="${url}" target="answer">${fields}</form>`
        document.querySelector('iframe').onload = seen
        document.querySelector('form').submit()
    } else {
        const json = {method, headers, body: fields && JSON.stringify(fields)}
        const form = {method, mode: way, body: fields && new URLSearchParams(fields)}
        fetch(url, way === 'preflight' ? json : form).then(
            answer => done([answer.status || answer.type, [...answer.headers.keys()]]),
            problem => done([problem.name, []]))
    }"""
# How a page asks, for what, and with which fields; what a page of CORS_ORIGIN sees of
# the answer, and whether it changes something. With JSON or headers such as api-key,
# the browser asks the service first whether it may (preflight).
CASES = [
    ('cors', 'GET /films?limit=1', None, 200, False),
    ('preflight', 'GET /users', None, 200, False),
    ('cors', 'POST /token', ACCOUNT, 200, False),
    # Refused to those of CORS_ORIGIN too, as an image is asked for without Origin.
    ('image', 'GET /api/generate_key/image', None, 'error', False),
    ('cors', 'GET /api/generate_key/page', None, 201, True),
    ('cors', 'POST /films', FILM, 201, True),
    ('no-cors', 'POST /films', FILM, 'opaque', True),
    ('form', 'POST /films', FORM, 'load', True),
    ('preflight', 'PUT /films/1', FILM, 200, True),
    ('preflight', 'DELETE /films/2', None, 204, True),
    ('preflight', 'PATCH /api/modify/1', {'value1': 'new'}, 200, True),
    ('preflight', 'DELETE /api/generate_key/me', None, 200, True),
    ('preflight', 'DELETE /users/bob', None, 200, True),
]
READABLE = {'link', 'location', 'x-total-count'}
# What any other page sees, and one whose own name was made to lead to the service.
FOREIGN = {'cors': 'TypeError', 'preflight': 'TypeError'}
REBOUND = {'cors': 403, 'preflight': 403, 'no-cors': 403}


def stored(file):
    """Return all that is stored in a file of SQLite."""
    return list(sqlite3.connect(file.name).iterdump())


def ask_all(browser, page, listed='', host='127.0.0.1', **settings):
    """Send all CASES from this page, or from one of the service's own address."""
    with NamedTemporaryFile() as file:
        settings['DATABASE_URL'] = f'sqlite:///{file.name}'
        with service(CORS_ORIGIN=listed, **settings) as process:
            port = process.url.rpartition(':')[2]
            client = Client(f'http://127.0.0.1:{port}')
            headers = client.sign_in() | client.make_key('me')
            headers['Content-Type'] = 'application/json'
            url = f'http://{host}:{port}'
            browser.get(page or url)
            is_listed = page in listed.split()
            refusals = FOREIGN if page else REBOUND
            readable = set()
            for way, line, fields, status, is_change in CASES:
                # Over HTTP to other names, a browser does not say whose an image is.
                if way == 'image' and 'HOST' in settings:
                    continue
                what = f'{way} {line} to {host} from {page}, listed: {listed}'
                method, path = line.split()
                before = stored(file)
                sent = [way, method, url + path, headers, fields]
                found, names = browser.execute_async_script(ASK, *sent)
                readable.update(names)
                check(what, found, status if is_listed else refusals.get(way, status))
                is_changed = stored(file) != before
                check(f'{what}: a change', is_changed, is_listed and is_change)
            check('headers', readable & READABLE, READABLE if is_listed else set())


def main(screenshot=None):
    """Do all of that; save a screenshot where this file is named."""
    port = str(free_port())
    words = [sys.executable, '-m', 'http.server', '--bind', '127.0.0.1', port]
    with (
        start_chromium() as browser,
        TemporaryDirectory() as folder,
        server(words, port, folder),
    ):
        use_the_page(browser, screenshot)
        upgrade(browser)
        under_a_path(browser)
        # DEBUG holds advice on the forms of Swagger UI, such as autocomplete.
        log = browser.get_log('browser')
        complaints = [entry['message'] for entry in log if entry['level'] != 'DEBUG']
        check("the browser's console", complaints, [])
        for host in ['127.0.0.1', 'localhost']:
            origin = f'http://{host}:{port}'
            ask_all(browser, origin, f'https://a.example {origin}')
            ask_all(browser, origin, f'{origin}0 https://{host}:{port}')
            ask_all(browser, origin)
        ask_all(browser, origin, host=NAME, HOST='0.0.0.0')
        # DNS rebinding.
        ask_all(browser, None, host=NAME)
    finish('Chromium')


if __name__ == '__main__':
    main(*sys.argv[1:])
