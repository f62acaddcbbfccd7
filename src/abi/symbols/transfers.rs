//! The calls that move data, each through its hook.

use std::cell::Cell;

use libc::{
    c_char, c_int, c_uint, c_void, iovec, itimerspec, loff_t, mmsghdr, msghdr, off_t, size_t, sockaddr, socklen_t,
    ssize_t,
};
use libc::{eventfd_t, timespec};
use nix::errno::Errno;

use super::export;
use super::raw_call::RawCall;
use crate::edge::Facts;
use crate::hooks;
use crate::instance::epoll_file;
use crate::real::{self, MessageFlags};
use crate::see::{Observer, Watch};
use crate::sys;

/// The place of the length among the arguments of read, write, recvfrom and sendto.
const LENGTH: usize = 2;

pub(super) unsafe fn total(iov: *const iovec, n: usize) -> usize {
    if iov.is_null() || n > libc::UIO_MAXIOV as usize {
        return 0;
    }
    // SAFETY: the kernel has accepted or refused this array before, so it is readable; see
    // `reading`.
    unsafe { std::slice::from_raw_parts(iov, n) }.iter().map(|part| part.iov_len).sum()
}

/// The room in a message, or its size. Only read after a call that took the same message.
#[allow(clippy::unnecessary_cast)] // musl counts the parts by an int.
pub(super) unsafe fn message_total(message: *const msghdr) -> usize {
    // SAFETY: the caller answers for the message.
    unsafe { message.as_ref().map_or(0, |message| total(message.msg_iov, message.msg_iovlen as usize)) }
}

/// The bytes of the first `n` messages, and the number of empty ones among them.
unsafe fn messages_total(messages: *const mmsghdr, n: u64) -> (u64, u64) {
    // SAFETY: the kernel filled in this many.
    let messages = unsafe { std::slice::from_raw_parts(messages, n as usize) };
    let bytes = messages.iter().map(|message| u64::from(message.msg_len)).sum();
    let is_empty = |message: &&mmsghdr| message.msg_len == 0 && message.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
    (bytes, messages.iter().filter(is_empty).count() as u64)
}

/// Whether the last of `n` messages was sent only in part.
unsafe fn is_cut_short(messages: *const mmsghdr, n: c_int) -> bool {
    let Some(last) = usize::try_from(n).ok().and_then(|n| n.checked_sub(1)) else { return false };
    // SAFETY: the caller answers for `n` messages.
    let last = unsafe { &*messages.add(last) };
    // SAFETY: the call took this message.
    (last.msg_len as usize) < unsafe { message_total(&raw const last.msg_hdr) }
}

fn refused(errno: Errno) -> ssize_t {
    sys::set_errno(errno);
    -1
}

/// splice; `in_at` and `out_at` are true if there is an offset, and `call` makes the actual call.
pub(super) fn splice_any(
    input: c_int,
    in_at: bool,
    out: c_int,
    out_at: bool,
    n: usize,
    flags: c_uint,
    call: impl FnOnce() -> isize,
) -> ssize_t {
    match epoll_file::moving([input, out], [in_at, out_at], n, flags) {
        Some(errno) => refused(errno),
        None => hooks::moving(input, out, n, true, call),
    }
}

/// tee; `call` makes the actual call.
pub(super) fn tee_any(input: c_int, out: c_int, n: usize, flags: c_uint, call: impl FnOnce() -> isize) -> ssize_t {
    match epoll_file::moving([input, out], [false; 2], n, flags) {
        Some(errno) => refused(errno),
        None => hooks::moving(input, out, n, false, call),
    }
}

/// vmsplice; `call` makes the actual call.
///
/// # Safety
/// The pieces must be valid for libc's vmsplice.
pub(super) unsafe fn vmsplice_any(
    fd: c_int,
    iov: *const iovec,
    n: usize,
    flags: c_uint,
    call: impl FnMut() -> isize,
) -> ssize_t {
    match epoll_file::splicing_memory(fd, n, flags) {
        Some(errno) => refused(errno),
        // SAFETY: the caller answers for the pieces.
        None => hooks::splicing_memory(fd, || unsafe { total(iov, n) }, call),
    }
}

