//! The numbers: which description each names, what happens to the graph when one is closed or duplicated, and our own
//! internal descriptors, which the program can neither see nor close.

use std::cell::Cell;

use libc::{c_int, stat};
use nix::errno::Errno;

use crate::api::source;
use crate::backend::watch;
use crate::facts;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::fdtable::{self, Entry};
use crate::graph::file::{File, FileGuard, Graph};
use crate::graph::own_table;
use crate::graph::waitq::{Sleeper, Stays};
use crate::instance::control::{self, End};
use crate::life::process;
use crate::lock;
use crate::sync;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sync::atomic::{AtomicI32, AtomicU32};
use crate::sys;

/// Internal descriptors live from here on, where the limit allows it: above what most programs use, low enough that the
/// kernel's table stays small.
const INTERNAL_BASE: usize = 4096;

/// The description known under the number; none for unwatched and internal ones.
#[inline]
pub fn known(fd: c_int) -> Option<&'static File> {
    match fdtable::get(fd)? {
        Entry::File(file) if !own_table::is_apart() => Some(file),
        _ => None,
    }
}

/// Whether the number is one of ours.
#[inline]
pub fn is_internal(fd: c_int) -> bool {
    matches!(fdtable::get(fd), Some(Entry::Internal)) && !own_table::is_apart()
}

/// Whether calls of this thread, in this moment, are followed: they name what the graph does, and its locks can be taken.
pub fn follows_calls() -> bool {
    !lock::interrupted() && !process::is_borrowed()
}

/// In a thread that has a table of its own now: what it has copies of is not for it to use.
pub fn close_copies_of_internal() {
    for (fd, _) in fdtable::entries(0, u32::MAX).filter(|(_, entry)| matches!(entry, Entry::Internal)) {
        let _ = sys::close(fd);
    }
}

/// Takes a descriptor for internal use: to a high number if there is one, marked in the table, and its number kept in
/// `owner`. The descriptor is closed if that fails.
pub fn adopt_internal(fd: c_int, owner: &AtomicI32) -> Result<c_int, Errno> {
    let limit = facts::descriptor_limit();
    let high = sys::fcntl(fd, libc::F_DUPFD_CLOEXEC, INTERNAL_BASE.min(limit / 4 * 3));
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
    owner.store(number, SeqCst);
    Ok(number)
}

/// The number of an internal descriptor that was closed unseen. Unlike -1 it says that its owner may be asleep on it.
pub const LOST: c_int = -2;

/// A number that was to be an internal descriptor's is free: it was closed by a call that was not seen. Its owner must not take the
/// next one under this number for its own.
#[cold]
fn dispossess(number: c_int) {
    for_each_owner(|owner| {
        let _ = owner.compare_exchange(number, LOST, SeqCst, Relaxed);
    });
}

/// Wherever the number of an internal descriptor is kept.
fn for_each_owner(visit: impl Fn(&AtomicI32)) {
    Sleeper::for_each(|sleeper| {
        visit(sleeper.wake_owner());
        sleeper.spare_rings.owners().for_each(&visit);
        visit(&sleeper.anchor);
    });
    watch::sleepers().for_each(|sleeper| visit(sleeper.wake_owner()));
    Eventpoll::for_each(|ep| {
        visit(ep.signal());
        visit(ep.ring.fd());
    });
    visit(own_table::marker());
}

/// Closes the internal descriptor of `owner`, if it has one.
pub fn disown_internal(owner: &AtomicI32) {
    let fd = owner.swap(-1, SeqCst);
    if fd >= 0 && is_internal(fd) {
        fdtable::clear(fd);
        let _ = sys::close(fd);
    }
}

/// The internal descriptor of `owner` was closed by somebody else.
pub fn give_up_internal(owner: &AtomicI32) {
    let fd = owner.swap(-1, SeqCst);
    if is_internal(fd) {
        fdtable::clear(fd);
    }
}

