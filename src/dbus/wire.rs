//! Messages as bytes (D-Bus Specification, "Message Protocol"). Pure. What arrives is hostile: every length is checked before
//! it is believed, nesting and size have limits far below the protocol's, and nothing is decoded that nobody asks for.

use super::Value;
use crate::error::{Error, Result};

/// What we send and accept. The protocol allows 128 MiB; what systemd says to us is a few hundred bytes.
pub const MAX_MESSAGE: usize = 1 << 20;
/// Bytes that tell how long a message is.
pub const FIXED_HEADER: usize = 16;
/// Containers within containers. The protocol allows 64; a property of a unit has 4.
const MAX_DEPTH: u32 = 32;
const MAX_SIGNATURE: usize = 255;
const MAX_NAME: usize = 255;
const VERSION: u8 = 1;

/// What is wrong with bytes or values, without the context that only the caller has.
type Fault = &'static str;

/// What a message is. Others exist in no version of the protocol yet, and are to be ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// METHOD_CALL
    Call,
    /// METHOD_RETURN
    Reply,
    /// ERROR
    Error,
    /// SIGNAL
    Signal,
    /// Of a later protocol.
    Unknown,
}

const KINDS: [(u8, Kind); 4] = [(1, Kind::Call), (2, Kind::Reply), (3, Kind::Error), (4, Kind::Signal)];

/// A message; its body stays encoded until [`Message::body`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which of the four.
    pub kind: Kind,
    /// The sender's number of it, never 0.
    pub serial: u32,
    /// Of a reply or error: the call's serial.
    pub reply_serial: Option<u32>,
    /// The object.
    pub path: Option<String>,
    /// The object's interface.
    pub interface: Option<String>,
    /// Method or signal.
    pub member: Option<String>,
    /// Of an error.
    pub error_name: Option<String>,
    /// Who gets it; on a bus.
    pub destination: Option<String>,
    /// Who sent it; on a bus, and put there by the bus: nobody can forge it.
    pub sender: Option<String>,
    /// How many descriptors come with it.
    pub descriptors: u32,
    signature: String,
    body: Vec<u8>,
    big_endian: bool,
}

impl Message {
    /// An empty message.
    pub fn new(kind: Kind) -> Message {
        Message {
            kind,
            serial: 0,
            reply_serial: None,
            path: None,
            interface: None,
            member: None,
            error_name: None,
            destination: None,
            sender: None,
            signature: String::new(),
            descriptors: 0,
            body: Vec::new(),
            big_endian: false,
        }
    }

    /// With these arguments.
    ///
    /// # Errors
    /// A value that D-Bus cannot carry: a string with a NUL, an array whose elements are not of its type.
    pub fn with_body(mut self, values: &[Value]) -> Result<Message> {
        let mut writer = Writer { bytes: Vec::new(), big_endian: self.big_endian };
        let signature: String = values.iter().map(Value::signature).collect();
        check_signature(&signature)
            .and_then(|()| values.iter().try_for_each(|value| writer.value(value, 0)))
            .map_err(|fault| Error::new(format!("not a D-Bus value: {fault}")))?;
        (self.signature, self.body) = (signature, writer.bytes);
        Ok(self)
    }

    /// Its arguments.
    pub fn body(&self) -> Result<Vec<Value>> {
        let mut reader = Reader { bytes: &self.body, at: 0, big_endian: self.big_endian };
        let mut rest = self.signature.as_str();
        let mut values = Vec::new();
        let read = loop {
            if rest.is_empty() {
                break reader.end();
            }
            let value = first_type(rest).and_then(|(first, after)| {
                rest = after;
                reader.value(first, 0)
            });
            match value {
                Ok(value) => values.push(value),
                Err(fault) => break Err(fault),
            }
        };
        read.map_err(malformed)?;
        Ok(values)
    }

