//! Calls on pipes that reach further than the descriptor they name: to the other end, and to other descriptions of a FIFO.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use libc::c_int;
use nix::errno::Errno;

use super::reading::{Amount, error_of, length_of, next_packet, receiving, took, unless_failed};
use super::room::{Passage, passing};
use super::writing::{gave, sending};
use super::{refused, watched};
use crate::edge::Facts;
use crate::events::WRITABLE;
use crate::graph::file::{File, MOST_ENDS, Taking, Tcp};
use crate::kind::Kind;
use crate::lock;
use crate::probe::observe;
use crate::probe::sample;
use crate::sys;

/// Bytes were taken from a FIFO, which may be open under several descriptions: all of them count what is taken.
#[cold]
pub(super) fn took_beside(fd: c_int, bytes: u64, taking: Option<Taking>) {
    let ends = watched_ends(fd).filter(|file| file.reads());
    ends.clone().for_each(|file| file.consume(bytes));
    drop(taking);
    ends.for_each(|file| file.tell(Facts::READ_ALL, file.begin_call()));
}

/// A FIFO is full after a write: those who wait for room under other descriptions did not see it.
#[cold]
pub(super) fn filled_beside(fd: c_int) {
    if sys::level(fd, WRITABLE) & WRITABLE == 0 {
        watched_ends(fd)
            .filter(|file| file.writes())
            .for_each(|file| observe::refused_write(file, fd, file.begin_call()));
    }
}

/// Before a write to what may be a FIFO: room that was made in it since it was full may be gone afterwards, and those who wait for room
/// under other descriptions not have seen it.
#[inline]
pub(super) fn relieved_beside(fd: c_int) {
    if File::any_fifo_edges() {
        note_departures_beside(fd);
    }
}

#[cold]
fn note_departures_beside(fd: c_int) {
    watched_ends(fd).filter(|file| file.writes()).for_each(|file| observe::before_write(file, fd));
}

/// Tells the watched ends of a pipe, of which `fd` is one, what a call on either end did to them.
#[cold]
pub(super) fn wake_pipe(fd: c_int, ends: fn(&File) -> bool, facts: Facts) {
    watched_ends(fd).filter(|file| ends(file)).for_each(|file| file.tell(facts, file.begin_call()));
}

