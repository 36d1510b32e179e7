"""Runs the service's command line in forks, for the other end of the pipes: see forked.py.

It reads a line of JSON for each command: arguments and standard input. It answers with a line of
JSON: exit status, standard output and standard error.
"""

import json
import os
import sys
import tempfile

from app import create_app
from app.cli import main


def serve() -> None:
    """Fork for each command that arrives, until the other end is closed."""
    commands, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the service prints is no answer
    create_app()  # it imports the rest
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
                main()
                sys.exit()
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            printed.seek(0)
            errors.seek(0)
            print(json.dumps([status, printed.read(), errors.read()]), file=answers, flush=True)


if __name__ == "__main__":
    serve()
