//! How long a ring holds the files that its requests are for (D4). Its owner ends a request with a lap; who closes a file waits for
//! that.

use super::switch::leave;
use super::uring::{EVER, look};
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::internal_fd::InternalFd;
use crate::sync;
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};

/// The numbers that others than the owner need without the instance's lock.
#[derive(Debug)]
pub struct Outside {
    /// The ring's descriptor.
    pub(super) fd: InternalFd,
    /// Counts the times at which every request that was cancelled before had ended.
    laps: AtomicU32,
    /// How many threads wait for the next one.
    pub(super) closers: AtomicU32,
}

impl Outside {
    /// No ring.
    pub const fn new() -> Outside {
        Outside { fd: InternalFd::new(), laps: AtomicU32::new(0), closers: AtomicU32::new(0) }
    }

    /// The ring's descriptor.
    pub fn fd(&self) -> &InternalFd {
        &self.fd
    }
}

pub(super) fn end_lap(ep: &'static Eventpoll) {
    ep.ring.laps.fetch_add(1, SeqCst);
    if ep.ring.closers.load(SeqCst) != 0 {
        sync::futex_wake(&ep.ring.laps, i32::MAX);
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
                if ep.ring.fd.number() != -1 {
                    Hold { ep, lap: ep.ring.laps.load(SeqCst) }.evict();
                }
            });
        }
    }
}

/// A registration ended: the stay that has to end before its file is let go.
pub fn detach(ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem) -> Option<Hold> {
    st.ring.as_ref()?;
    if item.at(&st.held).request().is_none_or(|request| request.living.get() == 0) {
        return None;
    }
    st.list_due(item);
    Some(Hold { ep, lap: ep.ring.laps.load(SeqCst) })
}
