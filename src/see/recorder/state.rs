//! The audit of a process and its record, under the recorder's lock.

use std::sync::atomic::Ordering::Relaxed;

use arrayvec::ArrayVec;
use epolyfill_audit::counts::Counts;
use epolyfill_audit::{Auditor, Look};
use epolyfill_facts::layout::word;
use epolyfill_facts::mask;
use epolyfill_facts::wire::{self, MOST_EVENTS};
use epolyfill_facts::{Event, Fact, Poller, SiteId, Stamp, Start};
use hashbrown::HashMap;

use super::process::WISH;
use super::{LOST, lose, tid};
use crate::log::Line;
use crate::see::record::Record;
use crate::see::stack::Stack;
use crate::see::world::Process;
use crate::see::{chaos, kernel};
use crate::sys;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) auditor: Auditor,
    /// The counts, if they are wanted.
    pub(super) counts: Option<Counts>,
    pub(super) record: Option<Record>,
    pub(super) sites: HashMap<u64, SiteId>,
    /// The events of the last report that was written, for the next one.
    pub(super) events: Vec<Event>,
    pub(super) chaos: chaos::State,
}

impl State {
    /// When the rules look next, in a thread that waits and in any; `u64::MAX` for never. Without a
    /// record nobody hears what they find.
    pub(super) fn next_looks(&self) -> (u64, u64) {
        let at = |due: Option<u64>| due.filter(|_| self.record.is_some()).unwrap_or(u64::MAX);
        (at(self.auditor.next_look_ns()), at(self.auditor.next_tick_ns()))
    }

    /// Takes a fact.
    pub(super) fn take(&mut self, stamp: Stamp, fact: &Fact<'_>) {
        if let Some(counts) = &mut self.counts {
            counts.before(stamp.tid, fact, self.auditor.mirror());
        }
        self.ask(stamp, |auditor, process| auditor.take(stamp, fact, process));
        if chaos::is_on() {
            self.chaos.take(stamp, fact, self.auditor.mirror());
        }
        if let Some(counts) = &mut self.counts {
            counts.after(stamp.ns, stamp.tid, fact, self.auditor.mirror());
            if let Some(record) = &self.record
                && matches!(fact, Fact::Create { .. } | Fact::Control { .. } | Fact::Report { .. })
            {
                record.put_counts(counts);
            }
        }
        if self.record.as_ref().is_some_and(Record::has_ring) {
            self.put(stamp, fact);
        }
    }

    /// Runs a part of the audit, then writes what it found.
    pub(super) fn ask(&mut self, stamp: Stamp, work: impl FnOnce(&mut Auditor, &mut Process<'_>)) {
        let State { auditor, record, .. } = self;
        if LOST.load(Relaxed) != 0 {
            auditor.lose(LOST.swap(0, Relaxed));
        }
        let mut process = Process { record: record.as_ref(), has_found: false, looks: ArrayVec::new() };
        work(auditor, &mut process);
        let Process { has_found, looks, .. } = process;
        if let Some(record) = record {
            for (at, value) in auditor.summary().array().into_iter().enumerate() {
                record.word(word::SUMMARY + at).store(value, Relaxed);
            }
            if has_found {
                record.announce();
            }
        }
        if self.record.as_ref().is_some_and(Record::has_ring) {
            for Look { epfd, fd, unread, is_after } in looks {
                let unread = unread.cast_signed();
                self.put(stamp, &Fact::Look { epfd, fd, levels: mask::IN, unread, is_after });
            }
        }
    }

    /// Appends a fact to the ring. The events of a report are those that the mirror has attributed.
    fn put(&mut self, stamp: Stamp, fact: &Fact<'_>) {
        let State { auditor, record: Some(record), events: named, .. } = self else { return };
        let put = |fact: &Fact<'_>, events: usize| {
            record.put_fact(wire::most_bytes(events), |bytes| wire::encode(stamp, fact, bytes));
        };
        let Fact::Report { form, mask, epfd, max, timeout_ns, began_ns, errno, events } = *fact else {
            return put(fact, 0);
        };
        named.clear();
        if named.try_reserve(events.len()).is_err() {
            return lose();
        }
        let batch = auditor.mirror().thread(stamp.tid).map_or(&[][..], |thread| &thread.batch);
        named.extend(events.iter().enumerate().map(|(at, event)| batch.get(at).map_or(*event, |known| known.event)));
        let mut rest = &named[..];
        loop {
            let (events, later) = rest.split_at(rest.len().min(MOST_EVENTS));
            put(&Fact::Report { form, mask, epfd, max, timeout_ns, began_ns, errno, events }, events.len());
            if later.is_empty() {
                break;
            }
            rest = later;
        }
    }

    pub(super) fn site_of(&mut self, stack: &Stack) -> SiteId {
        let hash = stack.hash();
        if let Some(known) = self.sites.get(&hash) {
            return *known;
        }
        let Some(record) = &mut self.record else { return SiteId(0) };
        if self.sites.try_reserve(1).is_err() {
            return SiteId(0);
        }
        let site = SiteId(record.put_site(stack));
        self.sites.insert(hash, site);
        site
    }

    /// Makes the record of this process, or reports why there is none.
    pub(super) fn begin(&mut self, is_fork: bool, parent: i32) {
        let Some(wish) = WISH.get() else { return };
        let inherited = self.record.as_ref().filter(|_| is_fork).map(Record::sites);
        if inherited.is_none() {
            self.sites.clear();
        }
        if is_fork {
            self.chaos.fork();
        }
        self.counts = wish.counts.then(Counts::default);
        self.record = match wish.directory.map(|directory| Record::create(directory, wish.room)).transpose() {
            Ok(mut record) => {
                if let (Some(record), Some(sites)) = (&mut record, inherited) {
                    record.skip_sites(sites);
                }
                record
            }
            Err(errno) => {
                let mut line = Line::<160>::new();
                line.text("epolyfill[").number(sys::getpid().into()).text("]: this process is not observed: ");
                line.text("its record cannot be made: ").text(errno.desc()).text("\n");
                line.to_stderr();
                None
            }
        };
        let stamp = Stamp { ns: sys::now(), tid: tid() };
        let start = Start {
            pid: sys::getpid(),
            ppid: parent,
            is_fork,
            wall_offset_ns: sys::wall_now().cast_signed() - stamp.ns.cast_signed(),
            poller: if kernel::is_chosen() { Poller::Kernel } else { Poller::Library },
        };
        if let Some(record) = &self.record {
            let put = |at: usize, value: u64| record.word(at).store(value, Relaxed);
            put(word::PPID, parent as u64);
            put(word::IS_FORK, u64::from(is_fork));
            put(word::WALL_OFFSET, start.wall_offset_ns.cast_unsigned());
            put(word::POLLER, u64::from(start.poller as u8));
            record.begin();
        }
        self.take(stamp, &Fact::Start(start));
    }
}
