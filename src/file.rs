//! An open file description, as far as this process knows it: its numbers, the registrations on it, and what the witnesses
//! counted. Kernel counterpart: `struct file` with its `f_ep` list.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU16, AtomicU32, AtomicU64};

use libc::c_int;
use nix::errno::Errno;

use crate::edge::{Facts, READ_FACTS};
use crate::epitem::Epitem;
use crate::eventpoll::Eventpoll;
use crate::exclusive::Claim;
use crate::kind::{self, Kind};
use crate::lock::{self, Guard, Lock};
use crate::pool::{AtomicRef, Pool, Pooled};
use crate::waitq::Lingering;

static FILES: Pool<File> = Pool::new();

/// One open file description.
#[derive(Debug)]
pub struct File {
    free: AtomicRef<File>,
    kind: AtomicU8,
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
    /// Facts that a witness could not hand out because the graph was locked; the holder does it.
    undelivered: AtomicU16,
    /// When the latest of those calls began.
    undelivered_at: AtomicU32,
    /// Which exclusive registration has the event at hand.
    claim: Claim,
    /// The instance, if this is an epoll descriptor.
    ep: AtomicRef<Eventpoll>,
    graph: Lock<Graph>,
}

/// Device and inode.
pub type Identity = (u64, u64);

/// The part of the interest graph around one description.
#[derive(Debug)]
pub struct Graph {
    /// The numbers that name the description. Empty when it is closed.
    pub numbers: Vec<c_int>,
    /// The registrations, linked through `Epitem::next`.
    items: Option<&'static Epitem>,
    /// Device and inode, once known: tells when a number was closed and used again behind our back.
    pub identity: Option<Identity>,
    /// Who may still sit in `poll` on this description although its registration is gone (D4).
    pub lingering: Vec<Lingering>,
}

impl Pooled for File {
    const BLANK: File = File {
        free: AtomicRef::none(),
        kind: AtomicU8::new(0),
        edges: AtomicU32::new(0),
        consumed: AtomicU64::new(0),
        clock: AtomicU32::new(0),
        peeking: AtomicI32::new(0),
        outgoing: AtomicU32::new(0),
        undelivered: AtomicU16::new(0),
        undelivered_at: AtomicU32::new(0),
        claim: Claim::new(),
        ep: AtomicRef::none(),
        graph: Lock::new(Graph { numbers: Vec::new(), items: None, identity: None, lingering: Vec::new() }),
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
        file.edges.store(0, Relaxed);
        file.outgoing.store(0, Relaxed);
        file.undelivered.store(0, Relaxed);
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
            self.kind.store(kind::identify(fd) as u8, Relaxed);
        }
        self.kind()
    }

    /// The description became something else: a socket that listens or connects.
    pub fn identify_again(&self, fd: c_int) {
        if self.kind() != Kind::Unidentified {
            self.kind.store(kind::identify(fd) as u8, Relaxed);
        }
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

    /// Whether a witness has anybody to tell.
    #[inline]
    pub fn has_edges(&self) -> bool {
        self.edges.load(Relaxed) != 0
    }

    /// Counts edge-triggered registrations.
    pub fn count_edges(&self, more: bool) {
        if more {
            self.edges.fetch_add(1, SeqCst)
        } else {
            self.edges.fetch_sub(1, SeqCst)
        };
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

    /// Notes what a unix socket's outgoing queue holds, and answers with what it held.
    pub fn note_outgoing(&self, bytes: u32) -> u32 {
        self.outgoing.swap(bytes, SeqCst)
    }

    /// Whether something written is still unread by the peer, as far as known.
    pub fn awaits_departures(&self) -> bool {
        self.outgoing.load(Relaxed) != 0
    }

    /// The graph around the description.
    #[inline]
    pub fn graph(&'static self) -> FileGuard {
        FileGuard { file: self, guard: Some(self.graph.lock()) }
    }

    /// A call that peeks begins. It waits for a count in progress, which takes a microsecond.
    pub fn peek(&self) -> Peeking<'_> {
        while self.peeking.fetch_update(SeqCst, SeqCst, |n| (n >= 0).then_some(n + 1)).is_err() {
            std::hint::spin_loop();
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

    /// Hands facts, of a call that began at `at`, to every registration. Never waits: if the graph is locked, by another
    /// thread or by this one when a signal handler is the caller, whoever holds it delivers.
    pub fn tell(&'static self, facts: Facts, at: u32) {
        self.tell_from(facts, at, lock::interrupted());
    }

    /// The same, from inside the library, where locks may be held that have nothing to do with an inbox.
    pub fn tell_inside(&'static self, facts: Facts, at: u32) {
        self.tell_from(facts, at, false);
    }

    fn tell_from(&'static self, facts: Facts, at: u32, in_handler: bool) {
        raise(&self.undelivered_at, at);
        self.undelivered.fetch_or(facts, SeqCst);
        self.deliver(in_handler);
    }

    fn deliver(&'static self, in_handler: bool) {
        while self.undelivered.load(SeqCst) != 0 {
            let Some(graph) = self.graph.try_lock() else { return };
            let facts = self.undelivered.swap(0, SeqCst);
            if facts & READ_FACTS != 0 {
                self.claim.lapse();
            }
            for item in graph.items() {
                item.tell(facts, self.undelivered_at.load(SeqCst), in_handler);
            }
        }
    }

    /// Delivers what could not be delivered while a fork had the locks.
    pub fn deliver_all() {
        FILES.for_each(|file| {
            if file.undelivered.load(SeqCst) != 0 {
                file.deliver(false);
            }
        });
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

impl Graph {
    /// The registrations on the description.
    pub fn items(&self) -> impl Iterator<Item = &'static Epitem> + use<> {
        std::iter::successors(self.items, |item| item.next.get())
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
            None => self.items = Some(item),
        }
    }

    /// Takes a registration out.
    pub fn unlink(&mut self, item: &'static Epitem) {
        match self.items().find(|other| other.next.get().is_some_and(|next| std::ptr::eq(next, item))) {
            Some(before) => before.next.set(item.next.get()),
            None => self.items = item.next.get(),
        }
    }

    /// Whether nothing is registered.
    pub fn is_unwatched(&self) -> bool {
        self.items.is_none()
    }
}

/// The right to use a description's graph. Letting go of it delivers the facts that came meanwhile.
#[derive(Debug)]
pub struct FileGuard {
    file: &'static File,
    guard: Option<Guard<'static, Graph>>,
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
        if self.file.undelivered.load(SeqCst) != 0 {
            self.file.deliver(false);
        }
    }
}

/// Raises a clock reading to a later one. A call that began long ago must not take back what a younger one told.
pub fn raise(clock: &AtomicU32, at: u32) {
    let _ = clock.fetch_update(SeqCst, SeqCst, |now| (at.wrapping_sub(now).cast_signed() > 0).then_some(at));
}
