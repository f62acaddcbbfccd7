//! Chooses the next step of a random history. It uses the state of the world, so that most steps do
//! something; some are invalid on purpose.

use crate::kernel;
use crate::kinds::Kind;
use crate::noise::Noise;
use crate::op::{Op, Verb};
use crate::options::Options;
use crate::profile::Profile;
use crate::world::{DESCS, NONSENSE, PAIR_TARGETS, PAIRS, World};

/// The subject of one history.
#[derive(Clone, Debug)]
pub struct Theme {
    kinds: Vec<Kind>,
    profile: Profile,
    pairs: usize,
    /// Mostly waits over a large crowd, so that silent registrations are parked.
    crowded: bool,
    /// Instances compete for exclusive registrations.
    exclusive: bool,
    /// How many of eight registrations are edge-triggered.
    edges: u64,
    /// Fixed sizes make equal amounts likely.
    sizes: [i64; 3],
    next_data: i64,
    /// The most threads that sleep on one instance.
    threads: usize,
    /// Whether to make steps whose lost reports are listed.
    listed: bool,
    /// UDP sockets are shut for reading; otherwise they get empty datagrams. Both together are
    /// listed as lost.
    shuts_udp: bool,
}

const SIZES: [i64; 20] =
    [0, 1, 1, 2, 3, 7, 8, 10, 100, 511, 512, 1000, 2048, 4095, 4096, 4097, 8192, 20000, 65535, 65536];

const LEVELS: [i32; 11] = [
    libc::EPOLLIN,
    libc::EPOLLPRI,
    libc::EPOLLOUT,
    libc::EPOLLERR,
    libc::EPOLLHUP,
    libc::EPOLLRDNORM,
    libc::EPOLLRDBAND,
    libc::EPOLLWRNORM,
    libc::EPOLLWRBAND,
    libc::EPOLLMSG,
    libc::EPOLLRDHUP,
];

impl Theme {
    pub fn new(noise: &mut Noise, options: &Options, profile: Profile) -> Theme {
        let kinds = &options.kinds;
        let weights: Vec<u32> = kinds.iter().map(|kind| kind.weight()).collect();
        let count = 1 + noise.below(3);
        let mut chosen: Vec<Kind> = (0..count).map(|_| kinds[noise.weighted(&weights)]).collect();
        if profile == Profile::Nested
            && !options.listed
            && !noise.once_in(10)
            && kinds.iter().any(|kind| !kind.is_fleeting() && kind.weight() > 0)
        {
            // Looks from outside the instance at a level that a poll takes are listed differences.
            chosen.retain(|kind| !kind.is_fleeting());
            while chosen.is_empty() {
                chosen.extend(Some(kinds[noise.weighted(&weights)]).filter(|kind| !kind.is_fleeting()));
            }
        }
        chosen.sort();
        chosen.dedup();
        let size = |noise: &mut Noise| noise.pick(&SIZES);
        Theme {
            kinds: chosen,
            profile,
            pairs: if profile == Profile::Nested { 2 + noise.below(3) as usize } else { 1 + noise.below(3) as usize },
            crowded: noise.once_in(150),
            exclusive: noise.once_in(12),
            edges: noise.pick(&[0, 3, 5, 7, 8, 8]),
            sizes: [size(noise), size(noise), size(noise)],
            next_data: 1,
            threads: options.threads,
            listed: options.listed,
            shuts_udp: noise.below(2) == 0,
        }
    }

    fn size(&self, noise: &mut Noise) -> i64 {
        if noise.once_in(3) { noise.pick(&SIZES) } else { noise.pick(&self.sizes) }
    }

    fn data(&mut self) -> i64 {
        self.next_data += 1;
        self.next_data
    }

