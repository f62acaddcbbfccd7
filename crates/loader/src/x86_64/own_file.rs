//! The guest's file, which a guest has to find at /proc/self/exe: there, the kernel shows the loader.

use std::ffi::{CStr, CString, OsStr};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::OnceLock;

use libc::pid_t;
use syscalls::{Sysno, syscall};

/// A path longer than those of /proc that are meant.
pub const LONGEST_LINK: usize = 40;

#[derive(Debug)]
struct Files {
    /// The guest, as its path was given.
    given: CString,
    /// Its absolute path without symbolic links.
    guest: CString,
}

static FILES: OnceLock<Files> = OnceLock::new();

fn files() -> &'static Files {
    FILES.get().expect("`remember` ran first")
}

/// Notes the guest's path, before anything changes the directory.
pub fn remember(path: &CStr) -> Result<(), String> {
    let c_string = |path: std::path::PathBuf| CString::new(path.into_os_string().into_vec()).unwrap_or_default();
    let guest = std::fs::canonicalize(OsStr::from_bytes(path.to_bytes())).map_err(|error| error.to_string())?;
    let _ = FILES.set(Files { given: path.to_owned(), guest: c_string(guest) });
    Ok(())
}

/// The guest's path as it was given.
pub fn given() -> &'static CStr {
    &files().given
}

/// The guest's absolute path.
pub fn guest() -> &'static CStr {
    &files().guest
}

/// Gives the process the guest's name, as execve would.
pub fn take_name() {
    let path = guest().to_bytes_with_nul();
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    // SAFETY: a string; the kernel takes its first 15 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Whether a path is that of the process's own program in /proc.
pub fn is_link(path: &CStr) -> bool {
    let Some(who) = path.to_bytes().strip_prefix(b"/proc/").and_then(|rest| rest.strip_suffix(b"/exe")) else {
        return false;
    };
    if [&b"self"[..], b"thread-self"].contains(&who) {
        return true;
    }
    // SAFETY: no arguments.
    let own = unsafe { syscall!(Sysno::getpid) }.unwrap_or(0) as pid_t;
    let mut digits = [0; 12];
    let mut rest = &mut digits[..];
    let _ = write!(rest, "{own}");
    let unused = rest.len();
    *who == digits[..digits.len() - unused]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_s_own_program_is_found_by_each_of_its_names() {
        let is = |path: &str| is_link(&CString::new(path).unwrap());
        let own = std::process::id();
        assert!(is("/proc/self/exe") && is("/proc/thread-self/exe") && is(&format!("/proc/{own}/exe")));
        assert!(!is("/proc/1/exe") && !is(&format!("/proc/{own}0/exe")) && !is("/proc//exe"));
        assert!(!is("/proc/self/exe2") && !is("self/exe") && !is("/proc/self/task/1/exe"));
    }
}
