//! CRIU's messages: names and numbers are those of its images/rpc.proto (4.2), as much of it as is asked or read. Options that
//! are not here are not asked for.

use crate::messages;

/// criu_req_type
#[expect(missing_docs, reason = "the names are those of the .proto file")]
pub mod kind {
    pub const DUMP: i32 = 1;
    pub const RESTORE: i32 = 2;
    pub const PRE_DUMP: i32 = 4;
    pub const NOTIFY: i32 = 6;
    pub const FEATURE_CHECK: i32 = 9;
    pub const VERSION: i32 = 10;

    /// For messages.
    pub fn name(kind: i32) -> &'static str {
        match kind {
            DUMP => "DUMP",
            RESTORE => "RESTORE",
            PRE_DUMP => "PRE_DUMP",
            NOTIFY => "NOTIFY",
            FEATURE_CHECK => "FEATURE_CHECK",
            VERSION => "VERSION",
            _ => "EMPTY",
        }
    }
}

messages! {
    /// criu_page_server_info
    PageServer { 1 address: String, 2 port: i32 }
    /// ext_mount_map
    ExtMount { 1 key: String, 2 val: String }
    /// join_namespace
    JoinNs { 1 ns: String, 2 ns_file: String }
    /// inherit_fd; the number is one of CRIU's own
    InheritFd { 1 key: String, 2 fd: Option<i32> }
    /// cgroup_root; of cgroup v2 the controller is there and empty
    CgRoot { 1 ctrl: Option<String>, 2 path: String }
    /// criu_opts; numbers of descriptors are ours, which CRIU opens below /proc/PID/fd
    Opts {
        1 images_dir_fd: Option<i32>, 2 pid: i32, 3 leave_running: bool, 4 ext_unix_sk: bool, 5 tcp_established: bool,
        6 evasive_devices: bool, 7 shell_job: bool, 8 file_locks: bool, 9 log_level: i32, 10 log_file: String,
        11 ps: Option<PageServer>, 12 notify_scripts: bool, 13 root: String, 14 parent_img: String, 15 track_mem: bool,
        16 auto_dedup: bool, 17 work_dir_fd: Option<i32>, 18 link_remap: bool, 23 ext_mnt: Vec<ExtMount>,
        24 manage_cgroups: bool, 25 cg_root: Vec<CgRoot>, 26 rst_sibling: bool, 27 inherit_fd: Vec<InheritFd>,
        34 manage_cgroups_mode: Option<i32>, 37 external: Vec<String>, 38 empty_ns: u32, 39 join_ns: Vec<JoinNs>,
        44 freeze_cgroup: String, 46 tcp_skip_in_flight: bool, 48 lazy_pages: bool, 49 status_fd: Option<i32>,
        50 orphan_pts_master: bool, 51 config_file: String, 52 tcp_close: bool, 53 lsm_profile: String,
        63 lsm_mount_context: String,
    }
    /// criu_features
    Features { 1 mem_track: bool, 2 lazy_pages: bool }
    /// criu_req
    Req { 1 kind: Option<i32>, 2 opts: Option<Opts>, 3 notify_success: bool, 5 features: Option<Features> }
    /// criu_restore_resp
    Restored { 1 pid: i32 }
    /// criu_notify
    Notify { 1 script: String, 2 pid: i32 }
    /// criu_version
    Version { 1 major_number: i32, 2 minor_number: i32, 4 sublevel: i32 }
    /// criu_resp
    Resp {
        1 kind: i32, 2 success: bool, 4 restore: Option<Restored>, 5 notify: Option<Notify>, 7 cr_errno: i32,
        8 features: Option<Features>, 10 version: Option<Version>,
    }
}

impl Version {
    /// As CRIU itself counts: 4.2.1 is 40201. A version out of all reason is the highest there is.
    pub fn number(&self) -> i32 {
        let part = |n: i32, unit: i32| n.max(0).saturating_mul(unit);
        part(self.major_number, 10_000)
            .saturating_add(part(self.minor_number, 100))
            .saturating_add(self.sublevel.max(0))
    }
}
