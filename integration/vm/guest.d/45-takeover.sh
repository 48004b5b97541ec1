#!/bin/bash
# Containers that runc has made are taken over by dunnage, and the other way round, by either driver: running, created, paused, in the
# pid namespace of another, with a process executed in them. One of each kind; EACH=10: fifty.
# shellcheck source=integration/vm/scene.sh
. "$REPO/integration/vm/scene.sh"

runc=${RUNC:-runc} dunnage=$runtime each=${EACH:-1}
kinds="running created paused shared entered"

# together FUNCTION: for each container, all at once. What failed says so.
together() {
	local name job jobs=() failed=""
	for name in $names; do
		("$1" "$name" >"$work/log-$name" 2>&1) &
		jobs+=("$!:$name")
	done
	for job in "${jobs[@]}"; do wait "${job%%:*}" || failed+="$(cat "$work/log-${job#*:}") (${job#*:}, $1 by $runtime, $driver) "; done
	[ -z "$failed" ] || fail "$failed"
}
all() { local n; for n in $(seq "$each"); do printf '%s ' "$1$n"; done; }

made() {
	case $1 in
	created*) create "$1" </dev/null >"$work/$1.log" 2>&1 || fail "$(cat "$work/$1.log")" ;;
	*) start "$1" ;;
	esac
	case $1 in
	paused*) d pause "s-$1" ;;
	entered*) d exec --detach "s-$1" sleep 1000 </dev/null ;;
	esac
}
expected() { case $1 in created*) echo created ;; paused*) echo paused ;; *) echo running ;; esac }
seen() { is "$1: status" "$(status "$1")" "$(expected "$1")"; }

driven() {
	local name=$1
	case $name in
	created*) d start "s-$name" ;;
	paused*) d resume "s-$name" ;;
	entered*) is "$name: processes" "$(d ps --format json "s-$name" | jq length)" 2 ;;
	esac
	is "$name: exec" "$(d exec "s-$name" sh -c 'echo in; readlink /proc/self/ns/mnt')" "in
$(readlink "/proc/$(pid "$name")/ns/mnt")"
	d update --pids-limit 77 "s-$name"
	is "$name: pids.max" "$(file "$name" pids.max)" 77
	[ "$driver" = cgroupfs ] || is "$name: TasksMax" "$(show "$name" TasksMax)" 77
	d pause "s-$name"
	is "$name: paused" "$(status "$name")" paused
	d resume "s-$name"
	is "$name: resumed" "$(status "$name")" running
}
stopped() { [ "$(status "$1")" = stopped ]; }
ended() {
	case $1 in
	shared*) d delete --force "s-$1" ;;
	*)
		d kill "s-$1" KILL
		eventually "$1: its end" stopped "$1"
		d delete "s-$1"
		;;
	esac
}

# taken_over FROM TO
taken_over() {
	local kind name begun=$SECONDS
	runtime=$1
	for kind in $kinds; do
		names=$(all "$kind")
		if [ "$kind" = shared ]; then
			for name in $names; do
				jq --arg path "/proc/$(pid running1)/ns/pid" '.linux.namespaces |= map(if .type == "pid" then .path = $path else . end)' \
					"$work/$name/config.json" >"$work/new"
				mv "$work/new" "$work/$name/config.json"
			done
		fi
		together made
	done
	runtime=$2
	is "list" "$(d list --quiet | wc -l)" $((5 * each))
	names=$(for kind in $kinds; do all "$kind"; done)
	together seen
	together driven
	# Those that share a pid namespace would end with the first.
	names=$(all shared)
	together ended
	names=$(for kind in running created paused entered; do all "$kind"; done)
	together ended
	# shellcheck disable=SC2046 # a list of names
	gone $(for kind in $kinds; do all "$kind"; done)
	figure "$((5 * each)) containers of $("$1" --version | sed -n '1s/ version / /p') taken over by $("$2" --version | sed -n '1s/ version / /p'), $driver: $((SECONDS - begun)) s"
}

for driver in systemd cgroupfs; do
	runtime=$dunnage
	for pass in 1 2; do
		for kind in $kinds; do
			for name in $(all "$kind"); do
				rm -rf "${work:?}/$name"
				runtime=$dunnage bundle "$name" '.linux.resources.pids.limit = 50'
			done
		done
		if [ $pass = 1 ]; then taken_over "$runc" "$dunnage"; else taken_over "$dunnage" "$runc"; fi
	done
done
rmdir /sys/fs/cgroup/dunnage-scene
