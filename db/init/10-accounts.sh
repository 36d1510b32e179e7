#!/bin/bash
# Creates the two accounts with least privilege: only the rights that each needs, on this schema.
set -eo pipefail

app_password=$(</run/secrets/app_password)
migrator_password=$(</run/secrets/migrator_password)
root_password=$(</run/secrets/root_password)
# In a GRANT the schema's name is a pattern, in which an unescaped _ matches any character.
schema="\`${MYSQL_DATABASE//_/\\_}\`.*"

# Pass passwords through standard input and the environment: other users can read command lines.
MYSQL_PWD=$root_password mysql --user=root <<SQL
CREATE USER migrator IDENTIFIED BY '$migrator_password' REQUIRE SSL;
CREATE USER app IDENTIFIED BY '$app_password' REQUIRE SSL;
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON $schema TO migrator;
GRANT SELECT, INSERT, UPDATE, DELETE ON $schema TO app;
SQL
