//! EPOLLEXCLUSIVE (X1): of the instances that watch one description exclusively, one reports an
//! event and the others sleep on.
//!
//! All of them poll the description. The first that finds it ready claims it. It keeps the claim
//! until a call takes something from the description, its level is gone, or the registration is
//! gone. Meanwhile the others leave the description out of their poll sets.

use crate::edge::Facts;
use crate::graph::epitem::Epitem;
use crate::graph::file::File;
use crate::pool::AtomicShort;

/// The exclusive registration that reports the present event.
#[derive(Debug)]
pub struct Claim(AtomicShort<Epitem>);

impl Claim {
    /// A free claim.
    pub const fn new() -> Claim {
        Claim(AtomicShort::none())
    }

    /// Whether the claim belongs to a registration of another instance that waits for the same
    /// levels.
    pub fn is_of_another(&self, item: &Epitem) -> bool {
        let instance = |item: &Epitem| item.eventpoll().map(std::ptr::from_ref);
        self.0.get().is_some_and(|owner| instance(owner) != instance(item) && owner.is_rival_of(item))
    }

    /// Claims the event, if it is free or claimed by this registration already.
    pub fn take(&self, item: &'static Epitem) -> bool {
        self.0.replace(None, Some(item)) || !self.is_of_another(item)
    }

    /// Frees the claim, because a call took something: the next registration that finds the
    /// description ready may have it.
    pub fn lapse(&self) {
        self.0.set(None);
    }
}

/// Releases the registration's claim, if it has it. The other registrations poll the description
/// again.
pub fn release(file: &'static File, item: &'static Epitem) {
    if file.claim().0.replace(Some(item), None) {
        file.tell(Facts::RECHECK, file.begin_call());
    }
}
