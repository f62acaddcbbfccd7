//! R22: nearly every wait fills its array at once, so that more is ready than the program takes. A
//! note: each event comes in its turn, but late. The array may be small on purpose.

use epolyfill_facts::Fact;

use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};

/// The waits of a thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct OfThread {
    epfd: i32,
    max: i32,
    /// Waits with events.
    waits: u64,
    /// Those that returned at once with a full array.
    full: u64,
    /// Since when all do, and the longest such time.
    since_ns: Option<u64>,
    longest_ns: u64,
}

/// As many waits are judged together, and as many of a hundred are nearly all.
const WAITS: u64 = 1024;
const PERCENT: u64 = 90;
/// A wait that takes longer has slept.
const AT_ONCE_NS: u64 = 50_000;

/// `count`: the full waits. `numbers`: the size of the array; the waits with events; those that
/// filled it; the registrations. `worst_ns`: how long the queue was not emptied.
pub(crate) fn after_wait(cx: &mut Context<'_>, report: &Fact<'_>) {
    let Fact::Report { epfd, max, began_ns, errno: 0, events, .. } = *report else { return };
    if events.is_empty() {
        return;
    }
    let now = cx.stamp.ns;
    let instance = cx.mirror.instance_of(epfd).and_then(|id| cx.mirror.instance(id));
    let registrations = instance.map_or(0, |instance| instance.registrations.len());
    let is_full = usize::try_from(max).is_ok_and(|max| events.len() >= max && registrations > max)
        && now.saturating_sub(began_ns) < AT_ONCE_NS;
    let Ok(thread) = cx.mirror.thread_mut(cx.stamp.tid) else { return };
    let batches = &mut thread.state.batches;
    if (batches.epfd, batches.max) != (epfd, max) {
        *batches = OfThread { epfd, max, ..OfThread::default() };
    }
    batches.waits += 1;
    batches.full += u64::from(is_full);
    let since_ns = if is_full { *batches.since_ns.get_or_insert(began_ns) } else { now };
    batches.since_ns = batches.since_ns.filter(|_| is_full);
    batches.longest_ns = batches.longest_ns.max(now.saturating_sub(since_ns));
    if batches.waits < WAITS {
        return;
    }
    let OfThread { waits, full, longest_ns, since_ns, .. } = *batches;
    *batches = OfThread { epfd, max, since_ns, ..OfThread::default() };
    if full * 100 > waits * PERCENT {
        let numbers = [i64::from(max), waits.cast_signed(), full.cast_signed(), registrations as i64, 0, 0];
        let note = Finding::new(Rule::FullBatch, Grade::Note);
        cx.report(Finding { fd: epfd, epfd, count: full, worst_ns: longest_ns, numbers, ..note });
    }
}

#[cfg(test)]
mod tests {
    use epolyfill_facts::mask::IN;
    use epolyfill_facts::{Event, Fact, Form, NO_FD, Reason};
    use std::vec::Vec;

    use crate::rules::testing::Story;
    use crate::{Grade, Rule};

    /// Waits with an array of eight, each of which returns so many events after some time.
    fn waits(events: u64, took_ns: u64) -> Story {
        let mut story = Story::new();
        story.create(3);
        (10..30).for_each(|fd| story.add(3, fd, IN));
        let event = |data| Event { bits: IN, fd: NO_FD, data, reason: Reason::Unknown };
        let events: Vec<Event> = (10..10 + events).map(event).collect();
        for _ in 0..1100 {
            story.waits(3, -1);
            let began_ns = story.ns;
            story.ns += took_ns;
            let (form, mask, errno, events) = (Form::EpollWait, None, 0, &events[..]);
            story.fact(Fact::Report { form, mask, epfd: 3, max: 8, timeout_ns: -1, began_ns, errno, events });
        }
        story
    }

    #[test]
    fn arrays_that_are_full_at_once_are_a_note() {
        let story = waits(8, 0);
        assert_eq!(story.findings(), [(Rule::FullBatch, Grade::Note)]);
        assert!(story.auditor.findings()[0].worst_ns > 2_000_000);
    }

    #[test]
    fn arrays_with_room_and_waits_that_slept_are_not_noted() {
        assert_eq!((waits(7, 0).findings(), waits(8, 2_000_000).findings()), (Default::default(), Default::default()));
    }
}
