//! The flags of calls that the rules distinguish.

pub use libc::{MSG_DONTWAIT, MSG_ERRQUEUE, MSG_OOB, MSG_PEEK, RWF_NOWAIT};
