//! Which of the threads of a trace share their descriptors. If clone, fork and vfork are in the
//! trace, they say it. `-e trace=%desc,%network` leaves them out; then the numbers themselves show
//! it: a number that one thread closed and another goes on to use is of two processes, one that one
//! thread made and another uses is of one.

use crate::args::Args;
use crate::call::{Returned, range};
use crate::label;
use crate::line::{Body, Who, attached_within, continued, line};
use crate::lines::Lines;
use std::collections::{HashMap, HashSet};

/// How a thread came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Birth {
    /// It shares the descriptors of its parent.
    Thread,
    /// It has a copy.
    Process,
    /// The trace does not say.
    Unknown,
}

/// A wait whose arguments come after it: the size of its array, and its time-out.
pub type Wait = (i32, i64);

/// What has to be known before the facts can be told.
#[derive(Debug, Default)]
pub struct Kin<'a> {
    /// The thread of lines without a number, while there are others.
    pub first: i32,
    /// strace followed forks.
    pub is_followed: bool,
    /// The calls that make threads are in the trace.
    pub has_births: bool,
    /// Parent and birth of each thread but the first.
    births: HashMap<i32, (i32, Birth)>,
    /// The waits that are not finished on their line, by its offset.
    pub waits: HashMap<usize, Wait>,
    /// Lines of strace, and others.
    pub lines: u64,
    pub foreign: u64,
    /// The thread of the first line.
    begin: Option<i32>,
    order: HashMap<i32, usize>,
    evidence: HashMap<i32, Evidence>,
    numbers: HashMap<i32, Number<'a>>,
    stacks: u32,
    attached_threads: bool,
    announced: HashSet<i32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Evidence {
    /// Beside the first thread, and beside others.
    own: [u32; 2],
    shared: [u32; 2],
    is_child: bool,
    has_stack: bool,
}

/// The last that happened to a number.
#[derive(Clone, Copy, Debug)]
struct Number<'a> {
    is_open: bool,
    by: i32,
    /// The line.
    at: usize,
    label: Option<&'a str>,
}

/// Threads of a trace by the prefixes of its lines.
#[derive(Debug, Default)]
pub struct Threads {
    living: HashSet<i32>,
    first: i32,
}

impl Threads {
    pub fn new(first: i32) -> Threads {
        Threads { living: HashSet::new(), first }
    }

    /// The thread of a line.
    pub fn of(&mut self, who: Who) -> i32 {
        match who {
            Who::Bracketed(tid) | Who::Column(tid) => {
                self.living.insert(tid);
                tid
            }
            Who::Alone => match self.living.len() {
                1 => self.living.iter().next().copied().unwrap_or(self.first),
                _ => self.first,
            },
        }
    }

    pub fn end(&mut self, tid: i32) {
        self.living.remove(&tid);
    }
}

