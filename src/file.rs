//! An open file description, as far as this process knows it: its numbers, the registrations on it, and what the witnesses
//! counted. Kernel counterpart: `struct file` with its `f_ep` list.

use libc::c_int;
use nix::errno::Errno;

use crate::edge::{Facts, READ_FACTS, UNSETTLED};
use crate::epitem::Epitem;
use crate::eventpoll::Eventpoll;
use crate::exclusive::Claim;
use crate::kind::{self, Kind};
use crate::lock::{Guard, Lock};
use crate::pool::{AtomicRef, Pool, Pooled};
use crate::sample;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64};
use crate::sys;
use crate::waitq::Stays;

static FILES: Pool<File> = Pool::new();

/// How many descriptions have somebody who waits for their edges.
static WITH_EDGES: AtomicU32 = AtomicU32::new(0);
/// How many of these are pipes.
static PIPES_WITH_EDGES: AtomicU32 = AtomicU32::new(0);
/// How many of these are FIFOs.
static FIFOS_WITH_EDGES: AtomicU32 = AtomicU32::new(0);
/// How many of these are signalfds.
static SIGNALFDS_WITH_EDGES: AtomicU32 = AtomicU32::new(0);

/// One open file description.
#[derive(Debug)]
pub struct File {
    free: AtomicRef<File>,
    kind: AtomicU8,
    /// How a pipe was opened: O_RDONLY, O_WRONLY or O_RDWR.
    access: AtomicI32,
    /// Its inode, once the kind is known. The two ends of a pipe have the same.
    inode: AtomicU64,
    /// Edge-triggered registrations: while there are none the witnesses have nobody to tell.
    edges: AtomicU32,
    /// Bytes, or connections, that read-like calls of this process took. Only counted while somebody needs it.
    consumed: AtomicU64,
    /// Counts the transfer calls that began: orders what they tell against the reports (see `Epitem::tell`).
    clock: AtomicU32,
    /// Peeking calls in progress; negative while we count datagrams, which moves the place where a peek begins.
    peeking: AtomicI32,
    /// What a unix socket's outgoing queue held at the last look.
    outgoing: AtomicU32,
    /// Empty datagrams in the queue that a count has stepped over: it will not see them again.
    empties: AtomicU32,
    /// What is known of a unix socket's peer, as [`Peer`].
    peer: AtomicU8,
    /// There was no room for more when last looked at; once there is, everybody who waits for it is woken.
    choked: AtomicBool,
    /// Which sides of a socket the program shut: a bit for SHUT_RD, another for SHUT_WR.
    shut: AtomicU8,
    /// Facts that not every registration was told of yet, see [`Told`].
    undelivered: AtomicU64,
    /// Device and inode in one number, for those who have no lock on the graph; 0 while they are not known.
    mark: AtomicU64,
    /// A sum over what `/proc` calls it, where it has no inode of its own; 0 while that is not known.
    name: AtomicU32,
    /// When a number was last compared with it, in milliseconds of the monotonic clock.
    checked_at: AtomicU64,
    /// Which exclusive registration has the event at hand.
    claim: Claim,
    /// The instance, if this is an epoll descriptor.
    ep: AtomicRef<Eventpoll>,
    /// The registrations, linked through `Epitem::next`. Changed under the graph's lock; a witness that finds it taken walks them
    /// without.
    items: AtomicRef<Epitem>,
    graph: Lock<Graph>,
}

/// The other end of a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Peer {
    /// Not asked yet.
    Unknown,
    /// It was there when last asked, if only shut down.
    There,
    /// There is none any more.
    Gone,
}

/// Facts to be told: what they are, when the latest of the calls began, and how many there were, so that facts which come while
/// others are told are not taken for told.
#[derive(Clone, Copy)]
struct Told(u64);

impl Told {
    const ONE: u64 = 1 << 16;

    fn nothing_since(clock: u32) -> Told {
        Told(u64::from(clock) << 32)
    }

    fn facts(self) -> Facts {
        self.0 as Facts
    }

