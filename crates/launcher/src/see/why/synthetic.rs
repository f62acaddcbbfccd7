//! A process that exists only as bytes: a library with one instance, to test the reader.

use super::anchor::{self, Found, Library};
use super::memory::{Mapping, Memory};
use super::records::{Limit, Reader, Remembered, Waiter};
use epolyfill_environment::anchor::{
    Anchor, CutWait, DISTANCE_BYTES, OWNER, OWNER_BYTES, PLACES, Place, ROOTS, Root, TYPE, VERSION,
};
use epolyfill_environment::counters::{Counter, NAMES};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem::offset_of;

const ELF: u64 = 0x10_0000;
const BASE: u64 = ELF - 0x1000;
const NOTES: u64 = ELF + 0x8000;
/// Before the notes, so that the distance is negative.
const ANCHOR: u64 = ELF + 0x4000;
const POOLS: u64 = 0x20_0000;
const TABLES: u64 = 0x30_0000;
const PAGES: u64 = 0x40_0000;
const STACK: u64 = 0x50_0000;
/// The size of every record, and where the first one is.
const SIZE: usize = 1024;
const FIRST: usize = 64;

/// Bytes at addresses.
#[derive(Default)]
struct Bytes {
    parts: RefCell<BTreeMap<u64, Vec<u8>>>,
    /// Whether the counters move at each look.
    is_busy: Cell<bool>,
}

impl Memory for Bytes {
    fn read_up_to(&self, address: u64, into: &mut [u8]) -> usize {
        let mut parts = self.parts.borrow_mut();
        let Some((start, part)) = parts.range_mut(..=address).next_back() else { return 0 };
        let from = usize::try_from(address - start).unwrap();
        let count = part.len().saturating_sub(from).min(into.len());
        into[..count].copy_from_slice(&part[part.len().min(from)..][..count]);
        if self.is_busy.get() && *start == PAGES {
            let counter = FIRST + at(Place::InstanceCounters);
            part[counter] = part[counter].wrapping_add(1);
        }
        count
    }
}

impl Bytes {
    fn put(&self, address: u64, bytes: &[u8]) {
        let mut parts = self.parts.borrow_mut();
        let known = parts.range_mut(..=address).next_back();
        let known = known.filter(|(start, part)| address + bytes.len() as u64 <= **start + part.len() as u64);
        match known {
            Some((start, part)) => {
                let from = (address - start) as usize;
                part[from..from + bytes.len()].copy_from_slice(bytes);
            }
            None => _ = parts.insert(address, bytes.to_vec()),
        }
    }

    fn field(&self, root: Root, record: usize, place: Place, bytes: &[u8]) {
        self.put(record_of(root, record) + at(place) as u64, bytes);
    }
}

/// Where a field is: any places do, as long as they do not overlap.
fn at(place: Place) -> usize {
    match place {
        Place::PoolTable => 8,
        Place::PoolPages => 24,
        Place::InstanceFirst | Place::ItemFirst | Place::FileFirst | Place::SleeperFirst => FIRST,
        Place::InstanceSize | Place::ItemSize | Place::FileSize | Place::SleeperSize => SIZE,
        Place::InstanceCounters => 128,
        Place::InstanceCountersBefore => 512,
        Place::Counters => NAMES.len(),
        Place::FileNoSpace => 128,
        Place::KindSource => 18,
        other => 8 * (other as usize % 16),
    }
}

fn record_of(root: Root, record: usize) -> u64 {
    PAGES + 4096 * root as u64 + (FIRST + record * SIZE) as u64
}

fn short(root: Root, record: usize) -> [u8; 4] {
    ((record_of(root, record) % 4096) as u32).to_ne_bytes()
}

fn library() -> Library {
    let mut table = [0; PLACES];
    for (place, offset) in table.iter_mut().enumerate() {
        // SAFETY: the numbers below PLACES are the places.
        *offset = at(unsafe { std::mem::transmute::<usize, Place>(place) }) as u16;
    }
    Library::of(std::array::from_fn(|root| POOLS + 64 * root as u64), table)
}

