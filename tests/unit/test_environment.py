"""`make` creates the virtual environment, names missing programs, and cleans up."""

import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.support.checkout import ROOT, copy_project
from tests.support.environ import SET_BY_MAKE

# In place of Python: it only notes how it was called, and creates what `-m venv` creates first.
VENV = """#!/bin/sh
echo "$@" >> calls
if [ "$2" = venv ]; then
  mkdir -p .venv/bin
  printf '#!/bin/sh\\necho "pip: $@" >> calls\\n' > .venv/bin/python
  chmod +x .venv/bin/python
  exit {status}
fi
"""
# In place of Docker: it lists three names of each kind, and notes what is to be removed.
DOCKER = """#!/bin/sh
case "$*" in
  *format*)
    echo test-{checkout:08x}-1
    echo slipway-bench-compare
    echo slipway ;;
  *) echo "$@" >> calls ;;
esac
"""
# Targets, each with the first program that it needs besides Python.
NEEDS = re.findall(r"^([a-z-]+): need-(\w+)", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the Makefile, and with an environment without pip, as Ctrl-C can leave it."""
    for name in ("Makefile", "requirements/run.txt", ".venv/bin/python", ".venv/leftover"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / ".venv/bin/python").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / ".venv/bin/python").chmod(0o755)
    return tmp_path


def make(folder: Path, *, status: int) -> subprocess.CompletedProcess[str]:
    """Run `make .venv/run` with a Python whose `-m venv` ends with `status`."""
    python = folder / "python"
    python.write_text(VENV.format(status=status))
    python.chmod(0o755)
    command = ["make", ".venv/run", f"PYTHON={python}"]
    env = {name: value for name, value in os.environ.items() if name not in SET_BY_MAKE}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_interrupted_environment_is_created_anew(folder: Path) -> None:
    """An environment without pip is deleted and created again, and then used."""
    assert make(folder, status=0).returncode == 0
    assert not (folder / ".venv/leftover").exists()
    calls = (folder / "calls").read_text()
    assert "-m venv" in calls
    assert "pip: -m pip install" in calls
    (folder / "calls").unlink()
    (folder / ".venv/run").unlink()
    assert make(folder, status=0).returncode == 0
    assert "-m venv" not in (folder / "calls").read_text()  # a working environment is kept


def test_missing_venv_module_is_named(folder: Path) -> None:
    """Without the module `venv`, make says what to install, and leaves no half environment."""
    ran = make(folder, status=1)
    assert ran.returncode != 0
    assert "apt install python3-venv" in ran.stderr
    assert not (folder / ".venv").exists()


def test_clean_keeps_data(tmp_path: Path) -> None:
    """`make clean` removes what commands made, in Docker too, but no data and no settings."""
    project = copy_project(tmp_path / "slipway")
    before = {path for path in project.rglob("*") if path.is_file()}
    made = (".venv/bin/python", ".pytest_cache/x", "app/__pycache__/x.pyc", ".coverage")
    kept = (".env", "data/slipway.db", "backups/monday.sql.gz")
    for name in made + kept:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    docker = tmp_path / "docker"
    docker.write_text(DOCKER.format(checkout=zlib.crc32(bytes(project))))
    docker.chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["make", "clean", f"PYTHON={sys.executable}"]
    subprocess.run(command, cwd=project, env=env, check=True, capture_output=True)
    calls = project / "calls"
    removed = f"test-{zlib.crc32(bytes(project)):08x}-1"
    removals = ["rm --force --volumes", "network rm", "volume rm", "image rm --force"]
    assert calls.read_text().splitlines() == [
        f"{removal} {name}" for name in (removed, "slipway-bench-compare") for removal in removals
    ]
    left = {path for path in project.rglob("*") if path.is_file()} - {calls}
    assert left == before | {project / name for name in kept}


@pytest.mark.parametrize(("target", "program"), NEEDS, ids=" ".join)
def test_missing_program_is_named(target: str, program: str, tmp_path: Path) -> None:
    """A target whose program is missing says what to install, before it does anything else."""
    make = shutil.which("make")
    assert make
    command = [make, f"--directory={ROOT}", "FILE=x", target]
    ran = subprocess.run(
        command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert ran.returncode != 0
    missing = f"make {target} needs {program}, which is not installed."
    assert re.match(rf"{re.escape(missing)} (On Debian: apt install|With .*https:).+\n", ran.stderr)
