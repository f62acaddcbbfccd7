//! Control calls: the checks in the kernel's order (T1), and the change of a registration. Kernel
//! counterpart: `do_epoll_ctl`, `ep_modify`.

use libc::{c_int, stat};
use nix::errno::Errno;

use crate::INTERPOSES;
use crate::backend::{signals, switch};
use crate::edge::{Edge, Facts};
use crate::events::{EDGE, EXCLUSIVE, IN, WRITABLE, levels};
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::File;
use crate::graph::file::kind;
use crate::graph::lookup;
use crate::instance::insert;
use crate::instance::naming;
use crate::instance::nesting_limits;
use crate::instance::open;
use crate::instance::remove::{self, End};
use crate::instance::resample::{self, Extent};
use crate::instance::send_events;
use crate::lock;
use crate::probe::fleeting;
use crate::probe::observe;
use crate::probe::sample;
use crate::sys;

/// The `events` and `data` of a `struct epoll_event`.
#[derive(Clone, Copy, Debug)]
pub struct Interest {
    /// Level bits and the flags EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE, EPOLLWAKEUP.
    pub events: u32,
    /// The program's 64 bits.
    pub data: u64,
}

/// epoll_ctl(2). `interest` is the contents of `event`, `None` for EPOLL_CTL_DEL (T2). ENOMEM in a
/// signal handler that interrupted this library, because it cannot wait for the code that it
/// interrupted.
pub fn control(epfd: c_int, op: c_int, fd: c_int, interest: Option<Interest>) -> Result<(), Errno> {
    if lock::interrupted() {
        return Err(Errno::ENOMEM);
    }
    let found = open::find(epfd);
    if matches!(found, Err(Errno::EBADF)) {
        return Err(Errno::EBADF);
    }
    let watchable = target(fd, op)?;
    let stat = watchable?;
    let ep = found?;
    if lookup::known(fd).and_then(File::eventpoll).is_some_and(|inner| std::ptr::eq(inner, *ep)) {
        return Err(Errno::EINVAL);
    }
    let exclusive = interest.is_some_and(|interest| interest.events & EXCLUSIVE != 0);
    if exclusive && op == libc::EPOLL_CTL_MOD {
        return Err(Errno::EINVAL);
    }
    let made = match (op, interest) {
        (libc::EPOLL_CTL_ADD, Some(interest)) => insert::add(*ep, fd, stat, interest),
        (libc::EPOLL_CTL_MOD, Some(interest)) => modify(*ep, fd, interest),
        (libc::EPOLL_CTL_DEL, _) => delete(*ep, fd),
        _ => Err(Errno::EINVAL),
    };
    made.inspect_err(|_| ep.lock().stats.controls_refused += 1)
}

/// Whether the target is open (the outer result), and whether it can be polled (the inner one). A
/// known number is trusted most of the time, except in an ADD: it may have been closed and used
/// again unseen.
fn target(fd: c_int, op: c_int) -> Result<Result<Option<stat>, Errno>, Errno> {
    let trusted = |file: &'static File| {
        let is_used = file.eventpoll().is_some() || (op != libc::EPOLL_CTL_ADD && !file.graph().is_unwatched());
        is_used && file.is_likely_named_by(fd, true)
    };
    if lookup::known(fd).is_some_and(trusted) {
        return Ok(Ok(None));
    }
    if lookup::is_internal(fd) {
        return Err(Errno::EBADF);
    }
    let stat = sys::fstat(fd)?;
    let may_be_watched =
        if naming::verify(fd, &stat) || is_known_fleeting(fd) { Ok(()) } else { kind::may_be_watched(fd, &stat) };
    match may_be_watched {
        Err(Errno::EBADF) => Err(Errno::EBADF),
        Ok(()) if open::adopt(fd, &stat).is_some() => Ok(Ok(None)),
        answer => Ok(answer.map(|()| Some(stat))),
    }
}

/// Whether the file is watched and shows a change only once. A look here would take the change from
/// a later look that the kernel makes.
fn is_known_fleeting(fd: c_int) -> bool {
    lookup::known(fd).is_some_and(|file| file.kind().fleeting() != 0 && !file.graph().is_unwatched())
}

/// Whether the number is registered in this instance.
pub fn is_registered(ep: &'static Eventpoll, fd: c_int) -> bool {
    lookup::known(fd).is_some_and(|file| file.graph().find(ep, fd).is_some())
}

