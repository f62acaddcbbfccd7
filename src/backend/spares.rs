//! Rings that a thread keeps for later use. Closing a ring sends its thread a notification, which
//! ends some system calls with EINTR.

use std::alloc::Layout;
use std::cell::Cell;
use std::mem::ManuallyDrop;

use crate::graph::internal_fd::InternalFd;
use crate::graph::ring_state::{SPARES, Spares};
use crate::heap;
use crate::io_uring::Ring;

/// Keeps a ring without requests for the next use in this thread, and its descriptor's number in
/// `spares`. False if there are enough, or if the number is lost.
pub fn keep(ring: Ring, fd: &InternalFd, spares: &'static Spares) -> bool {
    let free = spares.places().iter().position(|spare| !spare.is_there());
    let Some(place) = free.filter(|_| fd.is_there()) else { return false };
    let Ok(kept_ring) = heap::infallible(Layout::new::<Ring>(), || Box::new(ring)) else { return false };
    fd.hand_to(&spares.places()[place]);
    KEPT.with(|kept| kept[place].replace(Some(ManuallyDrop::new(kept_ring))).map(ManuallyDrop::into_inner));
    true
}

/// Returns a ring that this thread kept, if there is one. Its descriptor's number moves to `fd`.
pub fn take_kept(spares: &Spares, fd: &'static InternalFd) -> Option<Ring> {
    let place = spares.places().iter().position(InternalFd::is_there)?;
    let ring = KEPT.with(|kept| kept[place].take())?;
    spares.places()[place].hand_to(fd);
    Some(*ManuallyDrop::into_inner(ring))
}

thread_local! {
    /// The rings that the thread keeps. They are boxed, because otherwise every thread would have
    /// the space for them. They have no destructor, because they are used while threads end.
    static KEPT: [Cell<Option<ManuallyDrop<Box<Ring>>>>; SPARES] = const { [const { Cell::new(None) }; SPARES] };
}

/// Takes the rings that the calling thread kept.
pub fn take_all_kept() -> impl Iterator<Item = Ring> {
    (0..SPARES).filter_map(|place| KEPT.with(|kept| kept[place].take()).map(|ring| *ManuallyDrop::into_inner(ring)))
}
