//! What an open file description is, as far as its edges differ, and whether epoll takes it at all (T3).

use libc::{c_int, stat};
use nix::errno::Errno;

use crate::events::{Bits, ERR, IN, INCOMING, NVAL, OUT, PRI, RDHUP, RDNORM, READABLE, WRITABLE};
use crate::sample::{self, TcpState};
use crate::sys;

/// Kinds of open file descriptions with their own rules of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Not looked at yet: only edge-triggered registrations need to know.
    Unidentified,
    /// One of our own instances.
    Epoll,
    /// Either end of an anonymous pipe.
    Pipe,
    /// A named pipe, whose other side may come back after a hang-up.
    Fifo,
    /// TCP, connected or on the way.
    Tcp,
    /// TCP, listening.
    TcpListener,
    /// UDP, v4 or v6.
    Udp,
    /// A unix stream socket.
    UnixStream,
    /// A unix sequenced-packet socket.
    UnixSeqpacket,
    /// A unix datagram socket.
    UnixDgram,
    /// A unix stream or sequenced-packet socket, listening.
    UnixListener,
    /// eventfd(2).
    Eventfd,
    /// eventfd(2) with EFD_SEMAPHORE.
    EventfdSemaphore,
    /// timerfd_create(2).
    Timerfd,
    /// signalfd(2).
    Signalfd,
    /// inotify(7).
    Inotify,
    /// pidfd_open(2).
    Pidfd,
    /// A terminal or pseudo-terminal, either side.
    Tty,
    /// One of our own readiness sources.
    Source,
    /// A connection of MPTCP.
    Mptcp,
    /// A netlink socket.
    Netlink,
    /// A socket of any other family or protocol: packet, raw and so on.
    Socket,
    /// A ring of io_uring(7), of the program's.
    IoUring,
    /// A message queue of mq_open(3).
    MessageQueue,
    /// userfaultfd(2).
    Userfault,
    /// A file of sysfs, or of a cgroup, and `/proc/mdstat`: a change shows with EPOLLPRI until it is read.
    Attribute,
    /// A setting of `/proc/sys`, a process's mounts, `/proc/swaps`: a change shows with EPOLLERR and EPOLLPRI, to one look only.
    Notice,
    /// A pressure file of `/proc`, or of a cgroup: what its trigger found shows with EPOLLPRI, to one look only.
    Pressure,
    /// A perf event, and `/proc/bus/input/devices`: what comes is readable to one look only.
    Glimpse,
    /// Anything else that can be polled.
    Other,
}

/// Where the number of arrivals on a description can be read off, for "was there one since I looked" (E1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// The kernel counts bytes received, whoever reads them.
    Received,
    /// Bytes queued now, plus those the witnesses saw taken.
    Queued,
    /// Connections waiting now, plus those the witnesses saw accepted.
    Backlog,
    /// Datagrams queued now, counted by peeking at each, plus those the witnesses saw taken.
    Datagrams,
    /// Connections that wait on a unix listener, as the kernel's socket diagnosis tells, plus those accepted.
    Diagnosed,
    /// The signals that are pending, plus those taken.
    Signals,
    /// Whether an expiration is unread, plus those the witnesses saw taken, or forgotten when the timer was set anew.
    Expirations,
    /// The memory of what is queued, which shows an arrival as long as nothing is taken.
    Memory,
    /// How often there was something, as `/proc` tells of the descriptor, or a call of its own.
    Listed,
    /// Nothing counts, but a program's own calls are the only way to another edge.
    Witnessed,
    /// Nothing counts, and anybody may add to it.
    Unknown,
}

impl Arrivals {
    /// Whether the count only grows, however much the program takes.
    pub const fn is_cumulative(self) -> bool {
        !matches!(self, Arrivals::Witnessed | Arrivals::Unknown)
    }

    /// Whether calls of this process are the only way to another edge while a level is unread.
    pub const fn is_private(self) -> bool {
        matches!(self, Arrivals::Witnessed | Arrivals::Expirations)
    }
}

