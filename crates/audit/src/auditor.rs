//! The auditor: keeps the mirror, and passes each fact to the rules.

use alloc::vec::Vec;

use epolyfill_facts::layout::MOST_FINDINGS;
use epolyfill_facts::{Call, Event, Fact, Kind, NO_FD, Op, Poller, Reason, SiteId, Stamp, errno};
use hashbrown::HashMap;

use crate::finding::{Finding, Rule};
use crate::mirror::{Batched, FileId, Mirror, NoMemory, Registration};
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

/// What a rule works with.
pub(crate) struct Context<'a> {
    pub stamp: Stamp,
    pub poller: Poller,
    pub mirror: &'a mut Mirror,
    pub world: &'a mut dyn World,
    pub summary: &'a mut Summary,
    findings: &'a mut Findings,
    due: &'a mut Due,
}

/// When a rule has asked for a tick.
#[derive(Clone, Copy, Debug, Default)]
struct Due {
    /// By any thread.
    tick_ns: Option<u64>,
    /// By a thread that waits, between two parts of its wait.
    look_ns: Option<u64>,
}

fn earlier(known: Option<u64>, ns: u64) -> Option<u64> {
    Some(known.map_or(ns, |known| known.min(ns)))
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
            kind: self.mirror.file(registration.file).map_or(Kind::Unidentified, |file| file.kind),
            fd: registration.fd,
            epfd: registration.epfd,
            events: registration.events,
            site: registration.site,
            ..Finding::new(rule, grade)
        }
    }

    /// Asks for [`Auditor::tick`] at a time, in any thread, even if none calls anything.
    pub fn tick_at(&mut self, ns: u64) {
        self.due.tick_ns = earlier(self.due.tick_ns, ns);
    }

    /// Asks for [`Auditor::tick`] at a time, in a thread that waits: that its wait has gone on until
    /// then proves that the kernel has no event for it.
    pub fn look_at(&mut self, ns: u64) {
        self.due.look_ns = earlier(self.due.look_ns, ns);
    }
}

/// The audit of one process.
#[derive(Debug, Default)]
pub struct Auditor {
    mirror: Mirror,
    findings: Findings,
    summary: Summary,
    poller: Option<Poller>,
    due: Due,
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

    /// When [`Auditor::tick`] is due at the latest, in any thread, by CLOCK_MONOTONIC.
    pub fn next_tick_ns(&self) -> Option<u64> {
        self.due.tick_ns
    }

    /// When [`Auditor::tick`] is due at the latest in a thread that waits.
    pub fn next_look_ns(&self) -> Option<u64> {
        self.due.look_ns
    }

    /// When either is due.
    pub fn next_due_ns(&self) -> Option<u64> {
        self.due.look_ns.map_or(self.due.tick_ns, |ns| earlier(self.due.tick_ns, ns))
    }

    /// Counts facts that could not be taken.
    pub fn lose(&mut self, facts: u64) {
        self.summary.lost += facts;
    }

    /// Takes a fact.
    pub fn take(&mut self, stamp: Stamp, fact: &Fact<'_>, world: &mut dyn World) {
        if let Fact::Start(start) = fact {
            self.poller = Some(start.poller);
            // What the parent found is in its own record.
            (self.findings, self.summary, self.due) = (Findings::default(), Summary::default(), Due::default());
        }
        // No look: if this thread was in a wait, it was not to the end of it, as it returned with
        // this fact.
        if self.due.tick_ns.is_some_and(|due| due <= stamp.ns) {
            self.look(stamp, world, None);
        }
        let (mut cx, state) = self.context(stamp, world);
        if take(&mut cx, state, fact).is_err() {
            self.summary.lost += 1;
        }
    }

    /// Looks at what can be seen only by looking: nothing happens while all threads sleep. If the
    /// thread of the stamp is in a wait, a part of it has just ended without an event: none was
    /// queued.
    pub fn tick(&mut self, stamp: Stamp, world: &mut dyn World) {
        self.due.look_ns = self.due.look_ns.filter(|due| *due > stamp.ns);
        let waits = self.mirror.thread(stamp.tid).filter(|thread| thread.waits_since_ns.is_some());
        let sleeper = waits.and_then(|thread| thread.instance);
        self.look(stamp, world, sleeper);
    }

