//! Programs whose epoll calls bypass libc: Go programs, whose system call instructions the library
//! rewrites, and programs with inline system calls. They are recognized by their file, so a system
//! call number that is computed goes unnoticed.

use super::dynamic::Dynamic;
use super::elf::{self, Elf, Segment};
use super::launch;
use crate::settings;
use epolyfill_sites::{self as sites, Kind, go};
use std::collections::BTreeSet;
use std::io;

/// The sections that Go's linker adds to a program, with cgo or without, for `go version`.
const GO_SECTIONS: [&str; 2] = [".go.buildinfo", ".note.go.buildid"];
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";
/// The magic is at the beginning of the writable data where there are no sections.
const GO_LOOK: u64 = 64 << 10;

/// The most code that is searched for system calls.
const MOST_CODE: u64 = 128 << 20;

/// Whether the program contains Go's runtime, which waits by inline system calls, with cgo too.
pub fn is_go(elf: &Elf) -> io::Result<bool> {
    for section in GO_SECTIONS {
        if elf.has_section(section)? {
            return Ok(true);
        }
    }
    let Some(data) = elf.segments.iter().find(|segment| segment.is_writable()) else {
        return Ok(false);
    };
    let data = elf.bytes(data.offset, data.size.min(GO_LOOK))?;
    Ok(data.windows(GO_MAGIC.len()).any(|window| window == GO_MAGIC))
}

/// How a Go program is loaded. One without cgo needs no library, even if it is position-independent
/// and names a dynamic linker: the loader loads it, which makes its threads libc's.
pub fn kind(elf: &Elf, dynamic: &Dynamic) -> Kind {
    if headers(elf, dynamic).is_static() { Kind::Static } else { Kind::Dynamic }
}

fn headers(elf: &Elf, dynamic: &Dynamic) -> go::Headers {
    go::Headers {
        is_fixed: elf.kind == elf::Kind::Fixed,
        has_linker: elf.interpreter.is_some(),
        has_thread_locals: elf.segments.iter().any(|segment| segment.is_thread_local()),
        needs_library: !dynamic.needed.is_empty(),
    }
}

/// Whether programs may write the thread pointers fs and gs themselves, as the loader does.
fn has_fsgsbase() -> bool {
    const HWCAP2_FSGSBASE: libc::c_ulong = 1 << 1;
    // SAFETY: a number in, a number out.
    unsafe { libc::getauxval(libc::AT_HWCAP2) & HWCAP2_FSGSBASE != 0 }
}

/// How many instructions of a Go program the library rewrites when it is loaded; or why none, as
/// the predicate of a sentence. The library decides by the same rules.
pub fn rewritten(elf: &Elf, dynamic: &Dynamic) -> Result<usize, String> {
    let kind = kind(elf, dynamic);
    const OWN: &str = "is a Go program, which makes its own system calls";
    if cfg!(not(target_arch = "x86_64")) {
        return Err(format!("{OWN}; they can be rewritten on x86-64 only, so run it without epolyfill"));
    }
    let raw = std::env::var_os(launch::variable(&settings::RAW)).unwrap_or_default();
    if settings::switch(raw.as_encoded_bytes()) == Some(false) {
        return Err(format!("{OWN}, and EPOLYFILL_RAW=no leaves them alone; unset it"));
    }
    if kind == Kind::Static && !headers(elf, dynamic).is_without_c() {
        return Err(format!(
            "{OWN}, and is linked statically with C code; link it dynamically, or build it with CGO_ENABLED=0"
        ));
    }
    if kind == Kind::Static && !has_fsgsbase() {
        return Err(format!(
            "{OWN} and is static, which takes a processor and a kernel (5.9 or later) with FSGSBASE; build it with CGO_ENABLED=1"
        ));
    }
    if kind == Kind::Dynamic && !dynamic.undefined.contains(&b"pthread_create"[..]) {
        return Err(format!(
            "{OWN} and, without cgo, its own threads; build it with CGO_ENABLED=1, or run it without epolyfill"
        ));
    }
    let readable = |segment: &Segment| elf.bytes(segment.offset, segment.size).unwrap_or_default();
    let mut notes = elf.segments.iter().filter(|segment| segment.is_note());
    if !notes.any(|segment| go::has_build_id(&readable(segment))) {
        return Err(format!(
            "{OWN}, and has no build id, by which the library recognizes it; build it without -ldflags=-buildid="
        ));
    }
    let code: Vec<Vec<u8>> = elf.segments.iter().filter(|segment| segment.is_code()).map(readable).collect();
    let sites: Result<Vec<_>, _> = code.iter().flat_map(|code| sites::find(code, kind)).collect();
    match sites {
        Ok(sites) if !sites.is_empty() => Ok(sites.len()),
        _ => Err(format!("{OWN} by instructions of an unknown form; run it without epolyfill")),
    }
}

