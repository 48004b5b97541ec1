//! Any text as a message: whatever it says, it is one record of the log, in either format, and what is read out of it is what
//! was put in.
#![no_main]

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::sync::LazyLock;

use dunnage::log::{self, Format, Level};
use dunnage_fuzz::one_line;
use libfuzzer_sys::fuzz_target;

static LOG: LazyLock<PathBuf> = LazyLock::new(|| format!("/dev/shm/dunnage-fuzz-{}.log", std::process::id()).into());
static FILE: LazyLock<File> = LazyLock::new(|| {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&*LOG).expect("a log");
    File::try_clone(&file).expect("a descriptor")
});

fuzz_target!(|bytes: &[u8]| {
    let message = String::from_utf8_lossy(bytes);
    let json = written(Format::Json, &message);
    let json: serde_json::Value = serde_json::from_str(&json).expect("an object");
    assert_eq!(
        (&json["msg"], &json["what"], &json["level"]),
        (&message.as_ref().into(), &message.as_ref().into(), &"info".into())
    );

    let text = written(Format::Text, &message);
    one_line(&text);
    assert!(text.starts_with("time=\"") && text.contains("level=info msg="), "{text}");
    // Nobody can put a record's end, or another level, into a message.
    assert_eq!(text.matches("level=").count(), 1 + 2 * message.matches("level=").count());
});

/// The line, without its end.
fn written(format: Format, message: &str) -> String {
    let mut file = &*FILE;
    file.set_len(0).expect("emptied");
    log::open(false, format, Some(&LOG)).expect("opened");
    log::record(Level::Info, message, &[("what", &message)]);
    log::flush();
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).expect("read");
    file.flush().expect("nothing to write");
    let line = text.strip_suffix('\n').expect("a line");
    assert!(!line.contains('\n'));
    line.to_owned()
}
