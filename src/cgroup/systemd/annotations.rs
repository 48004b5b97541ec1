//! Annotations `org.systemd.property.NAME` -> properties of the unit. Pure.
//!
//! Annotations come from images and pods, and systemd acts as root on the whole host: so only what can reach nothing but the
//! container itself is allowed (docs/security.md has the reasons, and what is not allowed).

use std::collections::BTreeMap;

use super::{Property, gvariant};
use crate::dbus::Value;
use crate::error::{Error, Result};
use crate::spec::text::{one_line, push_pointer, quote};

const PREFIX: &str = "org.systemd.property.";

/// Longer than any sensible value; systemd loads each unit that is named.
const MAX_LENGTH: usize = 4096;

/// What may be set, with its type (as a D-Bus signature). Sorted.
pub const ALLOWED: [(&str, &str); 35] = [
    ("After", "as"),
    ("AllowedCPUs", "ay"),
    ("AllowedMemoryNodes", "ay"),
    ("Before", "as"),
    ("BlockIOWeight", "t"),
    ("CPUQuotaPerSecUSec", "t"),
    ("CPUQuotaPeriodUSec", "t"),
    ("CPUShares", "t"),
    ("CPUWeight", "t"),
    ("CollectMode", "s"),
    ("DefaultDependencies", "b"),
    ("Delegate", "b"),
    ("Description", "s"),
    ("FinalKillSignal", "i"),
    ("IOWeight", "t"),
    ("KillMode", "s"),
    ("KillSignal", "i"),
    ("ManagedOOMMemoryPressure", "s"),
    ("ManagedOOMMemoryPressureDurationUSec", "t"),
    ("ManagedOOMMemoryPressureLimit", "u"),
    ("ManagedOOMSwap", "s"),
    ("MemoryHigh", "t"),
    ("MemoryLimit", "t"),
    ("MemoryLow", "t"),
    ("MemoryMax", "t"),
    ("MemoryMin", "t"),
    ("MemorySwapMax", "t"),
    ("MemoryZSwapMax", "t"),
    ("OOMPolicy", "s"),
    ("RuntimeMaxUSec", "t"),
    ("RuntimeRandomizedExtraUSec", "t"),
    ("SendSIGHUP", "b"),
    ("SendSIGKILL", "b"),
    ("TasksMax", "t"),
    ("TimeoutStopUSec", "t"),
];

/// The properties that annotations ask for.
///
/// # Errors
/// The name is none or is not allowed; the value is not of the property's type.
pub fn properties(annotations: &BTreeMap<String, String>) -> Result<Vec<Property>> {
    let ours = annotations.iter().filter_map(|(key, value)| Some((key, key.strip_prefix(PREFIX)?, value)));
    ours.map(|(key, name, value)| property(key, name, value)).collect()
}

fn property(key: &str, name: &str, text: &str) -> Result<Property> {
    let mut field = "/annotations".to_owned();
    push_pointer(&mut field, key);
    let refuse = |why: String| Error::new(format!("annotation {}{why}", one_line(key))).field(field.clone());
    if name.len() < 3 {
        return Err(refuse(" name incorrect: too short".into()));
    }
    if !name.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Err(refuse(" name incorrect: contains non-alphabetic character".into()));
    }
    // systemd.unit(5) has seconds where D-Bus has microseconds.
    let seconds = name.strip_suffix("Sec").filter(|stem| stem.ends_with(|c: char| c.is_ascii_lowercase()));
    let name = seconds.map_or_else(|| name.to_owned(), |stem| format!("{stem}USec"));
    let not_allowed = |what: String| {
        refuse(format!(": {what} cannot be set by an annotation"))
            .hint("\"Annotations for systemd\" in docs/security.md says what can, and why")
    };
    let Some((_, signature)) = ALLOWED.iter().find(|(allowed, _)| *allowed == name) else {
        return Err(not_allowed(format!("the property {name} of a systemd unit")));
    };
    let wrong = |why: String| refuse(format!("={} value parse error: {why}", shortened(text)));
    if text.len() > MAX_LENGTH {
        return Err(wrong(format!("longer than {MAX_LENGTH} bytes")));
    }
    let value = match seconds {
        Some(_) => gvariant::parse_number(text).and_then(|value| microseconds(&value)),
        None => gvariant::parse(signature, text),
    }
    .map_err(wrong)?;
    // It gets into files that systemd writes and reads.
    if let Some(bad) = strings(&value).find(|s| s.contains(char::is_control)) {
        return Err(wrong(format!("control character in {}", quote(bad))));
    }
    if (name.as_str(), &value) == ("Delegate", &Value::Bool(false)) {
        return Err(not_allowed("Delegate=false of a systemd unit".into()));
    }
    Ok(Property { name, value, field })
}

