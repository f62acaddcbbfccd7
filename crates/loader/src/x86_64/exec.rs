//! The guest's execve of its own file by the name in /proc, where the kernel would find the loader.

use std::ffi::c_char;

use super::{memory, own_file};

/// Executes the guest's file; `None` if the call is for another one. The library has the loader load
/// it, as for every static program that a process executes. A child of vfork runs this, too.
pub fn execute(arguments: &[usize; 6]) -> Option<isize> {
    let [path, words, environment, ..] = *arguments;
    let mut buffer = [0; own_file::LONGEST_LINK];
    memory::string(path, &mut buffer).filter(|path| own_file::is_link(path))?;
    // SAFETY: the path is a string, and the rest is as the guest passed it.
    unsafe {
        let errno = *libc::__errno_location();
        libc::execve(own_file::guest().as_ptr(), words as *const *const c_char, environment as *const *const c_char);
        let result = -*libc::__errno_location();
        *libc::__errno_location() = errno;
        Some(result as isize)
    }
}
