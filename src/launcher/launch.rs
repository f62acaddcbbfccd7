//! Becoming the program: the environment it gets, and exec.

use super::failure::{Failure, name};
use super::options::Options;
use super::{library, program, refuse};
use nix::errno::Errno;
use nix::unistd::execvpe;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

/// The dynamic linker's list of libraries to load first.
pub const PRELOAD: &str = "LD_PRELOAD";

/// What the library reads at its start. It prints its counters at exit:
const COUNTERS: &str = "EPOLYFILL_COUNTERS";
/// How it learns readiness:
const POLLER: &str = "EPOLYFILL_POLLER";
/// Whether what the program executes is served as well:
pub const CHILDREN: &str = "EPOLYFILL_CHILDREN";

/// Returns only on failure; what it could have left behind is then the seccomp filter, of a process that is about to end.
pub fn launch(options: &Options) -> Result<(), Failure> {
    let command = &options.program[0];
    let library = library::find()?;
    let path = program::find(command)?;
    program::judge(&path, &library, options.no_kernel_epoll)?;

    let existing = std::env::var_os(PRELOAD);
    let preload = library::preload(&library.path, existing.as_deref());
    let mut set = vec![(PRELOAD, preload)];
    if options.counters {
        set.push((COUNTERS, "1".into()));
    }
    if options.no_children {
        set.push((CHILDREN, "no".into()));
    }
    if let Some(poller) = options.poller {
        set.push((POLLER, poller.into()));
    }
    let environment = environment(&set)?;
    let path_string = c_string(path.as_os_str())?;
    let words: Result<Vec<_>, _> = options.program.iter().map(|word| c_string(word)).collect();
    let words = words?;

    if options.no_kernel_epoll {
        refuse::refuse_kernel_epoll()?;
    }
    // Not std's Command: it would reset SIGPIPE and the signal mask. The path has a slash in it, so nothing is searched again, but a text
    // file without `#!` still goes to the shell.
    let Err(errno) = execvpe(&path_string, &words, &environment);
    let sentence = format!("cannot run {}: {}", name(&path), errno.desc());
    Err(match errno {
        Errno::ENOENT | Errno::ENOTDIR => Failure::not_found(sentence),
        _ => Failure::cannot_run(sentence),
    })
}

/// The launcher's own environment with some variables set.
fn environment(set: &[(&str, OsString)]) -> Result<Vec<CString>, Failure> {
    let inherited = std::env::vars_os().filter(|(key, _)| !set.iter().any(|(ours, _)| key == *ours));
    let ours = set.iter().map(|(key, value)| (OsString::from(key), value.clone()));
    inherited
        .chain(ours)
        .map(|(mut entry, value)| {
            entry.push("=");
            entry.push(value);
            c_string(&entry)
        })
        .collect()
}

fn c_string(text: &OsStr) -> Result<CString, Failure> {
    // Words and variables came from C strings; a NUL in one of them cannot be.
    CString::new(OsString::from(text).into_vec()).map_err(|_| Failure::own(format!("{} has a NUL in it", name(text))))
}
