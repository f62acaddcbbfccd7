//! The calls of libc that histories make, by libc's names: the library under test interposes them.

use std::ffi::CString;
use std::ptr::{null, null_mut};

use libc::{c_int, c_void, epoll_event, iovec, itimerspec, mmsghdr, msghdr, sockaddr_in, sockaddr_un, timespec};

use crate::kernel::{self, Answer};

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

/// Closes through a stream.
pub fn close_stream(fd: c_int) -> Answer {
    let flags = status_flags(fd)?;
    let mode = match flags & libc::O_ACCMODE {
        libc::O_RDONLY => c"r",
        libc::O_WRONLY => c"w",
        _ => c"r+",
    };
    // SAFETY: the stream is closed once, and nothing else uses it.
    unsafe {
        let stream = libc::fdopen(fd, mode.as_ptr());
        if stream.is_null() {
            return Err(errno());
        }
        answer(libc::fclose(stream))
    }
}

fn status_flags(fd: c_int) -> Answer {
    // SAFETY: no pointers.
    answer(unsafe { libc::fcntl(fd, libc::F_GETFL) })
}

pub fn epoll_ctl(epfd: c_int, op: c_int, fd: c_int, event: Option<&mut epoll_event>) -> Answer {
    // SAFETY: the event is a reference, or NULL.
    answer(unsafe { libc::epoll_ctl(epfd, op, fd, event.map_or(null_mut(), std::ptr::from_mut)) })
}

/// # Safety
/// `events` must have room for `max` events, or be an address that the kernel refuses.
pub unsafe fn epoll_wait(epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) -> Answer {
    // SAFETY: guaranteed by the caller.
    answer(unsafe { libc::epoll_wait(epfd, events, max, timeout) })
}

/// # Safety
/// As for [`epoll_wait`].
pub unsafe fn epoll_pwait(epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) -> Answer {
    // SAFETY: guaranteed by the caller; the mask is NULL.
    answer(unsafe { libc::epoll_pwait(epfd, events, max, timeout, null()) })
}

/// # Safety
/// As for [`epoll_wait`].
pub unsafe fn epoll_pwait2(epfd: c_int, events: *mut epoll_event, max: c_int, limit: &timespec) -> Answer {
    // SAFETY: guaranteed by the caller; the mask is NULL.
    answer(unsafe { libc::epoll_pwait2(epfd, events, max, limit, null()) })
}

/// poll on one descriptor, with timeout 0.
pub fn poll(fd: c_int, events: i16) -> (Answer, i16) {
    let mut entry = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one entry.
    let answer = answer(unsafe { libc::poll(&raw mut entry, 1, 0) });
    (answer, entry.revents)
}

pub fn pair_of_pipes(flags: c_int) -> Result<[c_int; 2], i32> {
    let mut fds = [0; 2];
    // SAFETY: room for two.
    answer(unsafe { libc::pipe2(fds.as_mut_ptr(), flags | libc::O_NONBLOCK | libc::O_CLOEXEC) }).map(|_| fds)
}

pub fn pair_of_sockets(kind: c_int) -> Result<[c_int; 2], i32> {
    let mut fds = [0; 2];
    let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: room for two.
    answer(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) }).map(|_| fds)
}

pub fn open(path: &str, flags: c_int) -> Answer {
    let path = CString::new(path).map_err(|_| libc::EINVAL)?;
    // SAFETY: a terminated path.
    answer(unsafe { libc::open(path.as_ptr(), flags | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY, 0o600) })
}

pub fn make_fifo(path: &str) -> Answer {
    let path = CString::new(path).map_err(|_| libc::EINVAL)?;
    // SAFETY: a terminated path.
    answer(unsafe { libc::mkfifo(path.as_ptr(), 0o600) })
}

pub fn memory_file(size: i64) -> Answer {
    // SAFETY: a terminated name.
    let fd = answer(unsafe { libc::memfd_create(c"judge".as_ptr(), libc::MFD_CLOEXEC) })?;
    // SAFETY: no pointers.
    answer(unsafe { libc::ftruncate(fd, size) })?;
    Ok(fd)
}

pub fn watch_file(inotify: c_int, path: &str, mask: u32) -> Answer {
    let path = CString::new(path).map_err(|_| libc::EINVAL)?;
    // SAFETY: a terminated path.
    answer(unsafe { libc::inotify_add_watch(inotify, path.as_ptr(), mask) })
}

