"""The steps of docs/your-own-service.md, followed to the letter in a clone, work."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_readme import commands, comparable
from tests.support.checkout import ROOT, copy_project
from tests.support.compose import Stack, run

PAGE = (ROOT / "docs" / "your-own-service.md").read_text()
FENCE = r"(?:`(\S+)`:\n\n)?^(```(console|diff|python)\n(.*?)^```$)"
STEPS = re.findall(FENCE, PAGE, flags=re.MULTILINE | re.DOTALL)
CODE_LIMIT = 150  # lines that the reader has to write, blank lines included


def script() -> str:
    """Return all steps of the reader as one script: commands, files and diffs."""
    done = []
    for number, (name, block, kind, content) in enumerate(STEPS):
        if kind == "console":
            typed = [command for command, _ in commands(block)]
            done += [f"{{ {command}\n}} > {number}.{i}.out" for i, command in enumerate(typed)]
        else:
            tool = f"cat > {name}" if kind == "python" else "git apply"
            done.append(f"{tool} <<'EDIT'\n{content}EDIT")
    return "\n".join(done)


def test_resource_is_short() -> None:
    """Table, schemas, routes and tests of the page's resource are shorter than CODE_LIMIT."""
    code = {name: content for name, _, kind, content in STEPS if kind == "python"}
    assert code.keys() == {"app/incidents.py", "tests/api/test_incidents.py"}
    assert sum(len(content.splitlines()) for content in code.values()) < CODE_LIMIT


@pytest.mark.usefixtures("stack")  # it fills the build cache
@pytest.mark.timeout(900)  # it runs tests itself
def test_page_leads_to_a_service_of_ones_own(tmp_path: Path) -> None:
    """The renamed service, with the page's resource in place of the example, works on MySQL.

    No file of the clone has the old name, apart from LICENSE and requirements/.
    """
    project = copy_project(tmp_path / "clone")
    (project / ".venv").symlink_to(sys.prefix)
    for command in ["init --quiet", "add .", "-c user.name=You -c user.email=y commit -qm All"]:
        run("git", *command.split(), cwd=project)
    with Stack(project) as own:
        here = f"localhost:{own.port}"
        typed = script().replace("localhost:8000", here)
        env = own.env | {"COMPOSE_DISABLE_ENV_FILE": "1"}
        subprocess.run(["bash", "-ec", typed], cwd=project, env=env, check=True)

    for number, (_, block, _, _) in enumerate(STEPS):
        for i, (command, output) in enumerate(commands(block)):
            if output:
                printed = (project / f"{number}.{i}.out").read_text()
                printed = printed.replace(here, "localhost:8000")
                assert comparable(printed) == comparable(output), command
    left = ("git", "grep", "-il", "slipway", "--", ":!LICENSE", ":!requirements")
    assert run(*left, cwd=project, check=False) == ""
