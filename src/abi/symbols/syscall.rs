//! `syscall()`, for programs that call by number and not by libc's names. libuv closes in this way,
//! and systemd waits.

use libc::{c_int, c_long, c_uint, epoll_event, fd_set, mmsghdr, sigset_t, timespec, timeval};
use nix::errno::Errno;

use super::{controls, descriptors, epoll, exec, export, fork, polls, transfers};
use crate::abi::{calls, served as epolls};
use crate::backend::switch;
use crate::edge::Facts;
use crate::graph::own_table;
use crate::hooks;
use crate::life::process;
use crate::options::{self, Poller};
use crate::see::{Observer, Watch};
use crate::sys;
use crate::uaccess;

/// The mask of pselect6, whose sixth argument is the address of the mask's address and size; `None`
/// if the kernel would refuse it.
unsafe fn sixth_of_pselect(argument: usize) -> Option<*const sigset_t> {
    if argument == 0 {
        return Some(std::ptr::null());
    }
    // SAFETY: the caller answers for the address.
    let [mask, bytes] = unsafe { uaccess::read(argument as *const [usize; 2]) }.ok()?;
    (mask == 0 || bytes == sys::KERNEL_SIGSET_BYTES).then_some(mask as *const sigset_t)
}

/// Makes a system call by number for the program, and returns the kernel's result: a negative errno
/// on failure. The thread's errno stays as it was.
///
/// # Safety
/// The arguments must be valid for the call `number`, which must return on the caller's stack.
pub unsafe fn by_number(number: c_long, arguments: [usize; 6]) -> isize {
    // SAFETY: as for the caller.
    sys::kernel_result(|| unsafe { served(number, arguments) } as isize)
}

