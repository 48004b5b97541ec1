#!/bin/bash
# The life of a limited container of podman, as whoever runs this, with both of podman's cgroup managers. Not a scene by itself.
# shellcheck source=integration/vm/scene.sh
. "$REPO/integration/vm/scene.sh"

rootfs
# What a user namespace without ids of the image's needs: nothing is written.
box=(--network none --log-driver k8s-file --read-only --rootfs "$work/rootfs")

podman() {
	timeout -k 5 $((20 * slow)) podman --root "$work/storage" --runroot "$work/runroot" --tmpdir "$work/tmp" --runtime "$runtime" \
		--cgroup-manager "$driver" --events-backend file "$@"
}
undo() { podman rm --all --force --time 0 >/dev/null 2>&1; }

# look FILE: of the cgroup that podman says the container is in.
look() { cat "/sys/fs/cgroup$(podman inspect --format '{{.State.CgroupPath}}' one)/$1"; }
properties() { ctl show --value --property MemoryMax --property TasksMax "libpod-$id.scope" | sort -n | tr '\n' ' '; }

for driver in systemd cgroupfs; do
	id=$(podman run --detach --name one --memory 64m --pids-limit 50 --cpus 0.5 "${box[@]}" sh -c 'echo started; sleep 1000')
	is "$driver: memory.max" "$(look memory.max)" 67108864
	is "$driver: pids.max" "$(look pids.max)" 50
	is "$driver: cpu.max" "$(look cpu.max)" "50000 100000"
	[ $driver = cgroupfs ] || is "MemoryMax, TasksMax" "$(properties)" "50 67108864 "
	is "$driver: logs" "$(podman logs one)" started
	is "$driver: exec" "$(podman exec one sh -c 'echo joined; exit 4' || echo $?)" $'joined\n4'

	podman update --memory 48m --pids-limit 40 one >/dev/null
	is "$driver: memory.max, updated" "$(look memory.max)" 50331648
	is "$driver: pids.max, updated" "$(look pids.max)" 40
	if [ $driver = systemd ]; then
		ctl daemon-reload
		is "MemoryMax, TasksMax, updated" "$(properties)" "40 50331648 "
		is "memory.max after daemon-reload" "$(look memory.max)" 50331648
	fi

	podman pause one >/dev/null
	is "$driver: paused" "$(look cgroup.freeze)" 1
	podman unpause one >/dev/null
	is "$driver: resumed" "$(look cgroup.freeze)" 0
	has "$driver: stats" "$(podman stats --no-stream --format '{{.PIDs}} of {{.MemLimit}}' one)" "of 50331648"
	podman stop --time 0 one >/dev/null 2>&1
	is "$driver: exit status" "$(podman wait one)" 137
	podman rm one >/dev/null
	is "$driver: cgroups left" "$(find /sys/fs/cgroup -name "*$id*")" ""
	is "$driver: units left" "$(ctl list-units --all --plain --no-legend "libpod-$id.scope")" ""
done
