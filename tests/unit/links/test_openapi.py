"""The links between operations in the OpenAPI document."""

from tests.support import contract
from tests.unit.test_openapi import operations


def test_links_can_always_be_followed() -> None:
    """Each parameter of a link is a field that every such response has."""
    checked = set()
    for _, _, operation in operations():
        for response in map(contract.follow, operation["responses"].values()):
            for name, link in response.get("links", {}).items():
                (content,) = response["content"].values()
                required = contract.follow(content["schema"])["required"]
                for expression in link["parameters"].values():
                    source, _, field = expression.partition("#/")
                    assert (source, field in required) == ("$response.body", True), expression
                checked.add(name)
    assert checked == {"next", "read", "change", "delete", "clicks"}
