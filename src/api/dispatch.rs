//! Callbacks: a standing consumer of an instance's events. It is one more waiter, so whatever holds for several waiting threads holds for it:
//! no event goes to two, and one that was taken is taken.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;

use libc::epoll_event;
use nix::errno::Errno;

use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::instance::wait::{self, Buffer, Timeout};
use crate::lock;
use crate::next;
use crate::sync;
use crate::sync::atomic::Ordering::SeqCst;
use crate::sync::atomic::{AtomicBool, AtomicU32};
use crate::thread;

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
    /// How many threads are at it: waiting, or in a call. Each has the instance pinned, once more than its wait does.
    dispatchers: usize,
    /// One of them is the instance's own, or will be in a moment.
    has_thread: bool,
    /// Which callback this is, so that a call knows at its end whether that was replaced.
    generation: u64,
    /// How many calls of it are running,
    calls: usize,
    /// and of those before it.
    earlier_calls: usize,
}

impl Consumer {
    /// Nobody.
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

    /// The callback, unless it is about to go.
    fn current(&self) -> Option<Callback> {
        self.callback.filter(|_| !self.leaves)
    }

    /// Calls that begin from here on are another callback's.
    fn replace(&mut self, callback: Callback) {
        (self.callback, self.leaves) = (Some(callback), false);
        self.generation += 1;
        self.earlier_calls += std::mem::take(&mut self.calls);
    }

    /// There is no callback any more. Nobody dispatches.
    fn depart(&mut self) {
        (self.callback, self.leaves) = (None, false);
    }

    /// A call is over; whether somebody may be waiting for that.
    fn end_call(&mut self, generation: u64) -> bool {
        let is_current = generation == self.generation;
        let calls = if is_current { &mut self.calls } else { &mut self.earlier_calls };
        *calls = calls.saturating_sub(1);
        !is_current
    }
}

/// What is needed of it without the lock.
#[derive(Debug)]
pub struct Dispatch {
    /// The instance's own thread is to end.
    thread_off: AtomicBool,
    /// All dispatchers are.
    all_off: AtomicBool,
    /// Changes with the end of a call that somebody may wait for, and with that of a dispatcher. Who waits for one sleeps on it.
    ends: AtomicU32,
}

/// This thread as a dispatcher: in a wait, or in a call.
struct Frame {
    ep: &'static Eventpoll,
    /// It is the instance's own.
    is_thread: bool,
    in_call: Cell<bool>,
    outer: *const Frame,
}

thread_local! {
    /// The innermost of them.
    static INNERMOST: Cell<*const Frame> = const { Cell::new(ptr::null()) };
}

/// The thread's frames as a dispatcher of the instance, the innermost first.
fn frames<'a>(ep: &'static Eventpoll) -> impl Iterator<Item = &'a Frame> {
    // SAFETY: the frames are on the stack of this thread, further up.
    let frames = std::iter::successors(unsafe { INNERMOST.get().as_ref() }, |frame| unsafe { frame.outer.as_ref() });
    frames.filter(move |frame| ptr::eq(frame.ep, ep))
}

/// How many calls of the instance's callback this thread is in.
fn depth(ep: &'static Eventpoll) -> usize {
    frames(ep).filter(|frame| frame.in_call.get()).count()
}

impl Dispatch {
    /// Nothing to dispatch.
    pub const fn new() -> Dispatch {
        Dispatch { thread_off: AtomicBool::new(false), all_off: AtomicBool::new(false), ends: AtomicU32::new(0) }
    }

