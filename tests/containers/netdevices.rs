//! `linux.netDevices`: devices that move into the container's network namespace. Each test has a network namespace that stands for
//! the host's, in which the runtime is called; what is in the other one is asked of `ip` (Debian package iproute2) from outside.

use crate::common::{Beside, Bundle, Out, Value, case, host, json, until};
use std::process::Command;

/// A network namespace, for as long as a process of ours sleeps in it.
struct Net(Beside);

impl Net {
    fn new() -> Net {
        let net = Net(Beside::spawn(&["unshare", "--net", "sleep", "100"]));
        until("unshare to have done it", || host::namespace(net.0.pid(), "net") != host::own_namespace("net"));
        net
    }

    fn file(&self) -> String {
        file(self.0.pid())
    }

    /// `ip LINE`; it must succeed.
    #[track_caller]
    fn ip(&self, line: &str) -> String {
        ip(&self.file(), line)
    }

    fn has(&self, device: &str) -> bool {
        links(&self.file()).contains(&device.to_string())
    }

    /// A pair of Ethernet devices that are one another's other end.
    fn veth(&self, name: &str, peer: &str) -> &Self {
        self.ip(&format!("link add {name} mtu 1400 type veth peer name {peer}"));
        self
    }
}

fn file(pid: i32) -> String {
    format!("/proc/{pid}/ns/net")
}

#[track_caller]
fn ip(net: &str, line: &str) -> String {
    let out = Command::new("nsenter").arg(format!("--net={net}")).arg("ip").args(line.split(' ')).output().unwrap();
    assert!(out.status.success(), "ip {line}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn links(net: &str) -> Vec<String> {
    let all: Value = serde_json::from_str(&ip(net, "-j link")).unwrap();
    all.as_array().unwrap().iter().map(|l| l["ifname"].as_str().unwrap().to_string()).collect()
}

/// What `ip` says of a device, without what is the namespace's: numbers, what it has found out about the other end, and what the
/// queue of a device that is up is.
fn told(net: &str, device: &str) -> Value {
    let all: Value = serde_json::from_str(&ip(net, &format!("-j -d addr show dev {device}"))).unwrap();
    let mut told = all[0].clone();
    for key in
        ["ifindex", "link", "link_index", "link_netnsid", "flags", "operstate", "qdisc", "parentbus", "parentdev"]
    {
        told.as_object_mut().unwrap().remove(key);
    }
    for address in told["addr_info"].as_array_mut().unwrap() {
        // Whether the network has been asked yet if somebody has that address is a matter of time.
        address.as_object_mut().unwrap().remove("tentative");
    }
    told
}

fn is_up(net: &str, device: &str) -> bool {
    let all: Value = serde_json::from_str(&ip(net, &format!("-j link show dev {device}"))).unwrap();
    all[0]["flags"].as_array().unwrap().contains(&json!("UP"))
}

fn addresses(told: &Value) -> Vec<String> {
    let all = told["addr_info"].as_array().unwrap();
    all.iter().map(|a| a["local"].as_str().unwrap().to_string()).filter(|a| !a.starts_with("fe80:")).collect()
}

/// The bundle's runtime is called in that network namespace.
fn on<'b>(b: &'b mut Bundle, net: &Net) -> &'b mut Bundle {
    let enter = format!("--net={}", net.file());
    b.wrap(&["nsenter", &enter, "--"]);
    b.args(&["/bin/sleep", "100"])
}

fn running(b: &Bundle) -> String {
    b.run_detached();
    file(b.pid())
}

#[test]
fn moved_renamed_and_set_up() {
    case(|b| {
        let net = Net::new();
        net.veth("vx0", "vx1").veth("vy0", "vy1");
        net.ip("addr add 10.9.0.1/24 brd + dev vx0");
        net.ip("addr add fd00::1/64 dev vx0 nodad");
        net.ip("link set vx0 address 02:00:00:00:00:07 txqueuelen 77 alias of-the-pod");
        let before = told(&net.file(), "vx0");
        on(b, &net).set("/linux/netDevices", json!({"vx0": {"name": "eth0"}, "vy0": {}}));
        let inside = running(b);
        assert_eq!(links(&inside), ["lo", "vx0", "vy0"].map(|n| if n == "vx0" { "eth0" } else { n }));
        assert_eq!(links(&net.file()), ["lo", "vx1", "vy1"]);
        let after = told(&inside, "eth0");
        for key in ["mtu", "address", "txqlen", "ifalias", "linkinfo"] {
            assert_eq!(after[key], before[key], "{key}");
        }
        assert_eq!(after["mtu"], 1400);
        assert_eq!(addresses(&after), ["10.9.0.1", "fd00::1"]);
        assert!(is_up(&inside, "eth0") && is_up(&inside, "vy0"));
        // It is the other end of the one that has stayed.
        net.ip("link set vx1 up");
        net.ip("addr add 10.9.0.2/24 dev vx1");
        b.exec_with(&["--cap", "CAP_NET_RAW"], &["ping", "-c", "1", "-w", "5", "10.9.0.2"]).ok();
    });
}

