//! Calls that read or accept: how much they took, and from which descriptions.

use libc::{c_int, c_void, iovec};
use nix::errno::Errno;

use super::errors::{takes_errors, taking_errors};
use super::pipes::{may_keep_packets, took_beside};
use super::{not_for_ours, refused, watched};
use crate::edge::Facts;
use crate::graph::file::kind;
use crate::graph::file::{File, Taking};
use crate::graph::lookup;
use crate::graph::own_table;
use crate::instance::close;
use crate::kind::{Arrivals, Kind};
use crate::probe::sample;
use crate::sys;

/// The effect of a read-like call on the data that it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// It only peeks.
    Nothing,
    /// It takes bytes, as read(2) does: a read of nothing takes nothing.
    Bytes,
    /// A message, as recv(2) does, even if it was asked for no bytes.
    Message,
}

impl Takes {
    /// A message, unless the call only peeks.
    fn message(flags: c_int) -> Takes {
        if flags & libc::MSG_PEEK != 0 { Takes::Nothing } else { Takes::Message }
    }
}

/// A receiving call on `fd` with these flags, that asks for `asked` bytes.
#[inline(always)] // Likewise.
pub fn receiving(fd: c_int, flags: c_int, asked: impl Fn() -> usize, mut call: impl FnMut() -> isize) -> isize {
    let Some(file) = watched(fd) else { return call() };
    if takes_errors(file, flags) {
        return taking_errors(file, fd, &mut call);
    } else if flags & libc::MSG_OOB != 0 {
        return taking_urgent(file, fd, flags, &mut call);
    }
    witnessed_read(file, fd, Takes::message(flags), &asked, &mut call, &Amount::of_one)
}

/// A call that takes urgent data, or peeks at it: that stands in the line of a unix socket's bytes,
/// and beside that of a TCP connection's.
#[cold]
fn taking_urgent(file: &'static File, fd: c_int, flags: c_int, call: &mut dyn FnMut() -> isize) -> isize {
    if file.ops().is_some() {
        return not_for_ours(file, Some(call));
    }
    let at = file.begin_call();
    if let Some(tcp) = file.tcp() {
        tcp.note_urgent();
    }
    let taking = file.begin_taking();
    let n = call();
    match u64::try_from(n) {
        Ok(taken) if file.kind() == Kind::UnixStream && flags & libc::MSG_PEEK == 0 => {
            file.consume(taken);
            drop(taking);
            file.tell(Facts::READ_ALL | Facts::RECHECK, at);
        }
        Ok(_) => drop(taking),
        Err(_) => {
            drop(taking);
            refused(file, fd, at, Facts::RECHECK);
        }
    }
    n
}

/// read(2) and its kin into one buffer of `n` bytes.
///
/// # Safety
/// The call must fill the buffer with as many bytes as it answers.
#[inline(always)] // As `writing`: called, and not jumped to, an unwatched read costs more.
pub unsafe fn reading(fd: c_int, buffer: *mut c_void, n: usize, mut call: impl FnMut() -> isize) -> isize {
    if watched(fd).is_none() && !File::any_fifo_edges() && !File::any_signal_edges() {
        // Nothing is left to do after the call, so that it can be jumped to: a return that follows
        // a system call is predicted wrongly, which costs more than all the rest. A registration
        // that begins during the call does not find what the call took.
        return call();
    }
    // SAFETY: the caller answers for the buffer.
    unsafe { concerned_reading(fd, buffer, n, call) }
}

#[inline(never)]
unsafe fn concerned_reading(fd: c_int, buffer: *mut c_void, n: usize, call: impl FnMut() -> isize) -> isize {
    let buffer = iovec { iov_base: buffer, iov_len: n };
    // SAFETY: the caller answers for the buffer.
    unsafe { reading_vector(fd, &raw const buffer, 1, call) }
}

/// readv(2) and its kin, into several buffers.
///
/// # Safety
/// The call must fill the buffers with as many bytes as it returns. They are read only if it returns
/// more than 0.
#[inline]
pub unsafe fn reading_vector(fd: c_int, iov: *const iovec, n: usize, mut call: impl FnMut() -> isize) -> isize {
    let Some(file) = watched(fd) else {
        let answer = call();
        if is_wanted_beside(answer) {
            // SAFETY: the call was answered, so the array is readable; the caller answers for the
            // buffers.
            unsafe { read_unwatched(fd, std::slice::from_raw_parts(iov, n), answer.cast_unsigned()) };
        }
        return answer;
    };
    // SAFETY: the caller answers for the buffers.
    unsafe { witnessed_vector(file, fd, iov, n, &mut call) }
}

/// Whether a read from an unwatched descriptor may concern other descriptions.
#[inline]
fn is_wanted_beside(answer: isize) -> bool {
    answer > 0 && (File::any_fifo_edges() || File::any_signal_edges())
}

