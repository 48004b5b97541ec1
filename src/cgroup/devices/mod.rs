//! Device rules: `linux.resources.devices`, then the defaults, evaluated into one allow- or deny-list; which is written to
//! devices.allow and devices.deny on v1 ([`v1`]) and compiled to eBPF on v2 ([`ebpf`]). Pure, but for their `apply`.

pub mod ebpf;
pub mod v1;

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, Result};
use crate::spec::{Device, DeviceRule};

/// `mknod`, `read` and `write` as the kernel's bits (BPF_DEVCG_ACC_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access(u8);

impl Access {
    /// Make the node.
    pub const MKNOD: Access = Access(1);
    /// Open for reading.
    pub const READ: Access = Access(2);
    /// Open for writing.
    pub const WRITE: Access = Access(4);
    /// All of them.
    pub const ALL: Access = Access(7);

    /// The kernel's bits.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Of `rwm` in any order; `None` for another letter.
    fn parse(text: &str) -> Option<Access> {
        text.bytes().try_fold(Access(0), |all, letter| {
            let bit = match letter {
                b'm' => Access::MKNOD,
                b'r' => Access::READ,
                b'w' => Access::WRITE,
                _ => return None,
            };
            Some(all.union(bit))
        })
    }

    fn union(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }

    fn minus(self, other: Access) -> Access {
        Access(self.0 & !other.0)
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn meets(self, other: Access) -> bool {
        self.0 & other.0 != 0
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(Access::READ, "r"), (Access::WRITE, "w"), (Access::MKNOD, "m")] {
            f.write_str(if self.meets(bit) { letter } else { "" })?;
        }
        Ok(())
    }
}

/// Block or character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `b`.
    Block,
    /// `c`.
    Char,
}

/// Which devices; `None` is any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Devices {
    /// Their kind.
    pub kind: Kind,
    /// Their major number.
    pub major: Option<u32>,
    /// Their minor number.
    pub minor: Option<u32>,
}

impl Devices {
    /// Every device of `other` is among these.
    fn cover(&self, other: &Devices) -> bool {
        let wider = |a: Option<u32>, b: Option<u32>| a.is_none() || a == b;
        self.kind == other.kind && wider(self.major, other.major) && wider(self.minor, other.minor)
    }

    /// Some device is among both.
    fn meet(&self, other: &Devices) -> bool {
        let same = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        self.kind == other.kind && same(self.major, other.major) && same(self.minor, other.minor)
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<u32>| n.map_or_else(|| "*".into(), |n| n.to_string());
        let kind = if self.kind == Kind::Block { 'b' } else { 'c' };
        write!(f, "{kind} {}:{}", number(self.major), number(self.minor))
    }
}

/// What a container may do with devices: everything or nothing, and the exceptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceList {
    /// What is not an exception is allowed.
    pub default_allow: bool,
    /// The exceptions, none of them empty.
    pub exceptions: BTreeMap<Devices, Access>,
}

/// Allowed in every container, because every C library and every terminal needs them: (path, major, minor). No path:
/// cannot be redefined. All of them are character devices, `rwm`.
pub(crate) const DEFAULTS: [(&str, u32, Option<u32>); 9] = [
    ("/dev/null", 1, Some(3)),
    ("/dev/random", 1, Some(8)),
    ("/dev/full", 1, Some(7)),
    ("/dev/tty", 5, Some(0)),
    ("/dev/zero", 1, Some(5)),
    ("/dev/urandom", 1, Some(9)),
    // /dev/pts/*, /dev/ptmx and /dev/net/tun.
    ("", 136, None),
    ("", 5, Some(2)),
    ("", 10, Some(200)),
];

