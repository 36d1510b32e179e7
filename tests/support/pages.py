"""What the pages of the documentation hold."""

import re


def blocks(markdown: str, kind: str) -> list[str]:
    """Return what is in the blocks of code of a kind: `sh`, `console`, `python`."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", markdown, flags=re.MULTILINE | re.DOTALL)
