//! What a profile says of one call: a second reading of its text, rule by rule, that shares nothing with the compiler but the
//! tables of architectures and numbers. It has no tree, no ranges and no program, so that it can be read and believed.
//! The tests and the fuzz target of seccomp (which includes this file) hold programs against it.

use dunnage::seccomp::arch::{self, Arch, Call};
use dunnage::seccomp::bpf::SeccompData;
use dunnage::spec::{Seccomp, Syscall};

const X86_64_AUDIT: u32 = 0xc000_003e;
const X32_BIT: u32 = 0x4000_0000;
const ENOSYS: u32 = 0x0005_0026;

/// Names as in config.json, `SECCOMP_RET_*`, and whether `errnoRet` is added.
pub const ACTIONS: [(&str, u32, bool); 9] = [
    ("SCMP_ACT_ALLOW", 0x7fff_0000, false),
    ("SCMP_ACT_ERRNO", 0x0005_0000, true),
    ("SCMP_ACT_KILL", 0, false),
    ("SCMP_ACT_KILL_PROCESS", 0x8000_0000, false),
    ("SCMP_ACT_KILL_THREAD", 0, false),
    ("SCMP_ACT_LOG", 0x7ffc_0000, false),
    ("SCMP_ACT_NOTIFY", 0x7fc0_0000, false),
    ("SCMP_ACT_TRACE", 0x7ff0_0000, true),
    ("SCMP_ACT_TRAP", 0x0003_0000, false),
];

/// Names, at the place that is their `enum scmp_compare`.
pub const OPERATORS: [&str; 8] = [
    "",
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
];
const LT: u32 = 2;
const LE: u32 = 3;
const EQ: u32 = 4;
const GT: u32 = 6;
const MASKED_EQ: u32 = 7;

/// index, operator, value, value two
pub type Comparison = (u32, u32, u64, u64);

/// One rule about one name: name, action, comparisons of different arguments, all of which have to hold.
pub type Rule = (String, u32, Vec<Comparison>);

/// A rule on one architecture.
#[derive(Debug)]
struct Numbered {
    number: u32,
    /// libseccomp's order: the least comes first.
    rank: Vec<(u32, u32, u32)>,
    /// Index into [`Reference::rules`].
    rule: usize,
    action: u32,
    comparisons: Vec<Comparison>,
}

#[derive(Debug)]
struct OfArch {
    arch: &'static Arch,
    width: u64,
    /// Calls with a higher number are younger than the profile.
    newest: Option<u32>,
    /// By number, and of one number in the order in which they count.
    rules: Vec<Numbered>,
}

/// A profile, read.
#[derive(Debug)]
pub struct Reference {
    /// What happens where no rule holds.
    pub default: u32,
    /// Every rule, one name each, in the order of the profile.
    pub rules: Vec<Rule>,
    arches: Vec<OfArch>,
}

impl Reference {
    /// Reads a profile that the compiler has taken, with our own numbers.
    pub fn new(seccomp: &Seccomp, native: &'static Arch) -> Reference {
        Reference::with_numbers(seccomp, native, |arch, name| Call::by_name(name)?.number(arch))
    }

    /// The same with the numbers of somebody else.
    pub fn with_numbers(
        seccomp: &Seccomp,
        native: &'static Arch,
        number: impl Fn(&Arch, &str) -> Option<u32>,
    ) -> Reference {
        let default = action(&seccomp.default_action, seccomp.default_errno_ret);
        let rules: Vec<Rule> = seccomp.syscalls.iter().flat_map(rules_of).collect();
        let mut arches: Vec<&'static Arch> = vec![native];
        for arch in seccomp.architectures.iter().filter_map(|name| arch::by_name(name)) {
            if !arches.contains(&arch) {
                arches.push(arch);
            }
        }
        // Whether calls that are younger than the profile get ENOSYS: not where the default lets them pass or asks a tracer.
        let closed = !["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"].contains(&seccomp.default_action.as_str());
        let names = || seccomp.syscalls.iter().flat_map(|s| &s.names);
        let arches = arches.into_iter().map(|arch| {
            let listed = seccomp.architectures.is_empty() || seccomp.architectures.iter().any(|a| a == arch.name);
            let multiplexer = |name| Some(Call::by_name(name)?.multiplexer(arch)?.0);
            let newest = names().flat_map(|name| [number(arch, name), multiplexer(name)]).flatten();
            let newest = newest.filter(|n| !is_private(arch, *n)).max();
            let width = if arch.wide { u64::MAX } else { 0xffff_ffff };
            OfArch {
                arch,
                width,
                newest: newest.filter(|n| closed && listed && *n > 0),
                rules: numbered(&rules, default, arch, width, &number),
            }
        });
        Reference { default, arches: arches.collect(), rules }
    }

    /// What the filter has to return.
    pub fn answer(&self, data: &SeccompData) -> u32 {
        if self.is_newer(data) {
            return ENOSYS;
        }
        let of_audit = || self.arches.iter().filter(|a| a.arch.audit == data.arch);
        let has_x32 = of_audit().any(|a| a.arch.name == "SCMP_ARCH_X32");
        match self.arch_of(data) {
            // Without x32 the bit 30 and all above it are nobody's.
            Some(of) if of.arch.name != "SCMP_ARCH_X86_64" || data.nr < X32_BIT || has_x32 => {
                let first = of.about(data.nr).iter().find(|rule| rule.holds(data, of.width));
                first.map_or(self.default, |rule| rule.action)
            }
            // -1 is how a tracer says that the call be skipped.
            _ if has_x32 || (data.nr == u32::MAX && of_audit().count() > 0) => self.default,
            _ => 0,
        }
    }

