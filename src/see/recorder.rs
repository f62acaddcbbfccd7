//! Takes the facts, one at a time, and gives them to the audit and to the record.
//!
//! A signal handler that interrupts the library, and a vfork child, record nothing; the summary
//! counts the facts that were lost.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};

use arrayvec::ArrayVec;
use epolyfill_audit::counts::Counts;
use epolyfill_audit::{Auditor, Look, Mirror};
use epolyfill_facts::layout::{self, word};
use epolyfill_facts::mask;
use epolyfill_facts::wire::{self, MOST_EVENTS};
use epolyfill_facts::{Event, Fact, Poller, SiteId, Stamp, Start};
use hashbrown::HashMap;
use libc::c_int;
use nix::errno::Errno;

use super::observer::{Observer, Watch};
use super::record::{MOST_PATH, Record};
use super::stack::{self, Stack};
use super::world::Process;
use super::{chaos, children, kernel, ticker};
use crate::facts;
use crate::fork_mark;
use crate::graph::own_table;
use crate::graph::ranks;
use crate::lock::{self, Guard, Lock};
use crate::log::Line;
use crate::options;
use crate::settings;
use crate::sys;

/// The bytes of the ring of facts.
const RING: usize = 8 << 20;

/// What the launcher asked for.
#[derive(Debug)]
struct Wish {
    /// The directory of the records; without one there is none.
    directory: Option<&'static [u8]>,
    counts: bool,
    /// The bytes of the ring of facts.
    room: usize,
}

static WISH: OnceLock<Wish> = OnceLock::new();
/// Facts are taken. Not before start-up, nor after the end.
static ON: AtomicBool = AtomicBool::new(false);
/// Facts that could not be taken.
static LOST: AtomicU64 = AtomicU64::new(0);
/// When a tick is due that a rule asked for; `u64::MAX` for never.
static NEXT_TICK: AtomicU64 = AtomicU64::new(u64::MAX);
/// When one is due in a thread that waits.
static NEXT_LOOK: AtomicU64 = AtomicU64::new(u64::MAX);

#[derive(Debug, Default)]
struct State {
    auditor: Auditor,
    /// The counts, if they are wanted.
    counts: Option<Counts>,
    record: Option<Record>,
    sites: HashMap<u64, SiteId>,
    /// The events of the last report that was written, for the next one.
    events: Vec<Event>,
    chaos: chaos::State,
}

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
    NEXT_LOOK.store(state.auditor.next_look_ns().unwrap_or(u64::MAX), Relaxed);
    let next_tick = state.auditor.next_tick_ns().unwrap_or(u64::MAX);
    if NEXT_TICK.load(Relaxed) != next_tick {
        NEXT_TICK.store(next_tick, SeqCst);
        ticker::wake_for(next_tick);
    }
    drop(state);
    Errno::set_raw(errno);
    Some(result)
}

