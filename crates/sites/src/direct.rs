//! Programs whose event loop makes its calls by instructions of its own, outside of Go: those with
//! Rust's rustix, whose instructions are inlined and have no room for a jump.

use core::ops::BitOr;

use crate::{BLOCK, numbers, syscalls};

/// Pairs of functions that Rust's standard library imports: those of its personality and of its
/// backtraces, and two of libc's, if libgcc is linked statically. A program in C or C++ hardly ever
/// imports both of a pair.
const OF_RUST: [&[u8]; 4] =
    [b"_Unwind_GetTextRelBase", b"_Unwind_Backtrace", b"gnu_get_libc_version", b"__cxa_thread_atexit_impl"];

/// Whether the names that a program imports include those of Rust's standard library.
pub fn is_of_rust<'a>(names: impl Iterator<Item = &'a [u8]>) -> bool {
    let which = |name: &[u8]| OF_RUST.iter().position(|known| *known == name);
    let found = names.filter_map(which).fold(0, |found, which| found | 1 << which);
    found & 0b0011 == 0b0011 || found & 0b1100 == 0b1100
}

/// Epoll's calls, in the order of the bits of [`Calls`].
const NAMES: [(libc::c_long, &str); 6] = [
    (libc::SYS_epoll_create, "epoll_create"),
    (libc::SYS_epoll_create1, "epoll_create1"),
    (libc::SYS_epoll_ctl, "epoll_ctl"),
    (libc::SYS_epoll_pwait, "epoll_pwait"),
    (libc::SYS_epoll_pwait2, "epoll_pwait2"),
    (libc::SYS_epoll_wait, "epoll_wait"),
];

/// A set of epoll's calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls(u8);

impl Calls {
    const CREATE: Calls = Calls(0b00_0011);
    const CONTROL: Calls = Calls(0b00_0100);
    const WAIT: Calls = Calls(0b11_1000);

    fn of(number: u32) -> Calls {
        let bit = NAMES.iter().position(|(known, _)| *known == libc::c_long::from(number));
        Calls(bit.map_or(0, |bit| 1 << bit))
    }

    fn has_one_of(self, others: Calls) -> bool {
        self.0 & others.0 != 0
    }

    /// Whether the kernel's epoll can be used by these calls: one that creates an instance, the
    /// control call, and one that waits.
    pub fn is_whole(self) -> bool {
        [Self::CREATE, Self::CONTROL, Self::WAIT].iter().all(|some| self.has_one_of(*some))
    }

    /// The names of the calls, in the order of the alphabet.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().enumerate().filter(move |(bit, _)| self.0 >> bit & 1 != 0).map(|(_, (_, name))| *name)
    }
}

impl BitOr for Calls {
    type Output = Calls;

    fn bitor(self, other: Calls) -> Calls {
        Calls(self.0 | other.0)
    }
}

/// The epoll calls that the code makes by instructions of its own: a `syscall`, preceded by the load
/// of the number. In unoptimized code, where a separate function makes the calls, the number is its
/// first argument; that counts only if all calls that a program needs are made this way. A number
/// that is computed goes unnoticed.
pub fn calls(code: &[u8]) -> Calls {
    let (mut found, mut by_function) = (Calls::default(), false);
    for at in syscalls(code) {
        match number_before(&code[at.saturating_sub(NEAR)..at]) {
            Some(number) => found = found | Calls::of(number),
            None => by_function = true,
        }
    }
    if !by_function || found.is_whole() {
        return found;
    }
    let passed = arguments(code).filter_map(|at| passed(code, at)).fold(Calls::default(), BitOr::bitor);
    if passed.is_whole() { found | passed } else { found }
}

/// `mov $number,%edi`: its opcode, and its length.
const ARGUMENT: u8 = 0xbf;
const ARGUMENT_BYTES: usize = 5;

