#!/bin/bash
# The life of a limited container, as whoever runs this: by systemd, or with DRIVER=cgroupfs below PARENT. Not a scene by itself.
# shellcheck source=integration/vm/scene.sh
. "$REPO/integration/vm/scene.sh"

# Its init takes leave of the dead, whose pids count until then.
bundle a '.linux.resources = {memory: {limit: 67108864}, pids: {limit: 20}, cpu: {quota: 50000, period: 100000}}
	| .process.args = ["sh", "-c", "sleep 1000 & wait; wait"]'
create a </dev/null
is "created" "$(status a)" created
d start s-a
is "started" "$(status a)" running
[ "$driver" = cgroupfs ] || has "its cgroup" "$(cgroup a)" "$(unit a)"

limits() {
	is "memory.max" "$(file a memory.max)" "$1"
	is "pids.max" "$(file a pids.max)" "$2"
	is "cpu.max" "$(file a cpu.max)" "$3"
	[ "$driver" != cgroupfs ] || return 0
	is "MemoryMax" "$(show a MemoryMax)" "$1"
	is "TasksMax" "$(show a TasksMax)" "$2"
	is "CPUQuotaPerSecUSec" "$(show a CPUQuotaPerSecUSec)" "$4"
}
limits 67108864 20 "50000 100000" 500ms

# A process that joins is in the same cgroup, and counted.
is "exec" "$(d exec s-a cat /proc/1/comm)" sh
d exec --detach --pid-file "$work/joined" s-a sleep 900 </dev/null
is "the cgroup of exec" "$(cat "/proc/$(cat "$work/joined")/cgroup")" "0::$(cgroup a)"
is "its status" "$(d exec s-a sh -c 'exit 7' || echo $?)" 7

# More than 20 processes: fork is refused.
d exec s-a sh -c 'for i in $(busybox seq 40); do sleep 100 >/dev/null 2>&1 & done' </dev/null >"$work/forks" 2>&1 || true
has "too many processes" "$(cat "$work/forks")" "can't fork"
[ "$(sed -n 's/^max //p' <<<"$(file a pids.events)")" -gt 0 ] || fail "pids.events: $(file a pids.events)"
# The one that could not fork has ended since.
full() { [ "$(file a pids.current)" -ge 19 ]; }
eventually "nineteen processes" full
refused "exec" "fork: clone3: resource temporarily unavailable" d exec s-a true
for process in $(file a cgroup.procs); do
	[ "$(tr '\0' ' ' <"/proc/$process/cmdline")" != "sleep 100 " ] || kill -KILL "$process"
done
room() { [ "$(file a pids.current)" -lt 5 ]; }
eventually "room again" room

# More than 64 MiB: whoever takes them is killed.
is "too much memory" "$(d exec s-a sh -c 'dd if=/dev/zero of=/dev/null bs=200M count=1' >/dev/null 2>&1 || echo $?)" 137
[ "$(sed -n 's/^oom_kill //p' <<<"$(file a memory.events)")" -gt 0 ] || fail "memory.events: $(file a memory.events)"
is "init lives" "$(status a)" running

d update --memory 33554432 --memory-swap 33554432 --pids-limit 10 --cpu-quota 20000 s-a
limits 33554432 10 "20000 100000" 200ms

d pause s-a
is "paused" "$(status a)" paused
is "frozen" "$(sed -n 's/^frozen //p' <<<"$(file a cgroup.events)")" 1
d resume s-a
is "resumed" "$(status a)" running

refused "delete" "is not stopped: running" d delete s-a
d kill s-a KILL
stopped() { [ "$(status a)" = stopped ]; }
eventually "the end" stopped
d delete s-a
gone a

bundle b '.process.args = ["sh", "-c", "exit 5"]'
is "run" "$(d run --bundle "$work/b" s-b </dev/null || echo $?)" 5
gone b
