#!/usr/bin/env bash
# `make deb`: Debian packages of what dist.sh has built: dunnage, containerd-shim-dunnage. The same commit gives the same bytes.
#
#   packaging/deb.sh [DIRECTORY]           where dist.sh has put its files, and these go: target/dist
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
dest=$(realpath "${1:-../target/dist}")
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
umask 022

stage=$dest/stage/usr
name=$(cat "$dest/name")
version=$(sed 's/^dunnage-\(.*\)-[^-]*-linux$/\1/' <<<"$name")
arch=$(dpkg --print-architecture)
docs=$stage/share/doc/dunnage

# package NAME SUMMARY DESCRIPTION RELATIONS: the tree is in $root.
package() {
	local size
	mkdir -p "$root/usr/share/doc/$1" "$root/DEBIAN"
	cp "$docs/CHANGELOG.md.gz" "$root/usr/share/doc/$1/changelog.gz"
	{
		printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: dunnage\n\n'
		printf 'Files: *\nCopyright: the Dunnage authors\nLicense: Apache-2.0\n'
		printf ' On Debian systems, the text of this licence is in /usr/share/common-licenses/Apache-2.0.\n'
		printf 'Comment: The packages that are linked in, and their licences:\n'
		sed 's/^$/./; s/^/ /' "$docs/THIRD-PARTY"
	} >"$root/usr/share/doc/$1/copyright"
	size=$(du -sk --apparent-size "$root/usr" | cut -f1)
	{
		printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: The Dunnage maintainers <dunnage@localhost>\n' "$1" "$version" "$arch"
		printf 'Section: admin\nPriority: optional\nInstalled-Size: %s\n%sDescription: %s\n' "$size" "${4%X}" "$2"
		fold -s -w 78 <<<"$3" | sed 's/^/ /; s/ *$//'
	} >"$root/DEBIAN/control"
	(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
	find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	dpkg-deb --root-owner-group -Zxz --build "$root" "$dest/$1_${version}_$arch.deb" >&2
	(cd "$dest" && sha256sum "$1_${version}_$arch.deb")
	rm -rf "$root"
}

rm -f "$dest"/*.deb
root=$dest/deb
rm -rf "$root"
mkdir -p "$root/usr/sbin" "$root/usr/share/doc/dunnage" "$root/DEBIAN"
cp "$stage/sbin/dunnage" "$root/usr/sbin/"
cp -r "$stage/share/man" "$stage/share/bash-completion" "$stage/share/zsh" "$stage/share/fish" "$root/usr/share/"
mkdir -p "$root/usr/share/zsh/vendor-completions"
mv "$root/usr/share/zsh/site-functions/_dunnage" "$root/usr/share/zsh/vendor-completions/"
rmdir "$root/usr/share/zsh/site-functions"
cp -r "$docs/docs" "$docs/README.md" "$docs/SECURITY.md" "$docs/dunnage.cdx.json" "$root/usr/share/doc/dunnage/"
install -m 0755 "$here/dunnage/postinst" "$here/dunnage/prerm" "$root/DEBIAN/"
install -m 0644 "$here/dunnage/triggers" "$root/DEBIAN/"
package dunnage "OCI container runtime, a drop-in for runc" \
	"Creates, starts, enters, signals and deletes containers as runc does: the same command line, state on disk, exit codes and error texts. podman, Docker, containerd and CRI-O can use it; the name runc has alternatives as soon as this is installed, of which Debian's runc, where there is one, stays the chosen one until the administrator says otherwise (update-alternatives --config runc)." \
	"$(printf 'Suggests: containerd-shim-dunnage, criu\nX')"

mkdir -p "$root/usr/bin" "$root/usr/share/doc/containerd-shim-dunnage"
cp "$stage/bin/containerd-shim-dunnage-v2" "$root/usr/bin/"
cp "$docs/containerd-shim-dunnage-v2.cdx.json" "$root/usr/share/doc/containerd-shim-dunnage/"
package containerd-shim-dunnage "shim of the Dunnage container runtime for containerd" \
	"Holds a pod's containers for containerd: their input and output, their exit codes, their ends; they survive the daemon's absence, and the shim's replacement by a newer one. The runtime is linked in. containerd uses it as the runtime type io.containerd.dunnage.v2." \
	"$(printf 'Recommends: containerd\nSuggests: dunnage\nX')"
