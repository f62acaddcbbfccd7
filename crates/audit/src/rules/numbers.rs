//! Control calls on a number that is another file now, and control calls that are refused.
//!
//! R7 is never a fault. A deletion carries no data, so a program that deletes a new registration on
//! purpose before its first event, and leaves the descriptor alone for a while, shows the same facts
//! as one that meant the closed file. The place of the call decides nothing: the clean-up that comes
//! after the close and the one that comes before it can be one function, with the same callers. Nor
//! do bytes that are unread afterwards: a connection can be put aside. The data of a MOD can equal
//! the closed file's because an allocator gave out the same address again.

use alloc::vec::Vec;

use epolyfill_facts::errno::{EBADF, EEXIST, ENOENT};
use epolyfill_facts::{Fact, NO_FD, Op};
use hashbrown::HashMap;

use super::ms;
use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};

/// Whether a call followed the registration.
#[derive(Debug, Default)]
pub struct OfFile {
    is_used: bool,
}

/// What is known of the number's former owner.
#[derive(Debug, Default)]
pub struct OfRegistration {
    dead: Option<Dead>,
    is_reported: bool,
}

impl OfRegistration {
    /// Whether a wait ever reported it.
    pub(crate) fn is_reported(&self) -> bool {
        self.is_reported
    }
}

/// The numbers that were closed without EPOLL_CTL_DEL.
#[derive(Debug, Default)]
pub struct OfInstance {
    dead: HashMap<i32, Dead>,
}

/// Deletions to look at again, and the refused call that was the process's last fact.
#[derive(Debug, Default)]
pub struct OfProcess {
    pending: Vec<(u64, Finding)>,
    refused: Option<Finding>,
}

#[derive(Clone, Copy, Debug)]
struct Dead {
    data: u64,
    ns: u64,
}

/// R7: a deletion that was meant is followed by a close, or by a call, within this time.
const SETTLED_NS: u64 = ms(50);

const MOST: usize = 1024;

/// R7. `at`: the control call. `numbers`: the operation; bytes unread afterwards, -1 if not known;
/// nanoseconds from the close to the control call.
pub(crate) fn before_control(cx: &mut Context<'_>, state: &mut OfProcess, control: &Fact<'_>) {
    let Fact::Control { epfd, op, fd, data, errno: 0, site, .. } = *control else { return };
    let Some(instance) = cx.mirror.instance_of(epfd) else { return };
    let Some(registration) = cx.mirror.find(instance, fd).and_then(|id| cx.mirror.registration(id)) else { return };
    let Some(dead) = registration.state.numbers.dead.filter(|_| !registration.state.numbers.is_reported) else {
        return;
    };
    if cx.mirror.file(registration.file).is_none_or(|file| file.state.numbers.is_used) {
        return;
    }
    let numbers = [i64::from(op), -1, (cx.stamp.ns - dead.ns).cast_signed(), 0, 0, 0];
    let finding = Finding { at: site, numbers, ..cx.finding(Rule::WrongNumber, Grade::Suspect, registration) };
    match Op::from_number(op) {
        Some(Op::Mod) if data == dead.data && data != registration.data => cx.report(finding),
        Some(Op::Del) if state.pending.len() < MOST && state.pending.try_reserve(1).is_ok() => {
            let due_ns = cx.stamp.ns + SETTLED_NS;
            state.pending.push((due_ns, finding));
            cx.tick_at(due_ns);
        }
        _ => {}
    }
}

/// Notes the former owner of a number that is registered anew. The note `refused-control`: `at` is
/// the call, `numbers`: the operation, the errno.
pub(crate) fn after_control(cx: &mut Context<'_>, state: &mut OfProcess, control: &Fact<'_>) {
    let Fact::Control { epfd, op, fd, events, errno, site, .. } = *control else { return };
    state.refused = None;
    if [EBADF, ENOENT, EEXIST].contains(&errno) {
        let numbers = [i64::from(op), i64::from(errno), 0, 0, 0, 0];
        let finding =
            Finding { fd, epfd, events, site, at: site, numbers, ..Finding::new(Rule::RefusedControl, Grade::Note) };
        state.refused = Some(finding);
        return cx.report(finding);
    }
    if errno != 0 || Op::from_number(op) != Some(Op::Add) {
        return;
    }
    settle(state, fd);
    let Some(id) = cx.mirror.instance_of(epfd) else { return };
    let dead = cx.mirror.instance_mut(id).and_then(|instance| instance.state.numbers.dead.remove(&fd));
    let registration = cx.mirror.find(id, fd);
    if let Some(registration) = registration.and_then(|id| cx.mirror.registration_mut(id)) {
        registration.state.numbers.dead = dead;
    }
}

