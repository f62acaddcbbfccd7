//! The rules of `edge`, one test each.

use std::vec::Vec;

use super::doubt::{DOUBT_NS, LATE_NS};
use super::*;
use crate::events::OUT;

static TAKEN_SIGNALS: TakenSignals = TakenSignals::new();
const VIEW: View<'static> = View { sees_calls: true, taken_signals: &TAKEN_SIGNALS };
const WATCHED: Bits = IN | OUT | RDHUP | ERR | HUP;

#[test]
fn a_level_is_reported_once() {
    let mut edge = Edge::FRESH;
    assert!(edge.report(Kind::Tcp, IN | OUT, VIEW, || Some(Count::total(3))));
    assert_eq!(edge.asked(WATCHED), Some(RDHUP | ERR | HUP));
    assert!(!edge.report(Kind::Tcp, IN | OUT, VIEW, || Some(Count::total(3))));
}

#[test]
fn a_change_that_shows_once_is_an_edge_and_what_is_always_there_is_not() {
    let watched = IN | OUT | PRI | ERR | HUP;
    let mut edge = Edge::FRESH;
    assert!(edge.report(Kind::Notice, IN | OUT, VIEW, || None));
    edge.passed(Kind::Notice, 0);
    assert_eq!(edge.asked(watched), Some(PRI | ERR | HUP));
    assert!(edge.report(Kind::Notice, IN | PRI | ERR, VIEW, || None));
    edge.passed(Kind::Notice, PRI | ERR);
    assert_eq!(edge.asked(watched), Some(PRI | ERR | HUP), "room that the change hid is no news");
    edge.digest(Kind::Notice, watched, Facts::READ_ALL | Facts::READ_EAGAIN, true);
    edge.digest(Kind::Notice, watched, Facts::WAKE_ALL, false);
    assert!(!edge.report(Kind::Notice, IN | OUT, VIEW, || None));
    edge.digest(Kind::Notice, watched, Facts::WAKE_ALL, true);
    assert!(edge.report(Kind::Notice, IN | OUT, VIEW, || None), "somebody else was shown the change");
}

#[test]
fn a_change_that_shows_until_it_is_read_is_low_after_that() {
    let mut edge = Edge::FRESH;
    assert!(edge.report(Kind::Attribute, IN | PRI | ERR, VIEW, || None));
    edge.digest(Kind::Attribute, IN | PRI | ERR | HUP, Facts::SHORT_READ, true);
    assert_eq!(edge.asked(IN | PRI | ERR | HUP), Some(PRI | ERR | HUP));
    assert!(!edge.report(Kind::Attribute, IN, VIEW, || None));
}

#[test]
fn a_growing_count_wakes_the_reader_and_an_equal_one_does_not() {
    let mut edge = Edge::FRESH;
    edge.report(Kind::Tcp, IN, VIEW, || Some(Count::total(3)));
    edge.counted(Count::total(3), VIEW);
    assert!(!edge.report(Kind::Tcp, IN, VIEW, || Some(Count::total(3))));
    edge.counted(Count::total(5), VIEW);
    assert!(edge.report(Kind::Tcp, IN, VIEW, || Some(Count::total(5))));
}

#[test]
fn a_count_that_could_not_be_taken_at_the_report_loses_nothing() {
    let mut edge = Edge::FRESH;
    assert!(edge.report(Kind::UnixDgram, IN, VIEW, || None));
    edge.counted(Count::total(2), VIEW);
    assert!(edge.report(Kind::UnixDgram, IN, VIEW, || Some(Count::total(2))));
    edge.counted(Count::total(2), VIEW);
    assert!(!edge.report(Kind::UnixDgram, IN, VIEW, || Some(Count::total(2))));
}

#[test]
fn what_is_taken_is_told_outside_if_it_could_not_be_counted_when_the_rest_was() {
    let mut edge = Edge::FRESH.for_outer();
    assert!(edge.announce(Kind::UnixDgram, IN, WATCHED, VIEW, || None));
    edge.digest(Kind::UnixDgram, WATCHED, Facts::SHORT_READ, false);
    assert!(!edge.announce(Kind::UnixDgram, IN, WATCHED, VIEW, || None), "a call that began before took what was told");
    edge.digest(Kind::UnixDgram, WATCHED, Facts::SHORT_READ | Facts::READ_EAGAIN, true);
    assert!(edge.announce(Kind::UnixDgram, 0, WATCHED, VIEW, || Some(Count::total(2))));
    assert!(!edge.announce(Kind::UnixDgram, 0, WATCHED, VIEW, || Some(Count::total(2))));
}

#[test]
fn a_short_read_is_an_edge_only_if_something_arrived() {
    let mut edge = Edge::FRESH;
    edge.report(Kind::Tcp, IN, VIEW, || Some(Count::total(3)));
    edge.digest(Kind::Tcp, WATCHED, Facts::SHORT_READ, true);
    assert_eq!(edge.asked(WATCHED).map(|bits| bits & IN), Some(IN));
    assert!(!edge.report(Kind::Tcp, IN, VIEW, || Some(Count::total(3))), "the rest of a packet is not news");
    edge.digest(Kind::Tcp, WATCHED, Facts::SHORT_READ, true);
    assert!(edge.report(Kind::Tcp, IN, VIEW, || Some(Count::total(4))));
}

#[test]
fn what_was_taken_to_the_last_byte_is_news_when_it_rises() {
    let mut edge = Edge::FRESH;
    edge.report(Kind::Tcp, IN | OUT, VIEW, || Some(Count::total(3)));
    edge.digest(Kind::Tcp, WATCHED, Facts::READ_ALL, true);
    edge.overtaken(Count::total(3), VIEW);
    assert_eq!(edge.asked(WATCHED).map(|bits| bits & (IN | OUT)), Some(IN));
    edge.digest(Kind::Tcp, WATCHED, Facts::READ_ALL, true);
    edge.overtaken(Count::total(4), VIEW);
    assert_eq!(edge.asked(WATCHED), Some(WATCHED), "more was taken than was there");
}

