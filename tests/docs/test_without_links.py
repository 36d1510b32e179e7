"""Without the example, the rest of the project is still a working service."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import copy_project


@pytest.mark.timeout(900)  # it runs tests itself
@pytest.mark.usefixtures("stack")  # it fills the build cache
def test_the_rest_works_without_the_example(tmp_path: Path) -> None:
    """The unit and API tests pass without the example.

    Only app/links, its migrations, its tests and its two lines in create_app() are removed.
    """
    project = copy_project(tmp_path / "slipway")
    shutil.rmtree(project / "app" / "links")
    for path in (project / "db" / "migrations" / "versions").glob("links_*"):
        path.unlink()
    for path in project.glob("tests/**/links"):
        shutil.rmtree(path)
    factory = project / "app" / "__init__.py"
    lines = factory.read_text().splitlines(keepends=True)
    kept = [line for line in lines if "links" not in line]
    assert len(lines) - len(kept) == 2
    factory.write_text("".join(kept))

    command = [sys.executable, "-m", "pytest", "-q", "tests/unit", "tests/api"]
    ran = subprocess.run(command, cwd=project, check=False, stdout=subprocess.PIPE, text=True)
    assert ran.returncode == 0, ran.stdout
