//! The library's records, described for the launcher, which reads them in the memory of another
//! process (`epolyfill --why`, `--counts`). It costs nothing until then: there is no code here, and
//! every field has another purpose.

use std::arch::global_asm;
use std::ptr;

use epolyfill_environment::anchor::{Anchor, DISTANCE_BYTES, OWNER_BYTES, PLACES, Place, ROOTS, TYPE, VERSION};

use crate::graph::epitem::{Epitem, ITEMS};
use crate::graph::eventpoll::{Eventpoll, INSTANCES};
use crate::graph::file::{FILES, File};
use crate::graph::stats::Stats;
use crate::graph::waitq::{SLEEPERS, Sleeper};
use crate::instance::wait;
use crate::kind::Kind;
use crate::pool::{Pool, Pooled};

/// The address of a pool.
#[derive(Debug)]
#[repr(transparent)]
struct Address(*const ());

// SAFETY: the library never follows it.
unsafe impl Sync for Address {}

impl Address {
    const fn of<T>(root: &'static T) -> Address {
        Address(ptr::from_ref(root).cast())
    }
}

static ANCHOR: Anchor<Address> =
    Anchor { version: VERSION, places: PLACES as u32, roots: ROOT_ADDRESSES, release: release(), table: table() };

// The note. The linker puts a segment of notes around a section of this name, and keeps it. It
// contains a distance, because an address would have to be relocated, so that the section would be
// writable: GNU ld places notes before the code, and would make the segment of both writable and
// executable.
global_asm!(
    ".pushsection .note.epolyfill, \"a\", @note",
    ".balign 4",
    ".4byte {owner_bytes}, {distance_bytes}, {note_type}",
    ".asciz \"epolyfill\"",
    ".balign 4",
    "2:",
    ".8byte {anchor} - 2b",
    ".popsection",
    owner_bytes = const OWNER_BYTES,
    distance_bytes = const DISTANCE_BYTES,
    note_type = const TYPE,
    anchor = sym ANCHOR,
);

/// In the order of `Root`.
const ROOT_ADDRESSES: [Address; ROOTS] =
    [Address::of(&INSTANCES), Address::of(&ITEMS), Address::of(&FILES), Address::of(&SLEEPERS)];

const fn release() -> [u8; 16] {
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    let mut padded = [0; 16];
    let mut at = 0;
    while at < version.len() {
        padded[at] = version[at];
        at += 1;
    }
    padded
}

/// The fields that belong to no record of the graph.
const OTHERS: [(Place, usize); 12] = [
    (Place::PoolTable, Pool::<Epitem>::TABLE_AT),
    (Place::PoolPages, Pool::<Epitem>::PAGES_AT),
    (Place::InstanceFirst, Pool::<Eventpoll>::HEADER),
    (Place::InstanceSize, size_of::<Eventpoll>()),
    (Place::ItemFirst, Pool::<Epitem>::HEADER),
    (Place::ItemSize, size_of::<Epitem>()),
    (Place::FileFirst, Pool::<File>::HEADER),
    (Place::FileSize, size_of::<File>()),
    (Place::SleeperFirst, Pool::<Sleeper>::HEADER),
    (Place::SleeperSize, size_of::<Sleeper>()),
    (Place::Counters, size_of::<Stats>() / size_of::<u64>()),
    (Place::KindSource, Kind::Source as usize),
];

const MISSING: u16 = u16::MAX;

const fn table() -> [u16; PLACES] {
    let parts: [&[(Place, usize)]; 6] =
        [&OTHERS, &Eventpoll::PLACES, &Epitem::PLACES, &File::PLACES, &Sleeper::PLACES, &wait::PLACES];
    let mut table = [MISSING; PLACES];
    let mut part = 0;
    while part < parts.len() {
        let mut at = 0;
        while at < parts[part].len() {
            let (place, offset) = parts[part][at];
            assert!(offset < MISSING as usize);
            table[place as usize] = offset as u16;
            at += 1;
        }
        part += 1;
    }
    table
}

const _: () = {
    let table = table();
    let mut at = 0;
    while at < PLACES {
        assert!(table[at] != MISSING, "every place is there");
        at += 1;
    }
};

/// The pools are read by the same code, whatever their records are.
const _: () = {
    const fn same<T: Pooled, U: Pooled>() -> bool {
        Pool::<T>::TABLE_AT == Pool::<U>::TABLE_AT && Pool::<T>::PAGES_AT == Pool::<U>::PAGES_AT
    }
    assert!(same::<Epitem, Eventpoll>() && same::<Epitem, File>() && same::<Epitem, Sleeper>());
};
