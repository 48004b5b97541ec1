//! Bytes -> types. The fast way gives up at the first fault and knows only its line; on a fault the text is read again
//! slowly, for all faults and their places. Must not know what values mean.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as _, forward_to_deserialize_any};
use serde_json::Value;

use super::problem::{Problem, Severity, join};
use super::{Process, Resources, Spec, bounds, text};
use crate::error::{Error, Result};

/// Reads a config.json.
pub fn config(json: &[u8]) -> Result<Spec> {
    parse(json, "config.json")?.ok_or_else(|| Error::new("config cannot be null"))
}

/// Reads a process.json, the file of `exec --process`. `null` is a process without anything, which validation refuses.
pub fn process(json: &[u8]) -> Result<Process> {
    Ok(parse(json, "process.json")?.unwrap_or_default())
}

/// Reads the resources of `update --resources`. `null`, as any section that is `null`, asks for nothing.
pub fn resources(json: &[u8]) -> Result<Resources> {
    Ok(parse(json, "resources")?.unwrap_or_default())
}

/// Reads any JSON document; `null` is none. Its name is for errors.
pub fn parse<T: DeserializeOwned>(json: &[u8], file: &'static str) -> Result<Option<T>> {
    let values = bounds::check(json).map_err(|e| e.document(file))?;
    serde_json::from_slice(json).map_err(|fault| explain::<T>(json, file, &fault, values))
}

/// What is larger is not read a second time: a tree of values takes a hundred times the room of its text.
const MAX_EXPLAINED: u32 = 1 << 15;

/// More than these are not told: a hostile file must not make us quadratic for long.
const MAX_FAULTS: usize = 32;

#[cold]
fn explain<T: DeserializeOwned>(json: &[u8], file: &str, fault: &serde_json::Error, values: u32) -> Error {
    let plain = || Error::new(text::short_line(&format!("parse {file}: {fault}"), 1024));
    if values > MAX_EXPLAINED {
        return plain();
    }
    // Not JSON: there is only one fault, and line and column are its place.
    let Ok(value) = serde_json::from_slice::<Value>(json) else { return plain() };
    let mut faults = Vec::new();
    let mut dropped = BTreeSet::new();
    while faults.len() < MAX_FAULTS {
        let seen = RefCell::new(None);
        let root = Node { value: &value, pointer: String::new(), dropped: &dropped, seen: &seen };
        let Err(error) = Option::<T>::deserialize(root) else { break };
        let (pointer, message) = seen.into_inner().unwrap_or_else(|| (String::new(), error.to_string()));
        let whole = pointer.is_empty();
        let known = !dropped.insert(pointer.clone());
        faults.push(Problem { field: pointer, message, severity: Severity::Error });
        if whole || known {
            break;
        }
    }
    // What only the text shows, such as a key that is given twice.
    join(&faults, file).unwrap_or_else(plain)
}

/// A value that knows where it is. What is in `dropped` is passed over as if it were not there.
struct Node<'a> {
    value: &'a Value,
    pointer: String,
    dropped: &'a BTreeSet<String>,
    /// The innermost place of the first fault.
    seen: &'a RefCell<Option<(String, String)>>,
}