/// A read from a description with edge-triggered registrations.
///
/// # Safety
/// As for [`reading_vector`].
#[inline(never)]
unsafe fn witnessed_vector(
    file: &'static File,
    fd: c_int,
    iov: *const iovec,
    n: usize,
    call: &mut dyn FnMut() -> isize,
) -> isize {
    // SAFETY: the call was answered, so the array is readable.
    let buffers = || unsafe { std::slice::from_raw_parts(iov, n) };
    let asked = || if iov.is_null() { 0 } else { buffers().iter().map(|buffer| buffer.iov_len).sum() };
    let queued = || if file.kind().is_pipe() { queued_packets(file, fd) } else { 0 };
    let before = queued();
    let amount = |bytes: u64| match file.kind() {
        Kind::Signalfd if bytes > 0 => {
            // SAFETY: the caller answers for the buffers.
            unsafe { note_signals(buffers(), bytes as usize) };
            Amount::of_one(bytes)
        }
        // A counter does not hold bytes.
        Kind::Eventfd | Kind::EventfdSemaphore if bytes > 0 => {
            let mut value = [0; 8];
            // SAFETY: the caller answers for the buffers, of which that much was filled.
            unsafe { bytes_of(buffers()) }.zip(&mut value).for_each(|(byte, place)| *place = byte);
            Amount::of_one(u64::from_ne_bytes(value))
        }
        // Bytes for which the buffer had no room are gone, too.
        _ if before > 0 && bytes as usize >= asked() => Amount::of_one(bytes.max(before.saturating_sub(queued()))),
        _ => Amount::of_one(bytes),
    };
    witnessed_read(file, fd, Takes::Bytes, &asked, call, &amount)
}

/// The bytes of several buffers, one after the other.
///
/// # Safety
/// As many of them as are asked for must be readable.
unsafe fn bytes_of(buffers: &[iovec]) -> impl Iterator<Item = u8> {
    buffers.iter().flat_map(|buffer| {
        let base = buffer.iov_base.cast::<u8>();
        // SAFETY: the caller answers for the buffers.
        (0..buffer.iov_len).map(move |at| unsafe { base.add(at).read() })
    })
}

/// A read from an unwatched descriptor. If that is a FIFO, others may watch it under another
/// description; if it is a signalfd, it took signals for which others wait.
#[cold]
unsafe fn read_unwatched(fd: c_int, buffers: &[iovec], bytes: usize) {
    if File::any_fifo_edges() {
        took_beside(fd, bytes as u64, None);
    }
    let whole = bytes.is_multiple_of(size_of::<libc::signalfd_siginfo>());
    if whole && File::any_signal_edges() && kind::identify(fd) == Kind::Signalfd {
        // SAFETY: the caller answers for the buffers.
        unsafe { note_signals(buffers, bytes) };
    }
}

/// Notes the signals of which a signalfd put `bytes` into the buffers.
unsafe fn note_signals(buffers: &[iovec], bytes: usize) {
    const RECORD: usize = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the caller answers for the buffers.
    let mut content = unsafe { bytes_of(buffers) };
    for _ in 0..bytes / RECORD {
        // `ssi_signo` comes first in each record.
        let mut number = [0; 4];
        number.fill_with(|| content.next().unwrap_or(0));
        sample::note_taken_signal(u32::from_ne_bytes(number));
        content.by_ref().take(RECORD - number.len()).for_each(drop);
    }
}

/// A read-like call for several messages at once; `lengths` tells how many bytes the answered
/// number of messages holds, and how many of them are empty.
#[inline]
pub fn reading_messages(
    fd: c_int,
    flags: c_int,
    asked: usize,
    mut call: impl FnMut() -> isize,
    lengths: impl Fn(u64) -> (u64, u64),
) -> isize {
    let Some(file) = watched(fd) else { return call() };
    if takes_errors(file, flags) {
        return taking_errors(file, fd, &mut call);
    }
    let before = queued_packets(file, fd);
    let amount = |messages| {
        let (bytes, empty) = lengths(messages);
        Amount { bytes: bytes.max(before.saturating_sub(queued_packets(file, fd))), messages, empty }
    };
    witnessed_read(file, fd, Takes::message(flags), &|| asked, &mut call, &amount)
}

/// The bytes of the packets in a queue: those that are cut short are longer than what they leave in
/// the buffers.
fn queued_packets(file: &File, fd: c_int) -> u64 {
    if may_keep_packets(file) { sys::ioctl_int(fd, libc::FIONREAD).map_or(0, |bytes| bytes.max(0) as u64) } else { 0 }
}

/// The amount that a read-like call took.
#[derive(Debug)]
pub(super) struct Amount {
    bytes: u64,
    messages: u64,
    /// How many of the messages are empty.
    empty: u64,
}

impl Amount {
    /// One message, or a piece of a stream.
    pub(super) fn of_one(bytes: u64) -> Amount {
        Amount { bytes, messages: 1, empty: u64::from(bytes == 0) }
    }
}

