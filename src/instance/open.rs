//! The descriptor of an instance: the read end of a pipe, which is never writable (C4), is readable
//! exactly when a byte is in it (N1), and has an inode of its own. The inode identifies the
//! instance behind a number that no hook has seen. Kernel counterpart: `do_epoll_create`.

use libc::c_int;
use nix::errno::Errno;

use crate::fork_mark;
use crate::graph::eventpoll::{EVER, Eventpoll, INSTANCES, Pinned, any_yet, descriptor};
use crate::graph::file::{File, FileOps};
use crate::graph::lookup;
use crate::graph::outer::OuterLink;
use crate::graph::own_table;
use crate::instance::close;
use crate::instance::lifecycle;
use crate::instance::registration_limit;
use crate::lock;
use crate::sync;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sys;

/// Whether there has been an orphan, an instance without a known number.
static ANY_ORPHAN: AtomicBool = AtomicBool::new(false);

/// epoll_create1(2). `flags` may be EPOLL_CLOEXEC. Returns the descriptor.
///
/// The instance has the operations `ops`. It reports to `link` from the beginning, if there is one.
pub fn create(flags: c_int, ops: &'static FileOps, link: Option<&'static dyn OuterLink>) -> Result<c_int, Errno> {
    begin_creation(flags)?;
    if !EVER.swap(true, Relaxed) {
        registration_limit::read();
    }
    if ANY_ORPHAN.load(Relaxed) {
        Eventpoll::for_each(Eventpoll::reap);
    }
    let [epfd, signal] = sys::pipe2(libc::O_NONBLOCK | libc::O_CLOEXEC)?;
    let made = (|| {
        if flags & libc::EPOLL_CLOEXEC == 0 {
            sys::fcntl(epfd, libc::F_SETFD, 0)?;
        }
        // The number was free, so if it is known here, no hook saw its close.
        close::forget(epfd);
        let ep = INSTANCES.take()?;
        let Ok(file) = File::create() else {
            INSTANCES.give_back(ep);
            return Err(Errno::ENOMEM);
        };
        if let Err(errno) = ep.ensure_parts() {
            file.retire();
            INSTANCES.give_back(ep);
            return Err(errno);
        }
        ep.pins.store(1, Relaxed);
        ep.lock().become_new();
        ep.file.set(Some(file));
        ep.ops.set(Some(ops));
        ep.number.store(epfd, Relaxed);
        ep.orphan.store(false, Relaxed);
        ep.muted.store(false, Relaxed);
        ep.nonblocking.store(false, Relaxed);
        ep.params.store(0, Relaxed);
        ep.remember_pipe(file, epfd);
        file.set_eventpoll(ep);
        let entered = ep.signal.adopt(signal).and_then(|_| lookup::enter(file, epfd));
        entered.inspect_err(|_| {
            ep.signal.close();
            file.retire();
            INSTANCES.give_back(ep);
        })?;
        let mut st = ep.lock();
        if let Some(outer) = link {
            st.outer.link = link;
            outer.without_ring(ep, &mut st);
        }
        st.stats.begin_anew();
        Ok(())
    })();
    match made {
        Ok(()) => Ok(epfd),
        Err(errno) => {
            let _ = sys::close(epfd);
            Err(errno)
        }
    }
}

/// The common start of every call that creates an instance or a source. `flags` may be
/// EPOLL_CLOEXEC.
pub fn begin_creation(flags: c_int) -> Result<(), Errno> {
    if flags & !libc::EPOLL_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    if lock::interrupted() {
        // A signal handler cannot wait for the code that it interrupted.
        return Err(Errno::ENOMEM);
    }
    if own_table::is_unshared() {
        return Err(Errno::ENOSYS);
    }
    own_table::restore_marker();
    fork_mark::settle();
    Ok(())
}

/// The instance behind a descriptor, pinned. EBADF for a closed number, EINVAL for another file,
/// ENOSYS in a thread that has a descriptor table of its own.
#[inline(always)]
pub fn find(epfd: c_int) -> Result<Pinned, Errno> {
    fork_mark::settle();
    let known = lookup::known(epfd).filter(|file| file.was_checked(sys::coarse_ms()));
    match known.and_then(File::eventpoll).and_then(Eventpoll::pin) {
        Some(pinned) => Ok(pinned),
        None => find_anew(epfd),
    }
}

/// As [`find`], for a number that was not compared with its file a moment ago.
#[inline(never)]
fn find_anew(epfd: c_int) -> Result<Pinned, Errno> {
    if own_table::is_unshared() {
        return Err(if sys::is_usable(epfd) { Errno::ENOSYS } else { Errno::EBADF });
    }
    if let Some(file) = lookup::known(epfd)
        && let Some(ep) = file.eventpoll()
    {
        if file.is_likely_named_by(epfd, false) {
            return ep.pin().ok_or(Errno::EBADF);
        }
        // The number was closed unseen.
        close::vanished(file, epfd);
    }
    if !sys::is_usable(epfd) {
        return Err(Errno::EBADF);
    }
    let adopted = sys::fstat(epfd).ok().and_then(|stat| adopt(epfd, &stat));
    adopted.and_then(Eventpoll::pin).ok_or_else(|| refusal(epfd))
}

