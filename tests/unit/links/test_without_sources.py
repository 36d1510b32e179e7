"""The folder of other programs can be deleted."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.checkout import ROOT
from tests.support.environ import bare_environ

IMPORT = """
import sys
from app import create_app
from app.database import database
from app.database.types import metadata

app = create_app()
with app.app_context():
    metadata.create_all(database().transactional)
command = ["links", "import", sys.argv[1]]
print(app.test_cli_runner().invoke(args=command).output, end="")
"""


def test_own_exports_need_no_other_program(tmp_path: Path) -> None:
    """Without the folder and its two lines, imports take this service's own exports."""
    shutil.copytree(ROOT / "app", tmp_path / "app", ignore=shutil.ignore_patterns("sources"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    init = tmp_path / "app/links/__init__.py"
    lines = init.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not re.search(r"\bsources\b", line)]
    assert len(lines) - len(kept) == 2
    init.write_text("".join(kept))
    files = {
        "links.csv": '"code","url","tags"\r\n"a","https://a.example","[""x""]"\r\n',
        "links.jsonl": '{"code": "b", "url": "https://a.example", "clicks": 1}\n',
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        output = subprocess.check_output(
            [sys.executable, "-c", IMPORT, name],
            cwd=tmp_path,
            env=bare_environ(DATABASE_URL=f"sqlite:///{tmp_path}/links.db"),
            text=True,
        )
        assert output == "1 created, 0 unchanged, 0 refused\n"
