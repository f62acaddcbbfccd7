//! The file that a command name means, and whether the library can serve the program that results
//! from running it.
//!
//! A program that cannot load the library is refused, and not run without it: it would continue
//! with the kernel's epoll, unnoticed. A script is judged by its interpreter, and by the program
//! that env(1) starts for it.

use super::dynamic::Dynamic;
use super::elf::{self, Elf};
use super::failure::{Failure, name, reason, why};
use super::library::Library;
use super::script::{self, Beginning, Env};
use super::{past, privilege};
use epolyfill_sites::Kind;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, faccessat};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The path that execvp(3) searches if there is no PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The interpreter that execvp(3) uses for a file that the kernel does not recognize.
const SHELL: &str = "/bin/sh";

/// The number of interpreters that the kernel follows before it fails with ELOOP.
const DEEPEST: usize = 5;

/// A file to be run, and its name in a message: "it", or "its interpreter …".
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
            Err(obstacle) => Err(obstacle.failure(&name(command).to_string())),
        };
    }
    let searched = std::env::var_os("PATH").unwrap_or(OsString::from(DEFAULT_PATH));
    let mut first = None;
    if !command.is_empty() {
        for directory in searched.as_bytes().split(|byte| *byte == b':') {
            // An empty entry means the working directory.
            let directory = if directory.is_empty() { b"." } else { directory };
            let path = PathBuf::from(OsString::from_vec([directory, b"/", command.as_bytes()].concat()));
            match runnable(&path) {
                Ok(()) => return Ok(path),
                Err(Obstacle::Unreachable(Errno::ENOENT | Errno::ENOTDIR)) => {}
                Err(obstacle) => first = first.or(Some((path, obstacle))),
            }
        }
    }
    Err(match first {
        Some((path, obstacle)) => obstacle.failure(&name(&path).to_string()),
        None => Failure::not_found(format!("{} is not found in PATH", name(command))),
    })
}

/// The reason why the system does not let this user run a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// It is a directory.
    Directory,
    /// It is neither a file nor a directory.
    Special,
    /// The file is there, without the right to execute it.
    Mode,
    /// Nothing on its file system may be executed.
    NoExec,
    /// The file cannot be reached, for this reason.
    Unreachable(Errno),
}

impl Obstacle {
    fn failure(self, called: &str) -> Failure {
        match self {
            Self::Directory => Failure::cannot_run(format!("{called} is a directory")),
            Self::Special => Failure::cannot_run(format!("{called} is not executable: it is not a regular file")),
            Self::Mode => Failure::cannot_run(format!(
                "{called} is not executable: permission denied; chmod +x makes it executable"
            )),
            Self::NoExec => Failure::cannot_run(format!(
                "{called} is not executable: permission denied; its file system is mounted noexec"
            )),
            Self::Unreachable(Errno::ENOENT | Errno::ENOTDIR) => Failure::not_found(format!("{called} is not found")),
            Self::Unreachable(Errno::EACCES) => Failure::cannot_run(format!(
                "{called} cannot be reached: permission denied; a directory of its path does not grant search permission"
            )),
            Self::Unreachable(errno) => Failure::cannot_run(format!("{called} cannot be reached: {}", reason(errno))),
        }
    }
}

/// Whether the system lets this user run the file.
fn runnable(path: &Path) -> Result<(), Obstacle> {
    let errno = |error: std::io::Error| Obstacle::Unreachable(Errno::from_raw(error.raw_os_error().unwrap_or(0)));
    let metadata = path.metadata().map_err(errno)?;
    if metadata.is_dir() {
        return Err(Obstacle::Directory);
    }
    if !metadata.is_file() {
        return Err(Obstacle::Special);
    }
    // execve goes by the effective ids, access(2) by the real ones.
    let noexec = || statvfs(path).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_NOEXEC));
    faccessat(nix::fcntl::AT_FDCWD, path, AccessFlags::X_OK, AtFlags::AT_EACCESS).map_err(|errno| match errno {
        Errno::EACCES if noexec() => Obstacle::NoExec,
        Errno::EACCES => Obstacle::Mode,
        other => Obstacle::Unreachable(other),
    })
}

/// A program that can be served.
#[derive(Debug)]
pub struct Served {
    /// The sentence that reports it.
    pub sentence: String,
    /// It is linked with AddressSanitizer, which checks that its runtime comes first.
    pub checks_order: bool,
    /// A library that it is linked with and that has to be loaded before ours.
    pub first: Option<OsString>,
    /// The program that loads it, because the dynamic linker does not.
    pub loader: Option<PathBuf>,
}

/// How closely a program is examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// For reasons to refuse it.
    Reasons,
    /// Also for the limits within which it is served, which means reading all of its code.
    Whole,
}

