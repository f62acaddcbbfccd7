//! The library's records in the memory of a process.
//!
//! The process runs while it is read. So each walk has a bound, each reference is checked, and the
//! instances' counters are compared before and after: if they moved, the records are read again,
//! and after some attempts the result is marked as torn.

use super::anchor::Library;
use super::memory::Memory;
use epolyfill_environment::anchor::{CutWait, Place, Root};
use epolyfill_environment::counters::{Counter, NAMES};
use std::collections::HashMap;
use std::mem::offset_of;

/// The size of a page of a pool.
const PAGE: usize = 4096;
/// The most pages of a pool.
const MOST_PAGES: u32 = 1 << 18;
/// The attempts to read records that do not change meanwhile.
const ATTEMPTS: usize = 5;
/// The part of a thread's stack in which the record of its wait is searched.
const STACK: usize = 32 << 10;

/// One registration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// The registered number.
    pub number: i32,
    /// A number that names the open file now.
    pub via: i32,
    pub events: u32,
    pub data: u64,
    pub is_spent: bool,
    /// What the library remembers of it; `None` if the kernel's epoll serves the instance.
    pub memory: Option<Remembered>,
}

/// What the library remembers of a registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The levels that were reported, and were not seen low since. Edge-triggered only.
    pub reported: u32,
    /// The transfer calls on the open file that began since the last report, if they are counted.
    pub calls: Option<u32>,
    /// Whether it is on the ready list.
    pub is_ready: bool,
    /// A write was refused, and there was no space since.
    pub lacks_space: bool,
    /// Whether the open file is a readiness source of the library.
    pub is_source: bool,
}

/// Counters in the order of `NAMES`, as many as both the library and this launcher know.
pub type Counters = Vec<u64>;

/// One instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    pub address: u64,
    /// A number of its descriptor.
    pub number: i32,
    pub has_ring: bool,
    /// The registrations that are with watchers.
    pub parked: u64,
    /// The counters since it was made.
    pub counters: Counters,
    pub items: Vec<Item>,
}

/// A thread that waits on an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// The address of its record.
    pub address: u64,
    /// The thread's id, as it knows it itself.
    pub thread: i32,
    /// The instance that it waits on, if it does.
    pub instance: Option<u64>,
    turn: u32,
}

/// The timeout of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The whole timeout in nanoseconds; `None` if there is none.
    pub timeout: Option<u64>,
    /// When the wait began, in nanoseconds of CLOCK_MONOTONIC.
    pub began: Option<u64>,
}

impl Limit {
    /// The time until the end of the wait.
    pub fn left(&self, now: u64) -> Option<u64> {
        Some(self.began?.saturating_add(self.timeout?).saturating_sub(now))
    }
}

/// Reads the timeout of a wait of the kernel's epoll that the observer has cut into pieces.
pub fn cut_limit(memory: &impl Memory, stack: u64) -> Option<Limit> {
    let bytes = stack_of(memory, stack);
    let double = |at: usize| bytes.get(at..)?.first_chunk().map(|double| u64::from_ne_bytes(*double));
    (0..bytes.len()).step_by(8).find_map(|start| {
        let mark = [double(start)?, double(start + 8)?];
        let [is_limited, timeout, began] =
            [offset_of!(CutWait, is_limited), offset_of!(CutWait, timeout), offset_of!(CutWait, began)]
                .map(|at| double(start + at));
        (mark == CutWait::MARK).then_some(Limit { timeout: (is_limited? == 1).then_some(timeout?), began })
    })
}

/// The innermost part of a stack.
fn stack_of(memory: &impl Memory, pointer: u64) -> Vec<u8> {
    let mut bytes = vec![0; STACK];
    let read = memory.read_up_to(pointer, &mut bytes);
    bytes.truncate(read);
    bytes
}

/// What was read.
#[derive(Debug, Default)]
pub struct Records {
    pub instances: Vec<Instance>,
    pub waiters: Vec<Waiter>,
    /// The sums over all instances that ever were.
    pub sums: Counters,
    /// The records changed while they were read.
    pub is_torn: bool,
}

impl Records {
    /// Sets the counters that the library computes when it is asked: the present state.
    fn count_present(&mut self) {
        const PRESENT: [Counter; 4] = [Counter::registrations, Counter::ready, Counter::waiters, Counter::parked];
        let Records { instances, waiters, sums, .. } = self;
        let mut totals = [0; 4];
        for instance in instances {
            let is_ready = |item: &&Item| item.memory.is_some_and(|memory| memory.is_ready);
            let waits = |waiter: &&Waiter| waiter.instance == Some(instance.address);
            let ready = instance.items.iter().filter(is_ready).count();
            let waiters = waiters.iter().filter(waits).count();
            let present = [instance.items.len() as u64, ready as u64, waiters as u64, instance.parked];
            for at in 0..PRESENT.len() {
                totals[at] += present[at];
                set(&mut instance.counters, PRESENT[at], present[at]);
            }
        }
        PRESENT.iter().zip(totals).for_each(|(counter, total)| set(sums, *counter, total));
    }
}

