"""Measures whether the service's memory grows over many requests."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

from tests.support.compose import Stack
from tests.support.faults.nemesis import WORKERS
from tests.support.links.faults.workload import Workload
from tests.support.service import Service
from tests.support.waiting import wait_until

GROWTH = 1.1  # the largest ratio to the memory after the warm-up that is still noise
HOUR = 3600

# Prints the memory of gunicorn's processes in MB. It adds up their proportional set sizes (PSS), so
# shared memory counts once.
PSS = f"""
{WORKERS}
rollups = [Path(f"/proc/{{pid}}/smaps_rollup").read_text() for pid in (master, *workers)]
print(sum(int(text.split("Pss:")[1].split()[0]) for text in rollups) // 1024)
"""


def pss(stack: Stack) -> int:
    """Return the memory of the service, in MB."""
    return int(stack.python("app", PSS))


def run(stack: Stack, token: str, warm_up: int, count: int) -> tuple[int, int]:
    """Send requests of all kinds as fast as clients can; return the memory before and after, in MB.

    :param warm_up: requests before the first measurement.
    :param count: requests between the first measurement and the second.
    """
    with Workload(stack.url, token, seed=0, pace=1000) as load:
        _export(stack, token, load.base)
        wait_until(lambda: len(load.history) > warm_up, HOUR)
        before = pss(stack)
        wait_until(lambda: len(load.history) > warm_up + count, HOUR)
    after = pss(stack)
    stack.mysql_root(f"DELETE FROM links WHERE url LIKE '{load.base}%'")
    assert all(operation.status for operation in load.history)
    return before, after


def _export(stack: Stack, token: str, base: str) -> None:
    """Export many links, so that each worker reaches the largest memory that a request needs."""
    lines = [json.dumps({"code": uuid.uuid4().hex, "url": f"{base}{n}"}) for n in range(2000)]
    stack.exec("app", "slipway", "links", "import", "-", text="\n".join(lines))

    def export(_number: int) -> None:
        with Service(stack.url, token) as service:
            # 503 is right while a worker ends four others, which their clients have read already.
            wait_until(lambda: service.get("/api/export").ok)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(export, range(40)))
