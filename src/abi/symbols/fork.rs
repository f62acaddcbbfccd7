//! Forks for which libc runs no handlers, and calls that end the sharing of descriptors.

use libc::c_int;

use super::export;
use super::raw_call::RawCall;
use crate::backend::switch;
use crate::graph::own_table;
use crate::life::process;
use crate::real;
use crate::see::{Observer, Watch};
use crate::uaccess;

/// The size of clone3's argument up to the stack.
const CLONE3_LEAST: usize = 64;
/// The indices of the flags and the stack among its words.
const CLONE3_FLAGS: usize = 0;
const CLONE3_STACK: usize = 5;

/// clone by number; `call` makes the actual call. It is a fork if the child has memory of its own, and returns on the caller's
/// stack. A child that shares the descriptors closes and duplicates the parent's, so the graph is
/// the parent's too.
pub(super) fn cloning(flags: u64, stack: u64, call: impl FnOnce() -> isize) -> isize {
    if flags & libc::CLONE_VM as u64 != 0 || stack != 0 {
        call()
    } else if flags & libc::CLONE_FILES as u64 != 0 {
        process::with_vfork_child(call)
    } else {
        process::forking(call)
    }
}

/// fork by number.
#[cfg(target_arch = "x86_64")]
pub(super) fn fork(call: &RawCall) -> isize {
    process::forking(|| call.make())
}

/// clone3 by number.
///
/// # Safety
/// As for clone3.
pub(super) unsafe fn clone3(arguments: usize, bytes: usize, call: impl FnOnce() -> isize) -> isize {
    if bytes < CLONE3_LEAST {
        return call();
    }
    // SAFETY: the caller answers for the address.
    match unsafe { uaccess::read(arguments as *const [u64; CLONE3_LEAST / 8]) } {
        Ok(words) => cloning(words[CLONE3_FLAGS], words[CLONE3_STACK], call),
        Err(_) => call(),
    }
}

/// unshare; `call` makes the actual call.
pub(super) fn unshare_any(flags: c_int, call: impl FnOnce() -> c_int) -> c_int {
    Watch::unsharing();
    own_table::unshare(flags, switch::give_up_own, call)
}

export! {
    /// Gives the thread its own copy of what it shared with others, which may be its descriptors.
    fn unshare(flags: c_int) -> c_int as libc::unshare {
        // SAFETY: as for libc's unshare.
        unshare_any(flags, || unsafe { real::unshare(flags) })
    }

    /// Forks without the program's fork handlers, but with the library's.
    fn _Fork() -> c_int {
        // SAFETY: as for libc's _Fork.
        process::forking(|| unsafe { real::_Fork() } as isize) as c_int
    }
}
