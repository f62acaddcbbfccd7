//! Readiness by io_uring's multishot poll: a request for each registration stays with the kernel, hangs on the same wait queues as the
//! kernel's epoll would, and completes at every wake-up that meets its mask. So an edge is a completion; no witness is needed, nor a
//! count. What is reported is the level at that time, as ever (W4).
//!
//! An instance has a ring while one thread keeps waiting on it; only that thread can hand requests over and take completions. Everybody
//! else lists what is due. Whatever a ring is no good for (several waiting threads, nested and exclusive registrations) sends the
//! instance back to poll for good, and nothing is lost on the way.

use libc::{c_int, pollfd};
use nix::errno::Errno;

use super::ring::{self, Completion, Ring};
use super::watch;
use crate::descriptors;
use crate::edge::Edge;
use crate::epitem::{Epitem, Request, State};
use crate::epstate::{EpState, Held};
use crate::eventpoll::Eventpoll;
use crate::events::{Bits, IN, NVAL, PRI, levels};
use crate::harvest;
use crate::kind::Kind;
use crate::options::{self, Poller};
use crate::process;
use crate::sample;
use crate::stats;
use crate::sync;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sync::atomic::{AtomicBool, AtomicI32, AtomicU32};
use crate::sys;
use crate::waitq::Sleeper;

/// The kernel has no rings for us: not asked again.
static REFUSED: AtomicBool = AtomicBool::new(false);
/// Whether there ever was a ring.
static EVER: AtomicBool = AtomicBool::new(false);

/// The user data of the request on the thread's wake-up descriptor; others have a registration's address in it.
const WAKE: u64 = 1;
/// The low bits of a user data are the address, the high ones the turn of the request.
const ADDRESS_BITS: u32 = 48;
const ADDRESSES: u64 = (1 << ADDRESS_BITS) - 1;

/// How often the same thread has to wait before a ring is made for it.
const WAITS_BEFORE: u16 = 64;
/// Smaller instances are polled faster than a ring is asked.
const FEWEST: usize = 8;

/// What an instance has of its ring.
#[derive(Debug)]
pub struct Uring {
    ring: Ring,
    /// The thread it belongs to.
    owner: &'static Sleeper,
    /// The registrations with requests that have not ended.
    asked: Vec<&'static Epitem>,
    /// Those whose requests are not what they should be.
    due: Vec<&'static Epitem>,
    /// Requests that were cancelled, and whose ends were not seen yet.
    ending: usize,
    /// The owner's wake-up descriptor, as far as it has a request; -1 for none.
    wake: c_int,
    /// The next wait gives the ring up.
    doomed: bool,
    /// When the numbers were last looked at, in milliseconds of the monotonic clock.
    swept_at: u64,
    /// The edges are to be told apart by witnesses and counts again, in this process or in a child.
    leaving: bool,
}

/// Whether rings are worth thinking of, and who keeps waiting.
#[derive(Debug)]
pub struct Prospect {
    regular: Option<&'static Sleeper>,
    waits: u16,
    /// Never again.
    spoilt: bool,
}

impl Prospect {
    /// Nobody waited yet.
    pub const fn new() -> Prospect {
        Prospect { regular: None, waits: 0, spoilt: false }
    }
}

/// The numbers that others than the owner need without the instance's lock.
#[derive(Debug)]
pub struct Outside {
    /// The ring's descriptor.
    fd: AtomicI32,
    /// Counts the times at which every request that was cancelled before had ended.
    laps: AtomicU32,
    /// How many threads wait for the next one.
    closers: AtomicU32,
}

impl Outside {
    /// No ring.
    pub const fn new() -> Outside {
        Outside { fd: AtomicI32::new(-1), laps: AtomicU32::new(0), closers: AtomicU32::new(0) }
    }

    /// Where the descriptor's number is kept.
    pub fn fd(&self) -> &AtomicI32 {
        &self.fd
    }
}

/// Whether readiness of the instance is learnt from a ring in this round of the wait of `me`. Makes the ring if it pays, and gives it
/// up if it is no good any more. Nobody may be asleep on the instance.
pub fn serves(ep: &'static Eventpoll, st: &mut EpState, me: &'static Sleeper) -> bool {
    let fit = is_fit(st) && st.waiters.are_only(me);
    match &st.ring {
        Some(uring) if fit && !uring.doomed && std::ptr::eq(uring.owner, me) => true,
        Some(_) => {
            leave(ep, st);
            false
        }
        None => fit && st.prospect.pays(st.interest.len(), me) && begin(ep, st, me).is_ok(),
    }
}

