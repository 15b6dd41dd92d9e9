"""Use the page at /docs in a real Chromium, as a newcomer does.

    python .ci/browser.py [SCREENSHOT.png]

Sign in, call a route of each section and read the live answers; restart the service
under the page; use it under a path behind nginx. Wrong is also a message in the console
(where the browser reports violations of the page's policy) and a request to another
host. A shell script stands in for PowerShell.
"""
import contextlib
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from service import (
    ACCOUNT,
    PROJECT,
    check,
    finish,
    free_port,
    server,
    service,
    stand_in,
)

# A name that Chromium takes for this machine, but that it does not trust as 127.0.0.1:
# so it sends no Sec-Fetch-Site.
PUBLIC_NAME = 'app.example'
FILM = {'name': 'Dune', 'year': 2021, 'month': 'October'}
SHOWN_FILM = {'Name': 'Dune', 'Year': 2021, 'Month': 'October'}
IS_ON_TOP = """
    const box = arguments[0].getBoundingClientRect()
    const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)
    return top === arguments[0]"""


@contextlib.contextmanager
def chromium():
    """Run a headless Chromium that keeps its console and its requests; yield it."""
    options = webdriver.ChromeOptions()
    logs = {'browser': 'ALL', 'performance': 'ALL'}
    options.set_capability('goog:loggingPrefs', logs)
    with tempfile.TemporaryDirectory() as profile:
        for argument in [
            'headless=new',
            'no-sandbox',
            'disable-gpu',
            'disable-quic',
            'no-first-run',
            'disable-background-networking',
            'disable-component-update',
            'disable-sync',
            'window-size=1200,1300',
            f'host-resolver-rules=MAP {PUBLIC_NAME} 127.0.0.1',
            f'user-data-dir={profile}',
        ]:
            options.add_argument(f'--{argument}')
        driver = webdriver.ChromeService('/usr/bin/chromedriver')
        browser = webdriver.Chrome(options, driver)
        try:
            yield browser
        finally:
            browser.quit()


class Page:
    """The page at /docs in a browser."""

    def __init__(self, browser):
        self.browser = browser

    def open(self, url):
        """Open an address as a browser asks for it, and wait for the page."""
        self.browser.get(url)
        self.find('.opblock')

    def wait(self, condition):
        """Return the first true value of condition(); fail after 20 seconds."""
        return WebDriverWait(self.browser, 20).until(lambda _: condition())

    def find(self, css, within=None):
        """Return the first element that matches, once it can be seen."""
        def shown():
            found = (within or self.browser).find_elements(By.CSS_SELECTOR, css)
            return next((one for one in found if one.is_displayed()), None)

        return self.wait(shown)

    def click(self, element):
        """Click an element, wherever on the page it is."""
        self.browser.execute_script(
            'arguments[0].scrollIntoView({block: "center"})', element
        )
        element.click()

    def fill(self, element, text):
        """Replace the text of a field, as the keyboard would."""
        self.click(element)
        self.browser.execute_script('arguments[0].select()', element)
        element.send_keys(text)

    def sign_in(self):
        """Sign in with a token, in the first form of the dialog."""
        self.click(self.find('.btn.authorize'))
        form = self.find('.auth-container')
        self.authorize(form, ACCOUNT['username'], ACCOUNT['password'])
        self.click(self.find('.btn-done'))

    def check_where_the_dialog_opens(self):
        """Check that who opens the dialog sees where to sign in with a token."""
        self.click(self.find('.btn.authorize'))
        form = self.find('.auth-container')
        check('the first scheme', scheme_of(form), 'bearer')
        for kind in ['text', 'password']:
            field = form.find_element(By.CSS_SELECTOR, f'input[type={kind}]')
            is_shown = self.browser.execute_script(IS_ON_TOP, field)
            check(f'the dialog opens where the field for {kind} is', is_shown)
        self.click(self.find('.btn-done'))

    def sign_in_by(self, scheme, *values):
        """Fill in the form of another scheme of the dialog."""
        self.click(self.find('.btn.authorize'))
        self.find('.auth-container')
        for form in self.browser.find_elements(By.CSS_SELECTOR, '.auth-container'):
            if scheme_of(form) == scheme:
                self.authorize(form, *values)
        self.click(self.find('.btn-done'))

    def authorize(self, form, *values):
        """Fill in a form of the dialog; its fields behind these values stay empty."""
        fields = form.find_elements(By.CSS_SELECTOR, 'input:not([type=checkbox])')
        for field, value in zip(fields, values):
            self.fill(field, value)
        self.click(self.find('.btn.authorize', form))
        logout = './/button[text()="Logout"]'
        self.wait(lambda: form.find_elements(By.XPATH, logout))

    def is_signed_in(self):
        """Tell whether the page shows that somebody has signed in."""
        locked = self.browser.find_elements(By.CSS_SELECTOR, '.btn.authorize.locked')
        return bool(locked)

    def execute(self, line, status, parameters=None, body=None):
        """Call an operation; check the live answer's status, and return its JSON."""
        method, path = line.split()
        block = self.find(f'.opblock-{method.lower()}:has([data-path="{path}"])')
        summary = block.find_element(By.CSS_SELECTOR, '.opblock-summary-control')
        self.click(summary)
        for name, value in (parameters or {}).items():
            self.fill(self.find(f'tr[data-param-name="{name}"] input', block), value)
        if body is not None:
            self.fill(self.find('.body-param__text', block), json.dumps(body))
        self.click(self.find('.btn.execute', block))
        row = self.find('.live-responses-table .response', block)
        found = self.find('.response-col_status', row).text.split()[0]
        check(f'{line}: status', found, str(status))
        answers = row.find_elements(By.CSS_SELECTOR, '.highlight-code code')
        answer = json.loads(answers[0].text) if answers else None
        self.click(summary)
        return answer

    def check_console_and_requests(self, host):
        """Check that the browser did not complain, and asked no other host."""
        complaints = []
        for entry in self.browser.get_log('browser'):
            # DEBUG holds advice on the forms of Swagger UI, such as autocomplete.
            if entry['level'] != 'DEBUG':
                complaints.append(entry['message'])
        check("the browser's console", complaints, [])
        hosts = set()
        for entry in self.browser.get_log('performance'):
            event = json.loads(entry['message'])['message']
            if event['method'] == 'Network.requestWillBeSent':
                hosts.add(urlsplit(event['params']['request']['url']))
        asked = {url.netloc for url in hosts if url.scheme in ('http', 'https')}
        check('hosts that were asked', asked, {host})


