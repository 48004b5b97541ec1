//! config.json -> libcontainer's `config`, as runc converts it: what a later command, ours or runc's, needs to know of how the
//! container was made. Pure. The input has been validated; a name that is not known is an error all the same.

use super::report::OCI_VERSION;
use super::resources::{Cgroup, DeviceRule, HugepageLimit, InterfacePriority, Rdma, ThrottleDevice, WeightDevice};
use super::seccomp::Seccomp;
use super::types::{
    Capabilities, Config, Device, ExecCpuAffinity, Hook, Hooks, IdMap, IntelRdt, MemoryPolicy, Mount, MountAttr,
    MountIdMapping, Namespace, NetDevice, Network, Personality, TimeOffset,
};
use crate::cgroup::devices::DEFAULTS;
use crate::cgroup::settings::cpu_weight;
use crate::cgroup::systemd::properties::rounded_quota;
use crate::error::{Error, Result};
use crate::spec::{self, Spec, list, mount_options, names};

/// What is not in config.json.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Absolute and clean.
    pub bundle: &'a str,
    /// Absolute and clean.
    pub rootfs: &'a str,
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// `--no-new-keyring`.
    pub no_new_keyring: bool,
    /// `--systemd-cgroup`.
    pub systemd_cgroup: bool,
    /// The effective user is not root.
    pub rootless_euid: bool,
    /// Permission errors of cgroups are to be ignored.
    pub rootless_cgroups: bool,
}

impl Config {
    /// libcontainer's view of `spec`.
    pub fn from_spec(spec: &Spec, origin: &Origin<'_>) -> Result<Config> {
        let nothing = spec::Linux::default();
        let linux = spec.linux.as_ref().unwrap_or(&nothing);
        let namespaces = linux.namespaces.iter().map(namespace).collect::<Result<Vec<_>>>()?;
        let makes = |kind: &str| namespaces.iter().any(|ns| ns.kind == kind && ns.path.is_empty());
        let mounts = spec.mounts.iter().map(|m| mount(m, origin.bundle)).collect();
        let mut config = Config {
            no_pivot_root: origin.no_pivot,
            rootfs: origin.rootfs.to_owned(),
            readonlyfs: spec.root.as_ref().is_some_and(|root| root.readonly),
            rootPropagation: propagation(&linux.rootfs_propagation)?,
            mounts,
            devices: devices(linux),
            netDevices: linux
                .net_devices
                .iter()
                .map(|(host, d)| (host.clone(), NetDevice { name: d.name.clone() }))
                .collect(),
            mount_label: linux.mount_label.clone(),
            hostname: spec.hostname.clone(),
            domainname: spec.domainname.clone(),
            networks: Vec::from_iter(makes("NEWNET").then(|| Network { kind: "loopback".to_owned() })),
            namespaces,
            cgroups: Cgroup { owner_uid: spec.cgroup_owner().map(i64::from), ..cgroup(linux, origin) },
            uid_mappings: linux.uid_mappings.iter().map(id_map).collect(),
            gid_mappings: linux.gid_mappings.iter().map(id_map).collect(),
            mask_paths: linux.masked_paths.clone(),
            readonly_paths: linux.readonly_paths.clone(),
            sysctl: linux.sysctl.clone(),
            seccomp: linux.seccomp.as_ref().map(Seccomp::from_spec).transpose()?.flatten(),
            Hooks: spec.hooks.as_ref().map(hooks).unwrap_or_default(),
            version: OCI_VERSION.to_owned(),
            labels: labels(spec, origin.bundle),
            no_new_keyring: origin.no_new_keyring,
            intel_rdt: linux.intel_rdt.as_ref().map(intel_rdt),
            rootless_euid: origin.rootless_euid,
            rootless_cgroups: origin.rootless_cgroups,
            memory_policy: linux.memory_policy.as_ref().map(memory_policy).transpose()?,
            time_offsets: linux.time_offsets.iter().map(|(clock, o)| (clock.clone(), time_offset(o))).collect(),
            personality: linux.personality.as_ref().map(personality).transpose()?,
            ..Config::default()
        };
        if let Some(process) = &spec.process {
            config.set_process(process)?;
        }
        Ok(config)
    }

