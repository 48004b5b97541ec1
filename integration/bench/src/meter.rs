//! Calls `meter` (meter.c): what commands cost, as the kernel accounts for it.

use crate::Result;
use std::path::Path;
use std::process::{Command, Stdio};

/// What one command cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// From before posix_spawn until wait4 returned, in milliseconds.
    pub wall: f64,
    /// User and system time of the command and the children that it waited for, in milliseconds.
    pub cpu: f64,
    /// The largest resident set of any of these processes, in KiB.
    pub rss: f64,
    /// Exit status; 128 + n for a signal.
    pub status: i32,
}

/// Runs `steps` one after the other. Returns the cost of each, and of all of them together with the processes that they
/// left behind. A step that fails is an error, with what it said.
pub fn run(meter: &Path, steps: &[Vec<String>]) -> Result<(Vec<Cost>, Cost)> {
    let mut command = Command::new(meter);
    for (i, step) in steps.iter().enumerate() {
        if i > 0 {
            command.arg("::");
        }
        command.args(step);
    }
    let output = command.stdin(Stdio::null()).output()?;
    let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let mut costs: Vec<Cost> = String::from_utf8_lossy(&output.stdout).lines().filter_map(parse).collect();
    let whole = costs.pop().ok_or_else(|| format!("{}: no figures: {}", meter.display(), said()))?;
    for (cost, step) in costs.iter().zip(steps) {
        if cost.status != 0 {
            let how = if cost.status == 137 { "did not end in 5 s, or was killed" } else { "failed" };
            return Err(format!("{} {how}: exit status {}: {}", step.join(" "), cost.status, said()).into());
        }
    }
    Ok((costs, whole))
}

/// "wall_ns user_us sys_us maxrss_kib status"
fn parse(line: &str) -> Option<Cost> {
    let mut fields = line.split_whitespace().map(|f| f.parse::<f64>().ok());
    let mut next = || fields.next().flatten();
    let (wall, user, system, rss, status) = (next()?, next()?, next()?, next()?, next()?);
    Some(Cost { wall: wall / 1e6, cpu: (user + system) / 1e3, rss, status: status as i32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let cost = Cost { wall: 2.5, cpu: 1.5, rss: 744.0, status: 137 };
        assert_eq!(parse("2500000 1000 500 744 137"), Some(cost));
        assert_eq!(parse("2500000 1000"), None);
    }
}