    /// Something ended that somebody may wait for. Not under the lock.
    fn tell_of_end(&self) {
        self.ends.fetch_add(1, SeqCst);
        sync::futex_wake(&self.ends, i32::MAX);
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
        if let Some(callback) = callback {
            if !consumer.has_thread {
                start(ep)?;
                (consumer.has_thread, consumer.dispatchers) = (true, consumer.dispatchers + 1);
            }
            consumer.replace(callback);
            ep.dispatch.thread_off.store(false, SeqCst);
            ep.dispatch.all_off.store(false, SeqCst);
        } else {
            consumer.leaves = true;
            call_off(ep, &mut guard);
        }
    }
    // Not for calls of the new one, which may be at it without a pause.
    settle(ep, |consumer| consumer.earlier_calls == 0 && (callback.is_some() || !consumer.leaves));
    Ok(())
}

/// Has all dispatchers end; the callback goes with the last of them.
fn call_off(ep: &'static Eventpoll, st: &mut EpState) {
    ep.dispatch.thread_off.store(true, SeqCst);
    ep.dispatch.all_off.store(true, SeqCst);
    if st.consumer.dispatchers == 0 {
        st.consumer.depart();
    }
    st.waiters.kick_all();
}

/// Waits until `is_done` says yes. Not in a call, which would wait for itself.
fn settle(ep: &'static Eventpoll, is_done: impl Fn(&Consumer) -> bool) {
    const STEP_NS: u32 = 10_000_000;
    while depth(ep) == 0 {
        let ends = ep.dispatch.ends.load(SeqCst);
        {
            let st = ep.lock();
            if is_done(&st.consumer) {
                return;
            }
            st.waiters.kick_all();
        }
        sync::futex_wait(&ep.dispatch.ends, ends, Some(STEP_NS));
    }
}

/// A dispatcher ends, under the lock, after which those that wait for that are to be told.
fn end(consumer: &mut Consumer, frame: &Frame) {
    INNERMOST.set(frame.outer);
    consumer.has_thread &= !frame.is_thread;
    // In a forked child nobody may be left but those that came along.
    consumer.dispatchers = consumer.dispatchers.saturating_sub(1);
    if consumer.leaves && consumer.dispatchers == 0 {
        consumer.depart();
    }
}

fn start(ep: &'static Eventpoll) -> Result<(), Errno> {
    let pinned = ep.pin().ok_or(Errno::EBADF)?;
    // SAFETY: an instance is never freed, and `run` takes one.
    unsafe { thread::start(None, run, ptr::from_ref(ep).cast_mut().cast())? };
    // The thread's.
    pinned.into_raw();
    Ok(())
}

/// The instance's own thread.
extern "C" fn run(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `start` passes a reference to an instance, which is pinned for this thread.
    let ep: &'static Eventpoll = unsafe { &*argument.cast::<Eventpoll>() };
    thread::set_name(c"epolyfill-call");
    // Whoever removes the callback waits for this thread, whose number the callback may have told somebody.
    next::let_be_cancelled(false);
    let frame = Frame { ep, is_thread: true, in_call: Cell::new(false), outer: ptr::null() };
    INNERMOST.set(&raw const frame);
    loop {
        let waited = wait_and_call(ep, None, &ep.dispatch.thread_off, &frame);
        {
            let mut guard = ep.lock();
            if ep.dispatch.thread_off.load(SeqCst) {
                // Under the same lock, or a callback that is set in between would rely on this thread.
                end(&mut guard.consumer, &frame);
                break;
            }
        }
        if waited.is_err_and(|errno| errno != Errno::EINTR) {
            // There is no memory to wait with; there may be some later.
            const PAUSE_NS: u32 = 10_000_000;
            sync::futex_wait(&ep.dispatch.ends, ep.dispatch.ends.load(SeqCst), Some(PAUSE_NS));
        }
    }
    ep.dispatch.tell_of_end();
    ep.unpin();
    ptr::null_mut()
}

/// One wait, and a call with what came of it.
fn wait_and_call(
    ep: &'static Eventpoll,
    timeout: Timeout,
    called_off: &'static AtomicBool,
    frame: &Frame,
) -> Result<usize, Errno> {
    let mut events = [const { epoll_event { events: 0, u64: 0 } }; BATCH];
    let buffer = Buffer { events: events.as_mut_ptr(), max: BATCH };
    let pinned = ep.pin().ok_or(Errno::EBADF)?;
    // SAFETY: the array has so much room.
    let n = unsafe { wait::wait_on(pinned.into_raw(), buffer, timeout, None, Some(called_off)) }?;
    if n > 0 {
        call(frame, &events[..n]);
    }
    Ok(n)
}