/// The offsets of what looks like a `mov $number,%edi` with a number below 65536. Large programs are
/// searched, so a block of code is looked at in a few vector instructions.
fn arguments(code: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let [third, fourth] = [3, 4].map(|offset| code.get(offset..).unwrap_or_default());
    let blocks = code.chunks(BLOCK).zip(third.chunks(BLOCK).zip(fourth.chunks(BLOCK)));
    let starts = move |(block, (third, fourth)): (&[u8], (&[u8], &[u8]))| {
        let bytes = block.iter().zip(third.iter().zip(fourth));
        bytes.fold(false, |found, (first, (third, fourth))| found | ((*first == ARGUMENT) & (third | fourth == 0)))
    };
    let hits = blocks.enumerate().filter(move |(_, block)| starts(*block)).map(|(index, _)| index * BLOCK);
    hits.flat_map(move |start| {
        let end = (start + BLOCK).min(code.len().saturating_sub(ARGUMENT_BYTES - 1));
        (start..end).filter(move |at| code[*at] == ARGUMENT && code[at + 3] | code[at + 4] == 0)
    })
}

/// The epoll call whose number is an argument here, if it goes to a function that makes calls by
/// number.
fn passed(code: &[u8], at: usize) -> Option<Calls> {
    /// The prefix with which it is another register.
    const OTHER: u8 = 0x41;
    /// The opcode of `call`, its length, and how many instructions may be before it, in bytes.
    const CALL: u8 = 0xe8;
    const CALL_BYTES: usize = 5;
    const SOON: usize = 16;
    let behind = at + ARGUMENT_BYTES;
    let call = Calls::of(u32::from_le_bytes(code.get(at + 1..behind)?.try_into().ok()?));
    if call == Calls::default() || at > 0 && code[at - 1] == OTHER {
        return None;
    }
    let target = |start: usize| {
        let [CALL, distance @ ..] = *code.get(start..start + CALL_BYTES)?.first_chunk::<CALL_BYTES>()? else {
            return None;
        };
        (start + CALL_BYTES).checked_add_signed(i32::from_le_bytes(distance) as isize)
    };
    (behind..behind + SOON).filter_map(target).any(|target| takes_number(code, target)).then_some(call)
}

/// Whether a function makes the call whose number is its argument, or only returns its argument, as
/// the one does by which rustix converts a number to a register's value.
fn takes_number(code: &[u8], start: usize) -> bool {
    /// `mov %edi,%eax; ret`, or the end of the same for the whole registers.
    const RETURNS: [u8; 3] = [0x89, 0xf8, 0xc3];
    /// The most bytes of either function.
    const OF_ONE_THAT_RETURNS: usize = 16;
    const OF_ONE_THAT_CALLS: usize = 96;
    let Some(body) = code.get(start..) else { return false };
    let first = |bytes: usize| &body[..bytes.min(body.len())];
    let body = first(OF_ONE_THAT_CALLS);
    first(OF_ONE_THAT_RETURNS).windows(RETURNS.len()).any(|bytes| bytes == RETURNS)
        || syscalls(body).any(|at| number_before(&body[..at]).is_none())
}

/// The largest distance, in bytes, from the load of a system call number to the instruction.
const NEAR: usize = 48;

