//! Descriptors that belong to the library: the wake-up descriptor of a thread, the write end of an
//! instance's pipe, a ring. The program can neither see nor close them, and when it claims one of
//! their numbers (`dup2` onto it) the descriptor moves to another number.
//!
//! The number is kept in one place, an [`InternalFd`] of a record that is never freed. All of these
//! are in one list, so code that finds an internal descriptor under a number can find its owner
//! without knowing its purpose.

use std::ptr;
use std::sync::atomic::AtomicPtr;

use libc::c_int;
use nix::errno::Errno;

use crate::facts;
use crate::graph::fdtable::{self, Entry};
use crate::graph::lookup::is_internal;
use crate::sync;
use crate::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::sync::atomic::{AtomicBool, AtomicI32, AtomicU32};
use crate::sys;

/// Internal descriptors live from here on, where the limit allows it: above what most programs use,
/// low enough that the kernel's table stays small.
const BASE: usize = 4096;

/// No descriptor.
const NONE: c_int = -1;
/// The descriptor was closed by a call that the library did not see. Its owner may be asleep on it.
const LOST: c_int = -2;

/// The last one that was listed.
static LAST: AtomicPtr<InternalFd> = AtomicPtr::new(ptr::null_mut());

/// The place of one internal descriptor.
#[derive(Debug)]
pub struct InternalFd {
    number: AtomicI32,
    /// The number of threads that are in a system call on it, or about to be.
    users: AtomicU32,
    is_listed: AtomicBool,
    /// The one that was listed before.
    before: AtomicPtr<InternalFd>,
}

impl InternalFd {
    /// The offset of the number, for readers from outside.
    pub const NUMBER_AT: usize = std::mem::offset_of!(InternalFd, number);

