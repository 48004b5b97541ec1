#!/bin/bash
# No memory left: the event, the exit code, the cause; and the id is free again at once.
# shellcheck source=integration/vm/scene.sh
. "$REPO/integration/vm/scene.sh"

for driver in systemd cgroupfs; do
	say "$driver"
	bundle a '.linux.resources.memory = {limit: 33554432, swap: 33554432} | .process.args = ["sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=100M count=1"]'
	for _ in 1 2; do
		create a </dev/null >"$work/log" 2>&1
		d events s-a >"$work/events" 2>&1 &
		events=$!
		sleep $((slow / 2 + 1))
		d start s-a
		stopped() { [ "$(status a)" = stopped ]; }
		eventually "the end" stopped
		# Nothing of it goes on: so do not the events.
		wait $events
		# systemd removes the scope as soon as it is empty, and with it what the kernel has counted: the event may be lost then.
		[ $driver = systemd ] || has "the event" "$(cat "$work/events")" '{"type":"oom","id":"s-a"}'
		d delete s-a
		gone a
	done
	is "its exit code" "$(d run --bundle "$work/a" s-a </dev/null >/dev/null 2>&1 || echo $?)" 137
	gone a

	# Init lives, a process that joined does not.
	bundle b '.linux.resources.memory = {limit: 33554432, swap: 33554432}'
	start b
	d events --interval 1s s-b >"$work/events" 2>&1 &
	events=$!
	sleep $((slow / 2 + 1))
	is "exec" "$(d exec s-b dd if=/dev/zero of=/dev/null bs=100M count=1 >/dev/null 2>&1 || echo $?)" 137
	is "init lives" "$(status b)" running
	oom() { grep -qF '{"type":"oom","id":"s-b"}' "$work/events"; }
	eventually "the event" oom
	d delete --force s-b
	wait $events
	gone b

	# Too little to begin with: by systemd, init runs before it is limited; else it cannot even be executed.
	cause="container init was OOM-killed (memory limit too low?)"
	[ $driver = systemd ] || cause="start dunnage-init: execve: cannot allocate memory"
	bundle c '.linux.resources.memory = {limit: 8192}'
	refused "8 KiB" "$cause" create c
	gone c
	rm -rf "$work"/{a,b,c}
done
