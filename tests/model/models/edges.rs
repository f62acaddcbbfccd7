//! Edges of descriptors that are unread, or read at once, while a thread waits.

use std::sync::Arc;

use super::program::*;
use crate::scheduler::{sleep_until, spawn, spawn_interrupted};

/// Every add to an unread edge-triggered eventfd wakes the waiter, whatever the waiter is doing.
pub fn each_add_to_an_unread_eventfd_is_an_edge() {
    let (ep, bell) = watched_bell();
    report_once(ep, bell);
    let told = Arc::new(Count::default());
    let ringer = {
        let told = Arc::clone(&told);
        spawn(move || {
            for _ in 0..2 {
                told.add();
                ring(bell);
            }
        })
    };
    hear(ep, &told, 2);
    ringer.join();
    end([bell, ep]);
}

/// Two threads add to one unread eventfd: both adds wake the waiter.
pub fn adds_of_two_threads_are_both_heard() {
    let (ep, bell) = watched_bell();
    report_once(ep, bell);
    let told = Arc::new(Count::default());
    let ringers = [(); 2].map(|()| {
        let told = Arc::clone(&told);
        spawn(move || {
            told.add();
            ring(bell);
        })
    });
    hear(ep, &told, 2);
    join_all(ringers);
    end([bell, ep]);
}

/// Two threads add to an unread eventfd each, so that they use the inbox of one instance together.
pub fn adds_to_two_eventfds_are_both_heard() {
    let (ep, bells) = (create(), [eventfd(), eventfd()]);
    for bell in bells {
        add(ep, bell, IN | ET, 1);
        report_once(ep, bell);
    }
    let told = Arc::new(Count::default());
    let ringers = bells.map(|bell| {
        let told = Arc::clone(&told);
        spawn(move || {
            told.add();
            ring(bell);
        })
    });
    hear(ep, &told, 2);
    join_all(ringers);
    end(bells.into_iter().chain([ep]));
}

/// The same if the interrupted thread is in a control call on the instance.
pub fn add_is_heard_while_a_handler_adds_amid_control() {
    let (ep, bell) = watched_bell();
    report_once(ep, bell);
    is_heard_amid_control(ep, bell, ring);
}

/// A signal handler that interrupts a control call makes an event on `fd`, which is registered
/// edge-triggered, and it is reported.
pub fn is_heard_amid_control(ep: i32, fd: i32, tell: fn(i32)) {
    let other = eventfd();
    let told = Arc::new(Count::default());
    let interrupted = {
        let told = Arc::clone(&told);
        spawn_interrupted(
            move || {
                add(ep, other, IN | ET, 2);
                modify(ep, fd, IN | ET, 1);
                delete(ep, other);
            },
            move || {
                told.add();
                tell(fd);
            },
        )
    };
    hear(ep, &told, 1);
    interrupted.join();
    end([fd, other, ep]);
}

/// A thread is held up in a signal handler during an add, anywhere in the library. Another thread's
/// add wakes the waiter all the same, without anything that the first thread has yet to do.
pub fn add_is_heard_while_another_thread_is_held_up() {
    let (ep, bell) = watched_bell();
    report_once(ep, bell);
    let (told, heard) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let held_up = {
        let heard = Arc::clone(&heard);
        // A handler that does not return before the waiter has reported the other add.
        spawn_interrupted(move || ring(bell), move || sleep_until(move || heard.get() > 0))
    };
    let waiter = {
        let (told, heard) = (Arc::clone(&told), Arc::clone(&heard));
        spawn(move || {
            while heard.get() < 1 {
                wait_for_one(ep);
                heard.set(told.get());
            }
        })
    };
    told.add();
    ring(bell);
    join_all([waiter, held_up]);
    end([bell, ep]);
}

/// An arrival on a socket that another thread reads at once is one report, if only of EPOLLOUT. It
/// is not lost to a wait that is checking for arrivals behind unread data, and it is not reported
/// again because the report ran into the read.
pub fn what_is_taken_at_once_is_one_report() {
    take_at_once(libc::SOCK_STREAM);
}

/// The same for packets, which are counted by peeking at them.
pub fn packet_that_is_taken_at_once_is_one_report() {
    take_at_once(libc::SOCK_SEQPACKET);
}

fn take_at_once(kind: i32) {
    let (ep, [near, far]) = (create(), socket_pair(kind));
    add(ep, near, IN | OUT | ET, 1);
    assert_eq!(wait_for_one(ep), 1);
    for _ in 0..2 {
        let other = spawn(move || {
            assert_eq!(write(far, b"x"), 1);
            assert_eq!(read_short(near), 1);
        });
        assert_eq!(wait_for_one(ep), 1);
        other.join();
        assert!(ready(ep).is_empty());
    }
    end([near, far, ep]);
}