pub fn terminal_of(master: c_int) -> Answer {
    // SAFETY: TIOCGPTPEER takes flags and returns a descriptor.
    answer(unsafe {
        libc::ioctl(master, libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC)
    })
}

/// Discards the input of a terminal, sets its modes to their present values, or does both; stops or
/// restarts its output.
pub fn control_terminal(fd: c_int, how: i64) -> Answer {
    // SAFETY: zeroes are a valid termios, which the first call fills in.
    answer(unsafe {
        let mut termios: libc::termios = std::mem::zeroed();
        match how {
            0 => libc::tcflush(fd, libc::TCIFLUSH),
            1 | 2 if libc::tcgetattr(fd, &raw mut termios) < 0 => -1,
            1 => libc::tcsetattr(fd, libc::TCSANOW, &raw const termios),
            2 => libc::tcsetattr(fd, libc::TCSAFLUSH, &raw const termios),
            3 => libc::tcflow(fd, libc::TCOOFF),
            _ => libc::tcflow(fd, libc::TCOON),
        }
    })
}

/// Makes a terminal pass bytes unchanged.
pub fn make_raw(fd: c_int) {
    // SAFETY: zeroes are a valid termios, which the first call fills in.
    unsafe {
        let mut termios: libc::termios = std::mem::zeroed();
        if libc::tcgetattr(fd, &raw mut termios) == 0 {
            libc::cfmakeraw(&raw mut termios);
            libc::tcsetattr(fd, libc::TCSANOW, &raw const termios);
        }
    }
}

/// Makes a signalfd for these signals, or sets the mask of an existing one.
pub fn signalfd(fd: c_int, signals: &[c_int]) -> Answer {
    let set = signal_set(signals);
    // SAFETY: the set is initialized.
    answer(unsafe { libc::signalfd(fd, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) })
}

fn signal_set(signals: &[c_int]) -> libc::sigset_t {
    // SAFETY: sigemptyset makes it a valid set.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for &signal in signals {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

/// Blocks the signals in this thread.
pub fn block_signals(signals: &[c_int]) {
    let set = signal_set(signals);
    // SAFETY: the set is initialized.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, null_mut()) };
}

/// Consumes the pending ones of these signals.
pub fn take_signals(signals: &[c_int]) {
    let set = signal_set(signals);
    let now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time are initialized, and the information is not requested.
    while unsafe { libc::sigtimedwait(&raw const set, null_mut(), &raw const now) } > 0 {}
}

/// Sets a timer: the first expiration and the period, in nanoseconds.
pub fn set_timer(fd: c_int, first: i64, period: i64) -> Answer {
    let time = |ns: i64| timespec { tv_sec: ns / 1_000_000_000, tv_nsec: ns % 1_000_000_000 };
    let new = itimerspec { it_interval: time(period), it_value: time(first) };
    // SAFETY: the time is initialized; the old one is not requested.
    answer(unsafe { libc::timerfd_settime(fd, 0, &raw const new, null_mut()) })
}

pub fn set_option(fd: c_int, level: c_int, name: c_int, value: c_int) -> Answer {
    let length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: an int of its length.
    answer(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), length) })
}

/// Makes the next close reset the connection.
pub fn reset_on_close(fd: c_int) -> Answer {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let length = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: a linger of its length.
    answer(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), length) })
}

const SEND_BUFFER: usize = 3;
const QUEUED: usize = 5;

/// Whether a TCP socket has no room, without a look at its level, which would set SOCK_NOSPACE.
pub fn is_brimful(fd: c_int) -> bool {
    memory_of(fd).is_some_and(|memory| is_full(memory[SEND_BUFFER], memory[QUEUED]))
}

/// Whether a TCP socket may have no room for a moment during a write of `n` bytes.
pub fn may_fill(fd: c_int, n: usize) -> bool {
    // The overhead of each piece of a page.
    const HEAD: usize = 1024;
    let taken = n + (n / 4096 + 1) * HEAD;
    memory_of(fd).is_some_and(|memory| is_full(memory[SEND_BUFFER], memory[QUEUED].saturating_add(taken as u32)))
}

fn is_full(limit: u32, queued: u32) -> bool {
    limit.saturating_sub(queued) < queued >> 1
}

/// Whether the process has other threads than this one.
pub fn has_other_threads() -> bool {
    const ALONE: u64 = 3;
    std::fs::metadata("/proc/self/task").is_ok_and(|tasks| std::os::unix::fs::MetadataExt::nlink(&tasks) > ALONE)
}

