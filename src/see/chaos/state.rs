//! What the program may know about each registration: a history in which an event comes later is
//! possible only if nothing has shown the program that the level is high.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use arrayvec::ArrayVec;
use epolyfill_audit::{FileId, Mirror, Registration, RegistrationId};
use epolyfill_chaos::Place;
use epolyfill_facts::{Call, Class, Event, Fact, Kind, Op, Stamp};
use epolyfill_rules::events::{EXCLUSIVE, HUP, IN, ONESHOT, OUT, RDHUP};
use hashbrown::HashMap;
use libc::{EAGAIN, c_int};

use super::log;
use super::peers::{self, Outside};
use crate::sys;

/// The registrations that are masked in their instance, see [`Masked`].
pub static MASKED: AtomicUsize = AtomicUsize::new(0);

/// So few threads are not looked through for those that have ended.
const FEW_THREADS: usize = 64;

/// The most registrations whose events a thread may repeat.
const MOST_REPORTED: usize = 16;

/// A registration that reports nothing, because its arrival is delayed.
#[derive(Clone, Copy, Debug)]
pub struct Masked {
    pub registration: (RegistrationId, u64),
    pub epfd: c_int,
    pub fd: c_int,
    /// Mask and data as the program set them.
    pub events: u32,
    pub data: u64,
    /// The thread that delays it, and until when at the latest.
    pub tid: i32,
    pub due_ns: u64,
}

/// A thread that waits.
#[derive(Debug, Default)]
struct Thread {
    ordinal: u32,
    waits: u64,
    calls: u64,
    /// The last wait ended with an EINTR of chaos.
    had_eintr: bool,
    /// Edge-triggered registrations that its last wait reported readable.
    reported: ArrayVec<(RegistrationId, u64), MOST_REPORTED>,
}

/// A registration.
#[derive(Clone, Copy, Debug, Default)]
struct OfRegistration {
    /// Its serial: 0 for none.
    serial: u64,
    /// Its last control call.
    changed_ns: u64,
    /// Since when the program may know that the level is high; 0 if it cannot.
    known_ns: u64,
    /// Its event was held back, and has not been reported since.
    is_held: bool,
    /// The program knows that the peer has ended.
    is_end_known: bool,
    outside: Outside,
}

/// A registration whose events may be perturbed.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    pub registration: (RegistrationId, u64),
    pub fd: c_int,
    pub kind: Kind,
    /// Mask and data as the program set them.
    pub events: u32,
    pub data: u64,
}

impl Candidate {
    /// Whether the instance does not report the event again by itself.
    pub fn is_spent_by_report(&self) -> bool {
        self.events & (1 << 31 | ONESHOT) != 0
    }
}

/// The state of chaos in a process.
#[derive(Debug, Default)]
pub struct State {
    threads: HashMap<i32, Thread>,
    /// The threads so far.
    ordinals: u32,
    /// Those that have ended are forgotten when there are so many.
    most_threads: usize,
    registrations: Vec<OfRegistration>,
    /// By instance: the begin of the last wait that returned all that was ready.
    complete: HashMap<FileId, u64>,
    masked: Vec<Masked>,
    /// The process has made a connection.
    connects: bool,
}

impl State {
    /// Begins a wait of a thread; its place. `None` for want of memory.
    pub fn begin_wait(&mut self, tid: i32) -> Option<(Place, bool)> {
        let thread = self.thread(tid)?;
        thread.waits += 1;
        let place = Place { process: log::process(), thread: thread.ordinal, wait: thread.waits, registration: 0 };
        Some((place, std::mem::take(&mut thread.had_eintr)))
    }

    /// The place of a call of a thread, for the manual kinds.
    pub fn begin_call(&mut self, tid: i32) -> Option<Place> {
        let thread = self.thread(tid)?;
        thread.calls += 1;
        Some(Place { process: log::process(), thread: thread.ordinal, wait: thread.calls, registration: 0 })
    }

