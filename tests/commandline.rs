//! The command line from outside: exit codes, streams and log records, where no container is needed.
//!
//! `RUNTIME=/usr/sbin/runc cargo test --test commandline` runs the same table against another runtime, to prove the table.
//! Where that one is known to differ, [`DIFFERENCES`] says so, and then the case *must* fail.
#![allow(clippy::disallowed_methods)] // Tests own the files that they touch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// One command line and what is seen of it.
struct Case {
    line: &'static str,
    code: i32,
    /// The first line of stdout.
    stdout: &'static str,
    /// All of stderr, lines joined by `|`, without blank ones; `ERROR x` for a text record of level error.
    stderr: &'static str,
}

const fn case(line: &'static str, code: i32, stdout: &'static str, stderr: &'static str) -> Case {
    Case { line, code, stdout, stderr }
}

/// `RUNTIME` stands for argv[0], `ROOT` for an empty state root.
const CASES: &[Case] = &[
    case("", 0, "NAME:", ""),
    case("--help", 0, "NAME:", ""),
    case("-h", 0, "NAME:", ""),
    case("help", 0, "NAME:", ""),
    case("h", 0, "NAME:", ""),
    case("help run", 0, "NAME:", ""),
    case("run --help", 0, "NAME:", ""),
    case("run -h", 0, "NAME:", ""),
    case("exec -help", 0, "NAME:", ""),
    case("nosuch", 3, "", "ERROR No help topic for 'nosuch'"),
    case("version", 3, "", "ERROR No help topic for 'version'"),
    case("help nosuch", 3, "", "ERROR No help topic for 'nosuch'"),
    case("create", 1, "Incorrect Usage.", "ERROR RUNTIME: \"create\" requires exactly 1 argument(s)"),
    case("create a b", 1, "Incorrect Usage.", "ERROR RUNTIME: \"create\" requires exactly 1 argument(s)"),
    case("run", 1, "Incorrect Usage.", "ERROR RUNTIME: \"run\" requires exactly 1 argument(s)"),
    case("start", 1, "Incorrect Usage.", "ERROR RUNTIME: \"start\" requires exactly 1 argument(s)"),
    case("state", 1, "Incorrect Usage.", "ERROR RUNTIME: \"state\" requires exactly 1 argument(s)"),
    case("delete", 1, "Incorrect Usage.", "ERROR RUNTIME: \"delete\" requires exactly 1 argument(s)"),
    case("pause", 1, "Incorrect Usage.", "ERROR RUNTIME: \"pause\" requires exactly 1 argument(s)"),
    case("resume a b", 1, "Incorrect Usage.", "ERROR RUNTIME: \"resume\" requires exactly 1 argument(s)"),
    case("exec", 1, "Incorrect Usage.", "ERROR RUNTIME: \"exec\" requires a minimum of 1 argument(s)"),
    case("ps", 1, "Incorrect Usage.", "ERROR RUNTIME: \"ps\" requires a minimum of 1 argument(s)"),
    case("update", 1, "Incorrect Usage.", "ERROR RUNTIME: \"update\" requires exactly 1 argument(s)"),
    case("update a b", 1, "Incorrect Usage.", "ERROR RUNTIME: \"update\" requires exactly 1 argument(s)"),
    case("update -h", 0, "NAME:", ""),
    case(
        "update --pids x a",
        1,
        "NAME:",
        "Incorrect Usage: flag provided but not defined: -pids|ERROR flag provided but not defined: -pids",
    ),
    case(
        "update a -pids-limit x",
        1,
        "NAME:",
        "Incorrect Usage: invalid value \"x\" for flag -pids-limit: strconv.ParseInt: parsing \"x\": invalid syntax|\
         ERROR invalid value \"x\" for flag -pids-limit: strconv.ParseInt: parsing \"x\": invalid syntax",
    ),
    case("kill", 1, "Incorrect Usage.", "ERROR RUNTIME: \"kill\" requires a minimum of 1 argument(s)"),
    case("kill a 9 --all", 1, "Incorrect Usage.", "ERROR RUNTIME: \"kill\" requires a maximum of 2 argument(s)"),
    case("list a", 1, "Incorrect Usage.", "ERROR RUNTIME: \"list\" requires exactly 0 argument(s)"),
    case("spec a", 1, "Incorrect Usage.", "ERROR RUNTIME: \"spec\" requires exactly 0 argument(s)"),
    case("seccomp", 1, "Incorrect Usage.", "ERROR RUNTIME: \"seccomp\" requires exactly 1 argument(s)"),
    case("seccomp a b", 1, "Incorrect Usage.", "ERROR RUNTIME: \"seccomp\" requires exactly 1 argument(s)"),
    case("seccomp --help", 0, "NAME:", ""),
    case("seccomp /nonexistent/p", 1, "", "ERROR open /nonexistent/p: no such file or directory"),
    case("features a", 1, "Incorrect Usage.", "ERROR RUNTIME: \"features\" requires exactly 0 argument(s)"),
    case(
        "create -x a",
        1,
        "NAME:",
        "Incorrect Usage: flag provided but not defined: -x|ERROR flag provided but not defined: -x",
    ),
    case(
        "exec --no a",
        1,
        "NAME:",
        "Incorrect Usage: flag provided but not defined: -no|ERROR flag provided but not defined: -no",
    ),
    case(
        "run -dt a",
        1,
        "NAME:",
        "Incorrect Usage: flag provided but not defined: -dt|ERROR flag provided but not defined: -dt",
    ),
    case(
        "--no state",
        1,
        "NAME:",
        "Incorrect Usage: flag provided but not defined: -no|ERROR flag provided but not defined: -no",
    ),
    case("create -b", 1, "NAME:", "Incorrect Usage: flag needs an argument: -b|ERROR flag needs an argument: -b"),
    case("--log-format xml state a", 1, "", "ERROR invalid log-format: xml"),
    case("--log /nonexistent/log state a", 1, "", "ERROR open /nonexistent/log: no such file or directory"),
    case("--root / state a", 1, "", "ERROR Option --root argument should not be set to /"),
    case("--root=/a/.. state a", 1, "", "ERROR Option --root argument should not be set to /"),
    case("--root / exec a true", 1, "", "ERROR Option --root argument should not be set to /"),
    case("--root ROOT state nosuch", 1, "", "ERROR container does not exist"),
    case("-root ROOT state nosuch", 1, "", "ERROR container does not exist"),
    case("-root=ROOT state -- nosuch", 1, "", "ERROR container does not exist"),
    case("--root ROOT start nosuch", 1, "", "ERROR container does not exist"),
    case("--root ROOT kill nosuch", 1, "", "ERROR container does not exist"),
    case("--root ROOT kill -- nosuch 9", 1, "", "ERROR container does not exist"),
    case("--root ROOT kill --all nosuch KILL", 1, "", "ERROR container does not exist"),
    case("--root ROOT kill nosuch --all", 1, "", "ERROR container does not exist"),
    case("--root ROOT kill nosuch FOO", 1, "", "ERROR container does not exist"),
    case("--root ROOT pause nosuch", 1, "", "ERROR container does not exist"),
    case("--root ROOT resume nosuch", 1, "", "ERROR container does not exist"),
    case("--root ROOT ps nosuch", 1, "", "ERROR container does not exist"),
    case("--root ROOT delete nosuch", 1, "", "ERROR container does not exist"),
    case("--root ROOT delete --force nosuch", 0, "", ""),
    case("--root ROOT delete nosuch -force", 0, "", ""),
    case("--root ROOT delete -force=false nosuch", 1, "", "ERROR container does not exist"),
    case("--root ROOT delete -f ..", 1, "", "ERROR invalid container ID format"),
    case("--root ROOT state a/b", 1, "", "ERROR invalid container ID format"),
    case("--root ROOT exec nosuch true", 255, "", "ERROR exec failed: container does not exist"),
    case("--root ROOT exec nosuch true --nosuch-flag", 255, "", "ERROR exec failed: container does not exist"),
    case("--root ROOT exec -t nosuch -- true", 255, "", "ERROR exec failed: container does not exist"),
    case("--root ROOT update nosuch", 1, "", "ERROR container does not exist"),
    case("--root ROOT update nosuch -memory 1x --cpu-share x", 1, "", "ERROR container does not exist"),
    case("--root ROOT update --resources=/nonexistent nosuch", 1, "", "ERROR container does not exist"),
    case("--root ROOT update --kernel-memory 1 nosuch", 1, "", "ERROR container does not exist"),
    case("--root ROOT list", 0, "ID          PID         STATUS      BUNDLE      CREATED     OWNER", ""),
    case("--root ROOT list -q", 0, "", ""),
    case("--root ROOT list --format json", 0, "null", ""),
    case("--root ROOT list --format xml", 1, "", "ERROR invalid format option"),
    case("list --root ROOT -f=json", 0, "null", ""),
    case("state nosuch --root=ROOT", 1, "", "ERROR container does not exist"),
    case("--root ROOT/missing list", 1, "", "ERROR open ROOT/missing: no such file or directory"),
];