fn set(counters: &mut Counters, counter: Counter, value: u64) {
    if let Some(place) = counters.get_mut(counter as usize) {
        *place = value;
    }
}

/// Reads the records of a library.
#[derive(Debug)]
pub struct Reader<'a, M> {
    pub memory: &'a M,
    pub library: &'a Library,
}

/// A record: its page and its place there, its address, its bytes.
struct Record<'a> {
    short: u32,
    address: u64,
    bytes: &'a [u8],
}

impl Record<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
    }

    fn byte(&self, at: usize) -> u8 {
        self.array::<1>(at)[0]
    }

    fn half(&self, at: usize) -> u32 {
        u16::from_ne_bytes(self.array(at)).into()
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.array(at))
    }

    fn double(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.array(at))
    }
}

/// The part of an open file's record that explains its registrations.
#[derive(Clone, Copy, Debug)]
struct File {
    clock: u32,
    /// Whether its calls are counted: it has an edge-triggered registration that needs them.
    counts: bool,
    lacks_space: bool,
    is_source: bool,
}

impl<M: Memory> Reader<'_, M> {
    /// Whether the library serves the process: it has made an instance at some time.
    pub fn is_in_use(&self) -> bool {
        self.pages(Root::Instances).is_some_and(|pages| !pages.is_empty())
    }

    /// Reads everything, again if it changes meanwhile.
    pub fn records(&self) -> Records {
        let mut records = Records { is_torn: true, ..Records::default() };
        for _ in 0..ATTEMPTS {
            let Some(before) = self.instances() else { continue };
            (records.instances, records.sums) = before.clone();
            let items = self.items(&mut records.instances);
            let waiters = self.waiters();
            records.is_torn = items.is_none() || self.instances() != Some(before);
            records.waiters = waiters.unwrap_or_default();
            if !records.is_torn {
                break;
            }
        }
        records.count_present();
        records
    }

    /// The living instances, without their registrations, and the sums of their counters and of
    /// those of instances that have ended.
    fn instances(&self) -> Option<(Vec<Instance>, Counters)> {
        let library = self.library;
        let mut found = Vec::new();
        let mut sums: Counters = vec![0; self.known_counters()];
        self.for_each(Root::Instances, |record| {
            let now = library.at(Place::InstanceCounters);
            sums.iter_mut().enumerate().for_each(|(at, sum)| *sum = sum.wrapping_add(record.double(now + 8 * at)));
            let number = record.word(library.at(Place::InstanceNumber)).cast_signed();
            let is_closed = record.byte(library.at(Place::InstanceClosed)) != 0;
            if record.word(library.at(Place::InstancePins)) == 0 || is_closed || number < 0 {
                return;
            }
            found.push(Instance {
                address: record.address,
                number,
                has_ring: record.word(library.at(Place::InstanceRing)).cast_signed() >= 0,
                parked: u64::from(record.word(library.at(Place::InstanceParked))),
                counters: self.counters(record),
                items: Vec::new(),
            });
        })?;
        Some((found, sums))
    }

    fn known_counters(&self) -> usize {
        self.library.at(Place::Counters).min(NAMES.len())
    }

    /// The counters since the instance was made.
    fn counters(&self, record: &Record<'_>) -> Counters {
        let library = self.library;
        let [now, before] = [Place::InstanceCounters, Place::InstanceCountersBefore].map(|place| library.at(place));
        let counter = |at: usize| record.double(now + 8 * at).wrapping_sub(record.double(before + 8 * at));
        (0..self.known_counters()).map(counter).collect()
    }

    /// Reads the registrations of the instances.
    fn items(&self, instances: &mut [Instance]) -> Option<()> {
        let library = self.library;
        let files = self.files()?;
        let mut place = HashMap::new();
        self.for_each(Root::Instances, |record| {
            if let Some(at) = instances.iter().position(|instance| instance.address == record.address) {
                place.insert(record.short, at);
            }
        })?;
        self.for_each(Root::Items, |record| {
            let is_alive = record.byte(library.at(Place::ItemAlive)) != 0;
            let at = place.get(&record.word(library.at(Place::ItemInstance)));
            if let Some(at) = at.filter(|_| is_alive) {
                instances[*at].items.push(self.item(record, &files));
            }
        })?;
        instances.iter_mut().for_each(|instance| instance.items.sort_by_key(|item| item.number));
        Some(())
    }

    fn item(&self, record: &Record<'_>, files: &HashMap<u32, File>) -> Item {
        let library = self.library;
        let file = files.get(&record.word(library.at(Place::ItemFile)));
        let reported = record.half(library.at(Place::ItemReported));
        let reported_at = record.word(library.at(Place::ItemReportedAt));
        Item {
            number: record.word(library.at(Place::ItemNumber)).cast_signed(),
            via: record.word(library.at(Place::ItemVia)).cast_signed(),
            events: record.word(library.at(Place::ItemEvents)),
            data: record.double(library.at(Place::ItemData)),
            is_spent: record.byte(library.at(Place::ItemSpent)) != 0,
            memory: Some(Remembered {
                reported,
                calls: file.filter(|file| file.counts).map(|file| file.clock.wrapping_sub(reported_at)),
                is_ready: record.byte(library.at(Place::ItemReady)) != 0,
                lacks_space: file.is_some_and(|file| file.lacks_space),
                is_source: file.is_some_and(|file| file.is_source),
            }),
        }
    }

    fn files(&self) -> Option<HashMap<u32, File>> {
        /// The bits of the kind's byte that are the kind.
        const KIND: u8 = 63;
        let library = self.library;
        let no_space = library.at(Place::FileNoSpace);
        let source = library.at(Place::KindSource);
        let mut files = HashMap::new();
        self.for_each(Root::Files, |record| {
            let file = File {
                clock: record.word(library.at(Place::FileClock)),
                counts: record.word(library.at(Place::FileEdges)) != 0,
                lacks_space: usize::from(record.byte(library.at(Place::FileFlags))) & no_space != 0,
                is_source: usize::from(record.byte(library.at(Place::FileKind)) & KIND) == source,
            };
            files.insert(record.short, file);
        })?;
        Some(files)
    }

    /// The threads that have waited, and the instance that each of them waits on now.
    fn waiters(&self) -> Option<Vec<Waiter>> {
        let library = self.library;
        let mut waiters = Vec::new();
        self.for_each(Root::Sleepers, |record| {
            let thread = record.word(library.at(Place::SleeperThread)).cast_signed();
            let instance = record.double(library.at(Place::SleeperInstance));
            if thread > 0 {
                waiters.push(Waiter {
                    address: record.address,
                    thread,
                    instance: (instance != 0).then_some(instance),
                    turn: record.word(library.at(Place::SleeperTurn)),
                });
            }
        })?;
        Some(waiters)
    }

    /// The timeout of a wait, from its record on the stack of the thread, whose stack pointer is
    /// given. The record is recognized by the addresses of the instance and of the thread's record.
    pub fn limit(&self, waiter: &Waiter, stack: u64) -> Option<Limit> {
        let library = self.library;
        let instance = waiter.instance?;
        let bytes = stack_of(self.memory, stack);
        let at = |start: usize, place: Place| -> Option<u64> {
            bytes.get(start + library.at(place)..)?.first_chunk().map(|double| u64::from_ne_bytes(*double))
        };
        (0..bytes.len()).step_by(8).find_map(|start| {
            let turn = at(start, Place::WaitTurn)? as u32;
            let is_it = at(start, Place::WaitInstance)? == instance
                && at(start, Place::WaitSleeper)? == waiter.address
                && turn == waiter.turn;
            if !is_it {
                return None;
            }
            let [limited, begun] = [at(start, Place::WaitIsLimited)?, at(start, Place::WaitHasBegun)?];
            let [timeout, deadline] = [at(start, Place::WaitTimeout)?, at(start, Place::WaitDeadline)?];
            let since = at(start, Place::WaitSince)?;
            if limited > 1 || begun > 1 {
                return None;
            }
            let timeout = (limited == 1).then_some(timeout);
            let began = match timeout {
                Some(timeout) if begun == 1 => Some(deadline.saturating_sub(timeout)),
                // 1 if the instance had never polled.
                _ => (since > 1).then(|| since.saturating_mul(1_000_000)),
            };
            Some(Limit { timeout, began })
        })
    }

    /// The addresses of a pool's pages.
    fn pages(&self, root: Root) -> Option<Vec<u64>> {
        let pool = self.library.root(root);
        let count = self.memory.word(pool + self.library.at(Place::PoolPages) as u64)?;
        if count == 0 {
            return Some(Vec::new());
        }
        let table = self.memory.double(pool + self.library.at(Place::PoolTable) as u64)?;
        if count > MOST_PAGES {
            return None;
        }
        let table = self.memory.bytes(table, count as usize * 8)?;
        Some(table.as_chunks().0.iter().map(|page| u64::from_ne_bytes(*page)).collect())
    }

    /// Visits the records of a pool, in use or not.
    fn for_each(&self, root: Root, mut visit: impl FnMut(&Record<'_>)) -> Option<()> {
        let (first, size) = (self.library.at(root.first()), self.library.at(root.size()));
        if size == 0 || first == 0 {
            return None;
        }
        for (number, address) in self.pages(root)?.into_iter().enumerate() {
            let page = self.memory.bytes(address, PAGE)?;
            // A page begins with its number.
            if page.first_chunk() != Some(&(number as u32).to_ne_bytes()) {
                return None;
            }
            for (at, bytes) in page[first..].chunks_exact(size).enumerate() {
                let offset = first + at * size;
                let short = (number * PAGE + offset) as u32;
                visit(&Record { short, address: address + offset as u64, bytes });
            }
        }
        Some(())
    }
}
