"""Start the service with the README's lines for other WSGI servers, and use it.

Only a free port of 127.0.0.1 is added to them.
"""
import re
import shlex

from service import PROJECT, Client, check, finish, free_port, server

PORT_OPTIONS = {'granian': '--port', 'gunicorn': '--bind'}


def readme_lines():
    """Return the README's command for each server, by the server's name."""
    readme = (PROJECT / 'README.md').read_text()
    found = re.findall(r'(?m)^ *(?:\S+=\S+ )*((granian|gunicorn) .*api:app)$', readme)
    return {name: line for line, name in found}


def use(line, name):
    """Start a server with this line, and check some answers of the service."""
    port = free_port()
    place = {'granian': str(port), 'gunicorn': f'127.0.0.1:{port}'}[name]
    words = [*shlex.split(line), PORT_OPTIONS[name], place]
    with server(words, port, SECRET_KEY='k' * 32, DATABASE_URL='') as process:
        client = Client(process.url)
        headers = client.sign_in()
        course = {'name': 'Networks', 'instructor': 'Ada'}
        for method, path, status, sent in [
            ('GET', '/films/1', 200, {}),
            ('HEAD', '/films', 200, {}),
            ('GET', '/courses?limit=1', 200, {'headers': headers}),
            ('PUT', '/courses/CSE115', 204, {'headers': headers, 'json': course}),
            ('OPTIONS', '/films', 204, {}),
            ('GET', '/users', 401, {}),
            ('GET', '/films/%FF1', 400, {}),
            ('GET', '/docs/', 200, {}),
        ]:
            answer = client.send(method, path, **sent)
            check(f'{line}: {method} {path}', answer.status_code, status)
        total = client.send('HEAD', '/films').headers.get('X-Total-Count')
        check(f'{line}: X-Total-Count', total, '2')


if __name__ == '__main__':
    lines = readme_lines()
    check("the README's lines", set(lines), set(PORT_OPTIONS))
    for name, line in lines.items():
        use(line, name)
    finish('Other WSGI servers')
