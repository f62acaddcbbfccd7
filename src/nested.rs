//! Epoll descriptors that somebody looks at from outside: inside another instance, or in poll and select (N1 to N3).
//!
//! Such an instance is *observed*. While nobody waits on it its registrations are with the watchers, and a byte in its pipe
//! makes its descriptor readable; so whoever polls the descriptor, in this library or in the kernel, sees what it must.

use std::sync::atomic::Ordering::Relaxed;

use nix::errno::Errno;

use crate::edge::GAVE;
use crate::epitem::{Epitem, Home};
use crate::epstate::EpState;
use crate::eventpoll::Eventpoll;
use crate::events::NVAL;
use crate::file::File;
use crate::harvest;
use crate::lock::{self, Guard, Lock};
use crate::poller::watch;
use crate::process;
use crate::sample;
use crate::sys;

/// Held while a link between instances is added, so that two threads cannot close a cycle together. Taken before every other
/// lock. Kernel counterpart: `epnested_mutex`.
static LINKS: Lock<()> = Lock::new(());

/// How many links a chain of instances may have (the kernel's EP_MAX_NESTS).
const LONGEST_CHAIN: usize = 4;

/// Whether `inner` may be added to `outer`: ELOOP for a cycle or too long a chain (N3). The guard keeps the answer true.
pub fn check(outer: &'static Eventpoll, inner: &'static Eventpoll) -> Result<Guard<'static, ()>, Errno> {
    let links = LINKS.lock();
    let below = depth_below(inner, outer, 0)?;
    let above = height_above(outer, 0)?;
    if below + 1 + above > LONGEST_CHAIN { Err(Errno::ELOOP) } else { Ok(links) }
}

fn depth_below(ep: &'static Eventpoll, forbidden: &'static Eventpoll, level: usize) -> Result<usize, Errno> {
    if std::ptr::eq(ep, forbidden) || level > LONGEST_CHAIN {
        return Err(Errno::ELOOP);
    }
    let children: Vec<&'static Eventpoll> =
        ep.lock().interest.iter().filter_map(|item| item.file().and_then(File::eventpoll)).collect();
    children.into_iter().try_fold(0, |deepest, child| Ok(deepest.max(1 + depth_below(child, forbidden, level + 1)?)))
}

fn height_above(ep: &'static Eventpoll, level: usize) -> Result<usize, Errno> {
    if level > LONGEST_CHAIN {
        return Err(Errno::ELOOP);
    }
    let Some(file) = ep.file() else { return Ok(0) };
    let parents: Vec<&'static Eventpoll> = file.graph().items().filter_map(|item| item.eventpoll()).collect();
    parents.into_iter().try_fold(0, |highest, parent| Ok(highest.max(1 + height_above(parent, level + 1)?)))
}

/// Somebody looks at the instance's descriptor from now on.
pub fn observe(ep: &'static Eventpoll) {
    let mut st = ep.lock();
    expose(ep, &mut st);
}

fn expose(ep: &'static Eventpoll, st: &mut EpState) {
    if !st.observed {
        st.observed = true;
        ep.expose(true);
        // Every registration is to be tracked from here on.
        st.overdue = true;
    }
    attend(ep, st);
}

/// What a look at an instance shows.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// A wait on it would report something now (N1).
    pub ready: bool,
    /// It has to be looked at again after a while: an edge may hide in it that nobody tells of.
    pub uneasy: bool,
}

/// Whether a wait on the instance would report something now.
pub fn is_ready(ep: &'static Eventpoll) -> bool {
    look(ep).ready
}

/// Looks at an instance. The lock of an outer instance may be held. While a fork waits for that one the inner lock may not come,
/// nor in a signal handler that interrupted whoever holds it; then a level that its pipe showed high is taken for true.
pub fn look(ep: &'static Eventpoll) -> Seen {
    let mut patience = 100_000_u32;
    let mut st = loop {
        if let Some(st) = ep.try_lock() {
            break st;
        }
        patience -= u32::from(lock::interrupted());
        if process::is_forking() || patience == 0 {
            return Seen { ready: true, uneasy: true };
        }
        std::hint::spin_loop();
    };
    expose(ep, &mut st);
    if !st.readable && watch::look_at_parked(&mut st) {
        attend(ep, &mut st);
    }
    Seen { ready: st.readable, uneasy: st.ticks }
}

