//! What is told about a container: the output of `state` and the rows of `list`. The order of the keys and the formats are
//! runc's. Knows nothing of where the facts come from.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::end::End;
use super::status::Status;
use super::types::{Brief, State};
use crate::error::{Error, Result};

/// The version of the runtime-spec that we follow; told whatever the bundle says.
pub use crate::spec::default::OCI_VERSION;

/// What `state` prints, and one element of `list --format json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// [`OCI_VERSION`].
    #[serde(rename = "ociVersion")]
    pub oci_version: &'static str,
    /// The container.
    pub id: String,
    /// Of init; 0 if the container is stopped.
    pub pid: i32,
    /// In words.
    pub status: &'static str,
    /// Absolute.
    pub bundle: String,
    /// Absolute.
    pub rootfs: String,
    /// RFC 3339.
    pub created: String,
    /// Of config.json.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// How it ended; only `state` fills it in, of one that has stopped, if that is known.
    #[serde(rename = "io.dunnage.end", skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// Name of the user who owns the state; only `list` fills it in.
    pub owner: String,
}

impl Report {
    /// From a state and the status found.
    pub fn new(state: State<Brief>, status: Status) -> Report {
        Report {
            oci_version: OCI_VERSION,
            pid: if status == Status::Stopped { 0 } else { state.init_process_pid },
            status: status.as_str(),
            bundle: bundle(&state.config.labels).unwrap_or_default().to_owned(),
            annotations: annotations(&state.config.labels),
            id: state.id,
            rootfs: state.config.rootfs,
            created: state.created,
            end: None,
            owner: String::new(),
        }
    }

    /// As `state` prints it: indented, without a newline at the end.
    pub fn pretty(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|e| Error::new(format!("state as JSON: {e}")))
    }
}

/// The bundle among a state's labels. The last one: libcontainer appends it to the annotations, one of which may bear the
/// same name.
pub fn bundle(labels: &[String]) -> Option<&str> {
    labels.iter().rev().find_map(|label| label.strip_prefix("bundle="))
}

/// The annotations among a state's labels.
pub fn annotations(labels: &[String]) -> BTreeMap<String, String> {
    let pairs = labels.iter().filter_map(|label| label.split_once('='));
    pairs.filter(|(key, _)| *key != "bundle").map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Now, as `created` is written.
pub fn now() -> String {
    rfc3339_nano(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Go's `time.RFC3339Nano` in UTC: nanoseconds without the zeros at their end.
pub fn rfc3339_nano(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (days, second) = (seconds / 86400, seconds % 86400);
    let (year, month, day) = crate::log::civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if since_epoch.subsec_nanos() != 0 {
        text.push_str(format!(".{:09}", since_epoch.subsec_nanos()).trim_end_matches('0'));
    }
    text.push('Z');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|&l| l.to_owned()).collect()
    }

    #[test]
    fn times_are_as_go_writes_them() {
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (951_782_399, 999_999_999, "2000-02-28T23:59:59.999999999Z"),
            (951_782_400, 1, "2000-02-29T00:00:00.000000001Z"),
            (1_735_689_599, 120_000_000, "2024-12-31T23:59:59.12Z"),
            (1_735_689_600, 998_165_410, "2025-01-01T00:00:00.99816541Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339_nano(Duration::new(seconds, nanos)), text);
        }
    }

    #[test]
    fn an_annotation_cannot_pose_as_the_bundle() {
        let labels = labels(&["bundle=/etc", "a=b=c", "empty=", "bundle=/real"]);
        assert_eq!(bundle(&labels), Some("/real"));
        let expected = [("a", "b=c"), ("empty", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(annotations(&labels), BTreeMap::from(expected));
        assert_eq!(bundle(&[]), None);
    }

    #[test]
    fn state_as_runc_prints_it() {
        let config = Brief { rootfs: "/b/rootfs".into(), labels: labels(&["k=v", "bundle=/b"]), ..Brief::default() };
        let state = State { id: "c1".into(), init_process_pid: 7, created: "T".into(), config, ..State::default() };
        let running = Report::new(state.clone(), Status::Running).pretty().unwrap();
        assert_eq!(
            running,
            "{\n  \"ociVersion\": \"1.3.0\",\n  \"id\": \"c1\",\n  \"pid\": 7,\n  \"status\": \"running\",\n  \
             \"bundle\": \"/b\",\n  \"rootfs\": \"/b/rootfs\",\n  \"created\": \"T\",\n  \"annotations\": {\n    \"k\": \
             \"v\"\n  },\n  \"owner\": \"\"\n}"
        );
        assert_eq!(Report::new(state, Status::Stopped).pid, 0);
    }
}
