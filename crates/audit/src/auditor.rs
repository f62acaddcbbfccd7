//! The auditor: keeps the mirror, and passes each fact to the rules.

use alloc::vec::Vec;

use epolyfill_facts::{Event, Fact, NO_FD, Op, Poller, SiteId, Stamp};
use hashbrown::HashMap;

use crate::finding::{Finding, Rule};
use crate::mirror::{Batched, Mirror, NoMemory, Registration};
use crate::rules;
use crate::world::World;

/// The sums of an audit, for its last line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Waits that returned.
    pub waits: u64,
    /// Facts that were lost for want of memory, or because a signal handler interrupted the audit.
    pub lost: u64,
    /// Sites that read on by themselves, which mutes R1 there.
    pub resumed_sites: u64,
    /// Reads of such sites.
    pub resumed_reads: u64,
    /// Descriptors from which something took bytes that no call took.
    pub foreign: u64,
    /// Events whose data identifies no registration.
    pub unattributed: u64,
}

impl Summary {
    /// The words of the record's header.
    pub fn array(&self) -> [u64; 6] {
        [self.waits, self.lost, self.resumed_sites, self.resumed_reads, self.foreign, self.unattributed]
    }

    /// The summary of these words.
    pub fn from_words([waits, lost, resumed_sites, resumed_reads, foreign, unattributed]: [u64; 6]) -> Summary {
        Summary { waits, lost, resumed_sites, resumed_reads, foreign, unattributed }
    }
}

/// The findings so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    index: HashMap<(Rule, SiteId, i32), usize>,
}

/// The most findings of a process: rules times sites.
const MOST_FINDINGS: usize = 1024;

/// What a rule works with.
pub(crate) struct Context<'a> {
    pub stamp: Stamp,
    pub poller: Poller,
    pub mirror: &'a mut Mirror,
    pub world: &'a mut dyn World,
    pub summary: &'a mut Summary,
    findings: &'a mut Findings,
    next_tick_ns: &'a mut Option<u64>,
}

impl Context<'_> {
    /// Reports a case: a new finding, or one more of a finding of this rule at this site. Without a
    /// site the descriptor takes its place. The thread and the times are filled in, and of a new
    /// one the words for the descriptor.
    pub fn report(&mut self, mut finding: Finding) {
        (finding.tid, finding.last_ns) = (self.stamp.tid, self.stamp.ns);
        let key = (finding.rule, finding.site, if finding.site == SiteId(0) { finding.fd } else { NO_FD });
        if let Some(&at) = self.findings.index.get(&key) {
            let known = &mut self.findings.list[at];
            finding.count += known.count;
            finding.worst_ns = finding.worst_ns.max(known.worst_ns);
            finding.grade = finding.grade.max(known.grade);
            (finding.first_ns, finding.who, finding.other_who) = (known.first_ns, known.who, known.other_who);
            *known = finding;
            return self.world.found(at, &finding);
        }
        let findings = &mut *self.findings;
        let at = findings.list.len();
        if at >= MOST_FINDINGS || findings.list.try_reserve(1).is_err() || findings.index.try_reserve(1).is_err() {
            self.summary.lost += 1;
            return;
        }
        finding.first_ns = self.stamp.ns;
        if finding.fd != NO_FD && finding.who.text().is_empty() {
            finding.who = self.world.describe(finding.fd, finding.kind);
        }
        findings.index.insert(key, at);
        findings.list.push(finding);
        self.world.found(at, &finding);
    }

    /// A finding about a registration, with its details filled in.
    pub fn finding(&self, rule: Rule, grade: crate::Grade, registration: &Registration) -> Finding {
        Finding {
            kind: self.mirror.file(registration.file).map_or(epolyfill_facts::Kind::Unidentified, |file| file.kind),
            fd: registration.fd,
            epfd: registration.epfd,
            events: registration.events,
            site: registration.site,
            ..Finding::new(rule, grade)
        }
    }

    /// Asks for [`Auditor::tick`] at a time, even if all threads sleep.
    pub fn tick_at(&mut self, ns: u64) {
        *self.next_tick_ns = Some(self.next_tick_ns.map_or(ns, |before| before.min(ns)));
    }
}

/// The audit of one process.
#[derive(Debug, Default)]
pub struct Auditor {
    mirror: Mirror,
    findings: Findings,
    summary: Summary,
    poller: Option<Poller>,
    next_tick_ns: Option<u64>,
    state: rules::OfProcess,
}

