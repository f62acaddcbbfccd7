//! Descriptions that send signals: arrivals at each step of their beginning and end, and at the
//! returns to poll. The descriptions and the signals are the kernel's own. A signal is delivered by
//! the write that sends it, so the steps of the threads decide its place.

use std::sync::Arc;

use libc::c_int;

use super::program::*;
use crate::backend::signals;
use crate::graph::lookup;
use crate::graph::signal_numbers as numbers;
use crate::scheduler::{Joinable, pass_a_second, spawn, step};
use crate::sys;

/// An instance that waits for the edges of a pipe, whose read end sends signals.
fn signalled_pipe() -> (c_int, [c_int; 2]) {
    let (ep, [from, to]) = (create(), pipe());
    add(ep, from, IN | ET, 1);
    assert!(numbers::is_armed(from));
    (ep, [from, to])
}

/// The same, with a byte that is reported and not read: the level shows no later one.
fn unread_pipe() -> (c_int, [c_int; 2]) {
    let (ep, [from, to]) = signalled_pipe();
    write_unseen(to, b"a");
    assert_eq!(wait_for_one(ep), 1);
    (ep, [from, to])
}

/// Another process that writes single bytes, and counts each before it writes it.
fn writer(to: c_int, bytes: u32, told: &Arc<Count>) -> Joinable {
    let told = Arc::clone(told);
    spawn(move || {
        for _ in 0..bytes {
            told.add();
            write_unseen(to, b"b");
        }
    })
}

/// A thread that takes all signals, whichever instances they are for. Its instance is closed before
/// the model's, so that the next run finds both records in the same order.
fn taker() -> (c_int, Joinable) {
    let other = create();
    (other, spawn(move || assert!(ready(other).is_empty())))
}

/// Looks until everything is reported, including arrivals that only counts show.
fn find_all(ep: c_int, told: &Count, all: u32, mut heard: u32) {
    for _ in 0..4 {
        if heard == all {
            return;
        }
        pass_a_second();
        if !ready(ep).is_empty() {
            heard = told.get();
        }
    }
    panic!("{heard} of {all} arrivals are reported");
}

/// Arrivals before, after, and at each step of a look: all are reported.
fn arrive_beside_a_look(ep: c_int, to: c_int, bytes: u32) {
    let told = Arc::new(Count::default());
    let writer = writer(to, bytes, &told);
    let heard = if ready(ep).is_empty() { 0 } else { told.get() };
    writer.join();
    find_all(ep, &told, bytes, heard);
}

/// An arrival before, after, and at each step at which a description is made to send signals.
pub fn arrival_amid_arming_is_heard() {
    let (ep, [from, to]) = (create(), pipe());
    let writer = spawn(move || write_unseen(to, b"a"));
    add(ep, from, IN | ET, 1);
    assert!(numbers::is_armed(from));
    assert_eq!(wait_for_one(ep), 1);
    writer.join();
    assert!(ready(ep).is_empty());
    end([from, to, ep]);
}

/// While the level stays high, signals are all that reports edges.
pub fn each_arrival_at_an_unread_pipe_is_an_edge() {
    let (ep, [from, to]) = unread_pipe();
    let told = Arc::new(Count::default());
    let writer = writer(to, 2, &told);
    hear(ep, &told, 2);
    writer.join();
    end([from, to, ep]);
}

/// Each of two waiting threads takes the signals for both instances.
pub fn arrivals_at_two_instances_are_both_heard() {
    let both = [(); 2].map(|()| signalled_pipe());
    let waiters = both.map(|(ep, _)| spawn(move || assert_eq!(wait_for_one(ep), 1)));
    both.iter().for_each(|(_, [_, to])| write_unseen(*to, b"a"));
    join_all(waiters);
    end(both.into_iter().flat_map(|(ep, [from, to])| [ep, from, to]));
}

/// Two threads wait on one instance: each gets one of two edges.
pub fn two_arrivals_wake_two_waiters() {
    let (ep, pipes) = (create(), [pipe(), pipe()]);
    pipes.iter().for_each(|[from, _]| add(ep, *from, IN | ET, *from as u64));
    let waiters = [(); 2].map(|()| {
        spawn(move || {
            wait_for_one(ep);
        })
    });
    pipes.iter().for_each(|[_, to]| write_unseen(*to, b"a"));
    join_all(waiters);
    assert!(ready(ep).is_empty());
    end(pipes.into_iter().flatten().chain([ep]));
}

/// A thread takes a signal while its registration is deleted: after the DEL nothing is reported,
/// and the next registration reports what it finds.
pub fn arrival_amid_a_deletion_is_not_reported() {
    let (ep, [from, to]) = signalled_pipe();
    let gone = Arc::new(Count::default());
    let looker = {
        let gone = Arc::clone(&gone);
        spawn(move || {
            let was_gone = gone.get() > 0;
            let got = ready(ep);
            assert!(!was_gone || got != [1], "reported after the deletion");
        })
    };
    let (other, taker) = taker();
    write_unseen(to, b"a");
    delete(ep, from);
    gone.set(1);
    looker.join();
    add(ep, from, IN | ET, 2);
    assert_eq!(wait_for_one(ep), 2);
    taker.join();
    end([from, to, other, ep]);
}

