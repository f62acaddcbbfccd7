//! The call itself, on the thread's own stack.

use super::thunk::Frame;
use super::{cancel, guest, stack};
use crate::abi;

/// Makes the call of a frame; returns its result, or a negative errno. As for the kernel, it is not
/// a cancellation point and leaves errno alone.
pub unsafe extern "C" fn carry_out(frame: &mut Frame) -> isize {
    stack::complete();
    cancel::settle(frame);
    if let Some(result) = guest::answered(frame) {
        return result;
    }
    // SAFETY: the arguments are the program's.
    unsafe { abi::by_number(frame.number as libc::c_long, frame.arguments) }
}
