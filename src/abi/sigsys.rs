//! SIGSYS as the program sees it while the library needs the signal for itself.
//!
//! A call that a seccomp filter traps raises SIGSYS in the calling thread (`raw::trap`). The kernel
//! ends a process in which the signal is blocked or ignored then. So the library takes the signal:
//! it stays unblocked in every thread and in every signal handler, and its action is the library's.
//! What the program sets for SIGSYS is kept here, and is what it reads back.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use libc::{SA_RESETHAND, SIG_DFL, SIG_IGN, SIGSYS, c_int, sighandler_t, siginfo_t, sigset_t, ucontext_t};
use nix::errno::Errno;
use syscalls::{Sysno, syscall};

use crate::sys::{self, KERNEL_SIGSET_BYTES, SigMask};
use crate::uaccess;

/// SIGSYS in a mask.
const BIT: SigMask = sys::signal_bit(SIGSYS);
/// What nobody can block.
const NEVER_BLOCKED: SigMask = 1 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1);

/// Whether the library needs the signal. It is decided before the program runs.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The program's action. Two threads that set it at the same time may mix its parts.
static HANDLER: AtomicUsize = AtomicUsize::new(SIG_DFL);
static FLAGS: AtomicU64 = AtomicU64::new(0);
static MASK: AtomicU64 = AtomicU64::new(0);

/// The signals during whose handlers the program wants SIGSYS blocked, as a mask.
static BLOCKED_BY: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether the thread was sent the signal while the program had it blocked.
    static IS_PENDING: Cell<bool> = const { Cell::new(false) };
}

/// Whether the library needs the signal for itself.
#[inline]
pub fn is_taken() -> bool {
    IS_TAKEN.load(Relaxed)
}

/// An action of the program's for the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// The handler, SIG_DFL or SIG_IGN.
    pub handler: sighandler_t,
    /// The SA_ flags.
    pub flags: u64,
    /// The signals that are blocked while the handler runs.
    pub mask: SigMask,
}

/// The kernel's structure of an action.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct KernelAction {
    handler: sighandler_t,
    flags: u64,
    restorer: usize,
    mask: SigMask,
}

impl KernelAction {
    /// The action that every signal begins with.
    pub const DEFAULT: KernelAction = KernelAction { handler: SIG_DFL, flags: 0, restorer: 0, mask: 0 };

    /// The handler, SIG_DFL or SIG_IGN.
    pub fn handler(&self) -> sighandler_t {
        self.handler
    }
}

/// Takes the signal: every handler that is there already lets it in, and so does the calling thread.
///
/// # Safety
/// The process must have one thread, and the library's action must be in place.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // `raw` is for x86_64 alone.
pub unsafe fn take(before: Action) {
    exchange_action(Some(before));
    for signal in (1..=64).filter(|signal| *signal != SIGSYS) {
        let mut action = KernelAction::DEFAULT;
        // SAFETY: the structures are the kernel's.
        unsafe {
            let read = real_action(signal, None, Some(&mut action));
            if read.is_ok() && action.mask & BIT != 0 {
                BLOCKED_BY.fetch_or(sys::signal_bit(signal), Relaxed);
                let _ = real_action(signal, Some(&KernelAction { mask: action.mask & !BIT, ..action }), None);
            }
        }
    }
    IS_TAKEN.store(true, Relaxed);
    let mask = sys::change_signal_mask(libc::SIG_UNBLOCK, Some(BIT)).unwrap_or(0);
    sys::set_seen_blocked(mask & BIT);
}

/// Undoes [`take`], whose use did not come: the handlers and the calling thread block the signal
/// again that did before. The action is the caller's to restore.
///
/// # Safety
/// As for `take`, and nothing of the program may have run since.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // `raw` is for x86_64 alone.
pub unsafe fn give_back() {
    let blocked_by = BLOCKED_BY.swap(0, Relaxed);
    for signal in (1..=64).filter(|signal| blocked_by & sys::signal_bit(*signal) != 0) {
        let mut action = KernelAction::DEFAULT;
        // SAFETY: the structures are the kernel's.
        unsafe {
            if real_action(signal, None, Some(&mut action)).is_ok() {
                let _ = real_action(signal, Some(&KernelAction { mask: action.mask | BIT, ..action }), None);
            }
        }
    }
    IS_TAKEN.store(false, Relaxed);
    if is_blocked() {
        sys::set_seen_blocked(sys::seen_blocked() & !BIT);
        let _ = sys::change_signal_mask(libc::SIG_BLOCK, Some(BIT));
    }
}

/// Sets the program's action, and returns the one before.
pub fn exchange_action(new: Option<Action>) -> Action {
    let before = Action { handler: HANDLER.load(Relaxed), flags: FLAGS.load(Relaxed), mask: MASK.load(Relaxed) };
    if let Some(Action { handler, flags, mask }) = new {
        HANDLER.store(handler, Relaxed);
        FLAGS.store(flags, Relaxed);
        MASK.store(mask & !NEVER_BLOCKED, Relaxed);
    }
    before
}

/// Whether the program has blocked the signal in this thread.
fn is_blocked() -> bool {
    sys::seen_blocked() & BIT != 0
}

