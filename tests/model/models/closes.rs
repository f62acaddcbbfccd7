//! Closes of watched descriptors and of instances, while other threads use them.

use std::sync::Arc;

use super::program::*;
use crate::graph::lookup;
use crate::scheduler::{sleep_until, spawn, spawn_interrupted, step};
use crate::sleep::{By, Sleep};
use crate::sync;

/// A signal handler that interrupts control calls and a write closes a registered descriptor:
/// afterwards nothing of the registration is left.
pub fn handler_that_closes_amid_control_leaves_nothing() {
    let (ep, bell, other) = (create(), eventfd(), eventfd());
    add(ep, bell, IN | ET, 1);
    let interrupted = spawn_interrupted(
        move || {
            add(ep, other, IN, 2);
            ring(other);
            delete(ep, other);
        },
        move || close(bell),
    );
    let waiter = spawn(move || {
        ready(ep);
    });
    join_all([interrupted, waiter]);
    end([other, ep]);
}

/// When a close reaches the kernel, no thread is in poll on the descriptor (D4), even if one was
/// before.
pub fn close_finds_nobody_in_poll() {
    let (ep, [from, to], stop) = (create(), pipe(), eventfd());
    add(ep, from, IN, 1);
    add(ep, stop, IN, 2);
    let waiter = spawn(move || {
        assert_eq!(wait_for_one(ep), 2);
    });
    crate::instance::close::forget_from_anywhere(from);
    assert!(!sync::is_polled(from));
    crate::sys::close(from).expect("close");
    ring(stop);
    waiter.join();
    end([to, stop, ep]);
}

/// Two threads close at once, and their numbers are reused at once.
pub fn closes_and_new_registrations_meet() {
    let (ep, stop) = (create(), eventfd());
    add(ep, stop, IN, 0);
    let waiter = spawn(move || {
        while wait_for_one(ep) != 0 {
            step();
        }
    });
    let users = [1, 2].map(|me| {
        spawn(move || {
            let bell = eventfd();
            add(ep, bell, IN | ET, me);
            ring(bell);
            close(bell);
        })
    });
    join_all(users);
    ring(stop);
    waiter.join();
    end([stop, ep]);
}

/// A hook reports a fact of a description while it is closed, and its records are reused.
pub fn hook_and_close_meet() {
    let (ep, bell) = watched_bell();
    let writer = spawn(move || {
        // The number may be closed, or another file's, by the time of the call.
        write(bell, &1u64.to_ne_bytes());
    });
    close(bell);
    let next = eventfd();
    add(ep, next, IN | ET, 2);
    writer.join();
    ring(next);
    assert_eq!(ready(ep), [2]);
    end([next, ep]);
}

/// The instance is closed while a thread waits on it; another thread can still wake the waiter
/// (W11).
pub fn close_of_the_instance_leaves_its_waiter_alone() {
    let (ep, bell) = (create(), eventfd());
    add(ep, bell, IN, 1);
    let waiting = Arc::new(Count::default());
    let waiter = {
        let waiting = Arc::clone(&waiting);
        spawn(move || {
            waiting.set(1);
            let mut event = libc::epoll_event { events: 0, u64: 0 };
            // SAFETY: there is room for one event. The close may have come first.
            let _ = unsafe { crate::instance::wait::wait(ep, &raw mut event, 1, None, Sleep::new(By::Name, None)) };
        })
    };
    close(ep);
    ring(bell);
    waiter.join();
    end([bell]);
}

/// A number that a signal handler closed, during a control call of its thread, can be opened and
/// registered by another thread at once.
pub fn number_that_a_handler_closed_is_free() {
    let (ep, bell, other) = (create(), eventfd(), eventfd());
    add(ep, bell, IN | ET, 1);
    let closed = Arc::new(Count::default());
    let interrupted = {
        let closed = Arc::clone(&closed);
        spawn_interrupted(
            move || {
                add(ep, other, IN | ET, 2);
                modify(ep, other, IN | ET, 2);
                delete(ep, other);
            },
            move || {
                close(bell);
                closed.set(1);
            },
        )
    };
    sleep_until(move || closed.get() == 1);
    let next = eventfd();
    assert_eq!(next, bell);
    add(ep, next, IN | ET, 3);
    interrupted.join();
    ring(next);
    assert_eq!(ready(ep), [3]);
    end([next, other, ep]);
}

/// A poll reports POLLNVAL for a number that by then is another description's, perhaps with the
/// same record: nothing is harmed.
pub fn late_word_of_a_closed_number_harms_nobody() {
    let (ep, bell) = watched_bell();
    let file = lookup::known(bell).expect("it is registered");
    let poller = spawn(move || crate::instance::close::vanished(file, bell));
    for round in 2..=3 {
        close(bell);
        let next = eventfd();
        assert_eq!(next, bell);
        add(ep, next, IN | ET, round);
    }
    poller.join();
    ring(bell);
    assert_eq!(ready(ep), [3]);
    end([bell, ep]);
}
