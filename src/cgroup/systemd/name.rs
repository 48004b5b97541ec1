//! Names of systemd units: `cgroupsPath` as `slice:prefix:name` -> slice and unit -> the unit's cgroup. Pure; what systemd
//! would refuse, or put somewhere else, is refused here, before anything is made.

use super::{Facts, Scope};
use crate::cgroup::host::{Hierarchy, Host, Membership, Version};
use crate::cgroup::paths::Paths;
use crate::error::{Error, Result};
use crate::spec::text::quote;

/// UNIT_NAME_MAX of systemd, without the NUL. A name is also that of a directory.
const MAX_LENGTH: usize = 255;

/// The root of the slices.
const ROOT_SLICE: &str = "-.slice";

/// Which unit a container is, and in which slice. Its parts have been checked: systemd takes them as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitName {
    slice: String,
    unit: String,
    name: String,
    /// Of the slice, from the manager's own cgroup down: `/a.slice/a-b.slice`; empty for the root slice.
    directory: String,
}

impl UnitName {
    /// Of `linux.cgroupsPath`; if that is empty, of the container's id.
    ///
    /// # Errors
    /// It has another form, or systemd has no such names.
    pub fn new(cgroups_path: &str, id: &str, scope: Scope) -> Result<UnitName> {
        if cgroups_path.is_empty() {
            let hint = "it is made of the container's id: give a cgroupsPath, or another id";
            return UnitName::of_parts("", "runc", id, scope).map_err(|e| e.hint(hint));
        }
        let mut parts = cgroups_path.split(':');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(slice), Some(prefix), Some(name), None) => UnitName::of_parts(slice, prefix, name, scope),
            _ => Err(refused(format!(
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {} instead",
                quote(cgroups_path)
            ))),
        }
    }

    /// Of its parts, as the state file has them (`parent`, `scope_prefix`, `name`). An empty slice is the default one.
    ///
    /// # Errors
    /// systemd has no such names.
    pub fn of_parts(slice: &str, prefix: &str, name: &str, scope: Scope) -> Result<UnitName> {
        let slice = match (slice, scope) {
            ("", Scope::System) => "system.slice",
            ("", Scope::User) => "user.slice",
            (given, _) => given,
        };
        let directory = expand(slice)?;
        let unit = if name.ends_with(".slice") { name.to_owned() } else { format!("{prefix}-{name}.scope") };
        if unit == name {
            // systemd puts a slice where its name says, whatever else is asked for.
            if expand(&unit)? != format!("{directory}/{}", escape(&unit)) {
                return Err(refused(format!("slice {} is not in slice {}", quote(&unit), quote(slice))));
            }
        } else if name.is_empty() || !is_unit(&unit) {
            return Err(refused(format!("invalid unit name: {}", quote(&unit))));
        }
        Ok(UnitName { slice: slice.to_owned(), unit, name: name.to_owned(), directory })
    }

    /// `runc-abc.scope`.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// `system.slice`.
    pub fn slice(&self) -> &str {
        &self.slice
    }

    /// The container's part of the unit's name: `abc`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where systemd makes the unit's cgroup, on each hierarchy. `init` is where process 1 is: on cgroup v1 that
    /// tells systemd's own root, on v2 nobody asks.
    ///
    /// # Errors
    /// systemd cannot be seen in a hierarchy; a user's systemd has none of v1.
    pub fn paths(&self, host: &Host, facts: &Facts, init: Option<&Membership>) -> Result<Paths> {
        let below = format!("{}/{}", self.directory, escape(&self.unit));
        let version = host.version();
        if version == Version::V1 && facts.scope == Scope::User {
            return Err(refused("cannot use rootless systemd cgroups manager on cgroup v1"));
        }
        Paths::collect(host, |hierarchy| match version {
            Version::V2 => Ok(format!("{}{}{below}", hierarchy.mount, facts.control_group.trim_end_matches('/'))),
            Version::V1 => Ok(format!("{}{below}", systemd_root(hierarchy, init)?)),
        })
    }
}

fn refused(what: impl Into<String>) -> Error {
    Error::new(what).field("/linux/cgroupsPath")
}

/// The directory below which systemd has its slices: its own is `init.scope` in there.
fn systemd_root(hierarchy: &Hierarchy, init: Option<&Membership>) -> Result<String> {
    let directory = init.and_then(|init| init.directory(hierarchy)).ok_or_else(|| {
        refused(format!("systemd's own cgroup cannot be seen below {}", hierarchy.mount))
            .hint("the systemd driver has to see process 1 of the host")
    })?;
    Ok(directory.strip_suffix("/init.scope").unwrap_or(&directory).to_owned())
}

/// `/a.slice/a-b.slice` of `a-b.slice`: a dash is a level.
fn expand(slice: &str) -> Result<String> {
    let invalid = || refused(format!("invalid slice name: {}", crate::spec::text::one_line(slice)));
    if slice == ROOT_SLICE {
        return Ok(String::new());
    }
    let levels = slice.strip_suffix(".slice").ok_or_else(invalid)?;
    if !is_unit(slice) || levels.split('-').any(str::is_empty) {
        return Err(invalid());
    }
    let ends = levels.match_indices('-').map(|(at, _)| at).chain([levels.len()]);
    let names = ends.filter_map(|end| levels.get(..end)).map(|name| format!("{name}.slice"));
    Ok(names.flat_map(|name| ["/".to_owned(), escape(&name)]).collect())
}

