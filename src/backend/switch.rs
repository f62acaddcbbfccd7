//! The switches from poll to a ring and back, on which no edge is lost and none is invented; and
//! the handling of rings at a fork and at the end of a thread.

use std::ptr;

use nix::errno::Errno;

use super::exit;
use super::spares;
use super::uring::{EVER, drain, for_each_own, is_fit, look};
use super::watch;
use crate::INTERPOSES;
use crate::edge::{Edge, Facts};
use crate::events::{ERR, IN, NVAL};
use crate::facts;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::internal_fd::InternalFd;
use crate::graph::ring_state::{RingCost, Uring};
use crate::graph::waitq::Sleeper;
use crate::io_uring::Ring;
use crate::lock;
use crate::probe::observe::{self, LookedBy, Polled};
use crate::probe::sample;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sys;

/// The number of registrations for which an early ring is made. The kernel looks up a request to
/// cancel in a hash table, which grows, up to 256 buckets, with the number of completions that fit
/// into the ring.
const EARLY: usize = 4096;

/// Whether the ring of the instance serves the next round of the wait of `me`; `None` if there is
/// no ring.
pub fn serves(st: &EpState, me: &'static Sleeper) -> Option<bool> {
    let uring = st.backend.ring.as_ref()?;
    Some(is_fit_for(st, me) && !uring.doomed && ptr::eq(uring.owner, me))
}

/// Whether to make a ring for the wait of `me`.
pub fn pays(st: &mut EpState, me: &'static Sleeper) -> bool {
    if !is_fit_for(st, me) {
        if !st.queue.waiters.has_only(me) {
            st.backend.ring_cost.shared();
        }
        return false;
    }
    st.backend.signalled == 0 && st.backend.ring_cost.pays(st.items.interest.len(), st.items.edges, me)
}

/// Returns the thread for which to make a ring before the first wait, if there is one: a thread
/// that will be the only waiter.
pub fn pays_early(st: &EpState) -> Option<&'static Sleeper> {
    let pays = st.backend.ring.is_none() && st.backend.ring_cost.is_for_many(st.items.interest.len());
    if !pays || facts::has_threads() || st.backend.signalled > 0 || !st.queue.waiters.is_empty() || !is_fit(st) {
        return None;
    }
    Sleeper::idle_own().filter(|me| st.backend.ring_cost.fits_early(me))
}

fn is_fit_for(st: &EpState, me: &'static Sleeper) -> bool {
    is_fit(st) && st.queue.waiters.has_only(me)
}

/// Makes a ring, which is not in use yet.
pub fn prepare(ep: &'static Eventpoll, st: &mut EpState, me: &'static Sleeper) -> Result<Uring, Errno> {
    let made = (|| {
        let mut ring = match spares::take_kept(&me.spare_rings, &ep.ring_fd) {
            Some(ring) => ring,
            None => {
                // A program for which the ring is made before the first wait will add more
                // registrations.
                let room = if st.queue.waiters.is_empty() { EARLY } else { st.items.interest.len() };
                let (ring, fd) = Ring::new(room)?;
                ep.ring_fd.adopt(fd)?;
                ring
            }
        };
        let exit = exit::prepare(&mut ring, ep.ring_fd.cell(), me).inspect_err(|_| ep.ring_fd.close())?;
        let mut uring = Uring {
            ring,
            exit,
            owner: me,
            asked: Vec::new(),
            due: Vec::new(),
            ending: 0,
            wake: -1,
            doomed: false,
            swept_at: sys::coarse_ms(),
            leaving: false,
            has_served: false,
        };
        uring
            .reserve(st.items.interest.len() + 1, &st.held)
            .and_then(|()| st.ensure_exts(st.outer.is_followed()))
            .inspect_err(|_| ep.ring_fd.close())?;
        Ok(uring)
    })();
    made.inspect_err(|errno| st.backend.ring_cost.refuse(*errno))
}

/// Switches from poll to a ring. The caller has taken in everything that polling can find out.
/// False if the ring cannot serve every registration: then all of them are polled as before.
pub fn enter(ep: &'static Eventpoll, st: &mut EpState, uring: Uring) -> bool {
    EVER.store(true, Relaxed);
    st.stats.rings += 1;
    st.backend.ring = Some(uring);
    for index in 0..st.items.interest.len() {
        let item = st.items.interest[index].get();
        watch::take_back(st, item);
        st.backend.set.remove(item, &st.held);
        st.list_due(item);
    }
    st.backend.set.forget();
    st.backend.set.discard_unused();
    // The levels that the requests find at once may have been reported already.
    look(ep, st, false);
    if st.backend.ring.as_ref().is_some_and(|uring| uring.doomed) {
        // The registrations are still in the state of polled ones.
        clear(ep, st, false);
        end(ep, st, true);
        return false;
    }
    for index in 0..st.items.interest.len() {
        take_over(st, st.items.interest[index].get());
    }
    true
}

