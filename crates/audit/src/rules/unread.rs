//! R1: the program sleeps on unread bytes whose edge it has been given.
//!
//! An edge-triggered registration that was reported readable owes a read until a read finds
//! nothing, or the mask is set anew. What it owes is looked at when a thread goes to sleep; where
//! bytes are unread, a look in the middle proves the sleep, and what ends it decides
//! (see `pace.rs`).

use alloc::vec::Vec;

use epolyfill_facts::flags::{MSG_ERRQUEUE, MSG_OOB, MSG_PEEK};
use epolyfill_facts::mask::{IN, INPUT};
use epolyfill_facts::{Call, Class, Fact, Kind, NO_FD, errno};
use hashbrown::HashMap;

use super::pace::{Again, Tallies};
use super::{ms, room};
use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};
use crate::mirror::{FileId, Registration, RegistrationId};
use crate::world::Look;

/// A shorter sleep does not count.
const LEAST_NS: u64 = ms(5);
/// Between two looks at a sleep.
const LOOK_NS: u64 = ms(250);
/// What is left for so long is reported, …
const LEFT_NS: u64 = ms(1000);
/// … of streams, and where a clock of the program can be running, after so long, …
const LEFT_STREAM_NS: u64 = ms(3000);
/// … and at the end of the process after so long.
const LEFT_AT_END_NS: u64 = ms(100);
/// Sleeps of a site that count as a fault.
const LATE: u32 = 2;

/// The most registrations of an instance that are looked at.
const MOST: usize = 64;

/// The input of a description.
#[derive(Debug, Default)]
pub struct OfFile {
    /// Bytes or connections that calls took.
    taken: u64,
    /// An accept found nothing: the program knows how to empty the queue.
    is_drained: bool,
    /// Accepted connections that are open.
    alive: u32,
}

/// What a registration owes.
#[derive(Debug, Default)]
pub struct OfRegistration {
    owes: bool,
    is_listed: bool,
    /// The thread that was given the report and has not waited since.
    holder: Option<i32>,
    told_ns: u64,
    /// Unread, and taken until then, at the last look. `None` after a read.
    look: Option<(u64, u64)>,
    /// When the current sleep began, and whether a look in its middle proves it.
    since_ns: Option<u64>,
    is_proved: bool,
    /// The proved sleeps since the last read: their sum, and the longest.
    slept_ns: u64,
    longest_ns: u64,
    again: Option<Again>,
    /// It was reported that the bytes are left.
    is_said: bool,
    /// Bytes or connections that were taken since the report.
    got: u64,
    /// Accepts since the report.
    accepts: u32,
    /// The last read since the report: see `numbers`.
    last: i64,
}

/// The registrations of an instance that owe a read.
#[derive(Debug, Default)]
pub struct OfInstance {
    owing: Vec<(RegistrationId, u64)>,
    has_timer: bool,
}

impl OfInstance {
    /// Whether a timer is registered, which can pace the program.
    pub(crate) fn has_timer(&self) -> bool {
        self.has_timer
    }
}

/// The sleeps of the process.
#[derive(Debug, Default)]
pub struct OfProcess {
    sites: Tallies,
    /// The listener of each accepted connection.
    accepted: HashMap<i32, (FileId, u64)>,
}

/// How a case ended, the last of `numbers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Late = 0,
    Left = 1,
    Closed = 2,
    Exit = 3,
}

const fn can_owe(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Tcp
            | Kind::Mptcp
            | Kind::UnixStream
            | Kind::UnixSeqpacket
            | Kind::UnixDgram
            | Kind::Udp
            | Kind::Pipe
            | Kind::Fifo
            | Kind::Tty
            | Kind::Inotify
            | Kind::TcpListener
            | Kind::UnixListener
    )
}

const fn is_listener(kind: Kind) -> bool {
    matches!(kind, Kind::TcpListener | Kind::UnixListener)
}

const fn is_stream(kind: Kind) -> bool {
    matches!(kind, Kind::Tcp | Kind::Mptcp | Kind::UnixStream | Kind::Pipe | Kind::Fifo | Kind::Tty)
}

