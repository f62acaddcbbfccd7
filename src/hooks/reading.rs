//! Hooks of the calls that read or accept. They report the amount taken, and the descriptions that
//! it was taken from.

use libc::{c_int, c_void, iovec};
use nix::errno::Errno;

use super::errors::{takes_errors, taking_errors};
use super::pipes::{may_keep_packets, report_fifo_read};
use super::{not_for_ours, report_failure, watched};
use crate::edge::Facts;
use crate::graph::file::kind;
use crate::graph::file::{File, Taking};
use crate::graph::lookup;
use crate::graph::own_table;
use crate::graph::signal_numbers;
use crate::instance::close;
use crate::kind::{Arrivals, Kind};
use crate::probe::sample;
use crate::sys;

/// The effect of a read-like call on the data that it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// The call only peeks.
    Nothing,
    /// The call takes bytes, as read(2) does. A read of 0 bytes takes nothing.
    Bytes,
    /// The call takes a message, as recv(2) does, even with a buffer of 0 bytes.
    Message,
}

impl Takes {
    /// `Message`, unless `flags` make the call a peek.
    fn message(flags: c_int) -> Takes {
        if flags & libc::MSG_PEEK != 0 { Takes::Nothing } else { Takes::Message }
    }
}

/// Makes a receiving call on `fd` with these flags. It asks for `asked` bytes.
#[inline(always)] // As `reading`.
pub fn receiving(fd: c_int, flags: c_int, asked: impl Fn() -> usize, mut call: impl FnMut() -> isize) -> isize {
    let Some(file) = watched(fd) else { return call() };
    if takes_errors(file, flags) {
        return taking_errors(file, fd, &mut call);
    } else if flags & libc::MSG_OOB != 0 {
        return taking_urgent(file, fd, flags, &mut call);
    }
    read_watched(file, fd, Takes::message(flags), &asked, &mut call, &Amount::of_one)
}

/// Makes a call that takes urgent data or peeks at it. Urgent data is in the queue of a unix
/// socket, and outside the queue of a TCP connection.
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
            report_failure(file, fd, at, Facts::RECHECK);
        }
    }
    n
}

/// Makes a call like read(2) into one buffer of `n` bytes.
///
/// # Safety
/// The call must fill the buffer with as many bytes as it returns.
#[inline(always)] // As `writing`: an unwatched read is slower without the tail call.
pub unsafe fn reading(fd: c_int, buffer: *mut c_void, n: usize, mut call: impl FnMut() -> isize) -> isize {
    if watched(fd).is_none() && !File::any_fifo_edges() && !File::any_signal_edges() {
        // Nothing is left to do after the call, so it can be a tail call. The return after a system
        // call is mispredicted, which costs more than all the rest. A registration that begins
        // during the call does not count the data that the call took.
        return call();
    }
    // SAFETY: the caller vouches for the buffer.
    unsafe { concerned_reading(fd, buffer, n, call) }
}

#[inline(never)]
unsafe fn concerned_reading(fd: c_int, buffer: *mut c_void, n: usize, call: impl FnMut() -> isize) -> isize {
    let buffer = iovec { iov_base: buffer, iov_len: n };
    // SAFETY: the caller vouches for the buffer.
    unsafe { reading_vector(fd, &raw const buffer, 1, call) }
}

/// Makes a call like readv(2), into several buffers.
///
/// # Safety
/// The call must fill the buffers with as many bytes as it returns. They are read only if it
/// returns more than 0.
#[inline]
pub unsafe fn reading_vector(fd: c_int, iov: *const iovec, n: usize, mut call: impl FnMut() -> isize) -> isize {
    let Some(file) = watched(fd) else {
        let answer = call();
        if may_concern_others(answer) {
            // SAFETY: the call succeeded, so the array is readable; the caller vouches for the
            // buffers.
            unsafe { read_unwatched(fd, std::slice::from_raw_parts(iov, n), answer.cast_unsigned()) };
        }
        return answer;
    };
    // SAFETY: the caller vouches for the buffers.
    unsafe { readv_watched(file, fd, iov, n, &mut call) }
}

/// Whether a read from an unwatched descriptor may affect other descriptions.
#[inline]
fn may_concern_others(answer: isize) -> bool {
    answer > 0 && (File::any_fifo_edges() || File::any_signal_edges())
}

