#!/bin/bash
# Starts MySQL, and repeats a first start that was interrupted (Ctrl-C, a power cut). The image's
# entrypoint treats any existing data directory as complete, so after an interruption it would never
# create the accounts. During the first start there is a mark file, which the last script in init/
# removes. If the mark is still there, this script deletes the incomplete data and begins again.
set -euo pipefail

data=/var/lib/mysql
mark=$data/.unfinished
if [ -e $mark ]; then
  find $data -mindepth 1 ! -path $mark -delete
elif [ ! -d $data/mysql ]; then
  : >$mark
fi
exec docker-entrypoint.sh mysqld "$@"
