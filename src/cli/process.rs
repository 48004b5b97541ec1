//! What `exec` runs: the process of a file, alone, or that of the bundle with the flags on top. And where: the sub-cgroups of
//! `--cgroup`. Knows nothing of how a process is started; what may not be asked for is found by validation.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use super::exec::ExecArgs;
use crate::error::{Error, Result};
use crate::spec::{Process, User, parse};

/// The process that was asked for. The bundle is read anew, as runc does: what was changed in its config.json since `create`
/// counts. `bundle` is what the state knows of it.
///
/// # Errors
/// A file that cannot be read or is not what it should be; flags with impossible values.
pub fn process(args: &ExecArgs, bundle: Option<&str>) -> Result<Process> {
    if let Some(file) = &args.process {
        return parse::process(&read(file)?);
    }
    let bundle = bundle.ok_or_else(|| Error::new("bundle not found in labels"))?;
    let config = Path::new(bundle).join("config.json");
    let json = read(&config).map_err(|e| match e.errno() {
        Some(nix::errno::Errno::ENOENT) => Error::new("JSON specification file config.json not found"),
        _ => e,
    })?;
    let process = parse::config(&json)?.process.ok_or_else(|| Error::new("process property must not be empty"))?;
    with_flags(process, args)
}

/// A document that the user names.
///
/// # Errors
/// `open FILE: ...`, `read FILE: is a directory`.
pub(super) fn read(file: &Path) -> Result<Vec<u8>> {
    crate::files::document(file).map_err(|e| {
        // A directory can be opened.
        let call = if e.kind() == std::io::ErrorKind::IsADirectory { "read" } else { "open" };
        Error::io(format_args!("{call} {}", file.display()), &e)
    })
}

fn with_flags(process: Process, args: &ExecArgs) -> Result<Process> {
    if args.args.is_empty() {
        return Err(Error::new("exec args cannot be empty"));
    }
    let mut process = Process { args: texts(&args.args)?, terminal: args.tty, ..process };
    if let Some(cwd) = &args.cwd {
        process.cwd.clone_from(cwd);
    }
    if let Some(profile) = &args.apparmor {
        process.apparmor_profile.clone_from(profile);
    }
    if let Some(label) = &args.process_label {
        process.selinux_label.clone_from(label);
    }
    if let Some(no_new_privs) = args.no_new_privs {
        process.no_new_privileges = no_new_privs;
    }
    process.env.extend(args.env.iter().cloned());
    if let Some(user) = args.user.as_deref().filter(|user| !user.is_empty()) {
        set_user(&mut process.user, user)?;
    }
    for gid in &args.additional_gids {
        let gid =
            u32::try_from(*gid).map_err(|_| Error::new(format!("additional-gids must be a positive number {gid}")))?;
        process.user.additional_gids.push(gid);
    }
    if !args.cap.is_empty() {
        add_capabilities(&mut process, &args.cap);
    }
    Ok(process)
}

/// JSON, in which a process travels and is kept, has no other texts.
fn texts(args: &[OsString]) -> Result<Vec<String>> {
    let text = |arg: &OsString| arg.to_str().map(str::to_owned);
    args.iter().map(|arg| text(arg).ok_or_else(|| Error::new(format!("argument {arg:?} is not UTF-8")))).collect()
}

/// `UID[:GID]`; what is not given stays.
fn set_user(user: &mut User, text: &str) -> Result<()> {
    let (uid, gid) = match text.split_once(':') {
        Some((uid, gid)) => (uid, Some(gid)),
        None => (text, None),
    };
    if let Some(gid) = gid {
        user.gid = number("gid", gid)?;
    }
    user.uid = number("uid", uid)?;
    Ok(())
}

fn number(what: &str, text: &str) -> Result<u32> {
    text.parse().map_err(|_| {
        let error = Error::new(format!("bad {what}: strconv.Atoi: parsing {text:?}: invalid syntax"));
        if text.parse::<i128>().is_ok() {
            error.hint("ids are from 0 to 4294967295")
        } else {
            error.hint("it takes a number")
        }
    })
}

/// As runc: to ambient only where config.json has a list of inheritable ones, since it could not be raised otherwise. A
/// config.json without capabilities (runc crashes on it) is taken for one with none.
fn add_capabilities(process: &mut Process, names: &[String]) {
    let sets = process.capabilities.get_or_insert_default();
    for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
        set.extend(names.iter().cloned());
    }
    if sets.inheritable.is_some() {
        sets.ambient.extend(names.iter().cloned());
    }
}

