//! One decision, and the place where it applies.

use core::fmt::{self, Display, Formatter};

use crate::Kind;

/// A place in the run of a program. All ordinals but that of the process begin with 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The process: 0 is the first that started, and so on.
    pub process: u32,
    /// The thread, in the order of their first waits.
    pub thread: u32,
    /// The wait of the thread; of the manual kinds, its call.
    pub wait: u64,
    /// The registration, in the order of EPOLL_CTL_ADD; 0 if the decision is about the wait.
    pub registration: u64,
}

/// A decision: something is perturbed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decision {
    /// What happens.
    pub kind: Kind,
    /// Where it happens.
    pub place: Place,
    /// How much: nanoseconds, bytes, an errno, or the seed of an order.
    pub amount: u64,
}

/// Nanoseconds in milliseconds.
struct Milliseconds(u64);

impl Display for Milliseconds {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let tenths = self.0.div_ceil(100_000);
        write!(out, "{}.{} ms", tenths / 10, tenths % 10)
    }
}

/// The decision as the end of "fails if".
impl Display for Decision {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Decision { kind, place: Place { process, thread, wait, registration }, amount } = *self;
        let ms = Milliseconds(amount);
        match kind {
            Kind::Short | Kind::Small | Kind::Fault => write!(out, "call {wait} of thread {thread} ")?,
            _ => write!(out, "wait {wait} of thread {thread} ")?,
        }
        if process > 0 {
            write!(out, "in process {process} ")?;
        }
        match kind {
            Kind::Few => write!(out, "leaves the event of registration {registration} for the next wait"),
            Kind::Many => write!(out, "begins {ms} late"),
            Kind::Shuffle => write!(out, "has its events in another order"),
            Kind::Eintr => write!(out, "ends with EINTR"),
            Kind::Late => write!(out, "times out {ms} late"),
            Kind::Delay => write!(out, "shows the arrival on registration {registration} {ms} late"),
            Kind::Again => write!(out, "reports the unread data of registration {registration} once more"),
            Kind::CloseParts => write!(out, "reports the data of registration {registration} before its end"),
            Kind::Other => write!(out, "leaves its events to another thread"),
            Kind::Vain => write!(out, "reports registration {registration} with nothing there"),
            Kind::Short => write!(out, "moves at most {amount} bytes"),
            Kind::Small => write!(out, "adds a socket whose buffers hold {amount} bytes"),
            Kind::Fault => write!(out, "fails with errno {amount}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_decision_reads_as_the_end_of_a_sentence() {
        let place = Place { process: 0, thread: 1, wait: 412, registration: 0 };
        let eintr = Decision { kind: Kind::Eintr, place, amount: 1 };
        assert_eq!(eintr.to_string(), "wait 412 of thread 1 ends with EINTR");
        let place = Place { process: 2, registration: 7, ..place };
        let delay = Decision { kind: Kind::Delay, place, amount: 12_345_678 };
        let text = "wait 412 of thread 1 in process 2 shows the arrival on registration 7 12.4 ms late";
        assert_eq!(delay.to_string(), text);
    }
}
