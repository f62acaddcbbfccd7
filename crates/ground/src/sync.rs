//! Where threads meet: the atomics, sleeps and wake-ups by which the modules of this library synchronize.
//!
//! Here these are core's and the kernel's own. `tests/model` compiles the same modules with another `sync`, whose every operation
//! is a point at which a scheduler may let another thread go on, and so finds interleavings that the clock would not.

pub use crate::next::ppoll;
pub use crate::sys::{futex_wait, futex_wake, io_uring_sleep, nap, read, write};

pub use crossbeam_queue::ArrayQueue;

pub use core::hint::spin_loop;
pub use core::sync::atomic;

/// How often a lock that is taken is looked at before the thread sleeps.
pub const SPINS: u32 = 100;
