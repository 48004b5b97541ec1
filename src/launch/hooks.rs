//! Hooks that run in the runtime's own namespaces: prestart, createRuntime, poststart, poststop (config.md "POSIX-platform
//! Hooks"). createContainer and startContainer are `dunnage-init`'s. Whether a failure matters is the caller's to decide.
//!
//! A hook gets the state on its stdin, what config.json says as argv and environment, and nothing else of ours: no
//! variable of the container's process (CVE-2025-23266 was an LD_PRELOAD of an image in a hook), no descriptor.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{pipe2, read, write};

use super::fds::is_listen_variable;
use crate::error::{Context, Errno, Error, Result};
use crate::spec::Hook;
use crate::spec::oci_state::{OciState, to_json};
use crate::sys::children::restore_sigchld;
use crate::sys::pidfd::{Exit, PidFd};
use crate::sys::spawn::{Failure, Program, spawn};

/// The moments at which the runtime itself runs hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Mounts done, before pivot_root; deprecated. In the bundle's directory.
    Prestart,
    /// Right after prestart. In the bundle's directory.
    CreateRuntime,
    /// The program was started. In the caller's directory.
    Poststart,
    /// The container is deleted. In the caller's directory.
    Poststop,
}

impl Moment {
    /// As config.json and error messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Moment::Prestart => "prestart",
            Moment::CreateRuntime => "createRuntime",
            Moment::Poststart => "poststart",
            Moment::Poststop => "poststop",
        }
    }
}

/// Of what a hook prints, this much is kept for the error message. The rest is read and dropped: it may print for ever.
const KEPT_OUTPUT: usize = 16 * 1024;

/// Reads after the hook's end, at most 4 KiB each: what a full pipe holds. A grandchild may hold on to the pipe and go on.
const READS_AFTER_END: u32 = 16;

/// Runs the hooks in their order, in the directory `cwd` (`None`: ours). The first failure is the last hook; but poststop
/// hooks all get their turn (runtime.md, "Lifecycle", 13), and the error then tells of each.
pub fn run(moment: Moment, hooks: &[Hook], state: &OciState<'_>, cwd: Option<&CStr>) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    restore_sigchld();
    let state = to_json(state)?;
    let mut failed: Option<Error> = None;
    for (index, hook) in hooks.iter().enumerate() {
        let result = run_one(hook, &state, cwd).doing(|| format!("error running {} hook #{index}", moment.name()));
        let Err(error) = result else { continue };
        if moment != Moment::Poststop {
            return Err(error);
        }
        failed = Some(match failed {
            None => error,
            Some(before) => Error::new(format!("{before}; {error}")),
        });
    }
    failed.map_or(Ok(()), Err)
}

fn run_one(hook: &Hook, state: &[u8], cwd: Option<&CStr>) -> Result<()> {
    match to_its_end(hook, state, cwd)? {
        Ended::Well => Ok(()),
        Ended::Late(seconds) => Err(Error::new(format!("hook ran past specified timeout of {seconds:.1}s"))),
        Ended::Badly { exit, stdout, stderr } => Err(Error::new(format!("{exit}, stdout: {stdout}, stderr: {stderr}"))),
    }
}

/// How a program of the host ended.
pub(super) enum Ended {
    /// With 0.
    Well,
    /// Its time was over: it was killed after so many seconds.
    Late(f64),
    /// In Go's words, and what of its output was kept.
    Badly { exit: String, stdout: String, stderr: String },
}

/// Runs a program of the host in the directory `cwd` (`None`: ours), with `input` as its stdin, and waits for it.
///
/// # Errors
/// It could not be started.
pub(super) fn to_its_end(hook: &Hook, input: &[u8], cwd: Option<&CStr>) -> Result<Ended> {
    let timeout = hook.timeout.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut running = start(hook, input, cwd)?;
    let Some(exit) = running.wait(deadline)? else {
        running.process.send_signal(libc::SIGKILL).ok();
        running.process.reap().map_err(|e| Error::sys("waitid of the hook", e))?;
        return Ok(Ended::Late(timeout.unwrap_or_default().as_secs_f64()));
    };
    running.read_rest()?;
    if exit == Exit::Code(0) {
        return Ok(Ended::Well);
    }
    let [stdout, stderr] = &running.outputs;
    Ok(Ended::Badly { exit: describe(exit), stdout: stdout.text(), stderr: stderr.text() })
}