/// Makes a system call by number, and reports an error as libc does. Calls that the interest graph
/// must see go to their hooks. `io_uring_setup` fails with ENOSYS unless `EPOLYFILL_IO_URING=1`,
/// because epoll control inside a ring would bypass the library.
///
/// # Safety
/// As for [`by_number`].
unsafe fn served(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> c_long {
    // The hook sees a transfer or a close here, and the call itself goes to the kernel: another
    // preloaded library may have called this from its own `write`.
    // SAFETY: as for libc's syscall: the arguments are valid for the call.
    let raw = || unsafe { sys::any(number, [a, b, c, d, e, f]) };
    let raw_int = || raw() as c_int;
    // SAFETY: as above.
    unsafe {
        match number {
            libc::SYS_close => {
                Watch::closing(a as c_int);
                if !calls::about_to_close(a as c_int) {
                    sys::set_errno(Errno::EBADF);
                    return -1;
                }
                raw() as c_long
            }
            libc::SYS_dup => descriptors::dup(a as c_int).into(),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_dup2 => descriptors::dup2(a as c_int, b as c_int).into(),
            libc::SYS_dup3 => descriptors::dup3(a as c_int, b as c_int, c as c_int).into(),
            libc::SYS_pipe2 => {
                hooks::keeping_packets(b as c_int);
                raw() as c_long
            }
            libc::SYS_fcntl => descriptors::fcntl(a as c_int, b as c_int, c).into(),
            libc::SYS_close_range => descriptors::close_range(a as c_uint, b as c_uint, c as c_int).into(),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_create => epoll::epoll_create(a as c_int).into(),
            libc::SYS_epoll_create1 => epoll::epoll_create1(a as c_int).into(),
            libc::SYS_epoll_ctl => epoll::epoll_ctl(a as c_int, b as c_int, c as c_int, d as *mut epoll_event).into(),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_wait => epoll::epoll_wait(a as c_int, b as *mut epoll_event, c as c_int, d as c_int).into(),
            libc::SYS_epoll_pwait => {
                epolls::pwait(a as c_int, b as *mut epoll_event, c as c_int, d as c_int, e as *const sigset_t, f).into()
            }
            libc::SYS_epoll_pwait2 => {
                let limit = d as *const timespec;
                epolls::pwait2(a as c_int, b as *mut epoll_event, c as c_int, limit, e as *const sigset_t, f).into()
            }
            libc::SYS_read => hooks::reading(a as c_int, b as *mut _, c, raw) as c_long,
            libc::SYS_getsockopt => hooks::asking(a as c_int, b as c_int, c as c_int, raw_int).into(),
            libc::SYS_setsockopt => hooks::setting(a as c_int, b as c_int, c as c_int, raw_int).into(),
            libc::SYS_connect => hooks::connecting(a as c_int, raw_int).into(),
            libc::SYS_listen => hooks::listening(a as c_int, raw_int).into(),
            libc::SYS_shutdown => hooks::shutting_down(a as c_int, b as c_int, raw_int).into(),
            libc::SYS_recvfrom => hooks::receiving(a as c_int, d as c_int, || c, raw) as c_long,
            libc::SYS_readv => hooks::reading_vector(a as c_int, b as *const _, c, raw) as c_long,
            libc::SYS_recvmsg => {
                hooks::receiving(a as c_int, c as c_int, || transfers::message_total(b as *const _), raw) as c_long
            }
            libc::SYS_write => hooks::writing(a as c_int, || c, raw) as c_long,
            libc::SYS_sendto => hooks::sending(a as c_int, d as c_int, || c, raw) as c_long,
            libc::SYS_sendmmsg => {
                transfers::send_messages(a as c_int, b as *mut mmsghdr, c as c_uint, d as c_int, raw_int).into()
            }
            libc::SYS_recvmmsg => {
                transfers::receive_messages(a as c_int, b as *mut mmsghdr, c as c_uint, d as c_int, raw).into()
            }
            libc::SYS_sendfile => hooks::sending_file(a as c_int, d, raw) as c_long,
            libc::SYS_splice => {
                transfers::splice_any(a as c_int, b != 0, c as c_int, d != 0, e, f as c_uint, raw) as c_long
            }
            libc::SYS_tee => transfers::tee_any(a as c_int, b as c_int, c, d as c_uint, raw) as c_long,
            libc::SYS_vmsplice => transfers::vmsplice_any(a as c_int, b as *const _, c, d as c_uint, raw) as c_long,
            libc::SYS_preadv2 | libc::SYS_pwritev2 if d != usize::MAX => raw() as c_long,
            libc::SYS_preadv2 => hooks::reading_vector(a as c_int, b as *const _, c, raw) as c_long,
            libc::SYS_pwritev2 => {
                hooks::writing_vector(a as c_int, || transfers::total(b as *const _, c), raw) as c_long
            }
            libc::SYS_timerfd_settime => hooks::setting_timer(a as c_int, raw_int).into(),
            libc::SYS_writev => hooks::writing_vector(a as c_int, || transfers::total(b as *const _, c), raw) as c_long,
            libc::SYS_sendmsg => {
                let offered = || transfers::message_total(b as *const _);
                hooks::sending(a as c_int, c as c_int, offered, raw) as c_long
            }
            libc::SYS_io_submit => hooks::submitting(c as *const _, raw) as c_long,
            libc::SYS_io_uring_register => hooks::registering(b as c_uint, c as *const _, raw) as c_long,
            libc::SYS_mq_timedreceive => hooks::queueing(a as c_int, Facts::READ_EAGAIN, raw) as c_long,
            libc::SYS_mq_timedsend => hooks::queueing(a as c_int, Facts::NO_SPACE, raw) as c_long,
            libc::SYS_accept | libc::SYS_accept4 => hooks::accepting(a as c_int, || raw() as c_int).into(),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll => polls::poll(a as *mut _, b as libc::nfds_t, c as c_int).into(),
            libc::SYS_ppoll if d == 0 || e == sys::KERNEL_SIGSET_BYTES => {
                polls::ppoll_raw(a as *mut _, b as libc::nfds_t, c as *mut timespec, d as *const sigset_t, raw_int)
                    .into()
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_select => {
                let sets = [b, c, d].map(|set| set as *mut fd_set);
                polls::select_any(a as c_int, sets, e as *mut timeval, raw_int).into()
            }
            libc::SYS_pselect6 => {
                let sets = [b, c, d].map(|set| set as *mut fd_set);
                match sixth_of_pselect(f) {
                    Some(mask) => polls::pselect_any(a as c_int, sets, e as *mut timespec, mask, true, raw_int).into(),
                    None => raw() as c_long,
                }
            }
            libc::SYS_execve => exec::by_number(c, |passed| sys::any(number, [a, b, passed, d, e, f])) as c_long,
            libc::SYS_execveat => exec::by_number(d, |passed| sys::any(number, [a, b, c, passed, e, f])) as c_long,
            libc::SYS_ioctl => controls::any_ioctl(a as c_int, b as u64, c, raw_int).into(),
            libc::SYS_lseek => controls::any_seek(a as c_int, c as c_int, || raw() as libc::off_t),
            libc::SYS_signalfd4 => hooks::masking_signals(a as c_int, raw_int).into(),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_signalfd => hooks::masking_signals(a as c_int, raw_int).into(),
            libc::SYS_unshare => {
                Watch::unsharing();
                own_table::unshare(a as c_int, switch::give_up_own, raw_int).into()
            }
            libc::SYS_clone => fork::clone(a, b, raw) as c_long,
            libc::SYS_clone3 => fork::clone3(a, b, raw) as c_long,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_fork => process::forking(raw) as c_long,
            libc::SYS_io_uring_setup if !options::IO_URING.is_on() && options::poller() != Poller::Kernel => {
                sys::set_errno(Errno::ENOSYS);
                -1
            }
            _ => raw() as c_long,
        }
    }
}
export! {
    /// Makes any system call by number. It is variadic in C; on the supported architectures the
    /// arguments are passed where these parameters are.
    fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
        // SAFETY: as for libc's syscall.
        sys::libc_result(unsafe { by_number(number, [a, b, c, d, e, f]) } as usize) as c_long
    }
}
