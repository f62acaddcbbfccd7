//! Control calls: registrations on either side.

use libc::{c_int, epoll_event};

use crate::calls;
use crate::kernel;
use crate::kinds::Kind;
use crate::known::Fact;
use crate::op::Op;
use crate::room::Room;
use crate::waits::bits;
use crate::world::{Desc, NONSENSE, PAIR_TARGETS, Pair, Registration, Side, World};

impl World<'_> {
    /// The target's number on either side, and its description.
    fn target(&self, target: i64) -> Option<(c_int, c_int, Option<usize>)> {
        match target {
            NONSENSE.. => {
                let number = [-1, 600, c_int::MAX][(target - NONSENSE).rem_euclid(3) as usize];
                Some((number, number, None))
            }
            PAIR_TARGETS.. => {
                let pair = self.pair((target - PAIR_TARGETS) as usize)?;
                Some((pair.kernel, pair.ours, Some(pair.file)))
            }
            _ => {
                let desc = self.desc(usize::try_from(target).ok()?)?;
                Some((self.kernel_number(desc), desc.fd, Some(desc.file)))
            }
        }
    }

    pub(super) fn control(&mut self, op: Op) {
        let (mut name, operation, mask, data) = (op.index(0), op.args[1] as c_int, op.args[3] as u32, op.args[4]);
        let pair = match self.pair(name) {
            Some(pair) => pair,
            // A control call on a descriptor that is not an instance.
            None if name >= PAIR_TARGETS as usize => {
                let plain = self.desc(name - PAIR_TARGETS as usize).map_or(-1, |desc| desc.fd);
                name = usize::MAX;
                Pair { kernel: plain, ours: plain, file: 0 }
            }
            None => return,
        };
        let Some((kernel_fd, our_fd, file)) = self.target(op.args[2]) else { return };
        let mut event = epoll_event { events: mask, u64: data.cast_unsigned() };
        let mut same = event;
        let (theirs, ours) = if data == 0 { (None, None) } else { (Some(&mut event), Some(&mut same)) };
        let (kernel, our) = match self.side {
            Side::Both => (
                kernel::epoll_ctl(pair.kernel, operation, kernel_fd, theirs),
                calls::epoll_ctl(pair.ours, operation, our_fd, ours),
            ),
            Side::Kernel => {
                let answer = kernel::epoll_ctl(pair.kernel, operation, kernel_fd, theirs);
                (answer, answer)
            }
            Side::Ours => {
                let answer = calls::epoll_ctl(pair.ours, operation, our_fd, ours);
                (answer, answer)
            }
        };
        self.say(|| {
            let word = match operation {
                libc::EPOLL_CTL_ADD => "ADD",
                libc::EPOLL_CTL_MOD => "MOD",
                libc::EPOLL_CTL_DEL => "DEL",
                _ => "(no such operation)",
            };
            format!("epoll_ctl(instance {name}, {word}, {our_fd}, {}): kernel {kernel:?}, ours {our:?}", bits(mask))
        });
        if kernel != our {
            let kind = file.map_or(Kind::Refused, |file| self.files[file].kind);
            self.differing_answer(&format!("epoll_ctl {operation} of {our_fd}, {}", bits(mask)), kind, kernel, our);
            // Both sides return to the state before the call.
            if operation == libc::EPOLL_CTL_ADD {
                let _ = kernel.map(|_| kernel::epoll_ctl(pair.kernel, libc::EPOLL_CTL_DEL, kernel_fd, None));
                let _ = our.map(|_| calls::epoll_ctl(pair.ours, libc::EPOLL_CTL_DEL, our_fd, None));
            }
            return;
        }
        let (Ok(_), Some(file)) = (kernel, file) else { return };
        let find = |one: &Registration| one.alive && one.pair == name && one.number == our_fd && one.file == file;
        let at = self.registrations.iter().position(find);
        match (operation, at) {
            (libc::EPOLL_CTL_ADD, _) => {
                let step = self.step;
                self.registrations.push(Registration {
                    pair: name,
                    number: our_fd,
                    file,
                    events: mask,
                    data: data.cast_unsigned(),
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
                });
                if mask & libc::EPOLLEXCLUSIVE as u32 != 0 {
                    self.exclusive_changed(Some(file));
                    self.note_contest(file);
                }
                self.take_down_received(self.registrations.len() - 1);
                self.looked_for_room(self.registrations.len() - 1);
            }
            (libc::EPOLL_CTL_MOD, Some(at)) => {
                let registration = &mut self.registrations[at];
                registration.events = mask;
                registration.shown = 0;
                registration.data = data.cast_unsigned();
                registration.tainted = false;
                registration.differed = false;
                let pair = registration.pair;
                self.take_down_received(at);
                self.looked_for_room(at);
                let has_others = self.registrations.iter().filter(|one| one.alive && one.pair == pair).count() > 1;
                if let Some(pair) = self.pair(pair).filter(|_| has_others) {
                    self.note(pair.file, Fact::Modified);
                }
            }
            (_, Some(at)) => {
                if self.registrations[at].is_exclusive() {
                    self.exclusive_changed(Some(file));
                }
                self.registrations[at].alive = false;
            }
            (_, None) => {}
        }
    }

    /// Adds silent eventfds, every second one edge-triggered.
    pub(super) fn gather_crowd(&mut self, name: usize, count: usize) {
        let Some(pair) = self.pair(name) else { return };
        for _ in 0..count.min(400 - self.crowd.len().min(400)) {
            let Ok(fd) = calls::eventfd(0, 0) else { return };
            let index = self.crowd.len();
            let data = 1 << 40 | index as u64;
            let events =
                if index.is_multiple_of(2) { libc::EPOLLIN } else { libc::EPOLLIN | libc::EPOLLET }.cast_unsigned();
            let mut event = epoll_event { events, u64: data };
            let mut same = event;
            let _ = kernel::epoll_ctl(pair.kernel, libc::EPOLL_CTL_ADD, fd, Some(&mut event));
            let _ = calls::epoll_ctl(pair.ours, libc::EPOLL_CTL_ADD, fd, Some(&mut same));
            let file = self.new_file(Kind::Eventfd);
            self.crowd.push(Desc { fd, file });
            let step = self.step;
            self.registrations.push(Registration {
                pair: name,
                number: fd,
                file,
                events,
                data,
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
            });
        }
        self.say(|| format!("{count} eventfds join instance {name}"));
    }
}
