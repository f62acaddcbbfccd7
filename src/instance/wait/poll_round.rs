//! One round of the thread that polls: it decides whether to look or to sleep, learns readiness,
//! and reports. Kernel counterpart: the loop of `ep_poll`.

use nix::errno::Errno;

use super::{LONGEST_RARE_TICK_NS, LONGEST_TICK_NS, Locked, Round, Stage, Wait, is_over, remaining};
use crate::backend::{Poller, parking, rest};
use crate::events::NVAL;
use crate::facts;
use crate::graph::epstate::EpState;
use crate::graph::waitq;
use crate::instance::parked;
use crate::instance::poller_peek;
use crate::instance::resample::{self, Extent};
use crate::instance::send_events;
use crate::instance::vanished::Vanished;
use crate::probe::fleeting;

/// The way in which the newest thread learns readiness in this round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Poll the set this round.
    polls: bool,
    /// It is the first round of the wait.
    is_first: bool,
    /// A wake-up can end the sleep, so signals are blocked except in the sleep itself: one must not
    /// be handled between two sleeps (W8).
    careful: bool,
    /// Look first, although the thread may sleep.
    looks_first: bool,
    sleeps: bool,
    /// The longest time until the next sample, in nanoseconds.
    longest_tick: Option<u64>,
}

impl Plan {
    /// The plan of a plain round, whose result the others take in.
    pub(super) fn after_plain(sleeps: bool) -> Plan {
        Plan { polls: true, is_first: false, careful: false, looks_first: false, sleeps, longest_tick: None }
    }
}

/// The lock, and the result of a sleep or a look. `None`, without the lock, if the inbox got mail;
/// EINTR if the wait was overtaken.
pub(super) type Learnt = Result<Option<(Locked, Result<usize, Errno>)>, Errno>;

impl Wait {
    /// Learns readiness, and reports it.
    #[doc(alias = "ep_poll")]
    pub(super) fn poll<P: Poller>(&mut self, mut guard: Locked) -> Round {
        let plan = self.prepare::<P>(&mut guard);
        self.stage = Stage::Later;
        if plan.is_first && !P::TAKES_IN_BY_LOOK && self.is_newest(&guard) {
            let mut vanished = Vanished::none();
            if let Some(reported) = send_events::deliver_waiting(&mut guard, self.buffer, &mut vanished) {
                return self.finish(guard, reported?, vanished);
            }
        }
        let Some((guard, slept)) = self.learn::<P>(guard, plan)? else {
            // The timeout applies, however often the inbox gets mail.
            self.may_sleep = !is_over(self.deadline);
            return Ok(None);
        };
        self.take_in::<P>(guard, plan, slept)
    }

    /// Takes in the result of a sleep or a look, and reports it.
    #[inline(never)]
    pub(super) fn take_in<P: Poller>(&mut self, mut guard: Locked, plan: Plan, slept: Result<usize, Errno>) -> Round {
        let slept = self.complete::<P>(&mut guard, plan, slept);
        self.clear_wakeup(&mut guard);
        if plan.is_first && !P::TELLS_EDGES && resample::found_by_count(&mut guard) {
            return Ok(None);
        }
        self.report(guard, plan, slept)
    }

    /// Whether the thread may take events that the last poll found: the threads that came later are
    /// served first, as the kernel wakes them first (W9).
    fn may_take(&self, st: &EpState) -> bool {
        let newer = st.queue.waiters.newer_than(self.me);
        newer == 0 || poller_peek::has_found_more(st, newer)
    }

    /// Takes samples, and decides whether to look or to sleep.
    fn prepare<P: Poller>(&mut self, st: &mut EpState) -> Plan {
        let is_first = self.stage == Stage::First;
        P::take_in(self.ep, st);
        let extent = if is_first && !P::TELLS_EDGES { Extent::BeforeLook } else { Extent::All };
        let longest_tick = resample::sample_and_absorb(self.ep, st, extent);
        if is_first && st.outer.is_observed() && st.backend.parked <= parking::PARK_ABOVE {
            // They are parked because the descriptor is observed, not because they are many, so
            // each report includes them. The samples have looked at the instances among them.
            parked::look_at_parked(st);
        } else if is_first && !P::TELLS_EDGES {
            parked::look_at_next_parked(st);
        }
        // Looks first, so that a busy program does not pay for blocking signals.
        let unsure = st.backend.parked > 0 || longest_tick.is_some() || st.outer.is_observed() || st.recheck.left;
        let careful = unsure || st.sleeps_exclusively() || facts::has_threads() || waitq::ever_overtaken();
        let mut polls = P::polls(st);
        let looks_first = polls && is_first && (unsure || st.queue.habit.looks_first());
        let mut sleeps = self.may_sleep && !looks_first && !st.ready.pressing && !P::must_report(st);
        if sleeps {
            sleeps = P::may_sleep(self.ep, st);
            polls = P::SLEEPS_IN_POLL;
        }
        Plan { polls, is_first, careful, looks_first, sleeps, longest_tick }
    }

