//! Forks for which libc runs no handlers, and calls that end the sharing of descriptors.

use libc::c_int;

use super::export;
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

/// Whether a clone's child runs on another stack, or on the parent's in shared memory. Then nothing
/// of the library may be on the stack when it begins.
fn leaves(flags: u64, stack: u64) -> bool {
    flags & libc::CLONE_VM as u64 != 0 || stack != 0
}

/// Whether a clone or vfork by number must be made in the frame of its caller, or fails.
///
/// # Safety
/// As for the call.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe extern "C" fn leaves_the_frame(number: libc::c_long, a: usize, b: usize) -> c_int {
    let leaves = match number {
        libc::SYS_clone => leaves(a as u64, b as u64),
        libc::SYS_clone3 => {
            // SAFETY: the caller answers for the address.
            let words = unsafe { clone3_words(a, b) };
            words.is_none_or(|words| leaves(words[CLONE3_FLAGS], words[CLONE3_STACK]))
        }
        _ => true,
    };
    leaves.into()
}

/// clone by number; `call` makes the actual call. It is a fork if the child has memory of its own,
/// and returns on the caller's stack. A child that shares the descriptors closes and duplicates the
/// parent's, so the graph is the parent's too.
pub(super) fn cloning(flags: u64, stack: u64, call: impl FnOnce() -> isize) -> isize {
    if leaves(flags, stack) {
        call()
    } else if flags & libc::CLONE_FILES as u64 != 0 {
        process::with_vfork_child(call)
    } else {
        process::forking(call)
    }
}

/// fork by number.
#[cfg(target_arch = "x86_64")]
pub(super) fn fork(call: &super::raw_call::RawCall) -> isize {
    process::forking(|| call.make())
}

/// clone3 by number.
///
/// # Safety
/// As for clone3.
pub(super) unsafe fn clone3(arguments: usize, bytes: usize, call: impl FnOnce() -> isize) -> isize {
    // SAFETY: the caller answers for the address.
    match unsafe { clone3_words(arguments, bytes) } {
        Some(words) => cloning(words[CLONE3_FLAGS], words[CLONE3_STACK], call),
        None => call(),
    }
}

/// The first words of clone3's argument; `None` if the kernel would refuse it.
unsafe fn clone3_words(arguments: usize, bytes: usize) -> Option<[u64; CLONE3_LEAST / 8]> {
    if bytes < CLONE3_LEAST {
        return None;
    }
    // SAFETY: the caller answers for the address.
    unsafe { uaccess::read(arguments as *const [u64; CLONE3_LEAST / 8]) }.ok()
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
