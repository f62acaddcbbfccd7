//! The epoll calls.

use libc::{c_int, epoll_event, sigset_t, timespec};
use nix::errno::Errno;

use super::{export, libc_answer};
use crate::control::{self, Interest};
use crate::eventpoll;
use crate::next;
use crate::sys::{KERNEL_SIGSET_BYTES, SigMask};
use crate::user;
use crate::wait::{self, Timeout};

/// The `event` of epoll_ctl; EFAULT for NULL and for addresses outside user space (T1). DEL ignores it (T2).
///
/// # Safety
/// `event` must be NULL, outside user space, or readable.
unsafe fn interest(op: c_int, event: *const epoll_event) -> Result<Option<Interest>, Errno> {
    if op == libc::EPOLL_CTL_DEL {
        return Ok(None);
    }
    // SAFETY: the caller answers for the address.
    let event = unsafe { user::read(event) }?;
    Ok(Some(Interest { events: event.events, data: event.u64 }))
}

/// Milliseconds; negative waits for ever (W2).
fn milliseconds(timeout: c_int) -> Timeout {
    u64::try_from(timeout).ok().map(|ms| ms * 1_000_000)
}

/// A timespec; NULL waits for ever, nonsense is EINVAL (W2).
unsafe fn time(limit: *const timespec) -> Result<Timeout, Errno> {
    if limit.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller answers for the address.
    let limit = unsafe { user::read(limit) }?;
    let seconds = u64::try_from(limit.tv_sec).map_err(|_| Errno::EINVAL)?;
    let nanoseconds = u64::try_from(limit.tv_nsec).ok().filter(|&ns| ns < 1_000_000_000).ok_or(Errno::EINVAL)?;
    Ok(Some(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)))
}

/// # Safety
/// As for the exported waits. A cancellation point (W10).
unsafe fn wait_until(
    epfd: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: Timeout,
    mask: Option<SigMask>,
) -> c_int {
    next::testcancel();
    // SAFETY: the caller answers for `events`.
    libc_answer(unsafe { wait::wait(epfd, events, max, timeout, mask) }.map(|n| n as c_int))
}

/// The first eight bytes of libc's set, which are the kernel's. EINVAL for another size, EFAULT where it cannot be the program's.
unsafe fn mask_of(mask: *const sigset_t, bytes: usize) -> Result<Option<SigMask>, Errno> {
    if mask.is_null() {
        return Ok(None);
    }
    if bytes != KERNEL_SIGSET_BYTES {
        return Err(Errno::EINVAL);
    }
    // SAFETY: the caller answers for the address.
    unsafe { user::read(mask.cast::<SigMask>()) }.map(Some)
}

/// epoll_pwait as the system call, which is told the size of the mask.
///
/// # Safety
/// As for epoll_pwait.
pub(super) unsafe fn pwait(
    epfd: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: c_int,
    mask: *const sigset_t,
    bytes: usize,
) -> c_int {
    // SAFETY: the caller answers for the addresses.
    unsafe {
        match mask_of(mask, bytes) {
            Ok(mask) => wait_until(epfd, events, max, milliseconds(timeout), mask),
            Err(errno) => libc_answer(Err(errno)),
        }
    }
}

/// epoll_pwait2 as the system call. The time is looked at before the mask.
///
/// # Safety
/// As for epoll_pwait2.
pub(super) unsafe fn pwait2(
    epfd: c_int,
    events: *mut epoll_event,
    max: c_int,
    limit: *const timespec,
    mask: *const sigset_t,
    bytes: usize,
) -> c_int {
    // SAFETY: the caller answers for the addresses.
    unsafe {
        match time(limit).and_then(|timeout| Ok((timeout, mask_of(mask, bytes)?))) {
            Ok((timeout, mask)) => wait_until(epfd, events, max, timeout, mask),
            Err(errno) => libc_answer(Err(errno)),
        }
    }
}

export! {
    /// Creates an instance. `size` must be positive and is otherwise ignored. EINVAL, EMFILE, ENFILE, ENOMEM.
    fn epoll_create(size: c_int) -> c_int as libc::epoll_create {
        if size <= 0 {
            return libc_answer(Err(Errno::EINVAL));
        }
        libc_answer(eventpoll::create(0))
    }

    /// Creates an instance. `flags` is 0 or EPOLL_CLOEXEC. EINVAL, EMFILE, ENFILE, ENOMEM.
    fn epoll_create1(flags: c_int) -> c_int as libc::epoll_create1 {
        libc_answer(eventpoll::create(flags))
    }

    /// Adds, changes or deletes a registration. EBADF, EEXIST, EFAULT, EINVAL, ELOOP, ENOENT, ENOMEM, ENOSPC, EPERM.
    fn epoll_ctl(epfd: c_int, op: c_int, fd: c_int, event: *mut epoll_event) -> c_int as libc::epoll_ctl {
        // SAFETY: as for libc's epoll_ctl.
        let interest = unsafe { interest(op, event) };
        libc_answer(interest.and_then(|interest| control::control(epfd, op, fd, interest)).map(|()| 0))
    }

    /// Waits for events, at most `timeout` milliseconds; negative waits for ever. EBADF, EFAULT, EINTR, EINVAL.
    fn epoll_wait(epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) -> c_int as libc::epoll_wait {
        // SAFETY: as for libc's epoll_wait.
        unsafe { wait_until(epfd, events, max, milliseconds(timeout), None) }
    }

    /// Waits for events with `mask` as the signal mask meanwhile; NULL changes none.
    fn epoll_pwait(epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int, mask: *const sigset_t) -> c_int
        as libc::epoll_pwait
    {
        // SAFETY: as for libc's epoll_pwait.
        unsafe { pwait(epfd, events, max, timeout, mask, KERNEL_SIGSET_BYTES) }
    }

    /// Waits for events, at most as long as `limit` says; NULL waits for ever. EINVAL for an invalid time.
    fn epoll_pwait2(epfd: c_int, events: *mut epoll_event, max: c_int, limit: *const timespec, mask: *const sigset_t) -> c_int {
        // SAFETY: as for libc's epoll_pwait2.
        unsafe { pwait2(epfd, events, max, limit, mask, KERNEL_SIGSET_BYTES) }
    }
}