/// The program wants this very number (dup2 onto it): whoever owns it moves to another. When that is done nobody sleeps on the number, or
/// is about to write to it.
pub fn make_way(fd: c_int) {
    if !is_internal(fd) {
        return;
    }
    let move_over = |owner: &AtomicI32| {
        if owner.load(Relaxed) == fd
            && let Ok(number) = sys::fcntl(fd, libc::F_DUPFD_CLOEXEC, fd as usize + 1)
                .or_else(|_| sys::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0))
        {
            if fdtable::set(number, Entry::Internal).is_ok() {
                owner.store(number, SeqCst);
            } else {
                let _ = sys::close(number);
                owner.store(LOST, SeqCst);
            }
        }
    };
    for_each_owner(move_over);
    Sleeper::for_each(Sleeper::let_go_of_wake);
    watch::sleepers().for_each(Sleeper::let_go_of_wake);
    Eventpoll::for_each(Eventpoll::await_writers);
    fdtable::clear(fd);
}

/// What every call that makes a descriptor of ours begins with; `flags` may be EPOLL_CLOEXEC.
pub fn begin_creation(flags: c_int) -> Result<(), Errno> {
    if flags & !libc::EPOLL_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    if lock::interrupted() {
        // In a signal handler, which would wait for what it interrupted.
        return Err(Errno::ENOMEM);
    }
    if own_table::is_apart() {
        return Err(Errno::ENOSYS);
    }
    process::start();
    process::settle();
    Ok(())
}

/// In a forked child: `fresh` takes the place of the description, which is the parent's, under all of its numbers. Answers with one of them.
pub fn replace_under_all_numbers(file: &'static File, fresh: c_int) -> Option<c_int> {
    let mut replaced = None;
    for &number in file.graph().numbers.iter() {
        let flags = sys::fcntl(number, libc::F_GETFD, 0).map_or(0, |flags| flags & libc::FD_CLOEXEC);
        let answer = sys::dup3(fresh, number, if flags != 0 { libc::O_CLOEXEC } else { 0 });
        replaced = answer.is_ok().then_some(number).or(replaced);
    }
    replaced
}

/// Enters a number for a description. ENOSPC beyond the table, ENOMEM without memory.
pub fn enter(file: &'static File, fd: c_int) -> Result<(), Errno> {
    enter_if(file, fd, |_| true)
}

/// The same, if the description is what it is taken for. EBADF otherwise.
pub fn enter_if(file: &'static File, fd: c_int, is_right: impl FnOnce(&Graph) -> bool) -> Result<(), Errno> {
    let mut graph = file.graph();
    if !is_right(&graph) {
        return Err(Errno::EBADF);
    }
    graph.numbers.reserve()?;
    fdtable::set(fd, Entry::File(file))?;
    graph.numbers.push(fd);
    Ok(())
}

/// The same for a number that is not known. EEXIST if another thread made it known meanwhile.
fn enter_first(file: &'static File, fd: c_int) -> Result<(), Errno> {
    let mut graph = file.graph();
    graph.numbers.reserve()?;
    fdtable::set_first(fd, file)?;
    graph.numbers.push(fd);
    Ok(())
}

/// The description of an open number, made known if it is not.
pub fn file_of(fd: c_int) -> Result<&'static File, Errno> {
    loop {
        if let Some(file) = known(fd) {
            return Ok(file);
        }
        let file = File::create()?;
        match enter_first(file, fd) {
            Ok(()) => return note_twins(file, fd).map(|()| file),
            Err(errno) => {
                file.retire();
                if is_internal(fd) {
                    return Err(Errno::EBADF);
                }
                if errno != Errno::EEXIST {
                    return Err(errno);
                }
            }
        }
    }
}

/// Other numbers that were open when the process started may name the same description.
fn note_twins(file: &'static File, fd: c_int) -> Result<(), Errno> {
    process::inherited_twins(fd).try_for_each(|twin| match enter_first(file, twin) {
        Err(Errno::EEXIST) => Ok(()),
        entered => entered,
    })
}

/// Compares what is open under a number with what we know of it, and forgets the number if it was closed and used again
/// behind our back. Remembers the identity otherwise. True if it names the same socket or pipe as when it was last registered.
pub fn verify(fd: c_int, stat: &stat) -> bool {
    let Some(file) = known(fd) else { return false };
    let identity = (stat.st_dev, stat.st_ino);
    let graph = file.graph();
    if !file.is_marked() {
        file.mark(identity);
        return false;
    }
    if !file.is_marked_as(identity) || !(graph.is_unwatched() || file.is_of_kind(fd, stat)) {
        drop(graph);
        if let Some(file) = known(fd) {
            forget_number_of(file, file.graph(), fd, End::Vanished);
        }
        return false;
    }
    matches!(stat.st_mode & libc::S_IFMT, libc::S_IFSOCK | libc::S_IFIFO)
}

