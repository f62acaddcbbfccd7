//! The guest's forks, and what they wait for. A pthread that is being made or ends holds locks of
//! libc's. A child that was forked meanwhile would have them held for ever, and could make no thread.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use epolyfill_sites::guest::Call;
use libc::{c_long, pthread_t};
use syscalls::{Sysno, syscall};

use super::signals;
use super::threads::{WAIT, WAKE};

/// The number of threads that are being made or end, and [`FORKS`].
static CHANGES: AtomicU32 = AtomicU32::new(0);
/// A thread forks, or waits for that.
const FORKS: u32 = 1 << 31;

/// The last one of the pthreads that have ended, or will without another change.
static ENDED: AtomicPtr<Ended> = AtomicPtr::new(ptr::null_mut());

/// A pthread that has to be joined. Its memory stays until it is.
#[derive(Debug)]
struct Ended {
    thread: Cell<pthread_t>,
    before: Cell<*mut Ended>,
}

thread_local! {
    static OWN: Ended = const { Ended { thread: Cell::new(0), before: Cell::new(ptr::null_mut()) } };
}

/// A page that is cleared in a forked child. A fork in a handler does not wait for the other threads:
/// none of its child's ends any more, and none is being made.
static IS_KNOWN: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// Prepares the page. Without it, children of forks in handlers may hang.
pub fn set_up() {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: the mapping is new, and nothing refers to it yet.
    unsafe {
        let page = libc::mmap(ptr::null_mut(), PAGE, access, kind, -1, 0);
        if page != libc::MAP_FAILED && libc::madvise(page, PAGE, libc::MADV_WIPEONFORK) == 0 {
            IS_KNOWN.store(page.cast(), Relaxed);
            (*page.cast::<AtomicU32>()).store(1, Relaxed);
        }
    }
}

const PAGE: usize = 4096;

/// Forgets the parent's threads in a child that has only begun.
fn forget_parent() {
    // SAFETY: the page stays.
    let Some(is_known) = (unsafe { IS_KNOWN.load(Relaxed).as_ref() }) else { return };
    // The first one to come is alone in the child.
    if is_known.load(Relaxed) == 0 {
        CHANGES.store(0, Relaxed);
        ENDED.store(ptr::null_mut(), Relaxed);
        is_known.store(1, Relaxed);
    }
}

/// A thread begins to be made, or to end. Its signals are blocked until that is done: a handler could
/// fork.
pub fn begin_change() {
    forget_parent();
    let mut changes = CHANGES.load(Relaxed);
    loop {
        if changes & FORKS != 0 {
            wait(changes);
            changes = CHANGES.load(Relaxed);
            continue;
        }
        match CHANGES.compare_exchange_weak(changes, changes + 1, Acquire, Relaxed) {
            Ok(_) => return,
            Err(found) => changes = found,
        }
    }
}

/// It is made.
pub fn end_change() {
    if CHANGES.fetch_sub(1, Release) == FORKS + 1 {
        wake();
    }
}

/// The calling thread, which has begun to end, returns to libc.
pub fn end_thread() {
    OWN.with(|own| {
        // SAFETY: no arguments.
        own.thread.set(unsafe { libc::pthread_self() });
        let own = ptr::from_ref(own).cast_mut();
        let mut before = ENDED.load(Relaxed);
        loop {
            // SAFETY: it is this thread's.
            unsafe { (*own).before.set(before) };
            match ENDED.compare_exchange_weak(before, own, Release, Relaxed) {
                Ok(_) => break,
                Err(found) => before = found,
            }
        }
    });
    end_change();
}

/// Joins the pthreads that have ended, in a change or a fork: that takes locks of libc's.
pub fn join_ended() {
    let mut ended = ENDED.swap(ptr::null_mut(), Acquire);
    // SAFETY: each is a thread that nobody else joins, and has its memory until then.
    while let Some(one) = unsafe { ended.as_ref() } {
        ended = one.before.get();
        // SAFETY: as above.
        unsafe { libc::pthread_join(one.thread.get(), ptr::null_mut()) };
    }
}

/// Forks by the guest's call, when no lock of libc's is held.
pub fn fork(call: &Call) -> isize {
    let blocked = signals::block_for_libc();
    forget_parent();
    while CHANGES.fetch_or(FORKS, Acquire) & FORKS != 0 {
        wait(CHANGES.load(Relaxed) | FORKS);
    }
    loop {
        match CHANGES.load(Acquire) {
            FORKS => break,
            changes => wait(changes),
        }
    }
    join_ended();
    let [a, b, c, d, e, f] = call.arguments;
    // SAFETY: as for the guest's call, which has no stack for the child. errno is the thread's own.
    let result = unsafe {
        let errno = *libc::__errno_location();
        let result = libc::syscall(call.number as c_long, a, b, c, d, e, f);
        let result = if result < 0 { -*libc::__errno_location() as isize } else { result as isize };
        *libc::__errno_location() = errno;
        result
    };
    CHANGES.store(0, Release);
    wake();
    signals::set_blocked(blocked);
    result
}

fn wait(changes: u32) {
    // SAFETY: the word is valid; another value makes the call return.
    let _ = unsafe { syscall!(Sysno::futex, CHANGES.as_ptr(), WAIT, changes, 0usize) };
}

/// Wakes all who wait: a fork, or those that wait for its end.
fn wake() {
    // SAFETY: the word is valid.
    let _ = unsafe { syscall!(Sysno::futex, CHANGES.as_ptr(), WAKE, i32::MAX) };
}
