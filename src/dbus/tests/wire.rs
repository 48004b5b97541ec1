use proptest::prelude::*;

use super::*;

/// Values of every type, nested as far as systemd's are.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<u8>().prop_map(Value::Byte),
        any::<bool>().prop_map(Value::Bool),
        any::<i16>().prop_map(Value::Int16),
        any::<u16>().prop_map(Value::Uint16),
        any::<i32>().prop_map(Value::Int32),
        any::<u32>().prop_map(Value::Uint32),
        any::<i64>().prop_map(Value::Int64),
        any::<u64>().prop_map(Value::Uint64),
        proptest::num::f64::NORMAL.prop_map(Value::Double),
        "[^\0]{0,9}".prop_map(Value::String),
        "(/[A-Za-z0-9_]{1,4}){1,3}".prop_map(Value::ObjectPath),
        Just(Value::ObjectPath("/".into())),
        "[ybnqiuxtdsogv]{0,5}".prop_map(Value::Signature),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            // An array's elements are alike: one, so often.
            (inner.clone(), 0_usize..4).prop_map(|(v, n)| Value::Array(v.signature(), vec![v; n])),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Value::Struct),
            inner.clone().prop_map(|v| Value::Variant(Box::new(v))),
            (any::<u32>(), inner.clone(), 0_usize..3).prop_map(|(key, v, n)| {
                let entry = Value::Entry(Box::new((Value::Uint32(key), v)));
                Value::Array(entry.signature(), vec![entry; n])
            }),
        ]
    })
}

