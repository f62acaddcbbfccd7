//! Where libepolyfill.so is, and how its path gets into LD_PRELOAD.
//!
//! It is looked for around the launcher's own file and nowhere else: never in the working directory, where anybody may have put one.

use super::elf::{Elf, Kind};
use super::failure::{Failure, name};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const FILE: &str = "libepolyfill.so";

/// Names the library outright; the launcher then looks nowhere else.
const OVERRIDE: &str = "EPOLYFILL_LIBRARY";

/// The directories of a distribution that keeps the libraries of several architectures side by side.
const TRIPLET: Option<&str> = if cfg!(target_arch = "x86_64") {
    Some("x86_64-linux-gnu")
} else if cfg!(target_arch = "aarch64") {
    Some("aarch64-linux-gnu")
} else if cfg!(target_arch = "riscv64") {
    Some("riscv64-linux-gnu")
} else {
    None
};

/// The library as found: an absolute path that the dynamic linker can take, and the ELF header a program is compared with.
#[derive(Debug)]
pub struct Library {
    pub path: PathBuf,
    pub elf: Elf,
}

/// Finds the library, and makes sure that LD_PRELOAD can name it and that it is a shared library.
pub fn find() -> Result<Library, Failure> {
    let path = locate()?;
    if let Some(bad) = separator(path.as_os_str()) {
        let sentence =
            format!("LD_PRELOAD cannot hold the library's path, because there is a {bad} in it: {}", name(&path));
        return Err(Failure::own(sentence));
    }
    match Elf::read(&path) {
        Ok(Some(elf)) if elf.kind == Kind::Shared => Ok(Library { path, elf }),
        Ok(_) => Err(Failure::own(format!("{} is no shared library", name(&path)))),
        Err(error) => Err(Failure::own(format!("cannot read the library {}: {error}", name(&path)))),
    }
}

fn locate() -> Result<PathBuf, Failure> {
    if let Some(given) = std::env::var_os(OVERRIDE).filter(|given| !given.is_empty()) {
        // Absolute, because the program may change its directory before it starts another; not resolved, so that a symbolic link can
        // give a name to a library whose own path LD_PRELOAD cannot hold.
        return std::path::absolute(&given).ok().filter(|path| path.is_file()).ok_or_else(|| {
            let sentence = format!("{OVERRIDE} names {}, which is no file", name(&given));
            Failure::own(sentence)
        });
    }
    let launcher = std::env::current_exe()
        .and_then(|path| path.canonicalize())
        .map_err(|error| Failure::own(format!("cannot find the launcher's own file: {error}")))?;
    let home = launcher.parent().unwrap_or(Path::new("/"));
    newest_of_build(home).or_else(|| installed(home)).ok_or_else(|| {
        let sentence = format!("{FILE} is neither in {} nor in ../lib beside it; {OVERRIDE} can name it", name(home));
        Failure::own(sentence)
    })
}

/// Beside the launcher, or in `deps` where cargo puts what it builds for `run` and `test`. After those the file beside the launcher is
/// the one of an earlier `cargo build`, hence the newer of the two.
fn newest_of_build(home: &Path) -> Option<PathBuf> {
    let modified = |path: &PathBuf| -> Option<SystemTime> {
        let metadata = path.metadata().ok().filter(|found| found.is_file())?;
        metadata.modified().ok()
    };
    let beside = home.join(FILE);
    let in_deps = home.join("deps").join(FILE);
    match (modified(&beside), modified(&in_deps)) {
        (Some(earlier), Some(later)) if later > earlier => Some(in_deps),
        (Some(_), _) => Some(beside),
        (None, Some(_)) => Some(in_deps),
        (None, None) => None,
    }
}

fn installed(home: &Path) -> Option<PathBuf> {
    let lib = home.parent()?.join("lib");
    let of_triplet = TRIPLET.map(|triplet| lib.join(triplet));
    let directories = [Some(lib.clone()), of_triplet, Some(lib.join("epolyfill"))];
    let mut candidates = directories.into_iter().flatten().map(|dir| dir.join(FILE));
    candidates.find(|path| path.is_file())
}

fn separator(path: &OsStr) -> Option<&'static str> {
    path.as_bytes().iter().find_map(|byte| match byte {
        b':' => Some("colon"),
        b' ' => Some("space"),
        _ => None,
    })
}

/// LD_PRELOAD with the library first, and everything else that was in it behind, in its order. The library, or another copy of it, is
/// in it once only: two copies would each believe that they are the epoll.
pub fn preload(library: &Path, existing: Option<&OsStr>) -> OsString {
    let mut value = library.as_os_str().to_owned();
    for entry in others(existing).filter(|entry| *entry != library) {
        value.push(":");
        value.push(entry);
    }
    value
}

/// LD_PRELOAD as it would be without epolyfill; nothing when nothing else is in it.
pub fn without_library(existing: Option<&OsStr>) -> Option<OsString> {
    let others: Vec<&OsStr> = others(existing).map(Path::as_os_str).collect();
    (!others.is_empty()).then(|| others.join(OsStr::new(":")))
}

fn others(existing: Option<&OsStr>) -> impl Iterator<Item = &Path> {
    let bytes = existing.map_or(&b""[..], OsStr::as_bytes);
    bytes
        .split(|byte| matches!(byte, b':' | b' '))
        .filter(|entry| !entry.is_empty())
        .map(|entry| Path::new(OsStr::from_bytes(entry)))
        .filter(|entry| entry.file_name() != Some(OsStr::new(FILE)))
}
