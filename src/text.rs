//! Text of messages: the quoting of Go's `%q`, which runc's messages use, and JSON pointers.

use std::fmt::{Result, Write};

/// A string in double quotes as Go's `%q` prints it.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            _ => push_visible(&mut out, c),
        }
    }
    out.push('"');
    out
}

/// The same text on one line: what would break a line or move a terminal's cursor is written as an escape.
pub fn one_line(text: &str) -> String {
    let mut out = Visible(String::with_capacity(text.len()));
    // Writing to a String can't fail.
    let _ = out.write_str(text);
    out.0
}

/// Writes what is written to it as [`one_line`] has it.
pub struct Visible<W>(pub W);

impl<W: Write> Write for Visible<W> {
    fn write_str(&mut self, text: &str) -> Result {
        text.chars().try_for_each(|c| put_visible(&mut self.0, c))
    }
}

/// The same, with an end: what is longer than `max` bytes is cut and says so.
pub fn short_line(text: &str, max: usize) -> String {
    if text.len() <= max {
        return one_line(text);
    }
    let cut = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= max).last().unwrap_or(0);
    let (head, tail) = text.split_at_checked(cut).unwrap_or((text, ""));
    format!("{}... ({} bytes more)", one_line(head), tail.len())
}

fn push_visible(out: &mut String, c: char) {
    // Writing to a String can't fail.
    let _ = put_visible(out, c);
}

fn put_visible(out: &mut impl Write, c: char) -> Result {
    match c {
        '\x07' => out.write_str("\\a"),
        '\x08' => out.write_str("\\b"),
        '\t' => out.write_str("\\t"),
        '\n' => out.write_str("\\n"),
        '\x0b' => out.write_str("\\v"),
        '\x0c' => out.write_str("\\f"),
        '\r' => out.write_str("\\r"),
        // Line and paragraph separators, and the marks that reorder text, are not printable in Go either.
        _ if c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
        {
            let n = u32::from(c);
            if n < 0x80 { write!(out, "\\x{n:02x}") } else { write!(out, "\\u{n:04x}") }
        }
        _ => out.write_char(c),
    }
}

/// One reference token of a JSON pointer (RFC 6901), with its slash.
pub fn push_pointer(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            _ => push_visible(pointer, c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_like_go() {
        for (text, quoted) in [
            ("a b", r#""a b""#),
            ("a\"b\\", r#""a\"b\\""#),
            ("a\0\n\x7f\u{85}", r#""a\x00\n\x7f\u0085""#),
            ("schön", "\"schön\""),
            ("\u{202e}", r#""\u202e""#),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }

    #[test]
    fn what_is_long_is_cut() {
        assert_eq!(short_line("a\nb", 3), "a\\nb");
        assert_eq!(short_line("abcdef", 3), "abc... (3 bytes more)");
        assert_eq!(short_line("äöü", 3), "ä... (4 bytes more)");
        assert_eq!(short_line("\u{1f600}", 1), "... (4 bytes more)");
    }

    #[test]
    fn pointers() {
        let mut p = String::from("/linux/sysctl");
        push_pointer(&mut p, "net/ipv4~x");
        assert_eq!(p, "/linux/sysctl/net~1ipv4~0x");
    }
}
