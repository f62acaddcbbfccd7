//! The manual kinds, which have to be named: no kernel does them, but programs must not count on
//! that.

use epolyfill_chaos::{Decision, Kind as Chaos};
use epolyfill_facts::{Kind, NO_FD};
use libc::c_int;
use nix::errno::Errno;

use super::{is_on, plan, record};
use crate::graph::file::kind;
use crate::see::recorder;
use crate::sys;

/// A decision about a call of this thread.
fn decide(what: Chaos, most: u64) -> Option<Decision> {
    let plan = plan().filter(|plan| plan.has(what))?;
    let place = recorder::chaos(|state, _, stamp| state.begin_call(stamp.tid))??;
    plan.decide(what, place, most).map(|amount| Decision { kind: what, place, amount })
}

/// `short`: the bytes that a call on a stream may move, out of `n`. read(2): "It is not an error if
/// this number is smaller than the number of bytes requested"; write(2) says the same.
#[inline]
pub fn shortened(fd: c_int, n: usize) -> usize {
    if is_on() && n > 1 { shorten(fd, n) } else { n }
}

#[cold]
fn shorten(fd: c_int, n: usize) -> usize {
    let Some(decision) = decide(Chaos::Short, n as u64 - 1) else { return n };
    // Packets would be cut.
    let is_stream = matches!(kind::identify(fd), Kind::Tcp | Kind::UnixStream);
    if is_stream && record(&decision, NO_FD, fd) { decision.amount as usize } else { n }
}

/// `small`: gives a socket that was registered small buffers. socket(7), SO_SNDBUF and SO_RCVBUF.
pub fn registered(epfd: c_int, fd: c_int) {
    const LEAST: u64 = 2048;
    if !is_on() || !plan().is_some_and(|plan| plan.has(Chaos::Small)) {
        return;
    }
    if !matches!(kind::identify(fd), Kind::Tcp | Kind::UnixStream) {
        return;
    }
    if let Some(decision) = decide(Chaos::Small, LEAST)
        && record(&decision, epfd, fd)
    {
        let bytes = (LEAST + decision.amount) as c_int;
        let _ = sys::setsockopt(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, bytes);
        let _ = sys::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes);
    }
}

/// `fault`: whether an accept fails, for want of descriptors. accept(2), ERRORS.
pub fn accept_fails(fd: c_int) -> bool {
    fails(NO_FD, fd, &[Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM])
}

/// `fault`: whether an EPOLL_CTL_ADD fails. epoll_ctl(2), ERRORS.
pub fn add_fails(epfd: c_int, fd: c_int) -> bool {
    fails(epfd, fd, &[Errno::ENOMEM, Errno::ENOSPC])
}

fn fails(epfd: c_int, fd: c_int, errors: &[Errno]) -> bool {
    if !is_on() {
        return false;
    }
    let Some(mut decision) = decide(Chaos::Fault, u64::from(u16::MAX)) else { return false };
    // A log has the errno itself.
    let listed = errors.iter().find(|errno| **errno as u64 == decision.amount);
    let errno = *listed.unwrap_or(&errors[decision.amount as usize % errors.len()]);
    decision.amount = errno as u64;
    if !record(&decision, epfd, fd) {
        return false;
    }
    sys::set_errno(errno);
    true
}
