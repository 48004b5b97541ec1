//! Paths become descriptors, and directories, modes, owners and mounts are changed, in two places: `src/files.rs` for the
//! host, `init/src/path.rs` for the container. clippy sees to it (`clippy.toml`, `init/clippy.toml`; `make lint` fails), whatever
//! name a call is imported by. Here is what clippy can't see: that its lists still work ([`planted`]), that nobody exempts himself,
//! and that there is no other way to the kernel.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)] // It reads our own sources.

#[allow(dead_code)]
mod planted;

use std::fs;
use std::path::{Path, PathBuf};

/// All that is part of the runtime.
const SOURCES: &[&str] = &["src", "init/src", "steps/src", "shim/src"];

/// Who may say `allow` or `expect`, and why.
const EXEMPT: &[(&str, &str)] = &[
    ("src/files.rs", "the host's place"),
    ("init/src/path.rs", "the container's place"),
    ("src/lib.rs", "for its tests alone"),
    ("shim/src/lib.rs", "for its tests alone"),
    ("src/sys/start.rs", "the null device, before anything else is open"),
    ("init/src/planted.rs", "violations that have to be seen; not part of the program"),
];

/// Who may make a system call by its number, and which that takes a path.
const BY_NUMBER: &[(&str, &[&str])] = &[
    // Their paths are empty: all of them go by descriptor. What fsopen takes is the name of a file system.
    ("src/sys/mount.rs", &["open_tree", "mount_setattr", "fsopen", "move_mount"]),
    // The program that is executed is the memory file of a descriptor.
    ("src/sys/clone.rs", &["execveat"]),
    // Asks whether the call exists, with arguments that name nothing.
    ("src/sys/probe.rs", &["open_tree", "openat2", "fsopen", "mount_setattr", "move_mount"]),
];

/// System calls that take a path and do more than look.
const WITH_PATHS: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "creat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "mount",
    "umount2",
    "move_mount",
    "open_tree",
    "open_tree_attr",
    "mount_setattr",
    "fsopen",
    "fspick",
    "pivot_root",
    "chroot",
    "chdir",
    "chmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "lchown",
    "fchownat",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "rename",
    "renameat",
    "renameat2",
    "truncate",
    "setxattr",
    "lsetxattr",
    "utimensat",
    "execve",
    "execveat",
    "swapon",
    "acct",
    "quotactl",
];

/// The sources, without comments, with a place for messages.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = SOURCES.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|e| e == "rs") {
                let name = entry.strip_prefix(root).unwrap().display().to_string();
                found.push((name, without_comments(&fs::read_to_string(&entry).unwrap())));
            }
        }
    }
    assert!(found.len() > 100, "the sources have moved");
    found
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// What is wrong with a file.
fn faults(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.contains("disallowed_methods") && !EXEMPT.iter().any(|(file, _)| *file == name) {
        faults.push(format!("{name} exempts itself from the lint"));
    }
    if text.contains("clippy::all") || text.contains("clippy::style") || text.contains("allow(warnings") {
        faults.push(format!("{name} exempts itself from the lint with others"));
    }
    let assembly = [
        "init/src/bin/pause.rs",
        "init/src/main.rs",
        "init/src/memory.rs",
        "init/src/sys.rs",
        "src/sys/clone.rs",
        "src/sys/counter.rs",
    ];
    if text.contains("asm!") && !assembly.contains(&name) {
        faults.push(format!("{name} has assembly"));
    }
    // A function of the C library that is declared anew has another path.
    if text.contains("extern \"C\" {") || text.contains("link_name") || text.contains("dlsym") {
        faults.push(format!("{name} declares a foreign function"));
    }
    let allowed = BY_NUMBER.iter().find(|(file, _)| *file == name).map_or(&[][..], |(_, calls)| calls);
    for call in text.split("SYS_").skip(1) {
        let call: String = call.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if WITH_PATHS.contains(&call.as_str()) && !allowed.contains(&call.as_str()) {
            faults.push(format!("{name} calls {call} by its number"));
        }
    }
    faults
}

#[test]
fn nobody_goes_round_the_lint() {
    let faults: Vec<String> = sources().iter().flat_map(|(name, text)| faults(name, text)).collect();
    assert_eq!(faults, Vec::<String>::new());
}

/// Each way round is seen if somebody goes it.
#[test]
fn ways_round_are_seen() {
    for (text, fault) in [
        ("#[allow(clippy::disallowed_methods)]\nfn f() {}", "exempts itself"),
        ("#![allow(\n    clippy::disallowed_methods,\n)]", "exempts itself"),
        ("#![allow(clippy::all)]", "with others"),
        ("libc::syscall(libc::SYS_openat, 0)", "calls openat"),
        ("use libc::SYS_mount as N;", "calls mount"),
        ("core::arch::asm!(\"syscall\")", "assembly"),
        ("unsafe extern \"C\" {\n fn open(); }", "foreign function"),
    ] {
        let faults = faults("src/launch/create.rs", text);
        assert!(faults.len() == 1 && faults[0].contains(fault), "{text}: {faults:?}");
    }
    assert_eq!(
        faults("src/x.rs", &without_comments("// SYS_openat\nSYS_pidfd_open, SYS_getpid")),
        Vec::<String>::new()
    );
}

/// An exemption that is not needed any more goes.
#[test]
fn exemptions_are_used() {
    let sources = sources();
    let text = |file: &str| &sources.iter().find(|(name, _)| name == file).unwrap_or_else(|| panic!("{file}")).1;
    for (file, _) in EXEMPT {
        assert!(text(file).contains("disallowed_methods"), "{file}");
    }
    for (file, calls) in BY_NUMBER {
        for call in *calls {
            assert!(text(file).contains(&format!("SYS_{call}")), "{file} {call}");
        }
    }
}

/// `planted` has a violation of each line of clippy's lists, and nothing is missing in them that the two places use.
#[test]
fn the_lists_are_planted() {
    let read = |file: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    for (list, planted, prefix, count) in [
        ("clippy.toml", "tests/lint/planted.rs", "", 70),
        ("init/clippy.toml", "init/src/planted.rs", "dunnage_init::", 16),
    ] {
        let planted = read(planted);
        let list = read(list);
        let paths: Vec<&str> = list.lines().filter_map(|l| l.split("path = \"").nth(1)?.split('"').next()).collect();
        assert!(paths.len() >= count, "{}", paths.len());
        for path in paths {
            let short =
                path.strip_prefix(prefix).unwrap_or(path).replace("::files::", "::").replace("::mounts::", "::");
            let seen = |end: &str| planted.contains(&format!("{short}{end}"));
            assert!(seen(";") || seen("::<"), "{path} is not planted");
        }
    }
    // Every system call of init's that takes a name is on its list.
    let list = read("init/clippy.toml");
    for file in ["init/src/sys/files.rs", "init/src/sys/mounts.rs"] {
        for function in read(file).split("\npub fn ").skip(1) {
            let (name, rest) = function.split_once(['(', '<']).unwrap();
            let head = rest.split_once('{').unwrap().0;
            let looks = [
                "statx",
                "stat_path",
                "access_execute",
                "access_read",
                "memfd_create",
                "pivot_root",
                "fgetxattr",
                "fsetxattr",
            ];
            let fs_context = name.starts_with("fs") && !name.contains("stat");
            if head.contains("&CStr") && !looks.contains(&name) && !fs_context {
                assert!(
                    list.contains(&format!("::{name}\"")),
                    "{file}: {name} takes a name and is not in init/clippy.toml"
                );
            }
        }
    }
}
