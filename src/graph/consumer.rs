//! The record of an instance's callback, and of the threads that call it (`api/dispatch.rs`).
//! Kernel counterpart: none.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;

use libc::epoll_event;

use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::sync;
use crate::sync::atomic::Ordering::SeqCst;
use crate::sync::atomic::{AtomicBool, AtomicU32};

/// A function of the program, and its argument.
#[derive(Clone, Copy, Debug)]
pub struct Callback {
    /// The function.
    pub function: unsafe extern "C" fn(*const epoll_event, c_int, *mut c_void),
    /// The program's pointer.
    pub user: *mut c_void,
}

// SAFETY: the pointer is passed on and never followed here.
unsafe impl Send for Callback {}

/// The callback of an instance. Protected by the instance's lock.
#[derive(Debug)]
pub struct Consumer {
    callback: Option<Callback>,
    /// Whether the callback was removed. It goes with the last dispatcher, which first hands over
    /// the events that it has taken.
    pub leaves: bool,
    /// The number of threads that wait for events to call it with, or are in a call. Each has one
    /// more pin on the instance than that of its wait.
    pub dispatchers: usize,
    /// Whether one of them is the instance's own thread, or is about to be.
    pub has_thread: bool,
    /// Incremented with each callback, so that the end of a call can see whether it was replaced.
    generation: u64,
    /// Running calls of the callback.
    calls: usize,
    /// Running calls of earlier callbacks.
    pub earlier_calls: usize,
}

impl Consumer {
    /// No callback.
    pub const fn none() -> Consumer {
        Consumer {
            callback: None,
            leaves: false,
            dispatchers: 0,
            has_thread: false,
            generation: 0,
            calls: 0,
            earlier_calls: 0,
        }
    }

    /// Returns the callback, unless it was removed.
    pub fn current(&self) -> Option<Callback> {
        self.callback.filter(|_| !self.leaves)
    }

    /// Sets another callback, for the calls that begin from here on.
    pub fn replace(&mut self, callback: Callback) {
        (self.callback, self.leaves) = (Some(callback), false);
        self.generation += 1;
        self.earlier_calls += std::mem::take(&mut self.calls);
    }

    /// Drops the callback. There must be no dispatcher.
    pub fn depart(&mut self) {
        (self.callback, self.leaves) = (None, false);
    }

    /// Begins a call. Returns the callback, and the generation for [`Self::end_call`].
    pub fn begin_call(&mut self) -> (Option<Callback>, u64) {
        self.calls += 1;
        (self.callback, self.generation)
    }

    /// Ends a call. True if a thread may wait for that.
    pub fn end_call(&mut self, generation: u64) -> bool {
        let is_current = generation == self.generation;
        let calls = if is_current { &mut self.calls } else { &mut self.earlier_calls };
        *calls = calls.saturating_sub(1);
        !is_current
    }
}

/// The fields of the dispatch that threads use without the lock.
#[derive(Debug)]
pub struct Dispatch {
    /// Whether the instance's own thread must end.
    pub thread_off: AtomicBool,
    /// Whether all dispatchers must end.
    pub all_off: AtomicBool,
    /// A futex: changes when a dispatcher ends, and at the end of a call that a thread may wait
    /// for.
    pub ends: AtomicU32,
}

impl Dispatch {
    /// No dispatchers.
    pub const fn new() -> Dispatch {
        Dispatch { thread_off: AtomicBool::new(false), all_off: AtomicBool::new(false), ends: AtomicU32::new(0) }
    }

    /// Wakes the threads that wait for the end of a call or a dispatcher. The caller does not hold
    /// the lock.
    pub fn wake_waiters(&self) {
        self.ends.fetch_add(1, SeqCst);
        sync::futex_wake(&self.ends, i32::MAX);
    }
}

/// A dispatcher of the calling thread, in a wait or in a call. It is on the thread's stack.
#[derive(Debug)]
pub struct Frame {
    ep: &'static Eventpoll,
    /// Whether the thread is the instance's own.
    pub is_thread: bool,
    /// Whether it is in a call.
    pub in_call: Cell<bool>,
    outer: *const Frame,
}

thread_local! {
    static INNERMOST: Cell<*const Frame> = const { Cell::new(ptr::null()) };
}