    /// Notes that a wait ends with an EINTR of chaos.
    pub fn note_eintr(&mut self, tid: i32) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.had_eintr = true;
        }
    }

    fn thread(&mut self, tid: i32) -> Option<&mut Thread> {
        if !self.threads.contains_key(&tid) {
            if self.threads.len() >= self.most_threads.max(FEW_THREADS) {
                self.threads.retain(|tid, _| sys::is_thread(*tid));
                self.most_threads = 2 * self.threads.len();
            }
            self.threads.try_reserve(1).ok()?;
            self.ordinals += 1;
            self.threads.insert(tid, Thread { ordinal: self.ordinals, ..Thread::default() });
        }
        self.threads.get_mut(&tid)
    }

    /// Makes the state that of a forked child. What another thread of the parent delayed is
    /// overdue.
    pub fn fork(&mut self) {
        self.threads.clear();
        self.ordinals = 0;
        self.masked.iter_mut().for_each(|masked| (masked.tid, masked.due_ns) = (0, 0));
    }

    /// Takes a fact, after the mirror.
    pub fn take(&mut self, stamp: Stamp, fact: &Fact<'_>, mirror: &Mirror) {
        match *fact {
            Fact::Control { epfd, op, fd, errno: 0, .. } => self.control(stamp, epfd, op, fd, mirror),
            Fact::Report { errno: 0, max, began_ns, events, .. } => {
                let is_complete = i32::try_from(events.len()).is_ok_and(|n| n < max);
                self.report(stamp, mirror, is_complete.then_some(began_ns));
            }
            Fact::Call { call, fd, answer, flags, .. } => self.call(stamp, call, fd, answer, flags, mirror),
            Fact::Close { .. } => self.forget_ended(mirror),
            _ => {}
        }
    }

    fn control(&mut self, stamp: Stamp, epfd: c_int, op: c_int, fd: c_int, mirror: &Mirror) {
        self.forget_ended(mirror);
        let found = mirror.instance_of(epfd).and_then(|instance| mirror.find(instance, fd));
        let Some((id, registration)) = found.and_then(|id| Some((id, mirror.registration(id)?))) else { return };
        // It reports as the program says now.
        self.masked.retain(|masked| masked.registration.1 != registration.serial);
        self.count_masked();
        let Some(of) = self.of(id, registration) else { return };
        if Op::from_number(op) == Some(Op::Add) {
            *of = OfRegistration { serial: registration.serial, ..OfRegistration::default() };
        }
        (of.changed_ns, of.known_ns, of.is_held) = (stamp.ns, stamp.ns, false);
    }

    fn report(&mut self, stamp: Stamp, mirror: &Mirror, complete_ns: Option<u64>) {
        let Some(thread) = mirror.thread(stamp.tid) else { return };
        if let Some((instance, began_ns)) = thread.instance.zip(complete_ns)
            && (self.complete.contains_key(&instance) || self.complete.try_reserve(1).is_ok())
        {
            let complete = self.complete.entry(instance).or_default();
            *complete = began_ns.max(*complete);
        }
        let mut reported = ArrayVec::new();
        for batched in &thread.batch {
            let Some((id, serial)) = batched.registration else { continue };
            let Some(registration) = mirror.still((id, serial)) else { continue };
            let Some(of) = self.of(id, registration) else { return };
            // After an edge there is no other unless something arrives.
            of.known_ns = if registration.is_edge() { 0 } else { stamp.ns };
            of.is_held = false;
            of.is_end_known |= batched.event.bits & u32::from(RDHUP | HUP) != 0;
            if registration.is_edge() && batched.event.bits & u32::from(IN) != 0 {
                let _ = reported.try_push((id, serial));
            }
        }
        if let Some(thread) = self.threads.get_mut(&stamp.tid) {
            thread.reported = reported;
        }
    }

    fn call(&mut self, stamp: Stamp, call: Call, fd: c_int, answer: i64, flags: c_int, mirror: &Mirror) {
        self.connects |= call == Call::Connect;
        for &id in mirror.registrations_of(fd) {
            let Some(registration) = mirror.registration(id) else { continue };
            let Some(of) = self.of(id, registration) else { return };
            let has_room = registration.events & u32::from(OUT) != 0 && !registration.is_edge();
            match call.class() {
                // It has seen what is still there.
                Class::Read if has_flags(call) && flags & libc::MSG_PEEK != 0 => of.known_ns = stamp.ns,
                Class::Read if answer == 0 => (of.is_end_known, of.known_ns) = (true, stamp.ns),
                // Whether there is more, or more has come since, the answer does not show.
                Class::Read | Class::Accept if !has_room && (answer >= 0 || answer == -i64::from(EAGAIN)) => {
                    of.known_ns = 0;
                }
                Class::Read | Class::Accept | Class::Move => {}
                Class::Write => of.is_end_known |= answer < 0 && answer != -i64::from(EAGAIN),
                // The program makes its own end.
                Class::Shutdown => (of.outside, of.known_ns) = (Outside::No, stamp.ns),
                // FIONREAD, SO_ERROR, SO_RCVLOWAT and others show or change the level.
                _ => of.known_ns = stamp.ns,
            }
        }
    }

    /// Ends what belongs to registrations that have ended.
    fn forget_ended(&mut self, mirror: &Mirror) {
        if !self.masked.is_empty() {
            self.masked.retain(|masked| mirror.still(masked.registration).is_some());
            self.count_masked();
        }
    }

    fn count_masked(&self) {
        MASKED.store(self.masked.len(), Relaxed);
    }

    fn of(&mut self, id: RegistrationId, registration: &Registration) -> Option<&mut OfRegistration> {
        if id >= self.registrations.len() {
            self.registrations.try_reserve(id + 1 - self.registrations.len()).ok()?;
            self.registrations.resize(id + 1, OfRegistration::default());
        }
        let of = &mut self.registrations[id];
        if of.serial != registration.serial {
            // It was made unseen.
            let now = u64::MAX;
            *of = OfRegistration { serial: registration.serial, changed_ns: now, known_ns: now, ..Default::default() };
        }
        Some(of)
    }

    /// The registration of an event, if it may be perturbed in a wait that began then.
    pub fn candidate(&mut self, mirror: &Mirror, instance: FileId, began_ns: u64, event: Event) -> Option<Candidate> {
        let id = mirror.attribute(instance, event.data, event.bits)?;
        self.candidate_of(mirror, instance, began_ns, id)
    }

    /// A registration as a candidate.
    pub fn candidate_of(
        &mut self,
        mirror: &Mirror,
        instance: FileId,
        began_ns: u64,
        id: RegistrationId,
    ) -> Option<Candidate> {
        let registration = mirror.registration(id)?;
        let is_unchanged = self.of(id, registration)?.changed_ns < began_ns;
        let is_known = mirror.find(instance, registration.fd) == Some(id) && !registration.is_ghost;
        let kind = mirror.file(registration.file)?.kind;
        let Registration { fd, events, data, serial, .. } = *registration;
        let candidate = Candidate { registration: (id, serial), fd, kind, events, data };
        (is_unchanged && is_known && events & EXCLUSIVE == 0).then_some(candidate)
    }

    /// Whether what makes a candidate ready is the doing of another process.
    pub fn is_outside(&mut self, mirror: &Mirror, candidate: &Candidate) -> bool {
        if matches!(candidate.kind, Kind::TcpListener | Kind::UnixListener) {
            return !self.connects;
        }
        let Some(registration) = mirror.still(candidate.registration) else { return false };
        let Some(file) = mirror.file(registration.file) else { return false };
        let Some(of) = self.of(candidate.registration.0, registration) else { return false };
        if of.outside == Outside::Unknown {
            of.outside = peers::is_outside(mirror, file, candidate.fd);
        }
        of.outside == Outside::Yes
    }

    /// Whether the event of a candidate may come later: it was not held back before, and the
    /// program cannot know of it.
    pub fn may_hold(&mut self, mirror: &Mirror, candidate: &Candidate) -> bool {
        let Some(registration) = mirror.still(candidate.registration) else { return false };
        let complete_ns = self.complete.get(&registration.instance).copied().unwrap_or(0);
        let Some(of) = self.of(candidate.registration.0, registration) else { return false };
        // A wait that began later, and returned without it, has shown that the level was low.
        let is_known = of.known_ns != 0 && of.known_ns >= complete_ns;
        !is_known && !of.is_held
    }

    /// Notes that an event is held back.
    pub fn hold(&mut self, registration: RegistrationId) {
        if let Some(of) = self.registrations.get_mut(registration) {
            of.is_held = true;
        }
    }

    /// Whether the program knows that the peer of a candidate has ended.
    pub fn is_end_known(&self, candidate: &Candidate) -> bool {
        self.registrations.get(candidate.registration.0).is_none_or(|of| of.is_end_known)
    }

    /// The edges that the last wait of a thread reported.
    pub fn reported(&self, tid: i32) -> ArrayVec<(RegistrationId, u64), MOST_REPORTED> {
        self.threads.get(&tid).map_or_else(ArrayVec::new, |thread| thread.reported.clone())
    }

    /// Notes that a registration is masked; false for want of memory.
    pub fn mask(&mut self, masked: Masked) -> bool {
        if self.masked.try_reserve(1).is_err() {
            return false;
        }
        self.masked.push(masked);
        self.count_masked();
        true
    }

    /// Whether a registration is masked.
    pub fn is_masked(&self, (_, serial): (RegistrationId, u64)) -> bool {
        self.masked.iter().any(|masked| masked.registration.1 == serial)
    }

    /// When the first of the registrations that a thread delays is due.
    pub fn first_due_ns(&self, tid: i32) -> Option<u64> {
        self.masked.iter().filter(|masked| masked.tid == tid).map(|masked| masked.due_ns).min()
    }

    /// Takes a masked registration out of the list, for its mask to be set again.
    pub fn unmask(&mut self, mirror: &Mirror, is_due: &dyn Fn(&Masked) -> bool) -> Option<Masked> {
        self.forget_ended(mirror);
        let at = self.masked.iter().position(is_due)?;
        let masked = self.masked.swap_remove(at);
        self.count_masked();
        Some(masked)
    }
}

/// Whether the flags of a call are MSG_*.
fn has_flags(call: Call) -> bool {
    matches!(call, Call::Recvfrom | Call::Recvmsg | Call::Recvmmsg)
}
