#!/bin/sh
# In the guest, as root: runs a command as the unprivileged user, a service of the user's own systemd, with a delegated cgroup.
#
#   as-user.sh COMMAND ARGUMENT...
exec runuser -u user -- env XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus \
	systemd-run --user --quiet --collect --pipe --wait --property=Delegate=yes -- "$@"
