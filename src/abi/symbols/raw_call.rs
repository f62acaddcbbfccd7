//! A system call of the program's, as it stands in the registers.

use libc::{c_int, c_long};

use crate::sys;

/// A system call by number.
#[derive(Debug)]
pub struct RawCall {
    number: c_long,
    /// The words in the argument registers, whether the call has so many arguments or not.
    pub(super) arguments: [usize; 6],
}

impl RawCall {
    /// # Safety
    /// The arguments must be valid for the call `number`, as often as the value makes it.
    #[inline]
    pub(super) unsafe fn new(number: c_long, arguments: [usize; 6]) -> RawCall {
        RawCall { number, arguments }
    }

    /// The call with another word in the place of one argument, which must be valid in the same
    /// way.
    pub(super) fn with(&self, place: usize, word: usize) -> RawCall {
        let RawCall { number, mut arguments } = *self;
        arguments[place] = word;
        RawCall { number, arguments }
    }

    /// Makes the call; reports an error as libc does. No other library sees it: one that stands
    /// behind this one may have called `syscall` from its own `write`.
    #[inline]
    pub(super) fn make(&self) -> isize {
        // SAFETY: who made the value answers for the arguments.
        unsafe { sys::any(self.number, self.arguments) }
    }

    /// Makes the call; returns the kernel's result.
    #[inline]
    pub(super) fn make_plain(&self) -> isize {
        // SAFETY: as above.
        unsafe { sys::any_raw(self.number, self.arguments) }
    }

    /// As [`make`](Self::make), for a call that returns an int.
    pub(super) fn make_int(&self) -> c_int {
        self.make() as c_int
    }
}
