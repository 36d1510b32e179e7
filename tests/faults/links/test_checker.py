"""The checker on made-up histories: it finds every violation, and reports no false ones."""

from dataclasses import replace

import pytest

from tests.support.links.faults.checker import check, check_answers
from tests.support.links.faults.history import Answer, Operation, Outage, Row, State

OUTAGE = Outage(began=100, back=110, over=112)
FIRST = Answer(201, '"1-1"', "/api/links/a", b"{}")


def create(status: int | None = 201, answer: Answer | None = FIRST) -> Operation:
    """Return the creation of a link."""
    return Operation("create", "a", title="new", status=status, answer=answer)


def edit(title: str, revision: int, status: int | None = 200) -> Operation:
    """Return an edit."""
    return Operation("edit", "a", title=title, revision=revision, status=status)


def delete(revision: int, status: int | None = 204) -> Operation:
    """Return a deletion."""
    return Operation("delete", "a", revision=revision, status=status)


def read(title: str, revision: int, status: int | None = 200) -> Operation:
    """Return a read of the link."""
    return Operation("read", "a", title=title, revision=revision, status=status)


def click(status: int | None = 302) -> Operation:
    """Return a click."""
    return Operation("click", "a", status=status)


def batch(status: int | None = 201) -> Operation:
    """Return the creation of a batch of three links."""
    return Operation("batch", "a", title="new", size=3, status=status)


def kinds(history: list[Operation], rows: list[Row], *, told: int | None = None) -> set[str]:
    """Run the checker on a history during an outage, and return the kinds of violations.

    :param told: the clicks that the API reports; by default, those of the first row.
    """
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
        pytest.param([create()], [NEW], id="acknowledged creation"),
        pytest.param([create(503)], [], id="failed creation without effect"),
        pytest.param([create(503)], [NEW], id="failed creation with effect"),
        pytest.param([create(None), create()], [NEW], id="creation repeated after a cut"),
        pytest.param(
            [create(503), create(409), create()], [NEW], id="creation repeated until it succeeds"
        ),
        pytest.param([create(), edit("edited", 1)], [EDITED], id="acknowledged edit"),
        pytest.param([create(), edit("edited", 1, 503)], [NEW], id="failed edit without effect"),
        pytest.param([create(), edit("edited", 1, 503)], [EDITED], id="failed edit with effect"),
        pytest.param(
            [create(), edit("edited", 1, 503), read("new", 1)],
            [EDITED],
            id="failed edit with effect after a read",
        ),
        pytest.param(
            [create(), edit("lost", 1, 503), edit("edited", 1)],
            [EDITED],
            id="failed edit, then another of the same revision",
        ),
        pytest.param(
            [create(), edit("edited", 1, 503), edit("late", 1, 412), read("edited", 2)],
            [EDITED],
            id="failed edit that makes another stale",
        ),
        pytest.param(
            [create(), edit("other", 1, 503), edit("edited", 1, 503)],
            [EDITED],
            id="one of two failed edits with effect",
        ),
        pytest.param(
            [create(), *(edit(f"failed {n}", 1, 503) for n in range(50)), edit("edited", 1)],
            [EDITED],
            id="as many failed edits as in a long outage",
        ),
        pytest.param([create(), delete(1)], [], id="acknowledged deletion"),
        pytest.param([create(), delete(1), create()], [], id="creation repeated after a deletion"),
        pytest.param([create(), delete(1, None)], [], id="cut deletion with effect"),
        pytest.param([create(), delete(1, None)], [NEW], id="cut deletion without effect"),
        pytest.param(
            [create(), delete(1, 503), read("", 0, 404)], [], id="failed deletion that a read saw"
        ),
        pytest.param(
            [create(), click(), click(503)], [Row(1, "new", 1)], id="failed click without effect"
        ),
        pytest.param(
            [create(), click(), click(503)], [Row(1, "new", 2)], id="failed click with effect"
        ),
        pytest.param([batch()], [NEW] * 3, id="acknowledged batch"),
        pytest.param([batch(503)], [], id="failed batch without effect"),
        pytest.param([batch(503)], [NEW] * 3, id="failed batch with effect"),
    ],
)
def test_possible_histories_are_accepted(history: list[Operation], rows: list[Row]) -> None:
    """An operation without a success can take effect at once, later, or not at all."""
    assert kinds(history, rows) == set()


