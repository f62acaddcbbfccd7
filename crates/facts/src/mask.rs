//! The bits of `epoll_event.events`, as a fact has them.

use epolyfill_rules::events;

pub use epolyfill_rules::events::{EDGE, EXCLUSIVE, ONESHOT};

/// EPOLLIN.
pub const IN: u32 = events::IN as u32;
/// EPOLLPRI.
pub const PRI: u32 = events::PRI as u32;
/// EPOLLOUT.
pub const OUT: u32 = events::OUT as u32;
/// EPOLLERR.
pub const ERR: u32 = events::ERR as u32;
/// EPOLLHUP.
pub const HUP: u32 = events::HUP as u32;
/// EPOLLRDNORM.
pub const RDNORM: u32 = events::RDNORM as u32;
/// EPOLLRDHUP.
pub const RDHUP: u32 = events::RDHUP as u32;

/// The bits for data that can be read.
pub const INPUT: u32 = IN | RDNORM;
/// The bits that are reported to every registration, asked for or not.
pub const UNASKED: u32 = ERR | HUP;