    /// As it is sent.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.encode().map_err(|fault| Error::new(format!("not a D-Bus message: {fault}")))
    }

    fn encode(&self) -> Result<Vec<u8>, Fault> {
        self.check_names()?;
        let kind = KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or(0, |(code, _)| *code);
        let mut w = Writer { bytes: Vec::new(), big_endian: self.big_endian };
        w.bytes.extend([if self.big_endian { b'B' } else { b'l' }, kind, 0, VERSION]);
        w.put(length(self.body.len())?.to_le_bytes());
        w.put(self.serial.to_le_bytes());
        w.value(&Value::Array("(yv)".into(), self.fields()), 0)?;
        w.align(8);
        w.bytes.extend(&self.body);
        if w.bytes.len() > MAX_MESSAGE { Err("longer than 1 MiB") } else { Ok(w.bytes) }
    }

    fn fields(&self) -> Vec<Value> {
        let string = |s: &Option<String>| s.clone().map(Value::String);
        let signature = (!self.signature.is_empty()).then(|| Value::Signature(self.signature.clone()));
        [
            (1, self.path.clone().map(Value::ObjectPath)),
            (2, string(&self.interface)),
            (3, string(&self.member)),
            (4, string(&self.error_name)),
            (5, self.reply_serial.map(Value::Uint32)),
            (6, string(&self.destination)),
            (7, string(&self.sender)),
            (8, signature),
            (9, (self.descriptors != 0).then_some(Value::Uint32(self.descriptors))),
        ]
        .into_iter()
        .filter_map(|(code, value)| Some(Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value?))])))
        .collect()
    }

    fn check_names(&self) -> Result<(), Fault> {
        let valid = |name: &Option<String>, rule: fn(&str) -> bool| name.as_deref().is_none_or(rule);
        for (valid, fault) in [
            (self.kind != Kind::Unknown, "no such kind of message"),
            (self.serial != 0, "a serial of 0"),
            (valid(&self.interface, is_interface), "a bad interface name"),
            (valid(&self.error_name, is_interface), "a bad error name"),
            (valid(&self.member, is_member), "a bad member name"),
            (valid(&self.destination, is_bus_name), "a bad destination"),
            (valid(&self.sender, is_bus_name), "a bad sender"),
        ] {
            if !valid {
                return Err(fault);
            }
        }
        Ok(())
    }

    /// How long the message is that begins with these [`FIXED_HEADER`] bytes.
    ///
    /// # Errors
    /// It is not D-Bus, or longer than [`MAX_MESSAGE`].
    pub fn length(head: &[u8]) -> Result<usize> {
        Head::parse(head).map(|head| head.total).map_err(malformed)
    }

    /// Of exactly the bytes of one message.
    pub fn from_bytes(bytes: &[u8]) -> Result<Message> {
        Message::decode(bytes).map_err(malformed)
    }

    fn decode(bytes: &[u8]) -> Result<Message, Fault> {
        let head = Head::parse(bytes)?;
        if head.total != bytes.len() {
            return Err("cut off");
        }
        let (fields, body) = bytes.split_at_checked(head.body).ok_or("cut off")?;
        let mut message = Message { serial: head.serial, ..Message::new(head.kind) };
        (message.body, message.big_endian) = (body.to_vec(), head.big_endian);
        // The array of fields is the last of the fixed header's values.
        let mut reader = Reader { bytes: fields, at: 12, big_endian: head.big_endian };
        let Value::Array(_, fields) = reader.value("a(yv)", 0)? else { return Err("no header fields") };
        reader.align(8)?;
        reader.end()?;
        for field in fields {
            message.set(field)?;
        }
        if message.signature.is_empty() && !message.body.is_empty() {
            return Err("a body without a signature");
        }
        Ok(message)
    }

    fn set(&mut self, field: Value) -> Result<(), Fault> {
        let Value::Struct(pair) = field else { return Err("a header field that is none") };
        let Ok([Value::Byte(code), Value::Variant(value)]) = <[Value; 2]>::try_from(pair) else {
            return Err("a header field that is none");
        };
        match (code, *value) {
            (1, Value::ObjectPath(path)) => self.path = Some(path),
            (2, Value::String(name)) => self.interface = Some(name),
            (3, Value::String(name)) => self.member = Some(name),
            (4, Value::String(name)) => self.error_name = Some(name),
            (5, Value::Uint32(serial)) => self.reply_serial = Some(serial),
            (6, Value::String(name)) => self.destination = Some(name),
            (7, Value::String(name)) => self.sender = Some(name),
            (8, Value::Signature(signature)) => self.signature = signature,
            (9, Value::Uint32(count)) => self.descriptors = count,
            (0..=9, _) => return Err("a header field of the wrong type"),
            // Descriptors, which were not agreed on, and what later protocols add.
            _ => {}
        }
        Ok(())
    }
}

