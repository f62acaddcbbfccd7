//! Which file a command name means, and whether the library can serve what would come of running it.
//!
//! A program that cannot load the library is refused and not run without it: it would go on with the kernel's epoll and nobody would
//! notice. A script is judged by its interpreter, and by what env(1) starts for it.

use super::elf::{Elf, Kind};
use super::failure::{Failure, name};
use super::library::Library;
use super::privilege;
use super::script::{self, Beginning, Env};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::unistd::{AccessFlags, faccessat};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Where execvp(3) looks when there is no PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// What execvp(3) makes of a file that the kernel does not know.
const SHELL: &str = "/bin/sh";

/// As many interpreters as the kernel follows before it says ELOOP.
const DEEPEST: usize = 5;

/// A file to be run, and what a message calls it: "it", or "its interpreter …".
struct Subject {
    path: PathBuf,
    called: String,
}

/// The file that a command name means, found as execvp(3) does. The path has a slash in it.
pub fn find(command: &OsStr) -> Result<PathBuf, Failure> {
    if command.as_bytes().contains(&b'/') {
        let path = PathBuf::from(command);
        return match runnable(&path) {
            Ok(()) => Ok(path),
            Err(errno) => Err(not_runnable(command, &path, errno)),
        };
    }
    let searched = std::env::var_os("PATH").unwrap_or(OsString::from(DEFAULT_PATH));
    let mut refused = None;
    if !command.is_empty() {
        for directory in searched.as_bytes().split(|byte| *byte == b':') {
            // An empty entry means the working directory.
            let directory = if directory.is_empty() { b"." } else { directory };
            let path = PathBuf::from(OsString::from_vec([directory, b"/", command.as_bytes()].concat()));
            match runnable(&path) {
                Ok(()) => return Ok(path),
                // A directory that this user may not look into is passed over like one without the file.
                Err(_) if path.exists() => refused = refused.or(Some(path)),
                Err(_) => {}
            }
        }
    }
    match refused {
        Some(path) => Err(not_runnable(command, &path, Errno::EACCES)),
        None => Err(Failure::not_found(format!("{}: not found in PATH", name(command)))),
    }
}

/// Whether the system lets this user run the file, in the errno that says why not.
fn runnable(path: &Path) -> Result<(), Errno> {
    let metadata = path.metadata().map_err(errno)?;
    if metadata.is_dir() {
        return Err(Errno::EISDIR);
    }
    if !metadata.is_file() {
        return Err(Errno::EACCES);
    }
    // execve goes by the effective ids, access(2) by the real ones.
    faccessat(nix::fcntl::AT_FDCWD, path, AccessFlags::X_OK, AtFlags::AT_EACCESS)
}

fn not_runnable(command: &OsStr, path: &Path, errno: Errno) -> Failure {
    let command = name(command);
    if path.is_dir() {
        return Failure::cannot_run(format!("{command}: is a directory"));
    }
    match errno {
        Errno::ENOENT | Errno::ENOTDIR => Failure::not_found(format!("{command}: not found")),
        Errno::EACCES => Failure::cannot_run(format!("{}: not executable", name(path))),
        other => Failure::cannot_run(format!("{command}: {}", other.desc())),
    }
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// Says in one sentence that the program can be served, or fails with the sentence that says why not. `refused` tells that the seccomp
/// filter will be in place.
pub fn judge(program: &Path, library: &Library, refused: bool) -> Result<String, Failure> {
    let mut subject = Subject { path: program.to_owned(), called: "it".to_owned() };
    let cannot = |failure: Failure| Failure {
        sentence: format!("cannot serve {}: {}", name(program), failure.sentence),
        ..failure
    };
    for _ in 0..=DEEPEST {
        match subject.starts(library, refused).map_err(cannot)? {
            Some(interpreter) => subject = interpreter,
            None => {
                let by = match subject.path == *program {
                    true => String::new(),
                    false => format!(", by way of {}", name(&subject.path)),
                };
                return Ok(format!("{} can be served{by}", name(program)));
            }
        }
    }
    let sentence = "its interpreters lead on and on without an end";
    Err(cannot(Failure::cannot_run(sentence)))
}

impl Subject {
    fn interpreter(path: PathBuf) -> Self {
        let called = format!("its interpreter {}", name(&path));
        Self { path, called }
    }

    /// What runs in place of this file, if it is a script. A program that can be served is none.
    fn starts(&self, library: &Library, refused: bool) -> Result<Option<Self>, Failure> {
        let Self { path, called } = self;
        let unreadable = |error| Failure::own(format!("{called} cannot be read: {error}"));
        if let Some(elf) = Elf::read(path).map_err(unreadable)? {
            loads(path, &elf, library).map_err(|what| Failure::own(format!("{called} {what}")))?;
            return match privilege::secure(path, refused).map_err(unreadable)? {
                None => Ok(None),
                Some(what) => {
                    Err(Failure::own(format!("{called} {what}, and the dynamic linker then ignores LD_PRELOAD")))
                }
            };
        }
        let interpreter = match script::beginning(path).map_err(unreadable)? {
            Beginning::Interpreter(path, argument) if path.ends_with("env") => Self::of_env(path, &argument)?,
            Beginning::Interpreter(path, _) => Self::interpreter(path),
            Beginning::Text => Self::interpreter(SHELL.into()),
            Beginning::Unknown => {
                let sentence = format!("{called} is neither an ELF program nor a script");
                return Err(Failure::cannot_run(sentence));
            }
        };
        match runnable(&interpreter.path) {
            Ok(()) => Ok(Some(interpreter)),
            Err(errno) => Err(Failure::cannot_run(format!("{} cannot be run: {}", interpreter.called, errno.desc()))),
        }
    }

    fn of_env(env: PathBuf, argument: &OsStr) -> Result<Self, Failure> {
        match script::env(argument) {
            Env::Starts(command) => {
                let called = format!("its interpreter {}", name(&command));
                match find(&command) {
                    Ok(path) => Ok(Self { path, called }),
                    Err(_) => Err(Failure::cannot_run(format!("{called} is not found"))),
                }
            }
            Env::DropsPreload => Err(Failure::own("its first line tells env to drop LD_PRELOAD")),
            Env::Unclear => Ok(Self::interpreter(env)),
        }
    }
}

/// Whether the library can be loaded into an ELF program; the error is the predicate of a sentence.
fn loads(path: &Path, elf: &Elf, library: &Library) -> Result<(), String> {
    if elf.machine != library.elf.machine {
        return Err(format!("is for {}, the library for {}", elf.machine, library.elf.machine));
    }
    if elf.kind == Kind::Neither {
        return Err("is no program, or a damaged one".to_owned());
    }
    let canonical = path.canonicalize().unwrap_or(path.to_owned());
    let linker = elf.interpreter.as_deref().unwrap_or(&canonical);
    let linker_name = linker.file_name().unwrap_or_default().as_bytes();
    if linker_name.starts_with(b"ld-musl") && !cfg!(target_env = "musl") {
        return Err("is linked with musl, the library with glibc".to_owned());
    }
    match &elf.interpreter {
        Some(linker) if !linker.exists() => {
            Err(format!("asks for the dynamic linker {}, which does not exist", name(linker)))
        }
        Some(_) => Ok(()),
        // `ld.so program`: the dynamic linker looks like a static program, and takes LD_PRELOAD along.
        None if linker_name.starts_with(b"ld-linux") || linker_name.starts_with(b"ld64.so") => Ok(()),
        None => Err("is statically linked, and loads no libraries".to_owned()),
    }
}
