#!/usr/bin/env bash
# `make dist`: a tarball of the static binaries, man pages and completions as they are installed below /usr, with an SBOM
# (CycloneDX), the licences of what is linked in, and checksums. The same commit gives the same bytes, wherever it is
# built: with the same toolchain, no path, time, user or order of this machine is in it.
#
#   packaging/dist.sh [DESTINATION]        default: target/dist
#   CHECK=1 packaging/dist.sh              builds it once more, from a clone in another place, and compares
#
# What it leaves for deb.sh: DESTINATION/stage, DESTINATION/name.
set -euo pipefail
cd "$(dirname "$0")/.."
repo=$PWD
cargo=${CARGO:-cargo}
dest=$(mkdir -p "${1:-target/dist}" && realpath "${1:-target/dist}")
CYCLONEDX=0.5.9
say() { printf 'dist: %s\n' "$*" >&2; }

# Always at the same place: cargo's name for a package outside of a workspace, as steps/ is for init/, has the path in it, and the order of
# functions follows from the names.
at=/usr/src/dunnage
if [ -z "${IN_NAMESPACE:-}" ]; then
	[ "$(id -u)" = 0 ] && root=() || root=(--map-root-user)
	exec env IN_NAMESPACE=1 unshare "${root[@]}" --mount --propagation private "$0" "$dest"
fi
mount -t tmpfs none "${at%/*}"
mkdir "$at"
mount --rbind "$repo" "$at"
cd "$at"

# The time of everything inside is that of the commit.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export LC_ALL=C TZ=UTC
umask 022

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
if [ -z "$(git tag --points-at HEAD "v$version")" ]; then
	# Before the release of that name: `~` sorts first, for Debian too.
	version=$version~$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M).$(git rev-parse --short=8 HEAD)
fi
[ -z "$(git status --porcelain --untracked-files=no)" ] || version=$version.dirty
target=$(integration/target.sh)
name=dunnage-$version-${target%%-*}-linux
say "$name"

# Paths in messages of panics. Cargo joins these flags with those of .cargo/config.toml.
sources=$(realpath "${CARGO_HOME:-$HOME/.cargo}")
flags="['--remap-path-prefix=$at=/dunnage', '--remap-path-prefix=$sources=/cargo']"
build=$dest/build
"$cargo" build --release --locked -p dunnage -p containerd-shim-dunnage-v2 --target "$target" --target-dir "$build" \
	--config "target.'$target'.rustflags=$flags"
binaries=$build/$target/release
for binary in dunnage containerd-shim-dunnage-v2; do
	if grep -qa -e "$at" -e "$repo" -e "$sources" "$binaries/$binary"; then
		say "$binary names a path of this machine:"
		grep -oa -e "${repo}[[:print:]]*" -e "${sources}[[:print:]]*" "$binaries/$binary" | head -3 >&2
		exit 1
	fi
done

stage=$dest/stage
rm -rf "$stage" target/generated
make -s man completions CARGO="$cargo"
make -s install-files CARGO="$cargo" DESTDIR="$stage" PREFIX=/usr BINARY="$binaries/dunnage" SHIM="$binaries/containerd-shim-dunnage-v2"
find "$stage/usr/share/man" -type f -exec gzip -9n {} +

docs=$stage/usr/share/doc/dunnage
mkdir -p "$docs"
cp README.md LICENSE SECURITY.md "$docs/"
git ls-files docs | xargs cp --parents -t "$docs"
gzip -9nc CHANGELOG.md >"$docs/CHANGELOG.md.gz"
packaging/licences.py --target "$target" >"$docs/THIRD-PARTY"

# The bill of materials, from the lock file.
tools=$repo/target/tools/cyclonedx-$CYCLONEDX
if [ ! -x "$tools/bin/cargo-cyclonedx" ]; then
	say "installing cargo-cyclonedx $CYCLONEDX into target/tools"
	# From /: this repository's .cargo/config.toml is for its own build.
	(cd / && "$cargo" install cargo-cyclonedx --version "$CYCLONEDX" --locked --quiet --root "$tools" --target-dir "$tools/build")
	rm -rf "$tools/build"
fi
for package in dunnage:. containerd-shim-dunnage-v2:shim; do
	manifest=${package#*:}/Cargo.toml
	PATH=$tools/bin:$PATH "$cargo" cyclonedx --manifest-path "$manifest" --format json --spec-version 1.5 --target "$target" \
		--no-build-deps --override-filename sbom.cdx >/dev/null
	packaging/sbom.py "${package#*:}/sbom.cdx.json" "$at" >"$docs/${package%%:*}.cdx.json"
done
find . -name sbom.cdx.json -not -path './target/*' -delete

find "$stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
tar -C "$stage/usr" --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
	--transform "s|^\.|$name|" -c . | gzip -9n >"$dest/$name.tar.gz"
(cd "$dest" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256" && echo "$name" >name && cat "$name.tar.gz.sha256")

if [ -n "${CHECK:-}" ]; then
	elsewhere=$(mktemp -d)
	say "once more, in $elsewhere"
	git clone -q "$repo" "$elsewhere/another place"
	mkdir -p "$elsewhere/another place/target"
	ln -s "$repo/target/tools" "$elsewhere/another place/target/tools"
	CHECK="" IN_NAMESPACE="" "$elsewhere/another place/packaging/dist.sh" "$elsewhere/out" >/dev/null
	cmp "$dest/$name.tar.gz" "$elsewhere/out/$name.tar.gz"
	say "the same bytes"
	rm -rf "$elsewhere"
fi
