#!/bin/bash
# Begins the group with this server as its first member and primary. Runs in the container of db,
# once; see docs/group.md.
set -eo pipefail

replicator_password=$(</run/secrets/replicator_password)
export MYSQL_PWD
MYSQL_PWD=$(</run/secrets/root_password)

sql() { mysql --user=root --batch --skip-column-names; }

state=$(sql <<<"SELECT member_state FROM performance_schema.replication_group_members
                WHERE member_id = @@server_uuid")
started=$(sql <<<"SELECT @@group_replication_start_on_boot")
if [ "$state" = ONLINE ] || [ "$started" = 1 ]; then
  echo "begin: this server belongs to a group already. Nothing was changed." >&2
  exit 1
fi

if primary=$(bash /primary.sh); then
  echo "begin: $primary is the primary of a group. See docs/group.md. Nothing was changed." >&2
  exit 1
fi

bash /channel.sh
# Clients find the primary by super_read_only. So it is persisted on every member: a server that
# starts outside of the group must not look like a primary, and take writes that the group lacks.
# A new server has it already: see first.sh.
sql <<SQL
SET GLOBAL super_read_only = OFF;
CREATE USER IF NOT EXISTS replicator IDENTIFIED BY '$replicator_password' REQUIRE SSL;
GRANT REPLICATION SLAVE, CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.* TO replicator;
SET GLOBAL group_replication_bootstrap_group = ON;
START GROUP_REPLICATION;
SET GLOBAL group_replication_bootstrap_group = OFF;
SET PERSIST group_replication_start_on_boot = ON;
SET PERSIST_ONLY super_read_only = ON;
SQL
echo 'begin: the group has its first member'
