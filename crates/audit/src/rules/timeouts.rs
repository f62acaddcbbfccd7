//! Time-outs that were cut off to whole milliseconds: the rest is waited with 0, round and round.

use arrayvec::ArrayVec;
use epolyfill_facts::Fact;

use super::ms;
use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};

/// The falling time-outs of a thread.
#[derive(Debug, Default)]
pub struct OfThread {
    epfd: i32,
    /// The wait that timed out: when it should have, and when it did.
    expiry: Option<(u64, u64)>,
    timeout_ns: u64,
    /// The waits with 0 since then.
    zeros: u32,
    zeros_since_ns: u64,
    ended_ns: u64,
    /// How late each wait timed out, and how late after its due time the last wait with 0 ended.
    late: ArrayVec<u64, CASES>,
    end: ArrayVec<u64, CASES>,
    waits: u32,
}

/// R11: the cases that are judged together.
const CASES: usize = 16;
/// Waits with 0 in a case.
const ZEROS: u32 = 3;
/// Waits with 0 in a case, on average, that are suspect.
const MANY: u32 = 50;

/// R11. Zero time-outs prove nothing: loops have other reasons to poll, such as callbacks that are
/// due, or spinning before a sleep. What proves a deadline within the millisecond is that the waits
/// with 0 end at the same time after the first wait's begin, however late that wait woke: the end
/// varies by less than a quarter of what the wake-ups vary. With a varying deadline it is a suspect.
/// `count` is of time-outs. `numbers`: waits with 0 in them all; the time-out of the wait before, in
/// nanoseconds; the part of a millisecond that was cut off, in nanoseconds.
pub(crate) fn after_wait(cx: &mut Context<'_>, report: &Fact<'_>) {
    let Fact::Report { epfd, timeout_ns, began_ns, errno, events, .. } = *report else { return };
    let now = cx.stamp.ns;
    let Ok(thread) = cx.mirror.thread_mut(cx.stamp.tid) else { return };
    let timeouts = &mut thread.state.timeouts;
    let is_empty = errno == 0 && events.is_empty();
    let Ok(timeout) = u64::try_from(timeout_ns) else {
        timeouts.expiry = None;
        return;
    };
    if timeout != 0 {
        let finding = complete(timeouts);
        timeouts.expiry = is_empty.then_some((began_ns + timeout, now));
        if (timeouts.timeout_ns, timeouts.epfd) != (timeout, epfd) {
            (timeouts.timeout_ns, timeouts.epfd) = (timeout, epfd);
            timeouts.late.clear();
            timeouts.end.clear();
            timeouts.waits = 0;
        }
        if let Some(finding) = finding {
            cx.report(finding);
        }
        return;
    }
    if timeouts.zeros == 0 {
        timeouts.zeros_since_ns = began_ns;
    }
    if !is_empty || now - timeouts.zeros_since_ns >= ms(1) {
        (timeouts.expiry, timeouts.zeros) = (None, 0);
    } else if timeouts.expiry.is_some() {
        (timeouts.zeros, timeouts.ended_ns) = (timeouts.zeros + 1, now);
    }
}

/// A call ends a case.
pub(crate) fn call(cx: &mut Context<'_>) {
    let Ok(thread) = cx.mirror.thread_mut(cx.stamp.tid) else { return };
    let finding = complete(&mut thread.state.timeouts);
    if let Some(finding) = finding {
        cx.report(finding);
    }
}

/// Ends a case, and judges the cases if there are enough.
fn complete(timeouts: &mut OfThread) -> Option<Finding> {
    let zeros = core::mem::take(&mut timeouts.zeros);
    let (due, woke) = timeouts.expiry.take().filter(|_| zeros >= ZEROS)?;
    let end = timeouts.ended_ns.checked_sub(due).filter(|end| *end < ms(1) + ms(1) / 20)?;
    timeouts.late.try_push(woke.saturating_sub(due)).ok()?;
    timeouts.end.try_push(end).ok()?;
    timeouts.waits += zeros;
    if !timeouts.late.is_full() {
        return None;
    }
    let (late, _) = spread(&mut timeouts.late);
    let (spread, middle) = spread(&mut timeouts.end);
    let waits = core::mem::take(&mut timeouts.waits);
    let grade = if spread * 4 <= late {
        Grade::Fault
    } else if waits / CASES as u32 >= MANY {
        Grade::Suspect
    } else {
        return None;
    };
    let numbers = [waits.into(), timeouts.timeout_ns.cast_signed(), middle.cast_signed(), 0, 0, 0];
    let epfd = timeouts.epfd;
    Some(Finding { fd: epfd, epfd, count: CASES as u64, numbers, ..Finding::new(Rule::TimeoutTruncated, grade) })
}

/// The difference of the quartiles, and the median. Empties the list.
fn spread(list: &mut ArrayVec<u64, CASES>) -> (u64, u64) {
    list.sort_unstable();
    let at = |quarter: usize| list.get(list.len() * quarter / 4).copied().unwrap_or(0);
    let result = (at(3) - at(1), at(2));
    list.clear();
    result
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Story;
    use crate::{Grade, Rule};

    /// A wait of 2 ms that is late by some time, and waits with 0, of which the last ends as given.
    fn case(story: &mut Story, late_ns: u64, end_ns: u64, zeros: u64) {
        story.waits(3, 2_000_000);
        let began_ns = story.ns;
        story.ns = began_ns + 2_000_000 + late_ns - 1000;
        story.reports_since(3, &[], 2_000_000, began_ns);
        let step = (began_ns + 2_000_000 + end_ns - story.ns) / zeros;
        for _ in 0..zeros {
            story.waits(3, 0);
            let began_ns = story.ns;
            story.ns += step - 2000;
            story.reports_since(3, &[], 0, began_ns);
        }
    }

    #[test]
    fn waits_without_time_that_end_by_the_clock_are_a_fault() {
        let mut story = Story::new();
        story.create(3);
        for round in 0..20 {
            case(&mut story, 60_000 + round * 7919 % 50_000, 900_000 + round * 104_729 % 500, 100);
        }
        assert_eq!(story.findings(), [(Rule::TimeoutTruncated, Grade::Fault)]);
    }

    #[test]
    fn waits_without_time_that_end_after_some_rounds_are_right() {
        let mut story = Story::new();
        story.create(3);
        for round in 0..100 {
            let late = 60_000 + round * 7919 % 50_000;
            case(&mut story, late, late + 200_000 + round * 104_729 % 500, 40);
        }
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn a_loop_that_always_polls_and_one_that_rounds_up_are_right() {
        let mut story = Story::new();
        story.create(3);
        for _ in 0..1000 {
            story.waits(3, 0);
            let began_ns = story.ns;
            story.reports_since(3, &[], 0, began_ns);
        }
        for _ in 0..100 {
            story.waits(3, 3_000_000);
            let began_ns = story.ns;
            story.pass_ms(3);
            story.reports_since(3, &[], 3_000_000, began_ns);
        }
        assert_eq!(story.findings(), []);
    }
}