/// Reports that the program can be served, or fails with the reason. `refused` says that the
/// seccomp filter will be in place.
pub fn judge(program: &Path, library: &Library, refused: bool, depth: Depth) -> Result<Served, Failure> {
    let mut subject = Subject { path: program.to_owned(), called: "it".to_owned() };
    let cannot = |failure: Failure| Failure {
        sentence: format!("cannot serve {}: {}", name(program), failure.sentence),
        ..failure
    };
    for _ in 0..=DEEPEST {
        match subject.starts(library, refused, depth).map_err(cannot)? {
            Step::Interpreter(interpreter) => subject = interpreter,
            Step::Served { how, limits, checks_order, first, loader } => {
                let by = match subject.path == *program {
                    true => String::new(),
                    false => format!(", by way of {}", name(&subject.path)),
                };
                let limits: String = limits.iter().map(|limit| format!(", but {limit}")).collect();
                let sentence = format!("{} can be served{by}: {how}{limits}", name(program));
                if loader.is_some() && subject.path != *program {
                    let way_out = "run it by its name, with the script as its argument";
                    let sentence = format!("{} is static and can only be loaded itself; {way_out}", subject.called);
                    return Err(cannot(Failure::own(sentence)));
                }
                return Ok(Served { sentence, checks_order, first, loader });
            }
        }
    }
    let sentence = "its interpreters are scripts that name each other; the first line of one must name a program";
    Err(cannot(Failure::cannot_run(sentence)))
}

impl Subject {
    fn interpreter(path: PathBuf) -> Self {
        let called = format!("its interpreter {}", name(&path));
        Self { path, called }
    }

    /// The interpreter, if this file is a script; otherwise the finding that it is a program that
    /// can be served.
    fn starts(&self, library: &Library, refused: bool, depth: Depth) -> Result<Step, Failure> {
        let Self { path, called } = self;
        let unreadable = |error| {
            let why = why(&error);
            Failure::own(format!(
                "{called} cannot be read, so it is unknown whether the library would be loaded: {why}; make it readable"
            ))
        };
        if let Some(elf) = Elf::read(path).map_err(unreadable)? {
            let rewritten = loads(path, &elf, library).map_err(|what| Failure::own(format!("{called} {what}")))?;
            if let Some(what) = privilege::secure(path, refused).map_err(unreadable)? {
                return Err(Failure::own(format!(
                    "{called} {what}, so the dynamic linker ignores LD_PRELOAD; run it as the user and group that it needs"
                )));
            }
            let dynamic = readable(Dynamic::read(&elf)).map_err(unreadable)?;
            let mut limits = Vec::new();
            limits.extend(privilege::lost(path, refused).map_err(unreadable)?);
            let calls =
                calls(&elf, &dynamic, rewritten, depth).map_err(|what| Failure::own(format!("{called} {what}")))?;
            limits.extend(calls.limit);
            let loader = calls.kind.filter(|kind| *kind != Kind::Dynamic).map(|_| library.loader()).transpose()?;
            return Ok(Step::Served {
                how: calls.how,
                limits,
                checks_order: has_asan(&dynamic),
                first: faketime(&dynamic),
                loader,
            });
        }
        let interpreter = match script::beginning(path).map_err(unreadable)? {
            Beginning::Interpreter(path, argument) if path.ends_with("env") => Self::of_env(path, &argument)?,
            Beginning::Interpreter(path, _) => Self::interpreter(path),
            Beginning::Text => Self::interpreter(SHELL.into()),
            Beginning::Unknown => {
                let sentence = format!("{called} is neither an ELF program nor a script, and cannot be run here");
                return Err(Failure::cannot_run(sentence));
            }
        };
        match runnable(&interpreter.path) {
            Ok(()) => Ok(Step::Interpreter(interpreter)),
            // The script was found, so this is never "not found".
            Err(obstacle) => Err(Failure::cannot_run(obstacle.failure(&interpreter.called).sentence)),
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
            Env::DropsPreload => Err(Failure::own(
                "its first line makes env remove LD_PRELOAD, so the library would not be loaded; change that line",
            )),
            Env::Unclear => Ok(Self::interpreter(env)),
        }
    }
}

/// The result of looking at one file.
enum Step {
    /// A script, for this interpreter.
    Interpreter(Subject),
    /// A program that can be served: how, and within which limits.
    Served { how: String, limits: Vec<String>, checks_order: bool, first: Option<OsString>, loader: Option<PathBuf> },
}

