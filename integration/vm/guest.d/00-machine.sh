#!/bin/bash
# The machine is what the other tests take it for.
set -euo pipefail

is() { [ "$2" = "$3" ] || { echo "$1: $2, not $3"; exit 1; }; }

is "PID 1" "$(cat /proc/1/comm)" systemd
is "cgroups" "$(stat -fc %T /sys/fs/cgroup)" cgroup2fs
is "v1 hierarchies" "$(grep -c ' - cgroup ' /proc/self/mountinfo || true)" 0
is "controllers" "$(cat /sys/fs/cgroup/cgroup.controllers)" "cpuset cpu io memory hugetlb pids rdma misc"
is "AppArmor" "$(cat /sys/module/apparmor/parameters/enabled)" Y
is "failed units" "$(systemctl --failed --no-legend --plain)" ""
is "the user's cgroup" "$("$REPO/integration/vm/as-user.sh" cat /proc/self/cgroup | sed 's|/run-[^/]*$||')" \
	"0::/user.slice/user-1000.slice/user@1000.service/app.slice"
is "the user's controllers" "$(cat /sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers)" "cpuset cpu io memory pids"
"$DUNNAGE" --version
