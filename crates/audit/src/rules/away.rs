//! Threads that are away from their loop while other descriptors are ready.

use arrayvec::ArrayVec;
use epolyfill_facts::mask::IN;
use epolyfill_facts::{Class, Fact, Kind, NO_FD, Poller, errno};

use super::ms;
use crate::auditor::Context;
use crate::finding::{Finding, Grade, Rule};
use crate::mirror::RegistrationId;
use crate::world::ThreadTimes;

/// Whether the last call that takes data found nothing, and no report followed.
#[derive(Debug, Default)]
pub struct OfFile {
    is_dry: bool,
}

/// The time since the thread's last wait.
#[derive(Debug, Default)]
pub struct OfThread {
    timeout_ns: i64,
    sampled_ns: u64,
    sample: Option<ThreadTimes>,
    calls: u32,
    in_calls_ns: u64,
    /// The descriptor of most calls, its calls, and its lead over the others.
    busy: i32,
    busy_calls: u32,
    lead: u32,
    victim: Option<Victim>,
}

#[derive(Clone, Copy, Debug)]
struct Victim {
    registration: (RegistrationId, u64),
    looked_ns: u64,
    /// How long it was seen ready, by looks in a row.
    ready_ns: u64,
}

/// R13, R14: so long away, and so long ready meanwhile.
const AWAY_NS: u64 = ms(100);
const READY_NS: u64 = ms(50);
/// A handler that computes: only this is a fault. Compilers and class loaders take long, too.
const COMPUTING_NS: u64 = ms(250);
/// A thread that waited for a processor for more than this part of the time (1 in so many): so did
/// the others, and what it slept on can be one of them. The calls of one that stays with a descriptor
/// are its own.
const OVERLOADED_PART: u64 = 4;
/// A thread that is away is looked at so often, and this long.
const LOOK_NS: u64 = ms(20);
const LOOKS_NS: u64 = ms(3000);
/// A longer time between two looks proves nothing: the process can have been stopped.
const MOST_BETWEEN_NS: u64 = ms(40);
const SAMPLE_NS: u64 = ms(1000);
const MOST_LOOKED_AT: usize = 64;
const MOST_THREADS: usize = 16;
/// R14: this many calls, and this part of them on one descriptor.
const BUSY_CALLS: u32 = 20;
const BUSY_PERCENT: u32 = 80;

/// A wait returned: the thread is away from now on.
pub(crate) fn after_wait(cx: &mut Context<'_>, report: &Fact<'_>) {
    let Fact::Report { timeout_ns, .. } = *report else { return };
    let (tid, now) = (cx.stamp.tid, cx.stamp.ns);
    let Some(thread) = cx.mirror.thread(tid) else { return };
    let has_others =
        thread.instance.and_then(|id| cx.mirror.instance(id)).is_some_and(|one| one.registrations.len() > 1);
    let is_stale = thread.state.away.sample.is_none() || now - thread.state.away.sampled_ns >= SAMPLE_NS;
    let sample = if is_stale { cx.world.times(tid) } else { thread.state.away.sample };
    let mut at = 0;
    while let Some(batched) = cx.mirror.thread(tid).and_then(|thread| thread.batch.get(at)) {
        at += 1;
        let file = batched.registration.and_then(|(id, _)| cx.mirror.registration(id)).map(|one| one.file);
        if let Some(file) = file.and_then(|id| cx.mirror.file_mut(id)) {
            file.state.away.is_dry = false;
        }
    }
    let Ok(thread) = cx.mirror.thread_mut(tid) else { return };
    let sampled_ns = if is_stale { now } else { thread.state.away.sampled_ns };
    thread.state.away = OfThread { timeout_ns, sampled_ns, sample, busy: NO_FD, ..OfThread::default() };
    if has_others && timeout_ns != 0 {
        cx.tick_at(now + READY_NS);
    }
}

