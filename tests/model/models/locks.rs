//! The lock, the pools and the table of numbers.

use std::sync::Arc;

use super::program::{close, create, nothing_is_left};
use crate::graph::eventpoll::{self, Eventpoll, INSTANCES};
use crate::instance::open;
use crate::lock::{ForkLock, Lock, Rank, interrupted};
use crate::pool::{AtomicShort, Pool};
use crate::pooled;
use crate::scheduler::{spawn, spawn_interrupted, step};
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};

/// A counter that loses counts if two threads hold the lock, and threads that sleep for ever if a
/// wake-up is lost.
pub fn lock_lets_one_in_and_wakes_the_next() {
    let lock = Arc::new(Lock::new(Rank::new(0), 0u32));
    let count = |lock: &Lock<u32>| {
        let mut guard = lock.lock();
        let before = *guard;
        step();
        *guard = before + 1;
    };
    let threads = [(); 3].map(|()| {
        let lock = Arc::clone(&lock);
        spawn(move || count(&lock))
    });
    threads.into_iter().for_each(|thread| thread.join());
    assert_eq!(*lock.lock(), 3);
}

static POOL: Pool<Record> = Pool::new();

struct Record {
    free: AtomicShort<Record>,
    user: AtomicU32,
}

pooled!(POOL, Record, free, Record { free: AtomicShort::none(), user: AtomicU32::new(0) });

/// A thread that holds an instance's lock walks all instances, while a fork takes every lock.
pub fn records_are_gone_through_while_a_fork_has_the_pool() {
    let ep = create();
    let instance = *open::find(ep).expect("it is an instance");
    let holder = spawn(move || {
        let _state = instance.lock();
        Eventpoll::for_each(|_| step());
    });
    INSTANCES.lock_for_fork();
    // SAFETY: they were locked by this thread.
    unsafe { INSTANCES.unlock_after_fork() };
    holder.join();
    close(ep);
    nothing_is_left();
}

/// A record is never in use by two threads at once.
pub fn pool_gives_each_record_to_one() {
    let threads = [1, 2, 3].map(|me| {
        spawn(move || {
            for _ in 0..2 {
                let record = POOL.take().expect("memory");
                assert_eq!(record.user.swap(me, SeqCst), 0);
                step();
                assert_eq!(record.user.swap(0, SeqCst), me);
                POOL.give_back(record);
            }
        })
    });
    threads.into_iter().for_each(|thread| thread.join());
}
