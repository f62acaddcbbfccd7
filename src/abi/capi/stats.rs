//! Counters of an instance, for a program or its developer.

use std::ffi::c_int;

use crate::abi::calls;
use crate::api::stats;

pub use crate::graph::stats::epolyfill_stats;

/// Reads the counters of an instance; with `epfd` -1 the sums over all instances that the process
/// has or had.
///
/// `size` is `sizeof *stats`, which lets a program and a library of different versions work
/// together, as in sched_getattr(2): if the library has more than `size` bytes the program gets the
/// first `size`, and if it has fewer it fills the rest with zeros. Returns the number of bytes that
/// the library has, or -1 with errno EINVAL (`size` is smaller than the structure of version 0.2,
/// or larger than 4096; `epfd` is not an instance of epolyfill), EBADF, EFAULT (`stats` is not
/// writable), EBUSY (in a signal handler that interrupted the library). The checks are made in this
/// order, and a call that fails writes nothing.
///
/// Counters are always on. The counters of an instance are of one moment; the sums of the process
/// are read one instance after the other. A forked child has a copy. The counters of each instance
/// start at 0 and never decrease; an event that cannot be attributed to an instance is not counted.
///
/// # Safety
/// `stats` may be any address at which the program expects `size` bytes to be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epolyfill_stats(epfd: c_int, stats: *mut epolyfill_stats, size: usize) -> c_int {
    // SAFETY: the caller answers for what is there.
    calls::answer(unsafe { stats::read(epfd, stats, size) })
}
