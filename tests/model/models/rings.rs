//! Rings: the actions of other threads while one sleeps on a ring, and the return of an instance
//! from a ring to poll.

use std::sync::Arc;

use nix::errno::Errno;

use super::program::*;
use crate::backend::switch;
use crate::instance::close;
use crate::scheduler::{Joinable, let_others_go, spawn, step};
use crate::sys;

/// A thread that adds to an unread eventfd, and counts each add before it makes it.
fn ringer(bell: i32, adds: u32, told: &Arc<Count>) -> Joinable {
    let told = Arc::clone(told);
    spawn(move || {
        for _ in 0..adds {
            told.add();
            ring(bell);
        }
    })
}

/// When a close reaches the kernel, no ring holds the file (D4): a pipe whose read end was in a
/// ring fails with EPIPE for its writers.
pub fn close_finds_no_request_in_the_ring() {
    let (ep, [from, to], stop) = (create(), pipe(), eventfd());
    add(ep, from, IN, 1);
    add(ep, stop, IN, 2);
    let waiter = spawn(move || assert_eq!(wait_for_one(ep), 2));
    close::forget_from_anywhere(from);
    sys::close(from).expect("close");
    assert_eq!(sys::write(to, b"t"), Err(Errno::EPIPE));
    ring(stop);
    waiter.join();
    end([to, stop, ep]);
}

/// The ring's thread ends after its wait, while another thread adds: adds that it did not report
/// are reported after its end.
pub fn edges_outlive_the_thread_of_the_ring() {
    let (ep, bell) = watched_bell();
    let (told, heard) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let owner = {
        let (told, heard) = (Arc::clone(&told), Arc::clone(&heard));
        spawn(move || {
            wait_for_one(ep);
            heard.set(told.get());
        })
    };
    let ringer = ringer(bell, 2, &told);
    owner.join();
    if heard.get() < 2 {
        hear(ep, &told, 2);
    }
    ringer.join();
    end([bell, ep]);
}

/// The ring's thread records the state that a forked child needs, and continues, while another
/// thread adds.
pub fn edges_are_heard_amid_a_fork() {
    let (ep, bell) = watched_bell();
    report_once(ep, bell);
    let told = Arc::new(Count::default());
    let ringer = ringer(bell, 2, &told);
    switch::prepare_fork();
    step();
    switch::go_on_after_fork();
    hear(ep, &told, 2);
    ringer.join();
    end([bell, ep]);
}

/// A thread that sleeps on the ring is woken by registrations that another thread adds, modifies
/// and re-arms, and whose descriptors are closed and reused meanwhile.
pub fn registrations_come_and_go_under_a_sleeper() {
    let (ep, stop) = (create(), eventfd());
    add(ep, stop, IN, 0);
    let seen = Arc::new([const { Count::new() }; 4]);
    let waiter = {
        let seen = Arc::clone(&seen);
        spawn(move || {
            while let data @ 1.. = wait_for_one(ep) {
                seen[data as usize].add();
            }
        })
    };
    for data in 1..=3 {
        let bell = eventfd();
        add(ep, bell, IN | ONESHOT, data);
        ring(bell);
        let_others_go();
        assert_eq!(seen[data as usize].get(), 1);
        modify(ep, bell, IN | ET, data);
        let_others_go();
        assert_eq!(seen[data as usize].get(), 2);
        close(bell);
    }
    ring(stop);
    waiter.join();
    end([stop, ep]);
}
