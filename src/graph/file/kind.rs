//! The kind of an open file description, which determines its edges, and whether epoll accepts it
//! (T3).

use libc::{c_int, stat};
use linux_raw_sys::general::{
    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC, FUSE_SUPER_MAGIC, PID_FS_MAGIC, PIPEFS_MAGIC,
    PROC_SUPER_MAGIC, RDTGROUP_SUPER_MAGIC, SYSFS_MAGIC,
};
use nix::errno::Errno;

use crate::events::{NVAL, READABLE, WRITABLE};
use crate::kind::Kind;
use crate::sys;
use crate::tcp::{self, TcpState};
use crate::tcp_info;

/// The magic number of mqueue, which no header has.
const MQUEUE_MAGIC: u32 = 0x1980_0202;
/// The magic numbers of kernfs: sysfs, cgroups of either version, resctrl.
const KERNFS: [u32; 4] = [SYSFS_MAGIC, CGROUP2_SUPER_MAGIC, CGROUP_SUPER_MAGIC, RDTGROUP_SUPER_MAGIC];
/// The other file systems on which all regular files have a poll method.
const POLLABLE: [u32; 4] = [DEBUGFS_MAGIC, MQUEUE_MAGIC, FUSE_SUPER_MAGIC, PID_FS_MAGIC];

/// Whether epoll accepts the description: EPERM if the file has no poll method (T3), EBADF if the
/// number only names a path (O_PATH).
pub fn may_be_watched(fd: c_int, stat: &stat) -> Result<(), Errno> {
    match stat.st_mode & libc::S_IFMT {
        0 => without_inode(fd),
        libc::S_IFREG => regular_file(fd),
        _ if !sys::is_usable(fd) => Err(Errno::EBADF),
        libc::S_IFDIR | libc::S_IFBLK => Err(Errno::EPERM),
        libc::S_IFCHR if memory_device(stat) || miscellaneous_device(fd, stat) => Err(Errno::EPERM),
        _ => Ok(()),
    }
}

/// Whether the device is one of those of major 1 without a poll method: mem, null, port, zero, full
/// and urandom. `/dev/random` and `/dev/kmsg` have one.
fn memory_device(stat: &stat) -> bool {
    libc::major(stat.st_rdev) == 1 && matches!(libc::minor(stat.st_rdev), 1..=5 | 7 | 9)
}

/// The level of a file without a poll method: all four bits at once.
const NO_POLL: u16 = READABLE & !(libc::EPOLLRDBAND | libc::EPOLLMSG) as u16 | WRITABLE & !libc::EPOLLWRBAND as u16;

fn polls_as_if_without(fd: c_int) -> bool {
    sys::level(fd, NO_POLL) & NO_POLL == NO_POLL
}

/// Whether the device is one of those of major 10 without a poll method: kvm, loop-control,
/// userfaultfd and so on, whose minors are partly dynamic. tun, uinput, tpm, cuse, fuse, vhost,
/// uhid and rfkill have one, which may nevertheless show all four bits.
fn miscellaneous_device(fd: c_int, stat: &stat) -> bool {
    libc::major(stat.st_rdev) == 10
        && !matches!(libc::minor(stat.st_rdev), 200 | 203 | 223 | 224 | 229 | 238 | 239 | 241 | 242)
        && polls_as_if_without(fd)
}

/// Checks a file on the anonymous inode. Of those, only rings, seccomp notifications and bpf maps
/// have a poll method that may show all four bits.
fn without_inode(fd: c_int) -> Result<(), Errno> {
    let level = sys::level(fd, NO_POLL);
    if level & NVAL != 0 {
        return Err(Errno::EBADF);
    }
    if level & NO_POLL != NO_POLL {
        return Ok(());
    }
    let mut buffer = [0; 64];
    match sys::descriptor_link(fd, &mut buffer) {
        Ok(b"anon_inode:[io_uring]" | b"anon_inode:seccomp notify" | b"anon_inode:bpf-map") => Ok(()),
        _ => Err(Errno::EPERM),
    }
}

/// Checks a regular file. Only pseudo file systems have regular files that can be polled.
fn regular_file(fd: c_int) -> Result<(), Errno> {
    let filesystem = sys::filesystem(fd)?;
    if KERNFS.contains(&filesystem) || POLLABLE.contains(&filesystem) {
        // A look could take a change that shows once.
        return if sys::is_usable(fd) { Ok(()) } else { Err(Errno::EBADF) };
    }
    let level = sys::level(fd, NO_POLL);
    if level & NVAL != 0 {
        return Err(Errno::EBADF);
    }
    // A process's mounts, trace_pipe and similar files have a poll method that shows other bits.
    if level & NO_POLL != NO_POLL {
        return Ok(());
    }
    if filesystem != PROC_SUPER_MAGIC {
        return Err(Errno::EPERM);
    }
    // epoll accepts those files of /proc that show all four bits, except those of a process. Those
    // of the network do not count as a process's.
    let mut buffer = [0; 64];
    let link = sys::descriptor_link(fd, &mut buffer)?;
    let mut names = link.split(|&byte| byte == b'/').skip(2);
    let of_process = names.next().is_some_and(|name| name.first().is_some_and(u8::is_ascii_digit));
    let mut names = names.skip_while(|name| *name == b"task" || name.first().is_some_and(u8::is_ascii_digit));
    if of_process && names.next() != Some(b"net") { Err(Errno::EPERM) } else { Ok(()) }
}

