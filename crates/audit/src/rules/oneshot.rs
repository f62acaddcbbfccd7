//! R3: an EPOLLONESHOT registration that is spent, not armed again, and ready.
//!
//! A program that arms again where it handles the event, always, has forgotten to. One that does it
//! elsewhere, even once, can be at work on it.

use alloc::vec::Vec;

use epolyfill_facts::mask::{IN, OUT};

use super::sites::Sites;
use super::{ms, room, sleep};
use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};
use crate::mirror::{FileId, RegistrationId};

/// Arming again within this time, by the thread that was given the event, is a habit.
const HABIT_NS: u64 = ms(100);
/// Ready for so long while all threads sleep is a finding, …
const HIGH_NS: u64 = ms(1000);
/// … and a fault where a clock of the program can be running.
const HIGH_CLOCKED_NS: u64 = ms(3000);

/// The most registrations of an instance that are looked at.
const MOST: usize = 64;

/// A registration after its event.
#[derive(Debug, Default)]
pub struct OfRegistration {
    spent_ns: Option<u64>,
    /// The thread that was given the event and has not waited since.
    holder: Option<i32>,
    /// After the event its thread called nothing but descriptors of the same report.
    is_clean: bool,
    is_listed: bool,
    bits: u32,
    high_ns: Option<u64>,
    grade: Option<Grade>,
}

/// The spent registrations of an instance.
#[derive(Debug, Default)]
pub struct OfInstance {
    spent: Vec<(RegistrationId, u64)>,
}

/// The round of a thread.
#[derive(Debug, Default)]
pub struct OfThread {
    /// Its report spent a registration.
    has_spent: bool,
    /// It called a descriptor that was not in its report.
    is_elsewhere: bool,
}

/// How the registrations of a site are armed again.
#[derive(Clone, Copy, Debug, Default)]
struct Habit {
    at_once: u32,
    otherwise: u32,
}

/// The habits of the sites.
#[derive(Debug, Default)]
pub struct OfProcess {
    sites: Sites<Habit>,
}

/// A forked child: the parent has the events, too.
pub(crate) fn start(cx: &mut Context<'_>, state: &mut OfProcess) {
    *state = OfProcess::default();
    for id in cx.mirror.instance_ids() {
        let spent = cx.mirror.instance_mut(id).map(|instance| core::mem::take(&mut instance.state.oneshot.spent));
        for (id, _) in spent.unwrap_or_default() {
            if let Some(registration) = cx.mirror.registration_mut(id) {
                registration.state.oneshot = OfRegistration::default();
            }
        }
    }
}

/// A registration was reported.
pub(crate) fn told(cx: &mut Context<'_>, id: RegistrationId, bits: u32) {
    let (now, tid) = (cx.stamp.ns, cx.stamp.tid);
    let Some(registration) = cx.mirror.registration_mut(id).filter(|registration| registration.is_oneshot()) else {
        return;
    };
    let oneshot = &mut registration.state.oneshot;
    let is_listed = oneshot.is_listed;
    let spent_ns = Some(now);
    *oneshot = OfRegistration { spent_ns, holder: Some(tid), is_listed, bits, ..OfRegistration::default() };
    if let Ok(thread) = cx.mirror.thread_mut(tid) {
        thread.state.oneshot.has_spent = true;
    }
}

/// A call.
pub(crate) fn call(cx: &mut Context<'_>, fd: i32) {
    let Some(thread) = cx.mirror.thread(cx.stamp.tid) else { return };
    let OfThread { has_spent, is_elsewhere } = thread.state.oneshot;
    if !has_spent || is_elsewhere || thread.batch.iter().any(|batched| batched.event.fd == fd) {
        return;
    }
    if let Ok(thread) = cx.mirror.thread_mut(cx.stamp.tid) {
        thread.state.oneshot.is_elsewhere = true;
    }
}

