//! `--doctor`: the system features that the library uses, one line each. Each is tried in this
//! process, by inline system calls where a preloaded library could interfere; nothing is left
//! behind.

use super::failure::{Failure, name, reason, why};
use super::library::Library;
use super::{launch, library, past};
use crate::settings;
use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use std::fmt::Write;
use syscalls::{Sysno, syscall};

/// Prints the lines. It fails only if no program can be served.
pub fn run() -> Result<(), Failure> {
    launch::complain(false);
    let library = library::find().and_then(|library| Ok((library.entry()?, library)));
    let ring = ring();
    let lines = [
        ("kernel's epoll", kernel_epoll()),
        ("io_uring", ring_line(ring)),
        ("socket diagnosis", socket_diagnosis()),
        ("/proc", proc()),
        ("seccomp", seccomp()),
        ("RLIMIT_NOFILE", limit(Resource::RLIMIT_NOFILE, "descriptors")),
        ("RLIMIT_MEMLOCK", limit(Resource::RLIMIT_MEMLOCK, "bytes")),
        ("ptrace scope", ptrace_scope()),
        (
            "library",
            match &library {
                Ok((entry, library)) if *entry == library.path => format!("{}", name(&library.path)),
                Ok((entry, library)) => format!("{}, preloaded as {}", name(&library.path), name(entry)),
                Err(failure) => failure.sentence.clone(),
            },
        ),
        (
            "static programs",
            match &library {
                Ok((_, library)) => static_programs(library),
                Err(_) => "cannot be served without the library".to_owned(),
            },
        ),
        ("pollers", pollers(ring)),
    ];
    let mut text = String::new();
    for (subject, finding) in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{subject:16}  {finding}");
    }
    super::say(&text)?;
    let unusable = |_| Failure::own("no program can be served here; the library line gives the reason");
    library.map(|_| ()).map_err(unusable)
}

fn static_programs(library: &Library) -> String {
    if cfg!(not(target_arch = "x86_64")) {
        return "cannot be served: they can be loaded on x86-64 only".to_owned();
    }
    if !past::has_fsgsbase() {
        return "cannot be served: the processor or the kernel (5.9 or later) lacks FSGSBASE".to_owned();
    }
    match library.loader() {
        Ok(loader) => format!("can be served if they are of Go, glibc 2.36 or musl: {} loads them", name(&loader)),
        Err(failure) => format!("cannot be served: {}", failure.sentence),
    }
}

fn kernel_epoll() -> String {
    // SAFETY: the call takes no pointer, and the descriptor that it makes is used nowhere else.
    let answer = unsafe {
        syscall!(Sysno::epoll_create1, 0).map(|fd| {
            let _ = syscall!(Sysno::close, fd);
        })
    };
    match answer.map_err(|errno| Errno::from_raw(errno.into_raw())) {
        Ok(()) => "works".to_owned(),
        Err(Errno::ENOSYS) => "is not available (ENOSYS)".to_owned(),
        Err(errno) => format!("is refused ({errno:?})"),
    }
}

/// Whether the kernel creates a ring with the flags and features that the library needs.
pub fn ring() -> Result<(), Errno> {
    /// The size of `struct io_uring_params` in words, and its fields of flags and features.
    const WORDS: usize = 30;
    const FLAGS: usize = 2;
    const FEATURES: usize = 5;
    /// IORING_SETUP_SUBMIT_ALL, TASKRUN_FLAG, SINGLE_ISSUER and DEFER_TASKRUN.
    const WANTED: u32 = 1 << 7 | 1 << 9 | 1 << 12 | 1 << 13;
    /// IORING_FEAT_SINGLE_MMAP, NODROP and EXT_ARG.
    const NEEDED: u32 = 1 << 0 | 1 << 1 | 1 << 8;

    let mut params = [0u32; WORDS];
    params[FLAGS] = WANTED;
    // SAFETY: the structure is as long as the kernel's, and the descriptor is used nowhere else.
    let made = unsafe { syscall!(Sysno::io_uring_setup, 8, params.as_mut_ptr()) };
    let fd = made.map_err(|errno| Errno::from_raw(errno.into_raw()))?;
    // SAFETY: as above.
    let _ = unsafe { syscall!(Sysno::close, fd) };
    if params[FEATURES] & NEEDED == NEEDED { Ok(()) } else { Err(Errno::EINVAL) }
}

fn ring_line(ring: Result<(), Errno>) -> String {
    match ring {
        Ok(()) => "works".to_owned(),
        Err(Errno::ENOSYS) => "is not available (ENOSYS)".to_owned(),
        Err(Errno::EINVAL) => "is too old (EINVAL): the library needs Linux 6.1".to_owned(),
        Err(Errno::EPERM) => match std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled") {
            Ok(value) if value.trim() != "0" => {
                format!("is refused (EPERM): kernel.io_uring_disabled is {}", value.trim())
            }
            _ => "is refused (EPERM)".to_owned(),
        },
        Err(errno) => format!("is refused ({errno:?}): {}", reason(errno)),
    }
}

