//! A name that LD_PRELOAD can hold, for a library whose own path it cannot: the dynamic linker
//! takes spaces and colons for separators, and a dollar sign for the beginning of a token.
//!
//! It is a symbolic link, because that still exists when a descendant executes another program:
//! daemons close a descriptor, and `/proc/self` is another process by then. The link is not
//! removed: running programs and the next launch use it.

use super::failure::{Failure, name, why};
use super::library::FILE;
use nix::unistd::geteuid;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// The path itself if LD_PRELOAD can hold it, or a link to it.
pub fn without_separators(path: &Path) -> Result<PathBuf, Failure> {
    let Some(bad) = separator(path) else {
        return Ok(path.to_owned());
    };
    let mut reason = None;
    for place in places() {
        match link_in(&place, path) {
            Ok(link) => return Ok(link),
            Err(error) => reason = Some(format!("{}: {}", name(&place), why(&error))),
        }
    }
    let reason = reason.unwrap_or("there is no suitable directory".to_owned());
    Err(Failure::own(format!(
        "LD_PRELOAD cannot hold {}, because its path contains a {bad}, and a symbolic link to it cannot be created ({reason}); move the library",
        name(path)
    )))
}

fn separator(path: &Path) -> Option<&'static str> {
    path.as_os_str().as_bytes().iter().find_map(|byte| match byte {
        b':' => Some("colon"),
        b' ' => Some("space"),
        b'$' => Some("dollar sign"),
        _ => None,
    })
}

/// Directories for the link; first one that is not cleaned up while the program runs.
fn places() -> impl Iterator<Item = PathBuf> {
    let own = match geteuid().is_root() {
        // A program that root starts may change its user, and still has to reach the link.
        true => Some(PathBuf::from("/run")),
        false => std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
    };
    let own = own.filter(|place| place.is_absolute() && separator(place).is_none());
    own.into_iter().chain(["/tmp", "/var/tmp", "/dev/shm"].map(PathBuf::from))
}

/// Creates or finds the link, in a directory to which no other user can write.
fn link_in(place: &Path, target: &Path) -> io::Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    target.hash(&mut hasher);
    let directory = place.join(format!("epolyfill-{}-{:016x}", geteuid(), hasher.finish()));
    match std::fs::DirBuilder::new().mode(0o755).create(&directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = directory.symlink_metadata()?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    let link = directory.join(FILE);
    if std::fs::read_link(&link).ok().as_deref() == Some(target) {
        return Ok(link);
    }
    let new = directory.join(std::process::id().to_string());
    symlink(target, &new)?;
    std::fs::rename(&new, &link)?;
    Ok(link)
}
