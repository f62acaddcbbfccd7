//! The system calls by which the library has to be told of a program's descriptors and events.

use libc::c_long;

/// No call that the library wants has a higher number.
pub const HIGHEST: u32 = 1023;

/// The calls that go to the library. Calls that make a thread or a process are not among them: the
/// child returns to where the call was made, on a stack that it may not share. Calls that end the
/// process do not return, and concern nobody but the kernel.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
pub const WANTED: &[c_long] = &[
    libc::SYS_read, libc::SYS_write, libc::SYS_close, libc::SYS_poll, libc::SYS_lseek, libc::SYS_ioctl,
    libc::SYS_readv, libc::SYS_writev, libc::SYS_select, libc::SYS_dup, libc::SYS_dup2, libc::SYS_sendfile,
    libc::SYS_connect, libc::SYS_accept, libc::SYS_sendto, libc::SYS_recvfrom, libc::SYS_sendmsg,
    libc::SYS_recvmsg, libc::SYS_shutdown, libc::SYS_listen, libc::SYS_setsockopt, libc::SYS_getsockopt,
    libc::SYS_execve, libc::SYS_fcntl, libc::SYS_io_submit, libc::SYS_epoll_create, libc::SYS_epoll_wait,
    libc::SYS_epoll_ctl, libc::SYS_mq_timedsend, libc::SYS_mq_timedreceive, libc::SYS_pselect6,
    libc::SYS_ppoll, libc::SYS_unshare, libc::SYS_splice, libc::SYS_tee, libc::SYS_vmsplice,
    libc::SYS_epoll_pwait, libc::SYS_signalfd, libc::SYS_timerfd_settime, libc::SYS_accept4,
    libc::SYS_signalfd4, libc::SYS_epoll_create1, libc::SYS_dup3, libc::SYS_pipe2, libc::SYS_recvmmsg,
    libc::SYS_sendmmsg, libc::SYS_execveat, libc::SYS_preadv2, libc::SYS_pwritev2, libc::SYS_io_uring_setup,
    libc::SYS_io_uring_register, libc::SYS_close_range, libc::SYS_epoll_pwait2,
];

/// The calls that go to the library: none, where nothing is rewritten.
#[cfg(not(target_arch = "x86_64"))]
pub const WANTED: &[c_long] = &[];

/// Whether a call goes to the library.
pub fn is_wanted(number: u32) -> bool {
    WANTED.contains(&c_long::from(number))
}
