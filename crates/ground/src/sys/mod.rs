//! Raw system calls.
//!
//! This module does not call libc. The library exports most of the libc names that it needs itself,
//! so a call through libc (or through std and nix, which end there) would come back into the
//! library. Where cancellation matters, `next.rs` calls the next definition of a symbol instead.

#[cfg(feature = "see")]
mod file;
mod mapping;
mod poll;

use std::ffi::CStr;
use std::mem::MaybeUninit;

use libc::{c_int, timespec};
use linux_raw_sys::io_uring::{IORING_ENTER_EXT_ARG, IORING_ENTER_GETEVENTS, io_uring_params};
use nix::errno::Errno;
use syscalls::{Sysno, syscall};

use crate::real;

#[cfg(feature = "see")]
pub use file::*;
pub use mapping::*;
pub use poll::*;

/// The size of the kernel's signal set, whatever size libc gives `sigset_t`.
pub const KERNEL_SIGSET_BYTES: usize = 8;

/// A signal mask as the kernel takes it.
pub type SigMask = u64;

/// Every signal except those that a thread raises by its own actions, such as a fault on the
/// program's buffer, and the two that libc reserves: a cancelled thread, and a change of user ids
/// in all threads, wait until theirs are handled.
pub const ALL_SIGNALS: SigMask = {
    let kept = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS, 32, 33];
    let mut mask = SigMask::MAX;
    let mut index = 0;
    while index < kept.len() {
        mask &= !(1 << (kept[index] - 1));
        index += 1;
    }
    mask
};

fn errno(e: syscalls::Errno) -> Errno {
    Errno::from_raw(e.into_raw())
}

/// Sets the calling thread's errno.
pub fn set_errno(e: Errno) {
    // SAFETY: `__errno_location` returns the calling thread's own errno, always valid and writable.
    unsafe { *libc::__errno_location() = e as c_int }
}

/// The calling thread's errno.
pub fn last_errno() -> Errno {
    // SAFETY: as in `set_errno`.
    Errno::from_raw(unsafe { *libc::__errno_location() })
}

/// Turns a raw result of the kernel (a negative errno on failure) into the return value of libc.
#[inline]
pub fn libc_result(raw: usize) -> isize {
    let value = raw.cast_signed();
    if (-4095..0).contains(&value) {
        // SAFETY: as in `set_errno`. A filter may have made up the errno.
        unsafe { *libc::__errno_location() = -value as c_int };
        return -1;
    }
    value
}

/// Makes a call that reports an error as libc does, and returns the kernel's form of its result, a
/// negative errno on failure. The thread's errno stays as it was.
pub fn kernel_result(call: impl FnOnce() -> isize) -> isize {
    // SAFETY: as in `set_errno`.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above. It need not be an errno that the kernel has.
    let before = unsafe { *errno };
    let answer = call();
    // SAFETY: as above.
    let answer = if answer == -1 { -(unsafe { *errno } as isize) } else { answer };
    // SAFETY: as above.
    unsafe { *errno = before };
    answer
}

/// Makes any system call; returns what libc's `syscall` would return.
///
/// # Safety
/// The arguments must be valid for the call `number`.
pub unsafe fn any(number: i64, a: [usize; 6]) -> isize {
    // SAFETY: the caller answers for the arguments.
    libc_result(unsafe { any_raw(number, a) } as usize)
}

/// Makes any system call; returns what the kernel returns.
///
/// # Safety
/// The arguments must be valid for the call `number`.
#[inline]
pub unsafe fn any_raw(number: i64, a: [usize; 6]) -> isize {
    // SAFETY: the caller answers for the arguments.
    unsafe { syscalls::raw::syscall6(number as usize, a[0], a[1], a[2], a[3], a[4], a[5]) }.cast_signed()
}

/// close(2).
pub fn close(fd: c_int) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    unsafe { syscall!(Sysno::close, fd) }.map(drop).map_err(errno)
}

