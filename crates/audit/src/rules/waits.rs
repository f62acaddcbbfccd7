//! Waits that fail.

use epolyfill_facts::Fact;
use epolyfill_facts::errno::EINTR;

use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};

/// The failing waits of a thread.
#[derive(Debug, Default)]
pub struct OfThread {
    errno: i32,
    epfd: i32,
    in_a_row: u32,
}

/// R10: this many waits in a row fail with the same errno other than EINTR.
const FAILING: u32 = 64;

/// `numbers`: the errno.
pub(crate) fn after_wait(cx: &mut Context<'_>, report: &Fact<'_>) {
    let Fact::Report { epfd, errno, .. } = *report else { return };
    let Ok(thread) = cx.mirror.thread_mut(cx.stamp.tid) else { return };
    let waits = &mut thread.state.waits;
    if errno == 0 || errno == EINTR {
        waits.in_a_row = 0;
        return;
    }
    if (waits.errno, waits.epfd) != (errno, epfd) {
        *waits = OfThread { errno, epfd, in_a_row: 0 };
    }
    waits.in_a_row = waits.in_a_row.saturating_add(1);
    if waits.in_a_row >= FAILING && waits.in_a_row.is_multiple_of(FAILING) {
        let numbers = [i64::from(errno), 0, 0, 0, 0, 0];
        let count = u64::from(FAILING);
        cx.report(Finding { fd: epfd, epfd, count, numbers, ..Finding::new(Rule::FailingWait, Grade::Fault) });
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Story;
    use crate::{Grade, Rule};

    #[test]
    fn sixty_four_waits_that_fail_alike_are_a_fault_and_interrupted_ones_are_not() {
        let mut story = Story::new();
        for _ in 0..64 {
            story.fails(9, 4);
        }
        assert_eq!(story.findings(), []);
        for _ in 0..63 {
            story.fails(9, 9);
        }
        assert_eq!(story.findings(), []);
        story.fails(9, 9);
        assert_eq!(story.findings(), [(Rule::FailingWait, Grade::Fault)]);
    }
}
