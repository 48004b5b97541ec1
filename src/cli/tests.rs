use super::*;
use exec::ExecArgs;

fn typed(line: &str) -> Parsed {
    parse(line.split(' ').filter(|word| !word.is_empty()).map(|word| word.replace('␣', " ").into()).collect())
}

fn command(line: &str) -> Command {
    typed(line).command.unwrap_or_else(|refusal| panic!("{line}: {}", refusal.error))
}

/// `(what the log is told, exit code, beginning of stderr, beginning of stdout)`
fn refusal(line: &str) -> (String, u8, String, String) {
    let refusal = typed(line).command.err().unwrap_or_else(|| panic!("{line}: was accepted"));
    let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    (refusal.error.to_string(), refusal.code, first(&refusal.stderr), first(&refusal.stdout))
}

#[test]
fn every_flag_of_create_and_run_arrives() {
    let create = create::CreateArgs {
        id: "c".into(),
        bundle: Some("/b".into()),
        console_socket: Some("s".into()),
        pidfd_socket: Some("p".into()),
        pid_file: Some("f".into()),
        no_pivot: true,
        no_new_keyring: true,
        preserve_fds: 3,
        trace: Some("t".into()),
    };
    let flags = "--trace t --bundle /b --console-socket s --pidfd-socket p --pid-file f --no-pivot --no-new-keyring --preserve-fds 3";
    assert_eq!(command(&format!("runc create {flags} c")), Command::Create(create.clone()));
    let run = run::RunArgs { create, detach: true, keep: true, no_subreaper: true };
    assert_eq!(command(&format!("runc run {flags} -d --keep --no-subreaper c")), Command::Run(run));
}

#[test]
fn every_flag_of_exec_arrives() {
    let line = "runc exec --console-socket s --pidfd-socket p --cwd /w -e A=1,B=2 --env C= -t -u 1:2 -g 3 \
                --additional-gids=4 -p f -d --pid-file i --process-label l --apparmor a --no-new-privs=false -c CAP_X \
                --cap=CAP_Y --preserve-fds 2 --cgroup cpu:/x --cgroup y --ignore-paused c sh -c exit␣1 --tty";
    let wanted = ExecArgs {
        id: "c".into(),
        args: ["sh", "-c", "exit 1", "--tty"].map(Into::into).into(),
        process: Some("f".into()),
        console_socket: Some("s".into()),
        pidfd_socket: Some("p".into()),
        pid_file: Some("i".into()),
        detach: true,
        preserve_fds: 2,
        tty: true,
        user: Some("1:2".into()),
        additional_gids: vec![3, 4],
        cwd: Some("/w".into()),
        env: vec!["A=1,B=2".into(), "C=".into()],
        apparmor: Some("a".into()),
        process_label: Some("l".into()),
        no_new_privs: Some(false),
        cap: vec!["CAP_X".into(), "CAP_Y".into()],
        cgroup: vec!["cpu:/x".into(), "y".into()],
        ignore_paused: true,
        trace: None,
    };
    assert_eq!(command(line), Command::Exec(Box::new(wanted)));
}

#[test]
fn global_flags_before_and_after_the_command() {
    let wanted = Global {
        argv0: "/x/runc".into(),
        debug: true,
        log: Some("l".into()),
        log_format: Some("json".into()),
        root: Some("".into()),
        systemd_cgroup: true,
        rootless: Some("auto".into()),
    };
    let flags = "--debug --log l -log-format=json --root= --systemd-cgroup --rootless auto";
    for line in
        [format!("/x/runc {flags} state c"), format!("/x/runc state {flags} c"), format!("/x/runc state c {flags}")]
    {
        let parsed = typed(&line);
        assert_eq!(parsed.global, wanted, "{line}");
        assert_eq!(parsed.command.unwrap(), Command::State(state::StateArgs { id: "c".into() }));
    }
    assert_eq!(wanted.program(), "runc");
    // The complaint about the command goes where the global flags say.
    for line in ["runc --log l create", "runc --log l create -x", "runc --log l create --preserve-fds x c"] {
        assert_eq!(typed(line).global.log, Some("l".into()), "{line}");
    }
}