/// `(runtimes by prefix, line, why)`.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("runc version 1", "nosuch", "cli v1 ends the text with a newline"),
    ("runc version 1", "version", "cli v1 ends the text with a newline"),
    ("runc version 1", "help nosuch", "cli v1 ends the text with a newline"),
    ("runc version 1", "kill a 9 --all", "cli v1 takes flags of `kill` behind its arguments too"),
    ("runc version 1.1", "--root / state a", "came with 1.2"),
    ("runc version 1.1", "--root=/a/.. state a", "came with 1.2"),
    ("runc version 1.1", "--root / exec a true", "came with 1.2"),
    ("runc version 1.1", "--root ROOT/missing list", "came with 1.2"),
    ("runc version 1", "create -x a", "cli v1 complains on stdout"),
    ("runc version 1", "exec --no a", "cli v1 complains on stdout"),
    ("runc version 1", "run -dt a", "cli v1 complains on stdout"),
    ("runc version 1", "--no state", "cli v1 complains on stdout"),
    ("runc version 1", "update --pids x a", "cli v1 complains on stdout"),
    ("runc version 1", "update a -pids-limit x", "cli v1 complains on stdout, in other words"),
    ("runc version 1", "create -b", "cli v1 complains on stdout"),
    ("runc version 1", "list --root ROOT -f=json", "cli v1 takes global flags before the command only"),
    ("runc version 1", "seccomp", "ours"),
    ("runc version 1", "seccomp a b", "ours"),
    ("runc version 1", "seccomp --help", "ours"),
    ("runc version 1", "seccomp /nonexistent/p", "ours"),
    ("runc version 1", "state nosuch --root=ROOT", "cli v1 takes global flags before the command only"),
];

