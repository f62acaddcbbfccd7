//! A call that has returned, and what it does to the numbers of its process.

use crate::args::{Args, Fd, Outcome, fd, int, items, outcome};
use epolyfill_facts::errno;

/// A call that has returned.
#[derive(Clone, Copy, Debug)]
pub struct Returned<'a> {
    pub name: &'a str,
    /// The text after the opening parenthesis.
    pub text: &'a str,
    pub outcome: Outcome<'a>,
}

impl<'a> Returned<'a> {
    /// Reads it; `None` if the line has no result.
    pub fn new(name: &'a str, text: &'a str) -> Option<Returned<'a>> {
        Some(Returned { name, text, outcome: outcome(Args::new(text).after()?)? })
    }

    /// Its arguments.
    pub fn args(&self) -> Args<'a> {
        Args::new(self.text)
    }

    /// Whether it returned a value.
    pub fn is_success(&self) -> bool {
        self.outcome.value >= 0
    }

    /// The descriptor that it returned.
    fn returned(&self) -> Option<Fd<'a>> {
        let number = i32::try_from(self.outcome.value).ok().filter(|number| *number >= 0)?;
        Some(Fd { number, label: self.outcome.label })
    }

    /// The descriptors that it made.
    pub fn made(&self) -> [Option<Fd<'a>>; 2] {
        if !self.is_success() {
            return [None, None];
        }
        let mut args = self.args();
        match self.name {
            "pipe" | "pipe2" => pair(args.text()),
            "socketpair" => pair(args.skip(3).text()),
            "signalfd" | "signalfd4" if args.fd().is_some_and(|fd| fd.number >= 0) => [None, None],
            "fcntl" | "fcntl64" if !args.skip(1).text().starts_with("F_DUPFD") => [None, None],
            "dup2" | "dup3" if args.fd().map(|fd| fd.number) == args.fd().map(|fd| fd.number) => [None, None],
            name if MAKERS.contains(&name) => [self.returned(), None],
            _ => [None, None],
        }
    }

    /// The first argument, if it is a descriptor that was open.
    pub fn used(&self) -> Option<Fd<'a>> {
        if errno::of(self.outcome.value) == errno::EBADF {
            return None;
        }
        let text = self.args().text();
        let fd = fd(text).filter(|fd| fd.number >= 0)?;
        (fd.label.is_some() || USERS.contains(&self.name)).then_some(fd)
    }
}

fn pair(text: &str) -> [Option<Fd<'_>>; 2] {
    let mut items = items(text).map(fd);
    [items.next().flatten(), items.next().flatten()]
}

/// The numbers from `first` to `last` of close_range.
pub fn range(text: &str) -> Option<(i32, i32, bool)> {
    let mut args = Args::new(text);
    let first = args.int()?.clamp(0, i64::from(i32::MAX));
    let last = args.text();
    let last = int(last).map_or(i64::from(i32::MAX), |last| last.clamp(0, i64::from(i32::MAX)));
    Some((first as i32, last as i32, args.text().contains("CLOEXEC")))
}

/// The calls that return a new descriptor.
const MAKERS: &[&str] = &[
    "accept",
    "accept4",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "epoll_create",
    "epoll_create1",
    "eventfd",
    "eventfd2",
    "fanotify_init",
    "fcntl",
    "fcntl64",
    "inotify_init",
    "inotify_init1",
    "io_uring_setup",
    "memfd_create",
    "mq_open",
    "open",
    "openat",
    "openat2",
    "perf_event_open",
    "pidfd_getfd",
    "pidfd_open",
    "signalfd",
    "signalfd4",
    "socket",
    "timerfd_create",
    "userfaultfd",
];

/// The calls whose first argument is a descriptor, for traces without -y.
const USERS: &[&str] = &[
    "accept",
    "accept4",
    "bind",
    "close",
    "connect",
    "dup",
    "dup2",
    "dup3",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "fcntl",
    "fcntl64",
    "fstat",
    "getpeername",
    "getsockname",
    "getsockopt",
    "ioctl",
    "listen",
    "preadv2",
    "pwritev2",
    "read",
    "readv",
    "recv",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "send",
    "sendfile",
    "sendfile64",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "splice",
    "tee",
    "timerfd_gettime",
    "timerfd_settime",
    "vmsplice",
    "write",
    "writev",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(name: &str, text: &str) -> (Vec<i32>, Option<i32>) {
        let call = Returned::new(name, text).unwrap();
        let made = call.made().into_iter().flatten().map(|fd| fd.number).collect();
        (made, call.used().map(|fd| fd.number))
    }

    #[test]
    fn calls_say_which_numbers_they_make_and_use() {
        assert_eq!(numbers("pipe2", "[3<pipe:[9]>, 4<pipe:[9]>], O_CLOEXEC) = 0"), (vec![3, 4], None));
        assert_eq!(numbers("socketpair", "AF_UNIX, SOCK_STREAM, 0, [3, 4]) = 0"), (vec![3, 4], None));
        assert_eq!(numbers("accept4", "3, NULL, NULL, 0) = 7"), (vec![7], Some(3)));
        assert_eq!(numbers("accept4", "3, NULL, NULL, 0) = -1 EAGAIN (x)"), (vec![], Some(3)));
        assert_eq!(numbers("fcntl", "3, F_DUPFD_CLOEXEC, 0) = 7"), (vec![7], Some(3)));
        assert_eq!(numbers("fcntl", "3, F_GETFL) = 0x2 (flags O_RDWR)"), (vec![], Some(3)));
        assert_eq!(numbers("dup2", "3, 3) = 3"), (vec![], Some(3)));
        assert_eq!(numbers("read", "3, 0x1, 1) = -1 EBADF (Bad file descriptor)"), (vec![], None));
        assert_eq!(numbers("exit_group", "1) = 0"), (vec![], None));
        assert_eq!(range("3, ~0U, 0) = 0"), Some((3, i32::MAX, false)));
    }
}
