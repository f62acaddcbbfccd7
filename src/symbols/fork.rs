//! The ways to fork at which libc runs no handlers.

use libc::c_int;

use super::export;
use crate::next;
use crate::process;
use crate::user;

/// The first bytes of what clone3 takes, up to the stack.
const CLONE3_LEAST: usize = 64;
/// Which of its words are the flags and the stack.
const CLONE3_FLAGS: usize = 0;
const CLONE3_STACK: usize = 5;

/// Whether a clone is a fork: with memory of its own, and on the caller's stack, to which it comes back.
fn forks(flags: u64, stack: u64) -> bool {
    flags & libc::CLONE_VM as u64 == 0 && stack == 0
}

/// A clone by number; `call` is the system call itself.
pub fn clone(flags: usize, stack: usize, call: impl FnOnce() -> isize) -> isize {
    if forks(flags as u64, stack as u64) { process::forking(call) } else { call() }
}

/// A clone3 by number.
///
/// # Safety
/// As for clone3.
pub unsafe fn clone3(arguments: usize, bytes: usize, call: impl FnOnce() -> isize) -> isize {
    if bytes < CLONE3_LEAST {
        return call();
    }
    // SAFETY: the caller answers for the address.
    match unsafe { user::read(arguments as *const [u64; CLONE3_LEAST / 8]) } {
        Ok(words) if forks(words[CLONE3_FLAGS], words[CLONE3_STACK]) => process::forking(call),
        _ => call(),
    }
}

export! {
    /// Forks without the program's fork handlers, but not without ours.
    fn _Fork() -> c_int {
        // SAFETY: as for libc's _Fork.
        process::forking(|| unsafe { next::_Fork() } as isize) as c_int
    }
}
