#!/usr/bin/env bash
# integration/test-systemd.sh ROOT: tests/systemd under integration/systemd.sh, by the bus and by the private socket.
set -euo pipefail
root=$(realpath -m "$1")
cd "$(dirname "$0")/.."

program=$("${CARGO:-cargo}" test --test systemd --no-run --message-format=json |
	sed -n 's/.*"target":{[^}]*"name":"systemd".*"executable":"\([^"]*\)".*/\1/p')
echo "the bus"
integration/systemd.sh "$root" "$program" --nocapture
echo "the private socket"
# shellcheck disable=SC2016 # It is for the shell inside, whose programs see no bus.
integration/systemd.sh "$root" unshare --mount sh -c 'mount -t tmpfs none /run/dbus && exec "$@"' sh "$program" --nocapture