/// The state, unless another thread has had it for very long: a signal handler may have interrupted
/// that thread, and wait for this one. Then the fact is lost.
fn state() -> Option<Guard<'static, State>> {
    /// In milliseconds. Without a processor a thread can have the lock for long, too.
    const PATIENCE: u32 = 250;
    let state = STATE.get()?;
    if let Some(guard) = state.try_lock() {
        return Some(guard);
    }
    let mut looks = 0;
    let guard = state.lock_while(|| {
        looks += 1;
        looks < PATIENCE
    });
    if guard.is_none() {
        LOST.fetch_add(1, Relaxed);
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

impl State {
    /// Takes a fact.
    fn take(&mut self, stamp: Stamp, fact: &Fact<'_>) {
        if let Some(counts) = &mut self.counts {
            counts.before(stamp.tid, fact, self.auditor.mirror());
        }
        self.ask(stamp, |auditor, process| auditor.take(stamp, fact, process));
        if chaos::is_on() {
            self.chaos.take(stamp, fact, self.auditor.mirror());
        }
        if let Some(counts) = &mut self.counts {
            counts.after(stamp.ns, stamp.tid, fact, self.auditor.mirror());
            if let Some(record) = &self.record
                && matches!(fact, Fact::Create { .. } | Fact::Control { .. } | Fact::Report { .. })
            {
                record.put_counts(counts);
            }
        }
        if self.record.as_ref().is_some_and(Record::has_ring) {
            self.put(stamp, fact);
        }
    }

    /// Runs a part of the audit, then writes what it found.
    fn ask(&mut self, stamp: Stamp, work: impl FnOnce(&mut Auditor, &mut Process<'_>)) {
        let State { auditor, record, .. } = self;
        if LOST.load(Relaxed) != 0 {
            auditor.lose(LOST.swap(0, Relaxed));
        }
        let mut process = Process { record: record.as_ref(), has_found: false, looks: ArrayVec::new() };
        work(auditor, &mut process);
        let Process { has_found, looks, .. } = process;
        if let Some(record) = record {
            for (at, value) in auditor.summary().array().into_iter().enumerate() {
                record.word(word::SUMMARY + at).store(value, Relaxed);
            }
            if has_found {
                record.announce();
            }
        }
        if self.record.as_ref().is_some_and(Record::has_ring) {
            for Look { epfd, fd, unread, is_after } in looks {
                let unread = unread.cast_signed();
                self.put(stamp, &Fact::Look { epfd, fd, levels: mask::IN, unread, is_after });
            }
        }
    }

    /// Appends a fact to the ring. The events of a report are those that the mirror has attributed.
    fn put(&mut self, stamp: Stamp, fact: &Fact<'_>) {
        let State { auditor, record: Some(record), events: named, .. } = self else { return };
        let put = |fact: &Fact<'_>, events: usize| {
            record.put_fact(wire::most_bytes(events), |bytes| wire::encode(stamp, fact, bytes));
        };
        let Fact::Report { form, mask, epfd, max, timeout_ns, began_ns, errno, events } = *fact else {
            return put(fact, 0);
        };
        named.clear();
        if named.try_reserve(events.len()).is_err() {
            return lose();
        }
        let batch = auditor.mirror().thread(stamp.tid).map_or(&[][..], |thread| &thread.batch);
        named.extend(events.iter().enumerate().map(|(at, event)| batch.get(at).map_or(*event, |known| known.event)));
        let mut rest = &named[..];
        loop {
            let (events, later) = rest.split_at(rest.len().min(MOST_EVENTS));
            put(&Fact::Report { form, mask, epfd, max, timeout_ns, began_ns, errno, events }, events.len());
            if later.is_empty() {
                break;
            }
            rest = later;
        }
    }

    fn site_of(&mut self, stack: &Stack) -> SiteId {
        let hash = stack.hash();
        if let Some(known) = self.sites.get(&hash) {
            return *known;
        }
        let Some(record) = &mut self.record else { return SiteId(0) };
        if self.sites.try_reserve(1).is_err() {
            return SiteId(0);
        }
        let site = SiteId(record.put_site(stack));
        self.sites.insert(hash, site);
        site
    }

    /// Makes the record of this process, or reports why there is none.
    fn begin(&mut self, is_fork: bool, parent: i32) {
        let Some(wish) = WISH.get() else { return };
        let inherited = self.record.as_ref().filter(|_| is_fork).map(Record::sites);
        if inherited.is_none() {
            self.sites.clear();
        }
        if is_fork {
            self.chaos.fork();
        }
        self.counts = wish.counts.then(Counts::default);
        self.record = match wish.directory.map(|directory| Record::create(directory, wish.room)).transpose() {
            Ok(mut record) => {
                if let (Some(record), Some(sites)) = (&mut record, inherited) {
                    record.skip_sites(sites);
                }
                record
            }
            Err(errno) => {
                let mut line = Line::<160>::new();
                line.text("epolyfill[").number(sys::getpid().into()).text("]: this process is not observed: ");
                line.text("its record cannot be made: ").text(errno.desc()).text("\n");
                line.to_stderr();
                None
            }
        };
        let stamp = Stamp { ns: sys::now(), tid: tid() };
        let start = Start {
            pid: sys::getpid(),
            ppid: parent,
            is_fork,
            wall_offset_ns: sys::wall_now().cast_signed() - stamp.ns.cast_signed(),
            poller: if kernel::is_chosen() { Poller::Kernel } else { Poller::Library },
        };
        if let Some(record) = &self.record {
            let put = |at: usize, value: u64| record.word(at).store(value, Relaxed);
            put(word::PPID, parent as u64);
            put(word::IS_FORK, u64::from(is_fork));
            put(word::WALL_OFFSET, start.wall_offset_ns.cast_unsigned());
            put(word::POLLER, u64::from(start.poller as u8));
            record.begin();
        }
        self.take(stamp, &Fact::Start(start));
    }
}

/// The number of the parent process.
pub(super) fn parent() -> i32 {
    // SAFETY: no arguments.
    unsafe { libc::getppid() }
}

/// The state, for a fork.
pub static AT_FORK: ForkOfState = ForkOfState;

/// The recorder's lock, which may not exist yet.
#[derive(Debug)]
pub struct ForkOfState;

impl lock::ForkLock for ForkOfState {
    fn lock_for_fork(&self) {
        if let Some(state) = STATE.get() {
            state.lock_for_fork();
        }
    }

    unsafe fn unlock_after_fork(&self) {
        if let Some(state) = STATE.get() {
            // SAFETY: as for the caller.
            unsafe { state.unlock_after_fork() };
        }
    }

    fn is_free(&self) -> bool {
        STATE.get().is_none_or(lock::ForkLock::is_free)
    }
}

impl Observer for Watch {
    fn started() {
        kernel::look_up();
        stack::set_up();
        let given = |setting| options::value(setting).filter(|value| !value.is_empty());
        let directory = given(&settings::SEE_IN).filter(|directory| directory.len() <= MOST_PATH);
        let chaos = given(&settings::CHAOS).zip(given(&settings::CHAOS_LOG));
        if (directory.is_none() && chaos.is_none()) || STATE.get().is_some() {
            return;
        }
        let wishes = options::value(&settings::SEE).unwrap_or_default();
        let has = |name: &[u8]| wishes.split(|byte| *byte == b',').any(|wish| wish == name);
        let directory = directory.and_then(copy);
        let _ = WISH.set(Wish { directory, counts: has(b"counts"), room: if has(b"facts") { RING } else { 0 } });
        children::set_up();
        let state = STATE.get_or_init(|| Lock::new(ranks::RECORDER, State::default()));
        state.lock().begin(false, parent());
        if let Some((plan, log)) = chaos {
            chaos::start(plan, log);
        }
        ON.store(true, Release);
        // SAFETY: a function of this library, which is never unloaded.
        unsafe { libc::atexit(end) };
    }

    fn closing(fd: c_int) {
        chaos::met(fd);
        fact(&Fact::Close { fd });
    }

    fn shortened(fd: c_int, n: usize) -> usize {
        chaos::manual::shortened(fd, n)
    }

    fn thread_ended() {
        chaos::thread_ended();
    }

    fn closing_range(first: u32, last: u32) {
        chaos::met_range(first, last);
        with(Changes::Numbers, |state, stamp| {
            let mut from = first;
            while let Some(fd) = state.auditor.mirror().next_number(from, last) {
                state.take(stamp, &Fact::Close { fd });
                from = fd as u32 + 1;
            }
        });
    }

    fn duplicated(from: c_int, to: c_int) {
        fact(&Fact::Dup { from, to });
    }

    fn forking() {
        fact(&Fact::Fork { child: 0 });
    }

    fn born() {
        if !is_on() {
            return;
        }
        TID.with(|tid| tid.set(0));
        ticker::reset_after_fork();
        children::enter(parent());
        chaos::born();
        if let Some(state) = STATE.get() {
            state.lock().begin(true, parent());
        }
    }

    fn lost() {
        ON.store(false, Release);
    }

    fn unsharing() {
        ticker::stop();
    }

    fn executing() {
        fact(&Fact::Exec);
    }
}

/// A copy that is never freed.
fn copy(bytes: &[u8]) -> Option<&'static [u8]> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).ok()?;
    copy.extend_from_slice(bytes);
    Some(copy.leak())
}

/// The process ends: the rules conclude, and a reader has some time to read the rest.
extern "C" fn end() {
    fact(&Fact::Exit { status: 0 });
    ON.store(false, Release);
    let Some(state) = STATE.get() else { return };
    // A child that was forked unseen does not have the record.
    if lock::interrupted() || facts::is_another() {
        return;
    }
    // Not under the lock, which no thread may hold while it sleeps.
    let record = state.lock().record.take();
    if let Some(record) = record {
        record.word(word::STATE).store(layout::EXITING, Release);
        record.announce();
        record.await_reader();
        record.word(word::STATE).store(layout::ENDED, Release);
    }
}
