//! Signals, and the descriptions that send them (O_ASYNC).

use libc::{c_int, signalfd_siginfo};
use nix::errno::Errno;
use syscalls::{Sysno, syscall};

use super::{KERNEL_SIGSET_BYTES, SigMask, errno, fcntl};
use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

const F_SETSIG: c_int = 10;
const F_SETOWN_EX: c_int = 15;
const F_GETOWN_EX: c_int = 16;
const F_OWNER_PID: c_int = 1;

/// The signals that the library takes for itself.
static OWN_SIGNALS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The signals that the program has blocked in this thread, of those that the library needs.
    static SEEN_BLOCKED: Cell<SigMask> = const { Cell::new(0) };
}

/// A signal in a mask; 0 for a number that is none.
pub const fn signal_bit(signal: c_int) -> SigMask {
    if 1 <= signal && signal <= 64 { 1 << (signal - 1) } else { 0 }
}

/// The signals that the library takes for itself, which every thread blocks.
#[inline]
pub fn own_signals() -> SigMask {
    OWN_SIGNALS.load(Relaxed)
}

/// Takes these signals for the library.
pub fn set_own_signals(mask: SigMask) {
    OWN_SIGNALS.store(mask, Relaxed);
}

/// The signals that the program has blocked in this thread, of those that the library needs: its
/// own ones, and SIGSYS.
pub fn seen_blocked() -> SigMask {
    SEEN_BLOCKED.get()
}

/// Records which of these signals the program has blocked in this thread.
pub fn set_seen_blocked(mask: SigMask) {
    SEEN_BLOCKED.set(mask);
}

/// Changes the signal mask of the calling thread, if there is a set, and returns the one before;
/// `how` as for sigprocmask(2).
pub fn change_signal_mask(how: c_int, set: Option<SigMask>) -> Result<SigMask, Errno> {
    let mut before: SigMask = 0;
    let set = set.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: both sets are eight bytes, as the size given says.
    unsafe { syscall!(Sysno::rt_sigprocmask, how, set, &raw mut before, KERNEL_SIGSET_BYTES) }
        .map(|_| before)
        .map_err(errno)
}

/// signalfd(2), for reads that do not wait.
pub fn signalfd(mask: SigMask) -> Result<c_int, Errno> {
    let flags = libc::SFD_NONBLOCK | libc::SFD_CLOEXEC;
    // SAFETY: the set is eight bytes, as the size given says.
    let made = unsafe { syscall!(Sysno::signalfd4, -1isize, &raw const mask, KERNEL_SIGSET_BYTES, flags) };
    made.map(|fd| fd as c_int).map_err(errno)
}

/// Changes the signals of a signalfd.
pub fn change_signalfd(fd: c_int, mask: SigMask) -> Result<(), Errno> {
    // SAFETY: the set is eight bytes, as the size given says.
    unsafe { syscall!(Sysno::signalfd4, fd, &raw const mask, KERNEL_SIGSET_BYTES, 0usize) }.map(drop).map_err(errno)
}

/// Takes pending signals from a signalfd. Returns their number, 0 if there are none.
pub fn take_signals(fd: c_int, signals: &mut [std::mem::MaybeUninit<signalfd_siginfo>]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes whole records into the array.
    let read = unsafe { syscall!(Sysno::read, fd, signals.as_mut_ptr(), size_of_val(signals)) }.map_err(errno);
    match read {
        Err(Errno::EAGAIN) => Ok(0),
        read => read.map(|bytes| bytes / size_of::<signalfd_siginfo>()),
    }
}

/// The process or group that gets the signals of a description; 0 if there is none.
pub fn signal_owner(fd: c_int) -> Result<c_int, Errno> {
    let mut owner = [0 as c_int; 2];
    fcntl(fd, F_GETOWN_EX, (&raw mut owner).addr())?;
    Ok(owner[1])
}

/// Makes a description send a signal to a process (0 for none).
pub fn set_signal_owner(fd: c_int, pid: c_int, signal: c_int) -> Result<(), Errno> {
    let owner = [F_OWNER_PID, pid];
    fcntl(fd, F_SETSIG, signal as usize)?;
    fcntl(fd, F_SETOWN_EX, (&raw const owner).addr()).map(drop)
}

/// Switches the signals of a description on or off: O_ASYNC, and no other flag.
pub fn set_async(fd: c_int, on: bool) -> Result<(), Errno> {
    let on = c_int::from(on);
    // SAFETY: the request reads an int.
    unsafe { syscall!(Sysno::ioctl, fd, libc::FIOASYNC, &raw const on) }.map(drop).map_err(errno)
}
