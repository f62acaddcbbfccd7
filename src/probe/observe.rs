//! Wake-ups that a look at a descriptor finds. A poll shows that space was freed, or that the peer
//! of a unix socket has read or was closed. Each of these woke every waiter, but may not show any
//! more when the next one looks. So the first look that finds it reports it to all registrations on
//! the description. Kernel counterpart: the wake-ups of `sock_def_write_space`,
//! `unix_dgram_peer_wake_me` and `unix_release_sock`.

use libc::c_int;

use crate::edge::Facts;
use crate::events::{Bits, HUP, OUT, WRITABLE, WRNORM};
use crate::graph::file::{File, Peer, SpaceLook};
use crate::kind::Kind;
use crate::probe::sample;
use crate::sock_diag;
use crate::sys;

/// The cause of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookedBy {
    /// An edge-triggered report, for which the kernel polls as well.
    Report,
    /// A report by a ring, which noted nothing at the time.
    Ring,
    /// Outer instances.
    Outer,
    /// The library's own sample of a level that is high.
    Resample,
}

/// The levels that a look found.
#[derive(Clone, Copy, Debug)]
pub struct Polled {
    /// The cause of the look.
    pub by: LookedBy,
    /// The levels that were found high. A level that is only assumed to be still high is not among
    /// them.
    pub high: Bits,
    /// The levels that were found low.
    pub low: Bits,
    /// Whether the looker is among the edge-triggered registrations of the description.
    pub tracked: bool,
}

/// Takes in a look, and reports the wake-ups that it shows to every registration.
pub fn observe(file: &'static File, fd: c_int, polled: Polled) {
    if polled.high & HUP != 0 && polled.by != LookedBy::Outer {
        peer_closed(file, fd);
    }
    peer_read(file, fd);
    let look = if polled.by == LookedBy::Outer { SpaceLook::Outer } else { SpaceLook::Report };
    if polled.high & WRITABLE != 0 {
        file.space_found(polled.tracked);
    } else if polled.low & (OUT | WRNORM) != 0 {
        // Neither pipes nor connections ever show WRBAND.
        file.space_lacking(look);
    }
    if polled.by == LookedBy::Ring {
        note_outgoing(file, fd);
    }
}

/// A poll of a TCP connection that finds the writable level low sets SOCK_NOSPACE, so that the next
/// `sk_write_space()` wakes every waiter, whatever its mask. `tracked` is as in [`Polled`].
#[doc(alias = "SOCK_NOSPACE")]
pub fn lacks_space(file: &'static File, level: Bits, tracked: bool) {
    if level & WRITABLE == 0 && file.has_other_edges(tracked) && file.kind() == Kind::Tcp {
        file.tell(Facts::NO_SPACE, file.begin_call());
    }
}

/// Reports a wake-up if the peer of a unix socket has read, and so made space here, or in its own
/// queue that had been full.
pub fn peer_read(file: &'static File, fd: c_int) {
    if sample::has_departures(file, fd) && (file.has_full_peer() || is_writable(fd)) {
        file.space_freed();
    }
}

/// Reports space that was freed since the last look. Called before a write, or before the send
/// buffer shrinks: afterwards the description may be full again, and the space would not show.
#[cold]
pub fn before_write(file: &'static File, fd: c_int) {
    let has_read = sample::has_departures(file, fd);
    let may_have_space = has_read || file.has_no_space() && !file.has_full_peer();
    if has_read && file.has_full_peer() || may_have_space && is_writable(fd) {
        file.space_freed();
    }
}

/// Reports that a write got EAGAIN or was cut short. `at` is the clock when the call began.
pub fn refused_write(file: &'static File, fd: c_int, at: u32) {
    let by_peer = sample::is_refused_by_peer(file, fd);
    file.space_refused(by_peer);
    file.tell(if by_peer { Facts::NO_SPACE | Facts::PEER_FULL } else { Facts::NO_SPACE }, at);
}

/// Begins to compare a unix socket's outgoing queue with its current contents, when a registration
/// of an observed instance begins.
pub fn begin_to_count_outgoing(file: &'static File, fd: c_int) {
    peer_read(file, fd);
    note_outgoing(file, fd);
}

/// Notes the amount of data in a unix socket's outgoing queue. If there is less at the next look,
/// the peer has read.
pub fn note_outgoing(file: &File, fd: c_int) {
    if let Some(unix) = file.unix()
        && let Some(outgoing) = sample::outgoing(file, fd)
    {
        unix.note_outgoing(outgoing);
    }
}

/// Reports the close of a unix socket's peer. It wakes every waiter, even if the peer had shut the
/// connection down before, so that EPOLLHUP was set already.
fn peer_closed(file: &'static File, fd: c_int) {
    let Some(unix) = file.unix().filter(|_| file.kind() != Kind::UnixDgram) else { return };
    let before = unix.peer();
    if before == Peer::Gone {
        return;
    }
    let now = match peer_now(fd, before) {
        Some(now) => now,
        None if before == Peer::Unknown => Peer::Gone,
        // The kernel has reported the state before, and will again.
        None => return,
    };
    unix.set_peer(now);
    if now == Peer::Gone && before != Peer::Unknown {
        wake_without_signal(file, file.begin_call());
    }
}

/// Reports a wake-up of every waiter to the registrations that do not wait for the signal that comes
/// with it. `at` is the clock when the call began that made it.
pub fn wake_without_signal(file: &'static File, at: u32) {
    let visited = file.try_visit(|item| {
        if !item.is_asked_by_signal() {
            item.tell(Facts::WAKE_ALL, at);
        }
    });
    if !visited {
        file.tell(Facts::WAKE_ALL, at);
    }
}

/// The state of the peer of a unix socket that is hung up; `None` if the kernel does not report it.
fn peer_now(fd: c_int, before: Peer) -> Option<Peer> {
    let is_there = || sock_diag::peer(fd).map(|inode| inode != 0);
    let now = if is_there()? {
        Peer::There
    } else if before != Peer::There && sock_diag::awaits_accept(fd)? {
        Peer::Awaited
    } else if before != Peer::There && is_there()? {
        // The peer was accepted between the two queries.
        Peer::There
    } else {
        Peer::Gone
    };
    Some(now)
}

fn is_writable(fd: c_int) -> bool {
    sys::level(fd, WRITABLE) & WRITABLE != 0
}
