//! The smallest memory limit under which a container's /bin/true starts.

use crate::bundle::{self, Bundle};
use crate::measure::{quiet, words};
use crate::runtimes::Runtime;
use crate::{Options, Result};
use serde_json::{Value, json};
use std::path::Path;

/// Tried in this order, in KiB.
const KIB: [u64; 20] =
    [64, 128, 192, 256, 320, 384, 448, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768];

/// How often it has to work before it counts.
const TIMES: usize = 5;

/// For each runtime the smallest limit in KiB, null if none of the list; an empty object on a host that cannot limit.
pub fn smallest(options: &Options, runtimes: &[Runtime]) -> Result<Value> {
    let mut found = json!({});
    let v2 = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").is_ok_and(|c| c.contains("memory"));
    if !v2 && !Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").is_file() {
        return Ok(found);
    }
    let bundles: Vec<(u64, Bundle)> = KIB
        .iter()
        .map(|kib| {
            let limit = json!(kib.saturating_mul(1024));
            let change = |c: &mut Value| bundle::set(c, "/linux/resources/memory/limit", limit.clone());
            Ok((*kib, Bundle::new(&options.work, &format!("limit-{kib}"), runtimes, change)?))
        })
        .collect::<Result<_>>()?;
    for runtime in runtimes.iter().filter(|r| !r.is_floor()) {
        eprintln!("{}: smallest memory limit: {}", options.host, runtime.name);
        let smallest = bundles.iter().find(|(_, b)| (0..TIMES).all(|_| starts(options, runtime, b)));
        bundle::set(&mut found, &format!("/{}", runtime.name), json!(smallest.map(|(kib, _)| kib)));
    }
    Ok(found)
}

/// Whether the program ran. The kernel may kill any process of the container, and not every runtime notices: ten seconds.
fn starts(options: &Options, runtime: &Runtime, bundle: &Bundle) -> bool {
    let id = "limited";
    let mut argv: Vec<String> = ["timeout", "-k", "1", "10"].map(String::from).into();
    argv.extend(runtime.launch("run", bundle, id));
    let worked = words(&argv).and_then(|mut c| quiet(&mut c, &options.work)).is_ok();
    if !worked {
        // Some leave a half-made container behind, the others say that there is none: both are expected here.
        let _ = words(&runtime.force_delete(id)).and_then(|mut c| quiet(&mut c, &options.work));
    }
    worked
}
