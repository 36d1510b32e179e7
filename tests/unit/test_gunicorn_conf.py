"""What gunicorn.conf.py does to the process that reads it."""

import subprocess
import sys

import pytest

from tests.support.checkout import ROOT
from tests.support.environ import bare_environ

SCRIPT = """
import gc, runpy
from unittest.mock import MagicMock
conf = runpy.run_path("gunicorn.conf.py")
conf["shutdown"].delay = print
print(gc.isenabled(), gc.get_freeze_count())
conf["{hook}"](MagicMock())
print(gc.isenabled(), gc.get_freeze_count() > 100_000)
"""


@pytest.mark.parametrize(
    ("hook", "is_frozen"),
    [
        pytest.param("when_ready", True, id="start"),
        pytest.param("on_reload", False, id="reload"),
    ],
)
def test_garbage_collector_starts_before_the_fork(hook: str, is_frozen: bool) -> None:
    """It is off while modules are imported, and does not look at what workers share."""
    printed = subprocess.run(
        (sys.executable, "-c", SCRIPT.format(hook=hook)),
        cwd=ROOT,
        env=bare_environ(DATABASE_URL="sqlite:///unused.db"),
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert [line for line in printed.splitlines() if " " in line] == [
        "False 0",
        f"True {is_frozen}",
    ]
