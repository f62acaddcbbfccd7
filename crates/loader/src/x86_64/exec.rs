//! The guest's execve. A static Go program that it executes is loaded in the same way, because it
//! loads no library itself. Everything runs in a child of vfork, too: without memory of its own.

use std::ffi::{CStr, c_char};
use std::ptr;

use epolyfill_sites::go;
use libc::{Elf64_Ehdr, Elf64_Phdr};
use syscalls::{Errno, Sysno, syscall};

use super::{image, memory, own_file};

/// The longest path of the kernel's.
const LONGEST_PATH: usize = 4096;
/// More words of argv than these are not passed through the loader.
const MOST_WORDS: usize = 4096;

/// Executes a static Go program through the loader; `None` if it is another program.
pub fn execute(arguments: &[usize; 6]) -> Option<isize> {
    let [path, words, environment, ..] = *arguments;
    let mut buffer = [0; LONGEST_PATH];
    let given = memory::string(path, &mut buffer)?;
    let path = if own_file::is_link(given) { own_file::guest() } else { given };
    // After a chroot the loader may be out of reach.
    if !is_static_go(path) || !may_execute(own_file::loader()) {
        return None;
    }
    let mut passed = [ptr::null(); MOST_WORDS + 3];
    if !pass(words, path, &mut passed) {
        return None;
    }
    // SAFETY: as the caller's; the library passes itself on in the environment.
    unsafe {
        let errno = *libc::__errno_location();
        libc::execve(own_file::loader().as_ptr(), passed.as_ptr(), environment as *const *const c_char);
        let result = -*libc::__errno_location();
        *libc::__errno_location() = errno;
        Some(result as isize)
    }
}

/// Builds the loader's argv: the guest's, with its path behind the first word. False if there are too
/// many words.
fn pass(words: usize, path: &CStr, passed: &mut [*const c_char; MOST_WORDS + 3]) -> bool {
    passed[1] = path.as_ptr();
    // The kernel gives a program without words an empty first one.
    passed[0] = c"".as_ptr();
    for (index, place) in (0..=MOST_WORDS).map(|index| (index, if index == 0 { 0 } else { index + 1 })) {
        let mut word = [0; size_of::<usize>()];
        if words == 0 {
            return true;
        }
        if !memory::read_all(words + index * size_of::<usize>(), &mut word) {
            return false;
        }
        match usize::from_ne_bytes(word) {
            0 => return true,
            _ if index == MOST_WORDS => return false,
            word => passed[place] = word as *const c_char,
        }
    }
    false
}

/// Whether a file is a static Go program that this user may execute, without other privileges.
fn is_static_go(path: &CStr) -> bool {
    // SAFETY: the path is a string. Not libc's calls: some of their names are the library's, which
    // need not see a descriptor that nobody else does.
    let opened = unsafe { syscall!(Sysno::open, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    let Ok(fd) = opened else { return false };
    let is = is_executable(path, fd) && has_static_headers(fd);
    // SAFETY: the descriptor was opened here.
    let _ = unsafe { syscall!(Sysno::close, fd) };
    is
}

/// Whether execve of the file would succeed and give no privileges.
fn is_executable(path: &CStr, fd: usize) -> bool {
    // SAFETY: every pattern of bits is such a structure.
    let (mut file, mut system): (libc::stat, libc::statfs64) = unsafe { std::mem::zeroed() };
    // SAFETY: the structures are the kernel's, the strings valid.
    unsafe {
        syscall!(Sysno::fstat, fd, &raw mut file).is_ok()
            && file.st_mode & libc::S_IFMT == libc::S_IFREG
            && file.st_mode & (libc::S_ISUID | libc::S_ISGID) == 0
            && syscall!(Sysno::fgetxattr, fd, c"security.capability".as_ptr(), 0usize, 0usize).is_err()
            && syscall!(Sysno::fstatfs, fd, &raw mut system).is_ok()
            && system.f_flags as libc::c_ulong & libc::ST_NOEXEC == 0
            && may_execute(path)
    }
}

/// Whether the effective user may execute the file.
fn may_execute(path: &CStr) -> bool {
    // SAFETY: the path is a string.
    unsafe {
        match syscall!(Sysno::faccessat2, libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) {
            Err(Errno::ENOSYS) => syscall!(Sysno::access, path.as_ptr(), libc::X_OK).is_ok(),
            answer => answer.is_ok(),
        }
    }
}

/// Reads a part of a file; false if it is shorter.
fn read(fd: usize, bytes: &mut [u8], offset: u64) -> bool {
    // SAFETY: the kernel writes into the buffer.
    let read = unsafe { syscall!(Sysno::pread64, fd, bytes.as_mut_ptr(), bytes.len(), offset) };
    read == Ok(bytes.len())
}

fn has_static_headers(fd: usize) -> bool {
    let mut bytes = [0; size_of::<Elf64_Ehdr>()];
    if !read(fd, &mut bytes, 0) {
        return false;
    }
    let Ok(header) = image::checked(&bytes) else { return false };
    let mut is_go = false;
    let mut summary = go::Headers { is_fixed: header.e_type == libc::ET_EXEC, ..go::Headers::default() };
    for index in 0..u64::from(header.e_phnum) {
        let mut bytes = [0; size_of::<Elf64_Phdr>()];
        let at = header.e_phoff.wrapping_add(index * size_of::<Elf64_Phdr>() as u64);
        if !read(fd, &mut bytes, at) {
            return false;
        }
        // SAFETY: every pattern of bits is a program header.
        let segment = unsafe { bytes.as_ptr().cast::<Elf64_Phdr>().read_unaligned() };
        summary.has_linker |= segment.p_type == libc::PT_INTERP;
        summary.has_thread_locals |= segment.p_type == libc::PT_TLS;
        summary.needs_library |= segment.p_type == libc::PT_DYNAMIC && names_library(fd, &segment);
        let mut notes = [0; 512];
        let notes = &mut notes[..segment.p_filesz.min(512) as usize];
        is_go |= segment.p_type == libc::PT_NOTE && read(fd, notes, segment.p_offset) && go::has_build_id(notes);
    }
    is_go && summary.is_static() && summary.is_without_c()
}

/// Whether the dynamic section names a library.
fn names_library(fd: usize, section: &Elf64_Phdr) -> bool {
    const NEEDED: u64 = 1;
    const MOST: u64 = 4096;
    (0..section.p_filesz.min(MOST)).step_by(16).any(|at| {
        let mut tag = [0; 8];
        read(fd, &mut tag, section.p_offset + at) && u64::from_le_bytes(tag) == NEEDED
    })
}
