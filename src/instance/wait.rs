//! How a thread waits (W1 to W11): the newest one polls, the others sleep behind it, and signals end every sleep.
//!
//! Nothing that must be dropped is alive while a thread sleeps here: a cancelled thread unwinds out of `ppoll` through these
//! frames and those of `nap` and the poller, and what it held in the instance is put right when it exits (`lifecycle::end_thread`).

use libc::{epoll_event, pollfd};
use nix::errno::Errno;

use crate::backend::rest::{self, Rest};
use crate::backend::{ByPoll, ByRequest, Poller, parking};
use crate::events::NVAL;
use crate::facts;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::waitq::{self, Sleeper};
use crate::instance::glance::{self, Patience};
use crate::instance::lifecycle;
use crate::instance::open;
use crate::instance::parked;
use crate::instance::resample::{self, Extent};
use crate::instance::ring_use;
use crate::instance::send_events;
use crate::instance::vanished::Vanished;
use crate::lock::{self, Guard};
use crate::nap::Nap;
use crate::probe::fleeting;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::Ordering::SeqCst;
use crate::sys::{self, SigMask};
use crate::user;

/// The longest time to wait, in nanoseconds; `None` waits for ever.
pub type Timeout = Option<u64>;

/// Where the events go.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// The caller's array.
    pub events: *mut epoll_event,
    /// How many events fit; at least 1.
    pub max: usize,
}

pub use crate::nap::{LONGEST_TICK_NS, TICK_NS};
/// The longest where only eventfds that other processes may write to are unread.
pub const LONGEST_RARE_TICK_NS: u64 = 1_000_000_000;

/// The checks of W1, in the kernel's order.
fn checked(epfd: i32, events: *mut epoll_event, max: i32) -> Result<(&'static Eventpoll, Buffer), Errno> {
    let found = open::find(epfd);
    if matches!(found, Err(Errno::EBADF)) {
        return Err(Errno::EBADF);
    }
    let max = usize::try_from(max).ok().filter(|&max| max > 0 && max <= i32::MAX as usize / size_of::<epoll_event>());
    let max = max.ok_or(Errno::EINVAL)?;
    user::check_range(events, max)?;
    Ok((found?.into_raw(), Buffer { events, max }))
}

/// epoll_pwait2(2), of which the other waits are special cases.
///
/// # Safety
/// `events` must be NULL, outside user space, or writable for `max` events.
pub unsafe fn wait(
    epfd: i32,
    events: *mut epoll_event,
    max: i32,
    timeout: Timeout,
    mask: Option<SigMask>,
) -> Result<usize, Errno> {
    if lock::interrupted() {
        // In a signal handler, which would wait for what it interrupted.
        return Err(Errno::EINTR);
    }
    let (ep, buffer) = checked(epfd, events, max)?;
    // SAFETY: the caller answers for the array.
    unsafe { wait_on(ep, buffer, timeout, mask, None) }
}

/// The same on an instance that is pinned for it, until somebody sets `called_off` and kicks the thread: then nothing is reported.
///
/// # Safety
/// As for [`wait`].
pub unsafe fn wait_on(
    ep: &'static Eventpoll,
    buffer: Buffer,
    timeout: Timeout,
    mask: Option<SigMask>,
    called_off: Option<&'static AtomicBool>,
) -> Result<usize, Errno> {
    let me = match Sleeper::begin() {
        Ok(me) => me,
        Err(errno) => {
            ep.unpin();
            return Err(errno);
        }
    };
    let mut wait = Wait {
        ep,
        me,
        turn: me.turn(),
        buffer,
        timeout,
        deadline: None,
        may_sleep: timeout != Some(0),
        sleeps_to_the_end: false,
        tick: TICK_NS,
        stage: Stage::New,
        looked_at_parked: false,
        patience: Patience::new(),
        rest: Rest::new(me.evictions()),
        pause: None,
        nap: Nap { mask, outside: None },
        called_off,
        is_over: false,
        was_last: false,
    };
    let outcome = wait.rounds();
    if wait.stage == Stage::New {
        ep.unpin();
    } else if !wait.is_over {
        wait.give_up(outcome);
    }
    if wait.is_over {
        lifecycle::finish_wait(ep, wait.was_last);
    }
    // The last thing that can matter: a handler may run here, and leave the wait by `siglongjmp`.
    if let Some(outside) = wait.nap.outside {
        sys::swap_signal_mask(outside);
    }
    outcome
}

