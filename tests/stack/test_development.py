"""Development in a container with live reload."""

import subprocess
from pathlib import Path

import pytest
import requests

from tests.support.checkout import copy_project
from tests.support.compose import Stack
from tests.support.waiting import wait_until


@pytest.mark.usefixtures("stack")  # so that its image is in the build cache
def test_saved_edit_is_live(tmp_path: Path) -> None:
    """A saved edit in the working tree changes the answer of the running service."""
    log = tmp_path / "log"
    with Stack(copy_project(tmp_path / "slipway")) as stack, log.open("w") as output:
        watch = subprocess.Popen(
            stack.command("up", "--build", "--watch", "dev"),
            cwd=stack.root,
            env=stack.env,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(lambda: "Watch enabled" in log.read_text(), 120)
            stack.wait_ready()
            assert requests.get(stack.url, timeout=5).text.startswith("Hello, World!")
            source = stack.root / "app" / "hello.py"
            source.write_text(source.read_text().replace("Hello, World!", "Hello, edit!"))
            wait_until(lambda: requests.get(stack.url, timeout=5).text.startswith("Hello, edit!"))
        finally:
            watch.terminate()
            watch.wait()
