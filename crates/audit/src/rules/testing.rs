//! Stories for the tests of the rules: facts with a clock, and a world that answers what the test
//! says.

#![allow(dead_code)]

use std::collections::HashMap;
use std::vec::Vec;

use epolyfill_facts::{Call, Event, Fact, Form, Kind, NO_FD, Op, Poller, Reason, SiteId, Stamp, Start};

use crate::{Auditor, Described, Finding, Grade, Rule, ThreadTimes, World};

/// The world of a test.
#[derive(Debug, Default)]
pub struct Told {
    pub kinds: HashMap<i32, Kind>,
    pub unread: HashMap<i32, u64>,
    /// How often it was asked for unread bytes, each a system call of the real world.
    pub looks: usize,
    pub levels: HashMap<i32, u32>,
    pub blocking: Vec<i32>,
    pub closed: Vec<i32>,
    pub child: Option<i32>,
    pub held: Vec<i32>,
    pub parent: Option<i32>,
    /// Numbers without FD_CLOEXEC.
    pub kept: Vec<i32>,
    pub times: HashMap<i32, ThreadTimes>,
    pub threads: Option<usize>,
    /// Threads that have ended.
    pub ended: Vec<i32>,
}

impl World for Told {
    fn kind(&mut self, fd: i32) -> Kind {
        self.kinds.get(&fd).copied().unwrap_or(Kind::Tcp)
    }
    fn unread(&mut self, fd: i32, _kind: Kind) -> Option<u64> {
        self.looks += 1;
        Some(self.unread.get(&fd).copied().unwrap_or(0))
    }
    fn levels(&mut self, fd: i32, bits: u32) -> Option<u32> {
        Some(self.levels.get(&fd).copied().unwrap_or(0) & bits)
    }
    fn is_nonblocking(&mut self, fd: i32) -> Option<bool> {
        Some(!self.blocking.contains(&fd))
    }
    fn is_open(&mut self, fd: i32) -> Option<bool> {
        Some(!self.closed.contains(&fd))
    }
    fn forked_child(&mut self, _since_ns: u64) -> Option<i32> {
        self.child
    }
    fn holder(&mut self, fd: i32, _since_ns: u64) -> Option<i32> {
        self.child.filter(|_| self.held.contains(&fd))
    }
    fn still_holds(&mut self, child: i32, fd: i32) -> bool {
        self.child == Some(child) && self.held.contains(&fd)
    }
    fn parent(&mut self) -> Option<i32> {
        self.parent
    }
    fn closes_on_exec(&mut self, fd: i32) -> Option<bool> {
        Some(!self.kept.contains(&fd))
    }
    fn times(&mut self, tid: i32) -> Option<ThreadTimes> {
        Some(self.times.get(&tid).copied().unwrap_or_default())
    }
    fn threads(&mut self) -> Option<usize> {
        self.threads
    }
    fn has_ended(&mut self, tid: i32) -> bool {
        self.ended.contains(&tid)
    }
    fn describe(&mut self, _fd: i32, _kind: Kind) -> Described {
        Described::new("x")
    }
    fn found(&mut self, _index: usize, _finding: &Finding) {}
}

/// Facts, one after another, by thread 1 unless the test says otherwise.
#[derive(Debug)]
pub struct Story {
    pub auditor: Auditor,
    pub world: Told,
    /// CLOCK_MONOTONIC; each fact takes a microsecond.
    pub ns: u64,
    pub tid: i32,
}

impl Story {
    /// A process that uses the kernel's epoll.
    pub fn new() -> Story {
        let mut story = Story { auditor: Auditor::new(), world: Told::default(), ns: 1_000_000_000, tid: 1 };
        let poller = Poller::Kernel;
        story.fact(Fact::Start(Start { pid: 1, ppid: 0, is_fork: false, wall_offset_ns: 0, poller }));
        story
    }

    /// Any fact.
    pub fn fact(&mut self, fact: Fact<'_>) {
        self.ns += 1000;
        let stamp = Stamp { ns: self.ns, tid: self.tid };
        self.auditor.take(stamp, &fact, &mut self.world);
    }

    /// Time passes; ticks that are due are made.
    pub fn pass_ms(&mut self, ms: u64) {
        let end = self.ns + ms * 1_000_000;
        while let Some(due) = self.auditor.next_due_ns().filter(|due| *due <= end) {
            self.ns = self.ns.max(due);
            self.auditor.tick(Stamp { ns: self.ns, tid: self.tid }, &mut self.world);
        }
        self.ns = end;
    }

    pub fn create(&mut self, epfd: i32) {
        self.fact(Fact::Create { form: Form::EpollCreate1, fd: epfd, flags: 0, began_ns: self.ns });
    }

    /// A control call; the data is the descriptor, and so is the site.
    pub fn control(&mut self, epfd: i32, op: Op, fd: i32, events: u32, errno: i32) {
        let (data, site) = (fd as u64, SiteId(fd as u32));
        let began_ns = self.ns;
        self.fact(Fact::Control { epfd, op: op as i32, fd, events, data, errno, site, began_ns });
    }

    pub fn add(&mut self, epfd: i32, fd: i32, events: u32) {
        self.control(epfd, Op::Add, fd, events, 0);
    }

    /// A wait begins.
    pub fn waits(&mut self, epfd: i32, timeout_ns: i64) {
        self.fact(Fact::Wait { epfd, max: 64, timeout_ns });
    }

    /// A wait returns at once with events, as (fd, bits).
    pub fn reports(&mut self, epfd: i32, events: &[(i32, u32)]) {
        self.reports_since(epfd, events, -1, self.ns);
    }

    /// A wait that began at a time returns with events, as (fd, bits).
    pub fn reports_since(&mut self, epfd: i32, events: &[(i32, u32)], timeout_ns: i64, began_ns: u64) {
        let event = |&(fd, bits): &(i32, u32)| Event { bits, fd: NO_FD, data: fd as u64, reason: Reason::Unknown };
        let events: Vec<Event> = events.iter().map(event).collect();
        let (form, mask, max, errno) = (Form::EpollWait, None, 64, 0);
        self.fact(Fact::Report { form, mask, epfd, max, timeout_ns, began_ns, errno, events: &events });
    }

    /// A wait that begins, and fails.
    pub fn fails(&mut self, epfd: i32, errno: i32) {
        self.waits(epfd, -1);
        let began_ns = self.ns;
        self.fact(Fact::Report {
            form: Form::EpollWait,
            mask: None,
            epfd,
            max: 64,
            timeout_ns: -1,
            began_ns,
            errno,
            events: &[],
        });
    }

    /// A call that took no time. `answer` is a negative errno for a failure.
    pub fn call(&mut self, call: Call, fd: i32, asked: u64, answer: i64) {
        let began_ns = self.ns;
        self.fact(Fact::Call { call, fd, other: NO_FD, asked, answer, flags: 0, began_ns });
    }

    /// A call that took some milliseconds.
    pub fn call_ms(&mut self, call: Call, fd: i32, asked: u64, answer: i64, ms: u64) {
        let began_ns = self.ns;
        self.pass_ms(ms);
        self.fact(Fact::Call { call, fd, other: NO_FD, asked, answer, flags: 0, began_ns });
    }

    pub fn exit(&mut self, status: i32) {
        self.fact(Fact::Exit { status });
    }

    pub fn close(&mut self, fd: i32) {
        self.fact(Fact::Close { fd });
    }

    /// The rule and the grade of each finding.
    pub fn findings(&self) -> Vec<(Rule, Grade)> {
        self.auditor.findings().iter().map(|finding| (finding.rule, finding.grade)).collect()
    }
}
