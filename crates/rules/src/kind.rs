//! Kinds of open file descriptions, as far as their edges differ: one table.

use crate::events::{Bits, ERR, IN, INCOMING, OUT, PRI, RDHUP, RDNORM, WRITABLE};

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
    /// A file of sysfs, or of a cgroup, and `/proc/mdstat`: a change shows with EPOLLPRI until it
    /// is read.
    Attribute,
    /// A setting of `/proc/sys`, a process's mounts, `/proc/swaps`: a change shows with EPOLLERR
    /// and EPOLLPRI, to one look only.
    Notice,
    /// A pressure file of `/proc`, or of a cgroup: what its trigger found shows with EPOLLPRI, to
    /// one look only.
    Pressure,
    /// A perf event, and `/proc/bus/input/devices`: what comes is readable to one look only.
    Glimpse,
    /// Anything else that can be polled.
    Other,
}

/// Where the number of arrivals on a description can be read off, for "was there one since I
/// looked" (E1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// The kernel counts bytes received, whichever process reads them.
    Received,
    /// Bytes queued now, plus those that the hooks saw taken.
    Queued,
    /// Connections waiting now, plus those that the hooks saw accepted.
    Backlog,
    /// Datagrams queued now, counted by peeking at each, plus those the hooks saw taken.
    Datagrams,
    /// Connections that wait on a unix listener, as the kernel's socket diagnosis tells, plus those
    /// accepted.
    Diagnosed,
    /// The signals that are pending, plus those taken.
    Signals,
    /// Whether an expiration is unread, plus those the hooks saw taken, or forgotten when the
    /// timer was set anew.
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

    /// The bits besides `registered` that wake a registration of those. On a connection the peer's
    /// shutdown wakes every one, whatever its mask; on a socket what arrives wakes those that wait
    /// for urgent data, too. A signal and what happens to a file wake without any bit, and so every
    /// one.
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

    /// Whether what arrives wakes every registration, so that one may be woken whose mask has none
    /// of what came.
    pub const fn wakes_any_mask(self) -> bool {
        self.wakes_with(0) & IN != 0
    }

    /// The bits that an arrival wakes with, as far as any registration can wait for them.
    pub const fn arrives_with(self) -> Bits {
        if matches!(self, Kind::Timerfd) { IN } else { IN | RDNORM }
    }

    /// Whether a hang-up is the end: nothing can become ready after it on this description, unless
    /// it is connected anew.
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
