//! The wire of the task API: what a client may send, on purpose or not, and what it gets.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use dunnage_shim::proto::task::{IdRequest, ProcessRequest, StateResponse};
use dunnage_shim::proto::ttrpc::{Request, Response, Status};
use dunnage_shim::proto::{Empty, Message};

use crate::common::ttrpc::{DATA, Frame, REQUEST, RESPONSE, request};
use crate::common::*;

/// A connection without a client's manners.
struct Raw {
    stream: UnixStream,
    service: &'static str,
}

impl Raw {
    fn to(task: &Task) -> Raw {
        let stream = UnixStream::connect(task.address.strip_prefix("unix://").unwrap()).unwrap();
        stream.set_read_timeout(Some(patience(20))).unwrap();
        Raw { stream, service: task.service }
    }

    fn request(&self, method: &str, message: &impl Message) -> Request {
        request(self.service, method, message.encode(), "k8s.io")
    }

    fn send(&mut self, frame: &Frame) {
        frame.write(&mut self.stream).unwrap();
    }

    fn connect(&mut self, stream: u32) {
        let request = self.request("Connect", &IdRequest { id: "c1".into() });
        self.send(&Frame::request(stream, &request));
    }

    #[track_caller]
    fn answer(&mut self, stream: u32) -> Response {
        let frame = Frame::read(&mut self.stream).expect("an answer");
        assert_eq!((frame.stream, frame.kind, frame.flags), (stream, RESPONSE, 0));
        Response::decode(&frame.payload).unwrap()
    }

    #[track_caller]
    fn fails(&mut self, stream: u32, code: i32, message: &str) {
        let status = self.answer(stream).status.unwrap_or_default();
        assert_eq!((status.code, status.message.as_str()), (code, message));
    }

    #[track_caller]
    fn succeeds(&mut self, stream: u32) {
        assert_eq!(self.answer(stream).status.unwrap_or_default(), Status::default());
    }

    /// The connection still works.
    #[track_caller]
    fn works(&mut self, stream: u32) {
        self.connect(stream);
        self.succeeds(stream);
    }
}

fn booted(t: &Daemon) -> (Container, Task) {
    let c = t.container("c1");
    let task = t.boot(&c);
    (c, task)
}

#[test]
fn an_empty_answer_has_no_status() {
    case(|t| {
        let (c, task) = booted(t);
        task.create(&c).unwrap();
        let mut raw = Raw::to(&task);
        let request = raw.request("CloseIO", &IdRequest { id: "c1".into() });
        raw.send(&Frame::request(1, &request));
        let response = raw.answer(1);
        assert_eq!(response.status.unwrap_or_default().code, 0);
        assert!(response.payload.is_empty());
    });
}

#[test]
fn an_even_stream_is_refused() {
    case(|t| {
        let (_, task) = booted(t);
        let mut raw = Raw::to(&task);
        raw.connect(2);
        raw.fails(2, 3, "StreamID must be odd for client initiated streams");
        raw.works(3);
    });
}

#[test]
fn a_stream_is_not_used_twice() {
    case(|t| {
        let (_, task) = booted(t);
        let mut raw = Raw::to(&task);
        raw.works(5);
        for stream in [5, 3, 1] {
            raw.connect(stream);
            raw.fails(stream, 3, "StreamID cannot be re-used and must increment");
        }
        raw.works(7);
        raw.works(4_294_967_295);
    });
}

#[test]
fn a_frame_that_is_too_long_is_refused_and_skipped() {
    case(|t| {
        let (_, task) = booted(t);
        let mut raw = Raw::to(&task);
        raw.works(1);
        let frame = Frame { stream: 3, kind: REQUEST, flags: 0, payload: vec![0x0a; 5 << 20] };
        let mut writer = raw.stream.try_clone().unwrap();
        std::thread::spawn(move || frame.write(&mut writer).unwrap()).join().unwrap();
        raw.fails(3, 8, "message length 5242880 exceed maximum message size of 4194304");
        raw.works(5);
    });
}

#[test]
fn the_longest_frame_is_read() {
    case(|t| {
        let (_, task) = booted(t);
        let mut raw = Raw::to(&task);
        // An unknown field of the request makes it as long as may be.
        let mut request = raw.request("Connect", &IdRequest { id: "c1".into() }).encode();
        let fill = (4 << 20) - request.len() - 6;
        dunnage_shim::proto::wire::put_bytes(99, &vec![7; fill], &mut request);
        assert_eq!(request.len(), 4 << 20);
        raw.send(&Frame { stream: 1, kind: REQUEST, flags: 0, payload: request });
        raw.succeeds(1);
    });
}

/// Who promises four gigabytes keeps nobody else waiting.
#[test]
fn a_length_that_never_comes_harms_nobody() {
    case(|t| {
        let (_, task) = booted(t);
        let mut raw = Raw::to(&task);
        raw.stream.write_all(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 1, 0]).unwrap();
        raw.stream.write_all(&[0; 100_000]).unwrap();
        Raw::to(&task).works(1);
        drop(raw);
        Raw::to(&task).works(1);
    });
}

