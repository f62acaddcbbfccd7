//! Waits with invalid arguments.

use std::time::Duration;

use libc::{c_int, epoll_event};

use super::Wait;
use crate::calls;
use crate::kernel;
use crate::kinds::Kind;
use crate::world::{Pair, Side, World};

impl World<'_> {
    /// Makes a wait with invalid arguments.
    pub fn bad_wait(&mut self, name: usize, how: i64) {
        self.bad_wait_again(name, how, 3);
    }

    fn bad_wait_again(&mut self, name: usize, how: i64, patience: u32) {
        if self.side != Side::Both {
            return;
        }
        let pair = self.pair(name).unwrap_or(Pair { kernel: -1, ours: -1, file: 0 });
        let plain = self.desc(name).map_or(-1, |desc| desc.fd);
        let mut room = [epoll_event { events: 0, u64: 0 }; 2];
        let at = room.as_mut_ptr();
        let (kernel_fd, our_fd, at, max) = match how {
            0 => (pair.kernel, pair.ours, at, 0),
            1 => (pair.kernel, pair.ours, at, -1),
            2 => (pair.kernel, pair.ours, at, c_int::MAX),
            3 => (pair.kernel, pair.ours, std::ptr::null_mut(), 1),
            4 => (-1, -1, at, 1),
            5 => (plain, plain, at, 1),
            6 => (600, 600, std::ptr::null_mut(), 0),
            7 => (plain, plain, at, 0),
            _ => (plain, plain, std::ptr::without_provenance_mut(usize::MAX - 4096), 1),
        };
        // SAFETY: there is room for one event, or the kernel refuses the number or the address.
        let answers = unsafe { (kernel::epoll_wait(kernel_fd, at, max, 0), calls::epoll_wait(our_fd, at, max, 0)) };
        self.say(|| format!("bad wait {how} on instance {name}: kernel {:?}, ours {:?}", answers.0, answers.1));
        if answers.0 != answers.1 && patience > 0 {
            std::thread::sleep(Duration::from_millis(1));
            return self.bad_wait_again(name, how, patience - 1);
        }
        if answers.0 != answers.1 {
            // Without room for events the result shows whether there are any, which a valid wait
            // shows better.
            let found = self.findings.len();
            let mut apart = false;
            if let Some(pair) = self.pair(name) {
                let (_, _, round) = self.wait_once(pair, Wait::LOOK);
                apart = round.kernel.is_empty() != round.ours.is_empty();
                self.judge(name, pair, vec![round]);
            }
            let spoilt = self.registrations.iter().any(|one| one.alive && (one.tainted || one.contested));
            if how == 3 && (spoilt || apart || self.findings.len() > found) {
                return;
            }
            self.differing_answer(&format!("bad wait {how}"), Kind::Epoll, answers.0, answers.1);
        }
    }
}
