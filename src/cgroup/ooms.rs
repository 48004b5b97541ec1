//! Whose memory ran out: of which cgroup the limit was, when the kernel killed in a container for want of memory.

use serde::{Deserialize, Serialize};

use super::dir::Dir;
use super::host::Version;
use super::owned::{Node, OwnedCgroup};
use super::stats::value_of;

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ooms {
    /// How many processes the kernel has killed there.
    pub kills: u64,
    /// Whose limit it was.
    pub limit: Whose,
    /// Its directory; empty if it was nobody's, or one below the container's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cgroup: String,
}

/// Whose limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// The container's own.
    Container,
    /// One that the container set itself, of a cgroup below its own (v2).
    Below,
    /// Of a cgroup above it: a pod's, a slice's.
    Above,
    /// None that is known of: the host had no memory left.
    Host,
}

impl OwnedCgroup {
    /// Whether the kernel has killed in there for want of memory, and for whose. `None`: it has not, or nobody counts any more.
    pub fn ooms(&self) -> Option<Ooms> {
        let (version, node) = match (self.node("memory"), self.node("")) {
            (Some(node), _) => (node.hierarchy.version, node),
            (None, node) => (Version::V2, node?),
        };
        let dir = Dir::at(node.path.as_str());
        let count =
            |dir: &Dir, file, key| dir.read_if_there(file).ok().flatten().map_or(0, |text| value_of(&text, key));
        let kills = match version {
            Version::V1 => count(&dir, "memory.oom_control", "oom_kill"),
            Version::V2 => count(&dir, "memory.events", "oom_kill"),
        };
        if kills == 0 {
            return None;
        }
        let hit = |dir: &Dir| match version {
            // That a limit was in the way; v1 does not say how often it was so to the end.
            Version::V1 => ["memory", "memory.memsw"].iter().any(|name| was_full(dir, name)),
            // Since Linux 5.2; `oom` is counted where the limit is.
            Version::V2 => count(dir, "memory.events.local", "oom") > 0,
        };
        let found = |limit, cgroup: &str| Some(Ooms { kills, limit, cgroup: cgroup.to_owned() });
        if hit(&dir) {
            return found(Whose::Container, &node.path);
        }
        if version == Version::V2 && count(&dir, "memory.events", "oom") > 0 {
            return found(Whose::Below, "");
        }
        match above(node).find(|path| hit(&Dir::at(*path))) {
            Some(path) => found(Whose::Above, path),
            None => found(Whose::Host, ""),
        }
    }
}

/// The cgroups above one, from the nearest to the root of the hierarchy.
fn above(node: &Node) -> impl Iterator<Item = &str> {
    let mount = node.hierarchy.mount.as_str();
    std::iter::successors(Some(node.path.as_str()), |path| path.rsplit_once('/').map(|(above, _)| above))
        .skip(1)
        .take_while(move |path| path.len() >= mount.len())
}

/// v1. `failcnt` stands still in newer kernels (seen in 6.18); the most that was ever used does not.
fn was_full(dir: &Dir, name: &str) -> bool {
    let number = |file: &str| {
        let text = dir.read_if_there(&format!("{name}.{file}")).ok().flatten();
        text.and_then(|text| text.trim().parse::<u64>().ok())
    };
    number("failcnt").is_some_and(|n| n > 0)
        || number("max_usage_in_bytes").zip(number("limit_in_bytes")).is_some_and(|(most, limit)| most >= limit)
}
