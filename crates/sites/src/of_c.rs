//! The forms of system calls in glibc, as it is linked into static programs.
//!
//! glibc has the two forms of Go's runtime, with other comparisons, and a few of its own where the
//! compiler has moved an instruction in between. A `syscall` in any other form has to be one whose
//! number the library does not want; otherwise it is missed.

use super::{Before, LOAD, LOAD_BYTES, Missed, SYSCALL, Site, before};
use crate::numbers::Kind;

/// Comparisons of the result with the lowest error: `cmp $-4096,%rax`, `cmp $-4095,%rax`, the same
/// of eax, and `cmp $-4,%rax`, which is EINTR. Each has room for a jump, together with the `syscall`.
const COMPARISONS: [&[u8]; 5] = [
    &[0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff],
    &[0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff],
    &[0x3d, 0x00, 0xf0, 0xff, 0xff],
    &[0x3d, 0x01, 0xf0, 0xff, 0xff],
    &[0x48, 0x83, 0xf8, 0xfc],
];

/// Instructions before a `syscall` that have room for a jump together with it, and that can run at
/// another address.
const PRECEDING: [&[u8]; 4] = [
    // xor %edi,%edi; mov %edx,%eax: the exit of a thread.
    &[0x31, 0xff, 0x89, 0xd0],
    // mov %rsi,0x10(%rsi): the thread pointer of the first thread.
    &[0x48, 0x89, 0x76, 0x10],
    // lea (%rax,%rbx,1),%rdi; mov %esi,%eax: the end of the heap,
    &[0x48, 0x8d, 0x3c, 0x18, 0x89, 0xf0],
    // and xor %edi,%edi; mov %esi,%eax: where it is.
    &[0x31, 0xff, 0x89, 0xf0],
];

/// How far the load of a number may be from the `syscall`.
const LOOK: usize = 40;

/// `mov (%rax),%eax` and `mov (%rbx),%eax`, by which setxid loads its number in every thread, and
/// the end of `mov $15,%rax`, the return from a signal handler, which unwinders look for, too.
const HARMLESS: [&[u8]; 3] = [&[0x8b, 0x00], &[0x8b, 0x03], &[0xc7, 0xc0, 15, 0, 0, 0]];
/// Whether the bytes behind those of a `syscall` are the end of a distance or a constant: no compiler
/// continues with an `add` or the like of the memory that the result is the address of.
fn is_in_constant(ahead: &[u8], behind: &[u8]) -> bool {
    match behind {
        [0, ..] | [..0x20, 0, ..] => true,
        // A backward distance, of a call, a jump or an address. Behind a `syscall` these bytes could
        // only be a call or a jump.
        [0xe8 | 0xe9 | 0xeb, 0xff, ..] => false,
        [0xe0..=0xff, 0xff, ..] => match ahead {
            [.., 0xe8 | 0xe9] | [.., 0x0f, 0x80..0x90] => true,
            [.., 0x8d, operand] => operand & 0xc7 == 5,
            _ => false,
        },
        _ => false,
    }
}

/// The instructions by which glibc creates an epoll instance: `mov $number,%eax; syscall`.
const CREATE: [[u8; 7]; 2] = [[LOAD, 213, 0, 0, 0, 0x0f, 0x05], [LOAD, 35, 1, 0, 0, 0x0f, 0x05]];

/// Whether a program creates epoll instances, by its code. A C library that is linked statically has
/// only the functions that the program calls.
pub fn creates_instances(code: &[u8]) -> bool {
    code.windows(CREATE[0].len()).any(|bytes| bytes[0] == LOAD && CREATE.iter().any(|create| create == bytes))
}

