use std::os::fd::AsFd;
use std::time::Instant;

use super::*;
use crate::dbus::Address;
use crate::dbus::fake::{Fake, Stage};
use crate::dbus::wire::Message;

const UNIT: &str = "runc-a.scope";

fn limits() -> Limits {
    Limits {
        operation: Duration::from_secs(10),
        grace: Duration::from_millis(200),
        silence: Duration::from_millis(200),
        look: Duration::from_millis(100),
    }
}

fn connect(stage: &Stage, limits: Limits) -> Result<Manager> {
    let list = vec![Place { address: stage.address(), peer: Peer::Direct }];
    Manager::connect_to(Scope::System, Places { list }, limits)
}

fn unit() -> Unit {
    let property = |name: &str, value, field: &str| Property { name: name.into(), value, field: field.into() };
    Unit {
        name: UNIT.into(),
        properties: vec![
            property("Delegate", Value::Bool(true), ""),
            property("MemoryMax", Value::Uint64(5), "/linux/resources/memory/limit"),
        ],
    }
}

fn job(n: u32) -> Value {
    Value::ObjectPath(format!("/org/freedesktop/systemd1/job/{n}"))
}

fn path() -> [Value; 1] {
    [Value::ObjectPath("/org/freedesktop/systemd1/unit/runc_2da_2escope".into())]
}

fn variant(value: Value) -> [Value; 1] {
    [Value::Variant(Box::new(value))]
}

/// What a systemd says.
trait Says {
    fn removed(&mut self, n: u32, result: &str);
    fn looked_at(&mut self, job: u32, state: &str);
}

impl Says for Fake {
    fn removed(&mut self, n: u32, result: &str) {
        let body = [Value::Uint32(n), job(n), Value::String(UNIT.into()), Value::String(result.into())];
        self.signal(INTERFACE, JOB_REMOVED, &body);
    }

    fn looked_at(&mut self, job: u32, state: &str) {
        let call = self.expect("GetUnit");
        self.reply(&call, &path());
        let call = self.expect("Get");
        let job = Value::Struct(vec![Value::Uint32(job), Value::ObjectPath("/".into())]);
        self.reply(&call, &variant(job));
        if matches!(variant(Value::String(state.into())), [_] if !state.is_empty()) {
            let call = self.expect("Get");
            self.reply(&call, &variant(Value::String(state.into())));
        }
    }
}

fn start(limits: Limits, play: impl FnOnce(std::os::unix::net::UnixListener) + Send + 'static) -> Result<()> {
    let stage = Stage::new(play);
    let mut manager = connect(&stage, limits)?;
    let result = manager.start(&unit(), Some((42, std::io::stdin().as_fd())));
    drop(manager);
    stage.end();
    result
}

fn exists(fake: &mut Fake, call: &Message) {
    fake.refuse(call, UNIT_EXISTS, "Unit runc-a.scope was already loaded or has a fragment file.");
}

#[test]
fn one_call_and_its_job() {
    start(limits(), |listener| {
        let mut fake = Fake::accept(&listener);
        let call = fake.expect("StartTransientUnit");
        let property =
            |name: &str, value| Value::Struct(vec![Value::String(name.into()), Value::Variant(Box::new(value))]);
        let properties = vec![
            property("Delegate", Value::Bool(true)),
            property("MemoryMax", Value::Uint64(5)),
            property("PIDs", Value::Array("u".into(), vec![Value::Uint32(42)])),
        ];
        let expected = [
            Value::String(UNIT.into()),
            Value::String("replace".into()),
            Value::Array("(sv)".into(), properties),
            Value::Array("(sa(sv))".into(), vec![]),
        ];
        assert_eq!(call.body().unwrap(), expected);
        // Another's job, and ours, both before the answer.
        fake.removed(6, "failed");
        fake.removed(7, "done");
        fake.reply(&call, &[job(7)]);
        assert!(fake.read().is_none());
    })
    .unwrap();
}

#[test]
fn a_job_that_fails() {
    let error = start(limits(), |listener| {
        let mut fake = Fake::accept(&listener);
        let call = fake.expect("StartTransientUnit");
        fake.reply(&call, &[job(7)]);
        fake.removed(7, "failed");
        let call = fake.expect("ResetFailedUnit");
        fake.reply(&call, &[]);
    });
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("error creating systemd unit `runc-a.scope`: got `failed`; "), "{error}");
}