/// A forked child owes nothing: the parent may read.
pub(crate) fn start(cx: &mut Context<'_>, state: &mut OfProcess) {
    *state = OfProcess::default();
    for id in cx.mirror.instance_ids() {
        let owing = cx.mirror.instance_mut(id).map(|instance| core::mem::take(&mut instance.state.unread.owing));
        for (id, _) in owing.unwrap_or_default() {
            if let Some(registration) = cx.mirror.registration_mut(id) {
                registration.state.unread = OfRegistration::default();
            }
        }
    }
}

/// A registration was reported, by a wait that began at `began_ns`.
pub(crate) fn told(cx: &mut Context<'_>, state: &mut OfProcess, id: RegistrationId, bits: u32, again: Again) {
    let (now, tid) = (cx.stamp.ns, cx.stamp.tid);
    let Some(registration) = cx.mirror.registration(id) else { return };
    if bits & INPUT == 0 || !registration.is_edge() || registration.is_oneshot() || registration.is_ghost {
        return;
    }
    let (instance, site, fd, serial) = (registration.instance, registration.site, registration.fd, registration.serial);
    let Some(file) = cx.mirror.file(registration.file) else { return };
    if !can_owe(file.kind) || file.is_foreign {
        return;
    }
    let (has_slept, look) = (registration.state.unread.slept_ns > 0, registration.state.unread.look);
    if has_slept && !still_unread(cx, id, true) {
        return;
    }
    if let Some(tally) = state.sites.of(site, fd) {
        tally.reports += 1;
    }
    let Some(of_instance) = cx.mirror.instance_mut(instance) else { return };
    let owing = &mut of_instance.state.unread.owing;
    let has_room = owing.len() < MOST && owing.try_reserve(1).is_ok();
    let is_listed = cx.mirror.registration(id).is_some_and(|registration| registration.state.unread.is_listed);
    if !is_listed {
        let Some(of_instance) = cx.mirror.instance_mut(instance).filter(|_| has_room) else { return };
        of_instance.state.unread.owing.push((id, serial));
    }
    let Some(registration) = cx.mirror.registration_mut(id) else { return };
    let unread = &mut registration.state.unread;
    unread.is_listed = true;
    if !unread.owes || !has_slept {
        let is_listed = true;
        *unread = OfRegistration { owes: true, is_listed, told_ns: now, ..OfRegistration::default() };
    }
    unread.holder = Some(tid);
    unread.since_ns = None;
    unread.again = has_slept.then_some(again);
    unread.look = look.filter(|_| has_slept); // What was slept on, without what has come since.
}

/// Looks at a registration that owes: whether the bytes of the last look are still there. If they
/// are not and no call took them, something took them that cannot be seen here.
fn still_unread(cx: &mut Context<'_>, id: RegistrationId, is_after: bool) -> bool {
    let Some(registration) = cx.mirror.registration(id) else { return false };
    let (epfd, fd, file) = (registration.epfd, registration.fd, registration.file);
    let before = registration.state.unread.look;
    let Some((kind, taken)) = cx.mirror.file(file).map(|file| (file.kind, file.state.unread.taken)) else {
        return false;
    };
    let Some(now) = cx.world.unread(fd, kind) else {
        clear(cx, id);
        return false;
    };
    if let Some((unread, taken_then)) = before
        && now.saturating_add(taken.saturating_sub(taken_then)) < unread
    {
        foreign(cx, file);
        clear(cx, id);
        return false;
    }
    if now == 0 {
        clear(cx, id);
        return false;
    }
    cx.world.looked(Look { epfd, fd, unread: now, is_after });
    if let Some(registration) = cx.mirror.registration_mut(id) {
        registration.state.unread.look = Some((now, taken));
    }
    true
}

/// Bytes vanished that no call took.
fn foreign(cx: &mut Context<'_>, id: FileId) {
    if let Some(file) = cx.mirror.file_mut(id)
        && !core::mem::replace(&mut file.is_foreign, true)
    {
        cx.summary.foreign += 1;
    }
}

fn clear(cx: &mut Context<'_>, id: RegistrationId) {
    if let Some(registration) = cx.mirror.registration_mut(id) {
        let is_listed = registration.state.unread.is_listed;
        registration.state.unread = OfRegistration { is_listed, ..OfRegistration::default() };
    }
}

/// The mask of a registration is set anew, which looks for the level.
pub(crate) fn modified(cx: &mut Context<'_>, id: RegistrationId) {
    clear(cx, id);
}

