#!/bin/bash
# The image takes any data directory that exists for a finished one. A first start that was cut
# off (Ctrl-C, a power cut) would leave a database without its accounts for good, so what such
# a start left behind goes, and it begins anew. The last file in init/ takes the mark away.
set -euo pipefail

data=/var/lib/mysql
mark=$data/.unfinished
if [ -e $mark ]; then
  find $data -mindepth 1 ! -path $mark -delete
elif [ ! -d $data/mysql ]; then
  : >$mark
fi
exec docker-entrypoint.sh mysqld
