#!/usr/bin/env bash
# integration/rootfs.sh DIRECTORY: a root filesystem of Debian's busybox-static, complete enough for a shell.
set -euo pipefail

root=$1
mkdir -p "$root"/{bin,dev,etc,proc,root,sys,tmp}
cp /bin/busybox "$root/bin/busybox"
for applet in $("$root/bin/busybox" --list); do
	# busybox is an applet of its own; a link of that name would replace the binary.
	[ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"
