//! Files that are programs.

use libc::{c_char, c_int};
use nix::errno::Errno;
use syscalls::{Sysno, syscall};

use super::{close, errno, fstat};

/// Opens the file at a path, whose address the kernel checks.
fn open(path: *const c_char, flags: c_int) -> Result<c_int, Errno> {
    // SAFETY: the kernel reads a string.
    unsafe { syscall!(Sysno::openat, libc::AT_FDCWD, path, flags | libc::O_CLOEXEC, 0) }
        .map(|fd| fd as c_int)
        .map_err(errno)
}

/// A program's file, open as long as this value.
#[derive(Debug)]
pub struct ProgramFile(c_int);

impl ProgramFile {
    /// Opens a regular file that execve gives no other user or group. Nothing else is opened, which
    /// could block, or have an effect.
    pub fn open(path: *const c_char) -> Option<ProgramFile> {
        let place = open(path, libc::O_PATH).ok()?;
        let mode = fstat(place).map_or(0, |file| file.st_mode);
        // A descriptor that was just opened.
        let _ = close(place);
        let is_plain = mode & libc::S_IFMT == libc::S_IFREG && mode & (libc::S_ISUID | libc::S_ISGID) == 0;
        if !is_plain {
            return None;
        }
        open(path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY).ok().map(ProgramFile)
    }

    /// Reads a part; false if the file is shorter.
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> bool {
        // SAFETY: the buffer is writable for its length.
        let read = unsafe { syscall!(Sysno::pread64, self.0, bytes.as_mut_ptr(), bytes.len(), offset) };
        read == Ok(bytes.len())
    }

    /// Whether execve gives it capabilities.
    pub fn has_capabilities(&self) -> bool {
        // SAFETY: the name ends in NUL, and a size of zero asks for the length only.
        unsafe { syscall!(Sysno::fgetxattr, self.0, c"security.capability".as_ptr(), 0usize, 0usize) }.is_ok()
    }
}

impl Drop for ProgramFile {
    fn drop(&mut self) {
        let _ = close(self.0);
    }
}

/// Whether this process may execute the file at a path, by its effective ids and its file system.
pub fn may_execute(path: *const c_char) -> bool {
    // SAFETY: the kernel reads a string.
    unsafe {
        match syscall!(Sysno::faccessat2, libc::AT_FDCWD, path, libc::X_OK, libc::AT_EACCESS) {
            Err(syscalls::Errno::ENOSYS) => syscall!(Sysno::faccessat, libc::AT_FDCWD, path, libc::X_OK).is_ok(),
            answer => answer.is_ok(),
        }
    }
}

/// Whether the file at a path is a regular one that somebody may execute.
pub fn is_program(path: *const c_char) -> bool {
    let Ok(place) = open(path, libc::O_PATH) else { return false };
    let mode = fstat(place).map_or(0, |file| file.st_mode);
    let _ = close(place);
    mode & libc::S_IFMT == libc::S_IFREG && mode & 0o111 != 0
}