    /// The part of `process` that libcontainer keeps. Rlimits and the AppArmor profile are not among it: `exec` has no
    /// fall-back for them with runc either.
    fn set_process(&mut self, process: &spec::Process) -> Result<()> {
        self.umask = process.user.umask;
        self.capabilities = process.capabilities.as_ref().map(capabilities);
        self.no_new_privileges = process.no_new_privileges;
        self.process_label = process.selinux_label.clone();
        self.oom_score_adj = process.oom_score_adj;
        self.scheduler = process.scheduler.clone();
        self.io_priority = process.io_priority.clone();
        self.exec_cpu_affinity = process.exec_cpu_affinity.as_ref().map(exec_cpu_affinity).transpose()?;
        Ok(())
    }
}

fn unknown(what: &str, name: &str) -> Error {
    Error::new(format!("unknown {what} {name:?}"))
}

fn namespace(ns: &spec::Namespace) -> Result<Namespace> {
    let kind = names::namespace(&ns.kind).ok_or_else(|| unknown("namespace", &ns.kind))?;
    Ok(Namespace { kind: kind.libcontainer.to_owned(), path: ns.path.clone() })
}

fn propagation(name: &str) -> Result<u64> {
    match name {
        "" => Ok(0),
        name => names::number(names::PROPAGATIONS, name).ok_or_else(|| unknown("rootfsPropagation", name)),
    }
}

fn mount(mount: &spec::Mount, bundle: &str) -> Mount {
    let options = mount_options::parse(&mount.options);
    let bind = options.is_bind();
    let relative = bind && !mount.source.starts_with('/');
    let recursive = options.rec_attr_set != 0 || options.rec_attr_clr != 0;
    let id_mapped = options.idmap.is_some() || !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
    Mount {
        source: if relative { clean(&format!("{bundle}/{}", mount.source)) } else { mount.source.clone() },
        destination: mount.destination.clone(),
        device: if bind { "bind".to_owned() } else { mount.kind.clone() },
        flags: options.flags,
        cleared_flags: options.cleared,
        propagation_flags: options.propagation,
        data: options.data,
        relabel: String::new(),
        rec_attr: recursive.then(|| MountAttr {
            Attr_set: options.rec_attr_set,
            Attr_clr: options.rec_attr_clr,
            ..MountAttr::default()
        }),
        extensions: u64::from(options.tmpcopyup),
        id_mapping: id_mapped.then(|| MountIdMapping {
            recursive: options.idmap.is_some_and(|idmap| idmap.recursive),
            userns_path: String::new(),
            uid_mappings: mount.uid_mappings.iter().map(id_map).collect(),
            gid_mappings: mount.gid_mappings.iter().map(id_map).collect(),
        }),
    }
}

/// The default nodes of /dev that config.json does not redefine, then its own. Owned by the container's root if there is a
/// user namespace, for other ids can't be made in it.
fn devices(linux: &spec::Linux) -> Vec<Device> {
    let root_of = |maps: &[spec::IdMapping]| maps.iter().find(|m| m.container_id == 0).map(|m| m.host_id);
    let user_namespace = linux.namespaces.iter().any(|ns| ns.kind == "user");
    let owner =
        user_namespace.then(|| (root_of(&linux.uid_mappings).unwrap_or(0), root_of(&linux.gid_mappings).unwrap_or(0)));
    let (uid, gid) = owner.unwrap_or((0, 0));
    let redefined = |path: &str| linux.devices.iter().any(|device| device.path == path);
    let defaults = DEFAULTS.iter().filter(|(path, ..)| !path.is_empty() && !redefined(path));
    let defaults = defaults.map(|&(path, major, minor)| Device {
        kind: u32::from(b'c'),
        major: i64::from(major),
        minor: minor.map_or(0, i64::from),
        permissions: "rwm".to_owned(),
        allow: true,
        path: path.to_owned(),
        file_mode: 0o666,
        uid,
        gid,
    });
    let own = linux.devices.iter().map(|device| Device {
        kind: device_kind(&device.kind),
        major: device.major.unwrap_or(0),
        minor: device.minor.unwrap_or(0),
        path: device.path.clone(),
        file_mode: device.file_mode.unwrap_or(0o666),
        uid: owner.map_or(device.uid.unwrap_or(0), |(uid, _)| uid),
        gid: owner.map_or(device.gid.unwrap_or(0), |(_, gid)| gid),
        ..Device::default()
    });
    defaults.chain(own).collect()
}

