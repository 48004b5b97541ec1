//! Any bytes as config.json: parsed, validated, compiled for hosts with cgroup v2 and v1, as a container and as an exec.
#![no_main]

use dunnage::cgroup::{Host, Paths};
use dunnage::plan::{Facts, Plan, compile, exec};
use dunnage::spec::validate::{self, HostFacts};
use dunnage::spec::{Spec, parse, problem};
use dunnage_steps::flags::Namespaces;
use dunnage_steps::wire::{Get, Reader};
use dunnage_steps::{Borrowed, Step};
use libfuzzer_sys::fuzz_target;

const V1: &str = "\
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:6 - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw shared:7 - cgroup cgroup rw,memory
34 30 0:30 / /sys/fs/cgroup/devices rw shared:8 - cgroup cgroup rw,devices
";

fuzz_target!(|bytes: &[u8]| {
    let Ok(spec) = parse::config(bytes) else { return };
    let again = parse::config(&serde_json::to_vec(&spec).expect("a spec can be written")).expect("and read again");
    assert_eq!(again, spec);
    for v2 in [true, false] {
        let host = HostFacts { cgroup_v2: v2, ..HostFacts::COMPLETE };
        let problems = validate::validate(&spec, &host, &validate::Options::default());
        problem::warnings(&problems).for_each(|w| assert!(!w.contains('\n')));
        if let Some(error) = problem::join(&problems, "config.json") {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        // What validation refuses must not break the compiler either.
        let facts = facts(v2, &spec);
        for no_pivot in [false, true] {
            container(&spec, &facts, no_pivot);
        }
        joining(&spec, &facts);
    }
});

fn facts(v2: bool, spec: &Spec) -> Facts {
    let cgroups = if v2 { Host::unified() } else { Host::from_mountinfo(V1) };
    let path = spec.linux.as_ref().map_or("", |l| &l.cgroups_path);
    // A relative path would be looked up in our own cgroup.
    let path = if path.starts_with('/') { path } else { "/box" };
    let cgroup_paths = Paths::new(&cgroups, path, "box").map(|p| p.0).unwrap_or_default();
    Facts {
        euid: 0,
        in_user_namespace: false,
        capabilities: u64::MAX,
        last_capability: 40,
        cgroups,
        cgroup_paths,
        proc_mounts: vec!["/proc".into()],
        stdio_null: 1,
        seccomp_flags: 0x3f,
    }
}

fn container(spec: &Spec, facts: &Facts, no_pivot: bool) {
    let options = compile::Options { no_pivot, wait_for_start: no_pivot, ..compile::Options::default() };
    let request = compile::Request { id: "box", bundle: "/bundle", spec, options: &options };
    whole(compile::create(&request, facts));
}

fn joining(spec: &Spec, facts: &Facts) {
    let linux = spec.linux.clone().unwrap_or_default();
    let request = exec::Request {
        id: "box",
        program: &spec.process.clone().unwrap_or_default(),
        linux: &linux,
        namespaces: Namespaces::MOUNT.with(Namespaces::PID),
        keyring: true,
        umask: None,
        oom_score_adj: None,
        options: &compile::Options::default(),
    };
    whole(exec::exec(&request, facts));
}

fn whole(plan: dunnage::error::Result<Plan>) {
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => return assert!(!error.to_string().contains("do not meet"), "{error}"),
    };
    plan.check().expect("the halves meet");
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
    assert!(!plan.to_string().is_empty());
}
