#!/usr/bin/env bash
# `make check-arm64`: everything is compiled and linked for aarch64, and the programs say their version and print a plan under QEMU's
# emulation of a processor. Nothing is run in containers there: that takes such a machine.
#
# A toolchain of rustup has, by default, no standard library for another processor; Debian's has, so it is done with the newest of Debian,
# unpacked beside the host's.
set -euo pipefail
cd "$(dirname "$0")/.."
repo=$PWD
dest=$repo/target/arm64
suite=${SUITE:-sid}
target=aarch64-unknown-linux-gnu
. integration/apt.sh
say() { printf 'arm64: %s\n' "$*" >&2; }

integration/packages.sh qemu-user-static debian-archive-keyring
if [ ! -e "$dest/done" ]; then
	say "the Rust of Debian $suite, with the library for aarch64 (some hundred megabytes)"
	rm -rf "$dest"
	mkdir -p "$dest/root"
	prepare_apt "$dest/apt" "$suite"
	unpack_packages "$dest/root" base-files coreutils dash cargo rustc gcc libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross
	# Of the other architecture only the library, which needs nothing.
	version=$(apt apt-cache policy rustc | sed -n 's/^  Candidate: //p')
	short=$(cut -d. -f1,2 <<<"$version")
	quiet apt apt-get -o APT::Architectures=arm64,amd64 update
	(cd "$dest" && quiet apt apt-get -o APT::Architectures=arm64,amd64 download "libstd-rust-dev:arm64=$version" "libstd-rust-$short:arm64=$version")
	for deb in "$dest"/*.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dest/root" --exclude='./usr/share/doc'; done
	touch "$dest/done"
fi
[ -n "${IN_NAMESPACE:-}" ] || exec env IN_NAMESPACE=1 unshare --mount --propagation private "$0"

# The sources and the packages of cargo's registry where the host has them; what is built goes beside the toolchain.
root=$dest/root
cargo fetch --locked --quiet
for dir in "$repo" "${CARGO_HOME:-$HOME/.cargo}" /proc /dev /tmp; do
	mkdir -p "$root$dir"
	mount --rbind "$dir" "$root$dir"
done
say "$(chroot "$root" /usr/bin/rustc --version)"
chroot "$root" /usr/bin/env -i PATH=/usr/bin:/usr/sbin HOME=/root CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" CARGO_TERM_COLOR=never \
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=gcc CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CARGO_PROFILE_DEV_DEBUG=0 \
	sh -c 'cd "$1" && cargo build --locked --offline -p dunnage -p containerd-shim-dunnage-v2 --bins --target "$2" --target-dir "$3"' \
	sh "$repo" "$target" "$dest/build"
programs=$dest/build/$target/debug
qemu-aarch64-static "$programs/dunnage" --version
qemu-aarch64-static "$programs/containerd-shim-dunnage-v2" -v
