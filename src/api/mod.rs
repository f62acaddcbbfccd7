//! The functions beyond epoll: callbacks, readiness sources, counters.

pub mod dispatch;
pub mod source;
pub mod stats;
