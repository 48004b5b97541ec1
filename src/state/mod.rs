//! What is known of a container between two commands: `ROOT/ID/state.json` in libcontainer's format, so that runc can go on
//! with what we made and we with what runc made; the directory around it; and the status that follows from it.
//! Knows nothing of how a container is made or ended, nor of what a cgroup is.
//!
//! | file | owns |
//! |---|---|
//! | `types`, `resources`, `seccomp` | the keys of state.json |
//! | `from_spec`, `to_spec` | config.json -> libcontainer's `config`, and what an exec'd process takes from that |
//! | `dir` | the directory and its files, by descriptor |
//! | `creating` | what is on disk before a container is made, and undoing one that was cut short |
//! | `lock` | one command at a time that changes it |
//! | `status` | init and the status |
//! | `report` | what `state` and `list` print |
//! | `rewrite` | changing a state and keeping what we do not know |

mod creating;
mod dir;
mod end;
mod from_spec;
mod lock;
mod object;
mod report;
mod resources;
mod rewrite;
mod seccomp;
mod status;
#[cfg(test)]
mod tests;
mod to_spec;
mod types;

pub use creating::{Aborted, Claim, Creating, Intent};
pub use dir::{CRIU_ROOT, ContainerDir, Root, check_id, does_not_exist};
pub use end::End;
pub use from_spec::Origin;
pub use lock::Lock;
pub use report::{OCI_VERSION, Report, annotations, bundle, now, rfc3339_nano};
pub use resources::{Cgroup, DeviceRule, HugepageLimit, InterfacePriority, Rdma, ThrottleDevice, WeightDevice};
pub use seccomp::{Arg, Seccomp, Syscall};
pub use status::{InitProcess, Status, not_running, start_time};
pub use types::{
    Brief, Capabilities, CgroupName, Config, Device, ExecCpuAffinity, Extra, Hook, Hooks, IdMap, IntelRdt,
    MemoryPolicy, Mount, MountAttr, MountIdMapping, Namespace, NetDevice, Network, Personality, Rlimit, State,
    TimeOffset,
};
