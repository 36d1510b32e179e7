"""`docs/your-own-service.md`, followed word by word in a clone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT, copy_project
from tests.compose import Stack, run
from tests.docs.test_readme import commands, comparable

PAGE = (ROOT / "docs" / "your-own-service.md").read_text()
FENCE = re.compile(r"(?s)(?:`(\S+)`:

)?```(console|diff|python)
(.*?)```$", re.MULTILINE)
CODE_LIMIT = 150  # lines that somebody has to write, blank ones too


def script(markdown: str, url: str) -> str:
    """Return what a reader does, as a script: commands, files and diffs."""
    done = []
    for number, (name, kind, content) in enumerate(FENCE.findall(markdown)):
        if kind == "console":
            block = f"```console\n{content}```"
            typed = (command for command, _ in commands(block))
            done += [f"{{ {c}\n}} > {number}.{i}.out" for i, c in enumerate(typed)]
        else:
            tool = f"cat > {name}" if kind == "python" else "git apply"
            done.append(f"{tool} <<'EDIT'\n{content}EDIT")
    return "\n".join(done).replace("localhost:8000", url)


def test_resource_is_short() -> None:
    """Model, schemas, routes and tests together."""
    code = [content for _, kind, content in FENCE.findall(PAGE) if kind == "python"]
    assert len(code) == 2
    assert sum(len(content.splitlines()) for content in code) < CODE_LIMIT


@pytest.mark.usefixtures("stack")  # its image is in the build cache then
@pytest.mark.timeout(900)  # it runs tests itself
def test_page_leads_to_a_service_of_ones_own(tmp_path: Path) -> None:
    """Renamed, without the example and with the page's resource, all of it works on MySQL."""
    project = copy_project(tmp_path / "clone")
    (project / ".venv").symlink_to(sys.prefix)
    for command in ["init --quiet", "add .", "-c user.name=You -c user.email=y commit -qm All"]:
        run("git", *command.split(), cwd=project)
    with Stack(project) as own:
        here = f"localhost:{own.port}"
        subprocess.run(["bash", "-ec", script(PAGE, here)], cwd=project, env=own.env, check=True)

    for number, (_, kind, content) in enumerate(FENCE.findall(PAGE)):
        told = commands(f"```console\n{content}```") if kind == "console" else ()
        for i, (command, output) in enumerate(told):
            printed = (project / f"{number}.{i}.out").read_text().replace(here, "localhost:8000")
            assert not output or comparable(printed) == comparable(output), command
    left = run("git", "grep", "-il", "slipway", "--", ":!LICENSE", ":!requirements", cwd=project)
    assert left == ""
