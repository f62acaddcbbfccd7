//! R17: the end of a connection was reported, and the program keeps the descriptor.
//!
//! A program that writes after the end of its input uses the other direction on purpose, and one
//! that has not written yet may be about to answer. A program that ends need not close its
//! descriptors. So a single connection is a suspect, even after a minute. A fault requires a site
//! that keeps all of its ended connections, ten at least, while it registers new ones, and that has
//! never closed or written to one after its end. An answer must be impossible or overdue as well:
//! each connection is hung up in both directions, or ended a minute ago.

use alloc::vec::Vec;

use epolyfill_facts::mask::{HUP, RDHUP};
use epolyfill_facts::{Class, Fact, Op, SiteId};

use super::ms;
use super::sites::Sites;
use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};
use crate::mirror::RegistrationId;

/// The end of a connection.
#[derive(Debug, Default)]
pub struct OfFile {
    ended: Option<End>,
    /// The program has written since, or shut the connection.
    is_heeded: bool,
}

/// How the end was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Read = 0,
    Reported = 1,
    HungUp = 2,
}

/// The ends that were shown.
#[derive(Debug, Default)]
pub struct OfProcess {
    pending: Vec<Pending>,
    sites: Sites<Site>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    registration: (RegistrationId, u64),
    ended_ns: u64,
    is_said: bool,
}

/// The connections that were registered at a site.
#[derive(Clone, Copy, Debug, Default)]
struct Site {
    added: u32,
    /// Those when the first of the others ended.
    added_before: Option<u32>,
    /// Ends after which the program wrote, shut, deleted or closed.
    heeded: u32,
    /// Those that are kept.
    kept: u32,
    hung_up: u32,
}

/// A connection that is kept for so long is a suspect.
const LONG_NS: u64 = ms(60_000);
/// At the end of the process only these count.
const LEAST_NS: u64 = ms(100);
/// As many of a site are a leak.
const LEAK: u32 = 10;
/// The most ends that are kept in mind.
const MOST: usize = 1024;

/// A forked child: the ends are its parent's.
pub(crate) fn start(state: &mut OfProcess) {
    *state = OfProcess::default();
}

/// A registration was reported.
pub(crate) fn told(cx: &mut Context<'_>, state: &mut OfProcess, id: RegistrationId, bits: u32) {
    if bits & (RDHUP | HUP) != 0 {
        ended(cx, state, id, if bits & HUP != 0 { End::HungUp } else { End::Reported });
    }
}

/// A call: a read can show the end, and a write goes on after it.
pub(crate) fn call(cx: &mut Context<'_>, state: &mut OfProcess, fd: i32, call: &Fact<'_>) {
    let Fact::Call { call, other, asked, answer, flags, .. } = *call else { return };
    match call.class() {
        Class::Read if answer == 0 && asked > 0 && call.takes(flags) => {
            if let Some(&id) = cx.mirror.registrations_of(fd).first() {
                ended(cx, state, id, End::Read);
            }
        }
        Class::Write | Class::Shutdown => heeded(cx, state, fd),
        Class::Move if fd == other => heeded(cx, state, fd),
        _ => {}
    }
}

fn ended(cx: &mut Context<'_>, state: &mut OfProcess, id: RegistrationId, end: End) {
    let Some(registration) = cx.mirror.registration(id) else { return };
    let (file, serial, site, fd) = (registration.file, registration.serial, registration.site, registration.fd);
    let Some(file) = cx.mirror.file_mut(file).filter(|file| file.kind.is_connection()) else { return };
    let of_file = &mut file.state.ended;
    let before = of_file.ended;
    if end == End::HungUp || before.is_none() {
        of_file.ended = Some(end);
    }
    if before.is_some() || of_file.is_heeded || state.pending.len() >= MOST || state.pending.try_reserve(1).is_err() {
        return;
    }
    state.pending.push(Pending { registration: (id, serial), ended_ns: cx.stamp.ns, is_said: false });
    cx.tick_at(cx.stamp.ns + LONG_NS);
    if let Some(site) = state.sites.of(site, fd) {
        site.added_before.get_or_insert(site.added);
    }
}

