#!/bin/bash
# Dumps the schema to standard output from one consistent snapshot, while the service keeps reading
# and writing. The first lines say which moment that is: its time, and the transactions (GTIDs) that
# the snapshot contains, no more and no less. Runs in the database's container; see backup.sh.
set -euo pipefail

export MYSQL_PWD
MYSQL_PWD=$(</run/secrets/root_password)
schema=${MYSQL_DATABASE:-slipway}  # a replica does not have it
gate=$schema.backup.$$

fail() {
  kill "$dump" 2>/dev/null || true
  echo "backup: $1 Try again." >&2
  exit 1
}

# A second session. Its errors are lock wait time-outs, which are tried again below.
coproc mysql --user=root --batch --skip-column-names --unbuffered --force "$schema" 2>/dev/null
ask() { # ask SQL: run statements that return one row, and print it
  local row
  echo "$1;" >&"${COPROC[1]}" && read -r row <&"${COPROC[0]}" && echo "$row"
}

# Take the lock that migrations take: snapshots do not hide DDL, so the dump could contain half a
# migration. Then mysqldump waits at the gate, right before its snapshot. Leave out GTIDs: to read
# them, mysqldump would run FLUSH TABLES WITH READ LOCK, which blocks everything while one long query
# runs.
ask "SELECT GET_LOCK('$gate', 0)" >/dev/null
mysqldump --user=root --single-transaction --set-gtid-purged=OFF --hex-blob \
  --init-command="DO GET_LOCK('$schema.migrate', -1), GET_LOCK('$gate', -1)" "$schema" &
dump=$!
thread=NULL
while [ "$thread" = NULL ]; do
  sleep 0.1
  kill -0 $dump 2>/dev/null || wait $dump
  thread=$(ask "SELECT MAX(owner_thread_id) FROM performance_schema.metadata_locks
    WHERE object_name = '$gate' AND lock_status = 'PENDING'")
done

# Hold off writes for the few milliseconds that the snapshot takes. Outside of a commit, InnoDB's
# data and the GTIDs agree. The lock waits for open transactions that have written. After a second it
# lets the writes pass that wait for it, and tries again.
tables=$(ask "SET SESSION group_concat_max_len = 1000000, lock_wait_timeout = 1;
  SELECT GROUP_CONCAT('\`', table_name, '\` READ') FROM information_schema.tables
  WHERE table_schema = '$schema' AND table_type = 'BASE TABLE'")
[ "$tables" != NULL ] || fail 'The schema has no tables yet. Start the whole stack first.'
locked=0
for ((tries = 60; locked == 0; tries--)); do
  [ $tries -gt 0 ] || fail 'A transaction stays open, so the backup found no consistent moment.'
  locked=$(ask "LOCK TABLES $tables;
    SELECT COUNT(*) FROM performance_schema.metadata_locks
    WHERE owner_thread_id = PS_CURRENT_THREAD_ID() AND lock_type = 'SHARED_READ_ONLY'")
  [ "$locked" -gt 0 ] || sleep 1
done
ask "SELECT CONCAT('-- Snapshot: ', UTC_TIMESTAMP(6))"
ask "SELECT CONCAT('-- GTIDs: ', REPLACE(@@GLOBAL.gtid_executed, CHAR(10), ''))"
ask "DO RELEASE_LOCK('$gate'); SELECT 1" >/dev/null
begun=0
for ((tries = 100; begun == 0; tries--)); do
  [ $tries -gt 0 ] || fail 'The server is too busy to begin a snapshot within a second.'
  sleep 0.01
  # NULL: it has ended already.
  begun=$(ask "SELECT IFNULL(SUM(count_star), 1)
    FROM performance_schema.events_statements_summary_by_thread_by_event_name
    WHERE thread_id = $thread AND event_name = 'statement/sql/begin'")
done
ask 'UNLOCK TABLES; SELECT 1' >/dev/null
wait $dump
