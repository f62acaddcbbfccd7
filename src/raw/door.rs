//! The call itself, on the thread's own stack.

use super::thunk::Frame;
use super::{guest, stack};
use crate::abi;

/// Makes the call of a frame; returns its result, or a negative errno. As for the kernel, it is not
/// a cancellation point and leaves errno alone.
pub unsafe extern "C" fn carry_out(frame: &Frame) -> isize {
    stack::complete();
    if let Some(result) = guest::answered(frame) {
        return result;
    }
    // SAFETY: the arguments are the program's.
    unsafe { abi::by_number(frame.number as libc::c_long, frame.arguments) }
}