    fn at(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn and(self, facts: Facts, at: u32) -> Told {
        // UNSETTLED asks for a look and says nothing of when.
        let at = if facts != UNSETTLED && is_later(at, self.at()) { at } else { self.at() };
        let low = (self.0.wrapping_add(Told::ONE) as u32) | u32::from(facts);
        Told(u64::from(at) << 32 | u64::from(low))
    }

    fn delivered(self) -> Told {
        Told(self.0 & !u64::from(Facts::MAX))
    }
}

/// Device and inode.
pub type Identity = (u64, u64);

/// Both in one number.
fn mark_of((device, inode): Identity) -> u64 {
    (device.rotate_left(40) ^ inode).max(1)
}

/// The part of the interest graph around one description; its registrations are reached through [`FileGuard`].
#[derive(Debug)]
pub struct Graph {
    /// The numbers that name the description. Empty when it is closed.
    pub numbers: Vec<c_int>,
    /// Device and inode, once known: tells when a number was closed and used again behind our back.
    pub identity: Option<Identity>,
    /// Who may still sit in `poll` on this description although its registration is gone (D4).
    pub lingering: Stays,
}

impl Pooled for File {
    const BLANK: File = File {
        free: AtomicRef::none(),
        kind: AtomicU8::new(0),
        access: AtomicI32::new(0),
        inode: AtomicU64::new(0),
        edges: AtomicU32::new(0),
        consumed: AtomicU64::new(0),
        clock: AtomicU32::new(0),
        peeking: AtomicI32::new(0),
        outgoing: AtomicU32::new(0),
        empties: AtomicU32::new(0),
        peer: AtomicU8::new(0),
        choked: AtomicBool::new(false),
        shut: AtomicU8::new(0),
        undelivered: AtomicU64::new(0),
        mark: AtomicU64::new(0),
        name: AtomicU32::new(0),
        checked_at: AtomicU64::new(0),
        claim: Claim::new(),
        ep: AtomicRef::none(),
        items: AtomicRef::none(),
        graph: Lock::new(Graph { numbers: Vec::new(), identity: None, lingering: Stays::NONE }),
    };

    fn free_link(&self) -> &AtomicRef<File> {
        &self.free
    }
}

impl File {
    /// A description without numbers or registrations.
    pub fn create() -> Result<&'static File, Errno> {
        let file = FILES.take()?;
        file.kind.store(Kind::Unidentified as u8, Relaxed);
        file.inode.store(0, Relaxed);
        file.edges.store(0, Relaxed);
        file.outgoing.store(0, Relaxed);
        file.empties.store(0, Relaxed);
        file.set_peer(Peer::Unknown);
        file.set_choked(false);
        file.shut.store(0, Relaxed);
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
    pub fn kind(&self) -> Kind {
        Kind::from_u8(self.kind.load(Relaxed))
    }

    /// Makes sure that the kind is known.
    pub fn identify(&self, fd: c_int) -> Kind {
        if self.kind() == Kind::Unidentified {
            self.inode.store(sys::fstat(fd).map_or(0, |stat| stat.st_ino), Relaxed);
            self.access.store(sys::fcntl(fd, libc::F_GETFL, 0).unwrap_or(0) & libc::O_ACCMODE, Relaxed);
            self.kind.store(kind::identify(fd) as u8, Relaxed);
            if self.kind() == Kind::Tcp && sample::awaits_ack(fd) {
                self.note_shut(libc::SHUT_WR);
            }
        }
        self.kind()
    }

    /// The description became something else: a socket that listens or connects.
    pub fn identify_again(&self, fd: c_int) {
        self.set_peer(Peer::Unknown);
        if self.kind() != Kind::Unidentified {
            self.kind.store(kind::identify(fd) as u8, Relaxed);
        }
    }

    /// Whether it is the end of a pipe that can be read.
    pub fn reads(&self) -> bool {
        self.access.load(Relaxed) != libc::O_WRONLY
    }

