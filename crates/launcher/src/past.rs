//! Programs whose epoll calls bypass libc: Go programs, whose system call instructions the library
//! rewrites, and programs with inline system calls. They are recognized by their file, so a system
//! call number that is computed goes unnoticed.

use super::dynamic::Dynamic;
use super::elf::{self, Elf, Segment};
use super::launch;
use crate::settings;
#[cfg(target_arch = "x86_64")]
use epolyfill_sites::direct;
use epolyfill_sites::entries::Part;
use epolyfill_sites::{self as sites, Kind, file, go, guest};
use std::collections::BTreeSet;
use std::io;

/// The sections that Go's linker adds to a program, with cgo or without, for `go version`.
const GO_SECTIONS: [&str; 2] = [".go.buildinfo", ".note.go.buildid"];
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";
/// The magic is at the beginning of the writable data where there are no sections.
const GO_LOOK: u64 = 64 << 10;

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
pub fn has_fsgsbase() -> bool {
    // SAFETY: a number in, a number out.
    guest::has_fsgsbase(unsafe { libc::getauxval(libc::AT_HWCAP2) })
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

/// Whether a program that is not Go's is static. The library decides by the same rule.
fn is_static_c(elf: &Elf) -> bool {
    file::is_static(&mut |offset, buffer| {
        let bytes = elf.bytes(offset, buffer.len() as u64);
        bytes.is_ok_and(|bytes| {
            bytes.len() == buffer.len() && {
                buffer.copy_from_slice(&bytes);
                true
            }
        })
    })
}

/// The library rewrites no more.
const MOST_SITES: usize = 512;

/// How many system call instructions of a static program with a C library are rewritten; or why none,
/// as the end of a clause. The library decides by the same rules.
fn known(elf: &Elf) -> Result<usize, &'static str> {
    const UNKNOWN: &str = ", and makes system calls by instructions that cannot be rewritten";
    let loaded: Vec<_> = elf.segments.iter().filter(|segment| segment.is_loaded()).collect();
    let bytes: Vec<_> =
        loaded.iter().map(|segment| elf.bytes(segment.offset, segment.size).unwrap_or_default()).collect();
    let parts = loaded.iter().zip(&bytes).map(|(segment, bytes)| Part { address: segment.address as usize, bytes });
    let parts: Vec<Part> = parts.collect();
    let mut code = loaded.iter().zip(&parts).filter(|(segment, _)| segment.is_code());
    let (Some((segment, code)), None) = (code.next(), code.next()) else { return Err(UNKNOWN) };
    if segment.is_writable() {
        return Err(UNKNOWN);
    }
    let mut sites: Vec<_> = sites::find(code.bytes, Kind::StaticC).collect::<Result<_, _>>().map_err(|_| UNKNOWN)?;
    sites::of_c::settle(*code, &parts, &mut sites).map_err(|_| UNKNOWN)?;
    let starts = sites::of_c::starts_without_heap(code.bytes, &sites);
    match sites.len() {
        count @ 1..=MOST_SITES if starts => Ok(count),
        1..=MOST_SITES => {
            Err(", and its C library is neither musl nor a glibc that starts without a heap by brk (2.36 does)")
        }
        _ => Err(UNKNOWN),
    }
}

/// How many instructions are rewritten when the loader loads a static program with a C library; the
/// error, if it cannot, is the predicate of a sentence.
pub fn loadable(elf: &Elf) -> Result<usize, String> {
    let raw = std::env::var_os(launch::variable(&settings::RAW)).unwrap_or_default();
    let is_off = settings::switch(raw.as_encoded_bytes()) == Some(false);
    let why = if cfg!(not(target_arch = "x86_64")) || !is_static_c(elf) {
        ", so it loads no libraries"
    } else if is_off {
        return Err("is statically linked, and EPOLYFILL_RAW=no leaves its system calls alone; unset it".to_owned());
    } else if !has_fsgsbase() {
        ", which takes a processor and a kernel (5.9 or later) with FSGSBASE"
    } else {
        match known(elf) {
            Ok(count) => return Ok(count),
            Err(why) => why,
        }
    };
    Err(format!("is statically linked{why}; a dynamically linked build can be served"))
}

