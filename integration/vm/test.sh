#!/usr/bin/env bash
# `make test-vm`: the tests where systemd is PID 1 and every controller is on cgroup v2. They are built here, as for `make test`, and the
# runtime as for a release, which takes a third less time there. They travel on a disk; the guest finds them at the path at which they
# were built. Which of them run there: guest.sh.
#
#   integration/vm/test.sh [PART...]      parts of guest.sh (default: all)
#
# The part `selinux` has a machine of its own, before the others: one kernel has either SELinux or AppArmor.
#
# VM_MODE: the cgroups of the machine, v2 (default), hybrid or v1. VM_REBUILD=1 makes the machine anew. VM_KEEP=1 leaves it up, for
# `vm.sh exec`. A guest that panics or hangs fails the run, after one more try.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
cargo=${CARGO:-cargo}
LIMIT=2400 # seconds, for all that runs in the guest
say() { printf 'test-vm: %s\n' "$*" >&2; }

cd "$repo"
payload=target/vm/payload
rm -rf "$payload" "$payload.img"
mkdir -p "$payload/repo"

say "building the tests"
"$cargo" nextest list --workspace --list-type binaries-only --message-format json >"$payload/binaries.json"
"$cargo" build --release --bin dunnage --target "$("$here/../target.sh")"
runtime=target/$("$here/../target.sh")/release/dunnage
"$cargo" metadata --format-version 1 >"$payload/cargo.json"
"$cargo" nextest run --test containers --status-level none --final-status-level none payload::it_compiles
integration/criu.sh
[ -e target/peers/list ] || YOUKI=no integration/peers.sh

# What the tests read, where they read it.
target=$(jq -r '."rust-build-meta"."base-output-directories"[0]' "$payload/binaries.json")
jq -r '."rust-binaries"[]."binary-path"' "$payload/binaries.json" | sed "s|^$repo/||" >"$payload/files"
git ls-files >>"$payload/files"
printf '%s\n' "$runtime" "target/$target/dunnage" "target/$target/containerd-shim-dunnage-v2" "target/${target%/*}/tmp" target/peers/list >>"$payload/files"
find target/peers -path '*/root' -prune -o -path target/peers/apt -prune -o -type f -print >>"$payload/files"
cut -d' ' -f3 target/peers/list | xargs -n1 dirname | sed "s|^$repo/||;s|\$|/root/usr/lib|" >>"$payload/files"
printf '%s\n' target/criu/criu target/criu/root/usr/lib >>"$payload/files"
tar -c --ignore-failed-read -T "$payload/files" 2>/dev/null | tar -x -C "$payload/repo"
cp "$(command -v cargo-nextest)" "$payload/"
# 33 is the newest version of a policy that Linux has.
secilc -c 33 -f /dev/null -o "$payload/selinux.policy" integration/vm/selinux.cil
truncate -s $(($(du -sm "$payload" | cut -f1) + 64))M "$payload.img"
mke2fs -q -t ext4 -O ^has_journal -d "$payload" "$payload.img"
rm -rf "$payload"

vm=$here/vm.sh
# attempt PARAMETERS PART...: a machine whose kernel gets these parameters.
attempt() {
	local status=0 append=$1
	shift
	"$vm" start --mode "${VM_MODE:-v2}" --timeout $((LIMIT + 300)) --disk "$payload.img" --append "$append" || return
	"$vm" exec --timeout 30 -- "mkdir -p '$repo' && mount --bind /payload/repo '$repo'" || status=$?
	[ $status != 0 ] || "$vm" exec --timeout "$LIMIT" -- "RUNTIME='$repo/$runtime' '$repo/integration/vm/guest.sh' $*" || status=$?
	[ -n "${VM_KEEP:-}" ] || "$vm" stop
	return $status
}
failed=0
machine() {
	local status=0
	attempt "$@" || status=$?
	if [ $status = 255 ]; then
		say "THE MACHINE DIED OR HUNG: one more try"
		status=0
		attempt "$@" || status=$?
	fi
	[ $status = 0 ] || failed=$status
}
others=()
[ $# = 0 ] && selinux=yes || selinux=""
for part in "$@"; do
	if [ "$part" = selinux ]; then selinux=yes; else others+=("$part"); fi
done
[ -z "$selinux" ] || machine security=selinux selinux
[ $# != 0 ] && [ ${#others[@]} = 0 ] || machine "" "${others[@]}"
exit $failed
