//! The numbers: which description each names, what happens to the graph when one is closed or duplicated, and our own
//! internal descriptors, which the program can neither see nor close.

use std::cell::Cell;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use libc::{c_int, stat};
use nix::errno::Errno;

use crate::control;
use crate::eventpoll::Eventpoll;
use crate::fdtable;
use crate::file::{File, Graph};
use crate::lock;
use crate::poller::watch;
use crate::pool::Pooled;
use crate::process;
use crate::sys;
use crate::waitq::Sleeper;

/// Stands in the table for every internal descriptor.
static INTERNAL: File = File::BLANK;

/// Internal descriptors live from here on, where the limit allows it: above what most programs use, low enough that the
/// kernel's table stays small.
const INTERNAL_BASE: usize = 4096;

/// The description known under the number; none for unwatched and internal ones.
#[inline]
pub fn known(fd: c_int) -> Option<&'static File> {
    fdtable::get(fd).filter(|file| !std::ptr::eq(*file, &INTERNAL))
}

/// Whether the number is one of ours.
#[inline]
pub fn is_internal(fd: c_int) -> bool {
    fdtable::get(fd).is_some_and(|file| std::ptr::eq(file, &INTERNAL))
}

/// Takes a descriptor for internal use: to a high number if there is one, marked in the table, and its number kept in
/// `owner`. The descriptor is closed if that fails.
pub fn adopt_internal(fd: c_int, owner: &AtomicI32) -> Result<c_int, Errno> {
    let limit = process::descriptor_limit();
    let high = sys::fcntl(fd, libc::F_DUPFD_CLOEXEC, INTERNAL_BASE.min(limit / 4 * 3));
    let number = match high {
        Ok(number) => {
            let _ = sys::close(fd);
            number
        }
        Err(_) => fd,
    };
    if !fdtable::set(number, Some(&INTERNAL)) {
        let _ = sys::close(number);
        return Err(Errno::EMFILE);
    }
    owner.store(number, SeqCst);
    Ok(number)
}

/// Closes the internal descriptor of `owner`, if it has one.
pub fn disown_internal(owner: &AtomicI32) {
    let fd = owner.swap(-1, SeqCst);
    if fd >= 0 && is_internal(fd) {
        fdtable::set(fd, None);
        let _ = sys::close(fd);
    }
}

/// The program wants this very number (dup2 onto it): whoever owns it moves to another.
pub fn make_way(fd: c_int) {
    if !is_internal(fd) {
        return;
    }
    let move_over = |owner: &AtomicI32| {
        if owner.load(Relaxed) == fd
            && let Ok(number) = sys::fcntl(fd, libc::F_DUPFD_CLOEXEC, fd as usize + 1)
                .or_else(|_| sys::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0))
            && fdtable::set(number, Some(&INTERNAL))
        {
            owner.store(number, SeqCst);
        }
    };
    Sleeper::for_each(|sleeper| move_over(sleeper.wake_owner()));
    crate::poller::watch::sleepers().for_each(|sleeper| move_over(sleeper.wake_owner()));
    Eventpoll::for_each(|ep| move_over(ep.signal()));
    fdtable::set(fd, None);
}

/// Enters a number for a description. ENOSPC beyond the table.
pub fn enter(file: &'static File, fd: c_int) -> Result<(), Errno> {
    let mut graph = file.graph();
    graph.numbers.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    if !fdtable::set(fd, Some(file)) {
        return Err(Errno::ENOSPC);
    }
    graph.numbers.push(fd);
    Ok(())
}

/// The description of an open number, made known if it is not.
pub fn file_of(fd: c_int) -> Result<&'static File, Errno> {
    if let Some(file) = known(fd) {
        return Ok(file);
    }
    let file = File::create()?;
    if let Err(errno) = enter(file, fd) {
        file.retire();
        return Err(errno);
    }
    for twin in process::inherited_twins(fd) {
        if known(twin).is_none() {
            enter(file, twin)?;
        }
    }
    Ok(file)
}

/// Compares what is open under a number with what we know of it, and forgets the number if it was closed and used again
/// behind our back. Remembers the identity otherwise.
pub fn verify(fd: c_int, stat: &stat) {
    let Some(file) = known(fd) else { return };
    let identity = (stat.st_dev, stat.st_ino);
    let stale = {
        let mut graph = file.graph();
        match graph.identity {
            Some(before) => before != identity,
            None => {
                graph.identity = Some(identity);
                false
            }
        }
    };
    if stale {
        forget(fd);
    }
}

