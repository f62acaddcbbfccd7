//! Readiness sources: descriptors whose level the program sets, in memory. Kernel counterpart: the
//! file of a driver that sets its level and calls `wake_up_poll`.
//!
//! No poll finds the level of a source. A post raises levels of the description and is a wake-up:
//! the registrations get the posted events as facts, as from a hook. Before each sleep a wait
//! compares the posted levels with those that it would report (`EpState::refresh`). The descriptor
//! is an eventfd that is readable while EPOLLIN is posted, for programs that poll it without this
//! library.

use std::ptr;

use libc::c_int;
use nix::errno::Errno;

use crate::edge::Facts;
use crate::events::{Bits, ERR, HUP, IN, OUT, PRI, RDHUP, RDNORM, WRNORM};
use crate::fork_mark;
use crate::graph::file::{File, Source};
use crate::graph::lookup;
use crate::instance::close;
use crate::instance::open;
use crate::sync;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sys;

/// The events that can be posted.
const POSTABLE: u32 = (IN | PRI | OUT | ERR | HUP | RDHUP) as u32;

/// Creates a source with nothing posted. `flags` may be EPOLL_CLOEXEC. Returns its descriptor.
pub fn create(flags: c_int) -> Result<c_int, Errno> {
    open::begin_creation(flags)?;
    let fd = sys::eventfd()?;
    enter(fd, flags).inspect_err(|_| {
        let _ = sys::close(fd);
    })?;
    Ok(fd)
}

fn enter(fd: c_int, flags: c_int) -> Result<(), Errno> {
    if flags & libc::EPOLL_CLOEXEC == 0 {
        sys::fcntl(fd, libc::F_SETFD, 0)?;
    }
    // The number was free, so if it is known here, no hook saw its close.
    close::forget(fd);
    let file = File::create()?;
    file.become_source();
    if let Ok(stat) = sys::fstat(fd) {
        file.mark((stat.st_dev, stat.st_ino));
    }
    lookup::enter(file, fd).inspect_err(|_| file.retire())
}

/// A call that uses a source. A thread that closes the source's number waits until there is no such
/// call, so the record is not recycled during one.
struct InUse {
    file: &'static File,
    source: Source<'static>,
    fd: c_int,
}

impl InUse {
    /// `None` if the file is not a source.
    fn begin(file: &'static File, fd: c_int) -> Option<InUse> {
        let source = file.source()?;
        source.users().fetch_add(1, SeqCst);
        Some(InUse { file, source, fd })
    }

    /// The source behind a descriptor. EBADF for a closed number, EINVAL for anything else.
    fn find(fd: c_int) -> Result<InUse, Errno> {
        fork_mark::settle();
        let source = lookup::known(fd).and_then(|file| InUse::begin(file, fd));
        match source.filter(|source| source.has_its_number() && is_still(source.file, fd)) {
            Some(source) => Ok(source),
            None if sys::is_open(fd) => Err(Errno::EINVAL),
            None => Err(Errno::EBADF),
        }
    }

    fn has_its_number(&self) -> bool {
        lookup::known(self.fd).is_some_and(|now| ptr::eq(now, self.file))
    }

    /// Makes the descriptor readable if EPOLLIN is posted, and unreadable if not. Two threads that
    /// do this at once, or a signal handler and the code that it interrupted, reach the same
    /// result, because each repeats it until it is right. A number that is no longer the source's
    /// is left alone.
    fn show(&self) {
        while self.has_its_number() {
            let is_readable = self.source.posted() & IN;
            if is_readable != 0 {
                let _ = sys::write(self.fd, &1_u64.to_ne_bytes());
            } else {
                let _ = sys::read(self.fd, &mut [0; 8]);
            }
            if self.source.posted() & IN == is_readable {
                break;
            }
        }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        // A forked child has no users, unless a signal handler returns to one.
        let _ = self.source.users().fetch_update(SeqCst, Relaxed, |users| users.checked_sub(1));
        // A thread that waits for the users has removed the number first.
        if !self.has_its_number() {
            sync::futex_wake(self.source.users(), i32::MAX);
        }
    }
}

/// Whether a number still names its source. It may have been closed unseen, and the file that is
/// open under it now must not be written to. Without the interposed names every close is unseen, so
/// each call checks with fstat. The name of the file, which takes longer to read, is compared once
/// in a while.
fn is_still(file: &File, fd: c_int) -> bool {
    let is_open = cfg!(feature = "interpose")
        || match sys::fstat(fd) {
            Ok(stat) => file.is_marked_as((stat.st_dev, stat.st_ino)),
            // A refused fstat (seccomp) does not mean that the number is closed.
            Err(errno) => errno != Errno::EBADF,
        };
    let is_named = is_open && file.is_likely_named_by(fd, false);
    if !is_named {
        // A negative result must not be cached.
        file.check_anew();
    }
    is_named
}

/// The levels of events: EPOLLIN and EPOLLOUT are two bits each. EINVAL for 0, and for events that
/// cannot be posted.
fn levels_of(events: u32) -> Result<Bits, Errno> {
    if events == 0 || events & !POSTABLE != 0 {
        return Err(Errno::EINVAL);
    }
    let events = events as Bits;
    let data = if events & IN != 0 { RDNORM } else { 0 };
    let room = if events & OUT != 0 { WRNORM } else { 0 };
    Ok(events | data | room)
}

/// Raises levels, and wakes the threads that wait for one of them. It never waits, so a signal
/// handler may call it.
pub fn post(fd: c_int, events: u32) -> Result<(), Errno> {
    let levels = levels_of(events)?;
    let source = InUse::find(fd)?;
    let file = source.file;
    if levels & !source.source.raise(levels) & IN != 0 {
        source.show();
    }
    // Any exclusive registration may report the event, whichever one reported the last.
    file.claim().lapse();
    // After the levels are raised: a report in between has shown them, and must not be repeated.
    file.tell(Facts::posted(levels), file.begin_call());
    Ok(())
}

/// Lowers levels. A signal handler may call it.
pub fn clear(fd: c_int, events: u32) -> Result<(), Errno> {
    let levels = levels_of(events)?;
    let source = InUse::find(fd)?;
    if source.source.lower(levels) & levels & IN != 0 {
        source.show();
    }
    Ok(())
}

/// The posted events.
pub fn posted(fd: c_int) -> Result<u32, Errno> {
    Ok(u32::from(InUse::find(fd)?.source.posted()) & POSTABLE)
}

/// Returns EBADF or EINVAL if the descriptor is not a source.
pub fn check(fd: c_int) -> Result<(), Errno> {
    InUse::find(fd).map(|_| ())
}

/// Gives the sources new descriptors in a forked child.
pub fn renew_all_after_fork() {
    File::for_each(|file| {
        if let Some(source) = file.source() {
            renew(file, source);
        }
    });
}

fn renew(file: &'static File, source: Source<'static>) {
    source.users().store(0, Relaxed);
    let Ok(fresh) = sys::eventfd() else { return };
    let replaced = file.replace_under_all_numbers(fresh);
    let _ = sys::close(fresh);
    let shown = replaced.filter(|_| source.posted() & IN != 0);
    if let Some(in_use) = shown.and_then(|number| InUse::begin(file, number)) {
        in_use.show();
    }
}
