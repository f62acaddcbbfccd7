//! An instance whose descriptor is polled from outside, while no thread waits on it.

use libc::c_int;

use super::program::*;
use crate::events;
use crate::scheduler::spawn;
use crate::sys;

/// Whether poll(2) shows the descriptor readable, as to a process without the library.
fn shows(fd: c_int) -> bool {
    sys::level(fd, events::IN) & events::IN != 0
}

/// An instance in another one, with an unread eventfd in it whose edge was reported.
fn nested(outer_events: u32) -> [c_int; 3] {
    let (outer, inner, bell) = (create(), create(), eventfd());
    add(inner, bell, IN | ET, 1);
    add(outer, inner, outer_events, 2);
    ring(bell);
    assert_eq!(ready(outer), [2]);
    assert_eq!(ready(inner), [1]);
    assert_eq!(ready(outer), []);
    assert!(!shows(inner));
    [bell, inner, outer]
}

/// A hook reports an edge while a control call attends to the instance: in the end the descriptor
/// is readable, and the outer instance reports it.
fn edge_beside_a_control_call(outer_events: u32) {
    let [bell, inner, outer] = nested(outer_events);
    let other = eventfd();
    let adder = spawn(move || ring(bell));
    add(inner, other, IN, 3);
    delete(inner, other);
    adder.join();
    assert!(shows(inner), "the descriptor does not show an edge");
    assert_eq!(ready(outer), [2]);
    assert_eq!(ready(inner), [1]);
    [other, bell, inner, outer].into_iter().for_each(close);
    nothing_is_left();
}

pub fn level_outside_outlives_a_control_call() {
    edge_beside_a_control_call(IN);
}

pub fn edge_outside_outlives_a_control_call() {
    edge_beside_a_control_call(IN | ET);
}

/// The same while the outer instance looks at the inner one, which empties the pipe if it finds
/// nothing.
pub fn level_outside_outlives_a_look() {
    let [bell, inner, outer] = nested(IN);
    let adder = spawn(move || ring(bell));
    ready(outer);
    adder.join();
    assert!(shows(inner), "the descriptor does not show an edge");
    assert_eq!(ready(outer), [2]);
    assert_eq!(ready(inner), [1]);
    [bell, inner, outer].into_iter().for_each(close);
    nothing_is_left();
}

/// The same during a wait on the inner instance, which reports the edge or leaves the descriptor
/// readable.
pub fn edge_beside_a_wait_inside_is_reported_or_shown() {
    let [bell, inner, outer] = nested(IN);
    let adder = spawn(move || ring(bell));
    let mut reported = ready(inner);
    adder.join();
    if reported.is_empty() {
        assert!(shows(inner), "the descriptor does not show an edge");
        assert_eq!(ready(outer), [2]);
        reported = ready(inner);
    }
    assert_eq!(reported, [1]);
    // A byte of a reported edge may stay in the pipe until the next look.
    assert_eq!(ready(outer), []);
    assert!(!shows(inner));
    [bell, inner, outer].into_iter().for_each(close);
    nothing_is_left();
}

/// Two hooks report an edge each: the outer instance reports both, whenever a thread waits on it.
pub fn edges_inside_are_edges_outside() {
    let [bell, inner, outer] = nested(IN | ET);
    let adders = [(); 2].map(|()| spawn(move || ring(bell)));
    let mut heard = ready(outer).len();
    adders.into_iter().for_each(|thread| thread.join());
    heard += ready(outer).len();
    assert!((1..=2).contains(&heard), "{heard} edges");
    assert_eq!(ready(outer), []);
    assert_eq!(ready(inner), [1]);
    [bell, inner, outer].into_iter().for_each(close);
    nothing_is_left();
}
