//! Epoll descriptors that are watched from outside: by another instance, or by poll and select (N1
//! to N3).
//!
//! Such an instance is *observed*. While no thread waits on it, its registrations are with the
//! watchers, and a byte in its pipe makes its descriptor readable. So any thread that polls the
//! descriptor, through this library or directly, sees the right level. The instance is also
//! *followed* if an edge-triggered registration is above it.

mod announce;
mod attend;
mod link;
mod look;
mod observers;
pub mod poll_select;
#[cfg(test)]
mod tests;

pub use link::create;
