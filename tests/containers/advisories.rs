//! What the advisories of engines and shims ask of a runtime: each test is the attack of one, asserted from outside. Those of
//! runtimes are in `security`; docs/security.md has the table of both.

use crate::common::{case, host};
use std::os::unix::net::UnixDatagram;

/// CVE-2022-1708, CVE-2022-31030: the output of an exec was held in memory. A file is written by us, not by the container.
#[test]
fn output_without_end_takes_no_memory() {
    case(|b| {
        b.args(&["/bin/sleep", "100"]).run_detached();
        let peak = b.path("peak");
        b.wrap(&["busybox", "time", "-f", "%M", "-o", peak.to_str().unwrap()]);
        let mut peaks = [1, 30_000_000].map(|bytes: usize| {
            let out = b.exec(&["head", "-c", &bytes.to_string(), "/dev/zero"]).ok();
            assert_eq!(out.out.len(), bytes);
            host::read(&peak).trim().parse::<u64>().unwrap()
        });
        peaks[0] += 1024;
        assert!(peaks[1] < peaks[0], "{peaks:?} KiB");
    });
}

/// CVE-2020-15257: an abstract socket is reachable from every container with the host's network.
#[test]
fn no_abstract_sockets() {
    case(|b| {
        let socket = b.path("notify");
        let _manager = UnixDatagram::bind(&socket).unwrap();
        b.drop_namespace("network");
        // Its own network, so that nothing but what we make is in the list.
        b.wrap(&["unshare", "-n"]).sh("cat /proc/net/unix; /payload notify READY=1");
        let out = b.start_command("run", &[]).env("NOTIFY_SOCKET", &socket).output().ok();
        assert!(out.out.contains("notify.sock"), "the socket that we do make is seen\n{out}");
        assert!(!out.out.contains('@'), "{out}");
    });
}

/// CVE-2022-0492: who can write a hierarchy's `release_agent` runs a program of the host.
#[test]
fn nobody_becomes_the_release_agent() {
    case(|b| {
        let attempt = "
            set -- /sys/fs/cgroup/release_agent /sys/fs/cgroup/*/release_agent
            for f; do [ -e $f ] && echo /tmp/x 2>/dev/null >$f && echo written $f; done
            mount -o remount,rw /sys/fs/cgroup 2>/dev/null && echo remounted
            mkdir /tmp/c; mount -t cgroup -o rdma cgroup /tmp/c 2>/dev/null && echo mounted
            unshare -Um true || echo it was not tried
            unshare -Um mount -t cgroup -o rdma cgroup /tmp/c 2>/dev/null && echo mounted in its own
            true";
        b.set("/root/readonly", false);
        std::os::unix::fs::symlink("busybox", b.rootfs("/bin/unshare")).unwrap();
        for namespace in [false, true] {
            if namespace {
                b.namespace("cgroup", None);
            }
            b.sh(attempt).run().ok().says("");
        }
    });
}
