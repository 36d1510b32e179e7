#!/bin/bash
# Removes the mark that ../start.sh sets. From now on no start deletes the data.
rm /var/lib/mysql/.unfinished
