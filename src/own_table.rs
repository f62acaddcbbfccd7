//! Threads that have a descriptor table of their own: `unshare` with CLONE_FILES, or `close_range` with CLOSE_RANGE_UNSHARE, in a process of several
//! threads. Their numbers name other files than those of the graph, so the graph is none of their business: what they close and duplicate
//! changes nothing in it, what they transfer is as unseen as in another process, and they have no epoll. Not here: processes of one
//! thread, for which the kernel does nothing, and children (`process::is_borrowed`).
//!
//! Kernel counterpart: `unshare_files` in kernel/fork.c.

use std::cell::Cell;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32};

use libc::c_int;

use crate::descriptors;
use crate::process;
use crate::sys;
use crate::waitq::Sleeper;

/// There is, or was, such a thread.
static ANY: AtomicBool = AtomicBool::new(false);
/// The first thread of the process is one, and the graph is the others'.
static FIRST_IS_APART: AtomicBool = AtomicBool::new(false);
/// Odd while a thread is at it; another number after each time.
static TURN: AtomicU32 = AtomicU32::new(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    NotAsked,
    OfTheGraph,
    Own,
}

thread_local! {
    /// Without a destructor: it is read in signal handlers and at thread exit.
    static TABLE: Cell<Table> = const { Cell::new(Table::NotAsked) };
}

/// Whether the calling thread's numbers are not those of the graph.
#[inline]
pub fn is_apart() -> bool {
    ANY.load(Relaxed) && asks()
}

#[cold]
fn asks() -> bool {
    match TABLE.get() {
        Table::Own => true,
        Table::OfTheGraph => false,
        Table::NotAsked => process::is_another() || finds_out(),
    }
}

/// A thread that was started by one that has a table of its own shares that one. The first thread is known, so it is compared with.
fn finds_out() -> bool {
    let (turn, first) = (TURN.load(SeqCst), sys::getpid());
    let is_first = sys::gettid() == first;
    // The first thread may have ended, and has no table then.
    let shares = if is_first || !sys::shares_memory(first) { Some(true) } else { sys::shares_table(first) };
    let is_apart = shares.is_some_and(|shares| shares == FIRST_IS_APART.load(SeqCst));
    if turn.is_multiple_of(2) && TURN.load(SeqCst) == turn {
        TABLE.set(if is_apart { Table::Own } else { Table::OfTheGraph });
        return is_apart;
    }
    false
}

/// Whether there are other threads, whose descriptor table the calling one would leave.
pub fn has_company() -> bool {
    !process::is_borrowed() && sys::has_company().unwrap_or_else(process::has_threads)
}

/// Runs a call that gives the calling thread a table of its own where it has company.
pub fn leave<T>(call: impl FnOnce() -> T, succeeded: impl FnOnce(&T) -> bool) -> T {
    // What the thread has in the graph is left while its numbers are still the graph's.
    Sleeper::give_up_rings();
    TURN.fetch_add(1, SeqCst);
    let answer = call();
    let left = succeeded(&answer);
    if left {
        TABLE.set(Table::Own);
        if sys::gettid() == sys::getpid() {
            FIRST_IS_APART.store(true, SeqCst);
        }
        ANY.store(true, SeqCst);
    }
    TURN.fetch_add(1, SeqCst);
    if left {
        descriptors::close_copies_of_internal();
    }
    answer
}

/// unshare(2).
pub fn unshare(flags: c_int, call: impl FnOnce() -> c_int) -> c_int {
    if flags & libc::CLONE_FILES != 0 && has_company() { leave(call, |answer| *answer == 0) } else { call() }
}
