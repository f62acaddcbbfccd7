//! The objects of a history: descriptors, instances on either side, and registrations.

mod file;
mod open;
mod registration;
mod sockets;

use libc::c_int;

pub use self::file::File;
pub use self::open::signals_of;
pub use self::registration::{Exclusive, Registration};
use crate::calls::{self, Tools};
use crate::connections::Movement;
use crate::counts::Counts;
use crate::crew::Crew;
use crate::findings::Finding;
use crate::kernel;
use crate::kinds::Kind;

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

/// An instance on either side.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub kernel: c_int,
    pub ours: c_int,
    pub file: usize,
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
}

impl World<'_> {
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

    pub fn kind(&self, desc: Desc) -> Kind {
        self.files[desc.file].kind
    }

    /// Whether a descriptor may have this name.
    fn is_free(&self, name: usize) -> bool {
        name < DESCS && self.descs[name].is_none()
    }

    /// A name that no other history of this process uses.
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
