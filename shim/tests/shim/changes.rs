//! Update, Stats, Checkpoint.

use dunnage_shim::proto::Message;
use dunnage_shim::proto::metrics::v2;

use crate::common::*;

dunnage_shim::messages! {
    /// io.containerd.cgroups.v1.Metrics and v2, as far as both have the same.
    Metrics { 3 v1_cpu: Option<V1Cpu>, 4 memory: Option<Memory> }
    /// In v1 the third, in v2 the first.
    V1Cpu { 1 usage: Option<V1Usage> }
    /// In nanoseconds.
    V1Usage { 1 total: u64 }
    /// 33 in v1 is usage, in v2 its limit.
    Memory { 32 v2_usage: u64, 33 v1_usage: Option<V1Entry> }
    /// limit, usage
    V1Entry { 1 limit: u64, 2 usage: u64 }
}

#[test]
fn update_changes_the_limits() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        task.update("c1", &json!({"pids": {"limit": 55}, "cpu": {"shares": 333}})).unwrap();
        if host::has_v1() {
            assert_eq!(host::cgroup_file("pids", &c.cgroup, "pids.max"), "55");
            assert_eq!(host::cgroup_file("cpu", &c.cgroup, "cpu.shares"), "333");
        } else {
            assert_eq!(host::cgroup_file("", &c.cgroup, "pids.max"), "55");
        }
    });
}

#[test]
fn update_of_nonsense_is_refused() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        assert!(task.update("c1", &json!({"pids": {"limit": "many"}})).is_err());
        assert_eq!(task.status("c1", ""), 2);
    });
}

#[test]
fn stats_are_those_of_the_group() {
    case(|t| {
        let mut c = t.container("c1");
        c.set("/linux/resources/memory/limit", 64 << 20)
            .sh("dd if=/dev/zero of=/tmp/x bs=1M count=8; i=0; while :; do i=$((i+1)); done");
        let task = t.launch(&c);
        until("the file to be there", || t.rootfs().join("tmp/x").metadata().is_ok_and(|file| file.len() == 8 << 20));
        let any = task.stats("c1").unwrap();
        if host::has_v1() {
            let metrics = Metrics::decode(&any.value).unwrap();
            assert_eq!(any.type_url, "io.containerd.cgroups.v1.Metrics");
            let memory = metrics.memory.unwrap().v1_usage.unwrap();
            assert_eq!(memory.limit, 64 << 20);
            assert!(memory.usage > 1 << 20 && memory.usage <= 64 << 20, "{memory:?}");
            assert!(metrics.v1_cpu.unwrap().usage.unwrap().total > 0);
            until("50 ms of the processor", || {
                let metrics = Metrics::decode(&task.stats("c1").unwrap().value).unwrap();
                metrics.v1_cpu.unwrap().usage.unwrap().total > 50_000_000
            });
        } else {
            assert_eq!(any.type_url, "io.containerd.cgroups.v2.Metrics");
            let memory = v2::Metrics::decode(&any.value).unwrap().memory.unwrap();
            assert_eq!(memory.usage_limit, 64 << 20);
            assert!(memory.usage > 1 << 20 && memory.usage <= 64 << 20, "{memory:?}");
            until("50 ms of the processor", || {
                let metrics = v2::Metrics::decode(&task.stats("c1").unwrap().value).unwrap();
                metrics.cpu.unwrap().usage_usec > 50_000
            });
        }
    });
}

/// In every state in which there is a container.
#[test]
fn there_are_stats_until_delete() {
    case(|t| {
        let c = t.container("c1");
        let task = t.boot(&c);
        task.create(&c).unwrap();
        task.stats("c1").unwrap();
        task.start("c1", "").unwrap();
        task.stats("c1").unwrap();
        task.pause("c1").unwrap();
        task.stats("c1").unwrap();
        task.resume("c1").unwrap();
        task.kill("c1", "", 9).unwrap();
        task.wait("c1", "").unwrap();
        task.stats("c1").unwrap();
        task.delete("c1", "").unwrap();
        task.stats("c1").fails(5, "not found");
    });
}

/// CRIU is not there, or it is: nothing breaks.
#[test]
fn checkpoint_without_criu_is_an_error_and_no_more() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let failure = task.checkpoint("c1", "/run/test/checkpoint").unwrap_err();
        assert!(failure.code == 12 || failure.message.to_lowercase().contains("criu"), "{failure:?}");
        assert_eq!(task.status("c1", ""), 2);
    });
}

#[test]
fn a_checkpoint_that_is_not_there_can_not_be_restored() {
    case(|t| {
        let mut c = t.container("c1");
        c.silent();
        c.request.checkpoint = "/run/test/no-such-checkpoint".into();
        let task = t.boot(&c);
        // Only Start would restore it; to refuse it at once is as good.
        if task.create(&c).is_ok() {
            assert_eq!(task.status("c1", ""), 1);
            assert!(task.start("c1", "").is_err());
            task.exec(&t.exec(&c, "e1", &["/bin/true"])).fails(2, "cannot exec in a created state");
            task.delete("c1", "").unwrap();
        }
    });
}