impl DeviceList {
    /// `linux.resources.devices` in order, then the defaults, but for those whose path `linux.devices` redefines.
    pub fn new(rules: &[DeviceRule], devices: &[Device]) -> Result<DeviceList> {
        let mut list = DeviceList::deny_all();
        for (i, rule) in rules.iter().enumerate() {
            list.apply(rule).map_err(|e| e.field(format!("/linux/resources/devices/{i}")))?;
        }
        let default =
            |e: Error| e.field("/linux/resources/devices").hint("a rule is in the way of the default devices");
        for kind in [Kind::Char, Kind::Block] {
            // To make a node is harmless: the rules are asked again when it is opened.
            list.change(true, Devices { kind, major: None, minor: None }, Access::MKNOD).map_err(default)?;
        }
        for (path, major, minor) in DEFAULTS {
            if path.is_empty() || devices.iter().all(|d| d.path != path) {
                let devices = Devices { kind: Kind::Char, major: Some(major), minor };
                list.change(true, devices, Access::ALL).map_err(default)?;
            }
        }
        Ok(list)
    }

    /// Nothing is allowed.
    pub fn deny_all() -> DeviceList {
        DeviceList { default_allow: false, exceptions: BTreeMap::new() }
    }

    /// Everything is allowed, so that nothing has to be enforced.
    pub fn allows_everything(&self) -> bool {
        self.default_allow && self.exceptions.is_empty()
    }

    /// The kernel's answer: in an allow-list one exception must cover the access, in a deny-list none may touch it.
    pub fn allows(&self, kind: Kind, major: u32, minor: u32, access: Access) -> bool {
        let device = Devices { kind, major: Some(major), minor: Some(minor) };
        let mut matching = self.exceptions.iter().filter(|(devices, _)| devices.cover(&device)).map(|(_, a)| *a);
        if self.default_allow {
            !matching.any(|denied| denied.meets(access))
        } else {
            matching.any(|allowed| access.minus(allowed).is_empty())
        }
    }

    fn apply(&mut self, rule: &DeviceRule) -> Result<()> {
        let access = match Access::parse(&rule.access) {
            Some(access) if !access.is_empty() => access,
            _ => return Err(Error::new(format!("invalid device access {:?}", rule.access))),
        };
        let (major, minor) = (number(rule.major, 12)?, number(rule.minor, 20)?);
        let kinds: &[Kind] = match rule.kind.as_str() {
            "c" | "u" => &[Kind::Char],
            "b" => &[Kind::Block],
            // All of everything starts anew.
            "a" | "" if (major, minor, access) == (None, None, Access::ALL) => {
                *self = DeviceList { default_allow: rule.allow, exceptions: BTreeMap::new() };
                return Ok(());
            }
            // cgroup v1 would take `a 1:3 r` for "everything", whatever follows the `a`. We take it at its word.
            "a" | "" => &[Kind::Char, Kind::Block],
            other => return Err(Error::new(format!("invalid cgroup device type {other:?}"))),
        };
        for &kind in kinds {
            self.change(rule.allow, Devices { kind, major, minor }, access)?;
        }
        Ok(())
    }

    /// One rule on top of the list.
    fn change(&mut self, allow: bool, devices: Devices, access: Access) -> Result<()> {
        if allow != self.default_allow {
            let known = self.exceptions.entry(devices).or_insert(Access(0));
            *known = known.union(access);
            return Ok(());
        }
        // A list without order has no exceptions from exceptions, and cgroup v1 would ignore the request in silence.
        for (wider, theirs) in &self.exceptions {
            // A denial that reaches beyond (`c *:5` after an allowed `c 1:*`) would leave a hole as well.
            let hole = if allow { wider.cover(&devices) } else { wider.meet(&devices) && !devices.cover(wider) };
            if *wider != devices && hole && theirs.meets(access) {
                let mode = if self.default_allow { "deny" } else { "allow" };
                return Err(Error::new(format!(
                    "unable to remove '{mode}' exception: requested rule [{devices} {access}] not supported by devices \
                     cgroupv1 (cannot punch hole in existing wildcard rule [{wider} {theirs}])"
                )));
            }
        }
        // A denial takes away all that it covers. A permission takes away only the very same denial, as on cgroup v1:
        // else the defaults (`c *:* m`) would weaken what the user has denied.
        for (narrower, theirs) in &mut self.exceptions {
            if *narrower == devices || (!allow && devices.cover(narrower)) {
                *theirs = theirs.minus(access);
            }
        }
        self.exceptions.retain(|_, access| !access.is_empty());
        Ok(())
    }
}

