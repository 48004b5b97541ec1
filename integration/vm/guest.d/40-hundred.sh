#!/bin/bash
# A hundred containers at a time, made and removed twelve in parallel, by either driver; with COMPARE=1 the same with runc, which
# takes four minutes.
# shellcheck source=integration/vm/scene.sh
. "$REPO/integration/vm/scene.sh"

export work driver
names=$(seq 100)
bundle 0 '.linux.resources.pids.limit = 20'
for i in $names; do mkdir "$work/$i"; done
# places: says where each of them is to be.
places() { local i; for i in $names; do sed "s|$(place s-0)|$(place "s-$i")|" "$work/0/config.json" >"$work/$i/config.json"; done; }

# parallel RUNTIME ARGUMENT...: for each number, % in ARGUMENT.
parallel() {
	local flags=(--root "$work/root")
	[ "$driver" = cgroupfs ] || flags+=(--systemd-cgroup)
	xargs -P 12 -I % timeout $((60 * slow)) "$1" "${flags[@]}" "${@:2}" </dev/stdin >"$work/log" 2>&1 || fail "$(sort "$work/log" | uniq -c | head -20)"
}
milliseconds() { echo $(($(date +%s%N) / 1000000)); }

hundred() {
	local what=$1 runtime=$2 begin made removed
	begin=$(milliseconds)
	# shellcheck disable=SC2086
	printf '%s\n' $names | parallel "$runtime" run --detach --bundle "$work/%" s-%
	made=$(milliseconds)
	is "$what: containers" "$("$runtime" --root "$work/root" list --quiet | wc -l)" 100
	if [ "$driver" = systemd ]; then
		is "$what: units" "$(systemctl list-units --plain --no-legend --state=running 'scene-s-*.scope' | wc -l)" 100
	fi
	is "$what: cgroups" "$(find /sys/fs/cgroup -type d -name '*s-[0-9]*' | wc -l)" 100
	is "$what: pids.max" "$(find /sys/fs/cgroup -path '*s-[0-9]*/pids.max' -exec cat {} + | sort | uniq -c | tr -s ' ')" " 100 20"
	local looked
	looked=$(milliseconds)
	# shellcheck disable=SC2086
	printf '%s\n' $names | parallel "$runtime" delete --force s-%
	removed=$(milliseconds)
	is "$what: state" "$(ls "$work/root")" ""
	is "$what: cgroups left" "$(find /sys/fs/cgroup -type d -name '*s-[0-9]*')" ""
	if [ "$driver" = systemd ]; then
		is "$what: units left" "$(systemctl list-units --all --plain --no-legend 'scene-s-*')" ""
	fi
	figure "100 containers, 12 at a time, $driver: $what made them in $((made - begin)) ms, removed them in $((removed - looked)) ms"
}

for driver in systemd cgroupfs; do
	jq --arg place "$(place s-0)" '.linux.cgroupsPath = $place' "$work/0/config.json" >"$work/new"
	mv "$work/new" "$work/0/config.json"
	places
	hundred dunnage "$runtime"
	[ -z "${COMPARE:-}" ] || hundred "$("${RUNC:-runc}" --version | sed -n 's/^runc version /runc /p')" "${RUNC:-runc}"
done
rmdir /sys/fs/cgroup/dunnage-scene
