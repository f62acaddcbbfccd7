//! Takes the facts, one at a time, and gives them to the audit and to the record.
//!
//! A signal handler that interrupts the library, and a vfork child, record nothing; the summary
//! counts the facts that were lost.

mod process;
mod state;

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};

use epolyfill_audit::Mirror;
use epolyfill_facts::{Fact, SiteId, Stamp};
use nix::errno::Errno;

pub use self::process::AT_FORK;
use self::state::State;
use super::record::Record;
use super::stack::Stack;
use super::{chaos, ticker};
use crate::facts;
use crate::fork_mark;
use crate::graph::own_table;
use crate::lock::{self, Guard, Lock};
use crate::sys;

/// Facts are taken. Not before start-up, nor after the end.
static ON: AtomicBool = AtomicBool::new(false);
/// Facts that could not be taken.
static LOST: AtomicU64 = AtomicU64::new(0);
/// When a tick is due that a rule asked for; `u64::MAX` for never.
static NEXT_TICK: AtomicU64 = AtomicU64::new(u64::MAX);
/// When one is due in a thread that waits.
static NEXT_LOOK: AtomicU64 = AtomicU64::new(u64::MAX);

static STATE: OnceLock<Lock<State>> = OnceLock::new();

thread_local! {
    /// The thread's id; 0 before it is known.
    static TID: Cell<i32> = const { Cell::new(0) };
    /// The thread was last seen in a vfork child, which has its parent's thread-locals.
    static IS_CHILD: Cell<bool> = const { Cell::new(false) };
}

/// Whether facts are taken.
#[inline]
pub fn is_on() -> bool {
    ON.load(Acquire)
}

fn tid() -> i32 {
    TID.with(|tid| {
        if tid.get() == 0 {
            tid.set(sys::gettid());
        }
        tid.get()
    })
}

/// Whether a fact of the calling thread changes what the numbers of a process name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Changes {
    Numbers,
    Nothing,
}

/// Whether the calling thread's numbers are not those of this process: it is in a vfork child, or
/// has a descriptor table of its own. Such a child is noticed when it first closes or duplicates a
/// number; until then its numbers are those of the process. To ask for the process id each time
/// would cost more than all the rest.
fn is_elsewhere(changes: Changes) -> bool {
    fork_mark::settle();
    if changes == Changes::Numbers || IS_CHILD.get() || !fork_mark::is_set_up() {
        IS_CHILD.set(facts::is_another());
    }
    IS_CHILD.get() || fork_mark::is_gone() || own_table::is_unshared()
}

/// Runs `work` on the state with the present stamp, unless this is a place where no fact is taken.
fn with<R>(changes: Changes, work: impl FnOnce(&mut State, Stamp) -> R) -> Option<R> {
    if !is_on() {
        return None;
    }
    if lock::interrupted() || is_elsewhere(changes) {
        LOST.fetch_add(1, Relaxed);
        return None;
    }
    // As it is: a program may keep a number of its own there.
    let errno = Errno::last_raw();
    let mut state = state()?;
    // Under the lock: the times of the facts never go back.
    let stamp = Stamp { ns: sys::now(), tid: tid() };
    let result = work(&mut state, stamp);
    let (next_look, next_tick) = state.next_looks();
    NEXT_LOOK.store(next_look, Relaxed);
    if NEXT_TICK.load(Relaxed) != next_tick {
        NEXT_TICK.store(next_tick, SeqCst);
        ticker::wake_for(next_tick);
    }
    drop(state);
    Errno::set_raw(errno);
    Some(result)
}

/// The state, unless another thread has had it for very long: a signal handler may have interrupted
/// that thread, and wait for this one. Then the fact is lost, and those after it until that thread
/// goes on: no other waits for it again.
fn state() -> Option<Guard<'static, State>> {
    /// In milliseconds. Without a processor a thread can have the lock for long, too.
    const PATIENCE: u32 = 250;
    static IS_STUCK: AtomicBool = AtomicBool::new(false);
    let state = STATE.get()?;
    let mut guard = state.try_lock();
    if guard.is_none() && !IS_STUCK.load(Relaxed) {
        let mut looks = 0;
        guard = state.lock_while(|| {
            looks += 1;
            looks < PATIENCE && !IS_STUCK.load(Relaxed)
        });
    }
    if guard.is_none() {
        IS_STUCK.store(true, Relaxed);
        LOST.fetch_add(1, Relaxed);
    } else if IS_STUCK.load(Relaxed) {
        IS_STUCK.store(false, Relaxed);
    }
    guard
}

/// Takes a fact; returns its time, if facts are taken here.
pub fn fact(fact: &Fact<'_>) -> Option<u64> {
    let changes = match fact {
        Fact::Close { .. } | Fact::Dup { .. } | Fact::Fork { .. } | Fact::Exec | Fact::Exit { .. } => Changes::Numbers,
        _ => Changes::Nothing,
    };
    let (ns, is_behind) = with(changes, |state, stamp| {
        state.take(stamp, fact);
        let is_behind = state.record.as_ref().is_some_and(|record| record.has_ring() && record.is_reader_behind());
        (stamp.ns, is_behind)
    })?;
    if is_behind {
        await_room();
    }
    if matches!(fact, Fact::Report { .. }) && !ticker::runs() && next_tick_ns().is_some() {
        ticker::start();
    }
    Some(ns)
}

/// Counts a fact that was not complete.
pub fn lose() {
    LOST.fetch_add(1, Relaxed);
}

/// Runs `work` on the state of chaos.
pub fn chaos<R>(work: impl FnOnce(&mut chaos::State, &Mirror, Stamp) -> R) -> Option<R> {
    with(Changes::Nothing, |state, stamp| work(&mut state.chaos, state.auditor.mirror(), stamp))
}

/// Gives a reader that is behind some time, which slows the program down.
#[cold]
fn await_room() {
    /// A reader that frees nothing for so long is stuck.
    const PATIENCE_MS: u32 = 100;
    for _ in 0..PATIENCE_MS {
        // Not under the lock, which no thread may hold while it sleeps.
        sys::nap(1_000_000);
        let is_behind = with(Changes::Nothing, |state, _| state.record.as_ref().is_some_and(Record::is_reader_behind));
        if is_behind != Some(true) {
            return;
        }
    }
    with(Changes::Nothing, |state, _| state.record.as_ref().map(Record::note_stuck_reader));
}

/// When a thread must call [`tick`], by CLOCK_MONOTONIC.
pub fn next_tick_ns() -> Option<u64> {
    Some(NEXT_TICK.load(SeqCst)).filter(|ns| *ns != u64::MAX)
}

/// When a thread must end its wait for [`tick`].
pub fn next_look_ns() -> Option<u64> {
    Some(NEXT_LOOK.load(Relaxed)).filter(|ns| *ns != u64::MAX)
}

/// Lets the rules look, while the program calls nothing.
pub fn tick() {
    with(Changes::Nothing, |state, stamp| state.ask(stamp, |auditor, process| auditor.tick(stamp, process)));
}

/// The call stack of the program, as a site.
pub fn site() -> SiteId {
    if !is_on() || lock::interrupted() {
        return SiteId(0);
    }
    // Not under the lock: the unwinder calls libc.
    let stack = Stack::here();
    with(Changes::Nothing, |state, _| state.site_of(&stack)).unwrap_or_default()
}

/// The number of the parent process.
pub(super) fn parent() -> i32 {
    // SAFETY: no arguments.
    unsafe { libc::getppid() }
}