fn runtime() -> PathBuf {
    match std::env::var_os("RUNTIME") {
        Some(path) if !path.is_empty() => path.into(),
        _ => env!("CARGO_BIN_EXE_dunnage").into(),
    }
}

fn first_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).lines().next().unwrap_or_default().to_owned()
}

fn version() -> String {
    first_line(&Command::new(runtime()).arg("--version").output().unwrap().stdout)
}

fn run(args: &[String], dir: &Path) -> Output {
    let mut command = Command::new(runtime());
    command.args(args).current_dir(dir).stdin(Stdio::null()).env_remove("XDG_RUNTIME_DIR");
    command.output().unwrap()
}

/// A record of logrus' text form, without the time, as `LEVEL message`; other lines as they are.
fn readable(line: &str) -> String {
    let Some(rest) = line.strip_prefix("time=\"") else { return line.to_owned() };
    let (time, rest) = rest.split_once("\" level=").unwrap();
    assert!(time.len() >= 20 && time.as_bytes()[10] == b'T', "{time}");
    let (level, message) = rest.split_once(" msg=").unwrap();
    let message = serde_json::from_str::<String>(message).unwrap_or_else(|_| message.to_owned());
    format!("{} {message}", level.to_uppercase())
}

#[test]
fn command_lines() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let (root, program, version) = (root.to_str().unwrap(), runtime(), version());
    let fill = |text: &str| text.replace("ROOT", root).replace("RUNTIME", program.to_str().unwrap());
    let mut wrong = Vec::new();
    for case in CASES {
        let args: Vec<String> = case.line.split_whitespace().map(fill).collect();
        let out = run(&args, dir.path());
        let stderr = String::from_utf8_lossy(&out.stderr);
        let stderr: Vec<String> = stderr.lines().filter(|l| !l.is_empty()).map(readable).collect();
        let seen = (out.status.code(), first_line(&out.stdout), stderr.join("|"));
        let wanted = (Some(case.code), fill(case.stdout), fill(case.stderr));
        let difference = DIFFERENCES.iter().find(|(r, line, _)| version.starts_with(r) && *line == case.line);
        match (seen == wanted, difference) {
            (true, None) | (false, Some(_)) => {}
            (false, None) => wrong.push(format!("{:?}: {seen:?}, not {wanted:?}", case.line)),
            (true, Some(_)) => wrong.push(format!("{:?} is listed as a difference, and is none", case.line)),
        }
    }
    assert!(wrong.is_empty(), "{version}:\n{}", wrong.join("\n"));
}

