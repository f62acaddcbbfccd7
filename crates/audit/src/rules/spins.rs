//! Waits that return at once, again and again, for an event that the program leaves as it is.

use epolyfill_facts::mask::{IN, ONESHOT, OUT};
use epolyfill_facts::{Call, Class, Fact, Kind, Op, errno};

use super::ms;
use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};
use crate::mirror::{Batched, RegistrationId};

/// The calls on a file.
#[derive(Debug, Default)]
pub struct OfFile {
    /// Calls that can have changed its level.
    answers: u64,
    /// The first failing call since the last report.
    failure: Option<(Call, i64)>,
    /// A call took something from it once.
    was_read: bool,
}

/// Reports of a registration in a row.
#[derive(Debug, Default)]
pub struct OfRegistration {
    bits: u32,
    answers: u64,
    failure: Option<(Call, i64)>,
    /// When the row began, later by the time of its pauses.
    since_ns: u64,
    seen_ns: u64,
    /// Waits that took longer, and whether the last one did: a thread can be without a processor.
    pauses: u32,
    is_paused: bool,
    /// Waits that reported only such registrations.
    alone: u32,
    counted: u32,
    is_rearmed: bool,
}

/// R9: this many waits in this time, each shorter than `SLEPT_NS`, as are their rounds on average.
const ROUNDS: u32 = 64;
const LEAST_NS: u64 = ms(20);
/// Shorter, it can be over by itself: another thread is about to close the descriptor, and is
/// without a processor; or a program with nothing left to write waits for its last answers.
const FAULT_NS: u64 = ms(100);
const SLEPT_NS: u64 = ms(1);
/// As many waits for each that takes longer: those were without a processor, and did not sleep.
const PAUSED: u32 = 64;

/// Notes what a call does to the level of its descriptors.
pub(crate) fn call(cx: &mut Context<'_>, fact: &Fact<'_>) {
    let Fact::Call { call, fd, other, asked, answer, .. } = *fact else { return };
    let class = call.class();
    if matches!(call, Call::Getsockopt | Call::Setsockopt) || (class == Class::Read && asked == 0 && answer == 0) {
        return;
    }
    for fd in [fd, other] {
        if fd < 0 {
            continue;
        }
        let Some(file) = cx.mirror.file_of(fd).and_then(|id| cx.mirror.file_mut(id)) else { continue };
        let is_stream =
            !matches!(file.kind, Kind::Udp | Kind::UnixDgram | Kind::UnixSeqpacket | Kind::Netlink | Kind::Socket);
        let is_end = class == Class::Read && answer == 0 && is_stream;
        let spins = &mut file.state.spins;
        spins.was_read |= matches!(class, Class::Read | Class::Accept) && answer > 0;
        if answer < 0 && errno::of(answer) != errno::EINTR || is_end {
            spins.failure.get_or_insert((call, answer));
        } else {
            spins.answers += 1;
        }
    }
}

/// R9. `count` is of waits, `worst_ns` the time in which they came. `numbers`: the waits in a row so
/// far; the number of the call that failed each time, -1 if none was made; its errno, 0 for the end
/// of the stream; 1 if the registration was armed again, unchanged, each time; the nanoseconds in
/// which the waits came.
pub(crate) fn after_wait(cx: &mut Context<'_>, report: &Fact<'_>) {
    let Fact::Report { timeout_ns, began_ns, .. } = *report else { return };
    let is_short = cx.stamp.ns.saturating_sub(began_ns) < SLEPT_NS;
    let (mut at, mut is_alone) = (0, is_short && timeout_ns != 0);
    while let Some(batched) = batched(cx, at) {
        at += 1;
        is_alone &= is_stuck(cx, batched, is_short);
    }
    for at in 0..if is_alone { at } else { 0 } {
        if let Some((id, _)) = batched(cx, at).and_then(|batched| batched.registration) {
            count(cx, id);
        }
    }
}

