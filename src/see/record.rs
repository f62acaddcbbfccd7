//! The record of the process: a file that is mapped, and then closed. `layout` in `crates/facts`
//! describes it.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};

use epolyfill_audit::counts::Counts;
use epolyfill_audit::{FINDING_BYTES, Finding};
use epolyfill_facts::layout::{self, word};
use libc::c_int;
use nix::errno::Errno;

use super::stack::Stack;
use crate::log::Line;
use crate::sys;

/// A mapped record. One thread at a time writes to it.
#[derive(Debug)]
pub struct Record {
    base: *mut u8,
    /// The bytes of the ring of facts.
    room: usize,
    sites: usize,
    /// The addresses of the lines of the maps.
    code: Vec<(u64, u64)>,
    /// How often the maps were read again.
    looks: u32,
    /// Where the reader was when it was found stuck.
    stuck_at: Cell<Option<usize>>,
}

// SAFETY: the mapping is never removed, and the recorder's lock lets one thread write.
unsafe impl Send for Record {}

/// The longest path of a directory.
pub const MOST_PATH: usize = 200;

impl Record {
    /// Makes a record in a directory, with a ring of so many bytes (a power of two, or 0).
    pub fn create(directory: &[u8], room: usize) -> Result<Record, Errno> {
        let bytes = layout::RING + room;
        let fd = open(directory)?;
        // Without the blocks a full disk would be SIGBUS in the program.
        let base = sys::allocate(fd, bytes).and_then(|()| sys::map_file(fd, bytes));
        let _ = sys::close(fd);
        let base = base?;
        // A forked child makes a record of its own.
        let _ = sys::keep_from_children(base, bytes);
        let mut record = Record { base, room, sites: 1, code: Vec::new(), looks: 0, stuck_at: Cell::new(None) };
        record.note_maps();
        record.word(word::PID).store(sys::getpid() as u64, Relaxed);
        record.word(word::PID_NAMESPACE).store(pid_namespace().unwrap_or(0), Relaxed);
        record.word(word::RING).store(room as u64, Relaxed);
        record.word(word::SITES).store(1, Relaxed);
        record.word(word::BEGAN).store(sys::now(), Relaxed);
        Ok(record)
    }

    /// Shows the record to readers.
    pub fn begin(&self) {
        self.word(word::MAGIC).store(layout::MAGIC, Release);
    }

    /// A word of the header.
    pub fn word(&self, index: usize) -> &AtomicU64 {
        // SAFETY: the header is at the start of the mapping, which is never removed.
        unsafe { &*self.base.add(index * 8).cast::<AtomicU64>() }
    }

    /// The futex in the low half of a word.
    fn futex(&self, index: usize) -> &AtomicU32 {
        let half = if cfg!(target_endian = "big") { 4 } else { 0 };
        // SAFETY: as in `word`.
        unsafe { &*self.base.add(index * 8 + half).cast::<AtomicU32>() }
    }

    fn put(&self, at: usize, bytes: &[u8]) {
        debug_assert!(at + bytes.len() <= layout::RING + self.room);
        // SAFETY: the place is in the mapping, and one thread at a time writes.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.add(at), bytes.len()) };
    }

    /// Wakes a reader.
    pub fn announce(&self) {
        self.futex(word::CHANGES).fetch_add(1, SeqCst);
        sys::futex_wake_shared(self.futex(word::CHANGES));
    }

    /// Whether a reader has attached, and runs.
    fn has_reader(&self) -> bool {
        sys::is_process(self.word(word::READER).load(Acquire) as i32)
    }

