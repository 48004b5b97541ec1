//! Text in a buffer of fixed size, for paths and messages: what does not fit makes it `None` or is cut, never a panic.

use core::ffi::CStr;
use core::fmt;

/// The longest path that the kernel takes, NUL included.
pub const PATH_MAX: usize = 4096;

/// At most `N` bytes, the last of which is always a NUL.
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
    cut: bool,
}

/// A path.
pub type Path = Text<PATH_MAX>;

impl<const N: usize> Text<N> {
    pub const fn new() -> Self {
        Text { bytes: [0; N], len: 0, cut: false }
    }

    pub fn clear(&mut self) {
        self.truncate(0);
        self.cut = false;
    }

    /// Appends; what does not fit is cut off, and [`Text::c_str`] refuses from then on.
    pub fn push(&mut self, s: &[u8]) -> &mut Self {
        for byte in s {
            match self.bytes.get_mut(self.len) {
                Some(place) if self.len.saturating_add(1) < N => {
                    *place = *byte;
                    self.len = self.len.saturating_add(1);
                }
                _ => self.cut = true,
            }
        }
        self
    }

    pub fn truncate(&mut self, len: usize) {
        if let Some(rest) = self.bytes.get_mut(len..self.len) {
            rest.fill(0);
            self.len = len;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// For the kernel; nothing if it was cut or holds a NUL of its own.
    pub fn c_str(&self) -> Option<&CStr> {
        let all = self.bytes.get(..=self.len)?;
        if self.cut { None } else { CStr::from_bytes_with_nul(all).ok() }
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.push(s.as_bytes());
        Ok(())
    }
}