impl Kind {
    /// The kind's source of arrivals.
    pub const fn arrivals(self) -> Arrivals {
        match self {
            Kind::Tcp => Arrivals::Received,
            Kind::Pipe
            | Kind::Fifo
            | Kind::UnixStream
            | Kind::UnixSeqpacket
            | Kind::Inotify
            | Kind::Tty
            | Kind::Mptcp => Arrivals::Queued,
            Kind::TcpListener => Arrivals::Backlog,
            Kind::Timerfd => Arrivals::Expirations,
            Kind::Epoll | Kind::Eventfd | Kind::EventfdSemaphore | Kind::Pidfd | Kind::Source => Arrivals::Witnessed,
            // Changes are no arrivals, and the other levels stay as they are.
            Kind::Attribute | Kind::Notice | Kind::Pressure | Kind::Glimpse => Arrivals::Witnessed,
            Kind::Udp | Kind::UnixDgram => Arrivals::Datagrams,
            Kind::UnixListener => Arrivals::Diagnosed,
            Kind::Signalfd => Arrivals::Signals,
            Kind::Netlink | Kind::Socket => Arrivals::Memory,
            Kind::IoUring | Kind::MessageQueue | Kind::Userfault => Arrivals::Listed,
            Kind::Unidentified | Kind::Other => Arrivals::Unknown,
        }
    }

    /// Whether it is a socket, or something that is not known.
    pub const fn may_be_socket(self) -> bool {
        use Kind::{
            Mptcp, Netlink, Other, Socket, Tcp, TcpListener, Udp, UnixDgram, UnixListener, UnixSeqpacket, UnixStream,
        };
        matches!(
            self,
            Tcp | TcpListener
                | Udp
                | UnixStream
                | UnixSeqpacket
                | UnixDgram
                | UnixListener
                | Mptcp
                | Netlink
                | Socket
                | Other
        )
    }

    /// Whether it has a queue of errors beside its data, of which what comes to it is counted.
    pub const fn queues_errors(self) -> bool {
        matches!(self, Kind::Tcp | Kind::Udp | Kind::Socket)
    }

    /// The levels that a look takes away (see `fleeting.rs`).
    pub const fn fleeting(self) -> Bits {
        match self {
            Kind::Notice => ERR | PRI,
            Kind::Pressure => PRI,
            Kind::Glimpse => IN | RDNORM,
            _ => 0,
        }
    }

    /// Whether a change shows in levels that come beside those that are always there.
    pub const fn shows_changes(self) -> bool {
        matches!(self, Kind::Attribute | Kind::Notice | Kind::Pressure | Kind::Glimpse)
    }

    /// A pipe, with a name or without.
    pub const fn is_pipe(self) -> bool {
        matches!(self, Kind::Pipe | Kind::Fifo)
    }

    /// An eventfd, of either mode.
    pub const fn is_eventfd(self) -> bool {
        matches!(self, Kind::Eventfd | Kind::EventfdSemaphore)
    }

    /// A unix socket that carries data: its queue towards the peer shows when the peer reads.
    pub const fn is_unix_data(self) -> bool {
        matches!(self, Kind::UnixStream | Kind::UnixSeqpacket | Kind::UnixDgram)
    }

    /// The bits besides `registered` that wake a registration of those. On a connection the peer's shutdown wakes every one,
    /// whatever its mask; on a socket what arrives wakes those that wait for urgent data, too. A signal and what happens
    /// to a file wake without any bit, and so every one.
    pub const fn wakes_with(self, registered: Bits) -> Bits {
        // Every registration, those that wait for what comes, and those that wait for room.
        let (always, incoming, writable) = match self {
            Kind::Tcp => (RDHUP, IN | PRI, OUT),
            Kind::Mptcp | Kind::UnixStream | Kind::UnixSeqpacket => (RDHUP, IN, OUT),
            Kind::Udp | Kind::UnixDgram | Kind::Netlink | Kind::Socket => (0, IN, OUT),
            Kind::TcpListener | Kind::UnixListener => (0, IN, 0),
            Kind::Signalfd | Kind::Inotify => (IN, 0, 0),
            Kind::Attribute | Kind::Notice | Kind::Pressure => (PRI, 0, 0),
            Kind::Glimpse => (IN | RDNORM, 0, 0),
            _ => (0, 0, 0),
        };
        let incoming = if registered & INCOMING != 0 { incoming } else { 0 };
        let writable = if registered & WRITABLE != 0 { writable } else { 0 };
        always | incoming | writable
    }

