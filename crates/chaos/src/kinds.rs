//! The kinds of chaos.

use crate::Kind;

/// Whether a kind is part of every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Linux could have done it.
    Strict,
    /// The manual pages allow it, and no kernel does it: only by name.
    Manual,
}

/// A kind, with its properties.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The kind.
    pub kind: Kind,
    /// Its name in options and logs.
    pub name: &'static str,
    /// Its tier.
    pub tier: Tier,
    /// How often it happens where it can, unless the option says otherwise: a probability.
    pub rate: f64,
    /// The most that the option may say.
    pub most: f64,
    /// What happens, and the manual page that allows it.
    pub sentence: &'static str,
}

const fn row_of(kind: Kind, name: &'static str, tier: Tier, rate: f64, sentence: &'static str) -> Row {
    // Signals are rare, and a program may give up after many.
    let most = if matches!(kind, Kind::Eintr) { 0.05 } else { 1.0 };
    Row { kind, name, tier, rate, most, sentence }
}

use Kind::{Again, CloseParts, Delay, Eintr, Fault, Few, Late, Many, Other, Short, Shuffle, Small, Vain};
use Tier::{Manual, Strict};

/// Every kind, in the order of its number.
pub const ALL: [Row; 13] = [
    row_of(Few, "few", Strict, 0.25, "A wait reports some of the events that are due, and the next one the others."),
    row_of(Many, "many", Strict, 0.05, "A thread comes to its wait up to 5 ms late, so that more is due."),
    row_of(Shuffle, "shuffle", Strict, 0.25, "The events of independent peers come in another order."),
    row_of(Eintr, "eintr", Strict, 0.05, "A wait ends with EINTR while nothing is due, as after SIGSTOP and SIGCONT."),
    row_of(Late, "late", Strict, 0.125, "A wait times out up to 5 ms late."),
    row_of(Delay, "delay", Strict, 0.05, "What another process sends arrives up to 20 ms later."),
    row_of(Again, "again", Strict, 0.1, "An edge is reported once more while its data is unread."),
    row_of(CloseParts, "close-parts", Strict, 0.5, "The end of a connection is reported after the data before it."),
    row_of(Other, "other", Strict, 0.125, "Another of the waiting threads gets the events."),
    row_of(Vain, "vain", Strict, 0.05, "A UDP socket or listener is reported with nothing there."),
    row_of(Short, "short", Manual, 0.25, "A read or write of a stream moves fewer bytes than it could."),
    row_of(Small, "small", Manual, 1.0, "Sockets have small buffers."),
    row_of(Fault, "fault", Manual, 0.05, "accept and epoll_ctl fail for want of descriptors or memory."),
];

/// The row of a kind.
pub const fn row(kind: Kind) -> &'static Row {
    &ALL[kind as usize]
}

/// The kind of that name.
pub fn by_name(name: &str) -> Option<Kind> {
    ALL.iter().find(|row| row.name == name).map(|row| row.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_at_the_number_of_its_kind() {
        for (at, row_at) in ALL.iter().enumerate() {
            assert_eq!(row_at.kind as usize, at);
            assert_eq!(by_name(row_at.name), Some(row_at.kind));
            assert!(row_at.rate > 0.0 && row_at.rate <= row_at.most);
            assert_eq!(row(row_at.kind), row_at);
        }
    }
}
