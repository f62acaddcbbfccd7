//! The record of a process, as the library writes it (`layout` in `crates/facts`), for reading.

use epolyfill_audit::counts::Counts;
use epolyfill_audit::{FINDING_BYTES, Finding, Summary};
use epolyfill_facts::layout::{self, word};
use epolyfill_facts::wire::{self, MOST_BYTES, MOST_EVENTS};
use epolyfill_facts::{Event, Fact, SiteId, Stamp};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// A mapped record. The process writes to it meanwhile, or has ended.
#[derive(Debug)]
pub struct Record {
    base: NonNull<c_void>,
    bytes: usize,
    pub path: PathBuf,
}

// SAFETY: the mapping lives as long as the record, and all that is shared is read atomically or
// copied, and checked.
unsafe impl Send for Record {}
// SAFETY: as above.
unsafe impl Sync for Record {}

impl Drop for Record {
    fn drop(&mut self) {
        // SAFETY: the mapping of `open`, to which nothing refers any more.
        let _ = unsafe { munmap(self.base, self.bytes) };
    }
}

impl Record {
    /// Maps a record; `None` as long as the process has not completed its header.
    pub fn open(path: &Path) -> io::Result<Option<Record>> {
        let file = File::options().read(true).write(true).open(path)?;
        let bytes = file.metadata()?.len() as usize;
        let Some(length) = NonZeroUsize::new(bytes).filter(|length| length.get() >= layout::RING) else {
            return Ok(None);
        };
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, at an address of the kernel's choice.
        let base = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, file, 0) }?;
        let record = Record { base, bytes, path: path.to_owned() };
        Ok((record.load(word::MAGIC) == layout::MAGIC).then_some(record))
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < layout::FINDINGS / 8);
        // SAFETY: the header is at the start of the mapping, and aligned to pages.
        unsafe { &*self.base.as_ptr().cast::<AtomicU64>().add(index) }
    }

    /// The value of a word of the header.
    pub fn load(&self, index: usize) -> u64 {
        self.word(index).load(Acquire)
    }

    /// The futex in the low half of a word.
    fn futex(&self, index: usize) -> &AtomicU32 {
        let half = usize::from(cfg!(target_endian = "big"));
        assert!(index < layout::FINDINGS / 8);
        // SAFETY: as in `word`.
        unsafe { &*self.base.as_ptr().cast::<AtomicU32>().add(index * 2 + half) }
    }

    /// The futex that grows when there is something new to read.
    pub fn changes(&self) -> &AtomicU32 {
        self.futex(word::CHANGES)
    }

    /// Lets the process know who reads.
    pub fn attach(&self) {
        self.word(word::READER).store(u64::from(std::process::id()), SeqCst);
    }

    /// Lets the process know that everything is read.
    pub fn acknowledge(&self) {
        let futex = self.futex(word::ACKNOWLEDGED);
        futex.store(1, SeqCst);
        wake(futex);
    }

    fn copy<const N: usize>(&self, at: usize) -> [u8; N] {
        assert!(at + N <= self.bytes);
        let mut copy = [0; N];
        // SAFETY: the place is in the mapping. The process may be writing there, and then the
        // caller drops the copy.
        unsafe { std::ptr::copy_nonoverlapping(self.base.as_ptr().cast::<u8>().add(at), copy.as_mut_ptr(), N) };
        copy
    }

    fn long(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.copy(at))
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.load(word::PID) as i32
    }

    /// The number of findings.
    pub fn findings(&self) -> usize {
        (self.load(word::FINDINGS) as usize).min(layout::MOST_FINDINGS)
    }

    /// A finding; `None` if the process is writing it, or ended while it did.
    pub fn finding(&self, index: usize) -> Option<Finding> {
        const TRIES: u32 = 1000;
        let at = layout::FINDINGS + index * layout::FINDING;
        assert!(index < layout::MOST_FINDINGS);
        // SAFETY: in the mapping, and aligned as all places of findings.
        let sequence = unsafe { &*self.base.as_ptr().cast::<u8>().add(at).cast::<AtomicU64>() };
        for _ in 0..TRIES {
            let before = sequence.load(SeqCst);
            let bytes: [u8; FINDING_BYTES] = self.copy(at + 8);
            std::sync::atomic::fence(SeqCst);
            if before & 1 == 0 && sequence.load(SeqCst) == before {
                return Finding::decode(&bytes);
            }
            std::thread::yield_now();
        }
        None
    }

    /// The return addresses of a site, the innermost first.
    pub fn site(&self, site: SiteId) -> Vec<u64> {
        let index = site.0 as usize;
        if index == 0 || index >= (self.load(word::SITES) as usize).min(layout::MOST_SITES) {
            return Vec::new();
        }
        let at = layout::SITES + index * layout::SITE;
        let frames = (self.long(at) as usize).min(layout::MOST_FRAMES);
        (0..frames).map(|frame| self.long(at + 8 + frame * 8)).collect()
    }

    /// The executable lines of /proc/PID/maps.
    pub fn maps(&self) -> String {
        let length = (self.load(word::MAPS) as usize).min(layout::MOST_MAPS);
        let bytes: [u8; layout::MOST_MAPS] = self.copy(layout::MAPS);
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    /// The counts of calls and instances. The process may be writing them, and then some are old.
    pub fn counts(&self) -> Option<Counts> {
        let words: Vec<u64> = (0..layout::MOST_COUNTS / 8).map(|at| self.long(layout::COUNTS + at * 8)).collect();
        Counts::decode(&words)
    }

    /// Takes the facts that are complete from the ring, and frees their places.
    pub fn facts(&self, mut take: impl FnMut(Stamp, &Fact<'_>)) {
        let room = (self.load(word::RING) as usize).min(self.bytes.saturating_sub(layout::RING));
        let (head, mut tail) = (self.load(word::HEAD), self.load(word::TAIL));
        let (mut fact, mut events) = ([0; MOST_BYTES], [Event::default(); MOST_EVENTS]);
        while tail < head && room > 0 {
            let at = layout::RING + (tail % room as u64) as usize;
            // SAFETY: in the mapping, and aligned to 8 bytes as all records.
            let first = unsafe { &*self.base.as_ptr().cast::<u8>().add(at).cast::<AtomicU32>() };
            let bytes = first.load(Acquire) as usize;
            let end = layout::RING + room;
            if bytes < layout::RECORD_HEADER || at + bytes > end {
                return; // Not complete, or never will be.
            }
            let length = u32::from_ne_bytes(self.copy(at + 4));
            let wanted = length as usize;
            if length != layout::PADDING && wanted <= bytes - layout::RECORD_HEADER && wanted <= fact.len() {
                // SAFETY: the record is complete and in the mapping.
                unsafe {
                    let from = self.base.as_ptr().cast::<u8>().add(at + layout::RECORD_HEADER);
                    std::ptr::copy_nonoverlapping(from, fact.as_mut_ptr(), wanted);
                }
                if let Some((stamp, fact)) = wire::decode(&fact[..wanted], &mut events) {
                    take(stamp, &fact);
                }
            }
            // SAFETY: the record is in the mapping, and the reader's until it is freed.
            unsafe { std::ptr::write_bytes(self.base.as_ptr().cast::<u8>().add(at), 0, bytes) };
            tail += bytes as u64;
            self.word(word::TAIL).store(tail, Release);
        }
    }

    /// The sums of the audit.
    pub fn summary(&self) -> Summary {
        Summary::from_words(std::array::from_fn(|at| self.load(word::SUMMARY + at)))
    }
}

/// Wakes all that wait for a futex of a record.
pub fn wake(futex: &AtomicU32) {
    // SAFETY: the address is valid, and the call only compares it with those of waiters.
    unsafe { libc::syscall(libc::SYS_futex, futex.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

/// Waits while a futex of a record has a value.
pub fn wait(futex: &AtomicU32, value: u32) {
    let for_ever = std::ptr::null::<libc::timespec>();
    // SAFETY: the address is valid for as long as the call takes.
    unsafe { libc::syscall(libc::SYS_futex, futex.as_ptr(), libc::FUTEX_WAIT, value, for_ever) };
}