    /// Lets the rules look. `sleeper` is the instance that the thread is known to sleep on.
    fn look(&mut self, stamp: Stamp, world: &mut dyn World, sleeper: Option<FileId>) {
        self.due.tick_ns = None;
        let (mut cx, state) = self.context(stamp, world);
        rules::tick(&mut cx, state, sleeper);
    }

    fn context<'a>(&'a mut self, stamp: Stamp, world: &'a mut dyn World) -> (Context<'a>, &'a mut rules::OfProcess) {
        let poller = self.poller.unwrap_or(Poller::Traced);
        let Auditor { mirror, findings, summary, due, state, .. } = self;
        (Context { stamp, poller, mirror, world, summary, findings, due }, state)
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
            cx.mirror.close(fd, false);
            let id = cx.mirror.learn(fd, now, || Kind::Epoll)?;
            cx.mirror.learn_instance(id)?;
        }
        Fact::Control { .. } => control(cx, state, fact)?,
        Fact::Wait { epfd, timeout_ns, .. } => wait(cx, state, epfd, timeout_ns)?,
        Fact::Report { .. } => report(cx, state, fact)?,
        Fact::Call { .. } => {
            rules::call(cx, state, fact);
            call(cx, fact);
        }
        Fact::Close { fd } => {
            rules::close(cx, state, fd);
            let is_elsewhere = is_elsewhere(cx, state, fd);
            cx.mirror.close(fd, is_elsewhere);
        }
        Fact::Dup { from, to } => {
            if from != to {
                rules::duplicate(state, from, to);
                cx.mirror.close(to, false);
                // Its kind is asked for when it is registered.
                cx.mirror.learn(from, now, || Kind::Unidentified)?;
                cx.mirror.duplicate(from, to)?;
            }
        }
        Fact::TlsRead { fd, pending, began_ns } => rules::tls_read(cx, state, fd, pending, began_ns),
        Fact::Fork { child } => {
            state.forked_ns = now;
            rules::fork(cx, state, child);
        }
        Fact::Exec => rules::exec(cx, state),
        Fact::Exit { status } => rules::exit(cx, state, status),
        Fact::Create { .. } | Fact::Look { .. } | Fact::Chaos { .. } => {}
    }
    Ok(())
}

/// The thread begins a wait.
fn wait(cx: &mut Context<'_>, state: &mut rules::OfProcess, epfd: i32, timeout_ns: i64) -> Result<(), NoMemory> {
    cx.mirror.make_room_for_thread(cx.stamp.tid, |tid| cx.world.has_ended(tid));
    rules::before_wait(cx, state, epfd, timeout_ns);
    // An unknown number may be none: the answer shows.
    let instance = cx.mirror.instance_of(epfd);
    let thread = cx.mirror.thread_mut(cx.stamp.tid)?;
    thread.batch.clear();
    // A wait that did not return: its thread was cancelled, or a signal handler left it.
    let left = thread.instance.filter(|_| thread.waits_since_ns.is_some());
    (thread.instance, thread.epfd, thread.waits_since_ns) = (instance, epfd, Some(cx.stamp.ns));
    if let Some(instance) = left.and_then(|left| cx.mirror.instance_mut(left)) {
        instance.waiting = instance.waiting.saturating_sub(1);
    }
    if let Some(instance) = instance.and_then(|instance| cx.mirror.instance_mut(instance)) {
        instance.waiting += 1;
    }
    Ok(())
}

/// What a call changes in the mirror.
fn call(cx: &mut Context<'_>, fact: &Fact<'_>) {
    let Fact::Call { call, fd, other, answer, flags, .. } = *fact else { return };
    if call == Call::Accept && answer >= 0 {
        cx.mirror.close(answer as i32, false);
    }
    if call.takes(flags)
        && answer > 0
        && let Some(file) = cx.mirror.file_of(fd).and_then(|id| cx.mirror.file_mut(id))
    {
        file.taken += answer.unsigned_abs();
    }
    if call == Call::Listen && answer == 0 {
        let kind = cx.world.kind(fd);
        if let Some(file) = cx.mirror.file_of(fd).and_then(|id| cx.mirror.file_mut(id)) {
            file.kind = kind;
        }
    }
    for fd in [fd, other] {
        handled(cx, fd);
    }
    if errno::of(answer) == errno::EAGAIN {
        drained(cx, fd);
    }
}

