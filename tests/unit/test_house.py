"""House rules for the test files, and for all files."""

import ast
import subprocess
from collections.abc import Iterator

from tests.support.checkout import ROOT

UNCLEAR = (ast.Dict, ast.DictComp, ast.Lambda, ast.List, ast.ListComp, ast.Set, ast.Tuple)
SAMPLE = """
mark.parametrize("word", ["plain", param({}, id="name"), b"", ["list"], *[lambda: 0]])
mark.parametrize("row", [(1, 2)], ids=str)
mark.parametrize("a, b", [param(1, 2, id="name"), (1, 2), *(param(n, n) for n in x)])
mark.parametrize(("a", "b"), ROWS)
mark.parametrize(argnames="a", argvalues=["plain"])
"""


def is_named(row: ast.expr) -> bool:
    """Return whether a row is a `pytest.param(..., id=...)`."""
    return isinstance(row, ast.Call) and any(keyword.arg == "id" for keyword in row.keywords)


def is_unclear(row: ast.expr) -> bool:
    """Return whether pytest's own id for a row of one argument would mean nothing to a reader."""
    return any(
        isinstance(node, UNCLEAR) or isinstance(getattr(node, "value", None), bytes)
        for node in ast.walk(row)
    )


def rows(table: ast.expr) -> Iterator[ast.expr]:
    """Yield the rows of a table; a table that is defined elsewhere counts as one row."""
    match table:
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            for element in elements:
                yield from rows(element.value) if isinstance(element, ast.Starred) else [element]
        case ast.ListComp(elt=row) | ast.GeneratorExp(elt=row):
            yield row
        case _:
            yield table


def unnamed_rows(source: str) -> Iterator[int]:
    """Yield the line number of each row in a source that needs an id and has none."""
    for call in ast.walk(ast.parse(source)):
        match call:
            case ast.Call(func=ast.Attribute(attr="parametrize"), args=[names, table]):
                if any(keyword.arg == "ids" for keyword in call.keywords):
                    continue
                several = not isinstance(names, ast.Constant) or "," in str(names.value)
                for row in rows(table):
                    if not is_named(row) and (several or is_unclear(row)):
                        yield row.lineno
            case ast.Call(func=ast.Attribute(attr="parametrize")):
                yield call.lineno  # the table is not a positional argument, so it can't be checked


def test_unnamed_rows_are_found() -> None:
    """The search finds exactly the rows of a sample that need an id and have none."""
    assert sorted(unnamed_rows(SAMPLE)) == [2, 2, 2, 4, 4, 5, 6]


def test_rows_of_tables_have_names() -> None:
    """Every row with several arguments, bytes or a collection has an id that explains a failure.

    Use `pytest.param(..., id="...")` for a row, or `ids=` for a whole table.
    """
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(ROOT.glob("tests/**/*.py"))
        for line in unnamed_rows(path.read_text())
    ]
    assert found == []


def test_no_mark_of_a_merge_is_left() -> None:
    """No file has lines with which git marks a conflict."""
    command = ["git", "grep", "-InE", "^(<{7}|>{7}) "]
    found = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert (found.stdout, found.returncode) == ("", 1)  # 1: no line was found
