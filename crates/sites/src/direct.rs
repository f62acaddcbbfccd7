//! Programs whose event loop makes its calls by instructions of its own, outside of Go: those with
//! Rust's rustix, whose instructions are inlined and have no room for a jump.

use core::ops::BitOr;

use crate::{numbers, syscalls};

/// Functions that Rust's standard library imports, and programs in C or C++ hardly ever: their
/// language's personality routine is in a library.
const OF_RUST: [&[u8]; 3] = [b"_Unwind_GetTextRelBase", b"gnu_get_libc_version", b"__pthread_get_minstack"];

/// Whether one of the names that a program imports is that of Rust's standard library.
pub fn is_of_rust<'a>(mut names: impl Iterator<Item = &'a [u8]>) -> bool {
    names.any(|name| OF_RUST.contains(&name))
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
/// first argument, `mov $number,%edi`; that counts only if all calls that a program needs are made
/// this way. A number that is computed goes unnoticed.
pub fn calls(code: &[u8]) -> Calls {
    let (mut found, mut by_function) = (Calls::default(), false);
    for at in syscalls(code) {
        match number_before(&code[at.saturating_sub(NEAR)..at]) {
            Some(number) => found = found | Calls::of(number),
            None => by_function = true,
        }
    }
    if !by_function {
        return found;
    }
    let passed = code.windows(6).filter(|bytes| bytes[0] != 0x41 && bytes[1] == 0xbf);
    let passed = passed.map(|bytes| Calls::of(u32::from_le_bytes([bytes[2], bytes[3], bytes[4], bytes[5]])));
    let passed = passed.fold(Calls::default(), BitOr::bitor);
    if passed.is_whole() { found | passed } else { found }
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

    #[test]
    fn arguments_of_a_function_count_if_they_are_all_that_a_program_needs() {
        let mut code = std::vec![0x89, 0xf8, 0x0f, 0x05, 0x90, 0xbf, 0x23, 1, 0, 0, 0x90, 0xbf, 0xe9, 0, 0, 0, 0x90];
        assert_eq!(names(&code), [""; 0]);
        assert!(!calls(&code).is_whole());
        code.extend([0xbf, 0xe8, 0, 0, 0]);
        assert_eq!(names(&code), ["epoll_create1", "epoll_ctl", "epoll_wait"]);
        assert!(calls(&code).is_whole());
    }

    #[test]
    fn a_program_of_rust_is_known_by_whole_names() {
        let names = |strings: &'static [u8]| strings.split(|byte| *byte == 0);
        assert!(is_of_rust(names(b"\0read\0_Unwind_GetTextRelBase\0write\0")));
        assert!(!is_of_rust(names(b"\0read\0not_gnu_get_libc_version\0write\0")));
    }
}
