//! Which options CRIU gets: a function of the flags, the container's configuration and facts that were asked of the host. Pure.
//!
//! What must be the same for a checkpoint and for its restore is said here side by side: the keys of external mounts (their place in
//! the container) and of external namespaces. They are runc's, so that either restores what the other has written.

use std::path::PathBuf;

use super::rpc::{ExtMount, InheritFd, JoinNs, Opts, PageServer};
use crate::error::{Error, Result};
use crate::state::{self, Config, Mount};

/// The log of a checkpoint, in the work directory.
pub const DUMP_LOG: &str = "dump.log";
/// The log of a restore.
pub const RESTORE_LOG: &str = "restore.log";

/// Of CRIU: everything that it does, which it is asked for only when something fails.
const LOG_LEVEL: i32 = 4;
/// The configuration that CRIU reads on top of what we ask, if no annotation names another.
const CONFIG_FILE: &str = "/etc/criu/runc.conf";
const CONFIG_ANNOTATION: &str = "org.criu.config";
/// 0-2 and the socket.
const FIRST_INHERITED: i32 = 4;

/// The oldest CRIU that can be asked for its version.
pub const OLDEST: i32 = 30_000;
const EXTERNAL_NETNS: i32 = 31_100;
const FREEZER_V2: i32 = 31_400;
const EXTERNAL_PIDNS: i32 = 31_500;
/// From here on CRIU tells us when its page server is ready; before, it wrote to the descriptor itself.
pub const TELLS_READY: i32 = 31_500;
const LSM: i32 = 31_600;

/// `--manage-cgroups-mode`: what of cgroups and their limits is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CgroupsMode {
    /// CRIU's own default, which is `soft`.
    #[default]
    Default,
    /// Limits only of cgroups that CRIU makes.
    Soft,
    /// Those of all.
    Full,
    /// All cgroups are made, none may exist.
    Strict,
    /// Neither.
    Ignore,
}

impl CgroupsMode {
    /// From the flag.
    ///
    /// # Errors
    /// `invalid manage-cgroups-mode value`.
    pub fn parse(text: &str) -> Result<CgroupsMode> {
        match text {
            "" => Ok(CgroupsMode::Default),
            "soft" => Ok(CgroupsMode::Soft),
            "full" => Ok(CgroupsMode::Full),
            "strict" => Ok(CgroupsMode::Strict),
            "ignore" => Ok(CgroupsMode::Ignore),
            _ => Err(Error::new("invalid manage-cgroups-mode value")),
        }
    }

    /// criu_cg_mode
    fn number(self) -> i32 {
        match self {
            CgroupsMode::Ignore => 0,
            CgroupsMode::Soft => 3,
            CgroupsMode::Full => 4,
            CgroupsMode::Strict => 5,
            CgroupsMode::Default => 6,
        }
    }
}

/// What the flags of `checkpoint` and of `restore` have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Common {
    /// `--image-path`, absolute or relative to the caller's directory.
    pub image_path: PathBuf,
    /// `--work-path`; none: the images'.
    pub work_path: Option<PathBuf>,
    /// `--tcp-established`
    pub tcp_established: bool,
    /// `--ext-unix-sk`
    pub ext_unix_sk: bool,
    /// `--shell-job`
    pub shell_job: bool,
    /// `--file-locks`
    pub file_locks: bool,
    /// `--manage-cgroups-mode`
    pub cgroups_mode: CgroupsMode,
    /// `--auto-dedup`
    pub auto_dedup: bool,
    /// `--lazy-pages`
    pub lazy_pages: bool,
}

/// What `checkpoint` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checkpoint {
    /// As `restore`.
    pub common: Common,
    /// `--parent-path`, below the image path.
    pub parent_path: String,
    /// `--leave-running`
    pub leave_running: bool,
    /// `--tcp-skip-in-flight`
    pub tcp_skip_in_flight: bool,
    /// `--link-remap`
    pub link_remap: bool,
    /// `--pre-dump`
    pub pre_dump: bool,
    /// `--page-server`: address and port.
    pub page_server: Option<(String, i32)>,
    /// `--status-fd`
    pub status_fd: Option<i32>,
}