/// How far a wait has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not on the wait queue yet.
    New,
    /// It has not looked yet.
    First,
    /// It has looked, or slept.
    Later,
}

/// One wait.
#[derive(Debug)]
struct Wait {
    ep: &'static Eventpoll,
    me: &'static Sleeper,
    /// The turn in which it joined the wait queue.
    turn: u32,
    buffer: Buffer,
    timeout: Timeout,
    /// From the first look on that found nothing: a wait that finds something at once does not ask for the time.
    deadline: Option<u64>,
    may_sleep: bool,
    /// The last sleep as the poller was to last until the time is up.
    sleeps_to_the_end: bool,
    /// The longest sleep while an edge could hide, in nanoseconds; it doubles.
    tick: u64,
    stage: Stage,
    looked_at_parked: bool,
    /// With a thread that polls, when the time is up.
    patience: Patience,
    /// When it is chased out of poll.
    rest: Rest,
    /// How long it stays away from poll before the next round, in nanoseconds.
    pause: Option<u32>,
    nap: Nap,
    /// Nothing is wanted any more.
    called_off: Option<&'static AtomicBool>,
    /// The thread is off the wait queue.
    is_over: bool,
    /// It was the last one on it, and the instance is closed.
    was_last: bool,
}

/// What the newest thread does in a round to learn readiness.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// There is a poll, of all registrations or of those that are busy.
    polls: bool,
    /// No round came before.
    is_first: bool,
    /// A kick can end the sleep, so signals must not slip in between two of them (W8): they are blocked but in the sleep itself.
    careful: bool,
    /// It looks, though it may sleep.
    looks_first: bool,
    sleeps: bool,
    /// The longest time without a look behind quiet bits.
    longest_tick: Option<u64>,
}

/// What a round came to.
type Round = Result<Option<usize>, Errno>;

type Locked = Guard<'static, EpState>;

/// How a sleep or a look ended, and the lock; None, and the lock let go of, if mail came. EINTR if the wait was overtaken meanwhile.
type Learnt = Result<Option<(Locked, Result<usize, Errno>)>, Errno>;

impl Wait {
    /// Looks, reports or sleeps, until there is something to return.
    fn rounds(&mut self) -> Result<usize, Errno> {
        loop {
            if self.is_called_off() {
                return Ok(0);
            }
            if let Some(reported) = self.round()? {
                return Ok(reported);
            }
            if let Some(pause) = self.pause.take() {
                let left = remaining(self.deadline).map_or(u64::MAX, |left| left);
                // A signal that comes meanwhile ends the next sleep (W8).
                self.nap.prepare();
                rest::rest(self.me, u64::from(pause).min(left) as u32);
            }
        }
    }

    fn is_called_off(&self) -> bool {
        self.called_off.is_some_and(|called_off| called_off.load(SeqCst))
    }

    /// A signal handler that interrupted this wait waited itself: this one is over, as it is on the kernel once a handler runs. The instance is
    /// not pinned any more, and may be another by now.
    fn is_overtaken(&self) -> bool {
        self.stage != Stage::New && self.me.has_left(self.turn)
    }

    /// Locks the instance, if the wait is still on its queue. EINTR as well if a signal handler has switched to these frames from
    /// others that hold a lock: those go on only after the wait, which is left as if by `siglongjmp`.
    fn lock(&self) -> Result<Locked, Errno> {
        let guard = self.ep.lock_unless_inside().ok_or(Errno::EINTR)?;
        if self.is_overtaken() { Err(Errno::EINTR) } else { Ok(guard) }
    }

    /// Overtakes the wait that the thread is in. From the first time on signals are blocked in all waits from here to their end, for a
    /// handler may leave these frames in the middle and come back to others, which need the locks.
    #[cold]
    fn overtake(&mut self) -> Result<(), Errno> {
        self.nap.prepare();
        if lock::interrupted() {
            return Err(Errno::EINTR);
        }
        lifecycle::overtake(self.me)
    }