impl Auditor {
    /// An audit without facts.
    pub fn new() -> Auditor {
        Auditor::default()
    }

    /// The graph as the facts show it.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// The findings so far.
    pub fn findings(&self) -> &[Finding] {
        &self.findings.list
    }

    /// The sums so far.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// When [`Auditor::tick`] is due at the latest, by CLOCK_MONOTONIC.
    pub fn next_tick_ns(&self) -> Option<u64> {
        self.next_tick_ns
    }

    /// Counts a fact that could not be taken.
    pub fn lose(&mut self) {
        self.summary.lost += 1;
    }

    /// Takes a fact.
    pub fn take(&mut self, stamp: Stamp, fact: &Fact<'_>, world: &mut dyn World) {
        if let Fact::Start(start) = fact {
            self.poller = Some(start.poller);
        }
        let (mut cx, state) = self.context(stamp, world);
        if take(&mut cx, state, fact).is_err() {
            self.summary.lost += 1;
        }
    }

    /// Looks at what can be seen only by looking: nothing happens while all threads sleep.
    pub fn tick(&mut self, stamp: Stamp, world: &mut dyn World) {
        self.next_tick_ns = None;
        let (mut cx, state) = self.context(stamp, world);
        rules::tick(&mut cx, state);
    }

    fn context<'a>(&'a mut self, stamp: Stamp, world: &'a mut dyn World) -> (Context<'a>, &'a mut rules::OfProcess) {
        let poller = self.poller.unwrap_or(Poller::Traced);
        let Auditor { mirror, findings, summary, next_tick_ns, state, .. } = self;
        (Context { stamp, poller, mirror, world, summary, findings, next_tick_ns }, state)
    }
}

fn take(cx: &mut Context<'_>, state: &mut rules::OfProcess, fact: &Fact<'_>) -> Result<(), NoMemory> {
    let now = cx.stamp.ns;
    match *fact {
        Fact::Start(start) => {
            if start.is_fork {
                cx.mirror.fork();
            }
            rules::start(cx, state, start);
        }
        Fact::Create { fd, .. } if fd >= 0 => {
            // The number was free; if it is known, its close was not seen.
            cx.mirror.close(fd);
            let id = cx.mirror.learn(fd, now, || epolyfill_facts::Kind::Epoll)?;
            cx.mirror.learn_instance(id)?;
        }
        Fact::Control { .. } => control(cx, state, fact)?,
        Fact::Wait { epfd, timeout_ns, .. } => {
            rules::before_wait(cx, state, epfd, timeout_ns);
            let instance = instance(cx, epfd)?;
            let thread = cx.mirror.thread_mut(cx.stamp.tid)?;
            thread.batch.clear();
            (thread.instance, thread.epfd, thread.waits_since_ns) = (Some(instance), epfd, Some(now));
            if let Some(instance) = cx.mirror.instance_mut(instance) {
                instance.waiting += 1;
            }
        }
        Fact::Report { .. } => report(cx, state, fact)?,
        Fact::Call { call, fd, other, answer, .. } => {
            rules::call(cx, state, fact);
            if call == epolyfill_facts::Call::Accept && answer >= 0 {
                cx.mirror.close(answer as i32);
            }
            if call.class() == epolyfill_facts::Class::Read
                && answer > 0
                && let Some(file) = cx.mirror.file_of(fd).and_then(|id| cx.mirror.file_mut(id))
            {
                file.taken += answer.unsigned_abs();
            }
            for fd in [fd, other] {
                handled(cx, fd);
            }
        }
        Fact::Close { fd } => {
            rules::close(cx, state, fd);
            cx.mirror.close(fd);
        }
        Fact::Dup { from, to } => {
            if from != to {
                rules::duplicate(cx, state, from);
                cx.mirror.close(to);
                cx.mirror.duplicate(from, to)?;
            }
        }
        Fact::Fork { child } => rules::fork(cx, state, child),
        Fact::Exec => rules::exec(cx, state),
        Fact::Exit { status } => rules::exit(cx, state, status),
        Fact::Create { .. } | Fact::Look { .. } | Fact::Chaos { .. } => {}
    }
    Ok(())
}