fn malformed(fault: Fault) -> Error {
    Error::new(format!("malformed D-Bus message: {fault}"))
}

/// The fixed part of a header.
struct Head {
    kind: Kind,
    serial: u32,
    big_endian: bool,
    /// Where the body begins.
    body: usize,
    total: usize,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Head, Fault> {
        let Some(&[order, kind, _, version, ..]) = bytes.get(..FIXED_HEADER) else { return Err("cut off") };
        let big_endian = match order {
            b'l' => false,
            b'B' => true,
            _ => return Err("neither little nor big endian"),
        };
        if version != VERSION {
            return Err("another version of the protocol");
        }
        let kind = match KINDS.iter().find(|(code, _)| *code == kind) {
            Some((_, kind)) => *kind,
            None if kind == 0 => return Err("no kind of message"),
            None => Kind::Unknown,
        };
        let mut reader = Reader { bytes, at: 4, big_endian };
        let (body, serial, fields) = (reader.u32()?, reader.u32()?, reader.u32()?);
        if serial == 0 {
            return Err("a serial of 0");
        }
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let start = FIXED_HEADER.saturating_add(size(fields)).checked_next_multiple_of(8).unwrap_or(usize::MAX);
        let total = start.saturating_add(size(body));
        if total > MAX_MESSAGE {
            return Err("longer than 1 MiB");
        }
        Ok(Head { kind, serial, big_endian, body: start, total })
    }
}

fn length(n: usize) -> Result<u32, Fault> {
    u32::try_from(n).map_err(|_| "too long")
}

/// What values of this type begin at a multiple of.
fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'n' | b'q') => 2,
        Some(b'b' | b'i' | b'u' | b'h' | b's' | b'o' | b'a') => 4,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 1,
    }
}

struct Writer {
    bytes: Vec<u8>,
    big_endian: bool,
}

impl Writer {
    fn align(&mut self, n: usize) {
        let end = self.bytes.len().checked_next_multiple_of(n).unwrap_or_default();
        self.bytes.resize(end, 0);
    }

    /// A number: its bytes in little-endian order, aligned to its size.
    fn put<const N: usize>(&mut self, mut number: [u8; N]) {
        self.align(N);
        if self.big_endian {
            number.reverse();
        }
        self.bytes.extend(number);
    }

    fn text(&mut self, text: &str) -> Result<(), Fault> {
        if text.contains('\0') {
            return Err("a string with a NUL");
        }
        self.put(length(text.len())?.to_le_bytes());
        self.bytes.extend(text.bytes().chain([0]));
        Ok(())
    }

    fn signature(&mut self, signature: &str) -> Result<(), Fault> {
        check_signature(signature)?;
        self.bytes.push(u8::try_from(signature.len()).map_err(|_| "a signature longer than 255")?);
        self.bytes.extend(signature.bytes().chain([0]));
        Ok(())
    }

    fn value(&mut self, value: &Value, depth: u32) -> Result<(), Fault> {
        let below = deeper(depth)?;
        match value {
            Value::Byte(n) => self.put([*n]),
            Value::Bool(b) => self.put(u32::from(*b).to_le_bytes()),
            Value::Int16(n) => self.put(n.to_le_bytes()),
            Value::Uint16(n) => self.put(n.to_le_bytes()),
            Value::Int32(n) => self.put(n.to_le_bytes()),
            Value::Uint32(n) | Value::Descriptor(n) => self.put(n.to_le_bytes()),
            Value::Int64(n) => self.put(n.to_le_bytes()),
            Value::Uint64(n) => self.put(n.to_le_bytes()),
            Value::Double(n) => self.put(n.to_le_bytes()),
            Value::String(text) => return self.text(text),
            Value::ObjectPath(path) if !is_object_path(path) => return Err("a bad object path"),
            Value::ObjectPath(path) => return self.text(path),
            Value::Signature(signature) => return self.signature(signature),
            Value::Array(element, values) => return self.array(element, values, below),
            Value::Struct(fields) if fields.is_empty() => return Err("an empty structure"),
            Value::Struct(fields) => {
                self.align(8);
                return fields.iter().try_for_each(|field| self.value(field, below));
            }
            Value::Entry(entry) => {
                self.align(8);
                self.value(&entry.0, below)?;
                return self.value(&entry.1, below);
            }
            Value::Variant(value) => {
                self.signature(&value.signature())?;
                return self.value(value, below);
            }
        }
        Ok(())
    }