/// Whether a number that was an instance's still is. One that was closed behind our back, and is something else now, is forgotten.
#[cold]
pub fn is_instance(fd: c_int) -> bool {
    if lock::interrupted() {
        return true;
    }
    if let Ok(stat) = sys::fstat(fd) {
        verify(fd, &stat);
    }
    known(fd).is_some_and(|file| file.eventpoll().is_some())
}

/// A number was found closed, or another's, although nobody told us. By now it may be open again, as another description, and known
/// as such; or the record may be another description's, even under the same number. So all of it is decided under the lock.
pub fn vanished(file: &'static File, fd: c_int) {
    let mut graph = file.graph();
    if known(fd).is_some_and(|now| std::ptr::eq(now, file)) {
        if !sys::is_open(fd) || !file.is_named_by(fd) {
            forget_number_of(file, graph, fd, End::Vanished);
        }
        return;
    }
    // The number names something else, so these registrations can be polled by it no more.
    while let Some(item) = graph.items().find(|item| item.via() == fd) {
        control::detach(file, &mut graph, item, End::Vanished);
    }
}

/// A number is about to be closed. If it was the last of its description, the registrations go (D1), and every thread that is
/// in poll on it has left when this returns, so that the close is one for the peer, too (D4).
pub fn forget(fd: c_int) {
    if let Some(file) = known(fd) {
        forget_number_of(file, file.graph(), fd, End::Closed);
    }
}

/// Waits until nobody is about to use a number that is to be another's, but not for long: it may be a thread that a signal handler holds up, this
/// one maybe. Not under a lock. Who comes to use it counts himself first, and then looks whether the number is still what he wants.
pub fn await_users(count: &AtomicU32) {
    const NAPS: u32 = 100;
    const NAP_NS: u32 = 1_000_000;
    for turn in 0..sync::SPINS + NAPS {
        // Not a mere load: who counts himself after this sees what was done to the number before it.
        match count.fetch_add(0, SeqCst) {
            0 => return,
            _ if turn < sync::SPINS => sync::spin_loop(),
            // He does not run at present.
            users => sync::futex_wait(count, users, Some(NAP_NS)),
        }
    }
}

fn forget_number_of(file: &'static File, graph: FileGuard, fd: c_int, end: End) {
    forget_all_but_stays(file, graph, fd, end).evict();
}

/// The same, but for those who may still be in poll on the description: who is to be made to leave before the close.
#[must_use]
fn forget_all_but_stays(file: &'static File, mut graph: FileGuard, fd: c_int, end: End) -> Stays {
    if !graph.numbers.contains(&fd) {
        return Stays::NONE;
    }
    forget_entry(file, fd);
    graph.numbers.retain(|number| number != fd);
    drop_strangers(file, &mut graph);
    if let Some(other) = graph.numbers.first().copied() {
        poll_by(&graph, fd, other);
        if let Some(ep) = file.eventpoll() {
            ep.set_number(other);
        }
        drop(graph);
        source::await_users(file);
        return Stays::NONE;
    }
    while let Some(item) = graph.items().next() {
        control::detach(file, &mut graph, item, end);
    }
    let lingering = std::mem::replace(&mut graph.lingering, Stays::NONE);
    drop(graph);
    source::await_users(file);
    if let Some(ep) = file.eventpoll() {
        lingering.evict();
        if ep.has_other_numbers(fd) {
            let _graph = file.graph();
            ep.become_orphan();
            return Stays::NONE;
        }
        ep.close();
        file.retire();
        return Stays::NONE;
    }
    file.retire();
    lingering
}

/// The number names the description no more; it may name another by now.
fn forget_entry(file: &'static File, fd: c_int) {
    if known(fd).is_some_and(|now| std::ptr::eq(now, file)) {
        fdtable::clear(fd);
    }
}

/// Numbers that were closed, or closed and used again, behind our back do not keep a description alive.
fn drop_strangers(file: &'static File, graph: &mut Graph) {
    if !file.is_marked() {
        return;
    }
    graph.numbers.retain(|number| {
        let same = sys::fstat(number).is_ok_and(|stat| file.is_marked_as((stat.st_dev, stat.st_ino)));
        if !same {
            forget_entry(file, number);
        }
        same
    });
}