/// Whether the library can be loaded into an ELF program; the error is the predicate of a sentence.
/// Returns how many instructions are rewritten in a static program with a C library.
fn loads(path: &Path, elf: &Elf, library: &Library) -> Result<Option<usize>, String> {
    if elf.kind == elf::Kind::Neither {
        return Err("is damaged, or is not a program; reinstall it".to_owned());
    }
    if elf.machine != library.elf.machine {
        return Err(format!(
            "is for {}, but the library is for {}; use a library for the program's architecture",
            elf.machine, library.elf.machine
        ));
    }
    if let Ok(Some((there, wanted))) = elf.cut_short() {
        return Err(format!("is damaged: it has {there} of {wanted} bytes; reinstall it"));
    }
    let canonical = path.canonicalize().unwrap_or(path.to_owned());
    let linker = elf.interpreter.as_deref().unwrap_or(&canonical);
    let linker_name = linker.file_name().unwrap_or_default().as_bytes();
    if linker_name.starts_with(b"ld-musl") && !cfg!(target_env = "musl") {
        return Err("is linked with musl, but the library with glibc; a build for glibc can be served".to_owned());
    }
    match &elf.interpreter {
        Some(linker) if !linker.exists() => {
            Err(format!("needs the dynamic linker {}, which does not exist; install it", name(linker)))
        }
        Some(_) => Ok(None),
        // `ld.so program`: the dynamic linker looks like a static program, and takes LD_PRELOAD
        // along.
        None if linker_name.starts_with(b"ld-linux") || linker_name.starts_with(b"ld64.so") => Ok(None),
        None if past::is_go(elf).unwrap_or(false) => Ok(None),
        None => past::loadable(elf).map(Some),
    }
}

/// The part of a damaged file that cannot be read counts as empty.
fn readable<T: Default>(read: std::io::Result<T>) -> std::io::Result<T> {
    match read {
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) => Ok(T::default()),
        other => other,
    }
}

/// How the epoll calls of a program reach the library.
struct Calls {
    /// A sentence about the program, "it …".
    how: String,
    /// If some do not: the end of a sentence.
    limit: Option<String>,
    /// How a program is loaded that makes its own system calls.
    kind: Option<Kind>,
}

fn static_how(count: usize) -> String {
    format!("static: loaded by epolyfill, and {count} instructions are rewritten")
}

/// How the program's epoll calls reach the library, as far as the file shows; an error if none does.
/// `rewritten` is the result of [`loads`].
fn calls(elf: &Elf, dynamic: &Dynamic, rewritten: Option<usize>, depth: Depth) -> Result<Calls, String> {
    if past::is_go(elf).unwrap_or(false) {
        let count = past::rewritten(elf, dynamic)?;
        let kind = past::kind(elf, dynamic);
        let how = match kind {
            Kind::Dynamic => {
                format!("it makes its own system calls, and {count} instructions are rewritten when it is loaded")
            }
            Kind::Static | Kind::StaticC => static_how(count),
        };
        return Ok(Calls { how, limit: None, kind: Some(kind) });
    }
    if let Some(count) = rewritten {
        return Ok(Calls { how: static_how(count), limit: None, kind: Some(Kind::StaticC) });
    }
    let by_libc = dynamic.undefined.iter().any(|symbol| symbol.starts_with(b"epoll_"));
    let calls = |how: &str, limit| Ok(Calls { how: how.to_owned(), limit, kind: None });
    if by_libc && depth == Depth::Reasons {
        return calls("it calls libc", None);
    }
    let own = past::own_calls(elf).unwrap_or_default();
    if own.is_empty() {
        return calls("it calls libc", None);
    }
    let names: Vec<&str> = own.iter().copied().collect();
    let names = names.join(", ");
    match past::trapped(elf, dynamic, &own) {
        Ok(count) if by_libc => {
            calls(&format!("it calls libc, and {count} system call instructions of its own are trapped"), None)
        }
        Ok(count) => calls(&format!("it makes its own system calls, and {count} instructions are trapped"), None),
        Err(why) if past::is_whole(&own) && !by_libc => Err(format!(
            "makes its epoll calls ({names}) by system call instructions of its own, {why}; run it without epolyfill"
        )),
        Err(why) => calls(
            "it calls libc",
            Some(format!(
                "not for the epoll calls that it makes by system call instructions of its own ({names}), {why}"
            )),
        ),
    }
}

fn has_asan(dynamic: &Dynamic) -> bool {
    let mut needed = dynamic.needed.iter();
    needed.any(|library| library.starts_with(b"libasan.so") || library.starts_with(b"libclang_rt.asan"))
}

/// libfaketime, which has to convert the program's time-outs before the library sees them.
fn faketime(dynamic: &Dynamic) -> Option<OsString> {
    let mut needed = dynamic.needed.iter();
    needed.find(|library| library.starts_with(b"libfaketime")).map(|library| OsString::from_vec(library.clone()))
}
