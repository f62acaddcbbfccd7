//! R19: a wake-up is written to where nobody listens.
//!
//! A write to the number of an eventfd that is closed, and was written to before, is a fault if the
//! number is still closed. If it names another file, 8 bytes by a thread that wrote to the eventfd,
//! as the first call on that file, can be meant for it: a suspect.
//!
//! A write to an eventfd that once woke a loop, and is in no instance now, or masked, is a suspect if
//! it is unread a second later: a thread can look at it from time to time, and at the end of a
//! program nobody needs to be woken any more. One whose EPOLLONESHOT registration is spent is R3's.
//! Pipes are not judged: which end belongs to which is not known, and a thread can block in a read.

use alloc::vec::Vec;

use arrayvec::ArrayVec;
use epolyfill_facts::mask::INPUT;
use epolyfill_facts::{Call, Class, Fact, SiteId, errno};
use hashbrown::HashMap;

use super::ms;
use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};
use crate::mirror::{FileId, RegistrationId};

/// An eventfd as a means to wake a loop.
#[derive(Debug, Default)]
pub struct OfFile {
    /// The threads that wrote to it.
    writers: ArrayVec<i32, 8>,
    writes: u64,
    reads: u64,
    /// The registration that was reported last.
    waker: Option<Waker>,
    is_pending: bool,
}

#[derive(Clone, Copy, Debug)]
struct Waker {
    epfd: i32,
    events: u32,
    site: SiteId,
}

/// The wake-ups of the process.
#[derive(Debug, Default)]
pub struct OfProcess {
    /// The numbers of eventfds that are closed.
    closed: HashMap<i32, Closed>,
    /// Writes that nobody listened to.
    pending: Vec<Pending>,
}

#[derive(Debug)]
struct Closed {
    finding: Finding,
    ns: u64,
    writers: ArrayVec<i32, 8>,
    writes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    fd: i32,
    file: FileId,
    since_ns: u64,
    reads: u64,
    ns: u64,
}

/// Unread for so long.
const UNREAD_NS: u64 = ms(1000);
/// The most numbers and writes that are kept in mind.
const MOST: usize = 256;
/// The bytes of a wake-up.
const BYTES: u64 = 8;

/// The fate of a wake-up, the first of `numbers`.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Refused = 0,
    Elsewhere = 1,
    Unheard = 2,
}

/// A forked child: the wake-ups are its parent's.
pub(crate) fn start(state: &mut OfProcess) {
    *state = OfProcess::default();
}

/// A registration was reported.
pub(crate) fn told(cx: &mut Context<'_>, id: RegistrationId, bits: u32) {
    let Some(registration) = cx.mirror.registration(id).filter(|_| bits & INPUT != 0) else { return };
    let (epfd, events, site) = (registration.epfd, registration.events, registration.site);
    let file = registration.file;
    if let Some(file) = cx.mirror.file_mut(file).filter(|file| file.kind.is_eventfd()) {
        file.state.astray.waker = Some(Waker { epfd, events, site });
    }
}

/// A call on an eventfd.
pub(crate) fn call(cx: &mut Context<'_>, state: &mut OfProcess, id: FileId, call: &Fact<'_>) {
    let Fact::Call { call, fd, asked, answer, .. } = *call else { return };
    let tid = cx.stamp.tid;
    let Some(file) = cx.mirror.file_mut(id) else { return };
    let (since_ns, astray) = (file.since_ns, &mut file.state.astray);
    if call.class() == Class::Read {
        astray.reads += 1;
        return;
    }
    if call != Call::Write || asked != BYTES || answer < 0 {
        return;
    }
    astray.writes += 1;
    if !astray.writers.contains(&tid) {
        let _full = astray.writers.try_push(tid);
    }
    let (reads, is_waker) = (astray.reads, astray.waker.is_some() && !astray.is_pending);
    if is_waker && !is_heard(cx, id) && state.pending.len() < MOST && state.pending.try_reserve(1).is_ok() {
        let ns = cx.stamp.ns;
        state.pending.push(Pending { fd, file: id, since_ns, reads, ns });
        if let Some(file) = cx.mirror.file_mut(id) {
            file.state.astray.is_pending = true;
        }
        cx.tick_at(ns + UNREAD_NS);
    }
}

