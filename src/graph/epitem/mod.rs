//! One registration: the events that a program wants for one number in one instance. Kernel
//! counterpart: `struct epitem`.

mod state;

pub use state::Memory;

use std::cell::Cell;
use std::mem::offset_of;

use epolyfill_environment::anchor::Place;
use libc::c_int;
use nix::errno::Errno;

use crate::edge::{Edge, Facts};
use crate::events::{self, Bits};
use crate::graph::epitem_ext::EpitemExt;
use crate::graph::epstate::Held;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::{self, File};
use crate::pool::{AtomicShort, Pool, Short};
use crate::pooled;
use crate::sync::atomic::Ordering::{AcqRel, Relaxed, SeqCst};
use crate::sync::atomic::{AtomicBool, AtomicI32, AtomicU16, AtomicU32};

pub static ITEMS: Pool<Epitem> = Pool::new();

/// The thread that polls the descriptor of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// The thread that waits on the instance.
    Hot,
    /// The watcher thread of this shard.
    Parked(u16),
}

/// In no watcher's set.
pub const NO_SHARD: u16 = PARKED - 1;
const PARKED: u16 = 1 << 10;
const SURPRISES: u32 = 11;
const SIGNALLED: u16 = 1 << 15;

/// The number of silent polls after which a registration that was never active may be parked. By
/// then its polls have cost three times the price of parking, so no load costs much more than it
/// would without parking.
const FIRST_PATIENCE: u16 = 64;
/// The largest number. By then the polls of a registration have cost as much as a wake-up. The
/// number doubles up to this value each time that parking was, or would have been, in vain.
const LONGEST_PATIENCE: u16 = 1024;

/// The bits of a registration that is not polled, because the signals of its description report its
/// wake-ups. Poll is never asked for this one.
const BY_SIGNAL: Bits = events::NVAL;

/// One registration. There are many of them, so rarely used fields are in an extension
/// ([`EpitemExt`]).
#[derive(Debug)]
pub struct Epitem {
    /// The number of references: from the interest set, the inbox, the ready list, the resample
    /// list, a watcher. The record is free at 0. Its memory is type-stable (see `pool.rs`).
    pins: AtomicU32,
    /// Whether it is in the instance's inbox. Changed by the thread that is at the inbox.
    queued: AtomicBool,
    /// The facts from hooks since the instance last looked.
    facts: AtomicU16,
    /// The time at which the latest call that reported a fact began, on the description's clock.
    told_at: AtomicU32,
    /// The bits that poll is currently asked for, or [`BY_SIGNAL`]. Hooks read them without a lock,
    /// to determine whether they must wake a sleeper.
    asked: AtomicU16,
    /// The levels of the second look, valid within one report. Protected by the instance's lock.
    level: AtomicU16,
    /// The number under which the program registered it; with `file`, its key.
    number: AtomicI32,
    /// A number that names the description now (D2: the registered one may be closed while a dup is
    /// open).
    via: AtomicI32,
    ep: AtomicShort<Eventpoll>,
    file: AtomicShort<File>,
    /// The next registration on the same description. Protected by the description's lock.
    pub next: AtomicShort<Epitem>,
    /// Whether a note in a watcher's mail is about it, and the registration of the next note.
    /// Protected by the mail's lock: all notes about one registration go to the watcher that may
    /// have it in its set. While the record is free, the next free one.
    noted: AtomicBool,
    next_note: AtomicShort<Epitem>,
    state: State,
}

