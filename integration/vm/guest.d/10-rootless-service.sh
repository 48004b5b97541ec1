#!/bin/bash
# An unprivileged user, from a service of the user's own systemd: its scopes lie beside it.
exec "$REPO/integration/vm/as-user.sh" env REPO="$REPO" DUNNAGE="$DUNNAGE" DUNNAGE_TEST_SLOW="${DUNNAGE_TEST_SLOW:-1}" \
	SLICE=user.slice "$REPO/integration/vm/life.sh"
