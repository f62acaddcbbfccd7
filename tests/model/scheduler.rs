//! A scheduler for model runs. One thread of a run executes at a time, and at every operation of
//! `sync` the scheduler decides which. So a run is determined by its decisions, and can be
//! repeated.
//!
//! Neither loom nor shuttle is suitable. loom's atomics cannot be in statics, where this library
//! has its pools, and loom treats SeqCst as AcqRel. shuttle's threads share one set of
//! thread-locals, have no delayed stores, and cannot be interrupted by a signal handler.
//!
//! Decisions are explored in two ways. *Systematic*: every run up to a number of preemptions; two
//! find most errors. *Random*: preemptions anywhere, from a seed. In both, a store that is not
//! sequentially consistent may become visible late (as it would in a store buffer), a thread that
//! has a signal handler may be interrupted by it anywhere, and a reading of the clock may find that
//! a second has passed.
//!
//! Descriptors are the kernel's, and other processes can look at them: a look at `/proc/PID/fd`
//! holds the file for a moment, in which a closed end of a pipe is still open. So whatever a run
//! requires of the kernel gets some real time to happen ([`happens_soon`]).

use std::cell::RefCell;
use std::panic::Location;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::explorer::Explorer;
use crate::graph::waitq::SLEEPERS;

/// More steps than any run that ends.
const MOST_STEPS: usize = 100_000;
/// The number of steps of a failed run that are printed.
const SHOWN: usize = 120;
/// The time that may have passed when a thread reads the clock: longer than everything that is
/// valid for a time.
const JUMP_NS: u64 = 1_000_000_000;
/// The time between the beginnings of two runs, so that what the last one left is old.
const BETWEEN_RUNS_NS: u64 = 10 * JUMP_NS;

type Condition = Box<dyn FnMut() -> bool + Send>;

enum State {
    Ready,
    Asleep(Condition, &'static Location<'static>),
    Joins(usize),
    /// Continues only when no other thread can.
    Last,
    Over,
}

struct Thread {
    state: State,
    turn: Arc<Condvar>,
    /// The thread of the process, unless it is the first of the run.
    real: Option<JoinHandle<()>>,
}

struct Inner {
    threads: Vec<Thread>,
    running: usize,
    explorer: Explorer,
    steps: Vec<(usize, &'static Location<'static>)>,
    /// Threads that are over, but whose destructors may still run.
    ending: Vec<JoinHandle<()>>,
    /// The clock, in nanoseconds.
    now: u64,
}

/// One run.
pub struct Run(Mutex<Inner>);

/// A store that is not yet visible to other threads.
struct Late {
    address: usize,
    bits: u64,
    commit: unsafe fn(usize, u64),
}

struct Current {
    run: Arc<Run>,
    me: usize,
    late: Vec<Late>,
    handler: Option<Box<dyn FnOnce() + Send>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

fn current() -> Option<(Arc<Run>, usize)> {
    of_run(|current| (Arc::clone(&current.run), current.me))
}

/// Calls `with` for the calling thread, if it belongs to a run. A thread that has ended, and whose
/// destructors run after its variables are gone, does not.
fn of_run<R>(with: impl FnOnce(&mut Current) -> R) -> Option<R> {
    CURRENT.try_with(|current| current.borrow_mut().as_mut().map(with)).ok().flatten()
}

impl Thread {
    fn new() -> Thread {
        Thread { state: State::Ready, turn: Arc::new(Condvar::new()), real: None }
    }
}

impl Inner {
    fn can_go(&mut self, thread: usize) -> bool {
        if let State::Joins(other) = self.threads[thread].state {
            return matches!(self.threads[other].state, State::Over);
        }
        match &mut self.threads[thread].state {
            State::Asleep(condition, _) => condition(),
            State::Ready => true,
            _ => false,
        }
    }

    /// Whether a store of `me` becomes visible late, if another thread could notice.
    fn delays(&mut self, me: usize) -> bool {
        let alone = |(number, thread): (usize, &Thread)| number == me || matches!(thread.state, State::Over);
        !self.threads.iter().enumerate().all(alone) && self.explorer.delays()
    }

    /// The thread that continues; `me` may, if it can.
    fn next(&mut self, me: usize, yields: bool) -> Option<usize> {
        let n = self.threads.len();
        let mut able: Vec<usize> =
            (0..n).map(|offset| (me + offset) % n).filter(|&thread| self.can_go(thread)).collect();
        if able.is_empty() {
            able.extend((0..n).find(|&thread| matches!(self.threads[thread].state, State::Last)));
        }
        let may_stay = able.first() == Some(&me);
        if yields && may_stay && able.len() > 1 {
            // A thread that spins lets the others go first. This is not a decision, or the runs
            // would have no end.
            able.rotate_left(1);
            return Some(able[0]);
        }
        let chosen = self.explorer.choose(able.len(), may_stay);
        able.get(chosen).copied()
    }
}

impl Run {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn switch(self: &Arc<Run>, me: usize, yields: bool, place: &'static Location<'static>) {
        let mut inner = self.lock();
        inner.steps.push((me, place));
        if inner.steps.len() > MOST_STEPS {
            drop(inner);
            self.fail("the run does not end");
        }
        let mut next = inner.next(me, yields);
        if next.is_none() {
            if inner.threads.iter().all(|thread| matches!(thread.state, State::Over)) {
                return;
            }
            happens_soon(|| {
                next = inner.next(me, yields);
                next.is_some()
            });
        }
        let Some(next) = next else {
            drop(inner);
            self.fail("every thread sleeps, and nobody will wake one");
        };
        self.hand_to(inner, me, next);
    }