/// systemd.unit(5): what a unit may be called, but for `@`: neither scopes nor slices have instances. The type after the last
/// dot is known to be one.
fn is_unit(name: &str) -> bool {
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.\\".contains(&b));
    let prefix = name.rsplit_once('.').map_or("", |(prefix, _)| prefix);
    letters && !prefix.is_empty() && name.len() <= MAX_LENGTH
}

/// The unit's directory: systemd writes an underscore before what could be taken for a file of the kernel's.
fn escape(name: &str) -> String {
    const CONTROLLERS: [&str; 14] = [
        "cgroup",
        "cpu",
        "cpuacct",
        "cpuset",
        "io",
        "blkio",
        "memory",
        "devices",
        "pids",
        "bpf-firewall",
        "bpf-devices",
        "bpf-foreign",
        "bpf-socket-bind",
        "bpf-restrict-network-interfaces",
    ];
    let first = name.split('.').next().unwrap_or_default();
    let taken = name.starts_with(['_', '.']) || CONTROLLERS.contains(&first);
    format!("{}{name}", if taken { "_" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slice, unit, and its directory below the manager's.
    fn named(cgroups_path: &str, id: &str, scope: Scope) -> String {
        match UnitName::new(cgroups_path, id, scope) {
            Ok(n) => {
                let facts = Facts { scope, ..Facts::default() };
                let paths = n.paths(&Host::unified(), &facts, None).unwrap();
                assert_eq!(paths.0.len(), 1);
                format!("{} {} {}", n.slice(), n.unit(), paths.get("").unwrap().strip_prefix("/sys/fs/cgroup").unwrap())
            }
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn units_and_their_cgroups() {
        for (cgroups_path, expected) in [
            ("", "system.slice runc-id1.scope /system.slice/runc-id1.scope"),
            (":cri:x", "system.slice cri-x.scope /system.slice/cri-x.scope"),
            ("-.slice:cri:x", "-.slice cri-x.scope /cri-x.scope"),
            ("a.slice::x", "a.slice -x.scope /a.slice/-x.scope"),
            (
                "kubepods-burstable-podX_1.slice:cri-containerd:ab12",
                "kubepods-burstable-podX_1.slice cri-containerd-ab12.scope \
                 /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podX_1.slice/cri-containerd-ab12.scope",
            ),
            ("a.slice:p:a-b.slice", "a.slice a-b.slice /a.slice/a-b.slice"),
            ("-.slice:p:a.slice", "-.slice a.slice /a.slice"),
            // What could be a file of the kernel's.
            ("memory.slice:cgroup.x:y", "memory.slice cgroup.x-y.scope /_memory.slice/_cgroup.x-y.scope"),
            ("_a.slice:_:y", "_a.slice _-y.scope /__a.slice/__-y.scope"),
            ("memory-a.slice:memory:y", "memory-a.slice memory-y.scope /_memory.slice/memory-a.slice/memory-y.scope"),
        ] {
            assert_eq!(named(cgroups_path, "id1", Scope::System), expected);
        }
        assert_eq!(named("", "id1", Scope::User), "user.slice runc-id1.scope /user.slice/runc-id1.scope");
    }

    #[test]
    fn what_systemd_does_not_take_is_refused() {
        let long = format!("system.slice:p:{}", "x".repeat(250));
        let at = "(config.json /linux/cgroupsPath)";
        for (cgroups_path, expected) in [
            (
                "/x",
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"/x\" instead",
            ),
            ("a:b:c:d", "expected cgroupsPath to be of format"),
            ("a:b", "expected cgroupsPath to be of format"),
            ("system:p:x", "invalid slice name: system"),
            (".slice:p:x", "invalid slice name: .slice"),
            ("/a.slice:p:x", "invalid slice name: /a.slice"),
            ("../a.slice:p:x", "invalid slice name: ../a.slice"),
            ("a--b.slice:p:x", "invalid slice name: a--b.slice"),
            ("-a.slice:p:x", "invalid slice name: -a.slice"),
            ("a-.slice:p:x", "invalid slice name: a-.slice"),
            ("a@b.slice:p:x", "invalid slice name: a@b.slice"),
            ("a\n.slice:p:x", r"invalid slice name: a\n.slice"),
            ("a b.slice:p:x", "invalid slice name: a b.slice"),
            ("a.slice:p:", "invalid unit name: \"p-.scope\""),
            ("a.slice:p:../x", "invalid unit name: \"p-../x.scope\""),
            ("a.slice:p/q:x", "invalid unit name: \"p/q-x.scope\""),
            ("a.slice:p:x\0", r#"invalid unit name: "p-x\x00.scope""#),
            ("a.slice:p:x\ny", r#"invalid unit name: "p-x\ny.scope""#),
            ("a.slice:p:é", "invalid unit name: \"p-é.scope\""),
            ("a.slice:p:x@", "invalid unit name: \"p-x@.scope\""),
            ("a.slice:u@v:x", "invalid unit name: \"u@v-x.scope\""),
            (&long, "invalid unit name: \"p-xxx"),
            // A slice is where its name says.
            ("system.slice:p:a.slice", "slice \"a.slice\" is not in slice \"system.slice\""),
            ("a.slice:p:-.slice", "slice \"-.slice\" is not in slice \"a.slice\""),
            ("-.slice:p:-.slice", "slice \"-.slice\" is not in slice \"-.slice\""),
            ("a.slice:p:../x.slice", "invalid slice name: ../x.slice"),
        ] {
            let e = named(cgroups_path, "id1", Scope::System);
            assert!(e.starts_with(expected) && e.contains(at), "{cgroups_path:?}: {e}");
        }
        let e = named("", "a+b", Scope::System);
        assert!(
            e.starts_with("invalid unit name: \"runc-a+b.scope\"") && e.contains("made of the container's id"),
            "{e}"
        );
        let longest = UnitName::new(&format!("a.slice:p:{}", "x".repeat(247)), "", Scope::System).unwrap();
        assert_eq!(longest.unit().len(), MAX_LENGTH);
        assert!(UnitName::new(&format!("a.slice:p:{}", "x".repeat(248)), "", Scope::System).is_err());
    }

    const V1: &str = "\
1 0 0:1 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
2 0 0:2 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
3 0 0:3 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
";

    fn v1(mountinfo: &str, init: Option<&str>, facts: &Facts) -> Vec<String> {
        let name = UnitName::new("a-b.slice:p:x", "", Scope::System).unwrap();
        let init = init.map(Membership::from_text);
        match name.paths(&Host::from_mountinfo(mountinfo), facts, init.as_ref()) {
            Ok(paths) => paths.0.into_iter().map(|(k, v)| format!("{k}={v}")).collect(),
            Err(e) => vec![e.to_string()],
        }
    }

    #[test]
    fn on_v1_and_hybrid() {
        let system = Facts::default();
        let init = "4:devices:/\n3:memory:/init.scope\n2:name=systemd:/outer/init.scope\n0::/init.scope\n";
        let mut expected = vec![
            "devices=/sys/fs/cgroup/devices/a.slice/a-b.slice/p-x.scope",
            "memory=/sys/fs/cgroup/memory/a.slice/a-b.slice/p-x.scope",
            "name=systemd=/sys/fs/cgroup/systemd/outer/a.slice/a-b.slice/p-x.scope",
        ];
        assert_eq!(v1(V1, Some(init), &system), expected);
        let hybrid = format!("{V1}4 0 0:4 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        expected.insert(0, "=/sys/fs/cgroup/unified/a.slice/a-b.slice/p-x.scope");
        assert_eq!(v1(&hybrid, Some(init), &system), expected);
        for hidden in [None, Some("4:devices:/../x\n"), Some("3:memory:/\n")] {
            let e = &v1(V1, hidden, &system)[0];
            assert!(e.starts_with("systemd's own cgroup cannot be seen below /sys/fs/cgroup/devices"), "{e}");
        }
        assert!(v1("", Some(init), &system)[0].starts_with("mountpoint for devices not found"));
        let user = Facts { scope: Scope::User, ..Facts::default() };
        assert!(v1(V1, Some(init), &user)[0].starts_with("cannot use rootless systemd cgroups manager on cgroup v1"));
    }

    #[test]
    fn below_the_managers_own_cgroup() {
        let name = UnitName::new("", "c", Scope::User).unwrap();
        for (own, expected) in [
            (
                "/user.slice/user-1.slice/user@1.service",
                "/user.slice/user-1.slice/user@1.service/user.slice/runc-c.scope",
            ),
            ("/", "/user.slice/runc-c.scope"),
        ] {
            let facts = Facts { scope: Scope::User, control_group: own.into(), ..Facts::default() };
            let paths = name.paths(&Host::unified(), &facts, None).unwrap();
            assert_eq!(paths.get("").unwrap(), format!("/sys/fs/cgroup{expected}"));
        }
    }

    proptest::proptest! {
        /// Whatever the text: refused, or a cgroup below the hierarchy's root that can be killed and removed safely.
        #[test]
        fn no_name_escapes(text in "(:|-|/|\\.\\.|\\.|a|@|_|\\\\|\\.slice|\n|é){0,12}", id in "[a-z.+-]{1,8}") {
            for host in [Host::unified(), Host::from_mountinfo(V1)] {
                let init = Membership::from_text("3:devices:/\n2:memory:/\n1:name=systemd:/\n");
                let Ok(name) = UnitName::new(&text, &id, Scope::System) else { continue };
                let paths = name.paths(&host, &Facts::default(), Some(&init)).unwrap();
                let checked = crate::cgroup::OwnedCgroup::new(&host, &paths).unwrap().unwrap();
                proptest::prop_assert_eq!(&checked.paths(), &paths);
                proptest::prop_assert!(name.unit().len() <= MAX_LENGTH);
            }
        }
    }
}
