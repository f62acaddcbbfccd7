//! Room for a jump at a `syscall`: the instructions around it run at another address, if they can.
//!
//! The bytes ahead of a `syscall` can be read as instructions in several ways. A sweep falls in step
//! with the true ones soon, wherever it begins. So several sweeps begin at different bytes, and if all
//! that find only instructions agree on the last few, these are the true ones. Among equal instructions
//! a sweep can stay out of step; then it is enough that none of them finds the `syscall`.

use super::{LOAD, LOAD_WIDE, SYSCALL, Site, length};

/// The bytes ahead of a `syscall` on which the sweeps have to agree.
const WINDOW: usize = 24;
/// How far ahead of the window the first sweep begins, and how many begin at the bytes from there on.
const RUN_UP: usize = 96;
const SWEEPS: usize = 24;
/// The most instructions that are moved with a `syscall`.
const MOST_MOVED: usize = 4;
/// The bytes of a jump.
const JUMP: usize = 5;

/// The reading of two bytes that are those of a `syscall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A `syscall`, behind these instructions.
    Behind(Ahead),
    /// A part of another instruction.
    Part,
    /// The bytes ahead can be read in more than one way.
    Unclear,
}

/// The instructions ahead of a `syscall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    pub syscall: usize,
    /// Where they begin: a bit for each byte of the window, the highest for the `syscall` itself.
    beginnings: u32,
}

impl Ahead {
    /// Reads the instructions ahead of a `syscall`.
    pub fn of(code: &[u8], syscall: usize) -> Found {
        let window = syscall.saturating_sub(WINDOW);
        let first = window.saturating_sub(RUN_UP);
        // The code begins with an instruction.
        let last = if first == 0 { 1 } else { first + SWEEPS };
        let sweeps = (first..last).filter_map(|start| sweep(code, start, window, syscall));
        let (mut all, mut some, mut count) = (u32::MAX, 0, 0);
        for beginnings in sweeps {
            (all, some, count) = (all & beginnings, some | beginnings, count + 1);
        }
        match some >> WINDOW & 1 {
            0 if count > 0 => Found::Part,
            1 if all == some => Found::Behind(Ahead { syscall, beginnings: all }),
            _ => Found::Unclear,
        }
    }

    /// Whether an instruction begins there.
    pub fn begins(&self, at: usize) -> bool {
        let bit = (at + WINDOW).checked_sub(self.syscall);
        bit.is_some_and(|bit| bit <= WINDOW && self.beginnings >> bit & 1 != 0)
    }

    /// The offset of the last instruction ahead of another one.
    fn before(&self, at: usize) -> Option<usize> {
        let known = self.beginnings & ((1 << (at + WINDOW - self.syscall)) - 1);
        Some(self.syscall + known.checked_ilog2()? as usize - WINDOW)
    }

    /// The number that is certainly in rax at the `syscall`, unless a jump leads past its load.
    pub fn number(&self, code: &[u8]) -> Option<u32> {
        let mut at = self.before(self.syscall)?;
        loop {
            if let Some(number) = loaded(&code[at..self.syscall]) {
                return Some(number);
            }
            let (_, true) = length::leaves_rax(&code[at..])? else { return None };
            at = self.before(at)?;
        }
    }

    /// The sites of the `syscall` with neighbours that can be moved; those with the fewest come first.
    pub fn sites<'a>(&self, code: &'a [u8]) -> impl Iterator<Item = Site> + use<'a> {
        let ahead = *self;
        (1..=MOST_MOVED).flat_map(move |count| {
            (0..=count).rev().filter_map(move |before| {
                let start = ahead.start(code, before)?;
                let end = end(code, ahead.syscall + SYSCALL.len(), count - before)?;
                (end - start >= JUMP).then_some(Site { start, syscall: ahead.syscall, end })
            })
        })
    }

    /// The beginning of so many instructions before the `syscall`, if all of them can be moved.
    fn start(&self, code: &[u8], count: usize) -> Option<usize> {
        let mut start = self.syscall;
        for _ in 0..count {
            start = self.before(start)?;
            length::can_move(&code[start..])?;
        }
        Some(start)
    }
}

