"""Let generators make clients of swagger.yaml, and use each of them with the service.

    python .ci/clients.py NODE_MODULES

NODE_MODULES is the folder in which npm has installed the generators. The clients in
TypeScript are used by clients.ts. A warning of a generator is a fault too.
"""
import importlib
import os
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path

from service import ACCOUNT, PROJECT, check, finish, service

DESCRIPTION = str(PROJECT / 'swagger.yaml')
PROGRAM = PROJECT / '.ci/clients.ts'
GENERATORS = [
    [
        'openapi-python-client', 'generate', '--fail-on-warning', '--meta', 'none',
        '--path', DESCRIPTION, '--output-path', 'python_client',
    ],
    ['openapi-ts', '--input', DESCRIPTION, '--output', 'hey_api'],
    ['openapi-typescript', DESCRIPTION, '--output', 'openapi_typescript.ts'],
    [
        'swagger-typescript-api', 'generate', '--path', DESCRIPTION,
        '--output', '.', '--name', 'swagger_typescript_api.ts',
    ],
]
COMPILER = [
    'tsc', '--strict', '--target', 'es2022', '--module', 'nodenext', '--types', 'node',
    PROGRAM.name,
]


def run(words, folder, modules):
    """Run a program in a folder, and check that it neither fails nor warns."""
    done = subprocess.run(
        words,
        cwd=folder,
        env={
            **os.environ,
            'PATH': f'{modules}/.bin:{os.environ["PATH"]}',
            'NO_COLOR': '1',
        },
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    is_well = done.returncode == 0 and 'warning' not in done.stdout.lower()
    check(words[0], is_well)
    if not is_well:
        print(done.stdout)


def use_python_client(url, folder):
    """Use the client in Python; import all of it, as some faults show no earlier."""
    sys.path.insert(0, folder)
    client = importlib.import_module('python_client')
    for module in pkgutil.walk_packages(client.__path__, 'python_client.'):
        importlib.import_module(module.name)
    api = client.api
    models = client.models
    anybody = client.Client(base_url=url)

    list_films = api.films.list_films.sync
    films = list_films(client=anybody, sort=['-Year', 'Name'], limit=1)
    names = [film.name for film in films.additional_properties.values()]
    check('the first film', names, ['Ant Man and the Wasp'])

    def sign_in(**account):
        sent = models.Account(**account)
        return api.weekend_api.create_token.sync(client=anybody, body=sent)

    refused = sign_in(**{**ACCOUNT, 'password': 'wrong'})
    check('the type of a refusal', type(refused), models.TokenError)
    check('the refusal', refused.error, 'invalid_grant')

    token = sign_in(**ACCOUNT).access_token
    signed_in = client.AuthenticatedClient(base_url=url, token=token)
    course = models.Course(code='PYTHON', name='Clients', instructor='Ada Lovelace')
    create = api.courses.create_course.sync_detailed
    answer = create(client=signed_in, body=course)
    check('a new course', answer.status_code, 201)
    check('its place', answer.headers['Location'], '/courses/PYTHON')
    again = create(client=signed_in, body=course)
    check('the same course', again.parsed.error, 'This course code is in use')


def main(modules):
    """Make all clients, and use them with a service."""
    modules = Path(modules).resolve()
    with tempfile.TemporaryDirectory() as folder, service() as process:
        for words in GENERATORS:
            run(words, folder, modules)
        use_python_client(process.url, folder)
        Path(folder, PROGRAM.name).write_bytes(PROGRAM.read_bytes())
        Path(folder, 'node_modules').symlink_to(modules)
        run(COMPILER, folder, modules)
        words = ['node', PROGRAM.with_suffix('.js').name, process.url]
        run([*words, *ACCOUNT.values()], folder, modules)
    finish('Generated clients')


if __name__ == '__main__':
    main(*sys.argv[1:])
