//! An open file description, as far as this process knows it: its numbers, the registrations on it,
//! and the counts of the hooks. Kernel counterpart: `struct file` with its `f_ep` list.

mod datagrams;
mod edge_watch_counts;
mod errors;
mod eventfd;
mod fleeting;
mod graph;
mod identity;
pub mod in_flight;
pub mod index;
pub mod kind;
mod kind_cell;
mod numbers;
mod ops;
mod peeks;
mod room;
pub mod source;
mod tcp;
mod unix;

use std::mem::offset_of;

use epolyfill_environment::anchor::Place;
use libc::c_int;
use nix::errno::Errno;

use crate::events::RDHUP;
use crate::graph::epitem::Epitem;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::exclusive::Claim;
use crate::graph::pin::FilePins;
use crate::graph::ranks;
use crate::kind::Kind;
use crate::lock::Lock;
use crate::pool::{AtomicShort, Pool, Short};
use crate::pooled;
use crate::sync;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
use crate::sys;
use crate::tcp::{SYN_SENT, awaits_ack};

pub use datagrams::Datagrams;
pub use edge_watch_counts::MOST_ENDS;
pub use errors::ByMemory;
pub use eventfd::Eventfd;
pub use fleeting::Fleeting;
pub use graph::{FileGuard, Graph, raise};
pub use identity::Allowance;
pub use numbers::{Numbers, SEVERAL};
pub use ops::{FileOps, Look, READABLE_INSTANCE};
pub use room::SpaceLook;
pub use source::Source;
pub use tcp::Tcp;
pub use unix::{Peer, Unix};

use graph::Told;
use in_flight::{InFlight, Mark};
use kind_cell::KindCell;

#[unsafe(link_section = ".data.wait")]
pub static FILES: Pool<File> = Pool::new();

/// One open file description.
#[doc(alias = "struct file")]
#[derive(Debug)]
pub struct File {
    /// The next description in the index; while the record is free, the next free one.
    next_in_bucket: AtomicShort<File>,
    /// Whether it is in the index.
    indexed: AtomicBool,
    /// Its kind, and the access mode of a pipe.
    kind: KindCell,
    /// The number of edge-triggered registrations. While it is 0, the hooks have no facts to
    /// report.
    edges: AtomicU32,
    /// The bytes, or connections, that read-like calls of this process took. Counted only while a
    /// registration needs it. For a TCP connection whose place is known, all that were ever taken.
    consumed: AtomicU64,
    /// The number of transfer calls that began, which orders their facts and the reports (see
    /// `Epitem::tell`).
    clock: AtomicU32,
    /// The number of calls that took data and have ended.
    taken: AtomicU32,
    /// The thread that counts datagrams, which moves the offset of peeks; 0 if no thread does.
    counting: AtomicU32,
    /// A word whose meaning depends on the kind, see the view of the kind: [`Tcp`], [`Unix`],
    /// [`Source`] and so on.
    state: AtomicU32,
    /// Another such word.
    tally: AtomicU32,
    /// A byte whose meaning depends on the kind.
    peer: AtomicU8,
    /// [`NO_SPACE`] and the bits below it.
    flags: AtomicU8,
    /// Facts that have not reached every registration yet, see [`Told`].
    undelivered: AtomicU64,
    /// Device and inode in one number; 0 while they are unknown. The two ends of a pipe have the
    /// same.
    mark: AtomicU64,
    /// A checksum of its name in `/proc`, if it has no inode of its own; 0 while that is unknown.
    name: AtomicU32,
    /// The time when a number was last compared with it, in milliseconds of the monotonic clock,
    /// truncated; 0 if there was no comparison.
    checked_at: AtomicU32,
    /// The exclusive registration that reports the present event.
    claim: Claim,
    /// The instance, if this is an epoll descriptor.
    ep: AtomicShort<Eventpoll>,
    /// The registrations, linked through `Epitem::next`. Changed under the graph's lock. A hook
    /// that finds the lock taken walks them without it.
    items: AtomicShort<Epitem>,
    graph: Lock<Graph>,
}

/// There was no space to write when the state was last seen, see `room.rs`.
const NO_SPACE: u8 = 1 << 7;
/// The position that the readers of a TCP stream have reached is known.
const PLACED: u8 = 1 << 6;
/// Urgent data has come, which readers step over.
const URGENT: u8 = 1 << 5;
/// For an eventfd: something adds to it without a call that a hook sees.
const ADDED_UNSEEN: u8 = URGENT;
/// A count of datagrams has moved the offset of peeks, and may not have restored it.
const MOVED: u8 = 1 << 4;
/// There has been a registration for the writable level.
const ROOM_WANTED: u8 = 1 << 3;
/// For a TCP connection: a write blocks if there is no space, as far as known.
const BLOCKS: u8 = 1 << 2;
/// The program shut down a side of the socket: a bit for SHUT_RD, and another for SHUT_WR.
const SHUT: u8 = 3;