#[test]
fn a_failed_unit_of_this_name_is_reset_once() {
    for exists_still in [false, true] {
        let result = start(limits(), move |listener| {
            let mut fake = Fake::accept(&listener);
            let call = fake.expect("StartTransientUnit");
            exists(&mut fake, &call);
            let call = fake.expect("ResetFailedUnit");
            // It has gone by itself meanwhile.
            fake.refuse(&call, NO_SUCH_UNIT, "Unit runc-a.scope not loaded.");
            let call = fake.expect("StartTransientUnit");
            if exists_still {
                exists(&mut fake, &call);
            } else {
                fake.reply(&call, &[job(7)]);
                fake.removed(7, "done");
            }
            assert!(fake.read().is_none());
        });
        let expected = "unable to start unit \"runc-a.scope\" (properties [Delegate=true, MemoryMax=5]): \
                        Unit runc-a.scope was already loaded or has a fragment file.";
        assert_eq!(result.err().map(|e| e.to_string()), exists_still.then(|| expected.into()));
    }
}

#[test]
fn a_slice_may_exist() {
    let stage = Stage::new(|listener| {
        let mut fake = Fake::accept(&listener);
        let call = fake.expect("StartTransientUnit");
        exists(&mut fake, &call);
        fake.looked_at(0, "active");
    });
    let slice = Unit { name: "pods.slice".into(), properties: vec![] };
    connect(&stage, limits()).unwrap().start(&slice, None).unwrap();
    stage.end();
}

