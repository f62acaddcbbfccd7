//! What an instance's lock protects, and how one registration is brought in line with it.

use std::cell::Cell;

use nix::errno::Errno;

use crate::account::Account;
use crate::events::{Bits, ERR, HUP};
use crate::graph::consumer::Consumer;
use crate::graph::epitem::{Epitem, State};
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::{Allowance, File};
use crate::graph::outer::Outer;
use crate::graph::pollset::PollSet;
use crate::graph::ready::ReadyList;
use crate::graph::ring_state::{Prospect, Uring};
use crate::graph::stats::Counted;
use crate::graph::waitq::{Sleeper, Waiters};
use crate::graph::woken_list::Line;
use crate::habit::Habit;
use crate::pool::Short;

/// So many deleted registrations may stay on the ready list besides as many as there are.
const FEW: usize = 64;

/// What the instance's lock protects.
#[derive(Debug)]
pub struct EpState {
    /// Proof that the lock is held, to be borrowed beside the other fields.
    pub held: Held,
    /// All registrations. `#[doc(alias = "rbr")]`
    pub interest: Vec<Short<Epitem>>,
    /// How many there ever were.
    pub made: u32,
    /// Those that may be reported, in the order in which they became ready (W3). An item that fell out of it is dropped when
    /// its turn comes, which saves a search.
    pub ready: ReadyList,
    /// Those that would be on the kernel's ready list, if the instance is followed.
    pub line: Line,
    /// Those behind whose quiet bits an edge could hide (see `Edge::is_uneasy`).
    pub uneasy: Vec<&'static Epitem>,
    /// Those that reported an event which exclusive registrations of other instances were kept from, and will not report it
    /// again: they give it up when they are waited for the next time.
    pub lent: Vec<&'static Epitem>,
    /// Those on other instances, and those on sources.
    pub inner: Vec<&'static Epitem>,
    /// What the poller polls. Not to be touched while `poller` is set.
    pub set: PollSet,
    /// The ring that stands in for `set`, if there is one.
    pub ring: Option<Uring>,
    /// Whether there is to be one.
    pub prospect: Prospect,
    /// How many registrations are exclusive.
    pub exclusives: usize,
    /// How many are edge-triggered.
    pub edges: usize,
    /// How many are on files with fleeting levels.
    pub fleeting: usize,
    /// The thread in poll on `set`, or asleep on the ring.
    pub poller: Option<&'static Sleeper>,
    /// The threads in a wait; the last came last and is the one that polls (W9). `#[doc(alias = "wq")]`
    pub waiters: Waiters,
    /// Who is called with what is ready.
    pub consumer: Consumer,
    /// How many registrations are with watchers.
    pub parked: usize,
    /// Whether parking pays.
    pub account: Account,
    /// Whether looks before sleeps pay.
    pub habit: Habit,
    /// Who looks at the descriptor from outside, and what it shows.
    pub outer: Outer,
    /// Some registration has left the poll set, and is looked at once in a while (see `left.rs`).
    pub left: bool,
    /// When next, in nanoseconds of the monotonic clock.
    pub left_due: u64,
    /// The descriptor is closed; what is left ends with the last wait (W11).
    pub closed: bool,
    /// Every registration is to be gone through at the next look: there was no memory to poll one, or all are to be tracked.
    pub overdue: bool,
    /// Something is ready that is not in the poll set, so a poll would not find it.
    pub pressing: bool,
    /// When eventfds that other processes may write to are next worth a look, in nanoseconds of the monotonic clock.
    pub rare_due: u64,
    /// When the last poll was taken in, in milliseconds of the coarse clock.
    pub now_ms: u64,
    /// When a wait that need not look at parked registrations last looked at a few all the same, likewise.
    pub looked_ms: u64,
    /// The place in `interest` that it had come to.
    pub next_parked: usize,
    /// How often reports may still ask whether a number names what it did.
    pub comparisons: Allowance,
    /// What it did.
    pub stats: Counted,
}

/// Exists once in each [`EpState`]: a reference to it proves that the instance's lock is held.
#[derive(Debug)]
pub struct Held(());

