//! The wait of a thread (W1 to W11): the newest one polls, the others sleep behind it, and signals
//! end every sleep. Kernel counterpart: `ep_poll`.
//!
//! No value that must be dropped is alive while a thread sleeps here: a cancelled thread unwinds
//! out of `ppoll` through these frames, and those of `sleep` and the poller. Its place in the
//! instance is cleared when it exits (`lifecycle::end_thread`).

mod plain;
mod poll_round;

use std::mem::offset_of;

use epolyfill_environment::anchor::Place;
use libc::{epoll_event, pollfd};
use nix::errno::Errno;

use crate::backend::rest::{self, Rest};
use crate::backend::{ByPoll, ByRequest, BySignal, signals};
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::plain::Plain;
use crate::graph::waitq::{self, Sleeper};
use crate::instance::lifecycle;
use crate::instance::open;
use crate::instance::poller_peek::{self, Patience};
use crate::instance::ring_use;
use crate::instance::send_events;
use crate::instance::vanished::Vanished;
use crate::lock::{self, Guard};
use crate::sleep::Sleep;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::Ordering::SeqCst;
use crate::sys;
use crate::uaccess;

/// The longest time to wait, in nanoseconds; `None` waits forever.
pub type Timeout = Option<u64>;

/// The array for the events.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// The caller's array.
    pub events: *mut epoll_event,
    /// The number of events that fit; at least 1.
    pub max: usize,
}

pub use crate::sleep::{LONGEST_TICK_NS, TICK_NS};
/// The longest tick while only eventfds that other processes may write to are unread.
pub const LONGEST_RARE_TICK_NS: u64 = 1_000_000_000;

/// The checks of W1, in the kernel's order.
fn checked(epfd: i32, events: *mut epoll_event, max: i32) -> Result<(&'static Eventpoll, Buffer), Errno> {
    let found = open::find(epfd);
    if matches!(found, Err(Errno::EBADF)) {
        return Err(Errno::EBADF);
    }
    let max = usize::try_from(max).ok().filter(|&max| max > 0 && max <= i32::MAX as usize / size_of::<epoll_event>());
    let max = max.ok_or(Errno::EINVAL)?;
    uaccess::check_range(events, max)?;
    Ok((found?.into_raw(), Buffer { events, max }))
}

/// epoll_pwait2(2), which includes the other waits.
///
/// # Safety
/// `events` must be NULL, outside user space, or writable for `max` events.
#[inline(always)]
pub unsafe fn wait(
    epfd: i32,
    events: *mut epoll_event,
    max: i32,
    timeout: Timeout,
    nap: Sleep,
) -> Result<usize, Errno> {
    if lock::interrupted() {
        // A signal handler cannot wait for the code that it interrupted.
        return Err(Errno::EINTR);
    }
    let (ep, buffer) = checked(epfd, events, max)?;
    // SAFETY: the caller vouches for the array.
    unsafe { wait_on(ep, buffer, timeout, nap, None) }
}

/// As [`wait`], on an instance that is pinned for it. When another thread sets `called_off` and
/// wakes this one, the wait ends and reports nothing.
///
/// # Safety
/// As for [`wait`].
#[inline(always)]
pub unsafe fn wait_on(
    ep: &'static Eventpoll,
    buffer: Buffer,
    timeout: Timeout,
    nap: Sleep,
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
        since_ms: 0,
        may_sleep: timeout != Some(0),
        sleeps_to_the_end: false,
        tick: TICK_NS,
        stage: Stage::New,
        looked_at_parked: false,
        patience: Patience::new(),
        rest: Rest::new(me.evictions()),
        pause: None,
        nap,
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
    // Last, because a signal handler may run here and leave the wait by `siglongjmp`.
    if let Some(outside) = wait.nap.outside {
        sys::swap_signal_mask(outside);
    }
    outcome
}

/// The progress of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The thread is not on the wait queue yet.
    New,
    /// The thread has not looked yet.
    First,
    /// The thread has looked, or slept.
    Later,
}

