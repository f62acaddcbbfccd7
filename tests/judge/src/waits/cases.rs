//! The case of a difference: its facts, and the row that lists it.

use crate::compare::{Difference, What};
use crate::kernel;
use crate::kinds::Kind;
use crate::known::{self, Case, FACTS, Fact, READABLE, WRITABLE};
use crate::room::Room;
use crate::world::{Registration, World};

impl World<'_> {
    pub(super) fn case(&self, difference: &Difference) -> Case {
        let registration = self.registrations.iter().rev().find(|one| one.data == difference.data);
        let kind = registration.map_or(Kind::Epoll, |one| self.files[one.file].kind);
        let mut facts = registration.map_or([false; FACTS], |one| self.facts_since(one.reported, one.file));
        // A side that was woken for room that is gone again has looked, so it is woken for the next
        // room too.
        facts[Fact::Brimful as usize] = registration.is_some_and(|one| one.is_overfull() || one.differed);
        if let Some(one) = registration.filter(|_| kind == Kind::Tcp) {
            // An arrival wakes only those who ask for one.
            const ARRIVAL: u32 = READABLE | libc::EPOLLPRI as u32;
            let has_come = self.received(one.file) != one.received;
            facts[Fact::Arrived as usize] = has_come && one.events & ARRIVAL != 0;
        }
        facts[Fact::Sharing as usize] = registration.is_some_and(|one| self.is_sharing(one));
        facts[Fact::SeenFromOutside as usize] = registration.is_some_and(|one| self.is_seen_from_outside(one));
        facts[Fact::Repeated as usize] = registration.is_some_and(|one| {
            let was_shown = one.shown != 0 && difference.kernel & !one.shown == 0;
            // A report without room carries no news of room, whatever was refused before it.
            let may_be_room = one.events & WRITABLE & difference.kernel != 0;
            // After a shutdown of both directions EPOLLOUT is high, and no write succeeds.
            let file = &self.files[one.file];
            let is_room_moot = file.closing && file.shut_for_reading;
            was_shown && (!may_be_room || is_room_moot || one.room == Room::There)
        });
        facts[Fact::Held as usize] = registration.is_some_and(|one| !one.alive) && may_have_rings();
        facts[Fact::Rivals as usize] = registration.is_some_and(|one| self.has_rivals_beside(one));
        let edge = registration.is_some_and(|one| !one.is_level());
        let bits = match difference.what {
            What::Extra | What::Twice => difference.ours,
            What::Lost => difference.kernel,
            _ => difference.kernel ^ difference.ours,
        };
        Case { what: difference.what, kind, edge, inside: false, bits, facts }
    }

    /// Whether a poll for another registration can take the level that this one should report.
    fn is_sharing(&self, one: &Registration) -> bool {
        let same = |other: &&Registration| other.alive && other.file == one.file;
        self.files[one.file].kind.is_fleeting() && self.registrations.iter().filter(same).count() > 1
    }

    fn is_seen_from_outside(&self, one: &Registration) -> bool {
        let outer = self.pair(one.pair).map(|pair| pair.file);
        let is_inside = || self.registrations.iter().any(|other| other.alive && Some(other.file) == outer);
        let was_polled = || outer.is_some_and(|file| self.files[file].facts[Fact::SeenFromOutside as usize] > 0);
        self.files[one.file].kind.is_fleeting() && (is_inside() || was_polled())
    }

    /// Whether there are exclusive registrations of other descriptions with the same wait queue.
    fn has_rivals_beside(&self, one: &Registration) -> bool {
        let beside = |other: &Registration| other.alive && other.is_exclusive() && other.file != one.file;
        let kind = self.files[one.file].kind;
        // All lists of mounts of a process have one wait queue.
        let shares_queue = |other: usize| match kind {
            Kind::Fifo => self.queue_of(one.file).contains(&other),
            Kind::Mounts => self.files[other].kind == kind,
            _ => false,
        };
        one.is_exclusive() && self.registrations.iter().any(|other| beside(other) && shares_queue(other.file))
    }

    /// The row that lists a difference. An instance shows the readiness of the registrations in it,
    /// and each wake-up of one of these is an edge of the instance, so the rows of edges apply
    /// there too.
    pub(super) fn row(&self, difference: &Difference) -> Option<usize> {
        let one = self.registrations.iter().rev().find(|one| one.data == difference.data);
        self.case(difference)
            .row()
            .or_else(|| one.and_then(|one| self.row_inside(difference.what, one.file, one.reported)))
    }

    fn row_inside(&self, what: What, file: usize, since: u32) -> Option<usize> {
        let inside = self.inside(file)?;
        let registered = self.registrations.iter().filter(|one| one.alive && one.pair == inside);
        let mut rows = registered.map(|one| {
            // While no thread waits on the inner instance, its ready items stay ready.
            let mut facts = self.facts_since(since.min(one.reported), one.file);
            facts[Fact::SeenFromOutside as usize] = self.files[one.file].kind.is_fleeting();
            // A lost report is recognized by the other levels.
            let always = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
            let bits = if what == What::Lost { self.level_of(one) } else { one.events | always };
            let case = Case { what, kind: self.files[one.file].kind, edge: true, inside: true, bits, facts };
            // The inner item is not reported, so the time of its last arrival is unknown.
            case.row().filter(|&row| !known::ROWS[row].between).or_else(|| self.row_inside(what, one.file, since))
        });
        rows.find_map(|row| row)
    }

    fn level_of(&self, one: &Registration) -> u32 {
        if self.files[one.file].kind.is_fleeting() {
            return one.events;
        }
        // The kernel reports these whether they are asked for or not.
        let always = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
        let desc = self.descs.iter().flatten().find(|desc| desc.file == one.file);
        let level = |fd| u32::from(kernel::level(fd, one.events as i16).cast_unsigned());
        desc.map_or(0, |desc| level(desc.fd) & (one.events | always))
    }

    pub(super) fn facts_since(&self, step: u32, at: usize) -> [bool; FACTS] {
        let file = &self.files[at];
        let mut facts = file.facts.map(|at| at > step);
        facts[Fact::Uncounted as usize] |= file.datagrams > crate::steps::COUNTED;
        facts[Fact::PeerFull as usize] = file.peer.is_some_and(|peer| self.files[peer].datagrams > 10);
        facts[Fact::Closing as usize] = file.closing;
        facts[Fact::Urgent as usize] = file.got_urgent;
        facts[Fact::LowWater as usize] = file.low_water;
        let is_failed = |fd| crate::kernel::level(fd, 0) & libc::POLLERR != 0;
        facts[Fact::ErrorPending as usize] |= file.kind == Kind::Udp && self.number_of(at).is_some_and(is_failed);
        facts[Fact::EmptyPeeked as usize] = file.got_empty && file.facts[Fact::Peeked as usize] > 0;
        facts[Fact::Shut as usize] = file.shut_for_reading;
        facts[Fact::EmptyAtEnd as usize] = file.shut_for_reading && file.got_empty;
        let overfull = |one: &Registration| one.alive && one.file == at && one.is_overfull();
        facts[Fact::Brimful as usize] = self.registrations.iter().any(overfull);
        facts
    }
}

/// Whether the library makes rings.
fn may_have_rings() -> bool {
    std::env::var("EPOLYFILL_POLLER").is_ok_and(|poller| matches!(&*poller, "uring" | "auto"))
}
