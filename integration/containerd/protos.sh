#!/usr/bin/env bash
# The shim's messages (shim/src/proto/) against the .proto files of the newest containerd that Debian has: numbers, names and types,
# and random messages there and back. protos.py says what is compared and what is known to differ.
#
#   integration/containerd/protos.sh            SEED=N, COUNT=N: which random messages, how many of each (default: 200)
#   REFRESH=yes integration/containerd/protos.sh    ask the registry for newer ones
#
# The files go into target/containerd/protos; what is there is kept.
set -euo pipefail

cd "$(dirname "$0")/../.."
here=$PWD
cargo=${CARGO:-cargo}
dest=$here/target/containerd/protos
packages="golang-github-containerd-containerd-api-dev golang-github-containerd-containerd-dev golang-github-containerd-ttrpc-dev
	golang-github-containerd-cgroups-dev golang-github-gogo-googleapis-dev libprotobuf-dev"

fetch() (
	. "$here/integration/apt.sh"
	rm -rf "$dest.new"
	mkdir -p "$dest.new/deb"
	prepare_apt "$dest.new/apt" sid
	# What they need is not wanted: the .proto files alone.
	cd "$dest.new/deb"
	# shellcheck disable=SC2086 # a list of words
	quiet apt apt-get download $packages
	for deb in *.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dest.new" --wildcards '*.proto'
	done
	apt apt-cache show --no-all-versions golang-github-containerd-containerd-api-dev | sed -n 's/^Version: //p' >"$dest.new/version"
	rm -rf "$dest.new/apt" "$dest.new/deb" "$dest"
	mv "$dest.new" "$dest"
)

integration/packages.sh protobuf-compiler python3-protobuf
if [ "${REFRESH:-no}" != no ] || [ ! -s "$dest/version" ]; then
	fetch
fi
src=$dest/usr/share/gocode/src
cd "$src/github.com/containerd"
# One descriptor set of all; imports are looked up as Go's are.
protoc -I "$src" -I "$dest/usr/include" -I "$src/github.com/containerd/ttrpc" --include_imports --descriptor_set_out="$dest/all.bin" \
	github.com/containerd/containerd/api/runtime/task/v2/shim.proto \
	github.com/containerd/containerd/api/runtime/task/v3/shim.proto \
	github.com/containerd/containerd/api/runtime/sandbox/v1/sandbox.proto \
	github.com/containerd/containerd/api/events/task.proto \
	github.com/containerd/containerd/api/services/ttrpc/events/v1/events.proto \
	github.com/containerd/containerd/api/types/introspection.proto \
	github.com/containerd/containerd/api/types/runc/options/oci.proto \
	github.com/containerd/containerd/api/types/runtimeoptions/v1/api.proto \
	github.com/containerd/cgroups/v3/cgroup1/stats/metrics.proto \
	github.com/containerd/cgroups/v3/cgroup2/stats/metrics.proto \
	github.com/gogo/googleapis/google/rpc/status.proto \
	request.proto
cd "$here"
host=$(rustc -vV | sed -n 's/^host: //p')
"$cargo" build -q --target "$host" -p containerd-shim-dunnage-v2 --example messages
PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 integration/containerd/protos.py "$dest/all.bin" "$(cat "$dest/version")" "target/$host/debug/examples/messages"