    fn hand_to(&self, mut inner: MutexGuard<'_, Inner>, me: usize, next: usize) {
        if next != me {
            inner.running = next;
            inner.threads[next].turn.notify_one();
        }
        if matches!(inner.threads[me].state, State::Over) {
            return;
        }
        Self::wait_for_turn(inner, me);
    }

    fn wait_for_turn(mut inner: MutexGuard<'_, Inner>, me: usize) {
        let turn = Arc::clone(&inner.threads[me].turn);
        while inner.running != me {
            inner = turn.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.threads[me].state = State::Ready;
        if !inner.ending.is_empty() {
            let ending = std::mem::take(&mut inner.ending);
            drop(inner);
            // The rest of a thread, after its last step, is not scheduled. So nothing runs beside
            // it. A thread that panicked has ended the process.
            ending.into_iter().for_each(|thread| drop(thread.join()));
        }
    }

    /// Prints the failure, and ends the process: another run could not use the state that this one
    /// left.
    pub fn fail(&self, why: &str) -> ! {
        let inner = self.lock();
        eprintln!("{why}");
        for (number, thread) in inner.threads.iter().enumerate() {
            match &thread.state {
                State::Asleep(_, place) => eprintln!("  thread {number} sleeps at {place}"),
                State::Joins(other) => eprintln!("  thread {number} waits for the end of thread {other}"),
                State::Over => eprintln!("  thread {number} is over"),
                State::Ready | State::Last => eprintln!("  thread {number} could go on"),
            }
        }
        let first = inner.steps.len().saturating_sub(SHOWN);
        eprintln!("the last of {} steps:", inner.steps.len());
        for (thread, place) in &inner.steps[first..] {
            eprintln!("  {:indent$}{thread} {place}", "", indent = thread * 4);
        }
        eprintln!("again: {}", inner.explorer.again());
        std::process::exit(101)
    }
}

/// Runs `body`, and the threads that it spawns, as the explorer decides. Returns the explorer and
/// the number of steps.
pub fn run(explorer: Explorer, body: fn()) -> (Explorer, usize) {
    static RUNS: AtomicU64 = AtomicU64::new(1);
    let run = Arc::new(Run(Mutex::new(Inner {
        threads: vec![Thread::new()],
        running: 0,
        explorer,
        steps: Vec::new(),
        ending: Vec::new(),
        now: RUNS.fetch_add(1, Relaxed) * BETWEEN_RUNS_NS,
    })));
    let thread = start(&run, 0, Box::new(body), None);
    thread.join().unwrap_or_else(|_| run.fail("a thread panicked"));
    // The next run must not depend on wake-ups that threads left unread when they ended.
    SLEEPERS.for_each(|sleeper| {
        if sleeper.wake_fd() >= 0 {
            sleeper.clear_wakeup();
        }
    });
    let mut inner = run.lock();
    let steps = inner.steps.len();
    (std::mem::replace(&mut inner.explorer, Explorer::systematic(0)), steps)
}

fn start(run: &Arc<Run>, me: usize, body: Body, handler: Option<Body>) -> JoinHandle<()> {
    let run = Arc::clone(run);
    std::thread::spawn(move || {
        CURRENT.set(Some(Current { run: Arc::clone(&run), me, late: Vec::new(), handler }));
        Run::wait_for_turn(run.lock(), me);
        body();
        interrupt(|_| true);
        crate::instance::lifecycle::end_thread();
        drain();
        CURRENT.set(None);
        {
            let mut inner = run.lock();
            inner.threads[me].state = State::Over;
            let real = inner.threads[me].real.take();
            inner.ending.extend(real);
        }
        run.switch(me, false, Location::caller());
    })
}

type Body = Box<dyn FnOnce() + Send>;

/// A thread of the run.
pub struct Joinable(usize);

/// Starts a thread in the run.
#[track_caller]
pub fn spawn(body: impl FnOnce() + Send + 'static) -> Joinable {
    spawn_any(Box::new(body), None)
}

/// Starts a thread that is interrupted once, anywhere, to run `handler`, as by a signal.
#[track_caller]
pub fn spawn_interrupted(body: impl FnOnce() + Send + 'static, handler: impl FnOnce() + Send + 'static) -> Joinable {
    spawn_any(Box::new(body), Some(Box::new(handler)))
}

#[track_caller]
fn spawn_any(body: Body, handler: Option<Body>) -> Joinable {
    let (run, _) = current().expect("a thread of a run");
    drain();
    let me = {
        let mut inner = run.lock();
        inner.threads.push(Thread::new());
        inner.threads.len() - 1
    };
    let thread = start(&run, me, body, handler);
    run.lock().threads[me].real = Some(thread);
    step();
    Joinable(me)
}

impl Joinable {
    /// Waits until the thread has ended.
    #[track_caller]
    pub fn join(self) {
        let (run, me) = current().expect("a thread of a run");
        drain();
        run.lock().threads[me].state = State::Joins(self.0);
        run.switch(me, false, Location::caller());
    }
}

/// A point at which another thread may continue, or the thread's signal handler may run.
#[track_caller]
pub fn step() {
    let Some((run, me)) = current() else { return };
    run.switch(me, false, Location::caller());
    interrupt(|run| run.lock().explorer.choose(2, true) == 1);
}

/// The clock of the run, in nanoseconds. It stands still, except that a second may have passed when
/// it is read, as for a thread that had to wait for a processor. `None` outside of a run.
pub fn now() -> Option<u64> {
    let (run, _) = current()?;
    let mut inner = run.lock();
    inner.now += if inner.explorer.choose(2, true) == 1 { JUMP_NS } else { 0 };
    Some(inner.now)
}

/// Lets a second pass, in which nothing happens.
pub fn pass_a_second() {
    if let Some((run, _)) = current() {
        run.lock().now += JUMP_NS;
    }
}

/// Waits in real time, for up to a second, until the kernel meets the condition. Nothing else runs
/// meanwhile, so only other processes can delay it.
pub fn happens_soon(mut condition: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if begin.elapsed() > Duration::from_secs(1) {
            return false;
        }
        std::thread::sleep(Duration::from_micros(20));
    }
}

/// Lets other threads continue, for a thread that waits without sleeping.
#[track_caller]
pub fn spin_loop() {
    if let Some((run, me)) = current() {
        run.switch(me, true, Location::caller());
    }
}

/// Sleeps until no other thread can continue.
#[track_caller]
pub fn let_others_go() {
    let Some((run, me)) = current() else { return };
    drain();
    run.lock().threads[me].state = State::Last;
    run.switch(me, false, Location::caller());
}

/// Runs the thread's signal handler, if it has not run yet and `now` returns true.
fn interrupt(now: impl FnOnce(&Run) -> bool) {
    let waits = CURRENT.with_borrow(|current| {
        current.as_ref().filter(|current| current.handler.is_some()).map(|current| Arc::clone(&current.run))
    });
    if let Some(run) = waits
        && now(&run)
    {
        let handler = CURRENT.with_borrow_mut(|current| current.as_mut().and_then(|current| current.handler.take()));
        if let Some(handler) = handler {
            handler();
        }
    }
}

/// Sleeps until the condition holds. Other threads must make it hold: a time limit would hide a
/// lost wake-up.
#[track_caller]
pub fn sleep_until(condition: impl FnMut() -> bool + Send + 'static) {
    let Some((run, me)) = current() else { panic!("only a thread of a run sleeps") };
    drain();
    run.lock().threads[me].state = State::Asleep(Box::new(condition), Location::caller());
    run.switch(me, false, Location::caller());
}

/// Whether the calling thread belongs to a run.
pub fn is_modelled() -> bool {
    current().is_some()
}

/// The calling thread's last store to the address, if it is not yet visible to other threads.
pub fn own_late_store(address: usize) -> Option<u64> {
    of_run(|current| {
        let mut late = current.late.iter().rev();
        late.find(|late| late.address == address).map(|late| late.bits)
    })?
}

/// Whether a store becomes visible late; then `commit` will be called for it. Stores to one address
/// stay in order.
pub fn stores_late(address: usize, bits: u64, commit: unsafe fn(usize, u64)) -> bool {
    let Some((run, me)) = current() else { return false };
    let late = own_late_store(address).is_some() || run.lock().delays(me);
    if late {
        CURRENT.with_borrow_mut(|current| {
            if let Some(current) = current {
                current.late.push(Late { address, bits, commit });
            }
        });
    }
    late
}

/// Makes all stores of the calling thread visible.
pub fn drain() {
    let late = of_run(|current| std::mem::take(&mut current.late));
    for store in late.into_iter().flatten() {
        // SAFETY: the address is that of an atomic, which lives as long as the run.
        unsafe { (store.commit)(store.address, store.bits) }
    }
}

/// Prints the steps that led to a panic of the calling thread, if it belongs to a run.
pub fn fail_current() {
    if let Some((run, _)) = CURRENT
        .try_with(|current| current.try_borrow().ok()?.as_ref().map(|c| (Arc::clone(&c.run), c.me)))
        .ok()
        .flatten()
    {
        run.fail("a thread panicked");
    }
}
