//! The descriptor that wakes a thread in poll.

use libc::c_int;
use nix::errno::Errno;
use syscalls::{Sysno, syscall};

use super::{close, errno, eventfd, pipe2};

/// A descriptor that a write of eight bytes makes readable and a read unreadable, non-blocking and
/// close-on-exec: an eventfd, or a self-pipe where the kernel has no eventfd, or refuses it. A
/// self-pipe holds what each write added, an eventfd the sum.
pub fn wakeup() -> Result<c_int, Errno> {
    eventfd().or_else(|refused| match refused {
        Errno::ENOSYS | Errno::EPERM => self_pipe().map_err(|_| refused),
        _ => Err(refused),
    })
}

/// A pipe whose ends are one descriptor. It takes two more numbers for a moment, and `/proc`.
fn self_pipe() -> Result<c_int, Errno> {
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
    let ends = pipe2(flags)?;
    let mut path = crate::log::Line::<40>::new();
    path.text("/proc/thread-self/fd/").number(i64::from(ends[0])).text("\0");
    // SAFETY: the path ends in NUL.
    let both = unsafe { syscall!(Sysno::openat, libc::AT_FDCWD, path.as_bytes().as_ptr(), libc::O_RDWR | flags) };
    for end in ends {
        let _ = close(end);
    }
    both.map(|fd| fd as c_int).map_err(errno)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys;

    #[test]
    fn an_eventfd_and_a_self_pipe_are_readable_from_a_write_to_a_read() {
        for fd in [eventfd(), self_pipe()].map(|fd| fd.expect("a descriptor")) {
            let is_readable = || sys::level(fd, crate::events::IN) & crate::events::IN != 0;
            assert!(!is_readable());
            for writes in [1, 3] {
                for _ in 0..writes {
                    assert_eq!(sys::write(fd, &1_u64.to_ne_bytes()), Ok(8));
                }
                assert!(is_readable());
                assert!(sys::read(fd, &mut [0; 64]).is_ok());
                assert!(!is_readable());
            }
            assert_eq!(sys::read(fd, &mut [0; 64]), Err(Errno::EAGAIN));
            assert_eq!(sys::fcntl(fd, libc::F_GETFD, 0), Ok(libc::FD_CLOEXEC));
            let _ = close(fd);
        }
    }
}
