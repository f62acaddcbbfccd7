//! The headers of the guest's file.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use epolyfill_sites::{go, of_c};
use libc::{Elf64_Ehdr, Elf64_Phdr};

/// More program headers than any program has.
const MOST_HEADERS: usize = 128;
/// The most bytes of a note segment that are looked at.
const MOST_NOTES: u64 = 4096;

const ELFCLASS64: u8 = 2;
const ELFDATA2LSB: u8 = 1;

/// A file that can be loaded, as far as its headers say.
#[derive(Debug)]
pub struct Image {
    pub file: File,
    pub header: Elf64_Ehdr,
    pub headers: Vec<Elf64_Phdr>,
    /// Whether a C library is linked into it. A Go program has its own runtime only.
    pub has_c: bool,
}

impl Image {
    /// Reads the headers; the error is the end of a sentence.
    pub fn read(path: &CStr) -> Result<Image, String> {
        let file = File::open(OsStr::from_bytes(path.to_bytes())).map_err(|error| error.to_string())?;
        let mut bytes = [0; size_of::<Elf64_Ehdr>()];
        file.read_exact_at(&mut bytes, 0).map_err(|_| "it is not an ELF program")?;
        let header = checked(&bytes)?;
        let mut table = vec![0; usize::from(header.e_phnum) * size_of::<Elf64_Phdr>()];
        file.read_exact_at(&mut table, header.e_phoff).map_err(|_| "it is damaged: it ends amid its headers")?;
        let headers = table.chunks_exact(size_of::<Elf64_Phdr>());
        // SAFETY: every pattern of bits is a program header.
        let headers = headers.map(|bytes| unsafe { bytes.as_ptr().cast::<Elf64_Phdr>().read_unaligned() }).collect();
        let mut image = Image { file, header, headers, has_c: false };
        if !image.is_go() {
            if image.of_type(libc::PT_INTERP).next().is_some() {
                return Err("it is not a static program".to_owned());
            }
            image.has_c = true;
            return Ok(image);
        }
        // The mapping finds out whether it needs a library.
        let summary = go::Headers {
            is_fixed: header.e_type == libc::ET_EXEC,
            has_linker: image.of_type(libc::PT_INTERP).next().is_some(),
            has_thread_locals: image.of_type(libc::PT_TLS).next().is_some(),
            needs_library: false,
        };
        match summary.is_without_c() {
            true => Ok(image),
            false => Err("it is linked with C code; build it with CGO_ENABLED=0, or link it dynamically".to_owned()),
        }
    }

    /// The headers of a type.
    pub fn of_type(&self, kind: u32) -> impl Iterator<Item = &Elf64_Phdr> {
        self.headers.iter().filter(move |header| header.p_type == kind)
    }

    /// Whether the program creates epoll instances; true if its code cannot be read.
    pub fn creates_instances(&self) -> bool {
        let is_code = |header: &&Elf64_Phdr| header.p_flags & libc::PF_X != 0;
        let length = self.file.metadata().map_or(0, |metadata| metadata.len());
        self.of_type(libc::PT_LOAD).filter(is_code).any(|header| {
            if header.p_filesz > length {
                return true;
            }
            let mut code = vec![0; header.p_filesz as usize];
            self.file.read_exact_at(&mut code, header.p_offset).is_err() || of_c::creates_instances(&code)
        })
    }

    fn is_go(&self) -> bool {
        self.of_type(libc::PT_NOTE).any(|header| {
            let mut notes = vec![0; header.p_filesz.min(MOST_NOTES) as usize];
            self.file.read_exact_at(&mut notes, header.p_offset).is_ok() && go::has_build_id(&notes)
        })
    }
}

/// The header, if it is that of a program for this machine.
pub fn checked(bytes: &[u8; size_of::<Elf64_Ehdr>()]) -> Result<Elf64_Ehdr, &'static str> {
    // SAFETY: every pattern of bits is an ELF header.
    let header = unsafe { bytes.as_ptr().cast::<Elf64_Ehdr>().read_unaligned() };
    if !header.e_ident.starts_with(b"\x7fELF") {
        return Err("it is not an ELF program");
    }
    if header.e_ident[4] != ELFCLASS64 || header.e_ident[5] != ELFDATA2LSB || header.e_machine != libc::EM_X86_64 {
        return Err("it is for another machine than x86-64; use a build for x86-64");
    }
    if !matches!(header.e_type, libc::ET_EXEC | libc::ET_DYN) {
        return Err("it is not a program");
    }
    let is_odd = usize::from(header.e_phentsize) != size_of::<Elf64_Phdr>();
    if is_odd || header.e_phnum == 0 || usize::from(header.e_phnum) > MOST_HEADERS {
        return Err("it is damaged: its program headers make no sense");
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of a 64-bit program with one segment, with these bytes changed.
    fn header(changes: &[(usize, u8)]) -> Result<(), &'static str> {
        let mut bytes = [0; size_of::<Elf64_Ehdr>()];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        for (at, byte) in [(16, 2), (18, 62), (54, 56), (56, 1)].iter().chain(changes) {
            bytes[*at] = *byte;
        }
        checked(&bytes).map(drop)
    }

    #[test]
    fn programs_for_other_machines_and_other_files_are_refused() {
        assert_eq!(header(&[]), Ok(()));
        assert!(header(&[(1, b'M')]).unwrap_err().contains("not an ELF"));
        for other in [(4, 1), (5, 2), (18, 183)] {
            assert!(header(&[other]).unwrap_err().contains("another machine"));
        }
        assert!(header(&[(16, 1)]).unwrap_err().contains("not a program"));
        for odd in [(54, 32), (56, 0), (57, 1)] {
            assert!(header(&[odd]).unwrap_err().contains("damaged"));
        }
    }
}
