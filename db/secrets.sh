#!/bin/sh
# Makes the stack's secrets in the folder given, one folder in it for each reader.
# What is there stays: run again, it makes what is missing and changes nothing else.
set -eu
umask 077

database=${MYSQL_DATABASE:?is the schema that the accounts may use}
# The database's host name, in the URLs and in the certificate that is checked against them: that
# of compose's service or, where it is given, of Kubernetes'.
host=${DATABASE_HOST:-db}

cd "$1"
mkdir -p db migrate app
made=0

put() { # put FILE CONTENT: written whole or not at all, and only where it differs
  if [ "$(cat "$1" 2>/dev/null)" = "$2" ]; then return; fi
  rm -f "$1.new"
  printf '%s\n' "$2" >"$1.new"
  chmod 0400 "$1.new"
  mv -f "$1.new" "$1"
  made=$((made + 1))
}

for account in root migrator app replicator; do
  if [ ! -s "db/${account}_password" ]; then
    password=$(openssl rand -hex 16)  # MySQL's replication takes 32 characters, and no more
    put "db/${account}_password" "$password"
  fi
done

if [ ! -s db/ca.pem ] || [ ! -s db/server-key.pem ] || [ ! -s db/server-cert.pem ]; then
  # The three fit each other only, so what an interrupted run left of them goes first.
  rm -f db/ca.pem db/server-key.pem db/server-cert.pem
  # The authority's key is never written, and gone after its one signature: nobody can make a
  # second certificate that the service trusts. The usages and critical marks are what Python's
  # strict check of certificates asks for.
  ca_key=$(openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256)
  certificate=$(printf '%s\n' "$ca_key" | openssl req -x509 -key /dev/stdin -days 3650 \
    -subj '/CN=Slipway database authority' \
    -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign)
  put db/ca.pem "$certificate"
  key=$(openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256)
  put db/server-key.pem "$key"
  openssl req -new -key db/server-key.pem -subj "/CN=$host" -out db/request.pem
  certificate=$(printf '%s\n' "$ca_key" | openssl req -x509 -in db/request.pem -days 3650 \
    -CA db/ca.pem -CAkey /dev/stdin -copy_extensions none -addext "subjectAltName=DNS:$host,DNS:$host-replica" \
    -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
    -addext extendedKeyUsage=serverAuth)
  rm db/request.pem
  put db/server-cert.pem "$certificate"
fi

ca=$(cat db/ca.pem)
password=$(cat db/migrator_password)
put migrate/database_url "mysql+pymysql://migrator:$password@$host/$database"
put migrate/ca.pem "$ca"
password=$(cat db/app_password)
put app/database_url "mysql+pymysql://app:$password@$host/$database"
put app/replica_url "mysql+pymysql://app:$password@$host-replica/$database"
put app/ca.pem "$ca"
if [ ! -s app/secret_key ]; then
  key=$(openssl rand -hex 32)
  put app/secret_key "$key"
fi

# Only root can give a folder to its reader; any other user keeps them all.
if [ "$(id -u)" -eq 0 ]; then
  chmod 0500 db migrate app
  chown -R 999:999 db
  chown -R 10001:10001 migrate app
fi
echo "secrets: $made files made"
