//! The data under an instance's lock, and its updates after a change of one registration.

use std::cell::Cell;

use nix::errno::Errno;

use crate::account::Account;
use crate::events::{Bits, ERR, HUP, WRITABLE, levels};
use crate::graph::consumer::Consumer;
use crate::graph::epitem::{Epitem, State};
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::{Allowance, File};
use crate::graph::outer::Outer;
use crate::graph::parts::{Backend, Items, Queue, Ready, Recheck};
use crate::graph::plain::Plain;
use crate::graph::ring_state::RingCost;
use crate::graph::stats::Counted;
use crate::graph::waitq::Sleeper;
use crate::habit::Habit;

/// The number of deleted registrations that may stay on the ready list, in addition to as many as
/// there are live ones.
const FEW: usize = 64;

/// The data that the instance's lock protects.
#[derive(Debug)]
pub struct EpState {
    /// Proof that the lock is held, which can be borrowed beside the other fields.
    pub held: Held,
    /// What the last wait has left for a plain one, if it has. Whoever else locks the instance
    /// clears it.
    pub plain: Option<Plain>,
    /// The registrations.
    pub items: Items,
    /// The registrations that may be reported.
    pub ready: Ready,
    /// The threads that wait.
    pub queue: Queue,
    /// The backend: the sources of readiness.
    pub backend: Backend,
    /// The registrations that need another look.
    pub recheck: Recheck,
    /// The observers of the descriptor, and the state that it shows.
    pub outer: Outer,
    /// Whether the descriptor is closed; the rest ends with the last wait (W11).
    pub closed: bool,
    /// The time when the last poll was taken in, in milliseconds of the coarse clock.
    pub now_ms: u64,
    /// The number of times that reports may still check whether a number names the same file as
    /// before.
    pub comparisons: Allowance,
    /// The instance's counters.
    pub stats: Counted,
}

/// Exists once in each [`EpState`]: a reference to it proves that the instance's lock is held.
#[derive(Debug)]
pub struct Held(());

impl EpState {
    /// An instance without registrations and waiters.
    pub const fn new() -> EpState {
        EpState {
            held: Held(()),
            plain: None,
            items: Items::new(),
            ready: Ready::new(),
            queue: Queue::new(),
            backend: Backend::new(),
            recheck: Recheck::new(),
            outer: Outer::unseen(),
            closed: false,
            now_ms: 0,
            comparisons: Allowance::new(),
            stats: Counted::new(),
        }
    }

    /// Drops every registration that is still referenced, none of which is alive.
    pub fn empty(&mut self) {
        for item in self.ready.list.drain() {
            item.at(&self.held).ready.set(false);
            item.unpin();
        }
        for item in self.recheck.to_resample.drain(..) {
            item.at(&self.held).to_resample.set(false);
            item.unpin();
        }
        self.ready.woken.clear(&self.held);
        self.items.inner.drain(..).for_each(Epitem::unpin);
        self.items.lent.drain(..).for_each(Epitem::unpin);
        if self.queue.poller.is_none() {
            self.backend.set.sweep(&self.held);
        }
    }

    /// Resets the state of a recycled instance.
    pub fn become_new(&mut self) {
        debug_assert!(self.items.interest.is_empty() && self.queue.waiters.is_empty() && self.queue.poller.is_none());
        self.closed = false;
        self.outer = Outer::unseen();
        self.recheck.overdue = false;
        self.recheck.left = false;
        self.recheck.left_due = 0;
        self.ready.pressing = false;
        self.recheck.rare_due = 0;
        self.items.made = 0;
        self.queue.habit = Habit::new();
        self.backend.ring_cost = RingCost::new();
        self.backend.reads_signals = false;
        self.backend.silence_due = 0;
        self.backend.account = Account::new();
        self.queue.consumer = Consumer::none();
        self.stats.begin_anew();
    }

