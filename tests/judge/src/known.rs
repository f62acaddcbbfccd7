//! The known differences: the rows of docs/differences.md that a history can meet, and how to
//! recognize each.

use crate::compare::What;
use crate::kinds::Kind;

/// An event on a description on which a known difference depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fact {
    /// More datagrams were unread than the library counts.
    Uncounted,
    /// An error was pending beside the datagrams during a read or a write.
    ErrorPending,
    /// A signalfd was read with readv.
    Scattered,
    /// Since the last report a TCP connection had no room, and no caller that would set the
    /// kernel's SOCK_NOSPACE met that (see `Room`).
    Brimful,
    /// splice, vmsplice or tee took a part of a pipe's contents.
    Piece,
    /// The program has shut down its direction of a TCP connection, at any time.
    Closing,
    /// An empty unix datagram may have been peeked at.
    Peeked,
    /// Another process, which shares the description, read from a file whose arrivals are not
    /// counted for good, shut it down, or was refused a write by a pipe.
    Foreign,
    /// The queue of the unix datagram socket that receives these writes is full.
    PeerFull,
    /// A UDP socket that was shut for reading has received an empty datagram, at any time.
    EmptyAtEnd,
    /// A datagram socket was peeked at and has received an empty datagram, at any time.
    EmptyPeeked,
    /// A splice or sendfile into a TCP or UDP socket, or a datagram sent on a UDP socket after a
    /// splice into it.
    Spliced,
    /// One of several descriptions of an open FIFO was closed.
    Parted,
    /// Bytes, the end or a datagram arrived at a TCP connection or a unix datagram socket; or bytes
    /// arrived, or a write was refused, at an MPTCP connection; or a signal was sent.
    Arrived,
    /// An exclusive registration of a FIFO or a list of mounts that has others under another
    /// description.
    Rivals,
    /// A terminal was full during an action on it.
    Crammed,
    /// A registration of an instance with several registrations was modified.
    Modified,
    /// Urgent data was sent on a TCP connection, at any time.
    Urgent,
    /// SO_RCVLOWAT was set on a TCP connection, at any time.
    LowWater,
    /// The description of a file whose poll takes the level has other registrations.
    Sharing,
    /// Such a description is in an instance that is inside another or was polled: a look from there
    /// polls the description too.
    SeenFromOutside,
    /// The kernel reported these bits before, and as far as the judge knows they have been high
    /// ever since.
    Repeated,
    /// The program has shut it down for reading, at any time.
    Shut,
    /// The description is closed, and a request in a ring of the library's side may hold the file.
    Held,
}

pub const FACTS: usize = 24;

/// The three classes of differing reports (docs/semantics.md, "Classes of reports").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// (a) A report that carries news was lost.
    News,
    /// (b) A wake-up without news was not reported.
    NoNews,
    /// (c) A surplus report.
    Surplus,
}

/// A difference, and the events before it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub what: What,
    pub kind: Kind,
    pub edge: bool,
    /// The registration is in an inner instance, on which no thread waits.
    pub inside: bool,
    /// The bits that only one side reported.
    pub bits: u32,
    /// The events since the registration's last report.
    pub facts: [bool; FACTS],
}

/// A row of docs/differences.md.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub name: &'static str,
    /// Not a difference of the library: one side has an effect on the other, and with each in a
    /// process of its own neither reports.
    pub between: bool,
    /// Lost in any history; other rows are met only by the steps of `--listed`.
    pub unavoidable: bool,
    /// Whether a lost report would carry news. Other wake-ups are class (b).
    pub is_news: bool,
    pub matches: fn(&Case) -> bool,
}

pub const READABLE: u32 = (libc::EPOLLIN | libc::EPOLLRDNORM | libc::EPOLLRDBAND | libc::EPOLLMSG) as u32;
/// The levels that show room.
pub const WRITABLE: u32 = (libc::EPOLLOUT | libc::EPOLLWRNORM | libc::EPOLLWRBAND) as u32;