/// Decides for the last time by levels and counts whether an edge-triggered registration has an
/// event that it did not report.
pub(super) fn take_over(st: &mut EpState, item: &'static Epitem) {
    let state = item.at(&st.held);
    let Some(file) = item.file() else { return };
    if state.is_edge() && !state.spent.get() {
        let watched = state.watched(file);
        let mut edge = state.edge.get();
        edge.digest(file.kind(), watched, item.take_facts(), item.told_after(state.reported_at.get()));
        let level = file.level(item.via(), watched) & !NVAL;
        let is_edge =
            edge.report(file.kind(), level, sample::VIEW, || sample::settled_arrivals(file, item.via(), watched));
        state.edge.set(if is_edge { Edge::FRESH } else { Edge::after_report(edge.reported()) });
        if is_edge {
            st.note_ready(item);
        }
    }
    st.track(item, file);
}

/// Gives up the ring: the instance is polled from here on, with a set that is built when the next
/// look takes in overdue changes. No thread may be asleep on the instance. A thread that is not the
/// owner, or whose submission fails, cannot fetch the completions that are due; if there are any,
/// every level counts as news. False if there is no ring.
pub fn leave(ep: &'static Eventpoll, st: &mut EpState) -> bool {
    let Some(uring) = &st.backend.ring else { return false };
    let is_mine = uring.owner.is_own();
    remember_edges(st);
    if is_mine {
        take_in(ep, st);
        clear(ep, st, true);
    }
    let knows = st.backend.ring.as_ref().is_some_and(|uring| !uring.ring.has_work());
    drain(st, true);
    end(ep, st, knows);
    true
}

/// Drops the ring, or keeps it for another instance. `knows` is as in [`resume_polling`].
fn end(ep: &'static Eventpoll, st: &mut EpState, knows: bool) {
    if let Some(uring) = st.backend.ring.take() {
        let (is_mine, failed, has_served) = (uring.owner.is_own(), uring.doomed, uring.has_served);
        if is_mine && uring.is_clear() {
            spares::keep(uring.ring, &ep.ring_fd, &uring.owner.spare_rings);
        }
        ep.ring_fd.close();
        if failed || has_served {
            st.backend.ring_cost.give_up(failed);
        } else {
            st.backend.ring_cost.shared();
        }
        resume_polling(ep, st, uring.asked, uring.due, knows);
    }
}

/// Takes in all completions that are due, without making requests.
fn take_in(ep: &'static Eventpoll, st: &mut EpState) {
    while let Some(uring) = &mut st.backend.ring
        && uring.ring.has_work()
    {
        let taken = uring.ring.submit(ep.ring_fd.cell());
        drain(st, true);
        if taken.is_err() {
            return;
        }
    }
}

/// Ends all requests, so that the kernel releases the files at once. `tells` is as in [`drain`].
fn clear(ep: &'static Eventpoll, st: &mut EpState, tells: bool) {
    clear_most(ep, st, tells);
    for turn in 0..10 {
        let Some(uring) = &mut st.backend.ring else { return };
        if turn == 0 {
            uring.attempt(|ring| ring.cancel_all(ep.ring_fd.cell()));
        }
        uring.attempt(|ring| ring.submit(ep.ring_fd.cell()));
        drain(st, tells);
        if st.backend.ring.as_ref().is_none_or(Uring::is_clear) {
            return;
        }
    }
}

/// If there are many requests, removes all but a few of them one by one: the time that the kernel
/// takes to end all by one request grows with the square of their number.
fn clear_most(ep: &'static Eventpoll, st: &mut EpState, tells: bool) {
    const BATCH: usize = 64;
    const FEW: usize = 32;
    // A request that is being completed ends with a later batch.
    let mut in_vain = 0;
    while in_vain < 10
        && let Some(uring) = &mut st.backend.ring
        && uring.asked.len() > FEW
    {
        let before = uring.asked.len();
        uring.remove_some(BATCH, ep.ring_fd.cell(), &st.held);
        uring.attempt(|ring| ring.submit(ep.ring_fd.cell()));
        drain(st, tells);
        in_vain += u32::from(st.backend.ring.as_ref().is_some_and(|uring| uring.asked.len() >= before));
    }
}

/// Records, before the last completions are taken in, the state from which levels and counts can
/// distinguish news. An event that arrives in between shows in both or in one of the two.
fn remember_edges(st: &mut EpState) {
    if let Some(uring) = &mut st.backend.ring {
        uring.leaving = true;
    }
    for index in 0..st.items.interest.len() {
        let item = st.items.interest[index].get();
        let facts = remember_edge(st, item);
        let state = item.at(&st.held);
        if state.request().is_some_and(|request| request.due.get()) {
            // No completion reports what its request, which was not made yet, would have met.
            state.edge.set(Edge::anew(item.file().is_some_and(|file| file.is_closing())));
        } else if facts.contains(Facts::WAKE_ALL) {
            keep_change(st, item);
        }
    }
}

