#!/bin/bash
# In a guest that was started with SELinux and without a policy (test.sh): loads that of selinux.cil, enforces it, and runs containers
# under it. What has which label is compared with runc.
#
#   REPO=... DUNNAGE=BINARY [RUNC=BINARY] selinux.sh POLICY
export DRIVER=cgroupfs
# shellcheck source=integration/vm/scene.sh
. "$REPO/integration/vm/scene.sh"
policy=$1
undo() { echo 0 >/sys/fs/selinux/enforce; }

domain=system_u:system_r:container_t:s0
LABEL=$domain:c1,c2
FILES=system_u:object_r:container_file_t:s0:c1,c2
HOST=system_u:object_r:host_file_t:s0
KERNEL=system_u:object_r:kernel_file_t:s0
NONE=system_u:system_r:nonesuch_t:s0
labels=".process.selinuxLabel = \"$LABEL\" | .linux.mountLabel = \"$FILES\""
user='.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
	| .linux.gidMappings = .linux.uidMappings'

# ---- without a policy it is off ---------------------------------------------------------------------------------------------------
is "the security module" "$(cat /proc/self/attr/current | tr -d '\0')" kernel
off="selinux label is specified in config, but selinux is disabled or not supported"
bundle off '.process.selinuxLabel = "a:b:c:d"'
refused "a label without a policy" "$off" create off
bundle off-mounts '.linux.mountLabel = "a:b:c:d"'
refused "a mount label without a policy" "$off" create off-mounts
cat "$policy" >/sys/fs/selinux/load
echo 1 >/sys/fs/selinux/enforce
is "ourselves" "$(tr -d '\0' </proc/self/attr/current)" system_u:system_r:host_t:s0-s0:c0.c3

rootfs
mkdir "$work"/rootfs/{full,host} "$work/host"
echo full >"$work/rootfs/full/file"
echo secret >"$work/host/secret"
echo mine >"$work/host/mine"
echo theirs >"$work/host/theirs"
chcon -R -h system_u:object_r:container_file_t:s0 "$work/rootfs"
chcon system_u:object_r:container_file_t:s0 "$work/host"
chcon "$FILES" "$work/host/mine"
chcon system_u:object_r:container_file_t:s0:c3 "$work/host/theirs"

# of PID PATH: the label of a file, in the container of that process.
of() { getfattr --absolute-names --only-values -n security.selinux "/proc/$1/root$2" | tr -d '\0'; }
process() { tr -d '\0' <"/proc/$1/attr/current"; }
# Of the session keyring of a container: keyctl(2), KEYCTL_GET_SECURITY.
keyring() {
	python3 - "_ses.$1:" <<-'END'
		import ctypes, sys
		text = ctypes.create_string_buffer(512)
		for line in open("/proc/keys"):
		    if sys.argv[1] in line.split():
		        ctypes.CDLL(None).syscall(250, 17, int(line.split()[0], 16), text, 512)
		print(text.value.decode())
	END
}
paths="/ /proc /sys /sys/fs/cgroup /dev /dev/null /dev/pts /dev/shm /dev/mqueue /run /full /full/file /host /host/secret /sys/firmware /proc/acpi"
listing() {
	local path pid
	pid=$(pid "$1")
	echo "process $(process "$pid")"
	echo "keyring $(keyring "s-$1")"
	for path in $paths; do echo "$path $(of "$pid" "$path")"; done
	sed -n 's/^.* - \([^ ]*\) .*,\(context="[^"]*"\).*/\1 \2/p' "/proc/$pid/mountinfo" | sort | uniq -c | sed 's/^ *//'
	echo "exec $(d exec "s-$1" cat /proc/self/attr/current | tr -d '\0')"
	echo "exec --process-label $(d exec --process-label "$domain:c3" "s-$1" cat /proc/self/attr/current | tr -d '\0')"
	echo "process.json $(d exec --process "$work/process.json" "s-$1" | tr -d '\0')"
}
full='.mounts += [{destination: "/run", type: "tmpfs", source: "tmpfs", options: ["nosuid", "size=1m"]},
	{destination: "/full", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"]},
	{destination: "/host", type: "bind", source: $ENV.HOST_DIR, options: ["bind"]}]
	| .linux.maskedPaths = ["/proc/acpi", "/sys/firmware"]'
export HOST_DIR=$work/host

# ---- every label ------------------------------------------------------------------------------------------------------------------
bundle a "$labels | $full"
jq ".process | .args = [\"cat\", \"/proc/self/attr/current\"] | .selinuxLabel = \"$domain:c2\"" "$work/a/config.json" >"$work/process.json"
start a
until_labelled() { [ "$(process "$(pid a)")" = $LABEL ]; }
eventually "its label" until_labelled
ours=$(listing a)
is "labels" "$ours" "process $LABEL
keyring $LABEL
/ system_u:object_r:container_file_t:s0
/proc $KERNEL
/sys $KERNEL
/sys/fs/cgroup $KERNEL
/dev $FILES
/dev/null $FILES
/dev/pts $FILES
/dev/shm $FILES
/dev/mqueue $FILES
/run $FILES
/full $FILES
/full/file $FILES
/host system_u:object_r:container_file_t:s0
/host/secret $HOST
/sys/firmware $FILES
/proc/acpi $FILES
1 devpts context=\"$FILES\"
6 tmpfs context=\"$FILES\"
exec $LABEL
exec --process-label $domain:c3
process.json $domain:c2"

