#!/bin/bash
# The two accounts, each with no more than it needs, on this one schema.
set -eo pipefail

app_password=$(</run/secrets/app_password)
migrator_password=$(</run/secrets/migrator_password)
root_password=$(</run/secrets/root_password)
# In a GRANT the name is a pattern, in which a plain _ matches any character.
schema="\`${MYSQL_DATABASE//_/\\_}\`.*"

# Passwords go through standard input and the environment: command lines can be read by others.
MYSQL_PWD=$root_password mysql --user=root <<SQL
CREATE USER migrator IDENTIFIED BY '$migrator_password' REQUIRE SSL;
CREATE USER app IDENTIFIED BY '$app_password' REQUIRE SSL;
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON $schema TO migrator;
GRANT SELECT, INSERT, UPDATE, DELETE ON $schema TO app;
SQL
