//! The program above the library: calls as the exported symbols make them, descriptors, and the
//! actions that models share.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;

use libc::{c_int, epoll_event};

use crate::graph::{epitem, eventpoll, file, signal_numbers};
use crate::instance::close;
use crate::instance::control::{self, Interest};
use crate::instance::dup;
use crate::instance::wait::{self, Timeout};
use crate::scheduler::{self, Joinable, step};
use crate::sleep::{By, Sleep};
use crate::{hooks, nested, sys};

pub const IN: u32 = libc::EPOLLIN as u32;
pub const OUT: u32 = libc::EPOLLOUT as u32;
pub const ET: u32 = libc::EPOLLET as u32;
pub const ONESHOT: u32 = libc::EPOLLONESHOT as u32;
pub const EXCLUSIVE: u32 = libc::EPOLLEXCLUSIVE as u32;

pub fn create() -> c_int {
    nested::create(libc::EPOLL_CLOEXEC).expect("an instance")
}

pub fn add(ep: c_int, fd: c_int, events: u32, data: u64) {
    control::control(ep, libc::EPOLL_CTL_ADD, fd, Some(Interest { events, data })).expect("ADD");
}

pub fn modify(ep: c_int, fd: c_int, events: u32, data: u64) {
    control::control(ep, libc::EPOLL_CTL_MOD, fd, Some(Interest { events, data })).expect("MOD");
}

pub fn delete(ep: c_int, fd: c_int) {
    control::control(ep, libc::EPOLL_CTL_DEL, fd, None).expect("DEL");
}

/// The events of one wait, in their order.
fn events(ep: c_int, max: i32, timeout: Timeout) -> Vec<epoll_event> {
    let mut events = [epoll_event { events: 0, u64: 0 }; 8];
    // SAFETY: the array has room for eight.
    let n = unsafe { wait::wait(ep, events.as_mut_ptr(), max, timeout, Sleep::new(By::Name, None)) }.expect("a wait");
    events[..n].to_vec()
}

/// The event of one wait without limit.
fn one_event(ep: c_int) -> epoll_event {
    let got = events(ep, 1, None);
    assert_eq!(got.len(), 1, "an infinite wait returned nothing");
    got[0]
}

/// The bits of the event of one wait without limit.
pub fn bits_of_one(ep: c_int) -> u32 {
    one_event(ep).events
}

/// One wait without limit for one event.
pub fn wait_for_one(ep: c_int) -> u64 {
    one_event(ep).u64
}

/// The data of the ready items.
pub fn ready(ep: c_int) -> Vec<u64> {
    events(ep, 8, Some(0)).iter().map(|event| event.u64).collect()
}

pub fn eventfd() -> c_int {
    sys::eventfd().expect("an eventfd")
}

/// A nonblocking pipe: the read end, and the write end.
pub fn pipe() -> [c_int; 2] {
    sys::pipe2(libc::O_NONBLOCK | libc::O_CLOEXEC).expect("a pipe").map(signal_numbers::note_made)
}

/// Two connected, nonblocking unix sockets.
pub fn socket_pair(kind: c_int) -> [c_int; 2] {
    let mut fd = [0; 2];
    let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the array has room for two.
    assert_eq!(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fd.as_mut_ptr()) }, 0);
    fd
}

/// Two connected, nonblocking TCP sockets with little room.
pub fn tcp_pair() -> [c_int; 2] {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    // SAFETY: zeroes are an address, of which the family is set; all calls get its size.
    unsafe {
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as u16;
        address.sin_addr.s_addr = u32::from(std::net::Ipv4Addr::LOCALHOST).to_be();
        let mut size = size_of_val(&address) as u32;
        let at = (&raw mut address).cast::<libc::sockaddr>();
        let [listener, near] = [(); 2].map(|()| {
            let fd = libc::socket(libc::AF_INET, kind, 0);
            let room: c_int = 4096;
            for buffer in [libc::SO_SNDBUF, libc::SO_RCVBUF] {
                let value = (&raw const room).cast();
                assert_eq!(libc::setsockopt(fd, libc::SOL_SOCKET, buffer, value, size_of_val(&room) as u32), 0);
            }
            fd
        });
        assert_eq!(libc::bind(listener, at, size) | libc::listen(listener, 1), 0);
        assert_eq!(libc::getsockname(listener, at, &raw mut size), 0);
        assert_eq!(libc::connect(near, at, size), 0);
        let far = libc::accept4(listener, std::ptr::null_mut(), std::ptr::null_mut(), libc::SOCK_CLOEXEC);
        sys::close(listener).expect("close");
        [near, far].map(|fd| {
            sys::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK as usize).expect("F_SETFL");
            signal_numbers::note_made(fd)
        })
    }
}

