//! The next definition of each symbol that the library exports: libc's, or that of another
//! preloaded library.
//!
//! The library calls these where it matters who serves the call: cancellation points, stdio, other
//! interposers. A raw system call takes the place of each symbol until start-up has looked it up,
//! and for good if libc lacks it: constructors of other libraries and memory allocators call these
//! names before start-up, when a look-up would allocate.

use std::ffi::CStr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::Relaxed;

use libc::{FILE, SIGCHLD, c_char, c_int, c_uint, c_void, clockid_t, fd_set, iovec, itimerspec, loff_t, mmsghdr};
use libc::{
    msghdr, nfds_t, off_t, pid_t, pollfd, sighandler_t, siginfo_t, sigset_t, size_t, sockaddr, socklen_t, ssize_t,
    termios, timespec, timeval,
};

use crate::sys;

/// An environment or an argv, as exec takes it.
pub type Strings = *const *const c_char;

/// Defines a function that can be called even before its symbol has been looked up.
macro_rules! next {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $ret:ty = $number:ident [$($word:expr),*];)*) => {
        $(
            #[doc = concat!("The next `", stringify!($name), "`.")]
            ///
            /// # Safety
            /// As for the function of that name.
            #[inline]
            #[allow(non_snake_case)] // libc's own name.
            pub unsafe fn $name($($arg: $type),*) -> $ret {
                // SAFETY: the pointer is that of the stand-in, or the one that `look_up` found
                // under this name.
                unsafe {
                    let next: unsafe extern "C" fn($($type),*) -> $ret =
                        std::mem::transmute::<*mut c_void, _>(table::$name.load(Relaxed));
                    next($($arg),*)
                }
            }
        )*

        /// The current target of each name.
        #[allow(non_upper_case_globals)] // One static per symbol, under the symbol's own name.
        mod table {
            use super::*;
            $(pub static $name: AtomicPtr<c_void> = AtomicPtr::new(stand_in::$name as *mut c_void);)*
        }

        /// Raw system calls with libc's result and errno.
        mod stand_in {
            use super::*;
            $(
                #[allow(non_snake_case)] // libc's own name.
                pub unsafe extern "C" fn $name($($arg: $type),*) -> $ret {
                    // SAFETY: the caller answers for the arguments, as to libc.
                    unsafe { sys::any(libc::$number, [$($word as usize),*]) as $ret }
                }
            )*
        }

        /// Looks up every symbol. Called once, at start-up: dlsym may allocate.
        pub fn look_up_all() {
            $(
                if let Some(found) = look_up(concat!(stringify!($name), "\0")) {
                    table::$name.store(found, Relaxed);
                }
            )*
            look_up_all_of_libc();
        }
    };
}

/// A cancellation point: a thread that was cancelled ends in this call.
#[inline]
pub fn testcancel() {
    unsafe extern "C" {
        // Declared as if it did not unwind, which it does: no frame from here to the program owns
        // anything.
        fn pthread_testcancel();
    }
    // SAFETY: no arguments.
    unsafe { pthread_testcancel() }
}

/// Enables or disables cancellation of the thread; returns the previous state.
pub fn let_be_cancelled(enabled: bool) -> bool {
    unsafe extern "C" {
        // As above.
        fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
    }
    let mut before = 0;
    // SAFETY: 0 is libc's PTHREAD_CANCEL_ENABLE, 1 its PTHREAD_CANCEL_DISABLE.
    unsafe { pthread_setcancelstate(c_int::from(!enabled), &raw mut before) };
    before == 0
}

/// libc's PTHREAD_CANCEL_ASYNCHRONOUS.
pub const CANCEL_AT_ANY_MOMENT: c_int = 1;

/// Lets the thread be cancelled at cancellation points only, or at any moment; returns the previous
/// type.
#[inline]
pub fn let_cancel(kind: c_int) -> c_int {
    unsafe extern "C" {
        // As above.
        fn pthread_setcanceltype(kind: c_int, before: *mut c_int) -> c_int;
    }
    let mut before = 0;
    // SAFETY: the kind is one of libc's, or one that this call returned.
    unsafe { pthread_setcanceltype(kind, &raw mut before) };
    before
}

/// The mask argument of pselect6: none, because a call this early has no mask to swap.
fn kernel_mask(_mask: *const sigset_t) -> usize {
    0
}

/// Ends a fortified program whose buffer is smaller than the number of bytes that it requests, as
/// libc does. musl has no such programs.
#[cfg(target_env = "musl")]
pub fn chk_fail() -> ! {
    // SAFETY: no arguments.
    unsafe { libc::abort() }
}