# What that means in there.
cat >"$work/try" <<'END'
may() { (eval "$2") >/dev/null 2>&1 && echo "$1 yes" || echo "$1 no"; }
may "/run" "echo x >/run/x && cat /run/x"
may "the host's file" "cat /host/secret"
may "to write the host's file" "echo x >/host/secret"
may "its own volume" "cat /host/mine && echo x >/host/mine"
may "another container's volume" "cat /host/theirs"
may "/dev/null" "echo x >/dev/null"
may "a label of its choice" "echo system_u:system_r:host_t:s0 >/proc/self/attr/exec"
END
is "what it may" "$(d exec s-a sh -c "$(cat "$work/try")" 2>&1)" "/run yes
the host's file no
to write the host's file no
its own volume yes
another container's volume no
/dev/null yes
a label of its choice no"
terminal=$(script -qec "$runtime --root $work/root exec -t s-a sh -c 'cat /proc/self/attr/current && echo / >/dev/tty'" /dev/null </dev/null | tr -d '\0\r\n')
has "a terminal" "$terminal" "$LABEL/"

# ---- what the policy refuses ------------------------------------------------------------------------------------------------------
refused "exec, no such label" "unable to label the session keyring: write \`/proc/self/attr/keycreate\`: invalid argument (exec's /process/selinuxLabel); the policy has no such label" \
	d exec --process-label $NONE s-a true
refused "exec, not to be entered" "exec /bin/true: operation not permitted" d exec --process-label system_u:system_r:forbidden_t:s0 s-a true
refused "and without no_new_privs" "exec /bin/true: permission denied" \
	d exec --no-new-privs=false --process-label system_u:system_r:forbidden_t:s0 s-a true
if [ -n "${RUNC:-}" ]; then
	d delete --force s-a
	runtime=$RUNC
	start a
	theirs=$(listing a)
	d delete --force s-a
	runtime=$work/dunnage
	is "labels, with runc" "$theirs" "$ours"
fi
bundle none ".process.selinuxLabel = \"$NONE\""
refused "create, no such label" "write \`/proc/self/attr/keycreate\`: invalid argument (config.json /process/selinuxLabel)" create none
refused "without a keyring" "unable to apply selinux label: write \`/proc/self/attr/exec\`: invalid argument (config.json /process/selinuxLabel)" \
	create none --no-new-keyring
bundle none-mounts ".linux.mountLabel = \"$NONE\""
refused "create, no such mount label" "(config.json /mounts/1); the policy may not have /linux/mountLabel" create none-mounts
bundle long ".process.selinuxLabel = \"$(printf '%05000d' 0)\""
refused "a label without end" "write \`/proc/self/attr/exec\`: invalid argument" create long --no-new-keyring
bundle apparmor '.process.apparmorProfile = "any"'
refused "AppArmor, which is off" "write /proc/self/attr/apparmor/exec: invalid argument (config.json /process/apparmorProfile); AppArmor is off" create apparmor
gone none none-mounts long apparmor

# ---- in other namespaces ----------------------------------------------------------------------------------------------------------
bundle u "$labels | $user"
start u
of_all() { for path in /dev /dev/pts /dev/shm /dev/mqueue /sys/firmware; do echo "$path $(of "$(pid "$1")" "$path")"; done | sort -u -k2 | wc -l; }
is "in a user namespace" "$(process "$(pid u)") $(of "$(pid u)" /dev/mqueue) $(of_all u)" "$LABEL $FILES 1"
is "exec there" "$(d exec s-u cat /proc/self/attr/current | tr -d '\0')" $LABEL
# Another container of the pod: the same queues and network, its own label.
bundle pod "$labels | .process.selinuxLabel = \"$domain:c1\" | .process.noNewPrivileges = false
	| .linux.namespaces |= map(if .type == \"ipc\" or .type == \"network\" then .path = \"/proc/$(pid u)/ns/\" + (.type | sub(\"network\"; \"net\")) else . end)
	| .linux.namespaces += [{type: \"user\", path: \"/proc/$(pid u)/ns/user\"}]"
start pod
is "in a pod" "$(process "$(pid pod)") $(of "$(pid pod)" /dev/mqueue)" "$domain:c1 $FILES"
# A label longer than fsconfig(2) takes.
bundle wide "$labels | .linux.mountLabel = \"$FILES$(printf ',c1%.0s' {1..90})\" | .linux.maskedPaths = [\"/proc/acpi\", \"/sys/firmware\"]"
start wide
is "a wide label" "$(of "$(pid wide)" /dev) $(of "$(pid wide)" /sys/firmware)" "$FILES $FILES"

# A hook that runs as the container's has its label already; those before have the caller's.
printf '#!/bin/sh\ncat /proc/self/attr/current >"$1"\n' >"$work/host/hook"
chmod 0755 "$work/host/hook"
cp "$work/host/hook" "$work/rootfs/hook"
chcon system_u:object_r:container_file_t:s0 "$work/rootfs/hook"
bundle h "$labels | $full | .hooks = {createContainer: [{path: \"$work/host/hook\", args: [\"hook\", \"$work/host/before\"]}],
	startContainer: [{path: \"/hook\", args: [\"hook\", \"/run/after\"]}]}"
start h
is "a hook before" "$(tr -d '\0' <"$work/host/before")" system_u:system_r:host_t:s0-s0:c0.c3
is "a hook at the start" "$(tr -d '\0' <"/proc/$(pid h)/root/run/after")" $LABEL
