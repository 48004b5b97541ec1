//! Builds `dunnage-init` (and `pause`, for the shim) with flags of its own and hands the bytes to the library; notes the commit for
//! `--version`.
//!
//! The child's half needs what cargo cannot say per package: no start files, no C library, a fixed address. So it is a
//! workspace of its own, built into our output folder by the same cargo. It has no dependencies: nothing is fetched.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

const FLAGS: &[&str] = &[
    "-Cpanic=abort",
    "-Crelocation-model=static",
    "-Ctarget-feature=+crt-static",
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-nostdlib",
    "-Clink-arg=-static",
    // One segment less, and no page of padding between them: each page is copied into the memfd of every container.
    "-Clink-arg=-Wl,--build-id=none,-z,noseparate-code,-z,norelro,--gc-sections",
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let target = env::var("TARGET")?;
    let manifest = Path::new("init/Cargo.toml");
    for watched in ["init/src", "init/Cargo.toml", "init/Cargo.lock", "steps/src", "steps/Cargo.toml"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    let target_dir = out.join("init-target");
    let mut flags = FLAGS.join("\x1f");
    if target.ends_with("-musl") {
        // rustc brings start files of its own for this target, which -nostartfiles does not keep away.
        flags.push_str("\x1f-Clink-self-contained=no");
    }
    if target.starts_with("aarch64-") {
        // Atomic operations out of line ask the C library which processor this is.
        flags.push_str("\x1f-Ctarget-feature=-outline-atomics");
    }
    let status = Command::new(env::var("CARGO")?)
        .args(["build", "--release", "--locked", "--offline", "--quiet", "--manifest-path"])
        .arg(manifest)
        .args(["--target", &target, "--target-dir"])
        .arg(&target_dir)
        // What the caller wants for its own build (coverage, sanitizers, another wrapper) does not fit a program without std.
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .status()?;
    if !status.success() {
        return Err(format!("dunnage-init does not build: {}", manifest.display()).into());
    }
    let made = target_dir.join(&target).join("release");
    println!("cargo::rustc-env=DUNNAGE_INIT={}", made.join("dunnage-init").display());
    println!("cargo::rustc-env=DUNNAGE_PAUSE={}", made.join("pause").display());

    if let Some(commit) = commit() {
        println!("cargo::rustc-env=DUNNAGE_COMMIT={commit}");
    }
    Ok(())
}

/// The commit, if this is a checkout with git at hand.
fn commit() -> Option<String> {
    println!("cargo::rerun-if-changed=.git/HEAD");
    let git = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).output().ok()?;
    let text = String::from_utf8(git.stdout).ok()?;
    git.status.success().then(|| text.trim().to_owned()).filter(|t| !t.is_empty())
}
