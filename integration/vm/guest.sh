#!/usr/bin/env bash
# In the guest, as root: the tests, part by part. Exits non-zero if one failed.
#
#   RUNTIME=BINARY guest.sh [PART...]
#
#   others     every test of the workspace that isn't in tests/containers or of the shim
#   cgroupfs   every test of tests/containers, with cgroups that we make ourselves
#   systemd    the same, by the systemd driver
#   compare-cgroupfs, compare-systemd
#              tests/containers/compare, with the newest runc
#   shim, shim-systemd
#              the containerd shim's tests, with either driver: memory that runs out, statistics, freezing, removal on v2
#   checkpoint tests/containers/checkpoint and the shim's, with the newest criu
#   scenes     guest.d/*.sh: what needs a whole machine; a script that exits with 0 passed
#   selinux    selinux.sh: the scene of a machine that was started with SELinux (not one of the default)
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.." || exit
export CARGO_TERM_COLOR=never
# How much slower than a usual machine this one may seem. For limits, not for sleeps.
export DUNNAGE_TEST_SLOW=${DUNNAGE_TEST_SLOW:-8}
# The runc to compare with: the newest, not Debian's.
RUNC=$(sed -n 's/^runc [^ ]* //p' target/peers/list)
export RUNC
# The root file systems of the tests hold device nodes, and programs with set-user-id bits.
mount -o remount,dev,suid /tmp
binaries=/payload/binaries.json
# What nothing of depends on who makes the cgroup, or what is by cgroupfs in any case.
# And what is a scene, with fewer containers: guest.d/45-takeover.sh.
SAME_BY_SYSTEMD="compare|adversary|checkpoint|takeover|console|descriptors|errors|hostile_input|idmapped|landlock|mounts|namespaces|netdevices|process|rootfs"
# Where systemd takes the empty scope away, whose memory ran out may be forgotten before anybody asks: ends.
SAME_BY_SYSTEMD+="|ends|rootless|seccomp|security|spec|userns"
# Of the shim's tests those in which a cgroup is asked or changed.
SHIM_ON_V2="^(oom|changes|kill|removal|metrics)::|paused|stats|pids|^life_cycle::a_container_lives"
# What of a checkpoint depends on who makes the cgroup.
CHECKPOINT_BY_SYSTEMD="memory_and_open_files_survive|left_running|a_paused_container|a_failed_hook_leaves_nothing|every_other_flag_is_taken"
run=0 passed=0

# count RUN PASSED
count() {
	run=$((run + $1)) passed=$((passed + $2))
}

# Each test a process of its own, as the tests that make containers want it.
nextest() {
	local log all="" good=""
	log=$(mktemp)
	/payload/cargo-nextest nextest run --profile vm --binaries-metadata "$binaries" --cargo-metadata /payload/cargo.json \
		--test-threads 3 --no-fail-fast "$@" 2>&1 | tee "$log"
	read -r all good < <(sed -n 's/^ *Summary .* \([0-9]*\)\(\/[0-9]*\)\{0,1\} tests\{0,1\} run: \([0-9]*\) passed.*/\1 \3/p' "$log" | tail -1)
	count "${all:-1}" "${good:-0}"
	rm -f "$log"
}

# All of the others: a program at a time, because the start of a program is what takes long.
programs() {
	local program name log good bad begun only
	log=$(mktemp)
	while read -r name program; do
		# Asks cargo what the program is made of.
		[ "$name" != dunnage::dependencies ] || continue
		# Thousands of documents that no kernel sees.
		[ "$name" != dunnage::plans ] || continue
		good="" bad="" begun=$SECONDS only=""
		# The rest of it compares with the libraries that the host has, and asks no kernel.
		[ "$name" != dunnage::seccomp ] || only=kernel::
		# Wants the schemas that integration/schema.sh fetches.
		[ "$name" != dunnage::conformance ] || only="--skip schema::"
		timeout -k 10 900 "$program" --test-threads 2 $only >"$log" 2>&1
		read -r good bad < <(sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed.*/\1 \2/p' "$log" | tail -1)
		if [ -n "${bad:-}" ] && [ "$bad" = 0 ]; then
			printf '        PASS [%4ds] %s: %d tests\n' $((SECONDS - begun)) "$name" "$good"
		else
			printf '        FAIL [%4ds] %s\n' $((SECONDS - begun)) "$name"
			grep -v ' \.\.\. ok$' "$log" | sed 's/^/    /'
		fi
		count $((${good:-0} + ${bad:-1})) "${good:-0}"
	done < <(jq -r '."rust-binaries"[] | select(."binary-name" != "containers" and ."binary-name" != "parity" and (."binary-id" | startswith("containerd-shim") | not)) | "\(."binary-id") \(."binary-path")"' "$binaries")
	rm -f "$log"
}

# scene SCRIPT ARGUMENT...
scene() {
	local begun=$SECONDS name
	name=$(basename "$1" .sh)
	run=$((run + 1))
	if DUNNAGE=$RUNTIME REPO=$PWD timeout -k 10 300 "$@" >/tmp/scene.log 2>&1; then
		passed=$((passed + 1))
		printf '        PASS [%4ds] %s\n' $((SECONDS - begun)) "$name"
		sed -n 's/^figure: /             /p' /tmp/scene.log
	else
		printf '        FAIL [%4ds] %s\n' $((SECONDS - begun)) "$name"
		sed 's/^/    /' /tmp/scene.log
	fi
}

scenes() {
	local script
	for script in "$here"/guest.d/*.sh; do scene "$script"; done
}

[ $# -gt 0 ] || set -- others cgroupfs systemd scenes shim compare-cgroupfs compare-systemd
for part in "$@"; do
	printf '\n== %s: %s, %s, %s\n' "$part" "$(uname -r)" "$(systemctl --version | sed -n 1p)" "$(stat -fc %T /sys/fs/cgroup)"
	case $part in
	others) programs ;;
	cgroupfs) DUNNAGE_TEST_DRIVER=$part nextest -E 'binary(containers) and not test(/^(compare|adversary|checkpoint|takeover)::/)' ;;
	systemd) DUNNAGE_TEST_DRIVER=$part nextest -E "binary(containers) and not test(/^($SAME_BY_SYSTEMD)::/)" ;;
	compare-*) DUNNAGE_TEST_DRIVER=${part#compare-} nextest -E 'test(/^compare::/)' ;;
	shim) nextest -E "package(containerd-shim-dunnage-v2) and test(/$SHIM_ON_V2/)" ;;
	shim-systemd) DUNNAGE_TEST_DRIVER=systemd nextest -E "binary(shim) and test(/$SHIM_ON_V2/)" ;;
	checkpoint)
		# There is no iptables here, which criu uses if it is told nothing.
		mkdir -p /etc/criu && echo 'network-lock nftables' >/etc/criu/runc.conf
		nextest -E "test(/^checkpoint::/)"
		DUNNAGE_TEST_DRIVER=systemd nextest -E "binary(containers) and test(/^checkpoint::($CHECKPOINT_BY_SYSTEMD)$/)"
		;;
	scenes) scenes ;;
	selinux) scene "$here/selinux.sh" /payload/selinux.policy ;;
	*) nextest -E "test($part)" ;;
	esac
done
echo ------------
printf '     Summary [%8ds] %d tests run in the virtual machine: %d passed, %d failed\n' $SECONDS $run $passed $((run - passed))
[ $passed = $run ]
