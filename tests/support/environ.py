"""The environment of processes that tests start."""

import os


def bare_environ(**settings: str) -> dict[str, str]:
    """Return an environment with these settings and nothing of the user's but where programs are.

    What tells a process to measure its coverage stays.
    """
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return {"PATH": os.environ["PATH"], **kept, **settings}
