//! Signals and signalfds.

use std::ptr::null_mut;

use libc::{c_int, timespec};

use super::answer;
use crate::kernel::Answer;

/// Makes a signalfd for these signals, or sets the mask of an existing one.
pub fn signalfd(fd: c_int, signals: &[c_int]) -> Answer {
    let set = signal_set(signals);
    // SAFETY: the set is initialized.
    answer(unsafe { libc::signalfd(fd, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) })
}

fn signal_set(signals: &[c_int]) -> libc::sigset_t {
    // SAFETY: sigemptyset makes it a valid set.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for &signal in signals {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

/// Blocks the signals in this thread.
pub fn block_signals(signals: &[c_int]) {
    let set = signal_set(signals);
    // SAFETY: the set is initialized.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, null_mut()) };
}

/// Consumes the pending ones of these signals.
pub fn take_signals(signals: &[c_int]) {
    let set = signal_set(signals);
    let now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time are initialized, and the information is not requested.
    while unsafe { libc::sigtimedwait(&raw const set, null_mut(), &raw const now) } > 0 {}
}
