//! What epoll_ctl(2) does: the checks in the kernel's order (T1), adding, changing and deleting registrations.

use libc::c_int;
use nix::errno::Errno;

use crate::descriptors;
use crate::edge::Edge;
use crate::epitem::{Epitem, Home, NO_SHARD};
use crate::eventpoll::{self, Eventpoll};
use crate::events::{EDGE, EXCLUSIVE, EXCLUSIVE_COMPANY};
use crate::exclusive;
use crate::file::{File, Graph, Identity};
use crate::kind;
use crate::nested;
use crate::poller::watch;
use crate::stats;
use crate::sys;

/// The `events` and `data` of a `struct epoll_event`.
#[derive(Clone, Copy, Debug)]
pub struct Interest {
    /// Level bits and the flags EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE, EPOLLWAKEUP.
    pub events: u32,
    /// The program's 64 bits.
    pub data: u64,
}

/// epoll_ctl(2). `interest` is what `event` pointed to, `None` for EPOLL_CTL_DEL (T2).
pub fn control(epfd: c_int, op: c_int, fd: c_int, interest: Option<Interest>) -> Result<(), Errno> {
    stats::CONTROLS.count();
    let found = eventpoll::find(epfd);
    if matches!(found, Err(Errno::EBADF)) {
        return Err(Errno::EBADF);
    }
    let watchable = target(fd, op)?;
    let identity = watchable?;
    let ep = found?;
    if descriptors::known(fd).and_then(File::eventpoll).is_some_and(|target| std::ptr::eq(target, *ep)) {
        return Err(Errno::EINVAL);
    }
    let exclusive = interest.is_some_and(|interest| interest.events & EXCLUSIVE != 0);
    if exclusive && op == libc::EPOLL_CTL_MOD {
        return Err(Errno::EINVAL);
    }
    match (op, interest) {
        (libc::EPOLL_CTL_ADD, Some(interest)) => add(*ep, fd, identity, interest),
        (libc::EPOLL_CTL_MOD, Some(interest)) => modify(*ep, fd, interest),
        (libc::EPOLL_CTL_DEL, _) => delete(*ep, fd),
        _ => Err(Errno::EINVAL),
    }
}

/// Whether the target is open (the outer result), and whether it can be polled (the inner one); with its identity, if it had
/// to be asked. A number we know is trusted except when it is to be added: then it may have been closed and used again behind
/// our back.
fn target(fd: c_int, op: c_int) -> Result<Result<Option<Identity>, Errno>, Errno> {
    let trusted =
        |file: &'static File| file.eventpoll().is_some() || (op != libc::EPOLL_CTL_ADD && !file.graph().is_unwatched());
    if descriptors::known(fd).is_some_and(trusted) {
        return Ok(Ok(None));
    }
    if descriptors::is_internal(fd) {
        return Err(Errno::EBADF);
    }
    let stat = sys::fstat(fd)?;
    descriptors::verify(fd, &stat);
    match kind::may_be_watched(fd, &stat) {
        Err(Errno::EBADF) => Err(Errno::EBADF),
        answer => Ok(answer.map(|()| Some((stat.st_dev, stat.st_ino)))),
    }
}

