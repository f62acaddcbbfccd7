//! A descriptor as the facts show it: its registration, its sums, and the arrival that is under way.

use super::item::{Chain, Moment};
use epolyfill_facts::{NO_FD, SiteId};

const EDGE: u32 = libc::EPOLLET as u32;

/// The meaning of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reported {
    /// Something arrived since this time. `was_emptied` says that nothing else was there.
    Arrival { not_before_ns: u64, was_emptied: bool },
    /// The level is still high.
    Again,
}

/// A descriptor, from the time when it was first seen to its close.
#[derive(Clone, Debug)]
pub struct Descriptor {
    pub pid: i32,
    pub fd: i32,
    /// Its kind and both addresses, if somebody has described it.
    pub words: String,
    /// The instance of its last registration, or [`NO_FD`].
    pub epfd: i32,
    pub mask: u32,
    pub data: u64,
    pub site: SiteId,
    pub since_ns: u64,
    pub closed_ns: Option<u64>,
    pub is_instance: bool,
    pub arrivals: u64,
    pub reports: u64,
    pub reads: u64,
    pub bytes_in: u64,
    pub writes: u64,
    pub bytes_out: u64,
    pub accepted: u64,
    /// Calls that failed with EAGAIN.
    pub again: u64,
    /// The longest time from a report to the first read.
    pub slowest_read_ns: u64,
    /// Unread bytes at the last look.
    pub unread: Option<i64>,
    /// Since when it has been reported readable and not been read until empty.
    pub unread_since_ns: Option<u64>,
    pub(super) reported_ns: u64,
    pub(super) last_read_ns: u64,
    /// A call showed at this time that nothing was left.
    pub(super) empty_ns: u64,
    pub(super) chain: Option<Chain>,
}

impl Descriptor {
    pub fn new(pid: i32, fd: i32, now_ns: u64) -> Descriptor {
        Descriptor {
            pid,
            fd,
            words: String::new(),
            epfd: NO_FD,
            mask: 0,
            data: 0,
            site: SiteId(0),
            since_ns: now_ns,
            closed_ns: None,
            is_instance: false,
            arrivals: 0,
            reports: 0,
            reads: 0,
            bytes_in: 0,
            writes: 0,
            bytes_out: 0,
            accepted: 0,
            again: 0,
            slowest_read_ns: 0,
            unread: None,
            unread_since_ns: None,
            reported_ns: 0,
            last_read_ns: 0,
            empty_ns: now_ns,
            chain: None,
        }
    }

    /// The same open file in a forked child, or under another number.
    pub fn copy(&self, pid: i32, fd: i32, now_ns: u64) -> Descriptor {
        let (words, is_instance) = (self.words.clone(), self.is_instance);
        let new = Descriptor { words, is_instance, ..Descriptor::new(pid, fd, now_ns) };
        if fd != self.fd {
            return new;
        }
        Descriptor { epfd: self.epfd, mask: self.mask, data: self.data, site: self.site, ..new }
    }

    /// Whether it was ever registered.
    pub fn is_registered(&self) -> bool {
        self.mask != 0 || self.epfd != NO_FD || self.reports > 0
    }

    /// A report of it. `empty_ns` is the end of the last wait that had room for it and did not
    /// report it.
    pub(super) fn report(&mut self, now_ns: u64, empty_ns: u64) -> Reported {
        self.reports += 1;
        let before = std::mem::replace(&mut self.reported_ns, now_ns);
        let is_edge = self.mask & EDGE != 0;
        let was_emptied = self.empty_ns >= before || (empty_ns > before && !is_edge);
        // An edge-triggered report is an arrival even if what came before was not read.
        if !was_emptied && !is_edge {
            return Reported::Again;
        }
        self.arrivals += 1;
        let not_before_ns = self.empty_ns.max(empty_ns).max(before).min(now_ns);
        Reported::Arrival { not_before_ns, was_emptied }
    }

    /// A call took data, or found none. `is_empty` says that it left nothing. Returns since when
    /// the descriptor was unread, if it is empty now.
    pub(super) fn read(&mut self, bytes: u64, is_empty: bool, when: Moment) -> Option<u64> {
        self.reads += 1;
        self.bytes_in += bytes;
        self.last_read_ns = when.end_ns;
        if let Some(chain) = self.chain.as_mut().filter(|chain| chain.read.is_none()) {
            chain.read = Some(when);
            let waited = when.begin_ns.saturating_sub(chain.report.end_ns);
            self.slowest_read_ns = self.slowest_read_ns.max(waited);
        }
        if is_empty { self.emptied(when.end_ns) } else { None }
    }

    /// Nothing is left to read.
    pub(super) fn emptied(&mut self, now_ns: u64) -> Option<u64> {
        self.empty_ns = now_ns;
        self.unread = None;
        self.unread_since_ns.take()
    }

    /// A write. Returns the chain that it ends.
    pub(super) fn write(&mut self, answer: i64, when: Moment) -> Option<Chain> {
        self.writes += 1;
        self.bytes_out += answer.max(0).unsigned_abs();
        let chain = self.chain.as_mut().filter(|chain| chain.read.is_some())?;
        chain.answer = Some(when);
        self.chain.take()
    }
}
