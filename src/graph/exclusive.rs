//! EPOLLEXCLUSIVE (X1): of the instances that watch one description exclusively, one reports an event and the others sleep on.
//!
//! All of them poll the description. The first that finds it ready claims it, and keeps the claim until somebody took something
//! from the description, or its level is gone, or the registration is. The others leave the description out of their poll sets
//! meanwhile.

use crate::edge::Facts;
use crate::graph::epitem::Epitem;
use crate::graph::file::File;
use crate::pool::AtomicShort;

/// Which exclusive registration reports the event at hand.
#[derive(Debug)]
pub struct Claim(AtomicShort<Epitem>);

impl Claim {
    /// Nobody's.
    pub const fn new() -> Claim {
        Claim(AtomicShort::none())
    }

    /// Whether a registration of another instance has it that waits for the same.
    pub fn is_of_another(&self, item: &Epitem) -> bool {
        let instance = |item: &Epitem| item.eventpoll().map(std::ptr::from_ref);
        self.0.get().is_some_and(|owner| instance(owner) != instance(item) && owner.is_rival_of(item))
    }

    /// Claims the event, if it is free or claimed by this registration already.
    pub fn take(&self, item: &'static Epitem) -> bool {
        self.0.replace(None, Some(item)) || !self.is_of_another(item)
    }

    /// Somebody took something: whoever finds the description ready next may have it.
    pub fn lapse(&self) {
        self.0.set(None);
    }
}

/// The registration gives its claim up, if it has it; the others poll the description again.
pub fn release(file: &'static File, item: &'static Epitem) {
    if file.claim().0.replace(Some(item), None) {
        file.tell(Facts::RECHECK, file.begin_call());
    }
}
