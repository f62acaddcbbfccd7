//! The hooks, each recorded as a fact. In libepolyfill-see.so they take the place of the plain
//! ones; hooks call each other by the plain ones, so a call is recorded once.

use libc::{c_int, c_uint, c_void, iovec};

use super::{aio_eventfds, pipes, queues, sockets, terminals};
use super::{reading as readers, writing as writers};
use crate::edge::Facts;
use crate::see::calls::transfer;
use crate::see::chaos::manual::accept_fails;
use epolyfill_facts::{Call, NO_FD};

pub fn receiving(fd: c_int, flags: c_int, asked: impl Fn() -> usize, call: impl FnMut() -> isize) -> isize {
    transfer(Call::Recvfrom, [fd, NO_FD], &asked, flags, || readers::receiving(fd, flags, &asked, call))
}

/// # Safety
/// As for the plain hook.
pub unsafe fn reading(fd: c_int, buffer: *mut c_void, n: usize, call: impl FnMut() -> isize) -> isize {
    // SAFETY: the caller vouches for the buffer.
    transfer(Call::Read, [fd, NO_FD], || n, 0, || unsafe { readers::reading(fd, buffer, n, call) })
}

/// # Safety
/// As for the plain hook.
pub unsafe fn reading_vector(fd: c_int, iov: *const iovec, n: usize, call: impl FnMut() -> isize) -> isize {
    // SAFETY: the call succeeded, so the array is readable.
    let asked = || unsafe { std::slice::from_raw_parts(iov, n) }.iter().map(|part| part.iov_len).sum();
    let asked = || if iov.is_null() || n == 0 { 0 } else { asked() };
    // SAFETY: the caller vouches for the buffers.
    transfer(Call::Readv, [fd, NO_FD], asked, 0, || unsafe { readers::reading_vector(fd, iov, n, call) })
}

pub fn reading_messages(
    fd: c_int,
    flags: c_int,
    asked: usize,
    call: impl FnMut() -> isize,
    lengths: impl Fn(u64) -> (u64, u64),
) -> isize {
    transfer(
        Call::Recvmmsg,
        [fd, NO_FD],
        || asked,
        flags,
        || readers::reading_messages(fd, flags, asked, call, lengths),
    )
}

pub fn accepting(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let make = || if accept_fails(fd) { -1 } else { readers::accepting(fd, call) };
    transfer(Call::Accept, [fd, NO_FD], || 0, 0, make)
}

pub fn writing(fd: c_int, offered: impl Fn() -> usize, call: impl FnOnce() -> isize) -> isize {
    transfer(Call::Write, [fd, NO_FD], &offered, 0, || writers::writing(fd, &offered, call))
}

pub fn writing_vector(fd: c_int, offered: impl Fn() -> usize, call: impl FnOnce() -> isize) -> isize {
    transfer(Call::Writev, [fd, NO_FD], &offered, 0, || writers::writing_vector(fd, &offered, call))
}

pub fn sending(fd: c_int, flags: c_int, offered: impl Fn() -> usize, call: impl FnOnce() -> isize) -> isize {
    transfer(Call::Sendto, [fd, NO_FD], &offered, flags, || writers::sending(fd, flags, &offered, call))
}

pub fn moving(from: c_int, to: c_int, asked: usize, takes: bool, call: impl FnOnce() -> isize) -> isize {
    let kind = if takes { Call::Splice } else { Call::Tee };
    transfer(kind, [from, to], || asked, 0, || pipes::moving(from, to, asked, takes, call))
}

pub fn splicing_memory(fd: c_int, asked: impl Fn() -> usize, call: impl FnMut() -> isize) -> isize {
    transfer(Call::Vmsplice, [fd, NO_FD], &asked, 0, || pipes::splicing_memory(fd, &asked, call))
}

pub fn sending_file(out: c_int, n: usize, call: impl FnOnce() -> isize) -> isize {
    transfer(Call::Sendfile, [out, NO_FD], || n, 0, || pipes::sending_file(out, n, call))
}

pub fn connecting(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    transfer(Call::Connect, [fd, NO_FD], || 0, 0, || sockets::connecting(fd, call))
}

pub fn listening(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    transfer(Call::Listen, [fd, NO_FD], || 0, 0, || sockets::listening(fd, call))
}

pub fn shutting_down(fd: c_int, how: c_int, call: impl FnOnce() -> c_int) -> c_int {
    transfer(Call::Shutdown, [fd, NO_FD], || 0, how, || sockets::shutting_down(fd, how, call))
}

/// Recorded only for SO_ERROR, which clears a pending error.
pub fn asking(fd: c_int, level: c_int, name: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let make = || sockets::asking(fd, level, name, call);
    if (level, name) == (libc::SOL_SOCKET, libc::SO_ERROR) {
        transfer(Call::Getsockopt, [fd, NO_FD], || 0, name, make)
    } else {
        make()
    }
}

pub fn setting(fd: c_int, level: c_int, name: c_int, call: impl FnOnce() -> c_int) -> c_int {
    transfer(Call::Setsockopt, [fd, NO_FD], || 0, name, || sockets::setting(fd, level, name, call))
}

pub fn controlling(fd: c_int, request: libc::Ioctl, argument: usize, call: impl FnOnce() -> c_int) -> c_int {
    let kind = Call::Ioctl;
    transfer(kind, [fd, NO_FD], || 0, request as c_int, || terminals::controlling(fd, request, argument, call))
}

pub fn masking_signals(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    transfer(Call::Signalfd, [fd, NO_FD], || 0, 0, || terminals::masking_signals(fd, call))
}

pub fn queueing(fd: c_int, low: Facts, call: impl FnOnce() -> isize) -> isize {
    let kind = if low == Facts::READ_EAGAIN { Call::MqReceive } else { Call::MqSend };
    transfer(kind, [fd, NO_FD], || 0, 0, || queues::queueing(fd, low, call))
}

pub fn setting_timer(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    transfer(Call::TimerfdSettime, [fd, NO_FD], || 0, 0, || queues::setting_timer(fd, call))
}

/// # Safety
/// As for the plain hook.
pub unsafe fn submitting(requests: *const *const aio_eventfds::Request, call: impl FnOnce() -> isize) -> isize {
    // SAFETY: as for the caller.
    transfer(Call::IoSubmit, [NO_FD; 2], || 0, 0, || unsafe { aio_eventfds::submitting(requests, call) })
}

/// # Safety
/// As for the plain hook.
pub unsafe fn registering(what: c_uint, argument: *const c_int, call: impl FnOnce() -> isize) -> isize {
    // SAFETY: as for the caller.
    unsafe { aio_eventfds::registering(what, argument, call) }
}