/// Ends a fortified program whose buffer is smaller than the number of bytes that it requests, as
/// libc does.
#[cfg(not(target_env = "musl"))]
pub fn chk_fail() -> ! {
    unsafe extern "C" {
        fn __chk_fail() -> !;
    }
    // SAFETY: no arguments.
    unsafe { __chk_fail() }
}

fn look_up(name: &str) -> Option<*mut c_void> {
    let name = CStr::from_bytes_with_nul(name.as_bytes()).ok()?;
    // SAFETY: the name ends in NUL; RTLD_NEXT starts the search after this library.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// The flags of sendmmsg and recvmmsg.
#[cfg(not(target_env = "musl"))]
pub type MessageFlags = c_int;
/// The flags of sendmmsg and recvmmsg.
#[cfg(target_env = "musl")]
pub type MessageFlags = c_uint;

next! {
    fn _Fork() -> pid_t = SYS_clone [SIGCHLD, 0, 0, 0, 0, 0];
    fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int = SYS_clock_gettime [clock, time, 0, 0, 0, 0];
    fn ioctl(fd: c_int, request: libc::Ioctl, argument: usize) -> c_int = SYS_ioctl [fd, request, argument, 0, 0, 0];
    fn lseek(fd: c_int, offset: off_t, whence: c_int) -> off_t = SYS_lseek [fd, offset, whence, 0, 0, 0];
    fn unshare(flags: c_int) -> c_int = SYS_unshare [flags, 0, 0, 0, 0, 0];
    fn close(fd: c_int) -> c_int = SYS_close [fd, 0, 0, 0, 0, 0];
    fn execve(path: *const c_char, words: Strings, environment: Strings) -> c_int = SYS_execve [path, words, environment, 0, 0, 0];
    fn execveat(fd: c_int, path: *const c_char, words: Strings, environment: Strings, flags: c_int) -> c_int
        = SYS_execveat [fd, path, words, environment, flags, 0];
    fn dup(fd: c_int) -> c_int = SYS_dup [fd, 0, 0, 0, 0, 0];
    fn dup2(old: c_int, new: c_int) -> c_int = SYS_dup3 [old, new, 0, 0, 0, 0];
    fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int = SYS_dup3 [old, new, flags, 0, 0, 0];
    fn pipe2(ends: *mut c_int, flags: c_int) -> c_int = SYS_pipe2 [ends, flags, 0, 0, 0, 0];
    fn fcntl64(fd: c_int, command: c_int, argument: usize) -> c_int = SYS_fcntl [fd, command, argument, 0, 0, 0];
    fn read(fd: c_int, buffer: *mut c_void, n: size_t) -> ssize_t = SYS_read [fd, buffer, n, 0, 0, 0];
    fn readv(fd: c_int, iov: *const iovec, n: c_int) -> ssize_t = SYS_readv [fd, iov, n, 0, 0, 0];
    fn preadv2(fd: c_int, iov: *const iovec, n: c_int, at: off_t, flags: c_int) -> ssize_t
        = SYS_preadv2 [fd, iov, n, at, 0, flags];
    fn recvfrom(fd: c_int, buffer: *mut c_void, n: size_t, flags: c_int, from: *mut sockaddr, length: *mut socklen_t) -> ssize_t
        = SYS_recvfrom [fd, buffer, n, flags, from, length];
    fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t = SYS_recvmsg [fd, message, flags, 0, 0, 0];
    fn recvmmsg(fd: c_int, messages: *mut mmsghdr, n: c_uint, flags: MessageFlags, limit: *mut timespec) -> c_int
        = SYS_recvmmsg [fd, messages, n, flags, limit, 0];
    fn accept(fd: c_int, from: *mut sockaddr, length: *mut socklen_t) -> c_int = SYS_accept [fd, from, length, 0, 0, 0];
    fn accept4(fd: c_int, from: *mut sockaddr, length: *mut socklen_t, flags: c_int) -> c_int
        = SYS_accept4 [fd, from, length, flags, 0, 0];
    fn write(fd: c_int, buffer: *const c_void, n: size_t) -> ssize_t = SYS_write [fd, buffer, n, 0, 0, 0];
    fn writev(fd: c_int, iov: *const iovec, n: c_int) -> ssize_t = SYS_writev [fd, iov, n, 0, 0, 0];
    fn pwritev2(fd: c_int, iov: *const iovec, n: c_int, at: off_t, flags: c_int) -> ssize_t
        = SYS_pwritev2 [fd, iov, n, at, 0, flags];
    fn sendto(fd: c_int, buffer: *const c_void, n: size_t, flags: c_int, to: *const sockaddr, length: socklen_t) -> ssize_t
        = SYS_sendto [fd, buffer, n, flags, to, length];
    fn mq_timedreceive(fd: c_int, buffer: *mut c_char, n: size_t, priority: *mut c_uint, limit: *const timespec) -> ssize_t
        = SYS_mq_timedreceive [fd, buffer, n, priority, limit, 0];
    fn mq_timedsend(fd: c_int, message: *const c_char, n: size_t, priority: c_uint, limit: *const timespec) -> c_int
        = SYS_mq_timedsend [fd, message, n, priority, limit, 0];
    fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t = SYS_sendmsg [fd, message, flags, 0, 0, 0];
    fn sendmmsg(fd: c_int, messages: *mut mmsghdr, n: c_uint, flags: MessageFlags) -> c_int
        = SYS_sendmmsg [fd, messages, n, flags, 0, 0];
    fn sendfile64(out: c_int, input: c_int, at: *mut off_t, n: size_t) -> ssize_t = SYS_sendfile [out, input, at, n, 0, 0];
    fn splice(input: c_int, in_at: *mut loff_t, out: c_int, out_at: *mut loff_t, n: size_t, flags: c_uint) -> ssize_t
        = SYS_splice [input, in_at, out, out_at, n, flags];
    fn tee(input: c_int, out: c_int, n: size_t, flags: c_uint) -> ssize_t = SYS_tee [input, out, n, flags, 0, 0];
    fn vmsplice(fd: c_int, iov: *const iovec, n: size_t, flags: c_uint) -> ssize_t = SYS_vmsplice [fd, iov, n, flags, 0, 0];
    fn connect(fd: c_int, to: *const sockaddr, length: socklen_t) -> c_int = SYS_connect [fd, to, length, 0, 0, 0];
    fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, length: *mut socklen_t) -> c_int
        = SYS_getsockopt [fd, level, name, value, length, 0];
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, length: socklen_t) -> c_int
        = SYS_setsockopt [fd, level, name, value, length, 0];
    fn shutdown(fd: c_int, how: c_int) -> c_int = SYS_shutdown [fd, how, 0, 0, 0, 0];
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int = SYS_socket [domain, kind, protocol, 0, 0, 0];
    fn socketpair(domain: c_int, kind: c_int, protocol: c_int, ends: *mut c_int) -> c_int
        = SYS_socketpair [domain, kind, protocol, ends, 0, 0];
    fn listen(fd: c_int, backlog: c_int) -> c_int = SYS_listen [fd, backlog, 0, 0, 0, 0];
    fn timerfd_settime(fd: c_int, flags: c_int, new: *const itimerspec, old: *mut itimerspec) -> c_int
        = SYS_timerfd_settime [fd, flags, new, old, 0, 0];
    fn ppoll(set: *mut pollfd, n: nfds_t, limit: *const timespec, mask: *const sigset_t) -> c_int
        = SYS_ppoll [set, n, limit, mask, sys::KERNEL_SIGSET_BYTES, 0];
    fn pselect(n: c_int, r: *mut fd_set, w: *mut fd_set, e: *mut fd_set, limit: *const timespec, mask: *const sigset_t) -> c_int
        = SYS_pselect6 [n, r, w, e, limit, kernel_mask(mask)];
}

