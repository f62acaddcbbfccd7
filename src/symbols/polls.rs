//! poll and select, which may be asked about epoll descriptors.

use libc::{c_int, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec, timeval};

use super::export;
use crate::eventpoll;
use crate::next;
use crate::observer;

unsafe fn poll_any(set: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int {
    // SAFETY: as for libc's poll.
    unsafe {
        if !eventpoll::any_yet() || !observer::in_poll_set(set, n) {
            return next::poll(set, n, timeout);
        }
        observer::poll(set, n, u64::try_from(timeout).ok().map(|ms| ms * 1_000_000), std::ptr::null())
    }
}

unsafe fn ppoll_any(set: *mut pollfd, n: nfds_t, limit: *const timespec, mask: *const sigset_t) -> c_int {
    // SAFETY: as for libc's ppoll.
    unsafe {
        match observer::nanoseconds(limit) {
            Some(timeout) if eventpoll::any_yet() && observer::in_poll_set(set, n) => {
                observer::poll(set, n, timeout, mask)
            }
            _ => next::ppoll(set, n, limit, mask),
        }
    }
}

export! {
    /// poll(2).
    fn poll(set: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int as libc::poll {
        // SAFETY: as for libc's poll.
        unsafe { poll_any(set, n, timeout) }
    }

    /// libc's other name of poll.
    fn __poll(set: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int {
        // SAFETY: as for libc's poll.
        unsafe { poll_any(set, n, timeout) }
    }

    /// poll of fortified programs.
    fn __poll_chk(set: *mut pollfd, n: nfds_t, timeout: c_int, room: size_t) -> c_int {
        // SAFETY: as for libc's poll.
        unsafe {
            if room / size_of::<pollfd>() < n as usize {
                next::chk_fail();
            }
            poll_any(set, n, timeout)
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
                next::chk_fail();
            }
            ppoll_any(set, n, limit, mask)
        }
    }

    /// select(2).
    fn select(n: c_int, r: *mut fd_set, w: *mut fd_set, e: *mut fd_set, limit: *mut timeval) -> c_int as libc::select {
        // SAFETY: as for libc's select.
        unsafe {
            let mut call = |r, w, e| next::select(n, r, w, e, limit);
            if eventpoll::any_yet() { observer::select(n, [r, w, e], &mut call) } else { call(r, w, e) }
        }
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
            let mut call = |r, w, e| next::pselect(n, r, w, e, limit, mask);
            if eventpoll::any_yet() { observer::select(n, [r, w, e], &mut call) } else { call(r, w, e) }
        }
    }
}
