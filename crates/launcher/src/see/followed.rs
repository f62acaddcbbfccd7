//! A process that is followed: its record, its end, and the thread that hears of changes.

use super::audit::{Case, Shown, Totals};
use super::mapper;
use super::record::{self, Record};
use super::site::{Names, Site};
use super::spawn;
use super::suppress::Suppressions;
use epolyfill_audit::Finding;
use epolyfill_facts::SiteId;
use epolyfill_facts::layout::{self, word};
use nix::errno::Errno;
use nix::sys::eventfd::EventFd;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// The descriptors that are left for other files than the processes: those with symbols.
const SPARE: RawFd = 4;

/// A process.
#[derive(Debug)]
pub struct Followed {
    /// Counts the processes.
    serial: usize,
    pub pid: i32,
    /// The name of its program at the first look.
    command: String,
    pub record: Arc<Record>,
    /// The records of the processes that it was forked from, which have the sites of that time.
    ancestors: Vec<Arc<Record>>,
    /// Readable when the process has ended; `None` when it is known to.
    pub life: Option<OwnedFd>,
    shown: Vec<Shown>,
    has_ended: bool,
    has_left: Arc<AtomicBool>,
    has_acknowledged: bool,
}

impl Followed {
    /// Follows the process of a record; `None` if the record is not complete. An error may be one
    /// of the moment, such as a lack of descriptors. Changes ring the bell.
    pub fn new(serial: usize, path: &Path, others: &[Followed], bell: &Arc<EventFd>) -> io::Result<Option<Followed>> {
        let Some(record) = Record::open(path)?.map(Arc::new) else { return Ok(None) };
        let pid = mapper::find(&record);
        let life = match pid.map_or(Err(Errno::ESRCH), spawn::process) {
            Ok(life) if others.is_empty() || life.as_raw_fd() <= spawn::highest_number() - SPARE => Some(life),
            Ok(_) => return Err(Errno::EMFILE.into()),
            Err(Errno::ESRCH) => None,
            Err(errno) => return Err(errno.into()),
        };
        let pid = pid.unwrap_or(record.pid());
        let (is_fork, parent) = (record.load(word::IS_FORK) == 1, record.load(word::PPID) as i32);
        let parent = others.iter().rfind(|other| is_fork && other.pid == parent);
        let ancestors = parent
            .map_or(Vec::new(), |parent| [&parent.record].into_iter().chain(&parent.ancestors).cloned().collect());
        let followed = Followed {
            ancestors,
            serial,
            pid,
            command: name(pid),
            life,
            record,
            shown: Vec::new(),
            has_ended: false,
            has_left: Arc::default(),
            has_acknowledged: false,
        };
        followed.record.attach();
        if followed.life.is_some() {
            followed.listen(bell);
        }
        Ok(Some(followed))
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

    /// The name of its program. It takes that of a static one after the beginning of the record.
    pub fn command(&mut self) -> &str {
        let now = name(self.pid);
        if self.life.is_some() && !now.is_empty() {
            self.command = now;
        }
        &self.command
    }

    /// Whether this is the first call, after the process has written all.
    pub fn is_first_end(&mut self) -> bool {
        !std::mem::replace(&mut self.has_ended, true)
    }

    /// Lets it end.
    pub fn acknowledge(&mut self) {
        self.has_acknowledged = true;
        self.record.acknowledge();
    }

    /// The cases that are to be shown now.
    pub fn due(&mut self, names: &mut Names, suppressions: &mut Suppressions, is_last: bool) -> Vec<Case> {
        let mut due = Vec::new();
        for index in 0..self.record.findings() {
            let Some(finding) = self.record.finding(index) else { continue };
            let is_new = self.shown.len() <= index;
            if is_new {
                self.shown.resize_with(index + 1, Shown::default);
            }
            let shown = &mut self.shown[index];
            let is_repeat = shown.has(finding.grade);
            if shown.is_suppressed || !shown.is_due(&finding, is_last) {
                continue;
            }
            let case = self.case(names, (index, finding), is_repeat);
            if is_new && suppressions.cover(&case) {
                self.shown[index].is_suppressed = true;
                continue;
            }
            due.push(case);
        }
        due
    }

    fn case(&self, names: &mut Names, (index, finding): (usize, Finding), is_repeat: bool) -> Case {
        let site = self.site(names, finding.site);
        let is_elsewhere = finding.at != finding.site;
        let deed = if is_elsewhere { self.site(names, finding.at) } else { None };
        let wall_offset_ns = self.record.load(word::WALL_OFFSET).cast_signed();
        Case { process: self.serial, index, pid: self.pid, wall_offset_ns, finding, site, deed, is_repeat }
    }

    /// A place in the program.
    pub fn site(&self, names: &mut Names, site: SiteId) -> Option<Site> {
        let records = [&self.record].into_iter().chain(&self.ancestors);
        records.map(|record| names.site(record, site)).find(Option::is_some).flatten()
    }

    /// The sums of this process.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        totals.add_process(&self.record.summary());
        for index in 0..self.record.findings() {
            if self.shown.get(index).is_some_and(|shown| shown.is_suppressed) {
                totals.suppressed += 1;
            } else if let Some(finding) = self.record.finding(index) {
                totals.add_finding(finding.grade);
            }
        }
        totals
    }
}

/// The name of a process; empty if it has ended.
fn name(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}
