//! Files of each kind as histories open them.

use libc::c_int;

use super::{SIGNALS, World};
use crate::calls;
use crate::fleeting;
use crate::kernel;
use crate::kinds::Kind;

impl World<'_> {
    /// Opens a file of this kind under one name, or a pair under two.
    pub fn open(&mut self, name: usize, other: usize, kind: Kind, variant: i64) -> Result<String, i32> {
        if !self.is_free(name) || !self.is_free(other) || name == other {
            return Err(libc::EEXIST);
        }
        match kind {
            Kind::Pipe => self.open_pipe(name, other, variant),
            Kind::Fifo => self.open_fifo(name, other, variant),
            Kind::UnixStream | Kind::UnixSeqpacket | Kind::UnixDgram => self.open_unix(name, other, kind, variant),
            Kind::Tcp | Kind::Mptcp => self.open_connection(name, other, kind),
            Kind::TcpListener => self.open_tcp_listener(name, variant),
            Kind::UnixListener => self.open_unix_listener(name, variant),
            Kind::Udp => self.open_udp(name, other, variant),
            Kind::Eventfd | Kind::Semaphore => {
                let flags = if kind == Kind::Semaphore { libc::EFD_SEMAPHORE } else { 0 };
                self.adopt_one(name, calls::eventfd((variant & 3) as u32, flags)?, kind)
            }
            Kind::Timerfd => {
                let clock = if variant & 1 != 0 { libc::CLOCK_REALTIME } else { libc::CLOCK_MONOTONIC };
                self.adopt_one(name, calls::timerfd(clock)?, kind)
            }
            Kind::Signalfd => self.adopt_one(name, calls::signalfd(-1, &signals_of(variant))?, kind),
            Kind::Pidfd => self.open_pidfd(name),
            Kind::Inotify => self.open_inotify(name),
            Kind::Pty => self.open_terminal(name, other, variant),
            Kind::Netlink => {
                let fd = calls::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
                self.adopt_one(name, fd, kind)
            }
            Kind::Refused => self.adopt_one(name, refused_file(variant)?, kind),
            Kind::MessageQueue => {
                let queue = calls::message_queue(self.new_name(), 1 + (variant & 7))?;
                self.adopt_one(name, queue, kind)
            }
            Kind::Mounts => self.open_mounts(name),
            Kind::Perf => self.open_perf_event(name),
            Kind::Epoll => Err(libc::EINVAL),
        }
    }

    fn open_pipe(&mut self, name: usize, other: usize, variant: i64) -> Result<String, i32> {
        let fds = calls::pair_of_pipes(if variant & 2 != 0 { libc::O_DIRECT } else { 0 })?;
        if variant & 1 != 0 {
            let _ = calls::pipe_size(fds[0], 4096);
        }
        self.adopt_both(name, other, fds, Kind::Pipe)
    }

    fn open_fifo(&mut self, name: usize, other: usize, variant: i64) -> Result<String, i32> {
        let directory = self.directory;
        let path = format!("{}/fifo-{}", directory, self.new_name());
        calls::make_fifo(&path)?;
        let reader = if variant & 2 != 0 { libc::O_RDWR } else { libc::O_RDONLY };
        let fd = calls::open(&path, reader)?;
        let file = self.adopt(name, fd, Kind::Fifo);
        self.files[file].path = Some(path.clone());
        if variant & 1 != 0 {
            return Ok(format!("{fd}"));
        }
        let writer = calls::open(&path, libc::O_WRONLY)?;
        let file = self.adopt(other, writer, Kind::Fifo);
        self.files[file].path = Some(path);
        Ok(format!("{fd} and {writer}"))
    }

    /// Opens the pidfd of a child that sleeps.
    fn open_pidfd(&mut self, name: usize) -> Result<String, i32> {
        let (pid, fd) = calls::sleeping_child()?;
        let file = self.adopt(name, fd, Kind::Pidfd);
        self.files[file].child = Some(pid);
        Ok(format!("{fd}"))
    }

    /// Opens an inotify instance that watches a file of its own.
    fn open_inotify(&mut self, name: usize) -> Result<String, i32> {
        let directory = self.directory;
        let path = format!("{}/watched-{}", directory, self.new_name());
        kernel::close(calls::open(&path, libc::O_RDWR | libc::O_CREAT)?);
        let fd = calls::inotify()?;
        calls::watch_file(fd, &path, libc::IN_OPEN | libc::IN_MODIFY | libc::IN_ATTRIB)?;
        let file = self.adopt(name, fd, Kind::Inotify);
        self.files[file].path = Some(path);
        Ok(format!("{fd}"))
    }

    /// Opens both ends of a pseudo terminal.
    fn open_terminal(&mut self, name: usize, other: usize, variant: i64) -> Result<String, i32> {
        let master = calls::pseudo_terminal()?;
        calls::unlock_terminal(master)?;
        let slave = calls::terminal_of(master)?;
        if variant & 1 == 0 {
            calls::make_raw(slave);
        }
        self.adopt_both(name, other, [master, slave], Kind::Pty)
    }

    fn open_mounts(&mut self, name: usize) -> Result<String, i32> {
        if !fleeting::has_own_mounts() {
            return Err(libc::ENOSYS);
        }
        let fd = calls::open("/proc/self/mounts", libc::O_RDONLY)?;
        self.adopt_with_twin(name, fd, fleeting::open_mounts(), Kind::Mounts)
    }

    fn open_perf_event(&mut self, name: usize) -> Result<String, i32> {
        let fd = fleeting::open_event()?;
        let said = self.adopt_with_twin(name, fd, fleeting::open_event(), Kind::Perf)?;
        let file = self.descs[name].map_or(0, |desc| desc.file);
        self.files[file].rings = [fd, fleeting::twin(fd)].map(fleeting::map_ring);
        Ok(said)
    }
}

/// A file that epoll refuses.
fn refused_file(variant: i64) -> Result<c_int, i32> {
    match variant & 3 {
        0 => calls::open("/dev/null", libc::O_RDWR),
        1 => calls::open("/", libc::O_RDONLY | libc::O_DIRECTORY),
        2 => calls::memory_file(10),
        _ => calls::open("/proc/self/status", libc::O_RDONLY),
    }
}

/// The signals that a signalfd of this variant takes.
pub fn signals_of(variant: i64) -> Vec<c_int> {
    let which = SIGNALS.iter().enumerate().filter(|(at, _)| variant & 7 == 0 || variant >> at & 1 != 0);
    which.map(|(_, &signal)| signal).collect()
}
