//! The program of `tests/payload`, built once per source and kept in the target directory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

/// The path of the static binary; builds it if its source is newer.
pub fn binary() -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/payload/payload.rs");
    let binary = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("payload");
    let time = |path: &dyn AsRef<std::path::Path>| fs::metadata(path).and_then(|m| m.modified()).ok();
    if time(&binary).is_some_and(|built| built > time(&source).unwrap_or(SystemTime::UNIX_EPOCH)) {
        return binary;
    }
    // Every test is a process: one builds, the others wait for it.
    let lock = fs::File::create(binary.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if time(&binary).is_some_and(|built| built > time(&source).unwrap_or(SystemTime::UNIX_EPOCH)) {
        return binary;
    }
    let own = binary.with_extension("new");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = Command::new(rustc)
        .args([
            "--edition",
            "2024",
            "-O",
            "-C",
            "target-feature=+crt-static",
            "-C",
            "strip=symbols",
            "-C",
            "panic=abort",
        ])
        .arg("-o")
        .arg(&own)
        .arg(source)
        .status()
        .expect("rustc");
    assert!(status.success(), "rustc {source}");
    fs::rename(&own, &binary).unwrap();
    binary
}

/// Alone, it builds the program for a machine that has no compiler.
#[test]
fn it_compiles() {
    assert!(binary().is_file());
}
