"""The example is separate from all other rooms."""

from tests.support.checkout import ROOT
from tests.unit.test_rooms import SOURCES, imported, relative


def test_only_create_app_imports_the_example() -> None:
    """Outside app/links, only two lines of create_app() use the example, so it can be removed."""
    for source in SOURCES:
        path = relative(source)
        if not path.startswith("app/links/") and path != "app/__init__.py":
            names = imported(source.read_text())
            assert not [name for name in names if f"{name}.".startswith("app.links.")], path
    factory = (ROOT / "app" / "__init__.py").read_text()
    assert len([line for line in factory.splitlines() if "links" in line]) == 2
