"""A stack with a group of three MySQL servers, and faults of the group."""

import time
from collections.abc import Callable
from contextlib import suppress
from subprocess import CalledProcessError

from tests.support.checkout import ROOT
from tests.support.compose import Stack, docker, run
from tests.support.faults.nemesis import WRITE, Fault
from tests.support.pages import blocks
from tests.support.waiting import wait_until

FOLDER, PAGE = ROOT / "deploy" / "group", ROOT / "docs" / "group.md"
# The commands of the page that make a stack a group.
SETTING, *STEPS = blocks(PAGE.read_text(), "sh")[:3]
MEMBERS = ["db", "db-2", "db-3"]
TABLE = "performance_schema.replication_group_members"
STATES = f"SELECT member_host, member_state FROM {TABLE}"


class Group(Stack):
    """A stack whose database is a group, once `begin` has been called."""

    def begin(self) -> None:
        """Make the running stack a group, with the commands of docs/group.md."""
        self.use_files()
        for each in STEPS:
            run("bash", "-ec", each, cwd=self.root, env=self.env)
        self.wait_complete()

    def use_files(self) -> None:
        """Make Compose read the group's files too."""
        files = SETTING.partition("COMPOSE_FILE=")[2].partition("'")[0]
        self.env |= {"COMPOSE_FILE": files, "COMPOSE_DISABLE_ENV_FILE": "1"}

    def end(self) -> None:
        """Make it a stack with one server again, as docs/group.md says."""
        end, restart = blocks(PAGE.read_text().partition("## Back to one server")[2], "sh")
        run("bash", "-ec", end, cwd=self.root, env=self.env)
        del self.env["COMPOSE_FILE"]
        run("bash", "-ec", restart, cwd=self.root, env=self.env)

    def mysql_root(self, sql: str, service: str = "") -> list[list[str]]:
        """Run SQL as root on a member, by default the primary, and return the rows."""
        return super().mysql_root(sql, service or self.primary())

    def primary(self) -> str:
        """Return the member that accepts writes, and wait for it if there is none."""
        found = ""

        def is_found() -> bool:
            nonlocal found
            for member in MEMBERS:
                with suppress(CalledProcessError):
                    if self.mysql_root("SELECT @@super_read_only", member) == [["0"]]:
                        found = member
            return bool(found)

        wait_until(is_found, 120)
        return found

    def wait_complete(self) -> None:
        """Wait until all three members are in the group, and agree on that."""
        complete = sorted([member, "ONLINE"] for member in MEMBERS)

        def is_complete() -> bool:
            with suppress(CalledProcessError):
                return all(
                    sorted(self.mysql_root(STATES, member)) == complete for member in MEMBERS
                )
            return False

        wait_until(is_complete, 180)


def write_works(group: Stack) -> float:
    """Wait until a member accepts a write, and return the time."""

    def is_written() -> bool:
        with suppress(CalledProcessError):
            group.mysql_root(f"USE slipway; {WRITE}")
            return True
        return False

    wait_until(is_written, 120)
    return time.time()


def move(group: Group, primary: str) -> None:
    """Make another member the primary, as before maintenance."""
    other = next(member for member in MEMBERS if member != primary)
    [command] = [block for block in blocks(PAGE.read_text(), "sh") if "set_as_primary" in block]
    run("bash", "-ec", command.replace("db-2", other), cwd=group.root, env=group.env)


def kill_members(group: Group, members: list[str]) -> None:
    """Kill containers. Docker does not restart them."""
    docker("kill", *map(group.id, members))


def start_members(group: Group, members: list[str]) -> None:
    """Start containers."""
    docker("start", *map(group.id, members))


def recover(group: Group) -> None:
    """Begin the group again, as docs/group.md says."""
    run(FOLDER / "recover.sh", cwd=group.root, env=group.env)


def _fault(
    name: str,
    hurt: Callable[[Group, str], object],
    heal: Callable[[Group, str], object] = lambda _group, _primary: None,
    *,
    by_hand: bool = False,
) -> Fault:
    """Return a fault of the primary, which the group overcomes by itself, or only after `heal`."""
    primaries: list[str] = []

    def inject(group: Stack) -> float:
        assert isinstance(group, Group)
        primaries.append(group.primary())
        began = time.time()
        hurt(group, primaries[-1])
        return began

    def cure(group: Stack) -> float:
        assert isinstance(group, Group)
        if by_hand:
            heal(group, primaries[-1])
            back = write_works(group)
        else:
            back = write_works(group)
            heal(group, primaries[-1])
        group.wait_complete()
        return back

    return Fault(name, inject, cure, lasts=False, by_hand=by_hand)


def _others(primary: str) -> list[str]:
    return [member for member in MEMBERS if member != primary]


def _start_and_recover(group: Group, members: list[str]) -> None:
    start_members(group, members)
    recover(group)


FAULTS = [
    _fault("primary moved", move),
    _fault(
        "primary killed",
        lambda group, primary: group.exec(primary, "bash", "-c", "kill -KILL $(pidof mysqld)"),
    ),
    _fault(
        "primary's container killed",
        lambda group, primary: kill_members(group, [primary]),
        lambda group, primary: start_members(group, [primary]),
    ),
    _fault(
        "primary stopped",
        lambda group, primary: docker("stop", group.id(primary)),
        lambda group, primary: start_members(group, [primary]),
    ),
    _fault(
        "primary hangs",
        lambda group, primary: docker("pause", group.id(primary)),
        lambda group, primary: docker("unpause", group.id(primary)),
    ),
    _fault(
        "primary cut off",
        lambda group, primary: docker(
            "network", "disconnect", f"{group.project}_backend", group.id(primary)
        ),
        lambda group, primary: docker(
            "network", "connect", "--alias", primary, f"{group.project}_backend", group.id(primary)
        ),
    ),
    _fault(
        "majority killed",
        lambda group, primary: kill_members(group, _others(primary)),
        lambda group, primary: _start_and_recover(group, _others(primary)),
        by_hand=True,
    ),
    _fault(
        "all killed",
        lambda group, _primary: kill_members(group, MEMBERS),
        lambda group, _primary: _start_and_recover(group, MEMBERS),
        by_hand=True,
    ),
]
