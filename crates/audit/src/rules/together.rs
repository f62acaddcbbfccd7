//! R16: two threads read one stream at the same time, so that each gets a part of the message.
//!
//! An instance without EPOLLONESHOT that several threads wait on reports the next bytes of a stream
//! to a second thread while the first is still at the earlier ones. Two things show it. Calls that
//! overlap in time, and both take bytes, prove that no lock is around them, and that their order is
//! nobody's choice: a fault after three of them. Calls in turns (the first thread, the second, the
//! first again, each for a report of its own) can be under a lock that guards the buffer, too: a
//! suspect.
//!
//! Only connections are judged. Messages are whole whoever reads them, a listener's connections are
//! independent, and a pipe can carry tokens for whoever comes first. So can a connection: single
//! bytes do not count, nor do records that all reads of a unix socket get whole, which the kernel
//! does not cut. A thread that reads without a report of its own has
//! been given the stream by another: handing over is right.

use epolyfill_facts::{Call, Fact, Kind};

use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};
use crate::mirror::{FileId, RegistrationId};

/// The last reads of a stream.
#[derive(Debug, Default)]
pub struct OfFile {
    last: [Read; 2],
    overlaps: u32,
    turns: u32,
    said: Option<Grade>,
}

/// A read that took bytes, for an event of the thread's last report.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    tid: i32,
    /// The round of the thread: its waits so far.
    round: u64,
    ended_ns: u64,
    /// The bytes that it asked for, if it got them all.
    whole: Option<u64>,
}

/// As many cases are no chance.
const CASES: u32 = 3;

/// `other`: the id of the other thread. `numbers`: the reads that overlapped; those in turns; the
/// bytes of the last one. `worst_ns`: for how long the last two overlapped.
pub(crate) fn call(cx: &mut Context<'_>, id: FileId, call: &Fact<'_>) {
    let Fact::Call { call, asked, answer, began_ns, flags, .. } = *call else { return };
    if answer < 2 || !call.takes(flags) || call == Call::Splice {
        return;
    }
    let Some(file) = cx.mirror.file(id).filter(|file| file.kind != Kind::UnixSeqpacket) else { return };
    let (tid, kind, last) = (cx.stamp.tid, file.kind, file.state.together.last);
    let Some(registration) = told(cx, id, tid) else { return };
    let round = cx.mirror.thread(tid).map_or(0, |thread| thread.waits);
    let read = Read { tid, round, ended_ns: cx.stamp.ns, whole: (answer.unsigned_abs() == asked).then_some(asked) };
    let [before, earlier] = last;
    let are_records = kind == Kind::UnixStream && read.whole.is_some() && read.whole == before.whole;
    let is_other = before.tid != 0 && before.tid != tid && !are_records && is_in_round(cx, id, before);
    let overlap = if is_other { before.ended_ns.saturating_sub(began_ns) } else { 0 };
    let is_turn = is_other && (earlier.tid, earlier.round) == (tid, round);
    let Some(file) = cx.mirror.file_mut(id) else { return };
    let together = &mut file.state.together;
    together.last = [read, before];
    together.overlaps += u32::from(overlap > 0);
    together.turns += u32::from(is_turn && overlap == 0);
    if overlap > 0 || is_turn {
        report(cx, (id, registration), before.tid, overlap, answer);
    }
}

/// The registration of a file whose event is in a thread's last report, unless it is spent by it.
fn told(cx: &Context<'_>, file: FileId, tid: i32) -> Option<RegistrationId> {
    let thread = cx.mirror.thread(tid).filter(|thread| thread.waits_since_ns.is_none())?;
    thread.batch.iter().find_map(|batched| {
        let registration = cx.mirror.still(batched.registration?)?;
        (registration.file == file && !registration.is_oneshot()).then_some(batched.registration?.0)
    })
}

/// Whether the thread of a read has not waited since, and has its event of the file.
fn is_in_round(cx: &Context<'_>, file: FileId, read: Read) -> bool {
    cx.mirror.thread(read.tid).is_some_and(|thread| thread.waits == read.round) && told(cx, file, read.tid).is_some()
}

