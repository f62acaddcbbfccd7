//! Callbacks: a standing consumer of an instance's events. It is one more waiter, so whatever holds for several waiting threads holds for it:
//! no event goes to two, and one that was taken is taken.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;

use libc::epoll_event;
use nix::errno::Errno;

use crate::epstate::EpState;
use crate::eventpoll::Eventpoll;
use crate::lock;
use crate::next;
use crate::sync;
use crate::sync::atomic::Ordering::SeqCst;
use crate::sync::atomic::{AtomicBool, AtomicU32};
use crate::thread;
use crate::wait::{self, Buffer, Timeout};

/// How many events a call of a callback has at most.
pub const BATCH: usize = 64;

/// A program's function, and what it is given.
#[derive(Clone, Copy, Debug)]
pub struct Callback {
    /// The function.
    pub function: unsafe extern "C" fn(*const epoll_event, c_int, *mut c_void),
    /// The program's own.
    pub user: *mut c_void,
}

// SAFETY: the pointer is passed on and never followed here.
unsafe impl Send for Callback {}

/// What the instance's lock protects of it.
#[derive(Debug)]
pub struct Consumer {
    callback: Option<Callback>,
    /// It goes with the last dispatcher, which still hands over what it has taken.
    leaves: bool,
    /// How many threads are at it: waiting, or in a call.
    dispatchers: usize,
    /// One of them is the instance's own, or will be in a moment.
    has_thread: bool,
}

impl Consumer {
    /// Nobody.
    pub const fn none() -> Consumer {
        Consumer { callback: None, leaves: false, dispatchers: 0, has_thread: false }
    }

    /// The callback, unless it is about to go.
    fn current(&self) -> Option<Callback> {
        self.callback.filter(|_| !self.leaves)
    }
}

/// What is needed of it without the lock.
#[derive(Debug)]
pub struct Dispatch {
    /// The instance's own thread is to end.
    thread_off: AtomicBool,
    /// All dispatchers are.
    all_off: AtomicBool,
    /// How many calls are running. Who waits for the end of one, or of a dispatcher, sleeps on it.
    calls: AtomicU32,
}

/// A call of a callback in this thread.
struct Frame {
    ep: &'static Eventpoll,
    outer: *const Frame,
}

thread_local! {
    /// The innermost of them.
    static INNERMOST: Cell<*const Frame> = const { Cell::new(ptr::null()) };
}

/// How many calls of the instance's callback this thread is in.
fn depth(ep: &'static Eventpoll) -> usize {
    // SAFETY: the frames are on the stack of this thread, further up.
    let frames = std::iter::successors(unsafe { INNERMOST.get().as_ref() }, |frame| unsafe { frame.outer.as_ref() });
    frames.filter(|frame| ptr::eq(frame.ep, ep)).count()
}

impl Dispatch {
    /// Nothing to dispatch.
    pub const fn new() -> Dispatch {
        Dispatch { thread_off: AtomicBool::new(false), all_off: AtomicBool::new(false), calls: AtomicU32::new(0) }
    }
}

/// Gives the instance another callback, or none. When it returns no call of an earlier one is running, unless it was called from one: it waits
/// for nothing then.
pub fn set(ep: &'static Eventpoll, callback: Option<Callback>) -> Result<(), Errno> {
    if lock::interrupted() {
        // In a signal handler, which would wait for what it interrupted.
        return Err(Errno::ENOMEM);
    }
    {
        let mut guard = ep.lock();
        let consumer = &mut guard.consumer;
        if callback.is_some() {
            let before = (consumer.callback, consumer.leaves);
            (consumer.callback, consumer.leaves) = (callback, false);
            if !consumer.has_thread {
                start(ep).inspect_err(|_| (consumer.callback, consumer.leaves) = before)?;
                (consumer.has_thread, consumer.dispatchers) = (true, consumer.dispatchers + 1);
            }
            ep.dispatch.thread_off.store(false, SeqCst);
            ep.dispatch.all_off.store(false, SeqCst);
        } else {
            consumer.leaves = true;
            call_off(ep, &mut guard);
        }
    }
    settle(ep, |st| callback.is_some() || !st.consumer.leaves);
    Ok(())
}

/// Has all dispatchers end; the callback goes with the last of them.
fn call_off(ep: &'static Eventpoll, st: &mut EpState) {
    ep.dispatch.thread_off.store(true, SeqCst);
    ep.dispatch.all_off.store(true, SeqCst);
    if st.consumer.dispatchers == 0 {
        st.consumer = Consumer::none();
    }
    st.waiters.kick_all();
}

/// Waits until no call is running and `is_done` says yes. Not in a call.
fn settle(ep: &'static Eventpoll, is_done: impl Fn(&EpState) -> bool) {
    const STEP_NS: u32 = 10_000_000;
    while depth(ep) == 0 {
        let calls = ep.dispatch.calls.load(SeqCst);
        {
            let st = ep.lock();
            if calls == 0 && is_done(&st) {
                return;
            }
            st.waiters.kick_all();
        }
        sync::futex_wait(&ep.dispatch.calls, calls, Some(STEP_NS));
    }
}

