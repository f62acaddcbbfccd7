//! Waiting threads: which of them is woken, and for what.

use std::sync::Arc;

use super::program::*;
use crate::graph::waitq::Sleeper;
use crate::options::{self, Poller};
use crate::scheduler::{Joinable, sleep_until, spawn};
use crate::sync;

/// A thread sleeps until two others have each counted and woken it: it sees both.
pub fn wake_up_is_never_lost() {
    let happened = Arc::new(Count::default());
    let sleeper = Sleeper::begin().expect("a sleeper");
    let wakers = [(); 2].map(|()| {
        let happened = Arc::clone(&happened);
        spawn(move || {
            happened.add();
            sleeper.wake_up();
        })
    });
    while happened.get() < 2 {
        let mut wake = libc::pollfd { fd: sleeper.wake_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        unsafe { sync::ppoll(&raw mut wake, 1, std::ptr::null(), std::ptr::null()) };
        sleeper.clear_wakeup();
    }
    join_all(wakers);
}

/// Two waiters and two edges: each waiter gets one, whichever of them polls.
pub fn two_edges_wake_two_waiters() {
    let (ep, bells) = (create(), [eventfd(), eventfd()]);
    bells.iter().for_each(|&bell| add(ep, bell, IN | ET, bell as u64));
    let waiters = [(); 2].map(|()| {
        spawn(move || {
            wait_for_one(ep);
        })
    });
    bells.into_iter().for_each(ring);
    join_all(waiters);
    // If the second waiter took the instance over from the first one's ring, ready items may be
    // reported once more.
    assert!(options::poller() == Poller::Uring || ready(ep).is_empty());
    end(bells.into_iter().chain([ep]));
}

/// One edge wakes one of two waiters; the other sleeps until the next.
pub fn one_edge_is_one_report() {
    let (ep, bell) = watched_bell();
    let reports = Arc::new(Count::default());
    let waiters = [(); 2].map(|()| {
        let reports = Arc::clone(&reports);
        spawn(move || {
            wait_for_one(ep);
            reports.add();
        })
    });
    ring(bell);
    let seen = Arc::clone(&reports);
    sleep_until(move || seen.get() > 0);
    // By now every thread that can run has run, and the others sleep.
    crate::scheduler::let_others_go();
    // As above, the second waiter may take the instance over from the first one's ring.
    assert!(reports.get() == 1 || options::poller() == Poller::Uring);
    ring(bell);
    join_all(waiters);
    assert_eq!(reports.get(), 2);
    end([bell, ep]);
}

/// The thread that came last of two waiting threads is woken first (W9), whichever of them polls.
pub fn newest_waiter_is_woken_first() {
    let (ep, bell) = watched_bell();
    let woken = Arc::new(Count::default());
    let mut waiters = Vec::new();
    for me in 1..=2 {
        let woken = Arc::clone(&woken);
        waiters.push(spawn(move || {
            wait_for_one(ep);
            if woken.get() == 0 {
                woken.set(me);
            }
        }));
        crate::scheduler::let_others_go();
    }
    ring(bell);
    crate::scheduler::let_others_go();
    assert_eq!(woken.get(), 2);
    ring(bell);
    waiters.into_iter().for_each(Joinable::join);
    end([bell, ep]);
}

/// A descriptor that becomes ready by ADD, by MOD, or by re-arming a one-shot wakes a thread that
/// is already waiting.
pub fn control_wakes_a_waiter() {
    let (ep, bell) = (create(), eventfd());
    let waiter = spawn(move || {
        for _ in 0..3 {
            assert_eq!(wait_for_one(ep), 1);
        }
    });
    ring(bell);
    add(ep, bell, IN | ET, 1);
    modify(ep, bell, IN | ONESHOT, 1);
    modify(ep, bell, IN | ET, 1);
    // A report may have been overtaken by the next change.
    let over = Arc::new(Count::default());
    let seen = Arc::clone(&over);
    let helper = spawn(move || {
        while seen.get() == 0 {
            modify(ep, bell, IN | ONESHOT, 1);
            crate::scheduler::spin_loop();
        }
    });
    waiter.join();
    over.set(1);
    helper.join();
    end([bell, ep]);
}

/// After a DEL has returned, no event of the registration is reported (T10).
pub fn nothing_is_reported_after_a_deletion() {
    let (ep, bell) = (create(), eventfd());
    ring(bell);
    add(ep, bell, IN, 1);
    let gone = Arc::new(Count::default());
    let looker = {
        let gone = Arc::clone(&gone);
        spawn(move || {
            for _ in 0..2 {
                let was_gone = gone.get() > 0;
                let got = ready(ep);
                assert!(!was_gone || got.is_empty());
            }
        })
    };
    delete(ep, bell);
    gone.set(1);
    looker.join();
    end([bell, ep]);
}

/// A thread that sleeps on a registration does not report it after a DEL has returned, even if poll
/// still does (T10).
pub fn sleeper_does_not_report_what_was_deleted() {
    let (ep, bell, stop) = (create(), eventfd(), eventfd());
    add(ep, bell, IN, 1);
    add(ep, stop, IN, 2);
    let waiter = spawn(move || assert_eq!(wait_for_one(ep), 2));
    delete(ep, bell);
    ring(bell);
    crate::scheduler::let_others_go();
    ring(stop);
    waiter.join();
    end([bell, stop, ep]);
}

/// Two instances watch a pipe with two tokens exclusively: both tokens are taken, whichever
/// instance reports.
pub fn exclusive_instances_take_every_token() {
    let [from, to] = pipe();
    let (stop, taken) = (eventfd(), Arc::new(Count::default()));
    let instances = [create(), create()];
    for ep in instances {
        add(ep, from, IN | EXCLUSIVE, 1);
        add(ep, stop, IN, 2);
    }
    let takers = instances.map(|ep| {
        let taken = Arc::clone(&taken);
        spawn(move || {
            while wait_for_one(ep) == 1 {
                if read_one(from) == 1 && taken.add() == 2 {
                    ring(stop);
                }
            }
        })
    });
    for _ in 0..2 {
        assert_eq!(write(to, b"t"), 1);
    }
    join_all(takers);
    assert_eq!(taken.get(), 2);
    end([from, to, stop].into_iter().chain(instances));
}

/// Two instances watch a pipe exclusively, and each has a waiter. One token is one report; the
/// other instance reports it only when the first has given it up without having taken it.
pub fn claim_is_of_one_and_passes_on() {
    let [from, to] = pipe();
    let instances = [create(), create()];
    instances.iter().for_each(|&ep| add(ep, from, IN | EXCLUSIVE, 1));
    let reports = Arc::new(Count::default());
    let reporter = Arc::new(Count::default());
    let waiters = [0, 1].map(|me| {
        let (reports, reporter) = (Arc::clone(&reports), Arc::clone(&reporter));
        spawn(move || {
            wait_for_one(instances[me]);
            reports.add();
            reporter.set(me as u32);
        })
    });
    assert_eq!(write(to, b"t"), 1);
    crate::scheduler::let_others_go();
    assert_eq!(reports.get(), 1);
    delete(instances[reporter.get() as usize], from);
    join_all(waiters);
    assert_eq!(reports.get(), 2);
    end([from, to].into_iter().chain(instances));
}
