//! Who made a rewritten call: the unwinder knows no way from the thread's own stack to the
//! program's.

use crate::sys;

use super::stack;

/// The return addresses of the call that the thread is in, for the observer. The functions of Go's
/// runtime that make calls have no frame of their own, so their return address is on top of the
/// stack, and Go's compiler keeps frame pointers. An address that is none ends the list.
pub fn find(frames: &mut [u64]) -> usize {
    let Some(frame) = stack::innermost() else { return 0 };
    // SAFETY: the frame of the call that the thread is in.
    let stack_pointer = unsafe { (*frame).stack_pointer };
    // SAFETY: the thunk stores it below the frame.
    let mut pointer = unsafe { frame.cast::<usize>().sub(1).read() };
    let mut next = || {
        let [outer, address] = sys::copy_in(pointer as *const [usize; 2]).ok()?;
        (outer > pointer).then(|| pointer = outer)?;
        Some(address)
    };
    let first = sys::copy_in(stack_pointer as *const usize).ok();
    let mut length = 0;
    let addresses = first.into_iter().chain(std::iter::from_fn(&mut next));
    for (place, address) in frames.iter_mut().zip(addresses.take_while(|address| *address != 0)) {
        *place = address as u64;
        length += 1;
    }
    length
}
