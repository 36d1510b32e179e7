"""What the OpenAPI document says of links, and of the links between operations."""

import re
from itertools import product

from app.api.resources import Timestamp
from app.links.schemas import NEW_EXPIRES_AT
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


def test_documented_times_are_accepted() -> None:
    """Each time that matches its documented pattern is accepted, at both ends of the range too."""
    days = ("1969-12-31", "1970-01-01", "1970-01-02", "9999-12-30", "9999-12-31")
    hours, offsets = ("00:00", "12:00", "23:59"), ("Z", "+00:00", "+23:59", "-00:00", "-23:59")
    times = [f"{day}T{hour}:59{offset}" for day, hour, offset in product(days, hours, offsets)]
    documented = [time for time in times if re.fullmatch(str(NEW_EXPIRES_AT["pattern"]), time)]
    for time in documented:
        Timestamp().deserialize(time)
    assert len(documented) == 30 + 9 + 9
