//! The operations of files whose level is not that of poll(2) on their descriptor: instances and
//! sources. Kernel counterpart: `struct file_operations`, whose `poll` an epoll item calls.

use nix::errno::Errno;

use super::{File, source};
use crate::events::{Bits, IN, RDNORM};
use crate::kind::Kind;

/// The level of an instance on which a wait would report something.
pub const READABLE_INSTANCE: Bits = IN | RDNORM;

/// The result of one look at a file.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub level: Bits,
    /// The file's clock at the look, if the level is of that time. Later facts are news after it.
    pub at: Option<u32>,
    /// Whether the file can hide an edge that no wake-up reports, so that it needs another look
    /// after a while.
    pub needs_resample: bool,
}

impl Look {
    /// A level that poll(2) showed.
    pub const fn polled(level: Bits) -> Look {
        Look { level, at: None, needs_resample: false }
    }
}

/// The operations of a file, as a table for each kind.
#[doc(alias = "file_operations")]
#[derive(Debug)]
pub struct FileOps {
    /// Looks at the level. A look in the turn of its registration (`true`) may take away the level
    /// that it shows; a look out of turn (`false`) must leave it. The lock of a watching instance
    /// may be held.
    #[doc(alias = "poll")]
    pub look: fn(&'static File, bool) -> Look,
    /// Called when an instance is about to watch the file, for edges or for levels only. The caller
    /// keeps the links between instances as they are.
    pub on_watch: fn(&'static File, bool) -> Result<(), Errno>,
    /// Whether the file has registrations of its own, which a look continues to.
    pub is_instance: bool,
}

impl File {
    /// The file's operations; `None` if poll(2) shows its level.
    #[inline]
    pub fn ops(&self) -> Option<&'static FileOps> {
        match self.kind() {
            Kind::Source => Some(&source::SOURCE),
            Kind::Epoll => self.eventpoll().and_then(|ep| ep.ops.get()),
            _ => None,
        }
    }

    /// Whether the file has registrations of its own.
    #[inline]
    pub fn is_instance(&self) -> bool {
        self.ops().is_some_and(|ops| ops.is_instance)
    }

    /// Whether a poll(2) of many descriptors shows the level that a report needs. It does not show
    /// the level of a source or an instance, and it takes away the levels of some files
    /// (`fleeting.rs`).
    #[inline]
    pub fn is_polled(&self) -> bool {
        self.ops().is_none() && self.kind().fleeting() == 0
    }

    /// Prepares the file for an instance that is about to watch it, for edges if `for_edges`.
    pub fn on_watch(&'static self, for_edges: bool) -> Result<(), Errno> {
        self.ops().map_or(Ok(()), |ops| (ops.on_watch)(self, for_edges))
    }
}
