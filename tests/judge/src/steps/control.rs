//! Control calls, and the crowd of silent registrations.

use libc::{c_int, epoll_event};

use super::said;
use crate::calls;
use crate::kernel::{self, Answer};
use crate::kinds::Kind;
use crate::known::Fact;
use crate::op::Op;
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

    /// The instance of this name; or, from `PAIR_TARGETS` on, a descriptor that is not an instance.
    fn controlled(&self, name: usize) -> Option<(usize, Pair)> {
        match self.pair(name) {
            Some(pair) => Some((name, pair)),
            None if name >= PAIR_TARGETS as usize => {
                let plain = self.desc(name - PAIR_TARGETS as usize).map_or(-1, |desc| desc.fd);
                Some((usize::MAX, Pair { kernel: plain, ours: plain, file: 0 }))
            }
            None => None,
        }
    }

    pub(super) fn control(&mut self, op: Op) {
        let (operation, mask) = (op.args[1] as c_int, op.args[3] as u32);
        let Some((name, pair)) = self.controlled(op.index(0)) else { return };
        let Some((kernel_fd, our_fd, file)) = self.target(op.args[2]) else { return };
        let interest = epoll_event { events: mask, u64: op.args[4].cast_unsigned() };
        let (kernel, our) = self.control_sides(pair, operation, [kernel_fd, our_fd], interest);
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
            (libc::EPOLL_CTL_ADD, _) => self.register(name, our_fd, file, &interest),
            (libc::EPOLL_CTL_MOD, Some(at)) => self.modify(at, &interest),
            (_, Some(at)) => {
                if self.registrations[at].is_exclusive() {
                    self.exclusive_changed(Some(file));
                }
                self.registrations[at].alive = false;
            }
            (_, None) => {}
        }
    }

    /// Makes a control call on the sides that this process tests. Without data the event is NULL.
    fn control_sides(
        &self,
        pair: Pair,
        operation: c_int,
        [kernel_fd, our_fd]: [c_int; 2],
        interest: epoll_event,
    ) -> (Answer, Answer) {
        let given = Some(interest).filter(|interest| interest.u64 != 0);
        let on_kernel = || kernel::epoll_ctl(pair.kernel, operation, kernel_fd, { given }.as_mut());
        let on_ours = || calls::epoll_ctl(pair.ours, operation, our_fd, { given }.as_mut());
        match self.side {
            Side::Both => (on_kernel(), on_ours()),
            Side::Kernel => {
                let answer = on_kernel();
                (answer, answer)
            }
            Side::Ours => {
                let answer = on_ours();
                (answer, answer)
            }
        }
    }

    /// Notes a registration that both sides have made.
    fn register(&mut self, name: usize, number: c_int, file: usize, interest: &epoll_event) {
        let registration = Registration::new(name, number, file, interest, self.step);
        let is_exclusive = registration.is_exclusive();
        self.registrations.push(registration);
        if is_exclusive {
            self.exclusive_changed(Some(file));
            self.note_contest(file);
        }
        self.take_down_received(self.registrations.len() - 1);
        self.looked_for_room(self.registrations.len() - 1);
    }

    /// Notes a registration that both sides have modified.
    fn modify(&mut self, at: usize, interest: &epoll_event) {
        let registration = &mut self.registrations[at];
        registration.events = interest.events;
        registration.shown = 0;
        registration.data = interest.u64;
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

    /// Adds silent eventfds, every second one edge-triggered.
    pub(super) fn gather_crowd(&mut self, name: usize, count: usize) {
        let Some(pair) = self.pair(name) else { return };
        for _ in 0..count.min(400 - self.crowd.len().min(400)) {
            let Ok(fd) = calls::eventfd(0, 0) else { return };
            let index = self.crowd.len();
            let edge = if index.is_multiple_of(2) { 0 } else { libc::EPOLLET };
            let interest = epoll_event { events: (libc::EPOLLIN | edge).cast_unsigned(), u64: 1 << 40 | index as u64 };
            let _ = kernel::epoll_ctl(pair.kernel, libc::EPOLL_CTL_ADD, fd, Some(&mut { interest }));
            let _ = calls::epoll_ctl(pair.ours, libc::EPOLL_CTL_ADD, fd, Some(&mut { interest }));
            let file = self.new_file(Kind::Eventfd);
            self.crowd.push(Desc { fd, file });
            self.registrations.push(Registration::new(name, fd, file, &interest, self.step));
        }
        self.say(|| format!("{count} eventfds join instance {name}"));
    }

    /// Writes to one of the crowd.
    pub(super) fn stir_crowd(&mut self, index: usize) {
        if let Some(desc) = self.crowd.get(index).copied() {
            let tools = self.tools;
            let answer = tools.write(desc.fd, &mut 1u64.to_ne_bytes(), 0);
            self.say(|| format!("write({}, 1) = {}", desc.fd, said(answer)));
        }
    }
}
