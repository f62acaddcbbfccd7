//! Raw system calls.
//!
//! This module does not call libc. The library exports most of the libc names that it needs itself,
//! so a call through libc (or through std and nix, which end there) would come back into the
//! library. Where cancellation matters, `real.rs` calls the next definition of a symbol instead.

mod copy;
#[cfg(feature = "see")]
mod file;
mod mapping;
mod poll;
mod process;
mod program;
mod ring;
mod signal;
mod socket;
mod time;
mod wakeup;

use std::ffi::CStr;
use std::mem::MaybeUninit;

use libc::c_int;
use nix::errno::Errno;
use syscalls::{Sysno, syscall};

pub use copy::*;
#[cfg(feature = "see")]
pub use file::*;
pub use mapping::*;
pub use poll::*;
pub use process::*;
pub use program::*;
pub use ring::*;
pub use signal::*;
pub use socket::*;
pub use time::*;
pub use wakeup::*;

/// The size of the kernel's signal set, whatever size libc gives `sigset_t`.
pub const KERNEL_SIGSET_BYTES: usize = 8;

/// A signal mask as the kernel takes it.
pub type SigMask = u64;

/// Every signal except those that a thread raises by its own actions, such as a fault on the
/// program's buffer, and the two that libc reserves: a cancelled thread, and a change of user ids
/// in all threads, wait until theirs are handled.
pub const ALL_SIGNALS: SigMask = {
    let kept = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS, 32, 33];
    let mut mask = SigMask::MAX;
    let mut index = 0;
    while index < kept.len() {
        mask &= !(1 << (kept[index] - 1));
        index += 1;
    }
    mask
};

fn errno(e: syscalls::Errno) -> Errno {
    Errno::from_raw(e.into_raw())
}

/// Sets the calling thread's errno.
pub fn set_errno(e: Errno) {
    // SAFETY: `__errno_location` returns the calling thread's own errno, always valid and writable.
    unsafe { *libc::__errno_location() = e as c_int }
}

/// The calling thread's errno.
pub fn last_errno() -> Errno {
    // SAFETY: as in `set_errno`.
    Errno::from_raw(unsafe { *libc::__errno_location() })
}

/// Turns a raw result of the kernel (a negative errno on failure) into the return value of libc.
#[inline]
pub fn libc_result(raw: usize) -> isize {
    let value = raw.cast_signed();
    if (-4095..0).contains(&value) {
        // SAFETY: as in `set_errno`. A filter may have made up the errno.
        unsafe { *libc::__errno_location() = -value as c_int };
        return -1;
    }
    value
}

/// Makes a call that reports an error as libc does, and returns the kernel's form of its result, a
/// negative errno on failure. The thread's errno stays as it was.
pub fn kernel_result(call: impl FnOnce() -> isize) -> isize {
    // SAFETY: as in `set_errno`.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above. It need not be an errno that the kernel has.
    let before = unsafe { *errno };
    let answer = call();
    // SAFETY: as above.
    let answer = if answer == -1 { -(unsafe { *errno } as isize) } else { answer };
    // SAFETY: as above.
    unsafe { *errno = before };
    answer
}

/// Makes any system call; returns what libc's `syscall` would return.
///
/// # Safety
/// The arguments must be valid for the call `number`.
#[inline]
pub unsafe fn any(number: i64, a: [usize; 6]) -> isize {
    // SAFETY: the caller answers for the arguments.
    libc_result(unsafe { any_raw(number, a) } as usize)
}

/// Makes any system call; returns what the kernel returns.
///
/// # Safety
/// The arguments must be valid for the call `number`.
#[inline]
pub unsafe fn any_raw(number: i64, a: [usize; 6]) -> isize {
    // SAFETY: the caller answers for the arguments.
    unsafe { syscalls::raw::syscall6(number as usize, a[0], a[1], a[2], a[3], a[4], a[5]) }.cast_signed()
}

