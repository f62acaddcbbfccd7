//! poll and select, whose sets may contain epoll descriptors.

use libc::{c_int, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec, timeval};

use super::export;
use crate::abi::own_signals::WaitMask;
use crate::graph::eventpoll;
use crate::instance::wait::Timeout;
use crate::nested::poll_select::{self, Sets};
use crate::probe::fleeting;
use crate::real;
use crate::sleep::By;
use crate::sys;
use crate::uaccess;

/// poll; it calls `otherwise` if the set contains no epoll descriptor.
///
/// # Safety
/// As for poll.
pub(super) unsafe fn poll_any(
    by: By,
    set: *mut pollfd,
    n: nfds_t,
    timeout: c_int,
    otherwise: impl FnOnce() -> c_int,
) -> c_int {
    // SAFETY: as for libc's poll.
    unsafe {
        let found = if !eventpoll::any_yet() || !poll_select::in_poll_set(set, n) {
            otherwise()
        } else {
            poll_select::poll(by, set, n, u64::try_from(timeout).ok().map(|ms| ms * 1_000_000), std::ptr::null())
        };
        polled(set, n, found)
    }
}

/// Follows up a poll of the program, which found `found` descriptors.
///
/// # Safety
/// If it found any, `set` must be the array that the kernel has just written.
unsafe fn polled(set: *const pollfd, n: nfds_t, found: c_int) -> c_int {
    if found > 0 && fleeting::any_yet() {
        // SAFETY: the caller answers for it.
        unsafe { poll_select::tell_shown(set, n) };
    }
    found
}

unsafe fn ppoll_any(set: *mut pollfd, n: nfds_t, limit: *const timespec, mask: *const sigset_t) -> c_int {
    // SAFETY: as for libc's ppoll.
    unsafe {
        let mask = WaitMask::of(mask);
        let found = match poll_select::nanoseconds(limit) {
            Some(timeout) if eventpoll::any_yet() && poll_select::in_poll_set(set, n) => {
                poll_select::poll(By::Name, set, n, timeout, mask.address())
            }
            _ => real::ppoll(set, n, limit, mask.address()),
        };
        polled(set, n, found)
    }
}

/// The rest of `timeout` since `begin`, in nanoseconds.
fn left(timeout: u64, begin: u64) -> u64 {
    timeout.saturating_sub(sys::now().saturating_sub(begin))
}

/// The time of select, which may have more microseconds than a second; `None` leaves an invalid one
/// to the kernel.
unsafe fn time_of(limit: *const timeval) -> Option<Timeout> {
    if limit.is_null() {
        return Some(None);
    }
    // SAFETY: the caller answers for the address.
    let limit = unsafe { uaccess::read(limit) }.ok()?;
    let (seconds, rest) = (u64::try_from(limit.tv_sec).ok()?, u64::try_from(limit.tv_usec).ok()?);
    Some(Some(seconds.saturating_mul(1_000_000_000).saturating_add(rest.saturating_mul(1000))))
}

/// select, as libc's function and as the system call; it calls `otherwise` if the sets contain no
/// epoll descriptor. The remaining time is written back, as the kernel does.
///
/// # Safety
/// As for select.
pub(super) unsafe fn select_any(
    by: By,
    n: c_int,
    sets: [*mut fd_set; 3],
    limit: *mut timeval,
    otherwise: impl FnOnce() -> c_int,
) -> c_int {
    if !eventpoll::any_yet() {
        return otherwise();
    }
    // SAFETY: the caller answers for the addresses.
    unsafe {
        match (time_of(limit), Sets::with_instances(n, sets)) {
            (Some(timeout), Some(sets)) => {
                let begin = sys::now();
                let found = poll_select::select(by, n, sets, timeout, std::ptr::null());
                if let Some(timeout) = timeout {
                    let micros = left(timeout, begin) / 1000;
                    let rest = timeval { tv_sec: (micros / 1_000_000) as _, tv_usec: (micros % 1_000_000) as _ };
                    // If the time cannot be written, it is left as it is.
                    let _ = uaccess::write(limit, rest);
                }
                found
            }
            _ => otherwise(),
        }
    }
}

/// pselect: libc's function, which leaves the time alone, or the system call, which writes the
/// remaining time back.
///
/// # Safety
/// As for pselect.
unsafe fn pselect_any(
    by: By,
    n: c_int,
    sets: [*mut fd_set; 3],
    limit: *mut timespec,
    mask: *const sigset_t,
    otherwise: impl FnOnce() -> c_int,
) -> c_int {
    if !eventpoll::any_yet() {
        return otherwise();
    }
    // SAFETY: the caller answers for the addresses.
    unsafe {
        match (poll_select::nanoseconds(limit), Sets::with_instances(n, sets)) {
            (Some(timeout), Some(sets)) => {
                let begin = sys::now();
                let found = poll_select::select(by, n, sets, timeout, mask);
                if by == By::Number {
                    tell_left(timeout, begin, limit);
                }
                found
            }
            _ => otherwise(),
        }
    }
}