/// A timer is registered: its instance may be paced by it.
pub(crate) fn added(cx: &mut Context<'_>, id: RegistrationId) {
    let Some(registration) = cx.mirror.registration(id) else { return };
    let instance = registration.instance;
    if cx.mirror.file(registration.file).is_some_and(|file| file.kind == Kind::Timerfd)
        && let Some(instance) = cx.mirror.instance_mut(instance)
    {
        instance.state.unread.has_timer = true;
    }
}

/// A read or an accept.
pub(crate) fn call(cx: &mut Context<'_>, state: &mut OfProcess, id: FileId, fact: &Fact<'_>) {
    let Fact::Call { call, fd, asked, answer, flags, began_ns, .. } = *fact else { return };
    let is_accept = call.class() == Class::Accept;
    let is_read = call.class() == Class::Read || call == Call::Splice;
    if !is_accept && (!is_read || call.message_flags(flags) & (MSG_OOB | MSG_ERRQUEUE) != 0) {
        return;
    }
    let took = if is_accept { u64::from(answer >= 0) } else { u64::try_from(answer).unwrap_or(0) };
    let is_peek = is_read && call.message_flags(flags) & MSG_PEEK != 0;
    let since_ns = cx.mirror.file(id).map_or(0, |file| file.since_ns);
    let Some(file) = cx.mirror.file_mut(id) else { return };
    file.state.unread.is_drained |= is_accept && errno::of(answer) == errno::EAGAIN;
    if is_accept && answer >= 0 && state.accepted.try_reserve(1).is_ok() {
        file.state.unread.alive += 1;
        state.accepted.insert(answer as i32, (id, since_ns));
    }
    let mut at = 0;
    while let Some(&registration) = cx.mirror.file(id).and_then(|file| file.registrations.get(at)) {
        at += 1;
        if cx.mirror.registration(registration).is_some_and(|registration| registration.state.unread.owes) {
            read(cx, state, registration, fd, began_ns);
            after_read(cx, registration, is_accept, (asked, answer), is_peek);
        }
    }
    if let Some(file) = cx.mirror.file_mut(id)
        && !is_peek
    {
        file.state.unread.taken += took;
    }
}

/// Decides what a read of bytes that were slept on was.
fn read(cx: &mut Context<'_>, state: &mut OfProcess, id: RegistrationId, fd: i32, began_ns: u64) {
    let Some(registration) = cx.mirror.registration(id) else { return };
    let unread = &registration.state.unread;
    // A sleep that goes on while another thread reads has not been proved to be one on these bytes
    // to the end, but the read is of the program's own accord.
    if unread.slept_ns == 0 && !unread.is_proved {
        return;
    }
    let cause = unread.again.map_or(Some(false), |again| again.is_cause(cx, registration, began_ns));
    let Some(tally) = state.sites.of(registration.site, fd) else { return };
    match cause {
        None => return,
        Some(true) => tally.late += 1,
        Some(false) => {
            cx.summary.resumed_sites += u64::from(tally.resumed == 0);
            cx.summary.resumed_reads += 1;
            tally.resumed += 1;
            return;
        }
    }
    let tally = *tally;
    if tally.resumed == 0 && tally.late >= LATE {
        let count = if tally.late == LATE { u64::from(LATE) } else { 1 };
        report(cx, id, Grade::Fault, count, tally.reports, End::Late);
    }
}

/// Notes a read, and what is owed after it.
fn after_read(cx: &mut Context<'_>, id: RegistrationId, is_accept: bool, (asked, answer): (u64, i64), is_peek: bool) {
    /// After these the connection waits on.
    const TRY_AGAIN_LATER: [i32; 4] = [errno::EMFILE, errno::ENFILE, errno::ENOBUFS, errno::ENOMEM];
    let Some(registration) = cx.mirror.registration_mut(id) else { return };
    let unread = &mut registration.state.unread;
    let is_left = if is_accept { answer >= 0 || TRY_AGAIN_LATER.contains(&errno::of(answer)) } else { answer > 0 };
    if !is_left {
        if errno::of(answer) != errno::EINTR {
            clear(cx, id);
        }
        return;
    }
    if is_peek {
        return;
    }
    (unread.slept_ns, unread.longest_ns, unread.is_proved, unread.since_ns) = (0, 0, false, None);
    (unread.look, unread.again, unread.is_said) = (None, None, false);
    unread.accepts += u32::from(is_accept && answer >= 0);
    unread.got += if is_accept { u64::from(answer >= 0) } else { answer.unsigned_abs() };
    unread.last = match answer {
        ..0 => answer,
        _ if is_accept || answer.unsigned_abs() >= asked => 1,
        _ => 2,
    };
}

