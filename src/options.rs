//! Settings from the environment: one table for reading and for the documentation.

use std::ffi::CStr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8};

/// A switch, off unless its variable is `1`.
#[derive(Debug)]
pub struct Switch {
    variable: &'static CStr,
    on: AtomicBool,
}

impl Switch {
    const fn new(variable: &'static CStr) -> Switch {
        Switch { variable, on: AtomicBool::new(false) }
    }

    /// Whether it is on.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }
}

/// Prints the counters on standard error when the process exits.
pub static COUNTERS: Switch = Switch::new(c"EPOLYFILL_COUNTERS");

/// Lets `io_uring_setup` through `syscall()` reach the kernel. Otherwise it answers ENOSYS, so that event loops which would send
/// their epoll control through a ring come to us.
pub static IO_URING: Switch = Switch::new(c"EPOLYFILL_IO_URING");

/// Lets the kernel copy to and from the program's structures, so that a bad address is EFAULT and not a fault.
pub static STRICT: Switch = Switch::new(c"EPOLYFILL_STRICT");

/// Every switch there is.
pub static ALL: [&Switch; 3] = [&COUNTERS, &IO_URING, &STRICT];

/// How readiness is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Poller {
    /// By a ring where it pays and the kernel has one, by poll elsewhere.
    Auto,
    /// By poll.
    Poll,
    /// By a ring wherever one will do.
    Uring,
}

/// Whether libc's names are the library's, so that it sees what the program does with its descriptors. Otherwise it stands beside the kernel's
/// epoll, and edges are known from what a ring tells, from levels and from counts only.
pub const INTERPOSES: bool = cfg!(feature = "interpose");

/// Unless somebody wishes otherwise.
const USUAL: Poller = if INTERPOSES { Poller::Poll } else { Poller::Uring };

static POLLER: AtomicU8 = AtomicU8::new(USUAL as u8);

/// How readiness is to be learnt.
pub fn poller() -> Poller {
    match POLLER.load(Relaxed) {
        0 => Poller::Auto,
        2 => Poller::Uring,
        _ => Poller::Poll,
    }
}

/// Another one, for the models.
#[cfg(test)]
pub fn set_poller(poller: Poller) {
    POLLER.store(poller as u8, Relaxed);
}

/// The names of the pollers.
const POLLERS: [(&CStr, Poller); 4] =
    [(c"", USUAL), (c"auto", Poller::Auto), (c"poll", Poller::Poll), (c"uring", Poller::Uring)];

/// Reads the environment. Once, at start-up, before the program can change it.
pub fn read() {
    for switch in ALL {
        // SAFETY: the name ends in NUL; at start-up nobody else changes the environment.
        let value = unsafe { libc::getenv(switch.variable.as_ptr()) };
        // SAFETY: a value that getenv found is NUL-terminated.
        switch.on.store(!value.is_null() && unsafe { CStr::from_ptr(value) } == c"1", Relaxed);
    }
    let poller = c"EPOLYFILL_POLLER";
    // SAFETY: as above.
    let value = unsafe { libc::getenv(poller.as_ptr()) };
    if value.is_null() {
        return;
    }
    // SAFETY: as above.
    let name = unsafe { CStr::from_ptr(value) };
    match POLLERS.iter().find(|(known, _)| *known == name) {
        Some((_, poller)) => POLLER.store(*poller as u8, Relaxed),
        None => crate::log::Line::<96>::new()
            .text("epolyfill: EPOLYFILL_POLLER is none of auto, poll, uring; poll it is\n")
            .to_stderr(),
    }
}
