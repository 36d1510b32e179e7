"""Compares what clients were told with what is there, in the manner of Jepsen's history checks.

Each link has one writer, which sends one request after the other. So its history is linear but
for those operations that got no answer, or 503: such a one may take effect at any time after
it was sent, once or not at all.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.support.links.faults.history import LOCKING, LONG, Operation, Outage, Row, State

LIMIT, LONG_LIMIT = 2.0, 30.0  # seconds, as promised
ALLOWANCE = 0.5  # seconds for the clients, which measure, and share two cores with all else

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
    "search": {200},
    "series": {200},
}
"""What may come, fault or not. Whether 404 and 412 were right, the link's history must show."""


class Violation(NamedTuple):
    """A promise that was broken, and by what one can see it."""

    kind: str
    """`lost`, `doubled`, `late`, or `wrong`."""
    text: str
    history: list[Operation]

    def __str__(self) -> str:
        """Return it with its history."""
        return "\n    ".join([f"{self.kind}: {self.text}", *map(str, self.history)])


class Link(NamedTuple):
    """What a history can tell of a link."""

    revision: int  # 0: it was never created; -1: it was deleted
    title: str


NEVER, GONE = Link(0, ""), Link(-1, "")
World = tuple[Link, frozenset[int]]
"""One way it may have been: a link, and which operations can still take effect, by number."""


def check(history: list[Operation], state: State, outage: Outage) -> list[Violation]:
    """Return all that is wrong."""
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
    """Judge each answer by itself: its status, its time, and whether there was reason to fail."""
    for operation in history:
        if wrong := _wrong(operation, outage):
            kind = "late" if wrong.startswith("late") else "wrong"
            yield Violation(kind, wrong, [operation])
    if outage.unready:
        down, back = outage.unready
        asked = [o for o in history if o.kind == "readyz" and outage.began < o.ended]
        if not any(o.status == 503 for o in asked):
            yield Violation("wrong", "readyz has noticed nothing", asked)
        meanwhile = [o for o in asked if down < o.began and o.ended < back]
        if blind := [o for o in meanwhile if o.status != 503]:
            yield Violation("wrong", "readyz has not said 503", blind)


def _wrong(operation: Operation, outage: Outage) -> str:
    limit = (LONG_LIMIT if operation.kind in LONG else LIMIT) + ALLOWANCE
    in_outage = outage.began <= operation.ended and operation.began <= outage.over + ALLOWANCE
    if operation.status is None:
        # An export has begun before it can fail, and what is cut off can't be taken for the whole.
        may_be_cut = outage.cuts or operation.kind == "export"
        return "" if in_outage and may_be_cut else "no answer"
    if operation.took > limit:
        return f"late: {operation.took:.2f} s"
    if operation.status in ALLOWED[operation.kind]:
        return ""
    may_fail = in_outage and operation.kind != "livez"
    if outage.cuts:
        # A worker that hangs may hold the lock of a link. A replica that is to stop says so.
        may_fail = operation.kind == "readyz" or (in_outage and operation.kind in LOCKING)
    return _wrong_failure(operation) or ("" if may_fail else "no reason to fail")


def _wrong_failure(operation: Operation) -> str:
    # 409: the first request with this Idempotency-Key may still be under way.
    statuses = {503, 409} if operation.kind in {"batch", "create"} else {503}
    if operation.status not in statuses:
        return "a status that is not allowed"
    return "" if operation.retry_after else "no Retry-After"


def check_link(history: list[Operation], rows: list[Row]) -> Iterator[Violation]:
    """Judge whether a link's history, from NEVER to what is there, can have been."""
    size = history[0].size
    if len(rows) > size:
        yield Violation("doubled", f"{len(rows)} rows", history)
    elif 0 < len(rows) < size:
        yield Violation("lost", f"{len(rows)} links of a batch of {size}", history)
    worlds: set[World] = {(NEVER, frozenset())}
    for number, operation in enumerate(history):
        after = {w for world in _reach(worlds, history) for w in _step(world, number, operation)}
        if not after:
            was = " or ".join(str(link) for link, _ in worlds)
            yield Violation("lost", f"{operation} can't be, after {was}", history)
            return
        worlds = after
    ends = {link if link.revision > 0 else NEVER for link, _ in _reach(worlds, history)}
    is_there = Link(*rows[0][:2]) if rows else NEVER
    if is_there not in ends:
        expected = " or ".join(map(str, ends))
        yield Violation("lost", f"in the end {is_there}, not {expected}", history)


def _reach(worlds: Iterable[World], history: list[Operation]) -> set[World]:
    """Add the worlds in which some of the open operations have taken effect."""
    found: set[World] = set()
    new = set(worlds)
    while new:
        found |= new
        new = {
            (_effect(history[number], link), still_open - {number})
            for link, still_open in new
            for number in still_open
        } - found
    return found


def _step(world: World, number: int, operation: Operation) -> Iterator[World]:
    """Give the world after an operation, if its answer can come in this one."""
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
    """Return what an operation makes of a link."""
    if operation.kind in {"batch", "create"} and link == NEVER:
        return Link(1, operation.title)
    if operation.kind == "edit" and link.revision == operation.revision:
        return Link(link.revision + 1, operation.title)
    if operation.kind == "delete" and link.revision == operation.revision:
        return GONE
    return link


def check_clicks(
    history: list[Operation], rows: list[Row], told: set[int] | None
) -> Iterator[Violation]:
    """Judge whether a link that was followed has: answered ≤ counted ≤ sent."""
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
    if told != {counted}:
        yield Violation("wrong", f"{counted} clicks counted, the API tells of {told}", [])


def check_repeats(history: list[Operation]) -> Iterator[Violation]:
    """Judge whether an Idempotency-Key, which a name has, always gave its first answer."""
    answers = defaultdict(list)
    for operation in history:
        if operation.kind == "create" and operation.status == 201:
            answers[operation.name].append(operation)
    for operations in answers.values():
        if len({o.answer for o in operations}) > 1:
            yield Violation("doubled", "a key got another answer when used again", operations)


def tally(violations: list[Violation]) -> Counter[str]:
    """Count violations by their kind."""
    return Counter(violation.kind for violation in violations)
