#!/bin/bash
# Creates the account of the MySQL exporter, if the secrets have its password; see docs/observe.md.
# It can read statistics, but no data and no values in statements.
set -eo pipefail

if [ ! -e /run/secrets/exporter_password ]; then exit; fi
exporter_password=$(</run/secrets/exporter_password)
root_password=$(</run/secrets/root_password)

MYSQL_PWD=$root_password mysql --user=root <<SQL
CREATE USER IF NOT EXISTS exporter IDENTIFIED BY '$exporter_password' REQUIRE SSL
    WITH MAX_USER_CONNECTIONS 3;
GRANT REPLICATION CLIENT ON *.* TO exporter;
GRANT SELECT ON performance_schema.events_statements_summary_by_digest TO exporter;
GRANT SELECT ON performance_schema.replication_group_members TO exporter;
SQL
