//! A thread of the library for the rules that look while no thread of the program calls anything,
//! such as when all of them are away from their loops.
//!
//! It is started when a wait returns and a rule wants to look later, so a program that never waits
//! has none. It sleeps until a look is due, which the program's own calls usually make needless,
//! and ends when none has been due for a while: a process whose other threads have ended must not
//! live on for it. A forked child starts its own.

use std::ffi::c_void;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64};

use super::recorder;
use crate::facts;
use crate::lock;
use crate::sys;
use crate::thread;

/// The thread has been started and has not ended.
static RUNS: AtomicBool = AtomicBool::new(false);
/// Its id.
static TID: AtomicI32 = AtomicI32::new(0);
/// The thread is to end.
static STOPS: AtomicBool = AtomicBool::new(false);
/// When the thread will look at the clock again; 0 while it does not sleep.
static SLEEPS_UNTIL: AtomicU64 = AtomicU64::new(0);
/// A futex: grows when a look is due before that.
static BELL: AtomicU32 = AtomicU32::new(0);
/// No start is tried before this time.
static REFUSED_UNTIL: AtomicU64 = AtomicU64::new(0);

/// A call of the program that comes this late still makes the look itself.
const SLACK_NS: u64 = 2_000_000;
/// The time between two looks is not shorter.
const LEAST_NS: u64 = 1_000_000;
/// With nothing to do for so long the thread ends.
const IDLE_NS: u64 = 900_000_000;
/// Describing a descriptor takes more of it than the looks.
const STACK_BYTES: usize = 128 * 1024;

/// Whether the thread exists.
pub fn runs() -> bool {
    RUNS.load(Relaxed)
}

/// Wakes the thread if it would sleep past `due_ns`.
#[inline]
pub fn wake_for(due_ns: u64) {
    if due_ns.saturating_add(SLACK_NS) < SLEEPS_UNTIL.load(SeqCst) {
        wake();
    }
}

#[cold]
fn wake() {
    BELL.fetch_add(1, SeqCst);
    sys::futex_wake(&BELL, 1);
}

/// Starts the thread if there is none. Not under a lock: libc may allocate.
#[cold]
pub fn start() {
    /// A start is expensive, and waits return often.
    const PAUSE_NS: u64 = 1_000_000_000;
    if STOPS.load(SeqCst) || sys::now() < REFUSED_UNTIL.load(Relaxed) || RUNS.swap(true, SeqCst) {
        return;
    }
    // SAFETY: `run` ignores its argument.
    if unsafe { thread::start(Some(STACK_BYTES), run, std::ptr::null_mut()) }.is_err() {
        RUNS.store(false, SeqCst);
        REFUSED_UNTIL.store(sys::now() + PAUSE_NS, Relaxed);
    }
}

/// Ends the thread, and waits for its end: the program has as many threads as it made itself. The
/// next wait that needs it starts another.
pub fn stop() {
    /// A thread that gets no processor for so long is not waited for.
    const MOST_NAPS: u32 = 20_000;
    const NAP_NS: u32 = 50_000;
    if !runs() || lock::interrupted() || facts::is_another() {
        return;
    }
    STOPS.store(true, SeqCst);
    wake();
    for _ in 0..MOST_NAPS {
        if !runs() && !sys::is_thread(TID.load(Acquire)) {
            break;
        }
        sys::nap(NAP_NS);
    }
    STOPS.store(false, SeqCst);
}

/// In a forked child there is no such thread.
pub fn reset_after_fork() {
    RUNS.store(false, Relaxed);
    STOPS.store(false, Relaxed);
    SLEEPS_UNTIL.store(0, Release);
}

extern "C" fn run(_: *mut c_void) -> *mut c_void {
    thread::set_name(c"epolyfill-tick");
    TID.store(sys::gettid(), Release);
    let mut idle_since = sys::now();
    loop {
        if STOPS.load(SeqCst) {
            RUNS.store(false, SeqCst);
            return std::ptr::null_mut();
        }
        let now = sys::now();
        let due = recorder::next_tick_ns();
        if due.is_some() {
            idle_since = now;
        }
        if due.is_some_and(|due| due + SLACK_NS <= now) {
            recorder::tick();
            sleep(now + LEAST_NS, None);
            continue;
        }
        let until = due.map_or(idle_since + IDLE_NS, |due| due + SLACK_NS);
        if now < until {
            sleep(until, due);
        } else if has_ended() {
            return std::ptr::null_mut();
        }
    }
}

/// Sleeps until a time, or until a look is due before it. `due` is when the next one was due when
/// the time was computed.
fn sleep(until: u64, due: Option<u64>) {
    /// A longer sleep is made in parts.
    const MOST_NS: u64 = IDLE_NS;
    let bell = BELL.load(Acquire);
    SLEEPS_UNTIL.store(until, SeqCst);
    let is_earlier = |next: u64| due.is_none_or(|due| next < due) && next + SLACK_NS < until;
    if !STOPS.load(SeqCst) && !recorder::next_tick_ns().is_some_and(is_earlier) {
        let left = until.saturating_sub(sys::now()).min(MOST_NS);
        sys::futex_wait(&BELL, bell, Some(left as u32));
    }
    SLEEPS_UNTIL.store(0, SeqCst);
}

/// Ends the thread, unless a look has become due meanwhile and nobody has started another one.
fn has_ended() -> bool {
    RUNS.store(false, SeqCst);
    recorder::next_tick_ns().is_none() || RUNS.swap(true, SeqCst)
}
