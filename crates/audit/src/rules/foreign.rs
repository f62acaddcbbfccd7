//! R18: an instance of another process is used, or left to another program.
//!
//! A forked child has its parent's instances. On the kernel's epoll both processes change and
//! empty the same one; the library gives the child a copy. A process that makes an instance, forks
//! and ends (a daemon) hands it over: that is right, and so is a parent that leaves the instance to
//! one child. Hence it is a suspect, and only if the parent is still there some time later.

use epolyfill_facts::{Fact, Kind, Op, Poller, Start};

use super::ms;
use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};
use crate::mirror::FileId;

/// The uses of an instance by a process that did not make it.
#[derive(Debug, Default)]
pub struct OfInstance {
    /// Control calls that changed it, and waits that took events of it.
    controls: u64,
    reports: u64,
    /// The first use.
    first: Option<Finding>,
    is_said: bool,
}

/// The birth of the process.
#[derive(Debug, Default)]
pub struct OfProcess {
    pid: i32,
    is_child: bool,
    /// The process that forked it, which may have ended before this one begins.
    parent: i32,
    born_ns: u64,
    /// An instance was used whose case is open.
    is_pending: bool,
}

/// The parent of a daemon has ended by then, …
const SETTLED_NS: u64 = ms(1000);
/// … and, if the child itself ends sooner, by then.
const SETTLED_AT_END_NS: u64 = ms(100);

/// A process begins.
pub(crate) fn start(cx: &mut Context<'_>, state: &mut OfProcess, start: Start) {
    let parent = if start.is_fork { state.pid } else { start.ppid };
    let is_child = start.is_fork;
    *state = OfProcess { pid: start.pid, is_child, parent, born_ns: cx.stamp.ns, is_pending: false };
    for id in cx.mirror.instance_ids() {
        if let Some(instance) = cx.mirror.instance_mut(id) {
            instance.state.foreign = OfInstance::default();
        }
    }
}

/// A control call that succeeded; the mirror is as before it.
pub(crate) fn control(cx: &mut Context<'_>, state: &mut OfProcess, control: &Fact<'_>) {
    let Fact::Control { epfd, op, fd, events, errno: 0, site, .. } = *control else { return };
    if !state.is_child {
        return;
    }
    let Some(id) = cx.mirror.instance_of(epfd) else { return };
    let number = Op::from_number(op).map_or(0, |op| op as i64);
    let numbers = [number, 0, 0, 0, 0, 0];
    let file = cx.mirror.file_of(fd).and_then(|id| cx.mirror.file(id));
    let kind = file.map_or(Kind::Unidentified, |file| file.kind);
    let suspect = Finding::new(Rule::ForeignInstance, Grade::Suspect);
    used(cx, state, id, Finding { kind, fd, epfd, events, site, numbers, ..suspect }, true);
}

/// A wait returned.
pub(crate) fn after_wait(cx: &mut Context<'_>, state: &mut OfProcess, report: &Fact<'_>) {
    let Fact::Report { epfd, errno: 0, events, .. } = *report else { return };
    if !state.is_child || events.is_empty() {
        return;
    }
    let Some(id) = cx.mirror.instance_of(epfd) else { return };
    let suspect = Finding::new(Rule::ForeignInstance, Grade::Suspect);
    used(cx, state, id, Finding { kind: Kind::Epoll, fd: epfd, epfd, ..suspect }, false);
}

fn used(cx: &mut Context<'_>, state: &mut OfProcess, id: FileId, finding: Finding, is_control: bool) {
    let Some(instance) = cx.mirror.instance_mut(id).filter(|instance| instance.is_foreign) else { return };
    let foreign = &mut instance.state.foreign;
    *(if is_control { &mut foreign.controls } else { &mut foreign.reports }) += 1;
    if foreign.first.is_some() {
        return;
    }
    foreign.first = Some(finding);
    state.is_pending = true;
    cx.tick_at((state.born_ns + SETTLED_NS).max(cx.stamp.ns));
}

/// Some time has passed since an instance was used.
pub(crate) fn tick(cx: &mut Context<'_>, state: &mut OfProcess) {
    let due_ns = state.born_ns + SETTLED_NS;
    if !state.is_pending {
        return;
    }
    if cx.stamp.ns < due_ns {
        cx.tick_at(due_ns);
        return;
    }
    state.is_pending = false;
    conclude(cx, state);
}

