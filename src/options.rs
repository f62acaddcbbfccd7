//! Settings from the environment: one table for reading and for the documentation.

use std::ffi::CStr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

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
    // SAFETY: as above.
    if !value.is_null() && ![c"poll", c"auto", c""].contains(&unsafe { CStr::from_ptr(value) }) {
        crate::log::Line::<96>::new()
            .text("epolyfill: EPOLYFILL_POLLER is none of auto, poll; auto it is\n")
            .to_stderr();
    }
}
