//! One thing that happened, with its time: the timeline and the strips of the report draw these.

use epolyfill_facts::{Call, ChaosKind, Reason};

/// A thing that happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item {
    pub pid: i32,
    pub tid: i32,
    /// CLOCK_MONOTONIC, as `end_ns`, which is the same for what has no duration.
    pub begin_ns: u64,
    pub end_ns: u64,
    pub what: What,
}

/// The kind of a thing that happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    Call {
        call: Call,
        fd: i32,
        other: i32,
        asked: u64,
        answer: i64,
    },
    Create {
        fd: i32,
    },
    Control {
        epfd: i32,
        op: i32,
        fd: i32,
        events: u32,
        errno: i32,
    },
    Close {
        fd: i32,
    },
    /// A wait. `errno` is [`UNFINISHED`] for one that had not returned at the end of the facts.
    Wait {
        epfd: i32,
        timeout_ns: i64,
        events: u32,
        errno: i32,
    },
    /// The thread's own code, from a report to the next call.
    Handle {
        events: u32,
    },
    /// The thread's own code between two other calls.
    Own,
    /// An event arrived at some time between `begin_ns` and `end_ns`, when it was reported.
    Arrival {
        fd: i32,
        bits: u32,
        reason: Reason,
    },
    /// An event was reported that is not an arrival: the level is still high.
    Repeat {
        fd: i32,
        bits: u32,
    },
    /// A descriptor had been reported readable, and was not read until empty.
    Unread {
        fd: i32,
    },
    /// An arrival with what followed it.
    Chain(Chain),
    Look {
        fd: i32,
        unread: i64,
        is_after: bool,
    },
    Chaos {
        kind: ChaosKind,
        epfd: i32,
        fd: i32,
        ordinal: u64,
        amount: i64,
    },
    Fork {
        child: i32,
    },
    Exec,
    Exit {
        status: i32,
    },
}

/// The errno of a wait that had not returned.
pub const UNFINISHED: i32 = -1;

/// A moment in a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    pub begin_ns: u64,
    pub end_ns: u64,
    pub tid: i32,
}

/// An arrival, the report of it, the first read after it, and the first write after that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chain {
    pub fd: i32,
    /// It had not arrived yet at this time.
    pub not_before_ns: u64,
    /// The wait that reported it had slept for it.
    pub is_awaited: bool,
    /// `begin_ns` is the beginning of the wait.
    pub report: Moment,
    pub read: Option<Moment>,
    pub answer: Option<Moment>,
}

impl Chain {
    /// The end of the last step.
    pub fn end_ns(&self) -> u64 {
        let last = self.answer.or(self.read).unwrap_or(self.report);
        last.end_ns
    }

    /// The longest time that can have passed between the arrival and the report. An awaited arrival
    /// is reported as it comes.
    pub fn unreported_ns(&self) -> u64 {
        if self.is_awaited { 0 } else { self.report.end_ns.saturating_sub(self.not_before_ns) }
    }

    /// The time from the arrival to the end of the last step, at most.
    pub fn whole_ns(&self) -> u64 {
        self.unreported_ns() + self.end_ns().saturating_sub(self.report.end_ns)
    }
}

impl Item {
    /// Whether it concerns this descriptor.
    pub fn concerns(&self, pid: i32, of: i32) -> bool {
        let is_it = match self.what {
            What::Call { fd, other, .. } => fd == of || other == of,
            What::Control { fd, .. }
            | What::Close { fd }
            | What::Create { fd }
            | What::Arrival { fd, .. }
            | What::Repeat { fd, .. }
            | What::Unread { fd }
            | What::Look { fd, .. }
            | What::Chaos { fd, .. } => fd == of,
            What::Chain(chain) => chain.fd == of,
            _ => false,
        };
        self.pid == pid && is_it
    }
}