    fn array(&mut self, element: &str, values: &[Value], depth: u32) -> Result<(), Fault> {
        check_signature(&format!("a{element}"))?;
        self.put([0; 4]);
        let length_at = self.bytes.len().saturating_sub(4);
        // The padding before the first element does not count.
        self.align(alignment(element));
        let start = self.bytes.len();
        for value in values {
            if value.signature() != element {
                return Err("an array with an element of another type");
            }
            self.value(value, depth)?;
            if self.bytes.len() > MAX_MESSAGE {
                return Err("longer than 1 MiB");
            }
        }
        let mut bytes = length(self.bytes.len().saturating_sub(start))?.to_le_bytes();
        if self.big_endian {
            bytes.reverse();
        }
        if let Some(place) = self.bytes.get_mut(length_at..).and_then(|rest| rest.first_chunk_mut::<4>()) {
            *place = bytes;
        }
        Ok(())
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big_endian: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(n).ok_or("cut off")?;
        let taken = self.bytes.get(self.at..end).ok_or("cut off")?;
        self.at = end;
        Ok(taken)
    }

    fn end(&self) -> Result<(), Fault> {
        if self.at == self.bytes.len() { Ok(()) } else { Err("bytes that belong to nothing") }
    }

    fn align(&mut self, n: usize) -> Result<(), Fault> {
        let end = self.at.checked_next_multiple_of(n).ok_or("cut off")?;
        let padding = self.take(end.saturating_sub(self.at))?;
        if padding.iter().all(|byte| *byte == 0) { Ok(()) } else { Err("padding that is not zero") }
    }

    /// The bytes of a number in little-endian order.
    fn number<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.align(N)?;
        let mut number = *self.take(N)?.first_chunk::<N>().ok_or("cut off")?;
        if self.big_endian {
            number.reverse();
        }
        Ok(number)
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        self.number().map(u32::from_le_bytes)
    }

    fn length(&mut self) -> Result<usize, Fault> {
        usize::try_from(self.u32()?).map_err(|_| "cut off")
    }

    fn terminated(&mut self, length: usize) -> Result<&'a str, Fault> {
        let text = self.take(length)?;
        if self.take(1)? != [0] || text.contains(&0) {
            return Err("a string without its NUL, or with two");
        }
        std::str::from_utf8(text).map_err(|_| "a string that is not UTF-8")
    }

    fn text(&mut self) -> Result<String, Fault> {
        let length = self.length()?;
        self.terminated(length).map(String::from)
    }

    fn signature(&mut self) -> Result<&'a str, Fault> {
        let [length] = self.number()?;
        let signature = self.terminated(length.into())?;
        check_signature(signature)?;
        Ok(signature)
    }

    /// A value of one complete type.
    fn value(&mut self, signature: &str, depth: u32) -> Result<Value, Fault> {
        let below = deeper(depth)?;
        Ok(match signature.as_bytes().first().ok_or("no type")? {
            b'y' => Value::Byte(u8::from_le_bytes(self.number()?)),
            b'b' => match self.u32()? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                _ => return Err("a boolean that is neither"),
            },
            b'n' => Value::Int16(i16::from_le_bytes(self.number()?)),
            b'q' => Value::Uint16(u16::from_le_bytes(self.number()?)),
            b'i' => Value::Int32(i32::from_le_bytes(self.number()?)),
            b'u' => Value::Uint32(self.u32()?),
            b'h' => Value::Descriptor(self.u32()?),
            b'x' => Value::Int64(i64::from_le_bytes(self.number()?)),
            b't' => Value::Uint64(u64::from_le_bytes(self.number()?)),
            b'd' => Value::Double(f64::from_le_bytes(self.number()?)),
            b's' => Value::String(self.text()?),
            b'o' => {
                Some(self.text()?).filter(|path| is_object_path(path)).map(Value::ObjectPath).ok_or("a bad path")?
            }
            b'g' => Value::Signature(self.signature()?.into()),
            b'a' => self.array(signature.get(1..).ok_or("no type")?, below)?,
            b'(' => Value::Struct(self.fields(signature, below)?),
            b'{' => match <[Value; 2]>::try_from(self.fields(signature, below)?) {
                Ok([key, value]) => Value::Entry(Box::new((key, value))),
                Err(_) => return Err("a dictionary entry that is none"),
            },
            b'v' => {
                let signature = self.signature()?;
                let (first, rest) = first_type(signature)?;
                if !rest.is_empty() {
                    return Err("a variant of several values");
                }
                Value::Variant(Box::new(self.value(first, below)?))
            }
            _ => return Err("a type that we do not know"),
        })
    }

    fn array(&mut self, element: &str, depth: u32) -> Result<Value, Fault> {
        let length = self.length()?;
        self.align(alignment(element))?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or("cut off")?;
        let mut values = Vec::new();
        while self.at < end {
            values.push(self.value(element, depth)?);
        }
        if self.at == end { Ok(Value::Array(element.into(), values)) } else { Err("an array of half an element") }
    }

    /// What is between the first and the last character of `signature`.
    fn fields(&mut self, signature: &str, depth: u32) -> Result<Vec<Value>, Fault> {
        self.align(8)?;
        let mut rest = signature.get(1..signature.len().saturating_sub(1)).ok_or("no type")?;
        let mut values = Vec::new();
        while !rest.is_empty() {
            let (first, after) = first_type(rest)?;
            values.push(self.value(first, depth)?);
            rest = after;
        }
        Ok(values)
    }
}

