"""`make faults`: random faults, faults of a group, rolling restarts, and 100,000 requests.

`python -m tests.support.links.faults --group 5` runs only five trials of each fault of a group.
"""

import argparse
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.support.compose import Stack
from tests.support.faults import nemesis
from tests.support.links.faults import memory, rolling, rounds, trials

TIME = 600  # seconds
HOLD = 5.0  # seconds: the longest time that a fault lasts after all clients have noticed it
ROLLING = 10  # restarts of each replica
REQUESTS = 100_000
WARM_UP = 10_000  # requests before the first measurement of memory


def mixed(stacks: dict[str, Stack], tokens: dict[str, str], seed: str) -> int:
    """Inject random faults for `TIME`, each on its stack; return the number of violations."""
    chance = Random(seed)  # noqa: S311 no secret
    faults = [*nemesis.DATABASE, *nemesis.SERVICE, nemesis.DISK_FULL]
    wrong, number, end = 0, 0, time.monotonic() + TIME
    while time.monotonic() < end:
        number += 1
        # Inject each fault once before any is repeated.
        if number % len(faults) == 1:
            chance.shuffle(faults)
        fault, hold = faults[number % len(faults)], chance.uniform(0, HOLD)
        name = "small" if fault is nemesis.DISK_FULL else "large"
        print(f"{number}: {fault.name}, {hold:.1f} s", flush=True)
        violations = rounds.run(
            stacks[name], tokens[name], fault, seed=f"{seed}-{number}", hold=hold
        )
        print(*violations, sep="\n", end="\n" if violations else "", flush=True)
        wrong += len(violations)
    return wrong


def main() -> None:
    """Run all faults and print the results. Exit with 1 if a promise was broken."""
    seed = os.environ.get("SEED") or secrets.token_hex(4)
    print(f"SEED={seed}", flush=True)
    parser = argparse.ArgumentParser()
    parser.add_argument("--group", type=int, metavar="TRIALS")
    if number := parser.parse_args().group:
        try:
            trials.run(seed, number)
        finally:  # also after Ctrl-C
            print(f"\n{trials.table()}", flush=True)
        sys.exit(trials.has_failed())
    with tempfile.TemporaryDirectory() as folder, Stack() as large, Stack(tag=large.tag) as small:
        nemesis.limit_disk(small, Path(folder))
        stacks, tokens = {"large": large, "small": small}, {}
        for name, stack in stacks.items():
            stack.env["RATE_LIMIT_CREATE"] = trials.UNLIMITED
            stack.up(*(["--build"] if stack is large else []))
            tokens[name] = stack.exec("app", "slipway", "tokens", "create", "faults").strip()
        wrong = mixed(stacks, tokens, seed)
        small.remove()
        wrong += trials.run(seed, 1)
        with rolling.two_replicas(large) as proxy:
            violations = rolling.run(large, proxy, tokens["large"], ROLLING)
        print(*violations, sep="\n")
        before, after = memory.run(large, tokens["large"], WARM_UP, REQUESTS)
    print(rounds.table())
    print(f"\nMemory of the service before and after {REQUESTS:,} requests: {before}, {after} MB")
    print(f"SEED={seed}")
    sys.exit(bool(wrong or violations or after > before * memory.GROWTH))


if __name__ == "__main__":
    main()
