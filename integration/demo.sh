#!/usr/bin/env bash
# The life of a container, told to somebody who sees a low-level runtime for the first time.
#
#   integration/demo.sh BINARY      BINARY: dunnage (runc works too)
#
# Everything happens in a temporary directory and below one cgroup of its own; both are gone at the end, however it ends.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
runtime=${1:?usage: demo.sh BINARY}
name=$(basename "$runtime")
work=$(mktemp -d "${TMPDIR:-/tmp}/dunnage-demo.XXXXXX")
parent=dunnage-demo-$$
id=box
memory=$((32 * 1024 * 1024))
pids=8

bold=$(tput bold 2>/dev/null || true) dim=$(tput dim 2>/dev/null || true) plain=$(tput sgr0 2>/dev/null || true)
[ -t 1 ] || bold='' dim='' plain=''

step() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
say() { printf '  %s\n' "$*"; }
indent() { sed "s/^/    /"; }
rt() { "$runtime" --root "$work/state" "$@"; }
# show ARGS...: prints a command as a newcomer would type it, runs it, prints what it says.
show() {
	local arg line=
	for arg; do
		case $arg in *[[:space:]]*) line="$line '$arg'" ;; *) line="$line $arg" ;; esac
	done
	printf '  %s$ %s%s%s\n' "$dim" "$name" "$line" "$plain"
	rt "$@" | indent
}

# cgroup CONTROLLER: the container's cgroup directory for a controller, on v1, hybrid or v2.
cgroup() {
	local d
	for d in "/sys/fs/cgroup/$1/$parent/$id" "/sys/fs/cgroup/$parent/$id"; do
		[ -d "$d" ] && echo "$d" && return
	done
	return 1
}
# first FILE...: the content of the first one that there is.
first() {
	local f
	for f in "$@"; do [ -e "$f" ] && cat "$f" && return; done
	echo "(this host has no such controller)"
}

clean() {
	rt delete --force "$id" >/dev/null 2>&1 || true
	find /sys/fs/cgroup -depth -type d -path "*/$parent*" -exec rmdir {} + 2>/dev/null || true
	rm -rf --one-file-system "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

status() { rt state "$id" | jq -r .status; }
wait_for() {
	for _ in $(seq 100); do
		[ "$(status)" = "$1" ] && return
		sleep 0.05
	done
	echo "the container is $(status) after 5 s, not $1" >&2
	exit 1
}

step "1. A bundle: a root filesystem and a config.json"
"$here/rootfs.sh" "$work/bundle/rootfs"
cd "$work/bundle"
say "rootfs/: Debian's busybox-static, $(du -sh rootfs | cut -f1)B"
printf '  %s$ %s spec%s\n' "$dim" "$name" "$plain"
rt spec
# Without a limit on swap, a host that has some would swap instead of stopping the process. v1 can be built without.
swap=$memory
[ ! -d /sys/fs/cgroup/memory ] || [ -e /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes ] || swap=null
# What its first process does: says hello, waits, and says goodbye when it is asked to end.
jq --arg cgroup "/$parent/$id" --argjson memory $memory --argjson swap $swap --argjson pids $pids '
	.process.terminal = false
	| .process.args = ["sh", "-c", "trap \"echo goodbye; exit 0\" TERM; echo hello from pid $$ on $(hostname); while :; do sleep 1 & wait $!; done"]
	| .hostname = "box"
	| .linux.cgroupsPath = $cgroup
	| .linux.resources.memory = ({limit: $memory} + if $swap then {swap: $swap} else {} end)
	| .linux.resources.pids = {limit: $pids}' config.json >config.new
mv config.new config.json
say "config.json: a shell as the first process, at most $((memory >> 20)) MiB of memory and $pids processes:"
jq -c '{args: (.process.args[0:2] + ["..."]), namespaces: [.linux.namespaces[].type]}, .linux.resources' config.json | indent

step "2. create: everything is set up, the program does not run yet"
printf '  %s$ %s create %s%s\n' "$dim" "$name" "$id" "$plain"
rt create --pid-file "$work/pid" "$id" >"$work/log" 2>&1 </dev/null || { cat "$work/log" >&2; exit 1; }
show state "$id"
echo
say "Its output so far: $(wc -c <"$work/log") bytes."

step "3. start: the program runs"
show start "$id"
for _ in $(seq 100); do [ -s "$work/log" ] && break; sleep 0.05; done
say "Its output: $(cat "$work/log")"
say "On the host that is pid $(cat "$work/pid"). It is $(status)."

step "4. exec: another process joins it"
show exec "$id" sh -c 'echo "I am $(id -un) on $(hostname), and these are all the processes I see:"; ps -o pid,args'
if rt exec "$id" touch /bin/mine 2>/dev/null; then say "It could write to its root filesystem!" && exit 1; fi
say "Its root filesystem is read-only: touch /bin/mine failed."

step "5. list and ps: the view from outside"
show list
show ps "$id"

step "6. The limits hold"
say "pids.max:    $(first "$(cgroup pids)/pids.max")"
say "memory max:  $(first "$(cgroup memory)/memory.limit_in_bytes" "$(cgroup memory)/memory.max") bytes"
say "A process that starts 20 others meets the limit of $pids:"
rt exec "$id" sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 1 & done; wait' 2>&1 | sort | uniq -c | head -3 | indent || true
say "A process that wants 64 MiB is killed by the kernel at $((memory >> 20)):"
code=0
rt exec "$id" sh -c 'exec dd if=/dev/zero of=/dev/null bs=64M count=1' >/dev/null 2>&1 || code=$?
say "  exit status $code (137 is 128 + SIGKILL); the container itself is still $(status)."
[ "$code" = 137 ] || { echo "the memory limit did not hold" >&2; exit 1; }

step "7. kill: a signal to the first process"
show kill "$id" TERM
wait_for stopped
say "Its last words: $(tail -1 "$work/log"). It is $(status)."

step "8. delete: nothing is left"
show delete "$id"
say "Known containers: $(rt list -q | wc -l). Cgroups left: $(find /sys/fs/cgroup -type d -path "*/$parent/$id*" 2>/dev/null | wc -l)."
if kill -0 "$(cat "$work/pid")" 2>/dev/null && [ "$(awk '/^State/ { print $2 }' "/proc/$(cat "$work/pid")/status")" != Z ]; then
	echo "the first process is still there" >&2
	exit 1
fi
printf '\nThat was the whole life of a container. %s\n' "Next: \`$name --help\`, and README.md."
