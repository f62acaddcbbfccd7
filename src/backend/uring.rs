//! Readiness by io_uring's multishot poll. The request of a registration stays with the kernel, is
//! on the same wait queues as the kernel's epoll would be, and completes at every wake-up that
//! meets its mask. So a completion is an edge, and neither hooks nor counts are needed. As always,
//! the report has the level at the time of the report (W4).
//!
//! An instance has a ring while a single thread keeps waiting on it. Only that thread can submit
//! requests and take completions; other threads list the registrations that are due. Cases that a
//! ring cannot serve (several waiting threads, nested and most exclusive registrations) switch the
//! instance back to poll, and no event is lost on the way (`switch`).

use nix::errno::Errno;

use super::exclusive;
use super::exit::{GATE, LINK};
use super::request::{WAKE, owner_of};
use crate::events::{Bits, IN, NVAL};
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::ring_state::Uring;
use crate::io_uring::Ring;
use crate::poll_batch::{PollBatch, WINDOW};
use crate::probe::fleeting;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::atomic::{AtomicBool, AtomicI32};

/// Whether the process has ever had a ring.
pub(super) static EVER: AtomicBool = AtomicBool::new(false);

/// Whether a ring can serve the instance.
pub(super) fn is_fit(st: &EpState) -> bool {
    !st.outer.is_observed() && st.items.inner.is_empty() && exclusive::are_fit(&st.items)
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

/// Updates the requests, and takes in the completions that are due. Never sleeps. Makes no system
/// call if there is nothing to do, and is not a lap if no request had to end. Only the owner may
/// call it.
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

/// Takes in the completions that are in the ring. `tells` is false if an edge may not be a new one.
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
                uring.owner.clear_wakeup();
            }
            data if data & LINK != 0 => {}
            _ => {
                let (item, turn) = owner_of(&done);
                st.completed(item, turn, done, tells);
            }
        }
    }
}

/// From this number of registrations on, requests are submitted as the registrations are added.
pub const BATCH: usize = 64;

/// Submits the requests that are due, if there are many, so that the next wait does not have to
/// submit all of them. A registration that was added and deleted since is never requested.
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

/// Ends the requests of deleted registrations, if the caller owns the ring. This makes room when
/// memory is short.
pub fn make_room(ep: &'static Eventpoll, st: &mut EpState) {
    if st.backend.ring.as_ref().is_some_and(|uring| uring.owner.is_own()) {
        lap(ep, st);
    }
}

/// Finds numbers that were closed by calls that the library did not see: a request holds the file
/// and does not report the close. Runs only now and then, because it looks at all registrations.
pub fn sweep(st: &mut EpState, mut closed: impl FnMut(&'static Epitem)) {
    const PAUSE_MS: u64 = 1000;
    let Some(uring) = &mut st.backend.ring else { return };
    let now = st.now_ms;
    if now.saturating_sub(uring.swept_at) < PAUSE_MS {
        return;
    }
    uring.swept_at = now;
    for items in st.items.interest.chunks(WINDOW) {
        let mut window = PollBatch::<_, WINDOW>::new();
        items.iter().for_each(|item| window.add(item.get(), item.get().via(), asked_anyway(item.get())));
        for (item, found) in window.look() {
            fleeting::found_on(item, found);
            if found & NVAL != 0 {
                closed(item);
            }
        }
    }
}

/// The bits to ask for in a look that wants no levels: a look takes these levels away, whether it
/// asks for them or not.
fn asked_anyway(item: &Epitem) -> Bits {
    item.file().map_or(0, |file| file.kind().fleeting())
}

impl Uring {
    /// Whether there were no requests, or all of them have ended.
    pub(super) fn is_clear(&self) -> bool {
        self.asked.is_empty() && self.wake < 0 && !self.ring.has_work()
    }

    /// Whether there is a completion that was not taken in yet.
    pub fn has_news(&self) -> bool {
        self.ring.is_behind() || self.ring.has_completions()
    }

    /// Updates the request on the wake-up descriptor, which may have been made anew.
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

    /// Runs `act`. If the ring fails, the next wait gives it up.
    pub(super) fn attempt(&mut self, act: impl FnOnce(&mut Ring) -> Result<(), Errno>) {
        self.doomed |= act(&mut self.ring).is_err();
    }
}
