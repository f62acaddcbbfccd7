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
    descriptors::known(fd).filter(|file| file.has_edges())
}

/// A read-like call on `fd` that asks for `asked` bytes; `takes` is false for one that only peeks.
#[inline]
pub fn reading(fd: c_int, takes: bool, asked: impl FnOnce() -> usize, call: impl FnOnce() -> isize) -> isize {
    let Some(file) = watched(fd) else { return call() };
    let n = call();
    took(file, n, takes, asked());
    n
}

#[cold]
fn took(file: &'static File, n: isize, takes: bool, asked: usize) {
    let facts = match n {
        ..0 => return refused(file, DRY),
        _ if !takes => return,
        // The end of a stream stays readable; an empty datagram is gone.
        0 if matches!(file.kind().arrivals(), Arrivals::Received | Arrivals::Queued) => return,
        _ if n.unsigned_abs() < asked => TOOK_SHORT,
        _ => TOOK,
    };
    if file.kind().arrivals() == Arrivals::Queued {
        file.consume(n as u64);
    }
    file.tell(facts);
}

/// An accept-like call.
#[inline]
pub fn accepting(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return call() };
    let accepted = call();
    if accepted < 0 {
        refused(file, DRY);
    } else {
        file.consume(1);
        file.tell(TOOK);
    }
    accepted
}

/// A write-like call on `fd` with `offered` bytes (or messages).
#[inline]
pub fn writing(fd: c_int, offered: impl FnOnce() -> usize, call: impl FnOnce() -> isize) -> isize {
    let Some(file) = watched(fd) else { return call() };
    note_departures(file, fd);
    let n = call();
    gave(file, fd, n, offered());
    n
}

#[cold]
fn gave(file: &'static File, fd: c_int, n: isize, offered: usize) {
    if let Some(outgoing) = sample::outgoing(file.kind(), fd) {
        file.note_outgoing(outgoing);
    }
    match n {
        ..0 => refused(file, CHOKED),
        _ if n.unsigned_abs() < offered => file.tell(CHOKED),
        _ => file.tell(GAVE),
    }
}

/// Before a write: has the peer read since we last looked? Afterwards its queue holds more, and nobody could tell.
#[cold]
fn note_departures(file: &'static File, fd: c_int) {
    if file.awaits_departures()
        && let Some(outgoing) = sample::outgoing(file.kind(), fd)
        && outgoing < file.note_outgoing(outgoing)
    {
        file.tell(DEPARTED);
    }
}

/// A call that failed: it met a low level, or collected an error, or nothing worth telling.
fn refused(file: &'static File, low: Facts) {
    match sys::last_errno() {
        Errno::EAGAIN => file.tell(low),
        Errno::EINTR | Errno::EFAULT | Errno::EINVAL | Errno::EBADF => {}
        _ => file.tell(FAILED),
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
    if let Some(sink) = sink {
        note_departures(sink, to);
    }
    let n = call();
    let short = n < 0 || n.unsigned_abs() < asked;
    let ran_dry = short && sys::ioctl_int(from, libc::FIONREAD) == Ok(0);
    if let Some(source) = source
        && (n >= 0 || ran_dry)
    {
        took(source, n, takes, asked);
    }
    if let Some(sink) = sink
        && !(n < 0 && ran_dry)
    {
        gave(sink, to, n, if ran_dry { n.unsigned_abs() } else { asked });
    }
    n
}

/// A connection that begins: a stream socket starts anew.
#[inline]
pub fn connecting(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return call() };
    let answer = call();
    let begun = answer == 0 || sys::last_errno() == Errno::EINPROGRESS;
    if begun && matches!(file.kind(), Kind::Tcp | Kind::UnixStream | Kind::UnixSeqpacket) {
        file.tell(ANEW);
    }
    answer
}

/// A socket that becomes a listener.
#[inline]
pub fn listening(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return call() };
    let answer = call();
    if answer == 0 {
        file.identify_again(fd);
        file.tell(ANEW);
    }
    answer
}

/// A timer that is set: unread expirations are gone.
#[inline]
pub fn setting_timer(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return call() };
    let answer = call();
    if answer == 0 {
        file.tell(ANEW);
    }
    answer
}
