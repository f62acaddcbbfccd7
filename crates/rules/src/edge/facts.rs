//! The effects of transfer calls on an open file description, as the hooks report them: bits that
//! accumulate until the instance takes them in (`Edge::digest`).

use bitflags::bitflags;

use crate::events::{Bits, RDHUP};

bitflags! {
    /// The effects of calls on a description. Facts add up; where the order of two matters, a third
    /// bit records it.
    ///
    /// The facts of a readiness source are the levels that were posted, see [`Facts::posted`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Facts: u16 {
        /// A read-like call failed with EAGAIN: the readable level was low at that moment.
        const READ_EAGAIN = 1;
        /// A read-like call returned as much as it asked for.
        const READ_ALL = 1 << 1;
        /// A read-like call returned less than it asked for: a stream was most likely empty.
        const SHORT_READ = 1 << 2;
        /// A write-like call was accepted whole.
        const WROTE = 1 << 3;
        /// A write-like call failed with EAGAIN or was cut short: the writable level was low.
        const NO_SPACE = 1 << 4;
        /// A reported level may have fallen: a call failed and may have cleared a pending error, or a
        /// socket was connected.
        const RECHECK = 1 << 5;
        /// Space was freed: the peer read from a unix socket or from a full pipe, or a TCP peer
        /// acknowledged data while SOCK_NOSPACE was set.
        const SPACE_FREED = 1 << 6;
        /// The kernel woke every waiter of the description, whatever its mask: a shutdown, a
        /// connect, a timer that was set.
        const WAKE_ALL = 1 << 7;
        /// The waiters for input were woken although nothing arrived: the full pipe that is read
        /// here refused a write, or SO_RCVLOWAT was set.
        const WRITER_BLOCKED = 1 << 8;
        /// A call cleared a pending error: the EPOLLERR level was low at that moment.
        const SO_ERROR_CLEARED = 1 << 9;
        /// A second call cleared a pending error, which came after the first call.
        const SO_ERROR_CLEARED_AGAIN = 1 << 10;
        /// SPACE_FREED was reported after a NO_SPACE that the instance had not taken in yet.
        const FREED_AFTER_NO_SPACE = 1 << 11;
        /// The peer's full queue refused the write: the peer's next read wakes this end, whether or
        /// not that makes space, and poll does not show it.
        const PEER_FULL = 1 << 12;
        /// EPOLLRDHUP was posted on a source. Of the levels of a source, this one is not the bit of
        /// another fact.
        const POSTED_RDHUP = RDHUP;
        /// One of several entries was taken from an error queue: the kernel woke every waiter, and
        /// the level stays.
        const ERRQUEUE_LEFT = 1 << 14;
        /// The description sent a signal: the kernel woke its waiters.
        const SIGNALLED = 1 << 15;

        /// Facts about the reading side.
        const READS = Self::READ_EAGAIN.bits() | Self::READ_ALL.bits() | Self::SHORT_READ.bits();
        /// Facts after which all levels are read, whichever bits poll is asked for at present.
        const LOOKS = Self::WAKE_ALL.bits()
            | Self::ERRQUEUE_LEFT.bits()
            | Self::RECHECK.bits()
            | Self::SO_ERROR_CLEARED.bits()
            | Self::PEER_FULL.bits()
            | Self::POSTED_RDHUP.bits();
        /// Facts about the writing side.
        const WRITES = Self::WROTE.bits() | Self::NO_SPACE.bits() | Self::SPACE_FREED.bits();
    }
}

impl Facts {
    /// The facts for levels posted on a readiness source.
    pub const fn posted(levels: Bits) -> Facts {
        Facts::from_bits_retain(levels)
    }

    /// The levels that were posted, where the facts are those of a readiness source.
    pub const fn posted_levels(self) -> Bits {
        self.bits()
    }

    /// The bits that record the order, if `facts` come after these.
    #[inline]
    #[must_use]
    pub const fn then(self, facts: Facts) -> Facts {
        let mut order = Facts::empty();
        if self.intersection(facts).contains(Facts::SO_ERROR_CLEARED) {
            order = order.union(Facts::SO_ERROR_CLEARED_AGAIN);
        }
        if self.contains(Facts::NO_SPACE) && facts.contains(Facts::SPACE_FREED) {
            order = order.union(Facts::FREED_AFTER_NO_SPACE);
        }
        order
    }

    /// Whether a read-like call took something.
    pub const fn took(self) -> bool {
        self.intersects(Facts::READ_ALL.union(Facts::SHORT_READ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_names_the_facts() {
        assert_eq!(std::format!("{:?}", Facts::NO_SPACE | Facts::PEER_FULL), "Facts(NO_SPACE | PEER_FULL)");
    }

    #[test]
    fn every_posted_level_comes_back() {
        assert_eq!(Facts::posted(!0).posted_levels(), !0);
    }
}