    fn mask(&self, noise: &mut Noise, kind: Kind, adds: bool) -> i64 {
        let usual = [
            libc::EPOLLIN,
            libc::EPOLLIN,
            libc::EPOLLOUT,
            libc::EPOLLIN | libc::EPOLLOUT,
            libc::EPOLLIN | libc::EPOLLRDHUP,
            libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP,
            libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLPRI,
            libc::EPOLLRDHUP,
            0,
        ];
        let mut mask = if noise.once_in(8) {
            LEVELS.iter().filter(|_| noise.once_in(3)).fold(0, |all, bit| all | bit)
        } else {
            noise.pick(&usual)
        };
        if noise.below(8) < self.edges {
            mask |= libc::EPOLLET;
        }
        if noise.once_in(10) {
            mask |= libc::EPOLLONESHOT;
        }
        if noise.once_in(60) {
            mask |= libc::EPOLLWAKEUP;
        }
        if (self.exclusive && adds && noise.below(4) < 3) || noise.once_in(100) {
            mask |= libc::EPOLLEXCLUSIVE;
            if !noise.once_in(12) {
                let company = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET | libc::EPOLLEXCLUSIVE | libc::EPOLLWAKEUP;
                mask &= company;
            }
        }
        let is_edge = mask & libc::EPOLLET != 0 || self.profile == Profile::Nested;
        if kind == Kind::Pty && (is_edge || !self.listed && !noise.once_in(10)) {
            // A read on the other side of a terminal is an edge that the library cannot see, and
            // its level changes without a wake-up: listed.
            mask &= !(libc::EPOLLOUT | libc::EPOLLWRNORM | libc::EPOLLWRBAND);
        }
        if kind == Kind::Mptcp && (is_edge || !self.listed) {
            // The library reports it after each write: listed.
            mask &= !(libc::EPOLLOUT | libc::EPOLLWRNORM | libc::EPOLLWRBAND);
        }
        i64::from(mask.cast_unsigned())
    }

    /// Returns the next step.
    pub fn next(&mut self, noise: &mut Noise, world: &World<'_>) -> Op {
        let pairs = world.pairs.iter().flatten().count();
        let descs: Vec<usize> = (0..DESCS).filter(|&name| world.descs[name].is_some()).collect();
        if pairs < self.pairs && (pairs == 0 || noise.once_in(3)) {
            let free = world.pairs.iter().position(Option::is_none).unwrap_or(0);
            return Op::new(Verb::Instance, &[free as i64, noise.below(2) as i64]);
        }
        if descs.len() < 2 || descs.len() < 12 && noise.once_in(4 + 3 * descs.len() as u64) {
            return self.open(noise, world);
        }
        if world.registrations.iter().filter(|one| one.alive).count() < 2 || noise.once_in(9) {
            return self.control(noise, world, &descs);
        }
        if self.crowded && world.crowd.is_empty() {
            let pair = self.pair(noise, world);
            return Op::new(Verb::Crowd, &[pair, 70 + noise.below(100) as i64]);
        }
        if self.profile == Profile::Threads
            && let Some(op) = self.with_threads(noise, world, &descs)
        {
            return op;
        }
        if self.exclusive && noise.once_in(4) {
            return Op::new(Verb::Sweep, &[]);
        }
        if noise.below(100) < if self.crowded { 70 } else { 36 } {
            return self.wait(noise, world);
        }
        if noise.once_in(if self.profile == Profile::Nested { 12 } else { 500 }) && self.profile == Profile::Nested {
            let events = noise.pick(&[1, 5, 0x2d, 0x41]);
            return Op::new(Verb::Poll, &[self.pair(noise, world), events]);
        }
        if self.crowded && noise.once_in(10) && !world.crowd.is_empty() {
            return Op::new(Verb::StirCrowd, &[noise.below(world.crowd.len() as u64) as i64]);
        }
        if self.profile == Profile::Forking
            && noise.once_in(40)
            && let Some(op) = self.child(noise, world, &descs)
        {
            return op;
        }
        match noise.below(100) {
            0..70 => self.transfer(noise, world, &descs),
            70..76 => self.duplicate(noise, world, &descs),
            76..81 => self.close(noise, world, &descs),
            81 => {
                if noise.once_in(4) {
                    Op::new(Verb::EndInstance, &[self.pair(noise, world)])
                } else {
                    Op::new(Verb::Sweep, &[])
                }
            }
            82..86 => Op::new(Verb::BadWait, &[self.pair(noise, world), noise.below(9) as i64]),
            86..90 => Op::new(Verb::Rotate, &[self.pair(noise, world)]),
            _ => self.special(noise, world, &descs),
        }
    }