/// The names of the epoll calls that the program's code makes by inline system calls.
pub fn own_calls(elf: &Elf) -> io::Result<BTreeSet<&'static str>> {
    let mut found = BTreeSet::new();
    let mut rest = MOST_CODE;
    for segment in elf.segments.iter().filter(|segment| segment.is_code()) {
        let size = segment.size.min(rest);
        rest -= size;
        search(&elf.bytes(segment.offset, size)?, &mut found);
    }
    Ok(found)
}

/// Whether these calls suffice for using the kernel's epoll.
pub fn is_whole(calls: &BTreeSet<&str>) -> bool {
    let has = |beginning: &str| calls.iter().any(|call| call.starts_with(beginning));
    has("epoll_create") && has("epoll_ctl") && (has("epoll_wait") || has("epoll_pwait"))
}

#[cfg(target_arch = "x86_64")]
const NAMES: [(libc::c_long, &str); 6] = [
    (libc::SYS_epoll_create, "epoll_create"),
    (libc::SYS_epoll_create1, "epoll_create1"),
    (libc::SYS_epoll_ctl, "epoll_ctl"),
    (libc::SYS_epoll_wait, "epoll_wait"),
    (libc::SYS_epoll_pwait, "epoll_pwait"),
    (libc::SYS_epoll_pwait2, "epoll_pwait2"),
];

#[cfg(not(target_arch = "x86_64"))]
const NAMES: [(libc::c_long, &str); 4] = [
    (libc::SYS_epoll_create1, "epoll_create1"),
    (libc::SYS_epoll_ctl, "epoll_ctl"),
    (libc::SYS_epoll_pwait, "epoll_pwait"),
    (libc::SYS_epoll_pwait2, "epoll_pwait2"),
];

/// The largest distance, in bytes, from the load of a system call number to the instruction.
const NEAR: usize = 48;

fn name_of(number: u32) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == libc::c_long::from(number)).map(|(_, name)| *name)
}

/// `syscall`, preceded by `mov $number, %eax` or `mov $number, %rax`. In unoptimized code, where a
/// separate function makes the calls, the number is its first argument, `mov $number, %edi`; that
/// counts only if all calls that a program needs are made this way.
#[cfg(target_arch = "x86_64")]
fn search(code: &[u8], found: &mut BTreeSet<&'static str>) {
    const SYSCALL: &[u8] = &[0x0f, 0x05];
    let mut by_function = false;
    for at in code.windows(2).enumerate().filter(|(_, bytes)| *bytes == SYSCALL).map(|(at, _)| at) {
        let number = number_before(&code[at.saturating_sub(NEAR)..at]);
        by_function |= number.is_none();
        found.extend(number.and_then(name_of));
    }
    if by_function {
        let arguments = code.windows(6).filter(|bytes| bytes[0] != 0x41 && bytes[1] == 0xbf);
        let calls = arguments.filter_map(|bytes| name_of(u32::from_le_bytes(bytes[2..].try_into().ok()?))).collect();
        if is_whole(&calls) {
            found.extend(calls);
        }
    }
}

/// The number that was last loaded into the system call register.
#[cfg(target_arch = "x86_64")]
fn number_before(code: &[u8]) -> Option<u32> {
    (1..code.len().saturating_sub(4)).rev().find_map(|start| {
        let number = u32::from_le_bytes(code[start + 1..start + 5].try_into().ok()?);
        match (code[start - 1], code[start]) {
            // With the prefix 0x41 it is another register.
            (prefix, 0xb8) if prefix != 0x41 && number < 1024 => Some(number),
            (0xc7, 0xc0) if number < 1024 => Some(number),
            _ => None,
        }
    })
}

