#!/bin/bash
# In a container of a delegated scope, with a cgroup namespace and a writable cgroup2 mount: a whole systemd as its first process,
# and in there dunnage again, by either driver.
# shellcheck source=integration/vm/scene.sh
. "$REPO/integration/vm/scene.sh"

# The machine's own files, as a layer: nothing is written to them.
mkdir "$work/layer" "$work/machine"
mount -t tmpfs none "$work/layer"
mkdir "$work"/layer/{upper,work}
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/layer/upper,workdir=$work/layer/work" "$work/machine"
undo() { umount "$work/machine" "$work/layer"; }
rm -f "$work"/machine/etc/systemd/system/*.wants/vm-agent.service "$work/machine/var/lib/systemd/linger/user"
rootfs
mkdir -p "$work/machine/nested"
cp -a "$runtime" "$work/rootfs" "$work/machine/nested/"

bundle a ".linux.resources = {memory: {limit: 1073741824}, pids: {limit: 500}} | .root = {path: \"$work/machine\", readonly: false}
	| .mounts |= map(if .destination == \"/sys/fs/cgroup\" then .options -= [\"ro\"] else . end)
	| .mounts += ([\"/run\", \"/tmp\"] | map({destination: ., type: \"tmpfs\", source: \"tmpfs\", options: [\"mode=755\"]}))
	| .process.args = [\"/sbin/init\"] | .process.env += [\"container=dunnage\"]
	| .process.capabilities |= map_values($("$runtime" features | jq -c .linux.capabilities))"
start a
up() { [[ $(d exec s-a systemctl is-system-running 2>&1) == @(running|degraded) ]]; }
eventually "a systemd in the container" up
is "its first process" "$(d exec s-a cat /proc/1/comm)" systemd
is "the limit outside" "$(file a memory.max)" 1073741824
# It has made cgroups with controllers below its own, which takes no processes any more: exec follows init.
has "where exec goes" "$(d exec s-a cat /proc/self/cgroup)" "0::/init.scope"

# Inside. The shell is a delegated service of the inner systemd.
cat >"$work/machine/nested/inside" <<'END'
#!/bin/bash
set -euo pipefail
for driver in systemd cgroupfs; do
	own=$(sed -n 's|^0::||p' /proc/self/cgroup)
	place=system.slice:scene:n flags=--systemd-cgroup at=system.slice/scene-n.scope
	[ $driver = systemd ] || place=/below/n flags="" at=below/n
	rm -rf /nested/bundle
	mkdir /nested/bundle
	/nested/dunnage spec --bundle /nested/bundle
	jq --arg place "$place" '.process.terminal = false | .process.args = ["sleep", "1000"] | .root.path = "/nested/rootfs"
		| .linux.cgroupsPath = $place | .linux.resources += {memory: {limit: 33554432}, pids: {limit: 10}}' \
		/nested/bundle/config.json >/nested/config.json
	mv /nested/config.json /nested/bundle/config.json
	/nested/dunnage --root /run/nested $flags run --detach --bundle /nested/bundle n </dev/null >/run/nested.log 2>&1 || { cat /run/nested.log; exit 1; }
	echo "$driver $(cat /sys/fs/cgroup/$at/memory.max) $(cat /sys/fs/cgroup/$at/pids.max) $(/nested/dunnage --root /run/nested exec n echo joined)"
	/nested/dunnage --root /run/nested delete --force n
	[ ! -e /sys/fs/cgroup/$at ]
done
END
chmod +x "$work/machine/nested/inside"
is "containers inside" "$(d exec s-a systemd-run --quiet --pipe --wait --collect -p Delegate=yes /nested/inside)" \
	$'systemd 33554432 10 joined\ncgroupfs 33554432 10 joined'

# systemd's signal for "halt" (STOPSIGNAL of such images).
d kill s-a RTMIN+3
stopped() { [ "$(status a)" = stopped ]; }
eventually "the end" stopped
d delete s-a
gone a

# Without a systemd inside: a shell makes room for the controllers.
bundle b ".linux.resources = {memory: {limit: 268435456}} | .root = {path: \"$work/machine\", readonly: false}
	| .mounts |= map(if .destination == \"/sys/fs/cgroup\" then .options -= [\"ro\"] else . end)
	| .mounts += [{destination: \"/run\", type: \"tmpfs\", source: \"tmpfs\", options: [\"mode=755\"]}]
	| .process.args = [\"sleep\", \"1000\"]
	| .process.capabilities |= map_values($("$runtime" features | jq -c .linux.capabilities))"
start b
is "inside" "$(d exec s-b bash -euc '
	cd /nested
	jq ".linux.cgroupsPath = \"/below/m\"" bundle/config.json >config.json && mv config.json bundle/config.json
	mkdir /sys/fs/cgroup/leaf
	echo 1 >/sys/fs/cgroup/leaf/cgroup.procs
	echo $$ >/sys/fs/cgroup/leaf/cgroup.procs
	./dunnage --root /run/nested run --detach --bundle bundle m </dev/null >/run/nested.log 2>&1 || cat /run/nested.log
	cat /sys/fs/cgroup/below/m/memory.max /sys/fs/cgroup/below/m/pids.max
	./dunnage --root /run/nested exec m echo joined')" $'33554432\n10\njoined'
is "exec" "$(d exec s-b cat /proc/self/cgroup)" "0::/leaf"
# All of it ends with the container, the inner one included.
d delete --force s-b
gone b
