//! Children that have ended, and memory that ran out.
//!
//! What is told of it has an order: the others of a container before its first process, that memory ran out before the end that it
//! caused. So the end of a first process is noted when it is seen, on disk too, and told when nothing of its container runs any more.

use std::time::Duration;

use dunnage::container::Container;
use dunnage::log;
use dunnage::sys::children::reap_any;
use dunnage::sys::pidfd::Exit as How;

use super::container::Freezing;
use super::process::Phase;
use super::workers::{Kind, Purpose};
use super::{Server, Timer};
use crate::bundle::{Bundle, Exit};
use crate::jobs::{Job, Whose};
use crate::metrics::Meter;
use crate::oom::OomWatch;
use crate::options;
use crate::proto::Timestamp;
use crate::proto::events::{TaskExit, TaskOnly};

/// How long the others of a container may take to end after its first process: the kernel has killed them, but one may hang in it.
const ENDING: Duration = Duration::from_secs(10);
/// How many ends of unknown processes are kept.
const MAX_STRANGERS: usize = 1024;

/// For the command `state`: how it ended, and whether memory was the reason, which is known as long as the cgroup is there.
fn note_end(whose: &Whose, how: How) -> dunnage::error::Result<()> {
    let container = Container::open(&whose.root, &whose.id)?;
    container.dir.save_end(&container.ended(Some(how), container.ooms()))
}

impl Server {
    /// Reaps all that have ended.
    pub(super) fn reap(&mut self) {
        // First what workers have sent: see the module's head.
        for number in self.workers.numbers() {
            if self.workers.has_sent(number) {
                self.hear(number);
            }
        }
        while let Ok(Some((pid, how))) = reap_any() {
            let now = Timestamp::now();
            let status = u32::try_from(how.shell_status()).unwrap_or(255);
            let exit = Exit { pid, status, seconds: now.seconds, nanos: now.nanos };
            if !self.workers.reaped(pid) && !self.ended(exit, how) && !self.workers.is_idle() {
                // Of another runtime, which tells its pid when it is too late; or nobody's.
                self.strangers.push((exit, how));
                if self.strangers.len() > MAX_STRANGERS {
                    self.strangers.remove(0);
                }
            }
        }
    }

    /// Processes that ended before they were known.
    pub(super) fn meet_strangers(&mut self) {
        for (exit, how) in std::mem::take(&mut self.strangers) {
            if !self.ended(exit, how) && !self.workers.is_idle() {
                self.strangers.push((exit, how));
            }
        }
    }

    /// A process has ended; whether it is one that we know.
    fn ended(&mut self, exit: Exit, how: How) -> bool {
        for container in self.containers.values_mut() {
            let number = container.number;
            if container.init.pid == exit.pid && container.init.exit.is_none() {
                self.init_ended(number, exit, how);
                return true;
            }
            let exec = container.execs.values_mut().find(|p| p.pid == exit.pid && p.exit.is_none());
            if let Some(process) = exec {
                let exec_id = process.exec_id.clone();
                self.exec_ended(number, &exec_id, exit);
                return true;
            }
        }
        false
    }

