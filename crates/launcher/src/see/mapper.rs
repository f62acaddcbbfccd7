//! The process that a record belongs to. The record has the number by which the process knows itself.
//! In another PID namespace that is the number of another process here, or of none.

use super::record::Record;
use epolyfill_facts::layout::word;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The process that has the record mapped; `None` if it is of another namespace, and cannot be found
/// or has ended.
pub fn find(record: &Record) -> Option<i32> {
    let namespace = record.load(word::PID_NAMESPACE);
    let is_here = std::fs::metadata("/proc/self/ns/pid").map_or(true, |here| here.ino() == namespace);
    if namespace == 0 || is_here {
        return Some(record.pid());
    }
    let this = std::process::id() as i32;
    processes().find(|pid| *pid != this && maps(*pid, &record.path))
}

/// Whether a process has a file mapped.
fn maps(pid: i32, path: &Path) -> bool {
    names(&std::fs::read(format!("/proc/{pid}/maps")).unwrap_or_default(), path)
}

/// Whether the lines of a process's maps have a file. The directories above the file's own can have
/// another name there.
fn names(maps: &[u8], path: &Path) -> bool {
    let mut tail = b"/".to_vec();
    if let Some(directory) = path.parent().and_then(Path::file_name) {
        tail.extend_from_slice(directory.as_bytes());
        tail.push(b'/');
    }
    tail.extend_from_slice(path.file_name().unwrap_or_default().as_bytes());
    maps.split(|byte| *byte == b'\n').any(|line| line.ends_with(&tail))
}

/// The processes that can be seen.
pub fn processes() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &[u8] = b"7f10-7f20 rw-s 00000000 00:19 42                 /tmp/epolyfill-aB/1.0.epv\n\
        7f20-7f30 r-xp 00000000 00:19 43                 /usr/lib/libc.so.6\n";

    #[test]
    fn a_file_is_known_by_its_name_and_that_of_its_directory() {
        for path in ["/tmp/epolyfill-aB/1.0.epv", "/elsewhere/epolyfill-aB/1.0.epv"] {
            assert!(names(MAPS, Path::new(path)), "{path}");
        }
        for path in ["/tmp/epolyfill-aB/11.0.epv", "/tmp/epolyfill-aC/1.0.epv", "/tmp/epolyfill-aB/1.1.epv"] {
            assert!(!names(MAPS, Path::new(path)), "{path}");
        }
        assert!(!names(b"", Path::new("/tmp/epolyfill-aB/1.0.epv")));
    }

    #[test]
    fn a_process_that_is_not_there_maps_nothing() {
        assert!(!maps(i32::MAX, Path::new("/tmp/x")));
        assert!(processes().any(|pid| pid == std::process::id() as i32));
    }
}
