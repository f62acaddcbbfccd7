//! The system call instructions of x86_64 programs that make their own calls: where they are, and
//! which of them can be rewritten into a jump.
//!
//! In programs of Go two forms are rewritten, and only those, byte for byte:
//!
//! - `mov $number,%eax; syscall`, if the library wants that number;
//! - `syscall; cmp $-4095,%rax`, for calls whose number is known only when they are made.
//!
//! Both have room for a jump of five bytes. In static programs with a C library the instructions around
//! a `syscall` make room (`of_c`). This crate calls nothing of libc, some of whose names
//! the library takes, and allocates nothing.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(target_arch = "x86_64")]
pub mod direct;
pub mod entries;
pub mod file;
pub mod go;
pub mod guest;
mod length;
mod moved;
pub mod numbers;
pub mod of_c;

pub use numbers::Kind;

#[cfg(test)]
extern crate std;

/// The most instructions of a program that are trapped. Chance makes some out of other bytes: 74 in
/// 24 MB of code.
pub const MOST_TRAPPED: usize = 1024;

/// The most code of a program that is searched for instructions to trap. A browser has more.
pub const MOST_CODE: u64 = 128 << 20;

/// `syscall`.
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// `cmp $-4095,%rax`, which decides whether a call failed.
const COMPARE: [u8; 6] = [0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff];
/// The opcode of `mov $imm32,%eax`, and its length.
const LOAD: u8 = 0xb8;
const LOAD_BYTES: usize = 5;
/// The first bytes of `mov $imm32,%rax`, and its length.
const LOAD_WIDE: [u8; 3] = [0x48, 0xc7, 0xc0];
const LOAD_WIDE_BYTES: usize = 7;

/// A place that can be rewritten, as offsets in the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The first byte that is replaced.
    pub start: usize,
    /// The `syscall`. The instructions between `start` and here have to run before it.
    pub syscall: usize,
    /// The first byte behind the replaced ones. The instructions between the `syscall` and here
    /// have to run after it.
    pub end: usize,
}

/// The instruction before a `syscall`, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// It loads this number in five bytes.
    Load(u32),
    /// It loads this number, in another form.
    LoadWide(u32),
    /// It looks like the load of a wanted number, but may be part of a longer instruction.
    Unclear,
    /// Something else.
    Other,
}

/// A `syscall` for a wanted number that cannot be rewritten, because the instruction before it is
/// unclear, or there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed;

/// Every site of a kind of program, in the order of their addresses, and every one that is missed.
pub fn find(code: &[u8], kind: Kind) -> impl Iterator<Item = Result<Site, Missed>> + '_ {
    syscalls(code).filter_map(move |at| site(code, at, kind))
}

/// The offsets of the bytes of `syscall`, whether or not they are an instruction.
pub fn syscalls(code: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let mut from = 0;
    core::iter::from_fn(move || {
        let at = from + next_syscall(&code[from..])?;
        from = at + SYSCALL.len();
        Some(at)
    })
}

/// The number of bytes that are looked at together.
const BLOCK: usize = 64;

/// The first `0f 05`. Each byte of a block is compared with its successor, which is a few vector
/// instructions: 05 alone is in most blocks of code.
fn next_syscall(code: &[u8]) -> Option<usize> {
    let behind = code.get(1..)?;
    let is_in = |(first, second): (&[u8], &[u8])| {
        let pairs = first.iter().zip(second);
        pairs.fold(false, |found, (first, second)| found | ((*first == SYSCALL[0]) & (*second == SYSCALL[1])))
    };
    let blocks = code.chunks(BLOCK).zip(behind.chunks(BLOCK));
    let start = BLOCK * blocks.clone().position(is_in)?;
    code[start..].windows(SYSCALL.len()).position(|bytes| bytes == SYSCALL).map(|inside| start + inside)
}

/// The site at a `syscall`; `None` if the library does not want it.
fn site(code: &[u8], syscall: usize, kind: Kind) -> Option<Result<Site, Missed>> {
    if kind == Kind::StaticC {
        return of_c::site(code, syscall);
    }
    let behind = syscall + SYSCALL.len();
    let with_comparison = || {
        let site = Site { start: syscall, syscall, end: behind + COMPARE.len() };
        code[behind..].starts_with(&COMPARE).then_some(site)
    };
    match before(&code[..syscall], kind) {
        Before::Load(number) if kind.wants(number) => {
            Some(Ok(Site { start: syscall - LOAD_BYTES, syscall, end: behind }))
        }
        Before::LoadWide(number) if kind.wants(number) => Some(with_comparison().ok_or(Missed)),
        Before::Load(_) | Before::LoadWide(_) => None,
        Before::Unclear => Some(Err(Missed)),
        Before::Other => with_comparison().map(Ok),
    }
}

