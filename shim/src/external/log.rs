//! What a runtime wrote to its log: JSON, one object after another, of which the last error is what a user is told.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use dunnage::files;
use nix::fcntl::OFlag;
use serde_json::{Deserializer, Value};

/// One command's part of it.
const MOST: u64 = 1 << 20;

/// A log, from some moment on.
pub struct Log<'a> {
    path: &'a Path,
    from: u64,
}

impl Log<'_> {
    /// From now on.
    pub fn now(path: &Path) -> Log<'_> {
        Log { path, from: std::fs::metadata(path).map_or(0, |meta| meta.len()) }
    }

    /// The `msg` of the last record of level `error`, if there is one that can be read.
    pub fn last_error(&self) -> Option<String> {
        // It is to be a file: a fifo in its place must not hold us.
        let mut file = File::from(files::open(self.path, OFlag::O_RDONLY | OFlag::O_NONBLOCK).ok()?);
        // It may have been emptied meanwhile.
        let from = if file.metadata().ok()?.len() < self.from { 0 } else { self.from };
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut bytes = Vec::new();
        // What was read before an error counts.
        file.take(MOST).read_to_end(&mut bytes).ok();
        last_error(&bytes)
    }
}

/// The same of a log's bytes.
pub fn last_error(bytes: &[u8]) -> Option<String> {
    let mut last = None;
    // The first that is no JSON ends it.
    for record in Deserializer::from_slice(bytes).into_iter::<Value>().map_while(Result::ok) {
        let text = |key: &str| record.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        if text("level") == Some("error")
            && let Some(message) = text("msg")
        {
            last = Some(message.trim_end().to_owned());
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error() {
        for (log, want) in [
            ("", None),
            ("no json", None),
            (r#"{"level":"warning","msg":"w"}"#, None),
            (r#"{"level":"error","msg":""}"#, None),
            (r#"{"level":"error","msg":7}[1]"#, None),
            (
                "{\"level\":\"error\",\"msg\":\"a\"}\n{\"level\":\"error\",\"msg\":\"b\\n\"}\n{\"level\":\"info\",\"msg\":\"c\"}",
                Some("b"),
            ),
            (r#"{"level":"error","msg":"a"} broken {"level":"error","msg":"b"}"#, Some("a")),
        ] {
            assert_eq!(last_error(log.as_bytes()).as_deref(), want, "{log}");
        }
    }

    #[test]
    fn only_what_came_since() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let add = |text: &str| {
            use std::io::Write;
            writeln!(std::fs::OpenOptions::new().append(true).open(file.path()).unwrap(), "{text}").unwrap();
        };
        add(r#"{"level":"error","msg":"an old one"}"#);
        let log = Log::now(file.path());
        assert_eq!(log.last_error(), None);
        add(r#"{"level":"error","msg":"new"}"#);
        assert_eq!(log.last_error().unwrap(), "new");
        file.as_file().set_len(0).unwrap();
        add(r#"{"level":"error","msg":"n"}"#);
        assert_eq!(log.last_error().unwrap(), "n");
        assert_eq!(Log::now(Path::new("/no/such")).last_error(), None);
    }
}
