"""A client that creates links for tests."""

import uuid
from typing import Any

from tests.support.service import Service

TARGET = "https://example.com/docs"


class Links:
    """Creates links, and deletes them all when the test calls `delete`."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.codes: list[str] = []

    def create(self, **fields: Any) -> dict[str, Any]:
        """Create a link and return it."""
        answer = self.service.post("/api/links", json={"url": TARGET} | fields)
        assert answer.status_code == 201, answer.text
        link: dict[str, Any] = answer.json()
        self.codes.append(link["code"])
        return link

    def new_code(self) -> str:
        """Return a code that no other test uses. A link that gets it is deleted too."""
        self.codes.append(f"t{uuid.uuid4().hex}")
        return self.codes[-1]

    def delete(self) -> None:
        """Delete all links that have one of the codes."""
        for code in self.codes:
            self.service.delete(f"/api/links/{code}")
