//! The interest graph around one description: its numbers, its registrations, and the delivery of
//! facts from hooks to these.

use libc::c_int;

use super::{FILES, File, Numbers};
use crate::edge::Facts;
use crate::graph::epitem::Epitem;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::pin::FilePins;
use crate::lock::Guard;
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering::SeqCst;

/// The part of the interest graph around one description. Its registrations are reached through
/// [`FileGuard`].
#[derive(Debug)]
pub struct Graph {
    /// The numbers that name the description. Empty when it is closed.
    pub numbers: Numbers,
    /// The pins of threads and rings on the description for registrations that have ended (D4).
    pub pins: FilePins,
}

/// The lock on a description's graph. Its release delivers the facts that came meanwhile.
#[derive(Debug)]
pub struct FileGuard {
    file: &'static File,
    guard: Option<Guard<'static, Graph>>,
}

impl FileGuard {
    /// The registrations on the description.
    pub fn items(&self) -> impl Iterator<Item = &'static Epitem> + use<> {
        self.file.items()
    }

    /// Finds the registration of a number in an instance: the key of T4.
    pub fn find(&self, ep: &'static Eventpoll, number: c_int) -> Option<&'static Epitem> {
        self.items().find(|item| item.number() == number && item.is_of(ep))
    }

    /// Adds a registration, before the others: the kernel wakes the latest first.
    pub fn link(&mut self, item: &'static Epitem) {
        item.next.set(self.file.items.get());
        self.file.items.set(Some(item));
    }

    /// Removes a registration. Its own link stays, for walks without the lock.
    pub fn unlink(&mut self, item: &'static Epitem) {
        match self.items().find(|other| other.next.get().is_some_and(|next| std::ptr::eq(next, item))) {
            Some(before) => before.next.set(item.next.get()),
            None => self.file.items.set(item.next.get()),
        }
    }

    /// Whether the description has no registrations.
    pub fn is_unwatched(&self) -> bool {
        self.file.items.get().is_none()
    }
}

impl std::ops::Deref for FileGuard {
    type Target = Graph;

    fn deref(&self) -> &Graph {
        match &self.guard {
            Some(guard) => guard,
            None => unreachable!("the guard is there until drop"),
        }
    }
}

impl std::ops::DerefMut for FileGuard {
    fn deref_mut(&mut self) -> &mut Graph {
        match &mut self.guard {
            Some(guard) => guard,
            None => unreachable!("the guard is there until drop"),
        }
    }
}

impl Drop for FileGuard {
    fn drop(&mut self) {
        self.guard = None;
        self.file.deliver();
    }
}

/// The facts to be delivered, the beginning of the latest call, and the number of calls, so that
/// facts which come during a delivery are not taken for delivered.
#[derive(Clone, Copy)]
pub(super) struct Told(pub(super) u64);

impl Told {
    const ONE: u64 = 1 << 16;

    pub(super) fn nothing_since(clock: u32) -> Told {
        Told(u64::from(clock) << 32)
    }

    fn facts(self) -> Facts {
        Facts::from_bits_retain(self.0 as u16)
    }

    fn at(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn and(self, facts: Facts, at: u32) -> Told {
        // Facts::RECHECK asks for a look and carries no time.
        let at = if facts != Facts::RECHECK && is_later(at, self.at()) { at } else { self.at() };
        let low = (self.0.wrapping_add(Told::ONE) as u32) | u32::from(facts.bits());
        Told(u64::from(at) << 32 | u64::from(low))
    }

    fn delivered(self) -> Told {
        Told(self.0 & !u64::from(u16::MAX))
    }
}

impl File {
    /// Locks the graph around the description.
    #[inline]
    pub fn graph(&'static self) -> FileGuard {
        FileGuard { file: self, guard: Some(self.graph.lock()) }
    }

    /// Reports facts of a call that began at `at` to every registration. Never waits. If the graph
    /// is locked, by another thread or by this one when a signal handler is the caller, the facts
    /// are reported without the lock, and once more by the lock's holder.
    pub fn tell(&'static self, facts: Facts, at: u32) {
        let add = |told| Some(Told(told).and(facts, at).0);
        let _ = self.undelivered.fetch_update(SeqCst, SeqCst, add);
        self.deliver();
    }

    /// Visits each registration, unless the graph is locked. Never waits, so a signal handler may
    /// call it.
    pub fn try_visit(&'static self, visit: impl FnMut(&'static Epitem)) -> bool {
        let Some(guard) = self.graph.try_lock() else { return false };
        let guard = FileGuard { file: self, guard: Some(guard) };
        guard.items().for_each(visit);
        true
    }

    fn deliver(&'static self) {
        loop {
            let told = Told(self.undelivered.load(SeqCst));
            if told.facts().is_empty() {
                return;
            }
            let Some(_graph) = self.graph.try_lock() else { return self.tell_past_holder(told) };
            self.lapse_claim(told);
            self.items().for_each(|item| item.tell(told.facts(), told.at()));
            // Cleared only after the delivery: this thread may be held up on the way, and then
            // another one has to deliver.
            let _ = self.undelivered.compare_exchange(told.0, told.delivered().0, SeqCst, SeqCst);
        }
    }

    /// Reports facts without the lock. The holder of the graph may be held up, for instance in a
    /// signal handler, while a thread is asleep that must learn of the facts now. In that case the
    /// list does not change, and this walk reaches all of it. Otherwise the walk may miss some
    /// registrations, or follow a link into a recycled record, where the facts cost a look. But
    /// then the holder is about to release the lock, and reports all facts again.
    #[cold]
    fn tell_past_holder(&'static self, told: Told) {
        self.lapse_claim(told);
        let here = |item: &&Epitem| item.file().is_some_and(|file| std::ptr::eq(file, self));
        self.items().take_while(here).for_each(|item| item.tell_unlocked(told.facts(), told.at()));
    }

    fn lapse_claim(&self, told: Told) {
        if told.facts().intersects(Facts::READS) {
            self.claim.lapse();
        }
    }

    fn items(&self) -> impl Iterator<Item = &'static Epitem> + use<> {
        std::iter::successors(self.items.get(), |item| item.next.get())
    }

    /// Whether the description has more than one registration.
    pub fn has_several_registrations(&self) -> bool {
        self.items().nth(1).is_some()
    }

    /// Whether all facts were delivered, for the models.
    #[cfg(test)]
    pub fn has_told_all(&self) -> bool {
        Told(self.undelivered.load(SeqCst)).facts().is_empty()
    }

    /// Delivers the facts that could not be delivered while a fork had the locks.
    pub fn deliver_all() {
        FILES.for_each(|file| {
            file.deliver();
        });
    }
}

fn is_later(at: u32, than: u32) -> bool {
    at.wrapping_sub(than).cast_signed() > 0
}

/// Advances a clock reading to a later one. A call that began long ago must not revoke the report
/// of a later one.
pub fn raise(clock: &AtomicU32, at: u32) {
    let _ = clock.fetch_update(SeqCst, SeqCst, |now| is_later(at, now).then_some(at));
}
