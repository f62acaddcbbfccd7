//! The system calls of C libraries as they are linked into static programs, glibc's and musl's.
//!
//! Compilers inline them, in many forms. A `syscall` is left alone if the library certainly does not
//! want its number. Every other one is moved with its neighbours (`moved`), unless the
//! program leads into them.

use super::entries::{self, Entry, Part};
use super::moved::{Ahead, Found};
use super::{LOAD, Missed, SYSCALL, Site, length};
use crate::numbers::Kind;

/// `xor %edi,%edi; mov %esi,%eax`, before the brk(0) of glibc's `_dl_early_allocate`.
const WHERE_HEAP_ENDS: [u8; 4] = [0x31, 0xff, 0x89, 0xf0];

/// musl's `__set_thread_area`, which every program calls at its start.
const SET_THREAD_AREA: [u8; 16] = [0x48, 0x89, 0xfe, 0xbf, 0x02, 0x10, 0, 0, LOAD, 158, 0, 0, 0, 0x0f, 0x05, 0xc3];

/// musl's `__unmapself` before its last `syscall`: munmap of the stack, `xor %rdi,%rdi`, exit.
const UNMAP_STACK: [u8; 15] = [LOAD, 11, 0, 0, 0, 0x0f, 0x05, 0x48, 0x31, 0xff, LOAD, 60, 0, 0, 0];

/// The numbers of the calls that create an epoll instance.
const CREATE: [u32; 2] = [213, 291];
/// The numbers of the calls that do not return: another function may follow.
const LEAVE: [u32; 2] = [60, 231];

/// Whether a site is the first brk of `_dl_early_allocate`, which maps the memory of the first thread
/// if brk gives none. A glibc without it needs a heap at its start: before 2.36 it takes that memory
/// from brk, and does not check.
fn is_search_for_heap(code: &[u8], site: &Site) -> bool {
    code[..site.syscall].ends_with(&WHERE_HEAP_ENDS)
}

/// Whether musl is linked into a program.
pub fn is_of_musl(code: &[u8]) -> bool {
    let end = |syscall: usize| syscall + SYSCALL.len() + 1;
    super::syscalls(code).any(|at| code.get(..end(at)).is_some_and(|code| code.ends_with(&SET_THREAD_AREA)))
}

/// Whether a program starts without a heap by brk: with musl, or with glibc 2.36.
pub fn starts_without_heap(code: &[u8], sites: &[Site]) -> bool {
    sites.iter().any(|site| is_search_for_heap(code, site)) || is_of_musl(code)
}

/// Whether a site is the exit of a thread that has unmapped its stack.
pub fn is_without_stack(code: &[u8], site: &Site) -> bool {
    code[..site.syscall].ends_with(&UNMAP_STACK)
}

/// Whether a program creates epoll instances, by its code. A C library that is linked statically has
/// only the functions that the program calls.
pub fn creates_instances(code: &[u8]) -> bool {
    super::syscalls(code).any(|at| match Ahead::of(code, at) {
        Found::Behind(ahead) => ahead.number(code).is_some_and(|number| CREATE.contains(&number)),
        Found::Part | Found::Unclear => false,
    })
}

/// The site at a `syscall`; `None` if the library does not want it.
pub fn site(code: &[u8], syscall: usize) -> Option<Result<Site, Missed>> {
    match Ahead::of(code, syscall) {
        Found::Behind(ahead) => match ahead.number(code) {
            Some(number) if !Kind::StaticC.wants(number) => None,
            _ => Some(candidates(code, ahead).next().ok_or(Missed)),
        },
        Found::Part => None,
        Found::Unclear => Some(Err(Missed)),
    }
}

/// The sites that a `syscall` may have, the best one first.
fn candidates(code: &[u8], ahead: Ahead) -> impl Iterator<Item = Site> {
    let leaves = ahead.number(code).is_some_and(|number| LEAVE.contains(&number));
    ahead.sites(code).filter(move |site| !leaves || site.end == site.syscall + SYSCALL.len())
}

/// The bytes of a large function, in which a jump may lead anywhere.
const LARGE: usize = 8192;