/// Defines functions of libc that have no system call as a stand-in. A call before start-up looks
/// the symbol up, at a time when dlsym may allocate.
macro_rules! next_of_libc {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $ret:ty, else $otherwise:expr;)*) => {
        $(
            #[doc = concat!("The next `", stringify!($name), "`.")]
            ///
            /// # Safety
            /// As for the function of that name.
            #[allow(non_snake_case)] // libc's own name.
            pub unsafe fn $name($($arg: $type),*) -> $ret {
                let next = &table_of_libc::$name;
                if next.load(Relaxed).is_null() {
                    let Some(found) = look_up(concat!(stringify!($name), "\0")) else { return $otherwise };
                    next.store(found, Relaxed);
                }
                // SAFETY: the pointer was found under this name.
                unsafe {
                    let next: unsafe extern "C" fn($($type),*) -> $ret =
                        std::mem::transmute::<*mut c_void, _>(next.load(Relaxed));
                    next($($arg),*)
                }
            }
        )*

        /// The addresses found; null before that.
        #[allow(non_upper_case_globals)] // One static per symbol, under the symbol's own name.
        mod table_of_libc {
            use super::*;
            $(pub static $name: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());)*
        }

        /// Looks these up at start-up too: some of them are called in vfork children and signal
        /// handlers.
        fn look_up_all_of_libc() {
            $(
                if let Some(found) = look_up(concat!(stringify!($name), "\0")) {
                    table_of_libc::$name.store(found, Relaxed);
                }
            )*
        }
    };
}

