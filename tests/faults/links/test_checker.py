"""The checker, on made-up histories: it finds each broken promise, and nothing where none is."""

from dataclasses import replace

import pytest

from tests.support.links.faults.checker import check, check_answers
from tests.support.links.faults.history import Answer, Operation, Outage, Row, State

OUTAGE = Outage(began=100, back=110, over=112)
FIRST = Answer(201, '"1-1"', "/api/links/a", b"{}")


def create(status: int | None = 201, answer: Answer | None = FIRST) -> Operation:
    """Make the creation of a link."""
    return Operation("create", "a", title="new", status=status, answer=answer)


def edit(title: str, revision: int, status: int | None = 200) -> Operation:
    """Make an edit."""
    return Operation("edit", "a", title=title, revision=revision, status=status)


def delete(revision: int, status: int | None = 204) -> Operation:
    """Make a deletion."""
    return Operation("delete", "a", revision=revision, status=status)


def read(title: str, revision: int, status: int | None = 200) -> Operation:
    """Make a look at a link."""
    return Operation("read", "a", title=title, revision=revision, status=status)


def click(status: int | None = 302) -> Operation:
    """Make a click."""
    return Operation("click", "a", status=status)


def batch(status: int | None = 201) -> Operation:
    """Make the creation of three links."""
    return Operation("batch", "a", title="new", size=3, status=status)


def kinds(history: list[Operation], rows: list[Row], *, told: int | None = None) -> set[str]:
    """Let the checker judge a history in an outage, and say what kinds of wrong it finds."""
    for number, operation in enumerate(history):
        operation.began = 105 + number / 10
        operation.retry_after = operation.status in {409, 503}
    exported = [(row.title, row.clicks) for row in rows]
    counted = rows[0].clicks if rows and told is None else told
    clicks = {} if counted is None else {"a": {counted}}
    outage = replace(OUTAGE, cuts=any(o.status is None for o in history))
    state = State({"a": rows}, {"a": exported}, clicks)
    return {violation.kind for violation in check(history, state, outage)}


NEW, EDITED = Row(1, "new", 0), Row(2, "edited", 0)


@pytest.mark.parametrize(
    ("history", "rows"),
    [
        ([create()], [NEW]),
        ([create(503)], []),
        ([create(503)], [NEW]),
        ([create(None), create()], [NEW]),
        ([create(503), create(409), create()], [NEW]),
        ([create(), edit("edited", 1)], [EDITED]),
        ([create(), edit("edited", 1, 503)], [NEW]),
        ([create(), edit("edited", 1, 503)], [EDITED]),
        ([create(), edit("edited", 1, 503), read("new", 1)], [EDITED]),
        ([create(), edit("lost", 1, 503), edit("edited", 1)], [EDITED]),
        ([create(), edit("edited", 1, 503), edit("late", 1, 412), read("edited", 2)], [EDITED]),
        ([create(), edit("other", 1, 503), edit("edited", 1, 503)], [EDITED]),
        ([create(), delete(1)], []),
        ([create(), delete(1), create()], []),
        ([create(), delete(1, None)], []),
        ([create(), delete(1, None)], [NEW]),
        ([create(), delete(1, 503), read("", 0, 404)], []),
        ([create(), click(), click(503)], [Row(1, "new", 1)]),
        ([create(), click(), click(503)], [Row(1, "new", 2)]),
        ([batch()], [NEW] * 3),
        ([batch(503)], []),
        ([batch(503)], [NEW] * 3),
    ],
)
def test_what_can_be_is_right(history: list[Operation], rows: list[Row]) -> None:
    """What got no answer may have happened, at once, later, or not at all."""
    assert kinds(history, rows) == set()


