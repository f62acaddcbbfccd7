//! Calls that block the loop.

use epolyfill_facts::flags::{MSG_DONTWAIT, RWF_NOWAIT};
use epolyfill_facts::{Call, Class, Fact, Kind};

use super::{away, ms};
use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};

/// Whether the file was asked for O_NONBLOCK.
#[derive(Debug, Default)]
pub struct OfFile {
    is_asked: bool,
}

/// R12: a call takes this long.
const BLOCKED_NS: u64 = ms(10);
/// The first call for a reported event, which finds what was reported.
const FIRST_NS: u64 = ms(100);

/// R12, and the note `blocking-edge`. Time in the run queue does not count, nor does a blocked call
/// in a loop that watches nothing else. `worst_ns`: the time of the call. `numbers`: that time; the
/// number of the call; the time that was surely not spent in the run queue, -1 if not known, and
/// then it is a suspect. The note has the number of the call alone.
pub(crate) fn call(cx: &mut Context<'_>, fact: &Fact<'_>) {
    let Fact::Call { call, fd, flags, began_ns, .. } = *fact else { return };
    if !matches!(call.class(), Class::Read | Class::Accept | Class::Write) {
        return;
    }
    let no_wait = if call == Call::Preadv2 || call == Call::Pwritev2 { RWF_NOWAIT } else { MSG_DONTWAIT };
    if flags & no_wait != 0 {
        return;
    }
    let took = cx.stamp.ns.saturating_sub(began_ns);
    if took >= BLOCKED_NS {
        blocked(cx, call, fd, took);
    }
    if call.class() != Class::Read {
        return;
    }
    let Some(id) = cx.mirror.file_of(fd) else { return };
    let Some(file) = cx.mirror.file_mut(id) else { return };
    let is_asked = core::mem::replace(&mut file.state.blocking.is_asked, true);
    if is_asked || matches!(file.kind, Kind::Eventfd | Kind::EventfdSemaphore | Kind::Timerfd) {
        return;
    }
    let mut registrations = cx.mirror.registrations_of(fd).iter().filter_map(|id| cx.mirror.registration(*id));
    let edge = registrations.find(|one| one.is_edge());
    let Some(finding) = edge.map(|one| cx.finding(Rule::BlockingEdge, Grade::Note, one)) else { return };
    if cx.world.is_nonblocking(fd) == Some(false) {
        cx.report(Finding { numbers: [call as i64, 0, 0, 0, 0, 0], ..finding });
    }
}

fn blocked(cx: &mut Context<'_>, call: Call, fd: i32, took: u64) {
    let Some(thread) = cx.mirror.thread(cx.stamp.tid) else { return };
    let is_first = thread.unhandled(fd).is_some();
    let Some(instance) = thread.instance else { return };
    let has_others = cx.mirror.instance(instance).is_some_and(|instance| instance.registrations.len() > 1);
    let registration = cx.mirror.find(instance, fd).and_then(|id| cx.mirror.registration(id));
    let Some(registration) = registration.filter(|_| has_others && (!is_first || took >= FIRST_NS)) else { return };
    let finding = cx.finding(Rule::Blocked, Grade::Suspect, registration);
    if cx.world.is_nonblocking(fd) != Some(false) {
        return;
    }
    let outside_ns = away::outside_run_queue(cx, took).map(|(outside_ns, _)| outside_ns);
    if outside_ns.is_some_and(|ns| ns < BLOCKED_NS) {
        return;
    }
    let grade = if outside_ns.is_some() { Grade::Fault } else { Grade::Suspect };
    let numbers = [took.cast_signed(), call as i64, outside_ns.map_or(-1, u64::cast_signed), 0, 0, 0];
    cx.report(Finding { grade, worst_ns: took, numbers, ..finding });
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Story;
    use crate::{Grade, Rule, ThreadTimes};
    use epolyfill_facts::mask::{EDGE, IN};
    use epolyfill_facts::{Call, Kind};

    const BLOCKED: (Rule, Grade) = (Rule::Blocked, Grade::Fault);
    const NOTE: (Rule, Grade) = (Rule::BlockingEdge, Grade::Note);

    fn two_clients(is_blocking: bool) -> Story {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 4, IN | EDGE);
        story.add(3, 5, IN | EDGE);
        if is_blocking {
            story.world.blocking.extend([4, 5]);
        }
        story.waits(3, -1);
        story.reports(3, &[(4, IN)]);
        story.call(Call::Read, 4, 1, 1);
        story
    }

    #[test]
    fn a_second_read_that_blocks_is_a_fault_and_o_nonblock_is_right() {
        let mut story = two_clients(true);
        story.call_ms(Call::Read, 4, 1, 1, 600);
        assert_eq!(story.findings(), [NOTE, BLOCKED]);
        let mut story = two_clients(false);
        story.call_ms(Call::Read, 4, 1, -11, 600);
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn a_read_that_waited_for_a_processor_did_not_block() {
        let mut story = two_clients(true);
        story.world.times.insert(1, ThreadTimes { cpu_ns: 0, run_queue_ns: 55_000_000 });
        story.call_ms(Call::Read, 4, 1, 1, 60);
        assert_eq!(story.findings(), [NOTE]);
    }

    #[test]
    fn a_blocking_eventfd_is_not_noted() {
        let mut story = Story::new();
        story.world.kinds.insert(4, Kind::Eventfd);
        story.world.blocking.push(4);
        story.create(3);
        story.add(3, 4, IN | EDGE);
        story.waits(3, -1);
        story.reports(3, &[(4, IN)]);
        story.call(Call::Read, 4, 8, 8);
        assert_eq!(story.findings(), []);
    }
}
