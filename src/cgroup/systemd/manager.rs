//! The calls to systemd's manager, each with a deadline (org.freedesktop.systemd1(5)).
//!
//! systemd may be busy (`daemon-reload`) or replaced while we speak to it (`daemon-reexec` drops every connection, or leaves
//! the bus for a moment). So what is lost is asked again until the deadline, and a unit that exists then may be the one that
//! was asked for: that is decided by whether it holds our process, never by its name.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::places::{Place, Places};
use super::{Facts, Property, Scope, Unit};
use crate::cgroup::host::Membership;
use crate::dbus::{Connection, Deadline, Failure, Method, Peer, Value};
use crate::error::{Context, Error, Result};

const SERVICE: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";
const NO_UNIT_FOR_PID: &str = "org.freedesktop.systemd1.NoUnitForPID";
/// What a bus answers while systemd is not on it.
const AWAY: &[&str] = &[
    "org.freedesktop.DBus.Error.NoReply",
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.Disconnected",
];

/// The one signal we wait for.
const JOB_REMOVED: &str = "JobRemoved";
const MATCH: &str = "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',\
                     interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For one operation, whatever goes on in it.
    pub operation: Duration,
    /// For systemd to be there at all: while it replaces itself, its sockets refuse for a moment.
    pub grace: Duration,
    /// For a bus to answer at all, while there is another way to try.
    pub silence: Duration,
    /// Without news of a job, between two looks at its unit.
    pub look: Duration,
}

impl Limits {
    /// runc waits for a unit for 30 s.
    const PRODUCT: Limits = Limits {
        operation: Duration::from_secs(30),
        grace: Duration::from_secs(2),
        silence: Duration::from_secs(10),
        look: Duration::from_secs(2),
    };
}

/// Between two attempts to reach a systemd that is away.
const PAUSE: Duration = Duration::from_millis(20);

/// A connection to systemd.
#[derive(Debug)]
pub struct Manager {
    scope: Scope,
    places: Places,
    limits: Limits,
    connection: Connection,
    /// Fails if our pids may not be systemd's.
    check_pids: fn() -> Result<()>,
}

/// How a process is named to systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// By a pidfd: this process and no other, whatever pid namespace systemd is in.
    Descriptor,
    /// By its number.
    Pid,
}

impl Naming {
    fn property(self) -> &'static str {
        match self {
            Naming::Descriptor => "PIDFDs",
            Naming::Pid => "PIDs",
        }
    }
}

/// A job that was queued for us.
#[derive(Debug)]
struct Job {
    path: Value,
    /// Who says so. On a bus anybody can send us a signal, but nobody under another's name.
    sender: Option<String>,
}

/// What systemd says of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// A job is queued or running.
    Pending,
    Active,
    Failed,
    /// Not loaded, or loaded and not active.
    Gone,
}

/// How a job ended.
#[derive(Debug)]
enum End {
    /// With this result: `done`, `failed`, `canceled`, `timeout`, `dependency`, `skipped`.
    Job(String),
    /// Unseen; the unit is now like this.
    Unit(Look),
}

impl Manager {
    /// Connects: to the bus, or without one to the manager's private socket.
    ///
    /// # Errors
    /// Nobody answers; it says which sockets were tried.
    pub fn connect(scope: Scope) -> Result<Manager> {
        let manager = Manager::connect_to(scope, Places::of(scope)?, Limits::PRODUCT)?;
        Ok(Manager { check_pids: shares_pids_with_systemd, ..manager })
    }

    /// The same for these sockets.
    pub(super) fn connect_to(scope: Scope, places: Places, limits: Limits) -> Result<Manager> {
        let connection = reach(&places, &limits, Deadline::after(limits.grace), Deadline::after(limits.operation))
            .map_err(|failure| unreachable(scope, &places, &failure))?;
        Ok(Manager { scope, places, limits, connection, check_pids: || Ok(()) })
    }

    /// All facts, in one call per fact that is not known without asking.
    pub fn facts(&mut self) -> Result<Facts> {
        Ok(Facts { scope: self.scope, version: self.version()?, control_group: self.control_group()? })
    }

    /// `257` of `257.9-1~deb13u1`; older ones say `systemd 219` or `v245`.
    pub fn version(&mut self) -> Result<u32> {
        let text = self.manager_property("Version").doing(|| "unable to ask systemd for its version")?;
        let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
        let digits = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        digits.parse().map_err(|_| Error::new(format!("systemd's version is {text:?}, which has no number")))
    }

