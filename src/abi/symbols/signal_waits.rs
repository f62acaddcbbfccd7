//! The calls that take signals, which leave the library's own to it (`backend/signals.rs`).

use libc::{c_int, siginfo_t, sigset_t, timespec};

use super::export;
use crate::real;
use crate::sys::{self, SigMask};
use crate::uaccess;

/// Makes a call with the address of a set without the library's signals.
///
/// # Safety
/// `set` must be NULL, outside user space, or readable; the kernel's mask is at its beginning.
#[inline]
pub(super) unsafe fn without_own<T>(set: *const sigset_t, call: impl FnOnce(*const sigset_t) -> T) -> T {
    let own = sys::own_signals();
    // SAFETY: the caller answers for the address.
    let wanted = if own == 0 { Ok(0) } else { unsafe { uaccess::read(set.cast::<SigMask>()) } };
    match wanted {
        Ok(wanted) if wanted & own != 0 => {
            // SAFETY: zeroes are an empty set, which begins with the kernel's mask.
            let mut others: sigset_t = unsafe { std::mem::zeroed() };
            // SAFETY: as above.
            unsafe { (&raw mut others).cast::<SigMask>().write_unaligned(wanted & !own) };
            call(&raw const others)
        }
        _ => call(set),
    }
}

/// Takes the library's signals out of the set that a successful call has written.
///
/// # Safety
/// As for the call.
pub(super) unsafe fn hide_own(set: *mut sigset_t, answer: c_int) -> c_int {
    let own = sys::own_signals();
    if answer == 0 && own != 0 {
        let mask = set.cast::<SigMask>();
        // SAFETY: the kernel has written it.
        unsafe { mask.write_unaligned(mask.read_unaligned() & !own) };
    }
    answer
}

export! {
    /// sigwait(3), which returns an errno.
    fn sigwait(set: *const sigset_t, signal: *mut c_int) -> c_int as libc::sigwait {
        // SAFETY: as for libc's sigwait.
        unsafe { without_own(set, |set| real::sigwait(set, signal)) }
    }

    /// sigwaitinfo(2).
    fn sigwaitinfo(set: *const sigset_t, info: *mut siginfo_t) -> c_int {
        // SAFETY: as for libc's sigwaitinfo.
        unsafe { without_own(set, |set| real::sigwaitinfo(set, info)) }
    }

    /// sigtimedwait(2).
    fn sigtimedwait(set: *const sigset_t, info: *mut siginfo_t, limit: *const timespec) -> c_int {
        // SAFETY: as for libc's sigtimedwait.
        unsafe { without_own(set, |set| real::sigtimedwait(set, info, limit)) }
    }

    /// sigpending(2).
    fn sigpending(set: *mut sigset_t) -> c_int as libc::sigpending {
        // SAFETY: as for libc's sigpending.
        unsafe { hide_own(set, real::sigpending(set)) }
    }
}
