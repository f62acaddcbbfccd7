//! The numbers that name a description. Nearly always there is one, which takes no extra memory.

use std::cell::UnsafeCell;
use std::num::NonZeroU32;
use std::ops::Deref;

use libc::c_int;
use nix::errno::Errno;

use super::File;
use crate::pool::{AtomicShort, Pool, Short};
use crate::pooled;
use crate::sys;

pub static SEVERAL: Pool<Several> = Pool::new();

/// The numbers of a description that has, or had, more than one.
#[derive(Debug)]
pub struct Several {
    free: AtomicShort<Several>,
    numbers: UnsafeCell<Vec<c_int>>,
}

// SAFETY: the record belongs to one list, and is borrowed with it.
unsafe impl Sync for Several {}

pooled!(SEVERAL, Several, free, Several { free: AtomicShort::none(), numbers: UnsafeCell::new(Vec::new()) });

impl File {
    /// In a forked child, replaces the description, which is the parent's, by `fresh` under all of
    /// its numbers. Returns one of them.
    pub fn replace_under_all_numbers(&'static self, fresh: c_int) -> Option<c_int> {
        let mut replaced = None;
        for &number in self.graph().numbers.iter() {
            let flags = sys::fcntl(number, libc::F_GETFD, 0).map_or(0, |flags| flags & libc::FD_CLOEXEC);
            let answer = sys::dup3(fresh, number, if flags != 0 { libc::O_CLOEXEC } else { 0 });
            replaced = answer.is_ok().then_some(number).or(replaced);
        }
        replaced
    }
}

/// A list of numbers: the only number, [`Numbers::NOBODY`], or, if the value is below that, a
/// negated short reference to more numbers.
#[derive(Debug)]
pub struct Numbers(c_int);

impl Numbers {
    const NOBODY: c_int = -1;

    /// No number.
    pub const NONE: Numbers = Numbers(Numbers::NOBODY);

    fn several(&self) -> Option<&'static Several> {
        let bits = NonZeroU32::new((Numbers::NOBODY - self.0).max(0).unsigned_abs())?;
        // SAFETY: nothing else is ever stored below `NOBODY`.
        Some(unsafe { Short::from_bits(bits) }.get())
    }

    fn list(&mut self) -> Option<&mut Vec<c_int>> {
        // SAFETY: the record belongs to this list alone, which is borrowed exclusively.
        self.several().map(|several| unsafe { &mut *several.numbers.get() })
    }

    /// Makes room for one more number. ENOMEM without memory.
    pub fn reserve(&mut self) -> Result<(), Errno> {
        if self.0 >= 0 {
            let several = SEVERAL.take()?;
            // SAFETY: no other list has the record.
            let list = unsafe { &mut *several.numbers.get() };
            list.clear();
            if list.try_reserve(2).is_err() {
                SEVERAL.give_back(several);
                return Err(Errno::ENOMEM);
            }
            list.push(self.0);
            self.0 = Numbers::NOBODY - Short::of(several).to_bits().get().cast_signed();
        }
        self.list().map_or(Ok(()), |list| list.try_reserve(1).map_err(|_| Errno::ENOMEM))
    }

    /// Adds a number, for which there is room.
    pub fn push(&mut self, number: c_int) {
        match self.list() {
            Some(list) => list.push(number),
            None => self.0 = number,
        }
    }

    /// Keeps the numbers that are wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(c_int) -> bool) {
        if let Some(list) = self.list() {
            list.retain(|number| wanted(*number));
        } else if self.0 >= 0 && !wanted(self.0) {
            self.0 = Numbers::NOBODY;
        }
        if self.is_empty()
            && let Some(several) = self.several()
        {
            self.0 = Numbers::NOBODY;
            SEVERAL.give_back(several);
        }
    }
}

impl Deref for Numbers {
    type Target = [c_int];

    fn deref(&self) -> &[c_int] {
        match self.several() {
            // SAFETY: the record belongs to this list alone, which is borrowed.
            Some(several) => unsafe { &*several.numbers.get() },
            None if self.0 == Numbers::NOBODY => &[],
            None => std::slice::from_ref(&self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_none_one_and_several() {
        let mut numbers = Numbers::NONE;
        assert!(numbers.is_empty());
        for number in [7, 0, 9] {
            numbers.reserve().expect("memory");
            numbers.push(number);
        }
        assert_eq!(numbers[..], [7, 0, 9]);
        numbers.retain(|number| number != 7);
        assert_eq!(numbers[..], [0, 9]);
        numbers.retain(|_| false);
        assert!(numbers.is_empty());
        numbers.reserve().expect("memory");
        numbers.push(3);
        assert_eq!(numbers[..], [3]);
        numbers.retain(|number| number == 3);
        assert_eq!(numbers[..], [3]);
        numbers.retain(|number| number != 3);
        assert!(numbers.is_empty());
    }
}
