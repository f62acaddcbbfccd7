//! Room for output: R2, and which descriptors are choked, which mutes other rules.

use alloc::vec::Vec;

use epolyfill_facts::mask::{OUT, UNASKED};
use epolyfill_facts::{Call, Class, Fact, Kind, SiteId, errno};
use hashbrown::HashMap;

use super::ms;
use super::pace::{Again, Tally};
use super::sites::Sites;
use super::sleep;
use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};
use crate::mirror::{FileId, RegistrationId};

/// R2: a sleep of this length with room is a suspect …
const SUSPECT_NS: u64 = ms(100);
/// … and one of this length a fault.
const FAULT_NS: u64 = ms(1_000);

/// The most registrations of a process that are looked at.
const MOST: usize = 64;

/// The output of a description.
#[derive(Debug, Default)]
pub struct OfFile {
    /// The last write was refused or cut.
    is_choked: bool,
    /// Part of a message was written, so the rest is not thrown away.
    is_cut: bool,
    /// Full writes in a row, by one thread and in one round.
    full: u32,
    /// The thread of those, and its round.
    round: (i32, u64),
    /// Writes that were refused since the last that was not.
    refused: u32,
    /// What the last write asked, and its answer.
    asked: u64,
    answer: i64,
}

/// What a registration owes.
#[derive(Debug, Default)]
pub struct OfRegistration {
    /// When room was reported that has not been used.
    told_ns: Option<u64>,
    bits: u32,
    is_listed: bool,
    since_ns: Option<u64>,
    grade: Option<Grade>,
    again: Option<Again>,
}

/// What the registrations owe.
#[derive(Debug, Default)]
pub struct OfProcess {
    choked: u32,
    owing: Vec<(RegistrationId, u64)>,
    sites: Sites<Tally>,
    /// Writes that followed such a report at once.
    habits: HashMap<SiteId, u32>,
}

impl OfProcess {
    /// Whether a write was refused or cut, and not taken up since.
    pub(crate) fn is_any_choked(&self) -> bool {
        self.choked != 0
    }
}

/// Whether the last write to a file was refused or cut.
pub(crate) fn is_choked(cx: &Context<'_>, file: FileId) -> bool {
    cx.mirror.file(file).is_some_and(|file| file.state.room.is_choked)
}

fn set_choked(cx: &mut Context<'_>, state: &mut OfProcess, id: FileId, is_choked: bool) {
    let Some(file) = cx.mirror.file_mut(id) else { return };
    let before = core::mem::replace(&mut file.state.room.is_choked, is_choked);
    match (before, is_choked) {
        (false, true) => state.choked += 1,
        (true, false) => state.choked = state.choked.saturating_sub(1),
        _ => {}
    }
}

/// A new process: nothing is choked in the mirror any more.
pub(crate) fn start(cx: &mut Context<'_>, state: &mut OfProcess) {
    for (id, _) in core::mem::take(state).owing {
        if let Some(registration) = cx.mirror.registration_mut(id) {
            registration.state.room = OfRegistration::default();
        }
    }
}

/// A call with output.
pub(crate) fn call(cx: &mut Context<'_>, state: &mut OfProcess, fact: &Fact<'_>) {
    let Fact::Call { call, fd, other, asked, answer, began_ns, .. } = *fact else { return };
    let sink = match call.class() {
        Class::Write => fd,
        Class::Move => other,
        _ => return,
    };
    let is_refused = [errno::EAGAIN, errno::ENOBUFS].contains(&errno::of(answer));
    let id = match cx.mirror.file_of(sink) {
        Some(id) => id,
        None if is_refused => {
            let (world, now) = (&mut *cx.world, cx.stamp.ns);
            match cx.mirror.learn(sink, now, || world.kind(sink)) {
                Ok(id) => id,
                Err(_) => return,
            }
        }
        None => return,
    };
    let round = (cx.stamp.tid, cx.mirror.thread(cx.stamp.tid).map_or(0, |thread| thread.waits));
    let Some(file) = cx.mirror.file_mut(id) else { return };
    let room = &mut file.state.room;
    let is_stream =
        matches!(file.kind, Kind::Tcp | Kind::UnixStream | Kind::Pipe | Kind::Fifo | Kind::Tty | Kind::Mptcp);
    let is_short = answer > 0 && answer.unsigned_abs() < asked && is_stream && call.class() == Class::Write;
    let is_plain = !matches!(call, Call::Sendfile | Call::Splice | Call::Tee);
    (room.asked, room.answer) = (asked, answer);
    if room.round != round {
        (room.round, room.full) = (round, 0);
    }
    if is_refused {
        room.refused += 1;
        // A loop that writes until it is refused has more to write.
        room.is_cut |= is_plain && room.full >= 4 && room.refused == 1;
    } else {
        room.refused = 0;
        room.is_cut = is_short && is_plain;
        room.full = if is_short { 0 } else { room.full + 1 };
    }
    set_choked(cx, state, id, is_refused || is_short);
    used(cx, state, id, began_ns);
}

