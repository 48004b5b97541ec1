//! The wire format of protocol buffers (protobuf.dev, "Encoding"), as much as containerd's messages and CRIU's need: a [`Message`] is a
//! struct whose fields are [`Field`]s, and [`messages!`](crate::messages) writes the struct as the .proto file has it. Knows no message.
//!
//! A field that has its default value is not written, unless it is an `Option`; an unknown field is skipped. What is malformed is a
//! [`Fault`], never a panic.

use std::collections::BTreeMap;

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The bytes end in the middle of a field.
    Truncated,
    /// A varint of more than ten bytes or more than 64 bits.
    Varint,
    /// Field number 0, or one above 2^29 - 1.
    Number,
    /// A group, or a wire type that does not exist.
    WireType,
    /// The field has another type.
    Mismatch,
    /// A string that is not UTF-8.
    Utf8,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Fault::Truncated => "unexpected EOF",
            Fault::Varint => "a varint is too long",
            Fault::Number => "invalid field number",
            Fault::WireType => "invalid wire type",
            Fault::Mismatch => "a field has the wrong wire type",
            Fault::Utf8 => "string field contains invalid UTF-8",
        })
    }
}

/// What stands on the wire behind a field's number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// A message: see [`messages!`](crate::messages).
pub trait Message: Default {
    /// Appends its fields.
    fn put_fields(&self, out: &mut Vec<u8>);

    /// Takes one field that was read.
    ///
    /// # Errors
    /// The field has another type.
    fn take_field(&mut self, number: u32, value: Value<'_>) -> Result<(), Fault>;

    /// Its bytes.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put_fields(&mut out);
        out
    }

    /// The message that the bytes are.
    ///
    /// # Errors
    /// They are none.
    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let mut message = Self::default();
        message.merge(bytes)?;
        Ok(message)
    }

    /// Takes the fields of `bytes` on top of those it has.
    ///
    /// # Errors
    /// The bytes are no message.
    fn merge(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let (number, value) = field(&mut bytes)?;
            self.take_field(number, value)?;
        }
        Ok(())
    }
}

fn byte(bytes: &mut &[u8]) -> Result<u8, Fault> {
    let (first, rest) = bytes.split_first().ok_or(Fault::Truncated)?;
    *bytes = rest;
    Ok(*first)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Fault> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = byte(bytes)?;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return Err(Fault::Varint);
        }
        value |= bits.wrapping_shl(shift);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Fault::Varint)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Fault> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or(Fault::Truncated)?;
    *bytes = rest;
    Ok(taken)
}

/// Reads one field: its number and what it holds.
///
/// # Errors
/// The bytes are no field.
pub fn field<'a>(bytes: &mut &'a [u8]) -> Result<(u32, Value<'a>), Fault> {
    const MAX: u64 = (1 << 29) - 1;
    let key = varint(bytes)?;
    let number = u32::try_from(key >> 3).ok().filter(|n| (1..=MAX).contains(&u64::from(*n))).ok_or(Fault::Number)?;
    let value = match key & 7 {
        0 => Value::Varint(varint(bytes)?),
        1 => Value::Fixed64(u64::from_le_bytes(take(bytes, 8)?.try_into().map_err(|_| Fault::Truncated)?)),
        2 => {
            let length = usize::try_from(varint(bytes)?).map_err(|_| Fault::Truncated)?;
            Value::Bytes(take(bytes, length)?)
        }
        5 => Value::Fixed32(u32::from_le_bytes(take(bytes, 4)?.try_into().map_err(|_| Fault::Truncated)?)),
        _ => return Err(Fault::WireType),
    };
    Ok((number, value))
}

/// Appends a varint.
pub fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

fn put_key(number: u32, wire_type: u32, out: &mut Vec<u8>) {
    put_varint(u64::from(number << 3 | wire_type), out);
}

/// Appends a field of wire type 2.
pub fn put_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    put_key(number, 2, out);
    put_varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(bytes);
}

/// Something that a message has under a number.
pub trait Field {
    /// Appends it, unless it is the default.
    fn put(&self, number: u32, out: &mut Vec<u8>);