/// What `restore` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restore {
    /// As `checkpoint`.
    pub common: Common,
    /// `--lsm-profile TYPE:NAME`
    pub lsm_profile: String,
    /// `--lsm-mount-context`
    pub lsm_mount_context: String,
    /// `--tcp-close`: podman has this from crun.
    pub tcp_close: bool,
}

/// A cgroup of v1 (or of the unified hierarchy of a hybrid host) that is bound below the container's `cgroup` mount: its name there, and
/// the directory on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupBind {
    /// `memory`
    pub name: String,
    /// `/sys/fs/cgroup/memory/x`
    pub source: String,
}

/// What has to be known for a checkpoint.
#[derive(Debug, Clone, Default)]
pub struct DumpFacts {
    /// CRIU's version, as it counts.
    pub version: i32,
    /// The container's init.
    pub pid: i32,
    /// Our descriptors of the image directory and of the work directory.
    pub directories: (i32, Option<i32>),
    /// Inodes of the network and of the pid namespace that the configuration names by path.
    pub namespaces: [Option<u64>; 2],
    /// The directory of the cgroup that can be frozen, and whether it is of cgroup v2.
    pub freezer: Option<(String, bool)>,
    /// For each of the configuration's mounts where it is, links followed.
    pub mountpoints: Vec<String>,
    /// Where `cgroup` mounts are sets of binds.
    pub cgroup_binds: Vec<CgroupBind>,
    /// Masked paths that exist and are no directories.
    pub masked_files: Vec<String>,
    /// Our descriptor for CRIU's own `--status-fd`, of one that does not tell.
    pub status_fd: Option<i32>,
}

/// What has to be known for a restore.
#[derive(Debug, Clone, Default)]
pub struct RestoreFacts {
    /// CRIU's version, as it counts.
    pub version: i32,
    /// Our descriptors of the image directory and of the work directory.
    pub directories: (i32, Option<i32>),
    /// Where the container's root is mounted for CRIU.
    pub root: String,
    /// As [`DumpFacts::mountpoints`], in the root that is restored to.
    pub mountpoints: Vec<String>,
    /// As [`DumpFacts::cgroup_binds`], of the new cgroup.
    pub cgroup_binds: Vec<CgroupBind>,
    /// Of descriptors.json.
    pub links: Vec<String>,
}

/// The options of a DUMP or PRE_DUMP.
///
/// # Errors
/// This CRIU cannot do what is asked.
pub fn dump(asked: &Checkpoint, config: &Config, facts: &DumpFacts) -> Result<Opts> {
    let mut opts = common(&asked.common, config, facts.directories, DUMP_LOG);
    opts.root.clone_from(&config.rootfs);
    opts.pid = facts.pid;
    opts.leave_running = asked.leave_running;
    opts.tcp_skip_in_flight = asked.tcp_skip_in_flight;
    opts.link_remap = asked.link_remap;
    opts.status_fd = facts.status_fd;
    opts.ps = asked.page_server.clone().map(|(address, port)| PageServer { address, port });
    if !asked.parent_path.is_empty() {
        opts.parent_img.clone_from(&asked.parent_path);
        opts.track_mem = true;
    }
    for (kind, inode) in EXTERNAL.iter().zip(facts.namespaces) {
        if let Some(inode) = inode {
            kind.check(facts.version, "checkpointing")?;
            opts.external.push(format!("{}[{inode}]:{}", kind.file, kind.key));
        }
    }
    opts.freeze_cgroup = match &facts.freezer {
        Some((path, v2)) if !v2 || facts.version >= FREEZER_V2 => path.clone(),
        _ => String::new(),
    };
    if asked.pre_dump {
        // Of memory alone.
        return Ok(opts);
    }
    let external = |at: String| ExtMount { val: at.clone(), key: at };
    for (mount, at) in config.mounts.iter().zip(&facts.mountpoints) {
        match kind(mount, config, &facts.cgroup_binds) {
            Kind::Bind => opts.ext_mnt.push(external(at.clone())),
            Kind::CgroupBinds(binds) => opts.ext_mnt.extend(binds.iter().map(|b| external(format!("{at}/{}", b.name)))),
            Kind::Own => {}
        }
    }
    let null = |at: &String| ExtMount { key: at.clone(), val: NULL.to_owned() };
    opts.ext_mnt.extend(facts.masked_files.iter().map(null));
    // In a user namespace devices are binds of the host's.
    opts.ext_mnt.extend(config.devices.iter().map(|node| external(node.path.clone())));
    Ok(opts)
}

