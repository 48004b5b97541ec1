//! Whatever stands in the documents and on the command line: a clear error of one line in bounded time and memory, or a
//! container; never a hang, never something that is left. What each field may be is in tests/plans (`bad_input`), without
//! root and by the thousand; here is what size does, and what the kernel, the log and the state have to do with it.

use crate::common::{Bundle, Command, Out, Value, case, host, json};
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

/// Memory of the runtime, its heap above all.
const MEMORY: &str = "67108864";

/// `count` times an entry, in which `#` is its number.
fn entries(count: u32, entry: &str) -> String {
    let mut text = String::new();
    for n in 0..count {
        if n > 0 {
            text.push(',');
        }
        let _ = write!(text, "{}", entry.replace('#', &n.to_string()));
    }
    text
}

/// A config.json with this text in the place of a value.
fn with_text(b: &mut Bundle, pointer: &str, text: &str) {
    let sound = b.config.clone();
    b.set(pointer, "THE PLACE");
    b.write_config();
    let file = b.bundle().join("config.json");
    fs::write(&file, host::read(&file).replacen("\"THE PLACE\"", text, 1)).unwrap();
    b.config = sound;
}

/// The runtime with little memory, on the config.json as it is there.
fn create(b: &Bundle) -> Command {
    let bundle = b.bundle().display().to_string();
    b.command(&["create", "--bundle", &bundle, &b.id])
}

#[track_caller]
fn refused(b: &Bundle, what: &str, out: &Out, words: &str) {
    let shown: String = out.err.chars().take(500).collect();
    assert_eq!(out.code, 1, "{what}: {shown}");
    assert!(out.err.contains(words), "{what}: no {words} in {shown}");
    assert!(out.err.len() < 200_000, "{what}: {} bytes of error", out.err.len());
    b.assert_gone();
}