/// Counts a call.
pub(crate) fn call(cx: &mut Context<'_>, call: &Fact<'_>) {
    let Fact::Call { call, fd, answer, began_ns, .. } = *call else { return };
    if matches!(call.class(), Class::Read | Class::Accept)
        && let Some(file) = cx.mirror.file_of(fd).and_then(|id| cx.mirror.file_mut(id))
    {
        file.state.away.is_dry = errno::of(answer) == errno::EAGAIN;
    }
    let took = cx.stamp.ns.saturating_sub(began_ns);
    if cx.mirror.thread(cx.stamp.tid).is_none() {
        return;
    }
    let Ok(thread) = cx.mirror.thread_mut(cx.stamp.tid) else { return };
    let away = &mut thread.state.away;
    (away.calls, away.in_calls_ns) = (away.calls.saturating_add(1), away.in_calls_ns + took);
    if away.busy == fd {
        (away.busy_calls, away.lead) = (away.busy_calls + 1, away.lead + 1);
    } else if away.lead == 0 {
        (away.busy, away.busy_calls, away.lead) = (fd, 1, 1);
    } else {
        away.lead -= 1;
    }
}

/// Time that the calling thread surely did not spend in the run queue, of a time until now.
pub(crate) fn outside_run_queue(cx: &mut Context<'_>, ns: u64) -> Option<(u64, u64)> {
    let sample = cx.mirror.thread(cx.stamp.tid)?.state.away.sample?;
    let times = cx.world.times(cx.stamp.tid)?;
    let queued = times.run_queue_ns.saturating_sub(sample.run_queue_ns);
    Some((ns.saturating_sub(queued), times.cpu_ns.saturating_sub(sample.cpu_ns)))
}

/// Looks at what is ready while threads are away.
pub(crate) fn tick(cx: &mut Context<'_>) {
    let now = cx.stamp.ns;
    let mut tids = ArrayVec::<i32, MOST_THREADS>::new();
    let mut next = None::<u64>;
    for (tid, thread) in cx.mirror.threads() {
        let away = now.saturating_sub(thread.returned_ns);
        if thread.waits == 0 || thread.waits_since_ns.is_some() || thread.state.away.timeout_ns == 0 || away > LOOKS_NS
        {
            continue;
        }
        let due = if away < READY_NS { thread.returned_ns + READY_NS } else { now + LOOK_NS };
        next = Some(next.map_or(due, |before| before.min(due)));
        if away >= READY_NS {
            let _full = tids.try_push(tid);
        }
    }
    for tid in tids {
        look(cx, tid);
    }
    if let Some(due) = next {
        cx.tick_at(due);
    }
}

/// Looks for a registration that is ready while a thread is away.
fn look(cx: &mut Context<'_>, tid: i32) {
    let now = cx.stamp.ns;
    let Some(thread) = cx.mirror.thread(tid) else { return };
    let known = thread.state.away.victim;
    let still = known.filter(|victim| is_ready(cx, tid, victim.registration.0, Some(victim.registration.1)));
    let victim = match still {
        Some(victim) => {
            let between = now - victim.looked_ns;
            let ready_ns = victim.ready_ns + if between <= MOST_BETWEEN_NS { between } else { 0 };
            Some(Victim { looked_ns: now, ready_ns, ..victim })
        }
        None => find(cx, tid).map(|registration| Victim { registration, looked_ns: now, ready_ns: 0 }),
    };
    if let Ok(thread) = cx.mirror.thread_mut(tid) {
        thread.state.away.victim = victim;
    }
}

fn find(cx: &mut Context<'_>, tid: i32) -> Option<(RegistrationId, u64)> {
    let instance = cx.mirror.thread(tid)?.instance?;
    for at in 0..MOST_LOOKED_AT {
        let id = *cx.mirror.instance(instance)?.registrations.get(at)?;
        if is_ready(cx, tid, id, None) {
            return Some((id, cx.mirror.registration(id)?.serial));
        }
    }
    None
}

