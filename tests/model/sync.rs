//! `crates/ground/src/sync.rs` for model runs: every operation is a step of the scheduler. Outside
//! of a run these are the real operations.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError};

use libc::{c_int, clockid_t, nfds_t, pollfd, sigset_t, timespec};
use nix::errno::Errno;

use crate::scheduler::{self, drain, step};
use crate::sys;

pub use crate::scheduler::spin_loop;

/// The number of looks at a taken lock before the thread sleeps, at least.
pub const SPINS: u32 = 1;
/// The same at most.
pub const MOST_SPINS: u32 = 1;

/// The threads that sleep on a futex: a number in the order of their arrival, and the address.
static SLEEPERS: Mutex<BTreeSet<(u64, usize)>> = Mutex::new(BTreeSet::new());
static COMERS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

fn sleepers() -> std::sync::MutexGuard<'static, BTreeSet<(u64, usize)>> {
    SLEEPERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// futex(2). The limit is ignored, because it would hide a missing wake-up.
#[track_caller]
pub fn futex_wait(word: &atomic::AtomicU32, expected: u32, _limit: Option<u32>) {
    step();
    drain();
    if word.value() != expected {
        return;
    }
    let me = (COMERS.fetch_add(1, std::sync::atomic::Ordering::SeqCst), word.address());
    sleepers().insert(me);
    scheduler::sleep_until(move || !sleepers().contains(&me));
}

/// clock_gettime(2): every clock is that of the run.
///
/// # Safety
/// As for clock_gettime.
pub unsafe fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    match scheduler::now() {
        Some(now) => {
            // SAFETY: the caller answers for the place.
            unsafe { time.write(sys::timespec_of(now)) };
            0
        }
        // SAFETY: as above.
        None => unsafe { crate::real::clock_gettime(clock, time) },
    }
}

/// Whether a pipe has a reader in this process: another one has none for long.
pub fn has_reader(write_end: c_int) -> bool {
    !scheduler::happens_soon(|| !sys::has_reader(write_end))
}

/// A sleep, during which the other threads can continue.
#[track_caller]
pub fn nap(_nanoseconds: u32) {
    scheduler::spin_loop();
}

/// futex(2). Wakes the threads that have slept longest.
#[track_caller]
pub fn futex_wake(word: &atomic::AtomicU32, count: i32) {
    step();
    drain();
    let mut sleepers = sleepers();
    for _ in 0..count {
        let Some(first) = sleepers.iter().find(|(_, address)| *address == word.address()).copied() else { return };
        sleepers.remove(&first);
    }
}

/// ppoll(2), on the real descriptors; a call that sleeps has no time limit.
///
/// # Safety
/// As for ppoll.
#[track_caller]
pub unsafe fn ppoll(set: *mut pollfd, n: nfds_t, limit: *const timespec, mask: *const sigset_t) -> c_int {
    if !scheduler::is_modelled() {
        // SAFETY: the caller answers for the arguments.
        return unsafe { crate::real::ppoll(set, n, limit, mask) };
    }
    step();
    drain();
    let address = set.addr();
    let look = move || {
        let set = std::ptr::with_exposed_provenance_mut::<pollfd>(address);
        // SAFETY: the array belongs to the sleeper until it wakes up.
        sys::look(unsafe { std::slice::from_raw_parts_mut(set, n as usize) })
    };
    let _ = set.expose_provenance();
    let found = look();
    if found > 0 {
        return found as c_int;
    }
    // SAFETY: the caller answers for the array.
    let fds: Vec<c_int> = unsafe { std::slice::from_raw_parts(set, n as usize) }.iter().map(|one| one.fd).collect();
    polled().extend(&fds);
    scheduler::sleep_until(move || look() > 0);
    let mut polled = polled();
    for fd in fds {
        let place = polled.iter().position(|other| *other == fd);
        polled.swap_remove(place.expect("it was put there"));
    }
    look() as c_int
}