    fn round(&mut self) -> Round {
        if self.stage == Stage::New && (waitq::ever_overtaken() || self.me.waits_on.get().is_some()) {
            self.overtake()?;
        }
        let mut guard = self.lock()?;
        if self.stage == Stage::New {
            if self.me.waits_on.get().is_some() {
                // A signal handler that ran since has begun a wait.
                return Ok(None);
            }
            guard.join(self.ep, self.me)?;
            guard.stats.waits += 1;
            self.turn = self.me.turn();
            self.stage = Stage::First;
        }
        if guard.queue.poller.is_some() && !self.may_sleep {
            return self.look_past(guard);
        }
        // When its time is up a thread looks once more, whichever place it has in the queue.
        if guard.queue.poller.is_some() || (self.may_sleep && !self.is_newest(&guard)) {
            return self.stand_behind(guard);
        }
        if self.stage == Stage::First {
            send_events::give_up_claims(&mut guard);
        }
        self.ep.absorb(&mut guard);
        if ring_use::is_by_ring(self.ep, &mut guard, self.me) {
            self.poll::<ByRequest>(guard)
        } else {
            self.poll::<ByPoll>(guard)
        }
    }

    /// The part of a round in which the newest thread learns readiness, and reports it.
    fn poll<P: Poller>(&mut self, mut guard: Locked) -> Round {
        let plan = self.prepare::<P>(&mut guard);
        self.stage = Stage::Later;
        if plan.is_first && self.is_newest(&guard) {
            let mut vanished = Vanished::none();
            if let Some(reported) = send_events::deliver_waiting(&mut guard, self.buffer, &mut vanished) {
                return self.finish(guard, reported?, vanished);
            }
        }
        let Some((mut guard, slept)) = self.learn::<P>(guard, plan)? else {
            // However much there is to take in, the time that may pass does.
            self.may_sleep = !is_over(self.deadline);
            return Ok(None);
        };
        self.hear_kicks(&mut guard);
        if plan.is_first && !P::TELLS_EDGES && resample::found_by_count(&mut guard) {
            return Ok(None);
        }
        self.report(guard, plan, slept)
    }

    fn is_newest(&self, st: &EpState) -> bool {
        st.queue.waiters.last().is_some_and(|last| std::ptr::eq(last, self.me))
    }

    /// The time is up, and another thread is in poll. If that one is about to find something, and something is left for this one, it waits
    /// for its turn to look.
    fn look_past(&mut self, guard: Locked) -> Round {
        let others = guard.queue.waiters.newer_than(self.me);
        let due = guard.queue.poller.map_or(glance::Due::Nothing, |poller| glance::due(&guard, poller, others));
        drop(guard);
        if !self.patience.lasts(due) {
            return Ok(Some(0));
        }
        self.patience.nap();
        Ok(None)
    }

    /// Whether the thread may take what the last poll found: those that came later are to be served first, as the kernel has woken them first.
    fn may_take(&self, st: &EpState) -> bool {
        let newer = st.queue.waiters.newer_than(self.me);
        newer == 0 || glance::has_found_more(st, newer)
    }

    /// A newer thread polls, or is to: this one sleeps until it is kicked.
    fn stand_behind(&mut self, mut guard: Locked) -> Round {
        let st = &mut *guard;
        if st.queue.poller.is_none() {
            ring_use::leave(self.ep, st);
        }
        self.begin_to_count();
        match st.queue.poller {
            Some(poller) if self.is_newest(st) => poller.kick(),
            None => {
                if let Some(newest) = st.queue.waiters.last() {
                    newest.kick();
                }
            }
            Some(_) => {}
        }
        drop(guard);
        self.nap.prepare();
        if self.is_overtaken() {
            return Err(Errno::EINTR);
        }
        let epoch = self.me.enter_poll();
        let mut wake = [pollfd { fd: self.me.wake_fd(), events: libc::POLLIN, revents: 0 }];
        let pause = (wake[0].fd < 0).then_some(LONGEST_TICK_NS);
        let limit = [remaining(self.deadline), pause].into_iter().flatten().min();
        // SAFETY: the array of one is a local.
        let slept = unsafe { self.nap.sleep(wake.as_mut_ptr(), 1, limit, LONGEST_TICK_NS) };
        self.me.leave_poll(epoch);
        self.me.heed();
        {
            let stats = &mut self.lock()?.stats;
            stats.sleeps += 1;
            stats.kicks += u64::from(wake[0].revents != 0);
        }
        slept?;
        self.may_sleep = !is_over(self.deadline);
        Ok(None)
    }