/// The options of a RESTORE. Descriptors of [`inherited_namespaces`] are CRIU's own from 4 on. `cg_root` is filled in when CRIU is in
/// its cgroup.
///
/// # Errors
/// This CRIU cannot do what is asked.
pub fn restore(asked: &Restore, config: &Config, facts: &RestoreFacts) -> Result<Opts> {
    let mut opts = common(&asked.common, config, facts.directories, RESTORE_LOG);
    opts.root.clone_from(&facts.root);
    opts.evasive_devices = true;
    opts.rst_sibling = true;
    opts.tcp_close = asked.tcp_close;
    for (flag, value) in [("--lsm-profile", &asked.lsm_profile), ("--lsm-mount-context", &asked.lsm_mount_context)] {
        if !value.is_empty() && facts.version < LSM {
            return Err(Error::new(format!("{flag} requires at least CRIU 3.16")));
        }
    }
    opts.lsm_profile.clone_from(&asked.lsm_profile);
    opts.lsm_mount_context.clone_from(&asked.lsm_mount_context);
    for ((kind, _), fd) in inherited_namespaces(config).into_iter().zip(FIRST_INHERITED..) {
        kind.check(facts.version, "the restoration")?;
        opts.inherit_fd.push(InheritFd { key: kind.key.to_owned(), fd: Some(fd) });
    }
    for namespace in config.namespaces.iter().filter(|ns| !ns.path.is_empty()) {
        match file(&namespace.kind) {
            "net" | "pid" => {}
            "cgroup" | "" => return Err(Error::new(format!("Do not know how to handle namespace {}", namespace.kind))),
            file => opts.join_ns.push(JoinNs { ns: file.to_owned(), ns_file: namespace.path.clone() }),
        }
    }
    let external = |at: String, from: &str| ExtMount { key: at, val: from.to_owned() };
    for (mount, at) in config.mounts.iter().zip(&facts.mountpoints) {
        match kind(mount, config, &facts.cgroup_binds) {
            Kind::Bind => opts.ext_mnt.push(external(at.clone(), &mount.source)),
            Kind::CgroupBinds(binds) => {
                opts.ext_mnt.extend(binds.iter().map(|b| external(format!("{at}/{}", b.name), &b.source)));
            }
            Kind::Own => {}
        }
    }
    if !config.mask_paths.is_empty() {
        opts.ext_mnt.push(external(NULL.to_owned(), NULL));
    }
    opts.ext_mnt.extend(config.devices.iter().map(|node| external(node.path.clone(), &node.path)));
    let pipes = facts.links.iter().zip(0..3).filter(|(link, _)| link.contains("pipe:"));
    opts.inherit_fd.extend(pipes.map(|(link, fd)| InheritFd { key: link.clone(), fd: Some(fd) }));
    Ok(opts)
}

/// What the container's masked files are covered with.
const NULL: &str = "/dev/null";

fn common(asked: &Common, config: &Config, directories: (i32, Option<i32>), log: &str) -> Opts {
    Opts {
        images_dir_fd: Some(directories.0),
        work_dir_fd: directories.1,
        log_level: LOG_LEVEL,
        log_file: log.to_owned(),
        manage_cgroups: true,
        manage_cgroups_mode: Some(asked.cgroups_mode.number()),
        notify_scripts: true,
        shell_job: asked.shell_job,
        ext_unix_sk: asked.ext_unix_sk,
        tcp_established: asked.tcp_established,
        file_locks: asked.file_locks,
        // Whatever `--empty-ns` says: devices of a network namespace are others' to make, as they were when it was created.
        empty_ns: libc::CLONE_NEWNET.cast_unsigned(),
        orphan_pts_master: true,
        auto_dedup: asked.auto_dedup,
        lazy_pages: asked.lazy_pages,
        config_file: config_file(config),
        ..Opts::default()
    }
}

