"""Functions that read the HTML pages of links."""

import re

XSS = "<script>alert(1)</script>\"'&{{7*7}}"


def listed(page: str) -> list[str]:
    """Return the codes in a page's list of links, in its order."""
    return re.findall(r'<strong class="code">([\w-]+)</strong></a>', page)


def is_wrong(page: str, field: str) -> bool:
    """Return whether a page marks a field as invalid and links it to its message (ARIA)."""
    [tag] = re.findall(rf'<(?:input|textarea) id="{field}"[^>]*>', page)
    described = re.search('aria-describedby="([^"]*)"', tag)
    return bool('aria-invalid="true"' in tag and described and f"{field}-wrong" in described[1])
