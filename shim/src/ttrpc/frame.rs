//! One frame: ten bytes of header (length, stream, kind, flags; big-endian), then the payload. Pure.

/// The length of a header.
pub const HEADER: usize = 10;
/// The kind of a frame that asks.
pub const REQUEST: u8 = 1;
/// The kind of a frame that answers.
pub const RESPONSE: u8 = 2;
/// The kind of a frame of a stream.
pub const DATA: u8 = 3;

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Of the payload, in bytes.
    pub length: usize,
    /// Odd for those that the client opened.
    pub stream: u32,
    /// [`REQUEST`], [`RESPONSE`], [`DATA`], or one that we don't know.
    pub kind: u8,
    /// For streams; ours have none.
    pub flags: u8,
}

/// The header at the beginning of `bytes`, if it is there.
pub fn header(bytes: &[u8]) -> Option<Header> {
    let (head, _) = bytes.split_first_chunk::<HEADER>()?;
    let [a, b, c, d, e, f, g, h, kind, flags] = *head;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    Some(Header { length, stream: u32::from_be_bytes([e, f, g, h]), kind, flags })
}

/// Appends a frame without flags.
pub fn put(stream: u32, kind: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(&[kind, 0]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let mut out = Vec::new();
        put(3, REQUEST, b"abc", &mut out);
        assert_eq!(out, b"\0\0\0\x03\0\0\0\x03\x01\0abc");
        assert_eq!(header(&out), Some(Header { length: 3, stream: 3, kind: REQUEST, flags: 0 }));
        assert_eq!(header(&out[..9]), None);
    }
}
