"""Use the page at /docs in a real Chromium, as a newcomer does: browser.py [SCREENSHOT.png]

Sign in with user name and password, call a route of each section and read the live answers.
Fails on a wrong answer, on any message in the browser's console (which is where it reports
violations of the page's policy) and on a request to another host. A shell script named pwsh
stands in for PowerShell.
"""
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from service import ACCOUNT, service


def start_browser(profile):
    """Return a headless Chromium that keeps its console and the addresses that it asks for."""
    options = webdriver.ChromeOptions()
    for argument in ['headless=new', 'no-sandbox', 'disable-gpu', 'disable-quic', 'no-first-run',
                     'disable-background-networking', 'disable-component-update', 'disable-sync',
                     'window-size=1200,1300', f'user-data-dir={profile}']:
        options.add_argument(f'--{argument}')
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    return webdriver.Chrome(options, webdriver.ChromeService('/usr/bin/chromedriver'))


def find(css, within=None):
    """Return the first element that matches, once it can be seen."""
    return WebDriverWait(within or browser, 20).until(lambda parent: next(
        (one for one in parent.find_elements(By.CSS_SELECTOR, css) if one.is_displayed()), None))


def click(element):
    """Click an element, wherever on the page it is."""
    browser.execute_script('arguments[0].scrollIntoView({block: "center"})', element)
    element.click()


def fill(element, text):
    """Replace the text of a field, as the keyboard would."""
    browser.execute_script('arguments[0].scrollIntoView({block: "center"}); arguments[0].select()',
                           element)
    element.send_keys(text)


def authorize(api_key=None):
    """Sign in by all three schemes: token and Basic by user name and password, and by key."""
    click(find('.btn.authorize'))
    for scheme in browser.find_elements(By.CSS_SELECTOR, '.auth-container'):
        fields = scheme.find_elements(By.CSS_SELECTOR, 'input:not([type=checkbox])')
        if not fields:  # signed in already
            continue
        values = [ACCOUNT['username'], ACCOUNT['password']] if len(fields) > 1 else [api_key]
        if values == [None]:
            continue
        for field, value in zip(fields, values):  # those after the password may stay empty
            fill(field, value)
        click(find('.btn.authorize', scheme))
        WebDriverWait(browser, 20).until(
            lambda _, scheme=scheme: scheme.find_elements(By.XPATH, './/button[text()="Logout"]'))
    click(find('.btn-done'))


def execute(operation, status, parameters=(), body=None):
    """Call an operation on the page; return the JSON of the live answer, which has this status."""
    block = browser.find_element(By.CSS_SELECTOR, f'.opblock[id$="-{operation}"]')
    click(block.find_element(By.CSS_SELECTOR, '.opblock-summary-control'))
    for name, value in dict(parameters).items():
        fill(find(f'tr[data-param-name="{name}"] input', block), value)
    if body is not None:
        fill(find('.body-param__text', block), json.dumps(body))
    click(find('.btn.execute', block))
    row = find('.live-responses-table .response', block)
    found = find('.response-col_status', row).text
    assert found.split()[0] == str(status), f'{operation}: {found}\n{row.text}'
    answers = [code.text for code in row.find_elements(By.CSS_SELECTOR, '.highlight-code code')]
    print(f'{operation}: {status} {"".join(answers)[:60]!r}')
    click(block.find_element(By.CSS_SELECTOR, '.opblock-summary-control'))
    return json.loads(answers[0]) if answers else None


def check_console_and_requests(host):
    """Fail where the browser complained, or asked another host for something."""
    # DEBUG holds the browser's advice on the forms of Swagger UI, such as autocomplete.
    complaints = [entry for entry in browser.get_log('browser') if entry['level'] != 'DEBUG']
    assert not complaints, complaints
    events = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
    asked = [event['params']['request']['url'] for event in events
             if event['method'] == 'Network.requestWillBeSent']
    inside = ('data', 'blob', 'chrome')  # chrome: is the tab before the page was opened
    strangers = [url for url in asked if urlsplit(url).scheme not in inside
                 and urlsplit(url).netloc != host]
    assert asked and not strangers, strangers
    print('No request to another host, nothing in the console')


def use_the_page(url):
    """Open the page as a browser does that asks for /, sign in, and call each section."""
    start = time.perf_counter()
    browser.get(url + '/')
    find('.opblock')
    print(f'{browser.current_url} was complete after {time.perf_counter() - start:.2f} seconds')
    authorize()
    assert 'report of' in execute('post_run_script', 200)['output']
    film = {'name': 'Dune', 'year': 2021, 'month': 'October'}
    shown = {'Name': 'Dune', 'Year': 2021, 'Month': 'October'}
    assert execute('put_film', 201, {'film_id': 'dune'}, film) == shown
    assert execute('get_film', 200, {'film_id': 'dune'}) == shown
    assert execute('get_hello_world', 200) == {'Hello': 'World'}
    made = execute('generate_key', 201, {'username': 'browser'})
    authorize(made['api_key'])
    created = execute('create_record', 201, body={'value1': 'from the page'})
    assert created['record_info']['lastmodifiedby'] == 'browser'
    assert execute('get_user', 200, {'cn': 'alice'})['mail'] == 'alice@dbsentry.com'
    course = {'code': 'CSE101', 'name': 'Python', 'instructor': 'Guido'}
    execute('post_course', 201, body=course)
    assert execute('get_course', 200, {'code': 'CSE101'}) == course
    assert execute('get_health', 200) == {'status': 'ok'}


def save_screenshot(path):
    """Save what the page shows of one live answer, for the README."""
    execute('get_film', 200, {'film_id': '1'})
    block = browser.find_element(By.CSS_SELECTOR, '.opblock[id$="-get_film"]')
    click(block.find_element(By.CSS_SELECTOR, '.opblock-summary-control'))
    browser.execute_script('window.scrollTo(0, arguments[0].getBoundingClientRect().top'
                           ' + window.scrollY - 120)', block)
    time.sleep(0.5)  # until the block has unfolded
    browser.save_screenshot(path)


if __name__ == '__main__':  # cors.py wants start_browser alone
    with tempfile.TemporaryDirectory() as folder:
        pwsh = Path(folder, 'pwsh')
        pwsh.write_text('#!/bin/sh\necho a report of the stand-in\n')
        pwsh.chmod(0o755)
        browser = start_browser(Path(folder, 'profile'))
        try:
            with service(PATH=f'{folder}:{os.environ["PATH"]}') as process:
                use_the_page(process.url)
                check_console_and_requests(urlsplit(process.url).netloc)
                if sys.argv[1:]:
                    save_screenshot(sys.argv[1])
        finally:
            browser.quit()
    print('The page works in a real browser')