/// The progress of a TCP connection: its state, the bytes that it sent and that were acknowledged,
/// and the bytes that it received.
pub type Progress = (u8, u64, u64);

pub fn progress(fd: c_int) -> Option<Progress> {
    const ACKNOWLEDGED: usize = 120;
    const RECEIVED: usize = 128;
    let mut info = [0u8; 136];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: room for as many bytes.
    let asked =
        unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length) };
    let number = |at: usize| info[at..at + 8].try_into().map(u64::from_ne_bytes).ok();
    (asked == 0).then_some((info[0], number(ACKNOWLEDGED)?, number(RECEIVED)?))
}

/// The values of SO_MEMINFO.
fn memory_of(fd: c_int) -> Option<[u32; 9]> {
    const SO_MEMINFO: c_int = 55;
    let mut memory = [0u32; 9];
    let mut length = size_of_val(&memory) as libc::socklen_t;
    // SAFETY: room for nine numbers.
    let asked =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, SO_MEMINFO, memory.as_mut_ptr().cast(), &raw mut length) };
    (asked == 0).then_some(memory)
}

/// The options that a step sets. The numbers are those of its `option`.
pub const OPTIONS: [(&str, c_int, c_int); 6] = [
    ("SO_SNDBUF", libc::SOL_SOCKET, libc::SO_SNDBUF),
    ("SO_RCVBUF", libc::SOL_SOCKET, libc::SO_RCVBUF),
    ("IP_RECVERR", libc::IPPROTO_IP, libc::IP_RECVERR),
    ("SO_TIMESTAMPING", libc::SOL_SOCKET, libc::SO_TIMESTAMPING),
    ("SO_RCVLOWAT", libc::SOL_SOCKET, libc::SO_RCVLOWAT),
    ("TCP_NOTSENT_LOWAT", libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT),
];

/// Takes the next entry from the error queue.
pub fn take_error(fd: c_int) -> Outcome {
    let (mut data, mut control) = ([0u8; 512], [0u64; 64]);
    let mut part = [iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() }];
    let mut message = message(&mut part);
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: the message points at locals of these lengths.
    outcome(unsafe { libc::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT | libc::MSG_ERRQUEUE) })
}

pub fn socket_error(fd: c_int) -> Outcome {
    let mut error: c_int = 0;
    let mut length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: room for an int.
    let asked =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut error).cast(), &raw mut length) };
    answer(asked).map(|_| i64::from(error))
}

/// An address of a socket.
#[derive(Clone, Copy, Debug)]
pub enum Address {
    /// 127.x.y.z as a number, and a port.
    Internet(u32, u16),
    /// A number that names an abstract unix socket of this process.
    Unix(u32),
}

impl Address {
    fn with<T>(self, call: impl FnOnce(*const libc::sockaddr, libc::socklen_t) -> T) -> T {
        match self {
            Address::Internet(host, port) => {
                // SAFETY: zeroes are a valid address.
                let mut address: sockaddr_in = unsafe { std::mem::zeroed() };
                address.sin_family = libc::AF_INET as libc::sa_family_t;
                address.sin_port = port.to_be();
                address.sin_addr.s_addr = host.to_be();
                call((&raw const address).cast(), size_of::<sockaddr_in>() as libc::socklen_t)
            }
            Address::Unix(name) => {
                // SAFETY: zeroes are a valid address.
                let mut address: sockaddr_un = unsafe { std::mem::zeroed() };
                address.sun_family = libc::AF_UNIX as libc::sa_family_t;
                let text = format!("\0epolyfill-judge-{}-{name}", std::process::id());
                for (place, byte) in address.sun_path.iter_mut().zip(text.bytes()) {
                    *place = byte.cast_signed();
                }
                let length = std::mem::offset_of!(sockaddr_un, sun_path) + text.len();
                call((&raw const address).cast(), length as libc::socklen_t)
            }
        }
    }
}

pub fn bind(fd: c_int, to: Address) -> Answer {
    // SAFETY: the address lives during the call.
    to.with(|address, length| answer(unsafe { libc::bind(fd, address, length) }))
}

pub fn connect(fd: c_int, to: Address) -> Answer {
    // SAFETY: the address lives during the call.
    to.with(|address, length| answer(unsafe { libc::connect(fd, address, length) }))
}

