//! Threads with a descriptor table of their own, after `unshare` with CLONE_FILES or `close_range`
//! with CLOSE_RANGE_UNSHARE in a multithreaded process. Their descriptor numbers do not name the
//! files in the graph. So their closes and dups change nothing in the graph, their reads and writes
//! are as invisible as those of another process, and their epoll calls fail with ENOSYS. Not here:
//! single-threaded processes, for which the kernel does nothing, and children
//! (`process::is_borrowed`).
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

/// Whether there is, or was, such a thread.
static ANY: AtomicBool = AtomicBool::new(false);
/// Whether the first thread of the process is one, so that the graph belongs to the others.
static FIRST_IS_APART: AtomicBool = AtomicBool::new(false);
/// A sequence counter: odd while a thread changes its table.
static TURN: AtomicU32 = AtomicU32::new(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    NotAsked,
    OfTheGraph,
    Own,
}

thread_local! {
    /// It has no destructor, because signal handlers and thread exit read it.
    static TABLE: Cell<Table> = const { Cell::new(Table::NotAsked) };
}

/// Whether the calling thread's descriptor numbers are not those of the graph.
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

/// A thread shares the table of the thread that started it. The state of the first thread is known,
/// so kcmp compares with that one.
fn finds_out() -> bool {
    let (turn, first) = (TURN.load(SeqCst), sys::getpid());
    let is_first = sys::gettid() == first;
    // The first thread may have exited, and then has no table.
    let shares = if is_first || !sys::shares_memory(first) { Some(true) } else { sys::shares_table(first) };
    let is_apart = shares.is_some_and(|shares| shares == FIRST_IS_APART.load(SeqCst));
    if turn.is_multiple_of(2) && TURN.load(SeqCst) == turn {
        TABLE.set(if is_apart { Table::Own } else { Table::OfTheGraph });
        return is_apart;
    }
    false
}

/// Whether there are other threads, with which the calling thread shares its table.
pub fn has_company() -> bool {
    !process::is_borrowed() && sys::has_company().unwrap_or_else(process::has_threads)
}

/// Runs a call that gives the calling thread a table of its own if it shares one.
pub fn leave<T>(call: impl FnOnce() -> T, succeeded: impl FnOnce(&T) -> bool) -> T {
    // The thread's resources in the graph are released while its numbers are still those of the
    // graph.
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

/// In a forked child whose numbers are the graph's: it has one thread, whatever there was in the
/// parent.
pub fn begin_anew() {
    TABLE.set(Table::OfTheGraph);
    FIRST_IS_APART.store(false, SeqCst);
    TURN.store(0, SeqCst);
    ANY.store(false, SeqCst);
}

/// unshare(2).
pub fn unshare(flags: c_int, call: impl FnOnce() -> c_int) -> c_int {
    if flags & libc::CLONE_FILES != 0 && has_company() { leave(call, |answer| *answer == 0) } else { call() }
}
