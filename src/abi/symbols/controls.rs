//! Calls that control or position a descriptor, and their results for an epoll descriptor.

use libc::{c_int, off_t, sigset_t, termios};

use super::signal_waits::without_own;
use super::{export, libc_answer};
use crate::graph::signal_numbers;
use crate::hooks;
use crate::instance::epoll_file;
use crate::real;
use crate::sys;

/// ioctl; `call` makes the actual call.
///
/// # Safety
/// The argument must be valid for the request.
pub(super) unsafe fn any_ioctl(
    fd: c_int,
    request: libc::Ioctl,
    argument: usize,
    call: impl FnOnce() -> c_int,
) -> c_int {
    if let Some(ep) = epoll_file::instance(fd) {
        // SAFETY: the caller answers for the argument.
        if let Some(answer) = unsafe { epoll_file::ioctl(ep, request, argument) } {
            return libc_answer(answer);
        }
    }
    if signal_numbers::are_followed() {
        // SAFETY: the caller answers for the argument.
        unsafe { hooks::controlling_by_ioctl(fd, request, argument) };
    }
    hooks::controlling(fd, request, argument, call)
}

/// lseek; `call` makes the actual call.
pub(super) fn any_seek(fd: c_int, whence: c_int, call: impl FnOnce() -> off_t) -> off_t {
    if epoll_file::instance(fd).is_none() {
        return call();
    }
    epoll_file::seek(whence).unwrap_or_else(|errno| {
        sys::set_errno(errno);
        -1
    })
}

export! {
    /// ioctl(2). It is variadic in C; on the supported architectures the optional argument is
    /// passed where this third parameter is.
    fn ioctl(fd: c_int, request: libc::Ioctl, argument: usize) -> c_int {
        // SAFETY: as for libc's ioctl.
        unsafe { any_ioctl(fd, request, argument, || real::ioctl(fd, request, argument)) }
    }

    /// lseek(2).
    fn lseek(fd: c_int, offset: off_t, whence: c_int) -> off_t as libc::lseek {
        // SAFETY: as for libc's lseek.
        any_seek(fd, whence, || unsafe { real::lseek(fd, offset, whence) })
    }

    /// lseek in programs built for large files.
    fn lseek64(fd: c_int, offset: off_t, whence: c_int) -> off_t {
        // SAFETY: as for libc's lseek64.
        unsafe { lseek(fd, offset, whence) }
    }

    /// tcflush(3), which discards unread input.
    fn tcflush(fd: c_int, queue: c_int) -> c_int as libc::tcflush {
        // SAFETY: as for libc's ioctl, which is all that tcflush is.
        unsafe { ioctl(fd, libc::TCFLSH, queue as usize) }
    }

    /// tcflow(3), which stops and starts a terminal.
    fn tcflow(fd: c_int, action: c_int) -> c_int as libc::tcflow {
        // SAFETY: as above.
        unsafe { ioctl(fd, libc::TCXONC, action as usize) }
    }

    /// tcsetattr(3), which wakes the terminal's waiters.
    fn tcsetattr(fd: c_int, when: c_int, modes: *const termios) -> c_int as libc::tcsetattr {
        // SAFETY: as for libc's tcsetattr.
        let call = || unsafe { real::tcsetattr(fd, when, modes) };
        if (libc::TCSANOW..=libc::TCSAFLUSH).contains(&when) {
            hooks::controlling(fd, libc::TCSETS + when as libc::Ioctl, 0, call)
        } else {
            call()
        }
    }

    /// signalfd(2), which may change the mask of an existing signalfd.
    fn signalfd(fd: c_int, mask: *const sigset_t, flags: c_int) -> c_int as libc::signalfd {
        // SAFETY: as for libc's signalfd.
        hooks::masking_signals(fd, || unsafe { without_own(mask, |mask| real::signalfd(fd, mask, flags)) })
    }
}