/// Whether a registration is ready, and neither is a thread of its instance in a wait, nor is it in
/// a batch.
fn is_ready(cx: &mut Context<'_>, tid: i32, id: RegistrationId, serial: Option<u64>) -> bool {
    let Some(registration) = cx.mirror.registration(id) else { return false };
    let Some(file) = cx.mirror.file(registration.file) else { return false };
    let is_peer = matches!(
        file.kind,
        Kind::Pipe
            | Kind::Fifo
            | Kind::Tcp
            | Kind::TcpListener
            | Kind::Udp
            | Kind::UnixStream
            | Kind::UnixSeqpacket
            | Kind::UnixDgram
            | Kind::UnixListener
            | Kind::Mptcp
    );
    // An edge can be left unread on purpose; one that was never reported, or came since, is not.
    let is_new = !registration.is_edge() || file.state.away.is_dry || !registration.state.numbers.is_reported();
    let instance = registration.instance;
    let is_watched = cx.mirror.thread(tid).and_then(|thread| thread.instance) == Some(instance)
        && cx.mirror.instance(instance).is_some_and(|instance| instance.waiting == 0);
    let is_told =
        |batch: &[crate::Batched]| batch.iter().any(|batched| batched.registration.is_some_and(|(told, _)| told == id));
    let fd = registration.fd;
    is_peer
        && is_new
        && is_watched
        && registration.events & IN != 0
        && !registration.is_spent
        && !registration.is_ghost
        && serial.is_none_or(|serial| serial == registration.serial)
        && !cx.mirror.threads().any(|(_, thread)| is_told(&thread.batch))
        && cx.world.levels(fd, IN).is_some_and(|levels| levels & IN != 0)
}

