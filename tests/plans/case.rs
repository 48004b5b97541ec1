//! One case: its files, and what comes out of them. Must not know what is expected.

use std::collections::BTreeMap;
use std::path::Path;

use dunnage::cgroup::Paths;
use dunnage::cgroup::host::{Host, Membership};
use dunnage::cgroup::systemd::{self, Scope, UnitName};
use dunnage::error::Error;
use dunnage::plan::{Facts, Plan, compile, exec};
use dunnage::spec::landlock::Landlock;
use dunnage::spec::validate::{self, HostFacts};
use dunnage::spec::{Spec, names, parse, problem};
use dunnage_steps::flags::Namespaces;
use serde::Deserialize;
use serde_json::Value;

/// The host and the command line. Left out: root on a host with cgroup v2 alone, `run` without flags.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Asked {
    /// Control groups: `v2`, `v1` or `hybrid`; `none` as for a user who may not make any.
    pub cgroups: String,
    /// systemd makes them: its version.
    pub systemd: Option<u32>,
    /// It is the user's own.
    pub systemd_user: bool,
    /// Our user.
    pub euid: u32,
    /// We are in a user namespace.
    pub in_user_namespace: bool,
    /// Which denies setgroups(2).
    pub setgroups_denied: bool,
    /// What we may give; all, if left out.
    pub capabilities: Option<Vec<String>>,
    /// The last capability that the kernel knows.
    pub last_capability: Option<u8>,
    /// Procfs and sysfs outside of the container.
    pub proc_mounts: Vec<String>,
    /// Standard descriptors that are the null device, as bits.
    pub stdio_null: u32,
    /// `--no-pivot`
    pub no_pivot: bool,
    /// `--no-new-keyring`
    pub no_new_keyring: bool,
    /// `create`, not `run`
    pub create: bool,
    /// Descriptors from 3 on.
    pub extra_descriptors: u32,
    /// `--trace`
    pub trace: bool,
    /// LISTEN_FDS
    pub listen_fds: u32,
    /// The directory of NOTIFY_SOCKET.
    pub notify_dir: Option<String>,
    /// Of an exec: the namespaces of the container.
    pub namespaces: Vec<String>,
    /// Of an exec: systemd has to put the process into this unit.
    pub unit: Option<String>,
    /// Of an exec: the container has a keyring.
    pub keyring: bool,
    /// Of an exec: the container's umask.
    pub umask: Option<u32>,
    /// Of an exec: the container's oom_score_adj.
    pub oom_score_adj: Option<i32>,
    /// The version of the kernel's Landlock; 7, if left out.
    pub landlock: Option<u32>,
    /// Of an exec: the container's resctrl groups.
    pub resctrl: Vec<String>,
}

/// What is compiled.
#[derive(Debug, Clone)]
pub struct Case {
    /// config.json, whole.
    pub config: Value,
    /// process.json of an exec, whole.
    pub process: Option<Value>,
    /// The rest.
    pub asked: Asked,
}

const MOUNTINFO_V1: &str = "\
31 30 0:27 / /sys/fs/cgroup/systemd rw shared:5 - cgroup cgroup rw,xattr,name=systemd
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:6 - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw shared:7 - cgroup cgroup rw,memory
34 30 0:30 / /sys/fs/cgroup/devices rw shared:8 - cgroup cgroup rw,devices
35 30 0:31 / /sys/fs/cgroup/pids rw shared:9 - cgroup cgroup rw,pids
36 30 0:32 / /sys/fs/cgroup/blkio rw shared:10 - cgroup cgroup rw,blkio
37 30 0:33 / /sys/fs/cgroup/net_cls,net_prio rw shared:11 - cgroup cgroup rw,net_cls,net_prio
38 30 0:34 / /sys/fs/cgroup/cpuset rw shared:12 - cgroup cgroup rw,cpuset
39 30 0:35 / /sys/fs/cgroup/hugetlb rw shared:13 - cgroup cgroup rw,hugetlb
40 30 0:36 / /sys/fs/cgroup/rdma rw shared:14 - cgroup cgroup rw,rdma
";
const MOUNTINFO_V2: &str = "29 30 0:26 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
const MEMBERSHIP: &str = "\
9:rdma:/ours\n8:hugetlb:/ours\n7:cpuset:/ours\n6:net_cls,net_prio:/ours\n5:blkio:/ours\n4:pids:/ours\n3:devices:/ours
2:memory:/ours\n1:cpu,cpuacct:/ours\n10:name=systemd:/ours\n0::/ours/login\n";

