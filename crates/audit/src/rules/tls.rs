//! R4: the program sleeps on bytes that its TLS library has decrypted.
//!
//! A TLS library reads whole records, and hands out as much of one as it is asked for. The rest is
//! no input of the socket any more, so no wait reports it. A program that goes to sleep on it and
//! reads on only when the socket is reported again has forgotten it; one that reads on of its own
//! accord, even once, has put it off (see `pace.rs`).

use alloc::vec::Vec;

use epolyfill_facts::mask::INPUT;

use super::pace::{Again, Tally};
use super::sites::Sites;
use super::{ms, room};
use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};
use crate::mirror::{FileId, RegistrationId};

/// A shorter sleep does not count.
const LEAST_NS: u64 = ms(5);
/// Sleeps of a site that count as a fault.
const LATE: u32 = 2;
/// The most connections with decrypted bytes that are kept.
const MOST: usize = 64;

/// The connections with decrypted bytes, and what the program does about them.
#[derive(Debug, Default)]
pub struct OfProcess {
    pending: Vec<Pending>,
    sites: Sites<Tally>,
}

/// A connection whose last read left decrypted bytes.
#[derive(Debug)]
struct Pending {
    fd: i32,
    file: FileId,
    /// The thread of that read.
    tid: i32,
    bytes: u64,
    /// When the current sleep of the thread began.
    since_ns: Option<u64>,
    /// Its longest sleep since the read, 0 for none.
    slept_ns: u64,
    /// The report that ended it.
    again: Option<Again>,
}

/// A forked child: the parent may read.
pub(crate) fn start(state: &mut OfProcess) {
    *state = OfProcess::default();
}

/// A read of a connection began at `began_ns`, and left so many decrypted bytes.
pub(crate) fn read(cx: &mut Context<'_>, state: &mut OfProcess, fd: i32, bytes: u64, began_ns: u64) {
    let known = state.pending.iter().position(|one| one.fd == fd);
    if let Some(at) = known {
        let before = state.pending.swap_remove(at);
        if before.slept_ns > 0 {
            judge(cx, state, &before, began_ns);
        }
    }
    let Some(file) = cx.mirror.file_of(fd).filter(|_| bytes > 0) else { return };
    if state.pending.len() < MOST && state.pending.try_reserve(1).is_ok() {
        let tid = cx.stamp.tid;
        state.pending.push(Pending { fd, file, tid, bytes, since_ns: None, slept_ns: 0, again: None });
    }
}

/// Decides what a read of bytes that were slept on was. `numbers` of [`Rule::TlsPending`]: the bytes.
/// `worst_ns` is the longest sleep.
fn judge(cx: &mut Context<'_>, state: &mut OfProcess, pending: &Pending, began_ns: u64) {
    let Some(id) = registration(cx, pending) else { return };
    let Some(registration) = cx.mirror.registration(id) else { return };
    let cause = pending.again.map_or(Some(false), |again| again.is_cause(cx, registration, began_ns));
    let Some(tally) = state.sites.of(registration.site, pending.fd) else { return };
    match cause {
        None => return,
        Some(true) => tally.late += 1,
        Some(false) => tally.resumed += 1,
    }
    if cause == Some(false) || tally.resumed > 0 || tally.late < LATE {
        return;
    }
    let count = if tally.late == LATE { u64::from(LATE) } else { 1 };
    let numbers = [pending.bytes.cast_signed(), 0, 0, 0, 0, 0];
    let finding = cx.finding(Rule::TlsPending, Grade::Fault, registration);
    cx.report(Finding { count, numbers, worst_ns: pending.slept_ns, ..finding });
}

/// The registration of a connection with the instance that its thread waits on.
fn registration(cx: &Context<'_>, pending: &Pending) -> Option<RegistrationId> {
    let instance = cx.mirror.thread(pending.tid)?.instance?;
    cx.mirror.find(instance, pending.fd).filter(|_| cx.mirror.file_of(pending.fd) == Some(pending.file))
}

/// A thread begins to wait.
pub(crate) fn before_wait(cx: &Context<'_>, state: &mut OfProcess, room: &room::OfProcess, sleeps: bool) {
    // A program that cannot write on may leave its input for that.
    let is_paced = room.is_any_choked();
    for one in state.pending.iter_mut().filter(|one| one.tid == cx.stamp.tid) {
        one.again = None;
        one.since_ns = (sleeps && !is_paced).then_some(cx.stamp.ns);
    }
}