    /// Makes room for one more registration in all places, so that nothing can fail later for lack
    /// of memory.
    pub fn reserve(&mut self) -> Result<(), Errno> {
        let count = self.items.interest.len() + 1;
        self.items.interest.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        if self.ready.list.len() > 2 * count + FEW {
            // Deleted registrations pile up while no thread waits.
            self.drop_dead();
        }
        // The room is in addition to the items on the lists, which may be dead. Dead items are
        // searched for only if memory is short.
        if self.ready.list.try_reserve(count).is_err() || self.recheck.to_resample.try_reserve(count).is_err() {
            self.drop_dead();
            self.ready.list.try_reserve(count.saturating_sub(self.ready.list.len())).map_err(|_| Errno::ENOMEM)?;
            self.recheck
                .to_resample
                .try_reserve(count.saturating_sub(self.recheck.to_resample.len()))
                .map_err(|_| Errno::ENOMEM)?;
        }
        self.items.inner.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.items.exclusives.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.items.lent.try_reserve(count).map_err(|_| Errno::ENOMEM)?;
        if self.outer.is_followed() {
            self.ready.woken.reserve(count)?;
        }
        if let Some(uring) = &mut self.backend.ring {
            uring.reserve(count, &self.held)?;
        }
        if self.queue.poller.is_none() {
            self.backend.set.reserve(count)
        } else {
            self.backend.set.reserve_larger(count)
        }
    }

    /// Makes sure that every registration has an extension, with the part for a followed instance
    /// if `followed`. ENOMEM without memory.
    pub fn ensure_exts(&self, followed: bool) -> Result<(), Errno> {
        self.items.interest.iter().try_for_each(|item| item.get().ensure_ext(&self.held, followed))
    }

    /// Makes sure that a registration which is about to be added has an extension, if it needs one.
    /// ENOMEM without memory.
    pub fn ensure_ext_of_new(&self, item: &'static Epitem) -> Result<(), Errno> {
        let is_followed = self.outer.is_followed();
        if is_followed || self.backend.ring.is_some() { item.ensure_ext(&self.held, is_followed) } else { Ok(()) }
    }

