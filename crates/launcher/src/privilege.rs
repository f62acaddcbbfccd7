//! Whether the kernel would start a program in secure-execution mode (AT_SECURE), in which the
//! dynamic linker drops LD_PRELOAD when its entries are paths. The kernel's counterpart is
//! `cap_bprm_creds_from_file` of security/commoncap.c. See ld.so(8), execve(2).

use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{getegid, geteuid, getgid, getuid};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The reason for secure-execution mode, as a predicate of "it"; `None` if there is none.
/// `no_new_privs` says that PR_SET_NO_NEW_PRIVS will be set by then, as a seccomp filter requires.
pub fn secure(program: &Path, no_new_privs: bool) -> std::io::Result<Option<&'static str>> {
    let metadata = program.metadata()?;
    let nosuid = statvfs(program).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_NOSUID));
    let no_new_privs = no_new_privs || nix::sys::prctl::get_no_new_privs().unwrap_or(false);
    let by_mode = !nosuid && !no_new_privs;
    let mode = metadata.mode();

    // What counts is the effective id after the start beside the real one, not whether anything
    // changes: setuid root run by root is an ordinary start.
    let setuid = by_mode && mode & libc::S_ISUID != 0;
    let setgid = by_mode && mode & libc::S_ISGID != 0 && mode & libc::S_IXGRP != 0;
    if setuid && metadata.uid() != getuid().as_raw() {
        return Ok(Some("is setuid"));
    }
    if setgid && metadata.gid() != getgid().as_raw() {
        return Ok(Some("is setgid"));
    }
    if (!setuid && geteuid() != getuid()) || (!setgid && getegid() != getgid()) {
        return Ok(Some("would run with an effective user or group id that differs from the real one"));
    }
    // Capabilities of the file: a real root has them anyhow, and no_new_privs takes them away but
    // leaves the start secure.
    if !nosuid && !getuid().is_root() && has_capabilities(program) {
        return Ok(Some("has file capabilities"));
    }
    Ok(None)
}

/// The setuid or setgid bit that has no effect because the process can gain no privileges, as the
/// end of a sentence that begins with the program.
pub fn lost(program: &Path, no_new_privs: bool) -> std::io::Result<Option<String>> {
    let metadata = program.metadata()?;
    let mode = metadata.mode();
    let setuid = mode & libc::S_ISUID != 0 && metadata.uid() != geteuid().as_raw();
    let setgid = mode & libc::S_ISGID != 0 && mode & libc::S_IXGRP != 0 && metadata.gid() != getegid().as_raw();
    let what = match (setuid, setgid) {
        (true, _) => "setuid",
        (_, true) => "setgid",
        _ => return Ok(None),
    };
    let why = match (no_new_privs, nix::sys::prctl::get_no_new_privs().unwrap_or(false)) {
        (true, _) => "--no-kernel-epoll sets no_new_privs",
        (_, true) => "no_new_privs is set",
        _ => return Ok(None),
    };
    Ok(Some(format!("its {what} bit has no effect, because {why}")))
}

fn has_capabilities(program: &Path) -> bool {
    let Ok(path) = CString::new(program.as_os_str().as_bytes()) else {
        return false;
    };
    let attribute = c"security.capability";
    // SAFETY: both strings end in NUL, and a size of zero asks for the length only.
    unsafe { libc::getxattr(path.as_ptr(), attribute.as_ptr(), std::ptr::null_mut(), 0) > 0 }
}
