"""Faults for a stack. Each has an injection and a cure, and states what clients can notice."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.compose import Stack, docker, run
from tests.support.waiting import wait_until

BACK_WITHIN = 2.0  # seconds after the database is back
HANG_WITHIN = 20.0  # seconds: gunicorn's `timeout` of 15 s, plus time to replace the worker
START_WITHIN = 30.0  # seconds until Docker has restarted a container and the service is ready
IN_FLIGHT = 0.1  # seconds: a request can be on its way to a worker when that is killed

# Runs in the database's container. It prints the time at which the service's account can run a
# statement again.
WHEN_IT_WORKS = """
export MYSQL_PWD=$(</run/secrets/app_password)
until mysql --host=127.0.0.1 --user=app --execute='{}' slipway; do
  sleep 0.02
done &>/dev/null
echo $EPOCHREALTIME
"""
WRITE = """
INSERT INTO rate_limits VALUES ("probe", 0, 0, NOW()) ON DUPLICATE KEY UPDATE hits = hits + 1;
DELETE FROM rate_limits WHERE client = "probe"
"""
BALLAST = "/var/lib/mysql/ballast"
# A new database needs 205 MB. The volume is in memory, and would be lost with the last container
# that uses it: `holder` outlives a restart of the database.
SMALL_DISK = """
services:
  holder:
    image: mysql:9.7
    entrypoint: [sleep, infinity]
    init: true
    network_mode: none
    volumes: ["data:/data:ro"]
volumes:
  data:
    driver_opts: {type: tmpfs, device: tmpfs, o: "size=320m,uid=999,gid=999,mode=750"}
"""

# Runs in the service's container, where process 1 is Docker's init and its child is gunicorn's
# master. Processes that are stopped (T) or zombies (Z) do not count as workers.
WORKERS = """
import os, signal, time
from contextlib import suppress
from pathlib import Path
states, parents = {}, {}
for status in Path("/proc").glob("[0-9]*/stat"):
    with suppress(OSError):  # the process has just ended
        pid = int(status.parent.name)
        states[pid], parents[pid] = status.read_text().rpartition(")")[2].split()[:2]
master = next(pid for pid in parents if parents[pid] == "1")
workers = [p for p in parents if parents[p] == str(master) and states[p] not in "TZ"]
"""


@dataclass(frozen=True)
class Fault:
    """A fault: how to inject and cure it, and which effects on clients are allowed."""

    name: str
    inject: Callable[[Stack], float]
    """Starts the fault, and returns when it began, in seconds since the epoch."""
    cure: Callable[[Stack], float]
    """Ends the fault, and returns when the broken part worked again, in the same unit."""
    cuts: bool = False
    """Whether requests are allowed to end without an answer. Otherwise they must get 503."""
    limit: float = 0
    """With `cuts`: the seconds after the injection in which such requests can begin."""
    lasts: bool = True
    """Whether the fault stays until `cure` ends it. Otherwise Docker or gunicorn ends it."""
    unavailable: bool = False
    """Whether `/readyz/database` must answer 503 during the fault."""
    by_hand: bool = False
    """Whether the service stays away until somebody runs a command, which `cure` does."""


def _when(stack: Stack, service: str, code: str) -> float:
    """Run code in a container, as bash for `db` and otherwise as Python; return the time it prints.

    Try again for two minutes as long as it prints none.
    """
    shell = ("bash", "-c") if service == "db" else ("python3", "-c")
    printed = ""

    def ran() -> bool:  # while the container is still starting, Docker prints an error instead
        nonlocal printed
        printed = run(*stack.inside(service, *shell, code), check=False).strip()
        return printed.replace(".", "").isdecimal()

    wait_until(ran, 120)
    return float(printed)


def database_back(stack: Stack) -> float:
    """Wait for the database, and return when it first answered the service's account over TCP."""
    return _when(stack, "db", WHEN_IT_WORKS.format("SELECT 1"))


def kill_mysqld(stack: Stack) -> float:
    """Kill the server's process. Docker then restarts its container."""
    return _when(stack, "db", "echo $EPOCHREALTIME; kill -KILL $(pidof mysqld)")


def kill_database(stack: Stack) -> float:
    """Kill the database's container. Docker does not restart it."""
    began = time.time()
    docker("kill", stack.id("db"))
    return began


