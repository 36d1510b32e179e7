"""Compares the answers that clients got with the final state, as Jepsen's history checkers do.

Each link has one writer, which sends its requests one after another. So a link's history is linear,
except for operations without an answer, or with 503. Such an operation can take effect at any time
after it was sent, at most once.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.support.links.faults.history import LOCKING, LONG, Operation, Outage, Row, State

LIMIT, LONG_LIMIT = 2.0, 30.0  # seconds for an answer that the service promises
ALLOWANCE = 0.5  # more seconds: the clients that measure share two cores with everything else
UNSEEN = 3.0  # seconds: a shorter outage can be between two probes

ALLOWED = {
    "batch": {201},
    "click": {302},
    "create": {201},
    "delete": {204, 404, 412},
    "edit": {200, 404, 412},
    "export": {200},
    "list": {200},
    "livez": {200},
    "read": {200, 404},
    "readyz": {200},
    "readyz/database": {200},
    "search": {200},
    "series": {200},
}
"""Statuses that are allowed even without a fault. `check_link` checks each 404 and 412."""


class Violation(NamedTuple):
    """A broken promise, with the operations that prove it."""

    kind: str
    """`lost`, `doubled`, `late`, or `wrong`."""
    text: str
    history: list[Operation]

    def __str__(self) -> str:
        """Return the violation and its history, one operation a line."""
        return "\n    ".join([f"{self.kind}: {self.text}", *map(str, self.history)])


class Link(NamedTuple):
    """The state of a link, as far as a history shows it."""

    revision: int  # 0: it was never created; -1: it was deleted
    title: str


NEVER, GONE = Link(0, ""), Link(-1, "")
World = tuple[Link, frozenset[int]]
"""A possible state: a link, and the numbers of the operations that can still take effect."""


def check(history: list[Operation], state: State, outage: Outage) -> list[Violation]:
    """Return all violations in the history of one run."""
    by_name = defaultdict(list)
    for operation in history:
        by_name[operation.name].append(operation)
    found = [*check_answers(history, outage), *check_repeats(history)]
    for name, operations in by_name.items():
        if name:
            found += check_link(operations, state.rows.get(name, []))
            found += check_clicks(operations, state.rows.get(name, []), state.clicks.get(name))
    for name in state.rows.keys() | state.exported.keys():
        rows = [(row.title, row.clicks) for row in state.rows.get(name, [])]
        if sorted(rows) != sorted(state.exported.get(name, [])):
            text = f"{name} is {rows} in the database, {state.exported.get(name)} in the export"
            found.append(Violation("wrong", text, by_name[name]))
    return found


def check_answers(history: list[Operation], outage: Outage) -> Iterator[Violation]:
    """Check each answer by itself: its status, its time, and whether a fault explains a failure."""
    for operation in history:
        if wrong := _wrong(operation, outage):
            kind = "late" if wrong.startswith("late") else "wrong"
            yield Violation(kind, wrong, [operation])
    if outage.unavailable:
        down, back = outage.unavailable
        asked = [o for o in history if o.kind == "readyz/database" and outage.began < o.ended]
        if back - down > UNSEEN and not any(o.status == 503 for o in asked):
            yield Violation("wrong", "no outage was reported", asked)
        meanwhile = [o for o in asked if down < o.began and o.ended < back]
        if blind := [o for o in meanwhile if o.status != 503]:
            yield Violation("wrong", "an outage was not reported", blind)


def _wrong(operation: Operation, outage: Outage) -> str:
    limit = (LONG_LIMIT if operation.kind in LONG else LIMIT) + ALLOWANCE
    in_outage = outage.began <= operation.ended and operation.began <= outage.over + ALLOWANCE
    if operation.status is None:
        # An export can fail after it has sent its status. It is then cut off, which clients notice.
        may_be_cut = outage.cuts or operation.kind == "export"
        return "" if in_outage and may_be_cut else "no answer"
    if operation.took > limit:
        return f"late: {operation.took:.2f} s"
    if operation.status in ALLOWED[operation.kind]:
        return ""
    may_fail = in_outage and operation.kind not in {"livez", "readyz"}
    if outage.cuts:
        # A hanging worker can hold the lock of a link, so writes can fail. A replica that is about
        # to stop turns `/readyz` to 503.
        may_fail = operation.kind == "readyz" or (in_outage and operation.kind in LOCKING)
    return _wrong_failure(operation) or ("" if may_fail else "it failed without a fault")


def _wrong_failure(operation: Operation) -> str:
    # 409 is right while the first request with this Idempotency-Key is still running.
    statuses = {503, 409} if operation.kind in {"batch", "create"} else {503}
    if operation.status not in statuses:
        return "the status is not allowed"
    return "" if operation.retry_after else "Retry-After is missing"


def check_link(history: list[Operation], rows: list[Row]) -> Iterator[Violation]:
    """Check that a link's history is possible, from NEVER to the final state."""
    size = history[0].size
    if len(rows) > size:
        yield Violation("doubled", f"{len(rows)} rows", history)
    elif 0 < len(rows) < size:
        yield Violation("lost", f"only {len(rows)} links of a batch of {size}", history)
    worlds: set[World] = {(NEVER, frozenset())}
    for number, operation in enumerate(history):
        after = {w for world in _reach(worlds, history) for w in _step(world, number, operation)}
        if not after:
            was = " or ".join(str(link) for link, _ in worlds)
            yield Violation("lost", f"{operation} is impossible after {was}", history)
            return
        worlds = after
    ends = {link if link.revision > 0 else NEVER for link, _ in _reach(worlds, history)}
    is_there = Link(*rows[0][:2]) if rows else NEVER
    if is_there not in ends:
        expected = " or ".join(map(str, ends))
        yield Violation("lost", f"the final state is {is_there}, not {expected}", history)


