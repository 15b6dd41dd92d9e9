"""Type the README's console blocks into a shell, and compare what they print with the README.

Each line behind "$ " is a command; the lines up to the next are what it prints, in which ...
stands for anything. All blocks share one shell and one freshly started service.
"""
import re
import subprocess
import sys

from service import PROJECT, service

blocks = re.findall(r'(?ms)^```console\n(.*?)^```', (PROJECT / 'README.md').read_text())
steps = [step.partition('\n') for block in blocks for step in re.split(r'(?m)^\$ ', block) if step]

with service() as process:
    host = process.url.removeprefix('http://')
    script = ''.join(f'{command}\necho $\'\\x1e\'\n' for command, _, _ in steps)
    shell = subprocess.run(['bash', '-s'], input=script.replace('localhost:5000', host),
                           capture_output=True, text=True, check=True)
failed = 0
for (command, _, expected), printed in zip(steps, shell.stdout.split('\x1e\n')[:-1], strict=True):
    pattern = re.escape(expected.strip()).replace(re.escape('...'), '.*')
    if not re.fullmatch(pattern, printed.strip(), re.DOTALL):
        failed += 1
        print(f'$ {command}\nprints\n{printed.strip()}\ninstead of\n{expected}')
print(f'The README\'s commands: {len(steps) - failed} print what it says, {failed} do not')
sys.exit(failed > 0 or not steps or bool(shell.stderr))