    /// Whether the call is younger than the profile.
    pub fn is_newer(&self, data: &SeccompData) -> bool {
        let Some(of) = self.arch_of(data) else { return false };
        let Some(newest) = of.newest else { return false };
        // s390 has 0 where a number is too great for it.
        let s390 = of.arch.name.starts_with("SCMP_ARCH_S390");
        !is_private(of.arch, data.nr) && (data.nr > newest || (s390 && data.nr == 0))
    }

    /// The architecture that a call is of.
    pub fn arch(&self, data: &SeccompData) -> Option<&'static Arch> {
        self.arch_of(data).map(|of| of.arch)
    }

    /// The rules about a call, as indices into `rules`, each with whether it holds; in the order in which they count.
    pub fn rules_about(&self, data: &SeccompData) -> Vec<(usize, bool)> {
        let Some(of) = self.arch_of(data) else { return Vec::new() };
        of.about(data.nr).iter().map(|r| (r.rule, r.holds(data, of.width))).collect()
    }

    fn arch_of(&self, data: &SeccompData) -> Option<&OfArch> {
        let x32 = data.nr & X32_BIT != 0;
        let mut of_audit = self.arches.iter().filter(|a| a.arch.audit == data.arch);
        of_audit.find(|a| data.arch != X86_64_AUDIT || x32 == (a.arch.name == "SCMP_ARCH_X32"))
    }
}

impl OfArch {
    fn about(&self, number: u32) -> &[Numbered] {
        let start = self.rules.partition_point(|r| r.number < number);
        let end = self.rules.partition_point(|r| r.number <= number);
        &self.rules[start..end]
    }
}

impl Numbered {
    fn holds(&self, data: &SeccompData, width: u64) -> bool {
        self.comparisons.iter().all(|(index, op, value, two)| {
            let (arg, value, two) = (data.args[*index as usize] & width, value & width, two & width);
            match *op {
                1 => arg != value,
                LT => arg < value,
                LE => arg <= value,
                EQ => arg == value,
                5 => arg >= value,
                GT => arg > value,
                _ => arg & value == two & value,
            }
        })
    }
}

/// `SECCOMP_RET_*` with its data.
pub fn action(name: &str, errno: Option<u32>) -> u32 {
    let (_, ret, takes_errno) = ACTIONS.iter().find(|(n, ..)| *n == name).expect("an action");
    if *takes_errno { ret | errno.unwrap_or(1) } else { *ret }
}

/// An entry of `syscalls`, by name. If two comparisons are of one argument, each is a rule of its own.
fn rules_of(syscall: &Syscall) -> Vec<Rule> {
    let operator = |name: &str| OPERATORS.iter().position(|o| *o == name).expect("an operator") as u32;
    let args: Vec<Comparison> = syscall.args.iter().map(|a| (a.index, operator(&a.op), a.value, a.value_two)).collect();
    let twice = args.iter().enumerate().any(|(i, a)| args[..i].iter().any(|b| a.0 == b.0));
    let alternatives = if twice { args.into_iter().map(|a| vec![a]).collect() } else { vec![args] };
    let ret = action(&syscall.action, syscall.errno_ret);
    let of = |name: &String| alternatives.iter().map(|args| (name.clone(), ret, args.clone())).collect::<Vec<_>>();
    syscall.names.iter().flat_map(of).collect()
}

/// The rules on one architecture but those of the default action, which are none. `socket` is also `socketcall(1)` where there is one: the selector then stands in the place of
/// a comparison of the first argument.
fn numbered(
    rules: &[Rule],
    default: u32,
    arch: &Arch,
    width: u64,
    number: &impl Fn(&Arch, &str) -> Option<u32>,
) -> Vec<Numbered> {
    let mut all = Vec::new();
    for (rule, (name, action, args)) in rules.iter().enumerate().filter(|(_, r)| r.1 != default) {
        let multiplexed = Call::by_name(name).and_then(|c| c.multiplexer(arch));
        let multiplexed = multiplexed.map(|(n, selector)| (n, Some((0, EQ, u64::from(selector), 0))));
        let direct = number(arch, name).map(|n| (n, None));
        for (number, selector) in multiplexed.into_iter().chain(direct) {
            let kept = args.iter().filter(|a| selector.is_none() || a.0 != 0).copied();
            let mut comparisons: Vec<Comparison> = selector.into_iter().chain(kept).collect();
            comparisons.sort_by_key(|c| c.0);
            // Under an empty mask all is equal.
            comparisons.retain(|c| c.1 != MASKED_EQ || c.2 & width != 0);
            let rank = comparisons.iter().flat_map(|c| rank(c, width)).collect();
            all.push(Numbered { number, rank, rule, action: *action, comparisons });
        }
    }
    all.sort_by(|a: &Numbered, b| (a.number, &a.rank).cmp(&(b.number, &b.rank)));
    all
}

/// Higher arguments first; equality before upper bounds before lower bounds; the tighter bound first.
fn rank((index, op, value, two): &Comparison, width: u64) -> [(u32, u32, u32); 2] {
    let value = if *op == MASKED_EQ { value & two } else { *value } & width;
    [(value >> 32) as u32, value as u32].map(|word| match *op {
        LT | LE => (6 - index, 1, word),
        5 | GT => (6 - index, 2, u32::MAX - word),
        _ => (6 - index, 0, u32::MAX - word),
    })
}

/// ARM's private calls are numbered apart.
fn is_private(arch: &Arch, number: u32) -> bool {
    arch.name == "SCMP_ARCH_ARM" && number >= 0xf_0000
}
