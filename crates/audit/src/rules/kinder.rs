//! `kinder-than-linux`: the program goes on only because the library reports more than Linux does.
//!
//! The library cannot count what is queued in some kinds of files. It reports the rest once more
//! after a read of a part, or again and again (docs/differences.md). A program that reads a part for
//! each edge, and leaves the rest, goes on by these reports; on Linux's own epoll it sleeps until
//! more arrives. Whether something arrived with such a report is not known either, and a program can
//! have a clock of its own to go on by: a suspect after some cases, if it never went on by itself.
//! Nor is a socket judged that the program writes to: a read from a netlink socket makes the kernel
//! go on with its answer, which is an arrival.
//!
//! Where the library counts, R1 judges. What Linux does after a fork or an exec, R6 and R18 report.

use epolyfill_facts::mask::INPUT;
use epolyfill_facts::{Class, Fact, Kind, Poller, errno};

use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};
use crate::mirror::RegistrationId;

/// An edge-triggered registration for input.
#[derive(Debug, Default)]
pub struct OfRegistration {
    /// A read took something, and none since has found nothing.
    took: bool,
    /// It was readable when its thread went to sleep.
    left: bool,
    /// It was reported since.
    is_again: bool,
    cases: u32,
    /// The program went on by itself, or it asks, and reads answers.
    is_muted: bool,
}

/// As many cases are no chance.
const CASES: u32 = 3;

/// Whether the library reports what is left of input of this kind.
pub(crate) const fn is_repeated(kind: Kind) -> bool {
    matches!(kind, Kind::Netlink | Kind::Socket | Kind::Signalfd | Kind::Other)
}

fn is_judged(cx: &Context<'_>, id: RegistrationId) -> bool {
    cx.poller == Poller::Library
        && cx.mirror.registration(id).is_some_and(|one| {
            let kind = cx.mirror.file(one.file).map(|file| file.kind);
            one.is_edge() && !one.is_oneshot() && !one.is_ghost && kind.is_some_and(is_repeated)
        })
}

/// A registration was reported.
pub(crate) fn told(cx: &mut Context<'_>, id: RegistrationId, bits: u32) {
    if bits & INPUT == 0 || !is_judged(cx, id) {
        return;
    }
    if let Some(registration) = cx.mirror.registration_mut(id) {
        let kinder = &mut registration.state.kinder;
        kinder.is_again = core::mem::take(&mut kinder.left);
        kinder.took = false;
    }
}

/// A read. `numbers`: the reads of what was left, each after another report.
pub(crate) fn call(cx: &mut Context<'_>, fd: i32, call: &Fact<'_>) {
    let Fact::Call { call, answer, flags, .. } = *call else { return };
    let is_write = call.class() == Class::Write;
    if cx.poller != Poller::Library || !(is_write || call.class() == Class::Read) {
        return;
    }
    let mut at = 0;
    while let Some(&id) = cx.mirror.registrations_of(fd).get(at) {
        at += 1;
        let Some(registration) = cx.mirror.registration_mut(id) else { continue };
        let kinder = &mut registration.state.kinder;
        kinder.is_muted |= is_write || (kinder.left && answer > 0);
        if is_write || (answer > 0 && !call.takes(flags)) {
            continue;
        }
        kinder.left = false;
        let is_case = core::mem::take(&mut kinder.is_again) && answer > 0;
        kinder.took = answer > 0 || (kinder.took && errno::of(answer) == errno::EINTR);
        kinder.cases += u32::from(is_case);
        let (cases, is_muted) = (kinder.cases, kinder.is_muted);
        if is_case && cases >= CASES && !is_muted {
            let Some(registration) = cx.mirror.registration(id) else { continue };
            let finding = cx.finding(Rule::Kinder, Grade::Suspect, registration);
            let count = if cases == CASES { u64::from(CASES) } else { 1 };
            cx.report(Finding { bits: INPUT, count, numbers: [cases.into(), 0, 0, 0, 0, 0], ..finding });
        }
    }
}

/// A thread begins to wait. Its last report is still in its batch.
pub(crate) fn before_wait(cx: &mut Context<'_>, sleeps: bool) {
    if cx.poller != Poller::Library || !sleeps {
        return;
    }
    let mut at = 0;
    while let Some(batched) = cx.mirror.thread(cx.stamp.tid).and_then(|thread| thread.batch.get(at)) {
        at += 1;
        let Some(entry) = batched.registration else { continue };
        let Some(registration) = cx.mirror.still(entry).filter(|one| one.state.kinder.took) else { continue };
        let fd = registration.fd;
        let is_left = is_judged(cx, entry.0) && cx.world.levels(fd, INPUT).is_some_and(|levels| levels != 0);
        if let Some(registration) = cx.mirror.registration_mut(entry.0).filter(|_| is_left) {
            registration.state.kinder.left = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use epolyfill_facts::mask::{EDGE, IN};
    use epolyfill_facts::{Call, Fact, Kind, Poller, Start};

    use crate::rules::testing::Story;
    use crate::{Grade, Rule};

    /// A loop over netlink socket 5, whose queue is never empty.
    fn netlink(poller: Poller) -> Story {
        let mut story = Story::new();
        story.fact(Fact::Start(Start { pid: 1, ppid: 0, is_fork: false, wall_offset_ns: 0, poller }));
        story.world.kinds.insert(5, Kind::Netlink);
        story.world.levels.insert(5, IN);
        story.create(3);
        story.add(3, 5, IN | EDGE);
        story
    }

    fn round(story: &mut Story, read: bool, drains: bool) {
        story.waits(3, -1);
        story.reports(3, &[(5, IN)]);
        if read {
            story.call(Call::Recvmsg, 5, 64, 20);
        }
        if drains {
            story.call(Call::Recvmsg, 5, 64, -11);
        }
    }

    #[test]
    fn one_message_for_each_report_of_a_queue_is_a_suspect() {
        let mut story = netlink(Poller::Library);
        for _ in 0..3 {
            round(&mut story, true, false);
        }
        assert_eq!(story.findings(), []);
        round(&mut story, true, false);
        assert_eq!(story.findings(), [(Rule::Kinder, Grade::Suspect)]);
        assert_eq!(story.auditor.findings()[0].count, 3);
    }

    #[test]
    fn on_the_kernels_epoll_nothing_is_kinder() {
        let mut story = netlink(Poller::Kernel);
        for _ in 0..9 {
            round(&mut story, true, false);
        }
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn a_queue_that_is_drained_and_one_that_is_empty_are_right() {
        let mut drained = netlink(Poller::Library);
        let mut empty = netlink(Poller::Library);
        empty.world.levels.clear();
        for _ in 0..9 {
            round(&mut drained, true, true);
            round(&mut empty, true, false);
        }
        assert_eq!((drained.findings(), empty.findings()), (Default::default(), Default::default()));
    }

    #[test]
    fn answers_of_the_kernel_that_a_read_makes_come_are_right() {
        let mut story = netlink(Poller::Library);
        story.call(Call::Sendto, 5, 20, 20);
        for _ in 0..9 {
            round(&mut story, true, false);
        }
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn a_program_that_goes_on_by_itself_is_right() {
        let mut story = netlink(Poller::Library);
        round(&mut story, true, false);
        story.waits(3, 1_000_000);
        story.reports(3, &[]);
        story.call(Call::Recvmsg, 5, 64, 20);
        for _ in 0..9 {
            round(&mut story, true, false);
        }
        assert_eq!(story.findings(), []);
    }
}