/// The process ends.
pub(crate) fn exit(cx: &mut Context<'_>, state: &mut OfProcess) {
    if cx.stamp.ns >= state.born_ns + SETTLED_AT_END_NS {
        conclude(cx, state);
    }
}

/// `other`: the parent. `fd`, `events`, `site`: of the first control call, or the instance if it
/// was a wait. `numbers`: its operation, 0 for a wait; the control calls; the waits with events;
/// 1 if the library gave the process a copy, which Linux does not.
fn conclude(cx: &mut Context<'_>, state: &OfProcess) {
    if cx.world.parent() != Some(state.parent) {
        return;
    }
    for id in cx.mirror.instance_ids() {
        let is_copy = cx.poller == Poller::Library;
        let Some(instance) = cx.mirror.instance_mut(id).filter(|instance| instance.is_foreign) else { continue };
        let foreign = &mut instance.state.foreign;
        let Some(first) = foreign.first.filter(|_| !foreign.is_said) else { continue };
        foreign.is_said = true;
        let (controls, reports) = (foreign.controls, foreign.reports);
        let [operation, ..] = first.numbers;
        let numbers = [operation, controls.cast_signed(), reports.cast_signed(), i64::from(is_copy), 0, 0];
        let count = controls + reports;
        cx.report(Finding { other: state.parent, count, numbers, ..first });
    }
}

/// The note of an instance without FD_CLOEXEC, which the next program keeps open, of each. The kind
/// of the finding is that of an instance, and all `numbers` are -1.
pub(crate) fn exec(cx: &mut Context<'_>) {
    for id in cx.mirror.instance_ids() {
        let mut at = 0;
        while let Some(&fd) = cx.mirror.file(id).and_then(|file| file.numbers.get(at)) {
            at += 1;
            if cx.world.closes_on_exec(fd) == Some(false) {
                let (kind, numbers) = (Kind::Epoll, [-1; 6]);
                let note = Finding::new(Rule::ForeignInstance, Grade::Note);
                cx.report(Finding { kind, fd, epfd: fd, numbers, ..note });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use epolyfill_facts::mask::IN;
    use epolyfill_facts::{Fact, Op, Poller, Start};

    use crate::rules::testing::Story;
    use crate::{Grade, Rule};

    const FOREIGN: (Rule, Grade) = (Rule::ForeignInstance, Grade::Suspect);

    /// A child with its parent's instance 3, in which 5 is registered.
    fn child() -> Story {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 5, IN);
        let (wall_offset_ns, poller) = (0, Poller::Library);
        story.world.parent = Some(1);
        story.fact(Fact::Start(Start { pid: 2, ppid: 77, is_fork: true, wall_offset_ns, poller }));
        story
    }

    #[test]
    fn a_child_that_changes_its_parents_instance_is_a_suspect() {
        let mut story = child();
        story.control(3, Op::Del, 5, 0, 0);
        story.add(3, 6, IN);
        assert_eq!(story.findings(), []);
        story.pass_ms(1100);
        assert_eq!(story.findings(), [FOREIGN]);
        let finding = story.auditor.findings()[0];
        assert_eq!((finding.fd, finding.other, finding.numbers), (5, 1, [2, 2, 0, 1, 0, 0]));
    }

    #[test]
    fn a_child_that_takes_its_parents_events_and_ends_is_a_suspect() {
        let mut story = child();
        story.waits(3, -1);
        story.pass_ms(150);
        story.reports(3, &[(5, IN)]);
        story.exit(0);
        assert_eq!(story.findings(), [FOREIGN]);
    }

    #[test]
    fn a_daemon_whose_parent_has_ended_owns_the_instance() {
        let mut story = child();
        story.world.parent = Some(77);
        story.control(3, Op::Add, 6, IN, 0);
        story.pass_ms(2000);
        story.exit(0);
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn a_parents_instance_that_is_closed_and_one_of_the_childs_own_are_right() {
        let mut story = child();
        story.close(3);
        story.create(3);
        story.add(3, 5, IN);
        story.pass_ms(2000);
        story.exit(0);
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn an_instance_that_the_next_program_keeps_open_is_a_note() {
        let mut story = Story::new();
        story.create(3);
        story.create(4);
        story.world.kept.push(4);
        story.fact(Fact::Exec);
        assert_eq!(story.findings(), [(Rule::ForeignInstance, Grade::Note)]);
        assert_eq!(story.auditor.findings()[0].fd, 4);
    }
}
