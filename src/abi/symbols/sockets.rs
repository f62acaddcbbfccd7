//! The calls that connect sockets, shut them down, and ask or set their options.

use libc::{c_int, c_void, sockaddr, socklen_t};

use super::export;
use crate::graph::signal_numbers;
use crate::hooks;
use crate::real;

/// Notes the two descriptors that a call has made.
///
/// # Safety
/// If the call succeeded, `ends` are two numbers.
pub(super) unsafe fn pair(ends: *const c_int, answer: c_int) -> c_int {
    if answer == 0 && signal_numbers::are_followed() {
        // SAFETY: the kernel has written both.
        let ends = unsafe { ends.cast::<[c_int; 2]>().read_unaligned() };
        let _ = ends.map(signal_numbers::note_made);
    }
    answer
}

export! {
    /// socket(2).
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int as libc::socket {
        // SAFETY: as for libc's socket.
        signal_numbers::note_made(unsafe { real::socket(domain, kind, protocol) })
    }

    /// socketpair(2).
    fn socketpair(domain: c_int, kind: c_int, protocol: c_int, ends: *mut c_int) -> c_int as libc::socketpair {
        // SAFETY: as for libc's socketpair.
        unsafe { pair(ends, real::socketpair(domain, kind, protocol, ends)) }
    }

    /// connect(2).
    fn connect(fd: c_int, to: *const sockaddr, length: socklen_t) -> c_int as libc::connect {
        // SAFETY: as for libc's connect.
        hooks::connecting(fd, || unsafe { real::connect(fd, to, length) })
    }

    /// libc's other name of connect.
    fn __connect(fd: c_int, to: *const sockaddr, length: socklen_t) -> c_int {
        // SAFETY: as for libc's connect.
        unsafe { connect(fd, to, length) }
    }

    /// listen(2).
    fn listen(fd: c_int, backlog: c_int) -> c_int as libc::listen {
        // SAFETY: as for libc's listen.
        hooks::listening(fd, || unsafe { real::listen(fd, backlog) })
    }

    /// accept(2).
    fn accept(fd: c_int, from: *mut sockaddr, length: *mut socklen_t) -> c_int as libc::accept {
        // SAFETY: as for libc's accept.
        hooks::accepting(fd, || unsafe { real::accept(fd, from, length) })
    }

    /// accept4(2).
    fn accept4(fd: c_int, from: *mut sockaddr, length: *mut socklen_t, flags: c_int) -> c_int as libc::accept4 {
        // SAFETY: as for libc's accept4.
        hooks::accepting(fd, || unsafe { real::accept4(fd, from, length, flags) })
    }

    /// shutdown(2).
    fn shutdown(fd: c_int, how: c_int) -> c_int as libc::shutdown {
        // SAFETY: as for libc's shutdown.
        hooks::shutting_down(fd, how, || unsafe { real::shutdown(fd, how) })
    }

    /// getsockopt(2), which clears a pending error with SO_ERROR.
    fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, length: *mut socklen_t) -> c_int as libc::getsockopt {
        // SAFETY: as for libc's getsockopt.
        hooks::asking(fd, level, name, || unsafe { real::getsockopt(fd, level, name, value, length) })
    }

    /// setsockopt(2), some of whose options wake waiters.
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, length: socklen_t) -> c_int as libc::setsockopt {
        // SAFETY: as for libc's setsockopt.
        hooks::setting(fd, level, name, || unsafe { real::setsockopt(fd, level, name, value, length) })
    }
}
