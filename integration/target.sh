#!/usr/bin/env bash
# Prints the target that a release is built for: the host's own with musl, if the toolchain has it or rustup can add it,
# else the host's. The start of a program with glibc, static or not, executes a hundred CPUID instructions, and on a virtual
# machine each of them is an exit to the hypervisor: a quarter of a millisecond of every command.
set -euo pipefail

host=$(rustc -vV | sed -n 's/^host: //p')
musl=${host%-gnu}-musl
if [ "$musl" = "$host-musl" ] || [ -d "$(rustc --print sysroot)/lib/rustlib/$musl/lib" ]; then
	[ "$musl" = "$host-musl" ] && musl=$host
	echo "$musl"
elif command -v rustup >/dev/null && echo "adding the target $musl to the Rust toolchain" >&2 && timeout 120 rustup -q target add "$musl" >&2; then
	echo "$musl"
else
	echo "the Rust toolchain has no target $musl: building for $host (every command takes 0.2 ms longer)" >&2
	echo "$host"
fi
