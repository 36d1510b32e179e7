#!/bin/bash
# Creates the account with which the sidecar closes binary logs, and sees whether db is in its group.
# Runs in the container of db.
set -eo pipefail

archiver_password=$(</run/secrets/archiver_password)
root_password=$(</run/secrets/root_password)

MYSQL_PWD=$root_password mysql --user=root <<SQL
CREATE USER IF NOT EXISTS archiver IDENTIFIED BY '$archiver_password' REQUIRE SSL;
GRANT RELOAD ON *.* TO archiver;
GRANT SELECT ON performance_schema.replication_group_members TO archiver;
SQL
