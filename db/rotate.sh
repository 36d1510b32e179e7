#!/bin/bash
# Sets the accounts' passwords to those that the secrets contain now. The old passwords stay valid,
# because the service still uses them. Runs in the database's container; see docs/operate.md.
set -eo pipefail

root_password=$(</run/secrets/root_password)
accounts=$(MYSQL_PWD=$root_password mysql --user=root --batch --skip-column-names \
    --execute="SELECT user FROM mysql.user
        WHERE user IN ('app', 'exporter', 'migrator', 'replicator')")
for account in $accounts; do
    [ -e "/run/secrets/${account}_password" ] || continue  # somebody else's account
    password=$(<"/run/secrets/${account}_password")
    # Skip an account whose password is new already: MySQL keeps only one old password, and would
    # replace it with the new one.
    if ! MYSQL_PWD=$password mysql --host=127.0.0.1 --user="$account" --execute='DO 0' 2>/dev/null; then
        MYSQL_PWD=$root_password mysql --user=root <<SQL
ALTER USER $account IDENTIFIED BY '$password' RETAIN CURRENT PASSWORD;
SQL
        echo "$account: the old and the new password are valid"
    fi
done
