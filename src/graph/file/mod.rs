//! An open file description, as far as this process knows it: its numbers, the registrations on it, and what the witnesses
//! counted. Kernel counterpart: `struct file` with its `f_ep` list.

mod edge_watch_counts;
mod errors;
mod graph;
mod identity;
pub mod in_flight;
pub mod index;
pub mod kind;
mod numbers;
mod ops;
mod room;
pub mod source;
mod tcp_rmem_drops;

use libc::c_int;
use nix::errno::Errno;

use crate::INTERPOSES;
use crate::events::RDHUP;
use crate::facts;
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
use crate::tcp::{self, TcpState};

pub use edge_watch_counts::MOST_ENDS;
pub use graph::{FileGuard, Graph, raise};
pub use identity::Allowance;
pub use numbers::{Numbers, SEVERAL};
pub use ops::{FileOps, Look, READABLE_INSTANCE};
pub use room::Finder;
pub use tcp_rmem_drops::Memory;

use graph::Told;
use in_flight::{Mark, Underway};

pub static FILES: Pool<File> = Pool::new();

/// One open file description.
#[derive(Debug)]
pub struct File {
    /// The next description in the index; while the record is free, the next free one.
    beside: AtomicShort<File>,
    /// Whether it is in the index.
    indexed: AtomicBool,
    /// What it is, and above [`ACCESS`] how a pipe was opened: O_RDONLY, O_WRONLY or O_RDWR.
    kind: AtomicU8,
    /// Edge-triggered registrations: while there are none the witnesses have nobody to tell.
    edges: AtomicU32,
    /// Bytes, or connections, that read-like calls of this process took. Only counted while somebody needs it. Of a TCP connection whose
    /// place is known, all that were ever taken.
    consumed: AtomicU64,
    /// Counts the transfer calls that began: orders what they tell against the reports (see `Epitem::tell`).
    clock: AtomicU32,
    /// How many calls that take have ended.
    taken: AtomicU32,
    /// We count datagrams, which moves the place where a peek begins.
    counting: AtomicU32,
    /// What a unix socket's outgoing queue held at the last look; of a TCP or UDP socket, what is
    /// known of its queue of errors (see `errors.rs`); of a source, the levels that are posted.
    outgoing: AtomicU32,
    /// Empty datagrams in the queue that a count has stepped over: it will not see them again. Of a TCP connection, what it had no memory
    /// for (see `shortage.rs`). Of an eventfd, the calls that added to it. Of a source, how many look at it, or change it, at this moment. Of a
    /// file with fleeting levels, those that were found (see `fleeting.rs`).
    empties: AtomicU32,
    /// What is known of a unix socket's peer, as [`Peer`]; of a TCP socket, whether its connection
    /// is [`PUT_OFF`].
    peer: AtomicU8,
    /// [`NO_SPACE`] and those below it, and which sides of a socket the program shut: a bit for SHUT_RD, another for SHUT_WR.
    flags: AtomicU8,
    /// Facts that not every registration was told of yet, see [`Told`].
    undelivered: AtomicU64,
    /// Device and inode in one number; 0 while they are not known. The two ends of a pipe have the same.
    mark: AtomicU64,
    /// A sum over what `/proc` calls it, where it has no inode of its own; 0 while that is not known.
    name: AtomicU32,
    /// When a number was last compared with it, in milliseconds of the monotonic clock, as far as they fit; 0 if it was not.
    checked_at: AtomicU32,
    /// Which exclusive registration has the event at hand.
    claim: Claim,
    /// The instance, if this is an epoll descriptor.
    ep: AtomicShort<Eventpoll>,
    /// The registrations, linked through `Epitem::next`. Changed under the graph's lock; a witness that finds it taken walks them
    /// without.
    items: AtomicShort<Epitem>,
    graph: Lock<Graph>,
}

/// How far to the left of the kind the access stands.
const ACCESS: u32 = 6;
/// There was no space to write when last heard of, see `room.rs`.
const NO_SPACE: u8 = 1 << 7;
/// It is known how far into a TCP stream its readers have come.
const PLACED: u8 = 1 << 6;
/// Urgent data has come in it, which readers step over.
const URGENT: u8 = 1 << 5;
/// Of an eventfd: somebody adds to it whom no witness sees.
const ADDED_UNSEEN: u8 = URGENT;
/// A count of datagrams has moved the place where a peek begins, and it may not be back where it was.
const MOVED: u8 = 1 << 4;
/// There was a registration for room in it.
const ROOM_WANTED: u8 = 1 << 3;
/// Of a TCP connection: a write waits for room, as far as we know. Of a UDP socket: what was spliced into it is held back for more to come.
const WAITS: u8 = 1 << 2;

