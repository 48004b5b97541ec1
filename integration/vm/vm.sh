#!/usr/bin/env bash
# A virtual machine with systemd as PID 1, for what the host isn't: started in half a minute, gone without a trace.
#
#   vm.sh run [OPTION...] -- COMMAND        start, exec, stop
#   vm.sh start [OPTION...]                 leaves it up
#   vm.sh exec [--timeout S] -- COMMAND     runs a shell's line as root in the one that is up; exits with its status
#   vm.sh push PATH...                      copies files and directories of the host into it, to the same paths
#   vm.sh stop
#   vm.sh console                           what its console shows
#
#   --suite NAME       the Debian suite (default: trixie, and bookworm for --mode v1 and hybrid)
#   --mode MODE        the cgroups that systemd is told to mount: v2 (default), hybrid, v1
#   --push PATH        as `vm.sh push`
#   --append TEXT      more for the kernel's command line
#   --disk FILE        an ext4 image, mounted read-only at /payload
#   --timeout S        for exec: of the command (default 600); for start: of the machine's whole life (default 3600)
#
# VM_DIR: where image.sh keeps the machines. One of those in it runs at a time: the next one waits. Its disk forgets what was
# written. Exit status 255: the machine panicked, hangs or is gone; its console is in target/vm/run/console.log.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
export VM_DIR=${VM_DIR:-$here/../../target/vm}
mkdir -p "$VM_DIR"
VM_DIR=$(cd "$VM_DIR" && pwd)
# A checkout speaks with the machine that it has started, wherever the images are.
run=$(cd "$here/../.." && pwd)/target/vm/run
# Everything, but what costs time without KVM: the kernel copies byte by byte where it is told that this is fast, and longer page
# tables, and more state to be saved.
CPU=max,erms=off,fsrm=off,fsrs=off,fzrm=off,fsrc=off,la57=off,smap=off,pku=off,mpx=off,svm=off
say() { printf 'vm: %s\n' "$*" >&2; }
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }

alive() { [ -e "$run/pid" ] && kill -0 "$(cat "$run/pid")" 2>/dev/null; }

# lost WHAT: the machine can't be spoken to any more.
lost() {
	say "$1; the last lines of $run/console.log:"
	tail -15 "$run/console.log" >&2 || true
	exit 255
}

# guest SECONDS COMMAND: its output, and its exit status.
guest() {
	local seconds=$1 command=$2 token line="" part begun="" status=""
	alive || { say "no machine is up"; exit 255; }
	exec 7>"$run/exec.lock"
	flock 7
	token=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
	# Read and write: opening a fifo one way waits for the other end.
	exec 4<>"$run/port.out"
	printf '%s %s %s\n' "$token" "$seconds" "$(base64 -w0 <<<"$command")" >"$run/port.in"
	local end=$((SECONDS + seconds + 30))
	while [ -z "$status" ]; do
		if ! IFS= read -r -t 2 part <&4; then
			line+=$part
			alive || lost "the machine is gone"
			[ $SECONDS -lt $end ] || lost "the machine hangs"
			continue
		fi
		line+=$part
		case $line in
		"$token begin") begun=yes ;;
		*"$token exit "*)
			printf %s "${line%"$token exit "*}"
			status=${line##* }
			;;
		*) [ -z "$begun" ] || printf '%s\n' "$line" ;;
		esac
		line=""
	done
	exec 4<&- 7>&-
	return "$status"
}

