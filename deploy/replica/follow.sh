#!/bin/bash
# Makes this server a replica of db: over verified TLS, and with GTID auto-positioning, so that it
# needs no position in the binary log. Replication begins at the next start, right after the init
# scripts.
set -eo pipefail

replicator_password=$(</run/secrets/replicator_password)
root_password=$(</run/secrets/root_password)

MYSQL_PWD=$root_password mysql --user=root <<SQL
CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'db', SOURCE_USER = 'replicator',
    SOURCE_PASSWORD = '$replicator_password', SOURCE_AUTO_POSITION = 1, SOURCE_CONNECT_RETRY = 1,
    SOURCE_RETRY_COUNT = 100000, SOURCE_SSL = 1, SOURCE_SSL_CA = '/run/secrets/ca.pem',
    SOURCE_SSL_VERIFY_SERVER_CERT = 1;
SET PERSIST_ONLY super_read_only = ON;
-- Forget the transactions of this first start: db does not have them.
RESET BINARY LOGS AND GTIDS;
SQL
