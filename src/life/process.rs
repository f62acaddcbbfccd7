//! Start-up, fork, thread exit and process exit.
//!
//! Start-up is lazy at every entry: other libraries' constructors may create instances before ours runs, which only warms up.

use std::cell::Cell;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32};

use libc::{c_int, c_void};

use crate::INTERPOSES;
use crate::backend::{switch, watch};
use crate::events::NVAL;
use crate::facts;
use crate::graph::epitem;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::fdtable;
use crate::graph::file::{File, in_flight, index};
use crate::graph::own_table;
use crate::graph::stats;
use crate::graph::waitq::Sleeper;
use crate::instance::descriptors;
use crate::life::heritage;
use crate::lock;
use crate::memory;
use crate::nested;
use crate::next;
use crate::options::{self, Poller};
use crate::ring;
use crate::sanitizer;
use crate::sys;
use crate::window::Window;

static STARTED: AtomicBool = AtomicBool::new(false);
/// Somebody is at it: a second thread goes on with what there is, which is enough.
static STARTING: AtomicBool = AtomicBool::new(false);
/// A word that is 1 in the process that the graph belongs to and in its vfork children, and 0 in a child that came of a fork
/// without handlers (an inline clone): the kernel empties its page then. Null where the kernel cannot.
static MARK: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());
/// The thread that takes over what a fork without handlers left; 0 for none.
static TAKING_OVER: AtomicI32 = AtomicI32::new(0);
/// A fork is taking the locks.
static FORKING: AtomicBool = AtomicBool::new(false);
/// Runs `exit_thread` for threads that waited.
static KEY: AtomicU32 = AtomicU32::new(u32::MAX);
/// How many of the first descriptors are looked at when the process starts.
const INHERITED: usize = 256;
/// Which of them were open then: only those can have twins that we were not told of.
static WAS_OPEN: [AtomicBool; INHERITED] = [const { AtomicBool::new(false) }; INHERITED];

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
    lock::set_deferred_work(descriptors::settle_interrupted_closes);
    set_mark();
    next::look_up_all();
    sanitizer::look();
    options::read(if INTERPOSES { Poller::Poll } else { Poller::Uring });
    heritage::keep();
    note_inherited();
    facts::read(fdtable::NUMBERS);
    // SAFETY: plain calls of libc with valid pointers; the handlers are functions of this library, which is never unloaded.
    unsafe {
        let mut key = 0;
        if libc::pthread_key_create(&raw mut key, Some(exit_thread)) == 0 {
            KEY.store(key, Relaxed);
        }
        libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child));
        if options::COUNTERS.is_on() {
            libc::atexit(print_counters);
        }
    }
    STARTED.store(true, Release);
}

fn set_mark() {
    if let Ok(page) = sys::map(MARK_BYTES) {
        if sys::wipe_on_fork(page, MARK_BYTES).is_ok() {
            MARK.store(page.cast(), Release);
            mark_as_settled();
        } else {
            // SAFETY: nobody knows of the page.
            unsafe { sys::unmap(page, MARK_BYTES) };
        }
    }
}

/// The least that can be mapped.
const MARK_BYTES: usize = 1;

fn mark() -> Option<&'static AtomicU32> {
    // SAFETY: null, or a page that is never unmapped.
    unsafe { MARK.load(Acquire).as_ref() }
}

fn mark_as_settled() {
    if let Some(mark) = mark() {
        mark.store(1, SeqCst);
    }
}

/// In a child that came of a fork without handlers: makes the graph its own, as the handlers would have. Everything else is left
/// alone. Called wherever the graph is entered.
#[inline]
pub fn settle() {
    if mark().is_some_and(|mark| mark.load(Relaxed) == 0) {
        take_over();
    }
}

/// If a thread that did not come along held a lock, or this is a signal handler amid the library, the graph cannot be trusted. Then
/// the child is treated like a vfork child: what it closes and duplicates is not followed.
#[cold]
fn take_over() {
    if lock::interrupted() || FORKING.load(SeqCst) || own_table::is_apart() {
        return;
    }
    let me = sys::gettid();
    if let Err(other) = TAKING_OVER.compare_exchange(0, me, SeqCst, SeqCst) {
        while other != me && TAKING_OVER.load(SeqCst) == other {
            std::hint::spin_loop();
        }
        return;
    }
    if mark().is_none_or(|mark| mark.load(SeqCst) != 0) {
        TAKING_OVER.store(0, SeqCst);
        return;
    }
    let at_rest = nested::links_at_rest()
        && memory::is_at_rest()
        && File::all_at_rest()
        && Eventpoll::all_at_rest()
        && watch::all_at_rest()
        && epitem::pool_at_rest()
        && Sleeper::pool_at_rest()
        && own_table::is_at_rest();
    if at_rest {
        facts::note_fork();
        become_child();
        File::deliver_all();
    }
    // Only now: what is called from here on comes back in.
    mark_as_settled();
    TAKING_OVER.store(0, SeqCst);
}

extern "C" fn print_counters() {
    stats::print();
}

/// Whether the caller is a vfork child: it shares our memory, and whatever it closes or duplicates is its own affair. So it is in a thread that
/// has a descriptor table of its own, and in the children of one.
pub fn is_borrowed() -> bool {
    settle();
    facts::is_another() || own_table::is_apart()
}

/// One call asks the kernel which of the first descriptors are open.
fn note_inherited() {
    let mut window = Window::<_, INHERITED>::new();
    for (fd, open) in WAS_OPEN.iter().enumerate() {
        window.add(open, fd as c_int, 0);
    }
    for (open, found) in window.look() {
        open.store(found & NVAL == 0, Relaxed);
    }
}

