//! The search for libepolyfill.so, the check that it is complete and the right one, and its place
//! in LD_PRELOAD.
//!
//! It is searched for around the launcher's own file and nowhere else: never in the working
//! directory, where anybody may have put one.

use super::dynamic::Dynamic;
use super::elf::{Elf, Kind};
use super::failure::{Failure, name, why};
use super::link;
use crate::preload;
use epolyfill_sites::guest;
use std::ffi::{CStr, OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub const FILE: &str = "libepolyfill.so";

/// Names the library outright; the launcher then looks nowhere else.
const OVERRIDE: &str = "EPOLYFILL_LIBRARY";

/// Every build of epolyfill exports the first, and the one that takes the place of libc's epoll
/// also the second.
const OURS: &[u8] = b"epolyfill_version";
const IN_PLACE: &[u8] = b"epoll_create1";

/// The library directory of this architecture in a multiarch distribution.
const TRIPLET: Option<&str> = if cfg!(target_arch = "x86_64") {
    Some("x86_64-linux-gnu")
} else if cfg!(target_arch = "aarch64") {
    Some("aarch64-linux-gnu")
} else if cfg!(target_arch = "riscv64") {
    Some("riscv64-linux-gnu")
} else {
    None
};

/// The library: an absolute path, and the ELF header with which a program's is compared.
#[derive(Debug)]
pub struct Library {
    pub path: PathBuf,
    pub elf: Elf,
}

impl Library {
    /// The loader of static programs. The library finds it in the same places when the program
    /// starts others; one that it did not find would leave those to the kernel.
    pub fn loader(&self) -> Result<PathBuf, Failure> {
        let home = self.path.parent().unwrap_or(Path::new("/"));
        let candidates = guest::PLACES.iter().map(|place| home.join(place).join(guest::LOADER));
        let mut found = candidates.filter_map(|path| path.canonicalize().ok());
        found.find(|path| path.is_file()).ok_or_else(|| {
            let (loader, home) = (guest::LOADER, name(home));
            Failure::own(format!("static programs need {loader}, which is not in {home}; install it there"))
        })
    }

    /// Its path as LD_PRELOAD can hold it.
    pub fn entry(&self) -> Result<PathBuf, Failure> {
        link::without_separators(&self.path)
    }
}

/// The library with the observer: as it is installed, and as cargo builds it.
const OBSERVING: [&str; 2] = ["libepolyfill-see.so", "libepolyfill_see.so"];

/// Finds the library, and checks that it is complete and takes the place of libc's epoll.
pub fn find() -> Result<Library, Failure> {
    checked(locate()?)
}

/// Finds the library with the observer, which the option `wish` needs: beside the ordinary one, or where that is searched for.
pub fn find_observing(wish: &str) -> Result<Library, Failure> {
    let found = find()?;
    let ordinary = &found.path;
    if OBSERVING.iter().any(|file| ordinary.ends_with(file)) {
        return Ok(found);
    }
    let home = ordinary.parent().unwrap_or(Path::new("/"));
    // Beside `deps`, where cargo puts the ordinary one for tests.
    let build = home.parent().filter(|_| home.ends_with("deps"));
    let launcher = own_file().ok().and_then(|file| file.parent().map(Path::to_owned));
    let places = launcher.as_deref().map(directories).unwrap_or_default();
    let homes = [Some(home), build].into_iter().flatten().map(Path::to_owned).chain(places);
    let mut candidates = homes.flat_map(|home| OBSERVING.map(|file| home.join(file)));
    match candidates.find(|path| path.is_file()) {
        Some(path) => checked(path),
        None => {
            let [file, _] = OBSERVING;
            Err(Failure::own(format!("{wish} needs {file}, which is not in {}; install it there", name(home))))
        }
    }
}

fn checked(path: PathBuf) -> Result<Library, Failure> {
    let failed = |what: String| Failure::own(format!("the library {} {what}; {}", name(&path), way_out()));
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData => failed("is damaged".to_owned()),
        ErrorKind::NotFound => failed("does not exist".to_owned()),
        _ => failed(format!("cannot be read: {}", why(&error))),
    };
    if path.metadata().map_err(unreadable)?.is_dir() {
        return Err(failed("is a directory".to_owned()));
    }
    let elf = match Elf::read(&path).map_err(unreadable)? {
        Some(elf) if elf.kind == Kind::Shared => elf,
        Some(_) => return Err(failed("is damaged, or is not a shared library".to_owned())),
        None => return Err(failed("is not a shared library".to_owned())),
    };
    if let Some((there, wanted)) = elf.cut_short().map_err(unreadable)? {
        return Err(failed(format!("is truncated: it has {there} of {wanted} bytes")));
    }
    let dynamic = Dynamic::read(&elf).map_err(unreadable)?;
    if !dynamic.defined.contains(OURS) {
        return Err(failed("is not an epolyfill library".to_owned()));
    }
    if !dynamic.defined.contains(IN_PLACE) {
        return Err(failed("is the side build, which does not replace libc's epoll".to_owned()));
    }
    Ok(Library { path, elf })
}