/// A library with an instance 5 and a registration of 9 in it, on which thread 77 waits.
fn process() -> Bytes {
    let memory = Bytes::default();
    memory.put(POOLS, &[0; 64 * ROOTS]);
    memory.put(TABLES, &[0; 8 * ROOTS]);
    memory.put(PAGES, &[0; 4096 * ROOTS]);
    for root in Root::ALL {
        let (pool, table) = (POOLS + 64 * root as u64, TABLES + 8 * root as u64);
        memory.put(pool + at(Place::PoolTable) as u64, &table.to_ne_bytes());
        memory.put(pool + at(Place::PoolPages) as u64, &1u32.to_ne_bytes());
        memory.put(table, &(PAGES + 4096 * root as u64).to_ne_bytes());
    }
    let instance = |place, bytes: &[u8]| memory.field(Root::Instances, 0, place, bytes);
    instance(Place::InstancePins, &3u32.to_ne_bytes());
    instance(Place::InstanceNumber, &5i32.to_ne_bytes());
    instance(Place::InstanceRing, &(-1i32).to_ne_bytes());
    memory.put(record_of(Root::Instances, 0) + 128 + 8 * Counter::waits as u64, &12u64.to_ne_bytes());
    memory.put(record_of(Root::Instances, 0) + 512 + 8 * Counter::waits as u64, &2u64.to_ne_bytes());
    let item = |place, bytes: &[u8]| memory.field(Root::Items, 1, place, bytes);
    item(Place::ItemNumber, &9i32.to_ne_bytes());
    item(Place::ItemVia, &10i32.to_ne_bytes());
    item(Place::ItemInstance, &short(Root::Instances, 0));
    item(Place::ItemFile, &short(Root::Files, 2));
    item(Place::ItemEvents, &0x8000_0001u32.to_ne_bytes());
    item(Place::ItemReported, &1u16.to_ne_bytes());
    item(Place::ItemReportedAt, &40u32.to_ne_bytes());
    item(Place::ItemAlive, &[1]);
    let file = |place, bytes: &[u8]| memory.field(Root::Files, 2, place, bytes);
    file(Place::FileClock, &43u32.to_ne_bytes());
    file(Place::FileEdges, &1u32.to_ne_bytes());
    file(Place::FileFlags, &[128]);
    let sleeper = |place, bytes: &[u8]| memory.field(Root::Sleepers, 0, place, bytes);
    sleeper(Place::SleeperThread, &77i32.to_ne_bytes());
    sleeper(Place::SleeperInstance, &record_of(Root::Instances, 0).to_ne_bytes());
    sleeper(Place::SleeperTurn, &4u32.to_ne_bytes());
    memory
}

/// Puts the record of the thread's wait on its stack.
fn put_wait(memory: &Bytes, turn: u32) {
    memory.put(STACK, &[0; 1024]);
    let wait = |place, bytes: &[u8]| memory.put(STACK + 200 + at(place) as u64, bytes);
    wait(Place::WaitInstance, &record_of(Root::Instances, 0).to_ne_bytes());
    wait(Place::WaitSleeper, &record_of(Root::Sleepers, 0).to_ne_bytes());
    wait(Place::WaitTurn, &turn.to_ne_bytes());
    wait(Place::WaitIsLimited, &1u64.to_ne_bytes());
    wait(Place::WaitTimeout, &9_000u64.to_ne_bytes());
    wait(Place::WaitHasBegun, &1u64.to_ne_bytes());
    wait(Place::WaitDeadline, &12_000u64.to_ne_bytes());
}

#[test]
fn the_records_are_read_as_they_are() {
    let (memory, library) = (process(), library());
    let records = Reader { memory: &memory, library: &library }.records();
    assert!(!records.is_torn);
    let [instance] = &records.instances[..] else { panic!("one instance") };
    assert_eq!((instance.number, instance.has_ring), (5, false));
    assert_eq!(instance.counters[Counter::waits as usize], 10);
    assert_eq!(records.sums[Counter::waits as usize], 12);
    assert_eq!(instance.counters[Counter::registrations as usize], 1);
    assert_eq!(instance.counters[Counter::waiters as usize], 1);
    let [item] = &instance.items[..] else { panic!("one registration") };
    assert_eq!((item.number, item.via, item.events), (9, 10, 0x8000_0001));
    let memory = Remembered { reported: 1, calls: Some(3), lacks_space: true, ..Remembered::default() };
    assert_eq!(item.memory, Some(memory));
    assert_eq!(records.waiters[0].thread, 77);
}

#[test]
fn the_timeout_is_found_on_the_stack_of_the_thread() {
    let (memory, library) = (process(), library());
    let reader = Reader { memory: &memory, library: &library };
    let waiter: Waiter = reader.records().waiters[0];
    put_wait(&memory, 4);
    assert_eq!(reader.limit(&waiter, STACK), Some(Limit { timeout: Some(9_000), began: Some(3_000) }));
    // A wait that was overtaken has left its record there.
    put_wait(&memory, 3);
    assert_eq!(reader.limit(&waiter, STACK), None);
    assert_eq!(reader.limit(&waiter, 0x7fff_0000), None);
}

#[test]
fn a_wait_that_the_observer_cuts_is_found_on_the_stack() {
    let memory = Bytes::default();
    memory.put(STACK, &[0; 512]);
    let CutWait { mark, is_limited, timeout, began } = CutWait::new(Some(7), 5);
    let words = [mark[0], mark[1], is_limited, timeout, began];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    memory.put(STACK + 64, &bytes);
    assert_eq!(super::records::cut_limit(&memory, STACK), Some(Limit { timeout: Some(7), began: Some(5) }));
    assert_eq!(super::records::cut_limit(&memory, STACK + 72), None);
}

#[test]
fn records_that_keep_changing_are_torn() {
    let (memory, library) = (process(), library());
    memory.is_busy.set(true);
    let records = Reader { memory: &memory, library: &library }.records();
    assert!(records.is_torn);
    assert_eq!(records.instances.len(), 1);
}

