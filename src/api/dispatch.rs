//! Callbacks: functions of the program that are called with an instance's events. A callback is one
//! more waiter, so the rules for several waiting threads apply (W9): an event goes to one of them,
//! and stays with the one that took it. Kernel counterpart: none.

use std::ffi::{c_int, c_void};
use std::ptr;

use libc::epoll_event;
use nix::errno::Errno;

use crate::graph::consumer::{self, Callback, Consumer, Frame};
use crate::graph::eventpoll::Eventpoll;
use crate::instance::wait::{self, Buffer, Timeout};
use crate::lock;
use crate::real;
use crate::sleep::{By, Sleep};
use crate::sync;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::Ordering::SeqCst;
use crate::thread;

/// The most events in one call of a callback.
pub const BATCH: usize = 64;

/// Sets the callback of an instance, or removes it. When this returns, no call of the earlier
/// callback is running. A caller inside a callback does not wait for that.
pub fn set(ep: &'static Eventpoll, callback: Option<Callback>) -> Result<(), Errno> {
    if lock::interrupted() {
        // A signal handler cannot wait for the code that it interrupted.
        return Err(Errno::ENOMEM);
    }
    {
        let mut guard = ep.lock();
        let consumer = &mut guard.queue.consumer;
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
            consumer::call_off(ep, &mut guard);
        }
    }
    // Does not wait for calls of the new callback, which may follow each other without a pause.
    settle(ep, |consumer| consumer.earlier_calls == 0 && (callback.is_some() || !consumer.leaves));
    Ok(())
}

/// Waits for `is_done`, except inside a callback, which would wait for itself.
fn settle(ep: &'static Eventpoll, is_done: impl Fn(&Consumer) -> bool) {
    const STEP_NS: u32 = 10_000_000;
    while consumer::depth(ep) == 0 {
        let ends = ep.dispatch.ends.load(SeqCst);
        {
            let st = ep.lock();
            if is_done(&st.queue.consumer) {
                return;
            }
            st.queue.waiters.wake_all();
        }
        sync::futex_wait(&ep.dispatch.ends, ends, Some(STEP_NS));
    }
}

fn start(ep: &'static Eventpoll) -> Result<(), Errno> {
    let pinned = ep.pin().ok_or(Errno::EBADF)?;
    // SAFETY: an instance is never freed, and `run` takes one.
    unsafe { thread::start(None, run, ptr::from_ref(ep).cast_mut().cast())? };
    // The pin now belongs to the thread.
    pinned.into_raw();
    Ok(())
}

/// The instance's own thread.
extern "C" fn run(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `start` passes a reference to an instance, which is pinned for this thread.
    let ep: &'static Eventpoll = unsafe { &*argument.cast::<Eventpoll>() };
    thread::set_name(c"epolyfill-call");
    // A thread that removes the callback waits for this one, so pthread_cancel in the callback must
    // not end it.
    real::let_be_cancelled(false);
    let frame = Frame::new(ep, true);
    // SAFETY: the frame is a local of this function, which leaves it below.
    unsafe { frame.enter() };
    loop {
        let waited = wait_and_call(ep, None, &ep.dispatch.thread_off, &frame);
        {
            let mut guard = ep.lock();
            if ep.dispatch.thread_off.load(SeqCst) {
                // Under the same lock as the check: a callback that is set in between relies on
                // this thread.
                frame.leave(&mut guard.queue.consumer);
                break;
            }
        }
        if waited.is_err_and(|errno| errno != Errno::EINTR) {
            // There is no memory for the wait. There may be some later.
            const PAUSE_NS: u32 = 10_000_000;
            sync::futex_wait(&ep.dispatch.ends, ep.dispatch.ends.load(SeqCst), Some(PAUSE_NS));
        }
    }
    ep.dispatch.wake_waiters();
    ep.unpin();
    ptr::null_mut()
}

/// Waits once, and calls the callback with the events.
fn wait_and_call(
    ep: &'static Eventpoll,
    timeout: Timeout,
    called_off: &'static AtomicBool,
    frame: &Frame,
) -> Result<usize, Errno> {
    let mut events = [const { epoll_event { events: 0, u64: 0 } }; BATCH];
    let buffer = Buffer { events: events.as_mut_ptr(), max: BATCH };
    let pinned = ep.pin().ok_or(Errno::EBADF)?;
    // SAFETY: the array has room for `BATCH` events.
    let n = unsafe { wait::wait_on(pinned.into_raw(), buffer, timeout, Sleep::new(By::Name, None), Some(called_off)) }?;
    if n > 0 {
        call(frame, &events[..n]);
    }
    Ok(n)
}

/// Calls the callback with the events that were taken.
fn call(frame: &Frame, events: &[epoll_event]) {
    let ep = frame.ep();
    let (callback, generation) = {
        let mut guard = ep.lock();
        frame.in_call.set(true);
        guard.queue.consumer.begin_call()
    };
    if let Some(Callback { function, user }) = callback {
        // SAFETY: the program vouched for it in `epolyfill_set_callback`.
        unsafe { function(events.as_ptr(), events.len() as c_int, user) };
    }
    let is_awaited = {
        let mut guard = ep.lock();
        frame.in_call.set(false);
        guard.queue.consumer.end_call(generation)
    };
    if is_awaited {
        ep.dispatch.wake_waiters();
    }
}

/// Waits once in the calling thread, and calls the callback with the events. The first such call
/// ends the instance's own thread, until a callback is set again. EINVAL without a callback;
/// ECANCELED if it is removed during the wait.
pub fn dispatch(ep: &'static Eventpoll, timeout: Timeout) -> Result<usize, Errno> {
    if lock::interrupted() {
        return Err(Errno::EINTR);
    }
    // A thread that removes the callback waits for this one to return.
    let before = real::let_be_cancelled(false);
    let frame = Frame::new(ep, false);
    let dispatched = match begin(&frame) {
        Ok(()) => {
            settle(ep, |consumer| !consumer.has_thread || !ep.dispatch.thread_off.load(SeqCst));
            let dispatched = wait_and_call(ep, timeout, &ep.dispatch.all_off, &frame);
            frame.leave(&mut ep.lock().queue.consumer);
            ep.dispatch.wake_waiters();
            dispatched
        }
        Err(errno) => Err(errno),
    };
    real::let_be_cancelled(before);
    match dispatched {
        Ok(0) if ep.dispatch.all_off.load(SeqCst) => Err(Errno::ECANCELED),
        other => other,
    }
}

/// Makes this thread a dispatcher, and makes the instance's own thread end. EINVAL without a
/// callback.
fn begin(frame: &Frame) -> Result<(), Errno> {
    let mut guard = frame.ep().lock();
    let consumer = &mut guard.queue.consumer;
    if consumer.current().is_none() {
        return Err(Errno::EINVAL);
    }
    consumer.dispatchers += 1;
    if consumer.has_thread {
        frame.ep().dispatch.thread_off.store(true, SeqCst);
    }
    // SAFETY: the frame is a local of the caller, which leaves it before it returns.
    unsafe { frame.enter() };
    Ok(())
}
