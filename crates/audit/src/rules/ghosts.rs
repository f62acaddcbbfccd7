//! Closed numbers whose registrations go on: a duplicate or a child holds the description.

use alloc::vec::Vec;

use epolyfill_facts::{Fact, Kind, NO_FD, Op, Poller, SiteId};
use hashbrown::HashMap;

use super::ms;
use crate::auditor::Context;
use crate::finding::{Described, Finding, Grade, Rule};
use crate::mirror::RegistrationId;

/// The registrations of an instance whose number is closed.
#[derive(Debug, Default)]
pub struct OfInstance {
    by_data: HashMap<u64, Closed>,
    /// The thread that made all control calls so far.
    controller: Option<i32>,
    has_several_controllers: bool,
}

/// The closes that a rule will look at again.
#[derive(Debug, Default)]
pub struct OfProcess {
    pending: Vec<Pending>,
    has_forked: bool,
}

/// A registration at the close of its number.
#[derive(Clone, Copy, Debug)]
struct Closed {
    fd: i32,
    site: SiteId,
    events: u32,
    kind: Kind,
    tid: i32,
    ns: u64,
    /// When a wait first reported it, if that alone is no proof.
    seen_ns: u64,
}

#[derive(Debug)]
struct Pending {
    registration: (RegistrationId, u64),
    is_dup: bool,
    due_ns: u64,
    finding: Finding,
}

/// R6: what ends sooner is not worth a word.
const QUIET_NS: u64 = ms(10);

/// R5: if threads share the instance, the second event proves it after this time.
const SETTLED_NS: u64 = ms(500);

/// The most closed registrations that are kept for an instance, and closes that are pending.
const MOST: usize = 1024;

/// Keeps the registrations of a number that is about to be closed. R6: `other` is a duplicate or a
/// child, `numbers`: 0 for a duplicate and 1 for a forked child; 1 if the library ends the
/// registration here, where Linux keeps it.
pub(crate) fn close(cx: &mut Context<'_>, state: &mut OfProcess, fd: i32) {
    let Some(file) = cx.mirror.file_of(fd) else { return };
    let mut at = 0;
    while let Some(&id) = cx.mirror.registrations_of(fd).get(at) {
        at += 1;
        let Some(registration) = cx.mirror.registration(id).filter(|registration| registration.fd == fd) else {
            continue;
        };
        let finding = cx.finding(Rule::GhostRegistration, Grade::Suspect, registration);
        let (instance, data, events) = (registration.instance, registration.data, registration.events);
        let (serial, added_ns) = (registration.serial, registration.added_ns);
        if let Some(instance) = cx.mirror.instance_mut(instance) {
            let closed = &mut instance.state.ghosts.by_data;
            if closed.len() >= MOST {
                closed.clear();
            }
            if closed.try_reserve(1).is_ok() {
                let (site, kind, tid, ns) = (finding.site, finding.kind, cx.stamp.tid, cx.stamp.ns);
                closed.insert(data, Closed { fd, site, events, kind, tid, ns, seen_ns: 0 });
            }
        }
        let duplicate = cx.mirror.file(file).and_then(|file| file.numbers.iter().copied().find(|number| *number != fd));
        let child = if duplicate.is_none() && state.has_forked { cx.world.holder(fd, added_ns) } else { None };
        let Some(other) = duplicate.or(child) else { continue };
        if state.pending.len() < MOST && state.pending.try_reserve(1).is_ok() {
            let is_dup = duplicate.is_some();
            let is_ended_here = child.is_some() && cx.poller == Poller::Library;
            let numbers = [i64::from(!is_dup), i64::from(is_ended_here), 0, 0, 0, 0];
            let who = cx.world.describe(fd, finding.kind);
            let due_ns = cx.stamp.ns + QUIET_NS;
            let finding = Finding { other, numbers, who, ..finding };
            state.pending.push(Pending { registration: (id, serial), is_dup, due_ns, finding });
            cx.tick_at(due_ns);
        }
    }
}

pub(crate) fn fork(state: &mut OfProcess) {
    state.has_forked = true;
}

/// Reports the closes whose registrations still go on.
pub(crate) fn tick(cx: &mut Context<'_>, state: &mut OfProcess) {
    let mut at = 0;
    while let Some(pending) = state.pending.get(at) {
        if pending.due_ns > cx.stamp.ns {
            let due_ns = pending.due_ns;
            cx.tick_at(due_ns);
            at += 1;
            continue;
        }
        let pending = state.pending.swap_remove(at);
        let goes_on = if pending.is_dup {
            cx.mirror.still(pending.registration).is_some_and(|registration| registration.is_ghost)
        } else {
            cx.world.still_holds(pending.finding.other, pending.finding.fd)
        };
        if goes_on {
            cx.report(pending.finding);
        }
    }
}

/// Data that is registered anew is no ghost's any more.
pub(crate) fn after_control(cx: &mut Context<'_>, control: &Fact<'_>) {
    let Fact::Control { epfd, op, data, errno: 0, .. } = *control else { return };
    let tid = cx.stamp.tid;
    let Some(id) = cx.mirror.instance_of(epfd) else { return };
    let Some(instance) = cx.mirror.instance_mut(id) else { return };
    let ghosts = &mut instance.state.ghosts;
    ghosts.has_several_controllers |= *ghosts.controller.get_or_insert(tid) != tid;
    if Op::from_number(op) != Some(Op::Del) && !ghosts.by_data.is_empty() {
        ghosts.by_data.remove(&data);
    }
}