/// io_uring_enter(2) of a thread that sleeps until its ring has completions. Rings are the kernel's
/// own, like all descriptors.
#[track_caller]
pub fn io_uring_sleep(fd: c_int, limit: Option<u64>, mask: Option<sys::SigMask>) -> Result<(), Errno> {
    if !scheduler::is_modelled() {
        return sys::io_uring_sleep(fd, limit, mask);
    }
    step();
    drain();
    let has_something = move || sys::level(fd, crate::events::IN) != 0;
    if !has_something() {
        scheduler::sleep_until(has_something);
    }
    // Makes the completions that are due, as at the end of a real sleep.
    sys::io_uring_enter(fd, 0).map(drop)
}

/// The queue, which requires only that one thread at a time uses it.
#[derive(Debug)]
pub struct ArrayQueue<T> {
    queue: crossbeam_queue::ArrayQueue<T>,
    taken: std::sync::atomic::AtomicBool,
}

impl<T> ArrayQueue<T> {
    pub fn new(room: usize) -> Self {
        ArrayQueue { queue: crossbeam_queue::ArrayQueue::new(room), taken: false.into() }
    }

    #[track_caller]
    fn alone<R>(&self, act: impl FnOnce(&crossbeam_queue::ArrayQueue<T>) -> R) -> R {
        assert!(!self.taken.swap(true, std::sync::atomic::Ordering::SeqCst), "two are at the inbox");
        step();
        let answer = act(&self.queue);
        self.taken.store(false, std::sync::atomic::Ordering::SeqCst);
        answer
    }

    #[track_caller]
    pub fn push(&self, value: T) -> Result<(), T> {
        self.alone(|queue| queue.push(value))
    }

    #[track_caller]
    pub fn pop(&self) -> Option<T> {
        self.alone(crossbeam_queue::ArrayQueue::pop)
    }

    #[track_caller]
    pub fn is_empty(&self) -> bool {
        step();
        self.queue.is_empty()
    }
}

/// The descriptors on which threads sleep in poll.
static POLLED: Mutex<Vec<c_int>> = Mutex::new(Vec::new());

fn polled() -> std::sync::MutexGuard<'static, Vec<c_int>> {
    POLLED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a thread sleeps in poll on the descriptor.
pub fn is_polled(fd: c_int) -> bool {
    polled().contains(&fd)
}

/// write(2).
#[track_caller]
pub fn write(fd: c_int, bytes: &[u8]) -> Result<usize, Errno> {
    step();
    drain();
    sys::write(fd, bytes)
}

/// read(2).
#[track_caller]
pub fn read(fd: c_int, bytes: &mut [u8]) -> Result<usize, Errno> {
    step();
    drain();
    sys::read(fd, bytes)
}

/// The owner and the signal of a description, F_SETOWN_EX and F_SETSIG.
#[track_caller]
pub fn set_signal_owner(fd: c_int, pid: c_int, signal: c_int) -> Result<(), Errno> {
    step();
    drain();
    sys::set_signal_owner(fd, pid, signal)
}

/// FIOASYNC.
#[track_caller]
pub fn set_async(fd: c_int, on: bool) -> Result<(), Errno> {
    step();
    drain();
    sys::set_async(fd, on)
}

/// A read of a signalfd. The signals are the kernel's own, sent by real descriptors.
#[track_caller]
pub fn take_signals(fd: c_int, signals: &mut [MaybeUninit<libc::signalfd_siginfo>]) -> Result<usize, Errno> {
    step();
    drain();
    sys::take_signals(fd, signals)
}

/// Atomics whose operations are steps, and whose stores may become visible late.
pub mod atomic {
    use crate::scheduler::{drain, own_late_store, step, stores_late};
    pub use std::sync::atomic::Ordering;
    use std::sync::atomic::{self, Ordering::*};

    fn releases(order: Ordering) -> bool {
        matches!(order, Release | AcqRel | SeqCst)
    }

