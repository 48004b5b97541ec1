//! Intel Resource Director Technology: `linux.intelRdt` -> a group of the resctrl file system, with its schemata, which the
//! container's processes join (config-linux.md, "IntelRdt"; the kernel's Documentation/filesystems/resctrl.rst). What is to
//! be done is told purely ([`Group::new`]); the functions that do it know no other place than the group's paths. Must not
//! know containers.

mod stats;

pub use stats::stats;

use std::collections::BTreeMap;
use std::fmt;

use nix::fcntl::OFlag;
use nix::sys::stat::lstat;
use nix::unistd::write;

use crate::error::{Context, Errno, Error, Result};
use crate::files;
use crate::spec::IntelRdt;
use crate::text::one_line;

/// Whose group it is, and so who makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// `closID` is not set: the container's, named after it; made with it and removed with it.
    Own,
    /// `closID` and schemata: made if it is missing, else its schemata have to be those; never removed.
    Named,
    /// `closID` alone: has to be there.
    Existing,
}

/// Lines for the `schemata` file, in one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Without the newline at its end.
    pub lines: String,
    /// JSON pointer of the field.
    pub field: &'static str,
}

/// The group of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Where resctrl is mounted.
    root: String,
    /// Its directory.
    pub path: String,
    /// Whose it is.
    pub class: Class,
    /// In the order in which they are written.
    pub schemata: Vec<Schema>,
    /// The directory of the container's own monitoring group.
    pub monitoring: Option<String>,
}

const L3: &str = "/linux/intelRdt/l3CacheSchema";
const MB: &str = "/linux/intelRdt/memBwSchema";
const SCHEMATA: &str = "/linux/intelRdt/schemata";
const CLOS_ID: &str = "/linux/intelRdt/closID";
const MONITORING: &str = "/linux/intelRdt/enableMonitoring";

impl Group {
    /// What config.json asks for the container `id`, where resctrl is mounted at `root`.
    pub fn new(root: &str, rdt: &IntelRdt, id: &str) -> Group {
        let lines = rdt.schemata.join("\n");
        // A write each: in one write the kernel takes each resource once only.
        let given = [(&rdt.l3_cache_schema, L3), (&rdt.mem_bw_schema, MB), (&lines, SCHEMATA)];
        let given = given.into_iter().filter(|(lines, _)| !lines.is_empty());
        let schemata: Vec<Schema> = given.map(|(lines, field)| Schema { lines: lines.clone(), field }).collect();
        let (path, class) = match rdt.clos_id.as_str() {
            "" => (format!("{root}/{id}"), Class::Own),
            // The root's class.
            "/" => (root.to_owned(), if schemata.is_empty() { Class::Existing } else { Class::Named }),
            name if schemata.is_empty() => (format!("{root}/{name}"), Class::Existing),
            name => (format!("{root}/{name}"), Class::Named),
        };
        let monitoring = rdt.enable_monitoring.then(|| format!("{path}/mon_groups/{id}"));
        Group { root: root.to_owned(), path, class, schemata, monitoring }
    }

    /// The directories that are this container's alone, in the order in which they are made.
    pub fn owned(&self) -> impl DoubleEndedIterator<Item = &str> {
        let own = (self.class == Class::Own).then_some(self.path.as_str());
        own.into_iter().chain(self.monitoring.as_deref())
    }

    /// The directories that a process of the container joins, in this order: the first takes it out of all monitoring groups.
    pub fn joined(&self) -> Vec<String> {
        [self.path.clone()].into_iter().chain(self.monitoring.clone()).collect()
    }

    /// # Errors
    /// One of [`Group::owned`] is there: it is somebody else's.
    pub fn check_free(&self) -> Result<()> {
        self.owned().try_for_each(|path| match lstat(path) {
            Err(Errno::ENOENT) => Ok(()),
            Ok(_) => Err(Error::new(format!("resctrl group {path} exists already"))
                .field("/linux/intelRdt")
                .hint("it is named after the container; take another id, or name a class by closID")),
            Err(e) => Err(Error::sys(format_args!("stat {path}"), e)),
        })
    }

    /// Makes what is missing. What of [`Group::owned`] was made is added to `made`, also if something fails.
    ///
    /// # Errors
    /// The class does not exist, or has other schemata; the processor has no more classes; the kernel refuses the schemata.
    pub fn make(&self, made: &mut Vec<String>) -> Result<()> {
        let found = self.directory(made)?;
        self.configure(found)?;
        self.monitor(made)
    }

