#!/usr/bin/env bash
# Kills and fails a runtime at each of its system calls, makes containers by the thousand, and spoils its state directory: see
# src/main.rs beside this. Every round is in namespaces of its own.
#
#   integration/faults/run.sh BINARY              the quick part, of dunnage alone; fails if anything is not as it should be
#   FULL=yes integration/faults/run.sh BINARY     all of it, with the runtimes of integration/peers.sh; writes docs/robustness.md
#
#   LIVES=10000 AT_ONCE=200      containers one after another (quick: 300), and at once
#   PEER_LIVES=1000 PEER_POINTS=200   the same for the others; kills, and errnos, of each of their commands, spread over all
#   RUNTIMES="NAME=BINARY ..."   these, all of it, with no page written
set -euo pipefail
cd "$(dirname "$0")/../.."

dunnage=$1
work=target/faults
faults=$(find target -path '*/release/dunnage-faults' -type f -print -quit)
[ -n "$faults" ] || { echo "build it first: cargo build --release -p dunnage-faults" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "that needs root: it makes containers" >&2; exit 1; }

rootfs=$PWD/$work/rootfs
mkdir -p "$rootfs"/{bin,dev,proc,sys,etc,data}
cp "$(command -v busybox)" "$rootfs/bin/busybox"
for applet in sh sleep echo cat true; do ln -sf busybox "$rootfs/bin/$applet"; done

say() { printf '\n== %s\n' "$*"; }
measure() { # NAME BINARY OPTION...
	local name=$1 binary=$2
	shift 2
	"$faults" measure --name "$name" --runtime "$binary" --rootfs "$rootfs" "$@"
}

if [ -n "${RUNTIMES:-}" ]; then
	for pair in $RUNTIMES; do
		say "$pair"
		measure "${pair%%=*}" "${pair#*=}" --lives "${LIVES:-300}" --at-once "${AT_ONCE:-200}" --hostile --out "$work/${pair%%=*}.json"
	done
	exit
fi

if [ "${FULL:-}" != yes ]; then
	say "SIGKILL before every system call"
	measure dunnage "$dunnage" --strict --commands create,start,exec,delete --faults before
	say "system calls fail once, at 120 points of each command"
	measure dunnage "$dunnage" --strict --commands create,start,exec,delete --faults one --most 120
	say "a user namespace and hooks, at some points"
	measure dunnage "$dunnage" --strict --commands create-mapped --faults before,one --most 40
	say "containers one after another and at once; hostile state directories"
	measure dunnage "$dunnage" --strict --commands none --lives "${LIVES:-300}" --at-once "${AT_ONCE:-200}" --hostile
	exit
fi

YOUKI=no integration/peers.sh
results=("$work/dunnage.json")
say dunnage
measure dunnage "$dunnage" --lives "${LIVES:-10000}" --at-once "${AT_ONCE:-200}" --hostile --out "$work/dunnage.json" --strict || sound=no
# Debian's own, and the newest.
peers=$(echo "runc $(command -v runc || true)"; echo "crun $(command -v crun || true)"; awk '{ print $1, $3 }' target/peers/list)
while read -r name binary; do
	[ -n "$binary" ] || continue
	version=$("$binary" --version | awk 'NR == 1 { print $NF }')
	result=$work/$name-$version.json
	say "$name $version"
	measure "$name" "$binary" --most "${PEER_POINTS:-200}" --lives "${PEER_LIVES:-1000}" --at-once "${AT_ONCE:-200}" --hostile --out "$result" || continue
	results+=("$result")
done <<<"$peers"
"$faults" report --out docs/robustness.md "${results[@]}"
[ "${sound:-yes}" = yes ]
