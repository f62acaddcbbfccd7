//! R15: each arrival wakes several threads, and only one of them finds something.
//!
//! A wake-up was in vain if the thread's first call for the event found nothing, and another thread
//! had taken something since this one began to wait. The rule judges only files whose arrivals are
//! each for one taker: listeners and sockets of messages. An eventfd or a pipe can be meant to wake
//! all. Registrations with EPOLLEXCLUSIVE are not judged either: the kernel may wake more than one,
//! and the library wakes one in each process (docs/differences.md).
//!
//! Two threads can have no more wake-ups in vain than arrivals, and busy ones have few. So more of
//! them than arrivals prove a herd of threads: a fault. Threads of other processes are not
//! seen, so nothing proves who took the connection: a suspect, in each process by itself.

use arrayvec::ArrayVec;
use epolyfill_facts::mask::EXCLUSIVE;
use epolyfill_facts::{Class, Fact, Kind, errno};

use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};
use crate::mirror::FileId;

/// The arrivals on a file.
#[derive(Debug, Default)]
pub struct OfFile {
    /// Connections or messages that were taken.
    taken: u64,
    /// Wake-ups in vain, while another thread of the process took something.
    in_vain: u64,
    /// Other wake-ups in vain.
    unexplained: u64,
    /// The last that took something, and the last other one, each with the time.
    takers: [(i32, u64); 2],
    /// The threads that were woken.
    woken: ArrayVec<i32, MOST_THREADS>,
    /// Wake-ups in vain that are reported.
    said: u64,
}

/// The least arrivals, or of processes the least wake-ups in vain.
const LEAST: u64 = 100;
/// As many threads are counted.
const MOST_THREADS: usize = 16;

/// `count`: the wake-ups in vain. `numbers`: the arrivals; the wake-ups in vain; the threads of this
/// process that were woken; 1 if others than those took the arrivals, in other processes.
pub(crate) fn call(cx: &mut Context<'_>, id: FileId, call: &Fact<'_>) {
    let Fact::Call { call, fd, answer, .. } = *call else { return };
    if !matches!(call.class(), Class::Read | Class::Accept) {
        return;
    }
    let tid = cx.stamp.tid;
    let Some(thread) = cx.mirror.thread(tid) else { return };
    let is_first = thread.unhandled(fd).is_some();
    let began_ns = thread.state.sleep.began_ns;
    let now = cx.stamp.ns;
    let Some(file) = cx.mirror.file_mut(id) else { return };
    let herd = &mut file.state.herd;
    if is_first && !herd.woken.contains(&tid) {
        let _full = herd.woken.try_push(tid);
    }
    if answer >= 0 {
        herd.taken += 1;
        if herd.takers[0].0 != tid {
            herd.takers[1] = herd.takers[0];
        }
        herd.takers[0] = (tid, now);
        return;
    }
    if !is_first || errno::of(answer) != errno::EAGAIN {
        return;
    }
    let other = herd.takers.iter().find(|(taker, _)| *taker != tid);
    if other.is_some_and(|(taker, ns)| *taker != 0 && *ns >= began_ns) {
        herd.in_vain += 1;
    } else {
        herd.unexplained += 1;
    }
    judge(cx, id);
}

/// Whether each arrival is for one taker.
pub(crate) const fn is_for_one(kind: Kind) -> bool {
    matches!(kind, Kind::TcpListener | Kind::UnixListener | Kind::Udp | Kind::UnixDgram)
}

fn judge(cx: &mut Context<'_>, id: FileId) {
    let Some(file) = cx.mirror.file(id) else { return };
    let herd = &file.state.herd;
    let is_proved = herd.taken >= LEAST && herd.in_vain > herd.taken;
    let is_shared = file.is_inherited && herd.unexplained >= LEAST && herd.unexplained > herd.taken;
    let in_vain = if is_proved { herd.in_vain } else { herd.unexplained };
    // Each case grows the count, but not each is written.
    let step = if herd.said == 0 { 1 } else { LEAST };
    if !(is_proved || is_shared) || in_vain < herd.said + step {
        return;
    }
    let mut registrations = file.registrations.iter().filter_map(|id| cx.mirror.registration(*id));
    let is_judged = |instance| cx.mirror.instance(instance).is_some_and(|instance| !instance.is_foreign);
    let judged = registrations.find(|one| one.events & EXCLUSIVE == 0 && is_judged(one.instance));
    let Some(registration) = judged else { return };
    let grade = if is_proved { Grade::Fault } else { Grade::Suspect };
    let numbers = [herd.taken, in_vain, herd.woken.len() as u64, u64::from(!is_proved), 0, 0].map(u64::cast_signed);
    let count = in_vain - herd.said;
    let finding = Finding { count, numbers, ..cx.finding(Rule::Herd, grade, registration) };
    if let Some(file) = cx.mirror.file_mut(id) {
        file.state.herd.said = in_vain;
    }
    cx.report(finding);
}

