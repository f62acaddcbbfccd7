//! Files of each kind as histories open them.

use libc::c_int;

use super::{DESCS, Desc, SIGNALS, World};
use crate::calls::{self, Address};
use crate::fleeting;
use crate::kernel;
use crate::kinds::Kind;

impl World<'_> {
    fn is_free(&self, name: usize) -> bool {
        name < DESCS && self.descs[name].is_none()
    }

    fn new_name(&mut self) -> u32 {
        self.names += 1;
        self.names
    }

    /// Opens a file of this kind under one name, or a pair under two.
    pub fn open(&mut self, name: usize, other: usize, kind: Kind, variant: i64) -> Result<String, i32> {
        if !self.is_free(name) || !self.is_free(other) || name == other {
            return Err(libc::EEXIST);
        }
        match kind {
            Kind::Pipe => {
                let fds = calls::pair_of_pipes(if variant & 2 != 0 { libc::O_DIRECT } else { 0 })?;
                if variant & 1 != 0 {
                    let _ = calls::pipe_size(fds[0], 4096);
                }
                self.adopt_both(name, other, fds, kind)
            }
            Kind::Fifo => self.open_fifo(name, other, variant),
            Kind::UnixStream | Kind::UnixSeqpacket | Kind::UnixDgram => {
                let fds = self.unix_sockets(kind, variant)?;
                if variant & 1 != 0 {
                    let _ = calls::set_option(fds[0], libc::SOL_SOCKET, libc::SO_SNDBUF, 4608);
                    let _ = calls::set_option(fds[1], libc::SOL_SOCKET, libc::SO_SNDBUF, 4608);
                }
                self.adopt_both(name, other, fds, kind)
            }
            Kind::Tcp | Kind::Mptcp => {
                let protocol = if kind == Kind::Mptcp { libc::IPPROTO_MPTCP } else { 0 };
                let (listener, address) = self.internet_listener(1, protocol)?;
                let fd = stream_socket(protocol)?;
                let connected = calls::connect(fd, address);
                let accepted = calls::accept(listener);
                kernel::close(listener);
                match (connected, accepted) {
                    (Ok(_) | Err(libc::EINPROGRESS), Ok(accepted)) => {
                        self.adopt_both(name, other, [fd, accepted], kind)
                    }
                    _ => {
                        kernel::close(fd);
                        let _ = accepted.map(kernel::close);
                        Err(libc::EAGAIN)
                    }
                }
            }
            Kind::TcpListener => {
                let (fd, address) = self.internet_listener(1 + (variant as c_int & 7), 0)?;
                let file = self.adopt(name, fd, kind);
                self.files[file].address = Some(address);
                Ok(format!("{fd}"))
            }
            Kind::UnixListener => {
                let fd = calls::socket(
                    libc::AF_UNIX,
                    if variant & 1 != 0 { libc::SOCK_SEQPACKET } else { libc::SOCK_STREAM },
                    0,
                )?;
                let address = Address::Unix(self.new_name());
                calls::bind(fd, address)?;
                calls::listen(fd, 1 + (variant as c_int & 7))?;
                let file = self.adopt(name, fd, kind);
                self.files[file].address = Some(address);
                self.files[file].periodic = variant & 1 != 0;
                Ok(format!("{fd}"))
            }
            Kind::Udp => {
                let protocol = if variant == 7 { libc::IPPROTO_UDPLITE } else { 0 };
                let mut bound = || -> Result<(c_int, Address), i32> {
                    let host = self.new_host();
                    let fd = calls::socket(libc::AF_INET, libc::SOCK_DGRAM, protocol)?;
                    calls::bind(fd, Address::Internet(host, 0))?;
                    Ok((fd, Address::Internet(host, calls::port_of(fd)?)))
                };
                let ((one, first), (two, second)) = (bound()?, bound()?);
                calls::connect(one, second)?;
                calls::connect(two, first)?;
                self.adopt_both(name, other, [one, two], kind)
            }
            Kind::Eventfd | Kind::Semaphore => {
                let flags = if kind == Kind::Semaphore { libc::EFD_SEMAPHORE } else { 0 };
                self.adopt_one(name, calls::eventfd((variant & 3) as u32, flags)?, kind)
            }
            Kind::Timerfd => {
                let clock = if variant & 1 != 0 { libc::CLOCK_REALTIME } else { libc::CLOCK_MONOTONIC };
                self.adopt_one(name, calls::timerfd(clock)?, kind)
            }
            Kind::Signalfd => self.adopt_one(name, calls::signalfd(-1, &signals_of(variant))?, kind),
            Kind::Pidfd => {
                let (pid, fd) = calls::sleeping_child()?;
                let file = self.adopt(name, fd, kind);
                self.files[file].child = Some(pid);
                Ok(format!("{fd}"))
            }
            Kind::Inotify => {
                let directory = self.directory;
                let path = format!("{}/watched-{}", directory, self.new_name());
                kernel::close(calls::open(&path, libc::O_RDWR | libc::O_CREAT)?);
                let fd = calls::inotify()?;
                calls::watch_file(fd, &path, libc::IN_OPEN | libc::IN_MODIFY | libc::IN_ATTRIB)?;
                let file = self.adopt(name, fd, kind);
                self.files[file].path = Some(path);
                Ok(format!("{fd}"))
            }
            Kind::Pty => {
                let master = calls::pseudo_terminal()?;
                calls::unlock_terminal(master)?;
                let slave = calls::terminal_of(master)?;
                if variant & 1 == 0 {
                    calls::make_raw(slave);
                }
                self.adopt_both(name, other, [master, slave], kind)
            }
            Kind::Netlink => {
                let fd = calls::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
                self.adopt_one(name, fd, kind)
            }
            Kind::Refused => {
                let fd = match variant & 3 {
                    0 => calls::open("/dev/null", libc::O_RDWR)?,
                    1 => calls::open("/", libc::O_RDONLY | libc::O_DIRECTORY)?,
                    2 => calls::memory_file(10)?,
                    _ => calls::open("/proc/self/status", libc::O_RDONLY)?,
                };
                self.adopt_one(name, fd, kind)
            }
            Kind::MessageQueue => {
                let queue = calls::message_queue(self.new_name(), 1 + (variant & 7))?;
                self.adopt_one(name, queue, kind)
            }
            Kind::Mounts => {
                if !fleeting::has_own_mounts() {
                    return Err(libc::ENOSYS);
                }
                let fd = calls::open("/proc/self/mounts", libc::O_RDONLY)?;
                self.adopt_with_twin(name, fd, fleeting::open_mounts(), kind)
            }
            Kind::Perf => {
                let fd = fleeting::open_event()?;
                let said = self.adopt_with_twin(name, fd, fleeting::open_event(), kind)?;
                let file = self.descs[name].map_or(0, |desc| desc.file);
                self.files[file].rings = [fd, fleeting::twin(fd)].map(fleeting::map_ring);
                Ok(said)
            }
            Kind::Epoll => Err(libc::EINVAL),
        }
    }

    fn unix_sockets(&mut self, kind: Kind, variant: i64) -> Result<[c_int; 2], i32> {
        let kind = match kind {
            Kind::UnixStream => libc::SOCK_STREAM,
            Kind::UnixSeqpacket => libc::SOCK_SEQPACKET,
            _ => libc::SOCK_DGRAM,
        };
        if kind == libc::SOCK_DGRAM && variant & 2 != 0 {
            // The second sends to the first, which is not connected.
            let address = Address::Unix(self.new_name());
            let fds = [calls::socket(libc::AF_UNIX, kind, 0)?, calls::socket(libc::AF_UNIX, kind, 0)?];
            calls::bind(fds[0], address)?;
            calls::connect(fds[1], address)?;
            return Ok(fds);
        }
        calls::pair_of_sockets(kind)
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

    fn internet_listener(&mut self, backlog: c_int, protocol: c_int) -> Result<(c_int, Address), i32> {
        let host = self.new_host();
        let fd = stream_socket(protocol)?;
        calls::bind(fd, Address::Internet(host, 0))?;
        let address = Address::Internet(host, calls::port_of(fd)?);
        calls::listen(fd, backlog)?;
        Ok((fd, address))
    }

    /// Returns a new address for each, because the ports would run out.
    fn new_host(&mut self) -> u32 {
        let name = self.new_name().wrapping_mul(0x9e37_79b1) >> 8;
        0x7f00_0000 | name.max(2) & 0x00ff_fffe
    }

    /// Connects a client to the listener.
    pub fn connect(&mut self, listener: Desc, name: usize) -> Result<String, i32> {
        if !self.is_free(name) {
            return Err(libc::EEXIST);
        }
        let file = &self.files[listener.file];
        let (kind, address) = (file.kind, file.address.ok_or(libc::EINVAL)?);
        let (fd, kind) = match kind {
            Kind::TcpListener => (stream_socket(0)?, Kind::Tcp),
            _ if file.periodic => (calls::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0)?, Kind::UnixSeqpacket),
            _ => (calls::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)?, Kind::UnixStream),
        };
        let connected = calls::connect(fd, address);
        self.adopt(name, fd, kind);
        Ok(format!("{fd}: {connected:?}"))
    }

    pub fn accept(&mut self, listener: Desc, name: usize) -> Result<String, i32> {
        if !self.is_free(name) {
            return Err(libc::EEXIST);
        }
        let fd = calls::accept(listener.fd)?;
        let kind = match self.kind(listener) {
            Kind::TcpListener => Kind::Tcp,
            _ if self.files[listener.file].periodic => Kind::UnixSeqpacket,
            _ => Kind::UnixStream,
        };
        self.adopt_one(name, fd, kind)
    }
}

/// A socket of TCP (0), or of MPTCP.
fn stream_socket(protocol: c_int) -> Result<c_int, i32> {
    let fd = calls::socket(libc::AF_INET, libc::SOCK_STREAM, protocol)?;
    // Small enough to be filled in a few calls.
    calls::set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, 16384)?;
    calls::set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, 16384)?;
    calls::set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    Ok(fd)
}

/// The signals that a signalfd of this variant takes.
pub fn signals_of(variant: i64) -> Vec<c_int> {
    let which = SIGNALS.iter().enumerate().filter(|(at, _)| variant & 7 == 0 || variant >> at & 1 != 0);
    which.map(|(_, &signal)| signal).collect()
}
