#!/bin/bash
# Containers come and go while systemd reloads and replaces itself without a pause: each create succeeds, or leaves nothing.
# shellcheck source=integration/vm/scene.sh
. "$REPO/integration/vm/scene.sh"

while true; do
	systemctl daemon-reload || true
	sleep 1
	systemctl daemon-reexec || true
	sleep 1
done >"$work/reloads" 2>&1 &
loop=$!

made=0 refused=0
for i in $(seq 6); do
	bundle "$i" '.linux.resources.memory.limit = 67108864'
	if create "$i" </dev/null >"$work/log" 2>&1; then
		made=$((made + 1))
		has "its cgroup" "$(cgroup "$i")" "$(unit "$i")"
		is "memory.max" "$(file "$i" memory.max)" 67108864
		d start "s-$i"
		is "exec" "$(d exec "s-$i" echo joined)" joined
		d update --memory 50331648 --memory-swap 50331648 "s-$i"
		is "memory.max, updated" "$(file "$i" memory.max)" 50331648
		d delete --force "s-$i"
	else
		refused=$((refused + 1))
		cat "$work/log"
	fi
	[ ! -e "$work/root/s-$i" ] || fail "its state is left: $(ls "$work/root/s-$i")"
	left=$(find /sys/fs/cgroup -name "*s-$i.scope")
	[ -z "$left" ] || fail "its cgroup is left: $left"
done
kill $loop
wait $loop || true
gone $(seq 6)
figure "$made of $((made + refused)) containers made while systemd reloads and replaces itself"
[ $made -gt 0 ]
