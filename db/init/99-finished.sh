#!/bin/bash
# Removes the mark file that ../start.sh creates. From now on, no start deletes the data.
rm /var/lib/mysql/.unfinished