/// Whether a registration waits for input of a file, or did until it was spent.
fn is_heard(cx: &Context<'_>, id: FileId) -> bool {
    let Some(file) = cx.mirror.file(id) else { return false };
    let mut registrations = file.registrations.iter().filter_map(|id| cx.mirror.registration(*id));
    registrations.any(|registration| registration.events & INPUT != 0)
}

/// The first call on a number whose eventfd was closed.
///
/// `numbers` of the rule: 0 if the number is closed, 1 if it names another file, 2 if nobody
/// listens; the nanoseconds since the close, or since the write; the writes to the eventfd before.
pub(crate) fn after_close(cx: &mut Context<'_>, state: &mut OfProcess, call: &Fact<'_>) {
    let Fact::Call { call, fd, asked, answer, .. } = *call else { return };
    if state.closed.is_empty() {
        return;
    }
    let Some(closed) = state.closed.remove(&fd) else { return };
    if call != Call::Write || (answer >= 0 && asked != BYTES) {
        return;
    }
    let is_closed = errno::of(answer) == errno::EBADF && cx.world.is_open(fd) == Some(false);
    let is_elsewhere =
        answer == BYTES as i64 && closed.writers.contains(&cx.stamp.tid) && !cx.world.kind(fd).is_eventfd();
    let (grade, fate) = match () {
        () if is_closed => (Grade::Fault, Fate::Refused),
        () if is_elsewhere => (Grade::Suspect, Fate::Elsewhere),
        () => return,
    };
    let since = (cx.stamp.ns - closed.ns).cast_signed();
    let numbers = [fate as i64, since, closed.writes.cast_signed(), 0, 0, 0];
    cx.report(Finding { grade, numbers, ..closed.finding });
}

/// A number is about to be closed; the mirror still has it.
pub(crate) fn close(cx: &mut Context<'_>, state: &mut OfProcess, fd: i32) {
    state.closed.remove(&fd); // It had another owner meanwhile.
    let Some(file) = cx.mirror.file_of(fd).and_then(|id| cx.mirror.file(id)) else { return };
    let (kind, astray) = (file.kind, &file.state.astray);
    let Some(waker) = astray.waker.filter(|_| kind.is_eventfd() && astray.writes > 0) else { return };
    let (writers, writes, ns) = (astray.writers.clone(), astray.writes, cx.stamp.ns);
    if state.closed.len() >= MOST {
        state.closed.clear();
    }
    if state.closed.try_reserve(1).is_ok() {
        let Waker { epfd, events, site } = waker;
        let who = cx.world.describe(fd, kind);
        let finding = Finding { kind, fd, epfd, events, site, who, ..Finding::new(Rule::WakeAstray, Grade::Fault) };
        state.closed.insert(fd, Closed { finding, ns, writers, writes });
    }
}

/// A number names another file now.
pub(crate) fn replaced(state: &mut OfProcess, fd: i32) {
    if !state.closed.is_empty() {
        state.closed.remove(&fd);
    }
}

/// Looks whether the writes that nobody listened to were read.
pub(crate) fn tick(cx: &mut Context<'_>, state: &mut OfProcess) {
    let mut at = 0;
    while let Some(&pending) = state.pending.get(at) {
        if cx.stamp.ns < pending.ns + UNREAD_NS {
            cx.tick_at(pending.ns + UNREAD_NS);
            at += 1;
            continue;
        }
        state.pending.swap_remove(at);
        unheard(cx, pending);
    }
}

fn unheard(cx: &mut Context<'_>, pending: Pending) {
    let Pending { fd, file, since_ns, reads, ns } = pending;
    let Some(of_file) = cx.mirror.file_mut(file).filter(|file| file.since_ns == since_ns) else { return };
    let (kind, astray) = (of_file.kind, &mut of_file.state.astray);
    astray.is_pending = false;
    let (Some(waker), writes) = (astray.waker, astray.writes) else { return };
    if astray.reads != reads || cx.mirror.file_of(fd) != Some(file) || is_heard(cx, file) {
        return;
    }
    if cx.world.levels(fd, INPUT).is_none_or(|levels| levels == 0) {
        return;
    }
    let Waker { epfd, events, site } = waker;
    let age = cx.stamp.ns - ns;
    let numbers = [Fate::Unheard as i64, age.cast_signed(), writes.cast_signed(), 0, 0, 0];
    let suspect = Finding::new(Rule::WakeAstray, Grade::Suspect);
    cx.report(Finding { kind, fd, epfd, events, site, numbers, worst_ns: age, ..suspect });
}

