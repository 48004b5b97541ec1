//! Names in a seccomp profile. Names of system calls are not checked: those that the kernel does not have are skipped.

use super::Check;
use crate::spec::names::{self, number};
use crate::spec::{Seccomp, Syscall, text};

/// System calls have six arguments.
const LAST_ARG: u32 = 5;

impl Check<'_> {
    pub(super) fn seccomp(&mut self, profile: &Seccomp) {
        let at = "/linux/seccomp";
        if profile.default_action.is_empty() && profile.syscalls.is_empty() {
            return;
        }
        for (i, flag) in profile.flags.iter().flatten().enumerate() {
            if number(&names::SECCOMP_FLAGS, flag).is_none() {
                let why = format!("seccomp flag {flag} is not known to runc");
                self.error(format!("{at}/flags/{i}"), why);
            }
        }
        for (i, arch) in profile.architectures.iter().enumerate() {
            if number(names::SECCOMP_ARCHITECTURES, arch).is_none() {
                let why = format!("string {arch} is not a valid arch for seccomp");
                self.error(format!("{at}/architectures/{i}"), why);
            }
        }
        self.action(&profile.default_action, &format!("{at}/defaultAction"));
        self.errno(&profile.default_action, profile.default_errno_ret, &format!("{at}/defaultErrnoRet"));
        let notify = "SCMP_ACT_NOTIFY";
        if profile.default_action == notify {
            self.error(format!("{at}/defaultAction"), "SCMP_ACT_NOTIFY cannot be used as default action");
        }
        for (i, rule) in profile.syscalls.iter().enumerate() {
            self.rule(rule, &format!("{at}/syscalls/{i}"));
        }
        let notifies = profile.syscalls.iter().any(|rule| rule.action == notify);
        if notifies && profile.listener_path.is_empty() {
            self.error(format!("{at}/listenerPath"), "seccomp listenerPath is not set");
        }
        if profile.listener_path.is_empty() && !profile.listener_metadata.is_empty() {
            self.error(format!("{at}/listenerMetadata"), "seccomp listenerMetadata is set, but listenerPath is not");
        }
        self.no_nul(format!("{at}/listenerPath"), "seccomp listenerPath", &profile.listener_path);
    }

    fn action(&mut self, action: &str, at: &str) {
        if number(names::SECCOMP_ACTIONS, action).is_none() {
            self.error(at, format!("string {action} is not a valid action for seccomp"));
        }
    }

    fn errno(&mut self, action: &str, errno: Option<u32>, at: &str) {
        if let Some(errno) = errno.filter(|_| !matches!(action, "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE")) {
            let action = text::one_line(action);
            self.error(at, format!("seccomp action {action} does not support an errno, but {errno} is given"));
        }
    }

    fn rule(&mut self, rule: &Syscall, at: &str) {
        self.action(&rule.action, &format!("{at}/action"));
        self.errno(&rule.action, rule.errno_ret, &format!("{at}/errnoRet"));
        if rule.names.is_empty() {
            self.error(format!("{at}/names"), "a seccomp rule must name at least one syscall");
        }
        // The agent is told by a write: it would wait for itself.
        if rule.action == "SCMP_ACT_NOTIFY" && rule.names.iter().any(|name| name == "write") {
            self.error(format!("{at}/names"), "SCMP_ACT_NOTIFY cannot be used for the write syscall");
        }
        for (i, arg) in rule.args.iter().enumerate() {
            if number(names::SECCOMP_OPERATORS, &arg.op).is_none() {
                let why = format!("string {} is not a valid operator for seccomp", arg.op);
                self.error(format!("{at}/args/{i}/op"), why);
            }
            if arg.index > LAST_ARG {
                let why = format!("seccomp argument index {} is larger than {LAST_ARG}", arg.index);
                self.error(format!("{at}/args/{i}/index"), why);
            }
        }
    }
}
