//! The room of TCP connections and terminals, and by which side's look the kernel is woken for it.

use crate::calls;
use crate::compare::{Report, Round};
use crate::kinds::Kind;
use crate::known::WRITABLE;
use crate::waits::Wait;
use crate::world::{Registration, World};

/// Which side causes the wake-up of the kernel's epoll for room on a TCP connection. The kernel
/// wakes it if a write, or its own look at the levels, found no room before (SOCK_NOSPACE). A
/// `poll` such as the library's has the same effect: then one side has an effect on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There was room at the last report or control call, and at every look since.
    There,
    /// There was none since, and no write was refused. The bytes that had arrived by then: after a
    /// new arrival the kernel looks again.
    Gone(u64),
    /// After that there was room again, for which the kernel was woken if a poll came in between.
    /// Or this may have happened within a call, while a thread of the library looked.
    Back,
    /// A caller that sets SOCK_NOSPACE found none.
    Refused,
}

impl World<'_> {
    /// Removes reports of room that the kernel takes away by itself, on a TCP connection when it
    /// splits the data to be sent, and on a terminal when it delivers. If the side that waited
    /// first found room, and there is none after both waits, the other side waited too late to find
    /// it. The same holds if the other side's wait had no space left for the event.
    pub fn forget_fleeting_room(&mut self, round: &mut Round, wait: Wait) {
        let (first, second) =
            if wait.ours_first { (&mut round.ours, &mut round.kernel) } else { (&mut round.kernel, &mut round.ours) };
        if first.len() == wait.max {
            self.forget_room_that_one_had(second, first);
        }
        self.forget_room_that_one_had(first, second);
    }

    fn forget_room_that_one_had(&mut self, first: &mut Vec<Report>, second: &[Report]) {
        let mut told_once = Vec::new();
        first.retain_mut(|(data, bits)| {
            let other = second.iter().find(|report| report.0 == *data).map(|report| report.1);
            let room = *bits & WRITABLE & !other.unwrap_or(0);
            let one = self.registrations.iter().rev().find(|one| one.data == *data);
            let Some(one) = one.filter(|one| room != 0 && self.is_out_of_room(one, room)) else { return true };
            *bits &= !room;
            // It was the edge; all other bits were reported with it.
            let gone = other.is_none() && (!one.is_level() || *bits == 0);
            if gone && one.events & libc::EPOLLONESHOT as u32 != 0 {
                told_once.push(*data);
            }
            !gone
        });
        for data in told_once {
            // It is spent on that side only.
            self.registration(data).into_iter().for_each(|one| one.tainted = true);
        }
    }

    /// Notes which TCP connections have become full without a refused write, without a call that
    /// would set SOCK_NOSPACE. The kernel looks at arrivals only in waits: `waits` says that one
    /// follows.
    pub fn look_for_room(&mut self, waits: bool) {
        let slept_on = self.crew.is_some();
        for at in 0..self.registrations.len() {
            let Registration { alive, file, room, .. } = self.registrations[at];
            if !alive || room == Room::Refused || !self.registrations[at].awaits_room() {
                continue;
            }
            let Some(fd) = self.number_of(file).filter(|_| self.files[file].kind == Kind::Tcp) else { continue };
            let now = match (room, calls::is_brimful(fd), calls::progress(fd)) {
                // A sleeping thread looks at once. If there is room again by then, the kernel may
                // have been woken because its own look found none, or because the poll of the
                // library's thread did.
                (Room::Gone(then), true, Some((_, _, now)))
                    if then != now && (waits || slept_on) && self.hears_arrivals(file) =>
                {
                    Room::Refused
                }
                (Room::Gone(_), false, _) => Room::Back,
                (Room::There | Room::Back, true, Some((_, _, now))) => Room::Gone(now),
                _ => room,
            };
            self.set_room(at, now);
        }
    }

    /// Whether an arrival makes the kernel look at the file.
    fn hears_arrivals(&self, file: usize) -> bool {
        const ARRIVAL: u32 = (libc::EPOLLIN | libc::EPOLLPRI | libc::EPOLLRDNORM | libc::EPOLLRDBAND) as u32;
        self.registrations.iter().any(|one| one.alive && one.file == file && one.events & ARRIVAL != 0)
    }

    /// Sets by which side's look the kernel is woken for room.
    fn set_room(&mut self, at: usize, now: Room) {
        let one = &mut self.registrations[at];
        let before = std::mem::replace(&mut one.room, now);
        if before != now && one.awaits_room() {
            let (pair, number) = (one.pair, one.number);
            self.say(|| format!("    room for {number} in instance {pair}: {before:?}, then {now:?}"));
        }
    }

    /// Notes that from here on the kernel wakes all registrations of a TCP connection for room.
    pub fn refuse_room(&mut self, file: usize) {
        for at in 0..self.registrations.len() {
            if self.registrations[at].alive && self.registrations[at].file == file {
                self.registrations[at].refused = self.step;
                self.set_room(at, Room::Refused);
            }
        }
    }

    /// Notes that a TCP connection may have had no room for a moment.
    pub fn miss_room(&mut self, file: usize) {
        for at in 0..self.registrations.len() {
            let Registration { alive, file: of, room, .. } = self.registrations[at];
            if alive && of == file && room == Room::There {
                self.set_room(at, Room::Back);
            }
        }
    }

    /// Notes that the kernel has reported room to a sleeping thread, in a step of several calls.
    pub fn found_room_in_passing(&mut self, data: u64) {
        let found = |one: &Registration| one.data == data && one.room == Room::Refused && one.refused < self.step;
        if let Some(at) = self.registrations.iter().rposition(found) {
            self.set_room(at, Room::There);
            self.look_for_room(false);
        }
    }

    /// Notes that the kernel has reported the registration with this data.
    pub fn looked_for_room_of(&mut self, data: u64) {
        if let Some(at) = self.registrations.iter().rposition(|one| one.data == data) {
            self.looked_for_room(at);
        }
    }

    /// Notes that the kernel has looked at the levels of a registration.
    pub fn looked_for_room(&mut self, at: usize) {
        let file = self.registrations[at].file;
        if self.files[file].kind != Kind::Tcp {
            return;
        }
        // A look that finds no room lets the kernel wake all waiters of the connection later.
        if self.number_of(file).is_some_and(calls::is_brimful) {
            self.refuse_room(file);
        } else {
            self.set_room(at, Room::There);
        }
    }

    /// Whether a connection or a terminal lacks the room that these levels report. A connection's
    /// level is read only if it seems to have no room, because a poll without room sets
    /// SOCK_NOSPACE and wakes its waiters later.
    fn is_out_of_room(&self, one: &Registration, levels: u32) -> bool {
        match self.files[one.file].kind {
            Kind::Tcp => self.number_of(one.file).is_some_and(calls::is_brimful) && !self.is_high(one, levels),
            Kind::Pty => !self.is_high(one, levels),
            _ => false,
        }
    }
}
