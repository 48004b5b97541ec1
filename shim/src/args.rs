//! The command line, in the syntax of Go's `flag`: `-x v`, `-x=v`, `--x v`; a bool takes no separate value; the first word that is no
//! flag is the action.

use std::ffi::OsString;
use std::path::PathBuf;

/// What was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// `-namespace`
    pub namespace: String,
    /// `-id`: of a container, and of the group in the server.
    pub id: String,
    /// `-address`: containerd's gRPC socket.
    pub address: String,
    /// `-bundle`
    pub bundle: PathBuf,
    /// `-socket`: the server listens there itself.
    pub socket: PathBuf,
    /// `-resume`: the descriptor of a table that the server goes on with; only for us.
    pub resume: Option<i32>,
    /// `-debug`
    pub debug: bool,
    /// `-v`, `-version`
    pub version: bool,
    /// `-info`
    pub info: bool,
    /// `start`, `delete`, `upgrade`, or empty: the server.
    pub action: String,
    /// What follows the action.
    pub rest: Vec<String>,
}

/// All flags, for the usage text.
pub const USAGE: &str = "\
  -address string
    \tgrpc address back to main containerd
  -bundle string
    \tpath to the bundle if not workdir
  -debug
    \tenable debug output in logs
  -debug-socket string
    \tdebug socket path to serve
  -id string
    \tid of the task
  -info
    \tget the option protobuf from stdin, print the shim info protobuf to stdout, and exit
  -namespace string
    \tnamespace that owns the shim
  -publish-binary string
    \tpath to publish binary (used for publishing events)
  -resume int
    	descriptor of the table of a server that is upgraded (internal)
  -socket string
    \tsocket path to serve
  -v\tshow the shim version and exit
  -version
    \tshow the shim version and exit
";

impl Args {
    /// Understands the words behind `argv[0]`.
    ///
    /// # Errors
    /// The complaint about one of them, as Go words it.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Args, String> {
        let mut args = Args::default();
        let mut words = words.into_iter().map(|word| word.into_string().map_err(|w| format!("bad argument {w:?}")));
        while let Some(word) = words.next() {
            let word = word?;
            let flag = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|_| word != "-");
            let Some(flag) = flag else {
                args.action = word;
                args.rest = words.collect::<Result<_, _>>()?;
                break;
            };
            if flag.is_empty() {
                args.action = words.next().transpose()?.unwrap_or_default();
                args.rest = words.collect::<Result<_, _>>()?;
                break;
            }
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            args.flag(name, value, &mut words)?;
        }
        Ok(args)
    }

    fn flag(
        &mut self,
        name: &str,
        value: Option<String>,
        words: &mut impl Iterator<Item = Result<String, String>>,
    ) -> Result<(), String> {
        let switch = match name {
            "debug" => Some(&mut self.debug),
            "v" | "version" => Some(&mut self.version),
            "info" => Some(&mut self.info),
            _ => None,
        };
        if let Some(switch) = switch {
            *switch = match value.as_deref() {
                None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
                Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
                Some(other) => return Err(format!("invalid boolean value {other:?} for -{name}: parse error")),
            };
            return Ok(());
        }
        if !matches!(
            name,
            "namespace" | "id" | "address" | "publish-binary" | "bundle" | "socket" | "debug-socket" | "resume"
        ) {
            return Err(format!("flag provided but not defined: -{name}"));
        }
        let value = match value {
            Some(value) => value,
            None => words.next().transpose()?.ok_or_else(|| format!("flag needs an argument: -{name}"))?,
        };
        match name {
            "namespace" => self.namespace = value,
            "id" => self.id = value,
            "address" => self.address = value,
            "bundle" => self.bundle = value.into(),
            "socket" => self.socket = value.into(),
            "resume" => {
                let fd = value.parse().map_err(|_| format!("invalid value {value:?} for flag -resume: parse error"))?;
                self.resume = Some(fd);
            }
            // Events go to the ttrpc socket, and there is nothing to debug over a socket of its own.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(line.split(' ').filter(|w| !w.is_empty()).map(OsString::from))
    }

    #[test]
    fn as_go_reads_them() {
        let want =
            Args { namespace: "k8s".into(), id: "x".into(), debug: true, action: "start".into(), ..Args::default() };
        assert_eq!(parse("-namespace k8s --id=x -debug start").unwrap(), want);
        assert_eq!(parse("--namespace=k8s -id x --debug=true start").unwrap(), want);
        let args = parse("-publish-binary /c -debug=0 -- delete -id y").unwrap();
        assert_eq!((args.action.as_str(), args.rest.len(), args.id.as_str(), args.debug), ("delete", 2, "", false));
        assert_eq!(parse("-nope start").unwrap_err(), "flag provided but not defined: -nope");
        assert_eq!(parse("-id").unwrap_err(), "flag needs an argument: -id");
        assert_eq!(parse("-v=maybe").unwrap_err(), "invalid boolean value \"maybe\" for -v: parse error");
        assert!(
            parse("-v").unwrap().version && parse("-version").unwrap().version && parse("").unwrap().action.is_empty()
        );
    }
}