def scheme_of(form):
    """Return the name of the scheme whose form this is."""
    return form.find_element(By.CSS_SELECTOR, 'h4').text.split()[0]


# --- What a newcomer does -------------------------------------------------------------

def use_the_page(page, url):
    """Open / as a browser does, sign in, and use a route of each section."""
    start = time.perf_counter()
    page.open(url + '/')
    took = time.perf_counter() - start
    print(f'{page.browser.current_url} was complete after {took:.2f} seconds')
    page.check_where_the_dialog_opens()
    page.sign_in()
    page.sign_in_by('basic', ACCOUNT['username'], ACCOUNT['password'])
    report = page.execute('POST /run-script', 200)
    check('the report', report, {'output': 'a report\n', 'error': ''})
    film = page.execute('PUT /films/{film_id}', 201, {'film_id': 'dune'}, FILM)
    check('the new film', film, SHOWN_FILM)
    film = page.execute('GET /films/{film_id}', 200, {'film_id': 'dune'})
    check('the film', film, SHOWN_FILM)
    hello = page.execute('GET /hello_world', 200)
    check('/hello_world', hello, {'Hello': 'World'})

    name = {'username': 'browser'}
    made = page.execute('POST /api/generate_key/{username}', 201, name)
    page.sign_in_by('key', made['api_key'])
    body = {'value1': 'from the page'}
    created = page.execute('POST /api/create', 201, body=body)
    check('who made it', created['record_info']['lastmodifiedby'], 'browser')

    alice = page.execute('GET /users/{cn}', 200, {'cn': 'alice'})
    check('the mail of alice', alice['mail'], 'alice@dbsentry.com')
    course = {'code': 'CSE101', 'name': 'Python', 'instructor': 'Guido'}
    page.execute('POST /courses', 201, body=course)
    shown = page.execute('GET /courses/{code}', 200, {'code': 'CSE101'})
    check('the course', shown, course)
    check('/health', page.execute('GET /health', 200), {'status': 'ok'})
    page.check_console_and_requests(urlsplit(url).netloc)