    /// Waits until the reader has read everything, if there is a reader or one may still attach.
    pub fn await_reader(&self) {
        /// A reader that has attached has so long, …
        const PATIENCE_NS: u64 = 3_000_000_000;
        /// … and so long to attach, if there is something to read.
        const GRACE_NS: u64 = 100_000_000;
        /// The time after which a reader that has been killed is noticed.
        const LOOK_NS: u64 = 20_000_000;
        let load = |index| self.word(index).load(Acquire);
        let grace = if load(word::FINDINGS) > 0 || load(word::HEAD) > load(word::TAIL) { GRACE_NS } else { 0 };
        let began = sys::now();
        while self.futex(word::ACKNOWLEDGED).load(SeqCst) == 0 {
            let limit = if self.has_reader() { PATIENCE_NS } else { grace };
            if sys::now() - began >= limit {
                break;
            }
            sys::futex_wait_shared(self.futex(word::ACKNOWLEDGED), 0, LOOK_NS);
        }
    }

    /// Writes a finding.
    pub fn put_finding(&self, index: usize, finding: &Finding) {
        if index >= layout::MOST_FINDINGS {
            return;
        }
        let at = layout::FINDINGS + index * layout::FINDING;
        // SAFETY: the place is in the mapping and aligned, as all places of findings.
        let sequence = unsafe { &*self.base.add(at).cast::<AtomicU64>() };
        let before = sequence.load(Relaxed);
        sequence.store(before | 1, SeqCst);
        let bytes: [u8; FINDING_BYTES] = finding.encode();
        self.put(at + 8, &bytes);
        sequence.store((before | 1) + 1, SeqCst);
        self.word(word::FINDINGS).fetch_max(index as u64 + 1, SeqCst);
    }

    /// The number of the next site.
    pub fn sites(&self) -> usize {
        self.sites
    }

    /// Leaves out the numbers of the sites that a forked child has from its parent, in whose record
    /// they are.
    pub fn skip_sites(&mut self, sites: usize) {
        self.sites = sites;
        self.word(word::SITES).store(sites as u64, Release);
    }

    /// Writes a call stack; returns its number, or 0 if there is no room.
    pub fn put_site(&mut self, stack: &Stack) -> u32 {
        if self.sites >= layout::MOST_SITES {
            return 0;
        }
        self.note_code_of(stack);
        let at = layout::SITES + self.sites * layout::SITE;
        self.put(at, &(stack.frames().len() as u64).to_ne_bytes());
        for (index, frame) in stack.frames().iter().enumerate() {
            self.put(at + 8 + index * 8, &frame.to_ne_bytes());
        }
        self.sites += 1;
        self.word(word::SITES).store(self.sites as u64, Release);
        self.sites as u32 - 1
    }

    /// Copies the executable lines of /proc/self/maps that are not there yet.
    fn note_maps(&mut self) {
        let mut at = self.word(word::MAPS).load(Relaxed) as usize;
        sys::each_line(c"/proc/self/maps", |line| {
            let is_code = line.split(|byte| *byte == b' ').nth(1).is_some_and(|access| access.get(2) == Some(&b'x'));
            let Some(range) = range(line).filter(|_| is_code) else { return };
            let end = at + line.len() + 1;
            if end > layout::MOST_MAPS || self.code.contains(&range) || self.code.try_reserve(1).is_err() {
                return;
            }
            self.code.push(range);
            self.put(layout::MAPS + at, line);
            self.put(layout::MAPS + end - 1, b"\n");
            at = end;
        });
        self.word(word::MAPS).store(at as u64, Release);
    }

    /// Reads the maps again if a stack has an address outside of them, in an object that was loaded
    /// later.
    fn note_code_of(&mut self, stack: &Stack) {
        /// Code that a program makes for itself is in no object, however often one looks.
        const MOST_LOOKS: u32 = 64;
        let is_known = |frame: &u64| self.code.iter().any(|&(from, to)| (from..to).contains(frame));
        if self.looks < MOST_LOOKS && !stack.frames().iter().all(is_known) {
            self.looks += 1;
            self.note_maps();
        }
    }

    /// Writes the counts.
    pub fn put_counts(&self, counts: &Counts) {
        let mut at = 0;
        counts.encode(|word| {
            if at + 8 <= layout::MOST_COUNTS {
                self.put(layout::COUNTS + at, &word.to_ne_bytes());
            }
            at += 8;
        });
    }

