"""One round: clients work, a fault begins and ends, and the checker compares all answers."""

import json
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.support.compose import Stack
from tests.support.faults.nemesis import BACK_WITHIN, Fault
from tests.support.links.faults.checker import Violation, check, tally
from tests.support.links.faults.history import DONE, LONG, WRITES, Operation, Outage, Row, State
from tests.support.links.faults.workload import Workload
from tests.support.service import Service
from tests.support.waiting import wait_until

# Counts the service's running statements. Those of clients that gave up must end too.
UNDER_WAY = """
SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'app' AND command != 'Sleep'
"""
LINKS = """
SELECT url, revision, title,
    (SELECT IFNULL(SUM(clicks), 0) FROM link_clicks WHERE link_id = id)
FROM links WHERE url LIKE '{}%'
"""
ANSWERED = 100  # requests before the fault begins
# Seconds by which the service can notice earlier than `cure` that the database is back.
NOTICED = 0.5


@dataclass
class Result:
    """The results of all injections of one fault. Times are in seconds."""

    injected: int = 0
    acknowledged: int = 0
    worst: float = 0
    worst_long: float = 0
    recovered: float = 0
    away: dict[str, list[float]] = field(default_factory=lambda: {"click": [], "create": []})
    """For each injection, the time until the end of the last such request that failed."""
    errors: int = 0
    """Requests with another server error than 503, or without an answer."""
    bare: int = 0
    """Answers 503 without Retry-After."""
    found: Counter[str] = field(default_factory=Counter)


RESULTS: dict[str, Result] = defaultdict(Result)
"""The results of all rounds of this process, by the fault's name."""


def run(
    stack: Stack, token: str, fault: Fault, *, seed: object = 0, hold: float = 0
) -> list[Violation]:
    """Inject a fault while clients work, add to RESULTS, and return the violations.

    :param hold: seconds that the fault lasts after each client has noticed it.
    """
    load, outage, violations = meet(stack, token, fault, seed=seed, hold=hold)
    _note(fault, outage, load.history, violations)
    return violations


def meet(
    stack: Stack, token: str, fault: Fault, *, seed: object = 0, hold: float = 0
) -> tuple[Workload, Outage, list[Violation]]:
    """Inject a fault while clients work. Return the workload, the outage and the violations."""
    with Workload(stack.url, token, seed) as load:
        wait_until(lambda: len(load.history) > ANSWERED)
        outage = _break(stack, load, fault, hold)
        load.wait_felt(time.time() if fault.cuts else outage.over)
    wait_until(lambda: stack.mysql_root(UNDER_WAY) == [["0"]])
    violations = check(load.history, read_state(stack, load), outage)
    load.repeat_creates()
    violations += check(load.history, read_state(stack, load), outage)
    stack.mysql_root(f"DELETE FROM links WHERE url LIKE '{load.base}%'")
    return load, outage, list({str(v): v for v in violations}.values())


def _break(stack: Stack, load: Workload, fault: Fault, hold: float) -> Outage:
    began = back = fault.inject(stack)
    down = cured = time.time()
    try:
        if fault.lasts:
            load.wait_felt(down)
            time.sleep(hold)
            cured = time.time()
    finally:
        back = fault.cure(stack)
    over = back + BACK_WITHIN
    if fault.cuts:
        over = min(over, began + fault.limit)
    # The service can notice a little earlier than `cure` that the database is back.
    unavailable = (down, cured if fault.lasts else back - NOTICED) if fault.unavailable else None
    return Outage(
        began, began if fault.cuts else back, over, cuts=fault.cuts, unavailable=unavailable
    )


def read_state(stack: Stack, load: Workload) -> State:
    """Read the final state from the database and from the API."""
    state = State(defaultdict(list), defaultdict(list))
    for url, revision, title, clicks in stack.mysql_root(LINKS.format(load.base)):
        name = url.removeprefix(load.base).partition("/")[0]
        state.rows[name].append(Row(int(revision), title, int(clicks)))
    with Service(stack.url, load.token) as service:
        for line in service.get("/api/export").text.splitlines():
            link = json.loads(line)
            if link["url"].startswith(load.base):
                name = link["url"].removeprefix(load.base).partition("/")[0]
                state.exported[name].append((link["title"], link["clicks"]))
        for name, code in load.popular:
            link = service.get(f"/api/links/{code}")
            series = service.get(f"/api/links/{code}/clicks")
            assert link.ok, link.text
            assert series.ok, series.text
            state.clicks[name] = {link.json()["clicks"], series.json()["total"]}
    return state


def _note(
    fault: Fault, outage: Outage, history: list[Operation], violations: list[Violation]
) -> None:
    result = RESULTS[fault.name]
    result.injected += 1
    result.acknowledged += sum(o.kind in WRITES and o.status in DONE for o in history)
    failed = [o for o in history if (o.status or 500) >= 500]
    result.errors += sum(o.status != 503 for o in failed)
    result.bare += sum(o.status == 503 and not o.retry_after for o in failed)
    for kind, away in result.away.items():
        ends = [o.ended - outage.began for o in failed if o.kind == kind]
        away.append(max(ends, default=0))
    for operation in history:
        if operation.status is not None and operation.kind in LONG:
            result.worst_long = max(result.worst_long, operation.took)
        elif operation.status is not None:
            result.worst = max(result.worst, operation.took)
        if operation.status in {None, 503} and operation.ended > outage.began:
            result.recovered = max(result.recovered, operation.ended - outage.back)
    result.found += tally(violations)


def table() -> str:
    """Return the results as a table in Markdown."""
    head = [
        "fault",
        "times",
        "acknowledged",
        "lost",
        "doubled",
        "worst answer",
        "worst long answer",
        "recovered in",
    ]
    rows = [
        [
            name,
            f"{result.injected}",
            f"{result.acknowledged:,}",
            f"{result.found['lost']}",
            f"{result.found['doubled']}",
            f"{result.worst:.1f} s",
            f"{result.worst_long:.1f} s",
            f"{result.recovered:.1f} s",
        ]
        for name, result in RESULTS.items()
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