#[test]
fn half_a_frame_harms_nobody() {
    case(|t| {
        let (_, task) = booted(t);
        for bytes in [&b"\0"[..], b"\0\0\0\x10", b"\0\0\0\x10\0\0\0\x01\x01\0", b"\0\0\0\x10\0\0\0\x01\x01\0abc"] {
            let mut raw = Raw::to(&task);
            raw.stream.write_all(bytes).unwrap();
            Raw::to(&task).works(1);
            drop(raw);
        }
        Raw::to(&task).works(1);
    });
}

/// A frame may come byte by byte.
#[test]
fn a_slow_client_is_served() {
    case(|t| {
        let (_, task) = booted(t);
        let mut raw = Raw::to(&task);
        let request = raw.request("Connect", &IdRequest { id: "c1".into() });
        let frame = Frame::request(1, &request);
        for byte in [&frame.header()[..], &frame.payload].concat() {
            raw.stream.write_all(&[byte]).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        raw.succeeds(1);
    });
}

#[test]
fn many_requests_come_in_one_piece() {
    case(|t| {
        let (_, task) = booted(t);
        let mut raw = Raw::to(&task);
        let request = raw.request("Connect", &IdRequest { id: "c1".into() });
        let mut all = Vec::new();
        for n in 0..1000 {
            Frame::request(2 * n + 1, &request).write(&mut all).unwrap();
        }
        raw.stream.write_all(&all).unwrap();
        let mut answered: Vec<u32> = (0..1000).map(|_| Frame::read(&mut raw.stream).unwrap().stream).collect();
        answered.sort_unstable();
        assert_eq!(answered, (0..1000).map(|n| 2 * n + 1).collect::<Vec<_>>());
    });
}

#[test]
fn who_does_not_read_his_answers_is_his_own_harm() {
    case(|t| {
        let (_, task) = booted(t);
        let raw = Raw::to(&task);
        let request = raw.request("Connect", &IdRequest { id: "c1".into() });
        raw.stream.set_nonblocking(true).unwrap();
        let mut all = Vec::new();
        for n in 0..100_000 {
            Frame::request(2 * n + 1, &request).write(&mut all).unwrap();
        }
        // As much as is taken within a second.
        let (mut at, end) = (0, std::time::Instant::now() + patience(1));
        while at < all.len() && std::time::Instant::now() < end {
            at += (&raw.stream).write(&all[at..]).unwrap_or(0);
        }
        Raw::to(&task).works(1);
        let rss = host::status(task.shim_pid())["RssAnon"].split(' ').next().unwrap().parse::<u64>().unwrap();
        assert!(rss < 64 << 10, "{rss} kB");
        drop(raw);
        Raw::to(&task).works(1);
    });
}

#[test]
fn an_unknown_service_or_method_is_not_implemented() {
    case(|t| {
        let (_, task) = booted(t);
        let mut raw = Raw::to(&task);
        raw.send(&Frame::request(1, &request("containerd.task.v9.Task", "Connect", Vec::new(), "k8s.io")));
        raw.fails(1, 12, "service containerd.task.v9.Task");
        raw.send(&Frame::request(3, &request(task.service, "Frobnicate", Vec::new(), "k8s.io")));
        raw.fails(3, 12, "method Frobnicate");
        raw.send(&Frame::request(5, &request("", "", Vec::new(), "k8s.io")));
        raw.fails(5, 12, "service ");
        raw.works(7);
    });
}

#[test]
fn what_is_no_message_is_told_so() {
    case(|t| {
        let (_, task) = booted(t);
        let mut raw = Raw::to(&task);
        // The request itself, and what is in it.
        raw.send(&Frame { stream: 1, kind: REQUEST, flags: 0, payload: b"\xff\xff\xff".to_vec() });
        let status = raw.answer(1).status.unwrap();
        assert_eq!(status.code, 3, "{status:?}");
        assert!(status.message.starts_with("unmarshal request error: "), "{status:?}");
        raw.send(&Frame::request(3, &request(task.service, "State", b"\x0a\xff".to_vec(), "k8s.io")));
        let status = raw.answer(3).status.unwrap();
        assert_eq!(status.code, 13, "{status:?}");
        assert!(status.message.starts_with("ttrpc: error unmarshalling payload: "), "{status:?}");
        // Field 1 is a string, and this is none.
        raw.send(&Frame::request(5, &request(task.service, "State", b"\x0a\x02\xc3\x28".to_vec(), "k8s.io")));
        assert_eq!(raw.answer(5).status.unwrap().code, 13);
        raw.works(7);
    });
}

#[test]
fn unknown_fields_are_skipped() {
    case(|t| {
        let (_, task) = booted(t);
        let mut raw = Raw::to(&task);
        let mut payload = IdRequest { id: "c1".into() }.encode();
        dunnage_shim::proto::wire::put_bytes(77, b"from the future", &mut payload);
        raw.send(&Frame::request(1, &request(task.service, "Connect", payload, "k8s.io")));
        raw.succeeds(1);
    });
}

#[test]
fn frames_of_an_unknown_type_are_skipped() {
    case(|t| {
        let (_, task) = booted(t);
        let mut raw = Raw::to(&task);
        raw.works(1);
        for kind in [0, 2, 4, 99, 255] {
            raw.send(&Frame { stream: 3, kind, flags: 0, payload: b"whatever".to_vec() });
        }
        raw.works(5);
    });
}

#[test]
fn data_of_a_stream_that_is_not_there_is_refused() {
    case(|t| {
        let (_, task) = booted(t);
        let mut raw = Raw::to(&task);
        raw.works(1);
        raw.send(&Frame { stream: 9, kind: DATA, flags: 1, payload: b"whatever".to_vec() });
        raw.fails(9, 3, "StreamID is no longer active");
        raw.works(11);
    });
}

/// No method of ours is a stream, and yet whoever opens one gets an answer.
#[test]
fn a_request_for_a_stream_is_answered() {
    case(|t| {
        let (_, task) = booted(t);
        for flags in [1, 2] {
            let mut raw = Raw::to(&task);
            let request = raw.request("Connect", &IdRequest { id: "c1".into() });
            raw.send(&Frame { flags, ..Frame::request(1, &request) });
            assert_eq!(Frame::read(&mut raw.stream).expect("an answer").stream, 1);
            raw.works(3);
        }
    });
}

/// A Wait that lasts for days keeps nobody waiting.
#[test]
fn calls_of_one_connection_do_not_wait_for_each_other() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let waits: Vec<_> = (0..100).map(|_| task.begin_wait("c1", "")).collect();
        assert_eq!(task.state("c1", "").unwrap().status, 2);
        assert!(waits.iter().all(ttrpc::Call::pending));
        task.kill("c1", "", 9).unwrap();
        for wait in waits {
            assert_eq!(wait.wait().unwrap().exit_status, 137);
        }
    });
}