/// Connects by a write of one byte, made by one of three calls.
pub fn connect_by_write(fd: c_int, to: Address, how: i64) -> Outcome {
    let flags = libc::MSG_FASTOPEN | libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    let mut byte = b"x".to_owned();
    let mut part = [iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 }];
    let mut message = message(&mut part);
    to.with(|address, length| {
        message.msg_name = address.cast_mut().cast();
        message.msg_namelen = length;
        // SAFETY: the address and the byte live during the call.
        outcome(unsafe {
            match how {
                1 => libc::sendmsg(fd, &raw const message, flags),
                2 => libc::syscall(libc::SYS_sendto, fd, byte.as_ptr(), 1, flags, address, length) as isize,
                _ => libc::sendto(fd, byte.as_ptr().cast(), 1, flags, address, length),
            }
        })
    })
}

pub fn disconnect(fd: c_int) -> Answer {
    // SAFETY: zeroes are an address of no family.
    let none: libc::sockaddr = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    answer(unsafe { libc::connect(fd, &raw const none, size_of::<libc::sockaddr>() as libc::socklen_t) })
}

pub fn port_of(fd: c_int) -> Result<u16, i32> {
    // SAFETY: zeroes are a valid address.
    let mut address: sockaddr_in = unsafe { std::mem::zeroed() };
    let mut length = size_of::<sockaddr_in>() as libc::socklen_t;
    // SAFETY: room for an address.
    answer(unsafe { libc::getsockname(fd, (&raw mut address).cast(), &raw mut length) })?;
    Ok(u16::from_be(address.sin_port))
}

pub fn accept(fd: c_int) -> Answer {
    // SAFETY: the address is not requested.
    answer(unsafe { libc::accept4(fd, null_mut(), null_mut(), libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) })
}

fn parts(at: *mut u8, n: usize) -> [iovec; 2] {
    let half = n / 2;
    [
        iovec { iov_base: at.cast(), iov_len: half },
        iovec { iov_base: at.wrapping_add(half).cast::<c_void>(), iov_len: n - half },
    ]
}

fn message(parts: &mut [iovec]) -> msghdr {
    // SAFETY: zeroes are a valid message.
    let mut message: msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = parts.len();
    message
}

/// The ways in which a step writes. The indices are the numbers of its `how`.
pub const WRITES: [&str; 13] = [
    "write",
    "writev",
    "send",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "sendfile",
    "splice",
    "vmsplice",
    "pwritev2",
    "eventfd_write",
    "syscall",
    "tee",
];

/// The ways in which a step reads.
pub const READS: [&str; 12] = [
    "read",
    "readv",
    "recv",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "preadv2",
    "splice",
    "vmsplice",
    "recv-trunc",
    "eventfd_read",
    "syscall",
];

/// The judge's own descriptors, which are not watched: a file and a pipe for the calls that move
/// data between two.
#[derive(Debug)]
pub struct Tools {
    file: c_int,
    pipe: [c_int; 2],
}

impl Tools {
    pub fn new() -> Result<Tools, i32> {
        Ok(Tools { file: memory_file(1 << 20)?, pipe: pair_of_pipes(0)? })
    }

    fn empty(&self, buffer: &mut [u8]) {
        while kernel::read(self.pipe[0], buffer) > 0 {}
    }

