#!/bin/bash
# A process is under the AppArmor profile that it was given, or there is no process: with no_new_privs, seccomp, user namespaces, and
# whatever an image or a hook puts where /proc is.
export DRIVER=cgroupfs
# shellcheck source=integration/vm/scene.sh
. "$REPO/integration/vm/scene.sh"
# The names of a machine that may have others.
A=dunnage-scene-a B=dunnage-scene-b OUTER=dunnage-scene-outer

rootfs
ln -s busybox "$work/rootfs/bin/mount"
mkdir -p "$work/rootfs/fake/self/attr/apparmor"
touch "$work/rootfs/fake/self/attr/apparmor/exec" "$work/rootfs/fake/self/attr/exec"
cat >"$work/profiles" <<END
profile $A flags=(attach_disconnected,mediate_deleted) {
	file, capability, signal, mount, umount, ptrace,
	deny /tmp/secret* w,
}
profile $B flags=(attach_disconnected,mediate_deleted) {
	file, capability, signal,
	deny /dev/shm/** w,
}
profile $OUTER flags=(attach_disconnected,mediate_deleted) {
	file, capability, signal, mount, umount, pivot_root, ptrace, network, unix, change_profile,
	userns,
}
END
apparmor_parser -r -K "$work/profiles"
racer=""
undo() {
	[ -z "$racer" ] || kill "$racer"
	apparmor_parser -R "$work/profiles"
}

# label NAME: of the container's init, as the host sees it. It is there when the user's program is.
label() { cat "/proc/$(pid "$1")/attr/current"; }
under() {
	until_label() { [ "$(label "$1")" = "$2" ]; }
	eventually "$1 under $2: $(label "$1")" until_label "$1" "$2"
}
# What is tried in the container, and what it may: "LABEL secret=STATUS shm=STATUS".
TRY='f() { (echo x >$1) 2>/dev/null; echo $?; }; echo "$(cat /proc/self/attr/current) secret=$(f /tmp/secret$$) shm=$(f /dev/shm/x$$)"'
tmp='.mounts += [{destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["mode=1777"]}]'
user='.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
	| .linux.gidMappings = .linux.uidMappings'
filter='.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir", "chmod"], action: "SCMP_ACT_ERRNO"}]}'
in_a="$A (enforce) secret=1 shm=0" in_b="$B (enforce) secret=0 shm=1" free="unconfined secret=0 shm=0"

# ---- exec: the profile of config.json, of the command line, of process.json -----------------------------------------------------
bundle a "$tmp | .process.apparmorProfile = \"$A\""
start a
under a "$A (enforce)"
is "exec" "$(d exec s-a sh -c "$TRY")" "$in_a"
is "exec --apparmor" "$(d exec --apparmor $B s-a sh -c "$TRY")" "$in_b"
is "exec --apparmor unconfined" "$(d exec --apparmor unconfined s-a sh -c "$TRY")" "$free"
is "exec --no-new-privs=false" "$(d exec --apparmor $B --no-new-privs=false s-a sh -c "$TRY")" "$in_b"
is "exec --user" "$(d exec --apparmor $B --user 1000 s-a sh -c "$TRY")" "$in_b"
process() { jq --arg try "$TRY" ".process | .args = [\"sh\", \"-c\", \$try] | $1" "$work/a/config.json" >"$work/process.json"; }
process ".apparmorProfile = \"$B\""
is "process.json" "$(d exec --process "$work/process.json" s-a)" "$in_b"
# As with runc: what process.json leaves out is not taken from the container.
process 'del(.apparmorProfile)'
is "process.json without" "$(d exec --process "$work/process.json" s-a)" "$free"
missing="unable to apply apparmor profile: apparmor failed to apply profile: write /proc/self/attr/apparmor/exec: no such file or directory"
refused "exec, not loaded" "$missing (exec's /process/apparmorProfile); the profile" \
	d exec --apparmor nonesuch s-a true
d delete --force s-a

# ---- run: each with its attributes, and the same of runc ------------------------------------------------------------------------
tried=0
runs() {
	local what=$1 expected=$2 name=r$tried theirs
	tried=$((tried + 1))
	bundle "$name" "$tmp | $3 | .process.args = [\"sh\", \"-c\", \"$(sed 's/"/\\"/g' <<<"$TRY")\"]"
	is "$what" "$(d run --bundle "$work/$name" "s-$name" </dev/null 2>&1)" "$expected"
	[ -n "${RUNC:-}" ] || return 0
	theirs=$(timeout -k 5 $((20 * slow)) "$RUNC" --root "$work/runc" run --bundle "$work/$name" "s-$name" </dev/null 2>&1)
	is "$what, with runc" "$theirs" "$expected"
}
runs "no_new_privs" "$in_a" ".process.noNewPrivileges = true | .process.apparmorProfile = \"$A\""
runs "without" "$in_a" ".process.noNewPrivileges = false | .process.apparmorProfile = \"$A\""
runs "a filter, late" "$in_b" "$filter | .process.noNewPrivileges = true | .process.apparmorProfile = \"$B\""
runs "a filter, early" "$in_b" "$filter | .process.noNewPrivileges = false | .process.apparmorProfile = \"$B\""
runs "a user namespace" "$in_a" "$user | .process.apparmorProfile = \"$A\""
runs "both" "$A//&$B (enforce) secret=1 shm=1" ".process.apparmorProfile = \"$A//&$B\""
runs "unconfined" "$free" '.process.apparmorProfile = "unconfined"'
runs "none" "$free" 'del(.process.apparmorProfile)'

bundle refused '.process.apparmorProfile = "nonesuch"'
refused "create, not loaded" "$missing (config.json /process/apparmorProfile); the profile" create refused
# What is too long for the kernel is not cut off to another name.
long=$(printf '%05000d' 0)
bundle long ".process.apparmorProfile = \"$long\""
refused "a long name" "write /proc/self/attr/apparmor/exec: file name too long" create long
gone refused long

# ---- who runs us is under a profile, too ----------------------------------------------------------------------------------------
bundle inner "$tmp | .process.noNewPrivileges = false | .process.apparmorProfile = \"$A\" | .process.args = [\"cat\", \"/proc/self/attr/current\"]"
is "confined ourselves" "$(aa-exec -p $OUTER -- "$runtime" --root "$work/root" run --bundle "$work/inner" s-inner </dev/null 2>&1)" "$A (enforce)"
# AppArmor refuses to leave a profile with no_new_privs: no container, rather than one under another profile.
jq '.process.noNewPrivileges = true' "$work/inner/config.json" >"$work/new"
mv "$work/new" "$work/inner/config.json"
is "and with no_new_privs" "$(aa-exec -p $OUTER -- "$runtime" --root "$work/root" run --bundle "$work/inner" s-inner </dev/null 2>&1)" \
	"exec /bin/cat: operation not permitted"
gone inner

# ---- an unprivileged user -------------------------------------------------------------------------------------------------------
mkdir "$work/user"
chown user "$work/user"
runuser -u user -- sh -ec "cd $work/user && $runtime spec --rootless && jq '.process.terminal = false | .root.path = \"$work/rootfs\"
	| .process.apparmorProfile = \"$A\" | .process.args = [\"cat\", \"/proc/self/attr/current\"]' config.json >new && mv new config.json"
is "of a user" "$(runuser -u user -- timeout $((20 * slow)) "$runtime" --root "$work/user/root" run --bundle "$work/user" s-user </dev/null 2>&1)" \
	"$A (enforce)"

# ---- the container's /proc is not what we write to (CVE-2019-16884, CVE-2025-52881) ---------------------------------------------
# Root of a container that may mount covers its /proc: whoever joins is under the profile all the same.
bundle covered "$tmp | .process.apparmorProfile = \"$A\" | .process.capabilities[] += [\"CAP_SYS_ADMIN\"]
	| .process.args = [\"sh\", \"-c\", \"mount -o bind /fake /proc && exec sleep 1000\"]"
start covered
covered() { d exec s-covered cat /proc/self/attr/apparmor/exec 2>/dev/null && ! d exec s-covered cat /proc/1/comm 2>/dev/null; }
eventually "a covered /proc" covered
d exec --detach --apparmor $B --pid-file "$work/joined" s-covered sleep 900 </dev/null
is "who joins" "$(cat "/proc/$(cat "$work/joined")/attr/current")" "$B (enforce)"
d delete --force s-covered

# A hook in the container's mount namespace does it before we write.
cat >"$work/cover" <<'END'
#!/bin/sh
mount --bind "$1/fake" "$1/proc"
END
chmod 0755 "$work/cover"
bundle hooked ".process.apparmorProfile = \"$A\" | .linux.maskedPaths = [] | .linux.readonlyPaths = []
	| .hooks = {createContainer: [{path: \"$work/cover\", args: [\"cover\", \"$work/rootfs\"]}]}"
start hooked
under hooked "$A (enforce)"
d delete --force s-hooked

# Whoever shares the root exchanges /proc at every moment: refused, or under the profile.
python3 - "$work/rootfs" <<'END' &
import ctypes, os, sys
libc = ctypes.CDLL(None)
a, b = (os.path.join(sys.argv[1], name).encode() for name in ("proc", "fake"))
while True:
    libc.syscall(316, -100, a, -100, b, 2)  # renameat2, RENAME_EXCHANGE
END
racer=$!
bundle race ".process.apparmorProfile = \"$A\" | .linux.maskedPaths = [] | .linux.readonlyPaths = []"
made=0 rounds=12
for ((n = 0; n < rounds; n++)); do
	if create race </dev/null >"$work/race.log" 2>&1; then
		made=$((made + 1))
		d start s-race
		under race "$A (enforce)"
	fi
	d delete --force s-race
done
is "what is in the image's /proc" "$(cat "$work"/rootfs/{fake,proc}/self/attr/{apparmor/,}exec 2>/dev/null)" ""
figure "containers under AppArmor while /proc is exchanged: $made of $rounds made, each under its profile"
