#!/bin/bash
# Creates the account with which replicas read the binary log. Runs in the container of db.
set -eo pipefail

replicator_password=$(</run/secrets/replicator_password)
root_password=$(</run/secrets/root_password)

MYSQL_PWD=$root_password mysql --user=root <<SQL
CREATE USER IF NOT EXISTS replicator IDENTIFIED BY '$replicator_password' REQUIRE SSL;
GRANT REPLICATION SLAVE ON *.* TO replicator;
SQL
