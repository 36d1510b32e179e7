"""The service's command line in forks of one process that has imported the service already.

A new interpreter needs most of a second for these imports, and tests run a hundred commands.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection

from tests.support.checkout import ROOT
from tests.support.compose import output
from tests.support.environ import bare_environ


class CommandLine:
    """Runs commands one after the other. Only one thread may use it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, *arguments: str, env: dict[str, str], text: str | None = None) -> str:
        """Run a command with `text` on its standard input, and return what it prints.

        :raises CalledProcessError: it failed. A note has its output.
        """
        self._connection.send((arguments, env, text or ""))
        return output(subprocess.CompletedProcess(arguments, *self._connection.recv()))


@contextlib.contextmanager
def command_line() -> Iterator[CommandLine]:
    """Start the process that forks, and stop it at the end."""
    ours, theirs = socket.socketpair()
    with (
        theirs,
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked", str(theirs.fileno())],
            cwd=ROOT,
            env=bare_environ(DATABASE_URL="sqlite:////nowhere"),
            pass_fds=[theirs.fileno()],
        ),
    ):
        theirs.close()
        with Connection(ours.detach()) as connection:
            yield CommandLine(connection)


def _serve(connection: Connection) -> None:
    """Fork for each command that arrives, until the other end is closed."""
    from app import create_app  # noqa: PLC0415 only this process imports the service
    from app.cli import main  # noqa: PLC0415

    create_app()  # it imports the rest
    with contextlib.suppress(EOFError):
        while True:
            arguments, env, text = connection.recv()
            with (
                tempfile.TemporaryFile("w+") as given,
                tempfile.TemporaryFile("w+") as printed,
                tempfile.TemporaryFile("w+") as errors,
            ):
                given.write(text)
                given.seek(0)
                if not (child := os.fork()):
                    for number, file in enumerate((given, printed, errors)):
                        os.dup2(file.fileno(), number)
                    os.environ.clear()
                    os.environ.update(env)
                    sys.argv[1:] = arguments
                    main()
                    sys.exit()
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                printed.seek(0)
                errors.seek(0)
                connection.send((status, printed.read(), errors.read()))


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