/// Starts the hook with as much of the state in its stdin as fits: all, as a rule, and then no poll is needed for it.
fn start<'a>(hook: &Hook, state: &'a [u8], cwd: Option<&CStr>) -> Result<Running<'a>> {
    let strings = |strings: &[String]| -> Result<Vec<CString>> {
        let string = |s: &String| CString::new(s.as_str());
        strings
            .iter()
            .map(string)
            .collect::<Result<_, _>>()
            .map_err(|_| Error::new(format!("a NUL byte in {strings:?}")))
    };
    let path = CString::new(hook.path.as_str()).map_err(|_| Error::new(format!("a NUL byte in {:?}", hook.path)))?;
    let mut args = strings(&hook.args)?;
    if args.is_empty() {
        args.push(path.clone());
    }
    let env = hook.env.as_deref().map_or_else(|| Ok(inherited_env()), strings)?;
    let (stdin, state_pipe) = pipe()?;
    let (stdout_pipe, stdout) = pipe()?;
    let (stderr_pipe, stderr) = pipe()?;
    fcntl(&state_pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|e| Error::sys("fcntl F_SETFL", e))?;
    let unsent = send(&state_pipe, state);
    let stdio = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let program = Program { path: &path, args: &args, env: &env, cwd, stdio, more: &[], pdeathsig: None };
    let spawned = spawn(&program).map_err(|failure| match failure {
        Failure::Clone(e) => Error::sys("clone", e),
        Failure::Stdio(e) => Error::sys("stdio of the hook", e),
        Failure::Chdir(e) => Error::sys(format!("chdir {}", cwd.unwrap_or_default().to_string_lossy()), e),
        Failure::Exec(e) => Error::sys(format!("fork/exec {}", hook.path), e),
    })?;
    Ok(Running {
        process: spawned.pidfd,
        input: (!unsent.is_empty()).then_some(Input { unsent, pipe: state_pipe, _reader: stdin }),
        outputs: [Output::new(stdout_pipe), Output::new(stderr_pipe)],
    })
}

/// Ours, less what is addressed to our pid.
fn inherited_env() -> Vec<CString> {
    let ours = std::env::vars_os().filter(|(name, _)| !name.to_str().is_some_and(is_listen_variable));
    // A variable of ours has no NUL byte in it.
    ours.filter_map(|(name, value)| CString::new([name.into_vec(), value.into_vec()].join(&b'=')).ok()).collect()
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    pipe2(OFlag::O_CLOEXEC).map_err(|e| Error::sys("pipe", e))
}

/// Writes what fits, and returns the rest.
fn send<'a>(pipe: &OwnedFd, mut bytes: &'a [u8]) -> &'a [u8] {
    while !bytes.is_empty() {
        match write(pipe, bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(_) => break,
        }
    }
    bytes
}

/// A hook that runs.
struct Running<'a> {
    process: PidFd,
    /// Only while it has not been given the whole state.
    input: Option<Input<'a>>,
    outputs: [Output; 2],
}

struct Input<'a> {
    unsent: &'a [u8],
    pipe: OwnedFd,
    /// Kept open by us: a hook that closes its stdin can't make our write fail or bring us a SIGPIPE.
    _reader: OwnedFd,
}

/// One of stdout and stderr.
struct Output {
    pipe: Option<OwnedFd>,
    kept: Vec<u8>,
}