/// How often the sites are changed at most.
const ROUNDS: usize = 8;

/// Changes the sites of a code until nothing leads into what their jumps replace, behind the first
/// byte. `parts` are those of the program, with the code among them; the sites are in the order of
/// their addresses.
pub fn settle(code: Part, parts: &[Part], sites: &mut [Site]) -> Result<(), Missed> {
    for index in 1..sites.len() {
        if sites[index].start < sites[index - 1].end {
            change(code.bytes, sites, index, None)?;
        }
    }
    for round in 0..ROUNDS {
        if keep_entries_out(code, parts, sites, round == 0)? {
            return Ok(());
        }
    }
    Err(Missed)
}

/// Looks at every entry once. False if a site was changed, whose bytes may have had one before. The
/// first round also looks for what is overlooked, which no change of the sites concerns.
fn keep_entries_out(code: Part, parts: &[Part], sites: &mut [Site], is_first: bool) -> Result<bool, Missed> {
    let mut is_settled = true;
    for entry in entries::find(code, parts) {
        let target = match entry {
            Entry::Near(base) if sites.iter().any(|site| base.abs_diff(site.start) < LARGE) => return Err(Missed),
            Entry::Near(_) => continue,
            Entry::Jump(target) | Entry::Address(target) => target,
            Entry::Constant(target, _) | Entry::Case(target, _) => target,
        };
        if is_first && leads_to_overlooked(code.bytes, entry) {
            return Err(Missed);
        }
        let index = sites.partition_point(|site| site.end <= target);
        if sites.get(index).is_some_and(|site| is_inside(code.bytes, site, target)) {
            change(code.bytes, sites, index, Some(target))?;
            is_settled = false;
        }
    }
    Ok(is_settled)
}

/// Whether one of a site's instructions begins there, and it is not the first.
fn is_inside(code: &[u8], site: &Site, target: usize) -> bool {
    let mut at = site.start;
    while at < target {
        let Some(length) = length::of(&code[at..]) else { return true };
        at += length;
    }
    at == target && site.start < target && target < site.end
}

/// Takes the next one of the candidates for a site that touches neither its neighbours nor a target.
fn change(code: &[u8], sites: &mut [Site], index: usize, target: Option<usize>) -> Result<(), Missed> {
    let now = sites[index];
    let Found::Behind(ahead) = Ahead::of(code, now.syscall) else { return Err(Missed) };
    let low = index.checked_sub(1).map_or(0, |before| sites[before].end);
    let high = sites.get(index + 1).map_or(code.len(), |next| next.start);
    let fits = |site: &Site| {
        low <= site.start && site.end <= high && !target.is_some_and(|target| is_inside(code, site, target))
    };
    sites[index] = candidates(code, ahead).skip_while(|site| *site != now).skip(1).find(fits).ok_or(Missed)?;
    Ok(())
}

/// The most bytes between the load of a number and the `syscall`.
const MOST_BETWEEN: usize = 24;

/// Whether an entry leads to a `syscall` that is left alone and should not be.
fn leads_to_overlooked(code: &[u8], entry: Entry) -> bool {
    let is_near = |target: usize, origin: usize| origin.abs_diff(target) < LARGE;
    match entry {
        Entry::Jump(target) | Entry::Address(target) => overlooked(code, target).is_some(),
        // It may be a number that looks like an address. A label is one of the same function.
        Entry::Constant(target, origin) => match overlooked(code, target) {
            Some(Overlooked::OtherNumber) => is_near(target, origin),
            found => found.is_some(),
        },
        // Beyond the end of a table are the cases of other functions.
        Entry::Case(target, origin) => {
            is_near(target, origin) && overlooked(code, target) == Some(Overlooked::OtherNumber)
        }
        Entry::Near(_) => false,
    }
}

/// The reason why a `syscall` that is left alone should not be, seen from where the program enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overlooked {
    /// The number is loaded ahead of the entry, and may be another one here.
    OtherNumber,
    /// It was read as a part of another instruction.
    Instruction,
}

