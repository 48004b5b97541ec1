//! How much a document may hold, before it is read into types: the text of a mount is three bytes (`{},`), what becomes of it a
//! hundred and fifty. One pass over the bytes, without memory of its own. Knows nothing of what fields mean.

use super::text;
use crate::error::Error;

/// Entries of one list or object. The kernel's limit of a mount namespace is 100,000 mounts (fs.mount-max), that of a
/// program's arguments and environment 2 MiB (execve(2)), which is fewer words than this.
pub const MAX_ENTRIES: u32 = 1 << 16;
/// Values in all. Containers of engines have some hundreds, with a seccomp profile a thousand.
pub const MAX_VALUES: u32 = 1 << 19;
/// serde_json's own limit; what is deeper is refused by it.
const MAX_DEPTH: usize = 128;

/// A list or an object that is open.
#[derive(Clone, Copy, Default)]
struct Level<'a> {
    entries: u32,
    /// The last key of an object, as it is in the text; `None` in a list.
    key: Option<&'a [u8]>,
}

/// How many values the text has, as far as it is JSON; where it is not, its reader will say so.
///
/// # Errors
/// More than a document may hold; the field is that of the list or object.
pub fn check(json: &[u8]) -> Result<u32, Error> {
    let mut levels = [Level::default(); MAX_DEPTH];
    let (mut depth, mut values) = (0_usize, 0_u32);
    let mut text: &[u8] = json;
    while let Some((byte, rest)) = text.split_first() {
        text = rest;
        match byte {
            b'"' => {
                let end = end_of_string(text);
                let (word, after) = text.split_at_checked(end).unwrap_or((text, &[]));
                text = after.get(1..).unwrap_or_default();
                if let Some(level) = levels.get_mut(depth)
                    && text.trim_ascii_start().first() == Some(&b':')
                {
                    level.key = Some(word);
                }
                continue;
            }
            b'[' | b'{' => {
                depth = depth.saturating_add(1);
                let Some(level) = levels.get_mut(depth) else { return Ok(values) };
                *level = Level::default();
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                continue;
            }
            // Each but the last is followed by one.
            b',' => {}
            _ => continue,
        }
        values = values.saturating_add(1);
        if let (b',', Some(level)) = (byte, levels.get_mut(depth)) {
            level.entries = level.entries.saturating_add(1);
            if level.entries >= MAX_ENTRIES {
                let why = format!("too many entries: more than {MAX_ENTRIES}");
                return Err(Error::new(why).field(pointer(levels.get(1..depth).unwrap_or_default())));
            }
        }
        if values > MAX_VALUES {
            return Err(Error::new(format!("too large: more than {MAX_VALUES} values")));
        }
    }
    Ok(values)
}

/// Where the quote that ends a string is.
fn end_of_string(text: &[u8]) -> usize {
    let mut escaped = false;
    let ends = |byte: &u8| match (escaped, byte) {
        (true, _) => {
            escaped = false;
            false
        }
        (false, b'\\') => {
            escaped = true;
            false
        }
        (false, byte) => *byte == b'"',
    };
    text.iter().position(ends).unwrap_or(text.len())
}

fn pointer(levels: &[Level<'_>]) -> String {
    let mut pointer = String::new();
    for level in levels {
        match level.key {
            // Whole keys would make a message without end.
            Some(key) => text::push_pointer(&mut pointer, &String::from_utf8_lossy(key.get(..64).unwrap_or(key))),
            None => text::push_pointer(&mut pointer, &level.entries.to_string()),
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted() {
        for (json, values) in [
            ("", 0),
            ("{}", 1),
            (r#"{"a":1}"#, 1),
            (r#"{"a":1,"b":[2,3]}"#, 4),
            (r#"["\",[{",2]"#, 2),
            (r#"["\\",",,,,"]"#, 2),
            (r#""not ended, , ,"#, 0),
            ("]]]]{,", 2),
        ] {
            assert_eq!(check(json.as_bytes()).unwrap(), values, "{json}");
        }
        assert_eq!(check("[".repeat(1 << 20).as_bytes()).unwrap(), 127);
    }

    #[test]
    fn the_list_that_is_too_long_is_named() {
        let list = |n: u32| vec!["{}"; n as usize].join(",");
        let long = list(MAX_ENTRIES + 1);
        for (json, words) in [
            (
                format!(r#"{{"hostname":"a","mounts":[{long}]}}"#),
                "too many entries: more than 65536 (config.json /mounts)",
            ),
            (format!(r#"{{"a" : [0, {{"b\"":[{long}]}}]}}"#), "more than 65536 (config.json /a/1/b\\\")"),
            (format!("[{long}]"), "more than 65536 (config.json )"),
            (format!(r#"{{"{}":[{long}]}}"#, "k".repeat(1000)), &format!("/{})", "k".repeat(64))),
        ] {
            let error = check(json.as_bytes()).unwrap_err().to_string();
            assert!(error.ends_with(words), "{error}");
        }
        check(format!("[{}]", list(MAX_ENTRIES)).as_bytes()).unwrap();
        let lists = vec![format!("[{}]", list(MAX_ENTRIES)); 9].join(",");
        assert!(check(format!("[{lists}]").as_bytes()).unwrap_err().to_string().contains("more than 524288 values"));
    }
}
