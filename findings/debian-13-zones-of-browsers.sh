#!/usr/bin/env bash
# Python on Debian 13 does not know the time zone of a browser in India, Ukraine or Vietnam.
#
# A browser names its reader's time zone: Intl.DateTimeFormat().resolvedOptions().timeZone. One
# expects that ZoneInfo knows every name that a browser can report. V8 and ICU, so Chromium and
# Node.js, still report old names, such as Asia/Calcutta and Europe/Kiev. In Debian 13 these names
# are not in tzdata but in tzdata-legacy, which Python's slim images lack, and ZoneInfo raises
# ZoneInfoNotFoundError.
#
# Workaround: install the package tzdata from PyPI, where ZoneInfo looks for what the system lacks.
#
# Observed with Node.js 20.20.2 (Debian's or another one on PATH), the image
# python:3.14-slim-trixie, and tzdata 2026.6 from PyPI. The script prints:
#   unknown with the image's tzdata: 18 Asia/Calcutta Asia/Saigon Europe/Kiev
#   unknown with PyPI's tzdata: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
node -p 'Intl.supportedValuesOf("timeZone").join("\n")' >"$folder/names"
pip download --quiet --no-deps --dest "$folder" tzdata==2026.6
unzip -q "$folder"/tzdata-*.whl -d "$folder/packages"
cat >"$folder/count.py" <<'PY'
import zoneinfo

unknown = []
for name in map(str.strip, open("/found/names")):
    try:
        zoneinfo.ZoneInfo(name)
    except zoneinfo.ZoneInfoNotFoundError:
        unknown.append(name)
examples = {"Asia/Calcutta", "Europe/Kiev", "Asia/Saigon"}
print(len(unknown), *[name for name in unknown if name in examples])
PY
chmod -R a+rX "$folder"
count() {
  docker run --rm --network none --volume "$folder:/found:ro" "$@" python:3.14-slim-trixie \
    python /found/count.py
}
system=$(count)
package=$(count --env PYTHONPATH=/found/packages)
echo "unknown with the image's tzdata: $system"
echo "unknown with PyPI's tzdata: $package"
[[ $system == *' Asia/Calcutta '* && $package == 0 ]]
