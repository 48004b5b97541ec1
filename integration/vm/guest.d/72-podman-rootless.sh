#!/bin/bash
# podman of an unprivileged user: with the user's own systemd, and with cgroups below what that one has delegated.
exec "$REPO/integration/vm/as-user.sh" env REPO="$REPO" DUNNAGE="$DUNNAGE" DUNNAGE_TEST_SLOW="${DUNNAGE_TEST_SLOW:-1}" \
	SLICE=user.slice "$REPO/integration/vm/podman.sh"