fn deeper(depth: u32) -> Result<u32, Fault> {
    depth.checked_add(1).filter(|depth| *depth <= MAX_DEPTH).ok_or("nested too deeply")
}

/// Any number of complete types.
fn check_signature(signature: &str) -> Result<(), Fault> {
    if signature.len() > MAX_SIGNATURE {
        return Err("a signature longer than 255");
    }
    let mut rest = signature;
    while !rest.is_empty() {
        rest = first_type(rest)?.1;
    }
    Ok(())
}

/// The first complete type of a signature, and the rest.
fn first_type(signature: &str) -> Result<(&str, &str), Fault> {
    let length = type_length(signature.as_bytes(), 0)?;
    signature.split_at_checked(length).ok_or("a bad signature")
}

fn type_length(signature: &[u8], depth: u32) -> Result<usize, Fault> {
    const BAD: Fault = "a bad signature";
    let below = deeper(depth)?;
    let after = |length: usize| signature.get(length..).unwrap_or_default();
    match signature {
        [b'a', b'{', key, ..] if BASIC.contains(key) => {
            let end = type_length(after(3), below)?.saturating_add(3);
            if after(end).first() == Some(&b'}') { Ok(end.saturating_add(1)) } else { Err(BAD) }
        }
        [b'a', ..] => Ok(type_length(after(1), below)?.saturating_add(1)),
        [b'(', ..] => {
            let mut end = 1_usize;
            while after(end).first() != Some(&b')') {
                end = end.saturating_add(type_length(after(end), below)?);
            }
            if end > 1 { Ok(end.saturating_add(1)) } else { Err(BAD) }
        }
        [b'v', ..] => Ok(1),
        [basic, ..] if BASIC.contains(basic) => Ok(1),
        _ => Err(BAD),
    }
}

/// Types without others in them, which can be the key of a dictionary.
const BASIC: &[u8] = b"ybnqiuxtdsogh";

fn is_object_path(path: &str) -> bool {
    path == "/" || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|part| word(part, true, false)))
}

fn is_interface(name: &str) -> bool {
    name.len() <= MAX_NAME && name.contains('.') && name.split('.').all(is_member)
}

fn is_member(name: &str) -> bool {
    name.len() <= MAX_NAME && word(name, false, false)
}

fn is_bus_name(name: &str) -> bool {
    let unique = name.strip_prefix(':');
    let parts = unique.unwrap_or(name);
    name.len() <= MAX_NAME && parts.contains('.') && parts.split('.').all(|part| word(part, unique.is_some(), true))
}

fn word(part: &str, digit_first: bool, hyphen: bool) -> bool {
    let letter = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || (hyphen && c == b'-');
    part.bytes().all(letter) && part.bytes().next().is_some_and(|c| digit_first || !c.is_ascii_digit())
}

#[cfg(test)]
#[path = "tests/wire.rs"]
#[allow(clippy::arithmetic_side_effects)] // A panic is what a test wants.
mod tests;
