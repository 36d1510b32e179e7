"""Checks of private parts of a class or a module, for any library.

A check takes the name of a part. It fails if the library has no such part, or does not use it as
the service expects.
"""

import inspect
from collections.abc import Callable

Check = Callable[[str], object]


def exists(owner: object) -> Check:
    """Return a check that a class or a module has an attribute with the name."""
    return lambda name: inspect.getattr_static(owner, name)


def fits(ours: type, theirs: type) -> Check:
    """Return a check that our method overrides the library's, and accepts all its parameters."""

    def check(name: str) -> None:
        assert name in vars(ours), f"{ours.__name__} no longer overrides {name}."
        parameters = inspect.signature(inspect.getattr_static(theirs, name)).parameters
        inspect.signature(getattr(ours, name)).bind(*parameters)

    return check
