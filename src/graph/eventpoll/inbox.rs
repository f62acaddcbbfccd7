//! The inbox of an instance: code that does not hold the instance's lock, mainly hooks, posts
//! registrations there that must be looked at. A post never waits, so it can be made in a signal
//! handler.

use std::alloc::Layout;

use nix::errno::Errno;

use super::Eventpoll;
use crate::edge::Facts;
use crate::graph::epitem::Epitem;
use crate::graph::file::File;
use crate::heap;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sync::{self, ArrayQueue};

/// The number of registrations that fit into the inbox. If there are more, the instance looks at
/// all of its registrations.
const INBOX: usize = 256;

pub(super) type Inbox = ArrayQueue<&'static Epitem>;

/// Makes an inbox, which is never freed.
pub(super) fn new_inbox() -> Result<&'static Inbox, Errno> {
    // The queue's slots, each a stamp and a pointer.
    let slots = Layout::new::<[[usize; 2]; INBOX]>();
    let queue = heap::infallible(slots, || ArrayQueue::new(INBOX))?;
    let place = heap::forever(Layout::new::<Inbox>()).cast::<Inbox>();
    if place.is_null() {
        return Err(Errno::ENOMEM);
    }
    // SAFETY: the place is large enough, aligned, unused by other code, and never freed.
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

    /// Whether anything was posted since the last look. Less exact than [`Self::has_mail`]: it is
    /// enough where that one has found nothing, and no other thread posts.
    #[inline]
    pub fn has_new_mail(&self) -> bool {
        self.look_at_all.load(SeqCst) || self.posts.load(SeqCst) != self.posts_seen.load(Relaxed)
    }

    /// Begins a look that takes in everything that was posted by now.
    pub fn note_look(&self) {
        self.posts_seen.store(self.posts.load(SeqCst), Relaxed);
    }

    /// Posts a registration that must be looked at, and wakes the poller if it would sleep through
    /// the facts. Never waits, so signal handlers may call it. The caller holds the lock of the
    /// registration's description or of the instance.
    #[inline]
    pub fn notice(&'static self, item: &'static Epitem, facts: Facts) {
        if !self.post(item) {
            self.look_at_all.store(true, SeqCst);
        }
        if !self.wake_poller(item, facts) && self.exposed.load(Relaxed) {
            self.wake_observers();
        }
    }

    /// Like `notice`, without any lock: the registration and the instance may no longer be in use.
    #[cold]
    pub fn notice_unlocked(&'static self, item: &'static Epitem, facts: Facts) {
        self.look_at_all.store(true, SeqCst);
        if !self.wake_poller(item, facts)
            && self.exposed.load(Relaxed)
            && let Some(file) = self.file.get()
        {
            // The pipe's number may belong to another file by now. A wait on an outer instance
            // learns of the fact without the pipe.
            file.tell(Facts::RECHECK, file.begin_call());
        }
    }

    /// Wakes the thread that sleeps on the set if it would not notice the facts. False if no thread
    /// sleeps. Checked only after the post, because the poll set may change until then.
    #[inline]
    fn wake_poller(&self, item: &Epitem, facts: Facts) -> bool {
        let Some(sleeper) = self.blocked.get_in_order() else { return false };
        if item.would_sleep_through(facts) {
            sleeper.wake_up();
        }
        true
    }

    /// Puts a registration into the inbox, if it is not in it. False on failure.
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

    /// Takes a registration out of the inbox. An error if another thread is at the inbox.
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

    /// Makes the observers of the descriptor look, since no thread waits on the instance: a thread
    /// may poll the descriptor, or wait on an outer instance.
    fn wake_observers(&'static self) {
        self.outer_wake.wake(|| {
            let at = self.file.get().map_or(0, File::begin_call);
            let written = self.show_readable();
            // Set after the write: a thread that finds the flag set assumes a byte in the pipe that
            // it can take out.
            self.outer_woken.store(true, SeqCst);
            if let Some(file) = self.file.get() {
                file.tell(Facts::RECHECK, at);
            }
            written
        });
    }

    /// Whether `wake_observers` put a byte into the pipe, which may still be there. The byte counts
    /// as handled from here on.
    pub fn take_outer_wake(&self) -> bool {
        self.outer_wake.clear();
        self.outer_woken.swap(false, SeqCst)
    }

    /// Records whether the descriptor may be looked at from outside.
    pub fn expose(&self, exposed: bool) {
        self.exposed.store(exposed, Relaxed);
    }

    /// Whether the descriptor may be looked at from outside.
    pub fn is_exposed(&self) -> bool {
        self.exposed.load(Relaxed)
    }

    /// Whether every registration must be looked at, because a post was lost. The caller makes that
    /// look.
    pub fn take_look_at_all(&self) -> bool {
        self.look_at_all.load(SeqCst) && self.look_at_all.swap(false, SeqCst)
    }

    /// In a forked child, replaces an inbox that is not empty: a thread that is not in the child
    /// may have been in the middle of a push, and a pop would wait for its end. The content is
    /// leaked with its records, and every registration is looked at.
    pub fn renew_inbox(&self) {
        self.look_at_all.store(true, SeqCst);
        if self.inbox.get().is_some_and(|inbox| !inbox.is_empty()) {
            self.inbox.set(new_inbox().ok());
        }
    }
}