impl<'a> Node<'a> {
    fn child(&self, token: &str, value: &'a Value) -> Node<'a> {
        let mut pointer = self.pointer.clone();
        text::push_pointer(&mut pointer, token);
        Node { value, pointer, dropped: self.dropped, seen: self.seen }
    }

    fn read<'de, S: DeserializeSeed<'de>>(self, seed: S) -> std::result::Result<S::Value, serde_json::Error> {
        let (pointer, seen) = (self.pointer.clone(), self.seen);
        seed.deserialize(self).inspect_err(|e| {
            seen.borrow_mut().get_or_insert_with(|| (pointer, e.to_string()));
        })
    }
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> std::result::Result<V::Value, Self::Error> {
        match self.value {
            Value::Array(items) => {
                let items = items.iter().enumerate().map(|(i, v)| self.child(&i.to_string(), v));
                let items = items.filter(|n| !n.dropped.contains(&n.pointer));
                visitor.visit_seq(Items { items })
            }
            Value::Object(entries) => {
                let items = entries.iter().map(|(k, v)| (k.as_str(), self.child(k, v)));
                let items = items.filter(|(_, n)| !n.dropped.contains(&n.pointer));
                visitor.visit_map(Entries { items, value: None })
            }
            // Owned, because the caller's lifetime is not ours.
            leaf => leaf.clone().deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> std::result::Result<V::Value, Self::Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> std::result::Result<V::Value, Self::Error> {
        match self.value {
            Value::Array(_) => Err(serde::de::Error::invalid_type(serde::de::Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct struct enum identifier ignored_any
    }
}

struct Items<I> {
    items: I,
}

impl<'de, 'a, I: Iterator<Item = Node<'a>>> SeqAccess<'de> for Items<I> {
    type Error = serde_json::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> std::result::Result<Option<S::Value>, Self::Error> {
        self.items.next().map(|node| node.read(seed)).transpose()
    }
}

struct Entries<'a, I> {
    items: I,
    value: Option<Node<'a>>,
}

impl<'de, 'a, I: Iterator<Item = (&'a str, Node<'a>)>> MapAccess<'de> for Entries<'a, I> {
    type Error = serde_json::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> std::result::Result<Option<S::Value>, Self::Error> {
        let Some((key, node)) = self.items.next() else { return Ok(None) };
        self.value = Some(node);
        seed.deserialize(serde::de::IntoDeserializer::into_deserializer(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> std::result::Result<S::Value, Self::Error> {
        match self.value.take() {
            Some(node) => node.read(seed),
            None => Err(serde::de::Error::custom("value without a key")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(json: &str) -> String {
        config(json.as_bytes()).expect_err(json).to_string()
    }

    #[test]
    fn null_is_absent() {
        assert_eq!(fails("null"), "config cannot be null");
        assert_eq!(process(b"null").unwrap(), Process::default());
        let update = br#"{"pids":null,"memory":null,"cpu":null,"blockIO":null,"devices":null,"unified":null}"#;
        assert_eq!(resources(update).unwrap(), Resources::default());
        let spec = br#"{"ociVersion":null,"process":{"user":null,"args":null,"noNewPrivileges":null,"cwd":null},
            "root":null,"linux":{"resources":{"pids":{}},"seccomp":null}}"#;
        let spec = config(spec).unwrap();
        assert_eq!(spec.process, Some(Process::default()));
        assert_eq!(spec.linux.unwrap().resources.unwrap().pids.unwrap().limit, None);
    }

    #[test]
    fn ids_are_32_bits_and_nothing_else() {
        for (uid, why) in [
            ("4294967296", "invalid value: integer `4294967296`, expected u32"),
            ("-1", "invalid value: integer `-1`, expected u32"),
            ("1.0", "invalid type: floating point `1.0`, expected u32"),
            ("1e3", "invalid type: floating point `1000.0`, expected u32"),
            ("\"root\"", "invalid type: string \"root\", expected u32"),
            ("\"0\"", "invalid type: string \"0\", expected u32"),
            ("true", "invalid type: boolean `true`, expected u32"),
            ("[0]", "invalid type: sequence, expected u32"),
        ] {
            let json = format!(r#"{{"process":{{"user":{{"uid":{uid}}}}}}}"#);
            assert_eq!(fails(&json), format!("{why} (config.json /process/user/uid)"));
            let json = format!(r#"{{"user":{{"uid":{uid}}}}}"#);
            let error = process(json.as_bytes()).unwrap_err().to_string();
            assert_eq!(error, format!("{why} (process.json /user/uid)"));
        }
        assert_eq!(process(br#"{"user":{"uid":4294967295}}"#).unwrap().user.uid, u32::MAX);
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let json = r#"{"hostname": 5, "mounts": [{"destination": "/a"}, {"destination": 1}, 7],
            "process": {"args": ["a", null, 3], "user": {"uid": "x"}},
            "annotations": {"a/b": 1, "c": "d"}, "linux": {"resources": {"memory": {"limit": 1.5}}}}"#;
        let error = fails(json);
        for (n, field) in [
            "/annotations/a~1b",
            "/hostname",
            "/linux/resources/memory/limit",
            "/mounts/1/destination",
            "/mounts/2",
            "/process/args/1",
            "/process/args/2",
            "/process/user/uid",
        ]
        .iter()
        .enumerate()
        {
            assert!(error.contains(field), "{n} {field}: {error}");
        }
        assert!(error.contains("7 more"), "{error}");
        assert!(!error.contains('\n'));
    }

    #[test]
    fn what_only_the_text_shows_has_a_line() {
        assert_eq!(fails("{"), "parse config.json: EOF while parsing an object at line 1 column 1");
        assert!(fails(r#"{"hostname":"a","hostname":"b"}"#).contains("duplicate field `hostname`"));
        assert!(fails("{} {}").contains("trailing characters"));
        assert!(config(b"{\"hostname\":\"\xff\"}").is_err());
        assert!(fails(&r#"{"x":["#.repeat(100_000)).contains("EOF"));
        assert!(fails("[]").contains("invalid type: sequence"));
        assert!(fails(r#"{"root":["rootfs"]}"#).ends_with("(config.json /root)"));
    }

    #[test]
    fn unknown_things_are_kept_or_ignored() {
        let spec = config(
            br#"{"ociVersion":"9.9","x-new":{"a":[1]},"windows":{},"linux":{"seccomp":{"defaultAction":"SCMP_ACT_NEW"}},
            "process":{"capabilities":{"bounding":["CAP_FUTURE_THING"]}}}"#,
        )
        .unwrap();
        assert_eq!(spec.oci_version, "9.9");
        assert_eq!(spec.linux.unwrap().seccomp.unwrap().default_action, "SCMP_ACT_NEW");
        assert_eq!(spec.process.unwrap().capabilities.unwrap().bounding, ["CAP_FUTURE_THING"]);
    }

    #[test]
    fn limits_have_the_width_of_the_specification() {
        let spec = config(
            br#"{"linux":{"resources":{"hugepageLimits":[{"pageSize":"2MB","limit":18446744073709551615}],
            "memory":{"limit":-1,"swappiness":18446744073709551615},"cpu":{"quota":-9223372036854775808}}},
            "process":{"rlimits":[{"type":"RLIMIT_CORE","hard":18446744073709551615,"soft":0}],
            "scheduler":{"policy":"SCHED_DEADLINE","flags":["SCHED_FLAG_DL_OVERRUN"]}}}"#,
        )
        .unwrap();
        let resources = spec.linux.unwrap().resources.unwrap();
        assert_eq!(resources.hugepage_limits[0].limit, u64::MAX);
        assert_eq!(resources.cpu.unwrap().quota, Some(i64::MIN));
        assert_eq!(spec.process.unwrap().rlimits[0].hard, u64::MAX);
    }
}
