//! What is made of the stream of facts: the history, and from it the timeline and the page.

use super::audit::{Case, Totals};
use super::followed::Followed;
use super::history::History;
use super::history::thread::Times;
use super::peers;
use super::report::{About, Card, page};
use super::site::Names;
use super::spawn;
use super::timeline::Timeline;
use super::trace::{Of, Trace};
use super::wishes::Seeing;
use super::wording::words;
use crate::failure::{Failure, name, why};
use epolyfill_facts::SiteId;
use epolyfill_facts::layout::word;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

/// The processor's times of threads are read again after this time.
const TIMES: Duration = Duration::from_millis(200);

/// Between two readings of the sockets of a system, which may be many, pass at least so many times as
/// long as the reading took.
const REST: u32 = 20;
/// Bytes of the timeline that are written at once.
const CHUNK: usize = 256 << 10;

/// A file that is written.
#[derive(Debug)]
struct Target {
    path: String,
    file: File,
}

impl Target {
    fn open(path: &OsString) -> Result<Target, Failure> {
        let failed = |error: &io::Error| Failure::own(format!("cannot write to {}: {}", name(path), why(error)));
        let file = File::create(path).map_err(|error| failed(&error))?;
        let file = spawn::own(file).map_err(|errno| failed(&errno.into()))?;
        Ok(Target { path: name(path).to_string(), file: file.into() })
    }
}

/// The consumers of facts.
#[derive(Debug)]
pub struct Stream {
    history: History,
    timeline: Option<(Timeline<BufWriter<File>>, String)>,
    page: Option<Target>,
    trace: Option<Trace>,
    descriptors: Vec<RawFd>,
    command: String,
    /// The argument of --chaos.
    chaos: Option<String>,
    cases: BTreeMap<(usize, usize), Case>,
    sites: HashMap<(i32, SiteId), String>,
    timed: Option<Instant>,
    /// The end of the last description of descriptors, and the time that it took.
    described: Option<(Instant, Duration)>,
    /// What could not be written: a sentence each.
    failures: Vec<String>,
    is_finished: bool,
}

impl Stream {
    /// Opens the files of those that are wanted; `None` if none is.
    pub fn open(seeing: &Seeing, command: &str) -> Result<Option<Stream>, Failure> {
        if !seeing.wants_facts() {
            return Ok(None);
        }
        let timeline = seeing.timeline.as_ref().map(Target::open).transpose()?;
        let page = seeing.report.as_ref().map(Target::open).transpose()?;
        let targets = [&timeline, &page].into_iter().flatten();
        let descriptors = targets.map(|target| target.file.as_raw_fd()).collect();
        let timeline =
            timeline.map(|target| (Timeline::new(BufWriter::with_capacity(CHUNK, target.file)), target.path));
        Ok(Some(Stream {
            history: History::new(),
            timeline,
            page,
            trace: (seeing.style.times > 0).then(|| Trace::new(seeing.style, seeing.output.is_some())),
            descriptors,
            command: command.to_owned(),
            chaos: seeing.chaos.plan.as_ref().map(|plan| name(plan).to_string()),
            cases: BTreeMap::new(),
            sites: HashMap::new(),
            timed: None,
            described: None,
            failures: Vec::new(),
            is_finished: false,
        }))
    }