/// One wait.
#[derive(Debug)]
struct Wait {
    ep: &'static Eventpoll,
    me: &'static Sleeper,
    /// The turn in which the thread joined the wait queue.
    turn: u32,
    buffer: Buffer,
    timeout: Timeout,
    /// The end of the time. The first look that finds nothing sets it: a wait that finds something
    /// at once does not read the clock.
    deadline: Option<u64>,
    /// The time of the last poll of the instance before the first sleep, in milliseconds of the
    /// coarse clock; 0 before it. For the launcher, which explains waits from outside.
    since_ms: u64,
    may_sleep: bool,
    /// Whether the last sleep as the poller was limited only by the end of the time.
    sleeps_to_the_end: bool,
    /// The longest sleep while an edge may be hidden, in nanoseconds. It doubles.
    tick: u64,
    stage: Stage,
    looked_at_parked: bool,
    /// The limit of the wait for the thread that polls, when the time is up.
    patience: Patience,
    /// The pauses when closes evict the thread from poll.
    rest: Rest,
    /// The pause before the next round, in nanoseconds.
    pause: Option<u32>,
    nap: Sleep,
    /// The flag that is set when the wait is to end without events.
    called_off: Option<&'static AtomicBool>,
    /// Whether the thread is off the wait queue.
    is_over: bool,
    /// Whether it was the last one on the queue, and the instance is closed.
    was_last: bool,
}

/// The fields that the launcher reads from outside, on the thread's stack.
pub const PLACES: [(Place, usize); 8] = {
    let [is_some, value] = option_places();
    [
        (Place::WaitInstance, offset_of!(Wait, ep)),
        (Place::WaitSleeper, offset_of!(Wait, me)),
        (Place::WaitTurn, offset_of!(Wait, turn)),
        (Place::WaitIsLimited, offset_of!(Wait, timeout) + is_some),
        (Place::WaitTimeout, offset_of!(Wait, timeout) + value),
        (Place::WaitHasBegun, offset_of!(Wait, deadline) + is_some),
        (Place::WaitSince, offset_of!(Wait, since_ms)),
        (Place::WaitDeadline, offset_of!(Wait, deadline) + value),
    ]
};

/// Where an `Option<u64>` has its tag and its value.
const fn option_places() -> [usize; 2] {
    const VALUE: u64 = 0x5eed;
    const WORD: usize = size_of::<u64>();
    // SAFETY: the tag is as wide as the value is aligned, so no byte of `Some` is padding.
    let words = unsafe { std::mem::transmute::<Option<u64>, [u64; 2]>(Some(VALUE)) };
    if words[1] == VALUE { [0, WORD] } else { [WORD, 0] }
}

/// The number of events when the wait is over; `None` for another round.
type Round = Result<Option<usize>, Errno>;

type Locked = Guard<'static, EpState>;

impl Wait {
    /// Looks, reports or sleeps, until there is something to return.
    #[inline(always)]
    fn rounds(&mut self) -> Result<usize, Errno> {
        loop {
            if self.is_called_off() {
                return Ok(0);
            }
            if let Some(reported) = self.round()? {
                return Ok(reported);
            }
            if let Some(pause) = self.pause.take() {
                self.rest(pause);
            }
        }
    }

    #[cold]
    fn rest(&mut self, pause: u32) {
        let left = remaining(self.deadline).map_or(u64::MAX, |left| left);
        // A signal that arrives meanwhile ends the next sleep (W8).
        self.nap.prepare();
        rest::rest(self.me, u64::from(pause).min(left) as u32);
    }

    fn is_called_off(&self) -> bool {
        self.called_off.is_some_and(|called_off| called_off.load(SeqCst))
    }

    /// Whether a signal handler that interrupted this wait has waited itself. Then this wait is
    /// over, as it is in the kernel once a handler runs. The instance is not pinned any more, and
    /// its record may be recycled.
    fn is_overtaken(&self) -> bool {
        self.stage != Stage::New && self.me.has_left(self.turn)
    }

    /// Locks the instance, if the wait is still on its queue. EINTR if not. Also EINTR if a signal
    /// handler has switched to these frames from others that hold a lock: those continue only after
    /// the wait, so the wait is left as if by `siglongjmp`.
    fn lock(&self) -> Result<Locked, Errno> {
        let mut guard = self.lock_plainly()?;
        guard.plain = None;
        Ok(guard)
    }

    /// As [`Wait::lock`], for a wait that may be a plain one.
    #[inline(always)]
    fn lock_plainly(&self) -> Result<Locked, Errno> {
        let guard = self.ep.lock_to_wait().ok_or(Errno::EINTR)?;
        if self.is_overtaken() { Err(Errno::EINTR) } else { Ok(guard) }
    }

    /// Overtakes the wait that the thread is in. From the first time on, all waits block signals
    /// from here to their end, because a handler may leave these frames and return to others, which
    /// need the locks.
    #[cold]
    fn overtake(&mut self) -> Result<(), Errno> {
        self.nap.prepare();
        if lock::interrupted() {
            return Err(Errno::EINTR);
        }
        lifecycle::overtake(self.me)
    }

