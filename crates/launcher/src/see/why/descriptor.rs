//! A descriptor of another process, looked at through a copy that exists for microseconds.
//!
//! A look must change nothing. So there is no poll of a kind whose poll takes something away
//! (files of sysfs and `/proc`, perf events), or belongs to the caller (signalfd), and none of a
//! TCP connection without room, where poll would ask the kernel for a wake-up. SO_ERROR is never
//! read, because that clears it.

use super::super::words;
use epolyfill_facts::Kind;
use nix::errno::Errno;
use nix::sys::socket::{SockaddrLike, SockaddrStorage, getpeername, getsockname};
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;
use syscalls::{Sysno, syscall};

/// What a look shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The number is not open.
    pub is_closed: bool,
    /// The kind with its addresses, or its name: "tcp 127.0.0.1:80 <- 127.0.0.1:4711".
    pub words: String,
    pub is_listener: bool,
    /// Whether programs leave it unread on purpose: eventfd, timerfd, pidfd.
    pub is_signal: bool,
    /// The levels that are high; `None` if a look could change something.
    pub levels: Option<u32>,
    /// The amount that can be read: bytes, or the connections of a listener.
    pub unread: Option<u64>,
    /// The bytes in the send buffer, and its size, if there is no room to write.
    pub full: Option<(u64, u64)>,
    /// The time since the last data came.
    pub last_came: Option<Duration>,
}

impl Look {
    /// Whether something can be read, as far as the look shows.
    pub fn is_readable(&self) -> bool {
        let is_high = self.levels.is_some_and(|levels| levels & libc::EPOLLIN as u32 != 0);
        is_high || self.unread.is_some_and(|count| count > 0)
    }

    /// What is unread, in words.
    pub fn unread_words(&self) -> Option<String> {
        let noun = if self.is_listener { "connection" } else { "byte" };
        self.unread.filter(|count| *count > 0).map(|count| words::counted(count, noun) + " unread")
    }
}

/// A process whose descriptors can be copied.
#[derive(Debug)]
pub struct Descriptors {
    pid: i32,
    process: OwnedFd,
}

impl Descriptors {
    pub fn of(pid: i32) -> Result<Descriptors, Errno> {
        // SAFETY: no pointers. The descriptor is new.
        let process = unsafe { syscall!(Sysno::pidfd_open, pid, 0).map(|fd| OwnedFd::from_raw_fd(fd as i32)) };
        Ok(Descriptors { pid, process: process.map_err(|errno| Errno::from_raw(errno.into_raw()))? })
    }

    /// Looks at a descriptor.
    pub fn look(&self, number: i32) -> Look {
        let link = fs::read_link(format!("/proc/{}/fd/{number}", self.pid));
        let link = link.map(|link| link.to_string_lossy().into_owned()).unwrap_or_default();
        // SAFETY: no pointers. The descriptor is new.
        let copy = unsafe {
            syscall!(Sysno::pidfd_getfd, self.process.as_raw_fd(), number, 0).map(|fd| OwnedFd::from_raw_fd(fd as i32))
        };
        match copy.map_err(|errno| Errno::from_raw(errno.into_raw())) {
            Ok(copy) => look(&copy, &link),
            Err(Errno::EBADF) => Look { is_closed: true, words: "closed".to_owned(), ..Look::default() },
            Err(_) => Look { words: link, ..Look::default() },
        }
    }
}

fn look(fd: &OwnedFd, link: &str) -> Look {
    let kind = kind(fd, link);
    let mut look = Look {
        words: describe(fd, kind, link),
        is_listener: matches!(kind, Kind::TcpListener | Kind::UnixListener),
        is_signal: matches!(kind, Kind::Eventfd | Kind::Timerfd | Kind::Pidfd),
        ..Look::default()
    };
    match kind {
        Kind::Tcp | Kind::TcpListener => look_at_tcp(fd, kind, &mut look),
        Kind::Udp
        | Kind::UnixStream
        | Kind::UnixSeqpacket
        | Kind::UnixDgram
        | Kind::Pipe
        | Kind::Fifo
        | Kind::Tty
        | Kind::Inotify => look.unread = unread(fd),
        _ => {}
    }
    look.levels = match kind {
        Kind::Tcp if look.full.is_some() => None,
        Kind::Tcp
        | Kind::TcpListener
        | Kind::Udp
        | Kind::UnixStream
        | Kind::UnixSeqpacket
        | Kind::UnixListener
        | Kind::Pipe
        | Kind::Fifo
        | Kind::Eventfd
        | Kind::Timerfd
        | Kind::Inotify
        | Kind::Pidfd
        | Kind::Tty => levels(fd, libc::POLLOUT),
        Kind::UnixDgram => levels(fd, 0),
        _ => None,
    };
    look
}

/// The levels that poll shows, with or without that of room to write.
fn levels(fd: &OwnedFd, room: libc::c_short) -> Option<u32> {
    let events = libc::POLLIN | libc::POLLPRI | libc::POLLRDHUP | room;
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    // SAFETY: an array of one.
    let found = unsafe { libc::poll(&raw mut entry, 1, 0) };
    (found >= 0).then_some(u32::from(entry.revents.cast_unsigned()))
}

fn unread(fd: &OwnedFd) -> Option<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: FIONREAD writes an int.
    let answer = unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    if answer == 0 { u64::try_from(bytes).ok() } else { None }
}

/// An option of a socket, as words of four bytes. Returns how many there are.
fn option(fd: &OwnedFd, level: libc::c_int, name: libc::c_int, words: &mut [u32]) -> Option<usize> {
    let mut bytes = size_of_val(words) as libc::socklen_t;
    // SAFETY: the kernel writes at most as many bytes as the array has.
    let answer = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, words.as_mut_ptr().cast(), &raw mut bytes) };
    (answer == 0).then_some(bytes as usize / size_of::<u32>())
}

