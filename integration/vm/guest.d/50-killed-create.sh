#!/bin/bash
# `create` is killed (SIGKILL) at each of the calls by which it changes something or speaks with systemd; `delete --force` finds all.
# shellcheck source=integration/vm/scene.sh
. "$REPO/integration/vm/scene.sh"

bundle a '.linux.resources.memory.limit = 67108864'
killed=0
for call in sendmsg recvmsg clone3 mkdirat renameat unlinkat openat2 memfd_create; do
	for when in $(seq 12); do
		status=0
		# The process that begins is not followed: it is the parent that dies.
		timeout $((30 * slow)) strace -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$when" \
			"$runtime" --root "$work/root" --systemd-cgroup create --bundle "$work/a" s-a </dev/null >/dev/null 2>&1 || status=$?
		d delete --force s-a
		gone a
		# It has not come to this call that often.
		[ $status != 0 ] || break
		is "killed at $call $when" "$status" 137
		killed=$((killed + 1))
	done
done
# And between the calls: while systemd is at work, while init is.
for ((delay = 0; delay < 60; delay += 6)); do
	"$runtime" --root "$work/root" --systemd-cgroup create --bundle "$work/a" s-a </dev/null >/dev/null 2>&1 &
	sleep "$(printf '0.%03d' $((delay * slow)))"
	kill -KILL $! 2>/dev/null || true
	wait $! || killed=$((killed + 1))
	d delete --force s-a
	gone a
done
figure "$killed creates killed; delete --force left nothing of them"
[ $killed -ge 15 ]
