//! Sleeps and clocks.

use libc::timespec;
use syscalls::{Sysno, syscall};

use crate::sync;

/// Sleeps for `nanoseconds`, or until a signal handler has run. Not a cancellation point.
pub fn nap(nanoseconds: u32) {
    // By a call that the library makes anyway: a program may have a filter for others.
    futex_wait(&std::sync::atomic::AtomicU32::new(0), 0, Some(nanoseconds));
}

/// Sleeps while `word` has the value `expected`, for at most `nanoseconds`.
pub fn futex_wait(word: &std::sync::atomic::AtomicU32, expected: u32, nanoseconds: Option<u32>) {
    let limit = nanoseconds.map(|n| timespec { tv_sec: 0, tv_nsec: i64::from(n) });
    let limit: *const timespec = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `word` and `limit` outlive the call.
    let _ = unsafe {
        syscall!(Sysno::futex, word.as_ptr(), libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, expected, limit, 0, 0)
    };
}

/// Wakes up to `count` sleepers of `word`.
pub fn futex_wake(word: &std::sync::atomic::AtomicU32, count: i32) {
    // SAFETY: the kernel only uses the address as a key.
    let _ =
        unsafe { syscall!(Sysno::futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, count, 0, 0, 0) };
}

/// A duration in nanoseconds as a timespec.
pub fn timespec_of(ns: u64) -> timespec {
    timespec { tv_sec: (ns / 1_000_000_000).cast_signed(), tv_nsec: (ns % 1_000_000_000).cast_signed() }
}

/// Nanoseconds of the monotonic clock, as the library's sleeps count them: an interposer that fakes
/// the time has already converted the program's times.
pub fn now() -> u64 {
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable; the next clock_gettime usually needs no system call.
    unsafe { sync::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Nanoseconds of the wall clock.
pub fn wall_now() -> u64 {
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: as in `now`.
    unsafe { sync::clock_gettime(libc::CLOCK_REALTIME, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Milliseconds of the monotonic clock at its last tick, which is a few milliseconds old and costs
/// next to nothing.
pub fn coarse_ms() -> u64 {
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: as in `now`.
    unsafe { sync::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1000 + time.tv_nsec.cast_unsigned() / 1_000_000
}