/// Signals under way when their number is closed are not edges of the next description.
pub fn number_that_is_reused_has_no_earlier_signals() {
    let (ep, [from, to]) = signalled_pipe();
    let beside = spawn(step);
    write_unseen(to, b"a");
    close(from);
    let [next, next_to] = pipe();
    assert_eq!(next, from);
    write_unseen(next_to, b"a");
    add(ep, next, IN | ET, 2);
    assert!(!signals::are_pending(), "a signal of the description before");
    assert_eq!(wait_for_one(ep), 2);
    beside.join();
    assert!(ready(ep).is_empty());
    end([to, next, next_to, ep]);
}

/// A thread takes a signal while its number is closed and reused.
pub fn arrival_at_a_reused_number_is_heard() {
    let (ep, [from, to]) = signalled_pipe();
    let (other, taker) = taker();
    write_unseen(to, b"a");
    close(from);
    let [next, next_to] = pipe();
    assert_eq!(next, from);
    add(ep, next, IN | ET, 2);
    assert!(ready(ep).is_empty(), "a report of the description before");
    write_unseen(next_to, b"a");
    assert_eq!(wait_for_one(ep), 2);
    taker.join();
    end([to, next, next_to, other, ep]);
}

/// A thread takes a signal while its number is closed, and the description lives on under another
/// one.
pub fn arrival_amid_the_close_of_one_of_two_numbers_is_heard() {
    let (ep, [from, to]) = unread_pipe();
    let second = dup(from);
    let told = Arc::new(Count::default());
    let writer = writer(to, 1, &told);
    let (other, taker) = taker();
    close(from);
    let heard = if ready(ep).is_empty() { 0 } else { told.get() };
    writer.join();
    taker.join();
    find_all(ep, &told, 1, heard);
    // From here on nobody takes signals of the old number for edges of the next description.
    write_unseen(to, b"c");
    assert!(!signals::are_pending());
    end([second, to, other, ep]);
}

/// The queue of signals is full: SIGIO comes instead, and every registration is looked at.
pub fn arrivals_without_room_for_signals_are_heard() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is a local. It stays, because the process runs no other model.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_SIGPENDING, &raw const none) }, 0);
    each_arrival_at_an_unread_pipe_is_an_edge();
}

/// An arrival while a description is made to send no more signals, and a thread takes them.
pub fn arrival_amid_a_return_to_poll_is_heard() {
    let (ep, [from, to]) = unread_pipe();
    let told = Arc::new(Count::default());
    let writer = writer(to, 2, &told);
    let (other, taker) = taker();
    signals::let_go(from);
    let heard = if ready(ep).is_empty() { 0 } else { told.get() };
    writer.join();
    taker.join();
    find_all(ep, &told, 2, heard);
    assert!(!numbers::is_armed(from));
    end([from, to, other, ep]);
}

/// Signals come so much more often than reports that the description is polled from here on.
pub fn arrivals_that_are_too_many_are_heard() {
    let (ep, [from, to]) = unread_pipe();
    (0..100).for_each(|_| assert!(!numbers::count_signal(from)));
    arrive_beside_a_look(ep, to, 2);
    assert!(numbers::rests(from));
    end([from, to, ep]);
}

/// An arrival while a description sends signals again after a rest.
pub fn arrival_amid_the_end_of_a_rest_is_heard() {
    let (ep, [from, to]) = unread_pipe();
    (0..100).for_each(|_| assert!(!numbers::count_signal(from)));
    write_unseen(to, b"b");
    assert_eq!(wait_for_one(ep), 1);
    assert!(numbers::rests(from));
    assert!(ready(ep).is_empty());
    assert!(!is_signalled(from));
    while !numbers::count_rest(from) {}
    // Its fact has the registration looked at, and then it returns.
    assert_eq!(read_short(from), 2);
    arrive_beside_a_look(ep, to, 1);
    assert!(is_signalled(from));
    end([from, to, ep]);
}

/// Another thread has a signal in hand that came during a rest, and makes the description send no
/// more while it begins to send again.
pub fn end_of_a_rest_amid_a_late_signal_is_whole() {
    let (ep, [from, to]) = unread_pipe();
    (0..100).for_each(|_| assert!(!numbers::count_signal(from)));
    write_unseen(to, b"b");
    assert_eq!(wait_for_one(ep), 1);
    assert!(ready(ep).is_empty());
    assert!(numbers::rests(from) && !is_signalled(from));
    for _ in 0..30 {
        assert!(!numbers::count_rest(from));
    }
    write_unseen(to, b"c");
    let other = create();
    let waiter = spawn(move || {
        assert!(numbers::count_rest(from));
        assert_eq!(read_short(from), 3);
        ready(ep);
        ready(ep);
    });
    ready(other);
    waiter.join();
    ready(ep);
    assert!(!is_signalled(from) || numbers::is_armed(from));
    end([from, to, other, ep]);
}

