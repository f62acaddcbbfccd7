//! Which files the loader can load, by their headers. This decides for a program that another one
//! executes, so it takes few reads and no memory but the stack.

use crate::go::{self, Headers};

/// The bytes of the file's header and of a program header.
const HEADER: usize = 64;
const SEGMENT: usize = 56;
/// A file with more program headers is none of Go's linker.
const MOST_SEGMENTS: usize = 24;
/// The most bytes of a note segment, and of the dynamic section, that are looked at.
const LOOK: usize = 512;

/// The header's beginning in a 64-bit file of little-endian order.
const MAGIC: [u8; 6] = *b"\x7fELF\x02\x01";
/// The types of a file: at a fixed address, and position-independent.
const FIXED: u16 = 2;
const INDEPENDENT: u16 = 3;
const X86_64: u16 = 62;

/// The types of program headers.
const DYNAMIC: u32 = 2;
const LINKER: u32 = 3;
const NOTE: u32 = 4;
const THREAD_LOCALS: u32 = 7;

/// The tags of the dynamic section that name a library and that have more flags, the flag of a
/// program, and the bytes of an entry.
const NEEDED: u64 = 1;
const FLAGS: u64 = 0x6fff_fffb;
const IS_PROGRAM: u64 = 0x0800_0000;
const ENTRY: usize = 16;

/// Reads a part of a file, from an offset; false if it is shorter.
pub type Read<'a> = &'a mut dyn FnMut(u64, &mut [u8]) -> bool;

fn half(bytes: &[u8], at: usize) -> u16 {
    bytes[at..at + 2].try_into().map_or(0, u16::from_le_bytes)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].try_into().map_or(0, u32::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].try_into().map_or(0, u64::from_le_bytes)
}

/// The beginning of a segment in the file.
fn part<'a>(read: Read, segment: &[u8], buffer: &'a mut [u8; LOOK]) -> Option<&'a [u8]> {
    let bytes = &mut buffer[..long(segment, 32).min(LOOK as u64) as usize];
    read(long(segment, 8), bytes).then_some(bytes)
}

/// The tags and values of a dynamic section.
fn entries(section: &[u8]) -> impl Iterator<Item = [u64; 2]> {
    section.chunks_exact(ENTRY).map(|entry| [long(entry, 0), long(entry, 8)])
}

