//! The seam between the library and an observer: what happens to the process and its numbers. The
//! calls of the program are seen by wrappers (`hooks/seen.rs`, `abi/seen.rs`), which the ordinary
//! library does not have at all.

use libc::c_int;

/// Writes the return addresses of the call that the thread is in, the innermost first; returns how
/// many, 0 if it is not in one.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // `raw` is for x86_64 alone.
pub type FindCallers = fn(&mut [u64]) -> usize;

/// An observer. The ordinary library's sees nothing and costs nothing.
pub trait Observer {
    /// The library has started, before the program can change its environment.
    #[inline(always)]
    fn started() {}

    /// A number is about to be closed, or replaced by dup2.
    #[inline(always)]
    fn closing(_fd: c_int) {}

    /// These numbers are about to be closed.
    #[inline(always)]
    fn closing_range(_first: u32, _last: u32) {}

    /// `to` names the same open file description as `from` now.
    #[inline(always)]
    fn duplicated(_from: c_int, _to: c_int) {}

    /// The bytes that a call on a stream moves at most, out of those that the program asks for.
    #[inline(always)]
    fn shortened(_fd: c_int, n: usize) -> usize {
        n
    }

    /// The calling thread ends.
    #[inline(always)]
    fn thread_ended() {}

    /// The process is about to fork.
    #[inline(always)]
    fn forking() {}

    /// The process is a forked child.
    #[inline(always)]
    fn born() {}

    /// The process is a forked child of which the observer has no true picture.
    #[inline(always)]
    fn lost() {}

    /// The calling thread is about to give up what it shares with other threads, or to enter other
    /// namespaces, which the kernel refuses to a process with threads.
    #[inline(always)]
    fn unsharing() {}

    /// The process is about to execute another program.
    #[inline(always)]
    fn executing() {}

    /// The process is about to end by a system call of its own.
    #[inline(always)]
    fn exiting() {}

    /// The calls of the program come from a stack that the unwinder does not see; this function finds
    /// who made the present one.
    #[inline(always)]
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // `raw` is for x86_64 alone.
    fn finds_callers_by(_find: FindCallers) {}
}

/// The observer of this build.
#[derive(Debug)]
pub struct Watch;

#[cfg(not(feature = "see"))]
impl Observer for Watch {}
