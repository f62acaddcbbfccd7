//! The guest in memory, as the kernel would have mapped it.

use std::io::Error;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::ptr;

use libc::{Elf64_Phdr, PF_R, PF_W, PF_X, PT_DYNAMIC, PT_GNU_STACK, PT_LOAD, c_int, c_void};

use super::image::Image;

const PAGE: usize = 4096;
/// Where a position-independent guest goes: far from the libraries, and from the heap of Go, whose
/// first addresses are 0xc000000000 and, if they are taken, 0x1c000000000.
const HOME: usize = 1 << 40;

/// A file that no linker makes.
const DAMAGED: &str = "it is damaged: its segments make no sense";

const DT_NEEDED: usize = 1;
const DT_RELA: usize = 7;
const DT_RELASZ: usize = 8;
const DT_REL: usize = 17;
const DT_PLTRELSZ: usize = 2;
const R_X86_64_RELATIVE: usize = 8;

/// A mapped guest. It stays as long as the process.
#[derive(Debug)]
pub struct Mapping {
    pub headers: &'static [Elf64_Phdr],
    /// The address of the program headers in the guest; 0 if they are not mapped.
    pub table: usize,
    pub bias: usize,
    pub entry: usize,
}

impl Mapping {
    /// Maps a guest; the error is the end of a sentence.
    pub fn new(image: &Image) -> Result<Mapping, String> {
        let span = span(image)?;
        let bias = reserve(&span, image.header.e_type == libc::ET_DYN)?.wrapping_sub(span.start);
        let mut mapping = Mapping {
            headers: image.headers.clone().leak(),
            table: 0,
            bias,
            entry: bias.wrapping_add(image.header.e_entry as usize),
        };
        for header in image.of_type(PT_LOAD) {
            mapping.load(image, header)?;
            let into = image.header.e_phoff.wrapping_sub(header.p_offset);
            if into < header.p_filesz {
                mapping.table = bias.wrapping_add((header.p_vaddr + into) as usize);
            }
        }
        // A program with a C library relocates itself.
        if !image.has_c {
            mapping.relocate(image)?;
        }
        Ok(mapping)
    }

    fn load(&self, image: &Image, header: &Elf64_Phdr) -> Result<(), String> {
        let start = self.bias.wrapping_add(header.p_vaddr as usize);
        let (in_file, end) = (start + header.p_filesz as usize, start + header.p_memsz as usize);
        let first = start & !(PAGE - 1);
        let offset = header.p_offset as usize & !(PAGE - 1);
        let access = access(header);
        let failed = |error: Error| match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) if header.p_flags & PF_X != 0 => {
                format!("its code cannot be mapped: {error}; its file system may be mounted noexec")
            }
            _ => format!("it cannot be mapped: {error}"),
        };
        if header.p_filesz > 0 {
            let kind = libc::MAP_PRIVATE | libc::MAP_FIXED;
            map(first, in_file - first, access, kind, image.file.as_raw_fd(), offset).map_err(failed)?;
        }
        let page = in_file.next_multiple_of(PAGE);
        if end > in_file && header.p_flags & PF_W != 0 && header.p_filesz > 0 {
            // SAFETY: the rest of the last page, which is writable and the guest's.
            unsafe { ptr::write_bytes(in_file as *mut u8, 0, page.min(end) - in_file) };
        }
        if end > page {
            let kind = libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_ANONYMOUS;
            map(page, end - page, access, kind, -1, 0).map_err(failed)?;
        }
        Ok(())
    }

    /// Does what the dynamic linker would do for a program that needs no library: Go's linker makes
    /// position-independent programs of this kind.
    fn relocate(&self, image: &Image) -> Result<(), String> {
        const STRANGE: &str = "it has relocations of an unknown kind; build it without -buildmode=pie";
        let Some(section) = image.of_type(PT_DYNAMIC).next() else { return Ok(()) };
        // SAFETY: words of the mapped guest, which has not run.
        let entries: &[[usize; 2]] = unsafe { self.words(image, section.p_vaddr, section.p_memsz)? };
        let entries = || entries.iter().take_while(|[tag, _]| *tag != 0);
        let value = |wanted| entries().find(|[tag, _]| *tag == wanted).map(|entry| entry[1]);
        if value(DT_NEEDED).is_some() {
            return Err("it is dynamic: it needs libraries".to_owned());
        }
        if value(DT_REL).is_some() || value(DT_PLTRELSZ).is_some_and(|bytes| bytes > 0) {
            return Err(STRANGE.to_owned());
        }
        let (Some(table), Some(bytes)) = (value(DT_RELA), value(DT_RELASZ)) else { return Ok(()) };
        // SAFETY: as above; Go's linker puts the table where nothing is relocated.
        let table: &[[usize; 3]] = unsafe { self.words(image, table as u64, bytes as u64)? };
        for [offset, info, addend] in table {
            if *info != R_X86_64_RELATIVE || !is_loaded(image, *offset as u64, size_of::<usize>() as u64, PF_W) {
                return Err(STRANGE.to_owned());
            }
            let place = self.bias.wrapping_add(*offset) as *mut usize;
            // SAFETY: writable memory of the guest.
            unsafe { place.write_unaligned(self.bias.wrapping_add(*addend)) };
        }
        Ok(())
    }

    /// Records of words in the guest, by their address in the file.
    ///
    /// # Safety
    /// They must not change while they are used.
    unsafe fn words<T>(&self, image: &Image, address: u64, bytes: u64) -> Result<&'static [T], String> {
        if !is_loaded(image, address, bytes, PF_R) || !address.is_multiple_of(align_of::<T>() as u64) {
            return Err(DAMAGED.to_owned());
        }
        let start = self.bias.wrapping_add(address as usize) as *const T;
        // SAFETY: mapped memory of the guest; `T` is made of words.
        Ok(unsafe { std::slice::from_raw_parts(start, bytes as usize / size_of::<T>()) })
    }
}

