"""Finds the private parts of libraries that the service's code uses, from its syntax trees."""

import ast
import builtins
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.checkout import ROOT

FILES = [
    *sorted(ROOT.glob("app/**/*.py")),
    ROOT / "gunicorn.conf.py",
    ROOT / "db" / "migrations" / "env.py",
]
NO_LIBRARIES = {*sys.stdlib_module_names, "app", "_typeshed"}
CONTEXT = {"g", "request", "session"}  # Flask's proxies: what is set on them belongs to one request
ACCESSORS = {"getattr", "hasattr", "setattr", "delattr"}


class Use(NamedTuple):
    """A use of a private name, or an assignment into a library."""

    file: str
    line: int
    name: str
    patched: str = ""  # the library that is assigned to; empty for a plain use

    def __str__(self) -> str:
        """Return the place as `file:line`, which editors can open, and the name."""
        return f"{self.file}:{self.line}: {self.name}"


def is_private(name: str) -> bool:
    """Return whether a name begins with an underscore, and is not like `__init__` or `_`."""
    return name.startswith("_") and not name.endswith("__") and bool(name.strip("_"))


def uses(path: Path) -> list[Use]:
    """Return the private parts of libraries that a file uses, and its patches of libraries."""
    return uses_in(path.read_text(), str(path.relative_to(ROOT)))


def uses_in(text: str, file: str) -> list[Use]:
    """Return the uses in the text of a file. Base classes are looked up in the imported module."""
    tree = ast.parse(text)
    names = {name for owner in classes(tree) for name, _ in defined(owner)}
    inherited = {name for owner in classes(tree) for name in inherited_names(owner, names, file)}
    found = [
        *((line, name) for line, name in accesses(tree) if name not in names - inherited),
        *(
            (line, name)
            for owner in classes(tree)
            for name, line in defined(owner)
            if name in inherited
        ),
    ]
    patched = (Use(file, *patch) for patch in patches(tree, text.splitlines()))
    return sorted({*(Use(file, *each) for each in found), *patched})


def classes(tree: ast.AST) -> Iterator[ast.ClassDef]:
    """Yield all classes, including those inside functions."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def defined(owner: ast.ClassDef) -> Iterator[tuple[str, int]]:
    """Yield the private names that a class defines, or sets in its methods, with their lines."""
    for statement in owner.body:
        match statement:
            case ast.FunctionDef(name):
                found = [name]
            case ast.Assign([ast.Name(name)]) | ast.AnnAssign(ast.Name(name)):
                found = [name]
            case _:
                found = []
        yield from ((name, statement.lineno) for name in found if is_private(name))
    for node in ast.walk(owner):
        match node:
            case ast.Attribute(ast.Name("self"), name, ast.Store()) if is_private(name):
                yield name, node.lineno


def inherited_names(owner: ast.ClassDef, names: set[str], file: str) -> Iterator[str]:
    """Yield the names that also occur in a library's base class or in its source."""
    for base in (lookup(node, file) for node in owner.bases):
        for each in base.__mro__ if isinstance(base, type) else ():
            if each.__module__.partition(".")[0] not in NO_LIBRARIES:
                yield from names & private_words(each)


def lookup(node: ast.expr, file: str) -> Any:
    """Return the class that the expression of a base class refers to."""
    match node:
        case ast.Subscript(value):
            return lookup(value, file)
        case ast.Attribute(value, name):
            return getattr(lookup(value, file), name)
        case ast.Name(name):
            module = import_module(file.removesuffix(".py").replace("/", "."))
            return {**vars(builtins), **vars(module)}[name]
    raise TypeError(f"{file}:{node.lineno}: the base class is neither a name nor an attribute")


@cache
def private_words(owner: type) -> set[str]:
    """Return the names of a class, and the private names in its source if that is Python."""
    try:
        source = inspect.getsource(owner)
    except (OSError, TypeError):
        source = ""
    return {*dir(owner), *re.findall(r"\b_\w+", source)}


def accesses(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield all private names that are read from or set on objects, or imported from libraries."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(_, name):
                found = [name]
            case ast.Call(ast.Name(function), [_, ast.Constant(str(name)), *_]):
                found = [name] if function in ACCESSORS else []
            case ast.ImportFrom(module, names) if str(module).split(".")[0] not in NO_LIBRARIES:
                found = [*str(module).split("."), *(alias.name for alias in names)]
            case ast.Import(names):
                paths = [alias.name.split(".") for alias in names]
                found = [part for path in paths if path[0] not in NO_LIBRARIES for part in path]
            case _:
                found = []
        line = getattr(node, "lineno", 0)
        yield from ((line, name) for name in found if is_private(name))


def patches(tree: ast.Module, lines: list[str]) -> Iterator[tuple[int, str, str]]:
    """Yield line, name and library of all assignments into what was imported from a library."""
    everywhere = imports(node for node in tree.body)
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    for scope in (tree, *functions):
        here = everywhere | (imports(ast.walk(scope)) if scope is not tree else {})
        for node in ast.walk(scope):
            match node:
                case ast.Attribute(value, name, ast.Store() | ast.Del()):
                    library = here.get(root(value), "")
                case ast.Call(ast.Name("setattr" | "delattr"), [value, ast.Constant(str(name)), _]):
                    library = here.get(root(value), "")
                case _:
                    continue
            # A patch of an object's method needs a comment for mypy, by which it is found.
            if library or "method-assign" in lines[node.lineno - 1]:
                yield node.lineno, name, library or "?"


def imports(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """Return the library of each name that is imported from one, except Flask's context."""
    return {
        alias.asname or alias.name.partition(".")[0]: library
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (library := (getattr(node, "module", None) or alias.name).partition(".")[0])
        not in NO_LIBRARIES
        and alias.name not in CONTEXT
    }


def root(node: ast.AST) -> str:
    """Return the first name of an expression such as `name.attribute.call().attribute`."""
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return node.id if isinstance(node, ast.Name) else ""