impl EpState {
    /// Nothing registered, nobody waiting.
    pub const fn new() -> EpState {
        EpState {
            held: Held(()),
            interest: Vec::new(),
            made: 0,
            ready: ReadyList::new(),
            line: Line::new(),
            uneasy: Vec::new(),
            lent: Vec::new(),
            inner: Vec::new(),
            set: PollSet::new(),
            ring: None,
            prospect: Prospect::new(),
            exclusives: 0,
            edges: 0,
            fleeting: 0,
            poller: None,
            waiters: Waiters::new(),
            consumer: Consumer::none(),
            parked: 0,
            account: Account::new(),
            habit: Habit::new(),
            outer: Outer::unseen(),
            left: false,
            left_due: 0,
            closed: false,
            overdue: false,
            pressing: false,
            rare_due: 0,
            now_ms: 0,
            looked_ms: 0,
            next_parked: 0,
            comparisons: Allowance::new(),
            stats: Counted::new(),
        }
    }

    /// Lets go of every registration that is still pointed at, none of which is alive.
    pub fn empty(&mut self) {
        for item in self.ready.drain() {
            item.at(&self.held).ready.set(false);
            item.unpin();
        }
        for item in self.uneasy.drain(..) {
            item.at(&self.held).uneasy.set(false);
            item.unpin();
        }
        self.line.clear(&self.held);
        self.inner.drain(..).for_each(Epitem::unpin);
        self.lent.drain(..).for_each(Epitem::unpin);
        if self.poller.is_none() {
            self.set.sweep(&self.held);
        }
    }

    /// A recycled instance starts without a past.
    pub fn become_new(&mut self) {
        debug_assert!(self.interest.is_empty() && self.waiters.is_empty() && self.poller.is_none());
        self.closed = false;
        self.outer = Outer::unseen();
        self.overdue = false;
        self.left = false;
        self.left_due = 0;
        self.pressing = false;
        self.rare_due = 0;
        self.made = 0;
        self.habit = Habit::new();
        self.prospect = Prospect::new();
        self.account = Account::new();
        self.consumer = Consumer::none();
        self.stats.begin_anew();
    }

    /// Makes room for one more registration everywhere, so that nothing later can fail for want of memory.
    pub fn reserve(&mut self) -> Result<(), Errno> {
        let count = self.interest.len() + 1;
        self.interest.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        if self.ready.len() > 2 * count + FEW {
            // They pile up where nobody waits.
            self.drop_dead();
        }
        // Beside what is on the lists, because that may be dead registrations; only if there is no memory they are searched for.
        if self.ready.try_reserve(count).is_err() || self.uneasy.try_reserve(count).is_err() {
            self.drop_dead();
            self.ready.try_reserve(count.saturating_sub(self.ready.len())).map_err(|_| Errno::ENOMEM)?;
            self.uneasy.try_reserve(count.saturating_sub(self.uneasy.len())).map_err(|_| Errno::ENOMEM)?;
        }
        self.inner.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.lent.try_reserve(count).map_err(|_| Errno::ENOMEM)?;
        if self.outer.is_followed() {
            self.line.reserve(count)?;
        }
        if let Some(uring) = &mut self.ring {
            uring.reserve(count, &self.held)?;
        }
        if self.poller.is_none() { self.set.reserve(count) } else { self.set.reserve_beside(count) }
    }

    /// Makes sure that every registration has an annex, as one of a followed instance if this is to be one. ENOMEM when there is no memory.
    pub fn furnish(&self, followed: bool) -> Result<(), Errno> {
        self.interest.iter().try_for_each(|item| item.get().furnish(&self.held, followed))
    }

    /// Makes sure that a registration which is about to be added has an extension, if it needs one. ENOMEM when there is no memory.
    pub fn furnish_new(&self, item: &'static Epitem) -> Result<(), Errno> {
        let is_followed = self.outer.is_followed();
        if is_followed || self.ring.is_some() { item.furnish(&self.held, is_followed) } else { Ok(()) }
    }