fn add(ep: &'static Eventpoll, fd: c_int, identity: Option<Identity>, interest: Interest) -> Result<(), Errno> {
    let exclusive = interest.events & EXCLUSIVE != 0;
    let inner = descriptors::known(fd).and_then(File::eventpoll);
    if exclusive && (inner.is_some() || interest.events & !EXCLUSIVE_COMPANY != 0) {
        return Err(Errno::EINVAL);
    }
    let _links = match inner {
        Some(inner) => {
            let links = nested::check(ep, inner)?;
            nested::observe(inner);
            Some(links)
        }
        None => None,
    };
    let (file, mut graph) = loop {
        let file = descriptors::file_of(fd)?;
        let graph = file.graph();
        // Another thread may have found out meanwhile that the number was closed behind our back.
        if graph.numbers.contains(&fd) {
            break (file, graph);
        }
    };
    graph.identity = graph.identity.or(identity);
    if graph.find(ep, fd).is_some() {
        return Err(Errno::EEXIST);
    }
    if interest.events & EDGE != 0 {
        file.identify(fd);
    }
    let item = Epitem::create(ep, file, fd, fd)?;
    let mut st = ep.lock();
    if let Err(errno) = st.reserve() {
        drop(st);
        item.unpin();
        return Err(errno);
    }
    let Some(pin) = ep.pin() else {
        drop(st);
        item.unpin();
        return Err(Errno::EBADF);
    };
    pin.into_raw();
    let st = &mut *st;
    let state = item.at(&st.held);
    state.events.set(interest.events);
    state.data.set(interest.data);
    state.edge.set(Edge::FRESH);
    state.announced.set(Edge::FRESH);
    state.tracked.set(false);
    state.alive.set(true);
    state.reported_at.set(file.clock());
    state.spent.set(false);
    state.home.set(Home::Hot);
    state.shard.set(NO_SHARD);
    state.slot.set(0);
    state.index.set(st.interest.len() as u32);
    state.ready.set(false);
    state.uneasy.set(false);
    st.interest.push(item);
    if inner.is_some() {
        item.pin();
        st.inner.push(item);
    }
    graph.link(item);
    ep.apply(st, item);
    Ok(())
}

/// MOD: the new mask and data hold from here on, what is pending is reported again (T6), a spent one-shot is armed (W5).
fn modify(ep: &'static Eventpoll, fd: c_int, interest: Interest) -> Result<(), Errno> {
    let file = descriptors::known(fd).ok_or(Errno::ENOENT)?;
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
    state.events.set(interest.events);
    state.data.set(interest.data);
    state.edge.set(Edge::FRESH);
    state.announced.set(Edge::FRESH);
    state.spent.set(false);
    item.take_facts();
    state.reported_at.set(file.clock());
    watch::take_back(st, item);
    ep.apply(st, item);
    Ok(())
}

fn delete(ep: &'static Eventpoll, fd: c_int) -> Result<(), Errno> {
    let file = descriptors::known(fd).ok_or(Errno::ENOENT)?;
    let mut graph = file.graph();
    let item = graph.find(ep, fd).ok_or(Errno::ENOENT)?;
    detach(file, &mut graph, item);
    Ok(())
}

/// Ends a registration. Once this returns no event of it is reported (T10, D1). Threads that may still be in poll on the
/// description are left in `graph.lingering`.
pub fn detach(file: &'static File, graph: &mut Graph, item: &'static Epitem) {
    let Some(ep) = item.eventpoll() else { return };
    let mut guard = ep.lock();
    let st = &mut *guard;
    let state = item.at(&st.held);
    if state.tracked.replace(false) {
        file.count_edges(false);
    }
    state.alive.set(false);
    watch::take_back(st, item);
    graph.lingering.retain(|stay| stay.lasts());
    graph.lingering.extend(watch::lingering(item.at(&st.held).shard.get()));
    let state = item.at(&st.held);
    let index = state.index.get() as usize;
    st.interest.swap_remove(index);
    if let Some(moved) = st.interest.get(index) {
        moved.at(&st.held).index.set(index as u32);
    }
    graph.unlink(item);
    let was_exclusive = item.at(&st.held).is_exclusive();
    match st.poller {
        Some(poller) if item.at(&st.held).slot.get() != 0 => {
            graph.lingering.extend(poller.lingering());
            ep.notice(item, false, 0);
        }
        Some(_) => {}
        None => {
            st.set.remove(item, &st.held);
            nested::attend(ep, st);
        }
    }
    drop(guard);
    if was_exclusive {
        exclusive::release(file, item);
    }
    item.unpin();
    ep.unpin();
}

/// Ends every registration of an instance.
pub fn clear(ep: &'static Eventpoll) {
    loop {
        let item = {
            let st = ep.lock();
            let Some(item) = st.interest.last().copied() else { break };
            item.pin();
            item
        };
        if let Some(file) = item.file() {
            let mut graph = file.graph();
            if graph.items().any(|other| std::ptr::eq(other, item)) {
                detach(file, &mut graph, item);
            }
        }
        item.unpin();
    }
    ep.lock().empty();
}
