"""Checks objects against the published types of Grafana, the Gateway API and Prometheus Operator.

Their npm packages have types for TypeScript, whose compiler finds misspelt names and wrong values.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NO_NODE
from tests.support.checkout import ROOT
from tests.support.compose import run

MODELS = "@kubernetes-models"
PACKAGES = {
    "Dashboard": "@grafana/schema",
    "IHTTPRoute": f"{MODELS}/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute",
    "IPodMonitor": f"{MODELS}/prometheus-operator/monitoring.coreos.com/v1/PodMonitor",
    "IPrometheusRule": f"{MODELS}/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule",
}
# `Plain` allows the strings of an enumeration in place of its names.
SOURCE = """import type {{ {kind} }} from "{package}";
type Plain<T> = T extends string ? `${{T}}`
  : T extends object ? {{ [K in keyof T]: Plain<T[K]> }} : T;
export const object: Plain<{kind}> = {object};
"""
OPTIONS = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext"]
OPTIONS += ["--moduleResolution", "bundler"]


class Types:
    """A folder with the packages."""

    def __init__(self, folder: Path) -> None:
        """Install the packages into a folder that doesn't exist, or skip the test."""
        if not shutil.which("npm"):
            pytest.skip(NO_NODE)
        self.folder = folder
        shutil.copytree(ROOT / "tests/support/schemas", folder)
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)

    def errors(self, kind: str, found: dict[str, Any]) -> str:
        """Return what is wrong with an object of one of the types, or nothing."""
        text = SOURCE.format(kind=kind, package=PACKAGES[kind], object=json.dumps(found, indent=1))
        (self.folder / "object.ts").write_text(text)
        compiler = self.folder / "node_modules/.bin/tsc"
        return run(compiler, *OPTIONS, "object.ts", cwd=self.folder, check=False)