    /// Whether what arrives wakes every registration, so that one may be woken whose mask has none of what came.
    pub const fn wakes_any_mask(self) -> bool {
        self.wakes_with(0) & IN != 0
    }

    /// The bits that an arrival wakes with, as far as any registration can wait for them.
    pub const fn arrives_with(self) -> Bits {
        if matches!(self, Kind::Timerfd) { IN } else { IN | RDNORM }
    }

    /// Whether a hang-up is the end: nothing can become ready after it on this description, unless it is connected anew.
    pub const fn hangup_is_final(self) -> bool {
        matches!(self, Kind::Pipe | Kind::Tcp | Kind::UnixStream | Kind::UnixSeqpacket | Kind::Pidfd)
    }

    /// The kind behind its number.
    pub const fn from_u8(value: u8) -> Kind {
        const ALL: [Kind; 30] = [
            Kind::Unidentified,
            Kind::Epoll,
            Kind::Pipe,
            Kind::Fifo,
            Kind::Tcp,
            Kind::TcpListener,
            Kind::Udp,
            Kind::UnixStream,
            Kind::UnixSeqpacket,
            Kind::UnixDgram,
            Kind::UnixListener,
            Kind::Eventfd,
            Kind::EventfdSemaphore,
            Kind::Timerfd,
            Kind::Signalfd,
            Kind::Inotify,
            Kind::Pidfd,
            Kind::Tty,
            Kind::Source,
            Kind::Mptcp,
            Kind::Netlink,
            Kind::Socket,
            Kind::IoUring,
            Kind::MessageQueue,
            Kind::Userfault,
            Kind::Attribute,
            Kind::Notice,
            Kind::Pressure,
            Kind::Glimpse,
            Kind::Other,
        ];
        if (value as usize) < ALL.len() { ALL[value as usize] } else { Kind::Other }
    }
}

const PROC_SUPER_MAGIC: i64 = 0x9fa0;
const PID_FS_MAGIC: i64 = 0x5049_4446;
const CGROUP2_MAGIC: i64 = 0x6367_7270;
/// Those of kernfs: sysfs, cgroups of either version, resctrl.
const KERNFS: [i64; 4] = [0x6265_6572, CGROUP2_MAGIC, 0x0027_e0eb, 0x0765_5821];
/// File systems all of whose regular files have a poll: those of kernfs (sysfs, cgroup, resctrl), debugfs, mqueue, FUSE, and pidfds.
const POLLABLE_FILESYSTEMS: [i64; 8] =
    [0x6265_6572, 0x6367_7270, 0x0027_e0eb, 0x0765_5821, 0x6462_6720, MQUEUE_MAGIC, 0x6573_5546, PID_FS_MAGIC];
const MQUEUE_MAGIC: i64 = 0x1980_0202;
const PIPEFS_MAGIC: i64 = 0x5049_5045;

/// Whether epoll takes the description: EPERM where the file has no poll of its own (T3), EBADF where the number names a path only.
pub fn may_be_watched(fd: c_int, stat: &stat) -> Result<(), Errno> {
    let has_inode = stat.st_mode & libc::S_IFMT != 0;
    if has_inode && !sys::is_usable(fd) {
        return Err(Errno::EBADF);
    }
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFDIR | libc::S_IFBLK => Err(Errno::EPERM),
        libc::S_IFREG => regular_file(fd),
        0 => without_inode(fd),
        libc::S_IFCHR if memory_device(stat) || miscellaneous_device(fd, stat) => Err(Errno::EPERM),
        _ => Ok(()),
    }
}

