//! The bits of epoll and of poll, which are the same bits on Linux, and the groups the edges care about.

use libc::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLMSG, EPOLLOUT, EPOLLPRI, EPOLLRDBAND, EPOLLRDHUP, EPOLLRDNORM};
use libc::{EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT, EPOLLWAKEUP, EPOLLWRBAND, EPOLLWRNORM};

/// Level bits, as `poll` takes and gives them.
pub type Bits = u16;

pub const IN: Bits = EPOLLIN as Bits;
pub const PRI: Bits = EPOLLPRI as Bits;
pub const OUT: Bits = EPOLLOUT as Bits;
pub const RDNORM: Bits = EPOLLRDNORM as Bits;
pub const ERR: Bits = EPOLLERR as Bits;
pub const HUP: Bits = EPOLLHUP as Bits;
pub const NVAL: Bits = libc::POLLNVAL as Bits;
pub const WRNORM: Bits = EPOLLWRNORM as Bits;
pub const RDHUP: Bits = EPOLLRDHUP as Bits;

/// Everything that says "there is something to read".
pub const READABLE: Bits = (EPOLLIN | EPOLLRDNORM | EPOLLRDBAND | EPOLLMSG) as Bits;
/// What an arrival on a socket wakes: urgent data is waited for with the rest.
pub const INCOMING: Bits = (EPOLLIN | EPOLLRDNORM | EPOLLRDBAND | EPOLLPRI) as Bits;
/// Everything that says "there is room to write".
pub const WRITABLE: Bits = (EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND) as Bits;
/// The bits that are levels; the others of a registration say how to report.
pub const LEVELS: u32 = (READABLE | WRITABLE | PRI | ERR | HUP | RDHUP) as u32;

pub const EDGE: u32 = EPOLLET as u32;
pub const ONESHOT: u32 = EPOLLONESHOT as u32;
pub const EXCLUSIVE: u32 = EPOLLEXCLUSIVE as u32;

/// What may stand beside EPOLLEXCLUSIVE (T7).
pub const EXCLUSIVE_COMPANY: u32 =
    (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE) as u32;

/// The level bits of a registration. EPOLLERR and EPOLLHUP are always in it (T5).
pub const fn levels(events: u32) -> Bits {
    (events & LEVELS) as Bits | ERR | HUP
}

const _: () = {
    assert!(libc::POLLIN as i32 == EPOLLIN && libc::POLLPRI as i32 == EPOLLPRI && libc::POLLOUT as i32 == EPOLLOUT);
    assert!(libc::POLLERR as i32 == EPOLLERR && libc::POLLHUP as i32 == EPOLLHUP);
    assert!(libc::POLLRDHUP as i32 == EPOLLRDHUP && libc::POLLRDNORM as i32 == EPOLLRDNORM);
    assert!(libc::POLLRDBAND as i32 == EPOLLRDBAND && libc::POLLWRNORM as i32 == EPOLLWRNORM);
    assert!(libc::POLLWRBAND as i32 == EPOLLWRBAND);
};
