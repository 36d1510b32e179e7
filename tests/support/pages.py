"""Functions that read the pages of the documentation."""

import re


def blocks(markdown: str, kind: str) -> list[str]:
    """Return the contents of all code blocks of a kind, such as `sh`, `console` or `python`."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", markdown, flags=re.MULTILINE | re.DOTALL)