/// A device number of so many bits; absent or -1 is any.
fn number(n: Option<i64>, bits: u32) -> Result<Option<u32>> {
    match n {
        None | Some(-1) => Ok(None),
        Some(n) => match u32::try_from(n) {
            Ok(n) if n.checked_shr(bits) == Some(0) => Ok(Some(n)),
            _ => Err(Error::new(format!("invalid device number {n}"))),
        },
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn list(rules: &str) -> Result<DeviceList> {
        DeviceList::new(&serde_json::from_str::<Vec<DeviceRule>>(rules).unwrap(), &[])
    }

    fn lines(list: &DeviceList) -> Vec<String> {
        list.exceptions.iter().map(|(d, a)| format!("{d} {a}")).collect()
    }

    const DENY: &str = r#"{"allow":false,"access":"rwm"}"#;
    const ALLOW: &str = r#"{"allow":true,"access":"rwm"}"#;

    #[test]
    fn the_default_list() {
        let expected = [
            "b *:* m",
            "c *:* m",
            "c 1:3 rwm",
            "c 1:5 rwm",
            "c 1:7 rwm",
            "c 1:8 rwm",
            "c 1:9 rwm",
            "c 5:0 rwm",
            "c 5:2 rwm",
            "c 10:200 rwm",
            "c 136:* rwm",
        ];
        for rules in ["[]".to_string(), format!("[{DENY}]"), format!("[{ALLOW},{DENY}]")] {
            let list = list(&rules).unwrap();
            assert!(!list.default_allow);
            assert_eq!(lines(&list), expected);
        }
        let everything = list(&format!("[{DENY},{ALLOW}]")).unwrap();
        assert!(everything.allows_everything());
    }

    #[test]
    fn a_redefined_default_is_dropped() {
        let null: Device = serde_json::from_str(r#"{"path":"/dev/null","type":"c","major":1,"minor":3}"#).unwrap();
        let list = DeviceList::new(&[], &[null]).unwrap();
        assert!(!lines(&list).contains(&"c 1:3 rwm".into()));
        assert!(list.allows(Kind::Char, 1, 5, Access::ALL));
        assert!(!list.allows(Kind::Char, 1, 3, Access::READ));
        assert!(list.allows(Kind::Char, 1, 3, Access::MKNOD));
    }

    #[test]
    fn rules_in_order() {
        let rule = |allow, kind: &str, numbers: &str, access| {
            let (major, minor) = numbers.split_once(':').unwrap();
            format!(r#"{{"allow":{allow},"type":"{kind}","major":{major},"minor":{minor},"access":"{access}"}}"#)
        };
        let build = |rules: &[String]| list(&format!("[{}]", rules.join(",")));
        // A later denial takes back.
        let l = build(&[rule(true, "b", "8:0", "rw"), rule(false, "b", "8:0", "w")]).unwrap();
        assert!(lines(&l).contains(&"b 8:0 r".into()));
        // ... all that it covers.
        let l = build(&[rule(true, "b", "8:0", "rw"), rule(false, "b", "-1:-1", "rwm")]).unwrap();
        assert!(!lines(&l).iter().any(|line| line.starts_with("b 8")));
        // A deny-list, which the defaults do not weaken.
        let l = build(&[ALLOW.into(), rule(false, "c", "5:1", "rwm"), rule(false, "c", "1:3", "w")]).unwrap();
        assert!(l.default_allow);
        assert_eq!(lines(&l), ["c 5:1 rwm"]);
        // The type `a` with numbers is no permission for everything.
        let l = build(&[rule(true, "a", "1:11", "rw")]).unwrap();
        assert!(
            !l.default_allow && l.allows(Kind::Char, 1, 11, Access::READ) && l.allows(Kind::Block, 1, 11, Access::READ)
        );
        assert!(!l.allows(Kind::Block, 8, 0, Access::READ));
        let e = build(&[rule(true, "c", "-1:-1", "rwm"), rule(false, "c", "1:11", "rw")]).unwrap_err().to_string();
        assert!(e.contains("cannot punch hole in existing wildcard rule [c *:* rwm])"), "{e}");
        assert!(e.contains("/linux/resources/devices/1"), "{e}");
        let e = build(&[rule(true, "c", "1:-1", "w"), rule(false, "c", "-1:5", "w")]).unwrap_err().to_string();
        assert!(e.contains("[c *:5 w] not supported"), "{e}");
        for (bad, what) in [
            (rule(true, "p", "1:1", "r"), r#"invalid cgroup device type "p""#),
            (rule(true, "c", "1:1", ""), r#"invalid device access """#),
            (rule(true, "c", "1:1", "rx"), r#"invalid device access "rx""#),
            (rule(true, "c", "4096:1", "r"), "invalid device number 4096"),
            (rule(true, "c", "1:1048576", "r"), "invalid device number 1048576"),
            (rule(true, "c", "-2:1", "r"), "invalid device number -2"),
        ] {
            assert!(build(&[bad]).unwrap_err().to_string().starts_with(what));
        }
    }

    /// Few numbers, so that rules meet; the edges of what a device number can be.
    fn numbers(max: u32) -> impl Strategy<Value = Option<u32>> {
        prop_oneof![Just(None), Just(Some(max)), (0u32..4).prop_map(Some)]
    }

    pub fn devices() -> impl Strategy<Value = Devices> {
        let kind = prop_oneof![Just(Kind::Block), Just(Kind::Char)];
        (kind, numbers(4095), numbers(1_048_575)).prop_map(|(kind, major, minor)| Devices { kind, major, minor })
    }

    pub fn access() -> impl Strategy<Value = Access> {
        (1u8..8).prop_map(Access)
    }

    fn rule() -> impl Strategy<Value = DeviceRule> {
        (any::<bool>(), prop_oneof![Just("a"), Just("b"), Just("c")], devices(), access()).prop_map(
            |(allow, kind, d, access)| DeviceRule {
                allow,
                kind: kind.into(),
                major: d.major.map(i64::from),
                minor: d.minor.map(i64::from),
                access: access.to_string(),
            },
        )
    }

    proptest! {
        /// Against the meaning of the rules: for each kind of access, the last rule that matches decides. The list may be
        /// stricter (a permission does not weaken a narrower denial in a deny-list), never laxer.
        #[test]
        fn never_laxer_than_the_rules(
            rules in proptest::collection::vec(rule(), 0..6), device in devices(), bit in 0u8..3
        ) {
            let mut list = DeviceList::deny_all();
            if rules.iter().any(|rule| list.apply(rule).is_err()) {
                return Ok(()); // Refused: nothing will run.
            }
            let access = Access(1 << bit);
            let (major, minor) = (device.major.unwrap_or(7), device.minor.unwrap_or(7));
            let decides = |r: &&DeviceRule| {
                let n = |rule: Option<i64>, n: u32| rule.is_none() || rule == Some(i64::from(n));
                let kind = if device.kind == Kind::Block { "b" } else { "c" };
                (r.kind == "a" || r.kind == kind) && n(r.major, major) && n(r.minor, minor)
                    && Access::parse(&r.access).unwrap().meets(access)
            };
            let said = rules.iter().rev().find(decides).is_some_and(|rule| rule.allow);
            let allowed = list.allows(device.kind, major, minor, access);
            if list.default_allow {
                prop_assert!(said || !allowed, "{list:?} allows {device:?} {access}");
            } else {
                prop_assert_eq!(said, allowed, "{:?}", list);
            }
        }
    }
}
