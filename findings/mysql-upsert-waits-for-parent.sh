#!/usr/bin/env bash
# INSERT … ON DUPLICATE KEY UPDATE waits for a lock on the parent row, even if it only updates.
#
# A table of counters has a foreign key. The row exists, and the statement adds 1 to a column that no
# key contains. One expects what UPDATE does: no look at the parent. But InnoDB checks the foreign
# key of the row that it is about to insert before it finds the duplicate. So it wants a shared lock
# on the parent row, and waits while another transaction edits that row, in any column. A plain
# UPDATE of the same row does not wait.
#
# Workaround: UPDATE first, and INSERT only if no row matched.
#
# Observed with MySQL 9.7.4 (image mysql:9.7). While another session has the parent row locked, the
# script prints:
#   UPDATE: done
#   upsert: ERROR 1205
set -euo pipefail
name=upsert-parent-$$
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
CREATE TABLE parents (id INT PRIMARY KEY, title VARCHAR(9));
CREATE TABLE counters (
  parent_id INT PRIMARY KEY, hits INT, FOREIGN KEY (parent_id) REFERENCES parents (id));
INSERT INTO parents VALUES (1, 'old');
INSERT INTO counters VALUES (1, 0);
SQL
# Edit the parent's row in a transaction that stays open.
mysql found --unbuffered >/dev/null 2>&1 <<'SQL' &
BEGIN; UPDATE parents SET title = 'new' WHERE id = 1; DO SLEEP(20); ROLLBACK;
SQL
for _ in $(seq 60); do
  held=$(mysql --execute="SELECT COUNT(*) FROM performance_schema.data_locks
    WHERE object_name = 'parents' AND lock_mode LIKE 'X%' AND lock_type = 'RECORD'")
  if [ "$held" = 1 ]; then break; fi
  sleep 0.5
done

try() { # try NAME STATEMENT
  said=$(mysql found --execute="SET innodb_lock_wait_timeout = 1; $2" 2>&1) && said='done'
  echo "$1: $(grep -oE 'done|ERROR [0-9]+' <<<"$said")"
}
update=$(try UPDATE 'UPDATE counters SET hits = hits + 1 WHERE parent_id = 1')
upsert=$(try upsert 'INSERT INTO counters VALUES (1, 1) ON DUPLICATE KEY UPDATE hits = hits + 1')
echo "$update"
echo "$upsert"
[ "$update" = 'UPDATE: done' ]
[ "$upsert" = 'upsert: ERROR 1205' ]
