//! The operations of files whose level poll(2) of their descriptor does not show: instances and
//! sources. Kernel counterpart: `struct file_operations`, whose `poll` an epoll item calls.

use nix::errno::Errno;

use super::{File, source};
use crate::events::{Bits, IN, RDNORM};
use crate::kind::Kind;

/// The level of an instance that a wait would report something of.
pub const READABLE_INSTANCE: Bits = IN | RDNORM;

/// The result of one look at a file.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub level: Bits,
    /// The file's clock at the look, where the level is of that time; later facts are news after
    /// it.
    pub at: Option<u32>,
    /// An edge may hide in the file that no wake-up reports, so it needs another look after a
    /// while.
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
    /// Looks at the level. In the turn of its registration (`true`) a look may take what it shows;
    /// a look that passes by (`false`) must leave it. The lock of a watching instance may be held.
    #[doc(alias = "poll")]
    pub look: fn(&'static File, bool) -> Look,
    /// An instance is about to watch the file, for edges or for levels only. The caller keeps the
    /// links between instances as they are.
    pub on_watch: fn(&'static File, bool) -> Result<(), Errno>,
    /// The file has registrations of its own, which a look goes on to.
    pub is_instance: bool,
}

impl File {
    /// The file's operations; none if poll(2) shows its level.
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
    /// that of a source or an instance, and takes from a file with fleeting levels what it shows.
    #[inline]
    pub fn is_polled(&self) -> bool {
        self.ops().is_none() && self.kind().fleeting() == 0
    }

    /// An instance is about to watch the file, for edges if `for_edges`.
    pub fn on_watch(&'static self, for_edges: bool) -> Result<(), Errno> {
        self.ops().map_or(Ok(()), |ops| (ops.on_watch)(self, for_edges))
    }
}
