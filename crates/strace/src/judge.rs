//! The audit of a trace: follows the threads line by line, and gives each process its facts.

use crate::call::Returned;
use crate::clock::Clock;
use crate::kin::{self, Birth, Kin, Threads};
use crate::line::{Body, Time, Who, attached_within, continued, line, prefix};
use crate::lines::Lines;
use crate::process::Process;
use crate::table::{Child, Files};
use epolyfill_audit::{Finding, Summary};
use epolyfill_facts::{Fact, Stamp};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// What the audit of a trace found.
#[derive(Debug, Default)]
pub struct Judged {
    /// The processes of the trace, in the order in which they appear.
    pub processes: Vec<OfProcess>,
    /// Lines of strace.
    pub lines: u64,
    /// Lines that are not strace's.
    pub foreign: u64,
    /// Threads that are left out, because the trace does not show of which process they are.
    pub unknown_threads: u64,
    /// Whether the lines have times that are of use: -ttt, -tt or -r.
    pub has_times: bool,
}

/// What the audit found in a process.
#[derive(Debug)]
pub struct OfProcess {
    /// Its id; 0 if the trace does not have it.
    pub pid: i32,
    /// Its findings.
    pub findings: Vec<Finding>,
    /// Its sums.
    pub summary: Summary,
}

/// Judges the text of strace(1).
pub fn judge(text: &[u8]) -> Judged {
    let text: Cow<'_, str> = String::from_utf8_lossy(text);
    let kin = Kin::read(&text);
    let mut judge = Judge::new(&text, &kin);
    for (at, text) in Lines::new(&text) {
        judge.line(at, text);
    }
    judge.end()
}

/// The first half of a call.
#[derive(Debug)]
struct Pending<'a> {
    name: &'a str,
    args: &'a str,
    began_ns: u64,
}

struct Judge<'a> {
    text: &'a str,
    kin: &'a Kin<'a>,
    threads: Threads,
    clock: Clock,
    has_times: bool,
    files: Files,
    processes: Vec<Process>,
    /// The process of a thread; `None` if it is not known.
    of_thread: HashMap<i32, Option<usize>>,
    /// Threads that have ended.
    gone: HashSet<i32>,
    pending: HashMap<i32, Pending<'a>>,
    /// The call that the line of a new thread has cut in two.
    cut: Option<(i32, &'a str)>,
    joined: String,
    /// When a tick is due.
    due_ns: Option<u64>,
}

