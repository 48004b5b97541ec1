# Two commands do all that a newcomer needs, on a fresh Debian machine with a Rust toolchain, as root:
#   make run     build, and see the life of a container
#   make test    every test
# Debian packages that are missing are installed by name, and it is said which.

PREFIX  ?= /usr/local
DESTDIR ?=
CARGO   ?= cargo

HOST     = $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
# What a release is built for: musl where it can be had (integration/target.sh says why), or as given.
TARGET   = $(shell integration/target.sh)
BINARY   = target/$(TARGET)/release/dunnage
GENERATED = target/generated
SHIM     = target/$(TARGET)/release/containerd-shim-dunnage-v2
SYSTEMD_ROOT ?= target/systemd-root

BUILD_PACKAGES = gcc libc6-dev make
RUN_PACKAGES   = $(BUILD_PACKAGES) busybox-static jq procps
FUZZ_PACKAGES  = g++
TEST_PACKAGES  = $(RUN_PACKAGES) $(FUZZ_PACKAGES) strace runc util-linux uidmap iproute2 python3 libseccomp2 golang-github-containers-common \
                 iptables crun fuse3 fuse-overlayfs e2fsprogs python3-jsonschema
VM_PACKAGES    = $(TEST_PACKAGES) secilc
DAEMON_PACKAGES = $(BUILD_PACKAGES) busybox-static python3 python3-grpcio patchelf
FAULTS_PACKAGES = $(BUILD_PACKAGES) busybox-static runc crun
CALLER_PACKAGES = $(BUILD_PACKAGES) python3 debootstrap debian-archive-keyring util-linux
CALLER_OPTIONS = $(if $(QUICK),--suite trixie --side dunnage --side shim) $(if $(ONLY),--only '$(ONLY)')
VALIDATION_PACKAGES = $(BUILD_PACKAGES) python3 util-linux
BENCH_PACKAGES = $(RUN_PACKAGES) strace golang-github-containers-common
DIST_PACKAGES  = $(BUILD_PACKAGES) git python3
DEB_PACKAGES   = debootstrap
BENCH_SHIM_PACKAGES = $(DAEMON_PACKAGES) util-linux

.PHONY: help run test fuzz test-faults test-containerd test-callers soak test-systemd test-vm test-vm-v1 clean-vm lint deny validation bench bench-shim build man completions install install-files check-arm64 dist deb toolchain

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r t d; do printf '  make %-12s %s\n' "$$t" "$$d"; done

toolchain:
	@command -v $(CARGO) >/dev/null || { echo "$(CARGO) not found: a Rust toolchain is needed, version $$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer" >&2; exit 1; }

build: toolchain ## the release binaries: the runtime and the shim
	@integration/packages.sh $(BUILD_PACKAGES)
	$(CARGO) build --release -p dunnage -p containerd-shim-dunnage-v2 --target $(TARGET)

run: toolchain ## build, and show the life of a container
	@integration/packages.sh $(RUN_PACKAGES)
	$(CARGO) build --release --bin dunnage --target $(TARGET)
	integration/demo.sh $(abspath $(BINARY))

test: toolchain ## unit tests, golden plans, fuzzing for some seconds, real containers
	@integration/packages.sh $(TEST_PACKAGES)
	@integration/criu.sh
	CARGO="$(CARGO)" integration/test.sh

fuzz: toolchain ## every fuzz target for ten minutes (FUZZ_SECONDS), one after the other
	@integration/packages.sh $(BUILD_PACKAGES) $(FUZZ_PACKAGES)
	for target in $$(ls fuzz/corpus); do CARGO="$(CARGO)" integration/fuzz.sh $$target $(or $(FUZZ_SECONDS),600) || exit; done

test-faults: toolchain ## killed and failed at every system call, thousands of containers, hostile state; FULL=yes: all of it, with runc and crun
	@integration/packages.sh $(FAULTS_PACKAGES)
	$(CARGO) build --release --bin dunnage --target $(TARGET)
	$(CARGO) build --release -p dunnage-faults --target $(TARGET)
	integration/faults/run.sh $(abspath $(BINARY))

test-containerd: toolchain ## the shim under real daemons: containerd 1.6, 1.7 and 2.x; FULL=yes kills them a hundred times
	@integration/packages.sh $(DAEMON_PACKAGES)
	$(CARGO) build --release -p dunnage -p containerd-shim-dunnage-v2 --target $(TARGET)
	integration/containerd/run.py --shim $(abspath $(SHIM)) --dunnage $(abspath $(BINARY)) $(if $(ONLY),--only '$(ONLY)')
	$(if $(ONLY),,CARGO="$(CARGO)" integration/containerd/protos.sh)
	$(if $(ONLY),,SHIM=$(abspath $(SHIM)) SOAK=300 $(CARGO) test -q -p containerd-shim-dunnage-v2 --test soak -- --nocapture)

soak: toolchain ## ten thousand containers (SOAK) on three shims side by side: nothing may grow, no event be missing
	@integration/packages.sh $(BUILD_PACKAGES) busybox-static util-linux
	$(CARGO) build --release -p containerd-shim-dunnage-v2 --target $(TARGET)
	SHIM=$(abspath $(SHIM)) SOAK=$(or $(SOAK),10000) $(CARGO) test -q -p containerd-shim-dunnage-v2 --test soak -- --nocapture

test-systemd: toolchain ## the calls to systemd, against a real one in namespaces of its own
	@integration/packages.sh $(BUILD_PACKAGES) debootstrap
	CARGO="$(CARGO)" integration/test-systemd.sh $(SYSTEMD_ROOT)