    /// The next step while threads sleep, or a step that puts some to sleep.
    fn with_threads(&mut self, noise: &mut Noise, world: &World<'_>, descs: &[usize]) -> Option<Op> {
        match &world.crew {
            Some(_) if noise.once_in(5) => Some(Op::new(Verb::Settle, &[])),
            Some(_) if noise.once_in(4) => Some(self.control(noise, world, descs)),
            Some(_) => Some(self.transfer(noise, world, descs)),
            None if noise.once_in(40) => {
                let count = 1 + noise.below(self.threads as u64) as i64;
                Some(Op::new(Verb::Sleepers, &[self.pair(noise, world), count, noise.pick(&[1, 64, 64])]))
            }
            None => None,
        }
    }

    fn pair(&self, noise: &mut Noise, world: &World<'_>) -> i64 {
        let open: Vec<i64> = (0..PAIRS).filter(|&name| world.pairs[name].is_some()).map(|name| name as i64).collect();
        if open.is_empty() { 0 } else { noise.pick(&open) }
    }

    fn free(noise: &mut Noise, world: &World<'_>, but: i64) -> i64 {
        let free: Vec<i64> =
            (0..DESCS as i64).filter(|&name| name != but && world.descs[name as usize].is_none()).collect();
        if free.is_empty() { 0 } else { noise.pick(&free[..free.len().min(4)]) }
    }

    fn open(&self, noise: &mut Noise, world: &World<'_>) -> Op {
        let kind = if noise.once_in(60) { Kind::Refused } else { noise.pick(&self.kinds) };
        let first = Theme::free(noise, world, -1);
        let second = Theme::free(noise, world, first);
        let mut variant = noise.below(8) as i64;
        if kind == Kind::Pipe && !self.listed && !noise.once_in(4) {
            // Truncated packets are listed.
            variant &= !2;
        }
        Op::new(Verb::Open, &[first, second, kind as i64, variant])
    }

    fn control(&mut self, noise: &mut Noise, world: &World<'_>, descs: &[usize]) -> Op {
        let pair = if noise.once_in(60) { PAIR_TARGETS + noise.pick(descs) as i64 } else { self.pair(noise, world) };
        let target = match noise.below(40) {
            0 => NONSENSE + noise.below(3) as i64,
            1 => PAIR_TARGETS + pair.min(4),
            2..12 if self.profile == Profile::Nested => PAIR_TARGETS + self.pair(noise, world),
            _ => noise.pick(descs) as i64,
        };
        // A registered target is mostly modified or deleted, another one is mostly added.
        let number = usize::try_from(target).ok().and_then(|name| world.desc(name)).map(|desc| (desc.fd, desc.file));
        let is_registered = world
            .registrations
            .iter()
            .any(|one| one.alive && one.pair as i64 == pair && Some((one.number, one.file)) == number);
        let op = match noise.below(20) {
            0 => noise.pick(&[0, 1, 2, 3, 4]),
            1..4 if is_registered => libc::EPOLL_CTL_DEL,
            4.. if is_registered => libc::EPOLL_CTL_MOD,
            _ => libc::EPOLL_CTL_ADD,
        };
        let kind = number.map_or(Kind::Epoll, |(_, file)| world.files[file].kind);
        // If a description has several registrations, it is listed which of them is shown a level
        // that a poll takes.
        let is_shared = |(_, file)| world.registrations.iter().any(|one| one.alive && one.file == file);
        let op = match op {
            libc::EPOLL_CTL_ADD if kind.is_fleeting() && !self.listed && number.is_some_and(is_shared) => {
                libc::EPOLL_CTL_MOD
            }
            op => op,
        };
        let data = if noise.once_in(80) { 0 } else { self.data() };
        let mask = self.mask(noise, kind, op == libc::EPOLL_CTL_ADD);
        Op::new(Verb::Control, &[pair, i64::from(op), target, mask, data])
    }

