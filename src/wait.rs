//! How a thread waits (W1 to W11): the newest one polls, the others sleep behind it, and signals end every sleep.
//!
//! Nothing that must be dropped is alive while a thread sleeps here: a cancelled thread unwinds out of `ppoll` through these
//! frames, and what it held in the instance is put right when it exits (`Sleeper::retire_own`).

use libc::{epoll_event, pollfd};
use nix::errno::Errno;

use crate::epstate::EpState;
use crate::eventpoll::{self, Eventpoll};
use crate::harvest;
use crate::lock;
use crate::nested;
use crate::next;
use crate::poller::{crossing, uring, watch};
use crate::process;
use crate::stats;
use crate::sync;
use crate::sync::atomic::AtomicI32;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sys::{self, SigMask};
use crate::user;
use crate::waitq::Sleeper;

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

/// The first pause between two looks at registrations behind whose quiet bits an edge could hide.
pub const TICK_NS: u64 = 1_000_000;
/// The longest of them.
pub const LONGEST_TICK_NS: u64 = 50_000_000;
/// The longest where only eventfds that other processes may write to are unread.
pub const LONGEST_RARE_TICK_NS: u64 = 1_000_000_000;

/// The checks of W1, in the kernel's order.
fn checked(epfd: i32, events: *mut epoll_event, max: i32) -> Result<(&'static Eventpoll, Buffer), Errno> {
    let found = eventpoll::find(epfd);
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
    stats::WAITS.count();
    let frame = 0u8;
    let me = match Sleeper::begin((&raw const frame).addr()) {
        Ok(me) => me,
        Err(errno) => {
            ep.unpin();
            return Err(errno);
        }
    };
    let mut nap = Nap { mask, outside: None, is_over: false, was_last: false };
    let outcome = rounds(ep, me, buffer, timeout, &mut nap);
    if !nap.is_over {
        nap.leave(ep, &mut ep.lock(), me);
    }
    me.end();
    ep.finish_wait(nap.was_last);
    // The last thing that can matter: a handler may run here, and leave the wait by `siglongjmp`.
    if let Some(outside) = nap.outside {
        sys::swap_signal_mask(outside);
    }
    if let Ok(n) = outcome {
        stats::EVENTS.add(n as u64);
    }
    outcome
}