/// The mask of a registration is set anew.
pub(crate) fn modified(cx: &mut Context<'_>, state: &mut OfProcess, id: RegistrationId) {
    let (now, tid) = (cx.stamp.ns, cx.stamp.tid);
    let Some(registration) = cx.mirror.registration_mut(id) else { return };
    let (site, fd, is_listed) = (registration.site, registration.fd, registration.state.oneshot.is_listed);
    let before = core::mem::take(&mut registration.state.oneshot);
    registration.state.oneshot.is_listed = is_listed;
    if let (Some(spent), Some(habit)) = (before.spent_ns, state.sites.of(site, fd)) {
        let is_at_once = before.holder == Some(tid) && now.saturating_sub(spent) <= HABIT_NS;
        *(if is_at_once { &mut habit.at_once } else { &mut habit.otherwise }) += 1;
    }
}

/// A registration ends. One that was left ready ends of the program's own accord.
pub(crate) fn ended(cx: &mut Context<'_>, state: &mut OfProcess, id: RegistrationId) {
    let Some(registration) = cx.mirror.registration(id) else { return };
    if registration.state.oneshot.high_ns.is_some()
        && let Some(habit) = state.sites.of(registration.site, registration.fd)
    {
        habit.otherwise += 1;
    }
}

/// A thread begins to wait. Its last report is still in its batch.
pub(crate) fn before_wait(cx: &mut Context<'_>) {
    let (now, tid) = (cx.stamp.ns, cx.stamp.tid);
    let Some(thread) = cx.mirror.thread(tid).filter(|thread| thread.state.oneshot.has_spent) else { return };
    let is_clean = !thread.state.oneshot.is_elsewhere;
    let mut at = 0;
    while let Some(batched) = cx.mirror.thread(tid).and_then(|thread| thread.batch.get(at)) {
        at += 1;
        let Some((id, serial)) = batched.registration else { continue };
        let Some(registration) = cx.mirror.registration_mut(id).filter(|r| r.serial == serial) else { continue };
        let (instance, oneshot) = (registration.instance, &mut registration.state.oneshot);
        if oneshot.spent_ns.is_none() || oneshot.holder != Some(tid) {
            continue;
        }
        (oneshot.holder, oneshot.is_clean) = (None, is_clean);
        if oneshot.is_listed {
            continue;
        }
        let Some(of_instance) = cx.mirror.instance_mut(instance) else { continue };
        let spent = &mut of_instance.state.oneshot.spent;
        if spent.len() < MOST && spent.try_reserve(1).is_ok() {
            spent.push((id, serial));
            if let Some(registration) = cx.mirror.registration_mut(id) {
                registration.state.oneshot.is_listed = true;
            }
            cx.look_at(now + HABIT_NS);
        }
    }
    if let Ok(thread) = cx.mirror.thread_mut(tid) {
        thread.state.oneshot = OfThread::default();
    }
}

/// A thread sleeps on an instance, which has no event for it.
pub(crate) fn tick(cx: &mut Context<'_>, state: &mut OfProcess, room: &room::OfProcess, instance: FileId) {
    let Some(thread) = cx.mirror.thread(cx.stamp.tid) else { return };
    let is_clocked = sleep::is_clocked(cx, instance, thread.state.sleep.timeout_ns);
    look(cx, (state, room), instance, if is_clocked { HIGH_CLOCKED_NS } else { HIGH_NS });
}

/// The process ends: no clock of it runs any more.
pub(crate) fn exit(cx: &mut Context<'_>, state: &mut OfProcess, room: &room::OfProcess) {
    for instance in cx.mirror.instance_ids() {
        look(cx, (state, room), instance, HIGH_NS);
    }
}

