//! The inbox of an instance: how those who do not have it, witnesses above all, leave word that a registration is to be looked at.
//! Nobody waits here, so word can be left in a signal handler.

use std::alloc::Layout;

use nix::errno::Errno;

use super::Eventpoll;
use crate::edge::Facts;
use crate::graph::epitem::Epitem;
use crate::graph::file::File;
use crate::memory;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sync::{self, ArrayQueue};

/// How many registrations fit the inbox; beyond that the instance looks at all of its registrations instead.
const INBOX: usize = 256;

pub(super) type Inbox = ArrayQueue<&'static Epitem>;

/// An inbox, which is never given back.
pub(super) fn new_inbox() -> Result<&'static Inbox, Errno> {
    // The queue's slots: a stamp and a pointer each.
    let slots = Layout::new::<[[usize; 2]; INBOX]>();
    let queue = memory::infallible(slots, || ArrayQueue::new(INBOX))?;
    let place = memory::forever(Layout::new::<Inbox>()).cast::<Inbox>();
    if place.is_null() {
        return Err(Errno::ENOMEM);
    }
    // SAFETY: the place is large enough, aligned, nobody else's, and never freed.
    Ok(unsafe {
        place.write(queue);
        &*place
    })
}

impl Eventpoll {
    /// Whether the poller must look around before it sleeps. A thread that is at the inbox will see
    /// that the poller is about to sleep. But a signal handler may hold it up there, so posts that
    /// other threads have completed since the last look are mail in any case.
    pub fn has_mail(&self) -> bool {
        let posted = self.inbox.get().is_some_and(|inbox| !inbox.is_empty());
        self.look_at_all.load(SeqCst)
            || (posted && (!self.at_inbox.load(SeqCst) || self.posts.load(Relaxed) != self.posts_seen.load(Relaxed)))
    }

    /// A look begins that takes in everything that was posted by now.
    pub fn note_look(&self) {
        self.posts_seen.store(self.posts.load(SeqCst), Relaxed);
    }

    /// Leaves word that a registration is to be looked at, and wakes the poller if it would sleep through it. Never waits, so it may
    /// be called in signal handlers. The lock of the registration's description is held, or that of the instance.
    #[inline]
    pub fn notice(&'static self, item: &'static Epitem, facts: Facts) {
        if !self.post(item) {
            self.look_at_all.store(true, SeqCst);
        }
        if !self.rouse(item, facts) && self.exposed.load(Relaxed) {
            self.stir();
        }
    }

    /// The same without any lock: neither the registration nor the instance need be in use any more.
    #[cold]
    pub fn notice_unlocked(&'static self, item: &'static Epitem, facts: Facts) {
        self.look_at_all.store(true, SeqCst);
        if !self.rouse(item, facts)
            && self.exposed.load(Relaxed)
            && let Some(file) = self.file.get()
        {
            // The pipe's number may be another's by now. Who waits on an outer instance hears of it without.
            file.tell(Facts::RECHECK, file.begin_call());
        }
    }

    /// Wakes the thread that sleeps on the set if it is deaf to the facts; false if there is none. Asked only when word is left: what
    /// it polls may have changed since.
    #[inline]
    fn rouse(&self, item: &Epitem, facts: Facts) -> bool {
        let Some(sleeper) = self.blocked.get_in_order() else { return false };
        if item.is_deaf_to(facts) {
            sleeper.kick();
        }
        true
    }

    /// Puts a registration into the inbox, if it is not there; false if it could not.
    #[inline]
    fn post(&self, item: &'static Epitem) -> bool {
        let Some(inbox) = self.inbox.get() else { return false };
        if !self.go_to_inbox() {
            return false;
        }
        let posted = !item.enter_inbox() || {
            item.pin();
            inbox.push(item).is_ok() || {
                item.leave_inbox();
                item.unpin();
                false
            }
        };
        self.posts.store(self.posts.load(Relaxed).wrapping_add(1), Relaxed);
        self.at_inbox.store(false, SeqCst);
        posted
    }

    /// Takes a registration out of the inbox; an error if somebody else is at it.
    pub fn next_posted(&self) -> Result<Option<&'static Epitem>, ()> {
        let Some(inbox) = self.inbox.get().filter(|inbox| !inbox.is_empty()) else { return Ok(None) };
        if !self.go_to_inbox() {
            return Err(());
        }
        let item = inbox.pop();
        if let Some(item) = item {
            item.leave_inbox();
        }
        self.at_inbox.store(false, SeqCst);
        Ok(item)
    }

    #[inline]
    fn go_to_inbox(&self) -> bool {
        (0..sync::SPINS).any(|turn| {
            if turn > 0 {
                sync::spin_loop();
            }
            !self.at_inbox.swap(true, SeqCst)
        })
    }

    /// Nobody waits here, but somebody may poll the descriptor, or an outer instance wait on it: makes them look.
    fn stir(&'static self) {
        self.stir.ring(|| {
            let at = self.file.get().map_or(0, File::begin_call);
            let written = self.show_readable();
            // Not before: who finds the mark takes it for a byte that can be taken out.
            self.stirred.store(true, SeqCst);
            if let Some(file) = self.file.get() {
                file.tell(Facts::RECHECK, at);
            }
            written
        });
    }

    /// Whether `stir` put a byte into the pipe, which may still be there; it counts as looked at from here on.
    pub fn was_stirred(&self) -> bool {
        self.stir.silence();
        self.stirred.swap(false, SeqCst)
    }

    /// The descriptor may be looked at from outside, or no more.
    pub fn expose(&self, exposed: bool) {
        self.exposed.store(exposed, Relaxed);
    }

    /// Whether somebody may look at the descriptor from outside.
    pub fn is_exposed(&self) -> bool {
        self.exposed.load(Relaxed)
    }

    /// Whether every registration is to be looked at, because word of some was lost; this look is the
    /// one.
    pub fn take_look_at_all(&self) -> bool {
        self.look_at_all.load(SeqCst) && self.look_at_all.swap(false, SeqCst)
    }

    /// In a forked child: a thread that did not come along may have been halfway through a push, for
    /// whose end a pop would wait. So the content is lost with its records, and every registration is
    /// looked at.
    pub fn renew_inbox(&self) {
        self.look_at_all.store(true, SeqCst);
        if self.inbox.get().is_some_and(|inbox| !inbox.is_empty()) {
            self.inbox.set(new_inbox().ok());
        }
    }
}
