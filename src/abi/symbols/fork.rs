//! The ways to fork at which libc runs no handlers, and to part with what was shared.

use libc::c_int;

use super::export;
use crate::backend::switch;
use crate::graph::own_table;
use crate::life::process;
use crate::next;
use crate::user;

/// The first bytes of what clone3 takes, up to the stack.
const CLONE3_LEAST: usize = 64;
/// Which of its words are the flags and the stack.
const CLONE3_FLAGS: usize = 0;
const CLONE3_STACK: usize = 5;

/// A clone is a fork if it has memory of its own, and comes back on the caller's stack. One that shares the descriptors closes and duplicates
/// the parent's, so the graph is the parent's as well.
fn cloning(flags: u64, stack: u64, call: impl FnOnce() -> isize) -> isize {
    if flags & libc::CLONE_VM as u64 != 0 || stack != 0 {
        call()
    } else if flags & libc::CLONE_FILES as u64 != 0 {
        process::lending(call)
    } else {
        process::forking(call)
    }
}

/// A clone by number; `call` is the system call itself.
pub fn clone(flags: usize, stack: usize, call: impl FnOnce() -> isize) -> isize {
    cloning(flags as u64, stack as u64, call)
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
        Ok(words) => cloning(words[CLONE3_FLAGS], words[CLONE3_STACK], call),
        Err(_) => call(),
    }
}

export! {
    /// Gives the thread what it shared with others as its own: perhaps its descriptors.
    fn unshare(flags: c_int) -> c_int as libc::unshare {
        // SAFETY: as for libc's unshare.
        own_table::unshare(flags, switch::give_up_own, || unsafe { next::unshare(flags) })
    }

    /// Forks without the program's fork handlers, but not without ours.
    fn _Fork() -> c_int {
        // SAFETY: as for libc's _Fork.
        process::forking(|| unsafe { next::_Fork() } as isize) as c_int
    }
}