/// A write of another process, which no hook sees.
pub fn write_unseen(fd: c_int, bytes: &[u8]) {
    step();
    scheduler::drain();
    assert_eq!(sys::write(fd, bytes), Ok(bytes.len()));
}

fn libc_answer(result: Result<usize, nix::errno::Errno>) -> isize {
    result.map_or_else(
        |errno| {
            sys::set_errno(errno);
            -1
        },
        usize::cast_signed,
    )
}

pub fn write(fd: c_int, bytes: &[u8]) -> isize {
    hooks::writing(
        fd,
        || bytes.len(),
        || {
            step();
            scheduler::drain();
            libc_answer(sys::write(fd, bytes))
        },
    )
}

/// Reads a single byte.
pub fn read_one(fd: c_int) -> isize {
    read::<1>(fd)
}

/// Reads with room for more than is there.
pub fn read_short(fd: c_int) -> isize {
    read::<8>(fd)
}

fn read<const ROOM: usize>(fd: c_int) -> isize {
    let mut bytes = [0; ROOM];
    hooks::receiving(
        fd,
        0,
        || ROOM,
        || {
            step();
            scheduler::drain();
            libc_answer(sys::read(fd, &mut bytes))
        },
    )
}

/// Adds one to an eventfd.
pub fn ring(bell: c_int) {
    assert_eq!(write(bell, &1u64.to_ne_bytes()), 8);
}

pub fn close(fd: c_int) {
    close::forget_from_anywhere(fd);
    step();
    scheduler::drain();
    sys::close(fd).expect("close");
}

/// Another number for the description.
pub fn dup(fd: c_int) -> c_int {
    dup::expect_duplicate(fd, None).expect("room for a number");
    let second = sys::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0).expect("a free number");
    signal_numbers::forget(second);
    dup::duplicated(fd, second).expect("a number");
    second
}

/// Waits for the end of all threads.
pub fn join_all<const N: usize>(threads: [Joinable; N]) {
    threads.into_iter().for_each(Joinable::join);
}

/// An instance with an eventfd, edge-triggered.
pub fn watched_bell() -> (i32, i32) {
    let (ep, bell) = (create(), eventfd());
    add(ep, bell, IN | ET, 1);
    (ep, bell)
}

/// Leaves the level high and reported, so that only a hook can report another edge.
pub fn report_once(ep: i32, bell: i32) {
    ring(bell);
    wait_for_one(ep);
}

/// Waits until all adds are reported; each report counts for the adds before it.
pub fn hear(ep: i32, told: &Count, all: u32) {
    let mut heard = 0;
    while heard < all {
        wait_for_one(ep);
        heard = told.get();
    }
}

/// Ends a model: closes everything, and checks that nothing is left.
pub fn end(descriptors: impl IntoIterator<Item = i32>) {
    descriptors.into_iter().for_each(close);
    nothing_is_left();
}

/// Ends a model, when everything is closed: checks that no record is in use.
pub fn nothing_is_left() {
    assert_eq!((epitem::in_use(), file::in_use(), eventpoll::in_use()), (0, 0, 0), "registrations, files, instances");
}

/// A counter for the model itself, whose operations are not steps.
#[derive(Debug, Default)]
pub struct Count(AtomicU32);

impl Count {
    pub const fn new() -> Count {
        Count(AtomicU32::new(0))
    }

    pub fn get(&self) -> u32 {
        self.0.load(SeqCst)
    }

    pub fn set(&self, value: u32) {
        self.0.store(value, SeqCst);
    }

    pub fn add(&self) -> u32 {
        self.0.fetch_add(1, SeqCst) + 1
    }
}