/// Whether a file is a static program of x86-64: one of Go without C code, or one with a C library.
pub fn is_static(read: Read) -> bool {
    let mut header = [0; HEADER];
    if !read(0, &mut header) || !header.starts_with(&MAGIC) || half(&header, 18) != X86_64 {
        return false;
    }
    let (kind, size, count) = (half(&header, 16), half(&header, 54), usize::from(half(&header, 56)));
    if !matches!(kind, FIXED | INDEPENDENT) || usize::from(size) != SEGMENT || count > MOST_SEGMENTS {
        return false;
    }
    let mut table = [0; MOST_SEGMENTS * SEGMENT];
    let table = &mut table[..count * SEGMENT];
    if !read(long(&header, 32), table) {
        return false;
    }
    let of_type = |wanted| table.chunks_exact(SEGMENT).filter(move |segment| word(segment, 0) == wanted);
    let mut buffer = [0; LOOK];
    let (linker, thread_locals) = (of_type(LINKER).next(), of_type(THREAD_LOCALS).next());
    if !of_type(NOTE).any(|segment| part(read, segment, &mut buffer).is_some_and(go::has_build_id)) {
        // A dynamic linker is position-independent, has no thread-local memory, and is a library.
        let has_flag = |section: &[u8]| entries(section).any(|[tag, value]| tag == FLAGS && value & IS_PROGRAM != 0);
        let mut is_program = || of_type(DYNAMIC).any(|segment| part(read, segment, &mut buffer).is_some_and(has_flag));
        return linker.is_none() && (kind == FIXED || thread_locals.is_some() || is_program());
    }
    let names_library = |section: &[u8]| entries(section).any(|[tag, _]| tag == NEEDED);
    let headers = Headers {
        is_fixed: kind == FIXED,
        has_linker: linker.is_some(),
        has_thread_locals: thread_locals.is_some(),
        needs_library: of_type(DYNAMIC).any(|segment| part(read, segment, &mut buffer).is_some_and(names_library)),
    };
    headers.is_static() && headers.is_without_c()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const GO: &[u8] = b"\x04\0\0\0\x04\0\0\0\x04\0\0\0Go\0\0test";

    /// A file of a type, with these segments: their types, and their contents.
    fn file(kind: u16, segments: &[(u32, &[u8])]) -> Vec<u8> {
        let mut header = [0; HEADER];
        header[..6].copy_from_slice(&MAGIC);
        for (at, value) in [(16, kind), (18, X86_64), (32, HEADER as u16), (54, 56), (56, segments.len() as u16)] {
            header[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        let (mut table, mut contents) = (header.to_vec(), Vec::new());
        for (kind, bytes) in segments {
            let mut segment = [0; SEGMENT];
            segment[..4].copy_from_slice(&kind.to_le_bytes());
            let offset = HEADER + segments.len() * SEGMENT + contents.len();
            segment[8..16].copy_from_slice(&(offset as u64).to_le_bytes());
            segment[32..40].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
            table.extend(segment);
            contents.extend(*bytes);
        }
        [table, contents].concat()
    }

    fn loads(file: &[u8]) -> bool {
        is_static(&mut |offset, bytes| {
            let part = file.get(offset as usize..).and_then(|rest| rest.get(..bytes.len()));
            part.map(|part| bytes.copy_from_slice(part)).is_some()
        })
    }

    #[test]
    fn static_programs_of_go_are_found_by_their_headers() {
        let fixed = file(FIXED, &[(NOTE, GO)]);
        assert!(loads(&fixed));
        // It has no note of Go's, nor any sign of a program.
        assert!(!loads(&file(INDEPENDENT, &[(NOTE, &GO[..12])])));
        assert!(!loads(&file(FIXED, &[(NOTE, GO), (THREAD_LOCALS, b"")])));
        let mut needed = [0; 2 * ENTRY];
        assert!(loads(&file(INDEPENDENT, &[(LINKER, b"ld"), (DYNAMIC, &needed), (NOTE, GO)])));
        needed[ENTRY] = NEEDED as u8;
        assert!(!loads(&file(INDEPENDENT, &[(LINKER, b"ld"), (DYNAMIC, &needed), (NOTE, GO)])));
        assert!(!loads(&file(FIXED, &[(LINKER, b"ld"), (DYNAMIC, &needed), (NOTE, GO)])));
    }

    #[test]
    fn static_programs_with_a_c_library_are_found_by_their_headers() {
        for kind in [FIXED, INDEPENDENT] {
            assert!(loads(&file(kind, &[(NOTE, b""), (THREAD_LOCALS, b"")])));
            assert!(!loads(&file(kind, &[(LINKER, b"ld"), (THREAD_LOCALS, b"")])));
        }
        // As a dynamic linker.
        assert!(!loads(&file(INDEPENDENT, &[(DYNAMIC, &[0; ENTRY])])));
        // As with musl, which has no thread-local memory of its own.
        assert!(loads(&file(FIXED, &[])));
        let flags = [FLAGS.to_le_bytes(), IS_PROGRAM.to_le_bytes()].concat();
        assert!(loads(&file(INDEPENDENT, &[(DYNAMIC, &flags)])));
        assert!(!loads(&file(INDEPENDENT, &[(LINKER, b"ld"), (DYNAMIC, &flags)])));
    }

    #[test]
    fn a_damaged_file_is_none() {
        let whole = file(INDEPENDENT, &[(LINKER, b"ld"), (NOTE, GO)]);
        assert!(loads(&whole));
        for length in 0..whole.len() {
            assert!(!loads(&whole[..length]), "{length}");
        }
        for (at, byte) in [(4, 1), (16, 1), (18, 3), (54, 32), (57, 1), (39, 0xff), (HEADER + SEGMENT + 15, 0xff)] {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            assert!(!loads(&damaged), "{at}");
        }
    }
}
