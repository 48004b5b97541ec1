#!/usr/bin/env bash
# Prints the target that a release is built for: the host's own with musl if the toolchain has it, else the host's. The
# start of a program with glibc, static or not, executes a hundred CPUID instructions, and on a virtual machine each of
# them is an exit to the hypervisor: a quarter of a millisecond of every command. Nothing is installed here: the toolchain is
# its owner's. (With rustup: `rustup target add x86_64-unknown-linux-musl`.)
set -euo pipefail

host=$(rustc -vV | sed -n 's/^host: //p')
musl=${host%-gnu}-musl
case $host in
*-musl) echo "$host" ;;
*)
	if [ -d "$(rustc --print sysroot)/lib/rustlib/$musl/lib" ]; then
		echo "$musl"
	else
		echo "the Rust toolchain has no target $musl: building for $host (every command takes 0.2 ms longer)" >&2
		echo "$host"
	fi
	;;
esac
