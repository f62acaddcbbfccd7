//! The main program as it is in memory, found through its program headers.

use std::ops::Range;

use epolyfill_sites::entries::Part;
use epolyfill_sites::go;
use libc::{AT_PHDR, AT_PHNUM, Elf64_Phdr, PF_R, PF_W, PF_X, PT_DYNAMIC, PT_LOAD, PT_NOTE, PT_PHDR};

/// An entry of the dynamic section: its tag, and its value.
type Entry = [usize; 2];
/// The tags of the strings and of their length, and the one at the end.
const DT_STRTAB: usize = 5;
const DT_STRSZ: usize = 10;
const DT_NULL: usize = 0;

/// The main program.
#[derive(Debug)]
pub struct Program {
    headers: &'static [Elf64_Phdr],
    /// The difference between an address in memory and in the file.
    bias: usize,
}

impl Program {
    /// The program of this process; `None` if its headers do not say where it is.
    ///
    /// # Safety
    /// The program must be mapped as it was loaded. It stays so, because nothing unmaps the main
    /// program.
    pub unsafe fn own() -> Option<Program> {
        // SAFETY: plain calls of libc.
        let (at, count) = unsafe { (libc::getauxval(AT_PHDR), libc::getauxval(AT_PHNUM)) };
        if at == 0 {
            return None;
        }
        // SAFETY: the kernel's own values for the mapped headers.
        let headers = unsafe { std::slice::from_raw_parts(at as *const Elf64_Phdr, count as usize) };
        let own = headers.iter().find(|header| header.p_type == PT_PHDR)?;
        Some(Program { headers, bias: (at as usize).wrapping_sub(own.p_vaddr as usize) })
    }

    /// A program that is mapped with these headers.
    ///
    /// # Safety
    /// It must be mapped, and stay so.
    pub unsafe fn mapped(headers: &'static [Elf64_Phdr], bias: usize) -> Program {
        Program { headers, bias }
    }

    fn of_type(&self, kind: u32) -> impl Iterator<Item = &'static Elf64_Phdr> {
        self.headers.iter().filter(move |header| header.p_type == kind)
    }

    fn part(&self, address: u64, size: u64) -> &'static [u8] {
        let start = self.bias.wrapping_add(address as usize);
        // SAFETY: the caller names a part of the program, which is mapped and readable.
        unsafe { std::slice::from_raw_parts(start as *const u8, size as usize) }
    }

    /// Whether Go's linker made it, and its runtime makes threads by libc.
    pub fn is_go(&self) -> bool {
        let mut notes = self.of_type(PT_NOTE).map(|header| self.part(header.p_vaddr, header.p_filesz));
        notes.any(go::has_build_id) && self.strings().is_some_and(go::makes_threads_by_libc)
    }

    /// Its code, as it is now.
    ///
    /// # Safety
    /// It must not change as long as it is in use.
    pub unsafe fn instructions(&self) -> impl Iterator<Item = &'static [u8]> {
        // SAFETY: the caller answers for it.
        unsafe { self.code_parts() }.map(|part| part.bytes)
    }

    /// Its parts, as the file has them.
    ///
    /// # Safety
    /// They must not change as long as they are in use.
    pub unsafe fn parts(&self) -> impl Iterator<Item = Part<'static>> {
        self.parts_with(PF_R, PF_R)
    }

    /// Those of them that are its code.
    ///
    /// # Safety
    /// As for `parts`.
    pub unsafe fn code_parts(&self) -> impl Iterator<Item = Part<'static>> {
        self.parts_with(PF_R | PF_X | PF_W, PF_R | PF_X)
    }

    fn parts_with(&self, flags: u32, values: u32) -> impl Iterator<Item = Part<'static>> {
        self.of_type(PT_LOAD)
            .filter(move |header| header.p_flags & flags == values)
            .map(|header| Part { address: header.p_vaddr as usize, bytes: self.part(header.p_vaddr, header.p_filesz) })
    }

    /// Whether its code is one part, which is not writable.
    pub fn has_one_code(&self) -> bool {
        let mut code = self.of_type(PT_LOAD).filter(|header| header.p_flags & PF_X != 0);
        code.next().is_some_and(|header| header.p_flags & PF_W == 0) && code.next().is_none()
    }

    /// The strings of its dynamic symbols.
    pub fn strings(&self) -> Option<&'static [u8]> {
        let section = self.of_type(PT_DYNAMIC).next()?;
        let start = self.bias.wrapping_add(section.p_vaddr as usize) as *const Entry;
        // SAFETY: the dynamic section of the program, which the dynamic linker has read.
        let entries = unsafe { std::slice::from_raw_parts(start, section.p_memsz as usize / size_of::<Entry>()) };
        let (mut strings, mut size) = (None, None);
        for [tag, value] in entries.iter().take_while(|[tag, _]| *tag != DT_NULL) {
            match *tag {
                DT_STRTAB => strings = Some(*value),
                DT_STRSZ => size = Some(*value),
                _ => {}
            }
        }
        let (mut strings, size) = (strings?, size?);
        if strings < self.bias {
            // An offset. glibc replaces it by the address if it may write to the section; musl does
            // not.
            strings = self.bias.wrapping_add(strings);
        }
        // SAFETY: the strings of the program, which is mapped and readable.
        Some(unsafe { std::slice::from_raw_parts(strings as *const u8, size) })
    }

    /// Where its code is.
    pub fn text(&self) -> Option<Range<usize>> {
        let start = self.code().map(|code| code.start).min()?;
        let end = self.code().map(|code| code.end).max()?;
        Some(start..end)
    }

    /// The addresses of each part of its code that is readable and not writable.
    pub fn code(&self) -> impl Iterator<Item = Range<usize>> {
        let is_code = |header: &&Elf64_Phdr| header.p_flags & (PF_R | PF_X | PF_W) == PF_R | PF_X;
        self.of_type(PT_LOAD).filter(is_code).map(|header| {
            let start = self.bias.wrapping_add(header.p_vaddr as usize);
            start..start + header.p_filesz as usize
        })
    }
}
