//! The mirror of the interest graph: numbers, open file descriptions, instances, registrations and
//! threads, as the facts show them. It attributes reported events to registrations.
//!
//! The program can do what the facts do not show: inline system calls, descriptors from messages,
//! calls inside libc. The mirror then lags, and [`File::is_foreign`] says so where it can be told.

use alloc::vec::Vec;

use epolyfill_facts::mask::{EDGE, ONESHOT, UNASKED};
use epolyfill_facts::{Event, Kind, NO_FD, Reason, SiteId};
use hashbrown::HashMap;

use crate::rules;
use crate::tables::{Numbers, Threads};

/// An index of [`Mirror::file`]. It is reused when the file is closed, with another generation.
pub type FileId = usize;

/// An index of [`Mirror::registration`].
pub type RegistrationId = usize;

/// An open file description, as far as the facts show it.
#[derive(Debug)]
pub struct File {
    /// Its kind.
    pub kind: Kind,
    /// The numbers of this process that are known to name it. Empty for a slot that is not in use.
    pub numbers: Vec<i32>,
    /// Its registrations.
    pub registrations: Vec<RegistrationId>,
    /// When it was first seen.
    pub since_ns: u64,
    /// Bytes that calls took.
    pub taken: u64,
    /// Bytes vanished that no call took.
    pub is_foreign: bool,
    /// It was inherited by a fork, so other processes can have it too.
    pub is_inherited: bool,
    /// The state of the rules.
    pub state: rules::OfFile,
}

/// An instance.
#[derive(Debug, Default)]
pub struct Instance {
    /// Its registrations.
    pub registrations: Vec<RegistrationId>,
    /// The registrations by their data.
    by_data: HashMap<u64, Vec<RegistrationId>>,
    /// The process that made it is not this one, but an ancestor.
    pub is_foreign: bool,
    /// The waits that have begun and not returned.
    pub waiting: u32,
    /// The state of the rules.
    pub state: rules::OfInstance,
}

/// A registration.
#[derive(Debug)]
pub struct Registration {
    /// The instance's file.
    pub instance: FileId,
    /// The instance's number at the last control call.
    pub epfd: i32,
    /// The number that was registered.
    pub fd: i32,
    /// The open file description that was registered.
    pub file: FileId,
    /// The mask.
    pub events: u32,
    /// The data.
    pub data: u64,
    /// Where it was added.
    pub site: SiteId,
    /// When it was added.
    pub added_ns: u64,
    /// EPOLLONESHOT, and spent.
    pub is_spent: bool,
    /// Its number is closed, and the description is open.
    pub is_ghost: bool,
    /// The calls since the last event, which explain the next one.
    pub since: Reason,
    /// Unique among all registrations that ever were.
    pub serial: u64,
    /// The state of the rules.
    pub state: rules::OfRegistration,
}

impl Registration {
    /// Whether it is edge-triggered.
    pub fn is_edge(&self) -> bool {
        self.events & EDGE != 0
    }

    /// Whether it is EPOLLONESHOT.
    pub fn is_oneshot(&self) -> bool {
        self.events & ONESHOT != 0
    }
}

/// An event of the last report of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batched {
    /// The registration, and its serial.
    pub registration: Option<(RegistrationId, u64)>,
    /// The event.
    pub event: Event,
    /// A call on its descriptor followed.
    pub is_handled: bool,
}

/// A thread that waited at least once.
#[derive(Debug, Default)]
pub struct Thread {
    /// The instance of its last wait.
    pub instance: Option<FileId>,
    /// The number of that instance.
    pub epfd: i32,
    /// When its current wait began, if it is in one.
    pub waits_since_ns: Option<u64>,
    /// When its last wait returned.
    pub returned_ns: u64,
    /// The number of its waits.
    pub waits: u64,
    /// The events of its last report.
    pub batch: Vec<Batched>,
    /// The index of the one that was handled last.
    pub handled: usize,
    /// The state of the rules.
    pub state: rules::OfThread,
}

impl Thread {
    /// The event of a descriptor in its last report, and its place there, if no call on the
    /// descriptor followed.
    pub fn unhandled(&self, fd: i32) -> Option<(usize, &Batched)> {
        self.batch.iter().enumerate().find(|(_, batched)| batched.event.fd == fd && !batched.is_handled)
    }
}

