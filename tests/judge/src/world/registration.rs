//! Registrations, and instances as the sets of them.

use libc::{c_int, epoll_event};

use super::World;
use crate::known::WRITABLE;
use crate::room::Room;

/// A registration, identified by its data, which no other one ever has.
#[derive(Clone, Debug)]
pub struct Registration {
    pub pair: usize,
    /// The target's number; for an instance, that of the library's side.
    pub number: c_int,
    pub file: usize,
    pub events: u32,
    pub data: u64,
    pub alive: bool,
    /// The step of the last report.
    pub reported: u32,
    /// The number of reports of edges that sleeping threads got from the kernel and not from the
    /// library since the last complete wait: an arrival on unread data reaches a sleeping thread
    /// late.
    pub owed: usize,
    /// Whether the kernel and the library reported it in the last wait on its instance.
    pub reported_last: [bool; 2],
    /// Its TCP connection made progress between the two waits of that time: the second side may
    /// have reported an event that the first one reports next.
    pub crossed: bool,
    /// The bits of the kernel's last report since it was registered or modified.
    pub shown: u32,
    /// The state of the room that it waits for on a TCP connection.
    pub room: Room,
    /// The step of the last write that found no room.
    pub refused: u32,
    /// The state of its TCP connection and the received bytes, at the last report or at the
    /// registration.
    pub received: (u8, u64),
    /// The sides differed about it; nothing more is reported of it until it is modified.
    pub tainted: bool,
    /// They differed about it as listed, since both last reported it in one round: one side may
    /// still have to report what the other has reported.
    pub differed: bool,
    /// It has competed with other exclusive registrations of its description since both sides last
    /// reported it in one round: each side may have chosen another one (X1).
    pub contested: bool,
}

impl Registration {
    /// A registration of this step.
    pub fn new(pair: usize, number: c_int, file: usize, interest: &epoll_event, step: u32) -> Registration {
        Registration {
            pair,
            number,
            file,
            events: interest.events,
            data: interest.u64,
            alive: true,
            reported: step,
            owed: 0,
            reported_last: [false; 2],
            crossed: false,
            shown: 0,
            room: Room::There,
            refused: 0,
            received: (0, 0),
            tainted: false,
            differed: false,
            contested: false,
        }
    }

    pub const fn is_level(&self) -> bool {
        self.events & (libc::EPOLLET | libc::EPOLLONESHOT) as u32 == 0
    }

    /// Whether it is edge-triggered or a one-shot, and waits for room.
    pub const fn awaits_room(&self) -> bool {
        self.events & WRITABLE != 0 && !self.is_level()
    }

    /// Whether there was no room since the last report, and no caller that would set the kernel's
    /// SOCK_NOSPACE met that.
    pub const fn is_overfull(&self) -> bool {
        matches!(self.room, Room::Gone(_) | Room::Back)
    }

    /// Whether one side may still have to report what the other has reported.
    pub const fn is_apart(&self) -> bool {
        self.tainted || self.differed || self.crossed
    }

    pub const fn is_exclusive(&self) -> bool {
        self.events & libc::EPOLLEXCLUSIVE as u32 != 0
    }
}

/// See `World::exclusive`.
#[derive(Clone, Copy, Debug)]
pub struct Exclusive {
    pub file: usize,
    pub kernel: u32,
    pub ours: bool,
    pub changed: bool,
    /// The kernel reported one of them after a lack of room in which no write was refused.
    pub overfull: bool,
}

impl World<'_> {
    pub fn registration(&mut self, data: u64) -> Option<&mut Registration> {
        self.registrations.iter_mut().rev().find(|registration| registration.data == data)
    }

    pub fn exclusive_on(&self, file: usize) -> usize {
        let same = |other: &&Registration| other.alive && other.is_exclusive() && other.file == file;
        self.registrations.iter().filter(same).count()
    }

    /// The name of an instance.
    pub fn inside(&self, file: usize) -> Option<usize> {
        self.pairs.iter().position(|pair| pair.is_some_and(|pair| pair.file == file))
    }

    /// Whether the instance of this name has such a registration in it, directly or in an inner
    /// instance.
    pub fn has(&self, name: usize, is_such: &dyn Fn(&Registration) -> bool) -> bool {
        let mut registered = self.registrations.iter().filter(|one| one.alive && one.pair == name);
        registered.any(|one| is_such(one) || self.has_inside(one.file, is_such))
    }

    /// Whether the file is an instance with such a registration in it, directly or in an inner
    /// instance.
    pub fn has_inside(&self, file: usize, is_such: &dyn Fn(&Registration) -> bool) -> bool {
        self.inside(file).is_some_and(|inside| self.has(inside, is_such))
    }
}