/// A dispatcher ends, under the lock, after which those that wait for that are to be woken.
fn end(consumer: &mut Consumer, is_thread: bool) {
    consumer.has_thread &= !is_thread;
    // In a forked child there may be none but those in a call.
    consumer.dispatchers = consumer.dispatchers.saturating_sub(1);
    if consumer.leaves && consumer.dispatchers == 0 {
        *consumer = Consumer::none();
    }
}

fn start(ep: &'static Eventpoll) -> Result<(), Errno> {
    let pinned = ep.pin().ok_or(Errno::EBADF)?;
    thread::start(None, run, ptr::from_ref(ep).cast_mut().cast())?;
    // The thread's.
    pinned.into_raw();
    Ok(())
}

/// The instance's own thread.
extern "C" fn run(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `start` passes a reference to an instance, which is pinned for this thread.
    let ep: &'static Eventpoll = unsafe { &*argument.cast::<Eventpoll>() };
    thread::set_name(c"epolyfill-call");
    loop {
        match wait_and_call(ep, None, &ep.dispatch.thread_off) {
            Ok(_) | Err(Errno::EINTR) => {}
            // The instance is closed, or the thread cannot wait.
            Err(_) => ep.dispatch.thread_off.store(true, SeqCst),
        }
        let mut guard = ep.lock();
        if ep.dispatch.thread_off.load(SeqCst) {
            // Under the same lock, or a callback that is set in between would rely on this thread.
            end(&mut guard.consumer, true);
            break;
        }
    }
    sync::futex_wake(&ep.dispatch.calls, i32::MAX);
    ep.unpin();
    ptr::null_mut()
}

/// One wait, and a call with what came of it.
fn wait_and_call(ep: &'static Eventpoll, timeout: Timeout, called_off: &'static AtomicBool) -> Result<usize, Errno> {
    let mut events = [const { epoll_event { events: 0, u64: 0 } }; BATCH];
    let buffer = Buffer { events: events.as_mut_ptr(), max: BATCH };
    let pinned = ep.pin().ok_or(Errno::EBADF)?;
    // SAFETY: the array has so much room.
    let n = unsafe { wait::wait_on(pinned.into_raw(), buffer, timeout, None, Some(called_off)) }?;
    if n > 0 {
        call(ep, &events[..n]);
    }
    Ok(n)
}

/// Calls the callback with what was taken.
fn call(ep: &'static Eventpoll, events: &[epoll_event]) {
    let callback = {
        let guard = ep.lock();
        ep.dispatch.calls.fetch_add(1, SeqCst);
        guard.consumer.callback
    };
    if let Some(Callback { function, user }) = callback {
        let frame = Frame { ep, outer: INNERMOST.get() };
        INNERMOST.set(&raw const frame);
        // SAFETY: whoever set it answers for it.
        unsafe { function(events.as_ptr(), events.len() as c_int, user) };
        INNERMOST.set(frame.outer);
    }
    ep.dispatch.calls.fetch_sub(1, SeqCst);
    sync::futex_wake(&ep.dispatch.calls, i32::MAX);
}

/// One wait in the calling thread, whose events go to the callback. From the first one on the instance has no thread of its own any more,
/// until a callback is set anew. EINVAL without a callback, ECANCELED if it is removed meanwhile.
pub fn dispatch(ep: &'static Eventpoll, timeout: Timeout) -> Result<usize, Errno> {
    if lock::interrupted() {
        return Err(Errno::EINTR);
    }
    let ends_thread = {
        let mut guard = ep.lock();
        let consumer = &mut guard.consumer;
        if consumer.current().is_none() {
            return Err(Errno::EINVAL);
        }
        consumer.dispatchers += 1;
        let has_thread = consumer.has_thread;
        if has_thread {
            ep.dispatch.thread_off.store(true, SeqCst);
        }
        has_thread
    };
    if ends_thread {
        settle(ep, |st| !st.consumer.has_thread);
    }
    // Whoever removes the callback waits for this thread: it must come back.
    let before = next::let_be_cancelled(false);
    let dispatched = wait_and_call(ep, timeout, &ep.dispatch.all_off);
    end(&mut ep.lock().consumer, false);
    sync::futex_wake(&ep.dispatch.calls, i32::MAX);
    next::let_be_cancelled(before);
    match dispatched {
        Ok(0) if ep.dispatch.all_off.load(SeqCst) => Err(Errno::ECANCELED),
        other => other,
    }
}

/// The descriptor is closed: the callback goes.
pub fn close(ep: &'static Eventpoll, st: &mut EpState) {
    if st.consumer.callback.is_some() {
        st.consumer.leaves = true;
        call_off(ep, st);
    }
}

/// In a forked child nobody dispatches, but perhaps the thread that forked in a callback, which ends when it comes back; and there is no
/// callback. Under the lock.
pub fn reset_after_fork(ep: &'static Eventpoll, st: &mut EpState) {
    let frames = depth(ep);
    st.consumer = Consumer { leaves: frames > 0, dispatchers: frames, ..Consumer::none() };
    ep.dispatch.calls.store(frames as u32, SeqCst);
    ep.dispatch.thread_off.store(true, SeqCst);
    ep.dispatch.all_off.store(true, SeqCst);
}