#[test]
fn go_style_flags() {
    let run = |line: &str| match command(line) {
        Command::Run(args) => args,
        other => panic!("{line}: {other:?}"),
    };
    for line in [
        "runc run -detach -bundle /b -no-subreaper c",
        "runc run -d -b=/b --no-subreaper=1 c",
        "runc run --detach=true c --bundle=/b -no-subreaper=T",
        "runc run c --d --b /b -no-subreaper",
        "runc run --detach=false --detach -b /a -b /b -no-subreaper -- c",
    ] {
        let args = run(line);
        assert_eq!(
            (args.detach, args.create.bundle.as_deref(), args.no_subreaper, args.create.id.as_str()),
            (true, Some(Path::new("/b")), true, "c"),
            "{line}"
        );
    }
    assert!(!run("runc run --detach=false c").detach);
    assert_eq!(run("runc run --pid-file --detach c").create.pid_file, Some("--detach".into()));
    assert_eq!(run("runc run --bundle=a=b c").create.bundle, Some("a=b".into()));
    assert_eq!(run("runc run -- -c").create.id, "-c");
    assert_eq!(run("runc run -").create.id, "-");
}

#[test]
fn exec_kill_and_ps_stop_at_the_first_argument() {
    let exec = |line: &str| match command(line) {
        Command::Exec(args) => args.args.iter().map(|a| a.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(" "),
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(exec("runc exec c ls --debug -x"), "ls --debug -x");
    assert_eq!(exec("runc exec c -- ls -x"), "ls -x");
    assert_eq!(exec("runc exec -- c ls -- x"), "ls -- x");
    assert_eq!(exec("runc exec c sh -c x -- y"), "sh -c x -- y");
    let kill = |line: &str| match command(line) {
        Command::Kill(args) => (args.id, args.signal, args.all),
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(kill("runc kill -- c 0"), ("c".into(), Some("0".into()), false));
    assert_eq!(kill("runc kill -a c 9"), ("c".into(), Some("9".into()), true));
    assert_eq!(kill("runc kill --all c"), ("c".into(), None, true));
    assert_eq!(kill("runc kill c --all"), ("c".into(), Some("--all".into()), false));
    let Command::Ps(ps) = command("runc ps -f json c -o pid") else { panic!() };
    assert_eq!((ps.format.as_deref(), ps.options), (Some("json"), vec!["-o".into(), "pid".into()]));
}

#[test]
fn the_other_commands() {
    use {delete::DeleteArgs, list::ListArgs, spec::SpecArgs};
    let force = Command::Delete(DeleteArgs { id: "c".into(), force: true });
    for line in ["runc delete --force c", "runc delete c -f", "runc delete c -force"] {
        assert_eq!(command(line), force);
    }
    let events = |interval, stats| Command::Events(events::EventsArgs { id: "c".into(), interval, stats });
    assert_eq!(command("runc events c"), events(None, false));
    assert_eq!(command("runc events --interval 1m30s c -stats"), events(Some(90_000_000_000), true));
    assert_eq!(command("runc events --interval=-1ns c"), events(Some(-1), false));
    let list = ListArgs { format: Some("json".into()), quiet: true };
    assert_eq!(command("runc list -q --format=json"), Command::List(list));
    let spec = Command::Spec(SpecArgs { bundle: Some("/b".into()), rootless: true });
    assert_eq!(command("runc spec -b /b --rootless"), spec);
    // The global flag of the same name means something else, and nothing to `spec`.
    assert_eq!(command("runc --rootless auto spec -b /b --rootless"), spec);
    assert_eq!(command("runc start c"), Command::Start(start::StartArgs { id: "c".into(), trace: None }));
    assert_eq!(command("runc pause c"), Command::Pause(pause::PauseArgs { id: "c".into() }));
    assert_eq!(command("runc resume c"), Command::Resume(resume::ResumeArgs { id: "c".into() }));
    assert_eq!(command("runc features"), Command::Features);
    assert_eq!(command("runc --version"), Command::Version);
    assert_eq!(command("runc -v"), Command::Version);
    let check = check::CheckArgs { bundle: Some("b".into()), format: Some("json".into()) };
    assert_eq!(command("runc check -b b -f json"), Command::Check(check));
    let plan = plan::PlanArgs { id: Some("c".into()), bundle: Some("b".into()), format: Some("text".into()) };
    assert_eq!(command("runc plan -b b --format text c"), Command::Plan(plan));
    let seccomp = |capabilities: &[&str], file: &str| {
        let capabilities = capabilities.iter().map(|c| (*c).to_owned()).collect();
        Command::Seccomp(seccomp::SeccompArgs { file: file.into(), capabilities })
    };
    assert_eq!(command("runc seccomp -"), seccomp(&[], "-"));
    assert_eq!(command("runc seccomp -cap A --cap=B f"), seccomp(&["A", "B"], "f"));
}

#[test]
fn update_takes_what_was_typed() {
    let update = |line: &str| match command(line) {
        Command::Update(args) => *args,
        other => panic!("{line}: {other:?}"),
    };
    let args = update("runc update -r - c");
    assert_eq!((args.id.as_str(), args.resources.as_deref()), ("c", Some(Path::new("-"))));
    assert_eq!(update("runc update --resources= c").resources, None);
    let args = update("runc update c -memory 1g --pids-limit=-1 --memory-swap -1 --blkio-weight 10 --cpu-quota=");
    assert_eq!((args.pids_limit, args.blkio_weight), (Some(-1), Some(10)));
    assert_eq!(args.texts, [("memory", "1g".to_owned()), ("memory-swap", "-1".to_owned())]);
}

#[test]
fn help_in_all_its_spellings() {
    // Before a command it is the program's, whatever follows.
    for line in ["runc", "runc help", "runc h", "runc --help", "runc -h", "runc --debug", "runc -h run", "runc -h foo"]
    {
        assert_eq!(command(line), help::of(None), "{line}");
    }
    for line in ["runc help run", "runc h run", "runc run --help", "runc run -h", "runc run c -help", "runc help run x"]
    {
        assert_eq!(command(line), help::of(Some("run".into())), "{line}");
    }
    for definition in COMMANDS {
        let text = usage::help_text(Some(definition), "runc");
        let wanted = format!("NAME:\n   runc {} - {}\n\nUSAGE:\n", definition.name, definition.about);
        assert!(text.starts_with(&wanted), "{text}");
        for flag in definition.flags {
            assert_eq!(text.contains(&format!("--{}", flag.long)), !flag.hidden, "{}", flag.long);
        }
    }
    let text = usage::help_text(None, "dunnage");
    for definition in COMMANDS {
        assert!(text.contains(&format!("\n  {} ", definition.name)), "{text}");
    }
}

#[test]
fn what_is_not_understood() {
    let nothing = String::new;
    let usage = |fault: &str| format!("Incorrect Usage: {fault}");
    for name in ["foo", "version", "init"] {
        for line in [format!("runc {name}"), format!("runc {name} -h"), format!("runc {name} --nope x")] {
            assert_eq!(refusal(&line), (format!("No help topic for '{name}'"), 3, nothing(), nothing()), "{line}");
        }
    }
    for (line, fault) in [
        ("runc create -x c", "flag provided but not defined: -x"),
        ("runc create --nope=1 c", "flag provided but not defined: -nope"),
        ("runc exec --nope", "flag provided but not defined: -nope"),
        ("runc run -dt c", "flag provided but not defined: -dt"),
        ("runc --nope", "flag provided but not defined: -nope"),
        ("runc state -v", "flag provided but not defined: -v"),
        ("runc create c --bundle", "flag needs an argument: --bundle"),
        ("runc create c -b", "flag needs an argument: -b"),
        ("runc create ---bundle c", "bad flag syntax: ---bundle"),
        (
            "runc create --preserve-fds x c",
            "invalid value \"x\" for flag -preserve-fds: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        ("runc events --interval 5 c", "invalid value \"5\" for flag -interval: parse error"),
        (
            "runc run -d=maybe c",
            "invalid value \"maybe\" for flag -d: strconv.ParseBool: parsing \"maybe\": invalid syntax",
        ),
    ] {
        assert_eq!(refusal(line), (fault.into(), 1, usage(fault), "NAME:".into()), "{line}");
    }
    for (line, fault) in [
        ("runc create", "\"create\" requires exactly 1 argument(s)"),
        ("runc create a b", "\"create\" requires exactly 1 argument(s)"),
        ("runc exec", "\"exec\" requires a minimum of 1 argument(s)"),
        ("runc kill", "\"kill\" requires a minimum of 1 argument(s)"),
        ("runc kill a 9 --all", "\"kill\" requires a maximum of 2 argument(s)"),
        ("runc list a", "\"list\" requires exactly 0 argument(s)"),
        ("runc spec a", "\"spec\" requires exactly 0 argument(s)"),
        ("runc ps -f json", "\"ps\" requires a minimum of 1 argument(s)"),
    ] {
        assert_eq!(refusal(line), (format!("runc: {fault}"), 1, nothing(), "Incorrect Usage.".into()), "{line}");
    }
}

/// clap checks a definition for contradictions (two flags of one name) when it is first used, in debug builds.
#[test]
fn definitions_hold_no_contradiction() {
    clap_command("dunnage").debug_assert();
    for definition in COMMANDS {
        definition::parser(Some(definition)).debug_assert();
        assert!(!definition.description.contains(['{', '}']), "a tag for clap's templates");
        let text = usage::help_text(Some(definition), "dunnage");
        let details = text.split("DESCRIPTION:").nth(1).unwrap().split("FLAGS:").next().unwrap();
        assert!(details.lines().all(|l| l.len() <= 80), "{details}");
    }
}

/// Words that mean something, mixed with any bytes.
fn word() -> impl proptest::strategy::Strategy<Value = OsString> {
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStringExt;
    let names = COMMANDS.iter().map(|d| d.name.to_owned());
    let flags = COMMANDS.iter().flat_map(|d| d.flags).chain(definition::GLOBAL).map(|f| f.long);
    let known: Vec<String> = names
        .chain(flags.flat_map(|name| [format!("--{name}"), format!("-{name}=1"), format!("--{name}=")]))
        .chain(["--", "-", "", "=", "--=", "-h", "-v", "-f"].map(str::to_owned))
        .collect();
    prop_oneof![
        4 => proptest::sample::select(known).prop_map(OsString::from),
        1 => proptest::collection::vec(any::<u8>(), 0..6).prop_map(OsString::from_vec),
    ]
}

proptest::proptest! {
    /// Whatever is typed, it is a command or a refusal.
    #[test]
    fn any_words_are_understood_or_refused(words in proptest::collection::vec(word(), 0..8)) {
        let parsed = parse(std::iter::once("runc".into()).chain(words).collect());
        match parsed.command {
            Ok(command) => assert!([1, 255].contains(&command.failure_code())),
            Err(refusal) => {
                assert!([1, 3].contains(&refusal.code));
                assert!(!refusal.error.to_string().is_empty());
            }
        }
    }

    /// What follows the first argument of `exec` reaches the program as it is, but for one `--` in front.
    #[test]
    fn exec_hands_over_what_follows_the_id(words in proptest::collection::vec(word(), 1..6)) {
        let line = ["runc", "exec", "-t", "c"].map(OsString::from).into_iter().chain(words.iter().cloned());
        let Ok(Command::Exec(args)) = parse(line.collect()).command else { panic!("refused") };
        let wanted = if words[0] == "--" { &words[1..] } else { &words[..] };
        assert_eq!((args.id.as_str(), args.tty, args.args.as_slice()), ("c", true, wanted));
    }
}
