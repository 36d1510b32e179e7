"""Generated secrets are complete and stable, and only their readers can access them."""

import subprocess

import pytest

from tests.support.checkout import ROOT
from tests.support.compose import Stack, docker

OWNERS = {
    "db": "999:999",
    "migrate": "10001:10001",
    "app": "10001:10001",
    "observe": "65534:65534",  # observe
}
FILES = {
    "db": {
        "root_password",
        "migrator_password",
        "app_password",
        "replicator_password",
        "exporter_password",  # observe
        "ca.pem",
        "server-key.pem",
        "server-cert.pem",
    },
    "migrate": {"database_url", "ca.pem"},
    "app": {"database_url", "replica_url", "ca.pem", "secret_key"},
    "observe": {"exporter.cnf", "ca.pem"},  # observe
}

# Kills the script before and after each of its renames, and runs it again. A first run has 13
# renames. A run that finds a part of the certificate set missing has five.
INTERRUPT = """
set -eu
cat >/usr/local/bin/mv <<'SHIM'
#!/bin/sh
if [ -z "${STOP:-}" ]; then exec /bin/mv "$@"; fi
count=$(($(cat /count) + 1))
echo $count >/count
if [ $count.before = $STOP ]; then kill -KILL $PPID; exit; fi
/bin/mv "$@"
if [ $count.after = $STOP ]; then kill -KILL $PPID; fi
SHIM
chmod +x /usr/local/bin/mv
for lost in all db/server-key.pem; do
  if [ $lost = all ]; then renames=13; else renames=5; fi
  for stop in $(seq $renames); do
    for when in before after; do
      folder=/made/$lost/$stop.$when
      mkdir -p $folder
      cd $folder
      if [ $lost != all ]; then sh /secrets.sh . >/dev/null; rm $lost; fi
      echo 0 >/count
      if STOP=$stop.$when sh /secrets.sh .; then exit 1; fi
      find . -name '*_password' -exec sha256sum {} + >/passwords
      sh /secrets.sh . >/dev/null
      if [ -s /passwords ]; then sha256sum --quiet --check /passwords; fi
      openssl verify -x509_strict -purpose sslserver -verify_hostname db \
        -CAfile db/ca.pem db/server-cert.pem >/dev/null
      openssl pkey -in db/server-key.pem -pubout >/key
      openssl x509 -in db/server-cert.pem -noout -pubkey | cmp - /key
      cmp db/ca.pem app/ca.pem
      cmp db/ca.pem migrate/ca.pem
      grep -q ":$(cat db/app_password)@db/" app/database_url
      grep -q ":$(cat db/migrator_password)@db/" migrate/database_url
      find . -type f | wc -l
    done
  done
done
"""


def run(stack: Stack, *command: str) -> str:
    """Run a command in a container like the one that generates the secrets."""
    return stack.compose("run", "--rm", "--no-TTY", "--no-deps", "secrets", *command)


def test_each_file_can_be_read_by_its_reader_only(stack: Stack) -> None:
    """Files have mode 0400 in folders with mode 0500, owned by the user who reads them."""
    listed = run(stack, "find", "/secrets", "-mindepth", "1", "-printf", "%P %U:%G %m\n")
    wanted = {f"{folder} {owner} 500" for folder, owner in OWNERS.items()} | {
        f"{folder}/{name} {OWNERS[folder]} 400" for folder, names in FILES.items() for name in names
    }
    assert set(listed.splitlines()) == wanted


@pytest.mark.parametrize("service", ["db", "migrate", "app"])
def test_each_container_mounts_its_own_secrets(stack: Stack, service: str) -> None:
    """Each container mounts only its own secrets, read-only."""
    volumes = [mount for mount in stack.inspect(service)["Mounts"] if mount["Type"] == "volume"]
    assert [
        (volume["Name"], volume["Destination"], volume["RW"])
        for volume in volumes
        if "secrets" in volume["Name"]
    ] == [(f"{stack.project}_secrets-{service}", "/run/secrets", False)]


def test_second_run_changes_nothing(stack: Stack) -> None:
    """A second run changes no contents, owners, modes or times."""
    look = ["find", "/secrets", "-mindepth", "1", "-printf", "%P %i %u %m %T@\n"]
    before = run(stack, *look)
    assert run(stack) == "secrets: 0 files made\n"
    assert run(stack, *look) == before


@pytest.mark.usefixtures("engine")
def test_interrupted_run_is_completed() -> None:
    """A run that was killed at any step is completed by the next one, with matching files."""
    made = subprocess.run(
        [
            *("docker", "run", "--rm", "--interactive", "--env", "MYSQL_DATABASE=slipway"),
            *("--volume", f"{ROOT}/db/secrets.sh:/secrets.sh:ro", "--network", "none"),
            *("python:3.14-slim-trixie", "sh", "-s"),
        ],
        input=INTERRUPT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    assert made.split() == ["13"] * 36


def test_no_secret_is_in_logs_or_metadata(stack: Stack) -> None:
    """No secret is in logs, command lines, container metadata or images."""
    paths = [f"/secrets/db/{name}_password" for name in ("root", "migrator", "app", "replicator")]
    *secrets, _, key = run(stack, "head", "-qn2", *paths, "/secrets/db/server-key.pem").split("\n")[
        :6
    ]
    secrets.append(key)
    assert [len(secret) for secret in secrets] == [32, 32, 32, 32, 64]
    images = [stack.image, f"{stack.project}-db", f"{stack.project}-secrets"]
    places = {
        "logs": stack.compose("logs"),
        "processes": stack.compose("top"),
        "containers": docker("inspect", *stack.compose("ps", "--all", "--quiet").split()),
        "images": docker("image", "inspect", *images),
        "history": "".join(docker("history", "--no-trunc", image) for image in images),
    }
    assert "ready for connections" in places["logs"]
    assert [name for name, text in places.items() if any(s in text for s in secrets)] == []
