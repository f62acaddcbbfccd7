//! The command line that other processes see in /proc. The kernel shows the loader's, with its two
//! additional words; it is changed to the guest's if the kernel permits that.

use std::ffi::{CStr, c_char};
use std::ptr;

use syscalls::{Sysno, syscall};

/// The kernel's prctl_mm_map.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Map {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

impl Map {
    /// The process's own, from the text of /proc/self/stat; `None` if that hides it. The end of the
    /// heap is not in it.
    fn parse(stat: &str) -> Option<Map> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // The first one behind the name is the third.
        let field = |number: usize| fields.get(number - 3)?.parse().ok().filter(|value| *value != 0);
        Some(Map {
            start_code: field(26)?,
            end_code: field(27)?,
            start_stack: field(28)?,
            start_data: field(45)?,
            end_data: field(46)?,
            start_brk: field(47)?,
            brk: 0,
            arg_start: field(48)?,
            arg_end: field(49)?,
            env_start: field(50)?,
            env_end: field(51)?,
            auxv: 0,
            auxv_size: 0,
            exe_fd: u32::MAX,
        })
    }

    /// Gives it to the kernel. Nothing may allocate meanwhile: the heap keeps its end.
    fn set(&mut self) -> bool {
        // SAFETY: 0 asks for the end of the heap; the map is the process's own but for the words.
        unsafe {
            self.brk = syscall!(Sysno::brk, 0).unwrap_or(0) as u64;
            self.brk >= self.start_brk
                && syscall!(
                    Sysno::prctl,
                    libc::PR_SET_MM,
                    libc::PR_SET_MM_MAP,
                    ptr::from_mut(self),
                    size_of::<Map>(),
                    0
                )
                .is_ok()
        }
    }
}

/// Shows the guest's words. `words` is the loader's argv, as the kernel has put it on the stack;
/// returns the guest's first word, which may have moved behind the additional ones.
///
/// # Safety
/// The words must be strings. The second and the third are lost.
pub unsafe fn show(words: [*const c_char; 3]) -> *const c_char {
    let [first, second, third] = words;
    // SAFETY: the caller answers for the words.
    let bytes = |word| unsafe { CStr::from_ptr(word) }.to_bytes_with_nul().len();
    let (length, end) = (bytes(first), third.wrapping_add(bytes(third)));
    let is_whole = first.wrapping_add(length) == second && second.wrapping_add(bytes(second)) == third;
    let map = std::fs::read_to_string("/proc/self/stat").ok().and_then(|stat| Map::parse(&stat));
    let Some(mut map) = map.filter(|map| is_whole && map.arg_start == first.addr() as u64) else { return first };
    let place = end.wrapping_sub(length);
    map.arg_start = place.addr() as u64;
    if !map.set() {
        return first;
    }
    // SAFETY: the three words are consecutive, and end there.
    unsafe { ptr::copy(first, place.cast_mut(), length) };
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_is_read_from_behind_the_name() {
        let numbers: Vec<String> = (4..53).map(|number| (number * 16).to_string()).collect();
        let map = Map::parse(&format!("7 (a) b) R {}", numbers.join(" "))).unwrap();
        assert_eq!((map.start_code, map.start_stack, map.start_data), (26 * 16, 28 * 16, 45 * 16));
        assert_eq!((map.arg_start, map.arg_end, map.env_end), (48 * 16, 49 * 16, 51 * 16));
        assert!(Map::parse("7 (a) R 0 0").is_none());
        assert!(Map::parse(&format!("7 (a) R {}", "0 ".repeat(49))).is_none());
    }
}
