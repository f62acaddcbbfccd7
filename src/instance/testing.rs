//! For unit tests: an instance without a waiting thread, and files whose level the test sets. A
//! readiness source is the fake probe: its level is the one that the test has posted, and no poll
//! finds it.

use libc::{c_int, epoll_event};
use nix::errno::Errno;

use crate::api::source;
use crate::backend::{ByPoll, Poller};
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::File;
use crate::graph::lookup;
use crate::graph::stats::Stats;
use crate::graph::waitq::Sleeper;
use crate::instance::close;
use crate::instance::control::{self, Interest};
use crate::instance::open;
use crate::instance::resample::{self, Extent};
use crate::instance::send_events;
use crate::instance::wait::Buffer;
use crate::lock::Guard;
use crate::nested;
use crate::sys;

pub const IN: u32 = libc::EPOLLIN as u32;
pub const OUT: u32 = libc::EPOLLOUT as u32;
pub const ET: u32 = libc::EPOLLET as u32;
pub const ONESHOT: u32 = libc::EPOLLONESHOT as u32;
pub const EXCLUSIVE: u32 = libc::EPOLLEXCLUSIVE as u32;

/// A descriptor that is closed at the end of the test, after the library has forgotten it.
#[derive(Debug)]
pub struct Fd(pub c_int);

impl Drop for Fd {
    fn drop(&mut self) {
        close::forget(self.0);
        let _ = sys::close(self.0);
    }
}

impl Fd {
    pub fn file(&self) -> &'static File {
        lookup::known(self.0).expect("a known number")
    }
}

/// A source with nothing posted.
pub fn source() -> Fd {
    Fd(source::create(0).expect("a source"))
}

/// The two ends of a pipe. The library sees neither the reads nor the writes of the test.
pub fn pipe() -> [Fd; 2] {
    sys::pipe2(libc::O_NONBLOCK).expect("a pipe").map(Fd)
}

/// An instance.
#[derive(Debug)]
pub struct Epoll {
    pub fd: Fd,
    pub ep: &'static Eventpoll,
}

impl Epoll {
    pub fn new() -> Epoll {
        let fd = nested::create(0).expect("an instance");
        let ep = *open::find(fd).expect("an instance");
        Epoll { fd: Fd(fd), ep }
    }

    /// A control call; the data of a registration is its number.
    pub fn control(&self, op: c_int, fd: &Fd, events: u32) -> Result<(), Errno> {
        let interest = Interest { events, data: fd.0.unsigned_abs().into() };
        control::control(self.fd.0, op, fd.0, (op != libc::EPOLL_CTL_DEL).then_some(interest))
    }

    pub fn add(&self, fd: &Fd, events: u32) {
        self.control(libc::EPOLL_CTL_ADD, fd, events).expect("a registration");
    }

    pub fn modify(&self, fd: &Fd, events: u32) {
        self.control(libc::EPOLL_CTL_MOD, fd, events).expect("another mask");
    }

    pub fn lock(&self) -> Guard<'static, EpState> {
        self.ep.lock()
    }

    /// The counters since the instance was made.
    pub fn stats(&self) -> Stats {
        let st = self.lock();
        st.stats_now().since(st.stats.at_start())
    }

    /// The registration of a number.
    pub fn item(&self, fd: &Fd) -> &'static Epitem {
        fd.file().graph().find(self.ep, fd.0).expect("a registration")
    }

    /// The part of a wait that learns readiness: the facts from hooks, one sample, one poll.
    pub fn learn(&self) {
        let mut st = self.lock();
        self.ep.absorb(&mut st);
        resample::sample_and_absorb(self.ep, &mut st, Extent::All);
        ByPoll::look(self.ep, &mut st, Sleeper::begin().expect("a sleeper"));
    }

    /// The part of a wait that reports, into an array with room for `max`. Returns the events as
    /// masks and numbers.
    pub fn report(&self, max: usize) -> Vec<(u32, c_int)> {
        let mut events = vec![epoll_event { events: 0, u64: 0 }; max];
        let reported = self.report_to(Buffer { events: events.as_mut_ptr(), max }).expect("an array");
        events[..reported].iter().map(|event| (event.events, event.u64 as c_int)).collect()
    }

    pub fn report_to(&self, buffer: Buffer) -> Result<usize, Errno> {
        let mut st = self.lock();
        let mut vanished = send_events::collect(&mut st);
        let reported = send_events::deliver(&mut st, buffer, &mut vanished);
        drop(st);
        vanished.forget();
        reported
    }

    /// A wait with a timeout of 0 and plenty of room.
    pub fn wait(&self) -> Vec<(u32, c_int)> {
        self.learn();
        self.report(8)
    }
}

/// Raises levels of a source.
pub fn post(source: &Fd, events: u32) {
    source::post(source.0, events).expect("a source");
}

/// Lowers levels of a source.
pub fn clear(source: &Fd, events: u32) {
    source::clear(source.0, events).expect("a source");
}
