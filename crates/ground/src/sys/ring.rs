//! The calls of io_uring.

use libc::c_int;
use linux_raw_sys::io_uring::{IORING_ENTER_EXT_ARG, IORING_ENTER_GETEVENTS, io_uring_params};
use nix::errno::Errno;
use syscalls::{Sysno, syscall};

use super::{KERNEL_SIGSET_BYTES, SigMask, errno, timespec_of};

/// io_uring_setup(2); returns the descriptor of a new ring.
pub fn io_uring_setup(entries: u32, params: &mut io_uring_params) -> Result<c_int, Errno> {
    // SAFETY: the structure is the kernel's, and writable.
    unsafe { syscall!(Sysno::io_uring_setup, entries, std::ptr::from_mut(params)) }.map(|fd| fd as c_int).map_err(errno)
}

/// io_uring_enter(2) without sleeping: submits `count` requests, and makes the completions that are
/// due.
pub fn io_uring_enter(fd: c_int, count: u32) -> Result<usize, Errno> {
    // SAFETY: no memory is passed except the ring's own.
    unsafe { syscall!(Sysno::io_uring_enter, fd, count, 0, IORING_ENTER_GETEVENTS, 0usize, 0usize) }.map_err(errno)
}

/// io_uring_enter(2) that sleeps until there is a completion, for at most `limit` nanoseconds, with
/// `mask` as the signal mask. ETIME when the time is over, EINTR if a signal handler ran.
pub fn io_uring_sleep(fd: c_int, limit: Option<u64>, mask: Option<SigMask>) -> Result<(), Errno> {
    #[repr(C)]
    struct Extra {
        mask: u64,
        mask_bytes: u32,
        least_wait: u32,
        limit: u64,
    }
    let limit = limit.map(timespec_of);
    let extra = Extra {
        mask: mask.as_ref().map_or(0, |mask| std::ptr::from_ref(mask).addr() as u64),
        mask_bytes: KERNEL_SIGSET_BYTES as u32,
        least_wait: 0,
        limit: limit.as_ref().map_or(0, |limit| std::ptr::from_ref(limit).addr() as u64),
    };
    let flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
    // SAFETY: the structure, and the memory that it points to, outlive the call.
    unsafe { syscall!(Sysno::io_uring_enter, fd, 0, 1, flags, &raw const extra, size_of::<Extra>()) }
        .map(drop)
        .map_err(errno)
}