/// A thread begins to wait. Its last report is still in its batch.
pub(crate) fn before_wait(cx: &mut Context<'_>, state: &room::OfProcess, instance: FileId, sleeps: bool) {
    let (now, tid) = (cx.stamp.ns, cx.stamp.tid);
    let is_empty = |instance: &crate::Instance| instance.state.unread.owing.is_empty();
    if cx.mirror.instance(instance).is_none_or(is_empty) {
        return;
    }
    let mut at = 0;
    while let Some(&(id, serial)) = cx.mirror.instance(instance).and_then(|i| i.state.unread.owing.get(at)) {
        if owes_at_wait(cx, state, (id, serial), (now, tid), sleeps) {
            at += 1;
            continue;
        }
        if let Some(registration) = cx.mirror.registration_mut(id).filter(|r| r.serial == serial) {
            registration.state.unread.is_listed = false;
        }
        if let Some(instance) = cx.mirror.instance_mut(instance) {
            instance.state.unread.owing.swap_remove(at);
        }
    }
}

/// The beginning of a wait, for one registration. Whether it owes.
fn owes_at_wait(
    cx: &mut Context<'_>,
    state: &room::OfProcess,
    (id, serial): (RegistrationId, u64),
    (now, tid): (u64, i32),
    sleeps: bool,
) -> bool {
    let Some(registration) = cx.mirror.registration_mut(id).filter(|r| r.serial == serial) else { return false };
    let unread = &mut registration.state.unread;
    if !unread.owes {
        return false;
    }
    if unread.holder == Some(tid) {
        (unread.holder, unread.again) = (None, None);
    }
    if !sleeps || unread.holder.is_some() {
        return true;
    }
    let is_said = unread.is_said;
    if unread.look.is_none() && !still_unread(cx, id, false) {
        return false;
    }
    let Some(registration) = cx.mirror.registration_mut(id) else { return false };
    let unread = &mut registration.state.unread;
    if state.is_any_choked() {
        (unread.since_ns, unread.is_proved) = (None, false);
        return true;
    }
    if unread.since_ns.is_none() {
        (unread.since_ns, unread.is_proved) = (Some(now), false);
    }
    if !is_said {
        cx.look_at(now + LEAST_NS);
    }
    true
}

/// A wait returned: the sleeps on its instance end, or go on in other threads.
pub(crate) fn after_wait(cx: &mut Context<'_>, instance: FileId) {
    let now = cx.stamp.ns;
    let goes_on = cx.mirror.instance(instance).is_some_and(|instance| instance.waiting > 0);
    let mut at = 0;
    while let Some(&entry) = cx.mirror.instance(instance).and_then(|i| i.state.unread.owing.get(at)) {
        at += 1;
        let Some(registration) = cx.mirror.registration_mut(entry.0).filter(|r| r.serial == entry.1) else { continue };
        let unread = &mut registration.state.unread;
        let Some(since) = unread.since_ns else { continue };
        if unread.is_proved {
            let slept = now.saturating_sub(since);
            unread.slept_ns += slept;
            unread.longest_ns = unread.longest_ns.max(slept);
        }
        (unread.since_ns, unread.is_proved) = (goes_on.then_some(now), false);
    }
}

/// A thread sleeps on an instance, and has slept through a look.
pub(crate) fn tick(cx: &mut Context<'_>, state: &mut OfProcess, room: &room::OfProcess, instance: FileId) {
    let now = cx.stamp.ns;
    let Some(thread) = cx.mirror.thread(cx.stamp.tid) else { return };
    let Some(began_ns) = thread.waits_since_ns else { return };
    let timeout_ns = thread.state.sleep.timeout_ns;
    let mut at = 0;
    while let Some(&entry) = cx.mirror.instance(instance).and_then(|i| i.state.unread.owing.get(at)) {
        at += 1;
        let Some(registration) = cx.mirror.still(entry) else { continue };
        let unread = &registration.state.unread;
        let Some(since) = unread.since_ns.filter(|_| unread.owes && unread.holder.is_none() && !unread.is_said) else {
            continue;
        };
        let begin = since.max(began_ns);
        if now < begin + LEAST_NS {
            cx.look_at(begin + LEAST_NS);
            continue;
        }
        if room.is_any_choked() || !still_unread(cx, entry.0, false) {
            continue;
        }
        let Some(registration) = cx.mirror.registration_mut(entry.0) else { continue };
        registration.state.unread.is_proved = true;
        left(cx, state, entry.0, timeout_ns);
    }
}

