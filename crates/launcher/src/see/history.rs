//! What happened in a run, from the facts of its processes, in bounded memory: sums for each
//! thread, descriptor and slice of time, histograms of the latencies, and all that happened around
//! the findings and the slowest answers. It does not judge; the auditor does.

pub mod columns;
pub mod descriptor;
pub mod item;
pub mod latency;
pub mod process;
pub mod thread;
pub mod window;

use columns::Scale;
use descriptor::Descriptor;
use epolyfill_audit::Finding;
use epolyfill_facts::{ChaosKind, Fact, SiteId, Stamp};
use hashbrown::HashMap;
use item::{Chain, Item, What};
use latency::Latency;
use process::Process;
use thread::{Thread, Times};
use window::{Around, Window, Windows};

/// The most processes that are told apart.
const MOST_PROCESSES: usize = 512;
/// The most threads of a run that are told apart.
const MOST_THREADS: usize = 1024;
/// The most closed descriptors that are remembered one by one.
const MOST_CLOSED: usize = 2048;
/// The most decisions of chaos that are remembered one by one.
pub const MOST_CHAOS: usize = 1000;
/// The most findings whose surroundings are kept.
const MOST_WINDOWS: usize = 64;
/// The slowest answers that are kept.
pub const MOST_SLOW: usize = 10;
/// What is kept before and after a finding.
pub const AROUND_NS: u64 = 100_000_000;
/// The most that is kept of a long case before its finding.
const LONGEST_CASE_NS: u64 = 2_000_000_000;
/// What is kept before and after a slow answer.
const AROUND_SLOW_NS: u64 = 5_000_000;

/// Sums of the closed descriptors that are not remembered one by one, by registration site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    pub descriptors: u64,
    pub reports: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// One of the slowest answers.
#[derive(Clone, Copy, Debug)]
pub struct Slow {
    pub pid: i32,
    pub chain: Chain,
    pub around: Around,
}

/// A decision of chaos.
#[derive(Clone, Copy, Debug)]
pub struct Perturbed {
    pub ns: u64,
    pub tid: i32,
    pub kind: ChaosKind,
    pub epfd: i32,
    pub fd: i32,
    pub ordinal: u64,
    pub amount: i64,
}

/// The latencies of a run.
#[derive(Debug, Default)]
pub struct Latencies {
    /// From the arrival to the report, at most, where the loop did not sleep for it.
    pub report: Latency,
    /// From the report to the first read.
    pub read: Latency,
    /// From the first read to the first write.
    pub answer: Latency,
    /// From the arrival to the last of these, at most.
    pub whole: Latency,
    /// Arrivals that the loop slept for.
    pub awaited: u64,
}

/// A run.
#[derive(Debug, Default)]
pub struct History {
    /// CLOCK_MONOTONIC of the first and the last fact.
    pub begin_ns: u64,
    pub end_ns: u64,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC.
    pub wall_offset_ns: i64,
    pub facts: u64,
    /// Facts that found no room in the records.
    pub lost: u64,
    pub scale: Option<Scale>,
    pub processes: Vec<Process>,
    pub unseen_processes: u64,
    pub threads: Vec<Thread>,
    pub unseen_threads: u64,
    /// Descriptors that are closed, or whose process has ended.
    pub past: Vec<Descriptor>,
    pub folded: HashMap<(i32, SiteId), Folded>,
    pub latencies: Latencies,
    pub slow: Vec<Slow>,
    pub chaos: Vec<Perturbed>,
    pub chaos_count: u64,
    pub windows: Windows,
    process_index: HashMap<i32, usize>,
    thread_index: HashMap<(i32, i32), usize>,
    worst_ns: HashMap<(i32, usize), u64>,
    slow_count: u64,
    fresh: Vec<Item>,
}

impl History {
    pub fn new() -> History {
        History::default()
    }

    /// The items of the last fact.
    pub fn fresh(&self) -> &[Item] {
        &self.fresh
    }

