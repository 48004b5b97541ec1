#!/bin/bash
# In the guest: runs the commands that come over the virtio port, one line each: TOKEN SECONDS COMMAND(base64). What a command
# writes goes back, between a line `TOKEN begin` and `TOKEN exit STATUS`.
port=/dev/virtio-ports/dunnage
until [ -e "$port" ]; do sleep 0.1; done
exec 3<>"$port"
while true; do
	# The port answers a read with "end of file" for as long as nobody is at the other side.
	if ! read -r token seconds command <&3; then
		sleep 0.1
		continue
	fi
	[ -n "$command" ] || continue
	echo "$token begin" >&3
	timeout -k 10 "$seconds" bash -c "$(base64 -d <<<"$command")" </dev/null >&3 2>&1 3>&-
	echo "$token exit $?" >&3
done