/// The instruction at the end of the code.
fn before(code: &[u8], kind: Kind) -> Before {
    let number = |bytes: &[u8]| bytes.try_into().map_or(u32::MAX, u32::from_le_bytes);
    if let Some((_, load)) = code.split_at_checked(code.len().wrapping_sub(LOAD_WIDE_BYTES))
        && load.starts_with(&LOAD_WIDE)
    {
        return Before::LoadWide(number(&load[LOAD_WIDE.len()..]));
    }
    match code.split_at_checked(code.len().wrapping_sub(LOAD_BYTES)) {
        Some((rest, [LOAD, immediate @ ..])) => match rest {
            _ if number(immediate) > numbers::HIGHEST => Before::Other,
            // A load from Go's stack frame ends in a byte that could be a prefix otherwise.
            [.., opcode, mode, 0x24, 0x40..=0x4f] if matches!(opcode, 0x89 | 0x8b) && mode & 0xc7 == 0x44 => {
                Before::Load(number(immediate))
            }
            // It may be a prefix, with which it is the load of another register, or a longer one; or
            // the distance in a store to the stack.
            [.., 0x40..=0x4f] | [.., 0xc7, _, 0x24] if kind.wants(number(immediate)) => Before::Unclear,
            _ => Before::Load(number(immediate)),
        },
        _ => Before::Other,
    }
}

// Elsewhere the library wants no number.
#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn found(code: &[u8]) -> Vec<(usize, usize, usize)> {
        find(code, Kind::Dynamic).flatten().map(|site| (site.start, site.syscall, site.end)).collect()
    }

    fn misses_one(code: &[u8]) -> bool {
        find(code, Kind::Dynamic).any(|site| site.is_err())
    }

    const READ: [u8; 7] = [0xb8, 0, 0, 0, 0, 0x0f, 0x05];

    #[test]
    fn a_wanted_number_is_replaced_with_its_load() {
        // runtime.closefd: the comparison behind it stays.
        let close = [0x8b, 0x7c, 0x24, 0x08, 0xb8, 3, 0, 0, 0, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff];
        assert_eq!(found(&close), [(4, 9, 11)]);
        assert_eq!(found(&READ), [(0, 5, 7)]);
    }

    #[test]
    fn any_number_is_replaced_with_its_comparison() {
        let syscall6 = [0x48, 0x89, 0xdf, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0x76];
        assert_eq!(found(&syscall6), [(3, 3, 11)]);
        let of_glibc = [0x48, 0x89, 0xdf, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0x76];
        assert_eq!(found(&of_glibc), []);
    }

    #[test]
    fn calls_that_the_library_does_not_want_are_left_alone() {
        // runtime.sysMmap, runtime.sysMunmap, and clone.
        let mmap = [0x90, 0xb8, 9, 0, 0, 0, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff];
        let munmap = [0x48, 0xc7, 0xc0, 11, 0, 0, 0, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff];
        let clone = [0x90, 0xb8, 56, 0, 0, 0, 0x0f, 0x05];
        assert_eq!(found(&mmap), []);
        assert_eq!(found(&munmap), []);
        assert_eq!(found(&clone), []);
        let close = [0x48, 0xc7, 0xc0, 3, 0, 0, 0, 0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff];
        assert_eq!(found(&close), [(7, 7, 15)]);
        assert!(!misses_one(&close) && !misses_one(&munmap));
        assert!(misses_one(&close[..12]));
    }

    #[test]
    fn clone_is_replaced_in_a_static_program_only() {
        let clone = [0x90, 0xb8, 56, 0, 0, 0, 0x0f, 0x05];
        let sites =
            |kind| find(&clone, kind).flatten().map(|site| (site.start, site.syscall, site.end)).collect::<Vec<_>>();
        assert_eq!(sites(Kind::Static), [(1, 6, 8)]);
        assert_eq!(sites(Kind::Dynamic), []);
    }

    #[test]
    fn a_prefix_makes_it_the_load_of_another_register() {
        // mov $0,%r8d: the size of epoll_pwait's mask.
        let of_r8 = [0x41, 0xb8, 0, 0, 0, 0, 0x0f, 0x05];
        assert_eq!(found(&of_r8), []);
        assert!(misses_one(&of_r8));
        // movl $0,-0x48(%rsp).
        let store = [0xc7, 0x44, 0x24, 0xb8, 0, 0, 0, 0, 0x0f, 0x05];
        assert_eq!(found(&store), []);
        assert!(misses_one(&store));
        // mov 0x40(%rsp),%edx before the load.
        let after_frame = [0x8b, 0x54, 0x24, 0x40, 0xb8, 0, 0, 0, 0, 0x0f, 0x05];
        assert_eq!(found(&after_frame), [(4, 9, 11)]);
        assert!(!misses_one(&after_frame));
    }

    #[test]
    fn every_offset_is_found_whatever_block_it_is_in() {
        for length in [7, 8, 63, 64, 65, 66, 128, 200] {
            for at in 0..=length - READ.len() {
                let mut code = std::vec![0x05; length];
                code[at..at + READ.len()].copy_from_slice(&READ);
                assert_eq!(syscalls(&code).collect::<Vec<_>>(), [at + 5], "{at} of {length}");
                assert_eq!(found(&code), [(at, at + 5, at + 7)], "{at} of {length}");
            }
        }
        assert_eq!(syscalls(&[0x0f]).count() + syscalls(&[]).count(), 0);
    }
}
