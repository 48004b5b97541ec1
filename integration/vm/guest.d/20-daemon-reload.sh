#!/bin/bash
# `systemctl daemon-reload` and `daemon-reexec` under containers that run: their limits and devices stay what they were.
# shellcheck source=integration/vm/scene.sh
. "$REPO/integration/vm/scene.sh"

bundle a '.linux.resources = {memory: {limit: 67108864, reservation: 33554432}, pids: {limit: 20},
		cpu: {shares: 512, quota: 50000, period: 100000, cpus: "0"}, unified: {"memory.high": "50331648"}, blockIO: {weight: 500},
		devices: [{allow: false, access: "rwm"}, {allow: true, type: "c", major: 10, minor: 229, access: "rwm"}]}
	| .linux.devices = [{path: "/dev/fuse", type: "c", major: 10, minor: 229, fileMode: 438},
		{path: "/dev/kmsg", type: "c", major: 1, minor: 11, fileMode: 438}]
	| .process.capabilities.bounding += ["CAP_MKNOD", "CAP_SYSLOG"] | .process.capabilities.effective += ["CAP_MKNOD", "CAP_SYSLOG"]
	| .process.capabilities.permitted += ["CAP_MKNOD", "CAP_SYSLOG"]'
bundle no-limits 'del(.linux.resources)'
start a
start no-limits

# Every file of limits, and what the container can do: allowed by the defaults, allowed by a rule, and neither.
now() {
	local name
	for name in a no-limits; do
		(cd "/sys/fs/cgroup/system.slice/$(unit "$name")" &&
			grep -H . memory.{min,low,high,max,swap.max,oom.group} pids.max cpu.{max,weight,idle} cpuset.{cpus,mems} io.weight 2>&1) || true
		show "$name" ActiveState
	done
	d exec s-a sh -c 'cd /dev; busybox mknod other c 4 0
		for file in null urandom fuse kmsg other; do (exec 3<>$file && echo $file usable) 2>&1; done; busybox rm other' | sed 's/^sh: .*open //'
}
now >"$work/before"
has "devices" "$(cat "$work/before")" "null usable"
has "devices" "$(cat "$work/before")" "fuse usable"
has "devices" "$(cat "$work/before")" "kmsg: Operation not permitted"
has "devices" "$(cat "$work/before")" "other: Operation not permitted"
has "limits" "$(cat "$work/before")" "cpu.max:50000 100000"
has "limits" "$(cat "$work/before")" "io.weight:default 4950"

for verb in daemon-reload daemon-reload daemon-reexec daemon-reexec; do
	systemctl $verb
	now >"$work/after"
	diff "$work/before" "$work/after" || fail "after $verb"
done

# A drop-in for the slice makes systemd write everything below it anew.
systemctl set-property --runtime system.slice CPUWeight=90 IOWeight=90
now >"$work/after"
diff "$work/before" "$work/after" || fail "after set-property of the slice"
systemctl revert system.slice

d update --memory 134217728 --memory-swap -1 --pids-limit 30 s-a
systemctl daemon-reload
systemctl daemon-reexec
is "memory.max, updated" "$(file a memory.max)" 134217728
is "memory.swap.max, updated" "$(file a memory.swap.max)" max
is "pids.max, updated" "$(file a pids.max)" 30
is "cpu.max, as it was" "$(file a cpu.max)" "50000 100000"
d pause s-a
systemctl daemon-reload
is "paused" "$(status a)" paused
d resume s-a
is "exec" "$(d exec s-a echo joined)" joined
d delete --force s-a
d delete --force s-no-limits
gone a no-limits