/// Looks at the spent registrations of an instance.
fn look(cx: &mut Context<'_>, state: (&mut OfProcess, &room::OfProcess), instance: FileId, limit: u64) {
    let now = cx.stamp.ns;
    let mut at = 0;
    while let Some(&(id, serial)) = cx.mirror.instance(instance).and_then(|i| i.state.oneshot.spent.get(at)) {
        let registration = cx.mirror.registration_mut(id).filter(|r| r.serial == serial);
        if let Some(registration) = registration
            && let Some(spent) = registration.state.oneshot.spent_ns
        {
            at += 1;
            if registration.state.oneshot.grade == Some(Grade::Fault) {
                continue;
            }
            if is_high(cx, id, instance) {
                high(cx, (&mut *state.0, state.1), id, limit);
                cx.look_at(now + 2 * HABIT_NS);
            } else if let Some(registration) = cx.mirror.registration_mut(id) {
                registration.state.oneshot.high_ns = None;
                cx.look_at(now + ((now.saturating_sub(spent)) / 4).clamp(HABIT_NS, ms(2000)));
            }
            continue;
        }
        if let Some(registration) = cx.mirror.registration_mut(id).filter(|r| r.serial == serial) {
            registration.state.oneshot.is_listed = false;
        }
        if let Some(instance) = cx.mirror.instance_mut(instance) {
            instance.state.oneshot.spent.swap_remove(at);
        }
    }
}

/// Whether a registration is ready, while nothing is done about it.
fn is_high(cx: &mut Context<'_>, id: RegistrationId, instance: FileId) -> bool {
    // The thread that ends the process is not in a wait.
    if !sleep::all_others(cx, instance, Some(cx.stamp.tid)) {
        return false;
    }
    let Some(registration) = cx.mirror.registration(id) else { return false };
    let (fd, events, file) = (registration.fd, registration.events, registration.file);
    if registration.is_ghost || registration.state.oneshot.holder.is_some_and(|tid| tid != cx.stamp.tid) {
        return false;
    }
    // Room alone is always there.
    let wanted = events & if room::is_choked(cx, file) { IN | OUT } else { IN };
    wanted != 0 && cx.world.levels(fd, wanted).is_some_and(|levels| levels != 0)
}

/// Reports one that has been ready for long.
///
/// `numbers` of [`Rule::OneshotAsleep`]: when the event was reported (CLOCK_MONOTONIC, ns); how
/// often registrations of this site were armed again at once; how often otherwise; unread bytes, or
/// -1. `bits` is what was reported, `worst_ns` is for how long it has been ready.
fn high(cx: &mut Context<'_>, (state, room): (&mut OfProcess, &room::OfProcess), id: RegistrationId, limit: u64) {
    let now = cx.stamp.ns;
    let Some(registration) = cx.mirror.registration_mut(id) else { return };
    let oneshot = &mut registration.state.oneshot;
    let high_ns = *oneshot.high_ns.get_or_insert(now);
    let (spent_ns, known, is_clean) = (oneshot.spent_ns.unwrap_or(now), oneshot.grade, oneshot.is_clean);
    let (fd, site, file, bits) = (registration.fd, registration.site, registration.file, oneshot.bits);
    let Some(habit) = state.sites.of(site, fd).copied() else { return };
    if now.saturating_sub(high_ns) < HIGH_NS || habit.otherwise > 0 {
        return;
    }
    let kind = cx.mirror.file(file).map_or(epolyfill_facts::Kind::Unidentified, |file| file.kind);
    let unread = cx.world.unread(fd, kind);
    let is_fault = now.saturating_sub(high_ns) >= limit
        && is_clean
        && unread.is_some_and(|unread| unread > 0)
        && !room.is_any_choked()
        && is_habit(cx, habit);
    let grade = if is_fault { Grade::Fault } else { Grade::Suspect };
    let Some(registration) = cx.mirror.registration_mut(id) else { return };
    if known == Some(grade) {
        return;
    }
    registration.state.oneshot.grade = Some(grade);
    let unread = unread.and_then(|unread| i64::try_from(unread).ok()).unwrap_or(-1);
    let numbers = [spent_ns.cast_signed(), habit.at_once.into(), habit.otherwise.into(), unread, 0, 0];
    let Some(registration) = cx.mirror.registration(id) else { return };
    let count = u64::from(known.is_none());
    let worst_ns = now.saturating_sub(high_ns);
    let finding = Finding { bits, worst_ns, numbers, count, ..cx.finding(Rule::OneshotAsleep, grade, registration) };
    cx.report(finding);
}

