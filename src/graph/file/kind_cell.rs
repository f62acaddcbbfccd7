//! The kind of an open file description and the access mode of a pipe, in one byte.

use libc::c_int;

use crate::kind::Kind;
use crate::sync::atomic::AtomicU8;
use crate::sync::atomic::Ordering::Relaxed;

/// The bit position of the access mode, above the kind.
const ACCESS: u32 = 6;

/// A kind with an access mode, which is O_RDONLY (0) until it is set.
#[derive(Debug)]
pub(super) struct KindCell(AtomicU8);

impl KindCell {
    pub(super) const fn unidentified() -> KindCell {
        KindCell(AtomicU8::new(Kind::Unidentified as u8))
    }

    #[inline]
    pub(super) fn get(&self) -> Kind {
        Kind::from_u8(self.0.load(Relaxed) & ((1 << ACCESS) - 1))
    }

    /// Sets the kind, without an access mode.
    pub(super) fn set(&self, kind: Kind) {
        self.0.store(kind as u8, Relaxed);
    }

    /// Adds the access mode of these status flags (F_GETFL).
    pub(super) fn set_access(&self, flags: c_int) {
        self.0.fetch_or(((flags & libc::O_ACCMODE) as u8) << ACCESS, Relaxed);
    }

    pub(super) fn access(&self) -> c_int {
        i32::from(self.0.load(Relaxed) >> ACCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_and_an_access_mode_do_not_change_each_other() {
        let cell = KindCell::unidentified();
        cell.set(Kind::Fifo);
        cell.set_access(libc::O_RDWR | libc::O_NONBLOCK);
        assert_eq!((cell.get(), cell.access()), (Kind::Fifo, libc::O_RDWR));
        cell.set(Kind::Tcp);
        assert_eq!((cell.get(), cell.access()), (Kind::Tcp, libc::O_RDONLY));
    }
}