/// One body for all of them, however they are called and counted.
#[inline(never)]
fn witnessed_read(
    file: &'static File,
    fd: c_int,
    takes: Takes,
    asked: &dyn Fn() -> usize,
    call: &mut dyn FnMut() -> isize,
    amount: &dyn Fn(u64) -> Amount,
) -> isize {
    if file.ops().is_some() {
        return not_for_ours(file, (takes != Takes::Bytes).then_some(call));
    }
    let at = file.begin_call();
    let packet = if takes == Takes::Nothing { None } else { next_packet(file, fd) };
    // Nothing is a datagram, or the end of a socket that was shut.
    let at_end = file.kind() == Kind::Udp && file.is_shut(libc::SHUT_RD) && sample::receive_memory(fd) == Some(0);
    let taking = (takes != Takes::Nothing).then(|| file.begin_taking());
    // A datagram that is taken into no buffer looks empty.
    let filled = takes == Takes::Message
        && file.datagrams().is_some_and(|datagrams| datagrams.empties() > 0)
        && sys::ioctl_int(fd, libc::FIONREAD).is_ok_and(|length| length > 0);
    let n = {
        let _peeking = (takes == Takes::Nothing).then(|| file.peek());
        unless_failed(packet, call)
    };
    match u64::try_from(n) {
        Err(_) => {
            drop(taking);
            refused(file, fd, at, Facts::READ_EAGAIN)
        }
        Ok(_) if takes == Takes::Nothing => {}
        Ok(0) if at_end || takes == Takes::Bytes && asked() == 0 => drop(taking),
        Ok(n) => {
            let mut amount = amount(n);
            if filled && amount.messages == 1 {
                amount.empty = 0;
            }
            amount.bytes = amount.bytes.max(length_of(packet));
            took(file, fd, at, n as usize >= asked(), amount, taking);
        }
    }
    if file.has_moved_peeks() {
        sample::settle_peeks(file, fd);
    }
    n
}

/// The result of a peek at the next packet: its length.
pub(super) type Packet = Option<Result<usize, Errno>>;

/// The length of the packet that is about to be taken: the kernel discards bytes for which the
/// buffer has no room, and they count all the same.
#[inline]
pub(super) fn next_packet(file: &'static File, fd: c_int) -> Packet {
    let _until_peeked = if file.kind() == Kind::UnixSeqpacket { file.try_peek() } else { None }?;
    Some(sys::peek_length(fd))
}

/// The pending error that the peek took.
pub(super) fn error_of(packet: Packet) -> Option<Errno> {
    packet.and_then(Result::err).filter(|&errno| errno != Errno::EAGAIN)
}

/// Calls, unless the peek took a pending error, which is the answer then.
pub(super) fn unless_failed(packet: Packet, call: impl FnOnce() -> isize) -> isize {
    match error_of(packet) {
        Some(errno) => {
            sys::set_errno(errno);
            -1
        }
        None => call(),
    }
}

/// The bytes that went with the packet.
pub(super) fn length_of(packet: Packet) -> u64 {
    packet.and_then(Result::ok).unwrap_or(0) as u64
}

#[cold]
pub(super) fn took(file: &'static File, fd: c_int, at: u32, whole: bool, amount: Amount, taking: Option<Taking>) {
    let arrivals = file.kind().arrivals();
    if amount.bytes == 0
        && (matches!(arrivals, Arrivals::Received | Arrivals::Queued)
            || file.kind() == Kind::UnixDgram && file.is_shut(libc::SHUT_RD))
    {
        // The end of a stream stays readable.
        return;
    }
    match arrivals {
        Arrivals::Queued if file.kind() == Kind::Fifo => took_beside(fd, amount.bytes, taking),
        _ => {
            match arrivals {
                Arrivals::Received | Arrivals::Queued | Arrivals::Witnessed | Arrivals::Listed => {
                    file.consume(amount.bytes);
                }
                Arrivals::Expirations => file.consume(1),
                Arrivals::Memory => file.consume(amount.messages),
                Arrivals::Datagrams => {
                    file.consume(amount.messages);
                    if let Some(datagrams) = file.datagrams() {
                        datagrams.took_empty(amount.empty);
                    }
                }
                _ => {}
            }
            // Before the report: its recipients count at once.
            drop(taking);
        }
    }
    file.tell(if whole { Facts::READ_ALL } else { Facts::SHORT_READ }, at);
}

/// An accept-like call.
#[inline]
pub fn accepting(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return new_number(call()) };
    let at = file.begin_call();
    let taking = file.begin_taking();
    let accepted = new_number(call());
    if accepted < 0 {
        drop(taking);
        refused(file, fd, at, Facts::READ_EAGAIN);
    } else {
        file.consume(1);
        drop(taking);
        file.tell(Facts::READ_ALL, at);
    }
    accepted
}

/// A number that was free until now: if it is known, its close was not seen.
#[inline]
fn new_number(fd: c_int) -> c_int {
    if lookup::known(fd).is_some() && !own_table::is_borrowed() {
        close::forget_from_anywhere(fd);
    }
    fd
}
