#!/usr/bin/env bash
# gevent's monkey.patch_all() looks for hooks in the metadata of all installed packages, 25 times.
#
# One expects it to replace functions, and to take the same time in every environment. But it asks
# importlib.metadata for the entry points of each event that it publishes, and nothing is cached in
# between. So it reads a file of each package 25 times. With 39 packages, that was more than half of
# its time. No argument turns it off.
#
# Workaround: before the patch, set gevent.events.notify_and_call_entry_points to
# gevent.events.notify, if no package has such hooks.
#
# Observed with gevent 26.9.0 on Python 3.11. The script prints:
#   25 calls, 25 reads a package
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check gevent==26.9.0 2>/dev/null
seen=$("$folder/venv/bin/python" - <<'END'
from importlib import metadata

from gevent import monkey

calls, reads = [], []
search, read = metadata.entry_points, metadata.PathDistribution.read_text
metadata.entry_points = lambda **group: calls.append(group) or search(**group)


def counted(self, name):
    if name == "entry_points.txt":
        reads.append(self.metadata["Name"])
    return read(self, name)


metadata.PathDistribution.read_text = counted
monkey.patch_all()
print(f"{len(calls)} calls, {reads.count('gevent')} reads a package")
END
)
echo "$seen"
[ "$seen" = '25 calls, 25 reads a package' ]
