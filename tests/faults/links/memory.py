"""How much memory the service has after many requests."""

from tests.compose import Stack
from tests.faults.links.checker import check_answers
from tests.faults.links.history import Outage
from tests.faults.links.workload import Workload
from tests.faults.nemesis import WORKERS
from tests.waiting import wait_until

GROWTH = 1.1  # times what it was after the first requests: what is more than noise
HOUR = 3600

# In MB, the memory of gunicorn's processes, where what they share counts once.
PSS = f"""
{WORKERS}
rollups = [Path(f"/proc/{{pid}}/smaps_rollup").read_text() for pid in (master, *workers)]
print(sum(int(text.split("Pss:")[1].split()[0]) for text in rollups) // 1024)
"""


def pss(stack: Stack) -> int:
    """Return the memory of the service, in MB."""
    return int(stack.python("app", PSS))


def run(stack: Stack, token: str, warm_up: int, count: int) -> tuple[int, int]:
    """Send requests of all kinds as fast as clients can, and return the memory before and after.

    :param warm_up: requests before the first measurement.
    :param count: requests between the first measurement and the second.
    """
    with Workload(stack.url, token, seed=0, pace=1000) as load:
        wait_until(lambda: len(load.history) > warm_up, HOUR)
        before = pss(stack)
        wait_until(lambda: len(load.history) > warm_up + count, HOUR)
    stack.mysql_root(f"DELETE FROM links WHERE url LIKE '{load.base}%'")
    violations = list(check_answers(load.history, Outage.never()))
    assert not violations, "\n".join(map(str, violations))
    return before, pss(stack)
