//! Kinds of open file descriptions: one table of the differences between their edges.

use crate::events::{Bits, ERR, IN, INCOMING, OUT, PRI, RDHUP, RDNORM, WRITABLE};

/// The kind of an open file description. Each kind has its own rules of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Not determined yet. Only edge-triggered registrations need the kind.
    Unidentified,
    /// An instance of this library.
    Epoll,
    /// Either end of an anonymous pipe.
    Pipe,
    /// A named pipe. It can be opened again at the other end after a hang-up.
    Fifo,
    /// A TCP socket, connected or connecting.
    Tcp,
    /// A listening TCP socket.
    TcpListener,
    /// A UDP socket, v4 or v6.
    Udp,
    /// A unix stream socket.
    UnixStream,
    /// A unix sequenced-packet socket.
    UnixSeqpacket,
    /// A unix datagram socket.
    UnixDgram,
    /// A listening unix stream or sequenced-packet socket.
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
    /// A terminal, or either side of a pseudo-terminal.
    Tty,
    /// A readiness source of this library.
    Source,
    /// An MPTCP connection.
    Mptcp,
    /// A netlink socket.
    Netlink,
    /// A socket of any other family or protocol: packet, raw and so on.
    Socket,
    /// An io_uring(7) instance of the program.
    IoUring,
    /// A message queue from mq_open(3).
    MessageQueue,
    /// userfaultfd(2).
    Userfault,
    /// A file of sysfs or of a cgroup, or `/proc/mdstat`. A change raises EPOLLPRI until it is
    /// read.
    Attribute,
    /// A setting in `/proc/sys`, the mounts of a process, or `/proc/swaps`. A change raises
    /// EPOLLERR and EPOLLPRI for a single poll.
    Notice,
    /// A pressure file in `/proc` or of a cgroup. A trigger that fires raises EPOLLPRI for a single
    /// poll.
    Pressure,
    /// A perf event, or `/proc/bus/input/devices`. An arrival is readable for a single poll.
    Glimpse,
    /// Anything else that can be polled.
    Other,
}

/// The source of the count of arrivals on a description. The count shows whether there was an
/// arrival since the last look (E1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// The kernel's count of bytes received, whichever process reads them.
    Received,
    /// Bytes queued now, plus those that the hooks saw taken.
    Queued,
    /// Connections waiting now, plus those that the hooks saw accepted.
    Backlog,
    /// Datagrams queued now, counted by peeking at each, plus those that the hooks saw taken.
    Datagrams,
    /// Connections that wait on a unix listener, from the kernel's socket diagnosis, plus those
    /// accepted.
    Diagnosed,
    /// Pending signals, plus those taken.
    Signals,
    /// The unread expiration, if there is one, plus those that the hooks saw taken, and those that
    /// setting the timer again discarded.
    Expirations,
    /// The memory of the queued data, which shows an arrival as long as no data is taken.
    Memory,
    /// A count from the descriptor's entry in `/proc`, or from a call that only this kind has.
    Listed,
    /// No count, but only calls of the program can cause another edge.
    Hooked,
    /// No count, and any process can cause another edge.
    Unknown,
}

impl Arrivals {
    /// Whether the count never falls, however much the program takes.
    pub const fn is_cumulative(self) -> bool {
        !matches!(self, Arrivals::Hooked | Arrivals::Unknown)
    }

    /// Whether only calls of this process can cause another edge while a level is unread.
    pub const fn is_private(self) -> bool {
        matches!(self, Arrivals::Hooked | Arrivals::Expirations)
    }
}

impl Kind {
    /// Whether a change may show to a single look, so that whoever looks has to report it.
    pub const fn may_show_once(self) -> bool {
        matches!(self, Kind::Notice | Kind::Pressure | Kind::Glimpse | Kind::Other | Kind::Unidentified)
    }

