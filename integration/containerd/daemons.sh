#!/usr/bin/env bash
# Fetches the containerd of three Debian releases, each with the ctr, the shim and the runc that came with it: 1.6 of bookworm,
# 1.7 of trixie, 2.x of sid. They go into target/containerd/, nothing on the host changes but the package patchelf.
#
#   integration/containerd/daemons.sh [DESTINATION]          default: target/containerd
#   SUITES="trixie sid" integration/containerd/daemons.sh    which suites (default: bookworm trixie sid)
#   REFRESH=yes integration/containerd/daemons.sh            ask the registry for newer ones
#
# What is there is kept: the second call asks nobody and takes no time. The result is a list, one `suite version directory` per
# line, in DESTINATION/list; a directory holds containerd, ctr, containerd-shim-runc-v2 and runc.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
dest=${1:-$here/target/containerd}
suites=${SUITES:-bookworm trixie sid}

mkdir -p "$dest"
dest=$(cd "$dest" && pwd)
say() { printf 'daemons: %s\n' "$*" >&2; }

# complete: whether the list names all the suites, and each binary is where it says.
complete() {
	local suite version dir
	[ -s "$dest/list" ] || return 1
	[ "$(awk '{ printf "%s ", $1 }' "$dest/list")" = "$(printf '%s ' $suites)" ] || return 1
	while read -r suite version dir; do
		for binary in containerd ctr containerd-shim-runc-v2 runc; do
			[ -x "$dir/$binary" ] || return 1
		done
	done <"$dest/list"
}

# fetch SUITE: adds its line to the new list.
fetch() {
	local suite=$1 version short dir root binary
	version=$(apt apt-cache madison containerd | awk -F'[|]' -v s="$suite" '{ gsub(/ /, "", $2); split($3, w, " "); split(w[2], d, "/"); if (d[1] == s) { print $2; exit } }')
	[ -n "$version" ] || { say "no containerd in $suite"; return 1; }
	short=${version%%[+~]*}
	dir=$dest/$short
	if [ ! -x "$dir/runc" ] || [ "$(cat "$dir/version" 2>/dev/null)" != "$version" ]; then
		say "containerd $version from $suite"
		root=$dir/root
		rm -rf "$dir"
		unpack_packages "$root" -t "$suite" "containerd=$version" runc
		for binary in containerd ctr containerd-shim-runc-v2 runc; do
			cp "$(find "$root/usr/bin" "$root/usr/sbin" -name "$binary" | head -1)" "$dir/$binary"
			relocate "$dir/$binary" "$root"
		done
		echo "$version" >"$dir/version"
	fi
	echo "$suite $short $dir" >>"$dest/list.new"
}

if [ "${REFRESH:-no}" = no ] && complete; then
	exit 0
fi
"$here/integration/packages.sh" patchelf
. "$here/integration/apt.sh"
: >"$dest/list.new"
# shellcheck disable=SC2086 # a list of words
prepare_apt "$dest/apt" $suites
for suite in $suites; do
	fetch "$suite"
done
mv "$dest/list.new" "$dest/list"
while read -r suite version dir; do
	say "$suite: $("$dir/containerd" --version | cut -d' ' -f3) with $("$dir/runc" --version | head -1)"
done <"$dest/list"
