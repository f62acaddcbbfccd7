//! The list of the robust mutexes that a guest's thread holds. The kernel goes through the list when
//! the pthread ends, which is after the guest was told that the thread has ended: its memory may be
//! another thread's then. So the loader does that itself, as exit does, and gives libc its list back.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;

use syscalls::{Sysno, syscall};

use super::memory;

/// The bytes of a list's head: the first entry, the distance from an entry to its futex, and the
/// entry that is being added or removed.
const HEAD: usize = 24;
/// The kernel looks at no more entries.
const MOST: usize = 2048;

const WAITERS: u32 = 0x8000_0000;
const OWNER_DIED: u32 = 0x4000_0000;
const ID: u32 = 0x3fff_ffff;

/// The calling thread's list; 0 if it has none.
pub fn list() -> usize {
    let (mut head, mut bytes) = (0usize, 0usize);
    // SAFETY: both words are the kernel's to write.
    let _ = unsafe { syscall!(Sysno::get_robust_list, 0usize, &raw mut head, &raw mut bytes) };
    head
}

/// Reports to the waiters of the mutexes in the calling thread's list that their owner, the thread
/// with this id, ends; `own` is the list of libc's, which becomes the thread's again.
pub fn give_up(own: usize, id: u32) {
    let head = list();
    if head == 0 || head == own {
        return;
    }
    // SAFETY: the list is libc's, or none.
    let _ = unsafe { syscall!(Sysno::set_robust_list, own, HEAD) };
    let Some([first, distance, pending]) = words::<3>(head) else { return };
    let mut entry = first;
    for _ in 0..MOST {
        if entry & !1 == head {
            break;
        }
        // As the mutex may be another thread's at once, the next entry is read before.
        let next = words::<1>(entry & !1);
        if entry != pending {
            mark(entry, distance, id);
        }
        let Some([next]) = next else { break };
        entry = next;
    }
    if pending & !1 != 0 {
        mark(pending, distance, id);
    }
}

/// Marks the futex of an entry if the thread owns it. The lowest bit says that it inherits priority;
/// then the kernel wakes its waiters.
fn mark(entry: usize, distance: usize, id: u32) {
    let at = (entry & !1).wrapping_add(distance);
    let mut bytes = [0; 4];
    if !at.is_multiple_of(4) || !memory::read_all(at, &mut bytes) {
        return;
    }
    // SAFETY: the word is there, as it was just read; the guest keeps the memory of its mutexes.
    let futex = unsafe { AtomicU32::from_ptr(at as *mut u32) };
    let died = |value: u32| (value & ID == id).then_some(value & WAITERS | OWNER_DIED);
    if let Ok(before) = futex.fetch_update(SeqCst, SeqCst, died)
        && entry & 1 == 0
        && before & WAITERS != 0
    {
        // SAFETY: the kernel checks the address.
        let _ = unsafe { syscall!(Sysno::futex, at, libc::FUTEX_WAKE, 1usize) };
    }
}

fn words<const COUNT: usize>(at: usize) -> Option<[usize; COUNT]> {
    let mut words = [0usize; COUNT];
    // SAFETY: the slice covers the bytes of the words, and every pattern of bits is valid.
    let bytes = unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), size_of_val(&words)) };
    memory::read_all(at, bytes).then_some(words)
}
