//! The forms of system calls in glibc, as it is linked into static programs.
//!
//! glibc has the two forms of Go's runtime, with other comparisons, and a few of its own where the
//! compiler has moved an instruction in between. A `syscall` in any other form has to be one whose
//! number the library does not want; otherwise it is missed.

use super::{LOAD, LOAD_BYTES, Missed, SYSCALL, Site, length};
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
    &WHERE_HEAP_ENDS,
];

/// `xor %edi,%edi; mov %esi,%eax`, before the brk(0) of `_dl_early_allocate`.
const WHERE_HEAP_ENDS: [u8; 4] = [0x31, 0xff, 0x89, 0xf0];

/// `mov (%rax),%eax` and `mov (%rbx),%eax`, by which setxid loads its number in every thread, and
/// the end of `mov $15,%rax`, the return from a signal handler, which unwinders look for, too.
const HARMLESS: [&[u8]; 3] = [&[0x8b, 0x00], &[0x8b, 0x03], &[0xc7, 0xc0, 15, 0, 0, 0]];

/// Whether the bytes behind those of a `syscall` are the end of a distance or a constant: no compiler
/// continues with an `add` or the like of the memory that the result is the address of.
fn is_in_constant(ahead: &[u8], behind: &[u8]) -> bool {
    match behind {
        [0, ..] | [..0x20, 0, ..] => true,
        // cmp %al,5(%rdi,%rcx,1) and a jump, in strcasestr. A call leaves the flags as they are, so no
        // compiler jumps by them behind it.
        [0x74 | 0x75, ..] => ahead.ends_with(&[0x38, 0x44]),
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

/// Whether a site is the first brk of `_dl_early_allocate`, which maps the memory of the first thread
/// if brk gives none. A program without it needs a heap at its start: glibc before 2.36 takes that
/// memory from brk, and does not check.
pub fn is_search_for_heap(code: &[u8], site: &Site) -> bool {
    code[site.start..site.syscall] == WHERE_HEAP_ENDS
}

/// Whether a program creates epoll instances, by its code. A C library that is linked statically has
/// only the functions that the program calls.
pub fn creates_instances(code: &[u8]) -> bool {
    code.windows(CREATE[0].len()).any(|bytes| bytes[0] == LOAD && CREATE.iter().any(|create| create == bytes))
}

/// The site at a `syscall`; `None` if the library does not want it.
pub fn site(code: &[u8], syscall: usize) -> Option<Result<Site, Missed>> {
    let (ahead, behind) = (&code[..syscall], syscall + SYSCALL.len());
    let load = loaded(ahead);
    match load {
        Some(number) if Kind::StaticC.wants(number) => {
            return Some(Ok(Site { start: syscall - LOAD_BYTES, syscall, end: behind }));
        }
        Some(_) => return None,
        None => {}
    }
    if let Some(comparison) = COMPARISONS.iter().find(|bytes| code[behind..].starts_with(bytes)) {
        return Some(Ok(Site { start: syscall, syscall, end: behind + comparison.len() }));
    }
    let begins = |bytes: &&&[u8]| ahead.strip_suffix(**bytes).is_some_and(|rest| !ends_with_prefix(rest));
    if let Some(bytes) = PRECEDING.iter().find(begins) {
        return Some(Ok(Site { start: syscall - bytes.len(), syscall, end: behind }));
    }
    if is_in_constant(ahead, &code[behind..]) || HARMLESS.iter().any(|bytes| ahead.ends_with(bytes)) {
        return None;
    }
    match between(ahead) {
        Some(number) if !Kind::StaticC.wants(number) => None,
        _ if is_seen_by_nobody(ahead) => None,
        _ => Some(Err(Missed)),
    }
}

/// Whether the last byte may be a prefix of what follows.
fn ends_with_prefix(code: &[u8]) -> bool {
    matches!(code, [.., 0x40..=0x4f | 0x66 | 0xf2 | 0xf3 | 0x0f])
}

/// The number that the last instruction loads in five bytes, if it certainly is such a load.
fn loaded(code: &[u8]) -> Option<u32> {
    let (rest, [LOAD, low, high, 0, 0]) = code.split_last_chunk()? else { return None };
    // Otherwise it is another register's, or a constant's that is stored.
    let is_clear = !ends_with_prefix(rest) && !matches!(rest, [.., 0xc7, _, 0x24] | [.., 0xc7, 0x40..=0x47]);
    is_clear.then_some(u32::from(*low) | u32::from(*high) << 8)
}

/// The most bytes between the load of a number and the `syscall`.
const MOST_BETWEEN: usize = 24;

/// The number of the last load. Every instruction between the load and the `syscall` must be known,
/// and must not write rax.
fn between(ahead: &[u8]) -> Option<u32> {
    (1..=MOST_BETWEEN.min(ahead.len())).find_map(|bytes| {
        let (load, rest) = ahead.split_at(ahead.len() - bytes);
        loaded(load).filter(|_| leaves_number(rest))
    })
}

/// Whether the code consists of whole instructions that certainly leave rax alone.
fn leaves_number(mut code: &[u8]) -> bool {
    while !code.is_empty() {
        let Some((length, true)) = length::leaves_rax(code) else { return false };
        code = &code[length..];
    }
    true
}

/// Whether the call is one of two that concern nobody: the message of glibc's that it has no memory,
/// and the close of getifaddrs, whose socket nobody watches.
fn is_seen_by_nobody(ahead: &[u8]) -> bool {
    const CLOSE: [u8; 8] = [LOAD, 3, 0, 0, 0, 0x8b, 0x7d, 0xa0];
    matches!(ahead, [.., 0xbf, 2, 0, 0, 0, LOAD, 1, 0, 0, 0, 0x48, 0x8d, 0x35, _, _, _, _]) || ahead.ends_with(&CLOSE)
}

/// Whether the code jumps into what a site's jump replaces, which are the bytes behind the first one,
/// or between the load of a number that is not wanted and the `syscall`: there the number may be
/// another one. The sites are in the order of their addresses.
pub fn is_entered(code: &[u8], sites: impl Fn(usize) -> Option<Site>, count: usize) -> bool {
    length::targets(code).any(|target| {
        let (mut low, mut high) = (0, count);
        // The first site that ends behind the target.
        while low < high {
            let middle = usize::midpoint(low, high);
            if sites(middle).is_some_and(|site| site.end <= target) { low = middle + 1 } else { high = middle }
        }
        sites(low).is_some_and(|site| site.start < target && target < site.end) || is_past_load(code, target)
    })
}

/// Whether the instructions at a target lead to a `syscall` that is left alone for the number that is
/// loaded ahead of the target.
fn is_past_load(code: &[u8], target: usize) -> bool {
    let mut at = target;
    while at - target <= MOST_BETWEEN {
        let Some(rest) = code.get(at..) else { return false };
        if rest.starts_with(&SYSCALL) {
            return site(code, at).is_none();
        }
        match length::leaves_rax(rest) {
            Some((length, true)) => at += length,
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: [u8; 7] = [LOAD, 0, 0, 0, 0, 0x0f, 0x05];

    /// The site at the `syscall` between these bytes.
    fn around(ahead: &[u8], behind: &[u8]) -> Option<Result<(usize, usize), Missed>> {
        let code = [ahead, &SYSCALL, behind, &[0x90; 16]].concat();
        site(&code, ahead.len()).map(|found| found.map(|site| (ahead.len() - site.start, site.end - ahead.len())))
    }

    #[test]
    fn the_forms_of_glibc_are_found() {
        assert_eq!(around(&READ[..5], &[0xc3]), Some(Ok((5, 2))));
        for comparison in COMPARISONS {
            assert_eq!(around(&[0x90], comparison), Some(Ok((0, 2 + comparison.len()))));
        }
        for preceding in PRECEDING {
            assert_eq!(around(preceding, &[0xc3]), Some(Ok((preceding.len(), 2))));
        }
    }

    #[test]
    fn a_number_that_is_not_wanted_may_have_any_form() {
        // rt_sigprocmask, and with instructions in between.
        assert_eq!(around(&[LOAD, 14, 0, 0, 0, 0x48, 0x8d, 0x35, 1, 2, 3, 4, 0x48, 0x83, 0xec, 8], &[0xc3]), None);
        assert_eq!(around(&[LOAD, 14, 0, 0, 0], &[0x85, 0xc0]), None);
    }

    #[test]
    fn an_unknown_form_is_missed() {
        // read and getpid, with an instruction in between that may be the load of another number; a
        // number from another register; `mov %ebp,%eax`.
        assert_eq!(around(&[LOAD, 0, 0, 0, 0, 0x89, 0xfb], &[0xc3]), Some(Err(Missed)));
        assert_eq!(around(&[LOAD, 39, 0, 0, 0, 0x89, 0xd8], &[0xc3]), Some(Err(Missed)));
        assert_eq!(around(&[LOAD, 39, 0, 0, 0, 0x58], &[0xc3]), Some(Err(Missed)));
        assert_eq!(around(&[0x48, 0x89, 0xd8], &[0x85, 0xc0]), Some(Err(Missed)));
        assert_eq!(around(&[0x89, 0xe8], &[0xe8, 0xff, 0x10, 0, 0]), Some(Err(Missed)));
    }

    #[test]
    fn a_load_that_may_be_another_registers_is_none() {
        // mov $10,%r8d; movl $10,-72(%rsp).
        for ahead in [&[0x41, LOAD, 10, 0, 0, 0][..], &[0xc7, 0x44, 0x24, LOAD, 10, 0, 0, 0]] {
            assert_eq!(around(ahead, &[0xc3]), Some(Err(Missed)));
            assert_eq!(around(ahead, COMPARISONS[0]), Some(Ok((0, 8))));
        }
        // xor %edi,%r15d is not xor %edi,%edi.
        assert_eq!(around(&[0x41, 0x31, 0xff, 0x89, 0xd0], &[0xc3]), Some(Err(Missed)));
    }

    #[test]
    fn a_jump_into_a_site_is_noticed() {
        // Two calls with one comparison: the first jumps to it.
        let code = [&SYSCALL[..], &[0xeb, 4, 0x90, 0x90], &SYSCALL, COMPARISONS[0], &[0xc3]].concat();
        let sites = [Site { start: 6, syscall: 6, end: 14 }];
        assert!(is_entered(&code, |index| sites.get(index).copied(), 1));
        let code = [&SYSCALL[..], &[0xeb, 2, 0x90, 0x90], &SYSCALL, COMPARISONS[0], &[0xc3]].concat();
        assert!(!is_entered(&code, |index| sites.get(index).copied(), 1));
        // The number of getpid or another one, and a jump to its load.
        let code = [&[0xeb, 5, LOAD, 39, 0, 0, 0][..], &SYSCALL, &[0xc3]].concat();
        assert!(is_entered(&code, |_| None, 0));
        let code = [&[0xeb, 0, LOAD, 39, 0, 0, 0][..], &SYSCALL, &[0xc3]].concat();
        assert!(!is_entered(&code, |_| None, 0));
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
            // cmp, with a jump.
            (&[0x38, 0x44], [0x74, 0xec]),
        ] {
            assert_eq!(around(ahead, &behind), None, "{ahead:x?} {behind:x?}");
        }
        assert_eq!(around(&[0x38, 0x44], &[0x85, 0xc0]), Some(Err(Missed)));
    }

    #[test]
    fn a_program_that_needs_a_heap_at_its_start_is_noticed() {
        let by_name = [LOAD, 12, 0, 0, 0, 0x0f, 0x05];
        let starts = |code: &[u8]| {
            let mut sites = super::super::find(code, Kind::StaticC).map_while(Result::ok);
            sites.any(|site| is_search_for_heap(code, &site))
        };
        assert!(!starts(&by_name));
        assert!(starts(&[&by_name[..], &WHERE_HEAP_ENDS, &SYSCALL].concat()));
    }

    #[test]
    fn instances_are_created_by_either_number() {
        assert!(!creates_instances(&READ));
        for create in CREATE {
            assert!(creates_instances(&[&READ[..], &create].concat()));
        }
    }
}
