#!/bin/bash
# Makes the passwords that the secrets have now valid for the accounts, beside those that the
# service is still running with: docs/operate.md. Runs in the container of db.
set -eo pipefail

root_password=$(</run/secrets/root_password)
for account in app migrator; do
    password=$(<"/run/secrets/${account}_password")
    # Not twice: MySQL keeps one old password only, and a second run would make it the new one.
    if ! MYSQL_PWD=$password mysql --host=127.0.0.1 --user=$account --execute='DO 0' 2>/dev/null; then
        MYSQL_PWD=$root_password mysql --user=root <<SQL
ALTER USER $account IDENTIFIED BY '$password' RETAIN CURRENT PASSWORD;
SQL
        echo "$account: old and new password"
    fi
done
