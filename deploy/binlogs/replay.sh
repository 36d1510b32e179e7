#!/bin/bash
# Brings a backup to a later moment, in a MySQL server of its own. Sourced by db/restore.sh, which
# sets `file` and defines refuse(). LOGS is the folder or s3://BUCKET/PREFIX with the binary logs,
# and UNTIL the moment. Without UNTIL, all of the logs are executed.
#
# The image of MySQL has no mysqlbinlog. But a server executes binary logs if it takes them for the
# relay logs of a replica, and stops after a given transaction.

project=$(docker compose config | sed -n 's/^name: //p')-replay
files=(docker-compose.yaml deploy/binlogs/compose.yaml)
case $LOGS in
  s3://*) files+=(deploy/binlogs/s3.yaml) BINLOGS=$LOGS ;;
  *) LOGS_MOUNT=$(cd "$LOGS" && pwd) || refuse "There is no folder $LOGS." ;;
esac
export BINLOGS LOGS_MOUNT

replay() {
  docker compose --progress=quiet --project-name="$project" --project-directory=. \
    "${files[@]/#/--file=}" --file=deploy/binlogs/replay.yaml "$@"
}

# shellcheck disable=SC2016 # the container's shell reads the password
replay_sql() {
  replay exec -T db bash -c 'MYSQL_PWD=$(</run/secrets/root_password) exec \
    mysql --user=root --batch --skip-column-names "$@"' bash "$@"
}

made='' gtids=''
# shellcheck disable=SC2154 # restore.sh sets file
{ read -r _ _ made && read -r _ _ gtids; } < <(
  gzip -dc "$file" | sed -n '/^-- Snapshot: /p; /^-- GTIDs: /p; 2q'
) || refuse "$file does not say where it is in the binary logs: an older version made it."

trap 'replay down --volumes --rmi local --timeout 0' EXIT
replay down --volumes --timeout 0  # what an interrupted restore left
replay build --quiet binlogs db secrets >/dev/null
fetched=$(
  replay run --rm --no-deps -T binlogs python3 /srv/fetch.py "$made" "$gtids" "${UNTIL:-}"
) || refuse 'The binary logs do not lead to that moment.'
{ read -r last && read -r all; } <<<"$fetched"

replay up --wait db || refuse 'The server for the binary logs does not start.'
gzip -dc "$file" | replay_sql slipway || refuse "$file could not be loaded."
if [ "$last" ]; then
  replay_sql <<SQL
SET GLOBAL gtid_purged = '$gtids';
CHANGE REPLICATION SOURCE TO SOURCE_HOST = '-', RELAY_LOG_FILE = '/logs/relay.000001',
  RELAY_LOG_POS = 4;
START REPLICA SQL_THREAD UNTIL SQL_AFTER_GTIDS = '$last';
SQL
  state='SELECT service_state FROM performance_schema.replication_applier_status'
  until [ "$(replay_sql --execute="$state")" = OFF ]; do sleep 0.2; done
  equal="SELECT GTID_SUBSET(@@gtid_executed, '$all') AND GTID_SUBSET('$all', @@gtid_executed)"
  if [ "$(replay_sql --execute="$equal")" != 1 ]; then
    replay_sql --execute='SELECT last_error_message
      FROM performance_schema.replication_applier_status_by_worker' >&2
    refuse 'The binary logs could not be executed.'
  fi
fi

read_dump() { replay exec -T db bash -c "$(<db/dump.sh)"; }
