//! The objects of a history: descriptors, instances on either side, and registrations.

use libc::c_int;

use crate::calls::{self, Address, Tools};
use crate::compare::What;
use crate::counts::Counts;
use crate::crew::Crew;
use crate::fleeting;
use crate::kernel;
use crate::kinds::Kind;
use crate::known::{Class, FACTS, Fact, ROWS, WRITABLE};

/// The number of names for descriptors, and for instances.
pub const DESCS: usize = 32;
pub const PAIRS: usize = 5;

/// Targets of `ctl` from here on are instances, and from `NONSENSE` on invalid numbers.
pub const PAIR_TARGETS: i64 = 100;
pub const NONSENSE: i64 = 200;

/// The signals that histories send to themselves.
pub const SIGNALS: [c_int; 3] = [libc::SIGUSR1, libc::SIGUSR2, libc::SIGHUP];

/// A descriptor of the history.
#[derive(Clone, Copy, Debug)]
pub struct Desc {
    pub fd: c_int,
    pub file: usize,
}

/// An open file description.
#[derive(Clone, Debug)]
pub struct File {
    pub kind: Kind,
    pub references: u32,
    /// The address by which others find it: a listener's address, a FIFO's path, a child's process
    /// id.
    pub address: Option<Address>,
    pub path: Option<String>,
    pub child: Option<c_int>,
    /// A timer that expires again after each read.
    pub periodic: bool,
    /// The description that receives the writes.
    pub peer: Option<usize>,
    /// The program has shut down its direction.
    pub closing: bool,
    /// Urgent data was sent to it.
    pub got_urgent: bool,
    /// SO_RCVLOWAT was set.
    pub low_water: bool,
    /// The program has shut it for reading.
    pub shut_for_reading: bool,
    /// An empty datagram arrived.
    pub got_empty: bool,
    /// A UDP socket may hold back spliced data.
    pub held_back: bool,
    /// The number of unread datagrams, at most.
    pub datagrams: u32,
    /// The rings of a perf event, of the library's side and of the kernel's.
    pub rings: [usize; 2],
    /// The step in which each fact was last true.
    pub facts: [u32; FACTS],
}

/// The sides that a process tests: both, or only one, so that they cannot affect each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Both,
    Kernel,
    Ours,
}

/// A report of a registration in a step, by one side alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alone {
    pub step: u32,
    pub data: u64,
    pub text: String,
}

/// An instance on either side.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub kernel: c_int,
    pub ours: c_int,
    pub file: usize,
}

/// A registration, identified by its data, which no other one ever has.
#[derive(Clone, Debug)]
pub struct Registration {
    pub pair: usize,
    /// The target's number; for an instance, that of the library's side.
    pub number: c_int,
    pub file: usize,
    pub events: u32,
    pub data: u64,
    pub alive: bool,
    /// The step of the last report.
    pub reported: u32,
    /// The number of reports of edges that sleeping threads got from the kernel and not from the
    /// library since the last complete wait: an arrival on unread data reaches a sleeping thread
    /// late.
    pub owed: usize,
    /// Whether the kernel and the library reported it in the last wait on its instance.
    pub reported_last: [bool; 2],
    /// Its TCP connection made progress between the two waits of that time: the second side may
    /// have reported an event that the first one reports next.
    pub crossed: bool,
    /// The bits of the kernel's last report since it was registered or modified.
    pub shown: u32,
    /// The state of the room that it waits for on a TCP connection.
    pub room: Room,
    /// The step of the last write that found no room.
    pub refused: u32,
    /// The state of its TCP connection and the received bytes, at the last report or at the
    /// registration.
    pub received: (u8, u64),
    /// The sides differed about it; nothing more is reported of it until it is modified.
    pub tainted: bool,
    /// They differed about it as listed, since both last reported it in one round: one side may
    /// still have to report what the other has reported.
    pub differed: bool,
    /// It has competed with other exclusive registrations of its description since both sides last
    /// reported it in one round: each side may have chosen another one (X1).
    pub contested: bool,
}

impl Registration {
    pub const fn is_level(&self) -> bool {
        self.events & (libc::EPOLLET | libc::EPOLLONESHOT) as u32 == 0
    }

    /// Whether it is edge-triggered or a one-shot, and waits for room.
    pub const fn awaits_room(&self) -> bool {
        self.events & WRITABLE != 0 && !self.is_level()
    }

