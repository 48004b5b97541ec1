#!/usr/bin/env bash
# integration/callers/roots.sh: a root filesystem for each Debian release, with the engines that it ships, below target/callers/. The
# engines run in there as they would on a machine of that release: with its libraries, its configuration files, its users.
#
#   SUITES="trixie sid" integration/callers/roots.sh    which suites (default: bookworm trixie sid)
#   REFRESH=yes integration/callers/roots.sh            anew, with the newest packages
#
# What is there is kept until this recipe changes: the second call asks nobody. The host needs root and the package debootstrap.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
dest=$here/target/callers
suites=${SUITES:-bookworm trixie sid}
# Recommended packages do not come by themselves: the containers' policy, and what ordinary users need, are named.
PACKAGES=podman,buildah,docker.io,containerd,conmon,crun,runc,netavark,catatonit,golang-github-containers-common,uidmap,slirp4netns,\
fuse-overlayfs,busybox-static,iproute2,procps,util-linux,strace,python3,systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd

say() { printf 'callers: %s\n' "$*" >&2; }

bootstrap() {
	local suite=$1 root=$2 mirror packages=$PACKAGES
	# It was one package with the daemon once.
	# And its criu is older than current kernels.
	[ "$suite" = bookworm ] || packages+=,docker-cli,criu
	mirror=$(host_sources | sed -n '1s/.* \([a-z+]*:[^ ]*\) @SUITE@ main$/\1/p')
	say "Debian $suite with its engines (some minutes)"
	debootstrap --variant=minbase --include="$packages" "$suite" "$root" "${mirror:?no Debian source in the configuration of apt}" \
		>"$root.log" 2>&1 || { tail -20 "$root.log" >&2; return 1; }
	rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,locale,man}
	# The ordinary user of the rootless cases.
	chroot "$root" useradd --create-home --shell /bin/bash --uid 1000 user
	grep -q '^user:' "$root/etc/subuid" || echo user:100000:65536 | tee -a "$root/etc/subuid" >>"$root/etc/subgid"
}

recipe=$({ echo "$PACKAGES"; declare -f bootstrap; } | sha256sum | cut -c1-12)
mkdir -p "$dest"
for release in $suites; do
	exec 8>"$dest/$release.lock"
	flock 8
	root=$dest/$release
	[ "${REFRESH:-no}" = no ] && [ "$(cat "$root.recipe" 2>/dev/null)" = "$recipe" ] && continue
	"$here/integration/packages.sh" debootstrap debian-archive-keyring
	# shellcheck source=integration/apt.sh
	. "$here/integration/apt.sh"
	rm -rf --one-file-system "$root" "$root.recipe"
	bootstrap "$release" "$root"
	echo "$recipe" >"$root.recipe"
done
