//! Static programs that this process executes. The dynamic linker does not bring the library into
//! such a program. If the loader can load it, the loader is executed in its place; its argv is the
//! program's, with two words behind the first: what it does if it cannot load the program after all,
//! and the program's path.
//!
//! As for `exec_env`, everything here works in signal handlers and in vfork children. What cannot be
//! decided is left to the kernel.

use std::ffi::CStr;
use std::ptr;

use epolyfill_sites::{file, guest};
use libc::{c_char, c_int};
use nix::errno::Errno;

use crate::life::exec_env::{self, Strings};
use crate::life::start_env;
use crate::options;
use crate::sys;
use crate::uaccess;

/// The longest path that the kernel takes, with its NUL.
const LONGEST_PATH: usize = libc::PATH_MAX as usize;
/// The path that is searched if there is no PATH.
const DEFAULT_PATH: &CStr = c"/bin:/usr/bin";
/// The words that the loader's argv has beside the program's, with the null pointer.
const MORE_WORDS: usize = 3;
/// More words than the kernel takes.
const MOST_WORDS: usize = 1 << 20;

/// A call that executes a program.
pub trait Execution {
    /// Makes the call as the program made it.
    fn itself(&self) -> c_int;
    /// Makes it for another file, with another argv.
    fn other(&self, path: *const c_char, words: Strings) -> c_int;
    /// Whether it failed.
    fn has_failed(answer: c_int) -> bool;
}

/// Makes a call that executes the file at `path`, or the loader in its place.
///
/// # Safety
/// As for the path and the words of execve.
pub unsafe fn execute<E: Execution>(path: *const c_char, words: Strings, call: &E) -> c_int {
    if serves() && is_loadable(path) {
        // SAFETY: the caller answers for the words.
        let answer = unsafe { by_loader(path, words, call) };
        if let Some(answer) = answer.filter(|answer| !E::has_failed(*answer)) {
            return answer;
        }
    }
    call.itself()
}

/// As [`execute`], for a file that libc searches for in PATH.
///
/// # Safety
/// As for the arguments of execvp.
pub unsafe fn execute_by_search<E: Execution>(file: *const c_char, words: Strings, call: &E) -> c_int {
    if serves() {
        // SAFETY: the caller answers for the arguments.
        let answer = unsafe { found_by_loader(file, words, call) };
        if let Some(answer) = answer.filter(|answer| !E::has_failed(*answer)) {
            return answer;
        }
    }
    call.itself()
}

/// Whether static programs are served at all.
fn serves() -> bool {
    // SAFETY: a number in, a number out.
    let has_fsgsbase = || guest::has_fsgsbase(unsafe { libc::getauxval(libc::AT_HWCAP2) });
    cfg!(target_arch = "x86_64") && start_env::kept().is_some() && options::serves_raw_calls() && has_fsgsbase()
}

/// Whether the loader can load the file at a path, and the kernel would execute it without other
/// privileges.
#[inline(never)]
fn is_loadable(path: *const c_char) -> bool {
    let Some(program) = sys::ProgramFile::open(path) else { return false };
    // SAFETY: the kernel has read the string.
    !names_descriptor(unsafe { CStr::from_ptr(path) }.to_bytes())
        && file::is_static(&mut |offset, bytes| program.read_at(offset, bytes))
        && !program.has_capabilities()
        && sys::may_execute(path)
}

/// Whether a path leads through a descriptor. The loader may not have that: many close at an exec.
fn names_descriptor(path: &[u8]) -> bool {
    let is_of_proc = path.starts_with(b"/proc/") && path.windows(4).any(|part| part == b"/fd/");
    is_of_proc || path.starts_with(b"/dev/fd/")
}

