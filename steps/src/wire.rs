//! How a plan lies in its memfd: little more than the values one after the other, in the byte order of the machine.
//!
//! ```text
//! u32 number of descriptor slots, i32 descriptor of each slot, then steps: u32 opcode, fields in order of declaration
//! string: u32 length without the NUL, the bytes, a NUL; list: u32 count, the items
//! ```

use core::ffi::CStr;

/// Reads values off the front of a plan. Every read is checked: a short or garbled plan gives `None`, never a panic.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// True when everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(n)?;
        self.rest = tail;
        Some(head)
    }
}

/// A value that can be read off a plan.
pub trait Get<'a>: Sized {
    /// Reads one value, or nothing if the plan ends before it or holds something else.
    fn get(from: &mut Reader<'a>) -> Option<Self>;
}

macro_rules! integers {
    ($($t:ty)*) => { $(
        impl Get<'_> for $t {
            fn get(from: &mut Reader<'_>) -> Option<Self> {
                Some(<$t>::from_ne_bytes(from.take(size_of::<$t>())?.try_into().ok()?))
            }
        }
        #[cfg(feature = "owned")]
        impl Put for $t {
            fn put(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_ne_bytes());
            }
        }
    )* };
}
integers!(u32 i32 u64 i64);

impl Get<'_> for bool {
    fn get(from: &mut Reader<'_>) -> Option<Self> {
        Some(u32::get(from)? != 0)
    }
}

impl Get<'_> for crate::Slot {
    fn get(from: &mut Reader<'_>) -> Option<Self> {
        u32::get(from).map(crate::Slot)
    }
}

impl<'a> Get<'a> for &'a CStr {
    fn get(from: &mut Reader<'a>) -> Option<Self> {
        let len = usize::try_from(u32::get(from)?).ok()?;
        CStr::from_bytes_with_nul(from.take(len.checked_add(1)?)?).ok()
    }
}

/// Strings that lie in the plan, read one by one.
#[derive(Clone, Copy)]
pub struct Strs<'a> {
    count: u32,
    items: Reader<'a>,
}

impl Strs<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Strs<'a> {
    type Item = &'a CStr;
    fn next(&mut self) -> Option<&'a CStr> {
        self.count = self.count.checked_sub(1)?;
        <&CStr>::get(&mut self.items)
    }
}

impl<'a> Get<'a> for Strs<'a> {
    fn get(from: &mut Reader<'a>) -> Option<Self> {
        let count = u32::get(from)?;
        let strs = Strs { count, items: *from };
        for _ in 0..count {
            <&CStr>::get(from)?;
        }
        Some(strs)
    }
}

/// Numbers of 64 bits that lie in the plan, unaligned.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    bytes: &'a [u8],
}

impl<'a> Words<'a> {
    /// The numbers' bytes, eight each; for programs that the kernel reads as they lie.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / 8
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + 'a {
        self.bytes.chunks_exact(8).map(|c| u64::from_ne_bytes(c.try_into().unwrap_or_default()))
    }
}

impl<'a> Get<'a> for Words<'a> {
    fn get(from: &mut Reader<'a>) -> Option<Self> {
        let count = usize::try_from(u32::get(from)?).ok()?;
        Some(Words { bytes: from.take(count.checked_mul(8)?)? })
    }
}

#[cfg(feature = "owned")]
pub use put::Put;

#[cfg(feature = "owned")]
mod put {
    use std::ffi::CString;

    /// A value that can be written into a plan; the other direction of [`super::Get`].
    pub trait Put {
        /// Appends the value.
        fn put(&self, to: &mut Vec<u8>);
    }

    fn len(n: usize) -> u32 {
        // A plan is made from one config.json of less than 4 GiB; a cut-off length would be refused by the reader.
        u32::try_from(n).unwrap_or(u32::MAX)
    }

    impl Put for bool {
        fn put(&self, to: &mut Vec<u8>) {
            u32::from(*self).put(to);
        }
    }

    impl Put for crate::Slot {
        fn put(&self, to: &mut Vec<u8>) {
            self.0.put(to);
        }
    }

    impl Put for CString {
        fn put(&self, to: &mut Vec<u8>) {
            len(self.as_bytes().len()).put(to);
            to.extend_from_slice(self.as_bytes_with_nul());
        }
    }

    impl Put for Vec<CString> {
        fn put(&self, to: &mut Vec<u8>) {
            len(self.len()).put(to);
            self.iter().for_each(|s| s.put(to));
        }
    }

    impl Put for Vec<u64> {
        fn put(&self, to: &mut Vec<u8>) {
            len(self.len()).put(to);
            self.iter().for_each(|w| w.put(to));
        }
    }
}