    /// The kind in words.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Epoll => "epoll",
            Kind::Pipe => "pipe",
            Kind::Fifo => "FIFO",
            Kind::Tcp => "tcp",
            Kind::TcpListener => "tcp listener",
            Kind::Mptcp => "mptcp",
            Kind::Udp => "udp",
            Kind::UnixStream => "unix stream",
            Kind::UnixSeqpacket => "unix seqpacket",
            Kind::UnixDgram => "unix datagram",
            Kind::UnixListener => "unix listener",
            Kind::Eventfd | Kind::EventfdSemaphore => "eventfd",
            Kind::Timerfd => "timerfd",
            Kind::Signalfd => "signalfd",
            Kind::Inotify => "inotify",
            Kind::Pidfd => "pidfd",
            Kind::Tty => "terminal",
            Kind::Netlink => "netlink socket",
            Kind::Socket => "socket",
            Kind::IoUring => "io_uring",
            Kind::MessageQueue => "message queue",
            _ => "file",
        }
    }

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
            Kind::Epoll | Kind::Eventfd | Kind::EventfdSemaphore | Kind::Pidfd | Kind::Source => Arrivals::Hooked,
            // A change is not an arrival, and the other levels never change.
            Kind::Attribute | Kind::Notice | Kind::Pressure | Kind::Glimpse => Arrivals::Hooked,
            Kind::Udp | Kind::UnixDgram => Arrivals::Datagrams,
            Kind::UnixListener => Arrivals::Diagnosed,
            Kind::Signalfd => Arrivals::Signals,
            Kind::Netlink | Kind::Socket => Arrivals::Memory,
            Kind::IoUring | Kind::MessageQueue | Kind::Userfault => Arrivals::Listed,
            Kind::Unidentified | Kind::Other => Arrivals::Unknown,
        }
    }

    /// Whether it is, or may be, a socket.
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

    /// Whether it has an error queue whose arrivals are counted.
    pub const fn queues_errors(self) -> bool {
        matches!(self, Kind::Tcp | Kind::Udp | Kind::Socket)
    }

    /// The levels that a single poll clears (see `fleeting.rs`).
    pub const fn fleeting(self) -> Bits {
        match self {
            Kind::Notice => ERR | PRI,
            Kind::Pressure => PRI,
            Kind::Glimpse => IN | RDNORM,
            _ => 0,
        }
    }

    /// Whether a change raises levels in addition to those that are always set.
    pub const fn shows_changes(self) -> bool {
        matches!(self, Kind::Attribute | Kind::Notice | Kind::Pressure | Kind::Glimpse)
    }

    /// Whether it is a pipe, named or anonymous.
    pub const fn is_pipe(self) -> bool {
        matches!(self, Kind::Pipe | Kind::Fifo)
    }

    /// Whether it is a connection, which has an end.
    pub const fn is_connection(self) -> bool {
        matches!(self, Kind::Tcp | Kind::Mptcp | Kind::UnixStream | Kind::UnixSeqpacket)
    }

    /// Whether it is an eventfd, of either mode.
    pub const fn is_eventfd(self) -> bool {
        matches!(self, Kind::Eventfd | Kind::EventfdSemaphore)
    }

    /// Whether it is a unix socket that carries data. Its outgoing queue shows when the peer reads.
    pub const fn is_unix_data(self) -> bool {
        matches!(self, Kind::UnixStream | Kind::UnixSeqpacket | Kind::UnixDgram)
    }

    /// The bits outside `registered` that wake a registration with that mask. On a connection the
    /// peer's shutdown wakes every registration, whatever its mask. On a socket arriving data
    /// also wakes a registration for urgent data. The wake-ups of signalfd and inotify carry no
    /// key, so they wake every registration.
    pub const fn wakes_with(self, registered: Bits) -> Bits {
        // For every registration, for those that wait for input, and for those that wait for space.
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

    /// Whether an arrival wakes every registration, even one whose mask has none of its bits.
    pub const fn wakes_any_mask(self) -> bool {
        self.wakes_with(0) & IN != 0
    }

    /// The bits of the wake-up for an arrival, as far as a registration can wait for them.
    pub const fn arrives_with(self) -> Bits {
        if matches!(self, Kind::Timerfd) { IN } else { IN | RDNORM }
    }

    /// Whether a hang-up is final: nothing becomes ready on the description after it, unless the
    /// program connects it again.
    pub const fn hangup_is_final(self) -> bool {
        matches!(self, Kind::Pipe | Kind::Tcp | Kind::UnixStream | Kind::UnixSeqpacket | Kind::Pidfd)
    }

    /// Converts from the number of a kind. Unknown numbers are `Other`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_survive_the_trip_through_a_byte() {
        for value in 0..=Kind::Other as u8 {
            assert_eq!(Kind::from_u8(value) as u8, value);
        }
    }
}
