"""The service's metrics, read in Prometheus's text format."""

import json
import re
import time
from collections.abc import Callable

SETTLED = 1.2  # seconds until all workers have put their numbers where a scrape finds them
ASK = """
import http.client, json, sys
port, path, headers = json.loads(sys.argv[1])
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
connection.request("GET", path, headers=headers)
answer = connection.getresponse()
print(json.dumps([answer.status, answer.read().decode()]))
"""


class Metrics:
    """The metrics port of a running service. In a stack, only its container can reach it."""

    def __init__(self, python: Callable[..., str], port: int = 9100) -> None:
        """Set how to reach the port.

        :param python: runs Python code with one argument where the service runs, and returns what
            that prints.
        """
        self.python = python
        self.port = port

    def ask(self, path: str = "/metrics", **headers: str) -> tuple[int, str]:
        """Send a GET request, and return the status and the body of the answer."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        status, body = json.loads(self.python(ASK, json.dumps([self.port, path, names])))
        return status, body

    def read(self) -> dict[str, float]:
        """Return the value of each sample, by its name with labels, when all workers agree."""
        time.sleep(SETTLED)
        status, body = self.ask()
        assert status == 200
        lines = [line.rpartition(" ") for line in body.splitlines() if not line.startswith("#")]
        return {sample: float(value) for sample, _, value in lines}

    def described(self) -> dict[str, tuple[str, set[str]]]:
        """Return the type and the names of the labels of each metric, by the metric's name."""
        _, text = self.ask()
        types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
        labels: dict[str, set[str]] = {name: set() for name in types}
        for sample in self.read():
            name, _, rest = sample.partition("{")
            base = name if name in types else re.sub("_(bucket|count|sum)$", "", name)
            labels[base] |= set(re.findall(r'(\w+)="', rest)) - {"le"}
        return {name: (kind, labels[name]) for name, kind in types.items()}


def documented_metrics(page: str) -> dict[str, tuple[str, set[str]]]:
    """Return the type and the names of the labels of each metric in the tables of a page."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", page, re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