/// Keeps the registrations of a number that is about to be closed.
pub(crate) fn close(cx: &mut Context<'_>, state: &mut OfProcess, fd: i32) {
    state.refused = None;
    settle(state, fd);
    let mut at = 0;
    while let Some(&id) = cx.mirror.registrations_of(fd).get(at) {
        at += 1;
        let Some(registration) = cx.mirror.registration(id).filter(|registration| registration.fd == fd) else {
            continue;
        };
        let (data, instance) = (registration.data, registration.instance);
        let Some(instance) = cx.mirror.instance_mut(instance) else { continue };
        let dead = &mut instance.state.numbers.dead;
        if dead.len() >= MOST {
            dead.clear();
        }
        if dead.try_reserve(1).is_ok() {
            dead.insert(fd, Dead { data, ns: cx.stamp.ns });
        }
    }
}

/// A call on a number shows that the program knows what it names.
pub(crate) fn call(cx: &mut Context<'_>, state: &mut OfProcess, fd: i32) {
    state.refused = None;
    settle(state, fd);
    if let Some(file) = cx.mirror.file_of(fd).and_then(|id| cx.mirror.file_mut(id)) {
        file.state.numbers.is_used = true;
    }
}

fn settle(state: &mut OfProcess, fd: i32) {
    if !state.pending.is_empty() {
        state.pending.retain(|(_, finding)| finding.fd != fd);
    }
}

pub(crate) fn before_wait(state: &mut OfProcess) {
    state.refused = None;
}

/// Notes which registrations were reported.
pub(crate) fn after_wait(cx: &mut Context<'_>) {
    let mut at = 0;
    while let Some(batched) = cx.mirror.thread(cx.stamp.tid).and_then(|thread| thread.batch.get(at)) {
        at += 1;
        let id = batched.registration;
        if let Some(registration) = id.and_then(|(id, _)| cx.mirror.registration_mut(id)) {
            registration.state.numbers.is_reported = true;
        }
    }
}

/// Reports the deletions after which the number is open and left alone.
pub(crate) fn tick(cx: &mut Context<'_>, state: &mut OfProcess) {
    let mut at = 0;
    while let Some(&(due_ns, finding)) = state.pending.get(at) {
        if due_ns > cx.stamp.ns {
            cx.tick_at(due_ns);
            at += 1;
            continue;
        }
        state.pending.swap_remove(at);
        if cx.world.is_open(finding.fd) == Some(true) {
            let mut finding = finding;
            finding.numbers[1] = cx.world.unread(finding.fd, finding.kind).map_or(-1, u64::cast_signed);
            cx.report(finding);
        }
    }
}

/// A program that fails right after a refused call: the call is a suspect, not proved to be the
/// cause.
pub(crate) fn exit(cx: &mut Context<'_>, state: &mut OfProcess, status: i32) {
    if let Some(refused) = state.refused.take().filter(|_| status != 0) {
        cx.report(Finding { grade: Grade::Suspect, other: NO_FD, count: 0, ..refused });
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Story;
    use crate::{Grade, Rule};
    use epolyfill_facts::mask::{HUP, IN};
    use epolyfill_facts::{Call, Op};

    fn dead_and_successor() -> Story {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 4, IN);
        story.waits(3, -1);
        story.reports(3, &[(4, IN | HUP)]);
        story.call(Call::Read, 4, 1, 0);
        story.close(4);
        story.add(3, 4, IN);
        story
    }

    #[test]
    fn a_deletion_of_the_successor_that_stays_open_is_a_suspect() {
        let mut story = dead_and_successor();
        story.control(3, Op::Del, 4, 0, 0);
        story.waits(3, 500_000_000);
        story.pass_ms(100);
        assert_eq!(story.findings(), [(Rule::WrongNumber, Grade::Suspect)]);
    }

    #[test]
    fn a_deletion_before_the_close_and_one_that_is_followed_by_a_close_are_right() {
        let mut story = dead_and_successor();
        story.control(3, Op::Del, 4, 0, 0);
        story.close(4);
        story.add(3, 4, IN); // Its former owner was deleted.
        story.control(3, Op::Del, 4, 0, 0);
        story.pass_ms(100);
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn a_successor_that_was_used_may_be_deleted() {
        let mut story = dead_and_successor();
        story.call(Call::Read, 4, 64, -11);
        story.control(3, Op::Del, 4, 0, 0);
        story.pass_ms(100);
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn a_refused_control_call_is_a_note_and_a_suspect_if_the_program_fails_then() {
        let mut story = Story::new();
        story.create(3);
        story.control(3, Op::Del, 4, 0, 9);
        story.waits(3, 0);
        story.reports(3, &[]);
        story.exit(1);
        assert_eq!(story.findings(), [(Rule::RefusedControl, Grade::Note)]);
        story.control(3, Op::Del, 4, 0, 9);
        story.exit(1);
        assert_eq!(story.findings(), [(Rule::RefusedControl, Grade::Suspect)]);
    }
}