    /// True if the directory was there already.
    fn directory(&self, made: &mut Vec<String>) -> Result<bool> {
        let path = &self.path;
        if self.class == Class::Existing {
            return lstat(path.as_str()).map(|_| true).map_err(|e| {
                let hint = "with neither l3CacheSchema, memBwSchema nor schemata the class has to be there already";
                Error::sys(format_args!("stat {path}"), e).field(CLOS_ID).hint(hint)
            });
        }
        match mkdir(path) {
            Err(e) if self.class == Class::Named && e.errno() == Some(Errno::EEXIST) => return Ok(true),
            result => result.map_err(|e| e.field(CLOS_ID))?,
        }
        if self.class == Class::Own {
            made.push(path.clone());
        }
        Ok(false)
    }

    /// The schemata: of a class that was found, those of the cache and of the bandwidth are others' as well.
    fn configure(&self, found: bool) -> Result<()> {
        if found && self.schemata.iter().any(|schema| schema.field != SCHEMATA) {
            let theirs = read_schemata(&self.path)?;
            let step = files::read_to_string(format!("{}/info/MB/bandwidth_gran", self.root));
            let step = step.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1);
            for Schema { lines, field } in self.schemata.iter().filter(|schema| schema.field != SCHEMATA) {
                if let Some(line) = lines.lines().find(|line| !is_among(&theirs, line, step)) {
                    return Err(Error::new(format!("resctrl group {} exists, and has not {line:?}", self.path))
                        .field(*field)
                        .hint("they are of whoever made it first"));
                }
            }
        }
        self.schemata.iter().try_for_each(|schema| {
            write_schemata(&self.root, &self.path, &schema.lines).map_err(|e| e.field(schema.field))
        })
    }

    fn monitor(&self, made: &mut Vec<String>) -> Result<()> {
        let Some(path) = &self.monitoring else { return Ok(()) };
        mkdir(path).map_err(|e| e.field(MONITORING))?;
        made.push(path.clone());
        Ok(())
    }
}

/// The schemata of a group as they were.
#[derive(Debug)]
pub struct Before {
    root: String,
    group: String,
    lines: String,
}

impl Before {
    /// # Errors
    /// The kernel refuses what it had before.
    pub fn restore(&self) -> Result<()> {
        write_schemata(&self.root, &self.group, &self.lines)
    }
}

/// Gives a group new schemata, in this order; empty ones are left out. If one is refused, those before it are taken back.
///
/// # Errors
/// The kernel refuses one; the group is gone.
pub fn change(root: &str, group: &str, schemata: &[&str]) -> Result<Before> {
    let lines = read_schemata(group)?;
    let before = Before { root: root.to_owned(), group: group.to_owned(), lines: lines.trim_end().to_owned() };
    let mut new = schemata.iter().filter(|lines| !lines.is_empty());
    new.try_for_each(|lines| write_schemata(root, group, lines)).map_err(|e| match before.restore() {
        Ok(()) => e,
        Err(again) => e.hint(format!("nor can the old schemata be put back: {again}")),
    })?;
    Ok(before)
}

fn read_schemata(group: &str) -> Result<String> {
    let path = format!("{group}/schemata");
    files::read_to_string(&path).map_err(|e| Error::io(format_args!("open {path}"), &e))
}

/// Writes lines into the schemata of a group below `root`; the error says why in the kernel's words.
fn write_schemata(root: &str, group: &str, lines: &str) -> Result<()> {
    write_file(&format!("{group}/schemata"), &format!("{lines}\n")).map_err(|e| {
        let status = files::read_to_string(format!("{root}/info/last_cmd_status")).unwrap_or_default();
        match status.trim() {
            "" | "ok" => e,
            why => e.hint(format!("the kernel says: {}", one_line(why))),
        }
    })
}

/// Puts a process, with what it will fork, into each of the groups.
///
/// # Errors
/// The first that is refused.
pub fn join(groups: &[String], pid: i32) -> Result<()> {
    let join = |group: &String| write_file(&format!("{group}/tasks"), &pid.to_string());
    groups.iter().try_for_each(join).doing(|| format!("error adding pid {pid} to Intel RDT"))
}