/// The errno for an open number that is not known as an instance's: EINVAL. A thread that closes an
/// instance forgets the number first, so if the number looks like that of a close in progress, the
/// close comes first, and the errno is EBADF.
#[cold]
fn refusal(fd: c_int) -> Errno {
    /// Longer than a close takes, unless a signal handler holds it up.
    const NAPS: u32 = 100;
    const NAP_NS: u32 = 1_000_000;
    for _ in 0..NAPS {
        if !is_left_by_instance(fd) {
            break;
        }
        sync::nap(NAP_NS);
    }
    if sys::is_usable(fd) { Errno::EINVAL } else { Errno::EBADF }
}

/// Whether a close in progress may have left the number: it has the pipe of an instance, or the end
/// that [`Eventpoll::has_other_numbers`] puts in its place.
fn is_left_by_instance(fd: c_int) -> bool {
    let Ok(stat) = sys::fstat(fd) else { return false };
    let is_write_end = || sys::fcntl(fd, libc::F_GETFL, 0).is_ok_and(|flags| flags & libc::O_ACCMODE == libc::O_WRONLY);
    may_be_instance(&stat) && (with_pipe(&stat).is_some() || (is_write_end() && !sync::has_reader(fd)))
}

fn may_be_instance(stat: &libc::stat) -> bool {
    any_yet() && stat.st_mode & libc::S_IFMT == libc::S_IFIFO && stat.st_dev == descriptor::device_of_pipes()
}

/// The instance that has this pipe.
fn with_pipe(stat: &libc::stat) -> Option<&'static Eventpoll> {
    let mut found = None;
    Eventpoll::for_each(|ep| found = if ep.inode.load(Relaxed) == stat.st_ino { Some(ep) } else { found });
    found
}

/// The instance whose pipe is open under an unknown number. The number was received in a message,
/// taken from another process, or made by an inline system call. It is known from here on.
pub fn adopt(fd: c_int, stat: &libc::stat) -> Option<&'static Eventpoll> {
    if !may_be_instance(stat) {
        return None;
    }
    let ep = with_pipe(stat)?;
    let file = ep.file()?;
    close::forget(fd);
    lookup::enter_if(file, fd, |graph| !graph.numbers.is_empty() || ep.orphan.load(Relaxed)).ok()?;
    ep.orphan.store(false, Relaxed);
    ep.set_number(fd);
    Some(ep)
}

impl Eventpoll {
    /// Whether the descriptor is open under an unknown number when all known numbers are gone: then
    /// the pipe has a reader. `last`, which is about to be closed, does not count.
    pub fn has_other_numbers(&self, last: c_int) -> bool {
        /// Together longer than a system call that does not sleep.
        const NAPS: u32 = 8;
        const NAP_NS: u32 = 50_000;
        let signal = self.signal.number();
        let inode = self.inode.load(Relaxed);
        self.mute();
        let is_open =
            sys::fstat(last).is_ok_and(|stat| stat.st_dev == descriptor::device_of_pipes() && stat.st_ino == inode);
        // The number stays open, but is not a reader any more.
        if signal < 0 || (is_open && sys::dup3(signal, last, libc::O_CLOEXEC).is_err()) {
            return false;
        }
        // A thread that is in a system call on the old number still has the reader, for a moment,
        // and so has a process that looks at the number in `/proc`. A look that takes longer than
        // the naps makes the instance an orphan, which the next creation ends.
        let turns = if is_open { NAPS } else { 0 };
        let has_readers = (0..=turns).all(|turn| {
            if turn > 0 {
                sync::nap(NAP_NS);
            }
            sync::has_reader(signal)
        });
        if has_readers {
            self.muted.store(false, SeqCst);
            // The descriptor did not show the level meanwhile.
            self.show_readable();
        }
        has_readers
    }

    /// Makes sure that no thread writes to the pipe from here on.
    fn mute(&self) {
        /// A writer that has not finished by then is held up by a signal handler.
        const NAPS: u32 = 100;
        self.muted.store(true, SeqCst);
        self.signal.await_users(NAPS);
    }

    /// Makes the instance an orphan: its last known number is gone, and the descriptor is still
    /// open under another.
    pub fn become_orphan(&self) {
        ANY_ORPHAN.store(true, Relaxed);
        self.number.store(-1, Relaxed);
        self.orphan.store(true, Relaxed);
    }

    /// Ends an orphan whose descriptor is closed everywhere.
    fn reap(&'static self) {
        let Some(file) = self.file().filter(|_| self.orphan.load(Relaxed)) else { return };
        if self.has_other_numbers(-1) {
            return;
        }
        let is_over = {
            let graph = file.graph();
            graph.numbers.is_empty() && self.orphan.swap(false, Relaxed)
        };
        if is_over {
            lifecycle::close(self);
            file.retire();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::testing::{Epoll, IN, source};

    #[test]
    fn an_instance_that_is_held_at_its_close_ends_with_the_next_creation() {
        let (ep, a) = (Epoll::new(), source());
        ep.add(&a, IN);
        // As a look of another process at `/proc` holds it, only longer.
        let held = sys::fcntl(ep.fd.0, libc::F_DUPFD_CLOEXEC, 0).expect("a free number");
        drop(ep);
        assert!(!a.file().graph().is_unwatched());
        sys::close(held).expect("an open number");
        drop(Epoll::new());
        // Another test may have begun to end it.
        let is_over = |_| {
            std::thread::yield_now();
            a.file().graph().is_unwatched()
        };
        assert!((0..1_000_000).any(is_over));
    }
}