/// Lists a registration whose file has shown a change that it will not show again, to this look or
/// to that of another registration: no completion follows.
fn keep_change(st: &mut EpState, item: &'static Epitem) {
    let state = item.at(&st.held);
    if let Some(file) = item.file()
        && file.kind().fleeting() != 0
        && item.told_after(state.reported_at.get())
    {
        st.wake(item, file);
    }
}

/// Does so for one registration, which hooks report on from here on. Returns the facts that it had
/// not taken in.
pub(super) fn remember_edge(st: &mut EpState, item: &'static Epitem) -> Facts {
    let state = item.at(&st.held);
    let Some(file) = item.file() else { return Facts::empty() };
    st.track(item, file);
    // The backend has reported everything that other registrations were informed of so far. Facts
    // of calls in progress still count: this is not a report, after which the program would see the
    // effect of calls that began before it.
    let mut facts = item.take_facts();
    let mut edge = state.edge.get();
    if state.is_edge() && edge.reported() != 0 {
        let watched = state.watched(file);
        let level = file.level(item.via(), watched) & !NVAL;
        let tracked = state.tracked.get();
        let polled = Polled { by: LookedBy::Ring, high: level, low: watched & !level, tracked };
        observe::observe(file, item.via(), polled);
        // This look may have shown something that is new to other registrations, but not to this
        // one.
        facts |= item.take_facts();
        if let Some(tcp) = file.tcp() {
            tcp.follow_errors(level & ERR != 0);
        }
        if let Some(eventfd) = file.eventfd().filter(|eventfd| level & IN != 0 && eventfd.adds() == 0) {
            // No call of this process has ever added to it.
            eventfd.note_unseen_add();
        }
        edge.resume(file.kind(), level, sample::VIEW, || sample::settled_arrivals(file, item.via(), watched));
        if INTERPOSES && file.kind().is_eventfd() {
            edge.note_calls(sample::calls_that_add(file));
        }
        state.edge.set(edge);
    }
    facts
}

/// Goes back to poll, without the ring. `knows` is true if all edges were recorded and every
/// wake-up since then was taken in; otherwise every level counts as news.
fn resume_polling(
    ep: &'static Eventpoll,
    st: &mut EpState,
    asked: Vec<&'static Epitem>,
    due: Vec<&'static Epitem>,
    knows: bool,
) {
    st.stats.rings_left += 1;
    for item in due {
        if let Some(request) = item.at(&st.held).request() {
            request.due.set(false);
        }
        item.unpin();
    }
    for item in asked {
        if let Some(request) = item.at(&st.held).request() {
            request.living.set(0);
        }
        item.unpin();
    }
    for index in 0..st.items.interest.len() {
        let item = st.items.interest[index].get();
        if let Some(request) = item.at(&st.held).request() {
            request.forget();
        }
        let Some(file) = item.file() else { continue };
        if !knows {
            item.at(&st.held).edge.set(Edge::anew(file.is_closing()));
        }
    }
    st.recheck.overdue = true;
    ep.ring_laps.advance();
}

/// In a forked child, drops the ring: it belongs to the parent, and its memory is not mapped here.
pub fn reset_after_fork(ep: &'static Eventpoll, st: &mut EpState) {
    if let Some(uring) = st.backend.ring.take() {
        let knows = uring.leaving && uring.owner.is_own();
        uring.ring.forget();
        ep.ring_fd.close();
        resume_polling(ep, st, uring.asked, uring.due, knows);
    }
    ep.ring_laps.forget_waiters();
    st.backend.ring_cost = RingCost::inherited();
}

/// In a forked child, forgets the rings that the thread kept: they belong to the parent.
pub fn forget_kept() {
    spares::take_all_kept().for_each(Ring::forget);
}

/// Before a fork, takes in everything that the child has to know, because it cannot ask the ring.
pub fn prepare_fork() {
    for_each_own(|ep, st| {
        remember_edges(st);
        take_in(ep, st);
    });
}

/// Continues in the parent after a fork.
pub fn go_on_after_fork() {
    for_each_own(|_, st| {
        if let Some(uring) = &mut st.backend.ring {
            uring.leaving = false;
        }
        for index in 0..st.items.interest.len() {
            let item = st.items.interest[index].get();
            if let Some(file) = item.file() {
                st.track(item, file);
            }
        }
    });
}

/// Gives up all rings of the calling thread: those of instances, and those kept for later.
pub fn give_up_own() {
    if let Some(own) = Sleeper::current().filter(|_| !lock::interrupted()) {
        end_thread(own);
    }
}

/// Ends the requests of a thread that ends.
pub fn end_thread(own: &'static Sleeper) {
    for_each_own(|ep, st| _ = leave(ep, st));
    spares::take_all_kept().for_each(drop);
    own.spare_rings.places().iter().for_each(InternalFd::close);
    own.anchor.close();
}