impl Frame {
    /// Makes a dispatcher of the instance in this thread, inside those that the thread already is.
    pub fn new(ep: &'static Eventpoll, is_thread: bool) -> Frame {
        Frame { ep, is_thread, in_call: Cell::new(false), outer: INNERMOST.get() }
    }

    /// The instance.
    pub fn ep(&self) -> &'static Eventpoll {
        self.ep
    }

    /// Begins the dispatcher.
    ///
    /// # Safety
    /// The frame must stay where it is until [`Self::leave`].
    pub unsafe fn enter(&self) {
        INNERMOST.set(ptr::from_ref(self));
    }

    /// Ends the dispatcher. The instance's lock is held; after releasing it, the caller wakes the
    /// waiters.
    pub fn leave(&self, consumer: &mut Consumer) {
        INNERMOST.set(self.outer);
        consumer.has_thread &= !self.is_thread;
        // In a forked child only the dispatchers of its one thread are left.
        consumer.dispatchers = consumer.dispatchers.saturating_sub(1);
        if consumer.leaves && consumer.dispatchers == 0 {
            consumer.depart();
        }
    }
}

/// The thread's frames as a dispatcher of the instance, the innermost first.
fn frames<'a>(ep: &'static Eventpoll) -> impl Iterator<Item = &'a Frame> {
    // SAFETY: the frames are on the stack of this thread, further up (`Frame::enter`).
    let frames = std::iter::successors(unsafe { INNERMOST.get().as_ref() }, |frame| unsafe { frame.outer.as_ref() });
    frames.filter(move |frame| ptr::eq(frame.ep, ep))
}

/// The number of calls of the instance's callback that this thread is in.
pub fn depth(ep: &'static Eventpoll) -> usize {
    frames(ep).filter(|frame| frame.in_call.get()).count()
}

/// Makes all dispatchers end. The callback goes with the last of them.
pub fn call_off(ep: &'static Eventpoll, st: &mut EpState) {
    ep.dispatch.thread_off.store(true, SeqCst);
    ep.dispatch.all_off.store(true, SeqCst);
    if st.queue.consumer.dispatchers == 0 {
        st.queue.consumer.depart();
    }
    st.queue.waiters.wake_all();
}

/// Removes the callback when the descriptor is closed.
pub fn close(ep: &'static Eventpoll, st: &mut EpState) {
    if st.queue.consumer.callback.is_some() {
        st.queue.consumer.leaves = true;
        call_off(ep, st);
    }
}

/// In a forked child, drops the callback, and all dispatchers except those of a thread that forked
/// inside a callback; these end when it returns there. Returns the number of pins that the other
/// dispatchers have left. The lock is held.
pub fn reset_after_fork(ep: &'static Eventpoll, st: &mut EpState) -> usize {
    let here = frames(ep).count();
    let left = st.queue.consumer.dispatchers.saturating_sub(here);
    st.queue.consumer = Consumer {
        leaves: here > 0,
        dispatchers: here,
        has_thread: frames(ep).any(|frame| frame.is_thread),
        generation: st.queue.consumer.generation + 1,
        earlier_calls: depth(ep),
        ..Consumer::none()
    };
    ep.dispatch.thread_off.store(true, SeqCst);
    ep.dispatch.all_off.store(true, SeqCst);
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn nothing(_: *const epoll_event, _: c_int, _: *mut c_void) {}

    const CALLBACK: Callback = Callback { function: nothing, user: ptr::null_mut() };

    #[test]
    fn only_calls_of_a_replaced_callback_are_waited_for() {
        let mut consumer = Consumer::none();
        consumer.replace(CALLBACK);
        let (_, old) = consumer.begin_call();
        consumer.replace(CALLBACK);
        let (_, new) = consumer.begin_call();
        assert_eq!(consumer.earlier_calls, 1);
        assert!(!consumer.end_call(new));
        assert!(consumer.end_call(old));
        assert_eq!(consumer.earlier_calls, 0);
    }

    #[test]
    fn a_removed_callback_is_not_current_but_still_called_with_what_was_taken() {
        let mut consumer = Consumer::none();
        consumer.replace(CALLBACK);
        consumer.leaves = true;
        assert!(consumer.current().is_none());
        assert!(consumer.begin_call().0.is_some());
    }
}
