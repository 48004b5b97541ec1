//! Words that others choose, a line each: the URLs of streams, the type and options of mounts, the mount table, a runtime's log.
#![no_main]

use dunnage_fuzz::one_line;
use dunnage_shim::external::log::last_error;
use dunnage_shim::jobs::stdio::Target;
use dunnage_shim::mounts::options::{How, plan};
use dunnage_shim::mounts::table::{parse, places};
use dunnage_shim::proto::Mount;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    url(&text);
    escaped(&text);
    mount(&text);
    mount_table(bytes);
    log(bytes, &text);
});

fn url(text: &str) {
    let Ok(Target::Logger { args, strict, path }) = Target::parse(text) else { return };
    assert_eq!(strict, text.starts_with("binary-v2://"));
    assert!(text.len() >= path.as_os_str().len().min(text.len()));
    assert!(args.len().is_multiple_of(2));
    let keys: Vec<&String> = args.iter().step_by(2).collect();
    assert!((1..keys.len()).all(|at| !keys[..at].contains(&keys[at])), "a key twice: {args:?}");
}

/// Any path, and any arguments, can be written as a URL.
fn escaped(text: &str) {
    let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    assert_eq!(Target::parse(&format!("file://{escaped}")), Ok(Target::File(text.into())));
    assert_eq!(Target::parse(&format!("fifo://{escaped}")), Ok(Target::Path(text.into())));
    let args = vec!["a".to_owned(), text.to_owned(), format!("x{text}"), String::new()];
    let logger = Target::Logger { path: text.into(), args, strict: false };
    assert_eq!(Target::parse(&format!("binary://{escaped}?a={escaped}&x{escaped}")), Ok(logger));
}

/// The first line is the type, the others are the options.
fn mount(text: &str) {
    let mut lines = text.split('\n').map(str::to_owned);
    let kind = lines.next().unwrap_or_default();
    let mount = Mount { kind, source: "source".into(), target: String::new(), options: lines.collect() };
    let plan = match plan(&mount) {
        Ok(plan) => plan,
        Err(e) => return one_line(e),
    };
    assert_eq!(plan.flags & (libc::MS_BIND | libc::MS_REC | libc::MS_REMOUNT), 0);
    assert!(plan.propagation.iter().all(|flag| (flag & !libc::MS_REC).is_power_of_two()));
    assert!(!mount.options.iter().any(|option| option.starts_with("X-containerd.")));
    match &plan.how {
        How::Overlay => {
            let given = mount.options.join(",");
            assert!(plan.data.iter().all(|option| given.contains(option.as_str())));
            // What the kernel would take apart is taken apart as it does: together again it is what it was. A quote that is open, or
            // a backslash, reaches into the next one.
            let open = |option: &&String| option.ends_with('\\') || option.matches('"').count() % 2 == 1;
            let joined = plan.data.join(",");
            let data_alone = dunnage::spec::mount_options::parse(&[&joined]).data == joined;
            if !joined.is_empty() && data_alone && !plan.data.iter().any(|option| open(&option)) {
                let again = dunnage_shim::mounts::options::plan(&Mount { options: vec![joined], ..mount.clone() });
                assert!(again.is_err() || again.is_ok_and(|again| again.data == plan.data), "{plan:?}");
            }
        }
        How::Helper { program, subtype } => {
            assert!(["mount.fuse", "mount.fuse3"].contains(program));
            assert!(!subtype.contains(['/', ' ', '\'', '"', '$', ';', '&', '|', '\n', '`']));
            assert_eq!(plan.data, mount.options);
        }
        How::Bind { .. } | How::Remount | How::Filesystem { .. } => {
            assert!(plan.data.iter().all(|option| mount.options.contains(option)));
        }
    }
}

/// What is below a place is below it, and each place is there once, none before what is mounted on it.
fn mount_table(bytes: &[u8]) {
    let all = parse(bytes, "/".as_ref());
    let below = parse(bytes, "/b/rootfs".as_ref());
    assert!(below.len() <= all.len() && below.iter().all(|mount| mount.at.starts_with("/b/rootfs")));
    let places = places(below.clone());
    assert!(below.iter().all(|mount| places.iter().filter(|place| place.at == mount.at).count() == 1));
    for (at, place) in places.iter().enumerate() {
        assert!(!places[at + 1..].iter().any(|later| later.at.starts_with(&place.at)), "{places:?}");
    }
}

/// A record behind those that can be read is the last.
fn log(bytes: &[u8], text: &str) {
    let whole =
        serde_json::Deserializer::from_slice(bytes).into_iter::<serde_json::Value>().all(|record| record.is_ok());
    last_error(bytes);
    let record = serde_json::json!({"level": "error", "msg": text}).to_string();
    assert_eq!(last_error(record.as_bytes()).as_deref(), (!text.is_empty()).then(|| text.trim_end()));
    if whole && !text.is_empty() {
        let all = [bytes, b" ", record.as_bytes()].concat();
        assert_eq!(last_error(&all).as_deref(), Some(text.trim_end()));
    }
}
