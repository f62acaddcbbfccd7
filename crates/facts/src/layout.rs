//! The record of a process: a file that the library maps at start-up and the launcher reads. All
//! that was written survives the process, whatever ends it, because the pages are the file's.
//!
//! ```text
//! 0             header, words of 8 bytes ([`word`])
//! FINDINGS      findings, FINDING bytes each: a sequence word, odd while it is written, and bytes
//! SITES         call stacks, SITE bytes each: a count, then as many return addresses
//! MAPS          the executable lines of /proc/self/maps
//! COUNTS        the counts of `-c`
//! RING          facts: records of 8-byte multiples, each with a header of 8 bytes
//! ```
//!
//! A record of the ring begins with a `u32`, the bytes of the record with its header, which is 0
//! until the record is complete, and a `u32`, the bytes of the fact, which is [`PADDING`] if the
//! record only fills the ring up to its end. The reader zeroes records before it frees them.

/// The first word of every record.
pub const MAGIC: u64 = u64::from_ne_bytes(*b"EPVIEW\x01\0");

/// Indices of header words.
pub mod word {
    /// [`super::MAGIC`], written last.
    pub const MAGIC: usize = 0;
    /// The process id.
    pub const PID: usize = 1;
    /// The parent's process id.
    pub const PPID: usize = 2;
    /// 1 for a forked child, 0 for an executed program.
    pub const IS_FORK: usize = 3;
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, in nanoseconds.
    pub const WALL_OFFSET: usize = 4;
    /// 0 for the kernel's epoll, 1 for the library's.
    pub const POLLER: usize = 5;
    /// [`super::RUNNING`], [`super::EXITING`] or [`super::ENDED`].
    pub const STATE: usize = 6;
    /// A futex in the low half: grows when there is something new to read.
    pub const CHANGES: usize = 7;
    /// A futex in the low half: the reader sets it to 1 when it has read all of an exiting process.
    pub const ACKNOWLEDGED: usize = 8;
    /// The number of findings.
    pub const FINDINGS: usize = 9;
    /// The number of sites.
    pub const SITES: usize = 10;
    /// The bytes of the maps.
    pub const MAPS: usize = 11;
    /// The bytes that were ever reserved in the ring.
    pub const HEAD: usize = 12;
    /// The bytes that the reader has freed.
    pub const TAIL: usize = 13;
    /// Facts that found no room in the ring.
    pub const LOST: usize = 14;
    /// The bytes of the ring, a power of two, or 0.
    pub const RING: usize = 15;
    /// When the process began, CLOCK_MONOTONIC in nanoseconds.
    pub const BEGAN: usize = 16;
    /// The process id of the reader, which the reader writes when it attaches; 0 for none. The
    /// process slows down for a reader that is behind, and at its end waits for one that runs.
    pub const READER: usize = 17;
    /// The inode of the namespace that the process ids belong to; 0 if it is not known.
    pub const PID_NAMESPACE: usize = 18;
    /// The first of six words: the summary of the audit.
    pub const SUMMARY: usize = 24;
}

/// The process runs.
pub const RUNNING: u64 = 0;
/// The process has written all, and waits for a reader to acknowledge it.
pub const EXITING: u64 = 1;
/// The process has ended, or has executed another program.
pub const ENDED: u64 = 2;

/// The offset of the findings.
pub const FINDINGS: usize = 4096;
/// The bytes of a finding.
pub const FINDING: usize = 512;
/// The most findings.
pub const MOST_FINDINGS: usize = 1024;
/// The offset of the sites.
pub const SITES: usize = FINDINGS + FINDING * MOST_FINDINGS;
/// The most return addresses of a site.
pub const MOST_FRAMES: usize = 16;
/// The bytes of a site.
pub const SITE: usize = 8 + 8 * MOST_FRAMES;
/// The most sites. Site 0 is unknown, and its place is not used; a site without addresses in the
/// record of a forked child is in that of its parent.
pub const MOST_SITES: usize = 2048;
/// The offset of the maps.
pub const MAPS: usize = (SITES + SITE * MOST_SITES).next_multiple_of(4096);
/// The most bytes of the maps.
pub const MOST_MAPS: usize = 64 << 10;
/// The offset of the counts.
pub const COUNTS: usize = MAPS + MOST_MAPS;
/// The most bytes of the counts.
pub const MOST_COUNTS: usize = 32 << 10;
/// The offset of the ring.
pub const RING: usize = COUNTS + MOST_COUNTS;

/// The length of a fact that is none: the record fills the ring up to its end.
pub const PADDING: u32 = u32::MAX;
/// The bytes of a record's header in the ring.
pub const RECORD_HEADER: usize = 8;

/// The bytes that a fact of this length takes in the ring.
pub const fn record_bytes(fact: usize) -> usize {
    (RECORD_HEADER + fact).next_multiple_of(8)
}
