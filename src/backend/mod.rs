//! How readiness is learnt: by `poll`, or by requests that stay with the kernel. An instance has one of these two pollers at a time, and
//! goes from one to the other while it runs (`crossing`), losing nothing.

use nix::errno::Errno;

use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::waitq::Sleeper;
use crate::nap::Nap;

pub use by_poll::ByPoll;
pub use by_request::ByRequest;

mod busy;
mod by_poll;
mod by_request;
mod exit;
pub mod hold;
pub mod parking;
pub mod request;
pub mod rest;
pub mod ring_cost;
pub mod spares;
pub mod switch;
pub mod uring;
pub mod watch;

/// What a round of a wait leaves to the poller. All of it is the newest waiting thread's, under the lock of the instance unless it says otherwise.
pub trait Poller {
    /// Whether what it finds on an edge-triggered registration is an edge. If not, levels and counts have to tell them apart.
    const TELLS_EDGES: bool;
    /// Whether a sleep is a poll of everything, too.
    const SLEEPS_IN_POLL: bool;
    /// What a thread sleeps on. A thread may be cancelled asleep, so nothing in it is to be dropped.
    type Bed: Copy;

    /// Brings what is asked for in line with the registrations, and takes in what is known already. Never sleeps.
    fn take_in(ep: &'static Eventpoll, st: &mut EpState);

    /// Whether what was taken in is to be reported before any sleep.
    fn is_told(st: &EpState) -> bool;

    /// Whether there is anything to poll.
    fn polls(st: &EpState) -> bool;

    /// The thread is about to sleep: false if something turned up.
    fn may_sleep(ep: &'static Eventpoll, st: &mut EpState) -> bool;

    /// Polls, and answers with how many descriptors showed something.
    fn look(st: &mut EpState, me: &'static Sleeper) -> usize;

    /// What the thread sleeps on next. Nobody else touches it, and who closes one of the descriptors knows that it may be in use.
    fn lie_down(st: &mut EpState, me: &'static Sleeper) -> Self::Bed;

    /// Sleeps, without the lock, until something is ready or a kick came (how many), the limit in nanoseconds is over (0), or a signal handler ran
    /// (EINTR). A poll that is too long for `poll` is in pieces, and looks at all of them every `tick`.
    fn sleep(nap: &Nap, ep: &'static Eventpoll, bed: Self::Bed, limit: Option<u64>, tick: u64) -> Result<usize, Errno>;

    /// The sleep is over, and ended so: takes in what ended it.
    fn woken(st: &mut EpState, slept: Result<usize, Errno>) -> Result<usize, Errno>;
}
