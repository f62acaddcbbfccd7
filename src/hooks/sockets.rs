//! Hooks of the calls that change the state of a socket. They wake its waiters without data, and
//! those of the peer.

use libc::c_int;
use nix::errno::Errno;

use super::errors::collected;
use super::watched;
use crate::backend::signals;
use crate::edge::Facts;
use crate::events::{ERR, IN, WRITABLE};
use crate::graph::file::kind;
use crate::graph::file::{File, Peer};
use crate::graph::lookup;
use crate::kind::Kind;
use crate::lock;
use crate::probe::observe;
use crate::probe::sample;
use crate::sock_diag;
use crate::sys;
use crate::tcp::{self, TcpState};
use crate::tcp_info;

/// The description under a number, if it sends signals. What this process does with it may wake its
/// waiters without one.
#[inline]
fn signalled(fd: c_int) -> Option<&'static File> {
    if !signals::are_used() {
        return None;
    }
    signals::armed_number(fd).map(|(file, _)| file)
}

/// Makes a connect-like call. A stream socket starts a new connection.
#[inline]
pub fn connecting(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return call() };
    let at = file.begin_call();
    let before = tcp_info::state(fd);
    let answer = call();
    began(file, fd, at, before, answer < 0);
    answer
}

/// Makes a write with these flags, which may begin a connection.
pub(super) fn opening(file: &'static File, fd: c_int, flags: c_int, write: impl FnOnce() -> isize) -> isize {
    if flags & libc::MSG_FASTOPEN == 0 {
        return write();
    }
    let at = file.begin_call();
    let before = tcp_info::state(fd);
    let written = write();
    began(file, fd, at, before, written < 0);
    written
}

/// Reports the effects of a call that may have begun a connection. `failed` is true if it returned
/// an error.
#[cold]
fn began(file: &'static File, fd: c_int, at: u32, before: Option<TcpState>, failed: bool) {
    let errno = sys::last_errno();
    let state = tcp_info::state(fd);
    // A TCP connection wakes every waiter when it is established, and when it fails before that. A
    // later call that only returns the success wakes no waiter.
    let wakes = if failed {
        matches!(
            errno,
            Errno::EINPROGRESS
                | Errno::EINTR
                | Errno::EPIPE
                | Errno::ECONNABORTED
                | Errno::ECONNREFUSED
                | Errno::ECONNRESET
                | Errno::ETIMEDOUT
                | Errno::EHOSTUNREACH
        )
    } else {
        // A call that leaves the socket closed has disconnected it, which wakes the waiters even if
        // the socket was closed before.
        state != before || state == Some(tcp::CLOSE)
    };
    if state != before {
        if file.kind() == Kind::TcpListener {
            file.identify_again(fd);
        }
        if let Some(tcp) = file.tcp() {
            tcp.begin_anew(state);
        }
    }
    if let Some(unix) = file.unix().filter(|_| !failed || errno == Errno::EINPROGRESS) {
        unix.set_peer(Peer::Unknown);
    }
    // Such a connection does not begin before the first write (TCP_FASTOPEN_CONNECT).
    let defers_connect = !failed && state == Some(tcp::SYN_SENT);
    let wakes_all = file.tcp().is_some_and(|tcp| {
        tcp.set_defer_connect(defers_connect);
        wakes && !defers_connect
    });
    file.tell(if wakes_all { Facts::WAKE_ALL } else { Facts::RECHECK }, at);
}

/// Whether a connection that was put off until the first write (TCP_FASTOPEN_CONNECT) has not begun
/// yet. Called before a write.
#[cold]
pub(super) fn still_defers_connect(file: &File, fd: c_int) -> bool {
    let is_still = tcp_info::state(fd) == Some(tcp::SYN_SENT);
    if let Some(tcp) = file.tcp() {
        tcp.set_defer_connect(is_still);
    }
    is_still
}

/// Reports after that write that the connection has begun, or is established already, which wakes
/// every waiter.
#[cold]
pub(super) fn has_opened(file: &'static File, fd: c_int, at: u32) {
    if still_defers_connect(file, fd) {
        // There is no space until the connection is established.
        file.tell(Facts::NO_SPACE, at);
    } else {
        file.tell(Facts::WAKE_ALL, at);
    }
}

/// Makes a getsockopt(2) call. SO_ERROR clears a pending error; TCP_ZEROCOPY_RECEIVE maps received
/// data.
#[inline]
pub fn asking(fd: c_int, level: c_int, name: c_int, call: impl FnOnce() -> c_int) -> c_int {
    const TCP_ZEROCOPY_RECEIVE: c_int = 35;
    match (level, name) {
        (libc::SOL_SOCKET, libc::SO_ERROR) => collecting(fd, call),
        (libc::IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE) => mapping(fd, call),
        _ => call(),
    }
}

/// Makes a call that takes an unknown number of bytes.
#[cold]
fn mapping(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return call() };
    let at = file.begin_call();
    let taking = file.begin_taking();
    let answer = call();
    if let Some(tcp) = file.tcp() {
        tcp.forget_position();
    }
    drop(taking);
    if answer == 0 {
        file.tell(Facts::SHORT_READ, at);
    }
    answer
}

