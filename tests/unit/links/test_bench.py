"""The ratios and tables that bench/compare makes, and that its peer with an API is up to date."""

import ast

import pytest

from app.links.schemas import LinkSchema
from bench.ratios import Target, ratios, spread, table
from tests.support.checkout import ROOT


def test_ratios_are_those_of_each_round() -> None:
    """Ratios compare figures of the same round, so a slow machine affects both sides equally."""
    assert ratios([100, 20, 90], [50, 10, 30]) == [2, 2, 3]


def test_rounds_must_be_the_same() -> None:
    """Different numbers of rounds are an error."""
    with pytest.raises(ValueError, match="zip"):
        ratios([1, 2], [1])


def test_spread_tells_the_median_and_extremes() -> None:
    """A spread shows the median, then the extremes, all with the same number of digits."""
    assert spread([1500, 900, 2000]) == "1,500 (900 to 2,000)"
    assert spread([1, 4], 1) == "2.5 (1.0 to 4.0)"


@pytest.mark.parametrize(
    ("measured", "at_most", "row"),
    [
        pytest.param(
            [1, 2, 3], False, ["it", "at least 2", "2.00 (1.00 to 3.00)", "yes"], id="at least, met"
        ),
        pytest.param(
            [1, 1.9, 3],
            False,
            ["it", "at least 2", "1.90 (1.00 to 3.00)", "**no**"],
            id="at least, missed",
        ),
        pytest.param(
            [1, 2, 3], True, ["it", "at most 2", "2.00 (1.00 to 3.00)", "yes"], id="at most, met"
        ),
        pytest.param(
            [1, 2.1, 3],
            True,
            ["it", "at most 2", "2.10 (1.00 to 3.00)", "**no**"],
            id="at most, missed",
        ),
    ],
)
def test_median_decides(measured: list[float], at_most: bool, row: list[str]) -> None:
    """A target is met if the median is at least, or at most, its bound."""
    assert Target("it", 2, measured, at_most).row() == row


def test_table_is_markdown() -> None:
    """The table has a line for the head, for the separator and for each row."""
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_peer_returns_the_same_fields() -> None:
    """FastAPI's link has the fields of ours: bench/compare ends if their JSON differs."""
    tree = ast.parse((ROOT / "bench" / "peers" / "fastapi" / "main.py").read_text())
    [link] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Shown"]
    names = [node.target for node in link.body if isinstance(node, ast.AnnAssign)]
    assert list(map(ast.unparse, names)) == list(LinkSchema().fields)
