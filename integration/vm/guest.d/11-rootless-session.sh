#!/bin/bash
# An unprivileged user, from outside of what the user may manage (a login's session, a service of the machine): no process may
# be cloned into the container's cgroup or moved there; systemd does it.
set -euo pipefail
exec runuser -u user -- env XDG_RUNTIME_DIR=/run/user/1000 SLICE=user.slice "$REPO/integration/vm/life.sh"
