//! The functions beyond epoll: callbacks, readiness sources, counters.

mod anchor;
pub mod dispatch;
pub mod source;
pub mod stats;