@pytest.mark.parametrize(
    ("history", "rows", "found"),
    [
        pytest.param([create()], [], {"lost"}, id="lost creation"),
        pytest.param([create()], [EDITED], {"lost"}, id="edit that nobody made"),
        pytest.param([create()], [NEW, NEW], {"doubled"}, id="link twice"),
        pytest.param([create(503)], [NEW, NEW], {"doubled"}, id="link twice after a failure"),
        pytest.param(
            [create(), create(answer=FIRST._replace(body=b"{ }"))],
            [NEW],
            {"doubled"},
            id="repeated creation with another answer",
        ),
        pytest.param([create(), edit("edited", 1)], [NEW], {"lost"}, id="lost edit"),
        pytest.param([create(), edit("edited", 1)], [], {"lost"}, id="lost link after an edit"),
        pytest.param(
            [create(), edit("edited", 1), read("new", 1)], [EDITED], {"lost"}, id="stale read"
        ),
        pytest.param(
            [create(), edit("edited", 1), edit("twice", 1)],
            [EDITED],
            {"lost"},
            id="two edits of one revision",
        ),
        pytest.param(
            [create(), edit("edited", 1, 412)],
            [NEW],
            {"lost"},
            id="refused edit of the newest revision",
        ),
        pytest.param(
            [create(), edit("edited", 1, 503), read("edited", 2)],
            [NEW],
            {"lost"},
            id="lost edit that a read saw",
        ),
        pytest.param(
            [create(), edit("edited", 1, 503)],
            [Row(3, "edited", 0)],
            {"lost"},
            id="revision that nobody made",
        ),
        pytest.param([create(), delete(1)], [NEW], {"lost"}, id="lost deletion"),
        pytest.param(
            [create(), delete(1, 503), read("", 0, 404)],
            [NEW],
            {"lost"},
            id="lost deletion that a read saw",
        ),
        pytest.param([create(), read("", 0, 404)], [NEW], {"lost"}, id="link that a read missed"),
        pytest.param([create(), click(), click(None)], [NEW], {"lost"}, id="lost click"),
        pytest.param(
            [create(), click(), click(503)],
            [Row(1, "new", 3)],
            {"doubled"},
            id="click counted twice",
        ),
        pytest.param([batch()], [NEW] * 2, {"lost"}, id="part of a batch"),
        pytest.param([batch(503)], [NEW], {"lost"}, id="part of a failed batch"),
        pytest.param([batch(503)], [NEW] * 4, {"doubled"}, id="batch with a link too many"),
    ],
)
def test_impossible_histories_are_found(
    history: list[Operation], rows: list[Row], found: set[str]
) -> None:
    """The checker finds acknowledged writes that are lost or doubled, and made-up rows."""
    assert kinds(history, rows) == found


def test_answers_of_the_api_are_compared() -> None:
    """The checker finds differences between the API or an export and the database."""
    assert kinds([create(), click()], [Row(1, "new", 1)], told=2) == {"wrong"}
    history = [replace(create(), began=105)]
    assert check(history, State({"a": [NEW]}, {"a": [("other", 0)]}), OUTAGE)
    assert check(history, State({"a": [NEW]}, {}), OUTAGE)


def asked(kind: str, status: int | None, began: float, took: float = 0.1) -> Operation:
    """Return a request, with Retry-After if it has failed."""
    return Operation(kind, began=began, took=took, status=status, retry_after=status != 200)


