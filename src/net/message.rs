//! rtnetlink(7) messages, as linux/netlink.h, rtnetlink.h, if_link.h and if_addr.h have them. Numbers are the machine's own, parts
//! begin at multiples of four bytes. What is read is cut by its own lengths, and never read beyond its end: a message that does
//! not keep to that ends the reading.

/// A link is there, or is to be set.
pub const RTM_NEWLINK: u16 = 16;
/// A link has gone.
pub const RTM_DELLINK: u16 = 17;
/// Asks for a link.
pub const RTM_GETLINK: u16 = 18;
/// An address is there, or is to be made.
pub const RTM_NEWADDR: u16 = 20;
/// Asks for addresses.
pub const RTM_GETADDR: u16 = 22;

/// The answer to a request: an errno, negative, or 0.
pub const NLMSG_ERROR: u16 = 2;
/// The end of a list.
pub const NLMSG_DONE: u16 = 3;

/// It is a request.
pub const NLM_F_REQUEST: u16 = 1;
/// Another one follows.
pub const NLM_F_MULTI: u16 = 2;
/// Answer also if it went well.
pub const NLM_F_ACK: u16 = 4;
/// What the list is of has changed while it was made.
pub const NLM_F_DUMP_INTR: u16 = 0x10;
/// Fail if it is there.
pub const NLM_F_EXCL: u16 = 0x200;
/// All of them.
pub const NLM_F_DUMP: u16 = 0x300;
/// Make it.
pub const NLM_F_CREATE: u16 = 0x400;
/// Of an answer: no more of the request than its header is in it.
pub const NLM_F_CAPPED: u16 = 0x100;
/// Of an answer: attributes follow.
pub const NLM_F_ACK_TLVS: u16 = 0x200;

/// Of an answer: what is wrong, in words.
const NLMSGERR_ATTR_MSG: u16 = 1;

/// struct nlmsghdr.
const HEADER: usize = 16;
/// Kinds of attributes have two flags above them (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
const KIND: u16 = 0x3fff;

/// A request that is being written.
#[derive(Debug, Clone)]
pub struct Request(Vec<u8>);

impl Request {
    /// `body`: the structure that belongs to this kind of message.
    pub fn new(kind: u16, flags: u16, body: &[u8]) -> Request {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(body);
        pad(&mut bytes);
        Request(bytes)
    }

    /// Adds an attribute. All that we send are names and numbers, far below the 64 KiB that its length can tell.
    #[must_use]
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Request {
        let length = u16::try_from(value.len().saturating_add(4)).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        pad(&mut self.0);
        self
    }

    /// The same of a string, which the kernel wants with its NUL.
    #[must_use]
    pub fn text(self, kind: u16, value: &str) -> Request {
        let bytes: Vec<u8> = value.bytes().chain([0]).collect();
        self.attribute(kind, &bytes)
    }

    /// The bytes, with this number.
    pub fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX).to_ne_bytes();
        for (at, value) in [(0, length), (8, sequence.to_ne_bytes())] {
            if let Some(field) = self.0.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>()) {
                *field = value;
            }
        }
        self.0
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// One message, as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// `RTM_*` or `NLMSG_*`.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// Of the request that it answers; 0 if it answers none.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// The messages of one datagram, up to the first that is not one.
pub fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*datagram.first_chunk()?)).ok()?;
        let message = datagram.get(..length)?;
        let (header, payload) = message.split_at_checked(HEADER)?;
        datagram = datagram.get(length.checked_next_multiple_of(4)?..).unwrap_or_default();
        Some(Message { kind: number16(header, 4)?, flags: number16(header, 6)?, sequence: number(header, 8)?, payload })
    })
}

/// The attributes that follow a structure of `skip` bytes, up to the first that is not one.
pub fn attributes(payload: &[u8], skip: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = payload.get(skip..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = usize::from(number16(rest, 0)?);
        let kind = number16(rest, 2)? & KIND;
        let value = rest.get(4..length)?;
        rest = rest.get(length.checked_next_multiple_of(4)?..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The four bytes at this place.
pub fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

fn number16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_ne_bytes(*b))
}

/// A string, without its NUL. Names of devices are bytes to the kernel; ours are UTF-8, so another one is nobody's that we know.
pub fn text(value: &[u8]) -> &str {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    std::str::from_utf8(value.get(..end).unwrap_or_default()).unwrap_or_default()
}

/// What an answer says: the errno (0: done), and the kernel's own words, if it has any. None: it is not an answer.
pub fn answer<'a>(message: &Message<'a>) -> Option<(i32, &'a str)> {
    let payload = message.payload;
    let code = number(payload, 0)?.cast_signed();
    let with_words = NLM_F_CAPPED | NLM_F_ACK_TLVS;
    let words = (message.flags & with_words == with_words)
        .then(|| attributes(payload, HEADER.saturating_add(4)).find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG));
    Some((code.saturating_neg(), words.flatten().map_or("", |(_, value)| text(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram() -> Vec<u8> {
        let mut two =
            Request::new(RTM_NEWLINK, 0, &[7; 16]).text(3, "eth0").attribute(4, &1500u32.to_ne_bytes()).finish(9);
        two.extend(Request::new(NLMSG_DONE, NLM_F_MULTI, &[]).finish(9));
        two
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = datagram();
        let read: Vec<Message<'_>> = messages(&bytes).collect();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].kind, read[0].flags, read[0].sequence), (RTM_NEWLINK, NLM_F_REQUEST, 9));
        assert_eq!((read[1].kind, read[1].payload), (NLMSG_DONE, &[][..]));
        let found: Vec<(u16, &[u8])> = attributes(read[0].payload, 16).collect();
        assert_eq!(found, [(3, &b"eth0\0"[..]), (4, &1500u32.to_ne_bytes())]);
        assert_eq!(text(found[0].1), "eth0");
    }

    /// Cut anywhere, with any byte changed: what is read lies within, and the reading comes to its end.
    #[test]
    fn nothing_is_read_beyond_the_end() {
        let whole = datagram();
        let read_all = |bytes: &[u8]| {
            let list: Vec<Message<'_>> = messages(bytes).collect();
            assert!(list.len() <= bytes.len() / HEADER);
            for message in &list {
                answer(message);
                assert!(attributes(message.payload, 16).map(|(_, v)| v.len() + 4).sum::<usize>() <= bytes.len());
            }
            list.len()
        };
        for end in 0..whole.len() {
            assert!(read_all(&whole[..end]) < 2, "{end}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 3, 4, 15, 16, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                read_all(&bytes);
            }
        }
    }

    #[test]
    fn an_answer_and_its_words() {
        let mut body = (-17i32).to_ne_bytes().to_vec();
        body.extend([0; HEADER]);
        let answered = |flags| {
            let bytes = Request::new(NLMSG_ERROR, flags, &body).text(NLMSGERR_ATTR_MSG, "no").finish(1);
            let message = messages(&bytes).next().unwrap();
            answer(&message).map(|(code, words)| (code, words.to_owned()))
        };
        assert_eq!(answered(NLM_F_CAPPED | NLM_F_ACK_TLVS), Some((17, "no".into())));
        // Without, what follows is the request.
        assert_eq!(answered(NLM_F_ACK_TLVS), Some((17, String::new())));
    }
}
