//! Events that a close within the same batch made stale.

use arrayvec::ArrayVec;
use epolyfill_facts::errno::{EAGAIN, EBADF};
use epolyfill_facts::{Class, Fact, errno};

use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};

/// The numbers with unhandled events that the thread has closed since its report.
#[derive(Debug, Default)]
pub struct OfThread {
    closed: ArrayVec<Stale, 8>,
}

#[derive(Clone, Copy, Debug)]
struct Stale {
    fd: i32,
    bits: u32,
    position: usize,
    finding: Finding,
}

/// Notes an unhandled event of a number that is about to be closed.
pub(crate) fn close(cx: &mut Context<'_>, fd: i32) {
    let Some(thread) = cx.mirror.thread(cx.stamp.tid) else { return };
    let Some((position, batched)) = thread.unhandled(fd) else { return };
    let bits = batched.event.bits;
    let Some(registration) = batched.registration.and_then(|id| cx.mirror.still(id)) else { return };
    let finding = cx.finding(Rule::StaleEvent, Grade::Suspect, registration);
    if let Ok(thread) = cx.mirror.thread_mut(cx.stamp.tid) {
        let _full = thread.state.stale.closed.try_push(Stale { fd, bits, position, finding });
    }
}

/// R8: a fault if the number is still closed. If the number has a new owner, a program that reads
/// each new connection at once shows the same facts: a suspect. `numbers`: the place of the event
/// in the batch, from 1; the events of the batch; the errno.
pub(crate) fn call(cx: &mut Context<'_>, call: &Fact<'_>) {
    let Fact::Call { call, fd, answer, .. } = *call else { return };
    let Ok(thread) = cx.mirror.thread_mut(cx.stamp.tid) else { return };
    let of_batch = thread.batch.len();
    let Some(at) = thread.state.stale.closed.iter().position(|stale| stale.fd == fd) else { return };
    let Some(stale) = thread.state.stale.closed.pop_at(at) else { return };
    let grade = match (call.class(), errno::of(answer)) {
        (Class::Read | Class::Accept | Class::Write, EBADF) if cx.world.is_open(fd) != Some(true) => Grade::Fault,
        (Class::Read, EAGAIN) => Grade::Suspect,
        _ => return,
    };
    let numbers = [(stale.position + 1).cast_signed() as i64, of_batch as i64, -answer, 0, 0, 0];
    cx.report(Finding { grade, bits: stale.bits, numbers, ..stale.finding });
}

pub(crate) fn before_wait(cx: &mut Context<'_>) {
    if let Ok(thread) = cx.mirror.thread_mut(cx.stamp.tid) {
        thread.state.stale.closed.clear();
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Story;
    use crate::{Grade, Rule};
    use epolyfill_facts::Call;
    use epolyfill_facts::mask::IN;

    fn closed_in_a_batch() -> Story {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 4, IN);
        story.add(3, 5, IN);
        story.waits(3, -1);
        story.reports(3, &[(4, IN), (5, IN)]);
        story.call(Call::Read, 4, 64, 4);
        story.close(5);
        story
    }

    #[test]
    fn a_read_of_a_number_that_an_earlier_handler_closed_is_a_fault() {
        let mut story = closed_in_a_batch();
        story.world.closed.push(5);
        story.call(Call::Read, 5, 64, -9);
        assert_eq!(story.findings(), [(Rule::StaleEvent, Grade::Fault)]);
    }

    #[test]
    fn a_first_read_of_the_successor_that_finds_nothing_is_a_suspect() {
        let mut story = closed_in_a_batch();
        story.call(Call::Read, 5, 64, -11);
        assert_eq!(story.findings(), [(Rule::StaleEvent, Grade::Suspect)]);
    }

    #[test]
    fn a_close_alone_and_a_handled_event_are_right() {
        let mut story = closed_in_a_batch();
        story.close(4);
        story.world.closed.extend([4, 5]);
        story.call(Call::Read, 4, 64, -9);
        story.waits(3, -1);
        story.reports(3, &[]);
        story.call(Call::Read, 5, 64, -9);
        assert_eq!(story.findings(), []);
    }
}
