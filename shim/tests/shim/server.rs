//! What a server costs.

use std::fs;

use crate::common::*;

fn fds(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

fn anon(pid: i32) -> u64 {
    host::status(pid)["RssAnon"].split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn it_has_one_thread() {
    case(|t| {
        let mut pod = t.container("c0");
        pod.sandbox("c0");
        let task = t.launch(&pod);
        for n in 1..=5 {
            let mut c = t.container(&format!("c{n}"));
            c.sandbox("c0").write_config();
            task.create(&c).unwrap();
            task.start(&c.id, "").unwrap();
        }
        assert_eq!(host::status(task.shim_pid())["Threads"], "1");
    });
}

#[test]
fn a_container_costs_seven_descriptors() {
    case(|t| {
        let mut pod = t.container("c0");
        pod.sandbox("c0");
        let task = t.launch(&pod);
        let before = fds(task.shim_pid());
        for n in 1..=10 {
            let mut c = t.container(&format!("c{n}"));
            c.sandbox("c0").write_config();
            task.create(&c).unwrap();
            task.start(&c.id, "").unwrap();
        }
        let each = (fds(task.shim_pid()) - before) as f64 / 10.0;
        assert!(each <= 7.0, "{each}");
    });
}

#[test]
fn nothing_is_left_of_a_container() {
    case(|t| {
        let mut pod = t.container("c0");
        pod.sandbox("c0");
        let task = t.launch(&pod);
        let once = |n: usize| {
            let mut c = t.container(&format!("c{n}"));
            c.sandbox("c0").with_stdin(t).write_config();
            task.create(&c).unwrap();
            task.start(&c.id, "").unwrap();
            task.end(&c.id);
        };
        once(1);
        let before = fds(task.shim_pid());
        for n in 2..=10 {
            once(n);
        }
        until("the descriptors to be closed", || fds(task.shim_pid()) <= before);
    });
}

#[test]
fn hundreds_of_commands_cost_no_memory() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let pid = task.shim_pid();
        let run = |from: usize, to: usize| {
            for n in from..to {
                task.run(&t.exec(&c, &format!("e{n}"), &["/bin/true"]).silent());
            }
        };
        run(0, 50);
        let before = anon(pid);
        run(50, 250);
        let grown = anon(pid).saturating_sub(before);
        assert!(grown <= 64, "{grown} kB");
    });
}

/// In a debug build too, if not by far.
#[test]
fn it_is_small() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        assert!(anon(task.shim_pid()) < 2048, "{} kB", anon(task.shim_pid()));
    });
}