    /// Whether there was no room since the last report, and no caller that would set the kernel's
    /// SOCK_NOSPACE met that.
    pub const fn is_overfull(&self) -> bool {
        matches!(self.room, Room::Gone(_) | Room::Back)
    }

    /// Whether one side may still have to report what the other has reported.
    pub const fn is_apart(&self) -> bool {
        self.tainted || self.differed || self.crossed
    }

    pub const fn is_exclusive(&self) -> bool {
        self.events & libc::EPOLLEXCLUSIVE as u32 != 0
    }
}

/// Which side causes the wake-up of the kernel's epoll for room on a TCP connection. The kernel
/// wakes it if a write, or its own look at the levels, found no room before (SOCK_NOSPACE). A `poll`
/// such as the library's has the same effect: then one side has an effect on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There was room at the last report or control call, and at every look since.
    There,
    /// There was none since, and no write was refused. The bytes that had arrived by then: after a
    /// new arrival the kernel looks again.
    Gone(u64),
    /// After that there was room again, for which the kernel was woken if a poll came in between.
    /// Or this may have happened within a call, while a thread of the library looked.
    Back,
    /// A caller that sets SOCK_NOSPACE found none.
    Refused,
}

/// A difference between the two sides.
#[derive(Clone, Debug)]
pub struct Finding {
    pub step: u32,
    pub what: What,
    pub kind: Kind,
    /// The registration's data, if it is about one.
    pub data: Option<u64>,
    /// The row of `known` that lists it.
    pub row: Option<usize>,
    pub text: String,
}

impl Finding {
    /// Whether the difference must be tried with each side in a process of its own.
    pub fn is_suspect(&self) -> bool {
        self.row.is_none_or(|row| ROWS[row].class(self.what) == Class::News && ROWS[row].unavoidable)
    }
}

/// The progress of each TCP connection behind a registration.
pub type Movement = Vec<Option<calls::Progress>>;

/// The state of a history.
#[derive(Debug)]
pub struct World<'a> {
    pub descs: [Option<Desc>; DESCS],
    pub files: Vec<File>,
    pub pairs: [Option<Pair>; PAIRS],
    pub registrations: Vec<Registration>,
    pub crowd: Vec<Desc>,
    pub step: u32,
    pub findings: Vec<Finding>,
    pub counts: &'a mut Counts,
    pub tools: &'a Tools,
    pub buffer: Vec<u8>,
    /// The reports of the exclusive registrations of a description: the kernel's during a sweep,
    /// the library's since the last one; and whether the registrations changed.
    pub exclusive: Vec<Exclusive>,
    /// Whether this is a sweep, and the step of the last one.
    pub sweeping: bool,
    pub swept: u32,
    /// The steps in readable form, if they are to be shown.
    pub log: Option<Vec<(u32, String)>>,
    /// Names for sockets and files that no other history of this process uses.
    pub names: u32,
    pub directory: &'a str,
    /// Threads that sleep in a wait.
    pub crew: Option<Crew>,
    /// The step makes at most one event, so the number of threads that it wakes is known.
    pub one_arrival: bool,
    /// Several calls were made while threads slept: levels that were high in between may have been
    /// reported or not.
    pub in_passing: bool,
    /// The registrations whose TCP connections made progress between the two waits of a round in
    /// this step.
    pub crossing: Vec<u64>,
    /// Those whose connections made progress between two rounds of this judgement, and their state
    /// at the end of the last one.
    pub moved_between: Vec<u64>,
    pub last_round: Vec<(u64, Movement)>,
    pub side: Side,
    /// The reports of one side alone, one for each registration.
    pub alone: Vec<Alone>,
    /// Waits before this step are made once, as fast as with both sides.
    pub brisk_until: u32,
}

/// See `World::exclusive`.
#[derive(Clone, Copy, Debug)]
pub struct Exclusive {
    pub file: usize,
    pub kernel: u32,
    pub ours: bool,
    pub changed: bool,
    /// The kernel reported one of them after a lack of room in which no write was refused.
    pub overfull: bool,
}

