//! A process that is followed: its record, its end, and the thread that hears of changes.

use super::audit::{Case, Shown, Totals};
use super::record::{self, Record};
use super::site::Names;
use super::spawn;
use epolyfill_audit::Finding;
use epolyfill_facts::layout::{self, word};
use nix::sys::eventfd::EventFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// A process.
#[derive(Debug)]
pub struct Followed {
    pub pid: i32,
    pub record: Arc<Record>,
    /// Readable when the process has ended; `None` when it is known to.
    pub life: Option<OwnedFd>,
    shown: Vec<Shown>,
    has_left: Arc<AtomicBool>,
    has_acknowledged: bool,
}

impl Followed {
    /// Follows the process of a record; `None` if the record is not complete. Changes ring the bell.
    pub fn new(path: &Path, bell: &Arc<EventFd>) -> Option<Followed> {
        let record = Arc::new(Record::open(path).ok()??);
        let pid = record.pid();
        let followed = Followed {
            pid,
            life: spawn::process(pid).ok(),
            record,
            shown: Vec::new(),
            has_left: Arc::default(),
            has_acknowledged: false,
        };
        followed.record.attach();
        if followed.life.is_some() {
            followed.listen(bell);
        }
        Some(followed)
    }

    /// Starts the thread that waits for the futex, which poll(2) cannot wait for.
    fn listen(&self, bell: &Arc<EventFd>) {
        const STACK: usize = 64 << 10;
        let (record, bell, has_left) = (Arc::clone(&self.record), Arc::clone(bell), Arc::clone(&self.has_left));
        let listener = move || {
            while !has_left.load(SeqCst) {
                let seen = record.changes().load(SeqCst);
                // It fails only if the bell was never heard, 2^64 times.
                let _ = bell.write(1);
                record::wait(record.changes(), seen);
            }
        };
        // Without the thread, what happens is read when the process ends.
        let _ = std::thread::Builder::new().stack_size(STACK).spawn(listener);
    }

    /// The process has ended, or executed another program.
    pub fn leave(&mut self) {
        self.life = None;
        self.has_left.store(true, SeqCst);
        self.record.changes().fetch_add(1, Relaxed);
        record::wake(self.record.changes());
    }

    /// Whether the process has written all, and waits until that is read.
    pub fn waits_for_reader(&self) -> bool {
        self.life.is_some() && !self.has_acknowledged && self.record.load(word::STATE) == layout::EXITING
    }

    /// Lets it end.
    pub fn acknowledge(&mut self) {
        self.has_acknowledged = true;
        self.record.acknowledge();
    }

    /// The cases that are to be shown now.
    pub fn due(&mut self, names: &mut Names, is_last: bool) -> Vec<Case> {
        let mut due = Vec::new();
        for index in 0..self.record.findings() {
            let Some(finding) = self.record.finding(index) else { continue };
            if self.shown.len() <= index {
                self.shown.resize_with(index + 1, Shown::default);
            }
            let is_repeat = self.shown[index].has(finding.grade);
            if self.shown[index].is_due(&finding, is_last) {
                due.push(self.case(names, finding, is_repeat));
            }
        }
        due
    }

    fn case(&self, names: &mut Names, finding: Finding, is_repeat: bool) -> Case {
        let site = names.site(&self.record, finding.site);
        let is_elsewhere = finding.at != finding.site;
        let deed = if is_elsewhere { names.site(&self.record, finding.at) } else { None };
        let wall_offset_ns = self.record.load(word::WALL_OFFSET).cast_signed();
        Case { pid: self.pid, wall_offset_ns, finding, site, deed, is_repeat }
    }

    /// The sums of this process.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        totals.add_process(&self.record.summary());
        let findings = (0..self.record.findings()).filter_map(|index| self.record.finding(index));
        findings.for_each(|finding| totals.add_finding(finding.grade));
        totals
    }
}
