"""The service's command line, and other code, in forks of a process that has imported the service.

A new interpreter needs most of a second for these imports, and tests run hundreds of commands.
"""

import atexit
import contextlib
import functools
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tests.support.checkout import ROOT
from tests.support.compose import output
from tests.support.environ import bare_environ

# The text of the program, since the container of a stack has no tests.
SERVER = Path(__file__).with_name("forked_server.py").read_text()
# All commands share one application, as the requests of a worker do.
SHARE = "import app, functools; app.create_app = functools.cache(app.create_app); app.create_app()"
MAIN = "from app.cli import main; main()"
ALEMBIC = "from alembic.config import main; main()"


class CommandLine:
    """Runs commands one after the other. Any thread may use it."""

    def __init__(self, commands: IO[str], answers: IO[str]) -> None:
        self._commands, self._answers = commands, answers
        self._turn = threading.Lock()

    def run(self, *arguments: str, text: str | None = None) -> str:
        """Run a command with `text` on its standard input, and return what it prints.

        :raises CalledProcessError: it failed. A note has its output.
        """
        return output(self.complete(*arguments, text=text))

    def complete(
        self, *arguments: str, text: str | None = None, code: str = MAIN, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with `text` on its standard input, and return how it has ended.

        :param code: the Python code that runs with these arguments.
        """
        sent = json.dumps([code, arguments, environ, text or ""])
        with self._turn:
            print(sent, file=self._commands, flush=True)
            answer = self._answers.readline()
        return subprocess.CompletedProcess(arguments, *json.loads(answer))

    def python(self, code: str, *arguments: str) -> str:
        """Run Python code with arguments, and return what it prints."""
        return output(self.complete(*arguments, code=code))


@contextlib.contextmanager
def command_line(*python: str, prepare: str = SHARE, **options: Any) -> Iterator[CommandLine]:
    """Start the process that forks, and stop it at the end.

    :param python: the command for a Python that can import the service.
    :param prepare: Python code that runs before the first fork.
    :param options: for `subprocess`.
    """
    pipe = subprocess.PIPE
    command = [*python, "-c", SERVER, prepare]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, **options) as process:
        assert process.stdin
        assert process.stdout
        yield CommandLine(process.stdin, process.stdout)


@functools.cache
def imported() -> CommandLine:
    """Return the forks of a process that has only imported the service. They end with the tests."""
    opened = contextlib.ExitStack()
    atexit.register(opened.close)
    here = {"cwd": ROOT, "env": bare_environ()}
    return opened.enter_context(command_line(sys.executable, prepare="import app", **here))


def python(code: str, *arguments: str, **environ: str) -> str:
    """Run code in a process that has only imported the service, and return what it prints.

    :raises AssertionError: it failed, or printed something on standard error.
    """
    done = imported().complete(*arguments, code=code, **environ)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout
