//! Classic BPF as seccomp(2) takes it: the instructions, an assembler that writes a program from its end, and an interpreter.
//! Knows nothing of profiles.
//!
//! From the end, because jumps go only forward: whoever writes a jump then already knows where its targets are, and a target
//! out of reach (a conditional jump spans 255 instructions) is brought near by a `ja`, or a second `ret`, right there.

/// `struct sock_filter` of `linux/filter.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SockFilter {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// `A = seccomp_data[k..k + 4]`.
pub const LD_ABS: u16 = 0x20;
/// `A &= k`.
pub const AND_K: u16 = 0x54;
/// Skip `k` instructions.
pub const JA: u16 = 0x05;
/// Skip `jt` if `A == k`, else `jf`.
pub const JEQ_K: u16 = 0x15;
/// Skip `jt` if `A > k`, else `jf`.
pub const JGT_K: u16 = 0x25;
/// Skip `jt` if `A >= k`, else `jf`.
pub const JGE_K: u16 = 0x35;
/// Skip `jt` if `A & k != 0`, else `jf`.
pub const JSET_K: u16 = 0x45;
/// Return `k`.
pub const RET_K: u16 = 0x06;

/// `BPF_MAXINSNS`: the kernel takes no longer program.
pub const MAX_INSTRUCTIONS: usize = 4096;

/// Offset in `struct seccomp_data` of the call's number.
pub const OFFSET_NR: u32 = 0;
/// ... of the architecture.
pub const OFFSET_ARCH: u32 = 4;
/// ... of the first argument.
pub const OFFSET_ARGS: u32 = 16;

/// A place in a program that is being written, counted from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label(usize);

impl Label {
    /// The last instruction.
    pub const END: Label = Label(0);
}

/// A program that is being written from its end.
#[derive(Debug, Default)]
pub struct Assembler {
    reversed: Vec<SockFilter>,
    /// The nearest `ret` of each value.
    returns: Vec<(u32, Label)>,
}

impl Assembler {
    /// `ret value`, one of those in reach.
    pub fn ret(&mut self, value: u32) -> Label {
        let known = self.returns.iter().position(|(v, _)| *v == value);
        let Some((at, label)) = known.and_then(|i| Some((i, self.returns.get(i)?.1))) else {
            let label = self.push(RET_K, 0, 0, value);
            self.returns.push((value, label));
            return label;
        };
        let near = self.reach(label);
        if let Some(entry) = self.returns.get_mut(at) {
            entry.1 = near;
        }
        near
    }

    /// The same place, but where the next conditional jump can have it as either target.
    pub fn reach(&mut self, label: Label) -> Label {
        // 254 and not 255: bringing the jump's other target near may move the jump by one.
        if self.distance(label) <= 254 {
            return label;
        }
        match self.reversed.get(label.0) {
            Some(SockFilter { code: RET_K, k, .. }) => self.push(RET_K, 0, 0, *k),
            _ => {
                let k = u32::try_from(self.distance(label)).unwrap_or(u32::MAX);
                self.push(JA, 0, 0, k)
            }
        }
    }

    /// A conditional jump.
    pub fn jump(&mut self, code: u16, k: u32, then: Label, or: Label) -> Label {
        if then == or {
            return then;
        }
        let then = self.reach(then);
        let or = self.reach(or);
        let skip = |label| u8::try_from(self.distance(label)).unwrap_or(u8::MAX);
        let (jt, jf) = (skip(then), skip(or));
        self.push(code, jt, jf, k)
    }

    /// `ld [offset]`, and on with what `next` names.
    pub fn load(&mut self, offset: u32, next: Label) -> Label {
        self.fall_to(next);
        self.push(LD_ABS, 0, 0, offset)
    }

    /// `and mask`, and on with what `next` names.
    pub fn and(&mut self, mask: u32, next: Label) -> Label {
        self.fall_to(next);
        self.push(AND_K, 0, 0, mask)
    }

    /// The program, from its beginning. If it is longer than [`MAX_INSTRUCTIONS`] it is no program.
    pub fn finish(mut self) -> Vec<SockFilter> {
        self.reversed.reverse();
        self.reversed
    }

    /// Makes `next` what is executed after the instruction that comes now.
    fn fall_to(&mut self, next: Label) {
        let distance = self.distance(next);
        if distance > 0 {
            self.push(JA, 0, 0, u32::try_from(distance).unwrap_or(u32::MAX));
        }
    }

    /// Instructions between the one that comes now and `label`.
    fn distance(&self, label: Label) -> usize {
        self.reversed.len().saturating_sub(label.0).saturating_sub(1)
    }

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        // One more than the kernel takes is enough to be refused: a hostile profile costs no more memory than that.
        if self.reversed.len() <= MAX_INSTRUCTIONS {
            self.reversed.push(SockFilter { code, jt, jf, k });
        }
        Label(self.reversed.len().saturating_sub(1))
    }
}

/// `struct seccomp_data` of `linux/seccomp.h`, apart from the instruction pointer, which no profile can name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SeccompData {
    pub nr: u32,
    pub arch: u32,
    pub args: [u64; 6],
}

impl SeccompData {
    /// The word at an offset, as a machine of this byte order has it.
    fn word(&self, offset: u32, big_endian: bool) -> Option<u32> {
        match offset {
            OFFSET_NR => return Some(self.nr),
            OFFSET_ARCH => return Some(self.arch),
            _ => {}
        }
        let at = offset.checked_sub(OFFSET_ARGS)?;
        let arg = *self.args.get(usize::try_from(at / 8).ok()?)?;
        let high = (at % 8 == 0) == big_endian;
        #[allow(clippy::cast_possible_truncation)]
        match at % 4 {
            0 if high => Some((arg >> 32) as u32),
            0 => Some(arg as u32),
            _ => None,
        }
    }
}

/// What a program answers to a call, or nothing if it is not one that the kernel would take.
/// `big_endian` is the byte order of the machine that is imagined.
pub fn run(program: &[SockFilter], data: &SeccompData, big_endian: bool) -> Option<u32> {
    let (mut at, mut a) = (0usize, 0u32);
    loop {
        let i = program.get(at)?;
        let taken = match i.code {
            RET_K => return Some(i.k),
            LD_ABS => {
                a = data.word(i.k, big_endian)?;
                0
            }
            AND_K => {
                a &= i.k;
                0
            }
            JA => usize::try_from(i.k).ok()?,
            JEQ_K => usize::from(if a == i.k { i.jt } else { i.jf }),
            JGT_K => usize::from(if a > i.k { i.jt } else { i.jf }),
            JGE_K => usize::from(if a >= i.k { i.jt } else { i.jf }),
            JSET_K => usize::from(if a & i.k != 0 { i.jt } else { i.jf }),
            // Neither our programs nor libseccomp's or runc's have others.
            _ => return None,
        };
        at = at.checked_add(taken)?.checked_add(1)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_targets_are_brought_near() {
        // A chain of 2,000 comparisons whose every step may leave to the same far place.
        let mut asm = Assembler::default();
        let far = asm.ret(7);
        let arg = asm.load(OFFSET_ARGS, far);
        let mut next = asm.ret(1);
        for n in (0..2000).rev() {
            let to = if n % 2 == 0 { arg } else { asm.ret(9) };
            next = asm.jump(JEQ_K, n, to, next);
        }
        let program = {
            asm.load(OFFSET_NR, next);
            asm.finish()
        };
        assert!(program.len() < 4096, "{}", program.len());
        let answer = |nr| run(&program, &SeccompData { nr, ..SeccompData::default() }, false);
        for nr in 0..2000 {
            assert_eq!(answer(nr), Some(if nr % 2 == 0 { 7 } else { 9 }), "{nr}");
        }
        assert_eq!(answer(2000), Some(1));
    }

    #[test]
    fn words_of_an_argument() {
        let data = SeccompData { nr: 1, arch: 2, args: [0, 0x0000_0003_0000_0004, 0, 0, 0, 0] };
        assert_eq!(data.word(24, false), Some(4));
        assert_eq!(data.word(28, false), Some(3));
        assert_eq!(data.word(24, true), Some(3));
        assert_eq!(data.word(26, false), None);
        assert_eq!(data.word(64, false), None);
        assert_eq!(data.word(8, false), None);
    }
}
