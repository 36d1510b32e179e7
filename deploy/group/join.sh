#!/bin/bash
# Makes this new server join the group at its next start, which follows the init scripts.
set -eo pipefail

replicator_password=$(</run/secrets/replicator_password)
root_password=$(</run/secrets/root_password)

bash /channel.sh
MYSQL_PWD=$root_password mysql --user=root <<SQL
CREATE USER replicator IDENTIFIED BY '$replicator_password' REQUIRE SSL;
GRANT REPLICATION SLAVE, CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.* TO replicator;
SET PERSIST_ONLY group_replication_start_on_boot = ON;
SET PERSIST_ONLY super_read_only = ON;
-- It comes from the group, like all data.
DROP DATABASE \`$MYSQL_DATABASE\`;
-- Forget the transactions of this first start: the group does not have them.
RESET BINARY LOGS AND GTIDS;
SQL

# So that new members don't join at the same moment: see member.sh.
[ "$HOSTNAME" = db ] || sleep $((5 * (${HOSTNAME##*-} - 1)))