    /// The descriptors of the files.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.descriptors.iter().copied()
    }

    /// Takes the facts of a process that are new.
    pub fn read(&mut self, one: &Followed, has_others: bool) {
        let Stream { history, timeline, trace, failures, is_finished, .. } = self;
        let wall_offset_ns = one.record.load(word::WALL_OFFSET).cast_signed();
        let of = Of { pid: one.pid, wall_offset_ns, has_others };
        one.record.facts(|stamp, fact| {
            if let Some(trace) = trace {
                trace.take(of, stamp, fact);
            }
            if *is_finished {
                return;
            }
            history.take(one.pid, stamp, fact);
            if let Some((line, path)) = timeline
                && let Err(error) = line.take(history.fresh())
            {
                failures.push(cannot(path, &error));
                *timeline = None;
            }
        });
    }

    /// The lines of the trace since the last call.
    pub fn lines(&mut self) -> String {
        self.trace.as_mut().map_or(String::new(), Trace::lines)
    }

    /// Notes what only a living process shows.
    pub fn look(&mut self, living: &[Followed], is_last: bool) {
        if !is_last && self.timed.is_some_and(|timed| timed.elapsed() < TIMES) {
            return;
        }
        let now = Instant::now();
        self.timed = Some(now);
        let is_due = self.described.is_none_or(|(end, took)| now - end >= took * REST);
        for one in living {
            if let Ok(comm) = std::fs::read_to_string(format!("/proc/{}/comm", one.pid)) {
                self.history.set_name(one.pid, comm.trim_end());
            }
            if is_last || is_due {
                self.describe(one.pid);
            }
            for tid in self.history.threads_of(one.pid) {
                if let Some(times) = times(one.pid, tid) {
                    self.history.set_times(one.pid, tid, times);
                }
            }
        }
    }

    fn describe(&mut self, pid: i32) {
        let unknown = self.history.undescribed(pid);
        if unknown.is_empty() {
            return;
        }
        let begin = Instant::now();
        for (fd, words) in peers::describe(pid, &unknown) {
            self.history.describe(pid, fd, &words);
        }
        self.described = Some((Instant::now(), begin.elapsed()));
    }

    /// Notes a finding, new or with a higher count.
    pub fn note(&mut self, case: &Case) {
        self.history.take_finding(case.pid, case.index, &case.finding);
        self.cases.insert((case.process, case.index), case.clone());
    }

    /// A process has ended: names the places that the page shows.
    pub fn bury(&mut self, one: &Followed, names: &mut Names) {
        self.history.lost += one.record.load(word::LOST);
        if self.page.is_none() {
            return;
        }
        for site in self.history.sites_of(one.pid) {
            if let Some(found) = one.site(names, site) {
                self.sites.insert((one.pid, site), found.to_string());
            }
        }
    }

    /// Writes the files. No fact is taken after that.
    pub fn finish(&mut self, totals: &Totals) {
        if std::mem::replace(&mut self.is_finished, true) {
            return;
        }
        self.history.finish();
        if let Some((timeline, path)) = self.timeline.take()
            && let Err(error) = timeline.finish(&self.history, &self.command)
        {
            self.failures.push(cannot(&path, &error));
        }
        if let Some(Target { path, mut file }) = self.page.take() {
            let cards: Vec<Card> = self.cases.values().map(card).collect();
            let about = About {
                command: self.command.clone(),
                chaos: self.chaos.clone(),
                unseen: totals.clauses(),
                sites: std::mem::take(&mut self.sites),
            };
            if let Err(error) = file.write_all(page(&self.history, &cards, &about).as_bytes()) {
                self.failures.push(cannot(&path, &error));
            }
        }
    }

    /// What could not be written since the last call.
    pub fn failures(&mut self) -> Vec<String> {
        std::mem::take(&mut self.failures)
    }
}

fn cannot(path: &str, error: &io::Error) -> String {
    format!("cannot write to {path}: {}", why(error))
}

/// The processor's times of a thread.
fn times(pid: i32, tid: i32) -> Option<Times> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat")).ok()?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some(Times { cpu_ns: numbers.next()?.ok()?, run_queue_ns: numbers.next()?.ok()? })
}

/// A finding, for the page.
fn card(case: &Case) -> Card {
    let said = words(&case.finding);
    let [site, deed] = [&case.site, &case.deed].map(|site| site.as_ref().map(ToString::to_string).unwrap_or_default());
    Card {
        pid: case.pid,
        index: case.index,
        finding: case.finding,
        fact: said.fact,
        consequence: said.consequence,
        remedy: said.remedy,
        site,
        deed,
        suppress: case.suppression(),
    }
}