/// The reason for the `syscall` to which the instructions at a target lead; `None` if there is none.
fn overlooked(code: &[u8], target: usize) -> Option<Overlooked> {
    let end = code.len().min(target.saturating_add(MOST_BETWEEN + SYSCALL.len()));
    // Most targets are far from any.
    super::syscalls(code.get(target..end)?).next()?;
    let (mut at, mut leaves_number) = (target, true);
    while at < end {
        let rest = code.get(at..)?;
        if rest.starts_with(&SYSCALL) {
            return match Ahead::of(code, at) {
                Found::Behind(ahead) => (leaves_number && ahead.begins(target) && site(code, at).is_none())
                    .then_some(Overlooked::OtherNumber),
                Found::Part => Some(Overlooked::Instruction),
                Found::Unclear => None,
            };
        }
        let (length, leaves_rax) = length::leaves_rax(rest)?;
        leaves_number &= leaves_rax;
        at += length;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const READ: [u8; 7] = [LOAD, 0, 0, 0, 0, 0x0f, 0x05];

    /// The site at the `syscall` between these bytes: how far it reaches to either side.
    fn around(ahead: &[u8], behind: &[u8]) -> Option<Result<(usize, usize), Missed>> {
        let code = [ahead, &SYSCALL, behind, &[0xc3; 16]].concat();
        site(&code, ahead.len()).map(|found| found.map(|site| (ahead.len() - site.start, site.end - ahead.len())))
    }

    /// The sites of a code at address 0x1000, after they were settled with these other parts.
    fn settled(code: &[u8], others: &[Part]) -> Result<Vec<(usize, usize)>, Missed> {
        let code = Part { address: 0x1000, bytes: code };
        let mut sites = super::super::find(code.bytes, Kind::StaticC).collect::<Result<Vec<_>, _>>()?;
        settle(code, &[&[code], others].concat(), &mut sites)?;
        Ok(sites.iter().map(|site| (site.start, site.end)).collect())
    }

    #[test]
    fn neighbours_make_room() {
        // The load of a wanted number; musl's epoll_ctl, clone and dup2, and glibc's `cmp $-4096,%rax`.
        assert_eq!(around(&READ[..5], &[]), Some(Ok((5, 2))));
        assert_eq!(around(&[LOAD, 0xe9, 0, 0, 0], &[0x48, 0x89, 0xc7]), Some(Ok((5, 2))));
        assert_eq!(around(&[0xb0, 0x38, 0x48, 0x89, 0x0e], &[0x85, 0xc0, 0x75, 0x0f]), Some(Ok((3, 2))));
        assert_eq!(around(&[0x4c, 0x89, 0xc0], &[0x83, 0xf8, 0xf0, 0x74, 0xf6]), Some(Ok((3, 2))));
        assert_eq!(around(&[0x90], &[0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff]), Some(Ok((0, 8))));
        // `mov %ebx,%eax; xor %edi,%edi`, on both sides, and two behind.
        assert_eq!(around(&[0x89, 0xd8, 0x31, 0xff], &[]), Some(Ok((4, 2))));
        assert_eq!(around(&[0x90, 0x89, 0xd8], &[0x85, 0xc0]), Some(Ok((2, 4))));
        assert_eq!(around(&[0x90], &[0x85, 0xc0, 0x89, 0xc7]), Some(Ok((0, 6))));
    }

    #[test]
    fn neighbours_that_cannot_move_make_none() {
        for (ahead, behind) in [
            // nop and ret; a call; a jump by a condition; lea of an address.
            (&[0x90][..], &[0xc3][..]),
            (&[0xe8, 1, 2, 3, 4], &[0xe8, 1, 2, 3, 4]),
            (&[0x75, 3], &[0x75, 3]),
            (&[0x48, 0x8d, 0x3d, 1, 2, 3, 4], &[0xc3]),
            // xor %ecx,%ecx and mov %rax,%r11 would be lost.
            (&[0x90], &[0x31, 0xc9, 0x48, 0x89, 0xc7]),
            (&[0x90], &[0x49, 0x89, 0xc3]),
            // mov %esp,%gs.
            (&[0x90, 0x8e, 0xec], &[0xc3]),
        ] {
            assert_eq!(around(ahead, behind), Some(Err(Missed)), "{ahead:x?} {behind:x?}");
        }
    }

    #[test]
    fn what_follows_an_exit_stays() {
        // A function at once: xor %edi,%edi; mov $231,%eax; and lea of an address in between.
        assert_eq!(around(&[0x31, 0xff, LOAD, 231, 0, 0, 0], &[0x48, 0x89, 0xc7]), Some(Ok((5, 2))));
        assert_eq!(around(&[LOAD, 60, 0, 0, 0, 0x48, 0x8d, 0x3d, 1, 2, 3, 4], &[0x48, 0x89, 0xc7]), Some(Err(Missed)));
    }

    #[test]
    fn a_number_that_is_not_wanted_may_have_any_form() {
        // rt_sigprocmask, with instructions in between, and rt_sigreturn.
        assert_eq!(around(&[LOAD, 14, 0, 0, 0, 0x48, 0x8d, 0x35, 1, 2, 3, 4, 0x48, 0x83, 0xec, 8], &[]), None);
        assert_eq!(around(&[LOAD, 14, 0, 0, 0], &[0x85, 0xc0]), None);
        assert_eq!(around(&[0x48, 0xc7, 0xc0, 15, 0, 0, 0], &[]), None);
        // getpid, but with an instruction that may load another number, or of r8.
        assert_eq!(around(&[LOAD, 39, 0, 0, 0, 0x89, 0xd8], &[]), Some(Ok((7, 2))));
        assert_eq!(around(&[0x41, LOAD, 39, 0, 0, 0], &[]), Some(Ok((6, 2))));
        assert_eq!(around(&[LOAD, 39, 0, 0, 0, 0x58], &[0x90]), Some(Ok((6, 2))));
    }

    #[test]
    fn a_part_of_another_instruction_is_none() {
        for (ahead, behind) in [
            // call, forward and backward; jne; lea; mov to memory at a distance.
            (&[0xe8][..], &[0x05, 0x00][..]),
            (&[0xe8], &[0xfd, 0xff]),
            (&[0x0f, 0x85], &[0xfd, 0xff]),
            (&[0x48, 0x8d, 0x35], &[0x05, 0x00]),
            (&[0x48, 0x89, 0x1d], &[0x23, 0x00]),
            // cmp %al,5(%rdi,%rcx,1).
            (&[0x38, 0x44], &[0x74, 0xec]),
        ] {
            assert_eq!(around(ahead, behind), None, "{ahead:x?} {behind:x?}");
        }
    }

    #[test]
    fn nothing_leads_into_a_site() {
        // jmp to 4; nop; mov %ebx,%eax; xor %edi,%edi; syscall; test %eax,%eax; mov %eax,%edi; ret.
        let mut code = [0xeb, 1, 0x90, 0x89, 0xd8, 0x31, 0xff, 0x0f, 0x05, 0x85, 0xc0, 0x89, 0xc7, 0xc3];
        assert_eq!(settled(&code, &[]), Ok([(3, 9)].into()));
        code[1] = 3;
        assert_eq!(settled(&code, &[]), Ok([(5, 11)].into()));
        code[1] = 5;
        assert_eq!(settled(&code, &[]), Ok([(7, 13)].into()));
        // Into the middle of an instruction: that is no jump.
        code[1] = 2;
        assert_eq!(settled(&code, &[]), Ok([(3, 9)].into()));
        // Two more, to 5 and 7; to 5 and 9, behind the syscall.
        let both = [&code[..], &[0xeb, 0xf5, 0xeb, 0xf5]].concat();
        assert_eq!(settled(&both, &[]), Ok([(7, 13)].into()));
        let both = [&code[..], &[0xeb, 0xf5, 0xeb, 0xf7]].concat();
        assert_eq!(settled(&both, &[]), Err(Missed));
    }

    #[test]
    fn neither_does_an_address_nor_a_switch() {
        let code = [0x90, 0x89, 0xd8, 0x31, 0xff, 0x0f, 0x05, 0x85, 0xc0, 0xc3];
        assert_eq!(settled(&code, &[]), Ok([(1, 7)].into()));
        let word = 0x1003usize.to_le_bytes();
        assert_eq!(settled(&code, &[Part { address: 0x2000, bytes: &word }]), Ok([(3, 9)].into()));
        // Not aligned.
        let bytes = [&[0; 4][..], &word].concat();
        assert_eq!(settled(&code, &[Part { address: 0x2000, bytes: &bytes }]), Ok([(1, 7)].into()));
        // lea 0x1009+7+0xff0=0x2000,%rdx, and a table there whose second distance leads to 0x1003.
        let code = [&code[..9], &[0x48, 0x8d, 0x15, 0xf0, 0x0f, 0, 0, 0xc3]].concat();
        let table = [0x1001 - 0x2000, 0x1003 - 0x2000, 0x1005].map(i32::to_le_bytes).concat();
        assert_eq!(settled(&code, &[Part { address: 0x2000, bytes: &table }]), Ok([(3, 9)].into()));
        assert_eq!(settled(&code, &[]), Ok([(1, 7)].into()));
    }

    #[test]
    fn neither_does_an_address_in_an_instruction_at_a_fixed_address() {
        // movq $0x1003,(%rdi), as of a label in C. A program that begins at 0 is position-independent.
        let code = [0x90, 0x89, 0xd8, 0x31, 0xff, 0x0f, 0x05, 0x85, 0xc0, 0x48, 0xc7, 0x07, 0x03, 0x10, 0, 0, 0xc3];
        assert_eq!(settled(&code, &[]), Ok([(3, 9)].into()));
        assert_eq!(settled(&code, &[Part { address: 0, bytes: &[] }]), Ok([(1, 7)].into()));
    }

    #[test]
    fn a_jump_to_a_distance_from_a_label_is_noticed() {
        // mov %ebx,%eax; xor %edi,%edi; syscall; lea 0(%rip),%rdx; add %rdx,%rax; jmp *%rax.
        let mut code =
            [0x89, 0xd8, 0x31, 0xff, 0x0f, 0x05, 0x48, 0x8d, 0x15, 0, 0, 0, 0, 0x48, 0x01, 0xd0, 0xff, 0xe0, 0xc3];
        assert_eq!(settled(&code, &[]), Err(Missed));
        // From a table in the data, as of a `switch`; the register has no part in the sum.
        code[10] = 0x10;
        assert_eq!(settled(&code, &[]), Ok([(0, 6)].into()));
        (code[8], code[10]) = (0x1d, 0);
        assert_eq!(settled(&code, &[]), Ok([(0, 6)].into()));
        // add $0x1003,%rax; jmp *%rax, at a fixed address.
        let code = [&code[..6], &[0x48, 0x05, 0x03, 0x10, 0, 0, 0xff, 0xe0, 0xc3]].concat();
        assert_eq!(settled(&code, &[]), Err(Missed));
        assert_eq!(settled(&code, &[Part { address: 0, bytes: &[] }]), Ok([(4, 12)].into()));
    }

    #[test]
    fn sites_do_not_overlap() {
        // nop; syscall; mov %rax,%rdi; syscall; test %eax,%eax; mov %eax,%edi.
        let code = [0x90, 0x0f, 0x05, 0x48, 0x89, 0xc7, 0x0f, 0x05, 0x85, 0xc0, 0x89, 0xc7, 0xc3];
        assert_eq!(settled(&code, &[]), Ok([(1, 6), (6, 12)].into()));
        assert_eq!(settled(&[&code[..8], &[0xc3]].concat(), &[]), Err(Missed));
    }

    #[test]
    fn a_jump_past_the_load_of_a_number_is_noticed() {
        // getpid or another number, and a jump to its load.
        let code = [&[0xeb, 5, LOAD, 39, 0, 0, 0][..], &SYSCALL, &[0xc3]].concat();
        assert_eq!(settled(&code, &[]), Err(Missed));
        let code = [&[0xeb, 0, LOAD, 39, 0, 0, 0][..], &SYSCALL, &[0xc3]].concat();
        assert_eq!(settled(&code, &[]), Ok([].into()));
    }

    #[test]
    fn so_is_a_case_past_the_load_of_a_number() {
        // lea 0xff9(%rip),%rdx, which is 0x2000, and getpid; a table there that leads to its syscall.
        let code = [&[0x48, 0x8d, 0x15, 0xf9, 0x0f, 0, 0, LOAD, 39, 0, 0, 0][..], &SYSCALL, &[0xc3]].concat();
        let settled = |target: i32| {
            let table = (target - 0x2000).to_le_bytes();
            settled(&code, &[Part { address: 0x2000, bytes: &table }])
        };
        assert_eq!(settled(0x100c), Err(Missed));
        assert_eq!(settled(0x1007), Ok([].into()));
        // Another function's.
        let code = [&code[..7], &[0xc3; LARGE], &code[7..]].concat();
        let table = (0x100c - 0x2000 + LARGE as i32).to_le_bytes();
        assert_eq!(super::tests::settled(&code, &[Part { address: 0x2000 + LARGE, bytes: &table }]), Ok([].into()));
    }

    #[test]
    fn so_is_a_label_past_it_and_not_a_number() {
        // getpid; and mov $0x1005,%ecx, which is the address of its syscall.
        let code = [&[LOAD, 39, 0, 0, 0][..], &SYSCALL, &[0xc3]].concat();
        let constant = [0xb9, 0x05, 0x10, 0, 0];
        assert_eq!(settled(&[&code[..], &constant].concat(), &[]), Err(Missed));
        assert_eq!(settled(&[&code[..], &[0xc3; LARGE], &constant].concat(), &[]), Ok([].into()));
    }

    #[test]
    fn a_call_of_what_seems_to_be_a_part_of_an_instruction_is_noticed() {
        // The last byte of "PATH" is a prefix. A function that loads a wanted number follows.
        let code = [&b"PATH"[..], &READ, &[0xc3, 0x90, 0x90, 0x90, 0x90]].concat();
        assert_eq!(site(&code, 9), None);
        assert_eq!(settled(&code, &[]), Ok([].into()));
        let call = [&code[..], &[0xe8, 0xef, 0xff, 0xff, 0xff]].concat();
        assert_eq!(settled(&call, &[]), Err(Missed));
        let word = 0x1004usize.to_le_bytes();
        assert_eq!(settled(&code, &[Part { address: 0x2000, bytes: &word }]), Err(Missed));
    }

    #[test]
    fn the_c_library_is_known_by_its_start() {
        let sites = |code: &[u8]| super::super::find(code, Kind::StaticC).flatten().collect::<Vec<_>>();
        let starts = |code: &[u8]| starts_without_heap(code, &sites(code));
        let by_name = [LOAD, 12, 0, 0, 0, 0x0f, 0x05];
        assert!(!starts(&by_name));
        assert!(starts(&[&by_name[..], &WHERE_HEAP_ENDS, &SYSCALL].concat()));
        assert!(!is_of_musl(&[&by_name[..], &WHERE_HEAP_ENDS, &SYSCALL].concat()));
        assert!(is_of_musl(&SET_THREAD_AREA) && starts(&SET_THREAD_AREA));
        assert!(!is_of_musl(&SET_THREAD_AREA[..15]));
    }

    #[test]
    fn the_exit_without_a_stack_is_known() {
        let code = [&UNMAP_STACK[..], &SYSCALL].concat();
        let last = site(&code, 15).unwrap().unwrap();
        assert!(is_without_stack(&code, &last));
        assert!(!is_without_stack(&code[1..], &Site { start: 9, syscall: 14, end: 16 }));
    }

    #[test]
    fn instances_are_created_by_either_number() {
        assert!(!creates_instances(&READ));
        for number in CREATE {
            let load = [&[LOAD][..], &number.to_le_bytes()].concat();
            assert!(creates_instances(&[&READ[..], &load, &SYSCALL].concat()));
            // mov %rdi,%rdx in between, as in musl.
            assert!(creates_instances(&[&READ[..], &load, &[0x48, 0x89, 0xfa], &SYSCALL].concat()));
        }
    }
}