/// `svc #0`, with `mov w8, #number` before it.
#[cfg(target_arch = "aarch64")]
fn search(code: &[u8], found: &mut BTreeSet<&'static str>) {
    const SVC: u32 = 0xd400_0001;
    let words: Vec<u32> =
        code.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect();
    for at in words.iter().enumerate().filter(|(_, word)| **word == SVC).map(|(at, _)| at) {
        let before = &words[at.saturating_sub(NEAR / 4)..at];
        let sets_w8 = |word: &&u32| **word & 0x7fe0_001f == 0x5280_0008;
        let number = before.iter().rev().find(sets_w8).map(|word| word >> 5 & 0xffff);
        found.extend(number.and_then(name_of));
    }
}

/// `ecall`, with `li a7, number` before it, in its long or its compressed form.
#[cfg(target_arch = "riscv64")]
fn search(code: &[u8], found: &mut BTreeSet<&'static str>) {
    const ECALL: u32 = 0x0000_0073;
    let halves: Vec<u32> = code.chunks_exact(2).map(|half| u32::from(u16::from_le_bytes([half[0], half[1]]))).collect();
    let long = |at: usize| halves[at] | halves.get(at + 1).copied().unwrap_or(0) << 16;
    let number_at = |at: usize| match (long(at), halves[at]) {
        (word, _) if word & 0x000f_ffff == 0x0000_0893 => Some(word >> 20),
        (_, half) if half & 0xff83 == 0x4881 => Some(half >> 2 & 0x1f),
        _ => None,
    };
    for at in (0..halves.len()).filter(|at| long(*at) == ECALL) {
        let number = (at.saturating_sub(NEAR / 2)..at).rev().find_map(number_at);
        found.extend(number.and_then(name_of));
    }
}

/// Nothing is known of the instructions of other machines.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
fn search(_: &[u8], _: &mut BTreeSet<&'static str>) {}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    fn calls(code: &[u8]) -> Vec<&'static str> {
        let mut found = BTreeSet::new();
        search(code, &mut found);
        found.into_iter().collect()
    }

    #[test]
    fn the_number_is_the_last_one_put_into_the_register() {
        assert_eq!(calls(&[0x90, 0xb8, 0x23, 1, 0, 0, 0x31, 0xff, 0x0f, 0x05]), ["epoll_create1"]);
        assert_eq!(calls(&[0x48, 0xc7, 0xc0, 0xe9, 0, 0, 0, 0x0f, 0x05]), ["epoll_ctl"]);
        assert_eq!(calls(&[0x90, 0xb8, 0xe8, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0x0f, 0x05]), [""; 0]);
        assert_eq!(calls(&[0x41, 0xb8, 0xe8, 0, 0, 0, 0x0f, 0x05]), [""; 0]);
    }

    #[test]
    fn arguments_of_a_function_count_if_they_are_all_that_a_program_needs() {
        let mut code = vec![0x89, 0xf8, 0x0f, 0x05, 0x90, 0xbf, 0x23, 1, 0, 0, 0x90, 0xbf, 0xe9, 0, 0, 0, 0x90];
        assert_eq!(calls(&code), [""; 0]);
        code.extend([0xbf, 0xe8, 0, 0, 0]);
        assert_eq!(calls(&code), ["epoll_create1", "epoll_ctl", "epoll_wait"]);
    }
}

#[cfg(all(test, target_arch = "riscv64"))]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_the_last_one_put_into_the_register() {
        let calls = |code: &[u8]| {
            let mut found = BTreeSet::new();
            search(code, &mut found);
            found.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(calls(&[0xd1, 0x48, 0x01, 0x45, 0x73, 0, 0, 0]), ["epoll_create1"]);
        assert_eq!(calls(&[0x93, 0x08, 0x90, 0x1b, 0x73, 0, 0, 0]), ["epoll_pwait2"]);
        assert_eq!(calls(&[0xd1, 0x48, 0x85, 0x48, 0x73, 0, 0, 0]), [""; 0]);
    }
}
