//! The seccomp profile in libcontainer's numbers, and both ways between that and config.json's names. What the names do is
//! the business of the module `seccomp`; unknown ones are refused there and by `spec`, so here they are an error as well.

use super::object::object;
use crate::error::{Error, Result};
use crate::spec;
use crate::spec::names::{self, SECCOMP_ACTIONS, SECCOMP_ARCHITECTURES, SECCOMP_OPERATORS};

object! {
    /// A system call filter.
    pub struct Seccomp {
        /// See [`SECCOMP_ACTIONS`].
        pub default_action: u32,
        /// See [`SECCOMP_ARCHITECTURES`]; the native one goes without saying.
        pub architectures: Vec<String>,
        /// `SECCOMP_FILTER_FLAG_*`.
        pub flags: Vec<String>,
        /// One name per entry.
        pub syscalls: Vec<Syscall>,
        /// Absent: EPERM.
        pub default_errno_ret: Option<u32>,
        /// Socket of the agent.
        pub listener_path: String,
        /// Text for the agent.
        pub listener_metadata: String,
    }
}

object! {
    /// One action for one call.
    pub struct Syscall {
        /// Of the call.
        pub name: String,
        /// See [`SECCOMP_ACTIONS`].
        pub action: u32,
        /// Absent: EPERM.
        #[serde(rename = "errnoRet")]
        pub errno_ret: Option<u32>,
        /// All must match.
        pub args: Vec<Arg>,
    }
}

object! {
    /// A condition.
    pub struct Arg {
        /// 0..=5.
        pub index: u32,
        /// What it is compared with; the mask of `SCMP_CMP_MASKED_EQ`.
        pub value: u64,
        /// What the masked argument is compared with.
        pub value_two: u64,
        /// See [`SECCOMP_OPERATORS`].
        pub op: u32,
    }
}

/// What runc applies, and writes to the state, if config.json has no `flags`.
const DEFAULT_FLAG: &str = "SECCOMP_FILTER_FLAG_SPEC_ALLOW";

fn number(table: &[(&str, u32)], name: &str) -> Result<u32> {
    names::number(table, name).ok_or_else(|| Error::new(format!("seccomp: unknown name \"{name}\"")))
}

fn name(table: &[(&str, u32)], number: u32) -> Result<String> {
    let found = table.iter().find(|(_, n)| *n == number).map(|(name, _)| (*name).to_owned());
    found.ok_or_else(|| Error::new(format!("state.json: seccomp: unknown number {number}")))
}

impl Seccomp {
    /// From config.json; `None` if the profile does nothing (no default action and no rule).
    pub fn from_spec(profile: &spec::Seccomp) -> Result<Option<Seccomp>> {
        if profile.default_action.is_empty() && profile.syscalls.is_empty() {
            return Ok(None);
        }
        let mut syscalls = Vec::with_capacity(profile.syscalls.iter().map(|s| s.names.len()).sum());
        for rule in &profile.syscalls {
            let action = number(SECCOMP_ACTIONS, &rule.action)?;
            let args = rule.args.iter().map(Arg::from_spec).collect::<Result<Vec<_>>>()?;
            syscalls.extend(rule.names.iter().map(|name| Syscall {
                name: name.clone(),
                action,
                errno_ret: rule.errno_ret,
                args: args.clone(),
            }));
        }
        let mut architectures = Vec::with_capacity(profile.architectures.len());
        for name in &profile.architectures {
            let known = names::number(SECCOMP_ARCHITECTURES, name)
                .ok_or_else(|| Error::new(format!("seccomp: unknown architecture \"{name}\"")))?;
            // Those that libcontainer has no name for are of no host that it runs on.
            architectures.extend(known.map(str::to_owned));
        }
        Ok(Some(Seccomp {
            default_action: number(SECCOMP_ACTIONS, &profile.default_action)?,
            architectures,
            flags: profile.flags.clone().unwrap_or_else(|| vec![DEFAULT_FLAG.to_owned()]),
            syscalls,
            default_errno_ret: profile.default_errno_ret,
            listener_path: profile.listener_path.clone(),
            listener_metadata: profile.listener_metadata.clone(),
        }))
    }