/// EPOLL_CTL_MOD: sets the mask and the data, reports a pending level again (T6), and arms a spent
/// one-shot (W5).
#[doc(alias = "ep_modify")]
fn modify(ep: &'static Eventpoll, fd: c_int, interest: Interest) -> Result<(), Errno> {
    let file = lookup::known(fd).ok_or(Errno::ENOENT)?;
    if interest.events & EDGE != 0 && file.is_instance() && is_registered(ep, fd) {
        let _links = nesting_limits::lock_links();
        file.on_watch(true)?;
    }
    if !signals::may_keep(interest.events) {
        // Under the lock of the description they would be facts of all of its registrations.
        signals::take_all_of(fd);
    }
    let graph = file.graph();
    let item = graph.find(ep, fd).ok_or(Errno::ENOENT)?;
    if interest.events & EDGE != 0 {
        file.identify(fd);
    }
    let mut st = ep.lock();
    let st = &mut *st;
    let state = item.at(&st.held);
    if state.events.get() & EXCLUSIVE != 0 {
        return Err(Errno::EINVAL);
    }
    st.stats.controls += 1;
    if let Some(outer) = st.outer.link {
        outer.before_change(ep, st, item, file);
    }
    let state = item.at(&st.held);
    st.items.edges -= usize::from(state.is_edge());
    st.items.edges += usize::from(interest.events & EDGE != 0);
    let facts = item.take_facts();
    if facts.contains(Facts::WROTE)
        && state.is_woken_by_instance(file)
        && !state.spent.get()
        && item.told_after(state.reported_at.get())
    {
        // A registration that the old mask put on the list stays there until a look finds it not
        // ready.
        st.note_ready(item);
    }
    let state = item.at(&st.held);
    state.events.set(interest.events);
    state.data.set(interest.data);
    let edge = Edge::anew(file.is_closing());
    state.edge.set(edge);
    state.spent.set(false);
    state.reported_at.set(file.clock());
    st.item_began_anew(item);
    begin(ep, st, item, file);
    Ok(())
}

/// Starts a registration, or restarts it with another mask. A level that is high is reported, here
/// and to outer instances (T6).
pub fn begin(ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem, file: &'static File) {
    let asked = levels(item.at(&st.held).events.get());
    if let Some(ops) = file.ops().filter(|ops| ops.is_instance)
        && (ops.look)(file, true).level & asked != 0
    {
        if item.at(&st.held).misses_wakeups(file) {
            list_what_is_ready(ep, st);
        }
        st.note_ready(item);
    }
    if asked & WRITABLE != 0 {
        file.want_room();
    }
    if let Some(outer) = st.outer.link {
        outer.item_began(ep, st, item, file);
    }
    if let Some(eventfd) = file.eventfd().filter(|_| INTERPOSES) {
        let mut edge = item.at(&st.held).edge.get();
        edge.note_calls(sample::calls_that_add(file));
        item.at(&st.held).edge.set(edge);
        if file.level(item.via(), IN) & IN != 0 {
            // An earlier value is not evidence of a writer that no hook sees.
            eventfd.begin_add();
        }
    }
    if file.kind().fleeting() != 0 {
        // The kernel looks here as well, so this look takes the change.
        let level = fleeting::take(file, item.via()).level;
        item.at(&st.held).reported_at.set(file.clock());
        if level & asked != 0 {
            st.item_found(item);
        }
    }
    let state = item.at(&st.held);
    if !file.is_instance() && (asked & WRITABLE != 0 || file.has_several_registrations()) {
        // The kernel's control call also polls. A poll of a connection without space sets
        // SOCK_NOSPACE; if it finds a level, so does the poll of the next wait.
        let level = file.level(item.via(), asked | WRITABLE);
        observe::lacks_space(file, level, state.tracked.get());
        if level & asked != 0 {
            st.item_found(item);
        }
    }
    ep.apply(st, item);
}

/// Puts the registrations that are ready now on the ready list, ahead of one that a look may remove
/// for good. In the kernel each wake-up has put its own there. A followed instance keeps a list of
/// those.
fn list_what_is_ready(ep: &'static Eventpoll, st: &mut EpState) {
    if st.queue.poller.is_some() || st.outer.is_followed() {
        return;
    }
    // The next wait would leave the ring, because a ring cannot serve an instance with inner ones.
    switch::leave(ep, st);
    ep.absorb(st);
    resample::sample_and_absorb(ep, st, Extent::All);
    sys::look(st.backend.set.poll_with(-1));
    if fleeting::found_in_set(st) {
        ep.absorb(st);
    }
    let descriptors = st.backend.set.len();
    st.stats.polled(descriptors);
    // The next wait deals with numbers that vanished.
    let _ = send_events::collect(st);
    send_events::leave_waiting(st);
}

fn delete(ep: &'static Eventpoll, fd: c_int) -> Result<(), Errno> {
    let file = lookup::known(fd).ok_or(Errno::ENOENT)?;
    let mut graph = file.graph();
    let item = graph.find(ep, fd).ok_or(Errno::ENOENT)?;
    remove::detach(file, &mut graph, item, End::Deleted);
    Ok(())
}

