//! The epoll calls.

use libc::{c_int, epoll_event, sigset_t, timespec};

use super::export;
use crate::abi::served;
use crate::sleep::By;
use crate::sys::KERNEL_SIGSET_BYTES;

export! {
    /// Creates an instance. `size` must be positive and is otherwise ignored. EINVAL, EMFILE,
    /// ENFILE, ENOMEM.
    fn epoll_create(size: c_int) -> c_int as libc::epoll_create {
        served::create(size)
    }

    /// Creates an instance. `flags` is 0 or EPOLL_CLOEXEC. EINVAL, EMFILE, ENFILE, ENOMEM.
    fn epoll_create1(flags: c_int) -> c_int as libc::epoll_create1 {
        served::create1(flags)
    }

    /// Adds, changes or deletes a registration. EBADF, EEXIST, EFAULT, EINVAL, ELOOP, ENOENT,
    /// ENOMEM, ENOSPC, EPERM.
    fn epoll_ctl(epfd: c_int, op: c_int, fd: c_int, event: *mut epoll_event) -> c_int as libc::epoll_ctl {
        // SAFETY: as for libc's epoll_ctl.
        unsafe { served::ctl(epfd, op, fd, event) }
    }

    /// Waits for events, for at most `timeout` milliseconds, or without limit if it is negative.
    /// EBADF, EFAULT, EINTR, EINVAL.
    fn epoll_wait(epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) -> c_int as libc::epoll_wait {
        // SAFETY: as for libc's epoll_wait.
        unsafe { served::wait(By::Name, epfd, events, max, timeout) }
    }

    /// Waits for events with `mask` as the signal mask meanwhile; NULL leaves the mask as it is.
    fn epoll_pwait(epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int, mask: *const sigset_t) -> c_int
        as libc::epoll_pwait
    {
        // SAFETY: as for libc's epoll_pwait.
        unsafe { served::pwait(By::Name, epfd, events, max, timeout, mask, KERNEL_SIGSET_BYTES) }
    }

    /// Waits for events, for at most `limit`, or without limit if it is NULL. EINVAL for an invalid
    /// time.
    fn epoll_pwait2(epfd: c_int, events: *mut epoll_event, max: c_int, limit: *const timespec, mask: *const sigset_t) -> c_int {
        // SAFETY: as for libc's epoll_pwait2.
        unsafe { served::pwait2(By::Name, epfd, events, max, limit, mask, KERNEL_SIGSET_BYTES) }
    }
}