/// Looks, reports or sleeps, until there is something to return.
fn rounds(
    ep: &'static Eventpoll,
    me: &'static Sleeper,
    buffer: Buffer,
    timeout: Timeout,
    nap: &mut Nap,
) -> Result<usize, Errno> {
    // From the first look on that found nothing: a wait that finds something at once does not ask for the time.
    let mut deadline = None;
    let mut tick = TICK_NS;
    let mut may_sleep = timeout != Some(0);
    let mut first = true;
    let mut joins = true;
    let mut looked_at_parked = false;
    loop {
        let mut guard = ep.lock();
        let st = &mut *guard;
        if joins {
            st.join(ep, me)?;
            joins = false;
        }
        let newest = st.waiters.last().is_some_and(|last| std::ptr::eq(last, me));
        if !newest || st.poller.is_some() {
            if st.poller.is_none() {
                crossing::leave(ep, st);
            }
            if !may_sleep {
                return Ok(0);
            }
            deadline = deadline.or_else(|| deadline_of(timeout));
            match st.poller {
                Some(poller) if newest => poller.kick(),
                None => {
                    if let Some(newest) = st.waiters.last() {
                        newest.kick();
                    }
                }
                Some(_) => {}
            }
            drop(guard);
            nap.prepare();
            let mut wake = [pollfd { fd: me.wake_fd(), events: libc::POLLIN, revents: 0 }];
            let pause = (me.wake_fd() < 0).then_some(LONGEST_TICK_NS);
            let limit = [remaining(deadline), pause].into_iter().flatten().min();
            let slept = nap.sleep(wake.as_mut_ptr(), 1, limit, LONGEST_TICK_NS);
            me.heed();
            slept?;
            may_sleep = !is_over(deadline);
            continue;
        }
        if first {
            harvest::give_up_claims(st);
        }
        ep.absorb(st);
        let in_ring = uring::serves(ep, st, me);
        if in_ring {
            uring::lap(ep, st);
        }
        let before_look = first && !in_ring;
        let longest_tick = harvest::sample(st, before_look);
        // What that brought up, in the instances inside above all.
        ep.absorb(st);
        if first && st.observed && st.parked <= harvest::PARK_ABOVE {
            // Parked because somebody looks at the descriptor, not because they are many: they are in every report. Instances among
            // them have been looked at.
            watch::look_at_parked(st);
        }
        // Where a kick can end the sleep, signals must not slip in between two of them (W8): they are blocked but in ppoll.
        // A look comes first, so that a busy program never pays for that.
        let careful = process::has_threads() || st.parked > 0 || longest_tick.is_some() || st.observed;
        let looks_first = !in_ring && first && (careful || st.habit.looks_first());
        // A ring has told by now what it knows.
        let is_told = in_ring && !st.ready.is_empty();
        let sleeps = may_sleep && !looks_first && !st.pressing && !is_told;
        first = false;
        let slept = if sleeps {
            if st.observed {
                nested::calm(ep, st);
            }
            deadline = deadline.or_else(|| deadline_of(timeout));
            let unsure = (st.overdue || (careful && me.wake_fd() < 0)).then_some(LONGEST_TICK_NS);
            let pause = [longest_tick, unsure].into_iter().flatten().min().map(|longest| tick.min(longest));
            let limit = [remaining(deadline), pause].into_iter().flatten().min();
            st.poller = Some(me);
            ep.set_blocked(Some(me));
            let set = st.set.poll_with(me.wake_fd());
            let (entries, n) = (set.as_mut_ptr(), set.len());
            if ep.has_mail() {
                st.poller = None;
                ep.set_blocked(None);
                continue;
            }
            if !in_ring {
                me.enter_poll();
            }
            drop(guard);
            if careful {
                nap.prepare();
            }
            let slept = if in_ring {
                nap.sleep_on_ring(ep.ring.fd(), limit)
            } else {
                let slept = nap.sleep(entries, n, limit, tick);
                me.leave_poll();
                slept
            };
            guard = ep.lock();
            guard.poller = None;
            ep.set_blocked(None);
            tick = (tick * 2).min(LONGEST_RARE_TICK_NS);
            slept
        } else if in_ring {
            Ok(0)
        } else {
            Ok(sys::look(st.set.poll_with(me.wake_fd())))
        };
        let st = &mut *guard;
        let slept = if sleeps && in_ring { uring::wake(st, slept) } else { slept };
        stats::POLLS.count();
        stats::SCANNED.add(st.set.len() as u64);
        if slept.is_err() {
            st.set.forget();
        }
        match st.set.wake_revents() {
            0 => {}
            bits if bits & crate::events::NVAL != 0 => {
                me.lose_wake();
                let _ = me.ensure_wake();
            }
            _ => me.heed(),
        }
        if before_look && harvest::found_by_count(st) {
            continue;
        }
        let mut vanished = harvest::collect(st);
        if st.followed {
            nested::announce(ep, st);
        }
        let newest = st.waiters.last().is_some_and(|last| std::ptr::eq(last, me));
        let reported = if newest { harvest::deliver(st, buffer, &mut vanished)? } else { 0 };
        if looks_first && may_sleep {
            st.habit.looked(reported > 0);
        }
        if reported > 0 {
            harvest::balance(st);
            nap.leave(ep, st, me);
            drop(guard);
            vanished.forget();
            return Ok(reported);
        }
        // What the watchers have not come around to hand over, a wait that does not sleep must find by itself.
        if newest && !may_sleep && !looked_at_parked && watch::look_at_parked(st) {
            looked_at_parked = true;
            continue;
        }
        drop(guard);
        vanished.forget();
        slept?;
        deadline = deadline.or_else(|| deadline_of(timeout));
        if sleeps || !may_sleep {
            if !may_sleep || is_over(deadline) {
                return Ok(0);
            }
            stats::EMPTY_WAKEUPS.count();
        }
        may_sleep = may_sleep && !is_over(deadline);
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

/// Whether to look before sleeping. A poll that may sleep enters the wait queue of every descriptor on its way, which costs
/// several times what a mere look does; so a busy program is better off with a look first, and an idle one without. Looks that
/// found nothing are left out for the next waits, ever more of them.
#[derive(Debug)]
pub struct Habit {
    skip: u8,
    next_skip: u8,
}

impl Habit {
    /// Looks the first time.
    pub const fn new() -> Habit {
        Habit { skip: 0, next_skip: 1 }
    }

    fn looks_first(&mut self) -> bool {
        self.skip = self.skip.saturating_sub(1);
        self.skip == 0
    }

    fn looked(&mut self, found: bool) {
        self.next_skip = if found { 1 } else { (self.next_skip * 2).min(16) };
        self.skip = if found { 0 } else { self.next_skip };
    }
}

/// Sleeping in `ppoll`, with the signal mask that the wait was given.
#[derive(Debug)]
struct Nap {
    /// The mask of epoll_pwait.
    mask: Option<SigMask>,
    /// The mask outside, once all signals are blocked but in the sleep itself.
    outside: Option<SigMask>,
    /// The thread is off the wait queue.
    is_over: bool,
    /// It was the last one on it, and the instance is closed.
    was_last: bool,
}

impl Nap {
    /// Takes the thread off the wait queue, under the lock that it has anyway.
    fn leave(&mut self, ep: &'static Eventpoll, st: &mut EpState, me: &'static Sleeper) {
        st.leave(ep, me);
        self.is_over = true;
        self.was_last = st.is_to_be_cleared();
    }

    /// Blocks every signal from here to the end of the wait, sleeps excepted.
    fn prepare(&mut self) {
        if self.outside.is_none() {
            self.outside = Some(sys::swap_signal_mask(sys::ALL_SIGNALS));
        }
    }

    /// One `ppoll`. EINTR when a signal handler ran. The array must stay where it is meanwhile. Where `ppoll` does not take it for its
    /// length, the sleep is on its first entries, the wake-up descriptor among them, and for no longer than `tick`; the others are
    /// looked at after it.
    fn sleep(&self, entries: *mut pollfd, n: usize, limit: Option<u64>, tick: u64) -> Result<usize, Errno> {
        let mut slept = self.ppoll(entries, n, limit);
        if !slept.is_err_and(sys::is_too_long) {
            return slept;
        }
        let tick = tick.min(LONGEST_TICK_NS);
        let limit = Some(limit.map_or(tick, |limit| limit.min(tick)));
        let mut piece = sys::descriptor_limit().min(n);
        loop {
            slept = self.ppoll(entries, piece, limit);
            if piece == 0 || !slept.is_err_and(sys::is_too_long) {
                break;
            }
            piece /= 2;
        }
        slept?;
        // SAFETY: as in `ppoll`.
        Ok(sys::look(unsafe { std::slice::from_raw_parts_mut(entries, n) }))
    }

    /// A sleep until the ring has something. EINTR when a signal handler ran. Unlike `ppoll` the system call is no cancellation point, so
    /// the thread is made to be cancelled at any moment meanwhile.
    fn sleep_on_ring(&self, fd: &AtomicI32, limit: Option<u64>) -> Result<usize, Errno> {
        let careful = process::has_threads();
        let before = careful.then(|| next::let_cancel(next::CANCEL_AT_ANY_MOMENT));
        let slept = sync::io_uring_sleep(fd.load(Relaxed), limit, self.mask.or(self.outside));
        if let Some(before) = before {
            next::let_cancel(before);
        }
        match slept {
            Ok(()) => Ok(1),
            Err(Errno::ETIME) => Ok(0),
            Err(errno) => Err(errno),
        }
    }

    fn ppoll(&self, entries: *mut pollfd, n: usize, limit: Option<u64>) -> Result<usize, Errno> {
        let limit = limit.map(sys::timespec_of);
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let mask = self.mask.or(self.outside).map(|mask| {
            // SAFETY: all zeroes is a valid, empty set, of which the first eight bytes are the kernel's.
            let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
            // SAFETY: the set is at least eight bytes long.
            unsafe { (&raw mut set).cast::<SigMask>().write_unaligned(mask) };
            set
        });
        let mask = mask.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: `entries` is valid for `n` entries and nobody touches it while `poller` is set (or it is the caller's own);
        // the other pointers are to locals. The thread may be cancelled in here: no local of these frames needs dropping.
        let answer = unsafe { sync::ppoll(entries, n as libc::nfds_t, limit, mask) };
        if answer < 0 { Err(sys::last_errno()) } else { Ok(answer as usize) }
    }
}