/// An arrival while a fork is prepared, after which the description is polled.
pub fn arrival_amid_a_fork_is_heard() {
    let (ep, [from, to]) = unread_pipe();
    let told = Arc::new(Count::default());
    let writer = writer(to, 2, &told);
    let (other, taker) = taker();
    signals::prepare_fork();
    step();
    signals::go_on_after_fork();
    let heard = if ready(ep).is_empty() { 0 } else { told.get() };
    writer.join();
    taker.join();
    find_all(ep, &told, 2, heard);
    assert!(!numbers::is_armed(from));
    end([from, to, other, ep]);
}

/// A connection is polled after a refused write, and sends signals again after the report of room:
/// an arrival meanwhile is reported.
pub fn arrival_amid_a_return_of_room_is_heard() {
    let (ep, [near, far]) = (create(), tcp_pair());
    add(ep, near, IN | OUT | ET, 1);
    assert!(is_signalled(near));
    assert_eq!(wait_for_one(ep), 1);
    let mut chunk = [0; 1 << 12];
    while write(near, &chunk) > 0 {}
    assert!(ready(ep).is_empty());
    assert!(!is_signalled(near));
    let peer = spawn(move || {
        while sys::read(far, &mut chunk).is_ok_and(|read| read > 0) {}
        write_unseen(far, b"b");
    });
    let mut shown = 0;
    while shown != IN | OUT {
        shown |= bits_of_one(ep);
        // Its fact has the registration looked at, and then it returns.
        assert_eq!(write(near, b"c"), 1);
    }
    peer.join();
    assert_eq!(read_short(near), 1);
    ready(ep);
    assert!(is_signalled(near));
    end([near, far, ep]);
}

/// A description that is reported again and again is polled for a while: arrivals meanwhile.
pub fn arrivals_at_a_busy_description_are_heard() {
    let (ep, [from, to]) = unread_pipe();
    for _ in 0..6 {
        write_unseen(to, b"b");
        assert_eq!(wait_for_one(ep), 1);
    }
    assert!(!numbers::rests(from));
    write_unseen(to, b"b");
    let told = Arc::new(Count::default());
    let writer = writer(to, 2, &told);
    // The report that makes it busy.
    assert_eq!(wait_for_one(ep), 1);
    assert!(numbers::rests(from));
    let heard = told.get();
    let heard = if ready(ep).is_empty() { heard } else { told.get() };
    writer.join();
    find_all(ep, &told, 2, heard);
    assert!(!is_signalled(from));
    end([from, to, ep]);
}

/// An instance that chooses between poll and signals, because it cannot have a ring.
fn choosing() -> c_int {
    let ep = create();
    let file = lookup::known(ep).expect("an instance");
    file.eventpoll().expect("an instance").lock().backend.ring_cost.spoilt = true;
    ep
}

/// A description sends signals after its first reports: arrivals meanwhile.
pub fn arrival_amid_the_end_of_a_trial_is_heard() {
    let (ep, [from, to]) = (choosing(), pipe());
    add(ep, from, IN | ET, 1);
    for _ in 0..8 {
        write_unseen(to, b"a");
        assert_eq!(wait_for_one(ep), 1);
        assert_eq!(read_short(from), 1);
    }
    arrive_beside_a_look(ep, to, 2);
    assert!(is_signalled(from));
    end([from, to, ep]);
}

/// A description sends signals after it was silent for a while: an arrival meanwhile.
pub fn arrival_amid_the_end_of_silence_is_heard() {
    const SILENT: usize = 9;
    let (ep, [busy, to]) = (choosing(), pipe());
    let silent = [(); SILENT].map(|()| pipe());
    add(ep, busy, IN, 1);
    silent.iter().for_each(|[from, _]| add(ep, *from, IN | ET, 2));
    let report = || {
        write_unseen(to, b"a");
        assert_eq!(wait_for_one(ep), 1);
        assert_eq!(read_short(busy), 1);
    };
    (0..31).for_each(|_| report());
    assert!(!is_signalled(silent[4][0]));
    let far = silent[4][1];
    let writer = spawn(move || write_unseen(far, b"b"));
    write_unseen(to, b"a");
    let first = wait_for_one(ep);
    writer.join();
    // The arrival is reported once, before or after the move.
    let mut then = ready(ep);
    then.push(first);
    assert_eq!(then.iter().filter(|&&data| data == 2).count(), 1, "{then:?}");
    assert!(is_signalled(silent[5][0]));
    end(silent.into_iter().flatten().chain([busy, to, ep]));
}

fn is_signalled(fd: c_int) -> bool {
    let file = lookup::known(fd).expect("it is registered");
    file.graph().items().all(|item| item.is_asked_by_signal())
}