/// The devices of major 1 that have no poll: mem, null, port, zero, full and urandom. `/dev/random` and `/dev/kmsg` have.
fn memory_device(stat: &stat) -> bool {
    libc::major(stat.st_rdev) == 1 && matches!(libc::minor(stat.st_rdev), 1..=5 | 7 | 9)
}

/// The poll of a file that has none: all four at once.
const NO_POLL: u16 = READABLE & !(libc::EPOLLRDBAND | libc::EPOLLMSG) as u16 | WRITABLE & !libc::EPOLLWRBAND as u16;

fn polls_as_if_without(fd: c_int) -> bool {
    sys::level(fd, NO_POLL) & NO_POLL == NO_POLL
}

/// The devices of major 10 that have no poll: kvm, loop-control, userfaultfd and so on, whose minors are partly dynamic. Those that
/// have one and may show all four bits nevertheless are tun, uinput, tpm, cuse, fuse, vhost, uhid and rfkill.
fn miscellaneous_device(fd: c_int, stat: &stat) -> bool {
    libc::major(stat.st_rdev) == 10
        && !matches!(libc::minor(stat.st_rdev), 200 | 203 | 223 | 224 | 229 | 238 | 239 | 241 | 242)
        && polls_as_if_without(fd)
}

/// Of what shares the anonymous inode only rings, seccomp's notifications and bpf maps have a poll that may show all four bits.
fn without_inode(fd: c_int) -> Result<(), Errno> {
    let level = sys::level(fd, NO_POLL);
    if level & NVAL != 0 {
        return Err(Errno::EBADF);
    }
    if level & NO_POLL != NO_POLL {
        return Ok(());
    }
    let mut buffer = [0; 64];
    match sys::descriptor_link(fd, &mut buffer) {
        Ok(b"anon_inode:[io_uring]" | b"anon_inode:seccomp notify" | b"anon_inode:bpf-map") => Ok(()),
        _ => Err(Errno::EPERM),
    }
}

/// Only pseudo file systems have regular files that can be polled.
fn regular_file(fd: c_int) -> Result<(), Errno> {
    let filesystem = sys::filesystem(fd)?;
    if POLLABLE_FILESYSTEMS.contains(&filesystem) {
        return Ok(());
    }
    // A process's mounts, trace_pipe and the like have one that shows.
    if !polls_as_if_without(fd) {
        return Ok(());
    }
    if filesystem != PROC_SUPER_MAGIC {
        return Err(Errno::EPERM);
    }
    // Those of /proc which do are pollable for epoll, but for a process's own; and the network is no process's own.
    let mut buffer = [0; 64];
    let link = sys::descriptor_link(fd, &mut buffer)?;
    let mut names = link.split(|&byte| byte == b'/').skip(2);
    let of_process = names.next().is_some_and(|name| name.first().is_some_and(u8::is_ascii_digit));
    let mut names = names.skip_while(|name| *name == b"task" || name.first().is_some_and(u8::is_ascii_digit));
    if of_process && names.next() != Some(b"net") { Err(Errno::EPERM) } else { Ok(()) }
}

/// Finds out what the description is.
pub fn identify(fd: c_int) -> Kind {
    sys::fstat(fd).map_or(Kind::Other, |stat| of_stat(fd, &stat).0)
}

/// Finds out what the description is, and of a TCP connection the state, which is found on the way. A few system calls: for
/// edge-triggered registrations only.
pub fn of_stat(fd: c_int, stat: &stat) -> (Kind, Option<TcpState>) {
    let kind = match stat.st_mode & libc::S_IFMT {
        libc::S_IFSOCK => return socket(fd),
        libc::S_IFIFO if sys::filesystem(fd) == Ok(PIPEFS_MAGIC) => Kind::Pipe,
        libc::S_IFIFO => Kind::Fifo,
        libc::S_IFCHR if is_pty(stat) || sys::ioctl_int(fd, libc::TIOCGPGRP).is_ok() || is_terminal(fd) => Kind::Tty,
        libc::S_IFREG => regular(fd),
        0 => anonymous(fd),
        _ => Kind::Other,
    };
    (kind, None)
}