#[test]
fn refusals_name_the_field() {
    for (said, expected) in [
        (
            "Cannot set property MemoryMax, or unknown property.",
            "Cannot set property MemoryMax, or unknown property. (config.json /linux/resources/memory/limit); this version of \
             systemd does not know MemoryMax",
        ),
        ("MemoryMax= is out of range", "MemoryMax= is out of range (config.json /linux/resources/memory/limit)"),
        ("Access denied", "Access denied"),
    ] {
        let error = start(limits(), move |listener| {
            let mut fake = Fake::accept(&listener);
            let call = fake.expect("StartTransientUnit");
            fake.refuse(&call, "org.freedesktop.DBus.Error.PropertyReadOnly", said);
        });
        let expected =
            format!(r#"unable to start unit "runc-a.scope" (properties [Delegate=true, MemoryMax=5]): {expected}"#);
        assert_eq!(error.unwrap_err().to_string(), expected);
    }
}

/// A value that a message cannot hold is our error, not a broken connection.
#[test]
fn a_property_that_cannot_be_sent() {
    let stage = Stage::new(|listener| assert!(Fake::accept(&listener).read().is_none()));
    let mut bad = unit();
    bad.properties[0].value = Value::String("a\0b".into());
    let error =
        connect(&stage, limits()).unwrap().start(&bad, Some((42, std::io::stdin().as_fd()))).unwrap_err().to_string();
    assert!(error.ends_with("not a D-Bus value: a string with a NUL"), "{error}");
    stage.end();
}

#[test]
fn a_systemd_that_is_busy_for_too_long() {
    for answers in [false, true] {
        let limits = Limits { operation: Duration::from_millis(300), ..limits() };
        let begin = Instant::now();
        let error = start(limits, move |listener| {
            let mut fake = Fake::accept(&listener);
            let call = fake.expect("StartTransientUnit");
            if answers {
                // The job is queued, and stays so.
                fake.reply(&call, &[job(7)]);
                while let Some(call) = fake.read() {
                    match call.member.as_deref() {
                        Some("GetUnit") => fake.reply(&call, &path()),
                        _ => fake.reply(&call, &variant(Value::Struct(vec![Value::Uint32(7), job(7)]))),
                    }
                }
            } else {
                assert!(fake.read().is_none());
            }
        });
        assert_eq!(error.unwrap_err().to_string(), "Timeout waiting for systemd to create runc-a.scope");
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }
}

/// daemon-reexec: the connection ends before the request was read, after it was obeyed, or while the job runs.
#[test]
fn a_systemd_that_is_replaced() {
    // Not heard: asked again.
    start(limits(), |listener| {
        let mut old = Fake::accept(&listener);
        old.expect("StartTransientUnit");
        drop(old);
        let mut fake = Fake::accept(&listener);
        let call = fake.expect("StartTransientUnit");
        fake.reply(&call, &[job(7)]);
        fake.removed(7, "done");
    })
    .unwrap();
    // Heard, the answer lost; the job is still in the queue, then the unit has our process: it is ours.
    start(limits(), |listener| {
        Fake::accept(&listener).expect("StartTransientUnit");
        let mut fake = Fake::accept(&listener);
        let call = fake.expect("StartTransientUnit");
        exists(&mut fake, &call);
        fake.looked_at(7, "");
        fake.looked_at(0, "active");
        let call = fake.expect("GetUnit");
        fake.reply(&call, &path());
        let call = fake.expect("GetUnitByPID");
        assert_eq!(call.body().unwrap(), [Value::Uint32(42)]);
        fake.reply(&call, &path());
        assert!(fake.read().is_none());
    })
    .unwrap();
    // Heard and answered, the news of the job lost.
    start(limits(), |listener| {
        let mut old = Fake::accept(&listener);
        let call = old.expect("StartTransientUnit");
        old.reply(&call, &[job(7)]);
        drop(old);
        let mut fake = Fake::accept(&listener);
        fake.looked_at(0, "active");
        assert!(fake.read().is_none());
    })
    .unwrap();
}

/// Of this name, but with another's processes: never taken for ours, and never stopped.
#[test]
fn a_lost_answer_and_a_unit_of_somebody_else() {
    let error = start(limits(), |listener| {
        Fake::accept(&listener).expect("StartTransientUnit");
        let mut fake = Fake::accept(&listener);
        let call = fake.expect("StartTransientUnit");
        exists(&mut fake, &call);
        fake.looked_at(0, "active");
        let call = fake.expect("GetUnit");
        fake.reply(&call, &path());
        let call = fake.expect("GetUnitByPID");
        fake.refuse(&call, NO_UNIT_FOR_PID, "PID 42 does not belong to any loaded unit.");
        let call = fake.expect("StartTransientUnit");
        exists(&mut fake, &call);
        let call = fake.expect("ResetFailedUnit");
        fake.reply(&call, &[]);
        let call = fake.expect("StartTransientUnit");
        exists(&mut fake, &call);
        assert!(fake.read().is_none());
    });
    assert!(error.unwrap_err().to_string().ends_with("was already loaded or has a fragment file."));
}

#[test]
fn a_systemd_that_drops_every_connection() {
    let limits = Limits { operation: Duration::from_millis(300), ..limits() };
    let begin = Instant::now();
    let error = start(limits, |listener| {
        Fake::accept(&listener).expect("StartTransientUnit");
        drop(listener);
    });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("connection refused") || error.starts_with("Timeout"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

/// On a bus anybody can send us a signal; only that of who queued the job counts.
#[test]
fn forged_news() {
    let stage = Stage::new(|listener| {
        let mut fake = Fake::accept(&listener);
        let hello = fake.expect("Hello");
        fake.reply(&hello, &[Value::String(":1.5".into())]);
        let owner = fake.expect("NameHasOwner");
        fake.reply(&owner, &[Value::Bool(true)]);
        let rule = fake.expect("AddMatch");
        fake.reply(&rule, &[]);
        let call = fake.expect("StartTransientUnit");
        fake.sender = Some(":1.99".into());
        fake.removed(7, "done");
        fake.sender = Some(":1.0".into());
        fake.reply(&call, &[job(7)]);
        fake.removed(7, "failed");
        let call = fake.expect("ResetFailedUnit");
        fake.reply(&call, &[]);
    });
    let list = vec![Place { address: stage.address(), peer: Peer::Bus }];
    let mut manager = Manager::connect_to(Scope::System, Places { list }, limits()).unwrap();
    assert!(
        manager.start(&unit(), Some((42, std::io::stdin().as_fd()))).unwrap_err().to_string().contains("got `failed`")
    );
    stage.end();
}

#[test]
fn stopping() {
    // Not there.
    let stage = Stage::new(|listener| {
        let mut fake = Fake::accept(&listener);
        let call = fake.expect("StopUnit");
        fake.refuse(&call, NO_SUCH_UNIT, "Unit runc-a.scope not loaded.");
        // The connection goes once, the job fails, and so the unit has failed.
        let call = fake.expect("StopUnit");
        drop((call, fake));
        let mut fake = Fake::accept(&listener);
        let call = fake.expect("StopUnit");
        assert_eq!(call.body().unwrap(), [Value::String(UNIT.into()), Value::String("replace".into())]);
        fake.reply(&call, &[job(9)]);
        fake.removed(9, "failed");
        let call = fake.expect("ResetFailedUnit");
        fake.reply(&call, &[]);
        // Never ends.
        let call = fake.expect("StopUnit");
        fake.reply(&call, &[job(10)]);
        while let Some(call) = fake.read() {
            fake.refuse(&call, "a.b", "no");
        }
    });
    let mut manager = connect(&stage, limits()).unwrap();
    manager.stop(UNIT).unwrap();
    manager.stop(UNIT).unwrap();
    assert_eq!(manager.stop(UNIT).unwrap_err().to_string(), "unable to stop unit \"runc-a.scope\": no");
    drop(manager);
    stage.end();
}

#[test]
fn properties_and_processes() {
    let stage = Stage::new(|listener| {
        let mut fake = Fake::accept(&listener);
        let call = fake.expect("SetUnitProperties");
        assert_eq!(call.body().unwrap()[..2], [Value::String(UNIT.into()), Value::Bool(true)]);
        fake.refuse(&call, NO_SUCH_UNIT, "Unit runc-a.scope not loaded.");
        let call = fake.expect("AttachProcessesToUnit");
        let pids = Value::Array("u".into(), vec![Value::Uint32(1), Value::Uint32(2)]);
        assert_eq!(call.body().unwrap(), [Value::String(UNIT.into()), Value::String("/sub".into()), pids]);
        fake.reply(&call, &[]);
        let call = fake.expect("Get");
        assert_eq!(call.body().unwrap()[1], Value::String("Version".into()));
        fake.reply(&call, &variant(Value::String("257.9-1~deb13u1".into())));
    });
    let mut manager = connect(&stage, limits()).unwrap();
    manager.set_properties(UNIT, &[]).unwrap();
    assert_eq!(
        manager.set_properties(UNIT, &unit().properties[1..]).unwrap_err().to_string(),
        "unable to set properties of unit \"runc-a.scope\" (properties [MemoryMax=5]): Unit runc-a.scope not loaded."
    );
    manager.attach(UNIT, "/sub", &[1, 2]).unwrap();
    assert_eq!(manager.facts().unwrap(), Facts { scope: Scope::System, version: 257, control_group: String::new() });
    stage.end();
}

#[test]
fn nobody_listens() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str, peer| Place { address: Address::Path(dir.path().join(name)), peer };
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("bus")).unwrap());
    let places = Places { list: vec![place("private", Peer::Direct), place("bus", Peer::Bus)] };
    let error = Manager::connect_to(Scope::User, places, limits()).unwrap_err().to_string();
    let error = error.replace(&*dir.path().to_string_lossy(), "D");
    assert_eq!(
        error,
        "unable to connect to the user's systemd: unix:path=D/private: connect: no such file or directory, unix:path=D/bus: \
         connect: connection refused; is XDG_RUNTIME_DIR set, and is the user logged in, or has `loginctl enable-linger`? \
         Otherwise do without --systemd-cgroup"
    );
}