/// The remedy for an unusable library.
fn way_out() -> String {
    match given() {
        Some(_) => format!("set {OVERRIDE} to a {FILE}, or unset it"),
        None => format!("reinstall epolyfill, or set {OVERRIDE} to a {FILE}"),
    }
}

fn given() -> Option<OsString> {
    std::env::var_os(OVERRIDE).filter(|given| !given.is_empty())
}

fn locate() -> Result<PathBuf, Failure> {
    if let Some(given) = given() {
        // Absolute, because the program may change its directory before it executes another one.
        return std::path::absolute(&given)
            .map_err(|error| Failure::own(format!("{OVERRIDE} names {}: {}", name(&given), why(&error))));
    }
    let launcher = own_file()?;
    let home = launcher.parent().unwrap_or(Path::new("/"));
    newest_of_build(home).or_else(|| installed(home)).ok_or_else(|| {
        let way_out = match home.join("deps").is_dir() {
            // A build directory, after `cargo run`, which builds the launcher alone.
            true => "`cargo build` makes it".to_owned(),
            false => format!("set {OVERRIDE} to its path"),
        };
        let lib = home.parent().unwrap_or(home).join("lib");
        Failure::own(format!("{FILE} is neither in {} nor in {}; {way_out}", name(home), name(&lib)))
    })
}

/// The launcher's own file: from `/proc`, or without `/proc` the path that was passed to exec.
pub fn own_file() -> Result<PathBuf, Failure> {
    let told = || {
        // SAFETY: a number in, a number out.
        let address = unsafe { libc::getauxval(libc::AT_EXECFN) };
        // SAFETY: the kernel put a string there that ends in NUL, and the process keeps it.
        let path = (address != 0).then(|| unsafe { CStr::from_ptr(address as *const libc::c_char) })?;
        Some(PathBuf::from(OsStr::from_bytes(path.to_bytes())))
    };
    let path = std::env::current_exe().or_else(|error| told().ok_or(error));
    path.and_then(|path| path.canonicalize()).map_err(|error| {
        let why = why(&error);
        Failure::own(format!("the launcher cannot find its own file: {why}; set {OVERRIDE} to the library"))
    })
}

/// Beside the launcher, or in `deps`, where cargo puts the build for `test`. After that the file
/// beside the launcher is that of an earlier `cargo build`, hence the newer of the two.
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

/// Where the library is installed, for a launcher in this directory.
fn directories(home: &Path) -> Vec<PathBuf> {
    let Some(lib) = home.parent().map(|prefix| prefix.join("lib")) else { return Vec::new() };
    let of_triplet = TRIPLET.map(|triplet| lib.join(triplet));
    [Some(lib.clone()), of_triplet, Some(lib.join("epolyfill"))].into_iter().flatten().collect()
}

fn installed(home: &Path) -> Option<PathBuf> {
    let mut candidates = directories(home).into_iter().map(|dir| dir.join(FILE));
    // A path for which stat fails with EACCES counts as found, and is refused later.
    candidates.find(|path| match path.metadata() {
        Ok(found) => found.is_file(),
        Err(error) => error.kind() == ErrorKind::PermissionDenied,
    })
}

/// LD_PRELOAD with the library in its place among the other entries, which keep their order. The
/// library, or another copy of it, is in it only once: two copies would each believe that they are
/// the epoll.
pub fn preload(library: &Path, existing: Option<&OsStr>) -> OsString {
    let others: Vec<&OsStr> = others(existing).filter(|entry| *entry != library).map(Path::as_os_str).collect();
    let others = others.join(OsStr::new(":"));
    let place = preload::place(others.as_bytes(), |_| false);
    let pieces = place.map(|place| place.with(library.as_os_str().as_bytes()).concat());
    pieces.map(OsString::from_vec).unwrap_or_default()
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
        .filter(|entry| !is_ours(entry))
}

/// Whether an entry is the library by its name, with or without a version suffix.
fn is_ours(entry: &Path) -> bool {
    let name = entry.file_name().unwrap_or_default().as_bytes();
    let [installed, built] = OBSERVING;
    [FILE, installed, built]
        .into_iter()
        .any(|file| name.strip_prefix(file.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_stay_in_front_of_the_library_and_others_behind_it() {
        let existing = "/x/libepolyfill.so.0:libasan.so.8:/usr/$LIB/faketime/libfaketime.so.1 other.so";
        let value = preload(Path::new("/y/libepolyfill.so"), Some(OsStr::new(existing)));
        assert_eq!(value, "libasan.so.8:/usr/$LIB/faketime/libfaketime.so.1:/y/libepolyfill.so:other.so");
    }
}
