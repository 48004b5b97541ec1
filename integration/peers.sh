#!/usr/bin/env bash
# Fetches the runtimes we compare ourselves with: the newest runc and crun that Debian has packaged, and youki from cargo's
# registry. They go into target/peers/, nothing on the host changes but the packages named in HOST_PACKAGES.
#
#   integration/peers.sh [DESTINATION]          default: target/peers
#   SUITES="trixie sid" integration/peers.sh    which suites are compared (default: bookworm trixie sid experimental)
#   YOUKI=no integration/peers.sh               leave youki out (it takes some minutes to compile)
#
# A newer Debian's binaries want a newer loader than the host has. A wrapper script would add a shell's start to each
# measurement, so the loader and the library path are written into the binary instead (patchelf).
# The result is a list, one `name version binary` per line, in DESTINATION/list.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
dest=${1:-$here/target/peers}
suites=${SUITES:-bookworm trixie sid experimental}
youki_version=${YOUKI_VERSION:-0.7.0}
# None is on by default in the registry; these are what its own release builds carry.
youki_features=v1,v2,systemd,seccomp
HOST_PACKAGES="patchelf libseccomp-dev pkg-config gcc"

. "$here/integration/apt.sh"
mkdir -p "$dest"
dest=$(cd "$dest" && pwd)
say() { printf 'peers: %s\n' "$*" >&2; }

install_host_packages() {
	local missing=()
	for p in $HOST_PACKAGES; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
	done
	[ ${#missing[@]} = 0 ] && return
	say "installing Debian packages: ${missing[*]}"
	apt-get update -q >&2
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
}

# newest PACKAGE: "version suite" of the newest one that the suites hold.
newest() {
	local version suite best="" best_suite=""
	while read -r version suite; do
		if [ -z "$best" ] || dpkg --compare-versions "$version" gt "$best"; then
			best=$version best_suite=$suite
		fi
	done < <(apt apt-cache madison "$1" | awk -F'[|]' '{ split($3, w, " "); split(w[2], s, "/"); gsub(/ /, "", $2); print $2, s[1] }')
	echo "$best $best_suite"
}

fetch_debian() {
	local name=$1 binary=$2 version suite short dir root
	read -r version suite < <(newest "$name")
	[ -n "$version" ] || { say "$name: in none of: $suites"; return 1; }
	short=${version%%+*} short=${short%-*}
	dir=$dest/$name-$short
	if [ ! -x "$dir/$name" ]; then
		say "$name $version from $suite"
		root=$dir/root
		rm -rf "$dir"
		unpack_packages "$root" -t "$suite" "$name=$version"
		cp "$root$binary" "$dir/$name"
		relocate "$dir/$name" "$root"
	fi
	echo "$name $short $dir/$name" >>"$dest/list.new"
}

fetch_youki() {
	local dir=$dest/youki-$youki_version
	if [ ! -x "$dir/youki" ]; then
		say "youki $youki_version: compiling it with cargo (some minutes)"
		mkdir -p "$dir"
		# From /: this repository's own .cargo/config.toml asks for a static executable, youki's build is its own affair.
		if ! (cd / && nice cargo install youki --version "$youki_version" --features "$youki_features" --locked --root "$dir/root" --target-dir "$dest/youki-build") \
			>"$dir/build.log" 2>&1; then
			say "youki $youki_version does not build here: $(grep -m1 '^error' "$dir/build.log"); see $dir/build.log"
			return 1
		fi
		ln -sf root/bin/youki "$dir/youki"
	fi
	echo "youki $youki_version $dir/youki" >>"$dest/list.new"
}

install_host_packages
: >"$dest/list.new"
failed=0
# shellcheck disable=SC2086 # a list of words
prepare_apt "$dest/apt" $suites
fetch_debian runc /usr/sbin/runc || failed=1
fetch_debian crun /usr/bin/crun || failed=1
[ "${YOUKI:-yes}" = no ] || fetch_youki || failed=1
mv "$dest/list.new" "$dest/list"
while read -r name version binary; do
	say "$name $version: $("$binary" --version | head -1)"
done <"$dest/list"
exit $failed