/// Of a device that is up, and with everything that can be said of an address.
#[test]
fn permanent_addresses_of_global_scope() {
    case(|b| {
        let net = Net::new();
        net.veth("vx0", "vx1").ip("link set vx0 up");
        for address in [
            "10.9.0.1/24 brd +",
            "10.9.0.2/24",
            "10.9.1.7/32 noprefixroute",
            "10.9.2.7 peer 10.9.2.8/32",
            "10.9.3.1/24 brd 10.9.3.77 label vx0:lab metric 77",
            "fd00::1/64 nodad",
            "fd00::2/64 nodad preferred_lft 0",
            "fd00::3/64 nodad metric 5",
        ] {
            net.ip(&format!("addr add {address} dev vx0"));
        }
        let before = told(&net.file(), "vx0");
        // Not these.
        net.ip("addr add 10.9.4.1/24 dev vx0 scope link");
        net.ip("addr add 10.9.5.1/24 dev vx0 valid_lft 1000 preferred_lft 1000");
        net.ip("addr add fd00::4/64 dev vx0 nodad valid_lft 1000 preferred_lft 1000");
        on(b, &net).set("/linux/netDevices/vx0", json!({"name": "eth0"}));
        let after = told(&running(b), "eth0");
        let text = |list: &Value| {
            let own = |a: &&Value| a["scope"] == "global";
            let all: Vec<&Value> = list["addr_info"].as_array().unwrap().iter().filter(own).collect();
            serde_json::to_string_pretty(&all).unwrap()
        };
        assert_eq!(text(&after), text(&before).replace("vx0", "eth0"));
        assert_eq!(addresses(&after), addresses(&before));
    });
}

#[test]
fn the_kernel_completes_a_template() {
    case(|b| {
        let (net, pod) = (Net::new(), Net::new());
        net.veth("vx0", "vx1");
        net.ip("addr add 10.9.0.1/24 label vx0:a dev vx0");
        pod.ip("link add ext0 type bridge");
        on(b, &net).set("/linux/netDevices", json!({"vx0": {"name": "ext%d"}, "vx1": {"name": "ext%d"}}));
        b.namespace("network", Some(&pod.file())).run_detached();
        let mut names = links(&pod.file());
        names.sort();
        assert_eq!(names, ["ext0", "ext1", "ext2", "lo"]);
        assert!(is_up(&pod.file(), "ext1") && is_up(&pod.file(), "ext2"));
        assert_eq!(told(&pod.file(), "ext1")["addr_info"][0]["label"], "ext1:a");
    });
}

/// In the namespace of a pod: also a device whose number, or whose old name, is somebody's there.
#[test]
fn into_a_namespace_that_is_joined() {
    case(|b| {
        let (net, pod) = (Net::new(), Net::new());
        for n in 2..9 {
            pod.ip(&format!("link add name b{n} type bridge"));
        }
        pod.ip("link add name vx0 type bridge");
        net.veth("vx0", "vx1").ip("addr add fd00::1/64 dev vx0 nodad");
        on(b, &net).set("/linux/netDevices/vx0", json!({"name": "eth0"}));
        b.namespace("network", Some(&pod.file())).run_detached();
        assert!(pod.has("eth0") && pod.has("vx0") && !net.has("vx0"));
        assert_eq!(addresses(&told(&pod.file(), "eth0")), ["fd00::1"]);
        // It belongs to the namespace, which is not ours.
        b.rt(&["delete", "--force", &b.id]).ok();
        assert!(pod.has("eth0"));
    });
}

#[test]
fn in_a_user_namespace() {
    case(|b| {
        let net = Net::new();
        net.veth("vx0", "vx1").ip("addr add 10.9.0.1/24 dev vx0");
        on(b, &net).user_namespace().set("/linux/netDevices/vx0", json!({"name": "eth0"}));
        let inside = running(b);
        assert_eq!(addresses(&told(&inside, "eth0")), ["10.9.0.1"]);
        assert!(is_up(&inside, "eth0"));
    });
}

/// Hooks find them, and sysctls that name one.
#[test]
fn before_hooks_and_sysctls() {
    case(|b| {
        let net = Net::new();
        net.veth("vx0", "vx1");
        let seen = b.path("seen");
        let look = format!(
            "nsenter --net=/proc/$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/')/ns/net ip -br link > {}",
            seen.display()
        );
        let hook = b.script("hook", &look);
        b.set("/hooks/createRuntime", json!([{"path": hook}]));
        on(b, &net).set("/linux/netDevices/vx0", json!({"name": "eth0"}));
        b.set("/linux/sysctl", json!({"net/ipv4/conf/eth0/forwarding": "1"}));
        b.args(&["cat", "/proc/sys/net/ipv4/conf/eth0/forwarding"]);
        b.run().ok().says("1");
        assert!(host::read(seen).contains("eth0@"));
    });
}

