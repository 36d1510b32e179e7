"""Helpers that read the pages of links."""

import re

XSS = "<script>alert(1)</script>\"'&{{7*7}}"


def listed(page: str) -> list[str]:
    """Return the codes in a list, in its order."""
    return re.findall(r'<a class="code" href="/links/([\w-]+)"', page)


def is_wrong(page: str, field: str) -> bool:
    """Say whether a page tells what is wrong with a field, so that everybody finds it."""
    [tag] = re.findall(rf'<(?:input|textarea) id="{field}"[^>]*>', page)
    described = re.search('aria-describedby="([^"]*)"', tag)
    return bool('aria-invalid="true"' in tag and described and f"{field}-wrong" in described[1])
