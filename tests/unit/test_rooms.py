"""The layers of app/, called rooms here: allowed imports, size limits, separate example."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

# Each room imports only itself and those before it (docs/code.md). All other rooms are features,
# such as the example. A feature can import all rooms in this list, but none of them a feature.
ORDER = [
    "database_url",
    "setting_checks",
    "config",
    "telemetry",
    "database",
    "api",
    "identity",
    "server",
    "health",
    "hello",
    "cli",
]
PUT_TOGETHER = {"__init__.py", "__main__.py"}  # these are allowed to import all rooms
MAY_IMPORT_GEVENT = {
    "gunicorn.conf.py",
    *(f"app/database/{name}.py" for name in ("batching", "driver", "hosts")),
}
MODULE_LIMIT, FUNCTION_LIMIT = 300, 50  # lines; a function's docstring does not count

MODULES = sorted(ROOT.glob("app/**/*.py"))
ROOMS = {path.name.removesuffix(".py") for path in ROOT.glob("app/*")} - {"__init__", "__main__"}
SOURCES = [*MODULES, ROOT / "gunicorn.conf.py", *ROOT.glob("db/**/*.py"), *ROOT.glob("deploy/*.py")]
TESTS = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("bench/**/*.py"), *ROOT.glob("bench/*")]


def relative(path: Path) -> str:
    """Return a path relative to the root of the project."""
    return str(path.relative_to(ROOT))


def is_python(path: Path) -> bool:
    """Return whether a file is Python, by its suffix or by its first line."""
    return path.is_file() and (path.suffix == ".py" or "python3" in path.read_text().split("\n")[0])


def imported(source: str) -> Iterator[str]:
    """Yield the full name of each module, or of each object in a module, that source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: Path) -> str:
    """Return the name of the room that a module of app/ is in."""
    return module.relative_to(ROOT / "app").parts[0].removesuffix(".py")


def too_early(module_room: str, source: str) -> set[str]:
    """Return the rooms that a source imports, although they come after its own room."""
    names = [name.split(".")[1] for name in imported(source) if name.startswith("app.")]
    before = ORDER[: ORDER.index(module_room) + 1] if module_room in ORDER else ROOMS
    return {name for name in names if name in ROOMS and name not in before}


def long_functions(source: str) -> list[str]:
    """Return the names of the functions in a source that have too many lines."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            has_docstring = ast.get_docstring(node) is not None
            body = node.body[1:] if has_docstring else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if lines > FUNCTION_LIMIT:
                found.append(node.name)
    return found


def test_rooms_import_only_those_before_them() -> None:
    """Each room imports only rooms before it, including imports inside functions."""
    for module in MODULES:
        if relative(module).removeprefix("app/") not in PUT_TOGETHER:
            assert not too_early(room(module), module.read_text()), relative(module)


def test_order_names_rooms() -> None:
    """Every room in the order exists."""
    assert set(ORDER) < ROOMS


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param("from app.database import retry", set(), id="a room before"),
        pytest.param("from app.api import etags", set(), id="its own room"),
        pytest.param("import app.server.worker", {"server"}, id="a module"),
        pytest.param("from app import identity, config", {"identity"}, id="a room by name"),
        pytest.param("def f():\n from app.health import check", {"health"}, id="in a function"),
    ],
)
def test_imports_are_found_in_every_form(source: str, found: set[str]) -> None:
    """`too_early` finds imports in every form of the import statement."""
    assert too_early("api", source) == found


def test_gevent_is_known_to_the_server_and_three_files_of_the_database() -> None:
    """Outside app/server, gunicorn.conf.py and three files of the database import gevent."""
    for source in SOURCES:
        path = relative(source)
        names = {name.partition(".")[0] for name in imported(source.read_text())}
        if not path.startswith("app/server/") and path not in MAY_IMPORT_GEVENT:
            assert "gevent" not in names, path


def test_modules_are_short() -> None:
    """A module has at most 300 lines, including tests and benchmarks."""
    files = [path for path in {*SOURCES, *TESTS} if is_python(path)]
    assert not {
        relative(path): lines
        for path in files
        if (lines := len(path.read_text().splitlines())) > MODULE_LIMIT
    }


def test_functions_are_short() -> None:
    """A function's body has at most 50 lines."""
    files = [path for path in {*SOURCES, *TESTS} if is_python(path)]
    found = {relative(path): long_functions(path.read_text()) for path in files}
    assert not {path: names for path, names in found.items() if names}


def test_long_functions_are_found() -> None:
    """The limit counts the lines of the body without the docstring."""
    body = "\n".join(["    x = 1"] * FUNCTION_LIMIT)
    assert long_functions(f'def f():\n    """Say.\n\n    More.\n    """\n{body}\n') == []
    assert long_functions(f"def f():\n{body}\n    x = 2\n") == ["f"]
