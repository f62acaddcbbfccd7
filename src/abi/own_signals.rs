//! Signal masks as the program sees them while the library needs signals for itself: SIGSYS stays
//! unblocked (`sigsys`), and those that descriptions send stay blocked (`backend/signals.rs`). What
//! the program sets for them is kept for each thread, and is what it reads back.

use libc::{SIG_BLOCK, SIG_DFL, SIG_UNBLOCK, SIGSYS, c_int, sighandler_t, sigset_t};
use nix::errno::Errno;

use crate::abi::sigsys;
use crate::backend::signals;
use crate::sys::{self, KERNEL_SIGSET_BYTES, SigMask};
use crate::uaccess;

/// The signals that are never blocked.
fn unblocked() -> SigMask {
    if sigsys::is_taken() { sys::signal_bit(SIGSYS) } else { 0 }
}

/// Whether the library needs any signal for itself.
#[inline]
pub fn are_any() -> bool {
    sigsys::is_taken() || sys::own_signals() != 0
}

/// Whether descriptions send a signal.
pub fn is_sent_by_descriptions(signal: c_int) -> bool {
    sys::own_signals() & sys::signal_bit(signal) != 0
}

/// A mask that the program sets, as the kernel may have it.
pub fn admit(mask: SigMask) -> SigMask {
    mask & !unblocked() | sys::own_signals()
}

/// Changes the mask of the thread, and returns the one before, both as the program sees them.
pub fn change_mask(how: c_int, set: Option<SigMask>) -> Result<SigMask, Errno> {
    let own = unblocked() | sys::own_signals();
    let admitted = set.map(|set| if how == SIG_UNBLOCK { set & !own } else { admit(set) });
    let others = sys::change_signal_mask(how, admitted)? & !own;
    let seen = sys::seen_blocked();
    if let Some(set) = set {
        let now = match how {
            SIG_BLOCK => seen | set & own,
            SIG_UNBLOCK => seen & !set,
            _ => set & own,
        };
        sys::set_seen_blocked(now);
        if seen & !now & sys::signal_bit(SIGSYS) != 0 {
            sigsys::unblocked();
        }
    }
    Ok(others | seen & own)
}

/// rt_sigprocmask as the system call, while the library needs signals. `never` are those that
/// nobody may change.
///
/// # Safety
/// As for rt_sigprocmask.
pub unsafe fn change_mask_at(
    how: c_int,
    set: *const SigMask,
    before: *mut SigMask,
    bytes: usize,
    never: SigMask,
) -> Result<(), Errno> {
    if bytes != KERNEL_SIGSET_BYTES {
        return Err(Errno::EINVAL);
    }
    // SAFETY: the caller answers for the addresses.
    unsafe {
        let set = if set.is_null() { None } else { Some(uaccess::read(set)? & !never) };
        let mask = change_mask(how, set)?;
        if before.is_null() { Ok(()) } else { uaccess::write(before, mask) }
    }
}

/// Blocks a signal or unblocks it; returns whether it was blocked, as the program sees it.
pub fn set_blocked(signal: c_int, is_blocked: bool) -> Result<bool, Errno> {
    let bit = match sys::signal_bit(signal) {
        0 => return Err(Errno::EINVAL),
        bit => bit,
    };
    change_mask(if is_blocked { SIG_BLOCK } else { SIG_UNBLOCK }, Some(bit)).map(|before| before & bit != 0)
}

/// Before the program sets the action of a signal that descriptions send. It may keep the default
/// one, which is the one that it sees; for any other one the library gives up the signal. True if
/// nothing is left to do.
pub fn keeps_default(signal: c_int, handler: Option<sighandler_t>) -> bool {
    if !is_sent_by_descriptions(signal) {
        return false;
    }
    let keeps = handler.is_none_or(|handler| handler == SIG_DFL);
    if !keeps {
        signals::give_up(signal);
    }
    keeps
}

/// The mask of a wait as the kernel may have it. Handlers that run meanwhile have to let SIGSYS in,
/// and the signals of descriptions must not end the wait.
#[derive(Clone, Copy, Debug)]
pub struct WaitMask {
    /// A copy, if it is needed.
    admitted: Option<SigMask>,
    original: *const sigset_t,
}

impl WaitMask {
    /// The mask at an address, which may be NULL.
    ///
    /// # Safety
    /// As for [`uaccess::read`].
    #[inline]
    pub unsafe fn of(original: *const sigset_t) -> WaitMask {
        let admitted = match are_any() {
            // SAFETY: the caller answers for the address.
            true => unsafe { uaccess::read(original.cast::<SigMask>()) }.ok().map(admit),
            false => None,
        };
        WaitMask { admitted, original }
    }

    /// Where it is, as long as this value is not moved.
    #[inline]
    pub fn address(&self) -> *const sigset_t {
        self.admitted.as_ref().map_or(self.original, |mask| std::ptr::from_ref(mask).cast())
    }
}