/// R5. `other`: a number that still names the description, if one is known. `numbers`: nanoseconds
/// from the close to this wait's return; 1 if the number is open again.
pub(crate) fn after_wait(cx: &mut Context<'_>, report: &Fact<'_>) {
    let Fact::Report { epfd, began_ns, .. } = *report else { return };
    let mut at = 0;
    while let Some(batched) = cx.mirror.thread(cx.stamp.tid).and_then(|thread| thread.batch.get(at)) {
        at += 1;
        let event = batched.event;
        let registration = batched.registration.and_then(|id| cx.mirror.still(id));
        if registration.is_some_and(|registration| !registration.is_ghost) {
            continue;
        }
        let file = registration.and_then(|registration| cx.mirror.file(registration.file));
        let other = file.and_then(|file| file.numbers.first().copied());
        let is_attributed = registration.is_some();
        let Some(id) = cx.mirror.instance_of(epfd) else { return };
        let Some(instance) = cx.mirror.instance(id).filter(|instance| !instance.is_foreign) else { return };
        let ghosts = &instance.state.ghosts;
        let Some(&closed) = ghosts.by_data.get(&event.data) else { continue };
        let is_own =
            closed.tid == cx.stamp.tid && ghosts.controller == Some(closed.tid) && !ghosts.has_several_controllers;
        if began_ns < closed.ns || cx.mirror.find(id, closed.fd).is_some() {
            continue; // Harvested before the close, or it can be the successor's.
        }
        let is_settled = closed.seen_ns != 0 && cx.stamp.ns - closed.seen_ns >= SETTLED_NS;
        if !is_own && !is_settled {
            first_seen(cx, id, event.data);
            continue;
        }
        let is_open = cx.world.is_open(closed.fd);
        // Without a mirrored registration only a number that is still closed proves it.
        let is_proved = is_attributed || is_open == Some(false);
        let grade = if is_proved { Grade::Fault } else { Grade::Suspect };
        let who = other.map_or(Described::new("closed"), |other| cx.world.describe(other, closed.kind));
        let numbers = [(cx.stamp.ns - closed.ns).cast_signed(), i64::from(is_open == Some(true)), 0, 0, 0, 0];
        cx.report(Finding {
            kind: closed.kind,
            fd: closed.fd,
            other: other.unwrap_or(NO_FD),
            epfd,
            events: closed.events,
            bits: event.bits,
            site: closed.site,
            numbers,
            who,
            ..Finding::new(Rule::GhostEvent, grade)
        });
    }
}

fn first_seen(cx: &mut Context<'_>, instance: crate::FileId, data: u64) {
    let now = cx.stamp.ns;
    let instance = cx.mirror.instance_mut(instance);
    if let Some(closed) = instance.and_then(|instance| instance.state.ghosts.by_data.get_mut(&data))
        && closed.seen_ns == 0
    {
        closed.seen_ns = now;
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Story;
    use crate::{Grade, Rule};
    use epolyfill_facts::mask::IN;
    use epolyfill_facts::{Call, Fact, Op};

    const DUP_GHOST: (Rule, Grade) = (Rule::GhostEvent, Grade::Fault);

    #[test]
    fn an_event_of_a_closed_number_whose_duplicate_lives_is_a_fault() {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 4, IN);
        story.fact(Fact::Dup { from: 4, to: 6 });
        story.close(4);
        story.world.closed.push(4);
        story.waits(3, 300_000_000);
        story.reports(3, &[(4, IN)]);
        story.call(Call::Read, 4, 64, -9);
        story.control(3, Op::Del, 4, 0, 9);
        assert!(story.findings().contains(&DUP_GHOST));
    }

    #[test]
    fn a_registration_that_is_deleted_before_the_close_leaves_no_ghost() {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 4, IN);
        story.fact(Fact::Dup { from: 4, to: 6 });
        story.control(3, Op::Del, 4, 0, 0);
        story.close(4);
        story.pass_ms(20);
        story.waits(3, 300_000_000);
        story.reports(3, &[]);
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn an_event_that_another_thread_had_harvested_before_the_close_is_none() {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 4, IN);
        story.waits(3, -1);
        story.tid = 2;
        story.close(4);
        story.world.closed.push(4);
        story.tid = 1;
        story.reports(3, &[(4, IN)]);
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn an_event_of_a_registration_whose_add_is_not_yet_known_is_none() {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 4, IN);
        story.close(4);
        story.tid = 2; // It adds the successor; its fact comes later.
        story.add(3, 5, IN);
        story.tid = 1;
        story.waits(3, -1);
        story.reports(3, &[(4, IN)]);
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn a_duplicate_that_lives_on_is_a_suspect_and_one_that_is_closed_at_once_is_not() {
        let mut story = Story::new();
        story.create(3);
        for (fd, dup) in [(4, 6), (5, 7)] {
            story.add(3, fd, IN);
            story.fact(Fact::Dup { from: fd, to: dup });
            story.close(fd);
        }
        story.close(6);
        story.pass_ms(20);
        assert_eq!(story.findings(), [(Rule::GhostRegistration, Grade::Suspect)]);
        assert_eq!(story.auditor.findings()[0].fd, 5);
    }

    #[test]
    fn a_child_that_holds_the_closed_number_is_a_suspect() {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 4, IN);
        story.fact(Fact::Fork { child: 9 });
        story.world.child = Some(9);
        story.close(4); // The child has closed it.
        story.pass_ms(20);
        assert_eq!(story.findings(), []);
        story.add(3, 4, IN);
        story.world.held.push(4);
        story.close(4);
        story.pass_ms(20);
        assert_eq!(story.findings(), [(Rule::GhostRegistration, Grade::Suspect)]);
    }
}
