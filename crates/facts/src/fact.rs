//! One fact.

use crate::Call;

/// The number of a descriptor that is not known.
pub const NO_FD: i32 = -1;

/// When a fact was complete, and in which thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// CLOCK_MONOTONIC, in nanoseconds.
    pub ns: u64,
    /// The thread's id.
    pub tid: i32,
}

/// A place in the program: an index into the table of call stacks of the process. 0 if it is not
/// known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(pub u32);

/// An operation of `epoll_ctl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // EPOLL_CTL_ADD and so on.
pub enum Op {
    Add = 1,
    Del = 2,
    Mod = 3,
}

impl Op {
    /// The operation of that number.
    pub fn from_number(number: i32) -> Option<Op> {
        match number {
            1 => Some(Op::Add),
            2 => Some(Op::Del),
            3 => Some(Op::Mod),
            _ => None,
        }
    }
}

/// How the process learns readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Poller {
    /// The kernel's own epoll.
    Kernel,
    /// The library's, by poll, a ring, or either.
    Library,
    /// Not this library: the facts come from strace(1).
    Traced,
}

/// The reason why an event was reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// Not known.
    #[default]
    Unknown,
    /// Level-triggered, and the level is high.
    Level,
    /// The level was high when the registration was made or changed.
    Control,
    /// The level was seen low before.
    Low,
    /// A call of the program showed that the level had been low.
    Call,
    /// The count of arrivals grew.
    Count,
    /// A ring completed.
    Ring,
}

/// A reported event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its bits (EPOLLIN and so on).
    pub bits: u32,
    /// Its descriptor as it was registered; [`NO_FD`] if `data` does not identify one.
    pub fd: i32,
    /// The registration's data.
    pub data: u64,
    /// Why it was reported.
    pub reason: Reason,
}

/// Which of the calls that do nearly the same was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // Each is the call of that name.
pub enum Form {
    EpollCreate,
    #[default]
    EpollCreate1,
    EpollWait,
    EpollPwait,
    EpollPwait2,
}

/// The beginning of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Its id.
    pub pid: i32,
    /// Its parent's.
    pub ppid: i32,
    /// Whether it is a forked child that goes on with the parent's memory. If not, it was executed.
    pub is_fork: bool,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, in nanoseconds.
    pub wall_offset_ns: i64,
    /// How it learns readiness.
    pub poller: Poller,
}

/// A kind of perturbation (`--chaos`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // docs/debugging.md describes them.
pub enum ChaosKind {
    Few,
    Many,
    Shuffle,
    Eintr,
    Late,
    Delay,
    Again,
    CloseParts,
    Other,
    Vain,
    Short,
    Small,
    Fault,
}

/// One fact. Results are as the system call returns them: a negative one is an errno. `began_ns` is
/// CLOCK_MONOTONIC at the beginning of the call, `timeout_ns` is -1 for a wait without limit.
#[allow(missing_docs)] // The arguments of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact<'a> {
    /// The first fact of a process.
    Start(Start),
    /// An instance was made, or could not be made. `fd` is its descriptor or a negative errno.
    Create { form: Form, fd: i32, flags: i32, began_ns: u64 },
    /// `epoll_ctl` returned. For DEL, and if the event cannot be read, `events` is zero and `data`
    /// the address of the event. `op` is none of [`Op`] if the program passed such a number.
    Control {
        epfd: i32,
        op: i32,
        fd: i32,
        events: u32,
        data: u64,
        /// 0 or a positive errno.
        errno: i32,
        site: SiteId,
        began_ns: u64,
    },
    /// A wait began. -1 waits without limit.
    Wait { epfd: i32, max: i32, timeout_ns: i64 },
    /// A wait returned. `mask` is the signal mask that was passed, if there was one.
    Report {
        form: Form,
        mask: Option<u64>,
        epfd: i32,
        max: i32,
        timeout_ns: i64,
        began_ns: u64,
        /// 0 or a positive errno.
        errno: i32,
        events: &'a [Event],
    },
    /// A call on a descriptor returned. `asked` and `answer` are bytes; of several messages their
    /// sum. `answer` of an accept is the new descriptor.
    Call {
        call: Call,
        fd: i32,
        /// The other descriptor of [`Call::Splice`] and its like, or [`NO_FD`].
        other: i32,
        asked: u64,
        answer: i64,
        /// MSG_* flags, or those of splice; for [`Call::Shutdown`] the side.
        flags: i32,
        began_ns: u64,
    },
    /// A TLS library returned from a read of a connection whose socket is `fd`; `pending` are the
    /// bytes that it has decrypted and not returned.
    TlsRead { fd: i32, pending: u64, began_ns: u64 },
    /// A number is about to be closed, by close or by being replaced.
    Close { fd: i32 },
    /// `to` is now another number of the open file description of `from`.
    Dup { from: i32, to: i32 },
    /// The process has forked, in the parent.
    Fork { child: i32 },
    /// The process is about to execute another program.
    Exec,
    /// The process is about to end.
    Exit { status: i32 },
    /// The library looked at a descriptor that owes a read.
    Look {
        epfd: i32,
        fd: i32,
        /// EPOLL* bits that are high.
        levels: u32,
        /// Unread bytes, or waiting connections; -1 if they cannot be counted.
        unread: i64,
        /// Whether the look is at the end of a sleep. If not, it is before one.
        is_after: bool,
    },
    /// `--chaos` perturbed the history. `ordinal` counts the waits of the thread (from 1).
    Chaos { kind: ChaosKind, epfd: i32, fd: i32, ordinal: u64, amount: i64 },
}
