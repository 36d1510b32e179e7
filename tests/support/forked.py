"""The service's command line in forks of one process that has imported the service already.

A new interpreter needs most of a second for these imports, and tests run hundreds of commands.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tests.support.compose import output

# The text of the program, since the container of a stack has no tests.
SERVER = Path(__file__).with_name("forked_server.py").read_text()


class CommandLine:
    """Runs commands one after the other. Only one thread may use it."""

    def __init__(self, commands: IO[str], answers: IO[str]) -> None:
        self._commands, self._answers = commands, answers

    def run(self, *arguments: str, text: str | None = None) -> str:
        """Run a command with `text` on its standard input, and return what it prints.

        :raises CalledProcessError: it failed. A note has its output.
        """
        return output(self.complete(*arguments, text=text))

    def complete(
        self, *arguments: str, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with `text` on its standard input, and return how it has ended."""
        print(json.dumps([arguments, text or ""]), file=self._commands, flush=True)
        return subprocess.CompletedProcess(arguments, *json.loads(self._answers.readline()))


@contextlib.contextmanager
def command_line(*python: str, **options: Any) -> Iterator[CommandLine]:
    """Start the process that forks, and stop it at the end.

    :param python: the command for a Python that can import the service.
    :param options: for `subprocess`.
    """
    pipe = subprocess.PIPE
    command = [*python, "-c", SERVER]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, **options) as process:
        assert process.stdin
        assert process.stdout
        yield CommandLine(process.stdin, process.stdout)
