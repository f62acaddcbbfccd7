//! The level of a description: one poll, or the posted or kept level where a poll does not show it.

use libc::c_int;

use crate::events::{Bits, ERR, HUP, NVAL};
use crate::graph::file::{File, Source};
use crate::kind::Kind;
use crate::probe::fleeting;
use crate::sys;

impl File {
    /// The current levels: those of `asked`, and those that poll reports unasked.
    #[inline]
    pub fn level(&'static self, fd: c_int, asked: Bits) -> Bits {
        match self.kind() {
            Kind::Source => self.source().map_or(0, Source::posted) & (asked | ERR | HUP),
            kind if kind.fleeting() != 0 => fleeting::peek(self, fd) & (asked | ERR | HUP | NVAL),
            _ => sys::level(fd, asked),
        }
    }
}