/// Finds the kind of the description.
pub fn identify(fd: c_int) -> Kind {
    sys::fstat(fd).map_or(Kind::Other, |stat| of_stat(fd, &stat).0)
}

/// Finds the kind of the description, and the state of a TCP connection with it. Takes a few system
/// calls, so it is used for edge-triggered registrations only.
pub fn of_stat(fd: c_int, stat: &stat) -> (Kind, Option<TcpState>) {
    let kind = match stat.st_mode & libc::S_IFMT {
        libc::S_IFSOCK => return socket(fd),
        libc::S_IFIFO if sys::filesystem(fd) == Ok(PIPEFS_MAGIC) => Kind::Pipe,
        libc::S_IFIFO => Kind::Fifo,
        libc::S_IFCHR if is_pty(stat) || sys::ioctl_int(fd, libc::TIOCGPGRP).is_ok() || is_terminal(fd) => Kind::Tty,
        libc::S_IFREG => regular(fd),
        0 => anonymous(fd),
        _ => Kind::Other,
    };
    (kind, None)
}

/// Whether the description may be of a kind with levels that a look takes away, which matters for
/// level-triggered registrations too.
pub fn may_be_fleeting(fd: c_int, stat: &stat) -> bool {
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => true,
        0 => is_perf_event(fd),
        _ => false,
    }
}

fn regular(fd: c_int) -> Kind {
    match sys::filesystem(fd) {
        Ok(PID_FS_MAGIC) => Kind::Pidfd,
        Ok(MQUEUE_MAGIC) => Kind::MessageQueue,
        Ok(PROC_SUPER_MAGIC) => of_proc(fd),
        Ok(CGROUP2_SUPER_MAGIC) if is_named(fd, |name| name.ends_with(b".pressure")) => Kind::Pressure,
        Ok(filesystem) if KERNFS.contains(&filesystem) => Kind::Attribute,
        _ => Kind::Other,
    }
}

fn is_named(fd: c_int, like: impl FnOnce(&[u8]) -> bool) -> bool {
    // A name that does not fit is not that of a process file, and the directory that identifies it
    // is near its beginning.
    let mut buffer = [0; 256];
    sys::descriptor_link(fd, &mut buffer).is_ok_and(like)
}

/// Finds the kind of a file of `/proc` by its name, wherever `/proc` is mounted.
fn of_proc(fd: c_int) -> Kind {
    let mut kind = Kind::Other;
    is_named(fd, |name| {
        let has = |directory: &[u8]| name.windows(directory.len()).any(|part| part == directory);
        kind = match name.rsplit(|&byte| byte == b'/').next() {
            Some(b"mounts" | b"mountinfo" | b"mountstats" | b"swaps") => Kind::Notice,
            Some(b"mdstat") => Kind::Attribute,
            Some(b"devices") if has(b"/bus/input/") => Kind::Glimpse,
            _ if has(b"/pressure/") => Kind::Pressure,
            _ if has(b"/sys/") => Kind::Notice,
            _ => Kind::Other,
        };
        true
    });
    kind
}

/// Whether the file is a perf event. Not by an ioctl: Chromium's sandbox ends a process for one that
/// is not on its list, and a link that cannot be read there is only an error.
fn is_perf_event(fd: c_int) -> bool {
    is_named(fd, |name| name == b"anon_inode:[perf_event]")
}

/// Whether the file answers PERF_EVENT_IOC_ID, as only perf events do.
fn answers_as_perf_event(fd: c_int) -> bool {
    const ID: libc::Ioctl = 0x8008_2407_u32 as libc::Ioctl;
    sys::ioctl_word(fd, ID).is_ok()
}

/// Whether the file is a pseudo-terminal, which rejects every ioctl once it is hung up.
fn is_pty(stat: &stat) -> bool {
    matches!(libc::major(stat.st_rdev), 136..=143) || stat.st_rdev == libc::makedev(5, 2)
}

fn is_terminal(fd: c_int) -> bool {
    // A pseudo-terminal's master supports TIOCGPTN, and every terminal supports TIOCOUTQ.
    sys::ioctl_int(fd, libc::TIOCOUTQ).is_ok()
}

