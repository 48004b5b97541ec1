#!/usr/bin/env bash
# Every test: fuzz targets for some seconds each, documentation, units, golden plans, real containers. The runner's own
# summary is the last thing printed.
# cargo-nextest gives each test a process of its own; without it one process runs them, one after the other, because tests
# that make containers share the host.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}

integration/schema.sh
integration/fuzz.sh

if "$cargo" nextest --version >/dev/null 2>&1; then
	"$cargo" test -q --doc --workspace
	exec "$cargo" nextest run --workspace --no-fail-fast
fi
echo "cargo-nextest is not installed (cargo install cargo-nextest --locked): using cargo test, one test at a time" >&2
exec "$cargo" test --workspace --no-fail-fast -- --test-threads=1