/// The graph.
#[derive(Debug, Default)]
pub struct Mirror {
    numbers: Numbers,
    files: Vec<File>,
    free_files: Vec<FileId>,
    instances: HashMap<FileId, Instance>,
    registrations: Vec<Option<Registration>>,
    free_registrations: Vec<RegistrationId>,
    threads: Threads,
    serials: u64,
}

/// No memory: the fact is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

fn reserve<T>(list: &mut Vec<T>) -> Result<(), NoMemory> {
    list.try_reserve(1).map_err(|_| NoMemory)
}

fn push<T>(list: &mut Vec<T>, item: T) -> Result<(), NoMemory> {
    reserve(list)?;
    list.push(item);
    Ok(())
}

/// Makes room for another item, and for all of them in the list of those that are free, which then
/// never has to grow.
fn reserve_slot<T>(list: &mut Vec<T>, free: &mut Vec<usize>) -> Result<(), NoMemory> {
    reserve(list)?;
    free.try_reserve(list.len() + 1 - free.len()).map_err(|_| NoMemory)
}

fn drop_from<T: PartialEq>(list: &mut Vec<T>, item: &T) {
    list.retain(|other| other != item);
}

impl Mirror {
    /// The file that a number names, if it is known.
    pub fn file_of(&self, fd: i32) -> Option<FileId> {
        self.numbers.get(fd)
    }

    /// A file.
    pub fn file(&self, id: FileId) -> Option<&File> {
        self.files.get(id).filter(|file| !file.numbers.is_empty() || !file.registrations.is_empty())
    }

    /// A file, to change the state of a rule.
    pub fn file_mut(&mut self, id: FileId) -> Option<&mut File> {
        self.files.get_mut(id)
    }

    /// The lowest known number in a range.
    pub fn next_number(&self, first: u32, last: u32) -> Option<i32> {
        self.numbers.next(first, last)
    }

    /// The highest known number; [`NO_FD`] if none is known.
    pub fn highest_number(&self) -> i32 {
        self.numbers.highest()
    }

    /// The instance that a number names.
    pub fn instance_of(&self, epfd: i32) -> Option<FileId> {
        self.file_of(epfd).filter(|id| self.instances.contains_key(id))
    }

    /// An instance by its file.
    pub fn instance(&self, id: FileId) -> Option<&Instance> {
        self.instances.get(&id)
    }

    /// An instance, to change the state of a rule.
    pub fn instance_mut(&mut self, id: FileId) -> Option<&mut Instance> {
        self.instances.get_mut(&id)
    }

    /// The instances.
    pub fn instances(&self) -> impl Iterator<Item = (FileId, &Instance)> {
        self.instances.iter().map(|(id, instance)| (*id, instance))
    }

    /// The ids of the instances; none for want of memory.
    pub fn instance_ids(&self) -> Vec<FileId> {
        let mut ids = Vec::new();
        if ids.try_reserve_exact(self.instances.len()).is_ok() {
            ids.extend(self.instances.keys());
        }
        ids
    }

    /// A registration.
    pub fn registration(&self, id: RegistrationId) -> Option<&Registration> {
        self.registrations.get(id)?.as_ref()
    }

    /// A registration, to change the state of a rule.
    pub fn registration_mut(&mut self, id: RegistrationId) -> Option<&mut Registration> {
        self.registrations.get_mut(id)?.as_mut()
    }

    /// A registration that is still the one with this serial.
    pub fn still(&self, (id, serial): (RegistrationId, u64)) -> Option<&Registration> {
        self.registration(id).filter(|registration| registration.serial == serial)
    }

    /// The registrations of the file under a number.
    pub fn registrations_of(&self, fd: i32) -> &[RegistrationId] {
        let file = self.file_of(fd).and_then(|id| self.files.get(id));
        file.map_or(&[], |file| &file.registrations)
    }

    /// The registration of a number in an instance.
    pub fn find(&self, instance: FileId, fd: i32) -> Option<RegistrationId> {
        let file = self.file_of(fd)?;
        let of_file = &self.files.get(file)?.registrations;
        let is_it = |registration: &Registration| registration.instance == instance && registration.fd == fd;
        of_file.iter().copied().find(|id| self.registration(*id).is_some_and(is_it))
    }

    /// A thread that has waited.
    pub fn thread(&self, tid: i32) -> Option<&Thread> {
        self.threads.get(tid)
    }

    /// A thread, which is made if it is new.
    pub fn thread_mut(&mut self, tid: i32) -> Result<&mut Thread, NoMemory> {
        self.threads.get_or_make(tid)
    }