impl Case {
    /// Reads the files of a directory.
    pub fn load(name: &str) -> Case {
        let read = |file: &str| -> Option<Value> {
            let text = std::fs::read(Path::new(super::HERE).join(file)).ok()?;
            Some(serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{file}: {e}")))
        };
        let mut config = read("base.json").unwrap();
        let mut process = read(&format!("{name}/process.json"));
        if let Some(patch) = process.take() {
            let mut whole = config["process"].clone();
            merge(&mut whole, &patch);
            process = Some(whole);
        }
        if let Some(patch) = read(&format!("{name}/config.json")) {
            merge(&mut config, &patch);
        }
        let asked = read(&format!("{name}/request.json"));
        let asked = asked.map_or_else(Asked::default, |v| serde_json::from_value(v).expect(name));
        Case { config, process, asked }
    }

    /// The warnings and the plan, or the error.
    pub fn outcome(&self) -> String {
        let mut warnings = Vec::new();
        let plan = self.plan(&mut warnings);
        let mut text: String = warnings.iter().map(|w| format!("warning: {w}\n")).collect();
        match plan {
            Ok(plan) => text.push_str(&plan.to_string()),
            Err(error) => text.push_str(&format!("error: {error}\n")),
        }
        text
    }

    /// All the way from the text of config.json.
    pub fn plan(&self, warnings: &mut Vec<String>) -> Result<Plan, Error> {
        let spec = parse::config(self.config.to_string().as_bytes())?;
        let process = self.process.as_ref().map(|p| parse::process(p.to_string().as_bytes())).transpose()?;
        let host = HostFacts { cgroup_v2: self.is_v2(), ..HostFacts::COMPLETE };
        let rootless_euid = self.asked.euid != 0;
        let options = validate::Options {
            rootless_euid,
            systemd_cgroup: self.asked.systemd.is_some(),
            no_pivot: self.asked.no_pivot,
        };
        let problems = match &process {
            Some(process) => validate::validate_process(process, None, &host, &options),
            None => validate::validate(&spec, &host, &options),
        };
        warnings.extend(problem::warnings(&problems));
        let file = if process.is_some() { "process.json" } else { "config.json" };
        problem::join(&problems, file).map_or(Ok(()), Err)?;
        self.compile(&spec, process.as_ref())
    }

    /// The compiler alone.
    pub fn compile(&self, spec: &Spec, process: Option<&dunnage::spec::Process>) -> Result<Plan, Error> {
        let linux = spec.linux.clone().unwrap_or_default();
        let facts = self.facts(&linux.cgroups_path)?;
        let options = self.options();
        let Some(program) = process else {
            let request = compile::Request { id: "box", bundle: "/bundle", spec, options: &options };
            return compile::create(&request, &facts);
        };
        let asked = &self.asked;
        let landlock = Landlock::of(&spec.annotations).map_err(|p| Error::new(p.message))?;
        let request = exec::Request {
            id: "box",
            program,
            linux: &linux,
            landlock: landlock.as_ref(),
            namespaces: asked.namespaces.iter().fold(Namespaces::none(), |all, name| all.with(kind(name))),
            keyring: asked.keyring,
            umask: asked.umask,
            oom_score_adj: asked.oom_score_adj,
            resctrl: &asked.resctrl,
            unit: asked.unit.as_deref().map(|unit| (unit, "")),
            options: &options,
        };
        exec::exec(&request, &facts)
    }

    fn is_v2(&self) -> bool {
        matches!(self.asked.cgroups.as_str(), "" | "v2" | "none")
    }

    fn host(&self) -> Host {
        match self.asked.cgroups.as_str() {
            "v1" => Host::from_mountinfo(MOUNTINFO_V1),
            "hybrid" => Host::from_mountinfo(&format!("{MOUNTINFO_V2}{MOUNTINFO_V1}")),
            "" | "v2" | "none" => Host::unified(),
            other => panic!("no such host: {other}"),
        }
    }

    fn facts(&self, cgroups_path: &str) -> Result<Facts, Error> {
        let cgroups = self.host();
        let membership = Membership::from_text(MEMBERSHIP);
        let systemd = self.asked.systemd.map(|version| systemd::Facts {
            scope: if self.asked.systemd_user { Scope::User } else { Scope::System },
            version,
            control_group: if self.asked.systemd_user { "/user.slice/user-1000.slice/user@1000.service" } else { "" }
                .into(),
        });
        let init = Membership::from_text(MEMBERSHIP.replace("/ours", "/"));
        let cgroup_paths = match self.asked.cgroups.as_str() {
            "none" => BTreeMap::new(),
            _ if let Some(systemd) = &systemd => {
                UnitName::new(cgroups_path, "box", systemd.scope)?.paths(&cgroups, systemd, Some(&init))?.0
            }
            _ => Paths::with_membership(&cgroups, cgroups_path, "box", &membership)?.0,
        };
        let last_capability = self.asked.last_capability.unwrap_or(40);
        let all = |names: &Vec<String>| names::capability_set(names, last_capability);
        Ok(Facts {
            euid: self.asked.euid,
            in_user_namespace: self.asked.in_user_namespace,
            setgroups_denied: self.asked.setgroups_denied,
            capabilities: self.asked.capabilities.as_ref().map_or(u64::MAX, all),
            last_capability,
            cgroups,
            cgroup_paths,
            resctrl: Some("/sys/fs/resctrl".into()),
            systemd,
            proc_mounts: self.asked.proc_mounts.clone(),
            stdio_null: self.asked.stdio_null,
            seccomp_flags: 0x3f,
            landlock: self.asked.landlock.unwrap_or(7),
        })
    }

    fn options(&self) -> compile::Options {
        compile::Options {
            no_pivot: self.asked.no_pivot,
            no_new_keyring: self.asked.no_new_keyring,
            trace: self.asked.trace,
            wait_for_start: self.asked.create,
            extra_descriptors: self.asked.extra_descriptors,
            listen_fds: self.asked.listen_fds,
            notify_dir: self.asked.notify_dir.clone(),
        }
    }
}

fn kind(name: &str) -> Namespaces {
    let kind = names::namespace(name).unwrap_or_else(|| panic!("no such namespace: {name}"));
    Namespaces(u64::try_from(kind.clone_flag).unwrap())
}

/// RFC 7396.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = Value::Object(serde_json::Map::new());
    }
    let Value::Object(into) = into else { return };
    for (key, value) in patch {
        match value {
            Value::Null => {
                into.remove(key);
            }
            value => merge(into.entry(key.clone()).or_insert(Value::Null), value),
        }
    }
}