/// `u` is another name of `c`; nothing at all is `a`, in rules.
fn device_kind(kind: &str) -> u32 {
    match kind.bytes().next() {
        Some(b'u') => u32::from(b'c'),
        Some(letter) => u32::from(letter),
        None => u32::from(b'a'),
    }
}

fn id_map(map: &spec::IdMapping) -> IdMap {
    IdMap { container_id: i64::from(map.container_id), host_id: i64::from(map.host_id), size: i64::from(map.size) }
}

fn capabilities(sets: &spec::Capabilities) -> Capabilities {
    Capabilities {
        Bounding: sets.bounding.clone(),
        Effective: sets.effective.clone(),
        Inheritable: sets.inheritable.clone().unwrap_or_default(),
        Permitted: sets.permitted.clone(),
        Ambient: sets.ambient.clone(),
    }
}

fn hooks(hooks: &spec::Hooks) -> Hooks {
    let convert = |hooks: &[spec::Hook]| hooks.iter().map(hook).collect();
    Hooks {
        prestart: convert(&hooks.prestart),
        createRuntime: convert(&hooks.create_runtime),
        createContainer: convert(&hooks.create_container),
        startContainer: convert(&hooks.start_container),
        poststart: convert(&hooks.poststart),
        poststop: convert(&hooks.poststop),
    }
}

fn hook(hook: &spec::Hook) -> Hook {
    Hook {
        path: hook.path.clone(),
        args: hook.args.clone(),
        env: hook.env.clone(),
        dir: String::new(),
        timeout: hook.timeout.map(|seconds| seconds.saturating_mul(1_000_000_000)),
    }
}

/// The annotations, then the bundle. An annotation called `bundle` is left out: readers take the first label of a name, and
/// annotations come from images.
fn labels(spec: &Spec, bundle: &str) -> Vec<String> {
    let annotations = spec.annotations.iter().filter(|(key, _)| *key != "bundle");
    annotations.map(|(key, value)| format!("{key}={value}")).chain([format!("bundle={bundle}")]).collect()
}

fn intel_rdt(rdt: &spec::IntelRdt) -> IntelRdt {
    IntelRdt {
        closID: rdt.clos_id.clone(),
        schemata: rdt.schemata.clone(),
        l3_cache_schema: rdt.l3_cache_schema.clone(),
        memBwSchema: rdt.mem_bw_schema.clone(),
        enableMonitoring: rdt.enable_monitoring,
    }
}

fn memory_policy(policy: &spec::MemoryPolicy) -> Result<MemoryPolicy> {
    let mut flags = 0;
    for name in &policy.flags {
        flags |= names::number(names::MPOL_FLAGS, name).ok_or_else(|| unknown("memory policy flag", name))?;
    }
    Ok(MemoryPolicy {
        mode: names::number(names::MPOL_MODES, &policy.mode).ok_or_else(|| unknown("memory policy", &policy.mode))?,
        flags,
        nodes: mask(&policy.nodes, list::MAX_NODES)?,
    })
}

fn time_offset(offset: &spec::TimeOffset) -> TimeOffset {
    TimeOffset { secs: offset.secs, nanosecs: offset.nanosecs }
}

