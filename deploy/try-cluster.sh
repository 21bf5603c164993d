#!/bin/sh
# A run over many machines, all on this one: three NATS servers with TLS and keys, two coordinators, three gateways, six
# Deno workers. Kills the coordinator that leads, and shows that the run goes on. Ctrl-C ends all of it.
#   npm run build && sh deploy/try-cluster.sh [options of `coordinator start`, as --set epochs=1]
# TRY_FOLDER keeps everything there; TRY_AFTER is the step after which the leader is killed, 3 unless given; TRY_STEPS ends
# it after so many steps, else the run goes to its end.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
program="$here/../dist/packed/coordinator/program/bitswarm.js"
[ -f "$program" ] || { echo "nothing is built: npm run build" >&2; exit 1; }
nats=$(command -v nats-server || true)
for place in "$HOME/.cache/bitswarm/tools/usr/sbin/nats-server"; do
  # Debian 12's own is too old to fence, and what set-up fetched is not.
  [ -x "$place" ] && nats=$place
done
[ -n "$nats" ] || { echo "nats-server is not here: npm run setup -- --tests fetches it" >&2; exit 1; }
folder=${TRY_FOLDER:-$(mktemp -d)}
after=${TRY_AFTER:-3}
mkdir -p "$folder"
pids=""
# Those that were started here, by their ids.
finish() {
  trap - EXIT
  # Workers end with their gateways.
  for pid in $pids; do kill "$pid" 2>/dev/null || true; done
  sleep 1
  for pid in $pids; do kill -9 "$pid" 2>/dev/null || true; done
  [ -n "${TRY_FOLDER:-}" ] || rm -rf "$folder"
}
show_logs() { tail -n 20 "$folder"/*.log >&2; }
trap finish EXIT
trap 'exit 130' INT
trap 'show_logs; exit 143' TERM

node "$here/cluster/make-keys.mjs" --out "$folder/keys" > /dev/null
ports=$(node --eval '
  const servers = Array.from({ length: 6 }, () => require("node:net").createServer().listen(0, "127.0.0.1"));
  setTimeout(() => {
    console.log(servers.map((server) => server.address().port).join(" "));
    for (const server of servers) server.close();
  }, 100);
')
# shellcheck disable=SC2086
set_ports() { c0=$1 c1=$2 c2=$3 r0=$4 r1=$5 r2=$6; }
set_ports $ports
engine="nats://127.0.0.1:$c0,127.0.0.1:$c1,127.0.0.1:$c2"
routes="[tls://127.0.0.1:$r0, tls://127.0.0.1:$r1, tls://127.0.0.1:$r2]"
gave_up() { # WHAT
  echo "waited for $1" >&2
  show_logs
  exit 1
}
wait_for() { # WHAT OF_PROCESS PATTERN FILE...
  what=$1 pid=$2 pattern=$3
  shift 3
  tries=0
  until grep -qs "$pattern" "$@"; do
    kill -0 "$pid" 2>/dev/null || gave_up "$what, of a process that has ended"
    tries=$((tries + 1))
    # What comes at all comes long before.
    [ $tries -lt 1800 ] || gave_up "$what for three minutes"
    sleep 0.1
  done
}
# Not each time do three that begin at once become a cluster.
tries=0
until
  servers=""
  for number in 0 1 2; do
    eval "client=\$c$number cluster=\$r$number"
    name=nats-$number
    mkdir -p "$folder/$name"
    NATS_NAME=$name NATS_LISTEN=127.0.0.1:$client NATS_CLUSTER=127.0.0.1:$cluster NATS_ROUTES=$routes \
      NATS_STORE=$folder/$name NATS_CERT=$folder/keys/$name.pem NATS_KEY=$folder/keys/$name.key \
      NATS_CA=$folder/keys/ca.pem "$nats" --config "$folder/keys/nats.conf" 2> "$folder/$name.log" &
    servers="$servers $!"
  done
  pids=$servers
  node "$here/cluster/are-cluster.mjs" "$engine" c-0 "$folder/keys"
do
  tries=$((tries + 1))
  [ $tries -lt 5 ] || gave_up "a cluster of NATS, which five starts did not become"
  # shellcheck disable=SC2086
  kill -9 $servers
  for pid in $servers; do wait "$pid" || true; done
  rm -rf "$folder"/nats-?
done
echo "three NATS servers: $engine"

keys() {
  echo "--nkey $folder/keys/$1.nk --tls-ca $folder/keys/ca.pem --id $1"
  echo "--bulk-listen 127.0.0.1:0 --bulk-cert $folder/keys/$1.pem --bulk-key $folder/keys/$1.key"
}
steps=${TRY_STEPS:+--max-steps $TRY_STEPS}
for id in c-0 c-1; do
  # shellcheck disable=SC2046,SC2086
  node "$program" start --engine "$engine" --run try $(keys $id) --run-dir "$folder/$id" --workers 0 --port 0 $steps "$@" \
    > "$folder/$id.log" 2>&1 &
  eval "pid_$(echo $id | tr - _)=$!"
  pids="$pids $!"
  [ $id = c-0 ] && wait_for "c-0 to lead" "$pid_c_0" '"type":"leads"' "$folder/c-0/events.ndjson"
done
wait_for "c-1 to follow" "$pid_c_1" '"type":"follows"' "$folder/c-1/events.ndjson"
echo "c-0 leads; c-1 stands by"
gateways=""
for id in g-0 g-1 g-2; do
  # shellcheck disable=SC2046
  node "$program" gateway "$engine" --run try $(keys $id) --dir "$folder/$id" --port 0 --workers 2 --runtime deno \
    > "$folder/$id.log" 2>&1 &
  pids="$pids $!"
  gateways="$gateways $!"
done
echo "three gateways with two Deno workers each; logs are in $folder"
committed() { grep -c '"type":"step"' "$1/commits.ndjson" 2>/dev/null || true; }
until [ "$(committed "$folder/c-1")" -ge "$after" ]; do
  kill -0 "$pid_c_0" 2>/dev/null || gave_up "step $after of c-0, which has ended"
  sleep 0.1
done
# Milliseconds, or whole seconds where `date` counts no smaller ones.
now() { date +%s%3N | sed 's/3N$/000/'; }
kill -9 "$pid_c_0"
killed=$(now)
before=$(committed "$folder/c-1")
echo "c-0 is killed after step $before"
until [ "$(committed "$folder/c-1")" -gt "$before" ]; do
  kill -0 "$pid_c_1" 2>/dev/null || gave_up "another step of c-1, which has ended"
  sleep 0.05
done
echo "c-1 leads: the next step was committed $(($(now) - killed)) ms after the kill"
wait "$pid_c_1" || gave_up "the end of c-1, which ended with $?"
tail -5 "$folder/c-1.log"
for pid in $gateways; do wait "$pid" || true; done
node "$here/cluster/check-run.mjs" "$folder/c-0" "$folder/c-1"
