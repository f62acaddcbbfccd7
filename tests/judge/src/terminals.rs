//! Terminals deliver late: bytes written to one end arrive at the other when a worker of the kernel
//! has the time. A step that may cause a delivery waits for its end, because it could otherwise
//! fall between the two waits of a round.

use std::time::{Duration, Instant};

use libc::c_int;

use crate::kernel;
use crate::kinds::Kind;
use crate::known::Fact;
use crate::op::{Op, Verb};
use crate::world::{Desc, World};

/// The longest wait for a delivery: there is none if the other end has no room.
const LONGEST: Duration = Duration::from_millis(1);
/// The time without a delivery after which it counts as complete.
const REST: Duration = Duration::from_micros(100);
/// An end with this many bytes may hold up writes to it until they are read.
const NEARLY_FULL: c_int = 3000;
/// The capacity of an end.
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
    /// The delivery that the step may cause, if it works on a terminal.
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

    /// Waits until the delivery that the step caused is complete.
    pub fn await_delivery(&self, delivery: Delivery) {
        let Delivery { ends, mut queued, expected } = delivery;
        let ends = ends.map(|end| end.filter(|end| self.descs.iter().flatten().any(|other| other.fd == end.fd)));
        let (begun, mut changed_at) = (Instant::now(), None);
        loop {
            // A look at an empty end itself waits for the delivery.
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