/// In place of a [`Peer`]: the connection begins with the first write (TCP_FASTOPEN_CONNECT), or
/// has begun and is not there yet.
const PUT_OFF: u8 = 4;

/// The other end of a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Peer {
    /// Not asked yet.
    Unknown,
    /// The connection waited to be accepted when last asked.
    Awaited,
    /// It was there when last asked, if only shut down.
    There,
    /// There is none any more.
    Gone,
}

pooled!(
    FILES,
    File,
    beside,
    File {
        beside: AtomicShort::none(),
        indexed: AtomicBool::new(false),
        kind: AtomicU8::new(0),
        edges: AtomicU32::new(0),
        consumed: AtomicU64::new(0),
        clock: AtomicU32::new(0),
        taken: AtomicU32::new(0),
        counting: AtomicU32::new(0),
        outgoing: AtomicU32::new(0),
        empties: AtomicU32::new(0),
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
    /// A description without numbers or registrations.
    pub fn create() -> Result<&'static File, Errno> {
        let file = FILES.take()?;
        file.kind.store(Kind::Unidentified as u8, Relaxed);
        file.edges.store(0, Relaxed);
        // What an eventfd counted leaves no room for more.
        file.consumed.store(0, Relaxed);
        file.taking().reset();
        file.peeking().reset();
        file.outgoing.store(0, Relaxed);
        file.empties.store(0, Relaxed);
        file.set_peer(Peer::Unknown);
        file.flags.store(0, Relaxed);
        file.undelivered.store(Told::nothing_since(file.clock()).0, Relaxed);
        file.mark.store(0, Relaxed);
        file.name.store(0, Relaxed);
        file.claim.lapse();
        file.ep.set(None);
        Ok(file)
    }

    /// Gives the record back. Nobody may find it in the table any more.
    pub fn retire(&'static self) {
        self.ep.set(None);
        FILES.give_back(self);
    }

    /// What the description is.
    #[inline]
    pub fn kind(&self) -> Kind {
        Kind::from_u8(self.kind.load(Relaxed) & ((1 << ACCESS) - 1))
    }

    /// Makes sure that the kind is known.
    pub fn identify(&self, fd: c_int) -> Kind {
        if self.kind() == Kind::Unidentified {
            let stat = sys::fstat(fd);
            let (kind, tcp_state) = stat.map_or((Kind::Other, None), |stat| kind::of_stat(fd, &stat));
            self.kind.store(kind as u8, Relaxed);
            match kind {
                Kind::Pipe | Kind::Fifo => {
                    let flags = sys::fcntl(fd, libc::F_GETFL, 0).unwrap_or(0);
                    self.kind.fetch_or(((flags & libc::O_ACCMODE) as u8) << ACCESS, Relaxed);
                }
                Kind::Tcp => {
                    self.note_blocking(sys::fcntl(fd, libc::F_GETFL, 0).unwrap_or(libc::O_NONBLOCK));
                    if tcp_state.is_some_and(tcp::awaits_ack) {
                        self.note_shut(libc::SHUT_WR);
                    }
                    self.put_off(tcp_state == Some(tcp::SYN_SENT));
                }
                Kind::UnixDgram if sys::level(fd, RDHUP) & RDHUP != 0 => self.note_shut(libc::SHUT_RD),
                _ => {}
            }
        }
        self.kind()
    }

    /// The description became something else: a socket that listens or connects.
    pub fn identify_again(&self, fd: c_int) {
        self.set_peer(Peer::Unknown);
        self.lose_place();
        if self.kind() != Kind::Unidentified {
            let (kind, tcp_state) = sys::fstat(fd).map_or((Kind::Other, None), |stat| kind::of_stat(fd, &stat));
            self.kind.store(kind as u8, Relaxed);
            self.put_off(tcp_state == Some(tcp::SYN_SENT));
        }
    }

    /// Whether a pipe's end can be read.
    pub fn reads(&self) -> bool {
        i32::from(self.kind.load(Relaxed) >> ACCESS) != libc::O_WRONLY
    }

    /// Whether a pipe's end can be written.
    pub fn writes(&self) -> bool {
        i32::from(self.kind.load(Relaxed) >> ACCESS) != libc::O_RDONLY
    }

    /// The instance behind an epoll descriptor.
    #[inline]
    pub fn eventpoll(&self) -> Option<&'static Eventpoll> {
        self.ep.get()
    }

    /// Makes the description an epoll descriptor's.
    pub fn set_eventpoll(&self, ep: &'static Eventpoll) {
        self.kind.store(Kind::Epoll as u8, Relaxed);
        self.ep.set(Some(ep));
    }

    /// Which exclusive registration has the event at hand.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// What read-like calls took so far.
    pub fn consumed(&self) -> u64 {
        self.consumed.load(SeqCst)
    }

    /// A read-like call took something.
    pub fn consume(&self, amount: u64) {
        self.consumed.fetch_add(amount, SeqCst);
    }

    /// How many bytes of a TCP stream were taken since its beginning; none if that is not known. Too few, if somebody whom we do not see took
    /// some.
    pub fn place(&self) -> Option<u64> {
        (self.flags.load(SeqCst) & (PLACED | URGENT) == PLACED).then(|| self.consumed())
    }

    /// When read-like calls of this process had taken `consumed` bytes, the readers of the stream had come to `place`.
    pub fn set_place(&self, place: u64, consumed: u64) {
        if self.flags.fetch_or(PLACED, SeqCst) & PLACED == 0 {
            self.consumed.fetch_add(place.wrapping_sub(consumed), SeqCst);
        }
    }

    /// Urgent data came in the stream: from here on its place is not known.
    pub fn note_urgent(&self) {
        self.flags.fetch_or(URGENT, SeqCst);
    }

    /// What was taken of the stream may not have been counted, or will not be.
    pub fn lose_place(&self) {
        self.flags.fetch_and(!PLACED, SeqCst);
    }

    /// Empty datagrams that a count has seen and nobody has taken yet.
    pub fn empties(&self) -> u32 {
        self.empties.load(SeqCst)
    }

    /// A count saw an empty datagram.
    pub fn saw_empty(&self) {
        self.empties.fetch_add(1, SeqCst);
    }

    /// Empty datagrams were taken. Those no count has seen are none to forget.
    pub fn took_empty(&self, number: u64) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let _ = self.empties.fetch_update(SeqCst, SeqCst, |seen| (seen > 0).then(|| seen.saturating_sub(number)));
    }

    /// How many calls were seen that add to the eventfd, or may have.
    pub fn adds(&self) -> u32 {
        self.empties.load(SeqCst)
    }

    /// A call begins that adds to the eventfd.
    pub fn begin_add(&self) {
        self.empties.fetch_add(1, SeqCst);
    }

    /// Whether the eventfd was found to be added to by somebody whom no witness sees.
    pub fn is_added_to_unseen(&self) -> bool {
        self.flags.load(Relaxed) & ADDED_UNSEEN != 0 && self.kind().is_eventfd()
    }

    /// Somebody whom no witness sees adds to the eventfd.
    pub fn note_unseen_add(&self) {
        self.flags.fetch_or(ADDED_UNSEEN, Relaxed);
    }

    /// Whether somebody may add to the eventfd unseen: another process, or the kernel.
    pub fn is_shared_eventfd(&self) -> bool {
        self.kind().is_eventfd() && (facts::has_forked() || !INTERPOSES || self.is_added_to_unseen())
    }

    /// Notes what a unix socket's outgoing queue holds, and answers with what it held.
    pub fn note_outgoing(&self, bytes: u32) -> u32 {
        self.outgoing.swap(bytes, SeqCst)
    }

    /// What a look found on a file that shows it once, and nobody was shown since.
    pub fn kept(&self) -> &AtomicU32 {
        &self.empties
    }

    /// Whether something written is still unread by the peer, as far as known.
    pub fn awaits_departures(&self) -> bool {
        self.outgoing.load(Relaxed) != 0 && self.kind().is_unix_data()
    }

    /// What is known of a unix socket's peer.
    pub fn peer(&self) -> Peer {
        match self.peer.load(Relaxed) {
            1 => Peer::Awaited,
            2 => Peer::There,
            3 => Peer::Gone,
            _ => Peer::Unknown,
        }
    }

    /// Notes what is known of a unix socket's peer.
    pub fn set_peer(&self, peer: Peer) {
        self.peer.store(peer as u8, Relaxed);
    }

    /// Whether the connection of a TCP socket begins with the first write, as far as known.
    #[inline]
    pub fn is_put_off(&self) -> bool {
        self.kind() == Kind::Tcp && self.peer.load(Relaxed) == PUT_OFF
    }

    /// Takes down whether it does.
    pub fn put_off(&self, is_put_off: bool) {
        if self.kind() == Kind::Tcp {
            self.peer.store(if is_put_off { PUT_OFF } else { 0 }, Relaxed);
        }
    }

    /// A TCP socket came to this state by a call that connects or disconnects: what was shut of an
    /// earlier connection is open, and its bytes do not count.
    pub fn begin_anew(&self, state: Option<TcpState>) {
        self.lose_place();
        if matches!(state, Some(tcp::CLOSE | tcp::SYN_SENT | tcp::ESTABLISHED)) {
            self.flags.fetch_and(!3, Relaxed);
        }
    }

    /// Whether anybody may wait for room.
    pub fn is_room_wanted(&self) -> bool {
        self.flags.load(Relaxed) & ROOM_WANTED != 0
    }

    /// Somebody waits for room from here on.
    pub fn want_room(&self) {
        self.flags.fetch_or(ROOM_WANTED, Relaxed);
    }

    /// Whether a write to the TCP connection waits where there is no room.
    #[inline]
    pub fn waits_for_room(&self) -> bool {
        self.flags.load(Relaxed) & WAITS != 0 && self.kind() == Kind::Tcp
    }

    /// Takes down whether a write to the TCP connection waits, of the flags of its description.
    pub fn note_blocking(&self, flags: c_int) {
        self.set_flag(WAITS, flags & libc::O_NONBLOCK == 0);
    }

    /// Whether a UDP socket holds back what was spliced into it.
    #[inline]
    pub fn holds_back(&self) -> bool {
        self.flags.load(Relaxed) & WAITS != 0 && self.kind() == Kind::Udp
    }

    /// Takes down whether a UDP socket holds something back.
    pub fn note_held_back(&self, holds: bool) {
        self.set_flag(WAITS, holds);
    }

    fn set_flag(&self, flag: u8, on: bool) {
        if on {
            self.flags.fetch_or(flag, Relaxed);
        } else {
            self.flags.fetch_and(!flag, Relaxed);
        }
    }

    /// Whether the program shut this side of the socket: SHUT_RD or SHUT_WR.
    pub fn is_shut(&self, side: c_int) -> bool {
        self.flags.load(Relaxed) & (1 << side) != 0
    }

    /// Whether the program shut its side of a connection that goes through states because of it.
    pub fn is_closing(&self) -> bool {
        self.kind() == Kind::Tcp && self.is_shut(libc::SHUT_WR)
    }

    /// The program shut a side of the socket, or both.
    pub fn note_shut(&self, how: c_int) {
        let sides = if how == libc::SHUT_RDWR { 3 } else { 1 << how };
        self.flags.fetch_or(sides, Relaxed);
    }

    /// Who is in a call that takes and has not said how much.
    fn taking(&'static self) -> Underway {
        Underway::on(2 * Short::of(self).to_bits().get())
    }

    /// Who is in a peeking call.
    fn peeking(&'static self) -> Underway {
        Underway::on(2 * Short::of(self).to_bits().get() + 1)
    }

    /// A call that takes begins. Until it has said how much it took, what is queued and what was taken do not add up.
    #[inline]
    pub fn begin_taking(&'static self) -> Taking {
        Taking { file: self, _mark: self.taking().begin() }
    }

    /// Runs `count`, which looks at what is queued and at what was taken. The answer's second part tells whether a call was taking
    /// something meanwhile: its bytes may be missing from the sum, and never count twice.
    #[inline]
    pub fn while_others_take<T>(&'static self, count: impl FnOnce() -> T) -> (T, bool) {
        let (others, before) = (self.taking().by_others(), self.taken.load(SeqCst));
        let counted = count();
        (counted, others || self.taking().by_others() || before != self.taken.load(SeqCst))
    }

    /// Waits for calls that take something to say how much, if that is a matter of microseconds: not for one that sleeps.
    #[cold]
    pub fn await_takers(&'static self) {
        const NAP_NS: u32 = 50_000;
        for turn in 0..=sync::SPINS {
            if !self.taking().by_others() {
                return;
            }
            if turn < sync::SPINS {
                sync::spin_loop();
            } else {
                // Its thread may have to wait for this one's processor.
                sync::nap(NAP_NS);
            }
        }
    }

    /// A call that peeks begins. It waits for a count in progress, which takes a microsecond; not for one of its own thread, which a signal
    /// handler interrupted.
    pub fn peek(&'static self) -> Peeking {
        let mut turns = 0;
        loop {
            let mark = self.peeking().begin();
            let counting = self.counting.load(SeqCst);
            if counting == 0 || counting == in_flight::own_number() {
                return Peeking { _mark: mark };
            }
            drop(mark);
            self.await_count(counting, &mut turns);
        }
    }

    /// The same, for a call that cannot wait; `None` while somebody counts.
    pub fn try_peek(&'static self) -> Option<Peeking> {
        let mark = self.peeking().begin();
        (self.counting.load(SeqCst) == 0).then_some(Peeking { _mark: mark })
    }

    /// Runs `count` while nobody peeks; `None` if somebody does. Another count it waits for, also if its thread has to wait for a
    /// processor; but not for ever, because a signal handler may hold it up, and not for one that was interrupted in this thread.
    pub fn while_nobody_peeks<T>(&'static self, count: impl FnOnce() -> T) -> Option<T> {
        const PATIENCE: u32 = sync::SPINS + 1000;
        let me = in_flight::own_number();
        let mut turns = 0;
        while let Err(other) = self.counting.compare_exchange(0, me, SeqCst, SeqCst) {
            if other == me || turns > PATIENCE {
                return None;
            }
            self.await_count(other, &mut turns);
        }
        let counted = if self.peeking().by_others() { None } else { Some(count()) };
        self.counting.store(0, SeqCst);
        counted
    }

    /// The place where a peek begins is about to be moved.
    pub fn move_peeks(&self) {
        self.flags.fetch_or(MOVED, SeqCst);
    }

    /// Whether the place where a peek begins was moved by a count, and may not be back: then it is not the program that has it where it is.
    #[inline]
    pub fn has_moved_peeks(&self) -> bool {
        self.flags.load(SeqCst) & MOVED != 0
    }

    /// Runs `put_back`, which puts the place where a peek begins back, while this thread counts and nobody peeks. A call that takes moves the
    /// place by what it took, and the kernel reads and writes it in two steps; so it is back only if there was no such call meanwhile.
    pub fn put_back_peeks<T>(&'static self, put_back: impl FnOnce() -> T) -> T {
        let (answer, ran_into) = self.while_others_take(put_back);
        if !ran_into {
            self.flags.fetch_and(!MOVED, SeqCst);
        }
        answer
    }

    /// After a count, or a call that took: if one ran into the other, the place where a peek begins is put back once more, by whoever is done
    /// last. Never waits: who counts, or takes, comes here after that; and what a peek is in the way of is left to the next of them.
    #[inline]
    pub fn settle_peeks(&'static self, put_back: impl Fn()) {
        while self.has_moved_peeks() && !self.taking().by_others() {
            let is_mine = self.counting.compare_exchange(0, in_flight::own_number(), SeqCst, SeqCst).is_ok();
            let may_settle = is_mine && !self.peeking().by_others();
            if may_settle {
                self.put_back_peeks(&put_back);
            }
            if is_mine {
                self.counting.store(0, SeqCst);
            }
            if !may_settle {
                return;
            }
        }
    }

    /// One turn of waiting for a count of another thread.
    fn await_count(&self, thread: u32, turns: &mut u32) {
        const PAUSE_NS: u32 = 100_000;
        *turns = turns.saturating_add(1);
        if *turns <= sync::SPINS {
            sync::spin_loop();
        } else {
            sync::futex_wait(&self.counting, thread, Some(PAUSE_NS));
        }
    }

    /// A transfer call begins: its place in the order of things.
    #[inline]
    pub fn begin_call(&self) -> u32 {
        self.clock.fetch_add(1, SeqCst).wrapping_add(1)
    }

    /// The place of a report in the order of things.
    pub fn clock(&self) -> u32 {
        self.clock.load(SeqCst)
    }

    /// Every description, in use or not.
    pub fn for_each(visit: impl FnMut(&'static File)) {
        FILES.for_each(visit);
    }

    /// In a forked child: the calls of other threads did not come along.
    pub fn reset_all_after_fork() {
        Underway::reset_all_after_fork();
        FILES.for_each(|file| file.counting.store(0, Relaxed));
    }
}

/// A call in progress that takes.
#[derive(Debug)]
pub struct Taking {
    file: &'static File,
    /// Goes last: between two looks at who is in a call, one that has ended shows in the number of these.
    _mark: Mark,
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.file.taken.fetch_add(1, SeqCst);
    }
}

/// A peeking call in progress.
#[derive(Debug)]
pub struct Peeking {
    _mark: Mark,
}

// In debug builds a lock knows its rank.
#[cfg(not(any(test, debug_assertions)))]
const _: () = assert!(size_of::<File>() <= 88, "every registration has one");

/// How many records are in use, for the models.
#[cfg(test)]
pub fn in_use() -> usize {
    FILES.in_use()
}