/// Calls the callback with what was taken.
fn call(frame: &Frame, events: &[epoll_event]) {
    let ep = frame.ep;
    let (callback, generation) = {
        let mut guard = ep.lock();
        let consumer = &mut guard.consumer;
        consumer.calls += 1;
        frame.in_call.set(true);
        (consumer.callback, consumer.generation)
    };
    if let Some(Callback { function, user }) = callback {
        // SAFETY: whoever set it answers for it.
        unsafe { function(events.as_ptr(), events.len() as c_int, user) };
    }
    let is_awaited = {
        let mut guard = ep.lock();
        frame.in_call.set(false);
        guard.consumer.end_call(generation)
    };
    if is_awaited {
        ep.dispatch.tell_of_end();
    }
}

/// One wait in the calling thread, whose events go to the callback. From the first one on the instance has no thread of its own any more,
/// until a callback is set anew. EINVAL without a callback, ECANCELED if it is removed meanwhile.
pub fn dispatch(ep: &'static Eventpoll, timeout: Timeout) -> Result<usize, Errno> {
    if lock::interrupted() {
        return Err(Errno::EINTR);
    }
    // Whoever removes the callback waits for this thread: it must come back.
    let before = next::let_be_cancelled(false);
    let frame = Frame { ep, is_thread: false, in_call: Cell::new(false), outer: INNERMOST.get() };
    let dispatched = match begin(&frame) {
        Ok(()) => {
            settle(ep, |consumer| !consumer.has_thread || !ep.dispatch.thread_off.load(SeqCst));
            let dispatched = wait_and_call(ep, timeout, &ep.dispatch.all_off, &frame);
            end(&mut ep.lock().consumer, &frame);
            ep.dispatch.tell_of_end();
            dispatched
        }
        Err(errno) => Err(errno),
    };
    next::let_be_cancelled(before);
    match dispatched {
        Ok(0) if ep.dispatch.all_off.load(SeqCst) => Err(Errno::ECANCELED),
        other => other,
    }
}

/// This thread becomes a dispatcher, and the instance's own is to end. EINVAL without a callback.
fn begin(frame: &Frame) -> Result<(), Errno> {
    let mut guard = frame.ep.lock();
    let consumer = &mut guard.consumer;
    if consumer.current().is_none() {
        return Err(Errno::EINVAL);
    }
    consumer.dispatchers += 1;
    if consumer.has_thread {
        frame.ep.dispatch.thread_off.store(true, SeqCst);
    }
    INNERMOST.set(ptr::from_ref(frame));
    Ok(())
}

/// The descriptor is closed: the callback goes.
pub fn close(ep: &'static Eventpoll, st: &mut EpState) {
    if st.consumer.callback.is_some() {
        st.consumer.leaves = true;
        call_off(ep, st);
    }
}

/// In a forked child nobody dispatches, but perhaps the thread that forked in a callback, which ends when it comes back; and there is no
/// callback. Under the lock. Answers with how many pins the dispatchers have left behind that did not come along.
pub fn reset_after_fork(ep: &'static Eventpoll, st: &mut EpState) -> usize {
    let here = frames(ep).count();
    let left = st.consumer.dispatchers.saturating_sub(here);
    st.consumer = Consumer {
        leaves: here > 0,
        dispatchers: here,
        has_thread: frames(ep).any(|frame| frame.is_thread),
        generation: st.consumer.generation + 1,
        earlier_calls: depth(ep),
        ..Consumer::none()
    };
    ep.dispatch.thread_off.store(true, SeqCst);
    ep.dispatch.all_off.store(true, SeqCst);
    left
}
