//! What a program does after it slept on something: it goes on when the same thing is reported once
//! more (late), or of its own accord (resumed). A site that resumes once does so on purpose.

use epolyfill_facts::Kind;
use epolyfill_facts::mask::{INPUT, OUT, RDHUP};

use super::ms;
use crate::auditor::Context;
use crate::mirror::Registration;

/// The sleeps of a site.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Sleeps that only another report ended.
    pub late: u32,
    /// Sleeps that the program ended of its own accord.
    pub resumed: u32,
    /// Reports.
    pub reports: u64,
}

/// A report that ended a sleep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Again {
    tid: i32,
    /// When the wait would have timed out: from then on the program can act by its own clock.
    deadline_ns: u64,
}

impl Again {
    /// The report that the thread has just been given, for a registration in it. `began_ns` is when
    /// its wait began.
    pub fn new(cx: &Context<'_>, began_ns: u64, timeout_ns: i64) -> Again {
        /// A time-out in milliseconds is inexact by as much.
        const INEXACT: u64 = ms(2);
        let timeout = u64::try_from(timeout_ns).ok();
        let deadline_ns = timeout.map_or(u64::MAX, |ns| began_ns.saturating_add(ns).saturating_sub(INEXACT));
        Again { tid: cx.stamp.tid, deadline_ns }
    }

    /// Whether this thread was given the report.
    pub fn is_of(self, tid: i32) -> bool {
        self.tid == tid
    }

    /// Whether a call of this thread on the registration follows the report: `None` if something
    /// else can have caused it, such as a timer or another event of the same report.
    pub fn is_cause(self, cx: &Context<'_>, registration: &Registration, began_ns: u64) -> Option<bool> {
        if self.tid != cx.stamp.tid {
            return Some(false);
        }
        let thread = cx.mirror.thread(self.tid)?;
        let is_alone = thread.batch.iter().all(|batched| {
            let kind = || cx.mirror.file_of(batched.event.fd).and_then(|id| cx.mirror.file(id)).map(|file| file.kind);
            batched.event.fd == registration.fd
                || (!batched.is_handled
                    && batched.event.bits & INPUT != 0
                    && batched.event.bits & !(INPUT | OUT | RDHUP) == 0
                    && kind().is_some_and(needs_call))
        });
        (is_alone && began_ns < self.deadline_ns).then_some(true)
    }
}

/// Whether an event of this kind means nothing before the program has read what came.
const fn needs_call(kind: Kind) -> bool {
    matches!(kind, Kind::Tcp | Kind::TcpListener | Kind::Udp | Kind::UnixStream | Kind::UnixListener | Kind::Tty)
}
