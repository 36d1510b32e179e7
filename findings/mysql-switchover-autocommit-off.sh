#!/usr/bin/env bash
# A planned change of a group's primary breaks transactions that began with autocommit off.
#
# group_replication_set_as_primary waits for transactions that are under way on the old primary, so
# one expects a planned switchover to break none. It waits for those that began with START
# TRANSACTION. It does not wait for those that began with their first statement, because autocommit
# was off: their COMMIT fails with error 1290. This is how DB-API drivers such as PyMySQL, and so
# SQLAlchemy, begin transactions.
#
# Workaround: repeat transactions that fail with 1290 on a new connection. START TRANSACTION helps
# too, but then the switchover takes as long as the longest transaction.
#
# Observed with MySQL 9.7.4 (image mysql:9.7), two members. A transaction inserts a row, sleeps for
# 4 s and commits, and after 1 s the primary moves to the other member. The script prints:
#   START TRANSACTION: committed
#   autocommit off: ERROR 1290
set -euo pipefail
name=switchover-$$
members=("$name-1" "$name-2")
docker network create --internal "$name" >/dev/null
trap 'docker kill "${members[@]}" >/dev/null 2>&1; docker network rm "$name" >/dev/null' EXIT
for number in 1 2; do
  docker run --detach --rm --name "$name-$number" --hostname "$name-$number" --network "$name" \
    --env MYSQL_ALLOW_EMPTY_PASSWORD=1 mysql:9.7 --server-id="$number" \
    --report-host="$name-$number" --plugin-load-add=group_replication.so \
    --loose-group-replication-group-name=0f7f1f6e-6f0d-4b53-9d4c-3a5f4f0d7a11 \
    --loose-group-replication-group-seeds="${members[0]}:3306,${members[1]}:3306" \
    --loose-group-replication-local-address="$name-$number:3306" \
    --loose-group-replication-communication-stack=MYSQL \
    --loose-group-replication-recovery-get-public-key=ON \
    --loose-group-replication-start-on-boot=OFF >/dev/null
done
mysql() { docker exec --interactive "$1" mysql -N "${@:2}"; }
online() {
  mysql "$1" --execute="SELECT COUNT(*) FROM performance_schema.replication_group_members
    WHERE member_state = 'ONLINE'"
}
for member in "${members[@]}"; do
  # The temporary server of the first start has no port.
  for _ in $(seq 120); do
    if docker logs "$member" 2>&1 | grep -q 'port: 3306'; then break; fi
    sleep 1
  done
  mysql "$member" <<'SQL'
SET sql_log_bin = 0;
CREATE USER replicator IDENTIFIED BY 'replicator';
GRANT REPLICATION SLAVE, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.* TO replicator;
CHANGE REPLICATION SOURCE TO SOURCE_USER = 'replicator', SOURCE_PASSWORD = 'replicator'
  FOR CHANNEL 'group_replication_recovery';
RESET BINARY LOGS AND GTIDS;
SQL
done
mysql "${members[0]}" <<'SQL'
SET GLOBAL group_replication_bootstrap_group = ON;
START GROUP_REPLICATION;
SET GLOBAL group_replication_bootstrap_group = OFF;
CREATE DATABASE found;
CREATE TABLE found.t (id INT PRIMARY KEY);
SQL
mysql "${members[1]}" --execute='START GROUP_REPLICATION'
for _ in $(seq 60); do
  if [ "$(online "${members[0]}")" = 2 ]; then break; fi
  sleep 1
done

try() { # try BEGIN ROW PRIMARY NEXT: print how the COMMIT ends during a switchover
  mysql "$3" found >"$out" 2>&1 <<SQL &
$1; INSERT INTO t VALUES ($2); DO SLEEP(4); COMMIT; SELECT 'committed';
SQL
  sleep 1
  mysql "$4" --execute='SELECT group_replication_set_as_primary(@@server_uuid)' >/dev/null
  wait $! || true
  grep -oE 'ERROR [0-9]+|committed' "$out" | head -n 1
}
out=$(mktemp)
begun=$(try 'START TRANSACTION' 1 "${members[0]}" "${members[1]}")
implicit=$(try 'SET autocommit = 0' 2 "${members[1]}" "${members[0]}")
rm "$out"
printf 'START TRANSACTION: %s\nautocommit off: %s\n' "$begun" "$implicit"
[ "$begun" = committed ]
[ "$implicit" = 'ERROR 1290' ]
