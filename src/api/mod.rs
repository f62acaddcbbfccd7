//! What programs can ask for beyond epoll: callbacks, readiness sources, arrays of events.

pub mod dispatch;
pub mod event_array;
pub mod source;