    fn wait(&self, noise: &mut Noise, world: &World<'_>) -> Op {
        let pair = self.pair(noise, world);
        let max = noise.pick(&[1, 2, 3, 64, 64, 64, 64, 64]);
        let ns = match noise.below(400) {
            0 => 1_000_000,
            1..6 => 20_000 + noise.below(60_000) as i64,
            _ => 0,
        };
        let call = if ns > 0 && ns < 1_000_000 { 2 } else { noise.pick(&[0, 0, 0, 1, 2]) };
        Op::new(Verb::Wait, &[pair, max, ns, call, i64::from(noise.once_in(4))])
    }

    fn transfer(&self, noise: &mut Noise, world: &World<'_>, descs: &[usize]) -> Op {
        let name = noise.pick(descs);
        let kind = world.files[world.descs[name].map_or(0, |desc| desc.file)].kind;
        let size = self.size(noise);
        let name = name as i64;
        match kind {
            Kind::TcpListener | Kind::UnixListener => {
                let verb = if noise.below(2) == 0 { Verb::Connect } else { Verb::Accept };
                Op::new(verb, &[name, Theme::free(noise, world, -1)])
            }
            Kind::Timerfd if noise.below(2) == 0 => Op::new(Verb::SetTimer, &[name, noise.below(5) as i64]),
            Kind::Signalfd if noise.once_in(10) => Op::new(Verb::Mask, &[name, noise.below(8) as i64]),
            Kind::Pty if noise.once_in(8) => Op::new(Verb::ControlTerminal, &[name, noise.below(5) as i64]),
            Kind::Signalfd if noise.below(2) == 0 => Op::new(Verb::Signal, &[name, noise.below(3) as i64]),
            Kind::Inotify if noise.below(2) == 0 => Op::new(Verb::Touch, &[name, noise.below(2) as i64]),
            Kind::Mounts | Kind::Perf if noise.below(3) > 0 => Op::new(Verb::Change, &[name]),
            Kind::Mounts | Kind::Perf => Op::new(Verb::Read, &[name, size, noise.pick(&[0, 1])]),
            Kind::Pidfd if noise.once_in(5) => Op::new(Verb::EndChild, &[name]),
            _ if noise.below(2) == 0 => self.write(noise, name, kind, size),
            _ => self.read(noise, name, kind, size),
        }
    }

    fn write(&self, noise: &mut Noise, name: i64, kind: Kind, size: i64) -> Op {
        let how = match kind {
            _ if noise.below(2) == 0 => 0,
            // A splice that finds no room is listed as lost.
            Kind::Tcp if !self.listed => noise.pick(&[0, 1, 2, 3, 4, 5, 6, 9, 11]),
            _ if kind.is_socket() => noise.pick(&[0, 1, 2, 3, 4, 5, 6, 7, 9, 11]),
            _ if kind.is_pipe() => noise.pick(&[0, 1, 6, 7, 8, 9, 11, 12]),
            Kind::Eventfd | Kind::Semaphore => noise.pick(&[0, 10, 1, 11]),
            _ => noise.pick(&[0, 1, 9, 11]),
        };
        let fills = matches!(
            kind,
            Kind::Pipe | Kind::Fifo | Kind::Tcp | Kind::UnixStream | Kind::UnixDgram | Kind::UnixSeqpacket
        );
        if fills && noise.once_in(8) {
            let size = noise.pick(&[4096, 4096, 8192, 65536, 1000]);
            return Op::new(Verb::Fill, &[name, size, how]);
        }
        let size = match kind {
            Kind::Eventfd | Kind::Semaphore => noise.pick(&[0, 1, 1, 1, 2, 5, 65535]),
            // An empty packet behind others is a listed difference.
            Kind::UnixSeqpacket => size.max(1),
            Kind::Udp if self.shuts_udp && !self.listed => size.max(1),
            _ => size,
        };
        Op::new(Verb::Write, &[name, size, how])
    }