    #[inline(always)]
    fn round(&mut self) -> Round {
        if self.stage == Stage::New && (waitq::ever_overtaken() || self.me.waits_on.get().is_some()) {
            self.overtake()?;
        }
        let mut guard = self.lock_plainly()?;
        if self.stage == Stage::New {
            if self.me.waits_on.get().is_some() {
                // A signal handler has begun a wait since.
                return Ok(None);
            }
            guard.join(self.ep, self.me)?;
            guard.stats.waits += 1;
            self.turn = self.me.turn();
            self.stage = Stage::First;
            if let Some(left) = guard.plain.take()
                && self.may_be_plain(&guard)
            {
                return self.plain_round(guard, left);
            }
        }
        guard.plain = None;
        self.full_round(guard)
    }

    /// A round that is not a plain one. Not inlined, so that a plain one has a small frame.
    #[inline(never)]
    fn full_round(&mut self, mut guard: Locked) -> Round {
        if guard.queue.poller.is_some() && !self.may_sleep {
            return self.look_past(guard);
        }
        // When its time is up, a thread looks once more, whatever its place in the queue (W2).
        if guard.queue.poller.is_some() || (self.may_sleep && !self.is_newest(&guard)) {
            return self.stand_behind(guard);
        }
        if self.stage == Stage::First {
            send_events::give_up_claims(&mut guard);
        }
        self.ep.absorb(&mut guard);
        if ring_use::is_by_ring(self.ep, &mut guard, self.me) {
            self.poll::<ByRequest>(guard)
        } else if signals::serve(&guard) {
            self.poll::<BySignal>(guard)
        } else {
            self.poll::<ByPoll>(guard)
        }
    }

    fn is_newest(&self, st: &EpState) -> bool {
        st.queue.waiters.last().is_some_and(|last| std::ptr::eq(last, self.me))
    }

    /// Ends a wait whose time is up while another thread is in poll. If that thread is about to
    /// find more events than it takes, this one first waits for its turn to look.
    fn look_past(&mut self, guard: Locked) -> Round {
        let others = guard.queue.waiters.newer_than(self.me);
        let due =
            guard.queue.poller.map_or(poller_peek::Due::Nothing, |poller| poller_peek::due(&guard, poller, others));
        drop(guard);
        if !self.patience.lasts(due) {
            return Ok(Some(0));
        }
        self.patience.nap();
        Ok(None)
    }

    /// Sleeps until another thread wakes this one, because a newer thread polls, or is about to.
    fn stand_behind(&mut self, mut guard: Locked) -> Round {
        let st = &mut *guard;
        if st.queue.poller.is_none() {
            ring_use::leave(self.ep, st);
        }
        self.begin_to_count(st.now_ms);
        match st.queue.poller {
            Some(poller) if self.is_newest(st) => poller.wake_up(),
            None => {
                if let Some(newest) = st.queue.waiters.last() {
                    newest.wake_up();
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
        self.me.clear_wakeup();
        {
            let stats = &mut self.lock()?.stats;
            stats.sleeps += 1;
            stats.kicks += u64::from(wake[0].revents != 0);
        }
        slept?;
        self.may_sleep = !is_over(self.deadline);
        Ok(None)
    }

    /// Finishes the wait with `reported` events in the caller's array.
    fn finish(&mut self, mut guard: Locked, reported: usize, vanished: Vanished) -> Round {
        self.leave(&mut guard);
        guard.plain = Plain::left_by(&guard).filter(|_| !self.ep.has_mail());
        drop(guard);
        vanished.forget();
        Ok(Some(reported))
    }

    /// Starts the timeout, if it has not started.
    fn begin_to_count(&mut self, now_ms: u64) {
        if self.since_ms == 0 {
            self.since_ms = now_ms.max(1);
            self.deadline = deadline_of(self.timeout);
        }
    }

    /// Ends the wait without events.
    fn give_up(&mut self, outcome: Result<usize, Errno>) {
        let Ok(mut st) = self.lock() else { return };
        self.leave(&mut st);
        match outcome {
            Ok(_) => st.stats.timeouts += u64::from(!self.is_called_off()),
            Err(errno) => st.stats.interrupted += u64::from(errno == Errno::EINTR),
        }
    }

    /// Takes the thread off the wait queue, under the lock that it holds anyway.
    #[inline(always)]
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
