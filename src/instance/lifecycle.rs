//! How a wait, a thread, an instance and a forked child begin anew or end: who leaves the wait queue,
//! and when the registrations go. Kernel counterpart: `ep_eventpoll_release()`.

use std::ptr;

use nix::errno::Errno;

use crate::backend::switch;
use crate::graph::consumer;
use crate::graph::epitem::NO_SHARD;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::outer::Pipe;
use crate::graph::waitq::{self, Sleeper};
use crate::instance::remove;
use crate::sync::atomic::Ordering::Relaxed;

/// Another wait of the thread is about to join its instance, and signals are blocked.
///
/// A thread that is in a wait already is in a signal handler, or has left that wait by `siglongjmp` or `setcontext`. Nothing tells
/// which: stacks lie anywhere. It need not be known, because a wait that a handler interrupted is over on the kernel as well, before the
/// handler runs. So the new wait overtakes it: it is taken out of its instance here, and if its frames ever go on they find that
/// out (`Sleeper::has_left`) and answer EINTR.
///
/// A handler that runs between the last look and the sleep may come back to a `ppoll` of the array that the sleep is on, if
/// signals are not blocked there: then that array is left to it for good. This can happen only once in a process: from here on
/// signals are blocked in all waits.
pub fn overtake(me: &'static Sleeper) -> Result<(), Errno> {
    let Some(ep) = me.waits_on.get() else { return Ok(()) };
    if me.is_unguarded() {
        ep.lock().backend.set.part_with_array()?;
    }
    waitq::note_overtaking();
    abandon(me);
    Ok(())
}

/// The calling thread ends, perhaps out of the middle of a wait (W10): whatever it held there goes to the next.
pub fn end_thread() {
    if let Some(own) = Sleeper::current() {
        abandon(own);
        switch::end_thread(own);
        own.retire();
    }
}

/// Leaves a wait that will not go on.
fn abandon(sleeper: &'static Sleeper) {
    sleeper.end_turn();
    if let Some(ep) = sleeper.waits_on.get() {
        desert(ep, sleeper);
    }
}

/// A thread's wait does not go on: the thread was cancelled, or begins another wait. Nothing if a signal handler did this just before.
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

/// A wait is over: lets go of the instance, and of its registrations if it was the last and the descriptor was closed
/// meanwhile (W11).
pub fn finish_wait(ep: &'static Eventpoll, was_last: bool) {
    if was_last {
        remove::clear(ep);
    }
    ep.unpin();
}

/// The descriptor is closed: the registrations go, now or with the last wait.
pub fn close(ep: &'static Eventpoll) {
    let waits = {
        let mut st = ep.lock();
        st.closed = true;
        // The record of the description is another's from here on.
        ep.file.set(None);
        consumer::close(ep, &mut st);
        !st.queue.waiters.is_empty()
    };
    if !waits {
        remove::clear(ep);
    }
    ep.unpin();
}

/// In a forked child: no other thread waits, no watcher runs, and the pipe is the parent's, so it gets a new one under the
/// same numbers (D5).
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
    // Whoever forked in a signal handler may be about to sleep on the set.
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
        if state.set_parked(false) {
            st.backend.parked -= 1;
            // The watcher that did not come along keeps its pin: the record is lost to the child.
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
        // Its descriptor went while threads waited that did not come along.
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