/// close(2).
pub fn close(fd: c_int) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    unsafe { syscall!(Sysno::close, fd) }.map(drop).map_err(errno)
}

/// close_range(2).
pub fn close_range(first: u32, last: u32, flags: u32) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    unsafe { syscall!(Sysno::close_range, first, last, flags) }.map(drop).map_err(errno)
}

/// Whether this process may read the file at that path, by its real ids.
pub fn is_readable(path: &CStr) -> bool {
    // SAFETY: the path ends in NUL.
    #[cfg(target_arch = "x86_64")]
    let answer = unsafe { syscall!(Sysno::access, path.as_ptr(), libc::R_OK) };
    // SAFETY: as above.
    #[cfg(not(target_arch = "x86_64"))]
    let answer = unsafe { syscall!(Sysno::faccessat, libc::AT_FDCWD, path.as_ptr(), libc::R_OK) };
    answer.is_ok()
}

/// dup3(2).
pub fn dup3(old: c_int, new: c_int, flags: c_int) -> Result<c_int, Errno> {
    // SAFETY: no memory is passed.
    unsafe { syscall!(Sysno::dup3, old, new, flags) }.map(|n| n as c_int).map_err(errno)
}

/// fcntl(2) with an integer argument.
pub fn fcntl(fd: c_int, command: c_int, argument: usize) -> Result<c_int, Errno> {
    // SAFETY: only commands with integer arguments are passed from inside this library.
    unsafe { syscall!(Sysno::fcntl, fd, command, argument) }.map(|n| n as c_int).map_err(errno)
}

/// Whether the number is an open descriptor of this process.
pub fn is_open(fd: c_int) -> bool {
    fcntl(fd, libc::F_GETFD, 0).is_ok()
}

/// Whether the number is an open descriptor that refers to a file, and not only to its path: for
/// most calls, a descriptor that was opened with O_PATH is as good as closed.
pub fn is_usable(fd: c_int) -> bool {
    fcntl(fd, libc::F_GETFL, 0).is_ok_and(|flags| flags & libc::O_PATH == 0)
}

/// pipe2(2).
pub fn pipe2(flags: c_int) -> Result<[c_int; 2], Errno> {
    let mut ends = [0 as c_int; 2];
    // SAFETY: `ends` has room for the two numbers.
    unsafe { syscall!(Sysno::pipe2, ends.as_mut_ptr(), flags) }.map_err(errno)?;
    Ok(ends)
}

/// eventfd2(2), non-blocking and close-on-exec.
pub fn eventfd() -> Result<c_int, Errno> {
    // SAFETY: no memory is passed.
    unsafe { syscall!(Sysno::eventfd2, 0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) }.map(|n| n as c_int).map_err(errno)
}

/// write(2) of a few bytes.
pub fn write(fd: c_int, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the slice is valid for its length.
    unsafe { syscall!(Sysno::write, fd, bytes.as_ptr(), bytes.len()) }.map_err(errno)
}

/// read(2).
pub fn read(fd: c_int, bytes: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the slice is valid and writable for its length.
    unsafe { syscall!(Sysno::read, fd, bytes.as_mut_ptr(), bytes.len()) }.map_err(errno)
}

