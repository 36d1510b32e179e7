"""Environment variables for processes that tests start."""

import os

# `make test` sets these, and another make that a test runs must not inherit them.
SET_BY_MAKE = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}


def bare_environ(**settings: str) -> dict[str, str]:
    """Return an environment with only these settings, the user's PATH and coverage's variables.

    With the variables of coverage, the process measures its coverage too.
    """
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return {"PATH": os.environ["PATH"], **kept, **settings}
