//! The calls that close and duplicate descriptors.

use libc::{c_int, c_uint};
use nix::errno::Errno;

use super::raw_call::RawCall;
use super::{export, libc_answer, sockets};
use crate::abi::calls;
use crate::backend::switch;
use crate::graph::fdtable;
use crate::graph::lookup;
use crate::graph::own_table;
use crate::graph::signal_numbers;
use crate::hooks;
use crate::instance::close;
use crate::instance::dup;
use crate::instance::epoll_file;
use crate::lock;
use crate::real;
use crate::see::{Observer, Watch};
use crate::sys;

/// Prepares for the replacement of a number: an internal descriptor moves away, a watched one is
/// forgotten. Only if the call can succeed.
fn make_room(old: c_int, new: c_int) {
    if fdtable::has(new) && sys::is_open(old) && !lookup::is_internal(old) {
        if !lock::interrupted() {
            dup::make_way(new);
        }
        close::forget_from_anywhere(new);
    }
}

/// Duplicates onto a number; `call` makes the actual call.
pub(super) fn dup_onto(old: c_int, new: c_int, flags: c_int, call: impl FnOnce() -> c_int) -> c_int {
    if own_table::is_borrowed() || old == new || flags & !libc::O_CLOEXEC != 0 {
        return call();
    }
    if let Err(errno) = dup::expect_duplicate(old, Some(new)) {
        return libc_answer(Err(errno));
    }
    make_room(old, new);
    let answer = call();
    if answer >= 0 {
        signal_numbers::forget(answer);
        Watch::duplicated(old, answer);
        // This cannot fail: its memory was reserved above.
        let _ = dup::duplicated(old, answer);
    }
    answer
}

/// fcntl; `call` makes the actual call.
pub(super) fn control_descriptor(fd: c_int, command: c_int, argument: usize, call: impl FnOnce() -> c_int) -> c_int {
    if matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) {
        return duplicate(fd, call);
    }
    if let Some(ep) = epoll_file::instance(fd)
        && let Some(answer) = epoll_file::control(ep, fd, command, argument)
    {
        return libc_answer(answer);
    }
    if signal_numbers::are_followed()
        && let Some(answer) = hooks::controlling_signals(fd, command, argument)
    {
        return libc_answer(answer);
    }
    let answer = call();
    match command {
        libc::F_SETPIPE_SZ if answer >= 0 => hooks::resized_pipe(fd),
        libc::F_SETFL if answer >= 0 => hooks::set_flags(fd, argument as c_int),
        _ => {}
    }
    answer
}

/// Duplicates to a free number; `call` makes the actual call.
pub(super) fn duplicate(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    if own_table::is_borrowed() {
        return call();
    }
    if let Err(errno) = dup::expect_duplicate(fd, None) {
        return libc_answer(Err(errno));
    }
    let answer = call();
    if answer >= 0 {
        signal_numbers::forget(answer);
        Watch::duplicated(fd, answer);
    }
    if answer >= 0
        && let Err(errno) = dup::duplicated(fd, answer)
    {
        let _ = sys::close(answer);
        return libc_answer(Err(errno));
    }
    answer
}

/// Closes a range of numbers, except the library's internal descriptors.
pub(super) fn close_numbers(first: c_uint, last: c_uint, flags: c_uint) -> Result<(), Errno> {
    if flags & libc::CLOSE_RANGE_UNSHARE != 0 {
        Watch::unsharing();
    }
    if flags & libc::CLOSE_RANGE_CLOEXEC == 0 {
        Watch::closing_range(first, last);
    }
    if flags & !libc::CLOSE_RANGE_UNSHARE != 0 || first > last || own_table::is_borrowed() {
        return sys::close_range(first, last, flags);
    }
    if flags & libc::CLOSE_RANGE_UNSHARE != 0 && own_table::has_company() {
        return own_table::leave(switch::give_up_own, || sys::close_range(first, last, flags), Result::is_ok);
    }
    close_around(first, last, flags)
}