/// Other numbers that named the same description as `fd` when the process started, and still do: standard input and output
/// are often one terminal.
pub fn inherited_twins(fd: c_int) -> impl Iterator<Item = c_int> {
    let inherited = WAS_OPEN.get(fd as usize).is_some_and(|open| open.load(Relaxed));
    let candidates = if inherited { INHERITED as c_int } else { 0 };
    (0..candidates).filter(move |&other| other != fd && WAS_OPEN[other as usize].load(Relaxed) && is_twin(fd, other))
}

fn is_twin(fd: c_int, other: c_int) -> bool {
    sys::same_description(fd, other).unwrap_or_else(|| match (sys::fstat(fd), sys::fstat(other)) {
        // The kernel will not say: the same file, inherited together, is taken for the same description.
        (Ok(a), Ok(b)) => {
            (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino) && !matches!(a.st_mode & libc::S_IFMT, 0 | libc::S_IFIFO)
        }
        _ => false,
    })
}

/// Whether a thread is about to fork, and takes the locks one by one.
pub fn is_forking() -> bool {
    FORKING.load(SeqCst)
}

/// Lets the calling thread's sleeper be retired when the thread ends, however it ends.
pub fn call_at_thread_exit() {
    let key = KEY.load(Relaxed);
    if key != u32::MAX {
        // SAFETY: the key was created at start-up; any value but null makes the destructor run.
        unsafe { libc::pthread_setspecific(key, (&raw const KEY).cast()) };
    }
}

/// As `call_at_thread_exit`, but never allocates, and so does nothing where the program had created too many keys of its own: glibc keeps
/// the values of the first 32 in the thread itself.
pub fn note_thread_exit() {
    const WITHIN_THE_THREAD: u32 = 32;
    if KEY.load(Relaxed) < WITHIN_THE_THREAD {
        call_at_thread_exit();
    }
}

unsafe extern "C" fn exit_thread(_: *mut c_void) {
    Sleeper::retire_own();
    in_flight::end_thread();
}

thread_local! {
    /// A signal handler that interrupted this library forks: the locks may be the interrupted code's, and stay as they are. The child is
    /// then like one of a fork without handlers.
    static FORKS_AMID: Cell<bool> = const { Cell::new(false) };
    /// The thread that forks has a descriptor table of its own. Asked before: the child is not of the graph's process.
    static FORKS_APART: Cell<bool> = const { Cell::new(false) };
}

/// Runs a call that forks without libc's handlers (`_Fork`, a clone by number), and with it what the handlers do. The call answers 0 in
/// the child. As safe in a signal handler as the call is: see `FORKS_AMID`.
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

/// Runs a call after which the child, where it answers 0, is to be taken for a vfork child, whatever it shares.
pub fn lending(fork: impl FnOnce() -> isize) -> isize {
    start();
    let child = fork();
    if child == 0 {
        mark_as_settled();
    }
    child
}

/// Takes every lock, in their order, so that the child finds everything at rest.
extern "C" fn before_fork() {
    FORKS_AMID.set(lock::interrupted());
    if FORKS_AMID.get() {
        return;
    }
    FORKS_APART.set(own_table::is_apart());
    switch::prepare_fork();
    nested::lock_links_for_fork();
    FORKING.store(true, SeqCst);
    File::lock_all_for_fork();
    Eventpoll::lock_all_for_fork();
    watch::lock_all_for_fork();
    index::lock_for_fork();
    epitem::lock_pool_for_fork();
    Sleeper::lock_pool_for_fork();
    own_table::lock_for_fork();
    memory::lock_for_fork();
}

extern "C" fn after_fork_in_parent() {
    if FORKS_AMID.take() {
        facts::note_fork();
        return;
    }
    // SAFETY: `before_fork` ran in this thread.
    unsafe { unlock_all() };
    switch::go_on_after_fork();
}

unsafe fn unlock_all() {
    facts::note_fork();
    // SAFETY: the caller ran `before_fork` in this thread.
    unsafe {
        memory::unlock_after_fork();
        own_table::unlock_after_fork();
        Sleeper::unlock_pool_after_fork();
        epitem::unlock_pool_after_fork();
        index::unlock_after_fork();
        watch::unlock_all_after_fork();
        Eventpoll::unlock_all_after_fork();
        File::unlock_all_after_fork();
        FORKING.store(false, SeqCst);
        nested::unlock_links_after_fork();
    }
    // What witnesses saw while the fork had the locks.
    File::deliver_all();
}

extern "C" fn after_fork_in_child() {
    if FORKS_AMID.take() {
        ring::stand_in();
        return;
    }
    if FORKS_APART.get() {
        // The graph is of numbers that are not the child's.
        // SAFETY: `before_fork` ran in this thread.
        unsafe { unlock_all() };
        return mark_as_settled();
    }
    own_table::begin_anew();
    facts::own();
    // What a handler closed meanwhile is for the child to settle, which has neither rings nor other threads.
    let _until_child = lock::Inside::enter();
    // SAFETY: `before_fork` ran in this thread, which is the only one now.
    unsafe { unlock_all() };
    become_child();
    mark_as_settled();
}

/// The graph is this process's from here on, and its other threads are no more.
fn become_child() {
    facts::own();
    own_table::begin_anew();
    File::reset_all_after_fork();
    watch::reset_after_fork();
    Sleeper::reset_all_after_fork();
    Eventpoll::reset_all_after_fork();
}
