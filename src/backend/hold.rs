//! How a ring releases the files that its requests pin: its owner ends a request in a lap, which is
//! an epoch of the ring's occupancy. A close waits for that (D4).

use super::switch::leave;
use super::uring::{EVER, look};
use super::watch;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::pin::{FileHolder, FilePin, Occupancy, Release};
use crate::graph::waitq::Sleeper;
use crate::sync::atomic::Ordering::Relaxed;

/// An instance pins files by the requests in its ring. Every request that was cancelled before a
/// lap has ended when the lap is over.
impl FileHolder for Eventpoll {
    fn occupancy(&self) -> &Occupancy {
        &self.ring_laps
    }

    fn ask_to_release(&'static self, lap: u32) -> Release {
        let mut st = self.lock();
        let st = &mut *st;
        match &st.backend.ring {
            _ if self.ring_laps.epoch() != lap => return Release::Done,
            None => return Release::Done,
            Some(uring) if uring.owner.is_own() => {
                look(self, st, true);
                return Release::Done;
            }
            Some(_) => {}
        }
        match st.queue.poller {
            Some(poller) => {
                poller.wake_up();
                Release::Expected
            }
            None => Release::Unlikely,
        }
    }

    /// The owner is busy elsewhere, and may be waiting for this very thread. So the ring is given
    /// up and the file is released a moment later. The instance gets no other ring that could be
    /// late again.
    fn overdue(&'static self, lap: u32) {
        let mut st = self.lock();
        let st = &mut *st;
        if let Some(uring) = &mut st.backend.ring
            && self.ring_laps.epoch() == lap
        {
            uring.doomed = true;
            if st.queue.poller.is_none() {
                // The kernel ends the requests of a closed ring itself, in a moment.
                leave(self, st);
            }
        }
    }
}

/// Returns the pin that the requests of a registration that ended have on its file.
pub fn detach(ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem) -> Option<FilePin> {
    st.backend.ring.as_ref()?;
    if item.at(&st.held).request().is_none_or(|request| request.living.get() == 0) {
        return None;
    }
    st.list_due(item);
    Some(FilePin::by(ep))
}

/// Makes every thread leave poll, and waits until they have. The caller holds no lock.
pub fn evict_threads() {
    Sleeper::evict_all();
    watch::sleepers().for_each(Sleeper::evict);
}

/// Makes every thread and every ring release the files of registrations that ended. The caller
/// holds no lock.
pub fn release_all() {
    evict_threads();
    if EVER.load(Relaxed) {
        Eventpoll::for_each(|ep| {
            if ep.ring_fd.number() != -1 {
                FilePin::by(ep).wait_unpinned();
            }
        });
    }
}
