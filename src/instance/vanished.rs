//! Descriptors that were closed, or that name another file now, although no hook saw the close. A
//! report finds them under the instance's lock; their registrations end after it.

use libc::c_int;

use crate::graph::epitem::Epitem;
use crate::graph::file::File;
use crate::instance::close;

/// Descriptors found by one report. Those that do not fit are found by the next.
#[derive(Debug)]
pub struct Vanished([Option<(&'static File, c_int)>; 8]);

impl Vanished {
    /// None.
    pub const fn none() -> Vanished {
        Vanished([None; 8])
    }

    /// The number that this registration is polled by does not name its file any more.
    pub fn note(&mut self, item: &'static Epitem) {
        if let (Some(free), Some(file)) = (self.0.iter_mut().find(|place| place.is_none()), item.file()) {
            *free = Some((file, item.via()));
        }
    }

    /// Ends their registrations. Not under a lock.
    pub fn forget(self) {
        for (file, fd) in self.0.into_iter().flatten() {
            close::vanished(file, fd);
        }
    }
}