/// The end of a namespace is the end of virtual devices, of which the other end goes with them.
#[test]
fn the_end_of_the_container() {
    case(|b| {
        let net = Net::new();
        net.veth("vx0", "vx1");
        on(b, &net).set("/linux/netDevices/vx0", json!({}));
        running(b);
        let state: Value = serde_json::from_str(&host::read(b.state_dir().join("state.json"))).unwrap();
        assert_eq!(state["config"]["netDevices"], json!({"vx0": {}}));
        b.rt(&["delete", "--force", &b.id]).ok();
        until("the namespace to end", || !net.has("vx1"));
        assert!(!net.has("vx0"));
    });
}

/// What is refused leaves the device as it was: up, with its addresses, in its bridge.
#[test]
fn refusals() {
    case(|b| {
        let (net, pod) = (Net::new(), Net::new());
        pod.ip("link add name taken type bridge");
        net.veth("vx0", "vx1").ip("link add name br0 type bridge");
        net.ip("link set vx0 master br0 up");
        net.ip("addr add 10.9.0.1/24 dev vx0");
        net.ip("addr add fd00::1/64 dev vx0 nodad");
        let before = told(&net.file(), "vx0");
        on(b, &net);
        let joined = pod.file();
        let refused = |b: &mut Bundle, devices: Value, words: &str| -> Out {
            let out = b.set("/linux/netDevices", devices).run().fails(1, words);
            assert_eq!(told(&net.file(), "vx0"), before, "{out}");
            assert!(is_up(&net.file(), "vx0"));
            out
        };
        refused(b, json!({"no0": {}}), "link not found for interface no0 on runtime namespace")
            .err_has("(config.json /linux/netDevices/no0)");
        refused(b, json!({"lo": {"name": "x"}}), "invalid argument").err_has("loopback");
        refused(b, json!({"br0": {}}), "move netDevice br0").err_has("invalid argument");
        refused(b, json!({"vx0": {"name": "lo"}}), "called \"lo\" already: file exists");
        refused(b, json!({"vx0": {"name": "a"}, "vx1": {"name": "a"}}), "two network devices are to be called \"a\"");
        b.namespace("network", Some(&joined));
        refused(b, json!({"vx0": {"name": "taken"}}), "called \"taken\" already: file exists");
        b.namespace("network", Some(&net.file()));
        refused(b, json!({"vx0": {"name": "b"}}), "to the network namespace that they are in");
    });
}

/// A container that does not come to be gives back what had moved already, under its name and with all that it had.
#[test]
fn given_back() {
    case(|b| {
        let net = Net::new();
        net.veth("vx0", "vx1").ip("link add name br0 type bridge");
        net.veth("vy0", "vy1");
        net.ip("link set vx0 master br0 up");
        net.ip("addr add 10.9.0.1/24 brd + dev vx0");
        net.ip("addr add 10.9.4.1/24 dev vx0 scope link");
        net.ip("addr add fd00::1/64 dev vx0 nodad");
        let before = [told(&net.file(), "vx0"), told(&net.file(), "vy0")];
        on(b, &net).set("/linux/netDevices", json!({"vx0": {"name": "eth0"}, "vy0": {"name": "eth1"}}));
        let failed = |b: &mut Bundle, out: Out, words: &str| {
            out.fails(1, words);
            let now = [told(&net.file(), "vx0"), told(&net.file(), "vy0")];
            for (now, before) in now.iter().zip(&before) {
                let mut addresses = [addresses(now), addresses(before)];
                addresses.iter_mut().for_each(|list| list.sort());
                assert_eq!(addresses[0], addresses[1], "{words}");
                assert_eq!((&now["mtu"], &now["master"]), (&before["mtu"], &before["master"]), "{words}");
            }
            assert!(is_up(&net.file(), "vx0") && !is_up(&net.file(), "vy0"), "{words}");
            assert!(!b.state_dir().exists());
        };
        // The second of them; a mount, later; a hook; the program; somebody who does not take what is handed over.
        let more = b.config["linux"]["netDevices"].clone();
        b.set("/linux/netDevices/lo", json!({"name": "eth2"}));
        let out = b.run();
        failed(b, out, "loopback");
        b.set("/linux/netDevices", more);
        b.mount(json!({"destination": "/mnt", "type": "bind", "source": "/nonexistent", "options": ["bind"]}));
        let out = b.run();
        failed(b, out, "/nonexistent");
        b.config["mounts"].as_array_mut().unwrap().pop();
        b.set("/hooks/createRuntime", json!([{"path": "/bin/false"}]));
        let out = b.run();
        failed(b, out, "createRuntime");
        b.remove("/hooks").args(&["/nonexistent"]);
        let out = b.run();
        failed(b, out, "/nonexistent");
        b.args(&["/bin/sleep", "100"]);
        let out = b.start_command("create", &["--pid-file", "/proc/nonexistent"]).output();
        failed(b, out, "/proc");
        // And then it starts.
        let inside = running(b);
        assert_eq!(links(&inside), ["lo", "eth0", "eth1"]);
    });
}