/// The lists of config.json, each far too long, and as long as they may be.
#[test]
fn lists_without_end() {
    case(|b| {
        b.args(&["/bin/true"]);
        b.wrap(&["prlimit", &format!("--data={MEMORY}")]);
        let tmpfs = r#"{"destination":"/m#","type":"tmpfs","source":"x"}"#;
        for (pointer, entry, words) in [
            ("/mounts", tmpfs, ""),
            ("/mounts", "{}", "mount destination must not be empty (config.json /mounts/0/destination); 255 more"),
            ("/process/env", "\"A#=1\"", ""),
            ("/process/args", "\"#\"", ""),
            ("/process/rlimits", r#"{"type":"RLIMIT_NOFILE","soft":1,"hard":1}"#, ""),
            ("/process/rlimits", "{}", "wrong rlimit value"),
            ("/process/user/additionalGids", "#", ""),
            ("/process/capabilities/bounding", "\"CAP_#\"", ""),
            ("/linux/maskedPaths", "\"/proc/#\"", ""),
            ("/linux/readonlyPaths", r#""""#, ""),
            ("/linux/namespaces", r#"{"type":"x#"}"#, "does not exist"),
            ("/linux/uidMappings", r#"{"containerID":#,"hostID":#,"size":1}"#, ""),
            ("/linux/devices", "{}", "device path must not be empty"),
            ("/linux/resources/devices", r#"{"allow":true,"type":"c","major":#,"minor":1,"access":"r"}"#, ""),
            ("/linux/resources/hugepageLimits", "{}", "invalid hugepage size"),
            ("/linux/resources/blockIO/throttleReadBpsDevice", r#"{"major":1,"minor":#,"rate":1}"#, ""),
            ("/linux/seccomp/syscalls", r#"{"names":["read"],"action":"SCMP_ACT_ALLOW","errnoRet":#}"#, ""),
            ("/hooks/createRuntime", r#"{"path":"x"}"#, "path must be absolute"),
        ] {
            let sound = b.config.clone();
            for parent in ["/linux/resources/blockIO", "/linux/seccomp", "/hooks"] {
                if pointer.starts_with(parent) {
                    b.set(parent, json!({"defaultAction": "SCMP_ACT_ERRNO"}));
                }
            }
            with_text(b, pointer, &format!("[{}]", entries(100_000, entry)));
            let what = format!("{pointer} with 100,000 {entry}");
            let began = Instant::now();
            refused(
                b,
                &what,
                &create(b).output(),
                &format!("too many entries: more than 65536 (config.json {pointer})"),
            );
            assert!(began.elapsed() < Duration::from_secs(2), "{what} took {:?}", began.elapsed());
            if words.is_empty() {
                b.config = sound;
                continue;
            }
            // What is allowed, and wrong in each entry.
            with_text(b, pointer, &format!("[{}]", entries(60_000, entry)));
            let what = format!("{pointer} with 60,000 {entry}");
            let began = Instant::now();
            refused(b, &what, &create(b).output(), words);
            assert!(began.elapsed() < Duration::from_secs(5), "{what} took {:?}", began.elapsed());
            b.config = sound;
        }
    });
}

/// Documents without end or bottom.
#[test]
fn documents_without_end() {
    case(|b| {
        b.args(&["/bin/true"]);
        b.wrap(&["prlimit", &format!("--data={MEMORY}")]);
        b.write_config();
        let file = b.bundle().join("config.json");
        let whole = host::read(&file);
        let open = whole.trim_end().trim_end_matches('}');
        let deep = |bracket: &str| format!("{open},\"x\":{}", bracket.repeat(100_000));
        for (what, text, words) in [
            ("8 MiB and a byte", format!("{}{whole}", " ".repeat((8 << 20) + 1)), "open config.json: file too large"),
            ("a string of 9 MB", format!("{open},\"x\":\"{}\"}}", "x".repeat(9_000_000)), "file too large"),
            ("100,000 lists in each other", deep("["), "EOF while parsing a list at line"),
            ("100,000 objects in each other", deep("{\"a\":"), "at line"),
            (
                "a million values",
                format!("{open},\"x\":[{}]}}", entries(20, &format!("[{}]", entries(50_000, "0")))),
                "more than 524288 values",
            ),
            ("nothing", String::new(), "EOF while parsing"),
            ("a NUL", "\0".into(), "expected value at line 1"),
        ] {
            fs::write(&file, text).unwrap();
            let began = Instant::now();
            refused(b, what, &create(b).output(), words);
            assert!(began.elapsed() < Duration::from_secs(2), "{what} took {:?}", began.elapsed());
        }
        // As large as it may be, and meant: labels of 4 MB.
        with_text(b, "/annotations", &format!("{{{}}}", entries(40_000, &format!("\"k#\":\"{}\"", "v".repeat(90)))));
        create(b).output().ok();
        assert_eq!(b.state()["annotations"].as_object().unwrap().len(), 40_000);
        b.rt(&["delete", "--force", &b.id]).ok();
        b.assert_gone();
    });
}

/// The documents of commands on a container.
#[test]
fn documents_of_commands() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).run_detached();
        b.wrap(&["prlimit", &format!("--data={MEMORY}")]);
        let file = b.path("document").display().to_string();
        let many = |entry: &str| entries(100_000, entry);
        for (command, text, words) in [
            (
                ["exec", "--process"],
                format!(r#"{{"cwd":"/","args":["true"],"env":[{}]}}"#, many("\"A=#\"")),
                "(process.json /env)",
            ),
            (["exec", "--process"], format!(r#"{{"cwd":"/","args":[{}]}}"#, many("\"#\"")), "(process.json /args)"),
            (["exec", "--process"], "[".repeat(100_000), " at line 1 "),
            (["exec", "--process"], " ".repeat((8 << 20) + 1), "file too large"),
            (["update", "--resources"], format!(r#"{{"devices":[{}]}}"#, many("{}")), "(resources /devices)"),
            (["update", "--resources"], "{\"a\":".repeat(100_000), " at line 1 "),
            (["update", "--resources"], " ".repeat((8 << 20) + 1), "file too large"),
        ] {
            fs::write(&file, text).unwrap();
            let began = Instant::now();
            let out = b.rt(&[command[0], command[1], &file, &b.id]);
            let shown: String = out.err.chars().take(500).collect();
            assert!(out.code != 0 && out.err.contains(words), "{command:?}: no {words} in {} {shown}", out.code);
            assert!(began.elapsed() < Duration::from_secs(2), "{command:?} {words} took {:?}", began.elapsed());
        }
        assert_eq!(b.status(), "running");
    });
}

/// CVE-2021-43784: what does not fit into a message to the child must not cut the namespaces off behind it.
#[test]
fn more_than_64_kib_of_paths_and_maps() {
    case(|b| {
        let paths: Vec<String> = (0..1500).map(|n| format!("/proc/{n}/{}", "x".repeat(80))).collect();
        b.set("/linux/maskedPaths", json!(paths)).set("/linux/readonlyPaths", json!(paths));
        b.env(&format!("LARGE={}", "y".repeat(100_000)));
        b.args(&["/bin/sleep", "100"]).run_detached();
        for kind in ["pid", "mnt", "net", "uts", "ipc"] {
            assert_ne!(host::namespace(b.pid(), kind), host::own_namespace(kind), "{kind}");
        }
        b.rt(&["delete", "--force", &b.id]).ok();
        // 340 lines and a page of text are all that the kernel takes (user_namespaces(7)); 5,000 are more than 64 KiB.
        b.namespace("user", None);
        for (count, fits) in [(300_u32, true), (341, false), (5000, false)] {
            let maps: Vec<Value> =
                (0..count).map(|n| json!({"containerID": n, "hostID": 100_000 + n, "size": 1})).collect();
            let maps = Value::from(maps);
            b.set("/linux/uidMappings", maps.clone()).set("/linux/gidMappings", maps);
            let out = b.start_command("create", &[]).output();
            if fits {
                out.ok();
                assert_ne!(host::namespace(b.pid(), "user"), host::own_namespace("user"));
                assert_eq!(host::read(format!("/proc/{}/uid_map", b.pid())).lines().count(), 300);
                b.rt(&["delete", "--force", &b.id]).ok();
            } else {
                assert_eq!(out.code, 1, "{count} maps: {out}");
            }
            b.assert_gone();
        }
        // The path of a namespace to join.
        b.drop_namespace("user").remove("/linux/uidMappings").remove("/linux/gidMappings");
        b.namespace("network", Some(&format!("/{}", "n".repeat(70_000))));
        let out = b.start_command("create", &[]).output();
        assert!(out.code == 1 && out.err.contains("file name too long"), "{out}");
        b.assert_gone();
    });
}

/// Text of the configuration does not move the cursor of who reads the error, nor make a line of its own in the log.
#[test]
fn errors_are_one_visible_line() {
    case(|b| {
        b.args(&["/bin/true"]);
        let evil = "x\u{1b}]0;owned\u{7}\u{1b}[2J\r\nlevel=info msg=forged\u{9b}31m\u{202e}";
        let sound = b.config.clone();
        let log = b.path("log").display().to_string();
        for (pointer, value) in [
            ("/root/path", json!(evil)),
            ("/process/args/0", json!(evil)),
            ("/process/args/0", json!(format!("/bin/{evil}"))),
            ("/process/cwd", json!(format!("/{evil}\u{0}"))),
            ("/process/apparmorProfile", json!(evil)),
            ("/process/rlimits", json!([{"type": evil, "soft": 1, "hard": 1}])),
            ("/hostname", json!(format!("{evil}{}", "x".repeat(64)))),
            ("/mounts/-", json!({"destination": "/m", "type": evil, "source": evil})),
            (
                "/mounts/-",
                json!({"destination": "/m", "type": "bind", "source": format!("/{evil}"), "options": ["bind"]}),
            ),
            ("/mounts/-", json!({"destination": "/m", "type": "tmpfs", "source": "x", "options": [evil]})),
            ("/linux/namespaces/-", json!({"type": evil})),
            ("/linux/namespaces/1", json!({"type": "network", "path": format!("/{evil}")})),
            ("/linux/sysctl", json!({ evil: "1" })),
            ("/linux/sysctl", json!({ "net.ipv4.ip_forward": evil })),
            ("/linux/devices", json!([{"path": evil, "type": "c", "major": -1, "minor": 1}])),
            ("/linux/cgroupsPath", json!(format!("/{evil}/.."))),
            ("/linux/resources/unified", json!({ evil: "1" })),
            ("/linux/resources/cpu", json!({ "cpus": evil })),
            ("/linux/rootfsPropagation", json!(evil)),
            ("/linux/seccomp", json!({ "defaultAction": evil })),
            ("/hooks", json!({"createRuntime": [{"path": format!("/{evil}")}]})),
        ] {
            for format in ["text", "json"] {
                b.config = sound.clone();
                b.set(pointer, value.clone());
                b.write_config();
                let _ = fs::remove_file(&log);
                let bundle = b.bundle().display().to_string();
                let flags = ["--log", &log, "--log-format", format, "create", "--bundle", &bundle, &b.id];
                let out = b.command(&flags).output();
                let what = format!("{pointer} = {value}, {format}: {out}");
                // What needs no root to be refused, and what the kernel says no to.
                assert_eq!(out.code, 1, "{what}");
                let log = host::read(&log);
                assert_eq!(out.err.trim_end_matches('\n').lines().count(), 1, "{what}");
                assert_eq!(log.lines().count(), 1, "{what} {log}");
                for text in [&out.err, &log] {
                    let visible = |c: char| c == '\n' || !(c.is_control() || matches!(c, '\u{202a}'..='\u{202e}'));
                    assert!(text.chars().all(visible), "{what}");
                }
                b.assert_gone();
            }
        }
    });
}

/// A state that somebody has written into: commands that only look say what is wrong, or what is there.
#[test]
fn planted_states() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).run_detached();
        let file = b.state_dir().join("state.json");
        let sound: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let mut places = Vec::new();
        walk(&sound, String::new(), &mut places);
        assert!(places.len() > 80, "{}", places.len());
        let commands: [&[&str]; 3] = [&["state", &b.id], &["list"], &["ps", "--format", "json", &b.id]];
        let try_all = |text: &[u8], what: &str| {
            fs::write(&file, text).unwrap();
            for command in commands {
                let out = b.command(command).limit(10).output();
                let shown: String = out.err.chars().take(300).collect();
                assert!(matches!(out.code, 0 | 1), "{what} {command:?}: {} {shown}", out.code);
                assert!(out.code == 0 || !out.err.is_empty(), "{what} {command:?} fails without a word");
                let visible = |c: char| c == '\n' || !c.is_control();
                assert!(out.err.chars().all(visible) && out.err.len() < 10_000, "{what} {command:?}: {shown}");
            }
        };
        let texts: &[&str] =
            &[r#""a\u0000\n\u001b[2J""#, r#""../../..""#, "-1", "18446744073709551616", "1.5", "null", "[]", "{}"];
        for (n, place) in places.iter().enumerate() {
            let mut state = sound.clone();
            *state.pointer_mut(place).unwrap() = json!("THE PLACE");
            let text = texts[n % texts.len()];
            try_all(state.to_string().replacen("\"THE PLACE\"", text, 1).as_bytes(), &format!("{place} = {text}"));
        }
        try_all(b"", "nothing");
        try_all(b"null", "null");
        try_all("[".repeat(100_000).as_bytes(), "lists in each other");
        try_all(&vec![b' '; (8 << 20) + 1], "8 MiB and a byte");
        try_all(b"\xff\xfe", "no text");
        fs::write(&file, sound.to_string()).unwrap();
        assert_eq!(b.status(), "running");
    });
}

fn walk(value: &Value, pointer: String, places: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                walk(value, format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), places);
            }
        }
        Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| walk(v, format!("{pointer}/{i}"), places)),
        _ => places.push(pointer),
    }
}
