"""Runs the service's command line in forks, for the other end of the pipes: see forked.py.

It reads a line of JSON for each command: arguments and standard input. It answers with a line of
JSON: exit status, standard output and standard error.
"""

import functools
import json
import os
import sys
import tempfile
from typing import NoReturn

import app
from app.cli import main


def serve() -> None:
    """Fork for each command that arrives, until the other end is closed."""
    commands, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the service prints is no answer
    app.create_app = functools.cache(app.create_app)
    app.create_app()  # for all commands
    for line in commands:
        arguments, text = json.loads(line)
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
                sys.argv[1:] = arguments
                run()
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            printed.seek(0)
            errors.seek(0)
            print(json.dumps([status, printed.read(), errors.read()]), file=answers, flush=True)


def run() -> NoReturn:
    """Run a command and end, without the clean-up of Python's objects.

    That would copy most of the memory that the fork shares, which takes longer than most commands.
    """
    try:
        main()
        sys.exit(0)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)


if __name__ == "__main__":
    serve()