/// Whether the program always arms again at once. Threads that do not wait can be at work on an
/// event; where there are any, it takes more to tell.
fn is_habit(cx: &mut Context<'_>, habit: Habit) -> bool {
    let waiting = cx.mirror.threads().count();
    let least = match cx.world.threads() {
        Some(1) => 1,
        Some(threads) if threads <= waiting + 1 => 3,
        _ => 8,
    };
    habit.at_once >= least
}

#[cfg(test)]
mod tests {
    use epolyfill_facts::mask::{IN, ONESHOT};
    use epolyfill_facts::{Call, Fact, Op};

    use crate::rules::testing::Story;
    use crate::{Grade, Rule};

    fn request(story: &mut Story, arms: bool) {
        story.waits(3, 2_000_000_000);
        story.pass_ms(1);
        story.reports(3, &[(5, IN)]);
        story.call(Call::Read, 5, 64, 5);
        if arms {
            story.control(3, Op::Mod, 5, IN | ONESHOT, 0);
        }
    }

    fn story() -> Story {
        let mut story = Story::new();
        story.world.threads = Some(1);
        story.create(3);
        story.add(3, 5, IN | ONESHOT);
        story
    }

    fn second_half(story: &mut Story) {
        story.pass_ms(100);
        story.world.levels.insert(5, IN);
        story.world.unread.insert(5, 5);
        story.pass_ms(1900);
    }

    #[test]
    fn oneshot_lost_bad_is_a_fault_at_exit() {
        let mut story = story();
        request(&mut story, true);
        request(&mut story, false);
        story.waits(3, 2_000_000_000);
        second_half(&mut story);
        assert_eq!(story.findings(), [(Rule::OneshotAsleep, Grade::Suspect)]);
        story.reports(3, &[]);
        story.fact(Fact::Exit { status: 1 });
        assert_eq!(story.findings(), [(Rule::OneshotAsleep, Grade::Fault)]);
        assert_eq!(story.auditor.findings()[0].count, 1);
    }

    #[test]
    fn one_that_sleeps_without_a_clock_is_a_fault_after_a_second() {
        let mut story = story();
        for arms in [true, true, true, false] {
            request(&mut story, arms);
        }
        story.waits(3, -1);
        second_half(&mut story);
        assert_eq!(story.findings(), [(Rule::OneshotAsleep, Grade::Fault)]);
    }

    #[test]
    fn oneshot_lost_good_is_no_finding() {
        let mut story = story();
        request(&mut story, true);
        request(&mut story, true);
        story.waits(3, 2_000_000_000);
        second_half(&mut story);
        story.reports(3, &[]);
        story.fact(Fact::Exit { status: 1 });
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn arming_elsewhere_mutes_a_site_and_other_work_is_no_proof() {
        let mut pool = story();
        request(&mut pool, false);
        pool.waits(3, -1);
        pool.tid = 2;
        pool.control(3, Op::Mod, 5, IN | ONESHOT, 0);
        pool.tid = 1;
        pool.reports(3, &[(5, IN)]);
        pool.waits(3, -1);
        second_half(&mut pool);
        assert_eq!(pool.findings(), []);
        let mut backend = story();
        for arms in [true, true, true, false] {
            request(&mut backend, arms);
        }
        backend.call(Call::Write, 7, 5, 5);
        backend.waits(3, -1);
        second_half(&mut backend);
        backend.pass_ms(5000);
        assert_eq!(backend.findings(), [(Rule::OneshotAsleep, Grade::Suspect)]);
    }

    #[test]
    fn a_worker_that_holds_the_event_is_awake() {
        let mut story = story();
        for arms in [true, true, true, false] {
            request(&mut story, arms);
        }
        story.tid = 2;
        story.waits(3, -1);
        second_half(&mut story);
        story.pass_ms(5000);
        assert_eq!(story.findings(), []);
    }
}
