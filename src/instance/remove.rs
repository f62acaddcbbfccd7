//! The end of a registration. Kernel counterpart: `ep_remove`.

use crate::backend::exclusive::needs_poll;
use crate::backend::{signals, switch};
use crate::graph::epitem::Epitem;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::exclusive;
use crate::graph::file::{File, FileGuard};
use crate::graph::woken_list::WokenList;
use crate::instance::registration_limit;

/// The cause of a removal.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// EPOLL_CTL_DEL.
    Deleted,
    /// The close of its description.
    Closed,
    /// The close of its description, which no hook saw.
    Vanished,
    /// The close of its instance.
    Cleared,
}

/// Removes a registration. When this returns, none of its events will be reported (T10, D1).
/// Threads that may still be in poll on the description have their pins in `graph.pins`.
#[doc(alias = "ep_remove")]
pub fn detach(file: &'static File, graph: &mut FileGuard, item: &'static Epitem, end: End) {
    let Some(ep) = item.eventpoll() else { return };
    let mut guard = ep.lock();
    let st = &mut *guard;
    st.stats.controls += u64::from(matches!(end, End::Deleted));
    st.stats.closed += u64::from(matches!(end, End::Closed | End::Vanished));
    st.stats.vanished += u64::from(matches!(end, End::Vanished));
    let state = item.at(&st.held);
    if state.tracked.replace(false) {
        file.count_edges(false);
    }
    if let Some(outer) = st.outer.link {
        outer.before_removal(ep, st, item, file);
    }
    WokenList::leave(item, &st.held);
    let state = item.at(&st.held);
    state.alive.set(false);
    let index = state.index.get() as usize;
    st.items.interest.swap_remove(index);
    if let Some(moved) = st.items.interest.get(index) {
        moved.get().at(&st.held).index.set(index as u32);
    }
    graph.unlink(item);
    registration_limit::uncount();
    let was_exclusive = item.at(&st.held).is_exclusive();
    if was_exclusive {
        st.items.exclusives.retain(|other| !std::ptr::eq(other.get(), item));
        st.items.exclusives_to_poll -= usize::from(needs_poll(item.at(&st.held), file));
    }
    st.items.edges -= usize::from(item.at(&st.held).is_edge());
    st.items.fleeting -= usize::from(file.kind().fleeting() != 0);
    st.item_removed(ep, item, &mut graph.pins);
    if st.queue.poller.is_none()
        && let Some(outer) = st.outer.link
    {
        outer.item_removed(ep, st);
    }
    drop(guard);
    if matches!(end, End::Deleted | End::Cleared) {
        signals::disarm_unless_asked(file, graph, item.via());
    }
    if was_exclusive {
        exclusive::release(file, item);
    }
    item.unpin();
    ep.unpin();
}

/// Removes every registration of an instance.
#[doc(alias = "ep_clear_and_put")]
pub fn clear(ep: &'static Eventpoll) {
    loop {
        let item = {
            let st = ep.lock();
            let Some(item) = st.items.interest.last().map(|item| item.get()) else { break };
            item.pin();
            item
        };
        if let Some(file) = item.file() {
            let mut graph = file.graph();
            if graph.items().any(|other| std::ptr::eq(other, item)) {
                detach(file, &mut graph, item, End::Cleared);
            }
        }
        item.unpin();
    }
    let mut st = ep.lock();
    let read_signals = st.backend.reads_signals;
    switch::leave(ep, &mut st);
    st.empty();
    drop(st);
    if read_signals {
        // Perhaps nobody else reads those that are pending.
        signals::take_all();
    }
}
