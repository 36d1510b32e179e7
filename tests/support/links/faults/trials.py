"""Trials of the faults of a group: `python -m tests.support.links.faults --group TRIALS`."""

from statistics import median

from tests.support.faults.group import FAULTS, Group
from tests.support.links.faults import rounds

UNLIMITED = "1000000/minute"


def run(seed: str, trials: int) -> int:
    """Inject each fault of a group a number of times, in turns; return the number of violations."""
    wrong = 0
    with Group() as group:
        group.env["RATE_LIMIT_CREATE"] = UNLIMITED
        group.up("--build")
        token = group.exec("app", "slipway", "tokens", "create", "faults").strip()
        group.begin()
        for number in range(trials):
            for fault in FAULTS:
                print(f"group: {fault.name}", flush=True)
                violations = rounds.run(group, token, fault, seed=f"{seed}-{number}-{fault.name}")
                print(*violations, sep="\n", end="\n" if violations else "", flush=True)
                wrong += len(violations)
    return wrong


def table() -> str:
    """Return the results so far as a table in Markdown. Times are medians and maxima, in seconds.

    Redirects and creates are away until the end of the last one that failed.
    """
    head = ["fault", "trials", "redirects away", "creates away", "lost", "doubled"]
    head += ["longest answer", "500", "503 without Retry-After", "recovered"]
    rows = [
        [
            fault.name,
            f"{result.injected}",
            *(f"{median(away):.1f} / {max(away):.1f}" for away in result.away.values()),
            f"{result.found['lost']}",
            f"{result.found['doubled']}",
            f"{result.worst:.1f}",
            f"{result.errors}",
            f"{result.bare}",
            "with recover.sh" if fault.by_hand else "by itself",
        ]
        for fault in FAULTS
        if (result := rounds.RESULTS.get(fault.name))
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def has_failed() -> bool:
    """Return whether a write was lost or doubled, or an answer was 500, missing or incomplete."""
    return any(
        result.found["lost"] + result.found["doubled"] + result.errors + result.bare
        for result in rounds.RESULTS.values()
    )