test-vm: toolchain ## the tests again where systemd is PID 1 and cgroups are v2: in a virtual machine
	@integration/packages.sh $(VM_PACKAGES)
	CARGO="$(CARGO)" integration/vm/test.sh

test-vm-v1: toolchain ## the systemd driver on hosts with v1 and hybrid cgroups, compared with runc; not in CI
	@integration/packages.sh $(VM_PACKAGES)
	for mode in hybrid v1; do CARGO="$(CARGO)" VM_MODE=$$mode integration/vm/test.sh compare-systemd || exit; done

clean-vm: ## throw the virtual machine away: the next test-vm makes it anew
	rm -rf target/vm

lint: toolchain ## rustfmt, clippy and shellcheck, warnings are errors
	@integration/packages.sh $(BUILD_PACKAGES) shellcheck
	shellcheck -S warning integration/*.sh integration/validation/*.sh integration/containerd/*.sh integration/callers/*.sh integration/vm/*.sh integration/vm/guest.d/*.sh integration/bench/*.sh integration/faults/*.sh packaging/*.sh packaging/dunnage/p* .ci/run
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --test systemd -- -D warnings
	$(CARGO) clippy -p containerd-shim-dunnage-v2 --test soak -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc -q --workspace --no-deps
	cd init && $(CARGO) fmt --check && $(CARGO) clippy --target-dir ../target/init -- -D warnings
	$(CARGO) clippy -p dunnage -p containerd-shim-dunnage-v2 --bins --target $(TARGET) -- -D warnings
	cd init && RUSTFLAGS="-Cpanic=abort -Clink-arg=-nostartfiles" $(CARGO) clippy --release --target $(HOST) -- -D warnings
	cd init && $(CARGO) fmt --check -- --config-path ../rustfmt.toml
	cd fuzz && $(CARGO) fmt --check -- --config-path ../rustfmt.toml

deny: toolchain ## licences, sources, bans and, from GitHub, advisories of all packages: cargo-deny
	@integration/packages.sh $(BUILD_PACKAGES) python3
	integration/deny.sh

test-callers: toolchain ## podman, buildah, Docker, containerd of three Debian releases with us, and with runc; QUICK=1: of one, without runc
	@integration/packages.sh $(CALLER_PACKAGES)
	$(CARGO) build --release -p dunnage -p containerd-shim-dunnage-v2 --target $(TARGET)
	integration/callers/run.py --dunnage $(abspath $(BINARY)) --shim $(abspath $(SHIM)) $(CALLER_OPTIONS)
	integration/callers/run.py --dunnage $(abspath $(BINARY)) --shim $(abspath $(SHIM)) --systemd --suite trixie $(CALLER_OPTIONS)

validation: toolchain ## the OCI's validation suite, built from Debian's source package, against us and runc; writes docs/validation.md
	@integration/packages.sh $(VALIDATION_PACKAGES)
	$(CARGO) build --release --bin dunnage --target $(TARGET)
	integration/validation/build.sh
	[ -e target/peers/list ] || YOUKI=no integration/peers.sh
	integration/validation/run.py --suite target/validation/suite --runtime $(abspath $(BINARY)) \
		--reference "$$(awk '$$1 == "runc" { print $$3 }' target/peers/list)" --report docs/validation.md

bench: toolchain ## measure ourselves against the floor, runc, crun and youki; writes docs/bench/
	@integration/packages.sh $(BENCH_PACKAGES)
	$(CARGO) build --release --bin dunnage --target $(TARGET)
	RUNTIMES="dunnage=$(abspath $(BINARY)) $(RUNTIMES)" integration/bench/run.sh

bench-shim: toolchain ## measure the shim against containerd-shim-runc-v2 with runc; writes docs/bench/shim.*; QUICK=1: only a look
	@integration/packages.sh $(BENCH_SHIM_PACKAGES)
	$(CARGO) build --release -p containerd-shim-dunnage-v2 --target $(TARGET)
	integration/bench-shim/bench.py --shim $(abspath $(SHIM)) $(if $(QUICK),--out target/bench-shim)

man: toolchain ## man pages, into target/generated/man
	$(CARGO) run -q -p docgen -- man $(GENERATED)/man

completions: toolchain ## bash, zsh and fish completions, into target/generated/completions
	$(CARGO) run -q -p docgen -- completions $(GENERATED)/completions

install: build man completions ## the binaries, man pages and completions, below $(DESTDIR)$(PREFIX)
	@$(MAKE) --no-print-directory install-files

# What `install` does once everything is built; dist.sh has its own build.
install-files:
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/sbin/dunnage
	install -D -m 0755 $(SHIM) $(DESTDIR)$(PREFIX)/bin/containerd-shim-dunnage-v2
	install -d $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 0644 $(GENERATED)/man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	install -D -m 0644 $(GENERATED)/completions/dunnage.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/dunnage
	install -D -m 0644 $(GENERATED)/completions/_dunnage $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_dunnage
	install -D -m 0644 $(GENERATED)/completions/dunnage.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/dunnage.fish

check-arm64: toolchain ## compile and link everything for aarch64, with Debian's toolchain, and start it in QEMU's emulation
	integration/arm64.sh

dist: toolchain ## a reproducible tarball of static binaries, with checksum and SBOM, in target/dist; CHECK=1: built twice and compared
	@integration/packages.sh $(DIST_PACKAGES)
	CARGO="$(CARGO)" packaging/dist.sh

deb: dist ## Debian packages, in target/dist, installed and removed in a Debian of their own
	@integration/packages.sh $(DEB_PACKAGES)
	packaging/deb.sh
	packaging/test-deb.sh