/// Executes the loader for the file at a path; `None` if the loader is out of reach, or there is no
/// room for its argv.
///
/// # Safety
/// As for [`execute`].
#[inline(never)]
unsafe fn by_loader<E: Execution>(path: *const c_char, words: Strings, call: &E) -> Option<c_int> {
    let mut buffer = [0; LONGEST_PATH];
    let loader = loader(&mut buffer)?;
    // SAFETY: the caller answers for the words.
    let count = unsafe { count(words) }.ok()?;
    exec_env::in_room(count + MORE_WORDS + 1, &|room| {
        let room = room.cast::<*const c_char>();
        // SAFETY: the room is large enough, and the words have been counted.
        unsafe {
            // The kernel gives a program without words an empty first one.
            room.write(if count == 0 { c"".as_ptr() } else { *words });
            room.add(1).write(guest::EXECUTE.as_ptr());
            room.add(2).write(path);
            if count > 1 {
                room.add(3).copy_from_nonoverlapping(words.add(1), count - 1);
            }
            room.add(count.max(1) + 2).write(ptr::null());
        }
        call.other(loader.as_ptr(), room.cast_const())
    })
}

/// The number of words of an argv. EFAULT as in [`uaccess::read`].
///
/// # Safety
/// As for the words of execve.
unsafe fn count(words: Strings) -> Result<usize, Errno> {
    if words.is_null() {
        return Ok(0);
    }
    for index in 0..MOST_WORDS {
        // SAFETY: the caller answers for the array, which has not ended.
        if unsafe { uaccess::read(words.wrapping_add(index)) }?.is_null() {
            return Ok(index);
        }
    }
    Err(Errno::E2BIG)
}

/// The path of the loader.
fn loader(buffer: &mut [u8; LONGEST_PATH]) -> Option<&CStr> {
    let library = start_env::kept()?.file.to_bytes();
    let directory = &library[..library.iter().rposition(|byte| *byte == b'/')? + 1];
    for between in guest::PLACES {
        let path = joined(buffer, &[directory, between.as_bytes(), guest::LOADER.as_bytes()])?;
        if sys::may_execute(path.as_ptr()) {
            let length = path.to_bytes_with_nul().len();
            return CStr::from_bytes_with_nul(&buffer[..length]).ok();
        }
    }
    None
}

/// The pieces as one string; `None` if it is too long.
fn joined<'a>(buffer: &'a mut [u8; LONGEST_PATH], pieces: &[&[u8]]) -> Option<&'a CStr> {
    let mut length = 0;
    for piece in pieces.iter().chain(&[&b"\0"[..]]) {
        buffer.get_mut(length..length + piece.len())?.copy_from_slice(piece);
        length += piece.len();
    }
    CStr::from_bytes_with_nul(&buffer[..length]).ok()
}

/// Searches for a file as libc does, and executes the loader for it; `None` if it is not to be
/// loaded. The first program decides.
///
/// # Safety
/// As for [`execute_by_search`].
#[inline(never)]
unsafe fn found_by_loader<E: Execution>(file: *const c_char, words: Strings, call: &E) -> Option<c_int> {
    // SAFETY: the caller answers for the file's name.
    let name = unsafe {
        uaccess::read(file).ok()?;
        CStr::from_ptr(file)
    };
    let mut buffer = [0; LONGEST_PATH];
    let path = if name.to_bytes().contains(&b'/') { name } else { search(name.to_bytes(), &mut buffer)? };
    if !is_loadable(path.as_ptr()) {
        return None;
    }
    // SAFETY: the path is a string, and the caller answers for the words.
    unsafe { by_loader(path.as_ptr(), words, call) }
}

/// The first program of that name in PATH.
fn search<'a>(name: &[u8], buffer: &'a mut [u8; LONGEST_PATH]) -> Option<&'a CStr> {
    // SAFETY: as for libc's own search.
    let value = unsafe { libc::getenv(c"PATH".as_ptr()) };
    // SAFETY: the value of a variable is a string.
    let searched = if value.is_null() { DEFAULT_PATH } else { unsafe { CStr::from_ptr(value) } };
    for directory in searched.to_bytes().split(|byte| *byte == b':') {
        // An empty entry means the working directory.
        let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        let Some(path) = joined(buffer, &[directory, slash, name]) else { continue };
        // By the calls that the dynamic linker makes, too: a seccomp filter may be in force that ends
        // the process at others.
        if sys::is_program(path.as_ptr()) {
            let length = path.to_bytes_with_nul().len();
            return CStr::from_bytes_with_nul(&buffer[..length]).ok();
        }
    }
    None
}