    macro_rules! atomic {
        ($name:ident [$($generic:ident)?], $inner:ty, $value:ty, $to_bits:expr, $from_bits:expr) => {
            #[doc = concat!("As core's `", stringify!($name), "`.")]
            #[derive(Debug)]
            pub struct $name$(<$generic>)?($inner);

            impl$(<$generic>)? $name$(<$generic>)? {
                pub const fn new(value: $value) -> Self {
                    Self(<$inner>::new(value))
                }

                pub fn address(&self) -> usize {
                    (&raw const *self).addr()
                }

                /// The value that other threads see, without a step.
                pub fn value(&self) -> $value {
                    self.0.load(SeqCst)
                }

                #[track_caller]
                pub fn load(&self, _: Ordering) -> $value {
                    step();
                    own_late_store(self.address()).map_or_else(|| self.0.load(SeqCst), $from_bits)
                }

                #[track_caller]
                pub fn store(&self, value: $value, order: Ordering) {
                    unsafe fn commit$(<$generic>)?(address: usize, bits: u64) {
                        let inner = std::ptr::with_exposed_provenance::<$inner>(address);
                        // SAFETY: the address was exposed by `store`; atomics of a model live as
                        // long as its run.
                        unsafe { (*inner).store($from_bits(bits), SeqCst) }
                    }
                    step();
                    if order != SeqCst {
                        let address = (&raw const self.0).expose_provenance();
                        if stores_late(address, $to_bits(value), commit$(::<$generic>)?) {
                            return;
                        }
                    }
                    if releases(order) {
                        drain();
                    }
                    self.0.store(value, SeqCst);
                }

                /// Precedes an operation that reads and writes: it sees the newest value, and may
                /// publish the stores before it.
                #[track_caller]
                fn modify(&self, order: Ordering) -> &$inner {
                    step();
                    if releases(order) || own_late_store(self.address()).is_some() {
                        drain();
                    }
                    &self.0
                }

                #[track_caller]
                pub fn swap(&self, value: $value, order: Ordering) -> $value {
                    self.modify(order).swap(value, SeqCst)
                }

                #[track_caller]
                pub fn compare_exchange(
                    &self,
                    old: $value,
                    new: $value,
                    order: Ordering,
                    _: Ordering,
                ) -> Result<$value, $value> {
                    self.modify(order).compare_exchange(old, new, SeqCst, SeqCst)
                }

                #[track_caller]
                pub fn fetch_update(
                    &self,
                    order: Ordering,
                    _: Ordering,
                    mut change: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    let mut old = self.load(order);
                    while let Some(new) = change(old) {
                        match self.compare_exchange(old, new, order, order) {
                            Ok(old) => return Ok(old),
                            Err(now) => old = now,
                        }
                    }
                    Err(old)
                }
            }
        };
    }

    macro_rules! integers {
        ($($name:ident $value:ty;)*) => {
            $(
                atomic!($name [], atomic::$name, $value, |value: $value| value as u64, |bits: u64| bits as $value);

                impl $name {
                    #[track_caller]
                    pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                        self.modify(order).fetch_add(value, SeqCst)
                    }

                    #[track_caller]
                    pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                        self.modify(order).fetch_sub(value, SeqCst)
                    }

                    #[track_caller]
                    pub fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                        self.modify(order).fetch_or(value, SeqCst)
                    }

                    #[track_caller]
                    pub fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                        self.modify(order).fetch_and(value, SeqCst)
                    }

                    #[track_caller]
                    pub fn fetch_max(&self, value: $value, order: Ordering) -> $value {
                        self.modify(order).fetch_max(value, SeqCst)
                    }
                }
            )*
        };
    }

    integers! {
        AtomicU8 u8;
        AtomicU16 u16;
        AtomicU32 u32;
        AtomicU64 u64;
        AtomicUsize usize;
        AtomicI32 i32;
    }
    atomic!(AtomicBool [], atomic::AtomicBool, bool, |value: bool| u64::from(value), |bits: u64| bits != 0);
    atomic!(
        AtomicPtr[T],
        atomic::AtomicPtr<T>,
        *mut T,
        |value: *mut T| value.expose_provenance() as u64,
        |bits: u64| std::ptr::with_exposed_provenance_mut::<T>(bits as usize)
    );
}
