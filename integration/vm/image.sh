#!/usr/bin/env bash
# integration/vm/image.sh SUITE: builds the virtual machine of a Debian suite, unless it is there, and prints its directory:
# root.img (ext4), vmlinuz, initramfs. It is kept until this recipe changes; VM_REBUILD=1 builds it anew.
#
#   VM_DIR    where everything lies (default: target/vm)
#
# The root is debootstrap's, the kernel Debian's. Debian's own initramfs takes two minutes without KVM; ours is a static
# busybox and the modules that the root needs. The host needs root and the Debian packages of PACKAGES; QEMU is another
# suite's (bookworm's panics such guests now and then), unpacked beside the host's.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
suite=${1:?usage: image.sh SUITE}
vm_dir=${VM_DIR:-$here/../../target/vm}
QEMU_SUITE=trixie
PACKAGES="debootstrap debian-archive-keyring e2fsprogs cpio kmod xz-utils"
# What a host has, and what the tests want of it (TEST_PACKAGES in the Makefile).
GUEST_PACKAGES=systemd,systemd-sysv,udev,kmod,dbus,dbus-user-session,libpam-systemd,linux-image-cloud-amd64,apparmor,\
iproute2,uidmap,attr,psmisc,busybox-static,jq,procps,strace,runc,crun,util-linux,python3,libseccomp2,golang-github-containers-common,netavark,podman,iptables

mkdir -p "$vm_dir"
vm_dir=$(cd "$vm_dir" && pwd)
. "$here/../apt.sh"
say() { printf 'vm: %s\n' "$*" >&2; }

build_qemu() {
	[ -x "$vm_dir/qemu/qemu-system-x86_64" ] && return
	say "QEMU of $QEMU_SUITE"
	rm -rf "$vm_dir/qemu"
	mkdir -p "$vm_dir/qemu"
	prepare_apt "$vm_dir/apt" "$QEMU_SUITE"
	unpack_packages "$vm_dir/qemu/root" qemu-system-x86
	# It wants the loader and the libraries of its own suite.
	cat >"$vm_dir/qemu/new" <<-'END'
		#!/bin/sh
		root=$(dirname "$0")/root
		exec "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" "$root/usr/bin/qemu-system-x86_64" \
			-L "$root/usr/share/seabios" -L "$root/usr/share/qemu" "$@"
	END
	chmod 0755 "$vm_dir/qemu/new"
	mv "$vm_dir/qemu/new" "$vm_dir/qemu/qemu-system-x86_64"
}

bootstrap() {
	local root=$1 mirror
	mirror=$(host_sources | sed -n '1s/.* \([a-z+]*:[^ ]*\) @SUITE@ main$/\1/p')
	say "Debian $suite from $mirror (some minutes)"
	debootstrap --variant=minbase --include="$GUEST_PACKAGES" "$suite" "$root" "${mirror:?no Debian source in the configuration of apt}" \
		>"$work/debootstrap.log" 2>&1 || { tail -20 "$work/debootstrap.log" >&2; return 1; }
}