/// Removes a group; its processes go to the class above. An empty path is none.
///
/// # Errors
/// rmdir(2) fails for another reason than that it is gone.
pub fn remove(path: &str) -> Result<()> {
    // Its files are the kernel's, and go with it.
    match if path.is_empty() { Ok(()) } else { files::rmdir_of_kernel(path) } {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(e) => Err(Error::sys(format_args!("rmdir {path}"), e)),
    }
}

fn mkdir(path: &str) -> Result<()> {
    files::mkdir_of_kernel(path).map_err(|e| {
        let error = Error::sys(format_args!("mkdir {path}"), e);
        if e == Errno::ENOSPC { error.hint("the processor has no more classes or monitors") } else { error }
    })
}

/// One write: the kernel takes a whole value at a time.
fn write_file(path: &str, text: &str) -> Result<()> {
    let fd = files::open(path, OFlag::O_WRONLY | OFlag::O_NOFOLLOW)
        .map_err(|e| Error::sys(format_args!("open {path}"), e))?;
    write(&fd, text.as_bytes()).map(drop).map_err(|e| Error::sys(format_args!("write {text:?} to {path}"), e))
}

/// Whether the text of a `schemata` file has all values of the line. `step`: to whose multiples the kernel rounds bandwidths up.
fn is_among(schemata: &str, line: &str, step: u64) -> bool {
    let Some((resource, wanted)) = resource(line) else { return false };
    let found = schemata.lines().filter_map(self::resource).find(|(name, _)| *name == resource);
    let value = |text: &str| match text.parse::<u64>() {
        Ok(percent) if resource == "MB" => percent.checked_next_multiple_of(step).unwrap_or(percent).to_string(),
        _ => text.trim_start_matches('0').to_ascii_lowercase(),
    };
    found.is_some_and(|(_, found)| {
        wanted.iter().all(|(domain, wanted)| found.get(domain).is_some_and(|found| value(found) == value(wanted)))
    })
}

/// `L3`, and value by domain, of `  L3:0=7f0;1=1f`.
fn resource(line: &str) -> Option<(&str, BTreeMap<&str, &str>)> {
    let (name, values) = line.split_once(':')?;
    let values = values.split(';').map(|value| value.split_once('=').map(|(d, v)| (d.trim(), v.trim())));
    Some((name.trim(), values.collect::<Option<_>>()?))
}

