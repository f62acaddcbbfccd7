//! Chaos (`--chaos`): waits end otherwise than usual, in ways that Linux itself could have chosen.
//! `crates/chaos` decides where; this module knows when a decision may take effect.
//!
//! A perturbed wait works on what the kernel's epoll or the library's returned. An event that is
//! held back goes back into the instance, by an EPOLL_CTL_MOD that changes nothing: it is then on
//! the ready list again if its level is still high, and nowhere if it is not. So it cannot outlive
//! a DEL, a close or a read, it wakes whoever sleeps, and a fork finds it in its place.
//!
//! | kind | only if | allowed by |
//! |---|---|---|
//! | few | the peer is in another process, and nothing showed that the level is high (`known`) | epoll_wait(2), NOTES: a full buffer, round robin |
//! | many | – | scheduling |
//! | shuffle | the peers are in other processes | epoll_wait(2): no order is promised |
//! | eintr | nothing is ready, and the time-out is not 0 | signal(7): stop signals interrupt epoll_wait |
//! | late | the wait has a time-out, which is not 0 | epoll_wait(2): "may overrun by a small amount" |
//! | delay | as few, and the connection is TCP or UDP | the network |
//! | again | edge-triggered TCP, unread data, non-blocking | epoll(7): "multiple events can be generated upon receipt of multiple chunks" |
//! | close-parts | as few, and there is unread data before the end | TCP: a FIN is a segment of its own |
//! | other | another thread waits on the instance, and no event shows to a single look | epoll_ctl(2): the order of waiters is not documented |
//! | vain | non-blocking UDP sockets and listeners | select(2), BUGS: a wrong checksum; accept(2): the connection may have gone |
//! | short, small, fault | only if they are named | read(2), socket(7), accept(2), epoll_ctl(2) |
//!
//! Never perturbed are waits with the time-out 0 (but `many` and `shuffle`), events of registrations
//! that a control call changes meanwhile, that are EPOLLEXCLUSIVE, or that cannot be told from
//! others by their data, and registrations whose number is closed.
//!
//! | module | content |
//! |---|---|
//! | `wait` | a perturbed wait |
//! | `edits` | the decisions about the events of a report |
//! | `state` | what the program may know about each registration |
//! | `peers` | whether a peer is in another process |
//! | `turn` | one control call at a time |
//! | `log` | the mapped log of the decisions |
//! | `manual` | the manual kinds |

mod edits;
mod log;
pub mod manual;
mod peers;
mod state;
mod turn;
mod wait;

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use epolyfill_chaos::{Decision, Plan};
use epolyfill_facts::Fact;
use libc::{c_int, epoll_event};
use nix::errno::Errno;

use super::{kernel, recorder};
use crate::instance::control::{self, Interest};
use crate::log::Line;
use crate::sys;

pub use state::State;
pub use turn::Turn;
pub use wait::perturbed;

static PLAN: OnceLock<Plan> = OnceLock::new();
/// There is a plan, and a log with room.
static ON: AtomicBool = AtomicBool::new(false);

/// Whether waits are perturbed.
#[inline]
pub fn is_on() -> bool {
    ON.load(Acquire)
}

/// The plan, while it is in force.
fn plan() -> Option<&'static Plan> {
    PLAN.get().filter(|_| is_on())
}

/// Reads the plan, and makes or finds the log. Called once, at start-up.
pub fn start(text: &[u8], log: &[u8]) {
    let problem = match read(text) {
        Err(problem) => problem,
        Ok(plan) => match log::set_up(log) {
            Ok(()) => {
                let _ = PLAN.set(plan);
                return ON.store(true, Release);
            }
            Err(errno) => errno.desc(),
        },
    };
    let mut line = Line::<160>::new();
    line.text("epolyfill[").number(sys::getpid().into()).text("]: this process runs without chaos: ");
    line.text(problem).text("\n");
    line.to_stderr();
}

/// The plan of `SEED[,KIND[=RATE]…]` or `@FILE`.
fn read(text: &[u8]) -> Result<Plan, &'static str> {
    if let Some(path) = text.strip_prefix(b"@") {
        let bytes = log::read(path).map_err(|errno| errno.desc())?;
        return Plan::of_log(&bytes).map_err(|_| "its log of decisions is not valid");
    }
    let text = std::str::from_utf8(text).map_err(|_| "EPOLYFILL_CHAOS is not valid")?;
    Plan::parse(text).map_err(|_| "EPOLYFILL_CHAOS is not valid")
}

/// This process is a forked child.
pub fn born() {
    if is_on() {
        turn::free();
        log::enter();
    }
}

/// Records a decision that takes effect. False if the log is full: then it must not, and nothing is
/// perturbed any more.
fn record(decision: &Decision, epfd: c_int, fd: c_int) -> bool {
    let is_logged = log::append(decision);
    if !is_logged {
        ON.store(false, Release);
        return false;
    }
    let Decision { kind, place, amount } = *decision;
    let amount = i64::try_from(amount).unwrap_or(i64::MAX);
    recorder::fact(&Fact::Chaos { kind, epfd, fd, ordinal: place.wait, amount });
    true
}

/// Changes a registration, unseen by the program. Its [`Turn`] must be held.
fn modify(epfd: c_int, fd: c_int, events: u32, data: u64) -> bool {
    let errno = Errno::last_raw();
    let is_done = if kernel::is_chosen() {
        let event = epoll_event { events, u64: data };
        // SAFETY: the event is readable.
        unsafe { kernel::ctl(epfd, libc::EPOLL_CTL_MOD, fd, &raw const event) == 0 }
    } else {
        control::control(epfd, libc::EPOLL_CTL_MOD, fd, Some(Interest { events, data })).is_ok()
    };
    Errno::set_raw(errno);
    is_done
}

/// Whether an arrival is delayed now.
#[inline]
fn is_delaying() -> bool {
    state::MASKED.load(Relaxed) > 0
}

/// A call of the program has met the descriptor, or is about to end its number: what is delayed
/// there is shown at once.
#[inline]
pub fn met(fd: c_int) {
    if is_delaying() {
        uncover(&|masked| masked.fd == fd);
    }
}

/// These numbers are about to end.
pub fn met_range(first: u32, last: u32) {
    if is_delaying() {
        uncover(&|masked| (first..=last).contains(&masked.fd.cast_unsigned()));
    }
}

/// The calling thread ends: nobody shows what it delays.
pub fn thread_ended() {
    if is_delaying() {
        let tid = sys::gettid();
        uncover(&|masked| masked.tid == tid);
    }
}

/// Shows what is delayed, where the filter says so. False if that is nothing.
fn uncover(is_due: &dyn Fn(&state::Masked) -> bool) -> bool {
    if !is_delaying() {
        return false;
    }
    let _turn = Turn::take();
    let next = || recorder::chaos(|state, mirror, _| state.unmask(mirror, is_due)).flatten();
    let mut has_shown = false;
    while let Some(state::Masked { epfd, fd, events, data, .. }) = next() {
        modify(epfd, fd, events, data);
        has_shown = true;
    }
    has_shown
}
