//! Files of the library's own.

use std::ffi::CStr;

use libc::c_int;
use nix::errno::Errno;
use syscalls::{Sysno, syscall};

use super::{close, errno};

/// Makes a file that only its owner may use; EEXIST if there is one.
pub fn create_file(path: &CStr) -> Result<c_int, Errno> {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    // SAFETY: the path ends in NUL.
    unsafe { syscall!(Sysno::openat, libc::AT_FDCWD, path.as_ptr(), flags, 0o600) }.map(|fd| fd as c_int).map_err(errno)
}

/// Opens a file that only its owner may use, and makes it if there is none.
pub fn open_own_file(path: &CStr) -> Result<c_int, Errno> {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    // SAFETY: the path ends in NUL.
    unsafe { syscall!(Sysno::openat, libc::AT_FDCWD, path.as_ptr(), flags, 0o600) }.map(|fd| fd as c_int).map_err(errno)
}

/// The bytes of a file.
pub fn read_whole_file(path: &CStr) -> Result<Vec<u8>, Errno> {
    // SAFETY: the path ends in NUL.
    let fd = unsafe { syscall!(Sysno::openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) }
        .map_err(errno)? as c_int;
    let bytes = read_to_end(fd);
    let _ = close(fd);
    bytes
}

fn read_to_end(fd: c_int) -> Result<Vec<u8>, Errno> {
    const STEP: usize = 64 << 10;
    let mut bytes = Vec::new();
    let mut length = 0;
    loop {
        bytes.try_reserve(STEP).map_err(|_| Errno::ENOMEM)?;
        bytes.resize(length + STEP, 0);
        let n = super::read(fd, &mut bytes[length..])?;
        length += n;
        bytes.truncate(length);
        if n == 0 {
            return Ok(bytes);
        }
    }
}

/// Allocates the blocks of a file.
pub fn allocate(fd: c_int, bytes: usize) -> Result<(), Errno> {
    // SAFETY: only numbers.
    unsafe { syscall!(Sysno::fallocate, fd, 0, 0, bytes) }.map(drop).map_err(errno)
}

/// Maps a file, shared with other processes.
pub fn map_file(fd: c_int, bytes: usize) -> Result<*mut u8, Errno> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping touches no other.
    unsafe { syscall!(Sysno::mmap, 0usize, bytes, access, libc::MAP_SHARED, fd, 0usize) }
        .map(|address| address as *mut u8)
        .map_err(errno)
}

/// Passes each line of a file of `/proc` to `line`, without its end. Lines of more than 4096 bytes
/// are passed in pieces.
pub fn each_line(path: &CStr, mut line: impl FnMut(&[u8])) {
    // SAFETY: the path ends in NUL.
    let opened = unsafe { syscall!(Sysno::openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    let Ok(fd) = opened.map(|fd| fd as c_int) else { return };
    let mut buffer = [0; 4096];
    let mut length = 0;
    while let Ok(n @ 1..) = super::read(fd, &mut buffer[length..]) {
        length += n;
        let mut from = 0;
        while let Some(end) = buffer[from..length].iter().position(|byte| *byte == b'\n') {
            line(&buffer[from..from + end]);
            from += end + 1;
        }
        if from == 0 && length == buffer.len() {
            line(&buffer);
            from = length;
        }
        buffer.copy_within(from..length, 0);
        length -= from;
    }
    if length > 0 {
        line(&buffer[..length]);
    }
    let _ = close(fd);
}

/// Waits while a word of shared memory has this value, for at most so many nanoseconds.
pub fn futex_wait_shared(word: &std::sync::atomic::AtomicU32, expected: u32, nanoseconds: u64) {
    let limit = super::timespec_of(nanoseconds);
    // SAFETY: the word and the time live.
    let _ = unsafe {
        syscall!(Sysno::futex, std::ptr::from_ref(word), libc::FUTEX_WAIT, expected, std::ptr::from_ref(&limit))
    };
}

/// Wakes all waiters on a word of shared memory.
pub fn futex_wake_shared(word: &std::sync::atomic::AtomicU32) {
    // SAFETY: the word lives.
    let _ = unsafe { syscall!(Sysno::futex, std::ptr::from_ref(word), libc::FUTEX_WAKE, i32::MAX) };
}

/// Whether a process with this id runs, or has ended and not been waited for.
pub fn is_process(pid: i32) -> bool {
    // SAFETY: signal 0 is never delivered.
    let answer = unsafe { syscall!(Sysno::kill, pid, 0) };
    pid > 0 && !answer.is_err_and(|errno| errno.into_raw() == libc::ESRCH)
}

/// kcmp(2): whether a number of another process names the open file description that it names in the
/// calling thread; `None` if the kernel refuses the call.
pub fn is_description_of(pid: i32, fd: c_int) -> Option<bool> {
    const KCMP_FILE: c_int = 0;
    // SAFETY: no memory is passed.
    match unsafe { syscall!(Sysno::kcmp, super::gettid(), pid, KCMP_FILE, fd, fd) } {
        Ok(order) => Some(order == 0),
        Err(errno) => (errno.into_raw() == libc::EBADF).then_some(false),
    }
}

/// The target of a link; the path ends in NUL.
pub fn link<'a>(path: &[u8], buffer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    debug_assert!(path.ends_with(b"\0"));
    // SAFETY: the path ends in NUL, the buffer is writable for its length.
    let n = unsafe { syscall!(Sysno::readlinkat, libc::AT_FDCWD, path.as_ptr(), buffer.as_mut_ptr(), buffer.len()) }
        .map_err(errno)?;
    Ok(&buffer[..n])
}

/// The address of a socket, as the kernel writes it.
pub fn socket_name(fd: c_int, buffer: &mut [u8]) -> Option<&[u8]> {
    address(Sysno::getsockname, fd, buffer)
}

/// The address of a socket's peer.
pub fn peer_name(fd: c_int, buffer: &mut [u8]) -> Option<&[u8]> {
    address(Sysno::getpeername, fd, buffer)
}

fn address(call: Sysno, fd: c_int, buffer: &mut [u8]) -> Option<&[u8]> {
    let mut length = buffer.len() as libc::socklen_t;
    // SAFETY: the buffer is writable for its length, which is writable too.
    unsafe { syscall!(call, fd, buffer.as_mut_ptr(), &raw mut length) }.ok()?;
    buffer.get(..length as usize)
}