def save_screenshot(page, path):
    """Save what the page shows of one live answer, for the README."""
    page.execute('GET /films/{film_id}', 200, {'film_id': '1'})
    block = page.find('.opblock-get:has([data-path="/films/{film_id}"])')
    page.click(block.find_element(By.CSS_SELECTOR, '.opblock-summary-control'))
    page.browser.execute_script(
        'window.scrollTo(0, arguments[0].getBoundingClientRect().top'
        ' + window.scrollY - 120)',
        block,
    )
    # Until the block has unfolded.
    time.sleep(0.5)
    page.browser.save_screenshot(path)


def restart(page):
    """Restart the service under the page: it does not go on showing "authorized"."""
    port = str(free_port())
    with service(PORT=port) as process:
        page.open(f'{process.url}/docs/')
        page.sign_in()
        check('signed in', page.is_signed_in())
        page.execute('GET /courses', 200)
    with service(PORT=port) as process:
        page.execute('GET /courses', 401)
        try:
            page.wait(lambda: not page.is_signed_in())
        except TimeoutException:
            check('after a refusal the page shows that nobody is signed in', False)
        page.sign_in()
        page.execute('GET /courses', 200)
    with service(PORT=port) as process:
        page.open(f'{process.url}/docs/')
        check('signed in after a restart', page.is_signed_in(), False)
    # The browser tells its console of the 401.
    page.browser.get_log('browser')
    page.browser.get_log('performance')


# --- Behind nginx ---------------------------------------------------------------------

def readme_lines(port):
    """Return the README's lines for nginx and a path, for a service at this port."""
    readme = (PROJECT / 'README.md').read_text()
    block = re.search(r'(?ms)^location /myapp/ \{$.*?^\}$', readme)[0]
    return block.replace('127.0.0.1:5000', f'127.0.0.1:{port}')


NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""


@contextlib.contextmanager
def nginx(location):
    """Run nginx on a free port with this location; yield its process, with its url."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        # For its workers, which run as another user.
        Path(folder).chmod(0o755)
        path = Path(folder, 'nginx.conf')
        path.write_text(NGINX.format(folder=folder, port=port, location=location))
        words = ['/usr/sbin/nginx', '-e', 'stderr', '-c', str(path)]
        with server(words, port) as process:
            yield process


def under_a_path(page):
    """Use the page under /myapp/ behind nginx, with each Host that it may pass on."""
    with service(TRUSTED_PROXY='127.0.0.1') as process:
        readme = readme_lines(urlsplit(process.url).port)
        bare = f'location /myapp/ {{\n    proxy_pass {process.url}/;\n}}'
        for name, location, host in [
            ('127.0.0.1', bare, '$proxy_host'),
            ('127.0.0.1', bare, '$host'),
            ('127.0.0.1', readme, '$proxy_host'),
            (PUBLIC_NAME, readme, '$proxy_host'),
            (PUBLIC_NAME, readme, '$host'),
            (PUBLIC_NAME, readme, '$http_host'),
        ]:
            with nginx(with_host(location, host)) as proxy:
                url = proxy.url.replace('127.0.0.1', name)
                lines = "the README's lines" if location is readme else 'proxy_pass'
                print(f'{url}/myapp/ with {lines} and {host}')
                use_under_a_path(page, url)


def with_host(location, host):
    """Return a location of nginx with this Host; the default is $proxy_host."""
    return location.replace(';', f';\n    proxy_set_header Host {host};', 1)


def use_under_a_path(page, url):
    """Open the page under /myapp/, sign in, and call what changes something."""
    page.open(f'{url}/myapp/')
    check('where the page is', page.browser.current_url, f'{url}/myapp/docs/')
    page.sign_in()
    page.execute('POST /films', 201, body=FILM)
    page.execute('GET /courses', 200)
    page.check_console_and_requests(urlsplit(url).netloc)


def main(screenshot=None):
    """Do all of that; save a screenshot where this file is named."""
    with chromium() as browser:
        page = Page(browser)
        with stand_in('echo a report') as path, service(PATH=path) as process:
            use_the_page(page, process.url)
            if screenshot:
                save_screenshot(page, screenshot)
        restart(page)
        under_a_path(page)
    finish('The page in Chromium')


if __name__ == '__main__':
    main(*sys.argv[1:])
