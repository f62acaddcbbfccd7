//! The end of a wait, of a thread and of an instance, and the start of a forked child: when a
//! thread leaves the wait queue, and when the registrations of an instance end. Kernel counterpart:
//! `ep_eventpoll_release`.

use std::ptr;

use nix::errno::Errno;

use crate::backend::switch;
use crate::edge::Edge;
use crate::graph::consumer;
use crate::graph::epitem::NO_SHARD;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::File;
use crate::graph::outer::Pipe;
use crate::graph::waitq::{self, Sleeper};
use crate::instance::remove;
use crate::sync::atomic::Ordering::Relaxed;

/// Ends an earlier wait of the thread, when another one is about to join its instance. Signals are
/// blocked.
///
/// A thread that is already in a wait is in a signal handler, or has left that wait by `siglongjmp`
/// or `setcontext`. The library cannot know which, because stacks may be anywhere. It need not
/// know: a wait that a handler interrupts is over in the kernel as well, before the handler runs.
/// So the new wait overtakes the old one, which is removed from its instance here. If the frames of
/// the old wait continue, they find that (`Sleeper::has_left`) and return EINTR.
///
/// A handler that runs between the last look and the sleep may return to a `ppoll` of the array
/// that the sleep is on, unless signals are blocked there; that array is then abandoned to it. This
/// happens at most once in a process, because all waits block signals from here on.
pub fn overtake(me: &'static Sleeper) -> Result<(), Errno> {
    let Some(ep) = me.waits_on.get() else { return Ok(()) };
    if me.is_unguarded() {
        ep.lock().backend.set.part_with_array()?;
    }
    waitq::note_overtaking();
    abandon(me);
    Ok(())
}

/// Handles the end of the calling thread, perhaps by a cancellation in a wait (W10): the next
/// thread gets its place.
pub fn end_thread() {
    if let Some(own) = Sleeper::current() {
        abandon(own);
        switch::end_thread(own);
        own.retire();
    }
}

/// Leaves a wait that will not continue.
fn abandon(sleeper: &'static Sleeper) {
    sleeper.end_turn();
    if let Some(ep) = sleeper.waits_on.get() {
        desert(ep, sleeper);
    }
}

/// Takes a thread off the wait queue because its wait will not continue: the thread was cancelled,
/// or begins another wait. Does nothing if a signal handler has done this just before.
fn desert(ep: &'static Eventpoll, sleeper: &'static Sleeper) {
    let was_last = {
        let mut st = ep.lock();
        if !sleeper.waits_on.get().is_some_and(|on| ptr::eq(on, ep)) {
            return;
        }
        st.leave(ep, sleeper);
        st.is_to_be_cleared()
    };
    finish_wait(ep, was_last);
}

/// Finishes a wait: unpins the instance, and ends its registrations if this was the last wait and
/// the descriptor was closed meanwhile (W11).
pub fn finish_wait(ep: &'static Eventpoll, was_last: bool) {
    if was_last {
        remove::clear(ep);
    }
    ep.unpin();
}

/// Ends an instance whose descriptor is closed. Its registrations end now, or with the last wait
/// (W11).
pub fn close(ep: &'static Eventpoll) {
    let waits = {
        let mut st = ep.lock();
        st.closed = true;
        // The record of the description may be recycled from here on.
        ep.file.set(None);
        consumer::close(ep, &mut st);
        !st.queue.waiters.is_empty()
    };
    if !waits {
        remove::clear(ep);
    }
    ep.unpin();
}

/// Resets all instances in a forked child, where no other thread waits and no watcher runs. The
/// pipe is the parent's, so each instance gets a new one under the same numbers (D5).
pub fn reset_all_after_fork() {
    Eventpoll::for_each(reset_after_fork);
}

fn reset_after_fork(ep: &'static Eventpoll) {
    if ep.pins.load(Relaxed) == 0 {
        return;
    }
    let mut guard = ep.lock();
    let st = &mut *guard;
    let mut abandoned = st.queue.waiters.drop_absent();
    // A thread that forked in a signal handler may be about to sleep on the set.
    let is_mine = st.is_set_slept_on() && st.queue.poller.is_some_and(|poller| poller.waits_on.get().is_some());
    if !is_mine {
        st.queue.poller = None;
        ep.set_blocked(None);
    }
    for index in 0..st.items.interest.len() {
        let item = st.items.interest[index].get();
        let state = item.at(&st.held);
        item.leave_inbox();
        state.set_shard(NO_SHARD);
        if state.set_signalled(false) {
            // The parent has its signals.
            st.backend.signalled -= 1;
            st.recheck.overdue = true;
            state.edge.set(Edge::anew(item.file().is_some_and(File::is_closing)));
        }
        if state.set_parked(false) {
            st.backend.parked -= 1;
            // The watcher does not exist here, and its pin remains: the child loses the record.
        }
    }
    switch::reset_after_fork(ep, st);
    abandoned += consumer::reset_after_fork(ep, st);
    ep.signal.forget_users();
    st.outer.pipe = Pipe::Empty;
    ep.renew_inbox();
    if !is_mine {
        ep.absorb(st);
    }
    if st.closed {
        // The descriptor was closed during the waits of threads that do not exist here.
        let is_over = st.queue.waiters.is_empty();
        drop(guard);
        if is_over {
            remove::clear(ep);
        }
    } else {
        drop(guard);
        ep.renew_pipe();
        let mut st = ep.lock();
        if let Some(outer) = st.outer.link {
            outer.unattended(ep, &mut st);
        }
    }
    for _ in 0..abandoned {
        ep.unpin();
    }
}
