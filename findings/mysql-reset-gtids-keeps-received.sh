#!/usr/bin/env bash
# A replica whose GTIDs are reset to those of an older backup does not ask again for what it had
# received, although it has lost it.
#
# To load a backup into a replica, one stops it, loads the dump, runs RESET BINARY LOGS AND GTIDS,
# sets gtid_purged to what the backup has, and starts it. With SOURCE_AUTO_POSITION, it should then
# ask for all later transactions. But the set that it sends to the source also contains what it has
# received before (Retrieved_Gtid_Set), which this reset keeps. So the transactions between the
# backup and the load are missing, and SHOW REPLICA STATUS reports no error.
#
# Workaround: RESET REPLICA, which keeps the address and the account of the source.
#
# Observed with MySQL 9.7.4 (image mysql:9.7). A row is replicated and then deleted on the replica
# alone, as an older backup would do, and the GTIDs are reset to those before the row. A second row
# shows that the replica follows again. The script prints:
#   without RESET REPLICA: 2, without an error
#   with RESET REPLICA: 1 2 3
set -euo pipefail
name=received-$$
servers=("$name-source" "$name-replica")
docker network create --internal "$name" >/dev/null
trap 'docker kill "${servers[@]}" >/dev/null 2>&1; docker network rm "$name" >/dev/null' EXIT
for number in 1 2; do
  docker run --detach --rm --name "${servers[number - 1]}" --network "$name" \
    --env MYSQL_ALLOW_EMPTY_PASSWORD=1 mysql:9.7 --server-id="$number" \
    --gtid-mode=ON --enforce-gtid-consistency=ON >/dev/null
done
primary() { docker exec --interactive "${servers[0]}" mysql -N --execute="$1"; }
replica() { docker exec --interactive "${servers[1]}" mysql -N --execute="$1"; }
for server in "${servers[@]}"; do
  # The temporary server of the first start has no port.
  for _ in $(seq 120); do
    if docker logs "$server" 2>&1 | grep -q 'port: 3306'; then break; fi
    sleep 1
  done
done
rows() { replica 'SELECT id FROM found.t ORDER BY id' | paste -sd' '; }
wait_for() { # wait_for ROW, on the replica
  for _ in $(seq 60); do
    if [[ " $(rows 2>/dev/null) " == *" $1 "* ]]; then return; fi
    sleep 1
  done
  return 1
}
load() { # load as a backup that lacks all rows; $1 are statements in addition
  replica "STOP REPLICA; $1 SET sql_log_bin = 0; DELETE FROM found.t;
    RESET BINARY LOGS AND GTIDS; SET GLOBAL gtid_purged = '$before'; START REPLICA"
}

primary "CREATE USER replicator IDENTIFIED BY 'replicator'; GRANT REPLICATION SLAVE ON *.* TO replicator;
  RESET BINARY LOGS AND GTIDS; CREATE DATABASE found; CREATE TABLE found.t (id INT PRIMARY KEY)"
before=$(primary 'SELECT @@gtid_executed')
replica "RESET BINARY LOGS AND GTIDS;
  CHANGE REPLICATION SOURCE TO SOURCE_HOST = '${servers[0]}', SOURCE_USER = 'replicator',
    SOURCE_PASSWORD = 'replicator', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1;
  START REPLICA"
primary 'INSERT INTO found.t VALUES (1)'
wait_for 1

load ''
primary 'INSERT INTO found.t VALUES (2)'
wait_for 2
found=$(rows)
errors=$(replica 'SELECT CONCAT(SUM(LAST_ERROR_NUMBER)) FROM performance_schema.replication_applier_status_by_worker')
[ "$errors" = 0 ]
echo "without RESET REPLICA: $found, without an error"
[ "$found" = 2 ]

load 'RESET REPLICA;'
primary 'INSERT INTO found.t VALUES (3)'
wait_for 3
echo "with RESET REPLICA: $(rows)"
[ "$(rows)" = '1 2 3' ]
