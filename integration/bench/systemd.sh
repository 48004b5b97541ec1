#!/usr/bin/env bash
# integration/bench/systemd.sh ROOT NAME=RUNTIME...: `run`, `exec` and `delete` with the systemd driver, each runtime in turn, round by
# round, under a real systemd of its own (integration/systemd.sh, which makes ROOT). Prints medians in ms. All runtimes have to be
# below the current directory: nothing else of the host is seen in there.
#
#   ROUNDS=30 integration/bench/systemd.sh /tmp/root dunnage=$PWD/target/.../dunnage runc=...
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
if [ "${1:-}" != inside ]; then
	root=$1
	shift
	bundle=$PWD/.dunnage-bench-$$
	mkdir -p "$bundle/rootfs/bin"
	trap 'rm -rf "$bundle"' EXIT
	cp /bin/busybox "$bundle/rootfs/bin/"
	ln -s busybox "$bundle/rootfs/bin/true"
	ln -s busybox "$bundle/rootfs/bin/sleep"
	for program in true "sleep 1000"; do
		"${1#*=}" spec --bundle "$bundle"
		jq --arg program "$program" '.process.terminal = false | .process.args = ($program | split(" ")) | .process.args[0] = "/bin/" + .process.args[0]' \
			"$bundle/config.json" >"$bundle/${program% *}.json"
		rm "$bundle/config.json"
	done
	"$here/integration/systemd.sh" "$root" bash "$here/integration/bench/systemd.sh" inside "$bundle" "${ROUNDS:-30}" "$@"
	exit
fi

bundle=$2
rounds=$3
shift 3
cd "$bundle"
times=$(mktemp -d)

# timed NAME COMMAND...: adds what it took, in microseconds.
timed() {
	local file=$times/$1 start end
	shift
	start=$(date +%s%N)
	"$@" </dev/null >/dev/null
	end=$(date +%s%N)
	echo $(((end - start) / 1000)) >>"$file"
}

# bundle_of NAME PROGRAM: config.json for a unit of its own.
bundle_of() {
	sed "s#\"linux\": {#\"linux\": {\"cgroupsPath\": \"system.slice:bench:$1\",#" "$2.json" >config.json
}

for round in $(seq "$rounds"); do
	for runtime in "$@"; do
		name=${runtime%%=*} program=${runtime#*=}
		state="--root $times/state-$name --systemd-cgroup"
		bundle_of "$name-$round" true
		# shellcheck disable=SC2086 # Flags.
		timed "$name.run" "$program" $state run "$name-$round"
		bundle_of "$name-$round" sleep
		# shellcheck disable=SC2086
		timed "$name.create" "$program" $state create "$name-$round"
		# shellcheck disable=SC2086
		"$program" $state start "$name-$round"
		# shellcheck disable=SC2086
		timed "$name.exec" "$program" $state exec "$name-$round" /bin/true
		# shellcheck disable=SC2086
		timed "$name.delete" "$program" $state delete --force "$name-$round"
	done
done

printf '| median of %d, ms |' "$rounds"
printf ' %s |' "${@%%=*}"
printf '\n|---|'
for _ in "$@"; do printf -- '---:|'; done
for what in run create exec 'delete'; do
	printf '\n| `%s` |' "$what"
	for runtime in "$@"; do
		sort -n "$times/${runtime%%=*}.$what" | awk '{ t[NR] = $1 } END { printf " %.1f |", t[int((NR + 1) / 2)] / 1000 }'
	done
done
printf '\n'