#[test]
fn records_that_make_no_sense_end_the_walk() {
    let library = library();
    let pool = POOLS + 64 * Root::Items as u64;
    let harm: [(u64, &[u8]); 4] = [
        (pool + at(Place::PoolPages) as u64, &u32::MAX.to_ne_bytes()),
        (pool + at(Place::PoolPages) as u64, &2u32.to_ne_bytes()),
        (pool + at(Place::PoolTable) as u64, &0xdead_0000u64.to_ne_bytes()),
        (PAGES + 4096 * Root::Items as u64, &7u32.to_ne_bytes()),
    ];
    for (address, bytes) in harm {
        let memory = process();
        memory.put(address, bytes);
        assert!(Reader { memory: &memory, library: &library }.records().is_torn);
    }
    assert!(Reader { memory: &Bytes::default(), library: &library }.records().is_torn);
}

#[test]
fn random_bytes_do_no_harm() {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    for _ in 0..300 {
        let memory = process();
        memory.put(NOTES, &[0; 256]);
        for start in [POOLS, TABLES, PAGES, PAGES + 4096, PAGES + 8192, NOTES] {
            let at = start + u64::from(random()) % 64;
            memory.put(at, &[random(), random()]);
        }
        let table = std::array::from_fn(|_| u16::from(random()) << (random() % 8));
        let library = Library::of(std::array::from_fn(|root| POOLS + 64 * root as u64), table);
        let reader = Reader { memory: &memory, library: &library };
        let records = reader.records();
        records.waiters.iter().for_each(|waiter| _ = reader.limit(waiter, PAGES));
    }
}

/// The bytes of an anchor.
fn anchor(version: u32) -> Vec<u8> {
    type Layout = Anchor<u64>;
    let mut anchor = vec![0; size_of::<Layout>()];
    let mut put = |at: usize, bytes: &[u8]| anchor[at..at + bytes.len()].copy_from_slice(bytes);
    put(offset_of!(Layout, version), &version.to_ne_bytes());
    put(offset_of!(Layout, places), &(PLACES as u32).to_ne_bytes());
    put(offset_of!(Layout, release), b"9.8.7");
    put(offset_of!(Layout, roots) + 8 * Root::Files as usize, &0x1234u64.to_ne_bytes());
    put(offset_of!(Layout, table) + 2 * Place::ItemVia as usize, &56u16.to_ne_bytes());
    anchor
}

/// The bytes of a note that has so many bytes of other notes before it, and leads to `ANCHOR`.
fn note(before: u64) -> Vec<u8> {
    let head = [OWNER_BYTES, DISTANCE_BYTES, TYPE].map(u32::to_ne_bytes).concat();
    let distance = ANCHOR.wrapping_sub(NOTES + before + 24);
    [&head[..], &OWNER, &distance.to_ne_bytes()].concat()
}

/// A file in memory with a segment of notes and an anchor, linked at 0x1000.
fn elf(notes: &[u8], anchor: &[u8]) -> Bytes {
    let memory = Bytes::default();
    let mut header = vec![0; 64];
    header[..5].copy_from_slice(b"\x7fELF\x02");
    header[32] = 64;
    header[54] = 56;
    header[56] = 2;
    let segment = |kind: u32, address: u64, size: u64| {
        let mut header = kind.to_ne_bytes().to_vec();
        header.extend([0; 12]);
        header.extend([address, address, size, size, 8].map(u64::to_ne_bytes).concat());
        header
    };
    header.extend(segment(1, 0x1000, 0x9000));
    header.extend(segment(4, NOTES - BASE, notes.len() as u64));
    memory.put(ELF, &header);
    memory.put(NOTES, notes);
    memory.put(ANCHOR, anchor);
    memory
}

fn find(memory: &Bytes) -> Vec<Found> {
    anchor::find(memory, &[Mapping { start: ELF, path: "lib".to_owned() }])
}

#[test]
fn the_anchor_is_found_among_the_notes() {
    let other = [&[4, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0][..], b"GNU\0", &[0; 8]].concat();
    let notes = [&other[..], &note(other.len() as u64)].concat();
    let found = find(&elf(&notes, &anchor(VERSION)));
    let [Found::Library(library)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((library.release.as_str(), library.path.as_str()), ("9.8.7", "lib"));
    assert_eq!((library.root(Root::Files), library.at(Place::ItemVia)), (0x1234, 56));
}

#[test]
fn an_anchor_of_another_version_is_foreign_and_a_cut_one_is_none() {
    let found = find(&elf(&note(0), &anchor(VERSION + 1)));
    assert!(matches!(&found[..], [Found::Foreign(release)] if release == "9.8.7"), "{found:?}");
    let (note, anchor) = (note(0), anchor(VERSION));
    for length in 0..note.len() {
        assert!(find(&elf(&note[..length], &anchor)).is_empty());
    }
    for length in 0..offset_of!(Anchor<u64>, table) + size_of::<[u16; PLACES]>() {
        assert!(find(&elf(&note, &anchor[..length])).is_empty());
    }
    assert!(find(&elf(&[0; 4096], &anchor)).is_empty());
    assert!(find(&Bytes::default()).is_empty());
}
