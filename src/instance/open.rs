//! The descriptor of an instance: the read end of a pipe, never writable (C4), readable exactly when a byte is in it (N1), and with an
//! inode of its own, by which the instance is found behind a number that came by a road we do not see.

use libc::c_int;
use nix::errno::Errno;

use crate::events::ERR;
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
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sys;

/// Whether there ever was an orphan.
static ANY_ORPHAN: AtomicBool = AtomicBool::new(false);

/// epoll_create1(2): a new instance; `flags` may be EPOLL_CLOEXEC. Answers with its descriptor.
///
/// The descriptor is the read end of a pipe: never writable (C4), readable exactly when a byte is in it (N1), and with an inode
/// of its own, with the operations `ops`. It reports to `link` from the beginning, if there is one.
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
        // A number known here whose descriptor was closed behind our back is free for the new one.
        close::forget(epfd);
        let ep = INSTANCES.take()?;
        let Ok(file) = File::create() else {
            INSTANCES.give_back(ep);
            return Err(Errno::ENOMEM);
        };
        if let Err(errno) = ep.furnish() {
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

/// The beginning of every call that makes an instance or a source. `flags` may be EPOLL_CLOEXEC.
pub fn begin_creation(flags: c_int) -> Result<(), Errno> {
    if flags & !libc::EPOLL_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    if lock::interrupted() {
        // A signal handler cannot wait for the code that it interrupted.
        return Err(Errno::ENOMEM);
    }
    if own_table::is_apart() {
        return Err(Errno::ENOSYS);
    }
    fork_mark::settle();
    Ok(())
}

/// The instance behind a descriptor, pinned. EBADF for a closed number, EINVAL for anything but an instance, ENOSYS in a thread that has a
/// descriptor table of its own.
pub fn find(epfd: c_int) -> Result<Pinned, Errno> {
    fork_mark::settle();
    if own_table::is_apart() {
        return Err(if sys::is_usable(epfd) { Errno::ENOSYS } else { Errno::EBADF });
    }
    if let Some(file) = lookup::known(epfd)
        && let Some(ep) = file.eventpoll()
    {
        if file.is_likely_named_by(epfd, false) {
            return ep.pin().ok_or(Errno::EBADF);
        }
        // Closed behind our back.
        close::vanished(file, epfd);
    }
    if !sys::is_usable(epfd) {
        return Err(Errno::EBADF);
    }
    let adopted = sys::fstat(epfd).ok().and_then(|stat| adopt(epfd, &stat));
    adopted.and_then(Eventpoll::pin).ok_or(Errno::EINVAL)
}

/// The instance whose pipe is open under a number that is not known to name it: it came in a message, out of another process, or by
/// a system call of the program's own. It is known from here on.
pub fn adopt(fd: c_int, stat: &libc::stat) -> Option<&'static Eventpoll> {
    if !any_yet() || stat.st_mode & libc::S_IFMT != libc::S_IFIFO || stat.st_dev != descriptor::device_of_pipes() {
        return None;
    }
    let mut found = None;
    Eventpoll::for_each(|ep| found = if ep.inode.load(Relaxed) == stat.st_ino { Some(ep) } else { found });
    let ep = found?;
    let file = ep.file()?;
    close::forget(fd);
    lookup::enter_if(file, fd, |graph| !graph.numbers.is_empty() || ep.orphan.load(Relaxed)).ok()?;
    ep.orphan.store(false, Relaxed);
    ep.set_number(fd);
    Some(ep)
}

impl Eventpoll {
    /// Whether somebody has the descriptor under a number that we do not know, after all that we knew are gone: then the pipe has
    /// a reader. `last`, which is about to be closed, is none.
    pub fn has_other_numbers(&self, last: c_int) -> bool {
        let signal = self.signal.number();
        let inode = self.inode.load(Relaxed);
        self.mute();
        let is_open =
            sys::fstat(last).is_ok_and(|stat| stat.st_dev == descriptor::device_of_pipes() && stat.st_ino == inode);
        // The number stays taken, but it is no reader any more.
        if signal < 0 || (is_open && sys::dup3(signal, last, libc::O_CLOEXEC).is_err()) {
            return false;
        }
        let has_readers = sys::level(signal, 0) & ERR == 0;
        if has_readers {
            self.muted.store(false, SeqCst);
            // What was to be shown meanwhile was not.
            self.show_readable();
        }
        has_readers
    }

    /// Nobody writes to the pipe after this.
    fn mute(&self) {
        /// A writer that is not done by then is held up by a signal handler.
        const NAPS: u32 = 100;
        self.muted.store(true, SeqCst);
        self.signal.await_users(NAPS);
    }

    /// No number is known any more, but somebody has the descriptor.
    pub fn become_orphan(&self) {
        ANY_ORPHAN.store(true, Relaxed);
        self.number.store(-1, Relaxed);
        self.orphan.store(true, Relaxed);
    }

    /// The end of an orphan that nobody has any more.
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
