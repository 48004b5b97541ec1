#!/usr/bin/env bash
# Drives a runtime through real engines: podman (with conmon) and containerd (with its runc shim). Says what works, ends
# non-zero when something does not.
#
#   integration/engines.sh BINARY       `make engines` does it with ours; runc is the reference
#
# Both engines get state directories of their own, and containerd a daemon of its own; nothing of the host's is touched.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
runtime=$(realpath "${1:?usage: engines.sh BINARY}")
"$here/packages.sh" busybox-static podman conmon containerd
work=$(mktemp -d "${TMPDIR:-/tmp}/dunnage-engines.XXXXXX")
failed=0
daemon=

# The cgroups that an engine's containers are in have this in their name.
mark=dunnage-engines-$$

clean() {
	podman rm --all --force --time 0 >/dev/null 2>&1 || true
	if [ -n "$daemon" ]; then
		for id in $(ctr container ls -q 2>/dev/null); do
			ctr task kill -s KILL "$id" >/dev/null 2>&1 || true
			ctr task delete --force "$id" >/dev/null 2>&1 || true
			ctr container delete "$id" >/dev/null 2>&1 || true
		done
		kill "$daemon" && wait "$daemon" 2>/dev/null || true
	fi
	find /sys/fs/cgroup -depth -type d -path "*/$mark*" -exec rmdir {} + 2>/dev/null || true
	awk -v w="$work" 'index($2, w) == 1 { print $2 }' /proc/self/mounts | sort -r | xargs -r umount -l
	rm -rf --one-file-system "$work"
}
trap clean EXIT

podman() {
	timeout 60 podman --root "$work/storage" --runroot "$work/run" --tmpdir "$work/tmp" --runtime "$runtime" \
		--cgroup-manager cgroupfs --events-backend file "$@"
}
ctr() { timeout 60 ctr --address "$work/containerd.sock" "$@"; }

# check WHAT EXPECTED COMMAND...: the command's output and exit status, as "output|status", against a glob pattern.
check() {
	local what=$1 expected=$2 output status=0
	shift 2
	output=$("$@" 2>&1 </dev/null) || status=$?
	# shellcheck disable=SC2053 # it is a pattern
	if [[ $output\|$status == $expected ]]; then
		echo "ok      $what"
	else
		echo "FAILED  $what: expected $expected, got: $output|$status"
		failed=1
	fi
}

rootfs=$work/rootfs
"$here/rootfs.sh" "$rootfs"

# podman's default limits may be above those of this session, which only CAP_SYS_RESOURCE can raise: name them.
limits=(--ulimit "nofile=$(ulimit -Hn)" --ulimit "nproc=4096")
box=(--network none --log-driver k8s-file --cgroup-parent "/$mark" "${limits[@]}")

echo "podman $(podman --version | cut -d' ' -f3) with $("$runtime" --version | head -1)"
check "run: output and exit status" "hello|3" podman run --rm "${box[@]}" --rootfs "$rootfs" /bin/sh -c 'echo hello; exit 3'
check "run: a program that is not there is 127" "*|127" podman run --rm "${box[@]}" --rootfs "$rootfs" /bin/nosuch
check "run: a program that may not run is 126" "*|126" podman run --rm "${box[@]}" --rootfs "$rootfs" /etc/passwd
check "run -t: a terminal" "/dev/pts/0*|0" podman run --rm -t "${box[@]}" --rootfs "$rootfs" /bin/tty
check "run --memory --pids-limit" "*|0" podman run --rm --memory 32m --pids-limit 20 "${box[@]}" --rootfs "$rootfs" /bin/true
check "run --read-only --tmpfs" "*|0" podman run --rm --read-only --tmpfs /tmp "${box[@]}" --rootfs "$rootfs" /bin/touch /tmp/x
check "run -d" "*|0" podman run -d --name one "${box[@]}" --rootfs "$rootfs" /bin/sh -c 'echo started; sleep 1000'
check "exec: output and exit status" "inside|5" podman exec one /bin/sh -c 'echo inside; exit 5'
check "exec -t" "/dev/pts/*|0" podman exec -t one /bin/tty
check "exec -u -w -e" "7 /tmp yes|0" podman exec -u 7 -w /tmp -e ANSWER=yes one /bin/sh -c 'echo "$(id -u) $(pwd) $ANSWER"'
check "exec of what is not there is 127" "*|127" podman exec one /bin/nosuch
check "logs" "started|0" podman logs one
check "top" "*sleep 1000*|0" podman top one
check "pause" "*|0" podman pause one
check "pause: paused" "paused|0" podman inspect -f '{{.State.Status}}' one
check "unpause" "*|0" podman unpause one
check "kill" "*|0" podman kill one
check "wait: 137" "137|0" podman wait one
check "start again" "*|0" podman start one
check "stop" "*|0" podman stop --time 1 one
check "rm" "*|0" podman rm one

cat >"$work/containerd.toml" <<TOML
version = 2
root = "$work/ctd"
state = "$work/ctd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$work/containerd.sock"
[ttrpc]
  address = "$work/containerd.ttrpc"
TOML
containerd -c "$work/containerd.toml" >"$work/containerd.log" 2>&1 &
daemon=$!
for _ in $(seq 100); do
	ctr version >/dev/null 2>&1 && break
	sleep 0.1
done

rt=(--runc-binary "$runtime" --cgroup)
echo "containerd $(containerd --version | cut -d' ' -f3)"
check "run: output and exit status" "hello|3" ctr run --rm "${rt[@]}" "/$mark/a" --rootfs "$rootfs" a /bin/sh -c 'echo hello; exit 3'
check "run: the log says why it failed" "*no such file or directory*|1" ctr run --rm "${rt[@]}" "/$mark/b" --rootfs "$rootfs" b /bin/nosuch
check "run -d" "|0" ctr run -d "${rt[@]}" "/$mark/c" --rootfs "$rootfs" c /bin/sleep 1000
check "task exec: output and exit status" "inside|5" ctr task exec --exec-id e1 c /bin/sh -c 'echo inside; exit 5'
check "task ls" "*RUNNING*|0" ctr task ls
check "task ps" "*|0" ctr task ps c
check "task pause" "|0" ctr task pause c
check "task ls: paused" "*PAUSED*|0" ctr task ls
check "task resume" "|0" ctr task resume c
check "task metrics" "*|0" ctr task metrics c
check "task kill" "|0" ctr task kill -s KILL c
for _ in $(seq 50); do
	ctr task ls | grep -q STOPPED && break
	sleep 0.1
done
check "task delete: 137" "*137*|0" ctr task delete c
check "container delete" "|0" ctr container delete c

[ $failed = 0 ] && echo "all of it works"
exit $failed
