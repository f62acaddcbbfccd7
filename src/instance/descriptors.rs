//! The numbers: which description each names, what happens to the graph when one is closed or duplicated, and our own
//! internal descriptors, which the program can neither see nor close.

use std::cell::Cell;

use libc::{c_int, stat};
use nix::errno::Errno;

use crate::backend::hold;
use crate::fork_mark;
use crate::graph::fdtable::{self, Entry};
use crate::graph::file::{File, FileGuard, Graph};
use crate::graph::inherited;
use crate::graph::internal_fd;
use crate::graph::lookup::{enter, enter_first, is_internal, known};
use crate::graph::own_table;
use crate::graph::pin::FilePins;
use crate::instance::control::{self, End};
use crate::instance::lifecycle;
use crate::lock;
use crate::sys;

/// The program wants this very number (`dup2` onto it): an internal descriptor moves to another. After
/// that no thread sleeps on the number, or is about to use it.
pub fn make_way(fd: c_int) {
    /// A thread that does not answer by then is held up by a signal handler.
    const NAPS: u32 = 500;
    if !is_internal(fd) {
        return;
    }
    if let Some(owner) = internal_fd::move_from(fd) {
        hold::evict_threads();
        owner.await_users(NAPS);
    }
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
    fork_mark::settle();
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
    inherited::twins(fd).try_for_each(|twin| match enter_first(file, twin) {
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

fn forget_number_of(file: &'static File, graph: FileGuard, fd: c_int, end: End) {
    forget_all_but_pins(file, graph, fd, end).wait_unpinned(hold::release_all);
}

/// The same without the wait. Returns the pins on the description, which are to be gone before the close.
#[must_use]
fn forget_all_but_pins(file: &'static File, mut graph: FileGuard, fd: c_int, end: End) -> FilePins {
    if !graph.numbers.contains(&fd) {
        return FilePins::NONE;
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
        file.await_source_users();
        return FilePins::NONE;
    }
    while let Some(item) = graph.items().next() {
        control::detach(file, &mut graph, item, end);
    }
    let pins = std::mem::replace(&mut graph.pins, FilePins::NONE);
    drop(graph);
    file.await_source_users();
    if let Some(ep) = file.eventpoll() {
        pins.wait_unpinned(hold::release_all);
        if ep.has_other_numbers(fd) {
            let _graph = file.graph();
            ep.become_orphan();
            return FilePins::NONE;
        }
        lifecycle::close(ep);
        file.retire();
        return FilePins::NONE;
    }
    file.retire();
    pins
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
            st.item_redirected(item, gone);
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
    let mut pins = FilePins::NONE;
    for (fd, entry) in fdtable::entries(first, last) {
        match entry {
            Entry::File(file) if !lock::interrupted() => {
                pins.add(forget_all_but_pins(file, file.graph(), fd, End::Closed));
            }
            Entry::File(_) => forget_from_anywhere(fd),
            Entry::Internal => {}
        }
    }
    // All at once: a thread that polls many of them leaves poll once.
    pins.wait_unpinned(hold::release_all);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::testing::{ET, Epoll, Fd, IN, pipe};

    /// A second number of a description, as the dup hook enters it.
    fn duplicate(fd: &Fd) -> Fd {
        let other = Fd(sys::fcntl(fd.0, libc::F_DUPFD, 0).expect("a free number"));
        assert_eq!(duplicated(fd.0, other.0), Ok(()));
        other
    }

    #[test]
    fn a_registration_ends_with_the_last_number_of_its_file() {
        // D1.
        let (ep, [end, _other]) = (Epoll::new(), pipe());
        ep.add(&end, IN);
        drop(end);
        assert_eq!(ep.lock().items.interest.len(), 0);
        assert_eq!(ep.stats().closed, 1);
    }

    #[test]
    fn a_registration_outlives_its_number_while_a_duplicate_is_open() {
        // D2: it reports with the data it was given.
        let (ep, [end, other]) = (Epoll::new(), pipe());
        ep.add(&end, IN);
        let number = end.0;
        let second = duplicate(&end);
        drop(end);
        sys::write(other.0, b"a").expect("a pipe with room");
        assert_eq!(ep.wait(), [(IN, number)]);
        drop(second);
        assert_eq!(ep.lock().items.interest.len(), 0);
    }

    #[test]
    fn two_numbers_of_a_file_are_two_registrations() {
        // T4.
        let (ep, [end, other]) = (Epoll::new(), pipe());
        let second = duplicate(&end);
        ep.add(&end, IN | ET);
        ep.add(&second, IN | ET);
        sys::write(other.0, b"a").expect("a pipe with room");
        assert_eq!(ep.wait().len(), 2);
    }

    #[test]
    fn a_number_that_names_another_file_unseen_loses_its_registration() {
        let (ep, [end, _other], [another, tail]) = (Epoll::new(), pipe(), pipe());
        ep.add(&end, IN);
        sys::write(tail.0, b"a").expect("a pipe with room");
        sys::dup3(another.0, end.0, 0).expect("an open number");
        assert_eq!(ep.wait(), []);
        assert_eq!(ep.lock().items.interest.len(), 0);
        assert_eq!(ep.stats().vanished, 1);
    }

    #[test]
    fn an_internal_descriptor_survives_a_close_of_a_range() {
        let ep = Epoll::new();
        let signal = ep.ep.signal.with(|fd| fd);
        let internal: Vec<u32> = forget_range(signal.unsigned_abs(), signal.unsigned_abs()).collect();
        assert_eq!(internal, [signal.unsigned_abs()]);
    }
}