    /// Whether it is the end of a pipe that can be written.
    pub fn writes(&self) -> bool {
        self.access.load(Relaxed) != libc::O_RDONLY
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

    /// Takes down device and inode, from the graph. The next use of a number is compared with them.
    pub fn mark(&self, identity: Identity) {
        self.checked_at.store(0, Relaxed);
        self.mark.store(mark_of(identity), Relaxed);
    }

    /// The same as [`Self::is_named_by`], asked now and then only, for it is a system call; with `once_used` not before the first
    /// use after `mark`.
    pub fn is_likely_named_by(&self, fd: c_int, once_used: bool) -> bool {
        const CHECK_MS: u64 = 10;
        let before = self.checked_at.load(Relaxed);
        if once_used && before == 0 {
            return true;
        }
        let now = sys::coarse_ms();
        if now.saturating_sub(before) < CHECK_MS {
            return true;
        }
        self.checked_at.store(now, Relaxed);
        self.is_named_by(fd)
    }

    /// Whether the number still names the description, as far as device and inode tell, and where all share one inode the kind.
    pub fn is_named_by(&self, fd: c_int) -> bool {
        let mark = self.mark.load(Relaxed);
        if mark == 0 {
            return true;
        }
        match sys::fstat(fd) {
            Ok(stat) => mark_of((stat.st_dev, stat.st_ino)) == mark && self.is_of_kind(fd, &stat),
            // Where the question is not allowed the answer is not no.
            Err(errno) => errno != Errno::EBADF,
        }
    }

    /// Whether the number can be the description's, whose device and inode it has: what shares the anonymous inode has to have one
    /// name. It is taken down at the first comparison.
    pub fn is_of_kind(&self, fd: c_int, stat: &libc::stat) -> bool {
        if stat.st_mode & libc::S_IFMT != 0 {
            return true;
        }
        let mut buffer = [0; 64];
        let Ok(link) = sys::descriptor_link(fd, &mut buffer) else { return true };
        let name = link.iter().fold(1, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte))).max(1);
        let before = self.name.compare_exchange(0, name, Relaxed, Relaxed);
        before.is_ok() || before == Err(name)
    }

    /// Whether a witness has anybody to tell.
    #[inline]
    pub fn has_edges(&self) -> bool {
        self.edges.load(Relaxed) != 0
    }

    /// Counts edge-triggered registrations. The kind must be known.
    pub fn count_edges(&self, more: bool) {
        let change = |counter: &AtomicU32| match more {
            true => counter.fetch_add(1, SeqCst),
            false => counter.fetch_sub(1, SeqCst).wrapping_sub(1),
        };
        if change(&self.edges) == 0 {
            change(&WITH_EDGES);
            match self.kind() {
                Kind::Pipe => _ = change(&PIPES_WITH_EDGES),
                Kind::Fifo => {
                    change(&PIPES_WITH_EDGES);
                    change(&FIFOS_WITH_EDGES);
                }
                Kind::Signalfd => _ = change(&SIGNALFDS_WITH_EDGES),
                _ => {}
            }
        }
    }

    /// Whether anybody waits for the edges of a pipe.
    #[inline]
    pub fn any_pipe_edges() -> bool {
        PIPES_WITH_EDGES.load(Relaxed) != 0
    }

    /// Whether anybody waits for the edges of a FIFO.
    #[inline]
    pub fn any_fifo_edges() -> bool {
        FIFOS_WITH_EDGES.load(Relaxed) != 0
    }

    /// Whether anybody waits for the edges of a signalfd.
    #[inline]
    pub fn any_signal_edges() -> bool {
        SIGNALFDS_WITH_EDGES.load(Relaxed) != 0
    }