/// Reports bytes that are left for long.
fn left(cx: &mut Context<'_>, state: &mut OfProcess, id: RegistrationId, timeout_ns: i64) {
    let now = cx.stamp.ns;
    let Some(registration) = cx.mirror.registration(id) else { return };
    let Some(file) = cx.mirror.file(registration.file) else { return };
    let unread = &registration.state.unread;
    let slept = unread.slept_ns + unread.since_ns.map_or(0, |since| now.saturating_sub(since));
    let is_clocked = timeout_ns >= 0
        || cx.mirror.instance(registration.instance).is_some_and(|instance| instance.state.unread.has_timer);
    let limit = if is_stream(file.kind) || is_clocked { LEFT_STREAM_NS } else { LEFT_NS };
    if slept < limit {
        cx.look_at(now + LOOK_NS.min(limit - slept));
        return;
    }
    let grade = grade_of_left(cx, registration);
    say_left(cx, state, id, grade, End::Left);
}

/// A queue of connections that the program has left, having taken one per report, is a fault:
/// it is not paced by the number of connections, which are none, or not counted yet.
fn grade_of_left(cx: &Context<'_>, registration: &Registration) -> Grade {
    let Some(file) = cx.mirror.file(registration.file) else { return Grade::Suspect };
    let (unread, of_file) = (&registration.state.unread, &file.state.unread);
    let is_fault = is_listener(file.kind)
        && unread.accepts > 0
        && unread.last == 1
        && (of_file.alive == 0 || (unread.accepts == 1 && !of_file.is_drained));
    if is_fault { Grade::Fault } else { Grade::Suspect }
}

fn say_left(cx: &mut Context<'_>, state: &mut OfProcess, id: RegistrationId, grade: Grade, end: End) {
    let Some(registration) = cx.mirror.registration_mut(id) else { return };
    registration.state.unread.is_said = true;
    let Some(tally) = state.sites.of(registration.site, registration.fd) else { return };
    let tally = *tally;
    if tally.resumed == 0 {
        report(cx, id, grade, 1, tally.reports, end);
    }
}

/// `numbers` of [`Rule::SleptEdge`]:
/// 0. when the read was reported to be due (CLOCK_MONOTONIC, ns);
/// 1. bytes, or of a listener connections, that were taken between that and the sleep;
/// 2. the last read before the sleep: 0 there was none, 1 it got all it asked for, 2 less, or a
///    negative errno;
/// 3. bytes or connections that the sleep was on;
/// 4. how often input was reported at this site;
/// 5. how it ended: 0 they were read with the next report, 1 they are still unread, 2 the
///    descriptor is closed, 3 the process ends.
///
/// `worst_ns` is the longest sleep.
fn report(cx: &mut Context<'_>, id: RegistrationId, grade: Grade, count: u64, reports: u64, end: End) {
    let Some(registration) = cx.mirror.registration(id) else { return };
    let unread = &registration.state.unread;
    let current = unread.since_ns.filter(|_| unread.is_proved).map_or(0, |since| cx.stamp.ns.saturating_sub(since));
    let worst_ns = unread.longest_ns.max(current);
    let left = unread.look.map_or(0, |(unread, _)| unread);
    let numbers = [
        unread.told_ns.cast_signed(),
        unread.got.cast_signed(),
        unread.last,
        left.cast_signed(),
        reports.cast_signed(),
        end as i64,
    ];
    let finding = Finding { bits: IN, count, worst_ns, numbers, ..cx.finding(Rule::SleptEdge, grade, registration) };
    cx.report(finding);
}