impl<'a> Kin<'a> {
    /// Reads a trace for the first time.
    pub fn read(text: &'a str) -> Kin<'a> {
        let mut kin = Kin { first: first(text), ..Kin::default() };
        let mut threads = Threads::new(kin.first);
        let mut pending: HashMap<i32, (usize, &'a str, &'a str)> = HashMap::new();
        let mut joined = String::new();
        let mut cut = None;
        for (at, text) in Lines::new(text) {
            let mut line = line(text);
            let cut_before = cut.take();
            if line.body == Body::Foreign
                && let Some(((tid, name), rest)) = cut_before.zip(continued(text))
            {
                (line.who, line.body) = (Who::Bracketed(tid), Body::Resumed { name, rest });
            }
            if line.body == Body::Foreign {
                kin.foreign += u64::from(!text.trim().is_empty());
                continue;
            }
            kin.lines += 1;
            let tid = threads.of(line.who);
            kin.is_followed |= line.who != Who::Alone;
            kin.meet(tid, at);
            match line.body {
                Body::Call { name, rest } => {
                    if let Some(call) = Returned::new(name, rest) {
                        kin.returned(tid, at, call);
                    }
                }
                Body::Unfinished { name, args } => {
                    pending.insert(tid, (at, name, args));
                    if let Some(child) = attached_within(text) {
                        kin.attached(child);
                        cut = Some((tid, name));
                    }
                }
                Body::Resumed { name, rest } => {
                    let Some((began, _, head)) = pending.remove(&tid).filter(|(_, known, _)| *known == name) else {
                        continue;
                    };
                    joined.clear();
                    joined.push_str(head);
                    joined.push_str(rest);
                    if name.starts_with("epoll_") && name.contains("wait") {
                        kin.waits.insert(began, wait(name, &joined));
                    }
                    if let Some(call) = Returned::new(name, &joined) {
                        kin.returned_joined(tid, at, call, text);
                    }
                }
                Body::Signal { child: Some(child) } => {
                    kin.evidence.entry(child).or_default().is_child = true;
                }
                Body::Attached { tid, threads } => {
                    kin.attached_threads |= threads;
                    kin.attached(tid);
                }
                Body::Exited { .. } => threads.end(tid),
                _ => {}
            }
        }
        kin.numbers = HashMap::new();
        kin
    }

    /// Whether a thread has a line of its own.
    pub fn is_seen(&self, tid: i32) -> bool {
        self.order.contains_key(&tid)
    }

    /// Parent and birth of a thread. The first thread has none.
    pub fn birth(&self, tid: i32) -> Option<(i32, Birth)> {
        if let Some(known) = self.births.get(&tid) {
            return Some(*known);
        }
        let begin = self.begin.filter(|begin| *begin != tid)?;
        let Evidence { own, shared, is_child, has_stack } = self.evidence.get(&tid).copied().unwrap_or_default();
        let birth = match () {
            () if is_child || own[0] > 0 => Birth::Process,
            () if has_stack || shared[0] > 0 || self.attached_threads => Birth::Thread,
            () if own[1] > 0 => Birth::Process,
            () if shared[1] > 0 => Birth::Thread,
            () => Birth::Unknown,
        };
        Some((begin, birth))
    }

    fn attached(&mut self, tid: i32) {
        self.is_followed = true;
        self.announced.insert(tid);
    }

    fn meet(&mut self, tid: i32, at: usize) {
        if self.order.contains_key(&tid) {
            return;
        }
        self.order.insert(tid, at);
        self.begin = self.begin.or(Some(tid));
        if self.stacks > 0 && self.order.len() > 1 {
            self.stacks -= 1;
            self.evidence.entry(tid).or_default().has_stack = true;
        }
    }

    /// As `returned`, for a call whose text is in two lines: what it says of descriptors is not kept.
    fn returned_joined(&mut self, tid: i32, at: usize, call: Returned<'_>, resumed: &'a str) {
        self.born(tid, call);
        let made = call.made();
        let kept =
            |label: Option<&str>| label.and_then(|label| resumed.find(label).map(|n| &resumed[n..n + label.len()]));
        for fd in made.into_iter().flatten() {
            self.make(tid, at, fd.number, kept(fd.label));
        }
        self.end(tid, at, call);
    }

    fn returned(&mut self, tid: i32, at: usize, call: Returned<'a>) {
        self.born(tid, call);
        if let Some(fd) = call.used().filter(|_| call.name != "close") {
            self.use_number(tid, at, fd.number, fd.label);
        }
        for fd in call.made().into_iter().flatten() {
            self.make(tid, at, fd.number, fd.label);
        }
        self.end(tid, at, call);
    }

    fn born(&mut self, tid: i32, call: Returned<'_>) {
        if !call.is_success() {
            return;
        }
        self.has_births |= matches!(call.name, "execve" | "clone" | "clone3" | "fork" | "vfork");
        let birth = match call.name {
            "fork" | "vfork" => Birth::Process,
            "clone" | "clone3" if call.text.contains("CLONE_FILES") => Birth::Thread,
            "clone" | "clone3" => Birth::Process,
            "mmap" if call.text.contains("PROT_NONE") && call.text.contains("MAP_STACK") => {
                self.stacks += 1;
                return;
            }
            _ => return,
        };
        let Ok(child) = i32::try_from(call.outcome.value) else { return };
        if child > 0 && child != tid {
            self.births.insert(child, (tid, birth));
        }
    }

    /// Numbers that end.
    fn end(&mut self, tid: i32, at: usize, call: Returned<'_>) {
        if !call.is_success() {
            return;
        }
        match call.name {
            "close" => {
                if let Some(fd) = call.args().fd() {
                    let before = self.numbers.get(&fd.number).copied();
                    if let Some(before) = before.filter(|before| !before.is_open) {
                        self.two(tid, before.by);
                    }
                    self.numbers.insert(fd.number, Number { is_open: false, by: tid, at, label: None });
                }
            }
            "close_range" => {
                let Some((first, last, false)) = range(call.text) else { return };
                let range = first..=last;
                for (_, number) in self.numbers.iter_mut().filter(|(number, _)| range.contains(number)) {
                    *number = Number { is_open: false, by: tid, at, label: None };
                }
            }
            _ => {}
        }
    }

    fn make(&mut self, tid: i32, at: usize, number: i32, label: Option<&'a str>) {
        if let Some(before) = self.numbers.get(&number).copied().filter(|before| before.is_open) {
            self.two(tid, before.by);
        }
        self.numbers.insert(number, Number { is_open: true, by: tid, at, label });
    }

    fn use_number(&mut self, tid: i32, at: usize, number: i32, label: Option<&'a str>) {
        let Some(before) = self.numbers.get(&number).copied() else { return };
        if before.by == tid {
            return;
        }
        if !before.is_open {
            self.two(tid, before.by);
            self.numbers.insert(number, Number { is_open: true, by: tid, at, label });
            return;
        }
        match (before.label, label) {
            (Some(one), Some(other)) if label::differ(one, other) => self.two(tid, before.by),
            (Some(one), Some(other)) if one == other && label::identity(one).is_some() => self.one(tid, before),
            (None, None) => self.one(tid, before),
            _ => {}
        }
    }

    /// Two threads have the same number for two files.
    fn two(&mut self, one: i32, other: i32) {
        if let Some(tid) = self.later(one, other) {
            let beside = usize::from(![one, other].map(Some).contains(&self.begin));
            self.evidence.entry(tid).or_default().own[beside] += 1;
        }
    }

    /// A thread uses a number that another made when both were there.
    fn one(&mut self, user: i32, number: Number<'_>) {
        if let Some(tid) = self.later(user, number.by)
            && self.order.get(&tid).is_some_and(|since| *since < number.at)
        {
            let beside = usize::from(![user, number.by].map(Some).contains(&self.begin));
            self.evidence.entry(tid).or_default().shared[beside] += 1;
        }
    }

    /// The thread of two that was met later.
    fn later(&self, one: i32, other: i32) -> Option<i32> {
        let (one_at, other_at) = (self.order.get(&one)?, self.order.get(&other)?);
        (one != other).then(|| if one_at > other_at { one } else { other })
    }
}

/// The arguments of a wait that come after the array.
pub fn wait(name: &str, text: &str) -> Wait {
    let mut args = Args::new(text);
    let max = args.skip(2).int().and_then(|max| i32::try_from(max).ok()).unwrap_or(1);
    let timeout = args.text();
    let ns = match name {
        "epoll_pwait2" => crate::args::timespec(timeout).unwrap_or(-1),
        _ => crate::args::int(timeout).filter(|ms| *ms >= 0).map_or(-1, |ms| ms.saturating_mul(1_000_000)),
    };
    (max, ns)
}

/// The thread of the lines without a number: the first that has one and was not announced.
fn first(text: &str) -> i32 {
    let mut announced = HashSet::new();
    for (_, text) in Lines::new(text) {
        if !text.contains("pid") && !text.contains("attached") && !text.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let line = line(text);
        announced.extend(attached_within(text));
        match (line.body, line.who) {
            (Body::Attached { tid, threads: false }, _) => {
                announced.insert(tid);
            }
            (Body::Foreign, _) => {}
            (_, Who::Bracketed(tid) | Who::Column(tid)) if !announced.contains(&tid) => return tid,
            _ => {}
        }
    }
    0
}