    /// Takes deleted registrations off the lists, all at once instead of each when its turn comes.
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
        self.ready.retain(|item| lives(item, |state| &state.ready));
        self.uneasy.retain(|item| lives(item, |state| &state.uneasy));
    }

    /// Puts a thread on the wait queue. EBADF if the descriptor was closed since it was looked up: the registrations may be gone
    /// by now, and nothing would ever end the wait.
    pub fn join(&mut self, ep: &'static Eventpoll, sleeper: &'static Sleeper) -> Result<(), Errno> {
        if self.closed {
            return Err(Errno::EBADF);
        }
        self.waiters.push(sleeper);
        sleeper.waits_on.set(Some(ep));
        Ok(())
    }

    /// Whether the instance was closed while threads waited, and the last of them has left (W11).
    pub fn is_to_be_cleared(&self) -> bool {
        self.closed && self.waiters.is_empty()
    }

    /// Takes a thread out of the wait queue, and lets the next one poll.
    pub fn leave(&mut self, ep: &'static Eventpoll, sleeper: &'static Sleeper) {
        sleeper.waits_on.set(None);
        self.waiters.remove(sleeper);
        if self.poller.is_some_and(|poller| std::ptr::eq(poller, sleeper)) {
            self.poller = None;
            ep.set_blocked(None);
        }
        if self.poller.is_none() {
            match self.waiters.last() {
                Some(next) => {
                    self.stats.handoffs += 1;
                    next.kick();
                }
                None => {
                    if let Some(outer) = self.outer.link {
                        outer.unattended(ep, self);
                    }
                }
            }
        }
    }

    /// A file that shows a change once has changed: whichever registration has its turn first
    /// reports it.
    pub fn note_change(&mut self, item: &'static Epitem, file: &'static File) {
        if file.kind().fleeting() != 0 && !item.at(&self.held).spent.get() {
            self.pressing = true;
            self.note_ready(item);
        }
    }

    /// The bits to ask poll for; `None` when the registration is not to be polled.
    #[inline]
    pub fn bits_to_ask(&self, item: &Epitem, file: &File) -> Option<Bits> {
        let state = item.at(&self.held);
        let watched = state.watched(file);
        if state.is_edge() {
            let edge = state.edge.get();
            return if file.is_source() { Some(edge.fresh(watched)) } else { edge.asked(watched) };
        }
        // What only outer instances hear of is an edge to them.
        let heard = if self.outer.is_followed() { state.heard(file) & !state.announced().quiet() } else { 0 };
        Some(watched | heard)
    }

    /// Lets the witnesses know whether somebody waits for edges of this registration.
    #[inline]
    pub fn track(&self, item: &'static Epitem, file: &'static File) {
        let state = item.at(&self.held);
        let is_told = self.ring.as_ref().is_some_and(|uring| !uring.is_leaving());
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

    /// Puts a registration on the uneasy list if it belongs there.
    #[inline]
    pub fn note_unease(&mut self, item: &'static Epitem) {
        let state = item.at(&self.held);
        let Some(file) = item.file() else { return };
        if !state.uneasy.get() && state.is_uneasy(file) {
            state.uneasy.set(true);
            item.pin();
            self.uneasy.push(item);
        } else if !state.uneasy.get() {
            self.note_left(item);
        }
    }

    /// Takes down that a registration which is not uneasy may have left the poll set.
    #[inline]
    pub fn note_left(&mut self, item: &'static Epitem) {
        let state = item.at(&self.held);
        self.left |= state.is_edge() && state.alive.get() && state.edge.get().quiet() & (ERR | HUP) != 0;
    }

    /// A registration would be on the kernel's ready list from here on.
    pub fn stand_in_line(&mut self, item: &'static Epitem) {
        if self.outer.is_followed() {
            self.line.join(item, &self.held);
        }
    }

    /// Puts a registration at the end of the ready list, if it is not on it.
    #[inline]
    pub fn note_ready(&mut self, item: &'static Epitem) {
        let state = item.at(&self.held);
        if !state.ready.replace(true) {
            self.stats.enqueues += 1;
            item.pin();
            self.ready.push_back(item);
        } else {
            self.stats.duplicates += 1;
        }
    }
}