#[cfg(test)]
mod tests {
    use libc::{EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD};

    use super::*;
    use crate::instance::testing::{self, ET, Epoll, Fd, IN, OUT, pipe, post, source};

    const ONE_EVENT: Option<Interest> = Some(Interest { events: IN, data: 0 });

    fn regular_file() -> Fd {
        // SAFETY: the path is a literal.
        Fd(unsafe { libc::open(c"/proc/self/exe".as_ptr(), libc::O_RDONLY) })
    }

    #[test]
    fn a_closed_descriptor_is_refused_before_one_that_is_not_an_instance() {
        // T1.
        let a = source();
        assert_eq!(control(-1, EPOLL_CTL_ADD, a.0, ONE_EVENT), Err(Errno::EBADF));
        assert_eq!(control(a.0, EPOLL_CTL_ADD, -1, ONE_EVENT), Err(Errno::EBADF));
        assert_eq!(control(a.0, EPOLL_CTL_ADD, regular_file().0, ONE_EVENT), Err(Errno::EPERM));
        assert_eq!(control(a.0, EPOLL_CTL_ADD, a.0, ONE_EVENT), Err(Errno::EINVAL));
    }

    #[test]
    fn a_file_without_a_poll_is_refused() {
        // T3.
        assert_eq!(Epoll::new().control(EPOLL_CTL_ADD, &regular_file(), IN), Err(Errno::EPERM));
    }

    #[test]
    fn a_number_that_only_names_a_path_is_as_good_as_closed() {
        // T3.
        for path in [c"/proc/self/exe", c"/proc/self/mounts", c"/sys/kernel/notes", c"/dev/null", c"/"] {
            // SAFETY: the path is a literal.
            let file = Fd(unsafe { libc::open(path.as_ptr(), libc::O_PATH) });
            assert_eq!(Epoll::new().control(EPOLL_CTL_ADD, &file, IN), Err(Errno::EBADF), "{path:?}");
        }
    }

    #[test]
    fn a_registration_is_added_once_and_deleted_once() {
        // T1, T4.
        let (ep, a) = (Epoll::new(), source());
        assert_eq!(ep.control(EPOLL_CTL_MOD, &a, IN), Err(Errno::ENOENT));
        ep.add(&a, IN);
        assert_eq!(ep.control(EPOLL_CTL_ADD, &a, IN), Err(Errno::EEXIST));
        assert_eq!(ep.control(EPOLL_CTL_DEL, &a, 0), Ok(()));
        assert_eq!(ep.control(EPOLL_CTL_DEL, &a, 0), Err(Errno::ENOENT));
    }

    #[test]
    fn an_exclusive_registration_is_never_modified_and_takes_few_flags() {
        // T7.
        let (ep, a) = (Epoll::new(), source());
        let exclusive = testing::EXCLUSIVE;
        assert_eq!(ep.control(EPOLL_CTL_ADD, &a, IN | exclusive | testing::ONESHOT), Err(Errno::EINVAL));
        ep.add(&a, IN | exclusive);
        assert_eq!(ep.control(EPOLL_CTL_MOD, &a, IN), Err(Errno::EINVAL));
        assert_eq!(ep.control(EPOLL_CTL_MOD, &a, IN | exclusive), Err(Errno::EINVAL));
    }

    #[test]
    fn a_level_that_is_high_when_it_is_added_is_reported() {
        // T6.
        let (ep, a) = (Epoll::new(), source());
        post(&a, IN);
        ep.add(&a, IN | ET);
        assert_eq!(ep.wait(), [(IN, a.0)]);
    }

    #[test]
    fn a_modified_edge_is_reported_again() {
        // T6: MOD looks at the level at once.
        let (ep, [end, other]) = (Epoll::new(), pipe());
        ep.add(&end, IN | ET);
        sys::write(other.0, b"a").expect("a pipe with room");
        assert_eq!(ep.wait(), [(IN, end.0)]);
        ep.modify(&end, IN | ET);
        assert_eq!(ep.wait(), [(IN, end.0)]);
    }

    #[test]
    fn a_listed_registration_is_not_reported_after_it_was_deleted() {
        // T10.
        let (ep, a) = (Epoll::new(), source());
        ep.add(&a, IN);
        post(&a, IN);
        ep.learn();
        ep.control(EPOLL_CTL_DEL, &a, 0).expect("a registration");
        assert_eq!(ep.report(1), []);
    }

    #[test]
    fn an_event_has_the_data_and_the_mask_of_the_last_call() {
        // T10.
        let (ep, a) = (Epoll::new(), source());
        ep.add(&a, IN);
        post(&a, IN | OUT);
        ep.learn();
        ep.modify(&a, OUT);
        assert_eq!(ep.wait(), [(OUT, a.0)]);
    }
}
