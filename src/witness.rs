//! What transfer calls show about the descriptions they work on. The calls themselves are the next definition's.
//!
//! On a description without edge-triggered registrations each of these is one load, and the call.

use libc::c_int;
use nix::errno::Errno;

use crate::descriptors;
use crate::edge::{ANEW, CHOKED, DEPARTED, DRY, FAILED, Facts, GAVE, TOOK, TOOK_SHORT};
use crate::file::File;
use crate::kind::{Arrivals, Kind};
use crate::sample;
use crate::sys;

/// The description under the number, if somebody waits for its edges.
#[inline]
fn watched(fd: c_int) -> Option<&'static File> {
    descriptors::known(fd).filter(|file| file.has_edges() || file.eventpoll().is_some())
}

/// An epoll descriptor can be neither read nor written (C4), whatever stands behind it here.
#[cold]
fn not_for_instances() -> isize {
    sys::set_errno(Errno::EINVAL);
    -1
}

/// A read-like call on `fd` that asks for `asked` bytes; `takes` is false for one that only peeks.
#[inline]
pub fn reading(fd: c_int, takes: bool, asked: impl FnOnce() -> usize, call: impl FnOnce() -> isize) -> isize {
    let Some(file) = watched(fd) else { return call() };
    witnessed_read(file, takes, asked, call, |n| Amount { bytes: n, messages: 1 })
}

/// A read-like call for several messages at once; `bytes` tells what the answered number of messages holds.
#[inline]
pub fn reading_messages(
    fd: c_int,
    takes: bool,
    asked: usize,
    call: impl FnOnce() -> isize,
    bytes: impl FnOnce(u64) -> u64,
) -> isize {
    let Some(file) = watched(fd) else { return call() };
    witnessed_read(file, takes, || asked, call, |messages| Amount { bytes: bytes(messages), messages })
}

/// What a read-like call took.
#[derive(Debug)]
struct Amount {
    bytes: u64,
    messages: u64,
}

fn witnessed_read(
    file: &'static File,
    takes: bool,
    asked: impl FnOnce() -> usize,
    call: impl FnOnce() -> isize,
    amount: impl FnOnce(u64) -> Amount,
) -> isize {
    if file.eventpoll().is_some() {
        return not_for_instances();
    }
    let at = file.begin_call();
    let n = {
        let _peeking = (!takes).then(|| file.peek());
        call()
    };
    match u64::try_from(n) {
        Err(_) => refused(file, at, DRY),
        Ok(n) if takes => took(file, at, n as usize >= asked(), amount(n)),
        Ok(_) => {}
    }
    n
}

#[cold]
fn took(file: &'static File, at: u32, whole: bool, amount: Amount) {
    let arrivals = file.kind().arrivals();
    if amount.bytes == 0 && matches!(arrivals, Arrivals::Received | Arrivals::Queued) {
        // The end of a stream stays readable.
        return;
    }
    match arrivals {
        Arrivals::Queued => file.consume(amount.bytes),
        Arrivals::Datagrams => file.consume(amount.messages),
        _ => {}
    }
    file.tell(if whole { TOOK } else { TOOK_SHORT }, at);
}

/// An accept-like call.
#[inline]
pub fn accepting(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return call() };
    let at = file.begin_call();
    let accepted = call();
    if accepted < 0 {
        refused(file, at, DRY);
    } else {
        file.consume(1);
        file.tell(TOOK, at);
    }
    accepted
}

/// A write-like call on `fd` with `offered` bytes (or messages).
#[inline]
pub fn writing(fd: c_int, offered: impl FnOnce() -> usize, call: impl FnOnce() -> isize) -> isize {
    let Some(file) = watched(fd) else { return call() };
    if file.eventpoll().is_some() {
        return not_for_instances();
    }
    let at = file.begin_call();
    note_departures(file, fd);
    let n = call();
    gave(file, fd, at, n, offered());
    n
}

