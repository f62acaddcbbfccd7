//! Becoming the program: the environment it gets, and exec.

use super::failure::{Failure, name, reason};
use super::options::Options;
use super::program::Depth;
use super::{library, program, refuse};
use crate::see::chaos::Session;
use crate::see::launch::{Observation, kernel_has_epoll};
use crate::settings::{self, Complaint, Setting};
use epolyfill_sites::guest;
use nix::errno::Errno;
use nix::unistd::execvpe;
use std::ffi::{CString, OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The dynamic linker's list of libraries to load first.
pub const PRELOAD: &str = "LD_PRELOAD";

/// The variable with AddressSanitizer's options, and the option without which it refuses to start
/// behind the library.
const ASAN_OPTIONS: &str = "ASAN_OPTIONS";
const ANY_ORDER: &str = "verify_asan_link_order=0";

/// Returns only on failure; the only thing that it may leave behind is the seccomp filter, in a
/// process that is about to exit.
pub fn launch(options: &Options) -> Result<(), Failure> {
    let command = &options.program[0];
    let library = observing(options).map_or_else(library::find, library::find_observing)?;
    let path = program::find(command)?;
    let served = program::judge(&path, &library, options.no_kernel_epoll, Depth::Reasons)?;

    let existing: Vec<OsString> = served.first.clone().into_iter().chain(std::env::var_os(PRELOAD)).collect();
    let preload = library::preload(&library.entry()?, Some(&existing.join(OsStr::new(":"))));
    let mut set: Vec<(&str, OsString)> = vec![(PRELOAD, preload)];
    set.extend(chosen(options).into_iter().map(|(setting, value)| (variable(setting), value.into())));
    if served.checks_order {
        set.push((ASAN_OPTIONS, any_order(std::env::var_os(ASAN_OPTIONS))));
    }
    let session = Session::new(&options.see.chaos, &options.program)?;
    if let Some(session) = &session {
        set.extend(session.variables().into_iter().map(|(setting, value)| (variable(setting), value)));
    }
    // Before there is anything of an observation, whose descriptors the parent must not keep.
    let _session = session.map(Session::begin).transpose()?;
    let observation = match options.see.is_on() {
        true => Some(Observation::new(&options.see, &options.program)?),
        false => None,
    };
    if let Some(observation) = &observation {
        set.extend(observation.variables().into_iter().map(|(setting, value)| (variable(setting), value)));
    }
    let environment = environment(&set)?;
    let path_string = c_string(path.as_os_str())?;
    let words: Result<Vec<_>, _> = options.program.iter().map(|word| c_string(word)).collect();
    let mut words = words?;
    let path_string = match &served.loader {
        // The loader's argv is the program's, with two words behind the first.
        Some(loader) => {
            words.splice(1..1, [guest::REFUSE.to_owned(), path_string]);
            c_string(loader.as_os_str())?
        }
        None => path_string,
    };

    // Until this process is the program.
    let _observation = observation.map(|observation| observation.begin(options.see.exit)).transpose()?;
    if options.no_kernel_epoll {
        refuse::refuse_kernel_epoll()?;
    }
    // Not std's Command: it would reset SIGPIPE and the signal mask. The path has a slash in it, so
    // nothing is searched again, but a text file without `#!` still goes to the shell.
    let Err(errno) = execvpe(&path_string, &words, &environment);
    let sentence = format!("cannot run {}: {}", name(&path), reason(errno));
    Err(match errno {
        Errno::ENOENT | Errno::ENOTDIR => Failure::not_found(sentence),
        _ => Failure::cannot_run(sentence),
    })
}

/// The option that needs the library with the observer.
fn observing(options: &Options) -> Option<&'static str> {
    match options {
        _ if options.see.chaos.is_wanted() => Some("--chaos"),
        _ if options.see.audit => Some("--audit"),
        _ if options.see.is_on() => Some("this option"),
        _ if options.poller == Some(settings::KERNEL) => Some("--poller=kernel"),
        _ => None,
    }
}

/// Whether the program is observed.
fn sees(options: &Options) -> bool {
    options.see.is_on() || options.see.chaos.is_wanted()
}

/// The settings that the command line chooses.
fn chosen(options: &Options) -> Vec<(&'static Setting, &'static str)> {
    let mut chosen = Vec::new();
    if options.counters {
        chosen.push((&settings::COUNTERS, "1"));
    }
    if options.no_children {
        chosen.push((&settings::CHILDREN, "no"));
    }
    if complain(options.poller.is_some()) {
        chosen.push((&settings::QUIET, "1"));
    }
    // Whoever hunts a fault wants to see the program as it is without the library.
    let is_usual = std::env::var_os(variable(&settings::POLLER)).is_none_or(|value| value.is_empty());
    let of_kernel =
        (sees(options) && is_usual && !options.no_kernel_epoll && kernel_has_epoll()).then_some(settings::KERNEL);
    if let Some(poller) = options.poller.or(of_kernel) {
        chosen.push((&settings::POLLER, poller));
    }
    chosen
}

/// The name of a setting's variable.
pub fn variable(setting: &'static Setting) -> &'static str {
    setting.name.to_str().unwrap_or_default()
}

/// Reports invalid settings in the environment on stderr, one line each, for all programs that will
/// be started. True if there are any. `poller_is_chosen` says that EPOLYFILL_POLLER does not count.
pub fn complain(poller_is_chosen: bool) -> bool {
    let quiet = std::env::var_os(variable(&settings::QUIET));
    if quiet.is_some_and(|value| settings::switch(value.as_bytes()) == Some(true)) {
        return false;
    }
    let mut complained = false;
    for (mut entry, value) in std::env::vars_os() {
        entry.push("=");
        entry.push(value);
        match settings::complaint(entry.as_bytes()) {
            None => {}
            Some(Complaint::Poller(_)) if poller_is_chosen => {}
            Some(complaint) => {
                // A closed stderr is no reason to fail.
                let _ = writeln!(std::io::stderr(), "epolyfill: {complaint}");
                complained = true;
            }
        }
    }
    complained
}

/// ASAN_OPTIONS with the needed option added.
fn any_order(existing: Option<OsString>) -> OsString {
    match existing.filter(|options| !options.is_empty()) {
        None => ANY_ORDER.into(),
        // If an option occurs twice, the last one counts.
        Some(mut options) => {
            options.push(":");
            options.push(ANY_ORDER);
            options
        }
    }
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
    CString::new(OsString::from(text).into_vec())
        .map_err(|_| Failure::own(format!("{} contains a NUL byte", name(text))))
}
