#!/usr/bin/env bash
# PyMySQL imports cryptography whenever it is installed, although only logins without TLS use it.
#
# One expects an optional dependency to cost nothing until it is used. PyMySQL needs cryptography to
# encrypt the password for caching_sha2_password and sha256_password on connections without TLS. It
# imports it at `import pymysql`. So a package that pulls cryptography in for another purpose, such
# as a library for JWT, makes each process with PyMySQL larger, even if all connections use TLS.
#
# Workaround: while importing pymysql, set sys.modules["cryptography"] to None, which forbids the
# import. Logins over TLS work without it.
#
# Observed with PyMySQL 1.2.4 and cryptography 50.0.2 on Python 3.11. The script prints:
#   without cryptography: False
#   with cryptography: True, more than 5 MB of memory
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
install() { "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "$1" 2>/dev/null; }
ask() { # print whether `import pymysql` has loaded cryptography, and the memory of the process in KB
  "$folder/venv/bin/python" -c 'import pymysql, resource, sys
print("cryptography.hazmat" in sys.modules, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)'
}
install pymysql==1.2.4
read -r before small < <(ask)
install cryptography==50.0.2
read -r after large < <(ask)
echo "without cryptography: $before"
[ $((large - small)) -gt 5000 ] && more='more than 5 MB of memory' || more='little memory'
echo "with cryptography: $after, $more"
[ "$before $after" = 'False True' ]
[ "$more" = 'more than 5 MB of memory' ]