/// podman reads the file as one object; conmon reads stderr.
#[test]
fn a_log_file_holds_one_object_and_stderr_the_bare_message() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log.json");
    for round in 1..=2 {
        let args = ["--root", ".", "--log", "log.json", "--log-format", "json", "state", "a<b"].map(Into::into);
        let out = run(&args, dir.path());
        assert_eq!(out.status.code(), Some(1));
        assert_eq!(String::from_utf8_lossy(&out.stderr), "invalid container ID format\n");
        assert!(out.stdout.is_empty());
        let text = std::fs::read_to_string(&log).unwrap();
        // Appended to, not truncated: the shim gives all commands of a container one file.
        assert_eq!(text.lines().count(), round, "{text}");
        let record: BTreeMap<String, Value> = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(record.keys().map(String::as_str).collect::<Vec<_>>(), ["level", "msg", "time"]);
        assert_eq!((&record["level"], &record["msg"]), (&"error".into(), &"invalid container ID format".into()));
        let time = record["time"].as_str().unwrap();
        assert!(time.len() >= 20 && time.contains('T'), "{time}");
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&log).unwrap().permissions());
    assert_eq!(mode & 0o133, 0, "{mode:o}");
}

/// What was wrong with the command line goes to the log as well, in the text form.
#[test]
fn a_log_file_hears_of_usage_errors() {
    let dir = tempfile::tempdir().unwrap();
    run(&["--log", "log", "create"].map(Into::into), dir.path());
    run(&["--log", "log", "create", "--nosuch"].map(Into::into), dir.path());
    run(&["--log", "log", "nosuch"].map(Into::into), dir.path());
    let text = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let records: Vec<String> = text.lines().map(readable).collect();
    assert_eq!(records.len(), 3, "{text}");
    assert!(records[0].ends_with("\"create\" requires exactly 1 argument(s)"), "{text}");
    assert_eq!(records[1], "ERROR flag provided but not defined: -nosuch");
    assert!(records[2].starts_with("ERROR No help topic for 'nosuch'"), "{text}");
}

/// go-runc and Docker look at the first word and at `commit:`; nothing may stand on stderr.
#[test]
fn version_lines() {
    for flag in ["--version", "-v", "-version"] {
        let out = run(&[flag.into()], Path::new("/"));
        assert!(out.status.success() && out.stderr.is_empty());
        let text = String::from_utf8(out.stdout).unwrap();
        let name = version().split(' ').next().unwrap().to_owned();
        assert!(text.starts_with(&format!("{name} version ")), "{text}");
        assert!(text.lines().any(|l| l.starts_with("spec: 1.")), "{text}");
    }
}

/// Under the name of runc the first line is the one that go-runc takes.
#[test]
fn version_under_the_name_of_runc() {
    let dir = tempfile::tempdir().unwrap();
    let runc = dir.path().join("runc");
    std::os::unix::fs::symlink(runtime(), &runc).unwrap();
    let out = Command::new(&runc).arg("--version").output().unwrap();
    assert!(first_line(&out.stdout).starts_with("runc version "), "{:?}", first_line(&out.stdout));
}

/// Without its standard descriptors a process must not take them for other files.
#[test]
fn closed_standard_descriptors_are_no_ones_file() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("exec {} --log log state a/b <&- >&- 2>&-", runtime().display());
    let status = Command::new("sh").args(["-c", &script]).current_dir(dir.path()).status().unwrap();
    assert_eq!(status.code(), Some(1));
    // The bare message for stderr did not land in what would have been descriptor 2, the log.
    let text = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(text.lines().map(readable).collect::<Vec<_>>(), ["ERROR invalid container ID format"]);
}