#[test]
fn what_waits_for_its_turn_was_woken_whatever_becomes_of_it() {
    let mut edge = Edge::FRESH;
    edge.report(Kind::Tcp, IN, VIEW, || Some(Count::total(3)));
    assert!(!edge.waits(IN), "nothing is new");
    assert!(edge.waits(IN | OUT));
    assert_eq!(edge.evidence(), Evidence::Level);
    assert!(edge.report(Kind::Tcp, IN, VIEW, || Some(Count::total(3))), "the room is gone");
    edge.digest(Kind::Tcp, WATCHED, Facts::SHORT_READ, true);
    assert!(!edge.waits(IN), "what is readable is for the count to say");
    assert!(!edge.report(Kind::Tcp, IN, VIEW, || Some(Count::total(3))));
}

#[test]
fn a_refused_write_makes_room_news() {
    let mut edge = Edge::FRESH;
    edge.report(Kind::Tcp, OUT, VIEW, || None);
    edge.digest(Kind::Tcp, WATCHED, Facts::WROTE, true);
    assert!(!edge.report(Kind::Tcp, OUT, VIEW, || None), "a write that was accepted is none");
    edge.digest(Kind::Tcp, WATCHED, Facts::NO_SPACE, true);
    assert!(edge.report(Kind::Tcp, OUT, VIEW, || None));
}

#[test]
fn a_hangup_leaves_the_set_and_comes_back_with_a_new_connection() {
    let mut edge = Edge::FRESH;
    assert!(edge.report(Kind::Tcp, IN | HUP, VIEW, || Some(Count::total(0))));
    assert_eq!(edge.asked(WATCHED), None);
    let outlook = |kind| Outlook {
        kind,
        watched: WATCHED,
        sees_calls: true,
        departures: false,
        full_peer: false,
        shared: false,
        orphan: false,
    };
    assert!(edge.needs_resample(outlook(Kind::Tcp)), "it may go through more states");
    edge.closed();
    assert!(!edge.needs_resample(outlook(Kind::Tcp)));
    assert!(edge.needs_resample(outlook(Kind::Fifo)), "another writer may open it");
    assert!(edge.needs_resample(outlook(Kind::UnixStream)), "the peer may have shut down only, and close later");
    assert!(!edge.needs_resample(Outlook { orphan: true, ..outlook(Kind::UnixStream) }));
    edge.digest(Kind::Tcp, WATCHED, Facts::WAKE_ALL, true);
    assert_eq!(edge.asked(WATCHED), Some(WATCHED));
}

#[test]
fn a_level_seen_low_is_news_when_it_rises() {
    let mut edge = Edge::FRESH;
    edge.report(Kind::Tcp, IN | OUT, VIEW, || Some(Count::total(1)));
    assert!(!edge.report(Kind::Tcp, OUT, VIEW, || None));
    assert!(edge.report(Kind::Tcp, IN | OUT, VIEW, || Some(Count::total(2))));
}

#[test]
fn the_writer_of_an_unread_eventfd_is_the_edge() {
    let mut edge = Edge::FRESH;
    for _ in 0..3 {
        assert!(edge.report(Kind::Tcp, IN | OUT, VIEW, || None));
        assert!(!edge.report(Kind::Tcp, IN | OUT, VIEW, || None));
        edge.digest(Kind::Eventfd, WATCHED, Facts::WROTE, true);
    }
}

#[test]
fn what_a_loose_count_may_have_missed_is_reported_late_and_once() {
    let mut edge = Edge::FRESH;
    edge.report(Kind::Signalfd, IN, VIEW, || Some(Count::total(2)));
    edge.counted_loosely(Kind::Signalfd, 1);
    edge.counted_loosely(Kind::Signalfd, 1 + 2 * LATE_NS);
    assert_eq!(edge.reported(), IN, "nothing was taken");
    edge.digest(Kind::Signalfd, IN, Facts::READ_ALL, true);
    edge.counted(Count::total(2), VIEW);
    edge.counted_loosely(Kind::Signalfd, 5);
    edge.counted_loosely(Kind::Signalfd, 4 + LATE_NS);
    assert_eq!(edge.reported(), IN, "it is not time");
    edge.counted_loosely(Kind::Signalfd, 5 + LATE_NS);
    assert!(edge.report(Kind::Signalfd, IN, VIEW, || Some(Count::total(2))));
    edge.counted_loosely(Kind::Signalfd, 9 * LATE_NS);
    assert_eq!(edge.reported(), IN, "nothing was taken since then");
}

#[test]
fn doubts_come_at_once_and_then_ever_later() {
    let mut edge = Edge::FRESH;
    let mut now = 1_000_000_000;
    let mut delays = Vec::new();
    for _ in 0..5 {
        assert!(edge.report(Kind::Tcp, IN, VIEW, || None));
        edge.doubted(Kind::UnixListener, now);
        delays.push(edge.due - now);
        now = edge.due;
    }
    assert_eq!(delays, [1, 2, 4, 8, 16].map(|n| n * DOUBT_NS));
}

#[test]
fn a_write_that_was_reported_before_it_could_tell_is_no_second_edge() {
    let mut edge = Edge::FRESH;
    assert!(edge.report(Kind::Tcp, IN, VIEW, || None));
    edge.digest(Kind::Eventfd, WATCHED, Facts::WROTE, false);
    assert!(!edge.report(Kind::Tcp, IN, VIEW, || None));
}
