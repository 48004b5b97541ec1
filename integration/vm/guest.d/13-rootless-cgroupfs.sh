#!/bin/bash
# An unprivileged user makes cgroups itself, in a scope that is delegated to it.
set -euo pipefail
export DRIVER=cgroupfs SLICE=user.slice
# shellcheck disable=SC2016 # It is for the shell in the scope, which makes room: a cgroup with processes passes no controllers on.
exec runuser -u user -- env XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus \
	systemd-run --user --quiet --collect --scope --property=Delegate=yes bash -euc '
		own=$(sed -n "s|^0::||p" /proc/self/cgroup)
		mkdir "/sys/fs/cgroup$own/caller"
		echo $$ >"/sys/fs/cgroup$own/caller/cgroup.procs"
		PARENT=$own exec "$REPO/integration/vm/life.sh"'