/// ppoll by number, with the mask and its size. It writes back the remaining time.
///
/// # Safety
/// As for ppoll.
pub(super) unsafe fn ppoll_by_number(
    set: *mut pollfd,
    n: nfds_t,
    limit: *mut timespec,
    (mask, bytes): (*const sigset_t, usize),
    otherwise: impl FnOnce(*const sigset_t) -> c_int,
) -> c_int {
    let is_valid = mask.is_null() || bytes == sys::KERNEL_SIGSET_BYTES;
    // SAFETY: the caller answers for the addresses.
    unsafe {
        let mask = WaitMask::of(mask);
        let found = match poll_select::nanoseconds(limit) {
            Some(timeout) if is_valid && eventpoll::any_yet() && poll_select::in_poll_set(set, n) => {
                let begin = sys::now();
                let found = poll_select::poll(By::Number, set, n, timeout, mask.address());
                tell_left(timeout, begin, limit);
                found
            }
            _ => otherwise(mask.address()),
        };
        polled(set, n, found)
    }
}

/// pselect6 by number, whose sixth argument is the address of the mask's address and size. It writes
/// back the remaining time.
///
/// # Safety
/// As for pselect.
pub(super) unsafe fn pselect_by_number(
    n: c_int,
    sets: [*mut fd_set; 3],
    limit: *mut timespec,
    sixth: usize,
    otherwise: impl FnOnce(usize) -> c_int,
) -> c_int {
    // SAFETY: the caller answers for the addresses.
    unsafe {
        let Some(mask) = mask_of_pselect(sixth) else { return otherwise(sixth) };
        let mask = WaitMask::of(mask);
        let passed = [mask.address().addr(), sys::KERNEL_SIGSET_BYTES];
        pselect_any(By::Number, n, sets, limit, mask.address(), || otherwise(passed.as_ptr().addr()))
    }
}

/// The mask in the sixth argument of pselect6; `None` if the kernel would refuse it.
unsafe fn mask_of_pselect(sixth: usize) -> Option<*const sigset_t> {
    if sixth == 0 {
        return Some(std::ptr::null());
    }
    // SAFETY: the caller answers for the address.
    let [mask, bytes] = unsafe { uaccess::read(sixth as *const [usize; 2]) }.ok()?;
    (mask == 0 || bytes == sys::KERNEL_SIGSET_BYTES).then_some(mask as *const sigset_t)
}

unsafe fn tell_left(timeout: Timeout, begin: u64, limit: *mut timespec) {
    if let Some(timeout) = timeout {
        // SAFETY: the caller answers for the address. If the time cannot be written, it is left as
        // it is.
        let _ = unsafe { uaccess::write(limit, sys::timespec_of(left(timeout, begin))) };
    }
}

export! {
    /// poll(2).
    fn poll(set: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int as libc::poll {
        // SAFETY: as for libc's poll.
        unsafe { poll_any(By::Name, set, n, timeout, || real::poll(set, n, timeout)) }
    }

    /// libc's other name of poll.
    fn __poll(set: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int {
        // SAFETY: as for libc's poll.
        unsafe { poll_any(By::Name, set, n, timeout, || real::poll(set, n, timeout)) }
    }

    /// poll of fortified programs.
    fn __poll_chk(set: *mut pollfd, n: nfds_t, timeout: c_int, room: size_t) -> c_int {
        // SAFETY: as for libc's poll.
        unsafe {
            if room / size_of::<pollfd>() < n as usize {
                real::chk_fail();
            }
            poll_any(By::Name, set, n, timeout, || real::poll(set, n, timeout))
        }
    }

    /// ppoll(2).
    fn ppoll(set: *mut pollfd, n: nfds_t, limit: *const timespec, mask: *const sigset_t) -> c_int as libc::ppoll {
        // SAFETY: as for libc's ppoll.
        unsafe { ppoll_any(set, n, limit, mask) }
    }

    /// ppoll of fortified programs.
    fn __ppoll_chk(set: *mut pollfd, n: nfds_t, limit: *const timespec, mask: *const sigset_t, room: size_t) -> c_int {
        // SAFETY: as for libc's ppoll.
        unsafe {
            if room / size_of::<pollfd>() < n as usize {
                real::chk_fail();
            }
            ppoll_any(set, n, limit, mask)
        }
    }

    /// select(2), which leaves the remaining time in `limit`.
    fn select(n: c_int, r: *mut fd_set, w: *mut fd_set, e: *mut fd_set, limit: *mut timeval) -> c_int as libc::select {
        // SAFETY: as for libc's select.
        unsafe { select_any(By::Name, n, [r, w, e], limit, || real::select(n, r, w, e, limit)) }
    }

    /// libc's other name of select.
    fn __select(n: c_int, r: *mut fd_set, w: *mut fd_set, e: *mut fd_set, limit: *mut timeval) -> c_int {
        // SAFETY: as for libc's select.
        unsafe { select(n, r, w, e, limit) }
    }

    /// pselect(2).
    fn pselect(
        n: c_int,
        r: *mut fd_set,
        w: *mut fd_set,
        e: *mut fd_set,
        limit: *const timespec,
        mask: *const sigset_t,
    ) -> c_int as libc::pselect {
        // SAFETY: as for libc's pselect.
        unsafe {
            let mask = WaitMask::of(mask);
            let mask = mask.address();
            pselect_any(By::Name, n, [r, w, e], limit.cast_mut(), mask, || real::pselect(n, r, w, e, limit, mask))
        }
    }
}
