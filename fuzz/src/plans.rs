//! Hosts that are made up, and what has to hold of every plan that is compiled for them.

use std::collections::BTreeMap;

use dunnage::cgroup::host::Membership;
use dunnage::cgroup::systemd::{self, Scope, UnitName};
use dunnage::cgroup::{Host, Paths};
use dunnage::error::Result;
use dunnage::plan::{Facts, Plan, compile, exec};
use dunnage::spec::landlock::Landlock;
use dunnage::spec::validate::{self, HostFacts};
use dunnage::spec::{Linux, Process, Spec, problem};
use dunnage_steps::flags::Namespaces;
use dunnage_steps::wire::{Get, Reader};
use dunnage_steps::{Borrowed, Step};

use crate::one_line;

/// What plans are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// cgroup v2.
    V2,
    /// cgroup v1, and `--no-pivot`.
    V1,
    /// cgroup v2 by systemd, and `create`.
    Systemd,
    /// A user, in a user namespace.
    Rootless,
}

impl On {
    /// All of them.
    pub const ALL: [On; 4] = [On::V2, On::V1, On::Systemd, On::Rootless];
}

const V1: &str = "\
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:6 - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw shared:7 - cgroup cgroup rw,memory
34 30 0:30 / /sys/fs/cgroup/devices rw shared:8 - cgroup cgroup rw,devices
35 30 0:31 / /sys/fs/cgroup/systemd rw shared:5 - cgroup cgroup rw,xattr,name=systemd
";
const OURS: &str = "4:devices:/ours\n3:memory:/ours\n2:cpu,cpuacct:/ours\n1:name=systemd:/ours\n0::/ours\n";

/// Nothing, if the cgroup has no name there.
fn facts(on: On, cgroups_path: &str) -> Option<Facts> {
    let cgroups = if on == On::V1 { Host::from_mountinfo(V1) } else { Host::unified() };
    let ours = Membership::from_text(OURS);
    let by = systemd::Facts { scope: Scope::System, version: 257, control_group: String::new() };
    let cgroup_paths = match on {
        On::Rootless => BTreeMap::new(),
        On::Systemd => UnitName::new(cgroups_path, "box", by.scope).ok()?.paths(&cgroups, &by, Some(&ours)).ok()?.0,
        On::V2 | On::V1 => Paths::with_membership(&cgroups, cgroups_path, "box", &ours).ok()?.0,
    };
    let rootless = on == On::Rootless;
    Some(Facts {
        euid: if rootless { 1000 } else { 0 },
        in_user_namespace: rootless,
        setgroups_denied: rootless,
        capabilities: if rootless { 0 } else { u64::MAX },
        last_capability: 40,
        cgroups,
        cgroup_paths,
        resctrl: Some("/sys/fs/resctrl".into()),
        systemd: (on == On::Systemd).then_some(by),
        proc_mounts: vec!["/proc".into()],
        stdio_null: 1,
        seccomp_flags: 0x3f,
        landlock: if on == On::V1 { 0 } else { 7 },
    })
}

fn asked(on: On) -> (HostFacts<'static>, validate::Options) {
    let host = HostFacts { cgroup_v2: on != On::V1, ..HostFacts::COMPLETE };
    let options = validate::Options {
        rootless_euid: on == On::Rootless,
        systemd_cgroup: on == On::Systemd,
        no_pivot: on == On::V1,
    };
    (host, options)
}

/// Whether it may be made. What is said of it is one line each.
fn allowed(problems: &[problem::Problem], file: &str) -> bool {
    problem::warnings(problems).for_each(one_line);
    problem::join(problems, file).map(one_line).is_none()
}

/// A container. What validation refuses must not break the compiler either.
pub fn create(spec: &Spec, on: On) {
    let (host, options) = asked(on);
    let valid = allowed(&validate::validate(spec, &host, &options), "config.json");
    let path = spec.linux.as_ref().map_or("", |l| &l.cgroups_path);
    let Some(facts) = facts(on, path) else { return };
    let options = compile::Options {
        no_pivot: on == On::V1,
        wait_for_start: on == On::Systemd,
        notify_dir: (on == On::Systemd).then(|| "/run/runc/box/notify".into()),
        ..compile::Options::default()
    };
    let request = compile::Request { id: "box", bundle: "/bundle", spec, options: &options };
    whole(valid, || compile::create(&request, &facts));
}

/// A process that joins a container.
pub fn join(program: &Process, linux: &Linux, landlock: Option<&Landlock>, on: On) {
    let (host, options) = asked(on);
    let valid = allowed(&validate::validate_process(program, None, &host, &options), "process.json");
    let facts = facts(on, "").expect("named after the container");
    let request = exec::Request {
        id: "box",
        program,
        linux,
        landlock,
        namespaces: Namespaces::MOUNT.with(Namespaces::PID),
        keyring: on != On::Rootless,
        umask: (on == On::V1).then_some(0o77),
        oom_score_adj: (on == On::V1).then_some(-1),
        resctrl: &[],
        unit: (on == On::Rootless).then_some(("box.scope", "")),
        options: &compile::Options::default(),
    };
    whole(valid, || exec::exec(&request, &facts));
}

/// The two halves meet, dunnage-init reads the steps that were written, and who reads the plan sees one line a step; the same
/// input gives the same plan.
fn whole(valid: bool, compile: impl Fn() -> Result<Plan>) {
    let plan = match compile() {
        Ok(plan) => plan,
        Err(error) => {
            assert!(!error.to_string().contains("do not meet"), "{error}");
            return if valid {
                one_line(error)
            };
        }
    };
    plan.check().expect("the halves meet");
    assert!(plan.sent() <= plan.places.len());
    let bytes = plan.encode(&vec![-1; plan.places.len()]);
    let mut from = Reader::new(&bytes);
    for _ in 0..u32::get(&mut from).expect("a count") {
        i32::get(&mut from).expect("a descriptor");
    }
    for step in &plan.child {
        let read = Step::<Borrowed<'_>>::get(&mut from).expect("a step");
        assert_eq!(read.name(), step.step.name());
    }
    assert!(from.is_empty());
    let text = plan.to_string();
    text.lines().for_each(one_line);
    let again = compile().expect("it was compiled before");
    assert_eq!(again.to_string(), text);
    assert_eq!(again.encode(&vec![-1; again.places.len()]), bytes);
}
