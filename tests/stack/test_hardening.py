"""Containers run with the least privileges that they need."""

import pytest

from tests.support.compose import Stack

USERS = {"secrets": "", "db": "999:999", "migrate": "10001:10001", "app": "10001:10001"}


@pytest.mark.parametrize("service", USERS)
def test_container_is_locked_down(stack: Stack, service: str) -> None:
    """User, file system, capabilities, memory, processes and logs of a container are limited."""
    container = stack.inspect(service)
    host = container["HostConfig"]
    added = {name.removeprefix("CAP_") for name in host["CapAdd"] or []}
    assert container["Config"]["User"] == USERS[service]
    assert host["ReadonlyRootfs"] is True
    assert host["Privileged"] is False
    assert host["CapDrop"] == ["ALL"]
    assert added == ({"CHOWN", "DAC_OVERRIDE", "FOWNER"} if service == "secrets" else set())
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert 0 < host["Memory"] <= 1024**3
    assert 0 < host["PidsLimit"] <= 512
    assert host["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-size": "10m", "max-file": "3"},
    }


def test_running_service_has_no_privilege(stack: Stack) -> None:
    """The kernel reports no privileges for the running service, and a write to its files fails."""
    status = stack.python("app", "print(open('/proc/1/status').read())")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["10001"] * 4
    assert {fields[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert fields["NoNewPrivs"] == "1"
    write = "try: open('/srv/app/new', 'w')\nexcept OSError as error: print(error.strerror)"
    assert stack.python("app", write) == "Read-only file system\n"
