"""A simple browser for the pages: it keeps cookies and submits forms, without JavaScript."""

import html
import re
from typing import Any, Self

import requests

ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


class Visitor(requests.Session):
    """A session of one browser. With a token, it is signed in. It follows no redirects."""

    def __init__(self, url: str, token: str = "") -> None:
        super().__init__()
        self.url = url
        self.headers["Accept"] = ACCEPT
        if token:
            answer = self.submit("/sign-in", token=token)
            assert answer.status_code == 303, answer.text

    def again(self) -> Self:
        """Return another visitor of the same service, without cookies."""
        return type(self)(self.url)

    def request(self, method: str | bytes, url: str | bytes, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request to a path of the service.

        Every page must have a strict Content-Security-Policy, and no inline style or script.
        """
        options = {"timeout": 30, **options, "allow_redirects": False}
        answer = super().request(method, self.url + str(url), **options)
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert not re.search(r"<style|<script>|\sstyle=|\son\w+=", answer.text)
        return answer

    def submit(self, path: str, **fields: str) -> requests.Response:
        """Load a page, fill in its main form and submit it."""
        return self.post(path, data=form(self.get(path).text) | fields)


def form(page: str) -> dict[str, str]:
    """Return the values in the fields of a page's main form, the first one, by their names."""
    main = page.partition("<main")[2]
    [content, *_] = re.findall(
        r'<form[^>]* method="post".*?</form>|<form method="post".*?</form>', main, re.DOTALL
    )
    found = {}
    for tag in re.findall(r"<input[^>]*>", content):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if attributes.get("type") != "file":
            found[attributes["name"]] = html.unescape(attributes.get("value", ""))
    for name, text in re.findall(
        r'<textarea[^>]* name="(\w+)"[^>]*>\n?(.*?)</textarea>', content, re.DOTALL
    ):
        found[name] = html.unescape(text)
    return found


def form_key(visitor: Visitor) -> str:
    """Return the CSRF token (`form_key`) in this visitor's forms."""
    [key] = set(re.findall(r'name="form_key" value="([^"]+)"', visitor.get("/docs").text))
    return str(key)


def is_in(visitor: Visitor) -> bool:
    """Return whether the visitor is signed in."""
    return "Sign out" in visitor.get("/docs").text
