//! `--version`.

use std::fmt::Write;

use super::{Global, print};
use crate::error::Result;

/// The first line is `dunnage version X`. Where we stand in runc's place it is `runc version X`, because containerd's go-runc
/// takes no other answer; then a last line says who we are (without the word "version", by which Docker cuts the lines).
fn text(program: &str, commit: Option<&str>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("{program} version {version}\n");
    if let Some(commit) = commit {
        // Writing into a string does not fail.
        writeln!(text, "commit: {commit}").ok();
    }
    text.push_str("spec: 1.3.0\n");
    if program != "dunnage" {
        writeln!(text, "dunnage: {version}").ok();
    }
    text
}

/// The commit that this was built from, as far as that is known.
pub fn commit() -> &'static str {
    option_env!("DUNNAGE_COMMIT").unwrap_or_default()
}

pub(super) fn run(global: &Global) -> Result<u8> {
    print(&text(global.program(), option_env!("DUNNAGE_COMMIT")))?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_runc_and_docker_can_read_it() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(text("dunnage", None), format!("dunnage version {version}\nspec: 1.3.0\n"));
        let as_runc = text("runc", Some("abc-dirty"));
        assert_eq!(as_runc, format!("runc version {version}\ncommit: abc-dirty\nspec: 1.3.0\ndunnage: {version}\n"));
        assert_eq!(as_runc.matches("version").count(), 1);
    }
}