/// The annotation; one that is empty stands for none.
fn config_file(config: &Config) -> String {
    state::annotations(&config.labels).remove(CONFIG_ANNOTATION).unwrap_or_else(|| CONFIG_FILE.to_owned())
}

/// A kind of namespace that CRIU leaves to others if it has a path.
pub struct External {
    name: &'static str,
    file: &'static str,
    key: &'static str,
    since: i32,
}

/// In the order of [`DumpFacts::namespaces`].
pub const EXTERNAL: [External; 2] = [
    External { name: "NEWNET", file: "net", key: "extRootNetNS", since: EXTERNAL_NETNS },
    External { name: "NEWPID", file: "pid", key: "extRootPidNS", since: EXTERNAL_PIDNS },
];

impl External {
    fn check(&self, version: i32, process: &str) -> Result<()> {
        if version >= self.since {
            return Ok(());
        }
        let file = self.file;
        Err(Error::new(format!(
            "criu lacks support for external {file} namespace during {process} process (old criu version?)"
        )))
    }

    /// Where the configuration has it, if it is external.
    pub fn path<'a>(&self, config: &'a Config) -> Option<&'a str> {
        let found = config.namespaces.iter().find(|ns| ns.kind == self.name && !ns.path.is_empty());
        found.map(|ns| ns.path.as_str())
    }
}

/// The namespaces that CRIU gets as descriptors, in their order, with their paths.
pub fn inherited_namespaces(config: &Config) -> Vec<(&'static External, &str)> {
    EXTERNAL.iter().filter_map(|kind| Some((kind, kind.path(config)?))).collect()
}

fn file(libcontainer: &str) -> &'static str {
    crate::spec::names::NAMESPACES.iter().find(|k| k.libcontainer == libcontainer).map_or("", |k| k.file)
}

/// What a mount is to CRIU.
enum Kind<'a> {
    /// Of the host's tree: external.
    Bind,
    /// Each of them external.
    CgroupBinds(&'a [CgroupBind]),
    /// CRIU makes it anew.
    Own,
}

fn kind<'a>(mount: &Mount, config: &Config, binds: &'a [CgroupBind]) -> Kind<'a> {
    match mount.device.as_str() {
        "bind" => Kind::Bind,
        "cgroup" if !has_cgroup_namespace(config) => Kind::CgroupBinds(binds),
        _ => Kind::Own,
    }
}

