//! Epoll descriptors that somebody looks at from outside: inside another instance, or in poll and
//! select (N1 to N3).
//!
//! Such an instance is *observed*. While no thread waits on it, its registrations are with the
//! watchers, and a byte in its pipe makes its descriptor readable; so anybody who polls the
//! descriptor, in this library or in the kernel, sees the right level. It is also *followed* if an
//! edge-triggered registration is above it.

mod announce;
mod attend;
mod audience;
mod link;
mod look;
pub mod poll_select;
#[cfg(test)]
mod tests;

pub use link::create;