    /// Whether anybody waits for edges, on any description.
    #[inline]
    pub fn any_edges() -> bool {
        WITH_EDGES.load(Relaxed) != 0
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

    /// Notes what a unix socket's outgoing queue holds, and answers with what it held.
    pub fn note_outgoing(&self, bytes: u32) -> u32 {
        self.outgoing.swap(bytes, SeqCst)
    }

    /// Whether something written is still unread by the peer, as far as known.
    pub fn awaits_departures(&self) -> bool {
        self.outgoing.load(Relaxed) != 0
    }

    /// What is known of a unix socket's peer.
    pub fn peer(&self) -> Peer {
        match self.peer.load(Relaxed) {
            1 => Peer::There,
            2 => Peer::Gone,
            _ => Peer::Unknown,
        }
    }

    /// Notes what is known of a unix socket's peer.
    pub fn set_peer(&self, peer: Peer) {
        self.peer.store(peer as u8, Relaxed);
    }

    /// Whether there was no room when last looked at.
    pub fn is_choked(&self) -> bool {
        self.choked.load(Relaxed)
    }

    /// Notes whether there is room.
    pub fn set_choked(&self, choked: bool) {
        self.choked.store(choked, Relaxed);
    }

    /// Whether the program shut this side of the socket: SHUT_RD or SHUT_WR.
    pub fn is_shut(&self, side: c_int) -> bool {
        self.shut.load(Relaxed) & (1 << side) != 0
    }

    /// The program shut a side of the socket, or both.
    pub fn note_shut(&self, how: c_int) {
        let sides = if how == libc::SHUT_RDWR { 3 } else { 1 << how };
        self.shut.fetch_or(sides, Relaxed);
    }

    /// The descriptions with edges whose inode is this one: a socket, the two ends of a pipe, a FIFO that is open several times. At
    /// most eight are found.
    pub fn of_inode(inode: u64) -> impl Iterator<Item = &'static File> {
        let mut found = [None; 8];
        FILES.for_each(|file| {
            if file.has_edges()
                && file.inode.load(Relaxed) == inode
                && let Some(place) = found.iter_mut().find(|place| place.is_none())
            {
                *place = Some(file);
            }
        });
        found.into_iter().flatten()
    }

    /// The graph around the description.
    #[inline]
    pub fn graph(&'static self) -> FileGuard {
        FileGuard { file: self, guard: Some(self.graph.lock()) }
    }

    /// A call that peeks begins. It waits for a count in progress, which takes a microsecond.
    pub fn peek(&self) -> Peeking<'_> {
        while self.peeking.fetch_update(SeqCst, SeqCst, |n| (n >= 0).then_some(n + 1)).is_err() {
            crate::sync::spin_loop();
        }
        Peeking(self)
    }

    /// Runs `count` while nobody peeks; `None` if somebody does.
    pub fn while_nobody_peeks<T>(&self, count: impl FnOnce() -> T) -> Option<T> {
        self.peeking.compare_exchange(0, -1, SeqCst, SeqCst).ok()?;
        let counted = count();
        self.peeking.store(0, SeqCst);
        Some(counted)
    }

    /// A transfer call begins: its place in the order of things.
    pub fn begin_call(&self) -> u32 {
        self.clock.fetch_add(1, SeqCst).wrapping_add(1)
    }

    /// The place of a report in the order of things.
    pub fn clock(&self) -> u32 {
        self.clock.load(SeqCst)
    }

    /// Hands facts, of a call that began at `at`, to every registration. Never waits: if the graph is locked, by another thread or by
    /// this one when a signal handler is the caller, they are told without the lock, and once more by whoever holds it.
    pub fn tell(&'static self, facts: Facts, at: u32) {
        let add = |told| Some(Told(told).and(facts, at).0);
        let _ = self.undelivered.fetch_update(SeqCst, SeqCst, add);
        self.deliver();
    }

    fn deliver(&'static self) {
        loop {
            let told = Told(self.undelivered.load(SeqCst));
            if told.facts() == 0 {
                return;
            }
            let Some(_graph) = self.graph.try_lock() else { return self.tell_past_holder(told) };
            self.lapse_claim(told);
            self.items().for_each(|item| item.tell(told.facts(), told.at()));
            // Not before: this thread may be held up on the way, and then others have to tell.
            let _ = self.undelivered.compare_exchange(told.0, told.delivered().0, SeqCst, SeqCst);
        }
    }

    /// The holder of the graph may be held up, in a signal handler for instance, with a thread asleep that must hear of the facts now.
    /// If so the list stands still, and this walk reaches all of it. If not it may miss some, or stray into a record that was used
    /// again, where the facts cost a look; then the holder is about to let go, and tells all of them again.
    #[cold]
    fn tell_past_holder(&'static self, told: Told) {
        self.lapse_claim(told);
        let here = |item: &&Epitem| item.file().is_some_and(|file| std::ptr::eq(file, self));
        self.items().take_while(here).for_each(|item| item.tell_unlocked(told.facts(), told.at()));
    }

    fn lapse_claim(&self, told: Told) {
        if told.facts() & READ_FACTS != 0 {
            self.claim.lapse();
        }
    }

    fn items(&self) -> impl Iterator<Item = &'static Epitem> + use<> {
        std::iter::successors(self.items.get(), |item| item.next.get())
    }

    /// Whether nothing waits to be told, for the models.
    #[cfg(test)]
    pub fn has_told_all(&self) -> bool {
        Told(self.undelivered.load(SeqCst)).facts() == 0
    }

    /// Delivers what could not be delivered while a fork had the locks.
    pub fn deliver_all() {
        FILES.for_each(|file| {
            file.deliver();
        });
    }

    /// In a forked child: the peeks of other threads did not come along.
    pub fn reset_all_after_fork() {
        FILES.for_each(|file| file.peeking.store(0, Relaxed));
    }

    /// Whether no description is locked.
    pub fn all_at_rest() -> bool {
        FILES.is_at_rest(|file| file.graph.is_free())
    }

    /// Every lock of every description, for fork.
    pub fn lock_all_for_fork() {
        FILES.lock_for_fork(|file| file.graph.lock_for_fork());
    }

    /// # Safety
    /// As for [`Lock::unlock_after_fork`].
    pub unsafe fn unlock_all_after_fork() {
        // SAFETY: the caller answers for it.
        unsafe { FILES.unlock_after_fork(|file| file.graph.unlock_after_fork()) }
    }
}