/// Makes a read from a description with edge-triggered registrations.
///
/// # Safety
/// As for [`reading_vector`].
#[inline(never)]
unsafe fn readv_watched(
    file: &'static File,
    fd: c_int,
    iov: *const iovec,
    n: usize,
    call: &mut dyn FnMut() -> isize,
) -> isize {
    // SAFETY: the call succeeded, so the array is readable.
    let buffers = || unsafe { std::slice::from_raw_parts(iov, n) };
    let asked = || if iov.is_null() { 0 } else { buffers().iter().map(|buffer| buffer.iov_len).sum() };
    let queued = || if file.kind().is_pipe() { queued_packets(file, fd) } else { 0 };
    let before = queued();
    let amount = |bytes: u64| match file.kind() {
        Kind::Signalfd if bytes > 0 => {
            // SAFETY: the caller vouches for the buffers.
            unsafe { note_signals(buffers(), bytes as usize) };
            Amount::of_one(bytes)
        }
        // A read takes the value of the counter, not bytes.
        Kind::Eventfd | Kind::EventfdSemaphore if bytes > 0 => {
            let mut value = [0; 8];
            // SAFETY: the caller vouches for the buffers, and the call filled that many bytes.
            unsafe { bytes_of(buffers()) }.zip(&mut value).for_each(|(byte, place)| *place = byte);
            Amount::of_one(u64::from_ne_bytes(value))
        }
        // The kernel also discarded the bytes that did not fit into the buffer.
        _ if before > 0 && bytes as usize >= asked() => Amount::of_one(bytes.max(before.saturating_sub(queued()))),
        _ => Amount::of_one(bytes),
    };
    read_watched(file, fd, Takes::Bytes, &asked, call, &amount)
}

/// The bytes of several buffers, in order.
///
/// # Safety
/// As many bytes as the caller takes must be readable.
unsafe fn bytes_of(buffers: &[iovec]) -> impl Iterator<Item = u8> {
    buffers.iter().flat_map(|buffer| {
        let base = buffer.iov_base.cast::<u8>();
        // SAFETY: the caller vouches for the buffers.
        (0..buffer.iov_len).map(move |at| unsafe { base.add(at).read() })
    })
}

/// Reports a read from an unwatched descriptor. A FIFO may be watched under another description,
/// and the signals that a signalfd took may be those that another signalfd waits for.
#[cold]
unsafe fn read_unwatched(fd: c_int, buffers: &[iovec], bytes: usize) {
    if File::any_fifo_edges() {
        report_fifo_read(fd, bytes as u64, None);
    }
    let whole = bytes.is_multiple_of(size_of::<libc::signalfd_siginfo>());
    if whole && File::any_signal_edges() && kind::identify(fd) == Kind::Signalfd {
        // SAFETY: the caller vouches for the buffers.
        unsafe { note_signals(buffers, bytes) };
    }
}

/// Notes the signals in the `bytes` that a signalfd put into the buffers.
unsafe fn note_signals(buffers: &[iovec], bytes: usize) {
    const RECORD: usize = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the caller vouches for the buffers.
    let mut content = unsafe { bytes_of(buffers) };
    for _ in 0..bytes / RECORD {
        // `ssi_signo` is the first field of a record.
        let mut number = [0; 4];
        number.fill_with(|| content.next().unwrap_or(0));
        sample::note_taken_signal(u32::from_ne_bytes(number));
        content.by_ref().take(RECORD - number.len()).for_each(drop);
    }
}

/// Makes a read-like call for several messages at once. `lengths` takes the number of messages that
/// the call returned, and returns their bytes, and how many of them are empty.
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
    read_watched(file, fd, Takes::message(flags), &|| asked, &mut call, &amount)
}

/// The bytes of the packets in a queue. A truncated packet is longer than its part in the buffers.
fn queued_packets(file: &File, fd: c_int) -> u64 {
    if may_keep_packets(file) { sys::ioctl_int(fd, libc::FIONREAD).map_or(0, |bytes| bytes.max(0) as u64) } else { 0 }
}

/// The amount that a read-like call took.
#[derive(Debug)]
pub(super) struct Amount {
    bytes: u64,
    messages: u64,
    /// The number of empty messages.
    empty: u64,
}