/// close_range(2).
pub fn close_range(first: u32, last: u32, flags: u32) -> Result<(), Errno> {
    // SAFETY: no memory is passed.
    unsafe { syscall!(Sysno::close_range, first, last, flags) }.map(drop).map_err(errno)
}

/// Whether this process may read the file at that path, by its real ids.
pub fn is_readable(path: &CStr) -> bool {
    // SAFETY: the path ends in NUL.
    #[cfg(target_arch = "x86_64")]
    let answer = unsafe { syscall!(Sysno::access, path.as_ptr(), libc::R_OK) };
    // SAFETY: as above.
    #[cfg(not(target_arch = "x86_64"))]
    let answer = unsafe { syscall!(Sysno::faccessat, libc::AT_FDCWD, path.as_ptr(), libc::R_OK) };
    answer.is_ok()
}

/// dup3(2).
pub fn dup3(old: c_int, new: c_int, flags: c_int) -> Result<c_int, Errno> {
    // SAFETY: no memory is passed.
    unsafe { syscall!(Sysno::dup3, old, new, flags) }.map(|n| n as c_int).map_err(errno)
}

/// fcntl(2) with an integer argument.
pub fn fcntl(fd: c_int, command: c_int, argument: usize) -> Result<c_int, Errno> {
    // SAFETY: only commands with integer arguments are passed from inside this library.
    unsafe { syscall!(Sysno::fcntl, fd, command, argument) }.map(|n| n as c_int).map_err(errno)
}

/// Whether the number is an open descriptor of this process.
pub fn is_open(fd: c_int) -> bool {
    fcntl(fd, libc::F_GETFD, 0).is_ok()
}

/// Whether the number is an open descriptor that refers to a file, and not only to its path: for
/// most calls, a descriptor that was opened with O_PATH is as good as closed.
pub fn is_usable(fd: c_int) -> bool {
    fcntl(fd, libc::F_GETFL, 0).is_ok_and(|flags| flags & libc::O_PATH == 0)
}

/// pipe2(2).
pub fn pipe2(flags: c_int) -> Result<[c_int; 2], Errno> {
    let mut ends = [0 as c_int; 2];
    // SAFETY: `ends` has room for the two numbers.
    unsafe { syscall!(Sysno::pipe2, ends.as_mut_ptr(), flags) }.map_err(errno)?;
    Ok(ends)
}

/// eventfd2(2), non-blocking and close-on-exec.
pub fn eventfd() -> Result<c_int, Errno> {
    // SAFETY: no memory is passed.
    unsafe { syscall!(Sysno::eventfd2, 0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) }.map(|n| n as c_int).map_err(errno)
}

/// write(2) of a few bytes.
pub fn write(fd: c_int, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the slice is valid for its length.
    unsafe { syscall!(Sysno::write, fd, bytes.as_ptr(), bytes.len()) }.map_err(errno)
}

/// read(2).
pub fn read(fd: c_int, bytes: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the slice is valid and writable for its length.
    unsafe { syscall!(Sysno::read, fd, bytes.as_mut_ptr(), bytes.len()) }.map_err(errno)
}

