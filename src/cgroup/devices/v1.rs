//! A device list as writes to devices.allow and devices.deny of cgroup v1: only the difference to what is there, so that
//! nothing that stays allowed is denied for a moment (a program that opens /dev/null just then would fail).

use nix::fcntl::OFlag;

use super::{Access, DeviceList, Devices, Kind};
use crate::cgroup::dir::Dir;
use crate::error::{Error, Result};

/// One line for devices.allow or devices.deny.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// For devices.allow.
    pub allow: bool,
    /// The line.
    pub line: String,
}

/// The least writes that lead from `from` to `to`.
pub fn writes(from: &DeviceList, to: &DeviceList) -> Vec<Write> {
    let mut writes = Vec::new();
    let empty = DeviceList { default_allow: to.default_allow, ..DeviceList::deny_all() };
    let from = if from.default_allow == to.default_allow {
        from
    } else {
        writes.push(Write { allow: to.default_allow, line: "a *:* rwm".into() });
        &empty
    };
    let difference = |of: &DeviceList, minus: &DeviceList, allow| {
        let line = |(devices, access): (&Devices, &Access)| {
            let rest = minus.exceptions.get(devices).map_or(*access, |other| access.minus(*other));
            (!rest.is_empty()).then(|| Write { allow, line: format!("{devices} {rest}") })
        };
        of.exceptions.iter().filter_map(line).collect::<Vec<_>>()
    };
    writes.extend(difference(from, to, to.default_allow));
    writes.extend(difference(to, from, !to.default_allow));
    writes
}

/// devices.list: `a *:* rwm` for a deny-list (the kernel does not show its exceptions), else the exceptions.
pub fn parse(text: &str) -> Result<DeviceList> {
    let mut list = DeviceList::deny_all();
    for line in text.lines() {
        let parsed =
            parse_line(line).ok_or_else(|| Error::new(format!("cannot read line {line:?} of devices.list")))?;
        match parsed {
            None => return Ok(DeviceList { default_allow: true, ..DeviceList::deny_all() }),
            Some((devices, access)) => {
                let known = list.exceptions.entry(devices).or_insert(access);
                *known = known.union(access);
            }
        }
    }
    Ok(list)
}

fn parse_line(line: &str) -> Option<Option<(Devices, Access)>> {
    let mut fields = line.split([' ', ':']);
    let kind = match fields.next()? {
        "a" => return Some(None),
        "b" => Kind::Block,
        "c" => Kind::Char,
        _ => return None,
    };
    let mut number = || match fields.next()? {
        "*" => Some(None),
        n => n.parse().ok().map(Some),
    };
    let (major, minor) = (number()?, number()?);
    Some(Some((Devices { kind, major, minor }, Access::parse(fields.next()?)?)))
}

/// Makes `list` the rules of the cgroup. `fresh`: we have just made it, so it has no processes and what it has inherited
/// does not matter.
pub(in crate::cgroup) fn apply(dir: &Dir, list: &DeviceList, fresh: bool) -> Result<()> {
    // Of a fresh cgroup only the other mode has to be assumed: then everything is written, starting with `a`.
    let current = if fresh {
        DeviceList { default_allow: !list.default_allow, ..DeviceList::deny_all() }
    } else {
        parse(&dir.read("devices.list")?)?
    };
    let mut open = None;
    for Write { allow, line } in writes(&current, list) {
        let file = if allow { "devices.allow" } else { "devices.deny" };
        let fd = match open.take() {
            Some((of, fd)) if of == allow => fd,
            _ => dir.open_file(file, OFlag::O_WRONLY)?,
        };
        dir.write_to(&fd, file, &line)?;
        open = Some((allow, fd));
    }
    // The kernel ignores some requests in silence. Of a deny-list it shows only that it is one.
    let now = parse(&dir.read("devices.list")?)?;
    let ok = if list.default_allow { now.default_allow } else { now == *list };
    if ok { Ok(()) } else { Err(Error::new("resulting devices cgroup doesn't precisely match target")) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{access, devices, list};
    use super::*;
    use proptest::prelude::*;

    fn lines(from: &DeviceList, to: &DeviceList) -> Vec<String> {
        writes(from, to).into_iter().map(|w| format!("{} {}", if w.allow { '+' } else { '-' }, w.line)).collect()
    }

    fn everything() -> DeviceList {
        DeviceList { default_allow: true, ..DeviceList::deny_all() }
    }

    #[test]
    fn the_least_writes() {
        let default = list("[]").unwrap();
        let first = lines(&everything(), &default);
        assert_eq!((first.len(), first[0].as_str(), first[1].as_str()), (12, "- a *:* rwm", "+ b *:* m"));
        assert_eq!(lines(&default, &default), [""; 0]);
        let other = list(r#"[{"allow":true,"type":"b","major":8,"minor":0,"access":"r"}]"#).unwrap();
        assert_eq!(lines(&default, &other), ["+ b 8:0 r"]);
        let wider = list(r#"[{"allow":true,"type":"b","major":8,"minor":0,"access":"rw"}]"#).unwrap();
        assert_eq!(lines(&other, &wider), ["+ b 8:0 w"]);
        assert_eq!(lines(&wider, &other), ["- b 8:0 w"]);
        assert_eq!(lines(&other, &default), ["- b 8:0 r"]);
        assert_eq!(lines(&default, &everything()), ["+ a *:* rwm"]);
    }

    #[test]
    fn what_the_kernel_shows() {
        assert_eq!(parse("a *:* rwm\n").unwrap(), everything());
        let list = parse("c 1:3 rw\nc 136:* rwm\nc 1:3 m\n").unwrap();
        assert_eq!(lines(&DeviceList::deny_all(), &list), ["+ c 1:3 rwm", "+ c 136:* rwm"]);
        assert!(parse("x 1:3 rw\n").unwrap_err().to_string().contains("x 1:3 rw"));
    }

    fn any_list() -> impl Strategy<Value = DeviceList> {
        (any::<bool>(), proptest::collection::btree_map(devices(), access(), 0..5))
            .prop_map(|(default_allow, exceptions)| DeviceList { default_allow, exceptions })
    }

    proptest! {
        /// The kernel's side in a few lines: exceptions are added to and taken from the very same devices only.
        #[test]
        fn writes_lead_to_the_target(from in any_list(), to in any_list()) {
            let mut kernel = from.clone();
            for Write { allow, line } in writes(&from, &to) {
                match parse_line(&line).unwrap() {
                    None => kernel = DeviceList { default_allow: allow, ..DeviceList::deny_all() },
                    Some((devices, access)) => {
                        let known = kernel.exceptions.entry(devices).or_insert(Access(0));
                        *known = if allow == kernel.default_allow { known.minus(access) } else { known.union(access) };
                    }
                }
                kernel.exceptions.retain(|_, access| !access.is_empty());
            }
            prop_assert_eq!(kernel, to);
        }
    }
}
