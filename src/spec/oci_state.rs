//! The state of a container as hooks and seccomp agents read it: runtime.md "State", config-linux.md "The Container Process
//! State". One JSON line; data only.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::{Error, Result};

/// What a hook reads from its stdin.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OciState<'a> {
    /// Of the specification that we follow.
    pub oci_version: &'a str,
    /// The container's.
    pub id: &'a str,
    /// At this moment.
    pub status: Status,
    /// As seen by who reads it; 0 (a container that has none any more) is left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub pid: i32,
    /// Absolute.
    pub bundle: &'a str,
    /// Of config.json.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: &'a BTreeMap<String, String>,
}

/// The specification's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// prestart, createRuntime, createContainer
    Creating,
    /// startContainer
    Created,
    /// poststart; exec's seccomp agent
    Running,
    /// poststop
    Stopped,
}

/// What a seccomp agent reads, beside the descriptor.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerProcessState<'a> {
    /// Of the specification that we follow.
    pub oci_version: &'a str,
    /// `["seccompFd"]`: the names of the descriptors that come with it, in their order.
    pub fds: [&'a str; 1],
    /// Of the process that the filter is on.
    pub pid: i32,
    /// `linux.seccomp.listenerMetadata`, opaque.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub metadata: &'a str,
    /// Of its container.
    pub state: OciState<'a>,
}

impl<'a> ContainerProcessState<'a> {
    /// Of a process of the container in `state`.
    pub fn new(pid: i32, metadata: &'a str, state: OciState<'a>) -> Self {
        ContainerProcessState { oci_version: state.oci_version, fds: ["seccompFd"], pid, metadata, state }
    }
}

/// Either of them as it is sent.
pub fn to_json(state: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(state).map_err(|e| Error::new(format!("write the state as JSON: {e}")))
}

fn is_zero(pid: &i32) -> bool {
    *pid == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_specification_writes_it() {
        let none = BTreeMap::new();
        let some = BTreeMap::from([("k".to_owned(), "v\n".to_owned())]);
        let state = OciState {
            oci_version: "1.3.0",
            id: "c",
            status: Status::Creating,
            pid: 7,
            bundle: "/b",
            annotations: &none,
        };
        let text = |state: &OciState<'_>| String::from_utf8(to_json(state).unwrap()).unwrap();
        assert_eq!(text(&state), r#"{"ociVersion":"1.3.0","id":"c","status":"creating","pid":7,"bundle":"/b"}"#);
        let stopped = OciState { status: Status::Stopped, pid: 0, annotations: &some, ..state };
        assert_eq!(
            text(&stopped),
            r#"{"ociVersion":"1.3.0","id":"c","status":"stopped","bundle":"/b","annotations":{"k":"v\n"}}"#
        );
        let process = to_json(&ContainerProcessState::new(9, "m", state)).unwrap();
        assert_eq!(
            String::from_utf8(process).unwrap(),
            r#"{"ociVersion":"1.3.0","fds":["seccompFd"],"pid":9,"metadata":"m","state":{"ociVersion":"1.3.0","id":"c","status":"creating","pid":7,"bundle":"/b"}}"#
        );
    }
}