/// Looks up a socket of this process by NETLINK_SOCK_DIAG, as the library does.
fn socket_diagnosis() -> String {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const ANY: u32 = u32::MAX;
    let ask = || -> std::io::Result<u16> {
        let (ours, _other) = std::os::unix::net::UnixStream::pair()?;
        let inode = nix::sys::stat::fstat(&ours)?.st_ino as u32;
        let netlink = netlink()?;
        let mut request = Vec::new();
        // struct nlmsghdr, and struct unix_diag_req.
        request.extend(40u32.to_ne_bytes());
        request.extend([SOCK_DIAG_BY_FAMILY, libc::NLM_F_REQUEST as u16].map(u16::to_ne_bytes).concat());
        request.extend([0u32; 2].map(u32::to_ne_bytes).concat());
        request.extend([libc::AF_UNIX as u8, 0, 0, 0]);
        request.extend([ANY, inode, 0, ANY, ANY].map(u32::to_ne_bytes).concat());
        nix::sys::socket::send(
            std::os::fd::AsRawFd::as_raw_fd(&netlink),
            &request,
            nix::sys::socket::MsgFlags::empty(),
        )?;
        let mut answer = [0; 256];
        let flags = nix::sys::socket::MsgFlags::MSG_DONTWAIT;
        let length = nix::sys::socket::recv(std::os::fd::AsRawFd::as_raw_fd(&netlink), &mut answer, flags)?;
        if length < 20 {
            return Err(Errno::EPROTO.into());
        }
        match u16::from_ne_bytes([answer[4], answer[5]]) {
            kind if i32::from(kind) == libc::NLMSG_ERROR => {
                let errno = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
                Err(std::io::Error::from_raw_os_error(-errno))
            }
            kind => Ok(kind),
        }
    };
    match ask() {
        Ok(SOCK_DIAG_BY_FAMILY) => "works".to_owned(),
        Ok(kind) => format!("answers with an unexpected message type ({kind})"),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
            "is not available for unix sockets (module unix_diag)".to_owned()
        }
        Err(error) => format!("is refused: {}", why(&error)),
    }
}

fn netlink() -> std::io::Result<std::os::fd::OwnedFd> {
    const NETLINK_SOCK_DIAG: i32 = 4;
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: numbers in, a descriptor out.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, NETLINK_SOCK_DIAG) };
    // SAFETY: the descriptor was made here.
    if fd < 0 { Err(std::io::Error::last_os_error()) } else { Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) }) }
}

fn proc() -> String {
    match std::fs::read_to_string("/proc/self/status") {
        Ok(_) => "is mounted".to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "is not mounted".to_owned(),
        Err(error) => format!("cannot be read: {}", why(&error)),
    }
}

fn seccomp() -> String {
    const GET_ACTION_AVAIL: usize = 2;
    let action = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the action is readable; the call changes nothing.
    let answer = unsafe { syscall!(Sysno::seccomp, GET_ACTION_AVAIL, 0, &raw const action) };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:")).map(str::trim);
    let here = if mode == Some("2") { "; this process already runs under a filter" } else { "" };
    match answer.map_err(|errno| Errno::from_raw(errno.into_raw())) {
        Ok(_) => format!("works: --no-kernel-epoll can install its filter{here}"),
        Err(errno) => format!("is refused ({errno:?}), so --no-kernel-epoll cannot work{here}"),
    }
}

fn limit(resource: Resource, unit: &str) -> String {
    let number = |limit: u64| if limit == RLIM_INFINITY { "unlimited".to_owned() } else { limit.to_string() };
    match getrlimit(resource) {
        Ok((soft, hard)) => format!("{} {unit} (hard limit {})", number(soft), number(hard)),
        Err(errno) => format!("cannot be read: {}", reason(errno)),
    }
}

fn ptrace_scope() -> String {
    match std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope") {
        Ok(scope) => match scope.trim() {
            "0" => "0: a debugger can attach to any process of its user".to_owned(),
            "1" => "1: a debugger can attach only to its own children".to_owned(),
            "2" => "2: only root can attach a debugger".to_owned(),
            other => format!("{other}: no debugger can attach"),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "is not restricted".to_owned(),
        Err(error) => format!("cannot be read: {}", why(&error)),
    }
}

fn pollers(ring: Result<(), Errno>) -> String {
    let chosen = std::env::var_os(launch::variable(&settings::POLLER)).unwrap_or_default();
    let chosen = settings::POLLERS.into_iter().find(|known| chosen == **known).unwrap_or("poll");
    match ring {
        Ok(()) => format!("poll, uring and signal; auto uses uring where that is faster; {chosen} is selected"),
        Err(_) => format!("poll and signal; uring falls back to poll, and auto to both; {chosen} is selected"),
    }
}