/// Aborts a program whose buffer is smaller than the number of bytes that it requests, as libc
/// does.
fn check_room(asked: size_t, room: size_t) {
    if asked > room {
        real::chk_fail()
    }
}

// Inlined into each symbol, so that it can jump to the call.
#[inline(always)]
unsafe fn read_any(fd: c_int, buffer: *mut c_void, n: size_t) -> ssize_t {
    let n = Watch::shortened(fd, n);
    // SAFETY: as for libc's read.
    unsafe { hooks::reading(fd, buffer, n, move || real::read(fd, buffer, n)) }
}

// Inlined into each symbol, so that it can jump to the call.
#[inline(always)]
unsafe fn write_any(fd: c_int, buffer: *const c_void, n: size_t) -> ssize_t {
    let n = Watch::shortened(fd, n);
    // SAFETY: as for libc's write.
    hooks::writing(fd, move || n, move || unsafe { real::write(fd, buffer, n) })
}

unsafe fn receive(
    fd: c_int,
    buffer: *mut c_void,
    n: size_t,
    flags: c_int,
    from: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    let n = Watch::shortened(fd, n);
    // SAFETY: as for libc's recvfrom.
    hooks::receiving(fd, flags, move || n, move || unsafe { real::recvfrom(fd, buffer, n, flags, from, length) })
}

unsafe fn send_to(
    fd: c_int,
    buffer: *const c_void,
    n: size_t,
    flags: c_int,
    to: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    let n = Watch::shortened(fd, n);
    // SAFETY: as for libc's sendto.
    let call = move || unsafe { real::sendto(fd, buffer, n, flags, to, length) };
    hooks::sending(fd, flags, move || n, call)
}

/// read by number.
///
/// # Safety
/// As for read.
pub(super) unsafe fn read_by_number(fd: c_int, buffer: *mut c_void, n: size_t, call: &RawCall) -> ssize_t {
    let n = Watch::shortened(fd, n);
    // SAFETY: the caller answers for the buffer.
    unsafe { hooks::reading(fd, buffer, n, || call.with(LENGTH, n).make()) }
}

/// write by number.
pub(super) fn write_by_number(fd: c_int, n: size_t, call: &RawCall) -> ssize_t {
    let n = Watch::shortened(fd, n);
    hooks::writing(fd, || n, || call.with(LENGTH, n).make())
}

/// recvfrom by number.
pub(super) fn receive_by_number(fd: c_int, n: size_t, flags: c_int, call: &RawCall) -> ssize_t {
    let n = Watch::shortened(fd, n);
    hooks::receiving(fd, flags, || n, || call.with(LENGTH, n).make())
}

/// sendto by number.
pub(super) fn send_by_number(fd: c_int, n: size_t, flags: c_int, call: &RawCall) -> ssize_t {
    let n = Watch::shortened(fd, n);
    hooks::sending(fd, flags, || n, || call.with(LENGTH, n).make())
}

/// Sends several messages by `call`.
///
/// # Safety
/// As for libc's sendmmsg.
pub(super) unsafe fn send_messages(
    fd: c_int,
    messages: *mut mmsghdr,
    n: c_uint,
    flags: c_int,
    call: impl FnOnce() -> c_int,
) -> c_int {
    let sent = Cell::new(0);
    let call = || {
        sent.set(call());
        sent.get() as isize
    };
    // The unsent rest of the last message counts as one more message.
    // SAFETY: the call filled in as many messages as it returned.
    let offered = || n as usize + usize::from(unsafe { is_cut_short(messages, sent.get()) });
    hooks::sending(fd, flags, offered, call) as c_int
}

/// Receives several messages by `call`.
///
/// # Safety
/// As for libc's recvmmsg.
pub(super) unsafe fn receive_messages(
    fd: c_int,
    messages: *mut mmsghdr,
    n: c_uint,
    flags: c_int,
    call: impl FnMut() -> isize,
) -> c_int {
    // SAFETY: the call filled in as many messages as it returned.
    hooks::reading_messages(fd, flags, n as usize, call, |got| unsafe { messages_total(messages, got) }) as c_int
}

