//! The bits of epoll and poll, which are the same on Linux, and the groups that the rules of edges
//! use.

/// Level bits, as `poll` takes and returns them.
pub type Bits = u16;

/// EPOLLIN.
pub const IN: Bits = 1;
/// EPOLLPRI.
pub const PRI: Bits = 1 << 1;
/// EPOLLOUT.
pub const OUT: Bits = 1 << 2;
/// EPOLLERR.
pub const ERR: Bits = 1 << 3;
/// EPOLLHUP.
pub const HUP: Bits = 1 << 4;
/// POLLNVAL.
pub const NVAL: Bits = 1 << 5;
/// EPOLLRDNORM.
pub const RDNORM: Bits = 1 << 6;
/// EPOLLRDBAND.
pub const RDBAND: Bits = 1 << 7;
/// EPOLLWRNORM.
pub const WRNORM: Bits = 1 << 8;
/// EPOLLWRBAND.
pub const WRBAND: Bits = 1 << 9;
/// EPOLLMSG.
pub const MSG: Bits = 1 << 10;
/// EPOLLRDHUP.
pub const RDHUP: Bits = 1 << 13;

/// The bits for input.
pub const READABLE: Bits = IN | RDNORM | RDBAND | MSG;
/// The bits of the waiters that an arrival on a socket wakes. Those for urgent data are among them.
pub const INCOMING: Bits = IN | RDNORM | RDBAND | PRI;
/// The bits for space.
pub const WRITABLE: Bits = OUT | WRNORM | WRBAND;
/// The bits that are levels. The other bits of a registration select how it reports.
pub const LEVELS: u32 = (READABLE | WRITABLE | PRI | ERR | HUP | RDHUP) as u32;

/// EPOLLEXCLUSIVE.
pub const EXCLUSIVE: u32 = 1 << 28;
/// EPOLLWAKEUP.
pub const WAKEUP: u32 = 1 << 29;
/// EPOLLONESHOT.
pub const ONESHOT: u32 = 1 << 30;
/// EPOLLET.
pub const EDGE: u32 = 1 << 31;

/// The bits that are valid with EPOLLEXCLUSIVE (T7).
pub const EXCLUSIVE_COMPANY: u32 = (IN | OUT | ERR | HUP) as u32 | WAKEUP | EDGE | EXCLUSIVE;

/// The level bits of a registration. EPOLLERR and EPOLLHUP are always in it (T5).
pub const fn levels(events: u32) -> Bits {
    (events & LEVELS) as Bits | ERR | HUP
}
