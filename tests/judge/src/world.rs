//! What a history works on: descriptors, instances on either side, and what is registered where.

use libc::c_int;

use crate::calls::{self, Address, Tools};
use crate::compare::What;
use crate::counts::Counts;
use crate::crew::Crew;
use crate::fleeting;
use crate::kernel;
use crate::kinds::Kind;
use crate::known::{Class, FACTS, Fact, ROWS, WRITABLE};

/// How many descriptors and instances a history can name.
pub const DESCS: usize = 32;
pub const PAIRS: usize = 5;

/// Targets of `ctl` from here on are instances, and from `NONSENSE` on numbers that are wrong.
pub const PAIR_TARGETS: i64 = 100;
pub const NONSENSE: i64 = 200;

/// The signals that histories send themselves.
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
    /// Where others find it: a listener's address, a FIFO's path, a child's process id.
    pub address: Option<Address>,
    pub path: Option<String>,
    pub child: Option<c_int>,
    /// A timer that expires again after each read.
    pub periodic: bool,
    /// Who gets what is written here.
    pub peer: Option<usize>,
    /// The program has shut down its direction.
    pub closing: bool,
    /// Urgent data was sent to it.
    pub got_urgent: bool,
    /// It was said from how many bytes on it is readable.
    pub low_water: bool,
    /// The program has shut it for reading.
    pub shut_for_reading: bool,
    /// A datagram that came was empty.
    pub got_empty: bool,
    /// What was spliced into a UDP socket may be held back.
    pub held_back: bool,
    /// How many datagrams are unread, at most.
    pub datagrams: u32,
    /// The rings of a perf event, those of our side and of the kernel's.
    pub rings: [usize; 2],
    /// When each fact was last true.
    pub facts: [u32; FACTS],
}

/// Whose epoll a process asks: both, or one alone when the two shall not disturb each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Both,
    Kernel,
    Ours,
}

/// What one side alone reported of a registration in a step.
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

/// A registration, known by its data, which no other one ever has.
#[derive(Clone, Debug)]
pub struct Registration {
    pub pair: usize,
    /// The target's number; that of our side for an instance.
    pub number: c_int,
    pub file: usize,
    pub events: u32,
    pub data: u64,
    pub alive: bool,
    /// The step of the last report.
    pub reported: u32,
    /// So many reports of edges sleeping threads got from the kernel and not from us, since a wait last looked at everything: what
    /// arrives on unread data comes late to a thread that sleeps.
    pub owed: usize,
    /// Whether the kernel, and whether we reported it in the last wait on its instance.
    pub reported_last: [bool; 2],
    /// Its TCP connection moved on between the two waits of that time: the side that was asked last may have reported what the other
    /// will report next.
    pub crossed: bool,
    /// The bits of the kernel's last report since it was registered or modified.
    pub shown: u32,
    /// If it waits for room on a TCP connection.
    pub room: Room,
    /// The step of the last write that met none.
    pub refused: u32,
    /// What had come over its TCP connection at the last report, or when it was registered: the state and the bytes.
    pub received: (u8, u64),
    /// The sides differed about it; nothing more is said of it until it is modified.
    pub tainted: bool,
    /// They differed about it as listed, since both last reported it at once: one side may have yet to show what the other has shown.
    pub differed: bool,
    /// It has competed with other exclusive registrations of its description since both sides last reported it at once: each side is
    /// free to have told another one (X1).
    pub contested: bool,
}

impl Registration {
    pub const fn is_level(&self) -> bool {
        self.events & (libc::EPOLLET | libc::EPOLLONESHOT) as u32 == 0
    }

    /// Whether it is edge-triggered, or fires once, and waits for room.
    pub const fn awaits_room(&self) -> bool {
        self.events & WRITABLE != 0 && !self.is_level()
    }

    /// Whether there was no room since the last report, and nobody met that whom the kernel wakes.
    pub const fn is_overfull(&self) -> bool {
        matches!(self.room, Room::Gone(_) | Room::Back)
    }

    /// Whether one side may have yet to show what the other has shown.
    pub const fn is_apart(&self) -> bool {
        self.tainted || self.differed || self.crossed
    }

    pub const fn is_exclusive(&self) -> bool {
        self.events & libc::EPOLLEXCLUSIVE as u32 != 0
    }
}

/// Whose doing it is that the kernel's epoll hears of room on a TCP connection. It is woken if a write, or its own look at the levels, met
/// no room before. So it is after any `poll`, too, such as the library makes: then one side does something to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There was some at the last report or control call, and whenever it was looked at since.
    There,
    /// There was none since, and nobody was refused any. What had arrived then, in bytes: with what arrives the kernel looks again.
    Gone(u64),
    /// And then there was some again, of which the kernel was told if it was asked in between. Or so it may have been within a call, while
    /// a thread of the library looked.
    Back,
    /// Somebody whom the kernel wakes met none.
    Refused,
}

