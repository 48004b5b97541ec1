#!/usr/bin/env bash
# Fuzzing with a stable compiler: libFuzzer, and the coverage that LLVM puts into any program.
#   integration/fuzz.sh                    builds; each target replays its corpus and then runs for some seconds
#   integration/fuzz.sh TARGET [SECONDS]   one target for longer; what it finds stays in target/fuzz/corpus/TARGET
#   integration/fuzz.sh --keep TARGET      puts what it has found into fuzz/corpus/TARGET: what covers most, at most 300
# FUZZ_SECONDS: how long a short run takes (5). An input that fails is printed, and left in target/fuzz/.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
short=${FUZZ_SECONDS:-5}
mode=${1:-}
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR=$PWD/target/fuzz
binaries=$CARGO_TARGET_DIR/$host/release

targets=$(sed -n 's/^path = "fuzz_targets\/\(.*\)\.rs"$/\1/p' fuzz/Cargo.toml)
for target in $targets; do
	[ -n "$(ls -A "fuzz/corpus/$target" 2>/dev/null)" ] || { echo "fuzz/corpus/$target has no input" >&2; exit 1; }
done

build() {
	# What `cargo fuzz` asks of the compiler, but for the address sanitizer, which only a nightly one has.
	local flags="--cfg fuzzing -Cpasses=sancov-module" option
	for option in level=4 inline-8bit-counters pc-table trace-compares; do
		flags+=" -Cllvm-args=-sanitizer-coverage-$option"
	done
	# --target: build scripts and procedural macros get none of this.
	RUSTFLAGS=$flags "$cargo" build -q --release --locked --manifest-path fuzz/Cargo.toml --target "$host" "$@"
}

dictionary() {
	case $1 in
	config | process | state | seccomp | update) echo -dict=fuzz/dict/json.dict ;;
	*) [ ! -e "fuzz/dict/$1.dict" ] || echo "-dict=fuzz/dict/$1.dict" ;;
	esac
}

# run TARGET OPTION...: an input may take 10 s and a GiB, on a machine that is busy.
run() {
	local target=$1
	shift
	# shellcheck disable=SC2046 # no dictionary is no argument
	"$binaries/$target" -timeout=10 -rss_limit_mb=1024 -max_len=8192 -artifact_prefix="$CARGO_TARGET_DIR/$target-" \
		$(dictionary "$target") "$@"
}

short_run() {
	local log=$CARGO_TARGET_DIR/$1.log begun=$SECONDS kept found
	kept=$(find "fuzz/corpus/$1" -type f | wc -l)
	# To an empty directory, so that nothing that an earlier run has found decides.
	found=$(mktemp -d "$CARGO_TARGET_DIR/found.XXXXXX")
	if run "$1" -runs=0 "fuzz/corpus/$1" >"$log" 2>&1 &&
		run "$1" -max_total_time="$short" "$found" "fuzz/corpus/$1" >"$log" 2>&1; then
		echo "fuzz $1: $kept inputs kept, $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log") runs, $((SECONDS - begun)) s"
		rm -r "$found"
	else
		rm -r "$found"
		echo "fuzz $1 FAILED; again: $binaries/$1 INPUT" >&2
		grep -av '^#[0-9]' "$log" | tail -n 60 >&2
		return 1
	fi
}

case $mode in
"")
	build
	export binaries short CARGO_TARGET_DIR
	export -f short_run run dictionary
	# shellcheck disable=SC2016 # expanded in there
	xargs -P 2 -n 1 bash -euc 'short_run "$1"' fuzz <<<"$targets"
	;;
--keep)
	build --bin "$2"
	fresh=$(mktemp -d "$CARGO_TARGET_DIR/keep.XXXXXX")
	run "$2" -set_cover_merge=1 -use_counters=0 "$fresh" "fuzz/corpus/$2" "$CARGO_TARGET_DIR/corpus/$2"
	# Inputs with names of their own stay. libFuzzer has written those first that cover most.
	find "fuzz/corpus/$2" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
	find "$fresh" -type f -printf '%T@ %p\n' | sort -n | head -n 300 | cut -d' ' -f2 | xargs -r mv -t "fuzz/corpus/$2"
	rm -r "$fresh"
	;;
*)
	build --bin "$mode"
	mkdir -p "$CARGO_TARGET_DIR/corpus/$mode"
	run "$mode" -max_total_time="${2:-600}" -print_final_stats=1 "$CARGO_TARGET_DIR/corpus/$mode" "fuzz/corpus/$mode"
	;;
esac
