//! The connection of the lower layers to this one: the operations of an instance as a file, and the
//! link by which an observed instance reports to its observers.

use libc::c_int;
use nix::errno::Errno;

use super::{announce, attend, look, observers};
use crate::INTERPOSES;
use crate::backend::signals;
use crate::events::Bits;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::{File, FileOps, Look};
use crate::graph::outer::OuterLink;
use crate::instance::open;

/// `epoll_create1(2)`: returns the descriptor of a new instance, which can be watched like any
/// other. If the library does not see the program's calls, any thread may watch it from the
/// beginning.
pub fn create(flags: c_int) -> Result<c_int, Errno> {
    signals::begin();
    open::create(flags, &INSTANCE, if INTERPOSES { None } else { Some(&Link) })
}

/// The operations of an instance as a file.
static INSTANCE: FileOps = FileOps { look: look_at_instance, on_watch, is_instance: true };

#[doc(alias = "ep_eventpoll_poll")]
fn look_at_instance(file: &'static File, in_turn: bool) -> Look {
    file.eventpoll().map_or(Look::polled(0), |inner| look::look(inner, in_turn))
}

fn on_watch(file: &'static File, for_edges: bool) -> Result<(), Errno> {
    let Some(inner) = file.eventpoll() else { return Ok(()) };
    observers::observe(inner);
    if for_edges { observers::follow(inner) } else { Ok(()) }
}

/// The link of an observed instance.
#[derive(Debug)]
pub(super) struct Link;

impl OuterLink for Link {
    fn before_add(&self, ep: &'static Eventpoll, st: &mut EpState) {
        announce::catch_up(ep, st);
    }

    fn before_change(&self, ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem, file: &'static File) {
        announce::catch_up(ep, st);
        // The wake-ups until now took place under the old mask.
        let woken = st.outer.is_followed() && !item.at(&st.held).spent.get() && announce::is_news(st, item, file);
        st.note_woken(item, woken);
    }

    fn before_removal(&self, ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem, file: &'static File) {
        let state = item.at(&st.held);
        let is_heard = st.outer.is_followed() && state.alive.get() && !state.spent.get();
        if is_heard && announce::is_news(st, item, file) {
            announce::wake_outer(ep, st);
        }
    }

    fn item_began(&self, ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem, file: &'static File) {
        observers::leave_to_ring(ep, st);
        if st.outer.is_followed() {
            // The hooks have to report on the registration before the look.
            st.track(item, file);
            st.outer.has_news |= announce::begin(st, item, file);
            announce::announce_news(ep, st);
        }
    }

    fn item_changed(&self, ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem) {
        attend::attend_to(ep, st, item);
    }

    fn item_removed(&self, ep: &'static Eventpoll, st: &mut EpState) {
        attend::settle(ep, st);
    }

    fn level_seen(&self, st: &mut EpState, item: &'static Epitem, file: &'static File, level: Bits, asked: Bits) {
        let woken = announce::take_in(st, item, file, level, asked);
        st.note_woken(item, woken);
    }

    fn before_sleep(&self, ep: &'static Eventpoll, st: &mut EpState) {
        attend::clear_pipe(ep, st);
    }

    fn after_poll(&self, ep: &'static Eventpoll, st: &mut EpState) {
        if st.outer.is_followed() {
            announce::after_poll(ep, st);
        }
    }

    fn without_ring(&self, ep: &'static Eventpoll, st: &mut EpState) {
        observers::observe_unseen(ep, st);
    }

    fn unattended(&self, ep: &'static Eventpoll, st: &mut EpState) {
        attend::attend(ep, st);
    }
}