fn is_fit(st: &EpState) -> bool {
    !st.observed && st.inner.is_empty() && st.exclusives == 0
}

impl Prospect {
    fn pays(&mut self, registrations: usize, me: &'static Sleeper) -> bool {
        let poller = options::poller();
        if self.spoilt || poller == Poller::Poll || REFUSED.load(Relaxed) || me.wake_fd() < 0 || !me.is_own() {
            return false;
        }
        if poller == Poller::Uring {
            return true;
        }
        if !self.regular.is_some_and(|regular| std::ptr::eq(regular, me)) {
            (self.regular, self.waits) = (Some(me), 0);
        }
        self.waits = self.waits.saturating_add(1);
        self.waits > WAITS_BEFORE && registrations >= FEWEST
    }
}

/// Goes over from poll to a ring.
fn begin(ep: &'static Eventpoll, st: &mut EpState, me: &'static Sleeper) -> Result<(), Errno> {
    let made = (|| {
        let ring = match Ring::take_kept(&me.spare_rings, &ep.ring.fd) {
            Some(ring) => ring,
            None => {
                let (ring, fd) = Ring::new(st.interest.len())?;
                descriptors::adopt_internal(fd, &ep.ring.fd)?;
                ring
            }
        };
        let mut uring = Uring {
            ring,
            owner: me,
            asked: Vec::new(),
            due: Vec::new(),
            ending: 0,
            wake: -1,
            doomed: false,
            swept_at: sys::coarse_ms(),
            leaving: false,
        };
        uring.reserve(st.interest.len() + 1, &st.held).inspect_err(|_| descriptors::disown_internal(&ep.ring.fd))?;
        Ok(uring)
    })();
    let uring = made.inspect_err(|errno| {
        st.prospect.spoilt = true;
        if !matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) {
            REFUSED.store(true, Relaxed);
        }
    })?;
    EVER.store(true, Relaxed);
    stats::RINGS.count();
    // What poll would have found out in this round.
    let _ = harvest::sample(st);
    ep.absorb(st);
    st.ring = Some(uring);
    for index in 0..st.interest.len() {
        let item = st.interest[index];
        watch::take_back(st, item);
        st.set.remove(item, &st.held);
        st.list_due(item);
    }
    st.set.forget();
    // What the requests find at once was reported already, perhaps.
    look(ep, st, false);
    for index in 0..st.interest.len() {
        take_over(st, st.interest[index]);
    }
    Ok(())
}

/// Judges for the last time from levels and counts whether there is something that an edge-triggered registration did not report.
fn take_over(st: &mut EpState, item: &'static Epitem) {
    let state = item.at(&st.held);
    let Some(file) = item.file() else { return };
    if state.is_edge() && !state.spent.get() {
        let watched = state.watched(file);
        let mut edge = state.edge.get();
        edge.digest(file.kind(), watched, item.take_facts(), item.told_after(state.reported_at.get()));
        let level = sys::level(item.via(), watched) & !NVAL;
        let is_edge = edge.report(file.kind(), level, || sample::arrivals(file, item.via(), watched));
        state.edge.set(if is_edge { Edge::FRESH } else { Edge::told(edge.quiet()) });
        if is_edge {
            st.note_ready(item);
        }
    }
    st.track(item, file);
}

/// Gives the ring up for good: the instance is polled from here on. Nobody may be asleep on the instance. Who is not the owner cannot
/// have the completions made that are due; if there are any, whatever is there counts as news.
pub fn leave(ep: &'static Eventpoll, st: &mut EpState) {
    let Some(uring) = &st.ring else { return };
    let is_mine = uring.owner.is_own();
    remember_edges(st);
    if is_mine {
        take_in(ep, st);
        clear(ep, st);
    }
    let knows = is_mine || st.ring.as_ref().is_some_and(|uring| !uring.ring.is_behind());
    drain(st, true);
    if let Some(uring) = st.ring.take() {
        if is_mine && uring.is_clear() {
            uring.ring.keep(&ep.ring.fd, &uring.owner.spare_rings);
        }
        descriptors::disown_internal(&ep.ring.fd);
        resume_polling(ep, st, uring.asked, uring.due, knows);
    }
}

