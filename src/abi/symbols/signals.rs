//! Signal masks and actions. Each name goes straight to libc, unless the library needs signals for
//! itself (`own_signals`): SIGSYS, which stays unblocked and whose action stays the library's
//! (`sigsys`), and those of descriptions, which stay blocked until the program handles one of them.
//!
//! libc's functions of masks and actions call each other by hidden names, so each has its own.

use libc::{SA_NODEFER, SA_RESETHAND, SA_RESTART, SIG_BLOCK, SIG_DFL, SIG_ERR, SIG_IGN, SIG_SETMASK, SIGSYS};
use libc::{c_int, c_uint, c_void, sigaction as libc_action, sighandler_t, sigset_t, size_t};

use super::raw_call::RawCall;
use super::{export, libc_answer};
use crate::abi::own_signals::{self, WaitMask};
use crate::abi::sigsys::{self, Action, KernelAction};
use crate::real;
use crate::sys::{self, KERNEL_SIGSET_BYTES, SigMask};
use crate::uaccess;

/// The signals that libc needs for itself, and lets nobody block.
const OF_LIBC: SigMask = 0b11 << 31;
/// System V's third action for a signal: to block it.
const SIG_HOLD: sighandler_t = 2;

/// sigprocmask while the library needs signals.
#[cold]
unsafe fn change_mask(how: c_int, set: *const sigset_t, before: *mut sigset_t) -> Result<(), nix::errno::Errno> {
    // SAFETY: the caller answers for the addresses, of sets whose first word is the kernel's mask.
    unsafe { own_signals::change_mask_at(how, set.cast(), before.cast(), KERNEL_SIGSET_BYTES, OF_LIBC) }
}

/// sigaction while the library needs signals.
#[cold]
unsafe fn set_action(signal: c_int, new: *const libc_action, old: *mut libc_action) -> c_int {
    // SAFETY: the caller answers for the addresses.
    unsafe {
        if own_signals::keeps_default(signal, new.as_ref().map(|new| new.sa_sigaction)) {
            if let Some(old) = old.as_mut() {
                *old = std::mem::zeroed();
            }
            return 0;
        }
        if !sigsys::is_taken() {
            return real::sigaction(signal, new, old);
        }
        let mut admitted = new.as_ref().copied();
        if signal == SIGSYS {
            let new = admitted.as_mut().map(|new| Action {
                handler: new.sa_sigaction,
                flags: new.sa_flags as c_uint as u64,
                mask: *sigsys::first_word(&mut new.sa_mask),
            });
            let before = sigsys::exchange_action(new);
            if let Some(old) = old.as_mut() {
                old.sa_sigaction = before.handler;
                old.sa_flags = before.flags as c_int;
                *sigsys::first_word(&mut old.sa_mask) = before.mask;
            }
            return 0;
        }
        let is_blocked = admitted.as_mut().map(|new| sigsys::take_out(&mut new.sa_mask));
        let address = admitted.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let result = real::sigaction(signal, address, old);
        if result == 0 {
            let was_blocked = sigsys::exchange_blocked_by(signal, is_blocked);
            if let Some(old) = old.as_mut() {
                sigsys::put_in(&mut old.sa_mask, was_blocked);
            }
        }
        result
    }
}

/// rt_sigaction by number.
///
/// # Safety
/// As for rt_sigaction.
pub(super) unsafe fn action_by_number(
    call: &RawCall,
    signal: c_int,
    new: *const KernelAction,
    old: *mut KernelAction,
    bytes: size_t,
) -> isize {
    if own_signals::is_sent_by_descriptions(signal) && bytes == KERNEL_SIGSET_BYTES {
        // SAFETY: the caller answers for the addresses.
        let handler = unsafe { uaccess::read(new) }.ok().map(|new| new.handler());
        if own_signals::keeps_default(signal, handler) {
            // SAFETY: as above.
            let told = if old.is_null() { Ok(()) } else { unsafe { uaccess::write(old, KernelAction::DEFAULT) } };
            return libc_answer(told.map(|()| 0)) as isize;
        }
    }
    if !sigsys::is_taken() {
        return call.make();
    }
    // SAFETY: as above.
    libc_answer(unsafe { sigsys::set_action_at(signal, new, old, bytes) }.map(|()| 0)) as isize
}

/// Whether a call is about SIGSYS, and the signal is taken.
fn concerns(signal: c_int) -> bool {
    sigsys::is_taken() && signal == SIGSYS
}

/// A call in the manner of signal(3), which `of_sigsys` answers for SIGSYS while it is taken.
#[inline]
fn set_by(
    signal: c_int,
    handler: sighandler_t,
    of_sigsys: fn(sighandler_t) -> sighandler_t,
    set: impl FnOnce() -> sighandler_t,
) -> sighandler_t {
    if concerns(signal) {
        of_sigsys(handler)
    } else if handler != SIG_ERR && own_signals::keeps_default(signal, Some(handler)) {
        SIG_DFL
    } else {
        set()
    }
}

