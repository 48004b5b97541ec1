#!/usr/bin/env bash
# `make test-deb`: the packages in a Debian of their own: installed and removed, before and after Debian's runc, and while somebody calls `runc`
# without a pause. What is there afterwards has to be what was there before.
#
#   packaging/test-deb.sh [DIRECTORY]      where the packages are: target/dist
set -euo pipefail
cd "$(dirname "$0")/.."
dest=$(realpath "${1:-target/dist}")
. integration/apt.sh
base=$PWD/target/deb-base
say() { printf 'test-deb: %s\n' "$*" >&2; }

if [ ! -e "$base/done" ]; then
	rm -rf "$base"
	mkdir -p "$base"
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	mirror=$(host_sources | sort -u | head -1 | sed 's/^deb \(\[.*\] \)\?//; s/ .*//')
	say "a Debian ($suite), once"
	quiet debootstrap --variant=minbase "$suite" "$base/root" "$mirror"
	quiet chroot "$base/root" apt-get update
	# Its packages, to be installed and removed at will.
	quiet chroot "$base/root" apt-get install -y --no-install-recommends --download-only runc
	touch "$base/done"
fi

if [ -z "${IN_NAMESPACE:-}" ]; then
	exec env IN_NAMESPACE=1 unshare --mount --pid --fork --kill-child --propagation private "$0" "$dest"
fi

work=$(mktemp -d)
mount -t tmpfs none "$work"
mkdir "$work"/{upper,work,root}
mount -t overlay none -o "lowerdir=$base/root,upperdir=$work/upper,workdir=$work/work" "$work/root"
root=$work/root
mount -t proc proc "$root/proc"
mount -t tmpfs none "$root/tmp"
mount --rbind /dev "$root/dev"
cp "$dest"/*.deb "$root/tmp/"
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
install() { quiet inside sh -c "apt-get install -y --no-install-recommends $*"; }
remove() { quiet inside apt-get purge -y "$@"; }
fail() { say "FAILED: $*"; inside update-alternatives --query runc >&2 || true; ls -l "$root"/usr/sbin/runc* >&2 || true; exit 1; }
# is NAME REASON: whose program `runc` is, by its commands: ours calls itself what it is called.
is() {
	local whose=runc
	! inside runc help | grep -q 'say what this host can' || whose=dunnage
	[ "$whose" = "$1" ] && inside runc --version | grep -q '^runc version' || fail "runc is $whose, not $1 ($2)"
}
files() { inside sh -c "find / -xdev \( -path /var/lib/dpkg -o -path /var/log -o -path /var/cache -o -path /var/lib/apt -o -path /tmp -o -path /etc/ld.so.cache \) -prune -o -printf '%p %y %m %u %l %s\n'" | grep -v -e '^/usr/sbin d' -e '^/ d' -e ' d 755 root  [0-9]*$' | LC_ALL=C sort; }
same() { diff <(printf '%s\n' "$1") <(files) >&2 || fail "something is left ($2)"; }
passed() { printf 'test-deb: ok: %s\n' "$*"; }

# somebody: calls runc all the time; each call has to find it.
somebody() {
	inside sh -c 'n=0; while [ ! -e /tmp/stop ]; do runc --version >/dev/null 2>>/tmp/failures || echo "call $n: $?" >>/tmp/failures; n=$((n+1)); done; echo $n >/tmp/calls' &
	caller=$!
}
nobody() {
	touch "$root/tmp/stop"
	wait "$caller"
	[ ! -s "$root/tmp/failures" ] || fail "runc was missing for a moment: $(head -3 "$root/tmp/failures")"
	[ "$(cat "$root/tmp/calls")" -gt 20 ] || fail "nobody called runc"
	passed "$1: $(cat "$root/tmp/calls") calls of runc meanwhile, none failed"
	rm -f "$root/tmp"/{stop,failures,calls}
}

empty=$(files)
install /tmp/dunnage_*.deb /tmp/containerd-shim-dunnage_*.deb
is dunnage "there is no other"
inside dunnage --version | grep -q '^dunnage version' || fail "dunnage --version"
inside containerd-shim-dunnage-v2 -v | grep -q containerd-shim-dunnage-v2 || fail "containerd-shim-dunnage-v2 -v"
inside dpkg --verify dunnage containerd-shim-dunnage | grep . && fail "files are not as in the packages"
for page in dunnage dunnage-run; do
	[ -e "$root/usr/share/man/man8/$page.8.gz" ] || inside dpkg -L dunnage | grep -q "/usr/share/man/man8/$page.8.gz" || fail "$page.8"
done
remove dunnage containerd-shim-dunnage
same "$empty" "installed and purged, without Debian's runc"
[ ! -e "$root/var/lib/dpkg/alternatives/runc" ] || fail "an alternative is left"
passed "installed and removed where there is no runc"

install runc
before=$(files)
is runc "only Debian's is there"
somebody
install /tmp/dunnage_*.deb
is runc "Debian's stays the chosen one"
quiet inside update-alternatives --set runc /usr/sbin/dunnage
is dunnage "chosen by hand"
install --reinstall runc
is dunnage "chosen by hand, and runc was installed again"
install --reinstall /tmp/dunnage_*.deb
is dunnage "chosen by hand, and dunnage was installed again"
remove dunnage
is runc "dunnage is gone"
nobody "beside Debian's runc, and back"
same "$before" "beside runc, and back"
inside dpkg --verify runc | grep . && fail "runc is not as in its package"
[ -z "$(inside dpkg-divert --list '*runc*')" ] || fail "a diversion is left"

install /tmp/dunnage_*.deb
remove runc
is dunnage "Debian's runc is gone"
install runc
is runc "Debian's runc has come, and is first"
quiet inside update-alternatives --set runc /usr/sbin/dunnage
remove runc
is dunnage "chosen by hand, and Debian's runc is gone"
remove dunnage
same "$empty" "in another order"
passed "Debian's runc came and went while dunnage stayed"
say "all passed"