next_of_libc! {
    fn fclose(stream: *mut FILE) -> c_int, else libc::EOF;
    fn tcsetattr(fd: c_int, when: c_int, modes: *const termios) -> c_int, else -1;
    fn signalfd(fd: c_int, mask: *const sigset_t, flags: c_int) -> c_int, else -1;
    fn sigwait(set: *const sigset_t, signal: *mut c_int) -> c_int, else libc::ENOSYS;
    fn sigwaitinfo(set: *const sigset_t, info: *mut siginfo_t) -> c_int, else -1;
    fn sigtimedwait(set: *const sigset_t, info: *mut siginfo_t, limit: *const timespec) -> c_int, else -1;
    fn sigpending(set: *mut sigset_t) -> c_int, else -1;
    fn pclose(stream: *mut FILE) -> c_int, else -1;
    fn closedir(directory: *mut libc::DIR) -> c_int, else -1;
    fn freopen(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE, else std::ptr::null_mut();
    fn poll(set: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int, else -1;
    fn select(n: c_int, r: *mut fd_set, w: *mut fd_set, e: *mut fd_set, limit: *mut timeval) -> c_int, else -1;
    fn execv(path: *const c_char, words: Strings) -> c_int, else -1;
    fn execvp(file: *const c_char, words: Strings) -> c_int, else -1;
    fn execvpe(file: *const c_char, words: Strings, environment: Strings) -> c_int, else -1;
    fn fexecve(fd: c_int, words: Strings, environment: Strings) -> c_int, else -1;
    fn posix_spawn(
        pid: *mut pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void, words: Strings, environment: Strings
    ) -> c_int, else libc::ENOSYS;
    fn posix_spawnp(
        pid: *mut pid_t, file: *const c_char, actions: *const c_void, attributes: *const c_void, words: Strings, environment: Strings
    ) -> c_int, else libc::ENOSYS;
    fn system(command: *const c_char) -> c_int, else -1;
    fn sigprocmask(how: c_int, set: *const sigset_t, before: *mut sigset_t) -> c_int, else -1;
    fn pthread_sigmask(how: c_int, set: *const sigset_t, before: *mut sigset_t) -> c_int, else libc::ENOSYS;
    fn pthread_attr_setsigmask_np(attributes: *mut c_void, set: *const sigset_t) -> c_int, else libc::ENOSYS;
    fn sigaction(signal: c_int, new: *const libc::sigaction, old: *mut libc::sigaction) -> c_int, else -1;
    fn signal(signal: c_int, handler: sighandler_t) -> sighandler_t, else libc::SIG_ERR;
    fn bsd_signal(signal: c_int, handler: sighandler_t) -> sighandler_t, else libc::SIG_ERR;
    fn ssignal(signal: c_int, handler: sighandler_t) -> sighandler_t, else libc::SIG_ERR;
    fn sysv_signal(signal: c_int, handler: sighandler_t) -> sighandler_t, else libc::SIG_ERR;
    fn __sysv_signal(signal: c_int, handler: sighandler_t) -> sighandler_t, else libc::SIG_ERR;
    fn sigset(signal: c_int, disposition: sighandler_t) -> sighandler_t, else libc::SIG_ERR;
    fn sigignore(signal: c_int) -> c_int, else -1;
    fn siginterrupt(signal: c_int, interrupts: c_int) -> c_int, else -1;
    fn sighold(signal: c_int) -> c_int, else -1;
    fn sigrelse(signal: c_int) -> c_int, else -1;
    fn sigblock(mask: c_int) -> c_int, else -1;
    fn sigsetmask(mask: c_int) -> c_int, else -1;
    fn siggetmask() -> c_int, else -1;
    fn sigsuspend(mask: *const sigset_t) -> c_int, else -1;
    fn sigpause(mask: c_int) -> c_int, else -1;
    fn __sigpause(signal_or_mask: c_int, is_signal: c_int) -> c_int, else -1;
    fn popen(command: *const c_char, mode: *const c_char) -> *mut FILE, else std::ptr::null_mut();
}