/// Makes a setsockopt(2) call. The kernel compares its queues with a new limit. A new size of the
/// send buffer wakes the waiters for space, if there is some. A new low-water mark wakes the
/// waiters for data, if there is enough.
#[inline]
pub fn setting(fd: c_int, level: c_int, name: c_int, call: impl FnOnce() -> c_int) -> c_int {
    match watched(fd) {
        None => call(),
        Some(file) => setting_watched(file, fd, (level, name), call),
    }
}

#[cold]
fn setting_watched(file: &'static File, fd: c_int, option: (c_int, c_int), call: impl FnOnce() -> c_int) -> c_int {
    if option == (libc::SOL_SOCKET, libc::SO_RCVLOWAT) && file.kind() == Kind::Tcp {
        return setting_least(file, fd, call);
    }
    if matches!(option, (libc::SOL_SOCKET, libc::SO_SNDBUF | libc::SO_SNDBUFFORCE)) {
        // Space that was freed before may be gone with a smaller buffer.
        observe::before_write(file, fd);
    }
    let at = file.begin_call();
    let answer = call();
    if answer != 0 {
        return answer;
    }
    match option {
        (libc::SOL_SOCKET, libc::SO_SNDBUF | libc::SO_SNDBUFFORCE) | (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT) => {
            file.tell(if wakes_for_room(file, fd) { Facts::SPACE_FREED } else { Facts::RECHECK }, at);
        }
        // Queued data raises another level, or is discarded.
        (libc::SOL_SOCKET, libc::SO_OOBINLINE)
        | (libc::IPPROTO_IP, libc::IP_RECVERR)
        | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => file.tell(Facts::RECHECK, at),
        _ => {}
    }
    answer
}

/// Sets SO_RCVLOWAT of a TCP connection. The kernel wakes the waiters for data if enough data, or
/// the end, is queued. Data that arrived before and no longer shows has woken them, as if it had
/// been taken.
fn setting_least(file: &'static File, fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let at = file.begin_call();
    let was_readable = sys::level(fd, IN) & IN != 0;
    let answer = call();
    if answer == 0 {
        let is_readable = sys::level(fd, IN) & IN != 0;
        let hides = if was_readable && !is_readable { Facts::READ_ALL } else { Facts::empty() };
        let wakes = if is_readable && sample::has_stream_data(fd) { Facts::WRITER_BLOCKED } else { Facts::empty() };
        file.tell(hides | wakes | Facts::RECHECK, at);
    }
    answer
}

/// Whether a check for space succeeds. On a listener it does, because a listener sends nothing.
fn wakes_for_room(file: &File, fd: c_int) -> bool {
    match file.kind() {
        Kind::TcpListener => true,
        // A connection that was shut down or reset is writable, however much is queued.
        Kind::Tcp => sample::has_unsent_room(fd),
        _ => sys::level(fd, WRITABLE) & WRITABLE != 0,
    }
}

/// Makes a call that takes a pending error.
#[inline]
fn collecting(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return call() };
    let at = file.begin_call();
    let was_there = sys::level(fd, 0) & ERR != 0;
    let answer = call();
    if answer == 0 && was_there {
        file.tell(collected(file, fd), at);
    }
    answer
}

/// Makes a shutdown(2) call. It wakes every waiter on this side, and on the other side of a unix
/// connection.
#[inline]
pub fn shutting_down(fd: c_int, how: c_int, call: impl FnOnce() -> c_int) -> c_int {
    if !File::any_edges() && lookup::known(fd).is_none() {
        return call();
    }
    shutting_down_with_edges(fd, how, call)
}

#[cold]
fn shutting_down_with_edges(fd: c_int, how: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let kind = match lookup::known(fd) {
        Some(file) => {
            // Also for registrations that become edge-triggered later.
            file.note_shut(how);
            file.identify(fd)
        }
        None => kind::identify(fd),
    };
    let own = watched(fd).or_else(|| signalled(fd)).map(|file| (file, file.begin_call()));
    let paired = matches!(kind, Kind::UnixStream | Kind::UnixSeqpacket) && !lock::interrupted();
    let inode = if paired { sock_diag::peer(fd).filter(|&inode| inode != 0) } else { None };
    let peer = inode.and_then(|inode| File::of_inode(inode.into()).next()).map(|file| (file, file.begin_call()));
    let answer = call();
    // On a socket that is not connected the call fails, and wakes the waiters nevertheless.
    if answer == 0 || sys::last_errno() == Errno::ENOTCONN {
        if let Some((file, at)) = own {
            if file.kind() == Kind::TcpListener {
                // The socket does not listen any more.
                file.identify_again(fd);
            }
            file.tell(Facts::WAKE_ALL, at);
        }
        match peer {
            // Only the end of what the peer can read sends a signal.
            Some((file, at)) if how == libc::SHUT_RD => file.tell(Facts::WAKE_ALL, at),
            Some((file, at)) => observe::wake_without_signal(file, at),
            None => {}
        }
    }
    answer
}

/// Makes a listen(2) call.
#[inline]
pub fn listening(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return call() };
    let at = file.begin_call();
    let answer = call();
    if answer == 0 {
        file.identify_again(fd);
        file.tell(Facts::RECHECK, at);
    }
    answer
}