/// Whether a child has the description, so that the kernel's registrations outlive the number.
fn is_elsewhere(cx: &mut Context<'_>, state: &rules::OfProcess, fd: i32) -> bool {
    if cx.poller != Poller::Kernel || state.forked_ns == 0 || cx.mirror.registrations_of(fd).is_empty() {
        return false;
    }
    let since = cx.mirror.file_of(fd).and_then(|id| cx.mirror.file(id)).map_or(0, |file| file.since_ns);
    state.forked_ns >= since && cx.world.forked_child(since).is_some()
}

/// The instance under a number; one that was made unseen is learnt.
fn instance(cx: &mut Context<'_>, epfd: i32) -> Result<crate::FileId, NoMemory> {
    if let Some(known) = cx.mirror.instance_of(epfd) {
        return Ok(known);
    }
    let id = cx.mirror.learn(epfd, cx.stamp.ns, || Kind::Epoll)?;
    cx.mirror.learn_instance(id)?;
    Ok(id)
}

/// Marks the events of a descriptor in the thread's last report as handled.
fn handled(cx: &mut Context<'_>, fd: i32) {
    if fd == NO_FD {
        return;
    }
    // Most programs go through their events in order: look from the last one on.
    let Some(thread) = cx.mirror.known_thread_mut(cx.stamp.tid) else { return };
    let start = thread.handled.min(thread.batch.len());
    let (before, after) = thread.batch.split_at_mut(start);
    let found = after.iter_mut().position(|batched| batched.event.fd == fd);
    if let Some(at) = found {
        after[at].is_handled = true;
        thread.handled = start + at;
    } else {
        before.iter_mut().filter(|batched| batched.event.fd == fd).for_each(|batched| batched.is_handled = true);
    }
}

/// Notes that a call found a level low (EAGAIN), which is what the next edge needs.
fn drained(cx: &mut Context<'_>, fd: i32) {
    let mut at = 0;
    while let Some(&id) = cx.mirror.registrations_of(fd).get(at) {
        if let Some(registration) = cx.mirror.registration_mut(id) {
            registration.since = Reason::Call;
        }
        at += 1;
    }
}

fn control(cx: &mut Context<'_>, state: &mut rules::OfProcess, fact: &Fact<'_>) -> Result<(), NoMemory> {
    let Fact::Control { epfd, op, fd, events, data, errno, site, .. } = *fact else { return Ok(()) };
    rules::before_control(cx, state, fact);
    let op = Op::from_number(op);
    if errno == errno::ENOENT
        && op != Some(Op::Add)
        && let Some(known) = cx.mirror.instance_of(epfd).and_then(|instance| cx.mirror.find(instance, fd))
    {
        cx.mirror.remove(known); // The number was closed unseen.
    }
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
                    cx.mirror.close(fd, false);
                }
                let world = &mut *cx.world;
                let is_known = cx.mirror.file_of(fd).is_some();
                let mut file = cx.mirror.learn(fd, cx.stamp.ns, || world.kind(fd))?;
                let is_free = is_known && cx.mirror.registrations_of(fd).is_empty();
                if is_free && !cx.mirror.has_kind(file, cx.world.kind(fd)) {
                    // It was closed unseen, too.
                    cx.mirror.close(fd, false);
                    let world = &mut *cx.world;
                    file = cx.mirror.learn(fd, cx.stamp.ns, || world.kind(fd))?;
                }
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
                    since: Reason::Control,
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
    let instance = if errno == 0 { Some(instance(cx, epfd)?) } else { cx.mirror.instance_of(epfd) };
    let thread = cx.mirror.thread_mut(cx.stamp.tid)?;
    let waited = thread.instance.filter(|_| thread.waits_since_ns.is_some());
    let mut batch = core::mem::take(&mut thread.batch);
    batch.clear();
    batch.try_reserve(events.len()).map_err(|_| NoMemory)?;
    if let Some(waited) = waited.and_then(|waited| cx.mirror.instance_mut(waited)) {
        waited.waiting = waited.waiting.saturating_sub(1);
    }
    for event in events {
        batch.push(batched(cx, instance, *event));
    }
    let thread = cx.mirror.thread_mut(cx.stamp.tid)?;
    (thread.batch, thread.handled) = (batch, 0);
    (thread.instance, thread.epfd, thread.waits_since_ns) = (instance, epfd, None);
    (thread.returned_ns, thread.waits) = (cx.stamp.ns, thread.waits + 1);
    rules::after_wait(cx, state, fact);
    if errno == 0 {
        spend(cx);
    }
    Ok(())
}

