#!/bin/bash
# Starts MySQL, and repeats a first start that was interrupted (Ctrl-C, a power cut). The image
# takes any data directory that exists for a complete one, so the accounts of such a database would
# never be created. During the first start there is a mark file; the last script in init/ removes
# it. If the mark is still there, delete the incomplete data and begin again.
set -euo pipefail

data=/var/lib/mysql
mark=$data/.unfinished
if [ -e $mark ]; then
  find $data -mindepth 1 ! -path $mark -delete
elif [ ! -d $data/mysql ]; then
  : >$mark
fi
exec docker-entrypoint.sh mysqld