/// The instance under a number; one that was made unseen is learnt.
fn instance(cx: &mut Context<'_>, epfd: i32) -> Result<crate::FileId, NoMemory> {
    if let Some(known) = cx.mirror.instance_of(epfd) {
        return Ok(known);
    }
    let id = cx.mirror.learn(epfd, cx.stamp.ns, || epolyfill_facts::Kind::Epoll)?;
    cx.mirror.learn_instance(id)?;
    Ok(id)
}

/// Marks the events of a descriptor in the thread's last report as handled.
fn handled(cx: &mut Context<'_>, fd: i32) {
    if fd != NO_FD
        && cx.mirror.thread(cx.stamp.tid).is_some()
        && let Ok(thread) = cx.mirror.thread_mut(cx.stamp.tid)
    {
        for batched in thread.batch.iter_mut().filter(|batched| batched.event.fd == fd) {
            batched.is_handled = true;
        }
    }
}

fn control(cx: &mut Context<'_>, state: &mut rules::OfProcess, fact: &Fact<'_>) -> Result<(), NoMemory> {
    let Fact::Control { epfd, op, fd, events, data, errno, site, .. } = *fact else { return Ok(()) };
    rules::before_control(cx, state, fact);
    let op = Op::from_number(op);
    if errno == 0 {
        let instance = instance(cx, epfd)?;
        let known = cx.mirror.find(instance, fd);
        match (op, known) {
            (Some(Op::Del), Some(id)) => {
                cx.mirror.remove(id);
            }
            (Some(Op::Mod), Some(id)) => cx.mirror.modify(id, events, data)?,
            (Some(Op::Add | Op::Mod), _) => {
                if known.is_some() {
                    // The kernel has no such registration, so the number was closed unseen.
                    cx.mirror.close(fd);
                }
                let world = &mut *cx.world;
                let file = cx.mirror.learn(fd, cx.stamp.ns, || world.kind(fd))?;
                cx.mirror.add(Registration {
                    instance,
                    epfd,
                    fd,
                    file,
                    events,
                    data,
                    site,
                    added_ns: cx.stamp.ns,
                    is_spent: false,
                    is_ghost: false,
                    serial: 0,
                    state: rules::OfRegistration::default(),
                })?;
            }
            _ => {}
        }
    }
    rules::after_control(cx, state, fact);
    Ok(())
}

fn report(cx: &mut Context<'_>, state: &mut rules::OfProcess, fact: &Fact<'_>) -> Result<(), NoMemory> {
    let Fact::Report { epfd, errno, events, .. } = *fact else { return Ok(()) };
    cx.summary.waits += 1;
    let instance = instance(cx, epfd)?;
    if let Some(instance) = cx.mirror.instance_mut(instance) {
        instance.waiting = instance.waiting.saturating_sub(1);
    }
    let mut batch = Vec::new();
    batch.try_reserve(events.len()).map_err(|_| NoMemory)?;
    for event in events {
        batch.push(batched(cx, instance, *event));
    }
    let thread = cx.mirror.thread_mut(cx.stamp.tid)?;
    thread.batch = batch;
    (thread.instance, thread.epfd, thread.waits_since_ns) = (Some(instance), epfd, None);
    (thread.returned_ns, thread.waits) = (cx.stamp.ns, thread.waits + 1);
    rules::after_wait(cx, state, fact);
    if errno == 0 {
        spend(cx);
    }
    Ok(())
}

fn batched(cx: &mut Context<'_>, instance: crate::FileId, event: Event) -> Batched {
    let known = cx.mirror.attribute(instance, event.data, event.bits);
    let registration = known.and_then(|id| Some((id, cx.mirror.registration(id)?)));
    if registration.is_none() {
        cx.summary.unattributed += 1;
    }
    let fd = registration.map_or(NO_FD, |(_, registration)| registration.fd);
    let registration = registration.map(|(id, registration)| (id, registration.serial));
    Batched { registration, event: Event { fd, ..event }, is_handled: false }
}

/// Marks the EPOLLONESHOT registrations of the thread's report as spent.
fn spend(cx: &mut Context<'_>) {
    let mut at = 0;
    while let Some(batched) = cx.mirror.thread(cx.stamp.tid).and_then(|thread| thread.batch.get(at)) {
        let registration = batched.registration;
        if let Some(registration) = registration.and_then(|(id, _)| cx.mirror.registration_mut(id)) {
            registration.is_spent = registration.is_oneshot();
        }
        at += 1;
    }
}