/// fstat(2).
pub fn fstat(fd: c_int) -> Result<libc::stat, Errno> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` has the kernel's layout on the supported architectures.
    unsafe { syscall!(Sysno::fstat, fd, stat.as_mut_ptr()) }.map_err(errno)?;
    // SAFETY: the call succeeded, so the kernel filled the structure.
    Ok(unsafe { stat.assume_init() })
}

/// The magic number of the file system that the file is on.
pub fn filesystem(fd: c_int) -> Result<u32, Errno> {
    let mut info = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `info` has the kernel's layout.
    unsafe { syscall!(Sysno::fstatfs, fd, info.as_mut_ptr()) }.map_err(errno)?;
    // SAFETY: the call succeeded.
    Ok(unsafe { info.assume_init() }.f_type as u32)
}

/// The target of the link `/proc/thread-self/fd/N`, as far as it fits into the buffer. `/proc/self`
/// is the first thread, which may have ended, or have a descriptor table of its own.
pub fn descriptor_link(fd: c_int, buffer: &mut [u8]) -> Result<&[u8], Errno> {
    let mut path = crate::log::Line::<40>::new();
    path.text("/proc/thread-self/fd/").number(i64::from(fd)).text("\0");
    // SAFETY: the path ends in NUL, the buffer is writable for its length.
    let n = unsafe {
        syscall!(Sysno::readlinkat, libc::AT_FDCWD, path.as_bytes().as_ptr(), buffer.as_mut_ptr(), buffer.len())
    }
    .map_err(errno)?;
    Ok(&buffer[..n])
}

/// Reads a small file (of `/proc`) into the buffer. The path must end in NUL.
pub fn read_file<'a>(path: &[u8], buffer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    debug_assert!(path.ends_with(b"\0"));
    // SAFETY: the path ends in NUL.
    let fd = unsafe { syscall!(Sysno::openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) }
        .map_err(errno)? as c_int;
    let got = read(fd, buffer);
    let _ = close(fd);
    Ok(&buffer[..got?])
}

/// A field of `/proc/thread-self/fdinfo/N`; `name` includes the colon.
pub fn descriptor_info<'a>(fd: c_int, name: &[u8], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut path = crate::log::Line::<40>::new();
    path.text("/proc/thread-self/fdinfo/").number(i64::from(fd)).text("\0");
    let text = read_file(path.as_bytes(), buffer).ok()?;
    text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name)).map(<[u8]>::trim_ascii)
}

/// An ioctl(2) that returns one int, such as FIONREAD.
pub fn ioctl_int(fd: c_int, request: libc::Ioctl) -> Result<c_int, Errno> {
    let mut value: c_int = 0;
    // SAFETY: `value` is the int these requests write.
    unsafe { syscall!(Sysno::ioctl, fd, request, &raw mut value) }.map_err(errno)?;
    Ok(value)
}

/// An ioctl(2) that returns 64 bits.
pub fn ioctl_word(fd: c_int, request: libc::Ioctl) -> Result<u64, Errno> {
    let mut value: u64 = 0;
    // SAFETY: `value` is the word these requests write.
    unsafe { syscall!(Sysno::ioctl, fd, request, &raw mut value) }.map_err(errno)?;
    Ok(value)
}

/// Whether the descriptor is a timerfd: timerfd_gettime(2) fails for everything else.
pub fn is_timer(fd: c_int) -> bool {
    let mut value = MaybeUninit::<libc::itimerspec>::uninit();
    // SAFETY: the kernel writes one itimerspec.
    unsafe { syscall!(Sysno::timerfd_gettime, fd, value.as_mut_ptr()) }.is_ok()
}

/// The number of messages in a queue of mq_open(3).
pub fn queued_messages(fd: c_int) -> Option<u64> {
    let mut attributes = MaybeUninit::<libc::mq_attr>::uninit();
    // SAFETY: the kernel writes one mq_attr, and reads none.
    unsafe { syscall!(Sysno::mq_getsetattr, fd, 0usize, attributes.as_mut_ptr()) }.ok()?;
    // SAFETY: the call succeeded.
    u64::try_from(unsafe { attributes.assume_init() }.mq_curmsgs).ok()
}

/// Blocks signals in the calling thread, beside those that it blocks already; returns the old mask.
pub fn block_signals(mask: SigMask) -> SigMask {
    // The call cannot fail with these arguments.
    change_signal_mask(libc::SIG_BLOCK, Some(mask)).unwrap_or(0)
}

/// Replaces the calling thread's signal mask and returns the old one.
pub fn swap_signal_mask(mask: SigMask) -> SigMask {
    // The call cannot fail with these arguments.
    change_signal_mask(libc::SIG_SETMASK, Some(mask)).unwrap_or(0)
}