def start_database(stack: Stack) -> float:
    """Start the database's container, and return when it first answered."""
    docker("start", stack.id("db"))
    return database_back(stack)


def stop_database(stack: Stack) -> float:
    """Stop the database with an orderly shutdown."""
    began = time.time()
    docker("stop", stack.id("db"))
    return began


def pause_database(stack: Stack) -> float:
    """Freeze the database: its connections stay open, but nothing arrives on them."""
    began = time.time()
    docker("pause", stack.id("db"))
    return began


def unpause_database(stack: Stack) -> float:
    """Let the frozen database continue."""
    docker("unpause", stack.id("db"))
    return time.time()


def cut_off(stack: Stack) -> float:
    """Disconnect the database from the network: packets get lost, and its name is unknown."""
    began = time.time()
    docker("network", "disconnect", f"{stack.project}_backend", stack.id("db"))
    return began


def connect(stack: Stack) -> float:
    """Connect the database to its network again."""
    docker("network", "connect", "--alias", "db", f"{stack.project}_backend", stack.id("db"))
    return time.time()


def limit_disk(stack: Stack, folder: Path) -> None:
    """Give the database a small volume. Call this before the stack is started."""
    override = folder / "small-disk.yaml"
    override.write_text(SMALL_DISK)
    stack.env["COMPOSE_FILE"] = f"docker-compose.yaml{os.pathsep}{override}"


def fill_disk(stack: Stack) -> float:
    """Fill the database's volume."""
    return _when(stack, "db", f"echo $EPOCHREALTIME; cat /dev/zero 2>/dev/null >{BALLAST}")


def free_disk(stack: Stack) -> float:
    """Free the database's volume, and return when MySQL can write: it checks once a minute."""
    return _when(stack, "db", f"rm {BALLAST}; {WHEN_IT_WORKS.format(WRITE)}")


def free_disk_and_restart(stack: Stack) -> float:
    """Free the database's volume and restart MySQL, which otherwise waits up to a minute."""
    stack.exec("db", "rm", BALLAST)
    docker("restart", "--time", "0", stack.id("db"))
    return database_back(stack)


def forbid_writes(stack: Stack) -> float:
    """Make the database read-only, like a server that is not the primary during a failover."""
    began = time.time()
    stack.mysql_root("SET GLOBAL super_read_only = 1")
    return began


def allow_writes(stack: Stack) -> float:
    """Make the database writable again."""
    stack.mysql_root("SET GLOBAL super_read_only = 0; SET GLOBAL read_only = 0")
    return time.time()


def hit_worker(signal: str) -> Callable[[Stack], float]:
    """Return an injection that sends a signal to one worker."""
    code = f"{WORKERS}print(time.time(), flush=True); os.kill(workers[0], signal.{signal})"
    return lambda stack: _when(stack, "app", code)


def workers_replaced(stack: Stack) -> float:
    """Wait until the service has its two workers again."""
    wait_until(lambda: stack.python("app", f"{WORKERS}print(len(workers))").strip() == "2")
    return time.time()


def kill_service(stack: Stack) -> float:
    """Kill all processes of the service. Docker then restarts its container."""
    return _when(stack, "app", "import os, time; print(time.time(), flush=True); os.kill(-1, 9)")


def service_back(stack: Stack) -> float:
    """Wait until the service is ready."""
    stack.wait_ready()
    return time.time()


DATABASE = [
    Fault("database killed", kill_mysqld, database_back, lasts=False, unavailable=True),
    Fault("database's container killed", kill_database, start_database, unavailable=True),
    Fault("database restarted", stop_database, start_database, unavailable=True),
    Fault("database hangs", pause_database, unpause_database, unavailable=True),
    Fault("database cut off", cut_off, connect, unavailable=True),
    Fault("database read-only", forbid_writes, allow_writes),
]
DISK_FULL = Fault("database's disk full", fill_disk, free_disk)
DISK_FULL_RESTART = Fault("database's disk full, restarted", fill_disk, free_disk_and_restart)
SERVICE = [
    Fault(name, inject, cure, cuts=True, limit=limit, lasts=False)
    for name, inject, cure, limit in (
        ("worker killed", hit_worker("SIGKILL"), workers_replaced, IN_FLIGHT),
        ("worker hangs", hit_worker("SIGSTOP"), workers_replaced, HANG_WITHIN),
        ("service killed", kill_service, service_back, START_WITHIN),
    )
]
