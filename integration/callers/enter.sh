#!/usr/bin/env bash
# integration/callers/enter.sh ROOT PARENT COMMAND...: runs COMMAND as PID 1 of a small machine without systemd: ROOT as its file
# system, with a layer of memory over it that takes all that is written; process, network, mount and other namespaces of its own; the
# host's cgroup hierarchies, as of which it sees only PARENT, that is made for it. /integration is this repository's, $DUNNAGE and $SHIM
# are below /usr/local.
#
# Whatever goes wrong in there cannot reach the machine, and nothing of it is left: processes end with PID 1, the rest is removed here.
set -euo pipefail

root=$(realpath "$1") parent=$2
shift 2
integration=$(cd "$(dirname "$0")/.." && pwd)
stage=$(mktemp -d "${TMPDIR:-/tmp}/dunnage-callers.XXXXXX")
tops=(/sys/fs/cgroup)
[ -e /sys/fs/cgroup/cgroup.controllers ] || tops=(/sys/fs/cgroup/*/)

clean() {
	local top
	for top in "${tops[@]%/}"; do
		[ -L "$top" ] || find "$top$parent" -depth -type d -exec rmdir {} + 2>/dev/null || true
	done
	rm -rf --one-file-system "$stage"
}
trap clean EXIT

for top in "${tops[@]%/}"; do
	[ ! -L "$top" ] || continue
	mkdir -p "$top$parent"
	for file in cpuset.cpus cpuset.mems; do
		[ ! -e "$top/$file" ] || cat "$top/$file" >"$top$parent/$file"
	done
	if [ "$top" = /sys/fs/cgroup ]; then sed 's/\</+/g' "$top/cgroup.controllers" >"$top/cgroup.subtree_control"; fi
done

# mount_cgroups DIRECTORY: as they are mounted on the host; in a cgroup namespace the roots are ours.
mount_cgroups() {
	local top name
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		mount -t cgroup2 cgroup2 "$1"
		# Where there are processes, controllers cannot be passed on.
		mkdir "$1/init"
		xargs -n1 <"$1/cgroup.procs" | while read -r pid; do echo "$pid" >"$1/init/cgroup.procs" || true; done
		sed 's/\</+/g' "$1/cgroup.controllers" >"$1/cgroup.subtree_control"
		return
	fi
	mount -t tmpfs -o nosuid,nodev,noexec,mode=755 tmpfs "$1"
	for top in "${tops[@]%/}"; do
		name=${top##*/}
		if [ -L "$top" ]; then
			cp -P "$top" "$1/"
			continue
		fi
		mkdir "$1/$name"
		case $name in
		unified) mount -t cgroup2 cgroup2 "$1/$name" ;;
		systemd) mount -t cgroup -o none,name=systemd cgroup "$1/$name" ;;
		*) mount -t cgroup -o "$name" cgroup "$1/$name" ;;
		esac
	done
}

boot() {
	local new=$stage/root node
	mount -t tmpfs -o mode=755 tmpfs "$stage"
	mkdir "$stage"/{upper,work,root}
	mount -t overlay -o "lowerdir=$root,upperdir=$stage/upper,workdir=$stage/work" overlay "$new"
	mount -t proc -o nosuid,nodev,noexec proc "$new/proc"
	mount -t sysfs -o nosuid,nodev,noexec sysfs "$new/sys"
	mount_cgroups "$new/sys/fs/cgroup"
	mount -t tmpfs -o nosuid,mode=755 tmpfs "$new/dev"
	for node in null zero full random urandom tty fuse; do
		[ -e "/dev/$node" ] || continue
		touch "$new/dev/$node"
		mount --bind "/dev/$node" "$new/dev/$node"
	done
	mkdir "$new"/dev/{pts,shm,mqueue} "$new/integration"
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$new/dev/pts"
	mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$new/dev/shm"
	mount -t mqueue -o nosuid,nodev,noexec mqueue "$new/dev/mqueue"
	ln -s pts/ptmx "$new/dev/ptmx"
	ln -s /proc/self/fd "$new/dev/fd"
	for node in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${node%:*}" "$new/dev/${node#*:}"; done
	mount -t tmpfs -o mode=1777 tmpfs "$new/tmp"
	mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs "$new/run"
	mount --bind "$integration" "$new/integration"
	install -D -m 0755 "$DUNNAGE" "$new/usr/local/sbin/dunnage"
	install -D -m 0755 "$SHIM" "$new/usr/local/bin/containerd-shim-dunnage-v2"
	cd "$new"
	pivot_root . mnt
	umount -l /mnt
	# As systemd leaves them on a host.
	mount --make-rshared /
	hostname callers
	ip link set lo up
	cd /
	exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
}
export -f boot mount_cgroups
export root stage integration
# Arrays are not inherited.
export_tops=$(declare -p tops)
export export_tops

# shellcheck disable=SC2016 # It is expanded by the shell that it is given to.
bash -c '
	eval "$export_tops"
	for top in "${tops[@]%/}"; do [ -L "$top" ] || echo $BASHPID >"$top$0/cgroup.procs"; done
	exec unshare --cgroup --mount --propagation private --uts --ipc --net --pid --fork --kill-child bash -euc "eval \"\$export_tops\"; boot \"\$@\"" boot "$@"
' "$parent" "$@"
