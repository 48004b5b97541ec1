//! The runtime's options: from the `Any` that the client chose to the fields that count, and to and from the file in the bundle that
//! tells `delete` of them.

use dunnage::files;
use nix::fcntl::OFlag;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::proto::options::{RuncOptions, RuntimeOptions};
use crate::proto::{Any, Message};
use crate::ttrpc::Failure;

/// Where runc keeps the state of containerd's containers, a directory for each namespace.
pub const DEFAULT_ROOT: &str = "/run/containerd/runc";

/// The same as TOML, for a runtime type that containerd does not know. Keys in any case, as Go's reader takes them.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Table {
    nopivotroot: bool,
    nonewkeyring: bool,
    shimcgroup: String,
    iouid: u32,
    iogid: u32,
    binaryname: String,
    root: String,
    criupath: String,
    systemdcgroup: bool,
    criuimagepath: String,
    criuworkpath: String,
}

/// The options in an `Any`; one of another type holds none of ours.
///
/// # Errors
/// It is malformed.
pub fn of_any(any: Option<&Any>) -> Result<RuncOptions, Failure> {
    let Some(any) = any else { return Ok(RuncOptions::default()) };
    match any.type_name() {
        "containerd.runc.v1.Options" => {
            RuncOptions::decode(&any.value).map_err(|fault| Failure::invalid(format_args!("runtime options: {fault}")))
        }
        "runtimeoptions.v1.Options" => {
            let options = RuntimeOptions::decode(&any.value);
            let options = options.map_err(|fault| Failure::invalid(format_args!("runtime options: {fault}")))?;
            of_toml(&options)
        }
        _ => Ok(RuncOptions::default()),
    }
}

fn of_toml(options: &RuntimeOptions) -> Result<RuncOptions, Failure> {
    let read;
    let body = match (options.config_body.as_slice(), options.config_path.as_str()) {
        ([], "") => return Ok(RuncOptions::default()),
        ([], path) => {
            // The server reads it itself: a fifo in its place must not hold it.
            let file = files::open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK).map_err(std::io::Error::from);
            let bytes = file.and_then(|file| files::document_of(std::fs::File::from(file)));
            read = bytes.map_err(|e| Failure::unknown(format_args!("open {path}: {e}")))?;
            read.as_slice()
        }
        (body, _) => body,
    };
    let invalid = |why: &dyn std::fmt::Display| Failure::invalid(format_args!("runtime options: {why}"));
    let text = std::str::from_utf8(body).map_err(|e| invalid(&e))?;
    if is_deep(text) {
        return Err(invalid(&"nested too deeply"));
    }
    let table: std::collections::BTreeMap<String, Value> = basic_toml::from_str(text).map_err(|e| invalid(&e))?;
    let lower = table.into_iter().map(|(key, value)| (key.to_ascii_lowercase(), value)).collect();
    let table: Table = serde_json::from_value(Value::Object(lower)).map_err(|e| invalid(&e))?;
    Ok(RuncOptions {
        no_pivot_root: table.nopivotroot,
        no_new_keyring: table.nonewkeyring,
        shim_cgroup: table.shimcgroup,
        io_uid: table.iouid,
        io_gid: table.iogid,
        binary_name: table.binaryname,
        root: table.root,
        criu_path: table.criupath,
        systemd_cgroup: table.systemdcgroup,
        criu_image_path: table.criuimagepath,
        criu_work_path: table.criuworkpath,
        ..RuncOptions::default()
    })
}

/// Whether it may be nested so deeply that a reader which calls itself for each level, as ours does, runs out of stack: brackets in
/// brackets, names of many parts. What is in strings counts, too; nobody has so many there.
fn is_deep(text: &str) -> bool {
    const MOST: usize = 100;
    let mut open = 0usize;
    text.lines().any(|line| {
        let mut parts = 0usize;
        line.bytes().any(|byte| {
            match byte {
                b'[' | b'{' => open = open.saturating_add(1),
                b']' | b'}' => open = open.saturating_sub(1),
                b'.' => parts = parts.saturating_add(1),
                _ => {}
            }
            open > MOST || parts > MOST
        })
    })
}

/// As `options.json` of the bundle, which containerd's own shim reads, too.
pub fn to_json(options: &RuncOptions) -> String {
    let mut fields = json!({
        "no_pivot_root": options.no_pivot_root, "no_new_keyring": options.no_new_keyring, "shim_cgroup": options.shim_cgroup,
        "io_uid": options.io_uid, "io_gid": options.io_gid, "binary_name": options.binary_name, "root": options.root,
        "criu_path": options.criu_path, "systemd_cgroup": options.systemd_cgroup,
        "criu_image_path": options.criu_image_path, "criu_work_path": options.criu_work_path,
    });
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|_, value| !(value == false || value == 0 || value == ""));
    }
    fields.to_string()
}

