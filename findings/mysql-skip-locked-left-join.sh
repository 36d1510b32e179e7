#!/usr/bin/env bash
# In a LEFT JOIN, SKIP LOCKED makes a locked row of the right table look like a missing one.
#
# To work on all jobs whose rows are free, one joins them and writes FOR UPDATE OF right SKIP LOCKED.
# One expects a pair with a locked row to be left out, as it is in an inner join. But MySQL skips
# only the locked row of the right table. The left row then has no match, so the pair is returned
# with NULL in place of the locked row: the same as if there were none. A program that inserts the
# "missing" rows runs into the very lock that it wanted to skip.
#
# Workaround: ask for the existence of the row in a subquery too, which reads without locks, and
# leave out pairs that exist but came back as NULL.
#
# Observed with MySQL 9.7.4 (image mysql:9.7). Row 2 of the right table is locked by another
# session, and row 3 does not exist. The script prints the ids of both tables:
#   LEFT JOIN: 1 1, 2 NULL, 3 NULL
#   JOIN: 1 1
#   with the subquery: 1 1, 3 NULL
set -euo pipefail
name=skip-locked-$$
docker run --detach --rm --name "$name" --network none --env MYSQL_ALLOW_EMPTY_PASSWORD=1 \
  mysql:9.7 >/dev/null
trap 'docker kill "$name" >/dev/null' EXIT
mysql() { docker exec --interactive "$name" mysql -N "$@"; }
# The temporary server of the first start has no port.
for _ in $(seq 120); do
  if docker logs "$name" 2>&1 | grep -q 'port: 3306'; then break; fi
  sleep 1
done

mysql >/dev/null <<'SQL'
CREATE DATABASE found;
USE found;
CREATE TABLE l (id INT PRIMARY KEY);
CREATE TABLE r (id INT PRIMARY KEY);
INSERT INTO l VALUES (1), (2), (3);
INSERT INTO r VALUES (1), (2);
SQL
mysql found --unbuffered >/dev/null 2>&1 <<'SQL' &
BEGIN; SELECT * FROM r WHERE id = 2 FOR UPDATE; DO SLEEP(20); ROLLBACK;
SQL
for _ in $(seq 60); do
  held=$(mysql --execute="SELECT COUNT(*) FROM performance_schema.data_locks
    WHERE object_name = 'r' AND lock_type = 'RECORD'")
  if [ "$held" = 1 ]; then break; fi
  sleep 0.5
done

ask() { # ask REST_OF_QUERY
  mysql found --execute="SELECT l.id, r.id FROM l $1 ORDER BY l.id FOR UPDATE OF r SKIP LOCKED" |
    tr '\t' ' ' | paste -sd, | sed 's/,/, /g'
}
left=$(ask 'LEFT JOIN r ON r.id = l.id')
inner=$(ask 'JOIN r ON r.id = l.id')
both=$(ask 'LEFT JOIN r ON r.id = l.id
  WHERE r.id IS NOT NULL OR NOT EXISTS (SELECT * FROM r AS x WHERE x.id = l.id)')
printf 'LEFT JOIN: %s\nJOIN: %s\nwith the subquery: %s\n' "$left" "$inner" "$both"
[ "$left" = '1 1, 2 NULL, 3 NULL' ]
[ "$inner" = '1 1' ]
[ "$both" = '1 1, 3 NULL' ]
