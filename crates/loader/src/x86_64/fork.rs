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
use super::threads::{self, WAIT, WAKE};

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
    /// The thread has set [`FORKS`].
    static IS_FORKING: Cell<bool> = const { Cell::new(false) };
    static OWN: Ended = const { Ended { thread: Cell::new(0), before: Cell::new(ptr::null_mut()) } };
}

/// The id of the process whose memory this is, in a page that is cleared in a forked child. A fork in
/// a handler does not wait for the other threads: none of its child's ends any more, and none is being
/// made.
static OWNER: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// Prepares the page. Without it, children of forks in handlers may hang, and parents of children of
/// vfork that fork.
pub fn set_up() {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: the mapping is new, and nothing refers to it yet.
    unsafe {
        let page = libc::mmap(ptr::null_mut(), PAGE, access, kind, -1, 0);
        if page != libc::MAP_FAILED && libc::madvise(page, PAGE, libc::MADV_WIPEONFORK) == 0 {
            OWNER.store(page.cast(), Relaxed);
            (*page.cast::<AtomicU32>()).store(own_id(), Relaxed);
        }
    }
}

const PAGE: usize = 4096;

fn own_id() -> u32 {
    // SAFETY: no arguments.
    unsafe { syscall!(Sysno::getpid) }.unwrap_or(0) as u32
}

/// The owner; `None` if there is no page.
fn owner() -> Option<&'static AtomicU32> {
    // SAFETY: the page stays.
    unsafe { OWNER.load(Relaxed).as_ref() }
}

/// Whether the memory is that of a process which waits for this one, as for a child of vfork.
pub fn is_borrowed() -> bool {
    owner().is_some_and(|owner| ![0, own_id()].contains(&owner.load(Relaxed)))
}

/// Forgets the parent's threads in a child that has only begun.
fn forget_parent() {
    // The first one to come is alone in the child.
    if let Some(owner) = owner().filter(|owner| owner.load(Relaxed) == 0) {
        CHANGES.store(0, Relaxed);
        ENDED.store(ptr::null_mut(), Relaxed);
        owner.store(own_id(), Relaxed);
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

/// The calling thread, which has begun to end, returns to libc. It joins those before it: one at most
/// keeps its stack.
pub fn end_thread() {
    join_ended();
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
    IS_FORKING.set(true);
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
    end_fork();
    signals::set_blocked(blocked);
    result
}

/// Ends a fork that was left by `siglongjmp`, at another call of the guest's. A seccomp filter of the
/// guest's had raised SIGSYS, the only signal that is not blocked.
pub fn settle() {
    if IS_FORKING.get() && !threads::has_interrupted() {
        end_fork();
    }
}

fn end_fork() {
    IS_FORKING.set(false);
    CHANGES.fetch_and(!FORKS, Release);
    wake();
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
