"""Names for what tests create in Docker, and the removal of what an interrupted run has left.

`make clean` runs this module, without the virtual environment.
"""

import os
import secrets
import subprocess
import zlib

from tests.support.checkout import ROOT

# Test runs in another clone have other names, so that cleaning here does not disturb them. Names
# with a suffix are host names, of at most 63 characters. So the service's name, of up to 30, is not
# in them.
CHECKOUT = f"test-{zlib.crc32(bytes(ROOT)):08x}"
# All processes of one run share this variable, even if a test runs pytest in a copy of the project.
IS_MAIN = "TEST_RUN" not in os.environ
RUN = os.environ.setdefault("TEST_RUN", f"{CHECKOUT}-{secrets.token_hex(2)}")
KINDS = [  # listed in the order of removal
    (["ps", "--all", "--format={{.Names}}"], ["rm", "--force", "--volumes"]),
    (["network", "ls", "--format={{.Name}}"], ["network", "rm"]),
    (["volume", "ls", "--format={{.Name}}"], ["volume", "rm"]),
    (["image", "ls", "--format={{.Repository}}:{{.Tag}}"], ["image", "rm", "--force"]),
]


def new_name() -> str:
    """Return a new name for a Compose project, a container or an image of this run."""
    return f"{RUN}-{secrets.token_hex(4)}"


def remove(prefix: str) -> list[str]:
    """Remove all containers, networks, volumes and images with this prefix in their name or tag.

    :returns: the names of what was removed. Without Docker there is nothing.
    """
    removed = []
    for listing, removal in KINDS:
        try:
            names = subprocess.check_output(
                ["docker", *listing], stderr=subprocess.DEVNULL, text=True
            ).split()
        except (OSError, subprocess.CalledProcessError):
            return []
        if found := [n for n in names if n.startswith(prefix) or f":{prefix}" in n]:
            subprocess.run(["docker", *removal, *found], check=False, stdout=subprocess.DEVNULL)
            removed += found
    return removed


if __name__ == "__main__":
    for name in remove(CHECKOUT) + remove("slipway-bench-"):
        print(f"removed {name}")
