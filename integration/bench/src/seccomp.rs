//! How long a profile takes to become BPF, in the library: what `run` spends on it.

use crate::Result;
use std::path::Path;
use std::time::Instant;

/// Prints two figures in microseconds for the profile of a config.json: the first compilation of this process, which is
/// the one that a command does, and the middle of a hundred more.
pub fn time(config: &Path) -> Result<()> {
    let json = std::fs::read(config)?;
    let spec = dunnage::spec::parse::config(&json).map_err(|e| e.to_string())?;
    let seccomp = spec.linux.and_then(|l| l.seccomp).ok_or("no /linux/seccomp in it")?;
    let native = dunnage::seccomp::native().ok_or("an architecture without seccomp tables")?;
    let once = || -> Result<f64> {
        let start = Instant::now();
        let program = dunnage::seccomp::compile(&seccomp, native, 0).map_err(|e| e.to_string())?;
        let took = start.elapsed().as_secs_f64() * 1e6;
        std::hint::black_box(program);
        Ok(took)
    };
    let first = once()?;
    let rest = (0..100).map(|_| once()).collect::<Result<Vec<f64>>>()?;
    println!("{first:.0} {:.0}", crate::stats::median(&rest));
    Ok(())
}