    /// Takes all deleted registrations off the lists at once, instead of each when its turn comes.
    #[cold]
    pub fn drop_dead(&mut self) {
        let held = &self.held;
        let lives = |item: &&'static Epitem, mark: fn(&State) -> &Cell<bool>| {
            let state = item.at(held);
            if !state.alive.get() {
                mark(state).set(false);
                item.unpin();
            }
            state.alive.get()
        };
        self.ready.list.retain(|item| lives(item, |state| &state.ready));
        self.recheck.to_resample.retain(|item| lives(item, |state| &state.to_resample));
    }

    /// Puts a thread on the wait queue. EBADF if the descriptor was closed since it was looked up:
    /// the registrations may be gone by now, and nothing would ever end the wait.
    pub fn join(&mut self, ep: &'static Eventpoll, sleeper: &'static Sleeper) -> Result<(), Errno> {
        if self.closed {
            return Err(Errno::EBADF);
        }
        self.queue.waiters.push(sleeper);
        sleeper.waits_on.set(Some(ep));
        Ok(())
    }

    /// Whether the instance was closed while threads waited, and the last of them has left (W11).
    pub fn is_to_be_cleared(&self) -> bool {
        self.closed && self.queue.waiters.is_empty()
    }

    /// Takes a thread off the wait queue, and lets the next one poll.
    #[inline]
    pub fn leave(&mut self, ep: &'static Eventpoll, sleeper: &'static Sleeper) {
        sleeper.waits_on.set(None);
        self.queue.waiters.remove(sleeper);
        if self.queue.poller.is_some_and(|poller| std::ptr::eq(poller, sleeper)) {
            self.queue.poller = None;
            ep.set_blocked(None);
        }
        if self.queue.poller.is_none() {
            match self.queue.waiters.last() {
                Some(next) => {
                    self.stats.handoffs += 1;
                    next.wake_up();
                }
                None => {
                    if let Some(outer) = self.outer.link {
                        outer.unattended(ep, self);
                    }
                }
            }
        }
    }

    /// Records a change of a file that shows a change only once: the registration that has its turn
    /// first reports it.
    pub fn note_change(&mut self, item: &'static Epitem, file: &'static File) {
        if file.kind().fleeting() != 0 && !item.at(&self.held).spent.get() {
            self.ready.pressing = true;
            self.note_ready(item);
        }
    }

    /// The bits to poll for; `None` if the registration must not be polled.
    #[inline]
    pub fn bits_to_ask(&self, item: &Epitem, file: &File) -> Option<Bits> {
        let state = item.at(&self.held);
        let watched = state.watched(file);
        if state.is_edge() {
            let edge = state.edge.get();
            return if file.is_source() { Some(edge.fresh(watched)) } else { edge.asked(watched) };
        }
        // A wake-up that only outer instances are informed of is an edge to them.
        let outer_watched =
            if self.outer.is_followed() { state.outer_watched(file) & !state.announced().reported() } else { 0 };
        Some(watched | outer_watched)
    }

    /// Whether another instance of the process has the event of an exclusive registration (X1).
    #[inline]
    pub fn is_kept_out(&self, item: &Epitem, file: &File) -> bool {
        let state = item.at(&self.held);
        state.is_exclusive() && !state.newcomer.get() && file.claim().is_of_another(item)
    }

    /// Informs the hooks whether edges of this registration are waited for.
    #[inline]
    pub fn track(&self, item: &'static Epitem, file: &'static File) {
        let state = item.at(&self.held);
        // The hooks report a write that is refused: until there is room again, poll is asked for it.
        // They also report the shutdowns of a unix socket's peer, not all of which send a signal.
        let is_signalled = state.is_signalled() && levels(state.events.get()) & WRITABLE == 0 && file.unix().is_none();
        let is_told = is_signalled || self.backend.ring.as_ref().is_some_and(|uring| !uring.is_leaving());
        let wanted = (state.is_edge() && !is_told) || state.is_exclusive() || self.outer.is_followed();
        if wanted != state.tracked.replace(wanted) {
            if wanted {
                file.identify(item.via());
                if file.is_closing() {
                    for memory in state.memories() {
                        let mut edge = memory.get();
                        edge.follow();
                        memory.set(edge);
                    }
                }
            }
            file.count_edges(wanted);
        }
    }

    /// Puts a registration on the resample list if it belongs there.
    #[inline]
    pub fn note_resample(&mut self, item: &'static Epitem) {
        let state = item.at(&self.held);
        let Some(file) = item.file() else { return };
        if !state.to_resample.get() && state.needs_resample(file) {
            state.to_resample.set(true);
            item.pin();
            self.recheck.to_resample.push(item);
        } else if !state.to_resample.get() {
            self.note_left(item);
        }
    }

    /// Records that a registration which is not on the resample list may have left the poll set.
    #[inline]
    pub fn note_left(&mut self, item: &'static Epitem) {
        let state = item.at(&self.held);
        self.recheck.left |= state.is_edge() && state.alive.get() && state.edge.get().reported() & (ERR | HUP) != 0;
    }

    /// Puts a registration on the copy of the kernel's ready list, if the instance is followed.
    pub fn list_as_woken(&mut self, item: &'static Epitem) {
        if self.outer.is_followed() {
            self.ready.woken.join(item, &self.held);
        }
    }

    /// Puts a registration at the end of the ready list, if it is not on it.
    #[inline]
    pub fn note_ready(&mut self, item: &'static Epitem) {
        let state = item.at(&self.held);
        if !state.ready.replace(true) {
            self.stats.enqueues += 1;
            item.pin();
            self.ready.list.push_back(item);
        } else {
            self.stats.duplicates += 1;
        }
    }
}