    /// Becomes what was read, or takes it on top.
    ///
    /// # Errors
    /// It is of another type.
    fn take(&mut self, value: Value<'_>) -> Result<(), Fault>;
}

/// A field of wire type 0. An enum on the wire is an `i32`.
macro_rules! varint_field {
    ($($type:ty, |$value:ident| $put:expr, |$read:ident| $take:expr;)*) => {$(
        impl Field for $type {
            fn put(&self, number: u32, out: &mut Vec<u8>) {
                if *self != <$type>::default() {
                    let $value = *self;
                    put_key(number, 0, out);
                    put_varint($put, out);
                }
            }

            fn take(&mut self, value: Value<'_>) -> Result<(), Fault> {
                let Value::Varint($read) = value else { return Err(Fault::Mismatch) };
                *self = $take;
                Ok(())
            }
        }
    )*};
}

varint_field! {
    bool, |v| u64::from(v), |r| r != 0;
    u64, |v| v, |r| r;
    // Longer ones are cut, as protobuf has it; a negative int32 has ten bytes.
    u32, |v| u64::from(v), |r| u32::try_from(r & u64::from(u32::MAX)).unwrap_or(0);
    i64, |v| v.cast_unsigned(), |r| r.cast_signed();
    i32, |v| i64::from(v).cast_unsigned(), |r| u32::try_from(r & u64::from(u32::MAX)).unwrap_or(0).cast_signed();
}

impl Field for f64 {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        if self.to_bits() != 0 {
            put_key(number, 1, out);
            out.extend_from_slice(&self.to_bits().to_le_bytes());
        }
    }

    fn take(&mut self, value: Value<'_>) -> Result<(), Fault> {
        let Value::Fixed64(bits) = value else { return Err(Fault::Mismatch) };
        *self = f64::from_bits(bits);
        Ok(())
    }
}

fn bytes(value: Value<'_>) -> Result<&[u8], Fault> {
    let Value::Bytes(bytes) = value else { return Err(Fault::Mismatch) };
    Ok(bytes)
}

fn text(value: Value<'_>) -> Result<String, Fault> {
    Ok(std::str::from_utf8(bytes(value)?).map_err(|_| Fault::Utf8)?.to_owned())
}

impl Field for String {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        if !self.is_empty() {
            put_bytes(number, self.as_bytes(), out);
        }
    }

    fn take(&mut self, value: Value<'_>) -> Result<(), Fault> {
        *self = text(value)?;
        Ok(())
    }
}

/// `bytes`.
impl Field for Vec<u8> {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        if !self.is_empty() {
            put_bytes(number, self, out);
        }
    }

    fn take(&mut self, value: Value<'_>) -> Result<(), Fault> {
        *self = bytes(value)?.to_vec();
        Ok(())
    }
}

/// `repeated string`.
impl Field for Vec<String> {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        self.iter().for_each(|text| put_bytes(number, text.as_bytes(), out));
    }

    fn take(&mut self, value: Value<'_>) -> Result<(), Fault> {
        self.push(text(value)?);
        Ok(())
    }
}

/// `repeated uint64`, packed when written; either way when read.
impl Field for Vec<u64> {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        if !self.is_empty() {
            let mut packed = Vec::new();
            self.iter().for_each(|value| put_varint(*value, &mut packed));
            put_bytes(number, &packed, out);
        }
    }

    fn take(&mut self, value: Value<'_>) -> Result<(), Fault> {
        match value {
            Value::Varint(value) => self.push(value),
            Value::Bytes(mut bytes) => {
                while !bytes.is_empty() {
                    self.push(varint(&mut bytes)?);
                }
            }
            _ => return Err(Fault::Mismatch),
        }
        Ok(())
    }
}

/// `map<string, string>`.
impl Field for BTreeMap<String, String> {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        for (key, value) in self {
            let mut entry = Vec::new();
            key.put(1, &mut entry);
            value.put(2, &mut entry);
            put_bytes(number, &entry, out);
        }
    }

    fn take(&mut self, value: Value<'_>) -> Result<(), Fault> {
        let (mut key, mut content) = (String::new(), String::new());
        let mut entry = bytes(value)?;
        while !entry.is_empty() {
            match field(&mut entry)? {
                (1, value) => key.take(value)?,
                (2, value) => content.take(value)?,
                _ => {}
            }
        }
        self.insert(key, content);
        Ok(())
    }
}

/// `optional` or `required` of proto2: there is a difference between none and 0.
impl Field for Option<i32> {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        if let Some(value) = self {
            put_key(number, 0, out);
            put_varint(i64::from(*value).cast_unsigned(), out);
        }
    }

    fn take(&mut self, value: Value<'_>) -> Result<(), Fault> {
        self.get_or_insert_default().take(value)
    }
}

/// A text that may be there and empty.
impl Field for Option<String> {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        if let Some(text) = self {
            put_bytes(number, text.as_bytes(), out);
        }
    }

    fn take(&mut self, value: Value<'_>) -> Result<(), Fault> {
        self.get_or_insert_default().take(value)
    }
}

/// A message in a message: there is a difference between none and an empty one.
impl<M: Message> Field for Option<M> {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        if let Some(message) = self {
            put_bytes(number, &message.encode(), out);
        }
    }

    fn take(&mut self, value: Value<'_>) -> Result<(), Fault> {
        self.get_or_insert_default().merge(bytes(value)?)
    }
}