/// What of `options.json` matters to `delete` and to a sandbox; a file that is none says nothing.
pub fn of_json(bytes: &[u8]) -> RuncOptions {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let flag = |key: &str| value.get(key).and_then(Value::as_bool).unwrap_or_default();
    RuncOptions {
        no_pivot_root: flag("no_pivot_root"),
        no_new_keyring: flag("no_new_keyring"),
        binary_name: text("binary_name"),
        root: text("root"),
        systemd_cgroup: flag("systemd_cgroup"),
        ..RuncOptions::default()
    }
}

/// Where `start` leaves the options for a server whose daemon may ask for a sandbox: that request has none.
pub const ENVIRONMENT: &str = "DUNNAGE_SHIM_OPTIONS";

/// The options that `start` was given.
pub fn of_environment() -> RuncOptions {
    std::env::var_os(ENVIRONMENT).map(|text| of_json(text.as_encoded_bytes())).unwrap_or_default()
}

/// The state root of a namespace.
pub fn state_root(options: &RuncOptions, namespace: &str) -> std::path::PathBuf {
    let root = if options.root.is_empty() { DEFAULT_ROOT } else { &options.root };
    std::path::Path::new(root).join(namespace)
}

/// The runtime that is to be executed, where it is not ours.
pub fn external(options: &RuncOptions) -> Option<&str> {
    let name = options.binary_name.as_str();
    let ours = matches!(name, "" | "runc" | "dunnage") || name.rsplit('/').next() == Some("dunnage");
    (!ours).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let options = RuncOptions { root: "/r".into(), systemd_cgroup: true, io_uid: 7, ..RuncOptions::default() };
        let any = Any::of("type.googleapis.com/containerd.runc.v1.Options", &options);
        assert_eq!(of_any(Some(&any)).unwrap(), options);
        let body = b"SystemdCgroup = true\nRoot = \"/r\"\nIoUid = 7\nFuture = [1, 2]\n".to_vec();
        let any =
            Any::of("runtimeoptions.v1.Options", &RuntimeOptions { config_body: body, ..RuntimeOptions::default() });
        assert_eq!(of_any(Some(&any)).unwrap(), options);
        assert_eq!(of_any(Some(&Any::of("x.y", &options))).unwrap(), RuncOptions::default());
        assert_eq!(of_any(None).unwrap(), RuncOptions::default());
        let bad = Any { type_url: "containerd.runc.v1.Options".into(), value: vec![0x0a] };
        assert_eq!(of_any(Some(&bad)).unwrap_err().code, 3);
    }

    fn toml(body: String) -> Result<RuncOptions, Failure> {
        of_toml(&RuntimeOptions { config_body: body.into_bytes(), ..RuntimeOptions::default() })
    }

    #[test]
    fn what_is_nested_too_deeply_is_refused_not_followed() {
        let deep = 1 << 20;
        for body in [
            format!("x = {}", "[".repeat(deep)),
            format!("x = {}{}", "[\n".repeat(deep), "]".repeat(deep)),
            format!("x = {}", "{a=".repeat(deep)),
            format!("[{}a]", "a.".repeat(deep)),
            format!("{}a = 1", "a.".repeat(deep)),
            format!("x = {{{}a = 1}}", "a.".repeat(deep)),
        ] {
            assert_eq!(toml(body).unwrap_err().message, "runtime options: nested too deeply");
        }
        let body = format!("Root = \"/r\"\nx = {}{}\n[{}y]\n", "[".repeat(100), "]".repeat(100), "a.".repeat(100));
        assert_eq!(toml(body).unwrap().root, "/r");
    }

    #[test]
    fn a_fifo_is_no_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let options = RuntimeOptions { config_path: path.display().to_string(), ..RuntimeOptions::default() };
        assert_eq!(of_toml(&options).unwrap(), RuncOptions::default());
    }

    #[test]
    fn the_file_in_the_bundle() {
        let options = RuncOptions { root: "/r".into(), binary_name: "crun".into(), ..RuncOptions::default() };
        assert_eq!(to_json(&options), r#"{"binary_name":"crun","root":"/r"}"#);
        assert_eq!(of_json(to_json(&options).as_bytes()), options);
        assert_eq!(of_json(b"garbage"), RuncOptions::default());
        assert_eq!(state_root(&options, "ns"), std::path::Path::new("/r/ns"));
        assert_eq!(state_root(&RuncOptions::default(), "ns"), std::path::Path::new("/run/containerd/runc/ns"));
    }

    #[test]
    fn whose_runtime() {
        let named = |name: &str| RuncOptions { binary_name: name.into(), ..RuncOptions::default() };
        for ours in ["", "runc", "dunnage", "/usr/local/sbin/dunnage"] {
            assert_eq!(external(&named(ours)), None);
        }
        assert_eq!(external(&named("/usr/bin/crun")), Some("/usr/bin/crun"));
        assert_eq!(external(&named("/usr/sbin/runc")), Some("/usr/sbin/runc"));
    }
}