fn batched(cx: &Context<'_>, at: usize) -> Option<Batched> {
    cx.mirror.thread(cx.stamp.tid)?.batch.get(at).copied()
}

/// Whether nothing that can answer the event has happened since the registration's last report.
fn is_stuck(cx: &mut Context<'_>, batched: Batched, is_short: bool) -> bool {
    let Some((id, _)) = batched.registration else { return false };
    let Some(registration) = cx.mirror.registration(id) else { return false };
    let (file, is_edge) = (registration.file, registration.is_edge());
    let Some(file) = cx.mirror.file_mut(file) else { return false };
    let is_visible = is_visible(file.kind) && !file.is_foreign;
    let (answers, failure) = (file.state.spins.answers, file.state.spins.failure.take());
    let bits = batched.event.bits;
    // Somebody else was faster, as with a listener that processes share.
    let is_race = failure.is_some_and(|(call, answer)| {
        errno::of(answer) == errno::EAGAIN
            && match call.class() {
                Class::Read | Class::Accept | Class::Move => bits & IN != 0,
                Class::Write => bits & OUT != 0,
                _ => true,
            }
    });
    let now = cx.stamp.ns;
    let Some(registration) = cx.mirror.registration_mut(id) else { return false };
    let spins = &mut registration.state.spins;
    let is_same = spins.bits == bits && spins.answers == answers && (spins.failure == failure || spins.alone == 0);
    let is_unanswered = is_same && is_visible && !is_race && (!is_edge || spins.is_rearmed);
    let is_stuck = is_unanswered && is_short;
    if !is_stuck && (!is_unanswered || spins.is_paused) {
        (spins.since_ns, spins.alone, spins.counted, spins.pauses) = (now, 0, 0, 0);
    } else if !is_stuck {
        (spins.since_ns, spins.pauses) = (spins.since_ns + now.saturating_sub(spins.seen_ns), spins.pauses + 1);
    }
    (spins.seen_ns, spins.is_paused) = (now, !is_stuck);
    (spins.bits, spins.answers, spins.failure) = (bits, answers, failure);
    is_stuck
}

/// Whether all that takes from files of this kind is a call. Rings and devices can be emptied
/// through shared memory.
fn is_visible(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Unidentified
            | Kind::Epoll
            | Kind::Source
            | Kind::Socket
            | Kind::IoUring
            | Kind::Userfault
            | Kind::Pressure
            | Kind::Glimpse
            | Kind::Notice
            | Kind::Attribute
            | Kind::Other
    )
}

fn count(cx: &mut Context<'_>, id: RegistrationId) {
    let now = cx.stamp.ns;
    let Some(registration) = cx.mirror.registration_mut(id) else { return };
    let spins = &mut registration.state.spins;
    spins.alone = spins.alone.saturating_add(1);
    let (alone, elapsed) = (spins.alone, now - spins.since_ns);
    let is_rearmed = core::mem::take(&mut spins.is_rearmed);
    let step = if alone < 1024 { ROUNDS } else { 1024 };
    if alone < ROUNDS.max(spins.pauses.saturating_mul(PAUSED))
        || elapsed < LEAST_NS
        || elapsed / u64::from(alone) > SLEPT_NS
        || alone - spins.counted < step
    {
        return;
    }
    let new = alone - core::mem::replace(&mut spins.counted, alone);
    let (bits, failure, fd) = (spins.bits, spins.failure, registration.fd);
    let Some(registration) = cx.mirror.registration(id) else { return };
    let Some(file) = cx.mirror.file(registration.file) else { return };
    let finding = cx.finding(Rule::Spin, Grade::Fault, registration);
    // The C library reads streams without a call that is seen: stdin, for instance.
    let by_stdio =
        matches!(file.kind, Kind::Pipe | Kind::Fifo | Kind::Tty | Kind::UnixStream | Kind::Tcp | Kind::Mptcp)
            && bits & IN != 0
            && !file.state.spins.was_read;
    let is_proved = elapsed >= FAULT_NS && (!by_stdio || cx.world.unread(fd, finding.kind) == Some(0));
    let (call, errno) = failure.map_or((-1, 0), |(call, answer)| (call as i64, -answer));
    let numbers = [alone.into(), call, errno, is_rearmed.into(), elapsed.cast_signed(), 0];
    let grade = if is_proved { Grade::Fault } else { Grade::Suspect };
    cx.report(Finding { grade, bits, count: new.into(), worst_ns: elapsed, numbers, ..finding });
}

