//! The effects of transfer calls on the descriptions they work on. The calls themselves are made by
//! the next definition of the symbol.
//!
//! On a description without edge-triggered registrations each of these is one load, and the call.

mod bells;
mod errors;
mod pipes;
mod reading;
mod sockets;
mod terminals;
mod writing;

use libc::c_int;
use nix::errno::Errno;

use crate::edge::Facts;
use crate::events::IN;
use crate::graph::file::File;
use crate::graph::lookup;
use crate::instance::naming;
use crate::kind::Kind;
use crate::probe::observe;
use crate::probe::sample;
use crate::sock_diag;
use crate::sys;

pub use bells::{registering, submitting};
pub use pipes::{keeping_packets, moving, resized_pipe, sending_file, splicing_memory};
pub use reading::{accepting, reading, reading_messages, reading_vector, receiving};
pub use sockets::{asking, connecting, listening, setting, shutting_down};
pub use terminals::{controlling, masking_signals};
pub use writing::{sending, writing, writing_vector};

/// The description under the number, if it has edge-triggered registrations.
#[inline]
fn watched(fd: c_int) -> Option<&'static File> {
    lookup::known(fd)
        .filter(|file| file.has_edges() || file.is_source() || (file.eventpoll().is_some() && naming::is_instance(fd)))
}

/// An epoll descriptor can be neither read nor written (C4), nor can a source, whatever stands
/// behind it here. `refused` is a call for sockets, of which neither is one.
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

/// A call that failed: it met a low level, or collected an error, or nothing worth telling.
fn refused(file: &'static File, fd: c_int, at: u32, low: Facts) {
    match sys::last_errno() {
        // The peer had no room, so this message's buffer was freed, which wakes.
        Errno::EAGAIN if low == Facts::NO_SPACE && file.kind() == Kind::UnixDgram && sample::has_room(fd) => {
            file.tell(Facts::NO_SPACE | Facts::SPACE_FREED, at)
        }
        Errno::EAGAIN if low == Facts::NO_SPACE => observe::refused_write(file, fd, at),
        Errno::EAGAIN => file.tell(low, at),
        Errno::EINTR | Errno::EFAULT | Errno::EINVAL | Errno::EBADF => {}
        // The message had its buffer already, which was freed: there is room, and that wakes.
        Errno::ENOTCONN | Errno::ECONNREFUSED | Errno::ECONNRESET | Errno::EPIPE
            if low == Facts::NO_SPACE && file.kind() == Kind::UnixDgram =>
        {
            // If this side is shut, the write was refused earlier, and without space the kernel
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

/// A description gets these flags.
#[inline]
pub fn set_flags(fd: c_int, flags: c_int) {
    if flags & libc::O_DIRECT != 0 && sys::fstat(fd).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFIFO) {
        keeping_packets(flags);
    }
    if let Some(tcp) = lookup::known(fd).and_then(File::tcp) {
        tcp.note_status_flags(flags);
    }
}

/// A call that puts a message into a queue of mq_open(3), or takes one out. Either wakes every
/// waiter; a call that fails may have met a low level.
#[inline]
pub fn queueing(fd: c_int, low: Facts, call: impl FnOnce() -> isize) -> isize {
    let Some(file) = watched(fd) else { return call() };
    let at = file.begin_call();
    let n = call();
    if n >= 0 {
        file.tell(Facts::WAKE_ALL, at);
    } else if matches!(sys::last_errno(), Errno::EAGAIN | Errno::ETIMEDOUT) {
        file.tell(low, at);
    }
    n
}

/// A timer that is set: an unread expiration is gone, as if it had been taken.
#[inline]
pub fn setting_timer(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return call() };
    let at = file.begin_call();
    let taking = file.begin_taking();
    let had_expired = sys::level(fd, IN) & IN != 0;
    let answer = call();
    if answer == 0 && had_expired {
        file.consume(1);
    }
    drop(taking);
    if answer == 0 {
        file.tell(if had_expired { Facts::READ_ALL } else { Facts::RECHECK }, at);
    }
    answer
}
