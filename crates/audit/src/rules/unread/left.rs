//! What is left unread for long: reported once, and the words for all that R1 reports.

use epolyfill_facts::mask::IN;

use super::{End, LEFT_AT_END_NS, LEFT_NS, LEFT_STREAM_NS, LOOK_NS, OfProcess, is_listener, is_stream, still_unread};
use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};
use crate::mirror::{Registration, RegistrationId};
use crate::rules::sleep;

/// Reports bytes that are left for long.
pub(super) fn look(cx: &mut Context<'_>, state: &mut OfProcess, id: RegistrationId, timeout_ns: i64) {
    let now = cx.stamp.ns;
    let Some(registration) = cx.mirror.registration(id) else { return };
    let Some(file) = cx.mirror.file(registration.file) else { return };
    let unread = &registration.state.unread;
    let slept = unread.slept_ns + unread.since_ns.map_or(0, |since| now.saturating_sub(since));
    let is_clocked = sleep::is_clocked(cx, registration.instance, timeout_ns);
    let limit = if is_stream(file.kind) || is_clocked { LEFT_STREAM_NS } else { LEFT_NS };
    if slept < limit {
        cx.look_at(now + LOOK_NS.min(limit - slept));
        return;
    }
    let grade = grade(cx, registration);
    say(cx, state, id, grade, End::Left);
}

/// A queue of connections that the program has left, having taken one per report, is a fault:
/// it is not paced by the number of connections, which are none, or not counted yet.
fn grade(cx: &Context<'_>, registration: &Registration) -> Grade {
    let Some(file) = cx.mirror.file(registration.file) else { return Grade::Suspect };
    let (unread, of_file) = (&registration.state.unread, &file.state.unread);
    let is_fault = is_listener(file.kind)
        && unread.accepts > 0
        && unread.last == 1
        && (of_file.alive == 0 || (unread.accepts == 1 && !of_file.is_drained));
    if is_fault { Grade::Fault } else { Grade::Suspect }
}

pub(super) fn say(cx: &mut Context<'_>, state: &mut OfProcess, id: RegistrationId, grade: Grade, end: End) {
    let Some(registration) = cx.mirror.registration_mut(id) else { return };
    registration.state.unread.is_said = true;
    let Some(tally) = state.sites.of(registration.site, registration.fd) else { return };
    let tally = *tally;
    if tally.resumed == 0 {
        report(cx, id, grade, 1, tally.reports, end);
    }
}

/// `numbers` of [`Rule::SleptEdge`]:
/// 0. when the read was reported to be due (CLOCK_MONOTONIC, ns);
/// 1. bytes, or of a listener connections, that were taken between that and the sleep;
/// 2. the last read before the sleep: 0 there was none, 1 it got all it asked for, 2 less, or a
///    negative errno;
/// 3. bytes or connections that the sleep was on;
/// 4. how often input was reported at this site;
/// 5. how it ended: 0 they were read with the next report, 1 they are still unread, 2 the
///    descriptor is closed, 3 the process ends.
///
/// `worst_ns` is the longest sleep.
pub(super) fn report(cx: &mut Context<'_>, id: RegistrationId, grade: Grade, count: u64, reports: u64, end: End) {
    let Some(registration) = cx.mirror.registration(id) else { return };
    let unread = &registration.state.unread;
    let current = unread.since_ns.filter(|_| unread.is_proved).map_or(0, |since| cx.stamp.ns.saturating_sub(since));
    let worst_ns = unread.longest_ns.max(current);
    let left = unread.look.map_or(0, |(unread, _)| unread);
    let numbers = [
        unread.told_ns.cast_signed(),
        unread.got.cast_signed(),
        unread.last,
        left.cast_signed(),
        reports.cast_signed(),
        end as i64,
    ];
    let finding = Finding { bits: IN, count, worst_ns, numbers, ..cx.finding(Rule::SleptEdge, grade, registration) };
    cx.report(finding);
}

/// The process ends.
pub(crate) fn exit(cx: &mut Context<'_>, state: &mut OfProcess) {
    for instance in cx.mirror.instance_ids() {
        let mut at = 0;
        while let Some(&entry) = cx.mirror.instance(instance).and_then(|i| i.state.unread.owing.get(at)) {
            at += 1;
            let Some(registration) = cx.mirror.still(entry) else { continue };
            let unread = &registration.state.unread;
            if !unread.owes || unread.is_said || unread.slept_ns < LEFT_AT_END_NS || !still_unread(cx, entry.0, false) {
                continue;
            }
            let Some(registration) = cx.mirror.registration(entry.0) else { continue };
            let grade = grade(cx, registration);
            say(cx, state, entry.0, grade, End::Exit);
        }
    }
}