    /// Looks behind quiet bits, and decides whether to look or to sleep.
    fn prepare<P: Poller>(&mut self, st: &mut EpState) -> Plan {
        let is_first = self.stage == Stage::First;
        P::take_in(self.ep, st);
        let extent = if is_first && !P::TELLS_EDGES { Extent::BeforeLook } else { Extent::All };
        let longest_tick = resample::sample_and_absorb(self.ep, st, extent);
        if is_first && st.outer.is_observed() && st.backend.parked <= parking::PARK_ABOVE {
            // Parked because somebody looks at the descriptor, not because they are many: they are in every report. Instances among
            // them have been looked at.
            parked::look_at_parked(st);
        } else if is_first && !P::TELLS_EDGES {
            parked::look_at_next_parked(st);
        }
        // A look comes first, so that a busy program never pays for that.
        let unsure = st.backend.parked > 0 || longest_tick.is_some() || st.outer.is_observed() || st.recheck.left;
        let careful = unsure || facts::has_threads() || waitq::ever_overtaken();
        let mut polls = P::polls(st);
        let looks_first = polls && is_first && (unsure || st.queue.habit.looks_first());
        let mut sleeps = self.may_sleep && !looks_first && !st.ready.pressing && !P::is_told(st);
        if sleeps {
            sleeps = P::may_sleep(self.ep, st);
            polls = P::SLEEPS_IN_POLL;
        }
        Plan { polls, is_first, careful, looks_first, sleeps, longest_tick }
    }

    /// Learns readiness: sleeps until there is some, or looks. None, and the lock let go of, if mail came.
    fn learn<P: Poller>(&mut self, mut guard: Locked, plan: Plan) -> Learnt {
        let slept = if plan.sleeps {
            let Some((woken, slept)) = self.sleep::<P>(guard, plan)? else { return Ok(None) };
            guard = woken;
            P::woken(&mut guard, slept)
        } else if plan.polls {
            Ok(P::look(&mut guard, self.me))
        } else {
            Ok(0)
        };
        if plan.polls {
            let descriptors = guard.backend.set.len();
            guard.stats.polled(descriptors);
        }
        if slept.is_err() {
            guard.backend.set.forget();
        } else if plan.polls && fleeting::found_in_set(&guard) {
            self.ep.absorb(&mut guard);
        }
        Ok(Some((guard, slept)))
    }

    /// Sleeps as the poller, without the lock.
    fn sleep<P: Poller>(&mut self, mut guard: Locked, plan: Plan) -> Learnt {
        let (ep, me) = (self.ep, self.me);
        let st = &mut *guard;
        if let Some(outer) = st.outer.link {
            outer.before_sleep(ep, st);
        }
        self.begin_to_count();
        let unsure = (st.recheck.overdue || (plan.careful && me.wake_fd() < 0)).then_some(LONGEST_TICK_NS);
        let pause = [plan.longest_tick, unsure].into_iter().flatten().min().map(|longest| self.tick.min(longest));
        let left = st.recheck.left.then_some(LONGEST_RARE_TICK_NS);
        let time = remaining(self.deadline);
        let limit = [time, pause, left].into_iter().flatten().min();
        self.sleeps_to_the_end = time.is_some() && limit == time;
        st.queue.poller = Some(me);
        ep.set_blocked(Some(me));
        if ep.has_mail() {
            st.queue.poller = None;
            ep.set_blocked(None);
            return Ok(None);
        }
        let bed = P::lie_down(st, me);
        me.set_unguarded(P::SLEEPS_IN_POLL && !plan.careful);
        drop(guard);
        if plan.careful {
            self.nap.prepare();
            if self.is_overtaken() {
                return Err(Errno::EINTR);
            }
        }
        let slept = P::sleep(&self.nap, ep, bed, limit, self.tick);
        let mut guard = self.lock()?;
        me.set_unguarded(false);
        guard.queue.poller = None;
        ep.set_blocked(None);
        guard.stats.sleeps += 1;
        self.tick = (self.tick * 2).min(LONGEST_RARE_TICK_NS);
        Ok(Some((guard, slept)))
    }

