//! The descriptor of an instance: the read end of a pipe, never writable (C4), readable exactly when
//! a byte is in it (N1).

use libc::c_int;

use super::Eventpoll;
use crate::events::ERR;
use crate::graph::internal_fd::InternalFd;
use crate::graph::own_table;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sys;

impl Eventpoll {
    /// A number of its descriptor.
    pub fn number(&self) -> c_int {
        self.number.load(Relaxed)
    }

    /// Its descriptor is known by another number from now on.
    pub fn set_number(&self, epfd: c_int) {
        self.number.store(epfd, Relaxed);
    }

    /// Makes the descriptor readable by a byte in its pipe. Not where nobody has it any more: that would raise SIGPIPE, which ends programs,
    /// and where it is blocked wakes every signalfd. False if no byte was put there.
    pub fn show_readable(&self) -> bool {
        self.signal.with(|signal| {
            let may_write = !self.muted.load(SeqCst) && !own_table::is_apart();
            // The descriptor may have been closed behind our back.
            may_write && sys::level(signal, 0) & ERR == 0 && sys::write(signal, b"!").is_ok()
        })
    }

    /// The write end of its pipe.
    pub fn signal(&self) -> &InternalFd {
        &self.signal
    }
}