export! {
    /// read(2).
    fn read(fd: c_int, buffer: *mut c_void, n: size_t) -> ssize_t as libc::read {
        // SAFETY: as for libc's read.
        unsafe { read_any(fd, buffer, n) }
    }

    /// libc's other name of read.
    fn __read(fd: c_int, buffer: *mut c_void, n: size_t) -> ssize_t {
        // SAFETY: as for libc's read.
        unsafe { read_any(fd, buffer, n) }
    }

    /// read of fortified programs.
    fn __read_chk(fd: c_int, buffer: *mut c_void, n: size_t, room: size_t) -> ssize_t {
        // SAFETY: as for libc's read.
        unsafe {
            check_room(n, room);
            read_any(fd, buffer, n)
        }
    }

    /// readv(2).
    fn readv(fd: c_int, iov: *const iovec, n: c_int) -> ssize_t as libc::readv {
        // SAFETY: as for libc's readv.
        unsafe { hooks::reading_vector(fd, iov, n as usize, || real::readv(fd, iov, n)) }
    }

    /// preadv2(2), which reads from a stream if the offset is -1.
    fn preadv2(fd: c_int, iov: *const iovec, n: c_int, at: off_t, flags: c_int) -> ssize_t as libc::preadv2 {
        if at != -1 {
            // Files that can be waited for have no offset to read at.
            // SAFETY: as for libc's preadv2.
            return unsafe { real::preadv2(fd, iov, n, at, flags) };
        }
        // SAFETY: as above.
        unsafe { hooks::reading_vector(fd, iov, n as usize, || real::preadv2(fd, iov, n, at, flags)) }
    }

    /// preadv2 in programs built for large files.
    fn preadv64v2(fd: c_int, iov: *const iovec, n: c_int, at: off_t, flags: c_int) -> ssize_t {
        // SAFETY: as for libc's preadv2.
        unsafe { preadv2(fd, iov, n, at, flags) }
    }

    /// recv(2).
    fn recv(fd: c_int, buffer: *mut c_void, n: size_t, flags: c_int) -> ssize_t as libc::recv {
        // SAFETY: as for libc's recv.
        unsafe { receive(fd, buffer, n, flags, std::ptr::null_mut(), std::ptr::null_mut()) }
    }

    /// recv of fortified programs.
    fn __recv_chk(fd: c_int, buffer: *mut c_void, n: size_t, room: size_t, flags: c_int) -> ssize_t {
        // SAFETY: as for libc's recv.
        unsafe {
            check_room(n, room);
            recv(fd, buffer, n, flags)
        }
    }

    /// recvfrom(2).
    fn recvfrom(fd: c_int, buffer: *mut c_void, n: size_t, flags: c_int, from: *mut sockaddr, length: *mut socklen_t) -> ssize_t
        as libc::recvfrom
    {
        // SAFETY: as for libc's recvfrom.
        unsafe { receive(fd, buffer, n, flags, from, length) }
    }

    /// recvfrom of fortified programs.
    fn __recvfrom_chk(
        fd: c_int,
        buffer: *mut c_void,
        n: size_t,
        room: size_t,
        flags: c_int,
        from: *mut sockaddr,
        length: *mut socklen_t,
    ) -> ssize_t {
        // SAFETY: as for libc's recvfrom.
        unsafe {
            check_room(n, room);
            receive(fd, buffer, n, flags, from, length)
        }
    }

    /// recvmsg(2).
    fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t as libc::recvmsg {
        // SAFETY: as for libc's recvmsg.
        hooks::receiving(fd, flags, || unsafe { message_total(message) }, || unsafe {
            real::recvmsg(fd, message, flags)
        })
    }

    /// recvmmsg(2).
    fn recvmmsg(fd: c_int, messages: *mut mmsghdr, n: c_uint, flags: MessageFlags, limit: *mut timespec) -> c_int as libc::recvmmsg {
        // SAFETY: as for libc's recvmmsg.
        unsafe { receive_messages(fd, messages, n, flags as c_int, || real::recvmmsg(fd, messages, n, flags, limit) as isize) }
    }

    /// write(2).
    fn write(fd: c_int, buffer: *const c_void, n: size_t) -> ssize_t as libc::write {
        // SAFETY: as for libc's write.
        unsafe { write_any(fd, buffer, n) }
    }

    /// libc's other name of write.
    fn __write(fd: c_int, buffer: *const c_void, n: size_t) -> ssize_t {
        // SAFETY: as for libc's write.
        unsafe { write_any(fd, buffer, n) }
    }

    /// writev(2).
    fn writev(fd: c_int, iov: *const iovec, n: c_int) -> ssize_t as libc::writev {
        // SAFETY: as for libc's writev.
        hooks::writing_vector(fd, || unsafe { total(iov, n as usize) }, || unsafe { real::writev(fd, iov, n) })
    }

    /// pwritev2(2), which writes to a stream if the offset is -1.
    fn pwritev2(fd: c_int, iov: *const iovec, n: c_int, at: off_t, flags: c_int) -> ssize_t as libc::pwritev2 {
        if at != -1 {
            // As for preadv2.
            // SAFETY: as for libc's pwritev2.
            return unsafe { real::pwritev2(fd, iov, n, at, flags) };
        }
        // SAFETY: as above.
        hooks::writing_vector(fd, || unsafe { total(iov, n as usize) }, || unsafe {
            real::pwritev2(fd, iov, n, at, flags)
        })
    }

    /// pwritev2 in programs built for large files.
    fn pwritev64v2(fd: c_int, iov: *const iovec, n: c_int, at: off_t, flags: c_int) -> ssize_t {
        // SAFETY: as for libc's pwritev2.
        unsafe { pwritev2(fd, iov, n, at, flags) }
    }

    /// send(2).
    fn send(fd: c_int, buffer: *const c_void, n: size_t, flags: c_int) -> ssize_t as libc::send {
        // SAFETY: as for libc's send.
        unsafe { send_to(fd, buffer, n, flags, std::ptr::null(), 0) }
    }

    /// libc's other name of send.
    fn __send(fd: c_int, buffer: *const c_void, n: size_t, flags: c_int) -> ssize_t {
        // SAFETY: as for libc's send.
        unsafe { send_to(fd, buffer, n, flags, std::ptr::null(), 0) }
    }

    /// sendto(2).
    fn sendto(fd: c_int, buffer: *const c_void, n: size_t, flags: c_int, to: *const sockaddr, length: socklen_t) -> ssize_t
        as libc::sendto
    {
        // SAFETY: as for libc's sendto.
        unsafe { send_to(fd, buffer, n, flags, to, length) }
    }

    /// sendmsg(2).
    fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t as libc::sendmsg {
        // SAFETY: as for libc's sendmsg.
        let (offered, call) = (|| unsafe { message_total(message) }, || unsafe { real::sendmsg(fd, message, flags) });
        hooks::sending(fd, flags, offered, call)
    }

    /// mq_receive(3).
    fn mq_receive(queue: c_int, buffer: *mut c_char, n: size_t, priority: *mut c_uint) -> ssize_t as libc::mq_receive {
        // SAFETY: as for libc's mq_receive.
        unsafe { mq_timedreceive(queue, buffer, n, priority, std::ptr::null()) }
    }

    /// mq_timedreceive(3).
    fn mq_timedreceive(queue: c_int, buffer: *mut c_char, n: size_t, priority: *mut c_uint, limit: *const timespec) -> ssize_t
        as libc::mq_timedreceive
    {
        // SAFETY: as for libc's mq_timedreceive.
        hooks::queueing(queue, Facts::READ_EAGAIN, || unsafe { real::mq_timedreceive(queue, buffer, n, priority, limit) })
    }

    /// mq_send(3).
    fn mq_send(queue: c_int, message: *const c_char, n: size_t, priority: c_uint) -> c_int as libc::mq_send {
        // SAFETY: as for libc's mq_send.
        unsafe { mq_timedsend(queue, message, n, priority, std::ptr::null()) }
    }

    /// mq_timedsend(3).
    fn mq_timedsend(queue: c_int, message: *const c_char, n: size_t, priority: c_uint, limit: *const timespec) -> c_int
        as libc::mq_timedsend
    {
        // SAFETY: as for libc's mq_timedsend.
        let call = || unsafe { real::mq_timedsend(queue, message, n, priority, limit) };
        hooks::queueing(queue, Facts::NO_SPACE, || call() as isize) as c_int
    }

    /// sendmmsg(2).
    fn sendmmsg(fd: c_int, messages: *mut mmsghdr, n: c_uint, flags: MessageFlags) -> c_int as libc::sendmmsg {
        // SAFETY: as for libc's sendmmsg.
        unsafe { send_messages(fd, messages, n, flags as c_int, || real::sendmmsg(fd, messages, n, flags)) }
    }

    /// sendfile(2). A short result counts as a lack of space; the end of the input file looks the
    /// same from here, and costs a spurious report.
    fn sendfile(out: c_int, input: c_int, at: *mut off_t, n: size_t) -> ssize_t as libc::sendfile {
        // SAFETY: as for libc's sendfile; off_t has 64 bits on the supported architectures.
        hooks::sending_file(out, n, || unsafe { real::sendfile64(out, input, at, n) })
    }

    /// sendfile in programs built for large files.
    fn sendfile64(out: c_int, input: c_int, at: *mut off_t, n: size_t) -> ssize_t {
        // SAFETY: as for libc's sendfile64.
        unsafe { sendfile(out, input, at, n) }
    }

    /// splice(2).
    fn splice(input: c_int, in_at: *mut loff_t, out: c_int, out_at: *mut loff_t, n: size_t, flags: c_uint) -> ssize_t
        as libc::splice
    {
        let call = || {
            // SAFETY: as for libc's splice.
            unsafe { real::splice(input, in_at, out, out_at, n, flags) }
        };
        splice_any(input, !in_at.is_null(), out, !out_at.is_null(), n, flags, call)
    }

    /// tee(2), which takes nothing from its input.
    fn tee(input: c_int, out: c_int, n: size_t, flags: c_uint) -> ssize_t as libc::tee {
        // SAFETY: as for libc's tee.
        tee_any(input, out, n, flags, || unsafe { real::tee(input, out, n, flags) })
    }

    /// vmsplice(2), into a pipe or out of it.
    fn vmsplice(fd: c_int, iov: *const iovec, n: size_t, flags: c_uint) -> ssize_t as libc::vmsplice {
        // SAFETY: as for libc's vmsplice.
        unsafe { vmsplice_any(fd, iov, n, flags, || real::vmsplice(fd, iov, n, flags)) }
    }

    /// timerfd_settime(2).
    fn timerfd_settime(fd: c_int, flags: c_int, new: *const itimerspec, old: *mut itimerspec) -> c_int
        as libc::timerfd_settime
    {
        // SAFETY: as for libc's timerfd_settime.
        hooks::setting_timer(fd, || unsafe { real::timerfd_settime(fd, flags, new, old) })
    }

    /// Reads an eventfd's counter; libc does it without calling `read` by its name.
    fn eventfd_read(fd: c_int, value: *mut eventfd_t) -> c_int as libc::eventfd_read {
        let n = size_of::<eventfd_t>();
        // SAFETY: as for libc's eventfd_read.
        if unsafe { read_any(fd, value.cast(), n) } == n.cast_signed() { 0 } else { -1 }
    }

    /// Adds to an eventfd's counter.
    fn eventfd_write(fd: c_int, value: eventfd_t) -> c_int as libc::eventfd_write {
        let n = size_of::<eventfd_t>();
        // SAFETY: as for libc's eventfd_write.
        if unsafe { write_any(fd, (&raw const value).cast(), n) } == n.cast_signed() { 0 } else { -1 }
    }
}
