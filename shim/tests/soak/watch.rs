//! A step that takes long: where everybody is meanwhile, as the kernel tells it.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::common::*;

/// How long a step may take until somebody wants to know why.
const LONG: u64 = 2;

/// Grows with each step that ends.
static STEPS: AtomicU64 = AtomicU64::new(0);

/// One has ended.
pub fn step() {
    STEPS.fetch_add(1, Ordering::Relaxed);
}

/// Looks from now on, once at each step that takes long.
pub fn begin() {
    std::thread::spawn(|| {
        let (mut step, mut since) = (0, 0);
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let now = STEPS.load(Ordering::Relaxed);
            since = if now == step { since + 1 } else { 0 };
            step = now;
            if since == LONG {
                tell();
            }
        }
    });
}

fn tell() {
    eprintln!("soak: a step takes more than {LONG} seconds");
    for pid in host::pids().filter(|pid| *pid != 1) {
        let of = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let line = of("cmdline").replace('\0', " ");
        let stack = of("stack").lines().take(6).collect::<Vec<_>>().join(" ");
        eprintln!("  {pid} {} {line:.80}: {} {} {stack}", of("comm").trim(), of("wchan"), of("syscall").trim());
    }
}