/// The program goes on with a connection after its end, or ends it.
fn heeded(cx: &mut Context<'_>, state: &mut OfProcess, fd: i32) {
    let Some(id) = cx.mirror.file_of(fd) else { return };
    let Some(file) = cx.mirror.file_mut(id).filter(|file| file.state.ended.ended.is_some()) else { return };
    if core::mem::replace(&mut file.state.ended.is_heeded, true) {
        return;
    }
    let ids = cx.mirror.registrations_of(fd);
    if let Some(at) = state.pending.iter().rposition(|pending| ids.contains(&pending.registration.0)) {
        state.pending.swap_remove(at);
    }
    let registration = ids.first().and_then(|id| cx.mirror.registration(*id));
    if let Some((site, fd)) = registration.map(|one| (one.site, one.fd))
        && let Some(site) = state.sites.of(site, fd)
    {
        site.heeded += 1;
    }
}

/// A control call succeeded; the mirror is as before it.
pub(crate) fn control(cx: &mut Context<'_>, state: &mut OfProcess, control: &Fact<'_>) {
    let Fact::Control { op, fd, errno: 0, site, .. } = *control else { return };
    match Op::from_number(op) {
        Some(Op::Add) => {
            if let Some(site) = state.sites.of(site, fd) {
                site.added += 1;
            }
        }
        Some(Op::Del) => heeded(cx, state, fd),
        _ => {}
    }
}

/// A number is about to be closed.
pub(crate) fn close(cx: &mut Context<'_>, state: &mut OfProcess, fd: i32) {
    heeded(cx, state, fd);
}

/// Looks at the ends of a minute ago.
pub(crate) fn tick(cx: &mut Context<'_>, state: &mut OfProcess) {
    conclude(cx, state, LONG_NS);
    for pending in state.pending.iter().filter(|pending| !pending.is_said) {
        cx.tick_at(pending.ended_ns + LONG_NS);
    }
}

/// The process ends.
pub(crate) fn exit(cx: &mut Context<'_>, state: &mut OfProcess) {
    conclude(cx, state, LEAST_NS);
}

/// Reports the ends of at least this age whose connections are kept.
///
/// `numbers`: how the end was shown: 0 by a read, 1 by EPOLLRDHUP, 2 by EPOLLHUP; the connections of
/// this site that are kept; those of them that are hung up; the registrations at this site since the
/// first of them ended; the ends at this site that were heeded. `worst_ns`: since when it is kept.
fn conclude(cx: &mut Context<'_>, state: &mut OfProcess, least_ns: u64) {
    let mut at = 0;
    while let Some(&pending) = state.pending.get(at) {
        if pending.is_said || cx.stamp.ns.saturating_sub(pending.ended_ns) < least_ns {
            at += 1;
        } else if let Some((site, fd, end)) = kept(cx, pending.registration) {
            if let Some(site) = state.sites.of(site, fd) {
                site.kept += 1;
                site.hung_up += u32::from(end == End::HungUp);
            }
            at += 1;
        } else {
            state.pending.swap_remove(at);
        }
    }
    for at in 0..state.pending.len() {
        let pending = state.pending[at];
        let age = cx.stamp.ns.saturating_sub(pending.ended_ns);
        let Some(registration) = cx.mirror.still(pending.registration).filter(|_| age >= least_ns) else { continue };
        let (site, fd) = (registration.site, registration.fd);
        let Some(end) = cx.mirror.file(registration.file).and_then(|file| file.state.ended.ended) else { continue };
        let finding = cx.finding(Rule::EndUnheeded, Grade::Suspect, registration);
        let Some(site) = state.sites.of(site, fd).copied() else { continue };
        let added = site.added - site.added_before.unwrap_or(0);
        let is_growing = site.kept >= LEAK && added >= LEAK;
        if pending.is_said || (age < LONG_NS && !is_growing) {
            continue;
        }
        let is_final = site.hung_up >= LEAK || least_ns == LONG_NS;
        let is_leak = is_growing && site.heeded == 0 && is_final;
        let grade = if is_leak { Grade::Fault } else { Grade::Suspect };
        let numbers = [end as u32, site.kept, site.hung_up, added, site.heeded, 0].map(i64::from);
        cx.report(Finding { grade, numbers, worst_ns: age, ..finding });
        state.pending[at].is_said = true;
    }
}