/// A call that wakes watched ends of a pipe and is yet to begin.
struct Waking([Option<(&'static File, u32)>; MOST_ENDS]);

impl Waking {
    /// Of the pipe of which `fd` is an end; nobody if nobody waits for edges of pipes.
    #[inline]
    fn begin(fd: c_int, ends: fn(&File) -> bool) -> Waking {
        if File::any_pipe_edges() { Waking::begin_at_pipe(fd, ends) } else { Waking([None; MOST_ENDS]) }
    }

    #[cold]
    fn begin_at_pipe(fd: c_int, ends: fn(&File) -> bool) -> Waking {
        let mut found = watched_ends(fd).filter(|file| ends(file)).map(|file| (file, file.begin_call()));
        Waking([(); MOST_ENDS].map(|()| found.next()))
    }

    /// It is done, and has woken them.
    fn tell(self) {
        self.0.into_iter().flatten().for_each(|(file, at)| file.tell(Facts::WAKE_ALL, at));
    }
}

/// The watched ends of a pipe, of which `fd` is one; none in a handler that interrupted this library, for they are found under a
/// lock.
fn watched_ends(fd: c_int) -> impl Iterator<Item = &'static File> + Clone {
    let stat = if lock::interrupted() { None } else { sys::fstat(fd).ok() };
    let pipe = stat.filter(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFIFO);
    pipe.into_iter().flat_map(|stat| File::of_inode(stat.st_ino))
}

/// A call that moves data between two descriptors. If it stopped short the input tells whether it was for want of data or of
/// room.
#[inline]
pub fn moving(from: c_int, to: c_int, asked: usize, takes: bool, call: impl FnOnce() -> isize) -> isize {
    let (source, sink) = (watched(from), watched(to));
    if asked == 0 || (source.is_none() && sink.is_none() && !File::any_pipe_edges()) {
        return call();
    }
    let begun = [source, sink].map(|file| file.map_or(0, File::begin_call));
    if let Some(sink) = sink {
        observe::before_write(sink, to);
    }
    relieved_beside(to);
    let (readers, writers) = (Waking::begin(to, File::reads), takes.then(|| Waking::begin(from, File::writes)));
    let taken_from = source.filter(|_| takes);
    let taking = taken_from.map(File::begin_taking);
    let packet = taken_from.and_then(|source| next_packet(source, from));
    let passage = sink.and_then(|sink| Passage::of_pages(sink, to, asked));
    let n = passing(passage, || unless_failed(packet, call));
    let failed = n < 0 && sys::last_errno() != Errno::EAGAIN;
    let is_pipe = |file: &File| file.kind().is_pipe();
    // An error is the socket's, of which there is one at most; what a pipe has for output is EPIPE.
    let of_source = failed
        && (source.is_some_and(|file| !is_pipe(file))
            || sink.is_some_and(is_pipe) && sys::last_errno() != Errno::EPIPE);
    let short = n < 0 || n.unsigned_abs() < asked;
    let ran_dry = short && sys::ioctl_int(from, libc::FIONREAD) == Ok(0);
    if takes && source.is_none() && n > 0 && File::any_fifo_edges() {
        took_beside(from, n.unsigned_abs() as u64, None);
    }
    if let Some(source) = taken_from {
        match u64::try_from(n) {
            Ok(n) => took(source, from, begun[0], !short, Amount::of_one(n.max(length_of(packet))), taking),
            Err(_) => {
                drop(taking);
                if ran_dry || of_source {
                    refused(source, from, begun[0], Facts::READ_EAGAIN);
                }
            }
        }
    }
    // A splice of nothing met the end of the source, whatever FIONREAD says of that.
    if let Some(sink) = sink
        && n != 0
        && !(n < 0 && (ran_dry || of_source || error_of(packet).is_some()))
    {
        if let Some(udp) = sink.udp().filter(|_| sample::is_corked(sink, to)) {
            udp.note_corked(true);
        } else {
            let stuck = matches!(sink.kind(), Kind::Pipe | Kind::Fifo | Kind::Tcp)
                && short
                && n > 0
                && sys::level(to, WRITABLE) & WRITABLE == 0;
            let dry = ran_dry || sink.kind().is_pipe() && n > 0;
            gave(sink, to, begun[1], n, if dry && !stuck { n.unsigned_abs() } else { asked });
        }
    }
    // What is spliced out of a pipe wakes its writers, full or not, and what is spliced into one its readers.
    if n > 0 {
        readers.tell();
        if File::any_fifo_edges() {
            filled_beside(to);
        }
        if let Some(writers) = writers {
            writers.tell();
        }
    }
    n
}

/// A call that fills a pipe, or empties it, as its end is.
#[inline]
pub fn splicing_memory(fd: c_int, asked: impl Fn() -> usize, mut call: impl FnMut() -> isize) -> isize {
    if watched(fd).is_none() && !File::any_pipe_edges() {
        return call();
    }
    let reads = sys::fcntl(fd, libc::F_GETFL, 0).is_ok_and(|flags| flags & libc::O_ACCMODE == libc::O_RDONLY);
    let waking = Waking::begin(fd, if reads { File::writes } else { File::reads });
    if !reads {
        relieved_beside(fd);
    }
    let n = if reads { receiving(fd, 0, asked, call) } else { sending(fd, 0, asked, call) };
    if n > 0 {
        waking.tell();
        if File::any_fifo_edges() && !reads {
            filled_beside(fd);
        } else if File::any_fifo_edges() && watched(fd).is_none() {
            took_beside(fd, n.unsigned_abs() as u64, None);
        }
    }
    n
}

/// sendfile(2) of `n` bytes. What it puts into a pipe wakes the readers as a splice does.
#[inline]
pub fn sending_file(out: c_int, n: usize, call: impl FnOnce() -> isize) -> isize {
    if n == 0 {
        return call();
    }
    let waking = Waking::begin(out, File::reads);
    relieved_beside(out);
    // One that waits for room is looked at as any write that does.
    let passage = watched(out)
        .filter(|file| !file.tcp().is_some_and(Tcp::blocks))
        .and_then(|file| Passage::of_pages(file, out, n));
    let sent = passing(passage, || sending(out, 0, || n, call));
    if sent > 0 {
        waking.tell();
        if let Some(udp) = watched(out).filter(|file| sample::is_corked(file, out)).and_then(File::udp) {
            udp.note_corked(true);
        }
        if File::any_fifo_edges() {
            filled_beside(out);
        }
    }
    sent
}

/// Some pipe may keep packets apart. Which one does not show at the end where they are read.
static ANY_PACKETS: AtomicBool = AtomicBool::new(false);

/// A pipe is made with these flags, or an end of it gets them.
#[inline]
pub fn keeping_packets(flags: c_int) {
    if flags & libc::O_DIRECT != 0 {
        ANY_PACKETS.store(true, Relaxed);
    }
}

/// Whether packets may be kept apart in it: what is read of one into too small a buffer is all that is left of it.
pub(super) fn may_keep_packets(file: &File) -> bool {
    file.kind() == Kind::UnixSeqpacket || file.kind().is_pipe() && ANY_PACKETS.load(Relaxed)
}

/// A pipe gets another size, which wakes its writers.
pub fn resized_pipe(fd: c_int) {
    if File::any_pipe_edges() {
        wake_pipe(fd, File::writes, Facts::WAKE_ALL);
    }
}