/// A difference between the two sides.
#[derive(Clone, Debug)]
pub struct Finding {
    pub step: u32,
    pub what: What,
    pub kind: Kind,
    /// The registration's, if it is about one.
    pub data: Option<u64>,
    /// The row of `known` that lists it.
    pub row: Option<usize>,
    pub text: String,
}

impl Finding {
    /// Whether it is to be seen whether it shows with each side in a process of its own.
    pub fn is_suspect(&self) -> bool {
        self.row.is_none_or(|row| ROWS[row].class(self.what) == Class::News && ROWS[row].unavoidable)
    }
}

/// How far each TCP connection behind a registration has come.
pub type Movement = Vec<Option<calls::Progress>>;

/// Everything a history works on.
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
    /// What exclusive registrations of a description reported: the kernel's during a sweep, ours since the last one; and whether they
    /// changed.
    pub exclusive: Vec<Exclusive>,
    /// Whether this is a sweep, and the step of the last one.
    pub sweeping: bool,
    pub swept: u32,
    /// The steps as people read them, if anybody wants to.
    pub log: Option<Vec<(u32, String)>>,
    /// Names for sockets and files that no other history of this process has.
    pub names: u32,
    pub directory: &'a str,
    /// Threads that sleep in a wait.
    pub crew: Option<Crew>,
    /// The step makes one event at most, so that it is clear how many threads it wakes.
    pub one_arrival: bool,
    /// Several calls were made while threads slept: what was high in between may have been reported or not.
    pub in_passing: bool,
    /// The registrations whose TCP connections moved on between the two waits of a round in this step.
    pub crossing: Vec<u64>,
    /// Those whose connections moved on between two rounds of this judgement, and how far they were at the end of the last one.
    pub moved_between: Vec<u64>,
    pub last_round: Vec<(u64, Movement)>,
    pub side: Side,
    /// What one side alone reported, each registration by itself.
    pub alone: Vec<Alone>,
    /// Waits before this step are done once, as fast as when both sides are asked.
    pub brisk_until: u32,
}

/// See `World::exclusive`.
#[derive(Clone, Copy, Debug)]
pub struct Exclusive {
    pub file: usize,
    pub kernel: u32,
    pub ours: bool,
    pub changed: bool,
    /// There had been no room, and nobody was refused any, when the kernel reported one of them.
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

    /// Notes what happened, for people.
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

    /// A number that names the description now: a registration's may have been closed, and name another.
    pub fn number_of(&self, file: usize) -> Option<c_int> {
        self.descs.iter().flatten().chain(&self.crowd).find(|desc| desc.file == file).map(|desc| desc.fd)
    }

    pub fn kind(&self, desc: Desc) -> Kind {
        self.files[desc.file].kind
    }

    pub fn note(&mut self, file: usize, fact: Fact) {
        self.files[file].facts[fact as usize] = self.step;
    }

    /// Everything that has the same queue as this pipe or FIFO, or this alone.
    pub fn queue_of(&self, file: usize) -> Vec<usize> {
        let File { kind, peer, path, .. } = &self.files[file];
        let same = |other: &usize| match kind {
            Kind::Pipe => Some(*other) == *peer,
            Kind::Fifo => path.is_some() && self.files[*other].path == *path,
            _ => false,
        };
        (0..self.files.len()).filter(|other| *other == file || same(other)).collect()
    }

    /// Notes it of everything that has the same queue.
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

    /// A descriptor that was just opened gets its name.
    pub fn adopt(&mut self, name: usize, fd: c_int, kind: Kind) -> usize {
        let file = self.new_file(kind);
        self.descs[name] = Some(Desc { fd, file });
        file
    }

    pub fn adopt_twin(&mut self, name: usize, fd: c_int, file: usize) {
        self.files[file].references += 1;
        self.descs[name] = Some(Desc { fd, file });
    }

    /// One descriptor fewer of a description; its registrations go with the last one.
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
        // The side that is not asked has a placeholder, so that the numbers of descriptors are the same.
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

    /// Opens what the kind says under one name or two.
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

    /// A descriptor of a file whose poll takes what it shows: the kernel's side has an open file description of its own.
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

    /// The number under which the kernel's side knows a descriptor.
    pub fn kernel_number(&self, desc: Desc) -> c_int {
        if self.kind(desc).is_fleeting() { fleeting::twin(desc.fd) } else { desc.fd }
    }

    /// Before a descriptor is closed: the kernel's side closes its own, and a mapping does not keep the file.
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

    /// Each gets an address of its own, or the ports would run out.
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
            // The second sends to the first, which is connected to nobody.
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

    /// A client of the listener.
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

    /// Closes everything, and leaves nothing behind for the next history.
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

    /// Closes everything, as at the end of a history; the next one names what it opens.
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
