#!/bin/bash
# Lets this server follow db: over verified TLS, and by transaction ids, so that it finds its place
# by itself. It does so from its next start on, which is the first one after these scripts.
set -eo pipefail

replicator_password=$(</run/secrets/replicator_password)
root_password=$(</run/secrets/root_password)

MYSQL_PWD=$root_password mysql --user=root <<SQL
CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'db', SOURCE_USER = 'replicator',
    SOURCE_PASSWORD = '$replicator_password', SOURCE_AUTO_POSITION = 1, SOURCE_CONNECT_RETRY = 1,
    SOURCE_RETRY_COUNT = 100000, SOURCE_SSL = 1, SOURCE_SSL_CA = '/run/secrets/ca.pem',
    SOURCE_SSL_VERIFY_SERVER_CERT = 1;
SET PERSIST_ONLY super_read_only = ON;
-- What this first start has done here is no transaction that db would know of.
RESET BINARY LOGS AND GTIDS;
SQL
