"""The dashboards and the Compose file of deploy/observe fit Grafana and the rest of the stack."""

import copy
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.checkout import ROOT, copy_project
from tests.support.marks import without
from tests.support.observed import DASHBOARDS, FOLDER, METRIC, queries
from tests.support.scrape import documented_metrics
from tests.support.typed import Types

COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
MAIN = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
RULES = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())


@pytest.fixture(scope="module")
def types(tmp_path_factory: pytest.TempPathFactory) -> Types:
    """The published type of a dashboard."""
    return Types(tmp_path_factory.mktemp("types") / "schemas")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_has_grafanas_type(types: Types, name: str) -> None:
    """Grafana's own type accepts each dashboard, and rejects a misspelt field."""
    assert types.errors("Dashboard", DASHBOARDS[name]) == ""
    wrong = copy.deepcopy(DASHBOARDS[name])
    wrong["panels"][0]["gridPoz"] = wrong["panels"][0].pop("gridPos")
    assert "'gridPoz' does not exist" in types.errors("Dashboard", wrong).replace('"', "")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_do_not_overlap(name: str) -> None:
    """Each panel has its own place in the grid of 24 columns, its own id, and an explanation."""
    panels = DASHBOARDS[name]["panels"]
    cells: list[tuple[int, int]] = []
    for panel in panels:
        x, y, width, height = (panel["gridPos"][side] for side in "xywh")
        assert x + width <= 24
        cells += [(x + right, y + down) for right in range(width) for down in range(height)]
        assert panel["description"].endswith(".")
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_panels_use_metrics_that_exist() -> None:
    """Of our own metrics, panels use only those that are documented or recorded, or `up`."""
    page = documented_metrics((ROOT / "docs/observe.md").read_text())
    rules = [rule for group in RULES["groups"] for rule in group["rules"]]
    known = page.keys() | {rule.get("record") for rule in rules} | {"up"}
    found = {name for query in queries() for name in METRIC.findall(query.expression)}
    ours = {name for name in found if not name.startswith("mysql_")}
    assert {re.sub("_(bucket|count|sum)$", "", name) for name in ours} <= known
    assert len(ours) > 10


@pytest.mark.parametrize("name", COMPOSE)
def test_services_are_as_hardened_as_the_others(name: str) -> None:
    """Each service is in the profile, is published on 127.0.0.1 at most, and has all limits."""
    service: dict[str, Any] = COMPOSE[name]
    hardened = MAIN["x-hardened"]
    assert {key: service[key] for key in hardened} == hardened
    assert service["profiles"] == ["observe"]
    assert service["user"].partition(":")[0] not in {"", "0", "root"}
    assert {"mem_limit", "pids_limit"} <= service.keys()
    assert all(port.startswith("127.0.0.1:${") for port in service.get("ports", []))
    image = service.get("image", "built:1")
    assert re.search(r":v?\d", image)


def test_base_images_are_pinned() -> None:
    """Each base image has a version."""
    images = re.findall(r"^FROM (\S+)", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)
    assert [image for image in images if not re.search(r":v?\d+\.\d+\.\d+$", image)] == []


def test_it_comes_out_in_one_cut(tmp_path: Path) -> None:
    """Without the folder, the account and the parts that `# observe` marks, nothing names it."""
    copy_project(tmp_path)
    shutil.rmtree(tmp_path / "deploy/observe")
    (tmp_path / "db/init/20-exporter.sh").unlink()
    marked = [".github/dependabot.yml", "db/kustomization.yaml", "db/secrets.sh"]
    for name in [*marked, "deploy/kubernetes/local/db.yaml", "docker-compose.yaml"]:
        path = tmp_path / name
        path.write_text(without(path.read_text(), "observe"))
    files = [
        tmp_path / "docker-compose.yaml",
        *tmp_path.glob("db/*.sh"),
        *tmp_path.glob("db/init/*"),
    ]
    files += [
        tmp_path / "db/kustomization.yaml",
        *tmp_path.glob("deploy/**/*.yaml"),
        tmp_path / ".github/dependabot.yml",
    ]
    found = re.compile("(?<!docs/)observe|20-exporter")
    assert [str(path) for path in files if found.search(path.read_text())] == []
    assert "include" not in yaml.safe_load((tmp_path / "docker-compose.yaml").read_text())
    subprocess.run(["sh", "-n", "db/secrets.sh"], cwd=tmp_path, check=True)


def test_rules_of_the_operator_are_the_same() -> None:
    """The PrometheusRule has exactly the groups of alerts.yaml: after a change, copy them."""
    assert yaml.safe_load((FOLDER / "rule.yaml").read_text())["spec"] == RULES
