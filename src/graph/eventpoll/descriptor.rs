//! The descriptor of an instance: the read end of a pipe, never writable (C4), and readable exactly
//! when a byte is in the pipe (N1).

use libc::{c_int, dev_t};

use super::Eventpoll;
use crate::events::ERR;
use crate::graph::file::File;
use crate::graph::own_table;
use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sys;

/// The device that pipes are on.
static PIPES: AtomicU64 = AtomicU64::new(0);

/// The device that pipes are on, once an instance has existed.
pub fn device_of_pipes() -> dev_t {
    PIPES.load(Relaxed)
}

impl Eventpoll {
    /// Records the inode of its pipe.
    pub fn remember_pipe(&self, file: &'static File, epfd: c_int) {
        if let Ok(stat) = sys::fstat(epfd) {
            file.mark((stat.st_dev, stat.st_ino));
            PIPES.store(stat.st_dev, Relaxed);
            self.inode.store(stat.st_ino, Relaxed);
        }
    }

    /// In a forked child, makes a new pipe under the same numbers, because the old one is shared
    /// with the parent.
    pub fn renew_pipe(&'static self) {
        let Ok([read_end, write_end]) = sys::pipe2(libc::O_NONBLOCK | libc::O_CLOEXEC) else { return };
        if let Some(file) = self.file() {
            file.replace_under_all_numbers(read_end);
            self.remember_pipe(file, read_end);
        }
        let _ = sys::close(read_end);
        self.signal.close();
        let _ = self.signal.adopt(write_end);
    }

    /// A number of its descriptor.
    pub fn number(&self) -> c_int {
        self.number.load(Relaxed)
    }

    /// Records another number of its descriptor.
    pub fn set_number(&self, epfd: c_int) {
        self.number.store(epfd, Relaxed);
    }

    /// Makes the descriptor readable by a byte in its pipe. Writes nothing if the read end is
    /// closed everywhere: that would raise SIGPIPE, which ends programs, and which, if it is
    /// blocked, wakes every signalfd. False if no byte was written.
    pub fn show_readable(&self) -> bool {
        self.signal.with(|signal| {
            let may_write = !self.muted.load(SeqCst) && !own_table::is_unshared();
            // The descriptor may have been closed by a call that the library did not see.
            may_write && sys::level(signal, 0) & ERR == 0 && sys::write(signal, b"!").is_ok()
        })
    }
}