/// A number was found closed although nobody told us. By now it may be open again, as another description, and known as such.
pub fn vanished(file: &'static File, fd: c_int) {
    if known(fd).is_some_and(|now| std::ptr::eq(now, file)) {
        if !sys::is_open(fd) {
            forget(fd);
        }
        return;
    }
    // The number names something else, so these registrations can be polled by it no more.
    let mut graph = file.graph();
    while let Some(item) = graph.items().find(|item| item.via() == fd) {
        control::detach(file, &mut graph, item);
    }
}

/// A number is about to be closed. If it was the last of its description, the registrations go (D1), and every thread that is
/// in poll on it has left when this returns, so that the close is one for the peer, too (D4).
pub fn forget(fd: c_int) {
    let Some(file) = known(fd) else { return };
    let lingering = {
        let mut graph = file.graph();
        if !graph.numbers.contains(&fd) {
            return;
        }
        fdtable::set(fd, None);
        graph.numbers.retain(|number| *number != fd);
        drop_strangers(&mut graph);
        if let Some(other) = graph.numbers.first().copied() {
            poll_by(&graph, fd, other);
            if let Some(ep) = file.eventpoll() {
                ep.set_number(other);
            }
            return;
        }
        while let Some(item) = graph.items().next() {
            control::detach(file, &mut graph, item);
        }
        graph.identity = None;
        std::mem::take(&mut graph.lingering)
    };
    for stay in &lingering {
        stay.evict();
    }
    if let Some(ep) = file.eventpoll() {
        ep.close();
    }
    file.retire();
}

/// Numbers that were closed, or closed and used again, behind our back do not keep a description alive.
fn drop_strangers(graph: &mut Graph) {
    let Some(identity) = graph.identity else { return };
    graph.numbers.retain(|number| {
        let same = sys::fstat(*number).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == identity);
        if !same {
            fdtable::set(*number, None);
        }
        same
    });
}

/// The registrations that were polled by a number that goes are polled by another of the same description (D2).
fn poll_by(graph: &Graph, gone: c_int, other: c_int) {
    for item in graph.items().filter(|item| item.via() == gone) {
        item.set_via(other);
        if let Some(ep) = item.eventpoll() {
            let mut st = ep.lock();
            watch::take_back(&mut st, item);
            ep.apply(&mut st, item);
        }
    }
}

/// `new` names the same description as `old` from now on. What `new` named before must have been forgotten.
pub fn duplicated(old: c_int, new: c_int) {
    if old == new || is_internal(old) || lock::interrupted() {
        return;
    }
    // Whatever is known of `new` was closed behind our back: the number was free.
    forget(new);
    if let Ok(file) = file_of(old) {
        // Without memory the twin stays unknown, and the registration ends with the old number.
        let _ = enter(file, new);
    }
}

/// Descriptors in a range are about to be closed by one call. Answers with the internal ones among them, which must survive.
pub fn forget_range(first: u32, last: u32) -> impl Iterator<Item = u32> {
    fdtable::entries(first, last).filter_map(|(fd, file)| {
        if std::ptr::eq(file, &INTERNAL) {
            return Some(fd.unsigned_abs());
        }
        forget(fd);
        None
    })
}

/// How many closes a signal handler may leave behind while it interrupts this library.
const INTERRUPTED: usize = 16;

thread_local! {
    /// Numbers that a signal handler closed while the thread was inside the library, so that its locks could not be taken.
    static CLOSED_IN_HANDLER: [Cell<c_int>; INTERRUPTED] = const { [const { Cell::new(-1) }; INTERRUPTED] };
    static ANY_CLOSED_IN_HANDLER: Cell<bool> = const { Cell::new(false) };
}

/// The close hook's question: forgets the number now, or when the interrupted code has let go of its locks.
pub fn forget_from_anywhere(fd: c_int) {
    if !lock::interrupted() {
        return forget(fd);
    }
    CLOSED_IN_HANDLER.with(|numbers| {
        if let Some(free) = numbers.iter().find(|number| number.get() < 0) {
            free.set(fd);
            ANY_CLOSED_IN_HANDLER.set(true);
        }
    });
}

/// Whether what is open under the number is what we know of it: another thread may have opened and registered it meanwhile.
fn still_known(fd: c_int) -> bool {
    let (Some(file), Ok(stat)) = (known(fd), sys::fstat(fd)) else { return false };
    file.graph().identity == Some((stat.st_dev, stat.st_ino))
}

/// Called when the thread let go of its last lock.
pub fn settle_interrupted_closes() {
    if ANY_CLOSED_IN_HANDLER.get() {
        ANY_CLOSED_IN_HANDLER.set(false);
        CLOSED_IN_HANDLER.with(|numbers| {
            for number in numbers {
                let fd = number.replace(-1);
                if fd >= 0 && !still_known(fd) {
                    forget(fd);
                }
            }
        });
    }
}
