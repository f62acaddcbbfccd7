//! R1: the program sleeps on unread bytes whose edge it has been given.
//!
//! An edge-triggered registration that was reported readable owes a read until a read finds
//! nothing, or the mask is set anew. What it owes is looked at when a thread goes to sleep; where
//! bytes are unread, a look in the middle proves the sleep, and what ends it decides
//! (see `pace.rs`).

mod left;
#[cfg(test)]
mod tests;

pub(crate) use left::exit;

use alloc::vec::Vec;

use epolyfill_facts::flags::{MSG_ERRQUEUE, MSG_OOB, MSG_PEEK};
use epolyfill_facts::mask::{INPUT, PRI};
use epolyfill_facts::{Call, Class, Fact, Kind, NO_FD, errno};
use hashbrown::HashMap;

use super::pace::{Again, Tally};
use super::sites::Sites;
use super::{ms, room};
use crate::auditor::Context;
use crate::finding::Grade;
use crate::mirror::{FileId, RegistrationId};
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
    /// The report said that there is urgent data, at whose mark a read ends.
    is_urgent: bool,
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
}

/// The sleeps of the process.
#[derive(Debug, Default)]
pub struct OfProcess {
    sites: Sites<Tally>,
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
    unread.is_urgent |= bits & PRI != 0;
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

/// A read or an accept.
pub(crate) fn call(cx: &mut Context<'_>, state: &mut OfProcess, id: FileId, fact: &Fact<'_>) {
    let Fact::Call { call, fd, answer, flags, began_ns, .. } = *fact else { return };
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
            after_read(cx, registration, fact, is_peek);
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
        left::report(cx, id, Grade::Fault, count, tally.reports, End::Late);
    }
}

/// Notes a read or an accept, and what is owed after it.
fn after_read(cx: &mut Context<'_>, id: RegistrationId, fact: &Fact<'_>, is_peek: bool) {
    /// After these the connection waits on.
    const TRY_AGAIN_LATER: [i32; 4] = [errno::EMFILE, errno::ENFILE, errno::ENOBUFS, errno::ENOMEM];
    let Fact::Call { call, asked, answer, began_ns, .. } = *fact else { return };
    let is_accept = call.class() == Class::Accept;
    let Some(registration) = cx.mirror.registration(id) else { return };
    let (unread, file) = (&registration.state.unread, registration.file);
    let is_short = !is_accept && answer > 0 && answer.unsigned_abs() < asked;
    let is_left = if is_accept { answer >= 0 || TRY_AGAIN_LATER.contains(&errno::of(answer)) } else { answer > 0 };
    // A short read has emptied a TCP socket, and what comes later is an edge of its own. Reads of
    // other kinds end at the boundary of a line, a packet or a passed descriptor, too.
    let is_tcp = || cx.mirror.file(file).is_some_and(|file| file.kind == Kind::Tcp);
    let is_emptied = is_short && !is_peek && !unread.is_urgent && unread.told_ns <= began_ns && is_tcp();
    if is_emptied || (!is_left && errno::of(answer) != errno::EINTR) {
        clear(cx, id);
    }
    if is_emptied || !is_left || is_peek {
        return;
    }
    let Some(registration) = cx.mirror.registration_mut(id) else { return };
    let unread = &mut registration.state.unread;
    (unread.slept_ns, unread.longest_ns, unread.is_proved, unread.since_ns) = (0, 0, false, None);
    (unread.look, unread.again, unread.is_said) = (None, None, false);
    unread.accepts += u32::from(is_accept && answer >= 0);
    unread.got += if is_accept { u64::from(answer >= 0) } else { answer.unsigned_abs() };
    unread.last = if answer < 0 { answer } else { 1 + i64::from(is_short) };
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
        left::look(cx, state, entry.0, timeout_ns);
    }
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
            left::say(cx, state, id, Grade::Suspect, End::Closed);
        }
    }
}

/// An accepted connection has another number: it is open for as long as the process runs.
pub(crate) fn duplicated(state: &mut OfProcess, from: i32) {
    if from != NO_FD {
        state.accepted.remove(&from);
    }
}
