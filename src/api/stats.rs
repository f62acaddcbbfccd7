//! Reads the counters (`graph/stats.rs`), and prints their sums at exit with
//! `EPOLYFILL_COUNTERS=1`.

use std::mem::offset_of;

use libc::c_int;
use nix::errno::Errno;

use crate::graph::eventpoll::{self, Eventpoll};
use crate::graph::stats::{COUNTERS, Stats};
use crate::instance::open;
use crate::lock;
use crate::log::Line;
use crate::options;
use crate::sys;
use crate::uaccess;

/// The size of the first version of the structure, which is the smallest.
const FIRST: usize = offset_of!(Stats, parked) + size_of::<u64>();
/// The largest size that a program may pass.
const LARGEST: usize = 4096;

const _: () = assert!(FIRST == 256, "version 0.2 of the structure never changes");

/// The sums over all records. Waits for a lock as long as `may_wait` returns true.
fn sum(mut may_wait: impl FnMut() -> bool) -> Stats {
    let mut sum = Stats::new();
    Eventpoll::for_each(|ep| {
        if let Some(st) = ep.lock_while(&mut may_wait) {
            sum = sum.plus(st.stats_now());
        }
    });
    sum
}

/// Implements `epolyfill_stats`.
///
/// # Safety
/// `to` must be an address at which the program expects `size` bytes to be written.
pub unsafe fn read(epfd: c_int, to: *mut Stats, size: usize) -> Result<c_int, Errno> {
    if !(FIRST..=LARGEST).contains(&size) {
        return Err(Errno::EINVAL);
    }
    let stats = match epfd {
        _ if lock::interrupted() => return Err(Errno::EBUSY),
        -1 => sum(|| true),
        _ => {
            let ep = open::find(epfd)?;
            let st = ep.lock();
            st.stats_now().since(st.stats.at_start())
        }
    };
    let mut bytes = [0; LARGEST];
    // SAFETY: the caller vouches for the address.
    unsafe { uaccess::write_bytes(to.cast(), fit(&stats.bytes(), &mut bytes[..size])) }?;
    Ok(size_of::<Stats>() as c_int)
}

/// The part of the structure that the program knows, and zeros for fields that only the program
/// knows.
fn fit<'a>(known: &[u8], wanted: &'a mut [u8]) -> &'a [u8] {
    let common = known.len().min(wanted.len());
    wanted[..common].copy_from_slice(&known[..common]);
    wanted[common..].fill(0);
    wanted
}

/// Prints the table if the option is set.
pub fn print() {
    // A script starts many programs, most of which have no instance.
    if !options::COUNTERS.is_on() || !eventpoll::any_yet() {
        return;
    }
    // The process must end even if a lock is held. In a signal handler this thread may hold it.
    let mut patience = if lock::interrupted() { 0 } else { 100 };
    let sum = sum(|| {
        patience -= i32::from(patience > 0);
        patience > 0
    });
    sum.for_each(print_line);
    for counter in COUNTERS {
        let (name, value) = counter.read();
        print_line(name, value);
    }
}

fn print_line(name: &str, value: u64) {
    let mut line = Line::<80>::new();
    line.text("epolyfill[")
        .number(sys::getpid().into())
        .text("]: ")
        .text(name)
        .column(52)
        .number(value.cast_signed())
        .text("\n");
    line.to_stderr();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_the_fields_that_both_know_and_zeros_for_the_rest() {
        let known = [1, 2, 3, 4];
        assert_eq!(fit(&known, &mut [9; 2]), [1, 2]);
        assert_eq!(fit(&known, &mut [9; 4]), [1, 2, 3, 4]);
        assert_eq!(fit(&known, &mut [9; 6]), [1, 2, 3, 4, 0, 0]);
    }
}