#[cold]
fn gave(file: &'static File, fd: c_int, at: u32, n: isize, offered: usize) {
    if let Some(outgoing) = sample::outgoing(file.kind(), fd) {
        file.note_outgoing(outgoing);
    }
    match n {
        ..0 => refused(file, at, CHOKED),
        _ if n.unsigned_abs() < offered => file.tell(CHOKED, at),
        _ => file.tell(GAVE, at),
    }
}

/// Before a write: has the peer read since we last looked? Afterwards its queue holds more, and nobody could tell.
#[cold]
fn note_departures(file: &'static File, fd: c_int) {
    if file.awaits_departures()
        && let Some(outgoing) = sample::outgoing(file.kind(), fd)
        && outgoing < file.note_outgoing(outgoing)
    {
        file.tell(DEPARTED, file.clock());
    }
}

/// A call that failed: it met a low level, or collected an error, or nothing worth telling.
fn refused(file: &'static File, at: u32, low: Facts) {
    match sys::last_errno() {
        Errno::EAGAIN => file.tell(low, at),
        Errno::EINTR | Errno::EFAULT | Errno::EINVAL | Errno::EBADF => {}
        _ => file.tell(FAILED, at),
    }
}

/// A call that moves data between two descriptors. If it stopped short the input tells whether it was for want of data or of
/// room.
#[inline]
pub fn moving(from: c_int, to: c_int, asked: usize, takes: bool, call: impl FnOnce() -> isize) -> isize {
    let (source, sink) = (watched(from), watched(to));
    if source.is_none() && sink.is_none() {
        return call();
    }
    let begun = [source, sink].map(|file| file.map_or(0, File::begin_call));
    if let Some(sink) = sink {
        note_departures(sink, to);
    }
    let n = call();
    let short = n < 0 || n.unsigned_abs() < asked;
    let ran_dry = short && sys::ioctl_int(from, libc::FIONREAD) == Ok(0);
    if let Some(source) = source
        && takes
    {
        match u64::try_from(n) {
            Ok(n) => took(source, begun[0], !short, Amount { bytes: n, messages: 1 }),
            Err(_) if ran_dry => refused(source, begun[0], DRY),
            Err(_) => {}
        }
    }
    if let Some(sink) = sink
        && !(n < 0 && ran_dry)
    {
        gave(sink, to, begun[1], n, if ran_dry { n.unsigned_abs() } else { asked });
    }
    n
}

/// A call that fills a pipe, or empties it, as its end is.
#[inline]
pub fn splicing_memory(fd: c_int, asked: impl FnOnce() -> usize, call: impl FnOnce() -> isize) -> isize {
    if watched(fd).is_none() {
        return call();
    }
    match sys::fcntl(fd, libc::F_GETFL, 0).map(|flags| flags & libc::O_ACCMODE) {
        Ok(libc::O_RDONLY) => reading(fd, true, asked, call),
        _ => writing(fd, asked, call),
    }
}

/// A connection that begins: a stream socket starts anew.
#[inline]
pub fn connecting(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return call() };
    let at = file.begin_call();
    let answer = call();
    let begun = answer == 0 || sys::last_errno() == Errno::EINPROGRESS;
    if begun && matches!(file.kind(), Kind::Tcp | Kind::UnixStream | Kind::UnixSeqpacket) {
        file.tell(ANEW, at);
    }
    answer
}

/// A socket that becomes a listener.
#[inline]
pub fn listening(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return call() };
    let at = file.begin_call();
    let answer = call();
    if answer == 0 {
        file.identify_again(fd);
        file.tell(ANEW, at);
    }
    answer
}

/// A timer that is set: unread expirations are gone.
#[inline]
pub fn setting_timer(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return call() };
    let at = file.begin_call();
    let answer = call();
    if answer == 0 {
        file.tell(ANEW, at);
    }
    answer
}
