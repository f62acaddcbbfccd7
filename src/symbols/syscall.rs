//! `syscall()`: programs that pass libc's names by, but not its door. libuv closes that way, systemd waits that way.

use libc::{c_int, c_long, c_uint, epoll_event, sigset_t, timespec};
use nix::errno::Errno;

use super::{descriptors, epoll, export, polls, transfers};
use crate::options;
use crate::sys;

export! {
    /// Any system call by number. Variadic in C; on the supported architectures the arguments that are there arrive where
    /// these do. The calls that the interest graph must know of go to their hooks. `io_uring_setup` answers ENOSYS unless
    /// `EPOLYFILL_IO_URING=1`, because epoll control inside a ring would pass us by.
    fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
        // SAFETY: as for libc's syscall: the arguments are what the call demands.
        unsafe {
            match number {
                libc::SYS_close => descriptors::close(a as c_int).into(),
                libc::SYS_dup => descriptors::dup(a as c_int).into(),
                #[cfg(target_arch = "x86_64")]
                libc::SYS_dup2 => descriptors::dup2(a as c_int, b as c_int).into(),
                libc::SYS_dup3 => descriptors::dup3(a as c_int, b as c_int, c as c_int).into(),
                libc::SYS_fcntl => descriptors::fcntl(a as c_int, b as c_int, c).into(),
                libc::SYS_close_range => descriptors::close_range(a as c_uint, b as c_uint, c as c_int).into(),
                #[cfg(target_arch = "x86_64")]
                libc::SYS_epoll_create => epoll::epoll_create(a as c_int).into(),
                libc::SYS_epoll_create1 => epoll::epoll_create1(a as c_int).into(),
                libc::SYS_epoll_ctl => epoll::epoll_ctl(a as c_int, b as c_int, c as c_int, d as *mut epoll_event).into(),
                #[cfg(target_arch = "x86_64")]
                libc::SYS_epoll_wait => epoll::epoll_wait(a as c_int, b as *mut epoll_event, c as c_int, d as c_int).into(),
                libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 if e != 0 && f != sys::KERNEL_SIGSET_BYTES => {
                    sys::set_errno(Errno::EINVAL);
                    -1
                }
                libc::SYS_epoll_pwait => {
                    epoll::epoll_pwait(a as c_int, b as *mut epoll_event, c as c_int, d as c_int, e as *const sigset_t).into()
                }
                libc::SYS_epoll_pwait2 => {
                    let limit = d as *const timespec;
                    epoll::epoll_pwait2(a as c_int, b as *mut epoll_event, c as c_int, limit, e as *const sigset_t).into()
                }
                libc::SYS_read => transfers::read(a as c_int, b as *mut _, c) as c_long,
                libc::SYS_write => transfers::write(a as c_int, b as *const _, c) as c_long,
                libc::SYS_readv => transfers::readv(a as c_int, b as *const _, c as c_int) as c_long,
                libc::SYS_writev => transfers::writev(a as c_int, b as *const _, c as c_int) as c_long,
                libc::SYS_recvfrom => {
                    transfers::recvfrom(a as c_int, b as *mut _, c, d as c_int, e as *mut _, f as *mut _) as c_long
                }
                libc::SYS_sendto => transfers::sendto(a as c_int, b as *const _, c, d as c_int, e as *const _, f as u32) as c_long,
                libc::SYS_recvmsg => transfers::recvmsg(a as c_int, b as *mut _, c as c_int) as c_long,
                libc::SYS_sendmsg => transfers::sendmsg(a as c_int, b as *const _, c as c_int) as c_long,
                libc::SYS_accept => transfers::accept(a as c_int, b as *mut _, c as *mut _).into(),
                libc::SYS_accept4 => transfers::accept4(a as c_int, b as *mut _, c as *mut _, d as c_int).into(),
                #[cfg(target_arch = "x86_64")]
                libc::SYS_poll => polls::poll(a as *mut _, b as libc::nfds_t, c as c_int).into(),
                libc::SYS_io_uring_setup if !options::IO_URING.is_on() => {
                    sys::set_errno(Errno::ENOSYS);
                    -1
                }
                _ => sys::any(number, [a, b, c, d, e, f]) as c_long,
            }
        }
    }
}
