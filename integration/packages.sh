#!/usr/bin/env bash
# integration/packages.sh NAME...: makes sure that these Debian packages are installed, and says what it installs.
set -euo pipefail

missing=()
for package in "$@"; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} = 0 ] && exit 0

echo "installing Debian packages: ${missing[*]}" >&2
if [ "$(id -u)" != 0 ]; then
	echo "that needs root; or install them yourself: apt-get install ${missing[*]}" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# Lists that are there already save a minute; lists that are too old no longer name files that the registry holds.
# Another installation may be going on.
wait=(-o DPkg::Lock::Timeout=300)
apt-get "${wait[@]}" install -q -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 && exit 0
apt-get "${wait[@]}" update -q >/dev/null
apt-get "${wait[@]}" install -q -y --no-install-recommends "${missing[@]}" >/dev/null