    /// The process with this id.
    pub fn process(&self, pid: i32) -> Option<&Process> {
        self.process_index.get(&pid).map(|at| &self.processes[*at])
    }

    /// The time since the beginning of the run.
    pub fn since_begin_ns(&self, ns: u64) -> u64 {
        ns.saturating_sub(self.begin_ns)
    }

    /// Sets the processor's time of a thread.
    pub fn set_times(&mut self, pid: i32, tid: i32, times: Times) {
        if let Some(at) = self.thread_index.get(&(pid, tid)) {
            self.threads[*at].times = Some(times);
        }
    }

    /// Names the program of a process.
    pub fn set_name(&mut self, pid: i32, name: &str) {
        if let Some(at) = self.learn_process(pid) {
            name.clone_into(&mut self.processes[at].name);
        }
    }

    /// The threads of a process.
    pub fn threads_of(&self, pid: i32) -> Vec<i32> {
        self.threads.iter().filter(|thread| thread.pid == pid).map(|thread| thread.tid).collect()
    }

    /// The sites at which the descriptors of a process were registered.
    pub fn sites_of(&self, pid: i32) -> Vec<SiteId> {
        let open = self.process(pid).into_iter().flat_map(|process| process.descriptors.values());
        let past = self.past.iter().filter(|descriptor| descriptor.pid == pid);
        let folded = self.folded.keys().filter(|(of, _)| *of == pid).map(|(_, site)| *site);
        let mut sites: Vec<SiteId> = open.chain(past).map(|descriptor| descriptor.site).chain(folded).collect();
        sites.sort_unstable();
        sites.dedup();
        sites
    }

    /// The registered descriptors of a process that are not described.
    pub fn undescribed(&self, pid: i32) -> Vec<i32> {
        let open = self.process(pid).into_iter().flat_map(|process| process.descriptors.values());
        let is_one = |one: &&Descriptor| one.words.is_empty() && one.is_registered();
        open.filter(is_one).map(|one| one.fd).collect()
    }

    /// Describes a descriptor that is open: its kind and both addresses.
    pub fn describe(&mut self, pid: i32, fd: i32, words: &str) {
        if let Some(at) = self.process_index.get(&pid)
            && let Some(descriptor) = self.processes[*at].descriptors.get_mut(&fd)
        {
            words.clone_into(&mut descriptor.words);
        }
    }

    /// Takes a fact.
    pub fn take(&mut self, pid: i32, stamp: Stamp, fact: &Fact<'_>) {
        self.fresh.clear();
        self.facts += 1;
        if self.scale.is_none() {
            (self.begin_ns, self.scale) = (stamp.ns, Some(Scale::new(stamp.ns)));
        }
        self.end_ns = self.end_ns.max(stamp.ns);
        self.widen(stamp.ns);
        let Some(process) = self.learn_process(pid) else { return };
        let Some(thread) = self.learn_thread(pid, stamp) else { return };
        process::take(self, process, thread, stamp, fact);
        for at in 0..self.fresh.len() {
            self.windows.push(self.fresh[at]);
        }
    }

    /// Takes a finding, new or with a higher count, and keeps what is around it.
    pub fn take_finding(&mut self, pid: i32, index: usize, finding: &Finding) {
        let key = (pid, index);
        let worst = finding.worst_ns;
        let is_news = self.worst_ns.get(&key).is_none_or(|before| worst > before + before / 2);
        if !is_news || (!self.worst_ns.contains_key(&key) && self.worst_ns.len() >= MOST_WINDOWS) {
            return;
        }
        self.worst_ns.insert(key, worst);
        let now = finding.last_ns;
        self.windows.open(Window {
            around: Around::Finding { pid, index },
            begin_ns: now.saturating_sub(AROUND_NS + worst.min(LONGEST_CASE_NS)),
            end_ns: now + AROUND_NS,
            pid,
            tid: finding.tid,
            fd: finding.fd,
            at_ns: now,
            items: Vec::new(),
            left_out: 0,
        });
    }

