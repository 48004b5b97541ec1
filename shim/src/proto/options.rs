//! The runtime's options, in both forms in which they come.

use crate::messages;

messages! {
    /// containerd.runc.v1.Options
    RuncOptions {
        1 no_pivot_root: bool, 2 no_new_keyring: bool, 3 shim_cgroup: String, 4 io_uid: u32, 5 io_gid: u32,
        6 binary_name: String, 7 root: String, 8 criu_path: String, 9 systemd_cgroup: bool, 10 criu_image_path: String,
        11 criu_work_path: String, 12 task_api_address: String, 13 task_api_version: u32,
    }
    /// containerd.runc.v1.CheckpointOptions
    CheckpointOptions {
        1 exit: bool, 2 open_tcp: bool, 3 external_unix_sockets: bool, 4 terminal: bool, 5 file_locks: bool,
        6 empty_namespaces: Vec<String>, 7 cgroups_mode: String, 8 image_path: String, 9 work_path: String, 10 parent_path: String,
    }
    /// runtimeoptions.v1.Options: for a runtime that containerd does not know, its table of the configuration as TOML.
    RuntimeOptions { 1 type_url: String, 2 config_path: String, 3 config_body: Vec<u8> }
}