def _reach(worlds: Iterable[World], history: list[Operation]) -> set[World]:
    """Return these worlds and those in which some of the open operations have taken effect."""
    found: set[World] = set()
    new = set(worlds)
    while new:
        found |= new
        new = {
            (after, still_open - {number})
            for link, still_open in new
            for number in still_open
            # One without an effect stays open. Otherwise each set of them would be another world.
            if (after := _effect(history[number], link)) != link
        } - found
    return found


def _step(world: World, number: int, operation: Operation) -> Iterator[World]:
    """Yield the world after an operation, if its answer is possible in this world."""
    link, still_open = world
    after = _effect(operation, link)
    seen = (operation.revision, operation.title)
    match operation.kind, operation.status:
        case "batch" | "create" | "edit" | "delete", None | 503 | 409:
            yield link, still_open | {number}
        case ("batch" | "create", 201):
            yield after, still_open
        case ("edit", 200) | ("delete", 204) if after != link:
            yield after, still_open
        case ("edit" | "delete", 412) if 0 < link.revision != operation.revision:
            yield world
        case ("read", 200) if link == seen:
            yield world
        case (_, 404) if link.revision <= 0:
            yield world
        case "click" | "read", None | 302 | 503:
            yield world


def _effect(operation: Operation, link: Link) -> Link:
    """Return the link after an operation has taken effect on it."""
    if operation.kind in {"batch", "create"} and link == NEVER:
        return Link(1, operation.title)
    if operation.kind == "edit" and link.revision == operation.revision:
        return Link(link.revision + 1, operation.title)
    if operation.kind == "delete" and link.revision == operation.revision:
        return GONE
    return link


def check_clicks(
    history: list[Operation], rows: list[Row], reported: set[int] | None
) -> Iterator[Violation]:
    """Check the clicks of a link that was followed: answered ≤ counted ≤ sent."""
    clicks = [o for o in history if o.kind == "click"]
    if not clicks:
        return
    answered = sum(o.status == 302 for o in clicks)
    counted = sum(row.clicks for row in rows)
    text = f"{answered} clicks answered, {counted} counted, {len(clicks)} sent"
    failed = [o for o in clicks if o.status != 302]
    if counted < answered:
        yield Violation("lost", text, failed)
    if counted > len(clicks):
        yield Violation("doubled", text, failed)
    if reported != {counted}:
        yield Violation("wrong", f"{counted} clicks counted, the API reports {reported}", [])


def check_repeats(history: list[Operation]) -> Iterator[Violation]:
    """Check that creates with the same name, and so the same Idempotency-Key, got one answer."""
    answers = defaultdict(list)
    for operation in history:
        if operation.kind == "create" and operation.status == 201:
            answers[operation.name].append(operation)
    for operations in answers.values():
        if len({o.answer for o in operations}) > 1:
            yield Violation("doubled", "a reused Idempotency-Key got another answer", operations)


def tally(violations: list[Violation]) -> Counter[str]:
    """Count violations by their kind."""
    return Counter(violation.kind for violation in violations)
