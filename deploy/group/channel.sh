#!/bin/bash
# Gives this member the account with which it joins the group. Runs in its container.
set -eo pipefail

replicator_password=$(</run/secrets/replicator_password)
root_password=$(</run/secrets/root_password)

MYSQL_PWD=$root_password mysql --user=root <<SQL
CHANGE REPLICATION SOURCE TO SOURCE_USER = 'replicator', SOURCE_PASSWORD = '$replicator_password'
    FOR CHANNEL 'group_replication_recovery';
SQL