    /// Writes `buffer` to `fd` in one of the ways of [`WRITES`], or twice the buffer by sendmmsg;
    /// for an eventfd it is the number to add. Returns a number of bytes.
    pub fn write(&self, fd: c_int, buffer: &mut [u8], how: i64) -> Outcome {
        let (at, n) = (buffer.as_mut_ptr(), buffer.len());
        let quiet = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        let mut halves = parts(at, n);
        // SAFETY: all pointers are to locals, or into the buffer, whose length is passed.
        outcome(unsafe {
            match how {
                1 => libc::writev(fd, halves.as_ptr(), 2),
                2 => libc::send(fd, at.cast(), n, quiet),
                3 => libc::sendto(fd, at.cast(), n, quiet, null(), 0),
                4 => libc::sendmsg(fd, &raw const *Box::new(message(&mut halves)), quiet),
                5 => {
                    let mut again = parts(at, n);
                    let mut messages = [
                        mmsghdr { msg_hdr: message(&mut halves), msg_len: 0 },
                        mmsghdr { msg_hdr: message(&mut again), msg_len: 0 },
                    ];
                    // The last message may have been cut short, so the result is a number of bytes.
                    match libc::sendmmsg(fd, messages.as_mut_ptr(), 2, quiet) {
                        sent @ 0.. => messages[..sent as usize].iter().map(|message| message.msg_len as isize).sum(),
                        failed => failed as isize,
                    }
                }
                6 => {
                    let mut from = 0;
                    libc::sendfile(fd, self.file, &raw mut from, n)
                }
                7 | 12 => {
                    let n = kernel::write(self.pipe[1], &buffer[..n.min(32768)]).max(0) as usize;
                    let flags = libc::SPLICE_F_NONBLOCK;
                    let moved = if how == 7 {
                        libc::splice(self.pipe[0], null_mut(), fd, null_mut(), n, flags)
                    } else {
                        libc::tee(self.pipe[0], fd, n, flags)
                    };
                    let failed = errno();
                    self.empty(buffer);
                    *libc::__errno_location() = failed;
                    moved
                }
                8 => libc::vmsplice(fd, halves.as_ptr(), 2, libc::SPLICE_F_NONBLOCK),
                9 => libc::pwritev2(fd, halves.as_ptr(), 2, -1, 0),
                10 => {
                    libc::eventfd_write(fd, buffer.first_chunk().map_or(1, |bytes| u64::from_ne_bytes(*bytes))) as isize
                }
                11 => libc::syscall(libc::SYS_write, fd, at, n) as isize,
                _ => libc::write(fd, at.cast(), n),
            }
        })
    }

    /// Reads from `fd` in one of the ways of [`READS`].
    pub fn read(&self, fd: c_int, buffer: &mut [u8], how: i64) -> Outcome {
        let (at, n) = (buffer.as_mut_ptr(), buffer.len());
        let mut halves = parts(at, n);
        // SAFETY: all pointers are to locals, or into the buffer, whose length is passed.
        outcome(unsafe {
            match how {
                1 => libc::readv(fd, halves.as_ptr(), 2),
                2 => libc::recv(fd, at.cast(), n, libc::MSG_DONTWAIT),
                3 => libc::recvfrom(fd, at.cast(), n, libc::MSG_DONTWAIT, null_mut(), null_mut()),
                4 => libc::recvmsg(fd, &raw mut *Box::new(message(&mut halves)), libc::MSG_DONTWAIT),
                5 => {
                    let mut again = parts(at, n);
                    let mut messages = [
                        mmsghdr { msg_hdr: message(&mut halves), msg_len: 0 },
                        mmsghdr { msg_hdr: message(&mut again), msg_len: 0 },
                    ];
                    libc::recvmmsg(fd, messages.as_mut_ptr(), 2, libc::MSG_DONTWAIT, null_mut()) as isize
                }
                6 => libc::preadv2(fd, halves.as_ptr(), 2, -1, 0),
                7 => {
                    let flags = libc::SPLICE_F_NONBLOCK;
                    let moved = libc::splice(fd, null_mut(), self.pipe[1], null_mut(), n.min(65536), flags);
                    let failed = errno();
                    self.empty(buffer);
                    *libc::__errno_location() = failed;
                    moved
                }
                8 => libc::vmsplice(fd, halves.as_ptr(), 2, libc::SPLICE_F_NONBLOCK),
                9 => libc::recv(fd, at.cast(), n, libc::MSG_DONTWAIT | libc::MSG_TRUNC),
                10 => {
                    let mut value = 0;
                    libc::eventfd_read(fd, &raw mut value) as isize
                }
                11 => libc::syscall(libc::SYS_read, fd, at, n) as isize,
                _ => libc::read(fd, at.cast(), n),
            }
        })
    }
}

/// The longest message in a queue.
pub const MESSAGE_BYTES: usize = 64;

/// Makes a message queue with room for `room` messages, and removes its name.
pub fn message_queue(name: u32, room: i64) -> Answer {
    let path = CString::new(format!("/judge-{}-{name}", std::process::id())).map_err(|_| libc::EINVAL)?;
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NONBLOCK | libc::O_CLOEXEC;
    // SAFETY: zeroes are a valid mq_attr; the path is terminated.
    unsafe {
        let mut attributes: libc::mq_attr = std::mem::zeroed();
        attributes.mq_maxmsg = room;
        attributes.mq_msgsize = MESSAGE_BYTES as i64;
        let queue = answer(libc::mq_open(path.as_ptr(), flags, 0o600, &raw mut attributes))?;
        libc::mq_unlink(path.as_ptr());
        Ok(queue)
    }
}