/// A write: the file's registrations owe none any more.
fn used(cx: &mut Context<'_>, state: &mut OfProcess, id: FileId, began_ns: u64) {
    if state.owing.is_empty() {
        return;
    }
    let mut at = 0;
    while let Some(&id) = cx.mirror.file(id).and_then(|file| file.registrations.get(at)) {
        at += 1;
        let Some(registration) = cx.mirror.registration(id) else { continue };
        let room = &registration.state.room;
        let (Some(told_ns), again) = (room.told_ns, room.again) else { continue };
        let (site, fd) = (registration.site, registration.fd);
        let has_slept =
            room.grade.is_some() || room.since_ns.is_some_and(|since| cx.stamp.ns.saturating_sub(since) >= SUSPECT_NS);
        let is_cause = again.and_then(|again| again.is_cause(cx, registration, began_ns));
        if is_cause == Some(true) && told_ns + SUSPECT_NS > cx.stamp.ns {
            if state.habits.try_reserve(1).is_ok() {
                *state.habits.entry(site).or_default() += 1;
            }
        } else if has_slept
            && again.is_none()
            && let Some(tally) = state.sites.of(site, fd)
        {
            tally.resumed += 1;
        }
        if let Some(registration) = cx.mirror.registration_mut(id) {
            let is_listed = registration.state.room.is_listed;
            registration.state.room = OfRegistration { is_listed, ..OfRegistration::default() };
        }
    }
}

/// The mask of a registration is set anew, which looks for the level.
pub(crate) fn modified(cx: &mut Context<'_>, id: RegistrationId) {
    if let Some(registration) = cx.mirror.registration_mut(id) {
        let is_listed = registration.state.room.is_listed;
        registration.state.room = OfRegistration { is_listed, ..OfRegistration::default() };
    }
}

/// A number is closed.
pub(crate) fn close(cx: &mut Context<'_>, state: &mut OfProcess, id: FileId) {
    if cx.mirror.file(id).is_some_and(|file| file.numbers.len() == 1) {
        set_choked(cx, state, id, false);
    }
}

/// A registration was reported.
pub(crate) fn told(cx: &mut Context<'_>, state: &mut OfProcess, id: RegistrationId, bits: u32, again: Again) {
    let now = cx.stamp.ns;
    if state.choked == 0 || bits & OUT == 0 {
        return;
    }
    let Some(registration) = cx.mirror.registration(id) else { return };
    let (file, serial) = (registration.file, registration.serial);
    if !registration.is_edge() || registration.is_oneshot() || !is_choked(cx, file) {
        return;
    }
    let is_full = state.owing.len() >= MOST || state.owing.try_reserve(1).is_err();
    let Some(registration) = cx.mirror.registration_mut(id) else { return };
    let room = &mut registration.state.room;
    if !room.is_listed {
        if is_full {
            return;
        }
        state.owing.push((id, serial));
        room.is_listed = true;
    }
    room.told_ns.get_or_insert(now);
    (room.bits, room.again) = (bits, Some(again));
}

/// A thread begins to wait for longer than no time.
pub(crate) fn before_wait(cx: &mut Context<'_>, state: &mut OfProcess, sleeps: bool) {
    let now = cx.stamp.ns;
    let tid = cx.stamp.tid;
    let mut at = 0;
    while let Some(&(id, serial)) = state.owing.get(at) {
        let registration = cx.mirror.registration_mut(id).filter(|registration| registration.serial == serial);
        let Some(registration) = registration.filter(|registration| registration.state.room.told_ns.is_some()) else {
            unlist(cx, (id, serial));
            state.owing.swap_remove(at);
            continue;
        };
        let room = &mut registration.state.room;
        if room.again.is_some_and(|again| again.is_of(tid)) {
            room.again = None;
        }
        if sleeps && room.again.is_none() {
            room.since_ns.get_or_insert(now);
            cx.look_at(now + SUSPECT_NS);
        }
        at += 1;
    }
}

fn unlist(cx: &mut Context<'_>, (id, serial): (RegistrationId, u64)) {
    if let Some(registration) = cx.mirror.registration_mut(id).filter(|registration| registration.serial == serial) {
        registration.state.room.is_listed = false;
    }
}

