//! R20: control calls that change nothing, or that are more than the events need.
//!
//! A MOD with the mask and the data that a registration has is a system call for nothing, unless
//! the registration is edge-triggered or EPOLLONESHOT: then it looks for the level anew, or arms. A
//! note, from some cases on.

use epolyfill_facts::mask::{EDGE, ONESHOT};
use epolyfill_facts::{Fact, Op};

use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};

/// The control calls of an instance.
#[derive(Clone, Copy, Debug, Default)]
pub struct OfInstance {
    mods: u64,
    idle: u64,
    controls: u64,
    events: u64,
    /// The idle ones, and the calls, that are reported.
    said: (u64, u64),
}

/// As many calls in vain are worth a note, and as many more another.
const IDLE: u64 = 100;
/// As many control calls are compared with the events.
const CONTROLS: u64 = 1000;

/// A control call that succeeded; the mirror is as before it.
///
/// `numbers`: 0 for calls that change nothing, 1 for more than two for an event; the MODs of the
/// instance; those that changed nothing; all control calls; the events. Of the former `fd` and the
/// site are those of the last one.
pub(crate) fn control(cx: &mut Context<'_>, control: &Fact<'_>) {
    let Fact::Control { epfd, op, fd, events, data, errno: 0, .. } = *control else { return };
    let Some(id) = cx.mirror.instance_of(epfd) else { return };
    let is_mod = Op::from_number(op) == Some(Op::Mod);
    let known = cx.mirror.find(id, fd).and_then(|id| cx.mirror.registration(id)).filter(|_| is_mod);
    let is_idle = known
        .is_some_and(|one| (one.events, one.data) == (events, data) && events & (EDGE | ONESHOT) == 0 && !one.is_spent);
    let finding = known.filter(|_| is_idle).map(|one| cx.finding(Rule::IdleControl, Grade::Note, one));
    let Some(instance) = cx.mirror.instance_mut(id) else { return };
    let of = &mut instance.state.controls;
    (of.controls, of.mods, of.idle) = (of.controls + 1, of.mods + u64::from(is_mod), of.idle + u64::from(is_idle));
    let numbers = |which: i64| {
        let [mods, idle, controls, events] = [of.mods, of.idle, of.controls, of.events].map(u64::cast_signed);
        [which, mods, idle, controls, events, 0]
    };
    if let Some(finding) = finding.filter(|_| of.idle - of.said.0 >= IDLE) {
        let (count, numbers) = (of.idle - of.said.0, numbers(0));
        of.said.0 = of.idle;
        cx.report(Finding { count, numbers, ..finding });
    } else if of.controls - of.said.1 >= CONTROLS {
        let (is_many, count, numbers) = (of.controls > 2 * of.events, of.controls - of.said.1, numbers(1));
        of.said.1 = of.controls;
        if is_many {
            let note = Finding::new(Rule::IdleControl, Grade::Note);
            cx.report(Finding { fd: epfd, epfd, count, numbers, ..note });
        }
    }
}

/// A wait returned.
pub(crate) fn after_wait(cx: &mut Context<'_>, report: &Fact<'_>) {
    let Fact::Report { epfd, events, .. } = *report else { return };
    if let Some(instance) = cx.mirror.instance_of(epfd).and_then(|id| cx.mirror.instance_mut(id)) {
        instance.state.controls.events += events.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use epolyfill_facts::Op;
    use epolyfill_facts::mask::{EDGE, IN, ONESHOT, OUT};

    use crate::rules::testing::Story;
    use crate::{Grade, Rule};

    fn modified(times: u32, events: impl Fn(u32) -> u32) -> Story {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 5, events(1));
        for time in 0..times {
            story.control(3, Op::Mod, 5, events(time), 0);
            story.waits(3, -1);
            story.reports(3, &[(5, IN)]);
        }
        story
    }

    #[test]
    fn a_hundred_calls_that_change_nothing_are_a_note() {
        assert_eq!(modified(99, |_| IN).findings(), []);
        let story = modified(250, |_| IN);
        assert_eq!(story.findings(), [(Rule::IdleControl, Grade::Note)]);
        assert_eq!(story.auditor.findings()[0].count, 200);
    }

    #[test]
    fn arming_and_changing_are_no_waste() {
        for story in [
            modified(500, |_| IN | ONESHOT),
            modified(500, |_| IN | EDGE),
            modified(500, |time| if time % 2 == 0 { IN | OUT } else { IN }),
        ] {
            assert_eq!(story.findings(), []);
        }
    }

    #[test]
    fn more_than_two_calls_for_an_event_are_a_note() {
        let mut story = modified(300, |time| if time % 2 == 0 { IN | OUT } else { IN });
        for time in 0..900 {
            story.control(3, Op::Mod, 5, if time % 2 == 0 { IN | OUT } else { IN }, 0);
        }
        assert_eq!(story.findings(), [(Rule::IdleControl, Grade::Note)]);
        assert_eq!(story.auditor.findings()[0].numbers[0], 1);
    }
}