/// A number is closed.
pub(crate) fn close(cx: &mut Context<'_>, state: &mut OfProcess, fd: i32) {
    if let Some((listener, since_ns)) = state.accepted.remove(&fd)
        && let Some(file) = cx.mirror.file_mut(listener).filter(|file| file.since_ns == since_ns)
    {
        file.state.unread.alive = file.state.unread.alive.saturating_sub(1);
    }
    let Some(id) = cx.mirror.file_of(fd) else { return };
    let mut at = 0;
    while let Some(&id) = cx.mirror.file(id).and_then(|file| file.registrations.get(at)) {
        at += 1;
        let Some(registration) = cx.mirror.registration(id) else { continue };
        let unread = &registration.state.unread;
        if registration.fd == fd && unread.owes && !unread.is_said && unread.slept_ns >= LEFT_NS {
            say_left(cx, state, id, Grade::Suspect, End::Closed);
        }
    }
}

/// An accepted connection has another number: it is open for as long as the process runs.
pub(crate) fn duplicated(state: &mut OfProcess, from: i32) {
    if from != NO_FD {
        state.accepted.remove(&from);
    }
}

/// The process ends.
pub(crate) fn exit(cx: &mut Context<'_>, state: &mut OfProcess) {
    for instance in cx.mirror.instance_ids() {
        let mut at = 0;
        while let Some(&entry) = cx.mirror.instance(instance).and_then(|i| i.state.unread.owing.get(at)) {
            at += 1;
            let Some(registration) = cx.mirror.still(entry) else { continue };
            let unread = &registration.state.unread;
            if !unread.owes || unread.is_said || unread.slept_ns < LEFT_AT_END_NS || !still_unread(cx, entry.0, false) {
                continue;
            }
            let Some(registration) = cx.mirror.registration(entry.0) else { continue };
            let grade = grade_of_left(cx, registration);
            say_left(cx, state, entry.0, grade, End::Exit);
        }
    }
}

#[cfg(test)]
mod tests {
    use epolyfill_facts::{Call, Kind, Op};
    use std::vec::Vec;

    use crate::rules::testing::Story;
    use crate::{Grade, Rule};
    use epolyfill_facts::mask::{EDGE, IN, OUT, RDHUP};

    const SLEPT: (Rule, Grade) = (Rule::SleptEdge, Grade::Fault);
    const SUSPECT: (Rule, Grade) = (Rule::SleptEdge, Grade::Suspect);

    fn story(kind: Kind) -> Story {
        let mut story = Story::new();
        story.world.kinds.insert(5, kind);
        story.create(3);
        story.add(3, 5, IN | EDGE | RDHUP);
        story
    }

    /// A report, one read of 64 bytes, and a sleep on the rest until the next message of 100 bytes.
    fn round(story: &mut Story, timeout_ns: i64, left: u64, ms: u64) {
        story.reports(3, &[(5, IN)]);
        story.call(Call::Recvfrom, 5, 64, 64);
        story.world.unread.insert(5, left);
        story.waits(3, timeout_ns);
        story.pass_ms(ms);
        story.world.unread.insert(5, left + 100);
    }

    #[test]
    fn slept_edge_bad_is_a_fault_at_the_second_late_read() {
        let mut story = story(Kind::UnixStream);
        story.waits(3, -1);
        round(&mut story, -1, 36, 300);
        round(&mut story, -1, 72, 1);
        round(&mut story, -1, 8, 300);
        assert_eq!(story.findings(), []);
        round(&mut story, -1, 44, 300);
        assert_eq!(story.findings(), [SLEPT]);
        let finding = story.auditor.findings()[0];
        assert_eq!((finding.count, finding.fd, finding.numbers[1..].to_vec()), (2, 5, [64, 1, 8, 4, 0].to_vec()));
        round(&mut story, -1, 80, 300);
        assert_eq!(story.auditor.findings()[0].count, 3);
    }