/// Takes in all completions that are due, and asks for nothing.
fn take_in(ep: &'static Eventpoll, st: &mut EpState) {
    while let Some(uring) = &mut st.ring
        && uring.ring.has_work()
    {
        let taken = uring.ring.submit(&ep.ring.fd);
        drain(st, true);
        if taken.is_err() {
            return;
        }
    }
}

/// Ends all requests, so that the kernel lets go of the files at once.
fn clear(ep: &'static Eventpoll, st: &mut EpState) {
    for turn in 0..10 {
        let Some(uring) = &mut st.ring else { return };
        if turn == 0 {
            uring.attempt(|ring| ring.cancel_all(&ep.ring.fd));
        }
        uring.attempt(|ring| ring.submit(&ep.ring.fd));
        drain(st, true);
        if st.ring.as_ref().is_none_or(Uring::is_clear) {
            return;
        }
    }
}

/// Takes down what is needed to tell by levels and counts what is news, before the last completions are taken in: what comes in
/// between is in both or in one.
fn remember_edges(st: &mut EpState) {
    if let Some(uring) = &mut st.ring {
        uring.leaving = true;
    }
    for index in 0..st.interest.len() {
        let item = st.interest[index];
        let state = item.at(&st.held);
        let Some(file) = item.file() else { continue };
        st.track(item, file);
        state.reported_at.set(file.clock());
        // What others were told of so far the ring has told, too.
        item.take_facts();
        let mut edge = state.edge.get();
        if state.is_edge() && edge.quiet() != 0 {
            let watched = state.watched(file);
            let level = sys::level(item.via(), watched) & !NVAL;
            harvest::remember(file, item, watched, level);
            edge.resume(file.kind(), level, || sample::arrivals(file, item.via(), watched));
            state.edge.set(edge);
        }
    }
}

/// Goes back to poll, without the ring. `knows` says that all edges were remembered, and every wake-up since then was taken in; otherwise
/// whatever is there counts as news.
fn resume_polling(
    ep: &'static Eventpoll,
    st: &mut EpState,
    asked: Vec<&'static Epitem>,
    due: Vec<&'static Epitem>,
    knows: bool,
) {
    stats::RINGS_LEFT.count();
    st.prospect.spoilt = true;
    for item in due {
        item.at(&st.held).request.due.set(false);
        item.unpin();
    }
    for item in asked {
        let request = &item.at(&st.held).request;
        request.living.set(0);
        item.unpin();
    }
    for index in 0..st.interest.len() {
        let item = st.interest[index];
        item.at(&st.held).request.forget();
        let Some(file) = item.file() else { continue };
        if !knows {
            item.at(&st.held).edge.set(Edge::anew(file.is_shut(libc::SHUT_WR)));
        }
        st.refresh(item);
    }
    end_lap(ep);
}

/// In a forked child: the ring is the parent's, and its memory is not here.
pub fn reset_after_fork(ep: &'static Eventpoll, st: &mut EpState) {
    if let Some(uring) = st.ring.take() {
        let knows = uring.leaving && uring.owner.is_own();
        uring.ring.forget();
        descriptors::disown_internal(&ep.ring.fd);
        resume_polling(ep, st, uring.asked, uring.due, knows);
    }
    st.prospect = Prospect::new();
}

/// In a forked child: the rings that the thread kept are the parent's.
pub fn forget_kept() {
    ring::take_all_kept().for_each(Ring::forget);
}

/// Before a fork: takes in what the child has to know, for it cannot ask the ring.
pub fn prepare_fork() {
    for_each_own(|ep, st| {
        remember_edges(st);
        take_in(ep, st);
    });
}

/// In the parent after a fork.
pub fn go_on_after_fork() {
    for_each_own(|_, st| {
        if let Some(uring) = &mut st.ring {
            uring.leaving = false;
        }
        for index in 0..st.interest.len() {
            let item = st.interest[index];
            if let Some(file) = item.file() {
                st.track(item, file);
            }
        }
    });
}

/// The thread ends, and with it its requests.
pub fn end_thread(own: &Sleeper) {
    for_each_own(leave);
    ring::take_all_kept().for_each(drop);
    own.spare_rings.owners().for_each(descriptors::disown_internal);
}