#[test]
fn a_silent_bus_is_not_the_only_way() {
    let bus = Stage::new(|listener| {
        let _silent = listener.accept().unwrap();
        std::thread::sleep(Duration::from_millis(600));
    });
    let private = Stage::new(|listener| drop(Fake::accept(&listener)));
    let place = |stage: &Stage, peer| Place { address: stage.address(), peer };
    let list = vec![place(&bus, Peer::Bus), place(&private, Peer::Direct)];
    Manager::connect_to(Scope::System, Places { list }, limits()).unwrap();
    private.end();
    bus.end();

    // Neither is an answer.
    let silent = Stage::new(|listener| drop((listener.accept(), listener.accept())));
    let list = vec![place(&silent, Peer::Direct), place(&silent, Peer::Direct)];
    let limits = Limits { operation: Duration::from_millis(300), ..limits() };
    let error = Manager::connect_to(Scope::System, Places { list }, limits).unwrap_err().to_string();
    assert!(error.contains("no answer in time") && error.contains(&silent.address().to_string()), "{error}");
    silent.end();
}

/// systemd is being replaced as we come: it listens a moment later.
#[test]
fn not_there_yet() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("private");
    let address = Address::Path(socket.clone());
    let actor = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        Fake::accept(&std::os::unix::net::UnixListener::bind(socket).unwrap());
    });
    let places = Places { list: vec![Place { address, peer: Peer::Direct }] };
    Manager::connect_to(Scope::System, places, Limits { grace: Duration::from_secs(10), ..limits() }).unwrap();
    actor.join().unwrap();
}

#[test]
fn versions() {
    for (text, number) in
        [("257.9-1~deb13u1", Some(257)), ("v245.4-1", Some(245)), ("systemd 219", Some(219)), ("", None)]
    {
        let stage = Stage::new(move |listener| {
            let mut fake = Fake::accept(&listener);
            let call = fake.expect("Get");
            fake.reply(&call, &variant(Value::String(text.into())));
        });
        assert_eq!(connect(&stage, limits()).unwrap().version().ok(), number, "{text}");
        stage.end();
    }
}