/// Does for an observed instance what a waiting thread would do: looks once, gives the silent registrations to the watchers,
/// and keeps the descriptor's level true. Does nothing while somebody waits, who does all this.
pub fn attend(ep: &'static Eventpoll, st: &mut EpState) {
    if !st.observed || st.closed || st.poller.is_some() || !st.waiters.is_empty() || st.set.reserve_wake().is_err() {
        return;
    }
    st.readable |= ep.was_stirred();
    ep.absorb(st);
    st.ticks = harvest::sample(st).is_some();
    sys::look(st.set.poll_with(-1));
    announce(ep, st);
    // Numbers that vanished are the next wait's business.
    let _ = harvest::collect(st);
    let any = harvest::anything(st);
    park_the_rest(st);
    set_readable(ep, st, any);
}

/// Tells the outer instances of what the last poll found: each arrival that was not announced yet is an edge of the epoll
/// descriptor, also while older ones have not been waited for (N2).
pub fn announce(ep: &'static Eventpoll, st: &mut EpState) {
    let mut news = false;
    let mut slot = 0;
    while let Some((at, item, bits)) = st.set.next_fired(slot) {
        slot = at;
        let state = item.at(&st.held);
        let Some(file) = item.file() else { continue };
        let mut announced = state.announced.get();
        news |= announced.report(bits & state.watched(file), || sample::arrivals(file, item.via()));
        state.announced.set(announced);
        st.note_unease(item);
    }
    if news {
        set_readable(ep, st, true);
        if let Some(file) = ep.file() {
            file.tell_inside(GAVE, file.begin_call());
        }
    }
}

/// Everything that is neither ready nor uneasy goes to the watchers.
fn park_the_rest(st: &mut EpState) {
    loop {
        let mut batch: [Option<&'static Epitem>; 64] = [None; 64];
        let idle = st.set.silent_for(0).filter(|item| {
            let state = item.at(&st.held);
            let vanished = st.set.revents(item, &st.held) & NVAL != 0;
            !state.ready.get() && !state.uneasy.get() && !vanished && state.home.get() == Home::Hot
        });
        for (place, item) in batch.iter_mut().zip(idle) {
            *place = Some(item);
        }
        if watch::park(st, batch.iter().flatten().copied()) < batch.len() {
            return;
        }
    }
}

/// Makes the descriptor readable, or not.
fn set_readable(ep: &'static Eventpoll, st: &mut EpState, readable: bool) {
    if !readable {
        return calm(ep, st);
    }
    if !st.readable {
        st.readable = true;
        let _ = sys::write(ep.signal().load(Relaxed), b"!");
    }
}

/// Nothing is ready: takes whatever is in the pipe out of it.
pub fn calm(ep: &'static Eventpoll, st: &mut EpState) {
    let stirred = ep.was_stirred();
    if stirred || st.readable {
        st.readable = false;
        let _ = sys::read(ep.number(), &mut [0; 16]);
    }
}

/// In a forked child: a pipe of its own under the same numbers, for the old one is shared with the parent.
pub fn renew_pipe(ep: &'static Eventpoll) {
    let Ok([read_end, write_end]) = sys::pipe2(libc::O_NONBLOCK | libc::O_CLOEXEC) else { return };
    if let Some(file) = ep.file() {
        for &number in &file.graph().numbers {
            let flags = sys::fcntl(number, libc::F_GETFD, 0).map_or(0, |flags| flags & libc::FD_CLOEXEC);
            let _ = sys::dup3(read_end, number, if flags != 0 { libc::O_CLOEXEC } else { 0 });
        }
    }
    let _ = sys::close(read_end);
    crate::descriptors::disown_internal(ep.signal());
    let _ = crate::descriptors::adopt_internal(write_end, ep.signal());
}

/// The lock on links, for fork.
pub fn lock_links_for_fork() {
    LINKS.lock_for_fork();
}

/// # Safety
/// As for [`Lock::unlock_after_fork`].
pub unsafe fn unlock_links_after_fork() {
    // SAFETY: the caller answers for it.
    unsafe { LINKS.unlock_after_fork() }
}