impl<'a> Judge<'a> {
    fn new(text: &'a str, kin: &'a Kin<'a>) -> Judge<'a> {
        Judge {
            text,
            kin,
            threads: Threads::new(kin.first),
            clock: Clock::default(),
            has_times: false,
            files: Files {
                has_threads: kin.is_followed && kin.has_births,
                is_doubtful: !kin.is_followed,
                ..Files::default()
            },
            processes: Vec::new(),
            of_thread: HashMap::new(),
            gone: HashSet::new(),
            pending: HashMap::new(),
            cut: None,
            joined: String::new(),
            due_ns: None,
        }
    }

    fn line(&mut self, at: usize, text: &'a str) {
        let mut line = line(text);
        let cut = self.cut.take();
        if line.body == Body::Foreign
            && let Some(((tid, name), rest)) = cut.zip(continued(text))
        {
            (line.who, line.body) = (Who::Bracketed(tid), Body::Resumed { name, rest });
        }
        if line.body == Body::Foreign {
            return;
        }
        let tid = self.threads.of(line.who);
        let ns = self.clock.next(line.time);
        self.has_times |= matches!(line.time, Time::Epoch(_) | Time::Day(_) | Time::Relative(_));
        self.tick(ns);
        let Some(process) = self.process(tid, ns) else { return };
        match line.body {
            Body::Call { name, rest } => self.whole(process, tid, (at, text), name, rest),
            Body::Unfinished { name, args } => {
                let stamp = Stamp { ns, tid };
                let wait = self.kin.waits.get(&at).copied();
                self.processes[process].enter(&mut self.files, stamp, name, args, wait, None);
                self.pending.insert(tid, Pending { name, args, began_ns: ns });
                if let Some(child) = attached_within(text) {
                    self.cut = Some((tid, name));
                    self.process(child, ns);
                }
            }
            Body::Resumed { name, rest } => self.resumed(process, tid, name, rest),
            Body::Exited { status } => self.exited(process, tid, status),
            Body::Superseded { by } => {
                self.threads.end(tid);
                self.of_thread.insert(by, Some(process));
            }
            Body::Detached => self.files.is_doubtful = true,
            _ => {}
        }
        self.arm(process);
    }

    /// The process of a thread, which begins if it is new.
    fn process(&mut self, tid: i32, ns: u64) -> Option<usize> {
        if let Some(known) = self.of_thread.get(&tid) {
            return *known;
        }
        let birth = self.kin.birth(tid);
        let parent = birth.and_then(|(parent, _)| self.of_thread.get(&parent).copied().flatten());
        let stamp = Stamp { ns, tid };
        self.gone.remove(&tid);
        let process = match (parent, birth) {
            (Some(parent), Some((_, Birth::Thread))) => Some(parent),
            (_, Some((_, Birth::Unknown))) => None,
            (Some(parent), Some((_, Birth::Process))) => {
                let child = self.processes[parent].fork(tid, stamp, &self.files);
                self.forked(parent, tid, ns);
                self.processes.push(child);
                Some(self.processes.len() - 1)
            }
            (None, _) | (_, None) => {
                self.processes.push(Process::new(tid, 0, stamp, &self.files));
                Some(self.processes.len() - 1)
            }
        };
        if let Some(process) = process {
            self.processes[process].threads += 1;
        }
        self.of_thread.insert(tid, process);
        process
    }

    /// A process has a child, which is told once.
    fn forked(&mut self, parent: usize, child: i32, ns: u64) {
        let pid = self.processes[parent].pid;
        let children = &mut self.processes[parent].children;
        if children.iter().any(|known| known.pid == child) {
            return;
        }
        children.push(Child { pid: child, since_ns: ns, has_copy: true });
        self.processes[parent].take(&self.files, Stamp { ns, tid: pid }, &Fact::Fork { child });
    }

    fn whole(&mut self, process: usize, tid: i32, (at, line): (usize, &str), name: &str, rest: &str) {
        let began_ns = self.clock.now_ns();
        let Some(call) = Returned::new(name, rest) else { return };
        let is_wait = name.starts_with("epoll_") && name.contains("wait");
        let wait = is_wait.then(|| kin::wait(name, rest));
        let stamp = Stamp { ns: began_ns, tid };
        self.processes[process].enter(&mut self.files, stamp, name, rest, wait, Some(call.outcome.value));
        match call.outcome.took_ns {
            Some(took) => self.clock.reach(began_ns.saturating_add(took)),
            // A wait took no longer than until the next line. What the thread did after it counts as
            // sleep, so it is never accused of that time.
            None if is_wait && self.has_times => self.reach_next(at + line.len() + 1),
            None => {}
        }
        self.leave(process, tid, began_ns, call);
    }

    /// Passes to the time of the next line that has one.
    fn reach_next(&mut self, at: usize) {
        const MOST: usize = 16;
        for (_, line) in Lines::new(self.text.get(at..).unwrap_or_default()).take(MOST) {
            let (_, time, _) = prefix(line);
            if time != Time::None {
                let mut next = self.clock;
                let ns = next.next(time);
                // -r counts from the line before, so it must not be counted twice.
                if !matches!(time, Time::Relative(_)) {
                    self.clock.reach(ns);
                }
                return;
            }
        }
    }

    fn resumed(&mut self, process: usize, tid: i32, name: &'a str, rest: &'a str) {
        let Some(pending) = self.pending.remove(&tid).filter(|pending| pending.name == name) else { return };
        self.processes[process].reading(&mut self.files, name, pending.args, -1);
        let mut joined = std::mem::take(&mut self.joined);
        joined.clear();
        joined.push_str(pending.args);
        joined.push_str(rest);
        if let Some(call) = Returned::new(name, &joined) {
            self.leave(process, tid, pending.began_ns, call);
        }
        self.joined = joined;
    }

    fn leave(&mut self, process: usize, tid: i32, began_ns: u64, call: Returned<'_>) {
        let stamp = Stamp { ns: self.clock.now_ns(), tid };
        self.tick(stamp.ns);
        match call.name {
            "fork" | "vfork" | "clone" | "clone3" if call.is_success() && !call.text.contains("CLONE_FILES") => {
                let Ok(child) = i32::try_from(call.outcome.value) else { return };
                self.forked(process, child, stamp.ns);
                if !self.kin.is_seen(child) {
                    self.files.is_doubtful = true;
                } else if !self.gone.remove(&child) {
                    // Before this process goes on: the child has its descriptors of now.
                    self.process(child, stamp.ns);
                }
            }
            "execve" | "execveat" if call.is_success() => {
                let pid = self.processes[process].pid;
                self.without_copy(pid);
            }
            _ => {}
        }
        self.processes[process].leave(&mut self.files, stamp, began_ns, call);
        if std::mem::take(&mut self.files.has_risen) {
            self.look(stamp.ns);
        }
    }

    /// Something has become readable: a process that has a tick to come looks now, not later.
    fn look(&mut self, now_ns: u64) {
        for process in self.processes.iter_mut().filter(|process| process.threads > 0) {
            if process.auditor.next_due_ns().is_some() {
                process.look(&self.files, now_ns);
            }
        }
    }

    fn without_copy(&mut self, pid: i32) {
        let children = self.processes.iter_mut().flat_map(|process| &mut process.children);
        children.filter(|child| child.pid == pid).for_each(|child| child.has_copy = false);
    }

    fn exited(&mut self, process: usize, tid: i32, status: i32) {
        self.threads.end(tid);
        self.pending.remove(&tid);
        self.of_thread.remove(&tid);
        self.gone.insert(tid);
        let threads = &mut self.processes[process].threads;
        *threads = threads.saturating_sub(1);
        if *threads == 0 {
            let stamp = Stamp { ns: self.clock.now_ns(), tid };
            self.processes[process].take(&self.files, stamp, &Fact::Exit { status });
            let pid = self.processes[process].pid;
            self.without_copy(pid);
        }
    }

    /// Notes when the audit of a process wants its next tick.
    fn arm(&mut self, process: usize) {
        if let Some(due) = self.processes[process].auditor.next_due_ns() {
            self.due_ns = Some(self.due_ns.map_or(due, |before| before.min(due)));
        }
    }

    fn tick(&mut self, now_ns: u64) {
        if self.due_ns.is_none_or(|due| due > now_ns) {
            return;
        }
        for process in self.processes.iter_mut().filter(|process| process.threads > 0) {
            process.tick(&self.files, now_ns);
        }
        let next = self.processes.iter().filter(|process| process.threads > 0);
        self.due_ns = next.filter_map(|process| process.auditor.next_due_ns()).min();
    }

    fn end(self) -> Judged {
        let mut processes = Vec::new();
        for Process { pid, auditor, past, .. } in self.processes {
            let last = (auditor.findings().to_vec(), auditor.summary());
            let programs = past.into_iter().chain([last]);
            processes.extend(programs.map(|(findings, summary)| OfProcess { pid, findings, summary }));
        }
        Judged {
            processes,
            lines: self.kin.lines,
            foreign: self.kin.foreign,
            unknown_threads: self.of_thread.values().filter(|process| process.is_none()).count() as u64,
            has_times: self.has_times,
        }
    }
}
