//! The system calls from which the library learns of a program's descriptors and events.

use libc::c_long;

/// No call that the library wants has a higher number.
pub const HIGHEST: u32 = 1023;

/// The calls that go to the library. Calls that make a thread or a process are not among them: the
/// child returns to where the call was made, on a stack that it may not share.
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
    libc::SYS_io_uring_register, libc::SYS_close_range, libc::SYS_epoll_pwait2, libc::SYS_exit_group,
    libc::SYS_pipe, libc::SYS_socket, libc::SYS_socketpair, libc::SYS_rt_sigtimedwait, libc::SYS_rt_sigpending,
];

/// The calls that change what a thread does with signals. They go to the library only as long as it
/// needs SIGSYS for itself, which must not be blocked nor taken over then.
#[cfg(target_arch = "x86_64")]
pub const OF_SIGNALS: &[c_long] = &[libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigsuspend];

/// The calls that go to the library: none, where nothing is rewritten.
#[cfg(not(target_arch = "x86_64"))]
pub const WANTED: &[c_long] = &[];

/// The calls of a static program that the loader answers or changes, beside those above: the ones
/// that make and end threads, set up the thread pointer, the handlers and the heap, and those by
/// which a program finds its own file.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
pub const OF_THE_LOADER: &[c_long] = &[
    libc::SYS_open, libc::SYS_stat, libc::SYS_brk, libc::SYS_rt_sigaction, libc::SYS_clone, libc::SYS_fork,
    libc::SYS_exit, libc::SYS_readlink, libc::SYS_arch_prctl, libc::SYS_set_tid_address, libc::SYS_openat,
    libc::SYS_newfstatat, libc::SYS_readlinkat, libc::SYS_clone3,
];

/// The calls that the loader answers: none, where nothing is rewritten.
#[cfg(not(target_arch = "x86_64"))]
pub const OF_THE_LOADER: &[c_long] = &[];

/// The kinds of programs, which differ in the calls that have to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The dynamic linker loads it, and its threads are libc's.
    Dynamic,
    /// The loader of this project loads it, and makes its threads. It is Go's, without C code.
    Static,
    /// As above, but its system calls are those of a C library that is linked into it.
    StaticC,
}

impl Kind {
    /// The calls that are seen.
    pub fn wanted(self) -> impl Iterator<Item = c_long> {
        let more = match self {
            Kind::Dynamic => &[][..],
            Kind::Static | Kind::StaticC => OF_THE_LOADER,
        };
        WANTED.iter().chain(more).copied()
    }

    /// Whether a call is seen.
    pub fn wants(self, number: u32) -> bool {
        self.wanted().any(|wanted| wanted == c_long::from(number))
    }
}