impl<'a> World<'a> {
    pub fn new(counts: &'a mut Counts, tools: &'a Tools, directory: &'a str, names: u32, log: bool) -> World<'a> {
        World {
            descs: [None; DESCS],
            files: Vec::new(),
            pairs: [None; PAIRS],
            registrations: Vec::new(),
            crowd: Vec::new(),
            step: 0,
            findings: Vec::new(),
            counts,
            tools,
            buffer: vec![b'x'; 1 << 17],
            exclusive: Vec::new(),
            sweeping: false,
            swept: 0,
            log: log.then(Vec::new),
            names,
            directory,
            crew: None,
            one_arrival: false,
            in_passing: false,
            crossing: Vec::new(),
            moved_between: Vec::new(),
            last_round: Vec::new(),
            side: Side::Both,
            alone: Vec::new(),
            brisk_until: 0,
        }
    }

    /// Notes a step in readable form.
    pub fn say(&mut self, text: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push((self.step, format!("{:4}. {}", self.step, text())));
        }
    }

    pub fn desc(&self, name: usize) -> Option<Desc> {
        self.descs.get(name).copied().flatten()
    }

    pub fn pair(&self, name: usize) -> Option<Pair> {
        self.pairs.get(name).copied().flatten()
    }

    /// A number that refers to the description now: a registration's number may have been closed,
    /// and refer to another.
    pub fn number_of(&self, file: usize) -> Option<c_int> {
        self.descs.iter().flatten().chain(&self.crowd).find(|desc| desc.file == file).map(|desc| desc.fd)
    }

    pub fn kind(&self, desc: Desc) -> Kind {
        self.files[desc.file].kind
    }

    pub fn note(&mut self, file: usize, fact: Fact) {
        self.files[file].facts[fact as usize] = self.step;
    }

    /// All descriptions with the same queue as this pipe or FIFO, or this one alone.
    pub fn queue_of(&self, file: usize) -> Vec<usize> {
        let File { kind, peer, path, .. } = &self.files[file];
        let same = |other: &usize| match kind {
            Kind::Pipe => Some(*other) == *peer,
            Kind::Fifo => path.is_some() && self.files[*other].path == *path,
            _ => false,
        };
        (0..self.files.len()).filter(|other| *other == file || same(other)).collect()
    }

    /// Notes a fact for all descriptions with the same queue.
    pub fn note_queue(&mut self, file: usize, fact: Fact) {
        self.queue_of(file).into_iter().for_each(|other| self.note(other, fact));
    }

    pub fn registration(&mut self, data: u64) -> Option<&mut Registration> {
        self.registrations.iter_mut().rev().find(|registration| registration.data == data)
    }

    pub fn new_file(&mut self, kind: Kind) -> usize {
        self.files.push(File {
            kind,
            references: 1,
            address: None,
            path: None,
            child: None,
            periodic: false,
            peer: None,
            closing: false,
            got_urgent: false,
            low_water: false,
            shut_for_reading: false,
            got_empty: false,
            held_back: false,
            datagrams: 0,
            rings: [0; 2],
            facts: [0; FACTS],
        });
        self.files.len() - 1
    }

    /// Gives a name to a descriptor that was just opened.
    pub fn adopt(&mut self, name: usize, fd: c_int, kind: Kind) -> usize {
        let file = self.new_file(kind);
        self.descs[name] = Some(Desc { fd, file });
        file
    }

    pub fn adopt_twin(&mut self, name: usize, fd: c_int, file: usize) {
        self.files[file].references += 1;
        self.descs[name] = Some(Desc { fd, file });
    }

    /// Removes a descriptor of a description; its registrations end with the last one.
    pub fn release(&mut self, file: usize) {
        self.files[file].references -= 1;
        if self.files[file].references > 0 {
            return;
        }
        if self.files[file].kind == Kind::Fifo {
            self.note_queue(file, Fact::Parted);
        }
        for registration in &mut self.registrations {
            if registration.file == file {
                registration.alive = false;
            }
        }
        if let Some(pid) = self.files[file].child.take() {
            calls::kill_child(pid, || ());
        }
    }

    fn is_free(&self, name: usize) -> bool {
        name < DESCS && self.descs[name].is_none()
    }

    fn new_name(&mut self) -> u32 {
        self.names += 1;
        self.names
    }

    /// Opens an instance on either side.
    pub fn open_pair(&mut self, name: usize, flags: c_int) -> Result<String, i32> {
        if name >= PAIRS || self.pairs[name].is_some() {
            return Err(libc::EEXIST);
        }
        // The side that is not tested has a placeholder, so that descriptor numbers are the same.
        let placeholder = || calls::eventfd(0, 0);
        let kernel = if self.side == Side::Ours { placeholder() } else { kernel::epoll_create1(flags) };
        let ours = if self.side == Side::Kernel { placeholder() } else { calls::epoll_create1(flags) };
        let (Ok(kernel), Ok(ours)) = (kernel, ours) else {
            return Err(libc::EINVAL);
        };
        let file = self.new_file(Kind::Epoll);
        self.pairs[name] = Some(Pair { kernel, ours, file });
        Ok(format!("kernel {kernel}, ours {ours}"))
    }