/// fstat(2).
pub fn fstat(fd: c_int) -> Result<libc::stat, Errno> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` has the kernel's layout on the supported architectures.
    unsafe { syscall!(Sysno::fstat, fd, stat.as_mut_ptr()) }.map_err(errno)?;
    // SAFETY: the call succeeded, so the kernel filled the structure.
    Ok(unsafe { stat.assume_init() })
}

/// The magic number of the file system that the file is on.
pub fn filesystem(fd: c_int) -> Result<u32, Errno> {
    let mut info = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `info` has the kernel's layout.
    unsafe { syscall!(Sysno::fstatfs, fd, info.as_mut_ptr()) }.map_err(errno)?;
    // SAFETY: the call succeeded.
    Ok(unsafe { info.assume_init() }.f_type as u32)
}

/// The target of the link `/proc/thread-self/fd/N`, as far as it fits into the buffer. `/proc/self`
/// is the first thread, which may have ended, or have a descriptor table of its own.
pub fn descriptor_link(fd: c_int, buffer: &mut [u8]) -> Result<&[u8], Errno> {
    let mut path = crate::log::Line::<40>::new();
    path.text("/proc/thread-self/fd/").number(i64::from(fd)).text("\0");
    // SAFETY: the path ends in NUL, the buffer is writable for its length.
    let n = unsafe {
        syscall!(Sysno::readlinkat, libc::AT_FDCWD, path.as_bytes().as_ptr(), buffer.as_mut_ptr(), buffer.len())
    }
    .map_err(errno)?;
    Ok(&buffer[..n])
}

/// Reads a small file (of `/proc`) into the buffer. The path must end in NUL.
pub fn read_file<'a>(path: &[u8], buffer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    debug_assert!(path.ends_with(b"\0"));
    // SAFETY: the path ends in NUL.
    let fd = unsafe { syscall!(Sysno::openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) }
        .map_err(errno)? as c_int;
    let got = read(fd, buffer);
    let _ = close(fd);
    Ok(&buffer[..got?])
}

/// A field of `/proc/thread-self/fdinfo/N`; `name` includes the colon.
pub fn descriptor_info<'a>(fd: c_int, name: &[u8], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut path = crate::log::Line::<40>::new();
    path.text("/proc/thread-self/fdinfo/").number(i64::from(fd)).text("\0");
    let text = read_file(path.as_bytes(), buffer).ok()?;
    text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name)).map(<[u8]>::trim_ascii)
}

/// An ioctl(2) that returns one int, such as FIONREAD.
pub fn ioctl_int(fd: c_int, request: u64) -> Result<c_int, Errno> {
    let mut value: c_int = 0;
    // SAFETY: `value` is the int these requests write.
    unsafe { syscall!(Sysno::ioctl, fd, request, &raw mut value) }.map_err(errno)?;
    Ok(value)
}

/// An ioctl(2) that returns 64 bits.
pub fn ioctl_word(fd: c_int, request: u64) -> Result<u64, Errno> {
    let mut value: u64 = 0;
    // SAFETY: `value` is the word these requests write.
    unsafe { syscall!(Sysno::ioctl, fd, request, &raw mut value) }.map_err(errno)?;
    Ok(value)
}

/// getsockopt(2) into `value`; returns the length that the kernel wrote.
pub fn getsockopt<T: Copy>(fd: c_int, level: c_int, name: c_int, value: &mut T) -> Result<usize, Errno> {
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is writable for `length` bytes and `T` is plain data.
    unsafe { syscall!(Sysno::getsockopt, fd, level, name, std::ptr::from_mut(value), &raw mut length) }
        .map_err(errno)?;
    Ok(length as usize)
}

/// setsockopt(2) of an int.
pub fn setsockopt(fd: c_int, level: c_int, name: c_int, value: c_int) -> Result<(), Errno> {
    // SAFETY: the kernel reads one int.
    unsafe { syscall!(Sysno::setsockopt, fd, level, name, &raw const value, size_of::<c_int>()) }
        .map(drop)
        .map_err(errno)
}

/// The length of the next datagram, which stays in the queue. EAGAIN if there is none.
pub fn peek_length(fd: c_int) -> Result<usize, Errno> {
    let flags = libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    // SAFETY: nothing is written to an empty buffer.
    unsafe { syscall!(Sysno::recvfrom, fd, 0usize, 0usize, flags, 0usize, 0usize) }.map_err(errno)
}

/// recv(2) without waiting; an error if nothing is there, or if the descriptor is not a socket.
pub fn receive(fd: c_int, bytes: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the slice is valid and writable for its length.
    unsafe { syscall!(Sysno::recvfrom, fd, bytes.as_mut_ptr(), bytes.len(), libc::MSG_DONTWAIT, 0usize, 0usize) }
        .map_err(errno)
}

/// Makes a netlink socket of a protocol.
pub fn netlink(protocol: c_int) -> Result<c_int, Errno> {
    // SAFETY: no memory is passed.
    unsafe {
        syscall!(Sysno::socket, libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, protocol)
    }
    .map(|n| n as c_int)
    .map_err(errno)
}

/// Whether the descriptor is a timerfd: timerfd_gettime(2) fails for everything else.
pub fn is_timer(fd: c_int) -> bool {
    let mut value = MaybeUninit::<libc::itimerspec>::uninit();
    // SAFETY: the kernel writes one itimerspec.
    unsafe { syscall!(Sysno::timerfd_gettime, fd, value.as_mut_ptr()) }.is_ok()
}

/// The number of messages in a queue of mq_open(3).
pub fn queued_messages(fd: c_int) -> Option<u64> {
    let mut attributes = MaybeUninit::<libc::mq_attr>::uninit();
    // SAFETY: the kernel writes one mq_attr, and reads none.
    unsafe { syscall!(Sysno::mq_getsetattr, fd, 0usize, attributes.as_mut_ptr()) }.ok()?;
    // SAFETY: the call succeeded.
    u64::try_from(unsafe { attributes.assume_init() }.mq_curmsgs).ok()
}

/// io_uring_setup(2); returns the descriptor of a new ring.
pub fn io_uring_setup(entries: u32, params: &mut io_uring_params) -> Result<c_int, Errno> {
    // SAFETY: the structure is the kernel's, and writable.
    unsafe { syscall!(Sysno::io_uring_setup, entries, std::ptr::from_mut(params)) }.map(|fd| fd as c_int).map_err(errno)
}

/// io_uring_enter(2) without sleeping: submits `count` requests, and makes the completions that are
/// due.
pub fn io_uring_enter(fd: c_int, count: u32) -> Result<usize, Errno> {
    // SAFETY: no memory is passed except the ring's own.
    unsafe { syscall!(Sysno::io_uring_enter, fd, count, 0, IORING_ENTER_GETEVENTS, 0usize, 0usize) }.map_err(errno)
}

/// io_uring_enter(2) that sleeps until there is a completion, for at most `limit` nanoseconds, with
/// `mask` as the signal mask. ETIME when the time is over, EINTR if a signal handler ran.
pub fn io_uring_sleep(fd: c_int, limit: Option<u64>, mask: Option<SigMask>) -> Result<(), Errno> {
    #[repr(C)]
    struct Extra {
        mask: u64,
        mask_bytes: u32,
        least_wait: u32,
        limit: u64,
    }
    let limit = limit.map(timespec_of);
    let extra = Extra {
        mask: mask.as_ref().map_or(0, |mask| std::ptr::from_ref(mask).addr() as u64),
        mask_bytes: KERNEL_SIGSET_BYTES as u32,
        least_wait: 0,
        limit: limit.as_ref().map_or(0, |limit| std::ptr::from_ref(limit).addr() as u64),
    };
    let flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
    // SAFETY: the structure, and the memory that it points to, outlive the call.
    unsafe { syscall!(Sysno::io_uring_enter, fd, 0, 1, flags, &raw const extra, size_of::<Extra>()) }
        .map(drop)
        .map_err(errno)
}

/// Replaces the calling thread's signal mask and returns the old one.
pub fn swap_signal_mask(mask: SigMask) -> SigMask {
    let mut old: SigMask = 0;
    // SAFETY: both sets are eight bytes, as the size given says. The call cannot fail with these
    // arguments.
    let _ = unsafe {
        syscall!(Sysno::rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, &raw mut old, KERNEL_SIGSET_BYTES)
    };
    old
}

/// getpid(2), and not a value that libc or the library has cached.
pub fn getpid() -> i32 {
    // SAFETY: no arguments.
    unsafe { syscall!(Sysno::getpid) }.unwrap_or(0) as i32
}

/// gettid(2).
pub fn gettid() -> i32 {
    // SAFETY: no arguments.
    unsafe { syscall!(Sysno::gettid) }.unwrap_or(0) as i32
}

/// Whether this process has a thread with this id.
pub fn is_thread(tid: i32) -> bool {
    // SAFETY: signal 0 is never delivered.
    let answer = unsafe { syscall!(Sysno::tgkill, getpid(), tid, 0) };
    !answer.is_err_and(|errno| errno.into_raw() == libc::ESRCH)
}

/// Whether the process has other threads; `None` if the kernel refuses the call. It tries to
/// unshare something that only a process with a single thread may unshare, which changes nothing
/// there.
pub fn has_company() -> Option<bool> {
    // SAFETY: no memory is passed.
    match unsafe { syscall!(Sysno::unshare, libc::CLONE_THREAD) } {
        Ok(_) => Some(false),
        Err(errno) => (errno.into_raw() == libc::EINVAL).then_some(true),
    }
}

/// kcmp(2): whether two descriptors of the calling thread refer to one open file description;
/// `None` if the kernel refuses the call.
pub fn same_description(a: c_int, b: c_int) -> Option<bool> {
    const KCMP_FILE: c_int = 0;
    let tid = gettid();
    // SAFETY: no memory is passed.
    unsafe { syscall!(Sysno::kcmp, tid, tid, KCMP_FILE, a, b) }.ok().map(|order| order == 0)
}

/// kcmp(2): whether the calling thread shares its descriptor table with another thread; `None` if
/// the kernel refuses the call.
pub fn shares_table_with(tid: i32) -> Option<bool> {
    const KCMP_FILES: c_int = 2;
    // SAFETY: no memory is passed.
    unsafe { syscall!(Sysno::kcmp, gettid(), tid, KCMP_FILES, 0, 0) }.ok().map(|order| order == 0)
}

/// Lets the kernel copy a structure in: EFAULT if it is not readable.
pub fn copy_in<T: Copy>(from: *const T) -> Result<T, Errno> {
    let mut value = MaybeUninit::<T>::uninit();
    let local = libc::iovec { iov_base: value.as_mut_ptr().cast(), iov_len: size_of::<T>() };
    let remote = libc::iovec { iov_base: from.cast_mut().cast(), iov_len: size_of::<T>() };
    match copy_between(Sysno::process_vm_readv, &local, &remote)? {
        // SAFETY: every byte was written.
        n if n == size_of::<T>() => Ok(unsafe { value.assume_init() }),
        _ => Err(Errno::EFAULT),
    }
}

/// Lets the kernel copy a structure out: EFAULT if it is not writable.
pub fn copy_out<T: Copy>(to: *mut T, value: &T) -> Result<(), Errno> {
    copy_out_from(to.cast(), std::ptr::from_ref(value).cast(), size_of::<T>())
}

/// Lets the kernel copy bytes out.
pub fn copy_out_bytes(to: *mut u8, bytes: &[u8]) -> Result<(), Errno> {
    copy_out_from(to, bytes.as_ptr(), bytes.len())
}

fn copy_out_from(to: *mut u8, from: *const u8, size: usize) -> Result<(), Errno> {
    let local = libc::iovec { iov_base: from.cast_mut().cast(), iov_len: size };
    let remote = libc::iovec { iov_base: to.cast(), iov_len: size };
    if copy_between(Sysno::process_vm_writev, &local, &remote)? == size { Ok(()) } else { Err(Errno::EFAULT) }
}

/// process_vm_readv(2) or process_vm_writev(2) within this process. They take the process id, which
/// valgrind recognizes, unless the first thread has ended.
fn copy_between(call: Sysno, local: &libc::iovec, remote: &libc::iovec) -> Result<usize, Errno> {
    let copy = |id: i32| {
        // SAFETY: the kernel checks both ranges.
        unsafe { syscall!(call, id, std::ptr::from_ref(local), 1, std::ptr::from_ref(remote), 1, 0) }.map_err(errno)
    };
    match copy(getpid()) {
        Err(Errno::ESRCH) => copy(gettid()),
        answer => answer,
    }
}

/// Sleeps for `nanoseconds`, or until a signal handler has run. Not a cancellation point.
pub fn nap(nanoseconds: u32) {
    // By a call that the library makes anyway: a program may have a filter for others.
    futex_wait(&std::sync::atomic::AtomicU32::new(0), 0, Some(nanoseconds));
}

/// Sleeps while `word` has the value `expected`, for at most `nanoseconds`.
pub fn futex_wait(word: &std::sync::atomic::AtomicU32, expected: u32, nanoseconds: Option<u32>) {
    let limit = nanoseconds.map(|n| timespec { tv_sec: 0, tv_nsec: i64::from(n) });
    let limit: *const timespec = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `word` and `limit` outlive the call.
    let _ = unsafe {
        syscall!(Sysno::futex, word.as_ptr(), libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, expected, limit, 0, 0)
    };
}

/// Wakes up to `count` sleepers of `word`.
pub fn futex_wake(word: &std::sync::atomic::AtomicU32, count: i32) {
    // SAFETY: the kernel only uses the address as a key.
    let _ =
        unsafe { syscall!(Sysno::futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, count, 0, 0, 0) };
}

/// A duration in nanoseconds as a timespec.
pub fn timespec_of(ns: u64) -> timespec {
    timespec { tv_sec: (ns / 1_000_000_000).cast_signed(), tv_nsec: (ns % 1_000_000_000).cast_signed() }
}

/// Nanoseconds of the monotonic clock, as the library's sleeps count them: an interposer that fakes
/// the time has already converted the program's times.
pub fn now() -> u64 {
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable; the next clock_gettime usually needs no system call.
    unsafe { real::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Nanoseconds of the wall clock.
pub fn wall_now() -> u64 {
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: as in `now`.
    unsafe { real::clock_gettime(libc::CLOCK_REALTIME, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Milliseconds of the monotonic clock at its last tick, which is a few milliseconds old and costs
/// next to nothing.
pub fn coarse_ms() -> u64 {
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: as in `now`.
    unsafe { real::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1000 + time.tv_nsec.cast_unsigned() / 1_000_000
}

// The rules define epoll's bits without libc.
const _: () = {
    use crate::events;
    let pairs = [
        (events::IN, libc::POLLIN, libc::EPOLLIN),
        (events::PRI, libc::POLLPRI, libc::EPOLLPRI),
        (events::OUT, libc::POLLOUT, libc::EPOLLOUT),
        (events::ERR, libc::POLLERR, libc::EPOLLERR),
        (events::HUP, libc::POLLHUP, libc::EPOLLHUP),
        (events::NVAL, libc::POLLNVAL, libc::POLLNVAL as i32),
        (events::RDNORM, libc::POLLRDNORM, libc::EPOLLRDNORM),
        (events::RDBAND, libc::POLLRDBAND, libc::EPOLLRDBAND),
        (events::WRNORM, libc::POLLWRNORM, libc::EPOLLWRNORM),
        (events::WRBAND, libc::POLLWRBAND, libc::EPOLLWRBAND),
        (events::MSG, events::MSG.cast_signed(), libc::EPOLLMSG),
        (events::RDHUP, libc::POLLRDHUP, libc::EPOLLRDHUP),
    ];
    let mut at = 0;
    while at < pairs.len() {
        let (ours, poll, epoll) = pairs[at];
        assert!(ours == poll.cast_unsigned() && ours as i32 == epoll);
        at += 1;
    }
    assert!(events::EDGE == libc::EPOLLET as u32 && events::ONESHOT == libc::EPOLLONESHOT as u32);
    assert!(events::EXCLUSIVE == libc::EPOLLEXCLUSIVE as u32 && events::WAKEUP == libc::EPOLLWAKEUP as u32);
};