/// `repeated` of a message.
impl<M: Message> Field for Vec<M> {
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        self.iter().for_each(|message| put_bytes(number, &message.encode(), out));
    }

    fn take(&mut self, value: Value<'_>) -> Result<(), Fault> {
        self.push(M::decode(bytes(value)?)?);
        Ok(())
    }
}

/// Messages as a .proto file has them: `Name { NUMBER field: Type, ... }`.
#[macro_export]
macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident { $($number:literal $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        #[allow(missing_docs, reason = "the names are those of the .proto file")]
        pub struct $name { $(pub $field: $type,)* }

        impl $crate::protobuf::Message for $name {
            fn put_fields(&self, out: &mut Vec<u8>) {
                let _ = &out;
                $($crate::protobuf::Field::put(&self.$field, $number, out);)*
            }

            fn take_field(
                &mut self,
                number: u32,
                value: $crate::protobuf::Value<'_>,
            ) -> Result<(), $crate::protobuf::Fault> {
                let _ = &value;
                match number {
                    $($number => $crate::protobuf::Field::take(&mut self.$field, value),)*
                    _ => Ok(()),
                }
            }
        }
    )*};
}

#[cfg(test)]
mod tests {
    use super::*;

    messages! {
        /// Of every kind.
        All {
            1 text: String, 2 number: i32, 3 flag: bool, 4 list: Vec<String>, 5 inner: Option<Inner>, 6 more: Vec<Inner>,
            7 map: BTreeMap<String, String>, 8 bytes: Vec<u8>, 9 float: f64, 10 big: u64, 11 signed: i64, 16 numbers: Vec<u64>,
        }
        /// In it.
        Inner { 1 value: u32 }
    }

    fn all() -> All {
        All {
            text: "grüße".into(),
            number: -8,
            flag: true,
            list: vec!["a".into(), String::new()],
            inner: Some(Inner::default()),
            more: vec![Inner { value: 1 }, Inner::default(), Inner { value: u32::MAX }],
            map: [("k".into(), "v".into()), (String::new(), String::new())].into(),
            bytes: vec![0, 255],
            float: -0.5,
            big: u64::MAX,
            signed: i64::MIN,
            numbers: vec![0, 1, 300],
        }
    }

    #[test]
    fn there_and_back() {
        assert_eq!(All::decode(&all().encode()).unwrap(), all());
        assert!(All::default().encode().is_empty());
    }

    messages! {
        /// As proto2 has it.
        Two { 1 value: Option<i32> }
    }

    #[test]
    fn none_is_not_zero() {
        for (value, bytes) in [(None, &b""[..]), (Some(0), b"\x08\0"), (Some(150), b"\x08\x96\x01")] {
            assert_eq!(Two { value }.encode(), bytes);
            assert_eq!(Two::decode(bytes).unwrap(), Two { value });
        }
    }

    /// The examples of protobuf's own description.
    #[test]
    fn as_the_description_has_it() {
        assert_eq!(Inner { value: 150 }.encode(), [0x08, 0x96, 0x01]);
        assert_eq!(All { text: "testing".into(), ..All::default() }.encode(), b"\x0a\x07testing");
        assert_eq!(All { number: -2, ..All::default() }.encode(), b"\x10\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
        assert_eq!(
            All { numbers: vec![3, 270, 86942], ..All::default() }.encode(),
            b"\x82\x01\x06\x03\x8e\x02\x9e\xa7\x05"
        );
        assert_eq!(All::decode(b"\x80\x01\x03\x80\x01\x8e\x02").unwrap().numbers, [3, 270]);
    }

    #[test]
    fn what_is_cut_or_wrong_is_a_fault() {
        let whole = all().encode();
        for end in 1..whole.len() {
            // Where a field ends, so may the message.
            let _ = All::decode(&whole[..end]);
        }
        for (bytes, fault) in [
            (&b"\x0a"[..], Fault::Truncated),
            (b"\x0a\x05abc", Fault::Truncated),
            (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Fault::Truncated),
            (b"\x0a\x01\xff", Fault::Utf8),
            (b"\x0d\0\0\0\0", Fault::Mismatch),
            (b"\x0b", Fault::WireType),
            (b"\x0f", Fault::WireType),
            (b"\x00", Fault::Number),
            (b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", Fault::Varint),
            (b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Fault::Varint),
        ] {
            assert_eq!(All::decode(bytes).unwrap_err(), fault, "{bytes:x?}");
        }
        assert_eq!(All::decode(b"\xa2\x06\x03abc\x18\x01").unwrap(), All { flag: true, ..All::default() });
    }
}