fn report(cx: &mut Context<'_>, ids: (FileId, RegistrationId), other: i32, overlap: u64, bytes: i64) {
    let (file, registration) = ids;
    let Some(known) = cx.mirror.file(file).map(|file| &file.state.together) else { return };
    let (overlaps, turns, said) = (known.overlaps, known.turns, known.said);
    let grade = if overlaps >= CASES { Grade::Fault } else { Grade::Suspect };
    if overlaps + turns < CASES {
        return;
    }
    let count = if said.is_none() { u64::from(overlaps + turns) } else { 1 };
    if let Some(file) = cx.mirror.file_mut(file) {
        file.state.together.said = Some(grade);
    }
    let Some(registration) = cx.mirror.registration(registration) else { return };
    let numbers = [overlaps.into(), turns.into(), bytes, 0, 0, 0];
    let finding = cx.finding(Rule::TwoAtOnce, grade, registration);
    cx.report(Finding { other, count, numbers, worst_ns: overlap, ..finding });
}

#[cfg(test)]
mod tests {
    use epolyfill_facts::mask::{EDGE, IN, ONESHOT};
    use epolyfill_facts::{Call, Fact, Kind};

    use crate::rules::testing::Story;
    use crate::{Grade, Rule};

    /// Two threads are given events of descriptor 5.
    fn two_threads(kind: Kind, events: u32) -> Story {
        let mut story = Story::new();
        story.world.kinds.insert(5, kind);
        story.create(3);
        story.add(3, 5, events);
        for tid in [1, 2] {
            story.tid = tid;
            story.waits(3, -1);
        }
        for tid in [1, 2] {
            story.tid = tid;
            story.reports(3, &[(5, IN)]);
        }
        story
    }

    /// A read by a thread that began some time ago.
    fn read(story: &mut Story, tid: i32, ago_ns: u64, answer: i64) {
        story.tid = tid;
        let began_ns = story.ns + 1000 - ago_ns;
        let (call, other) = (Call::Recvfrom, -1);
        story.fact(Fact::Call { call, fd: 5, other, asked: 64, answer, flags: 0, began_ns });
    }

    #[test]
    fn reads_that_overlap_three_times_are_a_fault() {
        let mut story = two_threads(Kind::Tcp, IN | EDGE);
        read(&mut story, 1, 500, 64);
        read(&mut story, 2, 1500, 64); // It began before the first ended.
        read(&mut story, 1, 1500, 64);
        assert_eq!(story.findings(), []);
        read(&mut story, 2, 1500, 64);
        assert_eq!(story.findings(), [(Rule::TwoAtOnce, Grade::Fault)]);
        assert_eq!(story.auditor.findings()[0].numbers[..2], [3, 0]);
    }

    #[test]
    fn reads_in_turns_are_a_suspect() {
        let mut story = two_threads(Kind::UnixStream, IN | EDGE);
        for tid in [1, 2, 1, 2] {
            read(&mut story, tid, 500, 60);
        }
        assert_eq!(story.findings(), []);
        read(&mut story, 1, 500, 60);
        assert_eq!(story.findings(), [(Rule::TwoAtOnce, Grade::Suspect)]);
    }

    #[test]
    fn one_after_the_other_is_right() {
        let mut story = two_threads(Kind::Tcp, IN | EDGE);
        for _ in 0..9 {
            for tid in [1, 2] {
                read(&mut story, tid, 500, 64);
                story.waits(3, -1);
                story.reports(3, &[(5, IN)]);
            }
        }
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn oneshot_and_messages_and_tokens_are_right_and_so_is_handing_over() {
        let mut oneshot = two_threads(Kind::Tcp, IN | ONESHOT);
        let mut messages = two_threads(Kind::Udp, IN);
        let mut tokens = two_threads(Kind::UnixStream, IN);
        let mut records = two_threads(Kind::UnixStream, IN);
        let mut handed_over = two_threads(Kind::Tcp, IN);
        for tid in [1, 2, 1, 2, 1, 2] {
            read(&mut oneshot, tid, 1500, 64);
            read(&mut messages, tid, 1500, 64);
            read(&mut tokens, tid, 1500, 1);
            read(&mut records, tid, 1500, 64);
            read(&mut handed_over, tid + 7, 1500, 64);
        }
        let found = [oneshot, messages, tokens, records, handed_over].map(|story| story.findings().len());
        assert_eq!(found, [0; 5]);
    }
}