/// As a plan shows it.
impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            Class::Own => "own",
            Class::Named => "named",
            Class::Existing => "existing",
        };
        write!(f, "{} class={class}", one_line(&self.path))?;
        if let Some(path) = &self.monitoring {
            write!(f, " monitoring={}", one_line(path))?;
        }
        self.schemata.iter().try_for_each(|s| write!(f, "\n    schemata={:?}  # {}", s.lines, s.field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A tree that looks like resctrl, but that its directories do not fill themselves.
    pub(super) struct Mock(tempfile::TempDir);

    impl Mock {
        pub fn new() -> Mock {
            let mock = Mock(tempfile::tempdir().unwrap());
            mock.write("info/MB/bandwidth_gran", "10\n");
            mock.write("info/last_cmd_status", "ok\n");
            mock.fill("", "    MB:0=100;1= 70\n    L3:0=0007ff;1=00001f\n");
            mock
        }

        pub fn root(&self) -> &str {
            self.0.path().to_str().unwrap()
        }

        /// What the kernel does when a directory is made.
        pub fn fill(&self, group: &str, schemata: &str) {
            let path = self.0.path().join(group.trim_start_matches('/'));
            fs::create_dir_all(path.join("mon_groups")).unwrap();
            fs::write(path.join("schemata"), schemata).unwrap();
            fs::write(path.join("tasks"), "").unwrap();
        }

        /// A file that the processor has something to say in.
        pub fn write(&self, file: &str, text: &str) {
            let path = self.0.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn group(&self, json: &str) -> Group {
            Group::new(self.root(), &serde_json::from_str(json).unwrap(), "box")
        }

        fn read(&self, file: &str) -> Option<String> {
            fs::read_to_string(self.0.path().join(file)).ok()
        }

        /// Makes it, with the kernel's part between; the directories of its own, and whether it was found.
        fn make(&self, group: &Group) -> Result<(Vec<String>, bool)> {
            group.check_free()?;
            let mut made = Vec::new();
            let found = group.directory(&mut made)?;
            let name = group.path.strip_prefix(self.root()).unwrap();
            if !found {
                self.fill(name, "    MB:0=100;1=100\n    L3:0=0007ff;1=0007ff\n");
            }
            group.configure(found)?;
            group.monitor(&mut made)?;
            if group.monitoring.is_some() {
                self.fill(&format!("{name}/mon_groups/box"), "");
            }
            let below = |path: &String| path.strip_prefix(self.root()).unwrap().to_owned();
            Ok((made.iter().map(below).collect(), found))
        }
    }

    #[test]
    fn without_clos_id_it_is_the_containers_own() {
        let mock = Mock::new();
        let group = mock.group(r#"{"memBwSchema":"MB:0=20","l3CacheSchema":"L3:0=f","enableMonitoring":true}"#);
        assert_eq!(mock.make(&group).unwrap(), (vec!["/box".into(), "/box/mon_groups/box".into()], false));
        // Written in place, as the mock's files are ordinary ones: the last write is what is seen of both.
        assert!(mock.read("box/schemata").unwrap().starts_with("MB:0=20\n"));
        join(&group.joined(), 42).unwrap();
        assert_eq!(mock.read("box/tasks").as_deref(), Some("42"));
        assert_eq!(mock.read("box/mon_groups/box/tasks").as_deref(), Some("42"));
        assert_eq!(mock.read("tasks").as_deref(), Some(""));
        // Somebody's group of that name is not taken for the container's.
        let e = mock.make(&group).unwrap_err().to_string();
        assert!(
            e.contains("/box exists already (config.json /linux/intelRdt); it is named after the container"),
            "{e}"
        );
        let mut made = Vec::new();
        assert_eq!(group.directory(&mut made).unwrap_err().errno(), Some(Errno::EEXIST));
        assert!(made.is_empty(), "not ours to remove");
    }

    #[test]
    fn without_schemata_none_are_written() {
        let mock = Mock::new();
        let group = mock.group("{}");
        assert_eq!(mock.make(&group).unwrap(), (vec!["/box".into()], false));
        assert_eq!(mock.read("box/schemata").as_deref(), Some("    MB:0=100;1=100\n    L3:0=0007ff;1=0007ff\n"));
    }

    #[test]
    fn cache_then_bandwidth_then_schemata() {
        let group = Mock::new().group(
            r#"{"schemata":["L2:0=f","L3:1=1"],"memBwSchema":"MB:0=20","l3CacheSchema":"L3:0=f","closID":"gold"}"#,
        );
        let order: Vec<_> = group.schemata.iter().map(|s| (s.lines.as_str(), s.field)).collect();
        assert_eq!(order, [("L3:0=f", L3), ("MB:0=20", MB), ("L2:0=f\nL3:1=1", SCHEMATA)]);
    }

    #[test]
    fn a_class_with_schemata_is_made_if_it_is_missing_and_stays() {
        let mock = Mock::new();
        let group = mock.group(r#"{"closID":"gold","schemata":["L3:0=f","MB:0=20"],"enableMonitoring":true}"#);
        let (made, found) = mock.make(&group).unwrap();
        assert!(!found);
        assert_eq!(made, ["/gold/mon_groups/box"], "the class is not ours to remove");
        assert!(mock.read("gold/schemata").unwrap().starts_with("L3:0=f\nMB:0=20\n"));
        assert_eq!(group.owned().collect::<Vec<_>>(), [format!("{}/gold/mon_groups/box", mock.root())]);
    }

    #[test]
    fn a_class_that_exists_has_to_have_these_schemata() {
        let mock = Mock::new();
        for (schemata, fits) in [
            (r#""l3CacheSchema":"L3:0=7f0;1=1F""#, true),
            (r#""l3CacheSchema":"L3:1=01f""#, true),
            (r#""l3CacheSchema":"L3:0=7f1""#, false),
            (r#""l3CacheSchema":"L3:2=7f0""#, false),
            (r#""l3CacheSchema":"L3:0=7f0\nMB:0=30""#, false),
            (r#""l3CacheSchema":"L3""#, false),
            (r#""memBwSchema":"MB:0=20;1=70""#, true),
            // The kernel has rounded it up.
            (r#""memBwSchema":"MB:0=11""#, true),
            (r#""memBwSchema":"MB:0=21""#, false),
            (r#""l3CacheSchema":"L3:0=7f0","memBwSchema":"MB:0=30""#, false),
            // Of these the specification says only that they are written.
            (r#""schemata":["L3:0=1"]"#, true),
        ] {
            mock.fill("gold", "    MB:0= 20;1= 70\n    L3:0=0007f0;1=00001f\n");
            let made = mock.make(&mock.group(&format!(r#"{{"closID":"gold",{schemata}}}"#)));
            match made {
                Ok(made) => assert!(fits && made == (vec![], true), "{schemata}"),
                Err(e) => {
                    let e = e.to_string();
                    assert!(
                        !fits && e.contains("/gold exists, and has not \"") && e.contains("Schema)"),
                        "{schemata}: {e}"
                    );
                    assert!(mock.read("gold/schemata").unwrap().starts_with("    MB:0= 20"), "nothing was written");
                }
            }
        }
    }

    #[test]
    fn a_class_without_schemata_has_to_be_there() {
        let mock = Mock::new();
        let group = mock.group(r#"{"closID":"gold"}"#);
        let e = mock.make(&group).unwrap_err().to_string();
        assert!(
            e.contains("/gold: no such file or directory (config.json /linux/intelRdt/closID); with neither"),
            "{e}"
        );
        assert_eq!(mock.read("gold/tasks"), None);
        mock.fill("gold", "L3:0=f\n");
        assert_eq!(mock.make(&group).unwrap(), (vec![], true));
        assert_eq!(mock.read("gold/schemata").as_deref(), Some("L3:0=f\n"));
        join(&group.joined(), 7).unwrap();
        assert_eq!(mock.read("gold/tasks").as_deref(), Some("7"));
    }

    #[test]
    fn a_slash_is_the_roots_class() {
        let mock = Mock::new();
        let group = mock.group(r#"{"closID":"/","enableMonitoring":true}"#);
        assert_eq!(mock.make(&group).unwrap(), (vec!["/mon_groups/box".into()], true));
        join(&group.joined(), 7).unwrap();
        assert_eq!((mock.read("tasks"), mock.read("mon_groups/box/tasks")), (Some("7".into()), Some("7".into())));
        let e = mock.make(&mock.group(r#"{"closID":"/","l3CacheSchema":"L3:0=1"}"#)).unwrap_err().to_string();
        assert!(e.contains("exists, and has not \"L3:0=1\" (config.json /linux/intelRdt/l3CacheSchema)"), "{e}");
    }

    #[test]
    fn what_fails_says_why_and_what_was_made() {
        let mock = Mock::new();
        // The kernel refuses: here, because there is no such file.
        mock.write("info/last_cmd_status", "Mask out of range\n");
        let group = mock.group(r#"{"l3CacheSchema":"L3:0=fffff","enableMonitoring":true}"#);
        let mut made = Vec::new();
        let e = group.make(&mut made).unwrap_err().to_string();
        assert!(e.ends_with("(config.json /linux/intelRdt/l3CacheSchema); the kernel says: Mask out of range"), "{e}");
        assert_eq!(made, std::slice::from_ref(&group.path));
        // No monitoring group can be made.
        let mock = Mock::new();
        let group = mock.group(r#"{"enableMonitoring":true}"#);
        let e = group.make(&mut Vec::new()).unwrap_err().to_string();
        assert!(
            e.contains("box/mon_groups/box: no such file or directory (config.json /linux/intelRdt/enableMonitoring)"),
            "{e}"
        );
        let e = join(&group.joined(), 1).unwrap_err().to_string();
        assert!(e.starts_with("error adding pid 1 to Intel RDT: open "), "{e}");
    }

    #[test]
    fn new_schemata_for_a_group_and_back() {
        let mock = Mock::new();
        mock.fill("gold", "L3:0=f\nMB:0=100\n");
        let gold = format!("{}/gold", mock.root());
        let before = change(mock.root(), &gold, &["L3:0=1", ""]).unwrap();
        assert_eq!(mock.read("gold/schemata").as_deref(), Some("L3:0=1\nMB:0=100\n"));
        before.restore().unwrap();
        assert_eq!(mock.read("gold/schemata").as_deref(), Some("L3:0=f\nMB:0=100\n"));
        let e = change(mock.root(), &format!("{gold}x"), &["L3:0=1"]).unwrap_err().to_string();
        assert!(e.ends_with("goldx/schemata: no such file or directory"), "{e}");
    }

    #[test]
    fn removed_once_and_for_all() {
        let mock = Mock::new();
        let path = format!("{}/box", mock.root());
        fs::create_dir(&path).unwrap();
        remove(&path).unwrap();
        remove(&path).unwrap();
        remove("").unwrap();
        assert!(remove(mock.root()).is_err(), "not empty: here, not a group");
    }
}