    fn read(&self, noise: &mut Noise, name: i64, kind: Kind, size: i64) -> Op {
        let how = match kind {
            _ if noise.below(2) == 0 => 0,
            _ if kind.is_socket() => noise.pick(&[0, 1, 2, 3, 4, 5, 6, 9, 11]),
            // Reads of a part of a buffer lead to listed differences.
            _ if kind.is_pipe() && !self.listed && !noise.once_in(6) => noise.pick(&[0, 1, 6, 11]),
            _ if kind.is_pipe() => noise.pick(&[0, 1, 6, 7, 8, 11]),
            Kind::Eventfd | Kind::Semaphore => noise.pick(&[0, 10, 1, 11]),
            _ => noise.pick(&[0, 1, 6, 11]),
        };
        let (verb, size) = match noise.below(10) {
            0..4 => (Verb::Drain, noise.pick(&[65536, 65536, 4096, 1000, 100])),
            4 => (Verb::Read, 65536),
            _ => (Verb::Read, size),
        };
        Op::new(verb, &[name, size, how])
    }

    fn duplicate(&self, noise: &mut Noise, world: &World<'_>, descs: &[usize]) -> Op {
        let name = noise.pick(descs) as i64;
        if noise.once_in(3) {
            Op::new(Verb::DupOver, &[name, noise.pick(descs) as i64, noise.below(2) as i64])
        } else {
            Op::new(Verb::Dup, &[name, Theme::free(noise, world, name), noise.below(3) as i64])
        }
    }

    fn close(&self, noise: &mut Noise, world: &World<'_>, descs: &[usize]) -> Op {
        let name = noise.pick(descs);
        let kind = world.files[world.descs[name].map_or(0, |desc| desc.file)].kind;
        if kind == Kind::Tcp && noise.once_in(3) {
            return Op::new(Verb::Reset, &[name as i64]);
        }
        Op::new(Verb::Close, &[name as i64, noise.pick(&[0, 0, 0, 0, 1, 2, 3])])
    }

    fn special(&self, noise: &mut Noise, world: &World<'_>, descs: &[usize]) -> Op {
        let name = noise.pick(descs);
        let kind = world.files[world.descs[name].map_or(0, |desc| desc.file)].kind;
        let (name, mut size) = (name as i64, self.size(noise));
        if kind.is_pipe() && !self.listed && !noise.once_in(4) {
            // Reads of a part of a buffer lead to listed differences.
            size = 65536;
        }
        let other = noise.pick(descs) as i64;
        if noise.once_in(if self.listed { 3 } else { 5 })
            && let Some(op) = self.of_socket(noise, world, (name, kind), other)
        {
            return op;
        }
        match noise.below(10) {
            0..3 if kind == Kind::Udp && !self.shuts_udp && !self.listed => Op::new(Verb::Shutdown, &[name, 1]),
            // A read after a shutdown for reading is listed.
            0..3 if kind == Kind::Mptcp && !self.listed => Op::new(Verb::Shutdown, &[name, 1]),
            0..3 if kind.is_socket() => Op::new(Verb::Shutdown, &[name, noise.below(3) as i64]),
            // Urgent data that a plain read steps over before the next wait is listed as lost.
            3..5 if kind == Kind::Tcp && (self.listed || !edges_await_end(world, name as usize)) => {
                Op::new(if noise.below(2) == 0 { Verb::SendUrgent } else { Verb::ReadUrgent }, &[name])
            }
            5 if kind.is_socket() && !kind.is_listener() => {
                let listener = if noise.once_in(3) { -1 } else { other };
                Op::new(Verb::ConnectAgain, &[name, listener])
            }
            6 if kind.is_socket() => Op::new(Verb::TakeError, &[name]),
            // A peek at an empty datagram is listed as lost.
            7 | 8 if kind.is_socket() && (self.listed || kind != Kind::UnixDgram) => Op::new(Verb::Peek, &[name, size]),
            // The close of one of several descriptions of a FIFO is listed as lost.
            0..3 if kind == Kind::Fifo && self.listed => {
                Op::new(Verb::OpenAgain, &[name, Theme::free(noise, world, -1), noise.below(3) as i64])
            }
            3 if kind.is_pipe() => Op::new(Verb::PipeSize, &[name, noise.pick(&[4096, 8192, 65536])]),
            5 | 6 if kind.is_pipe() => Op::new(Verb::Tee, &[name, other, size]),
            _ => Op::new(Verb::Splice, &[name, other, size]),
        }
    }