    pub fn end_pair(&mut self, name: usize) {
        let Some(pair) = self.pairs[name].take() else { return };
        let _ = calls::close(pair.kernel);
        let _ = calls::close(pair.ours);
        self.release(pair.file);
        for registration in &mut self.registrations {
            if registration.pair == name {
                registration.alive = false;
            }
        }
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

    /// Names a descriptor of a file whose poll takes its level: the kernel's side has an open file
    /// description of its own.
    fn adopt_with_twin(
        &mut self,
        name: usize,
        fd: c_int,
        other: Result<c_int, i32>,
        kind: Kind,
    ) -> Result<String, i32> {
        if let Err(errno) = other.and_then(|other| fleeting::place_twin(other, fd)) {
            let _ = calls::close(fd);
            return Err(errno);
        }
        self.adopt_one(name, fd, kind)
    }

    /// The kernel side's number of a descriptor.
    pub fn kernel_number(&self, desc: Desc) -> c_int {
        if self.kind(desc).is_fleeting() { fleeting::twin(desc.fd) } else { desc.fd }
    }

    /// Precedes the close of a descriptor: closes that of the kernel's side, and the mapping, which
    /// would keep the file open.
    pub fn close_twin(&mut self, desc: Desc) {
        if !self.kind(desc).is_fleeting() {
            return;
        }
        let file = &mut self.files[desc.file];
        if file.references == 1 {
            std::mem::take(&mut file.rings).into_iter().for_each(fleeting::unmap_ring);
        }
        kernel::close(fleeting::twin(desc.fd));
    }

    fn adopt_one(&mut self, name: usize, fd: c_int, kind: Kind) -> Result<String, i32> {
        self.adopt(name, fd, kind);
        Ok(format!("{fd}"))
    }

    fn adopt_both(&mut self, name: usize, other: usize, fds: [c_int; 2], kind: Kind) -> Result<String, i32> {
        let (one, two) = (self.adopt(name, fds[0], kind), self.adopt(other, fds[1], kind));
        self.files[one].peer = Some(two);
        self.files[two].peer = Some(one);
        Ok(format!("{} and {}", fds[0], fds[1]))
    }

    /// Returns a new address for each, because the ports would run out.
    fn new_host(&mut self) -> u32 {
        let name = self.new_name().wrapping_mul(0x9e37_79b1) >> 8;
        0x7f00_0000 | name.max(2) & 0x00ff_fffe
    }

    fn internet_listener(&mut self, backlog: c_int, protocol: c_int) -> Result<(c_int, Address), i32> {
        let host = self.new_host();
        let fd = stream_socket(protocol)?;
        calls::bind(fd, Address::Internet(host, 0))?;
        let address = Address::Internet(host, calls::port_of(fd)?);
        calls::listen(fd, backlog)?;
        Ok((fd, address))
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

    /// Closes everything, and leaves nothing for the next history.
    pub fn end(&mut self) {
        self.call_back();
        for name in 0..DESCS {
            if let Some(desc) = self.descs[name].take() {
                if self.kind(desc) == Kind::Tcp {
                    // No TIME_WAIT.
                    let _ = calls::reset_on_close(desc.fd);
                }
                self.close_twin(desc);
                let _ = calls::close(desc.fd);
                self.release(desc.file);
            }
        }
        for desc in std::mem::take(&mut self.crowd) {
            let _ = calls::close(desc.fd);
        }
        for name in 0..PAIRS {
            self.end_pair(name);
        }
        calls::take_signals(&SIGNALS);
        for path in self.files.iter().filter_map(|file| file.path.as_ref()) {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Closes everything, as at the end of a history; the next one names the descriptors that it
    /// opens.
    pub fn begin_anew(&mut self) {
        self.end();
        self.files.clear();
        self.registrations.clear();
        self.exclusive.clear();
        self.crossing.clear();
        self.moved_between.clear();
        self.last_round.clear();
        self.swept = 0;
        self.say(|| "another history begins".to_owned());
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