    /// Whether facts are wanted.
    pub fn has_ring(&self) -> bool {
        self.room != 0
    }

    /// Appends a fact to the ring, which `write` encodes in at most so many bytes, and whose length it
    /// returns. The fact is lost if there is no room.
    pub fn put_fact(&self, most: usize, write: impl FnOnce(&mut [u8]) -> usize) {
        let most = layout::record_bytes(most);
        let head = self.word(word::HEAD).load(Relaxed) as usize;
        let tail = self.word(word::TAIL).load(Acquire) as usize;
        let at = head % self.room;
        let padding = if self.room - at < most { self.room - at } else { 0 };
        if head + padding + most - tail > self.room {
            self.word(word::LOST).fetch_add(1, Relaxed);
            return;
        }
        if padding > 0 {
            self.finish_fact(at, padding, layout::PADDING);
        }
        let at = (head + padding) % self.room;
        // SAFETY: the bytes are in the mapping. Readers leave them alone before they are published,
        // and one thread at a time writes.
        let bytes = unsafe {
            let first = self.base.add(layout::RING + at + layout::RECORD_HEADER);
            std::slice::from_raw_parts_mut(first, most - layout::RECORD_HEADER)
        };
        let length = write(bytes);
        let bytes = layout::record_bytes(length);
        self.finish_fact(at, bytes, length as u32);
        let next = head + padding + bytes;
        self.word(word::HEAD).store(next as u64, Release);
        let half = self.room / 2;
        if head / half != next / half {
            self.announce();
        }
    }

    /// Writes the header of a record of the ring, which publishes it.
    fn finish_fact(&self, at: usize, bytes: usize, length: u32) {
        self.put(layout::RING + at + 4, &length.to_ne_bytes());
        // SAFETY: in the mapping, and aligned to 8 bytes as all records.
        let first = unsafe { &*self.base.add(layout::RING + at).cast::<AtomicU32>() };
        first.store(bytes as u32, Release);
    }

    /// Whether the ring is nearly full because its reader, which runs, is behind.
    pub fn is_reader_behind(&self) -> bool {
        let tail = self.word(word::TAIL).load(Acquire) as usize;
        let used = self.word(word::HEAD).load(Relaxed) as usize - tail;
        if used <= self.room / 4 * 3 || self.stuck_at.get() == Some(tail) {
            return false;
        }
        let has_reader = self.has_reader();
        if !has_reader {
            self.note_stuck_reader();
        }
        has_reader
    }

    /// Notes that the reader has not freed anything for a while. The process does not slow down for
    /// it until it does.
    pub fn note_stuck_reader(&self) {
        self.stuck_at.set(Some(self.word(word::TAIL).load(Acquire) as usize));
    }
}

/// The inode of this process's PID namespace.
fn pid_namespace() -> Option<u64> {
    let mut buffer = [0; 64];
    let link = sys::link(b"/proc/thread-self/ns/pid\0", &mut buffer).ok()?;
    let digits = link.strip_prefix(b"pid:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The addresses of a line of /proc/self/maps.
fn range(line: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(line.split(|byte| *byte == b' ').next()?).ok()?;
    let (from, to) = text.split_once('-')?;
    Some((u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?))
}

/// Makes the file `PID.N.epv`, where N is the first number that is free.
fn open(directory: &[u8]) -> Result<c_int, Errno> {
    const MOST_IMAGES: i64 = 1000;
    let directory = std::str::from_utf8(directory).map_err(|_| Errno::EINVAL)?;
    for image in 0..MOST_IMAGES {
        let mut path = Line::<{ MOST_PATH + 40 }>::new();
        path.text(directory).text("/").number(sys::getpid().into()).text(".").number(image).text(".epv\0");
        let path = CStr::from_bytes_with_nul(path.as_bytes()).map_err(|_| Errno::ENAMETOOLONG)?;
        match sys::create_file(path) {
            Err(Errno::EEXIST) => {}
            other => return other,
        }
    }
    Err(Errno::EEXIST)
}
