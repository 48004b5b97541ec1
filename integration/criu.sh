#!/usr/bin/env bash
# The newest criu that Debian has packaged, unpacked into target/criu: the host's own may be too old for its kernel (bookworm's
# 3.17 is for Linux 6.18). Nothing on the host changes but the package patchelf. The program is target/criu/criu.
#
#   integration/criu.sh [DESTINATION]           default: target/criu
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
dest=${1:-$here/target/criu}
[ ! -x "$dest/criu" ] || exit 0

. "$here/integration/apt.sh"
"$here/integration/packages.sh" patchelf
mkdir -p "$dest"
dest=$(cd "$dest" && pwd)
prepare_apt "$dest/apt" trixie sid
unpack_packages "$dest/root" -t sid criu
cp "$dest/root/usr/sbin/criu" "$dest/criu.new"
relocate "$dest/criu.new" "$dest/root"
mv "$dest/criu.new" "$dest/criu"
rm -rf "$dest/apt"
echo "criu: $("$dest/criu" --version | head -1)" >&2