fn any_message() -> impl Strategy<Value = (Message, Vec<Value>)> {
    let kind = prop_oneof![Just(Kind::Call), Just(Kind::Reply), Just(Kind::Error), Just(Kind::Signal)];
    let name = || proptest::option::of("[a-z_]{1,3}(\\.[A-Z_]{1,3}){1,2}");
    let member = proptest::option::of("[A-Za-z_][A-Za-z0-9_]{0,9}");
    let head = (kind, 1_u32.., any::<Option<u32>>(), any::<bool>());
    (head, (name(), name(), member, name()), proptest::collection::vec(any_value(), 0..4)).prop_map(
        |((kind, serial, reply_serial, big_endian), (interface, error_name, member, destination), body)| {
            let path = Some("/a/b_1".to_string());
            let sender = Some(":1.42".to_string());
            let message = Message { serial, reply_serial, path, interface, ..Message::new(kind) };
            (Message { member, error_name, destination, sender, big_endian, ..message }, body)
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read((message, body) in any_message()) {
        let message = message.with_body(&body).unwrap();
        let bytes = message.to_bytes().unwrap();
        prop_assert_eq!(Message::length(&bytes[..FIXED_HEADER]).unwrap(), bytes.len());
        let read = Message::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&read, &message);
        prop_assert_eq!(read.body().unwrap(), body);
        for end in 0..bytes.len() {
            prop_assert!(Message::from_bytes(&bytes[..end]).is_err());
        }
    }

    /// One changed byte of a message: an error or another message, and never a panic.
    #[test]
    fn hostile_bytes((message, body) in any_message(), at: prop::sample::Index, byte: u8) {
        let mut bytes = message.with_body(&body).unwrap().to_bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Message::from_bytes(&bytes).map(|message| message.body());
    }
}

fn call() -> Message {
    Message {
        serial: 1,
        path: Some("/a".into()),
        interface: Some("a.b".into()),
        member: Some("M".into()),
        ..Message::new(Kind::Call)
    }
}

/// Byte for byte, by the specification's tables.
#[test]
fn the_encoding() {
    let rule = Value::Struct(vec![Value::String("c".into()), Value::Bool(true)]);
    let body = [Value::Byte(7), Value::Array("(sb)".into(), vec![rule]), Value::Variant(Box::new(Value::Uint16(258)))];
    let expected: &[u8] = b"l\x01\0\x01\x1a\0\0\0\x01\0\0\0\x3d\0\0\0\
        \x01\x01o\0\x02\0\0\0/a\0\0\0\0\0\0\
        \x02\x01s\0\x03\0\0\0a.b\0\0\0\0\0\
        \x03\x01s\0\x01\0\0\0M\0\0\0\0\0\0\0\
        \x08\x01g\0\x07ya(sb)v\0\0\0\0\
        \x07\0\0\0\x0c\0\0\0\x01\0\0\0c\0\0\0\x01\0\0\0\
        \x01q\0\0\x02\x01";
    assert_eq!(call().with_body(&body).unwrap().to_bytes().unwrap(), expected);
}

#[test]
fn what_is_not_sent() {
    let string = |s: &str| Value::String(s.into());
    let deep = (0..40).fold(Value::Byte(1), |inner, _| Value::Variant(Box::new(inner)));
    for (value, fault) in [
        (string("a\0b"), "a string with a NUL"),
        (Value::ObjectPath("a".into()), "a bad object path"),
        (Value::ObjectPath("/a/".into()), "a bad object path"),
        (Value::Signature("a".into()), "a bad signature"),
        (Value::Struct(vec![]), "a bad signature"),
        (Value::Array("s".into(), vec![Value::Byte(1)]), "an array with an element of another type"),
        (Value::Array("(".into(), vec![]), "a bad signature"),
        (Value::Entry(Box::new((Value::Byte(1), Value::Byte(1)))), "a bad signature"),
        (deep, "nested too deeply"),
        (Value::Struct(vec![Value::Byte(0); 300]), "a signature longer than 255"),
    ] {
        let error = call().with_body(std::slice::from_ref(&value)).unwrap_err().to_string();
        assert_eq!(error, format!("not a D-Bus value: {fault}"), "{value}");
    }
    let long = call().with_body(&[string(&"x".repeat(MAX_MESSAGE))]).unwrap();
    assert_eq!(long.to_bytes().unwrap_err().to_string(), "not a D-Bus message: longer than 1 MiB");
    for (message, fault) in [
        (Message { serial: 0, ..call() }, "a serial of 0"),
        (Message { interface: Some("a".into()), ..call() }, "a bad interface name"),
        (Message { member: Some("1x".into()), ..call() }, "a bad member name"),
        (Message { destination: Some("a..b".into()), ..call() }, "a bad destination"),
        (Message { path: Some("x".into()), ..call() }, "a bad object path"),
    ] {
        assert_eq!(message.to_bytes().unwrap_err().to_string(), format!("not a D-Bus message: {fault}"));
    }
}

#[test]
fn what_is_not_read() {
    let good = call().with_body(&[Value::Bool(true), Value::String("x".into())]).unwrap().to_bytes().unwrap();
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let end = good.len();
    for (bytes, fault) in [
        (changed(0, b'x'), "neither little nor big endian"),
        (changed(1, 0), "no kind of message"),
        (changed(3, 2), "another version of the protocol"),
        (changed(8, 0), "a serial of 0"),
        (changed(6, 0x10), "longer than 1 MiB"),
        (changed(7, 0xff), "longer than 1 MiB"),
        (changed(15, 0xff), "longer than 1 MiB"),
        (changed(4, 1), "cut off"),
        (good[..12].to_vec(), "cut off"),
        (changed(end - 10, 2), "a boolean that is neither"),
        (changed(end - 1, b'y'), "a string without its NUL, or with two"),
        (changed(end - 2, 0xff), "a string that is not UTF-8"),
        (changed(end - 6, 9), "cut off"),
    ] {
        let error = Message::from_bytes(&bytes).and_then(|message| message.body()).unwrap_err().to_string();
        assert_eq!(error, format!("malformed D-Bus message: {fault}"));
    }
}

/// A kind of message that a later protocol may have is read, to be ignored.
#[test]
fn later_kinds() {
    let mut bytes = call().to_bytes().unwrap();
    bytes[1] = 9;
    assert_eq!(Message::from_bytes(&bytes).unwrap().kind, Kind::Unknown);
}
