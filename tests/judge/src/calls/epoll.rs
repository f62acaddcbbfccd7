//! epoll, and poll.

use std::ptr::{null, null_mut};

use libc::{c_int, epoll_event, timespec};

use super::answer;
use crate::kernel::Answer;

pub fn epoll_ctl(epfd: c_int, op: c_int, fd: c_int, event: Option<&mut epoll_event>) -> Answer {
    // SAFETY: the event is a reference, or NULL.
    answer(unsafe { libc::epoll_ctl(epfd, op, fd, event.map_or(null_mut(), std::ptr::from_mut)) })
}

/// # Safety
/// `events` must have room for `max` events, or be an address that the kernel refuses.
pub unsafe fn epoll_wait(epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) -> Answer {
    // SAFETY: guaranteed by the caller.
    answer(unsafe { libc::epoll_wait(epfd, events, max, timeout) })
}

/// # Safety
/// As for [`epoll_wait`].
pub unsafe fn epoll_pwait(epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) -> Answer {
    // SAFETY: guaranteed by the caller; the mask is NULL.
    answer(unsafe { libc::epoll_pwait(epfd, events, max, timeout, null()) })
}

/// # Safety
/// As for [`epoll_wait`].
pub unsafe fn epoll_pwait2(epfd: c_int, events: *mut epoll_event, max: c_int, limit: &timespec) -> Answer {
    // SAFETY: guaranteed by the caller; the mask is NULL.
    answer(unsafe { libc::epoll_pwait2(epfd, events, max, limit, null()) })
}

/// poll on one descriptor, with timeout 0.
pub fn poll(fd: c_int, events: i16) -> (Answer, i16) {
    let mut entry = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one entry.
    let answer = answer(unsafe { libc::poll(&raw mut entry, 1, 0) });
    (answer, entry.revents)
}
