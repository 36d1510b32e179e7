"""Clicks survive the death of the service."""

import threading
from collections import Counter
from functools import partial

import requests

from tests.compose import Stack
from tests.links import Links
from tests.service import Service
from tests.waiting import wait_until

ROUNDS = 10
CLIENTS = 16
CLICKS = 300  # answered in a round before the kill


class Load:
    """Clients that follow links until the service is gone, and what they know of it."""

    def __init__(self, url: str, codes: list[str]) -> None:
        self.url = url
        self.codes = codes
        self.sent: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.lock = threading.Lock()

    def has_answered(self, goal: int) -> bool:
        """Say whether so many clicks have been answered."""
        return self.answered.total() >= goal

    def run(self, first: int) -> None:
        """Follow one link after the other, until the connection breaks."""
        with Service(self.url) as client:
            for number in range(first, 100_000):
                code = self.codes[number % len(self.codes)]
                with self.lock:
                    self.sent[code] += 1
                try:
                    status = client.get(f"/{code}").status_code
                except requests.RequestException:
                    return
                assert status == 302
                with self.lock:
                    self.answered[code] += 1


def test_no_answered_click_is_lost(stack: Stack, links: Links) -> None:
    """Of a service killed under load, for each link: answered ≤ counted ≤ sent."""
    load = Load(stack.url, [links.create()["code"] for _ in range(5)])
    for _ in range(ROUNDS):
        goal = load.answered.total() + CLICKS
        clients = [threading.Thread(target=load.run, args=(n,)) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        wait_until(partial(load.has_answered, goal))
        stack.compose("kill", "--signal", "KILL", "app")
        for client in clients:
            client.join()
        stack.compose("start", "app")
        stack.wait_ready()

    counted = {
        code: links.service.get(f"/api/links/{code}").json()["clicks"] for code in load.codes
    }
    print(f"sent {load.sent}, counted {counted}, answered {load.answered}")
    assert load.sent.total() > load.answered.total()  # requests were under way at the kill
    for code in load.codes:
        assert load.answered[code] <= counted[code] <= load.sent[code]
