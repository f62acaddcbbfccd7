//! The beginning of a registration. Kernel counterpart: `ep_insert`.

use libc::{c_int, stat};
use nix::errno::Errno;

use crate::backend::{exclusive, uring, watch};
use crate::edge::Edge;
use crate::events::{EDGE, EXCLUSIVE, EXCLUSIVE_COMPANY, NVAL, levels};
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::kind;
use crate::graph::file::{File, FileGuard};
use crate::graph::lookup;
use crate::instance::control::{self, Interest};
use crate::instance::naming;
use crate::instance::nesting_limits;
use crate::instance::registration_limit;
use crate::instance::ring_use;
use crate::lock::Guard;
use crate::pool::Short;
use crate::probe::fleeting;

/// EPOLL_CTL_ADD. The caller has checked that the target can be watched. `stat` is its inode, if
/// that was read.
#[doc(alias = "ep_insert")]
pub fn add(ep: &'static Eventpoll, fd: c_int, stat: Option<stat>, interest: Interest) -> Result<(), Errno> {
    let is_exclusive = interest.events & EXCLUSIVE != 0;
    let is_instance = lookup::known(fd).is_some_and(|file| file.eventpoll().is_some());
    if is_exclusive && (is_instance || interest.events & !EXCLUSIVE_COMPANY != 0) {
        return Err(Errno::EINVAL);
    }
    let _links = check_nesting(ep, fd, interest)?;
    let (file, mut graph) = locked_file_of(fd)?;
    if let Some(stat) = stat.filter(|_| !file.is_marked()) {
        file.mark((stat.st_dev, stat.st_ino));
    }
    file.check_anew();
    if graph.find(ep, fd).is_some() {
        return Err(Errno::EEXIST);
    }
    registration_limit::check()?;
    if interest.events & EDGE != 0 || stat.is_some_and(|stat| kind::may_be_fleeting(fd, &stat)) {
        file.identify(fd);
    }
    let item = Epitem::create(ep, file, fd, fd).inspect_err(|_| {
        // Deleted records become free when the lists and their watcher release them.
        ep.lock().drop_dead();
        watch::wake_poller();
    })?;
    let mut st = ep.lock();
    if let Err(errno) = reserve(ep, &mut st, item) {
        drop(st);
        item.unpin();
        return Err(errno);
    }
    let st = &mut *st;
    if let Some(outer) = st.outer.link {
        outer.before_add(ep, st);
    }
    initialize(st, item, file, interest);
    list(st, item, file);
    if !st.items.inner.is_empty() {
        ring_use::leave_signals(ep, st);
    }
    st.stats.controls += 1;
    graph.link(item);
    registration_limit::count();
    control::begin(ep, st, item, file);
    ring_use::added(ep, st);
    Ok(())
}

