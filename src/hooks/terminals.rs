//! Hooks of the terminal controls, which discard input or wake the waiters at either end of a
//! pseudo-terminal, and of changes of a signalfd's mask, which wake all signalfds of the process.

use libc::c_int;

use crate::edge::Facts;
use crate::events::{IN, WRITABLE};
use crate::graph::fdtable::{self, Entry};
use crate::graph::file::{File, Taking};
use crate::graph::lookup;
use crate::kind::Kind;
use crate::sys;

/// The effect of a control on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Control {
    /// Discards its input, which makes space at the other end.
    Flushes,
    /// Sets the modes of the slave, whichever end the call names, and wakes all waiters there. True
    /// if it also discards the slave's input.
    Sets(bool),
    /// Wakes all waiters there.
    Wakes,
    /// Restarts output.
    Starts,
    /// Sends a character to the other end.
    Sends,
}

/// The requests that set modes. The two requests that follow each in number also wait for the
/// output; the second also discards the input.
const SETS: [libc::Ioctl; 3] = [libc::TCSETS, libc::TCSETA, 0x402c_542b];

impl Control {
    fn of(request: libc::Ioctl, argument: usize) -> Option<Control> {
        // The kernel takes 32 bits.
        let request = request as u32 as libc::Ioctl;
        let flushes = [libc::TCIFLUSH, libc::TCIOFLUSH].contains(&(argument as c_int));
        match (request, argument as c_int) {
            (libc::TCFLSH, _) if flushes => Some(Control::Flushes),
            (libc::TCXONC, libc::TCOON) => Some(Control::Starts),
            (libc::TCXONC, libc::TCIOFF | libc::TCION) => Some(Control::Sends),
            (libc::TIOCSETD, _) => Some(Control::Wakes),
            _ => {
                let behind =
                    SETS.iter().filter_map(|&sets| request.checked_sub(sets)).find(|behind| (0..=2).contains(behind));
                behind.map(|behind| Control::Sets(behind == 2))
            }
        }
    }
}

/// One end of a terminal: the device, and whether it is the master.
type End = (c_int, bool);

fn end_of(fd: c_int) -> Option<End> {
    const TIOCGDEV: libc::Ioctl = 0x8004_5432_u32 as libc::Ioctl;
    let device = sys::ioctl_int(fd, TIOCGDEV).ok()?;
    Some((device, sys::ioctl_int(fd, libc::TIOCGPTN).is_ok()))
}

/// The descriptions of a kind that have edge-triggered registrations, each with a descriptor
/// number.
fn watched_of(is_wanted: impl Fn(Kind) -> bool) -> impl Iterator<Item = (c_int, &'static File)> {
    fdtable::entries(0, u32::MAX).filter_map(move |(fd, entry)| match entry {
        Entry::File(file) if file.has_edges() && is_wanted(file.kind()) => Some((fd, file)),
        _ => None,
    })
}

/// A terminal whose input is about to be discarded.
struct Flushing {
    file: &'static File,
    fd: c_int,
    queued: c_int,
    taking: Taking,
}

impl Flushing {
    fn begin(file: &'static File, fd: c_int) -> Flushing {
        let taking = file.begin_taking();
        Flushing { file, fd, queued: sys::ioctl_int(fd, libc::FIONREAD).unwrap_or(0), taking }
    }

    fn end(self, at: u32) {
        let left =
            if sys::level(self.fd, IN) & IN == 0 { 0 } else { sys::ioctl_int(self.fd, libc::FIONREAD).unwrap_or(0) };
        let gone = u64::try_from(self.queued - left).unwrap_or(0);
        self.file.consume(gone);
        drop(self.taking);
        // Input that came since the last report has woken the waiters, whether it is still there or
        // not.
        self.file.tell(if gone > 0 { Facts::SHORT_READ | Facts::READ_EAGAIN } else { Facts::READ_EAGAIN }, at);
    }
}

/// Makes an ioctl(2) call on a descriptor that may be a terminal.
#[inline]
pub fn controlling(fd: c_int, request: libc::Ioctl, argument: usize, call: impl FnOnce() -> c_int) -> c_int {
    match Control::of(request, argument) {
        Some(control) if File::any_edges() && lookup::follows_calls() => concerned_control(fd, control, call),
        _ => call(),
    }
}

#[cold]
fn concerned_control(fd: c_int, control: Control, call: impl FnOnce() -> c_int) -> c_int {
    let Some((device, is_master)) = end_of(fd) else { return call() };
    let own = (device, is_master && !matches!(control, Control::Sets(_)));
    let other = (device, !own.1);
    let stopped = sys::level(fd, WRITABLE) & WRITABLE == 0;
    let answer;
    {
        // Each description of an end has its own edges, but the queue is shared: the first
        // description found stands for it.
        let mut flushing = None;
        if matches!(control, Control::Flushes | Control::Sets(true)) {
            let found = watched_of(|kind| kind == Kind::Tty).find(|(fd, _)| end_of(*fd) == Some(own));
            flushing = found.map(|(fd, file)| (file.begin_call(), Flushing::begin(file, fd)));
        }
        answer = call();
        if let Some((at, flushing)) = flushing {
            flushing.end(at);
        }
    }
    if answer == 0 {
        let nothing = Facts::empty();
        let (here, there) = match control {
            Control::Flushes => (Facts::READ_EAGAIN, Facts::SPACE_FREED),
            Control::Sets(_) | Control::Wakes => (Facts::WAKE_ALL, nothing),
            Control::Starts if stopped => (Facts::SPACE_FREED, nothing),
            Control::Starts => (nothing, nothing),
            Control::Sends => (Facts::WROTE, nothing),
        };
        tell_ends(own, here);
        tell_ends(other, there);
    }
    answer
}

fn tell_ends(end: End, facts: Facts) {
    if !facts.is_empty() {
        let ends = watched_of(|kind| kind == Kind::Tty).filter(|(fd, _)| end_of(*fd) == Some(end));
        ends.for_each(|(_, file)| file.tell(facts, file.begin_call()));
    }
}

/// Makes a call that changes the mask of a signalfd, which wakes all signalfds of the process.
pub fn masking_signals(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let answer = call();
    if fd >= 0 && answer >= 0 && File::any_signal_edges() && lookup::follows_calls() {
        watched_of(|kind| kind == Kind::Signalfd).for_each(|(_, file)| file.tell(Facts::WAKE_ALL, file.begin_call()));
    }
    answer
}
