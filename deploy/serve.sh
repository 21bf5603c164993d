#!/bin/sh
# What a service does at each start: begins the run of a folder, or goes on with it where it was begun.
# usage: serve.sh RUN_DIR RUN_YAML [options of both `bitswarm start` and `bitswarm resume`]
set -eu
folder=$1
file=$2
shift 2
program=$(dirname "$0")/../dist/packed/coordinator/program/bitswarm.js
if [ -n "$(ls -A "$folder/checkpoints" 2>/dev/null)" ]; then
  exec node "$program" resume "$folder" "$@"
fi
exec node "$program" start "$file" --run-dir "$folder" "$@"