/// Checks instances in instances (N3), and tells the target about this one. Returns the lock of the
/// links, which the caller holds until the link is made.
fn check_nesting(ep: &'static Eventpoll, fd: c_int, interest: Interest) -> Result<Option<Guard<'static, ()>>, Errno> {
    match lookup::known(fd).and_then(|file| Some((file, file.eventpoll()?))) {
        Some((inner_file, inner)) => {
            let links = nesting_limits::check(ep, inner)?;
            if control::is_registered(ep, fd) {
                return Err(Errno::EEXIST);
            }
            registration_limit::check()?;
            nesting_limits::check_paths_below(ep, inner)?;
            let for_edges = interest.events & EDGE != 0 || ep.lock().outer.is_followed();
            inner_file.on_watch(for_edges)?;
            Ok(Some(links))
        }
        None if ep.is_exposed() && !control::is_registered(ep, fd) => {
            registration_limit::check()?;
            nesting_limits::check_paths(ep, naming::file_of(fd)?)
        }
        None => Ok(None),
    }
}

/// The description of an open number, and its lock.
fn locked_file_of(fd: c_int) -> Result<(&'static File, FileGuard), Errno> {
    loop {
        let file = naming::file_of(fd)?;
        let graph = file.graph();
        // Another thread may have found in between that the number was closed unseen.
        if graph.numbers.contains(&fd) {
            return Ok((file, graph));
        }
    }
}

/// Reserves everything whose allocation can fail: the places of one more registration, its
/// extension, and its pin on the instance. ENOMEM, or EBADF if the instance was closed in between:
/// its registrations are gone by now, or go with its last wait, and nothing would remove a later
/// one.
fn reserve(ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem) -> Result<(), Errno> {
    if st.closed {
        return Err(Errno::EBADF);
    }
    st.reserve().or_else(|_| {
        uring::make_room(ep, st);
        st.reserve()
    })?;
    st.ensure_ext_of_new(item)?;
    ep.pin().ok_or(Errno::EBADF)?.into_raw();
    Ok(())
}

/// Sets the state of a registration that begins.
fn initialize(st: &mut EpState, item: &'static Epitem, file: &'static File, interest: Interest) {
    let state = item.at(&st.held);
    let level = || file.level(item.via(), levels(interest.events)) & !NVAL;
    let is_exclusive = interest.events & EXCLUSIVE != 0;
    state.events.set(interest.events);
    state.data.set(interest.data);
    let edge = Edge::anew(file.is_closing());
    state.edge.set(edge);
    state.tracked.set(false);
    state.alive.set(true);
    state.reported_at.set(file.clock());
    state.spent.set(false);
    state.begin_hot();
    state.slot.set(0);
    state.index.set(st.items.interest.len() as u32);
    state.serial.set(st.items.made);
    st.items.made = st.items.made.wrapping_add(1);
    state.newcomer.set(is_exclusive && file.claim().is_of_another(item) && level() != 0);
    state.ready.set(false);
    state.to_resample.set(false);
}

/// Puts a registration into the interest list, and counts it.
fn list(st: &mut EpState, item: &'static Epitem, file: &'static File) {
    let state = item.at(&st.held);
    st.items.interest.push(Short::of(item));
    if state.is_exclusive() {
        st.items.exclusives.push(Short::of(item));
        st.items.exclusives_to_poll += usize::from(exclusive::needs_poll(state, file));
    }
    st.items.edges += usize::from(state.is_edge());
    if file.kind().fleeting() != 0 {
        st.items.fleeting += 1;
        fleeting::note_first();
    }
    if file.ops().is_some() {
        item.pin();
        st.items.inner.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::testing::{self, ET, Epoll, IN, pipe, source};

    #[test]
    fn an_exclusive_registration_for_edges_has_to_be_polled_until_it_ends() {
        let (ep, [one, _peer], [other, _other_peer]) = (Epoll::new(), pipe(), pipe());
        let exclusives = || {
            let st = ep.lock();
            (st.items.exclusives.len(), st.items.exclusives_to_poll)
        };
        ep.add(&one, IN | testing::EXCLUSIVE);
        assert_eq!(exclusives(), (1, 0));
        ep.add(&other, IN | testing::EXCLUSIVE | ET);
        assert_eq!(exclusives(), (2, 1));
        ep.control(libc::EPOLL_CTL_DEL, &other, 0).expect("a registration");
        assert_eq!(exclusives(), (1, 0));
    }

    #[test]
    fn a_registration_is_refused_by_an_instance_that_was_closed_since_it_was_looked_up() {
        // Another thread closes the descriptor while the call has the instance.
        let (ep, a) = (Epoll::new(), source());
        let pinned = ep.ep.pin().expect("an open instance");
        drop(ep);
        assert_eq!(add(*pinned, a.0, None, Interest { events: IN, data: 0 }), Err(Errno::EBADF));
        assert!(a.file().graph().is_unwatched());
        assert_eq!(pinned.lock().items.interest.len(), 0);
    }
}