/// The site and the number of a connection whose end is not heeded, and how that was shown.
fn kept(cx: &mut Context<'_>, registration: (RegistrationId, u64)) -> Option<(SiteId, i32, End)> {
    let registration = cx.mirror.still(registration)?;
    let (site, fd) = (registration.site, registration.fd);
    let of_file = &cx.mirror.file(registration.file)?.state.ended;
    let end = of_file.ended.filter(|_| !of_file.is_heeded && !registration.is_ghost)?;
    // It can have been closed unseen, and connected again.
    let levels = cx.world.levels(fd, RDHUP | HUP)?;
    (levels != 0).then_some((site, fd, end))
}

#[cfg(test)]
mod tests {
    use epolyfill_facts::mask::{EDGE, HUP, IN, RDHUP};
    use epolyfill_facts::{Call, Fact, SiteId};

    use crate::rules::testing::Story;
    use crate::{Grade, Rule};

    /// Clients come to a server one after another, and go; all are registered at one site.
    fn server(clients: i32, bits: u32, mut then: impl FnMut(&mut Story, i32)) -> Story {
        let mut story = Story::new();
        story.create(3);
        for fd in 10..10 + clients {
            let (data, site, began_ns) = (fd as u64, SiteId(7), story.ns);
            let events = IN | RDHUP | EDGE;
            story.fact(Fact::Control { epfd: 3, op: 1, fd, events, data, errno: 0, site, began_ns });
            story.waits(3, -1);
            story.reports(3, &[(fd, bits)]);
            story.call(Call::Read, fd, 64, 0);
            story.world.levels.insert(fd, bits);
            then(&mut story, fd);
        }
        story.waits(3, -1);
        story
    }

    #[test]
    fn hung_up_connections_that_pile_up_are_a_fault_at_exit() {
        let mut story = server(25, IN | RDHUP | HUP, |_, _| {});
        story.pass_ms(200);
        story.exit(0);
        assert_eq!(story.findings(), [(Rule::EndUnheeded, Grade::Fault)]);
        assert_eq!(story.auditor.findings()[0].count, 25);
        assert_eq!(story.auditor.findings()[0].numbers, [2, 25, 25, 24, 0, 0]);
    }

    #[test]
    fn half_open_connections_are_a_fault_after_a_minute_only() {
        let mut story = server(25, IN | RDHUP, |_, _| {});
        story.pass_ms(61_000);
        assert_eq!(story.findings(), [(Rule::EndUnheeded, Grade::Fault)]);
        let mut young = server(25, IN | RDHUP, |_, _| {});
        young.pass_ms(200);
        young.exit(0);
        assert_eq!(young.findings(), [(Rule::EndUnheeded, Grade::Suspect)]);
    }

    #[test]
    fn a_few_that_are_kept_are_a_suspect_after_a_minute_and_nothing_before() {
        let mut story = server(3, IN | RDHUP | HUP, |_, _| {});
        story.pass_ms(5000);
        assert_eq!(story.findings(), []);
        story.pass_ms(60_000);
        assert_eq!(story.findings(), [(Rule::EndUnheeded, Grade::Suspect)]);
        let mut short = server(3, IN | RDHUP | HUP, |_, _| {});
        short.pass_ms(5000);
        short.exit(0);
        assert_eq!(short.findings(), []);
    }

    #[test]
    fn who_writes_after_the_end_or_closes_has_heeded_it() {
        let writes = |story: &mut Story, fd| story.call(Call::Write, fd, 5, 5);
        let closes = |story: &mut Story, fd| story.close(fd);
        let deletes = |story: &mut Story, fd| story.control(3, epolyfill_facts::Op::Del, fd, 0, 0);
        for mut story in [server(25, IN | RDHUP, writes), server(25, HUP, closes), server(25, HUP, deletes)] {
            story.pass_ms(61_000);
            story.exit(0);
            assert_eq!(story.findings(), []);
        }
    }

    #[test]
    fn a_program_that_ends_with_what_it_had_has_no_leak() {
        let mut story = Story::new();
        story.create(3);
        (10..30).for_each(|fd| story.add(3, fd, IN | EDGE));
        story.waits(3, -1);
        let all: std::vec::Vec<(i32, u32)> = (10..30).map(|fd| (fd, IN | RDHUP | HUP)).collect();
        story.reports(3, &all);
        (10..30).for_each(|fd| story.world.levels.extend([(fd, HUP)]));
        story.pass_ms(61_000);
        story.exit(0);
        assert!(story.findings().iter().all(|(_, grade)| *grade == Grade::Suspect));
    }
}
