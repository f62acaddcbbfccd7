//! The anchor, in which the library describes its records, so that the launcher can read them in
//! the memory of another process (`--why`, `--counts`); and an ELF note that leads to it.
//!
//! Both are in loaded segments, so they are in the process's memory whether or not the file was
//! stripped, replaced or deleted. The note contains the distance from its contents to the anchor:
//! eight bytes, signed. The anchor has the addresses of the library's pools ([`Root`]) and the
//! places of fields in the records ([`Place`]): the launcher and the library need not be of the
//! same build. A change in the meaning of a field needs another [`VERSION`], a change of its place
//! does not.

/// The owner of the note. An ELF note counts the NUL, and is padded to a multiple of four.
pub const OWNER: [u8; 12] = *b"epolyfill\0\0\0";
/// The length of the owner without the padding.
pub const OWNER_BYTES: u32 = 10;
/// The type of the note.
pub const TYPE: u32 = 0x616e_6368;
/// The size of its contents, the distance.
pub const DISTANCE_BYTES: u32 = 8;
/// The version of the anchor's contents.
pub const VERSION: u32 = 1;

/// The description. An address is a pointer in the library and a number in the launcher.
#[derive(Debug)]
#[repr(C)]
pub struct Anchor<Address> {
    /// [`VERSION`].
    pub version: u32,
    /// The number of places.
    pub places: u32,
    /// The addresses, by [`Root`].
    pub roots: [Address; ROOTS],
    /// The version of the library, padded with NULs.
    pub release: [u8; 16],
    /// The offsets in bytes, by [`Place`].
    pub table: [u16; PLACES],
}

/// The record of a wait of the kernel's epoll that the observer cuts into pieces, on the stack of its
/// thread.
#[derive(Debug)]
#[repr(C)]
pub struct CutWait {
    /// [`CutWait::MARK`].
    pub mark: [u64; 2],
    /// 1 if there is a timeout.
    pub is_limited: u64,
    /// The timeout in nanoseconds.
    pub timeout: u64,
    /// The time when the wait began, in nanoseconds of CLOCK_MONOTONIC.
    pub began: u64,
}

impl CutWait {
    /// Distinguishes the record from whatever else is on a stack.
    pub const MARK: [u64; 2] = [0x7761_6974_2063_7574, 0x9e37_79b9_7f4a_7c15];

    /// The record of a wait.
    pub const fn new(timeout: Option<u64>, began: u64) -> CutWait {
        let (is_limited, timeout) = match timeout {
            Some(timeout) => (1, timeout),
            None => (0, 0),
        };
        CutWait { mark: Self::MARK, is_limited, timeout, began }
    }
}

/// The number of roots.
pub const ROOTS: usize = 4;

/// A pool of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Root {
    /// The instances.
    Instances,
    /// The registrations.
    Items,
    /// The open file descriptions.
    Files,
    /// The threads that wait.
    Sleepers,
}

impl Root {
    /// All of them.
    pub const ALL: [Root; ROOTS] = [Root::Instances, Root::Items, Root::Files, Root::Sleepers];

    /// Where the first record is in a page of the pool.
    pub const fn first(self) -> Place {
        match self {
            Root::Instances => Place::InstanceFirst,
            Root::Items => Place::ItemFirst,
            Root::Files => Place::FileFirst,
            Root::Sleepers => Place::SleeperFirst,
        }
    }

    /// The size of a record.
    pub const fn size(self) -> Place {
        match self {
            Root::Instances => Place::InstanceSize,
            Root::Items => Place::ItemSize,
            Root::Files => Place::FileSize,
            Root::Sleepers => Place::SleeperSize,
        }
    }
}

/// Defines [`Place`] and the number of its values.
macro_rules! places {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A field of a record: its offset from the beginning of the record. A few are sizes or
        /// values.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Place {
            $($(#[$doc])* $name,)*
        }

        /// The number of places.
        pub const PLACES: usize = [$(Place::$name),*].len();
    };
}

places! {
    /// Pool: the address of the table of pages.
    PoolTable,
    /// Pool: the number of pages (u32).
    PoolPages,
    /// Instances: where the first one is in a page.
    InstanceFirst,
    /// Instances: their size.
    InstanceSize,
    /// Instance: the number of references, 0 if the record is free (u32).
    InstancePins,
    /// Instance: the word of its lock, 0 if the lock is free (u32).
    InstanceLock,
    /// Instance: a number of its descriptor (i32).
    InstanceNumber,
    /// Instance: the number of its ring, negative if it has none (i32).
    InstanceRing,
    /// Instance: whether its descriptor is closed (u8).
    InstanceClosed,
    /// Instance: the registrations that are with watchers (u64).
    InstanceParked,
    /// Instance: the counters of the record, as `epolyfill_stats` has them.
    InstanceCounters,
    /// Instance: the same when the instance began.
    InstanceCountersBefore,
    /// The number of counters.
    Counters,
    /// Registrations: where the first one is in a page.
    ItemFirst,
    /// Registrations: their size.
    ItemSize,
    /// Registration: the registered number (i32).
    ItemNumber,
    /// Registration: a number that names the open file now (i32).
    ItemVia,
    /// Registration: its instance (short reference).
    ItemInstance,
    /// Registration: its open file (short reference).
    ItemFile,
    /// Registration: the events as registered (u32).
    ItemEvents,
    /// Registration: the program's 64 bits (u64).
    ItemData,
    /// Registration: the levels that were reported and are high as far as is known (u16).
    ItemReported,
    /// Registration: false once deleted (u8).
    ItemAlive,
    /// Registration: whether it is a one-shot that has fired (u8).
    ItemSpent,
    /// Registration: whether it is on the ready list (u8).
    ItemReady,
    /// Registration: the clock of the open file at the last report (u32).
    ItemReportedAt,
    /// Open files: where the first one is in a page.
    FileFirst,
    /// Open files: their size.
    FileSize,
    /// Open file: the number of transfer calls that began (u32).
    FileClock,
    /// Open file: the number of edge-triggered registrations; without one, no calls are counted
    /// (u32).
    FileEdges,
    /// Open file: bits, see [`Place::FileNoSpace`] (u8).
    FileFlags,
    /// The bit of the flags for a refused write after which there was no space yet.
    FileNoSpace,
    /// Open file: its kind in the low six bits (u8).
    FileKind,
    /// The kind of a readiness source of the library.
    KindSource,
    /// Sleepers: where the first one is in a page.
    SleeperFirst,
    /// Sleepers: their size.
    SleeperSize,
    /// Sleeper: its thread (i32).
    SleeperThread,
    /// Sleeper: the instance that it waits on, or null (address).
    SleeperInstance,
    /// Sleeper: the number of its waits that were overtaken (u32).
    SleeperTurn,
    /// The record of a wait, on the stack of its thread: the instance (address).
    WaitInstance,
    /// Wait: the sleeper (address).
    WaitSleeper,
    /// Wait: the turn of the sleeper when the wait began (u32).
    WaitTurn,
    /// Wait: whether there is a timeout, not 0 if so (u64).
    WaitIsLimited,
    /// Wait: the timeout in nanoseconds (u64).
    WaitTimeout,
    /// Wait: whether the timeout has begun, not 0 if so (u64).
    WaitHasBegun,
    /// Wait: the time before its first sleep, in milliseconds of CLOCK_MONOTONIC; 0 if it has not
    /// slept, 1 if the time is not known (u64).
    WaitSince,
    /// Wait: the end of the timeout, in nanoseconds of CLOCK_MONOTONIC (u64).
    WaitDeadline,
}