pooled!(
    FILES,
    File,
    next_in_bucket,
    File {
        next_in_bucket: AtomicShort::none(),
        indexed: AtomicBool::new(false),
        kind: KindCell::unidentified(),
        edges: AtomicU32::new(0),
        consumed: AtomicU64::new(0),
        clock: AtomicU32::new(0),
        taken: AtomicU32::new(0),
        counting: AtomicU32::new(0),
        state: AtomicU32::new(0),
        tally: AtomicU32::new(0),
        peer: AtomicU8::new(0),
        flags: AtomicU8::new(0),
        undelivered: AtomicU64::new(0),
        mark: AtomicU64::new(0),
        name: AtomicU32::new(0),
        checked_at: AtomicU32::new(0),
        claim: Claim::new(),
        ep: AtomicShort::none(),
        items: AtomicShort::none(),
        graph: Lock::new(ranks::GRAPH, Graph { numbers: Numbers::NONE, pins: FilePins::NONE }),
    },
    lock = graph
);

impl File {
    /// The fields that the launcher reads from outside.
    pub const PLACES: [(Place, usize); 5] = [
        (Place::FileClock, offset_of!(File, clock)),
        (Place::FileEdges, offset_of!(File, edges)),
        (Place::FileFlags, offset_of!(File, flags)),
        (Place::FileNoSpace, NO_SPACE as usize),
        (Place::FileKind, offset_of!(File, kind)),
    ];

