#!/usr/bin/env bash
# integration/callers/boot.sh ROOT COMMAND...: runs COMMAND under a systemd of its own (integration/systemd.sh), on ROOT with a layer of
# memory over it. $DUNNAGE and $SHIM are below /usr/local. In a mount namespace of the caller's, with which all of it goes.
set -euo pipefail

root=$(realpath "$1")
shift
stage=$(mktemp -d "${TMPDIR:-/tmp}/dunnage-callers.XXXXXX")
mount -t tmpfs -o mode=755 tmpfs "$stage"
mkdir "$stage"/{upper,work,root}
mount -t overlay -o "lowerdir=$root,upperdir=$stage/upper,workdir=$stage/work" overlay "$stage/root"
install -D -m 0755 "$DUNNAGE" "$stage/root/usr/local/sbin/dunnage"
install -D -m 0755 "$SHIM" "$stage/root/usr/local/bin/containerd-shim-dunnage-v2"
# The engines are started by the cases.
for unit in docker.service docker.socket containerd.service podman.service podman.socket podman-auto-update.timer podman-restart.service; do
	ln -sf /dev/null "$stage/root/etc/systemd/system/$unit"
	ln -sf /dev/null "$stage/root/etc/systemd/user/$unit"
done
exec "$(dirname "$0")/../systemd.sh" "$stage/root" "$@"
