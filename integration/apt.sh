# shellcheck shell=bash
# Debian packages beside the host: sourced by the scripts that unpack them into a directory of their own. apt gets a state, a
# cache and sources of its own, so that nothing on the host changes; the registry is whichever the host uses.

# The host's own Debian sources, as one-line entries with @SUITE@ for the suite.
# Only entries for the host's release itself count (not -updates, not -security: those do not exist for sid).
host_sources() {
	local code
	code=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	{
		cat /etc/apt/sources.list 2>/dev/null || true
		cat /etc/apt/sources.list.d/*.list 2>/dev/null || true
	} | awk -v code="$code" '
		$1 == "deb" {
			opts = ""; i = 2
			if ($2 ~ /^\[/) { while ($i !~ /\]$/) { opts = opts $i " "; i++ } opts = opts $i " "; i++ }
			if ($(i+1) == code) print "deb " opts $i " @SUITE@ main"
		}'
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -e "$f" ] || continue
		awk -v code="$code" '
			function flush() {
				if (uris != "" && (" " suites " ") ~ (" " code " ")) {
					print "deb " (key != "" ? "[signed-by=" key "] " : "") uris " @SUITE@ main"
				}
				uris = suites = key = ""
			}
			/^[ \t]*$/ { flush() }
			tolower($1) == "uris:" { uris = $2 }
			tolower($1) == "suites:" { $1 = ""; suites = $0 }
			tolower($1) == "signed-by:" { key = $2 }
			END { flush() }' "$f"
	done
}

# prepare_apt DIRECTORY SUITE...: from now on `apt` speaks of these suites; an empty dpkg status, so that every library
# comes along.
prepare_apt() {
	apt_dir=$1
	shift
	mkdir -p "$apt_dir/none" "$apt_dir/state/lists/partial" "$apt_dir/cache/archives/partial"
	: >"$apt_dir/status"
	local template suite
	template=$(host_sources | sort -u)
	[ -n "$template" ] || { echo "no Debian source found in the host's apt configuration" >&2; return 1; }
	: >"$apt_dir/sources.list"
	for suite in "$@"; do
		sed "s/@SUITE@/$suite/" <<<"$template" >>"$apt_dir/sources.list"
	done
	quiet apt apt-get update
}

# What a command says is shown if it fails.
quiet() {
	local said
	said=$("$@" 2>&1) || { printf '%s\n' "$said" | tail -20 >&2; return 1; }
}

# apt TOOL ARGUMENT...
apt() {
	local tool=$1
	shift
	"$tool" -q -o "Dir::State=$apt_dir/state" -o "Dir::State::status=$apt_dir/status" -o "Dir::Cache=$apt_dir/cache" \
		-o "Dir::Cache::pkgcache=pkgcache.bin" -o "Dir::Cache::srcpkgcache=srcpkgcache.bin" \
		-o "Dir::Etc::sourcelist=$apt_dir/sources.list" -o "Dir::Etc::sourceparts=$apt_dir/none" -o "Dir::Etc::preferencesparts=$apt_dir/none" \
		-o "Dir::Etc::preferences=$apt_dir/no-file" -o "APT::Sandbox::User=root" -o "APT::Install-Recommends=false" \
		-o "Acquire::Languages=none" -o "APT::Update::Post-Invoke=" "$@"
}

# unpack_packages ROOT ARGUMENT...: downloads packages with all that they need and unpacks them below ROOT. The arguments are
# those of apt-get install.
unpack_packages() {
	local root=$1 deb
	shift
	rm -rf "$apt_dir/cache/archives"
	mkdir -p "$root" "$apt_dir/cache/archives/partial"
	quiet apt apt-get install -y --download-only "$@"
	for deb in "$apt_dir"/cache/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --exclude='./usr/share/doc' --exclude='./usr/share/locale' --exclude='./usr/share/man'
	done
	rm -rf "$apt_dir/cache/archives"
}

# relocate BINARY ROOT: make it use ROOT's loader and libraries. A static binary needs nothing.
relocate() {
	local interpreter path="" d loader
	interpreter=$(patchelf --print-interpreter "$1" 2>/dev/null) || return 0
	for d in "$2"/lib/*-linux-gnu "$2"/usr/lib/*-linux-gnu "$2"/lib "$2"/usr/lib; do
		[ -d "$d" ] && path=$path:$d
	done
	# Debian moved the loader to /usr/lib64 and made /lib64 a link in another package.
	loader=$(find "$2" -name "$(basename "$interpreter")" | head -1)
	[ -n "$loader" ] || { echo "no loader $interpreter below $2" >&2; return 1; }
	patchelf --set-interpreter "$(realpath "$loader")" --force-rpath --set-rpath "${path#:}" "$1"
}