    /// A description without numbers or registrations.
    pub fn create() -> Result<&'static File, Errno> {
        let file = FILES.take()?;
        file.kind.set(Kind::Unidentified);
        file.edges.store(0, Relaxed);
        // The count of an earlier eventfd leaves no room for another one.
        file.consumed.store(0, Relaxed);
        file.taking().reset();
        file.peeking().reset();
        file.state.store(0, Relaxed);
        file.tally.store(0, Relaxed);
        file.peer.store(0, Relaxed);
        file.flags.store(0, Relaxed);
        file.undelivered.store(Told::nothing_since(file.clock()).0, Relaxed);
        file.mark.store(0, Relaxed);
        file.name.store(0, Relaxed);
        file.claim.lapse();
        file.ep.set(None);
        Ok(file)
    }

    /// Returns the record to the pool. The table must no longer refer to it.
    pub fn retire(&'static self) {
        self.ep.set(None);
        FILES.give_back(self);
    }

    /// The kind of the description.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.kind.get()
    }

    /// Makes sure that the kind is known.
    pub fn identify(&self, fd: c_int) -> Kind {
        if self.kind() == Kind::Unidentified {
            let stat = sys::fstat(fd);
            let (kind, tcp_state) = stat.map_or((Kind::Other, None), |stat| kind::of_stat(fd, &stat));
            self.kind.set(kind);
            match kind {
                Kind::Pipe | Kind::Fifo => {
                    let flags = sys::fcntl(fd, libc::F_GETFL, 0).unwrap_or(0);
                    self.kind.set_access(flags);
                }
                Kind::Tcp => {
                    let tcp = Tcp(self);
                    tcp.note_status_flags(sys::fcntl(fd, libc::F_GETFL, 0).unwrap_or(libc::O_NONBLOCK));
                    if tcp_state.is_some_and(awaits_ack) {
                        self.note_shut(libc::SHUT_WR);
                    }
                    tcp.set_defer_connect(tcp_state == Some(SYN_SENT));
                }
                Kind::UnixDgram if sys::level(fd, RDHUP) & RDHUP != 0 => self.note_shut(libc::SHUT_RD),
                _ => {}
            }
        }
        self.kind()
    }

    /// Identifies the description again: it has become a socket that listens or connects.
    pub fn identify_again(&self, fd: c_int) {
        self.peer.store(0, Relaxed);
        self.forget_position();
        if self.kind() != Kind::Unidentified {
            let (kind, tcp_state) = sys::fstat(fd).map_or((Kind::Other, None), |stat| kind::of_stat(fd, &stat));
            self.kind.set(kind);
            if let Some(tcp) = self.tcp() {
                tcp.set_defer_connect(tcp_state == Some(SYN_SENT));
            }
        }
    }

    /// Whether this end of a pipe can be read.
    pub fn reads(&self) -> bool {
        self.kind.access() != libc::O_WRONLY
    }

    /// Whether this end of a pipe can be written.
    pub fn writes(&self) -> bool {
        self.kind.access() != libc::O_RDONLY
    }

    /// The instance behind an epoll descriptor.
    #[inline]
    pub fn eventpoll(&self) -> Option<&'static Eventpoll> {
        self.ep.get()
    }

    /// Makes the description that of an epoll descriptor.
    pub fn set_eventpoll(&self, ep: &'static Eventpoll) {
        self.kind.set(Kind::Epoll);
        self.ep.set(Some(ep));
    }

    /// The exclusive registration that reports the present event.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// The amount that read-like calls have taken so far.
    pub fn consumed(&self) -> u64 {
        self.consumed.load(SeqCst)
    }

    /// Records that a read-like call took something.
    pub fn consume(&self, amount: u64) {
        self.consumed.fetch_add(amount, SeqCst);
    }

    /// Whether a registration may wait for space.
    pub fn is_room_wanted(&self) -> bool {
        self.flags.load(Relaxed) & ROOM_WANTED != 0
    }

    /// Records that a registration waits for space from here on.
    pub fn want_room(&self) {
        self.flags.fetch_or(ROOM_WANTED, Relaxed);
    }

    fn set_flag(&self, flag: u8, on: bool) {
        if on {
            self.flags.fetch_or(flag, Relaxed);
        } else {
            self.flags.fetch_and(!flag, Relaxed);
        }
    }

    /// Whether the program shut down this side of the socket: SHUT_RD or SHUT_WR.
    pub fn is_shut(&self, side: c_int) -> bool {
        self.flags.load(Relaxed) & (1 << side) != 0
    }

    /// Whether the program shut down its side of a connection whose state changes because of that.
    pub fn is_closing(&self) -> bool {
        self.kind() == Kind::Tcp && self.is_shut(libc::SHUT_WR)
    }

    /// Records that the program shut down a side of the socket, or both.
    pub fn note_shut(&self, how: c_int) {
        let sides = if how == libc::SHUT_RDWR { 3 } else { 1 << how };
        self.flags.fetch_or(sides, Relaxed);
    }

    /// The threads in a call that takes data and has not reported the amount.
    fn taking(&'static self) -> InFlight {
        InFlight::on(2 * Short::of(self).to_bits().get())
    }

    /// Begins a call that takes data. Until it has reported the amount, the amounts queued and
    /// taken do not add up.
    #[inline]
    pub fn begin_taking(&'static self) -> Taking {
        Taking { file: self, _mark: self.taking().begin() }
    }

    /// Runs `count`, which reads the queued amount and the taken amount. The second part of the
    /// result is true if a call was taking data meanwhile: its bytes may be missing from the sum,
    /// but are never in it twice.
    #[inline]
    pub fn while_others_take<T>(&'static self, count: impl FnOnce() -> T) -> (T, bool) {
        let (others, before) = (self.taking().by_others(), self.taken.load(SeqCst));
        let counted = count();
        (counted, others || self.taking().by_others() || before != self.taken.load(SeqCst))
    }

    /// Waits until the calls that take data have reported the amount, for a few microseconds and
    /// then for at most `naps` naps. A call may sleep for ever; one that cannot sleep may still
    /// wait for a processor.
    #[cold]
    pub fn await_takers(&'static self, naps: u32) {
        const NAP_NS: u32 = 50_000;
        for turn in 0..sync::SPINS + naps {
            if !self.taking().by_others() {
                return;
            }
            if turn < sync::SPINS {
                sync::spin_loop();
            } else {
                // The thread of the call may need this thread's processor.
                sync::nap(NAP_NS);
            }
        }
    }

    /// Begins a transfer call. Returns its time on the description's clock.
    #[inline]
    pub fn begin_call(&self) -> u32 {
        self.clock.fetch_add(1, SeqCst).wrapping_add(1)
    }

    /// The present time on the description's clock, for a report.
    pub fn clock(&self) -> u32 {
        self.clock.load(SeqCst)
    }

    /// Every description, in use or not.
    pub fn for_each(visit: impl FnMut(&'static File)) {
        FILES.for_each(visit);
    }

    /// In a forked child, forgets the calls of other threads, which are not in the child.
    pub fn reset_all_after_fork() {
        InFlight::reset_all_after_fork();
        FILES.for_each(|file| file.counting.store(0, Relaxed));
    }
}

/// A call in progress that takes data.
#[derive(Debug)]
pub struct Taking {
    file: &'static File,
    /// Dropped last: if a call ends between two looks at the threads in a call, `taken` shows it.
    _mark: Mark,
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.file.taken.fetch_add(1, SeqCst);
    }
}

// In debug builds a lock has a field for its rank.
#[cfg(not(any(test, debug_assertions)))]
const _: () = assert!(size_of::<File>() <= 88, "every registration has one");

/// The number of records in use, for the models.
#[cfg(test)]
pub fn in_use() -> usize {
    FILES.in_use()
}