/// The program blocks the signal no more in this thread. One that was sent meanwhile comes now.
pub fn unblocked() {
    if IS_PENDING.take() {
        raise();
    }
}

/// Notes whether the program wants SIGSYS blocked during the handlers of another signal; returns
/// whether it wanted that before.
pub fn exchange_blocked_by(signal: c_int, is_blocked: Option<bool>) -> bool {
    let bit = sys::signal_bit(signal);
    let before = match is_blocked {
        Some(true) => BLOCKED_BY.fetch_or(bit, Relaxed),
        Some(false) => BLOCKED_BY.fetch_and(!bit, Relaxed),
        None => BLOCKED_BY.load(Relaxed),
    };
    before & bit != 0
}

/// rt_sigaction as the system call, while the signal is taken.
///
/// # Safety
/// As for rt_sigaction.
pub unsafe fn set_action_at(
    signal: c_int,
    new: *const KernelAction,
    old: *mut KernelAction,
    bytes: usize,
) -> Result<(), Errno> {
    if bytes != KERNEL_SIGSET_BYTES {
        return Err(Errno::EINVAL);
    }
    // SAFETY: the caller answers for the addresses.
    unsafe {
        let new = if new.is_null() { None } else { Some(uaccess::read(new)?) };
        let before = if signal == SIGSYS {
            let new = new.map(|KernelAction { handler, flags, mask, .. }| Action { handler, flags, mask });
            let Action { handler, flags, mask } = exchange_action(new);
            KernelAction { handler, flags, restorer: 0, mask }
        } else {
            let mut before = KernelAction::DEFAULT;
            let admitted = new.map(|new| KernelAction { mask: new.mask & !BIT, ..new });
            real_action(signal, admitted.as_ref(), Some(&mut before))?;
            let is_blocked = exchange_blocked_by(signal, new.map(|new| new.mask & BIT != 0));
            KernelAction { mask: before.mask | if is_blocked { BIT } else { 0 }, ..before }
        };
        if old.is_null() { Ok(()) } else { uaccess::write(old, before) }
    }
}

/// Takes SIGSYS out of a set of libc's, whose first word is the kernel's mask; returns whether it
/// was in it.
pub fn take_out(set: &mut sigset_t) -> bool {
    let word = first_word(set);
    let was_in = *word & BIT != 0;
    *word &= !BIT;
    was_in
}

/// Puts SIGSYS into a set of libc's, if `is_in` says so.
pub fn put_in(set: &mut sigset_t, is_in: bool) {
    if is_in {
        *first_word(set) |= BIT;
    }
}

/// The kernel's mask in a set of libc's.
pub fn first_word(set: &mut sigset_t) -> &mut SigMask {
    // SAFETY: a set of libc's is an array of words, of which the kernel's mask is the first.
    unsafe { &mut *std::ptr::from_mut(set).cast() }
}

/// Does with a SIGSYS that is none of the library's own what the program's action asks for. Called
/// by the library's handler, with all signals blocked.
///
/// # Safety
/// The structures must be those of the handler.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // `raw` is for x86_64 alone.
pub unsafe fn deliver(info: *mut siginfo_t, context: &mut ucontext_t) {
    // SAFETY: the kernel's structure.
    let is_forced = unsafe { (*info).si_code } > 0;
    if is_blocked() && !is_forced {
        IS_PENDING.set(true);
        return;
    }
    let Action { handler, flags, mask } = exchange_action(None);
    match handler {
        SIG_IGN if !is_forced => return,
        // As the kernel does with a signal that cannot be delivered.
        _ if handler == SIG_DFL || handler == SIG_IGN || is_blocked() => {
            // SAFETY: the structure is the kernel's.
            let _ = unsafe { real_action(SIGSYS, Some(&KernelAction::DEFAULT), None) };
            raise();
            return;
        }
        _ => {}
    }
    if flags & SA_RESETHAND as u32 as u64 != 0 {
        HANDLER.store(SIG_DFL, Relaxed);
    }
    let inside = *first_word(&mut context.uc_sigmask) | mask;
    sys::swap_signal_mask(inside & !BIT);
    // SAFETY: the program's handler. One without SA_SIGINFO takes the first argument alone.
    unsafe {
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = std::mem::transmute(handler);
        handler(SIGSYS, info, std::ptr::from_mut(context).cast());
    }
    sys::swap_signal_mask(SigMask::MAX);
    take_out(&mut context.uc_sigmask);
}

/// Sends the signal to the calling thread.
fn raise() {
    let (process, thread) = (sys::getpid(), sys::gettid());
    // SAFETY: plain numbers.
    let _ = unsafe { syscall!(Sysno::tgkill, process, thread, SIGSYS) };
}

/// # Safety
/// The new action must be one that the program or libc has made.
unsafe fn real_action(signal: c_int, new: Option<&KernelAction>, old: Option<&mut KernelAction>) -> Result<(), Errno> {
    let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
    let old = old.map_or(std::ptr::null_mut(), std::ptr::from_mut);
    // SAFETY: the structures are the kernel's; the caller answers for the action.
    unsafe { syscall!(Sysno::rt_sigaction, signal, new, old, KERNEL_SIGSET_BYTES) }
        .map(drop)
        .map_err(|errno| Errno::from_raw(errno.into_raw()))
}
