"""Marks of the parts of files that come out together, such as those of the example.

- `# NAME` alone on a line begins a part, and `# /NAME` ends it.
- `# NAME` at the end of a line marks this line. In a table, it is at the end of the last cell.

In Markdown and in templates, a mark is a comment.
"""

import re


def without(text: str, mark: str) -> str:
    """Return a text without the parts and lines that have a mark."""
    begin, end = (rf" *(#|<!--|{{#) {name}( -->| #}})?\n" for name in (mark, f"/{mark}"))
    text = re.sub(rf"^\n*{begin}.*?^{end}", "", text, flags=re.MULTILINE | re.DOTALL)
    line = rf"^.* (# {mark}|<!-- {mark} -->( \|)?|{{# {mark} #}})\n"
    return re.sub(line, "", text, flags=re.MULTILINE)
