"""The settings of `.env.example` and `docs/configuration.md`, written from `app/config.py`.

`make settings` runs this module. A test compares both files with what it would write.
"""

import re
import textwrap
from dataclasses import Field, fields

from marshmallow.validate import OneOf, Range

from app.config import RateLimit, Settings
from tests.support.checkout import ROOT

EXAMPLE = ROOT / ".env.example"
PAGE = ROOT / "docs" / "configuration.md"
TABLE = re.compile(r"(?<=<!-- make settings writes this table -->\n).*?(?=\n\n)", re.DOTALL)


def default_of(setting: Field[object]) -> str:
    """Return a setting's default as it would be written in the environment, or nothing."""
    return str(setting.default) if isinstance(setting.default, str | int | RateLimit) else ""


def description(setting: Field[object]) -> str:
    """Return what a setting is for, with the values that it accepts."""
    text = str(setting.metadata["text"])
    for rule in setting.metadata["kind"].validators:
        if isinstance(rule, Range):
            text += f" {rule.min} to {rule.max}."
        elif isinstance(rule, OneOf):
            text += f" One of {', '.join(rule.choices)}."
    return text


def example(before: str) -> str:
    """Return `.env.example` with the comment and the default of each setting renewed.

    The order of the settings and everything else stay as they are in `before`.
    """
    for setting in fields(Settings):
        name = setting.name.upper()
        comment = textwrap.indent(textwrap.fill(description(setting), 98), "# ")
        block = f"{comment}\n#{name}={default_of(setting)}\n"
        old = re.search(rf"(?:^# .*\n)*^#{name}=.*\n", before, flags=re.MULTILINE)
        if not old:
            raise ValueError(f".env.example has no line #{name}=")
        before = before.replace(old[0], block)
    return before


def page(before: str) -> str:
    """Return `docs/configuration.md` with its table of settings renewed."""
    rows = ["| setting | default | |", "|---|---|---|"]
    for setting in fields(Settings):
        name, default = setting.name.upper(), default_of(setting)
        shown = f" `{default}`" if default else ""
        rows.append(f"| `{name}` |{shown} | {description(setting)} |")
    return before.replace(TABLE.findall(before)[0], "\n".join(rows))


if __name__ == "__main__":
    EXAMPLE.write_text(example(EXAMPLE.read_text()))
    PAGE.write_text(page(PAGE.read_text()))