/// The site at a `syscall`; `None` if the library does not want it.
pub fn site(code: &[u8], syscall: usize) -> Option<Result<Site, Missed>> {
    let (ahead, behind) = (&code[..syscall], syscall + SYSCALL.len());
    match before(ahead, Kind::StaticC) {
        Before::Load(number) if Kind::StaticC.wants(number) => {
            return Some(Ok(Site { start: syscall - LOAD_BYTES, syscall, end: behind }));
        }
        Before::Load(_) => return None,
        _ => {}
    }
    if let Some(comparison) = COMPARISONS.iter().find(|bytes| code[behind..].starts_with(bytes)) {
        return Some(Ok(Site { start: syscall, syscall, end: behind + comparison.len() }));
    }
    if let Some(bytes) = PRECEDING.iter().find(|bytes| ahead.ends_with(bytes)) {
        return Some(Ok(Site { start: syscall - bytes.len(), syscall, end: behind }));
    }
    if is_in_constant(ahead, &code[behind..]) || HARMLESS.iter().any(|bytes| ahead.ends_with(bytes)) {
        return None;
    }
    let window = &ahead[ahead.len().saturating_sub(LOOK)..];
    let load = window.windows(LOAD_BYTES).rposition(|bytes| bytes[0] == LOAD && bytes[3..] == [0, 0] && bytes[2] < 4);
    let number = load.map(|at| u32::from(window[at + 1]) | u32::from(window[at + 2]) << 8);
    match number {
        Some(number) if !Kind::StaticC.wants(number) => None,
        // Messages of glibc about itself, and the end of getifaddrs, whose socket nobody watches.
        Some(1) if window.windows(LOAD_BYTES).any(|bytes| bytes == [0xbf, 2, 0, 0, 0]) => None,
        Some(3) if ahead.ends_with(&[0x8b, 0x7d, 0xa0]) => None,
        _ => Some(Err(Missed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: [u8; 7] = [LOAD, 0, 0, 0, 0, 0x0f, 0x05];

    /// What is found at the `syscall` between these bytes.
    fn between(ahead: &[u8], behind: &[u8]) -> Option<Result<(usize, usize), Missed>> {
        let code = [ahead, &SYSCALL, behind, &[0x90; 16]].concat();
        site(&code, ahead.len()).map(|found| found.map(|site| (ahead.len() - site.start, site.end - ahead.len())))
    }

    #[test]
    fn the_forms_of_glibc_are_found() {
        assert_eq!(between(&READ[..5], &[0xc3]), Some(Ok((5, 2))));
        for comparison in COMPARISONS {
            assert_eq!(between(&[0x90], comparison), Some(Ok((0, 2 + comparison.len()))));
        }
        for preceding in PRECEDING {
            assert_eq!(between(preceding, &[0xc3]), Some(Ok((preceding.len(), 2))));
        }
    }

    #[test]
    fn a_number_that_is_not_wanted_may_have_any_form() {
        // getpid, with an instruction in between, and rt_sigprocmask.
        assert_eq!(between(&[LOAD, 39, 0, 0, 0, 0x89, 0xfb], &[0xc3]), None);
        assert_eq!(between(&[LOAD, 14, 0, 0, 0], &[0x85, 0xc0]), None);
    }

    #[test]
    fn an_unknown_form_is_missed() {
        // read, with an instruction in between; a number from another register; `mov %ebp,%eax`.
        assert_eq!(between(&[LOAD, 0, 0, 0, 0, 0x89, 0xfb], &[0xc3]), Some(Err(Missed)));
        assert_eq!(between(&[0x48, 0x89, 0xd8], &[0x85, 0xc0]), Some(Err(Missed)));
        assert_eq!(between(&[0x89, 0xe8], &[0xe8, 0xff, 0x10, 0, 0]), Some(Err(Missed)));
    }

    #[test]
    fn distances_are_no_instructions() {
        // call, forward and backward; jne; lea.
        for (ahead, behind) in [
            (&[0xe8][..], [0x05, 0x00]),
            (&[0xe8], [0xfd, 0xff]),
            (&[0x0f, 0x85], [0xfd, 0xff]),
            (&[0x48, 0x8d, 0x35], [0xf0, 0xff]),
            (&[0x48, 0x8d, 0x35], [0x05, 0x00]),
        ] {
            assert_eq!(between(ahead, &behind), None, "{ahead:x?} {behind:x?}");
        }
    }

    #[test]
    fn instances_are_created_by_either_number() {
        assert!(!creates_instances(&READ));
        for create in CREATE {
            assert!(creates_instances(&[&READ[..], &create].concat()));
        }
    }
}
