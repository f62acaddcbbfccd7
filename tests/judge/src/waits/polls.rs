//! poll on the descriptors of instances.

use std::time::Duration;

use super::judgement::PATIENCE_US;
use crate::calls;
use crate::compare::{Difference, What};
use crate::kernel;
use crate::kinds::Kind;
use crate::known::{Case, FACTS, Fact};
use crate::world::{Alone, Side, World};

impl World<'_> {
    /// Compares poll on the descriptors of the instance (N1).
    pub fn judge_poll(&mut self, name: usize, events: i16) {
        let Some(pair) = self.pair(name) else { return };
        if self.side != Side::Both {
            std::thread::sleep(Duration::from_millis(1));
            let bits = if self.side == Side::Kernel {
                kernel::level(pair.kernel, events)
            } else {
                calls::poll(pair.ours, events).1
            };
            self.alone.push(Alone { step: self.step, data: u64::MAX, text: format!("poll {bits:#x}") });
            return;
        }
        // Exclusive registrations that compete are judged by sweeps.
        if self.registrations.iter().any(|one| one.alive && one.contested) || self.has(name, &|one| one.is_apart()) {
            return;
        }
        self.note(pair.file, Fact::SeenFromOutside);
        let mut seen = (0, 0);
        for us in PATIENCE_US {
            std::thread::sleep(Duration::from_micros(us));
            seen = (kernel::level(pair.kernel, events), calls::poll(pair.ours, events).1);
            if seen.0 == seen.1 {
                break;
            }
        }
        self.say(|| format!("poll of instance {name}: kernel {:#x}, ours {:#x}", seen.0, seen.1));
        if seen.0 != seen.1 {
            let what = if seen.1 == 0 { What::Lost } else { What::Extra };
            let case = Case { what, kind: Kind::Epoll, edge: false, inside: false, bits: 0, facts: [false; FACTS] };
            let of_pair = self.registrations.iter().filter(|one| one.alive && one.pair == name);
            let differences =
                of_pair.map(|one| Difference { what, data: one.data, kernel: one.events, ours: one.events });
            let row = differences.into_iter().find_map(|difference| self.row(&difference));
            self.find(case, None, row, format!("poll of instance {name}: kernel {:#x}, ours {:#x}", seen.0, seen.1));
        }
    }
}
