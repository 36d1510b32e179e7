"""Rolling restarts of two replicas behind a load balancer, under load."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.compose import Stack, docker
from tests.support.faults.nemesis import Fault
from tests.support.faults.proxy import Proxy
from tests.support.links.faults import rounds
from tests.support.links.faults.checker import Violation
from tests.support.waiting import free_port_pair, wait_until

# The default, in seconds. In that time, each active connection gets `Connection: close`. An idle
# connection can still be closed just as its client sends a request.
SHUTDOWN_DELAY = "5"


@contextmanager
def two_replicas(stack: Stack) -> Iterator[Proxy]:
    """Run two replicas behind a load balancer, and replace the stack's URL by the balancer's."""
    url, env = stack.url, dict(stack.env)
    ports = free_port_pair()
    stack.env |= {"PORT": f"{ports[0]}-{ports[1]}", "SHUTDOWN_DELAY": SHUTDOWN_DELAY}
    try:
        stack.compose("kill", "app")  # no need to drain
        stack.up("--scale", "app=2")
        with Proxy(list(ports)) as proxy:
            stack.url = proxy.url
            yield proxy
    finally:
        stack.url, stack.env = url, env
        stack.compose("kill", "app")
        stack.compose("rm", "--force", "app")  # of two, Compose would keep any
        stack.up()


def unnoticed(stack: Stack, token: str, name: str, change: Callable[[], object]) -> list[Violation]:
    """Change two replicas under load, and return the violations. Each failed request is one."""

    def inject(_: Stack) -> float:
        began = time.time()
        change()
        return began

    fault = Fault(name, inject, lambda _: time.time(), cuts=True, limit=-math.inf)
    return rounds.run(stack, token, fault)


def run(stack: Stack, proxy: Proxy, token: str, times: int) -> list[Violation]:
    """Restart both replicas in turn, several times, and return the violations."""

    def restart_each() -> None:
        for container in stack.compose("ps", "--quiet", "app").split() * times:
            docker("restart", container)
            wait_until(lambda: all(proxy.ready.values()))

    violations = unnoticed(stack, token, "rolling restart", restart_each)
    rounds.RESULTS["rolling restart"].injected += 2 * times - 1
    return violations
