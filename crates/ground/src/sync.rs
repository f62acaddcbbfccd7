//! The atomics, sleeps and wake-ups by which the modules of this library synchronize threads, and
//! the clock.
//!
//! Here these are core's and the kernel's own. `tests/model` compiles the same modules with another
//! `sync`. Each of its operations is a point at which a scheduler may let another thread continue,
//! so it finds interleavings that real time would not produce.

pub use crate::real::{clock_gettime, ppoll};
pub use crate::sys::{futex_wait, futex_wake, has_reader, io_uring_sleep, nap, read, write};
pub use crate::sys::{set_async, set_signal_owner, take_signals};

pub use crossbeam_queue::ArrayQueue;

pub use core::hint::spin_loop;
pub use core::sync::atomic;

/// The number of looks at a taken lock before the thread sleeps, at least.
pub const SPINS: u32 = 100;
/// The same at most.
pub const MOST_SPINS: u32 = 2000;
