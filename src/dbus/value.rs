//! Values of D-Bus with their types. Pure.

use std::fmt;

/// One value. Arrays carry the type of their elements, because they may be empty.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `y`
    Byte(u8),
    /// `b`
    Bool(bool),
    /// `n`
    Int16(i16),
    /// `q`
    Uint16(u16),
    /// `i`
    Int32(i32),
    /// `u`
    Uint32(u32),
    /// `x`
    Int64(i64),
    /// `t`
    Uint64(u64),
    /// `d`
    Double(f64),
    /// `s`
    String(String),
    /// `o`
    ObjectPath(String),
    /// `g`
    Signature(String),
    /// `aT`, with the signature `T` of an element (`{kv}` for a dictionary, whose elements are then [`Value::Entry`]).
    Array(String, Vec<Value>),
    /// `(...)`
    Struct(Vec<Value>),
    /// `{kv}`, in an array only.
    Entry(Box<(Value, Value)>),
    /// `h`, a descriptor: which of those that come with the message.
    Descriptor(u32),
    /// `v`
    Variant(Box<Value>),
}

impl Value {
    /// Strings as an array of strings.
    pub fn strings<S: Into<String>>(list: impl IntoIterator<Item = S>) -> Value {
        Value::Array("s".into(), list.into_iter().map(|s| Value::String(s.into())).collect())
    }

    /// Bytes as an array of bytes.
    pub fn bytes(bytes: &[u8]) -> Value {
        Value::Array("y".into(), bytes.iter().map(|b| Value::Byte(*b)).collect())
    }

    /// Its type, as a D-Bus signature.
    pub fn signature(&self) -> String {
        match self {
            Value::Byte(_) => "y".into(),
            Value::Bool(_) => "b".into(),
            Value::Int16(_) => "n".into(),
            Value::Uint16(_) => "q".into(),
            Value::Int32(_) => "i".into(),
            Value::Uint32(_) => "u".into(),
            Value::Descriptor(_) => "h".into(),
            Value::Int64(_) => "x".into(),
            Value::Uint64(_) => "t".into(),
            Value::Double(_) => "d".into(),
            Value::String(_) => "s".into(),
            Value::ObjectPath(_) => "o".into(),
            Value::Signature(_) => "g".into(),
            Value::Array(element, _) => format!("a{element}"),
            Value::Struct(fields) => format!("({})", fields.iter().map(Value::signature).collect::<String>()),
            Value::Entry(entry) => format!("{{{}{}}}", entry.0.signature(), entry.1.signature()),
            Value::Variant(_) => "v".into(),
        }
    }
}

/// As GVariant's text format writes it without types: for plans and errors.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, values: &[Value]| {
            values.iter().enumerate().try_for_each(|(i, value)| {
                f.write_str(if i == 0 { "" } else { ", " })?;
                value.fmt(f)
            })
        };
        match self {
            Value::Byte(n) => n.fmt(f),
            Value::Bool(b) => b.fmt(f),
            Value::Int16(n) => n.fmt(f),
            Value::Uint16(n) => n.fmt(f),
            Value::Int32(n) => n.fmt(f),
            Value::Uint32(n) | Value::Descriptor(n) => n.fmt(f),
            Value::Int64(n) => n.fmt(f),
            Value::Uint64(n) => n.fmt(f),
            Value::Double(n) => n.fmt(f),
            Value::String(s) | Value::ObjectPath(s) | Value::Signature(s) => write!(f, "{s:?}"),
            Value::Array(_, values) => {
                f.write_str("[")?;
                list(f, values)?;
                f.write_str("]")
            }
            Value::Struct(values) => {
                f.write_str("(")?;
                list(f, values)?;
                f.write_str(")")
            }
            Value::Entry(entry) => write!(f, "{}: {}", entry.0, entry.1),
            Value::Variant(value) => write!(f, "<{value}>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_and_texts() {
        let rule = Value::Struct(vec![Value::String("/dev/char/1:3".into()), Value::String("rwm".into())]);
        for (value, signature, text) in [
            (Value::Array("(ss)".into(), vec![rule]), "a(ss)", r#"[("/dev/char/1:3", "rwm")]"#),
            (Value::Array("(ss)".into(), vec![]), "a(ss)", "[]"),
            (Value::bytes(&[1, 255]), "ay", "[1, 255]"),
            (Value::strings(["a.service"]), "as", r#"["a.service"]"#),
            (Value::Variant(Box::new(Value::Uint64(5))), "v", "<5>"),
            (
                Value::Array("{sv}".into(), vec![Value::Entry(Box::new((Value::Byte(1), Value::Bool(true))))]),
                "a{sv}",
                "[1: true]",
            ),
        ] {
            assert_eq!((value.signature().as_str(), value.to_string().as_str()), (signature, text));
        }
    }
}