fn shortened(text: &str) -> String {
    one_line(&text.chars().take(100).collect::<String>())
}

fn microseconds(seconds: &Value) -> Result<Value, String> {
    let whole = match seconds {
        Value::Byte(n) => i128::from(*n),
        Value::Int16(n) => i128::from(*n),
        Value::Uint16(n) => i128::from(*n),
        Value::Int32(n) => i128::from(*n),
        Value::Uint32(n) => i128::from(*n),
        Value::Int64(n) => i128::from(*n),
        Value::Uint64(n) => i128::from(*n),
        // Below 2^64, so exact enough; above, the comparison fails.
        Value::Double(n) if (0.0..1.8e13).contains(n) => return Ok(Value::Uint64((n * 1e6) as u64)),
        Value::Double(_) => return Err("number out of range".into()),
        _ => return Err("not a number".into()),
    };
    let scaled = u64::try_from(whole.saturating_mul(1_000_000)).map_err(|_| "number out of range")?;
    Ok(Value::Uint64(scaled))
}

fn strings(value: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match value {
        Value::String(s) => Box::new(std::iter::once(s.as_str())),
        Value::Array(_, values) => Box::new(values.iter().flat_map(strings)),
        _ => Box::new(std::iter::empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `NAME=VALUE TYPE`, or the error.
    fn set(name: &str, value: &str) -> String {
        match properties(&[(format!("{PREFIX}{name}"), value.to_string())].into()) {
            Ok(p) => p.iter().map(|p| format!("{}={} {}", p.name, p.value, p.value.signature())).collect(),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn what_engines_set() {
        for (name, value, expected) in [
            // podman
            ("KillSignal", "15", "KillSignal=15 i"),
            ("TimeoutStopUSec", "uint64 10000000", "TimeoutStopUSec=10000000 t"),
            // CRI-O
            ("CollectMode", "'inactive-or-failed'", "CollectMode=\"inactive-or-failed\" s"),
            ("DefaultDependencies", "true", "DefaultDependencies=true b"),
            ("After", "['crio.service']", "After=[\"crio.service\"] as"),
            // containerd
            ("Delegate", "true", "Delegate=true b"),
            // Seconds
            ("TimeoutStopSec", "1", "TimeoutStopUSec=1000000 t"),
            ("RuntimeMaxSec", "uint64 2", "RuntimeMaxUSec=2000000 t"),
            ("RuntimeMaxSec", "0x10", "RuntimeMaxUSec=16000000 t"),
            ("TimeoutStopSec", "1.5", "TimeoutStopUSec=1500000 t"),
            ("TimeoutStopSec", "@d 2", "TimeoutStopUSec=2000000 t"),
            ("TimeoutStopSec", "byte 5", "TimeoutStopUSec=5000000 t"),
        ] {
            assert_eq!(set(name, value), expected);
        }
        assert!(ALLOWED.is_sorted());
        let none = [("org.systemd.propertyX".to_string(), "x".to_string()), ("other".into(), "'".into())];
        assert_eq!(properties(&none.into()).unwrap(), []);
    }

    #[test]
    fn what_could_reach_beyond_the_container() {
        for name in [
            // Starts, stops or changes other units; ends the host.
            "Wants",
            "Requires",
            "Requisite",
            "BindsTo",
            "Upholds",
            "Conflicts",
            "PartOf",
            "OnFailure",
            "OnSuccess",
            "PropagatesStopTo",
            "PropagatesReloadTo",
            "StopPropagatedFrom",
            "RequiresMountsFor",
            "JoinsNamespaceOf",
            "FailureAction",
            "SuccessAction",
            "JobTimeoutAction",
            "StartLimitAction",
            // Runs programs, loads BPF, opens the network.
            "ExecStart",
            "ExecStop",
            "BPFProgram",
            "IPIngressFilterPath",
            "IPEgressFilterPath",
            "IPAddressAllow",
            "SocketBindAllow",
            "NFTSet",
            // Takes other processes, moves the container, gives it more.
            "PIDs",
            "Slice",
            "Controller",
            "DevicePolicy",
            "DeviceAllow",
            "DelegateSubgroup",
            "DisableControllers",
            "ManagedOOMPreference",
            "SurviveFinalKillSignal",
            "CoredumpReceive",
            // Hinders delete.
            "RefuseManualStop",
            "AddRef",
            "TasksAccounting",
        ] {
            let e = set(name, "true");
            let expected = format!(
                "annotation org.systemd.property.{name}: the property {name} of a systemd unit cannot be set by an \
                 annotation (config.json /annotations/org.systemd.property.{name}); "
            );
            assert!(e.starts_with(&expected) && e.contains("docs/security.md"), "{e}");
        }
        assert!(set("Delegate", "false").contains(": Delegate=false of a systemd unit cannot be set by an annotation"));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let long = format!("'{}'", "x".repeat(5000));
        for (name, value, expected) in [
            ("ab", "1", "annotation org.systemd.property.ab name incorrect: too short ("),
            ("", "1", "annotation org.systemd.property. name incorrect: too short ("),
            ("A_b", "1", "annotation org.systemd.property.A_b name incorrect: contains non-alphabetic character ("),
            ("Täg", "1", "annotation org.systemd.property.Täg name incorrect: contains non-alphabetic character ("),
            (
                "KillSignal",
                "x",
                "annotation org.systemd.property.KillSignal=x value parse error: \"x\" is no integer (",
            ),
            (
                "KillSignal",
                "uint64 9",
                "annotation org.systemd.property.KillSignal=uint64 9 value parse error: the type is \"t\", not \"i\" (",
            ),
            ("TimeoutStopSec", "'5'", "annotation org.systemd.property.TimeoutStopSec='5' value parse error: "),
            (
                "TimeoutStopSec",
                "string '5'",
                "annotation org.systemd.property.TimeoutStopSec=string '5' value parse error: not a number (",
            ),
            (
                "TimeoutStopSec",
                "-1",
                "annotation org.systemd.property.TimeoutStopSec=-1 value parse error: number out of range (",
            ),
            (
                "TimeoutStopSec",
                "nan",
                "annotation org.systemd.property.TimeoutStopSec=nan value parse error: number out of range (",
            ),
            (
                "TimeoutStopSec",
                "1e300",
                "annotation org.systemd.property.TimeoutStopSec=1e300 value parse error: number out of range (",
            ),
            (
                "TimeoutStopSec",
                "9223372036854775807",
                "annotation org.systemd.property.TimeoutStopSec=9223372036854775807 value parse error: number out of range (",
            ),
            (
                "Description",
                "'a\nOnFailure=x.service'",
                r"annotation org.systemd.property.Description='a\nOnFailure=x.service' value parse error: control character in ",
            ),
            (
                "After",
                r"['a\u000ab']",
                r"annotation org.systemd.property.After=['a\u000ab'] value parse error: control character in ",
            ),
            ("Description", &long, "annotation org.systemd.property.Description='xxx"),
        ] {
            let e = set(name, value);
            assert!(e.starts_with(expected) && e.contains("(config.json /annotations/org.systemd.property."), "{e}");
            assert!(!e.contains('\n') && e.len() < 400, "{e}");
        }
    }
}