    #[test]
    fn a_wait_that_returns_late_with_the_edge_of_the_bytes_is_no_sleep() {
        let mut story = story(Kind::Tcp);
        story.waits(3, -1);
        for _ in 0..10 {
            // More comes after the read. The thread is without a processor for long in the wait,
            // which has the event.
            story.reports(3, &[(5, IN)]);
            story.call(Call::Recvfrom, 5, 1024, 51);
            story.world.unread.insert(5, 51);
            story.waits(3, -1);
            story.ns += 20_000_000;
        }
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn slept_edge_good_and_a_short_read_that_empties_are_no_finding() {
        for last in [(Call::Recvfrom, 64, -11), (Call::Recvfrom, 64, 36)] {
            let mut story = story(Kind::UnixStream);
            story.waits(3, -1);
            for _ in 0..6 {
                story.reports(3, &[(5, IN)]);
                story.call(Call::Recvfrom, 5, 64, 64);
                story.call(last.0, 5, last.1, last.2);
                story.world.unread.insert(5, 0);
                story.waits(3, -1);
                story.pass_ms(300);
                story.world.unread.insert(5, 100);
            }
            assert_eq!(story.findings(), []);
        }
    }

    #[test]
    fn short_reads_that_leave_bytes_are_late_like_full_ones() {
        let mut story = story(Kind::Tty);
        story.waits(3, -1);
        for _ in 0..3 {
            story.reports(3, &[(5, IN)]);
            story.call(Call::Read, 5, 1024, 5);
            story.world.unread.insert(5, 200);
            story.waits(3, -1);
            story.pass_ms(100);
            story.world.unread.insert(5, 300);
        }
        assert_eq!(story.findings(), [SLEPT]);
    }

    #[test]
    fn paused_edge_reads_on_by_its_own_clock() {
        let mut story = story(Kind::UnixStream);
        story.waits(3, -1);
        for turn in 0..20 {
            // A report in the pause, of which one time in four the end of the pause is seen at once.
            story.reports(3, &[(5, IN)]);
            if turn % 4 != 0 {
                story.waits(3, 7_000_000);
                story.pass_ms(7);
                story.reports(3, &[]);
            }
            story.call(Call::Recvfrom, 5, 1000, 1000);
            story.world.unread.insert(5, 700);
            story.waits(3, 20_000_000);
            story.pass_ms(19);
            story.world.unread.insert(5, 1400);
        }
        assert_eq!(story.findings(), []);
        assert_eq!((story.auditor.summary().resumed_sites, story.auditor.summary().resumed_reads), (1, 15));
    }

    #[test]
    fn proxy_edge_waits_for_its_other_side() {
        let mut story = story(Kind::UnixStream);
        story.world.kinds.insert(6, Kind::UnixStream);
        story.add(3, 6, OUT | EDGE);
        story.waits(3, -1);
        for _ in 0..5 {
            story.reports(3, &[(5, IN)]);
            story.call(Call::Read, 5, 16384, 16384);
            story.call(Call::Sendto, 6, 16384, 10000);
            story.call(Call::Sendto, 6, 6384, -11);
            story.world.unread.insert(5, 1000);
            story.waits(3, -1);
            story.pass_ms(40);
            story.world.unread.insert(5, 2000);
            story.reports(3, &[(5, IN)]);
            story.waits(3, -1);
            story.pass_ms(40);
            story.reports(3, &[(6, OUT)]);
            story.call(Call::Sendto, 6, 6384, 6384);
            story.waits(3, -1);
        }
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn wake_edge_is_never_owed() {
        let mut story = story(Kind::Eventfd);
        story.world.unread.insert(5, 1);
        for _ in 0..10 {
            story.waits(3, -1);
            story.pass_ms(1500);
            story.reports(3, &[(5, IN)]);
        }
        assert_eq!(story.findings(), []);
    }

    /// A burst of three connections, of which `accepts` are taken.
    fn burst(kind: Kind, accepts: i64, timeout_ns: i64) -> Story {
        let mut story = story(kind);
        story.waits(3, timeout_ns);
        story.reports(3, &[(5, IN)]);
        for accepted in 0..accepts {
            story.call(Call::Accept, 5, 0, 10 + accepted);
        }
        story.world.unread.insert(5, 2);
        story.waits(3, timeout_ns);
        story
    }

    #[test]
    fn a_queue_of_connections_that_is_left_after_one_accept_is_a_fault() {
        let mut story = burst(Kind::TcpListener, 1, -1);
        story.pass_ms(900);
        assert_eq!(story.findings(), []);
        story.pass_ms(200);
        assert_eq!(story.findings(), [SLEPT]);
        assert_eq!(story.auditor.findings()[0].numbers[1..], [1, 1, 2, 1, 1]);
        story.pass_ms(5000);
        assert_eq!(story.auditor.findings()[0].count, 1);
    }

    #[test]
    fn a_queue_that_is_left_at_exit_is_a_fault() {
        let mut story = burst(Kind::TcpListener, 1, 2_000_000_000);
        story.pass_ms(400);
        story.reports(3, &[]);
        story.fact(epolyfill_facts::Fact::Exit { status: 0 });
        assert_eq!(story.findings(), [SLEPT]);
    }

    #[test]
    fn one_accept_for_each_report_is_late() {
        let mut story = story(Kind::TcpListener);
        story.waits(3, -1);
        for client in 0..4 {
            story.reports(3, &[(5, IN)]);
            story.call(Call::Accept, 5, 0, 10 + client);
            story.world.unread.insert(5, 3);
            story.waits(3, -1);
            story.pass_ms(50);
            story.world.unread.insert(5, 4);
        }
        assert_eq!(story.findings(), [SLEPT]);
    }

    #[test]
    fn a_limit_of_connections_paces_a_queue() {
        let mut story = burst(Kind::TcpListener, 2, -1);
        story.pass_ms(3500);
        assert_eq!(story.findings(), [SUSPECT]);
        let mut never = burst(Kind::TcpListener, 0, -1);
        never.pass_ms(3500);
        assert_eq!(never.findings(), [SUSPECT]);
    }

    #[test]
    fn a_queue_is_left_at_the_limit_of_descriptors() {
        let mut story = burst(Kind::TcpListener, 0, -1);
        story.reports(3, &[(5, IN)]);
        story.call(Call::Accept, 5, 0, -24);
        story.waits(3, -1);
        story.pass_ms(1500);
        assert_eq!(story.findings(), [SUSPECT]);
        assert_eq!(story.auditor.findings()[0].numbers[2], -24);
    }

    #[test]
    fn a_stream_that_is_left_is_a_suspect_after_three_seconds() {
        let mut story = story(Kind::Tcp);
        story.waits(3, -1);
        round(&mut story, -1, 36, 2900);
        assert_eq!(story.findings(), []);
        story.pass_ms(300);
        assert_eq!(story.findings(), [SUSPECT]);
    }

    #[test]
    fn bytes_that_vanish_make_a_descriptor_foreign() {
        let mut story = story(Kind::Tcp);
        story.waits(3, -1);
        round(&mut story, -1, 36, 0);
        story.world.unread.insert(5, 20);
        story.pass_ms(5000);
        assert_eq!((story.findings(), story.auditor.summary().foreign), (Vec::new(), 1));
    }

    #[test]
    fn a_level_or_a_mask_that_is_set_anew_owes_nothing() {
        let mut level = Story::new();
        level.create(3);
        level.add(3, 5, IN);
        let mut anew = story(Kind::Tcp);
        for story in [&mut level, &mut anew] {
            story.waits(3, -1);
            for _ in 0..4 {
                story.reports(3, &[(5, IN)]);
                story.call(Call::Recvfrom, 5, 64, 64);
                story.control(3, Op::Mod, 5, story.auditor.mirror().registration(0).map_or(0, |r| r.events), 0);
                story.world.unread.insert(5, 36);
                story.waits(3, -1);
                story.pass_ms(5000);
            }
            assert_eq!(story.findings(), []);
        }
    }

    #[test]
    fn a_worker_that_reads_is_of_the_programs_own_accord() {
        let mut story = story(Kind::Tcp);
        story.waits(3, -1);
        for _ in 0..4 {
            story.reports(3, &[(5, IN)]);
            story.world.unread.insert(5, 100);
            story.waits(3, -1);
            story.pass_ms(20);
            story.reports(3, &[(5, IN)]);
            story.tid = 2;
            story.call(Call::Recvfrom, 5, 64, 64);
            story.tid = 1;
            story.waits(3, -1);
            story.pass_ms(20);
        }
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn a_sleep_while_another_thread_holds_the_report_does_not_count() {
        let mut story = story(Kind::Tcp);
        story.waits(3, -1);
        story.reports(3, &[(5, IN)]);
        story.world.unread.insert(5, 100);
        story.tid = 2;
        story.waits(3, -1);
        story.pass_ms(5000);
        assert_eq!(story.findings(), []);
    }
}