    /// A thread that has waited, to change its state.
    pub fn known_thread_mut(&mut self, tid: i32) -> Option<&mut Thread> {
        self.threads.get_mut(tid)
    }

    /// Whether a file is of this kind; it is if its kind has not been asked for before.
    pub fn has_kind(&mut self, id: FileId, kind: Kind) -> bool {
        let Some(file) = self.files.get_mut(id) else { return false };
        if file.kind == Kind::Unidentified {
            file.kind = kind;
        }
        file.kind == kind
    }

    /// The threads that have waited.
    pub fn threads(&self) -> impl Iterator<Item = (i32, &Thread)> {
        self.threads.iter()
    }

    /// Forgets the threads that have ended, if this one is new and there are many. Their waits have
    /// not returned, if they were cancelled.
    pub fn make_room_for_thread(&mut self, tid: i32, has_ended: impl FnMut(i32) -> bool) {
        if self.threads.get(tid).is_some() || !self.threads.is_full() {
            return;
        }
        let instances = &mut self.instances;
        self.threads.forget(has_ended, |ended| {
            let waited = ended.instance.filter(|_| ended.waits_since_ns.is_some());
            if let Some(instance) = waited.and_then(|id| instances.get_mut(&id)) {
                instance.waiting = instance.waiting.saturating_sub(1);
            }
        });
    }

    /// The file under a number, which is made if the number is new. `kind` is asked for then.
    pub fn learn(&mut self, fd: i32, now_ns: u64, kind: impl FnOnce() -> Kind) -> Result<FileId, NoMemory> {
        if let Some(known) = self.file_of(fd) {
            return Ok(known);
        }
        self.numbers.reserve(fd)?;
        let mut numbers = Vec::new();
        push(&mut numbers, fd)?;
        let file = File {
            kind: kind(),
            numbers,
            registrations: Vec::new(),
            since_ns: now_ns,
            taken: 0,
            is_foreign: false,
            is_inherited: false,
            state: rules::OfFile::default(),
        };
        let id = match self.free_files.pop() {
            Some(id) => {
                self.files[id] = file;
                id
            }
            None => {
                reserve_slot(&mut self.files, &mut self.free_files)?;
                self.files.push(file);
                self.files.len() - 1
            }
        };
        self.numbers.insert(fd, id);
        Ok(id)
    }

    /// Notes that a file is an instance.
    pub fn learn_instance(&mut self, id: FileId) -> Result<&mut Instance, NoMemory> {
        self.instances.try_reserve(1).map_err(|_| NoMemory)?;
        if let Some(file) = self.files.get_mut(id) {
            file.kind = Kind::Epoll;
        }
        Ok(self.instances.entry(id).or_default())
    }

    /// Adds a registration.
    pub fn add(&mut self, mut registration: Registration) -> Result<RegistrationId, NoMemory> {
        self.serials += 1;
        registration.serial = self.serials;
        let (instance, file, data) = (registration.instance, registration.file, registration.data);
        reserve_slot(&mut self.registrations, &mut self.free_registrations)?;
        let id = self.free_registrations.last().copied().unwrap_or(self.registrations.len());
        let of_instance = self.instances.get_mut(&instance).ok_or(NoMemory)?;
        reserve(&mut of_instance.registrations)?;
        of_instance.by_data.try_reserve(1).map_err(|_| NoMemory)?;
        let of_file = self.files.get_mut(file).ok_or(NoMemory)?;
        reserve(&mut of_file.registrations)?;
        push(of_instance.by_data.entry(data).or_default(), id)?;
        of_instance.registrations.push(id);
        of_file.registrations.push(id);
        if self.free_registrations.pop().is_some() {
            self.registrations[id] = Some(registration);
        } else {
            self.registrations.push(Some(registration));
        }
        Ok(id)
    }

    /// Changes the mask and the data of a registration.
    pub fn modify(&mut self, id: RegistrationId, events: u32, data: u64) -> Result<(), NoMemory> {
        let Some(registration) = self.registrations.get_mut(id).and_then(Option::as_mut) else { return Ok(()) };
        let before = registration.data;
        (registration.events, registration.data, registration.is_spent) = (events, data, false);
        registration.since = Reason::Control;
        let Some(instance) = self.instances.get_mut(&registration.instance) else { return Ok(()) };
        if before != data {
            if let Some(same) = instance.by_data.get_mut(&before) {
                drop_from(same, &id);
                if same.is_empty() {
                    instance.by_data.remove(&before);
                }
            }
            instance.by_data.try_reserve(1).map_err(|_| NoMemory)?;
            push(instance.by_data.entry(data).or_default(), id)?;
        }
        Ok(())
    }

