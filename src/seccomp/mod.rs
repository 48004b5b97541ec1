//! `linux.seccomp` -> a BPF program, and what goes with it to seccomp(2). Pure: asks the kernel nothing, changes nothing.
//!
//! [`rules`] says what a profile means, [`arch`] (over the generated `tables`) which numbers its names have, `emit` which
//! shape the program has, [`bpf`] writes and interprets instructions; [`explain`] and `listing` tell a person what came out.
//! [`engine`] reads profiles that an engine has still to make those of config.json from.
//!
//! The meaning is libseccomp's and runc's. The differences, each of which tests/seccomp knows by name:
//!
//! * libseccomp 2.5 loses or inverts some comparisons other than `EQ` where several rules have them, refuses (EEXIST) some
//!   rules of one call with different actions, and does not come to an end with some others. Here every rule means what it
//!   says.
//! * In the search for the newest call of a profile (see [`rules::Profile::newest`]) runc counts the private calls of 32-bit
//!   ARM, which are numbered from 0xf0000, so that no call is ever newer, and does not count `socket` and others that some
//!   architectures also have behind `socketcall` and `ipc`, so that it may answer ENOSYS to calls that the profile names.
//!   Here it is the other way round.

pub mod arch;
pub mod bpf;
mod emit;
pub mod engine;
mod explain;
mod listing;
pub mod rules;
#[allow(missing_docs)]
mod tables;

pub use arch::{Arch, native};
pub use bpf::SockFilter;
pub use explain::explain;

use crate::error::{Error, Result};
use crate::spec::Seccomp;

/// `SECCOMP_FILTER_FLAG_*` of `linux/seccomp.h`.
pub mod flag {
    /// All threads of the process get the filter.
    pub const TSYNC: u32 = 1 << 0;
    /// Actions other than ALLOW are logged.
    pub const LOG: u32 = 1 << 1;
    /// Speculative store bypass stays allowed.
    pub const SPEC_ALLOW: u32 = 1 << 2;
    /// seccomp(2) returns the descriptor of the listener.
    pub const NEW_LISTENER: u32 = 1 << 3;
    /// A call that waits for its listener's answer can be killed only.
    pub const WAIT_KILLABLE_RECV: u32 = 1 << 5;
}

/// The flags of the specification, in the order of `runc features`.
pub static FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", flag::TSYNC),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", flag::SPEC_ALLOW),
    ("SECCOMP_FILTER_FLAG_LOG", flag::LOG),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", flag::WAIT_KILLABLE_RECV),
];

/// The names of the actions, sorted; for `features`.
pub fn actions() -> impl Iterator<Item = &'static str> {
    rules::ACTIONS.iter().map(|(name, ..)| *name)
}

/// The names of the operators, sorted; for `features`.
pub fn operators() -> impl Iterator<Item = &'static str> {
    rules::OPERATORS.iter().map(|(name, _)| *name)
}

/// The names of the architectures, sorted; for `features`.
pub fn arches() -> impl Iterator<Item = &'static str> {
    arch::ARCHES.iter().map(|a| a.name)
}

/// The names in a profile that no architecture has, which are skipped.
pub fn unknown(seccomp: &Seccomp) -> impl Iterator<Item = &str> {
    let names = seccomp.syscalls.iter().flat_map(|s| &s.names).map(String::as_str);
    names.filter(|name| arch::Call::by_name(name).is_none())
}

/// What seccomp(2) is to be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The instructions, at most [`bpf::MAX_INSTRUCTIONS`].
    pub filter: Vec<SockFilter>,
    /// `SECCOMP_FILTER_FLAG_*`, [`flag::NEW_LISTENER`] included if `notify`.
    pub flags: u32,
    /// A rule notifies: the listener goes to the profile's `listenerPath`.
    pub notify: bool,
    /// Names that no architecture has: skipped.
    pub unknown: Vec<String>,
}

/// Compiles a profile, or nothing if it says nothing (no `defaultAction` and no `syscalls`).
///
/// `native` is the architecture of the host, which a program always has; `supported` are the `SECCOMP_FILTER_FLAG_*` that the
/// kernel knows.
pub fn compile(seccomp: &Seccomp, native: &'static Arch, supported: u32) -> Result<Option<Program>> {
    if seccomp.default_action.is_empty() && seccomp.syscalls.is_empty() {
        return Ok(None);
    }
    let arches = arches_of(seccomp, native)?;
    let profile = rules::Profile::new(seccomp)?;
    let flags = flags(seccomp.flags.as_deref(), supported, profile.notify)?;
    let parts: Vec<_> = arches
        .into_iter()
        .map(|(arch, listed)| emit::Part {
            arch,
            verdicts: profile.verdicts(arch),
            newest: if listed && profile.is_closed() { profile.newest(arch) } else { None },
        })
        .collect();
    let filter = emit::program(&parts, profile.default);
    if filter.len() > bpf::MAX_INSTRUCTIONS {
        let what = format!("the seccomp profile needs a program of more than {} instructions", bpf::MAX_INSTRUCTIONS);
        return Err(Error::new(what).field("/linux/seccomp/syscalls"));
    }
    let unknown = profile.unknown.iter().map(|name| (*name).to_owned()).collect();
    Ok(Some(Program { filter, flags, notify: profile.notify, unknown }))
}

