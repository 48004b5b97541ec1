//! The sandbox of a pod: a container whose config.json is made here ([`crate::pod`]) if the bundle has none, and whose root has one file,
//! the program that holds the namespaces.

use std::io::Write;

use dunnage::error::{Error, Result};
use dunnage::files;
use dunnage::launch::spawn::PAUSE;
use nix::errno::Errno;
use nix::sys::stat::Mode;

use super::create::create;
use super::{Given, Outcome, Whose};
use crate::bundle::Bundle;
use crate::mounts;
use crate::pod;
use crate::proto::cri::PodSandboxConfig;
use crate::proto::sandbox::CreateSandboxRequest;
use crate::proto::task::CreateTaskRequest;
use crate::proto::{Message, Mount};
use crate::ttrpc::Failure;

const CONFIG: &str = "config.json";

/// Makes it.
pub fn create_sandbox(whose: &Whose, request: &CreateSandboxRequest, given: &mut Given) -> Result<Outcome, Failure> {
    let bundle = Bundle::open(&whose.bundle)?;
    let task =
        CreateTaskRequest { id: whose.id.clone(), rootfs: request.rootfs.clone(), ..CreateTaskRequest::default() };
    let given_config = bundle.read(CONFIG).unwrap_or_default();
    if names_a_process(&given_config) {
        // A client of containerd's that knows what it wants of a sandbox.
        return create(whose, &task, given);
    }
    if !request.rootfs.is_empty() {
        return Err(Failure::invalid("a sandbox with a rootfs needs a config.json that says what runs in it"));
    }
    let config = config(request)?;
    bundle.write(CONFIG, &pod::spec(&whose.id, &config, &request.netns_path, oom_score_adj())?)?;
    let rootfs = whose.bundle.join("rootfs");
    match files::mkdirat(bundle.dir(), "rootfs", Mode::from_bits_truncate(0o711)) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(e) => return Err(Error::sys("mkdir rootfs in the bundle", e).into()),
    }
    // Where containerd keeps its state nothing may be executable.
    let (uid, gid) = pod::root_owner(&config);
    let owner = [format!("uid={uid}"), format!("gid={gid}")];
    let options = ["nosuid", "nodev", "mode=755", "size=64k"].map(String::from).into_iter().chain(owner).collect();
    let tmpfs = Mount { kind: "tmpfs".into(), source: "tmpfs".into(), target: String::new(), options };
    mounts::mount_all(&[tmpfs], &rootfs)?;
    let made = fill(&rootfs).map_err(Failure::from).and_then(|()| create(whose, &task, given));
    if made.is_err()
        && let Err(e) = mounts::unmount_all(&rootfs)
    {
        dunnage::log::warn(e);
    }
    Ok(Outcome { has_mounts: true, ..made? })
}

/// Some clients give a specification in which nothing is, because containerd 2.1 cannot do without.
fn names_a_process(config: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Config {
        process: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_slice(config).is_ok_and(|config: Config| config.process.is_some())
}

/// Without one, a pod of which nothing is said.
fn config(request: &CreateSandboxRequest) -> Result<PodSandboxConfig, Failure> {
    let Some(any) = &request.options else { return Ok(PodSandboxConfig::default()) };
    match any.type_name() {
        "runtime.v1.PodSandboxConfig" => PodSandboxConfig::decode(&any.value)
            .map_err(|fault| Failure::invalid(format_args!("options of the sandbox: {fault}"))),
        "" => Ok(PodSandboxConfig::default()),
        other => {
            Err(Failure::invalid(format_args!("options of the sandbox: {other:?} is not runtime.v1.PodSandboxConfig")))
        }
    }
}

fn fill(rootfs: &std::path::Path) -> Result<()> {
    let failed = |call: &'static str| move |e: Errno| Error::sys(format!("{call} of the sandbox's program"), e);
    let root = files::open(rootfs, files::DIRECTORY).map_err(failed("open the directory"))?;
    let file = files::create(&root, pod::PROGRAM, Mode::from_bits_truncate(0o555)).map_err(failed("creation"))?;
    let mut file = std::fs::File::from(file);
    file.write_all(PAUSE).map_err(|e| Error::io("write the sandbox's program", &e))?;
    nix::sys::stat::fchmod(&file, Mode::from_bits_truncate(0o555)).map_err(failed("fchmod"))
}

/// What is wanted, or, for want of the right to go below it, what we have.
fn oom_score_adj() -> i32 {
    let ours = files::read_to_string("/proc/self/oom_score_adj").ok().and_then(|text| text.trim().parse().ok());
    let Some(ours) = ours.filter(|ours| *ours > pod::OOM_SCORE_ADJ) else { return pod::OOM_SCORE_ADJ };
    let status = files::read_to_string("/proc/self/status").unwrap_or_default();
    if may_lower(&status) { pod::OOM_SCORE_ADJ } else { ours }
}

/// CAP_SYS_RESOURCE, as /proc/self/status tells.
fn may_lower(status: &str) -> bool {
    const CAP_SYS_RESOURCE: u64 = 1 << 24;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).is_some_and(|caps| caps & CAP_SYS_RESOURCE != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_specification_it_is() {
        assert!(names_a_process(br#"{"ociVersion": "1.2.0", "process": {"args": ["/x"]}}"#));
        for none in ["", "{}", r#"{"ociVersion":"","process":null}"#] {
            assert!(!names_a_process(none.as_bytes()), "{none}");
        }
    }

    #[test]
    fn who_may_lower_the_score() {
        assert!(may_lower("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        assert!(!may_lower("CapEff:\t00000000a80425fb\n"));
        assert!(!may_lower(""));
    }
}
