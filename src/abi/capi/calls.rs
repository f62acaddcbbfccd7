//! The epoll calls under the library's own names, for programs that use this library's epoll beside
//! the one that libc's names are bound to.

use std::ffi::c_int;

use libc::{epoll_event, sigset_t, timespec};

use crate::abi::calls;
use crate::sleep::By;
use crate::sys::KERNEL_SIGSET_BYTES;

/// Creates an instance, as epoll_create1(2) does.
///
/// `flags` is 0 or EPOLL_CLOEXEC. Returns the instance's descriptor, or -1 with errno EINVAL
/// (another flag), EMFILE or ENFILE (no free number; the call takes two for a moment), ENOMEM (also
/// in a signal handler that interrupted this library).
#[unsafe(no_mangle)]
pub extern "C" fn epolyfill_create1(flags: c_int) -> c_int {
    calls::create1(flags)
}

/// Adds, changes or deletes a registration, as epoll_ctl(2) does.
///
/// `op` is EPOLL_CTL_ADD, EPOLL_CTL_MOD or EPOLL_CTL_DEL; EPOLL_CTL_DEL ignores `event`, which may
/// then be NULL. Returns 0, or -1 with errno EBADF (`epfd` or `fd` is not open), EEXIST, EFAULT
/// (`event`), EINVAL (`epfd` is not an instance of epolyfill, or is `fd`; an unknown `op`; an
/// invalid use of EPOLLEXCLUSIVE), ELOOP (a cycle of instances, or more than five levels), ENOENT,
/// ENOMEM, ENOSPC (too many registrations), EPERM (`fd` cannot be polled).
///
/// # Safety
/// `event` must be NULL, outside user space, or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epolyfill_ctl(epfd: c_int, op: c_int, fd: c_int, event: *mut epoll_event) -> c_int {
    // SAFETY: the caller answers for the address.
    unsafe { calls::ctl(epfd, op, fd, event) }
}

/// Waits for events, as epoll_wait(2) does.
///
/// At most `maxevents` are written to `events`. `timeout` is in milliseconds: 0 does not sleep, -1
/// never expires. Returns the number of events, 0 when the time is over, or -1 with errno EBADF,
/// EFAULT (`events`), EINTR (a signal handler ran), EINVAL (`epfd` is not an instance of epolyfill,
/// or `maxevents` is not positive), ENOMEM (no memory for the record that a thread needs when more
/// than 32 wait; the call did not wait). It is a cancellation point.
///
/// # Safety
/// `events` must be NULL, outside user space, or writable for `maxevents` events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epolyfill_wait(
    epfd: c_int,
    events: *mut epoll_event,
    maxevents: c_int,
    timeout: c_int,
) -> c_int {
    // SAFETY: the caller answers for the array.
    unsafe { calls::wait(By::Name, epfd, events, maxevents, timeout) }
}

/// Waits for events with another signal mask, as epoll_pwait(2) does.
///
/// `sigmask` is the signal mask during the wait; NULL leaves the mask unchanged. Everything else is
/// as in `epolyfill_wait`.
///
/// # Safety
/// As for `epolyfill_wait`; `sigmask` must be NULL, outside user space, or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epolyfill_pwait(
    epfd: c_int,
    events: *mut epoll_event,
    maxevents: c_int,
    timeout: c_int,
    sigmask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller answers for the addresses.
    unsafe { calls::pwait(By::Name, epfd, events, maxevents, timeout, sigmask, KERNEL_SIGSET_BYTES) }
}

/// Waits for events with a time limit in nanoseconds, as epoll_pwait2(2) does.
///
/// A `timeout` of NULL never expires; one that is negative, or has 10^9 nanoseconds or more, is
/// EINVAL. Everything else is as in `epolyfill_pwait`.
///
/// # Safety
/// As for `epolyfill_pwait`; `timeout` must be NULL, outside user space, or readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epolyfill_pwait2(
    epfd: c_int,
    events: *mut epoll_event,
    maxevents: c_int,
    timeout: *const timespec,
    sigmask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller answers for the addresses.
    unsafe { calls::pwait2(By::Name, epfd, events, maxevents, timeout, sigmask, KERNEL_SIGSET_BYTES) }
}

/// Closes a descriptor, an instance's or any other, as close(2) does. The registrations of an open
/// file end with its last descriptor.
///
/// Returns 0, or -1 with errno EBADF, EINTR or EIO. A thread that waits on the instance continues
/// to wait, as on Linux.
#[unsafe(no_mangle)]
pub extern "C" fn epolyfill_close(fd: c_int) -> c_int {
    // SAFETY: what becomes of the descriptor is for the caller to know.
    unsafe { calls::close(fd) }
}
