//! Facts about a program and its event loop: its epoll calls, its transfers, closes, forks. The
//! consumers (audit, counts, trace, timeline, chaos) read this one stream and nothing else.
//!
//! The library produces facts where the program calls it, over the kernel's epoll or over its own;
//! the launcher produces them from the text of strace(1).

#![no_std]
#![forbid(unsafe_code)]

mod call;
pub mod errno;
mod fact;
pub mod flags;
pub mod layout;
pub mod mask;
pub mod wire;

pub use call::{Call, Class};
pub use epolyfill_rules::kind::Kind;
pub use fact::{ChaosKind, Event, Fact, Form, NO_FD, Op, Poller, Reason, SiteId, Stamp, Start};
