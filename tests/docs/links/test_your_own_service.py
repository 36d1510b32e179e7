"""The steps of docs/your-own-service.md, followed to the letter in a clone, work."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.test_readme import commands, comparable
from tests.support.checkout import ROOT
from tests.support.compose import Stack, run
from tests.support.links.rest import YOU, clone_project

PAGE = (ROOT / "docs" / "your-own-service.md").read_text()
FENCE = r"(?:`(\S+)`:\n\n)?^(```(console|diff|python)\n(.*?)^```$)"
STEPS = re.findall(FENCE, PAGE, flags=re.MULTILINE | re.DOTALL)
# Lines that the reader has to write for each resource and its tests, blank lines included. The
# second has few fields, and shares what the first one has.
CODE_LIMITS = {"incidents": 165, "incident_updates": 110}
# The page's `make check` takes minutes. Here it runs only the modules that see what the page
# changes. `make check-rest` runs all tests without the example.
SEE_CHANGES = "incident or test_docs or test_migrations or test_openapi or test_pages or test_rooms"


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


def test_resources_are_short() -> None:
    """Table, schemas, routes and tests of each of the page's resources are within CODE_LIMITS."""
    code = {name: content for name, _, kind, content in STEPS if kind == "python"}
    lines = {
        name: sum(
            len(code.pop(path).splitlines())
            for path in (f"app/{name}.py", f"tests/api/test_{name}.py")
        )
        for name in CODE_LIMITS
    }
    assert code == {}
    assert {name: n for name, n in lines.items() if n > CODE_LIMITS[name]} == {}


@pytest.mark.usefixtures("engine")
@pytest.mark.timeout(900)  # it runs tests itself
def test_page_leads_to_a_service_of_ones_own(tmp_path: Path) -> None:
    """The renamed service, with the page's resources in place of the example, works on MySQL.

    No file of the clone has the old name, apart from LICENSE and requirements/.
    """
    project = clone_project(tmp_path / "clone")
    with Stack(project) as own:
        here = f"localhost:{own.port}"
        typed = script().replace("localhost:8000", here)
        env = own.env | YOU | {"COMPOSE_DISABLE_ENV_FILE": "1"}
        env["PYTEST_ADDOPTS"] = f"-k '{SEE_CHANGES}'"
        subprocess.run(["bash", "-ec", typed], cwd=project, env=env, check=True)

    for number, (_, block, _, _) in enumerate(STEPS):
        for i, (command, output) in enumerate(commands(block)):
            if output:
                printed = (project / f"{number}.{i}.out").read_text()
                printed = printed.replace(here, "localhost:8000")
                assert comparable(printed) == comparable(output), command
    left = ("git", "grep", "-il", "slipway", "--", ":!LICENSE", ":!requirements")
    assert run(*left, cwd=project, check=False) == ""
