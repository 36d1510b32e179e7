"""Helpers for benchmarks: docker compose, load by wrk, CPU time and memory of containers.

The environment selects the stack: COMPOSE_PROJECT_NAME, IMAGE, TAG and PORT.
"""

import json
import os
import re
import subprocess

# The files with a container's CPU time, in version 2 and version 1 of cgroups.
V2, V1 = "/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpuacct/cpuacct.usage"
LOOK = f"""from pathlib import Path
print(next(p for p in map(Path, ("{V2}", "{V1}")) if p.exists()).read_text())"""
LOOK_IN_DB = f"cat {V2} 2> /dev/null || cat {V1}"
# `cat` runs from another image, so that it shares no memory with the processes that it measures.
LOOK_AT_MEMORY = "cat $(grep -l gunico[r]n /proc/[0-9]*/cmdline | sed s/cmdline/smaps_rollup/)"
AS_ROOT = "MYSQL_PWD=$(</run/secrets/root_password) exec mysql --user=root"
ROOT_SQL = f'{AS_ROOT} -BN slipway -e "$1"'


def run(*command, **options):
    """Run a command and return what it prints."""
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    done = subprocess.run(command, check=True, text=True, **{**quiet, **options})  # noqa: S603
    return done.stdout.strip()


def compose(*command, **options):
    """Run docker compose and return what it prints."""
    return run("docker", "compose", *command, **options)


def mysql(sql):
    """Run SQL as root and return what it prints."""
    return compose("exec", "-T", "db", "bash", "-c", ROOT_SQL, "bash", sql)


def container(service):
    """Return the id of a service's container."""
    return compose("ps", "--all", "--quiet", service)


def address(service):
    """Return the IP address of a service's container: published ports go through a slow proxy."""
    network = f"{os.environ['COMPOSE_PROJECT_NAME']}_backend"
    form = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
    return run("docker", "inspect", "--format", form, container(service))


def fill(links):
    """Import `links` links with the codes c0, c1 and so on, and return a new token."""
    lines = (f'{{"code": "c{n}", "url": "https://example.com/{n}"}}\n' for n in range(links))
    compose("exec", "-T", "app", "slipway", "links", "import", "-", input="".join(lines))
    return compose("exec", "-T", "app", "slipway", "tokens", "create", "bench")


def remove():
    """Remove the stack with its data, and all images that it has built."""
    compose("down", "--volumes", "--rmi", "local", "--timeout", "0")
    run("docker", "image", "rm", "--force", f"{os.environ['IMAGE']}:{os.environ['TAG']}")


def cpu_time(*services):
    """Return the CPU time that the services' containers have used, in microseconds."""
    used = []
    for service in services:
        look = ("bash", "-c", LOOK_IN_DB) if service == "db" else ("python3", "-c", LOOK)
        seen = compose("exec", "-T", service, *look).split()
        used.append(int(seen[1]) if seen[0] == "usage_usec" else int(seen[0]) / 1000)
    return used


def memory(container):
    """Return the memory of the service in MB. Memory that its processes share counts once (PSS)."""
    joined = (f"--pid=container:{container}", "--cap-add=SYS_PTRACE", "--network=none")
    command = ("python:3.14-slim-trixie", "sh", "-c", LOOK_AT_MEMORY)
    printed = run("docker", "run", "--rm", *joined, *command)
    return sum(map(int, re.findall(r"^Pss: *(\d+) kB", printed, re.MULTILINE))) * 1024 / 1e6


def load(host, seconds, connections, *what):
    """Run wrk once and return its figures. `what` is the arguments of bench/wrk.lua."""
    threads = min(2, connections)
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}", "--timeout=30"]
    printed = run(*command, "-s", "bench/wrk.lua", f"http://{host}:8000", "--", *what)
    seen = json.loads(printed.splitlines()[-1])
    return seen | {"rate": seen["answered"] / seen["seconds"]}
