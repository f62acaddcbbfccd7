//! The calls of libc that histories make, by libc's names: the library under test interposes them.

mod epoll;
mod files;
mod processes;
mod signals;
mod sockets;
mod tcp;
mod terminals;
mod transfers;

use libc::c_int;

pub use self::epoll::*;
pub use self::files::*;
pub use self::processes::*;
pub use self::signals::*;
pub use self::sockets::*;
pub use self::tcp::*;
pub use self::terminals::*;
pub use self::transfers::*;
use crate::kernel::Answer;

/// The result of a call, or errno.
pub type Outcome = Result<i64, i32>;

pub fn errno() -> i32 {
    // SAFETY: the thread's own errno.
    unsafe { *libc::__errno_location() }
}

fn outcome(value: isize) -> Outcome {
    if value < 0 { Err(errno()) } else { Ok(value as i64) }
}

fn answer(value: c_int) -> Answer {
    if value < 0 { Err(errno()) } else { Ok(value) }
}

/// Wraps a call without pointers.
macro_rules! plain {
    ($($(#[$meta:meta])* $name:ident($($arg:ident: $type:ty),*) = $call:expr;)*) => {
        $($(#[$meta])* pub fn $name($($arg: $type),*) -> Answer {
            // SAFETY: no pointers.
            answer(unsafe { $call })
        })*
    };
}

plain! {
    epoll_create1(flags: c_int) = libc::epoll_create1(flags);
    close(fd: c_int) = libc::close(fd);
    close_range(fd: c_int) = libc::close_range(fd.cast_unsigned(), fd.cast_unsigned(), 0);
    close_by_syscall(fd: c_int) = libc::syscall(libc::SYS_close, fd) as c_int;
    dup(fd: c_int) = libc::dup(fd);
    dup2(fd: c_int, new: c_int) = libc::dup2(fd, new);
    dup3(fd: c_int, new: c_int) = libc::dup3(fd, new, libc::O_CLOEXEC);
    dup_from(fd: c_int) = libc::fcntl(fd, libc::F_DUPFD, 3);
    dup_from_cloexec(fd: c_int) = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 5);
    shutdown(fd: c_int, how: c_int) = libc::shutdown(fd, how);
    listen(fd: c_int, backlog: c_int) = libc::listen(fd, backlog);
    socket(domain: c_int, kind: c_int, protocol: c_int) = libc::socket(domain, kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, protocol);
    eventfd(count: u32, flags: c_int) = libc::eventfd(count, flags | libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
    timerfd(clock: c_int) = libc::timerfd_create(clock, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC);
    inotify() = libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC);
    pipe_size(fd: c_int, size: c_int) = libc::fcntl(fd, libc::F_SETPIPE_SZ, size);
    queue_signal(signal: c_int) = libc::kill(libc::getpid(), signal);
    pseudo_terminal() = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC);
    unlock_terminal(fd: c_int) = match libc::grantpt(fd) { 0 => libc::unlockpt(fd), no => no };
}