#[test]
fn connections_are_independent() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let others: Vec<Task> = (0..20).map(|_| t.connect(&task.address)).collect();
        let waits: Vec<_> = others.iter().map(|other| other.begin_wait("c1", "")).collect();
        others[0].client.close();
        task.kill("c1", "", 9).unwrap();
        for wait in &waits[1..] {
            assert_eq!(wait.wait().unwrap().exit_status, 137);
        }
        assert_eq!(others[1].state("c1", "").unwrap().exit_status, 137);
    });
}

#[test]
fn nothing_is_left_of_a_connection() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let pid = task.shim_pid();
        let fds = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        let before = fds();
        for _ in 0..200 {
            let other = t.connect(&task.address);
            let wait = other.begin_wait("c1", "");
            assert!(wait.pending());
            other.client.close();
        }
        until("the descriptors to be closed", || fds() <= before);
    });
}

/// There is no message that takes a call back: whoever gives up does not listen, and his connection goes on.
#[test]
fn a_call_may_have_a_limit() {
    case(|t| {
        let c = t.container("c1");
        let task = t.launch(&c);
        let mut raw = Raw::to(&task);
        let wait = ProcessRequest { id: "c1".into(), exec_id: String::new() };
        raw.send(&Frame::request(1, &Request { timeout_nano: 300_000_000, ..raw.request("Wait", &wait) }));
        pause(500);
        raw.connect(3);
        // What there may be of the first is a failure.
        let mut frame = Frame::read(&mut raw.stream).unwrap();
        if frame.stream == 1 {
            assert_ne!(Response::decode(&frame.payload).unwrap().status.unwrap().code, 0);
            frame = Frame::read(&mut raw.stream).unwrap();
        }
        assert_eq!(frame.stream, 3);
        task.kill("c1", "", 9).unwrap();
        assert_eq!(task.wait("c1", ""), Ok(137));
    });
}

/// Half a container is worse than one that nobody asked for any more.
#[test]
fn create_is_finished_although_the_caller_has_gone() {
    case(|t| {
        let mut c = t.container("c1");
        let hook = t.script("hook", "usleep 500000 2>/dev/null || sleep 0.5");
        c.set("/hooks/createRuntime", json!([{"path": hook}]));
        let task = t.boot(&c);
        let gone = t.connect(&task.address);
        let create = gone.begin_create(&c);
        pause(200);
        gone.client.close();
        drop(create);
        t.events.expect("create c1");
        until("the container", || task.state("c1", "").is_ok_and(|state: StateResponse| state.status == 1));
        task.start("c1", "").unwrap();
        assert_eq!(task.status("c1", ""), 2);
    });
}

#[test]
fn an_answer_is_no_longer_than_a_frame() {
    case(|t| {
        let (_, task) = booted(t);
        // What it was given comes back in State: longer than a frame it can't be, so it is not given.
        let huge = "x".repeat((4 << 20) - 200);
        let request = ProcessRequest { id: huge, exec_id: String::new() };
        let refused = task.begin::<Empty>("State", &request).wait().unwrap_err();
        assert!([5, 8].contains(&refused.code), "code {}", refused.code);
        assert!(refused.message.len() < 4 << 20);
        assert!(task.connect("c1").is_ok());
    });
}
