//! Calls that change what a socket is: they wake without data, and the peer, too.

use libc::c_int;
use nix::errno::Errno;

use super::watched;
use crate::descriptors;
use crate::diagnosis;
use crate::edge::{COLLECTED, UNSETTLED, WOKEN};
use crate::events::ERR;
use crate::file::{File, Peer};
use crate::kind::{self, Kind};
use crate::lock;
use crate::sample;
use crate::sys;

/// A connection that begins: a stream socket starts anew.
#[inline]
pub fn connecting(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return call() };
    let at = file.begin_call();
    let before = sample::tcp_state(fd);
    let answer = call();
    // A TCP connection that is made wakes everybody, and so does one that fails on the way; being told later that it was made
    // does not.
    let wakes = answer == 0 && sample::tcp_state(fd) != before
        || answer < 0
            && matches!(
                sys::last_errno(),
                Errno::EINPROGRESS
                    | Errno::EINTR
                    | Errno::EPIPE
                    | Errno::ECONNABORTED
                    | Errno::ECONNREFUSED
                    | Errno::ECONNRESET
                    | Errno::ETIMEDOUT
                    | Errno::EHOSTUNREACH
            );
    match file.kind() {
        Kind::Tcp if wakes => file.tell(WOKEN, at),
        _ => file.tell(UNSETTLED, at),
    }
    if answer == 0 || sys::last_errno() == Errno::EINPROGRESS {
        file.set_peer(Peer::Unknown);
    }
    answer
}

/// A call that takes a pending error.
#[inline]
pub fn collecting(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return call() };
    let at = file.begin_call();
    let was_there = sys::level(fd, 0) & ERR != 0;
    let answer = call();
    if answer == 0 && was_there {
        file.tell(COLLECTED, at);
    }
    answer
}

/// shutdown(2): wakes everybody on this side, and on the other side of a unix connection.
#[inline]
pub fn shutting_down(fd: c_int, how: c_int, call: impl FnOnce() -> c_int) -> c_int {
    if !File::any_edges() && descriptors::known(fd).is_none() {
        return call();
    }
    shutting_down_with_edges(fd, how, call)
}

#[cold]
fn shutting_down_with_edges(fd: c_int, how: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let kind = match descriptors::known(fd) {
        Some(file) => {
            // Also for registrations that become edge-triggered later.
            file.note_shut(how);
            file.identify(fd)
        }
        None => kind::identify(fd),
    };
    let own = watched(fd).map(|file| (file, file.begin_call()));
    let paired = matches!(kind, Kind::UnixStream | Kind::UnixSeqpacket) && !lock::interrupted();
    let inode = if paired { diagnosis::peer(fd).filter(|&inode| inode != 0) } else { None };
    let peer = inode.and_then(|inode| File::of_inode(inode.into()).next()).map(|file| (file, file.begin_call()));
    let answer = call();
    // A socket that is not connected has nothing to shut, and wakes its waiters all the same.
    if answer == 0 || sys::last_errno() == Errno::ENOTCONN {
        if let Some((file, at)) = own {
            file.tell(WOKEN, at);
        }
        if let Some((file, at)) = peer {
            file.tell(WOKEN, at);
        }
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
        file.tell(UNSETTLED, at);
    }
    answer
}
