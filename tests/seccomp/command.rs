//! `dunnage seccomp`: what a person sees of a profile, in each of the three forms in which one comes.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use dunnage::seccomp::bpf::{SeccompData, run};
use dunnage::seccomp::engine::{Circumstances, Profile};
use dunnage::seccomp::{arch, compile};
use serde_json::{Value, json};

use crate::real_profile::{CAPS, FILE, profile};

fn seccomp(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dunnage"))
        .arg("seccomp")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end without reading.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn shown(args: &[&str], stdin: &str) -> String {
    let out = seccomp(args, stdin);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn refused(stdin: &str) -> String {
    let out = seccomp(&["-"], stdin);
    assert_eq!((out.status.code(), out.stdout.len()), (Some(1), 0));
    let text = String::from_utf8(out.stderr).unwrap();
    text.split_once("msg=").unwrap().1.trim().trim_matches('"').to_owned()
}

const PROFILE: &str = r#"{
    "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"], "flags": [],
    "listenerPath": "/run/agent.sock",
    "syscalls": [
        {"names": ["read", "write", "no\u001bsuch"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"},
        {"names": ["socket"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 4294967311, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]}
    ]}"#;

#[test]
fn a_profile_alone_and_in_a_config() {
    let alone = shown(&["-"], PROFILE);
    let config = json!({"ociVersion": "1.0.2", "linux": {"seccomp": serde_json::from_str::<Value>(PROFILE).unwrap()}});
    assert_eq!(shown(&["-"], &config.to_string()), alone);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    std::fs::write(&file, config.to_string()).unwrap();
    assert_eq!(shown(&[file.to_str().unwrap()], ""), alone);

    for part in [
        "default: ERRNO(1 EPERM)\nlistener: /run/agent.sock\nskipped, no architecture has them: no\\x1bsuch\n",
        "\nSCMP_ARCH_X86_64 (audit 0xc000003e)\n  ALLOW: read write\n",
        "  NOTIFY: mkdir\n",
        "  socket:\n    ALLOW if a0 == 0x1 and a1 & 0x10000000f == 0x3\n    ERRNO(1 EPERM) otherwise\n",
        "\nSCMP_ARCH_X86 (audit 0x40000003)\n",
        // The selector in the place of the condition on a0, and a word about it.
        "  socketcall:\n    ALLOW if a0 == 0x1 (socket) and a1 & 0xf == 0x3\n",
        "their other arguments lie in memory, which no filter reads",
        "  above 359 (socket), the newest that the profile names: ERRNO(38 ENOSYS)\n",
        "\nother architectures: KILL_THREAD\n",
        " instructions\n    load arch\n    if arch ",
        "0xc000003e (SCMP_ARCH_X86_64)",
        "if a1.high & 0x1 != 0x0 goto L",
        "    return NOTIFY\n",
    ] {
        assert!(alone.contains(part), "no {part:?} in {alone}");
    }
}

/// The labels are where the jumps lead, and the listing has an instruction a line: read back, it is the program.
#[test]
fn the_listing_is_the_program() {
    let text = shown(&[FILE], "");
    let (count, listing) = text.rsplit_once(" instructions\n").unwrap();
    let count: usize = count.rsplit_once('\n').unwrap().1.parse().unwrap();
    let mut labels = Vec::new();
    let mut at = 0;
    for line in listing.lines() {
        match line.strip_prefix('L') {
            Some(label) => labels.push((label.trim_end_matches(':').parse::<usize>().unwrap(), at)),
            None => at += 1,
        }
    }
    assert_eq!(at, count);
    assert!(labels.len() > 20 && labels.iter().all(|(label, at)| label == at), "{labels:?}");
    for target in listing.split_whitespace().filter_map(|word| word.strip_prefix('L')).filter(|w| !w.ends_with(':')) {
        assert!(labels.iter().any(|(label, _)| label.to_string() == target), "L{target}");
    }
}

/// The engine's file, resolved, against the harness's own reading of it; and the capabilities that are asked for.
#[test]
fn a_profile_of_an_engine() {
    let text = std::fs::read(FILE).unwrap();
    let native = arch::by_name("SCMP_ARCH_X86_64").unwrap();
    for caps in [&CAPS[..], &[], &["CAP_SYS_ADMIN", "CAP_AUDIT_WRITE", "CAP_SYS_PTRACE"]] {
        let engine: Profile = serde_json::from_slice(&text).unwrap();
        assert!(engine.asks_for_capabilities());
        let capabilities: Vec<String> = caps.iter().map(|c| (*c).to_owned()).collect();
        let of = Circumstances { native, capabilities: &capabilities, kernel: (6, 1) };
        assert_eq!(engine.resolve(&of).unwrap(), profile(caps));
    }
    let of = |text: &str, name: &str| {
        let x86_64 = text.split("\nSCMP_ARCH_").nth(1).unwrap();
        let mut what = String::new();
        for line in x86_64.lines().skip(1) {
            if let Some((action, _)) =
                line.strip_prefix("  ").filter(|l| !l.starts_with(' ')).and_then(|l| l.split_once(':'))
            {
                what = action.to_owned();
            }
            if line.split_whitespace().any(|word| word == name) {
                return what;
            }
        }
        panic!("no {name} in {x86_64}")
    };
    let default = shown(&[FILE], "");
    assert!(default.starts_with("for a container with CAP_CHOWN CAP_DAC_OVERRIDE "), "{default}");
    assert_eq!((of(&default, "bpf"), of(&default, "chroot")), ("ERRNO(1 EPERM)".into(), "ALLOW".into()));
    let admin = shown(&["--cap", "CAP_SYS_ADMIN", "--cap=CAP_FOO", FILE], "");
    assert!(admin.starts_with("for a container with CAP_SYS_ADMIN CAP_FOO\n"), "{admin}");
    assert_eq!((of(&admin, "bpf"), of(&admin, "chroot")), ("ALLOW".into(), "ERRNO(1 EPERM)".into()));
}

/// What it says of a call is what the filter answers.
#[test]
fn every_call_is_said_to_get_what_it_gets() {
    let native = arch::native().unwrap();
    let filter = compile(&profile(&CAPS), native, 0).unwrap().unwrap().filter;
    let text = shown(&["--cap", "CAP_CHOWN", "--cap", "CAP_SYS_CHROOT", "--cap", "CAP_SETUID", FILE], "");
    let section = text.split(&format!("\n{} ", native.name)).nth(1).unwrap().split("\nSCMP_ARCH_").next().unwrap();
    let mut compared = 0;
    let mut action = None;
    for line in section.lines().skip(1) {
        let mut words = line.trim_start();
        if !line.starts_with("    ") {
            let (what, rest) = words.split_once(':').unwrap();
            action = match what {
                "ALLOW" => Some(0x7fff_0000),
                "ERRNO(1 EPERM)" => Some(0x0005_0001),
                "ERRNO(38 ENOSYS)" => Some(0x0005_0026),
                _ => None,
            };
            words = rest;
        }
        let Some(action) = action else { continue };
        for name in words.split_whitespace() {
            let nr = arch::Call::by_name(name).unwrap().number(native).unwrap();
            let data = SeccompData { nr, arch: native.audit, args: [0; 6] };
            assert_eq!(run(&filter, &data, native.big_endian), Some(action), "{name}");
            compared += 1;
        }
    }
    assert!(compared > 350, "{compared}");
}

#[test]
fn what_is_not_a_profile() {
    for (text, message) in [
        ("{", "parse -: EOF while parsing an object at line 1 column 1"),
        (
            "{}",
            "- is neither a config.json nor a seccomp profile; it has none of linux, process, defaultAction, syscalls",
        ),
        (
            "[1]",
            "- is neither a config.json nor a seccomp profile; it has none of linux, process, defaultAction, syscalls",
        ),
        (r#"{"ociVersion": "1.0.2"}"#, "no seccomp profile: every call is let through (config.json /linux/seccomp)"),
        (r#"{"defaultAction": 5}"#, "invalid type: integer `5`, expected a string (profile /defaultAction)"),
        (
            r#"{"linux": {"seccomp": {"defaultAction": "X"}}}"#,
            "string X is not a valid action for seccomp (config.json /linux/seccomp/defaultAction)",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": ["read"], "action": "X"}]}"#,
            "string X is not a valid action for seccomp (profile /syscalls/0/action)",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"name": "read", "errno": "EPERM"}]}"#,
            "an errno by its name alone: errnoRet is needed (profile /syscalls/0/errno)",
        ),
    ] {
        assert_eq!(refused(text), message);
    }
    assert_eq!(shown(&["-"], r#"{"syscalls": []}"#), "no filter: the profile has neither defaultAction nor syscalls\n");
    let out = seccomp(&["/nonexistent/profile"], "");
    assert!(String::from_utf8_lossy(&out.stderr).contains("open /nonexistent/profile: no such file or directory"));
}
