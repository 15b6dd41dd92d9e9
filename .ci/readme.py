"""Type the README's commands, and compare what they print with the README.

In a block that is fenced as console, each line behind "$ " is a command for bash; the
lines up to the next one are what it prints. In a block that is fenced as powershell,
what the lines before it print stands behind "# ". In both, ... stands for anything.

The blocks of each kind share one shell and one freshly started service. Of the blocks
that are fenced as python, the first is a part of api.py.
"""
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from service import PROJECT, check, finish, service, stand_in

README = (PROJECT / 'README.md').read_text()
ADDRESS = '127.0.0.1:5000'  # where the README's service is
# The character that ends what a command printed; no command prints it by itself.
END = '\x1e'


class Step(NamedTuple):
    """A command of the README, and what it prints there."""

    command: str
    expected: str


def blocks(kind):
    """Return the texts of the blocks that are fenced as of this kind."""
    return re.findall(rf'(?ms)^```{kind}\n(.*?)^```$', README)


def console_steps():
    """Return the steps of the console blocks."""
    steps = []
    for block in blocks('console'):
        for part in re.split(r'(?m)^\$ ', block)[1:]:
            command, _, expected = part.partition('\n')
            steps.append(Step(command, expected))
    return steps


def powershell_steps():
    """Return the steps of the powershell blocks."""
    steps = []
    for block in blocks('powershell'):
        for command, comments in re.findall(r'((?:(?!# ).*\n)+)((?:# .*\n)*)', block):
            expected = re.sub('(?m)^# ', '', comments)
            steps.append(Step(command, expected))
    return steps


def compare(steps, printed):
    """Check what each step printed; a step that shows nothing may print anything."""
    outputs = printed.split(END)[:-1]
    check('commands that ran', len(outputs), len(steps))
    for step, output in zip(steps, outputs, strict=False):
        pattern = re.escape(step.expected.strip()).replace(re.escape('...'), '.*')
        found = output.strip()
        is_right = re.fullmatch(pattern, found, re.DOTALL) is not None
        what = f'{step.command.strip()}\nprints\n{found}\ninstead of\n{step.expected}'
        check(what, is_right)


def type_console(url):
    """Type the console blocks into a bash."""
    steps = console_steps()
    script = ''
    for step in steps:
        script += f"{step.command}\nprintf '{END}'\n"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ['bash', '-s'],
            input=script.replace(ADDRESS, url),
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
    check('what bash wrote to stderr', done.stderr, '')
    compare(steps, done.stdout)


def type_powershell(pwsh, url):
    """Run the powershell blocks in one session, which the first error ends."""
    steps = powershell_steps()
    script = "$ErrorActionPreference = 'Stop'\n"
    for step in steps:
        # As at a prompt: the output of each command is formatted by itself.
        text = step.command.replace("'", "''")
        script += f". ([scriptblock]::Create('{text}')) | Out-String -Width 120\n"
        script += f'[Console]::Write("`u{{{ord(END):x}}}")\n'
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'readme.ps1')
        path.write_text(script.replace(ADDRESS, url))
        done = subprocess.run(
            [pwsh, '-NoProfile', '-NonInteractive', '-File', path],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env={**os.environ, 'NO_COLOR': '1'},
        )
    check('what PowerShell wrote to stderr', done.stderr, '')
    check('the exit code of PowerShell', done.returncode, 0)
    compare(steps, done.stdout)


def find_powershell():
    """Return the path of a real PowerShell 7, or None."""
    unpacker = PROJECT.parent / 'shared' / 'powershell.sh'
    if unpacker.exists():
        done = subprocess.run(
            ['sh', unpacker], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return f'{done.stdout.strip()}/pwsh'
    return shutil.which('pwsh')


def main():
    """Type all blocks."""
    pwsh = find_powershell()
    route = blocks('python')[0]
    check('the route of api.py', route in (PROJECT / 'api.py').read_text())
    if pwsh:
        path = f'{Path(pwsh).parent}:{os.environ["PATH"]}'
        with service(PATH=path) as process:
            type_console(process.url.removeprefix('http://'))
        with service(PATH=path) as process:
            type_powershell(pwsh, process.url.removeprefix('http://'))
    else:
        with stand_in("echo 'Host: a stand-in'") as path, service(PATH=path) as process:
            type_console(process.url.removeprefix('http://'))
        print(f'Skipped, as there is no PowerShell: {len(powershell_steps())} commands')
    finish("The README's commands")


if __name__ == '__main__':
    main()
