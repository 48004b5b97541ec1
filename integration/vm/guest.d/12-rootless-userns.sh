#!/bin/bash
# Root of a user namespace, as rootless podman calls a runtime: the user's systemd, which has to be told apart from root's.
set -euo pipefail
exec runuser -u user -- env XDG_RUNTIME_DIR=/run/user/1000 SLICE=user.slice \
	unshare --user --map-root-user --mount "$REPO/integration/vm/life.sh"