    /// Sleeps until something is ready, or looks.
    fn learn<P: Poller>(&mut self, mut guard: Locked, plan: Plan) -> Learnt {
        let slept = if plan.sleeps {
            let Some((woken, slept)) = self.sleep::<P>(guard, plan)? else { return Ok(None) };
            guard = woken;
            P::woken(self.ep, &mut guard, slept)
        } else if plan.polls {
            Ok(P::look(self.ep, &mut guard, self.me))
        } else {
            Ok(0)
        };
        Ok(Some((guard, slept)))
    }

    /// Completes a look: registrations that have joined the set meanwhile are looked at too, and
    /// facts are taken in that must not be news after it.
    fn complete<P: Poller>(
        &self,
        st: &mut EpState,
        plan: Plan,
        mut slept: Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        if plan.polls {
            let descriptors = st.backend.set.len();
            st.stats.polled(descriptors);
        }
        if slept.is_err() {
            st.backend.set.forget();
        } else if plan.polls {
            let mut is_told = fleeting::found_in_set(st);
            if st.must_poll_more() {
                self.ep.absorb(st);
                // Registrations that have joined the set were not in the last look.
                slept = slept.map(|found| found.max(P::look(self.ep, st, self.me)));
                is_told = fleeting::found_in_set(st);
            }
            if is_told {
                self.ep.absorb(st);
            }
        }
        slept
    }

    /// Sleeps as the poller, without the lock.
    fn sleep<P: Poller>(&mut self, mut guard: Locked, plan: Plan) -> Learnt {
        let (ep, me) = (self.ep, self.me);
        let st = &mut *guard;
        if let Some(outer) = st.outer.link {
            outer.before_sleep(ep, st);
        }
        self.begin_to_count(st.now_ms);
        let unsure = (st.recheck.overdue || (plan.careful && me.wake_fd() < 0)).then_some(LONGEST_TICK_NS);
        let pause = [plan.longest_tick, unsure].into_iter().flatten().min().map(|longest| self.tick.min(longest));
        let left = (st.recheck.left || st.sleeps_exclusively()).then_some(LONGEST_RARE_TICK_NS);
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
        let target = P::sleep_target(st, me);
        me.set_unguarded(P::SLEEPS_IN_POLL && !plan.careful);
        drop(guard);
        if plan.careful {
            self.nap.prepare();
            if self.is_overtaken() {
                return Err(Errno::EINTR);
            }
        }
        let slept = P::sleep(&self.nap, ep, target, limit, self.tick);
        let mut guard = self.lock()?;
        me.set_unguarded(false);
        guard.queue.poller = None;
        ep.set_blocked(None);
        guard.stats.sleeps += 1;
        self.tick = (self.tick * 2).min(LONGEST_RARE_TICK_NS);
        Ok(Some((guard, slept)))
    }

    /// Clears a wake-up by another thread. A wake-up descriptor that was closed unseen is replaced.
    fn clear_wakeup(&self, st: &mut EpState) {
        match st.backend.set.wake_revents() {
            0 => {}
            bits if bits & NVAL != 0 => {
                self.me.lose_wake();
                let _ = self.me.ensure_wake();
            }
            _ => {
                st.stats.kicks += 1;
                self.me.clear_wakeup();
            }
        }
    }

    /// Reports the results, and decides whether the wait is over.
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
            // The next round may learn the levels in another way.
            st.backend.looked.forget();
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
        // The result of a wait that does not sleep must not depend on the scheduling of the
        // watchers.
        if !self.may_sleep && !self.looked_at_parked && parked::look_at_parked(st) {
            self.looked_at_parked = true;
            return Ok(None);
        }
        self.begin_to_count(st.now_ms);
        // A sleep that ended early is not a look at the end of the time, however late it is by now.
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
}
