//! Waiting threads, and threads that write, control and close meanwhile.

use std::sync::Arc;

use super::program::*;
use crate::graph::lookup;
use crate::graph::waitq::Sleeper;
use crate::options::{self, Poller};
use crate::scheduler::{Joinable, sleep_until, spawn, spawn_interrupted, step};
use crate::sync;

/// Waits for the end of all threads.
pub fn join_all<const N: usize>(threads: [Joinable; N]) {
    threads.into_iter().for_each(Joinable::join);
}

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

/// An instance with an eventfd, edge-triggered.
pub fn watched_bell() -> (i32, i32) {
    let (ep, bell) = (create(), eventfd());
    add(ep, bell, IN | ET, 1);
    (ep, bell)
}

/// Waits until all adds are reported; each report counts for the adds before it.
pub fn hear(ep: i32, told: &Count, all: u32) {
    let mut heard = 0;
    while heard < all {
        wait_for_one(ep);
        heard = told.get();
    }
}

/// Ends a model: closes everything, and checks that nothing is left.
pub fn end(descriptors: impl IntoIterator<Item = i32>) {
    descriptors.into_iter().for_each(close);
    nothing_is_left();
}

/// Leaves the level high and reported, so that only a hook can report another edge.
pub fn report_once(ep: i32, bell: i32) {
    ring(bell);
    wait_for_one(ep);
}

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
            let _ = unsafe { crate::instance::wait::wait(ep, &raw mut event, 1, None, None) };
        })
    };
    close(ep);
    ring(bell);
    waiter.join();
    end([bell]);
}

/// A thread is held up in a signal handler during an add, anywhere in the library. Another thread's
/// add wakes the waiter all the same, without anything that the first thread has yet to do.
pub fn add_is_heard_while_another_thread_is_held_up() {
    let (ep, bell) = watched_bell();
    report_once(ep, bell);
    let (told, heard) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let held_up = {
        let (told, heard) = (Arc::clone(&told), Arc::clone(&heard));
        spawn_interrupted(move || ring(bell), move || hold_up_until(&told, &heard))
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

/// A handler that does not return before the waiter has reported the other add.
fn hold_up_until(told: &Arc<Count>, heard: &Arc<Count>) {
    let (_told, heard) = (Arc::clone(told), Arc::clone(heard));
    sleep_until(move || heard.get() > 0);
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
