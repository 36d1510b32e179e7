#!/usr/bin/env bash
# MySQL 9.7 reads and locks the parent table for each row that is inserted into a child table.
#
# The server now checks foreign keys itself, above InnoDB. So it opens the parent table, takes a table
# lock and fetches a row for each check, where InnoDB looked into its index unseen. Monitoring shows
# this: performance_schema counts reads of a table that no query names, so a table of which only
# foreign keys remain looks used. It also costs time where each row is a statement of its own.
#
# Workaround: --innodb-native-foreign-keys=ON, which is deprecated, leaves the checks to InnoDB.
#
# Observed with MySQL 9.7.4 (image mysql:9.7). The script inserts three rows into a child table and
# prints reads and table locks of its parent:
#   innodb_native_foreign_keys=OFF: 3 reads, 3 locks
#   innodb_native_foreign_keys=ON: 0 reads, 0 locks
set -euo pipefail
name=foreign-keys-$$
trap 'docker kill "$name" >/dev/null' EXIT

check() { # check ON|OFF EXPECTED
  docker run --detach --rm --name "$name" --network none --env MYSQL_ALLOW_EMPTY_PASSWORD=1 \
    mysql:9.7 --innodb-native-foreign-keys="$1" >/dev/null
  # The temporary server of the first start has no port.
  for _ in $(seq 120); do
    if docker logs "$name" 2>&1 | grep -q 'port: 3306'; then break; fi
    sleep 1
  done
  docker exec --interactive "$name" mysql <<'SQL'
CREATE DATABASE found;
CREATE TABLE found.parents (id INT PRIMARY KEY);
CREATE TABLE found.children (id INT PRIMARY KEY, parent_id INT REFERENCES found.parents (id));
INSERT INTO found.parents VALUES (1);
TRUNCATE performance_schema.table_io_waits_summary_by_table;
TRUNCATE performance_schema.table_lock_waits_summary_by_table;
INSERT INTO found.children VALUES (1, 1);
INSERT INTO found.children VALUES (2, 1);
INSERT INTO found.children VALUES (3, 1);
SQL
  found=$(docker exec "$name" mysql -N --execute "
    SELECT CONCAT(io.count_fetch, ' reads, ', locks.count_star, ' locks')
    FROM performance_schema.table_io_waits_summary_by_table AS io
    JOIN performance_schema.table_lock_waits_summary_by_table AS locks
      USING (object_schema, object_name)
    WHERE object_name = 'parents'")
  echo "innodb_native_foreign_keys=$1: $found"
  [ "$found" = "$2" ]
  docker kill "$name" >/dev/null
  while docker inspect "$name" >/dev/null 2>&1; do sleep 0.2; done
}
check OFF '3 reads, 3 locks'
check ON '0 reads, 0 locks'
trap - EXIT
