#!/usr/bin/env bash
# Builds the validation suite of the OCI's runtime-tools from Debian's source package, with Debian's Go and its packages of Go
# sources, all of one suite, unpacked into a directory: nothing on the host changes.
#
#   integration/validation/build.sh [DESTINATION]      default: target/validation
#
# The result: DESTINATION/suite with one program a test in bin/, `runtimetest`, which runs inside the containers, and the root
# file system of these. What is there already is kept; the version is in DESTINATION/suite/version.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
dest=${1:-$here/../../target/validation}
suite=${SUITE:-trixie}
source=golang-github-opencontainers-runtime-tools
# What the suite imports. The source package's own list is of what its library needs.
packages="golang-go golang-github-blang-semver-dev golang-github-google-uuid-dev golang-github-hashicorp-go-multierror-dev
	golang-github-mrunalp-fileutils-dev golang-github-opencontainers-selinux-dev golang-github-opencontainers-specs-dev
	golang-github-sirupsen-logrus-dev golang-github-stretchr-testify-dev golang-github-urfave-cli-dev
	golang-github-xeipuuv-gojsonschema-dev golang-gocapability-dev golang-golang-x-sys-dev"

. "$here/../apt.sh"
mkdir -p "$dest"
dest=$(cd "$dest" && pwd)
say() { printf 'validation: %s\n' "$*" >&2; }

# The tarball alone, by the checksum of the index: a mirror may lack the two small files that Debian adds to it.
fetch_source() {
	mkdir -p "$dest/download"
	(cd "$dest/download" && quiet apt apt-get source --download-only --tar-only "$source/$suite")
	basename "$(ls "$dest/download/$source"_*.orig.tar.*)"
}

# What is written last says that all of it is there, of these scripts.
stamp=$(cat "$here/build.sh" "$here/tap.go" | sha256sum | cut -d' ' -f1)
[ "$(cat "$dest/suite/stamp" 2>/dev/null)" != "$stamp" ] || exit 0
rm -rf "$dest/suite" "$dest/download" "$dest/gopath"

prepare_apt "$dest/apt" "$suite"
sed -i 's/^deb \(.*\)/&\ndeb-src \1/' "$dest/apt/sources.list"
quiet apt apt-get update
tarball=$(fetch_source)
say "the suite is $tarball"
if [ ! -e "$dest/root/complete" ]; then
	say "Go and its packages, from $suite"
	rm -rf "$dest/root"
	# shellcheck disable=SC2086 # a list of words
	unpack_packages "$dest/root" -t "$suite" $packages
	: >"$dest/root/complete"
fi

import=$dest/gopath/src/github.com
mkdir -p "$import/opencontainers/runtime-tools" "$import/mndrix/tap-go" "$dest/suite/bin"
tar -x --strip-components=1 -C "$import/opencontainers/runtime-tools" -f "$dest/download/$tarball"
cp "$here/tap.go" "$import/mndrix/tap-go/"

# Two tests race with their own containers, and win only against a slow runtime. `pidfile` kills a program that ends by itself
# (`true`); `killsig` sends a signal that the shell inside may not have trapped yet. Both wait now.
steady() {
	grep -q "$2" "validation/$1/$1.go" || { say "$1 is not as it was: look at $0"; return 1; }
	sed -i "s/$2/$3/" "validation/$1/$1.go"
}
(cd "$import/opencontainers/runtime-tools"
	steady pidfile '\[\]string{"true"}' '[]string{"sleep", "60"}'
	steady killsig 'err = r.Kill(signal)' 'time.Sleep(time.Second); &')

goroot=$(echo "$dest"/root/usr/lib/go-*)
go() {
	# Static, as they run in a root file system of their own; no module is asked of anybody.
	env GOROOT="$goroot" GOPATH="$dest/gopath:$dest/root/usr/share/gocode" GOCACHE="$dest/cache" GOFLAGS= GO111MODULE=off \
		GOTOOLCHAIN=local CGO_ENABLED=0 "$goroot/bin/go" "$@"
}
say "compiling with $(go version | cut -d' ' -f3)"
cd "$import/opencontainers/runtime-tools"
go build -ldflags="-s -w" -o "$dest/suite/runtimetest" ./cmd/runtimetest
go build -ldflags="-s -w" -o "$dest/suite/bin/" ./validation/...
cp rootfs-*.tar.gz "$dest/suite/"
# The cache of the compiler is five times the suite.
rm -rf "$dest/cache" "$dest/gopath"
echo "$tarball" | sed 's/.*_\(.*\)\.orig.*/\1/' >"$dest/suite/version"
echo "$stamp" >"$dest/suite/stamp"
say "$(find "$dest/suite/bin" -type f | wc -l) tests in $dest/suite"