/// The beginnings of the instructions in the window, read from a byte on; `None` if there is
/// something that is no instruction.
fn sweep(code: &[u8], start: usize, window: usize, syscall: usize) -> Option<u32> {
    let (mut at, mut beginnings) = (start, 0);
    while at <= syscall {
        if at >= window {
            beginnings |= 1 << (at + WINDOW - syscall);
        }
        at += length::of(&code[at..])?;
    }
    Some(beginnings)
}

/// The number that an instruction loads into rax.
fn loaded(instruction: &[u8]) -> Option<u32> {
    let number = match instruction {
        [LOAD, number @ ..] => number,
        _ => instruction.strip_prefix(&LOAD_WIDE)?,
    };
    Some(u32::from_le_bytes(*number.first_chunk()?))
}

/// The end of so many instructions behind a `syscall`, if all of them can be moved. They run before
/// the end of the stub, which uses rcx and r11.
fn end(code: &[u8], mut end: usize, count: usize) -> Option<usize> {
    for _ in 0..count {
        let (length, leaves_scratch) = length::can_move(code.get(end..)?)?;
        end = leaves_scratch.then_some(end + length)?;
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn beginnings(found: Found) -> Vec<usize> {
        let Found::Behind(ahead) = found else { panic!("{found:?}") };
        (ahead.syscall.saturating_sub(WINDOW)..=ahead.syscall).filter(|at| ahead.begins(*at)).collect()
    }

    /// musl's __syscall_cp_asm from `mov %rdi,%r11` on, and the offsets of its last instructions.
    const CANCELLABLE: [u8; 35] = [
        0x49, 0x89, 0xfb, 0x48, 0x89, 0xf0, 0x48, 0x89, 0xd7, 0x48, 0x89, 0xce, 0x4c, 0x89, 0xc2, 0x4d, 0x89, 0xca,
        0x4c, 0x8b, 0x44, 0x24, 0x08, 0x4c, 0x8b, 0x4c, 0x24, 0x10, 0x4c, 0x89, 0x5c, 0x24, 0x08, 0x0f, 0x05,
    ];
    const OFFSETS: [usize; 7] = [9, 12, 15, 18, 23, 28, 33];

    #[test]
    fn instructions_ahead_are_read_whatever_is_before_them() {
        let expected = OFFSETS;
        assert_eq!(beginnings(Ahead::of(&CANCELLABLE, 33)), expected);
        for filling in [0x90, 0xc3, 0x50] {
            let code = [&[filling; 300][..], &CANCELLABLE].concat();
            let shifted: Vec<_> = expected.iter().map(|at| at + 300).collect();
            assert_eq!(beginnings(Ahead::of(&code, 333)), shifted);
        }
        let Found::Behind(ahead) = Ahead::of(&CANCELLABLE, 33) else { unreachable!() };
        assert_eq!(ahead.sites(&CANCELLABLE).next(), Some(Site { start: 28, syscall: 33, end: 35 }));
        assert_eq!(ahead.number(&CANCELLABLE), None);
    }

    #[test]
    fn bytes_with_two_readings_are_unclear() {
        // `mov $0xb8b8b8b8,%eax` all along: every fifth byte begins one, whichever comes first.
        let code = [&[LOAD; 200][..], &SYSCALL, &[0xc3; 8]].concat();
        assert_eq!(Ahead::of(&code, 200), Found::Unclear);
        // `movb $8,0x50f..(%rip)` all along, from init_dwarf_reg_size_table of libgcc: that, or
        // `add $0x50f..,%eax; or %al,%dh`; the second time with a syscall behind it.
        let code = [0xc6, 0x05, 0x41, 0x0f, 0x05, 0x00, 0x08].repeat(30);
        assert_eq!(Ahead::of(&code, 25 * 7 + 3), Found::Part);
        let code = [&code[..], &SYSCALL].concat();
        assert_eq!(Ahead::of(&code, 210), Found::Unclear);
    }
}
