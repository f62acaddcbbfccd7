//! Call stacks of the program, by the unwinder of libgcc, which needs no frame pointers. It reads
//! the unwind tables and takes no lock (glibc 2.35 and newer).

use std::ffi::{c_int, c_void};

use epolyfill_facts::layout::MOST_FRAMES;

/// Return addresses, the innermost first.
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    frames: [u64; MOST_FRAMES],
    length: usize,
    /// The addresses of this library, which are left out.
    own: (u64, u64),
}

impl Stack {
    /// The stack of the caller, without the frames of this library, whose addresses are `own`.
    #[inline(never)]
    pub fn here(own: (u64, u64)) -> Stack {
        let mut stack = Stack { frames: [0; MOST_FRAMES], length: 0, own };
        // SAFETY: the function takes a frame and the stack, which outlives the call.
        unsafe { _Unwind_Backtrace(add, (&raw mut stack).cast()) };
        stack
    }

    /// The addresses.
    pub fn frames(&self) -> &[u64] {
        &self.frames[..self.length]
    }

    /// A hash of the addresses.
    pub fn hash(&self) -> u64 {
        // FNV-1a, by words.
        self.frames().iter().fold(0xcbf2_9ce4_8422_2325, |hash, frame| (hash ^ frame).wrapping_mul(0x0100_0000_01b3))
    }
}

unsafe extern "C" {
    fn _Unwind_Backtrace(add: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int, to: *mut c_void) -> c_int;
    fn _Unwind_GetIP(frame: *mut c_void) -> usize;
}

const GO_ON: c_int = 0;
const STOP: c_int = 5; // _URC_END_OF_STACK

unsafe extern "C" fn add(frame: *mut c_void, to: *mut c_void) -> c_int {
    // SAFETY: `here` passes its stack, which nothing else uses meanwhile; the unwinder passes the
    // frame.
    let (stack, address) = unsafe { (&mut *to.cast::<Stack>(), _Unwind_GetIP(frame) as u64) };
    if address == 0 {
        return STOP;
    }
    if stack.length == 0 && (stack.own.0..stack.own.1).contains(&address) {
        return GO_ON;
    }
    stack.frames[stack.length] = address;
    stack.length += 1;
    if stack.length == MOST_FRAMES { STOP } else { GO_ON }
}
