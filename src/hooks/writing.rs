//! Hooks of the calls that write. They report whether there was space, and whether there had been
//! none before.

use libc::c_int;
use nix::errno::Errno;

use super::pipes::{report_fifo_space, report_full_fifo, wake_pipe};
use super::sockets::{has_opened, opening, still_defers_connect};
use super::{not_for_ours, report_failure, watched};
use crate::edge::Facts;
use crate::events::{HUP, WRITABLE};
use crate::graph::fdtable;
use crate::graph::file::{File, Tcp};
use crate::graph::lookup;
use crate::kind::Kind;
use crate::probe::observe;
use crate::probe::sample;
use crate::sys;

/// Makes a call like write(2) on `fd` with `offered` bytes. A write that a full pipe refuses also
/// wakes the readers.
#[inline(always)] // Without the tail call an unwatched write costs 7 ns more.
pub fn writing(fd: c_int, offered: impl FnOnce() -> usize, call: impl FnOnce() -> isize) -> isize {
    if !fdtable::has(fd) && !File::any_fifo_edges() && !File::any_pipe_edges() {
        // A tail call, as in `reading`.
        return call();
    }
    known_writing(fd, offered, call)
}

#[inline(never)]
fn known_writing(fd: c_int, offered: impl FnOnce() -> usize, call: impl FnOnce() -> isize) -> isize {
    if watched(fd).is_none() && !is_known_eventfd(fd) && !File::any_fifo_edges() && !File::any_pipe_edges() {
        return call();
    }
    concerned_writing(fd, offered, call)
}

/// Whether it is an eventfd that is, or was, registered edge-triggered. Only the call shows that it
/// adds to the counter.
#[inline]
fn is_known_eventfd(fd: c_int) -> bool {
    lookup::known(fd).is_some_and(|file| file.kind().is_eventfd())
}

/// Makes a write that may affect other descriptions, or an eventfd. An edge-triggered registration
/// of the eventfd may begin during the call, for instance when its instance leaves its ring.
#[inline(never)]
fn concerned_writing(fd: c_int, offered: impl FnOnce() -> usize, call: impl FnOnce() -> isize) -> isize {
    let unwatched = lookup::known(fd).filter(|file| file.kind().is_eventfd() && !file.has_edges());
    let unwatched = unwatched.map(|file| (file, begin_write(file)));
    report_fifo_space(fd);
    let n = report_elsewhere(fd, sending(fd, 0, offered, call));
    if let Some((file, at)) = unwatched
        && n > 0
        && file.has_edges()
    {
        file.tell(Facts::WROTE, at);
    }
    n
}

/// Makes a call like writev(2). An empty write(2) sends an empty datagram; an empty writev(2) does
/// nothing.
#[inline]
pub fn writing_vector(fd: c_int, offered: impl FnOnce() -> usize, call: impl FnOnce() -> isize) -> isize {
    report_fifo_space(fd);
    report_elsewhere(fd, passed_write(fd, offered, call, false))
}

/// Makes a call that sends `offered` bytes (or messages) with these flags. `offered` is called only
/// if the call succeeds.
#[inline(always)] // As `writing`.
pub fn sending(fd: c_int, flags: c_int, offered: impl FnOnce() -> usize, call: impl FnOnce() -> isize) -> isize {
    match watched(fd) {
        None => call(),
        Some(file) => send_watched(file, fd, flags, offered, call),
    }
}

#[inline(never)]
fn send_watched(
    file: &'static File,
    fd: c_int,
    flags: c_int,
    offered: impl FnOnce() -> usize,
    call: impl FnOnce() -> isize,
) -> isize {
    opening(file, fd, flags, || write_watched(file, fd, offered, call, true))
}

/// Reports the effects of a write on descriptions other than its own.
#[inline]
fn report_elsewhere(fd: c_int, n: isize) -> isize {
    let may_concern = if n > 0 { File::any_fifo_edges() } else { n < 0 && File::any_pipe_edges() };
    if may_concern {
        report_effects_elsewhere(fd, n);
    }
    n
}

#[cold]
fn report_effects_elsewhere(fd: c_int, n: isize) {
    if n > 0 {
        report_full_fifo(fd);
    } else if sys::last_errno() == Errno::EAGAIN {
        wake_pipe(fd, File::reads, Facts::WRITER_BLOCKED);
    }
}

/// Makes a write. `empty` is true if a write of 0 bytes is a message.
#[inline]
fn passed_write(fd: c_int, offered: impl FnOnce() -> usize, call: impl FnOnce() -> isize, empty: bool) -> isize {
    match watched(fd) {
        None => call(),
        Some(file) => write_watched(file, fd, offered, call, empty),
    }
}

/// Makes a write to a description with edge-triggered registrations.
#[inline(never)]
fn write_watched(
    file: &'static File,
    fd: c_int,
    offered: impl FnOnce() -> usize,
    call: impl FnOnce() -> isize,
    empty: bool,
) -> isize {
    if file.is_source() {
        return not_for_ours(file, None);
    }
    if file.eventpoll().is_some() {
        // A call for sockets fails with ENOTSOCK, as on an epoll descriptor. Any other call fails
        // because the read end of a pipe cannot be written.
        return if call() < 0 && sys::last_errno() == Errno::ENOTSOCK { -1 } else { not_for_ours(file, None) };
    }
    let at = begin_write(file);
    let opens = file.tcp().is_some_and(Tcp::defers_connect) && still_defers_connect(file, fd);
    observe::before_write(file, fd);
    let n = call();
    let offered = if n < 0 { 0 } else { offered() };
    if n != 0 || offered > 0 || empty {
        report_write(file, fd, at, n, offered);
    }
    if opens {
        has_opened(file, fd, at);
    }
    n
}

/// Notes that a write begins. An add to an eventfd that does not pass here comes from the kernel or
/// from another process.
fn begin_write(file: &File) -> u32 {
    if let Some(eventfd) = file.eventfd() {
        eventfd.begin_add();
    }
    file.begin_call()
}

/// Reports the result of a write-like call that was offered `offered` bytes or messages.
#[cold]
pub(super) fn report_write(file: &'static File, fd: c_int, at: u32, n: isize, offered: usize) {
    observe::note_outgoing(file, fd);
    match n {
        ..0 => report_failure(file, fd, at, Facts::NO_SPACE),
        // An error stopped the call, which did not return it: sendmmsg(2) returns the number of
        // messages sent before.
        _ if n.unsigned_abs() < offered && file.kind() == Kind::Udp => {
            file.tell(Facts::SO_ERROR_CLEARED | Facts::WROTE, at)
        }
        // The connection was reset during the call, which woke every waiter.
        _ if n.unsigned_abs() < offered && file.kind() == Kind::Tcp && sys::level(fd, 0) & HUP != 0 => {
            file.tell(Facts::RECHECK, at)
        }
        _ if n.unsigned_abs() < offered => observe::refused_write(file, fd, at),
        // A pipe may be exactly full now. No refused write will show that, and the pipe may have
        // space again by the next look.
        _ if file.kind().is_pipe() && sys::level(fd, WRITABLE) & WRITABLE == 0 => observe::refused_write(file, fd, at),
        // A write that blocked until there was space, and left none, has set SOCK_NOSPACE.
        _ if n > 0 && file.tcp().is_some_and(Tcp::blocks) && !sample::has_stream_room(fd) => {
            observe::refused_write(file, fd, at)
        }
        _ => file.tell(Facts::WROTE, at),
    }
}
