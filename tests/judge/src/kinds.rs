//! Kinds of descriptors, by the names that histories and tables use.

/// The kind of a descriptor, which `open` opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    Pipe,
    Fifo,
    Tcp,
    TcpListener,
    Udp,
    UnixStream,
    UnixSeqpacket,
    UnixDgram,
    UnixListener,
    Eventfd,
    Semaphore,
    Timerfd,
    Signalfd,
    Pidfd,
    Inotify,
    Pty,
    Netlink,
    /// Files that epoll refuses: regular files, directories, /dev/null.
    Refused,
    /// Instances themselves.
    Epoll,
    Mptcp,
    MessageQueue,
    /// /proc/self/mounts: one poll of the description shows a change of the mount namespace.
    Mounts,
    /// A perf event that samples page faults: a poll takes all levels that it shows.
    Perf,
}

impl Kind {
    pub const ALL: [Kind; 23] = [
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
        Kind::Semaphore,
        Kind::Timerfd,
        Kind::Signalfd,
        Kind::Pidfd,
        Kind::Inotify,
        Kind::Pty,
        Kind::Netlink,
        Kind::Refused,
        Kind::Epoll,
        Kind::Mptcp,
        Kind::MessageQueue,
        Kind::Mounts,
        Kind::Perf,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Kind::Pipe => "pipe",
            Kind::Fifo => "fifo",
            Kind::Tcp => "tcp",
            Kind::TcpListener => "tcp-listener",
            Kind::Udp => "udp",
            Kind::UnixStream => "unix-stream",
            Kind::UnixSeqpacket => "unix-seqpacket",
            Kind::UnixDgram => "unix-dgram",
            Kind::UnixListener => "unix-listener",
            Kind::Eventfd => "eventfd",
            Kind::Semaphore => "eventfd-semaphore",
            Kind::Timerfd => "timerfd",
            Kind::Signalfd => "signalfd",
            Kind::Pidfd => "pidfd",
            Kind::Inotify => "inotify",
            Kind::Pty => "pty",
            Kind::Netlink => "netlink",
            Kind::Refused => "refused",
            Kind::Epoll => "epoll",
            Kind::Mptcp => "mptcp",
            Kind::MessageQueue => "message-queue",
            Kind::Mounts => "mounts",
            Kind::Perf => "perf-event",
        }
    }

    pub fn parse(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }

    pub fn from_number(number: i64) -> Option<Kind> {
        Kind::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The weight with which a history chooses it: kinds that are expensive to open are less
    /// frequent.
    pub const fn weight(self) -> u32 {
        match self {
            Kind::Pipe | Kind::UnixStream | Kind::Tcp => 16,
            Kind::Udp | Kind::UnixDgram | Kind::UnixSeqpacket | Kind::Eventfd | Kind::TcpListener => 10,
            Kind::UnixListener | Kind::Semaphore | Kind::Timerfd | Kind::Fifo | Kind::Signalfd => 8,
            Kind::Inotify | Kind::Pty => 4,
            Kind::MessageQueue | Kind::Mounts | Kind::Perf => 4,
            // Only on request. The ends of MPTCP connections differ in ways that no row lists.
            Kind::Netlink | Kind::Mptcp => 0,
            Kind::Pidfd | Kind::Refused => 1,
            Kind::Epoll => 0,
        }
    }

    pub const fn is_socket(self) -> bool {
        matches!(
            self,
            Kind::Tcp
                | Kind::TcpListener
                | Kind::Udp
                | Kind::UnixStream
                | Kind::UnixSeqpacket
                | Kind::UnixDgram
                | Kind::UnixListener
                | Kind::Netlink
                | Kind::Mptcp
        )
    }

    pub const fn is_pipe(self) -> bool {
        matches!(self, Kind::Pipe | Kind::Fifo)
    }

    /// Whether a poll takes the level that it shows. Each side needs an open file description of
    /// its own.
    pub const fn is_fleeting(self) -> bool {
        matches!(self, Kind::Mounts | Kind::Perf)
    }

    pub const fn is_listener(self) -> bool {
        matches!(self, Kind::TcpListener | Kind::UnixListener)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_name_the_same_kinds() {
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
            assert_eq!(Kind::from_number(number as i64), Some(kind));
            assert_eq!(Kind::parse(kind.word()), Some(kind));
        }
    }
}