#[cfg(test)]
mod tests {
    use epolyfill_facts::mask::{EXCLUSIVE, IN};
    use epolyfill_facts::{Call, Fact, Kind, Poller, Start};

    use crate::rules::testing::Story;
    use crate::{Grade, Rule};

    /// Threads with an instance each, which watch descriptor 9.
    fn threads(threads: i32, kind: Kind, events: u32) -> Story {
        let mut story = Story::new();
        story.world.kinds.insert(9, kind);
        for tid in 1..=threads {
            story.tid = tid;
            story.create(20 + tid);
            story.add(20 + tid, 9, events);
        }
        story
    }

    /// An arrival wakes these threads, and the first of them takes it.
    fn arrival(story: &mut Story, woken: &[i32], taken: i64) {
        for &tid in woken {
            story.tid = tid;
            story.waits(20 + tid, 100_000_000);
        }
        for &tid in woken {
            story.tid = tid;
            story.reports(20 + tid, &[(9, IN)]);
        }
        for (at, &tid) in woken.iter().enumerate() {
            story.tid = tid;
            story.call(Call::Accept, 9, 0, if at == 0 { taken } else { -11 });
        }
        story.close(50);
    }

    #[test]
    fn four_threads_that_are_woken_for_each_connection_are_a_herd() {
        let mut story = threads(4, Kind::TcpListener, IN);
        for _ in 0..99 {
            arrival(&mut story, &[1, 2, 3, 4], 50);
        }
        assert_eq!(story.findings(), []);
        arrival(&mut story, &[1, 2, 3, 4], 50);
        assert_eq!(story.findings(), [(Rule::Herd, Grade::Fault)]);
        let finding = story.auditor.findings()[0];
        assert_eq!((finding.numbers, finding.count), ([100, 298, 4, 0, 0, 0], 298));
    }

    #[test]
    fn as_many_in_vain_as_arrivals_are_none() {
        let mut story = threads(2, Kind::TcpListener, IN);
        for _ in 0..300 {
            arrival(&mut story, &[1, 2], 50);
        }
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn exclusive_registrations_and_files_that_wake_all_are_not_judged() {
        let mut exclusive = threads(4, Kind::TcpListener, IN | EXCLUSIVE);
        let mut eventfd = threads(4, Kind::Eventfd, IN);
        for _ in 0..200 {
            arrival(&mut exclusive, &[1, 2, 3, 4], 50);
            arrival(&mut eventfd, &[1, 2, 3, 4], 8);
        }
        assert_eq!((exclusive.findings(), eventfd.findings()), (Default::default(), Default::default()));
    }

    #[test]
    fn wake_ups_in_vain_of_one_process_are_none() {
        let mut story = threads(1, Kind::TcpListener, IN);
        for _ in 0..300 {
            arrival(&mut story, &[1], -11);
        }
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn processes_that_share_a_listener_are_a_suspect_each() {
        let mut story = threads(1, Kind::TcpListener, IN);
        let (wall_offset_ns, poller) = (0, Poller::Kernel);
        story.fact(Fact::Start(Start { pid: 2, ppid: 1, is_fork: true, wall_offset_ns, poller }));
        story.create(22);
        story.tid = 2;
        story.add(22, 9, IN);
        for at in 0..150 {
            arrival(&mut story, &[2], if at % 3 == 0 { 50 } else { -11 });
        }
        assert_eq!(story.findings(), [(Rule::Herd, Grade::Suspect)]);
    }
}