/// signal(3) for SIGSYS while it is taken.
#[cold]
fn set_handler(handler: sighandler_t, flags: c_int, mask: SigMask) -> sighandler_t {
    if handler == SIG_ERR {
        sys::set_errno(nix::errno::Errno::EINVAL);
        return SIG_ERR;
    }
    sigsys::exchange_action(Some(Action { handler, flags: flags as c_uint as u64, mask })).handler
}

/// BSD's call, and the one of System V, by which SIGSYS is blocked no more when its handler begins.
#[cold]
fn set_handler_of_bsd(handler: sighandler_t) -> sighandler_t {
    set_handler(handler, SA_RESTART, 1 << (SIGSYS - 1))
}

#[cold]
fn set_handler_of_system_v(handler: sighandler_t) -> sighandler_t {
    set_handler(handler, SA_RESETHAND | SA_NODEFER, 0)
}

/// sigset(3) for a signal that the library needs.
#[cold]
fn set_disposition(signal: c_int, disposition: sighandler_t) -> sighandler_t {
    let before = match disposition {
        _ if !concerns(signal) => SIG_DFL,
        SIG_HOLD => sigsys::exchange_action(None).handler,
        handler => set_handler(handler, 0, 0),
    };
    if before == SIG_ERR {
        return SIG_ERR;
    }
    match own_signals::set_blocked(signal, disposition == SIG_HOLD) {
        Ok(true) => SIG_HOLD,
        _ => before,
    }
}

/// System V's calls that block one signal and unblock it, while the library needs signals.
#[cold]
fn hold(signal: c_int, is_blocked: bool) -> c_int {
    libc_answer(own_signals::set_blocked(signal, is_blocked).map(|_| 0))
}

/// BSD's calls on masks while the library needs signals.
#[cold]
fn change_bsd_mask(how: c_int, mask: c_int) -> c_int {
    own_signals::change_mask(how, Some(SigMask::from(mask as c_uint))).map_or(-1, |before| before as c_int)
}

/// BSD's mask of a wait, an int, as the kernel may have it.
fn bsd_wait_mask(mask: c_int) -> c_int {
    own_signals::admit(SigMask::from(mask as c_uint)) as c_int
}