@pytest.mark.parametrize(
    ("operation", "right"),
    [
        pytest.param(asked("list", 200, 105), True, id="success in the outage"),
        pytest.param(asked("list", 200, 105, took=2.4), True, id="slow success"),
        pytest.param(asked("list", 200, 105, took=2.6), False, id="success that is too slow"),
        pytest.param(asked("list", 503, 105, took=2.6), False, id="503 that is too slow"),
        pytest.param(asked("search", 503, 105, took=29), True, id="slow search"),
        pytest.param(asked("search", 503, 105, took=31), False, id="search that is too slow"),
        pytest.param(
            asked("list", 503, 98, took=2.3), True, id="503 for a request from before the outage"
        ),
        pytest.param(asked("list", 503, 98), False, id="503 before the outage"),
        pytest.param(asked("list", 503, 112), True, id="503 at the end of the outage"),
        pytest.param(asked("list", 503, 113), False, id="503 after the outage"),
        pytest.param(
            replace(asked("list", 503, 105), retry_after=False),
            False,
            id="503 without Retry-After",
        ),
        pytest.param(asked("list", 500, 105), False, id="internal error"),
        pytest.param(asked("list", None, 105), False, id="cut connection"),
        pytest.param(asked("export", None, 105), True, id="cut export"),
        pytest.param(asked("export", None, 120), False, id="cut export after the outage"),
        pytest.param(asked("edit", 409, 105), False, id="conflict for an edit"),
        pytest.param(asked("livez", 503, 105), False, id="failed livez"),
        pytest.param(asked("readyz", 503, 105), False, id="failed readyz"),
        pytest.param(asked("readyz/database", 503, 105), True, id="reported outage"),
    ],
)
def test_each_answer_is_judged(operation: Operation, right: bool) -> None:
    """Every answer must come in time. Requests can fail only in the outage, with Retry-After."""
    assert (list(check_answers([operation], OUTAGE)) == []) is right


@pytest.mark.parametrize(
    ("operation", "right"),
    [
        pytest.param(asked("list", None, 105), True, id="cut in the outage"),
        pytest.param(asked("list", None, 113), False, id="cut after the outage"),
        pytest.param(asked("edit", 503, 105), True, id="503 for an edit in the outage"),
        pytest.param(asked("edit", 503, 113), False, id="503 for an edit after the outage"),
        pytest.param(asked("list", 503, 105), False, id="503 for a list"),
        pytest.param(asked("click", 503, 105), False, id="503 for a click"),
        pytest.param(asked("readyz", 503, 105), True, id="failed readyz"),
    ],
)
def test_a_process_that_dies_cuts_connections(operation: Operation, right: bool) -> None:
    """When a process dies or hangs, requests can break off, and locked rows can cause 503."""
    outage = replace(OUTAGE, cuts=True)
    assert (list(check_answers([operation], outage)) == []) is right


def test_outage_must_be_reported() -> None:
    """Between the fault and its cure, `/readyz/database` must answer 503."""
    outage = replace(OUTAGE, unavailable=(101, 109))
    kind = "readyz/database"
    right = [asked(kind, 200, 100.5), asked(kind, 503, 105), asked(kind, 200, 111)]
    assert list(check_answers(right, outage)) == []
    assert len(list(check_answers([*right, asked(kind, 200, 106)], outage))) == 1
    assert len(list(check_answers([right[0], right[2]], outage))) == 1
    short = replace(OUTAGE, unavailable=(101, 102))
    assert list(check_answers([right[0], right[2]], short)) == []


def test_a_violation_comes_with_its_history() -> None:
    """The text of a violation includes the history of its link, in order."""
    history = [create(), replace(edit("edited", 1), began=105)]
    lost = check(history, State({"a": [NEW]}, {"a": [("new", 0)]}), OUTAGE)[-1]
    assert str(lost).splitlines()[1:] == [f"    {operation}" for operation in history]