    /// Takes in kicks; a wake-up descriptor that was closed behind our back is replaced.
    fn hear_kicks(&self, st: &mut EpState) {
        match st.backend.set.wake_revents() {
            0 => {}
            bits if bits & NVAL != 0 => {
                self.me.lose_wake();
                let _ = self.me.ensure_wake();
            }
            _ => {
                st.stats.kicks += 1;
                self.me.heed();
            }
        }
    }

    /// Reports what was found, and decides whether that was all.
    fn report(&mut self, mut guard: Locked, plan: Plan, slept: Result<usize, Errno>) -> Round {
        let st = &mut *guard;
        let mut vanished = send_events::collect(st);
        if let Some(outer) = st.outer.link {
            outer.after_poll(self.ep, st);
        }
        let reported = if self.may_take(st) {
            send_events::deliver(st, self.buffer, &mut vanished)?
        } else {
            send_events::leave_waiting(st);
            0
        };
        if plan.looks_first && self.may_sleep {
            st.queue.habit.looked(reported > 0);
        }
        if reported > 0 {
            if parking::balance(st) {
                parked::take_all_back(st);
            }
            return self.finish(guard, reported, vanished);
        }
        // What the watchers have not come around to hand over, a wait that does not sleep must find by itself.
        if !self.may_sleep && !self.looked_at_parked && parked::look_at_parked(st) {
            self.looked_at_parked = true;
            return Ok(None);
        }
        self.begin_to_count();
        // A sleep that ended early is no look after the time limit, however late it is by now.
        let looked_at_end = plan.sleeps && self.sleeps_to_the_end && slept == Ok(0);
        let time_is_up = !self.may_sleep || (looked_at_end && is_over(self.deadline));
        if plan.sleeps && slept.is_ok() && !time_is_up {
            st.stats.empty_wakeups += 1;
            if plan.polls {
                self.pause = rest::after(&mut self.rest, self.me, st.backend.set.len(), slept != Ok(0));
            }
        }
        drop(guard);
        vanished.forget();
        slept?;
        if time_is_up {
            return Ok(Some(0));
        }
        self.may_sleep = !is_over(self.deadline);
        Ok(None)
    }

    /// So many events are in the caller's array.
    fn finish(&mut self, mut guard: Locked, reported: usize, vanished: Vanished) -> Round {
        self.leave(&mut guard);
        drop(guard);
        vanished.forget();
        Ok(Some(reported))
    }

    /// The time that may pass begins now, if it has not.
    fn begin_to_count(&mut self) {
        self.deadline = self.deadline.or_else(|| deadline_of(self.timeout));
    }

    /// The wait ends without events.
    fn give_up(&mut self, outcome: Result<usize, Errno>) {
        let Ok(mut st) = self.lock() else { return };
        self.leave(&mut st);
        match outcome {
            Ok(_) => st.stats.timeouts += u64::from(!self.is_called_off()),
            Err(errno) => st.stats.interrupted += u64::from(errno == Errno::EINTR),
        }
    }

    /// Takes the thread off the wait queue, under the lock that it has anyway.
    fn leave(&mut self, st: &mut EpState) {
        st.leave(self.ep, self.me);
        self.is_over = true;
        self.was_last = st.is_to_be_cleared();
    }
}

fn deadline_of(timeout: Timeout) -> Option<u64> {
    timeout.map(|ns| sys::now().saturating_add(ns))
}

fn remaining(deadline: Option<u64>) -> Option<u64> {
    deadline.map(|deadline| deadline.saturating_sub(sys::now()))
}

fn is_over(deadline: Option<u64>) -> bool {
    deadline.is_some_and(|deadline| sys::now() >= deadline)
}