/// The native architecture first, because most calls are its; and whether the profile lists it. The rest as listed.
fn arches_of(seccomp: &Seccomp, native: &'static Arch) -> Result<Vec<(&'static Arch, bool)>> {
    // A profile that lists none is one for the native architecture.
    let mut arches = vec![(native, seccomp.architectures.is_empty())];
    for (i, name) in seccomp.architectures.iter().enumerate() {
        let field = || format!("/linux/seccomp/architectures/{i}");
        let Some(arch) = arch::by_name(name) else {
            return Err(Error::new(format!("string {name} is not a valid arch for seccomp")).field(field()));
        };
        if arch.big_endian != native.big_endian {
            let what = format!(
                "error adding architecture to seccomp filter: {name} has not the byte order of {}",
                native.name
            );
            return Err(Error::new(what).field(field()));
        }
        match arches.iter_mut().find(|(a, _)| *a == arch) {
            Some(known) => known.1 = true,
            None => arches.push((arch, true)),
        }
    }
    Ok(arches)
}

/// The flags for seccomp(2).
fn flags(names: Option<&[String]>, supported: u32, notify: bool) -> Result<u32> {
    let mut flags = if notify { flag::NEW_LISTENER } else { 0 };
    let Some(names) = names else {
        return Ok(flags | (flag::SPEC_ALLOW & supported));
    };
    for (i, name) in names.iter().enumerate() {
        let refuse = |what: String| Error::new(what).field(format!("/linux/seccomp/flags/{i}"));
        let Some((_, flag)) = FLAGS.iter().find(|(n, _)| n == name) else {
            return Err(refuse(format!("seccomp flag {name} is not known to runc")));
        };
        match *flag {
            // The filter is loaded by a process of one thread.
            flag::TSYNC => {}
            flag if flag & supported == 0 => {
                return Err(refuse(format!("seccomp flag {name} is not supported by the kernel")));
            }
            // The kernel refuses it where nobody listens.
            flag::WAIT_KILLABLE_RECV if !notify => {}
            flag => flags |= flag,
        }
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    const X86_64: &str = "SCMP_ARCH_X86_64";

    fn parse(json: &str) -> Seccomp {
        serde_json::from_str(json).unwrap()
    }

    fn compiled(json: &str) -> Result<Option<Program>> {
        compile(&parse(json), arch::by_name(X86_64).unwrap(), flag::LOG | flag::SPEC_ALLOW | flag::WAIT_KILLABLE_RECV)
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        #[rustfmt::skip]
        let table = [
            (r#"{"defaultAction": "SCMP_ACT_FOO"}"#,
             "string SCMP_ACT_FOO is not a valid action for seccomp (config.json /linux/seccomp/defaultAction)"),
            (r#"{"defaultAction": "", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}"#,
             "string  is not a valid action for seccomp (config.json /linux/seccomp/defaultAction)"),
            (r#"{"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/a"}"#,
             "SCMP_ACT_NOTIFY cannot be used as default action (config.json /linux/seccomp/defaultAction)"),
            (r#"{"defaultAction": "SCMP_ACT_KILL", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_FOO"]}"#,
             "string SCMP_ARCH_FOO is not a valid arch for seccomp (config.json /linux/seccomp/architectures/1)"),
            (r#"{"defaultAction": "SCMP_ACT_KILL", "architectures": ["SCMP_ARCH_S390X"]}"#,
             "error adding architecture to seccomp filter: SCMP_ARCH_S390X has not the byte order of SCMP_ARCH_X86_64 \
              (config.json /linux/seccomp/architectures/0)"),
            (r#"{"defaultAction": "SCMP_ACT_KILL", "flags": ["SECCOMP_FILTER_FLAG_FOO"]}"#,
             "seccomp flag SECCOMP_FILTER_FLAG_FOO is not known to runc (config.json /linux/seccomp/flags/0)"),
            (r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}"#,
             "errno 4096 of SCMP_ACT_ERRNO is more than 4095 (config.json /linux/seccomp/defaultAction)"),
            (r#"{"defaultAction": "SCMP_ACT_KILL", "syscalls": [{"names": ["read"], "action": "ALLOW"}]}"#,
             "string ALLOW is not a valid action for seccomp (config.json /linux/seccomp/syscalls/0/action)"),
            (r#"{"defaultAction": "SCMP_ACT_KILL", "syscalls": [{"names": [""], "action": "SCMP_ACT_ALLOW"}]}"#,
             "empty string is not a valid syscall (config.json /linux/seccomp/syscalls/0/names)"),
            (r#"{"defaultAction": "SCMP_ACT_KILL", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW",
                 "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}]}"#,
             "syscalls only have up to 6 arguments, there is no argument 6 (config.json /linux/seccomp/syscalls/0/args/0)"),
            (r#"{"defaultAction": "SCMP_ACT_KILL", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW",
                 "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_FOO"}]}]}"#,
             "string SCMP_CMP_FOO is not a valid operator for seccomp (config.json /linux/seccomp/syscalls/0/args/0)"),
            (r#"{"defaultAction": "SCMP_ACT_KILL", "listenerPath": "/a",
                 "syscalls": [{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]}"#,
             "SCMP_ACT_NOTIFY cannot be used for the write syscall (config.json /linux/seccomp/syscalls/0/action)"),
            (r#"{"defaultAction": "SCMP_ACT_KILL", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}]}"#,
             "seccomp listenerPath is not set (config.json /linux/seccomp/listenerPath)"),
        ];
        for (json, message) in table {
            assert_eq!(compiled(json).unwrap_err().to_string(), message);
        }
        let native = arch::by_name(X86_64).unwrap();
        let old = parse(r#"{"defaultAction": "SCMP_ACT_KILL", "flags": ["SECCOMP_FILTER_FLAG_LOG"]}"#);
        let message = compile(&old, native, 0).unwrap_err().to_string();
        assert!(
            message.starts_with("seccomp flag SECCOMP_FILTER_FLAG_LOG is not supported by the kernel"),
            "{message}"
        );
    }

    #[test]
    fn flags_and_listener() {
        let flags = |flags: &str, action: &str| {
            let json = format!(
                r#"{{"defaultAction": "SCMP_ACT_KILL", "listenerPath": "/a", {flags}
                    "syscalls": [{{"names": ["read", "nonesuch"], "action": "{action}"}}]}}"#
            );
            let program = compiled(&json).unwrap().unwrap();
            assert_eq!(program.unknown, ["nonesuch"]);
            (program.flags, program.notify)
        };
        let all = r#""flags": ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],"#;
        assert_eq!(flags("", "SCMP_ACT_ALLOW"), (flag::SPEC_ALLOW, false));
        assert_eq!(flags(r#""flags": null,"#, "SCMP_ACT_ALLOW"), (flag::SPEC_ALLOW, false));
        assert_eq!(flags(r#""flags": [],"#, "SCMP_ACT_ALLOW"), (0, false));
        assert_eq!(flags(all, "SCMP_ACT_ALLOW"), (flag::LOG, false));
        let notified = flag::LOG | flag::WAIT_KILLABLE_RECV | flag::NEW_LISTENER;
        assert_eq!(flags(all, "SCMP_ACT_NOTIFY"), (notified, true));
    }

    #[test]
    fn nothing_said_is_no_filter() {
        assert_eq!(compiled("{}").unwrap(), None);
        assert!(compiled(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#).unwrap().is_some());
    }

    #[test]
    fn what_is_behind_ipc_is_as_new_as_ipc() {
        let profile = r#"{"defaultAction": "SCMP_ACT_KILL", "syscalls": [{"names": ["read", "semop"], "action": "SCMP_ACT_ALLOW"}]}"#;
        let x86 = arch::by_name("SCMP_ARCH_X86").unwrap();
        let program = compile(&parse(profile), x86, 0).unwrap().unwrap();
        let answer = |nr, selector| {
            let data = bpf::SeccompData { nr, arch: x86.audit, args: [selector, 0, 0, 0, 0, 0] };
            bpf::run(&program.filter, &data, false)
        };
        let (kill, allow, enosys) = (Some(0), Some(0x7fff_0000), Some(0x0005_0026));
        for (nr, selector, expected) in [
            (3, 0, allow),
            (4, 1, kill),
            (117, 1, allow),
            (117, 2, kill),
            // Once allowed, with a first argument of 1: `newest` was 3, and the spans were not in order.
            (118, 1, enosys),
            (u32::MAX, 1, enosys),
        ] {
            assert_eq!(answer(nr, selector), expected, "{nr} {selector}");
        }
    }

    #[test]
    fn too_long_is_refused() {
        let calls: Vec<String> = (0..20_000)
            .map(|i| {
                format!(
                    r#"{{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW",
                        "args": [{{"index": 1, "value": {i}, "op": "SCMP_CMP_EQ"}}, {{"index": 2, "value": {i}, "op": "SCMP_CMP_LT"}}]}}"#
                )
            })
            .collect();
        let json = format!(r#"{{"defaultAction": "SCMP_ACT_KILL", "syscalls": [{}]}}"#, calls.join(","));
        let message = compiled(&json).unwrap_err().to_string();
        assert!(message.contains(" of more than 4096 instructions (config.json /linux/seccomp/syscalls)"), "{message}");
    }
}