fn batched(cx: &mut Context<'_>, instance: Option<crate::FileId>, event: Event) -> Batched {
    let known = instance.and_then(|instance| cx.mirror.attribute(instance, event.data, event.bits));
    let registration = known.and_then(|id| Some((id, cx.mirror.registration(id)?)));
    if registration.is_none() {
        cx.summary.unattributed += 1;
    }
    let fd = registration.map_or(NO_FD, |(_, registration)| registration.fd);
    let registration = registration.map(|(id, registration)| (id, registration.serial));
    let reason = match known.and_then(|id| cx.mirror.registration_mut(id)) {
        _ if event.reason != Reason::Unknown => event.reason,
        Some(registration) if registration.is_edge() => core::mem::replace(&mut registration.since, Reason::Count),
        Some(_) => Reason::Level,
        None => Reason::Unknown,
    };
    Batched { registration, event: Event { fd, reason, ..event }, is_handled: false }
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

#[cfg(test)]
mod tests {
    use epolyfill_facts::{Call, Fact, Kind, Poller, Stamp, Start};
    use std::vec::Vec;

    use crate::rules::testing::Story;
    use epolyfill_facts::mask::{EDGE, IN};

    fn fork() -> Fact<'static> {
        Fact::Start(Start { pid: 2, ppid: 1, is_fork: true, wall_offset_ns: 0, poller: Poller::Kernel })
    }

    #[test]
    fn a_tick_of_another_thread_leaves_the_looks_of_one_that_waits() {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 4, IN | EDGE);
        story.add(3, 5, IN | EDGE);
        story.waits(3, -1);
        story.reports(3, &[(4, IN)]);
        let tick = story.auditor.next_tick_ns();
        assert!(tick.is_some() && story.auditor.next_look_ns().is_none());
        story.world.unread.insert(4, 9);
        story.waits(3, -1);
        let look = story.auditor.next_look_ns();
        assert!(look.is_some() && look < tick);
        let stamp = Stamp { ns: story.ns, tid: 2 };
        story.auditor.tick(stamp, &mut story.world);
        assert_eq!((story.auditor.next_tick_ns(), story.auditor.next_look_ns()), (None, look));
    }

    #[test]
    fn a_number_that_is_closed_and_used_again_is_another_file() {
        let mut story = Story::new();
        story.create(3);
        for _ in 0..3 {
            story.add(3, 5, IN);
            let before = story.auditor.mirror().registration(0).map(|registration| registration.serial);
            story.close(5);
            assert!(before.is_some() && story.auditor.mirror().registration(0).is_none());
        }
        assert_eq!(story.auditor.mirror().file_of(5), None);
        story.add(3, 5, IN);
        story.add(3, 6, IN);
        let mirror = story.auditor.mirror();
        assert_ne!(mirror.file_of(5), mirror.file_of(6));
    }

    #[test]
    fn a_duplicate_keeps_a_registration_even_if_it_was_made_before_it() {
        let mut story = Story::new();
        story.create(3);
        story.fact(Fact::Dup { from: 5, to: 6 });
        story.world.kinds.insert(5, Kind::UnixStream);
        story.add(3, 5, IN);
        story.close(5);
        let ghost = story.auditor.mirror().registration(0).map(|r| (r.is_ghost, r.fd));
        assert_eq!(ghost, Some((true, 5)));
        let file = story.auditor.mirror().file_of(6).and_then(|id| story.auditor.mirror().file(id));
        assert_eq!(file.map(|file| file.kind), Some(Kind::UnixStream));
        story.close(6);
        assert!(story.auditor.mirror().registration(0).is_none());
    }

    #[test]
    fn a_living_child_keeps_a_registration_and_an_event_of_a_later_one_is_its_own() {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 5, IN);
        story.fact(Fact::Fork { child: 9 });
        story.world.child = Some(9);
        story.close(5);
        assert!(story.auditor.mirror().registration(0).is_some_and(|r| r.is_ghost));
        story.world.child = None;
        story.add(3, 5, IN);
        story.waits(3, -1);
        story.reports(3, &[(5, IN)]);
        let batch = &story.auditor.mirror().thread(1).map(|thread| thread.batch[0]);
        assert_eq!(batch.and_then(|batched| batched.registration).map(|(id, _)| id), Some(1));
    }

    #[test]
    fn a_forked_child_has_the_graph_and_no_findings() {
        let mut story = Story::new();
        for _ in 0..64 {
            story.fails(9, 9);
        }
        assert_eq!(story.auditor.findings().len(), 1);
        story.create(3);
        story.add(3, 5, IN | EDGE);
        story.waits(3, -1);
        story.fact(fork());
        let mirror = story.auditor.mirror();
        let instance = mirror.instance_of(3).and_then(|id| mirror.instance(id));
        assert_eq!(instance.map(|instance| (instance.is_foreign, instance.waiting)), Some((true, 0)));
        assert_eq!((story.auditor.findings().len(), story.auditor.summary().waits), (0, 0));
    }

    #[test]
    fn waits_on_a_number_that_is_not_open_make_no_file_of_it() {
        let mut story = Story::new();
        story.fails(9, 9);
        assert_eq!(story.auditor.mirror().file_of(9), None);
        story.create(3);
        story.waits(3, -1);
        story.waits(3, -1);
        let mirror = story.auditor.mirror();
        assert_eq!(mirror.instance_of(3).and_then(|id| mirror.instance(id)).map(|instance| instance.waiting), Some(1));
    }

    #[test]
    fn threads_that_were_cancelled_in_their_waits_do_not_wait_for_ever() {
        let mut story = Story::new();
        story.create(3);
        for tid in 1..=1000 {
            story.tid = tid;
            story.waits(3, -1);
            story.world.ended.push(tid);
        }
        let mirror = story.auditor.mirror();
        let waiting = mirror.instance_of(3).and_then(|id| mirror.instance(id)).map(|instance| instance.waiting);
        assert_eq!(waiting, Some(mirror.threads().count() as u32));
        assert!(waiting < Some(100));
    }

    #[test]
    fn what_ends_needs_no_memory() {
        let mut story = Story::new();
        story.create(3);
        (10..200).for_each(|fd| story.add(3, fd, IN));
        let before = story.auditor.mirror().room_for_free();
        story.close(3);
        (10..200).for_each(|fd| story.close(fd));
        assert_eq!(story.auditor.mirror().room_for_free(), before);
    }

    #[test]
    fn a_socket_that_listens_is_a_listener() {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 5, IN);
        story.world.kinds.insert(5, Kind::TcpListener);
        story.call(Call::Listen, 5, 0, 0);
        let mirror = story.auditor.mirror();
        assert_eq!(mirror.file_of(5).and_then(|id| mirror.file(id)).map(|file| file.kind), Some(Kind::TcpListener));
    }

    #[test]
    fn peeking_takes_nothing_and_events_are_handled_in_any_order() {
        let mut story = Story::new();
        story.create(3);
        (5..8).for_each(|fd| story.add(3, fd, IN));
        story.waits(3, -1);
        story.reports(3, &[(5, IN), (6, IN), (7, IN)]);
        let (began_ns, other) = (story.ns, -1);
        story.fact(Fact::Call { call: Call::Recvfrom, fd: 7, other, asked: 9, answer: 9, flags: 2, began_ns });
        story.call(Call::Recvfrom, 5, 9, 9);
        let mirror = story.auditor.mirror();
        let taken = |fd| mirror.file_of(fd).and_then(|id| mirror.file(id)).map(|file| file.taken);
        assert_eq!((taken(7), taken(5)), (Some(0), Some(9)));
        let handled = mirror.thread(1).map(|thread| thread.batch.iter().map(|b| b.is_handled).collect::<Vec<_>>());
        assert_eq!(handled, Some([true, false, true].to_vec()));
    }
}
