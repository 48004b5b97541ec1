//! GVariant's text format (<https://docs.gtk.org/glib/gvariant-text-format.html>) -> [`Value`], as far as properties of units
//! need it: booleans, numbers, strings and arrays of these. The type is known beforehand, so nothing is inferred. Pure.

use crate::dbus::Value;

/// Names of types that may stand before a value.
const KEYWORDS: [(&str, &str); 10] = [
    ("boolean", "b"),
    ("byte", "y"),
    ("int16", "n"),
    ("uint16", "q"),
    ("int32", "i"),
    ("uint32", "u"),
    ("int64", "x"),
    ("uint64", "t"),
    ("double", "d"),
    ("string", "s"),
];

/// A value of the type `signature`.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(signature: &str, text: &str) -> Result<Value, String> {
    let mut parser = Parser { rest: text };
    let value = parser.value(signature)?;
    parser.end()?;
    Ok(value)
}

/// A number of any type; if none is declared, an int64 or a double.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_number(text: &str) -> Result<Value, String> {
    match (Parser { rest: text }).declared()? {
        Some(number @ ("y" | "n" | "q" | "i" | "u" | "x" | "t" | "d")) => parse(number, text),
        Some(_) => Err("not a number".into()),
        None => parse("x", text).or_else(|_| parse("d", text)),
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn value(&mut self, signature: &str) -> Result<Value, String> {
        while let Some(declared) = self.declared()? {
            if declared != signature {
                return Err(format!("the type is {declared:?}, not {signature:?}"));
            }
        }
        let outside = |_| format!("number out of range of type {signature:?}");
        Ok(match signature {
            "b" => Value::Bool(match self.word() {
                "true" => true,
                "false" => false,
                word => return Err(format!("{word:?} is no boolean")),
            }),
            "y" => Value::Byte(self.integer()?.try_into().map_err(outside)?),
            "n" => Value::Int16(self.integer()?.try_into().map_err(outside)?),
            "q" => Value::Uint16(self.integer()?.try_into().map_err(outside)?),
            "i" => Value::Int32(self.integer()?.try_into().map_err(outside)?),
            "u" => Value::Uint32(self.integer()?.try_into().map_err(outside)?),
            "x" => Value::Int64(self.integer()?.try_into().map_err(outside)?),
            "t" => Value::Uint64(self.integer()?.try_into().map_err(outside)?),
            "d" => {
                let word = self.word();
                Value::Double(word.parse().map_err(|_| format!("{word:?} is no number"))?)
            }
            "s" => Value::String(self.string()?),
            array => match array.strip_prefix('a') {
                Some(element) => self.array(element)?,
                None => return Err(format!("type {signature:?} is not supported")),
            },
        })
    }

    /// `[1, 2]`
    fn array(&mut self, element: &str) -> Result<Value, String> {
        let mut values = Vec::new();
        self.expect('[')?;
        if !self.accept(']') {
            loop {
                values.push(self.value(element)?);
                if self.accept(']') {
                    break;
                }
                self.expect(',')?;
            }
        }
        Ok(Value::Array(element.to_owned(), values))
    }

    /// The signature that `@as` or `uint64` stands for, if one comes next.
    fn declared(&mut self) -> Result<Option<&'a str>, String> {
        self.skip_space();
        if let Some(rest) = self.rest.strip_prefix('@') {
            let end = rest.find(|c: char| c.is_ascii_whitespace()).ok_or("a type without a value")?;
            let (signature, rest) = rest.split_at_checked(end).unwrap_or_default();
            self.rest = rest;
            return Ok(Some(signature));
        }
        let mut ahead = Parser { rest: self.rest };
        let word = ahead.word();
        let found = KEYWORDS.iter().find(|(name, _)| *name == word);
        Ok(found.map(|(_, signature)| {
            self.rest = ahead.rest;
            *signature
        }))
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn accept(&mut self, c: char) -> bool {
        self.skip_space();
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, c: char) -> Result<(), String> {
        if self.accept(c) { Ok(()) } else { Err(format!("{c:?} expected at {:?}", self.rest)) }
    }

    fn end(&mut self) -> Result<(), String> {
        self.skip_space();
        if self.rest.is_empty() { Ok(()) } else { Err(format!("text after the value: {:?}", self.rest)) }
    }

    /// Letters, digits and what else numbers are made of.
    fn word(&mut self) -> &'a str {
        self.skip_space();
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | '.'));
        let (word, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len())).unwrap_or_default();
        self.rest = rest;
        word
    }

    /// Decimal, `0x` hexadecimal, `0` octal.
    fn integer(&mut self) -> Result<i128, String> {
        let word = self.word();
        let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
        let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None if digits.len() > 1 && digits.starts_with('0') => (digits, 8),
            None => (digits, 10),
        };
        // A sign would be taken here once more.
        let magnitude = if digits.starts_with(['+', '-']) { None } else { i128::from_str_radix(digits, radix).ok() };
        let magnitude = magnitude.ok_or_else(|| format!("{word:?} is no integer"))?;
        Ok(if word.starts_with('-') { magnitude.saturating_neg() } else { magnitude })
    }

    /// In single or double quotes, with the escapes of C.
    fn string(&mut self) -> Result<String, String> {
        self.skip_space();
        let mut chars = self.rest.chars();
        let quote = chars.next().filter(|c| matches!(c, '\'' | '"')).ok_or("a string has to be in quotes")?;
        let mut out = String::new();
        loop {
            match chars.next().ok_or("the string has no end")? {
                '\\' => match chars.next().ok_or("the string has no end")? {
                    'a' => out.push('\x07'),
                    'b' => out.push('\x08'),
                    'f' => out.push('\x0c'),
                    'n' => out.push('\n'),
                    'r' => out.push('\r'),
                    't' => out.push('\t'),
                    'v' => out.push('\x0b'),
                    '\n' => {}
                    escape @ ('u' | 'U') => {
                        let (digits, rest) =
                            chars.as_str().split_at_checked(if escape == 'u' { 4 } else { 8 }).unwrap_or_default();
                        let hex = !digits.starts_with('+');
                        let code = u32::from_str_radix(digits, 16).ok().filter(|code| hex && *code != 0);
                        out.push(code.and_then(char::from_u32).ok_or("invalid \\u escape in a string")?);
                        chars = rest.chars();
                    }
                    c => out.push(c),
                },
                c if c == quote => break,
                c => out.push(c),
            }
        }
        self.rest = chars.as_str();
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As GLib's Python binding shows it.
    fn shown(value: &Value) -> serde_json::Value {
        match value {
            Value::Bool(b) => (*b).into(),
            Value::Byte(n) => (*n).into(),
            Value::Int16(n) => (*n).into(),
            Value::Uint16(n) => (*n).into(),
            Value::Int32(n) => (*n).into(),
            Value::Uint32(n) => (*n).into(),
            Value::Int64(n) => (*n).into(),
            Value::Uint64(n) => (*n).into(),
            Value::Double(n) if n.is_finite() => (*n).into(),
            Value::Double(n) => n.to_string().to_lowercase().into(),
            Value::String(s) => s.as_str().into(),
            Value::Array(_, values) => values.iter().map(shown).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Against what GLib said (tests/fixtures/gvariant/record.py).
    #[test]
    fn as_glib() {
        let recorded = include_str!("../../../tests/fixtures/gvariant/glib.jsonl");
        let (mut wrong, mut values) = (Vec::new(), 0);
        for line in recorded.lines() {
            let (text, expected): (String, serde_json::Value) = serde_json::from_str(line).unwrap();
            for signature in ["b", "y", "n", "q", "i", "u", "x", "t", "d", "s", "as", "ay", "au", "aas"] {
                // Hexadecimal doubles: nobody writes them, and Rust does not read them.
                if signature == "d" && text.contains(['x', 'X']) {
                    continue;
                }
                let ours = parse(signature, &text);
                values += usize::from(ours.is_ok());
                if ours.as_ref().ok().map(shown).as_ref() != expected.get(signature) {
                    wrong.push(format!("{signature} {text:?}: {ours:?}, not {:?}", expected.get(signature)));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(values > 300, "{values}");
    }

    #[test]
    fn numbers_of_any_type() {
        for (text, expected) in [
            ("5", Ok(Value::Int64(5))),
            ("-0x1e", Ok(Value::Int64(-30))),
            ("1e3", Ok(Value::Double(1000.0))),
            ("byte 5", Ok(Value::Byte(5))),
            ("@q 5", Ok(Value::Uint16(5))),
            ("byte 256", Err("number out of range of type \"y\"".to_string())),
            ("true", Err("\"true\" is no number".into())),
            ("'5'", Err("\"\" is no number".into())),
            ("boolean true", Err("not a number".into())),
            ("5 sec", Err("text after the value: \"sec\"".into())),
        ] {
            assert_eq!(parse_number(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        /// Any text: a value of the type that was asked for, or an error.
        #[test]
        fn any_text(text in "[\\[\\]0-9a-z@'\"\\\\(), .+-]{0,20}", signature in "(a{0,2}[bynqiuxtds]|[a-z(]{0,3})") {
            if let Ok(value) = parse(&signature, &text) {
                proptest::prop_assert_eq!(value.signature(), signature);
            }
            let _ = parse_number(&text);
        }
    }
}