/// Whether it may be of a kind with fleeting levels, which level-triggered registrations need to know of, too.
pub fn may_be_fleeting(fd: c_int, stat: &stat) -> bool {
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => true,
        0 => is_perf_event(fd),
        _ => false,
    }
}

fn regular(fd: c_int) -> Kind {
    match sys::filesystem(fd) {
        Ok(PID_FS_MAGIC) => Kind::Pidfd,
        Ok(MQUEUE_MAGIC) => Kind::MessageQueue,
        Ok(PROC_SUPER_MAGIC) => of_proc(fd),
        Ok(CGROUP2_MAGIC) if is_named(fd, |name| name.ends_with(b".pressure")) => Kind::Pressure,
        Ok(filesystem) if KERNFS.contains(&filesystem) => Kind::Attribute,
        _ => Kind::Other,
    }
}

fn is_named(fd: c_int, like: impl FnOnce(&[u8]) -> bool) -> bool {
    // A name that does not fit is of no process, and deep below what it is recognised by.
    let mut buffer = [0; 256];
    sys::descriptor_link(fd, &mut buffer).is_ok_and(like)
}

/// A file of `/proc`, by its name, wherever that is mounted.
fn of_proc(fd: c_int) -> Kind {
    let mut kind = Kind::Other;
    is_named(fd, |name| {
        let has = |directory: &[u8]| name.windows(directory.len()).any(|part| part == directory);
        kind = match name.rsplit(|&byte| byte == b'/').next() {
            Some(b"mounts" | b"mountinfo" | b"mountstats" | b"swaps") => Kind::Notice,
            Some(b"mdstat") => Kind::Attribute,
            Some(b"devices") if has(b"/bus/input/") => Kind::Glimpse,
            _ if has(b"/pressure/") => Kind::Pressure,
            _ if has(b"/sys/") => Kind::Notice,
            _ => Kind::Other,
        };
        true
    });
    kind
}

/// PERF_EVENT_IOC_ID, which nothing else answers.
fn is_perf_event(fd: c_int) -> bool {
    const ID: u64 = 0x8008_2407;
    sys::ioctl_word(fd, ID).is_ok()
}

/// A pseudo-terminal, which answers to nothing once it is hung up.
fn is_pty(stat: &stat) -> bool {
    matches!(libc::major(stat.st_rdev), 136..=143) || stat.st_rdev == libc::makedev(5, 2)
}

fn is_terminal(fd: c_int) -> bool {
    // TIOCGPTN answers on a pseudo-terminal's master, TIOCOUTQ on every terminal.
    sys::ioctl_int(fd, libc::TIOCOUTQ).is_ok()
}

fn socket(fd: c_int) -> (Kind, Option<TcpState>) {
    let option = |name: c_int| {
        let mut value: c_int = 0;
        sys::getsockopt(fd, libc::SOL_SOCKET, name, &mut value).map_or(-1, |_| value)
    };
    let protocol = option(libc::SO_PROTOCOL);
    let is_listener = || option(libc::SO_ACCEPTCONN) == 1;
    // An MPTCP listener answers for its first subflow.
    if (protocol == libc::IPPROTO_TCP || protocol == libc::IPPROTO_MPTCP && is_listener())
        // A raw socket has the same protocol and no such state.
        && let Some(state) = sample::tcp_state(fd)
    {
        return (if state == sample::LISTEN { Kind::TcpListener } else { Kind::Tcp }, Some(state));
    }
    let kind = match (option(libc::SO_DOMAIN), option(libc::SO_TYPE)) {
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM) if protocol == libc::IPPROTO_MPTCP => Kind::Mptcp,
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM) if is_udp(protocol) => Kind::Udp,
        (libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_SEQPACKET) if is_listener() => Kind::UnixListener,
        (libc::AF_UNIX, libc::SOCK_STREAM) => Kind::UnixStream,
        (libc::AF_UNIX, libc::SOCK_SEQPACKET) => Kind::UnixSeqpacket,
        (libc::AF_UNIX, libc::SOCK_DGRAM) => Kind::UnixDgram,
        (libc::AF_NETLINK, _) => Kind::Netlink,
        _ => Kind::Socket,
    };
    (kind, None)
}

