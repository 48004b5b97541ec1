# shellcheck shell=bash
# What the scripts of guest.d share: bundles, commands with a limit, and the host's view of a container. To be sourced.
# Every container of a script is called s-NAME, and its unit scene-s-NAME.scope.
set -euo pipefail
shopt -s nullglob

# /usr/sbin is not in everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin
slow=${DUNNAGE_TEST_SLOW:-1}
driver=${DRIVER:-systemd}
work=$(mktemp -d "/tmp/scene-$(basename "$0" .sh).XXXXXX")
# In the machine's memory: from the shared disk every start takes longer.
cp "$DUNNAGE" "$work/dunnage"
chmod 0755 "$work"
runtime=$work/dunnage
trap 'end_all' EXIT

fail() { echo "$*"; exit 1; }
is() { [ "$2" = "$3" ] || fail "$1: ${2:-nothing}, not ${3:-nothing}"; }
# has WHAT TEXT PART
has() { [[ $2 == *"$3"* ]] || fail "$1: no \"$3\" in: $2"; }
say() { printf '%s\n' "$*"; }
# For the summary of the whole run, too.
figure() { printf 'figure: %s\n' "$*"; }

# The runtime, as callers use it.
d() {
	local flags=(--root "$work/root")
	[ "$driver" = cgroupfs ] || flags+=(--systemd-cgroup)
	timeout -k 5 $((20 * slow)) "$runtime" "${flags[@]}" "$@"
}

# refused WHAT PART ARGUMENT...: the command fails, and says this.
refused() {
	local what=$1 part=$2 text status=0
	shift 2
	text=$("$@" 2>&1) || status=$?
	[ $status != 0 ] || fail "$what: succeeded: $text"
	has "$what" "$text" "$part"
}

# eventually WHAT COMMAND...: it succeeds within ten seconds.
eventually() {
	local what=$1 until=$((SECONDS + 10 * slow))
	shift
	until "$@"; do
		[ $SECONDS -lt $until ] || fail "in vain: $what"
		sleep 0.1
	done
}

# One root file system for all containers: busybox, read-only.
rootfs() {
	[ ! -d "$work/rootfs" ] || return 0
	mkdir -p "$work"/rootfs/{bin,dev,etc,proc,sys,tmp}
	cp /bin/busybox "$work/rootfs/bin/"
	local applet
	for applet in sh sleep cat echo dd head tail mkdir true false id; do ln -s busybox "$work/rootfs/bin/$applet"; done
}

# Where systemd is to put it, or we: the last levels of its cgroup.
place() {
	if [ "$driver" = cgroupfs ]; then echo "${PARENT:-/dunnage-scene}/$1"; else echo "${SLICE:-system.slice}:scene:$1"; fi
}

# bundle NAME [FILTER]: a bundle whose container sleeps; jq's FILTER changes its config.json.
bundle() {
	local dir=$work/$1 flags=()
	[ "$(id -u)" = 0 ] || flags=(--rootless)
	rootfs
	mkdir "$dir"
	"$runtime" spec "${flags[@]}" --bundle "$dir"
	# No terminal, no limits but those of the scene, and no group that a user namespace of one user does not have.
	jq --arg root "$work/rootfs" --arg place "$(place "s-$1")" '.process.terminal = false | .process.args = ["sleep", "1000"]
		| .root.path = $root | .linux.cgroupsPath = $place | .mounts |= map(if .options then .options -= ["gid=5"] else . end)
		' "$dir/config.json" |
		jq "${2:-.}" >"$dir/new"
	mv "$dir/new" "$dir/config.json"
}

create() { d create --bundle "$work/$1" "${@:2}" "s-$1"; }
start() { create "$@" </dev/null >"$work/$1.log" 2>&1 || fail "$(cat "$work/$1.log")"; d start "s-$1"; }
status() { d state "s-$1" | jq -r .status; }
pid() { d state "s-$1" | jq .pid; }
# Of the container's init, as the host sees it.
cgroup() { sed -n 's|^0::||p' "/proc/$(pid "$1")/cgroup"; }
# file NAME FILE: of its cgroup, where the state has it.
file() { cat "$(jq -r '.cgroup_paths[""]' "$work/root/s-$1/state.json")/$2"; }
unit() { echo "scene-s-$1.scope"; }
# Whose systemd it is: who has a slice of the user's own speaks with the user's.
whose=()
[ -z "${SLICE:-}" ] || whose=(--user)
ctl() { systemctl "${whose[@]}" "$@"; }
show() { ctl show --value --property "$2" "$(unit "$1")"; }

# Nothing is left of these containers: no state, no unit, no cgroup (and so no process).
gone() {
	local name left
	for name in "$@"; do
		[ ! -e "$work/root/s-$name" ] || fail "s-$name: its state is left: $(ls "$work/root/s-$name")"
		left=$(find /sys/fs/cgroup -depth -type d \( -name "s-$name" -o -name "$(unit "$name")" \))
		[ -z "$left" ] || fail "s-$name: its cgroup is left: $left: $(cat "${left%%$'\n'*}/cgroup.procs")"
		left=$(ctl list-units --all --plain --no-legend "$(unit "$name")")
		[ -z "$left" ] || fail "s-$name: its unit is left: $left"
	done
}

# What a script has made besides, is its own to define.
undo() { :; }
end_all() {
	local status=$? state
	for state in "$work"/root/*; do d delete --force "$(basename "$state")" || true; done
	undo || true
	rm -rf "$work"
	exit $status
}
