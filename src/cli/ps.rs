//! `ps`: the processes of a container, by their pids or through the host's `ps`.

use std::ffi::OsString;

use super::definition::Definition;
use super::definition::shared::FORMAT;
use super::{Command, Global, Matches, id, look, print};
use crate::error::{Error, Result};
use crate::log;

/// The command.
pub static COMMAND: Definition = Definition {
    name: "ps",
    about: "display the processes running inside a container",
    usage: "ID [PS-OPTION...]",
    description: "\
Shows the processes of the container ID. As a table they come from the host's ps(1), called with PS-OPTION... or with
-ef; as JSON they are the pids alone, as the host numbers them. All that follows ID belongs to ps.",
    min: 1,
    max: None,
    stops_at_first: true,
    flags: &[FORMAT],
    read: |m| Command::Ps(PsArgs::read(m)),
};

/// `ps`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PsArgs {
    /// The container.
    pub id: String,
    /// `--format`
    pub format: Option<String>,
    /// For the host's `ps`.
    pub options: Vec<OsString>,
}

impl PsArgs {
    fn read(m: &Matches) -> PsArgs {
        PsArgs { id: id(m), format: m.text(&FORMAT), options: m.arguments.iter().skip(1).cloned().collect() }
    }
}

pub(super) fn run(global: &Global, args: &PsArgs) -> Result<u8> {
    let container = look(global, &args.id)?;
    let pids = container.pids().inspect_err(|_| {
        if container.state.config.rootless_cgroups {
            log::warn("runc ps failure might be caused by lack of full access to cgroups");
        }
    })?;
    let text = match args.format.as_deref().unwrap_or("table") {
        "json" if pids.is_empty() => "null\n".to_owned(),
        "json" => format!("[{}]\n", pids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")),
        "table" => rows(&host_ps(&args.options)?, &pids)?,
        _ => return Err(Error::new("invalid format option")),
    };
    print(&text)?;
    Ok(0)
}

/// What the host's ps(1) says of all its processes. go-runc hands over the options as one argument, and so do we.
fn host_ps(options: &[OsString]) -> Result<String> {
    let default = [OsString::from("-ef")];
    let options = if options.is_empty() { &default } else { options };
    let output = std::process::Command::new("ps").args(options).output().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::new("exec: \"ps\": executable file not found in $PATH"),
        _ => Error::io("exec: \"ps\"", &e),
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let how = output.status.code().map_or_else(|| output.status.to_string(), |code| format!("exit status {code}"));
    Err(Error::new(format!("{how}: {text}{}", String::from_utf8_lossy(&output.stderr)).trim_end().to_owned()))
}

/// The header, and the rows whose column PID is one of `pids`. A row without a number there (`ps -ef` of threads has such) is
/// none of ours.
fn rows(output: &str, pids: &[i32]) -> Result<String> {
    let mut lines = output.lines();
    let header = lines.next().unwrap_or_default();
    let column = header
        .split_whitespace()
        .position(|title| title == "PID")
        .ok_or_else(|| Error::new("couldn't find PID field in ps output"))?;
    let mut text = format!("{header}\n");
    for line in lines {
        let pid = line.split_whitespace().nth(column).and_then(|cell| cell.parse().ok());
        if pid.is_some_and(|pid| pids.contains(&pid)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_our_pids_under_the_header() {
        let output = "UID   PID  PPID CMD\nroot    1     0 init\nroot   17     1 sh -c 1\nroot    -     1 thread\n\n";
        assert_eq!(rows(output, &[17, 4]).unwrap(), "UID   PID  PPID CMD\nroot   17     1 sh -c 1\n");
        assert_eq!(rows(output, &[]).unwrap(), "UID   PID  PPID CMD\n");
        for output in ["", "USER CMD\n"] {
            assert_eq!(rows(output, &[1]).unwrap_err().to_string(), "couldn't find PID field in ps output");
        }
    }
}
