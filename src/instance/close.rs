//! Closes of descriptors. With the last number of a description its registrations end (D1), and
//! every thread and ring that holds the file releases it before the close proceeds (D4). Kernel
//! counterpart: `eventpoll_release`, called by `__fput`.

use std::cell::Cell;

use libc::c_int;

use crate::backend::{hold, signals};
use crate::facts;
use crate::graph::fdtable::{self, Entry};
use crate::graph::file::{File, FileGuard, Graph};
use crate::graph::lookup::known;
use crate::graph::pin::FilePins;
use crate::graph::signal_numbers;
use crate::instance::lifecycle;
use crate::instance::remove::{self, End};
use crate::lock;
use crate::sys;

/// Forgets a number that is about to be closed. If it is the last of its description, then on
/// return its registrations have ended (D1), and every thread that polled it has left poll, so the
/// peer sees the close at once (D4).
#[doc(alias = "eventpoll_release")]
pub fn forget(fd: c_int) {
    if let Some(file) = known(fd) {
        let mut graph = file.graph();
        if graph.numbers.len() > 1 && signal_numbers::is_armed(fd) {
            // Under the lock, they would be taken for those of every registration.
            drop(graph);
            signals::take_all();
            graph = file.graph();
        }
        forget_number_of(file, graph, fd, End::Closed);
    }
}

/// Forgets a number that was closed, or names another file now, although no hook saw the close.
pub fn forget_unseen(file: &'static File, graph: FileGuard, fd: c_int) {
    forget_number_of(file, graph, fd, End::Vanished);
}

fn forget_number_of(file: &'static File, graph: FileGuard, fd: c_int, end: End) {
    forget_all_but_pins(file, graph, fd, end).wait_unpinned(hold::release_all);
}

/// As [`forget`], without the wait. Returns the pins on the description, which must be gone before
/// the close.
#[must_use]
fn forget_all_but_pins(file: &'static File, mut graph: FileGuard, fd: c_int, end: End) -> FilePins {
    if !graph.numbers.contains(&fd) {
        return FilePins::NONE;
    }
    if !matches!(end, End::Vanished) && (graph.numbers.len() > 1 || facts::has_forked()) {
        // The description may outlive the number that its signals carry.
        if graph.numbers.len() > 1 && signal_numbers::is_armed(fd) {
            signals::leave_all(&graph);
        }
        signals::disarm(fd);
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
        remove::detach(file, &mut graph, item, end);
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

/// Removes the entry of a number that no longer names the description. It may name another one by
/// now.
fn forget_entry(file: &'static File, fd: c_int) {
    if known(fd).is_some_and(|now| std::ptr::eq(now, file)) {
        fdtable::clear(fd);
        signal_numbers::forget(fd);
    }
}

/// Drops numbers that were closed unseen, so that they do not keep a description alive.
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

/// Makes the registrations that were polled by the closed number use another number of the same
/// description (D2).
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

/// Handles a number that was found closed, or naming another file, although no hook saw the close.
/// By now it may be open again and known as another description; or the record may be that of
/// another description, even under the same number. So all of that is decided under the lock.
pub fn vanished(file: &'static File, fd: c_int) {
    let mut graph = file.graph();
    if known(fd).is_some_and(|now| std::ptr::eq(now, file)) {
        if !sys::is_open(fd) || !file.is_named_by(fd) {
            forget_unseen(file, graph, fd);
        }
        return;
    }
    // The number names another description, so these registrations cannot be polled by it.
    while let Some(item) = graph.items().find(|item| item.via() == fd) {
        remove::detach(file, &mut graph, item, End::Vanished);
    }
}

/// Forgets the descriptors in a range that one call is about to close. Returns the internal ones
/// among them, which must survive.
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

/// The number of closes that a signal handler which interrupted this library can defer. The
/// registrations of any further ones end when their numbers are polled next.
const INTERRUPTED: usize = 16;

/// A number, and the description that it named.
type Closed = Option<(c_int, &'static File)>;

thread_local! {
    /// Numbers that a signal handler closed while it had interrupted code that holds locks.
    static CLOSED_IN_HANDLER: [Cell<Closed>; INTERRUPTED] = const { [const { Cell::new(None) }; INTERRUPTED] };
}

/// The close hook: as [`forget`]. In a signal handler that interrupted this library, the work on
/// the description is deferred until the interrupted code releases its last lock. The number is
/// forgotten at once, because another thread may get it before that.
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

/// Performs the closes that a signal handler deferred, when the thread has released its last lock.
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
    use crate::instance::dup::duplicated;
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
        // D2: the registration reports its own data.
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
