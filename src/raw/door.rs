//! The call itself, on the thread's own stack.

use super::stack;
use super::thunk::{Frame, State};
use crate::abi;
use crate::real;

/// Makes the call of a frame; returns its result, or a negative errno. As for the kernel, it is not
/// a cancellation point and leaves errno alone.
pub unsafe extern "C" fn carry_out(frame: &mut Frame) -> isize {
    stack::complete();
    let could_be_cancelled = real::let_be_cancelled(false);
    if could_be_cancelled {
        frame.state = State::Cancellable;
    }
    // SAFETY: the arguments are the program's.
    let result = unsafe { abi::by_number(frame.number as libc::c_long, frame.arguments) };
    if could_be_cancelled {
        real::let_be_cancelled(true);
    }
    result
}