    fn exec_ended(&mut self, number: u32, exec_id: &str, exit: Exit) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        let container_id = container.whose.id.clone();
        let Ok(process) = container.process_mut(exec_id) else { return };
        process.exit = Some(exit);
        process.pidfd = None;
        process.phase = Phase::Stopped;
        self.tell_exit(container_id, exec_id, exit);
        self.answer_waiters(number, exec_id);
        self.process_is_gone(number, exec_id);
        self.tell_end(number);
    }

    fn init_ended(&mut self, number: u32, exit: Exit, how: How) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        container.init.exit = Some(exit);
        container.init.pidfd = None;
        container.ending = true;
        // Whoever is asked after our death knows how it ended.
        if let Err(e) = Bundle::open(&container.whose.bundle).and_then(|bundle| bundle.write_exit(&exit)) {
            log::warn(e);
        }
        // And whoever asks for the state. Another runtime's directory is not ours to write to.
        if options::external(&container.whose.options).is_none() {
            note_end(&container.whose, how).unwrap_or_else(log::debug);
        }
        if container.shares_pids {
            let purpose = Purpose { container: number, exec_id: String::new(), kind: Kind::KillRest, caller: None };
            match self.workers.start(&self.poll, &container.whose, &Job::KillAll, purpose, self.debug) {
                Ok(()) => container.killing_rest = true,
                Err(e) => log::warn(e),
            }
        }
        self.process_is_gone(number, "");
        self.set_timer(ENDING, Timer::Ending(number));
        self.tell_end(number);
    }

    /// What else was in there has been killed.
    pub(super) fn rest_is_killed(&mut self, number: u32) {
        if let Some(container) = self.containers.get_mut(&number) {
            container.killing_rest = false;
        }
        self.tell_end(number);
    }

    pub(super) fn give_up_waiting_for_execs(&mut self, number: u32) {
        if let Some(container) = self.containers.get_mut(&number).filter(|container| container.ending) {
            log::warn(format_args!("{}: processes are left after the end of the first one", container.whose.id));
            container.killing_rest = false;
            self.tell_end_now(number);
        }
    }

    /// Tells the end of a container's first process, if there is one to tell and nothing has to come before it.
    pub(super) fn tell_end(&mut self, number: u32) {
        let Some(container) = self.containers.get(&number) else { return };
        let waits = container.killing_rest || container.has_running_execs() || container.init.phase == Phase::Starting;
        if container.ending && !waits {
            self.tell_end_now(number);
        }
    }

    fn tell_end_now(&mut self, number: u32) {
        self.memory_ran_out(number);
        self.remember(number);
        let Some(container) = self.containers.get_mut(&number) else { return };
        let Some(exit) = container.init.exit else { return };
        container.ending = false;
        container.freezing = Freezing::No;
        container.init.phase = Phase::Stopped;
        if container.sandbox.is_none() {
            let id = container.whose.id.clone();
            self.tell_exit(id, "", exit);
        }
        self.answer_waiters(number, "");
        self.go_on_closing(number);
        self.finish_delete(number);
    }

    fn tell_exit(&mut self, container_id: String, exec_id: &str, exit: Exit) {
        let id = if exec_id.is_empty() { container_id.clone() } else { exec_id.into() };
        let pid = u32::try_from(exit.pid).unwrap_or(0);
        let event = TaskExit { container_id, id, pid, exit_status: exit.status, exited_at: Some(exit.time()) };
        self.publisher.publish("/tasks/exit", "TaskExit", &event);
    }

    /// Watches a new container's memory.
    pub(super) fn watch_memory(&mut self, number: u32) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        // Now, since a container that has ended may have no cgroup, and then only what was remembered tells of it.
        container.meter = Meter::new(&self.host, &container.cgroups).unwrap_or_default();
        match self.oom.watch(&self.host, &container.cgroups) {
            Ok(watch) => container.oom = watch,
            Err(e) => log::warn(e),
        }
        if let Some(fd) = container.oom.as_ref().and_then(|watch| watch.event_fd()) {
            self.poll.add_input(fd, super::poll::Token::Memory(number)).ok();
        }
    }

    /// What a container has used, for those who ask when its cgroup is gone: systemd removes one that is empty.
    fn remember(&mut self, number: u32) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        let Some(meter) = &mut container.meter else { return };
        if let Err(e) = meter.remember() {
            log::debug(e);
        }
        if let Some(oom) = &container.oom {
            meter.remember_kills(oom.kills());
        }
    }

    /// No longer. A worker may hold a copy of the descriptor, so closing it would not do.
    pub(super) fn forget_memory(&self, oom: Option<&OomWatch>) {
        if let Some(fd) = oom.and_then(OomWatch::event_fd) {
            self.poll.remove(fd);
        }
    }

    /// Some cgroup of version 2 says so.
    pub(super) fn memory_ran_out_somewhere(&mut self) {
        let woken = self.oom.ready();
        let is_woken = |container: &&super::Container| container.oom.as_ref().is_some_and(|w| woken.contains(&w.id()));
        let numbers: Vec<u32> = self.containers.values().filter(is_woken).map(|container| container.number).collect();
        numbers.into_iter().for_each(|number| self.memory_ran_out(number));
    }

    /// Looks whether a container's has.
    pub(super) fn memory_ran_out(&mut self, number: u32) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        if container.oom.as_mut().is_some_and(OomWatch::check) {
            self.remember(number);
            let Some(container) = self.containers.get(&number) else { return };
            let event = TaskOnly { container_id: container.whose.id.clone() };
            self.publisher.publish("/tasks/oom", "TaskOOM", &event);
        }
    }
}
