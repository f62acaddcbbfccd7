//! Callbacks: a standing consumer of an instance's events. It is one more waiter, so whatever holds for several waiting threads holds for it:
//! no event goes to two, and one that was taken is taken.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;

use libc::epoll_event;
use nix::errno::Errno;

use crate::epstate::EpState;
use crate::eventpoll::Eventpoll;
use crate::pool::AtomicRef;
use crate::sync;
use crate::sync::atomic::Ordering::SeqCst;
use crate::sync::atomic::{AtomicBool, AtomicU32};
use crate::thread;
use crate::wait::{self, Buffer, Timeout};
use crate::waitq::Sleeper;

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
    /// There is a dispatch thread, or there will be in a moment.
    has_thread: bool,
    /// The program dispatches itself.
    by_hand: bool,
}

impl Consumer {
    /// Nobody.
    pub const fn none() -> Consumer {
        Consumer { callback: None, has_thread: false, by_hand: false }
    }
}

/// What is needed of it without the lock.
#[derive(Debug)]
pub struct Dispatch {
    /// The dispatch thread is to end.
    called_off: AtomicBool,
    /// The dispatch thread, while it can be woken.
    sleeper: AtomicRef<Sleeper>,
    /// How many calls are running. Who waits for their end sleeps on it.
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
        Dispatch { called_off: AtomicBool::new(false), sleeper: AtomicRef::none(), calls: AtomicU32::new(0) }
    }

    fn wake(&self) {
        if let Some(sleeper) = self.sleeper.get() {
            sleeper.kick();
        }
    }
}

/// Gives the instance another callback, or none. When it returns no call of an earlier one is running, unless it was called from one: it waits
/// for nothing then.
pub fn set(ep: &'static Eventpoll, callback: Option<Callback>) -> Result<(), Errno> {
    {
        let mut guard = ep.lock();
        let consumer = &mut guard.consumer;
        match callback {
            Some(_) => {
                let before = consumer.callback;
                consumer.callback = callback;
                consumer.by_hand = false;
                ep.dispatch.called_off.store(false, SeqCst);
                if !consumer.has_thread {
                    consumer.has_thread = true;
                    if let Err(errno) = start(ep) {
                        (consumer.has_thread, consumer.callback) = (false, before);
                        return Err(errno);
                    }
                }
            }
            // What the thread has taken by now it still hands to the callback, and ends.
            None if consumer.has_thread => {
                consumer.by_hand = false;
                ep.dispatch.called_off.store(true, SeqCst);
            }
            None => consumer.callback = None,
        }
    }
    ep.dispatch.wake();
    settle(ep, |st| callback.is_some() || !st.consumer.has_thread);
    Ok(())
}

/// Waits until no call is running and `is_done` says yes. Not in a call.
fn settle(ep: &'static Eventpoll, is_done: impl Fn(&EpState) -> bool) {
    const STEP_NS: u32 = 10_000_000;
    while depth(ep) == 0 {
        let calls = ep.dispatch.calls.load(SeqCst);
        if calls == 0 && is_done(&ep.lock()) {
            return;
        }
        sync::futex_wait(&ep.dispatch.calls, calls, Some(STEP_NS));
        ep.dispatch.wake();
    }
}

fn start(ep: &'static Eventpoll) -> Result<(), Errno> {
    let pinned = ep.pin().ok_or(Errno::EBADF)?;
    thread::start(None, run, ptr::from_ref(ep).cast_mut().cast())?;
    // The thread's.
    pinned.into_raw();
    Ok(())
}

/// The dispatch thread.
extern "C" fn run(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `start` passes a reference to an instance, which is pinned for this thread.
    let ep: &'static Eventpoll = unsafe { &*argument.cast::<Eventpoll>() };
    thread::set_name(c"epolyfill-call");
    let own = Sleeper::idle_own();
    ep.dispatch.sleeper.set(own);
    let mut events = [const { epoll_event { events: 0, u64: 0 } }; BATCH];
    loop {
        let buffer = Buffer { events: events.as_mut_ptr(), max: BATCH };
        let waited = match ep.pin() {
            // SAFETY: the array has so much room.
            Some(pinned) if own.is_some() => unsafe {
                wait::wait_on(pinned.into_raw(), buffer, None, None, Some(&ep.dispatch.called_off))
            },
            _ => Err(Errno::ENOMEM),
        };
        match waited {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(n) => call(ep, &events[..n]),
            // The instance is closed.
            Err(_) => ep.dispatch.called_off.store(true, SeqCst),
        }
        let mut guard = ep.lock();
        if ep.dispatch.called_off.load(SeqCst) {
            let consumer = &mut guard.consumer;
            consumer.has_thread = false;
            if !consumer.by_hand {
                consumer.callback = None;
            }
            ep.dispatch.sleeper.set(None);
            break;
        }
    }
    sync::futex_wake(&ep.dispatch.calls, i32::MAX);
    ep.unpin();
    ptr::null_mut()
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

/// One wait in the calling thread, whose events go to the callback. From the first one on the instance has no dispatch thread any more, until
/// a callback is set anew.
pub fn dispatch(ep: &'static Eventpoll, timeout: Timeout) -> Result<usize, Errno> {
    let ends_thread = {
        let mut guard = ep.lock();
        let consumer = &mut guard.consumer;
        if consumer.callback.is_none() {
            return Err(Errno::EINVAL);
        }
        consumer.by_hand = true;
        if consumer.has_thread {
            ep.dispatch.called_off.store(true, SeqCst);
        }
        consumer.has_thread
    };
    if ends_thread {
        ep.dispatch.wake();
        settle(ep, |st| !st.consumer.has_thread);
    }
    let mut events = [const { epoll_event { events: 0, u64: 0 } }; BATCH];
    let buffer = Buffer { events: events.as_mut_ptr(), max: BATCH };
    let pinned = ep.pin().ok_or(Errno::EBADF)?;
    // SAFETY: the array has so much room.
    let n = unsafe { wait::wait_on(pinned.into_raw(), buffer, timeout, None, None) }?;
    if n > 0 {
        call(ep, &events[..n]);
    }
    Ok(n)
}

/// The descriptor is closed: the thread ends.
pub fn close(ep: &'static Eventpoll) {
    ep.dispatch.called_off.store(true, SeqCst);
    ep.dispatch.wake();
}

/// In a forked child there is no dispatch thread, and no callback. Under the lock.
pub fn reset_after_fork(ep: &'static Eventpoll, st: &mut EpState) {
    st.consumer = Consumer::none();
    ep.dispatch.calls.store(depth(ep) as u32, SeqCst);
    // The one that forked in a callback ends when it comes back.
    ep.dispatch.called_off.store(true, SeqCst);
    ep.dispatch.sleeper.set(None);
}
