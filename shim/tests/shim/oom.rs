//! The kernel kills for want of memory, and it is told before the exit that it explains.

use crate::common::*;

const SMALL: u64 = 20 << 20;

/// busybox' dd takes a block of this size at once.
const HUNGRY: [&str; 5] = ["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"];

#[test]
fn want_of_memory_is_told_before_the_exit() {
    case(|t| {
        let mut c = t.container("c1");
        c.set("/linux/resources/memory/limit", SMALL).args(&HUNGRY);
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(137));
        t.events.expect("exit c1 137");
        let told = t.events.told();
        let oom = told.iter().position(|e| e == "oom c1").unwrap_or_else(|| panic!("no oom: {told:?}"));
        assert!(oom < told.iter().position(|e| e == "exit c1 137").unwrap(), "{told:?}");
    });
}

/// For the command `state`, which comes when nobody else knows.
#[test]
fn how_it_ended_is_noted_beside_the_state() {
    case(|t| {
        let mut c = t.container("c1");
        c.set("/linux/resources/memory/limit", SMALL).args(&HUNGRY);
        let task = t.launch(&c);
        assert_eq!(task.wait("c1", ""), Ok(137));
        let end = std::fs::read("/run/containerd/runc/k8s.io/c1/end.json").unwrap();
        let end: Value = serde_json::from_slice(&end).unwrap();
        assert_eq!((&end["signal"], &end["code"]), (&Value::from(9), &Value::Null), "{end}");
        assert_eq!((&end["oom"]["kills"], &end["oom"]["limit"]), (&Value::from(1), &Value::from("container")), "{end}");
    });
}

#[test]
fn want_of_memory_of_a_command_is_told_too() {
    case(|t| {
        let mut c = t.container("c1");
        c.set("/linux/resources/memory/limit", SMALL);
        let task = t.launch(&c);
        assert_eq!(task.run(&t.exec(&c, "e1", &HUNGRY)), 137);
        t.events.expect("oom c1");
        assert_eq!(task.status("c1", ""), 2);
        // And again.
        assert_eq!(task.run(&t.exec(&c, "e2", &HUNGRY)), 137);
        t.events.when("two", |events| (events.iter().filter(|e| e.topic == "/tasks/oom").count() == 2).then_some(()));
    });
}

#[test]
fn an_end_without_want_is_told_without_oom() {
    case(|t| {
        let mut c = t.container("c1");
        c.set("/linux/resources/memory/limit", SMALL);
        let task = t.launch(&c);
        task.end("c1");
        t.events.are(&["create c1", "start c1", "exit c1 137", "delete c1 137"]);
    });
}

/// A container that was created and not started already has its limit.
#[test]
fn each_container_has_its_own() {
    case(|t| {
        let mut a = t.container("a");
        a.sandbox("a").set("/linux/resources/memory/limit", SMALL);
        let task = t.launch(&a);
        let mut b = t.container("b");
        b.sandbox("a").set("/linux/resources/memory/limit", SMALL).args(&HUNGRY);
        b.write_config();
        task.create(&b).unwrap();
        task.start("b", "").unwrap();
        task.wait("b", "").unwrap();
        t.events.expect("exit b 137");
        let told = t.events.told();
        assert!(told.contains(&"oom b".to_string()) && !told.contains(&"oom a".to_string()), "{told:?}");
    });
}