/// The data that the instance's lock protects.
#[derive(Debug)]
pub struct State {
    /// The events as registered, including EPOLLET and the other flags.
    pub events: Events,
    /// The program's 64 bits.
    pub data: Cell<u64>,
    /// The memory of edges, if it is edge-triggered.
    pub edge: Cell<Edge>,
    /// Whether the hooks know that edges of it are waited for.
    pub tracked: Cell<bool>,
    /// False once deleted.
    pub alive: Cell<bool>,
    /// Whether it is a one-shot that has fired and was not re-armed (W5).
    pub spent: Cell<bool>,
    /// Four fields. The shard whose watcher may still have it in its set, even if it is polled
    /// elsewhere by now, or [`NO_SHARD`]. Whether that watcher is its home: [`PARKED`]. From bit
    /// [`SURPRISES`] on, the number of times that it fired after it had been silent for long.
    /// Whether the signals of its description report its wake-ups: [`SIGNALLED`].
    parking: Cell<u16>,
    /// Its place in the instance's poll set; 0 if it is not in the set.
    pub slot: Cell<u32>,
    /// Its place in the instance's interest set.
    pub index: Cell<u32>,
    /// The number of registrations that were made in the instance before it. The kernel wakes the
    /// latest first.
    pub serial: Cell<u32>,
    /// Whether it is on the ready list.
    pub ready: Cell<bool>,
    /// Whether it is on the resample list.
    pub to_resample: Cell<bool>,
    /// Whether it is exclusive and was added while another instance had the event. It reports the
    /// level that it found then regardless (T6).
    pub newcomer: Cell<bool>,
    /// The description's clock at the last report.
    pub reported_at: Cell<u32>,
    /// The extension, if it has one.
    ext: Cell<Option<Short<EpitemExt>>>,
}

/// Events that the instance's lock protects. They can be read without it, because those of an
/// exclusive registration never change.
#[derive(Debug)]
pub struct Events(AtomicU32);

impl Events {
    /// The events.
    pub fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// Sets other events. The lock is held.
    pub fn set(&self, events: u32) {
        self.0.store(events, Relaxed);
    }
}

// SAFETY: the cells are reached only through `Epitem::at`, whose argument proves that the
// instance's lock is held.
unsafe impl Sync for State {}

pooled!(
    ITEMS,
    Epitem,
    next_note,
    Epitem {
        pins: AtomicU32::new(0),
        queued: AtomicBool::new(false),
        facts: AtomicU16::new(0),
        told_at: AtomicU32::new(0),
        asked: AtomicU16::new(0),
        level: AtomicU16::new(0),
        number: AtomicI32::new(-1),
        via: AtomicI32::new(-1),
        ep: AtomicShort::none(),
        file: AtomicShort::none(),
        next: AtomicShort::none(),
        noted: AtomicBool::new(false),
        next_note: AtomicShort::none(),
        state: State {
            events: Events(AtomicU32::new(0)),
            data: Cell::new(0),
            edge: Cell::new(Edge::FRESH),
            tracked: Cell::new(false),
            alive: Cell::new(false),
            spent: Cell::new(false),
            parking: Cell::new(NO_SHARD),
            slot: Cell::new(0),
            index: Cell::new(0),
            serial: Cell::new(0),
            ready: Cell::new(false),
            to_resample: Cell::new(false),
            newcomer: Cell::new(false),
            reported_at: Cell::new(0),
            ext: Cell::new(None),
        },
    }
);

impl Epitem {
    /// The fields that the launcher reads from outside.
    pub const PLACES: [(Place, usize); 11] = {
        const STATE: usize = offset_of!(Epitem, state);
        [
            (Place::ItemNumber, offset_of!(Epitem, number)),
            (Place::ItemVia, offset_of!(Epitem, via)),
            (Place::ItemInstance, offset_of!(Epitem, ep)),
            (Place::ItemFile, offset_of!(Epitem, file)),
            (Place::ItemEvents, STATE + offset_of!(State, events)),
            (Place::ItemData, STATE + offset_of!(State, data)),
            (Place::ItemReported, STATE + offset_of!(State, edge) + Edge::REPORTED_AT),
            (Place::ItemAlive, STATE + offset_of!(State, alive)),
            (Place::ItemSpent, STATE + offset_of!(State, spent)),
            (Place::ItemReady, STATE + offset_of!(State, ready)),
            (Place::ItemReportedAt, STATE + offset_of!(State, reported_at)),
        ]
    };