impl Row {
    /// The class of a difference that this row lists.
    pub fn class(&self, what: What) -> Class {
        match what {
            What::Extra | What::Twice => Class::Surplus,
            What::Lost if !self.is_news => Class::NoNews,
            _ => Class::News,
        }
    }
}

/// The known differences of edge-triggered registrations.
pub const ROWS: &[Row] = &[
    Row {
        name: "datagrams: more than 512 unread",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| {
            matches!(case.kind, Kind::UnixDgram | Kind::Udp) && again(case, READABLE) && case.has(Fact::Uncounted)
        },
    },
    Row {
        name: "datagrams: an error pending",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| {
            let levels = READABLE | WRITABLE | (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;
            matches!(case.kind, Kind::UnixDgram | Kind::Udp) && again(case, levels) && case.has(Fact::ErrorPending)
        },
    },
    Row {
        name: "signalfd: the rest after a readv",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| case.kind == Kind::Signalfd && again(case, READABLE) && case.has(Fact::Scattered),
    },
    Row {
        name: "pipes: splice, vmsplice or tee took a part",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| {
            let any = READABLE | WRITABLE | (libc::EPOLLERR | libc::EPOLLHUP) as u32;
            case.kind.is_pipe() && again(case, any) && case.has(Fact::Piece)
        },
    },
    Row {
        name: "FIFOs: another of several descriptions closed",
        between: false,
        unavoidable: false,
        is_news: false,
        matches: |case| case.kind == Kind::Fifo && case.edge && case.what == What::Lost && case.has(Fact::Parted),
    },
    Row {
        name: "FIFOs, mounts: exclusive registrations of several descriptions",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| {
            matches!(case.kind, Kind::Fifo | Kind::Mounts) && case.what == What::Extra && case.has(Fact::Rivals)
        },
    },
    Row {
        name: "terminals: room that Linux tells nobody of",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| case.kind == Kind::Pty && case.what == What::Extra && case.bits & WRITABLE != 0,
    },
    Row {
        name: "terminals: the end of a file in a full one",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| case.kind == Kind::Pty && again(case, READABLE) && case.has(Fact::Crammed),
    },
    Row {
        name: "tcp: room on a connection that is being closed",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| {
            let ends = WRITABLE | (libc::EPOLLHUP | libc::EPOLLERR) as u32;
            case.kind == Kind::Tcp && again(case, ends) && case.has(Fact::Closing)
        },
    },
    Row {
        name: "udp: an error beside unread ones, when a datagram was read",
        between: false,
        unavoidable: true,
        is_news: true,
        matches: |case| {
            let is_error = case.bits & libc::EPOLLERR as u32 != 0;
            case.kind == Kind::Udp && case.edge && case.what == What::Lost && is_error && case.has(Fact::ErrorPending)
        },
    },
    Row {
        name: "tcp: urgent data that was stepped over",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| case.kind == Kind::Tcp && again(case, READABLE | WRITABLE) && case.has(Fact::Urgent),
    },
    Row {
        name: "tcp: bytes below the low-water mark",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| {
            case.kind == Kind::Tcp
                && again(case, READABLE | WRITABLE | libc::EPOLLHUP as u32)
                && case.has(Fact::LowWater)
        },
    },
    Row {
        name: "unix datagrams: an empty one that was peeked at",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| case.kind == Kind::UnixDgram && case.edge && case.what == What::Lost && case.has(Fact::Peeked),
    },
    Row {
        name: "udp: an empty datagram that was peeked at",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| case.kind == Kind::Udp && again(case, READABLE | WRITABLE) && case.has(Fact::EmptyPeeked),
    },
    Row {
        name: "udp: a splice that is held back",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| case.kind == Kind::Udp && again(case, WRITABLE) && case.has(Fact::Spliced),
    },
    Row {
        name: "udp: an empty datagram for a socket that is shut for reading",
        between: false,
        unavoidable: false,
        is_news: false,
        matches: |case| {
            let either = matches!(case.what, What::Lost | What::Extra);
            case.kind == Kind::Udp && case.edge && either && case.has(Fact::EmptyAtEnd)
        },
    },
    Row {
        name: "another process read, shut down, or was refused a write",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| (again(case, READABLE) || case.edge && case.what == What::Lost) && case.has(Fact::Foreign),
    },
    // Every signal wakes every signalfd, and so do those that descriptions send to the library.
    Row {
        name: "signalfd: a signal to the library",
        between: true,
        unavoidable: false,
        is_news: true,
        matches: |case| {
            let is_same = case.has(Fact::Repeated) && !case.has(Fact::Arrived);
            case.kind == Kind::Signalfd && case.edge && case.what == What::Lost && is_same
        },
    },
    // The library's poll sets SOCK_NOSPACE, and the kernel then wakes the other side's epoll too.
    Row {
        name: "tcp: room that nobody was refused",
        between: true,
        unavoidable: false,
        is_news: true,
        matches: |case| {
            // The reported bits need not be room: it may be gone again, or requested by a bit that
            // TCP never shows.
            let woken = case.is_lost_without_arrival() && case.bits & (libc::EPOLLERR | libc::EPOLLHUP) as u32 == 0;
            case.kind == Kind::Tcp && case.edge && woken && case.has(Fact::Brimful)
        },
    },
    Row {
        name: "instances inside: a unix datagram socket whose full peer reads",
        between: false,
        unavoidable: true,
        is_news: false,
        matches: |case| {
            case.inside && case.kind == Kind::UnixDgram && case.what == What::Lost && case.has(Fact::PeerFull)
        },
    },
    // The same effect: to count datagrams the library peeks, and a peek wakes the threads that wait
    // to send.
    Row {
        name: "unix datagrams: peeking at a full queue",
        between: true,
        unavoidable: false,
        is_news: true,
        matches: |case| {
            // Or the kernel's epoll was woken before, and is not woken when the peer reads.
            let woken = case.is_lost_without_arrival() || case.what == What::Extra && case.bits & READABLE == 0;
            case.kind == Kind::UnixDgram && case.edge && woken && case.has(Fact::PeerFull)
        },
    },
    // The file lives on until the request ends, and is still registered with the kernel's epoll.
    Row {
        name: "a closed file that the request of a ring holds",
        between: true,
        unavoidable: true,
        is_news: true,
        matches: |case| case.what == What::Lost && case.has(Fact::Held),
    },
    Row {
        name: "instances inside: which of those that show nothing was woken first, at a MOD",
        between: false,
        unavoidable: true,
        is_news: false,
        matches: |case| {
            let either = matches!(case.what, What::Lost | What::Extra);
            case.kind == Kind::Epoll && case.edge && either && case.has(Fact::Modified)
        },
    },
    Row {
        name: "a level that a poll takes: which of several registrations of a description is shown it",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| case.kind.is_fleeting() && case.has(Fact::Sharing),
    },
    Row {
        name: "a level that a poll takes: looks from outside the instance",
        between: false,
        unavoidable: true,
        is_news: true,
        matches: |case| case.kind.is_fleeting() && case.has(Fact::SeenFromOutside),
    },
    Row {
        name: "mptcp: changes of state and acknowledgements",
        between: false,
        unavoidable: true,
        is_news: false,
        matches: |case| {
            let is_same = case.has(Fact::Repeated) && !case.has(Fact::Arrived);
            case.kind == Kind::Mptcp && case.edge && case.what == What::Lost && is_same
        },
    },
    Row {
        name: "mptcp: a read after a shutdown",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| {
            let any = READABLE | WRITABLE | (libc::EPOLLRDHUP | libc::EPOLLHUP) as u32;
            case.kind == Kind::Mptcp && again(case, any) && case.has(Fact::Shut)
        },
    },
    Row {
        name: "tcp: a wake-up with nothing new",
        between: false,
        unavoidable: true,
        is_news: false,
        matches: |case| {
            let is_rare = case.bits & (libc::EPOLLERR | libc::EPOLLHUP) as u32 != 0;
            let is_same = case.has(Fact::Repeated) && !case.has(Fact::Arrived) && !case.has(Fact::LowWater);
            case.kind == Kind::Tcp && case.edge && case.what == What::Lost && is_same && !is_rare
        },
    },
    Row {
        name: "tcp: room after a shutdown of both directions",
        between: false,
        unavoidable: true,
        is_news: false,
        matches: |case| {
            let is_shut = case.has(Fact::Closing) && case.has(Fact::Shut);
            let is_same = case.has(Fact::Repeated) && !case.has(Fact::Arrived);
            let is_error = case.bits & libc::EPOLLERR as u32 != 0;
            case.kind == Kind::Tcp && case.edge && case.what == What::Lost && is_shut && is_same && !is_error
        },
    },
    Row {
        name: "netlink: the rest after a read",
        between: false,
        unavoidable: false,
        is_news: true,
        matches: |case| case.kind == Kind::Netlink && again(case, READABLE | WRITABLE),
    },
];

/// Whether it is a surplus report of these levels only.
fn again(case: &Case, levels: u32) -> bool {
    case.edge && case.what == What::Extra && case.bits & levels != 0
}

impl Case {
    fn has(&self, fact: Fact) -> bool {
        self.facts[fact as usize]
    }

    /// Whether no arrival is lost: everything that can be read was reported before.
    fn is_lost_without_arrival(&self) -> bool {
        self.what == What::Lost && (self.bits & READABLE == 0 || !self.has(Fact::Arrived))
    }

    /// The row that lists it.
    pub fn row(&self) -> Option<usize> {
        ROWS.iter().position(|row| (row.matches)(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN: u32 = libc::EPOLLIN as u32;

    fn case(what: What, kind: Kind, facts: &[Fact]) -> Case {
        let mut case = Case { what, kind, edge: true, inside: false, bits: IN, facts: [false; FACTS] };
        for &fact in facts {
            case.facts[fact as usize] = true;
        }
        case
    }

    #[test]
    fn a_listed_extra_needs_its_reason() {
        assert!(case(What::Extra, Kind::Udp, &[Fact::Uncounted]).row().is_some());
        assert!(case(What::Extra, Kind::Udp, &[Fact::ErrorPending]).row().is_some());
        assert!(case(What::Extra, Kind::Udp, &[]).row().is_none());
        assert!(case(What::Extra, Kind::Pipe, &[Fact::Piece]).row().is_some());
        assert!(case(What::Extra, Kind::Pty, &[Fact::Crammed]).row().is_some());
        assert!(case(What::Lost, Kind::Pty, &[Fact::Crammed]).row().is_none());
        assert!(case(What::Extra, Kind::Tcp, &[Fact::Spliced]).row().is_none());
        assert!(case(What::Lost, Kind::Tcp, &[Fact::Spliced]).row().is_none());
        assert!(case(What::Extra, Kind::Fifo, &[]).row().is_none());
        assert!(case(What::Extra, Kind::Tcp, &[Fact::Uncounted]).row().is_none());
        assert!(case(What::Extra, Kind::Tcp, &[Fact::Urgent]).row().is_some());
        assert!(case(What::Lost, Kind::Tcp, &[Fact::Urgent]).row().is_none());
        assert!(case(What::Extra, Kind::Signalfd, &[Fact::Scattered]).row().is_some());
        assert!(case(What::Lost, Kind::Fifo, &[Fact::Parted]).row().is_some());
        assert!(case(What::Lost, Kind::Pipe, &[Fact::Parted]).row().is_none());
        let room = Case { bits: WRITABLE, ..case(What::Lost, Kind::Tcp, &[Fact::Brimful]) };
        assert!(room.row().is_some());
        assert!(Case { facts: [false; FACTS], ..room }.row().is_none());
        let unread = Case { bits: WRITABLE | IN, ..room };
        assert!(unread.row().is_some());
        assert!(
            Case { bits: WRITABLE | IN, ..case(What::Lost, Kind::Tcp, &[Fact::Brimful, Fact::Arrived]) }
                .row()
                .is_none()
        );
    }

    #[test]
    fn a_wake_up_without_news_is_told_from_a_loss() {
        let class = |case: Case| case.row().map(|row| ROWS[row].class(case.what));
        let repeated = case(What::Lost, Kind::Tcp, &[Fact::Repeated]);
        assert_eq!(class(repeated), Some(Class::NoNews));
        assert_eq!(class(case(What::Lost, Kind::Tcp, &[Fact::Repeated, Fact::Arrived])), None);
        assert_eq!(class(Case { bits: IN | libc::EPOLLERR as u32, ..repeated }), None);
        assert_eq!(class(case(What::Lost, Kind::Udp, &[Fact::Foreign])), Some(Class::News));
        assert_eq!(class(case(What::Extra, Kind::Udp, &[Fact::EmptyAtEnd])), Some(Class::Surplus));
        assert_eq!(class(case(What::Lost, Kind::Udp, &[Fact::EmptyAtEnd])), Some(Class::NoNews));
    }

    #[test]
    fn a_signal_to_the_library_excuses_an_unread_signalfd_alone() {
        let same = case(What::Lost, Kind::Signalfd, &[Fact::Repeated]);
        assert!(ROWS[same.row().expect("listed")].between);
        assert!(case(What::Lost, Kind::Signalfd, &[Fact::Repeated, Fact::Arrived]).row().is_none());
        assert!(case(What::Lost, Kind::Signalfd, &[]).row().is_none());
    }

    #[test]
    fn room_after_a_shutdown_of_both_directions_is_no_news() {
        let class = |case: Case| case.row().map(|row| ROWS[row].class(case.what));
        let ended = Case {
            bits: IN | (libc::EPOLLOUT | libc::EPOLLHUP) as u32,
            ..case(What::Lost, Kind::Tcp, &[Fact::Closing, Fact::Shut, Fact::Repeated])
        };
        assert_eq!(class(ended), Some(Class::NoNews));
        for needed in [Fact::Closing, Fact::Shut, Fact::Repeated] {
            let mut other = ended;
            other.facts[needed as usize] = false;
            assert_eq!(class(other), None, "without {needed:?}");
        }
        assert_eq!(class(Case { bits: ended.bits | libc::EPOLLERR as u32, ..ended }), None);
    }

    #[test]
    fn a_full_peer_excuses_an_instance_inside_alone() {
        let outside = case(What::Lost, Kind::UnixDgram, &[Fact::PeerFull]);
        let inside = Case { inside: true, ..outside };
        assert!(!ROWS[inside.row().expect("listed")].between);
        assert!(ROWS[outside.row().expect("listed")].between);
        assert!(Case { what: What::Extra, ..inside }.row().is_none());
    }

    #[test]
    fn nothing_lost_and_no_level_is_listed() {
        let all = [Fact::Uncounted, Fact::Scattered];
        for kind in Kind::ALL {
            assert!(case(What::Lost, kind, &all).row().is_none());
            assert!(case(What::Lost, kind, &[Fact::Foreign]).row().is_some());
            assert!(case(What::FewerBits, kind, &all).row().is_none());
            let level = Case { edge: false, ..case(What::Extra, kind, &all) };
            assert!(level.row().is_none());
            let room = Case { bits: WRITABLE, ..level };
            assert_eq!(room.row().is_some(), kind == Kind::Pty);
        }
    }
}
