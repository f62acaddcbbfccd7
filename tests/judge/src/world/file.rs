//! Open file descriptions, and the descriptors that refer to them.

use libc::c_int;

use super::{Desc, World};
use crate::calls::{self, Address};
use crate::fleeting;
use crate::kernel;
use crate::kinds::Kind;
use crate::known::{FACTS, Fact};

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

impl World<'_> {
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

    pub(super) fn adopt_one(&mut self, name: usize, fd: c_int, kind: Kind) -> Result<String, i32> {
        self.adopt(name, fd, kind);
        Ok(format!("{fd}"))
    }

    pub(super) fn adopt_both(&mut self, name: usize, other: usize, fds: [c_int; 2], kind: Kind) -> Result<String, i32> {
        let (one, two) = (self.adopt(name, fds[0], kind), self.adopt(other, fds[1], kind));
        self.files[one].peer = Some(two);
        self.files[two].peer = Some(one);
        Ok(format!("{} and {}", fds[0], fds[1]))
    }

    pub fn adopt_twin(&mut self, name: usize, fd: c_int, file: usize) {
        self.files[file].references += 1;
        self.descs[name] = Some(Desc { fd, file });
    }

    /// Names a descriptor of a file whose poll takes its level: the kernel's side has an open file
    /// description of its own.
    pub(super) fn adopt_with_twin(
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

    /// A number that refers to the description now: a registration's number may have been closed,
    /// and refer to another.
    pub fn number_of(&self, file: usize) -> Option<c_int> {
        self.descs.iter().flatten().chain(&self.crowd).find(|desc| desc.file == file).map(|desc| desc.fd)
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

    pub fn note(&mut self, file: usize, fact: Fact) {
        self.files[file].facts[fact as usize] = self.step;
    }

    /// Notes a fact for all descriptions with the same queue.
    pub fn note_queue(&mut self, file: usize, fact: Fact) {
        self.queue_of(file).into_iter().for_each(|other| self.note(other, fact));
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
}
