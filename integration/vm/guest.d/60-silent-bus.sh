#!/bin/bash
# A bus that takes the connection and never answers: create gives up in time and leaves nothing; delete removes all the same.
# shellcheck source=integration/vm/scene.sh
. "$REPO/integration/vm/scene.sh"

python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(64)
time.sleep(600)' "$work/bus" &
listener=$!
eventually "the socket" test -S "$work/bus"
silent() { DBUS_SYSTEM_BUS_ADDRESS=unix:path=$work/bus timeout 100 "$runtime" --root "$work/root" --systemd-cgroup "$@"; }

bundle a
begin=$SECONDS
! silent create --bundle "$work/a" s-a </dev/null >"$work/log" 2>&1 || fail "create succeeded"
[ $((SECONDS - begin)) -le 40 ] || fail "create took $((SECONDS - begin)) s"
has "create" "$(cat "$work/log")" "unable to connect to systemd: unix:path=$work/bus: no answer in time"
figure "create with a bus that is silent: an error after $((SECONDS - begin)) s"
gone a

start a
begin=$SECONDS
silent delete --force s-a >"$work/log" 2>&1 || fail "$(cat "$work/log")"
[ $((SECONDS - begin)) -le 45 ] || fail "delete took $((SECONDS - begin)) s"
has "the warning" "$(cat "$work/log")" "systemd unit scene-s-a.scope is left to systemd"
[ ! -e "$work/root/s-a" ]
# systemd drops the scope, as it is empty.
dropped() { [ -z "$(systemctl list-units --all --plain --no-legend 'scene-s-a*')" ]; }
eventually "the unit" dropped
gone a
figure "delete with a bus that is silent: done after $((SECONDS - begin)) s"
kill $listener
