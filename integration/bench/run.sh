#!/usr/bin/env bash
# Measures dunnage side by side with the floor, runc, crun and youki, and writes docs/bench/. Called by `make bench`.
#
#   RUNTIMES="name=binary ..."   what to measure beside the floor and the peers (`make bench` names dunnage)
#   PEERS=no                     leave the peers out          HOSTS="v2 v1 host"   which hosts
#   WARM=100 COLD=25             samples                      OUT=docs/bench       where the report goes
#   RT=yes                       at real-time priority, so that other work on the machine cannot preempt what is measured
#                                (v2 only: a real-time process may not enter a cgroup of v1's cpu controller)
#
# The hosts are made in mount namespaces of their own, nothing changes outside:
#   v2     a pure cgroup v2 tree (without controllers, if the machine has them on v1)
#   v1     only the v1 hierarchies      (both only where the machine mounts v1)
#   host   the machine as it is
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
work=$(mktemp -d "${TMPDIR:-/tmp}/dunnage-bench.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
tools=$root/target/bench
out=${OUT:-docs/bench}
mkdir -p "$tools"

for program in floor meter; do
	gcc -O2 -static -Wall -Wextra -Werror -o "$tools/$program" "integration/bench/$program.c"
done
cargo build -q --release -p dunnage-bench
bench=target/$(rustc -vV | sed -n "s/^host: //p")/release/dunnage-bench

runtimes=("floor=$tools/floor")
for r in ${RUNTIMES:-}; do runtimes+=("$r"); done
if [ "${PEERS:-yes}" != no ]; then
	integration/peers.sh
	while read -r name _ binary; do runtimes+=("$name=$binary"); done < <(sort target/peers/list)
fi

spec=${runtimes[1]#*=}
"$root/integration/rootfs.sh" "$work/rootfs"

if grep -q ' cgroup ' /proc/self/mounts; then hosts=${HOSTS:-v2 v1 host}; else hosts=${HOSTS:-host}; fi
BENCH_LOAD=$(cut -d' ' -f1-3 /proc/loadavg)
BENCH_DATE=$(date -u +%F)
BENCH_INIT_BYTES=$(find target -path '*release/dunnage-init' -type f -printf '%T@ %s\n' | sort -rn | sed -n '1s/.* //p')
export BENCH_LOAD BENCH_DATE BENCH_INIT_BYTES

priority=()
if [ "${RT:-no}" = yes ]; then
	priority=(chrt --fifo 1)
	export BENCH_NOTE="The machine had other work to do: on pure cgroup v2, all ran at real-time priority (SCHED_FIFO 1)."
fi

files=()
for host in $hosts; do
	case $host in
	v2) name="pure cgroup v2" prepare='umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup' ;;
	v1) name="cgroup v1" prepare='umount /sys/fs/cgroup/unified 2>/dev/null || true' ;;
	host) name="the host as it is" prepare=true ;;
	esac
	if [ "$host" = host ]; then
		case $(stat -f -c %T /sys/fs/cgroup) in
		cgroup2fs) name="pure cgroup v2" ;;
		*) if grep -q ' cgroup2 ' /proc/self/mounts; then name="cgroup v1 and v2, hybrid"; else name="cgroup v1"; fi ;;
		esac
	fi
	# The default config by whoever can write it (it is the same for all, but not for all hosts: on v2 there is a cgroup
	# namespace in it), and state where it is in use: on a tmpfs.
	rm -f "$work/config.json"
	prepare="$prepare && mkdir -p $work/state && mount -t tmpfs tmpfs $work/state && (cd $work && $spec spec)"
	[ "$host" = v2 ] || priority=()
	"${priority[@]}" unshare --mount --propagation private sh -c "$prepare && exec \"\$@\"" sh \
		"$bench" measure --host "$name" --work "$work" --tools "$tools" --out "$tools/$host.json" \
		--warm "${WARM:-100}" --cold "${COLD:-25}" "${runtimes[@]}"
	files+=("$tools/$host.json")
done
# The profile compiled once in each of 21 processes: the middle one.
profile=$work/seccomp/dunnage/config.json
if [ -e "$profile" ]; then
	BENCH_SECCOMP_US=$(for _ in $(seq 21); do "$bench" seccomp "$profile" | cut -d' ' -f1; done | sort -n | sed -n 11p)
	export BENCH_SECCOMP_US
fi
"$bench" report --out "$out" "${files[@]}"
echo "written: $out/core.md, $out/core.svg"