/// How many system call instructions of a program that makes these epoll calls by its own the
/// library traps; or why none, as the end of a sentence. The library decides by the same rules.
pub fn trapped(elf: &Elf, dynamic: &Dynamic, own: &BTreeSet<&str>) -> Result<usize, String> {
    if cfg!(not(target_arch = "x86_64")) {
        return Err("which can be trapped on x86-64 only".to_owned());
    }
    if !is_whole(own) {
        return Err("which are too few for an event loop, and are left alone".to_owned());
    }
    if !is_of_rust(dynamic) {
        return Err("which the library serves in Go and Rust programs only".to_owned());
    }
    let raw = std::env::var_os(launch::variable(&settings::RAW)).unwrap_or_default();
    if settings::switch(raw.as_encoded_bytes()) == Some(false) {
        return Err("and EPOLYFILL_RAW=no leaves them alone".to_owned());
    }
    if elf.kind == elf::Kind::Fixed {
        return Err(
            "which cannot be trapped at fixed addresses, where programs that it starts have code too".to_owned()
        );
    }
    if !addresses_are_random() {
        return Err("which can be trapped at random addresses only, and those of this process are not".to_owned());
    }
    let code = elf.segments.iter().filter(|segment| segment.is_code());
    let code = code.map(|segment| elf.bytes(segment.offset, segment.size).unwrap_or_default());
    match code.map(|code| sites::syscalls(&code).count()).sum() {
        many if many > sites::MOST_TRAPPED => Err(format!("of which it has too many ({many})")),
        count => Ok(count),
    }
}

/// Whether Rust's standard library is in the program.
#[cfg(target_arch = "x86_64")]
fn is_of_rust(dynamic: &Dynamic) -> bool {
    direct::is_of_rust(dynamic.undefined.iter().map(Vec::as_slice))
}

/// Nothing is trapped elsewhere.
#[cfg(not(target_arch = "x86_64"))]
fn is_of_rust(_: &Dynamic) -> bool {
    false
}

/// Whether the kernel gives each program other addresses.
fn addresses_are_random() -> bool {
    const ASK: std::ffi::c_ulong = u32::MAX as std::ffi::c_ulong;
    // SAFETY: asks only.
    let personality = unsafe { libc::personality(ASK) };
    let setting = std::fs::read("/proc/sys/kernel/randomize_va_space").unwrap_or_default();
    personality & libc::ADDR_NO_RANDOMIZE == 0 && !setting.starts_with(b"0")
}

/// The names of the epoll calls that the program's code makes by inline system calls, as far as it is
/// searched.
pub fn own_calls(elf: &Elf) -> io::Result<BTreeSet<&'static str>> {
    let mut found = BTreeSet::new();
    let code = || elf.segments.iter().filter(|segment| segment.is_code());
    if code().map(|segment| segment.size).sum::<u64>() <= sites::MOST_CODE {
        for segment in code() {
            search(&elf.bytes(segment.offset, segment.size)?, &mut found);
        }
    }
    Ok(found)
}

/// Whether these calls suffice for using the kernel's epoll.
pub fn is_whole(calls: &BTreeSet<&str>) -> bool {
    let has = |beginning: &str| calls.iter().any(|call| call.starts_with(beginning));
    has("epoll_create") && has("epoll_ctl") && (has("epoll_wait") || has("epoll_pwait"))
}

#[cfg(not(target_arch = "x86_64"))]
const NAMES: [(libc::c_long, &str); 4] = [
    (libc::SYS_epoll_create1, "epoll_create1"),
    (libc::SYS_epoll_ctl, "epoll_ctl"),
    (libc::SYS_epoll_pwait, "epoll_pwait"),
    (libc::SYS_epoll_pwait2, "epoll_pwait2"),
];

/// The largest distance, in bytes, from the load of a system call number to the instruction.
#[cfg(not(target_arch = "x86_64"))]
const NEAR: usize = 48;

#[cfg(not(target_arch = "x86_64"))]
fn name_of(number: u32) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == libc::c_long::from(number)).map(|(_, name)| *name)
}

/// The library looks for the same.
#[cfg(target_arch = "x86_64")]
fn search(code: &[u8], found: &mut BTreeSet<&'static str>) {
    found.extend(direct::calls(code).names());
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