export! {
    /// sigprocmask(2).
    fn sigprocmask(how: c_int, set: *const sigset_t, before: *mut sigset_t) -> c_int as libc::sigprocmask {
        // SAFETY: as for libc's sigprocmask.
        unsafe {
            if !own_signals::are_any() {
                return real::sigprocmask(how, set, before);
            }
            libc_answer(change_mask(how, set, before).map(|()| 0))
        }
    }

    /// pthread_sigmask(3), which returns the error.
    fn pthread_sigmask(how: c_int, set: *const sigset_t, before: *mut sigset_t) -> c_int as libc::pthread_sigmask {
        // SAFETY: as for libc's pthread_sigmask.
        unsafe {
            if !own_signals::are_any() {
                return real::pthread_sigmask(how, set, before);
            }
            change_mask(how, set, before).map_or_else(|errno| errno as c_int, |()| 0)
        }
    }

    /// The mask that a new thread begins with.
    fn pthread_attr_setsigmask_np(attributes: *mut c_void, set: *const sigset_t) -> c_int {
        // SAFETY: as for libc's function.
        unsafe {
            let mut admitted = match set.as_ref() {
                Some(set) if own_signals::are_any() => *set,
                _ => return real::pthread_attr_setsigmask_np(attributes, set),
            };
            let mask = sigsys::first_word(&mut admitted);
            *mask = own_signals::admit(*mask);
            real::pthread_attr_setsigmask_np(attributes, &raw const admitted)
        }
    }

    /// sigaction(2).
    fn sigaction(signal: c_int, new: *const libc_action, old: *mut libc_action) -> c_int as libc::sigaction {
        // SAFETY: as for libc's sigaction.
        unsafe {
            if !own_signals::are_any() {
                return real::sigaction(signal, new, old);
            }
            set_action(signal, new, old)
        }
    }

    /// libc's other name of sigaction.
    fn __sigaction(signal: c_int, new: *const libc_action, old: *mut libc_action) -> c_int {
        // SAFETY: as for libc's sigaction.
        unsafe { sigaction(signal, new, old) }
    }

    /// signal(2), as BSD has it.
    fn signal(signal: c_int, handler: sighandler_t) -> sighandler_t as libc::signal {
        // SAFETY: as for libc's signal.
        set_by(signal, handler, set_handler_of_bsd, || unsafe { real::signal(signal, handler) })
    }

    /// The same.
    fn bsd_signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        // SAFETY: as for libc's signal.
        set_by(signal, handler, set_handler_of_bsd, || unsafe { real::bsd_signal(signal, handler) })
    }

    /// The same.
    fn ssignal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        // SAFETY: as for libc's signal.
        set_by(signal, handler, set_handler_of_bsd, || unsafe { real::ssignal(signal, handler) })
    }

    /// signal(2), as System V has it.
    fn sysv_signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        // SAFETY: as for libc's signal.
        set_by(signal, handler, set_handler_of_system_v, || unsafe { real::sysv_signal(signal, handler) })
    }

    /// The same.
    fn __sysv_signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        // SAFETY: as for libc's signal.
        set_by(signal, handler, set_handler_of_system_v, || unsafe { real::__sysv_signal(signal, handler) })
    }

    /// sigset(3).
    fn sigset(signal: c_int, disposition: sighandler_t) -> sighandler_t {
        let keeps = |disposition| own_signals::keeps_default(signal, Some(disposition));
        if concerns(signal) || keeps(if disposition == SIG_HOLD { SIG_DFL } else { disposition }) {
            return set_disposition(signal, disposition);
        }
        // SAFETY: as for libc's sigset.
        unsafe { real::sigset(signal, disposition) }
    }

    /// sigignore(3).
    fn sigignore(signal: c_int) -> c_int {
        if !concerns(signal) {
            own_signals::keeps_default(signal, Some(SIG_IGN));
            // SAFETY: as for libc's sigignore.
            return unsafe { real::sigignore(signal) };
        }
        set_handler(SIG_IGN, 0, 0);
        0
    }

    /// siginterrupt(3).
    fn siginterrupt(signal: c_int, interrupts: c_int) -> c_int {
        if own_signals::keeps_default(signal, None) {
            return 0;
        }
        if !concerns(signal) {
            // SAFETY: as for libc's siginterrupt.
            return unsafe { real::siginterrupt(signal, interrupts) };
        }
        let Action { handler, flags, mask } = sigsys::exchange_action(None);
        let others = flags & !(SA_RESTART as u64);
        let flags = if interrupts != 0 { others } else { others | SA_RESTART as u64 };
        sigsys::exchange_action(Some(Action { handler, flags, mask }));
        0
    }

    /// sighold(3).
    fn sighold(signal: c_int) -> c_int {
        // SAFETY: as for libc's sighold.
        if own_signals::are_any() { hold(signal, true) } else { unsafe { real::sighold(signal) } }
    }

    /// sigrelse(3).
    fn sigrelse(signal: c_int) -> c_int {
        // SAFETY: as for libc's sigrelse.
        if own_signals::are_any() { hold(signal, false) } else { unsafe { real::sigrelse(signal) } }
    }

    /// sigblock(3).
    fn sigblock(mask: c_int) -> c_int {
        // SAFETY: as for libc's sigblock.
        if own_signals::are_any() { change_bsd_mask(SIG_BLOCK, mask) } else { unsafe { real::sigblock(mask) } }
    }

    /// sigsetmask(3).
    fn sigsetmask(mask: c_int) -> c_int {
        // SAFETY: as for libc's sigsetmask.
        if own_signals::are_any() { change_bsd_mask(SIG_SETMASK, mask) } else { unsafe { real::sigsetmask(mask) } }
    }

    /// siggetmask(3).
    fn siggetmask() -> c_int {
        // SAFETY: as for libc's siggetmask.
        if own_signals::are_any() { change_bsd_mask(SIG_BLOCK, 0) } else { unsafe { real::siggetmask() } }
    }

    /// sigsuspend(2).
    fn sigsuspend(mask: *const sigset_t) -> c_int {
        // SAFETY: as for libc's sigsuspend. The kernel reads the first word, and libc passes the
        // address on.
        unsafe { real::sigsuspend(WaitMask::of(mask).address()) }
    }

    /// libc's other name of sigsuspend.
    fn __sigsuspend(mask: *const sigset_t) -> c_int {
        // SAFETY: as for libc's sigsuspend.
        unsafe { sigsuspend(mask) }
    }

    /// sigpause(3), as BSD has it. That of X/Open (`__xpg_sigpause`) begins with the thread's mask.
    fn sigpause(mask: c_int) -> c_int {
        // SAFETY: as for libc's sigpause.
        unsafe { real::sigpause(bsd_wait_mask(mask)) }
    }

    /// Either of the two.
    fn __sigpause(signal_or_mask: c_int, is_signal: c_int) -> c_int {
        let argument = if is_signal == 0 { bsd_wait_mask(signal_or_mask) } else { signal_or_mask };
        // SAFETY: as for libc's __sigpause.
        unsafe { real::__sigpause(argument, is_signal) }
    }
}
