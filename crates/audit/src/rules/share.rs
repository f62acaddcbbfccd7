//! R21: of several waiters with EPOLLEXCLUSIVE one gets nearly all events, because the kernel wakes
//! the one that went to sleep last. A note: the work is done, by one. Waiters of other processes are
//! not seen.

use epolyfill_facts::mask::EXCLUSIVE;

use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};
use crate::mirror::RegistrationId;

/// The events of a registration, or of all of a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Share {
    events: u64,
    /// Its events when it was last judged.
    judged: u64,
}

/// As many events are judged.
const EVENTS: u64 = 256;
const WAITERS: usize = 3;
const PERCENT: u64 = 70;

/// A registration was reported. `count`: the events of the file. `numbers`: the percentage of the
/// registration that got most; the registrations; the events of that one; those of all.
pub(crate) fn told(cx: &mut Context<'_>, id: RegistrationId) {
    let Some(registration) = cx.mirror.registration_mut(id).filter(|one| one.events & EXCLUSIVE != 0) else { return };
    registration.state.share.events += 1;
    let id = registration.file;
    let Some(file) = cx.mirror.file_mut(id) else { return };
    file.state.share.events += 1;
    let Share { events, judged } = file.state.share;
    if events < judged + EVENTS {
        return;
    }
    file.state.share.judged = events;
    let Some(file) = cx.mirror.file(id) else { return };
    let exclusive = |id: &&RegistrationId| cx.mirror.registration(**id).is_some_and(|one| one.events & EXCLUSIVE != 0);
    let waiters = file.registrations.iter().filter(exclusive).count();
    let all = file.registrations.iter().filter_map(|id| cx.mirror.registration(*id));
    let Some(most) = all.max_by_key(|registration| registration.state.share.events) else { return };
    let percent = most.state.share.events * 100 / events;
    if waiters < WAITERS || percent <= PERCENT {
        return;
    }
    let numbers = [percent, waiters as u64, most.state.share.events, events, 0, 0].map(u64::cast_signed);
    let finding = cx.finding(Rule::ExclusiveShare, Grade::Note, most);
    cx.report(Finding { count: events - judged, numbers, ..finding });
}

#[cfg(test)]
mod tests {
    use epolyfill_facts::mask::{EXCLUSIVE, IN};

    use crate::rules::testing::Story;
    use crate::{Grade, Rule};

    /// Events of listener 9 for threads with an instance each: how many of ten each of them gets.
    fn shares(of_ten: &[i32], events: u32) -> Story {
        let mut story = Story::new();
        for waiter in 0..of_ten.len() as i32 {
            story.create(20 + waiter);
            story.add(20 + waiter, 9, events);
        }
        for _ in 0..30 {
            for (waiter, events) in of_ten.iter().enumerate() {
                for _ in 0..*events {
                    story.waits(20 + waiter as i32, -1);
                    story.reports(20 + waiter as i32, &[(9, IN)]);
                }
            }
        }
        story
    }

    #[test]
    fn one_of_three_that_gets_eight_of_ten_is_a_note() {
        let story = shares(&[1, 8, 1], IN | EXCLUSIVE);
        assert_eq!(story.findings(), [(Rule::ExclusiveShare, Grade::Note)]);
        assert_eq!(story.auditor.findings()[0].epfd, 21);
    }

    #[test]
    fn fair_shares_and_two_waiters_and_other_registrations_are_not_noted() {
        for story in [shares(&[3, 4, 3], IN | EXCLUSIVE), shares(&[1, 9], IN | EXCLUSIVE), shares(&[1, 8, 1], IN)] {
            assert_eq!(story.findings(), []);
        }
    }
}