    /// No more facts come: ends what is under way.
    pub fn finish(&mut self) {
        self.fresh.clear();
        for at in 0..self.processes.len() {
            let end_ns = self.processes[at].ended_ns.unwrap_or(self.end_ns);
            process::end(self, at, end_ns);
        }
        for at in 0..self.fresh.len() {
            self.windows.push(self.fresh[at]);
        }
    }

    fn emit(&mut self, item: Item) {
        self.fresh.push(item);
    }

    fn widen(&mut self, ns: u64) {
        while let Some(scale) = self.scale.as_mut().filter(|scale| scale.is_beyond(ns)) {
            scale.width_ns *= 2;
            self.threads.iter_mut().for_each(|thread| thread.columns.halve());
        }
    }

    fn learn_process(&mut self, pid: i32) -> Option<usize> {
        if let Some(at) = self.process_index.get(&pid) {
            return Some(*at);
        }
        if self.processes.len() >= MOST_PROCESSES {
            self.unseen_processes += 1;
            return None;
        }
        self.processes.push(Process::new(pid));
        self.process_index.insert(pid, self.processes.len() - 1);
        Some(self.processes.len() - 1)
    }

    fn learn_thread(&mut self, pid: i32, stamp: Stamp) -> Option<usize> {
        if let Some(at) = self.thread_index.get(&(pid, stamp.tid)) {
            return Some(*at);
        }
        if self.threads.len() >= MOST_THREADS {
            self.unseen_threads += 1;
            return None;
        }
        self.threads.push(Thread::new(pid, stamp.tid, stamp.ns));
        self.thread_index.insert((pid, stamp.tid), self.threads.len() - 1);
        Some(self.threads.len() - 1)
    }

    /// Remembers a descriptor that is no longer open.
    fn bury(&mut self, descriptor: Descriptor) {
        if !descriptor.is_registered() && descriptor.reads + descriptor.writes == 0 {
            return;
        }
        self.past.push(descriptor);
        if self.past.len() <= MOST_CLOSED {
            return;
        }
        self.past.sort_by_key(|descriptor| std::cmp::Reverse((descriptor.slowest_read_ns, descriptor.reports)));
        for descriptor in self.past.drain(MOST_CLOSED / 2..) {
            let sum = self.folded.entry((descriptor.pid, descriptor.site)).or_default();
            sum.descriptors += 1;
            sum.reports += descriptor.reports;
            sum.bytes_in += descriptor.bytes_in;
            sum.bytes_out += descriptor.bytes_out;
        }
    }

    /// Counts a chain that is complete.
    fn end_chain(&mut self, pid: i32, chain: Chain) {
        if let Some(answer) = chain.answer
            && let Some(read) = chain.read
        {
            self.latencies.answer.add(answer.end_ns.saturating_sub(read.end_ns));
        }
        let whole = chain.whole_ns();
        self.latencies.whole.add(whole);
        let (begin_ns, end_ns) = (chain.end_ns().saturating_sub(whole), chain.end_ns());
        let (what, tid) = (What::Chain(chain), chain.report.tid);
        self.emit(Item { pid, tid, begin_ns, end_ns, what });
        if self.slow.len() == MOST_SLOW && self.slow.last().is_some_and(|least| least.chain.whole_ns() >= whole) {
            return;
        }
        self.slow_count += 1;
        let around = Around::Slow(self.slow_count);
        self.slow.push(Slow { pid, chain, around });
        self.slow.sort_by_key(|slow| std::cmp::Reverse(slow.chain.whole_ns()));
        if self.slow.len() > MOST_SLOW
            && let Some(least) = self.slow.pop()
        {
            self.windows.close(least.around);
        }
        self.windows.open(Window {
            around,
            begin_ns: begin_ns.saturating_sub(AROUND_SLOW_NS.max(whole / 4)),
            end_ns: end_ns + AROUND_SLOW_NS.max(whole / 4),
            pid,
            tid,
            fd: chain.fd,
            at_ns: begin_ns,
            items: Vec::new(),
            left_out: 0,
        });
    }
}