    /// Steps for sockets only.
    fn of_socket(&self, noise: &mut Noise, world: &World<'_>, (name, kind): (i64, Kind), other: i64) -> Option<Op> {
        let [buffer, receives, queues, stamps, least, unsent] = [0, 1, 2, 3, 4, 5];
        let set = |option: i64, value: i64| Op::new(Verb::SetOption, &[name, option, value]);
        let errors = Op::new(Verb::TakeErrors, &[name, noise.pick(&[1, 1, 2, 100])]);
        Some(match kind {
            Kind::Udp => match noise.below(8) {
                0 => set(buffer, noise.pick(&[10_000, 30_000, 200_000])),
                1 | 2 => set(queues, noise.pick(&[0, 1, 1])),
                3 => set(stamps, noise.pick(&[0, 1, 1])),
                4 => Op::new(Verb::ConnectAgain, &[name, -1]),
                _ => errors,
            },
            Kind::Tcp => match noise.below(8) {
                0 => set(buffer, noise.pick(&[10_000, 30_000, 200_000])),
                1 => set(unsent, noise.pick(&[1, 10_000, 1_000_000])),
                // Arrivals below the low-water mark lead to listed differences.
                2 if self.listed || noise.once_in(30) => set(least, noise.pick(&[1, 1, 2, 100])),
                2 => set(receives, 50_000),
                3 => set(receives, noise.pick(&[10_000, 200_000])),
                4 => Op::new(Verb::Disconnect, &[name]),
                _ => Op::new(Verb::ConnectByWrite, &[name, other, noise.below(3) as i64]),
            },
            // Urgent data that a plain read steps over is listed.
            Kind::UnixStream if noise.below(3) > 0 && (self.listed || !edges_await_end(world, name as usize)) => {
                Op::new(if noise.below(2) == 0 { Verb::SendUrgent } else { Verb::ReadUrgent }, &[name])
            }
            _ if kind.is_socket() => set(buffer, noise.pick(&[10_000, 30_000, 200_000])),
            _ => return None,
        })
    }

    fn child(&self, noise: &mut Noise, world: &World<'_>, descs: &[usize]) -> Option<Op> {
        let name = noise.pick(descs);
        let kind = world.files[world.descs[name].map_or(0, |desc| desc.file)].kind;
        let what = match kind {
            Kind::Pipe | Kind::Fifo | Kind::Tcp | Kind::UnixStream | Kind::UnixSeqpacket | Kind::UnixDgram => {
                noise.pick(&[0, 0, 1, 2, 3])
            }
            Kind::Udp => noise.pick(&[0, 0, 3]),
            _ => 3,
        };
        // Actions of another process on the watched description itself are listed as lost if they
        // leave no trace.
        let awaits = if what == 2 { edges_await_end } else { edges_await };
        // So is its write that a full pipe refuses.
        let is_refused = what == 0 && kind.is_pipe() && is_full(world, name) && edges_await_end(world, name);
        let what = if !self.listed && (awaits(world, name) || is_refused) { 3 } else { what };
        Some(Op::new(Verb::Child, &[name as i64, what, self.size(noise).max(1)]))
    }
}

/// Whether the file under the name is registered edge-triggered.
fn edges_await(world: &World, name: usize) -> bool {
    edges_await_file(world, world.descs[name].map(|desc| desc.file))
}

/// Whether this file or its peer is registered edge-triggered, or may be.
fn edges_await_end(world: &World, name: usize) -> bool {
    let peer = world.descs[name].and_then(|desc| world.files[desc.file].peer);
    edges_await(world, name) || peer.is_none() || edges_await_file(world, peer)
}

fn is_full(world: &World, name: usize) -> bool {
    world.descs[name].is_some_and(|desc| kernel::level(desc.fd, libc::POLLOUT) == 0)
}

fn edges_await_file(world: &World, file: Option<usize>) -> bool {
    world.registrations.iter().any(|one| one.alive && Some(one.file) == file && !one.is_level())
}