/// A wait returned; `again` is its report.
pub(crate) fn after_wait(cx: &Context<'_>, state: &mut OfProcess, again: Again) {
    let Some(thread) = cx.mirror.thread(cx.stamp.tid).filter(|_| !state.pending.is_empty()) else { return };
    for one in state.pending.iter_mut().filter(|one| one.tid == cx.stamp.tid) {
        let slept = one.since_ns.take().map_or(0, |since| cx.stamp.ns.saturating_sub(since));
        if slept >= LEAST_NS {
            one.slept_ns = one.slept_ns.max(slept);
        }
        let is_told = thread.batch.iter().any(|told| told.event.fd == one.fd && told.event.bits & INPUT != 0);
        one.again = is_told.then_some(again);
    }
}

/// A number is closed.
pub(crate) fn close(state: &mut OfProcess, fd: i32) {
    state.pending.retain(|one| one.fd != fd);
}

#[cfg(test)]
mod tests {
    use epolyfill_facts::mask::{HUP, IN, OUT};
    use epolyfill_facts::{Call, Fact};

    use crate::rules::testing::Story;
    use crate::{Grade, Rule};

    fn story() -> Story {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 5, IN);
        story.add(3, 6, IN);
        story
    }

    fn reads(story: &mut Story, pending: u64) {
        story.fact(Fact::TlsRead { fd: 5, pending, began_ns: story.ns });
    }

    /// Sleeps, until these are reported.
    fn sleeps(story: &mut Story, ms: u64, timeout_ns: i64, events: &[(i32, u32)]) {
        story.waits(3, timeout_ns);
        let began_ns = story.ns;
        story.pass_ms(ms);
        story.reports_since(3, events, timeout_ns, began_ns);
    }

    /// A record of which one half is read with the next record.
    fn late(story: &mut Story, ms: u64) {
        reads(story, 576);
        sleeps(story, ms, -1, &[(5, IN)]);
        reads(story, 0);
    }

    #[test]
    fn decrypted_bytes_that_are_read_with_the_next_record_are_a_fault_the_second_time() {
        let mut story = story();
        late(&mut story, 300);
        assert_eq!(story.findings(), []);
        late(&mut story, 400);
        assert_eq!(story.findings(), [(Rule::TlsPending, Grade::Fault)]);
        late(&mut story, 20);
        let finding = &story.auditor.findings()[0];
        assert_eq!((finding.fd, finding.count, finding.numbers[0]), (5, 3, 576));
        assert_eq!(finding.worst_ns / 1_000_000, 400);
    }

    #[test]
    fn a_connection_that_is_read_until_nothing_is_left_or_for_which_the_loop_hardly_slept_is_none() {
        let mut story = story();
        for _ in 0..3 {
            reads(&mut story, 576);
            reads(&mut story, 0);
            sleeps(&mut story, 300, -1, &[(5, IN)]);
            late(&mut story, 2);
            // A wait that does not sleep, after which it reads on.
            reads(&mut story, 576);
            sleeps(&mut story, 0, 0, &[]);
            reads(&mut story, 0);
        }
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn a_program_that_reads_on_of_its_own_accord_puts_it_off_on_purpose() {
        let mut story = story();
        reads(&mut story, 576);
        sleeps(&mut story, 300, -1, &[(6, IN)]);
        reads(&mut story, 0);
        for _ in 0..3 {
            late(&mut story, 300);
        }
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn a_timer_another_event_or_another_thread_can_have_caused_the_read() {
        let mut story = story();
        for _ in 0..3 {
            reads(&mut story, 576);
            sleeps(&mut story, 300, 300_000_000, &[(5, IN)]);
            reads(&mut story, 576);
            sleeps(&mut story, 300, -1, &[(5, IN), (6, HUP)]);
            reads(&mut story, 0);
        }
        assert_eq!(story.findings(), []);
        for _ in 0..3 {
            reads(&mut story, 576);
            story.waits(3, -1);
            story.pass_ms(300);
            story.tid = 2;
            reads(&mut story, 0);
            story.tid = 1;
            story.reports(3, &[(5, IN)]);
            reads(&mut story, 0);
        }
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn a_program_that_cannot_write_on_and_a_connection_that_is_closed_are_left_alone() {
        let mut story = story();
        story.add(3, 7, OUT);
        story.call(Call::Write, 7, 100, -11);
        for _ in 0..3 {
            late(&mut story, 300);
        }
        assert_eq!(story.findings(), []);
        let mut story = self::story();
        for _ in 0..3 {
            reads(&mut story, 576);
            story.close(5);
            story.add(3, 5, IN);
            sleeps(&mut story, 300, -1, &[(5, IN)]);
            reads(&mut story, 0);
        }
        assert_eq!(story.findings(), []);
    }
}