    /// [`Facts::control_group`]. The system's manager has the root, and is not asked.
    pub fn control_group(&mut self) -> Result<String> {
        match self.scope {
            Scope::System => Ok(String::new()),
            Scope::User => self.manager_property("ControlGroup").doing(|| "unable to ask systemd for its cgroup"),
        }
    }

    /// Starts a transient unit and waits until it is there. A scope begins with the process `pid` in it.
    ///
    /// A failed unit of the same name, which an earlier container may have left, is reset. A slice may exist already.
    ///
    /// # Errors
    /// The unit is not there; or, after a timeout, it may yet come: the caller ends the process `pid`, and the unit ends with
    /// it. (It is not stopped here: a unit of this name may be somebody else's.)
    pub fn start(&mut self, unit: &Unit, process: Option<(i32, BorrowedFd<'_>)>) -> Result<()> {
        let deadline = Deadline::after(self.limits.operation);
        let name = &unit.name;
        let started = match self.start_with(unit, process, Naming::Descriptor, deadline) {
            // A systemd that does not know the property; a peer that takes no descriptors.
            Err(failure) if process.is_some() && unknown(&failure, Naming::Descriptor) => {
                (self.check_pids)()?;
                self.start_with(unit, process, Naming::Pid, deadline)
            }
            other => other,
        };
        let result = match started {
            Ok(End::Job(result)) if result == "done" => return Ok(()),
            Ok(End::Unit(Look::Active)) => return Ok(()),
            Ok(End::Job(result)) => result,
            Ok(End::Unit(Look::Failed)) => "failed".into(),
            Ok(End::Unit(_)) => "gone".into(),
            Err(Failure::Timeout) => {
                return Err(Error::new(format!("Timeout waiting for systemd to create {name}")));
            }
            Err(failure) => {
                return Err(explained(failure, &unit.properties)
                    .doing(format!("unable to start unit {name:?} (properties {})", list(&unit.properties))));
            }
        };
        // Not to be in the way of the next of this name; what is reported is the first failure.
        let _ = self.reset_failed(name, deadline);
        Err(Error::new(format!("error creating systemd unit `{name}`: got `{result}`"))
            .hint(format!("`systemctl status {name}` and the journal say why")))
    }

    fn start_with(
        &mut self,
        unit: &Unit,
        process: Option<(i32, BorrowedFd<'_>)>,
        naming: Naming,
        deadline: Deadline,
    ) -> Result<End, Failure> {
        let pid = process.map(|(pid, _)| pid);
        let (first, descriptors) = match (process, naming) {
            (None, _) => (None, None),
            (Some((_, pidfd)), Naming::Descriptor) => {
                (Some(Value::Array("h".into(), vec![Value::Descriptor(0)])), Some(pidfd))
            }
            (Some((pid, _)), Naming::Pid) => (u32::try_from(pid).ok().map(|pid| pid_array(&[pid])), None),
        };
        let first = first.map(|value| property(naming.property(), &value));
        let properties = unit.properties.iter().map(|p| property(&p.name, &p.value)).chain(first).collect();
        let arguments = [
            Value::String(unit.name.clone()),
            Value::String("replace".into()),
            Value::Array("(sv)".into(), properties),
            Value::Array("(sa(sv))".into(), Vec::new()),
        ];
        let (mut asked_before, mut reset) = (false, false);
        loop {
            match self.queue("StartTransientUnit", &arguments, descriptors, deadline) {
                Ok(job) => return self.settled(&unit.name, Some(&job), deadline),
                Err(Failure::Lost(_)) => {
                    asked_before = true;
                    self.reconnect(deadline)?;
                }
                // A slice of many containers, however it is: what is in it counts, not who made it.
                Err(Failure::Refused { name, .. }) if name == UNIT_EXISTS && pid.is_none() => {
                    self.settled(&unit.name, None, deadline)?;
                    return Ok(End::Unit(Look::Active));
                }
                // The answer to an earlier request was lost, not the request.
                Err(Failure::Refused { name, .. }) if name == UNIT_EXISTS && asked_before => {
                    let end = self.settled(&unit.name, None, deadline)?;
                    if self.holds(&unit.name, pid, deadline)? {
                        return Ok(end);
                    }
                    asked_before = false;
                }
                Err(Failure::Refused { name, .. }) if name == UNIT_EXISTS && !reset => {
                    reset = true;
                    self.reset_failed(&unit.name, deadline)?;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Sets properties of a unit for as long as it lives.
    pub fn set_properties(&mut self, unit: &str, properties: &[Property]) -> Result<()> {
        if properties.is_empty() {
            return Ok(());
        }
        let deadline = Deadline::after(self.limits.operation);
        let values = properties.iter().map(|p| property(&p.name, &p.value)).collect();
        let arguments = [Value::String(unit.into()), Value::Bool(true), Value::Array("(sv)".into(), values)];
        self.again(manager("SetUnitProperties"), &arguments, deadline).map(drop).map_err(|failure| {
            explained(failure, properties)
                .doing(format!("unable to set properties of unit {unit:?} (properties {})", list(properties)))
        })
    }

    /// Stops a unit, waits until it has stopped, and makes systemd forget that it failed. One that is not there has stopped.
    ///
    /// What the job says of it is not looked at: whether the cgroup is empty is seen in the cgroup.
    pub fn stop(&mut self, unit: &str) -> Result<()> {
        let deadline = Deadline::after(self.limits.operation);
        self.stop_within(unit, deadline).map_err(|failure| match failure {
            Failure::Timeout => Error::new(format!("Timeout waiting for systemd to stop {unit}")),
            failure => explained(failure, &[]).doing(format!("unable to stop unit {unit:?}")),
        })
    }

    fn stop_within(&mut self, unit: &str, deadline: Deadline) -> Result<(), Failure> {
        let arguments = [Value::String(unit.into()), Value::String("replace".into())];
        loop {
            match self.queue("StopUnit", &arguments, None, deadline) {
                Ok(job) => match self.settled(unit, Some(&job), deadline)? {
                    // The job was lost with the systemd that had it.
                    End::Unit(Look::Active) => {}
                    _ => break,
                },
                Err(Failure::Lost(_)) => self.reconnect(deadline)?,
                Err(Failure::Refused { name, .. }) if name == NO_SUCH_UNIT => return Ok(()),
                Err(failure) => return Err(failure),
            }
        }
        self.reset_failed(unit, deadline)
    }

    /// Moves processes into a unit, or into a cgroup below that of a delegated unit: `sub` is empty or begins with `/`.
    pub fn attach(&mut self, unit: &str, sub: &str, pids: &[i32]) -> Result<()> {
        // This call knows no descriptors.
        (self.check_pids)()?;
        let deadline = Deadline::after(self.limits.operation);
        let pids: Vec<u32> = pids.iter().filter_map(|pid| u32::try_from(*pid).ok()).collect();
        let arguments = [Value::String(unit.into()), Value::String(sub.into()), pid_array(&pids)];
        self.again(manager("AttachProcessesToUnit"), &arguments, deadline)
            .map(drop)
            .map_err(|failure| explained(failure, &[]).doing(format!("unable to attach processes to unit {unit:?}")))
    }

    fn manager_property(&mut self, name: &str) -> Result<String> {
        match self.property(PATH, INTERFACE, name, Deadline::after(self.limits.operation)) {
            Ok(Value::String(text)) => Ok(text),
            Ok(other) => Err(Error::new(format!("systemd's property {name} is {other}"))),
            Err(failure) => Err(explained(failure, &[])),
        }
    }

    fn property(&mut self, path: &str, interface: &str, name: &str, deadline: Deadline) -> Result<Value, Failure> {
        let method = Method { destination: SERVICE, path, interface: PROPERTIES, member: "Get" };
        match &*self.again(method, &[Value::String(interface.into()), Value::String(name.into())], deadline)? {
            [Value::Variant(value)] => Ok((**value).clone()),
            _ => Err(unexpected("Get")),
        }
    }

    fn reset_failed(&mut self, unit: &str, deadline: Deadline) -> Result<(), Failure> {
        match self.again(manager("ResetFailedUnit"), &[Value::String(unit.into())], deadline) {
            Err(Failure::Refused { name, .. }) if name == NO_SUCH_UNIT => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Whether the unit has this process.
    fn holds(&mut self, unit: &str, pid: Option<i32>, deadline: Deadline) -> Result<bool, Failure> {
        let Some(pid) = pid.and_then(|pid| u32::try_from(pid).ok()) else { return Ok(false) };
        let named = self.unit_path("GetUnit", Value::String(unit.into()), deadline)?;
        Ok(named.is_some() && named == self.unit_path("GetUnitByPID", Value::Uint32(pid), deadline)?)
    }

    fn unit_path(&mut self, member: &str, argument: Value, deadline: Deadline) -> Result<Option<String>, Failure> {
        match self.again(manager(member), &[argument], deadline) {
            Ok(answer) => match <[Value; 1]>::try_from(answer) {
                Ok([Value::ObjectPath(path)]) => Ok(Some(path)),
                _ => Err(unexpected(member)),
            },
            Err(Failure::Refused { name, .. }) if [NO_SUCH_UNIT, NO_UNIT_FOR_PID].contains(&&*name) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// How a job ended: from the news of it, or from the unit's state if the news did not reach us.
    fn settled(&mut self, unit: &str, job: Option<&Job>, deadline: Deadline) -> Result<End, Failure> {
        loop {
            let removed = match job {
                Some(job) => self.removed(job, deadline.within(self.limits.look)),
                None => Err(Failure::Timeout),
            };
            match removed {
                Ok(result) => return Ok(End::Job(result)),
                Err(Failure::Timeout) => {}
                Err(Failure::Lost(_)) => self.reconnect(deadline)?,
                Err(failure) => return Err(failure),
            }
            match self.look(unit, deadline)? {
                Look::Pending if job.is_none() => std::thread::sleep(deadline.rest()?.min(PAUSE)),
                Look::Pending => {}
                state => return Ok(End::Unit(state)),
            }
        }
    }

    fn removed(&mut self, job: &Job, deadline: Deadline) -> Result<String, Failure> {
        loop {
            let signal = self.connection.signal(deadline)?;
            if signal.sender != job.sender || signal.interface.as_deref() != Some(INTERFACE) {
                continue;
            }
            // JobRemoved(u id, o job, s unit, s result)
            if let [_, path, _, Value::String(result)] = &*signal.body().map_err(Failure::Invalid)?
                && *path == job.path
            {
                return Ok(result.clone());
            }
        }
    }

    fn look(&mut self, unit: &str, deadline: Deadline) -> Result<Look, Failure> {
        const UNIT: &str = "org.freedesktop.systemd1.Unit";
        let path = match self.unit_path("GetUnit", Value::String(unit.into()), deadline)? {
            Some(path) => path,
            None => return Ok(Look::Gone),
        };
        // First the job, then the state that it leaves behind.
        match self.property(&path, UNIT, "Job", deadline)? {
            Value::Struct(job) if job.first() == Some(&Value::Uint32(0)) => {}
            _ => return Ok(Look::Pending),
        }
        Ok(match self.property(&path, UNIT, "ActiveState", deadline)? {
            Value::String(state) if state == "active" => Look::Active,
            Value::String(state) if state == "failed" => Look::Failed,
            Value::String(state) if state == "inactive" => Look::Gone,
            _ => Look::Pending,
        })
    }

    /// A call whose answer is a job.
    fn queue(
        &mut self,
        member: &str,
        arguments: &[Value],
        descriptor: Option<BorrowedFd<'_>>,
        deadline: Deadline,
    ) -> Result<Job, Failure> {
        let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
        if !descriptors.is_empty() && !self.connection.passes_descriptors() {
            return Err(Failure::Invalid(Error::new(format!(
                "{}: no descriptors are taken",
                Naming::Descriptor.property()
            ))));
        }
        let answer = self.connection.call_with(manager(member), arguments, &descriptors, deadline).map_err(away)?;
        let sender = answer.sender.clone();
        match <[Value; 1]>::try_from(answer.body().map_err(Failure::Invalid)?) {
            Ok([path @ Value::ObjectPath(_)]) => Ok(Job { path, sender }),
            _ => Err(unexpected(member)),
        }
    }

    /// A call that may as well be heard twice.
    fn again(&mut self, method: Method<'_>, arguments: &[Value], deadline: Deadline) -> Result<Vec<Value>, Failure> {
        loop {
            match self.connection.call(method, arguments, deadline).map_err(away) {
                Ok(answer) => return answer.body().map_err(Failure::Invalid),
                Err(Failure::Lost(_)) => self.reconnect(deadline)?,
                Err(failure) => return Err(failure),
            }
        }
    }

    /// A new connection, after a pause: a peer that takes every connection and drops it must not be asked in a loop.
    fn reconnect(&mut self, deadline: Deadline) -> Result<(), Failure> {
        std::thread::sleep(deadline.rest()?.min(PAUSE));
        self.connection = reach(&self.places, &self.limits, deadline, deadline)?;
        Ok(())
    }
}

/// Tries each place in turn, and all again until `patience` is over if systemd may be about to listen there.
fn reach(places: &Places, limits: &Limits, patience: Deadline, deadline: Deadline) -> Result<Connection, Failure> {
    loop {
        let mut failures = Vec::new();
        for (left, place) in (0..places.list.len()).rev().zip(&places.list) {
            // A bus that is silent must leave the others some time; the last one may have all of it.
            let limit = if left == 0 { deadline } else { deadline.within(limits.silence) };
            match open(place, limit) {
                Ok(connection) => return Ok(connection),
                Err(Failure::Timeout) if left == 0 => return Err(Failure::Timeout),
                Err(failure) => failures.push(format!("{}: {failure}", place.address)),
            }
        }
        match patience.rest() {
            Ok(rest) if places.expected() => std::thread::sleep(rest.min(PAUSE)),
            _ => return Err(Failure::Lost(Error::new(failures.join(", ")))),
        }
    }
}

fn open(place: &Place, deadline: Deadline) -> Result<Connection, Failure> {
    let mut connection = Connection::open(&place.address, place.peer, &[JOB_REMOVED], deadline)?;
    if place.peer == Peer::Bus {
        if !connection.name_has_owner(SERVICE, deadline)? {
            return Err(Failure::Lost(Error::new("systemd is not on this bus")));
        }
        connection.add_match(MATCH, deadline)?;
    }
    Ok(connection)
}

fn unreachable(scope: Scope, places: &Places, failure: &Failure) -> Error {
    let (whose, hint) = match scope {
        Scope::System => ("", "is systemd running, and are we allowed to speak to it?"),
        Scope::User => (
            "the user's ",
            "is XDG_RUNTIME_DIR set, and is the user logged in, or has `loginctl enable-linger`? Otherwise do without \
             --systemd-cgroup",
        ),
    };
    let tried = match failure {
        Failure::Lost(error) => error.to_string(),
        failure => {
            let addresses: Vec<String> = places.list.iter().map(|place| place.address.to_string()).collect();
            format!("{}: {failure}", addresses.join(", "))
        }
    };
    Error::new(format!("unable to connect to {whose}systemd: {tried}")).hint(hint)
}

fn manager(member: &str) -> Method<'_> {
    Method { destination: SERVICE, path: PATH, interface: INTERFACE, member }
}

/// Who says that systemd is not there has lost it as much as we have.
fn away(failure: Failure) -> Failure {
    match failure {
        Failure::Refused { name, text } if AWAY.contains(&&*name) => Failure::Lost(Error::new(text)),
        failure => failure,
    }
}

fn unexpected(member: &str) -> Failure {
    Failure::Invalid(Error::new(format!("systemd's answer to {member} is not what is documented")))
}

fn property(name: &str, value: &Value) -> Value {
    Value::Struct(vec![Value::String(name.into()), Value::Variant(Box::new(value.clone()))])
}

fn pid_array(pids: &[u32]) -> Value {
    Value::Array("u".into(), pids.iter().map(|pid| Value::Uint32(*pid)).collect())
}

/// `[MemoryMax=1048576, TasksMax=5]`, cut where nobody reads on.
fn list(properties: &[Property]) -> String {
    let texts: Vec<String> = properties
        .iter()
        .map(|property| {
            let value = property.value.to_string();
            let short: String = value.chars().take(60).collect();
            format!("{}={short}{}", property.name, if short.len() < value.len() { "..." } else { "" })
        })
        .collect();
    format!("[{}]", texts.join(", "))
}

/// It is this property that the failure is about: systemd names it when it does not know it.
fn unknown(failure: &Failure, naming: Naming) -> bool {
    failure.to_string().contains(naming.property())
}

/// A pid is that of another process for a systemd in another pid namespace. That one is in ours can be told by process 1, which is
/// systemd itself, in the cgroup that it has made for itself.
fn shares_pids_with_systemd() -> Result<()> {
    let init = Membership::of(1)?;
    let is_systemd =
        |key: &str| init.as_ref().and_then(|init| init.path(key)).is_some_and(|p| p.ends_with("/init.scope"));
    if is_systemd("") || is_systemd("name=systemd") {
        return Ok(());
    }
    Err(Error::new("systemd takes processes by their pids alone, and is not process 1 of our pid namespace")
        .hint("run in the pid namespace of systemd, or without --systemd-cgroup"))
}

/// What systemd said, with the field of the property that it named.
fn explained(failure: Failure, properties: &[Property]) -> Error {
    let error = match failure {
        Failure::Lost(error) | Failure::Invalid(error) => error,
        failure => Error::new(failure.to_string()),
    };
    let text = error.to_string();
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let Some(property) = words.find_map(|word| properties.iter().find(|p| p.name == word)) else { return error };
    let error = if property.field.is_empty() { error } else { error.field(property.field.clone()) };
    if text.contains("unknown property") {
        error.hint(format!("this version of systemd does not know {}", property.name))
    } else {
        error
    }
}

#[cfg(test)]
#[path = "tests/manager.rs"]
#[allow(clippy::arithmetic_side_effects)] // A panic is what a test wants.
mod tests;
