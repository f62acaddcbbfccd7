//! Hooks of the calls on pipes that affect more than the descriptor they name: the other end, and
//! other descriptions of a FIFO.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use arrayvec::ArrayVec;
use libc::c_int;
use nix::errno::Errno;

use super::reading::{Amount, Packet, error_of, length_of, next_packet, receiving, report_read, unless_failed};
use super::writing::{report_write, sending};
use super::{report_failure, watched};
use crate::edge::Facts;
use crate::events::WRITABLE;
use crate::graph::file::{File, MOST_ENDS, Taking};
use crate::kind::Kind;
use crate::lock;
use crate::probe::observe;
use crate::sys;

/// Reports that a call took bytes from a FIFO. The FIFO may be open under several descriptions, and
/// all of them count the bytes as taken.
#[cold]
pub(super) fn report_fifo_read(fd: c_int, bytes: u64, taking: Option<Taking>) {
    let ends = watched_ends(fd).filter(|file| file.reads());
    ends.clone().for_each(|file| file.consume(bytes));
    drop(taking);
    ends.for_each(|file| file.tell(Facts::READ_ALL, file.begin_call()));
}

/// Reports a FIFO that is full after a write. The waiters under other descriptions did not see the
/// write.
#[cold]
pub(super) fn report_full_fifo(fd: c_int) {
    if sys::level(fd, WRITABLE) & WRITABLE == 0 {
        watched_ends(fd)
            .filter(|file| file.writes())
            .for_each(|file| observe::refused_write(file, fd, file.begin_call()));
    }
}

/// Prepares a write to a pipe that may be a FIFO. If space was freed since the FIFO was full, the
/// write may fill it again before the waiters under other descriptions have seen the space.
#[inline]
pub(super) fn report_fifo_space(fd: c_int) {
    if File::any_fifo_edges() {
        note_departures_elsewhere(fd);
    }
}

#[cold]
fn note_departures_elsewhere(fd: c_int) {
    watched_ends(fd).filter(|file| file.writes()).for_each(|file| observe::before_write(file, fd));
}

/// Reports the effects of a call on either end of a pipe to its watched ends; `fd` is one of the
/// ends.
#[cold]
pub(super) fn wake_pipe(fd: c_int, ends: fn(&File) -> bool, facts: Facts) {
    watched_ends(fd).filter(|file| ends(file)).for_each(|file| file.tell(facts, file.begin_call()));
}

/// The watched ends of a pipe that a call in progress wakes.
struct Waking(ArrayVec<(&'static File, u32), MOST_ENDS>);

impl Waking {
    /// Finds the watched ends of the pipe that `fd` is an end of. There are none if no pipe has
    /// edge-triggered registrations.
    #[inline]
    fn begin(fd: c_int, ends: fn(&File) -> bool) -> Waking {
        if File::any_pipe_edges() { Waking::begin_at_pipe(fd, ends) } else { Waking(ArrayVec::new()) }
    }

    #[cold]
    fn begin_at_pipe(fd: c_int, ends: fn(&File) -> bool) -> Waking {
        Waking(watched_ends(fd).filter(|file| ends(file)).map(|file| (file, file.begin_call())).collect())
    }

    /// Reports that the call has woken them.
    fn tell(self) {
        self.0.into_iter().for_each(|(file, at)| file.tell(Facts::WAKE_ALL, at));
    }
}

/// The watched ends of the pipe that `fd` is an end of. There are none in a signal handler that
/// interrupted this library, because the search takes a lock.
fn watched_ends(fd: c_int) -> impl Iterator<Item = &'static File> + Clone {
    let stat = if lock::interrupted() { None } else { sys::fstat(fd).ok() };
    let pipe = stat.filter(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFIFO);
    pipe.into_iter().flat_map(|stat| File::of_inode(stat.st_ino))
}

/// The reason why a call that moves data between two descriptors ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// It moved as much as it was asked to.
    Done,
    /// The source was empty or failed.
    Source,
    /// The sink was full or failed.
    Sink,
}