/// `--cgroup`: controller -> path below the container's cgroup; `""` stands for all.
///
/// # Errors
/// `invalid --cgroup argument: X (...)`.
pub fn sub_cgroups(args: &[String]) -> Result<BTreeMap<String, String>> {
    let mut paths = BTreeMap::new();
    for arg in args {
        let invalid = |why: &str| Error::new(format!("invalid --cgroup argument: {arg} ({why})"));
        let (controllers, path) = match arg.split_once(':') {
            Some(split) => split,
            None if args.len() == 1 => ("", arg.as_str()),
            None => return Err(invalid("missing <controller>: prefix")),
        };
        for controller in controllers.split(',') {
            if controller.is_empty() && arg.contains(':') {
                return Err(invalid("empty <controller> prefix"));
            }
            if paths.insert(controller.to_owned(), path.to_owned()).is_some() {
                let text = "invalid --cgroup argument(s): controller";
                return Err(Error::new(format!("{text} {controller} specified multiple times")));
            }
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Capabilities;

    fn args() -> ExecArgs {
        ExecArgs { args: vec!["ls".into()], ..ExecArgs::default() }
    }

    fn base() -> Process {
        Process {
            terminal: true,
            args: vec!["sh".into()],
            env: vec!["A=1".into()],
            cwd: "/".into(),
            user: User { uid: 1, gid: 2, additional_gids: vec![3], ..User::default() },
            ..Process::default()
        }
    }

    fn fault(args: ExecArgs) -> String {
        with_flags(base(), &args).unwrap_err().to_string()
    }

    #[test]
    fn only_what_was_given_is_changed() {
        let wanted = Process { terminal: false, args: vec!["ls".into()], ..base() };
        assert_eq!(with_flags(base(), &args()).unwrap(), wanted);
    }

    #[test]
    fn flags_stand_above_the_bundle() {
        let args = ExecArgs {
            tty: true,
            cwd: Some("/w".into()),
            env: vec!["B=2".into(), "A=3".into()],
            user: Some("7".into()),
            additional_gids: vec![4],
            apparmor: Some("p".into()),
            process_label: Some("l".into()),
            no_new_privs: Some(true),
            ..args()
        };
        let wanted = Process {
            terminal: true,
            args: vec!["ls".into()],
            env: vec!["A=1".into(), "B=2".into(), "A=3".into()],
            cwd: "/w".into(),
            user: User { uid: 7, gid: 2, additional_gids: vec![3, 4], ..User::default() },
            apparmor_profile: "p".into(),
            selinux_label: "l".into(),
            no_new_privileges: true,
            ..base()
        };
        assert_eq!(with_flags(base(), &args).unwrap(), wanted);
        let both = with_flags(base(), &ExecArgs { user: Some("8:9".into()), ..args }).unwrap();
        assert_eq!((both.user.uid, both.user.gid), (8, 9));
    }

    #[test]
    fn impossible_flags() {
        use std::os::unix::ffi::OsStringExt;
        let user = |user: &str| fault(ExecArgs { user: Some(user.into()), ..args() });
        assert!(user("root").starts_with("bad uid: strconv.Atoi: parsing \"root\": invalid syntax"));
        assert!(user("1:wheel").starts_with("bad gid: strconv.Atoi: parsing \"wheel\": invalid syntax"));
        assert!(user("-1").starts_with("bad uid: "));
        assert!(user("1:").starts_with("bad gid: "));
        let gids = fault(ExecArgs { additional_gids: vec![1, -1], ..args() });
        assert_eq!(gids, "additional-gids must be a positive number -1");
        assert_eq!(fault(ExecArgs::default()), "exec args cannot be empty");
        let bytes = OsString::from_vec(vec![b'a', 0xff]);
        assert_eq!(fault(ExecArgs { args: vec![bytes], ..args() }), "argument \"a\\xFF\" is not UTF-8");
    }

    #[test]
    fn capabilities_are_added_where_they_can_be_raised() {
        let add = |capabilities: Option<Capabilities>| {
            let process = Process { capabilities, ..base() };
            let args = ExecArgs { cap: vec!["CAP_X".into()], ..args() };
            with_flags(process, &args).unwrap().capabilities.unwrap()
        };
        let x = vec!["CAP_X".to_owned()];
        let three =
            Capabilities { bounding: x.clone(), effective: x.clone(), permitted: x.clone(), ..Default::default() };
        assert_eq!(add(None), three);
        assert_eq!(add(Some(Capabilities::default())), three);
        let with = Capabilities { inheritable: Some(vec![]), ..Capabilities::default() };
        assert_eq!(add(Some(with)), Capabilities { inheritable: Some(vec![]), ambient: x, ..three });
    }

    #[test]
    fn a_process_file_stands_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("process.json");
        std::fs::write(&file, r#"{"user":{"uid":5,"gid":6},"args":["id"],"cwd":"/","terminal":true}"#).unwrap();
        let args = ExecArgs { process: Some(file), cwd: Some("/w".into()), user: Some("1".into()), ..args() };
        let process = process(&args, None).unwrap();
        assert_eq!((process.user.uid, process.cwd.as_str(), process.terminal), (5, "/", true));
        let missing = ExecArgs { process: Some("/nonexistent/p".into()), ..ExecArgs::default() };
        let e = super::process(&missing, None).unwrap_err();
        assert_eq!(e.to_string(), "open /nonexistent/p: no such file or directory");
    }

    #[test]
    fn the_bundle_must_be_known_and_there() {
        assert_eq!(process(&args(), None).unwrap_err().to_string(), "bundle not found in labels");
        let e = process(&args(), Some("/nonexistent")).unwrap_err();
        assert_eq!(e.to_string(), "JSON specification file config.json not found");
    }

    #[test]
    fn sub_cgroups_of_controllers() {
        let parse = |args: &[&str]| {
            sub_cgroups(&args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>()).map_err(|e| e.to_string())
        };
        let map = |pairs: &[(&str, &str)]| Ok(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect());
        assert_eq!(parse(&[]), map(&[]));
        assert_eq!(parse(&["/a"]), map(&[("", "/a")]));
        assert_eq!(parse(&["cpu,memory:/a", "pids:b:c"]), map(&[("cpu", "/a"), ("memory", "/a"), ("pids", "b:c")]));
        for (args, message) in [
            (&[":/a"][..], "invalid --cgroup argument: :/a (empty <controller> prefix)"),
            (&["cpu,:/a"], "invalid --cgroup argument: cpu,:/a (empty <controller> prefix)"),
            (&["cpu:/a", "cpu:/b"], "invalid --cgroup argument(s): controller cpu specified multiple times"),
            (&["/a", "cpu:/b"], "invalid --cgroup argument: /a (missing <controller>: prefix)"),
        ] {
            assert_eq!(parse(args), Err(message.to_owned()));
        }
    }
}
