"""Metrics, as Prometheus would read them."""

import json
import re
from collections.abc import Callable

ASK = """
import http.client, json, sys
port, path, headers = json.loads(sys.argv[1])
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
connection.request("GET", path, headers=headers)
answer = connection.getresponse()
print(json.dumps([answer.status, answer.read().decode()]))
"""


class Metrics:
    """The port for metrics of a running service, which may be reached only from its container."""

    def __init__(self, python: Callable[..., str], port: int = 9100) -> None:
        """Tell how to run Python where the service runs, with code and an argument."""
        self.python = python
        self.port = port

    def ask(self, path: str = "/metrics", **headers: str) -> tuple[int, str]:
        """Return the status and the body of the answer to a request."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        status, body = json.loads(self.python(ASK, json.dumps([self.port, path, names])))
        return status, body

    def read(self) -> dict[str, float]:
        """Return all samples: the value of each name with its labels."""
        status, body = self.ask()
        assert status == 200
        lines = [line.rpartition(" ") for line in body.splitlines() if not line.startswith("#")]
        return {sample: float(value) for sample, _, value in lines}

    def described(self) -> dict[str, tuple[str, set[str]]]:
        """Return the type and the labels of each metric, by its name."""
        _, text = self.ask()
        types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
        labels: dict[str, set[str]] = {name: set() for name in types}
        for sample in self.read():
            name, _, rest = sample.partition("{")
            base = name if name in types else re.sub("_(bucket|count|sum)$", "", name)
            labels[base] |= set(re.findall(r'(\w+)="', rest)) - {"le"}
        return {name: (kind, labels[name]) for name, kind in types.items()}


def documented_metrics(page: str) -> dict[str, tuple[str, set[str]]]:
    """Return the type and the labels of each metric in the tables of a page, by its name."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", page, re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