@pytest.mark.parametrize(
    ("history", "rows", "found"),
    [
        ([create()], [], {"lost"}),
        ([create()], [EDITED], {"lost"}),
        ([create()], [NEW, NEW], {"doubled"}),
        ([create(503)], [NEW, NEW], {"doubled"}),
        ([create(), create(answer=FIRST._replace(body=b"{ }"))], [NEW], {"doubled"}),
        ([create(), edit("edited", 1)], [NEW], {"lost"}),
        ([create(), edit("edited", 1)], [], {"lost"}),
        ([create(), edit("edited", 1), read("new", 1)], [EDITED], {"lost"}),
        ([create(), edit("edited", 1), edit("twice", 1)], [EDITED], {"lost"}),
        ([create(), edit("edited", 1, 412)], [NEW], {"lost"}),
        ([create(), edit("edited", 1, 503), read("edited", 2)], [NEW], {"lost"}),
        ([create(), edit("edited", 1, 503)], [Row(3, "edited", 0)], {"lost"}),
        ([create(), delete(1)], [NEW], {"lost"}),
        ([create(), delete(1, 503), read("", 0, 404)], [NEW], {"lost"}),
        ([create(), read("", 0, 404)], [NEW], {"lost"}),
        ([create(), click(), click(None)], [NEW], {"lost"}),
        ([create(), click(), click(503)], [Row(1, "new", 3)], {"doubled"}),
        ([batch()], [NEW] * 2, {"lost"}),
        ([batch(503)], [NEW], {"lost"}),
        ([batch(503)], [NEW] * 4, {"doubled"}),
    ],
)
def test_what_cannot_be_is_found(
    history: list[Operation], rows: list[Row], found: set[str]
) -> None:
    """What was acknowledged is there, once, and nothing else is."""
    assert kinds(history, rows) == found


def test_answers_of_the_api_are_compared() -> None:
    """The API must tell of what the database holds."""
    assert kinds([create(), click()], [Row(1, "new", 1)], told=2) == {"wrong"}
    history = [replace(create(), began=105)]
    assert check(history, State({"a": [NEW]}, {"a": [("other", 0)]}), OUTAGE)
    assert check(history, State({"a": [NEW]}, {}), OUTAGE)


def asked(kind: str, status: int | None, began: float, took: float = 0.1) -> Operation:
    """Make a request that failed, if it did, as it should."""
    return Operation(kind, began=began, took=took, status=status, retry_after=status != 200)


@pytest.mark.parametrize(
    ("operation", "right"),
    [
        (asked("list", 200, 105), True),
        (asked("list", 200, 105, took=2.4), True),
        (asked("list", 200, 105, took=2.6), False),
        (asked("list", 503, 105, took=2.6), False),
        (asked("search", 503, 105, took=29), True),
        (asked("search", 503, 105, took=31), False),
        (asked("list", 503, 98, took=2.3), True),
        (asked("list", 503, 98), False),
        (asked("list", 503, 112), True),
        (asked("list", 503, 113), False),
        (replace(asked("list", 503, 105), retry_after=False), False),
        (asked("list", 500, 105), False),
        (asked("list", None, 105), False),
        (asked("export", None, 105), True),
        (asked("export", None, 120), False),
        (asked("edit", 409, 105), False),
        (asked("livez", 503, 105), False),
    ],
)
def test_each_answer_is_judged(operation: Operation, right: bool) -> None:
    """It comes in time, is one that may come, and is no failure without a reason."""
    assert (list(check_answers([operation], OUTAGE)) == []) is right


@pytest.mark.parametrize(
    ("operation", "right"),
    [
        (asked("list", None, 105), True),
        (asked("list", None, 113), False),
        (asked("edit", 503, 105), True),
        (asked("edit", 503, 113), False),
        (asked("list", 503, 105), False),
        (asked("click", 503, 105), False),
        (asked("readyz", 503, 105), True),
    ],
)
def test_a_process_that_dies_cuts_connections(operation: Operation, right: bool) -> None:
    """Requests may end without an answer, and where a hanging worker holds a lock with 503."""
    outage = replace(OUTAGE, cuts=True)
    assert (list(check_answers([operation], outage)) == []) is right


def test_readiness_must_notice() -> None:
    """Between the fault and its cure `/readyz` says 503."""
    outage = replace(OUTAGE, unready=(101, 109))
    right = [asked("readyz", 200, 100.5), asked("readyz", 503, 105), asked("readyz", 200, 111)]
    assert list(check_answers(right, outage)) == []
    assert len(list(check_answers([*right, asked("readyz", 200, 106)], outage))) == 1
    assert len(list(check_answers([right[0], right[2]], outage))) == 1


def test_a_violation_comes_with_its_history() -> None:
    """Who reads of it sees what the client was told, in order."""
    history = [create(), replace(edit("edited", 1), began=105)]
    lost = check(history, State({"a": [NEW]}, {"a": [("new", 0)]}), OUTAGE)[-1]
    assert str(lost).splitlines()[1:] == [f"    {operation}" for operation in history]