impl Running<'_> {
    /// Serves its pipes until it ends; `None` if the deadline comes first.
    fn wait(&mut self, deadline: Option<Instant>) -> Result<Option<Exit>> {
        loop {
            let timeout = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => PollTimeout::NONE,
                Some(Duration::ZERO) => return Ok(None),
                // Rounded up, so that the last round is not one of many with no time left; a long one is cut in rounds.
                Some(left) => PollTimeout::from(u16::try_from(left.as_millis().saturating_add(1)).unwrap_or(u16::MAX)),
            };
            if self.serve(timeout)? {
                return self.process.reap().map(Some).map_err(|e| Error::sys("waitid of the hook", e));
            }
        }
    }

    /// One round; true if the hook has ended.
    fn serve(&mut self, timeout: PollTimeout) -> Result<bool> {
        let [stdout, stderr] = &self.outputs;
        let mut fds = Vec::with_capacity(4);
        fds.push(PollFd::new(self.process.as_fd(), PollFlags::POLLIN));
        for output in [stdout, stderr] {
            fds.extend(output.pipe.as_ref().map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
        }
        fds.extend(self.input.as_ref().map(|input| PollFd::new(input.pipe.as_fd(), PollFlags::POLLOUT)));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(Error::sys("poll", e)),
        }
        let mut ready = fds.iter().map(|fd| fd.any() != Some(false)).collect::<Vec<_>>().into_iter();
        let mut next = || ready.next().unwrap_or(false);
        let ended = next();
        for output in &mut self.outputs {
            if output.pipe.is_some() && next() {
                output.read();
            }
        }
        if let Some(input) = &mut self.input
            && next()
        {
            input.unsent = send(&input.pipe, input.unsent);
            if input.unsent.is_empty() {
                self.input = None;
            }
        }
        Ok(ended)
    }

    /// After its end: what is still in the pipes, whoever else may hold them.
    fn read_rest(&mut self) -> Result<()> {
        self.input = None;
        for output in &mut self.outputs {
            for _ in 0..READS_AFTER_END {
                let Some(pipe) = &output.pipe else { break };
                let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
                if poll(&mut fds, PollTimeout::ZERO).map_err(|e| Error::sys("poll", e))? == 0 {
                    break;
                }
                output.read();
            }
        }
        Ok(())
    }
}

impl Output {
    fn new(pipe: OwnedFd) -> Output {
        Output { pipe: Some(pipe), kept: Vec::new() }
    }

    /// Reads once from the pipe, which has something; its end closes it.
    fn read(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        let mut buffer = [0; 4096];
        match read(pipe, &mut buffer) {
            Ok(n) if n > 0 => {
                let room = KEPT_OUTPUT.saturating_sub(self.kept.len());
                self.kept.extend(buffer.iter().take(n.min(room)));
            }
            Err(Errno::EINTR) => {}
            _ => self.pipe = None,
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).trim_end_matches('\n').to_owned()
    }
}