/// A peeking call in progress.
#[derive(Debug)]
pub struct Peeking<'a>(&'a File);

impl Drop for Peeking<'_> {
    fn drop(&mut self) {
        self.0.peeking.fetch_sub(1, SeqCst);
    }
}

/// The right to use a description's graph. Letting go of it delivers the facts that came meanwhile.
#[derive(Debug)]
pub struct FileGuard {
    file: &'static File,
    guard: Option<Guard<'static, Graph>>,
}

impl FileGuard {
    /// The registrations on the description.
    pub fn items(&self) -> impl Iterator<Item = &'static Epitem> + use<> {
        self.file.items()
    }

    /// The registration of the number in the instance: the key of T4.
    pub fn find(&self, ep: &'static Eventpoll, number: c_int) -> Option<&'static Epitem> {
        self.items().find(|item| item.number() == number && item.is_of(ep))
    }

    /// Adds a registration, behind the others.
    pub fn link(&mut self, item: &'static Epitem) {
        item.next.set(None);
        match self.items().last() {
            Some(last) => last.next.set(Some(item)),
            None => self.file.items.set(Some(item)),
        }
    }

    /// Takes a registration out. Its own link stays, for those who walk without the lock.
    pub fn unlink(&mut self, item: &'static Epitem) {
        match self.items().find(|other| other.next.get().is_some_and(|next| std::ptr::eq(next, item))) {
            Some(before) => before.next.set(item.next.get()),
            None => self.file.items.set(item.next.get()),
        }
    }

    /// Whether nothing is registered.
    pub fn is_unwatched(&self) -> bool {
        self.file.items.get().is_none()
    }
}

impl std::ops::Deref for FileGuard {
    type Target = Graph;

    fn deref(&self) -> &Graph {
        match &self.guard {
            Some(guard) => guard,
            None => unreachable!("the guard is there until drop"),
        }
    }
}

impl std::ops::DerefMut for FileGuard {
    fn deref_mut(&mut self) -> &mut Graph {
        match &mut self.guard {
            Some(guard) => guard,
            None => unreachable!("the guard is there until drop"),
        }
    }
}

impl Drop for FileGuard {
    fn drop(&mut self) {
        self.guard = None;
        self.file.deliver();
    }
}

fn is_later(at: u32, than: u32) -> bool {
    at.wrapping_sub(than).cast_signed() > 0
}

/// Raises a clock reading to a later one. A call that began long ago must not take back what a younger one told.
pub fn raise(clock: &AtomicU32, at: u32) {
    let _ = clock.fetch_update(SeqCst, SeqCst, |now| is_later(at, now).then_some(at));
}

/// How many records are in use, for the models.
#[cfg(test)]
pub fn in_use() -> usize {
    FILES.in_use()
}