fn has_cgroup_namespace(config: &Config) -> bool {
    config.namespaces.iter().any(|ns| ns.kind == "NEWCGROUP")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Device, Namespace};

    fn config() -> Config {
        let mount = |device: &str, at: &str, source: &str| Mount {
            device: device.into(),
            destination: at.into(),
            source: source.into(),
            ..Mount::default()
        };
        Config {
            rootfs: "/b/rootfs".into(),
            mounts: vec![
                mount("proc", "/proc", "proc"),
                mount("bind", "/var/run/data", "/host/data"),
                mount("cgroup", "/sys/fs/cgroup", "cgroup"),
            ],
            mask_paths: vec!["/proc/kcore".into(), "/proc/scsi".into()],
            devices: vec![Device { path: "/dev/fuse".into(), ..Device::default() }],
            ..Config::default()
        }
    }

    fn namespace(kind: &str, path: &str) -> Namespace {
        Namespace { kind: kind.into(), path: path.into() }
    }

    fn binds() -> Vec<CgroupBind> {
        vec![CgroupBind { name: "memory".into(), source: "/sys/fs/cgroup/memory/c".into() }]
    }

    fn mountpoints() -> Vec<String> {
        ["/proc", "/run/data", "/sys/fs/cgroup"].map(str::to_owned).into()
    }

    fn facts() -> DumpFacts {
        DumpFacts {
            version: 40_201,
            pid: 7,
            directories: (5, None),
            mountpoints: mountpoints(),
            masked_files: vec!["/proc/kcore".into()],
            ..DumpFacts::default()
        }
    }

    fn mounts(opts: &Opts) -> Vec<(&str, &str)> {
        opts.ext_mnt.iter().map(|m| (m.key.as_str(), m.val.as_str())).collect()
    }

    #[test]
    fn a_plain_dump() {
        let opts = dump(&Checkpoint::default(), &config(), &facts()).unwrap();
        let want = Opts {
            images_dir_fd: Some(5),
            pid: 7,
            log_level: 4,
            log_file: "dump.log".into(),
            notify_scripts: true,
            root: "/b/rootfs".into(),
            manage_cgroups: true,
            manage_cgroups_mode: Some(6),
            empty_ns: 0x4000_0000,
            orphan_pts_master: true,
            config_file: "/etc/criu/runc.conf".into(),
            ext_mnt: opts.ext_mnt.clone(),
            ..Opts::default()
        };
        assert_eq!(opts, want);
        assert_eq!(
            mounts(&opts),
            [("/run/data", "/run/data"), ("/proc/kcore", "/dev/null"), ("/dev/fuse", "/dev/fuse")]
        );
    }

    #[test]
    fn every_flag_of_a_dump_is_an_option() {
        let common = Common {
            tcp_established: true,
            ext_unix_sk: true,
            shell_job: true,
            file_locks: true,
            cgroups_mode: CgroupsMode::Ignore,
            auto_dedup: true,
            lazy_pages: true,
            ..Common::default()
        };
        let asked = Checkpoint {
            common,
            parent_path: "../parent".into(),
            leave_running: true,
            tcp_skip_in_flight: true,
            link_remap: true,
            pre_dump: true,
            page_server: Some(("::1".into(), 9)),
            status_fd: Some(9),
        };
        let facts = DumpFacts { directories: (5, Some(6)), status_fd: Some(8), ..facts() };
        let opts = dump(&asked, &config(), &facts).unwrap();
        assert!(opts.tcp_established && opts.ext_unix_sk && opts.shell_job && opts.file_locks && opts.auto_dedup);
        assert!(opts.lazy_pages && opts.leave_running && opts.tcp_skip_in_flight && opts.link_remap && opts.track_mem);
        assert_eq!((opts.parent_img.as_str(), opts.manage_cgroups_mode), ("../parent", Some(0)));
        assert_eq!(opts.ps, Some(PageServer { address: "::1".into(), port: 9 }));
        assert_eq!((opts.work_dir_fd, opts.status_fd), (Some(6), Some(8)));
        assert!(opts.ext_mnt.is_empty(), "a pre-dump is of memory alone");
    }

    #[test]
    fn external_namespaces_have_one_key_in_both() {
        let mut config = config();
        config.namespaces =
            vec![namespace("NEWPID", "/proc/1/ns/pid"), namespace("NEWNET", "/run/netns/x"), namespace("NEWIPC", "/i")];
        let facts = DumpFacts { namespaces: [Some(11), Some(12)], ..facts() };
        let opts = dump(&Checkpoint::default(), &config, &facts).unwrap();
        assert_eq!(opts.external, ["net[11]:extRootNetNS", "pid[12]:extRootPidNS"]);
        let old = DumpFacts { version: 31_000, ..facts };
        let e = dump(&Checkpoint::default(), &config, &old).unwrap_err().to_string();
        assert_eq!(e, "criu lacks support for external net namespace during checkpointing process (old criu version?)");
        let facts = RestoreFacts { version: 31_600, ..RestoreFacts::default() };
        let opts = restore(&Restore::default(), &config, &facts).unwrap();
        let inherited: Vec<_> = opts.inherit_fd.iter().map(|i| (i.key.as_str(), i.fd)).collect();
        assert_eq!(inherited, [("extRootNetNS", Some(4)), ("extRootPidNS", Some(5))]);
        let paths: Vec<_> = inherited_namespaces(&config).iter().map(|(_, path)| *path).collect();
        assert_eq!(paths, ["/run/netns/x", "/proc/1/ns/pid"]);
        assert_eq!(opts.join_ns, [JoinNs { ns: "ipc".into(), ns_file: "/i".into() }]);
        config.namespaces.push(namespace("NEWCGROUP", "/c"));
        let e = restore(&Restore::default(), &config, &facts).unwrap_err().to_string();
        assert_eq!(e, "Do not know how to handle namespace NEWCGROUP");
    }

    #[test]
    fn cgroups_are_binds_unless_they_have_a_namespace() {
        let facts = DumpFacts { cgroup_binds: binds(), ..facts() };
        let opts = dump(&Checkpoint::default(), &config(), &facts).unwrap();
        assert!(mounts(&opts).contains(&("/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory")));
        let mut own = config();
        own.namespaces.push(namespace("NEWCGROUP", ""));
        let opts = dump(&Checkpoint::default(), &own, &facts).unwrap();
        assert!(!mounts(&opts).iter().any(|(key, _)| key.starts_with("/sys")));
    }

    #[test]
    fn the_freezer_of_v2_takes_a_newer_criu() {
        let freezer = |version, v2| {
            let facts = DumpFacts { version, freezer: Some(("/f".into(), v2)), ..facts() };
            dump(&Checkpoint::default(), &config(), &facts).unwrap().freeze_cgroup
        };
        assert_eq!(
            (freezer(30_000, false), freezer(31_300, true), freezer(31_400, true)),
            ("/f".into(), "".into(), "/f".into())
        );
    }

    #[test]
    fn a_restore() {
        let links = ["/dev/null", "pipe:[5]", "pipe:[6]"].map(str::to_owned).into();
        let facts = RestoreFacts {
            version: 40_000,
            directories: (5, Some(6)),
            root: "/r/criu-root".into(),
            mountpoints: mountpoints(),
            cgroup_binds: binds(),
            links,
        };
        let asked = Restore { lsm_profile: "apparmor:x".into(), lsm_mount_context: "y".into(), ..Restore::default() };
        let opts = restore(&asked, &config(), &facts).unwrap();
        assert_eq!(opts.root, "/r/criu-root");
        assert!(opts.rst_sibling && opts.evasive_devices && opts.orphan_pts_master && opts.notify_scripts);
        assert_eq!((opts.lsm_profile.as_str(), opts.lsm_mount_context.as_str()), ("apparmor:x", "y"));
        assert_eq!(
            mounts(&opts),
            [
                ("/run/data", "/host/data"),
                ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/c"),
                ("/dev/null", "/dev/null"),
                ("/dev/fuse", "/dev/fuse")
            ]
        );
        let pipes: Vec<_> = opts.inherit_fd.iter().map(|i| (i.key.as_str(), i.fd)).collect();
        assert_eq!(pipes, [("pipe:[5]", Some(1)), ("pipe:[6]", Some(2))]);
        let old = RestoreFacts { version: 31_500, ..facts };
        let e = restore(&asked, &config(), &old).unwrap_err().to_string();
        assert_eq!(e, "--lsm-profile requires at least CRIU 3.16");
    }

    #[test]
    fn the_configuration_of_criu() {
        let file = |labels: &[&str]| {
            let config = Config { labels: labels.iter().map(|l| (*l).to_owned()).collect(), ..config() };
            restore(&Restore::default(), &config, &RestoreFacts::default()).unwrap().config_file
        };
        assert_eq!(file(&[]), "/etc/criu/runc.conf");
        assert_eq!(file(&["org.criu.config=/x"]), "/x");
        assert_eq!(file(&["org.criu.config="]), "");
    }

    #[test]
    fn modes() {
        for (text, number) in [("", 6), ("soft", 3), ("full", 4), ("strict", 5), ("ignore", 0)] {
            assert_eq!(CgroupsMode::parse(text).unwrap().number(), number);
        }
        assert_eq!(CgroupsMode::parse("x").unwrap_err().to_string(), "invalid manage-cgroups-mode value");
    }
}