fn close_around(first: c_uint, last: c_uint, flags: c_uint) -> Result<(), Errno> {
    let (mut from, mut flags) = (first, flags);
    let internals = close::forget_range(first, last);
    signal_numbers::forget_range(first, last);
    for internal in internals {
        if internal > from {
            sys::close_range(from, internal - 1, flags)?;
            flags = 0;
        }
        from = internal + 1;
    }
    if from <= last { sys::close_range(from, last, flags) } else { Ok(()) }
}

/// close by number.
pub(super) fn close_by_number(fd: c_int, call: &RawCall) -> isize {
    Watch::closing(fd);
    if calls::about_to_close(fd) { call.make() } else { libc_answer(Err(Errno::EBADF)) as isize }
}

export! {
    /// Closes a descriptor; its registrations end with the last descriptor of the open file
    /// description.
    fn close(fd: c_int) -> c_int as libc::close {
        // SAFETY: as for libc's close.
        unsafe { calls::close(fd) }
    }

    /// libc's other name of close.
    fn __close(fd: c_int) -> c_int {
        // SAFETY: as for libc's close.
        unsafe { calls::close(fd) }
    }

    /// Duplicates a descriptor.
    fn dup(fd: c_int) -> c_int as libc::dup {
        // SAFETY: as for libc's dup.
        duplicate(fd, || unsafe { real::dup(fd) })
    }

    /// Duplicates a descriptor onto a number, and closes the descriptor that was there.
    fn dup2(old: c_int, new: c_int) -> c_int as libc::dup2 {
        if old == new {
            // SAFETY: as for libc's dup2, which returns the number if it is open.
            return if unsafe { real::fcntl64(old, libc::F_GETFD, 0) } < 0 { -1 } else { new };
        }
        // SAFETY: as for libc's dup2.
        dup_onto(old, new, 0, || unsafe { real::dup2(old, new) })
    }

    /// libc's other name of dup2.
    fn __dup2(old: c_int, new: c_int) -> c_int {
        // SAFETY: as for libc's dup2.
        unsafe { dup2(old, new) }
    }

    /// Duplicates a descriptor onto another number, with flags.
    fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int as libc::dup3 {
        // SAFETY: as for libc's dup3.
        dup_onto(old, new, flags, || unsafe { real::dup3(old, new, flags) })
    }

    /// Duplicates with F_DUPFD and F_DUPFD_CLOEXEC. It is variadic in C; on the supported
    /// architectures the optional argument is passed where this third parameter is.
    fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
        // SAFETY: as for libc's fcntl.
        control_descriptor(fd, command, argument, || unsafe { real::fcntl64(fd, command, argument) })
    }

    /// The name of fcntl in programs built for large files.
    fn fcntl64(fd: c_int, command: c_int, argument: usize) -> c_int {
        // SAFETY: as for libc's fcntl.
        control_descriptor(fd, command, argument, || unsafe { real::fcntl64(fd, command, argument) })
    }

    /// libc's other name of fcntl.
    fn __fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
        // SAFETY: as for libc's fcntl.
        control_descriptor(fd, command, argument, || unsafe { real::fcntl64(fd, command, argument) })
    }

    /// Makes a pipe.
    fn pipe(ends: *mut c_int) -> c_int as libc::pipe {
        // SAFETY: as for libc's pipe.
        unsafe { sockets::pair(ends, real::pipe2(ends, 0)) }
    }

    /// Makes a pipe, possibly one that keeps packets apart.
    fn pipe2(ends: *mut c_int, flags: c_int) -> c_int as libc::pipe2 {
        hooks::keeping_packets(flags);
        // SAFETY: as for libc's pipe2.
        unsafe { sockets::pair(ends, real::pipe2(ends, flags)) }
    }

    /// Closes the descriptors from `first` to `last`.
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
        libc_answer(close_numbers(first, last, flags.cast_unsigned()).map(|()| 0))
    }

    /// Closes the descriptors from `first` on. Returns nothing, as in libc.
    fn closefrom(first: c_int) -> () {
        let _ = close_numbers(first.max(0).cast_unsigned(), c_uint::MAX, 0);
    }
}