start() {
	exec 9>"$VM_DIR/lock"
	flock -n 9 || { say "waiting for the machine that is up (of $(cat "$VM_DIR/owner" 2>/dev/null))"; flock -w 3600 9; }
	! alive || { say "a machine of this checkout is up already: vm.sh stop"; exit 1; }
	echo "${here%/integration/vm}" >"$VM_DIR/owner"
	local image devices=()
	image=$("$here/image.sh" "$suite" 9>&-)
	rm -rf "$run"
	mkdir -p "$run"
	mkfifo "$run/port.in" "$run/port.out"
	truncate -s 4G "$run/parcel"
	[ -z "$disk" ] || devices+=(-drive "file=$disk,if=virtio,format=raw,readonly=on")
	local cgroups="systemd.unified_cgroup_hierarchy=1"
	case $mode in
	v2) ;;
	hybrid) cgroups="systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1" ;;
	v1) cgroups="systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1" ;;
	*) usage ;;
	esac
	local begun=$SECONDS
	# A guest that panics or reboots ends QEMU. What is written to the root goes to a temporary file, below TMPDIR.
	TMPDIR=$VM_DIR timeout -k 5 "$life" "$VM_DIR/qemu/qemu-system-x86_64" \
		-accel tcg,thread=multi -cpu "$CPU" -smp 2 -m 3G -machine q35 \
		-nodefaults -no-user-config -no-reboot -display none -serial "file:$run/console.log" \
		-kernel "$image/vmlinuz" -initrd "$image/initramfs" \
		-append "console=ttyS0 quiet panic=-1 oops=panic mitigations=off init_on_alloc=0 hardened_usercopy=off tsc=reliable rcupdate.rcu_expedited=1 systemd.log_level=warning audit=0 apparmor=1 $cgroups $append" \
		-drive "file=$image/root.img,if=virtio,format=raw,snapshot=on,cache=unsafe" \
		-drive "file=$run/parcel,if=virtio,format=raw,readonly=on" "${devices[@]}" \
		-device virtio-rng-pci -device virtio-serial-pci \
		-chardev "pipe,id=port,path=$run/port" -device "virtserialport,chardev=port,name=dunnage" \
		>"$run/qemu.log" 2>&1 </dev/null &
	echo $! >"$run/pid"
	exec 9>&-
	# `degraded` is a unit that failed: to be told, but not the end.
	guest 180 "systemctl is-system-running --wait >/dev/null || systemctl --failed --no-legend --plain" >&2 || true
	[ -z "$disk" ] || guest 30 "mount -o ro /dev/vdc /payload" >&2 || lost "no payload"
	say "$suite is up after $((SECONDS - begun)) s: $(guest 20 'uname -r; systemctl --version | head -1; stat -fc %T /sys/fs/cgroup' | tr '\n' ' ')"
}

# push PATH...: on a disk of its own, as a tar archive. (Not virtiofs: without KVM, QEMU doesn't see what another process writes to
# the guest's memory, and goes on with its translation of the code that was there.)
push() {
	[ $# -gt 0 ] || return 0
	tar -c --absolute-names -f - "$@" | dd of="$run/parcel" bs=1M conv=notrunc,fsync status=none
	guest 300 "blockdev --flushbufs /dev/vdb && tar -x --absolute-names -f /dev/vdb"
}

stop() {
	alive || return 0
	local pid n
	pid=$(cat "$run/pid")
	kill "$pid" 2>/dev/null || true
	for ((n = 0; n < 100; n++)); do
		kill -0 "$pid" 2>/dev/null || return 0
		sleep 0.1
	done
	kill -9 "$pid"
}

verb=${1:-}
[ $# = 0 ] || shift
suite="" mode=v2 append="" paths=() disk="" seconds=""
while [ $# -gt 0 ]; do
	case $1 in
	--suite) suite=$2 ;;
	--mode) mode=$2 ;;
	--append) append=$2 ;;
	--push) paths+=("$(realpath -s "$2")") ;;
	--disk) disk=$(realpath "$2") ;;
	--timeout) seconds=$2 ;;
	--) shift; break ;;
	-*) usage ;;
	*) [ "$verb" = push ] || usage; paths+=("$(realpath -s "$1")"); shift; continue ;;
	esac
	shift 2
done
[ -n "$suite" ] || { suite=bookworm; [ "$mode" != v2 ] || suite=trixie; }
life=3600
case $verb in
start)
	life=${seconds:-$life}
	start
	push "${paths[@]}"
	;;
push) push "${paths[@]}" ;;
exec) guest "${seconds:-600}" "$*" ;;
stop) stop ;;
run)
	start
	trap stop EXIT
	push "${paths[@]}"
	status=0
	guest "${seconds:-600}" "$*" || status=$?
	exit "$status"
	;;
console) exec cat "$run/console.log" ;;
*) usage ;;
esac
