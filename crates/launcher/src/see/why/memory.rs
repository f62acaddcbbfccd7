//! The memory of another process.

use crate::failure::Failure;
use nix::errno::Errno;
use std::fs;
use std::io;

/// Memory that can be read, and may change at any moment.
pub trait Memory {
    /// Reads from an address on, up to the first byte that cannot be read. Returns the number of
    /// bytes.
    fn read_up_to(&self, address: u64, into: &mut [u8]) -> usize;

    /// Reads all of the bytes; `None` if one cannot be read.
    fn bytes(&self, address: u64, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        (self.read_up_to(address, &mut bytes) == count).then_some(bytes)
    }

    /// Reads a word of four bytes.
    fn word(&self, address: u64) -> Option<u32> {
        let mut bytes = [0; 4];
        (self.read_up_to(address, &mut bytes) == 4).then(|| u32::from_ne_bytes(bytes))
    }

    /// Reads a word of eight bytes.
    fn double(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        (self.read_up_to(address, &mut bytes) == 8).then(|| u64::from_ne_bytes(bytes))
    }
}

/// The memory of a process.
#[derive(Debug)]
pub struct OfProcess(pub i32);

impl OfProcess {
    /// Reads as `read_up_to`, and reports why nothing could be read.
    pub fn read(&self, address: u64, into: &mut [u8]) -> Result<usize, Errno> {
        let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
        let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: into.len() };
        // SAFETY: the local bytes are borrowed exclusively; the remote ones are only read.
        let read = unsafe { libc::process_vm_readv(self.0, &raw const local, 1, &raw const remote, 1, 0) };
        Errno::result(read).map(|read| read as usize)
    }
}

impl Memory for OfProcess {
    fn read_up_to(&self, address: u64, into: &mut [u8]) -> usize {
        self.read(address, into).unwrap_or(0)
    }
}

/// The beginning of a file that is mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub start: u64,
    pub path: String,
}

/// The files that are mapped from their beginning, in the order of `/proc/PID/maps`.
pub fn mappings(maps: &str) -> Vec<Mapping> {
    let mapping = |line: &str| {
        let mut fields = line.splitn(6, ' ');
        let (range, rights, offset) = (fields.next()?, fields.next()?, fields.next()?);
        let (_device, inode) = (fields.next()?, fields.next()?);
        let path = fields.next()?.trim_start();
        let is_start = rights.starts_with('r') && inode != "0" && u64::from_str_radix(offset, 16) == Ok(0);
        let start = u64::from_str_radix(range.split('-').next()?, 16).ok()?;
        is_start.then(|| Mapping { start, path: path.to_owned() })
    };
    maps.lines().filter_map(mapping).collect()
}

/// A process that may be read.
#[derive(Debug)]
pub struct Target {
    pub pid: i32,
    /// The name of its program.
    pub name: String,
    pub memory: OfProcess,
    pub mappings: Vec<Mapping>,
}

impl Target {
    /// Checks that the process exists, and that it may be read.
    pub fn open(pid: i32) -> Result<Target, Failure> {
        let status = match fs::read_to_string(format!("/proc/{pid}/status")) {
            Ok(status) => status,
            Err(_) => return Err(Failure::own(format!("there is no process {pid}"))),
        };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let process = field("Tgid:");
        if process != pid.to_string() {
            return Err(Failure::own(format!("{pid} is a thread of process {process}; use the id of the process")));
        }
        if field("State:").starts_with(['Z', 'X']) {
            return Err(Failure::own(format!("process {pid} has ended")));
        }
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).map_err(|error| refusal(pid, &error))?;
        if maps.is_empty() {
            return Err(Failure::own(format!("process {pid} is a thread of the kernel")));
        }
        let target = Target { pid, name: field("Name:").to_owned(), memory: OfProcess(pid), mappings: mappings(&maps) };
        let first = target.mappings.first().map_or(0, |mapping| mapping.start);
        match target.memory.read(first, &mut [0; 4]) {
            Ok(_) | Err(Errno::EFAULT) => Ok(target),
            Err(errno) => Err(refusal(pid, &errno.into())),
        }
    }
}

/// The rights that are missing, in one sentence.
fn refusal(pid: i32, error: &io::Error) -> Failure {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM | Errno::EACCES) => {
            let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
            let scope = match scope.as_deref().map(str::trim) {
                Ok("1") => "; kernel.yama.ptrace_scope is 1, so only its parent or a process with CAP_SYS_PTRACE may",
                Ok("2") => "; kernel.yama.ptrace_scope is 2, so only a process with CAP_SYS_PTRACE may",
                Ok("3") => "; kernel.yama.ptrace_scope is 3, so no process may",
                _ => "",
            };
            Failure::own(format!(
                "process {pid} may not be read: that takes the rights of a debugger (its user, or CAP_SYS_PTRACE){scope}"
            ))
        }
        Some(Errno::ESRCH | Errno::ENOENT) => Failure::own(format!("process {pid} has ended")),
        _ => Failure::own(format!("process {pid} cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_where_its_beginning_is_mapped() {
        let maps = "7f00-7f80 r--p 00000000 fe:01 12    /usr/lib/a b.so (deleted)\n\
                    7f80-7fff r-xp 00001000 fe:01 12    /usr/lib/a b.so (deleted)\n\
                    8000-9000 rw-p 00000000 00:00 0 \n\
                    9000-a000 ---p 00000000 fe:01 13    /x\n\
                    nonsense\n";
        let expected = Mapping { start: 0x7f00, path: "/usr/lib/a b.so (deleted)".to_owned() };
        assert_eq!(mappings(maps), [expected]);
    }
}