    /// Ends a registration.
    pub fn remove(&mut self, id: RegistrationId) -> Option<Registration> {
        let registration = self.registrations.get_mut(id)?.take()?;
        self.free_registrations.push(id); // `add` reserved the place.
        if let Some(instance) = self.instances.get_mut(&registration.instance) {
            drop_from(&mut instance.registrations, &id);
            if let Some(same) = instance.by_data.get_mut(&registration.data) {
                drop_from(same, &id);
                if same.is_empty() {
                    instance.by_data.remove(&registration.data);
                }
            }
        }
        if let Some(file) = self.files.get_mut(registration.file) {
            drop_from(&mut file.registrations, &id);
            self.free_if_unused(registration.file);
        }
        Some(registration)
    }

    fn free_if_unused(&mut self, id: FileId) {
        if self.files[id].numbers.is_empty() && self.files[id].registrations.is_empty() {
            self.free_files.push(id);
        }
    }

    /// Ends a number. Its registrations become ghosts if the description goes on, and end if not.
    /// `is_elsewhere`: another process has the description.
    pub fn close(&mut self, fd: i32, is_elsewhere: bool) {
        let Some(id) = self.numbers.remove(fd) else { return };
        drop_from(&mut self.files[id].numbers, &fd);
        let is_last = self.files[id].numbers.is_empty();
        if is_last && let Some(instance) = self.instances.remove(&id) {
            for registration in instance.registrations {
                self.remove(registration);
            }
        }
        let goes_on = !is_last || is_elsewhere || self.files[id].is_inherited;
        if is_last && self.files[id].registrations.is_empty() {
            self.free_files.push(id); // `learn` reserved the place.
            return;
        }
        let mut at = 0;
        while let Some(&registration) = self.files[id].registrations.get(at) {
            if goes_on {
                if let Some(registration) = self.registration_mut(registration).filter(|r| r.fd == fd) {
                    registration.is_ghost = true;
                }
                at += 1;
            } else if self.remove(registration).is_none() {
                at += 1;
            }
        }
    }

    /// Gives a file another number.
    pub fn duplicate(&mut self, from: i32, to: i32) -> Result<(), NoMemory> {
        let Some(id) = self.file_of(from) else { return Ok(()) };
        self.numbers.reserve(to)?;
        push(&mut self.files[id].numbers, to)?;
        self.numbers.insert(to, id);
        Ok(())
    }

    /// Makes the mirror that of a forked child. The call stacks so far are in the parent's record,
    /// whose numbers the child's go on from.
    pub fn fork(&mut self) {
        self.files.iter_mut().for_each(|file| file.is_inherited = true);
        for instance in self.instances.values_mut() {
            (instance.is_foreign, instance.waiting) = (true, 0);
        }
        self.threads.clear();
    }

    /// The room in the lists of what is free.
    #[cfg(test)]
    pub(crate) fn room_for_free(&self) -> [usize; 2] {
        [self.free_files.capacity(), self.free_registrations.capacity()]
    }

    /// The registration that an event of an instance belongs to; of several with the same data the
    /// one whose mask has the bits. `None` if that is not certain. Those that only another process
    /// can keep alive are not considered while there are others.
    pub fn attribute(&self, instance: FileId, data: u64, bits: u32) -> Option<RegistrationId> {
        let same = self.instances.get(&instance)?.by_data.get(&data)?;
        if let [one] = same[..] {
            return Some(one);
        }
        let fits = |r: &Registration| {
            let is_ours = self.files.get(r.file).is_some_and(|file| !file.numbers.is_empty());
            is_ours && !r.is_spent && bits & !UNASKED & !r.events == 0
        };
        let mut fitting = same.iter().copied().filter(|id| self.registration(*id).is_some_and(fits));
        fitting.next().filter(|_| fitting.next().is_none())
    }

    /// The number that an event belongs to, or [`NO_FD`].
    pub fn number_of_event(&self, epfd: i32, data: u64, bits: u32) -> i32 {
        let instance = self.instance_of(epfd);
        let registration = instance.and_then(|instance| self.attribute(instance, data, bits));
        registration.and_then(|id| self.registration(id)).map_or(NO_FD, |registration| registration.fd)
    }
}
