#!/bin/sh
# Creates the stack's secrets in the given folder, with one subfolder for each service that reads
# them. A second run creates what is missing, updates the files that depend on it, and leaves
# everything else unchanged.
set -eu
umask 077

database=${MYSQL_DATABASE:?is not set. Set it to the name of the schema that the accounts use}
# The database's host name, for the URLs and for the certificate, which clients check against it.
# The default is compose's service; Kubernetes' Service is given in DATABASE_HOST.
host=${DATABASE_HOST:-db}
# MEMBERS are the host names of further servers in a group; see deploy/group.

cd "$1"
mkdir -p db migrate app
made=0

put() { # put FILE CONTENT: write the file atomically, and only if its content differs
  if [ "$(cat "$1" 2>/dev/null)" = "$2" ]; then return; fi
  rm -f "$1.new"
  printf '%s\n' "$2" >"$1.new"
  chmod 0400 "$1.new"
  mv -f "$1.new" "$1"
  made=$((made + 1))
}

for account in root migrator app replicator; do
  if [ ! -s "db/${account}_password" ]; then
    password=$(openssl rand -hex 16)  # MySQL's replication allows at most 32 characters
    put "db/${account}_password" "$password"
  fi
done

names="DNS:$host,DNS:$host-replica"
lacks=
for member in ${MEMBERS:-}; do
  names=$names,DNS:$member
  openssl x509 -in db/server-cert.pem -noout -checkhost "$member" 2>/dev/null \
    | grep -q 'does match' || lacks=$member
done

if [ ! -s db/ca.pem ] || [ ! -s db/server-key.pem ] || [ ! -s db/server-cert.pem ] || [ "$lacks" ]; then
  # The three files belong together, so remove those that an interrupted run has left.
  rm -f db/ca.pem db/server-key.pem db/server-cert.pem
  # The authority's key is never written to a file, and is gone after one signature. So nobody can
  # issue a second certificate that the service trusts. Python's strict check of certificates
  # (VERIFY_X509_STRICT) requires the key usages and the critical flags.
  ca_key=$(openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256)
  certificate=$(printf '%s\n' "$ca_key" | openssl req -x509 -key /dev/stdin -days 3650 \
    -subj '/CN=Slipway database authority' \
    -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign)
  put db/ca.pem "$certificate"
  key=$(openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256)
  put db/server-key.pem "$key"
  openssl req -new -key db/server-key.pem -subj "/CN=$host" -out db/request.pem
  certificate=$(printf '%s\n' "$ca_key" | openssl req -x509 -in db/request.pem -days 3650 \
    -CA db/ca.pem -CAkey /dev/stdin -copy_extensions none -addext "subjectAltName=$names" \
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
if [ "${MEMBERS:-}" ]; then
  hosts=$host
  for member in $MEMBERS; do hosts=$hosts,$member; done
  put app/group_url "mysql+pymysql://app:$password@$hosts/$database"
  put migrate/group_url "mysql+pymysql://migrator:$(cat db/migrator_password)@$hosts/$database"
fi
if [ -d binlogs ]; then  # only with deploy/binlogs
  if [ ! -s db/archiver_password ]; then
    password=$(openssl rand -hex 16)
    put db/archiver_password "$password"
  fi
  password=$(cat db/archiver_password)
  put binlogs/password "$password"
  put binlogs/ca.pem "$ca"
fi
# observe
if [ -d observe ]; then  # not in Kubernetes
  if [ ! -s db/exporter_password ]; then
    password=$(openssl rand -hex 16)
    put db/exporter_password "$password"
  fi
  password=$(cat db/exporter_password)
  put observe/exporter.cnf "[client]
user = exporter
password = $password
host = $host
ssl-ca = /run/secrets/ca.pem"
  put observe/ca.pem "$ca"
fi
# /observe
if [ ! -s app/secret_key ]; then
  key=$(openssl rand -hex 32)
  put app/secret_key "$key"
fi

# Only root can give each folder to the user of its service. If another user runs this script, all
# files stay theirs.
if [ "$(id -u)" -eq 0 ]; then
  chmod 0500 db migrate app
  chown -R 999:999 db
  chown -R 10001:10001 migrate app
  if [ -d binlogs ]; then
    chmod 0500 binlogs
    chown -R 999:999 binlogs
  fi
  # observe
  if [ -d observe ]; then
    chmod 0500 observe
    chown -R 65534:65534 observe
  fi
  # /observe
fi
echo "secrets: $made files made"