    /// Back to config.json's words, for `exec`, which applies the container's profile to the new process.
    pub fn to_spec(&self) -> Result<spec::Seccomp> {
        let architectures = self.architectures.iter().map(|ours| {
            let found = SECCOMP_ARCHITECTURES.iter().find(|(_, name)| *name == Some(ours.as_str()));
            found
                .map(|(name, _)| (*name).to_owned())
                .ok_or_else(|| Error::new(format!("state.json: seccomp: unknown architecture \"{ours}\"")))
        });
        let syscalls = self.syscalls.iter().map(|rule| {
            Ok(spec::Syscall {
                names: vec![rule.name.clone()],
                action: name(SECCOMP_ACTIONS, rule.action)?,
                errno_ret: rule.errno_ret,
                args: rule.args.iter().map(Arg::to_spec).collect::<Result<_>>()?,
            })
        });
        Ok(spec::Seccomp {
            default_action: name(SECCOMP_ACTIONS, self.default_action)?,
            default_errno_ret: self.default_errno_ret,
            architectures: architectures.collect::<Result<_>>()?,
            flags: Some(self.flags.clone()),
            listener_path: self.listener_path.clone(),
            listener_metadata: self.listener_metadata.clone(),
            syscalls: syscalls.collect::<Result<_>>()?,
        })
    }
}

impl Arg {
    fn from_spec(arg: &spec::Arg) -> Result<Arg> {
        Ok(Arg {
            index: arg.index,
            value: arg.value,
            value_two: arg.value_two,
            op: number(SECCOMP_OPERATORS, &arg.op)?,
        })
    }

    fn to_spec(&self) -> Result<spec::Arg> {
        Ok(spec::Arg {
            index: self.index,
            value: self.value,
            value_two: self.value_two,
            op: name(SECCOMP_OPERATORS, self.op)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(json: serde_json::Value) -> spec::Seccomp {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn names_to_numbers_and_back() {
        let given = profile(serde_json::json!({
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "flags": [],
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
            "syscalls": [
                {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
                 "args": [{"index": 0, "value": 2114060288, "valueTwo": 7, "op": "SCMP_CMP_MASKED_EQ"}]},
            ]
        }));
        let ours = Seccomp::from_spec(&given).unwrap().unwrap();
        assert_eq!(
            serde_json::to_value(&ours).unwrap(),
            serde_json::json!({
                "default_action": 2, "default_errno_ret": 38, "architectures": ["amd64", "arm64"],
                "syscalls": [
                    {"name": "read", "action": 4}, {"name": "write", "action": 4},
                    {"name": "clone", "action": 2, "errnoRet": 1,
                     "args": [{"value": 2114060288, "value_two": 7, "op": 7}]},
                ]
            })
        );
        let back = ours.to_spec().unwrap();
        assert_eq!(back.syscalls.len(), 3, "one name per entry");
        assert_eq!(back.syscalls.get(2), given.syscalls.get(1));
        assert_eq!((&back.flags, &back.architectures), (&given.flags, &given.architectures));
        assert_eq!(Seccomp::from_spec(&back).unwrap().unwrap(), ours);
    }

    #[test]
    fn absent_flags_are_runcs_default() {
        let ours =
            Seccomp::from_spec(&profile(serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW"}))).unwrap().unwrap();
        assert_eq!(ours.flags, ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]);
    }

    #[test]
    fn empty_is_none_and_unknown_is_an_error() {
        assert_eq!(Seccomp::from_spec(&spec::Seccomp::default()), Ok(None));
        for json in [
            serde_json::json!({"defaultAction": "SCMP_ACT_FOO"}),
            serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_Z80"]}),
            serde_json::json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "EQ"}]}]}),
        ] {
            assert!(Seccomp::from_spec(&profile(json.clone())).is_err(), "{json}");
        }
        assert!(Seccomp { default_action: 42, ..Seccomp::default() }.to_spec().is_err());
    }
}