fn personality(personality: &spec::Personality) -> Result<Personality> {
    let domain = names::number(names::PERSONALITIES, &personality.domain);
    Ok(Personality { domain: domain.ok_or_else(|| unknown("personality", &personality.domain))? })
}

fn exec_cpu_affinity(affinity: &spec::ExecCpuAffinity) -> Result<ExecCpuAffinity> {
    let set = |cpus: &String| (!cpus.is_empty()).then(|| mask(cpus, list::MAX_CPUS)).transpose();
    Ok(ExecCpuAffinity { Initial: set(&affinity.initial)?, Final: set(&affinity.last)? })
}

/// A Go `unix.CPUSet`: an array of 16 words.
fn mask(text: &str, limit: u32) -> Result<Vec<u64>> {
    let mut words = list::parse(text, limit).map_err(Error::new)?.words().to_vec();
    words.resize(words.len().max(16), 0);
    Ok(words)
}

fn cgroup(linux: &spec::Linux, origin: &Origin<'_>) -> Cgroup {
    let nothing = spec::Resources::default();
    let resources = linux.resources.as_ref().unwrap_or(&nothing);
    let mut cgroup = Cgroup {
        Systemd: origin.systemd_cgroup,
        Rootless: origin.rootless_cgroups,
        devices: device_rules(resources, linux),
        ..Cgroup::limits(resources)
    };
    set_name(&mut cgroup, &linux.cgroups_path, origin);
    if origin.systemd_cgroup && cgroup.cpu_quota > 0 {
        // What the unit and the cgroup get.
        cgroup.cpu_quota = rounded_quota(cgroup.cpu_quota, cgroup.cpu_period);
    }
    cgroup
}

impl Cgroup {
    /// The limits of `resources`, in libcontainer's words; without device rules.
    pub fn limits(resources: &spec::Resources) -> Cgroup {
        let mut cgroup = Cgroup {
            pids_limit: resources.pids.as_ref().and_then(|pids| pids.limit),
            hugetlb_limit: resources.hugepage_limits.iter().map(hugepage_limit).collect(),
            rdma: resources.rdma.iter().map(|(device, limits)| (device.clone(), rdma(limits))).collect(),
            unified: resources.unified.clone(),
            ..Cgroup::default()
        };
        if let Some(memory) = &resources.memory {
            cgroup.memory = memory.limit.unwrap_or(0);
            cgroup.memory_reservation = memory.reservation.unwrap_or(0);
            cgroup.memory_swap = memory.swap.unwrap_or(0);
            cgroup.memory_swappiness = memory.swappiness;
            cgroup.oom_kill_disable = memory.disable_oom_killer.unwrap_or(false);
            cgroup.memory_check_before_update = memory.check_before_update.unwrap_or(false);
        }
        if let Some(cpu) = &resources.cpu {
            cgroup.cpu_shares = cpu.shares.unwrap_or(0);
            cgroup.cpu_weight = cpu.shares.filter(|shares| *shares != 0).map_or(0, cpu_weight);
            cgroup.cpu_quota = cpu.quota.unwrap_or(0);
            cgroup.cpu_burst = cpu.burst;
            cgroup.cpu_period = cpu.period.unwrap_or(0);
            cgroup.cpu_rt_quota = cpu.realtime_runtime.unwrap_or(0);
            cgroup.cpu_rt_period = cpu.realtime_period.unwrap_or(0);
            cgroup.cpuset_cpus = cpu.cpus.clone();
            cgroup.cpuset_mems = cpu.mems.clone();
            cgroup.cpu_idle = cpu.idle;
        }
        if let Some(io) = &resources.block_io {
            let throttle = |devices: &[spec::ThrottleDevice]| devices.iter().map(throttle_device).collect();
            cgroup.blkio_weight = io.weight.unwrap_or(0);
            cgroup.blkio_leaf_weight = io.leaf_weight.unwrap_or(0);
            cgroup.blkio_weight_device = io.weight_device.iter().map(weight_device).collect();
            cgroup.blkio_throttle_read_bps_device = throttle(&io.throttle_read_bps_device);
            cgroup.blkio_throttle_write_bps_device = throttle(&io.throttle_write_bps_device);
            cgroup.blkio_throttle_read_iops_device = throttle(&io.throttle_read_iops_device);
            cgroup.blkio_throttle_write_iops_device = throttle(&io.throttle_write_iops_device);
        }
        if let Some(network) = &resources.network {
            cgroup.net_cls_classid_u = network.class_id.unwrap_or(0);
            cgroup.net_prio_ifpriomap = network.priorities.iter().map(interface_priority).collect();
        }
        cgroup
    }
}