configure() {
	local root=$1
	rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,locale,man} "$root"/boot/initrd*
	echo dunnage-vm >"$root/etc/hostname"
	printf '127.0.0.1 localhost dunnage-vm\n' >"$root/etc/hosts"
	: >"$root/etc/fstab"
	# A user whose session is there without a login, with every controller.
	chroot "$root" useradd --create-home --shell /bin/bash --uid 1000 user
	grep -q '^user:' "$root/etc/subuid" || echo user:100000:65536 | tee -a "$root/etc/subuid" >>"$root/etc/subgid"
	mkdir -p "$root/var/lib/systemd/linger" "$root/etc/systemd/system/user@.service.d" "$root/etc/systemd/journald.conf.d"
	: >"$root/var/lib/systemd/linger/user"
	printf '[Service]\nDelegate=cpu cpuset io memory pids\n' >"$root/etc/systemd/system/user@.service.d/delegate.conf"
	# With tests that make containers by the hundred, nothing may be dropped.
	printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\n' >"$root/etc/systemd/journald.conf.d/vm.conf"
	# Nobody looks at a terminal, and the machine lives for minutes.
	local unit
	for unit in getty.target systemd-binfmt.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
		systemd-timesyncd.service systemd-update-utmp.service systemd-tmpfiles-clean.timer; do
		ln -sf /dev/null "$root/etc/systemd/system/$unit"
	done
	# AppArmor is on, but the profiles of Debian's programs take ten seconds to load.
	find "$root/etc/apparmor.d" -maxdepth 1 -type f -delete
	# bookworm has it as an example only.
	mkdir -p "$root/etc/systemd/system/local-fs.target.wants"
	[ -e "$root/usr/lib/systemd/system/tmp.mount" ] || cp "$root/usr/share/systemd/tmp.mount" "$root/etc/systemd/system/tmp.mount"
	ln -sf ../tmp.mount "$root/etc/systemd/system/local-fs.target.wants/tmp.mount"
	install -m 0755 "$here/agent.sh" "$root/usr/local/sbin/vm-agent"
	install -m 0644 "$here/agent.service" "$root/etc/systemd/system/vm-agent.service"
	mkdir -p "$root/etc/systemd/system/multi-user.target.wants" "$root/payload"
	ln -s ../vm-agent.service "$root/etc/systemd/system/multi-user.target.wants/vm-agent.service"
	ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
	# What systemd does once after an update of /usr.
	touch "$root/etc/.updated" "$root/var/.updated"
}

initramfs() {
	local root=$1 to=$2 kernel module n=10
	kernel=$(basename "$root"/usr/lib/modules/*)
	mkdir -p "$to"/{bin,dev,modules,sysroot}
	cp "$root/bin/busybox" "$to/bin/busybox"
	# Those that are built in are not files. Numbered: in the order in which they depend on each other.
	for module in virtio_pci virtio_blk virtio_console ext4; do
		while read -r verb file _; do
			[ "$verb" = insmod ] || continue
			n=$((n + 1))
			case $file in
			*.xz) xz -dc "$file" >"$to/modules/$n-$(basename "$file" .xz)" ;;
			*) cp "$file" "$to/modules/$n-$(basename "$file")" ;;
			esac
		done < <(modprobe -d "$root" -S "$kernel" --show-depends "$module")
	done
	cat >"$to/init" <<-'END'
		#!/bin/busybox sh
		busybox=/bin/busybox
		$busybox mount -t devtmpfs dev /dev
		for module in /modules/*; do $busybox insmod "$module" 2>/dev/null; done
		until [ -b /dev/vda ]; do $busybox usleep 10000; done
		$busybox mount -t ext4 /dev/vda /sysroot
		$busybox mount --move /dev /sysroot/dev
		exec $busybox switch_root /sysroot /sbin/init
	END
	chmod 0755 "$to/init"
	(cd "$to" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initramfs"
	cp "$root/boot/vmlinuz-$kernel" "$work/vmlinuz"
}

# shellcheck disable=SC2086 # a list of words
"$here/../packages.sh" $PACKAGES
recipe=$({ echo "$GUEST_PACKAGES"; declare -f bootstrap configure initramfs; cat "$here/agent.sh" "$here/agent.service"; } | sha256sum | cut -c1-12)
image=$vm_dir/$suite-$recipe
exec 8>"$vm_dir/image.lock"
flock 8
if [ -n "${VM_REBUILD:-}" ]; then
	rm -rf "$vm_dir/qemu" "$image"
fi
build_qemu
if [ ! -e "$image/root.img" ]; then
	# Those of older recipes go.
	rm -rf "$vm_dir/$suite"-*
	work=$image.new
	mkdir -p "$work"
	bootstrap "$work/root"
	configure "$work/root"
	initramfs "$work/root" "$work/init"
	say "the image of $suite"
	truncate -s 3G "$work/root.img"
	mke2fs -q -t ext4 -d "$work/root" "$work/root.img"
	rm -rf "$work/root" "$work/init"
	mv "$work" "$image"
fi
echo "$image"
