//! Call stacks of the program, by the unwinder of libgcc, which needs no frame pointers. It reads
//! the unwind tables and takes no lock (glibc 2.35 and newer).

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use epolyfill_facts::layout::MOST_FRAMES;

use super::observer::FindCallers;

/// Return addresses, the innermost first.
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    frames: [u64; MOST_FRAMES],
    length: usize,
    /// The most that are taken.
    most: usize,
}

/// The addresses of this library.
static OWN: OnceLock<(usize, usize)> = OnceLock::new();

/// What finds the callers that the unwinder does not.
static FIND: OnceLock<FindCallers> = OnceLock::new();

/// Notes a function that finds the callers that the unwinder does not. Called once, at start-up.
pub fn finds_callers_by(find: FindCallers) {
    let _ = FIND.set(find);
}

/// Finds the addresses of this library. Called once, at start-up.
pub fn set_up() {
    let mut own = (0, 0);
    // SAFETY: the function takes these arguments, which outlive the call.
    unsafe { libc::dl_iterate_phdr(Some(find_own), (&raw mut own).cast()) };
    let _ = OWN.set(own);
}

/// Whether an address is in this library.
pub fn is_own(address: usize) -> bool {
    OWN.get().is_some_and(|&(from, to)| (from..to).contains(&address))
}

unsafe extern "C" fn find_own(object: *mut libc::dl_phdr_info, _: usize, own: *mut c_void) -> c_int {
    // SAFETY: the dynamic linker passes a valid object with its headers, and `set_up` its place.
    let (object, own) = unsafe { (&*object, &mut *own.cast::<(usize, usize)>()) };
    // SAFETY: as above.
    let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)) };
    let loaded = headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    let range = loaded.fold((usize::MAX, 0), |(from, to), header| {
        let begin = object.dlpi_addr as usize + header.p_vaddr as usize;
        (from.min(begin), to.max(begin + header.p_memsz as usize))
    });
    let is_it = (range.0..range.1).contains(&(is_own as *const () as usize));
    if is_it {
        *own = range;
    }
    c_int::from(is_it)
}

impl Stack {
    /// The stack of the caller, without the frames of this library.
    #[inline(never)]
    pub fn here() -> Stack {
        Stack::of(MOST_FRAMES)
    }

    /// The address in the program that this library returns to; 0 if it is not known.
    #[inline(never)]
    pub fn caller() -> usize {
        Stack::of(1).frames[0] as usize
    }

    #[inline(never)]
    fn of(most: usize) -> Stack {
        let mut stack = Stack { frames: [0; MOST_FRAMES], length: 0, most };
        stack.length = FIND.get().map_or(0, |find| find(&mut stack.frames[..most]));
        if stack.length > 0 {
            return stack;
        }
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
    if stack.length == 0 && is_own(address as usize) {
        return GO_ON;
    }
    stack.frames[stack.length] = address;
    stack.length += 1;
    if stack.length == stack.most { STOP } else { GO_ON }
}