#[cfg(test)]
mod tests {
    use epolyfill_facts::mask::IN;
    use epolyfill_facts::{Call, Kind, Op};

    use crate::rules::testing::Story;
    use crate::{Grade, Rule};

    const ASTRAY: Rule = Rule::WakeAstray;

    /// A loop that was woken once by thread 2 through eventfd 5.
    fn woken() -> Story {
        let mut story = Story::new();
        story.world.kinds.insert(5, Kind::Eventfd);
        story.create(3);
        story.add(3, 5, IN);
        story.waits(3, -1);
        wake(&mut story, 8);
        story.reports(3, &[(5, IN)]);
        story.call(Call::Read, 5, 8, 8);
        story
    }

    fn wake(story: &mut Story, answer: i64) {
        story.tid = 2;
        story.call(Call::Write, 5, if answer < 0 { 0 } else { 8 }, answer);
        story.tid = 1;
    }

    #[test]
    fn a_wake_up_for_an_eventfd_that_is_closed_is_a_fault() {
        let mut story = woken();
        story.close(5);
        story.world.closed.push(5);
        wake(&mut story, -9);
        assert_eq!(story.findings(), [(ASTRAY, Grade::Fault)]);
        assert_eq!(story.auditor.findings()[0].numbers[0], 0);
    }

    #[test]
    fn eight_bytes_for_the_next_owner_of_the_number_are_a_suspect() {
        let mut story = woken();
        story.close(5);
        story.world.kinds.insert(5, Kind::Tcp);
        wake(&mut story, 8);
        assert_eq!(story.findings(), [(ASTRAY, Grade::Suspect)]);
    }

    #[test]
    fn a_new_eventfd_under_the_number_and_an_owner_that_is_in_use_are_right() {
        let mut again = woken();
        again.close(5);
        wake(&mut again, 8);
        let mut used = woken();
        used.close(5);
        used.world.kinds.insert(5, Kind::Tcp);
        used.call(Call::Recvfrom, 5, 64, 64);
        wake(&mut used, 8);
        let mut stranger = woken();
        stranger.close(5);
        stranger.world.kinds.insert(5, Kind::Tcp);
        stranger.call(Call::Write, 5, 8, 8); // Not the thread that wakes.
        let mut reopened = woken();
        reopened.close(5);
        reopened.close(5); // Something else was opened there.
        reopened.world.closed.push(5);
        wake(&mut reopened, -9);
        assert_eq!([again, used, stranger, reopened].map(|story| story.findings().len()), [0; 4]);
    }

    #[test]
    fn a_wake_up_for_an_eventfd_that_is_registered_nowhere_is_a_suspect_after_a_second() {
        let mut story = woken();
        story.control(3, Op::Del, 5, 0, 0);
        wake(&mut story, 8);
        story.world.levels.insert(5, IN);
        story.pass_ms(900);
        assert_eq!(story.findings(), []);
        story.pass_ms(200);
        assert_eq!(story.findings(), [(ASTRAY, Grade::Suspect)]);
    }

    #[test]
    fn what_is_read_or_registered_again_in_time_and_what_never_woke_a_loop_is_right() {
        let mut read = woken();
        read.control(3, Op::Mod, 5, 0, 0);
        wake(&mut read, 8);
        read.call(Call::Read, 5, 8, 8);
        let mut again = woken();
        again.control(3, Op::Del, 5, 0, 0);
        wake(&mut again, 8);
        again.add(3, 5, IN);
        let mut flag = Story::new();
        flag.world.kinds.insert(5, Kind::Eventfd);
        flag.create(3);
        flag.add(3, 5, IN);
        flag.control(3, Op::Del, 5, 0, 0);
        wake(&mut flag, 8);
        for mut story in [read, again, flag] {
            story.world.levels.insert(5, IN);
            story.pass_ms(2000);
            assert_eq!(story.findings(), []);
        }
    }
}