/// The registrations that were polled by a number that goes are polled by another of the same description (D2).
fn poll_by(graph: &FileGuard, gone: c_int, other: c_int) {
    for item in graph.items().filter(|item| item.via() == gone) {
        item.set_via(other);
        if let Some(ep) = item.eventpoll() {
            let mut st = ep.lock();
            if st.ring.is_some() {
                st.redirect_in_ring(item, item.file().is_some_and(|file| file.is_named_by(gone)));
            }
            watch::take_back(&mut st, item);
            ep.apply(&mut st, item);
        }
    }
}

/// Makes sure that a duplicate of `old` can be entered, before there is one: ENOMEM otherwise. `new` is its number if that is
/// known; if not, the table may have no memory for it (see `duplicated`).
pub fn expect_duplicate(old: c_int, new: Option<c_int>) -> Result<(), Errno> {
    if is_internal(old) || lock::interrupted() || (known(old).is_none() && !sys::is_open(old)) {
        return Ok(());
    }
    match file_of(old) {
        Ok(file) => {
            if let Some(Err(Errno::ENOMEM)) = new.map(fdtable::expect) {
                return Err(Errno::ENOMEM);
            }
            file.graph().numbers.reserve()
        }
        Err(Errno::ENOMEM) => Err(Errno::ENOMEM),
        // A number that cannot be watched needs no room.
        Err(_) => Ok(()),
    }
}

/// `new` names the same description as `old` from now on. What `new` named before must have been forgotten. ENOMEM if that cannot be
/// noted.
pub fn duplicated(old: c_int, new: c_int) -> Result<(), Errno> {
    if old == new || is_internal(old) || lock::interrupted() {
        return Ok(());
    }
    // Whatever is known of `new` was closed behind our back: the number was free.
    forget(new);
    match file_of(old).and_then(|file| enter(file, new)) {
        Err(Errno::ENOMEM) => Err(Errno::ENOMEM),
        // Only a number beyond the table stays unknown.
        _ => Ok(()),
    }
}

/// Descriptors in a range are about to be closed by one call. Answers with the internal ones among them, which must survive.
pub fn forget_range(first: u32, last: u32) -> impl Iterator<Item = u32> {
    let mut lingering = Stays::NONE;
    for (fd, entry) in fdtable::entries(first, last) {
        match entry {
            Entry::File(file) if !lock::interrupted() => {
                lingering.add(forget_all_but_stays(file, file.graph(), fd, End::Closed));
            }
            Entry::File(_) => forget_from_anywhere(fd),
            Entry::Internal => {}
        }
    }
    // All at once: whoever is in poll on many of them leaves once.
    lingering.evict();
    fdtable::entries(first, last).filter_map(|(fd, entry)| match entry {
        Entry::Internal => Some(fd.unsigned_abs()),
        Entry::File(_) => None,
    })
}

/// How many closes a signal handler may leave behind while it interrupts this library. Of those beyond it the registrations end when
/// their numbers are polled next.
const INTERRUPTED: usize = 16;

/// A number and what it named.
type Closed = Option<(c_int, &'static File)>;

thread_local! {
    /// Numbers that a signal handler closed while the thread was inside the library, so that its locks could not be taken.
    static CLOSED_IN_HANDLER: [Cell<Closed>; INTERRUPTED] = const { [const { Cell::new(None) }; INTERRUPTED] };
}

/// The close hook's question: forgets the number now; or, when the interrupted code has let go of its locks, what it named. The
/// number itself is free at once, for another thread may be given it before that.
pub fn forget_from_anywhere(fd: c_int) {
    if !lock::interrupted() {
        return forget(fd);
    }
    let Some(file) = known(fd) else { return };
    fdtable::clear(fd);
    CLOSED_IN_HANDLER.with(|closed| {
        if let Some(free) = closed.iter().find(|place| place.get().is_none()) {
            free.set(Some((fd, file)));
            lock::owe_settlement();
        }
    });
}

/// Called when the thread let go of its last lock, if a signal handler left closes behind.
#[cold]
#[inline(never)]
pub fn settle_interrupted_closes() {
    CLOSED_IN_HANDLER.with(|closed| {
        for (fd, file) in closed.iter().filter_map(Cell::take) {
            forget_number_of(file, file.graph(), fd, End::Closed);
        }
    });
}