fn look_at_tcp(fd: &OwnedFd, kind: Kind, look: &mut Look) {
    /// Places in `struct tcp_info`, in words.
    const UNACKED: usize = 6;
    const LAST_DATA_RECV: usize = 13;
    /// Places in the answer of SO_MEMINFO.
    const SNDBUF: usize = 3;
    const WMEM_QUEUED: usize = 5;
    let mut info = [0; 26];
    let known = option(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info).unwrap_or(0);
    if kind == Kind::TcpListener {
        look.unread = (known > UNACKED).then(|| info[UNACKED].into());
        return;
    }
    look.unread = unread(fd);
    look.last_came = (known > LAST_DATA_RECV).then(|| Duration::from_millis(info[LAST_DATA_RECV].into()));
    let mut memory = [0; 9];
    if option(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, &mut memory).unwrap_or(0) > WMEM_QUEUED {
        let (queued, size) = (u64::from(memory[WMEM_QUEUED]), u64::from(memory[SNDBUF]));
        // As `sk_stream_is_writeable`: a third must be free.
        look.full = (size.saturating_sub(queued) < queued / 2).then_some((queued, size));
    }
}

fn kind(fd: &OwnedFd, link: &str) -> Kind {
    match link {
        _ if link.starts_with("socket:") => socket_kind(fd),
        _ if link.starts_with("pipe:") => Kind::Pipe,
        "anon_inode:[eventpoll]" => Kind::Epoll,
        "anon_inode:[eventfd]" => Kind::Eventfd,
        "anon_inode:[timerfd]" => Kind::Timerfd,
        "anon_inode:[signalfd]" => Kind::Signalfd,
        "anon_inode:inotify" => Kind::Inotify,
        "anon_inode:[pidfd]" => Kind::Pidfd,
        "anon_inode:[io_uring]" => Kind::IoUring,
        _ if link.starts_with("pidfd:") => Kind::Pidfd,
        _ if link.starts_with("/dev/pts/") || link.starts_with("/dev/tty") => Kind::Tty,
        _ => match nix::sys::stat::fstat(fd) {
            Ok(stat) if stat.st_mode & libc::S_IFMT == libc::S_IFIFO => Kind::Fifo,
            _ => Kind::Other,
        },
    }
}

fn socket_kind(fd: &OwnedFd) -> Kind {
    let get = |name: libc::c_int| {
        let mut word = [0];
        option(fd, libc::SOL_SOCKET, name, &mut word).map_or(0, |_| word[0].cast_signed())
    };
    let listens = get(libc::SO_ACCEPTCONN) != 0;
    match (get(libc::SO_DOMAIN), get(libc::SO_TYPE), get(libc::SO_PROTOCOL)) {
        (libc::AF_UNIX, _, _) if listens => Kind::UnixListener,
        (libc::AF_UNIX, libc::SOCK_STREAM, _) => Kind::UnixStream,
        (libc::AF_UNIX, libc::SOCK_SEQPACKET, _) => Kind::UnixSeqpacket,
        (libc::AF_UNIX, _, _) => Kind::UnixDgram,
        (libc::AF_INET | libc::AF_INET6, _, libc::IPPROTO_TCP) if listens => Kind::TcpListener,
        (libc::AF_INET | libc::AF_INET6, _, libc::IPPROTO_TCP) => Kind::Tcp,
        (libc::AF_INET | libc::AF_INET6, _, libc::IPPROTO_UDP) => Kind::Udp,
        (libc::AF_INET | libc::AF_INET6, _, libc::IPPROTO_MPTCP) => Kind::Mptcp,
        (libc::AF_NETLINK, _, _) => Kind::Netlink,
        _ => Kind::Socket,
    }
}

fn describe(fd: &OwnedFd, kind: Kind, link: &str) -> String {
    let name = kind.name();
    let addresses = match kind {
        Kind::Tcp | Kind::TcpListener | Kind::Mptcp | Kind::Udp => {
            let [own, peer] = [own(fd), peer(fd)];
            own.map_or(String::new(), |own| match peer {
                Some(peer) => format!(" {own} <- {peer}"),
                None => format!(" {own}"),
            })
        }
        Kind::UnixStream | Kind::UnixSeqpacket | Kind::UnixDgram | Kind::UnixListener => {
            own(fd).or_else(|| peer(fd)).map_or(String::new(), |path| format!(" {path}"))
        }
        Kind::Fifo | Kind::Tty | Kind::Other => format!(" {link}"),
        _ => String::new(),
    };
    name.to_owned() + &addresses
}

fn own(fd: &OwnedFd) -> Option<String> {
    getsockname::<SockaddrStorage>(fd.as_raw_fd()).ok().and_then(|address| address_words(&address))
}

fn peer(fd: &OwnedFd) -> Option<String> {
    getpeername::<SockaddrStorage>(fd.as_raw_fd()).ok().and_then(|address| address_words(&address))
}

fn address_words(address: &SockaddrStorage) -> Option<String> {
    let bytes = address.len() as usize;
    match address.as_unix_addr() {
        // Without a name there is the family only.
        Some(_) if bytes <= size_of::<libc::sa_family_t>() => None,
        Some(unix) => match (unix.path(), unix.as_abstract()) {
            (Some(path), _) => Some(path.display().to_string()),
            (None, Some(name)) => Some(format!("@{}", String::from_utf8_lossy(name))),
            (None, None) => None,
        },
        None => Some(address.to_string()),
    }
}
