#!/bin/bash
# An unprivileged user without any permission for cgroups: a container without a cgroup of its own, and no limits.
if [ "$(id -u)" = 0 ]; then
	exec runuser -u user -- env -u XDG_RUNTIME_DIR DRIVER=cgroupfs "$0"
fi
# shellcheck source=integration/vm/scene.sh
. "$REPO/integration/vm/scene.sh"

bundle plain 'del(.linux.cgroupsPath) | del(.linux.resources)'
start plain
is "its cgroup is ours" "$(cgroup plain)" "$(sed -n 's|^0::||p' /proc/self/cgroup)"
is "no cgroup is its own" "$(jq -c .cgroup_paths "$work/root/s-plain/state.json")" "{}"
is "exec" "$(d exec s-plain echo joined)" joined
d kill s-plain KILL
stopped() { [ "$(status plain)" = stopped ]; }
eventually "the end" stopped
d delete s-plain
gone plain

bundle limited 'del(.linux.cgroupsPath) | .linux.resources = {pids: {limit: 10}}'
refused "a limit" "rootless needs no limits + no cgrouppath when no permission is granted for cgroups" create limited
gone limited
bundle path 'del(.linux.resources)'
refused "a path" "permission denied" create path
gone path
# No systemd of the user is to be reached without the directory of its socket.
bundle unit 'del(.linux.resources) | .linux.cgroupsPath = "user.slice:scene:s-unit"'
driver=systemd
XDG_RUNTIME_DIR=$work refused "no systemd" "unable to connect to the user's systemd" create unit
gone unit
