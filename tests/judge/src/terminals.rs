//! Terminals deliver late: what is written to one end arrives at the other when a worker of the kernel has the time. A step that may
//! set one off waits until it has done its work, or that could fall between the two waits of a round.

use std::time::{Duration, Instant};

use libc::c_int;

use crate::kernel;
use crate::kinds::Kind;
use crate::known::Fact;
use crate::op::{Op, Verb};
use crate::world::{Desc, World};

/// The longest time that a delivery is waited for: there is none if the other end has no room.
const LONGEST: Duration = Duration::from_millis(1);
/// Nothing was delivered for so long: that was all.
const REST: Duration = Duration::from_micros(100);
/// An end that holds so much may hold up what was written to it, until somebody reads.
const NEARLY_FULL: c_int = 3000;
/// As much as an end can hold.
const FULL: c_int = 4096;

/// The two ends of a terminal before a step.
#[derive(Debug)]
pub struct Delivery {
    ends: [Option<Desc>; 2],
    queued: [c_int; 2],
    /// The step writes.
    expected: bool,
}

impl World<'_> {
    /// What the step may set off, if it works on a terminal.
    pub fn delivery(&mut self, op: Op) -> Option<Delivery> {
        let (at, expected) = match op.verb {
            Verb::Write | Verb::Fill => (0, true),
            Verb::Splice | Verb::Tee => (1, true),
            Verb::Read | Verb::Drain | Verb::Close | Verb::ControlTerminal => (0, false),
            _ => return None,
        };
        let desc = self.desc(op.index(at)).filter(|&desc| self.kind(desc) == Kind::Pty)?;
        let peer = self.descs.iter().flatten().find(|other| Some(other.file) == self.files[desc.file].peer).copied();
        let ends = [Some(desc), peer];
        let queued = ends.map(queued);
        for (end, _) in ends.into_iter().zip(queued).filter(|&(_, bytes)| bytes == FULL) {
            end.into_iter().for_each(|end| self.note(end.file, Fact::Crammed));
        }
        Some(Delivery { ends, queued, expected: expected || queued.iter().any(|&bytes| bytes > NEARLY_FULL) })
    }

    /// Waits until what the step has set off is done.
    pub fn await_delivery(&self, delivery: Delivery) {
        let Delivery { ends, mut queued, expected } = delivery;
        let ends = ends.map(|end| end.filter(|end| self.descs.iter().flatten().any(|other| other.fd == end.fd)));
        let (begun, mut changed_at) = (Instant::now(), None);
        loop {
            // A look at an end that has nothing waits for the delivery itself.
            ends.iter().flatten().for_each(|end| _ = kernel::level(end.fd, libc::POLLIN));
            let now = ends.map(self::queued);
            if now != queued {
                (queued, changed_at) = (now, Some(Instant::now()));
            }
            let since = changed_at.unwrap_or(begun);
            let longest = if expected && changed_at.is_none() { LONGEST } else { REST };
            if since.elapsed() > longest {
                return;
            }
            std::thread::yield_now();
        }
    }
}

fn queued(end: Option<Desc>) -> c_int {
    let mut bytes = 0;
    if let Some(end) = end {
        // SAFETY: room for one number.
        unsafe { libc::ioctl(end.fd, libc::FIONREAD, &raw mut bytes) };
    }
    bytes
}
