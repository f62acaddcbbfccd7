//! A thread: where its time went.

use super::columns::{Columns, Scale};

/// A thread that made calls.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    pub pid: i32,
    pub tid: i32,
    pub first_ns: u64,
    pub last_ns: u64,
    /// In waits of epoll.
    pub asleep_ns: u64,
    /// In other calls that were seen.
    pub calls_ns: u64,
    pub calls: u64,
    pub waits: u64,
    /// Waits with a timeout of zero.
    pub zero: u64,
    /// Waits that returned nothing.
    pub empty: u64,
    pub events: u64,
    pub most_events: u32,
    /// The longest time between two waits, and when it began.
    pub longest_away: (u64, u64),
    /// Time on a processor, and ready without one, if it was looked up.
    pub times: Option<Times>,
    pub columns: Columns,
    /// The wait that it is in: when it began, the instance, the timeout.
    pub(super) waits_since: Option<(u64, i32, i64)>,
    pub(super) returned_ns: u64,
    /// The end of its last call; the next one begins no earlier.
    pub(super) end_ns: u64,
    /// The events of a report that no call has followed yet.
    pub(super) reported: Option<u32>,
}

/// The processor's time, from schedstat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    pub cpu_ns: u64,
    pub run_queue_ns: u64,
}

impl Thread {
    pub fn new(pid: i32, tid: i32, now_ns: u64) -> Thread {
        Thread { pid, tid, first_ns: now_ns, last_ns: now_ns, ..Thread::default() }
    }

    /// Whether it waits on an instance.
    pub fn is_loop(&self) -> bool {
        self.waits > 0 || self.waits_since.is_some()
    }

    pub fn lived_ns(&self) -> u64 {
        self.last_ns.saturating_sub(self.first_ns)
    }

    /// The time outside waits and seen calls.
    pub fn own_ns(&self) -> u64 {
        self.lived_ns().saturating_sub(self.asleep_ns + self.calls_ns)
    }

    /// Counts a call from `begin_ns` to `end_ns`.
    pub(super) fn call(&mut self, scale: &Scale, begin_ns: u64, end_ns: u64) {
        self.calls += 1;
        self.calls_ns += end_ns - begin_ns;
        self.columns.add(scale, begin_ns, end_ns, |column, ns| column.calls_ns += ns);
    }

    /// A wait has begun.
    pub(super) fn begin_wait(&mut self, now_ns: u64, epfd: i32, timeout_ns: i64) {
        self.waits_since = Some((now_ns, epfd, timeout_ns));
        if self.returned_ns > 0 {
            self.longest_away = self.longest_away.max((now_ns.saturating_sub(self.returned_ns), self.returned_ns));
        }
    }

    /// A wait has returned.
    pub(super) fn end_wait(&mut self, scale: &Scale, begin_ns: u64, end_ns: u64, timeout_ns: i64, events: u32) {
        self.waits_since = None;
        self.waits += 1;
        self.zero += u64::from(timeout_ns == 0);
        self.empty += u64::from(events == 0);
        self.events += u64::from(events);
        self.most_events = self.most_events.max(events);
        self.returned_ns = end_ns;
        self.sleep(scale, begin_ns, end_ns);
        let column = self.columns.at(scale, end_ns);
        column.waits += 1;
        column.zero += u32::from(timeout_ns == 0);
        column.events += events;
    }

    /// It was in a wait for this time.
    pub(super) fn sleep(&mut self, scale: &Scale, begin_ns: u64, end_ns: u64) {
        self.asleep_ns += end_ns.saturating_sub(begin_ns);
        self.columns.add(scale, begin_ns, end_ns, |column, ns| column.asleep_ns += ns);
    }
}
