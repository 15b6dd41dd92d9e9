"""Let generators make clients of swagger.yaml, and use each of them with the service.

    python .ci/clients.py NODE_MODULES

NODE_MODULES is the folder in which npm has installed the generators. Each client has
its program in the folder clients: it lists the films by two fields, signs in, adds a
course, and reads two errors. A warning of a generator or a compiler is a fault too.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from service import ACCOUNT, PROJECT, service

DESCRIPTION = str(PROJECT / 'swagger.yaml')
PROGRAMS = PROJECT / '.ci/clients'
NODE_MODULES = Path(sys.argv[1]).resolve()

PYTHON_GENERATOR = [
    'openapi-python-client', 'generate', '--fail-on-warning', '--meta', 'none',
    '--path', DESCRIPTION, '--output-path', 'client',
]
# What makes the client of each program in TypeScript.
NODE_GENERATORS = {
    'openapi_fetch.ts': ['openapi-typescript', DESCRIPTION, '--output', 'client.ts'],
    'hey_api.ts': ['openapi-ts', '--input', DESCRIPTION, '--output', 'client'],
    'swagger_typescript_api.ts': [
        'swagger-typescript-api', 'generate', '--path', DESCRIPTION,
        '--name', 'client.ts', '--output', '.',
    ],
}
COMPILER = [
    'tsc', '--strict', '--target', 'es2022', '--module', 'nodenext', '--types', 'node',
]


def run(words, folder):
    """Run a program in a folder; end this one if it fails, or if it warns."""
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, 'NO_COLOR': '1', 'PYTHONDONTWRITEBYTECODE': '1'},
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0 or 'warning' in done.stdout.lower():
        sys.exit(f'{words[0]} ended with exit code {done.returncode}:\n{done.stdout}')


def run_node_tool(words, folder):
    """Run one of the tools that npm has installed."""
    run([str(NODE_MODULES / '.bin' / words[0]), *words[1:]], folder)


def copy_program(name, folder):
    """Put a program where its client is made, with the account to sign in with."""
    text = (PROGRAMS / name).read_text()
    for field, value in ACCOUNT.items():
        text = text.replace(field.upper(), value)
    Path(folder, name).write_text(text)


def use_python_client(url):
    """Make a client in Python, and use it."""
    name = 'python_client.py'
    with tempfile.TemporaryDirectory() as folder:
        copy_program(name, folder)
        run(PYTHON_GENERATOR, folder)
        run([sys.executable, name, url], folder)
    print(f'{name}: generated and used')


def use_node_client(name, url):
    """Make a client in TypeScript, compile it with its program, and use it."""
    with tempfile.TemporaryDirectory() as folder:
        copy_program(name, folder)
        Path(folder, 'node_modules').symlink_to(NODE_MODULES)
        run_node_tool(NODE_GENERATORS[name], folder)
        run_node_tool([*COMPILER, name], folder)
        run(['node', name.replace('.ts', '.js'), url], folder)
    print(f'{name}: generated, compiled and used')


def main():
    """Use each client with a service of its own data."""
    with service() as process:
        use_python_client(process.url)
        for name in NODE_GENERATORS:
            use_node_client(name, process.url)
    print(f'{len(NODE_GENERATORS) + 1} clients work')


if __name__ == '__main__':
    main()
