#!/usr/bin/env bash
# integration/systemd.sh ROOT COMMAND...: runs COMMAND as root under a real systemd of its own, at native speed and without a
# virtual machine. systemd is the PID 1 of new namespaces, on the root filesystem ROOT (made by debootstrap if it is not there
# yet), with a cgroup v2 hierarchy that begins at a cgroup of its own; which controllers that has is the host's affair (none,
# where cgroup v1 holds them). The current directory is there under the same path. The status is COMMAND's.
#
# Of the host nothing is shared but the kernel, the network and that directory, and nothing is left behind but ROOT.
set -euo pipefail

root=$(realpath -m "$1")
shift
work=$PWD
cgroup2=$(findmnt -nt cgroup2 -o TARGET | head -n 1)
[ -n "$cgroup2" ] || { echo "no cgroup2 is mounted" >&2; exit 1; }

if ! [ -x "$root/usr/lib/systemd/systemd" ]; then
	debootstrap --variant=minbase \
		--include=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,procps,util-linux trixie "$root"
fi

# Never the host's root cgroup: systemd moves and kills what is in the one that it takes for the root.
own=$cgroup2/dunnage-systemd-$$
mkdir "$own"
init=

cleanup() {
	kill -KILL "$init" 2>/dev/null || true
	wait "$init" 2>/dev/null || true
	# Only what was below our PID 1 is in there.
	echo 1 >"$own/cgroup.kill" || true
	for _ in $(seq 50); do
		find "$own" -depth -type d -exec rmdir {} + 2>/dev/null || true
		[ -d "$own" ] || return 0
		sleep 0.1
	done
	echo "$own: cannot be removed" >&2
}
trap cleanup EXIT

# Becomes PID 1.
boot() {
	mount --bind "$root" "$root"
	mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
	# Settings that belong to no namespace are the host's: systemd must not touch them.
	mount --bind "$root/proc/sys" "$root/proc/sys"
	mount -o remount,bind,ro "$root/proc/sys"
	mount -t sysfs -o nosuid,nodev,noexec,ro sysfs "$root/sys"
	mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
	mount -t tmpfs -o nosuid,mode=755 tmpfs "$root/dev"
	for node in null zero full random urandom tty; do
		touch "$root/dev/$node"
		mount --bind "/dev/$node" "$root/dev/$node"
	done
	mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
	ln -s pts/ptmx "$root/dev/ptmx"
	ln -s /proc/self/fd "$root/dev/fd"
	mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$root/tmp"
	mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs "$root/run"
	mkdir -p "$root$work"
	mount --rbind "$work" "$root$work"
	# There is no console to log in on.
	ln -sf /dev/null "$root/etc/systemd/system/getty.target"
	ln -sf /dev/null "$root/etc/systemd/system/console-getty.service"
	cd "$root"
	pivot_root . mnt
	umount -l /mnt
	exec env -i container=dunnage-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		/usr/lib/systemd/systemd --log-target=null --show-status=no --unit=multi-user.target
}
export -f boot
export root work own

# shellcheck disable=SC2016 # All three are expanded by the shell that they are given to.
bash -c 'echo $BASHPID >"$own/cgroup.procs" && exec unshare --cgroup --mount --propagation private --uts --ipc --pid --fork \
	--kill-child bash -euc boot' </dev/null >&2 &
init=$!

pid1=
for _ in $(seq 100); do
	pid1=$(cat "/proc/$init/task/$init/children") || { echo "systemd has not started" >&2; exit 1; }
	pid1=${pid1%% *}
	[ -z "$pid1" ] || [ ! -S "/proc/$pid1/root/run/systemd/private" ] || break
	sleep 0.1
done
# Its parent is with us again: with a process of its own, the cgroup would pass no controllers on.
echo "$init" >"$cgroup2$(sed -n 's/^0:://p' /proc/self/cgroup)/cgroup.procs"
inside=(nsenter --target "$pid1" --mount --uts --ipc --pid --cgroup)
# "degraded" is good enough: of what a machine needs, a part cannot work here.
"${inside[@]}" systemctl is-system-running --wait >/dev/null || true
# systemd starts it, in a cgroup of its own, with our standard streams.
"${inside[@]}" systemd-run --quiet --wait --pipe --collect --working-directory="$work" --property=Delegate=yes \
	--setenv=PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
