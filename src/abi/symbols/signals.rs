//! Signal masks and actions. Each name goes straight to libc, unless the library needs SIGSYS for
//! itself (`sigsys`): then the signal stays unblocked, and its action stays the library's.
//!
//! libc's functions of masks and actions call each other by hidden names, so each has its own.

use libc::{SA_NODEFER, SA_RESETHAND, SA_RESTART, SIG_BLOCK, SIG_ERR, SIG_IGN, SIG_SETMASK, SIGSYS};
use libc::{c_int, c_uint, c_void, sigaction as libc_action, sighandler_t, sigset_t};

use super::export;
use crate::abi::sigsys::{self, Action, WaitMask};
use crate::real;
use crate::sys::{self, KERNEL_SIGSET_BYTES, SigMask};

/// The signals that libc needs for itself, and lets nobody block.
const OF_LIBC: SigMask = 0b11 << 31;
/// System V's third action for a signal: to block it.
const SIG_HOLD: sighandler_t = 2;
/// SIGSYS in BSD's masks, which are ints.
const BSD_BIT: c_int = 1 << (SIGSYS - 1);

/// sigprocmask while SIGSYS is taken.
#[cold]
unsafe fn change_mask(how: c_int, set: *const sigset_t, before: *mut sigset_t) -> Result<(), nix::errno::Errno> {
    // SAFETY: the caller answers for the addresses, of sets whose first word is the kernel's mask.
    unsafe { sigsys::change_mask_at(how, set.cast(), before.cast(), KERNEL_SIGSET_BYTES, OF_LIBC) }
}

/// sigaction while SIGSYS is taken.
#[cold]
unsafe fn set_action(signal: c_int, new: *const libc_action, old: *mut libc_action) -> c_int {
    // SAFETY: the caller answers for the addresses.
    unsafe {
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

/// Whether a call is about SIGSYS, and the signal is taken.
fn concerns(signal: c_int) -> bool {
    sigsys::is_taken() && signal == SIGSYS
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

/// sigset(3) for SIGSYS while it is taken.
#[cold]
fn set_disposition(disposition: sighandler_t) -> sighandler_t {
    let was_blocked = sigsys::is_blocked();
    let before = match disposition {
        SIG_HOLD => sigsys::exchange_action(None).handler,
        handler => set_handler(handler, 0, 0),
    };
    if before == SIG_ERR {
        return SIG_ERR;
    }
    sigsys::set_blocked(disposition == SIG_HOLD);
    if was_blocked { SIG_HOLD } else { before }
}

/// BSD's calls on masks while SIGSYS is taken.
#[cold]
fn change_bsd_mask(how: c_int, mask: c_int) -> c_int {
    sigsys::change_mask(how, Some(SigMask::from(mask as c_uint))).map_or(-1, |before| before as c_int)
}

export! {
    /// sigprocmask(2).
    fn sigprocmask(how: c_int, set: *const sigset_t, before: *mut sigset_t) -> c_int as libc::sigprocmask {
        // SAFETY: as for libc's sigprocmask.
        unsafe {
            if !sigsys::is_taken() {
                return real::sigprocmask(how, set, before);
            }
            super::libc_answer(change_mask(how, set, before).map(|()| 0))
        }
    }

    /// pthread_sigmask(3), which returns the error.
    fn pthread_sigmask(how: c_int, set: *const sigset_t, before: *mut sigset_t) -> c_int as libc::pthread_sigmask {
        // SAFETY: as for libc's pthread_sigmask.
        unsafe {
            if !sigsys::is_taken() {
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
                Some(set) if sigsys::is_taken() => *set,
                _ => return real::pthread_attr_setsigmask_np(attributes, set),
            };
            sigsys::take_out(&mut admitted);
            real::pthread_attr_setsigmask_np(attributes, &raw const admitted)
        }
    }

    /// sigaction(2).
    fn sigaction(signal: c_int, new: *const libc_action, old: *mut libc_action) -> c_int as libc::sigaction {
        // SAFETY: as for libc's sigaction.
        unsafe {
            if !sigsys::is_taken() {
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
        if concerns(signal) { set_handler_of_bsd(handler) } else { unsafe { real::signal(signal, handler) } }
    }

    /// The same.
    fn bsd_signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        // SAFETY: as for libc's signal.
        if concerns(signal) { set_handler_of_bsd(handler) } else { unsafe { real::bsd_signal(signal, handler) } }
    }

    /// The same.
    fn ssignal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        // SAFETY: as for libc's signal.
        if concerns(signal) { set_handler_of_bsd(handler) } else { unsafe { real::ssignal(signal, handler) } }
    }

    /// signal(2), as System V has it.
    fn sysv_signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        // SAFETY: as for libc's signal.
        if concerns(signal) { set_handler_of_system_v(handler) } else { unsafe { real::sysv_signal(signal, handler) } }
    }

    /// The same.
    fn __sysv_signal(signal: c_int, handler: sighandler_t) -> sighandler_t {
        // SAFETY: as for libc's signal.
        if concerns(signal) { set_handler_of_system_v(handler) } else { unsafe { real::__sysv_signal(signal, handler) } }
    }

    /// sigset(3).
    fn sigset(signal: c_int, disposition: sighandler_t) -> sighandler_t {
        // SAFETY: as for libc's sigset.
        if concerns(signal) { set_disposition(disposition) } else { unsafe { real::sigset(signal, disposition) } }
    }

    /// sigignore(3).
    fn sigignore(signal: c_int) -> c_int {
        if !concerns(signal) {
            // SAFETY: as for libc's sigignore.
            return unsafe { real::sigignore(signal) };
        }
        set_handler(SIG_IGN, 0, 0);
        0
    }

    /// siginterrupt(3).
    fn siginterrupt(signal: c_int, interrupts: c_int) -> c_int {
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
        if !concerns(signal) {
            // SAFETY: as for libc's sighold.
            return unsafe { real::sighold(signal) };
        }
        sigsys::set_blocked(true);
        0
    }

    /// sigrelse(3).
    fn sigrelse(signal: c_int) -> c_int {
        if !concerns(signal) {
            // SAFETY: as for libc's sigrelse.
            return unsafe { real::sigrelse(signal) };
        }
        sigsys::set_blocked(false);
        0
    }

    /// sigblock(3).
    fn sigblock(mask: c_int) -> c_int {
        // SAFETY: as for libc's sigblock.
        if sigsys::is_taken() { change_bsd_mask(SIG_BLOCK, mask) } else { unsafe { real::sigblock(mask) } }
    }

    /// sigsetmask(3).
    fn sigsetmask(mask: c_int) -> c_int {
        // SAFETY: as for libc's sigsetmask.
        if sigsys::is_taken() { change_bsd_mask(SIG_SETMASK, mask) } else { unsafe { real::sigsetmask(mask) } }
    }

    /// siggetmask(3).
    fn siggetmask() -> c_int {
        // SAFETY: as for libc's siggetmask.
        if sigsys::is_taken() { change_bsd_mask(SIG_BLOCK, 0) } else { unsafe { real::siggetmask() } }
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
        unsafe { real::sigpause(if sigsys::is_taken() { mask & !BSD_BIT } else { mask }) }
    }

    /// Either of the two.
    fn __sigpause(signal_or_mask: c_int, is_signal: c_int) -> c_int {
        let is_mask = sigsys::is_taken() && is_signal == 0;
        let argument = if is_mask { signal_or_mask & !BSD_BIT } else { signal_or_mask };
        // SAFETY: as for libc's __sigpause.
        unsafe { real::__sigpause(argument, is_signal) }
    }
}
