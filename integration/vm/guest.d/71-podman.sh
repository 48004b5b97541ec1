#!/bin/bash
# podman as root, and dunnage in a container of podman's.
set -euo pipefail
"$REPO/integration/vm/podman.sh"

# shellcheck source=integration/vm/scene.sh
. "$REPO/integration/vm/scene.sh"
podman() {
	timeout -k 5 $((20 * slow)) podman --root "$work/storage" --runroot "$work/runroot" --tmpdir "$work/tmp" --runtime "$runtime" \
		--cgroup-manager systemd --events-backend file "$@"
}
undo() { podman rm --all --force --time 0 >/dev/null 2>&1; }
driver=cgroupfs PARENT=/below
bundle n '.linux.resources = {memory: {limit: 33554432}, pids: {limit: 10}}'
podman run --detach --name outer --privileged --network none --log-driver k8s-file --memory 256m --volume "$work:$work" \
	--rootfs "$work/rootfs" sleep 1000 >/dev/null
is "inside a container of podman's" "$(podman exec outer sh -euc "
	mkdir /sys/fs/cgroup/leaf
	for p in \$(cat /sys/fs/cgroup/cgroup.procs); do echo \$p >/sys/fs/cgroup/leaf/cgroup.procs 2>/dev/null || true; done
	$runtime --root /run/nested run --detach --bundle $work/n s-n </dev/null >/tmp/log 2>&1 || cat /tmp/log
	cat /sys/fs/cgroup/below/s-n/memory.max /sys/fs/cgroup/below/s-n/pids.max
	$runtime --root /run/nested exec s-n echo joined
	$runtime --root /run/nested delete --force s-n
	[ ! -e /sys/fs/cgroup/below/s-n ]")" $'33554432\n10\njoined'
podman rm --force --time 0 outer >/dev/null
