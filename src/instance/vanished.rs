//! Descriptors that were closed, or that name another file now, although no hook saw the close. A
//! report finds them under the instance's lock; their registrations end after it.

use arrayvec::ArrayVec;
use libc::c_int;

use crate::graph::epitem::Epitem;
use crate::graph::file::File;
use crate::instance::close;

/// The vanished descriptors that one report found. The next report finds those that did not fit.
#[derive(Debug)]
pub struct Vanished(ArrayVec<(&'static File, c_int), 8>);

impl Vanished {
    /// An empty list.
    pub const fn none() -> Vanished {
        Vanished(ArrayVec::new_const())
    }

    /// Notes a registration that is polled by a number that no longer names its file.
    pub fn note(&mut self, item: &'static Epitem) {
        if let Some(file) = item.file() {
            let _ = self.0.try_push((file, item.via()));
        }
    }

    /// Ends their registrations. Not under a lock.
    pub fn forget(self) {
        for (file, fd) in self.0 {
            close::vanished(file, fd);
        }
    }
}
