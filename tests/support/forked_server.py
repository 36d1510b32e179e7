"""Runs Python code in forks of one process, for the other end of the pipes: see forked.py.

Its argument is code that prepares this process. Then it reads a line of JSON for each fork: code,
arguments, environment variables and standard input. It answers with a line of JSON: exit status,
standard output and standard error.
"""

import json
import os
import sys
import tempfile
from typing import NoReturn


def serve() -> None:
    """Fork for each line that arrives, until the other end is closed."""
    commands, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the service prints is no answer
    exec(sys.argv[1], {})  # noqa: S102
    for line in commands:
        code, arguments, environ, text = json.loads(line)
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
                os.environ |= environ
                run(code)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            printed.seek(0)
            errors.seek(0)
            print(json.dumps([status, printed.read(), errors.read()]), file=answers, flush=True)


def run(code: str) -> NoReturn:
    """Run code and end, without the clean-up of Python's objects.

    That would copy most of the memory that the fork shares, which takes longer than most commands.
    """
    try:
        # A name of its own, so that no traceback shows lines of this file instead.
        exec(compile(code, "<code>", "exec"), {"__name__": "__main__"})  # noqa: S102
        sys.exit(0)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)


if __name__ == "__main__":
    serve()
