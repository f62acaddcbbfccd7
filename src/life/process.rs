//! Start-up, fork, thread exit and process exit.
//!
//! Start-up is lazy at every entry: constructors of other libraries may create instances before the
//! library's own constructor runs, which only warms it up.

use std::cell::Cell;
use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI32};

use libc::c_void;

use crate::INTERPOSES;
use crate::api::{source, stats};
use crate::backend::{signals, switch, watch};
use crate::facts;
use crate::fork_mark;
use crate::graph::epitem;
use crate::graph::epitem_ext;
use crate::graph::eventpoll::{self, Eventpoll};
use crate::graph::fdtable;
use crate::graph::file::{self, File, in_flight, index};
use crate::graph::inherited;
use crate::graph::own_table;
use crate::graph::pin;
use crate::graph::waitq::{self, Sleeper};
use crate::heap;
use crate::instance::close;
use crate::instance::lifecycle;
use crate::instance::nesting_limits;
use crate::io_uring;
use crate::life::start_env;
use crate::lock::{self, ForkLock};
use crate::options::{self, Poller};
use crate::real;
use crate::sanitizer;
#[cfg(feature = "see")]
use crate::see;
use crate::see::{Observer, Watch};
use crate::sys;
use crate::thread_exit;

static STARTED: AtomicBool = AtomicBool::new(false);
/// A thread is in `start`. A second thread continues with what is ready by then, which suffices.
static STARTING: AtomicBool = AtomicBool::new(false);
/// The thread that takes over after a fork without handlers; 0 for none.
static TAKING_OVER: AtomicI32 = AtomicI32::new(0);
#[cfg(not(test))]
#[ctor::ctor(unsafe)]
fn warm_up() {
    start();
}

/// Makes the library ready, once.
pub fn start() {
    if STARTED.load(Acquire) || STARTING.swap(true, SeqCst) {
        return;
    }
    facts::own();
    lock::set_deferred_work(close::settle_interrupted_closes);
    fork_mark::set_up(take_over);
    thread_exit::set_up(exit_thread);
    watch::set_up(Eventpoll::apply);
    real::look_up_all();
    sanitizer::look();
    options::read(if INTERPOSES { Poller::Poll } else { Poller::Uring });
    start_env::keep();
    inherited::note();
    facts::read(fdtable::NUMBERS);
    // SAFETY: plain calls of libc with valid pointers; the handlers are functions of this library,
    // which is never unloaded.
    unsafe {
        libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child));
        if options::COUNTERS.is_on() {
            libc::atexit(print_counters);
        }
    }
    signals::start();
    Watch::started();
    STARTED.store(true, Release);
}

/// Makes the graph that of the calling process, in a child of a fork without handlers, as the
/// handlers would have done.
///
/// The graph cannot be trusted if a thread that does not exist in the child held a lock, or if this
/// is a signal handler that interrupted the library. Then the child is treated like a vfork child:
/// its closes and dups are not followed.
#[cold]
fn take_over() {
    if lock::interrupted() || facts::is_forking() || own_table::is_unshared() {
        return;
    }
    let me = sys::gettid();
    if let Err(other) = TAKING_OVER.compare_exchange(0, me, SeqCst, SeqCst) {
        while other != me && TAKING_OVER.load(SeqCst) == other {
            std::hint::spin_loop();
        }
        return;
    }
    if !fork_mark::is_gone() {
        TAKING_OVER.store(0, SeqCst);
        return;
    }
    let at_rest = FORK_ORDER.iter().all(|lock| lock.is_free());
    if at_rest {
        facts::note_fork();
        become_child();
        File::deliver_all();
        Watch::born();
    } else {
        Watch::lost();
    }
    // Not earlier: the functions called above call this one again.
    fork_mark::renew();
    TAKING_OVER.store(0, SeqCst);
}

extern "C" fn print_counters() {
    stats::print();
}

/// The process is about to end by a system call of its own, which runs no handlers of libc's. A child
/// of vfork ends alone.
pub fn exiting() {
    if !facts::is_another() {
        Watch::exiting();
        stats::print();
    }
}

unsafe extern "C" fn exit_thread(_: *mut c_void) {
    Watch::thread_ended();
    lifecycle::end_thread();
    in_flight::end_thread();
}

