#!/usr/bin/env bash
# Fetches the JSON schemas of the runtime specification, as Debian packages them (1.3.0 is in experimental), for
# tests/conformance/schema.rs: into target/schema/runtime-spec. Nothing on the host changes. What is there is not fetched again.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
package=golang-github-opencontainers-specs-dev
version=1.3.0
dest=$here/target/schema
[ ! -e "$dest/runtime-spec/config-schema.json" ] || exit 0

. "$here/integration/apt.sh"
rm -rf "$dest"
mkdir -p "$dest"
prepare_apt "$dest/apt" sid experimental
found=$(apt apt-cache madison "$package" | awk -v wanted="$version" 'index($3, wanted) == 1 { print $3; exit }')
[ -n "$found" ] || { echo "schema: $package $version is in neither sid nor experimental" >&2; exit 1; }
cd "$dest"
quiet apt apt-get download "$package=$found"
dpkg-deb --fsys-tarfile "$package"_*.deb | tar -x -C "$dest" --wildcards --strip-components=8 '*/runtime-spec/schema/*.json'
mv "$dest/schema" "$dest/runtime-spec"
rm -rf "$dest"/*.deb "$dest/apt"
echo "schema: $package $found: $(find "$dest/runtime-spec" -name '*.json' | wc -l) schemas" >&2