fn socket(fd: c_int) -> (Kind, Option<TcpState>) {
    let option = |name: c_int| {
        let mut value: c_int = 0;
        sys::getsockopt(fd, libc::SOL_SOCKET, name, &mut value).map_or(-1, |_| value)
    };
    let protocol = option(libc::SO_PROTOCOL);
    let is_listener = || option(libc::SO_ACCEPTCONN) == 1;
    // An MPTCP listener returns the state of its first subflow.
    if (protocol == libc::IPPROTO_TCP || protocol == libc::IPPROTO_MPTCP && is_listener())
        // A raw socket can have the same protocol, but has no such state.
        && let Some(state) = tcp_info::state(fd)
    {
        return (if state == tcp::LISTEN { Kind::TcpListener } else { Kind::Tcp }, Some(state));
    }
    let kind = match (option(libc::SO_DOMAIN), option(libc::SO_TYPE)) {
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM) if protocol == libc::IPPROTO_MPTCP => Kind::Mptcp,
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM) if is_udp(protocol) => Kind::Udp,
        (libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_SEQPACKET) if is_listener() => Kind::UnixListener,
        (libc::AF_UNIX, libc::SOCK_STREAM) => Kind::UnixStream,
        (libc::AF_UNIX, libc::SOCK_SEQPACKET) => Kind::UnixSeqpacket,
        (libc::AF_UNIX, libc::SOCK_DGRAM) => Kind::UnixDgram,
        (libc::AF_NETLINK, _) => Kind::Netlink,
        _ => Kind::Socket,
    };
    (kind, None)
}

/// Whether datagrams of the protocol are UDP or UDP-Lite, and not ICMP or SCTP.
fn is_udp(protocol: c_int) -> bool {
    matches!(protocol, libc::IPPROTO_UDP | libc::IPPROTO_UDPLITE)
}

/// Finds the kind of a file on the anonymous inode. If `/proc` is not available, probes for
/// operations that only one kind supports.
fn anonymous(fd: c_int) -> Kind {
    let mut buffer = [0; 64];
    match sys::descriptor_link(fd, &mut buffer) {
        Ok(b"anon_inode:[eventfd]") if is_semaphore(fd) => Kind::EventfdSemaphore,
        Ok(b"anon_inode:[eventfd]") => Kind::Eventfd,
        Ok(b"anon_inode:[timerfd]") => Kind::Timerfd,
        Ok(b"anon_inode:[signalfd]") => Kind::Signalfd,
        // Both have queues of events with a length, and wake up at each event.
        Ok(b"anon_inode:inotify" | b"anon_inode:[fanotify]") => Kind::Inotify,
        Ok(b"anon_inode:[io_uring]") => Kind::IoUring,
        Ok(b"anon_inode:[userfaultfd]") => Kind::Userfault,
        Ok(b"anon_inode:[pidfd]") => Kind::Pidfd,
        Ok(b"anon_inode:[perf_event]") => Kind::Glimpse,
        Ok(_) => Kind::Other,
        Err(_) if answers_as_perf_event(fd) => Kind::Glimpse,
        Err(_) if sys::is_timer(fd) => Kind::Timerfd,
        Err(_) if sys::ioctl_int(fd, libc::FIONREAD).is_ok() => Kind::Inotify,
        Err(_) => Kind::Other,
    }
}

fn is_semaphore(fd: c_int) -> bool {
    let mut buffer = [0; 256];
    sys::descriptor_info(fd, b"eventfd-semaphore:", &mut buffer) == Some(b"1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_told_apart() {
        // SAFETY: plain creation of descriptors; they live until the test process ends.
        unsafe {
            let mut pair = [0; 2];
            assert_eq!(libc::pipe(pair.as_mut_ptr()), 0);
            assert_eq!(identify(pair[0]), Kind::Pipe);
            for (kind, expected) in [
                (libc::SOCK_STREAM, Kind::UnixStream),
                (libc::SOCK_DGRAM, Kind::UnixDgram),
                (libc::SOCK_SEQPACKET, Kind::UnixSeqpacket),
            ] {
                assert_eq!(libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()), 0);
                assert_eq!(identify(pair[0]), expected);
            }
            let tcp = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
            assert_eq!(identify(tcp), Kind::Tcp);
            assert_eq!(libc::listen(tcp, 1), 0);
            assert_eq!(identify(tcp), Kind::TcpListener);
            assert_eq!(identify(libc::socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)), Kind::Udp);
            assert_eq!(identify(libc::eventfd(0, 0)), Kind::Eventfd);
            assert_eq!(identify(libc::eventfd(0, libc::EFD_SEMAPHORE)), Kind::EventfdSemaphore);
            assert_eq!(identify(libc::timerfd_create(libc::CLOCK_MONOTONIC, 0)), Kind::Timerfd);
            assert_eq!(identify(libc::inotify_init1(0)), Kind::Inotify);
            assert_eq!(identify(libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY)), Kind::Tty);
        }
    }
}
