//! Readiness by io_uring's multishot poll: a request for each registration stays with the kernel, hangs on the same wait queues as the
//! kernel's epoll would, and completes at every wake-up that meets its mask. So an edge is a completion; no witness is needed, nor a
//! count. What is reported is the level at that time, as ever (W4).
//!
//! An instance has a ring while one thread keeps waiting on it; only that thread can hand requests over and take completions. Everybody
//! else lists what is due. Whatever a ring is no good for (several waiting threads, nested and exclusive registrations) sends the
//! instance back to poll, and nothing is lost on the way (`crossing`).

use nix::errno::Errno;

use super::exit::{GATE, LINK};
use super::request::{WAKE, owner_of};
use crate::events::{Bits, IN, NVAL};
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::ring_state::Uring;
use crate::probe::fleeting;
use crate::ring::Ring;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::atomic::{AtomicBool, AtomicI32};
use crate::window::{WINDOW, Window};

/// Whether there ever was a ring.
pub(super) static EVER: AtomicBool = AtomicBool::new(false);

/// Whether a ring will do for the instance.
pub(super) fn is_fit(st: &EpState) -> bool {
    !st.outer.is_observed() && st.items.inner.is_empty() && st.items.exclusives == 0
}

pub(super) fn for_each_own(act: impl Fn(&'static Eventpoll, &mut EpState)) {
    if !EVER.load(Relaxed) {
        return;
    }
    Eventpoll::for_each(|ep| {
        if ep.ring_fd.number() != -1 {
            let mut st = ep.lock();
            if st.backend.ring.as_ref().is_some_and(|uring| uring.owner.is_own()) {
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

pub(super) fn look(ep: &'static Eventpoll, st: &mut EpState, tells: bool) {
    let Some(uring) = &mut st.backend.ring else { return };
    uring.watch_wake(ep.ring_fd.cell());
    let is_lap = !uring.due.is_empty() || uring.ending != 0 || ep.ring_laps.is_waited_for();
    if !is_lap && !uring.ring.has_work() {
        return drain(st, tells);
    }
    // The kernel needs one turn for a request, and another one for each ring full of completions.
    let turns = 100 + uring.due.len() / 64;
    for _ in 0..turns {
        st.hand_over(ep.ring_fd.cell());
        let Some(uring) = &mut st.backend.ring else { return };
        if uring.ring.has_work() {
            uring.attempt(|ring| ring.submit(ep.ring_fd.cell()));
        }
        drain(st, tells);
        let Some(uring) = &st.backend.ring else { return };
        if uring.doomed || (uring.due.is_empty() && uring.ending == 0 && !uring.ring.has_work()) {
            break;
        }
    }
    if is_lap {
        ep.ring_laps.advance();
    }
}

/// Takes in the completions that are there. `tells` is false where an edge is not one for certain.
pub fn drain(st: &mut EpState, tells: bool) {
    while let Some(uring) = &mut st.backend.ring
        && let Some(done) = uring.ring.reap()
    {
        st.stats.completions += 1;
        match done.user_data {
            0 | GATE => {}
            WAKE => {
                st.stats.kicks += u64::from(done.result > 0);
                if done.is_last() {
                    uring.wake = -1;
                }
                uring.owner.heed();
            }
            data if data & LINK != 0 => {}
            _ => {
                let (item, turn) = owner_of(&done);
                st.completed(item, turn, done, tells);
            }
        }
    }
}

/// From so many registrations on, requests are handed over as they are added.
pub const BATCH: usize = 64;

/// Hands what is due over, if it is much, so that the next wait has not all of it to do. What was added and deleted since is never
/// asked for.
pub fn hand_over_batch(ep: &'static Eventpoll, st: &mut EpState) {
    if let Some(uring) = &mut st.backend.ring
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
    if st.backend.ring.as_ref().is_some_and(|uring| uring.owner.is_own()) {
        lap(ep, st);
    }
}

/// Finds the numbers that were closed behind our back: a request holds the file, and says nothing. Now and then only, for it is a look at
/// all of them.
pub fn sweep(st: &mut EpState, mut closed: impl FnMut(&'static Epitem)) {
    const PAUSE_MS: u64 = 1000;
    let Some(uring) = &mut st.backend.ring else { return };
    let now = st.now_ms;
    if now.saturating_sub(uring.swept_at) < PAUSE_MS {
        return;
    }
    uring.swept_at = now;
    for items in st.items.interest.chunks(WINDOW) {
        let mut window = Window::<_, WINDOW>::new();
        items.iter().for_each(|item| window.add(item.get(), item.get().via(), asked_anyway(item.get())));
        for (item, found) in window.look() {
            fleeting::found_on(item, found);
            if found & NVAL != 0 {
                closed(item);
            }
        }
    }
}

/// What is to be asked for by whoever wants to know nothing: a look at it takes it away.
fn asked_anyway(item: &Epitem) -> Bits {
    item.file().map_or(0, |file| file.kind().fleeting())
}

impl Uring {
    /// Whether nothing was asked for, or all of it has ended.
    pub(super) fn is_clear(&self) -> bool {
        self.asked.is_empty() && self.wake < 0 && !self.ring.has_work()
    }

    /// Whether something has completed that was not taken in yet.
    pub fn has_news(&self) -> bool {
        self.ring.is_behind() || self.ring.has_completions()
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
    pub(super) fn attempt(&mut self, act: impl FnOnce(&mut Ring) -> Result<(), Errno>) {
        self.doomed |= act(&mut self.ring).is_err();
    }
}