pub fn send_message(queue: c_int, message: &[u8]) -> Outcome {
    // SAFETY: the message is as long as it says.
    outcome(unsafe { libc::mq_send(queue, message.as_ptr().cast(), message.len(), 0) as isize }).map(|_| 1)
}

pub fn receive_message(queue: c_int) -> Outcome {
    let mut message = [0u8; MESSAGE_BYTES];
    // SAFETY: the buffer is as long as it says.
    outcome(unsafe { libc::mq_receive(queue, message.as_mut_ptr().cast(), message.len(), null_mut()) }).map(|_| 1)
}

/// Sends netlink an empty request for an acknowledgement, which arrives at once.
pub fn ask_netlink(fd: c_int) -> Outcome {
    const NOTHING: u16 = 1;
    const REQUEST_AND_ACKNOWLEDGE: u16 = 5;
    let mut header = [0u8; 16];
    header[0] = 16;
    header[4..6].copy_from_slice(&NOTHING.to_ne_bytes());
    header[6..8].copy_from_slice(&REQUEST_AND_ACKNOWLEDGE.to_ne_bytes());
    // SAFETY: the header is as long as it says.
    outcome(unsafe { libc::send(fd, header.as_ptr().cast(), header.len(), libc::MSG_DONTWAIT) })
}

pub fn peek(fd: c_int, buffer: &mut [u8]) -> Outcome {
    let flags = libc::MSG_DONTWAIT | libc::MSG_PEEK;
    // SAFETY: the buffer is as long as it says.
    outcome(unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), flags) })
}

pub fn send_urgent(fd: c_int) -> Outcome {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | libc::MSG_OOB;
    // SAFETY: one byte.
    outcome(unsafe { libc::send(fd, b"!".as_ptr().cast(), 1, flags) })
}

pub fn read_urgent(fd: c_int) -> Outcome {
    let mut byte = 0u8;
    // SAFETY: room for one byte.
    outcome(unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, libc::MSG_DONTWAIT | libc::MSG_OOB) })
}

pub fn splice(from: c_int, to: c_int, n: usize) -> Outcome {
    // SAFETY: no offsets.
    outcome(unsafe { libc::splice(from, null_mut(), to, null_mut(), n, libc::SPLICE_F_NONBLOCK) })
}

pub fn tee(from: c_int, to: c_int, n: usize) -> Outcome {
    // SAFETY: no pointers.
    outcome(unsafe { libc::tee(from, to, n, libc::SPLICE_F_NONBLOCK) })
}

/// A child that sleeps until it is killed, and its pidfd. It shares the descriptor table, so it
/// keeps no descriptor open.
pub fn sleeping_child() -> Result<(c_int, c_int), i32> {
    let mut pidfd: c_int = -1;
    let flags = libc::CLONE_FILES | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: without CLONE_VM the child has its own memory, and only sleeps.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
    if pid == 0 {
        loop {
            // SAFETY: sleeps.
            unsafe { libc::pause() };
        }
    }
    if pid < 0 { Err(errno()) } else { Ok((pid as c_int, pidfd)) }
}

/// Kills a child, waits until it has ended, and reaps it. Its end and its removal are an event
/// each; `between` runs between them.
pub fn kill_child(pid: c_int, between: impl FnOnce()) {
    // SAFETY: a child of this process that has not been reaped; zeroes are a valid siginfo.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        let mut info = std::mem::zeroed();
        libc::waitid(libc::P_PID, pid.cast_unsigned(), &raw mut info, libc::WEXITED | libc::WNOWAIT | libc::__WALL);
    }
    between();
    // SAFETY: as above.
    unsafe { libc::waitpid(pid, null_mut(), libc::__WALL) };
}

/// Runs `work` in a forked child and waits for its end. Returns the result of `work`.
pub fn in_child(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child only makes system calls and exits.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            libc::_exit(c_int::from(work()));
        }
        let mut status = 0;
        pid > 0 && libc::waitpid(pid, &raw mut status, 0) == pid && libc::WEXITSTATUS(status) != 0
    }
}

/// The target of the symbolic link /proc/self/fd/N.
pub fn link_of(fd: c_int) -> String {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).map(|path| path.display().to_string()).unwrap_or_default()
}