/// A call in progress that moves data between two descriptors.
struct Transfer {
    from: c_int,
    to: c_int,
    /// The descriptions with edge-triggered registrations, and their clocks when the call began.
    source: Option<(&'static File, u32)>,
    sink: Option<(&'static File, u32)>,
    asked: usize,
    /// Whether the call takes the data from the source: tee(2) does not.
    takes: bool,
    taking: Option<Taking>,
    packet: Packet,
    readers: Waking,
    writers: Option<Waking>,
}

impl Transfer {
    fn begin(
        (from, source): (c_int, Option<&'static File>),
        (to, sink): (c_int, Option<&'static File>),
        asked: usize,
        takes: bool,
    ) -> Transfer {
        let begin = |file: &'static File| (file, file.begin_call());
        let (source, sink) = (source.map(begin), sink.map(begin));
        if let Some((sink, _)) = sink {
            observe::before_write(sink, to);
        }
        report_fifo_space(to);
        let readers = Waking::begin(to, File::reads);
        let writers = takes.then(|| Waking::begin(from, File::writes));
        let taken_from = source.filter(|_| takes).map(|(file, _)| file);
        let taking = taken_from.map(File::begin_taking);
        let packet = taken_from.and_then(|source| next_packet(source, from));
        Transfer { from, to, source, sink, asked, takes, taking, packet, readers, writers }
    }

    /// The reason why the call, which returned `n`, ended.
    fn stop(&self, n: isize) -> Stop {
        if n >= 0 && n.unsigned_abs() >= self.asked {
            Stop::Done
        } else if self.is_error_of_source(n) || sys::ioctl_int(self.from, libc::FIONREAD) == Ok(0) {
            Stop::Source
        } else {
            Stop::Sink
        }
    }

    /// Whether the call returned an error of the source. At most one of the two files is a socket,
    /// and the error comes from it. Only EPIPE is the error of a pipe that is the sink.
    fn is_error_of_source(&self, n: isize) -> bool {
        let errno = sys::last_errno();
        if n >= 0 || errno == Errno::EAGAIN {
            return false;
        }
        let is_pipe = |(file, _): (&File, u32)| file.kind().is_pipe();
        self.source.is_some_and(|source| !is_pipe(source)) || self.sink.is_some_and(is_pipe) && errno != Errno::EPIPE
    }

    /// Reports the effects of the call, which returned `n`.
    fn end(mut self, n: isize) {
        let stop = self.stop(n);
        if self.takes {
            self.end_take(n, stop);
        }
        self.end_write(n, stop);
        // A splice wakes the writers of the pipe that it takes from, whether or not that was full,
        // and the readers of the pipe that it adds to.
        if n > 0 {
            self.readers.tell();
            if File::any_fifo_edges() {
                report_full_fifo(self.to);
            }
            if let Some(writers) = self.writers {
                writers.tell();
            }
        }
    }

    /// Reports the effects on the source.
    fn end_take(&mut self, n: isize, stop: Stop) {
        let taking = self.taking.take();
        match (self.source, u64::try_from(n)) {
            (Some((source, at)), Ok(n)) => {
                let amount = Amount::of_one(n.max(length_of(self.packet)));
                report_read(source, self.from, at, stop == Stop::Done, amount, taking);
            }
            (Some((source, at)), Err(_)) => {
                drop(taking);
                if stop == Stop::Source {
                    report_failure(source, self.from, at, Facts::READ_EAGAIN);
                }
            }
            (None, Ok(1..)) if File::any_fifo_edges() => report_fifo_read(self.from, n.unsigned_abs() as u64, None),
            (None, _) => {}
        }
    }

    /// Reports the effects on the sink. A splice that returned 0 met the end of the source,
    /// whatever FIONREAD returns there.
    fn end_write(&self, n: isize, stop: Stop) {
        let Some((sink, at)) = self.sink else { return };
        if n == 0 || n < 0 && (stop == Stop::Source || error_of(self.packet).is_some()) {
            return;
        }
        let may_fill = matches!(sink.kind(), Kind::Pipe | Kind::Fifo | Kind::Tcp);
        let is_short = stop != Stop::Done && n > 0;
        let is_full = may_fill && is_short && sys::level(self.to, WRITABLE) & WRITABLE == 0;
        // A pipe takes less than it was offered for other reasons, too.
        let is_all = (stop == Stop::Source || sink.kind().is_pipe() && n > 0) && !is_full;
        report_write(sink, self.to, at, n, if is_all { n.unsigned_abs() } else { self.asked });
    }
}

/// Makes a call that moves data between two descriptors.
#[inline]
pub fn moving(from: c_int, to: c_int, asked: usize, takes: bool, call: impl FnOnce() -> isize) -> isize {
    let (source, sink) = (watched(from), watched(to));
    if asked == 0 || (source.is_none() && sink.is_none() && !File::any_pipe_edges()) {
        return call();
    }
    let transfer = Transfer::begin((from, source), (to, sink), asked, takes);
    let n = unless_failed(transfer.packet, call);
    transfer.end(n);
    n
}

/// Makes a vmsplice(2) call, which adds to a pipe or takes from it, depending on the end.
#[inline]
pub fn splicing_memory(fd: c_int, asked: impl Fn() -> usize, mut call: impl FnMut() -> isize) -> isize {
    if watched(fd).is_none() && !File::any_pipe_edges() {
        return call();
    }
    let reads = sys::fcntl(fd, libc::F_GETFL, 0).is_ok_and(|flags| flags & libc::O_ACCMODE == libc::O_RDONLY);
    let waking = Waking::begin(fd, if reads { File::writes } else { File::reads });
    if !reads {
        report_fifo_space(fd);
    }
    let n = if reads { receiving(fd, 0, asked, call) } else { sending(fd, 0, asked, call) };
    if n > 0 {
        waking.tell();
        if File::any_fifo_edges() && !reads {
            report_full_fifo(fd);
        } else if File::any_fifo_edges() && watched(fd).is_none() {
            report_fifo_read(fd, n.unsigned_abs() as u64, None);
        }
    }
    n
}

/// Makes a sendfile(2) call of `n` bytes. Data that it moves into a pipe wakes the readers, as a
/// splice does.
#[inline]
pub fn sending_file(out: c_int, n: usize, call: impl FnOnce() -> isize) -> isize {
    if n == 0 {
        return call();
    }
    let waking = Waking::begin(out, File::reads);
    report_fifo_space(out);
    let sent = sending(out, 0, || n, call);
    if sent > 0 {
        waking.tell();
        if File::any_fifo_edges() {
            report_full_fifo(out);
        }
    }
    sent
}

/// Whether any pipe may be in packet mode (O_DIRECT). The read end does not show which one is.
static ANY_PACKETS: AtomicBool = AtomicBool::new(false);

/// Notes that a pipe is made with these flags, or that an end of it gets them.
#[inline]
pub fn keeping_packets(flags: c_int) {
    if flags & libc::O_DIRECT != 0 {
        ANY_PACKETS.store(true, Relaxed);
    }
}

/// Whether the file may hold separate packets. A read into a buffer that is too small discards the
/// rest of the packet.
pub(super) fn may_keep_packets(file: &File) -> bool {
    file.kind() == Kind::UnixSeqpacket || file.kind().is_pipe() && ANY_PACKETS.load(Relaxed)
}

/// Reports that a pipe was resized, which wakes its writers.
pub fn resized_pipe(fd: c_int) {
    if File::any_pipe_edges() {
        wake_pipe(fd, File::writes, Facts::WAKE_ALL);
    }
}
