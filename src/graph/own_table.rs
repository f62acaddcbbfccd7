//! Threads with a descriptor table of their own, after `unshare` with CLONE_FILES or `close_range`
//! with CLOSE_RANGE_UNSHARE in a multithreaded process. Their descriptor numbers do not name the
//! files in the graph. So their closes and dups change nothing in the graph, their reads and writes
//! are as invisible as those of another process, and their epoll calls fail with ENOSYS. This does
//! not apply to single-threaded processes, where the kernel has nothing to unshare, nor to children
//! (`is_borrowed`).
//!
//! Kernel counterpart: `unshare_files` in kernel/fork.c.

use std::cell::Cell;

use libc::c_int;

use crate::facts;
use crate::fork_mark;
use crate::graph::internal_fd::{self, InternalFd};
use crate::graph::ranks;
use crate::lock::{self, Lock};
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sync::atomic::{AtomicBool, AtomicU64};
use crate::sys;

/// Whether there is, or was, such a thread.
#[unsafe(link_section = ".data.wait")]
static ANY: AtomicBool = AtomicBool::new(false);
/// An internal descriptor that only the graph's table has: a thread that leaves closes its copy. So
/// any thread can find out which table it has, without kcmp, which containers refuse. A call that
/// the library does not see may close the marker; see [`restore_marker`].
static MARKER: InternalFd = InternalFd::new();
/// The identity of the marker's file, which no other file ever has; 0 if there was no marker yet.
static MARK: AtomicU64 = AtomicU64::new(0);
/// Serializes the creation of the marker, and keeps it apart from the calls by which threads leave:
/// a copy that is made meanwhile would not be closed.
pub static MAKING: Lock<()> = Lock::new(ranks::MARKER, ());
/// Whether the process's first thread has left the graph's table.
static FIRST_LEFT: AtomicBool = AtomicBool::new(false);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    NotAsked,
    OfTheGraph,
    Own,
    /// The marker with this identity is not in the table, and nothing else shows which it is. It
    /// counts as the thread's own until there is another marker.
    Unmarked(u64),
}

thread_local! {
    /// It has no destructor, because signal handlers and thread exit read it.
    static TABLE: Cell<Table> = const { Cell::new(Table::NotAsked) };
}

/// Whether the calling thread's descriptor numbers are not those of the graph.
#[inline]
pub fn is_unshared() -> bool {
    ANY.load(Relaxed) && asks()
}

#[cold]
fn asks() -> bool {
    match TABLE.get() {
        Table::Own => true,
        Table::OfTheGraph => false,
        Table::Unmarked(mark) if mark == MARK.load(SeqCst) => true,
        // A child may have its parent's thread-locals, and closes markers for itself.
        Table::NotAsked | Table::Unmarked(_) if facts::is_another() => has_marker() == Some(false),
        Table::NotAsked | Table::Unmarked(_) => finds_out(),
    }
}

/// Finds out which table the thread has. A thread shares the table of the thread that started it.
fn finds_out() -> bool {
    let mark = MARK.load(SeqCst);
    let is_graphs = match has_marker() {
        None => return false,
        Some(has) => has || shares_with_first(),
    };
    TABLE.set(if is_graphs { Table::OfTheGraph } else { Table::Unmarked(mark) });
    !is_graphs
}

/// Whether the thread is known to have the table of the process's first thread, and that one has
/// not left the graph's. A first thread that has ended has no table.
fn shares_with_first() -> bool {
    let first = sys::getpid();
    !FIRST_LEFT.load(SeqCst) && (sys::gettid() == first || sys::shares_table_with(first) == Some(true))
}

/// Whether the calling thread's table has the marker; `None` if there never was a marker. It may
/// move to another number meanwhile.
fn has_marker() -> Option<bool> {
    loop {
        let (fd, mark) = (MARKER.number(), MARK.load(SeqCst));
        if mark == 0 {
            return None;
        }
        if fd >= 0 && mark_of(fd) == Some(mark) {
            return Some(true);
        }
        if (fd, mark) == (MARKER.number(), MARK.load(SeqCst)) {
            return Some(false);
        }
    }
}

/// Combines device and inode in one number. Those of a pipe are short.
fn mark_of(fd: c_int) -> Option<u64> {
    sys::fstat(fd).ok().map(|stat| stat.st_dev << 40 ^ stat.st_ino)
}

/// Makes the marker, unless the table has it. The caller has the graph's table, and holds
/// [`MAKING`]. If no descriptor is free and there never was a marker, the threads that the next one
/// to leave starts count as the graph's.
fn place_marker() {
    if has_marker() == Some(true) {
        return;
    }
    let Ok([marker, other]) = sys::pipe2(libc::O_CLOEXEC) else { return };
    let _ = sys::close(other);
    let Some(mark) = mark_of(marker) else {
        let _ = sys::close(marker);
        return;
    };
    MARKER.give_up();
    if MARKER.adopt(marker).is_ok() {
        // Last, because a thread that does not find this mark does not look again until the next.
        MARK.store(mark, SeqCst);
    }
}

/// Makes the marker again, if a call that the library did not see has closed it and the calling
/// thread has the graph's table. Until then a thread that is not known depends on the first thread
/// to find out that it has the same.
pub fn restore_marker() {
    if ANY.load(Relaxed)
        && TABLE.get() == Table::OfTheGraph
        && has_marker() == Some(false)
        && !lock::interrupted()
        && !facts::is_another()
    {
        let _making = MAKING.lock();
        place_marker();
    }
}

/// Whether the calling thread's descriptor numbers are not those of the graph, because it is in a
/// vfork child, which shares the memory of the process, or has a table of its own. Its closes and
/// dups are not followed.
pub fn is_borrowed() -> bool {
    fork_mark::settle();
    facts::is_another() || is_unshared()
}

/// Whether there are other threads, with which the calling thread shares its table.
pub fn has_company() -> bool {
    !is_borrowed() && sys::has_company().unwrap_or_else(facts::has_threads)
}

/// Runs a call that gives the calling thread a table of its own if it shares one. `release` gives
/// up the thread's resources in the graph, while its numbers are still those of the graph.
pub fn leave<T>(release: fn(), call: impl FnOnce() -> T, succeeded: impl FnOnce(&T) -> bool) -> T {
    release();
    // A signal handler that interrupted the library makes no marker.
    let _making = (!lock::interrupted()).then(|| {
        let making = MAKING.lock();
        place_marker();
        making
    });
    let answer = call();
    if succeeded(&answer) {
        if sys::gettid() == sys::getpid() {
            FIRST_LEFT.store(true, SeqCst);
        }
        TABLE.set(Table::Own);
        ANY.store(true, SeqCst);
        internal_fd::close_copies();
    }
    answer
}

/// In a forked child whose numbers are the graph's, resets the state: the child has one thread,
/// however many the parent has.
pub fn begin_anew() {
    TABLE.set(Table::OfTheGraph);
    ANY.store(false, SeqCst);
    FIRST_LEFT.store(false, SeqCst);
}

/// unshare(2); `release` as for [`leave`].
pub fn unshare(flags: c_int, release: fn(), call: impl FnOnce() -> c_int) -> c_int {
    if flags & libc::CLONE_FILES != 0 && has_company() { leave(release, call, |answer| *answer == 0) } else { call() }
}