/// cgroupfs: the path, or else the id as a name beside the runtime's own cgroup. systemd: `slice:prefix:name`.
fn set_name(cgroup: &mut Cgroup, path: &str, origin: &Origin<'_>) {
    if !origin.systemd_cgroup {
        match path {
            "" => cgroup.name = origin.id.to_owned(),
            path => cgroup.path = clean(path),
        }
        return;
    }
    let mut parts = path.splitn(3, ':').map(str::to_owned);
    if let (Some(slice), Some(prefix), Some(name)) = (parts.next(), parts.next(), parts.next()) {
        (cgroup.parent, cgroup.scope_prefix, cgroup.name) = (slice, prefix, name);
    } else {
        (cgroup.scope_prefix, cgroup.name) = ("runc".to_owned(), origin.id.to_owned());
    }
}

/// config.json's rules, then what every container is allowed.
fn device_rules(resources: &spec::Resources, linux: &spec::Linux) -> Vec<DeviceRule> {
    let allow = |kind: u8, major: i64, minor: i64, permissions: &str| DeviceRule {
        kind: u32::from(kind),
        major,
        minor,
        permissions: permissions.to_owned(),
        allow: true,
    };
    let own = resources.devices.iter().map(|rule| DeviceRule {
        kind: device_kind(&rule.kind),
        major: rule.major.unwrap_or(-1),
        minor: rule.minor.unwrap_or(-1),
        permissions: rule.access.clone(),
        allow: rule.allow,
    });
    let nodes = [allow(b'c', -1, -1, "m"), allow(b'b', -1, -1, "m")];
    let redefined = |path: &str| !path.is_empty() && linux.devices.iter().any(|device| device.path == path);
    let defaults = DEFAULTS
        .iter()
        .filter(|(path, ..)| !redefined(path))
        .map(|&(_, major, minor)| allow(b'c', i64::from(major), minor.map_or(-1, i64::from), "rwm"));
    own.chain(nodes).chain(defaults).collect()
}

fn hugepage_limit(limit: &spec::HugepageLimit) -> HugepageLimit {
    HugepageLimit { page_size: limit.page_size.clone(), limit: limit.limit }
}

fn rdma(limits: &spec::Rdma) -> Rdma {
    Rdma { hca_handles: limits.hca_handles, hca_objects: limits.hca_objects }
}

fn throttle_device(device: &spec::ThrottleDevice) -> ThrottleDevice {
    ThrottleDevice { major: device.major, minor: device.minor, rate: device.rate }
}

fn weight_device(device: &spec::WeightDevice) -> WeightDevice {
    WeightDevice {
        major: device.major,
        minor: device.minor,
        weight: device.weight.unwrap_or(0),
        leafWeight: device.leaf_weight.unwrap_or(0),
    }
}

fn interface_priority(priority: &spec::InterfacePriority) -> InterfacePriority {
    InterfacePriority { interface: priority.name.clone(), priority: i64::from(priority.priority) }
}

/// Cleaned by the letters alone, as libcontainer does: `..` never leads above the top, of a relative path either.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let top = if path.starts_with('/') { "/" } else { "" };
    format!("{top}{}", parts.join("/"))
}