    /// A place without a descriptor.
    pub const fn new() -> InternalFd {
        InternalFd {
            number: AtomicI32::new(NONE),
            users: AtomicU32::new(0),
            is_listed: AtomicBool::new(false),
            before: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The number; negative if there is none. A thread that is going to sleep on the descriptor
    /// must be in poll by now; otherwise the descriptor may have moved.
    pub fn number(&self) -> c_int {
        self.number.load(SeqCst)
    }

    /// Whether there is a descriptor.
    pub fn is_there(&self) -> bool {
        self.number.load(Relaxed) >= 0
    }

    /// Whether the descriptor was closed by a call that the library did not see, or was given up
    /// after one.
    pub fn is_lost(&self) -> bool {
        let number = self.number();
        number == LOST || (number >= 0 && !sys::is_open(number))
    }

    /// The cell that contains the number, for calls that only the owner makes.
    pub fn cell(&self) -> &AtomicI32 {
        &self.number
    }

    /// Takes over a descriptor: moves it to a high number if one is free, and marks it in the
    /// table. Closes it on failure.
    pub fn adopt(&'static self, fd: c_int) -> Result<c_int, Errno> {
        let limit = facts::descriptor_limit();
        let high = sys::fcntl(fd, libc::F_DUPFD_CLOEXEC, BASE.min(limit / 4 * 3));
        let number = match high {
            Ok(number) => {
                let _ = sys::close(fd);
                number
            }
            Err(_) => fd,
        };
        if is_internal(number) {
            dispossess(number);
        }
        if let Err(errno) = fdtable::set(number, Entry::Internal) {
            let _ = sys::close(number);
            return Err(if errno == Errno::ENOSPC { Errno::EMFILE } else { errno });
        }
        self.list();
        self.number.store(number, SeqCst);
        Ok(number)
    }

    /// Moves the descriptor to another record.
    pub fn hand_to(&self, other: &'static InternalFd) {
        other.list();
        other.number.store(self.number.swap(NONE, Relaxed), Relaxed);
    }

    /// Closes the descriptor, if there is one.
    pub fn close(&self) {
        let fd = self.number.swap(NONE, SeqCst);
        if fd >= 0 && is_internal(fd) {
            fdtable::clear(fd);
            let _ = sys::close(fd);
        }
    }

    /// Forgets the descriptor, which was closed by a call that the library did not see. By now the
    /// program may have opened the number again, so it is not closed.
    pub fn give_up(&self) {
        let fd = self.number.swap(NONE, SeqCst);
        if is_internal(fd) {
            fdtable::clear(fd);
        }
    }

    /// In a forked child, closes the descriptor, which is the parent's and which no other thread
    /// uses.
    pub fn close_after_fork(&self) {
        self.close();
        self.forget_users();
    }

    /// In a forked child, forgets the threads that used the descriptor, which are not in the child.
    pub fn forget_users(&self) {
        self.users.store(0, Relaxed);
    }

    /// Makes a system call on the descriptor, from any thread. The program can get the number when
    /// no thread is in such a call, see [`InternalFd::await_users`].
    pub fn with<T>(&self, call: impl FnOnce(c_int) -> T) -> T {
        self.users.fetch_add(1, SeqCst);
        let answer = call(self.number());
        // In a forked child the count was reset, and this may be the return of a thread from a
        // handler.
        let _ = self.users.fetch_update(SeqCst, Relaxed, |users| users.checked_sub(1));
        answer
    }

    /// Waits until no thread is about to use the number that the descriptor had before, but at most
    /// `naps` milliseconds: a signal handler may hold up such a thread, possibly this one. The
    /// caller holds no lock. A thread counts itself before it loads the number.
    pub fn await_users(&self, naps: u32) {
        await_none(&self.users, naps);
    }

    /// Moves the descriptor to another number, because the program claims this one.
    fn move_away(&self, fd: c_int) {
        if let Ok(number) =
            sys::fcntl(fd, libc::F_DUPFD_CLOEXEC, fd as usize + 1).or_else(|_| sys::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0))
        {
            if fdtable::set(number, Entry::Internal).is_ok() {
                self.number.store(number, SeqCst);
            } else {
                let _ = sys::close(number);
                self.number.store(LOST, SeqCst);
            }
        }
    }

    /// Puts the place into the list when it gets its first descriptor. It stays there.
    fn list(&'static self) {
        if self.is_listed.swap(true, Relaxed) {
            return;
        }
        let mut last = LAST.load(Relaxed);
        loop {
            self.before.store(last, Relaxed);
            let own = ptr::from_ref(self).cast_mut();
            match LAST.compare_exchange_weak(last, own, Release, Relaxed) {
                Ok(_) => return,
                Err(now) => last = now,
            }
        }
    }
}

/// Every place that ever had a descriptor.
fn all() -> impl Iterator<Item = &'static InternalFd> {
    let at = |place: &AtomicPtr<InternalFd>| {
        // SAFETY: null, or a place that is never freed.
        unsafe { place.load(Acquire).as_ref() }
    };
    std::iter::successors(at(&LAST), move |place| at(&place.before))
}

/// Marks an owner as having lost its descriptor: the number is free, so the descriptor was closed
/// by a call that the library did not see. The owner must not take the next descriptor with this
/// number for its own.
#[cold]
fn dispossess(number: c_int) {
    for place in all() {
        let _ = place.number.compare_exchange(number, LOST, SeqCst, Relaxed);
    }
}

/// Moves the internal descriptor to another number, because the program claims this one. Returns
/// the owner, in which threads may still use the old number.
pub fn move_from(fd: c_int) -> Option<&'static InternalFd> {
    let owner = all().find(|place| place.number.load(Relaxed) == fd)?;
    owner.move_away(fd);
    Some(owner)
}

/// In a thread that has its own descriptor table by now, closes the copies of internal descriptors,
/// which it must not use.
pub fn close_copies() {
    let internal = |entry: &(c_int, Entry)| matches!(entry.1, Entry::Internal);
    for (fd, _) in fdtable::entries(0, u32::MAX).filter(internal) {
        let _ = sys::close(fd);
    }
}

/// Waits until the count is 0: spins a little, then sleeps for at most `naps` milliseconds.
pub fn await_none(count: &AtomicU32, naps: u32) {
    const NAP_NS: u32 = 1_000_000;
    for turn in 0..sync::SPINS + naps {
        // Not a plain load: a thread that counts itself after this sees the earlier change to the
        // number.
        match count.fetch_add(0, SeqCst) {
            0 => return,
            _ if turn < sync::SPINS => sync::spin_loop(),
            // That thread is not running at present.
            users => sync::futex_wait(count, users, Some(NAP_NS)),
        }
    }
}
