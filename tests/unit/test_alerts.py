"""The alert rules pass the tests of promtool, Prometheus's own tool."""

import shutil
import subprocess

import pytest

from tests.conftest import NO_PROMTOOL
from tests.support.checkout import ROOT


def test_each_alert_fires_when_it_should() -> None:
    """`promtool test rules` passes: each alert fires in time, and none fires without a reason."""
    if not shutil.which("promtool"):
        pytest.skip(NO_PROMTOOL)
    command = ["promtool", "test", "rules", "alerts_test.yaml"]
    done = subprocess.run(
        command, cwd=ROOT / "deploy" / "prometheus", check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