    /// Makes a registration of `number`, with one pin, in no graph yet.
    pub fn create(
        ep: &'static Eventpoll,
        file: &'static File,
        number: c_int,
        via: c_int,
    ) -> Result<&'static Epitem, Errno> {
        let item = ITEMS.take()?;
        item.pins.store(1, Relaxed);
        item.queued.store(false, Relaxed);
        item.facts.store(0, Relaxed);
        item.asked.store(0, Relaxed);
        item.told_at.store(file.clock(), Relaxed);
        item.number.store(number, Relaxed);
        item.via.store(via, Relaxed);
        item.ep.set(Some(ep));
        item.file.set(Some(file));
        item.next.set(None);
        Ok(item)
    }

    /// The data that the lock of the item's instance protects; `_held` proves that the caller holds
    /// it.
    #[inline]
    pub fn at<'a>(&'a self, _held: &'a Held) -> &'a State {
        &self.state
    }

    /// The levels of the second look.
    pub fn level(&self, _held: &Held) -> Bits {
        self.level.load(Relaxed)
    }

    /// Records the levels of the second look.
    pub fn set_level(&self, _held: &Held, level: Bits) {
        self.level.store(level, Relaxed);
    }

    /// Adds a reference.
    #[inline]
    pub fn pin(&self) {
        self.pins.fetch_add(1, Relaxed);
    }

    /// Removes a reference. The last one returns the record to the pool.
    #[inline]
    pub fn unpin(&'static self) {
        if self.pins.fetch_sub(1, AcqRel) == 1 {
            self.ep.set(None);
            if let Some(ext) = self.state.ext.take() {
                ext.get().retire();
            }
            ITEMS.give_back(self);
        }
    }

    /// Makes sure that there is an extension and, if the instance is `followed`, its second part.
    /// ENOMEM without memory.
    pub fn ensure_ext(&self, held: &Held, followed: bool) -> Result<(), Errno> {
        let state = self.at(held);
        if state.ext.get().is_none() {
            state.ext.set(Some(Short::of(EpitemExt::create()?)));
        }
        state.ext().filter(|_| followed).map_or(Ok(()), EpitemExt::ensure_outer_edge)
    }

    /// The registered number.
    pub fn number(&self) -> c_int {
        self.number.load(Relaxed)
    }

    /// The number to poll.
    pub fn via(&self) -> c_int {
        self.via.load(Relaxed)
    }

    /// Polls another number from now on.
    pub fn set_via(&self, fd: c_int) {
        self.via.store(fd, Relaxed);
    }

    /// Whether it is registered in this instance.
    pub fn is_of(&self, ep: &'static Eventpoll) -> bool {
        self.ep.get().is_some_and(|own| std::ptr::eq(own, ep))
    }

    /// Its instance; `None` if the record is free.
    #[inline]
    pub fn eventpoll(&self) -> Option<&'static Eventpoll> {
        self.ep.get()
    }

    /// Its description.
    #[inline]
    pub fn file(&self) -> Option<&'static File> {
        self.file.get()
    }

    /// Whether two exclusive registrations wait for some of the same levels, or both for hang-ups
    /// and errors only.
    pub fn is_rival_of(&self, other: &Epitem) -> bool {
        let rivalry = |item: &Epitem| events::levels(item.state.events.get()) & (events::READABLE | events::WRITABLE);
        let (own, others) = (rivalry(self), rivalry(other));
        own & others != 0 || own == others
    }

    /// Whether a signal with these bits may be a wake-up that meets its mask. That of a hang-up may
    /// have the bits of an arrival. So only registrations for other edges are passed over.
    pub fn is_met_by(&self, bits: Bits) -> bool {
        if !self.is_asked_by_signal() {
            return false;
        }
        let events = self.state.events.get();
        let wanted = events::levels(events) & (events::READABLE | events::PRI | events::WRITABLE | events::RDHUP);
        events & events::EDGE == 0 || wanted == 0 || bits == Bits::MAX || wanted & bits != 0
    }

    /// Records that it is not polled, because the signals of its description report its wake-ups.
    pub fn ask_by_signal(&self) {
        self.asked.store(BY_SIGNAL, SeqCst);
    }

    /// Whether signals report its wake-ups, for code without the lock.
    pub fn is_asked_by_signal(&self) -> bool {
        self.asked.load(SeqCst) == BY_SIGNAL
    }

    /// Records the bits that poll is asked for.
    pub fn set_asked(&self, bits: Bits) {
        self.asked.store(bits, SeqCst);
    }

    /// Whether hooks reported facts since the last call of [`Self::take_facts`].
    pub fn has_facts(&self) -> bool {
        self.facts.load(SeqCst) != 0
    }

    /// Whether hooks reported one of these facts since then.
    pub fn has_fact(&self, facts: Facts) -> bool {
        Facts::from_bits_retain(self.facts.load(SeqCst)).intersects(facts)
    }

    /// Takes the facts from hooks since the last call.
    #[inline]
    pub fn take_facts(&self) -> Facts {
        let facts = if self.facts.load(SeqCst) == 0 { 0 } else { self.facts.swap(0, SeqCst) };
        Facts::from_bits_retain(facts)
    }

    /// Whether the latest call that reported a fact began after the description's clock showed
    /// `reported`. A call that began earlier may be the one that was reported: its write woke the
    /// poller before it could report its fact.
    #[inline]
    pub fn told_after(&self, reported: u32) -> bool {
        self.told_at.load(SeqCst).wrapping_sub(reported).cast_signed() > 0
    }

    /// Marks the item as being in the inbox; false if it is there already.
    pub fn enter_inbox(&self) -> bool {
        !self.queued.swap(true, SeqCst)
    }

    /// Marks the item as out of the inbox. Later facts queue it again.
    pub fn leave_inbox(&self) {
        self.queued.swap(false, SeqCst);
    }

    /// Puts it at the head of a watcher's mail, before `first`. False if it is there already.
    pub fn enter_mail(&self, first: Option<&'static Epitem>) -> bool {
        if self.noted.swap(true, Relaxed) {
            return false;
        }
        self.next_note.set(first);
        true
    }

    /// Whether it is in a watcher's mail.
    pub fn is_noted(&self) -> bool {
        self.noted.load(Relaxed)
    }

    /// Takes it off the head of the mail, and returns the next one.
    pub fn leave_mail(&self) -> Option<&'static Epitem> {
        self.noted.store(false, Relaxed);
        self.next_note.get()
    }

    /// Records facts from a hook that holds the description's lock, so the item is alive. The
    /// instance's lock is not held.
    #[inline]
    pub fn tell(&'static self, facts: Facts, at: u32) {
        if let Some(ep) = self.note(facts, at) {
            ep.notice(self, facts);
        }
    }

    /// Like `tell`, from a hook without the lock: the record may be free, or in use for another
    /// registration, at any moment.
    pub fn tell_unlocked(&'static self, facts: Facts, at: u32) {
        if let Some(ep) = self.note(facts, at) {
            ep.notice_unlocked(self, facts);
        }
    }

    #[inline]
    fn note(&self, facts: Facts, at: u32) -> Option<&'static Eventpoll> {
        let ep = self.ep.get()?;
        if facts != Facts::RECHECK {
            // RECHECK asks for a look and carries no time. It must not make earlier facts look
            // younger.
            file::raise(&self.told_at, at);
        }
        let before = Facts::from_bits_retain(self.facts.fetch_or(facts.bits(), SeqCst));
        let both = before.then(facts);
        if !both.is_empty() {
            self.facts.fetch_or(both.bits(), SeqCst);
        }
        Some(ep)
    }

    /// Whether a thread that polls for the current bits would sleep through the events that the
    /// facts announce.
    pub fn would_sleep_through(&self, facts: Facts) -> bool {
        let asked = self.asked.load(SeqCst);
        let reading = facts.intersects(Facts::READS | Facts::WROTE | Facts::WRITER_BLOCKED) && asked & events::IN == 0;
        // The data that was taken may have arrived since the last report. In that case there is at
        // least room to report.
        let taking = Facts::READ_ALL | Facts::SHORT_READ;
        let writing = facts.intersects(Facts::WRITES | taking) && asked & events::OUT == 0;
        reading || writing || facts.intersects(Facts::LOOKS | Facts::SIGNALLED)
    }
}

#[cfg(not(test))]
const _: () = assert!(size_of::<Epitem>() <= 104, "there are as many as there are registrations");

/// The number of records in use, for the models.
#[cfg(test)]
pub fn in_use() -> usize {
    ITEMS.in_use()
}