/// Notes a control call: one that changes the mask or the data is an answer.
pub(crate) fn before_control(cx: &mut Context<'_>, control: &Fact<'_>) {
    let Fact::Control { epfd, op, fd, events, data, errno: 0, .. } = *control else { return };
    if Op::from_number(op) != Some(Op::Mod) {
        return;
    }
    let Some(id) = cx.mirror.instance_of(epfd).and_then(|instance| cx.mirror.find(instance, fd)) else { return };
    let Some(registration) = cx.mirror.registration_mut(id) else { return };
    let is_same = (registration.events ^ events) & !ONESHOT == 0 && registration.data == data;
    let spins = &mut registration.state.spins;
    spins.is_rearmed = is_same;
    if !is_same {
        spins.bits = 0;
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Story;
    use crate::{Grade, Rule};
    use epolyfill_facts::mask::{EDGE, HUP, IN, ONESHOT, OUT};
    use epolyfill_facts::{Call, Kind, Op};

    const SPIN: (Rule, Grade) = (Rule::Spin, Grade::Fault);

    fn rounds(story: &mut Story, fd: i32, bits: u32, round: impl FnMut(&mut Story)) {
        some_rounds(600, story, fd, bits, round);
    }

    fn some_rounds(count: u32, story: &mut Story, fd: i32, bits: u32, mut round: impl FnMut(&mut Story)) {
        for _ in 0..count {
            story.waits(3, 100_000_000);
            story.reports(3, &[(fd, bits)]);
            story.ns += 200_000;
            round(story);
        }
    }

    fn watching(fd: i32, kind: Kind, events: u32) -> Story {
        let mut story = Story::new();
        story.world.kinds.insert(fd, kind);
        story.create(3);
        story.add(3, fd, events);
        story
    }

    #[test]
    fn room_that_nobody_wants_is_a_spin() {
        let mut story = watching(4, Kind::UnixStream, IN | OUT);
        rounds(&mut story, 4, OUT, |_| {});
        assert_eq!(story.findings(), [SPIN]);
        assert_eq!(story.auditor.findings()[0].numbers[1], -1);
    }

    #[test]
    fn a_spin_that_is_over_soon_is_a_suspect() {
        let mut story = watching(4, Kind::Pipe, IN);
        some_rounds(200, &mut story, 4, HUP, |story| story.call(Call::Read, 4, 64, 0));
        assert_eq!(story.findings(), [(Rule::Spin, Grade::Suspect)]);
        rounds(&mut story, 4, HUP, |story| story.call(Call::Read, 4, 64, 0));
        assert_eq!(story.findings(), [SPIN]);
    }

    #[test]
    fn a_spin_that_is_without_a_processor_now_and_then_is_one() {
        let mut story = watching(4, Kind::UnixStream, IN | OUT);
        for _ in 0..6 {
            some_rounds(100, &mut story, 4, OUT, |_| {});
            story.waits(3, -1);
            let began_ns = story.ns;
            story.ns += 30_000_000;
            story.reports_since(3, &[(4, OUT)], -1, began_ns);
        }
        assert_eq!(story.findings(), [SPIN]);
        let mut sleeper = watching(4, Kind::UnixStream, IN | OUT);
        for round in 0..900 {
            sleeper.waits(3, -1);
            let began_ns = sleeper.ns;
            sleeper.ns += if round % 9 == 0 { 2_000_000 } else { 200_000 };
            sleeper.reports_since(3, &[(4, OUT)], -1, began_ns);
        }
        assert_eq!(sleeper.findings(), []);
    }

    #[test]
    fn a_read_in_vain_for_room_is_no_answer_and_a_write_is() {
        let mut story = watching(4, Kind::UnixStream, IN | OUT);
        rounds(&mut story, 4, OUT, |story| story.call(Call::Read, 4, 64, -11));
        assert_eq!(story.findings(), [SPIN]);
        let mut story = watching(4, Kind::UnixStream, IN | OUT);
        rounds(&mut story, 4, OUT, |story| story.call(Call::Write, 4, 64, 64));
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn a_hang_up_and_an_end_of_stream_that_nobody_heeds_are_spins() {
        let mut story = watching(4, Kind::UnixStream, 0);
        rounds(&mut story, 4, HUP, |_| {});
        assert_eq!(story.findings(), [SPIN]);
        let mut story = watching(4, Kind::Tcp, IN);
        rounds(&mut story, 4, IN, |story| story.call(Call::Read, 4, 64, 0));
        assert_eq!(story.findings(), [SPIN]);
    }

    #[test]
    fn accept_without_a_free_number_is_a_spin_and_one_that_lost_a_race_is_not() {
        let mut story = watching(4, Kind::TcpListener, IN);
        rounds(&mut story, 4, IN, |story| story.call(Call::Accept, 4, 0, -24));
        assert_eq!(story.findings(), [SPIN]);
        let mut story = watching(4, Kind::TcpListener, IN);
        rounds(&mut story, 4, IN, |story| story.call(Call::Accept, 4, 0, -11));
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn a_oneshot_that_is_armed_again_unchanged_spins() {
        let mut story = watching(4, Kind::Tcp, IN | ONESHOT);
        rounds(&mut story, 4, HUP, |story| story.control(3, Op::Mod, 4, IN | ONESHOT, 0));
        assert_eq!(story.findings(), [SPIN]);
    }

    #[test]
    fn a_timer_that_is_read_with_too_few_bytes_spins() {
        let mut story = watching(4, Kind::Timerfd, IN);
        rounds(&mut story, 4, IN, |story| story.call(Call::Read, 4, 4, -22));
        assert_eq!(story.findings(), [SPIN]);
    }

    #[test]
    fn edges_are_arrivals_and_sleeps_are_no_spins() {
        let mut story = watching(4, Kind::Eventfd, IN | EDGE);
        rounds(&mut story, 4, IN, |_| {});
        assert_eq!(story.findings(), []);
        let mut story = watching(4, Kind::Eventfd, IN);
        for _ in 0..200 {
            story.waits(3, -1);
            let began_ns = story.ns;
            story.pass_ms(2);
            story.reports_since(3, &[(4, IN)], -1, began_ns);
        }
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn other_work_and_waits_without_time_are_no_spins() {
        let mut story = watching(4, Kind::UnixStream, IN | OUT);
        story.add(3, 5, IN);
        for _ in 0..200 {
            story.waits(3, -1);
            story.reports(3, &[(4, OUT), (5, IN)]);
            story.call(Call::Read, 5, 64, 64);
            story.ns += 200_000;
        }
        for _ in 0..200 {
            story.waits(3, 0);
            let began_ns = story.ns;
            story.reports_since(3, &[(4, OUT)], 0, began_ns);
            story.ns += 200_000;
        }
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn a_stream_that_only_the_c_library_reads_is_a_suspect() {
        let mut story = watching(4, Kind::Pipe, IN);
        story.world.unread.insert(4, 65536);
        rounds(&mut story, 4, IN, |_| {});
        assert_eq!(story.findings(), [(Rule::Spin, Grade::Suspect)]);
    }
}