/// R13, R14: the thread is back. `fd`: the descriptor whose event it handled, of R14 the busy one.
/// `other`: the one that was ready. `worst_ns`: the time away. `numbers`: the time away; how long
/// `other` was seen ready, 0 if only at the end; own processor time; asleep, outside the calls that
/// are seen here; in the run queue at most; of R13 the time in the calls that are seen, of R14 the
/// percentage of calls that were on `fd`.
pub(crate) fn before_wait(cx: &mut Context<'_>, timeout_ns: i64) {
    let (tid, now) = (cx.stamp.tid, cx.stamp.ns);
    let Some(thread) = cx.mirror.thread(tid) else { return };
    let away_ns = now.saturating_sub(thread.returned_ns);
    if away_ns < AWAY_NS || timeout_ns == 0 || thread.waits == 0 || thread.state.away.timeout_ns == 0 {
        return;
    }
    look(cx, tid);
    let Some(thread) = cx.mirror.thread(tid) else { return };
    let away = &thread.state.away;
    let (calls, in_calls_ns, busy) = (away.calls, away.in_calls_ns, (away.busy, away.busy_calls));
    let first = thread.batch.first().map_or(NO_FD, |batched| batched.event.fd);
    let Some(victim) = away.victim else { return };
    // One that is ready only now can be the thread's own doing, after all its calls. A trace does
    // not show more.
    if victim.ready_ns == 0 && cx.poller != Poller::Traced {
        return;
    }
    let Some((outside_ns, cpu_ns)) = outside_run_queue(cx, away_ns) else { return };
    let Some(ready) = cx.mirror.still(victim.registration) else { return };
    if outside_ns < AWAY_NS {
        return;
    }
    let asleep_ns = outside_ns.saturating_sub(cpu_ns);
    let is_long = asleep_ns >= AWAY_NS || outside_ns >= COMPUTING_NS;
    let is_starved = calls >= BUSY_CALLS && u64::from(busy.1) * 100 >= u64::from(calls) * u64::from(BUSY_PERCENT);
    let is_overloaded = !is_starved && (away_ns - outside_ns) * OVERLOADED_PART > away_ns;
    let grade = if is_long && !is_overloaded && victim.ready_ns >= READY_NS { Grade::Fault } else { Grade::Suspect };
    let (rule, fd) = if is_starved { (Rule::StarvedBy, busy.0) } else { (Rule::SlowHandler, first) };
    let percent = (u64::from(busy.1) * 100 / u64::from(calls.max(1))).cast_signed();
    let last = if is_starved { percent } else { in_calls_ns.cast_signed() };
    let asleep_unseen = if is_starved { asleep_ns } else { asleep_ns.saturating_sub(in_calls_ns) };
    let [away, seen, cpu, asleep, queued] =
        [away_ns, victim.ready_ns, cpu_ns.min(away_ns), asleep_unseen, away_ns - outside_ns].map(u64::cast_signed);
    let numbers = [away, seen, cpu, asleep, queued, last];
    let (other, other_kind) = (ready.fd, cx.mirror.file(ready.file).map_or(Kind::Unidentified, |file| file.kind));
    let instance = ready.instance;
    let handled = cx.mirror.find(instance, fd).and_then(|id| cx.mirror.registration(id));
    let finding = match handled {
        Some(handled) => cx.finding(rule, grade, handled),
        None => Finding { fd, ..cx.finding(rule, grade, ready) },
    };
    let other_who = cx.world.describe(other, other_kind);
    cx.report(Finding { other, other_who, worst_ns: away_ns, numbers, ..finding });
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::Story;
    use crate::{Grade, Rule, ThreadTimes};
    use epolyfill_facts::Call;
    use epolyfill_facts::mask::{EDGE, IN};

    fn two_clients(events: u32) -> Story {
        let mut story = Story::new();
        story.create(3);
        story.add(3, 4, events);
        story.add(3, 5, events);
        story.waits(3, -1);
        story.reports(3, &[(4, IN)]);
        story.call(Call::Read, 4, 1, 1);
        story
    }

    #[test]
    fn a_handler_that_sleeps_while_another_client_waits_is_a_fault() {
        let mut story = two_clients(IN);
        story.pass_ms(20);
        story.world.levels.insert(5, IN);
        story.pass_ms(280);
        story.waits(3, -1);
        assert_eq!(story.findings(), [(Rule::SlowHandler, Grade::Fault)]);
        assert_eq!((story.auditor.findings()[0].fd, story.auditor.findings()[0].other), (4, 5));
    }

    #[test]
    fn a_thread_that_nobody_waits_for_or_that_has_no_processor_is_not_slow() {
        let mut story = two_clients(IN);
        story.pass_ms(300);
        story.waits(3, -1);
        assert_eq!(story.findings(), []);
        let mut story = two_clients(IN);
        story.world.levels.insert(5, IN);
        story.pass_ms(231);
        story.world.times.insert(1, ThreadTimes { cpu_ns: 1_000_000, run_queue_ns: 220_000_000 });
        story.waits(3, -1);
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn a_handler_that_computes_for_a_while_is_a_suspect_and_one_whose_victim_is_ready_only_at_its_end_is_not() {
        let mut story = two_clients(IN);
        story.world.levels.insert(5, IN);
        story.pass_ms(200);
        story.world.times.insert(1, ThreadTimes { cpu_ns: 199_000_000, run_queue_ns: 0 });
        story.waits(3, -1);
        assert_eq!(story.findings(), [(Rule::SlowHandler, Grade::Suspect)]);
        let mut story = two_clients(IN);
        story.pass_ms(299);
        story.world.levels.insert(5, IN);
        story.ns += 1_000_000;
        story.waits(3, -1);
        assert_eq!(story.findings(), []);
    }

    #[test]
    fn where_all_threads_lack_a_processor_a_sleep_is_a_suspect() {
        for (run_queue_ns, grade) in [(40_000_000, Grade::Fault), (160_000_000, Grade::Suspect)] {
            let mut story = two_clients(IN);
            story.world.levels.insert(5, IN);
            story.pass_ms(400);
            story.world.times.insert(1, ThreadTimes { cpu_ns: 1_000_000, run_queue_ns });
            story.waits(3, -1);
            assert_eq!(story.findings(), [(Rule::SlowHandler, grade)]);
        }
    }

    #[test]
    fn a_connection_that_is_drained_without_end_starves_the_other() {
        let mut story = two_clients(IN | EDGE);
        for round in 0..600 {
            story.call(Call::Recvfrom, 4, 2048, 2048);
            story.pass_ms(1);
            if round == 100 {
                story.world.levels.insert(5, IN);
            }
        }
        story.waits(3, -1);
        assert_eq!(story.findings(), [(Rule::StarvedBy, Grade::Fault)]);
    }

    #[test]
    fn an_edge_that_was_reported_and_left_unread_is_no_victim_and_nor_is_what_another_thread_handles() {
        let mut story = two_clients(IN | EDGE);
        story.waits(3, -1);
        story.reports(3, &[(5, IN)]);
        story.waits(3, -1);
        story.reports(3, &[(4, IN)]);
        story.world.levels.insert(5, IN);
        story.pass_ms(300);
        story.waits(3, -1);
        assert_eq!(story.findings(), []);
        let mut story = two_clients(IN);
        story.tid = 2;
        story.waits(3, -1);
        story.reports(3, &[(5, IN)]);
        story.tid = 1;
        story.world.levels.insert(5, IN);
        story.pass_ms(300);
        story.waits(3, -1);
        assert_eq!(story.findings(), []);
    }
}