/// Whether datagrams of the protocol are UDP's, of the light kind or not: those of ICMP are not,
/// nor are SCTP's.
fn is_udp(protocol: c_int) -> bool {
    matches!(protocol, libc::IPPROTO_UDP | libc::IPPROTO_UDPLITE)
}

/// The kinds that live on the anonymous inode. Probed by what only they answer where `/proc` cannot be asked.
fn anonymous(fd: c_int) -> Kind {
    let mut buffer = [0; 64];
    match sys::descriptor_link(fd, &mut buffer) {
        Ok(b"anon_inode:[eventfd]") if is_semaphore(fd) => Kind::EventfdSemaphore,
        Ok(b"anon_inode:[eventfd]") => Kind::Eventfd,
        Ok(b"anon_inode:[timerfd]") => Kind::Timerfd,
        Ok(b"anon_inode:[signalfd]") => Kind::Signalfd,
        // Both queue events of a length, and wake with each.
        Ok(b"anon_inode:inotify" | b"anon_inode:[fanotify]") => Kind::Inotify,
        Ok(b"anon_inode:[io_uring]") => Kind::IoUring,
        Ok(b"anon_inode:[userfaultfd]") => Kind::Userfault,
        Ok(b"anon_inode:[pidfd]") => Kind::Pidfd,
        Ok(b"anon_inode:[perf_event]") => Kind::Glimpse,
        Ok(_) => Kind::Other,
        Err(_) if is_perf_event(fd) => Kind::Glimpse,
        Err(_) if sys::is_timer(fd) => Kind::Timerfd,
        Err(_) if sys::ioctl_int(fd, libc::FIONREAD).is_ok() => Kind::Inotify,
        Err(_) => Kind::Other,
    }
}

fn is_semaphore(fd: c_int) -> bool {
    let mut buffer = [0; 256];
    sys::descriptor_info(fd, b"eventfd-semaphore:", &mut buffer) == Some(b"1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_survive_the_trip_through_a_byte() {
        for value in 0..=Kind::Other as u8 {
            assert_eq!(Kind::from_u8(value) as u8, value);
        }
    }

    #[test]
    fn descriptors_are_told_apart() {
        // SAFETY: plain creation of descriptors; they live until the test process ends.
        unsafe {
            let mut pair = [0; 2];
            assert_eq!(libc::pipe(pair.as_mut_ptr()), 0);
            assert_eq!(identify(pair[0]), Kind::Pipe);
            for (kind, expected) in [
                (libc::SOCK_STREAM, Kind::UnixStream),
                (libc::SOCK_DGRAM, Kind::UnixDgram),
                (libc::SOCK_SEQPACKET, Kind::UnixSeqpacket),
            ] {
                assert_eq!(libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()), 0);
                assert_eq!(identify(pair[0]), expected);
            }
            let tcp = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
            assert_eq!(identify(tcp), Kind::Tcp);
            assert_eq!(libc::listen(tcp, 1), 0);
            assert_eq!(identify(tcp), Kind::TcpListener);
            assert_eq!(identify(libc::socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)), Kind::Udp);
            assert_eq!(identify(libc::eventfd(0, 0)), Kind::Eventfd);
            assert_eq!(identify(libc::eventfd(0, libc::EFD_SEMAPHORE)), Kind::EventfdSemaphore);
            assert_eq!(identify(libc::timerfd_create(libc::CLOCK_MONOTONIC, 0)), Kind::Timerfd);
            assert_eq!(identify(libc::inotify_init1(0)), Kind::Inotify);
            assert_eq!(identify(libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY)), Kind::Tty);
        }
    }
}
