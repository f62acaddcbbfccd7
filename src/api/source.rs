//! Readiness sources: descriptors whose level the program itself sets, in memory.
//!
//! A source is never polled. What is posted is a level of the description; each post is a wake-up, of which the registrations are told as of
//! what a witness saw (`edge.rs`), and before each sleep a wait compares what it would report with what is posted
//! (`EpState::refresh`). The descriptor itself is an eventfd that reads as readable while EPOLLIN is posted, for whoever polls it without us.

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

/// What can be posted.
const POSTABLE: u32 = (IN | PRI | OUT | ERR | HUP | RDHUP) as u32;

/// A new source, with nothing posted. `flags` may be EPOLL_CLOEXEC. Answers with its descriptor.
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
    // A number known here whose descriptor was closed behind our back is free for the new one.
    close::forget(fd);
    let file = File::create()?;
    file.become_source();
    if let Ok(stat) = sys::fstat(fd) {
        file.mark((stat.st_dev, stat.st_ino));
    }
    lookup::enter(file, fd).inspect_err(|_| file.retire())
}

/// A source while it is looked at or changed: whoever is to close its number waits for the end of that, so the record is the source's all the while.
struct InUse {
    file: &'static File,
    source: Source<'static>,
    fd: c_int,
}

impl InUse {
    /// None if the file is not a source.
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

    /// Makes the descriptor readable, or not, as the level is. Two that are at it at once, or a signal handler and whom it interrupted, come
    /// to the same end: each goes on until what it did is right. Once the number is no longer the source's it is left alone.
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
        // In a forked child nobody is in here, but perhaps who comes back out of a signal handler.
        let _ = self.source.users().fetch_update(SeqCst, Relaxed, |users| users.checked_sub(1));
        // Who waits for that has taken the number away first.
        if !self.has_its_number() {
            sync::futex_wake(self.source.users(), i32::MAX);
        }
    }
}

/// Whether a number that was a source's still is: it may have been closed behind our back, and what is open under it now is not to be written to.
/// Without libc's names any close is one behind our back, so the kernel is asked each time. A name takes longer, and is asked for now and then.
fn is_still(file: &File, fd: c_int) -> bool {
    let is_open = cfg!(feature = "interpose")
        || match sys::fstat(fd) {
            Ok(stat) => file.is_marked_as((stat.st_dev, stat.st_ino)),
            // Where the question is not allowed the answer is not no.
            Err(errno) => errno != Errno::EBADF,
        };
    let is_named = is_open && file.is_likely_named_by(fd, false);
    if !is_named {
        // No is no answer that holds for a while.
        file.check_anew();
    }
    is_named
}

/// The levels that events stand for: data and room have two names each. EINVAL for none, and for what cannot be posted.
fn levels_of(events: u32) -> Result<Bits, Errno> {
    if events == 0 || events & !POSTABLE != 0 {
        return Err(Errno::EINVAL);
    }
    let events = events as Bits;
    let data = if events & IN != 0 { RDNORM } else { 0 };
    let room = if events & OUT != 0 { WRNORM } else { 0 };
    Ok(events | data | room)
}

/// Raises levels, and wakes those who wait for one of them. Never waits, so it may be called in signal handlers.
pub fn post(fd: c_int, events: u32) -> Result<(), Errno> {
    let levels = levels_of(events)?;
    let source = InUse::find(fd)?;
    let file = source.file;
    if levels & !source.source.raise(levels) & IN != 0 {
        source.show();
    }
    // Who finds it ready next may have it, whoever of several exclusive registrations had what was there before.
    file.claim().lapse();
    // Not before the levels are there: a report that came first saw them, and is not to be made again.
    file.tell(Facts::posted(levels), file.begin_call());
    Ok(())
}

/// Lowers levels. As safe as `post`.
pub fn clear(fd: c_int, events: u32) -> Result<(), Errno> {
    let levels = levels_of(events)?;
    let source = InUse::find(fd)?;
    if source.source.lower(levels) & levels & IN != 0 {
        source.show();
    }
    Ok(())
}

/// What is posted.
pub fn posted(fd: c_int) -> Result<u32, Errno> {
    Ok(u32::from(InUse::find(fd)?.source.posted()) & POSTABLE)
}

/// Whether the descriptor is a source: EBADF or EINVAL if not.
pub fn check(fd: c_int) -> Result<(), Errno> {
    InUse::find(fd).map(|_| ())
}

/// In a forked child: what the descriptors of sources show is this process's own from here on.
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
