//! Pins on open files: a thread in `poll`, or a request in a ring, keeps the kernel's `struct file`
//! of a descriptor after its registration has ended. A close waits until the pins are gone, so that
//! the other end sees it when `close` returns (D4). Kernel counterpart: the reference of `fdget`.

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU32;
use std::ptr;

use crate::pool::{AtomicShort, Pool, Short};
use crate::pooled;
use crate::sync;
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering::SeqCst;

/// A holder that does not release a file within `STEPS` of this length is given up.
const STEP_NS: u32 = 10_000_000;
const STEPS: u32 = 50;

/// A counter that advances when its holder has released all files that it pinned before.
#[derive(Debug)]
pub struct Occupancy {
    epoch: AtomicU32,
    /// The number of threads that wait for the next epoch.
    waiters: AtomicU32,
}

impl Occupancy {
    /// The first epoch, without waiting threads.
    pub const fn new() -> Occupancy {
        Occupancy { epoch: AtomicU32::new(0), waiters: AtomicU32::new(0) }
    }

    /// The current epoch.
    pub fn epoch(&self) -> u32 {
        self.epoch.load(SeqCst)
    }

    /// Begins a new epoch, and returns it.
    pub fn advance(&self) -> u32 {
        let epoch = self.epoch.fetch_add(1, SeqCst).wrapping_add(1);
        self.wake();
        epoch
    }

    /// Ends `epoch`, unless it has ended already.
    pub fn end(&self, epoch: u32) {
        if self.epoch.compare_exchange(epoch, epoch.wrapping_add(1), SeqCst, SeqCst).is_ok() {
            self.wake();
        }
    }

    fn wake(&self) {
        if self.is_waited_for() {
            sync::futex_wake(&self.epoch, i32::MAX);
        }
    }

    /// Whether a thread waits for the end of the epoch, or has not noticed it yet.
    pub fn is_waited_for(&self) -> bool {
        self.waiters.load(SeqCst) != 0
    }

    /// In a forked child, forgets the threads that waited, which are not in the child.
    pub fn forget_waiters(&self) {
        self.waiters.store(0, SeqCst);
    }

    /// In a forked child, forgets the holder, which is not in the child.
    pub fn reset(&self) {
        self.epoch.store(0, SeqCst);
    }
}

/// The progress of a holder that was asked to release its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// There is nothing to wait for.
    Done,
    /// The holder was woken.
    Expected,
    /// The holder is not asleep, and may not come back soon.
    Unlikely,
}

/// A thread that polls, or a ring.
pub trait FileHolder: Sync {
    /// Its epochs.
    fn occupancy(&self) -> &Occupancy;

    /// Makes the holder release the files that it has pinned since `epoch`. Called again in each
    /// step of the wait. The caller holds no lock.
    fn ask_to_release(&'static self, epoch: u32) -> Release;

    /// Handles a holder that has not released its files although the wait is over.
    fn overdue(&'static self, epoch: u32);
}

// Not a supertrait: a vtable would keep the formatting code of all that a holder can reach.
impl fmt::Debug for dyn FileHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.occupancy(), f)
    }
}

/// A holder that may still have the file, until its epoch ends.
#[derive(Clone, Copy, Debug)]
pub struct FilePin {
    of: &'static dyn FileHolder,
    epoch: u32,
}

impl PartialEq for FilePin {
    fn eq(&self, other: &FilePin) -> bool {
        ptr::addr_eq(self.of, other.of) && self.epoch == other.epoch
    }
}

impl FilePin {
    /// A pin of the current epoch.
    pub fn by(of: &'static dyn FileHolder) -> FilePin {
        FilePin { of, epoch: of.occupancy().epoch() }
    }

    /// The epoch that has to end.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether the file may still be held.
    pub fn lasts(&self) -> bool {
        self.of.occupancy().epoch() == self.epoch
    }

    /// Makes the holder release the file, and waits until it has. The caller holds no lock.
    pub fn wait_unpinned(&self) {
        let occupancy = self.of.occupancy();
        for _ in 0..STEPS {
            if !self.lasts() {
                return;
            }
            // Counted before the holder is woken, because it ends an epoch only if a thread waits
            // for that.
            occupancy.waiters.fetch_add(1, SeqCst);
            let release = self.of.ask_to_release(self.epoch);
            if release != Release::Done {
                sync::futex_wait(&occupancy.epoch, self.epoch, Some(STEP_NS));
            }
            occupancy.waiters.fetch_sub(1, SeqCst);
            match release {
                Release::Done => return,
                Release::Expected => {}
                Release::Unlikely => break,
            }
        }
        self.of.overdue(self.epoch);
    }
}

/// The pins on one description: none (0), so many that every holder has to release its files
/// ([`FilePins::MANY`]), or a short reference to a record.
#[derive(Debug)]
pub struct FilePins(u32);

pub static RECORDS: Pool<Record> = Pool::new();

/// A few pins.
#[derive(Debug)]
pub struct Record {
    free: AtomicShort<Record>,
    pins: Cell<[Option<FilePin>; 2]>,
}

// SAFETY: the record belongs to one description, and is used under its lock.
unsafe impl Sync for Record {}

pooled!(RECORDS, Record, free, Record { free: AtomicShort::none(), pins: Cell::new([None; 2]) });

impl FilePins {
    const MANY: u32 = u32::MAX;

    /// No pin.
    pub const NONE: FilePins = FilePins(0);

    fn record(&self) -> Option<&'static Record> {
        let bits = NonZeroU32::new(self.0).filter(|_| self.0 != FilePins::MANY)?;
        // SAFETY: nothing else is ever stored.
        Some(unsafe { Short::from_bits(bits) }.get())
    }

    /// Adds a pin, in the place of one that has ended.
    pub fn note(&mut self, pin: Option<FilePin>) {
        let Some(pin) = pin else { return };
        if self.0 == 0
            && let Ok(record) = RECORDS.take()
        {
            record.pins.set([None; 2]);
            self.0 = Short::of(record).to_bits().get();
        }
        let is_noted = self.record().is_some_and(|record| {
            let mut pins = record.pins.get();
            let is_free = |place: &Option<FilePin>| place.is_none_or(|known| !known.lasts() || known == pin);
            let Some(place) = pins.iter().position(is_free) else { return false };
            pins[place] = Some(pin);
            record.pins.set(pins);
            true
        });
        if !is_noted {
            self.become_many();
        }
    }

    /// Adds the pins of another description.
    pub fn add(&mut self, mut others: FilePins) {
        if others.0 == FilePins::MANY {
            self.become_many();
        }
        if let Some(record) = others.record().filter(|_| self.0 != FilePins::MANY) {
            record.pins.get().into_iter().for_each(|pin| self.note(pin));
        }
        others.forget();
    }

    /// Waits until no pin is left; `release_all` makes every holder release its files. The caller
    /// holds no lock.
    pub fn wait_unpinned(self, release_all: impl FnOnce()) {
        if self.0 == FilePins::MANY {
            release_all();
        }
        if let Some(record) = self.record() {
            record.pins.get().iter().flatten().for_each(FilePin::wait_unpinned);
            RECORDS.give_back(record);
        }
    }

    fn become_many(&mut self) {
        self.forget();
        self.0 = FilePins::MANY;
    }

    fn forget(&mut self) {
        if let Some(record) = self.record() {
            RECORDS.give_back(record);
        }
        self.0 = 0;
    }
}