thread_local! {
    /// A signal handler that interrupted this library forks: the interrupted code may hold the
    /// locks, which stay as they are. The child is then like that of a fork without handlers.
    static FORKS_AMID: Cell<bool> = const { Cell::new(false) };
    /// The thread that forks has a descriptor table of its own. Read before the fork, because the
    /// child is not the process of the graph.
    static FORKS_UNSHARED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a call that forks without libc's handlers (`_Fork`, a clone by number), and the work of the
/// handlers with it. The call returns 0 in the child. It is as safe in a signal handler as the call
/// is: see `FORKS_AMID`.
pub fn forking(fork: impl FnOnce() -> isize) -> isize {
    start();
    let errno = sys::last_errno();
    before_fork();
    sys::set_errno(errno);
    let child = fork();
    let errno = sys::last_errno();
    if child == 0 {
        after_fork_in_child();
    } else {
        after_fork_in_parent();
    }
    sys::set_errno(errno);
    child
}

/// Runs a call after which the child, in which it returns 0, is treated like a vfork child,
/// whatever it shares.
pub fn with_vfork_child(fork: impl FnOnce() -> isize) -> isize {
    start();
    let child = fork();
    if child == 0 {
        Watch::lost();
        fork_mark::renew();
    }
    child
}

/// The order of the locks, which `docs/architecture.md` explains: a fork takes all of them, so that
/// the child finds everything at rest. The pools of descriptions and of instances are taken with
/// the locks of their records.
static FORK_ORDER: &[&dyn ForkLock] = &[
    &nesting_limits::LINKS,
    #[cfg(feature = "see")]
    &see::recorder::AT_FORK,
    &file::FILES,
    &file::SEVERAL,
    &eventpoll::INSTANCES,
    &watch::AllMail,
    &index::CHANGES,
    &epitem::ITEMS,
    &epitem_ext::EXTS,
    &epitem_ext::ANNOUNCEMENTS,
    &waitq::SLEEPERS,
    &pin::RECORDS,
    &own_table::MAKING,
    &heap::HEAP,
];

/// Takes every lock, in their order, so that the child finds everything at rest.
extern "C" fn before_fork() {
    Watch::forking();
    FORKS_AMID.set(lock::interrupted());
    if FORKS_AMID.get() {
        return;
    }
    FORKS_UNSHARED.set(own_table::is_unshared());
    switch::prepare_fork();
    signals::prepare_fork();
    for (rank, lock) in FORK_ORDER.iter().enumerate() {
        lock.lock_for_fork();
        if rank == 0 {
            facts::set_forking(true);
        }
    }
}

extern "C" fn after_fork_in_parent() {
    if FORKS_AMID.take() {
        facts::note_fork();
        signals::go_on_after_fork();
        return;
    }
    // SAFETY: `before_fork` ran in this thread.
    unsafe { unlock_all() };
    switch::go_on_after_fork();
    signals::go_on_after_fork();
}

unsafe fn unlock_all() {
    facts::note_fork();
    for (rank, lock) in FORK_ORDER.iter().enumerate().rev() {
        if rank == 0 {
            facts::set_forking(false);
        }
        // SAFETY: the caller ran `before_fork` in this thread.
        unsafe { lock.unlock_after_fork() };
    }
    // Facts that hooks recorded while the fork had the locks.
    File::deliver_all();
}

extern "C" fn after_fork_in_child() {
    if FORKS_AMID.take() {
        io_uring::stand_in();
        return;
    }
    if FORKS_UNSHARED.get() {
        // The graph has the numbers of another descriptor table than the child's.
        // SAFETY: `before_fork` ran in this thread.
        unsafe { unlock_all() };
        Watch::lost();
        return fork_mark::renew();
    }
    own_table::begin_anew();
    facts::own();
    // Closes in a signal handler meanwhile are settled in the child, which has neither rings nor
    // other threads.
    let _until_child = lock::Inside::enter();
    // SAFETY: `before_fork` ran in this thread, which is the only one now.
    unsafe { unlock_all() };
    become_child();
    fork_mark::renew();
    Watch::born();
}

/// Makes the graph that of this process, whose other threads no longer exist.
fn become_child() {
    facts::own();
    own_table::begin_anew();
    File::reset_all_after_fork();
    source::renew_all_after_fork();
    watch::reset_after_fork();
    Sleeper::reset_all_after_fork();
    switch::forget_kept();
    signals::reset_after_fork();
    lifecycle::reset_all_after_fork();
}