/// A sleep on an instance goes on.
///
/// `numbers` of [`Rule::SleptRoom`]: when room was reported (CLOCK_MONOTONIC, ns); the bytes that
/// the last write asked; its answer, or a negative errno. `bits` is what was reported, `worst_ns`
/// the sleep.
pub(crate) fn tick(cx: &mut Context<'_>, state: &mut OfProcess, instance: FileId) {
    let now = cx.stamp.ns;
    for at in 0..state.owing.len() {
        let entry = state.owing[at];
        let Some(registration) = cx.mirror.still(entry) else { continue };
        let room = &registration.state.room;
        let (Some(told_ns), Some(since), None) = (room.told_ns, room.since_ns, room.again) else { continue };
        if registration.instance != instance
            || registration.is_ghost
            || cx.mirror.instance(instance).is_none_or(|instance| instance.waiting == 0)
            || !sleep::all_others(cx, instance, None)
            || room.grade == Some(Grade::Fault)
        {
            continue;
        }
        let (fd, file, site, bits, known) =
            (registration.fd, registration.file, registration.site, room.bits, room.grade);
        let slept = now.saturating_sub(since);
        if slept < FAULT_NS {
            cx.look_at(if slept < SUSPECT_NS { since + SUSPECT_NS } else { since + FAULT_NS });
        }
        if slept < SUSPECT_NS
            || !is_choked(cx, file)
            || cx.world.levels(fd, OUT | UNASKED) != Some(OUT)
            || state.sites.of(site, fd).is_none_or(|tally| tally.resumed > 0)
        {
            continue;
        }
        let Some(of_file) = cx.mirror.file(file).map(|file| &file.state.room) else { continue };
        let is_kept = of_file.is_cut || state.habits.get(&site).is_some_and(|habit| *habit >= 2);
        let numbers = [told_ns.cast_signed(), of_file.asked.cast_signed(), of_file.answer, 0, 0, 0];
        let grade = if slept >= FAULT_NS && is_kept { Grade::Fault } else { Grade::Suspect };
        if known == Some(grade) {
            continue;
        }
        let Some(registration) = cx.mirror.registration_mut(entry.0) else { continue };
        registration.state.room.grade = Some(grade);
        let Some(registration) = cx.mirror.registration(entry.0) else { continue };
        let count = u64::from(known.is_none());
        let finding =
            Finding { bits, worst_ns: slept, numbers, count, ..cx.finding(Rule::SleptRoom, grade, registration) };
        cx.report(finding);
    }
}

#[cfg(test)]
mod tests {
    use epolyfill_facts::{Call, Op};

    use crate::rules::testing::Story;
    use crate::{Grade, Rule};
    use epolyfill_facts::mask::{EDGE, IN, OUT};

    /// A reply of 100,000 bytes is cut, and refused; then room is reported together with input.
    fn cut() -> Story {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 5, IN | OUT | EDGE);
        story.waits(3, -1);
        story.reports(3, &[(5, IN | OUT)]);
        story.call(Call::Recvfrom, 5, 64, 10);
        story.call(Call::Recvfrom, 5, 64, -11);
        story.call(Call::Sendto, 5, 100_000, 60_000);
        story.call(Call::Sendto, 5, 40_000, -11);
        story.waits(3, -1);
        story.pass_ms(20);
        story.reports(3, &[(5, IN | OUT)]);
        story.call(Call::Recvfrom, 5, 64, 10);
        story.call(Call::Recvfrom, 5, 64, -11);
        story.world.levels.insert(5, OUT);
        story
    }

    #[test]
    fn room_that_comes_with_input_and_is_dropped_is_a_fault_after_a_second() {
        let mut story = cut();
        story.waits(3, -1);
        story.pass_ms(500);
        assert_eq!(story.findings(), [(Rule::SleptRoom, Grade::Suspect)]);
        story.pass_ms(600);
        assert_eq!(story.findings(), [(Rule::SleptRoom, Grade::Fault)]);
        assert_eq!(story.auditor.findings()[0].count, 1);
    }

    #[test]
    fn room_that_is_used_at_once_is_not_a_finding() {
        let mut story = cut();
        story.call(Call::Sendto, 5, 40_000, 40_000);
        story.waits(3, -1);
        story.pass_ms(2000);
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn output_that_was_refused_as_a_whole_can_have_been_thrown_away() {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 5, IN | OUT | EDGE);
        story.call(Call::Sendto, 5, 100, -11);
        story.waits(3, -1);
        story.reports(3, &[(5, OUT)]);
        story.world.levels.insert(5, OUT);
        story.waits(3, -1);
        story.pass_ms(2000);
        assert_eq!(story.findings(), [(Rule::SleptRoom, Grade::Suspect)]);
    }

    #[test]
    fn a_changed_mask_or_a_level_that_is_low_ends_the_debt() {
        let mut story = cut();
        story.control(3, Op::Mod, 5, IN | OUT | EDGE, 0);
        story.waits(3, -1);
        story.pass_ms(2000);
        let mut low = cut();
        low.world.levels.clear();
        low.waits(3, -1);
        low.pass_ms(2000);
        assert_eq!((story.findings(), low.findings()), (Default::default(), Default::default()));
    }
}
