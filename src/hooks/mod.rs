//! The effects of transfer calls on their open file descriptions. The next definition of the symbol
//! makes the call itself.
//!
//! On a description without edge-triggered registrations each hook costs one load beyond the call.

mod aio_eventfds;
mod errors;
mod pipes;
mod queues;
mod reading;
#[cfg(feature = "see")]
mod seen;
mod signals;
mod sockets;
mod terminals;
mod writing;

use libc::c_int;
use nix::errno::Errno;

use crate::edge::Facts;
use crate::graph::file::File;
use crate::graph::lookup;
use crate::instance::naming;
use crate::kind::Kind;
use crate::probe::observe;
use crate::probe::sample;
use crate::sock_diag;
use crate::sys;

#[cfg(not(feature = "see"))]
use plain as hooks;
#[cfg(feature = "see")]
use seen as hooks;

pub use hooks::*;
pub use pipes::{keeping_packets, resized_pipe};
pub use signals::{controlling_by_ioctl, controlling_signals};

/// The hooks of calls. In libepolyfill-see.so each is recorded as a fact by `seen`.
#[cfg(not(feature = "see"))]
mod plain {
    pub use super::aio_eventfds::{registering, submitting};
    pub use super::pipes::{moving, sending_file, splicing_memory};
    pub use super::queues::{queueing, setting_timer};
    pub use super::reading::{accepting, reading, reading_messages, reading_vector, receiving};
    pub use super::sockets::{asking, connecting, listening, setting, shutting_down};
    pub use super::terminals::{controlling, masking_signals};
    pub use super::writing::{sending, writing, writing_vector};
}

/// The description under the number, if it has edge-triggered registrations.
#[inline]
fn watched(fd: c_int) -> Option<&'static File> {
    lookup::known(fd)
        .filter(|file| file.has_edges() || file.is_source() || (file.eventpoll().is_some() && naming::is_instance(fd)))
}

/// Refuses a call on an epoll descriptor or a source. Neither can be read or written (C4), although
/// the pipe or eventfd behind it can. `refused` is a call for sockets, which fails on the pipe.
#[cold]
fn not_for_ours(file: &File, refused: Option<&mut dyn FnMut() -> isize>) -> isize {
    match refused {
        Some(call) if file.eventpoll().is_some() => call(),
        _ => {
            sys::set_errno(Errno::EINVAL);
            -1
        }
    }
}

/// Reports the effects of a call that failed. It met a low level, or it cleared a pending error, or
/// it had no effect.
fn report_failure(file: &'static File, fd: c_int, at: u32, low: Facts) {
    match sys::last_errno() {
        // The peer's queue was full, so the kernel freed the buffer of this message, which wakes
        // the waiters.
        Errno::EAGAIN if low == Facts::NO_SPACE && file.kind() == Kind::UnixDgram && sample::has_room(fd) => {
            file.tell(Facts::NO_SPACE | Facts::SPACE_FREED, at)
        }
        Errno::EAGAIN if low == Facts::NO_SPACE => observe::refused_write(file, fd, at),
        Errno::EAGAIN => file.tell(low, at),
        Errno::EINTR | Errno::EFAULT | Errno::EINVAL | Errno::EBADF => {}
        // The kernel had allocated the buffer of the message, and freed it: there is space, and the
        // waiters are woken.
        Errno::ENOTCONN | Errno::ECONNREFUSED | Errno::ECONNRESET | Errno::EPIPE
            if low == Facts::NO_SPACE && file.kind() == Kind::UnixDgram =>
        {
            // If this side is shut down, the kernel refused the write before that. Without space it
            // wakes no waiter.
            let shut = !sample::has_room(fd) || sock_diag::shut_sides(fd).is_some_and(|sides| sides & 2 != 0);
            file.tell(if shut { Facts::RECHECK } else { Facts::SPACE_FREED | Facts::RECHECK }, at)
        }
        Errno::ECONNREFUSED
        | Errno::ECONNRESET
        | Errno::ETIMEDOUT
        | Errno::EHOSTUNREACH
        | Errno::ENETUNREACH
        | Errno::EHOSTDOWN => file.tell(errors::collected(file, fd), at),
        _ => file.tell(Facts::RECHECK, at),
    }
}

/// Notes that a description gets these flags.
#[inline]
pub fn set_flags(fd: c_int, flags: c_int) {
    if flags & libc::O_DIRECT != 0 && sys::fstat(fd).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFIFO) {
        keeping_packets(flags);
    }
    if let Some(tcp) = lookup::known(fd).and_then(File::tcp) {
        tcp.note_status_flags(flags);
    }
}
