//! Registrations that have left the poll set, because poll would report their hang-up or error
//! forever, and no call of the program is expected to end it. No such state is final in the kernel:
//! a socket can be connected again by a call that the library does not see, and a pipe can be
//! reopened under `/proc`. So each of them is looked at once in a while. Kernel counterpart: none.

use crate::events::{Bits, HUP, NVAL};
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::file::{File, Peer};
use crate::kind::Kind;
use crate::poll_batch::PollBatch;
use crate::sys;

/// The shortest time between two looks, in nanoseconds.
const PAUSE_NS: u64 = 100_000_000;
/// The number of registrations in one look.
const TOGETHER: usize = 64;

/// Looks at the registrations that have left the poll set, if it is time, and takes back those
/// whose hang-up is over.
pub fn look(st: &mut EpState) {
    if !st.recheck.left || st.tells_edges() || sys::now() < st.recheck.left_due {
        return;
    }
    st.recheck.left = false;
    let mut begin = 0;
    while begin < st.items.interest.len() {
        let mut window = PollBatch::<_, TOGETHER>::new();
        let mut at = begin;
        while at < st.items.interest.len() && !window.is_full() {
            let item = st.items.interest[at].get();
            if let Some(watched) = watched_if_left(st, item) {
                window.add(item, item.via(), watched);
            }
            at += 1;
        }
        begin = at;
        for (item, found) in window.look() {
            st.recheck.left = true;
            if found & NVAL == 0 {
                take_in(st, item, found);
            }
        }
    }
    st.recheck.left_due = sys::now() + PAUSE_NS;
}

/// The bits to ask for, if a registration has left the poll set; `None` if it has not.
fn watched_if_left(st: &EpState, item: &Epitem) -> Option<Bits> {
    let state = item.at(&st.held);
    let is_live = state.alive.get() && !state.spent.get() && !state.is_parked() && !state.is_signalled();
    let file =
        item.file().filter(|file| is_live && state.is_edge() && !state.to_resample.get() && !file.is_source())?;
    let watched = state.watched(file);
    state.edge.get().asked(watched).is_none().then_some(watched)
}

fn take_in(st: &mut EpState, item: &'static Epitem, level: Bits) {
    let state = item.at(&st.held);
    let Some(file) = item.file() else { return };
    let is_anew = state.edge.get().reported() & !level & HUP != 0;
    if is_anew {
        begin_anew(file, item);
    }
    let mut woken = false;
    for memory in state.memories() {
        let mut edge = memory.get();
        if is_anew && matches!(file.kind(), Kind::Tcp | Kind::TcpListener | Kind::Pipe) {
            edge.begun_anew();
        }
        edge.looked(file.kind(), level);
        woken |= edge.take_woken();
        memory.set(edge);
    }
    st.note_woken(item, woken);
    st.refresh(item);
}

/// Discards the knowledge about the file, which is that of an earlier connection.
fn begin_anew(file: &File, item: &Epitem) {
    match file.kind() {
        Kind::Tcp | Kind::UnixStream | Kind::UnixSeqpacket => file.identify_again(item.via()),
        _ => {}
    }
    if let Some(unix) = file.unix() {
        unix.set_peer(Peer::Unknown);
    }
}
