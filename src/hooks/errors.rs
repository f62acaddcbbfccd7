//! Hooks of the calls that take from a socket's error queue (MSG_ERRQUEUE), and of the calls that
//! take a pending error while the queue may hold more.

use libc::c_int;
use nix::errno::Errno;

use super::not_for_ours;
use crate::edge::Facts;
use crate::events::ERR;
use crate::graph::file::File;
use crate::kind::Kind;
use crate::probe::sample::{self, ErrorMemory};
use crate::sys;

/// Whether a call with these flags takes from the error queue. A unix socket has none, and returns
/// data.
#[inline]
pub(super) fn takes_errors(file: &File, flags: c_int) -> bool {
    flags & libc::MSG_ERRQUEUE != 0 && !file.kind().is_unix_data()
}

/// Makes a call that takes from the error queue. If entries are left in it, the kernel wakes all
/// waiters once more.
#[cold]
pub(super) fn taking_errors(file: &'static File, fd: c_int, call: &mut dyn FnMut() -> isize) -> isize {
    if file.ops().is_some() {
        return not_for_ours(file, Some(call));
    }
    let at = file.begin_call();
    let before = sample::error_memory(fd);
    let n = call();
    if n < 0 {
        if sys::last_errno() == Errno::EAGAIN {
            file.tell(Facts::RECHECK, at);
        }
        return n;
    }
    if let (Some(before), Some(after)) = (before, sample::error_memory(fd)) {
        note_taken(file, before, after);
    }
    file.tell(if sys::level(fd, 0) & ERR != 0 { Facts::ERRQUEUE_LEFT } else { Facts::SO_ERROR_CLEARED }, at);
    n
}

/// Notes that the memory of the taken entry is free again. Notifications of zero-copy writes are
/// charged to other memory.
fn note_taken(file: &File, before: ErrorMemory, after: ErrorMemory) {
    let Some(counted) = file.by_memory() else { return };
    if after.received < before.received {
        counted.take_errors(Some(before.received - after.received));
    } else if after.optional >= before.optional {
        counted.take_errors(None);
    }
}

/// The fact to report after a call cleared a pending error. EPOLLERR stays while the error queue is
/// not empty.
pub(super) fn collected(file: &'static File, fd: c_int) -> Facts {
    let may_queue = file.kind().queues_errors() || matches!(file.kind(), Kind::Mptcp | Kind::Other);
    if may_queue && sys::level(fd, 0) & ERR != 0 && sample::queues_errors(fd) {
        Facts::RECHECK
    } else {
        Facts::SO_ERROR_CLEARED
    }
}
