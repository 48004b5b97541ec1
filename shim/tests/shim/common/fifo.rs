//! The client's ends of a process's streams. A client opens them without waiting for the shim, and reads until the end.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use nix::libc;

use super::patience;

/// Makes one.
pub fn fifo(path: &Path) -> String {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o700))
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    path.display().to_string()
}

#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    ended: bool,
}

/// Reads a FIFO in the background, from whenever the shim opens it, to its end.
#[derive(Clone)]
pub struct Reader {
    pub path: PathBuf,
    heard: Arc<(Mutex<Heard>, Condvar)>,
}

impl Reader {
    pub fn of(path: &Path) -> Reader {
        let reader = Reader { path: path.into(), heard: Arc::default() };
        let (heard, path) = (reader.heard.clone(), reader.path.clone());
        std::thread::spawn(move || {
            // Waits for a writer.
            if let Ok(file) = File::open(&path) {
                pump(file, &heard);
            }
        });
        reader
    }

    /// The same of something that is open.
    pub fn of_file(path: &Path, file: File) -> Reader {
        let reader = Reader { path: path.into(), heard: Arc::default() };
        let heard = reader.heard.clone();
        std::thread::spawn(move || pump(file, &heard));
        reader
    }

    /// What came by now.
    pub fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.heard.0.lock().unwrap().bytes).into_owned()
    }

    pub fn has_ended(&self) -> bool {
        self.heard.0.lock().unwrap().ended
    }

    /// Waits for the end, and gives everything.
    #[track_caller]
    pub fn bytes(&self) -> Vec<u8> {
        self.when("its end", |heard| heard.ended)
    }

    /// The same as text.
    #[track_caller]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// Waits until these words came, and gives what came by then.
    #[track_caller]
    pub fn expect(&self, words: &str) -> String {
        let has = |heard: &Heard| String::from_utf8_lossy(&heard.bytes).contains(words);
        String::from_utf8_lossy(&self.when(&format!("{words:?}"), has)).into_owned()
    }

    #[track_caller]
    fn when(&self, what: &str, condition: impl Fn(&Heard) -> bool) -> Vec<u8> {
        let (lock, told) = &*self.heard;
        let end = Instant::now() + patience(20);
        let mut heard = lock.lock().unwrap();
        while !condition(&heard) {
            let left = end.saturating_duration_since(Instant::now());
            let (bytes, ended) = (heard.bytes.len(), heard.ended);
            assert!(
                !left.is_zero() && (!ended || what == "its end"),
                "{}: waited in vain for {what}; {bytes} bytes came, ended: {ended}: {:?}",
                self.path.display(),
                String::from_utf8_lossy(&heard.bytes[..bytes.min(2000)])
            );
            heard = told.wait_timeout(heard, left).unwrap().0;
        }
        heard.bytes.clone()
    }
}

fn pump(mut file: File, heard: &(Mutex<Heard>, Condvar)) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut buffer).unwrap_or(0);
        let mut state = heard.0.lock().unwrap();
        state.bytes.extend_from_slice(&buffer[..n]);
        state.ended = n == 0;
        heard.1.notify_all();
        if n == 0 {
            return;
        }
    }
}

/// The client's end of stdin.
pub struct Writer(File);

impl Writer {
    /// Waits until the shim reads.
    #[track_caller]
    pub fn to(path: &str) -> Writer {
        let file = super::eventually(&format!("somebody to read {path}"), || {
            OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path).ok()
        });
        nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).unwrap();
        Writer(file)
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }
}