/// Whether memory is in a segment that permits this access.
fn is_loaded(image: &Image, address: u64, bytes: u64, access: u32) -> bool {
    image.of_type(PT_LOAD).any(|header| {
        let end = header.p_vaddr + header.p_memsz;
        header.p_flags & access != 0
            && header.p_vaddr <= address
            && address.checked_add(bytes).is_some_and(|last| last <= end)
    })
}

/// Makes the stack executable for a guest that wants it, as the kernel does: functions within
/// functions have code there. What is above the caller's frame stays as it is.
pub fn prepare_stack(image: &Image) -> Result<(), String> {
    if !image.of_type(PT_GNU_STACK).any(|header| header.p_flags & PF_X != 0) {
        return Ok(());
    }
    let here = 0u8;
    let page = (&raw const here).addr() & !(PAGE - 1);
    let access = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC | libc::PROT_GROWSDOWN;
    // SAFETY: the pages are those of the stack, and lose no permission.
    match unsafe { libc::mprotect(page as *mut c_void, PAGE, access) } {
        0 => Ok(()),
        _ => Err(format!("its stack cannot be made executable: {}", Error::last_os_error())),
    }
}

/// The addresses from the first page of the first segment to the end of the last one.
fn span(image: &Image) -> Result<Range<usize>, String> {
    let length = image.file.metadata().map_err(|error| error.to_string())?.len();
    let (mut low, mut high) = (usize::MAX, 0);
    for header in image.of_type(PT_LOAD) {
        let end = header.p_vaddr.checked_add(header.p_memsz).filter(|end| *end < 1 << 46).ok_or(DAMAGED)?;
        let in_file = header.p_offset.checked_add(header.p_filesz).ok_or(DAMAGED)?;
        let is_bent = !((header.p_vaddr ^ header.p_offset) as usize).is_multiple_of(PAGE) && header.p_filesz > 0;
        if header.p_filesz > header.p_memsz || is_bent {
            return Err(DAMAGED.to_owned());
        }
        if in_file > length {
            return Err(format!("it is damaged: it has {length} of {in_file} bytes; reinstall it"));
        }
        low = low.min(header.p_vaddr as usize & !(PAGE - 1));
        high = high.max(end as usize);
    }
    match low >= high {
        true => Err(DAMAGED.to_owned()),
        false => Ok(low..high.next_multiple_of(PAGE)),
    }
}

/// Reserves the addresses of a guest; returns the first.
fn reserve(span: &Range<usize>, moves: bool) -> Result<usize, String> {
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let at = if moves { HOME } else { span.start };
    match map(at, span.len(), libc::PROT_NONE, kind | libc::MAP_FIXED_NOREPLACE, -1, 0) {
        Ok(found) if found == at => Ok(at),
        _ if moves => map(0, span.len(), libc::PROT_NONE, kind, -1, 0).map_err(|error| error.to_string()),
        Ok(_) => Err(format!("its addresses from {at:#x} on are in use; build it with -buildmode=pie")),
        Err(error) => {
            Err(format!("its addresses from {at:#x} on are not free ({error}); build it with -buildmode=pie"))
        }
    }
}

fn access(header: &Elf64_Phdr) -> c_int {
    let part = |flag, access| if header.p_flags & flag != 0 { access } else { 0 };
    part(PF_R, libc::PROT_READ) | part(PF_W, libc::PROT_WRITE) | part(PF_X, libc::PROT_EXEC)
}

fn map(at: usize, bytes: usize, access: c_int, kind: c_int, fd: c_int, offset: usize) -> Result<usize, Error> {
    // SAFETY: the addresses are the guest's, reserved for it, or free.
    match unsafe { libc::mmap(at as *mut c_void, bytes, access, kind, fd, offset as libc::off_t) } {
        libc::MAP_FAILED => Err(Error::last_os_error()),
        address => Ok(address.addr()),
    }
}