/// In Go's words, which log scrapers know.
fn describe(exit: Exit) -> String {
    const NAMES: [&str; 15] = [
        "hangup",
        "interrupt",
        "quit",
        "illegal instruction",
        "trace/breakpoint trap",
        "aborted",
        "bus error",
        "floating point exception",
        "killed",
        "user defined signal 1",
        "segmentation fault",
        "user defined signal 2",
        "broken pipe",
        "alarm clock",
        "terminated",
    ];
    match exit {
        Exit::Code(status) => format!("exit status {status}"),
        Exit::Signal(signal) | Exit::Dumped(signal) => {
            let name = usize::try_from(signal).ok().and_then(|n| NAMES.get(n.checked_sub(1)?));
            name.map_or_else(|| format!("signal: signal {signal}"), |name| format!("signal: {name}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::File;
    use std::path::Path;

    use super::*;
    use crate::spec::oci_state::Status;

    const NONE: &BTreeMap<String, String> = &BTreeMap::new();

    fn state(annotations: &BTreeMap<String, String>) -> OciState<'_> {
        OciState { oci_version: "1.3.0", id: "c", status: Status::Creating, pid: 7, bundle: "/b", annotations }
    }

    fn sh(script: &str) -> Hook {
        let args = ["sh", "-c", script].map(str::to_owned).to_vec();
        Hook { path: "/bin/sh".into(), args, env: None, timeout: Some(20) }
    }

    fn run_prestart(hook: Hook) -> Result<()> {
        super::run(Moment::Prestart, &[hook], &state(NONE), None)
    }

    fn error(hook: Hook) -> String {
        run_prestart(hook).unwrap_err().to_string()
    }

    #[test]
    fn gets_the_state_its_arguments_and_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        let cwd = CString::new(dir.path().to_str().unwrap()).unwrap();
        let mut hook = sh("cat > state; echo \"$0 $1\" > argv; pwd > cwd");
        hook.args.extend(["zero".into(), "one two".into()]);
        super::run(Moment::CreateRuntime, &[hook], &state(NONE), Some(&cwd)).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("state"), r#"{"ociVersion":"1.3.0","id":"c","status":"creating","pid":7,"bundle":"/b"}"#);
        assert_eq!(read("argv"), "zero one two\n");
        assert_eq!(Path::new(read("cwd").trim_end()), dir.path());
    }

    #[test]
    fn environment_absent_empty_and_given() {
        let dump = |env: Option<Vec<String>>| {
            let file = tempfile::NamedTempFile::new().unwrap();
            let script = format!("/bin/cat /proc/self/environ | /usr/bin/tr '\\0' '\\n' > {}", file.path().display());
            run_prestart(Hook { env, ..sh(&script) }).unwrap();
            let text = std::fs::read_to_string(file.path()).unwrap();
            text.lines()
                .map(str::to_owned)
                .filter(|l| !["PWD=", "OLDPWD=", "SHLVL=", "_="].iter().any(|p| l.starts_with(p)))
                .collect::<Vec<_>>()
        };
        assert!(dump(None).iter().any(|line| line.starts_with("PATH=")));
        assert_eq!(dump(Some(vec![])), Vec::<String>::new());
        assert_eq!(dump(Some(vec!["A=b=c".into()])), ["A=b=c"]);
    }

    #[test]
    fn failures_in_the_words_that_callers_know() {
        assert_eq!(
            error(sh("echo out; echo err >&2; exit 3")),
            "error running prestart hook #0: exit status 3, stdout: out, stderr: err"
        );
        assert_eq!(error(sh("kill -9 $$")), "error running prestart hook #0: signal: killed, stdout: , stderr: ");
        assert_eq!(
            error(Hook { path: "/no/such".into(), ..sh("") }),
            "error running prestart hook #0: fork/exec /no/such: no such file or directory"
        );
        let error = super::run(Moment::Poststart, &[sh("true")], &state(NONE), Some(c"/no/dir")).unwrap_err();
        assert_eq!(error.to_string(), "error running poststart hook #0: chdir /no/dir: no such file or directory");
    }

    #[test]
    fn a_timeout_kills_it() {
        let begun = Instant::now();
        let hook = Hook { timeout: Some(1), ..sh("echo $$; exec sleep 60") };
        assert_eq!(error(hook), "error running prestart hook #0: hook ran past specified timeout of 1.0s");
        let took = begun.elapsed();
        assert!((1.0..5.0).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[test]
    fn a_grandchild_that_keeps_its_output_does_not_hold_us() {
        let begun = Instant::now();
        run_prestart(sh("sleep 15 & exit 0")).unwrap();
        let script = "echo first; (while :; do echo more || exit; done) & exit 1";
        let text = error(sh(script));
        assert!(text.starts_with("error running prestart hook #0: exit status 1, stdout: first"), "{text}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn endless_output_is_read_and_bounded() {
        let text = error(sh("head -c 3000000 /dev/zero | tr '\\0' x; exit 5"));
        assert!(text.starts_with("error running prestart hook #0: exit status 5, stdout: xxx"), "{text:.60}");
        assert!(text.len() < KEPT_OUTPUT + 200, "{}", text.len());
    }

    #[test]
    fn a_large_state_arrives_and_one_that_nobody_reads_does_not_hurt() {
        let annotations = BTreeMap::from([("big".to_owned(), "x".repeat(500_000))]);
        let want = to_json(&state(&annotations)).unwrap().len();
        let run = |script: &str| super::run(Moment::Prestart, &[sh(script)], &state(&annotations), None);
        run(&format!("test $(wc -c) = {want}")).unwrap();
        run("exec <&-; sleep 0.1").unwrap();
        run("true").unwrap();
    }

    #[test]
    fn no_descriptor_of_ours() {
        let leaked = File::open("/etc").unwrap();
        fcntl(&leaked, FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
        let text = error(sh("cd /proc/self/fd; echo [0-9]*; exit 1"));
        // The shell may have one of its own (10 and up) only for a script; here it has none.
        assert!(text.contains("stdout: 0 1 2,") || text.contains("stdout: 0 1 2 3,"), "{text}");
    }

    #[test]
    fn first_failure_stops_but_poststop_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let mark = |name: &str| sh(&format!("touch {}", dir.path().join(name).display()));
        let hooks = |name| vec![mark("before"), sh("exit 1"), mark(name), sh("exit 2")];
        let there = |name: &str| std::fs::metadata(dir.path().join(name)).is_ok();
        let text = |moment, hooks: &[Hook]| super::run(moment, hooks, &state(NONE), None).unwrap_err().to_string();
        let first = text(Moment::CreateRuntime, &hooks("after"));
        assert_eq!(first, "error running createRuntime hook #1: exit status 1, stdout: , stderr: ");
        assert!(there("before") && !there("after"));
        let both = text(Moment::Poststop, &hooks("poststop"));
        assert!(both.starts_with("error running poststop hook #1: ") && both.contains("poststop hook #3: "), "{both}");
        assert!(there("poststop"));
    }
}