fn for_each_own(act: impl Fn(&'static Eventpoll, &mut EpState)) {
    if !EVER.load(Relaxed) {
        return;
    }
    Eventpoll::for_each(|ep| {
        if ep.ring.fd.load(Relaxed) != -1 {
            let mut st = ep.lock();
            if st.ring.as_ref().is_some_and(|uring| uring.owner.is_own()) {
                act(ep, &mut st);
            }
        }
    });
}

/// Brings the requests in line with the registrations, and takes in the completions that are due. Never sleeps; makes no system call
/// if there is nothing to do, and is no lap if nothing had to end. Only in the owner.
pub fn lap(ep: &'static Eventpoll, st: &mut EpState) {
    look(ep, st, true);
}

fn look(ep: &'static Eventpoll, st: &mut EpState, tells: bool) {
    let Some(uring) = &mut st.ring else { return };
    uring.watch_wake(&ep.ring.fd);
    let is_lap = !uring.due.is_empty() || uring.ending != 0 || ep.ring.closers.load(SeqCst) != 0;
    if !is_lap && !uring.ring.has_work() {
        return drain(st, tells);
    }
    // The kernel needs one turn for a request, and another one for each ring full of completions.
    for _ in 0..100 {
        st.hand_over(&ep.ring.fd);
        let Some(uring) = &mut st.ring else { return };
        if uring.ring.has_work() {
            uring.attempt(|ring| ring.submit(&ep.ring.fd));
        }
        drain(st, tells);
        let Some(uring) = &st.ring else { return };
        if uring.doomed || (uring.due.is_empty() && uring.ending == 0 && !uring.ring.has_work()) {
            break;
        }
    }
    if is_lap {
        end_lap(ep);
    }
}

fn end_lap(ep: &'static Eventpoll) {
    ep.ring.laps.fetch_add(1, SeqCst);
    if ep.ring.closers.load(SeqCst) != 0 {
        sync::futex_wake(&ep.ring.laps, i32::MAX);
    }
}

/// Takes in the completions that are there. `tells` is false where an edge is not one for certain.
pub fn drain(st: &mut EpState, tells: bool) {
    while let Some(uring) = &mut st.ring
        && let Some(done) = uring.ring.next()
    {
        stats::COMPLETIONS.count();
        match done.user_data {
            0 => {}
            WAKE => {
                if done.is_last() {
                    uring.wake = -1;
                }
                uring.owner.heed();
            }
            data => {
                // SAFETY: the address of a registration, which lives as long as the request.
                let item = unsafe { &*std::ptr::with_exposed_provenance((data & ADDRESSES) as usize) };
                st.completed(item, (data >> ADDRESS_BITS) as u16, done, tells);
            }
        }
    }
}

/// A registration was added: hands what is due over, many at a time, so that the first wait after it has not all of it to do. What was
/// added and deleted since is never asked for.
pub fn added(ep: &'static Eventpoll, st: &mut EpState) {
    const BATCH: usize = 64;
    if st.poller.is_some() || st.interest.len() < BATCH {
        return;
    }
    if st.ring.is_none() && options::poller() == Poller::Uring && st.waiters.is_empty() && !process::has_threads() {
        // The only thread is the one that will wait.
        if let Some(me) = Sleeper::idle_own()
            && is_fit(st)
            && st.prospect.pays(st.interest.len(), me)
        {
            let _ = begin(ep, st, me);
        }
    }
    if let Some(uring) = &mut st.ring
        && uring.due.len() >= BATCH
        && uring.owner.is_own()
    {
        uring.tidy(&st.held);
        if uring.due.len() >= BATCH {
            lap(ep, st);
        }
    }
}

/// Ends what requests of deleted registrations there are, if the caller can: where memory is short that makes room.
pub fn make_room(ep: &'static Eventpoll, st: &mut EpState) {
    if st.ring.as_ref().is_some_and(|uring| uring.owner.is_own()) {
        lap(ep, st);
    }
}

/// Finds the numbers that were closed behind our back: a request holds the file, and says nothing. Now and then only, for it is a look at
/// all of them.
pub fn sweep(st: &mut EpState, mut closed: impl FnMut(&'static Epitem)) {
    const PAUSE_MS: u64 = 1000;
    const WINDOW: usize = 64;
    let Some(uring) = &mut st.ring else { return };
    let now = sys::coarse_ms();
    if now.saturating_sub(uring.swept_at) < PAUSE_MS {
        return;
    }
    uring.swept_at = now;
    for items in st.interest.chunks(WINDOW) {
        let mut set = [pollfd { fd: -1, events: 0, revents: 0 }; WINDOW];
        for (entry, item) in set.iter_mut().zip(items) {
            entry.fd = item.via();
        }
        sys::look(&mut set[..items.len()]);
        let vanished = set.iter().zip(items).filter(|(entry, _)| entry.revents.cast_unsigned() & NVAL != 0);
        vanished.for_each(|(_, item)| closed(item));
    }
}

/// The owner is awake, with the lock, after a sleep that ended so: takes in what ended it. A sleep that failed for another reason than a
/// signal says that the ring is no more, which is no failure of the wait.
pub fn wake(st: &mut EpState, slept: Result<usize, Errno>) -> Result<usize, Errno> {
    drain(st, true);
    match slept {
        Ok(_) | Err(Errno::EINTR) => slept,
        Err(_) => {
            if let Some(uring) = &mut st.ring {
                uring.doomed = true;
            }
            Ok(0)
        }
    }
}

/// Makes the owner let go of a file: every request that was cancelled before the lap has ended when it is over (D4). An owner that does
/// not come around is busy elsewhere, and may be waiting for this very thread: then the ring goes, and the file a moment later, and there
/// will be no ring that could be late again.
fn let_go(ep: &'static Eventpoll, lap: u32) {
    const STEP_NS: u32 = 10_000_000;
    for _ in 0..50 {
        let sleeps = {
            let mut st = ep.lock();
            let st = &mut *st;
            match &mut st.ring {
                _ if ep.ring.laps.load(SeqCst) != lap => return,
                None => return,
                Some(uring) if uring.owner.is_own() => return look(ep, st, true),
                Some(_) => {}
            }
            // Under the lock, for a lap that nobody waits for may not count.
            ep.ring.closers.fetch_add(1, SeqCst);
            st.poller.inspect(|poller| poller.kick()).is_some()
        };
        sync::futex_wait(&ep.ring.laps, lap, Some(STEP_NS));
        ep.ring.closers.fetch_sub(1, SeqCst);
        if !sleeps {
            break;
        }
    }
    let mut st = ep.lock();
    let st = &mut *st;
    if let Some(uring) = &mut st.ring
        && ep.ring.laps.load(SeqCst) == lap
    {
        uring.doomed = true;
        if st.poller.is_none() {
            // The kernel ends the requests of a closed ring itself, in a moment.
            leave(ep, st);
        }
    }
}

/// A time until which a ring may hold a file.
#[derive(Clone, Copy, Debug)]
pub struct Hold {
    ep: &'static Eventpoll,
    lap: u32,
}

impl PartialEq for Hold {
    fn eq(&self, other: &Hold) -> bool {
        std::ptr::eq(self.ep, other.ep) && self.lap == other.lap
    }
}

impl Hold {
    /// Whether the file may still be held.
    pub fn lasts(&self) -> bool {
        self.ep.ring.laps.load(SeqCst) == self.lap
    }

    /// Makes the ring let go of it. Not under a lock.
    pub fn evict(&self) {
        if self.lasts() {
            let_go(self.ep, self.lap);
        }
    }

    /// Every file that a ring may hold at present.
    pub fn evict_all() {
        if EVER.load(Relaxed) {
            Eventpoll::for_each(|ep| {
                if ep.ring.fd.load(Relaxed) != -1 {
                    Hold { ep, lap: ep.ring.laps.load(SeqCst) }.evict();
                }
            });
        }
    }
}

/// A registration ended: the stay that has to end before its file is let go.
pub fn detach(ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem) -> Option<Hold> {
    st.ring.as_ref()?;
    if item.at(&st.held).request.living.get() == 0 {
        return None;
    }
    st.list_due(item);
    Some(Hold { ep, lap: ep.ring.laps.load(SeqCst) })
}

impl Uring {
    /// Makes room for one of `count` registrations: beside what is listed, because that may be dead ones. Only if there is no memory
    /// they are searched for.
    pub fn reserve(&mut self, count: usize, held: &Held) -> Result<(), Errno> {
        if self.due.len() > 2 * count + 64 {
            self.tidy(held);
        }
        if self.asked.try_reserve(count).is_ok() && self.due.try_reserve(count).is_ok() {
            return Ok(());
        }
        self.tidy(held);
        let dead = self.asked.iter().filter(|item| !item.at(held).alive.get()).count();
        let more = |list: &Vec<_>| (count + dead).saturating_sub(list.len());
        self.asked.try_reserve(more(&self.asked)).map_err(|_| Errno::ENOMEM)?;
        self.due.try_reserve(more(&self.due)).map_err(|_| Errno::ENOMEM)
    }

    /// Drops the registrations that ended before they were asked for anything.
    #[cold]
    fn tidy(&mut self, held: &Held) {
        self.due.retain(|item| {
            let state = item.at(held);
            let matters = state.alive.get() || state.request.living.get() != 0;
            if !matters {
                state.request.due.set(false);
                item.unpin();
            }
            matters
        });
    }

    /// Whether nothing was asked for, or all of it has ended.
    fn is_clear(&self) -> bool {
        self.asked.is_empty() && self.wake < 0 && !self.ring.has_work()
    }

    /// Whether witnesses and counts are needed all the same.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// The wake-up descriptor may have been made anew.
    fn watch_wake(&mut self, fd: &AtomicI32) {
        let wake = self.owner.wake_fd();
        if self.wake != wake {
            if self.wake >= 0 {
                self.attempt(|ring| ring.cancel(fd, WAKE));
            }
            if wake >= 0 {
                self.attempt(|ring| ring.poll(fd, wake, IN, WAKE));
            }
            self.wake = wake;
        }
    }

    /// A ring that fails is given up at the next wait.
    fn attempt(&mut self, act: impl FnOnce(&mut Ring) -> Result<(), Errno>) {
        self.doomed |= act(&mut self.ring).is_err();
    }

    fn end(&mut self, item: &'static Epitem, state: &State, held: &Held) {
        let living = state.request.living.get() - 1;
        state.request.living.set(living);
        if living == 0 {
            let place = state.request.place.get() as usize;
            self.asked.swap_remove(place);
            if let Some(moved) = self.asked.get(place) {
                moved.at(held).request.place.set(place as u32);
            }
            item.unpin();
        }
    }

    fn ask(&mut self, fd: &AtomicI32, item: &'static Epitem, state: &State, mask: Bits) {
        let request = &state.request;
        if request.lives.take() {
            self.attempt(|ring| ring.cancel(fd, data_of(item, request.turn.get())));
            self.ending += 1;
        }
        request.mask.set(mask);
        if mask != 0 {
            request.turn.set(request.turn.get().wrapping_add(1));
            self.attempt(|ring| ring.poll(fd, item.via(), asked_for(item, mask), data_of(item, request.turn.get())));
            self.doomed |= is_beyond(item, mask);
            request.lives.set(true);
            if request.living.get() == 0 {
                item.pin();
                request.place.set(self.asked.len() as u32);
                self.asked.push(item);
            }
            request.living.set(request.living.get() + 1);
        }
    }
}

fn data_of(item: &'static Epitem, turn: u16) -> u64 {
    let address = std::ptr::from_ref(item).expose_provenance() as u64;
    debug_assert!(address & !ADDRESSES == 0);
    address | u64::from(turn) << ADDRESS_BITS
}

impl EpState {
    /// The request of a registration is not what it should be, or may not be.
    pub fn list_due(&mut self, item: &'static Epitem) {
        if let Some(uring) = &mut self.ring
            && !item.at(&self.held).request.due.replace(true)
        {
            item.pin();
            uring.due.push(item);
        }
    }

    /// Brings the requests of the registrations that are due in line with them.
    fn hand_over(&mut self, fd: &AtomicI32) {
        let Some(uring) = &mut self.ring else { return };
        let mut due = std::mem::take(&mut uring.due);
        for item in due.drain(..) {
            let state = item.at(&self.held);
            state.request.due.set(false);
            let is_wrong = state.request.wrong.take();
            if is_wrong || !is_asked(state) {
                // Masks that take turns are asked for together.
                let kept = if is_wrong || needs_exactly(state) { 0 } else { state.request.mask.get() };
                uring.ask(fd, item, state, wanted(state) | kept);
            }
            item.unpin();
        }
        uring.due = due;
    }

    /// A registration's request completed, perhaps one that was cancelled since.
    fn completed(&mut self, item: &'static Epitem, turn: u16, done: Completion, tells: bool) {
        let state = item.at(&self.held);
        let request = &state.request;
        let is_current = request.lives.get() && request.turn.get() == turn;
        if is_current {
            let ends = if done.is_last() { request.ends.get().saturating_add(1) } else { 0 };
            request.ends.set(ends);
        }
        if let Some(uring) = &mut self.ring
            && done.is_last()
        {
            if is_current {
                request.lives.set(false);
            } else {
                uring.ending = uring.ending.saturating_sub(1);
            }
            item.pin();
            uring.end(item, state, &self.held);
        }
        if is_current && state.alive.get() {
            let found = Bits::try_from(done.result);
            if let (Err(_), Some(uring)) = (found, &mut self.ring) {
                uring.doomed = true;
            }
            let is_met = found.is_ok_and(|found| found & levels(state.events.get()) != 0);
            let news = is_met && !state.spent.get();
            let in_vain = !is_met && request.mask.get() != wanted(state);
            request.wrong.set(request.wrong.get() || in_vain);
            if news && (tells || !state.is_edge()) {
                let shut = item.file().is_some_and(|file| file.is_shut(libc::SHUT_WR));
                state.edge.set(Edge::anew(shut));
                self.note_ready(item);
            }
            if in_vain {
                self.list_due(item);
            }
            self.refresh_in_ring(item);
        }
        if done.is_last() {
            item.unpin();
        }
    }

    /// Brings a registration that changed in line with the ring.
    pub fn refresh_in_ring(&mut self, item: &'static Epitem) {
        if !is_asked(item.at(&self.held)) {
            self.list_due(item);
        }
    }

    /// The registration is polled by another number from now on. What was asked of the file lasts, unless the old number did not name
    /// it any more when it was asked.
    pub fn redirect_in_ring(&mut self, item: &'static Epitem, was_right: bool) {
        let state = item.at(&self.held);
        if !was_right {
            state.request.wrong.set(true);
            self.list_due(item);
        }
    }

    /// A registration begins anew: it reports what it finds, whatever the ring said before (T6). Where its request is made anew that
    /// comes by itself.
    pub fn begin_in_ring(&mut self, item: &'static Epitem) {
        if self.ring.is_some() {
            let state = item.at(&self.held);
            state.request.ends.set(0);
            if is_asked(state) {
                self.note_ready(item);
            }
        }
    }
}

/// Whether the ring was asked for what it should be asked for. A request ends by itself where the ring is full of completions, and where
/// the file has nothing to wake anybody by, like a terminal that was hung up: there it is pointless to ask again and again.
fn is_asked(state: &State) -> bool {
    const POINTLESS: u8 = 3;
    let Request { mask, lives, ends, .. } = &state.request;
    let (mask, wanted) = (mask.get(), wanted(state));
    let covers = mask == wanted || (!needs_exactly(state) && mask & wanted == wanted);
    covers && (lives.get() || mask == 0 || ends.get() >= POINTLESS)
}

/// Whether a request for more would not do: a completion is an edge, and where nothing is waited for nothing must be held. The level of
/// others is looked at, so a request that asks for more than the mask does no harm until it completes in vain.
fn needs_exactly(state: &State) -> bool {
    !state.alive.get() || state.is_edge()
}

/// What the kernel is asked to watch for. io_uring takes no wake-up for one that has EPOLLPRI alone; those of sockets have EPOLLIN
/// beside it, always.
fn asked_for(item: &Epitem, mask: Bits) -> Bits {
    let is_socket = || item.file().is_some_and(|file| file.identify(item.via()).may_be_socket());
    if mask & PRI != 0 && mask & IN == 0 && is_socket() { mask | IN } else { mask }
}

/// Whether wake-ups would be missed: the one for a change of a terminal's state has EPOLLPRI and nothing else.
fn is_beyond(item: &Epitem, mask: Bits) -> bool {
    mask & PRI != 0 && item.file().is_some_and(|file| file.identify(item.via()) == Kind::Tty)
}

/// The bits that the ring should be asked for; a spent one-shot may keep its request, whose completions mean nothing.
fn wanted(state: &State) -> Bits {
    match () {
        () if !state.alive.get() => 0,
        () if state.spent.get() => state.request.mask.get(),
        () => levels(state.events.get()),
    }
}
