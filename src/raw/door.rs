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
    let (mut arguments, child_stack) = (frame.arguments, guest::child_stack(frame));
    if child_stack.is_some() {
        arguments[1] = 0;
    }
    // SAFETY: the arguments are the program's.
    let result = unsafe { abi::by_number(frame.number as libc::c_long, arguments) };
    if let (Some(stack), 0) = (child_stack, result) {
        frame.stack_pointer = stack;
    }
    result
}
