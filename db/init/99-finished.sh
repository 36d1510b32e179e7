#!/bin/bash
# Takes away the mark that ../start.sh sets: from here on the data stays, whatever happens.
rm /var/lib/mysql/.unfinished
