//! The errors that the rules distinguish, as positive numbers.

pub use libc::{EAGAIN, EBADF, EEXIST, EINPROGRESS, EINTR, EMFILE, ENFILE, ENOBUFS, ENOENT, ENOMEM, EPIPE};

/// The errno of an answer (see [`Fact::Call`](crate::Fact::Call)); 0 if the call succeeded.
pub const fn of(answer: i64) -> i32 {
    if answer < 0 { -answer as i32 } else { 0 }
}