impl Amount {
    /// One message, or a piece of a stream.
    pub(super) fn of_one(bytes: u64) -> Amount {
        Amount { bytes, messages: 1, empty: u64::from(bytes == 0) }
    }
}

/// The common body of the hooks that read.
#[inline(never)]
fn read_watched(
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
    // A result of 0 is a datagram, or the end of a socket that was shut down.
    let at_end = file.kind() == Kind::Udp && file.is_shut(libc::SHUT_RD) && sample::receive_memory(fd) == Some(0);
    let taking = (takes != Takes::Nothing).then(|| file.begin_taking());
    // A datagram read into a buffer of 0 bytes looks empty.
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
            report_failure(file, fd, at, Facts::READ_EAGAIN)
        }
        Ok(_) if takes == Takes::Nothing => {}
        Ok(0) if at_end || takes == Takes::Bytes && asked() == 0 => drop(taking),
        Ok(n) => {
            let mut amount = amount(n);
            if filled && amount.messages == 1 {
                amount.empty = 0;
            }
            amount.bytes = amount.bytes.max(length_of(packet));
            report_read(file, fd, at, n as usize >= asked(), amount, taking);
        }
    }
    if file.has_moved_peeks() {
        sample::settle_peeks(file, fd);
    }
    n
}

/// The result of a peek at the next packet: its length.
pub(super) type Packet = Option<Result<usize, Errno>>;

/// The length of the packet that the call is about to take. The kernel discards bytes that do not
/// fit into the buffer, but they count as taken.
#[inline]
pub(super) fn next_packet(file: &'static File, fd: c_int) -> Packet {
    let _until_peeked = if file.kind() == Kind::UnixSeqpacket { file.try_peek() } else { None }?;
    Some(sys::peek_length(fd))
}

/// The pending error that the peek took.
pub(super) fn error_of(packet: Packet) -> Option<Errno> {
    packet.and_then(Result::err).filter(|&errno| errno != Errno::EAGAIN)
}

/// Makes the call, unless the peek took a pending error: then it fails with that error.
pub(super) fn unless_failed(packet: Packet, call: impl FnOnce() -> isize) -> isize {
    match error_of(packet) {
        Some(errno) => {
            sys::set_errno(errno);
            -1
        }
        None => call(),
    }
}

/// The bytes that the packet took from the queue.
pub(super) fn length_of(packet: Packet) -> u64 {
    packet.and_then(Result::ok).unwrap_or(0) as u64
}

/// Reports what a read-like call took. `whole`: it took as much as it asked for.
#[cold]
pub(super) fn report_read(
    file: &'static File,
    fd: c_int,
    at: u32,
    whole: bool,
    amount: Amount,
    taking: Option<Taking>,
) {
    let arrivals = file.kind().arrivals();
    if amount.bytes == 0
        && (matches!(arrivals, Arrivals::Received | Arrivals::Queued)
            || file.kind() == Kind::UnixDgram && file.is_shut(libc::SHUT_RD))
    {
        // The end of a stream stays readable after a read.
        return;
    }
    match arrivals {
        Arrivals::Queued if file.kind() == Kind::Fifo => report_fifo_read(fd, amount.bytes, taking),
        _ => {
            match arrivals {
                Arrivals::Received | Arrivals::Queued | Arrivals::Hooked | Arrivals::Listed => {
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
            // Before the report, because its recipients count at once.
            drop(taking);
        }
    }
    file.tell(if whole { Facts::READ_ALL } else { Facts::SHORT_READ }, at);
}

/// Makes an accept-like call.
#[inline]
pub fn accepting(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return new_number(call()) };
    let at = file.begin_call();
    let taking = file.begin_taking();
    let accepted = new_number(call());
    if accepted < 0 {
        drop(taking);
        report_failure(file, fd, at, Facts::READ_EAGAIN);
    } else {
        file.consume(1);
        drop(taking);
        file.tell(Facts::READ_ALL, at);
    }
    accepted
}

/// Takes a number that the kernel has just assigned. If the number is known, no hook saw its close.
#[inline]
fn new_number(fd: c_int) -> c_int {
    if lookup::known(fd).is_some() && !own_table::is_borrowed() {
        close::forget_from_anywhere(fd);
    }
    signal_numbers::note_made(fd)
}