/// The number that was last loaded into the system call register.
fn number_before(code: &[u8]) -> Option<u32> {
    (1..code.len().saturating_sub(4)).rev().find_map(|start| {
        let number = u32::from_le_bytes(code[start + 1..start + 5].try_into().ok()?);
        match (code[start - 1], code[start]) {
            // With the prefix 0x41 it is another register.
            (prefix, 0xb8) if prefix != 0x41 && number <= numbers::HIGHEST => Some(number),
            (0xc7, 0xc0) if number <= numbers::HIGHEST => Some(number),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn names(code: &[u8]) -> Vec<&'static str> {
        calls(code).names().collect()
    }

    #[test]
    fn the_number_is_the_last_one_put_into_the_register() {
        assert_eq!(names(&[0x90, 0xb8, 0x23, 1, 0, 0, 0x31, 0xff, 0x0f, 0x05]), ["epoll_create1"]);
        assert_eq!(names(&[0x48, 0xc7, 0xc0, 0xe9, 0, 0, 0, 0x0f, 0x05]), ["epoll_ctl"]);
        assert_eq!(names(&[0x90, 0xb8, 0xe8, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0x0f, 0x05]), [""; 0]);
        assert_eq!(names(&[0x41, 0xb8, 0xe8, 0, 0, 0, 0x0f, 0x05]), [""; 0]);
    }

    /// Code that passes these numbers to the function that it begins with.
    fn passing(function: &[u8], numbers: &[u32]) -> Vec<u8> {
        let mut code = function.to_vec();
        // A `syscall` whose number is unknown, behind the functions.
        code.extend([0x90; 128]);
        code.extend([0x0f, 0x05]);
        for number in numbers {
            code.extend([0x90, 0xbf]);
            code.extend(number.to_le_bytes());
            code.push(0xe8);
            let distance = -(code.len() as i32 + 4);
            code.extend(distance.to_le_bytes());
        }
        code
    }

    const EPOLL: [u32; 3] = [291, 233, 232];

    #[test]
    fn arguments_of_a_function_that_calls_count_if_they_are_all_that_a_program_needs() {
        // mov %edi,%eax; syscall, and mov %edi,-4(%rsp); mov %edi,%eax; ret.
        for function in [&[0x89, 0xf8, 0x0f, 0x05, 0xc3][..], &[0x89, 0x7c, 0x24, 0xfc, 0x89, 0xf8, 0xc3]] {
            assert_eq!(names(&passing(function, &EPOLL)), ["epoll_create1", "epoll_ctl", "epoll_wait"]);
            assert_eq!(names(&passing(function, &EPOLL[..2])), [""; 0]);
        }
    }

    #[test]
    fn arguments_of_other_functions_do_not_count() {
        // push %rbp; mov %rsp,%rbp: any function that is called with such numbers.
        assert_eq!(names(&passing(&[0x55, 0x48, 0x89, 0xe5], &EPOLL)), [""; 0]);
        // cmpb $0,0x123(%rdi), and so on, in a program that has a `syscall`.
        let mut code = std::vec![0x0f, 0x05];
        for number in EPOLL {
            code.extend([0x80, 0xbf]);
            code.extend(number.to_le_bytes());
            code.push(0);
        }
        assert_eq!(names(&code), [""; 0]);
    }

    #[test]
    fn arguments_are_found_whatever_block_they_are_in() {
        for length in [5, 6, 63, 64, 65, 69, 128, 200] {
            for at in 0..=length - ARGUMENT_BYTES {
                let mut code = std::vec![0x90; length];
                code[at..at + ARGUMENT_BYTES].copy_from_slice(&[0xbf, 0x23, 1, 0, 0]);
                assert_eq!(arguments(&code).collect::<Vec<_>>(), [at], "{at} of {length}");
            }
        }
        assert_eq!(arguments(&[0xbf, 0, 0, 0]).count() + arguments(&[]).count(), 0);
    }

    #[test]
    fn a_program_of_rust_is_known_by_whole_names() {
        let names = |strings: &'static [u8]| strings.split(|byte| *byte == 0);
        assert!(is_of_rust(names(b"\0read\0_Unwind_GetTextRelBase\0_Unwind_Backtrace\0write\0")));
        assert!(!is_of_rust(names(b"\0read\0_Unwind_GetTextRelBase\0write\0")));
        assert!(!is_of_rust(names(b"\0_Unwind_GetTextRelBase\0not_Unwind_Backtrace\0write\0")));
        assert!(is_of_rust(names(b"\0gnu_get_libc_version\0__cxa_thread_atexit_impl\0")));
        // git's, and node's.
        assert!(!is_of_rust(names(b"\0gnu_get_libc_version\0read\0")));
        assert!(!is_of_rust(names(b"\0__cxa_thread_atexit\0gnu_get_libc_version\0_Unwind_Resume\0")));
        assert!(!is_of_rust(names(b"\0gnu_get_libc_version\0_Unwind_Backtrace\0")));
    }
}
